//! Small handmade images, with a marker wherever their format allows metadata.

use crate::model::ImageFormat;

/// The marker, which must be missing from the stripped image.
pub(in crate::images) const MARKER: &[u8] = b"HOME-ADDRESS";

pub(in crate::images) fn all() -> Vec<(ImageFormat, Vec<u8>)> {
    vec![
        (ImageFormat::Jpeg, jpeg(1, 1)),
        (ImageFormat::Png, png(1, 1)),
        (ImageFormat::Gif, gif(1, 1)),
        (ImageFormat::Webp, webp(1, 1)),
        (ImageFormat::Bmp, bmp(1, 1)),
        (ImageFormat::Heif, heif(1, 1)),
        (ImageFormat::Avif, avif(1, 1)),
        (ImageFormat::Tiff, tiff(1, 1)),
        (ImageFormat::Ico, ico(1, 1)),
        (ImageFormat::Jp2, jp2(1, 1)),
    ]
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker][..], &length, content].concat()
}

fn marked(before: &[u8]) -> Vec<u8> {
    [before, MARKER].concat()
}

/// Returns a progressive JPEG of two scans, rotated by 90 degrees, with metadata before, between and behind
/// them.
pub(in crate::images) fn jpeg(width: u16, height: u16) -> Vec<u8> {
    let [[w0, w1], [h0, h1]] = [width.to_be_bytes(), height.to_be_bytes()];
    // Little-endian TIFF: one directory at 8 with two entries, orientation 6 the second.
    let exif = marked(
        b"Exif\0\0II*\0\x08\0\0\0\x02\0\x0f\x01\x02\0\x0c\0\0\0\x26\0\0\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
    );
    let profile = icc();
    let (first, second) = profile.split_at(100);
    [
        vec![0xff, 0xd8],
        segment(0xe0, &marked(b"JFIF\0\x01\x02\0\0\x01\0\x01\x02\x02")),
        segment(0xe0, &marked(b"JFXX\0\x10")),
        segment(0xe1, &exif),
        segment(0xe1, &marked(b"http://ns.adobe.com/xap/1.0/\0")),
        segment(0xf0, MARKER),
        segment(0xe2, &[b"ICC_PROFILE\0\x02\x02", second].concat()),
        segment(0xe2, &[b"ICC_PROFILE\0\x01\x02", first].concat()),
        segment(0xe2, &marked(b"MPF\0")),
        segment(0xed, &marked(b"Photoshop 3.0\0")),
        segment(0xee, &marked(b"Adobe\0\x64\0\0\0\0\x01")),
        segment(0xfe, MARKER),
        vec![0xff, 0xff, 0xff],
        segment(0xdb, &[1; 65])[1..].to_vec(),
        segment(0xc2, &[8, h0, h1, w0, w1, 1, 1, 0x11, 0]),
        segment(0xdd, &marked(&[0, 0])),
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

/// Returns a colour profile: a curve that three channels share, and texts.
pub(in crate::images) fn icc() -> Vec<u8> {
    let mut header = [0; 128];
    header[4..8].copy_from_slice(b"HOME");
    header[8..12].copy_from_slice(&[2, 0x10, 0, 0]);
    header[12..24].copy_from_slice(b"mntrRGB XYZ ");
    header[36..40].copy_from_slice(b"acsp");
    header[84..96].copy_from_slice(MARKER);
    let curve = b"curv\0\0\0\0\0\0\0\x01\x02\x33";
    let place = marked(b"XYZ \0\0\0\0\0\0\xf6\xd6\0\x01\0\0\0\0\xd3\x2d");
    let text = marked(b"text\0\0\0\0");
    let start = 128 + 4 + 12 * 6;
    let (second, third) = (start + curve.len(), start + curve.len() + place.len());
    let tag = |name: &[u8; 4], start: usize, bytes: usize| {
        let number = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
        [&name[..], &number(start), &number(bytes)].concat()
    };
    let tags = [
        tag(b"desc", third, text.len()),
        tag(b"rTRC", start, curve.len()),
        tag(b"gTRC", start, curve.len()),
        tag(b"bTRC", start, curve.len()),
        tag(b"wtpt", second, place.len()),
        tag(b"dmnd", third, text.len()),
    ]
    .concat();
    let mut profile = [&header[..], &[0, 0, 0, 6], &tags, curve, &place, &text].concat();
    let size = u32::try_from(profile.len()).unwrap().to_be_bytes();
    profile[..4].copy_from_slice(&size);
    profile
}

pub(in crate::images) fn png_chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let mut sum = u32::MAX;
    for byte in kind.iter().chain(content) {
        sum ^= u32::from(*byte);
        for _bit in 0..8 {
            sum = (sum >> 1) ^ (0xedb8_8320 * (sum & 1));
        }
    }
    [&length[..], kind, content, &(!sum).to_be_bytes()].concat()
}

pub(in crate::images) fn png(width: u32, height: u32) -> Vec<u8> {
    let header = [
        &width.to_be_bytes()[..],
        &height.to_be_bytes(),
        &[8, 2, 0, 0, 0],
    ]
    .concat();
    let packed = miniz_oxide::deflate::compress_to_vec_zlib(&icc(), 6);
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        png_chunk(b"IHDR", &header),
        png_chunk(b"iCCP", &[MARKER, b"\0\0", &packed].concat()),
        png_chunk(b"gAMA", &[0, 0, 0xb1, 0x8f]),
        png_chunk(b"pHYs", &marked(&[0; 9])),
        png_chunk(b"tEXt", &marked(b"Comment\0")),
        png_chunk(b"iTXt", &marked(b"XML:com.adobe.xmp\0\0\0\0\0")),
        png_chunk(b"zTXt", &marked(b"x\0\0")),
        png_chunk(b"eXIf", &marked(b"MM\0*")),
        png_chunk(b"tIME", &[7, 232, 1, 1, 0, 0, 0]),
        png_chunk(b"prVt", MARKER),
        png_chunk(b"fdAT", MARKER),
        // A stored deflate block: one row of one white pixel.
        png_chunk(
            b"IDAT",
            b"\x78\x01\x01\x04\0\xfb\xff\0\xff\xff\xff\x05\xfe\x02\xfe",
        ),
        png_chunk(b"IEND", &[]),
        b"<script>".to_vec(),
        MARKER.to_vec(),
    ]
    .concat()
}

