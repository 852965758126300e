//! One struct for each thing worth counting.

mod long_connection;

pub use long_connection::*;

use std::time::Duration;

use super::metrics::{
    App, AppReason, AppResult, AppSeen, AppState, Click, Configuration, Counted, Destination,
    DestinationOutcome, InternalEvent, Kind, Metrics, Observed, Outcome, Rule, words,
};
use crate::model::{
    Act, AppName, Attempt, Delivery, DeliveryId, DestinationName, EventId, NoticeKind, Plan,
    Through, Timestamp,
};

/// An event is in the journal.
pub struct EventAccepted<'a> {
    /// The app that received it.
    pub app: &'a AppName,
    /// Its id.
    pub event_id: &'a EventId,
    /// What became of it.
    pub plan: &'a Plan,
    /// From the request's arrival to the commit.
    pub took: Duration,
}

impl InternalEvent for EventAccepted<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(
            app = %self.app,
            event.id = %self.event_id,
            event.state = %self.plan.state,
            deliveries = self.plan.deliveries.len(),
            took_ms = u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "event accepted"
        );
        let labels = AppState {
            app: self.app.to_string(),
            state: self.plan.state.key(),
        };
        metrics.events.count(&labels);
        metrics.accept_seconds.observe(self.took.as_secs_f64());
        for rule in &self.plan.rules {
            let rule = rule.to_string();
            metrics.taken_by_rule.count(&Rule { rule });
        }
        for delivery in &self.plan.deliveries {
            let rule = delivery.order.rule.to_string();
            metrics.planned.count(&Rule { rule });
        }
    }
}

/// An event came again.
pub struct EventRepeated<'a> {
    /// The app that received it.
    pub app: &'a AppName,
    /// Its id.
    pub event_id: &'a EventId,
}

impl InternalEvent for EventRepeated<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(app = %self.app, event.id = %self.event_id, "event repeated; acknowledged again");
        let app = self.app.to_string();
        metrics.repeats.count(&App { app });
    }
}

/// A challenge was answered.
pub struct ChallengeAnswered<'a> {
    /// The app.
    pub app: &'a AppName,
}

impl InternalEvent for ChallengeAnswered<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(app = %self.app, "challenge answered");
        let app = self.app.to_string();
        metrics.challenges.count(&App { app });
    }
}

/// A request to the intake was refused.
pub struct RequestRefused<'a> {
    /// The app; empty if there is no such app.
    pub app: &'a str,
    /// Why, as a fixed word.
    pub reason: &'static str,
    /// What to do about it, if that can be told.
    pub hint: Option<&'a str>,
}

impl InternalEvent for RequestRefused<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::warn!(
            app = self.app,
            reason = self.reason,
            hint = self.hint,
            "request refused"
        );
        let labels = AppReason {
            app: self.app.into(),
            reason: self.reason,
        };
        metrics.refused.count(&labels);
    }
}

/// An attempt to send was made and is recorded.
pub struct AttemptMade<'a> {
    /// What was sent.
    pub delivery: &'a Delivery,
    /// How it went.
    pub attempt: &'a Attempt,
}

impl InternalEvent for AttemptMade<'_> {
    fn emit(self, metrics: &Metrics) {
        let (delivery, attempt) = (self.delivery, self.attempt);
        let success = attempt.reason.is_none();
        let reason = attempt.reason.as_deref();
        if success {
            tracing::info!(
                event.id = %delivery.event_id, delivery.id = %delivery.id,
                destination = %delivery.destination, attempt = attempt.number, form = %attempt.form,
                status = attempt.status, took_ms = attempt.duration_ms, "delivered"
            );
        } else {
            tracing::warn!(
                event.id = %delivery.event_id, delivery.id = %delivery.id,
                destination = %delivery.destination, attempt = attempt.number, form = %attempt.form,
                outcome = %attempt.outcome, status = attempt.status, code = attempt.code.as_deref(),
                reason, took_ms = attempt.duration_ms, "attempt did not succeed"
            );
        }
        let labels = DestinationOutcome {
            destination: delivery.destination.to_string(),
            outcome: attempt.outcome.key(),
        };
        metrics.attempts.count(&labels);
    }
}

/// People were to be rung about a message that was taken.
pub struct PeopleRung<'a> {
    /// The message's delivery.
    pub delivery: DeliveryId,
    /// Where it went.
    pub destination: &'a DestinationName,
    /// Why not all of them were.
    pub failed: Option<&'a str>,
}

impl InternalEvent for PeopleRung<'_> {
    fn emit(self, metrics: &Metrics) {
        if let Some(reason) = self.failed {
            tracing::warn!(
                delivery.id = %self.delivery, destination = %self.destination, reason,
                "delivered, and not all of the mentioned were rung"
            );
        }
        let [rung, failed] = words::RINGS;
        let labels = DestinationOutcome {
            destination: self.destination.to_string(),
            outcome: if self.failed.is_none() { rung } else { failed },
        };
        metrics.rings.count(&labels);
    }
}

