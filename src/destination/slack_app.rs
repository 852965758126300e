//! A Slack app's bot in one channel. Source: docs.slack.dev `chat.postMessage`, `chat.update`, "Rate limits",
//! and the lists of errors of both methods.
//!
//! Slack answers HTTP 200 even to a refusal, so `ok` and `error` decide. It does not recognise repeats, so a
//! lost answer stays ambiguous. A message is identified by its channel and time, by which it can be replied to
//! and updated. Images are uploaded with the bot's own token and shown by their file's id. Images in formats
//! that Slack does not show are converted first (`convert`).

mod convert;
mod request;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use self::request::{Address, Asked};
use super::answer::{Reading, answered, refused, unanswered, unsent};
use super::{
    Common, Destination, KeyOwner, Message, PaceKey, RateLimit, Sent, SharedPace, ShowsImages,
};
use crate::feishu::ApiError;
use crate::model::{Form, ImageFormat, MessageHandle, Outcome, RETRY_AFTER_MAX, Secret, Timestamp};
use crate::net::{Answer, HttpClient, NetError, Patience, Redactor};
use crate::slack::{ApiResponse, Arguments, Class, SlackClient, SlackError, UploadError};

const FORMS: &[Form] = &[Form::Full, Form::NoImages, Form::Text];

/// Slightly below Slack's documented limit of "one message per second per channel". The limit is the channel's,
/// so all destinations with that channel share it. Updates have a limit of their own, 50 a minute for the whole
/// workspace (tier 3). The relay's few updates do not reach it.
const PER_CHANNEL: RateLimit = RateLimit {
    count: 1,
    per: Duration::from_millis(1100),
};

/// The time, counted from the message's creation, in which Slack must have processed an image. After that, the
/// image is left out, so that no alert waits for it forever.
const FILE_WAIT_MAX: Duration = Duration::from_secs(60);

/// Returns the arguments of `chat.postMessage` for a rendered message; `None` if that is not a JSON object.
pub(super) fn posted(payload: &str, channel: &str) -> Option<serde_json::Value> {
    Some(Asked::of(payload, &Address::Channel(channel))?.body)
}

/// Returns the platform's limit for a channel of the workspace of `owner`.
pub(super) fn paces(owner: &str, channel: &str) -> Vec<SharedPace> {
    vec![SharedPace {
        key: PaceKey::of(&["slack", owner, channel]),
        pace: PER_CHANNEL,
    }]
}

/// A destination of kind `slack-app`. See the module.
pub(super) struct SlackApp {
    common: Common,
    client: SlackClient,
    channel: String,
    redactor: Redactor,
    patience: Patience,
}

impl SlackApp {
    pub(super) fn new(
        common: Common,
        http: HttpClient,
        base_url: &str,
        token: Secret,
        channel: String,
        proxy: Option<&Secret>,
    ) -> Self {
        let base = Secret::new(base_url);
        Self {
            redactor: Redactor::new(proxy.into_iter().chain([&base]), [&token], []),
            patience: Patience::default(),
            common,
            client: SlackClient::new(base_url, token, http),
            channel,
        }
    }

    async fn ask(&self, asked: &Asked) -> Result<(Answer, ApiResponse), NetError> {
        let json = Arguments::Json(asked.body.to_string());
        let answer = self
            .client
            .call(asked.method, json, self.common.timeout)
            .await?;
        let said = ApiResponse::of(&answer);
        Ok((answer, said))
    }
}

#[async_trait]
impl Destination for SlackApp {
    fn common(&self) -> &Common {
        &self.common
    }

