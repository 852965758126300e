//! Is it alive, can it store events, and what is not as it should be.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::WebState;
use crate::model::{DestinationName, Timestamp};
use crate::store::{GateRecord, Stats, StoreError};

/// A delivery older than this that is still not done is worth a word.
const QUEUE_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// A picture whose address ends sooner than this is in danger.
const IMAGE_DANGER: Duration = Duration::from_secs(12 * 60 * 60);
/// How long the journal may take to answer before it counts as not working.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Alive: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Able to store events; 503 only when it is not, or while draining.
pub async fn readyz(State(state): State<WebState>) -> Response {
    if state.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    match probe(&state).await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

async fn probe(state: &WebState) -> Result<(), StoreError> {
    tokio::time::timeout(PROBE_TIMEOUT, state.store.probe())
        .await
        .unwrap_or_else(|_elapsed| Err(StoreError::Unavailable("it does not answer".into())))
}

/// Prometheus text.
pub async fn metrics(State(state): State<WebState>) -> Response {
    if let Ok(stats) = state.store.stats().await {
        publish(&state, &stats);
    }
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], state.metrics.encode()).into_response()
}

/// Moves the journal's counts into the gauges. Destinations without a queue stand at zero.
fn publish(state: &WebState, stats: &Stats) {
    let now = state.clock.now();
    for name in state.destinations.get().iter() {
        let queue = stats.queues.iter().find(|queue| queue.destination == *name);
        let count = |pick: fn(&crate::store::QueueStats) -> u64| {
            i64::try_from(queue.map_or(0, pick)).unwrap_or(i64::MAX)
        };
        state
            .metrics
            .set_queue(name.as_str(), "pending", count(|queue| queue.pending));
        state
            .metrics
            .set_queue(name.as_str(), "sending", count(|queue| queue.sending));
        state
            .metrics
            .set_queue(name.as_str(), "dead", count(|queue| queue.dead));
        let age = queue
            .and_then(|queue| queue.oldest_at)
            .map_or(Duration::ZERO, |at| now.since(at));
        state
            .metrics
            .set_queue_age(name.as_str(), age.as_secs_f64());
    }
    let waiting = i64::try_from(stats.statuses_pending).unwrap_or(i64::MAX);
    state.metrics.set_statuses_waiting(waiting);
    let nearest = stats
        .image_deadline_at
        .map_or(Duration::ZERO, |at| at.since(now));
    let waiting = i64::try_from(stats.images_pending).unwrap_or(i64::MAX);
    state
        .metrics
        .set_images_waiting(waiting, nearest.as_secs_f64());
}

/// Everything that is not as it should be, with reasons.
pub async fn status(State(state): State<WebState>) -> Response {
    let mut problems = Vec::new();
    if let Err(error) = probe(&state).await {
        problems.push(problem("journal", "journal", &error.to_string()));
    }
    if state.stopping.is_cancelled() {
        problems.push(problem("draining", "relay", "the relay is stopping"));
    }
    if let Some(reason) = state.reload_refused.get().as_ref() {
        problems.push(problem("reload_refused", "configuration", reason));
    }
    let now = state.clock.now();
    let names = state.destinations.get();
    let (mut queues, mut apps, mut statuses) = (Value::Null, Value::Null, Value::Null);
    match tokio::join!(state.store.gates(), state.store.stats()) {
        (Ok(gates), Ok(stats)) => {
            let known = |name: &DestinationName| names.contains(name);
            let ours = gates.iter().filter(|gate| known(&gate.destination));
            problems.extend(ours.filter_map(|gate| gate_problem(gate, now)));
            problems.extend(stats_problems(&stats, now));
            queues = queues_json(&stats);
            statuses = json!({
                "pending": stats.statuses_pending,
                "dead": stats.statuses_dead,
                "oldest_at": stats.status_oldest_at.map(|at| at.to_string()),
            });
            apps = stats
                .last_events
                .iter()
                .map(|(app, at)| (app.to_string(), json!({ "last_event_at": at.to_string() })))
                .collect::<serde_json::Map<_, _>>()
                .into();
        }
        (Err(error), _) | (_, Err(error)) => {
            problems.push(problem("journal", "journal", &error.to_string()));
        }
    }
    let body = json!({
        "ok": problems.is_empty(),
        "time": now.to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "problems": problems,
        "destinations": queues,
        "statuses": statuses,
        "apps": apps,
    });
    (
        [(header::CONTENT_TYPE, "application/json")],
        format!("{body:#}\n"),
    )
        .into_response()
}

fn problem(kind: &str, subject: &str, reason: &str) -> Value {
    json!({ "kind": kind, "subject": subject, "reason": reason })
}

fn gate_problem(gate: &GateRecord, now: Timestamp) -> Option<Value> {
    let name = gate.destination.as_str();
    if let Some(reason) = &gate.stopped {
        return Some(problem("destination_stopped", name, reason));
    }
    if let Some(since) = gate.open_since {
        return Some(problem(
            "destination_failing",
            name,
            &format!("it fails since {since}"),
        ));
    }
    let until = gate.blocked_until.filter(|until| *until > now)?;
    Some(problem(
        "destination_paced",
        name,
        &format!("it asked to wait until {until}"),
    ))
}

fn stats_problems(stats: &Stats, now: Timestamp) -> Vec<Value> {
    let mut problems = Vec::new();
    for queue in &stats.queues {
        let name = queue.destination.as_str();
        if queue.dead > 0 {
            let reason = format!("{} deliveries were given up and can be retried", queue.dead);
            problems.push(problem("deliveries_dead", name, &reason));
        }
        if let Some(oldest) = queue.oldest_at.filter(|at| now.since(*at) > QUEUE_AGE_MAX) {
            let reason = format!(
                "{} deliveries wait, the oldest since {oldest}",
                queue.pending
            );
            problems.push(problem("queue_old", name, &reason));
        }
    }
    if let Some(deadline) = stats
        .image_deadline_at
        .filter(|at| at.since(now) < IMAGE_DANGER)
    {
        let reason = format!("a picture is not fetched yet and its address ends at {deadline}");
        problems.push(problem("image_in_danger", "images", &reason));
    }
    if let Some(oldest) = stats
        .status_oldest_at
        .filter(|at| now.since(*at) > QUEUE_AGE_MAX)
    {
        let reason = format!(
            "{} statuses that people set wait to be told to Feishu, the oldest since {oldest}",
            stats.statuses_pending
        );
        problems.push(problem("statuses_old", "feishu", &reason));
    }
    if stats.unreadable > 0 {
        let reason = format!(
            "{} authentic events could not be read; they are kept",
            stats.unreadable
        );
        problems.push(problem("events_unreadable", "journal", &reason));
    }
    problems
}

fn queues_json(stats: &Stats) -> Value {
    let queues = stats.queues.iter().map(|queue| {
        let state = json!({
            "pending": queue.pending,
            "sending": queue.sending,
            "dead": queue.dead,
            "oldest_at": queue.oldest_at.map(|at| at.to_string()),
        });
        (queue.destination.to_string(), state)
    });
    queues.collect::<serde_json::Map<_, _>>().into()
}
