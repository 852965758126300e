//! The life of the process: start, signals, stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{App, Entrance, Running, ServiceManager, StartError, open_files};
use crate::config::{Config, Loaded};
use crate::model::{AppName, SystemClock};
use crate::telemetry;

/// Runs the relay until it is told to stop. `warnings` is the report of what its configuration could do
/// better, empty if there is nothing; it goes where the log goes, and in its format. `manager` is told how the relay
/// stands; `reload` reads the configuration again; `announce` is given the address once the relay listens, and how the events of
/// each app come in.
///
/// SIGHUP reloads. SIGTERM and SIGINT stop taking events and finish what is in hand within
/// `server.shutdown_grace`; a second one ends it at once.
pub fn serve(
    config: Config,
    warnings: &str,
    manager: ServiceManager,
    reload: impl Fn() -> Loaded + Send + Sync + 'static,
    announce: impl FnOnce(SocketAddr, &[(AppName, Entrance)]),
) -> ExitCode {
    telemetry::init(config.log);
    if !warnings.is_empty() {
        tracing::warn!("the configuration has warnings:\n{}", warnings.trim_end());
    }
    let config = open_files::fit(config);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        match run(config, manager, Arc::new(reload), announce).await {
            Ok(code) => code,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        }
    })
}

async fn run(
    config: Config,
    manager: ServiceManager,
    reload: Arc<dyn Fn() -> Loaded + Send + Sync>,
    announce: impl FnOnce(SocketAddr, &[(AppName, Entrance)]),
) -> Result<ExitCode, StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let app = App::build(config, Arc::new(SystemClock), fastrand::u64(..)).await?;
    let address = app.address();
    announce(address, &app.entrances());
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
        match heard {
            Heard::Stop => break,
            Heard::Reload => {
                manager.reloading();
                if take_up(&running, Arc::clone(&reload)).await {
                    manager.ready(&ready);
                } else {
                    let note = "the new configuration was refused, the old one is in force";
                    manager.ready(&format!("{ready}; {note}"));
                }
            }
        }
    }
    manager.stopping();
    Ok(stop(&running, &mut signals).await)
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

async fn stop(running: &Running, signals: &mut Signals) -> ExitCode {
    tracing::info!("stopping: no more events are taken");
    let tasks = running.tasks();
    tasks.stop();
    let in_time = tokio::select! {
        in_time = tasks.drain(running.shutdown_grace()) => in_time,
        () = signals.stop() => {
            tasks.stop_now();
            tasks.drain(Duration::ZERO).await
        }
    };
    tracing::info!(in_time, "stopped; what was not finished is in the journal");
    if tasks.failed() || running.journal_has_ended() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
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

    /// Waits for one that asks to stop; nothing is reloaded any more.
    async fn stop(&mut self) {
        while self.next().await != Heard::Stop {}
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Stop,
    Reload,
}
