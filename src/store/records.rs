//! What goes into the store and what comes out.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::*;

/// The checked `[store]`.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The database file.
    pub path: PathBuf,
    /// How long bodies and payloads are kept.
    pub retain: Duration,
}

/// Why the store could not be opened, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another `serve` has it.
    #[error("another feedback-relay is already serving {}; stop it first", .0.display())]
    Held(PathBuf),
    /// A later version of the program made it.
    #[error("{} was written by a newer feedback-relay (store version {found}, this program knows {known}); use that version", .path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest we know.
        known: i64,
    },
    /// There is none, and this command does not make one.
    #[error("there is no store at {}; start `feedback-relay serve` first", .0.display())]
    Missing(PathBuf),
    /// It is another program's database, or damaged.
    #[error("{} is not a store of feedback-relay, or is damaged: {reason}", .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The disk does not let us.
    #[error("cannot open the store {}: {reason}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
}

/// The store did not do what was asked; nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// More is waiting than can be written in time.
    #[error("the store cannot keep up")]
    Busy,
    /// It cannot be written or read: disk full, read-only, damaged.
    #[error("the store does not work: {0}")]
    Unavailable(String),
}

/// An event on its way into the store.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The id by which repeats are known, together with `via`.
    pub id: EventId,
    /// The app that received it.
    pub via: AppName,
    /// The platform's name of its type.
    pub event_type: String,
    /// For new feedback: the app it is about and its id, by which repeats are known as well.
    pub feedback: Option<(String, String)>,
    /// The reporter's ids, by which `erase --user` finds it.
    pub users: Vec<Private>,
    /// When it was received.
    pub received_at: Timestamp,
    /// What is made of it.
    pub state: EventState,
    /// The decrypted body as it came; `None` for what is ignored.
    pub body: Option<Private>,
    /// Who is told.
    pub deliveries: Vec<NewDelivery>,
    /// The images to fetch, in order, at most [`IMAGES_PER_EVENT_MAX`].
    pub images: Vec<Private>,
    /// When the images' addresses end.
    pub images_deadline_at: Timestamp,
    /// What it says of the status of feedback that came before.
    pub change: Option<FeedbackChange>,
}

/// A delivery to be made.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Where to.
    pub destination: DestinationName,
    /// How the rule wants it told.
    pub spec: MessageSpec,
    /// Why.
    pub trigger: Trigger,
    /// When it is due at the latest. While the event's images are not settled it waits until then.
    pub due_at: Timestamp,
}

/// A destination that hears of a late arrival in a summary.
#[derive(Clone, Debug)]
pub struct LateTelling {
    /// Who hears of it.
    pub destination: DestinationName,
    /// How the rule wants it told.
    pub spec: MessageSpec,
    /// When it was reported: what the summary's span is made of.
    pub reported_at: Timestamp,
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is in the store now.
    New(EventSeq),
    /// It was there already; nothing was written.
    Repeat(EventSeq),
}

/// A leased delivery with all that sending it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// The delivery.
    pub delivery: Delivery,
    /// Its event.
    pub event: StoredEvent,
    /// The event's images in order.
    pub images: Vec<Image>,
    /// For a summary: the newest reports it tells of, newest first.
    pub newest: Vec<StoredEvent>,
    /// For [`Trigger::LateImages`]: ordinals of images that the destination has been shown already, one bit each.
    pub shown: u32,
    /// The rendering that earlier attempts sent, in the form that is due.
    pub payload: Option<KeptPayload>,
    /// The message it belongs to, where the destination kept its handle: for [`Trigger::Edit`] the one
    /// to change, otherwise the first that told of the event (or of the feedback whose status changed).
    pub message: Option<MessageHandle>,
    /// How the feedback stands that the event brought; `None`: nobody has moved it.
    pub state: Option<FeedbackState>,
}

/// A rendering that is kept, so that retries repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPayload {
    /// The message, before links and requests are signed.
    pub body: String,
    /// Ordinals of the images it shows, one bit each.
    pub shown: u32,
}

/// Leased work that goes back unattempted.
#[derive(Clone, Copy, Debug)]
pub struct LeaseRelease {
    /// The delivery.
    pub id: DeliveryId,
    /// Proves its lease.
    pub token: LeaseToken,
    /// When it is due again.
    pub due_at: Timestamp,
}

impl LeaseRelease {
    /// What is leased, to be due again at `due_at`.
    pub fn of(lease: &Lease<Work>, due_at: Timestamp) -> Self {
        Self {
            id: lease.item.delivery.id,
            token: lease.token,
            due_at,
        }
    }
}

/// No images need follow: the event has none, or the destination shows none.
pub const ALL_SHOWN: u32 = u32::MAX;

