//! Describes several reports that share a message: an incident, or a summary.

use super::shape::{self, Code, Text, Time};
use super::{Builder, LIST_MAX};
use crate::model::{
    Content, FaultKind, GroupKey, Incident, IncidentReports, IncidentState, Private, ReportWords,
    SeenBefore, SourceKind, Summarised, Summary, Timestamp,
};
use crate::render::{Subject, Visibility, mask, words};

/// The properties that all reports of an incident share. All are `None` for other messages.
#[derive(Default)]
pub(super) struct Shared<'a> {
    pub(super) app: Option<Text<'a>>,
    pub(super) app_name: Option<Text<'a>>,
    pub(super) kind: Option<Code>,
    pub(super) faults: Option<Vec<Code>>,
}

/// Returns the id of an earlier incident if it reached its maximum age, so that another one continues it.
fn continued(seen: &SeenBefore) -> Option<String> {
    let is_continued = seen.incident.progress.state == IncidentState::Continued;
    (is_continued && !seen.is_similar).then(|| seen.incident.id.to_string())
}

/// Returns the incident that counts a report, as it was then.
fn counted<'a>(subject: &Subject<'_>) -> shape::Incident<'a> {
    shape::Incident {
        id: subject.counted.map(|counted| counted.incident.to_string()),
        count: subject.counted.map(|counted| counted.number),
        ..shape::Incident::default()
    }
}

