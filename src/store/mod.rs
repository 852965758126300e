//! The journal: what came, what became of it, what is still to do.
//!
//! The row is the state. An **event** is accepted once, with its **deliveries** and **picture jobs**,
//! in one transaction; workers look for rows that are due, **lease** them, and close each with what
//! came of it, in one transaction again. A restart, a second look and a lost wake-up are therefore
//! one code path.
//!
//! ```text
//!            accept, retry            lease_due                finish_attempt
//!                  │                      │            ┌──→ delivered
//!                  └──→ pending ──────────┴→ sending ──┼──→ dead ──── retry ──→ pending
//!                        ↑  │                          │
//!                        │  └──→ discarded             └──→ pending, due later
//!                        └─── the lease ended, or the relay was started again
//! ```
//!
//! What is promised:
//!
//! - When a writing method returns `Ok`, what it did is on the disk (`fsync`); when it returns an
//!   error, nothing of it was written. [`StoreError::Busy`] comes at once, not after a wait.
//! - A repeat is known by event id and app, and by feedback id, for as long as ids are kept.
//! - Work is closed by its lease's token, or not at all ([`Recorded::LeaseLost`]).
//! - While pictures of its event are not settled, a delivery waits, until its due time at the latest.
//!   Pictures that are kept after a destination was told are a delivery of their own.
//! - A report that came late is in the journal together with who is to hear of it in a summary; making
//!   the summaries is one transaction.
//! - What the configuration said when an event came stands with its deliveries ([`Order`]); a reload
//!   changes nothing that was promised before it.
//! - `erase` leaves no word of a person in any file of the journal. Copies and backups are other files.
//!
//! Deliberately not: the order of events is not that of messages (critical goes first); there is no
//! second writer at a time, and no network file system.
//!
//! Everything that knows SQL is below `sqlite`. One thread writes and commits for many at once, a few
//! connections read; see the headers there.

#[cfg(test)]
mod conformance;
mod records;
mod sqlite;
mod summaries;

pub use records::*;
use summaries::write_summary;
pub use summaries::{SUMMARY, read_summary};

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::model::*;
use sqlite::{Journal, Unawaited};

