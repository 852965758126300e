//! The places that are told. One file per kind; each says what a send came to, none decides what follows.
//!
//! A destination is given a rendered [`Payload`], puts the links into it, signs it, sends it once and
//! reads the answer, status and body, as its platform means it. `answer` holds what all platforms
//! mean by a status; what is kept of its words, without the secrets in them, is `net`'s `Redactor`'s.

mod answer;
mod feishu_answer;
mod feishu_app;
mod feishu_bot;
mod file;
mod request;
mod slack_app;
mod slack_webhook;
mod splice;
#[cfg(test)]
pub(crate) mod tests;
mod unmentioned;
mod webhook;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::feishu::{ApiError, FeishuClient, To, Urgent};
use crate::model::{
    AppName, DeliveryId, DestinationName, Form, ImageFormat, ImageId, MessageHandle, Outcome,
    Secret, Timestamp,
};
use crate::net::HttpClient;
use crate::render::{Audience, Payload};

pub(crate) use file::takes_lines;
pub use request::Request;

/// At most `count` sends in `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many.
    pub count: u32,
    /// In which span.
    pub per: Duration,
}

impl RateLimit {
    /// How long sending so many takes at this pace, when it is used up.
    pub fn time_for(self, count: u64) -> Duration {
        let spans = count.div_ceil(u64::from(self.count.max(1)));
        self.per
            .saturating_mul(u32::try_from(spans).unwrap_or(u32::MAX))
    }
}

/// As people write it: `95/min`.
impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.per.as_millis() {
            1000 => write!(f, "{}/s", self.count),
            60_000 => write!(f, "{}/min", self.count),
            3_600_000 => write!(f, "{}/h", self.count),
            _ => write!(f, "{} in {:.1} s", self.count, self.per.as_secs_f64()),
        }
    }
}

/// The pace that makes so many messages wait the longest, and that time.
pub fn slowest(paces: &[RateLimit], waiting: u64) -> Option<(RateLimit, Duration)> {
    let times = paces.iter().map(|pace| (*pace, pace.time_for(waiting)));
    times.max_by_key(|(_, time)| *time)
}

/// A pace that the platform counts over several destinations together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPace {
    /// What is counted: all destinations that name it share one pace.
    pub key: String,
    /// The pace.
    pub pace: RateLimit,
}

/// What every kind takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// Its name in the configuration.
    pub name: DestinationName,
    /// Narrows the platform's own limit.
    pub rate: Option<RateLimit>,
    /// How many sends may be in flight.
    pub concurrency: usize,
    /// How long one send may take.
    pub timeout: Duration,
    /// The time spent trying before a delivery is given up.
    pub retry_for: Duration,
    /// Where a message goes when this destination is stopped or has given up.
    pub fallback: Option<DestinationName>,
    /// If critical, also when it has failed for so long.
    pub fallback_after: Option<Duration>,
    /// Its old names: what waits for them goes to it.
    pub was: Vec<DestinationName>,
    /// For whom messages are rendered.
    pub audience: Audience,
}

/// Whose keys of images are: a key is good for nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// A Feishu app.
    App(AppName),
    /// A bot of another platform, by a name that the same bot always has.
    Bot(String),
}

/// How a destination shows images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShowsImages {
    /// By a key that [`Destination::upload`] gets from the platform; keys belong to this owner.
    ByKey(KeyOwner),
    /// By a signed link of ours.
    ByLink,
    /// By the path in the archive.
    ByPath,
    /// Not at all; they are counted.
    No,
}

/// Where in a chat a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// It is a message of its own.
    New,
    /// Under this message, as a reply in its thread.
    Under(&'a MessageHandle),
    /// In the place of this message.
    Over(&'a MessageHandle),
}

/// What is sent, once.
pub struct Message<'a> {
    /// What to say.
    pub payload: &'a Payload,
    /// Where. Anything but [`Place::New`] only where the destination [keeps](Destination::keeps_handles) handles.
    pub place: Place<'a>,
    /// The key against doubles: the same for every attempt.
    pub key: DeliveryId,
    /// The time of this attempt.
    pub now: Timestamp,
    /// The open ids of Feishu's people whom it mentions: those a destination may ring about it.
    pub rings: &'a [String],
    /// Makes signed links of images.
    pub link: &'a (dyn Fn(&ImageId) -> String + Send + Sync),
}

/// What a send came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What the answer means.
    pub outcome: Outcome,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The platform's own code, if it has such.
    pub code: Option<String>,
    /// The beginning of the answer, at most [`crate::model::EXCERPT_BYTES_MAX`].
    pub excerpt: Option<String>,
    /// How the platform names the message that it took, where the destination keeps that.
    pub handle: Option<MessageHandle>,
    /// Whether an image's key was refused as not valid (any more): it is to be uploaded again.
    pub stale_images: bool,
    /// Why the platform refused the people whom the message mentions. It went without them, if it went.
    pub mentions_refused: Option<String>,
    /// Whether a page for people came where a receiver of our messages should be: it was taken for a yes.
    pub page: bool,
    /// What came of ringing people about the message, where that was to be done. The message itself
    /// was taken.
    pub rang: Option<Rang>,
}

