//! Rows that several commands read.

use rusqlite::{Connection, OptionalExtension, Row};

use super::Database;
use super::values::{RulesColumn, SpecColumn, unsigned};
use crate::model::*;
use crate::store::StoreError;

impl Database {
    /// See [`crate::store::Store::event_by_seq`].
    pub(in crate::store) async fn event_by_seq(
        &self,
        seq: EventSeq,
    ) -> Result<Option<StoredEvent>, StoreError> {
        self.read(move |conn| event_by_seq(conn, seq)).await
    }

    /// See [`crate::store::Store::images_of`].
    pub(in crate::store) async fn images_of(
        &self,
        event: EventSeq,
    ) -> Result<Vec<Image>, StoreError> {
        self.read(move |conn| images_of(conn, event)).await
    }
}

/// The columns of a delivery `d` with its event `e`, as read by [`delivery`].
macro_rules! delivery_columns {
    () => {
        "d.id, d.event_seq, e.id AS event_id, d.destination, d.spec, d.rank, d.trigger, d.state,
         d.form, d.attempts, d.created_at, d.due_at, d.first_due_at, d.reason, d.failures, d.unanswered,
         d.failed_at, d.due_since, d.incident_id, d.silence_id, d.rules, d.held_for,
          (SELECT id FROM events WHERE seq = d.summary_seq)"
    };
}

/// The columns of an event `e` with its body `b`, as read by [`event`].
macro_rules! event_columns {
    () => {
        "e.seq, e.id, e.via, e.type, e.feedback_id, e.received_at, e.state, b.body"
    };
}

pub(super) use {delivery_columns, event_columns};

/// Selects deliveries with their event's id; conditions follow.
pub(super) const SELECT_DELIVERY: &str = concat!(
    "SELECT ",
    delivery_columns!(),
    " FROM deliveries d JOIN events e ON e.seq = d.event_seq "
);

/// Reads the first columns of a row by position, because looking up fourteen names takes longer than the
/// query.
pub(super) fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let spec: SpecColumn = row.get(4)?;
    let spec = spec.into_spec(row.get::<_, Rank>(5)?.severity());
    Ok(Delivery {
        id: row.get(0)?,
        event: row.get(1)?,
        event_id: row.get(2)?,
        destination: row.get(3)?,
        trigger: row.get(6)?,
        state: row.get(7)?,
        form: row.get(8)?,
        attempts: row.get(9)?,
        created_at: row.get(10)?,
        due_at: row.get(11)?,
        first_due_at: row.get(12)?,
        reason: row.get(13)?,
        failures: row.get(14)?,
        unanswered: row.get(15)?,
        failed_at: row.get(16)?,
        due_since: row.get(17)?,
        incident: row.get(18)?,
        silence: row.get(19)?,
        rules: match row.get(20)? {
            Some(RulesColumn(rules)) => rules,
            None => vec![spec.rule.clone()],
        },
        held_for: row.get(21)?,
        summary: row.get(22)?,
        spec,
    })
}

/// How many columns [`delivery`] reads.
pub(super) const DELIVERY_COLUMNS: usize = 23;

/// Reads an event from the column `at` on.
pub(super) fn event(row: &Row<'_>, at: usize) -> rusqlite::Result<StoredEvent> {
    Ok(StoredEvent {
        seq: row.get(at)?,
        id: row.get(at + 1)?,
        via: row.get(at + 2)?,
        event_type: row.get(at + 3)?,
        feedback_id: row.get(at + 4)?,
        received_at: row.get(at + 5)?,
        state: row.get(at + 6)?,
        body: row.get::<_, Option<String>>(at + 7)?.map(Private::new),
    })
}

/// How many columns [`event`] reads.
pub(super) const EVENT_COLUMNS: usize = 8;

/// Returns an event by its row id.
pub(super) fn event_by_seq(
    conn: &Connection,
    seq: EventSeq,
) -> rusqlite::Result<Option<StoredEvent>> {
    conn.prepare_cached(concat!(
        "SELECT ",
        event_columns!(),
        " FROM events e LEFT JOIN bodies b ON b.event_seq = e.seq WHERE e.seq = ?1"
    ))?
    .query_row([seq], |row| event(row, 0))
    .optional()
}

/// Returns an event's images in order.
pub(super) fn images_of(conn: &Connection, event: EventSeq) -> rusqlite::Result<Vec<Image>> {
    conn.prepare_cached(
        "SELECT j.ordinal, j.state AS job_state, j.refused, j.reason, i.state AS image_state,
                i.id, i.format, i.bytes, i.width, i.height
         FROM image_jobs j LEFT JOIN images i ON i.id = j.image_id
         WHERE j.event_seq = ?1 ORDER BY j.ordinal",
    )?
    .query_map([event], |row| {
        let job: ImageState = row.get("job_state")?;
        let kept = row.get::<_, Option<ImageState>>("image_state")? == Some(ImageState::Kept);
        // Retention marks the bytes, which several events may share, and not each event's job.
        let state = match job {
            ImageState::Kept if !kept => ImageState::Removed,
            ImageState::Kept | ImageState::Pending | ImageState::Lost | ImageState::Removed => job,
        };
        Ok(Image {
            ordinal: row.get("ordinal")?,
            state,
            kept: match state {
                ImageState::Kept => Some(kept_image_row(row)?),
                ImageState::Pending | ImageState::Lost | ImageState::Removed => None,
            },
            refused: state == ImageState::Pending && row.get("refused")?,
            reason: row.get("reason")?,
        })
    })?
    .collect()
}

/// Reads the columns of `images`.
pub(super) fn kept_image_row(row: &Row<'_>) -> rusqlite::Result<KeptImage> {
    Ok(KeptImage {
        id: row.get("id")?,
        format: row.get("format")?,
        bytes: unsigned(row.get("bytes")?),
        width: row.get("width")?,
        height: row.get("height")?,
    })
}

/// Returns whether images of the event are still to be fetched, and can be.
pub(super) fn images_unsettled(conn: &Connection, event: EventSeq) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM image_jobs
                        WHERE event_seq = ?1 AND state = 'pending' AND refused = 0)",
    )?
    .query_row([event], |row| row.get(0))
}
