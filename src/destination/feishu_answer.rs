//! Reads the parts of Feishu's answers that are the same for custom bots and apps' bots, by the platform's
//! table of codes.

use std::time::Duration;

use super::answer::Reading;
use crate::feishu::codes::{Class, Meaning};
use crate::feishu::pause;
use crate::model::Outcome;
use crate::net::Answer;

/// The pause after too many sends to a chat or about a message. After about this time, Feishu accepts more.
const CHAT_PAUSE: Duration = Duration::from_secs(1);

/// A refusal by the platform.
#[derive(Clone, Copy)]
pub(super) struct Refusal<'a> {
    /// The platform's code, which is not the success code.
    pub(super) code: i64,
    /// The meaning of the code.
    pub(super) meaning: Meaning,
    /// The platform's text.
    pub(super) msg: &'a str,
}

impl Refusal<'_> {
    /// Returns the reason with the platform's text.
    pub(super) fn reason(&self, reading: &Reading<'_>) -> String {
        self.reason_saying(self.meaning.says, reading)
    }

    /// Returns the reason with `says` in place of the code's usual explanation, where more is known about the
    /// fix.
    pub(super) fn reason_saying(&self, says: &str, reading: &Reading<'_>) -> String {
        let code = self.code;
        let reason = match self.meaning.inner {
            Some(inner) => format!("code {code}, ErrCode {inner}: {says}"),
            None => format!("code {code}: {says}"),
        };
        reading.quoting(reason, self.msg)
    }

    /// Returns the outcome for the message.
    pub(super) fn outcome(&self, answer: &Answer, reading: &Reading<'_>) -> Outcome {
        let reason = self.reason(reading);
        let pause = pause(answer, reading.now);
        let limited = answer.status == 429;
        match self.meaning.class {
            Class::Stop(_) | Class::Receiver => Outcome::Stop { reason },
            Class::Gone | Class::Unchangeable | Class::Message => Outcome::Rejected { reason },
            Class::SlowDown => Outcome::SlowDown { pause, reason },
            Class::SlowDownBriefly => Outcome::SlowDown {
                pause: pause.or(Some(CHAT_PAUSE)),
                reason,
            },
            Class::Retry | Class::Token | Class::PageToken => Outcome::Retry { reason },
            _ if limited => Outcome::SlowDown { pause, reason },
            Class::Form | Class::ImageKey | Class::Person => reading.refused(reason),
            Class::Unknown if answer.status >= 500 => match pause {
                Some(_) => Outcome::SlowDown { pause, reason },
                None => Outcome::Retry { reason },
            },
            Class::Unknown => Outcome::Unknown { reason },
        }
    }
}
