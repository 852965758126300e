//! Malicious images, and a host that serves them.

use std::io::{Cursor, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

fn crc(bytes: &[u8]) -> u32 {
    let table = |byte: u32| {
        (0..8).fold(byte, |c, _| {
            if c & 1 == 1 {
                0xedb8_8320 ^ (c >> 1)
            } else {
                c >> 1
            }
        })
    };
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        table((crc ^ u32::from(*byte)) & 0xff) ^ (crc >> 8)
    })
}

pub fn chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("small").to_be_bytes();
    let named = [kind.as_slice(), content].concat();
    [&length[..], &named, &crc(&named).to_be_bytes()].concat()
}

/// Compresses `count` zeros with a fixed code: a literal, then copies of 258 from one place before.
fn zeros(count: u32) -> Vec<u8> {
    let (mut out, mut held, mut bits) = (vec![0x78, 0x01], 0_u64, 0);
    let mut put = |out: &mut Vec<u8>, value: u64, width: u32| {
        held |= value << bits;
        bits += width;
        while bits >= 8 {
            out.push((held & 0xff) as u8);
            held >>= 8;
            bits -= 8;
        }
    };
    // The last block, with fixed codes. Codes are written from their first bit: the literal 0 is
    // 00110000.
    put(&mut out, 0b011, 3);
    put(&mut out, 0b0000_1100, 8);
    for _ in 0..(count - 1) / 258 {
        put(&mut out, 0b1010_0011, 8); // the length 258 is 11000101
        put(&mut out, 0, 5);
    }
    for _ in 0..(count - 1) % 258 {
        put(&mut out, 0b0000_1100, 8);
    }
    put(&mut out, 0, 7 + 7); // the end mark, and padding to a byte
    let adler = ((count % 65_521) << 16) | 1;
    out.extend(adler.to_be_bytes());
    out
}

/// Returns a black PNG with two bits per pixel. Its header may promise more pixels than there are.
pub fn png(width: u32, height: u32, pixels: bool) -> Vec<u8> {
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[2, 3, 0, 0, 0],
    ]
    .concat();
    let data = if pixels {
        zeros((width / 4 + 1) * height)
    } else {
        zeros(300)
    };
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"PLTE", &[0; 12]),
        chunk(b"IDAT", &data),
        chunk(b"IEND", &[]),
    ]
    .concat()
}

/// Returns an animation with this number of frames.
pub fn gif(width: u16, height: u16, frames: usize) -> Vec<u8> {
    let frame = b"\x21\xf9\x04\0\x01\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
    let mut gif = b"GIF89a".to_vec();
    gif.extend(width.to_le_bytes());
    gif.extend(height.to_le_bytes());
    gif.extend(b"\x80\0\0\xff\xff\xff\0\0\0");
    gif.extend(frame.repeat(frames));
    gif.push(0x3b);
    gif
}

/// Returns a lossless image of one colour. Its pixels take no bits, so it has about thirty bytes at
/// any size.
pub fn vp8l(width: u32, height: u32) -> Vec<u8> {
    let (mut held, mut at) = (0_u128, 0);
    let mut put = |value: u32, width: u32| {
        held |= u128::from(value) << at;
        at += width;
    };
    put(0x2f, 8);
    put(width - 1, 14);
    put(height - 1, 14);
    put(0, 1 + 3); // no alpha, version 0
    put(0, 1 + 1 + 1); // no transform, no cache, one group of codes
    for symbol in [10, 20, 30, 255, 0] {
        put(0b101, 3); // simple, one symbol, of eight bits
        put(symbol, 8);
    }
    held.to_le_bytes().to_vec()
}

fn riff(chunks: &[u8]) -> Vec<u8> {
    let size = u32::try_from(chunks.len() + 4)
        .expect("small")
        .to_le_bytes();
    [b"RIFF", &size[..], b"WEBP", chunks].concat()
}

fn riff_chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let size = u32::try_from(content.len()).expect("small").to_le_bytes();
    let pad = vec![0; content.len() % 2];
    [kind.as_slice(), &size, content, &pad].concat()
}

