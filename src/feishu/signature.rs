//! The signature of an event: lower-case hex of `SHA-256(timestamp ‖ nonce ‖ encrypt key ‖ body)`,
//! over the bytes as received. Source: doc "Configure Encrypt Key", and the platform's own SDKs.
//!
//! The age of the timestamp is not limited, because a resend six hours later may carry the old one.
//! Repeats are detected by their id anyway.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::model::{Secret, hex};

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-lark-signature";
/// The header with the signing time. Its text is hashed unchanged.
pub const TIMESTAMP_HEADER: &str = "x-lark-request-timestamp";
/// The header with the nonce.
pub const NONCE_HEADER: &str = "x-lark-request-nonce";

/// The three signature headers of a request, unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignatureHeaders<'a> {
    /// [`TIMESTAMP_HEADER`].
    pub timestamp: Option<&'a [u8]>,
    /// [`NONCE_HEADER`].
    pub nonce: Option<&'a [u8]>,
    /// [`SIGNATURE_HEADER`].
    pub signature: Option<&'a [u8]>,
}

/// Signature headers, none missing or empty. Some SDKs read a missing one as "" and so accept a
/// signature over fewer parts.
#[derive(Clone, Copy)]
pub(super) struct Signed<'a> {
    timestamp: &'a [u8],
    nonce: &'a [u8],
    signature: &'a [u8],
}

impl<'a> SignatureHeaders<'a> {
    pub(super) fn complete(self) -> Option<Signed<'a>> {
        let there = |value: Option<&'a [u8]>| value.filter(|value| !value.is_empty());
        Some(Signed {
            timestamp: there(self.timestamp)?,
            nonce: there(self.nonce)?,
            signature: there(self.signature)?,
        })
    }
}

impl Signed<'_> {
    /// Returns the key that made this signature of `body`. `None` if no key did.
    pub(super) fn key<'k>(self, keys: &'k [Secret], body: &[u8]) -> Option<&'k Secret> {
        keys.iter().find(|key| {
            let expected = sign(self.timestamp, self.nonce, key, body);
            expected.as_bytes().ct_eq(self.signature).into()
        })
    }
}

/// Returns the signature of `body`.
pub fn sign(timestamp: &[u8], nonce: &[u8], key: &Secret, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(timestamp);
    hash.update(nonce);
    hash.update(key.expose().as_bytes());
    hash.update(body);
    hex(&hash.finalize())
}
