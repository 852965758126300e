//! Measures memory, startup, and the cost of an event, on an empty store and on large ones.
//!
//! The relay itself fills large stores through its intake. *Waiting*: the receiver answers 503, so
//! nothing is delivered. *Kept*: everything is delivered, and retention removes nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

use super::load::{Plan, count};
use super::rounds::Bench;
use super::subject::{Kind, Subject};
use super::table::{
    Figure,
    Wanted::{AtMost, Nothing},
    figure,
};

const MEMORY_IDLE: Figure = figure(19, "memory (PSS), idle, MiB", AtMost(25.0, 12.0));
const MEMORY_BUSY: Figure = figure(
    19,
    "memory, the most under 20,000 events and their delivery, MiB",
    AtMost(80.0, 40.0),
);
const MEMORY_FILLING: Figure = figure(
    19,
    "memory, the most while taking in 100,000 that wait, MiB",
    AtMost(128.0, 64.0),
);
const MEMORY_WAITING: Figure = figure(
    19,
    "memory, restarted with 100,000 that wait, MiB",
    AtMost(128.0, 64.0),
);

const START_EMPTY: Figure = figure(
    20,
    "start to the first accepted event, no store yet, ms",
    AtMost(200.0, 40.0),
);
const START_WAITING: Figure = figure(
    20,
    "start to the first accepted event, 100,000 undelivered, ms",
    AtMost(2000.0, 300.0),
);
const START_WAITING_KILLED: Figure =
    figure(20, "the same after `kill -9`, ms", AtMost(2000.0, 300.0));
const START_KEPT: Figure = figure(
    20,
    "start to the first accepted event, a million kept, ms",
    AtMost(500.0, 100.0),
);

const COST: Figure = figure(
    21,
    "processor time of an event, a million kept ÷ empty store",
    AtMost(1.3, 1.1),
);
const COST_IN_TIME: Figure = figure(
    21,
    "time of an event, accepted and delivered, a million kept ÷ empty store",
    AtMost(1.3, 1.1),
);
const COST_EMPTY: Figure = figure(21, "processor time of an event, empty store, µs", Nothing);
const KEPT: Figure = figure(21, "events kept in the large store", Nothing);

/// How long after its first event a relay is idle.
const REST: Duration = Duration::from_secs(1);
/// Events that are sent together while a store is filled; they are held in memory.
const CHUNK: usize = 10_000;
/// The time limit of filling a store; then it stays partly filled.
const FILL_WITHIN: Duration = Duration::from_secs(600);
/// How often the empty and the large store alternate in one round.
const TURNS: usize = 4;

/// A file that marks a completely filled store.
const FILLED: &str = "filled";

/// A relay's folder, which may outlive the run.
pub(super) enum Folder {
    Lasting(PathBuf),
    Passing(TempDir),
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Lasting(path) => path,
            Self::Passing(dir) => dir.path(),
        }
    }

    /// Returns whether an earlier run has filled the store.
    pub(super) fn is_filled(&self) -> bool {
        self.path().join(FILLED).exists()
    }

    pub(super) fn filled(&self) {
        std::fs::write(self.path().join(FILLED), "").expect("a writable folder");
    }
}

/// The cost of one event.
struct Cost {
    cpu_us: f64,
    us: f64,
}

impl Bench {
    /// Measures the memory of an idle and of a working relay.
    pub(super) async fn memory(&mut self) {
        let (subject, _folder) = self.start_cold(Kind::Routed).await;
        tokio::time::sleep(REST).await;
        self.table.add(MEMORY_IDLE, subject.memory_mib());
        let work = async {
            let answered = self.send(&subject, 20_000, 64, Plan::Closed).await;
            self.sink.arrivals(&answered.accepted).await;
        };
        let (peak, ()) = subject.memory_peak_mib(work).await;
        self.table.add(MEMORY_BUSY, peak);
        self.sink.forget();
    }

    /// Measures the first start of a relay.
    pub(super) async fn start_up(&mut self) {
        let (subject, _folder) = self.start_cold(Kind::Routed).await;
        self.table.add(START_EMPTY, millis(subject.ready_after));
    }

    /// Measures large stores. Each is created once and used in every round.
    pub(super) async fn large_journals(&mut self) {
        if self.has_time_for(&[19, 20]) {
            self.waiting().await;
        }
        if self.has_time_for(&[20, 21]) {
            self.kept().await;
        }
        if self.has_time_for(&[25]) {
            self.pictures_due().await;
        }
    }

