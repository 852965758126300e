//! Implements `events`: lists, shows, replays and erases stored events.

mod erase;
mod list;
mod options;
mod replay;
mod sample;
mod show;
pub(in crate::cli) mod triage;

use super::context::{Context, Exit, Failure, block_on};
use crate::admin::{EventConfig, Events, FoundEvents};
use crate::app;
use crate::config::{Config, Needs};
use crate::deliver::Directory;
use crate::rules::DigestSettings;
use crate::store::{ImageWaits, Store};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List events, newest first
    List(Box<list::Args>),
    /// Show everything about one event
    Show(show::Args),
    /// Print a sample event, or list the kinds of samples
    Sample(sample::Args),
    /// Apply today's rules to events again, with new idempotency keys
    Replay(Box<replay::Args>),
    /// Erase the text and images of events or of one person, without confirmation
    Erase(erase::Args),
}

/// Runs a subcommand.
pub(super) fn run(context: &mut Context, command: &Command) -> Result<Exit, Failure> {
    block_on(async {
        match command {
            Command::List(args) => list::run(context, args).await,
            Command::Show(args) => show::run(context, args).await,
            Command::Sample(args) => sample::run(context, args),
            Command::Replay(args) => replay::run(context, args).await,
            Command::Erase(args) => erase::run(context, args).await,
        }
    })
}

/// The configuration and the store of a command about events.
pub(super) struct Opened {
    config: Config,
    names: Directory,
    pub(super) store: Store,
}

impl Opened {
    pub(super) fn open(context: &Context, needs: Needs) -> Result<Self, Failure> {
        let config = context.config_for(needs)?;
        let store = context.store(&config)?;
        let names = app::names(&config);
        Ok(Self {
            config,
            names,
            store,
        })
    }

    /// Returns `[[digests]]`.
    pub(super) fn digests(&self) -> &[DigestSettings] {
        &self.config.digests
    }

    pub(super) fn events(&self) -> Events<'_> {
        Events {
            store: &self.store,
            config: event_config(&self.config, &self.names),
        }
    }
}

/// Returns the parts of the configuration that are needed to read, match and plan stored events.
pub(super) fn event_config<'a>(config: &'a Config, names: &'a Directory) -> EventConfig<'a> {
    EventConfig {
        apps: &config.apps,
        names,
        lists: &config.lists,
        rules: &config.rules,
        waits: ImageWaits {
            wait: config.images.wait,
            wait_critical: config.images.wait_critical,
        },
    }
}

/// Lists unknown ids on stderr. Returns whether there are none.
fn all_known(context: &mut Context, found: &FoundEvents) -> bool {
    for id in &found.unknown {
        let unknown = crate::admin::Error::NoEvent(id.clone());
        context.out.note(&format!("error: {unknown}"));
    }
    found.unknown.is_empty()
}
