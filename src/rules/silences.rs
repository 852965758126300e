//! The conditions of active silences, compiled.

use super::{Filter, Known};
use crate::model::{Event, Silence, SilenceId};

/// The active silences that have conditions.
#[derive(Clone, Debug, Default)]
pub struct SilenceSet {
    conditional: Vec<(SilenceId, Filter)>,
}

impl SilenceSet {
    /// Compiles the conditions of `silences`. Also returns the silences whose conditions are wrong, because a reload
    /// has removed a name that they use. These mute nothing.
    pub fn build(silences: &[Silence], known: &Known) -> (Self, Vec<SilenceId>) {
        let (mut set, mut wrong) = (Self::default(), Vec::new());
        for silence in silences {
            let conditions = &silence.target.conditions;
            if conditions.is_empty() {
                continue;
            }
            let texts: Vec<&str> = conditions.iter().map(String::as_str).collect();
            match Filter::read(&texts, known) {
                Ok(filter) => set.add(silence.id, filter),
                Err(_mistakes) => wrong.push(silence.id),
            }
        }
        (set, wrong)
    }

    /// Adds a silence with these conditions.
    pub fn add(&mut self, silence: SilenceId, conditions: Filter) {
        self.conditional.push((silence, conditions));
    }

    /// Returns the silences whose conditions the event matches.
    pub fn matching(&self, event: &Event) -> Vec<SilenceId> {
        let matching = self
            .conditional
            .iter()
            .filter(|(_, filter)| filter.holds(event));
        matching.map(|(id, _)| *id).collect()
    }
}
