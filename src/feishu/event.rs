//! Parses events leniently: every field is optional and every enumeration is open. An id may be a
//! text or a number, and a list may be a single value. Sources: doc "新增应用反馈"
//! (`feedback.created_v6`), doc "反馈更新" (`feedback.updated_v6`), and the models of the platform's
//! SDKs.

use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

use super::json::{self, Raw};
use super::{App, Envelope};
use crate::model::{
    AppName, Content, Event, EventId, FaultKind, Feedback, FeedbackKind, FeedbackStatus, OddCodes,
    Private, SourceKind, StatusChange, Timestamp, UserIds, hex,
};

/// The platform's event type of new feedback.
pub const CREATED: &str = "application.application.feedback.created_v6";
/// The platform's event type of feedback whose status changed.
pub const UPDATED: &str = "application.application.feedback.updated_v6";

/// The longest accepted id, in bytes. A longer one is replaced by the hash of the body.
const ID_BYTES_MAX: usize = 256;

/// Returns whether a text can be an id. Ids are written to logs, where a line end or an escape
/// sequence would forge a line.
fn is_id(text: &str) -> bool {
    text.len() <= ID_BYTES_MAX && !text.chars().any(char::is_control)
}

/// An authentic event with everything that the store needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The id that identifies repeats.
    pub id: EventId,
    /// The platform's event type. Empty if there is none.
    pub event_type: String,
    /// For new feedback: the id of its app and its own id, which also identifies repeats.
    pub feedback: Option<(String, String)>,
    /// The parsed content.
    pub found: Found,
    /// The decrypted body, unchanged.
    pub body: Private,
}

/// The result of parsing an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A feedback event.
    Event(Box<Event>),
    /// An event of another type.
    Ignored,
    /// A feedback event without any readable member, or a body without a type.
    Unreadable,
}

impl Envelope {
    /// Parses the envelope as an event that `app` received.
    pub fn into_event(self, app: &App) -> Reading {
        let text = json::mend(self.body.expose());
        let parts = Parts::read(&text);
        let content = parts.content(&app.feedback_timezone);
        let id = parts.id(content.as_ref(), self.body.expose());
        let feedback = match &content {
            Some(Content::Created(feedback)) => feedback.id.clone().map(|id| {
                let about = feedback.app_id.clone();
                (about.unwrap_or_else(|| app.app_id.clone()), id)
            }),
            Some(
                Content::Updated(_)
                | Content::Notice(_)
                | Content::Summary(_)
                | Content::Digest(_)
                | Content::Incident(_),
            )
            | None => None,
        };
        let found = match content {
            Some(content) => Found::Event(Box::new(parts.event(id.clone(), &app.name, content))),
            None if parts.is_ours() || !parts.is_object => Found::Unreadable,
            None => Found::Ignored,
        };
        let event_type = parts.event_type.chars().take(ID_BYTES_MAX).collect();
        Reading {
            id,
            event_type,
            feedback,
            found,
            body: self.body,
        }
    }
}

/// Parses a stored body. Returns `None` if it is not a feedback event or has no readable member.
pub fn read_body(body: &str, via: &AppName, timezone: &TimeZone) -> Option<Event> {
    let text = json::mend(body);
    let parts = Parts::read(&text);
    let content = parts.content(timezone)?;
    let id = parts.id(Some(&content), body);
    Some(parts.event(id, via, content))
}

/// Why a file given to `try` is not an event.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The text is not a JSON object.
    #[error("it is not a JSON object")]
    Json(#[source] serde_json::Error),
    /// The event is encrypted.
    #[error("it is encrypted; `try` takes the decrypted event, as `events show` prints it")]
    Encrypted,
    /// The event has another type.
    #[error("its type is {0:?}; only {CREATED} and {UPDATED} are read")]
    OtherType(String),
    /// The event has none of the known members.
    #[error("it has none of the members of a feedback event")]
    Empty,
}

