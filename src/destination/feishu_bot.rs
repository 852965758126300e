//! A custom bot of a Feishu or Lark group. Source: doc "自定义机器人使用指南".
//!
//! The URL is the secret. The bot answers HTTP 200 even to a refusal, so the code in the body decides. It does
//! not deduplicate requests and accepts at most 20 KB per request. It shows an image only by the image key of an
//! upload made by an app of the same tenant.

#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::answer::{Reading, answered, refused, unanswered, unsent};
use super::feishu_answer::Refusal;
use super::splice::splice;
use super::unmentioned::{unmentioned, with_mentions_refused};
use super::{
    BuildError, Common, Destination, KeyOwner, Message, PaceKey, RateLimit, Sent, Settings,
    SharedPace, ShowsImages, by_link, no_upload,
};
use crate::feishu::codes::{self, Cause, Class};
use crate::feishu::custom_bot::{CLOCK_OFF_MAX_SECS, sign};
use crate::feishu::{ApiError, FeishuClient, custom_bot};
use crate::model::{AppName, Form, ImageFormat, Outcome, Secret, Timestamp};
use crate::net::{Answer, Body, HttpClient, Method, NetError, Patience, Redactor, Request};

const FORMS: &[Form] = &[Form::Full, Form::NoImages, Form::Post, Form::Text];

/// Slightly below Feishu's documented limits of 100 requests per minute and 5 per second per bot ("100 次/分钟，5
/// 次/秒"), because other programs may use the same bot, and a message
/// refused for the people in it is sent twice.
const PACES: &[RateLimit] = &[
    RateLimit {
        count: 4,
        per: Duration::from_secs(1),
    },
    RateLimit {
        count: 95,
        per: Duration::from_secs(60),
    },
];

/// The largest request that a bot accepts, in bytes.
const REQUEST_BYTES_MAX: usize = 20 * 1024;
/// The smallest clock difference that is reported. A smaller one may be network latency.
const CLOCK_OFF_MIN_SECS: i64 = 60;

/// How a bot shows images.
pub(super) enum Images {
    /// By image keys of uploads made by an app of the same tenant.
    ByKey(AppName, FeishuClient),
    /// Not embedded: the message links to images or counts them.
    Plain(ShowsImages),
}

impl Images {
    pub(super) fn of(
        settings: &Settings,
        app: Option<&AppName>,
        uploader: Option<FeishuClient>,
    ) -> Result<Self, BuildError> {
        match (app, uploader) {
            (None, _) => Ok(Self::Plain(by_link(settings.links))),
            (Some(app), Some(uploader)) => Ok(Self::ByKey(app.clone(), uploader)),
            (Some(app), None) => Err(BuildError::NoUploader {
                name: settings.common.name.clone(),
                app: app.clone(),
            }),
        }
    }
}

/// Returns the platform's limits of the bot at `url`.
pub(super) fn paces(url: &Secret) -> Vec<SharedPace> {
    SharedPace::all(&PaceKey::of_url(url), PACES).collect()
}

/// A destination of kind `feishu-bot`. See the module.
pub(super) struct FeishuBot {
    common: Common,
    http: HttpClient,
    url: Secret,
    secret: Option<Secret>,
    images: Images,
    redactor: Redactor,
    patience: Patience,
}

impl FeishuBot {
    pub(super) fn new(
        common: Common,
        http: HttpClient,
        url: Secret,
        secret: Option<Secret>,
        images: Images,
        proxy: Option<&Secret>,
    ) -> Self {
        Self {
            redactor: Redactor::new(proxy.into_iter().chain([&url]), &secret, []),
            patience: Patience::default(),
            common,
            http,
            url,
            secret,
            images,
        }
    }

