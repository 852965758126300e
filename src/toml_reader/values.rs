//! Reads the values that many keys have.
//!
//! Diagnostics never repeat the text, because it may be a secret.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value as Json, json};
use toml::Spanned;

use super::diagnostics::{Diagnostics, Location};
use super::node::{Node, Value};
use super::table::{Read, field, keys};
use super::{codes, schema, suggest};
use crate::model::Secret;

/// Ten years: longer than any retention, short enough for all time arithmetic.
const DURATION_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// The form of a text that stands for a value.
#[derive(Debug)]
pub struct Form {
    /// What is expected instead of another type.
    pub expected: &'static str,
    /// What is wrong with a text that cannot be read.
    pub complaint: &'static str,
    /// What to write.
    pub help: &'static str,
}

const DURATION: Form = Form {
    expected: "a duration like \"90s\"",
    complaint: "not a duration",
    help: "write a whole number and ms, s, m, h or d, like \"800ms\", \"90s\", \"5m\" or \"3d\"; at most \"3650d\"",
};

const SIZE: Form = Form {
    expected: "a size like \"10MiB\"",
    complaint: "not a size",
    help: "write a whole number and KiB, MiB or GiB, like \"10MiB\", or plain bytes",
};

/// Reads a text of this form.
pub fn formed<T>(
    node: &Node,
    at: &Location,
    out: &mut Diagnostics,
    form: &Form,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let Some(text) = node.text() else {
        out.wrong_type(at, form.expected, node);
        return None;
    };
    let value = parse(text);
    if value.is_none() {
        out.add_with_help(codes::WRONG_VALUE, at, form.complaint, form.help);
    }
    value
}

