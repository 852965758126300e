//! What templates see: one JSON tree whose keys are always all there. The fields policy is applied
//! here, so that no template can show what its audience must not see.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::text::{LINK, LINK_END, clean, strip};
use super::{Audience, Locale, Mention, Shown, ShownBy, Subject, Visibility, mask, words};
use crate::model::{
    Act, Content, Event, Feedback, ImageFormat, Private, Summarised, Through, Timestamp, Trigger,
    UserIds,
};

/// No list of the context is longer: what bounds the work of nested loops.
pub(super) const LIST_MAX: usize = 32;
/// An event that took longer to arrive says so.
const LATE: Duration = Duration::from_secs(3600);

/// How text enters the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// People: what only deceives is removed.
    People,
    /// Programs: as it was typed.
    Programs,
}

struct Builder<'a> {
    locale: Locale,
    reader: Reader,
    audience: &'a Audience,
    with_images: bool,
}

/// The context of `subject` for `audience`. Without `with_images` pictures are only counted.
pub(super) fn build(
    audience: &Audience,
    subject: &Subject<'_>,
    reader: Reader,
    with_images: bool,
) -> Value {
    let builder = Builder {
        locale: audience.locale,
        reader,
        audience,
        with_images,
    };
    let none = Feedback::default();
    let feedback = match &subject.event.content {
        Content::Created(feedback) => feedback,
        Content::Updated(_) | Content::Notice(_) | Content::Summary(_) => &none,
    };
    let images = builder.images(subject);
    let links: Vec<Value> = images
        .iter()
        .filter_map(|image| image.get("link"))
        .filter(|link| !link.is_null())
        .cloned()
        .collect();
    json!({
        "feedback": builder.feedback(subject, feedback, &images),
        "change": builder.change(subject),
        "actions": builder.actions(subject),
        "event": {
            "id": builder.text(subject.event.id.as_str()),
            "type": event_type(subject),
            "received_at": subject.received_at.to_string(),
            "late": is_late(subject),
            "trigger": subject.trigger.key(),
        },
        "rule": {
            "name": builder.text(subject.order.rule.as_str()),
            "severity": {
                "key": subject.order.severity.key(),
                "label": words::severity(builder.locale, subject.order.severity),
            },
            "labels": builder.labels(subject),
        },
        "mentions": builder.mentions(subject.mentions),
        "incident": builder.incident(subject.event),
        "links": { "console": null, "images": links },
        "notice": builder.notice(subject.event),
    })
}

