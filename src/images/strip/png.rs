//! PNG and APNG (W3C PNG 3rd edition).

use std::borrow::Cow;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use super::reader::Reader;
use super::{Budget, Malformed, icc};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const CUT_SHORT: Malformed = Malformed("the PNG is cut short");
const DAMAGED: Malformed = Malformed("the PNG is damaged");
const NOT_ONE: Malformed = Malformed("the PNG does not contain exactly one image");
/// The size of the largest colour profile that is unpacked, in bytes. Those of printers have half of that.
const PROFILE_BYTES_MAX: usize = 2 << 20;

pub(super) fn strip(bytes: &[u8], budget: &mut Budget) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.take(8) != Some(SIGNATURE) {
        return Err(Malformed("not a PNG"));
    }
    let mut picture = Vec::with_capacity(bytes.len());
    picture.extend(SIGNATURE);
    let mut data = false;
    let mut first = true;
    let mut has_profile = false;
    let mut is_animation = false;
    loop {
        budget.part()?;
        let size = reader.be32().ok_or(CUT_SHORT)?;
        let kind: [u8; 4] = reader.array().ok_or(CUT_SHORT)?;
        let content = reader.take(size).ok_or(CUT_SHORT)?;
        let sum: [u8; 4] = reader.array().ok_or(CUT_SHORT)?;
        if sum != crc(kind, content) {
            return Err(DAMAGED);
        }
        if first != (kind == *b"IHDR") {
            return Err(NOT_ONE);
        }
        first = false;
        // A PNG has one profile, so later ones are dropped without unpacking them.
        if kind == *b"iCCP" && std::mem::replace(&mut has_profile, true) {
            continue;
        }
        is_animation |= kind == *b"acTL";
        // Without an animation no viewer reads its frames, so they could be anything.
        if matches!(&kind, b"fcTL" | b"fdAT") && !is_animation {
            continue;
        }
        if let Some(kept) = kept_content(kind, content, budget)? {
            push_chunk(&mut picture, kind, &kept)?;
        }
        data |= kind == *b"IDAT";
        if kind == *b"IEND" {
            break;
        }
    }
    if data { Ok(picture) } else { Err(NOT_ONE) }
}

/// Returns the part of a chunk that decoding, colours, transparency and animation need.
fn kept_content<'a>(
    kind: [u8; 4],
    content: &'a [u8],
    budget: &mut Budget,
) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
    let fits = match &kind {
        b"IHDR" if content.len() == 13 => true,
        b"IHDR" => return Err(DAMAGED),
        b"IEND" if !content.is_empty() => return Err(NOT_ONE),
        b"IEND" | b"IDAT" | b"fdAT" => true,
        b"PLTE" => content.len() <= 768,
        b"tRNS" => content.len() <= 256,
        b"gAMA" | b"cICP" => content.len() == 4,
        b"sBIT" => content.len() <= 4,
        b"bKGD" => content.len() <= 6,
        b"cLLI" | b"acTL" => content.len() == 8,
        b"sRGB" => content.len() == 1,
        b"pHYs" => content.len() == 9,
        b"mDCV" => content.len() == 24,
        b"fcTL" => content.len() == 26,
        b"cHRM" => content.len() == 32,
        b"iCCP" => return Ok(colours(content, budget)?.map(Cow::Owned)),
        // The fifth bit of the first letter says whether a decoder may skip the chunk.
        [first, ..] if first & 0x20 == 0 => {
            return Err(Malformed("the PNG has an unknown critical chunk"));
        }
        _ => false,
    };
    Ok(fits.then_some(Cow::Borrowed(content)))
}

/// Returns a colour profile, unpacked, reduced and packed again, without its name; `None` if it is damaged.
fn colours(content: &[u8], budget: &mut Budget) -> Result<Option<Vec<u8>>, Malformed> {
    let name_bytes = content.iter().take(80).position(|byte| *byte == 0);
    // One byte names the compression method; there is only one.
    let Some(packed) = name_bytes.and_then(|bytes| content.get(bytes + 2..)) else {
        return Ok(None);
    };
    let profile = decompress_to_vec_zlib_with_limit(packed, PROFILE_BYTES_MAX);
    let unpacked = profile
        .as_ref()
        .map_or_else(|error| error.output.len(), Vec::len);
    budget.unpacked(unpacked)?;
    let reduced = profile.ok().and_then(|profile| icc::reduce(&profile));
    Ok(reduced.map(|reduced| {
        let mut kept = b"icc\0\0".to_vec();
        kept.extend(compress_to_vec_zlib(&reduced, 6));
        kept
    }))
}

fn push_chunk(out: &mut Vec<u8>, kind: [u8; 4], content: &[u8]) -> Result<(), Malformed> {
    let length = u32::try_from(content.len()).map_err(|_too_long| DAMAGED)?;
    out.extend(length.to_be_bytes());
    out.extend(kind);
    out.extend(content);
    out.extend(crc(kind, content));
    Ok(())
}

/// Returns the checksum of a chunk (ISO 3309) in its written form.
fn crc(kind: [u8; 4], content: &[u8]) -> [u8; 4] {
    let step =
        |sum: u32, byte: &u8| CRC_TABLE[usize::from(sum.to_le_bytes()[0] ^ byte)] ^ (sum >> 8);
    let sum = kind.iter().chain(content).fold(u32::MAX, step);
    (!sum).to_be_bytes()
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 {
                0xedb8_8320 ^ (sum >> 1)
            } else {
                sum >> 1
            };
            bit += 1;
        }
        table[byte as usize] = sum;
        byte += 1;
    }
    table
};
