//! The relay's own word to its operator: what stopped, died, is in danger or was refused.
//!
//! A notice is an event of the relay's own in the store, with at most one delivery, to the
//! destination that `operator.notify` names. Its id is its kind, its subject and the hour: the store
//! knows it as a repeat within that hour, whoever gives it and however often, and so a notice about
//! a notice ends where it began.
//!
//! Strangers cause some of them, so their number is limited (`budget`): what is beyond that is counted and told
//! together. A notice never goes before a report.

mod budget;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::budget::{Budget, Gathered, Ruling};
use crate::model::{
    AppName, Clock, Current, DestinationName, EventId, EventState, MessageSpec, Notice, NoticeKind,
    Private, RuleName, Severity, Timestamp, Trigger,
};
use crate::store::{Accepted, Arrival, NewDelivery, Store};
use crate::telemetry::{Metrics, events::NoticeGiven};

/// The type of a notice in the store.
pub const NOTICE: &str = "feedback_relay.notice";

/// What stands in the place of the receiving app.
const VIA: &str = "relay";

/// One notice of a kind and subject is given in so many seconds.
const REPEAT_AFTER_SECS: i64 = 3600;
const HOUR_MILLIS: i64 = REPEAT_AFTER_SECS * 1000;

/// What stands for the subject in the id of notices that are told together.
const TOGETHER: &str = "together";

/// How often it is looked for notices that wait to be told together.
const GATHERED_EVERY: Duration = Duration::from_secs(1);

/// Tells the operator. Clones share everything.
#[derive(Clone)]
pub struct Operator {
    budget: Arc<Mutex<Budget>>,
    store: Store,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    notify: Current<Option<DestinationName>>,
}

impl Operator {
    /// Tells through `notify`, or through log and store alone where that is `None`.
    pub fn new(
        store: Store,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        notify: Current<Option<DestinationName>>,
    ) -> Self {
        Self {
            budget: Arc::default(),
            store,
            metrics,
            clock,
            notify,
        }
    }

    /// Gives a notice, unless it was given within the hour. If its kind has had its share of this hour, it is
    /// counted and told with others later. Where the store does not take it, it is in the log.
    pub async fn notify(&self, notice: Notice) {
        let now = self.clock.now();
        let hour = hour(now);
        if !self.budget().knows(notice.kind) {
            let given = self.given_before(notice.kind, hour).await;
            self.budget().resume(notice.kind, hour, given);
        }
        let ruling = self.budget().ask(&notice, hour, now);
        match ruling {
            Ruling::Give => {}
            Ruling::Repeat | Ruling::Gather => return,
        }
        let (kind, subject) = (notice.kind, notice.subject.clone());
        if self.give(notice, &subject, now).await {
            self.keep_given(kind, hour).await;
        } else {
            self.budget().was_known(kind);
        }
    }

