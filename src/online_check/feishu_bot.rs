//! Checks a group's custom bot. A custom bot can only receive messages, so the check sends requests without a
//! message, which the bot rejects. The error shows whether the bot exists and accepts the signature. Source: doc
//! "自定义机器人使用指南".
//!
//! The page does not say whether a bot checks signature or form first. So a second request has a wrong signature.
//! Only if the bot rejects the two differently has it checked the signature.

use std::time::Duration;

use super::report::{Report, foreign};
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
        let Some(code) = custom_bot::code(&answer.body) else {
            let urls = self.http.proxies().iter().chain([&self.url]);
            let redactor = Redactor::new(urls, &self.secret, []);
            no_bot(&answer, &redactor, report);
            return;
        };
        if refuses_the_form(code) {
            report.good("bot", "the bot is there");
            self.signature(report).await;
            self.keyword(report);
        } else {
            self.refused(code, &answer, report);
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
        match self.ask(Some(&wrong), report).await.map(|answer| custom_bot::code(&answer.body)) {
            Ok(Some(19021)) => report.good(check, "the bot accepts the relay's signature and rejects a wrong one"),
            Ok(Some(code)) if refuses_the_form(code) => report.not_checked(
                check,
                "the bot does not check the signature of a request without a message; it may check that of a message",
            ),
            Ok(_) => report.not_checked(check, "the bot's answer is not conclusive"),
            Err(error) => report.not_checked(check, format!("the answer was lost: {error}")),
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

    fn refused(&self, code: i64, answer: &Answer, report: &mut Report) {
        let says = |what: &str| format!("code {code}: {what}");
        match code {
            19001 => report.failed(
                "bot",
                says("the bot is unknown or was deleted"),
                format!("copy the bot's whole URL again from {GROUP}"),
            ),
            19021 => self.bad_signature(code, answer, report),
            19022 | 99_991_401 => report.failed(
                "bot",
                says("this machine's address is not in the bot's IP allow list"),
                format!("add it in the bot's security settings, at {GROUP}"),
            ),
            19024 if self.keyword => {
                report.good("bot", "the bot is there");
                self.keyword(report);
            }
            19024 => report.failed(
                "keyword",
                says("the bot requires a keyword"),
                format!("set `keyword` to one of its list, at {GROUP}"),
            ),
            11232 | 99_991_400 => {
                report.not_checked("bot", says("the platform limits the rate; try again"));
            }
            1 | 2200 => report.not_checked("bot", says("an error inside the platform; try again")),
            0 => report.warning(
                "bot",
                "accepted a request without a message, which Feishu's bots reject",
                "check `url`",
            ),
            _ => report.not_checked("bot", says("an unknown answer")),
        }
    }

    /// Reports code 19021, which has three causes: no signature, a wrong clock, a wrong secret.
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

/// Returns whether the bot rejected the form: 19002 (message missing) or 9499 (unreadable).
const fn refuses_the_form(code: i64) -> bool {
    matches!(code, 19002 | 9499)
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
