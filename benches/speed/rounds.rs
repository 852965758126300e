//! The measurements that begin with an empty store.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::Settings;
use super::events::{Maker, Sealed};
use super::hosts::Hosts;
use super::load::{Answered, Plan, count, quantile_ms, send};
use super::sink::Sink;
use super::subject::{Kind, PATH, Subject};
use super::table::{
    Figure, Table,
    Wanted::{AtLeast, AtMost, Never, Nothing},
    figure,
};

/// Without a matching rule, with one, and `r1`.
const ACCEPTED: [(usize, [Figure; 3]); 2] = [
    (
        64,
        [
            figure(
                12,
                "accepted ÷ `r0`, no rule matches, 64 connections",
                AtLeast(0.40, 0.55),
            ),
            figure(
                12,
                "accepted ÷ `r0`, one rule and one delivery, 64 connections",
                AtLeast(0.35, 0.50),
            ),
            figure(12, "`r1`: accepted ÷ `r0`, 64 connections", Nothing),
        ],
    ),
    (
        256,
        [
            figure(
                12,
                "accepted ÷ `r0`, no rule matches, 256 connections",
                AtLeast(0.40, 0.55),
            ),
            figure(
                12,
                "accepted ÷ `r0`, one rule and one delivery, 256 connections",
                AtLeast(0.35, 0.50),
            ),
            figure(12, "`r1`: accepted ÷ `r0`, 256 connections", Nothing),
        ],
    ),
];
const ACCEPTED_BARE: Figure = figure(12, "`r0`: answered a second", Nothing);

const DELIVERED: Figure = figure(
    13,
    "delivered a second, outcome recorded, ÷ `r1`",
    AtLeast(0.40, 0.60),
);
const DELIVERED_BY: [Figure; 2] = [
    figure(13, "`r1`: delivered a second", Nothing),
    figure(13, "relay: delivered a second", Nothing),
];
const KEPT_UP: [Figure; 2] = [
    figure(
        14,
        "`r1`: delivered ÷ accepted, closed loop, 256 connections",
        Nothing,
    ),
    figure(
        14,
        "relay: delivered ÷ accepted, closed loop, 256 connections",
        AtLeast(0.5, 0.9),
    ),
];

const STEADY: [Figure; 4] = [
    figure(15, "1,000/s: p99 of the answers ÷ `r1`'s", AtMost(3.0, 1.5)),
    figure(
        15,
        "1,000/s: p99 of accepted → arrived ÷ `r1`'s",
        AtMost(5.0, 2.0),
    ),
    figure(15, "relay: p99 of the answers, ms", Nothing),
    figure(15, "relay: p99 of accepted → arrived, ms", Nothing),
];

const BURST: [Figure; 4] = [
    figure(
        16,
        "2,000 at once: p99 of the answers ÷ `r0`'s",
        AtMost(2.5, 1.6),
    ),
    figure(
        16,
        "2,000 at once: slowest answer of all rounds, ms",
        Never(1000.0, 1000.0),
    ),
    figure(16, "`r0`: p99 of the answers, ms", Nothing),
    figure(16, "relay: p99 of the answers, ms", Nothing),
];

const BURST_REFUSED: Figure = figure(
    16,
    "of which answered with no 200, in the worst round",
    Never(0.0, 0.0),
);

const DOWN_ATTEMPTS: Figure = figure(
    17,
    "receiver down for 10 s at 400/s: attempts at it",
    AtMost(40.0, 20.0),
);
const DOWN_DRAINED: Figure = figure(
    17,
    "all delivered so long after its return, s",
    AtMost(10.0, 3.0),
);

const REPEATS_RATE: Figure = figure(
    18,
    "10 % repeats: accepted a second ÷ without",
    AtLeast(0.95, 0.95),
);
const REPEATS_TWICE: Figure = figure(18, "10 % repeats: delivered twice", Never(0.0, 0.0));

/// The state that all measurements share.
pub struct Bench {
    pub(super) settings: Settings,
    pub(super) sink: Sink,
    pub(super) maker: Maker,
    pub(super) hosts: Hosts,
    pub(super) table: Table,
    began: Instant,
    /// Rows that were not measured because the time limit was reached.
    late: BTreeSet<u8>,
}

/// The results and the duration.
pub struct Measured {
    table: Table,
    took: Duration,
    /// The undelivered and the kept events of the large stores. `None` without large stores.
    large: Option<(usize, usize)>,
    late: BTreeSet<u8>,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.table)?;
        write!(f, "It took {} s", self.took.as_secs())?;
        if let Some((waiting, kept)) = self.large {
            write!(
                f,
                ", with {waiting} undelivered and {kept} kept in the large stores"
            )?;
        }
        f.write_str(".")?;
        if !self.late.is_empty() {
            let rows = &self.late;
            write!(
                f,
                " Not measured in every round, for want of time: {rows:?}."
            )?;
        }
        Ok(())
    }
}

