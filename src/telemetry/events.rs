//! One struct for each thing worth counting.

mod deliveries;
mod long_connection;
mod process;

pub use deliveries::*;
pub use long_connection::*;
pub use process::*;

use std::time::Duration;

use super::metrics::{
    App, AppReason, AppResult, AppSeen, AppState, Click, Counted, InternalEvent, Kind, Metrics,
    Outcome, Rule, words,
};
use crate::model::{AppName, ChangeSource, EventId, NoticeKind, Plan, TriageAction};

/// An event is in the store.
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
            let rule = delivery.spec.rule.to_string();
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

/// An event was pushed that is older than ids are kept: nobody can tell whether it was taken before.
pub struct EventTooOld<'a> {
    /// The app that received it.
    pub app: &'a AppName,
    /// Its id.
    pub event_id: &'a EventId,
    /// How old it is by its own time.
    pub age: Duration,
}

impl InternalEvent for EventTooOld<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::warn!(
            app = %self.app,
            event.id = %self.event_id,
            age_days = self.age.as_secs() / 86_400,
            "event ignored: it is older than ids are kept, or this machine's clock is ahead"
        );
        let app = self.app.to_string();
        metrics.too_old.count(&App { app });
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

/// Somebody posted to a path that the relay does not serve.
pub struct PathUnknown<'a> {
    /// The path as the log may show it.
    pub path: &'a str,
    /// The path that was probably meant.
    pub nearest: &'a str,
}

impl InternalEvent for PathUnknown<'_> {
    fn emit(self, metrics: &Metrics) {
        // By what was probably meant: a stranger can write any path.
        if metrics.pacing.writes("no such path", self.nearest) {
            tracing::warn!(
                path = self.path,
                nearest = self.nearest,
                hint = "if this is Feishu or Slack: set the nearest URL in its console",
                "a request came to a path that is not served"
            );
        }
        let labels = AppReason {
            app: String::new(),
            reason: words::NO_SUCH_PATH,
        };
        metrics.refused.count(&labels);
    }
}

/// An old card callback came: a click that is not answered.
pub struct OldCardCallback<'a> {
    /// The app that received it.
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
                "a click on a card came in an old form and was ignored"
            );
        }
        let labels = AppReason {
            app: self.app.to_string(),
            reason: words::OLD_CARD,
        };
        metrics.refused.count(&labels);
    }
}

/// An attempt to fetch an image was made.
pub struct ImageAttempted<'a> {
    /// The event it belongs to.
    pub event_id: &'a EventId,
    /// Its place among the event's images.
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

/// An image was in hand and nobody closed its job in time.
pub struct ImageLeaseLost<'a> {
    /// The event it belongs to.
    pub event_id: &'a EventId,
    /// Its place among the event's images.
    pub ordinal: u8,
    /// Whether it was the third time in a row.
    pub given_up: bool,
}

impl InternalEvent for ImageLeaseLost<'_> {
    fn emit(self, metrics: &Metrics) {
        let event = self.event_id;
        let (result, what) = match self.given_up {
            true => (
                "lost",
                "failed to process picture three times; it is given up",
            ),
            false => (
                "lease_lost",
                "failed to process picture within its lease; it is retried",
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
    pub through: ChangeSource,
    /// Which button; `None` if it was none of ours.
    pub act: Option<TriageAction>,
    /// What came of it, as a fixed word.
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

impl Metrics {
    fn count_backfill(&self, app: &AppName, result: &'static str, taken: usize) {
        let app = app.to_string();
        let taken = u64::try_from(taken).unwrap_or(u64::MAX);
        self.backfill_taken
            .count_many(&App { app: app.clone() }, taken);
        self.backfills.count(&AppResult { app, result });
    }
}
