//! Handles the changes of a lane's gate: stores and reports them, applies reloads and `destinations resume`.
//! Reroutes waiting messages to the fallback, and expires messages that were retried for too long.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Lane, limits};
use crate::deliver::Settings;
use crate::deliver::lane::gate::Change;
use crate::model::{Notice, NoticeKind, Rank, Timestamp, Trigger};
use crate::store::{Expired, FallBack, NOTICE, Position};
use crate::telemetry::events::{DeliveryEnded, GateChanged};

/// How often a failing lane checks tried messages again. An earlier pass may have missed some.
const PASS_EVERY: Duration = Duration::from_secs(10);
/// The interval at which a lane looks for messages that have waited longer than `stale_after`.
const STALE_EVERY: Duration = Duration::from_secs(60);
/// Number of expiry checks within `retry_for`, with the shortest and longest time between two checks.
const EXPIRY_CHECKS: u32 = 20;
const EXPIRY_EVERY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];
/// A pass starts this long before the last due time of the previous one. The overlap is needed because ids of
/// the same millisecond are in random order.
const OVERLAP: Duration = Duration::from_secs(1);

/// The progress of rerouting messages to the fallback.
pub(super) struct Failover {
    which: Option<FallBack>,
    /// Ranges of waiting messages that the current pass has not read yet: the rank, and whether messages
    /// were tried.
    ranges: Vec<(Rank, bool)>,
    position: Position,
    /// Where the last pass through untried critical messages ended.
    untried_done: Position,
    pass_at: Instant,
    expire_at: Instant,
}

impl Failover {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            which: None,
            ranges: Vec::new(),
            position: Position::START,
            untried_done: Position::START,
            pass_at: now,
            expire_at: now,
        }
    }

    /// Starts a pass at once, because new messages may be waiting.
    pub(super) fn on_news(&mut self) {
        self.pass_at = Instant::now();
    }

    fn begin_pass(&mut self, which: FallBack) {
        if self.which.replace(which) != Some(which) {
            self.untried_done = Position::START;
        }
        self.pass_at = Instant::now() + PASS_EVERY;
        self.ranges = match which {
            FallBack::Critical => vec![(Rank::Critical, true), (Rank::Critical, false)],
            FallBack::Everything => {
                let all = Rank::ALL.iter().copied();
                all.flat_map(|rank| [(rank, true), (rank, false)]).collect()
            }
        };
        self.begin_range();
    }

    fn begin_range(&mut self) {
        // Messages of a stopped destination no longer wait after the handover, so each pass begins at the
        // start.
        let continues = self.which == Some(FallBack::Critical)
            && self.ranges.last() == Some(&(Rank::Critical, false));
        self.position = match continues {
            true => self.untried_done,
            false => Position::START,
        };
    }

    fn end_range(&mut self) {
        if self.ranges.pop() == Some((Rank::Critical, false)) {
            let due_at = self.position.due_at;
            self.untried_done = Position {
                due_at: due_at - OVERLAP,
                ..Position::START
            };
        }
        self.begin_range();
    }
}

impl Lane {
    /// Handles the gate's changes since the last call.
    pub(super) async fn on_gate_change(&mut self) {
        let update = self.gate.take_update();
        if update.persist
            && let Err(error) = self
                .sender
                .store
                .put_gate(self.gate.with(|gate| gate.record()))
                .await
        {
            tracing::warn!(destination = %self.name, %error, "failed to persist gate state");
        }
        for change in update.changes {
            self.on_change(change).await;
        }
    }

    async fn on_change(&mut self, change: Change) {
        match change {
            Change::Paused(pause) => {
                tracing::debug!(destination = %self.name, pause_s = pause.as_secs(), "destination asked for a pause");
            }
            Change::Opened => self.emit_gate_state(),
            Change::Stopped(reason) => {
                self.emit_gate_state();
                let text = format!(
                    "Destination {} is stopped: {reason}. It is retried every ten minutes; \
                     `feedback-relay destinations resume {}` retries at once.",
                    self.name, self.name
                );
                let subject = self.name.to_string();
                let notice = Notice {
                    kind: NoticeKind::DestinationStopped,
                    subject,
                    text,
                };
                self.sender.operator.notify(notice).await;
            }
            Change::WorksAgain => {
                self.emit_gate_state();
                // What waited too long must be merged before it is sent.
                self.stale_at = Instant::now();
                self.summarise_stale().await;
                self.prefetcher.poll_now();
                if let Err(error) = self.sender.store.make_due(&self.name).await {
                    tracing::warn!(destination = %self.name, %error, "failed to make retries due now; they run at their scheduled times");
                }
            }
        }
    }