    /// Sends `body`, signed for this attempt if the bot has a secret.
    async fn put(&self, body: &str, form: Form, now: Timestamp) -> Result<Put, NetError> {
        let signed = match &self.secret {
            None => Some(body.to_owned()),
            Some(secret) => {
                let timestamp = now.as_secs();
                let sign = sign(secret, timestamp);
                splice(
                    body,
                    &format!(r#""timestamp":"{timestamp}","sign":"{sign}""#),
                )
            }
        };
        let Some(signed) = signed else {
            let reason = "the message is not a JSON object".into();
            return Ok(Put::not_sent(refused(form, FORMS, reason)));
        };
        let bytes = signed.len();
        if bytes > REQUEST_BYTES_MAX {
            let reason = format!("not sent: {bytes} bytes, and a bot accepts {REQUEST_BYTES_MAX}");
            return Ok(Put::not_sent(refused(form, FORMS, reason)));
        }
        let json = Secret::new("application/json; charset=utf-8");
        let request = Request {
            method: Method::Post,
            url: &self.url,
            headers: vec![("content-type".into(), json)],
            body: Body::Bytes(signed.into()),
            timeout: self.common.timeout,
        };
        let answer = self.http.send(request).await?;
        let reading = Reading {
            form,
            forms: FORMS,
            now,
            sent: body,
            redactor: &self.redactor,
            patience: &self.patience,
            gone_if_not_found: true,
            any_receiver: false,
        };
        Ok(self.read(&answer, &reading))
    }

    fn read(&self, answer: &Answer, reading: &Reading<'_>) -> Put {
        let sent = |code: Option<i64>, outcome| {
            answered(
                answer,
                &self.redactor,
                code.map(|code| code.to_string()),
                outcome,
            )
        };
        let Some((code, msg)) = custom_bot::said(&answer.body) else {
            return Put::whole(sent(None, reading.by_status(answer)));
        };
        if code == 0 {
            if !answer.is_success() {
                return Put::whole(sent(Some(code), reading.by_status(answer)));
            }
            self.patience.restore();
            return Put::whole(sent(None, Outcome::Delivered));
        }
        self.patience.restore();
        let meaning = codes::meaning(code, &msg);
        let msg = msg.as_str();
        let refusal = Refusal { code, meaning, msg };
        let outcome = match meaning.class {
            Class::Stop(Cause::Signature) => self.bad_sign(answer, &refusal, reading),
            Class::Stop(Cause::Chat) => Outcome::Stop {
                reason: refusal.reason_saying(
                    "the bot cannot send to this chat (removed, switched off, or dissolved)",
                    reading,
                ),
            },
            _ => refusal.outcome(answer, reading),
        };
        Put {
            class: Some(meaning.class),
            sent: Sent {
                stale_images: meaning.class == Class::ImageKey,
                ..sent(Some(code), outcome)
            },
        }
    }

    /// Explains code 19021, which has three causes: no signature, a wrong clock, a wrong secret.
    fn bad_sign(&self, answer: &Answer, refusal: &Refusal<'_>, reading: &Reading<'_>) -> Outcome {
        let ahead = answer.clock_ahead_secs(reading.now).unwrap_or_default();
        let off = ahead.saturating_abs();
        let side = if ahead > 0 { "ahead" } else { "behind" };
        let clock = format!("this machine's clock is {off} s off ({side} of the platform's)");
        let says = if self.secret.is_none() {
            "the bot requires signed messages; set `secret`".to_owned()
        } else if off >= CLOCK_OFF_MAX_SECS {
            format!("the signature is refused because {clock}; set the clock")
        } else if off >= CLOCK_OFF_MIN_SECS {
            format!("the signature is refused; check `secret`; also, {clock}")
        } else {
            "the signature is refused; check `secret`".to_owned()
        };
        Outcome::Stop {
            reason: refusal.reason_saying(&says, reading),
        }
    }
}

/// The result of one request.
struct Put {
    sent: Sent,
    /// The class of the platform's code, if it refused.
    class: Option<Class>,
}

impl Put {
    const fn whole(sent: Sent) -> Self {
        Self { sent, class: None }
    }

    const fn not_sent(outcome: Outcome) -> Self {
        Self::whole(unsent(outcome))
    }
}

#[async_trait]
impl Destination for FeishuBot {
    fn common(&self) -> &Common {
        &self.common
    }

    fn kind(&self) -> &'static str {
        "feishu-bot"
    }

    fn forms(&self) -> &'static [Form] {
        FORMS
    }

    fn paces(&self) -> Vec<SharedPace> {
        paces(&self.url)
    }

    fn shows_images(&self) -> ShowsImages {
        match &self.images {
            Images::ByKey(app, _) => ShowsImages::ByKey(KeyOwner::App(app.clone())),
            Images::Plain(shows) => shows.clone(),
        }
    }

    async fn upload(&self, format: ImageFormat, bytes: Bytes) -> Result<String, ApiError> {
        match &self.images {
            Images::ByKey(_, uploader) => uploader.upload_image(format, bytes).await,
            Images::Plain(_) => Err(no_upload("feishu-bot without upload_images_as")),
        }
    }

    async fn send(&self, message: Message<'_>) -> Sent {
        let form = message.payload.form;
        let body = message.payload.with_links(message.link);
        let put = match self.put(&body, form, message.now).await {
            Ok(put) => put,
            Err(error) => return unanswered(&error, &self.redactor),
        };
        let Some(body) = unmentioned(put.class, &put.sent.outcome, &body) else {
            return put.sent;
        };
        // The message was refused and so is not in the chat. The people in it may be the cause.
        let mentions_refused = put.sent.outcome.reason().map(str::to_owned);
        let again = match self.put(&body, form, message.now).await {
            Ok(again) => again.sent,
            Err(error) => unanswered(&error, &self.redactor),
        };
        with_mentions_refused(put.sent, again, mentions_refused)
    }
}
