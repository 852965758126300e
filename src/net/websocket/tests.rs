//! Tests with real sockets on the loopback interface.

use std::sync::LazyLock;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::net::Proxies;

const SOON: Duration = Duration::from_secs(10);

async fn listener() -> (TcpListener, Secret) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("ws://{address}/ws/v2?ticket=ticket-of-mine");
    (listener, Secret::new(url))
}

/// Returns one client for all tests, because creating one reads the machine's certificates, which
/// is slow.
fn client() -> HttpClient {
    static CLIENT: LazyLock<HttpClient> = LazyLock::new(|| HttpClient::trusted(None).unwrap());
    CLIENT.clone()
}

/// Opens a WebSocket at a server that runs `serve` with the connection.
async fn open<F>(serve: impl FnOnce(TcpStream) -> F) -> Result<WebSocket, OpenError>
where
    F: Future<Output = ()>,
{
    let (listener, url) = listener().await;
    let serving = async { serve(listener.accept().await.unwrap().0).await };
    let client = client();
    let (opened, ()) = tokio::join!(client.open_websocket(&url, SOON), serving);
    opened
}

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn accepted() -> (WebSocket, WebSocketStream<TcpStream>) {
    let (listener, url) = listener().await;
    let accepting = async {
        let stream = listener.accept().await.unwrap().0;
        tokio_tungstenite::accept_async(stream).await.unwrap()
    };
    let client = client();
    let (opened, server) = tokio::join!(client.open_websocket(&url, SOON), accepting);
    (opened.unwrap(), server)
}

#[tokio::test]
async fn messages_go_both_ways_and_every_frame_counts_as_life() {
    let (mut socket, mut server) = accepted().await;
    socket.send("to the server".into()).await.unwrap();
    let there = server.next().await.unwrap().unwrap();
    assert_eq!(there, Message::Binary("to the server".into()));
    server.send(Message::Ping("p".into())).await.unwrap();
    server.send(Message::Text("text".into())).await.unwrap();
    server.send(Message::Binary("b".into())).await.unwrap();
    assert_eq!(socket.hear().await, Ok(Heard::Life));
    assert_eq!(socket.hear().await, Ok(Heard::Life));
    assert_eq!(socket.hear().await, Ok(Heard::Message("b".into())));
    let pong = server.next().await.unwrap().unwrap();
    assert_eq!(pong, Message::Pong("p".into()));
}

#[tokio::test]
async fn close_has_code_and_drop_is_error() {
    let (mut socket, mut server) = accepted().await;
    let frame = CloseFrame {
        code: CloseCode::Away,
        reason: "".into(),
    };
    server.close(Some(frame)).await.unwrap();
    assert_eq!(socket.hear().await, Ok(Heard::Closed(Some(1001))));

    let (mut socket, server) = accepted().await;
    drop(server);
    assert!(socket.hear().await.is_err());

    let (socket, mut server) = accepted().await;
    let answering = async {
        let closed = server.next().await;
        while server.next().await.is_some() {}
        closed
    };
    let (closed, ()) = tokio::join!(answering, socket.close(SOON));
    let Some(Ok(Message::Close(Some(frame)))) = closed else {
        panic!("{closed:?}");
    };
    assert_eq!(frame.code, CloseCode::Normal);

    let (socket, mut server) = accepted().await;
    drop(socket);
    assert!(server.next().await.unwrap().is_err(), "aborted");
}

#[tokio::test]
async fn too_large_message_is_refused() {
    let (mut socket, mut server) = accepted().await;
    let large = vec![0; SOCKET_MESSAGE_BYTES_MAX + 1];
    let sending = server.send(Message::Binary(large.into()));
    let (_cut_off, heard) = tokio::join!(sending, async {
        let heard = socket.hear().await;
        drop(socket);
        heard
    });
    let error = heard.unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
}

#[tokio::test]
async fn refused_upgrade_returns_status_and_headers() {
    let refused = open(|mut stream| async move {
        let head = head(&mut stream).await;
        assert!(head.starts_with("GET /ws/v2?ticket=ticket-of-mine HTTP/1.1\r\n"));
        let answer = b"HTTP/1.1 200 OK\r\nHandshake-Status: 514\r\nHandshake-Autherrcode: 1000040350\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    });
    let Err(OpenError::Refused { status, headers }) = refused.await else {
        panic!("not refused");
    };
    assert_eq!(status, 200);
    let said = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .unwrap()
            .1
            .as_str()
    };
    assert_eq!(said("handshake-status"), "514");
    assert_eq!(said("handshake-autherrcode"), "1000040350");
}

#[tokio::test]
async fn upgrade_without_valid_accept_header_is_refused() {
    let opened = open(|mut stream| async move {
        head(&mut stream).await;
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    });
    assert!(matches!(
        opened.await,
        Err(OpenError::Net(NetError::Lost(_)))
    ));
}

#[tokio::test]
async fn errors_hide_address_and_come_in_time() {
    let (listener, url) = listener().await;
    let short = Duration::from_millis(50);
    let waited = client().open_websocket(&url, short).await;
    drop(listener);
    let gone = client().open_websocket(&url, SOON).await;
    let odd = Secret::new("https://example.com/?ticket=ticket-of-mine");
    let odd = client().open_websocket(&odd, SOON).await;
    let none = Secret::new("ticket-of-mine");
    let none = client().open_websocket(&none, SOON).await;
    for (opened, unsent) in [(waited, false), (gone, true), (odd, false), (none, false)] {
        let Err(error @ OpenError::Net(_)) = opened else {
            panic!("it is open");
        };
        assert_eq!(matches!(error, OpenError::Net(NetError::Unsent(_))), unsent);
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("ticket-of-mine"), "{shown}");
    }
}

/// Returns the first line that a proxy receives from a client that opens `url`.
async fn asked_of_proxy(url: &str, except: &str) -> Option<String> {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    let proxies = Proxies {
        https: Some(Secret::new(format!("http://user:word@{address}"))),
        except: except.into(),
        ..Proxies::default()
    };
    let client = HttpClient::by(&proxies).unwrap();
    let url = Secret::new(url);
    let asked = async {
        let mut stream = proxy.accept().await.unwrap().0;
        head(&mut stream).await
    };
    tokio::select! {
        asked = asked => Some(asked),
        opened = client.open_websocket(&url, SOON) => {
            assert!(opened.is_err());
            None
        }
    }
}

#[tokio::test]
async fn websocket_uses_proxy_tunnel() {
    let asked = asked_of_proxy("wss://feishu.test/ws", "").await.unwrap();
    assert!(
        asked.starts_with("CONNECT feishu.test:443 HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(
        asked
            .to_lowercase()
            .contains("proxy-authorization: basic dxnlcjp3b3jk"),
        "{asked}"
    );
    // An excepted host and an unencrypted URL are reached directly, at a port where nothing
    // listens.
    for (url, except) in [
        ("wss://127.0.0.1:1/ws", "127.0.0.0/8"),
        ("wss://localhost:1/ws", "feishu.test, localhost"),
        ("ws://127.0.0.1:1/ws", ""),
    ] {
        assert_eq!(asked_of_proxy(url, except).await, None, "{url}");
    }
}
