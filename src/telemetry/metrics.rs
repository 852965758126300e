//! The numbers behind `/metrics`.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::model::AppName;

/// Something worth counting. Emitting it logs and counts.
pub trait InternalEvent {
    /// Writes the log line, if any, and moves the numbers.
    fn emit(self, metrics: &Metrics);
}

/// Declares label sets: structs of owned or static text.
macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),+ })+) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub(super) struct $name { $(pub(super) $field: String),+ })+
    };
}

labels! {
    /// Of one app.
    App { app }
    /// Of one app and a fixed word.
    AppState { app, state }
    /// Of one app and the reason of a refusal.
    AppReason { app, reason }
    /// Of one app and a result.
    AppResult { app, result }
    /// Of one app and the way a report was seen.
    AppSeen { app, seen }
    /// Of one app and why its long connection ended.
    AppCause { app, cause }
    /// Of one app and a kind of frame.
    AppKind { app, kind }
    /// Of one app and the code of an acknowledgement.
    AppCode { app, code }
    /// Of one rule.
    Rule { rule }
    /// Of one destination.
    Destination { destination }
    /// Of one destination and an outcome.
    DestinationOutcome { destination, outcome }
    /// Of a result.
    Outcome { result }
    /// Of a click: through what, on which button, with which result.
    Click { through, act, result }
    /// Of this build.
    Build { version }
}

/// From 5 ms to 5 min.
fn latency() -> Histogram {
    let bounds = [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    ];
    Histogram::new(bounds)
}

