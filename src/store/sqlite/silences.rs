//! Silences: rows, the messages that they mute, and the incidents that they mute.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::engine::tx::Tx;
use super::values::{RulesColumn, SpecColumn, signed, unsigned};
use super::{Database, IfAbandoned, deliveries, incidents};
use crate::model::*;
use crate::store::decide::silence::{ActiveSilence, Silencer};
use crate::store::{
    AddedSilence, EndedSilence, MuteIncident, MuteOutcome, NewSilence, SilenceCount, SilenceFilter,
    Silenceable, StoreError, Topic,
};

impl Database {
    /// See [`crate::store::Store::add_silence`].
    pub(in crate::store) async fn add_silence(
        &self,
        new: NewSilence,
        waiting: Vec<DeliveryId>,
    ) -> Result<AddedSilence, StoreError> {
        self.write(IfAbandoned::Run, move |tx| add(tx, &new, &waiting))
            .await
    }

    /// See [`crate::store::Store::mute_incident`].
    pub(in crate::store) async fn mute_incident(
        &self,
        action: MuteIncident,
    ) -> Result<MuteOutcome, StoreError> {
        self.promise(move |tx| mute_incident(tx, &action)).await
    }

    /// See [`crate::store::Store::end_silence`].
    pub(in crate::store) async fn end_silence(
        &self,
        id: SilenceId,
    ) -> Result<EndedSilence, StoreError> {
        self.write(IfAbandoned::Run, move |tx| end(tx, id)).await
    }

    /// See [`crate::store::Store::silences`].
    pub(in crate::store) async fn silences(
        &self,
        filter: SilenceFilter,
        now: Timestamp,
    ) -> Result<Vec<Silence>, StoreError> {
        self.read(move |conn| silences(conn, &filter, now)).await
    }

    /// See [`crate::store::Store::silence_counts`].
    pub(in crate::store) async fn silence_counts(
        &self,
        id: SilenceId,
    ) -> Result<Vec<SilenceCount>, StoreError> {
        self.read(move |conn| counts(conn, id)).await
    }

    /// See [`crate::store::Store::suppressed_messages`].
    pub(in crate::store) async fn suppressed_messages(
        &self,
    ) -> Result<Vec<(RuleName, u64)>, StoreError> {
        self.read(by_rule).await
    }

    /// See [`crate::store::Store::silences_to_remind`].
    pub(in crate::store) async fn silences_to_remind(
        &self,
        now: Timestamp,
    ) -> Result<Vec<Silence>, StoreError> {
        self.read(move |conn| reminding(conn, SilenceSource::Command, now))
            .await
    }

    /// See [`crate::store::Store::silence_reminded`].
    pub(in crate::store) async fn silence_reminded(&self, id: SilenceId) -> Result<(), StoreError> {
        self.write(IfAbandoned::Run, move |tx| reminded(tx, id))
            .await
    }
}

/// Selects the active silences.
pub(super) const ACTIVE: &str =
    "SELECT id, rule, conditions IS NOT NULL, key_hash, ends_at FROM silences
     WHERE ended_at IS NULL AND ends_at > ?1";