/// Returns a GIF with an animation that repeats.
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

/// Returns a WebP with an animation of one frame and an unknown chunk.
pub(in crate::images) fn webp(width: u32, height: u32) -> Vec<u8> {
    let (w, h) = ((width - 1).to_le_bytes(), (height - 1).to_le_bytes());
    let canvas = [&[0x02 | 0x08 | 0x04 | 0x20, 0, 0, 0][..], &w[..3], &h[..3]].concat();
    let lossless = riff_chunk(b"VP8L", b"\x2f\0\0\0\0\x07\x10\x11\x11\x88\x88\xfe\x07");
    let frame = [&[0; 16][..], &lossless, &riff_chunk(b"prVt", MARKER)].concat();
    let body = [
        b"WEBP".to_vec(),
        riff_chunk(b"VP8X", &marked(&canvas)),
        riff_chunk(b"ICCP", &icc()),
        riff_chunk(b"ANIM", &marked(&[0; 6])),
        riff_chunk(b"ANMF", &frame),
        riff_chunk(b"EXIF", &marked(b"MM\0*")),
        riff_chunk(b"XMP ", MARKER),
        riff_chunk(b"prVt", MARKER),
    ]
    .concat();
    [riff_chunk(b"RIFF", &body), MARKER.to_vec()].concat()
}

/// Returns a BMP of 24 bits, top row first, with bytes between the header and the pixels and behind
/// the pixels.
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
    header[32..36].copy_from_slice(&number(4));
    header[56..60].copy_from_slice(b"KNIL");
    header[60..72].copy_from_slice(MARKER);
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

pub(in crate::images) fn atom(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len() + 8).unwrap().to_be_bytes();
    [&length[..], kind, content].concat()
}

pub(in crate::images) fn heif(width: u32, height: u32) -> Vec<u8> {
    with_brand(b"heic", b"hvc1", width, height)
}

pub(in crate::images) fn avif(width: u32, height: u32) -> Vec<u8> {
    with_brand(b"avif", b"av01", width, height)
}

