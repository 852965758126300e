//! Conditions, compiled once. Asking one allocates nothing; saying why one failed does.

use regex::Regex;

use crate::model::{
    AppName, Condition, Content, Event, EventKind, FaultKind, Feedback, FeedbackKind,
    FeedbackStatus, Private, SourceKind, StatusChange,
};

/// A key of `match` or `except`, ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Matcher {
    pub(super) key: &'static str,
    /// The wanted value as it is written.
    pub(super) wanted: String,
    pub(super) test: Test,
}

/// What a key wants. A list is any of; what is absent in the event never holds.
#[derive(Clone, Debug)]
pub(super) enum Test {
    Event(Vec<EventKind>),
    Status(Vec<FeedbackStatus>),
    /// The id of the app that the feedback is about.
    App(Vec<String>),
    Via(Vec<AppName>),
    Kind(Vec<FeedbackKind>),
    /// Holds if any of the report's faults is wanted.
    Fault(Vec<FaultKind>),
    Source(Vec<SourceKind>),
    Tenant(Vec<Glob>),
    Path(Vec<Glob>),
    TenantKey(Vec<String>),
    Description(Vec<Regex>),
    Contact(bool),
    Images(bool),
    User(Vec<String>),
}

/// A compiled glob, and how it is written.
#[derive(Clone, Debug)]
pub(super) struct Glob {
    pub(super) written: String,
    pub(super) regex: Regex,
}

/// What rules are asked about: an event, and what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    event: &'a Event,
    says: Says<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Says<'a> {
    Created(&'a Feedback),
    Updated(&'a StatusChange),
}

impl<'a> Subject<'a> {
    /// `None` for a word of the relay to its operator, which no rule is asked about.
    pub(super) fn of(event: &'a Event) -> Option<Self> {
        let says = match &event.content {
            Content::Created(feedback) => Says::Created(feedback),
            Content::Updated(change) => Says::Updated(change),
            Content::Notice(_) => return None,
        };
        Some(Self { event, says })
    }

    pub(super) const fn kind(self) -> EventKind {
        match self.says {
            Says::Created(_) => EventKind::Created,
            Says::Updated(_) => EventKind::Updated,
        }
    }

    /// What somebody reported; a change of state has none of it.
    pub(super) const fn feedback(self) -> Option<&'a Feedback> {
        match self.says {
            Says::Created(feedback) => Some(feedback),
            Says::Updated(_) => None,
        }
    }

    fn app_id(self) -> Option<&'a str> {
        match self.says {
            Says::Created(feedback) => feedback.app_id.as_deref(),
            Says::Updated(change) => change.app_id.as_deref(),
        }
    }

    const fn status(self) -> Option<FeedbackStatus> {
        match self.says {
            Says::Created(_) => None,
            Says::Updated(change) => change.status,
        }
    }
}

impl Matcher {
    /// Whether it holds.
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
            Test::Path(globs) => any_glob(globs, typed(feedback, |one| &one.path)),
            Test::TenantKey(keys) => contains(keys, event.tenant_key.as_deref()),
            Test::Description(patterns) => typed(feedback, |one| &one.description)
                .is_some_and(|text| patterns.iter().any(|pattern| pattern.is_match(text))),
            // Whether something is there can only be asked where it could be.
            Test::Contact(wanted) => {
                feedback.is_some_and(|one| text(&one.contact).is_some() == *wanted)
            }
            Test::Images(wanted) => feedback.is_some_and(|one| one.images.is_empty() != *wanted),
            Test::User(ids) => contains(ids, typed(feedback, |one| &one.user.open_id)),
        }
    }

    /// The key beside what it met.
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
            Test::Status(_) => named(subject.status().map(|one| (one.key(), one.0))),
            Test::App(_) => owned(subject.app_id()),
            Test::Via(_) => event.via.to_string(),
            Test::Kind(_) => {
                let kind = feedback.and_then(|one| one.kind);
                named(kind.map(|one| (one.key(), one.0)))
            }
            Test::Fault(_) => {
                let faults = feedback.iter().flat_map(|one| &one.faults);
                let names = faults.map(|fault| named(Some((fault.key(), fault.0))));
                names.collect::<Vec<_>>().join(", ")
            }
            Test::Source(_) => {
                let source = feedback.and_then(|one| one.source);
                named(source.map(|one| (one.key(), one.0)))
            }
            Test::Tenant(_) => owned(typed(feedback, |one| &one.tenant_name)),
            Test::Path(_) => owned(typed(feedback, |one| &one.path)),
            Test::TenantKey(_) => owned(event.tenant_key.as_deref()),
            Test::Description(_) => owned(typed(feedback, |one| &one.description)),
            Test::Contact(_) => said(feedback.map(|one| text(&one.contact).is_some())),
            Test::Images(_) => said(feedback.map(|one| !one.images.is_empty())),
            Test::User(_) => owned(typed(feedback, |one| &one.user.open_id)),
        }
    }
}

/// A text that says something; an empty one is absent.
fn text(value: &Option<Private>) -> Option<&str> {
    let text = value.as_ref().map(Private::expose);
    text.filter(|text| !text.is_empty())
}

/// One text of the feedback, if there is any.
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
    found.is_some_and(|text| globs.iter().any(|glob| glob.regex.is_match(text)))
}

/// The name of a code, else its number.
fn named(code: Option<(Option<&str>, i64)>) -> String {
    match code {
        Some((Some(key), _)) => key.to_owned(),
        Some((None, number)) => number.to_string(),
        None => String::new(),
    }
}
