//! Prepares the payload of an attempt: the stored rendering of an earlier attempt, or a new one.

use std::sync::Arc;
use std::time::Duration;

use super::message_data::{self, MessageData};
use super::status_view;
use super::upload::{Key, Uploader};
use super::{Settings, read_event};
use crate::archive::Archive;
use crate::destination::{Destination, ShowsImages};
use crate::model::{
    Clock, Delivery, Form, Image, ImageState, IncidentNews, MessageSpec, Notice, NoticeKind,
    Trigger,
};
use crate::notices::Notifier;
use crate::render::{Audience, Payload, Shown, ShownBy};
use crate::store::{ALL_SHOWN, Work};
use crate::telemetry::Metrics;
use crate::telemetry::events::TemplateFailed;
use crate::triage::ButtonSigner;

/// The longest time that a message waits for uploads, even if its rule lets it wait longer for images.
/// Meanwhile, the message blocks others.
const UPLOADS_WAIT: Duration = Duration::from_secs(2);

/// Prepares payloads. Clones share their dependencies.
#[derive(Clone)]
pub(super) struct Preparer {
    pub(super) archive: Archive,
    pub(super) operator: Notifier,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) uploader: Uploader,
    pub(super) buttons: ButtonSigner,
}

/// A prepared payload.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) payload: Payload,
    /// Ordinals of the images that the message shows, one bit each. All bits are set if no late images need to
    /// follow.
    pub(super) shown: u32,
    /// Whether the message may show images by keys of an earlier upload. The platform may have dropped such a
    /// key; a new upload then replaces it.
    pub(super) old_keys: bool,
}

/// Why nothing is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotSent {
    /// There is nothing (left) to send.
    NothingToSend,
    /// The content was removed or cannot be read.
    Permanent(&'static str),
    /// The message consists of images alone, and they cannot be shown yet. Contains the reason if the last
    /// upload failed.
    NotYet(Option<String>),
}

/// Returns the first line of a stored payload, which identifies what the payload was rendered for. A
/// destination of another kind or with other `fields` renders it anew. The stored one may show data that this
/// audience must not see.
pub(super) fn fingerprint(destination: &dyn Destination) -> String {
    use sha2::{Digest, Sha256};
    let made_for = format!("{} {:?}", destination.kind(), destination.common().audience);
    let hash = crate::model::hex(&Sha256::digest(made_for));
    format!("{}\n", hash.get(..16).unwrap_or_default())
}

/// Returns the rendering of an earlier attempt, if it was made for this destination.
fn stored(work: &Work, destination: &dyn Destination) -> Option<Prepared> {
    let (kept, form) = (work.payload.as_ref()?, work.delivery.form);
    let body = kept.body.strip_prefix(&fingerprint(destination))?;
    Some(Prepared {
        payload: Payload::from_stored(form, body),
        shown: kept.shown,
        old_keys: form == Form::Full,
    })
}

impl Preparer {
    /// Prepares the payload of `work` for `destination`, after `spent` on trying.
    pub(super) async fn prepare(
        &self,
        settings: &Settings,
        destination: &Arc<dyn Destination>,
        work: &Work,
        spent: Duration,
    ) -> Result<Prepared, NotSent> {
        let delivery = &work.delivery;
        let editable = work.message.is_some() && destination.keeps_handles();
        if delivery.trigger == Trigger::Edit && !editable {
            return Err(NotSent::Permanent(
                "the message cannot be changed (any more)",
            ));
        }
        if let Some(stored) = stored(work, destination.as_ref()) {
            return Ok(stored);
        }
        let body = work.event.body.as_ref();
        let body = body.ok_or(NotSent::Permanent("the event's text was erased"))?;
        let mut event = read_event(&work.event, body, &settings.names)
            .ok_or(NotSent::Permanent("the stored event cannot be parsed"))?;
        message_data::complete(
            &mut event.content,
            work.incident.as_deref(),
            &work.newest,
            &work.earlier,
            &settings.names,
        )?;
        let Pictures {
            images,
            later,
            mask,
            old_keys,
        } = self.images(settings, destination, work, spent).await?;
        let message_data = MessageData {
            received_at: work.event.received_at,
            delivery: delivery.id,
            trigger: delivery.trigger,
            is_main: is_main(work, destination.as_ref()),
            counted: work.counted,
            spec: delivery.spec.clone(),
            app_name: settings.names.app_name(&event).to_owned(),
            mentions: settings.names.mentions(&delivery.spec),
            images,
            images_pending: message_data::images_pending(&work.images) + later,
            images_refused: message_data::images_refused(&work.images),
            images_total: message_data::images_total(&event),
            standing: status_view::of(
                work,
                &event,
                destination.as_ref(),
                &settings.names,
                &|press| self.buttons.value(press),
                self.clock.now(),
            ),
            event,
        };
        let payload = self
            .render(settings, destination, delivery.form, &message_data)
            .await;
        // A plainer form than the full one only counts images, because the platform has refused to show them.
        // So no late images follow.
        let shown = if delivery.form == Form::Full {
            mask
        } else {
            ALL_SHOWN
        };
        Ok(Prepared {
            payload,
            shown,
            old_keys,
        })
    }

