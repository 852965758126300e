//! Events over HTTP: `POST /apps/{name}/events`.
//!
//! | answer | means |
//! | --- | --- |
//! | 200 `{}` | committed, now or before |
//! | 200 `{"challenge": …}` | the platform asked whether we are there |
//! | 400, 401, 404, 408, 413 `{"error": …}` | refused; the word is all a stranger is told |
//! | 503 with `Retry-After` | not committed in time; the platform sends again. It may be committed after all: then the next push is a repeat |
//!
//! The platform counts a 200 within 3 s as success and otherwise sends again after 15 s, 5 min, 1 h
//! and 6 h. Source: doc "Handle events".

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};

use super::Intake;
use crate::feishu::{
    NONCE_HEADER, Refusal, SIGNATURE_HEADER, SignatureHeaders, TIMESTAMP_HEADER, Unverified,
    Verified,
};
use crate::store::StoreError;
use crate::telemetry::events::{ChallengeAnswered, RequestRefused};

/// How long a whole body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// How long the journal may take: a 503 then still comes within a second, and well before the 3 s
/// after which the platform gives up waiting.
const COMMIT_WITHIN: Duration = Duration::from_millis(900);

/// In how many seconds to come again: when the platform does so by itself.
const RETRY_AFTER_SECS: &str = "15";

/// How much of a body that is too large is read and thrown away, so that the sender sees the answer
/// rather than a connection that breaks under its hands.
const DISCARD_BYTES_MAX: usize = 4 << 20;

/// The routes by which events come in.
pub fn routes(intake: Intake) -> Router {
    Router::new()
        .route("/apps/{name}/events", post(receive))
        .with_state(Arc::new(intake))
}

async fn receive(
    State(intake): State<Arc<Intake>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let arrived = Instant::now();
    match intake.handle(&name, &headers, body, arrived).await {
        Ok(answer) => json(StatusCode::OK, answer.to_string()),
        Err(refused) => {
            let known = !matches!(refused, Refused::NoSuchApp);
            intake.metrics.emit(RequestRefused {
                app: if known { &name } else { "" },
                reason: refused.kind(),
                hint: refused.hint().as_deref(),
            });
            refused.into_response()
        }
    }
}

impl Intake {
    async fn handle(
        &self,
        name: &str,
        headers: &HeaderMap,
        body: Body,
        arrived: Instant,
    ) -> Result<serde_json::Value, Refused> {
        let settings = self.settings.get();
        let app = settings.apps.get(name).ok_or(Refused::NoSuchApp);
        // The body first, whatever follows: an answer sent under a half-read request may get lost.
        // Who does not even know an app's name is not lent memory for it.
        let bytes_max = app.as_ref().map_or(0, |_known| settings.body_bytes_max);
        let body = read(headers, body, bytes_max).await;
        let app = app?;
        let body = body?;
        let header = |name| headers.get(name).map(|value| value.as_bytes());
        if header(CONTENT_ENCODING.as_str()).is_some_and(|coding| coding != b"identity") {
            return Err(Refused::Encoded);
        }
        let headers = SignatureHeaders {
            timestamp: header(TIMESTAMP_HEADER),
            nonce: header(NONCE_HEADER),
            signature: header(SIGNATURE_HEADER),
        };
        let request = Unverified {
            headers,
            body: &body,
        };
        match request.verify(app).map_err(Refused::Protocol)? {
            Verified::Challenge(challenge) => {
                self.metrics.emit(ChallengeAnswered { app: &app.name });
                Ok(serde_json::json!({ "challenge": challenge }))
            }
            Verified::Envelope(envelope) => {
                let take = self.take(app, envelope, arrived);
                let taken = timeout(COMMIT_WITHIN, take).await;
                let taken = taken.unwrap_or_else(|_elapsed| Err(StoreError::Busy));
                taken.map_err(Refused::Store)
            }
        }
    }
}

/// The raw bytes of a body of at most `bytes_max`.
async fn read(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Vec<u8>, Refused> {
    let declared = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_large = declared.is_some_and(|length| length > bytes_max);
    let far_too_large = declared.is_some_and(|length| length > bytes_max + DISCARD_BYTES_MAX);
    if far_too_large || (too_large && headers.contains_key(EXPECT)) {
        return Err(Refused::TooLarge);
    }
    match timeout(BODY_WITHIN, collect(body, bytes_max)).await {
        Ok(read) => read,
        Err(_elapsed) => Err(Refused::BodyTooSlow),
    }
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, Refused> {
    let mut read = Vec::new();
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| Refused::BodyBroken)?;
        let Ok(data) = frame.into_data() else {
            continue; // Trailers.
        };
        if discarded == 0 && read.len() + data.len() <= bytes_max {
            read.extend_from_slice(&data);
            continue;
        }
        discarded += data.len();
        if discarded > DISCARD_BYTES_MAX {
            break;
        }
    }
    match discarded {
        0 => Ok(read),
        _ => Err(Refused::TooLarge),
    }
}

/// Why a request got no 200.
#[derive(Debug)]
enum Refused {
    /// It is not an authentic event.
    Protocol(Refusal),
    /// No app of this name is configured.
    NoSuchApp,
    /// Its body is compressed, which the platform never does; a small one could unpack to any size.
    Encoded,
    /// Its body is larger than `server.max_body`.
    TooLarge,
    /// Its body took too long.
    BodyTooSlow,
    /// The connection broke, or the body breaks HTTP's rules.
    BodyBroken,
    /// The journal did not take it in time.
    Store(StoreError),
}

impl Refused {
    /// A fixed word for it: in the answer, the log and the metrics.
    fn kind(&self) -> &'static str {
        match self {
            Self::Protocol(refusal) => refusal.kind(),
            Self::NoSuchApp => "no_such_app",
            Self::Encoded => "content_encoded",
            Self::TooLarge => "too_large",
            Self::BodyTooSlow => "body_too_slow",
            Self::BodyBroken => "body_broken",
            Self::Store(StoreError::Busy) => "busy",
            Self::Store(StoreError::Unavailable(_)) => "unavailable",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Protocol(refusal) => {
                StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::NoSuchApp => StatusCode::NOT_FOUND,
            Self::Encoded | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What the operator can do about it.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Protocol(refusal) => refusal.hint().map(str::to_owned),
            Self::Store(error) => Some(error.to_string()),
            Self::NoSuchApp => Some("the URL names an app that is not in [apps]".to_owned()),
            Self::TooLarge => Some("the limit is server.max_body".to_owned()),
            Self::Encoded | Self::BodyTooSlow | Self::BodyBroken => None,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.kind() }).to_string();
        let mut response = json(self.status(), body);
        if matches!(self, Self::Store(_)) {
            let seconds = axum::http::HeaderValue::from_static(RETRY_AFTER_SECS);
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

fn json(status: StatusCode, body: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests;
