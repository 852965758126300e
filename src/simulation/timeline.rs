//! The result of a simulation: what was sent when.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;
use std::time::Duration;

use crate::model::{
    DestinationName, Incident, IncidentId, IncidentNews, RuleName, Silence, Timestamp,
};
use crate::store::HeldDelivery;

/// What a simulation sent and counted.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// The number of events that were received.
    pub events: u64,
    /// All messages and edits, in the order in which they were sent.
    pub sent: Vec<Sent>,
    /// The incidents that were opened, as they were at the end, oldest first.
    pub incidents: Vec<Incident>,
    /// The silences, as they were at the end, oldest first.
    pub silences: Vec<Silence>,
    /// The number of reports of which silences muted messages.
    pub suppressed: u64,
    /// The messages that were still held at the end.
    pub held: BTreeMap<DestinationName, Held>,
    /// The rules that matched an event.
    pub rules: BTreeSet<RuleName>,
}

/// The messages to one destination that are still held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    pub messages: u64,
    /// The end of the first window.
    pub until: Timestamp,
}

impl Held {
    /// Counts held deliveries by destination.
    pub(super) fn all(deliveries: Vec<HeldDelivery>) -> BTreeMap<DestinationName, Self> {
        let mut all: BTreeMap<DestinationName, Self> = BTreeMap::new();
        for HeldDelivery {
            destination, until, ..
        } in deliveries
        {
            let none = Self { messages: 0, until };
            let held = all.entry(destination).or_insert(none);
            held.messages += 1;
            held.until = held.until.min(until);
        }
        all
    }
}

/// A message, or an edit of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// When it was sent, from the start.
    pub after: Duration,
    pub destination: DestinationName,
    /// Whether it changes an earlier message. An edit notifies nobody.
    pub is_edit: bool,
    /// Whether `hold` delayed it. A summary is new, but what it counts was held.
    pub was_held: bool,
    /// Names of the people that it mentions.
    pub mentions: Vec<String>,
    pub about: About,
}

/// The subject of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// The event with this position among all, from 1.
    Report(u64),
    /// An incident.
    Incident {
        id: IncidentId,
        /// Why the message is sent; for an edit, why the edited one was sent.
        news: IncidentNews,
        /// The number of reports that the message counts.
        reports: u64,
    },
    /// Messages of one rule that were held.
    Summary {
        /// The number of reports that it counts.
        reports: u64,
        /// The windows of `hold` as they are written.
        hours: Option<String>,
    },
}

/// Equal messages to one destination, without others between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub first: Sent,
    /// The last one; the first if there is only one.
    pub last: Sent,
    pub count: u64,
}

impl Timeline {
    /// Returns the number of messages to each destination, without edits.
    pub fn messages(&self) -> BTreeMap<&DestinationName, u64> {
        self.count(false)
    }

    /// Returns the number of edits at each destination.
    pub fn edits(&self) -> BTreeMap<&DestinationName, u64> {
        self.count(true)
    }

    fn count(&self, edits: bool) -> BTreeMap<&DestinationName, u64> {
        let mut counts = BTreeMap::new();
        for sent in self.sent.iter().filter(|one| one.is_edit == edits) {
            *counts.entry(&sent.destination).or_default() += 1;
        }
        counts
    }

    /// Returns the timeline in few lines, ordered by the first message of each. `only` is the only destination;
    /// `None`: all.
    pub fn stretches(&self, only: Option<&DestinationName>) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut open: BTreeMap<&DestinationName, usize> = BTreeMap::new();
        let is_wanted = |sent: &&Sent| only.is_none_or(|only| *only == sent.destination);
        for sent in self.sent.iter().filter(is_wanted) {
            let index = open.get(&sent.destination);
            let last = index.and_then(|index| stretches.get_mut(*index));
            if let Some(last) = last.filter(|one| one.first.is_like(sent)) {
                last.last = sent.clone();
                last.count += 1;
            } else {
                open.insert(&sent.destination, stretches.len());
                stretches.push(Stretch {
                    first: sent.clone(),
                    last: sent.clone(),
                    count: 1,
                });
            }
        }
        stretches
    }
}

impl Sent {
    /// Returns whether the other message belongs in one line with this one.
    fn is_like(&self, other: &Self) -> bool {
        let same_subject = match (&self.about, &other.about) {
            (
                About::Incident { id, news, .. },
                About::Incident {
                    id: other_id,
                    news: other_news,
                    ..
                },
            ) => id == other_id && news == other_news,
            (About::Summary { .. }, _) => false,
            (one, other) => discriminant(one) == discriminant(other),
        };
        same_subject
            && self.is_edit == other.is_edit
            && self.was_held == other.was_held
            && self.mentions == other.mentions
    }
}