/// Parses a handwritten event: a whole body, or only the object `event`.
pub fn read_sample(sample: &str, via: &AppName, timezone: &TimeZone) -> Result<Event, SampleError> {
    let sample = sample.strip_prefix('\u{feff}').unwrap_or(sample);
    let text = json::mend(sample);
    let names = ["encrypt", "header", "event", "feedback_ids"];
    let [encrypt, header, event, feedback_ids] =
        json::members(&text, names).map_err(SampleError::Json)?;
    if encrypt.is_some() && event.is_none() {
        return Err(SampleError::Encrypted);
    }
    let mut parts = Parts::read(&text);
    if header.is_none() && event.is_none() {
        parts.event = serde_json::from_str(&text).ok();
        parts.event_type = String::new();
    }
    if parts.event_type.is_empty() {
        let updated = feedback_ids.is_some()
            || parts
                .members(["feedback_ids"])
                .is_some_and(|[ids]| ids.is_some());
        parts.event_type = if updated { UPDATED } else { CREATED }.to_owned();
    }
    if !parts.is_ours() {
        return Err(SampleError::OtherType(parts.event_type));
    }
    let content = parts.content(timezone).ok_or(SampleError::Empty)?;
    let id = parts.id(Some(&content), sample);
    Ok(parts.event(id, via, content))
}

/// Returns the id of the app that received the sample event.
pub fn sample_app_id(sample: &str) -> Option<String> {
    let text = json::mend(sample.strip_prefix('\u{feff}').unwrap_or(sample));
    let [header] = json::members(&text, ["header"]).ok()?;
    let [app_id] = json::members(header?.get(), ["app_id"]).ok()?;
    json::text(app_id)
}

/// The parts of an envelope.
#[derive(Default)]
struct Parts<'a> {
    is_object: bool,
    event_id: Option<String>,
    event_type: String,
    created_at: Option<Timestamp>,
    tenant_key: Option<String>,
    event: Raw<'a>,
}

impl<'a> Parts<'a> {
    /// Splits an envelope into its parts. An event of schema 1.0 has no header: its id is `uuid`
    /// and its type is inside `event`. No feedback event has schema 1.0.
    fn read(text: &'a str) -> Self {
        let Ok([header, event, uuid]) = json::members(text, ["header", "event", "uuid"]) else {
            return Self::default();
        };
        let names = ["event_id", "event_type", "create_time", "tenant_key"];
        let header = header.and_then(|header| json::members(header.get(), names).ok());
        let Some([event_id, event_type, create_time, tenant_key]) = header else {
            let old = Self {
                is_object: true,
                event,
                ..Self::default()
            };
            let kind = old.members(["type"]).and_then(|[kind]| json::text(kind));
            return Self {
                event_id: json::text(uuid),
                event_type: kind.filter(|kind| !is_ours(kind)).unwrap_or_default(),
                ..old
            };
        };
        Self {
            is_object: true,
            event_id: json::text(event_id),
            event_type: json::text(event_type).unwrap_or_default(),
            created_at: json::code(create_time)
                .filter(|&ms| ms > 0)
                .map(Timestamp::from_millis),
            tenant_key: json::text(tenant_key),
            event,
        }
    }

    fn is_ours(&self) -> bool {
        is_ours(&self.event_type)
    }

    /// Returns members of the object `event`. `None` if `event` is not an object.
    fn members<const N: usize>(&self, names: [&str; N]) -> Option<[Raw<'a>; N]> {
        json::members(self.event?.get(), names).ok()
    }

    /// Returns the content of a feedback event. `None` for another type, or if no member is
    /// readable.
    fn content(&self, timezone: &TimeZone) -> Option<Content> {
        match self.event_type.as_str() {
            CREATED => Some(self.feedback(timezone)?)
                .filter(|feedback| *feedback != Feedback::default())
                .map(|feedback| Content::Created(Box::new(feedback))),
            UPDATED => Some(self.status_change(timezone)?)
                .filter(|change| *change != StatusChange::default())
                .map(Content::Updated),
            _ => None,
        }
    }

    fn feedback(&self, timezone: &TimeZone) -> Option<Feedback> {
        #[rustfmt::skip]
        let [
            id, app_id, kind, faults, source, description, contact, path, tenant_name, user,
            reported_at, fault_at, images,
        ] = self.members([
            "feedback_id", "app_id", "feedback_type", "fault_type", "source", "description",
            "contact", "feedback_path", "tenant_name", "user_id",
            "feedback_time", "fault_time", "images",
        ])?;
        Some(Feedback {
            id: json::text(id).filter(|id| is_id(id)),
            app_id: json::text(app_id),
            kind: json::code(kind).map(FeedbackKind),
            faults: json::codes(faults).into_iter().map(FaultKind).collect(),
            source: json::code(source).map(SourceKind),
            odd: OddCodes {
                kind: json::odd_code(kind),
                faults: json::odd_codes(faults),
                source: json::odd_code(source),
            },
            reported_raw: unread_time(reported_at, timezone),
            fault_raw: unread_time(fault_at, timezone),
            description: private(description),
            contact: private(contact),
            path: private(path),
            tenant_name: private(tenant_name),
            user: user_ids(user),
            reported_at: time(reported_at, timezone),
            fault_at: time(fault_at, timezone),
            images: json::texts(images).into_iter().map(Private::new).collect(),
        })
    }

