//! An app's own bot in Feishu or Lark. It sends to a chat or to a person, replies in threads and updates its
//! cards. It shows images by its own keys and sends urgent notifications. Sources: doc "发送消息", "回复消息",
//! "更新已发送的消息卡片", "发送应用内加急".
//!
//! A message carries the delivery's id as its `uuid`. The platform creates at most one message for a `uuid`
//! within an hour. So a send whose answer was lost is repeated at once. A later retry can duplicate the
//! message.
//!
//! Messages are rendered for the feishu family, in the shape for custom bots; `content` converts them to the
//! API's shape.

mod content;
mod read;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::json;

use self::read::{Asked, Doing};
use super::answer::{Reading, answered, refused, unanswered, unsent};
use super::unmentioned::{unmentioned, with_mentions_refused};
use super::{
    Common, Destination, KeyOwner, Message, PaceKey, Place, Rang, RateLimit, Sent, SharedPace,
    ShowsImages,
};
use crate::feishu::codes::Class;
use crate::feishu::messages::{self, Content, MESSAGE_BYTES_MAX, Said};
use crate::feishu::{ApiError, Call, FeishuClient, To, Unanswered, Urgent};
use crate::model::{AppName, Form, ImageFormat, MessageHandle, Outcome};
use crate::net::{Answer, Body, Redactor};

const FORMS: &[Form] = &[Form::Full, Form::NoImages, Form::Post, Form::Text];

/// Slightly below Feishu's documented limit of 5 requests per second ("5 次/秒") to one chat, for all its bots
/// together, and to one person.
const PER_CHAT: RateLimit = RateLimit {
    count: 4,
    per: Duration::from_secs(1),
};
/// Slightly below Feishu's documented limit of 50 requests per second per app ("50 次/秒").
const PER_APP: RateLimit = RateLimit {
    count: 48,
    per: Duration::from_secs(1),
};
/// Slightly below Feishu's documented limit of 1000 requests per minute per app ("1000 次/分钟").
const PER_APP_MINUTE: RateLimit = RateLimit {
    count: 950,
    per: Duration::from_secs(60),
};
/// The part of an answer that is read, in bytes. An answer repeats the message with every character escaped
/// twice.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// The time limit of urgent notifications. It is short, because the accepted message is recorded only after
/// them.
const RING_TIMEOUT: Duration = Duration::from_secs(5);

/// Converts a rendered message to the API's content; `None` if the message is not of the feishu family.
pub(super) fn content_of(payload: &str) -> Option<Content> {
    content::of(payload)
}

/// Returns the platform's limits for messages of `app` to a chat or person.
pub(super) fn paces(app: &AppName, to: &To) -> Vec<SharedPace> {
    let chat = PaceKey::of(&["feishu", to.id_type(), to.id()]);
    let app = PaceKey::of(&["feishu app", app.as_str()]);
    SharedPace::all(&chat, &[PER_CHAT])
        .chain(SharedPace::all(&app, &[PER_APP, PER_APP_MINUTE]))
        .collect()
}

/// A destination of kind `feishu-app`. See the module.
pub(super) struct FeishuApp {
    common: Common,
    client: FeishuClient,
    to: To,
    urgent: Option<Urgent>,
}

impl FeishuApp {
    pub(super) fn new(
        common: Common,
        client: FeishuClient,
        to: To,
        urgent: Option<Urgent>,
    ) -> Self {
        Self {
            common,
            client,
            to,
            urgent,
        }
    }

    fn redactor(&self) -> &Redactor {
        self.client.redactor()
    }

    /// Returns the call that sends `content` to its place; `None` if the content cannot go there.
    fn call(&self, message: &Message<'_>, place: Place<'_>, content: &Content) -> Option<Call> {
        let (uuid, timeout) = (message.key.to_string(), self.common.timeout);
        Some(match place {
            Place::New => messages::create(&self.to, content, &uuid, timeout),
            Place::Under(MessageHandle(id)) => messages::reply(id, content, &uuid, timeout),
            Place::Over(MessageHandle(id)) if content.msg_type == "interactive" => {
                messages::update(id, &content.content, timeout)
            }
            Place::Over(_) => return None,
        })
    }

