//! What custom bots and apps' bots read alike in the platform's answers, by its table of codes.

use std::time::Duration;

use super::answer::Reading;
use crate::feishu::codes::{Class, Meaning};
use crate::feishu::pause;
use crate::model::Outcome;
use crate::net::Answer;

/// A chat or a message that is sent to too often is free again after about so long.
const CHAT_PAUSE: Duration = Duration::from_secs(1);

/// What the platform said.
#[derive(Clone, Copy)]
pub(super) struct Refusal<'a> {
    /// Its code, which is no success.
    pub(super) code: i64,
    /// What the code means.
    pub(super) meaning: Meaning,
    /// Its words.
    pub(super) msg: &'a str,
}

impl Refusal<'_> {
    /// The reason, with what the platform said.
    pub(super) fn reason(&self, reading: &Reading<'_>) -> String {
        self.reason_saying(self.meaning.says, reading)
    }

    /// The same where more is known of what mends it.
    pub(super) fn reason_saying(&self, says: &str, reading: &Reading<'_>) -> String {
        let code = self.code;
        let reason = match self.meaning.inner {
            Some(inner) => format!("code {code}, ErrCode {inner}: {says}"),
            None => format!("code {code}: {says}"),
        };
        reading.quoting(reason, self.msg)
    }

    /// What the message comes to.
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
