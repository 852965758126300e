//! Implements `check`: reports every mistake in the configuration, runs its `[[tests]]`, and optionally checks
//! over the network.

mod against;
mod annotations;
mod online;
mod rule_tests;

use serde_json::{Value, json};

use self::rule_tests::Ran;
use super::context::{Context, Exit, Failure, block_on};
use super::values::{self, Since};
use crate::config::{Config, Loaded};
use crate::destination::KindSettings;
use crate::diag::Level;
use crate::model::{RuleName, Secret};
use crate::net::{NO_CERTIFICATES, has_certificates};
use crate::online_check::{self, CheckStatus, Finding};

const EXAMPLES: &str = "\
Examples:
  feedback-relay check
  feedback-relay --config staging.toml check --deny-warnings
  feedback-relay check --online           also check with the platforms; posts nothing
  feedback-relay check --against 14d      which stored events these rules would send elsewhere; sends nothing
  feedback-relay check --format github    in a workflow: annotate the lines of the pull request

Exit status: 0 success, 1 a failed test or online check, or warnings with --deny-warnings, 2 errors.";

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Also check with the platforms and receivers: tokens, permissions, chats, signatures, people, the clock.
    /// Nothing is posted
    #[arg(long)]
    online: bool,
    /// Also compare these rules with the stored events since this long ago or this time: which of them would go to
    /// other destinations than they went. Nothing is sent; differences do not change the exit status
    #[arg(long, value_name = "TIME", value_parser = values::since)]
    against: Option<Since>,
    /// Also fail on warnings
    #[arg(long)]
    deny_warnings: bool,
    /// The output format
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
    /// Print JSON; the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// As annotations of a GitHub workflow
    Github,
}

/// The number of diagnostics of each level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    errors: usize,
    warnings: usize,
}

/// Counts of a valid configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Contents {
    apps: usize,
    destinations: usize,
    rules: usize,
}

impl Contents {
    fn of(config: &Config) -> Self {
        Self {
            apps: config.apps.len(),
            destinations: config.destinations.len(),
            rules: config.rules.count(),
        }
    }
}

/// Prints all diagnostics, which are the result of this command.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let loaded = context.load_with_tests();
    let counts = count(&loaded);
    let contents = loaded.config.as_ref().map(Contents::of);
    let ran = match &loaded.config {
        Some(config) => rule_tests::run(config, &loaded.tests)?,
        None => Ran::default(),
    };
    let file = context.file();
    warn_of_certificates(context, loaded.config.as_ref());
    let findings = match &loaded.config {
        Some(config) if args.online => Some(run_online(context, config)?),
        Some(_) | None => None,
    };
    let comparison = match (&loaded.config, args.against) {
        (Some(config), Some(since)) => Some(against::compare(context, config, since)?),
        _ => None,
    };
    let format = if args.json { Format::Json } else { args.format };
    match format {
        Format::Json => {
            let tests = contents.map(|_| tests_json(&ran, &loaded));
            let mut answer = to_json(&file, counts, contents, &loaded.to_json(), &tests);
            if ran.failed > 0 {
                answer["good"] = false.into();
            }
            if let Some(findings) = &findings {
                answer["online"] = online::to_json(findings);
            }
            if let Some(comparison) = &comparison {
                answer["against"] = json!(comparison);
            }
            context.out.json(&answer);
        }
        Format::Github => context.out.text(&annotations::of(&loaded, &ran.failures)),
        Format::Text => {
            let report = loaded.report() + &loaded.report_of(&ran.failures);
            if !report.is_empty() {
                context.out.text(&report);
            }
        }
    }
    if let Some(contents) = contents
        && format != Format::Json
    {
        context
            .out
            .line(&verdict(&file, contents, counts.warnings, &ran));
        for line in tests_lines(&ran) {
            context.out.line(&line);
        }
        if let Some(findings) = &findings {
            context.out.text(&online::table(findings));
        }
        if let Some(comparison) = &comparison {
            context.out.text(&against::to_text(comparison));
        }
    }
    let findings = findings.unwrap_or_default();
    let any = |standing| findings.iter().any(|one| one.standing == standing);
    let warned = counts.warnings > 0 || any(CheckStatus::Warning);
    let found = any(CheckStatus::Failed) || (warned && args.deny_warnings);
    match contents {
        None => {
            let untested = loaded.has_tests().then_some("; its [[tests]] were not run");
            let summary = summary(&file, counts) + untested.unwrap_or_default();
            Err(Failure::Configuration(summary))
        }
        Some(_) => Ok(Exit::done_if(!found && ran.failed == 0)),
    }
}

/// Warns that this machine has no CA certificates, if the configuration needs them.
fn warn_of_certificates(context: &mut Context, config: Option<&Config>) {
    if config.is_some_and(speaks_https) && !has_certificates().unwrap_or(true) {
        context.out.note(&format!("warning: {NO_CERTIFICATES}"));
    }
}

