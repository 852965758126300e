//! The meanings of the platform's codes, for every call: tokens, messages, answers in threads,
//! edits, uploads, statuses, lists, connections and custom bots.
//!
//! Sources: doc "Generic error codes" for 9999xxxx, doc "发送消息" and related pages for 230xxx, doc
//! "上传图片" for 234xxx, the feedback API for 2105xx, doc "自定义机器人使用指南" for 19xxx; 9499 by
//! `nightingale#1437` and `notification-manager#126`, 11232, 11246 and 19036 by users.

/// How to react to a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Wait, then retry.
    SlowDown,
    /// Wait about a second, then retry. The limit applies to one chat or message.
    SlowDownBriefly,
    /// The platform failed: retry.
    Retry,
    /// The token is rejected: retry with a new one.
    Token,
    /// The page token has expired: list again from the first page.
    PageToken,
    /// The format of the message is not accepted.
    Form,
    /// An image key is not valid.
    ImageKey,
    /// A mentioned or addressed person is not valid.
    Person,
    /// The receiving chat or person is unknown.
    Receiver,
    /// The message to answer or update no longer exists.
    Gone,
    /// The message can no longer be updated.
    Unchangeable,
    /// The message is rejected for good.
    Message,
    /// Every call fails until somebody acts.
    Stop(Cause),
    /// The code is in no table.
    Unknown,
}

/// Why every call fails until somebody acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The app's id or secret is wrong.
    Credentials,
    /// A permission is missing.
    Scope,
    /// The app is disabled or not installed.
    App,
    /// The app has no bot.
    Bot,
    /// The relay's IP address is not allowed.
    OurAddress,
    /// A paid quota is used up.
    Quota,
    /// The bot is not in the chat, or may not write there.
    Chat,
    /// The custom bot was removed.
    CustomBot,
    /// The custom bot rejects the signature.
    Signature,
    /// The custom bot requires a keyword.
    Keyword,
    /// The app belongs to the other platform.
    Domain,
    /// The app has too many long connections.
    Connections,
    /// Any other cause.
    Other,
}

/// The meaning of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// How to react.
    pub class: Class,
    /// What happened, and how to repair it.
    pub says: &'static str,
    /// The code inside the message of a rejected card.
    pub inner: Option<u32>,
}

const fn is(class: Class, says: &'static str) -> Meaning {
    Meaning {
        class,
        says,
        inner: None,
    }
}

const UNKNOWN: Meaning = is(Class::Unknown, "unknown code");

/// Returns the meaning of `code`. `msg` decides only where a code has several meanings, and the
/// result repeats none of it.
pub fn meaning(code: i64, msg: &str) -> Meaning {
    match code {
        9499 => bad_request(msg),
        230_001 => bad_parameter(msg),
        11246 | 230_099 => card(msg),
        _ => of_the_platform(code)
            .or_else(|| of_the_app(code))
            .or_else(|| of_a_message(code))
            .or_else(|| of_a_custom_bot(code))
            .or_else(|| of_an_image(code))
            .or_else(|| of_feedback(code))
            .unwrap_or_else(|| by_words(msg)),
    }
}

/// Returns the meaning of a code for a long connection. Source: `ws/const.go` and
/// `ws/client_session.go` of the Go SDK.
pub fn of_a_connection(code: i64, msg: &str) -> Meaning {
    match code {
        1_000_040_343 => is(Class::Retry, "the platform is busy"),
        403 | 514 | 1_000_040_344 => is(
            Class::Stop(Cause::Credentials),
            "the credentials are refused; check `app_id`, `app_secret` and `platform`, and that the app is enabled",
        ),
        1_000_040_350 => is(
            Class::Stop(Cause::Connections),
            "the app has too many long connections (50 at most); stop a client that is not needed",
        ),
        1_000_040_351 => is(Class::Stop(Cause::Domain), "the app is on another platform"),
        _ => meaning(code, msg),
    }
}

