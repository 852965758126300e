//! Prefetches deliveries for a lane from the store while sends run, so that no send has to wait for a commit.
//!
//! A lane leases as many deliveries as may start. If sends ended during the last lease, it leases that many
//! times [`READY_FOR_EACH`] more. So a fast destination always finds the next delivery ready. A slow one keeps
//! nothing in memory that could wait in the store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::limits::{SharedLimits, Slot};
use crate::destination::{Destination, SharedPace};
use crate::model::{Clock, DestinationName, Lease, Timestamp};
use crate::store::{Store, Work};

/// A lane that has work polls at least this often, because due times are wall times and the wall clock may
/// jump.
pub(super) const POLL_AGAIN: Duration = Duration::from_secs(1);
/// A lane without work polls this often. Wakeups announce new work; the poll finds leases that were never
/// closed.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// The shortest lease. It is longer where two time limits of a send are longer.
const LEASE_MIN: Duration = Duration::from_secs(60);
/// The shortest pause after a poll that found nothing.
const SOON: Duration = Duration::from_millis(20);
/// The pause of a lane after a store error.
pub(super) const STORE_PAUSE: Duration = Duration::from_millis(500);
/// Prefetched deliveries that were not begun within this time are released. They may have been erased, or
/// another delivery may be more urgent by then.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// Deliveries to prefetch for each send that ended during a poll. Two cover this poll and the next, which
/// starts when half are used. Two more are a reserve, because commit latency varies.
pub(in crate::deliver) const READY_FOR_EACH: usize = 4;
/// The largest number of prefetched deliveries.
const READY_MAX: usize = 256;
/// The largest size of prefetched events in bytes, estimated by the mean size of the last poll.
const READY_BYTES_MAX: usize = 4 << 20;

/// A prefetched delivery, which may start.
pub(in crate::deliver) struct Prefetched {
    pub(in crate::deliver) lease: Arc<Lease<Work>>,
    /// Its slot in the limits that lanes share; `None` if the destination has none.
    pub(in crate::deliver) slot: Option<Slot>,
    /// When it was leased.
    since: Instant,
}

/// The result of a poll.
struct PollResult {
    leases: Vec<Lease<Work>>,
    /// The slot for the one leased delivery, if the destination shares limits.
    slot: Option<Slot>,
    /// The time until the next delivery is due, if nothing was leased.
    pause: Duration,
}

/// Prefetches deliveries for one lane.
pub(in crate::deliver) struct Prefetcher {
    name: DestinationName,
    store: Store,
    shared: SharedLimits,
    ready: VecDeque<Prefetched>,
    /// The running poll, at most one.
    polling: JoinSet<PollResult>,
    /// The next poll is not before this time.
    poll_at: Instant,
    /// Number of sends that ended during the current poll.
    ended: usize,
    /// Number of sends that ended during the last poll.
    ended_last: usize,
    /// The mean size of the events of the last poll, in bytes.
    bytes_each: usize,
    /// Whether something may have changed since the last poll found nothing.
    news: bool,
    /// Counts probes, so that each one starts at a different severity.
    turn: usize,
    /// The time until the next delivery is due, according to the last poll.
    idle_for: Duration,
}

impl Prefetcher {
    pub(in crate::deliver) fn new(
        name: DestinationName,
        store: Store,
        shared: SharedLimits,
    ) -> Self {
        Self {
            name,
            store,
            shared,
            ready: VecDeque::new(),
            polling: JoinSet::new(),
            poll_at: Instant::now(),
            ended: 0,
            ended_last: 0,
            bytes_each: 0,
            news: true,
            turn: 0,
            idle_for: Duration::ZERO,
        }
    }

    /// Polls at once, because there may be new work.
    pub(in crate::deliver) fn poll_now(&mut self) {
        self.poll_at = Instant::now();
        self.news = true;
    }

    /// Counts sends that have ended.
    pub(in crate::deliver) fn sends_ended(&mut self, count: usize) {
        if !self.polling.is_empty() {
            self.ended += count;
        }
    }

    /// Returns whether no prefetched delivery is waiting.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Returns the next delivery that may start, if there is one.
    pub(in crate::deliver) fn take_next(&mut self) -> Option<Prefetched> {
        self.ready.pop_front()
    }

