//! The fields of boxes that are kept. Formats allow further bytes behind them, which are removed.

use super::super::reader::Reader;

/// NAL units that configure a decoder: VPS, SPS, PPS. Others are messages with arbitrary content.
const PARAMETER_SETS: std::ops::RangeInclusive<u8> = 32..=34;
/// The fixed part of an HEVC configuration, before the number of arrays.
const HEVC_BYTES: usize = 22;
/// The fixed part of an AV1 configuration.
const AV1_BYTES: usize = 4;
/// AV1: the header byte of a sequence header that states its size, and the mask of the bits that are
/// compared. The mask leaves out the reserved bit.
const SEQUENCE_HEADER: (u8, u8) = (0x0a, 0xfe);
/// AV1: the header of padding with a size.
const PADDING: u8 = 0x7a;

/// Returns the number of bytes of a property that affect the visible image; `None` if there are none.
pub(super) fn property(kind: [u8; 4], content: &[u8]) -> Option<usize> {
    let byte = |at: usize| content.get(at).copied();
    Some(match &kind {
        b"ispe" => 12,
        // The number of channels, and the depth of each.
        b"pixi" => 5 + usize::from(byte(4)?),
        b"pasp" | b"amve" | b"ndwt" => 8,
        b"clap" => 32,
        b"irot" | b"imir" | b"a1op" => 1,
        b"clli" => 4,
        b"mdcv" => 24,
        b"lsel" => 2,
        // Three sizes of two or four bytes.
        b"a1lx" => 1 + 3 * (2 << (byte(0)? & 1)),
        b"cclv" => colour_volume(byte(0)?),
        _ => return None,
    })
}

/// Returns whether a property begins with a version and flags, which are zero.
pub(super) fn has_version(kind: [u8; 4]) -> bool {
    matches!(&kind, b"ispe" | b"pixi" | b"ndwt" | b"auxC")
}

/// Returns the number of bytes of a colour volume. Its flags say whether it has three primaries of
/// two numbers each, and which of three brightness values.
fn colour_volume(flags: u8) -> usize {
    let primaries = usize::from(flags & 0x20 != 0) * 6;
    let brightnesses = (flags & 0x1c).count_ones() as usize;
    1 + 4 * (primaries + brightnesses)
}

/// Returns an HEVC configuration with its parameter sets only.
pub(super) fn hevc(content: &[u8]) -> Option<Vec<u8>> {
    let mut reader = Reader::new(content);
    let mut kept = reader.take(HEVC_BYTES)?.to_vec();
    let arrays = reader.u8()?;
    kept.push(0);
    for _array in 0..arrays {
        let head = reader.u8()?;
        let units = reader.rest();
        for _unit in 0..reader.be16()? {
            let bytes = reader.be16()?;
            reader.take(bytes)?;
        }
        if PARAMETER_SETS.contains(&(head & 0x3f)) {
            let bytes = units.len() - reader.rest().len();
            // Clears the reserved bit.
            kept.push(head & 0xbf);
            kept.extend(units.get(..bytes)?);
            *kept.get_mut(HEVC_BYTES)? += 1;
        }
    }
    Some(kept)
}

/// Returns an AV1 configuration of the same length, with its sequence header only. Decoders read all of it, so
/// padding takes the rest.
pub(super) fn av1(content: &[u8]) -> Option<Vec<u8>> {
    let mut kept = content.get(..AV1_BYTES)?.to_vec();
    kept.extend(sequence_header(content.get(AV1_BYTES..)?).unwrap_or_default());
    let free = content.len() - kept.len();
    let mut padding = vec![0; free];
    if let Some(header) = padding_header(free) {
        padding.get_mut(..header.len())?.copy_from_slice(&header);
    }
    kept.extend(padding);
    Some(kept)
}

/// Returns the first unit if it is a sequence header with a size.
fn sequence_header(units: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(units);
    let (value, bits) = SEQUENCE_HEADER;
    if reader.u8()? & bits != value {
        return None;
    }
    let bytes = leb128(&mut reader)?;
    let header = units.len() - reader.rest().len();
    units.get(..header.checked_add(bytes)?)
}