/// Makes all measurements, round by round.
pub async fn measure(settings: Settings) -> Measured {
    let mut bench = Bench {
        settings,
        sink: Sink::start(),
        maker: Maker::new(fastrand::u64(..)),
        hosts: Hosts::start(),
        table: Table::default(),
        began: Instant::now(),
        late: BTreeSet::new(),
    };
    for round in 1..=bench.settings.rounds {
        println!("round {round}, after {} s", bench.began.elapsed().as_secs());
        bench.round().await;
    }
    if bench.settings.large {
        bench.large_journals().await;
    }
    let settings = &bench.settings;
    Measured {
        large: settings.large.then_some((settings.waiting, settings.kept)),
        took: bench.began.elapsed(),
        table: bench.table,
        late: bench.late,
    }
}

impl Bench {
    async fn round(&mut self) {
        if self.has_time_for(&[12]) {
            self.acceptance().await;
        }
        if self.has_time_for(&[13, 14]) {
            self.delivery().await;
        }
        if self.has_time_for(&[15]) {
            self.steady().await;
        }
        if self.has_time_for(&[16]) {
            self.burst().await;
        }
        if self.has_time_for(&[17]) {
            self.receiver_down().await;
        }
        if self.has_time_for(&[18]) {
            self.forged().await;
            self.repeated().await;
        }
        if self.has_time_for(&[19]) {
            self.memory().await;
        }
        if self.has_time_for(&[20]) {
            self.start_up().await;
        }
        self.pictures().await;
        if self.has_time_for(&[26]) {
            self.incidents().await;
        }
    }

    /// Returns whether one of these rows is wanted and time is left for it.
    pub(super) fn has_time_for(&mut self, rows: &[u8]) -> bool {
        let wanted: Vec<u8> = rows
            .iter()
            .copied()
            .filter(|row| self.settings.wants(*row))
            .collect();
        let in_time = self.began.elapsed() < self.settings.within;
        if !in_time {
            self.late.extend(&wanted);
        }
        in_time && !wanted.is_empty()
    }

    /// Starts a program without warm-up, and a receiver that accepts everything.
    pub(super) async fn start_cold(&mut self, kind: Kind) -> (Subject, TempDir) {
        self.sink.answer(200);
        let folder = TempDir::new().expect("a temporary folder");
        let url = self.sink.url();
        let subject = Subject::start(kind, folder.path(), &url, &mut self.maker).await;
        (subject, folder)
    }

    /// Does the same, with connections, caches and statements warmed up.
    pub(super) async fn start(&mut self, kind: Kind) -> (Subject, TempDir) {
        let (subject, folder) = self.start_cold(kind).await;
        self.warm(&subject, kind).await;
        (subject, folder)
    }

    /// Sends events that do not count.
    pub(super) async fn warm(&mut self, subject: &Subject, kind: Kind) {
        let warm = self.send(subject, 500, 64, Plan::Closed).await;
        if kind.delivers() {
            self.sink.arrivals(&warm.accepted).await;
        }
        self.sink.forget();
    }

    pub(super) async fn send(
        &mut self,
        subject: &Subject,
        events: usize,
        connections: usize,
        plan: Plan,
    ) -> Answered {
        let requests = self.maker.requests(events, &subject.host(), PATH);
        send(subject.address(), Arc::new(requests), connections, plan).await
    }

    /// Measures durable acceptance beside `r0`.
    async fn acceptance(&mut self) {
        for (connections, figures) in ACCEPTED {
            let bare = self.acceptance_of(Kind::R0, connections).await;
            for (figure, kind) in figures
                .into_iter()
                .zip([Kind::Unrouted, Kind::Routed, Kind::R1])
            {
                let accepted = self.acceptance_of(kind, connections).await;
                self.table.add(figure, accepted / bare);
            }
            self.table.add(ACCEPTED_BARE, bare);
        }
    }

    async fn acceptance_of(&mut self, kind: Kind, connections: usize) -> f64 {
        let (subject, _folder) = self.start(kind).await;
        let events = self.settings.events;
        let answered = self.send(&subject, events, connections, Plan::Closed).await;
        if kind == Kind::Routed {
            let arrived = self.sink.arrivals(&answered.accepted).await;
            answered.assert_arrived(&arrived);
        }
        answered.rate()
    }

