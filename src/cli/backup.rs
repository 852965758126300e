//! Implements `backup`: a consistent copy of store and images while the relay runs.

use std::path::PathBuf;

use super::context::{Context, Exit, Failure, block_on};
use super::words;
use crate::admin::backup;
use crate::config::Needs;

const EXAMPLES: &str = "\
Examples:
  feedback-relay backup /var/backups/relay-2026-03-01

The folder is created if missing, readable by its owner only, because the copy contains what reporters typed.
To restore, stop the relay and move relay.db and images to the places in relay.toml.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The target folder; must not contain a relay.db
    folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Makes the copy.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let copied = block_on(async {
        let copied = backup::run(&store, &config.archive, &args.folder).await;
        copied.map_err(|error| Failure::Failed(error.to_string()))
    })?;
    if args.json {
        context.out.json(&copied);
    } else {
        let (store, images) = (copied.store.display(), copied.images.display());
        let count = words::counted(copied.images_copied, "image");
        context.out.line(&format!("store copied to {store}"));
        context.out.line(&format!("{count} copied to {images}"));
    }
    Ok(Exit::Done)
}