/// Returns what may mute a report. `matched` are the silences whose conditions the report matches.
pub(super) fn silencer(
    conn: &Connection,
    matched: &[SilenceId],
    now: Timestamp,
) -> rusqlite::Result<Silencer> {
    let active = conn
        .prepare_cached(ACTIVE)?
        .query_map([now], |row| {
            Ok(ActiveSilence {
                id: row.get(0)?,
                rule: row.get::<_, Option<String>>(1)?.map(RuleName::new),
                is_conditional: row.get(2)?,
                key: row.get(3)?,
                ends_at: row.get(4)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Silencer {
        active,
        matched: matched.to_vec(),
    })
}

impl Silenceable {
    /// Returns the rules that name a destination; empty if it is never muted.
    pub(super) fn rules_of(&self, destination: &DestinationName) -> &[RuleName] {
        let named = self.rules.iter().find(|(one, _)| one == destination);
        named.map_or(&[], |(_, rules)| rules)
    }
}

/// Counts the messages of one event that silences muted.
#[derive(Default)]
pub(super) struct Counting {
    silences: BTreeSet<SilenceId>,
}

impl Counting {
    /// Counts a message.
    pub(super) fn count(
        &mut self,
        tx: &Tx<'_>,
        silence: SilenceId,
        rule: &RuleName,
        destination: &DestinationName,
    ) -> rusqlite::Result<()> {
        tx.prepare_cached(
            "INSERT INTO silence_counts (silence_id, rule, destination, messages) VALUES (?1, ?2, ?3, 1)
             ON CONFLICT DO UPDATE SET messages = messages + 1",
        )?
        .execute(params![silence, rule.as_str(), destination])?;
        if self.silences.insert(silence) {
            tx.prepare_cached("UPDATE silences SET reports = reports + 1 WHERE id = ?1")?
                .execute([silence])?;
        }
        Ok(())
    }
}

/// Returns when a silence reminds; `None` if it is too short.
fn remind_at(now: Timestamp, ends_at: Timestamp) -> Option<Timestamp> {
    Some(ends_at - SILENCE_REMINDER).filter(|at| *at > now)
}

pub(super) fn add(
    tx: &Tx<'_>,
    new: &NewSilence,
    waiting: &[DeliveryId],
) -> rusqlite::Result<AddedSilence> {
    let conditions = Some(&new.target.conditions).filter(|texts| !texts.is_empty());
    let conditions = conditions.map(|texts| serde_json::to_string(texts).expect("texts are JSON"));
    tx.prepare_cached(
        "INSERT INTO silences (rule, conditions, created_at, ends_at, remind_at, reason, author, source)
         VALUES (:rule, :conditions, :now, :ends_at, :remind_at, :reason, :author, 'command')",
    )?
    .execute(named_params! {
        ":rule": new.target.rule.as_ref().map(RuleName::as_str),
        ":conditions": conditions,
        ":now": tx.now,
        ":ends_at": new.ends_at,
        ":remind_at": remind_at(tx.now, new.ends_at),
        ":reason": new.reason.expose(),
        ":author": new.author.expose(),
    })?;
    let id = SilenceId(tx.last_insert_rowid());
    let waiting = suppress_waiting(tx, id, waiting)?;
    if new.target.conditions.is_empty() {
        incidents::mute_open(tx)?;
    }
    tx.notify(Topic::Silences);
    Ok(AddedSilence { id, waiting })
}

/// A waiting message.
struct Waiting {
    event: EventSeq,
    destination: DestinationName,
    rule: RuleName,
    rules: Vec<RuleName>,
}

/// Mutes those of `ids` that wait and that the silence mutes. The caller has tested its conditions. Returns how
/// many.
fn suppress_waiting(tx: &Tx<'_>, silence: SilenceId, ids: &[DeliveryId]) -> rusqlite::Result<u64> {
    let silencer = silencer(tx, &[silence], tx.now)?;
    let mut suppressed = 0;
    let mut event = None;
    let mut counting = Counting::default();
    for id in ids {
        let Some(waiting) = waiting(tx, *id)? else {
            continue;
        };
        let keys = incidents::keys_of(tx, waiting.event)?;
        let of_rule = |rule: &RuleName| {
            let keys = keys.iter().filter(|(one, _)| one == rule);
            let keys: Vec<&[u8]> = keys.map(|(_, key)| key.as_slice()).collect();
            silencer.of_rule(rule, &keys)
        };
        let Some(by) = Silencer::of_message(&waiting.rules, of_rule) else {
            continue;
        };
        tx.prepare_cached(
            "UPDATE deliveries SET state = 'suppressed', silence_id = ?2, waits_for_images = 0 WHERE id = ?1",
        )?
        .execute(params![id, by])?;
        deliveries::drop_payload(tx, *id)?;
        if event != Some(waiting.event) {
            event = Some(waiting.event);
            counting = Counting::default();
        }
        counting.count(tx, by, &waiting.rule, &waiting.destination)?;
        suppressed += 1;
    }
    Ok(suppressed)
}

/// Returns a delivery if it waits and was planned when its event arrived.
fn waiting(conn: &Connection, id: DeliveryId) -> rusqlite::Result<Option<Waiting>> {
    conn.prepare_cached(
        "SELECT event_seq, destination, rank, spec, rules FROM deliveries
         WHERE id = ?1 AND state IN ('pending', 'held') AND trigger = 'event'",
    )?
    .query_row([id], |row| {
        let spec: SpecColumn = row.get("spec")?;
        let rule = spec.into_spec(row.get::<_, Rank>("rank")?.severity()).rule;
        let rules: Option<RulesColumn> = row.get("rules")?;
        Ok(Waiting {
            event: row.get("event_seq")?,
            destination: row.get("destination")?,
            rules: rules.map_or_else(|| vec![rule.clone()], |RulesColumn(rules)| rules),
            rule,
        })
    })
    .optional()
}

fn end(tx: &Tx<'_>, id: SilenceId) -> rusqlite::Result<EndedSilence> {
    let Some(silence) = find(tx, id)? else {
        return Ok(EndedSilence::Unknown);
    };
    if let Some(at) = silence
        .ended_at
        .or_else(|| (silence.ends_at <= tx.now).then_some(silence.ends_at))
    {
        return Ok(EndedSilence::Already(at));
    }
    tx.prepare_cached("UPDATE silences SET ended_at = ?2, remind_at = NULL WHERE id = ?1")?
        .execute(params![id, tx.now])?;
    incidents::unmute(tx, id)?;
    tx.notify(Topic::Silences);
    Ok(EndedSilence::Done)
}

/// Mutes an open incident for a while, or for longer.
fn mute_incident(tx: &Tx<'_>, action: &MuteIncident) -> rusqlite::Result<MuteOutcome> {
    let Some(incident) = incidents::find(tx, action.incident)? else {
        return Ok(MuteOutcome::Unknown);
    };
    if incident.progress.state != IncidentState::Open {
        return Ok(MuteOutcome::Ended);
    }
    let silence = button_silence(tx, action, &incident.rule)?;
    suppress_waiting(tx, silence, &waiting_of(tx, incident.id)?)?;
    incidents::mute(tx, incident.id)?;
    tx.notify(Topic::Silences);
    tx.notify(Topic::Incidents);
    Ok(MuteOutcome::Muted(Mute {
        silence,
        until: tx.now + BUTTON_SILENCE,
    }))
}

/// Adds the silence of a button, or extends the one that a button added before.
fn button_silence(
    tx: &Tx<'_>,
    action: &MuteIncident,
    rule: &RuleName,
) -> rusqlite::Result<SilenceId> {
    let known: Option<SilenceId> = tx
        .prepare_cached(
            "SELECT id FROM silences WHERE ended_at IS NULL AND ends_at > ?2 AND source = 'button' AND rule = ?3
               AND key_hash = (SELECT key_hash FROM incidents WHERE id = ?1)",
        )?
        .query_row(params![action.incident, tx.now, rule.as_str()], |row| row.get(0))
        .optional()?;
    let ends_at = tx.now + BUTTON_SILENCE;
    tx.prepare_cached(
        "INSERT INTO silences (id, rule, incident_id, key_hash, created_at, ends_at, remind_at, author, author_id,
                               source, destination)
         SELECT :id, rule, id, key_hash, :now, :ends_at, :remind_at, :author, :author_id, 'button', :destination
         FROM incidents WHERE id = :incident
         ON CONFLICT (id) DO UPDATE SET ends_at = excluded.ends_at, remind_at = excluded.remind_at,
             author = excluded.author, author_id = excluded.author_id, destination = excluded.destination
         RETURNING id",
    )?
    .query_row(
        named_params! {
            ":id": known,
            ":now": tx.now,
            ":ends_at": ends_at,
            ":remind_at": remind_at(tx.now, ends_at),
            ":author": action.by.name.as_ref().map(Private::expose),
            ":author_id": action.by.id.as_ref().map(Private::expose),
            ":destination": action.destination,
            ":incident": action.incident,
        },
        |row| row.get(0),
    )
}

/// Returns the waiting messages of an incident's reports.
fn waiting_of(conn: &Connection, incident: IncidentId) -> rusqlite::Result<Vec<DeliveryId>> {
    conn.prepare_cached(
        "SELECT d.id FROM incident_events i JOIN deliveries d ON d.event_seq = i.event_seq
         WHERE i.incident_id = ?1 AND d.state IN ('pending', 'held') AND d.trigger = 'event'
         ORDER BY i.event_seq DESC LIMIT ?2",
    )?
    .query_map(params![incident, signed(SILENCE_WAITING_MAX)], |row| {
        row.get(0)
    })?
    .collect()
}

const SELECT: &str = "SELECT s.*, (SELECT coalesce(sum(messages), 0) FROM silence_counts WHERE silence_id = s.id) AS messages
     FROM silences s";

fn read(row: &Row<'_>) -> rusqlite::Result<Silence> {
    let private = |column: &str| -> rusqlite::Result<Option<Private>> {
        Ok(row.get::<_, Option<String>>(column)?.map(Private::new))
    };
    let conditions: Option<String> = row.get("conditions")?;
    let conditions = conditions.map(|texts| serde_json::from_str(&texts));
    let conditions = conditions.transpose().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })?;
    Ok(Silence {
        id: row.get("id")?,
        target: SilenceTarget {
            rule: row.get::<_, Option<String>>("rule")?.map(RuleName::new),
            conditions: conditions.unwrap_or_default(),
            incident: row.get("incident_id")?,
        },
        created_at: row.get("created_at")?,
        ends_at: row.get("ends_at")?,
        ended_at: row.get("ended_at")?,
        reason: private("reason")?,
        author: private("author")?,
        source: row.get("source")?,
        destination: row.get("destination")?,
        reports: unsigned(row.get("reports")?),
        messages: unsigned(row.get("messages")?),
    })
}

