//! What the codes of answers to an app's messages mean. Sources: doc "Generic error codes" for 9999xxxx,
//! doc "发送消息" and its neighbours for 230xxx; 11232 is reported by users.

use std::time::Duration;

use super::super::Place;
use super::super::answer::{ByStatus, refused};
use super::super::feishu_answer::{BAD_IMAGE_KEY, card_error, pause};
use super::FORMS;
use crate::feishu::messages::{BadId, Said};
use crate::feishu::{To, Urgent};
use crate::model::{Form, Outcome, Timestamp};
use crate::net::Answer;

/// A chat or a message that is sent to too often is free again after about so long.
const CHAT_PAUSE: Duration = Duration::from_secs(1);

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It makes a message.
    Create,
    /// It answers one.
    Reply,
    /// It changes a card.
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

/// What was asked of the platform, as far as its answer is judged by it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The form of the message.
    pub(super) form: Form,
    /// The time of the attempt.
    pub(super) now: Timestamp,
    /// What the call does.
    pub(super) doing: Doing,
    /// Where the destination speaks.
    pub(super) to: &'a To,
}

/// Whether an answer says that a picture's key is not valid (any more).
pub(super) fn names_stale_image(said: &Said) -> bool {
    said.code == i64::from(BAD_IMAGE_KEY)
        || said.code == 230_099 && said.card_code == Some(BAD_IMAGE_KEY)
}