/// Reads one of these words.
pub fn choice<T: Copy>(
    node: &Node,
    at: &Location,
    out: &mut Diagnostics,
    words: &[(&str, T)],
) -> Option<T> {
    let Some(given) = node.text() else {
        out.wrong_type(at, "a string", node);
        return None;
    };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == given) {
        return Some(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let expected = match names.as_slice() {
        [one, other] => format!("expected `{one}` or `{other}`"),
        all => format!("expected one of `{}`", all.join("`, `")),
    };
    let near = suggest::nearest(given, names);
    let help = near.map(|near| format!("did you mean \"{near}\"?"));
    out.report(codes::WRONG_VALUE, at, expected, help);
    None
}

/// Defines the words of a type whose values are a fixed set.
macro_rules! words {
    ($($type:ty { $($value:ident = $word:literal,)* })*) => {$(
        impl $crate::toml_reader::Read for $type {
            fn read(
                node: &$crate::toml_reader::Node,
                at: &$crate::toml_reader::Location,
                out: &mut $crate::toml_reader::Diagnostics,
            ) -> Option<Self> {
                let words = [$(($word, <$type>::$value)),*];
                $crate::toml_reader::choice(node, at, out, &words)
            }

            fn schema() -> serde_json::Value {
                $crate::toml_reader::schema::word([$($word),*])
            }
        }
    )*};
}
pub(crate) use words;

/// Returns the value, and reports one of the wrong type.
fn typed<T>(
    value: Option<T>,
    expected: &str,
    node: &Node,
    at: &Location,
    out: &mut Diagnostics,
) -> Option<T> {
    if value.is_none() {
        out.wrong_type(at, expected, node);
    }
    value
}

impl Read for String {
    fn read(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Self> {
        typed(node.text().map(str::to_owned), "a string", node, at, out)
    }

    fn schema() -> Json {
        schema::text()
    }
}

impl Read for bool {
    fn read(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Self> {
        typed(node.flag(), "a boolean", node, at, out)
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

impl Read for u32 {
    fn read(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Self> {
        let whole = node.whole().and_then(|whole| Self::try_from(whole).ok());
        typed(whole, "a whole number", node, at, out)
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 0 })
    }
}

/// A value that its reader interprets itself.
impl Read for Node {
    fn read(node: &Node, _: &Location, _: &mut Diagnostics) -> Option<Self> {
        Some(node.clone())
    }

    fn schema() -> Json {
        json!({})
    }
}

impl Read for Duration {
    fn read(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Self> {
        formed(node, at, out, &DURATION, duration)
    }

    fn schema() -> Json {
        let examples = ["800ms", "90s", "5m", "24h", "3d"];
        schema::form(r"^\s*[0-9]+\s*(ms|s|m|h|d)\s*$", &examples)
    }
}

/// A number of bytes: `"10MiB"`, `"512KiB"`, or a plain number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Read for Size {
    fn read(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Self> {
        let Value::Whole(number) = node.value else {
            return formed(node, at, out, &SIZE, size);
        };
        let size = u64::try_from(number).ok().map(Self);
        if size.is_none() {
            out.add_with_help(codes::WRONG_VALUE, at, SIZE.complaint, SIZE.help);
        }
        size
    }

    fn schema() -> Json {
        let pattern = r"^\s*[0-9]+\s*(B|KiB|MiB|GiB|TiB)?\s*$";
        let text = schema::form(pattern, &["512KiB", "10MiB", "20GiB"]);
        json!({ "anyOf": [text, u32::schema()] })
    }
}

/// A secret as it is written: the value itself, or the file that contains it.
#[derive(Clone, Debug)]
pub enum RawSecret {
    /// The value.
    Itself(Secret),
    /// The file.
    File(Spanned<String>),
}

keys! {
    /// The file that contains a secret
    pub struct InFile needs ["file"] {
        /// The file
        file: String,
    }
}

impl Read for RawSecret {
    const IS_SECRET: bool = true;

    fn read(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Self> {
        if let Some(text) = node.text() {
            return Some(Self::Itself(Secret::new(text)));
        }
        if !matches!(node.value, Value::Table(_)) {
            out.wrong_type(at, "a string or { file = \"…\" }", node);
            return None;
        }
        let before = out.count();
        let InFile { file } = InFile::read(node, at, out)?;
        if file.is_none() && out.count() == before {
            let message = format!("`{}` needs the key `file`", at.path);
            out.add_with_help(codes::MISSING_KEY, at, message, "write the file's path");
        }
        file.filter(|_| out.count() == before).map(Self::File)
    }

    fn schema() -> Json {
        json!({
            "anyOf": [
                { "type": "string", "minLength": 1, "examples": ["${NAME}"] },
                {
                    "type": "object",
                    "properties": { "file": schema::text() },
                    "required": ["file"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// One value or a list. An element that cannot be read is left out, so that it does not hide mistakes of the others.
pub type Many<T> = Vec<Spanned<T>>;

impl<T: Read> Read for Many<T> {
    const IS_SECRET: bool = T::IS_SECRET;

    fn read(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Self> {
        if !matches!(
            node.value,
            Value::Text(_) | Value::Table(_) | Value::List(_)
        ) {
            out.wrong_type(at, "a string or a list of strings", node);
            return None;
        }
        let elements = node.elements().iter().enumerate();
        let read =
            elements.filter_map(|(index, one)| field(one, &at.element(node, index, one), out));
        Some(read.collect())
    }

    fn schema() -> Json {
        schema::many(T::schema())
    }
}

/// Values with names that the user chooses. A value that cannot be read is left out.
pub type Named<T> = BTreeMap<Spanned<String>, Spanned<T>>;

impl<T: Read> Read for Named<T> {
    const IS_SECRET: bool = T::IS_SECRET;

    fn read(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            out.wrong_type(at, "a table", node);
            return None;
        };
        let mut read = Self::new();
        for (key, node) in entries {
            let at = at.key(key.get_ref(), node.span.clone());
            if let Some(value) = field(node, &at, out) {
                read.insert(key.clone(), value);
            }
        }
        Some(read)
    }

    fn schema() -> Json {
        json!({ "type": "object", "additionalProperties": T::schema() })
    }
}

/// Splits a number from its unit.
fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim()))
}

/// Parses `"800ms"`, `"90s"`, `"5 m"`, `"24h"`, `"3d"`: a whole number and a unit.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let millis_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.checked_mul(millis_per_unit)?);
    (duration <= DURATION_MAX).then_some(duration)
}

fn size(text: &str) -> Option<Size> {
    let (number, unit) = split_unit(text)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift).map(Size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, wanted) in [
            ("800ms", Some(800)),
            ("90s", Some(90_000)),
            ("5 m", Some(300_000)),
            ("24h", Some(86_400_000)),
            ("3d", Some(259_200_000)),
            ("0s", Some(0)),
            ("3650d", Some(315_360_000_000)),
            ("3651d", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
            ("90", None),
            ("-5s", None),
            ("1.5h", None),
            ("5 min", None),
            ("", None),
            ("一天", None),
        ] {
            let millis = duration(text).map(|period| period.as_millis());
            assert_eq!(millis, wanted, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, wanted) in [
            ("1048576", Some(1 << 20)),
            ("10MiB", Some(10 << 20)),
            ("512 KiB", Some(512 << 10)),
            ("20GiB", Some(20 << 30)),
            ("5B", Some(5)),
            ("10MB", None),
            ("99999999999999TiB", None),
            ("MiB", None),
        ] {
            assert_eq!(size(text).map(|size| size.0), wanted, "{text}");
        }
    }
}
