//! The options that select events: time, state and rule, and every key that `match` of a rule has.

use super::super::conditions::ConditionOptions;
use super::super::values::{self, Since};
use crate::admin::EventQuery;
use crate::model::{EventState, Timestamp};

#[derive(Debug, Default, clap::Args)]
pub(super) struct EventOptions {
    /// Only events in this state
    #[arg(long, value_parser = values::event_state())]
    state: Option<EventState>,
    /// Only events received since: a duration (90s, 5m, 12h, 3d) or a time (2026-03-01T02:10:00+08:00)
    #[arg(long, value_name = "WHEN", value_parser = values::since)]
    since: Option<Since>,
    /// Only events received before: a duration or a time
    #[arg(long, value_name = "WHEN", value_parser = values::since)]
    until: Option<Since>,
    /// Only events with a message of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only events with this text in what the reporter typed, page and tenant included; case is ignored
    #[arg(long, value_name = "WORDS")]
    text: Option<String>,
    #[command(flatten)]
    conditions: ConditionOptions,
}

impl EventOptions {
    /// Returns the query that these options describe. Durations count back from `now`.
    pub(super) fn query(&self, now: Timestamp) -> EventQuery {
        EventQuery {
            state: self.state,
            since: self.since.map(|since| since.from(now)),
            until: self.until.map(|until| until.from(now)),
            rule: self.rule.clone(),
            text: self.text.clone(),
            keys: self.conditions.keys(),
            toml: self.conditions.toml.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: EventOptions,
    }

    fn conditions(line: &str) -> String {
        let words = std::iter::once("x").chain(line.split(' '));
        let args = Line::parse_from(words).args;
        args.query(Timestamp::from_millis(0)).conditions()
    }

    #[test]
    fn every_key_of_match_is_an_option() {
        for key in crate::rules::condition_keys() {
            if key == "any" {
                continue; // tested with `--match`
            }
            let value = if key == "images" { "true" } else { "1" };
            let written = conditions(&format!("--{} {value}", key.replace('_', "-")));
            assert!(
                written.starts_with(&format!("{key} = ")),
                "{key}: {written}"
            );
        }
    }

    #[test]
    fn values_are_written_as_rules_have_them() {
        assert_eq!(
            conditions(
                "--fault crash,2 --path a\"b --contact true --contact *@x.com --images false"
            ),
            "fault = [\"crash\", 2]\npath = \"a\\\"b\"\ncontact = [true, \"*@x.com\"]\nimages = false\n"
        );
    }
}