    /// Sends `body`, a message of the feishu family, once.
    async fn put(&self, message: &Message<'_>, place: Place<'_>, body: &str) -> Put {
        let form = message.payload.form;
        let Some(content) = content::of(body) else {
            let reason = "the message is not in Feishu's format".into();
            return Put::not_sent(refused(form, FORMS, reason));
        };
        let Some(call) = self.call(message, place, &content) else {
            let reason = "only a card can replace a card".into();
            return Put::not_sent(Outcome::Rejected { reason });
        };
        let bytes = size(&call.body);
        if bytes > MESSAGE_BYTES_MAX {
            let reason = format!("not sent: {bytes} bytes, and Feishu accepts {MESSAGE_BYTES_MAX}");
            return Put::not_sent(refused(form, FORMS, reason));
        }
        let asked = Asked {
            reading: Reading {
                form,
                forms: FORMS,
                now: message.now,
                sent: body,
                redactor: self.redactor(),
                patience: self.client.patience(),
                gone_if_not_found: true,
                any_receiver: false,
            },
            doing: Doing::of(place),
            to: &self.to,
        };
        match self.client.call_up_to(call, ANSWER_BYTES_MAX).await {
            Ok(answer) => {
                let said = Said::of(&answer);
                let refusal = said.as_ref().filter(|said| said.code != 0);
                Put {
                    gone: refusal.is_some_and(|said| asked.target_is_gone(said)),
                    class: refusal.map(|said| said.meaning.class),
                    sent: self.judged(&asked, &answer, said, place),
                }
            }
            Err(error) => Put {
                sent: self.unanswered(&error),
                gone: false,
                class: None,
            },
        }
    }

    /// Sends once. If people in the message were refused, sends once more without them.
    async fn put_or_unmention(&self, message: &Message<'_>, place: Place<'_>, body: &str) -> Put {
        let put = self.put(message, place, body).await;
        let Some(body) = unmentioned(put.class, &put.sent.outcome, body) else {
            return put;
        };
        let mentions_refused = put.sent.outcome.reason().map(str::to_owned);
        let again = self.put(message, place, &body).await;
        Put {
            sent: with_mentions_refused(put.sent, again.sent, mentions_refused),
            ..again
        }
    }

    fn judged(
        &self,
        asked: &Asked<'_>,
        answer: &Answer,
        said: Option<Said>,
        place: Place<'_>,
    ) -> Sent {
        let outcome = asked.outcome(answer, said.as_ref());
        let Some(said) = said else {
            return answered(answer, self.redactor(), None, outcome);
        };
        if outcome != Outcome::Delivered {
            return Sent {
                stale_images: said.code != 0 && said.meaning.class == Class::ImageKey,
                uneditable: matches!(said.meaning.class, Class::Gone | Class::Unchangeable),
                ..answered(
                    answer,
                    self.redactor(),
                    Some(said.code.to_string()),
                    outcome,
                )
            };
        }
        // The answer repeats the message with a reporter's words, so only the ids are kept.
        let ids = json!({
            "message_id": said.message_id, "chat_id": said.chat_id, "thread_id": said.thread_id,
        });
        let kept = match place {
            Place::Over(handle) => Some(handle.clone()),
            Place::New | Place::Under(_) => said.message_id.map(MessageHandle),
        };
        Sent {
            status: Some(answer.status),
            excerpt: self.redactor().excerpt(ids.to_string().as_bytes()),
            handle: kept,
            ..unsent(outcome)
        }
    }

