//! A fake webhook receiver. It accepts requests signed by the Standard Webhooks specification, and
//! detects repeats by their id.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::server::with_fault;
use super::{Faults, Server};
use crate::model::{Clock, Secret, SystemClock, Timestamp};

/// An authentic message.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Its `webhook-id`.
    pub id: String,
    pub body: Value,
    /// When it was first received.
    pub taken_at: Timestamp,
}

#[derive(Debug)]
struct Shared {
    key: Vec<u8>,
    faults: Faults<()>,
    taken: Mutex<Vec<Taken>>,
}

/// A running receiver. Dropping it stops it.
#[derive(Debug)]
pub struct FakeReceiver {
    server: Server,
    shared: Arc<Shared>,
}

impl FakeReceiver {
    /// Starts a receiver on a free port of the loopback interface. `secret` is `whsec_` and a key
    /// in base64.
    pub async fn start(secret: &Secret) -> std::io::Result<Self> {
        let key = secret.expose().strip_prefix("whsec_");
        let key = key.and_then(|key| STANDARD.decode(key).ok());
        let bad = || std::io::Error::other("the secret is not a webhook key");
        let shared = Arc::new(Shared {
            key: key.ok_or_else(bad)?,
            faults: Faults::default(),
            taken: Mutex::default(),
        });
        let routes = Router::new()
            .route("/hook", post(take))
            .with_state(Arc::clone(&shared));
        let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), routes).await?;
        Ok(Self { server, shared })
    }

    /// Returns the receiver's URL.
    pub fn url(&self) -> String {
        format!("{}/hook", self.server.url())
    }

    /// Returns the faults.
    pub fn faults(&self) -> &Faults<()> {
        &self.shared.faults
    }

    /// Returns the accepted messages in order, each once.
    pub fn taken(&self) -> Vec<Taken> {
        let taken = self.shared.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the last accepted messages in order, at most `limit`.
    pub fn newest(&self, limit: usize) -> Vec<Taken> {
        let taken = self.shared.taken.lock();
        let taken = taken.unwrap_or_else(PoisonError::into_inner);
        taken
            .iter()
            .skip(taken.len().saturating_sub(limit))
            .cloned()
            .collect()
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    with_fault(shared.faults.take(&()), async {
        let Some(id) = shared.authentic(&headers, &body) else {
            return StatusCode::UNAUTHORIZED.into_response();
        };
        let Ok(body) = serde_json::from_slice(&body) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        let mut taken = shared.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.iter().any(|one| one.id == id) {
            let taken_at = SystemClock.now();
            taken.push(Taken { id, body, taken_at });
        }
        StatusCode::NO_CONTENT.into_response()
    })
    .await
}

impl Shared {
    /// Returns the id of a request with a valid signature. The request's age is not checked.
    fn authentic(&self, headers: &HeaderMap, body: &[u8]) -> Option<String> {
        let header = |name| headers.get(name)?.to_str().ok();
        let (id, timestamp) = (header("webhook-id")?, header("webhook-timestamp")?);
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of every length");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        let signatures = header("webhook-signature")?.split(' ');
        let mut decoded =
            signatures.filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok());
        decoded
            .any(|signature| mac.clone().verify_slice(&signature).is_ok())
            .then(|| id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_checked() {
        let shared = Shared {
            key: STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap(),
            faults: Faults::default(),
            taken: Mutex::default(),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            (
                "webhook-signature",
                "v1,bm9ldHUjKzFob2VudXRob2VodWUzMjRvdWVvdW9ldQo= v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let body = br#"{"test": 2432232314}"#;
        let id = shared.authentic(&headers, body);
        assert_eq!(id.as_deref(), Some("msg_p5jXN8AQM9LWM0D4loKWxJek"));
        assert_eq!(shared.authentic(&headers, b"{}"), None);
        headers.remove("webhook-signature");
        assert_eq!(shared.authentic(&headers, body), None);
    }
}
