//! Reports side effects of an attempt: refused mentions, HTML pages instead of answers, and edits that failed.

use super::attempt::Sender;
use crate::destination::Sent;
use crate::model::{Delivery, Notice, NoticeKind, Trigger, Verdict};
use crate::telemetry::events::PageAnswered;

impl Sender {
    /// Reports the side effects of a recorded attempt.
    pub(super) async fn remark(&self, delivery: &Delivery, sent: &Sent, verdict: &Verdict) {
        let destination = &delivery.destination;
        if sent.page {
            self.metrics.emit(PageAnswered {
                delivery: delivery.id,
                destination,
            });
        }
        if let Some(reason) = &sent.mentions_refused {
            self.operator
                .notify(mentions_refused(delivery, reason))
                .await;
        }
        if let Some(notice) = not_changed(delivery, sent, verdict) {
            self.operator.notify(notice).await;
        }
    }
}

fn mentions_refused(delivery: &Delivery, reason: &str) -> Notice {
    let names = delivery.spec.mentions.join(", ");
    let whom = match names.as_str() {
        "" => "a person in it".to_owned(),
        names => format!("a person of {names} in [mentions]"),
    };
    Notice {
        kind: NoticeKind::MentionRefused,
        subject: delivery.destination.to_string(),
        text: format!(
            "{} refused {whom} ({reason}), so the message of rule {} was sent without its mentions. Check their ids \
             there; `feedback-relay check --online` looks each of them up.",
            delivery.destination, delivery.spec.rule
        ),
    }
}

/// Returns a notice of an edit that failed permanently: the actor was shown that the action succeeded, but the
/// message does not show it. A recalled message, or one too old to edit, causes no notice.
fn not_changed(delivery: &Delivery, sent: &Sent, verdict: &Verdict) -> Option<Notice> {
    let given_up = matches!(verdict, Verdict::Dead { .. });
    if !given_up || delivery.trigger != Trigger::Edit || sent.uneditable {
        return None;
    }
    let reason = sent.outcome.reason().unwrap_or_default();
    Some(Notice {
        kind: NoticeKind::MessageNotChanged,
        subject: delivery.destination.to_string(),
        text: format!(
            "A message in {} does not show its feedback's status: the edit was refused ({reason}). \
             `feedback-relay events show {}` shows who did what.",
            delivery.destination, delivery.event_id
        ),
    })
}
