//! Uploads in three steps, after which a file is not ready at once. Sources: docs.slack.dev
//! `files.getUploadURLExternal`, `files.completeUploadExternal`, `files.info`, "`slack_file`
//! object".

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{self, DefaultBodyLimit, Path};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Api, Call, Refused, State, Takes, lock};
use crate::demo::server::with_fault;

/// The default time until a file is ready.
const READY_AFTER: Duration = Duration::from_millis(300);
/// The largest accepted file, in bytes.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The types that a block can show.
const SHOWN: [&str; 3] = ["image/png", "image/jpeg", "image/gif"];

/// Files by id.
#[derive(Debug)]
pub(super) struct Files(Mutex<Content>);

#[derive(Debug)]
struct Content {
    ready_after: Duration,
    files: HashMap<String, File>,
}

#[derive(Clone, Debug)]
struct File {
    name: String,
    length: usize,
    bytes: Option<Bytes>,
    ready_at: Option<Instant>,
}

impl Default for Files {
    fn default() -> Self {
        Self(Mutex::new(Content {
            ready_after: READY_AFTER,
            files: HashMap::new(),
        }))
    }
}

impl File {
    /// Returns the type of a file that is ready.
    fn mimetype(&self) -> Option<&'static str> {
        let bytes = self.bytes.as_ref()?;
        self.ready_at.filter(|at| *at <= Instant::now())?;
        Some(infer::get(bytes).map_or("application/octet-stream", |kind| kind.mime_type()))
    }
}

impl Files {
    pub(super) fn bytes(&self, id: &str) -> Option<Bytes> {
        lock(&self.0).files.get(id)?.bytes.clone()
    }

    pub(super) fn set_ready_after(&self, span: Duration) {
        lock(&self.0).ready_after = span;
    }

    /// Returns whether a block may show the file now.
    pub(super) fn can_be_shown(&self, id: &str) -> bool {
        let content = lock(&self.0);
        let mimetype = content.files.get(id).and_then(File::mimetype);
        mimetype.is_some_and(|mimetype| SHOWN.contains(&mimetype))
    }

    fn begin(&self, name: &str, length: usize) -> String {
        let mut content = lock(&self.0);
        let id = format!("F0FAKE{:05}", content.files.len() + 1);
        let file = File {
            name: name.to_owned(),
            length,
            bytes: None,
            ready_at: None,
        };
        content.files.insert(id.clone(), file);
        id
    }

    /// Stores the bytes if they have the announced length. Returns whether they did.
    fn put(&self, id: &str, bytes: &Bytes) -> bool {
        let mut content = lock(&self.0);
        let file = content.files.get_mut(id);
        let announced = file.filter(|file| file.length == bytes.len());
        announced.is_some_and(|file| {
            file.bytes = Some(bytes.clone());
            true
        })
    }

    fn complete(&self, id: &str) -> Result<(), Refused> {
        let mut content = lock(&self.0);
        let ready_at = Instant::now() + content.ready_after;
        let file = content
            .files
            .get_mut(id)
            .filter(|file| file.bytes.is_some());
        file.ok_or(Refused::word("file_not_found"))?.ready_at = Some(ready_at);
        Ok(())
    }

    fn info(&self, id: &str) -> Option<Value> {
        let content = lock(&self.0);
        let file = content.files.get(id)?;
        // The type of a file that is not ready is empty.
        let mimetype = file.mimetype().unwrap_or_default();
        Some(json!({"file": {"id": id, "name": file.name, "mimetype": mimetype}}))
    }
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/api/files.getUploadURLExternal", post(upload_url))
        .route("/upload/v1/{id}", post(upload))
        .route("/api/files.completeUploadExternal", post(complete))
        .route("/api/files.info", post(info))
        .layer(DefaultBodyLimit::max(FILE_BYTES_MAX))
}

async fn upload_url(call: Call) -> Response {
    call.serve(
        Api::UploadUrl,
        Takes::Forms,
        Some("files:write"),
        |state, arguments| {
            let name = arguments["filename"].as_str().unwrap_or_default();
            let length = arguments["length"]
                .as_str()
                .and_then(|text| text.parse().ok());
            let length = length.filter(|length| *length > 0 && !name.is_empty());
            let id = state
                .files
                .begin(name, length.ok_or(Refused::word("invalid_arguments"))?);
            let host = call.header("host").unwrap_or_default();
            let address = format!("http://{host}/upload/v1/{id}");
            Ok(json!({"upload_url": address, "file_id": id}))
        },
    )
    .await
}

async fn upload(
    extract::State(state): extract::State<Arc<State>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    state.record(Api::Upload, &Value::Null);
    with_fault(state.faults.take(&Api::Upload), async {
        if state.files.put(&id, &body) {
            format!("OK - {}", body.len()).into_response()
        } else {
            StatusCode::BAD_REQUEST.into_response()
        }
    })
    .await
}

async fn complete(call: Call) -> Response {
    call.serve(
        Api::CompleteUpload,
        Takes::JsonToo,
        Some("files:write"),
        |state, arguments| {
            let files = arguments["files"].as_array().cloned().unwrap_or_default();
            if files.is_empty() {
                return Err(Refused::word("invalid_arguments"));
            }
            for file in &files {
                state
                    .files
                    .complete(file["id"].as_str().unwrap_or_default())?;
            }
            Ok(json!({"files": files}))
        },
    )
    .await
}

async fn info(call: Call) -> Response {
    call.serve(
        Api::FileInfo,
        Takes::Forms,
        Some("files:read"),
        |state, arguments| {
            let id = arguments["file"].as_str().unwrap_or_default();
            state.files.info(id).ok_or(Refused::word("file_not_found"))
        },
    )
    .await
}
