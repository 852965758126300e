//! The measurements, and the table of their medians.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::Settings;
use super::events::{Maker, Sealed};
use super::load::{Answered, Plan, count, quantile_ms, send};
use super::sink::Sink;
use super::subject::{Kind, PATH, Subject};

/// Every figure of every round, by its name.
#[derive(Default)]
pub struct Table(BTreeMap<&'static str, Vec<f64>>);

impl Table {
    fn add(&mut self, name: &'static str, value: f64) {
        self.0.entry(name).or_default().push(value);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<66} {:>9} {:>9} {:>9}", "", "min", "median", "max")?;
        for (name, values) in &self.0 {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let middle = sorted.get(sorted.len() / 2);
            let [min, median, max] =
                [sorted.first(), middle, sorted.last()].map(|v| v.copied().unwrap_or(f64::NAN));
            writeln!(f, "{name:<66} {min:>9.2} {median:>9.2} {max:>9.2}")?;
        }
        Ok(())
    }
}

/// What all measurements use.
struct Bench {
    settings: Settings,
    sink: Sink,
    maker: Maker,
    table: Table,
}

/// Makes all measurements, round by round.
pub async fn measure(settings: Settings) -> Table {
    let mut bench = Bench {
        settings,
        sink: Sink::start(),
        maker: Maker::new(fastrand::u64(..)),
        table: Table::default(),
    };
    for _ in 0..settings.rounds {
        bench.acceptance().await;
        bench.delivery().await;
        bench.steady().await;
        bench.burst().await;
        bench.forged_and_repeated().await;
    }
    bench.receiver_down().await;
    bench.table
}

impl Bench {
    async fn start(&mut self, kind: Kind) -> (Subject, TempDir) {
        self.sink.answer(200);
        let folder = TempDir::new().expect("a temporary folder");
        let url = self.sink.url();
        let subject = Subject::start(kind, folder.path(), &url, &mut self.maker).await;
        // Connections, caches and statements are there when it counts.
        let warm = self.send(&subject, 500, 64, Plan::Closed).await;
        if kind.delivers() {
            self.sink.arrivals(&warm.accepted).await;
        }
        self.sink.forget();
        (subject, folder)
    }

    async fn send(
        &mut self,
        subject: &Subject,
        events: usize,
        connections: usize,
        plan: Plan,
    ) -> Answered {
        let requests = self.maker.requests(events, &subject.host(), PATH);
        send(subject.address(), Arc::new(requests), connections, plan).await
    }

    /// Durable acceptance beside `r0`, and what waits for delivery meanwhile.
    async fn acceptance(&mut self) {
        for (connections, names) in [
            (
                64,
                ["accept  64: no rule ÷ r0", "accept  64: one rule ÷ r0"],
            ),
            (
                256,
                ["accept 256: no rule ÷ r0", "accept 256: one rule ÷ r0"],
            ),
        ] {
            let [bare, unrouted, routed] = [
                self.acceptance_of(Kind::R0, connections).await,
                self.acceptance_of(Kind::Unrouted, connections).await,
                self.acceptance_of(Kind::Routed, connections).await,
            ];
            self.table.add(names[0], unrouted / bare);
            self.table.add(names[1], routed / bare);
            self.table.add("accept: r0, events/s", bare);
        }
    }

    async fn acceptance_of(&mut self, kind: Kind, connections: usize) -> f64 {
        let (subject, _folder) = self.start(kind).await;
        let events = self.settings.events;
        let answered = self.send(&subject, events, connections, Plan::Closed).await;
        let rate = answered.rate();
        if kind == Kind::Routed {
            let arrived = self.sink.arrivals(&answered.accepted).await;
            answered.assert_arrived(&arrived);
            self.table.add(
                "accept: one rule, memory afterwards, MiB",
                subject.memory_mib(),
            );
        }
        rate
    }

    /// Deliveries a second from the first event sent to the last that arrived.
    async fn delivery(&mut self) {
        let [least, ours] = [
            self.delivery_of(Kind::R1).await,
            self.delivery_of(Kind::Routed).await,
        ];
        self.table.add("deliver: relay ÷ r1", ours.0 / least.0);
        self.table.add("deliver: r1, events/s", least.0);
        self.table.add("deliver: relay, events/s", ours.0);
        self.table
            .add("deliver ÷ accept, 256 connections: relay", ours.1);
        self.table
            .add("deliver ÷ accept, 256 connections: r1", least.1);
    }

    async fn delivery_of(&mut self, kind: Kind) -> (f64, f64) {
        let (subject, _folder) = self.start(kind).await;
        let began = Instant::now();
        let events = self.settings.events;
        let answered = self.send(&subject, events, 256, Plan::Closed).await;
        let arrived = self.sink.arrivals(&answered.accepted).await;
        let last = arrived.values().max().copied().unwrap_or(began);
        let rate = count(arrived.len()) / last.duration_since(began).as_secs_f64();
        (rate, rate / answered.rate())
    }

