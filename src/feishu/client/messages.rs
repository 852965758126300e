//! Messages of an app's own bot: the calls that make, answer, change and ring them, and what their
//! answers say. Sources: doc "发送消息", "回复消息", "更新已发送的消息卡片", "发送应用内加急".

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded::byte_serialize;

use super::Call;
use super::reply::scopes;
use crate::feishu::codes::{self, Meaning};
use crate::net::{Answer, Body, Method};

/// The largest request with a card or a post. Source: doc "发送消息", "30 KB".
pub const MESSAGE_BYTES_MAX: usize = 30 * 1024;

const PATH: &str = "/open-apis/im/v1/messages";

/// Where a message of its own goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A chat, `oc_…`.
    Chat(String),
    /// A person, `ou_…`.
    Person(String),
}

impl To {
    /// The id.
    pub fn id(&self) -> &str {
        match self {
            Self::Chat(id) | Self::Person(id) => id,
        }
    }

    /// What kind of id it is, in the API's word.
    pub const fn id_type(&self) -> &'static str {
        match self {
            Self::Chat(_) => "chat_id",
            Self::Person(_) => "open_id",
        }
    }
}

/// How people are rung about a message (加急).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgent {
    /// In the app.
    App,
    /// By text message, which the tenant pays for.
    Sms,
    /// By telephone, which the tenant pays for.
    Phone,
}

impl Urgent {
    /// The word that ends the call's path.
    const fn key(self) -> &'static str {
        match self {
            Self::App => "urgent_app",
            Self::Sms => "urgent_sms",
            Self::Phone => "urgent_phone",
        }
    }

    /// The permission that the app needs for it.
    pub const fn scope(self) -> &'static str {
        match self {
            Self::App => "im:message.urgent",
            Self::Sms => "im:message.urgent:sms",
            Self::Phone => "im:message.urgent:phone",
        }
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// `interactive`, `post` or `text`.
    pub msg_type: String,
    /// JSON, which goes as a string.
    pub content: String,
}

/// Makes a message. The platform makes at most one of a `uuid` in an hour, and answers a repeat with the
/// first one's id; at most 50 characters.
pub fn create(to: &To, content: &Content, uuid: &str, timeout: Duration) -> Call {
    let body = json!({
        "receive_id": to.id(),
        "msg_type": content.msg_type,
        "content": content.content,
        "uuid": uuid,
    });
    let path = format!("{PATH}?receive_id_type={}", to.id_type());
    call(Method::Post, path, &body, timeout)
}

/// Answers the message `id` in its thread, and begins one if there is none. `uuid` as for [`create`].
pub fn reply(id: &str, content: &Content, uuid: &str, timeout: Duration) -> Call {
    let body = json!({
        "msg_type": content.msg_type,
        "content": content.content,
        "reply_in_thread": true,
        "uuid": uuid,
    });
    call(Method::Post, path_of(id, "/reply"), &body, timeout)
}

/// Puts a whole new card in the place of the card `id`: for 14 days, 5 times a second at most.
pub fn update(id: &str, card: &str, timeout: Duration) -> Call {
    let body = json!({ "content": card });
    call(Method::Patch, path_of(id, ""), &body, timeout)
}

/// Rings `people`, open ids, about the message `id`.
pub fn ring(id: &str, how: Urgent, people: &[String], timeout: Duration) -> Call {
    let path = path_of(id, &format!("/{}?user_id_type=open_id", how.key()));
    call(
        Method::Patch,
        path,
        &json!({ "user_id_list": people }),
        timeout,
    )
}

/// Ids are opaque: whatever they hold, they are one part of the path.
fn path_of(id: &str, rest: &str) -> String {
    let id: String = byte_serialize(id.as_bytes()).collect();
    format!("{PATH}/{id}{rest}")
}

fn call(method: Method, path: String, body: &serde_json::Value, timeout: Duration) -> Call {
    Call {
        method,
        path,
        body: Body::Bytes(body.to_string().into()),
        timeout,
    }
}

/// What an answer about a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The platform's code; 0 is a success.
    pub code: i64,
    /// What the code means; of a success nothing.
    pub meaning: Meaning,
    /// The platform's words. They may repeat a reporter's: [`quote`](crate::net::quote) makes them fit to show.
    pub msg: String,
    /// The permissions that the app lacks, if it says so.
    pub scopes: Option<String>,
    /// The message that was made, or had been made.
    pub message_id: Option<String>,
    /// Its chat.
    pub chat_id: Option<String>,
    /// Its thread.
    pub thread_id: Option<String>,
    /// Of those that were to be rung, how many were not.
    pub not_rung: usize,
}

