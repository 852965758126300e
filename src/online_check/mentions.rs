//! Checks a name of `[mentions]`: whether its people are known. Sources: doc "获取单个用户信息", doc "通过手机号或邮箱获取用户 ID",
//! docs.slack.dev `users.info`, `usergroups.list`.
//!
//! Findings give the position in the configuration instead of an address, because addresses of people are
//! private.

use serde_json::{Value, json};

use super::CALL_TIMEOUT;
use super::feishu_chat::{self, Person};
use super::open_api::{self, CallResult, Question};
use super::report::Report;
use super::slack_app::{self, PERMISSIONS, ask};
use crate::feishu::FeishuClient;
use crate::model::AppName;
use crate::slack::{ApiResponse, SlackClient};

/// How many people of each kind are looked up. A name is meant for a team, not for a company.
const PEOPLE_MAX: usize = 20;
const EMAIL_SCOPE: &str = "contact:user.id:readonly";

/// The check of a name.
pub(super) struct Check {
    /// The name.
    pub(super) name: String,
    pub(super) feishu: Vec<String>,
    pub(super) slack: Vec<String>,
    /// The apps that can look people up.
    pub(super) apps: Vec<(AppName, FeishuClient)>,
    /// The Slack bots that can look people up.
    pub(super) bots: Vec<SlackClient>,
}

/// People with their position in the configuration, counted from 1.
type Placed<'a> = Vec<(usize, &'a str)>;

impl Check {
    pub(super) async fn run(self, report: &mut Report) {
        let (addresses, ids): (Placed<'_>, Placed<'_>) = placed(&self.feishu)
            .into_iter()
            .partition(|(_, one)| one.contains('@'));
        if !self.feishu.is_empty() && self.apps.is_empty() {
            report.not_checked(
                "feishu",
                "there is no app with an `app_secret`, which the check needs",
            );
        }
        for (app, client) in &self.apps {
            if !ids.is_empty() {
                known_by_id(app, client, &ids, report).await;
            }
            if !addresses.is_empty() {
                known_by_address(app, client, &addresses, report).await;
            }
        }
        let (groups, users): (Placed<'_>, Placed<'_>) = placed(&self.slack)
            .into_iter()
            .partition(|(_, one)| one.starts_with('S'));
        if !self.slack.is_empty() && self.bots.is_empty() {
            report.not_checked(
                "slack",
                "there is no slack-app destination, which the check needs",
            );
        }
        for client in &self.bots {
            if !users.is_empty() {
                slack_users(client, &users, report).await;
            }
            if !groups.is_empty() {
                slack_groups(client, &groups, report).await;
            }
        }
        let left = |all: &[String]| all.len().saturating_sub(PEOPLE_MAX);
        let left = left(&self.feishu) + left(&self.slack);
        if left > 0 {
            let says = format!(
                "{left} more of {} were not checked: only the first {PEOPLE_MAX} are looked up",
                self.name
            );
            report.not_checked("people", says);
        }
    }
}

fn placed(people: &[String]) -> Placed<'_> {
    let numbered = people.iter().enumerate().take(PEOPLE_MAX);
    numbered
        .map(|(index, one)| (index + 1, one.as_str()))
        .collect()
}

/// Checks open ids with one app. If the app has no permission or does not answer, that is reported once.
async fn known_by_id(app: &AppName, client: &FeishuClient, ids: &Placed<'_>, report: &mut Report) {
    let check = "feishu";
    let mut known = 0;
    for (place, id) in ids {
        match feishu_chat::look_up(client, id, check, report).await {
            Person::Known => known += 1,
            Person::Gone => report.failed(
                check,
                format!("number {place} has left the tenant"),
                "remove the person, or use another",
            ),
            Person::Unknown(says) => report.failed(
                check,
                format!("number {place}, asked as app {app}: {says}"),
                "write the open id that this app knows the person by (each app has its own), or the e-mail address",
            ),
            Person::Untold(says) => report.not_checked(check, format!("number {place}: {says}")),
            Person::Noted => return,
        }
    }
    if known == ids.len() {
        report.good(
            check,
            format!("app {app} knows all by their open ids ({known})"),
        );
    }
}

