//! Checks an app: its credentials, its platform, its permissions and its long connection. Sources: doc "Get
//! `tenant_access_token`", doc "查询租户授权状态" (which needs no permission itself), doc "获取应用反馈列表".

use std::collections::BTreeSet;

use serde_json::Value;

use super::Platforms;
use super::open_api::{
    self, CREDENTIALS, CallResult, EVENTS, PERMISSIONS, Question, RELEASE, grant,
};
use super::report::{FOREIGN_ADVICE, Report, foreign};
use crate::destination::{KindSettings, Settings};
use crate::feishu::codes::{Cause, Class};
use crate::feishu::messages::Said;
use crate::feishu::{
    App, ConnectionRefusal, FEEDBACK_SCOPE, FeishuClient, LinkSettings, NoConnection, Unanswered,
};
use crate::model::AppName;
use crate::net::HttpClient;

const SPEAK_SCOPES: &[&str] = &["im:message", "im:message:send_as_bot", "im:message:send"];
const IMAGE_SCOPES: &[&str] = &["im:resource", "im:resource:upload"];

/// What the relay does with the app, besides receiving events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Sends messages.
    speaks: bool,
    /// Uploads images.
    uploads: bool,
    /// The permissions for urgent notifications. Empty: it sends none.
    rings: BTreeSet<&'static str>,
}

impl Needs {
    /// Returns what these destinations need of the app.
    pub(super) fn of<'a>(app: &AppName, destinations: impl Iterator<Item = &'a Settings>) -> Self {
        let mut needs = Self::default();
        for settings in destinations.filter(|one| one.speaks_as() == Some(app)) {
            needs.uploads = true;
            if let KindSettings::FeishuApp { urgent, .. } = &settings.kind {
                needs.speaks = true;
                needs.rings.extend(urgent.map(|how| how.scope()));
            }
        }
        needs
    }

    /// Returns the required permissions: alternatives of which one is enough, and their purpose.
    fn scopes(&self) -> Vec<(Vec<&'static str>, &'static str)> {
        let mut scopes = Vec::new();
        if self.speaks {
            scopes.push((SPEAK_SCOPES.to_vec(), "to send messages"));
        }
        if self.uploads {
            scopes.push((IMAGE_SCOPES.to_vec(), "to upload images"));
        }
        scopes.extend(
            self.rings
                .iter()
                .map(|scope| (vec![*scope], "for `urgent`")),
        );
        scopes
    }
}

/// The result of checking an app's credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Credentials {
    Taken,
    Refused,
    /// The platform did not answer.
    Untold,
}

/// The check of an app.
pub(super) struct Check {
    pub(super) app: App,
    /// `None` without a secret.
    pub(super) client: Option<FeishuClient>,
    /// The client for a long connection. `None`: the app has none. It uses the machine's proxy; the other calls
    /// do not.
    pub(super) connecting: Option<FeishuClient>,
    pub(super) needs: Needs,
    pub(super) platforms: Platforms,
    pub(super) direct: HttpClient,
}

impl Check {
    pub(super) async fn run(self, report: &mut Report) {
        let Some(client) = &self.client else {
            report.not_checked(
                "token",
                "the app has no `app_secret`, which the check needs",
            );
            return;
        };
        let credentials = self.token(client, report).await;
        if let Some(connecting) = &self.connecting
            && credentials != Credentials::Refused
        {
            connection(connecting, report).await;
        }
        if credentials != Credentials::Taken {
            return;
        }
        self.feedback(client, report).await;
        self.scopes(client, report).await;
    }

    /// Checks the credentials. If they are rejected, no other call is possible.
    async fn token(&self, client: &FeishuClient, report: &mut Report) -> Credentials {
        let check = "token";
        let answer = match client.try_credentials().await {
            Ok(answer) => answer,
            Err(Unanswered::NoToken(_)) => return Credentials::Untold,
            Err(Unanswered::Net(error)) => {
                report.unreachable(check, &error);
                return Credentials::Untold;
            }
        };
        report.compare_clocks(&answer);
        let Some(said) = Said::of(&answer) else {
            report.failed(check, foreign(&answer, client.redactor()), FOREIGN_ADVICE);
            return Credentials::Untold;
        };
        match said.code {
            0 => {
                report.good(check, "the platform accepts the app's credentials");
                return Credentials::Taken;
            }
            code if said.meaning.class == Class::Stop(Cause::Credentials) => {
                self.refused(code, report).await;
            }
            code => {
                if !open_api::general(check, code, report) {
                    let says = format!("unknown code {code}");
                    report.failed(check, says, format!("compare with {CREDENTIALS}"));
                }
            }
        }
        Credentials::Refused
    }

    /// Reports rejected credentials, and checks whether they belong to the other platform.
    async fn refused(&self, code: i64, report: &mut Report) {
        let says = format!("code {code}: the app's credentials are rejected");
        let advice = format!("compare `app_id` and `app_secret` with {CREDENTIALS}");
        let Some((platform, name, base_url)) = self.other_platform() else {
            report.failed("token", says, advice);
            return;
        };
        let app = App {
            base_url: base_url.to_owned(),
            ..self.app.clone()
        };
        let there = FeishuClient::new(&app, self.direct.clone());
        let taken = match there.try_credentials().await {
            Ok(answer) => Said::of(&answer).is_some_and(|said| said.code == 0),
            Err(_) => false,
        };
        if taken {
            let says = format!("{says} here, but accepted by {name}: it is an app of {name}");
            let section = &self.app.name;
            let advice = format!("write `platform = \"{platform}\"` in [apps.{section}]");
            report.failed("token", says, advice);
        } else {
            report.failed("token", format!("{says}, by {name} too"), advice);
        }
    }

