//! Calls the open API and interprets the answers that mean the same for every check. Sources: doc "Generic error
//! codes", and the pages of the calls.

use serde_json::Value;

use super::CALL_TIMEOUT;
use super::report::{FOREIGN_ADVICE, Report, foreign};
use crate::feishu::codes::{self, Cause, Class};
use crate::feishu::messages::Said;
use crate::feishu::{Call, FeishuClient, Unanswered};
use crate::net::{Answer, Body, Method, Redactor};

/// Pages of the developer console, with their English and Chinese names.
pub(super) const CREDENTIALS: &str = "Credentials & Basic Info / 凭证与基础信息";
pub(super) const PERMISSIONS: &str = "Permissions & Scopes / 权限管理";
pub(super) const EVENTS: &str = "Events & Callbacks / 事件与回调";
pub(super) const RELEASE: &str = "Version Management & Release / 版本管理与发布";
pub(super) const SECURITY: &str = "Security Settings / 安全设置";
pub(super) const FEATURES: &str = "Add Features / 添加应用能力";

/// An API call of a check.
pub(super) struct Question {
    /// The name of the check.
    pub(super) check: &'static str,
    /// The path and query to read.
    pub(super) path: String,
    /// The body of a look-up that does not fit into a path. The call changes nothing.
    pub(super) lookup: Option<Value>,
    /// The alternative permissions of which one is enough.
    pub(super) scopes: &'static str,
    /// Whether the relay itself needs the permission, and not only this check.
    pub(super) needed: bool,
}

/// The result of a call.
pub(super) enum CallResult {
    /// The `data` field of a successful response.
    Data(Value),
    /// A code that only the calling check can interpret.
    Code(i64),
    /// The result is already in the report.
    Noted,
}

/// Calls the API as an app.
pub(super) async fn ask(
    client: &FeishuClient,
    question: Question,
    report: &mut Report,
) -> CallResult {
    let (method, body) = match &question.lookup {
        None => (Method::Get, Body::Empty),
        Some(lookup) => (Method::Post, Body::Bytes(lookup.to_string().into())),
    };
    let call = Call {
        method,
        path: question.path.clone(),
        body,
        timeout: CALL_TIMEOUT,
    };
    match client.call(call).await {
        Ok(answer) => {
            report.compare_clocks(&answer);
            read(&answer, client.redactor(), &question, report)
        }
        Err(Unanswered::NoToken(_)) => {
            let says = format!("there is no token for this call; see app {}", client.app());
            report.not_checked(question.check, says);
            CallResult::Noted
        }
        Err(Unanswered::Net(error)) => {
            report.unreachable(question.check, &error);
            CallResult::Noted
        }
    }
}

fn read(
    answer: &Answer,
    redactor: &Redactor,
    question: &Question,
    report: &mut Report,
) -> CallResult {
    let check = question.check;
    let Some(said) = Said::of(answer) else {
        report.not_checkable(check, foreign(answer, redactor), FOREIGN_ADVICE);
        return CallResult::Noted;
    };
    match said.code {
        0 => {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            return CallResult::Data(body["data"].clone());
        }
        code if said.meaning.class == Class::Stop(Cause::Scope) => {
            let scopes = said.scopes.as_deref().unwrap_or(question.scopes);
            lacks_scope(code, scopes, question, report);
        }
        code => {
            if !general(check, code, report) {
                return CallResult::Code(code);
            }
        }
    }
    CallResult::Noted
}

fn lacks_scope(code: i64, scopes: &str, question: &Question, report: &mut Report) {
    let says = format!("code {code}: the app lacks the permission");
    if question.needed {
        report.failed(question.check, says, grant(scopes));
    } else {
        let advice = format!("to have it checked, grant {scopes} at {PERMISSIONS}");
        report.not_checkable(question.check, says, advice);
    }
}

/// Returns advice on how to grant a permission.
pub(super) fn grant(scopes: &str) -> String {
    format!("grant {scopes} at {PERMISSIONS}, then publish a version at {RELEASE}")
}

/// Reports codes that mean the same for every call. Returns whether `code` is one of them.
pub(super) fn general(check: &'static str, code: i64, report: &mut Report) -> bool {
    let says = |what: &str| format!("code {code}: {what}");
    match codes::meaning(code, "").class {
        Class::Stop(Cause::OurAddress) => report.failed(
            check,
            says("this machine's address is not in the app's IP allow list"),
            format!("add it at {SECURITY}"),
        ),
        Class::Stop(Cause::App) => report.failed(
            check,
            says("the app is disabled, not published or not installed"),
            format!("publish a version at {RELEASE}, and have the administrator enable the app"),
        ),
        Class::Stop(Cause::Bot) => report.failed(
            check,
            says("the app has no bot"),
            format!("add the bot at {FEATURES}, then publish a version at {RELEASE}"),
        ),
        Class::Token => report.failed(
            check,
            says("the platform granted a token but rejects it"),
            "the app may belong to the other platform; check `platform` (\"feishu\" or \"lark\")",
        ),
        Class::SlowDown | Class::SlowDownBriefly => {
            report.not_checked(check, says("the platform limits the rate; try again"));
        }
        Class::Retry => {
            report.not_checked(check, says("an error inside the platform; try again"));
        }
        _ => return false,
    }
    true
}
