//! Filters stored events by conditions, for `events list` and `events replay`.

use toml::de::DeTable;

use crate::model::Event;

use super::matcher::{Matcher, Subject, all_hold};
use super::raw::Node;
use super::report::{Location, Report};
use super::{Known, conditions};

/// The same conditions as in `match` of a rule, except that a missing `event` accepts every kind of event.
#[derive(Clone, Debug)]
pub struct Filter {
    conditions: Vec<Matcher>,
}

impl Filter {
    /// Reads the lines of a TOML table of conditions. The error has one line for each mistake.
    ///
    /// # Errors
    ///
    /// The text is not TOML, or a condition is wrong.
    pub fn read(written: &str, known: &Known) -> Result<Self, Vec<String>> {
        let table = DeTable::parse(written)
            .map_err(|error| vec![format!("not TOML: {}", error.message())])?
            .into_inner();
        let node = Node::of_table(&table, 0..written.len());
        let mut report = Report::default();
        let at = Location::new("match", 0..0);
        let conditions = conditions::read(&mut report, &at, &node, known);
        let said = report.diagnostics.into_iter().map(|one| {
            let help = one.help.map(|help| format!(" ({help})"));
            format!(
                "{}: {}{}",
                one.place.path,
                one.message,
                help.unwrap_or_default()
            )
        });
        let said: Vec<String> = said.collect();
        if said.is_empty() {
            Ok(Self { conditions })
        } else {
            Err(said)
        }
    }

    /// Returns whether all conditions hold for the event, or for one of its reports.
    pub fn holds(&self, event: &Event) -> bool {
        let subjects = Subject::all_of(event);
        subjects
            .into_iter()
            .any(|subject| all_hold(&self.conditions, subject))
    }
}