/// Checks e-mail addresses. An unknown address is not a failure, because it may be hidden from the app.
async fn known_by_address(
    app: &AppName,
    client: &FeishuClient,
    addresses: &Placed<'_>,
    report: &mut Report,
) {
    let check = "feishu";
    let emails: Vec<&str> = addresses.iter().map(|(_, address)| *address).collect();
    let question = Question {
        check,
        path: "/open-apis/contact/v3/users/batch_get_id?user_id_type=open_id".into(),
        lookup: Some(json!({ "emails": emails })),
        scopes: EMAIL_SCOPE,
        needed: false,
    };
    let data = match open_api::ask(client, question, report).await {
        CallResult::Data(data) => data,
        CallResult::Code(code) => {
            let says = format!("code {code}: the platform does not look addresses up");
            report.not_checked(check, says);
            return;
        }
        CallResult::Noted => return,
    };
    let found = data["user_list"].as_array().map_or(&[][..], Vec::as_slice);
    let is_known = |address: &str| {
        let same = |one: &&Value| {
            let email = one["email"].as_str().unwrap_or_default();
            email.eq_ignore_ascii_case(address)
        };
        found
            .iter()
            .filter(same)
            .any(|one| one["user_id"].is_string())
    };
    let unknown: Vec<usize> = addresses
        .iter()
        .filter(|(_, one)| !is_known(one))
        .map(|(place, _)| *place)
        .collect();
    if unknown.is_empty() {
        let count = addresses.len();
        report.good(
            check,
            format!("app {app} knows all by their e-mail addresses ({count})"),
        );
    }
    for place in unknown {
        report.warning(
            check,
            format!("number {place}: app {app} finds nobody with this address"),
            "check it, and that the app's data permissions reach the person",
        );
    }
}

async fn slack_users(client: &SlackClient, users: &Placed<'_>, report: &mut Report) {
    let check = "slack";
    let mut known = 0;
    for (place, id) in users {
        let fields = vec![("user", (*id).to_owned())];
        match ask(client, "users.info", fields, CALL_TIMEOUT, check, report).await {
            None => return,
            Some((_, ApiResponse::Ok(members))) => {
                if members.object("user").flag("deleted") == Some(true) {
                    let says = format!("number {place} is deactivated");
                    report.failed(check, says, "remove the person, or use another");
                } else {
                    known += 1;
                }
            }
            Some((_, ApiResponse::Refused(problem))) if problem.error == "missing_scope" => {
                may_not_look("users:read", report);
                return;
            }
            Some((_, ApiResponse::Refused(problem))) if problem.error == "user_not_found" => {
                let says = format!("number {place} is not a member of the workspace");
                report.failed(check, says, "copy the member id from the person's profile");
            }
            Some((_, ApiResponse::Refused(problem))) => {
                report.not_checked(check, format!("number {place}: {}", problem.says()));
            }
            Some((answer, ApiResponse::Unreadable)) => {
                slack_app::unreadable(check, &answer, client, report);
                return;
            }
        }
    }
    if known == users.len() {
        report.good(check, format!("the workspace knows all people ({known})"));
    }
}

async fn slack_groups(client: &SlackClient, groups: &Placed<'_>, report: &mut Report) {
    let check = "slack";
    let method = "usergroups.list";
    let (answer, said) = match ask(client, method, Vec::new(), CALL_TIMEOUT, check, report).await {
        None => return,
        Some(asked) => asked,
    };
    match said {
        ApiResponse::Ok(_) if answer.truncated => {
            report.not_checked(check, "the workspace has too many groups to look through");
        }
        ApiResponse::Ok(_) => {
            let list: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let all = list["usergroups"].as_array().map_or(&[][..], Vec::as_slice);
            let unknown = groups
                .iter()
                .filter(|(_, id)| !all.iter().any(|one| one["id"] == **id));
            let unknown: Vec<usize> = unknown.map(|(place, _)| *place).collect();
            if unknown.is_empty() {
                report.good(
                    check,
                    format!("the workspace knows all groups ({})", groups.len()),
                );
            }
            for place in unknown {
                let says = format!("number {place} is not a group of the workspace");
                report.failed(check, says, "copy the group's id again");
            }
        }
        ApiResponse::Refused(problem) if problem.error == "missing_scope" => {
            may_not_look("usergroups:read", report);
        }
        ApiResponse::Refused(problem) => report.not_checked(check, problem.says()),
        ApiResponse::Unreadable => slack_app::unreadable(check, &answer, client, report),
    }
}

fn may_not_look(scope: &str, report: &mut Report) {
    let advice = format!("to have it checked, grant {scope} at {PERMISSIONS}");
    report.not_checkable("slack", "the app may not look people up", advice);
}
