//! Expands `${VAR}`, `${VAR:-default}` and `$${` in the strings of a file.

use std::collections::{BTreeMap, HashSet};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Needs, flaw, stand_in};
use crate::toml_reader::{Diagnostics, Location, codes, from_environment};

/// The environment variables of the process.
pub(super) type Environment = BTreeMap<String, String>;

/// The variables, and how an unset one is handled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variables<'a> {
    pub(super) environment: &'a Environment,
    pub(super) needs: Needs,
}

/// Replaces every reference in the strings below `table`. A key with an invalid reference is removed, so that it
/// causes no further diagnostics. Returns the start of each string that contained a reference.
///
/// Values from `RELAY__…` are not expanded, because the shell has already done so.
pub(super) fn expand(
    table: &mut DeTable<'_>,
    at: &Location,
    variables: Variables<'_>,
    out: &mut Diagnostics,
) -> HashSet<usize> {
    let mut work = Expansion {
        variables,
        out,
        expanded: HashSet::new(),
    };
    work.table(table, at);
    work.expanded
}

struct Expansion<'a> {
    variables: Variables<'a>,
    out: &'a mut Diagnostics,
    expanded: HashSet<usize>,
}

impl Expansion<'_> {
    /// Returns whether a variable of this key must be set.
    fn must_be_set(&self, at: &Location) -> bool {
        let is_place = matches!(at.path.as_str(), "store.url" | "images.store");
        self.variables.needs != Needs::StoreOnly || is_place
    }

    fn table(&mut self, table: &mut DeTable<'_>, at: &Location) {
        let mut bad = Vec::new();
        for (key, value) in table.iter_mut() {
            let at = at.key(key.get_ref(), value.span());
            if !self.value(value, &at) {
                bad.push(key.clone());
            }
        }
        for key in bad {
            table.remove(&key);
        }
    }

    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, at: &Location) -> bool {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) => {
                if from_environment(&span) {
                    return true;
                }
                if let Some(name) = bare_reference(text) {
                    let known = self.variables.environment.contains_key(name);
                    let name = if known { name } else { "NAME" };
                    let message = "a variable without braces is not replaced";
                    let help = format!("write ${{{name}}}");
                    self.out
                        .add_with_help(codes::BAD_REFERENCE, at, message, help);
                    return false;
                }
                self.warn_of_bare_reference(text, at);
                if !text.contains("${") {
                    return true;
                }
                match replace(text, at, self.variables.environment) {
                    Ok(new) => {
                        if new.referred {
                            self.expanded.insert(span.start);
                        }
                        *text = new.text.into();
                        true
                    }
                    Err(Problem::Unset(_) | Problem::Exported(_)) if !self.must_be_set(at) => {
                        if let Some(text_instead) = stand_in::of_path(&at.path, text) {
                            *text = text_instead.into();
                        }
                        self.out.hush(at);
                        true
                    }
                    Err(problem) => {
                        problem.tell(at, self.out);
                        false
                    }
                }
            }
            DeValue::Array(items) => {
                let mut sound = true;
                for (index, item) in items.iter_mut().enumerate() {
                    let at = at.index(index, item.span());
                    sound &= self.value(item, &at);
                }
                sound
            }
            DeValue::Table(inner) => {
                self.table(inner, at);
                true
            }
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => true,
        }
    }
}

impl Expansion<'_> {
    /// Warns of `$NAME` inside an id, a secret, a URL or a header, where it was probably meant as a variable.
    fn warn_of_bare_reference(&mut self, text: &str, at: &Location) {
        if !stand_in::is_token(&at.path) && !stand_in::is_header(&at.path) {
            return;
        }
        let Some(name) = bare_references(text).next() else {
            return;
        };
        // An unknown name may be part of a secret.
        let known = self.variables.environment.contains_key(name);
        let name = if known { name } else { "NAME" };
        let message = "a variable without braces is not replaced";
        let help = format!("write ${{{name}}} if you mean a variable");
        self.out
            .add_with_help(codes::BARE_VARIABLE, at, message, help);
    }
}