    /// Removes stale deliveries: those that have waited for too long or whose lease ends before `until`. The
    /// lease is checked too, because leases end by the wall clock, which may jump.
    pub(in crate::deliver) fn take_stale(&mut self, until: Timestamp) -> Vec<Prefetched> {
        let now = Instant::now();
        let fresh = |one: &Prefetched| now < one.since + FRESH_FOR && one.lease.until > until;
        let stale = self.ready.iter().take_while(|one| !fresh(one)).count();
        self.take(stale)
    }

    /// Ends the prefetching. Waits for a running poll and returns all prefetched deliveries, so that the lane
    /// can release them.
    pub(super) async fn end(&mut self) -> Vec<Prefetched> {
        if !self.polling.is_empty() {
            self.answered().await;
        }
        self.take_all()
    }

    /// Removes all prefetched deliveries.
    pub(in crate::deliver) fn take_all(&mut self) -> Vec<Prefetched> {
        self.take(self.ready.len())
    }

    /// Removes the first `count` deliveries. Their sends did not begin in time, so the destination now counts
    /// as slow.
    fn take(&mut self, count: usize) -> Vec<Prefetched> {
        if count > 0 {
            self.ended_last = 0;
        }
        self.ready.drain(..count).collect()
    }

    /// Starts a poll unless one is running. It leases as many deliveries as may start. For a fast destination,
    /// it also leases as many following deliveries as are used until the next poll ends. Returns the longest
    /// time until the next call.
    pub(in crate::deliver) fn poll(
        &mut self,
        wanted: Wanted,
        destination: &dyn Destination,
        clock: &Arc<dyn Clock>,
    ) -> Duration {
        let Wanted {
            may_start,
            may_follow,
            probe,
            after_pause,
        } = wanted;
        let takes_turns = probe || after_pause;
        if !self.polling.is_empty() {
            return IDLE;
        }
        let ahead = (self.ended_last * READY_FOR_EACH)
            .min(READY_MAX)
            .min(READY_BYTES_MAX / self.bytes_each.max(1));
        let count = may_start + ahead.min(may_follow);
        let count = count.saturating_sub(self.ready.len());
        // The lane waits until half of the prefetched deliveries are used, so that each poll leases several.
        if count == 0 || count < self.ready.len() {
            return IDLE;
        }
        let pause = self.poll_at.saturating_duration_since(Instant::now());
        if !pause.is_zero() {
            return pause;
        }
        self.turn = self.turn.wrapping_add(usize::from(takes_turns));
        let poll = Poll {
            turn: takes_turns.then_some(self.turn),
            due_only: after_pause,
            // Only time has passed, and reading the due times is cheaper than a lease.
            due_first: !std::mem::take(&mut self.news) && self.idle_for < IDLE,
            name: self.name.clone(),
            store: self.store.clone(),
            shared: self.shared.clone(),
            paces: destination.paces(),
            lasts: LEASE_MIN.max(destination.common().timeout * 2),
            clock: Arc::clone(clock),
        };
        self.ended = 0;
        // Wakeups during this poll cause another poll afterwards.
        self.poll_at = Instant::now() + IDLE;
        self.polling.spawn(async move { poll.run(count).await });
        IDLE
    }

    /// Resolves when the running poll has ended; never resolves if no poll runs.
    pub(in crate::deliver) async fn answered(&mut self) {
        let Some(polled) = self.polling.join_next().await else {
            return std::future::pending().await;
        };
        let now = Instant::now();
        let Ok(polled) = polled else {
            self.poll_at = now + STORE_PAUSE;
            return;
        };
        let PollResult {
            leases,
            mut slot,
            pause,
        } = polled;
        self.idle_for = pause;
        self.ended_last = self.ended;
        self.bytes_each = mean_bytes(&leases);
        let news = self.poll_at <= now;
        self.poll_at = match leases.is_empty() && !news {
            true => now + pause,
            false => now,
        };
        self.news |= !leases.is_empty();
        self.ready
            .extend(leases.into_iter().map(|lease| Prefetched {
                lease: Arc::new(lease),
                slot: slot.take(),
                since: now,
            }));
    }
}

