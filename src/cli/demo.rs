//! Implements `demo`: runs the whole relay on this machine, with stand-ins for Feishu and Slack.

use super::context::{Context, Exit, Failure};
use crate::demo::{PagePort, Tour, TourError};

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

/// Runs a demo until it is interrupted.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let port = args.port.map_or(PagePort::Rather(PORT), PagePort::Only);
    let failed = |error: TourError| Failure::Failed(error.to_string());
    let mut tour = Tour::prepare(port).map_err(failed)?;
    tour.run(|tour| context.out.text(&welcome(tour)))
        .map_err(failed)?;
    let folder = tour.folder().display().to_string();
    drop(tour);
    context.out.note(&format!("removed {folder}"));
    Ok(Exit::Done)
}

/// Returns the instructions. The page's address comes first.
fn welcome(tour: &Tour) -> String {
    let (page, config, relay) = (tour.page(), tour.config().display(), tour.relay());
    format!(
        "open {page} in a browser

The whole relay runs on this machine, between stand-ins for Feishu and Slack. On the page, press \"1,000 white screens\",
then \"kill -9\" in the middle: one card counts on, and nothing is lost. Reports also arrive by themselves: follow one,
send your own, press a card's buttons, break a chat and see it recover.

  its rules    {config}
               save a change: the relay applies it, or rejects it and shows the line (`serve` waits for a SIGHUP)
  the relay    {relay}/status, /metrics

From another terminal:
  feedback-relay --config {config} check
  feedback-relay --config {config} events list

Press Ctrl-C to stop the demo; it leaves no files.
"
    )
}
