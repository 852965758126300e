//! Events over HTTP: `POST /apps/{name}/events`.
//!
//! | answer | means |
//! | --- | --- |
//! | 200 `{}` | committed, now or before |
//! | 200 `{"challenge": …}` | the platform asked whether we are there |
//! | 400, 401, 404, 408, 413 `{"error": …}` | refused; the word is all a stranger is told |
//! | 503 `too_many_bodies` | too much of other bodies is held ([`body`]); the platform sends again |
//! | 503 with `Retry-After` | not committed in time; the platform sends again. It may be committed after all: then the next push is a repeat |
//!
//! The platform counts a 200 within 3 s as success and otherwise sends again after 15 s, 5 min, 1 h
//! and 6 h. Source: doc "Handle events".

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

/// How long the store may take: a 503 then still comes within a second, and well before the 3 s
/// after which the platform gives up waiting.
const COMMIT_WITHIN: Duration = Duration::from_millis(900);

/// In how many seconds to come again: when the platform does so by itself.
const RETRY_AFTER_SECS: &str = "15";

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
    /// What the log says of a URL whose app is none.
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
        // The body first, whatever follows: an answer sent under a half-read request may get lost.
        // Who does not even know an app's name is not lent memory for it.
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
        // Its sender is known now.
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

/// Why a request got no 200.
#[derive(Debug)]
enum Refused {
    /// It is not an authentic event.
    Protocol(Refusal),
    /// No app of this name is configured.
    NoSuchApp,
    /// Its body is compressed, which the platform never does; a small one could unpack to any size.
    Encoded,
    /// A click that came by the old callback for cards.
    OldCard(Refusal),
    /// Its body was not read.
    Body(Unread),
    /// The store did not take it in time.
    Store(StoreError),
}

impl Refused {
    /// A fixed word for it: in the answer, the log and the metrics.
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

    /// What the operator can do about it.
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
