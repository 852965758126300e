//! Converts values of `model` to columns: times as milliseconds, enumerations as keys. So an operator
//! can read the store with `sqlite3`.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Deserialize, Serialize};

use crate::model::*;

/// A column has an unknown value. The error never quotes the value.
#[derive(Debug, thiserror::Error)]
#[error("not a valid {0}")]
struct Unknown(&'static str);

fn unknown(what: &'static str) -> FromSqlError {
    FromSqlError::Other(Box::new(Unknown(what)))
}

macro_rules! number {
    ($($name:ty, $get:expr, $make:expr;)+) => { $(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(($get)(*self)))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_i64().map($make)
            }
        }
    )+ };
}

number!(
    Timestamp, Timestamp::as_millis, Timestamp::from_millis;
    EventSeq, |seq: EventSeq| seq.0, EventSeq;
    IncidentId, |id: IncidentId| id.0, IncidentId;
    SilenceId, |id: SilenceId| id.0, SilenceId;
    DeliveryId, DeliveryId::as_i64, DeliveryId::from_i64;
    Uptime, Uptime::as_millis, Uptime::from_millis;
    LeaseToken, |token: LeaseToken| token.0, LeaseToken;
    FeedbackStatus, |status: FeedbackStatus| status.0, FeedbackStatus;
);

macro_rules! text {
    ($($name:ty, $parse:expr;)+) => { $(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                ($parse)(value.as_str()?)
            }
        }
    )+ };
}

text!(
    EventId, |text| Ok(EventId::from(text));
    AppName, |text| Ok(AppName::from(text));
    DestinationName, |text| Ok(DestinationName::from(text));
    ImageId, |text: &str| text.parse().map_err(|BadImageId| unknown("image id"));
    MessageHandle, |text: &str| Ok(MessageHandle(text.to_owned()));
);

macro_rules! keyed {
    ($($name:ty, $what:literal;)+) => { $(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.key()))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Self::from_key(value.as_str()?).ok_or_else(|| unknown($what))
            }
        }
    )+ };
}

keyed!(
    TriageAction, "action";
    DeliveryState, "state of a delivery";
    Effect, "effect";
    EventState, "state of an event";
    IncidentState, "state of an incident";
    ImageState, "state of an image";
    ImageFormat, "format of an image";
    Form, "form";
    HeldFor, "reason of a held delivery";
    OutcomeKind, "outcome";
    Rank, "rank";
    Severity, "severity";
    SilenceSource, "source of a silence";
    StatusJobState, "state of a status outbox entry";
    ChangeSource, "source of a change";
    Trigger, "trigger";
);

/// The parts of a [`MessageSpec`] that have no column of their own.
#[derive(Serialize, Deserialize)]
pub(super) struct SpecColumn {
    rule: String,
    template: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fell_from: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    news: Option<String>,
}

impl SpecColumn {
    pub(super) fn of(spec: &MessageSpec) -> Self {
        Self {
            rule: spec.rule.as_str().to_owned(),
            template: spec.template.clone(),
            mentions: spec.mentions.clone(),
            labels: spec.labels.clone(),
            wait_ms: spec
                .wait
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            fell_from: spec
                .fell_from
                .iter()
                .map(|one| one.as_str().to_owned())
                .collect(),
            news: spec.news.map(|news| news.key().to_owned()),
        }
    }

    /// Returns the same spec with these mentions.
    pub(super) fn mentioning(self, mentions: Vec<String>) -> Self {
        Self { mentions, ..self }
    }

    pub(super) fn into_spec(self, severity: Severity) -> MessageSpec {
        MessageSpec {
            rule: RuleName::new(self.rule),
            severity,
            template: self.template,
            mentions: self.mentions,
            labels: self.labels,
            wait: self.wait_ms.map(Duration::from_millis),
            fell_from: self
                .fell_from
                .into_iter()
                .map(DestinationName::new)
                .collect(),
            news: self.news.as_deref().and_then(IncidentNews::from_key),
        }
    }
}

impl ToSql for SpecColumn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        serde_json::to_string(self)
            .map(ToSqlOutput::from)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }
}

impl FromSql for SpecColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        serde_json::from_str(value.as_str()?).map_err(|_malformed| unknown("order"))
    }
}

/// The rules that name a destination, as JSON.
pub(super) struct RulesColumn(pub(super) Vec<RuleName>);

impl RulesColumn {
    /// Returns the column for a delivery; `None` if `spec` names the only rule.
    pub(super) fn of(rules: &[RuleName], spec: &MessageSpec) -> Option<Self> {
        (rules != std::slice::from_ref(&spec.rule)).then(|| Self(rules.to_vec()))
    }
}

impl ToSql for RulesColumn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let rules: Vec<&str> = self.0.iter().map(RuleName::as_str).collect();
        serde_json::to_string(&rules)
            .map(ToSqlOutput::from)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
    }
}

impl FromSql for RulesColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let rules: Vec<String> =
            serde_json::from_str(value.as_str()?).map_err(|_malformed| unknown("list of rules"))?;
        Ok(Self(rules.into_iter().map(RuleName::new).collect()))
    }
}

/// Converts to `i64`, SQLite's integer type. Larger values become `i64::MAX`.
pub(super) fn signed(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Converts an SQLite count, which is never negative.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
