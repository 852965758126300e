//! Uploads images and keeps their keys. Each image is uploaded once per app or bot, however many destinations
//! show it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use crate::archive::Archive;
use crate::destination::{Destination, KeyOwner, ShowsImages};
use crate::feishu::ApiError;
use crate::model::{
    DestinationName, Image, ImageFormat, ImageState, KeptImage, Notice, NoticeKind,
};
use crate::notices::Operator;
use crate::store::Store;
use crate::tasks::Tasks;

/// The memory that concurrent uploads may use for images, in KiB.
const UPLOADS_KIB: u32 = 24 * 1024;

/// The result of a request for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The key of an earlier upload, which shows the image.
    Kept(String),
    /// A key that the platform has just returned.
    Fresh(String),
    /// There is no key yet: the upload is slow or failed temporarily.
    Later,
    /// The platform refuses this image, or all images of this app until somebody fixes it.
    Refused,
}

/// Reasons why the last upload for each destination was refused, until one succeeds. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct RefusedUploads(Arc<Mutex<BTreeMap<DestinationName, String>>>);

impl RefusedUploads {
    /// Returns the destinations whose last upload was refused, each with the reason.
    pub fn all(&self) -> BTreeMap<DestinationName, String> {
        self.lock().clone()
    }

    fn taken(&self, destination: &DestinationName) {
        self.lock().remove(destination);
    }

    fn refused(&self, destination: &DestinationName, reason: &str) {
        self.lock().insert(destination.clone(), reason.to_owned());
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DestinationName, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Uploads images and stores their keys. Clones share the work.
#[derive(Clone)]
pub(super) struct Uploader {
    store: Store,
    archive: Archive,
    operator: Operator,
    tasks: Tasks,
    busy: Arc<Mutex<Busy>>,
    refused: RefusedUploads,
    permits: Arc<Semaphore>,
}

/// Uploads in progress, by owner and image.
type Busy = HashMap<(String, String), Weak<tokio::sync::Mutex<()>>>;

impl Uploader {
    pub(super) fn new(store: Store, archive: Archive, operator: Operator, tasks: Tasks) -> Self {
        Self {
            store,
            archive,
            operator,
            tasks,
            busy: Arc::default(),
            refused: RefusedUploads::default(),
            permits: Arc::new(Semaphore::new(UPLOADS_KIB as usize)),
        }
    }

    /// Returns the destinations whose last upload was refused.
    pub(super) fn refused(&self) -> RefusedUploads {
        self.refused.clone()
    }

    /// Returns keys of stored images: the known ones, and those that arrive within `wait` for all of them
    /// together. Slower uploads continue, so that their keys are ready for late images.
    pub(super) async fn keys(
        &self,
        destination: &Arc<dyn Destination>,
        owner: &str,
        images: &[Image],
        wait: Duration,
    ) -> HashMap<u8, Key> {
        let mut keys = HashMap::new();
        let mut waiting = JoinSet::new();
        for image in images
            .iter()
            .filter(|image| image.state == ImageState::Kept)
        {
            let Some(kept) = image.kept.clone() else {
                continue;
            };
            if let Ok(Some(key)) = self.store.image_key(owner, &kept.id).await {
                keys.insert(image.ordinal, Key::Kept(key));
                continue;
            }
            let (send, receive) = oneshot::channel();
            let (uploader, destination) = (self.clone(), Arc::clone(destination));
            let (owner, ordinal) = (owner.to_owned(), image.ordinal);
            self.tasks.spawn_brief(async move {
                let key = uploader.key(&destination, &owner, &kept, &send).await;
                send.send(key).ok(); // nobody waits any more: the key is kept in the store all the same
            });
            waiting.spawn(async move { (ordinal, receive.await.unwrap_or(Key::Later)) });
        }
        let deadline = tokio::time::Instant::now() + wait;
        while let Ok(Some(next)) = tokio::time::timeout_at(deadline, waiting.join_next()).await {
            keys.extend(next.ok());
        }
        keys
    }

    async fn key(
        &self,
        destination: &Arc<dyn Destination>,
        owner: &str,
        image: &KeptImage,
        asked: &oneshot::Sender<Key>,
    ) -> Key {
        let turn = self.turn(owner, image);
        let is_first = turn.try_lock().is_ok();
        let _turn = turn.lock().await;
        match self.store.image_key(owner, &image.id).await {
            Ok(Some(key)) => return Key::Kept(key),
            // Another request failed meanwhile and this caller has stopped waiting, so there is no new upload.
            // A caller that asks again starts one.
            Ok(None) if !is_first && asked.is_closed() => return Key::Later,
            Ok(None) => {}
            Err(_) => return Key::Later,
        }
        if !takes(&destination.shows_images(), image.format) {
            return Key::Refused;
        }
        let kib = u32::try_from(image.bytes.div_ceil(1024)).unwrap_or(UPLOADS_KIB);
        let permit = self.permits.acquire_many(kib.clamp(1, UPLOADS_KIB));
        let Ok(_permit) = permit.await else {
            return Key::Later;
        };
        let bytes = match self.archive.get(&image.id).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Key::Refused,
            Err(error) => {
                tracing::error!(image = %image.id, %error, "failed to read a stored image");
                return Key::Later;
            }
        };
        let name = &destination.common().name;
        match destination.upload(image.format, bytes).await {
            Ok(key) => {
                self.refused.taken(name);
                if let Err(error) = self.store.put_image_key(owner, &image.id, &key).await {
                    tracing::warn!(image = %image.id, %error, "failed to store the key of an upload");
                }
                Key::Fresh(key)
            }
            Err(error) => {
                tracing::warn!(destination = %name, image = %image.id, %error, "failed to upload an image");
                match error {
                    ApiError::Retry { .. } | ApiError::SlowDown { .. } => Key::Later,
                    ApiError::Rejected { reason } | ApiError::Stop { reason } => {
                        self.refused.refused(name, &reason);
                        self.operator.notify(refused(name, &reason)).await;
                        Key::Refused
                    }
                }
            }
        }
    }

    /// Returns the lock for an upload of this image, so that two destinations do not upload it at once.
    fn turn(&self, owner: &str, image: &KeptImage) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.retain(|_, turn| turn.strong_count() > 0);
        let turn = busy
            .entry((owner.to_owned(), image.id.to_string()))
            .or_default();
        turn.upgrade().unwrap_or_else(|| {
            let fresh = Arc::default();
            *turn = Arc::downgrade(&fresh);
            fresh
        })
    }
}

