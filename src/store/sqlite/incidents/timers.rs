//! Runs the timers of incidents. Each step is one transaction, which also creates its messages.

use rusqlite::{Connection, OptionalExtension, named_params, params};

use super::{actions, columns};
use crate::model::*;
use crate::store::decide::incident::{self as decide, IncidentEffect};
use crate::store::sqlite::accept::accept;
use crate::store::sqlite::engine::tx::Tx;
use crate::store::sqlite::values::{SpecColumn, signed};
use crate::store::sqlite::{deliveries, edits, messages, silences};
use crate::store::{Accepted, Arrival, INCIDENT, NewDelivery, Topic, write_incident};

/// The template of incident messages.
const TEMPLATE: &str = "incident";
/// How many incidents one transaction advances. The limit holds the writer for milliseconds.
const BATCH: usize = 64;

/// Selects incidents with a due timer: those due by the clock, and those whose time was computed before the
/// clock jumped back.
pub(in crate::store::sqlite) const DUE: [&str; 2] = [
    "SELECT id FROM incidents WHERE next_at IS NOT NULL AND next_at <= ?1 ORDER BY next_at LIMIT ?2",
    "SELECT id FROM incidents WHERE next_at IS NOT NULL AND next_at > ?1 ORDER BY next_at LIMIT ?2",
];

fn bounds(now: Timestamp) -> [Timestamp; 2] {
    [now, now + INCIDENT_AGE_MAX]
}

/// Returns when the next timer is due.
pub(super) fn next_at(conn: &Connection, now: Timestamp) -> rusqlite::Result<Option<Timestamp>> {
    let end = |aggregate: &str| -> rusqlite::Result<Option<Timestamp>> {
        let sql = format!("SELECT {aggregate}(next_at) FROM incidents WHERE next_at IS NOT NULL");
        conn.prepare_cached(&sql)?.query_row([], |row| row.get(0))
    };
    let [_, ahead_max] = bounds(now);
    let next = match end("max")? {
        Some(last) if last > ahead_max => Some(now),
        Some(_) | None => end("min")?,
    };
    let reminder: Option<Timestamp> = conn
        .prepare_cached(silences::NEXT_REMINDER)?
        .query_row([now], |row| row.get(0))?;
    Ok(next.into_iter().chain(reminder).min())
}

