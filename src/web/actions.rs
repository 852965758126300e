//! Receives button actions from Slack: `POST /destinations/{name}/actions`.
//!
//! | answer | meaning |
//! | --- | --- |
//! | 200, empty | accepted; the message shows it a moment later, or an ephemeral reply says why not |
//! | 401, 404, 408, 413, 503 `{"error": …}` | unsigned; no such destination; too slow; too large; too many others |
//!
//! Slack requires an answer within 3 s and resends an action without one. Source: docs.slack.dev "Handling user
//! interaction".

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::WebState;
use crate::intake::webhook::body::Unread;
use crate::model::{ChangeSource, DestinationName};
use crate::slack::{Refusal, SIGNATURE_HEADER, SignatureHeaders, TIMESTAMP_HEADER, Unverified};
use crate::telemetry::events::ButtonPressed;
use crate::telemetry::words::CLICK_REFUSED;
use crate::triage::NotTaken;

/// The largest body in bytes. Slack sends the whole message along, which is some tens of kilobytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// Handles a button action, or any other request of Slack.
pub async fn pressed(
    State(state): State<WebState>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let name = DestinationName::from(name.as_str());
    // A request for an unknown destination gets no memory for its body.
    let bytes_max = match state.triage.has_slack(&name) {
        true => BODY_BYTES_MAX,
        false => 0,
    };
    let body = state.bodies.read(&headers, body, bytes_max).await;
    if bytes_max == 0 {
        return refused(StatusCode::NOT_FOUND, "no_such_destination");
    }
    let body = match body {
        Ok(body) => body,
        Err(unread) => return unread_body(&state, &name, unread),
    };
    let header = |name| headers.get(name).map(|value| value.as_bytes());
    let request = Unverified {
        headers: SignatureHeaders {
            timestamp: header(TIMESTAMP_HEADER),
            signature: header(SIGNATURE_HEADER),
        },
        body: body.bytes(),
    };
    let now = state.clock.now();
    match state.triage.slack_pressed(&name, request, now).await {
        Ok(whisper) => {
            if let Some(whisper) = whisper {
                state.tasks.spawn_brief(whisper.send());
            }
            StatusCode::OK.into_response()
        }
        Err(NotTaken::NoSuchPlace) => refused(StatusCode::NOT_FOUND, "no_such_destination"),
        Err(NotTaken::Refused(refusal)) => {
            if state.metrics.pacing.writes("click refused", name.as_str()) {
                tracing::warn!(destination = %name, reason = %refusal, hint = hint(refusal), "click refused");
            }
            refused(StatusCode::UNAUTHORIZED, "not_signed_by_slack")
        }
    }
}

/// Returns what the operator can do about it.
const fn hint(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unsigned => "if this is Slack: let the X-Slack-* headers through every proxy",
        Refusal::Stale => "if this is Slack: set this machine's clock",
        Refusal::BadSignature => {
            "if this is Slack: compare signing_secret with the app's, and let no proxy change the body"
        }
    }
}

/// Counts and answers a request whose body was not read.
fn unread_body(state: &WebState, name: &DestinationName, unread: Unread) -> Response {
    let (status, word) = match unread {
        Unread::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Unread::TooSlow => (StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
        Unread::Broken => (StatusCode::BAD_REQUEST, "body_broken"),
        Unread::NoRoom => (StatusCode::SERVICE_UNAVAILABLE, "too_many_bodies"),
    };
    state.metrics.emit(ButtonPressed {
        through: ChangeSource::Slack,
        act: None,
        result: CLICK_REFUSED,
    });
    if state.metrics.pacing.writes("click refused", name.as_str()) {
        tracing::warn!(destination = %name, reason = word, "click refused");
    }
    refused(status, word)
}

fn refused(status: StatusCode, word: &str) -> Response {
    let body = serde_json::json!({ "error": word }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
