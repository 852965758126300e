//! Checks a group's custom bot. A custom bot can only receive messages, so the check sends requests without a
//! message, which the bot rejects. The error shows whether the bot exists and accepts the signature. Source: doc
//! "自定义机器人使用指南".
//!
//! The page does not say whether a bot checks signature or form first. So a second request has a wrong signature.
//! Only if the bot rejects the two differently has it checked the signature.

use std::time::Duration;

use super::report::{Report, foreign};
use crate::feishu::codes::{Cause, Class, meaning};
use crate::feishu::custom_bot::{self, CLOCK_OFF_MAX_SECS};
use crate::model::Secret;
use crate::net::{Answer, Body, HttpClient, Method, NetError, Redactor, Request};

/// Where a group's bots are configured.
const GROUP: &str = "the group's Settings → Bots / 设置 → 群机器人";

/// The check of a custom bot.
pub(super) struct Check {
    pub(super) http: HttpClient,
    pub(super) url: Secret,
    pub(super) secret: Option<Secret>,
    /// Whether messages contain a keyword.
    pub(super) keyword: bool,
    pub(super) timeout: Duration,
}

impl Check {
    pub(super) async fn run(self, report: &mut Report) {
        let answer = match self.ask(self.secret.as_ref(), report).await {
            Ok(answer) => answer,
            Err(error) => {
                report.unreachable("bot", &error);
                return;
            }
        };
        report.compare_clocks(&answer);
        let Some((code, msg)) = custom_bot::said(&answer.body) else {
            let urls = self.http.proxies().iter().chain([&self.url]);
            let redactor = Redactor::new(urls, &self.secret, []);
            no_bot(&answer, &redactor, report);
            return;
        };
        match meaning(code, &msg).class {
            Class::Form => {
                report.good("bot", "the bot is there");
                self.signature(report).await;
                self.keyword(report);
            }
            class => self.refused(code, class, &answer, report),
        }
    }

    /// Sends a request without a message: it has neither `msg_type` nor content.
    async fn ask(&self, secret: Option<&Secret>, report: &Report) -> Result<Answer, NetError> {
        let body = match secret {
            None => serde_json::json!({}),
            Some(secret) => {
                let timestamp = report.now().as_secs();
                let sign = custom_bot::sign(secret, timestamp);
                serde_json::json!({ "timestamp": timestamp.to_string(), "sign": sign })
            }
        };
        let json = Secret::new("application/json; charset=utf-8");
        let request = Request {
            method: Method::Post,
            url: &self.url,
            headers: vec![("content-type".into(), json)],
            body: Body::Bytes(body.to_string().into()),
            timeout: self.timeout,
        };
        self.http.send(request).await
    }

    /// Sends a wrong signature. The relay's own passed; if the wrong one passes too, the bot checks no signature.
    async fn signature(&self, report: &mut Report) {
        let check = "signature";
        let Some(secret) = &self.secret else {
            let says = "there is no `secret`; only a message shows whether the bot requires one";
            report.not_checkable(check, says, format!("if {GROUP} says so, set `secret`"));
            return;
        };
        let wrong = Secret::new(format!("{}-wrong", secret.expose()));
        let answer = match self.ask(Some(&wrong), report).await {
            Ok(answer) => answer,
            Err(error) => {
                report.not_checked(check, format!("the answer was lost: {error}"));
                return;
            }
        };
        let class = custom_bot::said(&answer.body).map(|(code, msg)| meaning(code, &msg).class);
        match class {
            Some(Class::Stop(Cause::Signature)) => report.good(
                check,
                "the bot accepts the relay's signature and rejects a wrong one",
            ),
            Some(Class::Form) => report.not_checked(
                check,
                "the bot does not check the signature of a request without a message; it may check that of a message",
            ),
            _ => report.not_checked(check, "the bot's answer is not conclusive"),
        }
    }

    fn keyword(&self, report: &mut Report) {
        let says = "shows only with a message";
        if self.keyword {
            report.not_checked(
                "keyword",
                format!("whether `keyword` is one of the bot's {says}"),
            );
        } else {
            let says = format!("whether the bot requires a keyword {says}");
            report.not_checkable(
                "keyword",
                says,
                format!("if {GROUP} says so, set `keyword`"),
            );
        }
    }

    fn refused(&self, code: i64, class: Class, answer: &Answer, report: &mut Report) {
        let says = |what: &str| format!("code {code}: {what}");
        match class {
            Class::Stop(Cause::CustomBot) => report.failed(
                "bot",
                says("the bot is unknown or was deleted"),
                format!("copy the bot's whole URL again from {GROUP}"),
            ),
            Class::Stop(Cause::Signature) => self.bad_signature(code, answer, report),
            Class::Stop(Cause::OurAddress) => report.failed(
                "bot",
                says("this machine's address is not in the bot's IP allow list"),
                format!("add it in the bot's security settings, at {GROUP}"),
            ),
            Class::Stop(Cause::Keyword) if self.keyword => {
                report.good("bot", "the bot is there");
                self.keyword(report);
            }
            Class::Stop(Cause::Keyword) => report.failed(
                "keyword",
                says("the bot requires a keyword"),
                format!("set `keyword` to one of its list, at {GROUP}"),
            ),
            Class::SlowDown | Class::SlowDownBriefly => {
                report.not_checked("bot", says("the platform limits the rate; try again"));
            }
            Class::Retry => {
                report.not_checked("bot", says("an error inside the platform; try again"));
            }
            _ if code == 0 => report.warning(
                "bot",
                "accepted a request without a message, which Feishu's bots reject",
                "check `url`",
            ),
            _ => report.not_checked("bot", says("an unknown answer")),
        }
    }

    /// Reports a rejected signature, which has three causes: no signature, a wrong clock, a wrong secret.
    fn bad_signature(&self, code: i64, answer: &Answer, report: &mut Report) {
        let check = "signature";
        let ahead = answer.clock_ahead_secs(report.now()).unwrap_or_default();
        if self.secret.is_none() {
            let says = format!("code {code}: the bot requires signed messages");
            report.failed(check, says, format!("set `secret`, from {GROUP}"));
        } else if ahead.saturating_abs() >= CLOCK_OFF_MAX_SECS {
            let off = ahead.saturating_abs();
            let says =
                format!("code {code}: rejected, because this machine's clock is {off} s off");
            report.failed(check, says, "set the clock, and synchronise it with NTP");
        } else {
            let says = format!("code {code}: the signature is rejected");
            report.failed(check, says, format!("compare `secret` with {GROUP}"));
        }
    }
}

/// Reports an answer that does not come from a custom bot.
fn no_bot(answer: &Answer, redactor: &Redactor, report: &mut Report) {
    let says = foreign(answer, redactor);
    match answer.status {
        408 | 429 | 500..=599 => report.not_checked("bot", format!("{says}; try again")),
        _ => report.failed(
            "bot",
            says,
            format!("copy the bot's whole URL from {GROUP}"),
        ),
    }
}
