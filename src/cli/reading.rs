//! Parses events again, from a file or from the store. All commands use these functions.

use crate::app;
use crate::config::Config;
use crate::deliver;
use crate::feishu::{self, App};
use crate::intake;
use crate::model::{Event, StoredEvent};
use crate::store::Store;

/// Parses an envelope, or its bare `event` object, as if the app `via` had received it.
pub(super) fn read(text: &str, via: &App) -> Result<Event, String> {
    feishu::read_sample(text, &via.name, &via.feedback_timezone).map_err(|error| error.to_string())
}

/// Returns the id of the app that an envelope was pushed to.
pub(super) fn app_id(text: &str) -> Option<String> {
    feishu::sample_app_id(text)
}

/// Returns a stored body with secrets masked.
pub(super) fn shown(body: &str) -> serde_json::Value {
    feishu::shown_body(body)
}

/// Parses a stored event and its reports, as intake did.
pub(super) async fn read_with_reports(
    stored: &StoredEvent,
    config: &Config,
    store: &Store,
) -> Result<Event, String> {
    let mut event = read_stored(stored, config)?;
    intake::attach_reports(store, &config.apps, &mut event)
        .await
        .map_err(|error| error.to_string())?;
    Ok(event)
}

/// Parses a stored event.
pub(super) fn read_stored(stored: &StoredEvent, config: &Config) -> Result<Event, String> {
    let body = stored
        .body
        .as_ref()
        .ok_or("its body is not stored (any more)")?;
    deliver::read_event(stored, body, &app::names(config))
        .ok_or_else(|| "its stored body could not be parsed".into())
}
