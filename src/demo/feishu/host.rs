//! The platform's host of report images; its URLs expire. Source: doc of the event "图片 URL，有效期为 3
//! 天". The form of the URLs is undocumented, so these resemble those of the platform's other image
//! host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{self, Path};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use super::{Api, FakeFeishu, State, lock};
use crate::demo::server::with_fault;
use crate::model::{Clock, SystemClock, Timestamp};

/// Images by the last part of their path.
#[derive(Debug, Default)]
pub(super) struct Host(Mutex<HashMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    bytes: Bytes,
    expires_at: Timestamp,
    signature: u64,
    fetched_at: Option<Timestamp>,
}

impl FakeFeishu {
    /// Stores an image for a time and returns its URL.
    pub fn host_picture(&self, bytes: Bytes, lasts: Duration) -> String {
        let mut pictures = lock(&self.state.host.0);
        let id = format!("fake_{}", pictures.len() + 1);
        let (expires_at, signature) = (SystemClock.now() + lasts, fastrand::u64(..));
        let url = format!(
            "{}/feedback-images/{id}?x-expires={}&x-signature={signature:016x}",
            self.url(),
            expires_at.as_secs()
        );
        let kept = Kept {
            bytes,
            expires_at,
            signature,
            fetched_at: None,
        };
        pictures.insert(id, kept);
        url
    }

    /// Returns when the image at this URL was first fetched.
    pub fn picture_fetched_at(&self, url: &str) -> Option<Timestamp> {
        let (_, id) = url.split_once("/feedback-images/")?;
        let (id, _) = id.split_once('?')?;
        lock(&self.state.host.0).get(id)?.fetched_at
    }
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new().route("/feedback-images/{id}", get(serve))
}

async fn serve(
    extract::State(state): extract::State<Arc<State>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Response {
    state.record(Api::Picture, uri.path(), Value::Null);
    with_fault(state.faults.take(&Api::Picture), async {
        let mut pictures = lock(&state.host.0);
        let Some(kept) = pictures.get_mut(&id) else {
            return StatusCode::NOT_FOUND.into_response();
        };
        let signed = format!("&x-signature={:016x}", kept.signature);
        let now = SystemClock.now();
        if now >= kept.expires_at || !uri.query().unwrap_or_default().ends_with(&signed) {
            return StatusCode::FORBIDDEN.into_response();
        }
        kept.fetched_at.get_or_insert(now);
        let media_type =
            infer::get(&kept.bytes).map_or("application/octet-stream", |kind| kind.mime_type());
        ([("content-type", media_type)], kept.bytes.clone()).into_response()
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use crate::net::{Body, HttpClient, Method, Request};

    async fn get(url: &str) -> (u16, Bytes) {
        let request = Request {
            method: Method::Get,
            url: &Secret::new(url),
            headers: Vec::new(),
            body: Body::Empty,
            timeout: Duration::from_secs(5),
        };
        let answer = HttpClient::trusted(None).unwrap().send(request).await;
        let answer = answer.unwrap();
        (answer.status, answer.body)
    }

    #[tokio::test]
    async fn image_is_served_until_its_url_expires() {
        let feishu = FakeFeishu::start(Vec::new()).await.unwrap();
        let bytes = Bytes::from_static(b"\x89PNG\r\n\x1a\n");
        let url = feishu.host_picture(bytes.clone(), Duration::from_secs(60));
        assert_eq!(feishu.picture_fetched_at(&url), None);
        assert_eq!(
            get(&url.replace("x-signature=", "x-signature=0")).await.0,
            403
        );
        assert_eq!(get(&url).await, (200, bytes.clone()));
        assert!(feishu.picture_fetched_at(&url).is_some());
        let ended = feishu.host_picture(bytes, Duration::ZERO);
        assert_eq!(get(&ended).await.0, 403);
        assert_eq!(get(&url.replace("fake_1", "fake_9")).await.0, 404);
    }
}
