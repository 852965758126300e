//! Takes out of a picture whatever is not the picture: positions, names of devices, comments,
//! thumbnails, and anything after its end, where a second file would hide.
//!
//! Each format has a list of what is kept; everything else goes, known or not. Nothing is decoded:
//! pixels are copied as they are. A picture that does not hold together is refused rather than guessed
//! at, for what two programs read differently is how a polyglot works.

mod bmp;
mod gif;
mod heif;
mod jpeg;
mod png;
mod reader;
mod webp;

use bytes::Bytes;

use crate::model::ImageFormat;

/// Why a picture is not one that can be kept. Fit for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// The picture alone.
pub(super) fn strip(format: ImageFormat, bytes: &Bytes) -> Result<Bytes, Malformed> {
    match format {
        ImageFormat::Jpeg => jpeg::strip(bytes).map(Bytes::from),
        ImageFormat::Png => png::strip(bytes.clone()),
        ImageFormat::Gif => gif::strip(bytes).map(Bytes::from),
        ImageFormat::Webp => webp::strip(bytes).map(Bytes::from),
        ImageFormat::Bmp => bmp::strip(bytes).map(Bytes::from),
        ImageFormat::Heif => heif::strip(bytes).map(Bytes::from),
    }
}
