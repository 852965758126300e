//! A TOML value of any type with its span. Its reader validates it.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

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
    /// True or false.
    Flag(bool),
    /// A list.
    List(Vec<Node>),
    /// A table; each key has its span.
    Table(Vec<(Spanned<String>, Node)>),
    /// A value that no key accepts: a fraction, a date, a number beyond 64 bits.
    Foreign(&'static str),
}

impl Value {
    /// Returns the name of this type for diagnostics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Whole(_) => "a number",
            Self::Flag(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Foreign(kind) => kind,
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
                    whole.map_or(Value::Foreign("a huge number"), Value::Whole)
                }
                DeValue::Float(_) => Value::Foreign("a fraction"),
                DeValue::Boolean(flag) => Value::Flag(*flag),
                DeValue::Datetime(_) => Value::Foreign("a date"),
                DeValue::Array(items) => Value::List(items.iter().map(Self::of).collect()),
                DeValue::Table(table) => return Self::of_table(table, value.span()),
            },
        }
    }

    /// Converts a table at `span`.
    pub fn of_table(table: &DeTable<'_>, span: Range<usize>) -> Self {
        let entries = table.iter().map(|(key, value)| {
            let name = Spanned::new(key.span(), key.get_ref().to_string());
            (name, Self::of(value))
        });
        Self {
            span,
            value: Value::Table(entries.collect()),
        }
    }

    /// Returns the span of the value of `name` in this table; the table's own span if it is missing.
    pub fn span_of(&self, name: &str) -> Range<usize> {
        let Value::Table(entries) = &self.value else {
            return self.span.clone();
        };
        let found = entries.iter().find(|(key, _)| key.get_ref() == name);
        found.map_or_else(|| self.span.clone(), |(_, node)| node.span.clone())
    }

    /// Returns the elements of a list, or the value itself if it is no list.
    pub fn elements(&self) -> &[Self] {
        match &self.value {
            Value::List(elements) => elements,
            Value::Text(_)
            | Value::Whole(_)
            | Value::Flag(_)
            | Value::Table(_)
            | Value::Foreign(_) => std::slice::from_ref(self),
        }
    }
}

/// Formats the value as TOML on one line.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Whole(number) => write!(f, "{number}"),
            Value::Flag(flag) => write!(f, "{flag}"),
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
            Value::Foreign(_) => f.write_str(self.value.kind()),
        }
    }
}
