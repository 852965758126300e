//! Health: whether the relay is alive, whether it can store events, and which problems it has.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::WebState;
use crate::admin::digests;
use crate::destination::{RateLimit, waits};
use crate::intake::backfill;
use crate::intake::websocket::ConnectionStatus;
use crate::model::{AppName, DestinationName, Silence, Timestamp};
use crate::store::{GateRecord, MergingIncident, QueueStats, Stats, StoreError};
use crate::view::{
    ActiveSilenceView, AppStatus, BackfillStatus, ConnectionView, OpenIncidentView,
    OpenIncidentsView, Problem, QueueView, RelayStatus, StatusQueueView,
};

/// The age from which an unfinished delivery is a problem.
const QUEUE_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// The remaining time of an image's address below which the image is at risk.
const IMAGE_DANGER: Duration = Duration::from_secs(12 * 60 * 60);
/// The longest wait for a rate limit that is not reported as a problem.
const PACED_MAX: Duration = Duration::from_secs(10);
/// How many open incidents are listed.
const INCIDENTS_MAX: usize = 20;
/// The time limit of the store's answer. After that it counts as failed.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an answer of the store is reused. Everybody may ask, and each probe is a write. Many requests must
/// not take the store's time from events.
const PROBE_FRESH: Duration = Duration::from_secs(1);

/// The store's last answer. Clones share it.
#[derive(Clone, Default)]
pub struct Probed(Arc<Mutex<Option<Answer>>>);

/// Whether the store could be written to, and when that was probed.
struct Answer {
    at: Instant,
    result: Result<(), StoreError>,
}

impl Probed {
    /// Returns the last answer if it is fresh; else probes. Concurrent callers wait for the same answer.
    async fn or_ask(
        &self,
        ask: impl Future<Output = Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let mut last = self.0.lock().await;
        if let Some(answer) = &*last
            && answer.at.elapsed() < PROBE_FRESH
        {
            return answer.result.clone();
        }
        let result = tokio::time::timeout(PROBE_TIMEOUT, ask)
            .await
            .unwrap_or_else(|_elapsed| Err(StoreError::Unavailable("it does not answer".into())));
        *last = Some(Answer {
            at: Instant::now(),
            result: result.clone(),
        });
        result
    }
}

/// Answers that the process is alive.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Answers whether the store can take events; 503 if it cannot, or while the relay stops.
pub async fn readyz(State(state): State<WebState>) -> Response {
    if state.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    match probe(&state).await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}

pub(super) async fn probe(state: &WebState) -> Result<(), StoreError> {
    state.probed.or_ask(state.store.probe()).await
}

/// Answers with all problems and their reasons.
pub async fn status(State(state): State<WebState>) -> Response {
    let status = relay_status(&state).await;
    let body = serde_json::to_string_pretty(&status).expect("a status can be written as JSON");
    (
        [(header::CONTENT_TYPE, "application/json")],
        format!("{body}\n"),
    )
        .into_response()
}

async fn relay_status(state: &WebState) -> RelayStatus {
    let mut problems = own_problems(state).await;
    let now = state.clock.now();
    let (mut destinations, mut statuses, mut apps) = (None, None, None);
    let (mut incidents, mut silences) = (None, None);
    match tokio::join!(state.store.gates(), state.store.stats()) {
        (Ok(gates), Ok(stats)) => {
            let names = state.destinations.get();
            let ours = gates
                .iter()
                .filter(|gate| names.contains(&gate.destination));
            problems.extend(ours.filter_map(|gate| gate_problem(gate, now)));
            problems.extend(stats_problems(&stats, now));
            let waiting = stats.queues.iter();
            let waiting = waiting.map(|queue| (queue.destination.clone(), queue.pending));
            let waits = waits(&state.paces.get(), &waiting.collect());
            let queues = stats.queues.iter();
            problems.extend(queues.filter_map(|queue| wait_problem(queue, &waits)));
            destinations = Some(queue_views(&stats, &waits));
            statuses = Some(StatusQueueView {
                pending: stats.statuses_pending,
                dead: stats.statuses_dead,
                oldest_at: stats.status_oldest_at,
            });
            apps = Some(app_statuses(state, &stats));
            silences = Some(stats.silences.iter().map(active_silence).collect());
            incidents = Some(open_incidents(stats));
        }
        (Err(error), _) | (_, Err(error)) => {
            problems.push(problem("store", "store", error.to_string()));
        }
    }
    let digests = digests::list(&state.store, &state.digests.get(), now).await;
    RelayStatus {
        ok: problems.is_empty(),
        time: now,
        version: env!("CARGO_PKG_VERSION"),
        problems,
        destinations,
        statuses,
        apps,
        incidents,
        silences,
        digests: digests.ok(),
    }
}

