//! A rule as it is written: TOML values with their places, nothing checked.

use std::ops::Range;

use toml::de::DeTable;

pub(super) use crate::toml_reader::{Node, Value};

/// One `[[rules]]` entry as it is written. Any table can become one; what is wrong with it is said by
/// [`super::RuleSet::build`], all at once.
#[derive(Clone, Debug)]
pub struct RawRule(pub(super) Node);

impl RawRule {
    /// The rule that `table` is, which stands at `span`.
    pub fn of(table: &DeTable<'_>, span: Range<usize>) -> Self {
        Self(Node::of_table(table, span))
    }

    /// The `[[rules]]` of a text, each with its path; `None` if it is not TOML.
    pub fn all_of(text: &str) -> Option<Vec<(String, Self)>> {
        let table = DeTable::parse(text).ok()?.into_inner();
        let rules = table.get("rules").map(Node::of);
        let rules = rules.iter().flat_map(Node::elements).enumerate();
        let rule = |(index, node): (usize, &Node)| (format!("rules[{index}]"), Self(node.clone()));
        Some(rules.map(rule).collect())
    }
}
