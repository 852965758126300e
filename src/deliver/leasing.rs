//! What a line holds and has not begun: asked of the journal beside the sends, so that these need not wait for
//! a commit.
//!
//! As many are leased as may start, and the more beyond that the more ended during the last lease: a fast
//! destination always finds the next one ready, and for a slow one nothing waits in memory that could wait in the
//! journal.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::shared::SharedPaces;
use crate::destination::{Destination, SharedPace};
use crate::model::{Clock, DestinationName, Lease, Timestamp};
use crate::store::{Store, Work};

/// A line looks for work at least this often: wake-ups are hints.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A lease lasts at least this long; longer where two time limits of a send are longer.
const LEASE_MIN: Duration = Duration::from_secs(60);
/// How long a line pauses when the journal does not answer.
pub(super) const STORE_PAUSE: Duration = Duration::from_millis(500);
/// What was not begun within this is given back: it may have been erased since, or another be more urgent.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// For each send that ended during a look so many are made ready: what ends during this one and, because the next
/// begins when half has gone, during that, and as much again because the journal answers by fits and starts.
pub(super) const READY_FOR_EACH: usize = 4;
/// No more than this.
const READY_MAX: usize = 256;
/// No more than have so many bytes of words, by the mean of what came last.
const READY_BYTES_MAX: usize = 4 << 20;

/// A delivery that may start.
pub(super) struct Ready {
    pub(super) lease: Arc<Lease<Work>>,
    /// When it took its part of the shared paces.
    pub(super) began: Instant,
    /// When it came.
    since: Instant,
}

/// What a look brought.
struct Looked {
    leases: Vec<Lease<Work>>,
    began: Instant,
    /// If nothing: how long there will be nothing.
    pause: Duration,
}

/// Leases for one line.
pub(super) struct Leasing {
    name: DestinationName,
    store: Store,
    shared: SharedPaces,
    ready: VecDeque<Ready>,
    /// At most one.
    looking: JoinSet<Looked>,
    /// There is nothing to look for before this.
    look_at: Instant,
    /// Sends that ended while the journal was asked.
    ended: usize,
    /// The same of the last time.
    ended_last: usize,
    /// The mean size of what came last.
    bytes_each: usize,
}

