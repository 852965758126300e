//! Answers requests to unknown paths. A wrong URL in Feishu's console gets 404, so the log names the right URL.

use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};

use super::WebState;
use crate::intake::paths;
use crate::model::{AppName, DestinationName};
use crate::telemetry::events::PathUnknown;

/// Answers 404. A POST is counted, and the log names the path that was probably meant.
pub(super) async fn unknown(State(state): State<WebState>, method: Method, uri: Uri) -> StatusCode {
    if method == Method::POST {
        let settings = state.intake.get();
        let apps: Vec<&str> = settings.apps.keys().map(AppName::as_str).collect();
        let slack = state.triage.slack_names();
        let slack: Vec<&str> = slack.iter().map(DestinationName::as_str).collect();
        state.metrics.emit(PathUnknown {
            path: &paths::shown(uri.path(), &apps),
            nearest: &paths::nearest(uri.path(), &apps, &slack),
        });
    }
    StatusCode::NOT_FOUND
}
