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

/// The process of `serve`. It handles signals from its first moment on.
///
/// SIGHUP reloads the configuration. SIGTERM and SIGINT stop intake and finish the work in progress within
/// `server.shutdown_grace`; a second one ends the process at once.
pub struct Process {
    runtime: Runtime,
    signals: Signals,
}

/// Dependencies that the caller of [`Process::serve`] provides.
pub struct Surroundings<R, A> {
    /// The service manager that is notified of the relay's state.
    pub manager: ServiceManager,
    /// Reads the configuration again.
    pub reload: R,
    /// Receives the address once the relay listens, and how the relay receives each app's events. It must not
    /// block.
    pub announce: A,
}

impl Process {
    /// Starts to listen for signals. A reload that is requested before the relay runs is made once it runs.
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

    /// Runs slow work before the relay starts: reading files, printing. Returns `None` if the process is asked
    /// to stop meanwhile; the work is then abandoned.
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

    /// Ends the process before the relay has run. Does not wait for abandoned work.
    pub fn end(self) {
        self.runtime.shutdown_background();
    }

    /// Runs the relay until it is asked to stop. `warnings` is the report of the configuration's warnings,
    /// empty if there are none. It is written to the log, in the log's format.
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
        // Work that cannot be cancelled (a held lock, a disk that hangs) is abandoned.
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
            let note = "the new configuration was refused, the old one stays active";
            manager.ready(&format!("{ready}; {note}"));
        }
    }
    manager.stopping();
    Ok(stop(running, signals).await)
}

/// Reads the configuration and applies it. Returns whether it was applied.
async fn take_up(running: &Running, reload: Arc<dyn Fn() -> Loaded + Send + Sync>) -> bool {
    // Reading files may be slow.
    match tokio::task::spawn_blocking(move || reload()).await {
        Ok(loaded) => running.reload(loaded).await,
        Err(error) => {
            tracing::error!(%error, "failed to read the configuration");
            false
        }
    }
}

/// How long the store may take to close after everything else has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

async fn stop(running: Running, signals: &mut Signals) -> ExitCode {
    tracing::info!("stopping: no more events are accepted");
    let tasks = running.tasks().clone();
    tasks.stop();
    let in_time = tokio::select! {
        in_time = tasks.drain(running.shutdown_grace()) => in_time,
        () = signals.stop() => drop_all(&tasks).await,
        // The results of further sends could not be recorded.
        () = running.journal_ends() => drop_all(&tasks).await,
    };
    let failed = tasks.failed() || running.journal_has_ended();
    // Closing writes to the disk, which may hang.
    let closed = tokio::select! {
        closed = tokio::task::spawn_blocking(move || drop(running)) => closed.is_ok(),
        () = signals.stop() => false,
        () = tokio::time::sleep(CLOSE_TIMEOUT) => false,
    };
    if !closed {
        tracing::warn!("failed to close the store in time; the next start recovers from its log");
    }
    tracing::info!(in_time, "stopped; unfinished work is in the store");
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

/// The signals that the relay handles.
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

    /// Waits for a signal that asks to stop. A reload that is requested meanwhile is remembered.
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
