//! Responses of the Web API. Source: docs.slack.dev "Evaluating responses".

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::SlackError;
use crate::net::Answer;

/// The content of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiResponse {
    /// `ok` is true.
    Ok(Members),
    /// `ok` is false.
    Refused(SlackError),
    /// The response is not Slack's: a gateway's page, or nothing.
    Unreadable,
}

/// The members of a response's object.
#[derive(Clone, Debug, Default)]
pub struct Members(HashMap<String, Box<RawValue>>);

/// Compares members by their text.
impl PartialEq for Members {
    fn eq(&self, other: &Self) -> bool {
        let of = |one: &Self, name: &str| one.0.get(name).map(|raw| raw.get().to_owned());
        self.0.len() == other.0.len() && self.0.keys().all(|name| of(self, name) == of(other, name))
    }
}

impl Eq for Members {}

impl ApiResponse {
    /// Parses a response. A cut-off end does no harm because Slack repeats the message after the
    /// members that count.
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
    /// Returns the text under `name`. `None` if it is absent or empty.
    pub fn text(&self, name: &str) -> Option<String> {
        let text: Option<String> = serde_json::from_str(self.raw(name)?).ok();
        text.filter(|text| !text.is_empty())
    }

    /// Returns the Boolean under `name`. `None` if it is absent.
    pub fn flag(&self, name: &str) -> Option<bool> {
        serde_json::from_str(self.raw(name)?).ok()
    }

    /// Returns the members of the object under `name`; none if the value is not an object.
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

/// Collects members, and keeps them if the text ends too early.
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
    fn success_needs_ok_and_good_status() {
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
    fn cut_off_response_is_parsed() {
        let body = r#"{"ok":true,"channel":"C1","ts":"1.2","message":{"text":"\u767d"#;
        let ApiResponse::Ok(members) = ApiResponse::of(&answer(200, body, true)) else {
            panic!("not ok");
        };
        assert_eq!(members.text("ts").as_deref(), Some("1.2"));
        assert_eq!(members.text("message"), None);
    }
}
