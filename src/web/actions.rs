//! Clicks in Slack: `POST /destinations/{name}/actions`.
//!
//! | answer | means |
//! | --- | --- |
//! | 200, empty | taken; the message shows it a moment later, or the clicker alone is told why not |
//! | 401, 404, 408, 413 `{"error": …}` | not signed by Slack; no such destination; too slow; too large |
//!
//! Slack wants its answer within 3 s and sends a click again where it gets none. Source: docs.slack.dev
//! "Handling user interaction".

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, Limited};

use super::WebState;
use crate::closing::NotTaken;
use crate::model::DestinationName;
use crate::slack::{Refusal, SIGNATURE_HEADER, SignatureHeaders, TIMESTAMP_HEADER, Unverified};

/// Slack sends the whole message along: some tens of kilobytes.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How long it may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// A click, or whatever else Slack sends there.
pub async fn pressed(
    State(state): State<WebState>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let collected = Limited::new(body, BODY_BYTES_MAX).collect();
    let body = match tokio::time::timeout(BODY_WITHIN, collected).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_broken)) => return refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Err(_elapsed) => return refused(StatusCode::REQUEST_TIMEOUT, "body_too_slow"),
    };
    let header = |name| headers.get(name).map(|value| value.as_bytes());
    let request = Unverified {
        headers: SignatureHeaders {
            timestamp: header(TIMESTAMP_HEADER),
            signature: header(SIGNATURE_HEADER),
        },
        body: &body,
    };
    let name = DestinationName::from(name.as_str());
    let now = state.clock.now();
    match state.closing.slack_pressed(&name, request, now).await {
        Ok(whisper) => {
            if let Some(whisper) = whisper {
                state.tasks.spawn_brief(whisper.send());
            }
            StatusCode::OK.into_response()
        }
        Err(NotTaken::NoSuchPlace) => refused(StatusCode::NOT_FOUND, "no_such_destination"),
        Err(NotTaken::Refused(refusal)) => {
            tracing::warn!(destination = %name, reason = %refusal, hint = hint(refusal), "click refused");
            refused(StatusCode::UNAUTHORIZED, "not_signed_by_slack")
        }
    }
}

/// What the operator can do about it.
const fn hint(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Unsigned => "if this is Slack: let the X-Slack-* headers through every proxy",
        Refusal::Stale => "if this is Slack: set this machine's clock",
        Refusal::BadSignature => {
            "if this is Slack: compare signing_secret with the app's, and let no proxy change the body"
        }
    }
}

fn refused(status: StatusCode, word: &str) -> Response {
    let body = serde_json::json!({ "error": word }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