    /// Measures deliveries a second, from the first event sent to the last arrival.
    async fn delivery(&mut self) {
        let [least, ours] = [
            self.delivery_of(Kind::R1).await,
            self.delivery_of(Kind::Routed).await,
        ];
        self.table.add(DELIVERED, ours.0 / least.0);
        for (at, (rate, kept_up)) in [least, ours].into_iter().enumerate() {
            self.table.add(DELIVERED_BY[at], rate);
            self.table.add(KEPT_UP[at], kept_up);
        }
    }

    pub(super) async fn delivery_of(&mut self, kind: Kind) -> (f64, f64) {
        let (subject, _folder) = self.start(kind).await;
        let events = self.settings.events;
        let answered = self.send(&subject, events, 256, Plan::Closed).await;
        let arrived = self.sink.arrivals(&answered.accepted).await;
        let took = answered.took_until_last(&arrived);
        let rate = count(arrived.len()) / took.as_secs_f64();
        (rate, rate / answered.rate())
    }

    /// Measures a thousand events a second.
    async fn steady(&mut self) {
        let [least, ours] = [
            self.steady_of(Kind::R1).await,
            self.steady_of(Kind::Routed).await,
        ];
        let values = [ours.0 / least.0, ours.1 / least.1, ours.0, ours.1];
        for (figure, value) in STEADY.into_iter().zip(values) {
            self.table.add(figure, value);
        }
    }

    async fn steady_of(&mut self, kind: Kind) -> (f64, f64) {
        let (subject, _folder) = self.start(kind).await;
        let events = self.settings.events.min(10_000);
        let answered = self.send(&subject, events, 64, Plan::Rate(1000.0)).await;
        let arrived = self.sink.arrivals(&answered.accepted).await;
        let times = answered.times_to_arrival(&arrived);
        (answered.quantile_ms(0.99), quantile_ms(&times, 0.99))
    }

    /// Measures two thousand events at once, each on its own connection.
    async fn burst(&mut self) {
        let [bare, ours] = [
            self.burst_of(Kind::R0).await,
            self.burst_of(Kind::Routed).await,
        ];
        let values = [ours.0 / bare.0, ours.1, bare.0, ours.0];
        for (figure, value) in BURST.into_iter().zip(values) {
            self.table.add(figure, value);
        }
    }

    async fn burst_of(&mut self, kind: Kind) -> (f64, f64) {
        let (subject, _folder) = self.start(kind).await;
        let answered = self.send(&subject, 2000, 2000, Plan::Burst).await;
        if kind == Kind::Routed {
            self.table
                .add(BURST_REFUSED, count(2000 - answered.times.len()));
        }
        (answered.quantile_ms(0.99), answered.quantile_ms(1.0))
    }

    /// Measures a receiver that answers 503 for ten seconds during intake.
    async fn receiver_down(&mut self) {
        let (subject, _folder) = self.start(Kind::Routed).await;
        self.sink.answer(503);
        let answered = self.send(&subject, 4000, 64, Plan::Rate(400.0)).await;
        let attempts = u32::try_from(self.sink.requests()).unwrap_or(u32::MAX);
        self.table.add(DOWN_ATTEMPTS, f64::from(attempts));
        self.sink.answer(200);
        let back_at = Instant::now();
        let arrived = self.sink.arrivals(&answered.accepted).await;
        answered.assert_arrived(&arrived);
        let last = arrived.values().max().copied().unwrap_or(back_at);
        let drained = last.duration_since(back_at).as_secs_f64();
        self.table.add(DOWN_DRAINED, drained);
    }

    /// Measures repeated events.
    async fn repeated(&mut self) {
        let (subject, _folder) = self.start(Kind::Routed).await;
        let events = self.settings.events;
        let first = self.send(&subject, events, 64, Plan::Closed).await;
        self.sink.arrivals(&first.accepted).await;
        let mixed = self.with_repeats(&subject.host(), events);
        let answered = send(subject.address(), Arc::new(mixed), 64, Plan::Closed).await;
        self.sink.arrivals(&answered.accepted).await;
        self.table.add(REPEATS_RATE, answered.rate() / first.rate());
        self.table.add(REPEATS_TWICE, count(self.sink.doubles()));
    }

    fn with_repeats(&mut self, host: &str, events: usize) -> Vec<Sealed> {
        let mut requests: Vec<Sealed> = Vec::with_capacity(events);
        for number in 0..events {
            let again = (number % 10 == 9)
                .then(|| requests.get(number / 2))
                .flatten();
            let request = match again {
                Some(first) => self.maker.repeat(first, host, PATH),
                None => self.maker.request(host, PATH),
            };
            requests.push(request);
        }
        requests
    }
}
