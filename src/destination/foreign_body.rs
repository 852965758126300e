//! Reads the body of a success status that is not in the platform's format. It comes from a compatible
//! receiver, a forwarder, or something in front of the platform.

use serde_json::Value;

use crate::net::Answer;

/// The longest text that can be a receiver's confirmation, in bytes. Slack's own has two letters.
pub(super) const CONFIRMATION_BYTES_MAX: usize = 1024;

/// The kind of a body that is not in the platform's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// An HTML page.
    Page,
    /// JSON or a short text that reports an error.
    Refuses,
    /// Nothing, one word or JSON, without an error.
    Confirms,
    /// A text of several words, without an error.
    Text,
    /// The beginning of a longer body.
    Cut,
}

impl Foreign {
    /// Reads the body of `answer`.
    pub(super) fn of(answer: &Answer) -> Self {
        if answer.is_page() {
            return Self::Page;
        }
        if answer.truncated {
            return Self::Cut;
        }
        let body = String::from_utf8_lossy(&answer.body);
        let text = body.trim();
        match serde_json::from_str::<Value>(text) {
            Ok(json) if is_refusal(&json) => Self::Refuses,
            Ok(_) => Self::Confirms,
            Err(error) if error.is_eof() && text.starts_with(['{', '[']) => Self::Cut,
            Err(_) if text.len() <= CONFIRMATION_BYTES_MAX && in_words(text) => Self::Refuses,
            Err(_) if text.contains(char::is_whitespace) => Self::Text,
            Err(_) => Self::Confirms,
        }
    }
}

/// Returns whether the members of a JSON object report an error. An explicit success counts more than any error
/// text.
fn is_refusal(json: &Value) -> bool {
    match json {
        Value::Object(members) => {
            let of = |name: &str| members.get(name);
            let says = |names: &[&str], wanted: fn(&Value) -> bool| {
                names.iter().filter_map(|name| of(name)).any(wanted)
            };
            says(&["ok", "success", "result"], is_no)
                || says(&["code", "errcode", "status", "StatusCode"], is_error_code)
                || says(&["error", "errors"], is_error)
        }
        Value::Bool(yes) => !yes,
        Value::String(text) => in_words(text),
        Value::Null | Value::Number(_) | Value::Array(_) => false,
    }
}

/// Returns whether a member such as `ok` says no.
fn is_no(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => !yes,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => matches!(text.as_str(), "false" | "0" | "no") || in_words(text),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Returns whether a code means failure: it is neither zero nor like a successful HTTP status.
fn is_error_code(value: &Value) -> bool {
    let code = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => match text.parse() {
            Ok(code) => Some(code),
            Err(_word) => return in_words(text),
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    code.is_some_and(|code| code != 0 && !(200..300).contains(&code))
}

/// Returns whether a member that is meant for errors contains one.
fn is_error(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !matches!(
            text.to_lowercase().as_str(),
            "" | "none" | "no" | "null" | "ok"
        ),
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// Returns whether a text contains a word that means an error.
fn in_words(text: &str) -> bool {
    const WORDS: [&str; 18] = [
        "err",
        "fail",
        "invalid",
        "denied",
        "forbidden",
        "unauthor",
        "not found",
        "not_found",
        "missing",
        "exceed",
        "prohibited",
        "disabled",
        "archived",
        "expired",
        "refused",
        "reject",
        "unknown",
        "no_",
    ];
    // `transferred` and `no error` contain the words of an error.
    let mut text = text.to_lowercase().replace("ferr", "");
    for none in ["no_error", "no error", "without error", "0 error"] {
        text = text.replace(none, "");
    }
    WORDS.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_says_yes_no_or_neither() {
        let long = "words ".repeat(CONFIRMATION_BYTES_MAX);
        for (body, wanted) in [
            ("<html>", Foreign::Page),
            ("", Foreign::Confirms),
            ("OK\n", Foreign::Confirms),
            (r#"{"message":"ok"}"#, Foreign::Confirms),
            (r#"{"error":"no such route"}"#, Foreign::Refuses),
            ("Unauthorized", Foreign::Refuses),
            ("Please sign in to the network", Foreign::Text),
            (long.as_str(), Foreign::Text),
            (r#"{"code":0,"msg":"suc"#, Foreign::Cut),
            ("[1, 2", Foreign::Cut),
            ("[OK]", Foreign::Confirms),
            ("{ok}", Foreign::Confirms),
            ("[error] no such hook", Foreign::Refuses),
        ] {
            let answer = Answer {
                status: 200,
                headers: Vec::new(),
                body: body.to_owned().into(),
                truncated: false,
            };
            assert_eq!(Foreign::of(&answer), wanted, "{body}");
        }
    }
}
