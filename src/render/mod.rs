//! Renders an event to the payload of a destination.
//!
//! A reporter's text must stay data, so every platform uses the same steps. The context is built with the fields
//! policy applied (`context`). Handlebars puts each value between two private-use characters (`helpers`,
//! `library`). The output is parsed as JSON. Then each value in each string is escaped for its field and cut to
//! the platform's limits (`fields`, `text`). So a template can be wrong, but it cannot leak, and a reporter's
//! text cannot leave its string.
//!
//! Templates are checked when they are loaded. Their nesting is counted before they are parsed (`guard`), names
//! are compared with the context (`names`), and samples are rendered (`check`).

mod blocks;
mod card;
mod check;
mod compose;
mod context;
mod diagnostics;
mod fields;
mod guard;
mod helpers;
mod library;
mod mask;
mod mentions;
mod names;
mod payload;
mod problem;
mod sample;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::model::{
    Content, CountedReport, DeliveryId, Event, FeedbackState, ImageFormat, ImageId, MessageSpec,
    Private, Severity, Timestamp, TriageAction, Trigger,
};

pub use check::{CODES, check};
pub use library::Templates;
pub use payload::Payload;

/// The message format of a destination; also the folder of its templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Feishu and Lark cards.
    Feishu,
    /// Slack's Block Kit.
    Slack,
    /// JSON for programs.
    Webhook,
    /// Plain text.
    Text,
}

impl Family {
    /// All families.
    pub const ALL: &[Self] = &[Self::Feishu, Self::Slack, Self::Webhook, Self::Text];

    /// Returns the name of its templates folder.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Feishu => "feishu",
            Self::Slack => "slack",
            Self::Webhook => "webhook",
            Self::Text => "text",
        }
    }
}

/// The language of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locale {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

/// How much of a field an audience may see. A greater value hides more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Visibility {
    /// The whole value.
    #[default]
    Full,
    /// That a value exists, and a hint of it.
    Mask,
    /// Nothing.
    Drop,
}

/// What an audience may see: `fields` of a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    pub contact: Visibility,
    pub description: Visibility,
    pub path: Visibility,
    pub tenant: Visibility,
    pub user: Visibility,
    pub images: Visibility,
}

impl Fields {
    /// Returns what both audiences may see: the stricter value of each field.
    #[must_use]
    pub fn narrowed_by(self, other: Self) -> Self {
        Self {
            contact: self.contact.max(other.contact),
            description: self.description.max(other.description),
            path: self.path.max(other.path),
            tenant: self.tenant.max(other.tenant),
            user: self.user.max(other.user),
            images: self.images.max(other.images),
        }
    }

    /// Returns the fields of which this audience may see more than `other`.
    pub fn wider_than(self, other: Self) -> Vec<&'static str> {
        let all = [
            ("contact", self.contact, other.contact),
            ("description", self.description, other.description),
            ("path", self.path, other.path),
            ("tenant", self.tenant, other.tenant),
            ("user", self.user, other.user),
            ("images", self.images, other.images),
        ];
        let wider = all.into_iter().filter(|(_, own, other)| own < other);
        wider.map(|(field, ..)| field).collect()
    }
}

/// The audience of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// The message format.
    pub family: Family,
    /// The language.
    pub locale: Locale,
    /// The zone in which times are shown.
    pub timezone: TimeZone,
    /// What this audience may see.
    pub fields: Fields,
    /// A keyword that the platform requires in every message. `None`: not required.
    pub keyword: Option<String>,
    /// The template of `templates/webhook` that renders the whole body. `None`: the standard body.
    pub body: Option<String>,
    /// The largest rendered message, in bytes as sent. `None`: the family's own limit.
    pub bytes_max: Option<usize>,
    /// Whether messages have buttons, which need somebody to receive the clicks.
    pub buttons: bool,
    /// How the message is sent, which determines how bytes are counted.
    pub sent: SentAs,
}

/// How a rendered message is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SentAs {
    /// As the request body, or as a part of it.
    #[default]
    Json,
    /// As a string inside other JSON, where each quote and backslash takes two bytes.
    JsonInString,
}