fn active_silence(silence: &Silence) -> ActiveSilenceView {
    ActiveSilenceView {
        id: silence.id,
        rule: silence.target.rule.clone(),
        incident: silence.target.incident,
        since: silence.created_at,
        until: silence.ends_at,
        author: silence.author.clone(),
        reports: silence.reports,
        messages: silence.messages,
    }
}

fn open_incidents(stats: Stats) -> OpenIncidentsView {
    let mut largest = stats.incidents_merging;
    let merging = u64::try_from(largest.len()).unwrap_or(u64::MAX);
    largest.sort_by_key(|incident| Reverse(incident.count));
    let largest = largest.into_iter().take(INCIDENTS_MAX);
    let view = |incident: MergingIncident| OpenIncidentView {
        id: incident.id,
        rule: incident.rule,
        count: incident.count,
        since: incident.opened_at,
    };
    OpenIncidentsView {
        open: stats.incidents_open,
        merging,
        largest: largest.map(view).collect(),
    }
}

/// Returns the problems of the process itself, and of its apps and uploads.
async fn own_problems(state: &WebState) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Err(error) = probe(state).await {
        problems.push(problem("store", "store", error.to_string()));
    }
    if state.stopping.is_cancelled() {
        problems.push(problem("draining", "relay", "the relay is stopping"));
    }
    if let Some(reason) = state.reload_refused.get().as_ref() {
        problems.push(problem("reload_refused", "configuration", reason));
    }
    let connections = state.connections.standings();
    problems.extend(connections.iter().filter_map(connection_problem));
    let backfills = lock(&state.backfills).clone();
    problems.extend(backfills.iter().filter_map(|(app, state)| {
        let reason = state.failing.as_deref()?;
        Some(problem("backfill_failing", app.as_str(), reason))
    }));
    problems.extend(backfills.iter().filter_map(unpushed_problem));
    let names = state.destinations.get();
    let refused = state.refused_uploads.all();
    let refused = refused.iter().filter(|(name, _)| names.contains(name));
    problems.extend(refused.map(|(name, reason)| problem("upload_refused", name.as_str(), reason)));
    problems
}

fn problem(kind: &'static str, subject: &str, reason: impl Into<String>) -> Problem {
    Problem {
        kind,
        subject: subject.to_owned(),
        reason: reason.into(),
    }
}

fn unpushed_problem((app, state): (&AppName, &backfill::State)) -> Option<Problem> {
    if !state.nothing_is_pushed() {
        return None;
    }
    let reason = format!(
        "the last {} comparisons with Feishu's list found reports that were never pushed, and nothing was pushed meanwhile",
        state.unpushed
    );
    Some(problem("nothing_pushed", app.as_str(), reason))
}

fn connection_problem((app, standing): (&AppName, &ConnectionStatus)) -> Option<Problem> {
    let down = standing.down.as_ref()?;
    let reason = format!(
        "it has had no long connection since {}: {}",
        standing.since, down.reason
    );
    Some(problem("connection_down", app.as_str(), reason))
}

/// Returns what each app receives.
fn app_statuses(state: &WebState, stats: &Stats) -> Vec<(AppName, AppStatus)> {
    let mut apps = Vec::new();
    for (app, at) in &stats.last_events {
        of_app(&mut apps, app).last_event_at = Some(*at);
    }
    for (app, at) in state.pushes.all() {
        of_app(&mut apps, &app).last_push_at = Some(at);
    }
    for (app, standing) in state.connections.standings() {
        of_app(&mut apps, &app).long_connection = Some(ConnectionView {
            open: standing.down.is_none(),
            since: standing.since,
            last_frame_at: standing.last_frame_at,
        });
    }
    for (app, backfill) in lock(&state.backfills).iter() {
        of_app(&mut apps, app).backfill = Some(BackfillStatus {
            asked_at: backfill.asked_at,
            by_event: backfill.by_event,
            only_in_list: backfill.only_in_list,
            comparisons_without_push: backfill.unpushed,
        });
    }
    apps
}

