//! Runs reports through the rules and a store in memory, on a clock of its own, and records what would be sent when.
//!
//! The simulation decides nothing itself. [`intake::planned`] plans each report, and the store counts it, merges it
//! and runs the timers of incidents, as in a relay. Only time and sending are replaced: time jumps from one event or
//! timer to the next, and each message is delivered at once. Held messages are sent when their wait ends. Images
//! count as fetched.

mod timeline;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::feishu::{self, Found, Reading};
use crate::intake;
use crate::model::{
    Content, DeliveryId, DestinationName, Event, EventId, EventSeq, HeldFor, Private,
    SilenceTarget, Summary, Timestamp, Trigger,
};
use crate::rules::{Filter, SilenceSet};
use crate::store::{
    Accepted, Arrival, MemoryStore, NewSilence, SUMMARY, StoreError, Topic, Work, read_summary,
};

pub use timeline::{About, Held, Sent, Stretch, Timeline};

/// The most events that a simulation has.
pub const EVENTS_MAX: u64 = 10_000;

/// The longest time that a simulation lasts.
pub const LASTS_MAX: Duration = Duration::from_secs(31 * 86_400);

/// The parts of a configuration that a simulation needs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The rules, and how intake applies them.
    pub intake: intake::Settings,
    /// The destinations whose messages can be edited later.
    pub editable: BTreeSet<DestinationName>,
}

/// An event that happens several times.
#[derive(Clone, Debug)]
pub struct Repeated {
    pub event: Event,
    /// The number of times that it happens.
    pub times: u64,
    /// The time between two of them.
    pub every: Duration,
    /// When the first one happens, from the start.
    pub after: Duration,
}

impl Repeated {
    /// Returns an event that happens once, at the start.
    pub const fn once(event: Event) -> Self {
        Self {
            event,
            times: 1,
            every: Duration::ZERO,
            after: Duration::ZERO,
        }
    }

    /// Returns when each one happens, from the start.
    fn moments(&self) -> impl Iterator<Item = Duration> {
        (0..self.times).map(|index| self.after + times(self.every, index))
    }

    /// Returns when the last one happens, from the start.
    pub fn last(&self) -> Duration {
        self.after
            .saturating_add(times(self.every, self.times.saturating_sub(1)))
    }
}

/// Returns `count` times the span, or the longest span.
fn times(span: Duration, count: u64) -> Duration {
    span.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A silence that begins during a simulation.
#[derive(Clone, Debug)]
pub struct Muting {
    pub target: SilenceTarget,
    /// The conditions of the target; `None` if it has none.
    pub conditions: Option<Filter>,
    /// When it begins, from the start.
    pub after: Duration,
    pub lasts: Duration,
}

/// What happens in a simulation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scenario<'a> {
    pub events: &'a [Repeated],
    pub silences: &'a [Muting],
    /// The time for which the clock runs, at most [`LASTS_MAX`]; `None`: until nothing is left to do.
    pub lasts: Option<Duration>,
}

