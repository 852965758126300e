//! The input and output types of the store.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{EarlierIncidents, MergingIncident};
use crate::model::*;

/// The validated `[store]` section.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the store is.
    pub location: StoreLocation,
    /// How long bodies and payloads are kept.
    pub retain: Duration,
}

/// Where a store is. Code that works on the files of a store matches on this type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreLocation {
    /// An SQLite database in this file.
    Sqlite(PathBuf),
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => path.display().fmt(f),
        }
    }
}

/// Why the store could not be opened, worded for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another `serve` has the store open.
    #[error("another feedback-relay is already serving {0}; stop it first")]
    Held(StoreLocation),
    /// A newer version of the program created it.
    #[error(
        "{location} was written by a newer feedback-relay (store version {found}, this program knows {known}); use that version"
    )]
    Newer {
        /// Where the store is.
        location: StoreLocation,
        /// The version of the store.
        found: i64,
        /// The newest version that this program supports.
        known: i64,
    },
    /// An unreleased version of the program created it, with other tables.
    #[error(
        "{location} was written by an unreleased feedback-relay (its `{part}` differs); move it away, with its -wal and -shm files, and start again"
    )]
    Unreleased {
        /// Where the store is.
        location: StoreLocation,
        /// The name of a table or index.
        part: String,
    },
    /// There is no store, and this command does not create one.
    #[error("there is no store at {0}; start `feedback-relay serve` first")]
    Missing(StoreLocation),
    /// It is another program's database, or damaged.
    #[error("{location} is not a store of feedback-relay, or is damaged: {reason}")]
    Damaged {
        /// Where the store is.
        location: StoreLocation,
        /// What was found.
        reason: String,
    },
    /// The operating system denied access.
    #[error("cannot open the store {location}: {reason}")]
    Io {
        /// Where the store is.
        location: StoreLocation,
        /// What happened.
        reason: String,
    },
}

/// The operation failed and wrote nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The queue is too long to be written in time.
    #[error("the store cannot keep up")]
    Busy,
    /// The store cannot be read or written: disk full, read-only or damaged.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
}

/// An event to be stored.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The id that, together with `via`, identifies repeats.
    pub id: EventId,
    /// The app that received it.
    pub via: AppName,
    /// The platform's name of the event type.
    pub event_type: String,
    /// For new feedback: its app's id and its own id, which also identify repeats.
    pub feedback: Option<(String, String)>,
    /// The reporter's ids, by which `erase --user` finds the event.
    pub users: Vec<Private>,
    /// When it was received.
    pub received_at: Timestamp,
    /// The result of intake.
    pub state: EventState,
    /// The decrypted body as received; `None` for ignored events.
    pub body: Option<Private>,
    /// The deliveries to create.
    pub deliveries: Vec<NewDelivery>,
    /// The incidents that count the report.
    pub incidents: Vec<PlannedIncident>,
    /// The incidents that only count it, if they are open, because it is late.
    pub late_incidents: Vec<PlannedIncident>,
    /// What silences depend on.
    pub silenceable: Silenceable,
    /// The reporter's tenant; `None` if unknown.
    pub tenant: Option<String>,
    /// The images to fetch, in order, at most [`IMAGES_PER_EVENT_MAX`].
    pub images: Vec<Private>,
    /// When the images' addresses expire.
    pub images_deadline_at: Timestamp,
    /// The status change of earlier feedback that it reports; `None` if it reports none.
    pub change: Option<FeedbackChange>,
}

impl Arrival {
    /// Returns an event of the relay itself, without deliveries. No rule sees it, and no silence mutes it.
    pub fn of_relay(id: EventId, event_type: &str, body: String, now: Timestamp) -> Self {
        Self {
            id,
            // In place of a receiving app.
            via: AppName::from("relay"),
            event_type: event_type.to_owned(),
            feedback: None,
            users: Vec::new(),
            received_at: now,
            state: EventState::Noted,
            body: Some(Private::new(body)),
            deliveries: Vec::new(),
            incidents: Vec::new(),
            late_incidents: Vec::new(),
            silenceable: Silenceable::default(),
            tenant: None,
            images: Vec::new(),
            images_deadline_at: now,
            change: None,
        }
    }
}

