//! Custom bots of groups; each has a URL and one chat. Source: doc "自定义机器人使用指南".
//!
//! They answer HTTP 200 to refused messages too; only the code says so.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{self, Path};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Api, FakeFeishu, Refused, State, answer, card, lock};
use crate::demo::server::with_fault;
use crate::feishu::custom_bot::{CLOCK_OFF_MAX_SECS, sign};
use crate::model::{Clock, Secret, SystemClock};

/// "100 次/分钟，5 次/秒" for each bot.
const PACES: [(usize, Duration); 2] = [(5, Duration::from_secs(1)), (100, Duration::from_secs(60))];
/// "请求体大小不能超过 20 KB".
const BYTES_MAX: usize = 20 * 1024;

/// A custom bot.
#[derive(Clone, Debug)]
pub struct CustomBot {
    /// The last part of its URL.
    pub id: String,
    /// The bot's chat, `oc_…`.
    pub chat: String,
    /// The secret that messages must be signed with. `None` if the bot checks no signature.
    pub secret: Option<Secret>,
    /// The keyword that each message must contain. `None` if the bot checks no keyword.
    pub keyword: Option<String>,
}

/// All bots, by the last part of their URL.
#[derive(Debug, Default)]
pub(super) struct Bots(Mutex<HashMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    bot: CustomBot,
    /// When messages were accepted within the longest rate window.
    taken: VecDeque<Instant>,
}

impl FakeFeishu {
    /// Adds a custom bot to a chat and returns its URL.
    pub fn add_bot(&self, bot: CustomBot) -> String {
        let url = format!("{}/open-apis/bot/v2/hook/{}", self.url(), bot.id);
        let kept = Kept {
            bot,
            taken: VecDeque::new(),
        };
        lock(&self.state.bots.0).insert(kept.bot.id.clone(), kept);
        url
    }
}

pub(super) fn routes() -> Router<Arc<State>> {
    Router::new().route("/open-apis/bot/v2/hook/{id}", post(take))
}

async fn take(
    extract::State(state): extract::State<Arc<State>>,
    Path(id): Path<String>,
    uri: Uri,
    body: Bytes,
) -> Response {
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    state.record(Api::CustomBot, uri.path(), message.clone());
    with_fault(state.faults.take(&Api::CustomBot), async {
        match state.take(&id, &message, body.len()) {
            Ok(()) => answer(
                StatusCode::OK,
                &json!({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"}),
            ),
            Err(No::Plain(refused)) => refused.into_response(),
            Err(No::Card(rule)) => answer(StatusCode::OK, &card::refusal(rule)),
        }
    })
    .await
}

/// Why a message is refused.
enum No {
    Plain(Refused),
    /// 230099, with the rule that the card breaks.
    Card(u32),
}

impl From<Refused> for No {
    fn from(refused: Refused) -> Self {
        Self::Plain(refused)
    }
}

const UNREADABLE: Refused = Refused::quiet(9499, "Bad Request");

impl State {
    fn take(&self, id: &str, message: &Value, bytes: usize) -> Result<(), No> {
        let bot = {
            let mut bots = lock(&self.bots.0);
            let unknown = Refused::quiet(
                19001,
                "param invalid: incoming webhook access token invalid",
            );
            let kept = bots.get_mut(id).ok_or(unknown)?;
            kept.pace()?;
            kept.bot.clone()
        };
        if bytes > BYTES_MAX || !message.is_object() {
            return Err(UNREADABLE.into());
        }
        bot.admit(message)?;
        let msg_type = message["msg_type"].as_str().unwrap_or_default();
        let content = self.said(msg_type, message)?;
        self.messages
            .post(&bot.chat, &bot.id, msg_type, content.clone());
        Ok(())
    }

    /// Returns the content of the message if the platform would show it.
    fn said<'m>(&self, msg_type: &str, message: &'m Value) -> Result<&'m Value, No> {
        let content = &message["content"];
        let good = match msg_type {
            "interactive" => {
                let card = &message["card"];
                let known = |key: &str| self.images.get(key).is_some();
                return match card::broken_rule(card, &known) {
                    Some(rule) => Err(No::Card(rule)),
                    None if card.is_object() => Ok(card),
                    None => Err(UNREADABLE.into()),
                };
            }
            "text" => content["text"].is_string(),
            "post" => content["post"].is_object(),
            _ => return Err(Refused::quiet(19002, "params error, msg_type need").into()),
        };
        if good {
            Ok(content)
        } else {
            Err(UNREADABLE.into())
        }
    }
}