/// Reads a number of seven bits a byte, the lowest first.
fn leb128(reader: &mut Reader<'_>) -> Option<usize> {
    let mut value = 0;
    for place in 0..4 {
        let byte = reader.u8()?;
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Returns the beginning of a unit of padding that is `bytes` long: its type, its size in four bytes or one, and
/// the bit that ends its content. `None` if it is too short.
fn padding_header(bytes: usize) -> Option<Vec<u8>> {
    let size_bytes = if bytes > 128 { 4 } else { 1 };
    let content = bytes.checked_sub(1 + size_bytes)?;
    let mut header = vec![PADDING];
    for place in 0..size_bytes {
        let last = place + 1 == size_bytes;
        let low = u8::try_from((content >> (7 * place)) & 0x7f).ok()?;
        header.push(if last { low } else { low | 0x80 });
    }
    if content > 0 {
        header.push(0x80);
    }
    Some(header)
}

/// Returns the number of bytes of a `pitm`: the id of the main item.
pub(super) fn primary_item(content: &[u8]) -> Option<usize> {
    Some(4 + id_bytes(content, 1)?)
}

/// Returns the number of bytes of a reference from one item to others.
pub(super) fn reference(content: &[u8], id_bytes: usize) -> Option<usize> {
    let mut reader = Reader::new(content);
    reader.be(id_bytes)?;
    let count = reader.be16()?;
    Some(id_bytes + 2 + count * id_bytes)
}

/// Returns the number of bytes of an `ipma`: the properties of each item.
pub(super) fn associations(content: &[u8]) -> Option<usize> {
    let id_bytes = id_bytes(content, 1)?;
    let place_bytes = 1 + usize::from(content.get(3)? & 1);
    let mut reader = Reader::new(content.get(4..)?);
    for _item in 0..reader.be32()? {
        reader.take(id_bytes)?;
        let count = usize::from(reader.u8()?);
        reader.take(count * place_bytes)?;
    }
    Some(content.len() - reader.rest().len())
}

/// Returns the number of bytes of an item's id: four from version `long` of its box on.
pub(super) fn id_bytes(content: &[u8], long: u8) -> Option<usize> {
    let version = content.first()?;
    Some(if *version < long { 2 } else { 4 })
}

/// Returns the number of bytes of an image that is a grid of others: rows, columns, and its size.
pub(super) fn grid(content: &[u8]) -> Option<usize> {
    Some(4 + 2 * (2 << (content.get(1)? & 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hevc_configuration_keeps_parameter_sets() {
        let array = |kind: u8, unit: &[u8]| {
            let bytes = u8::try_from(unit.len()).unwrap();
            [&[kind, 0, 1, 0, bytes], unit].concat()
        };
        let sets = [
            array(0xa0, b"vps"),
            array(0xa1, b"sps"),
            array(0x22, b"pps"),
        ]
        .concat();
        let message = array(0xa7, b"message");
        let whole = [&[1; 22][..], &[4], &message, &sets, b"behind"].concat();
        let kept = [&[1; 22][..], &[3], &sets].concat();
        assert_eq!(hevc(&whole), Some(kept.clone()));
        assert_eq!(hevc(&kept), Some(kept));
        assert_eq!(hevc(&whole[..40]), None);
    }

    #[test]
    fn av1_configuration_keeps_sequence_header() {
        let start = [0x81, 0, 0, 0, 0x0a, 3, 1, 2, 3];
        for bytes in [0, 1, 2, 3, 100, 129, 130, 300, 40_000] {
            let whole = [&start[..], &vec![b'x'; bytes]].concat();
            let kept = av1(&whole).unwrap();
            assert_eq!(kept.len(), whole.len());
            assert_eq!(&kept[..start.len()], start);
            assert!(!kept[start.len()..].contains(&b'x'), "{bytes}");
            assert_eq!(av1(&kept).unwrap(), kept, "{bytes}");
            let mut units = Reader::new(&kept[start.len()..]);
            if bytes > 1 {
                assert_eq!(units.u8(), Some(PADDING));
                let content = leb128(&mut units).unwrap();
                assert_eq!(units.rest().len(), content, "{bytes}");
                assert!(content == 0 || units.u8() == Some(0x80));
            }
        }
    }
}
