//! Implements `events show`: shows everything about one event.

use serde_json::{Value, json};

use super::super::context::{Context, Exit, Failure};
use super::super::{reading, text, view};
use super::triage::Closing;
use crate::config::{Config, Needs};
use crate::model::{
    Attempt, Content, Delivery, DestinationName, EventId, FeedbackStatus, Image, StatusChange,
    StoredEvent, Trace,
};
use crate::rules;
use crate::store::{DeliveryFilter, Store};

const EXAMPLES: &str = "\
Examples:
  feedback-relay events show 5e3702a84e847582be8db7fb73283c02
  feedback-relay events show 6837492929292929292 --body      by the id of its feedback";

/// How many deliveries of one event are shown.
const DELIVERIES_MAX: usize = 1000;

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Args {
    /// The id of the event or of its feedback
    id: String,
    /// Also show the stored body, which contains what the reporter typed; its token is masked
    #[arg(long)]
    body: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Everything that is known about an event.
struct Record {
    event: StoredEvent,
    /// The results of today's rules, or why they could not be applied.
    trace: Result<Trace, String>,
    /// The content, if it is a change of status.
    change: Option<StatusChange>,
    images: Vec<Image>,
    deliveries: Vec<(Delivery, Vec<Attempt>)>,
    /// For a late event: the destinations that get a late summary, and the id of each summary, once it exists.
    summaries: Vec<(DestinationName, Option<EventId>)>,
    closing: Closing,
    with_body: bool,
}

/// Shows an event.
pub(super) async fn run(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    let config = context.config_for(Needs::StoreOnly)?;
    let store = context.store(&config)?;
    let mut record = fetch(&store, &args.id, &config).await?;
    record.with_body = args.body;
    if args.json {
        context.out.json(&record.to_json());
    } else {
        context.out.text(&record.to_text());
    }
    Ok(Exit::Done)
}

async fn fetch(store: &Store, id: &str, config: &Config) -> Result<Record, Failure> {
    let event = super::find(store, id).await?;
    let filter = DeliveryFilter {
        event: Some(event.seq),
        limit: DELIVERIES_MAX,
        ..DeliveryFilter::default()
    };
    let mut deliveries = Vec::new();
    for delivery in store.deliveries(filter).await? {
        let attempts = store.attempts(delivery.id).await?;
        deliveries.push((delivery, attempts));
    }
    let read = reading::read_with_reports(&event, config, store).await;
    let change = match read.as_ref().map(|event| &event.content) {
        Ok(Content::Updated(change)) => Some(change.clone()),
        Ok(Content::Created(_) | Content::Notice(_) | Content::Summary(_)) | Err(_) => None,
    };
    Ok(Record {
        trace: read.map(|event| config.rules.explain(&event).1),
        change,
        images: store.images_of(event.seq).await?,
        deliveries,
        summaries: store.summaries_of(event.seq).await?,
        closing: Closing::fetch(store, event.seq).await?,
        event,
        with_body: false,
    })
}

impl Record {
    fn to_text(&self) -> String {
        let event = &self.event;
        let line = |name: &str, value: &str| format!("{name:<12}{}\n", text::escape(value));
        let mut out = line("event", event.id.as_str());
        out.push_str(&line("type", &event.event_type));
        match &self.change {
            None => out.push_str(&line(
                "feedback",
                &view::or_dash(event.feedback_id.as_deref()),
            )),
            Some(change) => {
                out.push_str(&line(
                    "feedback",
                    &view::or_dash(Some(&change.feedback_ids.join(" "))),
                ));
                out.push_str(&line(
                    "status",
                    &view::or_dash(Some(&view::status(change.status))),
                ));
            }
        }
        out.push_str(&line("received", &event.received_at.to_string()));
        out.push_str(&line("by app", event.via.as_str()));
        out.push_str(&line("state", event.state.key()));
        out.push_str(&self.rules_text());
        if !self.images.is_empty() {
            out.push_str("\nimages\n");
        }
        for image in &self.images {
            out.push_str(&format!("  {}\n", text::escape(&view::image(image))));
        }
        out.push_str("\ndeliveries\n");
        for (destination, summary) in &self.summaries {
            let summary = summary.as_ref().map_or("the next summary", EventId::as_str);
            let line = format!("in {summary} to {destination}, because it was late");
            out.push_str(&format!("  {}\n", text::escape(&line)));
        }
        if self.deliveries.is_empty() && self.summaries.is_empty() {
            out.push_str("  none\n");
        }
        for (delivery, attempts) in &self.deliveries {
            out.push_str(&delivery_text(delivery, attempts));
        }
        if self.deliveries.len() == DELIVERIES_MAX {
            out.push_str(&format!("  only the newest {DELIVERIES_MAX} are shown\n"));
        }
        out.push_str(&self.closing.to_text());
        if self.with_body {
            let body = format!("{:#}", self.body());
            out.push_str(&format!("\nbody\n{}\n", text::escape_json(&body)));
        }
        out
    }

    fn rules_text(&self) -> String {
        let trace = match &self.trace {
            Ok(trace) => trace,
            Err(reason) => {
                return format!(
                    "\ntoday's rules cannot be applied: {}\n",
                    text::escape(reason)
                );
            }
        };
        let mut table = text::Table::new(["RULE (today's)", "FINDING"]);
        for rule in &trace.rules {
            table.push([rule.rule.to_string(), view::finding(&rule.finding)]);
        }
        format!("\n{}", table.render())
    }

    fn to_json(&self) -> Value {
        let event = &self.event;
        let deliveries = self.deliveries.iter().map(|(delivery, attempts)| {
            let mut shown = view::delivery_json(delivery);
            shown["attempt_log"] = attempts.iter().map(view::attempt_json).collect();
            shown
        });
        let mut shown = json!({
            "id": event.id.as_str(),
            "feedback_id": event.feedback_id,
            "change": self.change.as_ref().map(|change| json!({
                "feedback_ids": change.feedback_ids,
                "status": change.status.map(|status| status.0),
                "status_key": change.status.and_then(FeedbackStatus::key),
            })),
            "via": event.via.as_str(),
            "type": event.event_type,
            "received_at": view::time_json(Some(event.received_at)),
            "state": event.state.key(),
            "rules_today": self.trace.as_ref().ok().map(rules::trace_json),
            "rules_error": self.trace.as_ref().err(),
            "images": self.images.iter().map(view::image_json).collect::<Vec<_>>(),
            "deliveries": deliveries.collect::<Vec<_>>(),
            "summaries": self.summaries.iter().map(|(destination, summary)| {
                json!({ "destination": destination.as_str(), "summary": summary.as_ref().map(EventId::as_str) })
            }).collect::<Vec<_>>(),
        });
        self.closing.add_to(&mut shown);
        if self.with_body {
            shown["body"] = self.body();
        }
        shown
    }

    /// Returns the stored body with masked tokens; null if there is none.
    fn body(&self) -> Value {
        let body = self.event.body.as_ref();
        body.map_or(Value::Null, |body| reading::shown(body.expose()))
    }
}

fn delivery_text(delivery: &Delivery, attempts: &[Attempt]) -> String {
    let escaped = |text: &str| text::escape(text).into_owned();
    let mut out = format!(
        "  {} to {}: {}, {}\n",
        delivery.id,
        escaped(delivery.destination.as_str()),
        delivery.state,
        escaped(&view::spec(&delivery.spec)),
    );
    out.push_str(&format!(
        "    made {} by {}, due {}\n",
        delivery.created_at, delivery.trigger, delivery.due_at
    ));
    for attempt in attempts {
        out.push_str(&format!("    {}\n", escaped(&view::attempt(attempt))));
        if let Some(excerpt) = &attempt.excerpt {
            out.push_str(&format!("       answer: {}\n", escaped(excerpt)));
        }
    }
    if let Some(reason) = &delivery.reason {
        out.push_str(&format!("    reason: {}\n", escaped(reason)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{a_delivery, an_attempt};
    use crate::model::{
        Actor, AppName, ChangeSource, Condition, Effect, EventSeq, EventState, FeedbackAct,
        FeedbackState, Finding, ImageState, MessageHandle, Private, RuleName, RuleTrace,
        SentMessage, StatusJobRecord, StatusJobState, Timestamp, TriageAction,
    };

    /// A triage state: claimed by somebody whose name contains control characters, with an update to Feishu still
    /// waiting.
    fn closing() -> Closing {
        let at = Timestamp::from_millis(1_711_111_222_000);
        let by = Actor {
            name: Some(Private::new("Li\u{1b}[2J")),
            id: Some(Private::new("U0LI")),
            app: None,
        };
        Closing {
            state: Some(FeedbackState {
                status: FeedbackStatus::PROCESSING,
                changed_at: at,
                by: by.clone(),
                through: ChangeSource::Slack,
                undo_until: Some(at + std::time::Duration::from_secs(900)),
                local_only: true,
            }),
            acts: vec![FeedbackAct {
                at,
                act: Some(TriageAction::Claim),
                status: FeedbackStatus::PROCESSING,
                by,
                through: ChangeSource::Slack,
                effect: Effect::Changed,
            }],
            in_feishu: Some(StatusJobRecord {
                status: FeedbackStatus::PROCESSING,
                state: StatusJobState::Pending,
                attempts: 1,
                due_at: at,
                reason: Some("rate limited".into()),
                lease: None,
            }),
            messages: vec![SentMessage {
                delivery: a_delivery().id,
                destination: "oncall-chat".into(),
                handle: MessageHandle("om_1".into()),
                sent_at: at,
            }],
        }
    }

    fn record() -> Record {
        let body =
            "{\"header\":{\"token\":\"v-secret\"},\"event\":{\"description\":\"\u{1b}[2J\"}}";
        Record {
            event: StoredEvent {
                seq: EventSeq(7),
                id: EventId::new("5e37"),
                via: AppName::new("shop"),
                event_type: "application.application.feedback.created_v6".into(),
                feedback_id: None,
                received_at: Timestamp::from_millis(1_711_111_111_000),
                state: EventState::Routed,
                body: Some(Private::new(body.replace('\u{1b}', "\\u001b"))),
            },
            trace: Ok(Trace {
                rules: vec![RuleTrace {
                    rule: RuleName::new("blank screen"),
                    finding: Finding::Failed(Condition {
                        key: "path",
                        wanted: "pages/*".into(),
                        found: Private::new("evil\u{1b}\nRULE"),
                    }),
                }],
            }),
            change: None,
            images: vec![Image {
                refused: false,
                ordinal: 0,
                state: ImageState::Lost,
                kept: None,
                reason: Some("HTTP 403".into()),
            }],
            deliveries: vec![(a_delivery(), vec![an_attempt()])],
            summaries: vec![(
                DestinationName::new("product"),
                Some(EventId::new("summary:0000000000007")),
            )],
            closing: closing(),
            with_body: true,
        }
    }

    #[test]
    fn everything_about_an_event_is_shown_and_nothing_unsafe() {
        let shown = record().to_text();
        assert!(!shown.contains('\u{1b}') && !shown.contains("v-secret"));
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn programs_see_the_same() {
        insta::assert_json_snapshot!(record().to_json());
    }

    #[test]
    fn a_change_of_status_names_each_feedback_and_the_status() {
        let change = |status| Record {
            change: Some(StatusChange {
                feedback_ids: vec!["70".into(), "71\u{1b}".into()],
                status,
                ..StatusChange::default()
            }),
            ..record()
        };
        let closed = change(Some(FeedbackStatus::CLOSED));
        let text = closed.to_text();
        assert!(
            text.contains("feedback    70 71\\u{1b}\nstatus      closed\n"),
            "{text}"
        );
        assert_eq!(
            closed.to_json()["change"],
            json!({ "feedback_ids": ["70", "71\u{1b}"], "status": 3, "status_key": "closed" })
        );
        assert!(
            change(Some(FeedbackStatus(9)))
                .to_text()
                .contains("status      9\n")
        );
        assert!(change(None).to_text().contains("status      -\n"));
    }

    #[test]
    fn the_body_is_shown_only_on_demand() {
        let bare = Record {
            with_body: false,
            ..record()
        };
        assert!(!bare.to_text().contains("body"));
        assert_eq!(bare.to_json().get("body"), None);
    }

    #[test]
    fn a_list_that_may_be_cut_says_so() {
        let many = Record {
            deliveries: vec![(a_delivery(), Vec::new()); DELIVERIES_MAX],
            ..record()
        };
        assert!(many.to_text().contains("only the newest 1000 are shown"));
        assert!(!record().to_text().contains("only the newest"));
    }

    #[test]
    fn that_rules_cannot_be_asked_is_said() {
        let erased = Record {
            trace: Err("its body is not stored (any more)".into()),
            ..record()
        };
        let said = "today's rules cannot be applied: its body is not stored (any more)";
        assert!(erased.to_text().contains(said));
        assert_eq!(erased.to_json()["rules_today"], Value::Null);
    }
}
