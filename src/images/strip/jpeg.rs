//! JPEG (ITU T.81). The file is read to its end, including scans. `img-parts` stops at the first scan, and a
//! file may contain more metadata, a second image or another file behind it.

use super::reader::Reader;
use super::{Budget, Malformed, icc};

const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;
/// The prefix of segments that contain a colour profile. The number of the segment and their count follow.
const ICC: &[u8] = b"ICC_PROFILE\0";
/// The bytes of a profile that fit into one segment.
const ICC_PIECE_BYTES_MAX: usize = 65_000;

const CUT_SHORT: Malformed = Malformed("the JPEG is cut short");

pub(super) fn strip(bytes: &[u8], budget: &mut Budget) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.take(2) != Some(&[0xff, 0xd8]) {
        return Err(Malformed("not a JPEG"));
    }
    let mut body = Vec::with_capacity(bytes.len());
    let mut orientation = None;
    let mut profile = Profile::default();
    let mut frames = 0;
    let mut scans = 0;
    loop {
        budget.part()?;
        let marker = next_marker(&mut reader)?;
        match marker {
            EOI => break,
            // These markers carry no data, and have no meaning between segments.
            0x01 | 0xd0..=0xd7 => continue,
            0x00 | 0xd8 => return Err(Malformed("the JPEG has a misplaced marker")),
            _ => {}
        }
        let length = reader.be16().ok_or(CUT_SHORT)?;
        let content_bytes = length
            .checked_sub(2)
            .ok_or(Malformed("a JPEG segment is too short"))?;
        let content = reader.take(content_bytes).ok_or(CUT_SHORT)?;
        match marker {
            APP1 => orientation = orientation.or(exif_orientation(content)),
            APP2 => profile.add(content),
            _ => {}
        }
        frames += usize::from(is_frame(marker));
        match kept_content(marker, content) {
            Some(kept) => push_segment(&mut body, marker, kept),
            None if is_frame(marker) || marker == SOS => return Err(CUT_SHORT),
            None => {}
        }
        if marker == SOS {
            scans += 1;
            body.extend(entropy(&mut reader));
        }
    }
    if frames != 1 || scans == 0 {
        return Err(Malformed("the JPEG does not contain exactly one image"));
    }
    Ok(assemble(orientation, &profile, &body))
}

fn assemble(orientation: Option<u8>, profile: &Profile<'_>, body: &[u8]) -> Vec<u8> {
    let profile = profile.reduced().unwrap_or_default();
    let mut picture = Vec::with_capacity(body.len() + profile.len() + 100);
    picture.extend([0xff, 0xd8]);
    if let Some(orientation) = orientation {
        push_segment(&mut picture, APP1, &minimal_exif(orientation));
    }
    let pieces = profile.chunks(ICC_PIECE_BYTES_MAX);
    let count = u8::try_from(pieces.len()).unwrap_or(u8::MAX);
    for (number, piece) in (1_u8..).zip(pieces) {
        push_segment(&mut picture, APP2, &[ICC, &[number, count], piece].concat());
    }
    picture.extend(body);
    picture.extend([0xff, EOI]);
    picture
}

/// A colour profile, which may be spread over segments in any order.
#[derive(Default)]
struct Profile<'a> {
    /// The count that the first segment states, and each piece under its number, from 1.
    count: u8,
    pieces: Vec<Option<&'a [u8]>>,
}

impl<'a> Profile<'a> {
    fn add(&mut self, content: &'a [u8]) {
        let Some([number, count, piece @ ..]) = content.strip_prefix(ICC) else {
            return;
        };
        if self.pieces.is_empty() {
            self.count = *count;
            self.pieces = vec![None; usize::from(*count)];
        }
        let place = usize::from(*number).checked_sub(1);
        if let Some(empty) = place.and_then(|place| self.pieces.get_mut(place))
            && *count == self.count
        {
            empty.get_or_insert(piece);
        }
    }

    /// Returns the reduced profile; `None` if there is none, or it is damaged.
    fn reduced(&self) -> Option<Vec<u8>> {
        let pieces: Option<Vec<&[u8]>> = self.pieces.iter().copied().collect();
        icc::reduce(&pieces?.concat())
            .filter(|profile| profile.len().div_ceil(ICC_PIECE_BYTES_MAX) <= usize::from(u8::MAX))
    }
}

fn push_segment(out: &mut Vec<u8>, marker: u8, content: &[u8]) {
    let length = u16::try_from(content.len() + 2).expect("it was read with a length of 16 bits");
    out.extend([0xff, marker]);
    out.extend(length.to_be_bytes());
    out.extend(content);
}

