//! Checks a configuration over the network without posting any message.
//!
//! Each subject (an app, a destination, a name of `[mentions]`, the relay itself) has its own `Check`; a few run
//! at a time. The findings are in its `Report`: good, warning, failed or not checked, with advice. Some things
//! cannot be checked without posting, or need a permission that the relay does not need otherwise. Those are
//! reported as not checked; nothing is guessed.
//!
//! The check requests tokens and the address of a long connection, and reads data. It does not open the
//! connection, because it would receive a share of the events. A custom bot and a Slack webhook can only receive
//! messages. They get a request without a message, and their rejection shows whether they work. Other receivers
//! get a `HEAD`.

mod checks;
mod feishu_app;
mod feishu_bot;
mod feishu_chat;
mod mentions;
mod open_api;
mod reachability;
mod report;
mod slack_app;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use self::report::Report;
pub use self::report::{CheckStatus, Finding, Subject};
use crate::config::Config;
use crate::destination::KindSettings;
use crate::feishu::app::{FEISHU_URL, LARK_URL};
use crate::feishu::custom_bot::CLOCK_OFF_MAX_SECS;
use crate::model::Clock;
use crate::net::ClientError;

/// How many checks run at once.
const AT_ONCE: usize = 8;
/// The time limit of the whole check.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(25);
/// The time limit of one request.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// The smallest clock difference that is reported. Smaller ones may be network latency.
const CLOCK_OFF_MIN_SECS: i64 = 60;

/// The base URLs of the platforms; tests replace them.
#[derive(Clone, Debug)]
struct Platforms {
    feishu: String,
    lark: String,
    /// The hosts, or parent domains, of Slack's own webhooks.
    slack: Vec<String>,
}

impl Default for Platforms {
    fn default() -> Self {
        Self {
            feishu: FEISHU_URL.into(),
            lark: LARK_URL.into(),
            slack: vec!["slack.com".into(), "slack-gov.com".into()],
        }
    }
}

/// The check of one subject.
enum Check {
    App(Box<feishu_app::Check>),
    Chat(feishu_chat::Check),
    Bot(feishu_bot::Check),
    SlackApp(slack_app::Check),
    SlackWebhook(reachability::SlackWebhook),
    Receiver(reachability::Receiver),
    File(reachability::File),
    People(mentions::Check),
    PublicUrl(reachability::PublicUrl),
}

impl Check {
    async fn run(self, report: &mut Report) {
        match self {
            Self::App(check) => check.run(report).await,
            Self::Chat(check) => check.run(report).await,
            Self::Bot(check) => check.run(report).await,
            Self::SlackApp(check) => check.run(report).await,
            Self::SlackWebhook(check) => check.run(report).await,
            Self::Receiver(check) => check.run(report).await,
            Self::File(check) => check.run(report),
            Self::People(check) => check.run(report).await,
            Self::PublicUrl(check) => check.run(report).await,
        }
    }
}

/// Runs all checks of a valid configuration, within half a minute. Fails only if no HTTP client can be created.
pub async fn run(config: &Config, clock: Arc<dyn Clock>) -> Result<Vec<Finding>, ClientError> {
    examine_at(config, clock, &Platforms::default()).await
}

async fn examine_at(
    config: &Config,
    clock: Arc<dyn Clock>,
    platforms: &Platforms,
) -> Result<Vec<Finding>, ClientError> {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let deadline = Instant::now() + WHOLE_TIMEOUT;
    let mut visits = JoinSet::new();
    for (number, (subject, check)) in checks::patients(config, platforms)?.into_iter().enumerate() {
        let (turns, clock) = (Arc::clone(&turns), Arc::clone(&clock));
        visits.spawn(async move {
            let mut report = Report::new(subject, clock);
            let visit = async {
                let _turn = turns.acquire().await;
                check.run(&mut report).await;
            };
            if timeout_at(deadline, visit).await.is_err() {
                report.not_checked("rest", "there was no time left; try again");
            }
            (number, report)
        });
    }
    let mut charts = BTreeMap::new();
    while let Some(visit) = visits.join_next().await {
        match visit {
            Ok((number, report)) => charts.insert(number, report),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
    }
    let offsets = charts.values().flat_map(|report| report.ahead_secs.clone());
    let mut relay = Report::new(Subject::Relay, clock);
    judge_clock(offsets.collect(), signs(config), &mut relay);
    reachability::examine_stores(&config.store.location, &config.archive, &mut relay);
    let findings = charts.into_values().flat_map(|report| report.findings);
    Ok(relay.findings.into_iter().chain(findings).collect())
}

/// Returns whether messages to a custom bot are signed.
fn signs(config: &Config) -> bool {
    let mut kinds = config.destinations.values().map(|one| &one.kind);
    kinds.any(|kind| matches!(kind, KindSettings::FeishuBot { secret, .. } if secret.is_some()))
}

/// Checks this machine's clock against the median of the platforms' clocks, so that one wrong clock has no
/// effect.
fn judge_clock(mut ahead_secs: Vec<i64>, signs: bool, report: &mut Report) {
    ahead_secs.sort_unstable();
    let Some(ahead) = ahead_secs.get(ahead_secs.len() / 2).copied() else {
        report.not_checked(
            "clock",
            "no platform answered, so there is nothing to compare with",
        );
        return;
    };
    let off = ahead.saturating_abs();
    let side = if ahead > 0 { "ahead" } else { "behind" };
    let says = format!("this machine's clock is {off} s {side} of the platforms'");
    let advice = "set the clock, and synchronise it with NTP";
    match off {
        ..=CLOCK_OFF_MIN_SECS => report.good("clock", "agrees with the platforms'"),
        _ if off >= CLOCK_OFF_MAX_SECS && signs => {
            let says = format!("{says}: custom bots reject its signatures");
            report.failed("clock", says, advice);
        }
        _ => {
            let says = format!(
                "{says}; buttons of Slack's and receivers of Standard Webhooks allow 5 min, custom bots 1 h"
            );
            report.warning("clock", says, advice);
        }
    }
}
