//! An image of a report: from an expiring address to kept bytes.

use super::event::keyed;
use super::{EventId, EventSeq, ImageId, Private, Timestamp};

/// How many images of one event are fetched. Messages state how many more there are.
pub const IMAGES_PER_EVENT_MAX: usize = 20;

keyed!(
    /// The state of an image.
    ImageState {
        /// Not fetched yet.
        Pending => "pending",
        /// Fetched and kept.
        Kept => "kept",
        /// Unavailable: its address expired, or the response is not an accepted image.
        Lost => "lost",
        /// Kept earlier; removed by retention, `images.max_total` or `erase`.
        Removed => "removed",
    }
);

/// An image to fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageJob {
    /// The event it belongs to.
    pub event: EventSeq,
    /// That event's id, for people and logs.
    pub event_id: EventId,
    /// The image's position in the event, from 0.
    pub ordinal: u8,
    /// The address. It is signed: never log it.
    pub url: Private,
    /// The host of that address, without its port; `?` if there is none. Limits are kept for each host.
    pub host: String,
    /// The number of earlier attempts.
    pub attempts: u32,
    /// When the address expires.
    pub deadline_at: Timestamp,
}

/// One image of an event, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The image's position in the event, from 0.
    pub ordinal: u8,
    pub state: ImageState,
    /// The kept bytes; `None` if none are kept.
    pub kept: Option<KeptImage>,
    /// Whether it is pending because its host is not allowed.
    pub refused: bool,
    /// Why it is not kept (yet), fit for a log.
    pub reason: Option<String>,
}

/// The description of kept bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptImage {
    /// The hash of the bytes.
    pub id: ImageId,
    pub format: ImageFormat,
    /// The size in bytes.
    pub bytes: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

keyed!(
    /// The format of a kept image, detected from its bytes.
    ImageFormat {
        /// JPEG.
        Jpeg => "jpeg",
        /// PNG.
        Png => "png",
        /// GIF.
        Gif => "gif",
        /// WebP.
        Webp => "webp",
        /// Windows bitmap.
        Bmp => "bmp",
        /// HEIC or HEIF, as telephones create them.
        Heif => "heif",
        /// AVIF.
        Avif => "avif",
        /// TIFF.
        Tiff => "tiff",
        /// Windows icon.
        Ico => "ico",
        /// JPEG 2000.
        Jp2 => "jp2",
    }
);

impl ImageFormat {
    /// Returns the value for `Content-Type`.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
            Self::Bmp => "image/bmp",
            Self::Heif => "image/heic",
            Self::Avif => "image/avif",
            Self::Tiff => "image/tiff",
            Self::Ico => "image/x-icon",
            Self::Jp2 => "image/jp2",
        }
    }
}
