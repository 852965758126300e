//! The destinations of messages, one file per kind. Each returns the outcome of a send and does not decide the
//! next step.
//!
//! A destination takes a rendered [`Payload`], inserts the links, signs it and sends it once. Then it reads the
//! answer, status and body, as its platform defines them. `answer` holds what a status means on all platforms.
//! The `Redactor` of `net` removes secrets from the parts of an answer that are kept.

mod answer;
mod feishu_answer;
mod feishu_app;
mod feishu_bot;
mod file;
mod foreign_body;
mod request;
mod slack_app;
mod slack_webhook;
mod splice;
#[cfg(test)]
pub(crate) mod tests;
mod unmentioned;
mod webhook;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::feishu::{ApiError, FeishuClient, To, Urgent};
use crate::model::{
    AppName, DeliveryId, DestinationName, Form, ImageFormat, ImageId, MessageHandle, Outcome,
    Secret, Timestamp,
};
use crate::net::HttpClient;
use crate::render::{Audience, Family, Payload};
use crate::slack::SlackClient;

pub(crate) use file::takes_lines;
pub use request::Request;

/// A rate limit: at most `count` sends in `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// The number of sends.
    pub count: u32,
    /// The length of the window.
    pub per: Duration,
}

impl RateLimit {
    /// Returns how long sending `count` messages takes once the limit is used up.
    pub fn time_for(self, count: u64) -> Duration {
        let full = u64::from(self.count.max(1));
        let spans = count.saturating_sub(full).div_ceil(full);
        self.per
            .saturating_mul(u32::try_from(spans).unwrap_or(u32::MAX))
    }
}

/// Formats the limit for people: `95/min`.
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

/// The rate limits of each destination.
pub type Paces = BTreeMap<DestinationName, Vec<SharedPace>>;

/// Estimates how long the waiting messages of each destination take. `waiting` has their numbers. Returns the
/// limit that delays them the longest, and that time. Destinations that share a limit send in turns.
pub fn waits(
    paces: &Paces,
    waiting: &BTreeMap<DestinationName, u64>,
) -> BTreeMap<DestinationName, (RateLimit, Duration)> {
    let mut sharing: HashMap<&PaceKey, Vec<u64>> = HashMap::new();
    for (name, count) in waiting {
        let keys: HashSet<_> = paces
            .get(name)
            .into_iter()
            .flatten()
            .map(|one| &one.key)
            .collect();
        for key in keys {
            sharing.entry(key).or_default().push(*count);
        }
    }
    let wait = |(name, count): (&DestinationName, &u64)| {
        let times = paces.get(name)?.iter().map(|one| {
            let turns = sharing.get(&one.key).into_iter().flatten();
            let messages = turns.map(|other| other.min(count)).sum();
            (one.pace, one.pace.time_for(messages))
        });
        Some((name.clone(), times.max_by_key(|(_, time)| *time)?))
    };
    waiting.iter().filter_map(wait).collect()
}

/// A rate limit. It counts everything that is sent to one bot, to one chat or by one app, from all destinations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedPace {
    /// What the platform counts together: all destinations with this key share the limit.
    pub key: PaceKey,
    /// The rate limit.
    pub pace: RateLimit,
}

impl SharedPace {
    /// Returns one shared limit for each of `paces`, all with this key.
    fn all(key: &PaceKey, paces: &[RateLimit]) -> impl Iterator<Item = Self> {
        paces.iter().map(|pace| Self {
            key: key.clone(),
            pace: *pace,
        })
    }
}

/// Identifies what a platform counts together. It is a hash, because a URL or a token can be a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PaceKey([u8; 32]);

impl PaceKey {
    /// Returns the key of these parts.
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part.as_bytes());
            hash.update(b"\0");
        }
        Self(hash.finalize().into())
    }

    /// Returns the key of the receiver at `url`, which may be spelled in several ways.
    fn of_url(url: &Secret) -> Self {
        let parsed = url::Url::parse(url.expose()).map(|mut url| {
            url.set_fragment(None);
            url.to_string()
        });
        let plain = parsed.as_deref().unwrap_or_else(|_| url.expose());
        Self::of(&["url", plain.trim_end_matches('/')])
    }
}

/// Settings that every kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// Its name in the configuration.
    pub name: DestinationName,
    /// The configured rate limit, in addition to the platform's; `None`: only the platform's applies.
    pub rate: Option<RateLimit>,
    /// The number of sends that may be in flight.
    pub concurrency: usize,
    /// The time limit of one send.
    pub timeout: Duration,
    /// The time limit for trying, after which a delivery is dead.
    pub retry_for: Duration,
    /// Receives the messages of this destination when it is stopped or a delivery is dead; `None`: no
    /// rerouting.
    pub fallback: Option<DestinationName>,
    /// Critical messages are also rerouted after this destination has failed for this long; `None`: never.
    pub fallback_after: Option<Duration>,
    /// Messages that have waited for this long become one summary for each rule; `None`: never.
    pub stale_after: Option<Duration>,
    /// Its old names. Deliveries that wait under an old name move to this destination.
    pub was: Vec<DestinationName>,
    /// The audience for which messages are rendered.
    pub audience: Audience,
}

