//! Classifies answers without a code of the platform, by HTTP status, and failures without an answer, by their
//! kind.
//!
//! Only 413, 415, 422 and the platform's own error words refuse a message. Answers about the address or the
//! method (a redirect, a page of a proxy) are retried, whatever their status. If they continue, they stop the
//! destination.

use std::time::Duration;

use super::Sent;
use super::foreign_body::Foreign;
use crate::model::{Form, Outcome, Timestamp, parse_retry_after};
use crate::net::{Answer, NetError, Patience, Redactor, with_quote};

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
        uneditable: false,
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

/// Returns the outcome of a refused form. A plainer form may be accepted; the plainest form has no
/// replacement.
pub(super) fn refused(form: Form, forms: &[Form], reason: String) -> Outcome {
    if forms.last() == Some(&form) {
        Outcome::Rejected { reason }
    } else {
        Outcome::Degrade { reason }
    }
}

/// The context in which an answer is read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    /// The form in which the message was sent.
    pub(super) form: Form,
    /// The forms of the destination's kind.
    pub(super) forms: &'a [Form],
    /// The time of the attempt.
    pub(super) now: Timestamp,
    /// The body that was sent. A quoted reason never repeats its text.
    pub(super) sent: &'a str,
    /// Removes the destination's secrets from texts.
    pub(super) redactor: &'a Redactor,
    /// Limits how long answers about the address are retried.
    pub(super) patience: &'a Patience,
    /// Whether 404 means that the address is permanently gone, as for a platform's own hooks.
    pub(super) gone_if_not_found: bool,
    /// Whether any receiver may use the address, so that the text of its 400 may be about the message.
    pub(super) any_receiver: bool,
}

impl Reading<'_> {
    /// Returns the outcome of a refusal of this form.
    pub(super) fn refused(&self, reason: String) -> Outcome {
        refused(self.form, self.forms, reason)
    }

    /// Returns a reason that quotes the receiver's text, as far as it is safe to repeat.
    pub(super) fn quoting(&self, reason: String, said: &str) -> String {
        with_quote(reason, &self.redactor.clean(said), self.sent)
    }

    /// Returns how long the answer asks to wait; `None` if it does not.
    pub(super) fn pause(&self, answer: &Answer) -> Option<Duration> {
        parse_retry_after(answer.header("retry-after")?, self.now)
    }

    /// Returns the outcome of `answer`, which is not a success in the platform's own format.
    pub(super) fn by_status(&self, answer: &Answer) -> Outcome {
        let status = answer.status;
        let page = answer.is_page();
        let empty = answer.body.trim_ascii().is_empty();
        let says = |what: &str| format!("HTTP {status}{what}");
        let quoted = || self.quoting(says(""), &answer.words());
        let pause = self.pause(answer);
        let outcome = match status {
            200..=299 => return self.foreign(answer, ", with a body that is not the platform's"),
            300..=399 | 402 | 405 | 406 | 421 | 501 | 505 => return self.about_the_address(answer),
            400 | 403 if page => return self.about_the_address(answer),
            // A platform has its own answer for a hook that is gone.
            404 if !empty && (self.gone_if_not_found || !self.any_receiver) => {
                return self.about_the_address(answer);
            }
            401 | 403 => Outcome::Stop {
                reason: self.quoting(says(": the credentials are refused"), &answer.words()),
            },
            404 if !self.gone_if_not_found => Outcome::Retry { reason: quoted() },
            404 | 410 => Outcome::Stop {
                reason: says(": this address is gone; set a new `url`"),
            },
            407 => Outcome::Stop {
                reason: says(": the proxy demands credentials"),
            },
            413 | 415 | 422 => self.refused(quoted()),
            // The text may be the receiver's or that of something in front of it, so it ends no message.
            400 if self.any_receiver && !empty => Outcome::Unknown { reason: quoted() },
            423 | 429 => Outcome::SlowDown {
                pause,
                reason: quoted(),
            },
            500..=599 if pause.is_some() => Outcome::SlowDown {
                pause,
                reason: quoted(),
            },
            _ => Outcome::Retry { reason: quoted() },
        };
        self.patience.restore();
        outcome
    }

    /// Returns the outcome of a success status whose body is not in the platform's format. `what` describes
    /// the body. A page, an error or a text shows that something in front of the platform answered. But if
    /// the address may belong to any receiver, an error can be about the message. Any other body may be a
    /// forwarder's confirmation, or the beginning of the platform's answer.
    pub(super) fn foreign(&self, answer: &Answer, what: &str) -> Outcome {
        match Foreign::of(answer) {
            Foreign::Refuses if self.any_receiver => {
                self.patience.restore();
                let reason = format!("HTTP {}, and the answer mentions an error", answer.status);
                Outcome::Unknown {
                    reason: self.quoting(reason, &answer.words()),
                }
            }
            Foreign::Page | Foreign::Refuses | Foreign::Text => self.about_the_address(answer),
            Foreign::Confirms | Foreign::Cut => {
                self.patience.restore();
                let reason = format!("HTTP {}{what}", answer.status);
                Outcome::Ambiguous {
                    reason: self.quoting(reason, &answer.words()),
                }
            }
        }
    }

    /// Returns the outcome of an answer that is not about the message: it comes from a proxy, or the address is
    /// wrong. For a few seconds that may be a restart, so it is retried. After that, the destination is
    /// stopped, because an operator must act.
    pub(super) fn about_the_address(&self, answer: &Answer) -> Outcome {
        let what = match answer.status {
            status @ (405 | 501) => format!("HTTP {status}: this address accepts no messages"),
            _ => answer.describe_foreign(self.redactor, self.sent),
        };
        let reason = format!("{what}; check the address");
        if self.patience.is_over() {
            Outcome::Stop { reason }
        } else {
            Outcome::Retry { reason }
        }
    }
}
