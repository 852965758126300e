//! WebP (RFC 9649): chunks in a RIFF file, and chunks in the frames of an animation.

use super::reader::Reader;
use super::{Budget, Malformed, icc};

const CUT_SHORT: Malformed = Malformed("the WebP is cut short");
/// `VP8X` flags that are kept: animation and alpha. The colour flag is added if the profile is kept.
const KEPT_FLAGS: u8 = 0x02 | 0x10;
const COLOURS_FLAG: u8 = 0x20;
/// `VP8X`: flags, three reserved bytes, the canvas.
const CANVAS_BYTES: usize = 10;
/// `ANIM`: background and number of repeats.
const ANIMATION_BYTES: usize = 6;
/// The bytes of an animation frame before its chunks.
const FRAME_HEADER_BYTES: usize = 16;

pub(super) fn strip(bytes: &[u8], budget: &mut Budget) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.take(4) != Some(b"RIFF") {
        return Err(Malformed("not a WebP"));
    }
    let size = reader.le32().ok_or(CUT_SHORT)?;
    let mut reader = Reader::new(reader.take(size).ok_or(CUT_SHORT)?);
    if reader.take(4) != Some(b"WEBP") {
        return Err(Malformed("not a WebP"));
    }
    let mut picture = Vec::with_capacity(size + 8);
    picture.extend(b"RIFF\0\0\0\0WEBP");
    let mut pictures = 0;
    let mut flags_at = None;
    let mut colours = false;
    while let Some((id, content)) = chunk(&mut reader, budget)? {
        match &id {
            b"VP8 " | b"VP8L" => {
                pictures += 1;
                push_chunk(&mut picture, id, content);
            }
            b"ALPH" => push_chunk(&mut picture, id, content),
            b"ANIM" => {
                let kept = content.get(..ANIMATION_BYTES).ok_or(CUT_SHORT)?;
                push_chunk(&mut picture, id, kept);
            }
            b"ICCP" if !colours => {
                if let Some(profile) = icc::reduce(content) {
                    colours = true;
                    push_chunk(&mut picture, id, &profile);
                }
            }
            b"VP8X" if flags_at.is_none() => {
                let mut canvas: [u8; CANVAS_BYTES] =
                    Reader::new(content).array().ok_or(CUT_SHORT)?;
                canvas[0] &= KEPT_FLAGS;
                canvas[1..4].fill(0);
                flags_at = Some(picture.len() + 8);
                push_chunk(&mut picture, id, &canvas);
            }
            b"ANMF" => {
                pictures += 1;
                push_frame(&mut picture, content, budget)?;
            }
            _ => {}
        }
    }
    if pictures == 0 {
        return Err(Malformed("the WebP contains no image"));
    }
    if let Some(at) = flags_at
        && colours
    {
        picture[at] |= COLOURS_FLAG;
    }
    let size = length(picture.len() - 8);
    picture[4..8].copy_from_slice(&size);
    Ok(picture)
}

/// Keeps a frame without foreign chunks. Its length is written at the end.
fn push_frame(picture: &mut Vec<u8>, content: &[u8], budget: &mut Budget) -> Result<(), Malformed> {
    let mut reader = Reader::new(content);
    let start = picture.len();
    picture.extend(b"ANMF\0\0\0\0");
    picture.extend(reader.take(FRAME_HEADER_BYTES).ok_or(CUT_SHORT)?);
    while let Some((id, content)) = chunk(&mut reader, budget)? {
        if matches!(&id, b"VP8 " | b"VP8L" | b"ALPH") {
            push_chunk(picture, id, content);
        }
    }
    let size = length(picture.len() - start - 8);
    picture[start + 4..start + 8].copy_from_slice(&size);
    Ok(())
}

/// A chunk's name and content.
type Chunk<'a> = ([u8; 4], &'a [u8]);

/// Reads the next chunk; `None` at the end. A chunk of odd length is padded, but the padding of the last one is
/// often missing.
fn chunk<'a>(reader: &mut Reader<'a>, budget: &mut Budget) -> Result<Option<Chunk<'a>>, Malformed> {
    if reader.is_empty() {
        return Ok(None);
    }
    budget.part()?;
    let id = reader.array().ok_or(CUT_SHORT)?;
    let size = reader.le32().ok_or(CUT_SHORT)?;
    let content = reader.take(size).ok_or(CUT_SHORT)?;
    if size % 2 == 1 && !reader.is_empty() {
        reader.take(1).ok_or(CUT_SHORT)?;
    }
    Ok(Some((id, content)))
}

fn push_chunk(out: &mut Vec<u8>, id: [u8; 4], content: &[u8]) {
    out.extend(id);
    out.extend(length(content.len()));
    out.extend(content);
    if content.len() % 2 == 1 {
        out.push(0);
    }
}

fn length(bytes: usize) -> [u8; 4] {
    let length =
        u32::try_from(bytes).expect("it is no longer than what was read with such a length");
    length.to_le_bytes()
}