#[derive(Clone, Copy)]
enum Happening<'a> {
    Silence(&'a Muting),
    Event(&'a Event),
}

impl<'a> Scenario<'a> {
    /// Returns everything that happens, in the order of time. Of things at one time, silences come first, and events
    /// in the order in which they are written.
    fn happenings(&self) -> Vec<(Duration, Happening<'a>)> {
        let silences = self.silences.iter();
        let silences = silences.map(|one| (one.after, Happening::Silence(one)));
        let events = self.events.iter();
        let events =
            events.flat_map(|one| one.moments().map(|at| (at, Happening::Event(&one.event))));
        let mut all: Vec<_> = silences.chain(events).collect();
        all.sort_by_key(|(after, _)| *after);
        all
    }
}

/// Runs a scenario from `start` on.
pub fn run(
    settings: &Settings,
    start: Timestamp,
    scenario: Scenario<'_>,
) -> Result<Timeline, StoreError> {
    let mut simulation = Simulation {
        settings,
        store: MemoryStore::new()?,
        start,
        silences: SilenceSet::default(),
        incidents_at: None,
        due_at: BTreeMap::new(),
        received: HashMap::new(),
        timeline: Timeline::default(),
    };
    let end = scenario.lasts.unwrap_or(LASTS_MAX).min(LASTS_MAX);
    let happenings = scenario.happenings().into_iter();
    for (after, happening) in happenings.take_while(|(after, _)| *after <= end) {
        let now = start + after;
        simulation.run_until(now)?;
        match happening {
            Happening::Silence(muting) => simulation.mute(muting, now)?,
            Happening::Event(event) => simulation.receive(event, now)?,
        }
    }
    simulation.run_until(start + end)?;
    simulation.finish(start + end)
}

struct Simulation<'a> {
    settings: &'a Settings,
    store: MemoryStore,
    start: Timestamp,
    /// The conditions of silences. The store knows which of them are active.
    silences: SilenceSet,
    /// When the next timer of an incident is due; `None` if there is none.
    incidents_at: Option<Timestamp>,
    /// When the next delivery to each destination may be due.
    due_at: BTreeMap<DestinationName, Timestamp>,
    /// Each event with its position among all, from 1.
    received: HashMap<EventSeq, (u64, &'a Event)>,
    timeline: Timeline,
}

impl<'a> Simulation<'a> {
    /// Begins a silence, and does everything that is due then.
    fn mute(&mut self, muting: &Muting, now: Timestamp) -> Result<(), StoreError> {
        let new = NewSilence {
            target: muting.target.clone(),
            ends_at: now + muting.lasts,
            reason: Private::new("a test"),
            author: Private::new("a test"),
        };
        let waiting = self.waiting(muting.conditions.as_ref())?;
        let added = self.store.add_silence(&new, &waiting, now)?;
        if let Some(conditions) = &muting.conditions {
            self.silences.add(added.result.id, conditions.clone());
        }
        self.wake(added.topics, now);
        self.settle(now)
    }

    /// Returns the held messages about events that match.
    fn waiting(&self, conditions: Option<&Filter>) -> Result<Vec<DeliveryId>, StoreError> {
        let matches = |event: &EventSeq| {
            let received = self.received.get(event);
            received.is_some_and(|(_, event)| conditions.is_none_or(|one| one.holds(event)))
        };
        let held = self.store.held()?.into_iter();
        let held = held.filter(|one| matches(&one.event));
        Ok(held.map(|one| one.id).collect())
    }

    /// Receives an event, and does everything that is due then.
    fn receive(&mut self, event: &'a Event, now: Timestamp) -> Result<(), StoreError> {
        self.timeline.events += 1;
        let number = self.timeline.events;
        let reading = reading(event, number, now);
        let (plan, arrival) = intake::planned(
            &event.via,
            reading,
            &self.settings.intake,
            &self.silences,
            now,
        );
        self.timeline.rules.extend(plan.rules);
        let arrival = Arrival {
            images: Vec::new(),
            ..arrival
        };
        let accepted = self.store.accept(&arrival, now)?;
        let (Accepted::New(seq) | Accepted::Repeat(seq)) = accepted.result;
        self.received.insert(seq, (number, event));
        self.wake(accepted.topics, now);
        self.settle(now)
    }

    /// Runs everything that is due up to `end`, each at its time.
    fn run_until(&mut self, end: Timestamp) -> Result<(), StoreError> {
        while let Some(at) = self.next_at().filter(|at| *at <= end) {
            self.settle(at)?;
        }
        Ok(())
    }

    /// Returns when a timer or a delivery is due next.
    fn next_at(&self) -> Option<Timestamp> {
        let due_at = self.due_at.values().copied();
        due_at.chain(self.incidents_at).min()
    }

    /// Returns a destination that may have due deliveries.
    fn next_due(&self, now: Timestamp) -> Option<DestinationName> {
        let mut all = self.due_at.iter();
        let due = all.find(|(_, at)| **at <= now);
        due.map(|(destination, _)| destination.clone())
    }

    /// Runs the timers that are due and sends messages, until there are none.
    fn settle(&mut self, now: Timestamp) -> Result<(), StoreError> {
        loop {
            if self.incidents_at.is_some_and(|at| at <= now) {
                let ran = self.store.advance_incidents(now)?;
                self.incidents_at = ran.result;
                self.wake(ran.topics, now);
            } else if let Some(destination) = self.next_due(now) {
                self.deliver(&destination, now)?;
            } else {
                return Ok(());
            }
        }
    }

    fn deliver(&mut self, destination: &DestinationName, now: Timestamp) -> Result<(), StoreError> {
        let is_editable = self.settings.editable.contains(destination);
        let ran = self.store.deliver_due(destination, is_editable, now)?;
        self.due_at.remove(destination);
        // There may be more than one call delivers.
        let next_at = match ran.result.is_empty() {
            true => self.store.next_due_at(destination, now)?,
            false => Some(now),
        };
        if let Some(at) = next_at {
            self.due_at.insert(destination.clone(), at);
        }
        for work in &ran.result {
            let sent = self.sent(work, now);
            self.timeline.sent.push(sent);
        }
        self.wake(ran.topics, now);
        Ok(())
    }

    fn sent(&self, work: &Work, now: Timestamp) -> Sent {
        let delivery = &work.delivery;
        let about = match (&work.incident, delivery.spec.news) {
            (Some(incident), Some(news)) => About::Incident {
                id: incident.id,
                news,
                reports: incident.progress.count,
            },
            _ => match summary(work) {
                Some(summary) => About::Summary {
                    reports: summary.count,
                    hours: summary.hours,
                },
                None => {
                    let received = self.received.get(&delivery.event);
                    About::Report(received.map_or(0, |(number, _)| *number))
                }
            },
        };
        Sent {
            after: now.since(self.start),
            destination: delivery.destination.clone(),
            is_edit: delivery.trigger == Trigger::Edit,
            was_held: delivery.held_for == Some(HeldFor::Hold),
            mentions: delivery.spec.mentions.clone(),
            about,
        }
    }

    /// Notes which workers of a relay would be woken.
    fn wake(&mut self, topics: impl IntoIterator<Item = Topic>, now: Timestamp) {
        for topic in topics {
            match topic {
                Topic::Destination(destination) => drop(self.due_at.insert(destination, now)),
                Topic::Incidents => {
                    self.incidents_at = Some(self.incidents_at.map_or(now, |at| at.min(now)));
                }
                Topic::Images | Topic::Statuses | Topic::Silences => {}
            }
        }
    }

    fn finish(self, end: Timestamp) -> Result<Timeline, StoreError> {
        let mut incidents = self.store.incidents()?;
        incidents.reverse();
        let mut silences = self.store.silences(end)?;
        silences.reverse();
        Ok(Timeline {
            incidents,
            silences,
            suppressed: self.store.suppressed_reports()?,
            held: Held::all(self.store.held()?),
            ..self.timeline
        })
    }
}

/// Returns the summary that a delivery sends; `None` if it sends something else.
fn summary(work: &Work) -> Option<Summary> {
    let body = work.event.body.as_ref()?;
    let is_summary = work.event.event_type == SUMMARY;
    is_summary.then(|| read_summary(body.expose())).flatten()
}

/// Returns the event as intake reads it, as if it happened now. Ids are new, so that it is not a repeat.
fn reading(event: &Event, number: u64, now: Timestamp) -> Reading {
    let id = format!("simulated-{number}");
    let mut event = event.clone();
    event.id = EventId::new(id.as_str());
    event.created_at = Some(now);
    let mut feedback = None;
    let mut event_type = feishu::UPDATED;
    if let Content::Created(report) = &mut event.content {
        report.id = Some(id.clone());
        feedback = report.app_id.clone().map(|app| (app, id));
        event_type = feishu::CREATED;
    }
    Reading {
        id: event.id.clone(),
        event_type: event_type.to_owned(),
        feedback,
        found: Found::Event(Box::new(event)),
        body: Private::new(""),
    }
}
