//! An image of a report: from an address that ends to bytes that are kept.

use super::event::keyed;
use super::{EventId, EventSeq, ImageId, Private, Timestamp};

/// How many images of one event are fetched; the rest are counted and said.
pub const IMAGES_PER_EVENT_MAX: usize = 20;

keyed!(
    /// Where an image stands.
    ImageState {
        /// To be fetched.
        Pending => "pending",
        /// Kept.
        Kept => "kept",
        /// Not to be had: its address ended, or what was there is no image that we keep.
        Lost => "lost",
        /// Kept once; removed by retention, `images.max_total` or `erase`.
        Removed => "removed",
    }
);

/// An image that is to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageJob {
    /// The event it belongs to.
    pub event: EventSeq,
    /// That event's id, for people and logs.
    pub event_id: EventId,
    /// Its place among the event's images, from 0.
    pub ordinal: u8,
    /// Where it is. Signed: never log it.
    pub url: Private,
    /// The host of that address, with its port unless it is the usual one; `?` where there is none.
    pub host: String,
    /// Attempts made before this one.
    pub attempts: u32,
    /// After this its address has ended.
    pub deadline_at: Timestamp,
}

/// One of an event's images, as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its place among the event's images, from 0.
    pub ordinal: u8,
    /// Where it stands.
    pub state: ImageState,
    /// What is kept.
    pub kept: Option<KeptImage>,
    /// Whether it is pending and its host is not allowed.
    pub refused: bool,
    /// Why it is not kept (yet), in words fit for a log.
    pub reason: Option<String>,
}

/// Bytes that are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptImage {
    /// The hash of the bytes.
    pub id: ImageId,
    /// What they are.
    pub format: ImageFormat,
    /// How many.
    pub bytes: u64,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

keyed!(
    /// What a kept image really is.
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
        /// HEIC or HEIF, as telephones make them.
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
    /// What `Content-Type` says.
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
