//! Builds the template context: one tree in which every key is always present (`shape`). The fields policy is
//! applied here, so no template can show a field that its audience must not see.

mod digest;
mod incident;
mod shape;

use std::sync::LazyLock;
use std::time::Duration;

use super::text::{LINK, LINK_END, clean, is_blank, shows_nothing, strip};
use super::words::PictureCounts;
use super::{Audience, Locale, Mention, Shown, ShownBy, Subject, Visibility, mask, words};
use crate::model::{
    ChangeSource, Content, Event, FaultKind, Feedback, IMAGES_PER_EVENT_MAX, ImageFormat, Notice,
    Private, Timestamp, TriageAction, Trigger, UserIds,
};
pub(super) use shape::Context;
use shape::{Code, Number, Text, Time, When};

/// The longest list in the context. It bounds the work of nested loops.
pub(super) const LIST_MAX: usize = 32;
/// Messages mention the delay of events that took longer than this to arrive.
const LATE: Duration = Duration::from_secs(3600);

/// Who reads the texts of the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// People: deceptive characters are removed.
    People,
    /// Programs: texts stay as they were typed.
    Programs,
}

struct Builder<'a> {
    locale: Locale,
    reader: Reader,
    audience: &'a Audience,
    with_images: bool,
}

/// Builds the context of `subject` for `audience`. Without `with_images`, images are only counted.
pub(super) fn build<'a>(
    audience: &'a Audience,
    subject: &'a Subject<'a>,
    reader: Reader,
    with_images: bool,
) -> Context<'a> {
    let builder = Builder {
        locale: audience.locale,
        reader,
        audience,
        with_images,
    };
    let feedback = builder.feedback(subject);
    let links = feedback
        .images
        .iter()
        .filter_map(|image| image.link.clone());
    let links = shape::Links {
        console: None,
        images: links.collect(),
    };
    Context {
        feedback,
        change: builder.change(subject),
        actions: builder.actions(subject),
        event: shape::Event {
            id: builder.text(subject.event.id.as_str()),
            kind: event_type(subject),
            received_at: Time(subject.received_at),
            late: is_late(subject),
            trigger: subject.trigger.key(),
        },
        rule: shape::Rule {
            name: builder.text(subject.spec.rule.as_str()),
            severity: shape::Severity {
                key: subject.severity().key(),
                label: words::severity(builder.locale, subject.severity()),
            },
            labels: builder.labels(subject),
        },
        mentions: builder.mentions(subject.mentions),
        incident: builder.incident(subject),
        links,
        notice: builder.notice(subject.event),
        digest: builder.digest(subject.event),
    }
}

