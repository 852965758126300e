//! Every format: markers gone, pixels there, bombs and strangers refused, nothing panics.

use proptest::prelude::*;

use super::samples::{self, MARKER, PIXELS};
use super::*;

fn inspected(bytes: &[u8]) -> Result<Picture, NotAPicture> {
    inspect(&Bytes::copy_from_slice(bytes))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn every_format_is_kept_without_its_metadata() {
    for (format, bytes) in samples::all() {
        assert!(holds(&bytes, MARKER), "{format}: the sample proves nothing");
        let picture = inspected(&bytes).unwrap_or_else(|error| panic!("{format}: {error}"));
        assert!(!holds(&picture.bytes, MARKER), "{format}");
        assert!(!holds(&picture.bytes, b"HOME"), "{format}");
        let kept = &picture.kept;
        assert_eq!((kept.format, kept.width, kept.height), (format, 1, 1));
        assert_eq!(kept.id, ImageId::of(&picture.bytes));
        assert_eq!(kept.bytes, picture.bytes.len() as u64);
        // What is kept is what would be kept again: nothing was left half done.
        assert_eq!(inspected(&picture.bytes).unwrap(), picture, "{format}");
    }
}

#[test]
fn what_a_viewer_needs_is_left() {
    let needed: [(_, &[&[u8]]); 6] = [
        (
            samples::jpeg(1, 1),
            &[
                b"ICC_PROFILE",
                b"Adobe\0\x64",
                b"\x12\xff\0\x34\xff\xd0\x56",
                b"\x78\xff\xd9",
                b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0",
            ],
        ),
        (samples::png(1, 1), &[b"gAMA", b"IDAT", b"\x78\x01\x01\x04"]),
        (
            samples::gif(1, 1),
            &[b"NETSCAPE2.0\x03\x01\0\0\0", b"\x21\xf9\x04\0\x0a\0\0\0"],
        ),
        (samples::webp(1, 1), &[b"ICCP", b"ANIM", b"ANMF", b"VP8L"]),
        (samples::bmp(1, 1), &[&[0x55; 4], b"BGRs"]),
        (samples::heif(1, 1), &[PIXELS, b"ispe", b"hvc1"]),
    ];
    for (sample, parts) in needed {
        let picture = inspected(&sample).unwrap();
        for part in parts {
            assert!(
                holds(&picture.bytes, part),
                "{} {part:?}",
                picture.kept.format
            );
        }
    }
    // The flags that announced Exif and XMP are gone; animation and colours stay.
    let webp = inspected(&samples::webp(1, 1)).unwrap().bytes;
    assert_eq!(webp[20], 0x22);
}

#[test]
fn an_upright_jpeg_gets_no_exif_at_all() {
    let mut upright = samples::jpeg(1, 1);
    let orientation = upright
        .windows(6)
        .position(|w| w == b"\x12\x01\x03\0\x01\0")
        .unwrap()
        + 8;
    assert_eq!(upright[orientation], 6);
    upright[orientation] = 1;
    assert!(!holds(&inspected(&upright).unwrap().bytes, b"Exif"));
}

#[test]
fn bombs_are_refused_by_their_headers() {
    let bombs = [
        samples::png(50_000, 50_000),
        samples::png(12_001, 1),
        samples::png(1, 12_001),
        samples::png(0, 1),
        samples::png(u32::MAX, u32::MAX),
        samples::png(10_001, 10_000),
        samples::jpeg(50_000, 50_000),
        samples::gif(50_000, 50_000),
        samples::webp(16_000_000, 16_000_000),
        samples::heif(50_000, 50_000),
        samples::jpeg(1, 0),
    ];
    for bomb in bombs {
        let error = inspected(&bomb).unwrap_err().to_string();
        assert!(error.contains("pixels"), "{error}");
    }
    assert!(inspected(&samples::png(10_000, 10_000)).is_ok());
    assert!(inspected(&samples::png(12_000, 8_000)).is_ok());
}

#[test]
fn strangers_are_refused_and_named() {
    let strangers: [&[u8]; 10] = [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        b"<!DOCTYPE html><html></html>",
        b"%PDF-1.7\n",
        b"PK\x03\x04zip",
        b"\0\0\0\x18ftypavif\0\0\0\0avifmif1",
        b"\0\0\x01\0\x01\0\x10\x10\0\0\x01\0\x20\0",
        b"II*\0\x08\0\0\0\0\0\0\0",
        b"8BPS\0\x01",
        b"{\"code\":404}",
    ];
    for stranger in strangers {
        assert!(inspected(stranger).is_err(), "{}", stranger.escape_ascii());
    }
    assert!(
        inspected(strangers[3])
            .unwrap_err()
            .to_string()
            .contains("application/pdf")
    );
}

#[test]
fn a_picture_that_is_cut_anywhere_is_refused_or_still_whole() {
    for (format, bytes) in samples::all() {
        let whole = inspected(&bytes).unwrap();
        for end in 0..bytes.len() {
            // JPEG and GIF may lack what follows their last scan or frame: all programs show them.
            if let Ok(picture) = inspected(&bytes[..end]) {
                assert!(!holds(&picture.bytes, MARKER), "{format} cut at {end}");
                assert!(
                    picture.bytes.len() <= whole.bytes.len(),
                    "{format} cut at {end}"
                );
            }
        }
    }
}

#[test]
fn two_pictures_in_one_jpeg_are_refused() {
    let picture = samples::jpeg(1, 1);
    let frame = picture.windows(2).position(|w| w == [0xff, 0xc2]).unwrap();
    let mut twice = picture[..frame].to_vec();
    twice.extend(&picture[frame..frame + 13]);
    twice.extend(&picture[frame..]);
    let error = inspected(&twice).unwrap_err().to_string();
    assert!(error.contains("exactly one"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), which in 0_usize..6) {
        let (_, sample) = &samples::all()[which];
        for start in [0, 2, 4, 8, 12, 16, 24] {
            let begun = [&sample[..start.min(sample.len())], &bytes].concat();
            inspected(&begun).ok();
        }
    }

    /// Changed samples either are refused or are kept as something that stays what it is.
    #[test]
    fn mutations_never_panic(
        which in 0_usize..6,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (_, mut sample) = samples::all().swap_remove(which);
        for (place, value) in changes {
            let place = place.index(sample.len());
            sample[place] = value;
        }
        if let Ok(picture) = inspected(&sample) {
            prop_assert_eq!(inspected(&picture.bytes).unwrap().kept, picture.kept);
        }
    }
}