    /// Gives what is told together when its time has come, until the soft stop; then all of it.
    pub async fn run(self, stopping: CancellationToken) {
        while !stopping.is_cancelled() {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = tokio::time::sleep(GATHERED_EVERY) => {}
            }
            let due = self.budget().due(self.clock.now());
            self.give_gathered(due).await;
        }
        self.finish().await;
    }

    /// Gives all that waits to be told together.
    pub async fn finish(&self) {
        let rest = self.budget().rest();
        self.give_gathered(rest).await;
    }

    async fn give_gathered(&self, gathered: Vec<Gathered>) {
        for one in gathered {
            let notice = together(&one);
            let (kind, text) = (notice.kind, notice.text.clone());
            if !self.give(notice, TOGETHER, self.clock.now()).await {
                // Told together once in this hour, by a process before this one.
                tracing::warn!(notice = %kind, "{}", log_text(kind, &text));
            }
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many notices of a kind an earlier process gave in this hour.
    async fn given_before(&self, kind: NoticeKind, hour: i64) -> usize {
        let kept = self.store.mark(&mark(kind)).await.ok().flatten();
        let millis = kept.map_or(0, Timestamp::as_millis);
        match millis.div_euclid(HOUR_MILLIS) == hour {
            true => usize::try_from(millis.rem_euclid(HOUR_MILLIS)).unwrap_or(0),
            false => 0,
        }
    }

    /// Keeps that number for the next process: the hour, and as its milliseconds how many.
    async fn keep_given(&self, kind: NoticeKind, hour: i64) {
        let given = i64::try_from(self.budget().given(kind)).unwrap_or(0);
        let at = Timestamp::from_millis(hour.saturating_mul(HOUR_MILLIS).saturating_add(given));
        if let Err(error) = self.store.put_mark(&mark(kind), at).await {
            tracing::debug!(%error, "failed to keep how many notices were given");
        }
    }

    /// Puts a notice into the store and the log. Whether it was new: by `key` it is known within its hour.
    async fn give(&self, notice: Notice, key: &str, now: Timestamp) -> bool {
        let to = self.notify.get();
        let arrival = arrival(&notice, key, (*to).as_ref(), now);
        match self.store.accept_notice(arrival).await {
            Ok(Accepted::New(_)) => {}
            Ok(Accepted::Repeat(_)) => return false,
            Err(error) => tracing::error!(
                notice = %notice.kind,
                error = &error as &dyn std::error::Error,
                "a notice could not be kept"
            ),
        }
        self.metrics.emit(NoticeGiven {
            kind: notice.kind,
            subject: log_subject(&notice),
            text: log_text(notice.kind, &notice.text),
        });
        true
    }
}

/// What the log says of a notice: a reporter chooses the names of hosts, and they stay out of it.
fn log_text(kind: NoticeKind, text: &str) -> &str {
    match kind {
        NoticeKind::ImageHostRefused => {
            "pictures are on hosts that images.allow_hosts does not name; the notice names them"
        }
        _ => text,
    }
}

fn log_subject(notice: &Notice) -> &str {
    match notice.kind {
        NoticeKind::ImageHostRefused => "hosts",
        _ => &notice.subject,
    }
}

/// Under this name is kept how many notices of a kind were given, and in which hour.
fn mark(kind: NoticeKind) -> String {
    format!("notices:{kind}")
}

/// The hour that a notice's id names.
fn hour(now: Timestamp) -> i64 {
    now.as_secs().div_euclid(REPEAT_AFTER_SECS)
}

/// Several notices of one kind as one.
fn together(gathered: &Gathered) -> Notice {
    let Gathered {
        kind,
        count,
        or_more,
        named,
        text,
    } = gathered;
    let text = match (kind, *count) {
        (_, 1) => text.clone(),
        (NoticeKind::ImageHostRefused, _) => format!(
            "Pictures of feedback are on {} hosts that are not allowed: {}. If you trust one, add it to \
             allow_hosts under [images] and reload; its pictures are fetched then, unless their addresses have \
             ended. A host on an internal address also needs allow_private_addresses = true.",
            number(*count, *or_more),
            list(named, *count)
        ),
        _ => format!(
            "And {} more of this kind, beyond those told one by one: {}. The log has them all; \
             `events list`, `deliveries list` and /status show how things are now. The first of them: {text}",
            number(*count, *or_more),
            list(named, *count)
        ),
    };
    let subject = match (kind, named.as_slice()) {
        // It stands in the title.
        (NoticeKind::ImageHostRefused, [host]) => host.clone(),
        (NoticeKind::ImageHostRefused, _) => format!("{} hosts", number(*count, *or_more)),
        _ => format!("{} more", number(*count, *or_more)),
    };
    Notice {
        kind: *kind,
        subject,
        text,
    }
}

fn number(count: usize, or_more: bool) -> String {
    format!("{}{count}", if or_more { "at least " } else { "" })
}

/// The first names, and how many more there are.
fn list(named: &[String], count: usize) -> String {
    let names = named.join(", ");
    match count.saturating_sub(named.len()) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

/// A notice as an event on its way into the store.
fn arrival(
    notice: &Notice,
    key: &str,
    notify: Option<&DestinationName>,
    now: Timestamp,
) -> Arrival {
    let hour = hour(now);
    let delivery = notify
        .filter(|to| !is_about(notice, to))
        .map(|to| NewDelivery {
            destination: to.clone(),
            spec: spec(),
            trigger: Trigger::Event,
            due_at: now,
        });
    Arrival {
        id: EventId::new(format!("notice:{}:{key}:{hour}", notice.kind)),
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
        NoticeKind::DestinationStopped
        | NoticeKind::DeliveryDead
        | NoticeKind::DeliveryUnconfirmed => notice.subject == destination.as_str(),
        NoticeKind::DestinationMissing
        | NoticeKind::ImageInDanger
        | NoticeKind::ImageHostRefused
        | NoticeKind::ImageLost
        | NoticeKind::ImageUploadRefused
        | NoticeKind::MentionRefused
        | NoticeKind::MessageNotChanged
        | NoticeKind::EventUnreadable
        | NoticeKind::TemplateFailed
        | NoticeKind::ConnectionRefused
        | NoticeKind::ConnectionDown
        | NoticeKind::StatusNotSet
        | NoticeKind::NothingPushed
        | NoticeKind::ReloadRefused
        | NoticeKind::StoreDisplaced
        | NoticeKind::BackfillFailed => false,
    }
}

fn spec() -> MessageSpec {
    MessageSpec {
        rule: RuleName::from("operator"),
        // Reports that wait go first.
        severity: Severity::Info,
        template: "notice".to_owned(),
        mentions: Vec::new(),
        labels: BTreeMap::new(),
        wait: None,
        fell_from: Vec::new(),
    }
}

/// A notice as the store keeps it.
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
mod tests;
