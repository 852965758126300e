//! A Slack incoming webhook. Source: docs.slack.dev "Sending messages using incoming webhooks" and
//! "Rate limits", and the changelog of 2016-05-17 for statuses and words.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;

use super::answer::{ByStatus, answered, refused, retry_after, unanswered};
use super::excerpt::Redactor;
use super::{Common, Destination, Message, Pace, Sent, ShowsImages, by_link, no_upload};
use crate::feishu::ApiError;
use crate::model::{Form, ImageFormat, Outcome, Secret, Timestamp};
use crate::net::{Answer, Body, HttpClient, Method, Request};

const FORMS: &[Form] = &[Form::Full, Form::Text];

/// A little below "one message per second".
const PACES: &[Pace] = &[Pace {
    count: 1,
    per: Duration::from_millis(1100),
}];

/// See the module.
pub(super) struct SlackWebhook {
    common: Common,
    http: HttpClient,
    url: Secret,
    redactor: Redactor,
    links: bool,
}

impl SlackWebhook {
    pub(super) fn new(common: Common, http: HttpClient, url: Secret, links: bool) -> Self {
        Self {
            redactor: Redactor::new(&url, [], []),
            common,
            http,
            url,
            links,
        }
    }
}

#[async_trait]
impl Destination for SlackWebhook {
    fn common(&self) -> &Common {
        &self.common
    }

    fn kind(&self) -> &'static str {
        "slack-webhook"
    }

    fn forms(&self) -> &'static [Form] {
        FORMS
    }

    fn paces(&self) -> &'static [Pace] {
        PACES
    }

    fn shows_images(&self) -> ShowsImages {
        by_link(self.links)
    }

    async fn upload(&self, _format: ImageFormat, _bytes: Bytes) -> Result<String, ApiError> {
        Err(no_upload(self.kind()))
    }

    async fn send(&self, message: Message<'_>) -> Sent {
        let body = message.payload.with_links(message.link);
        let json = Secret::new("application/json; charset=utf-8");
        let request = Request {
            method: Method::Post,
            url: &self.url,
            headers: vec![("content-type".into(), json)],
            body: Body::Bytes(body.into()),
            timeout: self.common.timeout,
        };
        match self.http.send(request).await {
            Ok(answer) => {
                let word = word(&answer.body);
                let outcome = outcome(&answer, word.as_deref(), message.payload.form, message.now);
                let code = word.filter(|_| outcome != Outcome::Delivered);
                answered(&answer, &self.redactor, code, outcome)
            }
            Err(error) => unanswered(&error, &self.redactor),
        }
    }
}

/// The word Slack answers with: the whole body, or the `error` of a JSON object.
fn word(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Object {
        ok: bool,
        error: Option<String>,
    }
    let text = std::str::from_utf8(body).ok()?.trim();
    let word = match serde_json::from_str::<Object>(text) {
        Ok(Object { ok: true, .. }) => "ok".to_owned(),
        Ok(Object { error, .. }) => error?,
        Err(_not_json) => text.to_owned(),
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (!word.is_empty() && word.len() <= 64 && word.bytes().all(plain)).then_some(word)
}

/// The words count before the status: a refused message has come with 400, 500 and 200.
fn outcome(answer: &Answer, word: Option<&str>, form: Form, now: Timestamp) -> Outcome {
    let status = answer.status;
    let reason = format!("HTTP {status}: {}", word.unwrap_or_default());
    match word {
        Some("ok") if (200..=299).contains(&status) => Outcome::Delivered,
        Some(
            "invalid_payload"
            | "invalid_blocks"
            | "invalid_blocks_format"
            | "invalid_attachments"
            | "invalid_arguments"
            | "no_text"
            | "missing_text_or_fallback_or_attachments"
            | "msg_too_long"
            | "msg_blocks_too_long"
            | "too_many_attachments"
            | "user_not_found",
        ) => refused(form, FORMS, reason),
        Some("action_prohibited" | "posting_to_general_channel_denied") => Outcome::Stop {
            reason: format!("{reason}: an administrator of the workspace forbids it"),
        },
        Some(
            "invalid_token"
            | "no_service"
            | "no_service_id"
            | "no_team"
            | "team_disabled"
            | "channel_not_found"
            | "channel_is_archived"
            | "no_active_hooks",
        ) => Outcome::Stop {
            reason: format!(
                "{reason}: the webhook, its app or its channel is gone; set a new `url`"
            ),
        },
        Some("ratelimited" | "rate_limited") => Outcome::SlowDown {
            pause: retry_after(answer, now),
            reason,
        },
        Some("rollup_error" | "internal_error" | "fatal_error" | "service_unavailable") => {
            Outcome::Retry { reason }
        }
        Some(_) | None => {
            let by_status = ByStatus {
                form,
                forms: FORMS,
                now,
                gone_if_not_found: true,
            };
            by_status.outcome(answer)
        }
    }
}

#[cfg(test)]
mod tests;
