//! Removes everything from an image file that is not the image: positions, names of devices, comments,
//! thumbnails, and bytes after its end, where a second file could hide.
//!
//! Each format has a list of the parts to keep; everything else is removed, known or not. Pixels are copied
//! without decoding. An inconsistent file is refused, because a polyglot is a file that two programs read
//! differently. Each file is read in passes whose work grows linearly with its length; a [`Budget`] limits the
//! number of parts that are read.

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

/// Why an image cannot be kept. Fit for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Malformed(pub(super) &'static str);

/// Width and height in pixels; `None` if stripping does not read them.
pub(super) type Size = Option<(u32, u32)>;

/// Returns the image alone, and its size.
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
