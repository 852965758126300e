//! Keys for pictures: each is given to a platform once per app or bot, however many destinations show it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::archive::Archive;
use crate::destination::Destination;
use crate::feishu::ApiError;
use crate::model::{Image, ImageState, KeptImage};
use crate::store::Store;
use crate::tasks::Tasks;

/// How long a message waits for its uploads; what takes longer follows as late pictures. Uploads
/// go on meanwhile, so that the keys are there then.
const UPLOADS_WAIT: Duration = Duration::from_secs(2);

/// What came of asking for a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// The picture can be shown by this key, which an earlier upload gave.
    Kept(String),
    /// The picture can be shown by this key, which the platform gave just now.
    Fresh(String),
    /// Not yet: the upload is slow or failed for now.
    Later,
    /// Never: the platform does not take this picture.
    Refused,
}

/// Uploads pictures and remembers their keys. Clones share the work.
#[derive(Clone)]
pub(super) struct Uploader {
    store: Store,
    archive: Archive,
    tasks: Tasks,
    busy: Arc<Mutex<Busy>>,
}

/// Uploads in progress, by owner and picture.
type Busy = HashMap<(String, String), Weak<tokio::sync::Mutex<()>>>;

impl Uploader {
    pub(super) fn new(store: Store, archive: Archive, tasks: Tasks) -> Self {
        Self {
            store,
            archive,
            tasks,
            busy: Arc::default(),
        }
    }

    /// A key for each kept picture, in order, within [`UPLOADS_WAIT`] for all of them together.
    pub(super) async fn keys(
        &self,
        destination: &Arc<dyn Destination>,
        owner: &str,
        images: &[Image],
    ) -> HashMap<u8, Key> {
        let mut waiting = JoinSet::new();
        for image in images
            .iter()
            .filter(|image| image.state == ImageState::Kept)
        {
            let Some(kept) = image.kept.clone() else {
                continue;
            };
            let (send, receive) = tokio::sync::oneshot::channel();
            let (uploader, destination) = (self.clone(), Arc::clone(destination));
            let (owner, ordinal) = (owner.to_owned(), image.ordinal);
            self.tasks.spawn_brief(async move {
                let key = uploader.key(&destination, &owner, &kept).await;
                send.send(key).ok(); // nobody waits any more: the key is kept in the journal all the same
            });
            waiting.spawn(async move { (ordinal, receive.await.unwrap_or(Key::Later)) });
        }
        let deadline = tokio::time::Instant::now() + UPLOADS_WAIT;
        let mut keys = HashMap::new();
        while let Ok(Some(next)) = tokio::time::timeout_at(deadline, waiting.join_next()).await {
            keys.extend(next.ok());
        }
        keys
    }

    async fn key(&self, destination: &Arc<dyn Destination>, owner: &str, image: &KeptImage) -> Key {
        let turn = self.turn(owner, image);
        let _turn = turn.lock().await;
        match self.store.image_key(owner, &image.id).await {
            Ok(Some(key)) => return Key::Kept(key),
            Ok(None) => {}
            Err(_) => return Key::Later,
        }
        let bytes = match self.archive.get(&image.id).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Key::Refused,
            Err(error) => {
                tracing::error!(image = %image.id, %error, "cannot read a kept picture");
                return Key::Later;
            }
        };
        match destination.upload(image.format, bytes).await {
            Ok(key) => {
                if let Err(error) = self.store.put_image_key(owner, &image.id, &key).await {
                    tracing::warn!(image = %image.id, %error, "the key of an upload is not kept");
                }
                Key::Fresh(key)
            }
            Err(error) => {
                let name = &destination.common().name;
                tracing::warn!(destination = %name, image = %image.id, %error, "picture not uploaded");
                match error {
                    ApiError::Retry { .. } | ApiError::Stop { .. } => Key::Later,
                    ApiError::Rejected { .. } => Key::Refused,
                }
            }
        }
    }

    /// The right to upload this picture, so that two destinations do not at once.
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
