//! One pass through the list of an app, page by page.

use std::collections::HashSet;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use tokio::time::{Instant, sleep};

use super::{REACH, Source};
use crate::feishu::{ApiError, Days, FeedbackPage, Found, ListError, ListedFeedback, Reading};
use crate::intake::silences::silenceable;
use crate::intake::{IMAGES_LAST, Intake, arrival, incidents, plan};
use crate::model::{
    Actor, AppName, EventState, FeedbackChange, FeedbackStatus, HeldFor, Plan, Timestamp,
};
use crate::store::{Accepted, Holding, StoreError};

/// The age from which a report is delivered without mentions, in a summary.
const LATE: Duration = Duration::from_secs(3600);
/// The time for which a late report waits for the end of its pass, which summarises it. A pass that crashed has no end.
const LATE_WAIT: Duration = Duration::from_secs(3600);
/// The most pages of one list: 200,000 reports in 180 days.
const PAGES_MAX: u32 = 2000;
/// How often a list is restarted because its page tokens expired. They expire after two hours.
const RESTARTS_MAX: u32 = 3;
/// The pause while the store is busy, because events have priority.
const BUSY_PAUSE: Duration = Duration::from_millis(250);
const BUSY_TRIES: u32 = 40;

/// The time range of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Reports from this time on are read; at most [`REACH`] ago.
    pub since: Timestamp,
    /// The current time.
    pub now: Timestamp,
}

impl Window {
    /// Builds a window from `since`, or from as far back as the list reaches.
    pub fn new(since: Timestamp, now: Timestamp) -> Self {
        // A clock that was set back must not make the window end before it begins.
        let since = since.max(now - REACH).min(now);
        Self {
            // The platform's times are whole seconds, so a report of this very second counts.
            since: Timestamp::from_millis(since.as_secs().saturating_mul(1000)),
            now,
        }
    }

    /// Returns the days of the window, one day wider at both ends. The time zone of the platform's days is not
    /// documented.
    pub(super) fn days(self, timezone: &TimeZone) -> Option<Days> {
        let day = |at: Timestamp| -> Option<Date> {
            Some(at.to_jiff()?.to_zoned(timezone.clone()).date())
        };
        Some(Days {
            from: day(self.since)?.yesterday().ok()?,
            to: day(self.now)?.tomorrow().ok()?,
        })
    }
}

/// How a report that never arrived is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notified {
    /// As usual.
    AtOnce,
    /// The report is late: nobody is mentioned, and chats get a summary.
    Quietly,
    /// Not at all, because the report is processed or closed.
    Not,
}

impl Notified {
    /// Returns the value for JSON output.
    pub const fn key(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::Quietly => "quietly",
            Self::Not => "not",
        }
    }

    /// Decides by status and age. `status` is 0 unprocessed, 1 processed, 2 processing, 3 closed.
    fn of(status: Option<i64>, reported_at: Timestamp, now: Timestamp) -> Self {
        match status {
            Some(1 | 3) => Self::Not,
            _ if now.since(reported_at) > LATE => Self::Quietly,
            _ => Self::AtOnce,
        }
    }
}

/// A report that never arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its feedback id, which is also its event id.
    pub id: String,
    /// When it was reported.
    pub reported_at: Timestamp,
    /// How it is delivered.
    pub telling: Notified,
}

/// The result of a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Number of pages that were read.
    pub pages: u32,
    /// Number of reports that had arrived as events.
    pub by_event: u64,
    /// Number of reports that an earlier pass had taken in.
    pub by_list: u64,
    /// Reports that were unknown. After a dry run they still are.
    pub taken: Vec<Taken>,
    /// Number of items without an id or a time.
    pub unreadable: u64,
    /// The times of the first and the last report that were read; `None`: there was none.
    pub span: Option<(Timestamp, Timestamp)>,
}

impl Report {
    fn meet(&mut self, at: Timestamp) {
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
    }

    /// Returns the number of reports that never arrived as events.
    pub fn only_in_list(&self) -> u64 {
        let taken = u64::try_from(self.taken.len()).unwrap_or(u64::MAX);
        self.by_list.saturating_add(taken)
    }

    /// Returns the number of reports in the window.
    pub fn listed(&self) -> u64 {
        self.by_event.saturating_add(self.only_in_list())
    }
}

/// Why a pass did not finish. Reports that it had taken in stay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The platform did not return the list.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The store did not accept a report.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The list has no end, or its page tokens expire as fast as they are given.
    #[error("the list does not end")]
    Endless,
}

