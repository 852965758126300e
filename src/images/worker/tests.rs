//! Tests of fetching and checking over a real socket. Tests with a store are in the store's tests.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::images::check::samples;
use crate::model::ImageFormat;
use crate::net::Proxies;

fn settings(bytes_max: u64) -> Settings {
    let day = Duration::from_secs(24 * 60 * 60);
    Settings {
        retain: day,
        link_ttl: day,
        bytes_max,
        total_bytes_max: bytes_max,
        wait: Duration::ZERO,
        wait_critical: Duration::ZERO,
        allow_hosts: vec!["127.0.0.1".into()],
        allow_private_addresses: true,
    }
}

/// Fetches from a host that gives one answer and declares it as text.
async fn fetched(status: &str, body: &[u8], bytes_max: u64) -> Result<Bytes, Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Private::new(format!("http://{}/a.svg", listener.local_addr().unwrap()));
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.as_bytes(), body].concat();
    let host = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let read = socket.read(&mut [0; 4096]).await.unwrap();
        assert!(read > 0);
        socket.write_all(&answer).await.unwrap();
    };
    let client = GuardedClient::new(&Proxies::default()).unwrap();
    let settings = settings(bytes_max);
    let (_, fetched) = tokio::join!(host, fetch(&client, &url, &settings, false));
    fetched.map(|fetched| fetched.body)
}

#[tokio::test]
async fn bytes_decide_the_type_not_address_or_header() {
    let bytes = fetched("200 OK", &samples::png(3, 2), 10_000)
        .await
        .unwrap();
    let kept = Checker::default().check(bytes, false).await.unwrap().kept;
    assert_eq!(
        (kept.format, kept.width, kept.height),
        (ImageFormat::Png, 3, 2)
    );
}

#[tokio::test]
async fn oversized_image_is_lost_and_a_page_is_retried() {
    let page = fetched("200 OK", b"<html></html>", 100).await.unwrap();
    let checked = Checker::default().check(page, false).await;
    assert!(
        matches!(checked, Err(Failure::NotAnImage(_))),
        "it may be one later"
    );
    let bomb = Bytes::from(samples::png(50_000, 50_000));
    let checked = Checker::default().check(bomb, true).await;
    assert!(matches!(checked, Err(Failure::Hopeless(_))));
    assert!(matches!(
        fetched("200 OK", &samples::png(1, 1), 100).await,
        Err(Failure::Hopeless(_))
    ));
    assert!(matches!(
        fetched("200 OK", &[b'<'; 101], 100).await,
        Err(Failure::NotAnImage(_))
    ));
    assert!(matches!(
        fetched("503 Busy", &[0; 101], 100).await,
        Err(Failure::Transient(_))
    ));
    assert_eq!(
        fetched("403 Forbidden", b"", 100).await,
        Err(Failure::Absent(403))
    );
}

#[test]
fn jpeg_without_end_is_accepted_at_third_attempt() {
    let whole = samples::jpeg(1, 1);
    assert_eq!(refuse_cut_jpeg(&whole, 0), Ok(()));
    assert_eq!(refuse_cut_jpeg(&samples::png(1, 1), 0), Ok(()));
    let end = whole.windows(2).rposition(|pair| pair == [0xff, 0xd9]);
    let cut = &whole[..end.unwrap()];
    let results = [0, 1, 2].map(|attempts| refuse_cut_jpeg(cut, attempts).is_ok());
    assert_eq!(results, [false, false, true]);
}
