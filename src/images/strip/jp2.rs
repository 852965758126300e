//! JPEG 2000 (ISO/IEC 15444-1): the image's header boxes and its code stream, without comments and indexes. No
//! kept part contains offsets from the start of the file.

use std::collections::HashSet;

use super::boxes::Parts;
use super::reader::Reader;
use super::{Budget, Malformed, Size, icc};

const CUT_SHORT: Malformed = Malformed("the JPEG 2000 is cut short");
const UNKNOWN: Malformed = Malformed("the JPEG 2000 has an unknown layout");

/// The largest number of colour components: CMYK with alpha.
const COMPONENTS_MAX: usize = 5;
const SIGNATURE: &[u8] = b"\0\0\0\x0cjP  \r\n\x87\n";
const FILE_TYPE: &[u8] = b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 ";

const SOC: [u8; 2] = [0xff, 0x4f];
const EOC: [u8; 2] = [0xff, 0xd9];
const SOT: u8 = 0x90;
const SOD: u8 = 0x93;
const SIZ: u8 = 0x51;

pub(super) fn strip(bytes: &[u8], budget: &mut Budget) -> Result<(Vec<u8>, Size), Malformed> {
    if !bytes.starts_with(SIGNATURE) {
        return Err(UNKNOWN);
    }
    let mut header = None;
    let mut stream = None;
    let mut parts = Parts::new(bytes, 0..bytes.len());
    while stream.is_none()
        && let Some(part) = parts.next(budget, CUT_SHORT)?
    {
        match &part.kind {
            b"jp2h" => header = Some(part),
            b"jp2c" => stream = Some(part),
            _ => {}
        }
    }
    let (Some(header), Some(stream)) = (header, stream) else {
        return Err(CUT_SHORT);
    };
    let mut kept_header = Vec::new();
    let mut parts = Parts::new(bytes, header.content);
    let mut seen = HashSet::new();
    while let Some(part) = parts.next(budget, CUT_SHORT)? {
        if seen.insert(part.kind)
            && let Some(kept) = header_box(part.kind, part.content(bytes))
        {
            push_box(&mut kept_header, &part.kind, &kept)?;
        }
    }
    let (stream, size) = code_stream(stream.content(bytes), budget)?;
    let mut picture = Vec::with_capacity(kept_header.len() + stream.len() + 64);
    picture.extend(SIGNATURE);
    picture.extend(FILE_TYPE);
    push_box(&mut picture, b"jp2h", &kept_header)?;
    push_box(&mut picture, b"jp2c", &stream)?;
    Ok((picture, Some(size)))
}

/// Returns the fields of a box of the header: size, depths, palette, channels, colours; `None` of others.
fn header_box(kind: [u8; 4], content: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| Reader::new(content.get(at..)?).be16();
    let bytes = match &kind {
        b"colr" => return colours(content),
        b"ihdr" => 14,
        // One byte for each component, and four for each channel. Neither states their number.
        b"bpcc" => content.len().min(COMPONENTS_MAX),
        b"cmap" => content.len().min(4 * COMPONENTS_MAX),
        b"cdef" => 2 + 6 * number(0)?,
        b"pclr" => palette_bytes(content)?,
        _ => return None,
    };
    content.get(..bytes).map(<[u8]>::to_vec)
}

/// Returns the size of a palette: the number of entries, of columns, the depth of each column, the entries.
fn palette_bytes(content: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(content);
    let (entries, columns) = (reader.be16()?, usize::from(reader.u8()?));
    let depths = reader.take(columns)?.iter();
    let entry: usize = depths
        .map(|depth| (usize::from(depth & 0x7f) + 1).div_ceil(8))
        .sum();
    Some(3 + columns + entries * entry)
}

/// Returns the kept part of a colour box: a number, or a profile.
fn colours(content: &[u8]) -> Option<Vec<u8>> {
    match content {
        [1, ..] => content.get(..7).map(<[u8]>::to_vec),
        [2 | 3, _, _, profile @ ..] => {
            let mut kept = content.get(..3)?.to_vec();
            kept.extend(icc::reduce(profile)?);
            Some(kept)
        }
        _ => None,
    }
}

