//! Resolves names on a few threads of its own.
//!
//! `getaddrinfo` cannot be cancelled, and a name server that does not answer holds it for tens of seconds. Tokio runs it
//! on the threads that the store and the images need, and waits for them at the end. Here the threads are few, nobody
//! waits for them, and all who ask for a name share one lookup.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Lookups at one time.
const THREADS_MAX: usize = 24;

/// Of these, lookups of names that failed or were slow when they were asked for last: the others must not wait for
/// them.
const SUSPECTS_MAX: usize = 8;

/// A lookup that takes longer makes its name suspect.
const SLOW: Duration = Duration::from_secs(2);

/// A failure is the answer for so long: callers who retry at once must not load the name server.
const FAILED_FOR: Duration = Duration::from_secs(2);

/// Where a known name is looked up for longer, its last addresses are used.
const STALE_AFTER: Duration = Duration::from_secs(2);

/// Names that are remembered. Whoever can leave feedback can name hosts.
const NAMES_MAX: usize = 2048;

/// A thread without work ends after so long.
const IDLE: Duration = Duration::from_secs(10);

/// Enough for `getaddrinfo`, whose buffers are some kilobytes.
const STACK_BYTES: usize = 256 << 10;

/// Finds the addresses of a name. Waits.
type Lookup = dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// What a lookup found; the error in words, for it goes to many.
type Found = Result<Vec<SocketAddr>, String>;

/// Resolves names. Clones share threads and memory.
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
    /// Names that are to be looked up.
    fresh: VecDeque<String>,
    /// The same for suspects.
    suspects: VecDeque<String>,
    suspects_running: usize,
    threads: usize,
    idle: usize,
}

/// What is known of a name.
#[derive(Default)]
struct Known {
    /// Whoever waits for the lookup that is queued or under way.
    waiting: Vec<oneshot::Sender<Found>>,
    queued_or_running: bool,
    /// The last lookup failed, or was slow.
    suspect: bool,
    failed: Option<(Instant, String)>,
    last_good: Option<Vec<SocketAddr>>,
}

/// For addresses that the operator typed.
static TRUSTED: LazyLock<Resolver> = LazyLock::new(|| Resolver::new(system));

/// For addresses that came with an event: hosts that others chose must not hold up the operator's.
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

    /// The one for addresses that the operator typed.
    pub(super) fn trusted() -> Self {
        TRUSTED.clone()
    }

    /// The one for addresses that came with an event.
    pub(super) fn guarded() -> Self {
        GUARDED.clone()
    }

    /// The addresses of `name`. Whoever drops the future waits no longer; the lookup goes on for the others.
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
    /// Joins the lookup of a name, or begins one.
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

    /// Sees to it that a thread takes the name that was queued, now or when one is free.
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
            // Those that run take it in their turn.
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

    /// The next name somebody waits for, and whether it is a suspect. `None`: there is none for long.
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
                // Whoever asked may be gone.
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

    /// Forgets names that nobody asks for now, where there are very many.
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
