//! Implements `silences list`.

use super::super::context::{Context, Exit, Failure};
use super::super::text::{self, Table};
use super::super::words;
use super::target_text;
use crate::admin::silences;
use crate::config::Needs;
use crate::model::Private;
use crate::view::SilenceSummary;

const EXAMPLES: &str = "\
Examples:
  feedback-relay silences list
  feedback-relay silences list --all --json | jq -r 'select(.active) | .id'";

/// The width limits of target and reason, in columns.
const TARGET_COLUMNS: usize = 60;
const REASON_COLUMNS: usize = 40;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Also silences that have ended
    #[arg(long)]
    all: bool,
    /// Print JSON, one silence per line
    #[arg(long)]
    json: bool,
}

/// Lists silences, newest first.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let listed = silences::list(&store, args.all, context.now()).await?;
    if args.json {
        for silence in &listed {
            context.out.json_line(silence);
        }
    } else {
        context.out.text(&table(&listed, args.all));
    }
    Ok(Exit::Done)
}

fn table(silences: &[SilenceSummary], all: bool) -> String {
    if silences.is_empty() {
        return match all {
            true => "no silences\n".into(),
            false => "no active silences\n".into(),
        };
    }
    let mut table = Table::new([
        "ID", "STATE", "UNTIL", "REPORTS", "MESSAGES", "AUTHOR", "MUTES", "REASON",
    ]);
    for silence in silences {
        let state = if silence.active { "active" } else { "ended" };
        let until = silence.ended_at.unwrap_or(silence.ends_at);
        table.push([
            silence.id.to_string(),
            state.to_owned(),
            until.to_string(),
            silence.reports.to_string(),
            silence.messages.to_string(),
            words::or_dash(silence.author.as_ref().map(Private::expose)),
            text::cut(&target_text(&silence.target), TARGET_COLUMNS),
            reason(silence),
        ]);
    }
    table.render()
}

fn reason(silence: &SilenceSummary) -> String {
    let reason = silence.reason.as_ref().map(Private::expose);
    text::cut(reason.unwrap_or("(button)"), REASON_COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::super::a_silence;
    use super::*;

    #[test]
    fn silence_is_one_line() {
        let ended = SilenceSummary {
            active: false,
            ended_at: Some(a_silence().since),
            reason: None,
            author: None,
            ..a_silence()
        };
        insta::assert_snapshot!(table(&[a_silence(), ended], true));
        assert_eq!(table(&[], true), "no silences\n");
        assert_eq!(table(&[], false), "no active silences\n");
    }

    #[test]
    fn programs_see_the_same() {
        insta::assert_json_snapshot!(a_silence());
    }
}