/// Returns the event type for webhook bodies and templates.
pub(super) fn event_type(subject: &Subject<'_>) -> &'static str {
    match (&subject.event.content, subject.trigger) {
        (Content::Notice(_), _) => "relay.notice",
        (Content::Summary(_), _) => "feedback.summary",
        (Content::Digest(_), _) => "feedback.digest",
        (Content::Incident(_), _) => "feedback.incident",
        (Content::Updated(_), _) => "feedback.updated",
        (Content::Created(_), Trigger::LateImages) => "feedback.images",
        (
            Content::Created(_),
            Trigger::Event
            | Trigger::Edit
            | Trigger::Fallback
            | Trigger::Replay
            | Trigger::Test
            | Trigger::Incident,
        ) => "feedback.created",
    }
}

fn is_late(subject: &Subject<'_>) -> bool {
    subject
        .event
        .created_at
        .is_some_and(|at| subject.received_at.since(at) > LATE)
}

/// Counts the images that a message does not show.
pub(super) fn uncounted(
    audience: &Audience,
    subject: &Subject<'_>,
    with_images: bool,
) -> PictureCounts {
    if audience.fields.images == Visibility::Drop {
        return PictureCounts::default();
    }
    let visible = with_images && audience.fields.images == Visibility::Full;
    let kept = subject
        .images
        .iter()
        .filter(|image| !visible || image.by == ShownBy::Count)
        .count();
    let (pending, refused) = (subject.images_pending, subject.images_refused);
    let counts = PictureCounts {
        kept,
        pending,
        ..PictureCounts::default()
    };
    match subject.trigger {
        // A message of late images is only about those images.
        Trigger::LateImages => counts,
        Trigger::Event
        | Trigger::Edit
        | Trigger::Fallback
        | Trigger::Replay
        | Trigger::Test
        | Trigger::Incident => {
            let fetched = subject.images_total.min(IMAGES_PER_EVENT_MAX);
            PictureCounts {
                refused,
                lost: fetched.saturating_sub(subject.images.len() + pending + refused),
                beyond: subject.images_total.saturating_sub(IMAGES_PER_EVENT_MAX),
                ..counts
            }
        }
    }
}

impl<'a> Builder<'a> {
    fn text(&self, text: &'a str) -> Text<'a> {
        match self.reader {
            Reader::People => clean(text),
            Reader::Programs => strip(text),
        }
    }

    fn private(
        &self,
        value: Option<&'a Private>,
        visibility: Visibility,
        mask: impl Fn(&str) -> String,
    ) -> Option<Text<'a>> {
        self.shown(value.map(Private::expose), visibility, mask)
    }

    fn shown(
        &self,
        text: Option<&'a str>,
        visibility: Visibility,
        mask: impl Fn(&str) -> String,
    ) -> Option<Text<'a>> {
        let text = match self.reader {
            // Text without visible characters is absent, and leading blanks are removed.
            Reader::People => text?.trim_start_matches(is_blank),
            Reader::Programs => text?,
        };
        if shows_nothing(text) {
            return None;
        }
        match visibility {
            Visibility::Full => Some(self.text(text)),
            Visibility::Mask => Some(mask(&self.text(text)).into()),
            Visibility::Drop => None,
        }
    }

    fn feedback(&self, subject: &'a Subject<'a>) -> shape::Feedback<'a> {
        static NONE: LazyLock<Feedback> = LazyLock::new(Feedback::default);
        let feedback: &'a Feedback = match &subject.event.content {
            Content::Created(feedback) => feedback,
            Content::Updated(_)
            | Content::Notice(_)
            | Content::Summary(_)
            | Content::Digest(_)
            | Content::Incident(_) => &NONE,
        };
        let shared = self.shared(subject);
        let fields = &self.audience.fields;
        let (ids, app, status, odd_status) = match &subject.event.content {
            Content::Updated(change) => (
                change.feedback_ids.as_slice(),
                change.app_id.as_ref(),
                change.status,
                change.odd_status.as_ref(),
            ),
            Content::Created(_)
            | Content::Notice(_)
            | Content::Summary(_)
            | Content::Digest(_)
            | Content::Incident(_) => {
                let state = subject.standing.state.as_ref();
                let status = state.map(|state| state.status);
                (
                    feedback.id.as_slice(),
                    feedback.app_id.as_ref(),
                    status,
                    None,
                )
            }
        };
        let app_name = match &subject.event.content {
            Content::Notice(_)
            | Content::Summary(_)
            | Content::Digest(_)
            | Content::Incident(_) => None,
            Content::Created(_) | Content::Updated(_) => Some(self.text(subject.app_name)),
        };
        let total = match fields.images {
            Visibility::Drop => 0,
            Visibility::Full | Visibility::Mask => subject.images_total,
        };
        let tenant_key = subject.event.tenant_key.as_deref();
        shape::Feedback {
            id: ids.first().map(|id| self.text(id)),
            ids: self.ids(ids),
            ids_total: ids.len(),
            app: app.map(|app| self.text(app)).or(shared.app),
            app_name: app_name.or(shared.app_name),
            kind: shared.kind.unwrap_or_else(|| self.kind(feedback)),
            faults: shared.faults.unwrap_or_else(|| self.faults(feedback)),
            source: self.source(feedback),
            description: self.description(feedback),
            contact: self.private(feedback.contact.as_ref(), fields.contact, mask::contact),
            path: self.private(feedback.path.as_ref(), fields.path, mask::path),
            tenant_name: self.private(feedback.tenant_name.as_ref(), fields.tenant, mask::head),
            tenant_key: self.shown(tenant_key, fields.tenant, mask::head),
            user: self.user(Some(&feedback.user)),
            feedback_time: self.when(feedback.reported_at, feedback.reported_raw.as_ref()),
            fault_time: self.when(feedback.fault_at, feedback.fault_raw.as_ref()),
            images: self.images(subject),
            images_total: total,
            images_pending: total.min(subject.images_pending),
            status: match status {
                Some(status) => code(status.0, status.key(), words::status(self.locale, status)),
                None => self.odd(odd_status.map(String::as_str)),
            },
        }
    }

    /// Returns ids, at most [`LIST_MAX`]. The standard body contains all of them, because no template loops over
    /// it.
    fn ids(&self, ids: &'a [String]) -> Vec<Text<'a>> {
        let standard = self.reader == Reader::Programs && self.audience.body.is_none();
        let most = if standard { usize::MAX } else { LIST_MAX };
        ids.iter().take(most).map(|id| self.text(id)).collect()
    }

    /// Returns when the status changed, and who changed it. `through` is set for feedback whose status changed
    /// earlier. It is absent for an event that is itself the change.
    fn change(&self, subject: &'a Subject<'a>) -> shape::Change<'a> {
        let standing = subject.standing;
        let (at, by, state) = match (&subject.event.content, &standing.state) {
            (Content::Updated(change), _) => {
                (change.updated_at, self.user(Some(&change.operator)), None)
            }
            (Content::Created(_) | Content::Incident(_), Some(state)) => {
                let open_id = match state.through {
                    ChangeSource::Feishu | ChangeSource::Platform => state.by.id.as_ref(),
                    ChangeSource::Slack => None,
                };
                let by = shape::User {
                    open_id: self.private(open_id, self.audience.fields.user, mask::id),
                    ..self.user(None)
                };
                (Some(state.changed_at), by, Some(state))
            }
            (
                Content::Created(_)
                | Content::Notice(_)
                | Content::Summary(_)
                | Content::Digest(_)
                | Content::Incident(_),
                _,
            ) => (None, self.user(None), None),
        };
        let (name, visibility) = (standing.by_name.as_ref(), self.audience.fields.user);
        shape::Change {
            at: at.map(Time),
            by,
            name: self.private(name, visibility, mask::head),
            through: state.map(|state| state.through.key()),
            local_only: state.is_some_and(|state| state.local_only),
        }
    }

    /// Returns the buttons, if this audience has them.
    fn actions(&self, subject: &'a Subject<'a>) -> Vec<shape::Action<'a>> {
        let actions = subject.standing.actions.iter();
        let actions = actions.filter(|_| self.audience.buttons);
        actions
            .map(|action| shape::Action {
                act: action.act.key(),
                label: words::act(self.locale, action.act),
                style: style(action.act),
                value: &action.value,
            })
            .collect()
    }

    fn user(&self, user: Option<&'a UserIds>) -> shape::User<'a> {
        let visibility = self.audience.fields.user;
        let open_id = user.and_then(|user| user.open_id.as_ref());
        let union_id = user.and_then(|user| user.union_id.as_ref());
        let user_id = user.and_then(|user| user.user_id.as_ref());
        shape::User {
            open_id: self.private(open_id, visibility, mask::id),
            union_id: self.private(union_id, visibility, mask::id),
            user_id: self.private(user_id, visibility, mask::head),
        }
    }

    fn images(&self, subject: &'a Subject<'a>) -> Vec<shape::Image<'a>> {
        if !self.with_images || self.audience.fields.images != Visibility::Full {
            return Vec::new();
        }
        let images = subject.images.iter().take(LIST_MAX);
        images.map(|image| self.image(image)).collect()
    }

    fn image(&self, image: &'a Shown) -> shape::Image<'a> {
        let (key, link, path) = match &image.by {
            ShownBy::Key(key) => (Some(self.text(key)), None, None),
            ShownBy::Link => {
                let place = format!("{LINK}{}{LINK_END}", image.id.as_str());
                (None, Some(place), None)
            }
            ShownBy::Path(path) => (None, None, Some(self.text(path))),
            ShownBy::Count => (None, None, None),
        };
        shape::Image {
            number: u32::from(image.ordinal) + 1,
            id: image.id.as_str(),
            format: image.format.key(),
            media_type: image.format.media_type(),
            width: image.width,
            height: image.height,
            // The formats that Slack and browsers show in a page; others are linked.
            inline: match image.format {
                ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::Gif => true,
                ImageFormat::Webp
                | ImageFormat::Bmp
                | ImageFormat::Heif
                | ImageFormat::Avif
                | ImageFormat::Tiff
                | ImageFormat::Ico
                | ImageFormat::Jp2 => false,
            },
            key,
            link,
            path,
        }
    }

    fn labels(&self, subject: &'a Subject<'a>) -> shape::Labels<'a> {
        let labels = subject.spec.labels.iter().take(LIST_MAX);
        let labels = labels.map(|(name, word)| (self.text(name), self.text(word)));
        shape::Labels(labels.collect())
    }

    fn mentions(&self, mentions: &'a [Mention]) -> Vec<shape::Mention<'a>> {
        let mentions = mentions.iter().take(LIST_MAX);
        mentions
            .map(|mention| match mention {
                Mention::All => shape::Mention {
                    name: "all".into(),
                    all: true,
                },
                Mention::Person { name, .. } | Mention::Shown(name) => shape::Mention {
                    name: self.text(name),
                    all: false,
                },
            })
            .collect()
    }

    fn kind(&self, feedback: &Feedback) -> Code {
        match feedback.kind {
            Some(kind) => code(kind.0, kind.key(), words::kind(self.locale, kind)),
            None => self.odd(feedback.odd.kind.as_deref()),
        }
    }

    fn source(&self, feedback: &Feedback) -> Code {
        match feedback.source {
            Some(source) => code(source.0, source.key(), words::source(self.locale, source)),
            None => self.odd(feedback.odd.source.as_deref()),
        }
    }

    fn faults(&self, feedback: &Feedback) -> Vec<Code> {
        let one = |fault: &FaultKind| code(fault.0, fault.key(), words::fault(self.locale, *fault));
        let known = feedback.faults.iter().map(one);
        let odd = feedback.odd.faults.iter().map(|text| self.odd(Some(text)));
        known.chain(odd).take(LIST_MAX).collect()
    }

    /// Returns a code that is no 64-bit number, as its text.
    fn odd(&self, text: Option<&str>) -> Code {
        text.map_or_else(Code::default, |text| Code {
            code: Some(Number::Text(text.to_owned())),
            key: None,
            label: Some(words::numbered(self.locale, text)),
        })
    }

    /// Returns a time of the report. People see a time that could not be parsed as it was written.
    fn when(&self, at: Option<Timestamp>, written: Option<&'a Private>) -> Option<When<'a>> {
        match (at, self.reader) {
            (Some(at), _) => Some(When::At(Time(at))),
            (None, Reader::People) => {
                let written = self.private(written, Visibility::Full, str::to_owned)?;
                Some(When::Written(written))
            }
            (None, Reader::Programs) => None,
        }
    }

    fn description(&self, feedback: &'a Feedback) -> Option<Text<'a>> {
        self.described(feedback.description.as_ref())
    }

    /// Returns what a reporter wrote, as this audience may see it.
    fn described(&self, text: Option<&'a Private>) -> Option<Text<'a>> {
        let visibility = self.audience.fields.description;
        self.private(text, visibility, |text| mask::words(text, self.locale))
    }

    /// Returns the notice's text. Chinese readers get a Chinese summary, which quotes the line of the log.
    fn notice_text(&self, notice: &'a Notice) -> Text<'a> {
        match (self.reader, self.locale) {
            (Reader::People, Locale::Zh) => {
                let said = words::notice_text(notice.kind, &notice.subject);
                format!(
                    "{}\n\n日志原文：{}",
                    self.text(&said),
                    self.text(&notice.text)
                )
                .into()
            }
            (Reader::People, Locale::En) | (Reader::Programs, _) => self.text(&notice.text),
        }
    }

    fn notice(&self, event: &'a Event) -> shape::Notice<'a> {
        match &event.content {
            Content::Notice(notice) => shape::Notice {
                kind: Some(notice.kind.key()),
                title: Some(words::notice(self.locale, notice.kind)),
                subject: Some(self.text(&notice.subject)),
                text: Some(self.notice_text(notice)),
            },
            Content::Created(_)
            | Content::Updated(_)
            | Content::Summary(_)
            | Content::Digest(_)
            | Content::Incident(_) => shape::Notice::default(),
        }
    }
}

/// Returns the button style, in words that Feishu and Slack share.
const fn style(act: TriageAction) -> &'static str {
    match act {
        TriageAction::Claim => "primary",
        TriageAction::NotOurs => "danger",
        TriageAction::Done | TriageAction::Undo | TriageAction::Mute => "default",
    }
}

fn code(code: i64, key: Option<&'static str>, label: String) -> Code {
    Code {
        code: Some(Number::Is(code)),
        key,
        label: Some(label),
    }
}

/// Returns the time of the webhook's envelope: the event's own.
pub(super) fn event_time(subject: &Subject<'_>) -> Timestamp {
    subject.event.created_at.unwrap_or(subject.received_at)
}