/// Returns the entry of an app, which is appended if missing.
fn of_app<'a>(apps: &'a mut Vec<(AppName, AppStatus)>, app: &AppName) -> &'a mut AppStatus {
    let at = apps.iter().position(|(name, _)| name == app);
    let at = at.unwrap_or_else(|| {
        apps.push((app.clone(), AppStatus::default()));
        apps.len() - 1
    });
    &mut apps[at].1
}

fn gate_problem(gate: &GateRecord, now: Timestamp) -> Option<Problem> {
    let name = gate.destination.as_str();
    if let Some(reason) = &gate.stopped {
        return Some(problem("destination_stopped", name, reason));
    }
    if let Some(since) = gate.open_since {
        return Some(problem(
            "destination_failing",
            name,
            format!("it has failed since {since}"),
        ));
    }
    let until = gate.blocked_until.filter(|until| *until > now)?;
    Some(problem(
        "destination_paced",
        name,
        format!("it asked to wait until {until}"),
    ))
}

/// How long the deliveries of each queue wait for their rate limit.
type Waits = BTreeMap<DestinationName, (RateLimit, Duration)>;

fn wait_problem(queue: &QueueStats, waits: &Waits) -> Option<Problem> {
    let (pace, time) = waits.get(&queue.destination)?;
    if *time <= PACED_MAX {
        return None;
    }
    let reason = format!(
        "{} deliveries wait for its rate of {pace}, about {} s",
        queue.pending,
        time.as_secs()
    );
    Some(problem(
        "destination_queued",
        queue.destination.as_str(),
        reason,
    ))
}

fn stats_problems(stats: &Stats, now: Timestamp) -> Vec<Problem> {
    let mut problems = Vec::new();
    for queue in &stats.queues {
        let name = queue.destination.as_str();
        if queue.dead > 0 {
            let reason = format!("{} deliveries are dead and can be retried", queue.dead);
            problems.push(problem("deliveries_dead", name, reason));
        }
        if let Some(oldest) = queue.oldest_at.filter(|at| now.since(*at) > QUEUE_AGE_MAX) {
            let reason = format!(
                "{} deliveries wait, the oldest since {oldest}",
                queue.pending
            );
            problems.push(problem("queue_old", name, reason));
        }
    }
    if let Some(deadline) = stats
        .image_deadline_at
        .filter(|at| at.since(now) < IMAGE_DANGER)
    {
        let reason = format!("an image is not fetched yet and its address expires at {deadline}");
        problems.push(problem("image_in_danger", "images", reason));
    }
    if let Some(oldest) = stats
        .status_oldest_at
        .filter(|at| now.since(*at) > QUEUE_AGE_MAX)
    {
        let reason = format!(
            "{} statuses that people set are not in Feishu yet, the oldest since {oldest}",
            stats.statuses_pending
        );
        problems.push(problem("statuses_old", "feishu", reason));
    }
    if stats.unreadable > 0 {
        let reason = format!(
            "{} authentic events could not be parsed; they are stored",
            stats.unreadable
        );
        problems.push(problem("events_unreadable", "store", reason));
    }
    problems
}

fn queue_views(stats: &Stats, waits: &Waits) -> Vec<(DestinationName, QueueView)> {
    let queues = stats.queues.iter().map(|queue| {
        let view = QueueView {
            pending: queue.pending,
            sending: queue.sending,
            dead: queue.dead,
            held: queue.held,
            oldest_at: queue.oldest_at,
            wait_s: waits
                .get(&queue.destination)
                .map(|(_, time)| time.as_secs()),
        };
        (queue.destination.clone(), view)
    });
    queues.collect()
}

fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::{AtomicU32, Ordering};

    use http_body_util::BodyExt;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::archive::{Archive, ArchiveLocation};
    use crate::intake;
    use crate::model::{Clock, Current, IncidentId, ManualClock};
    use crate::store::{self, Store};
    use crate::tasks::Tasks;
    use crate::telemetry::Metrics;
    use crate::triage::{self, ButtonSigner, Triage};

    const NOW: Timestamp = Timestamp::from_millis(1_711_111_111_000);

    /// Builds the state of a relay without problems.
    fn state(dir: &std::path::Path) -> WebState {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(NOW));
        let settings = store::Settings {
            location: store::StoreLocation::Sqlite(dir.join("relay.db")),
            retain: Duration::from_secs(3600),
        };
        let store = Store::open(&settings, Arc::clone(&clock)).unwrap();
        let metrics = Arc::new(Metrics::new());
        let triage = Triage::new(
            store.clone(),
            Arc::clone(&metrics),
            ButtonSigner::new([0; 32]),
            Current::new(triage::Settings::default()),
        );
        let intake = intake::Settings {
            apps: BTreeMap::new(),
            rules: crate::rules::RuleSet::default(),
            known: crate::rules::Known::default(),
            singly: BTreeSet::new(),
            wait: Duration::ZERO,
            wait_critical: Duration::ZERO,
            body_bytes_max: 0,
            ids_retain: Duration::ZERO,
        };
        WebState {
            archive: Archive::open(&ArchiveLocation::Folder(dir.join("images"))).unwrap(),
            probed: Probed::default(),
            links: Current::new(None),
            metrics,
            clock,
            triage,
            tasks: Tasks::new(),
            stopping: CancellationToken::new(),
            reload_refused: Current::new(None),
            destinations: Current::new(Vec::new()),
            digests: Current::new(Vec::new()),
            paces: Current::new(BTreeMap::new()),
            backfills: backfill::States::default(),
            refused_uploads: crate::deliver::RefusedUploads::default(),
            intake: Current::new(intake),
            pushes: intake::pushes::Pushes::default(),
            bodies: intake::webhook::body::Bodies::default(),
            connections: intake::websocket::ConnectionStates::default(),
            store,
        }
    }

    async fn status_of(state: &WebState) -> serde_json::Value {
        let answer = status(State(state.clone())).await;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn app_without_pushes_is_a_problem_after_three_comparisons() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(dir.path());
        for (unpushed, ok) in [(2, true), (3, false)] {
            let compared = backfill::State {
                unpushed,
                ..backfill::State::default()
            };
            lock(&state.backfills).insert("shop".into(), compared);
            let status = status_of(&state).await;
            assert_eq!(status["ok"], ok, "{status}");
            let problem = &status["problems"][0];
            assert_eq!(problem["kind"] == "nothing_pushed", !ok, "{status}");
            assert_eq!(problem["subject"] == "shop", !ok, "{status}");
        }
    }

    #[test]
    fn open_incidents_are_listed_by_size_up_to_twenty() {
        let incident = |id: u8| MergingIncident {
            id: IncidentId(id.into()),
            rule: "faults".into(),
            opened_at: NOW,
            count: u64::from(id) * 10,
            individual: 5,
            is_collective: false,
        };
        let stats = Stats {
            incidents_open: 40,
            incidents_merging: (1..=25).map(incident).collect(),
            ..Stats::default()
        };
        let json = serde_json::to_value(open_incidents(stats)).unwrap();
        assert_eq!((&json["open"], &json["merging"]), (&40.into(), &25.into()));
        let largest = json["largest"].as_array().unwrap();
        assert_eq!(largest.len(), 20);
        let first = serde_json::json!({
            "id": "inc_25", "rule": "faults", "count": 250, "since": NOW.to_string(),
        });
        assert_eq!(largest[0], first, "no value of `group_by` is shown");
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_probes_cause_one_write() {
        let (probed, asked) = (Probed::default(), AtomicU32::new(0));
        let slow = || async {
            asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            Err(StoreError::Busy)
        };
        let (first, second) = tokio::join!(probed.or_ask(slow()), probed.or_ask(slow()));
        assert_eq!(
            (first, second),
            (Err(StoreError::Busy), Err(StoreError::Busy))
        );
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        tokio::time::advance(PROBE_FRESH).await;
        assert_eq!(probed.or_ask(async { Ok(()) }).await, Ok(()));
        let never = std::future::pending();
        tokio::time::advance(PROBE_FRESH).await;
        assert!(probed.or_ask(never).await.is_err(), "no answer is one too");
    }
}