/// The owner of image keys. Only the owner can use a key.
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
    /// By a link that the relay signs.
    ByLink,
    /// By the path in the archive.
    ByPath,
    /// Images are counted, not shown.
    No,
}

/// Where in a chat a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// As a new message.
    New,
    /// As a reply in the thread of this message.
    Under(&'a MessageHandle),
    /// As an update of this message.
    Over(&'a MessageHandle),
}

/// A message that is sent once.
pub struct Message<'a> {
    /// The rendered content.
    pub payload: &'a Payload,
    /// Where in the chat. Other values than [`Place::New`] are used only if the destination
    /// [keeps](Destination::keeps_handles) handles.
    pub place: Place<'a>,
    /// The idempotency key: the same for every attempt.
    pub key: DeliveryId,
    /// The time of this attempt.
    pub now: Timestamp,
    /// The Feishu open ids of the people that the message mentions. They may receive urgent notifications.
    pub rings: &'a [String],
    /// Signs links to images.
    pub link: &'a (dyn Fn(&ImageId) -> String + Send + Sync),
}

/// The result of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// What the answer means.
    pub outcome: Outcome,
    /// The HTTP status; `None` if there was no answer.
    pub status: Option<u16>,
    /// The platform's own code; `None` if it has none.
    pub code: Option<String>,
    /// The beginning of the answer, at most [`crate::model::EXCERPT_BYTES_MAX`].
    pub excerpt: Option<String>,
    /// The platform's id of the accepted message, where the destination keeps that.
    pub handle: Option<MessageHandle>,
    /// Whether an image key was refused as not valid (any more), so that the image has to be uploaded again.
    pub stale_images: bool,
    /// Whether the message to edit was recalled, or is too old to be edited. The platforms expect that.
    pub uneditable: bool,
    /// Why the platform refused the people that the message mentions. The message was then sent without
    /// mentions.
    pub mentions_refused: Option<String>,
    /// Whether the address of a receiver answered with an HTML page, which counted as a success.
    pub page: bool,
    /// The result of urgent notifications, if any were due. The message itself was accepted.
    pub rang: Option<Rang>,
}

/// The result of urgent notifications about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rang {
    /// This many people were notified.
    People(usize),
    /// Some or all notifications failed.
    Failed {
        /// The reason, in words fit for a log.
        reason: String,
    },
}

/// A destination of messages.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Returns the settings that every kind has.
    fn common(&self) -> &Common;

    /// Returns the name of its kind in the configuration.
    fn kind(&self) -> &'static str;

    /// Returns the forms that it supports, richest first.
    fn forms(&self) -> &'static [Form];

    /// Returns the platform's limits, which it may share with other destinations.
    fn paces(&self) -> Vec<SharedPace> {
        Vec::new()
    }

    /// Returns how it shows images.
    fn shows_images(&self) -> ShowsImages;

    /// Returns whether it recognises a repeat by the message's key. A send whose answer was lost may then be
    /// repeated at once.
    fn recognises_repeats(&self) -> bool {
        false
    }

    /// Returns whether its messages can be replied to in a thread and updated later, by the handle in
    /// [`Sent::handle`].
    fn keeps_handles(&self) -> bool {
        false
    }

    /// Uploads an image and returns the platform's key for it. Only where [`shows_images`](Self::shows_images)
    /// is [`ShowsImages::ByKey`].
    async fn upload(&self, _format: ImageFormat, _bytes: Bytes) -> Result<String, ApiError> {
        Err(no_upload(self.kind()))
    }

    /// Sends a message once and returns the result.
    async fn send(&self, message: Message<'_>) -> Sent;
}

/// The part of a receiver's answer that says whether it accepted a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// The position in the JSON (RFC 6901), e.g. `/errcode`.
    pub pointer: String,
    /// The value that means success.
    pub equals: serde_json::Value,
}

