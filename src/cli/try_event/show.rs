//! Formats the result of `try`. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::cli::text::{self, Table};
use crate::cli::view;
use crate::deliver::preview::{Preview, Previews};
use crate::destination::{Request, Sent, Settings};
use crate::model::{DestinationName, Event, EventState, Finding, ImageId, Trace};
use crate::rules;

/// The data to show.
pub(super) struct Trial<'a> {
    pub(super) event: &'a Event,
    pub(super) previews: &'a Previews,
    /// The settings of all destinations.
    pub(super) destinations: &'a BTreeMap<DestinationName, Settings>,
    /// The results in the order of the messages; `None` if nothing was sent.
    pub(super) sent: Option<&'a [Sent]>,
    /// The only destination to show; `None`: all.
    pub(super) only: Option<&'a DestinationName>,
}

/// Returns a placeholder for a signed link. It is never shown, because `try` has no images.
pub(super) fn link(id: &ImageId) -> String {
    format!("/images/{id}")
}

impl Trial<'_> {
    /// Returns the text for people.
    pub(super) fn to_text(&self) -> String {
        let mut out = escaped(&format!(
            "event {}, received by {}: {}{}",
            self.event.id,
            self.event.via,
            self.previews.state,
            meaning(self.previews.state)
        ));
        out.push_str("\n\n");
        out.push_str(&rules(&self.previews.trace));
        if self.previews.messages.is_empty() {
            let who = self.only.map_or("anybody", DestinationName::as_str);
            out.push_str(&format!("\nno rule sends it to {}\n", escaped(who)));
        }
        for (index, message) in self.previews.messages.iter().enumerate() {
            out.push_str(&self.message_text(message, self.sent(index)));
        }
        out
    }

    /// Returns the JSON for programs.
    pub(super) fn to_json(&self) -> Value {
        let messages = self.previews.messages.iter().enumerate();
        let messages = messages.map(|(index, message)| {
            json!({
                "destination": message.destination.as_str(),
                "rule": message.spec.rule.as_str(),
                "severity": message.spec.severity.key(),
                "template": message.spec.template,
                "mentions": message.spec.mentions,
                "labels": message.spec.labels,
                "template_error": message.fault.as_ref().map(ToString::to_string),
                "payload": payload(message),
                "request": self.request(message).map(|one| json!({
                    "kind": one.kind,
                    "to": one.to,
                    "bytes": one.bytes,
                    "body": one.body,
                })),
                "sent": self.sent(index).map(sent_json),
            })
        });
        json!({
            "event_id": self.event.id.as_str(),
            "via": self.event.via.as_str(),
            "state": self.previews.state.key(),
            "rules": rules::trace_json(&self.previews.trace),
            "deliveries": messages.collect::<Vec<_>>(),
        })
    }

    /// Returns the request that would be sent to the message's destination.
    fn request(&self, message: &Preview) -> Option<Request> {
        let settings = self.destinations.get(&message.destination)?;
        Some(settings.request(&message.payload.with_links(link), message.id))
    }

    fn message_text(&self, message: &Preview, sent: Option<&Sent>) -> String {
        let spec = view::spec(&message.spec);
        let request = self.request(message);
        let (way, size) = request.as_ref().map_or_else(Default::default, |one| {
            let way = format!(" ({}: {})", one.kind, one.to);
            (way, format!(", {} bytes", one.bytes))
        });
        let head = format!("to {}{way}: {spec}{size}", message.destination);
        let mut out = format!("\n{}\n", escaped(&head));
        if let Some(fault) = &message.fault {
            let fault = escaped(&fault.to_string());
            out.push_str(&format!(
                "{fault}; the built-in plain template is used instead\n"
            ));
        }
        let body = request.map_or_else(|| payload(message), |request| request.body);
        out.push_str(&format!("{}\n", text::escape_json(&format!("{body:#}"))));
        if let Some(sent) = sent {
            out.push_str(&format!("=> sent as a test: {}\n", escaped(&outcome(sent))));
        }
        out
    }

    fn sent(&self, index: usize) -> Option<&Sent> {
        self.sent.and_then(|sent| sent.get(index))
    }
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
fn rules(trace: &Trace) -> String {
    let mut rules = Table::new(["RULE", "FINDING", "CONDITION", "WANTED", "FOUND"]);
    for rule in &trace.rules {
        let (finding, condition) = match &rule.finding {
            Finding::Matched { last: true } => ("matched", None),
            Finding::Matched { last: false } => ("matched, continues", None),
            Finding::Failed(condition) => ("no", Some(("match", condition))),
            Finding::Excepted(condition) => ("no", Some(("except", condition))),
            Finding::NotReached => ("not reached", None),
        };
        let (name, wanted, found) = condition.map_or_else(Default::default, |(table, one)| {
            let found = view::or_dash(Some(one.found.expose()));
            (
                format!("{table}.{}", one.key),
                one.wanted.clone(),
                short(&found),
            )
        });
        rules.push([
            rule.rule.to_string(),
            finding.to_owned(),
            name,
            wanted,
            found,
        ]);
    }
    rules.render()
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
fn outcome(sent: &Sent) -> String {
    let mut text = sent.outcome.kind().to_string();
    if let Some(status) = sent.status {
        text.push_str(&format!(", HTTP {status}"));
    }
    if let Some(code) = &sent.code {
        text.push_str(&format!(", code {code}"));
    }
    if let Some(reason) = sent.outcome.reason() {
        text.push_str(&format!(": {reason}"));
    }
    text
}

fn sent_json(sent: &Sent) -> Value {
    json!({
        "outcome": sent.outcome.kind().key(),
        "status": sent.status,
        "code": sent.code,
        "reason": sent.outcome.reason(),
        "excerpt": sent.excerpt,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        AppName, Content, EventId, EventState, Finding, Outcome, RuleName, RuleTrace, Trace,
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
            outcome(&refused()),
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
        let previews = Previews {
            state: EventState::Routed,
            trace: Trace {
                rules: vec![RuleTrace {
                    rule: RuleName::new("our own testers"),
                    finding: Finding::Matched { last: true },
                }],
            },
            messages: Vec::new(),
        };
        let ops = DestinationName::new("ops");
        let mut trial = Trial {
            event: &event,
            previews: &previews,
            destinations: &BTreeMap::new(),
            sent: None,
            only: None,
        };
        insta::assert_snapshot!(trial.to_text());
        assert_eq!(trial.to_json()["deliveries"], json!([]));
        trial.only = Some(&ops);
        assert!(trial.to_text().ends_with("\nno rule sends it to ops\n"));
    }

    #[test]
    fn programs_see_the_same() {
        assert_eq!(sent_json(&refused())["outcome"], "stop");
        assert_eq!(sent_json(&refused())["reason"], "the bot is gone");
    }
}
