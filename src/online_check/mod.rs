//! The doctor: looks at all that only the network can tell, and posts nothing.
//!
//! Each subject (an app, a destination, a name of `[mentions]`, the relay itself) is a `Check`, examined
//! by itself, a few at a time. What is found stands on its `Report`: good, a warning, failed, or not
//! checked, with what to do and where. What cannot be told without posting, or without a permission that
//! the relay does not need otherwise, is said to be not checked; nothing is guessed.
//!
//! Nothing is ever posted. The doctor asks for tokens and for the address of a long connection (which is
//! not opened, so that it takes nobody's events), and reads. A custom bot and a webhook of Slack's can only
//! be told something: they get a request that holds no message, and are known by how they refuse it. Other
//! receivers get a `HEAD`.

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

/// So many subjects are examined at once.
const AT_ONCE: usize = 8;
/// How long all of it may take.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(25);
/// How long one exchange may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);
/// A difference of clocks that is worth a word; less is the way of the answer.
const CLOCK_OFF_MIN_SECS: i64 = 60;

/// Where the platforms are; elsewhere only in tests.
#[derive(Clone, Debug)]
struct Platforms {
    feishu: String,
    lark: String,
    /// The hosts, or parents of hosts, whose webhooks are Slack's own.
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

/// One subject, with what its examination takes.
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

/// Examines everything of a good configuration, within half a minute. Fails only if this machine can make no HTTP
/// client.
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
                report.not_checked("rest", "there was no time left for it; try again");
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
    reachability::examine_stores(&config.store.path, &config.images_dir, &mut relay);
    let findings = charts.into_values().flat_map(|report| report.findings);
    Ok(relay.findings.into_iter().chain(findings).collect())
}

/// Whether messages to a custom bot are signed.
fn signs(config: &Config) -> bool {
    let mut kinds = config.destinations.values().map(|one| &one.kind);
    kinds.any(|kind| matches!(kind, KindSettings::FeishuBot { secret, .. } if secret.is_some()))
}

/// Judges this machine's clock by the median of what the platforms' clocks say of it: one that is wrong
/// there does not count.
fn judge_clock(mut ahead_secs: Vec<i64>, signs: bool, report: &mut Report) {
    ahead_secs.sort_unstable();
    let Some(ahead) = ahead_secs.get(ahead_secs.len() / 2).copied() else {
        report.not_checked(
            "clock",
            "no platform answered that it could be compared with",
        );
        return;
    };
    let off = ahead.saturating_abs();
    let side = if ahead > 0 { "ahead" } else { "behind" };
    let says = format!("this machine's clock is {off} s {side} of the platforms'");
    let advice = "set the clock, and keep it by NTP";
    match off {
        ..=CLOCK_OFF_MIN_SECS => report.good("clock", "agrees with the platforms'"),
        _ if off >= CLOCK_OFF_MAX_SECS && signs => {
            let says = format!("{says}: custom bots refuse its signatures");
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