/// An attempt and what it leads to.
#[derive(Clone, Debug)]
pub struct CompletedAttempt {
    /// The delivery.
    pub id: DeliveryId,
    /// The attempt; `None` if none was made (it could not be rendered, its event is erased).
    pub attempt: Option<Attempt>,
    /// What follows.
    pub verdict: Verdict,
    /// The rendering to repeat; `None`: nothing (new) to keep.
    pub payload: Option<String>,
    /// Ordinals of the images that this message showed, one bit each, or [`ALL_SHOWN`].
    pub shown: u32,
    /// Deliveries that follow from it: a fallback.
    pub fallback: Option<NewDelivery>,
    /// What the platform calls the message that it took.
    pub handle: Option<MessageHandle>,
}

/// What became of an image job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageVerdict {
    /// Kept.
    Kept(KeptImage),
    /// Again later.
    RetryAt {
        /// When.
        due_at: Timestamp,
        /// Why.
        reason: String,
        /// Whether its host is not allowed: until somebody acts, no message waits for it.
        refused: bool,
    },
    /// Not to be had.
    Lost {
        /// Why.
        reason: String,
    },
}

/// What a look for image jobs leaves to each host, and where it begins.
#[derive(Clone, Debug)]
pub struct ImageHosts {
    /// How many jobs a host may have in hand that is not listed in `rooms`.
    pub room: usize,
    /// What other hosts may have, by name.
    pub rooms: HashMap<String, HostRoom>,
    /// Whether jobs that were tried before go first: now and then they must.
    pub retries_first: bool,
    /// As in [`LeasedImages`], of the look before.
    pub after: [String; 2],
}

/// What a look leaves to one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRoom {
    /// How many jobs more it may have in hand.
    pub free: usize,
    /// Whether only jobs may be taken whose deadline has passed: the host is paused, and they must end.
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
    /// How many jobs of `host` may be taken, the first of which ends at `deadline_at`.
    pub fn room(&self, host: &str, deadline_at: Timestamp, now: Timestamp) -> usize {
        match self.rooms.get(host) {
            None => self.room,
            Some(room) if room.overdue_only && deadline_at > now => 0,
            Some(room) => room.free,
        }
    }

    /// Counts a job of `host` as taken.
    pub fn take(&mut self, host: &str) {
        let room = self.room;
        let room = self.rooms.entry(host.to_owned()).or_insert(HostRoom {
            free: room,
            overdue_only: false,
        });
        room.free = room.free.saturating_sub(1);
    }
}

/// Image jobs to work on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeasedImages {
    /// The jobs.
    pub leases: Vec<Lease<ImageJob>>,
    /// Leases that nobody closed in time.
    pub lost: Vec<LostImageLease>,
    /// When the first of the jobs that wait is due.
    pub next_due_at: Option<Timestamp>,
    /// Where the next look is to begin, for first attempts and for others; empty: all hosts were looked at.
    pub after: [String; 2],
}

/// Somebody had an image job in hand and did not close it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostImageLease {
    /// The event it belongs to.
    pub event: EventSeq,
    /// That event's id, for people and logs.
    pub event_id: EventId,
    /// Its place among the event's images.
    pub ordinal: u8,
    /// Whether it was the third in a row: the job is given up.
    pub given_up: bool,
}

/// What somebody wants done about a feedback.
#[derive(Clone, Debug)]
pub struct ApplyAction {
    /// The event that brought it.
    pub event: EventSeq,
    /// What.
    pub act: TriageAction,
    /// For [`TriageAction::Undo`]: when the change was made that is taken back.
    pub undoes: Option<Timestamp>,
    /// Who.
    pub by: Actor,
    /// Through what.
    pub through: ChangeSource,
    /// The open id in whose name the platform is told; `None`: it cannot be.
    pub operator: Option<Private>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionOutcome {
    /// The feedback stands so now; every message that can be changed will show it.
    Changed(FeedbackState),
    /// It stood so before; nothing was done. Of an undo: the change is no longer the last.
    Already(FeedbackState),
    /// It can no longer be undone.
    TooLate(FeedbackState),
    /// There is no such feedback (any more).
    Unknown,
}

/// What became of telling the platform of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusVerdict {
    /// It knows.
    Done,
    /// Again later.
    RetryAt {
        /// When.
        due_at: Timestamp,
        /// Why.
        reason: String,
    },
    /// It will not take it.
    Dead {
        /// Why.
        reason: String,
    },
}

/// What is known of a destination's gate, beyond a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRecord {
    /// Which destination.
    pub destination: DestinationName,
    /// Nothing is sent before this: the platform said so.
    pub blocked_until: Option<Timestamp>,
    /// Since when its breaker is open.
    pub open_since: Option<Timestamp>,
    /// Why it is stopped until an operator acts.
    pub stopped: Option<String>,
    /// Since when it fails or asks to wait, without one success between.
    pub failing_since: Option<Timestamp>,
    /// The same moment as uptime: for `fallback_after`.
    pub failing_from: Option<Uptime>,
    /// How often `destinations resume` was called for it.
    pub resumes: u64,
}

