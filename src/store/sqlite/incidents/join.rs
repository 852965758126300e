//! Counts a report in its incidents, in the transaction that accepts it.

use rusqlite::{OptionalExtension, Row, named_params, params};

use super::columns;
use super::timers::{self, save};
use crate::model::*;
use crate::store::decide::incident::AfterEnd;
use crate::store::decide::silence::Silencer;
use crate::store::sqlite::accept::{USER_KEY_BYTES, user_key};
use crate::store::sqlite::engine::tx::Tx;
use crate::store::sqlite::values::{SpecColumn, signed, unsigned};
use crate::store::{Arrival, NewDelivery, Topic, decide};

/// How a report was counted.
pub(in crate::store::sqlite) struct Joined {
    pub(in crate::store::sqlite) incident: IncidentId,
    /// Whether the incident's own messages count the report, instead of a message of its own.
    pub(in crate::store::sqlite) merges: bool,
    /// The destinations for which this holds.
    destinations: Vec<DestinationName>,
    rule: RuleName,
    /// The silence that mutes the rule's messages about the report.
    mute: Option<Mute>,
}

impl Joined {
    /// Returns the incident into which a delivery to `destination` is merged, if any.
    pub(in crate::store::sqlite) fn merging(
        all: &[Self],
        destination: &DestinationName,
    ) -> Option<IncidentId> {
        let merges = |one: &&Self| one.merges && one.destinations.contains(destination);
        all.iter().find(merges).map(|one| one.incident)
    }

    /// Returns the silence that mutes a rule's messages about the report.
    pub(in crate::store::sqlite) fn mute(
        all: &[Self],
        rule: &RuleName,
        silencer: &Silencer,
    ) -> Option<Mute> {
        match all.iter().find(|one| one.rule == *rule) {
            Some(joined) => joined.mute,
            None => silencer.of_rule(rule, &[]),
        }
    }
}

/// The incident that counts a report, before the report.
struct Current {
    id: IncidentId,
    progress: IncidentProgress,
    /// The stored time of its next timer; `None` if the incident is new.
    next_at: Option<Timestamp>,
}

/// Counts a new report in each of its incidents, and opens those that are not open.
pub(in crate::store::sqlite) fn join(
    tx: &Tx<'_>,
    event: EventSeq,
    arrival: &Arrival,
    silencer: &Silencer,
) -> rusqlite::Result<Vec<Joined>> {
    let planned = arrival.incidents.iter();
    planned
        .map(|planned| join_one(tx, event, arrival, planned, silencer))
        .collect()
}

/// Counts a new late report in each of its incidents that is open and was when the report was made. It opens none.
pub(in crate::store::sqlite) fn join_late(
    tx: &Tx<'_>,
    event: EventSeq,
    arrival: &Arrival,
) -> rusqlite::Result<()> {
    for planned in &arrival.late_incidents {
        let hash = key_hash(planned.kind, &columns::write_key(&planned.key));
        let Some(open) = stored_open(tx, &planned.rule, &hash)? else {
            continue;
        };
        let mut progress = open.progress.clone();
        if decide::incident::late_report(&mut progress, planned.reported_at, tx.now) {
            count(tx, &open, progress, event, arrival, None)?;
        }
    }
    Ok(())
}

fn join_one(
    tx: &Tx<'_>,
    event: EventSeq,
    arrival: &Arrival,
    planned: &PlannedIncident,
    silencer: &Silencer,
) -> rusqlite::Result<Joined> {
    let hash = key_hash(planned.kind, &columns::write_key(&planned.key));
    let mut mute = silencer.of_rule(&planned.rule, &[&hash]);
    let own = current(tx, planned, &hash, mute)?;
    let is_collective = own.is_none() && is_full(tx, &planned.rule)?;
    let current = match own {
        Some(own) => own,
        None if is_collective => {
            let all = collective_key_hash(planned);
            mute = silencer.of_rule(&planned.rule, &[&hash, &all]);
            collective(tx, arrival, planned, &all, mute)?
        }
        None => insert(tx, arrival, planned, &hash)?,
    };
    let mut progress = current.progress.clone();
    let terms = GroupTerms {
        from: progress.terms.from.min(planned.terms.from),
        ..planned.terms.clone()
    };
    let merges = decide::incident::report(&mut progress, &terms, mute, tx.now);
    let further = is_collective.then_some(&hash);
    count(tx, &current, progress, event, arrival, further)?;
    keep_destinations(tx, current.id, planned, &arrival.deliveries)?;
    Ok(Joined {
        incident: current.id,
        // A muted incident counts for nobody. Its destinations that other rules name too get the report.
        merges: merges && mute.is_none(),
        destinations: planned.destinations.clone(),
        rule: planned.rule.clone(),
        mute,
    })
}