/// Runs due timers. Returns when the next timer is due.
pub(in crate::store::sqlite) fn advance_due(tx: &Tx<'_>) -> rusqlite::Result<Option<Timestamp>> {
    let mut room = actions::BATCH;
    for (sql, bound) in DUE.iter().zip(bounds(tx.now)) {
        let due: Vec<IncidentId> = tx
            .prepare_cached(sql)?
            .query_map(params![bound, signed(BATCH)], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for id in due {
            advance(tx, id, &mut room)?;
        }
    }
    remind(tx)?;
    next_at(tx, tx.now)
}

/// Runs the due timers of one incident. A button action is applied to at most `room` reports, which is reduced.
pub(super) fn advance(tx: &Tx<'_>, id: IncidentId, room: &mut usize) -> rusqlite::Result<()> {
    let Some(mut incident) = find(tx, id)? else {
        return Ok(());
    };
    let has_ended = |mute: &Mute| mute.until <= tx.now;
    let mut effects = Vec::new();
    if incident.progress.mute.as_ref().is_some_and(has_ended)
        && let Some(other) = silence_of(tx, id)?
    {
        effects.extend(decide::mute(&mut incident.progress, other, tx.now));
    }
    effects.extend(decide::advance(&mut incident.progress, tx.now));
    apply(tx, &mut incident, &effects, room)
}

/// Returns the silence that mutes each report of an incident.
fn silence_of(tx: &Tx<'_>, id: IncidentId) -> rusqlite::Result<Option<Mute>> {
    let (rule, key): (String, Vec<u8>) = tx
        .prepare_cached("SELECT rule, key_hash FROM incidents WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let silencer = silences::silencer(tx, &[], tx.now)?;
    Ok(silencer.of_rule(&RuleName::new(rule), &[&key]))
}

/// Mutes an incident by the silence that mutes each of its reports, if there is one.
pub(in crate::store::sqlite) fn mute(tx: &Tx<'_>, id: IncidentId) -> rusqlite::Result<()> {
    let (Some(mut incident), Some(by)) = (find(tx, id)?, silence_of(tx, id)?) else {
        return Ok(());
    };
    let effects = decide::mute(&mut incident.progress, by, tx.now);
    apply(tx, &mut incident, &effects, &mut 0)
}

/// Mutes each open incident that a silence mutes.
pub(in crate::store::sqlite) fn mute_open(tx: &Tx<'_>) -> rusqlite::Result<()> {
    let open: Vec<IncidentId> = tx
        .prepare_cached("SELECT id FROM incidents WHERE state = 'open'")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in open {
        mute(tx, id)?;
    }
    tx.notify(Topic::Incidents);
    Ok(())
}

/// Ends the mutes of a silence that an operator ended. A timer then says what was muted.
pub(in crate::store::sqlite) fn unmute(tx: &Tx<'_>, silence: SilenceId) -> rusqlite::Result<()> {
    let muted: Vec<IncidentId> = tx
        .prepare_cached("SELECT id FROM incidents WHERE state = 'open' AND silence_id = ?1")?
        .query_map([silence], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in muted {
        if let Some(mut incident) = find(tx, id)? {
            incident.progress.mute = Some(Mute {
                silence,
                until: tx.now,
            });
            save(tx, id, &incident.progress)?;
        }
    }
    tx.notify(Topic::Incidents);
    Ok(())
}

/// Sends the due reminders of silences that a button added, to the chat where it was used.
fn remind(tx: &Tx<'_>) -> rusqlite::Result<()> {
    for silence in silences::reminding(tx, SilenceSource::Button, tx.now)? {
        silences::reminded(tx, silence.id)?;
        let (Some(id), Some(destination)) = (silence.target.incident, silence.destination) else {
            continue;
        };
        let Some(mut incident) = find(tx, id)? else {
            continue;
        };
        let own = destinations(tx, id)?;
        let spec = own.into_iter().find(|(one, _)| *one == destination);
        if let Some((_, spec)) = spec {
            let news = IncidentNews::MuteEnding;
            send(tx, &mut incident, destination, spec, news, Vec::new())?;
        }
    }
    Ok(())
}

/// Reopens an incident that was done. Returns it as it is then.
pub(super) fn reopen(
    tx: &Tx<'_>,
    id: IncidentId,
    mute: Option<Mute>,
) -> rusqlite::Result<Option<Incident>> {
    let Some(mut incident) = find(tx, id)? else {
        return Ok(None);
    };
    let effects = decide::reopen(&mut incident.progress, mute, tx.now);
    apply(tx, &mut incident, &effects, &mut 0)?;
    tx.notify(Topic::Incidents);
    Ok(Some(incident))
}

/// Closes an incident at an operator's request. Returns its state before.
pub(super) fn close(tx: &Tx<'_>, id: IncidentId) -> rusqlite::Result<Option<IncidentState>> {
    let Some(mut incident) = find(tx, id)? else {
        return Ok(None);
    };
    let before = incident.progress.state;
    if before == IncidentState::Open {
        let effects = decide::end(&mut incident.progress, IncidentState::Closed, tx.now);
        apply(tx, &mut incident, &effects, &mut 0)?;
        tx.notify(Topic::Incidents);
    }
    Ok(Some(before))
}

pub(in crate::store::sqlite) fn find(
    conn: &Connection,
    id: IncidentId,
) -> rusqlite::Result<Option<Incident>> {
    conn.prepare_cached("SELECT * FROM incidents WHERE id = ?1")?
        .query_row([id], columns::incident)
        .optional()
}

/// Writes the columns that timers depend on.
pub(super) fn save(
    tx: &Tx<'_>,
    id: IncidentId,
    progress: &IncidentProgress,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE incidents SET state = :state, terms = :terms, last_at = :last_at, count = :count,
                shown_at = :shown_at, edit_due = :edit_due, digested = :digested,
                digested_at = :digested_at, notified = :notified, notified_at = :notified_at,
                steps_done = :steps_done, claimed = :claimed, applied_to = :applied_to,
                applies_to = :applies_to, ended_at = :ended_at, silence_id = :silence,
                muted_until = :muted_until, silenced = :silenced, silenced_before = :silenced_before,
                late = :late, burst_from = :burst_from, burst_at = :burst_at, next_at = :next_at
         WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": id,
        ":state": progress.state,
        ":terms": columns::write_terms(&progress.terms),
        ":last_at": progress.last_at,
        ":count": signed(progress.count),
        ":shown_at": progress.shown_at,
        ":edit_due": progress.edit_due,
        ":digested": signed(progress.digested),
        ":digested_at": progress.digested_at,
        ":notified": signed(progress.notified),
        ":notified_at": progress.notified_at,
        ":steps_done": progress.steps_done,
        ":claimed": progress.claimed,
        ":applied_to": progress.applied_to,
        ":applies_to": progress.applies_to,
        ":ended_at": progress.ended_at,
        ":silence": progress.mute.map(|mute| mute.silence),
        ":muted_until": progress.mute.map(|mute| mute.until),
        ":silenced": signed(progress.silenced),
        ":silenced_before": signed(progress.silenced_before),
        ":late": signed(progress.late),
        ":burst_from": progress.burst.map(|burst| signed(burst.from)),
        ":burst_at": progress.burst.map(|burst| burst.since),
        ":next_at": decide::next_at(progress),
    })?;
    Ok(())
}

/// Creates the messages and edits of `effects`, and writes the new progress.
pub(super) fn apply(
    tx: &Tx<'_>,
    incident: &mut Incident,
    effects: &[IncidentEffect],
    room: &mut usize,
) -> rusqlite::Result<()> {
    for effect in effects {
        match effect {
            IncidentEffect::Send(news) => {
                for (destination, spec) in destinations(tx, incident.id)? {
                    let mentions = match news {
                        IncidentNews::Repeat | IncidentNews::Reopened => spec.mentions.clone(),
                        IncidentNews::Opened
                        | IncidentNews::Digest
                        | IncidentNews::Threshold
                        | IncidentNews::Overdue
                        | IncidentNews::Quiet
                        | IncidentNews::Continued
                        | IncidentNews::Done
                        | IncidentNews::Closed
                        | IncidentNews::Unmuted
                        | IncidentNews::MuteEnding => Vec::new(),
                    };
                    send(tx, incident, destination, spec, *news, mentions)?;
                }
            }
            IncidentEffect::SendDigest => send_digest(tx, incident)?,
            IncidentEffect::Edit => {
                let is_current = edit_messages(tx, incident.id)?;
                // The messages show how many reports have their status in Feishu.
                incident.progress.edit_due |= !is_current || actions::is_writing(tx, incident)?;
            }
            IncidentEffect::Escalate(index) => escalate(tx, incident, *index)?,
            IncidentEffect::Apply => actions::apply_to_reports(tx, incident, room)?,
        }
    }
    save(tx, incident.id, &incident.progress)
}

fn destinations(
    conn: &Connection,
    id: IncidentId,
) -> rusqlite::Result<Vec<(DestinationName, MessageSpec)>> {
    conn.prepare_cached(
        "SELECT destination, severity, spec FROM incident_destinations
         WHERE incident_id = ?1 ORDER BY destination",
    )?
    .query_map([id], |row| {
        let spec: SpecColumn = row.get("spec")?;
        Ok((
            row.get("destination")?,
            spec.into_spec(row.get("severity")?),
        ))
    })?
    .collect()
}

/// Creates one message of the incident.
fn send(
    tx: &Tx<'_>,
    incident: &mut Incident,
    destination: DestinationName,
    spec: MessageSpec,
    news: IncidentNews,
    mentions: Vec<String>,
) -> rusqlite::Result<()> {
    let event = own_event(tx, incident)?;
    let new = NewDelivery {
        destination,
        spec: MessageSpec {
            template: TEMPLATE.to_owned(),
            mentions,
            wait: None,
            news: Some(news),
            ..spec
        },
        trigger: Trigger::Incident,
        due_at: tx.now,
        held: decide::held(&incident.progress, tx.now),
    };
    deliveries::insert(tx, event, &new, false)?;
    Ok(())
}

/// Returns the incident's own event, which its messages belong to. The first call creates it.
fn own_event(tx: &Tx<'_>, incident: &mut Incident) -> rusqlite::Result<EventSeq> {
    if let Some(event) = incident.event {
        return Ok(event);
    }
    let random = tx.generators.delivery(tx.now).to_string();
    // A new store starts again with the first incident, so its number alone may repeat.
    let id = EventId::new(random.replace("dlv_", "incident:"));
    let arrival = Arrival::of_relay(id, INCIDENT, write_incident(incident.id), tx.now);
    let (Accepted::New(event) | Accepted::Repeat(event)) = accept(tx, &arrival)?;
    tx.prepare_cached("UPDATE incidents SET event_seq = ?2 WHERE id = ?1")?
        .execute(params![incident.id, event])?;
    incident.event = Some(event);
    Ok(event)
}

/// Sends a digest to each destination that has no message to edit, and none that waits: a waiting message shows
/// the state at the time when it is sent. A message that readers removed is not replaced by a digest.
fn send_digest(tx: &Tx<'_>, incident: &mut Incident) -> rusqlite::Result<()> {
    let Some(event) = incident.event else {
        return Ok(());
    };
    for (destination, spec) in destinations(tx, incident.id)? {
        let waits = tx
            .prepare_cached(
                "SELECT 1 FROM deliveries WHERE event_seq = ?1 AND destination = ?2
                   AND (state = 'pending' OR state = 'sending' OR state = 'held')",
            )?
            .exists(params![event, destination])?;
        if !waits && !messages::has_card(tx, event, &destination)? {
            send(
                tx,
                incident,
                destination,
                spec,
                IncidentNews::Digest,
                Vec::new(),
            )?;
        }
    }
    Ok(())
}

/// Runs a step of `escalate`: notifies its destinations, and, if it mentions somebody, the incident's own ones.
fn escalate(tx: &Tx<'_>, incident: &mut Incident, index: usize) -> rusqlite::Result<()> {
    let Some(step) = incident.progress.terms.steps.get(index).cloned() else {
        return Ok(());
    };
    let news = match step.at {
        EscalateAt::Count(_) => IncidentNews::Threshold,
        EscalateAt::After(_) => IncidentNews::Overdue,
    };
    let own = destinations(tx, incident.id)?;
    let base = own
        .first()
        .map_or_else(|| spec_of(incident), |(_, spec)| spec.clone());
    let mut to = if step.mentions.is_empty() {
        Vec::new()
    } else {
        own
    };
    for destination in &step.send_to {
        if !to.iter().any(|(known, _)| known == destination) {
            to.push((destination.clone(), base.clone()));
        }
    }
    for (destination, spec) in to {
        send(tx, incident, destination, spec, news, step.mentions.clone())?;
    }
    Ok(())
}

/// Returns the message spec of an incident without destinations of its own.
fn spec_of(incident: &Incident) -> MessageSpec {
    MessageSpec {
        rule: incident.rule.clone(),
        severity: incident.severity,
        template: TEMPLATE.to_owned(),
        mentions: Vec::new(),
        labels: [].into(),
        wait: None,
        fell_from: Vec::new(),
        news: None,
    }
}

/// Requests an edit of each live message. Returns whether every first message is sent. Another one may show an older
/// state and has to be edited later: it is being sent, or an attempt whose answer was lost has sent it already.
pub(super) fn edit_messages(tx: &Tx<'_>, id: IncidentId) -> rusqlite::Result<bool> {
    let event: Option<EventSeq> = tx
        .prepare_cached("SELECT event_seq FROM incidents WHERE id = ?1")?
        .query_row([id], |row| row.get(0))?;
    let Some(event) = event else { return Ok(true) };
    let live: Vec<DeliveryId> = tx
        .prepare_cached(messages::LIVE)?
        .query_map(params![event, None::<DestinationName>], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for message in live {
        edits::request(tx, message)?;
    }
    let is_unsent = tx
        .prepare_cached(
            "SELECT 1 FROM deliveries d WHERE event_seq = ?1 AND (state = 'pending' OR state = 'sending')
               AND trigger <> 'edit' AND (json_extract(spec, '$.news') = 'opened' OR EXISTS (
                   SELECT 1 FROM messages m
                   WHERE m.event_seq = d.event_seq AND m.destination = d.destination AND m.is_final = 1))",
        )?
        .exists([event])?;
    Ok(!is_unsent)
}
