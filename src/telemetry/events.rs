//! One struct for each observable event.

mod deliveries;
mod incidents;
mod long_connection;
mod process;
mod silences;

pub use deliveries::*;
pub use incidents::*;
pub use long_connection::*;
pub use process::*;
pub use silences::*;

use std::time::Duration;

use super::metrics::{
    App, AppReason, AppResult, AppSeen, AppState, Click, Counted, InternalEvent, Kind, Metrics,
    Outcome, Rule, words,
};
use crate::model::{AppName, ChangeSource, EventId, NoticeKind, Plan, TriageAction};

/// An event was stored.
pub struct EventAccepted<'a> {
    /// The app that received the event.
    pub app: &'a AppName,
    pub event_id: &'a EventId,
    /// The deliveries that were planned, or why there are none.
    pub plan: &'a Plan,
    /// The time from the request's arrival to the commit.
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
            let rule = delivery.spec.rule.to_string();
            metrics.planned.count(&Rule { rule });
        }
    }
}

/// An event was received again.
pub struct EventRepeated<'a> {
    /// The app that received the event.
    pub app: &'a AppName,
    pub event_id: &'a EventId,
}

impl InternalEvent for EventRepeated<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(app = %self.app, event.id = %self.event_id, "repeated event acknowledged again");
        let app = self.app.to_string();
        metrics.repeats.count(&App { app });
    }
}

/// A pushed event is older than ids are kept, so a repeat could not be detected.
pub struct EventTooOld<'a> {
    /// The app that received the event.
    pub app: &'a AppName,
    pub event_id: &'a EventId,
    /// The event's age by its own time.
    pub age: Duration,
}

impl InternalEvent for EventTooOld<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::warn!(
            app = %self.app,
            event.id = %self.event_id,
            age_days = self.age.as_secs() / 86_400,
            "event ignored: it is older than the stored event ids, or this machine's clock is ahead"
        );
        let app = self.app.to_string();
        metrics.too_old.count(&App { app });
    }
}

/// A challenge was answered.
pub struct ChallengeAnswered<'a> {
    /// The app that received the challenge.
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
    /// The app; empty if the request names no known app.
    pub app: &'a str,
    /// The reason as a fixed word.
    pub reason: &'static str,
    /// What the operator can do. `None` if nothing is known.
    pub hint: Option<&'a str>,
}

impl InternalEvent for RequestRefused<'_> {
    fn emit(self, metrics: &Metrics) {
        let subject = format!("{} {}", self.app, self.reason);
        if metrics.pacing.writes("request refused", subject.trim()) {
            tracing::warn!(
                app = self.app,
                reason = self.reason,
                hint = self.hint,
                "request refused"
            );
        }
        let labels = AppReason {
            app: self.app.into(),
            reason: self.reason,
        };
        metrics.refused.count(&labels);
    }
}

/// A request came to a path that the relay does not serve.
pub struct PathUnknown<'a> {
    /// The path in a form that is safe to log.
    pub path: &'a str,
    /// The path that was probably meant.
    pub nearest: &'a str,
}

impl InternalEvent for PathUnknown<'_> {
    fn emit(self, metrics: &Metrics) {
        // The rate limit uses the probable path because a stranger can send any path.
        if metrics.pacing.writes("no such path", self.nearest) {
            tracing::warn!(
                path = self.path,
                nearest = self.nearest,
                hint = "if this is Feishu or Slack: set the nearest URL in its console",
                "request to a path that is not served"
            );
        }
        let labels = AppReason {
            app: String::new(),
            reason: words::NO_SUCH_PATH,
        };
        metrics.refused.count(&labels);
    }
}

/// A click was received by the old card callback, which is not answered.
pub struct OldCardCallback<'a> {
    /// The app that received the click.
    pub app: &'a AppName,
}

impl InternalEvent for OldCardCallback<'_> {
    fn emit(self, metrics: &Metrics) {
        if metrics
            .pacing
            .writes("old card callback", self.app.as_str())
        {
            tracing::warn!(
                app = %self.app,
                hint = words::OLD_CARD_HINT,
                "ignored a card click in an old format"
            );
        }
        let labels = AppReason {
            app: self.app.to_string(),
            reason: words::OLD_CARD,
        };
        metrics.refused.count(&labels);
    }
}

/// An attempt to fetch an image ended.
pub struct ImageAttempted<'a> {
    /// The event that the image belongs to.
    pub event_id: &'a EventId,
    /// The image's position in the event.
    pub ordinal: u8,
    /// `kept`, `retry` or `lost`.
    pub result: &'static str,
    /// Why the image is not kept. `None` if it is.
    pub reason: Option<&'a str>,
    /// Whether no further attempt follows.
    pub settled: bool,
}

