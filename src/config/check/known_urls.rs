//! Checks URLs of a known form: a Feishu bot's, a Slack webhook's and so on. Reports a URL at the wrong kind of
//! destination, or one with an unfilled placeholder, before the first message is lost.
//!
//! Only public hosts are known. Stand-ins on loopback and self-hosted services are not checked.

use toml::Spanned;
use url::Url;

use crate::model::Secret;
use crate::toml_reader::{Diagnostics, Location, codes};

/// The kind of destination that a URL belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taker {
    FeishuBot,
    SlackWebhook,
    /// With its own body it can post to any service.
    Webhook {
        own_body: bool,
    },
}

/// The service that a URL belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    FeishuBot,
    FeishuBotV1,
    FeishuFlow,
    FeishuApi,
    SlackWebhook,
    SlackWorkflow,
    Slack,
    /// Accepts the payloads of `slack-webhook`.
    SlackCompatible,
    /// Accepts only its own JSON.
    Other(&'static str),
}

const FEISHU_HELP: &str = "in the group's settings, Bots, add a custom bot; its URL is https://open.feishu.cn/open-apis/bot/v2/hook/ and an id \
     (Lark: open.larksuite.com)";
const SLACK_HELP: &str = "in the Slack app's settings, Incoming Webhooks; its URL is https://hooks.slack.com/services/ and three ids";

/// Reports a URL that this destination cannot use. Returns whether one was reported.
pub(super) fn check(
    url: &Spanned<Secret>,
    taker: Taker,
    at: &Location,
    out: &mut Diagnostics,
) -> bool {
    let Ok(parsed) = Url::parse(url.get_ref().expose()) else {
        return false; // reported elsewhere
    };
    if is_placeholder(&parsed) {
        let message = "this URL still contains a placeholder";
        let help = match taker {
            Taker::FeishuBot => FEISHU_HELP,
            Taker::SlackWebhook => SLACK_HELP,
            Taker::Webhook { .. } => "copy the whole URL from the receiver's settings",
        };
        out.add_with_help(codes::PLACEHOLDER, at, message, help);
        return true;
    }
    let Some(owner) = owner(&parsed) else {
        return false;
    };
    if let Some((message, help)) = not_for(owner, taker) {
        out.add_with_help(codes::OTHER_KIND, at, message, help);
        return true;
    }
    if let Some((message, help)) = incomplete(owner, &parsed) {
        out.add_with_help(codes::PLACEHOLDER, at, message, help);
        return true;
    }
    false
}

