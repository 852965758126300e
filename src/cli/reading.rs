//! Events read again, from a file or from what the store kept: the one door to the protocol.

use crate::app;
use crate::config::Config;
use crate::deliver;
use crate::feishu::{self, App};
use crate::intake;
use crate::model::{Event, StoredEvent};
use crate::store::Store;

/// Reads an envelope, or its bare `event` object, as if `via` had received it.
pub(super) fn read(text: &str, via: &App) -> Result<Event, String> {
    feishu::read_sample(text, &via.name, &via.feedback_timezone).map_err(|error| error.to_string())
}

/// The id of the app that an envelope says it was pushed to.
pub(super) fn app_id(text: &str) -> Option<String> {
    feishu::sample_app_id(text)
}

/// A kept body as it may be shown.
pub(super) fn shown(body: &str) -> serde_json::Value {
    feishu::shown_body(body)
}

/// Reads what the store kept of an event, and of the reports it is about, as intake did.
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

/// Reads what the store kept of an event.
pub(super) fn read_stored(stored: &StoredEvent, config: &Config) -> Result<Event, String> {
    let body = stored
        .body
        .as_ref()
        .ok_or("its body is not kept (any more)")?;
    deliver::read_event(stored, body, &app::names(config))
        .ok_or_else(|| "what is kept of it cannot be read".into())
}
