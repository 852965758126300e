//! Tests ten times the relay's capacity for some time, whatever the relay answers.
//!
//! The load is open: requests have a schedule, and a late response delays no other request while a
//! connection is free. Requests without a free connection are not sent, and are counted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::harness::sealed::KEY;
use crate::harness::{Feedback, Receiver, Relay, sealed, wait_until};
use crate::parts::{alone, event_number, form, journal, open_deliveries, quantile, say};

/// A request that starts later than this found no free connection.
const LATE: Duration = Duration::from_millis(100);
/// The largest resident memory of the relay under any load, in MiB: an idle relay, the store's
/// queue, and one request per connection.
const MEMORY_MAX_MIB: u64 = 256;

/// Encoded requests; event number n is at index n.
struct Requests(Vec<Vec<u8>>);

impl Requests {
    /// Creates the requests. One in twenty has a destination; the others are accepted without a
    /// delivery.
    fn sealed(address: &str, count: u64) -> Self {
        let request = |number| {
            let event = match number % 20 {
                0 => Feedback::suggestion(number),
                _ => Feedback::fault(number),
            };
            let (headers, body) = sealed(KEY, &event.envelope.to_string());
            let mut head = format!("POST /apps/shop/events HTTP/1.1\r\nHost: {address}\r\n");
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
            [head.into_bytes(), body].concat()
        };
        Self((0..count).map(request).collect())
    }
}

#[derive(Default)]
struct Seen {
    taken: BTreeSet<u64>,
    refused: u64,
    unsent: u64,
    /// The time from the first byte sent to the last received, in milliseconds.
    times: Vec<f64>,
}

struct Flood {
    address: String,
    requests: Requests,
    /// Requests a second; `None`: each follows the previous response.
    rate: Option<f64>,
    begun: Instant,
    next: AtomicU64,
    over: AtomicBool,
}

impl Flood {
    /// Runs for `span` over this number of connections, starting with event `first`. Returns the
    /// requests.
    async fn run(
        address: &str,
        requests: Requests,
        first: u64,
        (rate, connections): (Option<f64>, usize),
        span: Duration,
    ) -> (Seen, Requests) {
        let flood = Arc::new(Self {
            address: address.to_owned(),
            requests,
            rate,
            begun: Instant::now(),
            next: AtomicU64::new(first),
            over: AtomicBool::new(false),
        });
        let mut lanes = JoinSet::new();
        for _ in 0..connections {
            lanes.spawn(Arc::clone(&flood).lane(first));
        }
        sleep_until(flood.begun + span).await;
        flood.over.store(true, Ordering::SeqCst);
        let mut all = Seen::default();
        while let Some(seen) = lanes.join_next().await {
            let seen = seen.expect("no panic");
            all.taken.extend(seen.taken);
            all.refused += seen.refused;
            all.unsent += seen.unsent;
            all.times.extend(seen.times);
        }
        all.times.sort_by(f64::total_cmp);
        let flood = Arc::into_inner(flood).expect("all lanes have ended");
        (all, flood.requests)
    }

    async fn lane(self: Arc<Self>, first: u64) -> Seen {
        let mut seen = Seen::default();
        let mut stream = TcpStream::connect(&self.address).await.expect("accepted");
        stream.set_nodelay(true).expect("a socket");
        while !self.over.load(Ordering::SeqCst) {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if let Some(rate) = self.rate {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                let due = self.begun + Duration::from_secs_f64((number - first) as f64 / rate);
                if due.elapsed() > LATE {
                    seen.unsent += 1;
                    continue;
                }
                sleep_until(due).await;
            }
            // In a long run the events are repeated; repeats are answered with 200 as well.
            let index = number % self.requests.0.len() as u64;
            let begun = Instant::now();
            let request = &self.requests.0[usize::try_from(index).expect("in memory")];
            stream.write_all(request).await.expect("it is not cut off");
            let (status, paced) = answer(&mut stream).await;
            seen.times.push(begun.elapsed().as_secs_f64() * 1000.0);
            match status {
                200 => drop(seen.taken.insert(index)),
                503 => {
                    assert!(paced, "a 503 without Retry-After");
                    seen.refused += 1;
                }
                other => panic!("answered {other}"),
            }
        }
        seen
    }
}

/// Returns the status of a response with a length, and whether it has a `Retry-After`.
async fn answer(stream: &mut TcpStream) -> (u16, bool) {
    let mut raw = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let read = stream.read(&mut buffer).await.expect("an answer");
        assert!(read > 0, "closed without an answer");
        raw.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&raw).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.split("content-length: ").nth(1).expect("a length");
        let length: usize = length
            .lines()
            .next()
            .expect("a line")
            .parse()
            .expect("a number");
        if body.len() >= length {
            let status = head.split(' ').nth(1).expect("a status");
            return (
                status.parse().expect("a number"),
                head.contains("retry-after: "),
            );
        }
    }
}

