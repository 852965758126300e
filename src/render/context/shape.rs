//! Defines the tree that templates and programs see, in output order.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::model::Timestamp;

/// A text that may be shown.
pub(super) type Text<'a> = Cow<'a, str>;

/// The root of the tree.
#[derive(serde::Serialize)]
pub(in crate::render) struct Context<'a> {
    pub(super) feedback: Feedback<'a>,
    pub(super) change: Change<'a>,
    pub(super) actions: Vec<Action<'a>>,
    pub(super) event: Event<'a>,
    pub(super) rule: Rule<'a>,
    pub(super) mentions: Vec<Mention<'a>>,
    pub(super) incident: Incident<'a>,
    pub(super) links: Links,
    pub(super) notice: Notice<'a>,
    pub(super) digest: Digest<'a>,
}

impl Context<'_> {
    /// Converts the context to the JSON value that templates use.
    pub(in crate::render) fn tree(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("texts and numbers are JSON")
    }
}

#[derive(serde::Serialize)]
pub(super) struct Feedback<'a> {
    pub(super) id: Option<Text<'a>>,
    pub(super) ids: Vec<Text<'a>>,
    pub(super) ids_total: usize,
    pub(super) app: Option<Text<'a>>,
    pub(super) app_name: Option<Text<'a>>,
    #[serde(rename = "type")]
    pub(super) kind: Code,
    pub(super) faults: Vec<Code>,
    pub(super) source: Code,
    pub(super) description: Option<Text<'a>>,
    pub(super) contact: Option<Text<'a>>,
    pub(super) path: Option<Text<'a>>,
    pub(super) tenant_name: Option<Text<'a>>,
    pub(super) tenant_key: Option<Text<'a>>,
    pub(super) user: User<'a>,
    pub(super) feedback_time: Option<When<'a>>,
    pub(super) fault_time: Option<When<'a>>,
    pub(super) images: Vec<Image<'a>>,
    pub(super) images_total: usize,
    pub(super) images_pending: usize,
    pub(super) status: Code,
}

/// A number of the platform with its name. Without a number all members are null.
#[derive(Default, serde::Serialize)]
pub(super) struct Code {
    pub(super) code: Option<Number>,
    pub(super) key: Option<&'static str>,
    pub(super) label: Option<String>,
}

/// A code, or the text of a code that is no 64-bit number.
#[derive(serde::Serialize)]
#[serde(untagged)]
pub(super) enum Number {
    Is(i64),
    Text(String),
}

#[derive(serde::Serialize)]
pub(super) struct User<'a> {
    pub(super) open_id: Option<Text<'a>>,
    pub(super) union_id: Option<Text<'a>>,
    pub(super) user_id: Option<Text<'a>>,
}

#[derive(serde::Serialize)]
pub(super) struct Image<'a> {
    pub(super) number: u32,
    pub(super) id: &'a str,
    pub(super) format: &'static str,
    pub(super) media_type: &'static str,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) inline: bool,
    pub(super) key: Option<Text<'a>>,
    pub(super) link: Option<String>,
    pub(super) path: Option<Text<'a>>,
}

#[derive(serde::Serialize)]
pub(super) struct Change<'a> {
    pub(super) at: Option<Time>,
    pub(super) by: User<'a>,
    pub(super) name: Option<Text<'a>>,
    pub(super) through: Option<&'static str>,
    #[serde(rename = "here_only")]
    pub(super) local_only: bool,
}

#[derive(serde::Serialize)]
pub(super) struct Action<'a> {
    pub(super) act: &'static str,
    pub(super) label: &'static str,
    pub(super) style: &'static str,
    pub(super) value: &'a str,
}

#[derive(serde::Serialize)]
pub(super) struct Event<'a> {
    pub(super) id: Text<'a>,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) received_at: Time,
    pub(super) late: bool,
    pub(super) trigger: &'static str,
}

#[derive(serde::Serialize)]
pub(super) struct Rule<'a> {
    pub(super) name: Text<'a>,
    pub(super) severity: Severity,
    pub(super) labels: Labels<'a>,
}

#[derive(serde::Serialize)]
pub(super) struct Severity {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
}

/// Label names and their values.
pub(super) struct Labels<'a>(pub(super) Vec<(Text<'a>, Text<'a>)>);

impl Serialize for Labels<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, word) in &self.0 {
            map.serialize_entry(name, word)?;
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
pub(super) struct Mention<'a> {
    pub(super) name: Text<'a>,
    pub(super) all: bool,
}