/// The properties of an event that decide which silences mute its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Silenceable {
    /// The rules that name each destination. A message is muted if all of them are. Destinations that are not listed
    /// get each message.
    pub rules: Vec<(DestinationName, Vec<RuleName>)>,
    /// The active silences whose conditions the event matches.
    pub matched: Vec<SilenceId>,
}

/// Former names of destinations, each with the current name.
pub type FormerNames = BTreeMap<DestinationName, DestinationName>;

/// The event type of an operator notice in the store.
pub const NOTICE: &str = "feedback_relay.notice";

/// A delivery to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    pub destination: DestinationName,
    /// The message spec of the rule.
    pub spec: MessageSpec,
    pub trigger: Trigger,
    /// The latest time at which it is due. Until then it waits for the event's images.
    pub due_at: Timestamp,
    /// Why and how long it is held instead; `None`: it is not.
    pub held: Option<Holding>,
}

/// Why and how long a delivery is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    pub held_for: HeldFor,
    pub until: Timestamp,
    /// For [`HeldFor::Hold`]: the windows as they are written.
    pub hours: Option<String>,
    /// When the report was made. A summary shows the span of these times.
    pub reported_at: Timestamp,
}

/// The result of accepting an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Stored now.
    New(EventSeq),
    /// Stored before; nothing was written.
    Repeat(EventSeq),
}

/// A leased delivery with everything needed to send it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    pub delivery: Delivery,
    pub event: StoredEvent,
    /// The event's images in order. For an incident: images of its newest reports.
    pub images: Vec<Image>,
    /// For a summary or an incident: the newest reports in it, newest first. Those of an incident are compared, at
    /// most [`similar::COMPARED_MAX`].
    pub newest: Vec<StoredEvent>,
    /// The incident that sends the message; `None` for other messages.
    pub incident: Option<Box<Incident>>,
    /// For a report: its position in the incident that counts it; the delivery's rule has precedence.
    pub counted: Option<CountedReport>,
    /// For an incident: earlier ones that may have been about the same fault.
    pub earlier: EarlierIncidents,
    /// For [`Trigger::LateImages`]: ordinals of the images that the destination already got, one bit
    /// each.
    pub shown: u32,
    /// The rendering that earlier attempts sent, in the form that is due; `None` if there is none.
    pub payload: Option<KeptPayload>,
    /// The related message, if the destination stored its handle. For [`Trigger::Edit`], the message to
    /// edit; otherwise, the first message about the event or the changed feedback.
    pub message: Option<MessageHandle>,
    /// The status of the feedback that the event created; `None` if nobody has changed it.
    pub state: Option<FeedbackState>,
}

/// A stored rendering, so that retries send the same message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPayload {
    /// The message, before links and requests are signed.
    pub body: String,
    /// Ordinals of the images it shows, one bit each.
    pub shown: u32,
}

/// Leased work to release without an attempt.
#[derive(Clone, Debug)]
pub struct LeaseRelease {
    pub id: DeliveryId,
    /// The proof of the lease.
    pub token: LeaseToken,
    /// When it is due again.
    pub due_at: Timestamp,
    /// Why there was no attempt, fit for a log; `None` keeps the last reason.
    pub reason: Option<String>,
}

impl LeaseRelease {
    /// Releases a leased delivery, to be due again at `due_at`.
    pub fn of(lease: &Lease<Work>, due_at: Timestamp) -> Self {
        Self {
            id: lease.item.delivery.id,
            token: lease.token,
            due_at,
            reason: None,
        }
    }
}

/// No images need to follow: the event has none, or the destination shows none.
pub const ALL_SHOWN: u32 = u32::MAX;