#[derive(Default, Deserialize)]
struct Envelope {
    code: i64,
    #[serde(default)]
    msg: String,
    data: Option<Data>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Data {
    message_id: Option<String>,
    chat_id: Option<String>,
    thread_id: Option<String>,
    invalid_user_id_list: Option<Vec<serde_json::Value>>,
}

impl Said {
    /// Reads an answer; `None` if it is not the platform's.
    pub fn of(answer: &Answer) -> Option<Self> {
        let envelope = match serde_json::from_slice(&answer.body) {
            Ok(envelope) => envelope,
            Err(_) if answer.truncated => beginning(&String::from_utf8_lossy(&answer.body))?,
            Err(_) => return None,
        };
        let Envelope { code, msg, data } = envelope;
        let data = data.unwrap_or_default();
        let filled = |id: Option<String>| id.filter(|id| !id.is_empty());
        Some(Self {
            code,
            meaning: codes::meaning(code, &msg),
            scopes: scopes(&msg),
            msg,
            message_id: filled(data.message_id),
            chat_id: filled(data.chat_id),
            thread_id: filled(data.thread_id),
            not_rung: data.invalid_user_id_list.map_or(0, |list| list.len()),
        })
    }
}

/// What the beginning of an answer says whose end was not read: it repeats the message, however long that is.
/// Inside a text every quote has a backslash before it, so a name between plain quotes is a member's.
fn beginning(text: &str) -> Option<Envelope> {
    let id = |name| after(text, name)?.strip_prefix('"')?.split('"').next();
    let number = after(text, "code")?;
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '-')?;
    let data = Data {
        message_id: id("message_id").map(str::to_owned),
        chat_id: id("chat_id").map(str::to_owned),
        thread_id: id("thread_id").map(str::to_owned),
        invalid_user_id_list: None,
    };
    Some(Envelope {
        code: number.get(..end)?.parse().ok()?,
        msg: String::new(),
        data: Some(data),
    })
}

/// What follows the first member of this name.
fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\"{name}\""))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1);

    fn card() -> Content {
        Content {
            msg_type: "interactive".into(),
            content: r#"{"schema":"2.0"}"#.into(),
        }
    }

    fn body(call: &Call) -> serde_json::Value {
        let Body::Bytes(bytes) = &call.body else {
            panic!("{call:?}")
        };
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn the_calls_are_as_the_platform_documents_them() {
        let chat = To::Chat("oc_1".into());
        let made = create(&chat, &card(), "dlv_1", TIMEOUT);
        assert_eq!(
            (made.method, made.path.as_str()),
            (
                Method::Post,
                "/open-apis/im/v1/messages?receive_id_type=chat_id"
            )
        );
        assert_eq!(
            body(&made),
            json!({"receive_id": "oc_1", "msg_type": "interactive",
                   "content": "{\"schema\":\"2.0\"}", "uuid": "dlv_1"})
        );
        let person = create(&To::Person("ou_1".into()), &card(), "dlv_1", TIMEOUT);
        assert!(person.path.ends_with("?receive_id_type=open_id"));

        let replied = reply("om_1", &card(), "dlv_2", TIMEOUT);
        assert_eq!(replied.path, "/open-apis/im/v1/messages/om_1/reply");
        assert_eq!(body(&replied)["reply_in_thread"], true);

        let updated = update("om_1", "{}", TIMEOUT);
        assert_eq!(
            (updated.method, updated.path.as_str()),
            (Method::Patch, "/open-apis/im/v1/messages/om_1")
        );
        assert_eq!(body(&updated), json!({"content": "{}"}));

        let people = ["ou_1".to_owned()];
        for (how, path) in [
            (Urgent::App, "urgent_app"),
            (Urgent::Sms, "urgent_sms"),
            (Urgent::Phone, "urgent_phone"),
        ] {
            let rung = ring("om_1", how, &people, TIMEOUT);
            let wanted = format!("/open-apis/im/v1/messages/om_1/{path}?user_id_type=open_id");
            assert_eq!(body(&rung), json!({"user_id_list": ["ou_1"]}));
            assert_eq!((rung.method, rung.path), (Method::Patch, wanted));
        }
    }

    #[test]
    fn an_id_stays_one_part_of_the_path() {
        let call = update("../auth?x=1#", "{}", TIMEOUT);
        assert_eq!(call.path, "/open-apis/im/v1/messages/..%2Fauth%3Fx%3D1%23");
    }

    fn said(body: &str) -> Option<Said> {
        Said::of(&Answer {
            status: 400,
            headers: Vec::new(),
            body: body.to_owned().into(),
            truncated: false,
        })
    }

    #[test]
    fn answers_are_read_as_far_as_they_are_safe() {
        let refused = said(
            r#"{"code":230099,"msg":"Failed to create card content, ext=ErrCode: 11310; ErrMsg: x; ErrorValue: words;"}"#,
        );
        assert_eq!(refused.unwrap().meaning.inner, Some(11310));
        let made =
            said(r#"{"code":0,"msg":"success","data":{"message_id":"om_1","thread_id":""}}"#);
        let made = made.unwrap();
        assert_eq!(
            (made.message_id.as_deref(), made.thread_id),
            (Some("om_1"), None)
        );
        let rung = said(r#"{"code":0,"data":{"invalid_user_id_list":["ou_1"]}}"#);
        assert_eq!(rung.unwrap().not_rung, 1);
        for other in ["", "<html>", "[]", r#"{"msg":"no code"}"#] {
            assert_eq!(said(other), None, "{other}");
        }
    }

    #[test]
    fn the_beginning_of_a_long_answer_is_enough() {
        let text = r#"\"message_id\":\"om_typed\" 😀"#.repeat(9);
        let long = format!(
            r#"{{"code":0,"data":{{"body":{{"content":"{text}"}},"chat_id":"oc_1","upper_message_id":"om_0","message_id": "om_1","mentions":"{text}"#
        );
        let answer = |truncated| Answer {
            status: 200,
            headers: Vec::new(),
            body: long.clone().into(),
            truncated,
        };
        let said = Said::of(&answer(true)).unwrap();
        assert_eq!((said.code, said.message_id.as_deref()), (0, Some("om_1")));
        assert_eq!(said.chat_id.as_deref(), Some("oc_1"));
        assert_eq!(Said::of(&answer(false)), None);
    }
}
