//! Requests to the address of Slack's buttons.

use feedback_relay::model::{Secret, Timestamp};
use feedback_relay::slack::{SignatureHeaders, Unverified, sign};

pub fn run(data: &[u8]) {
    let now = Timestamp::from_millis(1_772_302_200_000);
    let secret = Secret::new("the-signing-secret");
    let (signature, body) = data.split_at(data.len().min(67));
    let forged = SignatureHeaders {
        timestamp: Some(b"1772302200"),
        signature: Some(signature),
    };
    assert!(
        Unverified {
            headers: forged,
            body
        }
        .verify(&secret, now)
        .is_err()
    );

    let signature = sign(&secret, b"1772302200", data);
    let headers = SignatureHeaders {
        timestamp: Some(b"1772302200"),
        signature: Some(signature.as_bytes()),
    };
    let interaction = Unverified {
        headers,
        body: data,
    }
    .verify(&secret, now);
    interaction.expect("it is signed").click();
}
