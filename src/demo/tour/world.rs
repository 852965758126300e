//! The stand-ins together, and what people do with them: report, press buttons, break things.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::SetOnce;
use tokio::time::Instant;

use super::chats::{CHANNEL, Chat, Condition, ONCALL, PRODUCT};
use super::folder::Folder;
use super::reports::{APP_ID, Made, Report};
use crate::demo::feishu::{CustomBot, EventKeys, FakeApp};
use crate::demo::slack::Workspace;
use crate::demo::{FakeFeishu, FakeReceiver, FakeSlack, PressError, feishu, slack};
use crate::model::{Clock, Secret, SystemClock, Timestamp};
use crate::net::{Answer, HttpClient};

/// How long Feishu's URLs of images last: "图片 URL，有效期为 3 天".
const PICTURES_LAST: Duration = Duration::from_secs(3 * 24 * 3600);

/// Who presses buttons on the page.
const YOU: (&str, &str) = ("ou_you", "U0VISITOR");

/// An event on its way to the relay, and what it was answered.
#[derive(Clone, Debug)]
pub(super) struct Push {
    pub(super) pushed_at: Timestamp,
    pub(super) took: Duration,
    /// `None`: no answer came.
    pub(super) status: Option<u16>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct World {
    pub(super) feishu: FakeFeishu,
    pub(super) slack: FakeSlack,
    pub(super) receiver: FakeReceiver,
    http: HttpClient,
    keys: EventKeys,
    /// Where the relay is, once it listens.
    relay: SetOnce<String>,
    pushes: Mutex<BTreeMap<String, Vec<Push>>>,
    /// Where the images of each event are, in order.
    pictures: Mutex<BTreeMap<String, Vec<String>>>,
    conditions: Mutex<BTreeMap<Chat, Condition>>,
}

impl World {
    /// Starts the stand-ins. Their secrets, and the addresses that are secrets, go into the folder.
    pub(super) async fn start(folder: &Folder) -> io::Result<Self> {
        let secret = |name: &str, value: String| -> io::Result<Secret> {
            folder.write(&format!("secrets/{name}"), &value)?;
            Ok(Secret::new(value))
        };
        let keys = EventKeys {
            encrypt_key: Some(secret("encrypt_key", random())?),
            verification_token: Some(secret("verification_token", random())?),
        };
        let app = FakeApp {
            app_id: APP_ID.into(),
            app_secret: secret("app_secret", random())?.expose().into(),
        };
        let feishu = FakeFeishu::start(vec![app]).await?;
        feishu.open_chat(ONCALL);
        let bot = CustomBot {
            id: random(),
            chat: PRODUCT.into(),
            secret: Some(secret("product_bot_secret", random())?),
            keyword: None,
        };
        secret("product_bot_url", feishu.add_bot(bot))?;
        let (token, signing) = (format!("xoxb-{}", random()), random());
        let slack = FakeSlack::start(Workspace::new(&token, &signing, CHANNEL)).await?;
        secret("slack_token", token)?;
        secret("slack_signing_secret", signing)?;
        // 32 letters are base64 of 24 bytes, the least that the specification takes.
        let key = secret("warehouse_secret", format!("whsec_{}", random()))?;
        Ok(Self {
            feishu,
            slack,
            receiver: FakeReceiver::start(&key).await?,
            http: HttpClient::trusted(None).map_err(io::Error::other)?,
            keys,
            relay: SetOnce::new(),
            pushes: Mutex::default(),
            pictures: Mutex::default(),
            conditions: Mutex::default(),
        })
    }

    /// From now on there is a relay at this URL. Only the first call counts.
    pub(super) fn connect(&self, relay: String) {
        self.relay.set(relay).ok(); // it is there already
    }

    /// Where the app's events go, as soon as there is a relay.
    async fn events_url(&self) -> Secret {
        Secret::new(format!("{}/apps/shop/events", self.relay.wait().await))
    }

    /// Somebody reports: Feishu keeps the images, lists the feedback and pushes the event.
    pub(super) async fn report(&self, report: &Report) -> Made {
        let host =
            |bytes: &axum::body::Bytes| self.feishu.host_picture(bytes.clone(), PICTURES_LAST);
        let urls: Vec<String> = report.pictures.iter().map(host).collect();
        let made = report.event(SystemClock.now(), &urls);
        lock(&self.pictures).insert(made.id.clone(), urls);
        let mut listed = made.event["event"].clone();
        listed["status"] = 0.into();
        self.feishu.list_feedback(listed);
        self.push(&made.event).await;
        made
    }

    /// Pushes an event, as often as it is called.
    pub(super) async fn push(&self, event: &Value) {
        let id = event["header"]["event_id"].as_str().unwrap_or_default();
        let url = self.events_url().await;
        let (pushed_at, begun) = (SystemClock.now(), Instant::now());
        let answer = self
            .feishu
            .push_http(&self.http, &url, &self.keys, event)
            .await;
        let push = Push {
            pushed_at,
            took: begun.elapsed(),
            status: answer.ok().map(|answer| answer.status),
        };
        lock(&self.pushes)
            .entry(id.to_owned())
            .or_default()
            .push(push);
    }

    /// Tells the relay of statuses that changed, as Feishu does.
    pub(super) async fn push_updates(&self) {
        for event in self.feishu.take_feedback_updates() {
            self.push(&event).await;
        }
    }

    /// Presses a button on the page's behalf; what the relay answers.
    pub(super) async fn press(
        &self,
        chat: Chat,
        message: &str,
        button: &str,
    ) -> Result<Answer, PressError> {
        match chat {
            Chat::Slack => {
                let url = format!("{}/destinations/slack/actions", self.relay.wait().await);
                let press = slack::Press {
                    channel: CHANNEL,
                    ts: message,
                    action_id: button,
                    user: YOU.1,
                    user_name: "you",
                };
                self.slack
                    .press_button(&url, &press, SystemClock.now())
                    .await
            }
            Chat::Oncall => {
                let press = feishu::Press {
                    message,
                    button,
                    open_id: YOU.0,
                };
                let url = self.events_url().await;
                self.feishu
                    .press_button(&self.http, &url, &self.keys, press)
                    .await
            }
            Chat::Product | Chat::Warehouse => Err(PressError::NoButton),
        }
    }

    pub(super) fn pushes(&self, event: &str) -> Vec<Push> {
        lock(&self.pushes).get(event).cloned().unwrap_or_default()
    }

    /// When the image of this place was fetched.
    pub(super) fn fetched_at(&self, event: &str, ordinal: usize) -> Option<Timestamp> {
        let pictures = lock(&self.pictures);
        let url = pictures.get(event)?.get(ordinal)?;
        self.feishu.picture_fetched_at(url)
    }

    pub(super) fn condition(&self, chat: Chat) -> Condition {
        lock(&self.conditions)
            .get(&chat)
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn set_condition(&self, chat: Chat, condition: Condition) {
        chat.set(condition, self);
        lock(&self.conditions).insert(chat, condition);
    }
}

/// 32 letters that nobody guesses.
fn random() -> String {
    format!("{:032x}", fastrand::u128(..))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