impl Failure {
    /// Returns whether only an operator can fix it.
    pub const fn is_for_good(&self) -> bool {
        match self {
            Self::Api(ApiError::Stop { .. } | ApiError::Rejected { .. }) => true,
            // A page in front of the list may be gone at any time.
            Self::Api(
                ApiError::Retry { .. } | ApiError::SlowDown { .. } | ApiError::InFront { .. },
            )
            | Self::Store(_)
            | Self::Endless => false,
        }
    }
}

/// A report of the window.
#[derive(Clone)]
struct Candidate {
    reading: Reading,
    /// The id of the app that it is about, and its feedback id.
    feedback: (String, String),
    reported_at: Timestamp,
    telling: Notified,
    /// Its status; `None` if the list states none.
    change: Option<FeedbackChange>,
}

impl Intake {
    /// Reads the list of `source` and takes in reports that never arrived; a dry run only returns them.
    /// `progress` is called after each page. Late reports still have to be
    /// [summarised](crate::store::Store::summarise_late). After a failure the report covers the part that was
    /// done.
    pub async fn backfill(
        &self,
        source: &Source,
        window: Window,
        dry_run: bool,
        progress: &mut (dyn FnMut(&Report) + Send),
    ) -> (Report, Option<Failure>) {
        let mut report = Report::default();
        if let Err(error) = self.refresh_silences().await {
            return (report, Some(error.into()));
        }
        let mut round = Round {
            intake: self,
            source,
            window,
            dry_run,
            report: &mut report,
            taken: HashSet::new(),
        };
        let failure = round.run(progress).await.err();
        (report, failure)
    }

    /// Commits a report that never arrived. The list gives new addresses of its images, which last from
    /// `listed_at` on.
    async fn accept_listed(
        &self,
        app: &AppName,
        candidate: Candidate,
        listed_at: Timestamp,
    ) -> Result<Accepted, StoreError> {
        let (settings, began) = (self.settings.get(), Instant::now());
        let now = self.clock.now();
        let Candidate {
            reading,
            telling,
            reported_at,
            ..
        } = candidate;
        let mut whole = match telling {
            Notified::AtOnce | Notified::Quietly => plan(&reading, &settings.rules, now),
            Notified::Not => Plan {
                state: EventState::Noted,
                rules: Vec::new(),
                deliveries: Vec::new(),
                incidents: Vec::new(),
            },
        };
        let mut counted = Vec::new();
        if telling == Notified::Quietly {
            for planned in &mut whole.deliveries {
                planned.spec.mentions.clear();
            }
            // The summary notifies of the report. Incidents only count it.
            counted = incidents(&whole, &settings);
            whole.incidents.clear();
        }
        let event_id = reading.id.clone();
        let silenceable = silenceable(&reading, &whole, &settings, &self.silences.get());
        let mut arrival = arrival(app, reading, &whole, &settings, now);
        arrival.silenceable = silenceable;
        arrival.late_incidents = counted;
        arrival.images_deadline_at = listed_at + IMAGES_LAST;
        if telling == Notified::Quietly {
            for delivery in &mut arrival.deliveries {
                if !settings.singly.contains(&delivery.destination) {
                    delivery.held = Some(late(delivery.held.take(), reported_at, now));
                }
            }
        }
        let accepted = self.store.accept(arrival).await?;
        self.count(app, &event_id, &whole, accepted, began);
        Ok(accepted)
    }
}

/// Returns how long a late report is held: until its pass ends, or as `hold` of its rule asks.
fn late(hold: Option<Holding>, reported_at: Timestamp, now: Timestamp) -> Holding {
    let hold = hold.map(|hold| Holding {
        reported_at,
        ..hold
    });
    hold.unwrap_or(Holding {
        held_for: HeldFor::Late,
        until: now + LATE_WAIT,
        hours: None,
        reported_at,
    })
}

/// A running pass.
struct Round<'a> {
    intake: &'a Intake,
    source: &'a Source,
    window: Window,
    dry_run: bool,
    report: &'a mut Report,
    /// Feedback ids that the pass has taken in, because a restarted list shows them again.
    taken: HashSet<String>,
}

