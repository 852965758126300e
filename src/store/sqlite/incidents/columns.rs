//! The JSON columns of incidents.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::Row;
use serde::{Deserialize, Serialize};

use crate::model::*;
use crate::store::sqlite::feedback_rows::actor;
use crate::store::sqlite::values::unsigned;
use crate::toml_reader::zone;

/// The stored form of [`GroupTerms`].
#[derive(Serialize, Deserialize)]
struct Terms {
    from: u64,
    interval_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repeat_after_ms: Option<u64>,
    resolve_after_ms: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Step>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hold: Vec<Held>,
}

/// The stored form of a [`Window`] of `hold`.
#[derive(Serialize, Deserialize)]
struct Held {
    written: String,
    /// From Monday.
    days: [bool; 7],
    /// Minutes after midnight; absent: the whole day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minutes: Option<[u16; 2]>,
    zone: String,
}

impl Held {
    fn of(window: &Window) -> Self {
        Self {
            written: window.written.clone(),
            days: window.days,
            minutes: window.minutes.map(|Minutes { start, end }| [start, end]),
            zone: window.zone_name(),
        }
    }

    fn into_window(self) -> Option<Window> {
        Some(Window {
            written: self.written,
            days: self.days,
            minutes: self.minutes.map(|[start, end]| Minutes { start, end }),
            zone: zone(&self.zone)?,
        })
    }
}

/// The stored form of [`EscalationStep`]. One of `count` and `after_ms` is present.
#[derive(Serialize, Deserialize)]
struct Step {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
    #[serde(default)]
    unless_claimed: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    send_to: Vec<String>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn write_terms(terms: &GroupTerms) -> String {
    let steps = terms.steps.iter().map(|step| Step {
        count: match step.at {
            EscalateAt::Count(count) => Some(count),
            EscalateAt::After(_) => None,
        },
        after_ms: match step.at {
            EscalateAt::After(after) => Some(millis(after)),
            EscalateAt::Count(_) => None,
        },
        unless_claimed: step.unless_claimed,
        mentions: step.mentions.clone(),
        send_to: step.send_to.iter().map(ToString::to_string).collect(),
    });
    let terms = Terms {
        from: terms.from,
        interval_ms: millis(terms.interval),
        repeat_after_ms: terms.repeat_after.map(millis),
        resolve_after_ms: millis(terms.resolve_after),
        steps: steps.collect(),
        hold: terms
            .hold
            .iter()
            .flat_map(|hours| &hours.0)
            .map(Held::of)
            .collect(),
    };
    serde_json::to_string(&terms).expect("texts and numbers are JSON")
}

fn read_terms(text: &str) -> Option<GroupTerms> {
    let terms: Terms = serde_json::from_str(text).ok()?;
    let step = |step: Step| {
        let at = match (step.count, step.after_ms) {
            (Some(count), _) => EscalateAt::Count(count),
            (None, after) => EscalateAt::After(Duration::from_millis(after?)),
        };
        Some(EscalationStep {
            at,
            unless_claimed: step.unless_claimed,
            mentions: step.mentions,
            send_to: step.send_to.into_iter().map(DestinationName::new).collect(),
        })
    };
    let hold = terms.hold.into_iter().map(Held::into_window);
    let hold = Hours(hold.collect::<Option<_>>()?);
    Some(GroupTerms {
        from: terms.from,
        interval: Duration::from_millis(terms.interval_ms),
        repeat_after: terms.repeat_after_ms.map(Duration::from_millis),
        resolve_after: Duration::from_millis(terms.resolve_after_ms),
        steps: terms.steps.into_iter().map(step).collect::<Option<_>>()?,
        hold: Some(hold).filter(|hold| !hold.0.is_empty()),
    })
}

/// Serializes a key: an array of names and values. An absent value is null.
pub(super) fn write_key(key: &IncidentKey) -> String {
    let values = key.0.iter();
    let values: Vec<(&str, Option<&str>)> = values
        .map(|(name, value)| (name.key(), value.as_ref().map(Private::expose)))
        .collect();
    serde_json::to_string(&values).expect("texts are JSON")
}

fn read_key(text: &str) -> Option<IncidentKey> {
    let values: Vec<(String, Option<String>)> = serde_json::from_str(text).ok()?;
    let values = values.into_iter().map(|(name, value)| {
        let name = GroupKey::from_key(&name)?;
        Some((name, value.map(Private::new)))
    });
    values.collect::<Option<_>>().map(IncidentKey)
}

fn malformed(column: &'static str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        0,
        rusqlite::types::Type::Text,
        format!("malformed {column}").into(),
    )
}

