//! Uploads of images for messages of the same bot. Source: docs.slack.dev "Working with files" and
//! "`slack_file` object".
//!
//! An upload has four steps: announce the file, send the bytes to the given address, complete the
//! upload, and wait while Slack processes it. Slack refuses a block with a file that has no
//! `mimetype` yet, so [`SlackClient::upload`] waits for it. A file without a channel belongs to the
//! bot, and its messages may show it.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::client::{Arguments, ForeignAddress, SlackClient};
use super::{ApiResponse, Class, Members, SlackError};
use crate::model::Secret;
use crate::net::{Answer, NetError};

/// The time limit of each API call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit of sending the bytes. Slack sometimes accepts them and never ends the response.
const BYTES_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two checks whether a file is ready.
const READY_STEP: Duration = Duration::from_millis(500);
/// The longest wait until a file is ready.
const READY_MAX: Duration = Duration::from_secs(30);
/// The longest accepted file id, in bytes.
const ID_BYTES_MAX: usize = 32;

/// Why a file was not uploaded. The reasons are safe to log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The failure is temporary; retry later.
    #[error("{0}")]
    Retry(String),
    /// Uploads fail until an operator acts.
    #[error("{0}")]
    Stop(String),
    /// The file is rejected for good.
    #[error("{0}")]
    Rejected(String),
}

impl SlackClient {
    /// Uploads a file and waits until messages can show it. Returns its id, `F…`. If a step's
    /// response is lost, the step is not repeated. The next upload starts again, and the unfinished
    /// file is shown nowhere.
    pub async fn upload(&self, name: &str, bytes: Bytes) -> Result<String, UploadError> {
        if bytes.is_empty() {
            return Err(UploadError::Rejected("Slack API: the file is empty".into()));
        }
        let (address, id) = self.place_for(name, bytes.len()).await?;
        self.put(&address, bytes).await?;
        // This method accepts JSON. Without a channel the file belongs to the bot.
        let complete = json!({"files": [{"id": id, "title": name}]}).to_string();
        let method = "files.completeUploadExternal";
        self.asked(method, Arguments::Json(complete)).await?;
        self.until_ready(&id).await?;
        Ok(id)
    }

    /// Requests an upload address and a file id. The method accepts forms only: JSON gives
    /// `invalid_arguments`.
    async fn place_for(&self, name: &str, length: usize) -> Result<(Secret, String), UploadError> {
        let method = "files.getUploadURLExternal";
        let fields = vec![
            ("filename", name.to_owned()),
            ("length", length.to_string()),
        ];
        let answer = self.asked(method, Arguments::Form(fields)).await?;
        let address = answer.text("upload_url").map(Secret::new);
        match (address, answer.text("file_id").filter(|id| is_file_id(id))) {
            (Some(address), Some(id)) => Ok((address, id)),
            _ => Err(retry(method, "the response has no address or file")),
        }
    }

    async fn put(&self, address: &Secret, bytes: Bytes) -> Result<(), UploadError> {
        let what = "the upload of the bytes";
        let media_type = "application/octet-stream";
        match self
            .post_to(address, media_type, bytes, BYTES_TIMEOUT)
            .await
        {
            Err(foreign @ ForeignAddress) => Err(retry(what, &foreign.to_string())),
            Ok(Err(error)) => Err(unanswered(what, &error)),
            Ok(Ok(answer)) if answer.status == 200 && !answer.is_page() => Ok(()),
            Ok(Ok(Answer { status: 413, .. })) => Err(UploadError::Rejected(
                "Slack API: the file is too large".into(),
            )),
            Ok(Ok(answer)) => Err(self.foreign(what, &answer)),
        }
    }