fn push_box(out: &mut Vec<u8>, kind: &[u8; 4], content: &[u8]) -> Result<(), Malformed> {
    let size = u32::try_from(content.len() + 8).map_err(|_too_long| UNKNOWN)?;
    out.extend(size.to_be_bytes());
    out.extend(kind);
    out.extend(content);
    Ok(())
}

/// Returns whether decoding needs a segment. It does not need comments (0x64), registration or lists of
/// lengths.
fn is_kept(marker: u8) -> bool {
    matches!(
        marker,
        0x50..=0x54 | 0x56 | 0x59 | 0x5c..=0x61
    )
}

fn code_stream(bytes: &[u8], budget: &mut Budget) -> Result<(Vec<u8>, (u32, u32)), Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.array() != Some(SOC) {
        return Err(UNKNOWN);
    }
    let mut stream = Vec::with_capacity(bytes.len());
    stream.extend(SOC);
    let mut size = None;
    loop {
        budget.part()?;
        let before = reader.rest();
        match reader.array().ok_or(CUT_SHORT)? {
            EOC => break,
            [0xff, SOT] => tile_part(before, &mut reader, &mut stream, budget)?,
            [0xff, marker] => {
                let content = segment(&mut reader)?;
                if marker == SIZ {
                    size = size.or(measure(content));
                }
                if is_kept(marker) {
                    push_segment(&mut stream, marker, content);
                }
            }
            _ => return Err(UNKNOWN),
        }
    }
    stream.extend(EOC);
    Ok((stream, size.ok_or(CUT_SHORT)?))
}

/// Reads a segment with its length in front.
fn segment<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let length = *reader;
    let bytes = reader.be16().ok_or(CUT_SHORT)?;
    let rest = bytes.checked_sub(2).ok_or(UNKNOWN)?;
    reader.take(rest).ok_or(CUT_SHORT)?;
    length.rest().get(..bytes).ok_or(CUT_SHORT)
}

fn push_segment(out: &mut Vec<u8>, marker: u8, content: &[u8]) {
    out.extend([0xff, marker]);
    out.extend(content);
}

/// Keeps a part of a tile. `before` begins with the tile part's marker; the part's length is counted from
/// there.
fn tile_part<'a>(
    before: &'a [u8],
    reader: &mut Reader<'a>,
    stream: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), Malformed> {
    let start = stream.len();
    let mut content: [u8; 10] = segment(reader)?.try_into().map_err(|_length| UNKNOWN)?;
    let [_, _, _, _, a, b, c, d, _, _] = content;
    let stated = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_large| CUT_SHORT)?;
    let bytes = match stated {
        // The last part may state that it extends to the end.
        0 => before.strip_suffix(&EOC).ok_or(CUT_SHORT)?.len(),
        stated => stated,
    };
    let part = before.get(..bytes).ok_or(CUT_SHORT)?;
    let mut inner = Reader::new(part.get(12..).ok_or(UNKNOWN)?);
    push_segment(stream, SOT, &content);
    loop {
        budget.part()?;
        match inner.array().ok_or(CUT_SHORT)? {
            [0xff, SOD] => break,
            [0xff, marker] => {
                let segment = segment(&mut inner)?;
                if is_kept(marker) {
                    push_segment(stream, marker, segment);
                }
            }
            _ => return Err(UNKNOWN),
        }
    }
    stream.extend([0xff, SOD]);
    stream.extend(inner.rest());
    let length = u32::try_from(stream.len() - start).map_err(|_too_long| UNKNOWN)?;
    content[4..8].copy_from_slice(&length.to_be_bytes());
    stream[start + 2..start + 12].copy_from_slice(&content);
    *reader = Reader::new(before.get(bytes..).ok_or(CUT_SHORT)?);
    Ok(())
}

/// Returns width and height, from the segment that begins with its length and two bytes of capabilities.
fn measure(content: &[u8]) -> Option<(u32, u32)> {
    let mut reader = Reader::new(content.get(4..)?);
    let mut number = || reader.array().map(u32::from_be_bytes);
    let (right, bottom, left, top) = (number()?, number()?, number()?, number()?);
    Some((right.checked_sub(left)?, bottom.checked_sub(top)?))
}
