//! Takes in reports that never arrived as events, by reading the platform's list of feedback.
//!
//! An event is lost if five pushes failed or another client of the same app took it. The platform's list of
//! feedback contains all reports. A **pass** reads the list of one app page by page. It skips reports that the
//! store knows and takes in the rest as if they had been pushed:
//!
//! | reported | effect |
//! | --- | --- |
//! | before the relay first knew the app | ignored; `backfill --since` can ask for it |
//! | at most an hour ago | delivered as usual |
//! | earlier | delivered without mentions; chats get one summary for each rule |
//! | and is processed or closed already | stored, not delivered |
//!
//! Passes run for one app at a time: when the relay starts, when events may have been missed
//! ([`Backfill::wake`]), and at the configured interval (`backfill = "1h"`). A pass starts a day before the
//! last successful one began, because a list may show a report late. It never reaches further back than the
//! platform's list does, 180 days. The store keeps ids a day longer than that.
//!
//! Guarantees:
//!
//! - A report is taken in once, even if it is pushed too. Both ways identify it by app and feedback id.
//! - A late report is delivered once. It is accepted in one transaction with its deliveries, and summaries are
//!   made in one transaction.
//!
//! Messages show the status of a listed report even if the event of that change was missed. Rules on changes of
//! status apply to events alone.

mod pass;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

pub use self::pass::{Failure, Notified, Report, Taken, Window};
use self::schedule::Turn;
use super::Intake;
use crate::feishu::{App, FeishuClient};
use crate::model::{AppName, Current, Notice, NoticeKind, Timestamp};
use crate::store::StoreError;
use crate::telemetry::events::{BackfillFailed, BackfillMade};

/// How far back the platform's list reaches. Source: doc page of the list. The store keeps ids a day longer.
pub const REACH: Duration = Duration::from_secs(180 * 86_400);

/// The number of consecutive comparisons with unpushed reports after which the operator is notified.
const UNPUSHED_NOTIFY: u32 = 3;

/// How long after its creation a report may first appear in a list.
const OVERLAP: Duration = Duration::from_secs(86_400);

/// Settings of backfill; a reload replaces them.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Apps whose lists can be read.
    pub sources: BTreeMap<AppName, Source>,
}

/// An app whose list can be read.
#[derive(Clone, Debug)]
pub struct Source {
    pub app: App,
    /// Calls the platform as this app.
    pub client: FeishuClient,
    /// The time between two passes; `None`: only a person starts a pass.
    pub every: Option<Duration>,
}

impl Source {
    /// Returns the name under which the store keeps the time when the relay first knew the app.
    pub fn known_since(&self) -> String {
        format!("backfill from {}", self.app.app_id)
    }

    /// Returns the name under which the store keeps the start of the last successful pass.
    fn asked_at(&self) -> String {
        format!("backfill asked {}", self.app.app_id)
    }
}

/// The result of an app's last passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// When the last successful pass began; `None`: there was none.
    pub asked_at: Option<Timestamp>,
    /// Reports in the list that had arrived as events.
    pub by_event: u64,
    /// Reports in the list that had not arrived as events.
    pub only_in_list: u64,
    /// Consecutive comparisons that found unpushed reports, while nothing was pushed.
    pub unpushed: u32,
    /// The error of the last pass; `None` if it succeeded.
    pub failing: Option<String>,
}

impl State {
    /// Returns whether enough comparisons found unpushed reports that pushes must be broken.
    pub const fn nothing_is_pushed(&self) -> bool {
        self.unpushed >= UNPUSHED_NOTIFY
    }

    /// Returns the count of [`Self::unpushed`] after another comparison, which took in `taken` reports.
    /// `last_push` is when an event of the app was last pushed.
    fn unpushed_after(&self, taken: usize, last_push: Option<Timestamp>) -> u32 {
        let pushed_since = match (last_push, self.asked_at) {
            (Some(push), Some(asked_at)) => push >= asked_at,
            // The first comparison finds the reports of the time when the relay was down.
            (_, None) => true,
            (None, Some(_)) => false,
        };
        match (pushed_since, taken) {
            (true, _) => 0,
            (false, 0) => self.unpushed,
            (false, _) => self.unpushed.saturating_add(1),
        }
    }
}

