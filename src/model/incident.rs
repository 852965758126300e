//! Incidents: reports of one fault that are counted together.
//!
//! Reports that one rule matched, of one type and with the same values of `group_by`, belong to one incident
//! while it is open. The first [`GroupTerms::from`] reports are delivered individually. Later ones are merged
//! into the incident's own messages.

use std::collections::HashSet;
use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::time::Duration;

use super::event::keyed;
use super::{
    DestinationName, EventSeq, FeedbackKind, FeedbackState, Hours, Mute, MuteNote, Private,
    RuleName, Severity, Summarised, Timestamp, similar,
};

/// An incident ends after this time at the latest. Further reports open a new one, which is linked to it.
pub const INCIDENT_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// The shortest time between two edits of an incident's message. Readers cannot follow faster edits.
pub const EDIT_PACE_MIN: Duration = Duration::from_secs(5);

/// How many of its newest reports an incident's message quotes at most.
pub const INCIDENT_NEWEST_MAX: usize = 3;

/// The most kinds of words that an incident's message quotes.
pub const INCIDENT_WORDS_MAX: usize = 3;

/// The most images of its newest reports that an incident's message shows.
pub const INCIDENT_IMAGES_MAX: usize = 4;

/// The time after its end in which an incident is mentioned as an earlier one.
pub const SEEN_BEFORE_FOR: Duration = Duration::from_secs(14 * 86_400);

/// The most reports of an earlier incident that are compared: the newest ones.
pub const EARLIER_COMPARED_MAX: usize = 20;

/// An incident is flapping if this many with its key became quiet within [`FLAPPING_WITHIN`] before it opened.
const FLAPPING_MIN: u64 = 3;

/// The time in which incidents of a flapping key become quiet and open again.
pub const FLAPPING_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// The longest time without a report after which a flapping incident becomes quiet, unless its rule has a longer one.
const FLAPPING_QUIET_MAX: Duration = Duration::from_secs(4 * 3600);

/// How many incidents of one rule are open at once. Reports with further keys are counted together in one
/// collective incident, which has no key and merges all of them. So a storm over a thousand pages is not a
/// thousand messages.
pub const OPEN_INCIDENTS_MAX: u64 = 20;

/// How many reports are counted at most to show how many have their status in Feishu.
pub const WRITTEN_MAX: u64 = 10_000;

/// How many steps of `escalate` a rule may have.
pub const ESCALATION_STEPS_MAX: usize = 16;

/// The id of an incident, written as `inc_12`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(pub i64);

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inc_{}", self.0)
    }
}

impl FromStr for IncidentId {
    type Err = ParseIntError;

    /// Parses `inc_12`, or the number alone.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("inc_").unwrap_or(text).parse().map(Self)
    }
}

keyed!(
    /// A property of a report by which a rule can group: an element of `group_by`.
    GroupKey {
        /// The app that the report is about.
        App => "app",
        /// The app that received the report.
        Via => "via",
        /// The first listed fault that the rule matched.
        Fault => "fault",
        /// Where the app ran.
        Source => "source",
        /// The name of the reporter's tenant.
        Tenant => "tenant",
        /// The key of the reporter's tenant.
        TenantKey => "tenant_key",
        /// The page, without query and with ids replaced by `*`.
        Path => "path",
    }
);

/// A rule's terms for incidents. They are stored with the incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupTerms {
    /// How many reports are delivered individually, at least 1.
    pub from: u64,
    /// The shortest time between two digests, where a message cannot be edited. It is also the longest time
    /// between two edits of a message with news.
    pub interval: Duration,
    /// An open incident with new reports notifies again after this time; `None`: never.
    pub repeat_after: Option<Duration>,
    /// An incident ends after this time without a report.
    pub resolve_after: Duration,
    /// Further notifications, in the order of the rule.
    pub steps: Vec<EscalationStep>,
    /// When the incident's messages are held; `None`: never.
    pub hold: Option<Hours>,
}

/// One entry of `escalate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscalationStep {
    /// When it notifies.
    pub at: EscalateAt,
    /// Whether a claim cancels it.
    pub unless_claimed: bool,
    /// Names of `[mentions]`, or `all`.
    pub mentions: Vec<String>,
    /// Destinations that are notified beside those of the incident.
    pub send_to: Vec<DestinationName>,
}

/// When an escalation step notifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscalateAt {
    /// When the incident has this many reports.
    Count(u64),
    /// This long after the first report.
    After(Duration),
}

/// The values of `group_by` for one report, in the order of the rule. An absent value is a value of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IncidentKey(pub Vec<(GroupKey, Option<Private>)>);

impl IncidentKey {
    /// Returns the key of `group_by` that has the most different values in these incidents.
    pub fn most_varied(keys: &[Self]) -> Option<GroupKey> {
        let values = |wanted: GroupKey| {
            let values = keys.iter().flat_map(|key| &key.0);
            let values = values.filter(|(key, _)| *key == wanted);
            let values = values.map(|(_, value)| value.as_ref().map(Private::expose));
            values.collect::<HashSet<_>>().len()
        };
        let first = keys.iter().find(|key| !key.0.is_empty())?;
        first
            .0
            .iter()
            .map(|(key, _)| *key)
            .max_by_key(|key| values(*key))
    }
}

