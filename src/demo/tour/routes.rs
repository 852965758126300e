//! The demo's page and its API.
//!
//! | path | content |
//! | --- | --- |
//! | `GET /`, `/page.css`, … | the page |
//! | `GET /api/state` | the whole state of the page |
//! | `GET /api/live` | the state after each change, as server-sent events |
//! | `GET /api/pictures/{platform}/{key}` | an image stored by a platform |
//! | `GET /api/config`, `POST` | reads and replaces `relay.toml` |
//! | `POST /api/report`, `/api/press`, `/api/condition`, `/api/pause`, `/api/storm`, `/api/kill` | the visitor's actions |
//!
//! All paths are below a key that only the page's address contains, because other users of this machine could
//! otherwise write files through a rule. The server is only for the browser of this machine: requests for another host
//! name are refused, because somebody could point a name here. Requests that change something must be JSON, which no
//! other site's page can send.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::get;
use futures_util::{Stream, stream};

use super::acts::{self, answer};
use super::board::Board;

/// The largest request: an image of 6 MB in base64, and some text.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024 + 64 * 1024;

/// Allows only resources of this server, no inline code, and no frames.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files of the page: path, type, content.
const FILES: &[(&str, &str, &str)] = &[
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/index.html"),
    ),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    (
        "/cards.css",
        "text/css; charset=utf-8",
        include_str!("page/cards.css"),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    ),
    (
        "/cards.js",
        "text/javascript; charset=utf-8",
        include_str!("page/cards.js"),
    ),
    (
        "/show.js",
        "text/javascript; charset=utf-8",
        include_str!("page/show.js"),
    ),
    (
        "/strip.js",
        "text/javascript; charset=utf-8",
        include_str!("page/strip.js"),
    ),
    (
        "/words.js",
        "text/javascript; charset=utf-8",
        include_str!("page/words.js"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// Returns the routes below `/{key}/`.
pub(super) fn routes(board: Arc<Board>, key: &str) -> Router {
    let mut files = Router::new();
    for (path, media_type, content) in FILES {
        let file = ([(header::CONTENT_TYPE, *media_type)], *content);
        files = files.route(&format!("/{key}{path}"), get(|| async move { file }));
    }
    let api = Router::new()
        .route("/api/state", get(state))
        .route("/api/live", get(live))
        .route("/api/pictures/{platform}/{key}", get(picture))
        .merge(acts::routes());
    files
        .nest(&format!("/{key}"), api)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(guard))
        .with_state(board)
}

/// Refuses requests that do not come from the demo's page, and adds the page's security policy.
async fn guard(request: Request, next: Next) -> Response {
    let mut answer = match admitted(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(status) => status.into_response(),
    };
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn admitted(method: &Method, headers: &HeaderMap) -> Result<(), StatusCode> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let host = text(header::HOST);
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    if !["127.0.0.1", "localhost"].contains(&name) {
        return Err(StatusCode::MISDIRECTED_REQUEST);
    }
    let json = text(header::CONTENT_TYPE).starts_with("application/json");
    match *method == Method::GET || json {
        true => Ok(()),
        false => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    }
}

async fn state(State(board): State<Arc<Board>>) -> Response {
    answer(&board.state().await)
}

async fn live(
    State(board): State<Arc<Board>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // Sends the current state at once, then each new state.
    let states = stream::unfold((board.watch(), true), |(mut shown, first)| async move {
        if !first || shown.borrow().is_empty() {
            shown.changed().await.ok()?;
        }
        let event = Event::default().data(&**shown.borrow_and_update());
        Some((Ok(event), (shown, false)))
    });
    Sse::new(states).keep_alive(KeepAlive::default())
}

async fn picture(
    State(board): State<Arc<Board>>,
    Path((platform, key)): Path<(String, String)>,
) -> Response {
    let bytes = match platform.as_str() {
        "feishu" => board.world.feishu.image(&key),
        "slack" => board.world.slack.file(&key),
        _ => None,
    };
    let Some(bytes) = bytes else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // Visitors upload images too, so only image types that a browser displays without running code
    // are served.
    match infer::get(&bytes).map(|kind| kind.mime_type()) {
        Some(media_type) if media_type.starts_with("image/") && !media_type.contains("svg") => {
            ([(header::CONTENT_TYPE, media_type)], bytes).into_response()
        }
        Some(_) | None => StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_hosts_and_forms_are_refused() {
        let asked = |method: Method, host: &str, media_type: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(media_type) = media_type {
                headers.insert(header::CONTENT_TYPE, media_type.parse().unwrap());
            }
            admitted(&method, &headers)
        };
        let json = Some("application/json");
        assert_eq!(asked(Method::GET, "127.0.0.1:8790", None), Ok(()));
        assert_eq!(asked(Method::POST, "localhost:8790", json), Ok(()));
        let elsewhere = Err(StatusCode::MISDIRECTED_REQUEST);
        for host in [
            "evil.example:8790",
            "127.0.0.1.evil.example",
            "127.0.0.1:1:2",
            "",
        ] {
            assert_eq!(asked(Method::GET, host, None), elsewhere, "{host}");
        }
        let form = Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        for media_type in [None, Some("text/plain"), Some("multipart/form-data")] {
            assert_eq!(asked(Method::POST, "127.0.0.1:8790", media_type), form);
        }
    }
}
