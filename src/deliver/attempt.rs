//! Makes one attempt at a delivery. Records its outcome and the resulting next step.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;

use super::lane::gate::{Begun, Now, Signal};
use super::lane::permit::Permit;
use super::policy::{self, RetryPolicy, Tried};
use super::prepare::{NotSent, Prepared, Preparer};
use super::{Settings, StoredKind};
use crate::destination::{Destination, Message, Place, Rang, Sent, ShowsImages};
use crate::model::{
    Attempt, Clock, Delivery, Form, ImageId, Lease, Notice, NoticeKind, Outcome, OutcomeKind,
    Recorded, Trigger, Verdict,
};
use crate::notices::Notifier;
use crate::store::{CompletedAttempt, LeaseRelease, NewDelivery, Store, Work};
use crate::telemetry::Metrics;
use crate::telemetry::events::{AttemptMade, DeliveryEnded, PanicCaught, PeopleRung};

/// The pause before another try to record an attempt, while the store fails.
const RECORD_RETRY: Duration = Duration::from_millis(500);
/// The shortest and longest delay before late images that cannot be shown yet are retried.
const IMAGES_RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(300)];

/// Sends messages and records attempts. Clones share their dependencies.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) store: Store,
    pub(super) operator: Notifier,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) preparer: Preparer,
    pub(super) chance: Arc<Mutex<fastrand::Rng>>,
}

impl Sender {
    /// Makes one attempt at a delivery, settles its permit, and records the attempt with the resulting next
    /// step. The permit is settled first, so that the next send starts while this one is recorded.
    pub(super) async fn deliver(
        &self,
        settings: &Settings,
        destination: &Arc<dyn Destination>,
        lease: &Lease<Work>,
        permit: Permit,
    ) {
        let wait = self.wait(&lease.item.delivery, permit.begun());
        let attempt = self.attempt(settings, destination, lease, wait);
        match AssertUnwindSafe(attempt).catch_unwind().await {
            Ok(Some(made)) => {
                let tried = self.tried(destination.as_ref(), &lease.item.delivery, wait);
                let signal = policy::signal(&made.sent.outcome, tried);
                permit.settle(&signal, self.now(), self.chance());
                self.record_outcome(destination, lease, made).await;
            }
            Ok(None) => drop(permit),
            Err(_panic) => {
                // The message may have been sent, so it counts against the rate limit.
                permit.settle(&Signal::Unclear, self.now(), self.chance());
                self.metrics.emit(PanicCaught { task: "deliver" });
                self.panicked(destination, lease, wait).await;
            }
        }
    }

