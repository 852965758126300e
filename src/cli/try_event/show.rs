//! Formats the result of `try`. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cli::text::{self, Table};
use crate::cli::{timeline, words};
use crate::deliver::preview::Preview;
use crate::destination::{Request, Sent, Settings};
use crate::model::{DestinationName, Event, EventState, ImageId, PlannedIncident, Private, Trace};
use crate::view::{
    FindingKey, GroupView, PreviewView, RequestView, RuleView, SendView, TrialView, rule_views,
};

/// The data to show.
pub(super) struct Trial<'a> {
    pub(super) event: &'a Event,
    /// The state that the event would have.
    pub(super) state: EventState,
    /// Each rule: matched, or why not.
    pub(super) trace: &'a Trace,
    /// The incidents that count the event, each with the destinations whose messages it merges.
    pub(super) incidents: &'a [PlannedIncident],
    pub(super) messages: &'a [Preview],
    /// The settings of all destinations.
    pub(super) destinations: &'a BTreeMap<DestinationName, Settings>,
    /// The results in the order of the messages; `None` if nothing was sent.
    pub(super) sent: Option<&'a [Sent]>,
}

/// Returns a placeholder for a signed link. It is never shown, because `try` has no images.
pub(super) fn link(id: &ImageId) -> String {
    format!("/images/{id}")
}

impl Trial<'_> {
    /// Returns the view for people and programs.
    pub(super) fn view(&self) -> TrialView {
        let messages = self.messages.iter().enumerate();
        let messages = messages.map(|(index, message)| PreviewView {
            destination: message.destination.clone(),
            spec: message.spec.clone().into(),
            held_until: message.held.as_ref().map(|held| held.until),
            template_error: message.fault.as_ref().map(ToString::to_string),
            payload: payload(message),
            request: self.request(message),
            sent: self.sent.and_then(|sent| sent.get(index)).map(sent_view),
        });
        TrialView {
            event_id: self.event.id.clone(),
            via: self.event.via.clone(),
            state: self.state,
            rules: rule_views(self.trace),
            incidents: self.incidents.iter().map(GroupView::from).collect(),
            deliveries: messages.collect(),
            simulation: None,
        }
    }

    /// Returns the request that would be sent to the message's destination.
    fn request(&self, message: &Preview) -> Option<RequestView> {
        let settings = self.destinations.get(&message.destination)?;
        let payload = message.payload.with_links(link);
        let Request {
            kind,
            to,
            body,
            bytes,
        } = settings.request(&payload, message.id);
        Some(RequestView {
            kind,
            to,
            bytes,
            body,
        })
    }
}

/// Returns the text for people. `only` is the only destination to show; `None`: all are shown.
pub(super) fn to_text(trial: &TrialView, only: Option<&DestinationName>) -> String {
    let mut out = escaped(&format!(
        "event {}, received by {}: {}{}",
        trial.event_id,
        trial.via,
        trial.state,
        meaning(trial.state)
    ));
    out.push_str("\n\n");
    out.push_str(&rules(&trial.rules));
    for (index, incident) in trial.incidents.iter().enumerate() {
        let gap = if index == 0 { "\n" } else { "" };
        out.push_str(&format!("{gap}{}\n", escaped(&grouping(incident))));
    }
    if let Some(simulation) = &trial.simulation {
        let events = words::counted(simulation.events, "report");
        let head = format!("{events} from {} on", simulation.started_at);
        out.push_str(&format!("\n{head}\n\n{}", timeline::to_text(simulation)));
        return out;
    }
    if trial.deliveries.is_empty() {
        let who = only.map_or("anybody", DestinationName::as_str);
        out.push_str(&format!("\nno rule sends it to {}\n", escaped(who)));
    }
    for message in &trial.deliveries {
        out.push_str(&message_text(message));
    }
    out
}

/// Describes how a rule groups the report.
fn grouping(incident: &GroupView) -> String {
    let (keys, values) = words::group(&incident.key);
    let head = format!("\"{}\" groups by {keys}: {values}", incident.rule);
    let to = incident.merged_for.iter().map(ToString::to_string);
    let to = to.collect::<Vec<_>>().join(", ");
    if to.is_empty() {
        return format!("{head}; no destination merges its reports");
    }
    let next = incident.group_from.saturating_add(1);
    format!("{head}; from report {next} on, reports are counted in the incident's message to {to}")
}

fn message_text(message: &PreviewView) -> String {
    let spec = words::spec(&message.spec);
    let request = message.request.as_ref();
    let (way, size) = request.map_or_else(Default::default, |one| {
        let way = format!(" ({}: {})", one.kind, one.to);
        (way, format!(", {} bytes", one.bytes))
    });
    let head = format!("to {}{way}: {spec}{size}", message.destination);
    let mut out = format!("\n{}\n", escaped(&head));
    if let Some(until) = message.held_until {
        out.push_str(&format!(
            "held until {until}, then sent with what its rule holds meanwhile\n"
        ));
    }
    if let Some(fault) = &message.template_error {
        let fault = escaped(fault);
        out.push_str(&format!(
            "{fault}; the built-in plain template is used instead\n"
        ));
    }
    let body = request.map_or(&message.payload, |request| &request.body);
    out.push_str(&format!("{}\n", text::escape_json(&format!("{body:#}"))));
    if let Some(sent) = &message.sent {
        out.push_str(&format!("=> sent as a test: {}\n", escaped(&outcome(sent))));
    }
    out
}

/// Explains a state whose name is not clear by itself.
fn meaning(state: EventState) -> &'static str {
    match state {
        EventState::Unrouted => ", because no rule without `continue` matched",
        EventState::Noted => ", because no rule matched, which is normal",
        EventState::Routed | EventState::Ignored | EventState::Unreadable => "",
    }
}