/// Every number the relay keeps. Shared behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub(super) events: Family<AppState, Counter>,
    pub(super) repeats: Family<App, Counter>,
    pub(super) refused: Family<AppReason, Counter>,
    pub(super) challenges: Family<App, Counter>,
    pub(super) accept_seconds: Histogram,
    pub(super) planned: Family<Rule, Counter>,
    pub(super) attempts: Family<DestinationOutcome, Counter>,
    pub(super) deliveries: Family<DestinationOutcome, Counter>,
    pub(super) rings: Family<DestinationOutcome, Counter>,
    pub(super) delivery_seconds: Histogram,
    pub(super) breaker_open: Family<Destination, Gauge>,
    pub(super) stopped: Family<Destination, Gauge>,
    pub(super) template_failures: Family<Destination, Counter>,
    pub(super) images: Family<Outcome, Counter>,
    pub(super) image_attempts: Family<Outcome, Counter>,
    pub(super) backfills: Family<AppResult, Counter>,
    pub(super) backfill_taken: Family<App, Counter>,
    pub(super) backfill_listed: Family<AppSeen, Gauge>,
    pub(super) notices: Family<Outcome, Counter>,
    pub(super) clicks: Family<Click, Counter>,
    pub(super) statuses: Family<AppResult, Counter>,
    pub(super) reloads: Family<Outcome, Counter>,
    pub(super) panics: Counter,
    pub(super) connection_up: Family<App, Gauge>,
    pub(super) connection_last_frame: Family<App, Gauge>,
    pub(super) connection_ends: Family<AppCause, Counter>,
    pub(super) connection_frames: Family<AppKind, Counter>,
    pub(super) connection_acks: Family<AppCode, Counter>,
    queue: Family<DestinationOutcome, Gauge>,
    queue_age: Family<Destination, Gauge<f64, AtomicU64>>,
    images_waiting: Gauge,
    image_deadline: Gauge<f64, AtomicU64>,
    statuses_waiting: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All series at zero.
    pub fn new() -> Self {
        let mut all = Self {
            registry: Registry::with_prefix("feedback_relay"),
            events: Family::default(),
            repeats: Family::default(),
            refused: Family::default(),
            challenges: Family::default(),
            accept_seconds: latency(),
            planned: Family::default(),
            attempts: Family::default(),
            deliveries: Family::default(),
            rings: Family::default(),
            delivery_seconds: latency(),
            breaker_open: Family::default(),
            stopped: Family::default(),
            template_failures: Family::default(),
            images: Family::default(),
            image_attempts: Family::default(),
            backfills: Family::default(),
            backfill_taken: Family::default(),
            backfill_listed: Family::default(),
            notices: Family::default(),
            clicks: Family::default(),
            statuses: Family::default(),
            reloads: Family::default(),
            panics: Counter::default(),
            connection_up: Family::default(),
            connection_last_frame: Family::default(),
            connection_ends: Family::default(),
            connection_frames: Family::default(),
            connection_acks: Family::default(),
            queue: Family::default(),
            queue_age: Family::default(),
            images_waiting: Gauge::default(),
            image_deadline: Gauge::default(),
            statuses_waiting: Gauge::default(),
        };
        all.register();
        all.register_backfill();
        all.register_closing();
        all.register_gauges();
        all.register_connections();
        all
    }

    fn register(&mut self) {
        let r = &mut self.registry;
        r.register(
            "events",
            "Events accepted, by what became of them",
            self.events.clone(),
        );
        r.register(
            "repeats",
            "Events pushed again and acknowledged again",
            self.repeats.clone(),
        );
        r.register(
            "refused",
            "Requests to the intake that were refused",
            self.refused.clone(),
        );
        r.register("challenges", "Challenges answered", self.challenges.clone());
        r.register_with_unit(
            "accept",
            "Time from the request's arrival to its durable acceptance",
            Unit::Seconds,
            self.accept_seconds.clone(),
        );
        r.register(
            "planned_deliveries",
            "Deliveries that rules asked for",
            self.planned.clone(),
        );
        r.register(
            "attempts",
            "Attempts to send, by what they came to",
            self.attempts.clone(),
        );
        r.register(
            "deliveries",
            "Deliveries ended, by how",
            self.deliveries.clone(),
        );
        let help = "Messages about which people were to be rung, by what came of that";
        r.register("rings", help, self.rings.clone());
        r.register_with_unit(
            "delivery",
            "Time from acceptance of an event to its delivery",
            Unit::Seconds,
            self.delivery_seconds.clone(),
        );
        let help = "Templates that failed and gave way to the built-in plain one";
        r.register("template_failures", help, self.template_failures.clone());
        r.register(
            "images",
            "Pictures, by what became of them",
            self.images.clone(),
        );
        let help = "Attempts to fetch a picture, by what they came to";
        r.register("image_attempts", help, self.image_attempts.clone());
        r.register(
            "notices",
            "Notices to the operator, by kind",
            self.notices.clone(),
        );
        r.register(
            "reloads",
            "Reloads of the configuration, by result",
            self.reloads.clone(),
        );
        r.register("panics", "Panics that were caught", self.panics.clone());
    }

    fn register_backfill(&mut self) {
        let r = &mut self.registry;
        r.register(
            "backfills",
            "Comparisons with the platform's list of feedback, by result",
            self.backfills.clone(),
        );
        r.register(
            "backfill_taken",
            "Reports that never came as events and were taken in from the list",
            self.backfill_taken.clone(),
        );
        r.register(
            "backfill_listed",
            "Reports in the last list, by whether they ever came as events",
            self.backfill_listed.clone(),
        );
    }

    fn register_closing(&mut self) {
        let r = &mut self.registry;
        let help = "Clicks on buttons, by what came of them";
        r.register("clicks", help, self.clicks.clone());
        let help = "Attempts to tell Feishu of a status, by what they came to";
        r.register("statuses", help, self.statuses.clone());
        let help = "Statuses that Feishu is still to be told";
        r.register("statuses_waiting", help, self.statuses_waiting.clone());
    }

    fn register_gauges(&mut self) {
        let r = &mut self.registry;
        let help = "1 while the destination's breaker is open";
        r.register("breaker_open", help, self.breaker_open.clone());
        let help = "1 while the destination is stopped until an operator acts";
        r.register("destination_stopped", help, self.stopped.clone());
        r.register(
            "queue",
            "Deliveries in the journal that are not done, by state",
            self.queue.clone(),
        );
        r.register_with_unit(
            "queue_oldest",
            "Age of the oldest delivery that is not done",
            Unit::Seconds,
            self.queue_age.clone(),
        );
        r.register(
            "images_waiting",
            "Pictures still to be fetched",
            self.images_waiting.clone(),
        );
        r.register_with_unit(
            "image_deadline_nearest",
            "Time left to fetch the picture that ends first",
            Unit::Seconds,
            self.image_deadline.clone(),
        );
        let build: Family<Build, Gauge> = Family::default();
        build
            .get_or_create(&Build {
                version: env!("CARGO_PKG_VERSION").into(),
            })
            .set(1);
        r.register("build", "The running program", build);
    }

    fn register_connections(&mut self) {
        let r = &mut self.registry;
        let help = "1 while the app's long connection is open";
        r.register("long_connection_up", help, self.connection_up.clone());
        let help = "When the last frame came over the app's long connection, since 1970";
        r.register_with_unit(
            "long_connection_last_frame_timestamp",
            help,
            Unit::Seconds,
            self.connection_last_frame.clone(),
        );
        let help = "Long connections that ended or could not be opened, by cause; another attempt followed each";
        r.register("long_connection_ends", help, self.connection_ends.clone());
        let help = "Frames that came over the app's long connection, by kind";
        r.register(
            "long_connection_frames",
            help,
            self.connection_frames.clone(),
        );
        let help = "Acknowledgements sent over the app's long connection, by code";
        r.register("long_connection_acks", help, self.connection_acks.clone());
    }

    /// Whether an app's long connection is open.
    pub(super) fn connection_up(&self, app: &AppName) -> Gauge {
        let app = app.to_string();
        self.connection_up.get_or_create_owned(&App { app })
    }

    /// Logs and counts.
    pub fn emit(&self, event: impl InternalEvent) {
        event.emit(self);
    }

    /// Sets what the journal says of one destination's queue; called before each scrape.
    pub fn set_queue(&self, destination: &str, state: &str, count: i64) {
        let labels = DestinationOutcome {
            destination: destination.into(),
            outcome: state.into(),
        };
        self.queue.get_or_create(&labels).set(count);
    }

    /// Sets the age in seconds of the oldest delivery of a destination that is not done.
    pub fn set_queue_age(&self, destination: &str, seconds: f64) {
        self.queue_age
            .get_or_create(&Destination {
                destination: destination.into(),
            })
            .set(seconds);
    }

    /// Sets how many pictures wait, and how many seconds the nearest deadline is away.
    pub fn set_images_waiting(&self, count: i64, nearest_deadline_seconds: f64) {
        self.images_waiting.set(count);
        self.image_deadline.set(nearest_deadline_seconds);
    }

    /// Sets how many statuses Feishu is still to be told.
    pub fn set_statuses_waiting(&self, count: i64) {
        self.statuses_waiting.set(count);
    }

    /// All of it as Prometheus and `OpenMetrics` readers take it.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String does not fail");
        text
    }
}
