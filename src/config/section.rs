//! Reads a table key by key, so that one mistake does not hide the next.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue, Deserializer, Error};

use super::hints;
use crate::toml_reader::codes;
use crate::toml_reader::{Diagnostics, Location, from_environment, join};

/// A table of the configuration and its path.
#[derive(Debug)]
pub(super) struct Section<'i> {
    pub(super) at: Location,
    pub(super) table: DeTable<'i>,
}

/// A key as the tree stores it.
type Key<'i> = Spanned<DeString<'i>>;

impl<'i> Section<'i> {
    /// Takes the table at `key` out of this one; an empty table if it is not written.
    pub(super) fn take(&mut self, key: &str, out: &mut Diagnostics) -> Section<'i> {
        let at = Location {
            path: join(&self.at.path, key),
            span: None,
        };
        match self.table.remove_entry(key) {
            None => Section {
                at,
                table: DeTable::new(),
            },
            Some((key, value)) => Self::of_value(at.path.clone(), key.span(), value, out)
                .unwrap_or(Section {
                    at,
                    table: DeTable::new(),
                }),
        }
    }

    /// Takes every entry out. Reports entries that are not tables: `[apps.NAME]`.
    pub(super) fn entries(self, out: &mut Diagnostics) -> Vec<(Spanned<String>, Section<'i>)> {
        let path = self.at.path;
        self.table
            .into_iter()
            .filter_map(|(key, value)| {
                let path = join(&path, key.get_ref());
                let name = Spanned::new(key.span(), key.get_ref().to_string());
                Some((name, Self::of_value(path, key.span(), value, out)?))
            })
            .collect()
    }

    fn of_value(
        path: String,
        key: Range<usize>,
        value: Spanned<DeValue<'i>>,
        out: &mut Diagnostics,
    ) -> Option<Section<'i>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => {
                let at = Location::new(path, key);
                Some(Section { at, table })
            }
            other => {
                let message = format!("expected a table, found {}", kind_of(&other));
                out.add(codes::WRONG_TYPE, &Location::new(path, span), message);
                None
            }
        }
    }

    /// Takes the keys that `T` knows out of this section and reads them.
    pub(super) fn take_known<T: DeserializeOwned + Default>(&mut self, out: &mut Diagnostics) -> T {
        let mut known = DeTable::new();
        let mut unknown = DeTable::new();
        for (key, value) in std::mem::take(&mut self.table) {
            match trial::<T>(&key, &value) {
                Err(problem) if unknown_in(&problem, key.get_ref()) => unknown.insert(key, value),
                Ok(_) | Err(_) => known.insert(key, value),
            };
        }
        self.table = unknown;
        let at = self.at.clone();
        Section { at, table: known }.read(out)
    }

    /// Reads all remaining keys. Reports keys that `T` does not know.
    pub(super) fn read<T: DeserializeOwned + Default>(self, out: &mut Diagnostics) -> T {
        self.read_beside(&[], out)
    }

    /// Like [`read`](Self::read), where `others` are keys that were taken before.
    pub(super) fn read_beside<T: DeserializeOwned + Default>(
        self,
        others: &[&str],
        out: &mut Diagnostics,
    ) -> T {
        let mut sound = DeTable::new();
        for (key, value) in self.table {
            match trial::<T>(&key, &value) {
                Ok(value) => {
                    sound.insert(key, value);
                }
                Err(problem) => tell(&problem, &key, &value, &self.at, others, out),
            }
        }
        let span = self.at.span.unwrap_or_default();
        // This cannot fail, because every key was read by itself and none is required.
        T::deserialize(Deserializer::from(Spanned::new(span, sound))).unwrap_or_default()
    }
}

/// Reads one key by itself. Returns the value in the type that the key needs: text from the environment becomes a
/// number or a boolean if only that is accepted.
fn trial<'i, T: DeserializeOwned>(
    key: &Key<'i>,
    value: &Spanned<DeValue<'i>>,
) -> Result<Spanned<DeValue<'i>>, Error> {
    let problem = match read_one::<T>(key, value.clone()) {
        Ok(_) => return Ok(value.clone()),
        Err(problem) => problem,
    };
    // Only values of the environment are borrowed text at such a span.
    let span = value.span();
    if let DeValue::String(Cow::Borrowed(text)) = value.get_ref()
        && from_environment(&span)
        && let Some(scalar) = scalar(text)
    {
        let scalar = Spanned::new(span, scalar);
        if read_one::<T>(key, scalar.clone()).is_ok() {
            return Ok(scalar);
        }
    }
    Err(problem)
}