/// Returns whether a message reports a rate limit. Only its beginning is searched because the rest
/// may be a reporter's text.
pub fn speaks_of_rate(msg: &str) -> bool {
    const WORDS: [&str; 14] = [
        "too many request",
        "rate limit",
        "ratelimit",
        "rate_limit",
        "frequency limit",
        "request limit",
        "too frequent",
        "too fast",
        "throttl",
        "slow down",
        "api freq",
        "频率",
        "频繁",
        "限流",
    ];
    let head: String = msg.chars().take(100).collect();
    let head = head.to_lowercase();
    WORDS.iter().any(|word| head.contains(word))
}

/// Returns the meaning of 9499. The code has two meanings; only the message shows which one
/// applies.
fn bad_request(msg: &str) -> Meaning {
    if speaks_of_rate(msg) {
        return is(Class::SlowDown, "rate limited");
    }
    let msg = msg.to_lowercase();
    let words = [
        "bad request",
        "invalid",
        "param",
        "json",
        "format",
        "content",
        "large",
        "size",
        "body",
        "type",
    ];
    if words.iter().any(|word| msg.contains(word)) {
        return is(Class::Form, "the platform cannot read the message");
    }
    UNKNOWN
}

/// Returns the meaning of 230001. Source: doc "如何解决 230001 错误".
fn bad_parameter(msg: &str) -> Meaning {
    let ext = msg.split_once("ext=").map_or("", |(_, ext)| ext);
    if ext.starts_with("invalid receive_id") {
        is(Class::Receiver, "there is no such chat or person")
    } else if ext.starts_with("invalid message_id") {
        is(Class::Gone, "the message was recalled or deleted")
    } else if names_a_person(msg) {
        is(Class::Person, "an unknown person")
    } else {
        is(Class::Form, "the platform cannot read the message")
    }
}

fn names_a_person(msg: &str) -> bool {
    let msg = msg.to_lowercase();
    msg.contains("(at/person)") || msg.contains("invalid user resource")
}

/// Returns the meaning of a rejected card. The broken rule is named inside `msg`, among words that
/// may be a reporter's. So the inner code decides only which part of the card is wrong.
fn card(msg: &str) -> Meaning {
    let inner = inner_code(msg);
    let (class, says) = match inner {
        Some(11310) => (
            Class::Form,
            "the card is not valid: too many tables or elements",
        ),
        Some(200_570) => (Class::ImageKey, "the card is not valid: an image key"),
        Some(200_380 | 200_381 | 200_732 | 200_737) => {
            (Class::Form, "the card is not valid: a template's variable")
        }
        Some(200_621) => (
            Class::Form,
            "the card is not valid: an unknown property, or not JSON",
        ),
        Some(200_861) => (
            Class::Form,
            "the card is not valid: a tag that cards 2.0 do not have",
        ),
        Some(200_914) => (Class::Form, "the card is not valid: a table"),
        Some(100_290 | 230_013 | 99_992_361 | 99_992_364) => {
            (Class::Person, "the card mentions an unknown person")
        }
        Some(300_301) => (Class::Form, "the card is not valid: an `element_id` twice"),
        Some(300_305) => (Class::Form, "the card is not valid: more than 200 elements"),
        _ if names_a_person(msg) => (Class::Person, "the card mentions an unknown person"),
        _ => (Class::Form, "the card is not valid"),
    };
    Meaning { class, says, inner }
}

/// Returns the number in `ErrCode: n`. If there are several, the platform's own follows `ext=`.
fn inner_code(msg: &str) -> Option<u32> {
    let own = msg
        .split_once("ext=ErrCode:")
        .or_else(|| msg.split_once("ErrCode:"));
    let (_, rest) = own?;
    let digits = rest.trim_start();
    let digits: String = digits
        .chars()
        .take_while(char::is_ascii_digit)
        .take(9)
        .collect();
    digits.parse().ok()
}

/// Returns the meaning of codes for a busy or failing platform.
const fn of_the_platform(code: i64) -> Option<Meaning> {
    Some(match code {
        11232 | 99_991_400 => is(Class::SlowDown, "rate limited"),
        230_020 => is(Class::SlowDownBriefly, "rate limited"),
        1 | 2200 => is(Class::Retry, "an internal error of the platform"),
        230_049 => is(Class::Retry, "the platform is still sending this message"),
        230_101 => is(Class::Retry, "sending to people is not possible for now"),
        99_991_663 | 99_991_664 | 99_991_671 => is(Class::Token, "the token is refused"),
        _ => return None,
    })
}