/// An attempt and its result.
#[derive(Clone, Debug)]
pub struct CompletedAttempt {
    pub id: DeliveryId,
    /// The attempt; `None` if there was none, e.g. because rendering failed or the event is erased.
    pub attempt: Option<Attempt>,
    /// How long the message waited before the attempt without being tried. The start of `retry_for` moves by
    /// this time.
    pub uncounted: Duration,
    /// Whether a rate limit counts the attempt, also after a restart.
    pub paced: bool,
    /// The next step.
    pub verdict: Verdict,
    /// The rendering to repeat; `None` if there is no new one.
    pub payload: Option<String>,
    /// Ordinals of the images that this message showed, one bit each, or [`ALL_SHOWN`].
    pub shown: u32,
    /// The delivery to the fallback; `None` if there is none.
    pub fallback: Option<NewDelivery>,
    /// The platform's id of the sent message; `None` if it sent none.
    pub handle: Option<MessageHandle>,
    /// For an edit: whether the platform no longer changes the message, because readers removed it or it is too old.
    pub is_final: bool,
}

/// The result of an image job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageVerdict {
    /// The image is kept.
    Kept(KeptImage),
    /// The job is retried later.
    RetryAt {
        /// When it is retried.
        due_at: Timestamp,
        /// Why.
        reason: String,
        /// Whether its host is not allowed. Messages do not wait for such an image.
        refused: bool,
    },
    /// The image is unavailable.
    Lost {
        /// Why.
        reason: String,
    },
}

/// The capacity of each host in one poll for image jobs, and where the poll starts.
#[derive(Clone, Debug)]
pub struct ImageHosts {
    /// How many jobs a host that is not in `rooms` may have in progress.
    pub room: usize,
    /// The capacity of other hosts, by name.
    pub rooms: HashMap<String, HostRoom>,
    /// Whether retries go before first attempts. Some polls need this, so that retries are not starved.
    pub retries_first: bool,
    /// The value of [`LeasedImages::after`] from the previous poll.
    pub after: [String; 2],
}

/// The capacity of one host in a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoom {
    /// How many more jobs it may have in progress.
    pub free: usize,
    /// Whether to lease only jobs past their deadline. The host is paused, and these jobs must end.
    pub overdue_only: bool,
}

impl Default for ImageHosts {
    fn default() -> Self {
        Self {
            room: usize::MAX,
            rooms: HashMap::new(),
            retries_first: false,
            after: Default::default(),
        }
    }
}

impl ImageHosts {
    /// Returns how many jobs of `host` may be leased. `deadline_at` is the earliest deadline among them.
    pub fn room(&self, host: &str, deadline_at: Timestamp, now: Timestamp) -> usize {
        match self.rooms.get(host) {
            None => self.room,
            Some(room) if room.overdue_only && deadline_at > now => 0,
            Some(room) => room.free,
        }
    }

    /// Counts one job of `host` as leased.
    pub fn take(&mut self, host: &str) {
        let room = self.room;
        let room = self.rooms.entry(host.to_owned()).or_insert(HostRoom {
            free: room,
            overdue_only: false,
        });
        room.free = room.free.saturating_sub(1);
    }
}

/// The image jobs leased by one poll.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeasedImages {
    /// The leased jobs.
    pub leases: Vec<Lease<ImageJob>>,
    /// Leases that expired without being completed.
    pub lost: Vec<LostImageLease>,
    /// When the next waiting job is due; `None` if none waits.
    pub next_due_at: Option<Timestamp>,
    /// Where the next poll starts, for first attempts and for retries. Empty if the poll covered all
    /// hosts.
    pub after: [String; 2],
}

/// An image job whose lease expired without being completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostImageLease {
    /// The event it belongs to.
    pub event: EventSeq,
    /// That event's id, for people and logs.
    pub event_id: EventId,
    /// The image's position in the event, from 0.
    pub ordinal: u8,
    /// Whether the job is given up, because this was the third lost lease in a row.
    pub given_up: bool,
}

/// A button action on a feedback.
#[derive(Clone, Debug)]
pub struct ApplyAction {
    /// The event that created the feedback.
    pub event: EventSeq,
    pub act: TriageAction,
    /// For [`TriageAction::Undo`]: the time of the change to revert.
    pub undoes: Option<Timestamp>,
    pub by: Actor,
    pub through: ChangeSource,
    /// The open id for the platform's status change; `None` if it cannot be written to the platform.
    pub operator: Option<Private>,
}

