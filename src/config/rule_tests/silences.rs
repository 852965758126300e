//! Reads `silences` of a test.

use std::time::Duration;

use toml::Spanned;

use super::Reader;
use super::expect::check_known;
use crate::config::hints;
use crate::config::keys::RawSilence;
use crate::config::section::missing;
use crate::model::{RuleName, SILENCE_MAX, SilenceTarget};
use crate::rules::{self, Filter};
use crate::simulation::Muting;
use crate::toml_reader::{
    Diagnostics, Entries, Field, Location, Many, Node, Setting, Table, Value, codes, elements,
    names,
};

impl Reader<'_> {
    /// Reads `silences`; `None` if any is invalid. `lasts` is how long the clock runs, if that is known.
    pub(super) fn silences(
        &self,
        written: Field<Many<Node>>,
        lasts: Option<Duration>,
        test: &Location,
        out: &mut Diagnostics,
    ) -> Option<Vec<Muting>> {
        let at = test.key(
            "silences",
            written.as_ref().map(Spanned::span).unwrap_or_default(),
        );
        let all = elements(written).into_iter().enumerate();
        let all: Vec<Option<Muting>> = all
            .map(|(index, node)| {
                let at = at.index(index, node.span());
                self.silence(node.into_inner(), lasts, &at, out)
            })
            .collect();
        all.into_iter().collect()
    }

    fn silence(
        &self,
        node: Node,
        test_lasts: Option<Duration>,
        at: &Location,
        out: &mut Diagnostics,
    ) -> Option<Muting> {
        let before = out.count();
        let span = node.span.clone();
        let Value::Table(entries) = node.value else {
            out.wrong_type(at, "a table", &node);
            return None;
        };
        let mut table = Table {
            at: at.clone(),
            entries,
        };
        let raw: RawSilence = table.read(out);
        let conditions = conditions(table, out);
        let is_any = raw.rule.is_none() && conditions.is_empty();
        if is_any && out.count() == before {
            let message = "the silence names neither a rule nor conditions";
            let help = "write rule = \"…\", or keys of `match`, like path = \"pages/pay/*\"";
            out.add_with_help(codes::MISSING_KEY, at, message, help);
        }
        if let Some(rule) = &raw.rule {
            let what = ("rule", codes::UNKNOWN_RULE);
            let at = at.key("rule", rule.span());
            check_known(rule.get_ref(), &at, what, self.names.rule_names(), out);
        }
        let after = after(raw.after, test_lasts, at, out);
        let lasts = lasts(&raw.lasts, at, out);
        let written = conditions.iter();
        let written = written.map(|(key, value)| format!("{} = {value}", key.get_ref()));
        let target = SilenceTarget {
            rule: raw.rule.map(|rule| RuleName::new(rule.into_inner())),
            conditions: written.collect(),
            incident: None,
        };
        let node = Node {
            span,
            value: Value::Table(conditions),
        };
        let conditions = (!target.conditions.is_empty())
            .then(|| Filter::of_table(&node, at, self.names.known, out));
        (out.count() == before).then_some(Muting {
            target,
            conditions,
            after,
            lasts: lasts?,
        })
    }
}

/// Returns the conditions of a silence, whose own keys were read. Reports unknown keys.
fn conditions(table: Table, out: &mut Diagnostics) -> Entries {
    let known = rules::condition_keys();
    let is_known = |(key, _): &(Spanned<String>, Node)| known.contains(&key.get_ref().as_str());
    let (conditions, unknown): (Entries, Entries) = table.entries.into_iter().partition(is_known);
    let all = [names::<RawSilence>(), known.clone()].concat();
    for (key, _) in unknown {
        let at = table.at.key(key.get_ref(), key.span());
        hints::unknown_key(key.get_ref(), &all, &at, out);
    }
    conditions
}

/// Reads `after`.
fn after(
    written: Setting<Duration>,
    test_lasts: Option<Duration>,
    silence: &Location,
    out: &mut Diagnostics,
) -> Duration {
    let span = written.written.as_ref().map(Spanned::span);
    let after = written.value();
    if test_lasts.is_some_and(|lasts| after > lasts) {
        let at = silence.key("after", span.unwrap_or_default());
        let message = "the silence begins after the end of the test";
        let help = "`for` of the test says how long its clock runs; default: until the last event";
        out.add_with_help(codes::OUT_OF_RANGE, &at, message, help);
    }
    after
}

/// Reads `for`.
fn lasts(written: &Field<Duration>, silence: &Location, out: &mut Diagnostics) -> Option<Duration> {
    let Some(written) = written else {
        let help = "write how long it lasts, like for = \"10m\"";
        missing(silence, "for", help, out);
        return None;
    };
    let lasts = *written.get_ref();
    if lasts.is_zero() || lasts > SILENCE_MAX {
        let at = silence.key("for", written.span());
        let message = "a silence lasts more than 0s and at most 30d";
        out.add(codes::OUT_OF_RANGE, &at, message);
    }
    Some(lasts)
}
