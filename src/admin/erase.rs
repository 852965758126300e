//! Removes a person's text and images from events, and keeps the events' other fields.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

use crate::archive::Archive;
use crate::model::{ImageId, ImageState, StoredEvent};
use crate::store::{Store, StoreError};
use crate::view::{ErasedClicks, ErasedEvent};

/// The longest wait for readers that keep erased data in the store's write-ahead log.
const LOG_PATIENCE: Duration = Duration::from_secs(5);

/// The time between two checks of the write-ahead log during the wait.
const LOG_INTERVAL: Duration = Duration::from_millis(100);

/// Removes the text and images of people.
pub struct Eraser<'a> {
    pub store: &'a Store,
    /// The images; `None` in a dry run, which removes nothing.
    pub archive: Option<&'a Archive>,
}

/// An image that could not be removed. The store has forgotten the image, so there will be no second try.
#[derive(Debug)]
pub struct LeftImage {
    /// The location of the image's file.
    pub place: String,
    pub error: io::Error,
}

impl Eraser<'_> {
    /// Removes the text and images of an event. Also returns the images that could not be removed.
    pub async fn event(
        &self,
        event: &StoredEvent,
    ) -> Result<(ErasedEvent, Vec<LeftImage>), StoreError> {
        let images = self.store.images_of(event.seq).await?;
        let kept = images
            .iter()
            .filter(|image| image.state == ImageState::Kept);
        let erased = ErasedEvent {
            event_id: event.id.clone(),
            erased: self.archive.is_some(),
            words: event.body.is_some(),
            images: kept.map(|_| 1).sum(),
        };
        let Some(archive) = self.archive else {
            return Ok((erased, Vec::new()));
        };
        let orphans = self.store.erase(event.seq).await?;
        Ok((erased, remove(archive, &orphans).await))
    }

    /// Removes the person with this id from button actions.
    pub async fn clicks(&self, user: &str) -> Result<ErasedClicks, StoreError> {
        let erased = self.archive.is_some();
        let clicks = match erased {
            true => self.store.forget_clicks(user).await?,
            false => self.store.clicks_of(user).await?,
        };
        Ok(ErasedClicks { clicks, erased })
    }

    /// Waits up to five seconds until erased data has left the store's write-ahead log. Returns
    /// whether it has.
    pub async fn wait_for_log(&self) -> Result<bool, StoreError> {
        let deadline = Instant::now() + LOG_PATIENCE;
        while self.archive.is_some() && self.store.owes_erasure().await? {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(LOG_INTERVAL).await;
        }
        Ok(true)
    }
}

/// Returns the events whose reporter has this open id, union id or user id.
pub async fn events_of(store: &Store, user: &str) -> Result<Vec<StoredEvent>, StoreError> {
    let mut events = Vec::new();
    for seq in store.events_of_user(user).await? {
        events.extend(store.event_by_seq(seq).await?);
    }
    Ok(events)
}

/// Removes the files of images that no event uses any more. Returns the images that could not be removed.
async fn remove(archive: &Archive, orphans: &[ImageId]) -> Vec<LeftImage> {
    let mut left = Vec::new();
    for id in orphans {
        if let Err(error) = archive.remove(id).await {
            let place = archive.place_of(id);
            left.push(LeftImage { place, error });
        }
    }
    left
}
