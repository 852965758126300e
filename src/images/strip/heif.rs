//! HEIF with HEVC inside, as telephones make it (ISO/IEC 23008-12, boxes of ISO/IEC 14496-12).
//!
//! Places of data are counted from the start of the file, so nothing can be taken out; it is blanked
//! where it stands instead. The `meta` box says which bytes belong to pictures: all other bytes of the
//! data boxes become zeros, Exif and XMP among them. What cannot be followed to its end is refused.

use std::ops::Range;

use super::Malformed;
use super::reader::Reader;

const CUT_SHORT: Malformed = Malformed("the HEIF is cut short");
const NESTED: Malformed = Malformed("the HEIF is laid out in a way that is not known");

/// Items that are pictures, parts of them, or put them together.
const KEPT_ITEMS: [&[u8; 4]; 6] = [b"hvc1", b"hev1", b"grid", b"iovl", b"iden", b"tmap"];
/// Boxes within `meta` that describe the items.
const KEPT_META: [&[u8; 4]; 9] = [
    b"hdlr", b"pitm", b"iinf", b"iref", b"iprp", b"iloc", b"dinf", b"grpl", b"idat",
];
/// A picture of a telephone has dozens of tiles, not thousands.
const ITEMS_MAX: usize = 4096;

/// A box: its type, where it begins in the file, and where its content is.
struct Part {
    kind: [u8; 4],
    start: usize,
    content: Range<usize>,
}

pub(super) fn strip(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut picture = bytes.to_vec();
    let parts = parts(bytes, 0..bytes.len())?;
    if parts.first().is_none_or(|first| first.kind != *b"ftyp") {
        return Err(Malformed("not a HEIF"));
    }
    let mut metas = parts.iter().filter(|part| part.kind == *b"meta");
    let (Some(meta), None) = (metas.next(), metas.next()) else {
        return Err(NESTED);
    };
    let kept = kept_ranges(bytes, meta, &mut picture)?;
    for part in &parts {
        match &part.kind {
            b"ftyp" | b"meta" => {}
            b"mdat" => blank_between(&mut picture, &part.content, &kept),
            b"free" | b"skip" | b"uuid" => blank(&mut picture, part),
            _ => return Err(NESTED),
        }
    }
    Ok(picture)
}

/// Reads `meta`, blanks in it what does not describe pictures, and tells which bytes of the file are
/// pictures' data.
fn kept_ranges(
    bytes: &[u8],
    meta: &Part,
    picture: &mut [u8],
) -> Result<Vec<Range<usize>>, Malformed> {
    // A version and flags stand before the boxes.
    let inner = parts(bytes, meta.content.start + 4..meta.content.end)?;
    let only = |kind: &[u8; 4]| {
        let mut found = inner.iter().filter(|part| part.kind == *kind);
        let first = found.next();
        if found.next().is_some() {
            Err(NESTED)
        } else {
            Ok(first)
        }
    };
    let (iinf, iloc, idat) = (only(b"iinf")?, only(b"iloc")?, only(b"idat")?);
    let (Some(iinf), Some(iloc)) = (iinf, iloc) else {
        return Err(NESTED);
    };
    let pictures = picture_items(bytes, iinf)?;
    let places = places(content(bytes, iloc)).ok_or(CUT_SHORT)?;
    let mut kept = Vec::new();
    for place in places.iter().filter(|place| pictures.contains(&place.item)) {
        kept.push(place.range(bytes.len(), idat)?);
    }
    for part in &inner {
        if part.kind == *b"idat" {
            blank_between(picture, &part.content, &kept);
        } else if !KEPT_META.contains(&&part.kind) {
            blank(picture, part);
        }
    }
    Ok(kept)
}

/// The boxes that fill a range, in order.
fn parts(bytes: &[u8], range: Range<usize>) -> Result<Vec<Part>, Malformed> {
    let mut parts = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let mut reader = Reader::new(bytes.get(start..range.end).ok_or(CUT_SHORT)?);
        let (short, kind) = (
            reader.be32().ok_or(CUT_SHORT)?,
            reader.array().ok_or(CUT_SHORT)?,
        );
        let (size, header) = match short {
            0 => (range.end - start, 8),
            1 => (reader.be(8).ok_or(CUT_SHORT)?, 16),
            size => (size, 8),
        };
        let end = start.checked_add(size).filter(|end| *end <= range.end);
        let end = end.filter(|_| size >= header).ok_or(CUT_SHORT)?;
        parts.push(Part {
            kind,
            start,
            content: start + header..end,
        });
        start = end;
    }
    Ok(parts)
}