/// Returns whether the configuration needs HTTPS.
fn speaks_https(config: &Config) -> bool {
    let https = |url: &Secret| url.expose().starts_with("https:");
    let mut destinations = config.destinations.values();
    let sends = destinations.any(|one| match &one.kind {
        KindSettings::FeishuBot { url, .. }
        | KindSettings::SlackWebhook { url }
        | KindSettings::Webhook { url, .. } => https(url),
        KindSettings::FeishuApp { .. } => true,
        KindSettings::SlackApp { base_url, .. } => base_url.starts_with("https:"),
        KindSettings::File { .. } => false,
    });
    sends || config.apps.values().any(|app| app.app_secret.is_some())
}

fn run_online(context: &Context, config: &Config) -> Result<Vec<Finding>, Failure> {
    let examination = online_check::run(config, context.clock());
    block_on(async {
        let findings = examination.await;
        findings.map_err(|error| Failure::of("the online check cannot run", error))
    })
}

/// Formats the result of `[[tests]]`; empty if there are none.
fn tests_lines(ran: &Ran) -> Vec<String> {
    if ran.count == 0 {
        return Vec::new();
    }
    let mut lines = vec![match (ran.failed, ran.count) {
        (0, 1) => "1 test passes".to_owned(),
        (0, count) => format!("{count} tests pass"),
        (1, 1) => "the only test fails".to_owned(),
        (1, count) => format!("1 of {count} tests fails"),
        (failed, count) => format!("{failed} of {count} tests fail"),
    }];
    if !ran.uncovered.is_empty() {
        let names = ran.uncovered.iter().map(|rule| format!("\"{rule}\""));
        let names: Vec<String> = names.collect();
        lines.push(format!("no test covers {}", names.join(", ")));
    }
    lines
}

fn tests_json(ran: &Ran, loaded: &Loaded) -> Value {
    json!({
        "count": ran.count,
        "failed": ran.failed,
        "failures": loaded.to_json_of(&ran.failures),
        "uncovered": ran.uncovered.iter().map(RuleName::as_str).collect::<Vec<_>>(),
    })
}

fn count(loaded: &Loaded) -> Counts {
    let of = |level| {
        loaded
            .diagnostics
            .iter()
            .filter(|one| one.level == level)
            .count()
    };
    Counts {
        errors: of(Level::Error),
        warnings: of(Level::Warning),
    }
}

fn verdict(file: &str, contents: Contents, warnings: usize, ran: &Ran) -> String {
    let found = if ran.failed == 0 { "is good" } else { "loads" };
    let said = if warnings == 0 {
        String::new()
    } else {
        format!(", with {}", plural(warnings, "warning"))
    };
    format!(
        "{file} {found}{said}: {}, {}, {}",
        plural(contents.apps, "app"),
        plural(contents.destinations, "destination"),
        plural(contents.rules, "rule"),
    )
}

fn summary(file: &str, counts: Counts) -> String {
    let (errors, warnings) = (counts.errors, counts.warnings);
    format!(
        "{file} is wrong: {}, {}",
        plural(errors, "error"),
        plural(warnings, "warning")
    )
}

fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn to_json(
    file: &str,
    counts: Counts,
    contents: Option<Contents>,
    diagnostics: &Value,
    tests: &Option<Value>,
) -> Value {
    json!({
        "file": file,
        "good": contents.is_some(),
        "errors": counts.errors,
        "warnings": counts.warnings,
        "apps": contents.map(|c| c.apps),
        "destinations": contents.map(|c| c.destinations),
        "rules": contents.map(|c| c.rules),
        "diagnostics": diagnostics,
        "tests": tests,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENTS: Contents = Contents {
        apps: 1,
        destinations: 2,
        rules: 0,
    };

    #[test]
    fn a_good_file_is_told_in_one_line() {
        assert_eq!(
            verdict("relay.toml", CONTENTS, 0, &Ran::default()),
            "relay.toml is good: 1 app, 2 destinations, 0 rules"
        );
        assert_eq!(
            verdict("relay.toml", CONTENTS, 2, &Ran::default()),
            "relay.toml is good, with 2 warnings: 1 app, 2 destinations, 0 rules"
        );
    }

    #[test]
    fn json_says_whether_it_is_good() {
        let counts = Counts {
            errors: 1,
            warnings: 0,
        };
        let bad = to_json("relay.toml", counts, None, &json!([]), &None);
        assert_eq!((&bad["good"], &bad["rules"]), (&json!(false), &Value::Null));
        let good = to_json(
            "relay.toml",
            Counts::default(),
            Some(CONTENTS),
            &json!([]),
            &None,
        );
        assert_eq!(
            (&good["good"], &good["destinations"]),
            (&json!(true), &json!(2))
        );
    }
}
