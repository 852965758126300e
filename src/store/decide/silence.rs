//! Decides which silence mutes a report and its messages.

use crate::model::*;

/// An active silence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct ActiveSilence {
    pub(in crate::store) id: SilenceId,
    /// Only messages of this rule; `None`: of any rule.
    pub(in crate::store) rule: Option<RuleName>,
    /// Whether only events that match its conditions are muted.
    pub(in crate::store) is_conditional: bool,
    /// Only reports whose incident has a key with this hash; `None`: of any key.
    pub(in crate::store) key: Option<Vec<u8>>,
    pub(in crate::store) ends_at: Timestamp,
}

/// The silences that may mute one report.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Silencer {
    /// The active silences.
    pub(in crate::store) active: Vec<ActiveSilence>,
    /// The silences whose conditions the report matches.
    pub(in crate::store) matched: Vec<SilenceId>,
}

impl Silencer {
    /// Returns the silence that mutes a rule's messages about the report. If several do, it is the one that ends
    /// last. `keys` are the hashes of the report's keys in incidents of the rule.
    pub(in crate::store) fn of_rule(&self, rule: &RuleName, keys: &[&[u8]]) -> Option<Mute> {
        let mutes = |one: &&ActiveSilence| {
            let key = one.key.as_deref();
            one.rule.as_ref().is_none_or(|named| named == rule)
                && (!one.is_conditional || self.matched.contains(&one.id))
                && key.is_none_or(|key| keys.contains(&key))
        };
        let last = self
            .active
            .iter()
            .filter(mutes)
            .max_by_key(|one| one.ends_at)?;
        Some(Mute {
            silence: last.id,
            until: last.ends_at,
        })
    }

    /// Returns the silence that mutes a message whose destination these rules name. All of them have to be muted, so
    /// that a silence of one rule never touches messages of another.
    pub(in crate::store) fn of_message(
        rules: &[RuleName],
        of_rule: impl Fn(&RuleName) -> Option<Mute>,
    ) -> Option<SilenceId> {
        let mutes: Option<Vec<Mute>> = rules.iter().map(of_rule).collect();
        let first = mutes?.into_iter().min_by_key(|mute| mute.until);
        first.map(|mute| mute.silence)
    }
}
