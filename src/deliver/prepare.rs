//! What an attempt sends: the rendering that was kept, or a first one.

use std::sync::Arc;

use super::standing;
use super::telling::{self, Telling};
use super::upload::{Key, Uploader};
use super::{Settings, read_event};
use crate::archive::Archive;
use crate::closing::ButtonSigner;
use crate::destination::{Destination, ShowsImages};
use crate::model::{Clock, Form, Image, ImageState, Notice, NoticeKind, Trigger};
use crate::operator::Operator;
use crate::render::{Payload, Shown, ShownBy};
use crate::store::Work;
use crate::telemetry::Metrics;
use crate::telemetry::events::TemplateFailed;

/// The mask of a message that needs no follow-up for pictures.
const ALL_SHOWN: u32 = u32::MAX;

/// Makes payloads. Clones share what they need.
#[derive(Clone)]
pub(super) struct Preparer {
    pub(super) archive: Archive,
    pub(super) operator: Operator,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) uploader: Uploader,
    pub(super) buttons: ButtonSigner,
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The message.
    pub(super) payload: Payload,
    /// Ordinals of the pictures it shows, one bit each; all ones where none need follow.
    pub(super) shown: u32,
    /// Whether it may show pictures by keys that an earlier upload gave: such a key can have become
    /// invalid, and another upload may mend that.
    pub(super) old_keys: bool,
}

/// The pictures of a message.
#[derive(Default)]
struct Pictures {
    images: Vec<Shown>,
    /// Ordinals of those that need not follow.
    mask: u32,
    /// As in [`Prepared`].
    old_keys: bool,
}

/// Why nothing is sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsendable {
    /// There is nothing (left) to say.
    Done,
    /// What there was to say is gone.
    Never(&'static str),
    /// Pictures cannot be shown yet, and they are all there is to say.
    Later,
}

impl Preparer {
    /// What `work` sends to `destination`.
    pub(super) async fn prepare(
        &self,
        settings: &Settings,
        destination: &Arc<dyn Destination>,
        work: &Work,
    ) -> Result<Prepared, Unsendable> {
        let delivery = &work.delivery;
        let editable = work.message.is_some() && destination.keeps_handles();
        if delivery.trigger == Trigger::Edit && !editable {
            return Err(Unsendable::Never(
                "the message cannot be changed (any more)",
            ));
        }
        if let Some(kept) = &work.payload {
            let payload = Payload::from_stored(delivery.form, kept.body.as_str());
            return Ok(Prepared {
                payload,
                shown: kept.shown,
                old_keys: delivery.form == Form::Full,
            });
        }
        let body = work.event.body.as_ref();
        let body = body.ok_or(Unsendable::Never("the event's words have been removed"))?;
        let event = read_event(&work.event, body, &settings.names)
            .ok_or(Unsendable::Never("the kept event cannot be read"))?;
        let Pictures {
            images,
            mask,
            old_keys,
        } = self.images(settings, destination, work).await?;
        let telling = Telling {
            received_at: work.event.received_at,
            delivery: delivery.id,
            trigger: delivery.trigger,
            order: delivery.order.clone(),
            app_name: settings.names.app_name(&event).to_owned(),
            mentions: settings.names.mentions(&delivery.order),
            images,
            images_pending: telling::images_pending(&work.images),
            images_total: telling::images_total(&event),
            standing: standing::of(
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
            .render(settings, destination, delivery.form, &telling)
            .await;
        // A plainer form than the full one tells how many pictures there are; the platform has
        // refused to show them, so none follow.
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
        telling: &Telling,
    ) -> Payload {
        let common = destination.common();
        let subject = telling.subject(self.clock.now());
        match settings.templates.payload(&common.audience, form, &subject) {
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
                        "{error}. Messages to {} go by the built-in plain template until it is mended.",
                        common.name
                    ),
                };
                self.operator.tell(notice).await;
                settings.templates.plain(&common.audience, form, &subject)
            }
        }
    }

    /// The pictures this message shows or counts.
    async fn images(
        &self,
        settings: &Settings,
        destination: &Arc<dyn Destination>,
        work: &Work,
    ) -> Result<Pictures, Unsendable> {
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
            return if late {
                Err(Unsendable::Done)
            } else {
                Ok(Pictures::default())
            };
        }
        let ways = destination.shows_images();
        let mut keys = match &ways {
            ShowsImages::ByKey(owner) if work.delivery.form == Form::Full => {
                let owner = settings.names.key_owner(owner);
                self.uploader.keys(destination, owner, &kept).await
            }
            ShowsImages::ByKey(_) | ShowsImages::ByLink | ShowsImages::ByPath | ShowsImages::No => {
                Default::default()
            }
        };
        let (mut shown, mut mask, mut old_keys) = (Vec::new(), 0, false);
        for image in &kept {
            let key = keys.remove(&image.ordinal);
            old_keys |= matches!(key, Some(Key::Kept(_)));
            let by = match (&ways, key) {
                (ShowsImages::ByKey(_), Some(Key::Kept(key) | Key::Fresh(key))) => {
                    ShownBy::Key(key)
                }
                (ShowsImages::ByKey(_), Some(Key::Later) | None) => continue,
                (ShowsImages::ByPath, _) => ShownBy::Path(self.path_of(image)),
                (ShowsImages::ByLink, _) => ShownBy::Link,
                (ShowsImages::ByKey(_), Some(Key::Refused)) if settings.links.is_some() => {
                    ShownBy::Link
                }
                (ShowsImages::ByKey(_), Some(Key::Refused)) | (ShowsImages::No, _) => {
                    ShownBy::Count
                }
            };
            mask |= bit(image.ordinal);
            shown.extend(telling::shown(image, by));
        }
        if late && shown.is_empty() {
            return Err(Unsendable::Later);
        }
        Ok(Pictures {
            images: shown,
            mask: if ways == ShowsImages::No {
                ALL_SHOWN
            } else {
                mask
            },
            old_keys,
        })
    }

    fn path_of(&self, image: &Image) -> String {
        image.kept.as_ref().map_or_else(String::new, |kept| {
            self.archive.path(&kept.id).display().to_string()
        })
    }
}

fn bit(ordinal: u8) -> u32 {
    1_u32.checked_shl(u32::from(ordinal)).unwrap_or(0)
}