/// Returns whether the platform shows images of this format. Other formats are linked or counted, without a
/// notice.
const fn takes(ways: &ShowsImages, format: ImageFormat) -> bool {
    match (ways, format) {
        // Source: doc "上传图片".
        (ShowsImages::ByKey(KeyOwner::App(_)), ImageFormat::Avif | ImageFormat::Jp2) => false,
        (
            ShowsImages::ByKey(KeyOwner::Bot(_)),
            ImageFormat::Heif
            | ImageFormat::Avif
            | ImageFormat::Tiff
            | ImageFormat::Ico
            | ImageFormat::Jp2,
        ) => false,
        _ => true,
    }
}

/// Returns the operator notice for a refused image.
fn refused(destination: &DestinationName, reason: &str) -> Notice {
    Notice {
        kind: NoticeKind::ImageUploadRefused,
        subject: destination.to_string(),
        text: format!(
            "{destination} refused an image: {reason}. Messages link to refused images, or \
             count them where there is no public_url."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_that_a_platform_does_not_show_are_not_uploaded() {
        let feishu = ShowsImages::ByKey(KeyOwner::App("shop".into()));
        let slack = ShowsImages::ByKey(KeyOwner::Bot("bot".into()));
        let table = [
            (ImageFormat::Png, true, true),
            (ImageFormat::Webp, true, true),
            (ImageFormat::Heif, true, false),
            (ImageFormat::Tiff, true, false),
            (ImageFormat::Ico, true, false),
            (ImageFormat::Avif, false, false),
            (ImageFormat::Jp2, false, false),
        ];
        for (format, by_feishu, by_slack) in table {
            assert_eq!(takes(&feishu, format), by_feishu, "{format}");
            assert_eq!(takes(&slack, format), by_slack, "{format}");
        }
    }
}
