//! The signature of a request from Slack: `v0=` and the lower-case hex of
//! `HMAC-SHA256(signing secret, "v0:" ‖ timestamp ‖ ":" ‖ body)`, over the bytes as received.
//! Source: docs.slack.dev "Verifying requests from Slack".
//!
//! The timestamp may be off by [`AGE_SECS_MAX`], in the past or in the future. Some SDKs check only
//! the past, so a request dated ahead stays valid for as long as its sender likes.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Interaction;
use crate::model::{Secret, Timestamp, hex};

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "x-slack-signature";
/// The header with the signing time, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "x-slack-request-timestamp";
/// The largest difference between signing time and now, in seconds.
pub const AGE_SECS_MAX: u64 = 300;

/// The longest accepted timestamp, in digits.
const TIMESTAMP_BYTES_MAX: usize = 19;

/// The two signature headers of a request, unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignatureHeaders<'a> {
    /// [`TIMESTAMP_HEADER`].
    pub timestamp: Option<&'a [u8]>,
    /// [`SIGNATURE_HEADER`].
    pub signature: Option<&'a [u8]>,
}

/// A request that claims to be from Slack, not yet verified.
#[derive(Clone, Copy, Debug)]
pub struct Unverified<'a> {
    /// The headers of the signature.
    pub headers: SignatureHeaders<'a>,
    /// The raw bytes of its body.
    pub body: &'a [u8],
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A signature header is missing or empty.
    #[error("not signed")]
    Unsigned,
    /// The signing time is invalid or too far from now. The request may be a replay, or the clock
    /// of this machine is wrong.
    #[error("signed more than five minutes from now")]
    Stale,
    /// The request was signed with another secret or for another body.
    #[error("the signature is wrong")]
    BadSignature,
}

impl<'a> Unverified<'a> {
    /// Returns the request's content if `secret` signed exactly this body within [`AGE_SECS_MAX`]
    /// of `now`.
    pub fn verify(self, secret: &Secret, now: Timestamp) -> Result<Interaction<'a>, Refusal> {
        let there = |value: Option<&'a [u8]>| value.filter(|value| !value.is_empty());
        let timestamp = there(self.headers.timestamp).ok_or(Refusal::Unsigned)?;
        let signature = there(self.headers.signature).ok_or(Refusal::Unsigned)?;
        let signed_at = seconds(timestamp).ok_or(Refusal::Stale)?;
        if now.as_secs().abs_diff(signed_at) > AGE_SECS_MAX {
            return Err(Refusal::Stale);
        }
        let expected = sign(secret, timestamp, self.body);
        if bool::from(expected.as_bytes().ct_eq(signature)) {
            Ok(Interaction::authentic(self.body))
        } else {
            Err(Refusal::BadSignature)
        }
    }
}

fn seconds(timestamp: &[u8]) -> Option<i64> {
    let plain = timestamp.len() <= TIMESTAMP_BYTES_MAX && timestamp.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(timestamp).ok().filter(|_| plain)?;
    text.parse().ok()
}

/// Returns the signature of `body` in the format of [`SIGNATURE_HEADER`].
pub fn sign(secret: &Secret, timestamp: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes keys of every length");
    mac.update(b"v0:");
    mac.update(timestamp);
    mac.update(b":");
    mac.update(body);
    format!("v0={}", hex(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<'a>(timestamp: &'a str, signature: &'a str) -> SignatureHeaders<'a> {
        SignatureHeaders {
            timestamp: Some(timestamp.as_bytes()),
            signature: Some(signature.as_bytes()),
        }
    }

    fn check(
        headers: SignatureHeaders<'_>,
        body: &str,
        secret: &Secret,
        now_secs: i64,
    ) -> Result<(), Refusal> {
        let body = body.as_bytes();
        let now = Timestamp::from_millis(now_secs * 1000);
        Unverified { headers, body }.verify(secret, now).map(|_| ())
    }

    #[test]
    fn signature_vectors_match() {
        let text = include_str!("../../tests/vectors/signatures.json");
        let all: serde_json::Value = serde_json::from_str(text).unwrap();
        let (mut signed, mut refused) = (0, 0);
        for vector in all["vectors"].as_array().unwrap() {
            if vector["scheme"] != "slack/v0" {
                continue;
            }
            let secret = Secret::new(vector["secret"].as_str().unwrap());
            let at = vector["timestamp"].as_i64().unwrap();
            let (timestamp, body) = (at.to_string(), vector["body"].as_str().unwrap());
            if vector["op"] == "sign" {
                let made = sign(&secret, timestamp.as_bytes(), body.as_bytes());
                assert_eq!(vector["expected"], made, "{}", vector["name"]);
                assert_eq!(check(headers(&timestamp, &made), body, &secret, at), Ok(()));
                signed += 1;
            } else {
                assert_eq!(vector["expected"], "reject");
                let given = headers(&timestamp, vector["header"].as_str().unwrap());
                let now = vector["now"].as_i64().unwrap();
                assert!(
                    check(given, body, &secret, now).is_err(),
                    "{}",
                    vector["name"]
                );
                refused += 1;
            }
        }
        assert_eq!((signed, refused), (4, 2));
    }

    #[test]
    fn timestamp_may_be_five_minutes_off_in_both_directions() {
        let secret = Secret::new("s");
        let signature = sign(&secret, b"1700000100", b"x");
        for (now, wanted) in [
            (1_700_000_100 + 300, Ok(())),
            (1_700_000_100 - 300, Ok(())),
            (1_700_000_100 + 301, Err(Refusal::Stale)),
            (1_700_000_100 - 301, Err(Refusal::Stale)),
            (i64::MIN / 1000, Err(Refusal::Stale)),
        ] {
            let headers = headers("1700000100", &signature);
            assert_eq!(check(headers, "x", &secret, now), wanted, "{now}");
        }
        // A signed timestamp that is not a time.
        for timestamp in [
            "-1700000100",
            "+1700000100",
            " 1700000100",
            "1700000100.0",
            "soon",
            "99999999999999999999999999",
        ] {
            let signature = sign(&secret, timestamp.as_bytes(), b"x");
            let given = headers(timestamp, &signature);
            let refused = check(given, "x", &secret, 1_700_000_100);
            assert_eq!(refused, Err(Refusal::Stale), "{timestamp}");
        }
    }

    #[test]
    fn missing_or_wrong_headers_are_refused() {
        let secret = Secret::new("s");
        let now = 1_700_000_100;
        let signature = sign(&secret, b"1700000100", b"x");
        let good = headers("1700000100", &signature);
        assert_eq!(check(good, "x", &secret, now), Ok(()));
        for part in [None, Some(&b""[..])] {
            let unsigned = [
                SignatureHeaders {
                    timestamp: part,
                    ..good
                },
                SignatureHeaders {
                    signature: part,
                    ..good
                },
            ];
            for headers in unsigned {
                let refused = check(headers, "x", &secret, now);
                assert_eq!(refused, Err(Refusal::Unsigned));
            }
        }
        let wrong = Err(Refusal::BadSignature);
        assert_eq!(check(good, "x ", &secret, now), wrong);
        assert_eq!(check(good, "x", &Secret::new("t"), now), wrong);
        let later = headers("1700000101", &signature);
        assert_eq!(check(later, "x", &secret, now), wrong);
        let bare = signature.trim_start_matches("v0=");
        for other in [
            bare,
            &signature.to_uppercase(),
            &signature.replace("v0", "v1"),
        ] {
            let given = headers("1700000100", other);
            assert_eq!(check(given, "x", &secret, now), wrong, "{other}");
        }
    }
}