/// Returns a HEIF with one image item and one Exif item, whose data is in `mdat` with a gap between them.
/// Behind it are the film of a motion photo and vendors' boxes. Names and descriptions are wherever the
/// format allows them.
fn with_brand(brand: &[u8; 4], coded: &[u8; 4], width: u32, height: u32) -> Vec<u8> {
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
                &[&[2, 0, 0, 0, 0, id, 0, 0], &kind[..], MARKER, b"\0"].concat(),
            )
        };
        let iinf = [&[0, 0, 0, 0, 0, 2][..], &infe(1, coded), &infe(2, b"Exif")].concat();
        let reference = atom(b"cdsc", &marked(&[0, 2, 0, 1, 0, 1]));
        let iref = [&[0; 4][..], &reference, &atom(b"uuid", MARKER)].concat();
        let handler = [&[0; 8][..], b"pict", &[0; 12], MARKER, b"\0"].concat();
        let inner = [
            vec![0; 4],
            atom(b"hdlr", &handler),
            atom(b"dinf", MARKER),
            atom(b"pitm", &marked(&[0, 0, 0, 0, 0, 1])),
            atom(b"iloc", &marked(&iloc)),
            atom(b"iinf", &iinf),
            atom(b"iref", &iref),
            atom(b"iprp", &properties(width, height)),
            atom(b"grpl", MARKER),
            atom(b"xml ", MARKER),
        ];
        atom(b"meta", &inner.concat())
    };
    let start = [
        atom(
            b"ftyp",
            &[&brand[..], b"\0\0\0\0mif1", brand, MARKER].concat(),
        ),
        atom(b"free", MARKER),
        atom(b"uuid", MARKER),
    ]
    .concat();
    let data_start = start.len() + meta_of(0).len() + 8;
    let data = [PIXELS, MARKER, MARKER].concat();
    [
        start,
        meta_of(data_start),
        atom(b"mdat", &data),
        atom(b"mpvd", MARKER),
        atom(b"moov", MARKER),
        atom(b"sefd", MARKER),
        atom(b"mdat", MARKER),
        marked(TRAILER),
    ]
    .concat()
}

fn properties(width: u32, height: u32) -> Vec<u8> {
    let ispe = [
        &[0; 4][..],
        &width.to_be_bytes(),
        &height.to_be_bytes(),
        MARKER,
    ]
    .concat();
    let message = [&[0x27, 0, 1, 0, 12][..], MARKER].concat();
    let hevc = [&[1; 22][..], &[2], &message, b"\x21\0\x01\0\x03sps"].concat();
    let hidden = [b"udes", b"altt", b"crtt", b"cmin", b"uuid"].map(|kind| atom(kind, MARKER));
    let properties = [
        atom(b"ispe", &ispe),
        atom(b"colr", &[b"prof", &icc()[..]].concat()),
        atom(b"colr", &marked(b"nclx\0\x01\0\x0d\0\x06\x80")),
        atom(b"auxC", &marked(b"\0\0\0\0urn:mpeg:hevc:2015:auxid:1\0")),
        atom(b"auxC", &marked(b"\0\0\0\0urn:")),
        hidden.concat(),
        atom(b"pixi", &marked(b"\0\0\0\0\x03\x08\x08\x08")),
        atom(b"a1lx", &marked(&[0; 7])),
        atom(b"cclv", &marked(&[0x04, 0, 0, 0, 9])),
        atom(b"clap", &marked(&[1; 32])),
        atom(b"hvcC", &marked(&hevc)),
        atom(b"av1C", &marked(b"\x81\0\0\0\x0a\x03\x01\x02\x03")),
        atom(b"irot", &marked(&[0])),
    ];
    let ipma = marked(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 2, 1, 2]);
    let ipma = atom(b"ipma", &ipma);
    [atom(b"ipco", &properties.concat()), ipma].concat()
}

/// Returns a TIFF with two strips, a description, a location, and a profile.
pub(in crate::images) fn tiff(width: u32, height: u32) -> Vec<u8> {
    let profile = icc();
    let entries: usize = 14;
    let data_start = 8 + 2 + entries * 12 + 4;
    let number = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
    let profile_start = data_start + MARKER.len();
    let places_start = profile_start + profile.len();
    let strips_start = places_start + 16;
    let entry = |tag: u16, kind: u8, count: usize, value: usize| {
        let (tag, kind) = (tag.to_le_bytes(), [kind, 0]);
        [&tag[..], &kind, &number(count), &number(value)].concat()
    };
    let directory = [
        entry(256, 4, 1, width as usize),
        entry(257, 4, 1, height as usize),
        entry(259, 3, 1, 1),
        entry(262, 3, 1, 1),
        entry(270, 2, MARKER.len(), data_start),
        entry(270, 2, MARKER.len(), data_start),
        entry(258, 2, MARKER.len(), data_start),
        entry(282, 5, 2, data_start),
        entry(274, 3, 6, data_start),
        entry(273, 4, 2, places_start),
        entry(277, 3, 1, 1),
        entry(279, 4, 2, places_start + 8),
        entry(34_665, 4, 1, data_start),
        entry(34_675, 7, profile.len(), profile_start),
    ]
    .concat();
    let second = strips_start + PIXELS.len() + MARKER.len();
    [
        b"II*\0\x08\0\0\0".to_vec(),
        vec![14, 0],
        directory,
        vec![0; 4],
        MARKER.to_vec(),
        profile,
        [strips_start, second, PIXELS.len(), PIXELS.len()]
            .map(number)
            .concat(),
        PIXELS.to_vec(),
        MARKER.to_vec(),
        PIXELS.to_vec(),
        MARKER.to_vec(),
    ]
    .concat()
}

