//! The life of the process: signals, start, stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{App, EventSource, Running, ServiceManager, StartError, fd_limit};
use crate::config::{Config, Loaded};
use crate::model::{AppName, SystemClock};
use crate::tasks::Tasks;
use crate::telemetry;

/// The process of `serve`, from its first moment on: signals are heeded before anything else is done.
///
/// SIGHUP reloads. SIGTERM and SIGINT stop taking events and finish what is in hand within
/// `server.shutdown_grace`; a second one ends it at once.
pub struct Process {
    runtime: Runtime,
    signals: Signals,
}

/// What is asked of the world around the relay.
pub struct Surroundings<R, A> {
    /// Is told how the relay stands.
    pub manager: ServiceManager,
    /// Reads the configuration again.
    pub reload: R,
    /// Is given the address once the relay listens, and how the events of each app come in. Must not wait.
    pub announce: A,
}

impl Process {
    /// Listens for signals from now on. A reload that is asked for before the relay runs is made then.
    ///
    /// # Errors
    /// The process cannot listen for signals.
    pub fn begin() -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(StartError::Signals)?;
        let listening = runtime.enter();
        let signals = Signals::listen().map_err(StartError::Signals)?;
        drop(listening);
        Ok(Self { runtime, signals })
    }

    /// Does what comes before the relay runs and may take long: reading files, printing. `None`: the process is asked
    /// to stop meanwhile, and nobody waits for the work any more.
    pub fn unless_stopped<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let signals = &mut self.signals;
        self.runtime.block_on(async {
            tokio::select! {
                () = signals.stop() => None,
                done = tokio::task::spawn_blocking(work) => done.ok(),
            }
        })
    }

    /// Ends before the relay ran. Waits for no work that was left.
    pub fn end(self) {
        self.runtime.shutdown_background();
    }

    /// Runs the relay until it is told to stop. `warnings` is the report of what its configuration could do
    /// better, empty if there is nothing; it goes where the log goes, and in its format.
    pub fn serve<R, A>(
        mut self,
        config: Config,
        warnings: &str,
        surroundings: Surroundings<R, A>,
    ) -> ExitCode
    where
        R: Fn() -> Loaded + Send + Sync + 'static,
        A: FnOnce(SocketAddr, &[(AppName, EventSource)]),
    {
        let _log = telemetry::init(config.log);
        if !warnings.is_empty() {
            tracing::warn!("the configuration has warnings:\n{}", warnings.trim_end());
        }
        let config = fd_limit::fit(config);
        let run = run(config, surroundings, &mut self.signals);
        let code = self.runtime.block_on(run).unwrap_or_else(|error| {
            tracing::error!("{error}");
            ExitCode::FAILURE
        });
        // Work that cannot be cancelled (a lock that somebody holds, a disk that hangs) is left where it is.
        self.runtime.shutdown_background();
        code
    }
}

async fn run<R, A>(
    config: Config,
    surroundings: Surroundings<R, A>,
    signals: &mut Signals,
) -> Result<ExitCode, StartError>
where
    R: Fn() -> Loaded + Send + Sync + 'static,
    A: FnOnce(SocketAddr, &[(AppName, EventSource)]),
{
    let manager = surroundings.manager;
    let reload: Arc<dyn Fn() -> Loaded + Send + Sync> = Arc::new(surroundings.reload);
    let app = App::build(config, Arc::new(SystemClock), fastrand::u64(..)).await?;
    let address = app.address();
    (surroundings.announce)(address, &app.entrances());
    let running = app.start().await;
    let ready = format!("listening on http://{address}");
    manager.ready(&ready);
    let stopping = running.tasks().stopping();
    manager.watch(running.tasks());
    loop {
        let heard = tokio::select! {
            heard = signals.next() => heard,
            () = stopping.cancelled() => break,
        };
        if heard == Heard::Stop {
            break;
        }
        manager.reloading();
        let taken_up = tokio::select! {
            taken_up = take_up(&running, Arc::clone(&reload)) => taken_up,
            () = signals.stop() => break,
            () = stopping.cancelled() => break,
        };
        if taken_up {
            manager.ready(&ready);
        } else {
            let note = "the new configuration was refused, the old one is in force";
            manager.ready(&format!("{ready}; {note}"));
        }
    }
    manager.stopping();
    Ok(stop(running, signals).await)
}

/// Puts the configuration in force as it is now. Whether it could be.
async fn take_up(running: &Running, reload: Arc<dyn Fn() -> Loaded + Send + Sync>) -> bool {
    // Reads files, which may be slow.
    match tokio::task::spawn_blocking(move || reload()).await {
        Ok(loaded) => running.reload(loaded).await,
        Err(error) => {
            tracing::error!(%error, "the configuration could not be read");
            false
        }
    }
}

/// How long the store may take to close when all else has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

async fn stop(running: Running, signals: &mut Signals) -> ExitCode {
    tracing::info!("stopping: no more events are taken");
    let tasks = running.tasks().clone();
    tasks.stop();
    let in_time = tokio::select! {
        in_time = tasks.drain(running.shutdown_grace()) => in_time,
        () = signals.stop() => drop_all(&tasks).await,
        // What is sent from now on cannot be recorded.
        () = running.journal_ends() => drop_all(&tasks).await,
    };
    let failed = tasks.failed() || running.journal_has_ended();
    // Closing writes, and a disk may hang.
    let closed = tokio::select! {
        closed = tokio::task::spawn_blocking(move || drop(running)) => closed.is_ok(),
        () = signals.stop() => false,
        () = tokio::time::sleep(CLOSE_TIMEOUT) => false,
    };
    if !closed {
        tracing::warn!("the store was not closed in time; the next start reads its log");
    }
    tracing::info!(in_time, "stopped; what was not finished is in the store");
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

async fn drop_all(tasks: &Tasks) -> bool {
    tasks.stop_now();
    tasks.drain(Duration::ZERO).await
}

/// The signals the relay heeds.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Heard {
        tokio::select! {
            _ = self.terminate.recv() => Heard::Stop,
            _ = self.interrupt.recv() => Heard::Stop,
            _ = self.hangup.recv() => Heard::Reload,
        }
    }

    /// Waits for one that asks to stop. A reload that is asked for meanwhile is remembered.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Stop,
    Reload,
}
