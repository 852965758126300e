//! Intake: plans an authentic event and commits it, and only then acknowledges it.
//!
//! Each receiver passes its events to [`Intake::take`] and returns the result to the platform: [`webhook`] in
//! its 200, [`websocket`] in its acknowledgement. [`backfill`] reads reports that never arrived.
//!
//! - New feedback and changes of its status go through the rules.
//! - An event of another type is ignored, and its body is dropped.
//! - An authentic event that cannot be parsed is kept raw, and the operator is notified.
//!
//! All three are stored as events, so that a repeat of any of them is recognised.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::pushes::Pushes;
use self::webhook::body::Bodies;
use crate::feishu::{self, App, Envelope, Found, Reading};
use crate::model::{
    Actor, AppName, Clock, Content, Current, DestinationName, EventId, EventState, FeedbackChange,
    IMAGES_PER_EVENT_MAX, Notice, NoticeKind, Plan, PlannedIncident, Private, Timestamp, Trigger,
    UserIds,
};
use crate::notices::Notifier;
use crate::rules::{Known, RuleSet, SilenceSet};
use crate::store::{
    Accepted, Arrival, EventImages, ImageWaits, Silenceable, Store, StoreError, plan_deliveries,
};
use crate::telemetry::Metrics;
use crate::telemetry::events::{EventAccepted, EventRepeated, EventTooOld, OldCardCallback};
use crate::triage::Triage;

pub mod backfill;
pub mod paths;
pub mod pushes;
mod reports;
mod silences;
pub mod webhook;
pub mod websocket;

pub use reports::attach_reports;

/// How long the addresses of images last. Source: doc "新增应用反馈": three days.
pub const IMAGES_LAST: Duration = Duration::from_secs(72 * 3600);

/// Settings of intake; a reload replaces them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Apps whose events are accepted.
    pub apps: BTreeMap<AppName, App>,
    /// The rules, which select the destinations of an event.
    pub rules: RuleSet,
    /// The names that conditions of silences may use.
    pub known: Known,
    /// Destinations for programs. They get every report as a separate message, even if it is late.
    pub singly: BTreeSet<DestinationName>,
    /// How long a message waits for its images.
    pub wait: Duration,
    /// How long a critical message waits for its images.
    pub wait_critical: Duration,
    /// The largest request body, in bytes on the wire.
    pub body_bytes_max: usize,
    /// How long ids are kept. A pushed event that is older is refused, because it may be a repeat.
    pub ids_retain: Duration,
}

/// The intake of events. Clones share everything.
#[derive(Clone)]
pub struct Intake {
    store: Store,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    operator: Notifier,
    /// Handles button actions; `None` if there are none.
    triage: Option<Triage>,
    settings: Current<Settings>,
    /// The active silences with conditions.
    silences: Current<SilenceSet>,
    bodies: Bodies,
    pushes: Pushes,
}

impl Intake {
    /// Builds an intake that writes to `store`.
    pub fn new(
        store: Store,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        operator: Notifier,
        settings: Current<Settings>,
    ) -> Self {
        Self {
            store,
            metrics,
            clock,
            operator,
            triage: None,
            settings,
            silences: Current::new(SilenceSet::default()),
            bodies: Bodies::default(),
            pushes: Pushes::default(),
        }
    }

    /// Returns when each app's last event was pushed.
    pub fn pushes(&self) -> Pushes {
        self.pushes.clone()
    }

    /// Returns the reader of request bodies, which has one budget for all of them.
    pub fn bodies(&self) -> Bodies {
        self.bodies.clone()
    }

    /// Returns the same intake, with button actions handled by `triage`.
    pub fn with_clicks(self, triage: Triage) -> Self {
        Self {
            triage: Some(triage),
            ..self
        }
    }

    /// Returns the same intake, with request bodies read by `bodies`.
    pub fn with_bodies(self, bodies: Bodies) -> Self {
        Self { bodies, ..self }
    }

