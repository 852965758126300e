//! What the codes of a custom bot's answers mean. Sources: doc "自定义机器人使用指南" for 19xxx, doc
//! "Generic error codes" for 9999xxxx, doc "发送消息" for 230xxx; 11246 and 19036 are reported by users.

use super::super::answer::{ByStatus, refused};
use super::super::feishu_answer::{BAD_IMAGE_KEY, card_error, pause};
use super::FORMS;
use crate::feishu::bot::CLOCK_OFF_MAX_SECS;
use crate::feishu::messages;
use crate::model::{Form, Outcome, Timestamp};
use crate::net::Answer;

/// A difference that is worth a word; less is the way of the answer.
const CLOCK_OFF_MIN_SECS: i64 = 60;

/// Which rule a card broke, inside 230099.
fn card_code(body: &[u8]) -> Option<u32> {
    messages::card_code(&String::from_utf8_lossy(body))
}

/// Whether an answer says that a picture's key is not valid (any more).
pub(super) fn names_stale_image(body: &[u8], code: Option<i64>) -> bool {
    let bad_key = Some(BAD_IMAGE_KEY);
    code == bad_key.map(i64::from) || code == Some(230_099) && card_code(body) == bad_key
}

/// What was asked of the bot, as far as its answer is judged by it.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// The form of the message.
    pub(super) form: Form,
    /// The time of the attempt.
    pub(super) now: Timestamp,
    /// Whether it was signed.
    pub(super) signed: bool,
}

impl Asked {
    /// What the answer means. No reason repeats the answer's `msg`: it can hold what a reporter typed.
    pub(super) fn outcome(self, answer: &Answer, code: Option<i64>) -> Outcome {
        let Some(code) = code else {
            return self.by_status(answer);
        };
        let says = |what: &str| format!("code {code}: {what}");
        let stop = |what| Outcome::Stop { reason: says(what) };
        let rejected = |what| Outcome::Rejected { reason: says(what) };
        let retry = |what| Outcome::Retry { reason: says(what) };
        let refused = |what| refused(self.form, FORMS, says(what));
        match code {
            0 if (200..=299).contains(&answer.status) => Outcome::Delivered,
            0 => self.by_status(answer),
            1 | 2200 => retry("an error inside the platform"),
            230_049 => retry("the platform is still sending this message"),
            11232 | 99_991_400 | 230_020 => Outcome::SlowDown {
                pause: pause(answer, self.now),
                reason: says("rate limited"),
            },
            9499 | 99_992_402 | 230_001 => refused("the platform cannot read the message"),
            19002 => refused("`msg_type` or content is missing"),
            19036 | 230_025 => refused("the message is too large"),
            200_570 => refused("a picture's key is not valid"),
            230_099 => refused(&card_error(card_code(&answer.body))),
            11246 | 11310 | 100_290 | 200_000..=200_999 | 300_000..=300_999 => {
                refused("the card is not valid")
            }
            230_022 => rejected("the content was refused as sensitive"),
            230_028 => rejected("the tenant's data-loss prevention refused the content"),
            230_013 => rejected("a person is outside the app's availability"),
            19001 => stop("the bot is unknown or was deleted; set the `url` of a new one"),
            19021 => self.bad_sign(answer),
            19022 | 99_991_401 => stop("our address is not in the bot's IP allow list"),
            19024 => stop("the bot demands a keyword; set `keyword` to one of its list"),
            230_002 | 230_006 | 230_027 | 232_009 => {
                stop("the bot may not speak in this chat (removed, switched off, or dissolved)")
            }
            99_991_662 | 99_991_673 => stop("the app is disabled or not installed"),
            _ if answer.status == 429 || answer.status >= 500 => self.by_status(answer),
            _ => refused("unknown to us; it may be the form"),
        }
    }

    fn by_status(self, answer: &Answer) -> Outcome {
        let by_status = ByStatus {
            form: self.form,
            forms: FORMS,
            now: self.now,
            gone_if_not_found: true,
        };
        by_status.outcome(answer)
    }

    /// 19021 has three causes: no signature, a wrong clock, a wrong secret.
    fn bad_sign(self, answer: &Answer) -> Outcome {
        let ahead = answer.clock_ahead_secs(self.now).unwrap_or_default();
        let off = ahead.saturating_abs();
        let side = if ahead > 0 { "ahead" } else { "behind" };
        let clock = format!("this machine's clock is {off} s off ({side} of the platform's)");
        let reason = if !self.signed {
            "the bot demands signed messages; set `secret`".to_owned()
        } else if off >= CLOCK_OFF_MAX_SECS {
            format!("the signature is refused because {clock}; set the clock")
        } else if off >= CLOCK_OFF_MIN_SECS {
            format!("the signature is refused; check `secret`; also, {clock}")
        } else {
            "the signature is refused; check `secret`".to_owned()
        };
        Outcome::Stop {
            reason: format!("code 19021: {reason}"),
        }
    }
}