/// The journal of one relay. Clones share it.
#[derive(Clone)]
pub struct Store {
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Opens the journal for `serve`: takes its lock, migrates it (after making a copy), and makes
    /// due at once what a dead relay held.
    pub fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let journal = sqlite::open(settings, Arc::clone(&clock))?;
        Ok(Self {
            journal: Arc::new(journal),
            clock,
        })
    }

    /// Opens the journal for a command beside a running relay: neither locks nor migrates nor makes it.
    pub fn open_beside(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let journal = sqlite::open_beside(settings, Arc::clone(&clock))?;
        Ok(Self {
            journal: Arc::new(journal),
            clock,
        })
    }

    /// Changes whenever there may be new work, whoever made it; another process's within a second. A hint.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.journal.changes()
    }

    /// Whether the journal can be written to now: for `readyz`.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.journal.write(Unawaited::Run, sqlite::probe).await
    }

    /// A secret of 32 random bytes that belongs to this journal, made at the first call with this name.
    pub async fn secret(&self, name: &'static str) -> Result<[u8; 32], StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::secret(tx, name))
            .await
    }

    // ---- intake

    /// Commits an event with its deliveries and picture jobs, or knows it as a repeat.
    /// When this returns `Ok`, it is on the disk.
    pub async fn accept(&self, arrival: Arrival) -> Result<Accepted, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::accept(tx, &arrival))
            .await
    }

    /// The same for a report that came late: who is in `late` hears of it in a summary, which is still
    /// to be made when this returns. See [`Self::summarise_late`].
    pub async fn accept_late(
        &self,
        arrival: Arrival,
        late: Vec<LateTelling>,
    ) -> Result<Accepted, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::accept_late(tx, &arrival, &late)
            })
            .await
    }

    /// Makes one summary for each rule and destination that has late reports to hear of, in one
    /// transaction, so that each report is told of once whatever happens. Returns the summaries' ids.
    pub async fn summarise_late(&self) -> Result<Vec<EventId>, StoreError> {
        self.journal
            .write(Unawaited::Run, sqlite::summarise_late)
            .await
    }

    /// Which summary told each destination of a late event; `None`: it is still to be made.
    pub async fn summaries_of(
        &self,
        event: EventSeq,
    ) -> Result<Vec<(DestinationName, Option<EventId>)>, StoreError> {
        self.journal
            .read(move |conn| sqlite::summaries_of(conn, event))
            .await
    }

    /// For each feedback (the app it is about, and its id) the event by which the journal knows it.
    pub async fn known_feedback(
        &self,
        feedback: Vec<(String, String)>,
    ) -> Result<Vec<Option<EventId>>, StoreError> {
        self.journal
            .read(move |conn| sqlite::known_feedback(conn, &feedback))
            .await
    }

    /// What a list of the platform says of the statuses of kept feedback, in one transaction with an edit of
    /// every message that shows one. Returns how many were not known.
    pub async fn platform_lists(&self, listed: Vec<FeedbackChange>) -> Result<u64, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::platform_lists(tx, &listed)
            })
            .await
    }

    /// A point in time that is kept under this name.
    pub async fn mark(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        let name = name.to_owned();
        self.journal
            .read(move |conn| sqlite::mark(conn, &name))
            .await
    }

    /// The same; at the first call with this name it is now.
    pub async fn begin_mark(&self, name: &str) -> Result<Timestamp, StoreError> {
        let name = name.to_owned();
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::begin_mark(tx, &name))
            .await
    }

    /// Keeps a point in time under this name.
    pub async fn put_mark(&self, name: &str, at: Timestamp) -> Result<(), StoreError> {
        let name = name.to_owned();
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::put_mark(tx, &name, at))
            .await
    }

    /// Adds deliveries to an event that is kept: a replay, a fallback, a test.
    pub async fn add_deliveries(
        &self,
        event: EventSeq,
        deliveries: Vec<NewDelivery>,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::add_deliveries(tx, event, &deliveries)
            })
            .await
    }

    // ---- deliver

    /// Leases at most `count` deliveries of `destination` that are due, critical first (the newest
    /// of them first), then by due time. What was leased and never closed is due again, also with
    /// a count of 0.
    pub async fn lease_due(
        &self,
        destination: &DestinationName,
        count: usize,
        lease: Duration,
    ) -> Result<Vec<Lease<Work>>, StoreError> {
        let destination = destination.clone();
        let leases = self
            .journal
            .write(Unawaited::Skip, move |tx| {
                sqlite::lease_due(tx, &destination, count, lease)
            })
            .await?;
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        // Read beside the writer, whose time is everybody's. Should that fail, the leases end by themselves.
        self.journal
            .read(move |conn| sqlite::leased_work(conn, leases))
            .await
    }

    /// When the next pending delivery of `destination` is due.
    pub async fn next_due_at(
        &self,
        destination: &DestinationName,
    ) -> Result<Option<Timestamp>, StoreError> {
        let destination = destination.clone();
        let now = self.clock.now();
        self.journal
            .read(move |conn| sqlite::next_due_at(conn, &destination, now))
            .await
    }

    /// Records an attempt and the state it leads to, in one transaction. A rendering is kept for as long
    /// as its form is the one that is due; no `payload` leaves an earlier one as it is. Where pictures were kept
    /// meanwhile that this message did not show, a delivery of them is made.
    pub async fn finish_attempt(
        &self,
        token: LeaseToken,
        finished: Finished,
    ) -> Result<Recorded, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::finish_attempt(tx, token, &finished)
            })
            .await
    }

    /// Gives leased work back unattempted, due again at `due_at`.
    pub async fn put_back(
        &self,
        id: DeliveryId,
        token: LeaseToken,
        due_at: Timestamp,
    ) -> Result<Recorded, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::put_back(tx, id, token, due_at)
            })
            .await
    }

    /// Makes all pending deliveries of `destination` due now: it works again. Those that wait for
    /// pictures go on waiting, for that is a matter of seconds.
    pub async fn make_due(&self, destination: &DestinationName) -> Result<u64, StoreError> {
        let destination = destination.clone();
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::make_due(tx, &destination))
            .await
    }

    /// Sends what waits for `from` to its fallback `to`, some hundred at most; tells how many went.
    pub async fn fall_back(
        &self,
        from: &DestinationName,
        to: &DestinationName,
        which: FallBack,
    ) -> Result<u64, StoreError> {
        let (from, to) = (from.clone(), to.clone());
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::fall_back(tx, &from, &to, which)
            })
            .await
    }

    /// Ends every delivery that is not done whose destination is none of `known`.
    pub async fn bury_unknown(
        &self,
        known: &[DestinationName],
        reason: &str,
    ) -> Result<Vec<(DeliveryId, DestinationName)>, StoreError> {
        let (known, reason) = (known.to_vec(), reason.to_owned());
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::bury_unknown(tx, &known, &reason)
            })
            .await
    }

    /// What is known of the gate of each destination that ever had one.
    pub async fn gates(&self) -> Result<Vec<GateRecord>, StoreError> {
        self.journal.read(sqlite::gates).await
    }

    /// Keeps what is known of a destination's gate.
    pub async fn put_gate(&self, gate: GateRecord) -> Result<(), StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::put_gate(tx, &gate))
            .await
    }

    // ---- images

    /// Leases at most `count` picture jobs that are due, nearest deadline first.
    pub async fn lease_images(
        &self,
        count: usize,
        lease: Duration,
    ) -> Result<Vec<Lease<ImageJob>>, StoreError> {
        self.journal
            .write(Unawaited::Skip, move |tx| {
                sqlite::lease_images(tx, count, lease)
            })
            .await
    }

    /// When the next picture job is due.
    pub async fn next_image_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        self.journal
            .read(move |conn| sqlite::next_image_due_at(conn, now))
            .await
    }

    /// Records what became of a picture job. When the event's last picture is settled, deliveries
    /// that wait for pictures are due at once; a picture kept after a message had gone makes a
    /// delivery of its own.
    pub async fn finish_image(
        &self,
        token: LeaseToken,
        event: EventSeq,
        ordinal: u8,
        verdict: ImageVerdict,
    ) -> Result<Recorded, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::finish_image(tx, token, event, ordinal, &verdict)
            })
            .await
    }

    /// Makes all pending picture jobs due now: the configuration has changed.
    pub async fn make_images_due(&self) -> Result<u64, StoreError> {
        self.journal
            .write(Unawaited::Run, sqlite::make_images_due)
            .await
    }

    /// The key the platform gave for a picture uploaded by the app with this `app_id`, or by the bot that
    /// has this name instead of one.
    pub async fn image_key(
        &self,
        app_id: &str,
        image: &ImageId,
    ) -> Result<Option<String>, StoreError> {
        let (app_id, image) = (app_id.to_owned(), image.clone());
        self.journal
            .read(move |conn| sqlite::image_key(conn, &app_id, &image))
            .await
    }

    /// Keeps such a key.
    pub async fn put_image_key(
        &self,
        app_id: &str,
        image: &ImageId,
        key: &str,
    ) -> Result<(), StoreError> {
        let (app_id, image) = (app_id.to_owned(), image.clone());
        let key = key.to_owned();
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::put_image_key(tx, &app_id, &image, &key)
            })
            .await
    }

    /// Forgets the keys of these pictures, which the platform no longer knows, and the rendering of
    /// `delivery` that shows them: the next attempt uploads and renders anew.
    pub async fn forget_image_keys(
        &self,
        app_id: &str,
        images: &[ImageId],
        delivery: DeliveryId,
    ) -> Result<(), StoreError> {
        let (app_id, images) = (app_id.to_owned(), images.to_vec());
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::forget_image_keys(tx, &app_id, &images, delivery)
            })
            .await
    }

    /// What is known of a kept picture, by its id: for serving it.
    pub async fn kept_image(&self, id: &ImageId) -> Result<Option<KeptImage>, StoreError> {
        let id = id.clone();
        self.journal
            .read(move |conn| sqlite::kept_image(conn, &id))
            .await
    }

    // ---- closing

    /// Moves a feedback, with all that follows: its history, an edit of every message that can be changed,
    /// and the wish that the platform be told. Doing again what was done changes nothing.
    pub async fn act(&self, acting: Acting) -> Result<Acted, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::act(tx, &acting))
            .await
    }

    /// Ends the time in which a change could be undone, where it is over: messages no longer offer it.
    pub async fn end_undos(&self) -> Result<u64, StoreError> {
        self.journal.write(Unawaited::Skip, sqlite::end_undos).await
    }

    /// Leases at most `count` statuses that the platform is to be told now.
    pub async fn lease_status_jobs(
        &self,
        count: usize,
        lease: Duration,
    ) -> Result<Vec<Lease<StatusJob>>, StoreError> {
        self.journal
            .write(Unawaited::Skip, move |tx| {
                sqlite::lease_status_jobs(tx, count, lease)
            })
            .await
    }

    /// When the platform is next to be told of a status.
    pub async fn next_status_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        self.journal
            .read(move |conn| sqlite::next_status_due_at(conn, now))
            .await
    }

    /// Records what became of it. Where somebody moved the feedback again meanwhile, that is due at once;
    /// where the platform will not have it, messages say that it holds here alone.
    pub async fn finish_status_job(
        &self,
        token: LeaseToken,
        job: StatusJob,
        verdict: StatusVerdict,
    ) -> Result<Recorded, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::finish_status_job(tx, token, &job, &verdict)
            })
            .await
    }

    /// How the feedback stands that an event brought; `None`: nobody has moved it.
    pub async fn feedback_state(
        &self,
        event: EventSeq,
    ) -> Result<Option<FeedbackState>, StoreError> {
        self.journal
            .read(move |conn| sqlite::state_of(conn, event))
            .await
    }

    /// What was done about the feedback that an event brought, oldest first.
    pub async fn feedback_acts(&self, event: EventSeq) -> Result<Vec<FeedbackAct>, StoreError> {
        self.journal
            .read(move |conn| sqlite::acts_of(conn, event))
            .await
    }

    /// How far the platform has been told of its status.
    pub async fn status_job(&self, event: EventSeq) -> Result<Option<StatusJobRecord>, StoreError> {
        self.journal
            .read(move |conn| sqlite::status_job_of(conn, event))
            .await
    }

    /// The messages that told of an event, where they can be answered or changed.
    pub async fn messages(&self, event: EventSeq) -> Result<Vec<SentMessage>, StoreError> {
        self.journal
            .read(move |conn| sqlite::messages_of(conn, event))
            .await
    }

    // ---- upkeep

    /// Removes what retention no longer allows: bodies, payloads and excerpts older than
    /// `bodies_before`, rows older than `ids_before`. Works in small bites; call again while `more`.
    pub async fn sweep(
        &self,
        bodies_before: Timestamp,
        ids_before: Timestamp,
    ) -> Result<Swept, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::sweep(tx, bodies_before, ids_before)
            })
            .await
    }

    /// Marks kept pictures removed: those older than `before`, and the oldest beyond `bytes_max` in
    /// all. Returns the ids that no event needs any more, whose bytes are to be deleted.
    pub async fn remove_images(
        &self,
        before: Timestamp,
        bytes_max: u64,
    ) -> Result<Vec<ImageId>, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| {
                sqlite::remove_images(tx, before, bytes_max)
            })
            .await
    }

    /// Bytes of all kept pictures. Looks at each of them: not for every question.
    pub async fn image_bytes(&self) -> Result<u64, StoreError> {
        self.journal.read(sqlite::kept_bytes).await
    }

    /// Numbers for `status` and metrics.
    pub async fn stats(&self) -> Result<Stats, StoreError> {
        self.journal.read(sqlite::stats).await
    }

    /// Writes a consistent copy of the journal to `file`, which must not exist, while the relay runs.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        self.journal.backup(file).await
    }

    // ---- what the operator looks at and changes

    /// Events, newest first.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<EventRow>, StoreError> {
        self.journal
            .read(move |conn| sqlite::events(conn, &filter))
            .await
    }

    /// An event by its id (or feedback id).
    pub async fn event(&self, id: &str) -> Result<Option<StoredEvent>, StoreError> {
        let id = id.to_owned();
        self.journal
            .read(move |conn| sqlite::event_by_id(conn, &id))
            .await
    }

    /// An event by its row.
    pub async fn event_by_seq(&self, seq: EventSeq) -> Result<Option<StoredEvent>, StoreError> {
        self.journal
            .read(move |conn| sqlite::event_by_seq(conn, seq))
            .await
    }

    /// An event's pictures in order.
    pub async fn images_of(&self, event: EventSeq) -> Result<Vec<Image>, StoreError> {
        self.journal
            .read(move |conn| sqlite::images_of(conn, event))
            .await
    }

    /// Deliveries, newest first.
    pub async fn deliveries(&self, filter: DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
        self.journal
            .read(move |conn| sqlite::deliveries(conn, &filter))
            .await
    }

    /// The attempts of a delivery in order.
    pub async fn attempts(&self, delivery: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        self.journal
            .read(move |conn| sqlite::attempts(conn, delivery))
            .await
    }

    /// Makes a dead (or waiting) delivery due now, with a fresh `retry_for`, under its old key.
    pub async fn retry(&self, delivery: DeliveryId) -> Result<ByHand, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::retry(tx, delivery))
            .await
    }

    /// Ends a delivery that is not done.
    pub async fn discard(&self, delivery: DeliveryId) -> Result<ByHand, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::discard(tx, delivery))
            .await
    }

    /// Removes a person's words and pictures from an event and keeps the bare record. Returns the
    /// pictures that no event needs any more.
    pub async fn erase(&self, event: EventSeq) -> Result<Vec<ImageId>, StoreError> {
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::erase(tx, event))
            .await
    }

    /// The events whose reporter has this open id (union id, user id).
    pub async fn events_of_user(&self, user: &str) -> Result<Vec<EventSeq>, StoreError> {
        let user = user.to_owned();
        self.journal
            .read(move |conn| sqlite::events_of_user(conn, &user))
            .await
    }

    /// How many clicks the journal knows to be this person's: an open id, or a Slack id.
    pub async fn clicks_of(&self, person: &str) -> Result<u64, StoreError> {
        let person = person.to_owned();
        self.journal
            .read(move |conn| sqlite::clicks_of(conn, &person))
            .await
    }

    /// Forgets who made the clicks of this person: an open id, or a Slack id. What they led to holds; what
    /// the platform was still to be told in their name holds here only. Returns how many clicks they were.
    pub async fn forget_clicks(&self, person: &str) -> Result<u64, StoreError> {
        let person = person.to_owned();
        self.journal
            .write(Unawaited::Run, move |tx| sqlite::forget_clicks(tx, &person))
            .await
    }
}