    /// Takes in an authentic event of `app`. Returns the platform's answer as JSON once the event is on the
    /// disk. It is `{}` for an event, and a reply to the actor for a button action. `arrived` is when the event
    /// came, for the metrics.
    pub async fn take(
        &self,
        app: &App,
        envelope: Envelope,
        arrived: Instant,
    ) -> Result<serde_json::Value, StoreError> {
        let reading = envelope.into_event(app);
        if let Some(triage) = &self.triage
            && let Some(action) = reading.card_action()
        {
            return Ok(triage.card_pressed(&app.name, action).await);
        }
        if reading.event_type == feishu::OLD_CARD_ACTION {
            self.metrics.emit(OldCardCallback { app: &app.name });
        }
        let ids_retain = self.settings.get().ids_retain;
        if let Some(age) = too_old(&reading, ids_retain, self.clock.now()) {
            self.metrics.emit(EventTooOld {
                app: &app.name,
                event_id: &reading.id,
                age,
            });
            return Ok(serde_json::json!({}));
        }
        let _new_or_repeat = self.accept(&app.name, reading, arrived).await?;
        // An ignored event (another app's status, a message) counts as a push, because it shows that pushes
        // reach the relay.
        self.pushes
            .note(&self.store, &app.name, self.clock.now())
            .await;
        Ok(serde_json::json!({}))
    }

    /// Commits an event of `app` with all its deliveries. After `Ok` it is on the disk and may be acknowledged.
    /// `arrived` is when the request came, for the metrics.
    pub async fn accept(
        &self,
        app: &AppName,
        mut reading: Reading,
        arrived: Instant,
    ) -> Result<Accepted, StoreError> {
        let settings = self.settings.get();
        let now = self.clock.now();
        if let Found::Event(event) = &mut reading.found {
            attach_reports(&self.store, &settings.apps, event).await?;
        }
        let event_id = reading.id.clone();
        let about_another_app = is_about_another(app, &reading, &settings);
        let notice = unreadable(app, &reading);
        let silences = self.silences.get();
        let (plan, arrival) = planned(app, reading, &settings, &silences, now);
        let accepted = self.store.accept(arrival).await?;
        self.count(app, &event_id, &plan, accepted, arrived);
        if about_another_app {
            tracing::info!(%app, event.id = %event_id, "the event is about a different app than the one that received it");
        }
        if let Some(notice) = notice {
            // The operator is notified of a repeat too, because a crash may have lost the first notice.
            self.operator.notify(notice).await;
        }
        Ok(accepted)
    }

    /// Logs and counts an accepted event.
    fn count(
        &self,
        app: &AppName,
        event_id: &EventId,
        plan: &Plan,
        accepted: Accepted,
        arrived: Instant,
    ) {
        match accepted {
            Accepted::New(_) => self.metrics.emit(EventAccepted {
                app,
                event_id,
                plan,
                took: arrived.elapsed(),
            }),
            Accepted::Repeat(_) => self.metrics.emit(EventRepeated { app, event_id }),
        }
    }
}

/// Returns whether new feedback is about another app than the one that received it.
fn is_about_another(via: &AppName, reading: &Reading, settings: &Settings) -> bool {
    let about = reading.feedback.as_ref().map(|(about, _id)| about);
    let own = settings.apps.get(via).map(|app| &app.app_id);
    about.zip(own).is_some_and(|(about, own)| about != own)
}

/// The smallest plausible time in milliseconds. A smaller number means seconds, or a date before 1973.
const MILLIS_MIN: i64 = 100_000_000_000;

/// Returns the age of an event that is older than the kept ids, by its own time. A repeat of it would be taken
/// as new. An event without a time has no known age.
fn too_old(reading: &Reading, ids_retain: Duration, now: Timestamp) -> Option<Duration> {
    let created_at = match &reading.found {
        Found::Event(event) => event.created_at?,
        Found::Ignored | Found::Unreadable => return None,
    };
    if created_at.as_millis() < MILLIS_MIN {
        return None;
    }
    Some(now.since(created_at)).filter(|age| *age > ids_retain)
}

/// Applies the rules and the silences to an event received now. Returns the plan and the event as it is stored. Pure.
pub fn planned(
    app: &AppName,
    reading: Reading,
    settings: &Settings,
    silences: &SilenceSet,
    now: Timestamp,
) -> (Plan, Arrival) {
    let plan = plan(&reading, &settings.rules, now);
    let silenceable = silences::silenceable(&reading, &plan, settings, silences);
    let arrival = Arrival {
        silenceable,
        ..arrival(app, reading, &plan, settings, now)
    };
    (plan, arrival)
}

/// Applies the rules to an event received now.
fn plan(reading: &Reading, rules: &RuleSet, now: Timestamp) -> Plan {
    let state = match &reading.found {
        Found::Event(event) => return rules.plan(event, now),
        Found::Ignored => EventState::Ignored,
        Found::Unreadable => EventState::Unreadable,
    };
    Plan {
        state,
        rules: Vec::new(),
        deliveries: Vec::new(),
        incidents: Vec::new(),
    }
}