    fn status_change(&self, timezone: &TimeZone) -> Option<StatusChange> {
        let names = [
            "feedback_ids",
            "app_id",
            "status",
            "update_time",
            "operator_id",
        ];
        let [feedback_ids, app_id, status, update_time, operator] = self.members(names)?;
        Some(StatusChange {
            feedback_ids: json::texts(feedback_ids),
            app_id: json::text(app_id),
            status: json::code(status).map(FeedbackStatus),
            odd_status: json::odd_code(status),
            updated_at: time(update_time, timezone),
            operator: user_ids(operator),
            reports: Vec::new(),
        })
    }

    /// Returns the event's id: the platform's, else the feedback's, else a hash of the body.
    fn id(&self, content: Option<&Content>, body: &str) -> EventId {
        let feedback_id = match content {
            Some(Content::Created(feedback)) => feedback.id.as_deref(),
            Some(
                Content::Updated(_)
                | Content::Notice(_)
                | Content::Summary(_)
                | Content::Digest(_)
                | Content::Incident(_),
            )
            | None => None,
        };
        self.event_id
            .as_deref()
            .filter(|id| is_id(id))
            .or(feedback_id)
            .map_or_else(
                || EventId::new(format!("sha256:{}", hex(&Sha256::digest(body)))),
                EventId::new,
            )
    }

    fn event(&self, id: EventId, via: &AppName, content: Content) -> Event {
        Event {
            id,
            via: via.clone(),
            created_at: self.created_at,
            tenant_key: self.tenant_key.clone(),
            content,
        }
    }
}

fn is_ours(event_type: &str) -> bool {
    event_type == CREATED || event_type == UPDATED
}

fn private(raw: Raw<'_>) -> Option<Private> {
    json::text(raw).map(Private::new)
}

fn user_ids(raw: Raw<'_>) -> UserIds {
    let names = ["open_id", "union_id", "user_id"];
    let members = raw.and_then(|raw| json::members(raw.get(), names).ok());
    let [open_id, union_id, user_id] = members.unwrap_or_default();
    UserIds {
        open_id: private(open_id),
        union_id: private(union_id),
        user_id: private(user_id),
    }
}

/// Parses a time like `2022-01-30 11:30:12`, which has no zone. If a zone is given, it is used.
pub(super) fn time(raw: Raw<'_>, timezone: &TimeZone) -> Option<Timestamp> {
    let text = json::text(raw)?;
    let text = text.trim();
    if let Some(since_1970) = since_1970(text) {
        return Some(since_1970);
    }
    let text = text.replace('/', "-");
    let at = match text.parse::<jiff::Timestamp>() {
        Ok(at) => at,
        Err(_no_zone) => {
            let civil: jiff::civil::DateTime = text.parse().ok()?;
            timezone.to_ambiguous_timestamp(civil).compatible().ok()?
        }
    };
    Some(Timestamp::from_millis(at.as_millisecond()))
}

/// Parses seconds, milliseconds or microseconds since 1970. The number of digits decides the unit.
fn since_1970(text: &str) -> Option<Timestamp> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i64 = text.parse().ok()?;
    let millis = match text.len() {
        10 => number.checked_mul(1000)?,
        13 => number,
        16 => number / 1000,
        _ => return None,
    };
    Some(Timestamp::from_millis(millis))
}

/// Returns a time that cannot be parsed, unchanged.
fn unread_time(raw: Raw<'_>, timezone: &TimeZone) -> Option<Private> {
    let text = private(raw)?;
    (time(raw, timezone).is_none() && text.expose().len() <= RAW_TIME_BYTES_MAX).then_some(text)
}

/// The longest text that is kept as a time, in bytes.
const RAW_TIME_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests;
