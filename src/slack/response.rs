//! What an answer of the Web API says. Source: docs.slack.dev "Evaluating responses".

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::SlackError;
use crate::net::Answer;

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiResponse {
    /// `ok` is true.
    Ok(Members),
    /// `ok` is false.
    Refused(SlackError),
    /// It is not Slack's: the page of a gateway, or nothing.
    Unreadable,
}

/// The members of an answer's object.
#[derive(Clone, Debug, Default)]
pub struct Members(HashMap<String, Box<RawValue>>);

/// By their text, which is all that is known of them.
impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        let of = |one: &Self, name: &str| one.0.get(name).map(|raw| raw.get().to_owned());
        self.0.len() == other.0.len() && self.0.keys().all(|name| of(self, name) == of(other, name))
    }
}

impl Eq for Members {}

impl ApiResponse {
    /// Reads an answer. The end of one that is longer than what is read of answers is not missed: Slack
    /// repeats the message after what counts.
    pub fn of(answer: &Answer) -> Self {
        let mut members = Members::default();
        let mut reader = serde_json::Deserializer::from_slice(&answer.body);
        let read = Collect(&mut members).deserialize(&mut reader);
        let whole = read.and_then(|()| reader.end()).is_ok();
        if !whole && !answer.truncated {
            return Self::Unreadable;
        }
        match members.raw("ok") {
            Some("true") if (200..=299).contains(&answer.status) => Self::Ok(members),
            Some("false") => Self::Refused(SlackError::of(&members)),
            Some(_) | None => Self::Unreadable,
        }
    }
}

impl Members {
    /// The text under `name`, if it is one and not empty.
    pub fn text(&self, name: &str) -> Option<String> {
        let text: Option<String> = serde_json::from_str(self.raw(name)?).ok();
        text.filter(|text| !text.is_empty())
    }

    /// The claim under `name`, if it is one.
    pub fn flag(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.raw(name)?).ok()
    }

    /// The members of the object under `name`; none if it is no object.
    pub fn object(&self, name: &str) -> Self {
        let found = self
            .raw(name)
            .and_then(|raw| serde_json::from_str(raw).ok());
        Self(found.unwrap_or_default())
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|raw| raw.get())
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let list: Option<Vec<Box<RawValue>>> = self
            .raw(name)
            .and_then(|raw| serde_json::from_str(raw).ok());
        let text = |raw: Box<RawValue>| serde_json::from_str(raw.get()).ok();
        list.unwrap_or_default()
            .into_iter()
            .filter_map(text)
            .collect()
    }
}

/// Puts members where they stay though the text ends too early.
struct Collect<'m>(&'m mut Members);

impl<'de> DeserializeSeed<'de> for Collect<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Collect<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value()?;
            self.0.0.insert(name, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, truncated: bool) -> Answer {
        let body = body.to_owned().into();
        Answer {
            status,
            headers: Vec::new(),
            body,
            truncated,
        }
    }

    #[test]
    fn a_success_is_ok_with_a_good_status() {
        let body = r#"{"ok":true,"channel":"C1","ts":"1.2","file":{"mimetype":"","id":"F1"}}"#;
        let ApiResponse::Ok(members) = ApiResponse::of(&answer(200, body, false)) else {
            panic!("not ok");
        };
        assert_eq!(members.text("channel").as_deref(), Some("C1"));
        assert_eq!(members.text("file"), None);
        assert_eq!(members.object("file").text("mimetype"), None);
        assert_eq!(members.object("file").text("id").as_deref(), Some("F1"));
        assert_eq!(members.object("ts").text("id"), None);
        for (status, body) in [
            (500, r#"{"ok":true}"#),
            (200, r#"{"ok":"true"}"#),
            (200, "{}"),
            (200, ""),
            (200, "<html>"),
            (200, r#"{"ok":true"#),
            (200, r#"{"ok":true} x"#),
        ] {
            assert_eq!(
                ApiResponse::of(&answer(status, body, false)),
                ApiResponse::Unreadable,
                "{body}"
            );
        }
    }

    #[test]
    fn the_end_of_a_long_answer_is_not_missed() {
        let body = r#"{"ok":true,"channel":"C1","ts":"1.2","message":{"text":"\u767d"#;
        let ApiResponse::Ok(members) = ApiResponse::of(&answer(200, body, true)) else {
            panic!("not ok");
        };
        assert_eq!(members.text("ts").as_deref(), Some("1.2"));
        assert_eq!(members.text("message"), None);
    }
}
