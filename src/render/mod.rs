//! From an event to the bytes a destination takes.
//!
//! A reporter's text is data and stays data, in one way for every platform: the context is built with the
//! fields policy applied (`context`); Handlebars renders each value between two private-use characters
//! (`helpers`, `library`); the outcome is parsed as JSON; then every string is walked, and each value in it is
//! escaped for the very field it landed in, and cut to what the platform takes (`fields`, `text`). So a
//! template can be wrong, but it cannot leak, and no text of a stranger can leave its string.
//!
//! Templates are checked when they are loaded: counted before they are parsed (`guard`), then walked against
//! the shape of the context (`names`), then rendered with samples (`check`).

mod card;
mod check;
mod compose;
mod context;
mod fields;
mod guard;
mod helpers;
mod library;
mod mask;
mod mentions;
mod names;
mod payload;
mod sample;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::path::PathBuf;

use jiff::tz::TimeZone;

use crate::model::{
    Content, DeliveryId, Event, FeedbackState, ImageFormat, ImageId, MessageSpec, Private,
    Severity, Timestamp, TriageAction, Trigger,
};

pub use check::{CODES, check};
pub use library::Templates;
pub use payload::Payload;

/// The shape of message a destination takes; the folder of its templates.
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
    /// All of them.
    pub const ALL: &[Self] = &[Self::Feishu, Self::Slack, Self::Webhook, Self::Text];

    /// The name of its folder.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Feishu => "feishu",
            Self::Slack => "slack",
            Self::Webhook => "webhook",
            Self::Text => "text",
        }
    }
}

/// The language people are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Locale {
    /// Chinese.
    #[default]
    Zh,
    /// English.
    En,
}

/// What an audience may see of one field. The greater hides more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Visibility {
    /// All of it.
    #[default]
    Full,
    /// That it is there, and a hint of it.
    Mask,
    /// Nothing.
    Drop,
}

/// What an audience may see: the `fields` of a destination.
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
    /// What both audiences may see: of each field the less.
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

    /// The fields of which this audience may see more than `other`.
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

/// For whom a message is rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// The shape of message.
    pub family: Family,
    /// The language.
    pub locale: Locale,
    /// The zone times are shown in.
    pub timezone: TimeZone,
    /// What this audience may see.
    pub fields: Fields,
    /// A word that the platform demands in every message.
    pub keyword: Option<String>,
    /// A template of `templates/webhook` that makes the whole body, instead of the standard one.
    pub body: Option<String>,
    /// How large the rendered message may be, in bytes as it is sent; `None`: the family's own limit.
    pub bytes_max: Option<usize>,
    /// Whether its messages carry buttons, which somebody is there to hear of.
    pub buttons: bool,
    /// How it is sent, and so how its bytes count.
    pub sent: SentAs,
}

/// How a rendered message goes over the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SentAs {
    /// As the request's body, or a part of it.
    #[default]
    Json,
    /// As a string inside another JSON, where each quote and backslash takes two bytes.
    JsonInString,
}

/// Someone to be mentioned.
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
    /// Whom a test would mention: shown by name, and nobody is called.
    Shown(String),
}

/// An image of the report, as this message can show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its place among the event's images, from 0.
    pub ordinal: u8,
    /// What is kept.
    pub id: ImageId,
    /// What it is.
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
    /// By a key the platform gave for the bytes.
    Key(String),
    /// By a link of ours, which is signed when the message is sent.
    Link,
    /// By its path in the archive.
    Path(String),
    /// It is kept and cannot be shown there; it is counted.
    Count,
}

/// How the feedback stands, and what can be done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusView {
    /// Its state; `None`: nobody has moved it.
    pub state: Option<FeedbackState>,
    /// What people call whoever changed it last.
    pub by_name: Option<Private>,
    /// That person's open id, where the audience's own app knows it.
    pub person: Option<String>,
    /// The reporter's open id, where the audience's own app knows it.
    pub reporter: Option<String>,
    /// What can be done, in order.
    pub actions: Vec<Action>,
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it does.
    pub act: TriageAction,
    /// What comes back when it is pressed: ASCII without quotes.
    pub value: String,
}

/// What is told.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    /// The event.
    pub event: &'a Event,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The name of the app the feedback is about, or its id.
    pub app_name: &'a str,
    /// The delivery it is told by.
    pub delivery: DeliveryId,
    /// Why it is told.
    pub trigger: Trigger,
    /// How the rule wants it told.
    pub spec: &'a MessageSpec,
    /// Who is mentioned.
    pub mentions: &'a [Mention],
    /// The images that can be shown or counted.
    pub images: &'a [Shown],
    /// How many images are still on their way.
    pub images_pending: usize,
    /// How many wait for a host to be allowed.
    pub images_refused: usize,
    /// How many images the report had in all.
    pub images_total: usize,
    /// How the feedback stands.
    pub standing: &'a StatusView,
    /// Now: what `ago` counts from.
    pub now: Timestamp,
}

impl Subject<'_> {
    /// How urgent the message looks. A notice waits behind reports and is a warning nevertheless.
    pub(crate) fn severity(&self) -> Severity {
        match &self.event.content {
            Content::Notice(_) => Severity::Warning,
            Content::Created(_) | Content::Updated(_) | Content::Summary(_) => self.spec.severity,
        }
    }
}

/// Where templates come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Files here override the built-in ones of the same name.
    pub dir: Option<PathBuf>,
}

/// A template could not be rendered. Holds names and positions of the template only, nothing of the event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template {template}: {reason}")]
pub struct RenderError {
    /// `family/name`.
    pub template: String,
    /// Why.
    pub reason: String,
}
