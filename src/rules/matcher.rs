//! Evaluates conditions, which are compiled once. Evaluation allocates almost nothing; only explaining a failure
//! does.

use std::borrow::Cow;

use regex::Regex;

use crate::model::{
    AppName, Condition, Content, Event, EventKind, FaultKind, Feedback, FeedbackKind,
    FeedbackStatus, Private, SourceKind, StatusChange,
};

use super::{glob, page};
use crate::toml_reader::Location;

/// A compiled key of `match` or `except`.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    pub(super) key: &'static str,
    /// The wanted value as it is written.
    pub(super) wanted: String,
    pub(super) test: Test,
    /// The place of the value.
    pub(super) at: Location,
}

/// The wanted value of a key. A list holds if one element does. A value that the event lacks never holds.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Event(Vec<EventKind>),
    Status(Vec<FeedbackStatus>),
    /// The id of the app that the feedback is about.
    App(Vec<String>),
    Via(Vec<AppName>),
    Kind(Vec<FeedbackKind>),
    /// Holds if any of the report's faults is in the list.
    Fault(Vec<FaultKind>),
    Source(Vec<SourceKind>),
    Tenant(Vec<Glob>),
    /// The page without its query.
    Path(Vec<Glob>),
    Query(Vec<Glob>),
    TenantKey(Vec<String>),
    Description(Vec<Regex>),
    Contact(Contact),
    Images(bool),
    /// Matches any of a person's ids.
    User(Vec<String>),
    /// Sets of conditions; holds if all conditions of one set hold.
    Any(Vec<Vec<Matcher>>),
}

/// The wanted value of `contact`.
#[derive(Clone, Debug)]
pub(super) enum Contact {
    /// Whether contact details were left.
    Left(bool),
    /// Contact details that match a pattern.
    Like(Vec<Glob>),
}

/// A compiled glob and its source text.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    pub(super) written: String,
    /// `None`: the text is compared with `written`, which is much faster than a regular expression.
    regex: Option<Regex>,
}

impl Glob {
    pub(super) fn new(written: &str) -> Result<Self, String> {
        let written = written.to_owned();
        let is_plain = written.is_ascii() && is_literal(&written);
        let regex = match is_plain {
            true => None,
            false => Some(glob::compile(&written)?),
        };
        Ok(Self { written, regex })
    }

    /// Returns whether the glob has no wildcard, so that it matches one text only.
    pub(super) fn is_literal(&self) -> bool {
        is_literal(&self.written)
    }

    /// Returns whether the whole text matches. Case is ignored.
    pub(super) fn is_match(&self, text: &str) -> bool {
        match &self.regex {
            Some(regex) => regex.is_match(text),
            None => self.written.eq_ignore_ascii_case(text),
        }
    }
}