/// A delivery has ended: `delivered`, `dead` or `discarded`.
pub struct DeliveryEnded<'a> {
    /// Which.
    pub id: DeliveryId,
    /// Where to.
    pub destination: &'a DestinationName,
    /// How, as a fixed word.
    pub how: &'static str,
    /// Why, unless it was delivered.
    pub reason: Option<&'a str>,
    /// From acceptance of the event to now, if it was delivered.
    pub latency: Option<Duration>,
}

impl InternalEvent for DeliveryEnded<'_> {
    fn emit(self, metrics: &Metrics) {
        if let Some(reason) = self.reason {
            tracing::error!(
                delivery.id = %self.id, destination = %self.destination, how = self.how, reason,
                "delivery ended undelivered"
            );
        }
        let labels = DestinationOutcome {
            destination: self.destination.to_string(),
            outcome: self.how,
        };
        metrics.deliveries.count(&labels);
        if let Some(latency) = self.latency {
            let destination = labels.destination;
            let seconds = latency.as_secs_f64();
            metrics
                .delivery_seconds
                .observe(&Destination { destination }, seconds);
        }
    }
}

/// A destination's gate changed. Its numbers are read from the journal.
pub struct GateChanged<'a> {
    /// Which destination.
    pub destination: &'a DestinationName,
    /// Whether its breaker is open.
    pub breaker_open: bool,
    /// Why it is stopped until an operator acts, if it is.
    pub stopped: Option<&'a str>,
}

impl InternalEvent for GateChanged<'_> {
    fn emit(self, _metrics: &Metrics) {
        match (self.stopped, self.breaker_open) {
            (Some(reason), _) => {
                tracing::error!(destination = %self.destination, reason, "destination stopped");
            }
            (None, true) => {
                tracing::warn!(destination = %self.destination, "destination failing; probing it");
            }
            (None, false) => {
                tracing::info!(destination = %self.destination, "destination works again")
            }
        }
    }
}

/// A template could not be rendered; the built-in plain one took its place.
pub struct TemplateFailed<'a> {
    /// For which destination.
    pub destination: &'a DestinationName,
    /// Which template.
    pub template: &'a str,
    /// Why; holds names and positions of the template only.
    pub reason: &'a str,
}

impl InternalEvent for TemplateFailed<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::error!(
            destination = %self.destination, template = self.template, reason = self.reason,
            "template failed; the built-in plain one takes its place"
        );
        let labels = Destination {
            destination: self.destination.to_string(),
        };
        metrics.template_failures.count(&labels);
    }
}

/// An attempt to fetch a picture was made.
pub struct ImageAttempted<'a> {
    /// The event it belongs to.
    pub event_id: &'a EventId,
    /// Its place among the event's pictures.
    pub ordinal: u8,
    /// `kept`, `retry` or `lost`.
    pub result: &'static str,
    /// Why it is not kept.
    pub reason: Option<&'a str>,
    /// Whether nothing more follows.
    pub settled: bool,
}

impl InternalEvent for ImageAttempted<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(
            event.id = %self.event_id, image = self.ordinal, result = self.result,
            reason = self.reason, "picture"
        );
        let labels = Outcome {
            result: self.result,
        };
        metrics.image_attempts.get_or_create(&labels).inc();
        if self.settled {
            metrics.images.get_or_create(&labels).inc();
        }
    }
}

/// The list of an app's feedback was gone through.
pub struct BackfillMade<'a> {
    /// The app.
    pub app: &'a AppName,
    /// Pages that were read.
    pub pages: u32,
    /// Reports in it that had come as events.
    pub by_event: u64,
    /// Reports in it that had not, now or before.
    pub only_in_list: u64,
    /// Reports that were taken in now.
    pub taken: usize,
    /// Items of which nothing could be made.
    pub unreadable: u64,
}

impl InternalEvent for BackfillMade<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self {
            app,
            pages,
            by_event,
            only_in_list,
            taken,
            unreadable,
        } = self;
        if unreadable > 0 {
            tracing::warn!(app = %app, unreadable, "items of the feedback list have no id or no time");
        }
        tracing::info!(app = %app, pages, by_event, only_in_list, taken, "feedback list compared");
        let [ok, _failed] = words::BACKFILLS;
        metrics.count_backfill(app, ok, taken);
        for (seen, count) in words::SEEN.into_iter().zip([by_event, only_in_list]) {
            let labels = AppSeen {
                app: app.to_string(),
                seen,
            };
            if let Some(gauge) = metrics.backfill_listed.get(&labels) {
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }
}

