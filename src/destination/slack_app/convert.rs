//! Converts images that Slack cannot show. This is the only place where images are decoded, and they come from
//! untrusted people. So limits are checked before decoding, few images are decoded at a time, and the work runs
//! on threads of its own.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat as Codec, ImageReader, Limits};
use tokio::sync::Semaphore;

use crate::model::ImageFormat;

/// The largest width and height that is decoded, in pixels.
const SIDE_MAX: u32 = 10_000;
/// The memory that decoding may use, in bytes. A PNG of 190 kB can decode to 200 MB.
const DECODED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Below this quality, JPEG artefacts are visible in text of screenshots.
const JPEG_QUALITY: u8 = 90;

/// Allows two conversions at once in the whole process, because each takes a thread and its memory.
static TURNS: Semaphore = Semaphore::const_new(2);

/// An image that Slack can show, and its file name extension.
#[derive(Debug)]
pub(super) struct Showable {
    pub(super) bytes: Bytes,
    pub(super) suffix: &'static str,
}

/// Why an image cannot be converted for Slack. The text can be logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the image cannot be converted for Slack: {0}")]
pub(super) struct NotShowable(&'static str);

/// Returns the image itself if Slack shows its format (png, jpeg, gif), else a conversion that looks the same.
pub(super) async fn showable(format: ImageFormat, bytes: Bytes) -> Result<Showable, NotShowable> {
    let codec = match format {
        ImageFormat::Png => {
            return Ok(Showable {
                bytes,
                suffix: "png",
            });
        }
        ImageFormat::Jpeg => {
            return Ok(Showable {
                bytes,
                suffix: "jpg",
            });
        }
        ImageFormat::Gif => {
            return Ok(Showable {
                bytes,
                suffix: "gif",
            });
        }
        ImageFormat::Webp => Codec::WebP,
        ImageFormat::Bmp => Codec::Bmp,
        ImageFormat::Heif => return Err(NotShowable("HEIC cannot be decoded here")),
        ImageFormat::Avif | ImageFormat::Tiff | ImageFormat::Ico | ImageFormat::Jp2 => {
            return Err(NotShowable("its format cannot be decoded here"));
        }
    };
    in_turn(&TURNS, codec, bytes).await
}

async fn in_turn(
    turns: &'static Semaphore,
    codec: Codec,
    bytes: Bytes,
) -> Result<Showable, NotShowable> {
    let turn = turns.acquire().await;
    let work = move || {
        // The permit moves into the work, because the thread continues even if the caller gives up.
        let _turn = turn;
        convert(codec, &bytes)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(converted) => converted,
        Err(_panicked) => Err(NotShowable("its decoder failed")),
    }
}

fn convert(codec: Codec, bytes: &[u8]) -> Result<Showable, NotShowable> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), codec);
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let picture = reader
        .decode()
        .map_err(|_detail| NotShowable("it is damaged or too large"))?;
    encode(&picture).ok_or(NotShowable("it cannot be encoded"))
}

/// Encodes as JPEG, or as PNG if the image is transparent.
fn encode(picture: &DynamicImage) -> Option<Showable> {
    let mut encoded = Cursor::new(Vec::new());
    let suffix = if picture.color().has_alpha() {
        picture.write_to(&mut encoded, Codec::Png).ok()?;
        "png"
    } else {
        let jpeg = JpegEncoder::new_with_quality(&mut encoded, JPEG_QUALITY);
        picture.write_with_encoder(jpeg).ok()?;
        "jpg"
    };
    let bytes = encoded.into_inner().into();
    Some(Showable { bytes, suffix })
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage, Rgba, RgbaImage};

    use super::*;

    fn encoded(picture: &DynamicImage, codec: Codec) -> Bytes {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, codec).unwrap();
        bytes.into_inner().into()
    }

    fn opaque(side: u32) -> DynamicImage {
        RgbImage::from_pixel(side, side, Rgb([200, 30, 40])).into()
    }

    #[tokio::test]
    async fn supported_format_is_not_converted() {
        for (format, suffix) in [
            (ImageFormat::Png, "png"),
            (ImageFormat::Jpeg, "jpg"),
            (ImageFormat::Gif, "gif"),
        ] {
            let bytes = Bytes::from_static(b"not looked at");
            let shown = showable(format, bytes.clone()).await.unwrap();
            assert_eq!((shown.bytes, shown.suffix), (bytes, suffix));
        }
    }

    #[tokio::test]
    async fn unsupported_format_is_converted_and_looks_the_same() {
        let clear: DynamicImage = RgbaImage::from_pixel(8, 6, Rgba([10, 20, 30, 40])).into();
        for (format, codec, picture, suffix, becomes) in [
            (
                ImageFormat::Webp,
                Codec::WebP,
                opaque(16),
                "jpg",
                Codec::Jpeg,
            ),
            (ImageFormat::Bmp, Codec::Bmp, opaque(16), "jpg", Codec::Jpeg),
            (ImageFormat::Webp, Codec::WebP, clear, "png", Codec::Png),
        ] {
            let shown = showable(format, encoded(&picture, codec)).await.unwrap();
            assert_eq!(shown.suffix, suffix);
            let again = image::load_from_memory_with_format(&shown.bytes, becomes).unwrap();
            assert_eq!(
                (again.width(), again.height()),
                (picture.width(), picture.height())
            );
            let (was, is) = (picture.to_rgba8(), again.to_rgba8());
            let pairs = was.as_raw().iter().zip(is.as_raw());
            assert!(
                pairs.into_iter().all(|(a, b)| a.abs_diff(*b) < 8),
                "{suffix}"
            );
        }
    }

    #[test]
    fn abandoned_conversion_keeps_its_permit_until_it_ends() {
        static TURNS_OF_TEST: Semaphore = Semaphore::const_new(2);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            // The one thread is busy, so the conversion cannot even begin.
            let (release, held) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || held.recv());
            let bytes = encoded(&opaque(16), Codec::Bmp);
            let work = in_turn(&TURNS_OF_TEST, Codec::Bmp, bytes);
            let given_up = tokio::time::timeout(std::time::Duration::ZERO, work).await;
            assert!(given_up.is_err());
            assert_eq!(TURNS_OF_TEST.available_permits(), 1);
            release.send(()).unwrap();
            busy.await.unwrap().unwrap();
            let both = TURNS_OF_TEST.acquire_many(2).await;
            assert!(both.is_ok());
        });
    }

    #[tokio::test]
    async fn bombs_and_rubbish_are_refused_before_decoding() {
        // A complete BMP header that promises pixels: 20000 × 1, and 9000 × 9000.
        let header = |width: u32, height: u32| {
            let mut bytes = encoded(&opaque(2), Codec::Bmp).to_vec();
            bytes[18..22].copy_from_slice(&width.to_le_bytes());
            bytes[22..26].copy_from_slice(&height.to_le_bytes());
            Bytes::from(bytes)
        };
        for bytes in [
            header(20_000, 1),
            header(9_000, 9_000),
            Bytes::from_static(b"BM"),
            Bytes::new(),
        ] {
            assert!(showable(ImageFormat::Bmp, bytes).await.is_err());
        }
        let cut = encoded(&opaque(64), Codec::WebP);
        let cut = cut.slice(..cut.len() / 2);
        assert!(showable(ImageFormat::Webp, cut).await.is_err());
        let heic = showable(ImageFormat::Heif, Bytes::from_static(b"x")).await;
        assert!(heic.unwrap_err().to_string().contains("HEIC"));
    }
}
