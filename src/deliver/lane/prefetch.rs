//! What a line holds and has not begun: asked of the store beside the sends, so that these need not wait for
//! a commit.
//!
//! As many are leased as may start, and the more beyond that the more ended during the last lease: a fast
//! destination always finds the next one ready, and for a slow one nothing waits in memory that could wait in the
//! store.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::limits::SharedLimits;
use super::permit::LimitsTaken;
use crate::destination::{Destination, SharedPace};
use crate::model::{Clock, DestinationName, Lease, Timestamp};
use crate::store::{Store, Work};

/// A lane that has work polls at least this often: due times are by the wall clock, which may jump.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A lane without work polls this often: wakeups bring it news, and this finds leases that were never closed.
pub(super) const IDLE: Duration = Duration::from_secs(60);
/// A lease lasts at least this long; longer where two time limits of a send are longer.
const LEASE_MIN: Duration = Duration::from_secs(60);
/// The shortest pause after a poll that found nothing.
const SOON: Duration = Duration::from_millis(20);
/// How long a lane pauses when the store does not answer.
pub(super) const STORE_PAUSE: Duration = Duration::from_millis(500);
/// What was not begun within this is given back: it may have been erased since, or another be more urgent.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// For each send that ended during a look so many are made ready: what ends during this one and, because the next
/// begins when half has gone, during that, and as much again because the store answers by fits and starts.
pub(in crate::deliver) const READY_FOR_EACH: usize = 4;
/// No more than this.
const READY_MAX: usize = 256;
/// No more than have so many bytes of words, by the mean of what came last.
const READY_BYTES_MAX: usize = 4 << 20;

/// A delivery that may start.
pub(in crate::deliver) struct Prefetched {
    pub(in crate::deliver) lease: Arc<Lease<Work>>,
    /// Its part of the limits that lanes share.
    pub(in crate::deliver) limits: LimitsTaken,
    /// When it came.
    since: Instant,
}

/// What a look brought.
struct Looked {
    leases: Vec<Lease<Work>>,
    limits: LimitsTaken,
    /// If nothing: how long there will be nothing.
    pause: Duration,
}

/// Leases for one line.
pub(in crate::deliver) struct Prefetcher {
    name: DestinationName,
    store: Store,
    shared: SharedLimits,
    ready: VecDeque<Prefetched>,
    /// At most one.
    looking: JoinSet<Looked>,
    /// There is nothing to look for before this.
    look_at: Instant,
    /// Sends that ended while the store was asked.
    ended: usize,
    /// The same of the last time.
    ended_last: usize,
    /// The mean size of what came last.
    bytes_each: usize,
    /// Whether something may have changed since the last poll found nothing.
    news: bool,
    /// Counts probes.
    turn: usize,
    /// How long the last poll said there would be nothing.
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
            looking: JoinSet::new(),
            look_at: Instant::now(),
            ended: 0,
            ended_last: 0,
            bytes_each: 0,
            news: true,
            turn: 0,
            idle_for: Duration::ZERO,
        }
    }

    /// There may be new work.
    pub(in crate::deliver) fn look_now(&mut self) {
        self.look_at = Instant::now();
        self.news = true;
    }

    /// So many sends have ended.
    pub(in crate::deliver) fn sends_ended(&mut self, count: usize) {
        if !self.looking.is_empty() {
            self.ended += count;
        }
    }

    /// Whether anything waits here, which goes stale.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// The next that may start, if it is there.
    pub(in crate::deliver) fn take_next(&mut self) -> Option<Prefetched> {
        self.ready.pop_front()
    }

    /// What waits here in vain: for too long, or under a lease that does not last until `until`. That is asked too,
    /// for leases end by the wall clock, which may jump.
    pub(in crate::deliver) fn take_stale(&mut self, until: Timestamp) -> Vec<Prefetched> {
        let now = Instant::now();
        let fresh = |one: &Prefetched| now < one.since + FRESH_FOR && one.lease.until > until;
        let stale = self.ready.iter().take_while(|one| !fresh(one)).count();
        self.take(stale)
    }

    /// Ends the work: what the store answers still comes too, and nobody will begin any of it.
    pub(super) async fn end(&mut self) -> Vec<Prefetched> {
        if !self.looking.is_empty() {
            self.answered().await;
        }
        self.take_all()
    }

    /// All that waits here.
    pub(in crate::deliver) fn take_all(&mut self) -> Vec<Prefetched> {
        self.take(self.ready.len())
    }

    /// The first ones, which were not begun: the destination is not as fast as it was.
    fn take(&mut self, count: usize) -> Vec<Prefetched> {
        if count > 0 {
            self.ended_last = 0;
        }
        self.ready.drain(..count).collect()
    }

    /// Asks the store, unless it is being asked, for as many as may start, and of those that may follow
    /// for what a fast destination will be ready for until the next answer. Returns when to do so again at the latest.
    pub(in crate::deliver) fn look(
        &mut self,
        wanted: Wanted,
        destination: &dyn Destination,
        clock: &Arc<dyn Clock>,
    ) -> Duration {
        let Wanted {
            may_start,
            may_follow,
            probe,
        } = wanted;
        if !self.looking.is_empty() {
            return IDLE;
        }
        let ahead = (self.ended_last * READY_FOR_EACH)
            .min(READY_MAX)
            .min(READY_BYTES_MAX / self.bytes_each.max(1));
        let count = may_start + ahead.min(may_follow);
        let count = count.saturating_sub(self.ready.len());
        // Not before half of what was ready has gone: several at once, rather than one after the other.
        if count == 0 || count < self.ready.len() {
            return IDLE;
        }
        let pause = self.look_at.saturating_duration_since(Instant::now());
        if !pause.is_zero() {
            return pause;
        }
        self.turn = self.turn.wrapping_add(usize::from(probe));
        let look = Poll {
            probe: probe.then_some(self.turn),
            // Only time has passed: a look at the due times is cheaper than a lease.
            due_first: !std::mem::take(&mut self.news) && self.idle_for < IDLE,
            name: self.name.clone(),
            store: self.store.clone(),
            shared: self.shared.clone(),
            paces: destination.shared_paces(),
            lasts: LEASE_MIN.max(destination.common().timeout * 2),
            clock: Arc::clone(clock),
        };
        self.ended = 0;
        // News that comes while it polls is polled afterwards.
        self.look_at = Instant::now() + IDLE;
        self.looking.spawn(async move { look.run(count).await });
        IDLE
    }

    /// Resolves when the store has answered; never while it is not being asked.
    pub(in crate::deliver) async fn answered(&mut self) {
        let Some(looked) = self.looking.join_next().await else {
            return std::future::pending().await;
        };
        let now = Instant::now();
        let Ok(looked) = looked else {
            self.look_at = now + STORE_PAUSE;
            return;
        };
        let Looked {
            leases,
            limits,
            pause,
        } = looked;
        self.idle_for = pause;
        self.ended_last = self.ended;
        self.bytes_each = mean_bytes(&leases);
        let news = self.look_at <= now;
        self.look_at = match leases.is_empty() && !news {
            true => now + pause,
            false => now,
        };
        self.news |= !leases.is_empty();
        self.ready
            .extend(leases.into_iter().map(|lease| Prefetched {
                lease: Arc::new(lease),
                limits: limits.clone(),
                since: now,
            }));
    }
}

