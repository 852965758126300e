//! Finds the events that created feedback.

use rusqlite::{Connection, OptionalExtension, params};

use super::{Database, rows};
use crate::model::*;
use crate::store::StoreError;

impl Database {
    /// See [`crate::store::Store::known_feedback`].
    pub(in crate::store) async fn known_feedback(
        &self,
        via: AppName,
        feedback: Vec<(String, String)>,
    ) -> Result<Vec<Option<EventId>>, StoreError> {
        self.read(move |conn| known_feedback(conn, &via, &feedback))
            .await
    }

    /// See [`crate::store::Store::feedback_events`].
    pub(in crate::store) async fn feedback_events(
        &self,
        feedback: Vec<(String, String)>,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.read(move |conn| feedback_events(conn, &feedback))
            .await
    }
}

fn known_feedback(
    conn: &Connection,
    via: &AppName,
    feedback: &[(String, String)],
) -> rusqlite::Result<Vec<Option<EventId>>> {
    let mut find = conn.prepare_cached(
        "SELECT id FROM events WHERE feedback_id = ?2 AND feedback_app = ?1 AND via = ?3",
    )?;
    feedback
        .iter()
        .map(|(app, id)| {
            find.query_row(params![app, id, via], |row| row.get(0))
                .optional()
        })
        .collect()
}

fn feedback_events(
    conn: &Connection,
    feedback: &[(String, String)],
) -> rusqlite::Result<Vec<StoredEvent>> {
    let mut find =
        conn.prepare_cached("SELECT seq FROM events WHERE feedback_id = ?2 AND feedback_app = ?1")?;
    let mut events = Vec::new();
    for (app, id) in feedback {
        let seq = find.query_row([app, id], |row| row.get(0)).optional()?;
        if let Some(seq) = seq {
            events.extend(rows::event_by_seq(conn, seq)?);
        }
    }
    Ok(events)
}