fn is_literal(glob: &str) -> bool {
    !glob.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

/// The subject of conditions: an event and one of its reports.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) event: &'a Event,
    says: Says<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Says<'a> {
    Created(&'a Feedback),
    /// A change of status, and its report if that is known.
    Updated(&'a StatusChange, Option<&'a Feedback>),
}

impl<'a> Subject<'a> {
    /// Returns the event once for each of its reports. Empty for the relay's own events, which rules do not see.
    pub(super) fn all_of(event: &'a Event) -> Vec<Self> {
        let one = |says| Self { event, says };
        match &event.content {
            Content::Created(feedback) => vec![one(Says::Created(feedback))],
            Content::Updated(change) if change.reports.is_empty() => {
                vec![one(Says::Updated(change, None))]
            }
            Content::Updated(change) => {
                let reports = change.reports.iter();
                reports
                    .map(|report| one(Says::Updated(change, Some(report))))
                    .collect()
            }
            Content::Notice(_)
            | Content::Summary(_)
            | Content::Digest(_)
            | Content::Incident(_) => Vec::new(),
        }
    }

    pub(super) const fn kind(self) -> EventKind {
        match self.says {
            Says::Created(_) => EventKind::Created,
            Says::Updated(..) => EventKind::Updated,
        }
    }

    /// Returns the feedback that this event reports; `None` for a change of status.
    pub(super) const fn reported(self) -> Option<&'a Feedback> {
        match self.says {
            Says::Created(feedback) => Some(feedback),
            Says::Updated(..) => None,
        }
    }

    /// Returns the report of the event, if it is known.
    const fn feedback(self) -> Option<&'a Feedback> {
        match self.says {
            Says::Created(feedback) => Some(feedback),
            Says::Updated(_, report) => report,
        }
    }

    /// Returns the id of the app that the event is about.
    pub(super) fn app_id(self) -> Option<&'a str> {
        match self.says {
            Says::Created(feedback) => feedback.app_id.as_deref(),
            Says::Updated(change, report) => change
                .app_id
                .as_deref()
                .or_else(|| report.and_then(|one| one.app_id.as_deref())),
        }
    }

    const fn status(self) -> Option<FeedbackStatus> {
        match self.says {
            Says::Created(_) => None,
            Says::Updated(change, _) => change.status,
        }
    }

    /// Returns the status if it is no whole number of 64 bits.
    fn odd_status(self) -> Option<&'a str> {
        match self.says {
            Says::Created(_) => None,
            Says::Updated(change, _) => change.odd_status.as_deref(),
        }
    }

    /// Returns the page's path and query. An empty part is absent.
    fn page(self) -> (Option<Cow<'a, str>>, Option<Cow<'a, str>>) {
        let Some(address) = typed(self.feedback(), |one| &one.path) else {
            return (None, None);
        };
        let (path, query) = page::split(address);
        let some = |text: Cow<'a, str>| Some(text).filter(|text| !text.is_empty());
        (some(path), some(query))
    }

    fn user_ids(self) -> impl Iterator<Item = &'a str> {
        let user = self.feedback().map(|one| &one.user);
        user.into_iter()
            .flat_map(|user| [&user.open_id, &user.union_id, &user.user_id])
            .filter_map(text)
    }
}

impl Matcher {
    /// Returns whether the condition holds.
    pub(super) fn holds(&self, subject: Subject<'_>) -> bool {
        let (event, feedback) = (subject.event, subject.feedback());
        match &self.test {
            Test::Event(kinds) => kinds.contains(&subject.kind()),
            Test::Status(statuses) => among(statuses, subject.status()),
            Test::App(ids) => contains(ids, subject.app_id()),
            Test::Via(apps) => apps.contains(&event.via),
            Test::Kind(kinds) => among(kinds, feedback.and_then(|one| one.kind)),
            Test::Fault(faults) => {
                feedback.is_some_and(|one| one.faults.iter().any(|fault| faults.contains(fault)))
            }
            Test::Source(sources) => among(sources, feedback.and_then(|one| one.source)),
            Test::Tenant(globs) => any_glob(globs, typed(feedback, |one| &one.tenant_name)),
            Test::Path(globs) => any_glob(globs, subject.page().0.as_deref()),
            Test::Query(globs) => any_glob(globs, subject.page().1.as_deref()),
            Test::TenantKey(keys) => contains(keys, event.tenant_key.as_deref()),
            Test::Description(patterns) => typed(feedback, |one| &one.description)
                .is_some_and(|text| patterns.iter().any(|pattern| pattern.is_match(text))),
            // Absence can only be tested on events that could have the value.
            Test::Contact(Contact::Left(wanted)) => {
                feedback.is_some_and(|one| text(&one.contact).is_some() == *wanted)
            }
            Test::Contact(Contact::Like(globs)) => {
                any_glob(globs, typed(feedback, |one| &one.contact))
            }
            Test::Images(wanted) => feedback.is_some_and(|one| one.images.is_empty() != *wanted),
            Test::User(ids) => subject.user_ids().any(|id| contains(ids, Some(id))),
            Test::Any(sets) => sets.iter().any(|set| all_hold(set, subject)),
        }
    }

    /// Returns the key and the value it was compared with.
    pub(super) fn condition(&self, subject: Subject<'_>) -> Condition {
        Condition {
            key: self.key,
            wanted: self.wanted.clone(),
            found: Private::new(self.found(subject)),
        }
    }