/// The incident that one rule counts a report in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedIncident {
    pub rule: RuleName,
    /// The report's type. Reports of different types never share an incident.
    pub kind: Option<FeedbackKind>,
    pub key: IncidentKey,
    pub terms: GroupTerms,
    /// The report's own time; `None` if it has none.
    pub reported_at: Option<Timestamp>,
    /// The planned deliveries that this rule's incident may merge.
    pub destinations: Vec<DestinationName>,
}

keyed!(
    /// The state of an incident.
    IncidentState {
        /// New reports join it.
        Open => "open",
        /// It ended after `resolve_after` without a report.
        Quiet => "quiet",
        /// It reached its maximum age; further reports opened a successor.
        Continued => "continued",
        /// Somebody marked it as done with a button. A later report reopens it.
        Done => "done",
        /// The operator closed it.
        Closed => "closed",
    }
);

keyed!(
    /// The reason for a message of an incident.
    IncidentNews {
        /// The first report was merged, so the incident gets a message of its own.
        Opened => "opened",
        /// There are new reports, and the earlier message cannot be edited.
        Digest => "digest",
        /// The incident reached a number of reports in `escalate`.
        Threshold => "threshold",
        /// The time of an `escalate` step has passed.
        Overdue => "overdue",
        /// The incident is still open after `repeat_after`, with new reports.
        Repeat => "repeat",
        /// The incident ended after `resolve_after` without a report.
        Quiet => "quiet",
        /// The incident reached its maximum age.
        Continued => "continued",
        /// Somebody marked the incident as done.
        Done => "done",
        /// The incident was done, and a later report reopened it.
        Reopened => "reopened",
        /// The operator closed the incident.
        Closed => "closed",
        /// A silence ended that muted reports of the open incident.
        Unmuted => "unmuted",
        /// A silence that mutes reports of the incident ends soon.
        MuteEnding => "mute_ending",
    }
);

/// The stored state of an incident: everything that its timers depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentProgress {
    pub state: IncidentState,
    pub terms: GroupTerms,
    /// When the first report was accepted.
    pub opened_at: Timestamp,
    /// When the newest report was accepted.
    pub last_at: Timestamp,
    /// The number of reports.
    pub count: u64,
    /// When its messages were last created or edited; `None` before its first message.
    pub shown_at: Option<Timestamp>,
    /// Whether its messages show an older state than the current one.
    pub edit_due: bool,
    /// The number of reports at the last digest.
    pub digested: u64,
    /// When the last digest was due.
    pub digested_at: Timestamp,
    /// The number of reports at the last notification.
    pub notified: u64,
    /// When people were last notified.
    pub notified_at: Timestamp,
    /// The completed steps of `escalate`, one bit each.
    pub steps_done: u32,
    /// Whether somebody has claimed it.
    pub claimed: bool,
    /// The reports up to this one have the status that a button action gave the incident.
    pub applied_to: EventSeq,
    /// The last report that gets this status. A later one than `applied_to` means that some are left.
    pub applies_to: EventSeq,
    /// When it ended; `None` while it is open.
    pub ended_at: Option<Timestamp>,
    /// The silence that mutes it; `None` if none does. An ended incident keeps its last one.
    pub mute: Option<Mute>,
    /// The number of reports that silences muted.
    pub silenced: u64,
    /// The value of `silenced` when the last mute began.
    pub silenced_before: u64,
    /// The number of its late reports. They change only the count: they notify nobody and extend nothing.
    pub late: u64,
    /// The period in which a new burst is looked for; `None` unless somebody has claimed it, or after a burst.
    pub burst: Option<BurstPeriod>,
    /// The number of incidents with its key that became quiet in the [`FLAPPING_WITHIN`] before it opened.
    pub reopened: u64,
}

/// The period in which the reports of a new burst are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstPeriod {
    /// The number of reports at its start, without late ones.
    pub from: u64,
    pub since: Timestamp,
}

impl IncidentProgress {
    /// Returns the number of reports that the current mute, or else the last one, has muted.
    pub const fn silenced_now(&self) -> u64 {
        self.silenced.saturating_sub(self.silenced_before)
    }

    /// Returns whether a silence mutes it at `now`.
    pub fn is_muted(&self, now: Timestamp) -> bool {
        self.mute.is_some_and(|mute| mute.until > now)
    }

    /// Returns the number of reports without late ones.
    pub fn on_time(&self) -> u64 {
        self.count.saturating_sub(self.late)
    }

    /// Returns whether incidents with its key become quiet and open again and again.
    pub fn is_flapping(&self) -> bool {
        self.reopened >= FLAPPING_MIN
    }

    /// Returns the time without a report after which it becomes quiet. It doubles each time a flapping incident
    /// opens again, up to four hours.
    pub fn resolve_after(&self) -> Duration {
        let own = self.terms.resolve_after;
        let times = self.reopened.saturating_add(1).saturating_sub(FLAPPING_MIN);
        let factor = u32::try_from(times)
            .ok()
            .and_then(|times| 1_u32.checked_shl(times));
        let longer = own.saturating_mul(factor.unwrap_or(u32::MAX));
        longer.min(FLAPPING_QUIET_MAX).max(own)
    }
}