/// The results of the last passes, by app. Clones share them.
pub type States = Arc<Mutex<BTreeMap<AppName, State>>>;

/// Runs passes. Clones share everything.
#[derive(Clone)]
pub struct Backfill {
    intake: Intake,
    settings: Current<Settings>,
    woken: Arc<Mutex<BTreeSet<AppName>>>,
    news: Arc<Notify>,
    states: States,
    seed: u64,
}

impl Backfill {
    /// Builds a backfill that does not run yet. `seed` seeds the random generator for jitter.
    pub fn new(intake: Intake, settings: Current<Settings>, seed: u64) -> Self {
        Self {
            intake,
            settings,
            woken: Arc::default(),
            news: Arc::default(),
            states: States::default(),
            seed,
        }
    }

    /// Requests a pass soon, because events of `app` may have been missed. The call is cheap. Many calls within
    /// a minute cause one pass.
    pub fn wake(&self, app: &AppName) {
        lock(&self.woken).insert(app.clone());
        self.news.notify_one();
    }

    /// Retries failed passes, because the settings were replaced.
    pub fn reloaded(&self) {
        let states = lock(&self.states);
        let failing = states.iter().filter(|(_, state)| state.failing.is_some());
        lock(&self.woken).extend(failing.map(|(app, _)| app.clone()));
        self.news.notify_one();
    }

    /// Returns the results of the last passes.
    pub fn states(&self) -> States {
        Arc::clone(&self.states)
    }

