//! Button clicks. Source: docs.slack.dev "`block_actions` payload".

use std::collections::HashMap;
use std::fmt;

use serde_json::value::RawValue;

use crate::model::Secret;

/// The form field with the JSON.
const PAYLOAD: &str = "payload";
/// The type of a click. Slack sends other types to the same address.
const BLOCK_ACTIONS: &str = "block_actions";

/// The body of an authentic request, not yet parsed.
#[derive(Clone, Copy)]
pub struct Interaction<'a> {
    body: &'a [u8],
}

/// Hides names and texts of people.
impl fmt::Debug for Interaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Interaction({} bytes)", self.body.len())
    }
}

/// A click on a button. A field is `None` if Slack did not send it, or sent another type.
///
/// A click can arrive twice, so its effect must be the same the second time.
#[derive(Clone, PartialEq, Eq)]
pub struct ButtonClick {
    /// The actor's id: `U…` or `W…`.
    pub user: Option<String>,
    /// The actor's name in the workspace; the handle if there is no other.
    pub user_name: Option<String>,
    /// The workspace, `T…`.
    pub team: Option<String>,
    /// The channel, `C…`, `G…` or `D…`.
    pub channel: Option<String>,
    /// The message, identified by its timestamp.
    pub message_ts: Option<String>,
    /// The id of the button.
    pub action_id: Option<String>,
    /// The button's value, as the sender of the message set it.
    pub value: Option<String>,
    /// The address for answers. Anyone who knows it may write into the channel for half an hour. It
    /// comes from outside: check its host before posting.
    pub response_url: Option<Secret>,
}

/// Hides the actor's name.
impl fmt::Debug for ButtonClick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ButtonClick")
            .field("channel", &self.channel)
            .field("message_ts", &self.message_ts)
            .field("action_id", &self.action_id)
            .finish_non_exhaustive()
    }
}

impl<'a> Interaction<'a> {
    /// Wraps a body. The caller has verified its signature.
    pub(super) const fn authentic(body: &'a [u8]) -> Self {
        Self { body }
    }

    /// Returns the click if the request is one. Slack sends other requests to the same address;
    /// they only need a success response.
    pub fn click(self) -> Option<ButtonClick> {
        let (_, payload) =
            url::form_urlencoded::parse(self.body).find(|(name, _)| name == PAYLOAD)?;
        let payload = Object::read(&payload)?;
        if payload.text("type").as_deref() != Some(BLOCK_ACTIONS) {
            return None;
        }
        let (user, container) = (payload.object("user"), payload.object("container"));
        // The list has one element because a click is on one button.
        let action = payload.first("actions")?;
        let or = |one: Option<String>, other: Option<String>| one.or(other);
        Some(ButtonClick {
            user: user.text("id"),
            user_name: or(user.text("name"), user.text("username")),
            team: or(payload.object("team").text("id"), user.text("team_id")),
            channel: or(
                payload.object("channel").text("id"),
                container.text("channel_id"),
            ),
            message_ts: or(
                payload.object("message").text("ts"),
                container.text("message_ts"),
            ),
            action_id: action.text("action_id"),
            value: action.text("value"),
            response_url: payload.text("response_url").map(Secret::new),
        })
    }
}