    /// Merges messages that have waited longer than `stale_after`, unless the destination fails: then more would
    /// follow.
    pub(super) async fn summarise_stale(&mut self) {
        let now = Instant::now();
        let is_failing = self.gate.with(|gate| gate.is_failing());
        let Some(stale_after) = self.destination.common().stale_after else {
            return;
        };
        if is_failing || now < self.stale_at {
            return;
        }
        self.stale_at = now + STALE_EVERY;
        let store = &self.sender.store;
        match store.summarise_stale(&self.name, stale_after).await {
            Ok(summaries) if summaries.is_empty() => {}
            Ok(summaries) => {
                tracing::info!(destination = %self.name, summaries = summaries.len(), "merged messages that waited longer than stale_after");
            }
            Err(error) => {
                tracing::warn!(destination = %self.name, %error, "failed to merge messages that waited too long; they are sent individually");
            }
        }
    }

    pub(super) fn emit_gate_state(&self) {
        self.gate.with(|gate| {
            self.sender.metrics.emit(GateChanged {
                destination: &self.name,
                breaker_open: gate.is_open(),
                stopped: gate.stop_reason(),
            });
        });
    }

    /// Applies new limits and releases the gate, because a reload may have fixed the fault.
    pub(super) async fn apply_reload(&mut self, settings: &Settings) {
        let Some(destination) = settings.destinations.get(&self.name) else {
            return;
        };
        if Arc::ptr_eq(destination, &self.destination) {
            return;
        }
        self.destination = Arc::clone(destination);
        let (limits, now) = (limits(destination.as_ref()), self.sender.now());
        self.gate.update(|gate| {
            gate.set_limits(&limits);
            gate.release(now)
        });
        self.on_gate_change().await;
    }

    /// Applies `destinations resume`, which increments a counter in the store.
    pub(super) async fn check_resume(&mut self) {
        if !std::mem::take(&mut self.news) || !self.gate.with(|gate| gate.is_failing()) {
            return;
        }
        let Ok(resumes) = self.sender.store.resumes(&self.name).await else {
            self.news = true;
            return;
        };
        if std::mem::replace(&mut self.resumes, resumes) != resumes {
            let now = self.sender.now();
            self.gate.update(|gate| gate.resume(now));
        }
    }

    /// Reroutes waiting messages to the fallback: all messages of a stopped destination, and critical ones of a
    /// destination that has failed for too long. Expires messages that were retried for too long. Returns
    /// whether more work is left.
    pub(super) async fn hand_over_waiting(&mut self) -> bool {
        if !self.gate.with(|gate| gate.is_failing()) {
            self.failover.which = None;
            self.failover.ranges.clear();
            return false;
        }
        let more = self.expire().await;
        self.fall_back().await || more
    }