    /// Measures a relay with deliveries that wait for a failing receiver.
    async fn waiting(&mut self) {
        let folder = self.folder("waiting");
        self.sink.answer(503);
        if !folder.is_filled() {
            let subject = self.start_in(Kind::Routed, folder.path()).await;
            let events = self.settings.waiting;
            let (peak, _) = subject
                .memory_peak_mib(self.fill(&subject, events, false))
                .await;
            self.table.add(MEMORY_FILLING, peak);
            drop(subject); // `kill -9`
            folder.filled();
            let subject = self.start_in(Kind::Routed, folder.path()).await;
            self.table
                .add(START_WAITING_KILLED, millis(subject.ready_after));
            subject.stop();
        }
        for _ in 0..self.settings.rounds {
            let subject = self.start_in(Kind::Routed, folder.path()).await;
            self.table.add(START_WAITING, millis(subject.ready_after));
            tokio::time::sleep(REST).await;
            self.table.add(MEMORY_WAITING, subject.memory_mib());
            subject.stop();
        }
        self.sink.answer(200);
        self.sink.forget();
    }

    /// Measures a store with many finished events.
    async fn kept(&mut self) {
        let folder = self.folder("kept");
        self.sink.answer(200);
        if !folder.is_filled() {
            let subject = self.start_in(Kind::Routed, folder.path()).await;
            let kept = self.fill(&subject, self.settings.kept, true).await;
            self.table.add(KEPT, count(kept));
            subject.stop();
            folder.filled();
        }
        for _ in 0..self.settings.rounds {
            if self.has_time_for(&[20]) {
                let subject = self.start_in(Kind::Routed, folder.path()).await;
                self.table.add(START_KEPT, millis(subject.ready_after));
                subject.stop();
            }
            if self.has_time_for(&[21]) {
                self.costs(folder.path()).await;
            }
        }
    }

    /// Measures events on the large and on an empty store, in turns.
    async fn costs(&mut self, large: &Path) {
        let (empty, _folder) = self.start(Kind::Routed).await;
        let large = self.start_in(Kind::Routed, large).await;
        self.warm(&large, Kind::Routed).await;
        let (mut on_large, mut on_empty) = (Vec::new(), Vec::new());
        for turn in 0..TURNS {
            // The order alternates, because data of one store is still being synced when the other
            // is measured.
            if turn % 2 == 0 {
                on_empty.push(self.cost(&empty).await);
                on_large.push(self.cost(&large).await);
            } else {
                on_large.push(self.cost(&large).await);
                on_empty.push(self.cost(&empty).await);
            }
        }
        let sum = |costs: &[Cost], pick: fn(&Cost) -> f64| costs.iter().map(pick).sum::<f64>();
        let ratio = |pick| sum(&on_large, pick) / sum(&on_empty, pick);
        self.table.add(COST, ratio(|cost| cost.cpu_us));
        self.table.add(COST_IN_TIME, ratio(|cost| cost.us));
        let each = sum(&on_empty, |cost| cost.cpu_us) / count(on_empty.len());
        self.table.add(COST_EMPTY, each);
        large.stop();
    }

    async fn cost(&mut self, subject: &Subject) -> Cost {
        let events = self.settings.events / TURNS;
        let before = subject.cpu_secs();
        let answered = self.send(subject, events, 64, Plan::Closed).await;
        let arrived = self.sink.arrivals(&answered.accepted).await;
        answered.assert_arrived(&arrived);
        self.sink.forget();
        let took = answered.took_until_last(&arrived);
        let each = |secs: f64| secs * 1e6 / count(answered.accepted.len());
        Cost {
            cpu_us: each(subject.cpu_secs() - before),
            us: each(took.as_secs_f64()),
        }
    }

    /// Makes a relay accept this number of events, in chunks. Returns how many it accepted in time.
    pub(super) async fn fill(&mut self, subject: &Subject, events: usize, delivers: bool) -> usize {
        let (began, mut filled) = (Instant::now(), 0);
        while filled < events && began.elapsed() < FILL_WITHIN {
            let some = CHUNK.min(events - filled);
            let answered = self.send(subject, some, 256, Plan::Closed).await;
            filled += answered.accepted.len();
            if delivers {
                let arrived = self.sink.arrivals(&answered.accepted).await;
                answered.assert_arrived(&arrived);
            }
            self.sink.forget();
        }
        println!(
            "     filled with {filled} events in {} s",
            began.elapsed().as_secs()
        );
        filled
    }

    pub(super) async fn start_in(&mut self, kind: Kind, folder: &Path) -> Subject {
        let url = self.sink.url();
        Subject::start(kind, folder, &url, &mut self.maker).await
    }

    pub(super) fn folder(&self, name: &str) -> Folder {
        match &self.settings.journals {
            Some(lasting) => {
                let folder = lasting.join(name);
                std::fs::create_dir_all(&folder).expect("a writable folder");
                Folder::Lasting(folder)
            }
            None => Folder::Passing(TempDir::new().expect("a temporary folder")),
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