/// Settings of each kind beyond the common ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindSettings {
    /// A custom bot of a Feishu group.
    FeishuBot {
        /// Its URL, which is its secret.
        url: Secret,
        /// Signs messages; `None` if the bot does not require signatures.
        secret: Option<Secret>,
        /// The app whose credentials upload images; `None`: images are not uploaded.
        upload_images_as: Option<AppName>,
    },
    /// An app's own bot in Feishu.
    FeishuApp {
        /// The app that sends.
        app: AppName,
        /// The chat or person that receives.
        to: To,
        /// How mentioned people receive urgent notifications; `None`: they do not.
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
        /// The token of the bot, `xoxb-…`.
        token: Secret,
        /// Verifies that button actions come from Slack; `None`: there are no buttons.
        signing_secret: Option<Secret>,
        /// The channel that receives: `C…`, `G…` or `D…`.
        channel: String,
        /// Whether its messages carry buttons, which need a signing secret.
        buttons: bool,
        /// The address of the Web API, without a trailing slash.
        base_url: String,
    },
    /// A receiver of Standard Webhooks.
    Webhook {
        /// The URL that messages are sent to.
        url: Secret,
        /// Signing secrets, newest first; empty: unsigned.
        secrets: Vec<Secret>,
        /// The operator's own headers.
        headers: Vec<(String, Secret)>,
        /// The value in the answer that means success; `None`: any 2xx.
        success: Option<Success>,
    },
    /// JSON lines in a file.
    File {
        /// Path of the file.
        path: std::path::PathBuf,
    },
}

impl KindSettings {
    /// Returns the name of the kind in the configuration.
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

    /// Returns whether its messages can be replied to in a thread and updated later. See
    /// [`Destination::keeps_handles`].
    pub const fn keeps_handles(&self) -> bool {
        matches!(self, Self::FeishuApp { .. } | Self::SlackApp { .. })
    }

    /// Returns whether its messages carry buttons: actions reach the relay, and the operator wants them.
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
    /// Settings that every kind has.
    pub common: Common,
    /// The proxy for this destination; may hold a password. `None`: the proxy of the configuration
    /// applies.
    pub proxy: Option<Secret>,
    /// Settings of its kind.
    pub kind: KindSettings,
    /// Whether images can be linked to: `server.public_url` is set.
    pub links: bool,
}

impl Settings {
    /// Returns all rate limits that apply: the platform's, and the configured one, which it shares with none.
    pub fn paces(&self) -> Vec<SharedPace> {
        let mut paces = match &self.kind {
            KindSettings::FeishuBot { url, .. } => feishu_bot::paces(url),
            KindSettings::FeishuApp { app, to, .. } => feishu_app::paces(app, to),
            KindSettings::SlackWebhook { url } => slack_webhook::paces(url),
            KindSettings::SlackApp {
                token,
                channel,
                base_url,
                ..
            } => slack_app::paces(&SlackClient::owner_of(base_url, token), channel),
            KindSettings::Webhook { .. } | KindSettings::File { .. } => Vec::new(),
        };
        let own = PaceKey::of(&["destination", self.common.name.as_str()]);
        paces.extend(SharedPace::all(&own, self.common.rate.as_slice()));
        paces
    }

    /// Returns whether it is for programs, which get every event at once.
    pub fn is_for_programs(&self) -> bool {
        self.common.audience.family == Family::Webhook
    }

    /// Returns the app of `[apps]` as which it calls the platform, if any.
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

/// Why a destination's settings cannot work.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A signing secret is not a valid key.
    #[error(
        "destination {name}: secret number {number} is not `whsec_` and the key in base64 \
         (24 to 64 bytes by Standard Webhooks)"
    )]
    Key {
        /// Name of the destination.
        name: DestinationName,
        /// Number of the secret, counted from 1.
        number: usize,
    },
    /// A header that the relay sets itself.
    #[error("destination {name}: the header {header} is set by the relay itself")]
    ReservedHeader {
        /// Name of the destination.
        name: DestinationName,
        /// Name of the header.
        header: String,
    },
    /// A header that HTTP cannot carry.
    #[error(
        "destination {name}: the header {header:?} has a name or a value that HTTP does not allow"
    )]
    BadHeader {
        /// Name of the destination.
        name: DestinationName,
        /// Name of the header.
        header: String,
    },
    /// Images have to be uploaded, but no client for uploads was given.
    #[error("destination {name}: the app {app} of `upload_images_as` cannot upload images")]
    NoUploader {
        /// Name of the destination.
        name: DestinationName,
        /// Name of the app.
        app: AppName,
    },
    /// No client was given for the app that sends.
    #[error("destination {name}: there is no app {app} with an `app_secret`")]
    NoSpeaker {
        /// Name of the destination.
        name: DestinationName,
        /// Name of the app.
        app: AppName,
    },
}

/// Builds a destination that sends over `http`, which uses [`Settings::proxy`] if that is set. `client` calls
/// the platform as the app of [`Settings::speaks_as`]. Uses neither network nor disk.
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

/// Returns how images are shown where the platform fetches them by URL.
const fn by_link(links: bool) -> ShowsImages {
    if links {
        ShowsImages::ByLink
    } else {
        ShowsImages::No
    }
}

/// Returns the error of an upload to a kind that does not support uploads.
fn no_upload(kind: &str) -> ApiError {
    ApiError::Rejected {
        reason: format!("a {kind} destination takes no uploads"),
    }
}