/// What came of ringing people about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rang {
    /// So many people.
    People(usize),
    /// Not all of them, or nobody.
    Failed {
        /// Why, in words fit for a log.
        reason: String,
    },
}

/// A place that is told.
#[async_trait]
pub trait Destination: Send + Sync {
    /// What every kind takes.
    fn common(&self) -> &Common;

    /// The word for its kind in the configuration.
    fn kind(&self) -> &'static str;

    /// The forms it can be sent, richest first.
    fn forms(&self) -> &'static [Form];

    /// The platform's own limits on this destination alone.
    fn paces(&self) -> &'static [RateLimit];

    /// The platform's limits that it shares with other destinations.
    fn shared_paces(&self) -> Vec<SharedPace> {
        Vec::new()
    }

    /// How it shows images.
    fn shows_images(&self) -> ShowsImages;

    /// Whether it recognises a repeat by the message's key, so that a lost answer may be asked for again
    /// at once.
    fn recognises_repeats(&self) -> bool {
        false
    }

    /// Whether its messages can be answered in a thread and changed later, by the handle that
    /// [`Sent::handle`] carries.
    fn keeps_handles(&self) -> bool {
        false
    }

    /// Gives the platform an image and gets the key it is shown by. Only where
    /// [`shows_images`](Self::shows_images) is [`ShowsImages::ByKey`].
    async fn upload(&self, format: ImageFormat, bytes: Bytes) -> Result<String, ApiError>;

    /// Sends a message once and says what came of it.
    async fn send(&self, message: Message<'_>) -> Sent;
}

/// What in a receiver's answer says that it took a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// Where it stands in the JSON (RFC 6901), e.g. `/errcode`.
    pub pointer: String,
    /// What must stand there.
    pub equals: serde_json::Value,
}

/// What each kind takes beyond the common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindSettings {
    /// A Feishu group's custom bot.
    FeishuBot {
        /// Its URL, which is its secret.
        url: Secret,
        /// Signs messages, if the bot demands it.
        secret: Option<Secret>,
        /// Whose credentials turn images into keys.
        upload_images_as: Option<AppName>,
    },
    /// An app's own bot in Feishu.
    FeishuApp {
        /// Who speaks.
        app: AppName,
        /// Where.
        to: To,
        /// Whether, and how, the mentioned are rung.
        urgent: Option<Urgent>,
        /// Whether its cards carry buttons.
        buttons: bool,
    },
    /// A Slack incoming webhook.
    SlackWebhook {
        /// Its URL, which is its secret.
        url: Secret,
    },
    /// A Slack app's bot.
    SlackApp {
        /// Speaks as the bot, `xoxb-…`.
        token: Secret,
        /// Tells Slack's clicks on buttons from others'.
        signing_secret: Option<Secret>,
        /// Where it speaks: `C…`, `G…` or `D…`.
        channel: String,
        /// Whether its messages carry buttons. Only with a signing secret.
        buttons: bool,
        /// Where the Web API is, without a trailing slash.
        base_url: String,
    },
    /// Standard Webhooks.
    Webhook {
        /// Where to.
        url: Secret,
        /// Signing secrets, newest first; empty: unsigned.
        secrets: Vec<Secret>,
        /// The operator's own headers.
        headers: Vec<(String, Secret)>,
        /// What in the answer says yes; `None`: any 2xx.
        success: Option<Success>,
    },
    /// JSON lines in a file.
    File {
        /// Which.
        path: std::path::PathBuf,
    },
}

impl KindSettings {
    /// The word for the kind in the configuration.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::FeishuBot { .. } => "feishu-bot",
            Self::FeishuApp { .. } => "feishu-app",
            Self::SlackWebhook { .. } => "slack-webhook",
            Self::SlackApp { .. } => "slack-app",
            Self::Webhook { .. } => "webhook",
            Self::File { .. } => "file",
        }
    }

    /// Whether its messages carry buttons: where clicks come back to us, and the operator wants them.
    pub const fn has_buttons(&self) -> bool {
        match self {
            Self::FeishuApp { buttons, .. } | Self::SlackApp { buttons, .. } => *buttons,
            Self::FeishuBot { .. }
            | Self::SlackWebhook { .. }
            | Self::Webhook { .. }
            | Self::File { .. } => false,
        }
    }
}

/// A checked `[destinations.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What every kind takes.
    pub common: Common,
    /// Reaches the destination through this proxy; may hold a password.
    pub proxy: Option<Secret>,
    /// What its kind takes.
    pub kind: KindSettings,
    /// Whether images can be linked to: `server.public_url` is set.
    pub links: bool,
}