/// How many characters of a reporter's text are shown in the table.
const FOUND_CHARS_MAX: usize = 60;

/// Returns the result of each rule: the deciding condition and the value it was compared with.
fn rules(rules: &[RuleView]) -> String {
    let mut table = Table::new(["RULE", "FINDING", "CONDITION", "WANTED", "FOUND"]);
    for rule in rules {
        let (finding, decided_by) = match rule.finding {
            FindingKey::Matched => ("matched", rule.key.map(|_| "")),
            FindingKey::Continued => ("matched, continues", rule.key.map(|_| "")),
            FindingKey::Failed => ("no", Some("match.")),
            FindingKey::Excepted => ("no", Some("except.")),
            FindingKey::NotNow => ("not now", Some("")),
            FindingKey::NotReached => ("not reached", None),
        };
        let [condition, wanted, found] =
            decided_by.map_or_else(Default::default, |table| condition(table, rule));
        table.push([
            rule.rule.to_string(),
            finding.to_owned(),
            condition,
            wanted,
            found,
        ]);
    }
    table.render()
}

/// Returns the cells of the key that decided: in `match.` or `except.`, or of the rule itself.
fn condition(table: &str, rule: &RuleView) -> [String; 3] {
    let found = words::or_dash(rule.found.as_ref().map(Private::expose));
    [
        format!("{table}{}", rule.key.unwrap_or_default()),
        rule.wanted.clone().unwrap_or_default(),
        short(&found),
    ]
}

fn short(found: &str) -> String {
    match found.char_indices().nth(FOUND_CHARS_MAX) {
        Some((end, _)) => format!("{}…", found.get(..end).unwrap_or_default()),
        None => found.to_owned(),
    }
}

fn escaped(line: &str) -> String {
    text::escape(line).into_owned()
}

/// Returns the payload as JSON; other text stays text.
fn payload(message: &Preview) -> Value {
    let body = message.payload.with_links(link);
    serde_json::from_str(&body).unwrap_or(Value::String(body))
}

/// Describes the result of sending in a few words.
fn outcome(sent: &SendView) -> String {
    let mut text = sent.outcome.to_string();
    if let Some(status) = sent.status {
        text.push_str(&format!(", HTTP {status}"));
    }
    if let Some(code) = &sent.code {
        text.push_str(&format!(", code {code}"));
    }
    if let Some(reason) = &sent.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

fn sent_view(sent: &Sent) -> SendView {
    SendView {
        outcome: sent.outcome.kind(),
        status: sent.status,
        code: sent.code.clone(),
        reason: sent.outcome.reason().map(str::to_owned),
        excerpt: sent.excerpt.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        AppName, Content, EventId, EventState, Finding, GroupKey, Outcome, RuleName, RuleTrace,
        Trace,
    };

    fn refused() -> Sent {
        Sent {
            outcome: Outcome::Stop {
                reason: "the bot is gone".into(),
            },
            status: Some(200),
            code: Some("19001".into()),
            excerpt: Some("{}".into()),
            handle: None,
            stale_images: false,
            uneditable: false,
            mentions_refused: None,
            page: false,
            rang: None,
        }
    }

    #[test]
    fn the_outcome_says_what_the_platform_said() {
        assert_eq!(
            outcome(&sent_view(&refused())),
            "stop, HTTP 200, code 19001: the bot is gone"
        );
    }

    #[test]
    fn an_event_that_nobody_is_told_of_says_so_and_why() {
        let event = Event {
            id: EventId::new("5e37\nno rule"),
            via: AppName::new("shop"),
            created_at: None,
            tenant_key: None,
            content: Content::Created(Box::default()),
        };
        let trace = Trace {
            rules: vec![RuleTrace {
                rule: RuleName::new("our own testers"),
                finding: Finding::Matched { last: true },
                when: None,
            }],
        };
        let ops = DestinationName::new("ops");
        let trial = Trial {
            event: &event,
            state: EventState::Routed,
            trace: &trace,
            incidents: &[],
            messages: &[],
            destinations: &BTreeMap::new(),
            sent: None,
        };
        let trial = trial.view();
        insta::assert_snapshot!(to_text(&trial, None));
        assert!(trial.deliveries.is_empty());
        assert!(to_text(&trial, Some(&ops)).ends_with("\nno rule sends it to ops\n"));
    }

    #[test]
    fn grouping_names_keys_values_and_merged_destinations() {
        let mut incident = GroupView {
            rule: RuleName::new("blank\nscreen"),
            key: vec![
                (GroupKey::Fault, Some(Private::new("crash"))),
                (GroupKey::Path, None),
            ],
            group_from: 5,
            merged_for: vec!["oncall-chat".into(), "war-room".into()],
        };
        assert_eq!(
            grouping(&incident),
            "\"blank\nscreen\" groups by fault, path: crash, -; from report 6 on, reports are counted in the incident's message to oncall-chat, war-room"
        );
        let json = serde_json::to_value(&incident).unwrap();
        let wanted = serde_json::json!({
            "rule": "blank\nscreen",
            "key": { "fault": "crash", "path": null },
            "group_from": 5,
            "merged_for": ["oncall-chat", "war-room"],
        });
        assert_eq!(json, wanted);
        incident.merged_for.clear();
        assert!(grouping(&incident).ends_with("crash, -; no destination merges its reports"));
    }

    #[test]
    fn programs_see_the_same() {
        let sent = serde_json::to_value(sent_view(&refused())).unwrap();
        assert_eq!(sent["outcome"], "stop");
        assert_eq!(sent["reason"], "the bot is gone");
    }
}