/// Returns the meaning of codes for an app without permission, which hold for every call.
const fn of_the_app(code: i64) -> Option<Meaning> {
    let (cause, says) = match code {
        10003 | 10014 | 99_991_543 => (
            Cause::Credentials,
            "the credentials are refused; check `app_id`, `app_secret` and `platform`",
        ),
        99_991_661 => (
            Cause::Other,
            "the call arrived without its token; a proxy may have removed it",
        ),
        99_991_662 | 99_991_673 | 212_100 | 232_034 => (
            Cause::App,
            "the app is disabled or not installed; ask an administrator of the tenant",
        ),
        99_991_401 => (
            Cause::OurAddress,
            "the relay's address is not in the app's IP allow list",
        ),
        99_991_403 => (
            Cause::Quota,
            "the tenant's monthly quota of API calls is used up; buy more, or wait for the next month",
        ),
        230_006 | 232_025 | 234_007 => (
            Cause::Bot,
            "the app's bot ability is off; switch it on in the console and publish a version",
        ),
        99_991_672 | 99_991_676 | 99_991_679 | 230_027 => {
            (Cause::Scope, "the app lacks a permission")
        }
        234_002 => (Cause::Other, "the app is not authorized"),
        _ => return None,
    };
    Some(is(Class::Stop(cause), says))
}

/// Returns the meaning of codes for a message, its chat or a person.
const fn of_a_message(code: i64) -> Option<Meaning> {
    Some(match code {
        99_992_402 => is(Class::Form, "the platform cannot read the message"),
        230_025 => is(Class::Form, "the message is too large"),
        11310 | 200_000..=200_569 | 200_571..=200_999 | 300_000..=300_999 => {
            is(Class::Form, "the card is not valid")
        }
        200_570 => is(Class::ImageKey, "an image key is not valid"),
        230_017 => is(Class::ImageKey, "an image key belongs to another app"),
        100_290 => is(Class::Person, "an unknown person"),
        230_013 => is(Class::Person, "a person is outside the app's availability"),
        99_992_361 => is(Class::Person, "an open id belongs to another app"),
        99_992_364 => is(Class::Person, "an id belongs to another tenant"),
        41012 | 99_992_351 => is(Class::Person, "nobody has this open id"),
        230_011 | 230_019 | 230_110 => is(Class::Gone, "the message was recalled or deleted"),
        230_012 => is(Class::Unchangeable, "the message belongs to another app"),
        230_031 => is(Class::Unchangeable, "the card is older than 14 days"),
        230_054 => is(Class::Unchangeable, "the message is not a card"),
        230_022 => is(Class::Message, "the content was refused as sensitive"),
        230_028 => is(
            Class::Message,
            "the tenant's data-loss prevention refused the content",
        ),
        230_023 => is(Class::Message, "a person has 200 unread urgent messages"),
        230_024 => is(
            Class::Message,
            "the tenant's quota of urgent messages is used up",
        ),
        230_002 | 232_011 => is(
            Class::Stop(Cause::Chat),
            "the bot is not in the chat; add it in the chat's settings under Bots",
        ),
        230_018 | 230_035 => is(
            Class::Stop(Cause::Chat),
            "the chat's settings do not let the bot write",
        ),
        230_053 => is(
            Class::Stop(Cause::Chat),
            "the person has blocked messages of this bot",
        ),
        232_009 => is(
            Class::Stop(Cause::Chat),
            "the chat was dissolved; set another `chat_id`",
        ),
        232_001 | 232_006 => is(Class::Receiver, "there is no such chat; check `chat_id`"),
        232_010 => is(
            Class::Stop(Cause::Chat),
            "the chat belongs to another tenant; use an app of that tenant",
        ),
        _ => return None,
    })
}

const fn of_a_custom_bot(code: i64) -> Option<Meaning> {
    Some(match code {
        19001 => is(
            Class::Stop(Cause::CustomBot),
            "the bot is unknown or was deleted; set the `url` of a new one",
        ),
        19002 => is(Class::Form, "`msg_type` or content is missing"),
        19021 => is(Class::Stop(Cause::Signature), "the signature is refused"),
        19022 => is(
            Class::Stop(Cause::OurAddress),
            "the relay's address is not in the bot's IP allow list",
        ),
        19024 => is(
            Class::Stop(Cause::Keyword),
            "the bot demands a keyword; set `keyword` to one of its list",
        ),
        19036 => is(Class::Form, "the message is too large"),
        _ => return None,
    })
}

