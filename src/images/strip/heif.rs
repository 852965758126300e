//! HEIF with HEVC inside, as phones produce it, and AVIF (ISO/IEC 23008-12, boxes of ISO/IEC 14496-12).
//!
//! Data locations are offsets from the start of the file, so nothing can be cut out. Instead it is blanked in
//! place. The `meta` box says which bytes belong to images. All other bytes of the data boxes become zeros,
//! including Exif and XMP. Boxes, items, references and properties that are in no list here become empty space:
//! films of motion photos, vendors' trailers, names, descriptions. So do bytes behind the known fields of a box.

mod fields;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::boxes::{Part, Parts};
use super::reader::Reader;
use super::{Budget, Malformed, Size, icc};

const CUT_SHORT: Malformed = Malformed("the HEIF is cut short");
const NESTED: Malformed = Malformed("the HEIF has an unknown layout");

/// Items that are images or parts of them, or that combine them.
const KEPT_ITEMS: [&[u8; 4]; 7] = [
    b"hvc1", b"hev1", b"av01", b"grid", b"iovl", b"iden", b"tmap",
];
/// Types of items that readers may still see; their data is blanked.
const KNOWN_ITEMS: [&[u8; 4]; 3] = [b"Exif", b"mime", b"uri "];
/// Boxes within `meta` that describe the items. They contain numbers, or are cleaned individually.
const KEPT_META: [&[u8; 4]; 7] = [
    b"hdlr", b"pitm", b"iinf", b"iref", b"iprp", b"iloc", b"idat",
];
/// The flag of an item that is only shown as a part of others.
const HIDDEN: u8 = 1;
/// Types of references between items that affect the visible image.
const KEPT_REFERENCES: [&[u8; 4]; 6] = [b"dimg", b"thmb", b"auxl", b"cdsc", b"prem", b"base"];
/// Types of auxiliary images that are kept: alpha, depth, the gain of bright screens.
const KEPT_AUXILIARIES: [&[u8]; 5] = [
    b"urn:mpeg:hevc:2015:auxid:1\0",
    b"urn:mpeg:hevc:2015:auxid:2\0",
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0",
    b"urn:mpeg:mpegB:cicp:systems:auxiliary:depth\0",
    b"urn:com:apple:photo:2020:aux:hdrgainmap\0",
];
/// The largest number of items. An image of a phone has dozens of tiles, not thousands.
const ITEMS_MAX: usize = 4096;
/// Brands that say how to read the file. Others become [`ANY_BRAND`].
const KEPT_BRANDS: [&[u8; 4]; 20] = [
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2",
    b"msf1", b"miaf", b"MiHB", b"MiHE", b"MiPr", b"avif", b"avis", b"avio", b"MA1A", b"MA1B",
];
const ANY_BRAND: &[u8; 4] = b"mif1";
/// The size of the list of brands, four bytes each.
const BRANDS_BYTES_MAX: usize = 256;

pub(super) fn strip(bytes: &[u8], budget: &mut Budget) -> Result<(Vec<u8>, Size), Malformed> {
    let (meta, end) = outline(bytes, budget)?;
    let bytes = bytes.get(..end).unwrap_or_default();
    let mut file = File {
        bytes,
        picture: bytes.to_vec(),
        size: None,
        turned: false,
    };
    let kept = file.clean_meta(&meta, budget)?;
    let mut parts = Parts::new(bytes, 0..end);
    while let Some(part) = parts.next(budget, CUT_SHORT)? {
        match &part.kind {
            b"ftyp" if part.start == 0 => file.clean_brands(&part),
            b"meta" => file.clean_flags(&part, 0)?,
            b"mdat" => file.blank_between(&part.content, &kept),
            _ => file.blank(&part),
        }
    }
    let size = file
        .size
        .map(|(width, height)| match file.turned {
            true => (height, width),
            false => (width, height),
        })
        .ok_or(Malformed("the HEIF has no size"))?;
    Ok((file.picture, Some(size)))
}

