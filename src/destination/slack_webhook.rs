//! A Slack incoming webhook. Source: docs.slack.dev "Sending messages using incoming webhooks" and "Rate
//! limits", and the changelog of 2016-05-17 for statuses and words.
//!
//! Many receivers accept Slack's messages but answer with other words (`alertmanager#3546`, `grafana#64079`).
//! So a short 2xx that mentions no error is a success.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::answer::{Reading, answered, unanswered};
use super::foreign_body::{CONFIRMATION_BYTES_MAX, Foreign};
use super::{
    Common, Destination, Message, PaceKey, RateLimit, Sent, SharedPace, ShowsImages, by_link,
};
use crate::model::{Form, Outcome, Secret};
use crate::net::{Answer, Body, HttpClient, Method, Patience, Redactor, Request};
use crate::slack::{Class, SlackError};

const FORMS: &[Form] = &[Form::Full, Form::Text];

/// Slightly below Slack's documented limit of "one message per second".
const PACES: &[RateLimit] = &[RateLimit {
    count: 1,
    per: Duration::from_millis(1100),
}];

/// Returns the platform's limits of the webhook at `url`.
pub(super) fn paces(url: &Secret) -> Vec<SharedPace> {
    SharedPace::all(&PaceKey::of_url(url), PACES).collect()
}

/// A destination of kind `slack-webhook`. See the module.
pub(super) struct SlackWebhook {
    common: Common,
    http: HttpClient,
    url: Secret,
    redactor: Redactor,
    patience: Patience,
    links: bool,
}

impl SlackWebhook {
    pub(super) fn new(
        common: Common,
        http: HttpClient,
        url: Secret,
        links: bool,
        proxy: Option<&Secret>,
    ) -> Self {
        Self {
            redactor: Redactor::new(proxy.into_iter().chain([&url]), [], []),
            patience: Patience::default(),
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

    fn paces(&self) -> Vec<SharedPace> {
        paces(&self.url)
    }

    fn shows_images(&self) -> ShowsImages {
        by_link(self.links)
    }

    async fn send(&self, message: Message<'_>) -> Sent {
        let body = message.payload.with_links(message.link);
        let json = Secret::new("application/json; charset=utf-8");
        let request = Request {
            method: Method::Post,
            url: &self.url,
            headers: vec![("content-type".into(), json)],
            body: Body::Bytes(body.clone().into()),
            timeout: self.common.timeout,
        };
        let answer = match self.http.send(request).await {
            Ok(answer) => answer,
            Err(error) => return unanswered(&error, &self.redactor),
        };
        let reading = Reading {
            form: message.payload.form,
            forms: FORMS,
            now: message.now,
            sent: &body,
            redactor: &self.redactor,
            patience: &self.patience,
            gone_if_not_found: true,
            any_receiver: true,
        };
        let word = word(&answer);
        let outcome = outcome(&answer, word.as_deref(), &reading);
        let code = word.filter(|_| outcome != Outcome::Delivered);
        answered(&answer, &self.redactor, code, outcome)
    }
}

/// Returns the word in Slack's answer: the whole body, or the `error` of a JSON object.
fn word(answer: &Answer) -> Option<String> {
    let text = std::str::from_utf8(&answer.body).ok()?.trim();
    let word = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(members)) => members.get("error")?.as_str()?.to_owned(),
        Ok(_) | Err(_) => text.to_owned(),
    };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (!word.is_empty() && word.len() <= 64 && word.bytes().all(plain)).then_some(word)
}

/// Returns the outcome. The word counts before the status, because refusals have come with 400, 500 and 200.
fn outcome(answer: &Answer, word: Option<&str>, reading: &Reading<'_>) -> Outcome {
    let status = answer.status;
    let problem = word.map(|word| SlackError::of_word(word.to_owned()));
    let known = problem.filter(|problem| problem.class() != Class::Unknown);
    let Some(problem) = known else {
        return of_any_receiver(answer, reading);
    };
    reading.patience.restore();
    let reason = format!("HTTP {status}: {}", problem.says_of_a_webhook());
    match problem.class() {
        Class::SlowDown | Class::WaitLong => Outcome::SlowDown {
            pause: reading.pause(answer),
            reason,
        },
        Class::Retry | Class::Perhaps => Outcome::Retry { reason },
        Class::Stop => Outcome::Stop { reason },
        Class::Payload | Class::File | Class::Thread | Class::Unchangeable => {
            reading.refused(reason)
        }
        Class::Unknown => Outcome::Unknown { reason },
    }
}

/// Returns the outcome of an answer whose word is not one of Slack's.
fn of_any_receiver(answer: &Answer, reading: &Reading<'_>) -> Outcome {
    if !answer.is_success() {
        return reading.by_status(answer);
    }
    let short = answer.body.len() <= CONFIRMATION_BYTES_MAX;
    match Foreign::of(answer) {
        Foreign::Confirms | Foreign::Text if short => {
            reading.patience.restore();
            Outcome::Delivered
        }
        Foreign::Page | Foreign::Refuses | Foreign::Confirms | Foreign::Text | Foreign::Cut => {
            reading.by_status(answer)
        }
    }
}

#[cfg(test)]
mod tests;
