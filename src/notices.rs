//! Sends operator notices: what was stopped, failed, is at risk or was refused.
//!
//! A notice is stored as an event of the relay itself. It has at most one delivery, to the destination that
//! `operator.notify` names. Its id consists of its kind, its subject and the hour. So the store recognises a
//! repeat within that hour, and a notice about a failed notice does not cause further ones. A notice for which
//! there was no destination, or which none took, does not count as sent: its repeat is sent.
//!
//! Strangers can cause some notices, so their number is limited (`budget`). Notices beyond the limit are
//! counted and summarised. A notice never has priority over a report.

mod budget;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use self::budget::{Budget, Gathered, Reach, Ruling};
use crate::model::{
    Clock, Current, Delivery, DeliveryState, DestinationName, EventId, EventSeq, MessageSpec,
    Notice, NoticeKind, RuleName, Severity, Timestamp, Trigger,
};
use crate::store::{Accepted, AdminResult, Arrival, DeliveryFilter, NOTICE, NewDelivery, Store};
use crate::telemetry::{Metrics, events::NoticeGiven};

/// The time in seconds within which a notice of the same kind and subject is a repeat.
const REPEAT_AFTER_SECS: i64 = 3600;
const HOUR_MILLIS: i64 = REPEAT_AFTER_SECS * 1000;

/// The word that replaces the subject in the id of a summary.
const TOGETHER: &str = "together";

/// The number of a notice's deliveries that are read: its own, and one for each fallback in the chain.
const DELIVERIES_MAX: usize = 100;

/// The time between two checks for summaries that are due.
const GATHERED_EVERY: Duration = Duration::from_secs(1);

/// Sends operator notices. Clones share everything.
#[derive(Clone)]
pub struct Notifier {
    budget: Arc<Mutex<Budget>>,
    store: Store,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    notify: Current<Option<DestinationName>>,
}

impl Notifier {
    /// Builds a sender that delivers to `notify`. If that is `None`, notices are only logged and stored.
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

    /// Sends a notice, unless it was sent within the hour. If its kind has used up its limit for this hour, it
    /// is counted and summarised later. If the store fails, it is in the log.
    pub async fn notify(&self, notice: Notice) {
        let now = self.clock.now();
        let hour = hour(now);
        if !self.budget().knows(notice.kind) {
            let given = self.given_before(notice.kind, hour).await;
            self.budget().resume(notice.kind, hour, given);
        }
        let reach = match receiver(&notice, self.notify.get().as_ref().as_ref()) {
            Some(_) => Reach::Operator,
            None => Reach::Nobody,
        };
        match self.budget().ask(&notice, reach, hour, now) {
            Ruling::Give => {}
            Ruling::Repeat | Ruling::Gather => return,
        }
        let subject = notice.subject.clone();
        match (self.give(&notice, &subject, now).await, reach) {
            (Given::New, Reach::Operator) => self.keep_given(notice.kind, hour).await,
            (Given::Known, Reach::Operator) => self.budget().was_known(notice.kind),
            (Given::NotStored, Reach::Operator) => self.budget().forget(&notice),
            (_, Reach::Nobody) => {}
        }
    }

    /// Records that no destination took a notice, given its stored body. So a repeat within the hour is sent.
    pub async fn not_taken(&self, body: &str) {
        let Some(notice) = read_notice(body) else {
            return;
        };
        let now = self.clock.now();
        let hour = hour(now);
        let again = self.budget().not_taken(&notice, hour, now);
        if again {
            self.keep_given(notice.kind, hour).await;
        }
    }

    /// Sends summaries when they are due, until the soft stop; then all that are left.
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

    /// Sends a summary of all gathered notices.
    pub async fn finish(&self) {
        let rest = self.budget().rest(self.clock.now());
        self.give_gathered(rest).await;
    }