/// Finds the only `meta` box, and where the file's boxes end. Bytes behind them are removed.
fn outline(bytes: &[u8], budget: &mut Budget) -> Result<(Part, usize), Malformed> {
    let mut parts = Parts::new(bytes, 0..bytes.len());
    let first = parts.next(budget, CUT_SHORT)?;
    if first.is_none_or(|first| first.kind != *b"ftyp" || first.content.len() > BRANDS_BYTES_MAX) {
        return Err(Malformed("not a HEIF"));
    }
    let mut meta = None;
    loop {
        let end = parts.at();
        match parts.next(budget, CUT_SHORT) {
            Ok(Some(part)) if part.kind == *b"meta" => {
                if meta.replace(part).is_some() {
                    return Err(NESTED);
                }
            }
            Ok(Some(_)) => {}
            // Whether the image is complete before the end is checked when its data locations are read.
            Err(CUT_SHORT) if meta.is_some() => return meta.map(|meta| (meta, end)).ok_or(NESTED),
            Err(error) => return Err(error),
            Ok(None) => return meta.map(|meta| (meta, end)).ok_or(NESTED),
        }
    }
}

/// The types of the items that are images, by their ids.
type Pictures = HashMap<usize, [u8; 4]>;

/// The original file, and its stripped copy.
struct File<'a> {
    bytes: &'a [u8],
    picture: Vec<u8>,
    size: Size,
    turned: bool,
}