impl InternalEvent for ImageAttempted<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::info!(
            event.id = %self.event_id, image = self.ordinal, result = self.result,
            reason = self.reason, "image download attempted"
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

/// The lease of an image ended before its job did.
pub struct ImageLeaseLost<'a> {
    /// The event that the image belongs to.
    pub event_id: &'a EventId,
    /// The image's position in the event.
    pub ordinal: u8,
    /// Whether this was the third time in a row, so that the image is given up.
    pub given_up: bool,
}

impl InternalEvent for ImageLeaseLost<'_> {
    fn emit(self, metrics: &Metrics) {
        let event = self.event_id;
        let (result, what) = match self.given_up {
            true => ("lost", "failed to process image three times; giving up"),
            false => (
                "lease_lost",
                "failed to process image within its lease; retrying",
            ),
        };
        tracing::warn!(event.id = %event, image = self.ordinal, result, "{what}");
        let labels = Outcome { result };
        metrics.image_attempts.get_or_create(&labels).inc();
        if self.given_up {
            metrics.images.get_or_create(&labels).inc();
        }
    }
}

/// The feedback list of an app was compared completely.
pub struct BackfillMade<'a> {
    pub app: &'a AppName,
    /// The number of pages read.
    pub pages: u32,
    /// The number of listed reports that were received as events.
    pub by_event: u64,
    /// The number of listed reports that were never received as events.
    pub only_in_list: u64,
    /// The number of reports that were added from the list now.
    pub taken: usize,
    /// The number of items that could not be used.
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
            tracing::warn!(app = %app, unreadable, "ignored items of the feedback list that have no id or no time");
        }
        tracing::info!(app = %app, pages, by_event, only_in_list, taken, "compared feedback list with stored events");
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

/// The feedback list of an app could not be compared.
pub struct BackfillFailed<'a> {
    pub app: &'a AppName,
    /// The number of reports that were added before the failure.
    pub taken: usize,
    pub reason: &'a str,
}

impl InternalEvent for BackfillFailed<'_> {
    fn emit(self, metrics: &Metrics) {
        let Self { app, taken, reason } = self;
        tracing::warn!(app = %app, taken, reason, "failed to compare feedback list");
        let [_ok, failed] = words::BACKFILLS;
        metrics.count_backfill(app, failed, taken);
    }
}

/// An operator notice was given.
pub struct NoticeGiven<'a> {
    /// The kind of problem.
    pub kind: NoticeKind,
    /// The app, destination or other part concerned.
    pub subject: &'a str,
    /// The whole text of the notice.
    pub text: &'a str,
}

impl InternalEvent for NoticeGiven<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::warn!(notice = %self.kind, subject = self.subject, "{}", self.text);
        let kind = self.kind.key();
        metrics.notices.get_or_create(&Kind { kind }).inc();
    }
}

/// A button was pressed.
pub struct ButtonPressed {
    /// The platform of the click.
    pub through: ChangeSource,
    /// The pressed button; `None` if the button is not the relay's.
    pub act: Option<TriageAction>,
    /// The result as a fixed word.
    pub result: &'static str,
}

impl InternalEvent for ButtonPressed {
    fn emit(self, metrics: &Metrics) {
        let act = self.act.map_or(words::NO_ACT, TriageAction::key);
        tracing::info!(through = %self.through, act, result = self.result, "button pressed");
        let labels = Click {
            through: self.through.key(),
            act,
            result: self.result,
        };
        metrics.clicks.get_or_create(&labels).inc();
    }
}

/// A feedback status was sent to Feishu, or failed.
pub struct StatusAttempted<'a> {
    /// The app that sent the status.
    pub app: &'a AppName,
    /// The feedback whose status was sent.
    pub feedback_id: &'a str,
    /// `done`, `retry` or `dead`, and why it is not done.
    pub verdict: (&'static str, Option<&'a str>),
}

impl InternalEvent for StatusAttempted<'_> {
    fn emit(self, metrics: &Metrics) {
        let (result, reason) = self.verdict;
        match reason {
            None => {
                tracing::info!(app = %self.app, feedback.id = self.feedback_id, "status set in Feishu");
            }
            Some(reason) => tracing::warn!(
                app = %self.app, feedback.id = self.feedback_id, result, reason,
                "failed to set status in Feishu"
            ),
        }
        let labels = AppResult {
            app: self.app.to_string(),
            result,
        };
        metrics.statuses.count(&labels);
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
