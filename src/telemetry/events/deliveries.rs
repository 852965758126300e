//! Events about deliveries and destinations.

use std::time::Duration;

use crate::model::{Attempt, Delivery, DeliveryId, DestinationName, Trigger};
use crate::telemetry::metrics::{
    Counted, Destination, DestinationOutcome, InternalEvent, Metrics, News, Observed, words,
};

/// An attempt to send was recorded.
pub struct AttemptMade<'a> {
    pub delivery: &'a Delivery,
    /// The attempt and its result.
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
                reason, took_ms = attempt.duration_ms, "attempt failed"
            );
        }
        let labels = DestinationOutcome {
            destination: delivery.destination.to_string(),
            outcome: attempt.outcome.key(),
        };
        metrics.attempts.count(&labels);
        // An edit repeats the news of the message that it changes.
        let is_new = success && delivery.trigger != Trigger::Edit;
        if let Some(news) = delivery.spec.news.filter(|_| is_new) {
            let news = news.key();
            metrics
                .incident_messages
                .get_or_create(&News { news })
                .inc();
        }
    }
}

/// Urgent notifications were sent about an accepted message.
pub struct PeopleRung<'a> {
    /// The delivery of the message.
    pub delivery: DeliveryId,
    pub destination: &'a DestinationName,
    /// Why some notifications failed. `None` if all succeeded.
    pub failed: Option<&'a str>,
}

impl InternalEvent for PeopleRung<'_> {
    fn emit(self, metrics: &Metrics) {
        if let Some(reason) = self.failed {
            tracing::warn!(
                delivery.id = %self.delivery, destination = %self.destination, reason,
                "delivered, but some urgent notifications failed"
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

/// A webhook was accepted with an HTML page, which may come from a proxy in front of the receiver.
pub struct PageAnswered<'a> {
    /// The delivery of the message.
    pub delivery: DeliveryId,
    pub destination: &'a DestinationName,
}

impl InternalEvent for PageAnswered<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::warn!(
            delivery.id = %self.delivery, destination = %self.destination,
            "delivered, but the response is an HTML page; check the proxies in front of the receiver"
        );
        let destination = self.destination.to_string();
        metrics.pages.count(&Destination { destination });
    }
}

/// A delivery ended: `delivered`, `dead`, `discarded` or `unconfirmed`.
pub struct DeliveryEnded<'a> {
    /// The delivery's id.
    pub id: DeliveryId,
    pub destination: &'a DestinationName,
    /// The outcome as a fixed word.
    pub how: &'static str,
    /// Why the delivery failed. `None` if it was delivered.
    pub reason: Option<&'a str>,
    /// The time from acceptance of the event to the end. `None` if it was not delivered.
    pub latency: Option<Duration>,
}

impl InternalEvent for DeliveryEnded<'_> {
    fn emit(self, metrics: &Metrics) {
        if let Some(reason) = self.reason {
            tracing::error!(
                delivery.id = %self.id, destination = %self.destination, how = self.how, reason,
                "delivery given up"
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

/// A destination's gate changed. Its gauges are read from the store.
pub struct GateChanged<'a> {
    pub destination: &'a DestinationName,
    /// Whether the destination's breaker is open.
    pub breaker_open: bool,
    /// Why the destination is stopped until an operator acts. `None` if it is not.
    pub stopped: Option<&'a str>,
}

impl InternalEvent for GateChanged<'_> {
    fn emit(self, _metrics: &Metrics) {
        match (self.stopped, self.breaker_open) {
            (Some(reason), _) => {
                tracing::error!(destination = %self.destination, reason, "destination stopped");
            }
            (None, true) => {
                tracing::warn!(destination = %self.destination, "destination is failing; sending only probes");
            }
            (None, false) => {
                tracing::info!(destination = %self.destination, "destination recovered")
            }
        }
    }
}

/// A template could not be rendered; the built-in plain one replaced it.
pub struct TemplateFailed<'a> {
    /// The destination that uses the template.
    pub destination: &'a DestinationName,
    /// The template's name.
    pub template: &'a str,
    /// The error; it contains only names and positions of the template.
    pub reason: &'a str,
}

impl InternalEvent for TemplateFailed<'_> {
    fn emit(self, metrics: &Metrics) {
        tracing::error!(
            destination = %self.destination, template = self.template, reason = self.reason,
            "failed to render template; using the built-in plain one"
        );
        let labels = Destination {
            destination: self.destination.to_string(),
        };
        metrics.template_failures.count(&labels);
    }
}
