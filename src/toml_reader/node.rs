//! A TOML value of any type with its span. Its reader validates it.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::spans::from_environment;

/// The entries of a table; each key has its span.
pub type Entries = Vec<(Spanned<String>, Node)>;

/// A value and its span.
#[derive(Clone, Debug)]
pub struct Node {
    /// The value's bytes in the file.
    pub span: Range<usize>,
    /// The content.
    pub value: Value,
}

/// The content of a value.
#[derive(Clone, Debug)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Whole(i64),
    /// A number beyond 64 bits.
    Huge,
    /// A number with a fraction.
    Fraction(f64),
    /// True or false.
    Flag(bool),
    /// A date, a time, or both, as TOML writes it.
    Date(String),
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Entries),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl Value {
    /// Returns the name of this type for diagnostics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Whole(_) => "an integer",
            Self::Huge => "a huge number",
            Self::Fraction(_) => "a decimal number",
            Self::Flag(_) => "a boolean",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    /// Converts any value of the parser.
    pub fn of(value: &Spanned<DeValue<'_>>) -> Self {
        Self {
            span: value.span(),
            value: match value.get_ref() {
                DeValue::String(text) => Value::Text(text.to_string()),
                DeValue::Integer(number) => {
                    let whole = i64::from_str_radix(number.as_str(), number.radix());
                    whole.map_or(Value::Huge, Value::Whole)
                }
                DeValue::Float(number) => {
                    Value::Fraction(number.as_str().parse().unwrap_or(f64::NAN))
                }
                DeValue::Boolean(flag) => Value::Flag(*flag),
                DeValue::Datetime(date) => Value::Date(date.to_string()),
                DeValue::Array(items) => Value::List(items.iter().map(Self::of).collect()),
                DeValue::Table(table) => return Self::of_table(table, value.span()),
            },
        }
    }

    /// Converts a table at `span`.
    pub fn of_table(table: &DeTable<'_>, span: Range<usize>) -> Self {
        Self {
            span,
            value: Value::Table(entries_of(table)),
        }
    }

    /// Returns the string; `None` if it is of another type.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the whole number; `None` if it is of another type.
    pub fn whole(&self) -> Option<i64> {
        match self.scalar() {
            Value::Whole(number) => Some(number),
            _ => None,
        }
    }

    /// Returns whether it is true; `None` if it is of another type.
    pub fn flag(&self) -> Option<bool> {
        match self.scalar() {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    /// Returns the value. Text from the environment, where everything is text, is parsed as TOML.
    fn scalar(&self) -> Value {
        match &self.value {
            Value::Text(text) if from_environment(&self.span) => {
                DeValue::parse(text).map_or(Value::Huge, |value| Self::of(&value).value)
            }
            value => value.clone(),
        }
    }

    /// Returns the value of `name` in this table.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Value::Table(entries) = &self.value else {
            return None;
        };
        let found = entries.iter().find(|(key, _)| key.get_ref() == name);
        found.map(|(_, node)| node)
    }

    /// Returns the span of the value of `name` in this table; the table's own span if it is missing.
    pub fn span_of(&self, name: &str) -> Range<usize> {
        self.get(name).unwrap_or(self).span.clone()
    }

    /// Returns the elements of a list, or the value itself if it is not a list.
    pub fn elements(&self) -> &[Self] {
        match &self.value {
            Value::List(elements) => elements,
            _ => std::slice::from_ref(self),
        }
    }

    /// Calls `each` with every string in this value.
    pub fn each_text(&self, each: &mut impl FnMut(&str)) {
        match &self.value {
            Value::Text(text) => each(text),
            Value::List(elements) => elements.iter().for_each(|one| one.each_text(each)),
            Value::Table(entries) => entries.iter().for_each(|(_, one)| one.each_text(each)),
            _ => {}
        }
    }
}

/// Converts the entries of a table.
pub fn entries_of(table: &DeTable<'_>) -> Entries {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name = AsRef::<str>::as_ref(key.get_ref()).to_owned();
        (Spanned::new(key.span(), name), Node::of(value))
    };
    table.iter().map(entry).collect()
}

/// Formats the value as TOML on one line.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Whole(number) => write!(f, "{number}"),
            Value::Fraction(number) => write!(f, "{number:?}"),
            Value::Flag(flag) => write!(f, "{flag}"),
            Value::Date(date) => f.write_str(date),
            Value::Huge => f.write_str(self.value.kind()),
            Value::List(elements) => {
                f.write_str("[")?;
                for (index, element) in elements.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{element}")?;
                }
                f.write_str("]")
            }
            Value::Table(entries) => {
                f.write_str("{ ")?;
                for (index, (key, value)) in entries.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{} = {value}", key.get_ref())?;
                }
                f.write_str(" }")
            }
        }
    }
}
