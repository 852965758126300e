//! The state of the running relay: `/status`.

use serde::{Serialize, Serializer};

use super::{DigestSummary, exposed, object, text, text_or_null};
use crate::model::{AppName, DestinationName, IncidentId, Private, RuleName, SilenceId, Timestamp};

/// The state of the relay, and all its problems. Fields that are read from the store are null if the store does
/// not answer.
#[derive(Clone, Debug, Serialize)]
pub struct RelayStatus {
    /// Whether there is no problem.
    pub ok: bool,
    /// The current time of the relay.
    #[serde(serialize_with = "text")]
    pub time: Timestamp,
    /// The version of the program.
    pub version: &'static str,
    pub problems: Vec<Problem>,
    /// The queues of destinations, by name.
    #[serde(serialize_with = "object_or_null")]
    pub destinations: Option<Vec<(DestinationName, QueueView)>>,
    /// The statuses that people set and that the relay writes to Feishu.
    pub statuses: Option<StatusQueueView>,
    /// The apps that receive events, by name.
    #[serde(serialize_with = "object_or_null")]
    pub apps: Option<Vec<(AppName, AppStatus)>>,
    pub incidents: Option<OpenIncidentsView>,
    /// The active silences, newest first.
    pub silences: Option<Vec<ActiveSilenceView>>,
    pub digests: Option<Vec<DigestSummary>>,
}

/// An active silence, without its reason and its conditions, which may name people.
#[derive(Clone, Debug, Serialize)]
pub struct ActiveSilenceView {
    #[serde(serialize_with = "text")]
    pub id: SilenceId,
    /// The rule that it mutes; null if it mutes messages of any rule.
    #[serde(serialize_with = "text_or_null")]
    pub rule: Option<RuleName>,
    /// The incident with whose key it mutes reports; null if it mutes any.
    #[serde(serialize_with = "text_or_null")]
    pub incident: Option<IncidentId>,
    #[serde(serialize_with = "text")]
    pub since: Timestamp,
    #[serde(serialize_with = "text")]
    pub until: Timestamp,
    /// Null if it is unknown.
    #[serde(serialize_with = "exposed")]
    pub author: Option<Private>,
    /// The number of reports that it has muted.
    pub reports: u64,
    /// The number of messages that it has muted.
    pub messages: u64,
}

/// The open incidents.
#[derive(Clone, Debug, Serialize)]
pub struct OpenIncidentsView {
    /// The number of open incidents.
    pub open: u64,
    /// The number of those that have messages of their own, because reports were merged.
    pub merging: u64,
    /// The largest of these, largest first, at most 20.
    pub largest: Vec<OpenIncidentView>,
}

/// An open incident, without anything that reporters typed.
#[derive(Clone, Debug, Serialize)]
pub struct OpenIncidentView {
    #[serde(serialize_with = "text")]
    pub id: IncidentId,
    #[serde(serialize_with = "text")]
    pub rule: RuleName,
    /// The number of reports.
    pub count: u64,
    /// When the first report was accepted.
    #[serde(serialize_with = "text")]
    pub since: Timestamp,
}

/// A problem of the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The kind, in one word.
    pub kind: &'static str,
    /// The destination, app or part that has it.
    pub subject: String,
    /// What is wrong, in words.
    pub reason: String,
}

/// The queue of a destination.
#[derive(Clone, Debug, Serialize)]
pub struct QueueView {
    /// The number of waiting deliveries.
    pub pending: u64,
    /// The number of deliveries that are being sent.
    pub sending: u64,
    /// The number of dead deliveries.
    pub dead: u64,
    /// The number of deliveries that are held until their time.
    pub held: u64,
    /// When the oldest waiting delivery was created; null if none waits.
    #[serde(serialize_with = "text_or_null")]
    pub oldest_at: Option<Timestamp>,
    /// In seconds, how long the waiting deliveries take because of rate limits; null without a limit.
    pub wait_s: Option<u64>,
}

/// The statuses that still have to be written to Feishu.
#[derive(Clone, Debug, Serialize)]
pub struct StatusQueueView {
    /// The number that waits.
    pub pending: u64,
    /// The number that Feishu rejected.
    pub dead: u64,
    /// When the oldest one was first due; null if none waits.
    #[serde(serialize_with = "text_or_null")]
    pub oldest_at: Option<Timestamp>,
}

/// The intake of an app. Fields that do not apply to it are absent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AppStatus {
    /// When its last event was stored.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "text_or_null"
    )]
    pub last_event_at: Option<Timestamp>,
    /// When its last event was pushed.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "text_or_null"
    )]
    pub last_push_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_connection: Option<ConnectionView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backfill: Option<BackfillStatus>,
}

/// The long connection of an app.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionView {
    pub open: bool,
    /// Since when it has been open, or not open.
    #[serde(serialize_with = "text")]
    pub since: Timestamp,
    /// When a frame was last received; null if never.
    #[serde(serialize_with = "text_or_null")]
    pub last_frame_at: Option<Timestamp>,
}

/// The comparison of an app's events with Feishu's list.
#[derive(Clone, Debug, Serialize)]
pub struct BackfillStatus {
    /// When the last successful comparison began; null if there was none.
    #[serde(serialize_with = "text_or_null")]
    pub asked_at: Option<Timestamp>,
    /// The number of listed reports that had arrived as events.
    pub by_event: u64,
    /// The number of listed reports that had not.
    pub only_in_list: u64,
    /// The number of consecutive comparisons that found unpushed reports while nothing was pushed.
    pub comparisons_without_push: u32,
}

fn object_or_null<K, V, S>(pairs: &Option<Vec<(K, V)>>, to: S) -> Result<S::Ok, S::Error>
where
    K: std::fmt::Display,
    V: Serialize,
    S: Serializer,
{
    match pairs {
        Some(pairs) => object(pairs, to),
        None => to.serialize_none(),
    }
}
