//! ICO: the same icon in several sizes, each a PNG or a bitmap without its file header. Each is stripped
//! individually, and the directory is written anew.

use super::reader::Reader;
use super::{Budget, Malformed, Size, bmp::palette, png};

const CUT_SHORT: Malformed = Malformed("the ICO is cut short");
const UNKNOWN: Malformed = Malformed("the ICO has an unknown layout");
const ENTRY_BYTES: usize = 16;
const HEADER_BYTES: usize = 6;
const BITMAP_HEADER_BYTES: usize = 40;
/// The largest number of icons in a file. Real files have a dozen at most.
const ICONS_MAX: usize = 64;

pub(super) fn strip(bytes: &[u8], budget: &mut Budget) -> Result<(Vec<u8>, Size), Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.take(4) != Some(b"\0\0\x01\0") {
        return Err(Malformed("not an ICO"));
    }
    let count = reader.le16().ok_or(CUT_SHORT)?;
    if count == 0 || count > ICONS_MAX {
        return Err(UNKNOWN);
    }
    let mut directory = bytes.get(..HEADER_BYTES).ok_or(CUT_SHORT)?.to_vec();
    let mut data: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut size = (0, 0);
    for _icon in 0..count {
        budget.part()?;
        let look: [u8; 8] = reader.array().ok_or(CUT_SHORT)?;
        let (length, start) = (
            reader.le32().ok_or(CUT_SHORT)?,
            reader.le32().ok_or(CUT_SHORT)?,
        );
        let end = start.checked_add(length).ok_or(CUT_SHORT)?;
        let (icon, icon_size) = icon(bytes.get(start..end).ok_or(CUT_SHORT)?, budget)?;
        let start = HEADER_BYTES + ENTRY_BYTES * count + data.len();
        directory.extend(&look[..3]);
        directory.push(0);
        directory.extend(&look[4..]);
        directory.extend(number(icon.len())?);
        directory.extend(number(start)?);
        data.extend(icon);
        size = size.max(icon_size);
        // Entries that share their data could turn a small file into a large one.
        if data.len() > bytes.len() {
            return Err(UNKNOWN);
        }
    }
    directory.extend(data);
    Ok((directory, Some(size)))
}

/// An icon's bytes and its width and height.
type Icon = (Vec<u8>, (u32, u32));

fn icon(bytes: &[u8], budget: &mut Budget) -> Result<Icon, Malformed> {
    if bytes.starts_with(b"\x89PNG") {
        let picture = png::strip(bytes, budget)?;
        let side = |at: usize| {
            picture
                .get(at..at + 4)?
                .try_into()
                .ok()
                .map(u32::from_be_bytes)
        };
        let size = side(16).zip(side(20)).ok_or(CUT_SHORT)?;
        return Ok((picture, size));
    }
    bitmap(bytes).ok_or(CUT_SHORT)?
}

/// Reads a bitmap of twice its height: the lower half is the transparency mask. Returns `None` if it is cut
/// short.
fn bitmap(bytes: &[u8]) -> Option<Result<Icon, Malformed>> {
    let mut reader = Reader::new(bytes);
    if reader.le32()? != BITMAP_HEADER_BYTES {
        return Some(Err(UNKNOWN));
    }
    let (width, height) = (reader.le32()?, reader.le32()? / 2);
    let (_planes, depth) = (reader.le16()?, reader.le16()?);
    let (compression, _bytes) = (reader.le32()?, reader.le32()?);
    reader.take(8)?;
    let colours = reader.le32()?;
    if compression != 0 {
        return Some(Err(UNKNOWN));
    }
    let named = palette(colours, depth);
    let listed = colours.max(named);
    let row = |bits: usize| width.checked_mul(bits).map(|bits| bits.div_ceil(32) * 4);
    let head = BITMAP_HEADER_BYTES.checked_add(listed.checked_mul(4)?)?;
    let pixels = row(depth)?.checked_mul(height)?.checked_add(head)?;
    // The mask may be missing if pixels have an alpha of their own.
    let end = pixels
        .checked_add(row(1)?.checked_mul(height)?)?
        .min(bytes.len());
    if end < pixels {
        return None;
    }
    let mut kept = bytes.get(..end)?.to_vec();
    kept.get_mut(20..32)?.fill(0);
    // Palette entries that no pixel can refer to become zeros.
    kept.get_mut(BITMAP_HEADER_BYTES + 4 * named..head)?.fill(0);
    let size = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
    Some(Ok((kept, size)))
}

fn number(value: usize) -> Result<[u8; 4], Malformed> {
    u32::try_from(value)
        .map(u32::to_le_bytes)
        .map_err(|_too_long| UNKNOWN)
}
