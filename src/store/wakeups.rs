//! Wakes only the workers for which a commit created work.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::model::DestinationName;

/// The work that a worker waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Deliveries to this destination.
    Destination(DestinationName),
    /// Images to fetch.
    Images,
    /// Statuses to write to the platform.
    Statuses,
    /// Timers of incidents.
    Incidents,
    /// Silences, which were added, changed or ended.
    Silences,
}

/// One counter per topic that has a subscriber. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Wakeups(Arc<Mutex<HashMap<Topic, watch::Sender<u64>>>>);

impl Wakeups {
    /// Returns a counter that changes when there may be new work of this topic. It is a hint and may
    /// change too often.
    pub(super) fn subscribe(&self, topic: Topic) -> watch::Receiver<u64> {
        let mut counters = self.counters();
        // Remove counters without readers, because reloads add and remove destinations.
        counters.retain(|_, counter| counter.receiver_count() > 0);
        counters.entry(topic).or_default().subscribe()
    }

    /// Wakes the subscribers of `topics`.
    pub(super) fn notify(&self, topics: &HashSet<Topic>) {
        if topics.is_empty() {
            return;
        }
        let counters = self.counters();
        for topic in topics {
            if let Some(counter) = counters.get(topic) {
                counter.send_modify(|count| *count = count.wrapping_add(1));
            }
        }
    }

    /// Wakes all subscribers, because another process changed something.
    pub(super) fn notify_all(&self) {
        for counter in self.counters().values() {
            counter.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    fn counters(&self) -> MutexGuard<'_, HashMap<Topic, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_is_woken_by_its_own_topic_only() {
        let wakeups = Wakeups::default();
        let chat = Topic::Destination("chat".into());
        let (chats, images) = (
            wakeups.subscribe(chat.clone()),
            wakeups.subscribe(Topic::Images),
        );
        wakeups.notify(&HashSet::from([chat, Topic::Statuses]));
        assert!(chats.has_changed().unwrap());
        assert!(!images.has_changed().unwrap());
        wakeups.notify_all();
        assert!(images.has_changed().unwrap());
    }

    #[test]
    fn counter_without_readers_is_dropped() {
        let wakeups = Wakeups::default();
        drop(wakeups.subscribe(Topic::Destination("gone".into())));
        let _kept = wakeups.subscribe(Topic::Images);
        assert_eq!(wakeups.counters().len(), 1);
    }
}
