//! Selects events by time, state and rule, and by every key that `match` of a rule has.

use std::collections::VecDeque;

use super::super::context::Failure;
use super::super::reading;
use super::super::values::{self, Since};
use crate::config::Config;
use crate::model::{
    AppName, Content, Event, EventSeq, EventState, Feedback, StoredEvent, Timestamp,
};
use crate::rules::{Filter, Known};
use crate::store::{EventFilter, EventRow, Store};

/// How many rows are read at a time.
const PAGE: usize = 500;

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

/// A selected event, and its content if that is stored and readable.
pub(super) struct Chosen {
    pub(super) row: EventRow,
    pub(super) event: Option<Event>,
}

/// A checked selection.
pub(super) struct Selection<'a> {
    store: &'a Store,
    config: &'a Config,
    base: EventFilter,
    conditions: Option<Filter>,
    rule: Option<String>,
    text: Option<String>,
    /// Rows that were read but not filtered yet.
    rows: VecDeque<EventRow>,
    ended: bool,
}

impl EventOptions {
    /// Returns whether no condition is given.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            state,
            since,
            until,
            rule,
            text,
            toml,
            ..
        } = self;
        let plain = state.is_none() && since.is_none() && until.is_none() && toml.is_none();
        plain && rule.is_none() && text.is_none() && self.conditions().is_empty()
    }

    /// Checks all conditions. Only events older than `before` are returned.
    pub(super) fn check<'a>(
        &self,
        store: &'a Store,
        config: &'a Config,
        before: Option<EventSeq>,
        now: Timestamp,
    ) -> Result<Selection<'a>, Failure> {
        let own = self.conditions();
        let options = Some(own.as_str()).filter(|own| !own.is_empty());
        let written: Vec<&str> = options.into_iter().chain(self.toml.as_deref()).collect();
        let conditions = match written.is_empty() {
            true => None,
            false => Some(
                Filter::read(&written, &known(config))
                    .map_err(|wrong| Failure::Usage(wrong.join("\n       ")))?,
            ),
        };
        let via = match self.via.as_slice() {
            [one] => Some(AppName::new(one.as_str())),
            _ => None,
        };
        Ok(Selection {
            store,
            config,
            base: EventFilter {
                via,
                state: self.state,
                since: self.since.map(|since| since.from(now)),
                until: self.until.map(|until| until.from(now)),
                before,
                limit: PAGE,
            },
            conditions,
            rule: self.rule.clone(),
            text: self.text.as_ref().map(|text| text.to_lowercase()),
            rows: VecDeque::new(),
            ended: false,
        })
    }

    /// Returns the conditions of options as lines of TOML; empty if there are none. Several apps become a condition, because
    /// the store can filter by only one.
    fn conditions(&self) -> String {
        let mut lines = String::new();
        let mut line = |key: &str, values: &[String], is_code: bool| {
            let value = |value: &String| match value.parse::<i64>() {
                Ok(number) if is_code => number.to_string(),
                _ if matches!(key, "contact" | "images")
                    && matches!(&**value, "true" | "false") =>
                {
                    value.clone()
                }
                _ => serde_json::Value::from(value.as_str()).to_string(),
            };
            match values {
                [] => {}
                [one] => lines.push_str(&format!("{key} = {}\n", value(one))),
                several => {
                    let several: Vec<String> = several.iter().map(value).collect();
                    lines.push_str(&format!("{key} = [{}]\n", several.join(", ")));
                }
            }
        };
        line("event", &self.event, false);
        line("status", &self.status, true);
        line("app", &self.app, false);
        line("via", &self.via, false);
        line("type", &self.r#type, true);
        line("fault", &self.fault, true);
        line("source", &self.source, true);
        line("tenant", &self.tenant, false);
        line("path", &self.path, false);
        line("query", &self.query, false);
        line("tenant_key", &self.tenant_key, false);
        line("description", &self.description, false);
        line("contact", &self.contact, false);
        let images = self.images.map(|images| images.to_string());
        line("images", images.as_slice(), false);
        line("user", &self.user, false);
        lines
    }
}

/// Returns the names that conditions may use.
fn known(config: &Config) -> Known {
    let app_ids = config.app_names.iter();
    Known {
        app_ids: app_ids
            .map(|(id, name)| (name.clone(), id.clone()))
            .collect(),
        apps: config.apps.keys().cloned().collect(),
        lists: config.lists.clone(),
        ..Known::default()
    }
}

impl Selection<'_> {
    /// Returns the next event, newest first.
    pub(super) async fn next(&mut self) -> Result<Option<Chosen>, Failure> {
        loop {
            if self.rows.is_empty() && !self.ended {
                let page = self.store.events(self.base.clone()).await?;
                self.ended = page.len() < PAGE;
                self.base.before = page.last().map(|row| row.seq).or(self.base.before);
                self.rows = page.into();
            }
            let Some(row) = self.rows.pop_front() else {
                return Ok(None);
            };
            let stored = stored(&row);
            let read = reading::read_with_reports(&stored, self.config, self.store).await;
            let chosen = Chosen {
                row,
                event: read.ok(),
            };
            if self.takes(&chosen) {
                return Ok(Some(chosen));
            }
        }
    }

    fn takes(&self, chosen: &Chosen) -> bool {
        let has_rule = |name: &String| {
            let mut rules = chosen.row.rules.iter();
            rules.any(|(rule, _)| rule.as_str() == name)
        };
        self.rule.as_ref().is_none_or(has_rule)
            && match (&self.conditions, &chosen.event) {
                (None, _) => true,
                (Some(conditions), Some(event)) => conditions.holds(event),
                (Some(_), None) => false,
            }
            && self.text.as_ref().is_none_or(|text| {
                let event = chosen.event.as_ref();
                event.is_some_and(|event| says(event, text))
            })
    }
}

/// Returns the event of a row.
fn stored(row: &EventRow) -> StoredEvent {
    StoredEvent {
        seq: row.seq,
        id: row.id.clone(),
        via: row.via.clone(),
        event_type: row.event_type.clone(),
        feedback_id: row.feedback_id.clone(),
        received_at: row.received_at,
        state: row.state,
        body: row.body.clone(),
    }
}

/// Returns whether the text, in lower case, is part of what people typed.
fn says(event: &Event, text: &str) -> bool {
    let typed = |feedback: &Feedback| {
        let texts = [
            &feedback.description,
            &feedback.contact,
            &feedback.path,
            &feedback.tenant_name,
        ];
        let mut texts = texts.into_iter().flatten();
        texts.any(|one| one.expose().to_lowercase().contains(text))
    };
    match &event.content {
        Content::Created(feedback) => typed(feedback),
        Content::Updated(change) => change.reports.iter().any(typed),
        Content::Notice(notice) => notice.text.to_lowercase().contains(text),
        Content::Summary(_) => false,
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
        Line::parse_from(words).args.conditions()
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
