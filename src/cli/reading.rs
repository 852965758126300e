//! Parses events from a file.

use crate::feishu::{self, App};
use crate::model::Event;

/// Parses an envelope, or its bare `event` object, as if the app `via` had received it.
pub(super) fn read(text: &str, via: &App) -> Result<Event, String> {
    feishu::read_sample(text, &via.name, &via.feedback_timezone).map_err(|error| error.to_string())
}

/// Returns the id of the app that an envelope was pushed to.
pub(super) fn app_id(text: &str) -> Option<String> {
    feishu::sample_app_id(text)
}
