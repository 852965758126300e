//! Checks that webhooks, files and the relay's own address can be reached.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};
use url::Url;

use super::CALL_TIMEOUT;
use super::report::{Report, foreign};
use crate::archive::ArchiveLocation;
use crate::destination::takes_lines;
use crate::model::Secret;
use crate::net::{Answer, Body, HttpClient, Method, NetError, Redactor, Request};
use crate::store::StoreLocation;

/// The check of a webhook. It sends a `HEAD`, which has no side effects (RFC 9110, 9.2.1).
pub(super) struct Receiver {
    http: HttpClient,
    url: Secret,
    timeout: Duration,
}

impl Receiver {
    pub(super) const fn new(http: HttpClient, url: Secret, timeout: Duration) -> Self {
        Self { http, url, timeout }
    }

    pub(super) async fn run(self, report: &mut Report) {
        match self.send(Method::Head, Vec::new(), Body::Empty).await {
            Ok(Answer { status: 407, .. }) => report.failed(
                "reach",
                "HTTP 407: the proxy demands other credentials",
                "check `proxy`",
            ),
            // A proxy or login page redirects requests, so messages would not arrive either.
            Ok(answer) if (300..=399).contains(&answer.status) => {
                report.warning(
                    "reach",
                    foreign(&answer, &self.redactor()),
                    "check `url` and any proxy in front of the receiver",
                );
            }
            Ok(answer) if answer.is_success() && (answer.declares_page() || answer.is_page()) => {
                report.warning(
                    "reach",
                    format!(
                        "HTTP {} with a page for people, not a receiver's answer",
                        answer.status
                    ),
                    "check `url`; a sign-in or an error page may stand before the receiver",
                )
            }
            // The status of another method says nothing about messages.
            Ok(answer) => report.good("reach", format!("answers (HTTP {})", answer.status)),
            Err(error) => report.unreachable("reach", &error),
        }
    }

    fn redactor(&self) -> Redactor {
        Redactor::new(self.http.proxies().iter().chain([&self.url]), [], [])
    }

    async fn send(
        &self,
        method: Method,
        headers: Vec<(String, Secret)>,
        body: Body,
    ) -> Result<Answer, NetError> {
        let request = Request {
            method,
            url: &self.url,
            headers,
            body,
            timeout: self.timeout,
        };
        self.http.send(request).await
    }
}

/// The check of an incoming webhook. Slack's own gets an empty message, which it rejects only if the webhook
/// exists; statuses: changelog 2016-05-17. Compatible services get a `HEAD`, because they might accept an empty
/// message.
pub(super) struct SlackWebhook {
    pub(super) receiver: Receiver,
    /// The hosts, or parent domains, of Slack.
    pub(super) slacks: Vec<String>,
}

