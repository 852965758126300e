//! Formats the triage part of `events show`: the status of a feedback, who changed it, and where it can be
//! changed.

use super::super::text;
use crate::model::{FeedbackStatus, Private, StatusJobState};
use crate::view::{ActorView, EventView, StatusJobView};

/// Returns the text; empty if there is nothing to show.
pub(super) fn to_text(event: &EventView) -> String {
    let triage = &event.feedback;
    let mut out = String::new();
    if let Some(state) = &triage.state {
        out.push_str(&format!(
            "\nfeedback\n  {} since {} by {} through {}{}\n",
            word(state.status),
            state.changed_at,
            who(&state.by),
            state.through,
            if state.local_only { ", here only" } else { "" },
        ));
    }
    if let Some(job) = &triage.in_feishu {
        out.push_str(&format!("  {}\n", in_feishu(job)));
    }
    for act in &triage.acts {
        let what = act.act.map_or("told", |act| act.key());
        out.push_str(&format!(
            "  {} {what}: {} by {} through {}, {}\n",
            act.at,
            word(act.status),
            who(&act.by),
            act.through,
            act.effect,
        ));
    }
    if !event.messages.is_empty() {
        out.push_str("\nmessages\n");
    }
    for message in &event.messages {
        out.push_str(&format!(
            "  {} at {}: {}, sent {}\n",
            message.delivery,
            text::escape(message.destination.as_str()),
            text::escape(&message.handle),
            message.sent_at,
        ));
    }
    out
}

fn in_feishu(job: &StatusJobView) -> String {
    let status = word(job.status);
    let reason = job.reason.as_deref().map(text::escape).unwrap_or_default();
    match job.state {
        StatusJobState::Done => format!("set in Feishu: {status}"),
        StatusJobState::Dead => format!("not set in Feishu: {status}: {reason}"),
        StatusJobState::Pending if job.attempts == 0 => {
            format!("to be set in Feishu: {status}")
        }
        StatusJobState::Pending => format!(
            "to be set in Feishu: {status}, attempt {} due {}: {reason}",
            job.attempts + 1,
            job.due_at
        ),
    }
}

/// Returns the word of rules for a status, otherwise its number.
fn word(status: FeedbackStatus) -> String {
    let number = || format!("status {}", status.0);
    status.key().map_or_else(number, str::to_owned)
}

/// Returns who acted, fit for a terminal.
pub(in crate::cli) fn who(by: &ActorView) -> String {
    let shown = |text: &Private| text::escape(text.expose()).into_owned();
    match (&by.name, &by.id) {
        (Some(name), Some(id)) => format!("{} ({})", shown(name), shown(id)),
        (Some(one), None) | (None, Some(one)) => shown(one),
        (None, None) => "somebody".to_owned(),
    }
}
