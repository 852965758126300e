//! What the tables of feedback statuses share: keys, people, and local-only statuses.

use rusqlite::Row;

use super::edits;
use super::engine::tx::Tx;
use crate::model::*;

/// The identity of a feedback: its app's id and its own id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) app: String,
    pub(super) id: String,
}

impl Key {
    /// Reads a key from the first two columns.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            app: row.get(0)?,
            id: row.get(1)?,
        })
    }

    /// Returns the feedbacks that a platform report is about.
    pub(super) fn all_of(change: &FeedbackChange) -> impl Iterator<Item = Self> {
        change.feedback_ids.iter().map(|id| Self {
            app: change.app_id.clone(),
            id: id.clone(),
        })
    }
}

/// Reads the person behind a change.
pub(super) fn actor(row: &Row<'_>) -> rusqlite::Result<Actor> {
    let private = |name| -> rusqlite::Result<Option<Private>> {
        Ok(row.get::<_, Option<String>>(name)?.map(Private::new))
    };
    Ok(Actor {
        name: private("by_name")?,
        id: private("by_id")?,
        app: row.get("by_app")?,
    })
}

/// Marks a status as local-only because the platform rejects it, and edits the messages.
pub(super) fn mark_local_only(tx: &Tx<'_>, key: &Key, event: EventSeq) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE feedback_states SET here_only = 1 WHERE feedback_app = ?1 AND feedback_id = ?2",
    )?
    .execute([&key.app, &key.id])?;
    edits::request_all(tx, event)?;
    Ok(())
}
