//! Converts a rendered message to the call that sends it to its place.

use serde_json::{Map, Value, json};

use super::super::Place;

/// The longest text that `chat.update` takes, in characters; `chat.postMessage` takes ten times as much.
const UPDATE_TEXT_CHARS_MAX: usize = 4000;
/// The length, in characters, of the text that is made from the blocks of a custom template without a text.
const FALLBACK_CHARS_MAX: usize = 150;

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// Into a channel.
    Channel(&'a str),
    /// Under a message, as a reply.
    Thread { channel: &'a str, ts: &'a str },
    /// Over a message, as an update.
    Over { channel: &'a str, ts: &'a str },
}

impl<'a> Address<'a> {
    /// Reads a handle as [`super::handle`] made it. Any other handle belongs to another destination, so its
    /// message is not found here and a reply is sent without a thread.
    pub(super) fn of(place: Place<'a>, channel: &'a str) -> Self {
        let read = |handle: &'a crate::model::MessageHandle| handle.0.split_once(':');
        match place {
            Place::New => Self::Channel(channel),
            Place::Under(handle) => match read(handle) {
                Some((channel, ts)) => Self::Thread { channel, ts },
                None => Self::Channel(channel),
            },
            Place::Over(handle) => {
                let (channel, ts) = read(handle).unwrap_or((channel, ""));
                Self::Over { channel, ts }
            }
        }
    }
}

/// A call of the Web API.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) method: &'static str,
    pub(super) body: Value,
}

impl Asked {
    /// Builds the call; `None` if `payload` is not a JSON object.
    pub(super) fn of(payload: &str, address: &Address<'_>) -> Option<Self> {
        let mut message: Map<String, Value> = serde_json::from_str(payload).ok()?;
        ensure_text(&mut message);
        Some(match *address {
            Address::Channel(channel) => Self::post(message, channel),
            Address::Thread { channel, ts } => {
                message.insert("thread_ts".into(), ts.into());
                Self::post(message, channel)
            }
            Address::Over { channel, ts } => Self::update(message, channel, ts),
        })
    }

    fn post(mut message: Map<String, Value>, channel: &str) -> Self {
        message.insert("channel".into(), channel.into());
        // A link that a reporter typed must not unfurl in the channel.
        for unfurl in ["unfurl_links", "unfurl_media"] {
            message.entry(unfurl).or_insert(Value::Bool(false));
        }
        Self {
            method: "chat.postMessage",
            body: Value::Object(message),
        }
    }

    fn update(mut message: Map<String, Value>, channel: &str, ts: &str) -> Self {
        if let Some(Value::String(text)) = message.get_mut("text") {
            *text = cut(text, UPDATE_TEXT_CHARS_MAX);
        }
        // Without this member the old blocks would stay.
        message.entry("blocks").or_insert_with(|| json!([]));
        message.insert("channel".into(), channel.into());
        message.insert("ts".into(), ts.into());
        Self {
            method: "chat.update",
            body: Value::Object(message),
        }
    }

    /// Turns a reply into a message of its own. Returns false if it was not a reply.
    pub(super) fn leave_thread(&mut self) -> bool {
        let members = self.body.as_object_mut();
        members.is_some_and(|members| members.remove("thread_ts").is_some())
    }
}

/// Adds a text if there is none. Notifications show the text, and so do clients that cannot show blocks.
fn ensure_text(message: &mut Map<String, Value>) {
    let text = message.get("text").and_then(Value::as_str);
    if text.is_some_and(|text| !text.trim().is_empty()) {
        return;
    }
    let words = message.get("blocks").and_then(first_words).unwrap_or("…");
    let words = cut(words, FALLBACK_CHARS_MAX);
    // Plain text of a block would be read as mrkdwn here, so it is escaped.
    let words = words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    message.insert("text".into(), words.into());
}

fn first_words(value: &Value) -> Option<&str> {
    match value {
        Value::Array(items) => items.iter().find_map(first_words),
        Value::Object(members) => match members.get("text") {
            Some(Value::String(text)) if !text.trim().is_empty() => Some(text),
            Some(_) | None => members.values().find_map(first_words),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Returns the first `chars_max` characters; the last is `…` if there were more.
fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept = text.chars().take(chars_max.saturating_sub(1));
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageHandle;

    fn asked(payload: &Value, address: Address<'_>) -> Asked {
        Asked::of(&payload.to_string(), &address).unwrap()
    }

    #[test]
    fn a_new_message_a_reply_and_a_change() {
        let payload = json!({"text": "白屏", "blocks": [{"type": "divider"}]});
        let mut new = asked(&payload, Address::Channel("C1"));
        assert_eq!(new.method, "chat.postMessage");
        let wanted = json!({"text": "白屏", "blocks": [{"type": "divider"}], "channel": "C1",
            "unfurl_links": false, "unfurl_media": false});
        assert_eq!(new.body, wanted);
        assert!(!new.leave_thread());
        let thread = Address::Thread {
            channel: "C2",
            ts: "1.2",
        };
        let mut reply = asked(&payload, thread);
        assert_eq!(
            (&reply.body["channel"], &reply.body["thread_ts"]),
            (&json!("C2"), &json!("1.2"))
        );
        assert!(reply.leave_thread());
        assert_eq!(reply.body.get("thread_ts"), None);
        let over = Address::Over {
            channel: "C2",
            ts: "1.2",
        };
        let change = asked(&payload, over);
        assert_eq!(change.method, "chat.update");
        let wanted =
            json!({"text": "白屏", "blocks": [{"type": "divider"}], "channel": "C2", "ts": "1.2"});
        assert_eq!(change.body, wanted);
        assert_eq!(Asked::of("[]", &over), None);
    }

    #[test]
    fn update_is_truncated_and_removes_old_blocks() {
        let over = Address::Over {
            channel: "C2",
            ts: "1.2",
        };
        let change = asked(&json!({"text": "字".repeat(4001)}), over);
        let text = change.body["text"].as_str().unwrap();
        assert_eq!((text.chars().count(), text.ends_with('…')), (4000, true));
        assert_eq!(change.body["blocks"], json!([]));
        let exact = asked(&json!({"text": "字".repeat(4000)}), over);
        assert!(!exact.body["text"].as_str().unwrap().ends_with('…'));
    }

    #[test]
    fn message_without_text_gets_one() {
        let header = json!({"type": "header", "text": {"type": "plain_text", "text": "A <b> & c"}});
        for (payload, wanted) in [
            (json!({"text": "x"}), "x"),
            (
                json!({"blocks": [{"type": "divider"}, header]}),
                "A &lt;b&gt; &amp; c",
            ),
            (json!({"text": " ", "blocks": []}), "…"),
            (json!({"text": 5}), "…"),
        ] {
            assert_eq!(asked(&payload, Address::Channel("C1")).body["text"], wanted);
        }
    }

    #[test]
    fn handles_are_read_as_they_were_made() {
        let handle = super::super::handle(Some("C2".into()), Some("1.2".into())).unwrap();
        let thread = Address::Thread {
            channel: "C2",
            ts: "1.2",
        };
        assert_eq!(Address::of(Place::Under(&handle), "C1"), thread);
        let over = Address::Over {
            channel: "C2",
            ts: "1.2",
        };
        assert_eq!(Address::of(Place::Over(&handle), "C1"), over);
        assert_eq!(Address::of(Place::New, "C1"), Address::Channel("C1"));
        let foreign = MessageHandle("om_1".into());
        assert_eq!(
            Address::of(Place::Under(&foreign), "C1"),
            Address::Channel("C1")
        );
    }
}