struct Replaced {
    text: String,
    /// Whether a variable was named, set or not.
    referred: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Unset(String),
    /// The environment has a variable called `export NAME` instead.
    Exported(String),
    Unclosed,
    BadName(String),
    /// The variable, and the invisible defect of its value.
    Flaw(String, String),
}

impl Problem {
    fn tell(self, at: &Location, out: &mut Diagnostics) {
        match self {
            Self::Unset(name) => out.add_with_help(
                codes::UNSET,
                at,
                format!("the environment variable {name} is not set"),
                format!("set it, or write ${{{name}:-…}} with a default"),
            ),
            Self::Exported(name) => out.add_with_help(
                codes::UNSET,
                at,
                format!(
                    "the environment variable {name} is not set, but one called `export {name}` is"
                ),
                "remove `export ` where it is set: only a shell understands it",
            ),
            Self::Unclosed => out.add_with_help(
                codes::BAD_REFERENCE,
                at,
                "`${` is not closed by `}`",
                "write $${ for a literal ${",
            ),
            Self::BadName(name) => out.add_with_help(
                codes::BAD_REFERENCE,
                at,
                format!("{name:?} is not the name of an environment variable"),
                "write ${NAME} or ${NAME:-default}, and $${ for a literal ${",
            ),
            Self::Flaw(name, flaw) => out.add_with_help(
                codes::FLAW,
                at,
                format!("the value of the environment variable {name} has {flaw}"),
                FLAW_HELP,
            ),
        }
    }
}

/// Help for a value with a defect.
pub(super) const FLAW_HELP: &str = "remove it where the value is set; `docker run --env-file` and similar keep quotes and comments as part of the value";

fn replace(text: &str, at: &Location, environment: &Environment) -> Result<Replaced, Problem> {
    let mut new = String::with_capacity(text.len());
    let mut referred = false;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            new.push_str(before);
            new.push_str("${");
            rest = after;
            continue;
        }
        new.push_str(before);
        let (inside, after) = after.split_once('}').ok_or(Problem::Unclosed)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_variable(name) {
            return Err(Problem::BadName(shown(name)));
        }
        // As in a shell, `:-` also replaces an empty variable.
        let value = environment
            .get(name)
            .map(|value| flaw::without_line_breaks(value))
            .filter(|value| default.is_none() || !value.is_empty());
        let flaw = |value| flaw::of_value(value, &at.path);
        if let Some(flaw) = value.and_then(flaw) {
            return Err(Problem::Flaw(name.to_owned(), flaw));
        }
        match value.or(default) {
            Some(value) => new.push_str(value),
            None if environment.contains_key(&format!("export {name}")) => {
                return Err(Problem::Exported(name.to_owned()));
            }
            None => return Err(Problem::Unset(name.to_owned())),
        }
        referred = true;
        rest = after;
    }
    new.push_str(rest);
    Ok(Replaced {
        text: new,
        referred,
    })
}

/// Returns the name if the whole text is `$NAME`, `$(NAME)` or `%NAME%`.
fn bare_reference(text: &str) -> Option<&str> {
    let name = match text.strip_prefix('$') {
        Some(rest) => rest
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'))
            .unwrap_or(rest),
        None => text.strip_prefix('%')?.strip_suffix('%')?,
    };
    (is_capital(name) && name.len() >= 2).then_some(name)
}

/// Returns the names in `$NAME` and `$(NAME)` anywhere in the text. Short ones are left out, because a random text
/// may contain them.
fn bare_references(text: &str) -> impl Iterator<Item = &str> {
    let named = |(at, _): (usize, &str)| {
        let (before, after) = text.split_at_checked(at)?;
        let after = after.get(1..)?;
        let after = after.strip_prefix('(').unwrap_or(after);
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = after.get(..end.unwrap_or(after.len()))?;
        (!before.ends_with('$') && is_capital(name) && name.len() >= 3).then_some(name)
    };
    text.match_indices('$').filter_map(named)
}