/// Stores a counted report. `further`: its key, if a collective incident counts it.
fn count(
    tx: &Tx<'_>,
    before: &Current,
    mut after: IncidentProgress,
    event: EventSeq,
    arrival: &Arrival,
    further: Option<&Vec<u8>>,
) -> rusqlite::Result<()> {
    decide::incident::follow_action(&mut after, event);
    tx.prepare_cached(
        "INSERT INTO incident_events (incident_id, event_seq, number) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![before.id, event, signed(after.count)])?;
    let sources = new_sources(tx, before.id, arrival, further)?;
    save_report(tx, before, &after, sources)
}

/// Writes what the report changed. Most reports change only a few columns, which are in no index.
fn save_report(
    tx: &Tx<'_>,
    before: &Current,
    after: &IncidentProgress,
    [people, tenants, keys]: [i64; 3],
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "UPDATE incidents SET count = ?2, last_at = ?3, edit_due = ?4, applies_to = ?5,
                people = people + ?6, tenants = tenants + ?7, keys = keys + ?8
         WHERE id = ?1",
    )?
    .execute(params![
        before.id,
        signed(after.count),
        after.last_at,
        after.edit_due,
        after.applies_to,
        people,
        tenants,
        keys
    ])?;
    let written = IncidentProgress {
        count: after.count,
        last_at: after.last_at,
        edit_due: after.edit_due,
        applies_to: after.applies_to,
        ..before.progress.clone()
    };
    let next_at = decide::incident::next_at(after);
    if written != *after || before.next_at != next_at {
        save(tx, before.id, after)?;
    }
    let is_sooner = |next: Timestamp| before.next_at.is_none_or(|before| next < before);
    if next_at.is_some_and(is_sooner) {
        tx.notify(Topic::Incidents);
    }
    Ok(())
}

/// Selects the incident that makes the open ones of rule `?1` too many, if there is one: number `?2` after the first.
pub(in crate::store::sqlite) const ONE_TOO_MANY: &str = "
    SELECT 1 FROM incidents INDEXED BY incidents_open WHERE rule = ?1 AND state = 'open' LIMIT 1 OFFSET ?2";

/// Returns whether a rule has as many open incidents as it may have.
fn is_full(tx: &Tx<'_>, rule: &RuleName) -> rusqlite::Result<bool> {
    tx.prepare_cached(ONE_TOO_MANY)?
        .exists(params![rule.as_str(), signed(OPEN_INCIDENTS_MAX - 1)])
}

/// Returns the open collective incident of a rule, which counts the reports with further keys. It has no key, and
/// merges each report.
fn collective(
    tx: &Tx<'_>,
    arrival: &Arrival,
    planned: &PlannedIncident,
    hash: &[u8],
    mute: Option<Mute>,
) -> rusqlite::Result<Current> {
    let planned = PlannedIncident {
        key: IncidentKey::default(),
        terms: GroupTerms {
            from: 0,
            ..planned.terms.clone()
        },
        ..planned.clone()
    };
    match current(tx, &planned, hash, mute)? {
        Some(current) => Ok(current),
        None => insert(tx, arrival, &planned, hash),
    }
}

fn collective_key_hash(planned: &PlannedIncident) -> Vec<u8> {
    key_hash(planned.kind, &columns::write_key(&IncidentKey::default()))
}

