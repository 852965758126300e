//! Serves the metrics for Prometheus. Numbers from the store are read for each answer.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::{WebState, health};
use crate::model::{DeliveryState, Timestamp};
use crate::store::{GateRecord, QueueStats, Stats};
use crate::telemetry::{Format, GateStands};

/// Returns all metrics, in the format that the request asks for.
pub async fn metrics(State(state): State<WebState>, headers: HeaderMap) -> Response {
    let (probed, stats, gates) = tokio::join!(
        health::probe(&state),
        state.store.stats(),
        state.store.gates()
    );
    state.metrics.set_journal_up(probed.is_ok());
    let now = state.clock.now();
    if let Ok(stats) = stats {
        publish_queues(&state, &stats, now);
        publish_rest(&state, &stats, now);
    }
    if let Ok(gates) = gates {
        publish_gates(&state, &gates, now);
    }
    let accepted = headers.get(header::ACCEPT);
    let accepted = accepted.and_then(|accept| accept.to_str().ok());
    let format = Format::accepted_by(accepted.unwrap_or_default());
    let media_type = [(header::CONTENT_TYPE, format.media_type())];
    (media_type, state.metrics.encode(format)).into_response()
}

/// Publishes queue sizes; a destination without a queue has zero.
fn publish_queues(state: &WebState, stats: &Stats, now: Timestamp) {
    for name in state.destinations.get().iter() {
        let queue = stats.queues.iter().find(|queue| queue.destination == *name);
        let count = |state| queue.map_or(0, |queue| in_state(queue, state));
        let oldest_at = queue.and_then(|queue| queue.oldest_at);
        let oldest = oldest_at.map_or(Duration::ZERO, |at| now.since(at));
        state.metrics.set_queue(name, count, oldest);
    }
}

const fn in_state(queue: &QueueStats, state: DeliveryState) -> u64 {
    match state {
        DeliveryState::Pending => queue.pending,
        DeliveryState::Sending => queue.sending,
        DeliveryState::Dead => queue.dead,
        DeliveryState::Held => queue.held,
        DeliveryState::Delivered
        | DeliveryState::Discarded
        | DeliveryState::Unconfirmed
        | DeliveryState::Merged
        | DeliveryState::Suppressed => 0,
    }
}

/// Publishes gate states; a destination whose gate was never shut has zero.
fn publish_gates(state: &WebState, gates: &[GateRecord], now: Timestamp) {
    for name in state.destinations.get().iter() {
        let gate = gates.iter().find(|gate| gate.destination == *name);
        let until = gate.and_then(|gate| gate.blocked_until);
        let stands = GateStands {
            breaker_open: gate.is_some_and(|gate| gate.open_since.is_some()),
            stopped: gate.is_some_and(|gate| gate.stopped.is_some()),
            pause: until.map_or(Duration::ZERO, |until| until.since(now)),
        };
        state.metrics.set_gate(name, stands);
    }
}

fn publish_rest(state: &WebState, stats: &Stats, now: Timestamp) {
    let metrics = &state.metrics;
    let silences = stats.silences.len();
    metrics.set_silences(u64::try_from(silences).unwrap_or(u64::MAX));
    metrics.set_statuses_waiting(stats.statuses_pending);
    metrics.set_incidents(|rule| {
        let open = stats.incidents_merging.iter();
        let count = open.filter(|one| one.rule == *rule).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    });
    let nearest = stats.image_deadline_at.map(|at| at.since(now));
    metrics.set_images(stats.images_pending, nearest);
    for (app, at) in &stats.last_events {
        metrics.set_last_event(app, *at);
    }
    for (app, at) in &state.pushes.all() {
        metrics.set_last_push(app, *at);
    }
}
