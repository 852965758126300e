//! Judges responses of the open API by [`codes`], for callers that know nothing more about the
//! codes.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::{ApiError, Inner};
use crate::feishu::codes::{self, Cause, Class, Meaning};
use crate::model::{Timestamp, parse_retry_after};
use crate::net::{Answer, NetError, with_quote};

#[derive(Deserialize)]
struct Envelope {
    code: i64,
    #[serde(default, deserialize_with = "crate::feishu::json::text_or_null")]
    msg: String,
}

impl Envelope {
    fn of(answer: &Answer) -> Option<Self> {
        serde_json::from_slice(&answer.body).ok()
    }
}

/// Returns whether the response asks for a new token. The HTTP status can be 200 or 400.
pub(super) fn token_refused(answer: &Answer) -> bool {
    Envelope::of(answer)
        .is_some_and(|envelope| codes::meaning(envelope.code, "").class == Class::Token)
}

/// Returns the meaning of the platform's code. `None` for a success or without a code.
pub(super) fn meaning(answer: &Answer) -> Option<Meaning> {
    let envelope = Envelope::of(answer)?;
    (envelope.code != 0).then(|| codes::meaning(envelope.code, &envelope.msg))
}

/// Returns the `code` of a response, 0 for a success; `None` if the response is not in the
/// platform's format.
pub(super) fn code(answer: &Answer) -> Option<i64> {
    Envelope::of(answer).map(|envelope| envelope.code)
}

/// Returns the pause that the platform asks for. The platform's gateway uses its own header, in
/// seconds.
pub fn pause(answer: &Answer, now: Timestamp) -> Option<Duration> {
    ["x-ogw-ratelimit-reset", "retry-after"]
        .iter()
        .find_map(|name| parse_retry_after(answer.header(name)?, now))
}

impl Inner {
    pub(super) fn retry(&self, what: &str) -> ApiError {
        let reason = self.says(what);
        ApiError::Retry { reason }
    }

    pub(super) fn stop(&self, what: &str) -> ApiError {
        let reason = self.says(what);
        ApiError::Stop { reason }
    }

    pub(super) fn rejected(&self, what: &str) -> ApiError {
        let reason = self.says(what);
        ApiError::Rejected { reason }
    }

    fn says(&self, what: &str) -> String {
        format!("Feishu API as app {}: {what}", self.app)
    }

    /// Returns the body of a response whose code means success.
    pub(super) fn success(&self, answer: Answer) -> Result<Bytes, ApiError> {
        let Some(envelope) = Envelope::of(&answer) else {
            return Err(self.by_status(&answer));
        };
        self.patience.restore();
        match envelope.code {
            0 if answer.is_success() => Ok(answer.body),
            0 => Err(self.by_status(&answer)),
            code => Err(self.by_code(code, &envelope.msg, &answer)),
        }
    }

    /// Judges a call without a response. A repeated upload does no harm.
    pub(super) fn unanswered(&self, error: &NetError) -> ApiError {
        match error {
            NetError::Unsent(_) | NetError::Certificate(_) | NetError::Lost(_) => {
                self.retry(&error.to_string())
            }
            NetError::Refused(_) => self.stop(&format!("{error}; check `base_url`")),
        }
    }

    fn by_code(&self, code: i64, msg: &str, answer: &Answer) -> ApiError {
        let meaning = codes::meaning(code, msg);
        let mut what = format!("code {code}: {}", meaning.says);
        if meaning.class == Class::Stop(Cause::Scope) {
            let scopes = scopes(msg).unwrap_or_else(|| "what the call needs".into());
            what = format!("{what}; grant it {scopes}");
        }
        what = with_quote(what, &self.redactor.clean(msg), "");
        what.push_str(&log_id(answer));
        match meaning.class {
            Class::SlowDown | Class::SlowDownBriefly => self.slow_down(&what, answer),
            _ if answer.status == 429 => self.slow_down(&what, answer),
            Class::Stop(_) => self.stop(&what),
            // A rejected new token is retried later, like every unknown failure.
            Class::Retry | Class::Token | Class::PageToken | Class::Unknown => self.retry(&what),
            Class::Form
            | Class::ImageKey
            | Class::Person
            | Class::Receiver
            | Class::Gone
            | Class::Unchangeable
            | Class::Message => self.rejected(&what),
        }
    }

    fn slow_down(&self, what: &str, answer: &Answer) -> ApiError {
        // Without the server's clock a date cannot be compared, so it counts as past.
        let now = answer.date().unwrap_or(Timestamp::from_millis(i64::MAX));
        ApiError::SlowDown {
            pause: pause(answer, now),
            reason: self.says(what),
        }
    }

    /// Judges a response in a foreign format, e.g. a gateway's page. The cause is the address, so
    /// after a while an operator must look at it.
    fn by_status(&self, answer: &Answer) -> ApiError {
        let status = answer.status;
        let described = answer.describe_foreign(&self.redactor, "");
        let what = format!("{described}{}", log_id(answer));
        match status {
            407 => self.stop(&format!("{what}: the proxy demands credentials")),
            413 | 415 | 422 => self.rejected(&what),
            429 => self.slow_down(&what, answer),
            408 | 425 | 500 | 502..=504 | 506..=599 => self.retry(&what),
            200..=299 if answer.truncated && !answer.is_page() => self.retry(&what),
            _ => {
                let reason = self.says(&format!(
                    "{what}; check `base_url` and the proxies in between"
                ));
                if self.patience.is_over() {
                    ApiError::InFront { reason }
                } else {
                    ApiError::Retry { reason }
                }
            }
        }
    }
}

/// Returns the platform's id of the call, which its support asks for.
pub(super) fn log_id(answer: &Answer) -> String {
    let id: String = answer
        .header("x-tt-logid")
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect();
    if id.is_empty() {
        id
    } else {
        format!(" (log id {id})")
    }
}

/// Returns the scopes named in a message, e.g. `im:resource:upload`.
pub(super) fn scopes(msg: &str) -> Option<String> {
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.:-".contains(&b);
    let mut scopes: Vec<&str> = msg
        .split(|c: char| !c.is_ascii() || c.is_ascii_whitespace() || "[](),;\"'|".contains(c))
        .map(|word| word.trim_matches(['.', ':']))
        .filter(|word| word.len() <= 80 && word.contains(':') && word.bytes().all(part))
        .collect();
    scopes.dedup();
    scopes.truncate(8);
    (!scopes.is_empty()).then(|| scopes.join(" or "))
}
