//! A receiver of Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks, spec):
//! JSON, signed with HMAC-SHA256 under the key against doubles and the time of the attempt.
//!
//! There is no limit of the platform's own: `rate` is the operator's word.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::answer::{ByStatus, answered, unanswered};
use super::excerpt::Redactor;
use super::{
    BuildError, Common, Destination, Message, Pace, Sent, ShowsImages, by_link, no_upload,
};
use crate::feishu::ApiError;
use crate::model::{Form, ImageFormat, Outcome, Secret};
use crate::net::{Answer, Body, HttpClient, Method, Request};

const FORMS: &[Form] = &[Form::Full];
const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// See the module.
pub(super) struct Webhook {
    common: Common,
    http: HttpClient,
    url: Secret,
    keys: Vec<Key>,
    headers: Vec<(String, Secret)>,
    redactor: Redactor,
    links: bool,
}

impl Webhook {
    /// Fails if a secret is no key, or a header is one of ours or none of HTTP's.
    pub(super) fn build(
        common: Common,
        http: HttpClient,
        url: &Secret,
        secrets: &[Secret],
        headers: &[(String, Secret)],
        links: bool,
    ) -> Result<Self, BuildError> {
        let reserved = |name: &str| {
            [ID, TIMESTAMP, SIGNATURE, "content-length", "host"]
                .iter()
                .any(|ours| ours.eq_ignore_ascii_case(name))
        };
        if let Some((header, _)) = headers.iter().find(|(name, _)| reserved(name)) {
            return Err(BuildError::ReservedHeader {
                name: common.name,
                header: header.clone(),
            });
        }
        if let Some((header, _)) = headers.iter().find(|header| !is_valid(header)) {
            return Err(BuildError::BadHeader {
                name: common.name,
                header: header.clone(),
            });
        }
        let mut keys = Vec::with_capacity(secrets.len());
        for (index, secret) in secrets.iter().enumerate() {
            keys.push(Key::decode(secret).ok_or_else(|| BuildError::Key {
                name: common.name.clone(),
                number: index + 1,
            })?);
        }
        Ok(Self {
            redactor: Redactor::new(url, secrets, headers.iter().map(|(_, value)| value)),
            common,
            http,
            url: url.clone(),
            keys,
            headers: headers.to_vec(),
            links,
        })
    }

    /// The headers of one attempt.
    fn headers(&self, id: &str, timestamp: i64, body: &str) -> Vec<(String, Secret)> {
        let mut headers = self.headers.clone();
        let typed = |(name, _): &(String, Secret)| name.eq_ignore_ascii_case("content-type");
        if !headers.iter().any(typed) {
            headers.push(("content-type".into(), Secret::new("application/json")));
        }
        headers.push((ID.into(), Secret::new(id)));
        headers.push((TIMESTAMP.into(), Secret::new(timestamp.to_string())));
        if !self.keys.is_empty() {
            let signature = sign(&self.keys, id, timestamp, body);
            headers.push((SIGNATURE.into(), Secret::new(signature)));
        }
        headers
    }
}

#[async_trait]
impl Destination for Webhook {
    fn common(&self) -> &Common {
        &self.common
    }

    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn forms(&self) -> &'static [Form] {
        FORMS
    }

    fn paces(&self) -> &'static [Pace] {
        &[]
    }

    fn shows_images(&self) -> ShowsImages {
        by_link(self.links)
    }

    fn recognises_repeats(&self) -> bool {
        true
    }

    async fn upload(&self, _format: ImageFormat, _bytes: Bytes) -> Result<String, ApiError> {
        Err(no_upload(self.kind()))
    }

    async fn send(&self, message: Message<'_>) -> Sent {
        let body = message.payload.with_links(message.link);
        let request = Request {
            method: Method::Post,
            url: &self.url,
            headers: self.headers(&message.key.to_string(), message.now.as_secs(), &body),
            body: Body::Bytes(body.into()),
            timeout: self.common.timeout,
        };
        match self.http.send(request).await {
            Ok(answer) => {
                let outcome = outcome(&answer, &message);
                answered(&answer, &self.redactor, None, outcome)
            }
            Err(error) => unanswered(&error, &self.redactor),
        }
    }
}

fn outcome(answer: &Answer, message: &Message<'_>) -> Outcome {
    match answer.status {
        // 409 is how a receiver that knows the id says that it has it.
        200..=299 | 409 => Outcome::Delivered,
        410 => Outcome::Stop {
            reason: "HTTP 410: the receiver wants no more".into(),
        },
        _ => ByStatus {
            form: message.payload.form,
            forms: FORMS,
            now: message.now,
            gone_if_not_found: false,
        }
        .outcome(answer),
    }
}

/// Whether HTTP can carry the header (RFC 9110, 5.1 and 5.5).
fn is_valid((name, value): &(String, Secret)) -> bool {
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let in_value = |b: u8| b == b'\t' || (b >= b' ' && b != 0x7f);
    !name.is_empty() && name.bytes().all(in_name) && value.expose().bytes().all(in_value)
}

/// A decoded signing key.
struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// From `whsec_` and base64; the prefix may be missing.
    fn decode(secret: &Secret) -> Option<Self> {
        let secret = secret.expose().trim();
        let key = secret.strip_prefix("whsec_").unwrap_or(secret);
        let key = Zeroizing::new(STANDARD.decode(key).ok()?);
        (!key.is_empty()).then_some(Self(key))
    }
}

/// The value of `webhook-signature`: one signature for each key, in their order.
fn sign(keys: &[Key], id: &str, timestamp: i64, body: &str) -> String {
    let signatures: Vec<_> = keys
        .iter()
        .map(|key| {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes keys of every length");
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body.as_bytes());
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        })
        .collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests;
