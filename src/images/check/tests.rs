//! Tests of every format: markers removed, pixels kept, bombs and other files refused, no panics.

use proptest::prelude::*;

use super::samples::{self, MARKER, PIXELS};
use super::*;

fn inspected(bytes: &[u8]) -> Result<Picture, NotAnImage> {
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
        // A second pass changes nothing, so the first was complete.
        assert_eq!(inspected(&picture.bytes).unwrap(), picture, "{format}");
    }
}

/// The parts that remain of a HEIF: pixels, the properties that show, and the role of the alpha image.
const HEIF: &[&[u8]] = &[
    PIXELS,
    b"ispe",
    b"hvc1",
    b"cdsc",
    b"ipma",
    b"acsp",
    b"curv\0\0\0\0\0\0\0\x01\x02\x33",
    b"nclx\0\x01\0\x0d\0\x06\x80",
    b"urn:mpeg:hevc:2015:auxid:1\0",
];

#[test]
fn stripping_keeps_parts_that_viewers_need() {
    let needed: [(_, &[&[u8]]); 10] = [
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
        (
            samples::png(1, 1),
            &[b"iCCPicc\0\0", b"gAMA", b"IDAT", b"\x78\x01\x01\x04"],
        ),
        (
            samples::gif(1, 1),
            &[b"NETSCAPE2.0\x03\x01\0\0\0", b"\x21\xf9\x04\0\x0a\0\0\0"],
        ),
        (samples::webp(1, 1), &[b"ICCP", b"ANIM", b"ANMF", b"VP8L"]),
        (samples::bmp(1, 1), &[&[0x55; 4], b"BGRs"]),
        (samples::heif(1, 1), HEIF),
        (samples::avif(1, 1), &[PIXELS, b"ispe", b"av01"]),
        (samples::tiff(1, 1), &[PIXELS, b"acsp", b"curv"]),
        (samples::ico(1, 1), &[&[0x55; 4], b"IDAT"]),
        (samples::jp2(1, 1), &[PIXELS, b"ihdr", b"acsp", b"\xff\x93"]),
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
fn other_file_types_are_refused_and_named() {
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
fn truncated_image_is_refused_or_still_complete() {
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
fn two_images_in_one_jpeg_are_refused() {
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
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), which in 0_usize..10) {
        let (_, sample) = &samples::all()[which];
        for start in [0, 2, 4, 8, 12, 16, 24] {
            let begun = [&sample[..start.min(sample.len())], &bytes].concat();
            inspected(&begun).ok();
        }
    }

    /// Mutated samples are either refused or kept as something that a second pass does not change.
    #[test]
    fn mutations_never_panic(
        which in 0_usize..10,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (_, mut sample) = samples::all().swap_remove(which);
        for (place, value) in changes {
            let place = place.index(sample.len());
            sample[place] = value;
        }
        if let Ok(picture) = inspected(&sample) {
            prop_assert!(picture.bytes.len() <= sample.len() + 100, "it grows");
            prop_assert_eq!(inspected(&picture.bytes).unwrap().kept, picture.kept);
        }
    }
}

/// Checks a file and returns how many parts of it were read.
fn parts_read(bytes: &[u8]) -> (Result<Picture, NotAnImage>, u32) {
    let mut budget = Budget::new(Arc::default());
    let result = inspect_within(bytes, &mut budget);
    (result, budget.spent())
}

/// Returns a HEIF that ends with a complete box.
fn heif_boxes() -> Vec<u8> {
    let mut heif = samples::heif(1, 1);
    heif.truncate(heif.len() - samples::TRAILER.len() - MARKER.len());
    heif
}

/// Files of some megabytes that consist of as many parts as their format allows.
fn hostile() -> Vec<(&'static str, Vec<u8>, usize)> {
    let count = 400_000;
    let png = samples::png(1, 1);
    let before_data = 8 + 25;
    let many_chunks = samples::png_chunk(b"IDAT", &[]).repeat(count);
    let gif = samples::gif(1, 1);
    let frame_at = gif.windows(2).position(|w| w == b"\x2c\0").unwrap() + 11;
    let heif = heif_boxes();
    let jpeg = samples::jpeg(1, 1);
    let webp = samples::webp(1, 1);
    let mut many_frames = webp[..42].to_vec();
    many_frames.extend(b"prVt\0\0\0\0".repeat(count));
    many_frames.extend(&webp[42..webp.len() - MARKER.len()]);
    let size = u32::try_from(many_frames.len() - 8).unwrap().to_le_bytes();
    many_frames[4..8].copy_from_slice(&size);
    vec![
        (
            "PNG chunks",
            [&png[..before_data], &many_chunks, &png[before_data..]].concat(),
            count,
        ),
        (
            "GIF blocks",
            [&gif[..frame_at], &[1, 0].repeat(count), &gif[frame_at..]].concat(),
            count,
        ),
        (
            "HEIF boxes",
            [heif, samples::atom(b"free", &[]).repeat(count)].concat(),
            count,
        ),
        (
            "JPEG segments",
            [&jpeg[..2], &[0xff, 0xfe, 0, 2].repeat(count), &jpeg[2..]].concat(),
            count,
        ),
        ("WebP chunks", many_frames, count),
    ]
}

#[test]
fn work_is_linear_in_parts_and_too_many_are_refused() {
    for (name, bytes, count) in hostile() {
        let (result, parts) = parts_read(&bytes);
        assert!(result.is_ok(), "{name}: {result:?}");
        // The boxes of HEIF are walked twice: first to find the images, then to blank the rest.
        let twice = if name == "HEIF boxes" { 2 } else { 1 };
        let expected = u32::try_from(count * twice).unwrap();
        assert!(
            (expected..expected + 100).contains(&parts),
            "{name}: {parts}"
        );
    }
    let endless = samples::atom(b"free", &[]).repeat(1_100_000);
    let (result, parts) = parts_read(&[heif_boxes(), endless].concat());
    assert!(matches!(result, Err(NotAnImage::Unfit(reason)) if reason.contains("too many parts")));
    assert_eq!(parts, 1_000_000);
}

/// Data boxes and data locations were once compared each with each.
#[test]
fn data_boxes_and_locations_are_read_once() {
    let heif = heif_boxes();
    let films = samples::atom(b"mdat", MARKER).repeat(100_000);
    let (result, parts) = parts_read(&[heif, films].concat());
    assert!(!holds(&result.unwrap().bytes, MARKER));
    assert!(parts < 200_200, "{parts}");
}

#[test]
fn cancelled_check_ends_at_its_next_part() {
    let cancelled = Arc::new(AtomicBool::new(true));
    let mut budget = Budget::new(cancelled);
    let error = inspect_within(&samples::png(1, 1), &mut budget).unwrap_err();
    assert!(error.to_string().contains("too long"), "{error}");
    assert!(budget.spent() <= 1);
}

/// A small file must not become a large one, however often its parts name the same bytes.
#[test]
fn shared_parts_do_not_enlarge_the_file() {
    let mut icon = b"\0\0\x01\0\x40\0".to_vec();
    let picture = samples::png(1, 1);
    let start = u32::try_from(6 + 64 * 16).unwrap();
    let bytes = u32::try_from(picture.len()).unwrap();
    for _entry in 0..64 {
        icon.extend([1, 1, 0, 0, 1, 0, 24, 0]);
        icon.extend(bytes.to_le_bytes());
        icon.extend(start.to_le_bytes());
    }
    icon.extend(&picture);
    assert!(inspected(&icon).is_err());
}

fn count_of(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|w| *w == part).count()
}

#[test]
fn later_profiles_of_a_png_are_dropped_unread() {
    let png = samples::png(1, 1);
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&vec![0; 2 << 20], 6);
    let bomb = samples::png_chunk(b"iCCP", &[&b"x\0\0"[..], &packed].concat());
    let before_data = png.windows(4).position(|w| w == b"gAMA").unwrap() - 4;
    let (start, end) = png.split_at(before_data);
    let (result, parts) = parts_read(&[start, &bomb.repeat(1000), end].concat());
    assert_eq!(count_of(&result.unwrap().bytes, b"iCCP"), 1);
    assert!(parts < 1100, "{parts}");
    // Unpacking counts as work, even if it ends in an error.
    let damaged = samples::png_chunk(
        b"iCCP",
        &[&b"x\0\0"[..], &packed[..packed.len() / 2]].concat(),
    );
    for profile in [bomb, damaged] {
        let (_, parts) = parts_read(&[&start[..8 + 25], &profile, end].concat());
        assert!(parts > 1000, "{parts}");
    }
}