impl<'a> Builder<'a> {
    pub(super) fn shared(&self, subject: &'a Subject<'a>) -> Shared<'a> {
        let Content::Incident(reports) = &subject.event.content else {
            return Shared::default();
        };
        let kind = reports.incident.as_ref().and_then(|incident| incident.kind);
        let app = reports.key_value(GroupKey::App);
        let fault = reports.key_value(GroupKey::Fault);
        Shared {
            app: app.map(|app| self.text(app)),
            app_name: app.map(|_| self.text(subject.app_name)),
            kind: kind.map(|kind| super::code(kind.0, kind.key(), words::kind(self.locale, kind))),
            faults: fault.map(|fault| vec![self.fault(fault)]),
        }
    }

    pub(super) fn incident(&self, subject: &'a Subject<'a>) -> shape::Incident<'a> {
        match &subject.event.content {
            Content::Summary(summary) => self.summary(summary),
            Content::Incident(reports) => match &reports.incident {
                Some(incident) => self.reports(subject, reports, incident),
                None => shape::Incident::default(),
            },
            Content::Created(_) => counted(subject),
            Content::Updated(_) | Content::Notice(_) | Content::Digest(_) => {
                shape::Incident::default()
            }
        }
    }

    fn summary(&self, summary: &'a Summary) -> shape::Incident<'a> {
        shape::Incident {
            count: Some(summary.count),
            first_at: Some(Time(summary.first_at)),
            last_at: Some(Time(summary.last_at)),
            held_for: shape::Named {
                key: Some(summary.held_for.key()),
                label: Some(words::held_reports(self.locale, summary.held_for).to_owned()),
            },
            why: Some(words::held_why(self.locale, summary)),
            recent: self.newest(&summary.newest),
            ..shape::Incident::default()
        }
    }

    fn reports(
        &self,
        subject: &'a Subject<'a>,
        reports: &'a IncidentReports,
        incident: &'a Incident,
    ) -> shape::Incident<'a> {
        let progress = &incident.progress;
        let (first_at, last_at) = (progress.opened_at, progress.last_at);
        let trend = match progress.state {
            IncidentState::Open => Some(words::trend(self.locale, incident.trend)),
            IncidentState::Quiet
            | IncidentState::Continued
            | IncidentState::Done
            | IncidentState::Closed => None,
        };
        // Nobody has a reopened incident, but its last status is known.
        let is_reopened = progress.state == IncidentState::Open && !progress.claimed;
        let state = match &incident.handled {
            Some(_) if is_reopened => words::reopened(self.locale).to_owned(),
            Some(_) | None => words::incident_state(self.locale, progress.state, progress),
        };
        let keys = incident.key.0.iter().take(LIST_MAX);
        // A collective incident has no values of its own.
        let further = (incident.keys > 0).then(|| shape::GroupedBy {
            key: "further",
            label: words::further_keys(self.locale),
            value: Some(Text::from(incident.keys.to_string())),
        });
        shape::Incident {
            id: Some(reports.id.to_string()),
            previous: reports.seen_before.as_ref().and_then(continued),
            before: self.before(reports.seen_before.as_ref()),
            state: shape::Named {
                key: Some(progress.state.key()),
                label: Some(state),
            },
            news: shape::Named {
                key: subject.spec.news.map(|news| news.key()),
                label: subject
                    .spec
                    .news
                    .map(|news| words::incident_news(self.locale, news, progress)),
            },
            flapping: words::flapping(self.locale, progress),
            count: Some(progress.count),
            merged: Some(progress.count.saturating_sub(progress.terms.from)),
            users: Some(incident.people),
            tenants: Some(incident.tenants),
            trend,
            first_at: Some(Time(first_at)),
            last_at: Some(Time(last_at)),
            open_for: Some(words::span(self.locale, last_at.since(first_at))),
            claimed: progress.claimed,
            written: words::written(self.locale, incident.written),
            mute: self.mute(incident, subject.now),
            held_for: shape::Named::default(),
            why: None,
            grouped_by: keys
                .filter_map(|(key, value)| self.grouped_by(*key, value.as_ref(), subject))
                .chain(further)
                .collect(),
            kinds: self.words_kinds(&reports.words),
            words: self.words(&reports.words),
            recent: self.newest(&reports.newest),
        }
    }

    /// Returns the silence that mutes an open incident, or did.
    fn mute(&self, incident: &'a Incident, now: Timestamp) -> shape::Mute<'a> {
        let progress = &incident.progress;
        let reports = progress.silenced_now();
        let is_muted = progress.state == IncidentState::Open && progress.is_muted(now);
        let mute = progress.mute.filter(|_| is_muted);
        let note = incident.mute_note.as_ref().filter(|_| mute.is_some());
        let text = |private: &'a Private| self.text(private.expose());
        shape::Mute {
            until: mute.map(|mute| Time(mute.until)),
            by: note.and_then(|note| note.author.as_ref()).map(text),
            reason: note.and_then(|note| note.reason.as_ref()).map(text),
            reports: Some(reports).filter(|reports| *reports > 0),
        }
    }

    /// Returns an earlier incident, unless this one continues it.
    fn before(&self, seen: Option<&'a SeenBefore>) -> shape::Before<'a> {
        let Some(seen) = seen.filter(|seen| continued(seen).is_none()) else {
            return shape::Before::default();
        };
        let progress = &seen.incident.progress;
        let (name, visibility) = (seen.by_name.as_ref(), self.audience.fields.user);
        shape::Before {
            id: Some(seen.incident.id.to_string()),
            similar: seen.is_similar,
            label: Some(words::seen_before(self.locale, seen.is_similar)),
            state: shape::Named {
                key: Some(progress.state.key()),
                label: Some(words::incident_state(self.locale, progress.state, progress)),
            },
            ended_at: progress.ended_at.map(Time),
            name: self.private(name, visibility, mask::head),
        }
    }

    /// Returns how many kinds of words the reports use; `None` if all differ, or this audience sees no texts.
    fn words_kinds(&self, words: &ReportWords) -> Option<u64> {
        let sees_texts = self.audience.fields.description != Visibility::Drop;
        (sees_texts && words.are_grouped()).then_some(words.kinds)
    }

    /// Returns a sample of each kind of words. If all differ, the newest reports say as much.
    fn words(&self, words: &'a ReportWords) -> Vec<shape::Words<'a>> {
        let largest = words.largest.iter();
        let largest = largest.filter(|_| self.words_kinds(words).is_some());
        largest
            .map(|alike| shape::Words {
                count: alike.count,
                description: self.described(Some(&alike.sample)),
            })
            .collect()
    }

    /// Returns one key of `group_by`; `None` if this audience must not see its value.
    fn grouped_by(
        &self,
        key: GroupKey,
        value: Option<&'a Private>,
        subject: &'a Subject<'a>,
    ) -> Option<shape::GroupedBy<'a>> {
        let fields = &self.audience.fields;
        let visibility = match key {
            GroupKey::Tenant | GroupKey::TenantKey => fields.tenant,
            GroupKey::Path => fields.path,
            GroupKey::App | GroupKey::Via | GroupKey::Fault | GroupKey::Source => Visibility::Full,
        };
        if visibility == Visibility::Drop {
            return None;
        }
        let text = value.map(Private::expose);
        let value = match key {
            GroupKey::App => text.map(|_| self.text(subject.app_name)),
            GroupKey::Via => text.map(|via| self.text(via)),
            GroupKey::Fault => text.and_then(|text| self.fault(text).label).map(Text::from),
            GroupKey::Source => text
                .and_then(|text| self.source_of(text).label)
                .map(Text::from),
            GroupKey::Tenant | GroupKey::TenantKey => self.shown(text, visibility, mask::head),
            GroupKey::Path => self.shown(text, visibility, mask::path),
        };
        Some(shape::GroupedBy {
            key: key.key(),
            label: words::group_key(self.locale, key),
            value,
        })
    }

    /// Returns the fault with this name or number.
    pub(super) fn fault(&self, text: &str) -> Code {
        let number = || text.parse().ok().map(FaultKind);
        match FaultKind::from_key(text).or_else(number) {
            Some(fault) => super::code(fault.0, fault.key(), words::fault(self.locale, fault)),
            None => self.odd(Some(&self.text(text))),
        }
    }

    /// Returns the source with this name or number.
    fn source_of(&self, text: &str) -> Code {
        let number = || text.parse().ok().map(SourceKind);
        match SourceKind::from_key(text).or_else(number) {
            Some(source) => super::code(source.0, source.key(), words::source(self.locale, source)),
            None => self.odd(Some(&self.text(text))),
        }
    }

    pub(super) fn newest(&self, newest: &'a [Summarised]) -> Vec<shape::Recent<'a>> {
        let newest = newest.iter().take(LIST_MAX);
        newest.map(|one| self.recent(one)).collect()
    }

    fn recent(&self, one: &'a Summarised) -> shape::Recent<'a> {
        let (feedback, fields) = (&one.feedback, &self.audience.fields);
        shape::Recent {
            id: feedback.id.as_ref().map(|id| self.text(id)),
            app_name: self.text(&one.app_name),
            kind: self.kind(feedback),
            faults: self.faults(feedback),
            description: self.description(feedback),
            path: self.private(feedback.path.as_ref(), fields.path, mask::path),
            tenant_name: self.private(feedback.tenant_name.as_ref(), fields.tenant, mask::head),
            feedback_time: feedback.reported_at.map(Time),
        }
    }
}