/// Returns an ICO with a bitmap of 24 bits and a PNG.
pub(in crate::images) fn ico(width: u32, height: u32) -> Vec<u8> {
    let number = |n: u32| n.to_le_bytes();
    let row = (width * 3).div_ceil(4) * 4;
    let mask = width.div_ceil(32) * 4;
    let pixels = vec![0x55; ((row + mask) * height) as usize];
    let bitmap = [
        number(40).to_vec(),
        number(width).to_vec(),
        number(height * 2).to_vec(),
        vec![1, 0, 24, 0],
        vec![0; 8],
        b"HOMEHOME".to_vec(),
        vec![0; 8],
        pixels,
        MARKER.to_vec(),
    ]
    .concat();
    let picture = png(width, height);
    let sizes = [bitmap.len(), picture.len()].map(|bytes| u32::try_from(bytes).unwrap());
    let entry = |bytes: u32, start: u32| {
        [
            &[1, 1, 0, 0, 1, 0, 24, 0][..],
            &number(bytes),
            &number(start),
        ]
        .concat()
    };
    let start = 6 + 2 * 16 + 12;
    [
        b"\0\0\x01\0\x02\0".to_vec(),
        entry(sizes[0], start),
        entry(sizes[1], start + sizes[0]),
        MARKER.to_vec(),
        bitmap,
        picture,
        MARKER.to_vec(),
    ]
    .concat()
}

/// Returns a JPEG 2000 with one tile in two parts, and a comment in each header.
pub(in crate::images) fn jp2(width: u32, height: u32) -> Vec<u8> {
    let comment = segment(0x64, &marked(&[0, 1]));
    let sides = [width, height, 0, 0, width, height, 0, 0].map(u32::to_be_bytes);
    let size = [&[0, 0][..], &sides.concat(), &[0, 1, 7, 1, 1]].concat();
    let part = |number: u8, last: bool| {
        let data = [&comment[..], &[0xff, 0x93], PIXELS].concat();
        let bytes = if last {
            0
        } else {
            12 + u8::try_from(data.len()).unwrap()
        };
        let head = segment(0x90, &[0, 0, 0, 0, 0, bytes, number, 2]);
        [head, data].concat()
    };
    let stream = [
        vec![0xff, 0x4f],
        segment(0x51, &size),
        segment(0x52, &[0; 10]),
        segment(0x5c, &[0x40, 0x40]),
        comment.clone(),
        part(0, false),
        part(1, true),
        vec![0xff, 0xd9],
    ]
    .concat();
    let header = [
        atom(
            b"ihdr",
            &marked(&[0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 7, 7, 0, 0]),
        ),
        atom(b"cdef", &marked(&[0, 1, 0, 0, 0, 0, 0, 1])),
        atom(b"pclr", &marked(&[0, 1, 1, 7, 9])),
        atom(b"colr", &[&[2, 0, 0][..], &icc()].concat()),
        atom(b"res ", MARKER),
    ]
    .concat();
    [
        b"\0\0\0\x0cjP  \r\n\x87\n".to_vec(),
        atom(b"ftyp", b"jp2 \0\0\0\0jp2 "),
        atom(b"jp2h", &header),
        atom(b"uuid", MARKER),
        atom(b"xml ", MARKER),
        atom(b"jp2c", &stream),
        atom(b"uuid", MARKER),
    ]
    .concat()
}

/// Bytes that some phones write behind the boxes of a HEIF.
pub(in crate::images) const TRAILER: &[u8] = b"SEFH";

/// A placeholder for coded pixels.
pub(in crate::images) const PIXELS: &[u8] = b"\x26\x01\xaf\x09pixels";
