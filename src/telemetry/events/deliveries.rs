//! Of messages on their way, and of destinations.

use std::time::Duration;

use crate::model::{Attempt, Delivery, DeliveryId, DestinationName};
use crate::telemetry::metrics::{
    Counted, Destination, DestinationOutcome, InternalEvent, Metrics, Observed, words,
};

/// An attempt to send was made and is recorded.
pub struct AttemptMade<'a> {
    /// What was sent.
    pub delivery: &'a Delivery,
    /// How it went.
    pub attempt: &'a Attempt,
}

impl InternalEvent for AttemptMade<'_> {
    fn emit(self, metrics: &Metrics) {
        let (delivery, attempt) = (self.delivery, self.attempt);
        let success = attempt.reason.is_none();
        let reason = attempt.reason.as_deref();
        if success {
            tracing::info!(
                event.id = %delivery.event_id, delivery.id = %delivery.id,
                destination = %delivery.destination, attempt = attempt.number, form = %attempt.form,
                status = attempt.status, took_ms = attempt.duration_ms, "delivered"
            );
        } else {
            tracing::warn!(
                event.id = %delivery.event_id, delivery.id = %delivery.id,
                destination = %delivery.destination, attempt = attempt.number, form = %attempt.form,
                outcome = %attempt.outcome, status = attempt.status, code = attempt.code.as_deref(),
                reason, took_ms = attempt.duration_ms, "attempt did not succeed"
            );
        }
        let labels = DestinationOutcome {
            destination: delivery.destination.to_string(),
            outcome: attempt.outcome.key(),
        };
        metrics.attempts.count(&labels);
    }
}

/// People were to be rung about a message that was taken.
pub struct PeopleRung<'a> {
    /// The message's delivery.
    pub delivery: DeliveryId,
    /// Where it went.
    pub destination: &'a DestinationName,
    /// Why not all of them were.
    pub failed: Option<&'a str>,
}

impl InternalEvent for PeopleRung<'_> {
    fn emit(self, metrics: &Metrics) {
        if let Some(reason) = self.failed {
            tracing::warn!(
                delivery.id = %self.delivery, destination = %self.destination, reason,
                "delivered, and not all of the mentioned were rung"
            );
        }
        let [rung, failed] = words::RINGS;
        let labels = DestinationOutcome {
            destination: self.destination.to_string(),
            outcome: if self.failed.is_none() { rung } else { failed },
        };
        metrics.rings.count(&labels);
    }
}

/// A webhook's receiver said yes with a page for people: something in front of it may have spoken.
pub struct PageAnswered<'a> {
    /// The message's delivery.
    pub delivery: DeliveryId,
    /// Where it went.
    pub destination: &'a DestinationName,
}

impl InternalEvent for PageAnswered<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::warn!(
            delivery.id = %self.delivery, destination = %self.destination,
            "delivered, and the answer is a page for people; check what stands before the receiver"
        );
        let destination = self.destination.to_string();
        metrics.pages.count(&Destination { destination });
    }
}

/// A delivery has ended: `delivered`, `dead`, `discarded` or `unconfirmed`.
pub struct DeliveryEnded<'a> {
    /// Which.
    pub id: DeliveryId,
    /// Where to.
    pub destination: &'a DestinationName,
    /// How, as a fixed word.
    pub how: &'static str,
    /// Why, unless it was delivered.
    pub reason: Option<&'a str>,
    /// From acceptance of the event to now, if it was delivered.
    pub latency: Option<Duration>,
}

impl InternalEvent for DeliveryEnded<'_> {
    fn emit(self, metrics: &Metrics) {
        if let Some(reason) = self.reason {
            tracing::error!(
                delivery.id = %self.id, destination = %self.destination, how = self.how, reason,
                "delivery ended undelivered"
            );
        }
        let labels = DestinationOutcome {
            destination: self.destination.to_string(),
            outcome: self.how,
        };
        metrics.deliveries.count(&labels);
        if let Some(latency) = self.latency {
            let destination = labels.destination;
            let seconds = latency.as_secs_f64();
            metrics
                .delivery_seconds
                .observe(&Destination { destination }, seconds);
        }
    }
}

/// A destination's gate changed. Its numbers are read from the store.
pub struct GateChanged<'a> {
    /// Which destination.
    pub destination: &'a DestinationName,
    /// Whether its breaker is open.
    pub breaker_open: bool,
    /// Why it is stopped until an operator acts, if it is.
    pub stopped: Option<&'a str>,
}

impl InternalEvent for GateChanged<'_> {
    fn emit(self, _metrics: &Metrics) {
        match (self.stopped, self.breaker_open) {
            (Some(reason), _) => {
                tracing::error!(destination = %self.destination, reason, "destination stopped");
            }
            (None, true) => {
                tracing::warn!(destination = %self.destination, "destination failing; probing it");
            }
            (None, false) => {
                tracing::info!(destination = %self.destination, "destination works again")
            }
        }
    }
}

/// A template could not be rendered; the built-in plain one took its place.
pub struct TemplateFailed<'a> {
    /// For which destination.
    pub destination: &'a DestinationName,
    /// Which template.
    pub template: &'a str,
    /// Why; holds names and positions of the template only.
    pub reason: &'a str,
}

impl InternalEvent for TemplateFailed<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::error!(
            destination = %self.destination, template = self.template, reason = self.reason,
            "template failed; the built-in plain one takes its place"
        );
        let labels = Destination {
            destination: self.destination.to_string(),
        };
        metrics.template_failures.count(&labels);
    }
}