/// The list of an app's feedback could not be gone through.
pub struct BackfillFailed<'a> {
    /// The app.
    pub app: &'a AppName,
    /// Reports that were taken in before it failed.
    pub taken: usize,
    /// Why.
    pub reason: &'a str,
}

impl InternalEvent for BackfillFailed<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { app, taken, reason } = self;
        tracing::warn!(app = %app, taken, reason, "feedback list not compared");
        let [_ok, failed] = words::BACKFILLS;
        metrics.count_backfill(app, failed, taken);
    }
}

/// The operator is told something.
pub struct NoticeGiven<'a> {
    /// What kind of trouble.
    pub kind: NoticeKind,
    /// What it is about.
    pub subject: &'a str,
    /// The whole message.
    pub text: &'a str,
}

impl InternalEvent for NoticeGiven<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::warn!(notice = %self.kind, subject = self.subject, "{}", self.text);
        let kind = self.kind.key();
        metrics.notices.get_or_create(&Kind { kind }).inc();
    }
}

/// Somebody pressed a button.
pub struct ButtonPressed {
    /// Through what.
    pub through: Through,
    /// Which button; `None` if it was none of ours.
    pub act: Option<Act>,
    /// What came of it, as a fixed word.
    pub result: &'static str,
}

impl InternalEvent for ButtonPressed {
    fn emit(self, metrics: &Metrics) {
        let act = self.act.map_or(words::NO_ACT, Act::key);
        tracing::info!(through = %self.through, act, result = self.result, "button pressed");
        let labels = Click {
            through: self.through.key(),
            act,
            result: self.result,
        };
        metrics.clicks.get_or_create(&labels).inc();
    }
}

/// Feishu was told of a status, or not.
pub struct StatusTold<'a> {
    /// The app that told it.
    pub app: &'a AppName,
    /// Whose status.
    pub feedback_id: &'a str,
    /// `done`, `retry` or `dead`, and why it is not done.
    pub verdict: (&'static str, Option<&'a str>),
}

impl InternalEvent for StatusTold<'_> {
    fn emit(self, metrics: &Metrics) {
        let (result, reason) = self.verdict;
        match reason {
            None => {
                tracing::info!(app = %self.app, feedback.id = self.feedback_id, "status set in Feishu");
            }
            Some(reason) => tracing::warn!(
                app = %self.app, feedback.id = self.feedback_id, result, reason,
                "status not set in Feishu"
            ),
        }
        let labels = AppResult {
            app: self.app.to_string(),
            result,
        };
        metrics.statuses.count(&labels);
    }
}

/// The configuration was loaded anew, or refused.
pub struct Reloaded<'a> {
    /// What changed; `Err` holds how many mistakes it was refused for.
    pub result: Result<&'a str, usize>,
}

impl InternalEvent for Reloaded<'_> {
    fn emit(self, metrics: &Metrics) {
        let [ok, refused] = words::RELOADS;
        let result = match self.result {
            Ok(changes) => {
                tracing::info!(changes, "configuration reloaded");
                ok
            }
            Err(mistakes) => {
                tracing::error!(
                    mistakes,
                    "new configuration refused; the old one stays in force"
                );
                refused
            }
        };
        metrics.reload_refused.set(i64::from(result == refused));
        metrics.reloads.get_or_create(&Outcome { result }).inc();
    }
}

/// A configuration is in force from now on.
pub struct ConfigurationTaken<'a> {
    /// The beginning of the SHA-256 of its texts.
    pub hash: &'a str,
    /// Since when.
    pub at: Timestamp,
}

impl InternalEvent for ConfigurationTaken<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(configuration.hash = self.hash, "configuration in force");
        let hash = self.hash.to_owned();
        metrics.configuration.clear();
        metrics
            .configuration
            .get_or_create(&Configuration { hash })
            .set(1);
        metrics.configuration_taken.set(self.at.as_secs());
    }
}

/// The relay begins to work.
pub struct RelayStarted {
    /// When.
    pub at: Timestamp,
}

impl InternalEvent for RelayStarted {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "relay started");
        metrics.started.set(self.at.as_secs());
    }
}

/// One item made its handler panic; the relay goes on.
pub struct PanicCaught {
    /// Where.
    pub task: &'static str,
}

impl InternalEvent for PanicCaught {
    fn emit(self, metrics: &Metrics) {
        tracing::error!(
            task = self.task,
            "panic over one item; it is put aside and the relay goes on"
        );
        metrics.panics.inc();
    }
}

impl Metrics {
    fn count_backfill(&self, app: &AppName, result: &'static str, taken: usize) {
        let app = app.to_string();
        let taken = u64::try_from(taken).unwrap_or(u64::MAX);
        self.backfill_taken
            .count_many(&App { app: app.clone() }, taken);
        self.backfills.count(&AppResult { app, result });
    }
}
