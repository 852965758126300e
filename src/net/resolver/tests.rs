//! Tests with a lookup that the test controls.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// A lookup for tests. Names that begin with `stuck` wait for release; `none` has no address;
/// others are good.
struct Bench {
    resolver: Resolver,
    lookups: Arc<AtomicUsize>,
    stuck: Arc<AtomicUsize>,
    go: Arc<(Mutex<bool>, Condvar)>,
}

impl Bench {
    fn new() -> Self {
        let lookups = Arc::<AtomicUsize>::default();
        let stuck = Arc::<AtomicUsize>::default();
        let go = Arc::new((Mutex::new(false), Condvar::new()));
        let (counted, held, wait) = (Arc::clone(&lookups), Arc::clone(&stuck), Arc::clone(&go));
        let resolver = Resolver::new(move |name| {
            counted.fetch_add(1, Ordering::SeqCst);
            if name.starts_with("stuck") {
                held.fetch_add(1, Ordering::SeqCst);
                let gone = wait.0.lock().unwrap();
                drop(wait.1.wait_while(gone, |gone| !*gone).unwrap());
                held.fetch_sub(1, Ordering::SeqCst);
            }
            match name {
                "none" => Err(io::Error::other("no such host")),
                _ => Ok(vec![SocketAddr::from(ADDRESS)]),
            }
        });
        Self {
            resolver,
            lookups,
            stuck,
            go,
        }
    }

    fn let_go(&self) {
        *self.go.0.lock().unwrap() = true;
        self.go.1.notify_all();
    }

    /// Starts a lookup in the background.
    fn ask(&self, name: &str) -> tokio::task::JoinHandle<io::Result<Vec<SocketAddr>>> {
        let (resolver, name) = (self.resolver.clone(), name.to_owned());
        tokio::task::spawn_local(async move { resolver.addresses(&name).await })
    }

    async fn until_stuck(&self, count: usize) {
        while self.stuck.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.let_go();
    }
}

async fn locally<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

#[tokio::test]
async fn callers_of_one_name_share_one_lookup() {
    locally(async {
        let bench = Bench::new();
        let asked: Vec<_> = (0..50).map(|_| bench.ask("stuck")).collect();
        bench.until_stuck(1).await;
        bench.let_go();
        for answer in asked {
            assert_eq!(answer.await.unwrap().unwrap(), [SocketAddr::from(ADDRESS)]);
        }
        assert_eq!(bench.lookups.load(Ordering::SeqCst), 1);
    })
    .await;
}

#[tokio::test]
async fn dead_names_use_limited_threads() {
    locally(async {
        let bench = Bench::new();
        // These names are suspect because they have failed before.
        for number in 0..60 {
            let mut state = bench.resolver.0.lock();
            let known = state.names.entry(format!("stuck-{number}")).or_default();
            known.suspect = true;
        }
        let asked: Vec<_> = (0..60).map(|n| bench.ask(&format!("stuck-{n}"))).collect();
        bench.until_stuck(SUSPECTS_MAX).await;
        assert!(bench.ask("good").await.unwrap().is_ok());
        assert_eq!(bench.stuck.load(Ordering::SeqCst), SUSPECTS_MAX);
        assert!(bench.resolver.0.lock().threads <= THREADS_MAX);
        bench.let_go();
        for answer in asked {
            assert!(answer.await.unwrap().is_ok(), "each has its turn");
        }
        // New names may use more threads, which are limited too.
        let bench = Bench::new();
        let asked: Vec<_> = (0..60).map(|n| bench.ask(&format!("stuck-{n}"))).collect();
        bench.until_stuck(THREADS_MAX).await;
        assert_eq!(bench.resolver.0.lock().threads, THREADS_MAX);
        for answer in &asked {
            answer.abort();
        }
        for answer in asked {
            assert!(answer.await.unwrap_err().is_cancelled());
        }
        let good = bench.ask("good");
        bench.let_go();
        assert!(good.await.unwrap().is_ok());
        let lookups = bench.lookups.load(Ordering::SeqCst);
        assert_eq!(lookups, THREADS_MAX + 1, "nobody waits for the others");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn failed_lookup_is_cached() {
    let bench = Bench::new();
    for _ in 0..3 {
        let failed = bench.resolver.addresses("none").await.unwrap_err();
        assert_eq!(failed.to_string(), "no such host");
    }
    assert_eq!(bench.lookups.load(Ordering::SeqCst), 1);
    tokio::time::advance(2 * FAILED_FOR).await;
    assert!(bench.resolver.addresses("none").await.is_err());
    assert_eq!(bench.lookups.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn known_name_resolves_while_name_server_is_down() {
    let bench = Bench::new();
    bench.let_go();
    let first = bench.resolver.addresses("stuck").await.unwrap();
    *bench.go.0.lock().unwrap() = false;
    let again = bench.resolver.addresses("stuck").await.unwrap();
    assert_eq!(first, again);
}
