//! Silences: no messages about some reports for a while.
//!
//! A silence mutes messages, never events. Muted reports are stored, counted and listed like all others.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use super::event::keyed;
use super::{DestinationName, IncidentId, Private, RuleName, Timestamp};

/// The longest silence.
pub const SILENCE_MAX: Duration = Duration::from_secs(30 * 86_400);

/// A longer silence is probably a mistake.
pub const SILENCE_LONG: Duration = Duration::from_secs(7 * 86_400);

/// The time before its end at which a silence reminds of what it mutes.
pub const SILENCE_REMINDER: Duration = Duration::from_secs(15 * 60);

/// The time for which the button of an incident's message mutes it.
pub const BUTTON_SILENCE: Duration = Duration::from_secs(2 * 3600);

/// The most waiting messages that a new silence mutes: the newest ones.
pub const SILENCE_WAITING_MAX: usize = 10_000;

/// The id of a silence, written as `sil_3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SilenceId(pub i64);

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sil_{}", self.0)
    }
}

impl FromStr for SilenceId {
    type Err = ParseIntError;

    /// Parses `sil_3`, or the number alone.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("sil_").unwrap_or(text).parse().map(Self)
    }
}

keyed!(
    /// The way in which a silence was added.
    SilenceSource {
        /// By `silences add`.
        Command => "command",
        /// By the button of an incident's message.
        Button => "button",
    }
);

/// The reports that a silence mutes: those for which everything that is set holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SilenceTarget {
    /// Only messages of this rule; `None`: of any rule.
    pub rule: Option<RuleName>,
    /// Only events that match these conditions: texts written as in `match` of a rule. Empty: any event.
    pub conditions: Vec<String>,
    /// Only reports with the key of this incident, also those that its successors count; `None`: of any key.
    pub incident: Option<IncidentId>,
}

/// A silence as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    pub id: SilenceId,
    pub target: SilenceTarget,
    pub created_at: Timestamp,
    /// When it ends, unless an operator ends it earlier.
    pub ends_at: Timestamp,
    /// When an operator ended it; `None` if nobody did.
    pub ended_at: Option<Timestamp>,
    /// The author's reason; `None` for a button.
    pub reason: Option<Private>,
    /// The author's name; `None` if it is unknown.
    pub author: Option<Private>,
    pub source: SilenceSource,
    /// The destination whose message carried the button; `None` for a command.
    pub destination: Option<DestinationName>,
    /// The number of reports of which it muted messages.
    pub reports: u64,
    /// The number of messages that it muted.
    pub messages: u64,
}

impl Silence {
    /// Returns whether it mutes messages at `now`.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.ended_at.is_none() && self.ends_at > now
    }
}

/// The silence that mutes an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mute {
    pub silence: SilenceId,
    /// When the silence ends.
    pub until: Timestamp,
}

/// The author and the reason of a [`Mute`], for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuteNote {
    /// The author's name; `None` if it is unknown.
    pub author: Option<Private>,
    /// The author's reason; `None` for a button.
    pub reason: Option<Private>,
}
