//! Uploads images and keeps their keys. Each image is uploaded once per app or bot, even if several
//! destinations show it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::archive::Archive;
use crate::destination::{Destination, KeyOwner, ShowsImages};
use crate::feishu::ApiError;
use crate::model::{
    DestinationName, Image, ImageFormat, ImageState, KeptImage, Notice, NoticeKind,
};
use crate::notices::Notifier;
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

/// The time for which uploads must fail, whatever the reason, before the operator is notified.
const FAILING_MIN: Duration = Duration::from_secs(30);

/// Why uploads for each destination fail, until one succeeds. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct RefusedUploads(Arc<Mutex<BTreeMap<DestinationName, Failing>>>);

/// The failure of a destination's last upload.
#[derive(Clone, Debug)]
struct Failing {
    /// When the first failure since the last success was.
    since: Instant,
    reason: String,
    /// Whether the operator must be notified: the image was refused, or uploads have failed for long.
    lasting: bool,
}

impl RefusedUploads {
    /// Returns the destinations whose uploads are refused or have failed for long, each with the reason.
    pub fn all(&self) -> BTreeMap<DestinationName, String> {
        let failing = self.lock();
        let lasting = failing.iter().filter(|(_, failing)| failing.lasting);
        lasting
            .map(|(name, failing)| (name.clone(), failing.reason.clone()))
            .collect()
    }

    /// Returns why the destination's last upload failed; `None` if it did not.
    pub(super) fn reason(&self, destination: &DestinationName) -> Option<String> {
        let failing = self.lock();
        failing.get(destination).map(|last| last.reason.clone())
    }

    fn taken(&self, destination: &DestinationName) {
        self.lock().remove(destination);
    }

    /// Records a failure. Returns whether the operator must be notified: it is a refusal, or uploads have
    /// failed for long.
    fn failed(&self, destination: &DestinationName, reason: &str, refused: bool) -> bool {
        let now = Instant::now();
        let mut all = self.lock();
        let first = all.get(destination);
        let since = first.map_or(now, |first| first.since);
        let lasting = refused
            || first.is_some_and(|first| first.lasting)
            || now.duration_since(since) >= FAILING_MIN;
        let failing = Failing {
            since,
            reason: reason.to_owned(),
            lasting,
        };
        all.insert(destination.clone(), failing);
        lasting
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<DestinationName, Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Uploads images and stores their keys. Clones share the work.
#[derive(Clone)]
pub(super) struct Uploader {
    store: Store,
    archive: Archive,
    operator: Notifier,
    tasks: Tasks,
    busy: Arc<Mutex<Busy>>,
    refused: RefusedUploads,
    permits: Arc<Semaphore>,
}

/// Uploads in progress, by owner and image.
type Busy = HashMap<(String, String), Weak<tokio::sync::Mutex<()>>>;

impl Uploader {
    pub(super) fn new(store: Store, archive: Archive, operator: Notifier, tasks: Tasks) -> Self {
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

    /// Returns the destinations whose uploads fail.
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
        let deadline = Instant::now() + wait;
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
                    tracing::warn!(image = %image.id, %error, "failed to store the image key of an upload");
                }
                Key::Fresh(key)
            }
            Err(error) => {
                tracing::warn!(destination = %name, image = %image.id, %error, "failed to upload an image");
                self.failed(name, error).await
            }
        }
    }

    /// Records a failed upload, and notifies the operator of a refusal or a lasting failure.
    async fn failed(&self, name: &DestinationName, error: ApiError) -> Key {
        let (key, reason) = match error {
            // A rate limit ends by itself.
            ApiError::SlowDown { .. } => return Key::Later,
            ApiError::Retry { reason } | ApiError::InFront { reason } => (Key::Later, reason),
            ApiError::Rejected { reason } | ApiError::Stop { reason } => (Key::Refused, reason),
        };
        let refused = key == Key::Refused;
        if self.refused.failed(name, &reason, refused) {
            self.operator.notify(notice(name, &reason, refused)).await;
        }
        key
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

/// Returns the operator notice for an image that was refused, or for uploads that keep failing.
fn notice(destination: &DestinationName, reason: &str, refused: bool) -> Notice {
    let text = if refused {
        format!(
            "{destination} refused an image: {reason}. Messages link to refused images, or \
             count them where there is no public_url."
        )
    } else {
        format!(
            "Images for {destination} cannot be uploaded: {reason}. Uploads are retried; the images \
             follow when one succeeds, or are linked or counted after `retry_for`."
        )
    };
    Notice {
        kind: NoticeKind::ImageUploadRefused,
        subject: destination.to_string(),
        text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lasting_failures_are_reported_and_short_ones_are_not() {
        let uploads = RefusedUploads::default();
        let name = DestinationName::from("ops");
        assert!(!uploads.failed(&name, "code 7", false));
        tokio::time::advance(FAILING_MIN - Duration::from_millis(1)).await;
        assert!(!uploads.failed(&name, "code 7", false));
        assert_eq!(uploads.all(), BTreeMap::new());
        assert_eq!(uploads.reason(&name).as_deref(), Some("code 7"));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(uploads.failed(&name, "code 8", false));
        assert_eq!(uploads.all()[&name], "code 8");
        uploads.taken(&name);
        assert!(!uploads.failed(&name, "code 9", false), "it counts anew");
        assert!(uploads.failed(&name, "too large", true));
        assert_eq!(uploads.all()[&name], "too large");
        let text = notice(&name, "code 8: unknown code; it says \"busy\"", false).text;
        assert!(text.contains("it says \"busy\""), "{text}");
    }

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
