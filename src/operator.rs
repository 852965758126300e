//! The relay's own word to its operator: what stopped, died, is in danger or was refused.
//!
//! A notice is an event of the relay's own in the journal, with at most one delivery, to the
//! destination that `operator.notify` names. Its id is its kind, its subject and the hour: the journal
//! knows it as a repeat within that hour, whoever gives it and however often, and so a notice about
//! a notice ends where it began.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{
    AppName, Clock, Current, DestinationName, EventId, EventState, Notice, NoticeKind, Order,
    Private, RuleName, Severity, Timestamp, Trigger,
};
use crate::store::{Accepted, Arrival, NewDelivery, Store};
use crate::telemetry::{Metrics, events::NoticeGiven};

/// The type of a notice in the journal.
pub const NOTICE: &str = "feedback_relay.notice";

/// What stands in the place of the receiving app.
const VIA: &str = "relay";

/// One notice of a kind and subject is given in so many seconds.
const REPEAT_AFTER_SECS: i64 = 3600;

/// Tells the operator. Clones share everything.
#[derive(Clone)]
pub struct Operator {
    store: Store,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    notify: Current<Option<DestinationName>>,
}

impl Operator {
    /// Tells through `notify`, or through log and journal alone where that is `None`.
    pub fn new(
        store: Store,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        notify: Current<Option<DestinationName>>,
    ) -> Self {
        Self {
            store,
            metrics,
            clock,
            notify,
        }
    }

    /// Gives a notice, unless it was given within the hour. Where the journal does not take it, it
    /// is in the log.
    pub async fn tell(&self, notice: Notice) {
        let to = self.notify.get();
        let arrival = arrival(&notice, (*to).as_ref(), self.clock.now());
        match self.store.accept(arrival).await {
            Ok(Accepted::New(_)) => {}
            Ok(Accepted::Repeat(_)) => return,
            Err(error) => tracing::error!(
                notice = %notice.kind,
                error = &error as &dyn std::error::Error,
                "a notice could not be kept"
            ),
        }
        self.metrics.emit(NoticeGiven {
            kind: notice.kind,
            subject: &notice.subject,
            text: &notice.text,
        });
    }
}

/// A notice as an event on its way into the journal.
fn arrival(notice: &Notice, notify: Option<&DestinationName>, now: Timestamp) -> Arrival {
    let hour = now.as_secs().div_euclid(REPEAT_AFTER_SECS);
    let delivery = notify
        .filter(|to| !is_about(notice, to))
        .map(|to| NewDelivery {
            destination: to.clone(),
            order: order(),
            trigger: Trigger::Event,
            due_at: now,
        });
    Arrival {
        id: EventId::new(format!("notice:{}:{}:{hour}", notice.kind, notice.subject)),
        via: AppName::from(VIA),
        event_type: NOTICE.to_owned(),
        feedback: None,
        users: Vec::new(),
        received_at: now,
        state: EventState::Noted,
        body: Some(Private::new(write_notice(notice))),
        deliveries: delivery.into_iter().collect(),
        images: Vec::new(),
        images_deadline_at: now,
        change: None,
    }
}

/// Whether the notice says that this very destination does not deliver.
fn is_about(notice: &Notice, destination: &DestinationName) -> bool {
    match notice.kind {
        NoticeKind::DestinationStopped | NoticeKind::DeliveryDead => {
            notice.subject == destination.as_str()
        }
        NoticeKind::ImageInDanger
        | NoticeKind::ImageHostRefused
        | NoticeKind::ImageLost
        | NoticeKind::ImageUploadRefused
        | NoticeKind::EventUnreadable
        | NoticeKind::TemplateFailed
        | NoticeKind::ConnectionRefused
        | NoticeKind::ConnectionDown
        | NoticeKind::StatusNotSet
        | NoticeKind::ReloadRefused
        | NoticeKind::BackfillFailed => false,
    }
}

fn order() -> Order {
    Order {
        rule: RuleName::from("operator"),
        severity: Severity::Warning,
        template: "notice".to_owned(),
        mentions: Vec::new(),
        labels: BTreeMap::new(),
        wait: None,
    }
}

/// A notice as the journal keeps it.
#[derive(Serialize, Deserialize)]
struct Body {
    kind: String,
    subject: String,
    text: String,
}

fn write_notice(notice: &Notice) -> String {
    let body = Body {
        kind: notice.kind.key().to_owned(),
        subject: notice.subject.clone(),
        text: notice.text.clone(),
    };
    serde_json::to_string(&body).expect("three strings are JSON")
}

/// Reads the body of an event whose type is [`NOTICE`]; `None` if it is no notice, or of a kind that
/// this version does not know.
pub fn read_notice(body: &str) -> Option<Notice> {
    let body: Body = serde_json::from_str(body).ok()?;
    Some(Notice {
        kind: NoticeKind::from_key(&body.kind)?,
        subject: body.subject,
        text: body.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(kind: NoticeKind) -> Notice {
        Notice {
            kind,
            subject: "ops".into(),
            text: "it is \"gone\"".into(),
        }
    }

    #[test]
    fn the_journal_gives_the_same_notice_again() {
        for kind in NoticeKind::ALL {
            let arrival = arrival(&notice(*kind), None, Timestamp::from_millis(0));
            let body = arrival.body.unwrap();
            assert_eq!(read_notice(body.expose()), Some(notice(*kind)));
        }
        assert_eq!(
            read_notice("{\"kind\":\"new\",\"subject\":\"\",\"text\":\"\"}"),
            None
        );
        assert_eq!(read_notice("{}"), None);
    }

    #[test]
    fn within_the_hour_it_has_one_id() {
        let id = |kind, millis| arrival(&notice(kind), None, Timestamp::from_millis(millis)).id;
        let kind = NoticeKind::ImageLost;
        assert_eq!(id(kind, 3_600_000), id(kind, 7_199_999));
        assert_ne!(id(kind, 3_600_000), id(kind, 7_200_000));
        assert_ne!(
            id(kind, 3_600_000),
            id(NoticeKind::ReloadRefused, 3_600_000)
        );
    }

    #[test]
    fn it_goes_to_the_operator_unless_it_is_about_that_destination() {
        let ops = DestinationName::from("ops");
        for kind in NoticeKind::ALL {
            let arrival = arrival(&notice(*kind), Some(&ops), Timestamp::from_millis(5));
            let itself = matches!(
                kind,
                NoticeKind::DestinationStopped | NoticeKind::DeliveryDead
            );
            assert_eq!(arrival.deliveries.is_empty(), itself, "{kind}");
            assert_eq!(arrival.state, EventState::Noted);
        }
    }
}