    /// A thousand events a second.
    async fn steady(&mut self) {
        let [least, ours] = [
            self.steady_of(Kind::R1).await,
            self.steady_of(Kind::Routed).await,
        ];
        self.table
            .add("1000/s: p99 of answers, relay ÷ r1", ours.0 / least.0);
        self.table
            .add("1000/s: p99 of arrivals, relay ÷ r1", ours.1 / least.1);
        self.table.add("1000/s: p99 of answers, relay, ms", ours.0);
        self.table.add("1000/s: p99 of arrivals, relay, ms", ours.1);
    }

    async fn steady_of(&mut self, kind: Kind) -> (f64, f64) {
        let (subject, _folder) = self.start(kind).await;
        let events = self.settings.events.min(10_000);
        let answered = self.send(&subject, events, 64, Plan::Rate(1000.0)).await;
        let arrived = self.sink.arrivals(&answered.accepted).await;
        let mut times: Vec<Duration> = answered
            .accepted
            .iter()
            .filter_map(|(id, sent_at)| Some(arrived.get(id)?.duration_since(*sent_at)))
            .collect();
        times.sort_unstable();
        (answered.quantile_ms(0.99), quantile_ms(&times, 0.99))
    }

    /// Two thousand events at once.
    async fn burst(&mut self) {
        let [bare, ours] = [
            self.burst_of(Kind::R0).await,
            self.burst_of(Kind::Routed).await,
        ];
        self.table
            .add("2000 at once: p99 of answers ÷ r0", ours.0 / bare.0);
        self.table.add("2000 at once: slowest answer, ms", ours.1);
    }

    async fn burst_of(&mut self, kind: Kind) -> (f64, f64) {
        let (subject, _folder) = self.start(kind).await;
        let answered = self.send(&subject, 2000, 2000, Plan::Burst).await;
        (answered.quantile_ms(0.99), answered.quantile_ms(1.0))
    }

    /// Requests that are refused, and events that were there already.
    async fn forged_and_repeated(&mut self) {
        let (subject, _folder) = self.start(Kind::Routed).await;
        let events = self.settings.events;
        let host = subject.host();
        let forged = (0..events)
            .map(|_| self.maker.forged(&host, PATH))
            .collect();
        let before = subject.cpu_secs();
        let answered = send(subject.address(), Arc::new(forged), 64, Plan::Closed).await;
        let refused = answered.statuses.get(&401).copied().unwrap_or_default();
        assert_eq!(refused, events, "a forgery was not refused");
        let each = (subject.cpu_secs() - before) * 1e6 / count(events);
        self.table
            .add("forged: processor time each, HTTP included, µs", each);

        let fresh = self.send(&subject, events, 64, Plan::Closed).await.rate();
        let mixed = self.with_repeats(&host, events);
        let answered = send(subject.address(), Arc::new(mixed), 64, Plan::Closed).await;
        self.table
            .add("10% repeats: rate ÷ without", answered.rate() / fresh);
        self.sink.arrivals(&answered.accepted).await;
        self.table
            .add("10% repeats: delivered twice", count(self.sink.doubles()));
    }

    fn with_repeats(&mut self, host: &str, events: usize) -> Vec<Sealed> {
        let mut requests: Vec<Sealed> = Vec::with_capacity(events);
        for number in 0..events {
            let again = (number % 10 == 9)
                .then(|| requests.get(number / 2))
                .flatten();
            let request = match again {
                Some(first) => self.maker.repeat(first, host, PATH),
                None => self.maker.requests(1, host, PATH).remove(0),
            };
            requests.push(request);
        }
        requests
    }

    /// The receiver answers 503 for ten seconds while events come.
    async fn receiver_down(&mut self) {
        let (subject, _folder) = self.start(Kind::Routed).await;
        self.sink.answer(503);
        let answered = self.send(&subject, 4000, 64, Plan::Rate(400.0)).await;
        self.table.add("receiver down for 10 s: attempts at it", {
            let requests = u32::try_from(self.sink.requests());
            f64::from(requests.unwrap_or(u32::MAX))
        });
        self.sink.answer(200);
        let back_at = Instant::now();
        let arrived = self.sink.arrivals(&answered.accepted).await;
        answered.assert_arrived(&arrived);
        let last = arrived.values().max().copied().unwrap_or(back_at);
        let drained = last.duration_since(back_at).as_secs_f64();
        self.table
            .add("receiver down for 10 s: all delivered after, s", drained);
        subject.stop();
    }
}