impl Round<'_> {
    async fn run(&mut self, progress: &mut (dyn FnMut(&Report) + Send)) -> Result<(), Failure> {
        let Source { app, client, .. } = self.source;
        let days = self
            .window
            .days(&app.feedback_timezone)
            .ok_or(Failure::Endless)?;
        let (mut token, mut restarts) = (None, 0);
        while self.report.pages < PAGES_MAX {
            let listed_at = self.intake.clock.now();
            let page = match client
                .list_feedbacks(&app.app_id, days, token.as_ref())
                .await
            {
                Ok(page) => page,
                Err(ListError::PageTokenExpired) if restarts < RESTARTS_MAX => {
                    restarts += 1;
                    token = None;
                    continue;
                }
                Err(ListError::PageTokenExpired) => return Err(Failure::Endless),
                Err(ListError::Api(error)) => return Err(error.into()),
            };
            // A restarted list shows the same reports as known, and they would be counted twice.
            if token.is_none() {
                *self.report = Report {
                    taken: std::mem::take(&mut self.report.taken),
                    pages: self.report.pages,
                    ..Report::default()
                };
            }
            let next = page.next.clone();
            self.take_page(page, listed_at).await?;
            progress(self.report);
            match next {
                None => return Ok(()),
                same if same == token => return Err(Failure::Endless),
                next => token = next,
            }
        }
        Err(Failure::Endless)
    }

    async fn take_page(&mut self, page: FeedbackPage, listed_at: Timestamp) -> Result<(), Failure> {
        self.report.pages += 1;
        self.report.unreadable += u64::try_from(page.unreadable).unwrap_or(u64::MAX);
        let mut candidates = Vec::with_capacity(page.items.len());
        for item in page.items {
            match candidate(item, self.source, self.window) {
                Some(one) if one.reported_at >= self.window.since => {
                    self.report.meet(one.reported_at);
                    candidates.push(one);
                }
                Some(_before_our_time) => {}
                None => self.report.unreadable += 1,
            }
        }
        let listed = candidates.iter().filter_map(|one| one.change.clone());
        let listed: Vec<FeedbackChange> = listed.collect();
        let feedback = candidates.iter().map(|one| one.feedback.clone()).collect();
        let known = self
            .intake
            .store
            .known_feedback(self.source.app.name.clone(), feedback)
            .await?;
        for (one, known) in candidates.into_iter().zip(known) {
            match known {
                None => self.take(one, listed_at).await?,
                Some(event_id) if event_id.as_str() != one.feedback.1 => self.report.by_event += 1,
                Some(_) if self.taken.contains(&one.feedback.1) => {}
                Some(_) => self.report.by_list += 1,
            }
        }
        // Changes of status whose events were missed are applied, also to reports that were just taken in.
        if !self.dry_run && !listed.is_empty() {
            let store = &self.intake.store;
            while_busy(|| store.platform_lists(listed.clone())).await?;
        }
        Ok(())
    }

    async fn take(&mut self, one: Candidate, listed_at: Timestamp) -> Result<(), Failure> {
        let taken = Taken {
            id: one.feedback.1.clone(),
            reported_at: one.reported_at,
            telling: one.telling,
        };
        let accepted = match self.dry_run {
            true => None,
            false => Some(self.accept(one, listed_at).await?),
        };
        match accepted {
            None | Some(Accepted::New(_)) => {
                if self.taken.insert(taken.id.clone()) {
                    self.report.taken.push(taken);
                }
            }
            // The event was pushed at this very moment.
            Some(Accepted::Repeat(_)) => self.report.by_event += 1,
        }
        Ok(())
    }

    async fn accept(&self, one: Candidate, listed_at: Timestamp) -> Result<Accepted, StoreError> {
        let app = &self.source.app.name;
        while_busy(|| self.intake.accept_listed(app, one.clone(), listed_at)).await
    }
}

/// Repeats a call to the store while it is busy.
async fn while_busy<T, F>(mut ask: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 1..BUSY_TRIES {
        match ask().await {
            Err(StoreError::Busy) => sleep(BUSY_PAUSE).await,
            done => return done,
        }
    }
    ask().await
}

/// Returns a report as it would be taken in; `None` without an id or a time.
fn candidate(item: ListedFeedback, source: &Source, window: Window) -> Option<Candidate> {
    let status = item.status;
    let (updated_at, operator) = (item.updated_at, item.operator.clone());
    let reading = item.into_reading(&source.app);
    let reported_at = match &reading.found {
        Found::Event(event) => event.created_at?,
        Found::Ignored | Found::Unreadable => return None,
    };
    let (about, id) = reading.feedback.clone()?;
    let change = status.map(|status| FeedbackChange {
        app_id: about.clone(),
        feedback_ids: vec![id.clone()],
        status: FeedbackStatus(status),
        updated_at,
        told_at: None,
        by: Actor {
            name: None,
            id: operator,
            app: Some(source.app.name.clone()),
        },
    });
    Some(Candidate {
        change,
        feedback: (about, id),
        telling: Notified::of(status, reported_at, window.now),
        reading,
        reported_at,
    })
}