/// Returns a little-endian TIFF of pages with one strip each. Every page lists `profiles`, given as offset
/// and length.
fn tiff_pages(pages: &[Vec<(usize, usize)>], data: &[u8]) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let entry = |tag: u16, kind: u8, count: usize, value: usize| {
        [
            &tag.to_le_bytes()[..],
            &[kind, 0],
            &number(count),
            &number(value),
        ]
        .concat()
    };
    let mut tiff = [b"II*\0", &number(8 + data.len())[..], data].concat();
    for (index, profiles) in pages.iter().enumerate() {
        let mut entries = vec![
            entry(256, 4, 1, 1),
            entry(257, 4, 1, 1),
            entry(273, 4, 1, 0),
            entry(279, 4, 1, 8),
        ];
        entries.extend(
            profiles
                .iter()
                .map(|(at, bytes)| entry(34_675, 7, *bytes, *at)),
        );
        let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
        let end = tiff.len() + 2 + entries.len() * 12 + 4;
        let next = if index + 1 == pages.len() { 0 } else { end };
        tiff.extend([&count[..], &entries.concat(), &number(next)].concat());
    }
    tiff
}

#[test]
fn a_tiff_page_keeps_its_first_profile_only() {
    let profile = samples::icc();
    let page = vec![(8, profile.len()); 500];
    let kept = inspected(&tiff_pages(&[page], &profile)).unwrap().bytes;
    assert_eq!(count_of(&kept, &34_675_u16.to_le_bytes()), 1);
    // Pages may share it.
    let pages = vec![vec![(8, profile.len())]; 200];
    let kept = inspected(&tiff_pages(&pages, &profile)).unwrap().bytes;
    assert_eq!(count_of(&kept, &34_675_u16.to_le_bytes()), 200);
}

