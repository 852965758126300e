//! Messages of an app's own bot: the calls that create, answer and update them or send urgent
//! notifications, and their responses. Sources: doc "发送消息", "回复消息", "更新已发送的消息卡片", "发送应用内加急".

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded::byte_serialize;

use super::Call;
use super::reply::scopes;
use crate::feishu::codes::{self, Meaning};
use crate::net::{Answer, Body, Method};

/// The largest request with a card or a post, in bytes. Source: doc "发送消息", "30 KB".
pub const MESSAGE_BYTES_MAX: usize = 30 * 1024;

const PATH: &str = "/open-apis/im/v1/messages";

/// The receiver of a new message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// A chat, `oc_…`.
    Chat(String),
    /// A person, `ou_…`.
    Person(String),
}

impl To {
    /// Returns the receiver's id.
    pub fn id(&self) -> &str {
        match self {
            Self::Chat(id) | Self::Person(id) => id,
        }
    }

    /// Returns the API's name for the kind of id.
    pub const fn id_type(&self) -> &'static str {
        match self {
            Self::Chat(_) => "chat_id",
            Self::Person(_) => "open_id",
        }
    }
}

/// How people are notified urgently about a message (加急).
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
    /// Returns the last part of the call's path.
    const fn key(self) -> &'static str {
        match self {
            Self::App => "urgent_app",
            Self::Sms => "urgent_sms",
            Self::Phone => "urgent_phone",
        }
    }

    /// Returns the permission that the app needs.
    pub const fn scope(self) -> &'static str {
        match self {
            Self::App => "im:message.urgent",
            Self::Sms => "im:message.urgent:sms",
            Self::Phone => "im:message.urgent:phone",
        }
    }
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// `interactive`, `post` or `text`.
    pub msg_type: String,
    /// The content as JSON, which the API takes as a string.
    pub content: String,
}

/// Builds the call that creates a message. `uuid` has at most 50 characters. Within an hour the
/// platform creates one message per `uuid`, and answers a repeat with the first message's id.
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

/// Builds the call that answers the message `id` in its thread, or starts a thread. `uuid` works as
/// for [`create`].
pub fn reply(id: &str, content: &Content, uuid: &str, timeout: Duration) -> Call {
    let body = json!({
        "msg_type": content.msg_type,
        "content": content.content,
        "reply_in_thread": true,
        "uuid": uuid,
    });
    call(Method::Post, path_of(id, "/reply"), &body, timeout)
}

/// Builds the call that replaces the card `id`. The platform allows this for 14 days, at most 5
/// times a second.
pub fn update(id: &str, card: &str, timeout: Duration) -> Call {
    let body = json!({ "content": card });
    call(Method::Patch, path_of(id, ""), &body, timeout)
}

/// Builds the call that notifies `people` (open ids) urgently about the message `id`.
pub fn ring(id: &str, how: Urgent, people: &[String], timeout: Duration) -> Call {
    let path = path_of(id, &format!("/{}?user_id_type=open_id", how.key()));
    call(
        Method::Patch,
        path,
        &json!({ "user_id_list": people }),
        timeout,
    )
}

/// Returns the path of a message. The id is encoded as one segment because ids are opaque.
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

/// The response to a message call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The platform's code; 0 is success.
    pub code: i64,
    /// The meaning of the code; no meaning for a success.
    pub meaning: Meaning,
    /// The platform's message. It may repeat a reporter's text; [`quote`](crate::net::quote) makes
    /// it safe to show.
    pub msg: String,
    /// The permissions that the app lacks, if the response names them.
    pub scopes: Option<String>,
    /// The id of the message that this call or an earlier repeat created.
    pub message_id: Option<String>,
    /// The message's chat.
    pub chat_id: Option<String>,
    /// The message's thread.
    pub thread_id: Option<String>,
    /// The number of people who could not be notified urgently.
    pub not_rung: usize,
}

#[derive(Default, Deserialize)]
struct Envelope {
    code: i64,
    #[serde(default, deserialize_with = "crate::feishu::json::text_or_null")]
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
    /// Reads a response. Returns `None` if the body is not a Feishu API response.
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

/// Reads the start of a response that was cut off. A response repeats the message, which can be
/// long. Inside a JSON string every quote is escaped, so a name between plain quotes is a member
/// name.
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

/// Returns the text after the first member with this name.
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
    fn calls_match_platform_documentation() {
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
    fn id_stays_one_path_segment() {
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
    fn responses_are_parsed_and_foreign_ones_refused() {
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
    fn cut_off_response_is_parsed() {
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