/// The type that the webhook's body and templates name.
pub(super) fn event_type(subject: &Subject<'_>) -> &'static str {
    match (&subject.event.content, subject.trigger) {
        (Content::Notice(_), _) => "relay.notice",
        (Content::Summary(_), _) => "feedback.summary",
        (Content::Updated(_), _) => "feedback.updated",
        (Content::Created(_), Trigger::LateImages) => "feedback.images",
        (
            Content::Created(_),
            Trigger::Event | Trigger::Edit | Trigger::Fallback | Trigger::Replay | Trigger::Test,
        ) => "feedback.created",
    }
}

fn is_late(subject: &Subject<'_>) -> bool {
    subject
        .event
        .created_at
        .is_some_and(|at| subject.received_at.since(at) > LATE)
}

/// Which pictures a message counts only: kept, on their way, not to be had.
pub(super) fn uncounted(
    audience: &Audience,
    subject: &Subject<'_>,
    with_images: bool,
) -> [usize; 3] {
    if audience.fields.images == Visibility::Drop {
        return [0; 3];
    }
    let visible = with_images && audience.fields.images == Visibility::Full;
    let kept = subject
        .images
        .iter()
        .filter(|image| !visible || image.by == ShownBy::Count)
        .count();
    let pending = subject.images_pending;
    let lost = match subject.trigger {
        // A message of late pictures tells of those alone.
        Trigger::LateImages => 0,
        Trigger::Event | Trigger::Edit | Trigger::Fallback | Trigger::Replay | Trigger::Test => {
            subject
                .images_total
                .saturating_sub(subject.images.len() + pending)
        }
    };
    [kept, pending, lost]
}

impl Builder<'_> {
    fn text(&self, text: &str) -> String {
        match self.reader {
            Reader::People => clean(text),
            Reader::Programs => strip(text),
        }
    }

    fn private(
        &self,
        value: Option<&Private>,
        visibility: Visibility,
        mask: impl Fn(&str) -> String,
    ) -> Value {
        let Some(text) = value.map(Private::expose).filter(|text| !text.is_empty()) else {
            return Value::Null;
        };
        match visibility {
            Visibility::Full => Value::String(self.text(text)),
            Visibility::Mask => Value::String(mask(&self.text(text))),
            Visibility::Drop => Value::Null,
        }
    }

    fn feedback(&self, subject: &Subject<'_>, feedback: &Feedback, images: &[Value]) -> Value {
        let fields = &self.audience.fields;
        let tenant_key = subject.event.tenant_key.clone().map(Private::new);
        let (ids, app, status) = match &subject.event.content {
            Content::Updated(change) => (
                change.feedback_ids.as_slice(),
                change.app_id.as_ref(),
                change.status,
            ),
            Content::Created(_) | Content::Notice(_) | Content::Summary(_) => {
                let state = subject.standing.state.as_ref();
                let status = state.map(|state| state.status);
                (feedback.id.as_slice(), feedback.app_id.as_ref(), status)
            }
        };
        let app_name = match &subject.event.content {
            Content::Notice(_) | Content::Summary(_) => Value::Null,
            Content::Created(_) | Content::Updated(_) => json!(self.text(subject.app_name)),
        };
        let total = match fields.images {
            Visibility::Drop => 0,
            Visibility::Full | Visibility::Mask => subject.images_total,
        };
        json!({
            "id": ids.first().map(|id| self.text(id)),
            "ids": self.ids(ids),
            "ids_total": ids.len(),
            "app": app.map(|app| self.text(app)),
            "app_name": app_name,
            "type": self.kind(feedback),
            "faults": self.faults(feedback),
            "source": match feedback.source {
                Some(source) => code(source.0, source.key(), &words::source(self.locale, source)),
                None => no_code(),
            },
            "description": self.description(feedback),
            "contact": self.private(feedback.contact.as_ref(), fields.contact, mask::contact),
            "path": self.private(feedback.path.as_ref(), fields.path, mask::path),
            "tenant_name": self.private(feedback.tenant_name.as_ref(), fields.tenant, mask::head),
            "tenant_key": self.private(tenant_key.as_ref(), fields.tenant, mask::head),
            "user": self.user(&feedback.user),
            "feedback_time": feedback.reported_at.map(|at| at.to_string()),
            "fault_time": feedback.fault_at.map(|at| at.to_string()),
            "images": images,
            "images_total": total,
            "images_pending": total.min(subject.images_pending),
            "status": match status {
                Some(status) => code(status.0, status.key(), &words::status(self.locale, status)),
                None => no_code(),
            },
        })
    }

    /// Programs that take the standard body are told all of them; nothing loops over that one.
    fn ids(&self, ids: &[String]) -> Vec<String> {
        let standard = self.reader == Reader::Programs && self.audience.body.is_none();
        let most = if standard { usize::MAX } else { LIST_MAX };
        ids.iter().take(most).map(|id| self.text(id)).collect()
    }

    /// When the status changed, and who changed it: a person like any other. `through` says of a feedback
    /// that came before how it came to its status; an event that tells of a change is that itself.
    fn change(&self, subject: &Subject<'_>) -> Value {
        let nobody = UserIds::default();
        let standing = subject.standing;
        let state = standing.state.as_ref();
        let (at, by, state) = match (&subject.event.content, state) {
            (Content::Updated(change), _) => (change.updated_at, change.operator.clone(), None),
            (Content::Created(_), Some(state)) => {
                let open_id = match state.through {
                    Through::Feishu | Through::Platform => state.by.id.clone(),
                    Through::Slack => None,
                };
                let by = UserIds { open_id, ..nobody };
                (Some(state.changed_at), by, Some(state))
            }
            (Content::Created(_) | Content::Notice(_) | Content::Summary(_), _) => {
                (None, nobody, None)
            }
        };
        let (name, visibility) = (standing.by_name.as_ref(), self.audience.fields.user);
        json!({
            "at": at.map(|at| at.to_string()),
            "by": self.user(&by),
            "name": self.private(name, visibility, mask::head),
            "through": state.map(|state| state.through.key()),
            "here_only": state.is_some_and(|state| state.here_only),
        })
    }

    /// The buttons, where this audience has them.
    fn actions(&self, subject: &Subject<'_>) -> Vec<Value> {
        let actions = subject.standing.actions.iter();
        let actions = actions.filter(|_| self.audience.buttons);
        actions
            .map(|action| {
                json!({
                    "act": action.act.key(),
                    "label": words::act(self.locale, action.act),
                    "style": style(action.act),
                    "value": action.value,
                })
            })
            .collect()
    }

    fn user(&self, user: &UserIds) -> Value {
        let visibility = self.audience.fields.user;
        json!({
            "open_id": self.private(user.open_id.as_ref(), visibility, mask::id),
            "union_id": self.private(user.union_id.as_ref(), visibility, mask::id),
            "user_id": self.private(user.user_id.as_ref(), visibility, mask::head),
        })
    }

    fn images(&self, subject: &Subject<'_>) -> Vec<Value> {
        if !self.with_images || self.audience.fields.images != Visibility::Full {
            return Vec::new();
        }
        let images = subject.images.iter().take(LIST_MAX);
        images.map(|image| self.image(image)).collect()
    }

    fn image(&self, image: &Shown) -> Value {
        let (key, link, path) = match &image.by {
            ShownBy::Key(key) => (Some(self.text(key)), None, None),
            ShownBy::Link => {
                let place = format!("{LINK}{}{LINK_END}", image.id.as_str());
                (None, Some(place), None)
            }
            ShownBy::Path(path) => (None, None, Some(self.text(path))),
            ShownBy::Count => (None, None, None),
        };
        json!({
            "number": u32::from(image.ordinal) + 1,
            "id": image.id.as_str(),
            "format": image.format.key(),
            "media_type": image.format.media_type(),
            "width": image.width,
            "height": image.height,
            // What Slack and browsers show inside a page; the rest is linked.
            "inline": match image.format {
                ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Gif => true,
                ImageFormat::Webp | ImageFormat::Bmp | ImageFormat::Heif => false,
            },
            "key": key,
            "link": link,
            "path": path,
        })
    }

    fn labels(&self, subject: &Subject<'_>) -> Value {
        let labels = subject.order.labels.iter().take(LIST_MAX);
        let labels: Map<_, _> = labels
            .map(|(name, word)| (self.text(name), Value::String(self.text(word))))
            .collect();
        Value::Object(labels)
    }

    fn mentions(&self, mentions: &[Mention]) -> Vec<Value> {
        let mentions = mentions.iter().take(LIST_MAX);
        mentions
            .map(|mention| match mention {
                Mention::All => json!({"name": "all", "all": true}),
                Mention::Person { name, .. } => json!({"name": self.text(name), "all": false}),
            })
            .collect()
    }

    /// Several reports told as one: a summary of late ones.
    fn incident(&self, event: &Event) -> Value {
        let Content::Summary(summary) = &event.content else {
            return json!({
                "count": null, "users": null, "first_at": null, "last_at": null, "recent": [],
            });
        };
        let newest = summary.newest.iter().take(LIST_MAX);
        json!({
            "count": summary.count,
            "users": null,
            "first_at": summary.first_at.to_string(),
            "last_at": summary.last_at.to_string(),
            "recent": newest.map(|one| self.recent(one)).collect::<Vec<_>>(),
        })
    }

    /// One of several reports, in few words.
    fn recent(&self, one: &Summarised) -> Value {
        let (feedback, fields) = (&one.feedback, &self.audience.fields);
        json!({
            "id": feedback.id.as_ref().map(|id| self.text(id)),
            "app_name": self.text(&one.app_name),
            "type": self.kind(feedback),
            "faults": self.faults(feedback),
            "description": self.description(feedback),
            "path": self.private(feedback.path.as_ref(), fields.path, mask::path),
            "tenant_name": self.private(feedback.tenant_name.as_ref(), fields.tenant, mask::head),
            "feedback_time": feedback.reported_at.map(|at| at.to_string()),
        })
    }

    fn kind(&self, feedback: &Feedback) -> Value {
        match feedback.kind {
            Some(kind) => code(kind.0, kind.key(), &words::kind(self.locale, kind)),
            None => no_code(),
        }
    }

    fn faults(&self, feedback: &Feedback) -> Vec<Value> {
        let faults = feedback.faults.iter().take(LIST_MAX);
        faults
            .map(|&fault| code(fault.0, fault.key(), &words::fault(self.locale, fault)))
            .collect()
    }

    fn description(&self, feedback: &Feedback) -> Value {
        let visibility = self.audience.fields.description;
        self.private(feedback.description.as_ref(), visibility, |text| {
            mask::words(text, self.locale)
        })
    }

    fn notice(&self, event: &Event) -> Value {
        match &event.content {
            Content::Notice(notice) => json!({
                "kind": notice.kind.key(),
                "title": words::notice(self.locale, notice.kind),
                "subject": self.text(&notice.subject),
                "text": self.text(&notice.text),
            }),
            Content::Created(_) | Content::Updated(_) | Content::Summary(_) => {
                json!({"kind": null, "title": null, "subject": null, "text": null})
            }
        }
    }
}

/// How a button looks: words that Feishu and Slack share.
const fn style(act: Act) -> &'static str {
    match act {
        Act::Claim => "primary",
        Act::NotOurs => "danger",
        Act::Done | Act::Undo => "default",
    }
}

fn code(code: i64, key: Option<&str>, label: &str) -> Value {
    json!({"code": code, "key": key, "label": label})
}

fn no_code() -> Value {
    json!({"code": null, "key": null, "label": null})
}

/// The time the webhook's envelope carries: the event's own.
pub(super) fn event_time(subject: &Subject<'_>) -> Timestamp {
    subject.event.created_at.unwrap_or(subject.received_at)
}
