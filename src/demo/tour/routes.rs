//! The page, and what it asks for.
//!
//! | path | is |
//! | --- | --- |
//! | `GET /`, `/page.css`, … | the page |
//! | `GET /api/state` | everything it shows |
//! | `GET /api/live` | the same whenever it changes: server-sent events |
//! | `GET /api/pictures/{platform}/{key}` | a picture as a platform keeps it |
//! | `GET /api/config`, `POST` | `relay.toml`, and a new one |
//! | `POST /api/report`, `/api/press`, `/api/condition`, `/api/pause` | what a visitor does |
//!
//! It is for the browser of this machine alone: requests for another host are refused (a name that somebody
//! points here), and what changes something must be JSON, which no other site's page can send.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{Stream, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::board::Board;
use super::chats::{Chat, Condition};
use super::reports::{Report, pictures};
use super::settings::Read;
use crate::model::{FaultKind, SourceKind};

/// The largest request: a picture of 6 MB in base64, and some text.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024 + 64 * 1024;
/// The longest text of a report.
const TEXT_CHARS_MAX: usize = 4000;

/// Nothing from elsewhere, nothing inline, in nobody's frame.
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

pub(super) fn routes(board: Arc<Board>) -> Router {
    let mut routes = Router::new();
    for (path, media_type, content) in FILES {
        let file = ([(header::CONTENT_TYPE, *media_type)], *content);
        routes = routes.route(path, get(|| async move { file }));
    }
    routes
        .route("/api/state", get(state))
        .route("/api/live", get(live))
        .route("/api/pictures/{platform}/{key}", get(picture))
        .route("/api/config", get(config).post(save))
        .route("/api/report", post(report))
        .route("/api/press", post(press))
        .route("/api/condition", post(condition))
        .route("/api/pause", post(pause))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(guard))
        .with_state(board)
}

/// Refuses what does not come from a page of ours, and says what pages of ours may do.
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

/// A request that cannot be served, in words for the page.
struct Bad(&'static str);

impl IntoResponse for Bad {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.0 });
        (StatusCode::BAD_REQUEST, json_headers(), body.to_string()).into_response()
    }
}

fn json_headers() -> [(header::HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, "application/json")]
}

fn answer(body: &Value) -> Response {
    (json_headers(), body.to_string()).into_response()
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Bad> {
    serde_json::from_slice(body).or(Err(Bad("this is not what the page sends")))
}

async fn state(State(board): State<Arc<Board>>) -> Response {
    answer(&board.state().await)
}

async fn live(
    State(board): State<Arc<Board>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    // What there is goes out at once, and then whatever it becomes.
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
    // Pictures are what visitors send, too: only what a browser can do nothing with but draw it.
    match infer::get(&bytes).map(|kind| kind.mime_type()) {
        Some(media_type) if media_type.starts_with("image/") && !media_type.contains("svg") => {
            ([(header::CONTENT_TYPE, media_type)], bytes).into_response()
        }
        Some(_) | None => StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response(),
    }
}

fn config_json(board: &Board, read: &Read) -> Value {
    json!({
        "path": board.settings.file().display().to_string(),
        "text": read.text,
        "report": read.report,
        "in_force": read.in_force,
    })
}

async fn config(State(board): State<Arc<Board>>) -> Response {
    answer(&config_json(&board, &board.settings.read()))
}

#[derive(Deserialize)]
struct NewConfig {
    text: String,
}

async fn save(State(board): State<Arc<Board>>, body: Bytes) -> Result<Response, Bad> {
    let new: NewConfig = read(&body)?;
    let saved = board.settings.save(&new.text);
    let saved = saved.or(Err(Bad("the file cannot be written")))?;
    Ok(answer(&config_json(&board, &saved)))
}

#[derive(Deserialize)]
struct NewReport {
    /// `suggestion`, or what went wrong.
    kind: String,
    text: String,
    contact: String,
    /// In base64.
    picture: Option<String>,
    /// Whether one of the demo's pictures goes along.
    sample: bool,
}

impl NewReport {
    fn into_report(self) -> Result<Report, Bad> {
        let fault = match self.kind.as_str() {
            "suggestion" => None,
            kind => Some(FaultKind::from_key(kind).ok_or(Bad("no such kind of report"))?),
        };
        if self.text.trim().is_empty() || self.text.chars().count() > TEXT_CHARS_MAX {
            return Err(Bad("write something, at most 4000 characters"));
        }
        let mut sent = Vec::new();
        if let Some(picture) = self.picture {
            let bytes = STANDARD.decode(picture);
            sent.push(Bytes::from(
                bytes.or(Err(Bad("the picture is not in base64")))?,
            ));
        }
        if self.sample {
            sent.push(Bytes::from_static(pictures::CART));
        }
        Ok(Report {
            fault,
            source: SourceKind::MINI_PROGRAM,
            description: self.text,
            path: "pages/demo/form".into(),
            tenant: "You · 你".into(),
            contact: self.contact,
            pictures: sent,
        })
    }
}

async fn report(State(board): State<Arc<Board>>, body: Bytes) -> Result<Response, Bad> {
    let report = read::<NewReport>(&body)?.into_report()?;
    let made = board.world.report(&report).await;
    Ok(answer(&json!({ "event": made.id })))
}

#[derive(Deserialize)]
struct Pressed {
    chat: Chat,
    message: String,
    button: String,
}

async fn press(State(board): State<Arc<Board>>, body: Bytes) -> Result<Response, Bad> {
    let pressed: Pressed = read(&body)?;
    let pressing = board
        .world
        .press(pressed.chat, &pressed.message, &pressed.button);
    let heard = pressing.await.or(Err(Bad("the relay was not reached")))?;
    // Feishu shows the clicker a toast; Slack shows nothing but the changed message.
    let said: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
    Ok(answer(
        &json!({"status": heard.status, "toast": said["toast"]["i18n"]}),
    ))
}

#[derive(Deserialize)]
struct NewCondition {
    chat: Chat,
    condition: Condition,
}

async fn condition(State(board): State<Arc<Board>>, body: Bytes) -> Result<Response, Bad> {
    let new: NewCondition = read(&body)?;
    board.world.set_condition(new.chat, new.condition);
    Ok(answer(&json!({})))
}

#[derive(Deserialize)]
struct NewPause {
    paused: bool,
}

async fn pause(State(board): State<Arc<Board>>, body: Bytes) -> Result<Response, Bad> {
    let new: NewPause = read(&body)?;
    board.pause.set(new.paused);
    Ok(answer(&json!({})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_host_and_another_site_s_forms_are_refused() {
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

    #[test]
    fn a_report_says_what_is_missing() {
        let new = |kind: &str, text: &str, picture: Option<&str>| NewReport {
            kind: kind.into(),
            text: text.into(),
            contact: String::new(),
            picture: picture.map(str::to_owned),
            sample: true,
        };
        let report = new("crash", "x", Some("eA==")).into_report();
        let report = report.unwrap_or_else(|bad| panic!("{}", bad.0));
        assert_eq!(
            (report.fault, report.pictures.len()),
            (Some(FaultKind::CRASH), 2)
        );
        assert!(
            new("suggestion", "x", None)
                .into_report()
                .is_ok_and(|one| one.fault.is_none())
        );
        let long = "x".repeat(TEXT_CHARS_MAX + 1);
        for bad in [
            new("x", "x", None),
            new("crash", " ", None),
            new("crash", &long, None),
            new("crash", "x", Some("?")),
        ] {
            assert!(bad.into_report().is_err());
        }
    }
}
