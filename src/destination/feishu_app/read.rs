//! Reads the answer to an app's message: by the platform's table of codes, and by where this destination sends.

use super::super::Place;
use super::super::answer::Reading;
use super::super::feishu_answer::Refusal;
use crate::feishu::codes::{Cause, Class};
use crate::feishu::messages::Said;
use crate::feishu::{To, Urgent};
use crate::model::Outcome;
use crate::net::{Answer, Redactor, with_quote};

/// The purpose of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Creates a message.
    Create,
    /// Replies to a message.
    Reply,
    /// Updates a card.
    Update,
}

impl Doing {
    pub(super) const fn of(place: Place<'_>) -> Self {
        match place {
            Place::New => Self::Create,
            Place::Under(_) => Self::Reply,
            Place::Over(_) => Self::Update,
        }
    }
}

/// The facts about a call that are needed to read its answer.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// How the answer is read.
    pub(super) reading: Reading<'a>,
    /// The purpose of the call.
    pub(super) doing: Doing,
    /// Where the destination sends.
    pub(super) to: &'a To,
}

impl Asked<'_> {
    /// Returns whether the message to reply to or to update is gone: recalled, deleted or unknown.
    pub(super) fn target_is_gone(&self, said: &Said) -> bool {
        said.code != 0 && said.meaning.class == Class::Gone && self.doing != Doing::Create
    }

    /// Returns the outcome that the answer means.
    pub(super) fn outcome(&self, answer: &Answer, said: Option<&Said>) -> Outcome {
        let Some(said) = said else {
            return self.reading.by_status(answer);
        };
        if said.code == 0 && !answer.is_success() {
            return self.reading.by_status(answer);
        }
        self.reading.patience.restore();
        if said.code == 0 {
            return Outcome::Delivered;
        }
        let (code, meaning, msg) = (said.code, said.meaning, said.msg.as_str());
        let refusal = Refusal { code, meaning, msg };
        let stop = |says: &str| Outcome::Stop {
            reason: refusal.reason_saying(says, &self.reading),
        };
        match (meaning.class, self.to) {
            (Class::Form | Class::Person, _) if self.doing == Doing::Update && code == 230_001 => {
                Outcome::Rejected {
                    reason: refusal.reason_saying("the message is not a card", &self.reading),
                }
            }
            (Class::Stop(Cause::Scope), _) => {
                let scopes = said.scopes.as_deref().unwrap_or("im:message:send_as_bot");
                stop(&format!(
                    "the app lacks a permission; add {scopes} in the console under Permissions & Scopes \
                     and publish a version"
                ))
            }
            (Class::Receiver, To::Chat(_)) => stop("there is no such chat; check `chat_id`"),
            (Class::Receiver, To::Person(_)) => {
                stop("there is no such person; `user` must be an open id of this app")
            }
            // A person as the receiver is not mentioned, so the destination is wrong and not the message.
            (Class::Person, To::Person(_)) if code == 230_013 => stop(
                "the person is outside the app's availability; widen it in the console and publish a version",
            ),
            (Class::Person, To::Person(_)) if meaning.inner.is_none() => stop(&format!(
                "{}; `user` must be an open id of this app",
                meaning.says
            )),
            _ => refusal.outcome(answer, &self.reading),
        }
    }
}

/// Returns why urgent notifications failed. Source: doc "发送应用内加急", "发送短信加急".
pub(super) fn why_not_rung(said: &Said, how: Urgent, redactor: &Redactor) -> String {
    let says = match said.meaning.class {
        Class::Stop(Cause::Scope) => format!(
            "the app lacks a permission, or the chat allows urgent messages by its managers only; add {} in the console \
             and publish a version",
            said.scopes.as_deref().unwrap_or_else(|| how.scope())
        ),
        _ => said.meaning.says.to_owned(),
    };
    with_quote(
        format!("code {}: {says}", said.code),
        &redactor.clean(&said.msg),
        "",
    )
}