    fn kind(&self) -> &'static str {
        "slack-app"
    }

    fn forms(&self) -> &'static [Form] {
        FORMS
    }

    fn paces(&self) -> Vec<SharedPace> {
        paces(&self.client.owner(), &self.channel)
    }

    fn shows_images(&self) -> ShowsImages {
        ShowsImages::ByKey(KeyOwner::Bot(self.client.owner()))
    }

    fn keeps_handles(&self) -> bool {
        true
    }

    async fn upload(&self, format: ImageFormat, bytes: Bytes) -> Result<String, ApiError> {
        let picture = convert::showable(format, bytes).await;
        let picture = picture.map_err(|error| ApiError::Rejected {
            reason: error.to_string(),
        })?;
        let name = format!("picture.{}", picture.suffix);
        let uploaded = self.client.upload(&name, picture.bytes).await;
        uploaded.map_err(|error| match error {
            UploadError::Retry(reason) => ApiError::Retry { reason },
            UploadError::Stop(reason) => ApiError::Stop { reason },
            UploadError::Rejected(reason) => ApiError::Rejected { reason },
        })
    }

    async fn send(&self, message: Message<'_>) -> Sent {
        let form = message.payload.form;
        let address = Address::of(message.place, &self.channel);
        let body = message.payload.with_links(message.link);
        let Some(mut asked) = Asked::of(&body, &address) else {
            let reason = "the message is not a JSON object".into();
            return unsent(refused(form, FORMS, reason));
        };
        let mut exchange = self.ask(&asked).await;
        if let Ok((_, ApiResponse::Refused(problem))) = &exchange
            && problem.class() == Class::Thread
            && asked.leave_thread()
        {
            // The reply was refused and so is not in the channel. It is sent again as a message of its own.
            exchange = self.ask(&asked).await;
        }
        let (answer, said) = match exchange {
            Ok(answered) => answered,
            Err(error) => return unanswered(&error, &self.redactor),
        };
        let judge = Judge {
            reading: Reading {
                form,
                forms: FORMS,
                now: message.now,
                sent: &body,
                redactor: &self.redactor,
                patience: &self.patience,
                gone_if_not_found: false,
                any_receiver: false,
            },
            made_at: message.key.made_at(),
        };
        let (outcome, code) = judge.outcome(&answer, &said);
        let sent = answered(&answer, &self.redactor, code, outcome);
        match &said {
            // The answer repeats the message with a reporter's words, so only its handle is kept.
            ApiResponse::Ok(members) => {
                let handle = handle(members.text("channel"), members.text("ts"));
                let name = handle.as_ref().map(MessageHandle::as_str);
                let excerpt = name.and_then(|name| self.redactor.excerpt(name.as_bytes()));
                Sent {
                    handle,
                    excerpt,
                    ..sent
                }
            }
            ApiResponse::Refused(problem) => Sent {
                stale_images: judge.is_stale(problem),
                uneditable: problem.class() == Class::Unchangeable,
                ..sent
            },
            ApiResponse::Unreadable => sent,
        }
    }
}

fn handle(channel: Option<String>, ts: Option<String>) -> Option<MessageHandle> {
    Some(MessageHandle(format!("{}:{}", channel?, ts?)))
}

/// The facts that are needed to read an answer.
#[derive(Clone, Copy)]
struct Judge<'a> {
    reading: Reading<'a>,
    /// When the message was created.
    made_at: Timestamp,
}

impl Judge<'_> {
    /// Returns the outcome of an answer, and Slack's word for the error.
    fn outcome(&self, answer: &Answer, said: &ApiResponse) -> (Outcome, Option<String>) {
        match said {
            ApiResponse::Ok(_) => {
                self.reading.patience.restore();
                (Outcome::Delivered, None)
            }
            ApiResponse::Refused(problem) => {
                self.reading.patience.restore();
                (self.refused(answer, problem), Some(problem.error.clone()))
            }
            ApiResponse::Unreadable => (self.reading.by_status(answer), None),
        }
    }

    /// Returns whether an image is no longer in Slack. A recent upload may only be waiting to be processed.
    fn is_stale(&self, problem: &SlackError) -> bool {
        problem.class() == Class::File && self.reading.now.since(self.made_at) >= FILE_WAIT_MAX
    }

    fn refused(&self, answer: &Answer, problem: &SlackError) -> Outcome {
        let reason = problem.says();
        let pause = self.reading.pause(answer);
        match problem.class() {
            Class::SlowDown => Outcome::SlowDown { pause, reason },
            Class::WaitLong => Outcome::SlowDown {
                pause: pause.or(Some(RETRY_AFTER_MAX)),
                reason,
            },
            Class::Retry => Outcome::Retry { reason },
            Class::Perhaps => Outcome::Ambiguous { reason },
            Class::Stop => Outcome::Stop { reason },
            Class::Payload => self.reading.refused(reason),
            Class::File if !self.is_stale(problem) => Outcome::Retry { reason },
            Class::File => self.reading.refused(reason),
            Class::Thread | Class::Unchangeable => Outcome::Rejected { reason },
            Class::Unknown if answer.status == 429 => Outcome::SlowDown { pause, reason },
            Class::Unknown if answer.status >= 500 => Outcome::Retry { reason },
            Class::Unknown => Outcome::Unknown { reason },
        }
    }
}
