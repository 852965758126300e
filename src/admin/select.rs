//! Selects events by time, state and rule, and by every key of a rule's `match`.

use std::collections::VecDeque;

use super::{Error, EventConfig, Events};
use crate::model::{
    AppName, Content, Event, EventSeq, EventState, Feedback, StoredEvent, Timestamp,
};
use crate::rules::{Filter, Known};
use crate::store::{EventFilter, EventRow, StoreError};
use crate::view::EventSummary;

/// The number of rows that are read at a time.
pub(super) const PAGE: usize = 500;

/// Selects events. A field that is `None` or empty restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// Only events in this state.
    pub state: Option<EventState>,
    /// Only events received at this time or later.
    pub since: Option<Timestamp>,
    /// Only events received before this time.
    pub until: Option<Timestamp>,
    /// Only events with a message of this rule.
    pub rule: Option<String>,
    /// Only events with this text in what people typed; case is ignored.
    pub text: Option<String>,
    /// Keys of a rule's `match` with their values. If a key has several values, one of them has to match.
    pub keys: Vec<(&'static str, Vec<String>)>,
    /// More conditions, as TOML written as in `match`.
    pub toml: Option<String>,
}

/// A selected event, and its content if that is stored and readable.
struct Chosen {
    row: EventRow,
    event: Option<Event>,
}

/// A checked selection.
pub struct Selection<'a> {
    events: Events<'a>,
    base: EventFilter,
    conditions: Option<Filter>,
    rule: Option<String>,
    text: Option<String>,
    /// Rows that were read but not filtered yet.
    rows: VecDeque<EventRow>,
    ended: bool,
}

impl EventQuery {
    /// Returns whether it selects every event.
    pub fn is_empty(&self) -> bool {
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

    /// Returns the conditions of `keys` as lines of TOML; empty if there are none. Several apps become a condition,
    /// because the store can filter by only one.
    pub fn conditions(&self) -> String {
        let mut lines = String::new();
        for (key, values) in &self.keys {
            let values: Vec<String> = values.iter().map(|value| written(key, value)).collect();
            match values.as_slice() {
                [] => {}
                [one] => lines.push_str(&format!("{key} = {one}\n")),
                several => lines.push_str(&format!("{key} = [{}]\n", several.join(", "))),
            }
        }
        lines
    }

    /// Returns the app, if exactly one is selected.
    fn via(&self) -> Option<AppName> {
        let (_, values) = self.keys.iter().find(|(key, _)| *key == "via")?;
        match values.as_slice() {
            [one] => Some(AppName::new(one.as_str())),
            _ => None,
        }
    }
}

/// Returns a value of a condition as TOML: codes and booleans without quotes.
fn written(key: &str, value: &str) -> String {
    let is_bare = match key {
        "status" | "type" | "fault" => value.parse::<i64>().is_ok(),
        "contact" | "images" => matches!(value, "true" | "false"),
        _ => false,
    };
    match is_bare {
        true => value.to_owned(),
        false => serde_json::Value::from(value).to_string(),
    }
}

impl<'a> Events<'a> {
    /// Checks the conditions of a query. Only events older than `before` are selected.
    pub fn select(
        self,
        query: EventQuery,
        before: Option<EventSeq>,
    ) -> Result<Selection<'a>, Error> {
        let keys = query.conditions();
        let keys = Some(keys.as_str()).filter(|keys| !keys.is_empty());
        let written: Vec<&str> = keys.into_iter().chain(query.toml.as_deref()).collect();
        let conditions = match written.is_empty() {
            true => None,
            false => Some(Filter::read(&written, &known(self.config)).map_err(Error::Conditions)?),
        };
        Ok(Selection {
            events: self,
            base: EventFilter {
                via: query.via(),
                state: query.state,
                since: query.since,
                until: query.until,
                before,
                limit: PAGE,
            },
            conditions,
            rule: query.rule,
            text: query.text.map(|text| text.to_lowercase()),
            rows: VecDeque::new(),
            ended: false,
        })
    }
}

/// Returns the names that conditions may use.
pub(super) fn known(config: EventConfig<'_>) -> Known {
    Known::in_conditions(&config.names.apps, config.apps.keys(), config.lists)
}

impl Selection<'_> {
    /// Returns the next event, newest first.
    pub async fn next(&mut self) -> Result<Option<EventSummary>, StoreError> {
        let Some(Chosen { row, event }) = self.choose().await? else {
            return Ok(None);
        };
        let event = event.as_ref();
        let app = match event {
            Some(event) => self.events.config.names.app_name(event).to_owned(),
            None => row.via.to_string(),
        };
        Ok(Some(EventSummary::new(row, event, app)))
    }

    /// Returns all events that remain, oldest first.
    pub async fn oldest_first(mut self) -> Result<Vec<EventSeq>, StoreError> {
        let mut events = Vec::new();
        while let Some(chosen) = self.choose().await? {
            events.push(chosen.row.seq);
        }
        events.reverse();
        Ok(events)
    }

    /// Returns the next event that can be read, newest first, with its row id and its time of receipt.
    pub(super) async fn next_event(
        &mut self,
    ) -> Result<Option<(EventSeq, Timestamp, Event)>, StoreError> {
        while let Some(Chosen { row, event }) = self.choose().await? {
            if let Some(event) = event {
                return Ok(Some((row.seq, row.received_at, event)));
            }
        }
        Ok(None)
    }

    async fn choose(&mut self) -> Result<Option<Chosen>, StoreError> {
        loop {
            if self.rows.is_empty() && !self.ended {
                let page = self.events.store.events(self.base.clone()).await?;
                self.ended = page.len() < PAGE;
                self.base.before = page.last().map(|row| row.seq).or(self.base.before);
                self.rows = page.into();
            }
            let Some(row) = self.rows.pop_front() else {
                return Ok(None);
            };
            let stored = stored(&row);
            let read = self.events.read(&stored).await;
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
pub(super) fn stored(row: &EventRow) -> StoredEvent {
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

/// Returns whether what the reporter typed contains `text`, which is in lower case.
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
        Content::Summary(_) | Content::Digest(_) | Content::Incident(_) => false,
    }
}
