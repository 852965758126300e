//! GIF (89a): frames and their timing are kept. Comments, texts, other programs' data and bytes behind the end
//! are removed.

use super::reader::Reader;
use super::{Budget, Malformed};

const CUT_SHORT: Malformed = Malformed("the GIF is cut short");
const EXTENSION: u8 = 0x21;
const FRAME: u8 = 0x2c;
const END: u8 = 0x3b;
const GRAPHIC_CONTROL: u8 = 0xf9;
const APPLICATION: u8 = 0xff;
/// Bytes of the name of the block that says how often an animation repeats.
const NAME_BYTES: usize = 11;

pub(super) fn strip(bytes: &[u8], budget: &mut Budget) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut picture = Vec::with_capacity(bytes.len() + 1);
    let signature = reader.take(6).ok_or(CUT_SHORT)?;
    if !matches!(signature, b"GIF87a" | b"GIF89a") {
        return Err(Malformed("not a GIF"));
    }
    picture.extend(signature);
    let screen: [u8; 7] = reader.array().ok_or(CUT_SHORT)?;
    picture.extend(screen);
    picture.extend(colours(&mut reader, screen[4])?);
    let mut frames = 0;
    loop {
        budget.part()?;
        match reader.u8() {
            Some(FRAME) => {
                frames += 1;
                frame(&mut reader, &mut picture, budget)?;
            }
            Some(EXTENSION) => extension(&mut reader, &mut picture, budget)?,
            // A file that ends here counts as complete, because every program shows such an image.
            Some(END) | None => break,
            Some(_) => return Err(Malformed("the GIF has bytes between its blocks")),
        }
    }
    if frames == 0 {
        return Err(Malformed("the GIF contains no image"));
    }
    picture.push(END);
    Ok(picture)
}

/// Reads a colour table, if the flags announce one.
fn colours<'a>(reader: &mut Reader<'a>, flags: u8) -> Result<&'a [u8], Malformed> {
    if flags & 0x80 == 0 {
        return Ok(&[]);
    }
    reader.take(3 << ((flags & 7) + 1)).ok_or(CUT_SHORT)
}

/// Keeps a frame, from its introducer to the end of its data.
fn frame(
    reader: &mut Reader<'_>,
    picture: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), Malformed> {
    let descriptor: [u8; 9] = reader.array().ok_or(CUT_SHORT)?;
    picture.push(FRAME);
    picture.extend(descriptor);
    picture.extend(colours(reader, descriptor[8])?);
    picture.push(reader.u8().ok_or(CUT_SHORT)?);
    picture.extend(blocks(reader, budget)?);
    Ok(())
}

/// Keeps the visible part of an extension; most have none.
fn extension(
    reader: &mut Reader<'_>,
    picture: &mut Vec<u8>,
    budget: &mut Budget,
) -> Result<(), Malformed> {
    let label = reader.u8().ok_or(CUT_SHORT)?;
    let blocks = blocks(reader, budget)?;
    // Each block begins with its length.
    let kept = match (label, blocks) {
        (GRAPHIC_CONTROL, [4, ..]) => blocks.get(..5),
        // The number of repeats of an animation, in the one application extension that all programs read.
        (APPLICATION, [11, rest @ ..])
            if rest.starts_with(b"NETSCAPE2.0") || rest.starts_with(b"ANIMEXTS1.0") =>
        {
            let repeat = rest.get(NAME_BYTES..).unwrap_or_default();
            let kept = blocks.get(..1 + NAME_BYTES + 4);
            kept.filter(|_| repeat.first() == Some(&3))
        }
        _ => None,
    };
    if let Some(kept) = kept {
        picture.extend([EXTENSION, label]);
        picture.extend(kept);
        picture.push(0);
    }
    Ok(())
}

/// Reads blocks of up to 255 bytes each, unchanged, with the empty one that ends them.
fn blocks<'a>(reader: &mut Reader<'a>, budget: &mut Budget) -> Result<&'a [u8], Malformed> {
    let start = *reader;
    let mut bytes = 0;
    loop {
        budget.part()?;
        let size = usize::from(reader.u8().ok_or(CUT_SHORT)?);
        bytes += 1 + size;
        if size == 0 {
            break;
        }
        reader.take(size).ok_or(CUT_SHORT)?;
    }
    Ok(start.rest().get(..bytes).unwrap_or_default())
}