impl Leasing {
    pub(super) fn new(name: DestinationName, store: Store, shared: SharedPaces) -> Self {
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
        }
    }

    /// There may be new work.
    pub(super) fn look_now(&mut self) {
        self.look_at = Instant::now();
    }

    /// A send has ended.
    pub(super) fn send_ended(&mut self) {
        self.ended += usize::from(!self.looking.is_empty());
    }

    /// The next that may start, if it is there.
    pub(super) fn take_next(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    /// What waits here in vain: for too long, or under a lease that does not last until `until`. That is asked too,
    /// for leases end by the wall clock, which may jump.
    pub(super) fn take_stale(&mut self, until: Timestamp) -> Vec<Ready> {
        let now = Instant::now();
        let fresh = |one: &Ready| now < one.since + FRESH_FOR && one.lease.until > until;
        let stale = self.ready.iter().take_while(|one| !fresh(one)).count();
        self.take(stale)
    }

    /// Ends the work: what the journal answers still comes too, and nobody will begin any of it.
    pub(super) async fn end(&mut self) -> Vec<Ready> {
        if !self.looking.is_empty() {
            self.answered().await;
        }
        self.take_all()
    }

    /// All that waits here.
    pub(super) fn take_all(&mut self) -> Vec<Ready> {
        self.take(self.ready.len())
    }

    /// The first ones, which were not begun: the destination is not as fast as it was.
    fn take(&mut self, count: usize) -> Vec<Ready> {
        if count > 0 {
            self.ended_last = 0;
        }
        self.ready.drain(..count).collect()
    }

    /// Asks the journal, unless it is being asked, for as many as may start, and of those that may follow
    /// for what a fast destination will be ready for until the next answer. Returns when to do so again at the latest.
    pub(super) fn look(
        &mut self,
        may_start: usize,
        may_follow: usize,
        destination: &dyn Destination,
        clock: &Arc<dyn Clock>,
    ) -> Duration {
        if !self.looking.is_empty() {
            return LOOK_AGAIN;
        }
        let ahead = (self.ended_last * READY_FOR_EACH)
            .min(READY_MAX)
            .min(READY_BYTES_MAX / self.bytes_each.max(1));
        let count = may_start + ahead.min(may_follow);
        let count = count.saturating_sub(self.ready.len());
        // Not before half of what was ready has gone: several at once, rather than one after the other.
        if count == 0 || count < self.ready.len() {
            return LOOK_AGAIN;
        }
        let pause = self.look_at.saturating_duration_since(Instant::now());
        if !pause.is_zero() {
            return pause.min(LOOK_AGAIN);
        }
        let look = Look {
            name: self.name.clone(),
            store: self.store.clone(),
            shared: self.shared.clone(),
            paces: destination.shared_paces(),
            lasts: LEASE_MIN.max(destination.common().timeout * 2),
            clock: Arc::clone(clock),
        };
        self.ended = 0;
        // News that comes while it looks is looked at afterwards.
        self.look_at = Instant::now() + LOOK_AGAIN;
        self.looking.spawn(async move { look.run(count).await });
        LOOK_AGAIN
    }

    /// Resolves when the journal has answered; never while it is not being asked.
    pub(super) async fn answered(&mut self) {
        let Some(looked) = self.looking.join_next().await else {
            return std::future::pending().await;
        };
        let now = Instant::now();
        let Looked {
            leases,
            began,
            pause,
        } = looked.unwrap_or_else(|_panicked| Looked {
            leases: Vec::new(),
            began: now,
            pause: STORE_PAUSE,
        });
        self.ended_last = self.ended;
        self.bytes_each = mean_bytes(&leases);
        let news = self.look_at <= now;
        self.look_at = match leases.is_empty() && !news {
            true => now + pause,
            false => now,
        };
        self.ready.extend(leases.into_iter().map(|lease| Ready {
            lease: Arc::new(lease),
            began,
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

/// One look into the journal.
struct Look {
    name: DestinationName,
    store: Store,
    shared: SharedPaces,
    paces: Vec<SharedPace>,
    lasts: Duration,
    clock: Arc<dyn Clock>,
}

impl Look {
    async fn run(self, count: usize) -> Looked {
        let began = Instant::now();
        let (leases, pause) = match self.lease(count, began).await {
            Ok(leases) => (leases, Duration::ZERO),
            Err(pause) => (Vec::new(), pause),
        };
        Looked {
            leases,
            began,
            pause,
        }
    }

    /// Leases at most `count` due deliveries, or says when to look again.
    async fn lease(&self, count: usize, began: Instant) -> Result<Vec<Lease<Work>>, Duration> {
        if self.paces.is_empty() {
            return self.lease_due(count).await;
        }
        // Only what is due takes from what is shared; one by one, so that others get their turn.
        match self.store.next_due_at(&self.name).await {
            Ok(Some(due_at)) if due_at <= self.clock.now() => {}
            // Leases nothing, but what was leased and never closed becomes due again.
            Ok(_) => return self.lease_due(0).await,
            Err(_) => return Err(STORE_PAUSE),
        }
        self.shared
            .begin(&self.paces, began)
            .map_err(|next_at| next_at.duration_since(began).min(LOOK_AGAIN))?;
        let leases = self.lease_due(1).await;
        if leases.is_err() {
            self.shared.give_back(&self.paces, began);
        }
        leases
    }

    /// As [`lease`](Self::lease), whatever others send.
    async fn lease_due(&self, count: usize) -> Result<Vec<Lease<Work>>, Duration> {
        match self.store.lease_due(&self.name, count, self.lasts).await {
            Ok(leases) if leases.is_empty() => Err(self.until_next_due().await),
            Ok(leases) => Ok(leases),
            Err(error) => {
                tracing::error!(destination = %self.name, %error, "cannot look for due deliveries");
                Err(STORE_PAUSE)
            }
        }
    }

    async fn until_next_due(&self) -> Duration {
        match self.store.next_due_at(&self.name).await {
            Ok(Some(due_at)) => due_at.since(self.clock.now()).min(LOOK_AGAIN),
            Ok(None) | Err(_) => LOOK_AGAIN,
        }
    }
}
