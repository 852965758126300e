//! Implements `incidents`: lists, shows and closes incidents.

mod close;
mod list;
mod show;

use super::context::{Context, Exit, Failure, block_on};
use super::words;
use crate::model::{GroupKey, Private};
use crate::view::IncidentSummary;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List open incidents, newest first
    List(list::Args),
    /// Show everything about one incident, with its next timers
    Show(show::Args),
    /// End an open incident, and say so in its messages
    Close(close::Args),
}

/// Runs a subcommand.
pub(super) fn run(context: &mut Context, command: &Command) -> Result<Exit, Failure> {
    block_on(async {
        match command {
            Command::List(args) => list::run(context, args).await,
            Command::Show(args) => show::run(context, args).await,
            Command::Close(args) => close::run(context, args).await,
        }
    })
}

/// Returns what an incident groups by: its type, and the values of `group_by`.
pub(super) fn key_text(incident: &IncidentSummary) -> String {
    let kind = incident.kind.as_ref();
    let kind = kind.map(|kind| format!("type {kind}"));
    let pair = |(key, value): &(GroupKey, Option<Private>)| {
        let value = value.as_ref().map(Private::expose);
        format!("{} {}", key.key(), words::or_dash(value))
    };
    let keys = (incident.keys > 0).then(|| words::counted(incident.keys, "further key"));
    let pairs = incident.key.iter().map(pair);
    let pairs = kind.into_iter().chain(pairs).chain(keys);
    let pairs = pairs.collect::<Vec<_>>().join(", ");
    words::or_dash(Some(&pairs))
}

#[cfg(test)]
pub(super) fn an_incident() -> IncidentSummary {
    use crate::model::{IncidentId, IncidentState, RuleName, Severity, Timestamp};
    let at = Timestamp::from_millis(1_711_111_111_000);
    IncidentSummary {
        id: IncidentId(3),
        state: IncidentState::Open,
        rule: RuleName::new("blank screen"),
        severity: Severity::Critical,
        kind: Some("fault".into()),
        key: vec![
            (GroupKey::Fault, Some(Private::new("white_screen"))),
            (
                GroupKey::Path,
                Some(Private::new(
                    "pages/pay/\u{1b}[2J支付页面白屏支付页面白屏支付页面白屏支付页面白屏",
                )),
            ),
            (GroupKey::Tenant, None),
        ],
        keys: 0,
        count: 300,
        people: 120,
        tenants: 3,
        since: at,
        last_at: at + std::time::Duration::from_secs(600),
        ended_at: None,
        merging: true,
    }
}
