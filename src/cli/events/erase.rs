//! Implements `events erase`: removes a person's words and images, and keeps the bare record.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::context::{Context, Exit, Failure};
use super::Found;
use crate::archive::Archive;
use crate::config::{Config, Needs};
use crate::model::{ImageId, ImageState, StoredEvent};
use crate::store::Store;

const EXAMPLES: &str = "\
Examples:
  feedback-relay events erase 5e3702a84e847582be8db7fb73283c02
  feedback-relay events erase --user ou_84aad35d084aa403a838cf73ee18467 --dry-run

Button clicks are identified by Feishu's open id, in Slack by the id U….
Messages in chats and other destinations are not removed, nor are backups. While another process reads the store's
log (a backup, a sqlite3 shell), the words stay in it: the command waits 5 s, then reports this with exit status 1.";

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

/// What was or would be removed from one event.
struct Erased {
    event: StoredEvent,
    /// Whether its words were stored.
    words: bool,
    /// How many of its images were stored.
    images: usize,
    done: bool,
}

/// Erases each event. A failure to remove an image is reported, and the others are still removed.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let archive = open_archive(&config, args.dry_run)?;
    let found = match &args.user {
        Some(user) => events_of(&store, user).await?,
        None => super::find_all(context, &store, &args.ids).await?,
    };
    let mut good = found.all;
    let clicks = match &args.user {
        Some(user) => clicks_of(&store, user, args.dry_run).await?,
        None => 0,
    };
    if args.user.is_some() && found.events.is_empty() && clicks == 0 {
        context
            .out
            .note("the store has no events and no clicks of this person");
    }
    for event in found.events {
        let kept = store.images_of(event.seq).await?;
        let images = kept
            .iter()
            .filter(|image| image.state == ImageState::Kept)
            .count();
        if let Some(archive) = &archive {
            let orphans = store.erase(event.seq).await?;
            good &= remove(context, archive, &orphans).await;
        }
        let erased = Erased {
            words: event.body.is_some(),
            images,
            done: archive.is_some(),
            event,
        };
        if args.json {
            context.out.json_line(&erased.to_json());
        } else {
            context.out.line(&erased.to_text());
        }
    }
    if clicks > 0 {
        let said = match args.json {
            true => json!({"clicks": clicks, "erased": !args.dry_run}).to_string(),
            false => clicks_text(clicks, !args.dry_run),
        };
        context.out.line(&said);
    }
    if !args.dry_run && !wait_for_log(&store).await? {
        let said = match args.json {
            true => json!({"log": "owed"}).to_string(),
            false => OWED.to_owned(),
        };
        context.out.line(&said);
        good = false;
    }
    Ok(Exit::done_if(good))
}

/// The message for erased words that are still in the log.
const OWED: &str = "removed, but still in the store's log until its reader (a backup, a sqlite3 shell) \
     ends; a running relay then empties it";

/// How long to wait for readers of the log.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// How often the log is checked during the wait.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until erased data has left the log. Returns whether it has.
async fn wait_for_log(store: &Store) -> Result<bool, Failure> {
    let deadline = Instant::now() + LOG_PATIENCE;
    while store.owes_erasure().await? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(LOG_INTERVAL).await;
    }
    Ok(true)
}

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

async fn events_of(store: &Store, user: &str) -> Result<Found, Failure> {
    let mut events = Vec::new();
    for seq in store.events_of_user(user).await? {
        events.extend(store.event_by_seq(seq).await?);
    }
    Ok(Found { events, all: true })
}

/// Counts this person's clicks. Unless it is a dry run, removes the person from them.
async fn clicks_of(store: &Store, user: &str, dry_run: bool) -> Result<u64, Failure> {
    Ok(match dry_run {
        true => store.clicks_of(user).await?,
        false => store.forget_clicks(user).await?,
    })
}

fn clicks_text(clicks: u64, done: bool) -> String {
    let verb = if done { "removed" } else { "would remove" };
    match clicks {
        1 => format!("{verb} who made 1 click"),
        more => format!("{verb} who made {more} clicks"),
    }
}

/// Removes the files of images that no event uses any more.
async fn remove(context: &mut Context, archive: &Archive, orphans: &[ImageId]) -> bool {
    let mut good = true;
    for id in orphans {
        if let Err(error) = archive.remove(id).await {
            // The store has already forgotten the image, so there will be no second try.
            let place = archive.place_of(id);
            let said = format!("error: failed to remove {place}: {error}; remove it yourself");
            context.out.note(&said);
            good = false;
        }
    }
    good
}

impl Erased {
    fn to_text(&self) -> String {
        let verb = if self.done { "removed" } else { "would remove" };
        let words = if self.words {
            "words"
        } else {
            "no words (already removed)"
        };
        let images = match self.images {
            0 => "no images".into(),
            1 => "1 image".into(),
            more => format!("{more} images"),
        };
        format!("{}: {verb} {words} and {images}", self.event.id)
    }

    fn to_json(&self) -> Value {
        json!({
            "event_id": self.event.id.as_str(),
            "erased": self.done,
            "words": self.words,
            "images": self.images,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AppName, EventId, EventSeq, EventState, Timestamp};

    #[test]
    fn what_is_removed_is_told() {
        let erased = |words, images, done| Erased {
            event: StoredEvent {
                seq: EventSeq(7),
                id: EventId::new("5e37"),
                via: AppName::new("shop"),
                event_type: String::new(),
                feedback_id: None,
                received_at: Timestamp::from_millis(0),
                state: EventState::Routed,
                body: None,
            },
            words,
            images,
            done,
        };
        for (given, shown) in [
            (erased(true, 2, true), "5e37: removed words and 2 images"),
            (
                erased(true, 1, false),
                "5e37: would remove words and 1 image",
            ),
            (
                erased(false, 0, true),
                "5e37: removed no words (already removed) and no images",
            ),
        ] {
            assert_eq!(given.to_text(), shown);
            assert_eq!(given.to_json()["images"], given.images);
        }
    }
}
