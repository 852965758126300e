//! Names and ids. Each has its own type, so that they cannot be confused.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::Timestamp;

/// Defines a text type that is cheap to clone.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps the text unchanged.
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                Self(text.into())
            }

            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The id of an event: the platform's, or a substitute if it sends none. Opaque text.
    EventId
);
name!(
    /// The name of an `[apps.NAME]`.
    AppName
);
name!(
    /// The name of a `[[rules]]` entry.
    RuleName
);
name!(
    /// The name of a `[destinations.NAME]`.
    DestinationName
);

/// The row id of an event in the store: short, and in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventSeq(pub i64);

/// The id of a delivery, written as `dlv_` and 13 characters. Every attempt carries it as the
/// deduplication key, so it never repeats, not even in a new store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(i64);

/// Crockford's base 32 without I, L, O and U, so that an id cannot be misread.
const BASE32: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const DIGITS: usize = 13;

impl DeliveryId {
    /// Wraps the number from the store.
    pub const fn from_i64(number: i64) -> Self {
        Self(number)
    }

    /// Returns the number for the store: positive, and larger for later ids.
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// Returns when the id was generated: the time passed to [`DeliveryIds::next`], or later.
    pub const fn made_at(self) -> Timestamp {
        Timestamp::from_millis(self.0 >> RANDOM_BITS)
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("dlv_")?;
        for digit in (0..DIGITS).rev() {
            let index = (self.0 >> (5 * digit)) & 31;
            let index = usize::try_from(index).unwrap_or_default();
            write!(f, "{}", char::from(BASE32[index]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a delivery id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a delivery id: it is `dlv_` and 13 characters, as `deliveries list` shows it")]
pub struct BadDeliveryId;

impl FromStr for DeliveryId {
    type Err = BadDeliveryId;

    fn from_str(text: &str) -> Result<Self, BadDeliveryId> {
        let digits = text.strip_prefix("dlv_").ok_or(BadDeliveryId)?;
        if digits.len() != DIGITS {
            return Err(BadDeliveryId);
        }
        let mut number: i64 = 0;
        for digit in digits.bytes() {
            let digit = digit.to_ascii_uppercase();
            let value = BASE32
                .iter()
                .position(|&d| d == digit)
                .ok_or(BadDeliveryId)?;
            let value = i64::try_from(value).map_err(|_too_large| BadDeliveryId)?;
            number = number
                .checked_mul(32)
                .and_then(|n| n.checked_add(value))
                .ok_or(BadDeliveryId)?;
        }
        Ok(Self(number))
    }
}

/// Generates delivery ids: 41 bits of milliseconds, then 22 bits that start at a random number and count
/// up. So neither a restart nor a new store repeats an id.
#[derive(Debug)]
pub struct DeliveryIds(AtomicI64);

const RANDOM_BITS: u32 = 22;

impl DeliveryIds {
    /// Creates a generator whose 22 bits start at `seed`.
    pub fn new(seed: u64) -> Self {
        let start = seed & ((1 << RANDOM_BITS) - 1);
        Self(AtomicI64::new(i64::try_from(start).unwrap_or_default()))
    }

    /// Returns the next id. It is larger than all earlier ones, even if the clock stops or goes back.
    pub fn next(&self, now: Timestamp) -> DeliveryId {
        let time = now.as_millis().clamp(0, (1 << 41) - 1) << RANDOM_BITS;
        let step = |last: i64| {
            let fresh = time | (last & ((1 << RANDOM_BITS) - 1));
            Some(last.max(fresh) + 1)
        };
        match self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, step)
        {
            Ok(last) | Err(last) => DeliveryId(step(last).unwrap_or(last)),
        }
    }
}

/// The id of a kept image: the SHA-256 of its bytes, in lower-case hex.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(Arc<str>);

impl ImageId {
    /// Returns the id of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(hex(&Sha256::digest(bytes)).into())
    }

    /// Returns the id of bytes that are read in pieces.
    pub fn of_pieces<E>(mut next: impl FnMut(&mut [u8]) -> Result<usize, E>) -> Result<Self, E> {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let bytes = next(&mut piece)?;
            if bytes == 0 {
                return Ok(Self(hex(&hash.finalize()).into()));
            }
            hash.update(piece.get(..bytes).unwrap_or_default());
        }
    }

    /// Returns the 64 lower-case hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is not an image id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an image id: it is 64 lower-case hex digits")]
pub struct BadImageId;

impl FromStr for ImageId {
    type Err = BadImageId;

    fn from_str(text: &str) -> Result<Self, BadImageId> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() == 64 && text.bytes().all(hex) {
            Ok(Self(text.into()))
        } else {
            Err(BadImageId)
        }
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Formats bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String does not fail");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_ids_round_trip_and_are_read_in_either_case() {
        let id = DeliveryId::from_i64(0x0123_4567_89ab_cdef);
        let text = id.to_string();
        assert_eq!(text.len(), 17);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(
            format!("dlv_{}", text.trim_start_matches("dlv_").to_lowercase()).parse(),
            Ok(id)
        );
        for wrong in [
            "",
            "dlv_",
            "dlv_0123",
            "evt_0000000000000",
            "dlv_000000000000U",
            "dlv_ZZZZZZZZZZZZZ",
        ] {
            assert_eq!(wrong.parse::<DeliveryId>(), Err(BadDeliveryId), "{wrong}");
        }
    }

    #[test]
    fn delivery_ids_grow_though_the_clock_goes_back() {
        let ids = DeliveryIds::new(u64::MAX);
        let now = Timestamp::from_millis(1_711_111_111_000);
        let first = ids.next(now);
        let second = ids.next(now);
        let third = ids.next(Timestamp::from_millis(5));
        let later = ids.next(Timestamp::from_millis(1_711_111_999_000));
        assert_eq!(later.made_at(), Timestamp::from_millis(1_711_111_999_000));
        assert!(first < second && second < third && third < later);
    }

    #[test]
    fn an_image_id_is_64_lower_case_hex_digits() {
        let id = ImageId::of(b"abc");
        assert_eq!(
            id.as_str(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert_eq!(
            id.as_str().to_uppercase().parse::<ImageId>(),
            Err(BadImageId)
        );
        assert_eq!("../etc/passwd".parse::<ImageId>(), Err(BadImageId));
    }
}