    /// Returns the other platform: its value for `platform`, its name and its base URL. `None` for a private
    /// deployment.
    fn other_platform(&self) -> Option<(&'static str, &'static str, &str)> {
        let Platforms { feishu, lark, .. } = &self.platforms;
        let base_url = self.app.base_url.as_str();
        if base_url == feishu {
            Some(("lark", "Lark", lark))
        } else if base_url == lark {
            Some(("feishu", "Feishu", feishu))
        } else {
            None
        }
    }

    /// Checks whether feedback can be read. Feedback events need the same permission.
    async fn feedback(&self, client: &FeishuClient, report: &mut Report) {
        let id = &self.app.app_id;
        let path = format!("/open-apis/application/v6/applications/{id}/feedbacks?page_size=1");
        let question = Question {
            check: "feedback",
            path,
            lookup: None,
            scopes: FEEDBACK_SCOPE,
            needed: true,
        };
        match open_api::ask(client, question, report).await {
            CallResult::Data(_) => report.good("feedback", "the list of feedback can be read"),
            CallResult::Code(code) => {
                let says = format!("code {code}: the list of feedback cannot be read");
                let advice = format!(
                    "it is available only to apps of their own tenant; the permission is {FEEDBACK_SCOPE}"
                );
                report.not_checkable("feedback", says, advice);
            }
            CallResult::Noted => {}
        }
    }

    /// Checks the permissions that the destinations need, with the platform's list of granted permissions.
    async fn scopes(&self, client: &FeishuClient, report: &mut Report) {
        let wanted = self.needs.scopes();
        if wanted.is_empty() {
            return;
        }
        let question = Question {
            check: "scopes",
            path: "/open-apis/application/v6/scopes".into(),
            lookup: None,
            scopes: "what the call needs",
            needed: false,
        };
        let data = match open_api::ask(client, question, report).await {
            CallResult::Data(data) => data,
            CallResult::Code(code) => {
                let says = format!("code {code}: the platform does not say what was granted");
                report.not_checked("scopes", says);
                return;
            }
            CallResult::Noted => return,
        };
        let scopes = Scopes::of(&data);
        for (names, purpose) in wanted {
            scopes.judge(&names, purpose, report);
        }
    }
}

/// The permissions that the app has requested.
struct Scopes<'a> {
    granted: BTreeSet<&'a str>,
    asked: BTreeSet<&'a str>,
}

impl<'a> Scopes<'a> {
    fn of(data: &'a Value) -> Self {
        let all = data["scopes"].as_array().map_or(&[][..], Vec::as_slice);
        let name = |scope: &'a Value| scope["scope_name"].as_str();
        let granted = all.iter().filter(|scope| scope["grant_status"] == 1);
        Self {
            granted: granted.filter_map(name).collect(),
            asked: all.iter().filter_map(name).collect(),
        }
    }

    fn judge(&self, names: &[&str], purpose: &str, report: &mut Report) {
        if self.asked.is_empty() {
            report.not_checked("scopes", "the platform lists no permissions of the app");
            return;
        }
        let any = |set: &BTreeSet<&str>| names.iter().find(|name| set.contains(**name)).copied();
        if let Some(name) = any(&self.granted) {
            report.good("scopes", format!("{name} is granted, {purpose}"));
        } else if let Some(name) = any(&self.asked) {
            let says = format!("{name} is requested but not granted, {purpose}");
            let advice = format!(
                "publish a version at {RELEASE}, and have the administrator approve it; see {PERMISSIONS}"
            );
            report.failed("scopes", says, advice);
        } else {
            let names = names.join(" or ");
            let says = format!("the app has not been granted {names}, {purpose}");
            report.failed("scopes", says, grant(&names));
        }
    }
}

/// Checks whether a long connection would be granted. None is opened, because it would receive a share of the
/// events.
async fn connection(client: &FeishuClient, report: &mut Report) {
    let check = "connection";
    match client.endpoint(&mut LinkSettings::default()).await {
        Ok(_) => report.good(check, "the platform offers a long connection"),
        Err(NoConnection::Unreachable { reason }) => {
            report.failed(
                check,
                reason,
                "try again; check the firewall, and the proxy (`HTTPS_PROXY`) if there is one",
            );
        }
        Err(NoConnection::Refused { refusal, reason }) => {
            let advice = match refusal {
                ConnectionRefusal::Credentials => format!("see {CREDENTIALS}"),
                ConnectionRefusal::Domain => format!("see {CREDENTIALS} of either platform"),
                ConnectionRefusal::TooMany => "stop unused clients of the app".into(),
                ConnectionRefusal::Other => {
                    format!("see {EVENTS}, and whether a version is published at {RELEASE}")
                }
            };
            report.failed(check, reason, advice);
        }
    }
}