fn read_one<T: DeserializeOwned>(key: &Key<'_>, value: Spanned<DeValue<'_>>) -> Result<T, Error> {
    let mut table = DeTable::new();
    let span = value.span();
    table.insert(key.clone(), value);
    T::deserialize(Deserializer::from(Spanned::new(span, table)))
}

/// Parses `text` as a TOML number or boolean.
fn scalar(text: &str) -> Option<DeValue<'_>> {
    let value = DeValue::parse(text).ok()?.into_inner();
    match value {
        DeValue::Boolean(_) | DeValue::Integer(_) => Some(value),
        DeValue::String(_)
        | DeValue::Float(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}

/// Returns the type of this value, in words.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Turns serde's error about a key into a diagnostic. Serde's message repeats the value, which may be a secret,
/// so only the expected type is taken from it.
pub(super) fn tell(
    problem: &Error,
    key: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
    section: &Location,
    others: &[&str],
    out: &mut Diagnostics,
) {
    let at = section.key(key.get_ref(), value.span());
    let message = problem.message();
    let found_date = message.starts_with("unknown field `$__toml_private_datetime`");
    if found_date || message == "wanted string or table" {
        let at = Location::new(at.path, problem.span().unwrap_or_else(|| value.span()));
        let found = found_at(value, at.span.as_ref()).map_or("a date", kind_of);
        return out.add(
            codes::WRONG_TYPE,
            &at,
            format!("expected a string, found {found}"),
        );
    }
    if let Some((unknown, known)) = unknown_field(message) {
        let span = problem.span().unwrap_or_else(|| key.span());
        let path = if unknown == key.get_ref() {
            at.path
        } else {
            join(&at.path, unknown)
        };
        let span = if from_environment(&value.span()) {
            value.span()
        } else {
            span
        };
        let known: Vec<&str> = known.into_iter().chain(others.iter().copied()).collect();
        return hints::unknown_key(unknown, &known, &Location::new(path, span), out);
    }
    let at = Location::new(at.path, problem.span().unwrap_or_else(|| value.span()));
    if let Some((_, expected)) = message.rsplit_once(", expected ") {
        if message.starts_with("unknown variant") {
            let given = found_at(value, at.span.as_ref());
            return hints::unknown_word(given, expected, &at, out);
        }
        let expected = match expected {
            "u32" => "a whole number",
            // A date where a table with user-chosen keys is expected.
            "a spanned value" => "a table",
            expected => expected,
        };
        let found = match found_at(value, at.span.as_ref()) {
            Some(value) => format!(", found {}", kind_of(value)),
            None => String::new(),
        };
        return out.add(
            codes::WRONG_TYPE,
            &at,
            format!("expected {expected}{found}"),
        );
    }
    match message.split_once('\n') {
        Some((message, help)) => out.add_with_help(codes::WRONG_VALUE, &at, message, help),
        None => out.add(codes::WRONG_VALUE, &at, message),
    }
}

/// Returns the value inside `value` that has this span.
fn found_at<'a, 'i>(
    value: &'a Spanned<DeValue<'i>>,
    span: Option<&Range<usize>>,
) -> Option<&'a DeValue<'i>> {
    if Some(&value.span()) == span {
        return Some(value.get_ref());
    }
    match value.get_ref() {
        DeValue::Array(items) => items.iter().find_map(|item| found_at(item, span)),
        DeValue::Table(table) => table.values().find_map(|item| found_at(item, span)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}

/// Returns the key that serde does not know, and the known keys.
pub(super) fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let (key, known) = message
        .strip_prefix("unknown field `")?
        .rsplit_once("`, expected ")
        .or_else(|| {
            let rest = message.strip_prefix("unknown field `")?;
            rest.rsplit_once("`, there are no fields")
        })?;
    // "`a` or `b`" and "one of `a`, `b`": the text between each pair of backticks.
    Some((key, known.split('`').skip(1).step_by(2).collect()))
}

fn unknown_in(problem: &Error, key: &str) -> bool {
    unknown_field(problem.message()).is_some_and(|(unknown, _)| unknown == key)
}
