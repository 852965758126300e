//! Holds a rule as it is written: TOML values with spans, unchecked.

use toml::de::DeTable;

pub(super) use crate::toml_reader::{Node, Value};

/// One unchecked `[[rules]]` entry. Any table can become one; [`super::RuleSet::build`] reports all its mistakes
/// at once.
#[derive(Clone, Debug)]
pub struct RawRule(pub(super) Node);

impl RawRule {
    /// Returns the rule that is written in this table.
    pub const fn of(table: Node) -> Self {
        Self(table)
    }

    /// Returns the `[[rules]]` of a text, each with its path; `None` if the text is not TOML.
    pub fn all_of(text: &str) -> Option<Vec<(String, Self)>> {
        let table = DeTable::parse(text).ok()?.into_inner();
        let rules = table.get("rules").map(Node::of);
        let rules = rules.iter().flat_map(Node::elements).enumerate();
        let rule = |(index, node): (usize, &Node)| (format!("rules[{index}]"), Self(node.clone()));
        Some(rules.map(rule).collect())
    }
}