impl Settings {
    /// All rates that hold for it: the platform's and the configured one.
    pub fn paces(&self) -> Vec<RateLimit> {
        let of_kind = match &self.kind {
            KindSettings::FeishuBot { .. } => feishu_bot::PACES,
            KindSettings::FeishuApp { .. } => &[
                feishu_app::PER_CHAT,
                feishu_app::PER_APP,
                feishu_app::PER_APP_MINUTE,
            ],
            KindSettings::SlackWebhook { .. } => slack_webhook::PACES,
            KindSettings::SlackApp { .. } => &[slack_app::PER_CHANNEL],
            KindSettings::Webhook { .. } | KindSettings::File { .. } => &[],
        };
        of_kind.iter().copied().chain(self.common.rate).collect()
    }

    /// The app of `[apps]` that it speaks to the platform as, if it does.
    pub const fn speaks_as(&self) -> Option<&AppName> {
        match &self.kind {
            KindSettings::FeishuBot {
                upload_images_as, ..
            } => upload_images_as.as_ref(),
            KindSettings::FeishuApp { app, .. } => Some(app),
            KindSettings::SlackWebhook { .. }
            | KindSettings::SlackApp { .. }
            | KindSettings::Webhook { .. }
            | KindSettings::File { .. } => None,
        }
    }
}

/// A destination's settings cannot work.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A signing secret is no key.
    #[error(
        "destination {name}: secret number {number} is not `whsec_` and the key in base64 \
         (24 to 64 bytes by Standard Webhooks)"
    )]
    Key {
        /// Which destination.
        name: DestinationName,
        /// Which secret, counted from 1.
        number: usize,
    },
    /// A header that the relay sets itself.
    #[error("destination {name}: the header {header} is set by the relay itself")]
    ReservedHeader {
        /// Which destination.
        name: DestinationName,
        /// Which header.
        header: String,
    },
    /// A header that HTTP cannot carry.
    #[error(
        "destination {name}: the header {header:?} has a name or a value that HTTP does not allow"
    )]
    BadHeader {
        /// Which destination.
        name: DestinationName,
        /// Which header.
        header: String,
    },
    /// Images are to be uploaded, and nobody was given who can.
    #[error("destination {name}: the app {app} of `upload_images_as` cannot upload pictures")]
    NoUploader {
        /// Which destination.
        name: DestinationName,
        /// Which app.
        app: AppName,
    },
    /// The app that speaks cannot.
    #[error("destination {name}: there is no app {app} with an `app_secret` to speak as")]
    NoSpeaker {
        /// Which destination.
        name: DestinationName,
        /// Which app.
        app: AppName,
    },
}

/// Makes a destination that sends over `http`, which goes through [`Settings::proxy`] where there is
/// one. `client` speaks as the app of [`Settings::speaks_as`]. Touches neither network nor disk.
pub fn build(
    settings: &Settings,
    http: HttpClient,
    client: Option<FeishuClient>,
) -> Result<Arc<dyn Destination>, BuildError> {
    let common = settings.common.clone();
    let proxy = settings.proxy.as_ref();
    Ok(match &settings.kind {
        KindSettings::FeishuBot {
            url,
            secret,
            upload_images_as,
        } => {
            let images = feishu_bot::Images::of(settings, upload_images_as.as_ref(), client)?;
            let (url, secret) = (url.clone(), secret.clone());
            Arc::new(feishu_bot::FeishuBot::new(
                common, http, url, secret, images, proxy,
            ))
        }
        KindSettings::FeishuApp {
            app, to, urgent, ..
        } => {
            let client = client.ok_or_else(|| BuildError::NoSpeaker {
                name: common.name.clone(),
                app: app.clone(),
            })?;
            let to = to.clone();
            Arc::new(feishu_app::FeishuApp::new(common, client, to, *urgent))
        }
        KindSettings::SlackWebhook { url } => {
            let url = url.clone();
            Arc::new(slack_webhook::SlackWebhook::new(
                common,
                http,
                url,
                settings.links,
                proxy,
            ))
        }
        KindSettings::SlackApp {
            token,
            channel,
            base_url,
            ..
        } => {
            let (token, channel) = (token.clone(), channel.clone());
            Arc::new(slack_app::SlackApp::new(
                common, http, base_url, token, channel, proxy,
            ))
        }
        KindSettings::Webhook {
            url,
            secrets,
            headers,
            success,
        } => {
            let given = webhook::Given {
                url,
                secrets,
                headers,
                success: success.as_ref(),
                links: settings.links,
                proxy,
            };
            Arc::new(webhook::Webhook::build(common, http, &given)?)
        }
        KindSettings::File { path } => Arc::new(file::JsonLines::new(common, path.clone())),
    })
}

/// How images are shown where the platform fetches them by address.
const fn by_link(links: bool) -> ShowsImages {
    if links {
        ShowsImages::ByLink
    } else {
        ShowsImages::No
    }
}

/// What a kind without uploads answers to one.
fn no_upload(kind: &str) -> ApiError {
    ApiError::Rejected {
        reason: format!("a {kind} destination takes no uploads"),
    }
}
