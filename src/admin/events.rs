//! Finds stored events and reads their content.

use std::collections::{BTreeMap, BTreeSet};

use super::Error;
use crate::deliver::{self, Directory};
use crate::feishu::App;
use crate::intake;
use crate::model::{AppName, Event, StoredEvent};
use crate::rules::{RuleSet, Word};
use crate::store::{ImageWaits, Store, StoreError};

/// The parts of the configuration that are needed to read, match and plan stored events.
#[derive(Clone, Copy)]
pub struct EventConfig<'a> {
    /// `[apps]`.
    pub apps: &'a BTreeMap<AppName, App>,
    /// The names of apps and people.
    pub names: &'a Directory,
    /// `[lists]`, which conditions may name.
    pub lists: &'a BTreeMap<String, Vec<Word>>,
    /// Today's rules.
    pub rules: &'a RuleSet,
    /// How long messages wait for images.
    pub waits: ImageWaits,
}

/// The stored events, with the configuration that is needed to read them.
#[derive(Clone, Copy)]
pub struct Events<'a> {
    pub store: &'a Store,
    pub config: EventConfig<'a>,
}

impl Events<'_> {
    /// Parses a stored event and its reports, as intake did. The error says why that fails.
    pub(super) async fn read(&self, stored: &StoredEvent) -> Result<Event, String> {
        let body = stored
            .body
            .as_ref()
            .ok_or("its body is not stored (any more)")?;
        let mut event = deliver::read_event(stored, body, self.config.names)
            .ok_or("its stored body could not be parsed")?;
        intake::attach_reports(self.store, self.config.apps, &mut event)
            .await
            .map_err(|error| error.to_string())?;
        Ok(event)
    }
}

/// Returns the event with this id, or with this id of its feedback.
pub async fn find(store: &Store, id: &str) -> Result<StoredEvent, Error> {
    let event = store.event(id).await?;
    event.ok_or_else(|| Error::NoEvent(id.to_owned()))
}

/// The events of several ids.
#[derive(Debug, Default)]
pub struct FoundEvents {
    /// The events, each once.
    pub events: Vec<StoredEvent>,
    /// The ids without an event.
    pub unknown: Vec<String>,
}

/// Returns the events with these ids. An event that is named twice, e.g. also by its feedback's id, is returned
/// once.
pub async fn find_all(store: &Store, ids: &[String]) -> Result<FoundEvents, StoreError> {
    let mut found = FoundEvents::default();
    let mut seen = BTreeSet::new();
    for id in ids {
        match store.event(id).await? {
            Some(event) if seen.insert(event.seq) => found.events.push(event),
            Some(_again) => {}
            None => found.unknown.push(id.clone()),
        }
    }
    Ok(found)
}
