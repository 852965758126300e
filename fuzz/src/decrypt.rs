//! Encrypted bodies: broken ones are refused, intact ones decrypt to the original.

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use feedback_relay::feishu::{App, Receive, SignatureHeaders, Unverified, Verified, sign};
use feedback_relay::model::{AppName, Secret};
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

const KEY: &str = "the-encrypt-key";

fn app() -> App {
    App {
        name: AppName::from("shop"),
        app_id: "cli_1".to_owned(),
        receive: Receive::Webhook,
        encrypt_keys: vec![Secret::new(KEY)],
        verification_tokens: Vec::new(),
        app_secret: None,
        base_url: "https://open.feishu.cn".to_owned(),
        feedback_timezone: TimeZone::UTC,
    }
}

fn verified(sealed: &[u8]) -> Option<Verified> {
    let body = format!("{{\"encrypt\":\"{}\"}}", STANDARD.encode(sealed));
    let signature = sign(b"1", b"2", &Secret::new(KEY), body.as_bytes());
    let headers = SignatureHeaders {
        timestamp: Some(b"1"),
        nonce: Some(b"2"),
        signature: Some(signature.as_bytes()),
    };
    let request = Unverified {
        headers,
        body: body.as_bytes(),
    };
    request.verify(&app()).ok()
}

pub fn run(data: &[u8]) {
    verified(data);

    let key_hash = Sha256::digest(KEY);
    let iv = [7_u8; 16];
    let mut buffer = [data, &[0; 16]].concat();
    let blocks = cbc::Encryptor::<aes::Aes256>::new(&key_hash, &iv.into())
        .encrypt_padded::<Pkcs7>(&mut buffer, data.len())
        .expect("there is room for the padding");
    let taken = verified(&[iv.as_slice(), blocks].concat());
    if let Some(Verified::Envelope(envelope)) = taken {
        assert!(std::str::from_utf8(data).is_ok());
        envelope.into_event(&app()).card_action();
    }
}
