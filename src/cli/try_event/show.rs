//! How a trial is shown. Pure.

use serde_json::{Value, json};

use crate::cli::text::{self, Table};
use crate::cli::view;
use crate::deliver::preview::{Preview, Previews};
use crate::destination::Sent;
use crate::model::{DestinationName, Event, ImageId};

/// All there is to show.
pub(super) struct Trial<'a> {
    pub(super) event: &'a Event,
    pub(super) previews: &'a Previews,
    /// In the order of the messages, if they were sent.
    pub(super) sent: Option<&'a [Sent]>,
    /// The only destination that is looked at, if one was named.
    pub(super) only: Option<&'a DestinationName>,
}

/// What stands for a signed link: a trial has no pictures, so none is made.
pub(super) fn link(id: &ImageId) -> String {
    format!("/images/{id}")
}

impl Trial<'_> {
    /// For people.
    pub(super) fn to_text(&self) -> String {
        let mut out = escaped(&format!(
            "event {}, received by {}: {}",
            self.event.id, self.event.via, self.previews.state
        ));
        out.push_str("\n\n");
        let mut rules = Table::new(["RULE", "FINDING"]);
        for rule in &self.previews.trace.rules {
            rules.push([rule.rule.to_string(), view::finding(&rule.finding)]);
        }
        out.push_str(&rules.render());
        if self.previews.messages.is_empty() {
            let who = self.only.map_or("anybody", DestinationName::as_str);
            out.push_str(&format!("\nno rule tells {}\n", escaped(who)));
        }
        for (index, message) in self.previews.messages.iter().enumerate() {
            out.push_str(&message_text(message, self.sent(index)));
        }
        out
    }

    /// For programs.
    pub(super) fn to_json(&self) -> Value {
        let messages = self.previews.messages.iter().enumerate();
        let messages = messages.map(|(index, message)| {
            json!({
                "destination": message.destination.as_str(),
                "rule": message.order.rule.as_str(),
                "severity": message.order.severity.key(),
                "template": message.order.template,
                "mentions": message.order.mentions,
                "labels": message.order.labels,
                "template_error": message.fault.as_ref().map(ToString::to_string),
                "payload": payload(message),
                "sent": self.sent(index).map(sent_json),
            })
        });
        json!({
            "event_id": self.event.id.as_str(),
            "via": self.event.via.as_str(),
            "state": self.previews.state.key(),
            "rules": view::trace_json(&self.previews.trace),
            "deliveries": messages.collect::<Vec<_>>(),
        })
    }

    fn sent(&self, index: usize) -> Option<&Sent> {
        self.sent.and_then(|sent| sent.get(index))
    }
}

fn message_text(message: &Preview, sent: Option<&Sent>) -> String {
    let order = view::order(&message.order);
    let head = format!("to {}: {order}", message.destination);
    let mut out = format!("\n{}\n", escaped(&head));
    if let Some(fault) = &message.fault {
        let fault = escaped(&fault.to_string());
        out.push_str(&format!(
            "{fault}; the built-in plain one takes its place\n"
        ));
    }
    let payload = format!("{:#}", payload(message));
    out.push_str(&format!("{}\n", text::escape_json(&payload)));
    if let Some(sent) = sent {
        out.push_str(&format!("=> {}\n", escaped(&outcome(sent))));
    }
    out
}

fn escaped(line: &str) -> String {
    text::escape(line).into_owned()
}

/// The payload as JSON; text that is none stays text.
fn payload(message: &Preview) -> Value {
    let body = message.payload.with_links(link);
    serde_json::from_str(&body).unwrap_or(Value::String(body))
}

/// What came of sending, in a few words.
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
            sent: None,
            only: None,
        };
        insta::assert_snapshot!(trial.to_text());
        assert_eq!(trial.to_json()["deliveries"], json!([]));
        trial.only = Some(&ops);
        assert!(trial.to_text().ends_with("\nno rule tells ops\n"));
    }

    #[test]
    fn programs_see_the_same() {
        assert_eq!(sent_json(&refused())["outcome"], "stop");
        assert_eq!(sent_json(&refused())["reason"], "the bot is gone");
    }
}
