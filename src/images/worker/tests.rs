//! Tests of fetching and checking over a real socket. Tests with a store are in the store's tests.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::archive::ArchiveLocation;
use crate::images::check::samples;
use crate::model::{EventState, ImageFormat, ManualClock, Timestamp};
use crate::net::Proxies;
use crate::store::{self, Arrival, EventFilter, ImageHosts, Silenceable};
use crate::telemetry::Format;

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

const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);

/// Opens the store in this folder.
fn open(dir: &tempfile::TempDir, clock: &Arc<dyn Clock>) -> Store {
    let settings = store::Settings {
        location: store::StoreLocation::Sqlite(dir.path().join("relay.db")),
        retain: Duration::from_secs(3600),
    };
    Store::open(&settings, Arc::clone(clock)).unwrap()
}

/// Builds a worker for the store in this folder.
fn worker(dir: &tempfile::TempDir, store: Store, clock: Arc<dyn Clock>) -> ImageWorker {
    let metrics = Arc::new(Metrics::new());
    let notify = Current::new(None);
    ImageWorker::new(Deps {
        operator: Notifier::new(
            store.clone(),
            Arc::clone(&metrics),
            Arc::clone(&clock),
            notify,
        ),
        store,
        archive: Archive::open(&ArchiveLocation::Folder(dir.path().join("images"))).unwrap(),
        client: Current::new(GuardedClient::new(&Proxies::default()).unwrap()),
        settings: Current::new(settings(10_000)),
        metrics,
        clock,
        random: fastrand::Rng::with_seed(1),
    })
}

/// Works on the due images, one after the other. Returns their number.
async fn step(worker: &ImageWorker) -> usize {
    let due = worker.poll(CONCURRENCY).await.unwrap().jobs;
    let count = due.len();
    for job in due {
        worker.work(job).await;
    }
    count
}

/// Stores an event with an image that nobody serves.
async fn accept_image(store: &Store) {
    let arrival = Arrival {
        id: "e1".into(),
        via: "shop".into(),
        event_type: "t".into(),
        feedback: None,
        users: Vec::new(),
        tenant: None,
        incidents: Vec::new(),
        late_incidents: Vec::new(),
        silenceable: Silenceable::default(),
        received_at: NOW,
        state: EventState::Routed,
        body: Some(Private::new("{}")),
        deliveries: Vec::new(),
        images: vec![Private::new("http://127.0.0.1:1/a.png")],
        images_deadline_at: NOW + Duration::from_secs(72 * 3600),
        change: None,
    };
    store.accept(arrival).await.unwrap();
}

#[tokio::test]
async fn lost_lease_is_counted_and_the_third_is_notified() {
    let dir = tempfile::tempdir().unwrap();
    let manual = Arc::new(ManualClock::new(NOW));
    let clock: Arc<dyn Clock> = Arc::clone(&manual) as Arc<dyn Clock>;
    let store = open(&dir, &clock);
    accept_image(&store).await;
    let worker = worker(&dir, store.clone(), clock);
    let hosts = ImageHosts::default();
    // The worker leases nothing while all its capacity for the host is used.
    for _ in 0..PER_HOST {
        worker.hosts().began("127.0.0.1");
    }
    let counts = async || {
        assert_eq!(step(&worker).await, 0);
        let text = worker.metrics.encode(Format::Prometheus);
        let all = EventFilter {
            limit: 9,
            ..EventFilter::default()
        };
        let notices = store.events(all).await.unwrap().len() - 1;
        let count = |result: &str| {
            let name = format!("image_attempts_total{{result=\"{result}\"}} ");
            let (_, rest) = text.split_once(&name).unwrap();
            rest.lines().next().unwrap().to_owned()
        };
        [count("lease_lost"), count("lost"), notices.to_string()]
    };
    for lost in ["1", "2", "3"] {
        let leased = store.lease_images(1, LEASE, &hosts).await.unwrap();
        assert_eq!(leased.leases.len(), 1);
        manual.advance(LEASE);
        assert_eq!(counts().await, [lost, "0", "0"]);
    }
    for _ in 0..PER_HOST {
        let now = Instant::now();
        worker.hosts().ended("127.0.0.1", HostSign::Nothing, now);
    }
    assert_eq!(counts().await, ["3", "1", "1"], "given up and notified");
    let subjects = worker.notified.lock().unwrap().clone();
    assert_eq!(subjects, [(NoticeKind::ImageLost, "e1".to_owned())].into());
}

/// After a crash, caution ends with the first attempt at each image that was in progress.
#[tokio::test]
async fn worker_is_careful_after_a_crash_until_the_image_was_tried() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
    let store = open(&dir, &clock);
    accept_image(&store).await;
    let hosts = ImageHosts::default();
    let leased = store.lease_images(1, LEASE, &hosts).await.unwrap();
    assert_eq!(leased.leases.len(), 1);
    drop(store);
    let store = open(&dir, &clock);
    let worker = worker(&dir, store, clock);
    assert!(worker.caution.is_on());
    assert_eq!(step(&worker).await, 1);
    assert!(!worker.caution.is_on());
}
