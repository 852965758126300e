//! GIF (89a): frames and how they follow each other are kept; comments, texts, other programs' data
//! and whatever stands behind the end are not.

use super::Malformed;
use super::reader::Reader;

const CUT_SHORT: Malformed = Malformed("the GIF is cut short");
const EXTENSION: u8 = 0x21;
const FRAME: u8 = 0x2c;
const END: u8 = 0x3b;
const GRAPHIC_CONTROL: u8 = 0xf9;
const APPLICATION: u8 = 0xff;

pub(super) fn strip(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut picture = Vec::with_capacity(bytes.len());
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
        match reader.u8() {
            Some(FRAME) => {
                frames += 1;
                picture.extend(frame(&mut reader)?);
            }
            Some(EXTENSION) => picture.extend(extension(&mut reader)?),
            // Where nothing is left, the end is meant: every program shows such a picture.
            Some(END) | None => break,
            Some(_) => return Err(Malformed("the GIF has bytes between its blocks")),
        }
    }
    if frames == 0 {
        return Err(Malformed("the GIF holds no picture"));
    }
    picture.push(END);
    Ok(picture)
}

/// A colour table, if the flags announce one.
fn colours<'a>(reader: &mut Reader<'a>, flags: u8) -> Result<&'a [u8], Malformed> {
    if flags & 0x80 == 0 {
        return Ok(&[]);
    }
    reader.take(3 << ((flags & 7) + 1)).ok_or(CUT_SHORT)
}

/// A frame, from its introducer to the end of its data.
fn frame<'a>(reader: &mut Reader<'a>) -> Result<Vec<u8>, Malformed> {
    let descriptor: [u8; 9] = reader.array().ok_or(CUT_SHORT)?;
    let mut frame = vec![FRAME];
    frame.extend(descriptor);
    frame.extend(colours(reader, descriptor[8])?);
    frame.push(reader.u8().ok_or(CUT_SHORT)?);
    for block in blocks(reader)? {
        push_block(&mut frame, block);
    }
    frame.push(0);
    Ok(frame)
}

/// What is kept of an extension: nothing, mostly.
fn extension(reader: &mut Reader<'_>) -> Result<Vec<u8>, Malformed> {
    let label = reader.u8().ok_or(CUT_SHORT)?;
    let blocks = blocks(reader)?;
    let kept = match (label, blocks.as_slice()) {
        (GRAPHIC_CONTROL, [control, ..]) if control.len() == 4 => [*control].to_vec(),
        // How often an animation repeats: the one application extension that all programs read.
        (APPLICATION, [name, repeat, ..])
            if matches!(*name, b"NETSCAPE2.0" | b"ANIMEXTS1.0") && repeat.len() == 3 =>
        {
            [*name, *repeat].to_vec()
        }
        _ => return Ok(Vec::new()),
    };
    let mut extension = vec![EXTENSION, label];
    for block in kept {
        push_block(&mut extension, block);
    }
    extension.push(0);
    Ok(extension)
}

/// Blocks of up to 255 bytes, up to the empty one that ends them.
fn blocks<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, Malformed> {
    let mut blocks = Vec::new();
    loop {
        match reader.u8().ok_or(CUT_SHORT)? {
            0 => return Ok(blocks),
            size => blocks.push(reader.take(usize::from(size)).ok_or(CUT_SHORT)?),
        }
    }
}

fn push_block(out: &mut Vec<u8>, block: &[u8]) {
    out.push(u8::try_from(block.len()).expect("it was read with a length of 8 bits"));
    out.extend(block);
}
