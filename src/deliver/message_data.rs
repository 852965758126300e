//! Builds the template context of a message from leased work.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::incident_content::add_reports;
use super::prepare::NotSent;
use super::read_event;
use crate::destination::KeyOwner;
use crate::model::{
    AppName, Content, CountedReport, Delivery, DeliveryId, Event, GroupKey, Image, ImageState,
    Incident, MessageSpec, StoredEvent, Summarised, Timestamp, Trigger,
};
use crate::render::{Mention, Shown, ShownBy, StatusView, Subject};
use crate::store::EarlierIncidents;

/// The app name of messages that are about no single app.
const OWN_NAME: &str = "feedback-relay";

/// The names that messages show.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Names of apps by their id `cli_…`.
    pub apps: BTreeMap<String, String>,
    /// The ids of the apps in `[apps]`.
    pub app_ids: BTreeMap<AppName, String>,
    /// The entries of `[mentions]`.
    pub mentions: BTreeMap<String, Mention>,
    /// The time zone of each app's feedback times.
    pub feedback_timezones: BTreeMap<AppName, TimeZone>,
}

impl Directory {
    /// Returns the display name of the app that the event is about. A message that is about no single app gets
    /// the relay's own name.
    pub fn app_name<'a>(&'a self, event: &'a Event) -> &'a str {
        let app_id = match &event.content {
            Content::Created(feedback) => feedback.app_id.as_deref(),
            Content::Updated(change) => change.app_id.as_deref(),
            Content::Incident(reports) => match reports.key_value(GroupKey::App) {
                Some(app_id) => Some(app_id),
                None => return OWN_NAME,
            },
            Content::Notice(_) | Content::Summary(_) | Content::Digest(_) => return OWN_NAME,
        };
        let app_id = app_id.unwrap_or_else(|| event.via.as_str());
        self.apps.get(app_id).map_or(app_id, String::as_str)
    }

    /// Returns the owner under which the store keeps image keys. For an app, this is its id, because its name
    /// in `[apps]` can be given to another app with different image keys.
    pub fn key_owner<'a>(&'a self, owner: &'a KeyOwner) -> &'a str {
        match owner {
            KeyOwner::App(app) => self.app_ids.get(app).map_or(app.as_str(), String::as_str),
            KeyOwner::Bot(name) => name,
        }
    }

    /// Returns the time zone of an app's feedback times. For an app that a reload has removed it is UTC+8, the
    /// platform's own zone.
    pub fn feedback_timezone(&self, app: &AppName) -> TimeZone {
        let known = self.feedback_timezones.get(app).cloned();
        known.unwrap_or_else(|| TimeZone::fixed(jiff::tz::offset(8)))
    }

    /// Returns the entry of `[mentions]` that contains only this person.
    pub fn person(&self, id: &str) -> Option<&str> {
        let means = |mention: &&Mention| match mention {
            Mention::All | Mention::Shown(_) => false,
            Mention::Person { feishu, slack, .. } => {
                feishu.as_slice() == [id] || slack.as_slice() == [id]
            }
        };
        match self.mentions.values().find(means)? {
            Mention::All | Mention::Shown(_) => None,
            Mention::Person { name, .. } => Some(name),
        }
    }

    /// Returns the people that a message spec mentions. A name that a reload has removed mentions nobody.
    pub fn mentions(&self, spec: &MessageSpec) -> Vec<Mention> {
        let resolve = |name: &String| match name.as_str() {
            "all" => Some(Mention::All),
            name => self.mentions.get(name).cloned(),
        };
        spec.mentions.iter().filter_map(resolve).collect()
    }

