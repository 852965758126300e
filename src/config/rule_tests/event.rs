//! Reads the event of a test: its file, modified by `with`.

use serde_json::{Map, Value as Json};
use toml::Spanned;

use super::{Reader, json};
use crate::config::{hints, read_text};
use crate::feishu::{self, App};
use crate::model::{Content, Event, FaultKind, FeedbackKind, FeedbackStatus, SourceKind};
use crate::toml_reader::{Diagnostics, Entries, Field, Location, Node, Value, codes};

/// `with`: the values that replace fields of the event, and where each key is written.
#[derive(Default)]
pub(super) struct With {
    values: Map<String, Json>,
    keys: Vec<(Option<&'static str>, String, Location)>,
}

/// Reads `with` of a test. `None` if it is invalid.
pub(super) fn with(written: Field<Node>, test: &Location, out: &mut Diagnostics) -> Option<With> {
    let mut with = With::default();
    let Some(written) = written else {
        return Some(with);
    };
    let at = test.key("with", written.span());
    let node = written.into_inner();
    let Value::Table(entries) = &node.value else {
        out.wrong_type(&at, "a table", &node);
        return Some(with);
    };
    with.values = json(entries);
    let before = out.count();
    for (key, value) in entries {
        let name = key.get_ref();
        let place = at.key(name, key.span());
        if let Some(words) = Words::of(name) {
            let code = words.codes(value, &at.key(name, value.span.clone()), out);
            with.values.extend(code.map(|code| (name.clone(), code)));
        }
        if let (Some(person), Value::Table(ids)) = (person(name), &value.value) {
            with.persons(person, ids, &place);
        }
        with.keys.push((None, name.clone(), place));
    }
    (out.count() == before).then_some(with)
}

/// Returns `field` if it holds the ids of a person.
fn person(field: &str) -> Option<&'static str> {
    ["user_id", "operator_id"]
        .into_iter()
        .find(|one| *one == field)
}

impl With {
    fn persons(&mut self, person: &'static str, ids: &Entries, at: &Location) {
        for (key, _) in ids {
            let name = key.get_ref().clone();
            let at = at.key(&name, key.span());
            self.keys.push((Some(person), name, at));
        }
    }

    /// Reports keys that this event does not have, because they would have no effect.
    fn check(&self, event: &Event, out: &mut Diagnostics) -> bool {
        let fields = match event.content {
            Content::Updated(_) => feishu::UPDATED_FIELDS,
            Content::Created(_)
            | Content::Notice(_)
            | Content::Summary(_)
            | Content::Digest(_)
            | Content::Incident(_) => feishu::CREATED_FIELDS,
        };
        let mut sound = true;
        for (person, name, at) in &self.keys {
            let known = person.map_or(fields, |_| feishu::USER_FIELDS);
            if !known.contains(&name.as_str()) {
                let message = format!("the event has no field `{name}`");
                let help = hints::feishu_field(name, known);
                out.add_with_help(codes::TEST_WITH, at, message, help);
                sound = false;
            }
        }
        sound
    }
}

