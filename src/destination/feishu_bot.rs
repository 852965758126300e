//! A Feishu or Lark group's custom bot. Source: doc "自定义机器人使用指南".
//!
//! The URL is the secret. The bot answers HTTP 200 even to what it refuses: the code in the body
//! counts ([`code`]). It knows no key against doubles, takes 20 KB, and shows pictures by keys that an
//! app of the same tenant uploaded.

mod code;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::answer::{answered, refused, unanswered, unsent};
use super::excerpt::Redactor;
use super::splice::splice;
use super::{
    BuildError, Common, Destination, KeyOwner, Message, Pace, Sent, Settings, ShowsImages, by_link,
    no_upload,
};
use crate::feishu::bot::sign;
use crate::feishu::{ApiError, FeishuClient, bot};
use crate::model::{AppName, Form, ImageFormat, Outcome, Secret};
use crate::net::{Body, HttpClient, Method, Request};

const FORMS: &[Form] = &[Form::Full, Form::NoImages, Form::Post, Form::Text];

/// A little below "100 次/分钟，5 次/秒" for each bot, so that none is refused: the platform counts arrivals.
const PACES: &[Pace] = &[
    Pace {
        count: 4,
        per: Duration::from_secs(1),
    },
    Pace {
        count: 95,
        per: Duration::from_secs(60),
    },
];

/// The largest request a bot takes.
const REQUEST_BYTES_MAX: usize = 20 * 1024;

/// How a bot gets to show pictures.
pub(super) enum Images {
    /// An app of the same tenant turns them into keys.
    ByKey(AppName, FeishuClient),
    /// It cannot: a link is shown, or the count.
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

/// See the module.
pub(super) struct FeishuBot {
    common: Common,
    http: HttpClient,
    url: Secret,
    secret: Option<Secret>,
    images: Images,
    redactor: Redactor,
}

impl FeishuBot {
    pub(super) fn new(
        common: Common,
        http: HttpClient,
        url: Secret,
        secret: Option<Secret>,
        images: Images,
    ) -> Self {
        Self {
            redactor: Redactor::new(&url, &secret, []),
            common,
            http,
            url,
            secret,
            images,
        }
    }

    /// The request's body: the message, signed for this attempt if the bot has a secret.
    fn request_body(&self, message: &Message<'_>) -> Option<String> {
        let body = message.payload.with_links(message.link);
        let Some(secret) = &self.secret else {
            return Some(body);
        };
        let timestamp = message.now.as_secs();
        let sign = sign(secret, timestamp);
        splice(
            &body,
            &format!(r#""timestamp":"{timestamp}","sign":"{sign}""#),
        )
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

    fn paces(&self) -> &'static [Pace] {
        PACES
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
        let Some(body) = self.request_body(&message) else {
            let reason = "the message is not a JSON object".into();
            return unsent(refused(form, FORMS, reason));
        };
        if body.len() > REQUEST_BYTES_MAX {
            let reason = format!(
                "not sent: {} bytes, and a bot takes {REQUEST_BYTES_MAX}",
                body.len()
            );
            return unsent(refused(form, FORMS, reason));
        }
        let json = Secret::new("application/json; charset=utf-8");
        let request = Request {
            method: Method::Post,
            url: &self.url,
            headers: vec![("content-type".into(), json)],
            body: Body::Bytes(body.into()),
            timeout: self.common.timeout,
        };
        let asked = code::Asked {
            form,
            now: message.now,
            signed: self.secret.is_some(),
        };
        match self.http.send(request).await {
            Ok(answer) => {
                let code = bot::code(&answer.body);
                let outcome = asked.outcome(&answer, code);
                let stale_images = code::names_stale_image(&answer.body, code);
                let code = code.filter(|_| outcome != Outcome::Delivered);
                let code = code.map(|c| c.to_string());
                Sent {
                    stale_images,
                    ..answered(&answer, &self.redactor, code, outcome)
                }
            }
            Err(error) => unanswered(&error, &self.redactor),
        }
    }
}
