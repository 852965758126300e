//! Small pictures made by hand, each with a marker wherever its format lets metadata stand.

use bytes::Bytes;
use img_parts::png::{Png, PngChunk};

use crate::model::ImageFormat;

/// Must be gone from what is kept.
pub(in crate::images) const MARKER: &[u8] = b"HOME-ADDRESS";

pub(in crate::images) fn all() -> Vec<(ImageFormat, Vec<u8>)> {
    vec![
        (ImageFormat::Jpeg, jpeg(1, 1)),
        (ImageFormat::Png, png(1, 1)),
        (ImageFormat::Gif, gif(1, 1)),
        (ImageFormat::Webp, webp(1, 1)),
        (ImageFormat::Bmp, bmp(1, 1)),
        (ImageFormat::Heif, heif(1, 1)),
    ]
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker][..], &length, content].concat()
}

fn marked(before: &[u8]) -> Vec<u8> {
    [before, MARKER].concat()
}

/// A progressive JPEG of two scans that lies on its side, with metadata before, between and behind them.
pub(in crate::images) fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let [[w0, w1], [h0, h1]] = [width.to_be_bytes(), height.to_be_bytes()];
    // Little-endian TIFF: one directory at 8 with two entries, orientation 6 the second.
    let exif = marked(
        b"Exif\0\0II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x0c\0\0\0\x26\0\0\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
    );
    [
        vec![0xff, 0xd8],
        segment(0xe0, &marked(b"JFIF\0\x01\x02\0\0\x01\0\x01\x02\x02")),
        segment(0xe0, &marked(b"JFXX\0\x10")),
        segment(0xe1, &exif),
        segment(0xe1, &marked(b"http://ns.adobe.com/xap/1.0/\0")),
        segment(0xe2, b"ICC_PROFILE\0\x01\x01colours"),
        segment(0xe2, &marked(b"MPF\0")),
        segment(0xed, &marked(b"Photoshop 3.0\0")),
        segment(0xee, &marked(b"Adobe\0\x64\0\0\0\0\x01")),
        segment(0xfe, MARKER),
        vec![0xff, 0xff, 0xff],
        segment(0xdb, &[1; 65])[1..].to_vec(),
        segment(0xc2, &[8, h0, h1, w0, w1, 1, 1, 0x11, 0]),
        segment(0xc4, &[0; 18]),
        segment(0xda, &[1, 1, 0, 0, 0, 0]),
        vec![0x12, 0xff, 0x00, 0x34, 0xff, 0xd0, 0x56],
        segment(0xfe, MARKER),
        segment(0xda, &[1, 1, 0, 1, 63, 0]),
        vec![0x78, 0xff, 0xd9],
        marked(b"PK\x03\x04"),
    ]
    .concat()
}

pub(in crate::images) fn png(width: u32, height: u32) -> Vec<u8> {
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[8, 2, 0, 0, 0],
    ]
    .concat();
    let mut png = Png::from_bytes(Bytes::from_static(b"\x89PNG\r\n\x1a\n")).unwrap();
    let chunk = |kind: &[u8; 4], content: Vec<u8>| PngChunk::new(*kind, content.into());
    png.chunks_mut().extend([
        chunk(b"IHDR", header),
        chunk(b"gAMA", vec![0, 0, 0xb1, 0x8f]),
        chunk(b"tEXt", marked(b"Comment\0")),
        chunk(b"iTXt", marked(b"XML:com.adobe.xmp\0\0\0\0\0")),
        chunk(b"zTXt", marked(b"x\0\0")),
        chunk(b"eXIf", marked(b"MM\0*")),
        chunk(b"tIME", vec![7, 232, 1, 1, 0, 0, 0]),
        chunk(b"prVt", MARKER.to_vec()),
        // A stored deflate block: one row of one white pixel.
        chunk(
            b"IDAT",
            b"\x78\x01\x01\x04\0\xfb\xff\0\xff\xff\xff\x05\xfe\x02\xfe".to_vec(),
        ),
        chunk(b"IEND", Vec::new()),
    ]);
    [&png.encoder().bytes()[..], b"<script>", MARKER].concat()
}

/// An animation that repeats.
pub(in crate::images) fn gif(width: u16, height: u16) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()][..], bytes].concat();
    let frame = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0";
    [
        b"GIF89a".to_vec(),
        width.to_le_bytes().to_vec(),
        height.to_le_bytes().to_vec(),
        b"\x80\0\0\xff\xff\xff\0\0\0".to_vec(),
        [b"\x21\xfe", &sized(MARKER)[..], b"\0"].concat(),
        [
            b"\x21\xff",
            &sized(b"NETSCAPE2.0")[..],
            b"\x03\x01\0\0",
            &sized(MARKER),
            b"\0",
        ]
        .concat(),
        [
            b"\x21\xff",
            &sized(b"XMP DataXMP")[..],
            &sized(MARKER),
            b"\0",
        ]
        .concat(),
        b"\x21\xf9\x04\0\x0a\0\0\0".to_vec(),
        frame.to_vec(),
        frame.to_vec(),
        [b"\x21\x01", &sized(&[0; 12])[..], &sized(MARKER), b"\0"].concat(),
        vec![0x3b],
        MARKER.to_vec(),
    ]
    .concat()
}