    /// Waits until the file can be shown. An app without `files:read` does not wait: Slack refuses
    /// a message that is too early, and it is retried.
    async fn until_ready(&self, id: &str) -> Result<(), UploadError> {
        let method = "files.info";
        let deadline = Instant::now() + READY_MAX;
        loop {
            let fields = Arguments::Form(vec![("file", id.to_owned())]);
            let answer = self.call(method, fields, CALL_TIMEOUT).await;
            match answer.as_ref().map(ApiResponse::of) {
                Ok(ApiResponse::Ok(members))
                    if members.object("file").text("mimetype").is_some() =>
                {
                    return Ok(());
                }
                Ok(ApiResponse::Refused(problem)) if problem.error == "missing_scope" => {
                    return Ok(());
                }
                Ok(ApiResponse::Refused(problem)) if problem.class() != Class::SlowDown => {
                    return Err(refused(method, &problem));
                }
                Ok(ApiResponse::Ok(_) | ApiResponse::Refused(_) | ApiResponse::Unreadable)
                | Err(_) => {}
            }
            let pause = answer.as_ref().map_or(READY_STEP, pause);
            if Instant::now() + pause > deadline {
                return Err(retry(method, "Slack did not process the file in time"));
            }
            sleep(pause).await;
        }
    }

    async fn asked(&self, method: &str, arguments: Arguments) -> Result<Members, UploadError> {
        let answer = self
            .call(method, arguments, CALL_TIMEOUT)
            .await
            .map_err(|error| unanswered(method, &error))?;
        match ApiResponse::of(&answer) {
            ApiResponse::Ok(members) => Ok(members),
            ApiResponse::Refused(problem) => Err(refused(method, &problem)),
            ApiResponse::Unreadable => Err(self.foreign(method, &answer)),
        }
    }

    /// Judges a response that Slack did not give. It says nothing about the file.
    fn foreign(&self, what: &str, answer: &Answer) -> UploadError {
        let described = answer.describe_foreign(self.redactor(), "");
        match answer.status {
            407 => UploadError::Stop(says(
                what,
                &format!("{described}: the proxy demands credentials"),
            )),
            _ => retry(
                what,
                &format!("{described}; check `base_url` and the proxies in between"),
            ),
        }
    }
}

/// Returns the pause before the next check: one step, or as long as the response asks for.
fn pause(answer: &Answer) -> Duration {
    let asked = answer
        .header("retry-after")
        .and_then(|secs| secs.parse().ok());
    asked.map_or(READY_STEP, |secs| {
        Duration::from_secs(secs).clamp(READY_STEP, READY_MAX)
    })
}

/// Returns whether a text can be a file id, which is written into JSON and the store.
fn is_file_id(id: &str) -> bool {
    let letter = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
    id.len() <= ID_BYTES_MAX && id.starts_with('F') && id.bytes().all(letter)
}

fn says(what: &str, reason: &str) -> String {
    format!("Slack API, {what}: {reason}")
}

fn retry(what: &str, reason: &str) -> UploadError {
    UploadError::Retry(says(what, reason))
}

fn unanswered(what: &str, error: &NetError) -> UploadError {
    match error {
        NetError::Unsent(_) | NetError::Certificate(_) | NetError::Lost(_) => {
            retry(what, &error.to_string())
        }
        NetError::Refused(_) => {
            UploadError::Stop(says(what, &format!("{error}; check `base_url`")))
        }
    }
}

fn refused(what: &str, problem: &SlackError) -> UploadError {
    let reason = says(what, &problem.says());
    match problem.class() {
        Class::SlowDown | Class::WaitLong | Class::Retry | Class::Perhaps | Class::Unknown => {
            UploadError::Retry(reason)
        }
        Class::Stop => UploadError::Stop(reason),
        Class::Payload | Class::File | Class::Thread | Class::Unchangeable => {
            UploadError::Rejected(reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_id_has_expected_characters() {
        for id in ["F0123ABCD", "F1"] {
            assert!(is_file_id(id), "{id}");
        }
        for id in [
            "",
            "f0123ABCD",
            "F01\"",
            "F012abc",
            "C0123ABCD",
            "\u{e002}F",
        ] {
            assert!(!is_file_id(id), "{id}");
        }
        assert!(!is_file_id(&"F".repeat(ID_BYTES_MAX + 1)));
    }
}
