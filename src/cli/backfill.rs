//! Implements `backfill`: takes in feedback that never arrived. It runs beside the relay, which delivers the
//! events.

use std::sync::Arc;

use super::context::{Context, Exit, Failure, block_on, names};
use super::text::Table;
use super::values::{Since, since};
use crate::app;
use crate::config::Config;
use crate::intake::Intake;
use crate::intake::backfill::{Notified, REACH, Report, Source, Window};
use crate::model::{AppName, Current, EventId, Timestamp};
use crate::notices::Notifier;
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::view::{BackfillView, BackfilledView};

const EXAMPLES: &str = "\
Examples:
  feedback-relay backfill shop                    since a relay first served the app
  feedback-relay backfill shop --since 3d --dry-run

Feedback that is more than an hour old causes no separate messages: chats get one summary for each rule. Feedback that is
already processed or closed is stored without any message. `serve` also does this regularly (`backfill = \"1h\"`).";

/// Width of the progress bar, in cells.
const BAR: u32 = 20;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The app, by its name in the configuration
    app: String,
    /// Fetch feedback reported since then, e.g. 3d, at most 180d; also from before a relay first served the app
    #[arg(long, value_name = "WHEN", value_parser = since)]
    since: Option<Since>,
    /// Show what would be added, and add nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The result of a backfill.
struct Done {
    app: AppName,
    since: Timestamp,
    dry_run: bool,
    report: Report,
    summaries: Vec<EventId>,
    /// Why it stopped early. `None`: it is complete.
    failure: Option<String>,
}

/// Makes one pass.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config()?;
    let source = source(&config, &args.app)?;
    let done = block_on(round(context, args, &config, &source))?;
    context.out.progress("");
    if args.json {
        context.out.json(&done.view());
    } else {
        context.out.text(&done.to_text());
    }
    match done.failure {
        None => Ok(Exit::Done),
        Some(reason) => Err(Failure::of("the list was not read to the end", reason)),
    }
}

fn source(config: &Config, name: &str) -> Result<Source, Failure> {
    let clients =
        app::Clients::build(config).map_err(|error| Failure::Failed(error.to_string()))?;
    let mut sources = app::sources(config, &clients);
    let Some(source) = sources.remove(name) else {
        let known = names(config.apps.keys().map(AppName::as_str));
        let reason = format!("there is no app {name:?}; there are: {known}");
        return Err(Failure::Usage(reason));
    };
    if source.app.app_secret.is_none() {
        let reason = format!(
            "the app {name} has no `app_secret`, which is needed to read its feedback list (store apps have no such list)"
        );
        return Err(Failure::Usage(reason));
    }
    Ok(source)
}

async fn round(
    context: &mut Context,
    args: &Args,
    config: &Config,
    source: &Source,
) -> Result<Done, Failure> {
    let store = context.store(config)?;
    let now = context.now();
    let since = begin(&store, args, source, now).await?;
    let intake = intake(context, config, &store);
    let window = Window::new(since, now);
    let out = &mut context.out;
    out.progress(&bar(source, window, &Report::default()));
    let mut progress = |report: &Report| out.progress(&bar(source, window, report));
    let (report, failure) = intake
        .backfill(source, window, args.dry_run, &mut progress)
        .await;
    let summaries = match args.dry_run {
        true => Vec::new(),
        false => store.summarise_late().await?,
    };
    Ok(Done {
        app: source.app.name.clone(),
        since: window.since,
        dry_run: args.dry_run,
        report,
        summaries,
        failure: failure.map(|failure| failure.to_string()),
    })
}

/// Returns the start of the window: the typed time, or when a relay first served the app.
async fn begin(
    store: &Store,
    args: &Args,
    source: &Source,
    now: Timestamp,
) -> Result<Timestamp, Failure> {
    if let Some(since) = args.since {
        let since = since.from(now);
        if since < now - REACH {
            let reason = "Feishu's list contains 180 days: use --since 180d or less";
            return Err(Failure::Usage(reason.into()));
        }
        return Ok(since);
    }
    store.mark(&source.known_since()).await?.ok_or_else(|| {
        let app = &source.app.name;
        Failure::Failed(format!(
            "no relay has served the app {app} yet, so it has missed nothing; use --since to fetch anyway"
        ))
    })
}