/// Returns a silence.
pub(super) fn find(conn: &Connection, id: SilenceId) -> rusqlite::Result<Option<Silence>> {
    conn.prepare_cached(&format!("{SELECT} WHERE s.id = ?1"))?
        .query_row([id], read)
        .optional()
}

pub(super) fn silences(
    conn: &Connection,
    filter: &SilenceFilter,
    now: Timestamp,
) -> rusqlite::Result<Vec<Silence>> {
    let active = match filter.active {
        true => "s.ended_at IS NULL AND s.ends_at > ?1",
        false => "?1 IS NOT NULL",
    };
    conn.prepare_cached(&format!(
        "{SELECT} WHERE {active} AND (?2 IS NULL OR s.id = ?2) ORDER BY s.id DESC"
    ))?
    .query_map(params![now, filter.id], read)?
    .collect()
}

/// Returns the active silences, newest first.
pub(super) fn active(conn: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Silence>> {
    let filter = SilenceFilter {
        active: true,
        id: None,
    };
    silences(conn, &filter, now)
}

fn counts(conn: &Connection, id: SilenceId) -> rusqlite::Result<Vec<SilenceCount>> {
    conn.prepare_cached(
        "SELECT rule, destination, messages FROM silence_counts WHERE silence_id = ?1
         ORDER BY messages DESC, rule, destination",
    )?
    .query_map([id], |row| {
        Ok(SilenceCount {
            rule: RuleName::new(row.get::<_, String>(0)?),
            destination: row.get(1)?,
            messages: unsigned(row.get(2)?),
        })
    })?
    .collect()
}

fn by_rule(conn: &Connection) -> rusqlite::Result<Vec<(RuleName, u64)>> {
    conn.prepare_cached("SELECT rule, sum(messages) FROM silence_counts GROUP BY rule")?
        .query_map([], |row| {
            Ok((
                RuleName::new(row.get::<_, String>(0)?),
                unsigned(row.get(1)?),
            ))
        })?
        .collect()
}

/// Returns the active silences from this source whose reminder is due. One that muted nothing needs none.
pub(super) fn reminding(
    conn: &Connection,
    source: SilenceSource,
    now: Timestamp,
) -> rusqlite::Result<Vec<Silence>> {
    conn.prepare_cached(&format!(
        "{SELECT} WHERE s.remind_at IS NOT NULL AND s.remind_at <= ?1 AND s.ends_at > ?1
           AND s.source = ?2 AND s.reports > 0 ORDER BY s.id"
    ))?
    .query_map(params![now, source], read)?
    .collect()
}

/// Selects when the next reminder of a button's silence is due.
pub(super) const NEXT_REMINDER: &str = "
    SELECT min(remind_at) FROM silences WHERE remind_at IS NOT NULL AND ends_at > ?1 AND source = 'button' AND reports > 0";

/// Records that the reminder of a silence was sent.
pub(super) fn reminded(tx: &Tx<'_>, id: SilenceId) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE silences SET remind_at = NULL WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Deletes silences that ended before `before`. Reminders of ended silences are dropped.
pub(super) fn sweep(tx: &Tx<'_>, before: Timestamp) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM silences WHERE coalesce(ended_at, ends_at) < ?1")?
        .execute([before])?;
    tx.prepare_cached(
        "UPDATE silences SET remind_at = NULL WHERE remind_at IS NOT NULL AND ends_at <= ?1",
    )?
    .execute([tx.now])?;
    Ok(())
}

/// Removes a person as the author of silences.
pub(super) fn forget_author(tx: &Tx<'_>, person: &str) -> rusqlite::Result<()> {
    tx.prepare_cached("UPDATE silences SET author = NULL, author_id = NULL WHERE author_id = ?1")?
        .execute([person])?;
    Ok(())
}
