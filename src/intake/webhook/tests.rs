use http_body_util::BodyExt;

use super::*;

#[tokio::test]
async fn refusal_contains_one_word_only() {
    for (refused, status, kind) in [
        (
            Refused::Protocol(Refusal::MalformedJson),
            400,
            "malformed_json",
        ),
        (
            Refused::Protocol(Refusal::BadSignature { swapped: true }),
            401,
            "bad_signature",
        ),
        (Refused::NoSuchApp, 404, "no_such_app"),
        (Refused::Encoded, 400, "content_encoded"),
        (Refused::Body(Unread::TooLarge), 413, "too_large"),
        (Refused::Body(Unread::TooSlow), 408, "body_too_slow"),
        (Refused::Body(Unread::Broken), 400, "body_broken"),
        (Refused::Body(Unread::NoRoom), 503, "too_many_bodies"),
        (
            Refused::OldCard(Refusal::BadToken { swapped: false }),
            401,
            "old_card_callback",
        ),
        (Refused::Store(StoreError::Busy), 503, "busy"),
        (
            Refused::Store(StoreError::Unavailable("disk full".into())),
            503,
            "unavailable",
        ),
    ] {
        let response = refused.into_response();
        assert_eq!(response.status().as_u16(), status, "{kind}");
        assert_eq!(
            response.headers().contains_key(RETRY_AFTER),
            status == 503,
            "{kind}"
        );
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, format!("{{\"error\":\"{kind}\"}}"));
    }
}

#[test]
fn reasons_match_the_metric_labels() {
    use crate::telemetry::words::{NO_SUCH_APP, REFUSALS};

    let swapped = false;
    let protocol = [
        Refusal::MalformedJson,
        Refusal::PayloadInvalid,
        Refusal::DecryptFailed,
        Refusal::NotEncrypted { swapped },
        Refusal::EncryptKeyMissing { swapped },
        Refusal::BadSignature { swapped },
        Refusal::MissingSignature { swapped },
        Refusal::BadToken { swapped },
        Refusal::AuthNotConfigured,
    ];
    let refused = protocol.into_iter().map(Refused::Protocol).chain([
        Refused::Encoded,
        Refused::Body(Unread::TooLarge),
        Refused::Body(Unread::TooSlow),
        Refused::Body(Unread::Broken),
        Refused::Body(Unread::NoRoom),
        Refused::OldCard(Refusal::MalformedJson),
        Refused::Store(StoreError::Busy),
        Refused::Store(StoreError::Unavailable(String::new())),
    ]);
    let reasons: Vec<&str> = refused.map(|refused| refused.kind()).collect();
    assert_eq!(reasons, REFUSALS);
    assert_eq!(Refused::NoSuchApp.kind(), NO_SUCH_APP);
}