pub fn webp(width: u32, height: u32) -> Vec<u8> {
    riff(&riff_chunk(b"VP8L", &vp8l(width, height)))
}

/// Returns an animation whose frames have its full size.
pub fn animated_webp(side: u32, frames: usize) -> Vec<u8> {
    let three = |n: u32| n.to_le_bytes()[..3].to_vec();
    let canvas = [vec![2, 0, 0, 0], three(side - 1), three(side - 1)].concat();
    let frame = [
        vec![0; 6],
        three(side - 1),
        three(side - 1),
        vec![1, 0, 0, 0],
        riff_chunk(b"VP8L", &vp8l(side, side)),
    ]
    .concat();
    let frame = riff_chunk(b"ANMF", &frame);
    riff(
        &[
            riff_chunk(b"VP8X", &canvas),
            riff_chunk(b"ANIM", &[0; 6]),
            frame.repeat(frames),
        ]
        .concat(),
    )
}

/// Returns a bitmap that expands: runs of 255 pixels in two bytes each.
pub fn bmp(side: u32) -> Vec<u8> {
    let runs = ([255, 0].repeat(side as usize / 255 + 1).len() / 2) * side as usize;
    let data = [[255, 0].repeat(runs), vec![0, 1]].concat();
    let offset = 14_u32 + 40 + 8;
    let mut bmp = b"BM".to_vec();
    bmp.extend((offset + u32::try_from(data.len()).expect("small")).to_le_bytes());
    bmp.extend([0; 4]);
    bmp.extend(offset.to_le_bytes());
    for field in [40, side, side] {
        bmp.extend(field.to_le_bytes());
    }
    bmp.extend([1, 0, 8, 0]);
    for field in [1, u32::try_from(data.len()).expect("small"), 0, 0, 2, 0] {
        bmp.extend(field.to_le_bytes());
    }
    bmp.extend([0; 8]);
    bmp.extend(data);
    bmp
}

/// Returns a normal JPEG.
pub fn jpeg() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(RgbImage::from_pixel(8, 8, Rgb([200, 30, 40])))
        .write_to(&mut bytes, ImageFormat::Jpeg)
        .expect("encodes");
    bytes.into_inner()
}

/// How the host responds to a request.
#[derive(Clone)]
pub enum Act {
    /// Sends these bytes as an image.
    Body(Vec<u8>),
    /// Sends a head, and then endless bytes.
    Endless(&'static str),
    /// Sends a byte each second.
    Drip,
    /// Sends nothing.
    Silent,
    /// Sends this text unchanged.
    Raw(&'static str),
}

/// Serves each act under its name, in threads that end with the test process.
pub fn host(acts: Vec<(&'static str, Act)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let acts = acts.clone();
            thread::spawn(move || serve(stream, &acts));
        }
    });
    address
}

fn serve(mut stream: TcpStream, acts: &[(&'static str, Act)]) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        request.push(byte[0]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let Some((_, act)) = acts.iter().find(|(name, _)| path == format!("/{name}")) else {
        return;
    };
    act_on(&mut stream, act).ok(); // the relay may close early
}

fn act_on(stream: &mut TcpStream, act: &Act) -> std::io::Result<()> {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: image/png\r\n";
    match act {
        Act::Body(bytes) => {
            write!(stream, "{head}Content-Length: {}\r\n\r\n", bytes.len())?;
            stream.write_all(bytes)
        }
        Act::Endless(begin) => {
            stream.write_all(begin.as_bytes())?;
            let much = [b'a'; 64 * 1024];
            // The loop is bounded, so that a hanging test ends too.
            for _ in 0..32 * 1024 {
                stream.write_all(&much)?;
            }
            Ok(())
        }
        Act::Drip => {
            write!(stream, "{head}Content-Length: 1000\r\n\r\n")?;
            for byte in png(8, 8, true).into_iter().cycle().take(1000) {
                stream.write_all(&[byte])?;
                thread::sleep(Duration::from_secs(1)); // simulates a slow host
            }
            Ok(())
        }
        Act::Silent => {
            thread::sleep(Duration::from_secs(60)); // simulates a silent host
            Ok(())
        }
        Act::Raw(text) => stream.write_all(text.as_bytes()),
    }
}
