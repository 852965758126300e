//! TIFF 6.0. Data locations are offsets from the start of the file, so nothing is moved. Bytes that no list
//! here keeps become zeros in place, and directories are rewritten without their entries.

use std::collections::HashSet;
use std::ops::Range;

use super::reader::Reader;
use super::{Budget, Malformed, Size, icc, jpeg};

const CUT_SHORT: Malformed = Malformed("the TIFF is cut short");
const UNKNOWN: Malformed = Malformed("the TIFF has an unknown layout");

/// Tags that decoding and colours need, with the largest number of values.
const KEPT: [(u16, usize); 35] = [
    (254, 1),
    (255, 1),
    (WIDTH, 1),
    (HEIGHT, 1),
    (258, SAMPLES_MAX),
    (COMPRESSION, 1),
    (262, 1),
    (266, 1),
    (STRIP_PLACES, RANGES_MAX),
    (274, 1),
    (277, 1),
    (278, 1),
    (STRIP_BYTES, RANGES_MAX),
    (282, 1),
    (283, 1),
    (284, 1),
    (292, 1),
    (293, 1),
    (296, 1),
    (317, 1),
    (318, 2),
    (319, 6),
    (320, 3 << 8),
    (321, 2),
    (322, 1),
    (323, 1),
    (TILE_PLACES, RANGES_MAX),
    (TILE_BYTES, RANGES_MAX),
    (332, 1),
    (338, SAMPLES_MAX),
    (339, SAMPLES_MAX),
    (529, 3),
    (530, 2),
    (531, 1),
    (532, 6),
];
const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const COMPRESSION: u16 = 259;
const STRIP_PLACES: u16 = 273;
const STRIP_BYTES: u16 = 279;
const TILE_PLACES: u16 = 324;
const TILE_BYTES: u16 = 325;
const COLOURS: u16 = 34_675;
const JPEG_TABLES: u16 = 347;
/// The largest number of values of a pixel.
const SAMPLES_MAX: usize = 8;
/// The withdrawn JPEG compression of TIFF, whose tables can be anywhere.
const OLD_JPEG: usize = 6;
/// The largest number of pages in a file.
const PAGES_MAX: usize = 256;
/// The largest number of data ranges. A page of 12,000 lines may have a strip for each.
const RANGES_MAX: usize = 200_000;
const ENTRY_BYTES: usize = 12;

pub(super) fn strip(bytes: &[u8], budget: &mut Budget) -> Result<(Vec<u8>, Size), Malformed> {
    let little = match bytes.get(..4) {
        Some(b"II*\0") => true,
        Some(b"MM\0*") => false,
        _ => return Err(Malformed("not a TIFF")),
    };
    let mut file = File {
        bytes,
        little,
        kept: Vec::from([Range { start: 0, end: 8 }]),
        changes: Vec::new(),
        changed_bytes: 0,
        size: (0, 0),
    };
    let mut place = file.number(4, 4)?;
    let mut pages = 0;
    while place != 0 {
        pages += 1;
        if pages > PAGES_MAX {
            return Err(UNKNOWN);
        }
        place = file.page(place, budget)?;
    }
    let size = file.size;
    if size == (0, 0) {
        return Err(CUT_SHORT);
    }
    Ok((file.assemble(), Some(size)))
}

struct File<'a> {
    bytes: &'a [u8],
    little: bool,
    /// Ranges that are kept unchanged.
    kept: Vec<Range<usize>>,
    /// Offsets and bytes that are written over the file.
    changes: Vec<(usize, Vec<u8>)>,
    /// The number of bytes in `changes`.
    changed_bytes: usize,
    size: (u32, u32),
}

/// Reduces the bytes of a tag to what decoding needs; `None` if they are damaged.
type Reduce = fn(&[u8]) -> Option<Vec<u8>>;

/// An entry of a directory.
struct Entry<'a> {
    tag: u16,
    /// Whether the values are numbers without a sign, unlike text.
    is_numeric: bool,
    raw: &'a [u8],
    /// Bytes of each value, and where the values are.
    width: usize,
    values: Range<usize>,
    /// Whether the values are in the entry itself.
    inline: bool,
}

