//! Filters stored events by conditions, for `events list` and `events replay`.

use toml::Spanned;
use toml::de::DeTable;

use crate::model::Event;

use super::matcher::{Matcher, Subject, all_hold};
use super::raw::{Node, Value};
use super::read::RawKeys;
use super::{Known, conditions};
use crate::toml_reader::{Diagnostics, Keys, Location};

/// The same conditions as in `match` of a rule, except that a missing `event` accepts every kind of event.
#[derive(Clone, Debug)]
pub struct Filter {
    pub(super) conditions: Vec<Matcher>,
}

impl Filter {
    /// Reads conditions from several texts, each as they are written below or in `match`. The error has one line
    /// for each mistake.
    ///
    /// # Errors
    ///
    /// A text is empty or not TOML, a key is in two texts, or a condition is wrong.
    pub fn read(written: &[&str], known: &Known) -> Result<Self, Vec<String>> {
        let mut entries: Entries = Vec::new();
        for text in written {
            let new = entries_of(text).map_err(|wrong| vec![wrong])?;
            if new.is_empty() {
                return Err(vec!["the conditions are empty".to_owned()]);
            }
            for (key, value) in new {
                if entries
                    .iter()
                    .any(|(known, _)| known.get_ref() == key.get_ref())
                {
                    let key = key.get_ref();
                    return Err(vec![format!(
                        "`{key}` is given twice: write all its values into one list, like {key} = [\"…\", \"…\"]"
                    )]);
                }
                entries.push((key, value));
            }
        }
        let node = Node {
            span: 0..0,
            value: Value::Table(entries),
        };
        let mut out = Diagnostics::default();
        let at = Location::of_path("match");
        let conditions = conditions::read(&mut out, &at, &node, known, RawKeys::KEYS);
        let said = out.into_list().into_iter().map(|one| {
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

    /// Reads the conditions of the table at `at`, and reports every mistake.
    pub fn of_table(node: &Node, at: &Location, known: &Known, out: &mut Diagnostics) -> Self {
        Self {
            conditions: conditions::read(out, at, node, known, RawKeys::KEYS),
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

type Entries = Vec<(Spanned<String>, Node)>;

/// Parses `key = value` lines, the same separated by commas, an inline table, or `match = { … }`.
fn entries_of(text: &str) -> Result<Entries, String> {
    let table = |text: &str| {
        let table = DeTable::parse(text)?;
        Ok::<_, toml::de::Error>(Node::of_table(table.get_ref(), table.span()))
    };
    let node = table(text).or_else(|error| {
        table(&format!("match = {text}"))
            .or_else(|_| table(&format!("match = {{ {text} }}")))
            .map_err(|_in_no_form| {
                let message = error.message();
                format!("not TOML: {message} (write it as in a rule: type = \"fault\")")
            })
    })?;
    let Value::Table(mut entries) = node.value else {
        return Ok(Vec::new());
    };
    match entries.as_mut_slice() {
        [(key, node)] if key.get_ref() == "match" => match &mut node.value {
            Value::Table(inner) => Ok(std::mem::take(inner)),
            _ => Ok(entries),
        },
        _ => Ok(entries),
    }
}