    fn found(&self, subject: Subject<'_>) -> String {
        let (event, feedback) = (subject.event, subject.feedback());
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let said = |found: Option<bool>| found.map(|found| found.to_string()).unwrap_or_default();
        match &self.test {
            Test::Event(_) => subject.kind().key().to_owned(),
            Test::Status(_) => {
                let odd = subject.odd_status();
                let status = subject.status();
                status.map_or_else(|| owned(odd), |one| named(one.key(), one.0))
            }
            Test::App(_) => owned(subject.app_id()),
            Test::Via(_) => event.via.to_string(),
            Test::Kind(_) => {
                let kind = feedback.and_then(|one| one.kind);
                let odd = feedback.and_then(|one| one.odd.kind.as_deref());
                kind.map_or_else(|| owned(odd), |one| named(one.key(), one.0))
            }
            Test::Fault(_) => {
                let faults = feedback.iter().flat_map(|one| &one.faults);
                let names = faults.map(|fault| named(fault.key(), fault.0));
                let odd = feedback.iter().flat_map(|one| one.odd.faults.clone());
                names.chain(odd).collect::<Vec<_>>().join(", ")
            }
            Test::Source(_) => {
                let source = feedback.and_then(|one| one.source);
                let odd = feedback.and_then(|one| one.odd.source.as_deref());
                source.map_or_else(|| owned(odd), |one| named(one.key(), one.0))
            }
            Test::Tenant(_) => owned(typed(feedback, |one| &one.tenant_name)),
            Test::Path(_) => owned(subject.page().0.as_deref()),
            Test::Query(_) => owned(subject.page().1.as_deref()),
            Test::TenantKey(_) => owned(event.tenant_key.as_deref()),
            Test::Description(_) => owned(typed(feedback, |one| &one.description)),
            Test::Contact(Contact::Left(_)) => {
                said(feedback.map(|one| text(&one.contact).is_some()))
            }
            Test::Contact(Contact::Like(_)) => owned(typed(feedback, |one| &one.contact)),
            Test::Images(_) => said(feedback.map(|one| !one.images.is_empty())),
            Test::User(_) => subject.user_ids().collect::<Vec<_>>().join(", "),
            Test::Any(sets) => found_by_any(sets, subject),
        }
    }
}

/// Returns whether every condition of the set holds.
pub(super) fn all_hold(set: &[Matcher], subject: Subject<'_>) -> bool {
    set.iter().all(|one| one.holds(subject))
}

/// Describes the values of the set that holds; otherwise the first failing key of each set.
fn found_by_any(sets: &[Vec<Matcher>], subject: Subject<'_>) -> String {
    let deciding: Vec<&Matcher> = match sets.iter().find(|set| all_hold(set, subject)) {
        Some(set) => set.iter().collect(),
        None => sets
            .iter()
            .filter_map(|set| set.iter().find(|one| !one.holds(subject)))
            .collect(),
    };
    let mut said: Vec<String> = Vec::new();
    for one in deciding {
        let found = one.found(subject);
        let found = if found.is_empty() { "nothing" } else { &found };
        let line = format!("{} {found}", one.key);
        if !said.contains(&line) {
            said.push(line);
        }
    }
    said.join(", ")
}

/// Returns a non-empty text; an empty one is absent.
pub(super) fn text(value: &Option<Private>) -> Option<&str> {
    let text = value.as_ref().map(Private::expose);
    text.filter(|text| !text.is_empty())
}

/// Returns one text of the feedback, if it is present.
fn typed(
    feedback: Option<&Feedback>,
    field: impl Fn(&Feedback) -> &Option<Private>,
) -> Option<&str> {
    text(field(feedback?))
}

fn among<T: PartialEq>(wanted: &[T], found: Option<T>) -> bool {
    found.is_some_and(|found| wanted.contains(&found))
}

fn contains(wanted: &[String], found: Option<&str>) -> bool {
    found.is_some_and(|found| wanted.iter().any(|one| one == found))
}

fn any_glob(globs: &[Glob], found: Option<&str>) -> bool {
    found.is_some_and(|text| globs.iter().any(|glob| glob.is_match(text)))
}

/// Returns the name of a code, otherwise its number.
pub(super) fn named(key: Option<&str>, code: i64) -> String {
    key.map_or_else(|| code.to_string(), str::to_owned)
}
