//! Resolves names on a few threads of its own.
//!
//! `getaddrinfo` cannot be cancelled, and an unresponsive name server blocks it for tens of
//! seconds. Tokio would run it on the threads that the store and the images need, and would wait
//! for it at shutdown. This resolver has few threads, shutdown does not wait for them, and all
//! callers of a name share one lookup.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The largest number of concurrent lookups.
const THREADS_MAX: usize = 24;

/// The share of these for suspects: names whose last lookup failed or was slow. Other names must
/// not wait for them.
const SUSPECTS_MAX: usize = 8;

/// A name becomes suspect if its lookup takes longer than this.
const SLOW: Duration = Duration::from_secs(2);

/// How long a failure is cached, so that immediate retries do not load the name server.
const FAILED_FOR: Duration = Duration::from_secs(2);

/// If the lookup of a known name takes longer than this, its last addresses are used.
const STALE_AFTER: Duration = Duration::from_secs(2);

/// The largest number of remembered names. It is limited because anyone who leaves feedback can
/// name hosts.
const NAMES_MAX: usize = 2048;

/// How long a thread without work stays alive.
const IDLE: Duration = Duration::from_secs(10);

/// The stack of a thread, in bytes. `getaddrinfo` needs buffers of a few kilobytes.
const STACK_BYTES: usize = 256 << 10;

/// Finds the addresses of a name. Blocks the thread.
type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// The result of a lookup. The error is a text because many callers share it.
type Found = Result<Vec<SocketAddr>, String>;

/// Resolves names. Clones share threads and cache.
#[derive(Clone)]
pub(super) struct Resolver(Arc<Shared>);

struct Shared {
    lookup: Box<Lookup>,
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    names: HashMap<String, Known>,
    /// Names that wait for a lookup.
    fresh: VecDeque<String>,
    /// Suspect names that wait for a lookup.
    suspects: VecDeque<String>,
    suspects_running: usize,
    threads: usize,
    idle: usize,
}

/// The cached state of a name.
#[derive(Default)]
struct Known {
    /// The callers that wait for the queued or running lookup.
    waiting: Vec<oneshot::Sender<Found>>,
    queued_or_running: bool,
    /// Whether the last lookup failed or was slow.
    suspect: bool,
    failed: Option<(Instant, String)>,
    last_good: Option<Vec<SocketAddr>>,
}

/// The resolver for addresses that the operator set.
static TRUSTED: LazyLock<Resolver> = LazyLock::new(|| Resolver::new(system));

/// The resolver for addresses from events. It is separate so that foreign hosts cannot delay the
/// operator's.
static GUARDED: LazyLock<Resolver> = LazyLock::new(|| Resolver::new(system));

fn system(name: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((name, 0).to_socket_addrs()?.collect())
}

impl Resolver {
    fn new(lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            lookup: Box::new(lookup),
            state: Mutex::default(),
            work: Condvar::new(),
        }))
    }

    /// Returns the resolver for addresses that the operator set.
    pub(super) fn trusted() -> Self {
        TRUSTED.clone()
    }

    /// Returns the resolver for addresses from events.
    pub(super) fn guarded() -> Self {
        GUARDED.clone()
    }

    /// Returns the addresses of `name`. Dropping the future ends only the wait; the lookup
    /// continues for other callers.
    pub(super) async fn addresses(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let (answer, last_good) = self.0.ask(name)?;
        let found = match last_good {
            None => answer.await,
            Some(last_good) => match tokio::time::timeout(STALE_AFTER, answer).await {
                Ok(found) => found,
                Err(_elapsed) => return Ok(last_good),
            },
        };
        match found {
            Ok(Ok(found)) if found.is_empty() => Err(io::Error::other("the name has no address")),
            Ok(found) => found.map_err(io::Error::other),
            Err(_dropped) => Err(io::Error::other("the lookup was given up")),
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let found = resolver.addresses(name.as_str()).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl Shared {
    /// Joins the lookup of a name, or starts one.
    fn ask(
        self: &Arc<Self>,
        name: &str,
    ) -> io::Result<(oneshot::Receiver<Found>, Option<Vec<SocketAddr>>)> {
        let (answer, receiver) = oneshot::channel();
        let mut state = self.lock();
        state.make_room();
        let known = state.names.entry(name.to_owned()).or_default();
        if let Some((at, reason)) = &known.failed
            && at.elapsed() < FAILED_FOR
        {
            return Err(io::Error::other(reason.clone()));
        }
        known.waiting.push(answer);
        let last_good = known.last_good.clone();
        if !std::mem::replace(&mut known.queued_or_running, true) {
            if known.suspect {
                state.suspects.push_back(name.to_owned());
            } else {
                state.fresh.push_back(name.to_owned());
            }
            self.wake(&mut state)?;
        }
        Ok((receiver, last_good))
    }

    /// Starts a thread for the queued name unless enough are running; then the name waits for a
    /// free one.
    fn wake(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if state.idle > 0 || state.threads >= THREADS_MAX {
            self.work.notify_one();
            return Ok(());
        }
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name("resolver".into())
            .stack_size(STACK_BYTES)
            .spawn(move || shared.run());
        match thread {
            Ok(_detached) => state.threads += 1,
            // The running threads take the name in turn.
            Err(_) if state.threads > 0 => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn run(&self) {
        while let Some((name, suspect)) = self.take() {
            let began = Instant::now();
            let looked =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (self.lookup)(&name)));
            let found = match looked {
                Ok(found) => found.map_err(|error| error.to_string()),
                Err(_panic) => Err("the lookup failed".to_owned()),
            };
            self.finish(&name, suspect, &found, began.elapsed() > SLOW);
        }
    }

    /// Returns the next name with waiting callers, and whether it is suspect. `None` after a long
    /// idle time.
    fn take(&self) -> Option<(String, bool)> {
        let mut state = self.lock();
        let mut waited = false;
        loop {
            if let Some(next) = state.next() {
                return Some(next);
            }
            if waited {
                state.threads -= 1;
                return None;
            }
            state.idle += 1;
            let (woken, timeout) = self
                .work
                .wait_timeout(state, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            waited = timeout.timed_out();
        }
    }

    fn finish(&self, name: &str, suspect: bool, found: &Found, slow: bool) {
        let mut state = self.lock();
        state.suspects_running -= usize::from(suspect);
        if let Some(known) = state.names.get_mut(name) {
            known.queued_or_running = false;
            known.suspect = slow || found.is_err();
            known.failed = found
                .as_ref()
                .err()
                .map(|reason| (Instant::now(), reason.clone()));
            if let Ok(found) = found {
                known.last_good = Some(found.clone());
            }
            for answer in known.waiting.drain(..) {
                // The caller may have stopped waiting.
                answer.send(found.clone()).ok();
            }
        }
        if suspect && !state.suspects.is_empty() {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<(String, bool)> {
        loop {
            let (name, suspect) = match self.fresh.pop_front() {
                Some(name) => (name, false),
                None if self.suspects_running < SUSPECTS_MAX => (self.suspects.pop_front()?, true),
                None => return None,
            };
            let Some(known) = self.names.get_mut(&name) else {
                continue;
            };
            known.waiting.retain(|answer| !answer.is_closed());
            if known.waiting.is_empty() {
                known.queued_or_running = false;
                continue;
            }
            self.suspects_running += usize::from(suspect);
            return Some((name, suspect));
        }
    }

    /// If there are too many names, forgets those that no caller waits for.
    fn make_room(&mut self) {
        if self.names.len() >= NAMES_MAX {
            self.names.retain(|_name, known| known.queued_or_running);
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

#[cfg(test)]
mod tests;