impl File<'_> {
    /// Blanks the parts of `meta` that do not describe images. Returns the ranges of the images' data: in
    /// order, without duplicates.
    fn clean_meta(
        &mut self,
        meta: &Part,
        budget: &mut Budget,
    ) -> Result<Vec<Range<usize>>, Malformed> {
        let mut found: [Option<Part>; KEPT_META.len()] = Default::default();
        let mut parts = Parts::new(self.bytes, self.after_version(meta, 0)?);
        while let Some(part) = parts.next(budget, CUT_SHORT)? {
            match KEPT_META.iter().position(|kind| **kind == part.kind) {
                Some(place) if found[place].is_some() => return Err(NESTED),
                Some(place) => found[place] = Some(part),
                None if self.is_plain_reference(&part) => {}
                None => self.blank(&part),
            }
        }
        let [
            handler,
            primary,
            items,
            references,
            properties,
            places,
            idat,
        ] = found;
        let (Some(handler), Some(items), Some(places)) = (handler, items, places) else {
            return Err(NESTED);
        };
        self.clean_handler(&handler)?;
        if let Some(primary) = primary {
            self.clean_flags(&primary, 0)?;
            self.keep_first(&primary, fields::primary_item(primary.content(self.bytes)))?;
        }
        let pictures = self.clean_items(&items, budget)?;
        if let Some(references) = references {
            self.clean_references(&references, budget)?;
        }
        if let Some(properties) = properties {
            self.clean_properties(&properties, budget)?;
        }
        self.clean_flags(&places, 0)?;
        let kept = self.clean_places(&places, &pictures, idat.as_ref(), budget)?;
        if let Some(idat) = idat {
            self.blank_between(&idat.content, &kept);
        }
        Ok(kept)
    }

    /// Keeps the locations of images. Returns the ranges of their data: in order, without duplicates.
    fn clean_places(
        &mut self,
        places: &Part,
        pictures: &Pictures,
        idat: Option<&Part>,
        budget: &mut Budget,
    ) -> Result<Vec<Range<usize>>, Malformed> {
        let content = places.content(self.bytes);
        let read = read_places(content, pictures, budget).ok_or(CUT_SHORT)??;
        for unused in read.unused {
            self.picture[places.content.clone()][unused].fill(0);
        }
        let mut ranges = Vec::new();
        let mut grids = HashSet::new();
        for place in &read.found {
            let range = place.range(self.bytes.len(), idat)?;
            match &place.kind {
                b"iden" => {}
                b"grid" if !grids.insert(place.item) => {}
                b"grid" => {
                    let bytes = fields::grid(self.bytes.get(range.clone()).unwrap_or_default());
                    let end = range.start + bytes.unwrap_or(usize::MAX - range.start);
                    if end > range.end {
                        return Err(CUT_SHORT);
                    }
                    ranges.push(range.start..end);
                }
                _ => ranges.push(range),
            }
        }
        Ok(joined(ranges))
    }

    /// Returns the range of the boxes within a box, behind version, flags and `more` bytes.
    fn after_version(&self, part: &Part, more: usize) -> Result<Range<usize>, Malformed> {
        let start = part.content.start + 4 + more;
        if start > part.content.end {
            return Err(CUT_SHORT);
        }
        Ok(start..part.content.end)
    }

    /// Keeps the first bytes of a box, and blanks those behind them.
    fn keep_first(&mut self, part: &Part, bytes: Option<usize>) -> Result<(), Malformed> {
        let content = &mut self.picture[part.content.clone()];
        let rest = bytes.and_then(|bytes| content.get_mut(bytes..));
        rest.ok_or(CUT_SHORT)?.fill(0);
        Ok(())
    }

    /// Keeps the version of a box, and the flags in `kept`.
    fn clean_flags(&mut self, part: &Part, kept: u8) -> Result<(), Malformed> {
        let content = &mut self.picture[part.content.clone()];
        let flags = content.get_mut(1..4).ok_or(CUT_SHORT)?;
        flags[..2].fill(0);
        flags[2] &= kept;
        Ok(())
    }

    /// Keeps the brands, without the version of the first.
    fn clean_brands(&mut self, part: &Part) {
        let content = &mut self.picture[part.content.clone()];
        for (index, brand) in content.chunks_mut(4).enumerate() {
            if index == 1 || brand.len() < 4 {
                brand.fill(0);
            } else if !KEPT_BRANDS.iter().any(|kept| **kept == *brand) {
                brand.copy_from_slice(ANY_BRAND);
            }
        }
    }

    /// Returns whether this is the usual `dinf`, which says that all data is in this file.
    fn is_plain_reference(&self, part: &Part) -> bool {
        const PLAIN: &[u8] = b"\0\0\0\x1cdref\0\0\0\0\0\0\0\x01\0\0\0\x0curl \0\0\0\x01";
        part.kind == *b"dinf" && part.content(self.bytes) == PLAIN
    }

    /// Keeps the handler type of images, and removes its name.
    fn clean_handler(&mut self, part: &Part) -> Result<(), Malformed> {
        let content = &mut self.picture[part.content.clone()];
        if content.get(8..12) != Some(b"pict") {
            return Err(NESTED);
        }
        content[..8].fill(0);
        content[12..].fill(0);
        Ok(())
    }

    /// Removes the names of the items. Returns the images.
    fn clean_items(&mut self, items: &Part, budget: &mut Budget) -> Result<Pictures, Malformed> {
        self.clean_flags(items, 0)?;
        let count_bytes = fields::id_bytes(items.content(self.bytes), 1).ok_or(CUT_SHORT)?;
        let mut entries = Parts::new(self.bytes, self.after_version(items, count_bytes)?);
        let mut pictures = Pictures::new();
        while let Some(entry) = entries.next(budget, CUT_SHORT)? {
            let (id, kind, end) = item(entry.content(self.bytes)).ok_or(NESTED)?;
            if entry.kind != *b"infe" || pictures.len() == ITEMS_MAX {
                return Err(NESTED);
            }
            self.clean_flags(&entry, HIDDEN)?;
            let content = &mut self.picture[entry.content.clone()];
            content[end..].fill(0);
            // Clears the index of the protection scheme.
            content[end - 6..end - 4].fill(0);
            if KEPT_ITEMS.contains(&&kind) {
                pictures.insert(id, kind);
            } else if !KNOWN_ITEMS.contains(&&kind) {
                content[end - 4..end].copy_from_slice(b"mime");
            }
        }
        Ok(pictures)
    }

    fn clean_references(
        &mut self,
        references: &Part,
        budget: &mut Budget,
    ) -> Result<(), Malformed> {
        self.clean_flags(references, 0)?;
        let id_bytes = fields::id_bytes(references.content(self.bytes), 1).ok_or(CUT_SHORT)?;
        let mut parts = Parts::new(self.bytes, self.after_version(references, 0)?);
        while let Some(part) = parts.next(budget, CUT_SHORT)? {
            if KEPT_REFERENCES.contains(&&part.kind) {
                let bytes = fields::reference(part.content(self.bytes), id_bytes);
                self.keep_first(&part, bytes)?;
            } else {
                self.blank(&part);
            }
        }
        Ok(())
    }

    fn clean_properties(
        &mut self,
        properties: &Part,
        budget: &mut Budget,
    ) -> Result<(), Malformed> {
        let mut parts = Parts::new(self.bytes, properties.content.clone());
        while let Some(part) = parts.next(budget, CUT_SHORT)? {
            match &part.kind {
                b"ipma" => {
                    self.clean_flags(&part, 1)?;
                    self.keep_first(&part, fields::associations(part.content(self.bytes)))?;
                }
                b"ipco" => {
                    // Properties are identified by their position, so a removed one leaves empty space there.
                    let mut each = Parts::new(self.bytes, part.content.clone());
                    while let Some(property) = each.next(budget, CUT_SHORT)? {
                        self.clean_property(&property);
                    }
                }
                _ => self.blank(&part),
            }
        }
        Ok(())
    }

    fn clean_property(&mut self, property: &Part) {
        let content = property.content(self.bytes);
        self.measure(property.kind, content);
        let kept_bytes = match &property.kind {
            b"auxC" => KEPT_AUXILIARIES
                .iter()
                .find(|known| content.get(4..).is_some_and(|urn| urn.starts_with(known)))
                .map(|known| 4 + known.len()),
            b"colr" => match content.get(..4) {
                Some(b"nclx") => Some(11),
                Some(b"prof" | b"rICC") => self.clean_profile(property),
                _ => None,
            },
            b"hvcC" => self.rewrite(property, fields::hevc(content)),
            b"av1C" => self.rewrite(property, fields::av1(content)),
            kind => fields::property(*kind, content),
        };
        let kept = kept_bytes.and_then(|bytes| self.keep_first(property, Some(bytes)).ok());
        if kept.is_none() {
            self.blank(property);
        } else if fields::has_version(property.kind) {
            self.picture[property.content.start..][..4].fill(0);
        }
    }

    /// Writes new content to the start of a property. Returns its length.
    fn rewrite(&mut self, property: &Part, content: Option<Vec<u8>>) -> Option<usize> {
        let content = content?;
        self.picture[property.content.clone()]
            .get_mut(..content.len())?
            .copy_from_slice(&content);
        Some(content.len())
    }

    /// Reduces a colour profile in place. Returns how many bytes of the property it takes then.
    fn clean_profile(&mut self, property: &Part) -> Option<usize> {
        let space = property.content.start + 4..property.content.end;
        let reduced = icc::reduce(self.bytes.get(space.clone())?)?;
        self.picture[space]
            .get_mut(..reduced.len())?
            .copy_from_slice(&reduced);
        Some(4 + reduced.len())
    }

    /// Records the size of the largest image, which is the one that is shown.
    fn measure(&mut self, kind: [u8; 4], content: &[u8]) {
        let number = |at: usize| {
            content
                .get(at..at + 4)?
                .try_into()
                .ok()
                .map(u32::from_be_bytes)
        };
        match &kind {
            b"ispe" => {
                if let (Some(width), Some(height)) = (number(4), number(8)) {
                    let pixels = |(w, h): (u32, u32)| u64::from(w) * u64::from(h);
                    if self
                        .size
                        .is_none_or(|size| pixels((width, height)) > pixels(size))
                    {
                        self.size = Some((width, height));
                    }
                }
            }
            b"irot" => self.turned |= content.first().is_some_and(|turns| turns & 1 == 1),
            _ => {}
        }
    }

    /// Turns a box into empty space.
    fn blank(&mut self, part: &Part) {
        self.picture[part.content.clone()].fill(0);
        self.picture[part.start + 4..part.start + 8].copy_from_slice(b"free");
    }

    /// Blanks the bytes of `space` that are in none of `kept`.
    fn blank_between(&mut self, space: &Range<usize>, kept: &[Range<usize>]) {
        let first = kept.partition_point(|range| range.end <= space.start);
        let mut done = space.start;
        for range in kept.iter().skip(first) {
            if range.start >= space.end {
                break;
            }
            if range.start > done {
                self.picture[done..range.start].fill(0);
            }
            done = range.end.min(space.end);
        }
        self.picture[done..space.end].fill(0);
    }
}