impl GateRecord {
    /// Nothing holds it back.
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

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Events whose bodies were removed.
    pub bodies: u64,
    /// Events removed whole.
    pub events: u64,
    /// Whether there is more to do.
    pub more: bool,
}

/// What became of a change by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminResult {
    /// Done.
    Done,
    /// There is no such delivery.
    NotFound,
    /// Its state does not allow it.
    Refused(DeliveryState),
}

/// Numbers for `status` and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// For each destination with deliveries that are pending, sending or dead.
    pub queues: Vec<QueueStats>,
    /// Images still to be fetched.
    pub images_pending: u64,
    /// The deadline of the one that ends first.
    pub image_deadline_at: Option<Timestamp>,
    /// Authentic events that could not be read.
    pub unreadable: u64,
    /// Statuses that the platform is still to be told.
    pub statuses_pending: u64,
    /// When the first of them was to be told first.
    pub status_oldest_at: Option<Timestamp>,
    /// Statuses that the platform did not take.
    pub statuses_dead: u64,
    /// When each app's last event was accepted.
    pub last_events: Vec<(AppName, Timestamp)>,
}

/// One destination's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// Which destination.
    pub destination: DestinationName,
    /// Deliveries that wait.
    pub pending: u64,
    /// Deliveries in flight.
    pub sending: u64,
    /// Deliveries given up.
    pub dead: u64,
    /// When the oldest that waits or is in flight was made.
    pub oldest_at: Option<Timestamp>,
}

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only those received by this app.
    pub via: Option<AppName>,
    /// Only those in this state.
    pub state: Option<EventState>,
    /// Only those received since then.
    pub since: Option<Timestamp>,
    /// Only those received before then.
    pub until: Option<Timestamp>,
    /// Only those before this row: the next page.
    pub before: Option<EventSeq>,
    /// At most so many.
    pub limit: usize,
}

/// An event in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its row.
    pub seq: EventSeq,
    /// Its id.
    pub id: EventId,
    /// The app that received it.
    pub via: AppName,
    /// The platform's name of its type.
    pub event_type: String,
    /// The feedback it is about.
    pub feedback_id: Option<String>,
    /// When it was received.
    pub received_at: Timestamp,
    /// What became of it.
    pub state: EventState,
    /// Its deliveries by state.
    pub deliveries: Vec<(DeliveryState, u64)>,
    /// The rules that its deliveries go by, each once, with the highest severity.
    pub rules: Vec<(RuleName, Severity)>,
    /// The decrypted body; `None` once it is removed, or where none was kept.
    pub body: Option<Private>,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only those to this destination.
    pub destination: Option<DestinationName>,
    /// Only those in one of these states; empty: all.
    pub states: Vec<DeliveryState>,
    /// Only those of this event.
    pub event: Option<EventSeq>,
    /// Only this one.
    pub id: Option<DeliveryId>,
    /// Only those made since then.
    pub since: Option<Timestamp>,
    /// Only those made before then.
    pub until: Option<Timestamp>,
    /// Only those of this rule.
    pub rule: Option<RuleName>,
    /// Only those before this one: the next page.
    pub before: Option<DeliveryId>,
    /// At most so many.
    pub limit: usize,
}

/// A place in the order of waiting deliveries: by due time, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The due time.
    pub due_at: Timestamp,
    /// The delivery.
    pub id: DeliveryId,
}

impl Position {
    /// Before everything.
    pub const START: Self = Self {
        due_at: Timestamp::from_millis(i64::MIN),
        id: DeliveryId::from_i64(i64::MIN),
    };
}

/// Deliveries that may be handed to a fallback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailoverPage {
    /// Which.
    pub ids: Vec<DeliveryId>,
    /// Where the next page begins.
    pub next: Position,
    /// Whether there may be more.
    pub full: bool,
}

/// Deliveries whose destination is not configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orphaned {
    /// Destinations that were found missing now, and how many deliveries wait for each.
    pub missing: Vec<(DestinationName, u64)>,
    /// Deliveries that have ended.
    pub ended: Vec<(DeliveryId, DestinationName)>,
}

/// A delivery that was tried for too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// Which.
    pub id: DeliveryId,
    /// The type of its event.
    pub event_type: String,
    /// Why it existed.
    pub trigger: Trigger,
    /// Why it ended.
    pub reason: String,
    /// Whether its fallback has it.
    pub rerouted: bool,
}

/// What goes from a destination that does not deliver to its fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FallBack {
    /// All that waits: the destination is stopped. It is given up here.
    Everything,
    /// What is critical: the destination has failed for too long. It stays here too and is tried on.
    Critical,
}
