//! Image uploads. Source: doc "上传图片".

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use super::{Api, Refused, State, lock, success};
use crate::demo::server::with_fault;

/// Images by key.
#[derive(Debug, Default)]
pub(super) struct Images(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The number of keys given out, so that no key is repeated.
    count: usize,
    images: HashMap<String, Bytes>,
}

impl Images {
    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        lock(&self.0).images.get(key).cloned()
    }

    /// Forgets all images.
    pub(super) fn forget(&self) {
        lock(&self.0).images.clear();
    }

    fn keep(&self, bytes: Bytes) -> String {
        let mut kept = lock(&self.0);
        kept.count += 1;
        let key = format!("img_v3_fake_{}", kept.count);
        kept.images.insert(key.clone(), bytes);
        key
    }
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new().route("/open-apis/im/v1/images", post(upload))
}

async fn upload(
    extract::State(state): extract::State<Arc<State>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    state.record(Api::UploadImage, uri.path(), Value::Null);
    with_fault(state.faults.take(&Api::UploadImage), async {
        match store(&state, &headers, &body) {
            Ok(key) => success(&json!({ "image_key": key })),
            Err(refused) => refused.into_response(),
        }
    })
    .await
}

fn store(state: &State, headers: &HeaderMap, form: &Bytes) -> Result<String, Refused> {
    state.caller(headers)?;
    let bytes = file(headers, form).ok_or(Refused::bad(234_001, "Invalid request param."))?;
    if bytes.is_empty() {
        return Err(Refused::bad(234_010, "The size of the image is 0"));
    }
    Ok(state.images.keep(bytes))
}

/// Returns the bytes of the only part of the form that has a file name.
fn file(headers: &HeaderMap, form: &Bytes) -> Option<Bytes> {
    let content_type = headers.get("content-type")?.to_str().ok()?;
    let boundary = format!("\r\n--{}", content_type.split_once("boundary=")?.1);
    let named = find(form, b"filename=\"", 0)?;
    let begin = find(form, b"\r\n\r\n", named)? + 4;
    let end = find(form, boundary.as_bytes(), begin - 2)?.max(begin);
    Some(form.slice(begin..end))
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let found = rest
        .windows(wanted.len())
        .position(|window| window == wanted)?;
    Some(from + found)
}