/// A button action on an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyIncidentAction {
    pub incident: IncidentId,
    /// [`TriageAction::Claim`] or [`TriageAction::Done`].
    pub act: TriageAction,
    pub by: Actor,
    pub through: ChangeSource,
    /// The open id for the status changes of the reports that each app received. Reports of other apps get a
    /// local-only status.
    pub operators: BTreeMap<AppName, Private>,
}

/// The result of a button action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionOutcome {
    /// The status changed; every editable message will show it.
    Changed(FeedbackState),
    /// Nothing changed, because the status was the same already. For an undo: the change is no longer
    /// the last.
    Already(FeedbackState),
    /// The undo period is over.
    TooLate(FeedbackState),
    /// The incident has ended without being done.
    Ended,
    /// The feedback or the incident does not exist (any more).
    Unknown,
}

/// The result of writing a status to the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusVerdict {
    /// Written.
    Done,
    /// Retry later.
    RetryAt {
        /// When the retry is due.
        due_at: Timestamp,
        /// Why.
        reason: String,
    },
    /// The platform rejects it.
    Dead {
        /// Why.
        reason: String,
    },
}

/// The gate state of a destination, kept across restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRecord {
    pub destination: DestinationName,
    /// Nothing is sent before this time, because the platform asked for a pause.
    pub blocked_until: Option<Timestamp>,
    /// When its circuit breaker opened; `None` if it is closed.
    pub open_since: Option<Timestamp>,
    /// Why it is stopped until an operator acts; `None` if it is not stopped.
    pub stopped: Option<String>,
    /// Since when every attempt has failed or was rate-limited; `None` after a success.
    pub failing_since: Option<Timestamp>,
    /// The uptime at that moment, for `fallback_after`.
    pub failing_from: Option<Uptime>,
    /// How often `destinations resume` was run for it.
    pub resumes: u64,
}

impl GateRecord {
    /// Returns a gate that is open.
    pub const fn open(destination: DestinationName) -> Self {
        Self {
            destination,
            blocked_until: None,
            open_since: None,
            stopped: None,
            failing_since: None,
            failing_from: None,
            resumes: 0,
        }
    }
}

/// The result of a retention step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The number of events whose bodies were removed.
    pub bodies: u64,
    /// The number of events removed entirely.
    pub events: u64,
    /// Whether there is more to remove.
    pub more: bool,
}

/// The result of an admin action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminResult {
    /// Done.
    Done,
    /// There is no such delivery.
    NotFound,
    /// The delivery's state does not allow it.
    Refused(DeliveryState),
}

/// Numbers for `status` and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// One entry per destination that has pending, sending, dead or held deliveries.
    pub queues: Vec<QueueStats>,
    /// The number of images not fetched yet.
    pub images_pending: u64,
    /// The earliest deadline of these images.
    pub image_deadline_at: Option<Timestamp>,
    /// The number of authentic events that could not be parsed.
    pub unreadable: u64,
    /// The number of status outbox entries not written yet.
    pub statuses_pending: u64,
    /// When the oldest of them was first due.
    pub status_oldest_at: Option<Timestamp>,
    /// The number of statuses that the platform rejected.
    pub statuses_dead: u64,
    /// When each app's last event was accepted.
    pub last_events: Vec<(AppName, Timestamp)>,
    /// The number of open incidents, including those without messages of their own.
    pub incidents_open: u64,
    /// The open incidents that have messages of their own, oldest first.
    pub incidents_merging: Vec<MergingIncident>,
    /// The active silences, newest first.
    pub silences: Vec<Silence>,
}

/// The queue of one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStats {
    pub destination: DestinationName,
    /// The number of waiting deliveries.
    pub pending: u64,
    /// The number of leased deliveries.
    pub sending: u64,
    /// The number of dead deliveries.
    pub dead: u64,
    /// The number of held deliveries.
    pub held: u64,
    /// When the oldest waiting or leased delivery was created.
    pub oldest_at: Option<Timestamp>,
}