/// Returns the mean size of the events' bodies in bytes.
fn mean_bytes(leases: &[Lease<Work>]) -> usize {
    let bodies = leases
        .iter()
        .filter_map(|lease| lease.item.event.body.as_ref());
    let bytes: usize = bodies.map(|body| body.expose().len()).sum();
    bytes / leases.len().max(1)
}

/// How many deliveries a lane can use.
#[derive(Clone, Copy, Debug)]
pub(in crate::deliver) struct Wanted {
    /// Number of sends that may start now.
    pub(in crate::deliver) may_start: usize,
    /// Number of sends that may follow them.
    pub(in crate::deliver) may_follow: usize,
    /// Whether the one send is a probe.
    pub(in crate::deliver) probe: bool,
    /// Whether the send is the first after a pause. Then the severities of due messages alternate, as for
    /// probes.
    pub(in crate::deliver) after_pause: bool,
}

/// One poll of the store.
struct Poll {
    name: DestinationName,
    store: Store,
    shared: SharedLimits,
    paces: Vec<SharedPace>,
    lasts: Duration,
    clock: Arc<dyn Clock>,
    /// The counter that selects the first severity; `None` if the most severe comes first.
    turn: Option<usize>,
    /// Whether to consider only due messages.
    due_only: bool,
    /// Whether to check that something is due before leasing.
    due_first: bool,
}

impl Poll {
    async fn run(self, count: usize) -> PollResult {
        match self.lease(count).await {
            Ok((leases, slot)) => PollResult {
                leases,
                slot,
                pause: Duration::ZERO,
            },
            Err(pause) => PollResult {
                leases: Vec::new(),
                slot: None,
                pause,
            },
        }
    }

    /// Leases at most `count` due deliveries, or returns when to poll again.
    async fn lease(&self, count: usize) -> Result<(Vec<Lease<Work>>, Option<Slot>), Duration> {
        if self.due_first || !self.paces.is_empty() {
            let pause = self.until_next_due().await?;
            // A probe may start whatever the due times are.
            if !pause.is_zero() && (self.turn.is_none() || self.due_only || pause == IDLE) {
                return match self.due_first {
                    true => Err(pause),
                    // Leases nothing, but makes expired leases due again.
                    false => Ok((self.lease_due(0).await?, None)),
                };
            }
        }
        if self.paces.is_empty() {
            return Ok((self.lease_due(count).await?, None));
        }
        // Only due deliveries take from shared limits. They take one by one, so that other lanes get their
        // turn.
        let now = Instant::now();
        let slot = self
            .shared
            .begin(self.paces.clone(), now)
            .map_err(|next_at| next_at.duration_since(now).min(POLL_AGAIN))?;
        Ok((self.lease_due(1).await?, Some(slot)))
    }

    /// Leases as [`lease`](Self::lease) does, without the limits that other lanes share.
    async fn lease_due(&self, count: usize) -> Result<Vec<Lease<Work>>, Duration> {
        let leased = match self.turn {
            Some(turn) if count > 0 => {
                let turns = self
                    .store
                    .lease_probe(&self.name, turn, self.due_only, self.lasts);
                turns.await
            }
            Some(_) | None => self.store.lease_due(&self.name, count, self.lasts).await,
        };
        match leased {
            Ok(leases) if leases.is_empty() => Err(match self.until_next_due().await {
                // Another lane took the due delivery, or the clock moved.
                Ok(pause) => pause.max(SOON),
                Err(pause) => pause,
            }),
            Ok(leases) => Ok(leases),
            Err(error) => {
                tracing::error!(destination = %self.name, %error, "failed to poll for due deliveries");
                Err(STORE_PAUSE)
            }
        }
    }

    /// Returns the time until the next delivery is due; zero if one is due. `Err`: the store does not answer.
    async fn until_next_due(&self) -> Result<Duration, Duration> {
        match self.store.next_due_at(&self.name).await {
            Ok(Some(due_at)) => Ok(due_at.since(self.clock.now()).min(POLL_AGAIN)),
            Ok(None) => Ok(IDLE),
            Err(_) => Err(STORE_PAUSE),
        }
    }
}
