//! Implements `digests`: lists digests, and shows what one would say now.

use super::context::{Context, Exit, Failure, block_on, names};
use super::events::Opened;
use super::text::{self, Table};
use super::words;
use crate::admin::digests;
use crate::config::Needs;
use crate::model::Private;
use crate::view::{ComparedView, DigestSummary, DigestView, ReportView};

const EXAMPLES: &str = "\
Examples:
  feedback-relay digests list
  feedback-relay digests show monday
  feedback-relay digests show monday --json | jq .total";

/// The width limit of a reporter's text, in columns.
const WORDS_COLUMNS: usize = 60;

#[derive(Debug, clap::Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Command {
    /// List the digests with their next times
    List(ListArgs),
    /// Show what a digest would say now: the reports since its last time
    Show(ShowArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Print JSON, one digest per line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The digest's name
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs a subcommand.
pub(super) fn run(context: &mut Context, command: &Command) -> Result<Exit, Failure> {
    block_on(async {
        match command {
            Command::List(args) => list(context, args).await,
            Command::Show(args) => show(context, args).await,
        }
    })
}

async fn list(context: &mut Context, args: &ListArgs) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let listed = digests::list(&store, &config.digests, context.now()).await?;
    if args.json {
        for one in &listed {
            context.out.json_line(one);
        }
    } else {
        context.out.text(&table(&listed));
    }
    Ok(Exit::Done)
}

fn table(listed: &[DigestSummary]) -> String {
    if listed.is_empty() {
        return "no digests\n".into();
    }
    let mut table = Table::new(["NAME", "AT", "TO", "LAST", "NEXT"]);
    for one in listed {
        let to: Vec<&str> = one.send_to.iter().map(|to| to.as_str()).collect();
        let [last, next] = [one.last_at, one.next_at].map(|at| at.map(|at| at.to_string()));
        table.push([
            one.name.clone(),
            one.at.clone(),
            to.join(" "),
            words::or_dash(last.as_deref()),
            words::or_dash(next.as_deref()),
        ]);
    }
    table.render()
}

async fn show(context: &mut Context, args: &ShowArgs) -> Result<Exit, Failure> {
    let opened = Opened::open(context, Needs::StoreOnly)?;
    let digests = opened.digests();
    let found = digests.iter().find(|digest| digest.name == args.name);
    let Some(digest) = found else {
        let known = names(digests.iter().map(|digest| digest.name.as_str()));
        let message = format!("there is no digest {:?}; there are: {known}", args.name);
        return Err(Failure::Usage(message));
    };
    let now = context.now();
    let view = opened.events().preview_digest(digest, now).await?;
    if args.json {
        context.out.json(&view);
    } else {
        context.out.text(&to_text(&view));
    }
    Ok(Exit::Done)
}

fn to_text(view: &DigestView) -> String {
    let line = |name: &str, value: &str| format!("{name:<12}{}\n", text::escape(value));
    let mut out = line("digest", &view.name);
    out.push_str(&line("from", &view.from.to_string()));
    out.push_str(&line("until", &view.until.to_string()));
    if view.total == 0 {
        out.push_str("no report came, so nothing would be sent\n");
        return out;
    }
    out.push_str(&line("reports", &number(view.total, view.before)));
    out.push_str(&line("images", &view.images.to_string()));
    for (name, counts) in [
        ("apps", &view.apps),
        ("faults", &view.faults),
        ("pages", &view.pages),
    ] {
        let counts: Vec<String> = counts.iter().map(compared).collect();
        out.push_str(&line(name, &words::or_dash(Some(&counts.join(", ")))));
    }
    let oldest = view.oldest_at.map(|at| format!(", the oldest from {at}"));
    let unhandled = format!("{}{}", view.unhandled, oldest.unwrap_or_default());
    out.push_str(&line("unhandled", &unhandled));
    out.push_str("\nnewest reports\n");
    for report in &view.newest {
        out.push_str(&format!("  {}\n", text::escape(&report_text(report))));
    }
    out
}

fn report_text(report: &ReportView) -> String {
    let typed = report.description.as_ref().map_or("", Private::expose);
    format!(
        "{}  {}  {}  {}",
        report.id,
        report.received_at,
        words::or_dash(Some(&report.what)),
        words::or_dash(Some(&text::cut(typed, WORDS_COLUMNS)))
    )
}

fn compared(one: &ComparedView) -> String {
    format!("{} {}", one.name, number(one.count, one.before))
}

fn number(count: u64, before: Option<u64>) -> String {
    match before {
        Some(before) => format!("{count} (before: {before})"),
        None => count.to_string(),
    }
}