    async fn fall_back(&mut self) -> bool {
        let common = self.destination.common();
        let Some(to) = common.fallback.clone() else {
            return false;
        };
        let now = self.sender.now();
        let (stopped, probing, failing_for) = self.gate.with(|gate| {
            let stopped = gate.stop_reason().is_some();
            (stopped, gate.permits(now).count > 0, gate.failing_for(now))
        });
        let which = if stopped && !probing {
            FallBack::Everything
        } else if !stopped
            && common
                .fallback_after
                .is_some_and(|limit| failing_for >= limit)
        {
            FallBack::Critical
        } else {
            // A stopped destination keeps a message to be probed with; otherwise nothing would show that it
            // works again.
            return false;
        };
        let failover = &mut self.failover;
        let due = failover.which != Some(which) || failover.pass_at <= Instant::now();
        if failover.ranges.is_empty() && due {
            failover.begin_pass(which);
        }
        let Some(range) = failover.ranges.last().copied() else {
            return false;
        };
        let until = match range {
            (_, true) => Timestamp::from_millis(i64::MAX),
            (_, false) => now.wall,
        };
        let position = failover.position;
        let store = &self.sender.store;
        let page = match store
            .failover_page(&self.name, range, position, until)
            .await
        {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(destination = %self.name, %error, "failed to read deliveries to reroute to the fallback");
                return false;
            }
        };
        if !page.ids.is_empty() {
            match store.fall_back(page.ids, &to, which).await {
                Ok(0) => {}
                Ok(count) => {
                    tracing::warn!(destination = %self.name, fallback = %to, count, "rerouted deliveries to the fallback");
                }
                Err(error) => {
                    tracing::error!(destination = %self.name, %error, "failed to reroute deliveries to fallback");
                    return false;
                }
            }
        }
        self.failover.position = page.next;
        if !page.full {
            self.failover.end_range();
        }
        !self.failover.ranges.is_empty()
    }

    async fn expire(&mut self) -> bool {
        if Instant::now() < self.failover.expire_at {
            return false;
        }
        let common = self.destination.common();
        let retry_for = common.retry_for;
        let now = self.sender.now();
        let failing_from = self.gate.with(|gate| gate.failing_from(now));
        let fallback = common.fallback.clone();
        let store = &self.sender.store;
        let expired = store.expire(&self.name, retry_for, failing_from, fallback);
        let expired = match expired.await {
            Ok(expired) => expired,
            Err(error) => {
                tracing::error!(destination = %self.name, %error, "failed to expire deliveries that were retried for too long");
                Vec::new()
            }
        };
        if expired.is_empty() {
            let [least, most] = EXPIRY_EVERY;
            let pause = (retry_for / EXPIRY_CHECKS).clamp(least, most);
            self.failover.expire_at = Instant::now() + pause;
            return false;
        }
        self.report_expired(&expired).await;
        true
    }

    async fn report_expired(&self, expired: &[Expired]) {
        for one in expired {
            self.sender.metrics.emit(DeliveryEnded {
                id: one.id,
                destination: &self.name,
                how: match one.trigger {
                    Trigger::Edit => "discarded",
                    _ => "dead",
                },
                reason: Some(&one.reason),
                latency: None,
            });
        }
        let lost = |one: &&Expired| {
            !one.rerouted && one.event_type != NOTICE && one.trigger != Trigger::Edit
        };
        let mut lost = expired.iter().filter(lost);
        let Some(first) = lost.next() else { return };
        let text = format!(
            "{} deliveries to {} are dead, the first of them {}: {}. \
             `feedback-relay deliveries list --state dead` lists them.",
            lost.count() + 1,
            self.name,
            first.id,
            first.reason
        );
        let notice = Notice {
            kind: NoticeKind::DeliveryDead,
            subject: self.name.to_string(),
            text,
        };
        self.sender.operator.notify(notice).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all ranges of the pass to their end; the last message of each is at `last`. Returns where each range
    /// began.
    fn read_pass(failover: &mut Failover, last: Position) -> Vec<((Rank, bool), Position)> {
        let mut begun = Vec::new();
        while let Some(range) = failover.ranges.last().copied() {
            begun.push((range, failover.position));
            failover.position = last;
            failover.end_range();
        }
        begun
    }

    #[test]
    fn pass_skips_untried_messages_that_it_has_read() {
        let (untried, tried) = ((Rank::Critical, false), (Rank::Critical, true));
        let last = Position {
            due_at: Timestamp::from_millis(1_711_111_111_000),
            ..Position::START
        };
        let mut failover = Failover::new();
        failover.begin_pass(FallBack::Critical);
        let first = read_pass(&mut failover, last);
        assert_eq!(
            first,
            [(untried, Position::START), (tried, Position::START)]
        );
        failover.begin_pass(FallBack::Critical);
        let (range, from) = read_pass(&mut failover, last)[0];
        assert_eq!((range, from.due_at), (untried, last.due_at - OVERLAP));
        // A stop reroutes everything, also what an earlier pass left.
        failover.begin_pass(FallBack::Everything);
        let all = read_pass(&mut failover, last);
        assert_eq!(all.len(), 2 * Rank::ALL.len());
        assert!(all.iter().all(|(_, from)| *from == Position::START));
    }

    #[test]
    fn news_starts_a_pass_before_its_time() {
        let mut failover = Failover::new();
        failover.begin_pass(FallBack::Critical);
        assert!(failover.pass_at > Instant::now());
        failover.on_news();
        assert!(failover.pass_at <= Instant::now());
    }
}