    async fn give_gathered(&self, gathered: Vec<Gathered>) {
        for one in gathered {
            let notice = together(&one);
            let (kind, text) = (notice.kind, notice.text.clone());
            if self.give(&notice, TOGETHER, self.clock.now()).await == Given::Known {
                // An earlier process sent a summary within this hour, so this one is only logged.
                tracing::warn!(notice = %kind, "{}", log_text(kind, &text));
            }
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many notices of a kind an earlier process sent in this hour.
    async fn given_before(&self, kind: NoticeKind, hour: i64) -> usize {
        let kept = self.store.mark(&mark(kind)).await.ok().flatten();
        let millis = kept.map_or(0, Timestamp::as_millis);
        match millis.div_euclid(HOUR_MILLIS) == hour {
            true => usize::try_from(millis.rem_euclid(HOUR_MILLIS)).unwrap_or(0),
            false => 0,
        }
    }

    /// Stores the number of notices sent in this hour for the next process. The store keeps it as a time: the
    /// hour, plus the number as milliseconds.
    async fn keep_given(&self, kind: NoticeKind, hour: i64) {
        let given = i64::try_from(self.budget().given(kind)).unwrap_or(0);
        let at = Timestamp::from_millis(hour.saturating_mul(HOUR_MILLIS).saturating_add(given));
        if let Err(error) = self.store.put_mark(&mark(kind), at).await {
            tracing::debug!(%error, "failed to store the number of notices");
        }
    }

    /// Writes a notice to the store and the log; `key` identifies it within its hour.
    async fn give(&self, notice: &Notice, key: &str, now: Timestamp) -> Given {
        let to = self.notify.get();
        let arrival = arrival(notice, key, (*to).as_ref(), now);
        let given = match self.store.accept_notice(arrival).await {
            Ok(Accepted::New(_)) => Given::New,
            Ok(Accepted::Repeat(event)) => self.give_again(notice, event, (*to).as_ref()).await,
            Err(error) => {
                tracing::error!(
                    notice = %notice.kind,
                    error = &error as &dyn std::error::Error,
                    "failed to store a notice"
                );
                Given::NotStored
            }
        };
        if given != Given::Known {
            self.metrics.emit(NoticeGiven {
                kind: notice.kind,
                subject: log_subject(notice),
                text: log_text(notice.kind, &notice.text),
            });
        }
        given
    }

    /// Resends a stored notice to the current destination of notices, unless an earlier delivery succeeded or
    /// may still succeed.
    async fn give_again(
        &self,
        notice: &Notice,
        event: EventSeq,
        notify: Option<&DestinationName>,
    ) -> Given {
        let Some(to) = receiver(notice, notify) else {
            return Given::Known;
        };
        let siblings = DeliveryFilter {
            event: Some(event),
            limit: DELIVERIES_MAX,
            ..DeliveryFilter::default()
        };
        let siblings = self.store.deliveries(siblings).await.unwrap_or_default();
        let is_lost =
            |one: &Delivery| matches!(one.state, DeliveryState::Dead | DeliveryState::Discarded);
        let mut dead = siblings
            .iter()
            .filter(|one| one.state == DeliveryState::Dead);
        let Some(dead) = dead.next().filter(|_| siblings.iter().all(is_lost)) else {
            return Given::Known;
        };
        match self.store.retry_at(dead.id, to).await {
            Ok(AdminResult::Done) => Given::New,
            Ok(_) | Err(_) => Given::Known,
        }
    }
}

/// The result of storing a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// It is on its way.
    New,
    /// It was sent within this hour already.
    Known,
    /// The store failed; the notice is only in the log.
    NotStored,
}

/// Returns the log text of a notice. Host names are left out, because reporters choose them.
fn log_text(kind: NoticeKind, text: &str) -> &str {
    match kind {
        NoticeKind::ImageHostRefused => {
            "images are on hosts that images.allow_hosts does not name; the notice names them"
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

/// Returns the name under which the store keeps the hour and number of notices of a kind.
fn mark(kind: NoticeKind) -> String {
    format!("notices:{kind}")
}

/// Returns the hour for a notice's id.
fn hour(now: Timestamp) -> i64 {
    now.as_secs().div_euclid(REPEAT_AFTER_SECS)
}

/// Summarises several notices of one kind as one notice.
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
            "Images of feedback are on {} hosts that are not allowed: {}. If you trust one, add it to \
             allow_hosts under [images] and reload; its images are then fetched, unless their addresses have \
             expired. A host on an internal address also needs allow_private_addresses = true.",
            number(*count, *or_more),
            list(named, *count)
        ),
        _ => format!(
            "{} more notices of this kind, beyond those sent individually: {}. The log has them all; \
             `events list`, `deliveries list` and /status show the current state. The first notice: {text}",
            number(*count, *or_more),
            list(named, *count)
        ),
    };
    let subject = match (kind, named.as_slice()) {
        // The host is the title.
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

/// Lists the first names and the number of further ones.
fn list(named: &[String], count: usize) -> String {
    let names = named.join(", ");
    match count.saturating_sub(named.len()) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

/// Converts a notice to an event for the store.
fn arrival(
    notice: &Notice,
    key: &str,
    notify: Option<&DestinationName>,
    now: Timestamp,
) -> Arrival {
    let hour = hour(now);
    let delivery = receiver(notice, notify).map(|to| NewDelivery {
        destination: to.clone(),
        spec: spec(),
        trigger: Trigger::Event,
        due_at: now,
        held: None,
    });
    // A notice that is sent later in the hour is not a repeat of one that nobody got.
    let unsent = if delivery.is_none() { ":unsent" } else { "" };
    let id = EventId::new(format!("notice:{}:{key}:{hour}{unsent}", notice.kind));
    Arrival {
        deliveries: delivery.into_iter().collect(),
        ..Arrival::of_relay(id, NOTICE, write_notice(notice), now)
    }
}

/// Returns the destination that takes the notice; `None` if there is none.
fn receiver<'a>(
    notice: &Notice,
    notify: Option<&'a DestinationName>,
) -> Option<&'a DestinationName> {
    notify.filter(|to| !is_about(notice, to))
}

/// Returns whether the notice says that this destination does not deliver.
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
        | NoticeKind::BackfillFailed
        | NoticeKind::SilenceEnding
        | NoticeKind::TooManyIncidents => false,
    }
}

fn spec() -> MessageSpec {
    MessageSpec {
        rule: RuleName::from("operator"),
        severity: Severity::Info,
        template: "notice".to_owned(),
        mentions: Vec::new(),
        labels: BTreeMap::new(),
        wait: None,
        fell_from: Vec::new(),
        news: None,
    }
}

/// The stored form of a notice.
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

/// Parses the body of an event of type [`NOTICE`]; `None` if it is not a notice, or of a kind that this
/// version does not know.
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
