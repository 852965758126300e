//! The kept part of any bytes is an image within the limits, and cleaning it again changes nothing.

use bytes::Bytes;
use feedback_relay::images::inspect;

pub fn run(data: &[u8]) {
    let Ok(picture) = inspect(&Bytes::copy_from_slice(data)) else {
        return;
    };
    assert!((1..=12_000).contains(&picture.kept.width));
    assert!((1..=12_000).contains(&picture.kept.height));
    assert!(picture.bytes.len() <= data.len() + 64, "it grew");
    let again = inspect(&picture.bytes).expect("what was kept is a picture");
    assert_eq!(again, picture);
}