impl SlackWebhook {
    pub(super) async fn run(self, report: &mut Report) {
        if !self.is_slacks() {
            self.receiver.run(report).await;
            return;
        }
        let json = Secret::new("application/json");
        let headers = vec![("content-type".into(), json)];
        let body = Body::Bytes(r#"{"text":""}"#.into());
        match self.receiver.send(Method::Post, headers, body).await {
            Ok(answer) => {
                report.compare_clocks(&answer);
                judge(&answer, report);
            }
            Err(error) => report.unreachable("webhook", &error),
        }
    }

    fn is_slacks(&self) -> bool {
        let url = Url::parse(self.receiver.url.expose()).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        let under = |parent: &String| {
            let rest = host.strip_suffix(parent.as_str());
            rest.is_some_and(|sub| sub.is_empty() || sub.ends_with('.'))
        };
        self.slacks.iter().any(under)
    }
}

fn judge(answer: &Answer, report: &mut Report) {
    let check = "webhook";
    let word = String::from_utf8_lossy(&answer.body).trim().to_owned();
    let status = answer.status;
    let anew = "create a new one at api.slack.com/apps, Incoming Webhooks, and set its `url`";
    match (status, word.as_str()) {
        (_, "no_text" | "invalid_payload" | "missing_text_or_fallback_or_attachments") => {
            report.good(check, "works: it rejected an empty message");
        }
        (_, "action_prohibited" | "posting_to_general_channel_denied") => report.failed(
            check,
            format!("HTTP {status}: an administrator of the workspace forbids it"),
            "have it allowed, or choose another channel",
        ),
        (_, "channel_is_archived") | (410, _) => report.failed(
            check,
            format!("HTTP {status}: the channel is archived"),
            anew,
        ),
        (401 | 403 | 404, _) => report.failed(
            check,
            format!("HTTP {status}: the webhook, its app or its channel is gone"),
            anew,
        ),
        (408 | 429 | 500..=599, _) => {
            report.not_checked(check, format!("HTTP {status}: Slack is busy; try again"));
        }
        _ => report.warning(
            check,
            format!("HTTP {status}, an answer that is not an incoming webhook's"),
            "check `url`",
        ),
    }
}

/// The check of a `file` destination. Nothing is written, and no folder is created.
pub(super) struct File {
    pub(super) path: PathBuf,
}

impl File {
    pub(super) fn run(self, report: &mut Report) {
        let check = "file";
        if let Ok(found) = self.path.metadata() {
            if let Err(reason) = takes_lines(found.file_type()) {
                report.failed(check, reason, "set another `path`");
            } else if access(&self.path, Access::READ_OK | Access::WRITE_OK).is_err() {
                let advice = "let the relay's user read and write it";
                report.failed(check, "it cannot be written", advice);
            } else {
                report.good(check, "it can be written");
            }
            return;
        }
        let mut above = self.path.ancestors().skip(1).map(here);
        let Some(folder) = above.find(|folder| folder.exists()) else {
            report.failed(check, "there is no folder above it", "set another `path`");
            return;
        };
        let may = Access::WRITE_OK | Access::EXEC_OK;
        if folder.is_dir() && access(folder, may).is_ok() {
            report.good(check, "it can be created");
        } else {
            let advice = "let the relay's user write the folder";
            report.failed(check, "it cannot be created", advice);
        }
    }
}

/// Reports folders of store and images that the relay cannot write to. Writable folders are not reported, because
/// `serve` opens them anyway.
pub(super) fn examine_stores(store: &StoreLocation, images: &ArchiveLocation, report: &mut Report) {
    let StoreLocation::Sqlite(database) = store;
    let ArchiveLocation::Folder(images) = images;
    let may = Access::WRITE_OK | Access::EXEC_OK;
    let folder = here(database.parent().unwrap_or(Path::new("")));
    for (check, folder) in [("store", folder), ("images", images)] {
        let Some(there) = folder.ancestors().map(here).find(|folder| folder.exists()) else {
            continue;
        };
        if !there.is_dir() || access(there, may).is_err() {
            let says = format!("the folder {} cannot be written", there.display());
            report.failed(
                check,
                says,
                "let the relay's user write it, or run this check as that user",
            );
        }
    }
    let written = Access::READ_OK | Access::WRITE_OK;
    if database.exists() && access(database, written).is_err() {
        let says = format!("{} cannot be written", database.display());
        report.failed(
            "store",
            says,
            "let the relay's user own it, or run this check as that user",
        );
    }
}

/// Returns a folder's path, or `.` for an empty one.
fn here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    }
}

/// The check of `public_url`, at which chats reach the relay.
pub(super) struct PublicUrl {
    pub(super) http: HttpClient,
    pub(super) url: String,
}

impl PublicUrl {
    pub(super) async fn run(self, report: &mut Report) {
        let check = "public_url";
        let url = Secret::new(format!("{}/healthz", self.url));
        let receiver = Receiver::new(self.http, url, CALL_TIMEOUT);
        let advice = "images and buttons need this URL: start the relay, and forward /images/, /apps/ and /destinations/ to it";
        match receiver.send(Method::Get, Vec::new(), Body::Empty).await {
            Ok(answer) if answer.status == 200 && answer.body.trim_ascii() == b"ok" => {
                report.good(check, "leads to a running relay, seen from this machine");
            }
            Ok(answer) => {
                let says = format!(
                    "/healthz there answers HTTP {}, unlike a relay",
                    answer.status
                );
                report.warning(check, says, advice);
            }
            Err(error) => report.warning(check, format!("cannot be reached: {error}"), advice),
        }
    }
}
