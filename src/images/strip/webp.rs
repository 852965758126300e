//! WebP (RFC 9649): chunks in a RIFF file, and chunks in the frames of an animation. Frames hold
//! unknown chunks as well, which `img-parts` does not look into.

use super::Malformed;
use super::reader::Reader;

const CUT_SHORT: Malformed = Malformed("the WebP is cut short");
/// `VP8X` flags that announce the metadata that is taken out: Exif and XMP.
const METADATA_FLAGS: u8 = 0x08 | 0x04;
/// The bytes of an animation frame before its chunks.
const FRAME_HEADER_BYTES: usize = 16;

pub(super) fn strip(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.take(4) != Some(b"RIFF") {
        return Err(Malformed("not a WebP"));
    }
    let size = reader.le32().ok_or(CUT_SHORT)?;
    let mut reader = Reader::new(reader.take(size).ok_or(CUT_SHORT)?);
    if reader.take(4) != Some(b"WEBP") {
        return Err(Malformed("not a WebP"));
    }
    let mut body = b"WEBP".to_vec();
    let mut pictures = 0;
    while let Some((id, content)) = chunk(&mut reader)? {
        match &id {
            b"VP8 " | b"VP8L" => {
                pictures += 1;
                push_chunk(&mut body, id, content);
            }
            b"ALPH" | b"ANIM" | b"ICCP" => push_chunk(&mut body, id, content),
            b"VP8X" => push_chunk(&mut body, id, &without_metadata_flags(content)?),
            b"ANMF" => {
                pictures += 1;
                push_chunk(&mut body, id, &frame(content)?);
            }
            _ => {}
        }
    }
    if pictures == 0 {
        return Err(Malformed("the WebP holds no picture"));
    }
    let mut picture = b"RIFF".to_vec();
    picture.extend(length(&body));
    picture.extend(body);
    Ok(picture)
}

fn without_metadata_flags(content: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut content = content.to_vec();
    *content.first_mut().ok_or(CUT_SHORT)? &= !METADATA_FLAGS;
    Ok(content)
}

fn frame(content: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(content);
    let mut frame = reader.take(FRAME_HEADER_BYTES).ok_or(CUT_SHORT)?.to_vec();
    while let Some((id, content)) = chunk(&mut reader)? {
        if matches!(&id, b"VP8 " | b"VP8L" | b"ALPH") {
            push_chunk(&mut frame, id, content);
        }
    }
    Ok(frame)
}

/// A chunk's name and content.
type Chunk<'a> = ([u8; 4], &'a [u8]);

/// The next chunk; `None` at the end. An odd one is padded, except that the last one's padding is
/// often forgotten.
fn chunk<'a>(reader: &mut Reader<'a>) -> Result<Option<Chunk<'a>>, Malformed> {
    if reader.is_empty() {
        return Ok(None);
    }
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
    out.extend(length(content));
    out.extend(content);
    if content.len() % 2 == 1 {
        out.push(0);
    }
}

fn length(content: &[u8]) -> [u8; 4] {
    let length = u32::try_from(content.len())
        .expect("it is no longer than what was read with such a length");
    length.to_le_bytes()
}
