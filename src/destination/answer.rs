//! What an exchange came to where the platform has no words of its own: by HTTP status, and by the
//! way it failed.

use std::time::Duration;

use url::Url;

use super::Sent;
use super::excerpt::Redactor;
use crate::model::{Form, Outcome, Timestamp, parse_retry_after};
use crate::net::{Answer, NetError};

/// What an exchange without a (whole) answer came to.
pub(super) fn unanswered(error: &NetError, redactor: &Redactor) -> Sent {
    let reason = redactor.clean(&error.to_string());
    let outcome = match error {
        NetError::Unsent(_) => Outcome::Retry { reason },
        // Nothing will get through until somebody renews it, or says another address or header.
        NetError::Certificate(_) | NetError::Refused(_) => Outcome::Stop { reason },
        NetError::Lost(_) => Outcome::Ambiguous { reason },
    };
    unsent(outcome)
}

/// What a message came to that was not sent, or to which nothing was answered.
pub(crate) const fn unsent(outcome: Outcome) -> Sent {
    Sent {
        outcome,
        status: None,
        code: None,
        excerpt: None,
        handle: None,
        stale_images: false,
        rang: None,
    }
}

/// What an answered message came to.
pub(super) fn answered(
    answer: &Answer,
    redactor: &Redactor,
    code: Option<String>,
    outcome: Outcome,
) -> Sent {
    Sent {
        outcome,
        status: Some(answer.status),
        code: code.and_then(|code| redactor.excerpt(code.as_bytes())),
        excerpt: redactor.excerpt(&answer.body),
        handle: None,
        stale_images: false,
        rang: None,
    }
}

/// This form was refused: the next plainer one may be taken, and after the plainest none is.
pub(super) fn refused(form: Form, forms: &[Form], reason: String) -> Outcome {
    if forms.last() == Some(&form) {
        Outcome::Rejected { reason }
    } else {
        Outcome::Degrade { reason }
    }
}

/// How an answer without words of its own is read.
pub(super) struct ByStatus<'a> {
    /// In which form the message went.
    pub(super) form: Form,
    /// The forms of its kind.
    pub(super) forms: &'a [Form],
    /// The time of the attempt.
    pub(super) now: Timestamp,
    /// Whether an address that is not found is gone for good, as a platform's own hooks are.
    pub(super) gone_if_not_found: bool,
}

impl ByStatus<'_> {
    /// What `answer`, which is no success, comes to.
    pub(super) fn outcome(&self, answer: &Answer) -> Outcome {
        let status = answer.status;
        let reason = format!("HTTP {status}");
        let pause = retry_after(answer, self.now);
        match status {
            300..=399 => Outcome::Rejected {
                reason: format!("{reason}{}; redirects are not followed", target(answer)),
            },
            401 | 403 => Outcome::Stop {
                reason: format!("{reason}: the credentials are refused"),
            },
            404 if !self.gone_if_not_found => Outcome::Retry { reason },
            404 | 410 => Outcome::Stop {
                reason: format!("{reason}: this address is gone; set a new `url`"),
            },
            407 => Outcome::Stop {
                reason: format!("{reason}: the proxy demands credentials"),
            },
            408 | 425 => Outcome::Retry { reason },
            423 | 429 => Outcome::SlowDown { pause, reason },
            502..=504 if pause.is_some() => Outcome::SlowDown { pause, reason },
            501 | 505 => Outcome::Rejected { reason },
            500..=599 => Outcome::Retry { reason },
            400..=499 => refused(self.form, self.forms, reason),
            // 2xx whose body is not what the platform says, e.g. the page of a proxy between us.
            _ => Outcome::Ambiguous {
                reason: format!("{reason}, with a body that is not the platform's"),
            },
        }
    }
}

/// How long the answer asks to wait.
pub(super) fn retry_after(answer: &Answer, now: Timestamp) -> Option<Duration> {
    parse_retry_after(answer.header("retry-after")?, now)
}

/// Where a redirect leads: the host alone, because the rest can be a secret.
fn target(answer: &Answer) -> String {
    answer
        .header("location")
        .and_then(|location| Url::parse(location).ok())
        .and_then(|url| url.host_str().map(|host| format!(" to {host}")))
        .unwrap_or_default()
}