/// Returns the incident with this key that counts the report: the open one, or one that was done and that the
/// report reopens or joins.
fn current(
    tx: &Tx<'_>,
    planned: &PlannedIncident,
    hash: &[u8],
    mute: Option<Mute>,
) -> rusqlite::Result<Option<Current>> {
    if let Some(open) = open_incident(tx, &planned.rule, hash)? {
        return Ok(Some(open));
    }
    let last = tx
        .prepare_cached(
            "SELECT * FROM incidents WHERE rule = ?1 AND key_hash = ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![planned.rule.as_str(), hash], read_current)
        .optional()?;
    let Some(last) = last else {
        return Ok(None);
    };
    match decide::incident::after_end(&last.progress, planned.reported_at, tx.now) {
        AfterEnd::OpensAnother => Ok(None),
        AfterEnd::Joins => Ok(Some(last)),
        AfterEnd::Reopens => {
            let reopened = timers::reopen(tx, last.id, mute)?;
            Ok(reopened.map(|incident| Current {
                id: incident.id,
                next_at: decide::incident::next_at(&incident.progress),
                progress: incident.progress,
            }))
        }
    }
}

fn read_current(row: &Row<'_>) -> rusqlite::Result<Current> {
    Ok(Current {
        id: row.get("id")?,
        progress: columns::progress(row)?,
        next_at: row.get("next_at")?,
    })
}

/// Returns the hash of a key. Reports of different types never share it.
fn key_hash(kind: Option<FeedbackKind>, key: &str) -> Vec<u8> {
    let kind = kind.map_or_else(String::new, |kind| kind.0.to_string());
    user_key(&format!("{kind}\n{key}")).to_vec()
}

/// Returns the hash of type, app and fault; `None` unless the rule groups by both, and the report has both.
fn fault_hash(planned: &PlannedIncident) -> Option<Vec<u8>> {
    let value = |wanted: GroupKey| {
        let mut values = planned.key.0.iter();
        let (_, value) = values.find(|(key, _)| *key == wanted)?;
        value.clone()
    };
    let both = IncidentKey(vec![
        (GroupKey::App, Some(value(GroupKey::App)?)),
        (GroupKey::Fault, Some(value(GroupKey::Fault)?)),
    ]);
    Some(key_hash(planned.kind, &columns::write_key(&both)))
}

fn stored_open(tx: &Tx<'_>, rule: &RuleName, hash: &[u8]) -> rusqlite::Result<Option<Current>> {
    tx.prepare_cached(
        "SELECT * FROM incidents WHERE rule = ?1 AND key_hash = ?2 AND state = 'open'",
    )?
    .query_row(params![rule.as_str(), hash], read_current)
    .optional()
}

/// Returns the open incident with this key. One whose time is over ends first.
fn open_incident(tx: &Tx<'_>, rule: &RuleName, hash: &[u8]) -> rusqlite::Result<Option<Current>> {
    let Some(open) = stored_open(tx, rule, hash)? else {
        return Ok(None);
    };
    if !decide::incident::is_over(&open.progress, tx.now) {
        return Ok(Some(open));
    }
    timers::advance(tx, open.id, &mut 0)?;
    Ok(None)
}

/// Counts the incidents of rule `?1` with key `?2` that became quiet after `?3`, with messages that people have seen.
pub(in crate::store::sqlite) const QUIET_BEFORE: &str = "
    SELECT count(*) FROM (
        SELECT state, shown_at, ended_at FROM incidents WHERE rule = ?1 AND key_hash = ?2 ORDER BY id DESC LIMIT 50)
    WHERE state = 'quiet' AND shown_at IS NOT NULL AND ended_at > ?3";

fn insert(
    tx: &Tx<'_>,
    arrival: &Arrival,
    planned: &PlannedIncident,
    hash: &[u8],
) -> rusqlite::Result<Current> {
    let reopened: i64 = tx.prepare_cached(QUIET_BEFORE)?.query_row(
        params![planned.rule.as_str(), hash, tx.now - FLAPPING_WITHIN],
        |row| row.get(0),
    )?;
    let progress = decide::incident::open(planned.terms.clone(), unsigned(reopened), tx.now);
    let previous: Option<IncidentId> = tx
        .prepare_cached(
            "SELECT id FROM incidents WHERE rule = ?1 AND key_hash = ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![planned.rule.as_str(), hash], |row| row.get(0))
        .optional()?;
    tx.prepare_cached(
        "INSERT INTO incidents (rule, kind, key, key_hash, severity, terms, state, opened_at, last_at,
                                count, edit_due, digested, digested_at, notified, notified_at,
                                steps_done, claimed, reopened, previous, fault_hash)
         VALUES (:rule, :kind, :key, :hash, :severity, :terms, 'open', :now, :now,
                 0, 0, 0, :now, 0, :now, 0, 0, :reopened, :previous, :fault_hash)",
    )?
    .execute(named_params! {
        ":rule": planned.rule.as_str(),
        ":kind": planned.kind.map(|kind| kind.0),
        ":key": columns::write_key(&planned.key),
        ":hash": hash,
        ":severity": severity(arrival, planned),
        ":terms": columns::write_terms(&planned.terms),
        ":now": tx.now,
        ":reopened": reopened,
        ":previous": previous,
        ":fault_hash": fault_hash(planned),
    })?;
    Ok(Current {
        id: IncidentId(tx.last_insert_rowid()),
        progress,
        next_at: None,
    })
}

/// Returns the highest severity of the deliveries that the incident merges.
fn severity(arrival: &Arrival, planned: &PlannedIncident) -> Severity {
    let own = arrival
        .deliveries
        .iter()
        .filter(|new| planned.destinations.contains(&new.destination));
    let own = own.map(|new| new.spec.severity).max();
    own.unwrap_or(Severity::Warning)
}

/// Stores the hashes of the reporter, of the tenant and of `key`. Returns 1 for each that is new, else 0.
fn new_sources(
    tx: &Tx<'_>,
    id: IncidentId,
    arrival: &Arrival,
    key: Option<&Vec<u8>>,
) -> rusqlite::Result<[i64; 3]> {
    let person = arrival
        .users
        .first()
        .map(|user| user_key(user.expose()).to_vec());
    let tenant = arrival
        .tenant
        .as_deref()
        .map(|tenant| user_key(tenant).to_vec());
    let mut new = [0, 0, 0];
    let sources = [person, tenant, key.cloned()];
    for (kind, (source, new)) in sources.into_iter().zip(&mut new).enumerate() {
        let Some(source) = source else { continue };
        *new = tx
            .prepare_cached(
                "INSERT OR IGNORE INTO incident_sources (incident_id, kind, source) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![id, signed(kind), source])
            .map(signed)?;
    }
    Ok(new)
}

/// Keeps the destinations with the message spec of their first report.
fn keep_destinations(
    tx: &Tx<'_>,
    id: IncidentId,
    planned: &PlannedIncident,
    deliveries: &[NewDelivery],
) -> rusqlite::Result<()> {
    let mut find = tx.prepare_cached(
        "SELECT 1 FROM incident_destinations WHERE incident_id = ?1 AND destination = ?2",
    )?;
    for new in deliveries {
        if planned.destinations.contains(&new.destination)
            && !find.exists(params![id, new.destination])?
        {
            tx.prepare_cached(
                "INSERT INTO incident_destinations (incident_id, destination, severity, spec)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                id,
                new.destination,
                new.spec.severity,
                SpecColumn::of(&new.spec)
            ])?;
        }
    }
    Ok(())
}

/// Forgets the reporters of an event, and edits the messages that may quote it. Counts stay.
pub(in crate::store::sqlite) fn forget_reporter(
    tx: &Tx<'_>,
    event: EventSeq,
) -> rusqlite::Result<()> {
    let users: Option<Option<Vec<u8>>> = tx
        .prepare_cached("SELECT users FROM events WHERE seq = ?1")?
        .query_row([event], |row| row.get(0))
        .optional()?;
    let users = users.flatten().unwrap_or_default();
    let incidents: Vec<IncidentId> = tx
        .prepare_cached("SELECT incident_id FROM incident_events WHERE event_seq = ?1")?
        .query_map([event], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for incident in incidents {
        for who in users.chunks_exact(USER_KEY_BYTES) {
            tx.prepare_cached(
                "DELETE FROM incident_sources WHERE incident_id = ?1 AND kind = 0 AND source = ?2",
            )?
            .execute(params![incident, who])?;
        }
        timers::edit_messages(tx, incident)?;
    }
    Ok(())
}
