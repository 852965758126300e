//! The metrics of `/metrics`, described in `docs/metrics.md`.

mod labels;
mod series;
mod text;
pub mod words;

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

pub(super) use self::labels::*;
pub use self::series::Names;
pub use self::text::Format;
use super::pacing::Pacing;
use crate::model::{AppName, DeliveryState, DestinationName, RuleName, Timestamp};

/// An observable event. Emitting it logs and counts.
pub trait InternalEvent {
    /// Writes the log line, if any, and updates the metrics.
    fn emit(self, metrics: &Metrics);
}

/// A gauge in seconds with fractions.
type Seconds = Gauge<f64, AtomicU64>;

/// The reasons that delay a destination's deliveries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateStands {
    /// Whether the destination's breaker is open.
    pub breaker_open: bool,
    /// Whether the destination is stopped until an operator acts.
    pub stopped: bool,
    /// The rest of the pause that the destination asked for.
    pub pause: Duration,
}

/// Returns a histogram with buckets from 5 ms to 5 min.
fn latency() -> Histogram {
    let bounds = [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0,
    ];
    Histogram::new(bounds)
}

/// All metrics of the relay. Shared behind an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    /// Limits the rate of log lines.
    pub pacing: Pacing,
    registry: Registry,
    /// The names that have series now.
    names: Mutex<Names>,
    pub(super) events: Family<AppState, Counter>,
    pub(super) repeats: Family<App, Counter>,
    pub(super) too_old: Family<App, Counter>,
    pub(super) refused: Family<AppReason, Counter>,
    pub(super) challenges: Family<App, Counter>,
    last_event: Family<App, Gauge>,
    last_push: Family<App, Gauge>,
    pub(super) accept_seconds: Histogram,
    pub(super) taken_by_rule: Family<Rule, Counter>,
    pub(super) planned: Family<Rule, Counter>,
    incidents_open: Family<Rule, Gauge>,
    pub(super) reports_merged: Family<Rule, Counter>,
    pub(super) suppressed: Family<Rule, Counter>,
    silences_active: Gauge,
    pub(super) incidents_ended: Family<State, Counter>,
    pub(super) incident_messages: Family<News, Counter>,
    pub(super) digests: Counter,
    pub(super) attempts: Family<DestinationOutcome, Counter>,
    pub(super) deliveries: Family<DestinationOutcome, Counter>,
    pub(super) rings: Family<DestinationOutcome, Counter>,
    pub(super) pages: Family<Destination, Counter>,
    pub(super) delivery_seconds: Family<Destination, Histogram>,
    breaker_open: Family<Destination, Gauge>,
    stopped: Family<Destination, Gauge>,
    pause: Family<Destination, Seconds>,
    pub(super) template_failures: Family<Destination, Counter>,
    pub(super) images: Family<Outcome, Counter>,
    pub(super) image_attempts: Family<Outcome, Counter>,
    pub(super) backfills: Family<AppResult, Counter>,
    pub(super) backfill_taken: Family<App, Counter>,
    pub(super) backfill_listed: Family<AppSeen, Gauge>,
    pub(super) notices: Family<Kind, Counter>,
    pub(super) clicks: Family<Click, Counter>,
    pub(super) statuses: Family<AppResult, Counter>,
    pub(super) reloads: Family<Outcome, Counter>,
    pub(super) reload_refused: Gauge,
    pub(super) configuration: Family<Configuration, Gauge>,
    pub(super) configuration_taken: Gauge,
    pub(super) started: Gauge,
    pub(super) panics: Counter,
    pub(super) connection_up: Family<App, Gauge>,
    pub(super) connection_last_frame: Family<App, Gauge>,
    pub(super) connection_ends: Family<AppCause, Counter>,
    pub(super) connection_frames: Family<AppKind, Counter>,
    pub(super) connection_acks: Family<AppCode, Counter>,
    queue: Family<DestinationState, Gauge>,
    queue_age: Family<Destination, Seconds>,
    images_waiting: Gauge,
    image_deadline: Seconds,
    image_bytes: Gauge,
    statuses_waiting: Gauge,
    store_up: Gauge,
    pub(super) store_in_place: Gauge,
    pub(super) log_lines_dropped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Creates the metrics, with all series without a name at zero.
    pub fn new() -> Self {
        let mut all = Self {
            pacing: Pacing::default(),
            registry: Registry::with_prefix("feedback_relay"),
            names: Mutex::default(),
            events: Family::default(),
            repeats: Family::default(),
            too_old: Family::default(),
            refused: Family::default(),
            challenges: Family::default(),
            last_event: Family::default(),
            last_push: Family::default(),
            accept_seconds: latency(),
            taken_by_rule: Family::default(),
            planned: Family::default(),
            incidents_open: Family::default(),
            reports_merged: Family::default(),
            suppressed: Family::default(),
            silences_active: Gauge::default(),
            incidents_ended: Family::default(),
            incident_messages: Family::default(),
            digests: Counter::default(),
            attempts: Family::default(),
            deliveries: Family::default(),
            rings: Family::default(),
            pages: Family::default(),
            delivery_seconds: Family::new_with_constructor(latency),
            breaker_open: Family::default(),
            stopped: Family::default(),
            pause: Family::default(),
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
            reload_refused: Gauge::default(),
            configuration: Family::default(),
            configuration_taken: Gauge::default(),
            started: Gauge::default(),
            panics: Counter::default(),
            connection_up: Family::default(),
            connection_last_frame: Family::default(),
            connection_ends: Family::default(),
            connection_frames: Family::default(),
            connection_acks: Family::default(),
            queue: Family::default(),
            queue_age: Family::default(),
            images_waiting: Gauge::default(),
            image_deadline: Seconds::default(),
            image_bytes: Gauge::default(),
            statuses_waiting: Gauge::default(),
            store_up: Gauge::default(),
            store_in_place: Gauge::default(),
            log_lines_dropped: Counter::default(),
        };
        all.register_all();
        all.begin_unnamed();
        all.image_deadline.set(f64::NAN);
        all.store_in_place.set(1);
        all
    }

    /// Registers a metric. The registry adds a full stop to the help text.
    fn register(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.registry.register(name, help, metric);
    }

    fn register_seconds(&mut self, name: &str, help: &str, metric: impl Metric) {
        self.registry
            .register_with_unit(name, help, Unit::Seconds, metric);
    }

    fn register_all(&mut self) {
        self.register_intake();
        self.register_incidents();
        self.register_deliveries();
        self.register_destinations();
        self.register_images();
        self.register_backfill();
        self.register_closing();
        self.register_connections();
        self.register_health();
    }

    fn register_intake(&mut self) {
        let help = "Events accepted, by state";
        self.register("events", help, self.events.clone());
        let help = "Events received again and acknowledged again";
        self.register("repeats", help, self.repeats.clone());
        let help =
            "Pushed events that are older than the stored event ids; acknowledged and ignored";
        self.register("events_too_old", help, self.too_old.clone());
        let help = "Refused requests to the intake, and events that could not be stored";
        self.register("refused", help, self.refused.clone());
        self.register("challenges", "Challenges answered", self.challenges.clone());
        let help = "When the app's last event was accepted, since 1970; 0: never";
        self.register_seconds("last_event_timestamp", help, self.last_event.clone());
        let help = "When the app's last event was pushed, since 1970; events found in the list do not count; 0: never";
        self.register_seconds("last_push_timestamp", help, self.last_push.clone());
        let help = "Time from the request's arrival to its durable acceptance";
        self.register_seconds("accept", help, self.accept_seconds.clone());
        let help = "Events that the rule matched";
        self.register("rule_events", help, self.taken_by_rule.clone());
        let help = "Deliveries that the rule planned";
        self.register("planned_deliveries", help, self.planned.clone());
    }

    fn register_incidents(&mut self) {
        let help = "Open incidents of the rule with messages of their own";
        self.register("incidents_open", help, self.incidents_open.clone());
        let help = "Reports that the rule merged into messages of incidents";
        self.register("reports_merged", help, self.reports_merged.clone());
        let help = "Messages of the rule that silences suppressed";
        self.register("suppressed_deliveries", help, self.suppressed.clone());
        let help = "Active silences";
        self.register("silences_active", help, self.silences_active.clone());
        let help = "Ended incidents that had messages of their own, by how they ended";
        self.register("incidents_ended", help, self.incidents_ended.clone());
        let help = "Delivered messages of incidents, by the reason for them";
        self.register("incident_messages", help, self.incident_messages.clone());
        let help = "Digests that were created; one without reports is not";
        self.register("digests", help, self.digests.clone());
    }

    fn register_deliveries(&mut self) {
        let help = "Attempts to send, by outcome";
        self.register("attempts", help, self.attempts.clone());
        let help = "Finished deliveries, by outcome";
        self.register("deliveries", help, self.deliveries.clone());
        let help = "Messages with urgent notifications, by outcome";
        self.register("rings", help, self.rings.clone());
        let help = "Webhook messages that were accepted with an HTML page";
        self.register("page_answers", help, self.pages.clone());
        let help = "Time from acceptance of an event to its delivery";
        self.register_seconds("delivery", help, self.delivery_seconds.clone());
        let help = "Template failures; the built-in plain template was used";
        self.register("template_failures", help, self.template_failures.clone());
        let help = "Unfinished deliveries in the store, by state";
        self.register("queue", help, self.queue.clone());
        let help = "Age of the oldest delivery that waits or is in flight; 0: none";
        self.register_seconds("queue_oldest", help, self.queue_age.clone());
    }

    fn register_destinations(&mut self) {
        let help = "1 while the destination's breaker is open";
        self.register("breaker_open", help, self.breaker_open.clone());
        let help = "1 while the destination is stopped until an operator acts";
        self.register("destination_stopped", help, self.stopped.clone());
        let help = "Remaining time of the pause that the destination asked for";
        self.register_seconds("destination_pause", help, self.pause.clone());
    }

    fn register_images(&mut self) {
        let help = "Finished images, by result";
        self.register("images", help, self.images.clone());
        let help = "Attempts to fetch an image, by result";
        self.register("image_attempts", help, self.image_attempts.clone());
        let help = "Images waiting to be fetched";
        self.register("images_waiting", help, self.images_waiting.clone());
        let help = "Time left to fetch the image with the nearest deadline; NaN: none waits";
        self.register_seconds("image_deadline_nearest", help, self.image_deadline.clone());
        let (help, bytes) = (
            "Size of all stored images, updated at least every ten minutes",
            self.image_bytes.clone(),
        );
        self.registry
            .register_with_unit("images_kept", help, Unit::Bytes, bytes);
    }

    fn register_backfill(&mut self) {
        let help = "Comparisons with the platform's list of feedback, by result";
        self.register("backfills", help, self.backfills.clone());
        let help = "Reports that were added from the list because they never came as events";
        self.register("backfill_taken", help, self.backfill_taken.clone());
        let help = "Reports in the last list, by whether they came as events";
        self.register("backfill_listed", help, self.backfill_listed.clone());
    }

    fn register_closing(&mut self) {
        let help = "Clicks on buttons, by result";
        self.register("clicks", help, self.clicks.clone());
        let help = "Attempts to set a status in Feishu, by result";
        self.register("statuses", help, self.statuses.clone());
        let help = "Statuses waiting to be set in Feishu";
        self.register("statuses_waiting", help, self.statuses_waiting.clone());
    }

    fn register_connections(&mut self) {
        let help = "1 while the app's long connection is open";
        self.register("long_connection_up", help, self.connection_up.clone());
        let help = "When the app's long connection received its last frame, since 1970; 0: never";
        let last_frame = self.connection_last_frame.clone();
        self.register_seconds("long_connection_last_frame_timestamp", help, last_frame);
        let help = "Long connections that ended or could not be opened, by cause; another attempt followed each";
        self.register("long_connection_ends", help, self.connection_ends.clone());
        let (help, frames) = (
            "Frames received over the app's long connection, by kind",
            self.connection_frames.clone(),
        );
        self.register("long_connection_frames", help, frames);
        let help = "Acknowledgements sent over the app's long connection, by code";
        self.register("long_connection_acks", help, self.connection_acks.clone());
    }

    fn register_health(&mut self) {
        let help = "1 while the store is writable, tested for this response; while it is 0, values read from the store (queues, pauses, images, last events) are outdated";
        self.register("store_up", help, self.store_up.clone());
        let help = "1 while the files of the store are where the relay opened them; while it is 0, events are refused";
        self.register("store_in_place", help, self.store_in_place.clone());
        let help = "Log lines dropped because their reader was too slow";
        self.register("log_lines_dropped", help, self.log_lines_dropped.clone());
        let help = "Notices to the operator, by kind";
        self.register("notices", help, self.notices.clone());
        let help = "Panics that were caught";
        self.register("panics", help, self.panics.clone());
        let help = "Reloads of the configuration, by result";
        self.register("reloads", help, self.reloads.clone());
        let help = "1 while the last reload is refused and the previous configuration stays active";
        self.register("reload_refused", help, self.reload_refused.clone());
        let help = "The active configuration: the beginning of the SHA-256 of its texts";
        self.register("configuration_info", help, self.configuration.clone());
        let help = "When the active configuration was applied, since 1970";
        let taken = self.configuration_taken.clone();
        self.register_seconds("configuration_taken_timestamp", help, taken);
        let help = "When the program started, since 1970";
        self.register_seconds("start_timestamp", help, self.started.clone());
        let build: Family<Build, Gauge> = Family::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&Build { version }).set(1);
        self.register("build_info", "The running program", build);
    }

    /// Logs and counts an event.
    pub fn emit(&self, event: impl InternalEvent) {
        event.emit(self);
    }

    /// Sets the number of unfinished deliveries of a destination in a state, and the age of the
    /// oldest delivery that waits or is in flight. Called before each response.
    pub fn set_queue(
        &self,
        destination: &DestinationName,
        count: impl Fn(DeliveryState) -> u64,
        oldest: Duration,
    ) {
        let destination = destination.to_string();
        for state in Self::QUEUED {
            let labels = DestinationState {
                destination: destination.clone(),
                state: state.key(),
            };
            if let Some(gauge) = self.queue.get(&labels) {
                gauge.set(signed(count(state)));
            }
        }
        if let Some(gauge) = self.queue_age.get(&Destination { destination }) {
            gauge.set(oldest.as_secs_f64());
        }
    }

    /// Sets the reasons that delay a destination's deliveries.
    pub fn set_gate(&self, destination: &DestinationName, stands: GateStands) {
        let destination = destination.to_string();
        let labels = Destination { destination };
        if let Some(gauge) = self.breaker_open.get(&labels) {
            gauge.set(i64::from(stands.breaker_open));
        }
        if let Some(gauge) = self.stopped.get(&labels) {
            gauge.set(i64::from(stands.stopped));
        }
        if let Some(gauge) = self.pause.get(&labels) {
            gauge.set(stands.pause.as_secs_f64());
        }
    }

    /// Sets the number of waiting images, and the time until the first of them can no longer be
    /// fetched.
    pub fn set_images(&self, waiting: u64, nearest_deadline: Option<Duration>) {
        self.images_waiting.set(signed(waiting));
        let seconds = nearest_deadline.map_or(f64::NAN, |left| left.as_secs_f64());
        self.image_deadline.set(seconds);
    }

    /// Sets the size of the stored images in bytes.
    pub fn set_image_bytes(&self, kept: u64) {
        self.image_bytes.set(signed(kept));
    }

    /// Sets when an app's last event was accepted.
    pub fn set_last_event(&self, app: &AppName, at: Timestamp) {
        let app = app.to_string();
        if let Some(gauge) = self.last_event.get(&App { app }) {
            gauge.set(at.as_secs());
        }
    }

    /// Sets when an app's last event was pushed.
    pub fn set_last_push(&self, app: &AppName, at: Timestamp) {
        let app = app.to_string();
        if let Some(gauge) = self.last_push.get(&App { app }) {
            gauge.set(at.as_secs());
        }
    }

    /// Sets the number of open incidents with messages of their own: `count` returns it for each configured rule.
    pub fn set_incidents(&self, count: impl Fn(&RuleName) -> u64) {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &names.rules {
            let rule = name.to_string();
            if let Some(gauge) = self.incidents_open.get(&Rule { rule }) {
                gauge.set(signed(count(name)));
            }
        }
    }

    /// Sets the number of active silences.
    pub fn set_silences(&self, count: u64) {
        self.silences_active.set(signed(count));
    }

    /// Sets the number of statuses that wait to be sent to Feishu.
    pub fn set_statuses_waiting(&self, count: u64) {
        self.statuses_waiting.set(signed(count));
    }

    /// Counts dropped log lines.
    pub fn count_dropped_lines(&self, lines: u64) {
        self.log_lines_dropped.inc_by(lines);
    }

    /// Sets whether the store is writable.
    pub fn set_journal_up(&self, up: bool) {
        self.store_up.set(i64::from(up));
    }

    /// Returns all metrics as text.
    pub fn encode(&self, format: Format) -> String {
        let mut written = String::new();
        encode(&mut written, &self.registry).expect("writing to a String does not fail");
        match format {
            Format::OpenMetrics => written,
            Format::Prometheus => text::prometheus(&written),
        }
    }
}

/// Converts a count for gauges.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