    async fn render(
        &self,
        settings: &Settings,
        destination: &Arc<dyn Destination>,
        form: Form,
        message_data: &MessageData,
    ) -> Payload {
        let common = destination.common();
        let subject = message_data.subject(self.clock.now());
        let audience = audience(settings, &common.audience, &message_data.spec);
        match settings.templates.payload(&audience, form, &subject) {
            Ok(payload) => payload,
            Err(error) => {
                self.metrics.emit(TemplateFailed {
                    destination: &common.name,
                    template: &error.template,
                    reason: &error.reason,
                });
                let notice = Notice {
                    kind: NoticeKind::TemplateFailed,
                    subject: common.name.to_string(),
                    text: format!(
                        "{error}. Messages to {} use the built-in plain template until it is fixed.",
                        common.name
                    ),
                };
                self.operator.notify(notice).await;
                settings.templates.plain(&audience, form, &subject)
            }
        }
    }

    /// Returns the images that this message shows or counts.
    async fn images(
        &self,
        settings: &Settings,
        destination: &Arc<dyn Destination>,
        work: &Work,
        spent: Duration,
    ) -> Result<Pictures, NotSent> {
        if work.incident.is_some() && !is_main(work, destination.as_ref()) {
            return Ok(Pictures {
                mask: ALL_SHOWN,
                ..Pictures::default()
            });
        }
        let late = work.delivery.trigger == Trigger::LateImages;
        let fresh = |image: &&Image| !late || work.shown & bit(image.ordinal) == 0;
        let kept: Vec<Image> = work
            .images
            .iter()
            .filter(|image| image.state == ImageState::Kept)
            .filter(fresh)
            .cloned()
            .collect();
        if kept.is_empty() {
            return match late {
                true => Err(NotSent::NothingToSend),
                // An event without images has no late images.
                false if work.images.is_empty() => Ok(Pictures {
                    mask: ALL_SHOWN,
                    ..Pictures::default()
                }),
                false => Ok(Pictures::default()),
            };
        }
        let ways = destination.shows_images();
        let mut keys = match &ways {
            ShowsImages::ByKey(owner) if work.delivery.form == Form::Full => {
                let owner = settings.names.key_owner(owner);
                let wait = uploads_wait(&work.delivery);
                self.uploader.keys(destination, owner, &kept, wait).await
            }
            ShowsImages::ByKey(_) | ShowsImages::ByLink | ShowsImages::ByPath | ShowsImages::No => {
                Default::default()
            }
        };
        // An upload that has failed for `retry_for` is replaced by a link or a count. So is an upload for a
        // form that shows no images.
        let given_up = late && spent >= destination.common().retry_for;
        let comes_later = work.delivery.form == Form::Full && !given_up;
        let mut pictures = Pictures::default();
        for image in &kept {
            let key = keys.remove(&image.ordinal).unwrap_or(Key::Later);
            pictures.old_keys |= matches!(key, Key::Kept(_));
            let by = match (&ways, key) {
                (ShowsImages::ByKey(_), Key::Kept(key) | Key::Fresh(key)) => ShownBy::Key(key),
                (ShowsImages::ByKey(_), Key::Later) if comes_later => {
                    pictures.later += 1;
                    continue;
                }
                (ShowsImages::ByPath, _) => ShownBy::Path(self.path_of(image)),
                (ShowsImages::ByLink, _) => ShownBy::Link,
                (ShowsImages::ByKey(_), _) if settings.links.is_some() => ShownBy::Link,
                (ShowsImages::ByKey(_) | ShowsImages::No, _) => ShownBy::Count,
            };
            pictures.mask |= bit(image.ordinal);
            pictures.images.extend(message_data::shown(image, by));
        }
        if late && pictures.images.is_empty() {
            let reason = self.uploader.refused().reason(&destination.common().name);
            return Err(NotSent::NotYet(reason));
        }
        // Images of an incident's later reports follow with edits.
        let is_complete = work.incident.is_some() && pictures.later == 0;
        if ways == ShowsImages::No || is_complete {
            pictures.mask = ALL_SHOWN;
        }
        Ok(pictures)
    }