/// Returns id and type of an `infe`, and where the type ends. Versions before 2 have no type.
fn item(content: &[u8]) -> Option<(usize, [u8; 4], usize)> {
    let mut reader = Reader::new(content);
    let id_bytes = match reader.be32()? >> 24 {
        2 => 2,
        3 => 4,
        _ => return None,
    };
    let id = reader.be(id_bytes)?;
    let _protection = reader.be16()?;
    Some((id, reader.array()?, 4 + id_bytes + 2 + 4))
}

/// Joins ranges: in order, without duplicates.
fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut kept: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match kept.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => kept.push(range),
        }
    }
    kept
}

/// One piece of an item's data.
struct Place {
    item: usize,
    kind: [u8; 4],
    /// Whether the offset is counted from the start of `idat` instead of the file.
    in_idat: bool,
    /// Whether the data is anywhere else: in another item or file.
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

/// The content of `iloc`.
#[derive(Default)]
struct Places {
    /// The data of images.
    found: Vec<Place>,
    /// Where the box has bytes that are not needed: locations of other items, and bytes behind the last field.
    unused: Vec<Range<usize>>,
}

/// Reads the data locations of images from `iloc`; `None` if it is cut short.
fn read_places(
    iloc: &[u8],
    pictures: &Pictures,
    budget: &mut Budget,
) -> Option<Result<Places, Malformed>> {
    let mut reader = Reader::new(iloc);
    let at = |reader: &Reader<'_>| iloc.len() - reader.rest().len();
    let version = reader.be32()? >> 24;
    let sizes = reader.be16()?;
    let nibble = |shift: u32| (sizes >> shift) & 15;
    let (offset_bytes, length_bytes, base_bytes) = (nibble(12), nibble(8), nibble(4));
    let index_bytes = if version == 0 { 0 } else { nibble(0) };
    let id_bytes = if version < 2 { 2 } else { 4 };
    let mut places = Places::default();
    let mut extents = 0;
    let items = reader.be(id_bytes)?;
    if items > ITEMS_MAX {
        return Some(Err(super::TOO_MANY_PARTS));
    }
    for _item in 0..items {
        if let Err(error) = budget.part() {
            return Some(Err(error));
        }
        let item = reader.be(id_bytes)?;
        let kind = pictures.get(&item).copied();
        let method = if version == 0 { 0 } else { reader.be16()? & 15 };
        let source = reader.be16()?;
        let start = at(&reader);
        let base = reader.be(base_bytes)?;
        if kind.is_none() {
            places.unused.push(start..at(&reader));
        }
        for _extent in 0..reader.be16()? {
            extents += 1;
            if extents > ITEMS_MAX {
                return None;
            }
            let start = at(&reader);
            reader.be(index_bytes)?;
            let numbers = at(&reader);
            let offset = base.checked_add(reader.be(offset_bytes)?)?;
            let length = reader.be(length_bytes)?;
            let unused = kind.map_or_else(|| at(&reader), |_| numbers);
            places.unused.push(start..unused);
            places.found.extend(kind.map(|kind| Place {
                item,
                kind,
                in_idat: method == 1,
                elsewhere: method > 1 || source != 0,
                offset,
                length,
            }));
        }
    }
    places.unused.push(at(&reader)..iloc.len());
    Some(Ok(places))
}