/// A mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mention {
    /// Everyone in the chat.
    All,
    /// A name of `[mentions]`.
    Person {
        /// The name.
        name: String,
        /// Feishu open ids `ou_…` or e-mail addresses.
        feishu: Vec<String>,
        /// Slack user ids `U…`/`W…` or group ids `S…`.
        slack: Vec<String>,
    },
    /// Shown by name without notifying anybody, for test messages.
    Shown(String),
}

/// An image of the report, in the way this message can show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its position among the event's images, from 0.
    pub ordinal: u8,
    /// The id of the stored image.
    pub id: ImageId,
    /// The image format.
    pub format: ImageFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// How it is shown.
    pub by: ShownBy,
}

/// How an image is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShownBy {
    /// By the key that the platform returned for the upload.
    Key(String),
    /// By a link to the relay, which is signed when the message is sent.
    Link,
    /// By its path in the archive.
    Path(String),
    /// Stored but not shown there: it is only counted.
    Count,
}

/// The status of the feedback, and its possible actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusView {
    /// The state. `None`: nobody has changed it.
    pub state: Option<FeedbackState>,
    /// The display name of whoever changed it last. `None`: unknown.
    pub by_name: Option<Private>,
    /// That person's open id, if the audience's own app knows it.
    pub person: Option<String>,
    /// The reporter's open id, if the audience's own app knows it.
    pub reporter: Option<String>,
    /// The open id of whoever acted on an earlier incident, if the audience's own app knows it.
    pub earlier: Option<String>,
    /// The possible actions, in display order.
    pub actions: Vec<Action>,
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The action.
    pub act: TriageAction,
    /// The value that the platform sends back when the button is pressed: ASCII without quotes.
    pub value: String,
}

/// The content of a message.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The event.
    pub event: &'a Event,
    /// When the relay accepted the event.
    pub received_at: Timestamp,
    /// The name of the app the feedback is about, or its id.
    pub app_name: &'a str,
    /// The delivery of this message.
    pub delivery: DeliveryId,
    /// The reason for this message.
    pub trigger: Trigger,
    /// Whether it is the main message of an incident, which shows everything. The others are short.
    pub is_main: bool,
    /// For a report: its position in the incident that counts it.
    pub counted: Option<CountedReport>,
    /// The message spec of the rule.
    pub spec: &'a MessageSpec,
    /// The mentioned people.
    pub mentions: &'a [Mention],
    /// The images that can be shown or counted.
    pub images: &'a [Shown],
    /// How many images are not downloaded yet.
    pub images_pending: usize,
    /// How many images are on a host that is not allowed.
    pub images_refused: usize,
    /// How many images the report has.
    pub images_total: usize,
    /// The status of the feedback.
    pub standing: &'a StatusView,
    /// The current time, for relative times.
    pub now: Timestamp,
}

impl Subject<'_> {
    /// Returns the name of the template that renders it.
    fn template(&self) -> &str {
        match (&self.event.content, self.trigger) {
            (Content::Notice(_), _) => "notice",
            (Content::Summary(_), _) => "summary",
            (Content::Digest(_), _) => "digest",
            (Content::Incident(_), _) if self.is_main => "incident",
            (Content::Incident(_), _) => "incident_news",
            (Content::Created(_) | Content::Updated(_), Trigger::LateImages) => "images",
            (
                Content::Created(_) | Content::Updated(_),
                Trigger::Event
                | Trigger::Edit
                | Trigger::Fallback
                | Trigger::Replay
                | Trigger::Test
                | Trigger::Incident,
            ) => &self.spec.template,
        }
    }

    /// Returns the displayed severity. A notice has a lower queue priority than reports, but is shown as a
    /// warning.
    pub(crate) fn severity(&self) -> Severity {
        match &self.event.content {
            Content::Notice(_) => Severity::Warning,
            Content::Created(_)
            | Content::Updated(_)
            | Content::Summary(_)
            | Content::Digest(_)
            | Content::Incident(_) => self.spec.severity,
        }
    }
}

/// The source of templates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The folder whose files override the built-in templates of the same name. `None`: built-in templates only.
    pub dir: Option<PathBuf>,
}

/// A template could not be rendered. Contains names and positions of the template only, no event data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template {template}: {reason}")]
pub struct RenderError {
    /// `family/name`.
    pub template: String,
    /// The reason.
    pub reason: String,
}
