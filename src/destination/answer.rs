//! Classifies an exchange for which the platform has no codes of its own: by HTTP status, and by the kind of
//! failure.
//!
//! Only 413, 415, 422 and the receiver's own text judge a message. Answers about the address or the method (a
//! redirect, a page of a proxy) are retried. After a while they stop the destination.

use std::time::Duration;

use serde::Deserialize;

use super::Sent;
use crate::model::{Form, Outcome, Timestamp, parse_retry_after};
use crate::net::{Answer, NetError, Patience, Redactor, quote, with_quote};

/// Returns the result of an exchange without a (complete) answer.
pub(super) fn unanswered(error: &NetError, redactor: &Redactor) -> Sent {
    let reason = redactor.clean(&error.to_string());
    let outcome = match error {
        NetError::Unsent(_) => Outcome::Retry { reason },
        // Nothing will get through until somebody renews the certificate or corrects the address or header.
        NetError::Certificate(_) | NetError::Refused(_) => Outcome::Stop { reason },
        NetError::Lost(_) => Outcome::Ambiguous { reason },
    };
    unsent(outcome)
}

/// Returns the result of a message that was not sent or not answered.
pub(crate) const fn unsent(outcome: Outcome) -> Sent {
    Sent {
        outcome,
        status: None,
        code: None,
        excerpt: None,
        handle: None,
        stale_images: false,
        mentions_refused: None,
        page: false,
        rang: None,
    }
}

/// Returns the result of an answered message.
pub(super) fn answered(
    answer: &Answer,
    redactor: &Redactor,
    code: Option<String>,
    outcome: Outcome,
) -> Sent {
    Sent {
        status: Some(answer.status),
        code: code.and_then(|code| redactor.excerpt(code.as_bytes())),
        excerpt: redactor.excerpt(&answer.body),
        ..unsent(outcome)
    }
}

/// Returns the outcome of a refused form: the next plainer one may be accepted. After the plainest there is
/// none.
pub(super) fn refused(form: Form, forms: &[Form], reason: String) -> Outcome {
    if forms.last() == Some(&form) {
        Outcome::Rejected { reason }
    } else {
        Outcome::Degrade { reason }
    }
}

/// How an answer is read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    /// The form in which the message was sent.
    pub(super) form: Form,
    /// The forms of the destination's kind.
    pub(super) forms: &'a [Form],
    /// The time of the attempt.
    pub(super) now: Timestamp,
    /// The body that was sent. No quote repeats it.
    pub(super) sent: &'a str,
    /// Removes the destination's secrets from texts.
    pub(super) redactor: &'a Redactor,
    /// How long answers about the address are retried.
    pub(super) patience: &'a Patience,
    /// Whether an address that is not found is gone for good, as with a platform's own hooks.
    pub(super) gone_if_not_found: bool,
    /// Whether any receiver may use the address, so that the text of its 400 is about the message.
    pub(super) any_receiver: bool,
}

impl Reading<'_> {
    /// Returns the outcome of a refusal of this form.
    pub(super) fn refused(&self, reason: String) -> Outcome {
        refused(self.form, self.forms, reason)
    }

    /// Returns a reason with the receiver's text, as far as that is safe to repeat.
    pub(super) fn quoting(&self, reason: String, said: &str) -> String {
        with_quote(reason, &self.redactor.clean(said), self.sent)
    }

    /// Returns how long the answer asks to wait; `None` if it does not.
    pub(super) fn pause(&self, answer: &Answer) -> Option<Duration> {
        parse_retry_after(answer.header("retry-after")?, self.now)
    }

    /// Returns the outcome of `answer`, which is no success.
    pub(super) fn by_status(&self, answer: &Answer) -> Outcome {
        let status = answer.status;
        let page = answer.is_page();
        let says = |what: &str| format!("HTTP {status}{what}");
        let quoted = || self.quoting(says(""), &words(answer));
        let pause = self.pause(answer);
        let outcome = match status {
            300..=399 | 402 | 405 | 406 | 421 | 501 | 505 => return self.about_the_address(answer),
            400 | 403 if page => return self.about_the_address(answer),
            404 if page && self.gone_if_not_found => return self.about_the_address(answer),
            401 | 403 => Outcome::Stop {
                reason: self.quoting(says(": the credentials are refused"), &words(answer)),
            },
            404 if !self.gone_if_not_found => Outcome::Retry { reason: quoted() },
            404 | 410 => Outcome::Stop {
                reason: says(": this address is gone; set a new `url`"),
            },
            407 => Outcome::Stop {
                reason: says(": the proxy demands credentials"),
            },
            413 | 415 | 422 => self.refused(quoted()),
            400 if self.any_receiver && !answer.body.trim_ascii().is_empty() => {
                self.refused(quoted())
            }
            423 | 429 => Outcome::SlowDown {
                pause,
                reason: quoted(),
            },
            500..=599 if pause.is_some() => Outcome::SlowDown {
                pause,
                reason: quoted(),
            },
            200..=299 => Outcome::Ambiguous {
                reason: says(", with a body that is not the platform's"),
            },
            _ => Outcome::Retry { reason: quoted() },
        };
        self.patience.restore();
        outcome
    }

    /// Returns the outcome of an answer that is not about the message: it comes from a proxy, or the address is
    /// wrong. For a few seconds that may be a restart, so it is retried. After that the destination stops,
    /// because somebody must look at it.
    pub(super) fn about_the_address(&self, answer: &Answer) -> Outcome {
        let status = answer.status;
        let what = match status {
            300..=399 => match answer.redirect_host() {
                Some(host) => format!(", a redirect to {host}; redirects are not followed"),
                None => "; redirects are not followed".to_owned(),
            },
            405 | 501 => ": this address accepts no messages".to_owned(),
            _ if answer.is_page() => match quote(&title(answer), self.sent) {
                Some(title) => format!(", a page in front of the receiver: \"{title}\""),
                None => ", a page in front of the receiver".to_owned(),
            },
            _ => String::new(),
        };
        let reason = format!("HTTP {status}{what}; check the address");
        if self.patience.is_over() {
            Outcome::Stop { reason }
        } else {
            Outcome::Retry { reason }
        }
    }
}

/// Returns the receiver's text: the usual members of a JSON answer, or plain text.
pub(super) fn words(answer: &Answer) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Members {
        msg: Text,
        message: Text,
        errmsg: Text,
        error: Text,
        error_description: Text,
        detail: Text,
    }
    /// A text, or any other value, which is ignored.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Text {
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    impl Default for Text {
        fn default() -> Self {
            Self::Other(serde::de::IgnoredAny)
        }
    }
    if answer.is_page() {
        return String::new();
    }
    let body = String::from_utf8_lossy(&answer.body);
    let Ok(members) = serde_json::from_str::<Members>(&body) else {
        return body.into_owned();
    };
    let Members {
        msg,
        message,
        errmsg,
        error,
        error_description,
        detail,
    } = members;
    [msg, message, errmsg, error_description, detail, error]
        .into_iter()
        .find_map(|text| match text {
            Text::Text(text) if !text.is_empty() => Some(text),
            Text::Text(_) | Text::Other(_) => None,
        })
        .unwrap_or_default()
}

/// Returns the title of a page.
fn title(answer: &Answer) -> String {
    let page = String::from_utf8_lossy(&answer.body);
    let found = page
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"));
    found.map_or_else(String::new, |(title, _)| title.trim().to_owned())
}
