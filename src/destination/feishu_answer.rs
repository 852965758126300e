//! What custom bots and apps' bots read alike in the platform's answers.

use std::time::Duration;

use super::answer::retry_after;
use crate::model::{Timestamp, parse_retry_after};
use crate::net::Answer;

/// A picture's key that the platform does not know (any more); inside 230099 where a card shows it.
pub(super) const BAD_IMAGE_KEY: u32 = 200_570;

/// How long the platform asks to wait: its gateway has a header of its own, in seconds.
pub(super) fn pause(answer: &Answer, now: Timestamp) -> Option<Duration> {
    answer
        .header("x-ogw-ratelimit-reset")
        .and_then(|reset| parse_retry_after(reset, now))
        .or_else(|| retry_after(answer, now))
}

/// What 230099 is told as. Source: doc "发送消息", the table of errors inside it.
pub(super) fn card_error(card_code: Option<u32>) -> String {
    let Some(code) = card_code else {
        return "the card is not valid".into();
    };
    let what = match code {
        11310 => ": too many tables or elements",
        BAD_IMAGE_KEY => ": a picture's key is not valid",
        200_380 | 200_381 | 200_732 | 200_737 => ": a template's variable",
        200_621 => ": an unknown property, or not JSON",
        200_861 => ": a tag that cards 2.0 do not have",
        200_914 => ": a table",
        100_290 => ": a person who is not known",
        300_301 => ": an `element_id` twice",
        300_305 => ": more than 200 elements",
        _ => "",
    };
    format!("the card is not valid (ErrCode {code}{what})")
}
