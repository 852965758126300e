//! Images of an event.

use serde::Serialize;

use super::{text, text_or_null};
use crate::model::{Image, ImageFormat, ImageId, ImageState};

/// An image of an event. Fields about its bytes are null unless the relay keeps them.
#[derive(Clone, Debug, Serialize)]
pub struct ImageView {
    /// The position in the report, from 0.
    pub ordinal: u8,
    #[serde(serialize_with = "text")]
    pub state: ImageState,
    /// The hash of the bytes.
    #[serde(serialize_with = "text_or_null")]
    pub id: Option<ImageId>,
    #[serde(serialize_with = "text_or_null")]
    pub format: Option<ImageFormat>,
    /// The size in bytes.
    pub bytes: Option<u64>,
    /// In pixels.
    pub width: Option<u32>,
    /// In pixels.
    pub height: Option<u32>,
    /// Why it is not kept, or not yet; null if no attempt failed.
    pub reason: Option<String>,
}

impl From<Image> for ImageView {
    fn from(image: Image) -> Self {
        let kept = image.kept.as_ref();
        Self {
            ordinal: image.ordinal,
            state: image.state,
            id: kept.map(|kept| kept.id.clone()),
            format: kept.map(|kept| kept.format),
            bytes: kept.map(|kept| kept.bytes),
            width: kept.map(|kept| kept.width),
            height: kept.map(|kept| kept.height),
            reason: image.reason,
        }
    }
}