/// Returns the next marker; any number of 0xff may precede it. At the end of the file it returns the end
/// marker, because every program shows such an image.
fn next_marker(reader: &mut Reader<'_>) -> Result<u8, Malformed> {
    if reader.is_empty() {
        return Ok(EOI);
    }
    if reader.u8() != Some(0xff) {
        return Err(Malformed("the JPEG has bytes between its segments"));
    }
    loop {
        match reader.u8().ok_or(CUT_SHORT)? {
            0xff => {}
            marker => return Ok(marker),
        }
    }
}

/// Returns whether a marker starts a frame. 0xc4, 0xc8 and 0xcc are in the same range, but start
/// tables or are reserved.
fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// Returns the part of a segment that decoding needs. The colour profile is handled separately.
fn kept_content(marker: u8, content: &[u8]) -> Option<&[u8]> {
    // JFIF of version 1.02, 1:1 pixels, without the thumbnail that may follow.
    const JFIF: &[u8] = b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0";
    let byte = |at: usize| content.get(at).copied().map(usize::from);
    let bytes = match marker {
        APP0 => return content.starts_with(b"JFIF\0").then_some(JFIF),
        // Without Adobe's colour marker CMYK images are shown inverted. It is 12 bytes long.
        APP14 if content.starts_with(b"Adobe") => 12,
        // Depth, height, width, and three bytes for each component.
        marker if is_frame(marker) => 6 + 3 * byte(5)?,
        // Components, two bytes for each, and three for the scan.
        SOS => 4 + 2 * byte(0)?,
        // Restart interval, number of lines, arithmetic conditioning.
        0xdd | 0xdc => 2,
        0xcc => content.len().min(16) & !1,
        0xdb => tables_bytes(content, |table| {
            Some(if table.first()? >> 4 == 0 { 65 } else { 129 })
        }),
        0xc4 => tables_bytes(content, |table| {
            let counts = table.get(1..17)?.iter();
            Some(17 + counts.map(|count| usize::from(*count)).sum::<usize>())
        }),
        _ => return None,
    };
    content.get(..bytes)
}

/// Reduces a JPEG that contains only tables, which the images of a TIFF share. Returns `None` if it is damaged.
pub(super) fn reduce_tables(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(bytes);
    if reader.take(2)? != [0xff, 0xd8] {
        return None;
    }
    let mut kept = vec![0xff, 0xd8];
    loop {
        let marker = next_marker(&mut reader).ok()?;
        if marker == EOI {
            kept.extend([0xff, EOI]);
            return Some(kept);
        }
        let content = reader.be16()?.checked_sub(2)?;
        let content = reader.take(content)?;
        if let 0xc4 | 0xcc | 0xdb | 0xdd = marker {
            push_segment(&mut kept, marker, kept_content(marker, content)?);
        }
    }
}

/// Returns the number of bytes of complete consecutive tables.
fn tables_bytes(content: &[u8], size: impl Fn(&[u8]) -> Option<usize>) -> usize {
    let mut end = 0;
    while let Some(next) = content.get(end..).and_then(&size) {
        if end + next > content.len() {
            break;
        }
        end += next;
    }
    end
}

/// Reads the coded pixels of a scan, up to the next marker that is neither stuffing nor a restart.
fn entropy<'a>(reader: &mut Reader<'a>) -> &'a [u8] {
    let rest = reader.rest();
    let end = rest
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7))
        .unwrap_or_else(|| rest.strip_suffix(&[0xff]).unwrap_or(rest).len());
    reader.take(end).unwrap_or_default()
}

/// Returns the orientation tag (0x0112) of an Exif segment, unless the image is upright.
fn exif_orientation(content: &[u8]) -> Option<u8> {
    let tiff = content.strip_prefix(b"Exif\0\0")?;
    let big_endian = match tiff.get(..4)? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let u16_of = |reader: &mut Reader<'_>| {
        if big_endian {
            reader.be16()
        } else {
            reader.le16()
        }
    };
    let u32_of = |reader: &mut Reader<'_>| {
        if big_endian {
            reader.be32()
        } else {
            reader.le32()
        }
    };
    let mut reader = Reader::new(tiff.get(4..)?);
    let directory = u32_of(&mut reader)?;
    let mut reader = Reader::new(tiff.get(directory..)?);
    for _entry in 0..u16_of(&mut reader)? {
        let mut entry = Reader::new(reader.take(12)?);
        if u16_of(&mut entry)? == 0x0112 {
            let (_kind, _count) = (u16_of(&mut entry)?, u32_of(&mut entry)?);
            let orientation = u8::try_from(u16_of(&mut entry)?).ok()?;
            return (2..=8).contains(&orientation).then_some(orientation);
        }
    }
    None
}

/// Returns an Exif segment that contains the orientation and nothing else.
fn minimal_exif(orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    exif
}
