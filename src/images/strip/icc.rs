//! Colour profiles (ICC.1): reduced to the header's colour fields and the tags that colours are computed from.
//! Descriptions, copyrights, device names, dates and vendors' own tags are dropped.

use super::reader::Reader;

const HEADER_BYTES: usize = 128;
/// The largest number of tags. Real profiles have at most about thirty.
const TAGS_MAX: usize = 100;
/// Header fields that define the colours: size (rewritten), version, class, spaces; the signature; the
/// rendering intent and the illuminant. All other bytes become zeros.
const KEPT_HEADER: [std::ops::Range<usize>; 3] = [8..24, 36..40, 64..80];
/// Tags that colours are computed from.
const KEPT_TAGS: [&[u8; 4]; 17] = [
    b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"wtpt", b"bkpt", b"chad",
    b"cicp", b"A2B0", b"A2B1", b"A2B2", b"B2A0", b"B2A1", b"B2A2",
];

/// Reduces a profile. Returns `None` if it is damaged; the image is then kept without a profile.
pub(super) fn reduce(profile: &[u8]) -> Option<Vec<u8>> {
    let header = profile.get(..HEADER_BYTES)?;
    if header.get(36..40)? != b"acsp" {
        return None;
    }
    let kept = kept_tags(profile)?;
    let mut reduced = vec![0; HEADER_BYTES];
    for range in KEPT_HEADER {
        reduced[range.clone()].copy_from_slice(&header[range]);
    }
    let table_bytes = HEADER_BYTES + 4 + 12 * kept.len();
    let mut data: Vec<u8> = Vec::new();
    let mut placed: Vec<(&[u8], usize)> = Vec::new();
    reduced.extend(number(kept.len())?);
    for (name, element) in kept {
        // Channels often share one curve.
        let known = placed.iter().find(|(other, _)| *other == element);
        let start = match known {
            Some((_, start)) => *start,
            None => {
                let start = table_bytes + data.len();
                // Overlapping tags could turn a small profile into a large one.
                if (start + element.len()).next_multiple_of(4) > profile.len() + 16 {
                    return None;
                }
                data.extend(element);
                data.resize(data.len().next_multiple_of(4), 0);
                placed.push((element, start));
                start
            }
        };
        reduced.extend(name);
        reduced.extend(number(start)?);
        reduced.extend(number(element.len())?);
    }
    reduced.extend(data);
    let size = number(reduced.len())?;
    reduced[..4].copy_from_slice(&size);
    Some(reduced)
}

fn kept_tags(profile: &[u8]) -> Option<Vec<([u8; 4], &[u8])>> {
    let mut table = Reader::new(profile.get(HEADER_BYTES..)?);
    let count = table.be32()?;
    if count > TAGS_MAX {
        return None;
    }
    let mut kept: Vec<([u8; 4], &[u8])> = Vec::new();
    for _tag in 0..count {
        let name: [u8; 4] = table.array()?;
        let (offset, size) = (table.be32()?, table.be32()?);
        let once = !kept.iter().any(|(other, _)| *other == name);
        if once && KEPT_TAGS.contains(&&name) {
            let element = profile.get(offset..offset.checked_add(size)?)?;
            kept.push((name, trimmed(element)?));
        }
    }
    Some(kept)
}

/// Returns an element without the bytes behind its data; `None` if its type contains no colours.
fn trimmed(element: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader::new(element);
    let kind: [u8; 4] = reader.array()?;
    let bytes = match &kind {
        b"XYZ " => 20,
        b"sf32" => 44,
        b"cicp" => 12,
        b"curv" => {
            reader.take(4)?;
            reader.be32()?.checked_mul(2)?.checked_add(12)?
        }
        b"para" => {
            reader.take(4)?;
            let parameters = [1, 3, 4, 5, 7].get(reader.be16()?)?;
            12 + 4 * parameters
        }
        // Tables contain numbers only, with offsets inside the table.
        b"mft1" | b"mft2" | b"mAB " | b"mBA " => element.len(),
        _ => return None,
    };
    element.get(..bytes)
}

fn number(value: usize) -> Option<[u8; 4]> {
    u32::try_from(value).ok().map(u32::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_tags_are_refused() {
        let profile = |tags: &[&[u8; 4]]| {
            let mut profile = vec![0; HEADER_BYTES];
            profile[36..40].copy_from_slice(b"acsp");
            profile.extend(number(tags.len()).unwrap());
            let start = HEADER_BYTES + 4 + 12 * tags.len();
            for (index, tag) in tags.iter().enumerate() {
                // Each element lacks the last bytes of the one before, so no two are equal.
                profile.extend(*tag);
                profile.extend(number(start).unwrap());
                profile.extend(number(1000 - 4 * index).unwrap());
            }
            profile.extend(b"mft2");
            profile.resize(start + 1000, 7);
            profile
        };
        let whole = profile(&[b"A2B0"]);
        assert_eq!(reduce(&whole).unwrap().len(), whole.len());
        assert_eq!(reduce(&profile(&[b"A2B0", b"A2B1"])), None);
    }
}