fn intake(context: &Context, config: &Config, store: &Store) -> Intake {
    let metrics = Arc::new(Metrics::new());
    let operator = Notifier::new(
        store.clone(),
        Arc::clone(&metrics),
        context.clock(),
        Current::new(config.notify.clone()),
    );
    let settings = Current::new(app::intake_settings(config));
    Intake::new(store.clone(), metrics, context.clock(), operator, settings)
}

/// Formats the progress: the part of the window that the reports read so far cover. The API does not return
/// the length of the list.
fn bar(source: &Source, window: Window, report: &Report) -> String {
    let whole = window.now.since(window.since).as_secs_f64().max(1.0);
    let met = report
        .span
        .map_or(0.0, |(first, last)| last.since(first).as_secs_f64() / whole);
    let cell = |number| match f64::from(number) < met * f64::from(BAR) {
        true => '#',
        false => '-',
    };
    let cells: String = (0..BAR).map(cell).collect();
    format!(
        "{} [{cells}] page {}: {} reports, {} never arrived",
        source.app.name,
        report.pages,
        report.listed(),
        report.taken.len()
    )
}

impl Done {
    fn count(&self, telling: Notified) -> usize {
        let all = self.report.taken.iter();
        all.filter(|taken| taken.telling == telling).count()
    }

    fn to_text(&self) -> String {
        let report = &self.report;
        let mut out = format!(
            "{}: {} reports since {}: {} arrived as events, {} taken in earlier, {} never arrived\n",
            self.app,
            report.listed(),
            self.since,
            report.by_event,
            report.by_list,
            report.taken.len()
        );
        if report.unreadable > 0 {
            let line = format!(
                "list items without an id or a time: {}\n",
                report.unreadable
            );
            out.push_str(&line);
        }
        if report.taken.is_empty() {
            return out;
        }
        let verb = if self.dry_run { "would be" } else { "are" };
        out.push_str(&format!(
            "of these {} {verb} delivered at once, {} in a late summary, {} stored only\n\n",
            self.count(Notified::AtOnce),
            self.count(Notified::Quietly),
            self.count(Notified::Not)
        ));
        let mut table = Table::new(["FEEDBACK", "REPORTED", "TOLD"]);
        for taken in &report.taken {
            let reported = taken.reported_at.to_string();
            table.push([taken.id.clone(), reported, taken.telling.key().into()]);
        }
        out.push_str(&table.render());
        out
    }

    fn view(&self) -> BackfillView {
        let report = &self.report;
        let taken = report.taken.iter().map(|taken| BackfilledView {
            feedback_id: taken.id.clone(),
            reported_at: taken.reported_at,
            told: taken.telling.key(),
        });
        BackfillView {
            app: self.app.clone(),
            since: self.since,
            dry_run: self.dry_run,
            pages: report.pages,
            listed: report.listed(),
            by_event: report.by_event,
            by_list: report.by_list,
            only_in_list: report.only_in_list(),
            unreadable: report.unreadable,
            taken: taken.collect(),
            summaries: self.summaries.clone(),
            error: self.failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::backfill::Taken;

    fn done(dry_run: bool) -> Done {
        let at = Timestamp::from_millis(1_711_111_111_000);
        let taken = |id: &str, telling| Taken {
            id: id.into(),
            reported_at: at,
            telling,
        };
        Done {
            app: AppName::new("shop"),
            since: at,
            dry_run,
            report: Report {
                pages: 2,
                by_event: 100,
                by_list: 1,
                taken: vec![
                    taken("7057888018203574291", Notified::Quietly),
                    taken("\u{1b}[2J", Notified::Not),
                ],
                unreadable: 1,
                span: None,
            },
            summaries: vec!["summary:0000000000007".into()],
            failure: None,
        }
    }

    #[test]
    fn what_was_found_is_said_and_nothing_unsafe() {
        insta::assert_snapshot!(done(true).to_text());
        assert!(done(false).to_text().contains("are delivered at once"));
        insta::assert_json_snapshot!(done(false).view());
    }
}