    /// Returns the open ids of the people that a delivery's message mentions individually. Late images mention
    /// nobody, an edit notifies nobody again, and a mention of everybody names no individual.
    pub(super) fn open_ids(&self, delivery: &Delivery) -> Vec<String> {
        match delivery.trigger {
            Trigger::LateImages | Trigger::Edit => return Vec::new(),
            Trigger::Event
            | Trigger::Fallback
            | Trigger::Replay
            | Trigger::Test
            | Trigger::Incident => {}
        }
        let mut ids = Vec::new();
        for mention in self.mentions(&delivery.spec) {
            if let Mention::Person { feishu, .. } = mention {
                ids.extend(feishu.into_iter().filter(|id| id.starts_with("ou_")));
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// The owned data of one message. A [`Subject`] borrows from it.
#[derive(Debug)]
pub struct MessageData {
    pub event: Event,
    /// When the event was accepted.
    pub received_at: Timestamp,
    /// The delivery that carries the message.
    pub delivery: DeliveryId,
    /// Why the message is sent.
    pub trigger: Trigger,
    /// Whether it is the main message of an incident.
    pub is_main: bool,
    /// For a report: its position in the incident that counts it.
    pub counted: Option<CountedReport>,
    /// What the rule asks for: template, mentions and the like.
    pub spec: MessageSpec,
    /// The display name of the event's app.
    pub app_name: String,
    /// The people that are mentioned.
    pub mentions: Vec<Mention>,
    /// The images that this message shows or counts.
    pub images: Vec<Shown>,
    /// Number of images that are not fetched yet.
    pub images_pending: usize,
    /// Number of images whose host is not allowed.
    pub images_refused: usize,
    /// Number of images that the report had in all.
    pub images_total: usize,
    /// The status of the feedback, and the actions on it.
    pub standing: StatusView,
}

impl MessageData {
    /// Returns the template context.
    pub fn subject(&self, now: Timestamp) -> Subject<'_> {
        Subject {
            event: &self.event,
            received_at: self.received_at,
            app_name: &self.app_name,
            delivery: self.delivery,
            trigger: self.trigger,
            is_main: self.is_main,
            counted: self.counted,
            spec: &self.spec,
            mentions: &self.mentions,
            images: &self.images,
            images_pending: self.images_pending,
            images_refused: self.images_refused,
            images_total: self.images_total,
            standing: &self.standing,
            now,
        }
    }
}

/// Returns the number of images in the report, including those beyond the fetch limit.
pub(super) fn images_total(event: &Event) -> usize {
    match &event.content {
        Content::Created(feedback) => feedback.images.len(),
        Content::Updated(_)
        | Content::Notice(_)
        | Content::Summary(_)
        | Content::Digest(_)
        | Content::Incident(_) => 0,
    }
}

/// Adds the current state of an incident, and the reports that a summary or an incident quotes. Their events do
/// not contain these.
pub(super) fn complete(
    content: &mut Content,
    incident: Option<&Incident>,
    reports: &[StoredEvent],
    earlier: &EarlierIncidents,
    names: &Directory,
) -> Result<(), NotSent> {
    match content {
        Content::Created(_) | Content::Updated(_) | Content::Notice(_) => {}
        Content::Summary(summary) => summary.newest = quoted(reports, names),
        Content::Digest(digest) => {
            digest.newest = quoted(reports, names);
            digest.counts.apps = named(&digest.counts.apps, names);
            if let Some(before) = &mut digest.before {
                before.apps = named(&before.apps, names);
            }
        }
        Content::Incident(shown) => {
            let missing = NotSent::Permanent("the incident is no longer stored");
            shown.incident = Some(incident.ok_or(missing)?.clone());
            add_reports(shown, reports, earlier, names);
        }
    }
    Ok(())
}

/// Returns the same counts by the names of the apps.
fn named(apps: &BTreeMap<String, u64>, names: &Directory) -> BTreeMap<String, u64> {
    let mut named = BTreeMap::new();
    for (id, count) in apps {
        let name = names.apps.get(id).unwrap_or(id);
        *named.entry(name.clone()).or_default() += count;
    }
    named
}

/// Returns the reports that a message quotes, without those whose text was erased.
pub(super) fn quoted(stored: &[StoredEvent], names: &Directory) -> Vec<Summarised> {
    let read = stored.iter().filter_map(|stored| {
        let event = read_event(stored, stored.body.as_ref()?, names)?;
        let app_name = names.app_name(&event).to_owned();
        match event.content {
            Content::Created(feedback) => Some(Summarised {
                app_name,
                feedback: *feedback,
            }),
            Content::Updated(_)
            | Content::Notice(_)
            | Content::Summary(_)
            | Content::Digest(_)
            | Content::Incident(_) => None,
        }
    });
    read.collect()
}

/// Returns the number of images that are not fetched yet.
pub(super) fn images_pending(images: &[Image]) -> usize {
    images
        .iter()
        .filter(|image| image.state == ImageState::Pending && !image.refused)
        .count()
}

/// Returns the number of images whose host is not allowed.
pub(super) fn images_refused(images: &[Image]) -> usize {
    images.iter().filter(|image| image.refused).count()
}

/// Returns a stored image as a message shows it.
pub(super) fn shown(image: &Image, by: ShownBy) -> Option<Shown> {
    let kept = image.kept.as_ref()?;
    Some(Shown {
        ordinal: image.ordinal,
        id: kept.id.clone(),
        format: kept.format,
        width: kept.width,
        height: kept.height,
        by,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::deliver::StoredKind;
    use crate::model::{
        DeliveryState, EventId, EventSeq, EventState, Feedback, Form, GroupTerms, IncidentId,
        IncidentKey, IncidentProgress, IncidentReports, IncidentState, Private, ReportWords,
        RuleName, Severity,
    };
    use crate::store;

    fn event(app_id: Option<&str>, images: usize) -> Event {
        Event {
            id: EventId::new("1"),
            via: AppName::new("shop"),
            created_at: None,
            tenant_key: None,
            content: Content::Created(Box::new(Feedback {
                app_id: app_id.map(str::to_owned),
                images: vec![Private::new("https://example.com/1"); images],
                ..Feedback::default()
            })),
        }
    }

    #[test]
    fn app_name_falls_back_to_id_then_to_receiving_app() {
        let apps = BTreeMap::from([("cli_1".to_owned(), "order".to_owned())]);
        let names = Directory {
            apps,
            ..Directory::default()
        };
        for (id, name) in [
            (Some("cli_1"), "order"),
            (Some("cli_2"), "cli_2"),
            (None, "shop"),
        ] {
            assert_eq!(names.app_name(&event(id, 0)), name);
        }
    }

    fn stored(event_type: &str, body: &str) -> StoredEvent {
        StoredEvent {
            seq: EventSeq(1),
            id: EventId::new("e1"),
            via: "shop".into(),
            event_type: event_type.to_owned(),
            feedback_id: None,
            received_at: Timestamp::from_millis(0),
            state: EventState::Noted,
            body: Some(Private::new(body)),
        }
    }

    fn read(event: &StoredEvent) -> Event {
        read_event(event, event.body.as_ref().unwrap(), &Directory::default()).unwrap()
    }

    /// An incident that is grouped by app.
    fn incident(app_id: Option<&str>) -> Incident {
        let at = Timestamp::from_millis(0);
        Incident {
            id: IncidentId(12),
            rule: RuleName::new("r"),
            kind: None,
            severity: Severity::Warning,
            key: IncidentKey(vec![(GroupKey::App, app_id.map(Private::new))]),
            progress: IncidentProgress {
                state: IncidentState::Open,
                terms: GroupTerms {
                    from: 1,
                    interval: Duration::from_secs(300),
                    repeat_after: None,
                    resolve_after: Duration::from_secs(1800),
                    steps: Vec::new(),
                    hold: None,
                },
                opened_at: at,
                last_at: at,
                count: 2,
                shown_at: Some(at),
                edit_due: false,
                ended_at: None,
                mute: None,
                silenced: 0,
                silenced_before: 0,
                digested: 0,
                digested_at: at,
                notified: 0,
                notified_at: at,
                steps_done: 0,
                claimed: false,
                applied_to: EventSeq(0),
                applies_to: EventSeq(0),
                late: 0,
                burst: None,
                reopened: 0,
            },
            people: 2,
            tenants: 1,
            trend: [2, 0],
            handled: None,
            written: [0, 0],
            keys: 0,
            next_at: None,
            mute_note: None,
            previous: None,
            event: Some(EventSeq(1)),
        }
    }

    #[test]
    fn incident_event_gets_current_incident_and_its_app_name() {
        let names = Directory {
            apps: BTreeMap::from([("cli_1".to_owned(), "order".to_owned())]),
            ..Directory::default()
        };
        for (app_id, name) in [(Some("cli_1"), "order"), (None, "feedback-relay")] {
            let mut event = read(&stored(store::INCIDENT, "{\"incident\": 12}"));
            let now = incident(app_id);
            assert_eq!(
                complete(
                    &mut event.content,
                    Some(&now),
                    &[],
                    &EarlierIncidents::default(),
                    &names
                ),
                Ok(())
            );
            assert_eq!(names.app_name(&event), name);
            let wanted = IncidentReports {
                id: IncidentId(12),
                incident: Some(now),
                newest: Vec::new(),
                words: ReportWords::default(),
                seen_before: None,
            };
            assert_eq!(event.content, Content::Incident(Box::new(wanted)));
        }
    }

    #[test]
    fn incident_that_is_not_stored_is_not_sent() {
        let mut event = read(&stored(store::INCIDENT, "{\"incident\": 12}"));
        let completed = complete(
            &mut event.content,
            None,
            &[],
            &EarlierIncidents::default(),
            &Directory::default(),
        );
        let missing = NotSent::Permanent("the incident is no longer stored");
        assert_eq!(completed, Err(missing));
    }

    #[test]
    fn only_messages_that_quote_reports_are_not_stored() {
        for (event_type, quotes) in [
            (store::INCIDENT, true),
            (store::SUMMARY, true),
            (store::DIGEST, true),
            (store::NOTICE, false),
            ("application.application.feedback.created_v6", false),
        ] {
            let kind = StoredKind::from_event(&stored(event_type, ""));
            assert_eq!(kind.quotes_reports(), quotes, "{event_type}");
        }
    }

    #[test]
    fn all_images_are_counted() {
        assert_eq!(images_total(&event(None, 21)), 21);
    }

    #[test]
    fn everyone_and_known_names_are_mentioned() {
        let sre = Mention::Person {
            name: "sre".into(),
            feishu: vec!["ou_1".into()],
            slack: Vec::new(),
        };
        let spec = MessageSpec {
            rule: RuleName::new("r"),
            severity: Severity::Info,
            template: "alert".into(),
            mentions: vec!["sre".into(), "gone".into(), "all".into()],
            labels: BTreeMap::new(),
            wait: None,
            fell_from: Vec::new(),
            news: None,
        };
        let mentions = BTreeMap::from([("sre".to_owned(), sre.clone())]);
        let names = Directory {
            mentions,
            ..Directory::default()
        };
        assert_eq!(names.mentions(&spec), [sre, Mention::All]);
    }

    #[test]
    fn open_ids_are_empty_for_late_images() {
        let person = |name: &str, feishu: &[&str]| Mention::Person {
            name: name.into(),
            feishu: feishu.iter().map(|id| (*id).to_owned()).collect(),
            slack: vec!["U1".into()],
        };
        let mentions = BTreeMap::from([
            ("sre".to_owned(), person("sre", &["ou_2", "li@example.com"])),
            ("lead".to_owned(), person("lead", &["ou_1", "ou_2"])),
        ]);
        let names = Directory {
            mentions,
            ..Directory::default()
        };
        let delivery = |trigger| Delivery {
            id: DeliveryId::from_i64(1),
            event: EventSeq(1),
            event_id: EventId::new("1"),
            destination: "room".into(),
            spec: MessageSpec {
                rule: RuleName::new("r"),
                severity: Severity::Info,
                template: "alert".into(),
                mentions: vec!["sre".into(), "all".into(), "lead".into()],
                labels: BTreeMap::new(),
                wait: None,
                fell_from: Vec::new(),
                news: None,
            },
            trigger,
            state: DeliveryState::Sending,
            form: Form::Full,
            attempts: 0,
            created_at: Timestamp::from_millis(0),
            due_at: Timestamp::from_millis(0),
            first_due_at: Timestamp::from_millis(0),
            failures: 0,
            unanswered: 0,
            failed_at: None,
            due_since: None,
            reason: None,
            incident: None,
            silence: None,
            rules: Vec::new(),
            held_for: None,
            summary: None,
        };
        assert_eq!(names.open_ids(&delivery(Trigger::Event)), ["ou_1", "ou_2"]);
        assert!(names.open_ids(&delivery(Trigger::LateImages)).is_empty());
        assert!(names.open_ids(&delivery(Trigger::Edit)).is_empty());
    }
}
