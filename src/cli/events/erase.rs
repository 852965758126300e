//! Implements `events erase`: removes a person's text and images from events, and keeps the other
//! fields.

use super::super::context::{Context, Exit, Failure};
use super::super::words;
use super::all_known;
use crate::admin::erase::{self, Eraser, LeftImage};
use crate::admin::find_all;
use crate::archive::Archive;
use crate::config::{Config, Needs};
use crate::view::{ErasedClicks, ErasedEvent, ErasedLog, LogState};

const EXAMPLES: &str = "\
Examples:
  feedback-relay events erase 5e3702a84e847582be8db7fb73283c02
  feedback-relay events erase --user ou_84aad35d084aa403a838cf73ee18467 --dry-run

Button clicks are identified by Feishu's open id, in Slack by the id U….
Messages in chats and other destinations are not removed, nor are backups. While another process reads the store's
log (a backup, a sqlite3 shell), the text stays in it: the command waits 5 s, then reports this with exit status 1.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Ids of events, or of their feedback
    #[arg(
        required_unless_present = "user",
        conflicts_with = "user",
        value_name = "ID"
    )]
    ids: Vec<String>,
    /// All feedback of the person with this open id, union id or user id, and their name on button clicks
    #[arg(long, value_name = "OPEN_ID")]
    user: Option<String>,
    /// Show what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, one event per line
    #[arg(long)]
    json: bool,
}

/// Erases each event. A failure to remove an image is reported, and the others are still removed.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let archive = open_archive(&config, args.dry_run)?;
    let eraser = Eraser {
        store: &store,
        archive: archive.as_ref(),
    };
    let mut good = true;
    let (events, clicks) = match &args.user {
        Some(user) => {
            let events = erase::events_of(&store, user).await?;
            (events, Some(eraser.clicks(user).await?))
        }
        None => {
            let found = find_all(&store, &args.ids).await?;
            good = all_known(context, &found);
            (found.events, None)
        }
    };
    if events.is_empty() && clicks.is_some_and(|clicks| clicks.clicks == 0) {
        context
            .out
            .note("the store has no events and no clicks of this person");
    }
    for event in events {
        let (erased, left) = eraser.event(&event).await?;
        good &= left.is_empty();
        for image in left {
            context.out.note(&left_text(&image));
        }
        if args.json {
            context.out.json_line(&erased);
        } else {
            context.out.line(&event_text(&erased));
        }
    }
    if let Some(clicks) = clicks.filter(|clicks| clicks.clicks > 0) {
        if args.json {
            context.out.json_line(&clicks);
        } else {
            context.out.line(&clicks_text(clicks));
        }
    }
    if !eraser.wait_for_log().await? {
        if args.json {
            let log = LogState::Owed;
            context.out.json_line(&ErasedLog { log });
        } else {
            context.out.line(OWED);
        }
        good = false;
    }
    Ok(Exit::done_if(good))
}

/// The message for erased text that is still in the log.
const OWED: &str = "removed, but still in the store's log until its reader (a backup, a sqlite3 shell) \
     ends; a running relay then empties it";

/// Opens the archive, unless nothing is to be removed from it.
fn open_archive(config: &Config, dry_run: bool) -> Result<Option<Archive>, Failure> {
    if dry_run {
        return Ok(None);
    }
    let opened = Archive::open_for_command(&config.archive);
    opened
        .map(Some)
        .map_err(|error| Failure::of("failed to open the images folder", error))
}

fn left_text(image: &LeftImage) -> String {
    let LeftImage { place, error } = image;
    format!("error: failed to remove {place}: {error}; remove it yourself")
}

const fn verb(done: bool) -> &'static str {
    if done { "removed" } else { "would remove" }
}

fn clicks_text(erased: ErasedClicks) -> String {
    let verb = verb(erased.erased);
    format!(
        "{verb} the person from {}",
        words::counted(erased.clicks, "click")
    )
}

fn event_text(erased: &ErasedEvent) -> String {
    let verb = verb(erased.erased);
    let typed = if erased.words {
        "text"
    } else {
        "no text (already removed)"
    };
    let images = match erased.images {
        0 => "no images".into(),
        some => words::counted(some, "image"),
    };
    format!("{}: {verb} {typed} and {images}", erased.event_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_removed_is_told() {
        let erased = |words, images, erased| ErasedEvent {
            event_id: "5e37".into(),
            erased,
            words,
            images,
        };
        for (given, shown) in [
            (erased(true, 2, true), "5e37: removed text and 2 images"),
            (
                erased(true, 1, false),
                "5e37: would remove text and 1 image",
            ),
            (
                erased(false, 0, true),
                "5e37: removed no text (already removed) and no images",
            ),
        ] {
            assert_eq!(event_text(&given), shown);
        }
    }
}
