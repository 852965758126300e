//! The demo's script: an opening that shows one feature after another, then a report from time to
//! time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::chats::{Chat, Condition};
use super::reports::{AGAIN_FROM, COUNT, told};
use super::world::World;

/// A step of the script.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Sends the next report.
    Report,
    /// Pushes the first event again.
    Repeat,
    /// Changes how a chat responds.
    Turns(Chat, Condition),
}

/// The opening: the delay in milliseconds before each step.
const OPENING: &[(u64, Act)] = &[
    (0, Act::Report),
    (3500, Act::Report),
    (3500, Act::Report),
    (3500, Act::Repeat),
    (3000, Act::Turns(Chat::Slack, Condition::Fails)),
    (500, Act::Report),
    (8000, Act::Turns(Chat::Slack, Condition::Works)),
    (5000, Act::Report),
];
/// The time between reports after the opening.
const EVERY: Duration = Duration::from_secs(25);
/// The number of reports after which the script stops.
const REPORTS_MAX: usize = 100;
/// The time between two checks whether the visitor paused or ended the demo.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Whether the script is paused.
#[derive(Debug, Default)]
pub(super) struct Pause(AtomicBool);

impl Pause {
    pub(super) fn set(&self, paused: bool) {
        self.0.store(paused, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    async fn over(&self) {
        while self.is_set() {
            sleep(LOOK_EVERY).await;
        }
    }
}

/// Runs the script.
pub(super) async fn run(world: Arc<World>, pause: Arc<Pause>) {
    let mut first: Option<Value> = None;
    let mut next = 0;
    for (after, act) in OPENING {
        sleep(Duration::from_millis(*after)).await;
        pause.over().await;
        match act {
            Act::Report => {
                let made = world.report(&told(next)).await;
                first.get_or_insert(made.event);
                next += 1;
            }
            Act::Repeat => {
                if let Some(event) = &first {
                    world.push(event).await;
                }
            }
            Act::Turns(chat, condition) => world.set_condition(*chat, *condition),
        }
    }
    while next < REPORTS_MAX {
        sleep(EVERY).await;
        pause.over().await;
        world.report(&told(which(next))).await;
        next += 1;
    }
}

/// Returns the index of report number `next`: first each once, then the later ones repeatedly.
fn which(next: usize) -> usize {
    if next < COUNT {
        return next;
    }
    AGAIN_FROM + (next - COUNT) % (COUNT - AGAIN_FROM)
}

/// Sends status changes in Feishu to the relay, soon after they happen.
pub(super) async fn echo(world: Arc<World>) {
    loop {
        sleep(LOOK_EVERY).await;
        world.push_updates().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_restores_chats_and_keeps_report_order() {
        let mut broken = OPENING.iter().filter_map(|(_, act)| match act {
            Act::Turns(chat, condition) => Some((chat, condition)),
            Act::Report | Act::Repeat => None,
        });
        assert_eq!(broken.next_back(), Some((&Chat::Slack, &Condition::Works)));
        let order: Vec<usize> = (0..COUNT + 7).map(which).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 2, 3, 4, 5, 6, 2, 3]);
    }
}