fn owner(url: &Url) -> Option<Owner> {
    let host = url.host_str()?.trim_end_matches('.');
    let below = |domain: &str| {
        let rest = host.strip_suffix(domain);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let path = url.path();
    let other = |name| Some(Owner::Other(name));
    if below("feishu.cn") || below("larksuite.com") || below("larkoffice.com") {
        return Some(if path.starts_with("/open-apis/bot/v2/hook") {
            Owner::FeishuBot
        } else if path.starts_with("/open-apis/bot/hook") {
            Owner::FeishuBotV1
        } else if path.starts_with("/flow/api/trigger") || path.starts_with("/anycross/") {
            Owner::FeishuFlow
        } else {
            Owner::FeishuApi
        });
    }
    if below("slack.com") || below("slack-gov.com") {
        return Some(if !host.starts_with("hooks.") {
            Owner::Slack
        } else if path.starts_with("/workflows/") || path.starts_with("/triggers/") {
            Owner::SlackWorkflow
        } else {
            Owner::SlackWebhook
        });
    }
    if below("dingtalk.com") {
        return other("DingTalk");
    }
    if below("qyapi.weixin.qq.com") {
        return other("WeCom");
    }
    if below("discord.com") || below("discordapp.com") {
        return Some(match path.trim_end_matches('/').ends_with("/slack") {
            true => Owner::SlackCompatible,
            false => Owner::Other("Discord"),
        });
    }
    let teams = [
        "webhook.office.com",
        "outlook.office.com",
        "logic.azure.com",
        "api.powerplatform.com",
    ];
    if teams.iter().any(|domain| below(domain)) {
        return other("Microsoft Teams");
    }
    if below("api.telegram.org") {
        return other("Telegram");
    }
    if below("chat.googleapis.com") {
        return other("Google Chat");
    }
    if below("events.pagerduty.com") {
        return other("PagerDuty");
    }
    None
}

/// Returns why this destination cannot use the owner's URL, and what to write instead.
fn not_for(owner: Owner, taker: Taker) -> Option<(String, String)> {
    use Taker::{FeishuBot, SlackWebhook, Webhook};
    let said = |what: &str, help: &str| Some((format!("this URL is {what}"), help.to_owned()));
    match (owner, taker) {
        (Owner::FeishuBotV1, _) => said(
            "that of a Feishu custom bot of the first version, which accepts no cards",
            FEISHU_HELP,
        ),
        (Owner::FeishuBot, FeishuBot)
        | (Owner::SlackWebhook | Owner::SlackCompatible, SlackWebhook)
        | (Owner::FeishuFlow, Webhook { .. })
        | (_, Webhook { own_body: true }) => None,
        (Owner::FeishuBot, SlackWebhook | Webhook { .. }) => {
            said("a Feishu custom bot's", "write kind = \"feishu-bot\"")
        }
        (Owner::FeishuFlow, FeishuBot | SlackWebhook) => said(
            "the trigger of a Feishu flow, not a custom bot's",
            &format!("{FEISHU_HELP}. For the flow itself write kind = \"webhook\""),
        ),
        (Owner::FeishuApi, FeishuBot | SlackWebhook | Webhook { .. }) => said(
            "Feishu's, and not a custom bot's",
            &format!("{FEISHU_HELP}. An app sends messages with kind = \"feishu-app\" and no URL"),
        ),
        (Owner::SlackWebhook, FeishuBot | Webhook { .. }) => said(
            "a Slack incoming webhook's",
            "write kind = \"slack-webhook\"",
        ),
        (Owner::SlackWorkflow, FeishuBot | SlackWebhook | Webhook { .. }) => said(
            "the trigger of a Slack workflow, not an incoming webhook's",
            &format!(
                "{SLACK_HELP}. For the workflow itself write kind = \"webhook\" and a `body` with its variables"
            ),
        ),
        (Owner::Slack, FeishuBot | SlackWebhook | Webhook { .. }) => said(
            "Slack's, and not an incoming webhook's",
            &format!(
                "{SLACK_HELP}. An app sends messages with kind = \"slack-app\", `token` and `channel`"
            ),
        ),
        (Owner::SlackCompatible, FeishuBot | Webhook { .. }) => said(
            "for messages in the shape of Slack's",
            "write kind = \"slack-webhook\"",
        ),
        (Owner::Other(name), FeishuBot | SlackWebhook | Webhook { .. }) => said(
            &format!("{name}'s, which accepts only its own message format"),
            "write kind = \"webhook\" and a `body`, a template of `templates.dir` in that format",
        ),
    }
}

/// Returns which part of the owner's URL is missing, and where to find the whole URL.
fn incomplete(owner: Owner, url: &Url) -> Option<(String, String)> {
    let parts = |after: &str| {
        let rest = url.path().strip_prefix(after).unwrap_or_default();
        rest.split('/').filter(|part| !part.is_empty()).count()
    };
    let query = |name: &str| {
        url.query_pairs()
            .any(|(key, value)| key == name && !value.is_empty())
    };
    let lacks = |what: &str, help: &str| Some((format!("this URL lacks {what}"), help.to_owned()));
    match owner {
        Owner::FeishuBot if parts("/open-apis/bot/v2/hook") != 1 => {
            lacks("the bot's id at its end", FEISHU_HELP)
        }
        Owner::SlackWebhook if parts("/services") != 3 => {
            lacks("the three ids behind /services/", SLACK_HELP)
        }
        Owner::Other("DingTalk") if !query("access_token") => lacks(
            "`access_token`",
            "copy the whole URL from the settings of the group's robot",
        ),
        Owner::Other("WeCom") if !query("key") => lacks(
            "`key`",
            "copy the whole URL from the settings of the group's robot",
        ),
        Owner::Other("Discord") if parts("/api/webhooks") < 2 => lacks(
            "the webhook's id and token",
            "copy the whole URL from the channel's settings, Integrations",
        ),
        _ => None,
    }
}

/// Returns whether a part of the URL is still a placeholder.
fn is_placeholder(url: &Url) -> bool {
    let segments = url.path().split('/').map(str::to_owned);
    let values = url.query_pairs().map(|(_, value)| value.into_owned());
    segments.chain(values).any(|part| stands_in(&part))
}

/// Returns whether `text` is a placeholder instead of an id: `xxxxxxxx-xxxx`, `<token>`, `YOUR_KEY`.
pub(super) fn stands_in(text: &str) -> bool {
    let letters: Vec<char> = text
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == '*')
        .collect();
    let crossed = letters.len() >= 4 && letters.iter().all(|c| matches!(c, 'x' | 'X' | '*'));
    let lower = text.to_lowercase();
    let words = [
        "your_",
        "your-",
        "yourtoken",
        "your token",
        "<",
        ">",
        "%3c",
        "%3e",
        "%7b",
        "{",
        "…",
        "%e2%80%a6",
        "...",
    ];
    crossed || words.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Returns the code and message of the diagnostic, or an empty string if the URL is accepted.
    fn said(url: &str, taker: Taker) -> String {
        let mut out = Diagnostics::new(Path::new("relay.toml"));
        let at = Location::new("destinations.x.url", 0..1);
        check(&Spanned::new(0..1, Secret::new(url)), taker, &at, &mut out);
        let all = out.into_sorted(&[]).into_iter();
        all.map(|one| {
            format!(
                "{} {}: {}",
                one.code,
                one.message,
                one.help.unwrap_or_default()
            )
        })
        .collect()
    }

    const WEBHOOK: Taker = Taker::Webhook { own_body: false };
    const OWN_BODY: Taker = Taker::Webhook { own_body: true };
    const ALL: [Taker; 4] = [Taker::FeishuBot, Taker::SlackWebhook, WEBHOOK, OWN_BODY];
    const BOT: &str = "https://open.feishu.cn/open-apis/bot/v2/hook/5b1f7d1c-98b2";
    const SLACK: &str = "https://hooks.slack.com/services/T0/B0/abc";

    /// A URL, the kinds that accept it, and a word of the message that every other kind reports.
    const OF_OTHERS: &[(&str, &[Taker], &str)] = &[
        (BOT, &[Taker::FeishuBot, OWN_BODY], "feishu-bot"),
        (
            "https://open.larksuite.com/open-apis/bot/v2/hook/1",
            &[Taker::FeishuBot, OWN_BODY],
            "feishu-bot",
        ),
        (
            "https://open.feishu.cn/open-apis/bot/hook/5b1f",
            &[],
            "bot/v2/hook",
        ),
        (
            "https://www.feishu.cn/flow/api/trigger-webhook/5b1f",
            &[WEBHOOK, OWN_BODY],
            "custom bot",
        ),
        (
            "https://open.feishu.cn/open-apis/im/v1/messages",
            &[OWN_BODY],
            "feishu-app",
        ),
        (SLACK, &[Taker::SlackWebhook, OWN_BODY], "slack-webhook"),
        (
            "https://hooks.slack.com/workflows/T0/A0/1/abc",
            &[OWN_BODY],
            "/services/",
        ),
        (
            "https://hooks.slack.com/triggers/T0/1/abc",
            &[OWN_BODY],
            "/services/",
        ),
        (
            "https://slack.com/api/chat.postMessage",
            &[OWN_BODY],
            "slack-app",
        ),
        (
            "https://oapi.dingtalk.com/robot/send?access_token=1f",
            &[OWN_BODY],
            "`body`",
        ),
        (
            "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1f",
            &[OWN_BODY],
            "`body`",
        ),
        (
            "https://discord.com/api/webhooks/1/abc",
            &[OWN_BODY],
            "`body`",
        ),
        (
            "https://discord.com/api/webhooks/1/abc/slack",
            &[Taker::SlackWebhook, OWN_BODY],
            "slack-webhook",
        ),
        (
            "https://x.webhook.office.com/webhookb2/1",
            &[OWN_BODY],
            "`body`",
        ),
        (
            "https://prod-1.westeurope.logic.azure.com/workflows/1/triggers",
            &[OWN_BODY],
            "`body`",
        ),
    ];

    #[test]
    fn url_of_another_kind_names_its_own() {
        for (url, taken_by, named) in OF_OTHERS {
            for taker in ALL {
                let said = said(url, taker);
                if taken_by.contains(&taker) {
                    assert_eq!(said, "", "{url} {taker:?}");
                } else {
                    assert!(
                        said.starts_with("E038") && said.contains(named),
                        "{url} {taker:?}: {said}"
                    );
                }
            }
        }
    }

    #[test]
    fn url_that_was_never_filled_in_is_an_error() {
        for (url, taker) in [
            (
                "https://open.feishu.cn/open-apis/bot/v2/hook/",
                Taker::FeishuBot,
            ),
            (
                "https://open.feishu.cn/open-apis/bot/v2/hook",
                Taker::FeishuBot,
            ),
            (
                "https://open.feishu.cn/open-apis/bot/v2/hook/xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                Taker::FeishuBot,
            ),
            (
                "https://open.feishu.cn/open-apis/bot/v2/hook/****",
                Taker::FeishuBot,
            ),
            (
                "https://open.feishu.cn/open-apis/bot/v2/hook/<token>",
                Taker::FeishuBot,
            ),
            ("https://hooks.slack.com/services/", Taker::SlackWebhook),
            (
                "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
                Taker::SlackWebhook,
            ),
            ("https://oapi.dingtalk.com/robot/send", OWN_BODY),
            (
                "https://oapi.dingtalk.com/robot/send?access_token=xxxxxx",
                OWN_BODY,
            ),
            (
                "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=",
                OWN_BODY,
            ),
            ("https://hooks.example.com/YOUR_TOKEN", WEBHOOK),
        ] {
            let said = said(url, taker);
            assert!(said.starts_with("E039"), "{url}: {said}");
        }
    }

    #[test]
    fn stand_ins_and_private_deployments_are_taken() {
        for url in [
            "http://127.0.0.1:1/open-apis/bot/v2/hook/x",
            "http://localhost/",
            "https://feishu.internal.example.com/open-apis/bot/v2/hook/1",
            "https://notfeishu.cn/open-apis/bot/hook/1",
            "https://mattermost.example.com/hooks/xtx9",
        ] {
            for taker in ALL {
                assert_eq!(said(url, taker), "", "{url}");
            }
        }
    }
}
