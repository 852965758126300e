//! A receiver of Standard Webhooks 1.0 (github.com/standard-webhooks/standard-webhooks, spec). The message is
//! JSON, signed with HMAC-SHA256 over the idempotency key, the time of the attempt and the body.
//!
//! The platform has no limit of its own; `rate` is the operator's. Any 2xx is a success, even if the body is
//! lost, unless the destination defines the value that means success ([`Success`]).

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::answer::{Reading, answered, unanswered};
use super::{BuildError, Common, Destination, Message, Sent, ShowsImages, Success, by_link};
use crate::feishu::codes;
use crate::model::{Form, Outcome, Secret};
use crate::net::{Answer, Body, HttpClient, Method, Patience, Redactor, Request};

const FORMS: &[Form] = &[Form::Full];
const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";
/// The prefix of the stored excerpt of an answer that was an HTML page.
const PAGE: &str = "a page for people, not a receiver's answer: ";

/// The settings of a webhook.
pub(super) struct Given<'a> {
    pub(super) url: &'a Secret,
    pub(super) secrets: &'a [Secret],
    pub(super) headers: &'a [(String, Secret)],
    pub(super) success: Option<&'a Success>,
    pub(super) links: bool,
    pub(super) proxy: Option<&'a Secret>,
}

/// A destination of kind `webhook`. See the module.
pub(super) struct Webhook {
    common: Common,
    http: HttpClient,
    url: Secret,
    keys: Vec<Key>,
    headers: Vec<(String, Secret)>,
    success: Option<Success>,
    redactor: Redactor,
    patience: Patience,
    links: bool,
}

impl Webhook {
    /// Builds the destination. Fails if a secret is not a valid key, or if a header is reserved or invalid.
    pub(super) fn build(
        common: Common,
        http: HttpClient,
        given: &Given<'_>,
    ) -> Result<Self, BuildError> {
        let Given {
            url,
            secrets,
            headers,
            ..
        } = *given;
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
            redactor: Redactor::new(
                given.proxy.into_iter().chain([url]),
                secrets,
                headers.iter().map(|(_, value)| value),
            ),
            patience: Patience::default(),
            common,
            http,
            url: url.clone(),
            keys,
            headers: headers.to_vec(),
            success: given.success.cloned(),
            links: given.links,
        })
    }

    /// Returns the headers of one attempt.
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

    fn shows_images(&self) -> ShowsImages {
        by_link(self.links)
    }

    /// Returns false for a custom body: its receiver does not know `webhook-id`, e.g. because it is the bot
    /// of another chat program.
    fn recognises_repeats(&self) -> bool {
        self.common.audience.body.is_none()
    }

    async fn send(&self, message: Message<'_>) -> Sent {
        let body = message.payload.with_links(message.link);
        let request = Request {
            method: Method::Post,
            url: &self.url,
            headers: self.headers(&message.key.to_string(), message.now.as_secs(), &body),
            body: Body::Bytes(body.clone().into()),
            timeout: self.common.timeout,
        };
        let answer = match &self.success {
            Some(_) => self.http.send(request).await,
            None => self.http.send_for_head(request).await,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return unanswered(&error, &self.redactor),
        };
        let reading = Reading {
            form: message.payload.form,
            forms: FORMS,
            now: message.now,
            sent: &body,
            redactor: &self.redactor,
            patience: &self.patience,
            gone_if_not_found: false,
            any_receiver: true,
        };
        let (outcome, code) = self.outcome(&answer, &reading);
        let page = outcome == Outcome::Delivered && answer.is_page();
        let sent = answered(&answer, &self.redactor, code, outcome);
        Sent {
            page,
            excerpt: match sent.excerpt {
                Some(excerpt) if page => {
                    self.redactor.excerpt(format!("{PAGE}{excerpt}").as_bytes())
                }
                excerpt => excerpt,
            },
            ..sent
        }
    }
}

impl Webhook {
    /// Returns the outcome of the answer, and the receiver's own code in it.
    fn outcome(&self, answer: &Answer, reading: &Reading<'_>) -> (Outcome, Option<String>) {
        let outcome = match (answer.status, &self.success) {
            (200..=299, Some(success)) => return self.by_body(success, answer, reading),
            // 409 is how a receiver reports that it has this id already.
            (200..=299 | 409, _) => Outcome::Delivered,
            (410, _) => Outcome::Stop {
                reason: "HTTP 410: the receiver accepts no more messages".into(),
            },
            _ => return (reading.by_status(answer), None),
        };
        self.patience.restore();
        (outcome, None)
    }

    /// Returns the outcome for a receiver that answers 2xx to everything: the value at the pointer decides.
    fn by_body(
        &self,
        success: &Success,
        answer: &Answer,
        reading: &Reading<'_>,
    ) -> (Outcome, Option<String>) {
        let body = serde_json::from_slice::<serde_json::Value>(&answer.body);
        let pointer = &success.pointer;
        let found = body.ok().and_then(|body| body.pointer(pointer).cloned());
        let Some(found) = found else {
            let what = format!(", and nothing at {pointer} in the answer");
            return (reading.foreign(answer, &what), None);
        };
        self.patience.restore();
        if found == success.equals {
            return (Outcome::Delivered, None);
        }
        let said = answer.words();
        let code = match &found {
            serde_json::Value::Number(number) => number.to_string(),
            serde_json::Value::Bool(is) => is.to_string(),
            _ => String::new(),
        };
        let is = if code.is_empty() {
            "something else"
        } else {
            &code
        };
        let reason = format!("{pointer} in the answer is {is}, not {}", success.equals);
        let reason = reading.quoting(reason, &said);
        let outcome = if codes::speaks_of_rate(&said) {
            let pause = reading.pause(answer);
            Outcome::SlowDown { pause, reason }
        } else {
            Outcome::Unknown { reason }
        };
        (outcome, Some(code).filter(|code| !code.is_empty()))
    }
}

/// Returns whether HTTP can carry the header (RFC 9110, 5.1 and 5.5).
fn is_valid((name, value): &(String, Secret)) -> bool {
    let in_name = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let in_value = |b: u8| b == b'\t' || (b >= b' ' && b != 0x7f);
    !name.is_empty() && name.bytes().all(in_name) && value.expose().bytes().all(in_value)
}

/// A decoded signing key.
struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// Decodes a key from `whsec_` and base64; the prefix may be missing.
    fn decode(secret: &Secret) -> Option<Self> {
        let secret = secret.expose().trim();
        let key = secret.strip_prefix("whsec_").unwrap_or(secret);
        let key = Zeroizing::new(STANDARD.decode(key).ok()?);
        (!key.is_empty()).then_some(Self(key))
    }
}

/// Returns the value of `webhook-signature`: one signature for each key, in their order.
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
