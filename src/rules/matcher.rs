//! Conditions, compiled once. Asking one allocates nothing; saying why one failed does.

use regex::Regex;

use crate::model::{
    AppName, Condition, Event, FaultKind, Feedback, FeedbackKind, Private, SourceKind,
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

/// An event and the feedback in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) event: &'a Event,
    pub(super) feedback: &'a Feedback,
}

impl Matcher {
    /// Whether it holds.
    pub(super) fn holds(&self, subject: Subject<'_>) -> bool {
        let Subject { event, feedback } = subject;
        match &self.test {
            Test::App(ids) => contains(ids, feedback.app_id.as_deref()),
            Test::Via(apps) => apps.contains(&event.via),
            Test::Kind(kinds) => feedback.kind.is_some_and(|kind| kinds.contains(&kind)),
            Test::Fault(faults) => feedback.faults.iter().any(|fault| faults.contains(fault)),
            Test::Source(sources) => feedback.source.is_some_and(|one| sources.contains(&one)),
            Test::Tenant(globs) => any_glob(globs, feedback.tenant_name.as_ref()),
            Test::Path(globs) => any_glob(globs, feedback.path.as_ref()),
            Test::TenantKey(keys) => contains(keys, event.tenant_key.as_deref()),
            Test::Description(patterns) => text(feedback.description.as_ref())
                .is_some_and(|text| patterns.iter().any(|pattern| pattern.is_match(text))),
            Test::Contact(wanted) => text(feedback.contact.as_ref()).is_some() == *wanted,
            Test::Images(wanted) => feedback.images.is_empty() != *wanted,
            Test::User(ids) => contains(ids, text(feedback.user.open_id.as_ref())),
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
        let Subject { event, feedback } = subject;
        let exposed = |value: &Option<Private>| text(value.as_ref()).unwrap_or_default().to_owned();
        match &self.test {
            Test::App(_) => feedback.app_id.clone().unwrap_or_default(),
            Test::Via(_) => event.via.to_string(),
            Test::Kind(_) => feedback
                .kind
                .map(|kind| named(kind.key(), kind.0))
                .unwrap_or_default(),
            Test::Fault(_) => {
                let names = feedback
                    .faults
                    .iter()
                    .map(|fault| named(fault.key(), fault.0));
                names.collect::<Vec<_>>().join(", ")
            }
            Test::Source(_) => feedback
                .source
                .map(|one| named(one.key(), one.0))
                .unwrap_or_default(),
            Test::Tenant(_) => exposed(&feedback.tenant_name),
            Test::Path(_) => exposed(&feedback.path),
            Test::TenantKey(_) => event.tenant_key.clone().unwrap_or_default(),
            Test::Description(_) => exposed(&feedback.description),
            Test::Contact(_) => text(feedback.contact.as_ref()).is_some().to_string(),
            Test::Images(_) => (!feedback.images.is_empty()).to_string(),
            Test::User(_) => exposed(&feedback.user.open_id),
        }
    }
}

/// A text that says something; an empty one is absent.
fn text(value: Option<&Private>) -> Option<&str> {
    value.map(Private::expose).filter(|text| !text.is_empty())
}

fn contains(wanted: &[String], found: Option<&str>) -> bool {
    found.is_some_and(|found| wanted.iter().any(|one| one == found))
}

fn any_glob(globs: &[Glob], found: Option<&Private>) -> bool {
    text(found).is_some_and(|text| globs.iter().any(|glob| glob.regex.is_match(text)))
}

fn named(key: Option<&str>, code: i64) -> String {
    key.map_or_else(|| code.to_string(), str::to_owned)
}
