//! What fetched bytes really are, and whether they are a picture that is kept. Neither the address nor
//! the header that came with them is asked, and nothing is ever decoded.

use bytes::Bytes;

use super::strip::strip;
use crate::model::{ImageFormat, ImageId, KeptImage};

/// The widest and highest that Feishu takes (GIF: less, and checked where it is uploaded).
const SIDE_MAX: u32 = 12_000;
/// More than any screen or telephone makes; what a viewer must decode at once.
const PIXELS_MAX: u64 = 100_000_000;

/// A picture fit to be kept.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its bytes, with nothing but the picture in them.
    pub bytes: Bytes,
    /// What is known of them.
    pub kept: KeptImage,
}

/// The bytes are no picture that is kept. Fit for a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a picture that is kept: {0}")]
pub struct NotAPicture(String);

/// Checks and strips. What is kept was measured after stripping: it is what everyone will be served.
pub fn inspect(bytes: &Bytes) -> Result<Picture, NotAPicture> {
    let format = sniff(bytes)?;
    let bytes = strip(format, bytes).map_err(|error| NotAPicture(error.to_string()))?;
    if sniff(&bytes)? != format {
        return Err(NotAPicture("it reads as two formats".into()));
    }
    let (width, height) = dimensions(format, &bytes)?;
    let kept = KeptImage {
        id: ImageId::of(&bytes),
        format,
        bytes: bytes.len() as u64,
        width,
        height,
    };
    Ok(Picture { bytes, kept })
}

fn sniff(bytes: &[u8]) -> Result<ImageFormat, NotAPicture> {
    let Some(kind) = infer::get(bytes) else {
        return Err(NotAPicture("its bytes are of no known type".into()));
    };
    match kind.mime_type() {
        "image/jpeg" => Ok(ImageFormat::Jpeg),
        "image/png" => Ok(ImageFormat::Png),
        "image/gif" => Ok(ImageFormat::Gif),
        "image/webp" => Ok(ImageFormat::Webp),
        "image/bmp" => Ok(ImageFormat::Bmp),
        "image/heif" => Ok(ImageFormat::Heif),
        other => Err(NotAPicture(format!("its bytes are {other}"))),
    }
}

fn dimensions(format: ImageFormat, bytes: &[u8]) -> Result<(u32, u32), NotAPicture> {
    let size = imagesize::blob_size(bytes)
        .map_err(|_detail| NotAPicture("its size cannot be read".into()))?;
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    let (width, height) = match format {
        // A negative height means that the top row comes first.
        ImageFormat::Bmp => (
            side(size.width),
            side(size.height).cast_signed().unsigned_abs(),
        ),
        ImageFormat::Jpeg
        | ImageFormat::Png
        | ImageFormat::Gif
        | ImageFormat::Webp
        | ImageFormat::Heif => (side(size.width), side(size.height)),
    };
    let pixels = u64::from(width) * u64::from(height);
    if pixels == 0 || width > SIDE_MAX || height > SIDE_MAX || pixels > PIXELS_MAX {
        return Err(NotAPicture(format!("{width} × {height} pixels")));
    }
    Ok((width, height))
}

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
mod tests;
