//! Implements `silences`: adds, lists, shows and ends silences.

mod add;
mod end;
mod list;
mod show;

use super::context::{Context, Exit, Failure, block_on};
use super::{text, words};
use crate::view::{MutedView, SilenceTargetView};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Mute a rule or conditions for a while, and show what that would have muted in the last day
    Add(Box<add::Args>),
    /// List active silences, newest first
    List(list::Args),
    /// Show a silence and what it muted
    Show(show::Args),
    /// End a silence early
    End(end::Args),
}

/// Runs a subcommand.
pub(super) fn run(context: &mut Context, command: &Command) -> Result<Exit, Failure> {
    block_on(async {
        match command {
            Command::Add(args) => add::run(context, args).await,
            Command::List(args) => list::run(context, args).await,
            Command::Show(args) => show::run(context, args).await,
            Command::End(args) => end::run(context, args).await,
        }
    })
}

/// Describes what a silence mutes.
pub(super) fn target_text(target: &SilenceTargetView) -> String {
    let rule = target.rule.as_ref();
    let incident = target.incident.map(|id| format!("reports like {id}"));
    let parts = [
        rule.map(|rule| format!("rule {:?}", rule.as_str())),
        target.conditions.clone(),
        incident,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Describes muted messages: how many, by rule and destination, and the newest reports.
fn muted_text(muted: &MutedView) -> String {
    let mut out = format!(
        "{} of {}\n",
        words::counted(muted.messages, "message"),
        words::counted(muted.reports, "report")
    );
    for one in &muted.counts {
        let line = format!(
            "{} of rule {:?} to {}",
            words::counted(one.messages, "message"),
            one.rule.as_str(),
            one.destination
        );
        out.push_str(&format!("  {}\n", text::escape(&line)));
    }
    if !muted.newest.is_empty() {
        out.push_str("newest reports\n");
    }
    for report in &muted.newest {
        out.push_str(&format!("  {}\n", text::escape(&words::report(report))));
    }
    out
}

#[cfg(test)]
pub(super) fn a_silence() -> crate::view::SilenceSummary {
    use crate::model::{Private, RuleName, Silence, SilenceId, SilenceSource, SilenceTarget};
    let now = crate::model::Timestamp::from_millis(1_711_111_111_000);
    let silence = Silence {
        id: SilenceId(3),
        target: SilenceTarget {
            rule: Some(RuleName::new("blank screen")),
            conditions: vec!["path = \"pages/pay/*\"\nfault = [\"crash\", 2]\n".into()],
            incident: None,
        },
        created_at: now,
        ends_at: now + std::time::Duration::from_secs(7200),
        ended_at: None,
        reason: Some(Private::new("rebuilt\u{1b}[2J until noon")),
        author: Some(Private::new("li")),
        source: SilenceSource::Command,
        destination: None,
        reports: 12,
        messages: 24,
    };
    crate::view::SilenceSummary::new(silence, now)
}