/// Returns the notice of an unreadable event. Its subject is the app and not the event, so that many of them
/// cause one notice an hour.
fn unreadable(app: &AppName, reading: &Reading) -> Option<Notice> {
    match reading.found {
        Found::Unreadable => Some(Notice {
            kind: NoticeKind::EventUnreadable,
            subject: app.to_string(),
            text: format!(
                "An authentic event of app {app} cannot be parsed. It is stored unchanged: feedback-relay events show {}",
                reading.id
            ),
        }),
        Found::Event(_) | Found::Ignored => None,
    }
}

/// Builds the stored form of an event, which no silence mutes.
fn arrival(
    app: &AppName,
    reading: Reading,
    plan: &Plan,
    settings: &Settings,
    now: Timestamp,
) -> Arrival {
    let (users, images, created_at, tenant) = match &reading.found {
        Found::Event(event) => {
            let (users, images) = people_and_images(&event.content);
            (users, images, event.created_at, event.tenant_key.clone())
        }
        Found::Ignored | Found::Unreadable => (Vec::new(), Vec::new(), None, None),
    };
    let change = status_change(app, &reading, settings);
    let with_images = match images.is_empty() {
        true => EventImages::None,
        false => EventImages::Pending,
    };
    let waits = ImageWaits {
        wait: settings.wait,
        wait_critical: settings.wait_critical,
    };
    let deliveries = plan_deliveries(plan, with_images, waits, Trigger::Event, now);
    Arrival {
        change,
        deliveries,
        incidents: incidents(plan, settings),
        late_incidents: Vec::new(),
        silenceable: Silenceable::default(),
        tenant,
        id: reading.id,
        via: app.clone(),
        event_type: reading.event_type,
        feedback: reading.feedback,
        users,
        received_at: now,
        state: plan.state,
        body: Some(reading.body).filter(|_| plan.state != EventState::Ignored),
        images,
        // An event from the future means that the local clock is behind, not that its images last longer.
        images_deadline_at: created_at.map_or(now, |at| at.min(now)) + IMAGES_LAST,
    }
}

/// Returns the incidents that count the report. Destinations for programs get each report, so incidents merge
/// none of their deliveries. An incident that would notify nobody is not counted.
fn incidents(plan: &Plan, settings: &Settings) -> Vec<PlannedIncident> {
    let mut incidents = plan.incidents.clone();
    for incident in &mut incidents {
        let destinations = &mut incident.destinations;
        destinations.retain(|destination| !settings.singly.contains(destination));
    }
    incidents.retain(|one| !one.destinations.is_empty() || !one.terms.steps.is_empty());
    incidents
}

/// Returns the change of status in an event, if there is one.
fn status_change(app: &AppName, reading: &Reading, settings: &Settings) -> Option<FeedbackChange> {
    let Found::Event(event) = &reading.found else {
        return None;
    };
    let Content::Updated(change) = &event.content else {
        return None;
    };
    let own_id = || settings.apps.get(app).map(|app| app.app_id.clone());
    let mut feedback_ids = change.feedback_ids.clone();
    feedback_ids.sort_unstable();
    feedback_ids.dedup();
    Some(FeedbackChange {
        app_id: change.app_id.clone().or_else(own_id)?,
        feedback_ids,
        status: change.status?,
        updated_at: change.updated_at,
        told_at: event.created_at,
        by: Actor {
            name: None,
            id: change.operator.open_id.clone(),
            app: Some(app.clone()),
        },
    })
}

/// Returns the people that `erase --user` can find, and the images to fetch.
fn people_and_images(content: &Content) -> (Vec<Private>, Vec<Private>) {
    let ids = |user: &UserIds| {
        let ids = [&user.open_id, &user.union_id, &user.user_id];
        ids.into_iter().flatten().cloned().collect()
    };
    match content {
        Content::Created(feedback) => {
            let images = feedback.images.iter().take(IMAGES_PER_EVENT_MAX);
            (ids(&feedback.user), images.cloned().collect())
        }
        Content::Updated(change) => (ids(&change.operator), Vec::new()),
        Content::Notice(_) | Content::Summary(_) | Content::Digest(_) | Content::Incident(_) => {
            (Vec::new(), Vec::new())
        }
    }
}

#[cfg(test)]
mod tests;