fn riff_chunk(id: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
    let padding = vec![0; content.len() % 2];
    [&id[..], &length, content, &padding].concat()
}

/// An animation of one frame that has an unknown chunk within it.
pub(in crate::images) fn webp(width: u32, height: u32) -> Vec<u8> {
    let (w, h) = ((width - 1).to_le_bytes(), (height - 1).to_le_bytes());
    let canvas = [&[0x02 | 0x08 | 0x04 | 0x20, 0, 0, 0][..], &w[..3], &h[..3]].concat();
    let lossless = riff_chunk(b"VP8L", b"\x2f\0\0\0\0\x07\x10\x11\x11\x88\x88\xfe\x07");
    let frame = [&[0; 16][..], &lossless, &riff_chunk(b"prVt", MARKER)].concat();
    let body = [
        b"WEBP".to_vec(),
        riff_chunk(b"VP8X", &canvas),
        riff_chunk(b"ICCP", b"colours"),
        riff_chunk(b"ANIM", &[0; 6]),
        riff_chunk(b"ANMF", &frame),
        riff_chunk(b"EXIF", &marked(b"MM\0*")),
        riff_chunk(b"XMP ", MARKER),
        riff_chunk(b"prVt", MARKER),
    ]
    .concat();
    [riff_chunk(b"RIFF", &body), MARKER.to_vec()].concat()
}

/// 24 bits deep, top row first, with bytes between the header and the pixels and behind them.
pub(in crate::images) fn bmp(width: i32, height: i32) -> Vec<u8> {
    let gap = 16;
    let row = usize::try_from(width).unwrap() * 3;
    let pixels = row.div_ceil(4) * 4 * usize::try_from(height).unwrap();
    let start = 14 + 124 + gap;
    let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let mut header = vec![0; 124];
    header[..4].copy_from_slice(&number(124));
    header[4..8].copy_from_slice(&width.to_le_bytes());
    header[8..12].copy_from_slice(&(-height).to_le_bytes());
    header[12..16].copy_from_slice(&[1, 0, 24, 0]);
    header[56..60].copy_from_slice(b"KNIL");
    header[112..116].copy_from_slice(&number(124 + gap + pixels));
    let mut gap_bytes = MARKER.to_vec();
    gap_bytes.resize(gap, 0);
    [
        b"BM".to_vec(),
        number(start + pixels + MARKER.len()).to_vec(),
        b"HOME".to_vec(),
        number(start).to_vec(),
        header,
        gap_bytes,
        vec![0x55; pixels],
        MARKER.to_vec(),
    ]
    .concat()
}

fn atom(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).unwrap().to_be_bytes();
    [&length[..], kind, content].concat()
}

/// One picture item and one Exif item, their data in `mdat` with a gap between them.
pub(in crate::images) fn heif(width: u32, height: u32) -> Vec<u8> {
    let meta_of = |data_start: usize| {
        let place = |id: u8, start: usize, length: usize| {
            let (start, length) = (
                u32::try_from(start).unwrap(),
                u32::try_from(length).unwrap(),
            );
            [
                &[0, id, 0, 0, 0, 1][..],
                &start.to_be_bytes(),
                &length.to_be_bytes(),
            ]
            .concat()
        };
        let exif_start = data_start + PIXELS.len() + MARKER.len();
        let iloc = [
            &[0, 0, 0, 0, 0x44, 0, 0, 2][..],
            &place(1, data_start, PIXELS.len()),
            &place(2, exif_start, MARKER.len()),
        ]
        .concat();
        let infe = |id: u8, kind: &[u8; 4]| {
            atom(
                b"infe",
                &[&[2, 0, 0, 0, 0, id, 0, 0], &kind[..], b"\0"].concat(),
            )
        };
        let iinf = [
            &[0, 0, 0, 0, 0, 2][..],
            &infe(1, b"hvc1"),
            &infe(2, b"Exif"),
        ]
        .concat();
        let ispe = [&[0; 4][..], &width.to_be_bytes(), &height.to_be_bytes()].concat();
        let iprp = atom(b"ipco", &atom(b"ispe", &ispe));
        let inner = [
            vec![0; 4],
            atom(b"hdlr", b"\0\0\0\0\0\0\0\0pict\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            atom(b"pitm", &[0, 0, 0, 0, 0, 1]),
            atom(b"iloc", &iloc),
            atom(b"iinf", &iinf),
            atom(b"iprp", &iprp),
            atom(b"xml ", MARKER),
        ];
        atom(b"meta", &inner.concat())
    };
    let start = [
        atom(b"ftyp", b"heic\0\0\0\0mif1heic"),
        atom(b"free", MARKER),
        atom(b"uuid", MARKER),
    ]
    .concat();
    let data_start = start.len() + meta_of(0).len() + 8;
    let data = [PIXELS, MARKER, MARKER].concat();
    [start, meta_of(data_start), atom(b"mdat", &data)].concat()
}

/// Stands for coded pixels.
pub(in crate::images) const PIXELS: &[u8] = b"\x26\x01\xaf\x09pixels";
