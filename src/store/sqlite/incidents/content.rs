//! Reads what an incident's message shows of its reports, and of earlier incidents.

use rusqlite::{Connection, OptionalExtension, params};

use super::columns;
use crate::model::*;
use crate::store::EarlierIncidents;
use crate::store::sqlite::engine::tx::Tx;
use crate::store::sqlite::rows;
use crate::store::sqlite::values::signed;
use crate::store::{Topic, decide};

/// Selects the newest reports of an incident whose text is kept. One without text does not count.
pub(in crate::store::sqlite) const NEWEST: &str = "
    SELECT i.event_seq FROM incident_events i
    WHERE i.incident_id = ?1 AND EXISTS (SELECT 1 FROM bodies b WHERE b.event_seq = i.event_seq)
    ORDER BY i.event_seq DESC LIMIT ?2";

/// Returns the newest reports of an incident, newest first.
pub(in crate::store::sqlite) fn newest_reports(
    conn: &Connection,
    id: IncidentId,
    limit: usize,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let newest: Vec<EventSeq> = conn
        .prepare_cached(NEWEST)?
        .query_map(params![id, signed(limit)], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut found = Vec::with_capacity(newest.len());
    for seq in newest {
        found.extend(rows::event_by_seq(conn, seq)?);
    }
    Ok(found)
}

/// Selects the last incident with the same rule and key that people have seen: first the one that incident `?1`
/// continues, then one that somebody acted on. It ended after `?2`.
pub(in crate::store::sqlite) const SAME_KEY: &str = "
    SELECT * FROM (
        SELECT e.*, i.previous AS last FROM incidents i
        JOIN incidents e ON e.rule = i.rule AND e.key_hash = i.key_hash AND e.id < i.id
        WHERE i.id = ?1 ORDER BY e.id DESC LIMIT 50)
    WHERE shown_at IS NOT NULL AND ended_at > ?2
    ORDER BY id = last AND state = 'continued' DESC, status IS NULL, id DESC LIMIT 1";

/// Selects the last incidents of the same app and fault that people have seen, and that ended after `?2`.
pub(in crate::store::sqlite) const SAME_FAULT: &str = "
    SELECT e.* FROM incidents i
    JOIN incidents e ON e.fault_hash = i.fault_hash AND e.ended_at > ?2 AND e.shown_at IS NOT NULL
    WHERE i.id = ?1 AND e.id < i.id ORDER BY e.ended_at DESC LIMIT 5";

/// Returns the ended incidents that may have been about the same fault.
pub(in crate::store::sqlite) fn earlier(
    conn: &Connection,
    incident: &Incident,
) -> rusqlite::Result<EarlierIncidents> {
    let since = incident.progress.opened_at - SEEN_BEFORE_FOR;
    let same_key = conn
        .prepare_cached(SAME_KEY)?
        .query_row(params![incident.id, since], columns::incident)
        .optional()?;
    if same_key.is_some() {
        return Ok(EarlierIncidents {
            same_key,
            same_fault: Vec::new(),
        });
    }
    let same_fault: Vec<Incident> = conn
        .prepare_cached(SAME_FAULT)?
        .query_map(params![incident.id, since], columns::incident)?
        .collect::<rusqlite::Result<_>>()?;
    let with_reports = |one: Incident| {
        let reports = newest_reports(conn, one.id, EARLIER_COMPARED_MAX)?;
        Ok((one, reports))
    };
    Ok(EarlierIncidents {
        same_key: None,
        same_fault: same_fault
            .into_iter()
            .map(with_reports)
            .collect::<rusqlite::Result<_>>()?,
    })
}

/// Selects the kept images of the newest reports of incident `?1` whose text is kept: the newest report first. Only
/// the newest `?2` reports are searched, because most have no image.
pub(in crate::store::sqlite) const IMAGES: &str = "
    SELECT seq, i.id, i.format, i.bytes, i.width, i.height FROM (
        SELECT event_seq AS seq FROM incident_events WHERE incident_id = ?1
        ORDER BY event_seq DESC LIMIT ?2)
    JOIN image_jobs j ON j.event_seq = seq JOIN images i ON i.id = j.image_id
    WHERE j.state = 'kept' AND i.state = 'kept'
      AND EXISTS (SELECT 1 FROM bodies b WHERE b.event_seq = seq)
    ORDER BY seq DESC, j.ordinal";

/// Returns the images that the incident's message shows, each once, with the report of each.
fn images_with_reports(
    conn: &Connection,
    id: IncidentId,
) -> rusqlite::Result<Vec<(EventSeq, KeptImage)>> {
    let mut select = conn.prepare_cached(IMAGES)?;
    let mut rows = select.query(params![id, signed(similar::COMPARED_MAX)])?;
    let mut found: Vec<(EventSeq, KeptImage)> = Vec::new();
    while found.len() < INCIDENT_IMAGES_MAX
        && let Some(row) = rows.next()?
    {
        let image = rows::kept_image_row(row)?;
        if found.iter().all(|(_, known)| known.id != image.id) {
            found.push((row.get(0)?, image));
        }
    }
    Ok(found)
}

/// Returns the images that the incident's message shows.
pub(in crate::store::sqlite) fn images(
    conn: &Connection,
    id: IncidentId,
) -> rusqlite::Result<Vec<Image>> {
    let found = images_with_reports(conn, id)?.into_iter().zip(0..);
    let image = |((_, kept), ordinal)| Image {
        ordinal,
        state: ImageState::Kept,
        kept: Some(kept),
        refused: false,
        reason: None,
    };
    Ok(found.map(image).collect())
}

/// Edits the messages of open incidents that show an image of `event`, which was just fetched. The edit keeps the
/// pace of all edits.
pub(in crate::store::sqlite) fn show_image(tx: &Tx<'_>, event: EventSeq) -> rusqlite::Result<()> {
    let shown: Vec<Incident> = tx
        .prepare_cached(
            "SELECT i.* FROM incident_events e JOIN incidents i ON i.id = e.incident_id
             WHERE e.event_seq = ?1 AND i.state = 'open' AND i.shown_at IS NOT NULL AND i.edit_due = 0",
        )?
        .query_map([event], columns::incident)?
        .collect::<rusqlite::Result<_>>()?;
    for mut incident in shown {
        let images = images_with_reports(tx, incident.id)?;
        if images.iter().any(|(of, _)| *of == event) {
            decide::incident::show_news(&mut incident.progress);
            super::timers::save(tx, incident.id, &incident.progress)?;
            tx.notify(Topic::Incidents);
        }
    }
    Ok(())
}