/// Several reports that share a message: an incident, or a summary.
#[derive(Default, serde::Serialize)]
pub(super) struct Incident<'a> {
    pub(super) id: Option<String>,
    pub(super) previous: Option<String>,
    pub(super) before: Before<'a>,
    pub(super) state: Named,
    pub(super) news: Named,
    pub(super) flapping: Option<String>,
    pub(super) count: Option<u64>,
    pub(super) merged: Option<u64>,
    pub(super) users: Option<u64>,
    pub(super) tenants: Option<u64>,
    pub(super) trend: Option<String>,
    pub(super) first_at: Option<Time>,
    pub(super) last_at: Option<Time>,
    pub(super) open_for: Option<String>,
    pub(super) claimed: bool,
    pub(super) written: Option<String>,
    pub(super) mute: Mute<'a>,
    pub(super) held_for: Named,
    pub(super) why: Option<String>,
    pub(super) grouped_by: Vec<GroupedBy<'a>>,
    pub(super) kinds: Option<u64>,
    pub(super) words: Vec<Words<'a>>,
    pub(super) recent: Vec<Recent<'a>>,
}

/// One of the relay's own enumerations. Both members are null if it does not apply.
#[derive(Default, serde::Serialize)]
pub(super) struct Named {
    pub(super) key: Option<&'static str>,
    pub(super) label: Option<String>,
}

/// The silence that mutes an incident. All members are null if there was none.
#[derive(Default, serde::Serialize)]
pub(super) struct Mute<'a> {
    /// When it ends; null if it has ended.
    pub(super) until: Option<Time>,
    pub(super) by: Option<Text<'a>>,
    pub(super) reason: Option<Text<'a>>,
    /// The number of reports that it muted.
    pub(super) reports: Option<u64>,
}

/// One key of `group_by`, with the value that all reports share.
#[derive(serde::Serialize)]
pub(super) struct GroupedBy<'a> {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) value: Option<Text<'a>>,
}

/// An earlier incident that was probably about the same fault. All members are null if there is none.
#[derive(Default, serde::Serialize)]
pub(super) struct Before<'a> {
    pub(super) id: Option<String>,
    pub(super) similar: bool,
    pub(super) label: Option<&'static str>,
    pub(super) state: Named,
    pub(super) ended_at: Option<Time>,
    pub(super) name: Option<Text<'a>>,
}

/// What several reports of an incident say in similar words.
#[derive(serde::Serialize)]
pub(super) struct Words<'a> {
    pub(super) count: u64,
    pub(super) description: Option<Text<'a>>,
}

/// A short description of one of several reports.
#[derive(serde::Serialize)]
pub(super) struct Recent<'a> {
    pub(super) id: Option<Text<'a>>,
    pub(super) app_name: Text<'a>,
    #[serde(rename = "type")]
    pub(super) kind: Code,
    pub(super) faults: Vec<Code>,
    pub(super) description: Option<Text<'a>>,
    pub(super) path: Option<Text<'a>>,
    pub(super) tenant_name: Option<Text<'a>>,
    pub(super) feedback_time: Option<Time>,
}

#[derive(serde::Serialize)]
pub(super) struct Links {
    pub(super) console: Option<String>,
    pub(super) images: Vec<String>,
}

#[derive(Default, serde::Serialize)]
pub(super) struct Notice<'a> {
    pub(super) kind: Option<&'static str>,
    pub(super) title: Option<&'static str>,
    pub(super) subject: Option<Text<'a>>,
    pub(super) text: Option<Text<'a>>,
}

/// What came in a period. Every member is null or empty for other messages.
#[derive(Default, serde::Serialize)]
pub(super) struct Digest<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) from: Option<Time>,
    pub(super) until: Option<Time>,
    pub(super) late: bool,
    pub(super) total: Option<Compared<'a>>,
    pub(super) images: Option<u64>,
    pub(super) parts: Vec<Part<'a>>,
    pub(super) unhandled: Option<u64>,
    pub(super) oldest_at: Option<Time>,
    pub(super) recent: Vec<Recent<'a>>,
}

/// The largest counts by app, fault or page.
#[derive(serde::Serialize)]
pub(super) struct Part<'a> {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) counts: Vec<Compared<'a>>,
}

/// A number, the number of the period before, and their difference in words. The last two are null if the period
/// before is unknown.
#[derive(serde::Serialize)]
pub(super) struct Compared<'a> {
    pub(super) label: Option<Text<'a>>,
    pub(super) count: u64,
    pub(super) before: Option<u64>,
    pub(super) change: Option<String>,
}

/// A point in time. People may also see a time that could not be parsed, as it was written.
#[derive(serde::Serialize)]
#[serde(untagged)]
pub(super) enum When<'a> {
    At(Time),
    Written(Text<'a>),
}

/// A point in time, written as RFC 3339.
pub(super) struct Time(pub(super) Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