impl Entry<'_> {
    fn is_kept(&self) -> bool {
        let count = self.values.len() / self.width.max(1);
        let fits = |(tag, values_max): &(u16, usize)| *tag == self.tag && count <= *values_max;
        self.is_numeric && KEPT.iter().any(fits)
    }
}

impl<'a> File<'a> {
    fn number(&self, at: usize, width: usize) -> Result<usize, Malformed> {
        let end = at.checked_add(width).ok_or(CUT_SHORT)?;
        let mut reader = Reader::new(self.bytes.get(at..end).ok_or(CUT_SHORT)?);
        match (width, self.little) {
            (1, _) => reader.u8().map(usize::from),
            (2, true) => reader.le16(),
            (2, false) => reader.be16(),
            (4, true) => reader.le32(),
            (4, false) => reader.be32(),
            _ => None,
        }
        .ok_or(UNKNOWN)
    }

    fn written(&self, value: usize, width: usize) -> Vec<u8> {
        let bytes = value.to_be_bytes();
        let mut bytes = bytes[bytes.len() - width..].to_vec();
        if self.little {
            bytes.reverse();
        }
        bytes
    }

    /// Reads a page's directory and keeps the data that it lists. Returns the offset of the next directory; 0
    /// if there is none.
    fn page(&mut self, place: usize, budget: &mut Budget) -> Result<usize, Malformed> {
        let count = self.number(place, 2)?;
        let mut directory = Vec::new();
        let mut kept = 0;
        let (mut places, mut lengths) = (None, None);
        let mut size = (0, 0);
        let mut seen = HashSet::new();
        for index in 0..count {
            budget.part()?;
            let entry = self.entry(place + 2 + index * ENTRY_BYTES)?;
            // A page has each tag once, so later entries are dropped without reading them.
            if !seen.insert(entry.tag) {
                continue;
            }
            match entry.tag {
                WIDTH => size.0 = self.side(&entry)?,
                HEIGHT => size.1 = self.side(&entry)?,
                COMPRESSION if self.number(entry.values.start, entry.width)? == OLD_JPEG => {
                    return Err(UNKNOWN);
                }
                _ => {}
            }
            let reduce: Option<Reduce> = match entry.tag {
                COLOURS => Some(icc::reduce),
                JPEG_TABLES => Some(jpeg::reduce_tables),
                _ => None,
            };
            if let Some(reduce) = reduce {
                if let Some(rewritten) = self.reduced(&entry, reduce)? {
                    kept += 1;
                    directory.extend(rewritten);
                }
                continue;
            }
            if !entry.is_kept() {
                continue;
            }
            kept += 1;
            directory.extend(entry.raw);
            if !entry.inline {
                self.keep(entry.values.clone())?;
            }
            match entry.tag {
                STRIP_PLACES | TILE_PLACES => places = Some(entry),
                STRIP_BYTES | TILE_BYTES => lengths = Some(entry),
                _ => {}
            }
        }
        let (Some(places), Some(lengths)) = (places, lengths) else {
            return Err(UNKNOWN);
        };
        self.keep_data(&places, &lengths, budget)?;
        let next = self.number(place + 2 + count * ENTRY_BYTES, 4)?;
        let written = [self.written(kept, 2), directory, self.written(next, 4)].concat();
        self.change(place, written)?;
        let pixels = |(w, h): (u32, u32)| u64::from(w) * u64::from(h);
        if pixels(size) > pixels(self.size) {
            self.size = size;
        }
        Ok(next)
    }