/// The mean size of the events' words.
fn mean_bytes(leases: &[Lease<Work>]) -> usize {
    let bodies = leases
        .iter()
        .filter_map(|lease| lease.item.event.body.as_ref());
    let bytes: usize = bodies.map(|body| body.expose().len()).sum();
    bytes / leases.len().max(1)
}

/// How much a lane can use.
#[derive(Clone, Copy, Debug)]
pub(in crate::deliver) struct Wanted {
    /// Sends that may start now.
    pub(in crate::deliver) may_start: usize,
    /// Sends that may follow them.
    pub(in crate::deliver) may_follow: usize,
    /// Whether the one send is a probe.
    pub(in crate::deliver) probe: bool,
}

/// One poll of the store.
struct Poll {
    name: DestinationName,
    store: Store,
    shared: SharedLimits,
    paces: Vec<SharedPace>,
    lasts: Duration,
    clock: Arc<dyn Clock>,
    /// The turn of a probe.
    probe: Option<usize>,
    /// Whether to lease only if something is due.
    due_first: bool,
}

impl Poll {
    async fn run(self, count: usize) -> Looked {
        let at = Instant::now();
        let (leases, pause) = match self.lease(count, at).await {
            Ok(leases) => (leases, Duration::ZERO),
            Err(pause) => (Vec::new(), pause),
        };
        Looked {
            leases,
            limits: LimitsTaken {
                limits: self.shared,
                paces: self.paces.into(),
                at,
            },
            pause,
        }
    }

    /// Leases at most `count` due deliveries, or says when to poll again.
    async fn lease(&self, count: usize, at: Instant) -> Result<Vec<Lease<Work>>, Duration> {
        if self.due_first || !self.paces.is_empty() {
            let pause = self.until_next_due().await?;
            // A probe is due whatever its due time says.
            if !pause.is_zero() && (self.probe.is_none() || pause == IDLE) {
                return match self.due_first {
                    true => Err(pause),
                    // Leases nothing, but what was leased and never closed becomes due again.
                    false => self.lease_due(0).await,
                };
            }
        }
        if self.paces.is_empty() {
            return self.lease_due(count).await;
        }
        // Only what is due takes from what is shared; one by one, so that other lanes get their turn.
        self.shared
            .begin(&self.paces, at)
            .map_err(|next_at| next_at.duration_since(at).min(LOOK_AGAIN))?;
        let leases = self.lease_due(1).await;
        if leases.is_err() {
            self.shared.give_back(&self.paces, at);
        }
        leases
    }

    /// As [`lease`](Self::lease), whatever other lanes send.
    async fn lease_due(&self, count: usize) -> Result<Vec<Lease<Work>>, Duration> {
        let leased = match self.probe {
            Some(turn) if count > 0 => {
                let probe = self.store.lease_probe(&self.name, turn, self.lasts);
                probe.await
            }
            Some(_) | None => self.store.lease_due(&self.name, count, self.lasts).await,
        };
        match leased {
            Ok(leases) if leases.is_empty() => Err(match self.until_next_due().await {
                // It was due, and another took it; or the clock moved.
                Ok(pause) => pause.max(SOON),
                Err(pause) => pause,
            }),
            Ok(leases) => Ok(leases),
            Err(error) => {
                tracing::error!(destination = %self.name, %error, "cannot look for due deliveries");
                Err(STORE_PAUSE)
            }
        }
    }

    /// Zero if something is due. `Err`: the store does not answer.
    async fn until_next_due(&self) -> Result<Duration, Duration> {
        match self.store.next_due_at(&self.name).await {
            Ok(Some(due_at)) => Ok(due_at.since(self.clock.now()).min(LOOK_AGAIN)),
            Ok(None) => Ok(IDLE),
            Err(_) => Err(STORE_PAUSE),
        }
    }
}