    /// Sends one message. Returns `None` if there was nothing to send; this has been recorded.
    async fn attempt(
        &self,
        settings: &Settings,
        destination: &Arc<dyn Destination>,
        lease: &Lease<Work>,
        wait: Duration,
    ) -> Option<AttemptResult> {
        let delivery = &lease.item.delivery;
        let spent = self.tried(destination.as_ref(), delivery, wait).spent;
        let prepared = match self
            .preparer
            .prepare(settings, destination, &lease.item, spent)
            .await
        {
            Ok(prepared) => prepared,
            Err(unsendable) => {
                self.finish_without_sending(lease, unsendable).await;
                return None;
            }
        };
        let started_at = self.clock.now();
        let began = Instant::now();
        let link = |id: &ImageId| {
            settings
                .links
                .as_ref()
                .map_or_else(String::new, |l| l.link(id, started_at))
        };
        let message = Message {
            payload: &prepared.payload,
            place: place(&lease.item, destination.as_ref()),
            key: delivery.id,
            now: started_at,
            rings: &settings.names.open_ids(delivery),
            link: &link,
        };
        let sent = destination.send(message).await;
        let attempt = Attempt {
            number: delivery.attempts.saturating_add(1),
            started_at,
            duration_ms: u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX),
            form: prepared.payload.form,
            outcome: sent.outcome.kind(),
            status: sent.status,
            code: sent.code.clone(),
            reason: sent.outcome.reason().map(str::to_owned),
            excerpt: excerpt(&sent).filter(|_| !quotes_reports(lease)),
        };
        let uncounted = policy::uncounted(wait, &sent.outcome, delivery.attempts == 0);
        let again = prepared.old_keys
            && sent.stale_images
            && self.forget_keys(settings, destination, &lease.item).await;
        Some(AttemptResult {
            attempt,
            sent,
            prepared,
            uncounted,
            again,
        })
    }

    /// Records that the code of the attempt panicked. The retry schedule applies.
    async fn panicked(
        &self,
        destination: &Arc<dyn Destination>,
        lease: &Lease<Work>,
        uncounted: Duration,
    ) {
        let outcome = Outcome::Retry {
            reason: "the relay panicked while sending this message".into(),
        };
        let attempt = Attempt {
            number: lease.item.delivery.attempts.saturating_add(1),
            started_at: self.clock.now(),
            duration_ms: 0,
            form: lease.item.delivery.form,
            outcome: OutcomeKind::Retry,
            status: None,
            code: None,
            reason: outcome.reason().map(str::to_owned),
            excerpt: None,
        };
        let verdict = self.verdict(destination, &lease.item.delivery, &outcome, uncounted);
        let finished = CompletedAttempt {
            attempt: Some(attempt),
            uncounted,
            paced: is_paced(destination.as_ref()),
            ..unsent(&lease.item.delivery, verdict)
        };
        self.record(lease, &finished.into()).await;
    }

    async fn finish_without_sending(&self, lease: &Lease<Work>, unsendable: NotSent) {
        let delivery = &lease.item.delivery;
        match unsendable {
            NotSent::NothingToSend => {
                let finished = unsent(delivery, Verdict::Done);
                self.record(lease, &finished.into()).await;
            }
            NotSent::Permanent(reason) => {
                let finished = unsent(
                    delivery,
                    Verdict::Dead {
                        reason: reason.into(),
                    },
                );
                self.record(lease, &finished.into()).await;
            }
            NotSent::NotYet(reason) => {
                let now = self.clock.now();
                let [soonest, latest] = IMAGES_RETRY;
                // The next retry is due after as much time as has passed since the first due time.
                let due_at = now + now.since(delivery.first_due_at).clamp(soonest, latest);
                let back = vec![LeaseRelease {
                    reason,
                    ..LeaseRelease::of(lease, due_at)
                }];
                if let Err(error) = self.store.release_lease(back).await {
                    // The lease expires by itself, and the delivery is leased again.
                    tracing::warn!(delivery.id = %delivery.id, %error, "failed to release the lease; it expires by itself");
                }
            }
        }
    }

    /// Records an attempt with the resulting next step.
    async fn record_outcome(
        &self,
        destination: &Arc<dyn Destination>,
        lease: &Lease<Work>,
        made: AttemptResult,
    ) {
        let AttemptResult {
            attempt,
            sent,
            prepared,
            uncounted,
            again,
        } = made;
        let delivery = &lease.item.delivery;
        let mut verdict = if again {
            let due_at = self.clock.now();
            let form = delivery.form;
            Verdict::RetryAt { due_at, form }
        } else {
            self.verdict(destination, delivery, &sent.outcome, uncounted)
        };
        let stopped = matches!(sent.outcome, Outcome::Stop { .. });
        let fallback = destination.common().fallback.as_ref();
        // Edits and late images do not reroute, because they belong to a message at this destination.
        let own_message = !matches!(delivery.trigger, Trigger::Edit | Trigger::LateImages);
        let fallback = fallback.filter(|_| own_message);
        let fallback = match (&verdict, fallback) {
            (Verdict::Dead { .. }, Some(to)) => Some(to),
            (Verdict::RetryAt { .. }, Some(to)) if stopped => Some(to),
            (_, _) => None,
        };
        if fallback.is_some() && matches!(verdict, Verdict::RetryAt { .. }) {
            verdict = Verdict::Dead {
                reason: sent.outcome.reason().unwrap_or_default().to_owned(),
            };
        }
        // A reporter's text is stored only with its own event, where `erase` finds it. So the payload of a summary
        // or an incident, which quote reports, is not stored.
        let quotes = quotes_reports(lease);
        let finished = Arc::new(CompletedAttempt {
            attempt: Some(attempt),
            uncounted,
            paced: is_paced(destination.as_ref()),
            payload: keep(destination.as_ref(), &verdict, &prepared)
                .filter(|_| !again && !quotes && delivery.trigger != Trigger::Edit),
            shown: prepared.shown,
            fallback: fallback.map(|to| self.fallback(to, delivery)),
            handle: sent.handle.clone().filter(|_| destination.keeps_handles()),
            is_final: sent.uneditable,
            ..unsent(delivery, verdict)
        });
        if self.record(lease, &finished).await != Some(Recorded::Recorded) {
            return;
        }
        if let Some(attempt) = &finished.attempt {
            self.metrics.emit(AttemptMade { delivery, attempt });
        }
        if let Some(rang) = &sent.rang {
            self.metrics.emit(PeopleRung {
                delivery: delivery.id,
                destination: &delivery.destination,
                failed: match rang {
                    Rang::People(_) => None,
                    Rang::Failed { reason } => Some(reason),
                },
            });
        }
        self.remark(delivery, &sent, &finished.verdict).await;
        self.report_end(lease, &finished.verdict, fallback.is_some())
            .await;
    }

    /// Forgets the image keys of the event, because the platform does not know a key of an earlier upload. The
    /// next attempt then uploads again. Returns whether the keys were forgotten.
    async fn forget_keys(
        &self,
        settings: &Settings,
        destination: &Arc<dyn Destination>,
        work: &Work,
    ) -> bool {
        let ShowsImages::ByKey(owner) = destination.shows_images() else {
            return false;
        };
        let kept = work.images.iter().filter_map(|image| image.kept.as_ref());
        let ids: Vec<ImageId> = kept.map(|kept| kept.id.clone()).collect();
        let owner = settings.names.key_owner(&owner);
        let forgotten = self
            .store
            .forget_image_keys(owner, &ids, work.delivery.id)
            .await;
        forgotten.is_ok()
    }

    fn verdict(
        &self,
        destination: &Arc<dyn Destination>,
        delivery: &Delivery,
        outcome: &Outcome,
        uncounted: Duration,
    ) -> Verdict {
        let common = destination.common();
        let policy = RetryPolicy {
            retry_for: common.retry_for,
            recognises_repeats: destination.recognises_repeats(),
        };
        let tried = self.tried(destination.as_ref(), delivery, uncounted);
        policy.verdict(outcome, tried, self.clock.now(), self.chance())
    }

    /// Returns how long the delivery that begins now was due while its destination worked.
    fn wait(&self, delivery: &Delivery, begun: Begun) -> Duration {
        let since = delivery.failed_at.max(delivery.due_since);
        policy::wait(
            delivery.due_at,
            since,
            begun.worked_until,
            self.store.uptime(),
        )
    }

    fn tried<'a>(
        &self,
        destination: &'a dyn Destination,
        delivery: &Delivery,
        uncounted: Duration,
    ) -> Tried<'a> {
        let uptime = self.store.uptime();
        let since_due = uptime.since(delivery.due_since.unwrap_or(uptime));
        Tried {
            failures: delivery.failures,
            unanswered: delivery.unanswered,
            failed_at: delivery.failed_at,
            spent: since_due.saturating_sub(uncounted),
            form: delivery.form,
            forms: match delivery.trigger {
                Trigger::Edit => cards(destination.forms()),
                Trigger::Event
                | Trigger::LateImages
                | Trigger::Fallback
                | Trigger::Replay
                | Trigger::Test
                | Trigger::Incident => destination.forms(),
            },
        }
    }

    /// Returns a random number in [0, 1), for jitter.
    pub(super) fn chance(&self) -> f64 {
        self.chance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .f64()
    }

    /// Returns the current time of all three clocks.
    pub(super) fn now(&self) -> Now {
        Now {
            wall: self.clock.now(),
            mono: Instant::now(),
            uptime: self.store.uptime(),
        }
    }

    fn fallback(&self, to: &crate::model::DestinationName, delivery: &Delivery) -> NewDelivery {
        NewDelivery {
            destination: to.clone(),
            spec: delivery.spec.fallen_from(&delivery.destination),
            trigger: Trigger::Fallback,
            due_at: self.clock.now(),
            held: None,
        }
    }

    /// Counts a delivery that has ended, and notifies the operator of one that failed for good. There is no
    /// notice if the delivery was itself an operator notice, was rerouted, or was an edit of a delivered
    /// message.
    async fn report_end(&self, lease: &Lease<Work>, verdict: &Verdict, went_elsewhere: bool) {
        let (delivery, event) = (&lease.item.delivery, &lease.item.event);
        let (how, reason) = match verdict {
            Verdict::Done => ("delivered", None),
            Verdict::RetryAt { .. } => return,
            Verdict::Dead { .. } | Verdict::Unconfirmed { .. }
                if delivery.trigger == Trigger::Edit =>
            {
                ("discarded", None)
            }
            Verdict::Dead { reason } => ("dead", Some(reason.as_str())),
            Verdict::Unconfirmed { reason } => ("unconfirmed", Some(reason.as_str())),
        };
        let first = how == "delivered" && delivery.trigger != Trigger::Edit;
        self.metrics.emit(DeliveryEnded {
            id: delivery.id,
            destination: &delivery.destination,
            how,
            reason,
            latency: first.then(|| self.clock.now().since(event.received_at)),
        });
        let Some(reason) = reason.filter(|_| !went_elsewhere) else {
            return;
        };
        if StoredKind::from_event(event) == StoredKind::Notice {
            if let (Verdict::Dead { .. }, Some(body)) = (verdict, &event.body) {
                self.operator.not_taken(body.expose()).await;
            }
            return;
        }
        let (kind, ended) = match verdict {
            Verdict::Unconfirmed { .. } => (NoticeKind::DeliveryUnconfirmed, "is not retried"),
            Verdict::Done | Verdict::RetryAt { .. } | Verdict::Dead { .. } => {
                (NoticeKind::DeliveryDead, "is dead")
            }
        };
        let notice = Notice {
            kind,
            subject: delivery.destination.to_string(),
            text: format!(
                "Delivery {} of event {} to {} {ended}: {reason}. \
                 `feedback-relay deliveries list --state {how}` lists them.",
                delivery.id, delivery.event_id, delivery.destination
            ),
        };
        self.operator.notify(notice).await;
    }

    /// Records the end of an attempt. Retries while the store fails and the lease lasts, because a send that is
    /// not recorded would be repeated.
    async fn record(
        &self,
        lease: &Lease<Work>,
        finished: &Arc<CompletedAttempt>,
    ) -> Option<Recorded> {
        loop {
            match self
                .store
                .finish_attempt(lease.token, Arc::clone(finished))
                .await
            {
                Ok(Recorded::Recorded) => return Some(Recorded::Recorded),
                Ok(Recorded::LeaseLost) => {
                    tracing::warn!(delivery.id = %finished.id, "lost the lease; another process has the delivery");
                    return Some(Recorded::LeaseLost);
                }
                Err(error) if self.clock.now() < lease.until => {
                    tracing::error!(delivery.id = %finished.id, %error, "failed to record the attempt; retrying");
                    tokio::time::sleep(RECORD_RETRY).await;
                }
                Err(error) => {
                    tracing::error!(delivery.id = %finished.id, %error, "failed to record the attempt; the message may be repeated");
                    return None;
                }
            }
        }
    }
}

