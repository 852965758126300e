//! Implements `silences add`.

use std::time::Duration;

use super::super::conditions::ConditionOptions;
use super::super::context::{Context, Exit, Failure};
use super::super::events::Opened;
use super::super::{values, words};
use super::{muted_text, target_text};
use crate::admin::{EventQuery, silences};
use crate::config::Needs;
use crate::model::{RuleName, SILENCE_LONG, SILENCE_MAX, SilenceTarget, Timestamp};
use crate::rules::RuleSet;
use crate::toml_reader::suggest;
use crate::view::AddedSilenceView;

const EXAMPLES: &str = "\
Examples:
  feedback-relay silences add --rule 'blank screen' --for 2h --reason 'the pay page is being rebuilt'
  feedback-relay silences add --path 'pages/pay*' --fault crash --for 3d --reason 'fixed in 2.4, out on Friday'
  feedback-relay silences add --rule faults --path 'pages/pay*' --until 2026-03-01T14:00:00+08:00 --reason 'load test'
  feedback-relay silences add --app order --for 1h --reason 'deployment' --dry-run   only show what it would mute

A report is muted if all options apply to it. Muted reports are stored and counted, and `events replay` sends them
later. Destinations of the kinds `webhook` and `file` get every report.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// Mute messages of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// How long: a duration (30m, 2h, 3d), at most 30 days
    #[arg(long = "for", value_name = "DURATION", value_parser = values::length, required_unless_present = "until")]
    length: Option<Duration>,
    /// Until when, a time (2026-03-01T14:00:00+08:00), instead of --for
    #[arg(long, value_name = "TIME", value_parser = values::time, conflicts_with = "length")]
    until: Option<Timestamp>,
    /// Why, for those who miss the messages
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The author's name; default: the user of the system
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Only show what it would mute
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    conditions: ConditionOptions,
}

/// Adds a silence.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let opened = Opened::open(context, Needs::StoreOnly)?;
    let (now, events) = (context.now(), opened.events());
    let target = target(args, events.config.rules)?;
    let ends_at = ends_at(args, now)?;
    let reason = given("reason", &args.reason)?;
    let author = author(context, args)?;
    let new = silences::new(target, ends_at, reason, &author);
    let added = events.silence_reports(new, args.dry_run, now).await?;
    if ends_at.since(now) > SILENCE_LONG {
        context.out.note(&format!(
            "warning: the silence is longer than {}; it ends at {ends_at}",
            words::span(SILENCE_LONG)
        ));
    }
    if args.json {
        context.out.json(&added);
    } else {
        context.out.text(&to_text(&added));
    }
    Ok(Exit::Done)
}

/// Returns what is to be muted.
fn target(args: &Args, rules: &RuleSet) -> Result<SilenceTarget, Failure> {
    let query = EventQuery {
        keys: args.conditions.keys(),
        ..EventQuery::default()
    };
    let keys = Some(query.conditions()).filter(|keys| !keys.is_empty());
    let conditions: Vec<String> = keys
        .into_iter()
        .chain(args.conditions.toml.clone())
        .collect();
    if args.rule.is_none() && conditions.is_empty() {
        let reason = "there is nothing to mute: name a rule with --rule, or conditions such as --path 'pages/pay*'";
        return Err(Failure::Usage(reason.into()));
    }
    if let Some(name) = &args.rule
        && !rules.names().any(|known| known.as_str() == name)
    {
        let names = rules.names().map(RuleName::as_str);
        let help = suggest::value(name, names).map(|help| format!("; {help}"));
        let help = help.unwrap_or_default();
        return Err(Failure::Usage(format!("there is no rule {name:?}{help}")));
    }
    Ok(SilenceTarget {
        rule: args.rule.as_deref().map(RuleName::new),
        conditions,
        incident: None,
    })
}

fn ends_at(args: &Args, now: Timestamp) -> Result<Timestamp, Failure> {
    let ends_at = match (args.length, args.until) {
        (Some(length), _) => now + length,
        (None, until) => until.unwrap_or(now),
    };
    if ends_at <= now {
        let reason = format!("--until is in the past: it is {now} now");
        return Err(Failure::Usage(reason));
    }
    if ends_at.since(now) > SILENCE_MAX {
        let most = words::span(SILENCE_MAX);
        let reason = format!("a silence lasts {most} at most, so that none is forgotten");
        return Err(Failure::Usage(reason));
    }
    Ok(ends_at)
}

/// Returns a text without surrounding blanks, which has to contain something.
fn given<'a>(option: &str, text: &'a str) -> Result<&'a str, Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::Usage(format!("--{option} is empty")));
    }
    Ok(text)
}

/// Returns the author: the named one, else the user of the system, by number if its name is unknown.
fn author(context: &Context, args: &Args) -> Result<String, Failure> {
    if let Some(author) = &args.author {
        return given("author", author).map(str::to_owned);
    }
    let environment = context.environment();
    let names = ["USER", "LOGNAME"].into_iter();
    let mut names = names.filter_map(|name| environment.get(name));
    let number = || format!("user {}", rustix::process::getuid().as_raw());
    let known = names.find(|name| !name.is_empty());
    Ok(known.cloned().unwrap_or_else(number))
}

fn to_text(added: &AddedSilenceView) -> String {
    let mut out = format!(
        "mutes {}\n",
        super::text::escape(&target_text(&added.target))
    );
    out.push_str("would have muted in the last day: ");
    out.push_str(&muted_text(&added.would_have_muted));
    if !added.complete {
        let examined = words::counted(added.examined, "event");
        out.push_str(&format!("only the newest {examined} were examined\n"));
    }
    let waiting = words::counted(added.waiting, "waiting message");
    match added.id {
        Some(id) => {
            out.push_str(&format!("muted {waiting}\n"));
            out.push_str(&format!("{id} mutes until {}\n", added.ends_at));
        }
        None => out.push_str(&format!("would mute {waiting}; nothing was added\n")),
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RuleName, SilenceId};
    use crate::view::{MutedCount, MutedView};

    fn added(id: Option<SilenceId>) -> AddedSilenceView {
        AddedSilenceView {
            id,
            dry_run: id.is_none(),
            target: super::super::a_silence().target,
            ends_at: Timestamp::from_millis(1_711_111_111_000),
            would_have_muted: MutedView {
                reports: 1,
                messages: 2,
                counts: vec![MutedCount {
                    rule: RuleName::new("blank\nscreen"),
                    destination: "oncall-chat".into(),
                    messages: 2,
                }],
                newest: Vec::new(),
            },
            examined: 10_000,
            complete: false,
            waiting: 1,
        }
    }

    #[test]
    fn result_says_what_is_muted_and_until_when() {
        insta::assert_snapshot!(to_text(&added(Some(SilenceId(3)))));
        let dry = to_text(&added(None));
        assert!(
            dry.ends_with("would mute 1 waiting message; nothing was added\n"),
            "{dry}"
        );
    }
}
