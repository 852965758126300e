//! Sends requests, in a closed loop or by a plan, and reports the responses.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::events::Sealed;
use super::http::Connection;

/// The time limit of sending. Requests that were not sent count nowhere.
const SEND_WITHIN: Duration = Duration::from_secs(120);

/// When requests are sent.
#[derive(Clone, Copy)]
pub enum Plan {
    /// Each connection sends its next request after the last response.
    Closed,
    /// This many a second, whatever the responses are; times count from the planned moment.
    Rate(f64),
    /// All at once.
    Burst,
}

impl Plan {
    fn at(self, began: Instant, index: usize) -> Option<Instant> {
        match self {
            Self::Closed => None,
            Self::Rate(rate) => {
                let index = u32::try_from(index).expect("a bounded count");
                Some(began + Duration::from_secs_f64(f64::from(index) / rate))
            }
            Self::Burst => Some(began),
        }
    }
}

/// The responses of a run.
pub struct Answered {
    /// Responses by status; 0 without a response.
    pub statuses: HashMap<u16, usize>,
    /// For each 200, the time from the planned moment to the response, shortest first.
    pub times: Vec<Duration>,
    /// When each accepted event was sent.
    pub accepted: HashMap<String, Instant>,
    /// When the first request was sent.
    pub began: Instant,
    /// The time from the first request to the last response.
    pub took: Duration,
}

impl Answered {
    /// Returns the accepted requests a second.
    pub fn rate(&self) -> f64 {
        count(self.times.len()) / self.took.as_secs_f64()
    }

    /// Checks that every accepted event has arrived. An event answered with 503 may have arrived
    /// too, if it was committed after all.
    pub fn assert_arrived(&self, arrived: &HashMap<String, Instant>) {
        let mut accepted = self.accepted.keys();
        assert!(
            accepted.all(|id| arrived.contains_key(id)),
            "events were lost"
        );
    }

    /// Returns the times from sending to arrival of the accepted events, shortest first.
    pub fn times_to_arrival(&self, arrived: &HashMap<String, Instant>) -> Vec<Duration> {
        let time =
            |(id, sent_at): (&String, &Instant)| Some(arrived.get(id)?.duration_since(*sent_at));
        let mut times: Vec<Duration> = self.accepted.iter().filter_map(time).collect();
        times.sort_unstable();
        times
    }

    /// Returns the time from the first request to the last arrival.
    pub fn took_until_last(&self, arrived: &HashMap<String, Instant>) -> Duration {
        let last = arrived.values().max();
        last.map_or(Duration::MAX, |last| last.duration_since(self.began))
    }

    /// Returns the time within which this share of the accepted requests was answered, in
    /// milliseconds.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        quantile_ms(&self.times, share)
    }
}

/// Returns the value below which `share` of sorted times lie, in milliseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index below the length of a list"
)]
pub fn quantile_ms(sorted: &[Duration], share: f64) -> f64 {
    let index = (count(sorted.len()) * share) as usize;
    let time = sorted.get(index).or(sorted.last());
    time.map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
}

/// Converts a count for division.
pub fn count(count: usize) -> f64 {
    f64::from(u32::try_from(count).expect("counts are bounded"))
}

/// Sends all `requests` over this number of connections.
pub async fn send(
    address: SocketAddr,
    requests: Arc<Vec<Sealed>>,
    connections: usize,
    plan: Plan,
) -> Answered {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        workers.spawn(work(
            address,
            Arc::clone(&requests),
            Arc::clone(&next),
            plan,
            began,
        ));
    }
    let mut answered = Answered {
        statuses: HashMap::new(),
        times: Vec::new(),
        accepted: HashMap::new(),
        began,
        took: Duration::ZERO,
    };
    for (index, status, sent_at, took) in workers.join_all().await.into_iter().flatten() {
        *answered.statuses.entry(status).or_default() += 1;
        if status == 200 {
            answered.times.push(took);
            let id = requests.get(index).map(|request| request.id.clone());
            answered
                .accepted
                .entry(id.unwrap_or_default())
                .or_insert(sent_at);
        }
    }
    answered.took = began.elapsed();
    answered.times.sort_unstable();
    answered
}

type Sample = (usize, u16, Instant, Duration);

async fn work(
    address: SocketAddr,
    requests: Arc<Vec<Sealed>>,
    next: Arc<AtomicUsize>,
    plan: Plan,
    began: Instant,
) -> Vec<Sample> {
    let mut connection = Connection::new(address);
    let mut samples = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::SeqCst);
        let Some(request) = requests.get(index) else {
            return samples;
        };
        let planned = plan.at(began, index);
        if began.elapsed() > SEND_WITHIN {
            return samples;
        }
        if let Some(planned) = planned {
            tokio::time::sleep_until(planned).await;
        }
        let sent_at = planned.unwrap_or_else(Instant::now);
        let status = connection.exchange(&request.bytes).await;
        samples.push((index, status, sent_at, sent_at.elapsed()));
    }
}
