//! Events in the platform's format: encrypted with the app's key, signed over the raw body.

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const KEY: &str = "test-encrypt-key";
pub const TOKEN: &str = "test-verification-token";

/// A feedback event to send; [`Feedback::with`] replaces fields.
#[derive(Clone)]
pub struct Feedback {
    pub envelope: Value,
}

impl Feedback {
    /// Returns a white screen in a mini program; the number makes its ids.
    pub fn fault(number: u64) -> Self {
        Self {
            envelope: json!({
                "schema": "2.0",
                "header": {
                    "event_id": format!("ev-{number}"),
                    "event_type": "application.application.feedback.created_v6",
                    "create_time": now_ms().to_string(),
                    "token": TOKEN,
                    "app_id": "cli_9f5343c580712544",
                    "tenant_key": "tk1",
                },
                "event": {
                    "user_id": { "open_id": "ou_reporter", "union_id": "on_1", "user_id": "u1" },
                    "app_id": "cli_9f5343c580712544",
                    "feedback_time": "2026-03-01 02:10:11",
                    "tenant_name": "ACME",
                    "feedback_type": 1,
                    "fault_type": [2],
                    "fault_time": "2026-03-01 02:08:00",
                    "source": 1,
                    "contact": "li@example.com",
                    "description": format!("blank page number {number}"),
                    "images": [],
                    "feedback_id": format!("70578880182{number:08}"),
                    "feedback_path": "pages/order/detail",
                }
            }),
        }
    }

    pub fn suggestion(number: u64) -> Self {
        Self::fault(number)
            .with("feedback_type", json!(2))
            .with("fault_type", json!([]))
    }

    /// Replaces a field of the event.
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.envelope["event"][field] = value;
        self
    }

    /// Replaces a field of the header.
    pub fn with_header(mut self, field: &str, value: Value) -> Self {
        self.envelope["header"][field] = value;
        self
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "events carry the real time, as the platform's do"
)]
pub fn now_ms() -> u128 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_millis()
}

/// Returns the headers and the body of the platform's request.
pub fn sealed(key: &str, plaintext: &str) -> (Vec<(String, String)>, Vec<u8>) {
    let iv = [7_u8; 16];
    let key_hash = Sha256::digest(key.as_bytes());
    let cipher = cbc::Encryptor::<aes::Aes256>::new(&key_hash, &iv.into());
    let mut buffer = [plaintext.as_bytes(), &[0; 16]].concat();
    let sealed = cipher
        .encrypt_padded::<Pkcs7>(&mut buffer, plaintext.len())
        .expect("there is room for the padding");
    let encrypt = STANDARD.encode([iv.as_slice(), sealed].concat());
    let body = json!({ "encrypt": encrypt }).to_string();
    let (timestamp, nonce) = ("1608725989", "nonce-1");
    let mut hash = Sha256::new();
    for part in [timestamp, nonce, key, &body] {
        hash.update(part.as_bytes());
    }
    let signature = feedback_relay::model::hex(&hash.finalize());
    let headers = vec![
        (
            "Content-Type".into(),
            "application/json;charset=utf-8".into(),
        ),
        ("X-Lark-Request-Timestamp".into(), timestamp.into()),
        ("X-Lark-Request-Nonce".into(), nonce.into()),
        ("X-Lark-Signature".into(), signature),
    ];
    (headers, body.into_bytes())
}