impl Asked<'_> {
    /// Whether the message that was to be answered or changed is gone: recalled, deleted, unknown.
    pub(super) fn target_is_gone(self, said: &Said) -> bool {
        let gone = matches!(said.code, 230_011 | 230_019 | 230_110)
            || said.code == 230_001 && said.bad_id == Some(BadId::Message);
        gone && self.doing != Doing::Create
    }

    /// What the answer means. No reason repeats the answer's `msg`: it can hold what a reporter typed.
    pub(super) fn outcome(self, answer: &Answer, said: Option<&Said>) -> Outcome {
        let Some(said) = said else {
            return self.by_status(answer);
        };
        match said.code {
            0 if (200..=299).contains(&answer.status) => Outcome::Delivered,
            0 => self.by_status(answer),
            _ => self
                .of_the_platform(answer, said)
                .or_else(|| self.of_the_app(said))
                .or_else(|| self.of_the_place(said))
                .unwrap_or_else(|| self.of_the_message(answer, said)),
        }
    }

    /// The platform is busy, or fails.
    fn of_the_platform(self, answer: &Answer, said: &Said) -> Option<Outcome> {
        let retry = |what| Outcome::Retry {
            reason: says(said, what),
        };
        let slow = |least: Option<Duration>| Outcome::SlowDown {
            pause: pause(answer, self.now).or(least),
            reason: says(said, "rate limited"),
        };
        Some(match said.code {
            1 | 2200 => retry("an error inside the platform"),
            230_049 => retry("the platform is still sending this message"),
            // A new token has been tried: the next attempt asks for another.
            99_991_663 | 99_991_664 | 99_991_671 => retry("the token is refused"),
            11232 | 99_991_400 => slow(None),
            230_020 => slow(Some(CHAT_PAUSE)),
            _ => return None,
        })
    }

    /// The app may not, whatever it says and where.
    fn of_the_app(self, said: &Said) -> Option<Outcome> {
        let scopes = said.scopes.as_deref().unwrap_or("im:message:send_as_bot");
        let what = match said.code {
            10003 | 10014 | 99_991_543 => {
                "the credentials are refused; check `app_id`, `app_secret` and `platform`"
            }
            99_991_661 => "the call came without its token; a proxy between us may take it away",
            99_991_662 | 99_991_673 => {
                "the app is disabled or not installed; ask an administrator of the tenant"
            }
            99_991_401 => "our address is not in the app's IP allow list",
            230_006 => {
                "the app's bot ability is off; switch it on in the console and publish a version"
            }
            99_991_672 | 99_991_676 | 99_991_679 | 230_027 => {
                return Some(stop(
                    said,
                    &format!(
                        "the app lacks a permission; add {scopes} in the console under \
                         Permissions & Scopes and publish a version"
                    ),
                ));
            }
            _ => return None,
        };
        Some(stop(said, what))
    }

    /// The chat or the person is not to be reached, or the message not to be changed.
    fn of_the_place(self, said: &Said) -> Option<Outcome> {
        let rejected = |what| Outcome::Rejected {
            reason: says(said, what),
        };
        if self.target_is_gone(said) {
            return Some(rejected("the message was recalled or deleted"));
        }
        if self.doing == Doing::Update {
            match said.code {
                230_031 => return Some(rejected("the card is older than 14 days")),
                230_012 => return Some(rejected("the message is not this app's")),
                230_001 | 230_054 => return Some(rejected("the message is no card")),
                _ => {}
            }
        }
        Some(match (said.code, self.to) {
            (230_001, To::Chat(_)) if said.bad_id == Some(BadId::Receiver) => {
                stop(said, "there is no such chat; check `chat_id`")
            }
            (230_001, To::Person(_)) if said.bad_id == Some(BadId::Receiver) => stop(
                said,
                "there is no such person; `user` is the open id that this very app knows",
            ),
            (230_002, _) => stop(
                said,
                "the bot is not in the chat; add it in the chat's settings under Bots",
            ),
            (230_013, To::Person(_)) => stop(
                said,
                "the person is outside the app's availability; widen it in the console and \
                 publish a version",
            ),
            (230_013, To::Chat(_)) => rejected("a person is outside the app's availability"),
            (230_018 | 230_035, _) => stop(said, "the chat's settings do not let the bot speak"),
            (230_053, _) => stop(said, "the person has stopped messages of this bot"),
            (232_009, _) => stop(said, "the chat was dissolved; set another `chat_id`"),
            (230_022, _) => rejected("the content was refused as sensitive"),
            (230_028, _) => rejected("the tenant's data-loss prevention refused the content"),
            _ => return None,
        })
    }

    /// The form is refused, as far as we know: a plainer one may be taken.
    fn of_the_message(self, answer: &Answer, said: &Said) -> Outcome {
        let refused = |what: &str| refused(self.form, FORMS, says(said, what));
        match said.code {
            9499 | 99_992_402 | 230_001 => refused("the platform cannot read the message"),
            230_025 => refused("the message is too large"),
            200_570 => refused("a picture's key is not valid"),
            230_017 => refused("a picture's key is another app's"),
            230_099 => refused(&card_error(said.card_code)),
            11246 | 11310 | 100_290 | 200_000..=200_999 | 300_000..=300_999 => {
                refused("the card is not valid")
            }
            _ if answer.status == 429 || answer.status >= 500 => self.by_status(answer),
            _ => refused("unknown to us; it may be the form"),
        }
    }

    /// An API that is not there is a wrong `base_url`.
    fn by_status(self, answer: &Answer) -> Outcome {
        let reason = |what: &str| format!("HTTP {}{what}; check `base_url`", answer.status);
        match answer.status {
            300..=399 => Outcome::Stop {
                reason: reason(", a redirect"),
            },
            404 | 410 => Outcome::Stop { reason: reason("") },
            _ => {
                let by_status = ByStatus {
                    form: self.form,
                    forms: FORMS,
                    now: self.now,
                    gone_if_not_found: true,
                };
                by_status.outcome(answer)
            }
        }
    }
}

fn says(said: &Said, what: &str) -> String {
    format!("code {}: {what}", said.code)
}

fn stop(said: &Said, what: &str) -> Outcome {
    Outcome::Stop {
        reason: says(said, what),
    }
}

/// Why people were not rung. Source: doc "发送应用内加急", "发送短信加急".
pub(super) fn why_not_rung(said: &Said, how: Urgent) -> String {
    let scope = said.scopes.as_deref().unwrap_or_else(|| how.scope());
    match said.code {
        99_991_672 | 99_991_676 | 99_991_679 | 230_027 => says(
            said,
            &format!(
                "the app lacks a permission, or the chat lets only its managers ring people; \
                 add {scope} in the console and publish a version"
            ),
        ),
        230_023 => says(said, "a person has 200 unread urgent messages"),
        230_024 => says(said, "the tenant's quota of urgent messages is used up"),
        230_002 | 230_006 => says(said, "the bot is not in the chat, or its ability is off"),
        11232 | 99_991_400 | 230_020 => says(said, "rate limited"),
        _ => says(said, "unknown to us"),
    }
}
