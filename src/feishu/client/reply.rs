//! What an answer of the open API means. Sources: doc "Generic error codes", doc "上传图片"; the
//! platform's SDKs retry on 99991663, 99991664 and 99991671.

use bytes::Bytes;
use serde::Deserialize;

use super::ApiError;
use crate::model::AppName;
use crate::net::{Answer, NetError};

pub(super) fn retry(what: &str, app: &AppName) -> ApiError {
    let reason = format!("Feishu API as app {app}: {what}");
    ApiError::Retry { reason }
}

pub(super) fn stop(what: &str, app: &AppName) -> ApiError {
    let reason = format!("Feishu API as app {app}: {what}");
    ApiError::Stop { reason }
}

pub(super) fn rejected(what: &str, app: &AppName) -> ApiError {
    let reason = format!("Feishu API as app {app}: {what}");
    ApiError::Rejected { reason }
}

#[derive(Deserialize)]
struct Envelope {
    code: i64,
    #[serde(default)]
    msg: String,
}

/// The codes of a token that the platform does not take (any more). They come with HTTP 200 as well as 400.
const TOKEN_REFUSED: [i64; 3] = [99_991_663, 99_991_664, 99_991_671];

/// Whether an answer says that a new token may be taken.
pub(super) fn token_refused(answer: &Answer) -> bool {
    serde_json::from_slice::<Envelope>(&answer.body)
        .is_ok_and(|envelope| TOKEN_REFUSED.contains(&envelope.code))
}

/// The platform's own code in an answer.
pub(super) fn code(answer: &Answer) -> Option<i64> {
    let envelope = serde_json::from_slice::<Envelope>(&answer.body).ok()?;
    Some(envelope.code)
}

/// The body of an answer whose code says success.
pub(super) fn success(answer: Answer, app: &AppName) -> Result<Bytes, ApiError> {
    let Ok(envelope) = serde_json::from_slice::<Envelope>(&answer.body) else {
        return Err(by_status(&answer, app));
    };
    match envelope.code {
        0 if (200..=299).contains(&answer.status) => Ok(answer.body),
        0 => Err(by_status(&answer, app)),
        code => Err(by_code(code, &envelope.msg, &answer, app)),
    }
}

/// What a call without an answer came to. An upload that is repeated harms nobody.
pub(super) fn unanswered(error: &NetError, app: &AppName) -> ApiError {
    match error {
        NetError::Unsent(_) | NetError::Certificate(_) | NetError::Lost(_) => {
            retry(&error.to_string(), app)
        }
        NetError::Refused(_) => stop(&format!("{error}; check `base_url`"), app),
    }
}

/// No reason repeats `msg` but the names of scopes in it.
fn by_code(code: i64, msg: &str, answer: &Answer, app: &AppName) -> ApiError {
    let says = |what: &str| format!("code {code}: {what}{}", log_id(answer));
    let retry = |what| retry(&says(what), app);
    let stop = |what| stop(&says(what), app);
    let rejected = |what| rejected(&says(what), app);
    match code {
        // Even when it is new: worth a later try.
        _ if TOKEN_REFUSED.contains(&code) => retry("the token is refused"),
        10003 | 10014 | 99_991_543 => {
            stop("the credentials are refused; check `app_id`, `app_secret` and `platform`")
        }
        99_991_662 | 99_991_673 => stop("the app is disabled or not installed"),
        99_991_672 | 99_991_676 | 99_991_679 => stop(&format!(
            "the app lacks a scope; grant it {}",
            scopes(msg).unwrap_or_else(|| "what the call needs".into())
        )),
        99_991_401 => stop("our address is not in the app's IP allow list"),
        234_002 => stop("the app is not authorized"),
        234_007 => stop("the app's bot ability is off; switch it on"),
        1 | 2200 => retry("an error inside the platform"),
        99_991_400 | 11232 | 230_020 => retry("rate limited"),
        234_001 | 99_992_402 | 9499 | 99_991_661 => {
            rejected("the platform cannot read the request")
        }
        234_006 => rejected("the picture is too large"),
        234_010 => rejected("the picture is empty"),
        234_011 => rejected("the picture's format is not known there"),
        234_039 => rejected("the picture has too many pixels"),
        210_500 => retry("the page token has expired"),
        210_501 => retry("the page token is of another app"),
        210_502 => rejected("the page size is not taken"),
        210_503 | 210_506 => stop("the platform knows no such app; check `app_id` and `platform`"),
        210_504 => stop("the app is not of this tenant"),
        210_505 => stop("the app is not a self-built one, and its feedback comes by event only"),
        210_508 => stop("the app may not see or change this app's feedback"),
        _ if answer.status == 429 || answer.status >= 500 => retry("unknown to us"),
        _ => rejected("unknown to us"),
    }
}

/// What an answer means that is not the platform's, e.g. a gateway's page.
fn by_status(answer: &Answer, app: &AppName) -> ApiError {
    let says = |what: &str| format!("HTTP {}{what}{}", answer.status, log_id(answer));
    match answer.status {
        300..=399 => stop(&says(", a redirect; check `base_url`"), app),
        404 => stop(&says("; check `base_url`"), app),
        401 | 403 | 407 => stop(&says(", access refused"), app),
        408 | 425 | 429 => retry(&says(""), app),
        400..=499 => rejected(&says(""), app),
        _ => retry(&says(", with a body that is not the platform's"), app),
    }
}

/// The platform's own id of the call, which its support asks for.
fn log_id(answer: &Answer) -> String {
    let id: String = answer
        .header("x-tt-logid")
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect();
    if id.is_empty() {
        id
    } else {
        format!(" (log id {id})")
    }
}

/// The scopes that a message names, e.g. `im:resource:upload`.
pub(super) fn scopes(msg: &str) -> Option<String> {
    let part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.:-".contains(&b);
    let mut scopes: Vec<&str> = msg
        .split(|c: char| !c.is_ascii() || c.is_ascii_whitespace() || "[](),;\"'|".contains(c))
        .map(|word| word.trim_matches(['.', ':']))
        .filter(|word| word.len() <= 80 && word.contains(':') && word.bytes().all(part))
        .collect();
    scopes.dedup();
    scopes.truncate(8);
    (!scopes.is_empty()).then(|| scopes.join(" or "))
}