impl Kept {
    /// Returns an error if the rate limit is reached.
    fn pace(&mut self) -> Result<(), Refused> {
        let now = Instant::now();
        let longest = PACES[PACES.len() - 1].1;
        self.taken.retain(|at| now.duration_since(*at) < longest);
        for (most, span) in PACES {
            let within = self
                .taken
                .iter()
                .filter(|at| now.duration_since(**at) < span);
            if within.count() >= most {
                return Err(Refused::quiet(
                    11232,
                    "frequency limited psm[lark.oapi.app_platform_runtime]",
                ));
            }
        }
        self.taken.push_back(now);
        Ok(())
    }
}

impl CustomBot {
    /// Checks the signature and the keyword.
    fn admit(&self, message: &Value) -> Result<(), Refused> {
        if let Some(secret) = &self.secret {
            let timestamp = message["timestamp"]
                .as_str()
                .and_then(|text| text.parse().ok());
            let fresh = timestamp
                .filter(|at: &i64| (SystemClock.now().as_secs() - at).abs() <= CLOCK_OFF_MAX_SECS);
            if !fresh.is_some_and(|at| message["sign"] == sign(secret, at).as_str()) {
                let msg = "sign match fail or timestamp is not within one hour from current time";
                return Err(Refused::quiet(19021, msg));
            }
        }
        match &self.keyword {
            Some(keyword) if !message.to_string().contains(keyword) => {
                Err(Refused::quiet(19024, "Key Words Not Found"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Body, HttpClient, Method, Request};

    const SECRET: &str = "demo";

    async fn bot() -> (FakeFeishu, Secret) {
        let feishu = FakeFeishu::start(Vec::new()).await.unwrap();
        let url = feishu.add_bot(CustomBot {
            id: "hook".into(),
            chat: "oc_room".into(),
            secret: Some(Secret::new(SECRET)),
            keyword: Some("反馈".into()),
        });
        (feishu, Secret::new(url))
    }

    /// Sends a message signed now and returns the code of the answer.
    async fn send(url: &Secret, mut message: Value) -> i64 {
        let now = SystemClock.now().as_secs();
        if message.get("sign").is_none() {
            message["timestamp"] = now.to_string().into();
            message["sign"] = sign(&Secret::new(SECRET), now).into();
        }
        let request = Request {
            method: Method::Post,
            url,
            headers: Vec::new(),
            body: Body::Bytes(message.to_string().into()),
            timeout: Duration::from_secs(5),
        };
        let answer = HttpClient::trusted(None).unwrap().send(request).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200);
        crate::feishu::custom_bot::said(&answer.body).unwrap().0
    }

    #[tokio::test]
    async fn accepted_message_appears_in_chat() {
        let (feishu, url) = bot().await;
        let text = json!({"msg_type": "text", "content": {"text": "反馈 1"}});
        let card = json!({"schema": "2.0", "body": {"elements": [{"tag": "markdown", "content": "反馈"}]}});
        assert_eq!(send(&url, text).await, 0);
        let interactive = json!({"msg_type": "interactive", "card": card});
        assert_eq!(send(&url, interactive).await, 0);
        let told = feishu.messages("oc_room");
        let told: Vec<_> = told
            .iter()
            .map(|one| (&*one.msg_type, &one.content))
            .collect();
        assert_eq!(
            told,
            [("text", &json!({"text": "反馈 1"})), ("interactive", &card)]
        );
    }

    #[tokio::test]
    async fn refused_message_gets_its_code() {
        let (feishu, url) = bot().await;
        let nowhere = Secret::new(format!("{}x", url.expose()));
        let unsigned =
            json!({"msg_type": "text", "content": {"text": "反馈"}, "timestamp": "1", "sign": "x"});
        let image = json!({"tag": "img", "img_key": "反馈"});
        let card = json!({"schema": "2.0", "body": {"elements": [image]}});
        for (url, message, code) in [
            (&nowhere, json!({}), 19001),
            (&url, unsigned, 19021),
            (
                &url,
                json!({"msg_type": "text", "content": {"text": "x"}}),
                19024,
            ),
            (&url, json!({"content": "反馈"}), 19002),
            (
                &url,
                json!({"msg_type": "interactive", "card": card}),
                230_099,
            ),
        ] {
            assert_eq!(send(url, message.clone()).await, code, "{message}");
        }
        assert!(feishu.messages("oc_room").is_empty());
    }

    #[tokio::test]
    async fn message_over_rate_limit_is_refused() {
        let (_feishu, url) = bot().await;
        let text = json!({"msg_type": "text", "content": {"text": "反馈"}});
        let mut codes = Vec::new();
        for _message in 0..6 {
            codes.push(send(&url, text.clone()).await);
        }
        assert_eq!(codes, [0, 0, 0, 0, 0, 11232]);
    }
}
