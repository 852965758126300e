//! Arbitrary requests are refused or a challenge; none becomes an event.

use feedback_relay::feishu::{App, Receive, SignatureHeaders, Unverified, Verified, sign};
use feedback_relay::model::{AppName, Secret};
use jiff::tz::TimeZone;

fn app(keys: &[&str], tokens: &[&str]) -> App {
    let secrets = |texts: &[&str]| texts.iter().map(|text| Secret::new(*text)).collect();
    App {
        name: AppName::from("shop"),
        app_id: "cli_1".to_owned(),
        receive: Receive::Webhook,
        encrypt_keys: secrets(keys),
        verification_tokens: secrets(tokens),
        app_secret: None,
        base_url: "https://open.feishu.cn".to_owned(),
        feedback_timezone: TimeZone::UTC,
    }
}

pub fn run(data: &[u8]) {
    let (head, body) = data.split_at(data.len().min(80));
    let (timestamp, rest) = head.split_at(head.len().min(8));
    let (nonce, signature) = rest.split_at(rest.len().min(8));
    let forged = SignatureHeaders {
        timestamp: Some(timestamp),
        nonce: Some(nonce),
        signature: Some(signature),
    };
    let sealed = app(&["the-encrypt-key"], &[]);
    for (headers, body) in [(forged, body), (SignatureHeaders::default(), data)] {
        let verified = Unverified { headers, body }.verify(&sealed);
        assert!(!matches!(verified, Ok(Verified::Envelope(_))), "{body:?}");
    }

    // Without a key: an accepted body contains the token.
    let plain = app(&[], &["the-verification-token"]);
    let headers = SignatureHeaders::default();
    if (Unverified {
        headers,
        body: data,
    })
    .verify(&plain)
    .is_ok()
    {
        let text = String::from_utf8_lossy(data);
        assert!(
            text.contains("the-verification-token") || text.contains('\\'),
            "{text}"
        );
    }

    // With a valid signature: the code behind the signature check must hold too.
    let signature = sign(b"1", b"2", &Secret::new("the-encrypt-key"), data);
    let headers = SignatureHeaders {
        timestamp: Some(b"1"),
        nonce: Some(b"2"),
        signature: Some(signature.as_bytes()),
    };
    Unverified {
        headers,
        body: data,
    }
    .verify(&sealed)
    .ok(); // both results are allowed; only a panic fails
}