    fn path_of(&self, image: &Image) -> String {
        image
            .kept
            .as_ref()
            .map_or_else(String::new, |kept| self.archive.place_of(&kept.id))
    }
}

/// Returns the audience for which a message is rendered. A rerouted message shows no more than its first
/// destination would show.
fn audience(settings: &Settings, own: &Audience, spec: &MessageSpec) -> Audience {
    let mut audience = own.clone();
    for name in &spec.fell_from {
        if let Some(first) = settings.destinations.get(name) {
            audience.fields = audience.fields.narrowed_by(first.common().audience.fields);
        }
    }
    audience
}

/// The images of a message.
#[derive(Debug, Default)]
struct Pictures {
    /// Images that the message shows or counts.
    images: Vec<Shown>,
    /// Number of stored images that cannot be shown yet.
    later: usize,
    /// The mask of images that do not need to follow later.
    mask: u32,
    /// As in [`Prepared`].
    old_keys: bool,
}

/// Returns whether the message is the main one of an incident: one that shows everything, and that is edited where the
/// destination can edit. A short notification becomes the main message if there is no other to reply to.
pub(super) fn is_main(work: &Work, destination: &dyn Destination) -> bool {
    let is_first = destination.keeps_handles() && work.message.is_none();
    let is_edit = work.delivery.trigger == Trigger::Edit;
    let shows_all = match work.delivery.spec.news {
        None | Some(IncidentNews::Opened | IncidentNews::Digest) => true,
        Some(_) => is_edit || is_first,
    };
    work.incident.is_some() && shows_all
}

/// Returns how long `delivery` waits for uploads: the rest of the time that its rule lets it wait for images.
/// Late images do not wait here, because that would block other messages. They are retried. A message of an incident
/// does not wait either, because it is edited afterwards.
fn uploads_wait(delivery: &Delivery) -> Duration {
    if matches!(delivery.trigger, Trigger::LateImages | Trigger::Incident) {
        return Duration::ZERO;
    }
    let wait = delivery.spec.wait.unwrap_or(UPLOADS_WAIT);
    let left = (delivery.created_at + wait).since(delivery.first_due_at);
    left.min(UPLOADS_WAIT)
}

fn bit(ordinal: u8) -> u32 {
    1_u32.checked_shl(u32::from(ordinal)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::{
        DeliveryIds, DeliveryState, EventId, EventSeq, RuleName, Severity, Timestamp,
    };

    fn delivery(trigger: Trigger, wait: Option<Duration>) -> Delivery {
        let now = Timestamp::from_millis(1_711_111_111_000);
        Delivery {
            id: DeliveryIds::new(1).next(now),
            event: EventSeq(1),
            event_id: EventId::new("e"),
            destination: "chat".into(),
            spec: MessageSpec {
                rule: RuleName::new("r"),
                severity: Severity::Critical,
                template: "alert".into(),
                mentions: Vec::new(),
                labels: BTreeMap::new(),
                wait,
                fell_from: Vec::new(),
                news: None,
            },
            trigger,
            state: DeliveryState::Sending,
            form: Form::Full,
            attempts: 0,
            created_at: now,
            due_at: now,
            first_due_at: now,
            failures: 0,
            unanswered: 0,
            failed_at: None,
            due_since: None,
            reason: None,
            incident: None,
            silence: None,
            rules: Vec::new(),
            held_for: None,
            summary: None,
        }
    }

    #[test]
    fn uploads_wait_only_for_the_rest_of_the_image_wait() {
        let ms = Duration::from_millis;
        let waits = |trigger, wait, fetched| {
            let mut delivery = delivery(trigger, Some(ms(wait)));
            delivery.first_due_at = delivery.created_at + ms(fetched);
            uploads_wait(&delivery)
        };
        assert_eq!(waits(Trigger::Event, 800, 0), ms(800));
        assert_eq!(waits(Trigger::Event, 800, 300), ms(500));
        assert_eq!(waits(Trigger::Event, 800, 800), Duration::ZERO);
        let hour = waits(Trigger::Event, 3_600_000, 0);
        assert_eq!(hour, UPLOADS_WAIT, "others wait behind it");
        assert_eq!(waits(Trigger::LateImages, 800, 0), Duration::ZERO);
        assert_eq!(waits(Trigger::Incident, 800, 0), Duration::ZERO);
    }
}
