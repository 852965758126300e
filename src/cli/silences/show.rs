//! Implements `silences show`.

use super::super::context::{Context, Exit, Failure};
use super::super::events::Opened;
use super::super::{text, values, words};
use super::{muted_text, target_text};
use crate::config::Needs;
use crate::model::{Private, SilenceId};
use crate::view::SilenceView;

const EXAMPLES: &str = "\
Examples:
  feedback-relay silences show sil_3
  feedback-relay silences show 3 --json | jq -r .muted.messages";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The id, as `silences list` shows it: `sil_3` or `3`
    #[arg(value_parser = values::silence)]
    id: SilenceId,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Shows a silence.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let opened = Opened::open(context, Needs::StoreOnly)?;
    let silence = opened.events().silence(args.id, context.now()).await?;
    if args.json {
        context.out.json(&silence);
    } else {
        context.out.text(&to_text(&silence));
    }
    Ok(Exit::Done)
}

fn to_text(silence: &SilenceView) -> String {
    let line = |name: &str, value: &str| format!("{name:<10}{}\n", text::escape(value));
    let summary = &silence.summary;
    let said = |text: &Option<Private>| words::or_dash(text.as_ref().map(Private::expose));
    let state = if summary.active { "active" } else { "ended" };
    let mut out = line("silence", &summary.id.to_string());
    out.push_str(&line("state", state));
    out.push_str(&line("mutes", &target_text(&summary.target)));
    out.push_str(&line("since", &summary.since.to_string()));
    out.push_str(&line("until", &summary.ends_at.to_string()));
    if let Some(ended_at) = summary.ended_at {
        out.push_str(&line("ended", &ended_at.to_string()));
    }
    out.push_str(&line("author", &said(&summary.author)));
    out.push_str(&line("source", summary.source.key()));
    out.push_str(&line("reason", &said(&summary.reason)));
    out.push_str("\nmuted: ");
    out.push_str(&muted_text(&silence.muted));
    out
}

#[cfg(test)]
mod tests {
    use super::super::a_silence;
    use super::*;
    use crate::view::MutedView;

    #[test]
    fn everything_about_a_silence_is_shown_and_nothing_unsafe() {
        let shown = to_text(&SilenceView {
            summary: a_silence(),
            muted: MutedView::default(),
        });
        assert!(!shown.contains('\u{1b}'));
        insta::assert_snapshot!(shown);
    }
}
