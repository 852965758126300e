//! Receives events over HTTP: `POST /apps/{name}/events`.
//!
//! | answer | meaning |
//! | --- | --- |
//! | 200 `{}` | committed, now or before |
//! | 200 `{"challenge": …}` | the platform verified the URL |
//! | 400, 401, 404, 408, 413 `{"error": …}` | refused; strangers see only this word |
//! | 503 `too_many_bodies` | other bodies use up the memory budget ([`body`]); the platform retries |
//! | 503 with `Retry-After` | not committed in time; the platform retries. After a late commit that is a repeat |
//!
//! The platform counts a 200 within 3 s as success. Otherwise it retries after 15 s, 5 min, 1 h and 6 h.
//! Source: doc "Handle events".

pub mod body;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::time::{Instant, timeout};

use self::body::Unread;
use super::{Intake, paths};
use crate::feishu::{
    self, NONCE_HEADER, Refusal, SIGNATURE_HEADER, SignatureHeaders, TIMESTAMP_HEADER, Unverified,
    Verified,
};
use crate::model::AppName;
use crate::store::StoreError;
use crate::telemetry::events::{ChallengeAnswered, RequestRefused};
use crate::telemetry::words::{OLD_CARD, OLD_CARD_HINT};

/// The time limit of a commit. A 503 is then sent within a second, well before the platform's time limit of 3
/// s.
const COMMIT_WITHIN: Duration = Duration::from_millis(900);

/// The `Retry-After` in seconds: when the platform retries anyway.
const RETRY_AFTER_SECS: &str = "15";

/// Returns the routes that receive events.
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
            let hint = match known {
                true => refused.hint(),
                false => Some(intake.no_such_app(&name)),
            };
            intake.metrics.emit(RequestRefused {
                app: if known { &name } else { "" },
                reason: refused.kind(),
                hint: hint.as_deref(),
            });
            refused.into_response()
        }
    }
}

impl Intake {
    /// Returns the log text for a URL with an unknown app.
    fn no_such_app(&self, name: &str) -> String {
        let settings = self.settings.get();
        let apps: Vec<&str> = settings.apps.keys().map(AppName::as_str).collect();
        let path = format!("/apps/{name}/events");
        format!(
            "no app of [apps] is named in the path {}; the nearest is {}",
            paths::shown(&path, &apps),
            paths::nearest(&path, &apps, &[])
        )
    }

    async fn handle(
        &self,
        name: &str,
        headers: &HeaderMap,
        body: Body,
        arrived: Instant,
    ) -> Result<serde_json::Value, Refused> {
        let settings = self.settings.get();
        let app = settings.apps.get(name).ok_or(Refused::NoSuchApp);
        // The body is read before any answer, because an answer to a half-read request may get lost. A request
        // for an unknown app gets no memory for it.
        let bytes_max = app.as_ref().map_or(0, |_known| settings.body_bytes_max);
        let body = self.bodies.read(headers, body, bytes_max).await;
        let app = app?;
        let body = body.map_err(Refused::Body)?;
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
            body: body.bytes(),
        };
        let verified =
            request.verify(app).map_err(|refusal| {
                match feishu::is_old_card_callback(headers, body.bytes()) {
                    true => Refused::OldCard(refusal),
                    false => Refused::Protocol(refusal),
                }
            })?;
        // The sender is verified, so the body no longer counts against the budget.
        drop(body);
        match verified {
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

/// Why a request did not get a 200.
#[derive(Debug)]
enum Refused {
    /// The request is not an authentic event.
    Protocol(Refusal),
    /// No app of this name is configured.
    NoSuchApp,
    /// The body is compressed, which the platform never does. A small one could unpack to any size.
    Encoded,
    /// A button action by the old callback for cards.
    OldCard(Refusal),
    /// The body was not read.
    Body(Unread),
    /// The store did not commit it in time.
    Store(StoreError),
}

impl Refused {
    /// Returns its fixed name for the answer, the log and the metrics.
    fn kind(&self) -> &'static str {
        match self {
            Self::Protocol(refusal) => refusal.kind(),
            Self::NoSuchApp => "no_such_app",
            Self::Encoded => "content_encoded",
            Self::OldCard(_) => OLD_CARD,
            Self::Body(Unread::TooLarge) => "too_large",
            Self::Body(Unread::TooSlow) => "body_too_slow",
            Self::Body(Unread::Broken) => "body_broken",
            Self::Body(Unread::NoRoom) => "too_many_bodies",
            Self::Store(StoreError::Busy) => "busy",
            Self::Store(StoreError::Unavailable(_)) => "unavailable",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Protocol(refusal) | Self::OldCard(refusal) => {
                StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::NoSuchApp => StatusCode::NOT_FOUND,
            Self::Encoded | Self::Body(Unread::Broken) => StatusCode::BAD_REQUEST,
            Self::Body(Unread::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(Unread::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(Unread::NoRoom) | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns what the operator can do about it.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Protocol(refusal) => refusal.hint().map(str::to_owned),
            Self::Store(error) => Some(error.to_string()),
            Self::OldCard(_) => Some(OLD_CARD_HINT.to_owned()),
            Self::Body(Unread::TooLarge) => Some("the limit is server.max_body".to_owned()),
            Self::Body(Unread::NoRoom) => Some(
                "many requests are sending their bodies slowly: limit connections in the proxy before the relay".to_owned(),
            ),
            Self::NoSuchApp
            | Self::Encoded
            | Self::Body(Unread::TooSlow | Unread::Broken) => None,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.kind() }).to_string();
        let mut response = json(self.status(), body);
        if matches!(self, Self::Store(_) | Self::Body(Unread::NoRoom)) {
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