    fn entry(&self, at: usize) -> Result<Entry<'a>, Malformed> {
        let raw = self.bytes.get(at..at + ENTRY_BYTES).ok_or(CUT_SHORT)?;
        let tag = u16::try_from(self.number(at, 2)?).unwrap_or(0);
        let kind = self.number(at + 2, 2)?;
        let width = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 => 8,
            _ => 0,
        };
        let bytes = self
            .number(at + 4, 4)?
            .checked_mul(width)
            .ok_or(CUT_SHORT)?;
        let inline = bytes <= 4;
        let start = if inline {
            at + 8
        } else {
            self.number(at + 8, 4)?
        };
        let values = start..start.checked_add(bytes).ok_or(CUT_SHORT)?;
        Ok(Entry {
            tag,
            is_numeric: matches!(kind, 3..=5),
            raw,
            width,
            values,
            inline,
        })
    }

    fn side(&self, entry: &Entry<'_>) -> Result<u32, Malformed> {
        let side = self.number(entry.values.start, entry.width)?;
        u32::try_from(side).map_err(|_large| UNKNOWN)
    }

    fn keep(&mut self, range: Range<usize>) -> Result<(), Malformed> {
        if range.end > self.bytes.len() {
            return Err(CUT_SHORT);
        }
        if self.kept.len() == RANGES_MAX {
            return Err(super::TOO_MANY_PARTS);
        }
        self.kept.push(range);
        Ok(())
    }

    /// Writes bytes over the file. Changes of separate places together are at most as long as the file, so a
    /// file with more of them lists overlapping places and is refused.
    fn change(&mut self, place: usize, bytes: Vec<u8>) -> Result<(), Malformed> {
        self.changed_bytes += bytes.len();
        if self.changed_bytes > self.bytes.len() {
            return Err(super::TOO_MANY_PARTS);
        }
        self.changes.push((place, bytes));
        Ok(())
    }

    /// Keeps the strips or tiles.
    fn keep_data(
        &mut self,
        places: &Entry<'_>,
        lengths: &Entry<'_>,
        budget: &mut Budget,
    ) -> Result<(), Malformed> {
        let count = |entry: &Entry<'_>| entry.values.len() / entry.width.max(1);
        if count(places) != count(lengths) {
            return Err(UNKNOWN);
        }
        for index in 0..count(places) {
            budget.part()?;
            let value = |entry: &Entry<'_>| {
                self.number(entry.values.start + index * entry.width, entry.width)
            };
            let (start, bytes) = (value(places)?, value(lengths)?);
            self.keep(start..start.checked_add(bytes).ok_or(CUT_SHORT)?)?;
        }
        Ok(())
    }

    /// Reduces values in place. Returns their entry with the new length; `None` if they are damaged.
    fn reduced(&mut self, entry: &Entry<'_>, reduce: Reduce) -> Result<Option<Vec<u8>>, Malformed> {
        let place = entry.values.start;
        // Pages may share them, and they are reduced once.
        let known = self.changes.iter().find(|(start, _)| *start == place);
        let (length, fresh) = match known {
            Some((_, reduced)) => (reduced.len(), None),
            None => {
                let values = self.bytes.get(entry.values.clone());
                let Some(reduced) = values.and_then(reduce) else {
                    return Ok(None);
                };
                (reduced.len(), Some(reduced))
            }
        };
        if length > entry.values.len() || entry.inline {
            return Ok(None);
        }
        if let Some(reduced) = fresh {
            self.change(place, reduced)?;
        }
        let length = self.written(length, 4);
        let [start @ .., _, _, _, _, p0, p1, p2, p3] = entry.raw else {
            return Ok(None);
        };
        Ok(Some([start, &length, &[*p0, *p1, *p2, *p3]].concat()))
    }

    fn assemble(mut self) -> Vec<u8> {
        let changed = self
            .changes
            .iter()
            .map(|(start, bytes)| start + bytes.len());
        let kept = self.kept.iter().map(|range| range.end);
        let end = kept.chain(changed).max().unwrap_or(0);
        let mut picture = vec![0; end];
        // The ranges are in order, so that each byte is copied once however often it is listed.
        self.kept.sort_unstable_by_key(|range| range.start);
        let mut done = 0;
        for range in self.kept {
            let fresh = range.start.max(done)..range.end.max(done);
            picture[fresh.clone()].copy_from_slice(&self.bytes[fresh.clone()]);
            done = fresh.end;
        }
        for (start, bytes) in self.changes {
            picture[start..start + bytes.len()].copy_from_slice(&bytes);
        }
        picture
    }
}
