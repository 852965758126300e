//! Implements `serve`: runs the relay.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use rustix::process::{Signal, getpid, kill_process};

use super::context::{Context, Failure};
use super::output::Printer;
use crate::app::{EventSource, Process, ServiceManager, Surroundings};
use crate::model::AppName;

const EXAMPLES: &str = "\
Examples:
  feedback-relay serve
  feedback-relay --config /etc/relay.toml serve

SIGHUP reloads the configuration. SIGTERM finishes the current work and stops; a second SIGTERM stops at once. Under
systemd (Type=notify) the relay reports when it is ready, reloads and stops, and supports WatchdogSec=.";

#[derive(Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Stop as at SIGTERM when standard input ends, so that the relay does not outlive the process that started it
    #[arg(long)]
    until_stdin_ends: bool,
}

/// Starts the relay, unless its configuration has errors. Warnings do not prevent the start.
pub(super) fn run(context: Context, args: &Args) -> ExitCode {
    // This comes first, so that a signal during startup neither kills the relay nor is delayed.
    let begun = Process::begin().map_err(|error| error.to_string());
    let begun = begun.and_then(|process| {
        if args.until_stdin_ends {
            stop_when_stdin_ends()
                .map_err(|error| format!("cannot watch standard input: {error}"))?;
        }
        Ok(process)
    });
    let mut process = match begun {
        Ok(process) => process,
        Err(reason) => return ExitCode::from(context.end(Err(Failure::Failed(reason)))),
    };
    let load = move || (context.load(), context);
    let Some((mut loaded, context)) = process.unless_stopped(load) else {
        process.end();
        return ExitCode::SUCCESS;
    };
    let Some(config) = loaded.config.take() else {
        let failure = Failure::Configuration(loaded.report());
        let status = process.unless_stopped(move || context.end(Err(failure)));
        process.end();
        return ExitCode::from(status.unwrap_or_default());
    };
    let warnings = loaded.report();
    let surroundings = Surroundings {
        manager: ServiceManager::of(context.environment()),
        reload: context.loader(),
        announce: |address: SocketAddr, entrances: &[(AppName, EventSource)]| {
            announce(context.out, lines(address, entrances));
        },
    };
    process.serve(config, &warnings, surroundings)
}

/// Sends SIGTERM to this process when standard input ends.
fn stop_when_stdin_ends() -> io::Result<()> {
    let watching = std::thread::Builder::new().name("stdin".into());
    watching.spawn(|| {
        // A broken standard input has ended, too.
        io::copy(&mut io::stdin(), &mut io::sink()).ok();
        if let Err(error) = kill_process(getpid(), Signal::TERM) {
            tracing::error!(%error, "failed to stop after the end of standard input");
        }
    })?;
    Ok(())
}

/// Returns the stdout lines of a relay that listens.
fn lines(address: SocketAddr, entrances: &[(AppName, EventSource)]) -> Vec<String> {
    let mut lines = vec![format!("listening on http://{address}")];
    lines.extend(entrances.iter().map(|(app, entrance)| match entrance {
        EventSource::Url(url) => format!("request URL for the events of {app}: {url}"),
        EventSource::LongConnection => format!(
            "events of {app} come over the long connection: in Feishu's console, Events & callbacks, \
             choose it as the subscription mode while the relay runs"
        ),
    }));
    lines
}

/// Prints on a separate thread without waiting for it, because the reader of stdout may have stopped reading.
fn announce(mut out: Printer, lines: Vec<String>) {
    let printing = std::thread::Builder::new().name("announce".into());
    let print = move || lines.iter().for_each(|line| out.line(line));
    if let Err(error) = printing.spawn(print) {
        tracing::warn!(%error, "failed to print the address");
    }
}
