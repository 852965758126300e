//! Checks whether fetched bytes are an image that can be kept. The check uses only the bytes, not their
//! address or header. It never decodes pixels.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use super::strip::{Budget, Size, TOO_MANY_PARTS, strip};
use crate::model::{ImageFormat, ImageId, KeptImage};

/// The largest width and height that Feishu takes (GIF: less, checked at the upload).
const SIDE_MAX: u32 = 12_000;
/// The largest number of pixels, more than any screen or phone produces. A viewer must decode all of them at
/// once.
const PIXELS_MAX: u64 = 100_000_000;

/// An image that can be kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its bytes, without metadata.
    pub bytes: Bytes,
    /// Format, size and id of these bytes.
    pub kept: KeptImage,
}

/// Why the bytes are not an image that can be kept. Fit for a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnImage {
    /// The bytes are something else, or damaged. A later answer of the same address may be the image.
    #[error("not an acceptable image: {0}")]
    Other(String),
    /// The bytes are an image that no attempt can make acceptable.
    #[error("not an acceptable image: {0}")]
    Unfit(String),
}

/// Checks and strips an image. The result is measured after stripping, because the stripped bytes are served.
pub fn inspect(bytes: &Bytes) -> Result<Picture, NotAnImage> {
    inspect_within(bytes, &mut Budget::new(Arc::new(AtomicBool::new(false))))
}

/// Checks and strips an image within the caller's budget.
pub(super) fn inspect_within(bytes: &[u8], budget: &mut Budget) -> Result<Picture, NotAnImage> {
    let format = sniff(bytes)?;
    let (bytes, size) = strip(format, bytes, budget).map_err(|error| {
        if error == TOO_MANY_PARTS {
            NotAnImage::Unfit(error.to_string())
        } else {
            NotAnImage::Other(error.to_string())
        }
    })?;
    if sniff(&bytes)? != format {
        return Err(NotAnImage::Unfit("it is valid in two formats".into()));
    }
    let (width, height) = dimensions(format, &bytes, size)?;
    let kept = KeptImage {
        id: ImageId::of(&bytes),
        format,
        bytes: bytes.len() as u64,
        width,
        height,
    };
    Ok(Picture { bytes, kept })
}

fn sniff(bytes: &[u8]) -> Result<ImageFormat, NotAnImage> {
    if let Some(format) = sniff_brand(bytes) {
        return Ok(format);
    }
    let Some(kind) = infer::get(bytes) else {
        return Err(NotAnImage::Other("its type is unknown".into()));
    };
    match kind.mime_type() {
        "image/jpeg" => Ok(ImageFormat::Jpeg),
        "image/png" => Ok(ImageFormat::Png),
        "image/gif" => Ok(ImageFormat::Gif),
        "image/webp" => Ok(ImageFormat::Webp),
        "image/bmp" => Ok(ImageFormat::Bmp),
        "image/tiff" => Ok(ImageFormat::Tiff),
        "image/vnd.microsoft.icon" => Ok(ImageFormat::Ico),
        "image/jp2" => Ok(ImageFormat::Jp2),
        other => Err(NotAnImage::Other(format!("its bytes are {other}"))),
    }
}

/// Distinguishes HEIF and AVIF by the first brand that names the coding.
fn sniff_brand(bytes: &[u8]) -> Option<ImageFormat> {
    if bytes.get(4..8) != Some(b"ftyp") {
        return None;
    }
    let [a, b, c, d] = bytes.first_chunk::<4>()?;
    let size = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok()?;
    let brands = bytes.get(8..size.min(8 + 256))?;
    brands.chunks(4).find_map(|brand| match brand {
        b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"hevm" | b"hevs" => {
            Some(ImageFormat::Heif)
        }
        b"avif" | b"avis" | b"avio" => Some(ImageFormat::Avif),
        _ => None,
    })
}

/// Returns width and height. `size` comes from stripping; other formats are measured here.
fn dimensions(format: ImageFormat, bytes: &[u8], size: Size) -> Result<(u32, u32), NotAnImage> {
    let (width, height) = match size {
        Some(size) => size,
        None => {
            let size = imagesize::blob_size(bytes)
                .map_err(|_detail| NotAnImage::Other("its size cannot be read".into()))?;
            let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
            (side(size.width), side(size.height))
        }
    };
    // A negative height of a BMP means that the top row comes first.
    let height = match format {
        ImageFormat::Bmp => height.cast_signed().unsigned_abs(),
        _ => height,
    };
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || width > SIDE_MAX || height > SIDE_MAX || pixels > PIXELS_MAX {
        return Err(NotAnImage::Unfit(format!("{width} × {height} pixels")));
    }
    Ok((width, height))
}

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod tests;
