//! Checks a Slack app's bot: its token and permissions, and whether it is in its channel. Sources: docs.slack.dev
//! `auth.test` (every answer lists the token's permissions in `x-oauth-scopes`), `conversations.info`.

use std::collections::BTreeSet;
use std::time::Duration;

use super::report::{FOREIGN_ADVICE, Report, foreign};
use crate::net::Answer;
use crate::slack::{ApiResponse, Arguments, Members, SlackClient};

/// Where an app's permissions are granted.
pub(super) const PERMISSIONS: &str = "api.slack.com/apps, OAuth & Permissions, Bot Token Scopes";
/// The longest name that is shown, in characters.
const NAME_CHARS_MAX: usize = 60;

/// The check of a Slack bot.
pub(super) struct Check {
    pub(super) client: SlackClient,
    pub(super) channel: String,
    /// Whether there is a signing secret.
    pub(super) signed: bool,
    pub(super) timeout: Duration,
}

impl Check {
    pub(super) async fn run(self, report: &mut Report) {
        let asked = ask(
            &self.client,
            "auth.test",
            Vec::new(),
            self.timeout,
            "token",
            report,
        )
        .await;
        let Some((answer, said)) = asked else {
            return;
        };
        let members = match said {
            ApiResponse::Ok(members) => members,
            ApiResponse::Refused(problem) => {
                let advice = format!("copy the Bot User OAuth Token from {PERMISSIONS}");
                report.failed("token", problem.says(), advice);
                return;
            }
            ApiResponse::Unreadable => {
                unreadable("token", &answer, &self.client, report);
                return;
            }
        };
        let (bot, team) = (name(&members, "user"), name(&members, "team"));
        report.good("token", format!("speaks as {bot} in the workspace {team}"));
        let scopes = answer.header("x-oauth-scopes").unwrap_or_default();
        let scopes: BTreeSet<&str> = scopes.split(',').map(str::trim).collect();
        judge_scopes(&scopes, report);
        self.channel(&scopes, report).await;
        if self.signed {
            report.not_checked(
                "signing_secret",
                "can be checked only when somebody presses a button",
            );
        } else {
            report.warning(
                "signing_secret",
                "there is none, so messages have no buttons",
                "set the Signing Secret of api.slack.com/apps, Basic Information",
            );
        }
    }

    async fn channel(&self, scopes: &BTreeSet<&str>, report: &mut Report) {
        let check = "channel";
        let fields = vec![("channel", self.channel.clone())];
        let method = "conversations.info";
        let asked = ask(&self.client, method, fields, self.timeout, check, report).await;
        match asked {
            None => {}
            Some((_, ApiResponse::Ok(members))) => {
                judge_channel(&members.object("channel"), scopes, report);
            }
            Some((_, ApiResponse::Refused(problem))) if problem.error == "missing_scope" => {
                let scope = problem.needed.as_deref().unwrap_or("channels:read");
                let says =
                    "unknown whether the bot is in the channel: the app lacks the permission";
                let advice = format!("to have it checked, grant {scope} at {PERMISSIONS}");
                report.not_checkable(check, says, advice);
            }
            Some((_, ApiResponse::Refused(problem))) => {
                let advice = "check `channel`: the id stands at the end of the channel's details";
                report.failed(check, problem.says(), advice);
            }
            Some((answer, ApiResponse::Unreadable)) => {
                unreadable(check, &answer, &self.client, report)
            }
        }
    }
}

/// Calls Slack's API. Reports an unreachable API and a rate limit.
pub(super) async fn ask(
    client: &SlackClient,
    method: &'static str,
    fields: Vec<(&'static str, String)>,
    timeout: Duration,
    check: &'static str,
    report: &mut Report,
) -> Option<(Answer, ApiResponse)> {
    match client.call(method, Arguments::Form(fields), timeout).await {
        Ok(answer) if answer.status == 429 => {
            report.not_checked(check, "Slack limits the rate; try again");
            None
        }
        Ok(answer) => {
            report.compare_clocks(&answer);
            let said = ApiResponse::of(&answer);
            Some((answer, said))
        }
        Err(error) => {
            report.unreachable(check, &error);
            None
        }
    }
}

fn judge_scopes(scopes: &BTreeSet<&str>, report: &mut Report) {
    if scopes.iter().all(|scope| scope.is_empty()) {
        report.not_checked("scopes", "Slack does not name the token's permissions");
        return;
    }
    let advice = |scope: &str| format!("grant {scope} at {PERMISSIONS}, and reinstall the app");
    for (scope, purpose) in [
        ("chat:write", "to send messages"),
        ("files:write", "to upload images"),
    ] {
        if scopes.contains(scope) {
            report.good("scopes", format!("{scope} is granted, {purpose}"));
        } else {
            let says = format!("the app has not been granted {scope}, {purpose}");
            report.failed("scopes", says, advice(scope));
        }
    }
    if !scopes.contains("files:read") {
        let says = "without files:read a message with images may need a retry";
        report.warning("scopes", says, advice("files:read"));
    }
}

fn judge_channel(channel: &Members, scopes: &BTreeSet<&str>, report: &mut Report) {
    let check = "channel";
    let flag = |name| channel.flag(name).unwrap_or(false);
    if flag("is_archived") {
        let advice = "have it unarchived, or set another `channel`";
        report.failed(check, "the channel is archived", advice);
    } else if flag("is_member") || flag("is_im") {
        report.good(check, "the bot is in the channel");
    } else if channel.flag("is_member").is_none() {
        report.not_checked(
            check,
            "Slack does not say whether the bot is in the channel",
        );
    } else if scopes.contains("chat:write.public") && !flag("is_private") {
        report.good(
            check,
            "the bot is not in the channel, and may write there (chat:write.public)",
        );
    } else {
        let advice = "in the channel, type /invite and the bot's name";
        report.failed(check, "the bot is not in the channel", advice);
    }
}

pub(super) fn unreadable(
    check: &'static str,
    answer: &Answer,
    client: &SlackClient,
    report: &mut Report,
) {
    report.not_checkable(check, foreign(answer, client.redactor()), FOREIGN_ADVICE);
}

/// Returns a user-chosen name, as far as it can be shown.
fn name(members: &Members, key: &str) -> String {
    let name = members.text(key).unwrap_or_else(|| "?".into());
    let plain = name.chars().filter(|c| !c.is_control());
    plain.take(NAME_CHARS_MAX).collect()
}
