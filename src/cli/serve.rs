//! Implements `serve`: runs the relay.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::context::{Context, Failure};
use super::output::Printer;
use crate::app::{EventSource, Process, ServiceManager, Surroundings};
use crate::model::AppName;

pub(super) const EXAMPLES: &str = "\
Examples:
  feedback-relay serve
  feedback-relay --config /etc/relay.toml serve

SIGHUP reloads the configuration. SIGTERM finishes the current work and stops; a second SIGTERM stops at once. Under
systemd (Type=notify) the relay reports when it is ready, reloads and stops, and supports WatchdogSec=.";

/// Starts the relay, unless its configuration has errors. Warnings do not prevent the start.
pub(super) fn run(context: Context) -> ExitCode {
    // This comes first, so that a signal during startup neither kills the relay nor is delayed.
    let mut process = match Process::begin() {
        Ok(process) => process,
        Err(error) => return ExitCode::from(context.end(Err(Failure::Failed(error.to_string())))),
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