/// A JSON object, split by member. A member of the wrong type affects no other, and unused members
/// are skipped, however deep they are nested.
#[derive(Default)]
struct Object<'a>(HashMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// Returns the object under `name`; an empty one if there is none.
    fn object(&self, name: &str) -> Object<'a> {
        let found = self.0.get(name).and_then(|raw| Self::read(raw.get()));
        found.unwrap_or_default()
    }

    /// Returns the first element of the list under `name`; an empty object if that element is not
    /// an object.
    fn first(&self, name: &str) -> Option<Object<'a>> {
        let list: Vec<&'a RawValue> = serde_json::from_str(self.0.get(name)?.get()).ok()?;
        let first = list.first()?;
        Some(Self::read(first.get()).unwrap_or_default())
    }

    /// Returns the text under `name`. `None` if it is absent or empty.
    fn text(&self, name: &str) -> Option<String> {
        let raw = self.0.get(name)?;
        let text: Option<String> = serde_json::from_str(raw.get()).ok();
        text.filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(payload: &str) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("ssl_check", "0");
        form.append_pair(PAYLOAD, payload);
        form.finish()
    }

    fn click(payload: &str) -> Option<ButtonClick> {
        Interaction::authentic(form(payload).as_bytes()).click()
    }

    /// The example of docs.slack.dev, shortened.
    const WHOLE: &str = r#"{
        "type": "block_actions",
        "user": {"id": "U0CA5", "username": "amy", "name": "Amy 王", "team_id": "T3MDE"},
        "api_app_id": "A0CA5",
        "container": {"type": "message", "message_ts": "1548426417.840180", "channel_id": "CBR2V3XEX"},
        "trigger_id": "12466734323.1395872398",
        "team": {"id": "T9TK3CUKW", "domain": "example"},
        "channel": {"id": "CBR2V3XEX", "name": "general"},
        "message": {"type": "message", "ts": "1548426417.840180", "text": "\ud83d"},
        "response_url": "https://hooks.slack.com/actions/AABA1ABCD/1232321423432/D09sSasdasdAS9091209",
        "actions": [{"action_id": "claim", "block_id": "=qXel", "value": "v&=+ 1", "type": "button"}]
    }"#;

    #[test]
    fn click_is_parsed_completely() {
        let click = click(WHOLE).unwrap();
        let text = |text: &str| Some(text.to_owned());
        let wanted = ButtonClick {
            user: text("U0CA5"),
            user_name: text("Amy 王"),
            team: text("T9TK3CUKW"),
            channel: text("CBR2V3XEX"),
            message_ts: text("1548426417.840180"),
            action_id: text("claim"),
            value: text("v&=+ 1"),
            response_url: Some(Secret::new(
                "https://hooks.slack.com/actions/AABA1ABCD/1232321423432/D09sSasdasdAS9091209",
            )),
        };
        assert_eq!(click, wanted);
        let shown = format!("{click:?}");
        assert!(
            !shown.contains("Amy") && !shown.contains("hooks"),
            "{shown}"
        );
    }

    #[test]
    fn fields_are_found_in_other_places_or_absent() {
        let elsewhere = click(
            r#"{"type":"block_actions","user":{"username":"amy","team_id":"T1"},"channel":null,
                "container":{"message_ts":"1.2","channel_id":"C1"},"actions":[{}]}"#,
        )
        .unwrap();
        assert_eq!(elsewhere.user_name.as_deref(), Some("amy"));
        assert_eq!(elsewhere.team.as_deref(), Some("T1"));
        assert_eq!(elsewhere.channel.as_deref(), Some("C1"));
        assert_eq!(elsewhere.message_ts.as_deref(), Some("1.2"));
        assert_eq!((elsewhere.user, elsewhere.value), (None, None));
        let odd = click(
            r#"{"type":"block_actions","user":7,"team":[],"channel":{"id":{}},"message":"x",
                "response_url":9,"actions":[3,4]}"#,
        )
        .unwrap();
        let nothing = ButtonClick {
            user: None,
            user_name: None,
            team: None,
            channel: None,
            message_ts: None,
            action_id: None,
            value: None,
            response_url: None,
        };
        assert_eq!(odd, nothing);
    }

    #[test]
    fn other_requests_are_not_clicks() {
        for payload in [
            "",
            "null",
            "[]",
            "{}",
            "{",
            r#"{"type":"view_submission","actions":[{}]}"#,
            r#"{"type":"block_actions"}"#,
            r#"{"type":"block_actions","actions":[]}"#,
            r#"{"type":"block_actions","actions":{}}"#,
        ] {
            assert_eq!(click(payload), None, "{payload}");
        }
        for body in [&b""[..], b"payload", b"x=1", b"\xff\xfe", WHOLE.as_bytes()] {
            assert_eq!(Interaction::authentic(body).click(), None);
        }
    }

    #[test]
    fn deeply_nested_member_is_skipped() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let payload =
            format!(r#"{{"x":{deep},"type":"block_actions","actions":[{{"value":"v"}}]}}"#);
        assert_eq!(click(&payload).unwrap().value.as_deref(), Some("v"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), at in 0..900_usize, odd in ".{0,3}") {
            Interaction::authentic(&bytes).click();
            let (before, after) = WHOLE.split_at(WHOLE.floor_char_boundary(at));
            click(&format!("{before}{odd}{after}"));
        }
    }
}