impl Reader<'_> {
    /// Adds the reports of these files to a change of status, as its known feedback.
    pub(super) fn with_reports(
        &self,
        mut event: Event,
        files: &[Spanned<String>],
        test: &Location,
        out: &mut Diagnostics,
    ) -> Option<Event> {
        let Content::Updated(change) = &mut event.content else {
            let at = test.key(
                "feedback",
                files.first().map(Spanned::span).unwrap_or_default(),
            );
            let message = "`feedback` names the reports whose status changes, and this event is not a change of status";
            let help = "leave it out, or name a change of status in `event`";
            out.add_with_help(codes::TEST_EVENT, &at, message, help);
            return None;
        };
        for file in files {
            let at = test.key("feedback", file.span());
            let known = self.event(file, &With::default(), &at, out)?;
            let Content::Created(feedback) = known.content else {
                let message = format!("{} is not a report", file.get_ref());
                let help = "`feedback-relay events sample crash` prints one";
                out.add_with_help(codes::TEST_EVENT, &at, message, help);
                return None;
            };
            change.reports.push(*feedback);
        }
        Some(event)
    }

    /// Reads the event and applies `with`.
    pub(super) fn event(
        &self,
        file: &Spanned<String>,
        with: &With,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Event> {
        let path = self.context.path(file.get_ref());
        if !path.exists() {
            let message = format!("there is no {}", path.display());
            let help = "`feedback-relay events sample KIND` prints one to write there";
            out.add_with_help(codes::UNREADABLE, at, message, help);
            return None;
        }
        let text = read_text(&path, at, out)?;
        let via = self.receiver(&text, at, out)?;
        let read = |text: &str| feishu::read_sample(text, &via.name, &via.feedback_timezone);
        let event = match read(&text) {
            Ok(event) => event,
            Err(error) => {
                let message = format!("{} cannot be read: {error}", path.display());
                let help = "`feedback-relay events sample` prints valid events";
                out.add_with_help(codes::TEST_EVENT, at, message, help);
                return None;
            }
        };
        if !with.check(&event, out) {
            return None;
        }
        if with.values.is_empty() {
            return Some(event);
        }
        let laid = feishu::sample_with(&text, &with.values).and_then(|text| read(&text));
        match laid {
            Ok(event) => Some(event),
            Err(error) => {
                let message = format!("the event cannot be read after `with` is applied: {error}");
                out.add(codes::TEST_EVENT, at, message);
                None
            }
        }
    }

    /// Returns the app that receives the event: the one its header names, otherwise the only one.
    fn receiver(&self, text: &str, at: &Location, out: &mut Diagnostics) -> Option<&App> {
        let id = feishu::sample_app_id(text);
        let mut apps = self.names.apps.values();
        let by_id = apps.clone().find(|app| Some(&app.app_id) == id.as_ref());
        match (by_id, apps.next(), apps.next()) {
            (Some(app), _, _) | (None, Some(app), None) => Some(app),
            (None, _, _) => {
                // An app with errors has already been reported.
                if !out.concern("apps") {
                    let message = "no app of [apps] receives this event";
                    let help = "write the `app_id` of one of them into the event's `header`";
                    out.add_with_help(codes::TEST_EVENT, at, message, help);
                }
                None
            }
        }
    }
}

/// A field whose codes have names.
struct Words {
    names: Vec<&'static str>,
    code: fn(&str) -> Option<i64>,
}

impl Words {
    fn of(field: &str) -> Option<Self> {
        macro_rules! words {
            ($codes:ty) => {
                Some(Self {
                    names: <$codes>::KNOWN.iter().filter_map(|one| one.key()).collect(),
                    code: |word| <$codes>::from_key(word).map(|code| code.0),
                })
            };
        }
        match field {
            "feedback_type" => words!(FeedbackKind),
            "fault_type" => words!(FaultKind),
            "source" => words!(SourceKind),
            "status" => words!(FeedbackStatus),
            _ => None,
        }
    }

    /// Returns the codes of the words; numbers stay as they are. `None` if an element is neither.
    fn codes(&self, node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Json> {
        match &node.value {
            Value::List(items) => {
                let codes = items.iter().enumerate();
                let codes: Vec<Option<Json>> = codes
                    .map(|(index, item)| self.codes(item, &at.index(index, item.span.clone()), out))
                    .collect();
                codes.into_iter().collect()
            }
            Value::Whole(code) => Some((*code).into()),
            Value::Text(word) => {
                let code = (self.code)(word).or_else(|| word.parse().ok());
                if code.is_none() {
                    let help = hints::which(word, self.names.iter().copied());
                    let message = "neither a number nor a name of one";
                    out.add_with_help(codes::WRONG_VALUE, at, message, help);
                }
                code.map(Json::from)
            }
            _ => {
                out.wrong_type(at, "a number or its name", node);
                None
            }
        }
    }
}
