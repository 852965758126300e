//! Events over HTTP in the platform's format: with the app's token, encrypted with its key and
//! signed over the raw body. Source: doc "Send events to the developer's server".

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::FakeFeishu;
use crate::feishu::{NONCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};
use crate::model::Secret;
use crate::net::{Answer, Body, HttpClient, Method, NetError, Request};

/// How long the platform waits for a response.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);
const BLOCK_BYTES: usize = 16;

/// The app's keys for events, as in the console.
#[derive(Clone, Debug, Default)]
pub struct EventKeys {
    /// The Encrypt Key; `None` if bodies are not encrypted.
    pub encrypt_key: Option<Secret>,
    /// The Verification Token. `None` if bodies contain none.
    pub verification_token: Option<Secret>,
}

impl FakeFeishu {
    /// Pushes an event to a relay's URL. Any status except 200 is a failure. The platform would
    /// then resend the event; this function does not.
    pub async fn push_http(
        &self,
        http: &HttpClient,
        url: &Secret,
        keys: &EventKeys,
        event: &Value,
    ) -> Result<Answer, NetError> {
        let (headers, body) = sealed(keys, event);
        let request = Request {
            method: Method::Post,
            url,
            headers,
            body: Body::Bytes(body.into()),
            timeout: TIMEOUT,
        };
        http.send(request).await
    }
}

/// Returns the headers and the body of the request.
fn sealed(keys: &EventKeys, event: &Value) -> (Vec<(String, Secret)>, String) {
    let mut event = event.clone();
    let token = keys.verification_token.as_ref().map(Secret::expose);
    event["header"]["token"] = token.unwrap_or_default().into();
    let mut headers = vec![(
        "content-type".to_owned(),
        Secret::new("application/json;charset=utf-8"),
    )];
    let Some(key) = &keys.encrypt_key else {
        return (headers, event.to_string());
    };
    let body = json!({ "encrypt": encrypt(key, &event.to_string()) }).to_string();
    let (timestamp, nonce) = ("1795000000", fastrand::u64(..).to_string());
    let signature = sign(timestamp.as_bytes(), nonce.as_bytes(), key, body.as_bytes());
    for (name, value) in [
        (TIMESTAMP_HEADER, timestamp),
        (NONCE_HEADER, &nonce),
        (SIGNATURE_HEADER, &signature),
    ] {
        headers.push((name.to_owned(), Secret::new(value)));
    }
    (headers, body)
}

/// Encrypts with AES-256-CBC and the hash of the key. The vector comes first, and the result is
/// base64.
fn encrypt(key: &Secret, plaintext: &str) -> String {
    let mut vector = [0; BLOCK_BYTES];
    vector.fill_with(|| fastrand::u8(..));
    let hash = Sha256::digest(key.expose().as_bytes());
    let cipher = cbc::Encryptor::<aes::Aes256>::new(&hash, &vector.into());
    let mut room = [plaintext.as_bytes(), &[0; BLOCK_BYTES]].concat();
    let text = cipher
        .encrypt_padded::<Pkcs7>(&mut room, plaintext.len())
        .expect("a block more is room for any padding");
    STANDARD.encode([vector.as_slice(), text].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feishu::{App, Receive, SignatureHeaders, Unverified, Verified};

    #[test]
    fn pushed_event_is_verified() {
        let event = json!({"schema": "2.0", "header": {"event_id": "e"}, "event": {"x": "你好"}});
        let (key, token) = (Secret::new("key"), Secret::new("token"));
        for encrypt_key in [None, Some(key)] {
            let keys = EventKeys {
                encrypt_key: encrypt_key.clone(),
                verification_token: Some(token.clone()),
            };
            let (headers, body) = sealed(&keys, &event);
            let header = |name: &str| {
                let header = headers.iter().find(|(key, _)| key == name);
                header.map(|(_, value)| value.expose().as_bytes())
            };
            let request = Unverified {
                headers: SignatureHeaders {
                    timestamp: header(TIMESTAMP_HEADER),
                    nonce: header(NONCE_HEADER),
                    signature: header(SIGNATURE_HEADER),
                },
                body: body.as_bytes(),
            };
            let app = App {
                name: "shop".into(),
                app_id: "cli_1".into(),
                receive: Receive::Webhook,
                encrypt_keys: encrypt_key.into_iter().collect(),
                verification_tokens: vec![token.clone()],
                app_secret: None,
                base_url: String::new(),
                feedback_timezone: jiff::tz::TimeZone::UTC,
            };
            let Ok(Verified::Envelope(envelope)) = request.verify(&app) else {
                panic!("refused: {body}");
            };
            assert_eq!(envelope.into_event(&app).id.as_str(), "e");
        }
    }
}