#[test]
fn a_tiff_page_has_its_first_width() {
    let entry = |width: u8| [&[0, 1, 4, 0, 1, 0, 0, 0][..], &[width, 0, 0, 0]].concat();
    // The second entry is at first a profile of one byte.
    let mut tiff = tiff_pages(&[vec![(9, 1)]], &[0; 8]);
    let place = tiff.len() - 4 - 12;
    tiff[place..place + 12].copy_from_slice(&entry(200));
    let image = inspected(&tiff).unwrap();
    assert_eq!((image.kept.width, image.kept.height), (1, 1));
}

#[test]
fn overlapping_profiles_of_tiff_pages_are_refused() {
    // Every 256 bytes a profile starts, whose only tag is half of the data.
    let mut period = [0; 256];
    period[36..40].copy_from_slice(b"acsp");
    period[131] = 1;
    period[132..136].copy_from_slice(b"A2B0");
    period[139] = 144;
    period[140..144].copy_from_slice(&4096_u32.to_be_bytes());
    period[144..148].copy_from_slice(b"mft2");
    let data = period.repeat(32);
    let pages = |count: usize| {
        let page = |index: usize| vec![(8 + index * 256, data.len() - index * 256)];
        tiff_pages(&(0..count).map(page).collect::<Vec<_>>(), &data)
    };
    assert!(inspected(&pages(1)).is_ok());
    let error = inspected(&pages(15)).unwrap_err();
    assert!(matches!(error, NotAnImage::Unfit(_)), "{error}");
}
