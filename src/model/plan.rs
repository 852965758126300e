//! The result of matching an event against the rules, before anything is written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::event::keyed;
use super::{DestinationName, EventState, IncidentNews, PlannedIncident, RuleName, Timestamp};

keyed!(
    /// The urgency of a message. Ordered: critical is the greatest.
    Severity {
        /// Nobody needs to act now.
        Info => "info",
        /// Somebody should look at it.
        Warning => "warning",
        /// Somebody must act now. Sent first if a rate limit makes messages queue.
        Critical => "critical",
    }
);

keyed!(
    /// How urgent a waiting delivery is. Ordered: the greatest is sent first.
    Rank {
        /// An operator notice, which waits for all reports.
        Notice => "notice",
        Info => "info",
        Warning => "warning",
        Critical => "critical",
    }
);

impl Rank {
    /// Returns the rank of a report.
    pub const fn of(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }

    /// Returns the severity of the message.
    pub const fn severity(self) -> Severity {
        match self {
            Self::Notice | Self::Info => Severity::Info,
            Self::Warning => Severity::Warning,
            Self::Critical => Severity::Critical,
        }
    }
}

/// The result of matching one event against the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The new state of the event.
    pub state: EventState,
    /// The rules that matched, in order. If the event is routed, the last one has no `continue`.
    pub rules: Vec<RuleName>,
    /// One delivery per destination to notify.
    pub deliveries: Vec<PlannedDelivery>,
    /// The incidents that count the report: at most one for each matched rule.
    pub incidents: Vec<PlannedIncident>,
}

/// A message that a rule wants sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedDelivery {
    pub destination: DestinationName,
    /// The message spec, merged from all of `rules`.
    pub spec: MessageSpec,
    /// The rules that matched and name this destination, in order.
    pub rules: Vec<RuleName>,
    /// The time for which `hold` of all these rules keeps the message; `None`: it is sent at once.
    pub held: Option<HeldUntil>,
}

/// The time for which `hold` keeps a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldUntil {
    /// The end of the window.
    pub until: Timestamp,
    /// The windows as they are written.
    pub hours: String,
}

/// How a rule wants an event presented. It is stored with the delivery, so a reload does not change
/// existing deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSpec {
    /// The rule that defines this spec.
    pub rule: RuleName,
    pub severity: Severity,
    /// The template's name, without family and suffix.
    pub template: String,
    /// Names of `[mentions]`, or `all`.
    pub mentions: Vec<String>,
    /// Free key-value pairs for templates.
    pub labels: BTreeMap<String, String>,
    /// How long the message waits for images; `None`: the value of `images.wait` for its severity.
    pub wait: Option<Duration>,
    /// Destinations that the message fell back from. It shows no more than each of them would.
    pub fell_from: Vec<DestinationName>,
    /// Why an incident sends this message; `None` for every other message.
    pub news: Option<IncidentNews>,
}

impl MessageSpec {
    /// Returns the spec of the message for a fallback of `from`.
    pub fn fallen_from(&self, from: &DestinationName) -> Self {
        let mut spec = self.clone();
        if !spec.fell_from.contains(from) {
            spec.fell_from.push(from.clone());
        }
        spec
    }
}

/// The explanation of a plan: one entry per rule, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    pub rules: Vec<RuleTrace>,
}

/// The result of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleTrace {
    pub rule: RuleName,
    pub finding: Finding,
    /// For a match of a rule with `when`: its times, and the local time that is one of them.
    pub when: Option<Condition>,
}

/// The result of matching one rule against an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The rule matches.
    Matched {
        /// Whether later rules are skipped.
        last: bool,
    },
    /// A key of `match` does not hold. Contains the first such key.
    Failed(Condition),
    /// A key of `except` holds. Contains the first such key.
    Excepted(Condition),
    /// The rule matches only at other times. The condition holds the local time of receipt.
    NotNow(Condition),
    /// Not evaluated, because an earlier rule without `continue` matched.
    NotReached,
}

/// A key of a rule and the value compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The key of `match` or `except`, or `when`.
    pub key: &'static str,
    /// The rule's value, as written in the configuration.
    pub wanted: String,
    /// The event's value; empty if it has none. It may contain text of a reporter: show it to the
    /// operator who asked, never log it.
    pub found: super::Private,
}