    /// Runs passes until `stopping`. A pass that is cut short is repeated after the next start.
    pub async fn run(self, stopping: CancellationToken) {
        let mut chance = fastrand::Rng::with_seed(self.seed);
        let mut turns = BTreeMap::new();
        self.summarise().await;
        while !stopping.is_cancelled() {
            let settings = self.settings.get();
            self.match_turns(&settings, &mut turns).await;
            let next = turns.iter().min_by_key(|(_, turn)| turn.due_at());
            let next = next.map(|(app, turn)| (app.clone(), turn.due_at()));
            let due = async {
                match &next {
                    Some((_, due_at)) => sleep_until(*due_at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stopping.cancelled() => break,
                () = self.news.notified() => continue,
                () = due => {}
            }
            let due =
                next.and_then(|(app, _)| Some((settings.sources.get(&app)?, turns.get_mut(&app)?)));
            let Some((source, turn)) = due else { continue };
            tokio::select! {
                () = stopping.cancelled() => break,
                () = self.take_turn(source, turn, chance.f64()) => {}
            }
        }
    }

    /// Adds a turn for each app with an interval, due at once if the app is new or was woken. Records since
    /// when each app is known.
    async fn match_turns(&self, settings: &Settings, turns: &mut BTreeMap<AppName, Turn>) {
        let by_itself = |app: &AppName| {
            let source = settings.sources.get(app);
            source.is_some_and(|source| source.every.is_some())
        };
        turns.retain(|app, _| by_itself(app));
        lock(&self.states).retain(|app, _| by_itself(app));
        let now = Instant::now();
        for (name, source) in &settings.sources {
            if let Some(turn) = turns.get_mut(name) {
                turn.at_most(now, source.every.unwrap_or(REACH));
                continue;
            }
            if let Err(error) = self.intake.store.begin_mark(&source.known_since()).await {
                // It is recorded with the first pass, or at the next start.
                tracing::warn!(app = %name, %error, "failed to record when the app was first configured; the first comparison retries");
            }
            if source.every.is_some() {
                turns.insert(name.clone(), Turn::at(now));
            }
        }
        for app in std::mem::take(&mut *lock(&self.woken)) {
            if let Some(turn) = turns.get_mut(&app) {
                turn.wake(now);
            }
        }
    }

    /// Runs one pass of one app and handles its result.
    async fn take_turn(&self, source: &Source, turn: &mut Turn, chance: f64) {
        let (report, failure) = self.round(source).await;
        self.summarise().await;
        let app = &source.app.name;
        let every = source.every.unwrap_or(REACH);
        let now = Instant::now();
        let Some(failure) = failure else {
            turn.succeeded(now, every, chance);
            return;
        };
        let reason = failure.to_string();
        self.intake.metrics.emit(BackfillFailed {
            app,
            taken: report.taken.len(),
            reason: &reason,
        });
        lock(&self.states).entry(app.clone()).or_default().failing = Some(reason.clone());
        if turn.failed(now, every, failure.is_for_good(), chance) {
            let notice = Notice {
                kind: NoticeKind::BackfillFailed,
                subject: app.to_string(),
                text: format!(
                    "The feedback list of app {app} cannot be read, so unpushed reports are not found: {reason}. \
                     `feedback-relay backfill {app} --dry-run` tries it."
                ),
            };
            self.intake.operator.notify(notice).await;
        }
    }

    async fn round(&self, source: &Source) -> (Report, Option<Failure>) {
        let window = match self.window(source).await {
            Ok(window) => window,
            Err(error) => return (Report::default(), Some(Failure::Store(error))),
        };
        let (report, failure) = self
            .intake
            .backfill(source, window, false, &mut |_| {})
            .await;
        if failure.is_some() {
            return (report, failure);
        }
        if let Err(error) = self
            .intake
            .store
            .put_mark(&source.asked_at(), window.now)
            .await
        {
            return (report, Some(Failure::Store(error)));
        }
        self.intake.metrics.emit(BackfillMade {
            app: &source.app.name,
            pages: report.pages,
            by_event: report.by_event,
            only_in_list: report.only_in_list(),
            taken: report.taken.len(),
            unreadable: report.unreadable,
        });
        let name = &source.app.name;
        let before = lock(&self.states).get(name).cloned().unwrap_or_default();
        let last_push = self.intake.pushes.last(name);
        let state = State {
            asked_at: Some(window.now),
            by_event: report.by_event,
            only_in_list: report.only_in_list(),
            unpushed: before.unpushed_after(report.taken.len(), last_push),
            failing: None,
        };
        let report_missing = state.nothing_is_pushed() && state.unpushed > before.unpushed;
        lock(&self.states).insert(name.clone(), state.clone());
        if report_missing {
            self.intake
                .operator
                .notify(nothing_pushed(name, &state))
                .await;
        }
        (report, None)
    }

    /// Returns the window of a pass.
    async fn window(&self, source: &Source) -> Result<Window, StoreError> {
        let (store, now) = (&self.intake.store, self.intake.clock.now());
        let known_since = store.begin_mark(&source.known_since()).await?;
        let asked_at = store.mark(&source.asked_at()).await?;
        // A clock that was set back must not make the window empty.
        let asked = asked_at.map(|at| at.min(now) - OVERLAP);
        let since = asked.map_or(known_since, |asked| asked.max(known_since));
        Ok(Window::new(since, now))
    }

    /// Makes the summaries of late reports, including those of a pass that was cut short.
    async fn summarise(&self) {
        if let Err(error) = self.intake.store.summarise_late().await {
            tracing::error!(%error, "failed to create late summaries; the next comparison retries");
        }
    }
}

fn nothing_pushed(app: &AppName, state: &State) -> Notice {
    Notice {
        kind: NoticeKind::NothingPushed,
        subject: app.to_string(),
        text: format!(
            "The last {} comparisons with the feedback list of app {app} found reports that Feishu never pushed, and nothing was \
             pushed meanwhile. So reports arrive late. In Feishu's console, Events & Callbacks, check whether the event \
             \"application feedback created\" is subscribed, by the way this app receives (request URL or long connection), and a \
             version with it is published; and whether another client takes its events.",
            state.unpushed
        ),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
