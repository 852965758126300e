//! Takes out of an image whatever is not the image: positions, names of devices, comments,
//! thumbnails, and anything after its end, where a second file would hide.
//!
//! Each format has a list of what is kept; everything else goes, known or not. Nothing is decoded:
//! pixels are copied as they are. An image that does not hold together is refused rather than guessed
//! at, for what two programs read differently is how a polyglot works. Each file is read in passes whose
//! work grows with its length alone; a [`Budget`] bounds how many parts are read.

mod bmp;
mod boxes;
mod budget;
mod gif;
mod heif;
mod icc;
mod ico;
mod jp2;
mod jpeg;
mod png;
mod reader;
mod tiff;
mod webp;

use bytes::Bytes;

pub(super) use budget::{Budget, TOO_MANY_PARTS};

use crate::model::ImageFormat;

/// Why an image is not one that can be kept. Fit for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// Width and height in pixels, where stripping meets them.
pub(super) type Size = Option<(u32, u32)>;

/// The image alone.
pub(super) fn strip(
    format: ImageFormat,
    bytes: &[u8],
    budget: &mut Budget,
) -> Result<(Bytes, Size), Malformed> {
    let (stripped, size) = match format {
        ImageFormat::Jpeg => (jpeg::strip(bytes, budget)?, None),
        ImageFormat::Png => (png::strip(bytes, budget)?, None),
        ImageFormat::Gif => (gif::strip(bytes, budget)?, None),
        ImageFormat::Webp => (webp::strip(bytes, budget)?, None),
        ImageFormat::Bmp => (bmp::strip(bytes)?, None),
        ImageFormat::Heif | ImageFormat::Avif => heif::strip(bytes, budget)?,
        ImageFormat::Tiff => tiff::strip(bytes, budget)?,
        ImageFormat::Ico => ico::strip(bytes, budget)?,
        ImageFormat::Jp2 => jp2::strip(bytes, budget)?,
    };
    Ok((stripped.into(), size))
}