const fn of_an_image(code: i64) -> Option<Meaning> {
    Some(match code {
        234_001 => is(Class::Form, "the platform cannot read the request"),
        234_006 => is(Class::Message, "the image is too large"),
        234_010 => is(Class::Message, "the image is empty"),
        234_011 => is(Class::Message, "the image format is not supported"),
        234_039 => is(Class::Message, "the image has too many pixels"),
        _ => return None,
    })
}

fn of_feedback(code: i64) -> Option<Meaning> {
    let stop = |says| is(Class::Stop(Cause::Other), says);
    Some(match code {
        210_500 => is(Class::PageToken, "the page token has expired"),
        210_501 => is(Class::PageToken, "the page token belongs to another app"),
        210_502 => is(Class::Message, "the page size is not accepted"),
        210_503 | 210_506 => stop("the platform knows no such app; check `app_id` and `platform`"),
        210_504 => stop("the app belongs to another tenant"),
        210_505 => stop("the app is not a self-built one, and its feedback comes by event only"),
        210_508 => stop("the app may not see or change this app's feedback"),
        _ => return None,
    })
}

fn by_words(msg: &str) -> Meaning {
    if speaks_of_rate(msg) {
        is(Class::SlowDown, "rate limited, according to the message")
    } else {
        UNKNOWN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(code: i64, msg: &str) -> Class {
        meaning(code, msg).class
    }

    #[test]
    fn code_9499_meaning_depends_on_message() {
        for msg in ["too many request", "Too Many Requests", "请求过于频繁"] {
            assert_eq!(class(9499, msg), Class::SlowDown, "{msg}");
        }
        for msg in ["Bad Request", "invalid param", "content is not a json"] {
            assert_eq!(class(9499, msg), Class::Form, "{msg}");
        }
        for msg in ["", "try again"] {
            assert_eq!(class(9499, msg), Class::Unknown, "{msg}");
        }
    }

    #[test]
    fn inner_code_of_rejected_card_names_wrong_part() {
        for code in [11246, 230_099] {
            let person =
                "ErrCode: 100290; ErrMsg: invalid user resource (at/person); ErrorValue: x;";
            assert_eq!(class(code, person), Class::Person);
            assert_eq!(class(code, "bad card (at/person)"), Class::Person);
            assert_eq!(
                class(code, "Failed, ext=ErrCode: 200570; x"),
                Class::ImageKey
            );
            assert_eq!(class(code, "Failed, ext=ErrCode: 11310; x"), Class::Form);
            assert_eq!(class(code, ""), Class::Form);
            // A reporter's text must neither stop a destination nor delay it.
            for typed in [
                "ErrCode: 19001",
                "ErrCode: 99991672",
                "ErrCode: 11232",
                "too many request",
            ] {
                assert_eq!(class(code, typed), Class::Form, "{typed}");
            }
            let echo = "ErrCode: 100290 ext=ErrCode: 200621;";
            assert_eq!(meaning(code, echo).inner, Some(200_621));
        }
    }

    #[test]
    fn unknown_ids_differ_from_bad_format() {
        assert_eq!(
            class(230_001, "x, ext=invalid receive_id."),
            Class::Receiver
        );
        assert_eq!(class(230_001, "x, ext=invalid message_id"), Class::Gone);
        assert_eq!(class(230_001, "x, ext=invalid msg_type"), Class::Form);
    }

    #[test]
    fn unlisted_code_is_unknown_unless_message_reports_rate_limit() {
        assert_eq!(class(424_242, "no idea"), Class::Unknown);
        assert_eq!(
            class(424_242, "request trigger frequency limit"),
            Class::SlowDown
        );
        assert_eq!(class(230_101, "temporarily unavailable"), Class::Retry);
        assert_eq!(class(99_991_403, ""), Class::Stop(Cause::Quota));
        assert_eq!(of_a_connection(77, "").class, Class::Unknown);
        assert_eq!(of_a_connection(1, "").class, Class::Retry);
    }
}