    /// Returns the result of a call without an answer. If there was no token, nothing was sent, and the message
    /// is not at fault.
    fn unanswered(&self, error: &Unanswered) -> Sent {
        let reason = || error.to_string();
        unsent(match error {
            Unanswered::Net(error) => return unanswered(error, self.redactor()),
            Unanswered::NoToken(ApiError::Retry { .. }) => Outcome::Retry { reason: reason() },
            Unanswered::NoToken(ApiError::SlowDown { pause, .. }) => Outcome::SlowDown {
                pause: *pause,
                reason: reason(),
            },
            Unanswered::NoToken(
                ApiError::Stop { .. } | ApiError::InFront { .. } | ApiError::Rejected { .. },
            ) => Outcome::Stop { reason: reason() },
        })
    }

    /// Sends urgent notifications to the people that an accepted message mentions. A failure does not change
    /// the message's outcome.
    async fn ring(&self, how: Urgent, handle: &MessageHandle, people: &[String]) -> Rang {
        let timeout = self.common.timeout.min(RING_TIMEOUT);
        let call = messages::ring(&handle.0, how, people, timeout);
        let failed = |reason| Rang::Failed { reason };
        match self.client.call(call).await {
            Ok(answer) => match Said::of(&answer) {
                Some(said) if said.code == 0 && said.not_rung == 0 => Rang::People(people.len()),
                Some(said) if said.code == 0 => failed(format!(
                    "{} of {} people were not notified: they are not in the chat, or have left",
                    said.not_rung,
                    people.len()
                )),
                Some(said) => failed(read::why_not_rung(&said, how, self.redactor())),
                None => failed(answer.describe_foreign(self.redactor(), "")),
            },
            Err(Unanswered::Net(error)) => failed(error.to_string()),
            Err(Unanswered::NoToken(error)) => failed(error.to_string()),
        }
    }
}

/// The result of one call.
struct Put {
    sent: Sent,
    /// Whether the message to reply to or to update is gone.
    gone: bool,
    /// The class of the platform's code, if it refused.
    class: Option<Class>,
}

impl Put {
    const fn not_sent(outcome: Outcome) -> Self {
        Self {
            sent: unsent(outcome),
            gone: false,
            class: None,
        }
    }
}

fn size(body: &Body) -> usize {
    match body {
        Body::Bytes(bytes) => bytes.len(),
        Body::Empty | Body::Multipart { .. } => 0,
    }
}

#[async_trait]
impl Destination for FeishuApp {
    fn common(&self) -> &Common {
        &self.common
    }

    fn kind(&self) -> &'static str {
        "feishu-app"
    }

    fn forms(&self) -> &'static [Form] {
        FORMS
    }

    fn paces(&self) -> Vec<SharedPace> {
        paces(self.client.app(), &self.to)
    }

    fn shows_images(&self) -> ShowsImages {
        ShowsImages::ByKey(KeyOwner::App(self.client.app().clone()))
    }

    fn recognises_repeats(&self) -> bool {
        true
    }

    fn keeps_handles(&self) -> bool {
        true
    }

    async fn upload(&self, format: ImageFormat, bytes: Bytes) -> Result<String, ApiError> {
        self.client.upload_image(format, bytes).await
    }

    async fn send(&self, message: Message<'_>) -> Sent {
        let body = message.payload.with_links(message.link);
        let mut put = self.put_or_unmention(&message, message.place, &body).await;
        if put.gone && matches!(message.place, Place::Under(_)) {
            // The message to reply to was recalled, so this one goes without a thread.
            put = self.put_or_unmention(&message, Place::New, &body).await;
        }
        let mut sent = put.sent;
        let told = sent.outcome == Outcome::Delivered && !matches!(message.place, Place::Over(_));
        if let (true, Some(how), Some(handle)) = (told, self.urgent, &sent.handle)
            && !message.rings.is_empty()
        {
            let rang = self.ring(how, handle, message.rings).await;
            sent.rang = Some(rang);
        }
        sent
    }
}