/// Returns whether this is a variable's name in capitals.
fn is_capital(name: &str) -> bool {
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    is_variable(name) && name.chars().all(capital)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Returns the first character of an invalid name. The rest is hidden because it may be part of a secret.
fn shown(name: &str) -> String {
    match name.chars().next() {
        Some(first) => format!("{first}…"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, Problem> {
        let environment = [
            ("KEY", "value"),
            ("EMPTY", ""),
            ("ODD", "${KEY}"),
            ("LINE", "value\r\n"),
            ("QUOTED", "\"value\""),
            ("COMMENTED", "value # of shop"),
            ("export SHELL_ONLY", "value"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let at = Location::new("apps.shop.app_secret", 0..0);
        replace(text, &at, &environment).map(|new| new.text)
    }

    #[test]
    fn references_defaults_and_literals() {
        for (text, wanted) in [
            ("plain $KEY $", "plain $KEY $"),
            ("${KEY}", "value"),
            ("a${KEY}b${KEY}c", "avaluebvaluec"),
            ("${KEY:-other}", "value"),
            ("${NONE:-other}", "other"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
            ("${EMPTY}", ""),
            ("a${LINE}b", "avalueb"),
            ("${EMPTY:-other}", "other"),
            ("$${KEY}", "${KEY}"),
            ("$${KEY} ${KEY}", "${KEY} value"),
            ("${ODD}", "${KEY}"),
            ("反馈${KEY}反馈", "反馈value反馈"),
        ] {
            assert_eq!(expanded(text), Ok(wanted.to_owned()), "{text}");
        }
    }

    #[test]
    fn variable_without_braces_is_known() {
        for (text, name) in [
            ("$KEY", Some("KEY")),
            ("$(BOT_URL)", Some("BOT_URL")),
            ("%KEY%", Some("KEY")),
            ("$key", None),
            ("$5", None),
            ("pa$KEY", None),
            ("${KEY}", None),
        ] {
            assert_eq!(bare_reference(text), name, "{text}");
        }
    }

    #[test]
    fn variable_without_braces_is_found_inside_a_value() {
        for (text, name) in [
            ("https://x/$TOKEN/y", Some("TOKEN")),
            ("Bearer $API_KEY", Some("API_KEY")),
            ("https://$(HOST)/", Some("HOST")),
            ("${A}/$TOKEN", Some("TOKEN")),
            ("$100", None),
            ("^x$", None),
            ("(x$)", None),
            ("$1 $$TOKEN", None),
            ("/$metadata?$filter=x", None),
            ("pa$Word$K3", None),
            ("${TOKEN}", None),
            ("$", None),
        ] {
            assert_eq!(bare_references(text).next(), name, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_no_more_than_that() {
        assert_eq!(expanded("${NONE}"), Err(Problem::Unset("NONE".to_owned())));
        assert_eq!(expanded("x ${KEY"), Err(Problem::Unclosed));
        let flaw = Problem::Flaw("QUOTED".to_owned(), "quotes around it".to_owned());
        assert_eq!(expanded("a ${QUOTED}"), Err(flaw));
        let comment = "a comment (`# …`) after it".to_owned();
        let flaw = Problem::Flaw("COMMENTED".to_owned(), comment);
        assert_eq!(expanded("${COMMENTED}"), Err(flaw));
        let exported = Problem::Exported("SHELL_ONLY".to_owned());
        assert_eq!(expanded("${SHELL_ONLY}"), Err(exported));
        for (text, shown) in [("${}", ""), ("${2}", "2…"), ("${hunter-2}", "h…")] {
            assert_eq!(expanded(text), Err(Problem::BadName(shown.to_owned())));
        }
    }
}
