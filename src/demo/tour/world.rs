//! All fakes together, and people's actions on them: reports, clicks, failures.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::SetOnce;
use tokio::time::{Instant, sleep};

use super::chats::{CHANNEL, Chat, Condition, ONCALL, PRODUCT};
use super::folder::Folder;
use super::reports::{APP_ID, Made, Report};
use crate::demo::feishu::{CustomBot, EventKeys, FakeApp};
use crate::demo::slack::Workspace;
use crate::demo::{FakeFeishu, FakeReceiver, FakeSlack, PressError, feishu, slack};
use crate::model::{Clock, Secret, SystemClock, Timestamp};
use crate::net::{Answer, HttpClient};

/// How long Feishu's image URLs are valid: "图片 URL，有效期为 3 天".
const PICTURES_LAST: Duration = Duration::from_secs(3 * 24 * 3600);

/// The pause before an unacknowledged event is pushed again. Feishu waits 15 s, then longer; visitors do not.
const PUSH_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// The person who clicks on the page.
const YOU: (&str, &str) = ("ou_you", "U0VISITOR");

/// An event pushed to the relay, and the response.
#[derive(Clone, Debug)]
pub(super) struct Push {
    pub(super) pushed_at: Timestamp,
    pub(super) took: Duration,
    /// `None` if there was no response.
    pub(super) status: Option<u16>,
}

impl Push {
    fn is_acknowledged(&self) -> bool {
        self.status == Some(200)
    }
}

/// All fakes of the demo.
#[derive(Debug)]
pub(super) struct World {
    pub(super) feishu: FakeFeishu,
    pub(super) slack: FakeSlack,
    pub(super) receiver: FakeReceiver,
    http: HttpClient,
    keys: EventKeys,
    /// The relay's URL, once it listens.
    relay: SetOnce<String>,
    pushes: Mutex<BTreeMap<String, Vec<Push>>>,
    /// The image URLs of each event, in order.
    pictures: Mutex<BTreeMap<String, Vec<String>>>,
    conditions: Mutex<BTreeMap<Chat, Condition>>,
}

impl World {
    /// Starts the fakes. Their secrets and secret addresses are written to the folder.
    pub(super) async fn start(folder: &Folder, http: HttpClient) -> io::Result<Self> {
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
        // 32 letters are base64 of 24 bytes, the minimum of the specification.
        let key = secret("warehouse_secret", format!("whsec_{}", random()))?;
        Ok(Self {
            feishu,
            slack,
            receiver: FakeReceiver::start(&key).await?,
            http,
            keys,
            relay: SetOnce::new(),
            pushes: Mutex::default(),
            pictures: Mutex::default(),
            conditions: Mutex::default(),
        })
    }

    /// Sets the relay's URL. Only the first call has an effect.
    pub(super) fn connect(&self, relay: String) {
        self.relay.set(relay).ok(); // it may be set already
    }

    /// Returns the URL for the app's events, after waiting for the relay.
    async fn events_url(&self) -> Secret {
        Secret::new(format!("{}/apps/shop/events", self.relay.wait().await))
    }

    /// Makes a report: Feishu stores the images, lists the feedback and pushes the event.
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

    /// Pushes an event until the relay has acknowledged it.
    pub(super) async fn push(&self, event: &Value) {
        while !self.is_acknowledged(event).await {
            sleep(PUSH_AGAIN_AFTER).await;
        }
    }

    /// Pushes an event once. Returns whether the relay has acknowledged it.
    async fn is_acknowledged(&self, event: &Value) -> bool {
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
        let is_acknowledged = push.is_acknowledged();
        lock(&self.pushes)
            .entry(id.to_owned())
            .or_default()
            .push(push);
        is_acknowledged
    }

    /// Returns the ids of all events that the relay has acknowledged.
    pub(super) fn acknowledged(&self) -> Vec<String> {
        let pushes = lock(&self.pushes);
        let all = pushes
            .iter()
            .filter(|(_, of)| of.iter().any(Push::is_acknowledged));
        all.map(|(id, _)| id.clone()).collect()
    }

    /// Sends status changes to the relay, as Feishu does.
    pub(super) async fn push_updates(&self) {
        for event in self.feishu.take_feedback_updates() {
            self.push(&event).await;
        }
    }

    /// Clicks a button for the page and returns the relay's response.
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

    /// Returns when the image at this position was fetched.
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

    /// Sets the condition for every call that sends to the chat.
    pub(super) fn set_condition(&self, chat: Chat, condition: Condition) {
        let fault = chat.fault(condition);
        match chat {
            Chat::Oncall => {
                use feishu::Api;
                for api in [Api::CreateMessage, Api::ReplyMessage, Api::UpdateCard] {
                    self.feishu.faults().set_lasting(api, fault.clone());
                }
            }
            Chat::Product => {
                let faults = self.feishu.faults();
                faults.set_lasting(feishu::Api::CustomBot, fault);
            }
            Chat::Slack => {
                for api in [slack::Api::PostMessage, slack::Api::Update] {
                    self.slack.faults().set_lasting(api, fault.clone());
                }
            }
            Chat::Warehouse => self.receiver.faults().set_lasting((), fault),
        }
        lock(&self.conditions).insert(chat, condition);
    }
}

/// Returns 32 random letters.
fn random() -> String {
    format!("{:032x}", fastrand::u128(..))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
