//! Custom bots of groups: the signature of messages and the codes of responses. Source: doc
//! "自定义机器人使用指南".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use crate::model::Secret;

/// The largest clock difference that the platform accepts in a signature, in seconds.
pub const CLOCK_OFF_MAX_SECS: i64 = 3600;

/// Signs a message at `timestamp`, in seconds. The string to sign is the HMAC key, and the HMAC's
/// message is empty.
pub fn sign(secret: &Secret, timestamp: i64) -> String {
    let key = Secret::new(format!("{timestamp}\n{}", secret.expose()));
    let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
        .expect("HMAC takes keys of every length");
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Returns the code and the message of a response. Very old bots send only `StatusCode`. Returns
/// `None` if the response is not the platform's.
pub fn said(body: &[u8]) -> Option<(i64, String)> {
    #[derive(Deserialize)]
    struct Body {
        code: Option<i64>,
        #[serde(rename = "StatusCode")]
        status_code: Option<i64>,
        msg: Option<String>,
        #[serde(rename = "StatusMessage")]
        status_message: Option<String>,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let words = body.msg.filter(|msg| !msg.is_empty());
    let words = words.or(body.status_message).unwrap_or_default();
    Some((body.code.or(body.status_code)?, words))
}
