//! PNG and APNG (W3C PNG 3rd edition). `img-parts` reads the chunks, checks their sums and stops at
//! the end of the picture.

use bytes::Bytes;
use img_parts::png::Png;

use super::Malformed;

/// Chunks that decoding, colours, transparency and animation need.
const KEPT: [&[u8; 4]; 17] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT",
    b"bKGD", b"pHYs", b"cICP", b"mDCV", b"acTL", b"fcTL", b"fdAT",
];

pub(super) fn strip(bytes: Bytes) -> Result<Bytes, Malformed> {
    let mut png = Png::from_bytes(bytes).map_err(|_detail| Malformed("the PNG is damaged"))?;
    let chunks = png.chunks_mut();
    // The fifth bit of the first letter says whether a decoder may skip the chunk.
    let unknown = |kind: [u8; 4]| kind[0] & 0x20 == 0 && !KEPT.contains(&&kind);
    if chunks.iter().any(|chunk| unknown(chunk.kind())) {
        return Err(Malformed("the PNG has a part that nobody knows"));
    }
    let count = |kind: &[u8; 4]| chunks.iter().filter(|chunk| chunk.kind() == *kind).count();
    let first = chunks.first().is_some_and(|chunk| chunk.kind() == *b"IHDR");
    let last = chunks
        .last()
        .is_some_and(|chunk| chunk.kind() == *b"IEND" && chunk.contents().is_empty());
    if !first || !last || count(b"IHDR") != 1 || count(b"IDAT") == 0 {
        return Err(Malformed("the PNG does not hold exactly one picture"));
    }
    chunks.retain(|chunk| KEPT.contains(&&chunk.kind()));
    Ok(png.encoder().bytes())
}