/// A timer of an incident, and what the incident does when it is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentTimer {
    /// Sends its first own message.
    Open,
    /// Edits the messages that can be edited.
    Edit,
    /// Applies a button action to more of its reports.
    Apply,
    /// Sends a digest where a message cannot be edited.
    Digest,
    /// Runs the step of `escalate` with this index.
    Step(usize),
    /// Notifies again, after `repeat_after`.
    Repeat,
    /// Says how many reports were muted, because the silence ends.
    Unmute,
    /// Ends in this state, unless a report follows.
    End(IncidentState),
}

/// An incident for people: lists, messages and `/status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    pub id: IncidentId,
    pub rule: RuleName,
    pub kind: Option<FeedbackKind>,
    pub severity: Severity,
    pub key: IncidentKey,
    pub progress: IncidentProgress,
    /// The number of reporters whose ids are known.
    pub people: u64,
    /// The number of tenants.
    pub tenants: u64,
    /// For a collective incident: the number of different keys that it counts. 0 for any other.
    pub keys: u64,
    /// The number of reports in the last minute before the newest one, and in the minute before that.
    pub trend: [u64; 2],
    /// The status that the last button action gave it: processing or processed. `None`: nobody has acted.
    pub handled: Option<FeedbackState>,
    /// How many of its reports have their status in Feishu, and how many are to get one. Counts beyond
    /// [`WRITTEN_MAX`] stop there. Both are 0 if the status is local-only.
    pub written: [u64; 2],
    /// When its next timer is due; `None` if it has none.
    pub next_at: Option<Timestamp>,
    /// The author and the reason of the silence in `progress.mute`, if it is still stored.
    pub mute_note: Option<MuteNote>,
    /// The incident that it continues.
    pub previous: Option<IncidentId>,
    /// Its own event in the store; `None` before its first message.
    pub event: Option<EventSeq>,
}

/// The position of a report in the incident that counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedReport {
    pub incident: IncidentId,
    /// The number of the incident's reports when this one was accepted, including it.
    pub number: u64,
}

/// An incident with its newest reports, for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentReports {
    pub id: IncidentId,
    /// The incident when the message is rendered; `None` where only the id is needed.
    pub incident: Option<Incident>,
    /// The newest reports whose text is kept, newest first, at most [`INCIDENT_NEWEST_MAX`].
    pub newest: Vec<Summarised>,
    /// What its newest reports say.
    pub words: ReportWords,
    /// The ended incident that was probably about the same fault; `None` if there was none.
    pub seen_before: Option<SeenBefore>,
}

/// An ended incident that was probably about the same fault as another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenBefore {
    /// Without what is counted from other tables.
    pub incident: Incident,
    /// Whether only its reports are similar. Otherwise, it has the same rule and key.
    pub is_similar: bool,
    /// The display name of whoever acted on it last; `None` if unknown.
    pub by_name: Option<Private>,
}

/// What reports say, grouped by similar words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportWords {
    /// The number of groups.
    pub kinds: u64,
    /// The largest groups, at most [`INCIDENT_WORDS_MAX`].
    pub largest: Vec<AlikeReports>,
}

/// Reports with similar words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlikeReports {
    /// The number of reports.
    pub count: u64,
    /// What the newest of them says.
    pub sample: Private,
}

impl ReportWords {
    /// Groups descriptions, the newest first.
    pub fn of(descriptions: &[&Private]) -> Self {
        let texts: Vec<&str> = descriptions.iter().map(|text| text.expose()).collect();
        let groups = similar::group(&texts);
        let largest = groups.iter().take(INCIDENT_WORDS_MAX);
        let largest = largest.filter_map(|alike| {
            Some(AlikeReports {
                count: u64::try_from(alike.count).ok()?,
                sample: (*descriptions.get(alike.first)?).clone(),
            })
        });
        Self {
            kinds: u64::try_from(groups.len()).unwrap_or(u64::MAX),
            largest: largest.collect(),
        }
    }

    /// Returns whether the most frequent words of both are similar.
    pub fn resemble(&self, other: &Self) -> bool {
        let most_frequent = |words: &Self| Some(words.largest.first()?.sample.clone());
        match (most_frequent(self), most_frequent(other)) {
            (Some(one), Some(other)) => similar::are_similar(one.expose(), other.expose()),
            (_, _) => false,
        }
    }

    /// Returns whether at least two reports are alike. Otherwise the newest texts say as much.
    pub fn are_grouped(&self) -> bool {
        self.largest.first().is_some_and(|alike| alike.count > 1)
    }
}

impl IncidentReports {
    /// Returns the value of `key` that all its reports share; `None` if the rule does not group by it, or the
    /// reports have no value.
    pub fn key_value(&self, key: GroupKey) -> Option<&str> {
        let values = &self.incident.as_ref()?.key.0;
        let (_, value) = values.iter().find(|(one, _)| *one == key)?;
        value.as_ref().map(Private::expose)
    }
}
