//! Actions of a visitor on the page: edit `relay.toml`, report, click buttons, break chats, pause, start a storm, kill
//! the relay.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::board::Board;
use super::chats::{Chat, Condition};
use super::reports::{Report, pictures, somebody};
use super::settings::Read;
use crate::model::{FaultKind, SourceKind};

/// The longest text of a report, in characters.
const TEXT_CHARS_MAX: usize = 4000;

pub(super) fn routes() -> Router<Arc<Board>> {
    Router::new()
        .route("/api/config", get(config).post(save))
        .route("/api/report", post(report))
        .route("/api/press", post(press))
        .route("/api/condition", post(condition))
        .route("/api/pause", post(pause))
        .route("/api/storm", post(storm))
        .route("/api/kill", post(kill))
}

/// A request that cannot be served. Holds the message for the page.
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

pub(super) fn answer(body: &Value) -> Response {
    (json_headers(), body.to_string()).into_response()
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Bad> {
    serde_json::from_slice(body).or(Err(Bad("the request is not one of the page's")))
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
    board
        .save(&new.text)
        .or(Err(Bad("failed to write the file")))?;
    Ok(answer(&config_json(&board, &board.settings.read())))
}

#[derive(Deserialize)]
struct NewReport {
    /// `suggestion`, or the kind of fault.
    kind: String,
    text: String,
    contact: String,
    /// The image in base64, if any.
    picture: Option<String>,
    /// Whether to attach one of the demo's images.
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
                bytes.or(Err(Bad("the image is not valid base64")))?,
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
            reporter: somebody(),
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
    let heard = pressing.await.or(Err(Bad("failed to reach the relay")))?;
    // Feishu shows the actor a toast; Slack only updates the message.
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

async fn storm(State(board): State<Arc<Board>>) -> Result<Response, Bad> {
    match board.storm.start() {
        true => Ok(answer(&json!({}))),
        false => Err(Bad("a storm is running already")),
    }
}

async fn kill(State(board): State<Arc<Board>>) -> Result<Response, Bad> {
    if !board.settings.read().in_force {
        let reason =
            "relay.toml has an error, so the relay would not start again; correct it first";
        return Err(Bad(reason));
    }
    let pid = board.relay.kill();
    let pid = pid.ok_or(Bad("the relay is not running at the moment"))?;
    Ok(answer(&json!({ "killed": pid })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_report_names_missing_part() {
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
