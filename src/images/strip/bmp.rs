//! BMP: headers, palette and pixels are kept. Bytes between and behind them are removed.

use super::Malformed;
use super::reader::Reader;

const CUT_SHORT: Malformed = Malformed("the BMP is cut short");
const FILE_HEADER_BYTES: usize = 14;
/// Where the file has the length of coded pixels.
const CODED_BYTES: std::ops::Range<usize> = 34..38;
/// The headers in use: Windows 3 (40), with masks (52, 56), V4 (108), V5 (124).
const HEADER_BYTES: [usize; 5] = [40, 52, 56, 108, 124];
/// Where a V4 or V5 header defines the colour space.
const COLOUR_SPACE: std::ops::Range<usize> = 56..60;
/// The bytes of a V4 or V5 header with primaries and curves. They apply only if the header defines
/// its own colour space.
const CALIBRATION: std::ops::Range<usize> = 60..108;
/// Where a V5 header locates its colour profile, which is removed, and reserved bytes.
const PROFILE: std::ops::Range<usize> = 112..124;

pub(super) fn strip(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let layout = Layout::read(bytes)?;
    let mut picture = bytes.get(..layout.end).ok_or(CUT_SHORT)?.to_vec();
    let file_bytes =
        u32::try_from(layout.end).map_err(|_too_long| Malformed("the BMP is too long"))?;
    picture[2..6].copy_from_slice(&file_bytes.to_le_bytes());
    picture[6..10].fill(0);
    picture[layout.header_end..layout.pixels].fill(0);
    if layout.is_coded {
        let coded_bytes = u32::try_from(layout.end - layout.pixels).unwrap_or_default();
        picture[CODED_BYTES].copy_from_slice(&coded_bytes.to_le_bytes());
    }
    let header = &mut picture[FILE_HEADER_BYTES..];
    if layout.header >= 108 && matches!(&header[COLOUR_SPACE], b"KNIL" | b"DEBM") {
        header[COLOUR_SPACE].copy_from_slice(b"BGRs");
    }
    if layout.header >= 108 && header[COLOUR_SPACE] != [0; 4] {
        header[CALIBRATION].fill(0);
    }
    if layout.header >= 124 {
        header[PROFILE].fill(0);
    }
    Ok(picture)
}

/// Returns the number of palette colours that a pixel can refer to. Pixels of more than 8 bits have
/// no palette.
pub(super) fn palette(colours: usize, depth: usize) -> usize {
    match (colours, depth) {
        (0, 1..=8) => 1 << depth,
        (colours, 1..=8) => colours.min(1 << depth),
        _ => 0,
    }
}

/// Returns where coded pixels end; bytes may follow their end mark.
fn run_lengths(coded: &[u8], depth: usize) -> Option<usize> {
    let mut reader = Reader::new(coded);
    while !reader.is_empty() {
        match (reader.u8()?, reader.u8()?) {
            (0, 1) => break,
            (0, 2) => drop(reader.take(2)?),
            (0, pixels @ 3..) => {
                let bytes = (usize::from(pixels) * depth).div_ceil(8);
                reader.take(bytes.next_multiple_of(2))?;
            }
            _ => {}
        }
    }
    Some(coded.len() - reader.rest().len())
}

/// The layout of the file, in offsets from its start.
struct Layout {
    /// Bytes of the second header.
    header: usize,
    /// Where headers, masks and palette end.
    header_end: usize,
    /// Where the pixels begin.
    pixels: usize,
    /// Where the pixels end.
    end: usize,
    /// True if the pixels are run-length encoded.
    is_coded: bool,
}

impl Layout {
    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::parse(bytes).ok_or(CUT_SHORT)?
    }

    /// Returns the layout; `None` if a part is missing.
    fn parse(bytes: &[u8]) -> Option<Result<Self, Malformed>> {
        let mut reader = Reader::new(bytes);
        if reader.take(2)? != b"BM" {
            return Some(Err(Malformed("not a BMP")));
        }
        reader.take(8)?;
        let pixels = reader.le32()?;
        let header = reader.le32()?;
        if !HEADER_BYTES.contains(&header) {
            return Some(Err(Malformed("the BMP has an unknown header")));
        }
        let width = u32::from_le_bytes(reader.array()?);
        let height = i32::from_le_bytes(reader.array()?).unsigned_abs();
        let _planes = reader.le16()?;
        let depth = reader.le16()?;
        let compression = reader.le32()?;
        let coded_bytes = reader.le32()?;
        let _resolution = reader.take(8)?;
        let colours = reader.le32()?;
        let palette = palette(colours, depth);
        // Masks follow a header that is too old to hold them.
        let masks = if compression == 3 && header == 40 {
            12
        } else {
            0
        };
        let header_end = FILE_HEADER_BYTES
            .checked_add(header + masks)?
            .checked_add(palette.checked_mul(4)?)?;
        let pixel_bytes = match compression {
            0 | 3 => {
                let row_bits = usize::try_from(width).ok()?.checked_mul(depth)?;
                let row_bytes = row_bits.div_ceil(32).checked_mul(4)?;
                row_bytes.checked_mul(usize::try_from(height).ok()?)?
            }
            1 | 2 => {
                let coded = bytes.get(pixels..pixels.checked_add(coded_bytes)?)?;
                run_lengths(coded, depth)?
            }
            _ => return Some(Err(Malformed("the BMP has an unknown encoding"))),
        };
        let end = pixels.checked_add(pixel_bytes)?;
        if header_end > pixels || end > bytes.len() || pixel_bytes == 0 {
            return None;
        }
        Some(Ok(Self {
            header,
            header_end,
            pixels,
            end,
            is_coded: matches!(compression, 1 | 2),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_behind_coded_pixels_are_removed() {
        let runs = [3, 7, 0, 0, 0, 3, 1, 2, 3, 0, 0, 2, 1, 1, 0, 1];
        let coded = [&runs[..], b"behind"].concat();
        assert_eq!(run_lengths(&coded, 8), Some(runs.len()));
        let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        let start = 54 + 4;
        let mut file = [b"BM", &number(0)[..], &number(0), &number(start)].concat();
        for field in [40, 3, 2] {
            file.extend(number(field));
        }
        file.extend([1, 0, 8, 0, 1, 0, 0, 0]);
        file.extend(number(coded.len()));
        file.extend([0; 8]);
        file.extend([1, 0, 0, 0, 1, 0, 0, 0]);
        file.extend([1, 2, 3, 0]);
        file.extend(&coded);
        let kept = strip(&file).unwrap();
        assert_eq!(kept[start..], runs);
        assert_eq!(kept[CODED_BYTES], number(runs.len()));
        assert_eq!(strip(&kept).unwrap(), kept);
    }
}
