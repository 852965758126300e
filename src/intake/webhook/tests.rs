use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::Frame;

use super::*;

const MAX: usize = 100;

/// A body that gives one frame again and again, or one once and then keeps its reader waiting.
struct Endless {
    frame: Bytes,
    floods: bool,
}

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.frame.clone();
        if !self.floods {
            self.frame = Bytes::new();
        }
        match frame.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Some(Ok(Frame::data(frame)))),
        }
    }
}

fn endless(bytes: usize, floods: bool) -> Body {
    Body::new(Endless {
        frame: vec![b' '; bytes].into(),
        floods,
    })
}

#[tokio::test]
async fn a_body_may_have_exactly_the_limit() {
    let none = HeaderMap::new();
    let just = read(&none, Body::from(vec![1; MAX]), MAX).await.unwrap();
    assert_eq!(just.len(), MAX);
    let over = read(&none, Body::from(vec![1; MAX + 1]), MAX).await;
    assert!(matches!(over, Err(Refused::TooLarge)));
    assert!(matches!(
        read(&none, endless(1 << 16, true), MAX).await,
        Err(Refused::TooLarge)
    ));
}

#[tokio::test]
async fn a_length_that_is_too_large_is_refused_before_the_body_where_that_is_safe() {
    // A body that never comes: waiting for it would hang this test.
    let declared = |length: usize| HeaderMap::from_iter([(CONTENT_LENGTH, length.into())]);
    let mut asks_first = declared(MAX + 1);
    asks_first.insert(EXPECT, axum::http::HeaderValue::from_static("100-continue"));
    for headers in [asks_first, declared(MAX + DISCARD_BYTES_MAX + 1)] {
        let refused = read(&headers, endless(0, false), MAX).await;
        assert!(matches!(refused, Err(Refused::TooLarge)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_given_up_in_time() {
    let started = Instant::now();
    let refused = read(&HeaderMap::new(), endless(10, false), MAX).await;
    assert!(matches!(refused, Err(Refused::BodyTooSlow)));
    assert_eq!(started.elapsed().as_secs(), BODY_WITHIN.as_secs());
}

#[tokio::test]
async fn a_stranger_is_told_one_word() {
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
        (Refused::TooLarge, 413, "too_large"),
        (Refused::BodyTooSlow, 408, "body_too_slow"),
        (Refused::BodyBroken, 400, "body_broken"),
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
fn every_reason_is_one_that_metrics_know_and_the_other_way_round() {
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
        Refused::TooLarge,
        Refused::BodyTooSlow,
        Refused::BodyBroken,
        Refused::Store(StoreError::Busy),
        Refused::Store(StoreError::Unavailable(String::new())),
    ]);
    let reasons: Vec<&str> = refused.map(|refused| refused.kind()).collect();
    assert_eq!(reasons, REFUSALS);
    assert_eq!(Refused::NoSuchApp.kind(), NO_SUCH_APP);
}