fn content<'a>(bytes: &'a [u8], part: &Part) -> &'a [u8] {
    bytes.get(part.content.clone()).unwrap_or_default()
}

/// The ids of the items that are pictures, from `iinf`.
fn picture_items(bytes: &[u8], iinf: &Part) -> Result<Vec<usize>, Malformed> {
    let mut reader = Reader::new(content(bytes, iinf));
    let version = reader.be32().ok_or(CUT_SHORT)? >> 24;
    let count_bytes = if version == 0 { 2 } else { 4 };
    reader.be(count_bytes).ok_or(CUT_SHORT)?;
    let mut items = Vec::new();
    for entry in parts(
        bytes,
        iinf.content.start + 4 + count_bytes..iinf.content.end,
    )? {
        let (id, kind) = item(content(bytes, &entry)).ok_or(NESTED)?;
        if entry.kind != *b"infe" || items.len() == ITEMS_MAX {
            return Err(NESTED);
        }
        if KEPT_ITEMS.contains(&&kind) {
            items.push(id);
        }
    }
    Ok(items)
}

/// Id and type of an `infe`; older versions than 2 have no type.
fn item(content: &[u8]) -> Option<(usize, [u8; 4])> {
    let mut reader = Reader::new(content);
    let id_bytes = match reader.be32()? >> 24 {
        2 => 2,
        3 => 4,
        _ => return None,
    };
    let id = reader.be(id_bytes)?;
    let _protection = reader.be16()?;
    Some((id, reader.array()?))
}

/// One piece of an item's data.
struct Place {
    item: usize,
    /// Whether it is counted from the start of `idat` instead of the file.
    in_idat: bool,
    /// Whether it is anywhere else: another item, another file.
    elsewhere: bool,
    offset: usize,
    length: usize,
}

impl Place {
    fn range(&self, file_bytes: usize, idat: Option<&Part>) -> Result<Range<usize>, Malformed> {
        let space = match (self.elsewhere, self.in_idat, idat) {
            (false, false, _) => 0..file_bytes,
            (false, true, Some(idat)) => idat.content.clone(),
            _ => return Err(NESTED),
        };
        let start = space.start.checked_add(self.offset).ok_or(CUT_SHORT)?;
        let end = start.checked_add(self.length).ok_or(CUT_SHORT)?;
        // A length of zero would mean everything up to the end.
        if self.length == 0 {
            return Err(NESTED);
        }
        if end <= space.end {
            Ok(start..end)
        } else {
            Err(CUT_SHORT)
        }
    }
}

/// Where the items' data is, from `iloc`; `None` if it ends too soon.
fn places(iloc: &[u8]) -> Option<Vec<Place>> {
    let mut reader = Reader::new(iloc);
    let version = reader.be32()? >> 24;
    let sizes = reader.be16()?;
    let nibble = |shift: u32| (sizes >> shift) & 15;
    let (offset_bytes, length_bytes, base_bytes) = (nibble(12), nibble(8), nibble(4));
    let index_bytes = if version == 0 { 0 } else { nibble(0) };
    let id_bytes = if version < 2 { 2 } else { 4 };
    let mut places = Vec::new();
    for _item in 0..reader.be(id_bytes)? {
        let item = reader.be(id_bytes)?;
        let method = if version == 0 { 0 } else { reader.be16()? & 15 };
        let source = reader.be16()?;
        let base = reader.be(base_bytes)?;
        for _extent in 0..reader.be16()? {
            reader.be(index_bytes)?;
            let offset = base.checked_add(reader.be(offset_bytes)?)?;
            let length = reader.be(length_bytes)?;
            if places.len() == ITEMS_MAX {
                return None;
            }
            places.push(Place {
                item,
                in_idat: method == 1,
                elsewhere: method > 1 || source != 0,
                offset,
                length,
            });
        }
    }
    Some(places)
}

/// Makes a box empty space.
fn blank(picture: &mut [u8], part: &Part) {
    picture[part.content.clone()].fill(0);
    picture[part.start + 4..part.start + 8].copy_from_slice(b"free");
}

/// Blanks what of `space` is in none of `kept`.
fn blank_between(picture: &mut [u8], space: &Range<usize>, kept: &[Range<usize>]) {
    let mut kept: Vec<_> = kept
        .iter()
        .filter(|range| range.start < space.end)
        .collect();
    kept.sort_by_key(|range| range.start);
    let mut done = space.start;
    for range in kept {
        if range.start > done {
            picture[done..range.start].fill(0);
        }
        done = done.max(range.end.min(space.end));
    }
    picture[done..space.end].fill(0);
}