fn quotes_reports(lease: &Lease<Work>) -> bool {
    StoredKind::from_event(&lease.item.event).quotes_reports()
}

/// Returns whether any rate limit applies to a destination.
fn is_paced(destination: &dyn Destination) -> bool {
    destination.common().rate.is_some() || !destination.paces().is_empty()
}

/// Returns the message's place in the chat: new, a reply or an update.
fn place<'a>(work: &'a Work, destination: &dyn Destination) -> Place<'a> {
    match (&work.message, work.delivery.trigger) {
        (Some(message), Trigger::Edit) => Place::Over(message),
        (Some(message), _) if destination.keeps_handles() => Place::Under(message),
        (Some(_) | None, _) => Place::New,
    }
}

/// Returns the forms that can replace a message: Feishu replaces cards with cards only.
fn cards(forms: &'static [Form]) -> &'static [Form] {
    let cards = forms.iter().take_while(|form| **form <= Form::NoImages);
    forms.split_at(cards.count()).0
}

/// The result of an attempt, with what it sent.
pub(super) struct AttemptResult {
    attempt: Attempt,
    pub(super) sent: Sent,
    prepared: Prepared,
    /// The part of the wait before the attempt that does not count for `retry_for`.
    uncounted: Duration,
    /// Whether the image keys were forgotten, so that the same form is rendered again at once.
    again: bool,
}

/// Returns the part of the answer that is stored, with the result of urgent notifications.
fn excerpt(sent: &Sent) -> Option<String> {
    let rang = match &sent.rang {
        None => return sent.excerpt.clone(),
        Some(Rang::People(count)) => format!("rang {count}"),
        Some(Rang::Failed { reason }) => format!("some urgent notifications failed: {reason}"),
    };
    let answer = sent.excerpt.as_deref().unwrap_or_default();
    Some(format!("{rang}; {answer}"))
}

/// Returns the rendering if a retry or a person may need it again.
fn keep(destination: &dyn Destination, verdict: &Verdict, prepared: &Prepared) -> Option<String> {
    let again = match verdict {
        Verdict::Done => false,
        Verdict::RetryAt { form, .. } => *form == prepared.payload.form,
        Verdict::Dead { .. } | Verdict::Unconfirmed { .. } => true,
    };
    again.then(|| {
        let made_for = super::prepare::fingerprint(destination);
        format!("{made_for}{}", prepared.payload.as_stored())
    })
}

/// Returns the record of a delivery that ended without an attempt.
fn unsent(delivery: &Delivery, verdict: Verdict) -> CompletedAttempt {
    CompletedAttempt {
        id: delivery.id,
        attempt: None,
        uncounted: Duration::ZERO,
        paced: false,
        verdict,
        payload: None,
        shown: 0,
        fallback: None,
        handle: None,
        is_final: false,
    }
}
