//! Implements `demo`: runs the whole relay on this machine, with stand-ins for Feishu and Slack.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;

use super::context::{Context, Failure};
use crate::app::{EventSource, Process, ServiceManager, Surroundings};
use crate::demo::{PagePort, Tour};
use crate::model::AppName;

const EXAMPLES: &str = "\
Examples:
  feedback-relay demo
  feedback-relay demo --port 9000

It needs no account, no configuration and no network. Everything it writes is in a folder that is deleted at the end.";

/// The default port of the page.
const PORT: u16 = 8790;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The port of the page; 0 for any free port [default: 8790, or any free port]
    #[arg(long)]
    port: Option<u16>,
}

/// Prepares a demo, and runs its relay like `serve`.
pub(super) fn run(context: Context, args: &Args) -> ExitCode {
    let port = args.port.map_or(PagePort::Rather(PORT), PagePort::Only);
    let tour = match Tour::prepare(port) {
        Ok(tour) => tour,
        Err(error) => {
            let failure = Failure::Failed(error.to_string());
            return ExitCode::from(context.end(Err(failure)));
        }
    };
    // The environment is ignored, because its variables are for another relay.
    let mut context = context.of(tour.config().to_owned(), BTreeMap::new());
    let mut loaded = context.load();
    let Some(config) = loaded.config.take() else {
        let failure = Failure::Configuration(loaded.report());
        return ExitCode::from(context.end(Err(failure)));
    };
    let process = match Process::begin() {
        Ok(process) => process,
        Err(error) => return ExitCode::from(context.end(Err(Failure::Failed(error.to_string())))),
    };
    let surroundings = Surroundings {
        manager: ServiceManager::of(context.environment()),
        reload: context.loader(),
        announce: |address: SocketAddr, _: &[(AppName, EventSource)]| {
            context.out.text(&welcome(&tour, address));
            tour.begin(address);
        },
    };
    let code = process.serve(config, "", surroundings);
    let folder = tour.folder().display().to_string();
    drop(tour);
    context.out.note(&format!("removed {folder}"));
    code
}

/// Returns the instructions. The page's address comes first.
fn welcome(tour: &Tour, relay: SocketAddr) -> String {
    let (page, config) = (tour.page(), tour.config().display());
    format!(
        "open {page} in a browser

The whole relay runs on this machine, between stand-ins for Feishu and Slack. Reports arrive by themselves; on the
page, follow one, send your own, press a card's buttons, break a chat and see it recover.

  its rules    {config}
               save a change: the relay applies it, or rejects it and shows the line (`serve` waits for a SIGHUP)
  the relay    http://{relay}/status, /metrics

From another terminal:
  feedback-relay --config {config} check
  feedback-relay --config {config} events list

Press Ctrl-C to stop the demo; it leaves no files.
"
    )
}