impl QueueStats {
    /// Returns the number of deliveries that are still to be sent.
    pub const fn unfinished(&self) -> u64 {
        self.pending + self.sending + self.held
    }
}

/// The filter of an event list. `None` means no restriction.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only events received by this app.
    pub via: Option<AppName>,
    /// Only events in this state.
    pub state: Option<EventState>,
    /// Only events received at this time or later.
    pub since: Option<Timestamp>,
    /// Only events received before this time.
    pub until: Option<Timestamp>,
    /// Only events before this row, for the next page.
    pub before: Option<EventSeq>,
    /// The maximum number of events.
    pub limit: usize,
}

/// An event in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// The row id.
    pub seq: EventSeq,
    pub id: EventId,
    /// The app that received it.
    pub via: AppName,
    /// The platform's name of the event type.
    pub event_type: String,
    /// The feedback it is about; `None` if it is about none.
    pub feedback_id: Option<String>,
    /// When it was received.
    pub received_at: Timestamp,
    pub state: EventState,
    /// The number of deliveries by state.
    pub deliveries: Vec<(DeliveryState, u64)>,
    /// The rules of its deliveries, each once, with the highest severity.
    pub rules: Vec<(RuleName, Severity)>,
    /// The decrypted body; `None` if it was removed or not kept.
    pub body: Option<Private>,
}

/// The filter of a delivery list. `None` means no restriction.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only deliveries to this destination.
    pub destination: Option<DestinationName>,
    /// Only deliveries in one of these states; empty means all.
    pub states: Vec<DeliveryState>,
    /// Only deliveries of this event.
    pub event: Option<EventSeq>,
    /// Only this delivery.
    pub id: Option<DeliveryId>,
    /// Only deliveries that this silence muted.
    pub silence: Option<SilenceId>,
    /// Only deliveries created at this time or later.
    pub since: Option<Timestamp>,
    /// Only deliveries created before this time.
    pub until: Option<Timestamp>,
    /// Only deliveries of this rule.
    pub rule: Option<RuleName>,
    /// Only deliveries before this one, for the next page.
    pub before: Option<DeliveryId>,
    /// The maximum number of deliveries.
    pub limit: usize,
}

/// A position in the order of waiting deliveries: by due time, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub due_at: Timestamp,
    pub id: DeliveryId,
}

impl Position {
    /// The position before all deliveries.
    pub const START: Self = Self {
        due_at: Timestamp::from_millis(i64::MIN),
        id: DeliveryId::from_i64(i64::MIN),
    };
}

/// A page of deliveries that may be rerouted to a fallback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverPage {
    pub ids: Vec<DeliveryId>,
    /// Where the next page begins.
    pub next: Position,
    /// Whether there may be another page.
    pub full: bool,
}

/// Deliveries whose destination is not configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphaned {
    /// Destinations found missing just now, with the number of deliveries waiting for each.
    pub missing: Vec<(DestinationName, u64)>,
    /// Deliveries that ended.
    pub ended: Vec<(DeliveryId, DestinationName)>,
}

/// Why a delivery to the old name of a destination is discarded.
pub const TWICE: &str = "its destination has or gets this event under another name";

/// The deliveries of a renamed destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renamed {
    /// The number of deliveries that have the new name.
    pub moved: u64,
    /// Deliveries that were discarded, because the new name has their event.
    pub discarded: Vec<DeliveryId>,
}

/// A delivery that ended because it was tried for `retry_for`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    pub id: DeliveryId,
    /// The type of its event.
    pub event_type: String,
    pub trigger: Trigger,
    /// Why it ended.
    pub reason: String,
    /// Whether it was rerouted to its fallback.
    pub rerouted: bool,
}

/// Which deliveries a failing destination reroutes to its fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallBack {
    /// All waiting deliveries, because the destination is stopped. They end here.
    Everything,
    /// Critical deliveries, because the destination failed for too long. They also stay here and are
    /// retried.
    Critical,
}