/// Returns the largest resident memory of the relay, in MiB.
fn memory_peak_mib(relay: &Relay) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.pid()));
    let status = status.expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.expect("Linux").trim().trim_end_matches(" kB");
    kib.parse::<u64>().expect("a number") / 1024
}

fn config(hook: &Receiver) -> String {
    Relay::config(&format!(
        "[destinations.hook]\nkind = \"webhook\"\nurl = \"{}\"\nconcurrency = 16\n\
         [[rules]]\nname = \"suggestions\"\nmatch.type = \"suggestion\"\nsend_to = \"hook\"\n",
        hook.url("/hook"),
    ))
}

fn assert_nothing_lost(relay: &Relay, hook: &Receiver, taken: &BTreeSet<u64>) {
    let conn = journal(&relay.path("data/relay.db"));
    let mut query = conn
        .prepare("SELECT id FROM events WHERE id LIKE 'ev-%'")
        .expect("a query");
    let ids = query.query_map([], |row| row.get::<_, String>(0));
    let held: BTreeSet<u64> = ids
        .expect("rows")
        .map(|id| event_number(&id.expect("an id")))
        .collect();
    assert!(taken.is_subset(&held), "answered with 200 and not kept");
    // There may be many deliveries, so the limit is longer than others.
    let deadline = Instant::now() + Duration::from_secs(300);
    while open_deliveries(&conn) > 0 {
        assert!(Instant::now() < deadline, "they are never delivered");
        std::thread::sleep(Duration::from_millis(100)); // polls again
    }
    let told: BTreeSet<u64> = hook
        .received()
        .iter()
        .map(|one| event_number(one.json()["data"]["event"]["id"].as_str().expect("an id")))
        .collect();
    let due: BTreeSet<u64> = taken.iter().copied().filter(|n| n % 20 == 0).collect();
    assert!(due.is_subset(&told), "answered with 200 and not delivered");
}

#[test]
fn tenfold_overload_is_refused_in_time_without_loss() {
    let _alone = alone();
    let hook = Receiver::answering("{}");
    let relay = Relay::started(&config(&hook));
    let runtime = Runtime::new().expect("a runtime");
    let requests = Requests::sealed(relay.address(), form(40_000, 200_000));
    let closed = Flood::run(
        relay.address(),
        requests,
        0,
        (None, 64),
        Duration::from_secs(2),
    );
    let (normal, requests) = runtime.block_on(closed);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let capacity = normal.taken.len() as f64 / 2.0;
    assert!(capacity > 10.0, "{capacity} a second");

    let span = Duration::from_secs(form(5, 60));
    let connections = form(512, 2_000);
    let first = normal.taken.last().expect("some") + 100;
    let load = (Some(capacity * 10.0), connections);
    let open = Flood::run(relay.address(), requests, first, load, span);
    let (seen, _) = runtime.block_on(open);
    let calm = Instant::now();
    wait_until("it is as before", || {
        let asked = Instant::now();
        let status = relay.push(&Feedback::suggestion(9_000_000)).status;
        status == 200 && asked.elapsed() < Duration::from_millis(100)
    });
    let calm = calm.elapsed();
    let memory = memory_peak_mib(&relay);
    let taken: BTreeSet<u64> = normal.taken.union(&seen.taken).copied().collect();
    assert_nothing_lost(&relay, &hook, &taken);
    let (half, most) = (quantile(&seen.times, 0.5), quantile(&seen.times, 0.99));
    say(&format!(
        "flood: {capacity:.0}/s taken in closed loop; offered {:.0}/s for {span:?} over {connections} connections: \
         {} answers ({} x 200, {} x 503), {} found no connection free; answered in ms p50 {half:.0}, p99 {most:.0}, \
         max {:.0}; {memory} MiB at most; normal after {calm:?}",
        capacity * 10.0,
        seen.times.len(),
        seen.times.len() as u64 - seen.refused,
        seen.refused,
        seen.unsent,
        seen.times.last().expect("some"),
    ));
    // The short form runs an unoptimised build on a shared machine.
    let late = form(3_000.0, 1_000.0);
    assert!(most < late, "p99 of the answers: {most} ms");
    assert!(memory < MEMORY_MAX_MIB, "{memory} MiB");
    assert!(calm < Duration::from_secs(5), "{calm:?}");
}