/// Reads the columns that timers depend on, from a row that begins with the columns of the table. Each report reads
/// them, and finding a column by its name takes longer than reading it.
pub(super) fn progress(row: &Row<'_>) -> rusqlite::Result<IncidentProgress> {
    let terms = row.get_ref(2)?.as_str()?;
    Ok(IncidentProgress {
        state: row.get(1)?,
        terms: read_terms(terms).ok_or_else(|| malformed("terms"))?,
        opened_at: row.get(3)?,
        last_at: row.get(4)?,
        count: unsigned(row.get(5)?),
        shown_at: row.get(6)?,
        edit_due: row.get(7)?,
        digested: unsigned(row.get(8)?),
        digested_at: row.get(9)?,
        notified: unsigned(row.get(10)?),
        notified_at: row.get(11)?,
        steps_done: row.get(12)?,
        claimed: row.get(13)?,
        applied_to: row.get(14)?,
        applies_to: row.get(15)?,
        ended_at: row.get(16)?,
        late: unsigned(row.get(17)?),
        burst: burst(row.get(18)?, row.get(19)?),
        reopened: unsigned(row.get(20)?),
        mute: mute(row)?,
        silenced: unsigned(row.get("silenced")?),
        silenced_before: unsigned(row.get("silenced_before")?),
    })
}

fn burst(from: Option<i64>, since: Option<Timestamp>) -> Option<BurstPeriod> {
    Some(BurstPeriod {
        from: unsigned(from?),
        since: since?,
    })
}

fn mute(row: &Row<'_>) -> rusqlite::Result<Option<Mute>> {
    let silence: Option<SilenceId> = row.get("silence_id")?;
    let Some(silence) = silence else {
        return Ok(None);
    };
    Ok(Some(Mute {
        silence,
        until: row.get("muted_until")?,
    }))
}

/// Reads the status that the last button action set.
fn handled(row: &Row<'_>) -> rusqlite::Result<Option<FeedbackState>> {
    let Some(status) = row.get("status")? else {
        return Ok(None);
    };
    Ok(Some(FeedbackState {
        status,
        changed_at: row.get("acted_at")?,
        by: actor(row)?,
        through: row.get("through")?,
        undo_until: None,
        local_only: row.get("here_only")?,
    }))
}

pub(super) fn write_operators(operators: &BTreeMap<AppName, Private>) -> String {
    let operators = operators.iter();
    let operators: BTreeMap<&str, &str> = operators
        .map(|(app, open_id)| (app.as_str(), open_id.expose()))
        .collect();
    serde_json::to_string(&operators).expect("texts are JSON")
}

pub(super) fn read_operators(text: &str) -> rusqlite::Result<BTreeMap<AppName, Private>> {
    let operators: BTreeMap<String, String> =
        serde_json::from_str(text).map_err(|_malformed| malformed("operators"))?;
    let operators = operators.into_iter();
    Ok(operators
        .map(|(app, open_id)| (AppName::new(app), Private::new(open_id)))
        .collect())
}

/// Reads an incident, without what is counted from other tables.
pub(super) fn incident(row: &Row<'_>) -> rusqlite::Result<Incident> {
    let key = row.get_ref("key")?.as_str()?;
    let kind: Option<i64> = row.get("kind")?;
    Ok(Incident {
        id: row.get("id")?,
        rule: RuleName::new(row.get::<_, String>("rule")?),
        kind: kind.map(FeedbackKind),
        severity: row.get("severity")?,
        key: read_key(key).ok_or_else(|| malformed("key"))?,
        progress: progress(row)?,
        people: unsigned(row.get("people")?),
        tenants: unsigned(row.get("tenants")?),
        keys: unsigned(row.get("keys")?),
        trend: [0, 0],
        handled: handled(row)?,
        written: [0, 0],
        next_at: row.get("next_at")?,
        mute_note: None,
        previous: row.get("previous")?,
        event: row.get("event_seq")?,
    })
}
