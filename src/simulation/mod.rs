//! Runs reports through the rules and a store in memory, on a clock of its own, and records what would be sent when.
//!
//! The simulation decides nothing itself. [`intake::planned`] plans each report, and the store counts it, merges it
//! and runs the timers of incidents, as in a relay. Only time and sending are replaced: time jumps from one event or
//! timer to the next, and each message is delivered at once. Images count as fetched.

mod timeline;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::feishu::{self, Found, Reading};
use crate::intake;
use crate::model::{
    Content, DestinationName, Event, EventId, EventSeq, Private, Timestamp, Trigger,
};
use crate::rules::SilenceSet;
use crate::store::{Accepted, MemoryStore, StoreError, Topic, Work};

pub use timeline::{About, Sent, Stretch, Timeline};

/// How many events a simulation has at most.
pub const EVENTS_MAX: u64 = 10_000;

/// How long a simulation lasts at most.
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
    /// How often it happens.
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

/// Runs the simulation from `start` on. It lasts for `lasts`, or until nothing is left to do, at most [`LASTS_MAX`].
pub fn run(
    settings: &Settings,
    start: Timestamp,
    events: &[Repeated],
    lasts: Option<Duration>,
) -> Result<Timeline, StoreError> {
    let mut simulation = Simulation {
        settings,
        store: MemoryStore::new()?,
        start,
        incidents_at: None,
        woken: BTreeSet::new(),
        numbers: HashMap::new(),
        timeline: Timeline::default(),
    };
    let end = start + lasts.unwrap_or(LASTS_MAX).min(LASTS_MAX);
    let arrivals = events.iter();
    let arrivals = arrivals.flat_map(|one| one.moments().map(|after| (start + after, &one.event)));
    let mut arrivals: Vec<(Timestamp, &Event)> = arrivals.collect();
    // The sort is stable: of events at one time, the first written comes first.
    arrivals.sort_by_key(|(at, _)| *at);
    for (at, event) in arrivals.into_iter().take_while(|(at, _)| *at <= end) {
        simulation.run_until(at)?;
        simulation.receive(event, at)?;
    }
    simulation.run_until(end)?;
    simulation.finish()
}

struct Simulation<'a> {
    settings: &'a Settings,
    store: MemoryStore,
    start: Timestamp,
    /// When the next timer of an incident is due; `None` if there is none.
    incidents_at: Option<Timestamp>,
    /// The destinations that may have due deliveries.
    woken: BTreeSet<DestinationName>,
    /// The position of each event among all, from 1.
    numbers: HashMap<EventSeq, u64>,
    timeline: Timeline,
}

impl Simulation<'_> {
    /// Receives an event, and does everything that is due then.
    fn receive(&mut self, event: &Event, now: Timestamp) -> Result<(), StoreError> {
        self.timeline.events += 1;
        let number = self.timeline.events;
        let reading = reading(event, number, now);
        let (plan, arrival) = intake::planned(
            &event.via,
            reading,
            &self.settings.intake,
            &SilenceSet::default(),
            now,
        );
        self.timeline.rules.extend(plan.rules);
        let accepted = self.store.accept(&arrival, now)?;
        let (Accepted::New(seq) | Accepted::Repeat(seq)) = accepted.result;
        self.numbers.insert(seq, number);
        self.wake(accepted.topics, now);
        self.settle(now)
    }

    /// Runs everything that is due up to `end`, each at its time.
    fn run_until(&mut self, end: Timestamp) -> Result<(), StoreError> {
        while let Some(at) = self.incidents_at.filter(|at| *at <= end) {
            self.settle(at)?;
        }
        Ok(())
    }

    /// Runs the timers that are due and sends messages, until there are none.
    fn settle(&mut self, now: Timestamp) -> Result<(), StoreError> {
        loop {
            if self.incidents_at.is_some_and(|at| at <= now) {
                let ran = self.store.advance_incidents(now)?;
                self.incidents_at = ran.result;
                self.wake(ran.topics, now);
            } else if let Some(destination) = self.woken.pop_first() {
                self.deliver(&destination, now)?;
            } else {
                return Ok(());
            }
        }
    }

    fn deliver(&mut self, destination: &DestinationName, now: Timestamp) -> Result<(), StoreError> {
        let is_editable = self.settings.editable.contains(destination);
        let ran = self.store.deliver_due(destination, is_editable, now)?;
        if !ran.result.is_empty() {
            // There may be more than one call delivers.
            self.woken.insert(destination.clone());
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
            _ => About::Report(self.numbers.get(&delivery.event).copied().unwrap_or(0)),
        };
        Sent {
            after: now.since(self.start),
            destination: delivery.destination.clone(),
            is_edit: delivery.trigger == Trigger::Edit,
            mentions: delivery.spec.mentions.clone(),
            about,
        }
    }

    /// Notes which workers of a relay would be woken.
    fn wake(&mut self, topics: impl IntoIterator<Item = Topic>, now: Timestamp) {
        for topic in topics {
            match topic {
                Topic::Destination(destination) => drop(self.woken.insert(destination)),
                Topic::Incidents => {
                    self.incidents_at = Some(self.incidents_at.map_or(now, |at| at.min(now)));
                }
                Topic::Images | Topic::Statuses | Topic::Silences => {}
            }
        }
    }

    fn finish(self) -> Result<Timeline, StoreError> {
        let mut incidents = self.store.incidents()?;
        incidents.reverse();
        Ok(Timeline {
            incidents,
            ..self.timeline
        })
    }
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
        report.images.clear();
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
