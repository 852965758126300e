//! Formats the triage part of `events show`: the status of a feedback, who changed it, and where it can be
//! changed.

use serde_json::{Value, json};

use super::super::{text, view};
use crate::model::{
    Actor, EventSeq, FeedbackAct, FeedbackState, FeedbackStatus, Private, SentMessage,
    StatusJobRecord, StatusJobState,
};
use crate::store::{Store, StoreError};

/// The triage data of a feedback.
#[derive(Default)]
pub(super) struct Closing {
    pub(super) state: Option<FeedbackState>,
    pub(super) acts: Vec<FeedbackAct>,
    pub(super) in_feishu: Option<StatusJobRecord>,
    pub(super) messages: Vec<SentMessage>,
}

impl Closing {
    pub(super) async fn fetch(store: &Store, event: EventSeq) -> Result<Self, StoreError> {
        Ok(Self {
            state: store.feedback_state(event).await?,
            acts: store.feedback_acts(event).await?,
            in_feishu: store.status_job(event).await?,
            messages: store.messages(event).await?,
        })
    }

    /// Returns the text; empty if there is nothing to show.
    pub(super) fn to_text(&self) -> String {
        let mut out = String::new();
        if let Some(state) = &self.state {
            out.push_str(&format!(
                "\nfeedback\n  {} since {} by {} through {}{}\n",
                word(state.status),
                state.changed_at,
                who(&state.by),
                state.through,
                if state.local_only { ", here only" } else { "" },
            ));
        }
        if let Some(job) = &self.in_feishu {
            out.push_str(&format!("  {}\n", in_feishu(job)));
        }
        for act in &self.acts {
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
        if !self.messages.is_empty() {
            out.push_str("\nmessages\n");
        }
        for message in &self.messages {
            out.push_str(&format!(
                "  {} at {}: {}, sent {}\n",
                message.delivery,
                text::escape(message.destination.as_str()),
                text::escape(message.handle.as_str()),
                message.sent_at,
            ));
        }
        out
    }

    /// Adds the data as JSON. `feedback` is null until somebody changes its status.
    pub(super) fn add_to(&self, shown: &mut Value) {
        let messages = self.messages.iter().map(|message| {
            json!({
                "delivery": message.delivery.to_string(),
                "destination": message.destination.as_str(),
                "handle": message.handle.as_str(),
                "sent_at": view::time_json(Some(message.sent_at)),
            })
        });
        shown["messages"] = messages.collect();
        shown["feedback"] = self.state.as_ref().map_or(Value::Null, |state| {
            json!({
                "status": status_json(state.status),
                "changed_at": view::time_json(Some(state.changed_at)),
                "by": actor_json(&state.by),
                "through": state.through.key(),
                "undo_until": view::time_json(state.undo_until),
                "here_only": state.local_only,
                "in_feishu": self.in_feishu.as_ref().map(job_json),
                "acts": self.acts.iter().map(act_json).collect::<Vec<_>>(),
            })
        });
    }
}

fn in_feishu(job: &StatusJobRecord) -> String {
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

fn word(status: FeedbackStatus) -> String {
    let number = || format!("status {}", status.0);
    status.key().map_or_else(number, str::to_owned)
}

fn who(by: &Actor) -> String {
    let shown = |text: &Private| text::escape(text.expose()).into_owned();
    match (&by.name, &by.id) {
        (Some(name), Some(id)) => format!("{} ({})", shown(name), shown(id)),
        (Some(one), None) | (None, Some(one)) => shown(one),
        (None, None) => "somebody".to_owned(),
    }
}

fn status_json(status: FeedbackStatus) -> Value {
    json!({ "code": status.0, "key": status.key() })
}

fn actor_json(by: &Actor) -> Value {
    json!({
        "name": by.name.as_ref().map(Private::expose),
        "id": by.id.as_ref().map(Private::expose),
    })
}

fn act_json(act: &FeedbackAct) -> Value {
    json!({
        "at": view::time_json(Some(act.at)),
        "act": act.act.map(|act| act.key()),
        "status": status_json(act.status),
        "by": actor_json(&act.by),
        "through": act.through.key(),
        "effect": act.effect.key(),
    })
}

fn job_json(job: &StatusJobRecord) -> Value {
    json!({
        "state": job.state.key(),
        "status": status_json(job.status),
        "attempts": job.attempts,
        "due_at": view::time_json(Some(job.due_at)),
        "reason": job.reason,
    })
}
