//! The options that select events: time, state and rule, and every key that `match` of a rule has.

use super::super::values::{self, Since};
use crate::admin::EventQuery;
use crate::model::{EventState, Timestamp};

const CONDITIONS: &str = "Conditions, as in `match` of a rule (several values: any of them)";

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
    /// Conditions as written in `match`, e.g. 'any = [{ fault = "crash" }, { path = "pages/pay/*" }]'
    #[arg(long = "match", value_name = "TOML", help_heading = CONDITIONS)]
    toml: Option<String>,
    /// created or updated
    #[arg(long, value_name = "KIND,…", value_delimiter = ',', help_heading = CONDITIONS)]
    event: Vec<String>,
    /// The new status, for changes of status
    #[arg(long, value_name = "STATUS,…", value_delimiter = ',', help_heading = CONDITIONS)]
    status: Vec<String>,
    /// The app that the feedback is about, by name or id
    #[arg(long, value_name = "APP,…", value_delimiter = ',', help_heading = CONDITIONS)]
    app: Vec<String>,
    /// The app of `[apps]` that received the event
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', help_heading = CONDITIONS)]
    via: Vec<String>,
    /// fault or suggestion
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',', help_heading = CONDITIONS)]
    r#type: Vec<String>,
    /// The fault
    #[arg(long, value_name = "FAULT,…", value_delimiter = ',', help_heading = CONDITIONS)]
    fault: Vec<String>,
    /// The place where the app ran
    #[arg(long, value_name = "SOURCE,…", value_delimiter = ',', help_heading = CONDITIONS)]
    source: Vec<String>,
    /// The tenant's name, a pattern
    #[arg(long, value_name = "GLOB", help_heading = CONDITIONS)]
    tenant: Vec<String>,
    /// The page without its query, a pattern
    #[arg(long, value_name = "GLOB", help_heading = CONDITIONS)]
    path: Vec<String>,
    /// The page's query, a pattern
    #[arg(long, value_name = "GLOB", help_heading = CONDITIONS)]
    query: Vec<String>,
    /// The tenant's key
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', help_heading = CONDITIONS)]
    tenant_key: Vec<String>,
    /// The text that the reporter typed, a regular expression
    #[arg(long, value_name = "REGEX", help_heading = CONDITIONS)]
    description: Vec<String>,
    /// Whether the reporter left contact details, or a pattern of them
    #[arg(long, value_name = "true|false|GLOB", help_heading = CONDITIONS)]
    contact: Vec<String>,
    /// Whether the report has images
    #[arg(long, value_name = "true|false", help_heading = CONDITIONS)]
    images: Option<bool>,
    /// An id of the reporter
    #[arg(long, value_name = "ID,…", value_delimiter = ',', help_heading = CONDITIONS)]
    user: Vec<String>,
}

impl EventOptions {
    /// Returns the query that these options describe. Durations count back from `now`.
    pub(super) fn query(&self, now: Timestamp) -> EventQuery {
        let images = self.images.map(|images| images.to_string());
        let keys = [
            ("event", self.event.clone()),
            ("status", self.status.clone()),
            ("app", self.app.clone()),
            ("via", self.via.clone()),
            ("type", self.r#type.clone()),
            ("fault", self.fault.clone()),
            ("source", self.source.clone()),
            ("tenant", self.tenant.clone()),
            ("path", self.path.clone()),
            ("query", self.query.clone()),
            ("tenant_key", self.tenant_key.clone()),
            ("description", self.description.clone()),
            ("contact", self.contact.clone()),
            ("images", images.into_iter().collect()),
            ("user", self.user.clone()),
        ];
        EventQuery {
            state: self.state,
            since: self.since.map(|since| since.from(now)),
            until: self.until.map(|until| until.from(now)),
            rule: self.rule.clone(),
            text: self.text.clone(),
            keys: keys.into(),
            toml: self.toml.clone(),
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
