//! Lists destinations with the reasons for their delays, and resumes them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::destination::{Paces, RateLimit, Settings, SharedPace, waits};
use crate::model::{DestinationName, Timestamp};
use crate::store::{GateRecord, QueueStats, Store, StoreError};
use crate::view::{DestinationView, Wait};

/// Shorter waits for a rate limit are not shown.
const MOMENT: Duration = Duration::from_secs(2);

/// The collected facts about a destination.
#[derive(Debug, Default)]
struct Known {
    /// Its `kind` in the configuration; `None`: it is no longer configured.
    kind: Option<&'static str>,
    paces: Vec<SharedPace>,
    queue: Option<QueueStats>,
    gate: Option<GateRecord>,
}

/// Returns all destinations by name: those of `destinations`, and those that only the store knows.
pub async fn list(
    store: &Store,
    destinations: &BTreeMap<DestinationName, Settings>,
    now: Timestamp,
) -> Result<Vec<DestinationView>, StoreError> {
    let queues = store.stats().await?.queues;
    let gates = store.gates().await?;
    let configured = destinations.iter().map(|(name, settings)| {
        let known = Known {
            kind: Some(settings.kind.key()),
            paces: settings.paces(),
            ..Known::default()
        };
        (name.clone(), known)
    });
    Ok(views(configured.collect(), queues, gates, now))
}

/// Makes a stopped or broken destination try again at once.
pub async fn resume(store: &Store, destination: &DestinationName) -> Result<(), StoreError> {
    store.resume(destination).await
}

fn views(
    mut known: BTreeMap<DestinationName, Known>,
    queues: Vec<QueueStats>,
    gates: Vec<GateRecord>,
    now: Timestamp,
) -> Vec<DestinationView> {
    let paces: Paces = known
        .iter()
        .map(|(name, one)| (name.clone(), one.paces.clone()))
        .collect();
    let waiting = queues.iter();
    let waiting = waiting.map(|queue| (queue.destination.clone(), queue.pending));
    let mut waits = waits(&paces, &waiting.collect());
    for queue in queues {
        let one = known.entry(queue.destination.clone()).or_default();
        one.queue = Some(queue);
    }
    for gate in gates {
        // The gate of a removed destination has no effect any more.
        if let Some(one) = known.get_mut(&gate.destination) {
            one.gate = Some(gate);
        }
    }
    let all = known.into_iter();
    all.map(|(name, one)| {
        let wait = waits.remove(&name).and_then(wait);
        view(name, one, wait, now)
    })
    .collect()
}

fn view(
    name: DestinationName,
    known: Known,
    wait: Option<Wait>,
    now: Timestamp,
) -> DestinationView {
    let queue = known.queue.as_ref();
    let pending = queue.map_or(0, |queue| queue.pending);
    let gate = known.gate.unwrap_or_else(|| GateRecord::open(name.clone()));
    DestinationView {
        name,
        kind: known.kind,
        pending,
        sending: queue.map_or(0, |queue| queue.sending),
        dead: queue.map_or(0, |queue| queue.dead),
        held: queue.map_or(0, |queue| queue.held),
        oldest_at: queue.and_then(|queue| queue.oldest_at),
        paced_until: gate.blocked_until.filter(|until| *until > now),
        broken_since: gate.open_since,
        failing_since: gate.failing_since,
        stopped: gate.stopped,
        paces: known.paces.iter().map(|one| one.pace.to_string()).collect(),
        wait,
    }
}

/// Returns a wait as it is shown; `None` if it is shorter than [`MOMENT`].
fn wait((pace, time): (RateLimit, Duration)) -> Option<Wait> {
    (time > MOMENT).then(|| Wait {
        pace: pace.to_string(),
        seconds: time.as_secs(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::PaceKey;

    const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);

    fn queue(destination: &str, pending: u64, dead: u64) -> QueueStats {
        QueueStats {
            destination: destination.into(),
            pending,
            sending: 1,
            dead,
            oldest_at: Some(NOW),
            held: 0,
        }
    }

    fn configured(name: &str, paces: Vec<SharedPace>) -> (DestinationName, Known) {
        let kind = Some("webhook");
        let known = Known {
            kind,
            paces,
            ..Known::default()
        };
        (name.into(), known)
    }

    #[test]
    fn wait_for_a_rate_is_shown() {
        let pace = SharedPace {
            key: PaceKey::of(&["bot"]),
            pace: RateLimit {
                count: 95,
                per: Duration::from_secs(60),
            },
        };
        let known = BTreeMap::from([configured("bot", vec![pace])]);
        let views = views(known, vec![queue("bot", 212, 0)], Vec::new(), NOW);
        let wait = Wait {
            pace: "95/min".into(),
            seconds: 120,
        };
        assert_eq!(views[0].wait.as_ref(), Some(&wait));
        assert_eq!(serde_json::to_value(&views[0]).unwrap()["wait_s"], 120);
    }

    /// They send in turns, so the shorter queue of two ends first.
    #[test]
    fn destinations_that_share_a_rate_wait_for_each_other() {
        let pace = |key: &str| SharedPace {
            key: PaceKey::of(&[key]),
            pace: RateLimit {
                count: 1,
                per: Duration::from_secs(1),
            },
        };
        let known = BTreeMap::from([
            configured("long", vec![pace("bot")]),
            configured("short", vec![pace("bot")]),
            configured("alone", vec![pace("other")]),
        ]);
        let queues = vec![
            queue("long", 31, 0),
            queue("short", 11, 0),
            queue("alone", 11, 0),
        ];
        let views = views(known, queues, Vec::new(), NOW);
        let waits = views.iter().map(|one| {
            let seconds = one.wait.as_ref().map(|wait| wait.seconds);
            (one.name.as_str(), seconds)
        });
        let waits: Vec<_> = waits.collect();
        assert_eq!(
            waits,
            [("alone", Some(10)), ("long", Some(41)), ("short", Some(21))]
        );
    }

    #[test]
    fn pause_that_is_over_is_not_shown() {
        let gate = |destination: &str, until| GateRecord {
            blocked_until: Some(until),
            ..GateRecord::open(destination.into())
        };
        let later = NOW + Duration::from_secs(30);
        let known = ["ops", "product"].map(|name| configured(name, Vec::new()));
        let gates = vec![
            gate("ops", later),
            gate("product", NOW),
            gate("removed", later),
        ];
        let views = views(known.into(), vec![queue("gone", 0, 2)], gates, NOW);
        let shown: Vec<_> = views
            .iter()
            .map(|one| (one.name.as_str(), one.kind, one.dead, one.paced_until))
            .collect();
        assert_eq!(
            shown,
            [
                ("gone", None, 2, None),
                ("ops", Some("webhook"), 0, Some(later)),
                ("product", Some("webhook"), 0, None),
            ]
        );
    }
}
