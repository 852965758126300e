//! Checks the receiver of an app's own bot: whether the bot is in the chat, or knows the person. Sources: doc
//! "判断用户或机器人是否在群里", doc "获取单个用户信息", and their tables of errors.

use super::open_api::{self, CallResult, Question, RELEASE};
use super::report::Report;
use crate::feishu::{FeishuClient, To};
use crate::model::AppName;

const CHAT_SCOPES: &str = "im:chat:readonly or im:chat.members:read";
/// The permission to look up a person.
pub(super) const PERSON_SCOPES: &str = "contact:contact.base:readonly";

/// The check of a receiver.
pub(super) struct Check {
    pub(super) app: AppName,
    /// `None` without a secret.
    pub(super) client: Option<FeishuClient>,
    pub(super) to: To,
}

/// The result of looking up a person.
pub(super) enum Person {
    /// A member of the tenant.
    Known,
    /// The person has left the tenant.
    Gone,
    /// The id does not exist, or belongs to another app.
    Unknown(String),
    /// Could not be determined.
    Untold(String),
    /// The result is already in the report.
    Noted,
}

impl Check {
    pub(super) async fn run(self, report: &mut Report) {
        let Some(client) = &self.client else {
            let says = format!(
                "the app {} has no `app_secret`, which the check needs",
                self.app
            );
            report.not_checked("chat", says);
            return;
        };
        match &self.to {
            To::Chat(id) => in_chat(client, id, report).await,
            To::Person(id) => {
                reachable(client, id, report).await;
            }
        }
    }
}

async fn in_chat(client: &FeishuClient, id: &str, report: &mut Report) {
    let check = "chat";
    let question = Question {
        check,
        path: format!("/open-apis/im/v1/chats/{id}/members/is_in_chat"),
        lookup: None,
        scopes: CHAT_SCOPES,
        needed: false,
    };
    let add = "add the bot to the group: Settings → Bots → Add Bot / 设置 → 群机器人 → 添加机器人";
    match open_api::ask(client, question, report).await {
        CallResult::Data(data) => match data["is_in_chat"].as_bool() {
            Some(true) => alive(client, id, report).await,
            Some(false) => report.failed(check, "the bot is not in the chat", add),
            None => report.not_checked(check, "the platform does not say whether the bot is in it"),
        },
        CallResult::Code(code @ (232_011 | 230_002)) => {
            report.failed(
                check,
                format!("code {code}: the bot is not in the chat"),
                add,
            );
        }
        CallResult::Code(code @ (232_006 | 232_001)) => report.failed(
            check,
            format!("code {code}: there is no such chat"),
            "check `chat_id`, and that the app is of the same platform and tenant",
        ),
        CallResult::Code(code @ 232_009) => report.failed(
            check,
            format!("code {code}: the chat is dissolved"),
            "set the `chat_id` of another",
        ),
        CallResult::Code(code @ 232_010) => report.failed(
            check,
            format!("code {code}: the chat belongs to another tenant"),
            "use an app of that tenant, or a chat of the app's own tenant",
        ),
        CallResult::Code(code) => {
            let says = format!("code {code}: the platform does not say whether the bot is in it");
            report.not_checked(check, says);
        }
        CallResult::Noted => {}
    }
}

/// Checks that the chat still exists, because the bot stays in a dissolved chat. Source: doc "获取群信息".
async fn alive(client: &FeishuClient, id: &str, report: &mut Report) {
    let check = "chat";
    let question = Question {
        check,
        path: format!("/open-apis/im/v1/chats/{id}"),
        lookup: None,
        scopes: CHAT_SCOPES,
        needed: false,
    };
    let dissolved = |says: String, report: &mut Report| {
        report.failed(check, says, "set the `chat_id` of another");
    };
    match open_api::ask(client, question, report).await {
        CallResult::Data(data) => match data["chat_status"].as_str() {
            Some("dissolved" | "dissolved_save") => {
                dissolved("the chat is dissolved".to_owned(), report);
            }
            Some(_) | None => report.good(check, "the bot is in the chat"),
        },
        CallResult::Code(code @ 232_009) => {
            dissolved(format!("code {code}: the chat is dissolved"), report);
        }
        // It is already known that the bot is in the chat.
        CallResult::Code(_) => report.good(check, "the bot is in the chat"),
        CallResult::Noted => {}
    }
}

async fn reachable(client: &FeishuClient, id: &str, report: &mut Report) {
    let check = "person";
    match look_up(client, id, check, report).await {
        Person::Known => report.good(check, "the app knows the person"),
        Person::Gone => report.failed(
            check,
            "the person has left the tenant",
            "set the `user` of somebody else",
        ),
        Person::Unknown(says) => report.failed(
            check,
            says,
            "set the open id that this app knows the person by: each app has its own",
        ),
        Person::Untold(says) => {
            let advice = format!("the app must be available to the person: see {RELEASE}");
            report.not_checkable(check, says, advice);
        }
        Person::Noted => {}
    }
}

/// Looks up a person by open id.
pub(super) async fn look_up(
    client: &FeishuClient,
    id: &str,
    check: &'static str,
    report: &mut Report,
) -> Person {
    let question = Question {
        check,
        path: format!("/open-apis/contact/v3/users/{id}?user_id_type=open_id"),
        lookup: None,
        scopes: PERSON_SCOPES,
        needed: false,
    };
    match open_api::ask(client, question, report).await {
        CallResult::Data(data) if data["user"]["status"]["is_resigned"] == true => Person::Gone,
        CallResult::Data(_) => Person::Known,
        CallResult::Code(code @ (41012 | 99_992_351)) => {
            Person::Unknown(format!("code {code}: this open id does not exist"))
        }
        CallResult::Code(code @ 99_992_361) => {
            Person::Unknown(format!("code {code}: the open id belongs to another app"))
        }
        CallResult::Code(code @ (41050 | 40004)) => Person::Untold(format!(
            "code {code}: the app's data permissions do not reach the person"
        )),
        CallResult::Code(code) => Person::Untold(format!("unknown code {code}")),
        CallResult::Noted => Person::Noted,
    }
}
