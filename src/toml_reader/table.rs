//! Reads tables by a list of their keys. Each key is written once: with `keys!` its name, type, meaning and default
//! become a struct, its reader and its schema.

use serde_json::{Map, Value as Json, json};
use toml::Spanned;
use toml::de::DeTable;

use super::diagnostics::{Diagnostics, Location};
use super::node::{Entries, Node, Value, entries_of};
use super::suggest;

/// A table that is being read, and where it is.
#[derive(Debug, Default)]
pub struct Table {
    /// Its path, and the span of its key.
    pub at: Location,
    /// The entries that are not read yet.
    pub entries: Entries,
}

/// The value of a key, if it is written and can be read.
pub type Field<T> = Option<Spanned<T>>;

/// The value of a key that has a default.
#[derive(Clone, Debug)]
pub struct Setting<T> {
    /// The value in the file, if it is written and can be read.
    pub written: Field<T>,
    default: T,
}

impl<T: Read> Setting<T> {
    /// Returns a setting that is not written. The default is read like a written value.
    pub fn new(default: impl Into<Value>) -> Self {
        let node = Node {
            span: 0..0,
            value: default.into(),
        };
        let default = T::read(&node, &Location::default(), &mut Diagnostics::default());
        Self {
            written: None,
            default: default.expect("the default of a key can be read"),
        }
    }
}

impl<T> Setting<T> {
    /// Returns the written value, or the default.
    pub fn value(self) -> T {
        self.written.map_or(self.default, Spanned::into_inner)
    }

    /// Returns the default.
    pub fn into_default(self) -> T {
        self.default
    }
}

/// The place of a key's value in a table.
pub trait Slot<T> {
    /// Stores the value that the file has.
    fn write(&mut self, value: Field<T>);
}

impl<T> Slot<T> for Field<T> {
    fn write(&mut self, value: Field<T>) {
        *self = value;
    }
}

impl<T> Slot<T> for Setting<T> {
    fn write(&mut self, value: Field<T>) {
        self.written = value;
    }
}

/// A key of a table.
#[derive(Debug)]
pub struct Key {
    /// The key as it is written.
    pub name: &'static str,
    /// What it means, for the schema.
    pub meaning: &'static str,
    /// Whether its value is secret.
    pub is_secret: bool,
    /// Returns the schema of its value, with the default.
    pub schema: fn() -> Json,
}

/// A table whose keys are known. `keys!` implements it.
pub trait Keys: Default {
    /// What the table means, for the schema.
    const MEANING: &'static str;
    /// Every key.
    const KEYS: &'static [Key];
    /// The keys that the schema requires.
    const NEEDED: &'static [&'static str];

    /// Reads the value of one key.
    fn set(&mut self, key: &str, node: &Node, at: &Location, out: &mut Diagnostics);
}

/// A type of value: how it is read, and its schema.
pub trait Read: Sized {
    /// Whether the value is secret.
    const IS_SECRET: bool = false;

    /// Reads a value. Reports one that cannot be read.
    fn read(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<Self>;

    /// Returns the schema of the value.
    fn schema() -> Json;
}

impl Table {
    /// Returns this table at `at`.
    pub fn of(table: &DeTable<'_>, at: Location) -> Self {
        let entries = entries_of(table);
        Self { at, entries }
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let found = self
            .entries
            .iter()
            .find(|(known, _)| known.get_ref() == key);
        found.map(|(_, node)| node)
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &str) -> Option<(Spanned<String>, Node)> {
        let mut entries = self.entries.iter();
        let index = entries.position(|(known, _)| known.get_ref() == key)?;
        Some(self.entries.remove(index))
    }

    /// Takes the table at `key` out of this one; an empty table if it is not written.
    pub fn take(&mut self, key: &str, out: &mut Diagnostics) -> Self {
        let entry = self.remove(key);
        let table = entry.and_then(|(key, node)| self.table_at(&key, node, out));
        table.unwrap_or_else(|| Self {
            at: Location::of_path(super::join(&self.at.path, key)),
            entries: Vec::new(),
        })
    }

    /// Takes every entry out. Reports entries that are not tables: `[apps.NAME]`.
    pub fn tables(mut self, out: &mut Diagnostics) -> Vec<(Spanned<String>, Self)> {
        let entries = std::mem::take(&mut self.entries).into_iter();
        let tables = entries.filter_map(|(key, node)| {
            let table = self.table_at(&key, node, out)?;
            Some((key, table))
        });
        tables.collect()
    }

    fn table_at(&self, key: &Spanned<String>, node: Node, out: &mut Diagnostics) -> Option<Self> {
        match node.value {
            Value::Table(entries) => Some(Self {
                at: self.at.key(key.get_ref(), key.span()),
                entries,
            }),
            _ => {
                let at = self.at.key(key.get_ref(), node.span.clone());
                out.wrong_type(&at, "a table", &node);
                None
            }
        }
    }

    /// Takes the keys that `T` knows out of this table and reads them. Unknown keys stay.
    pub fn read<T: Keys>(&mut self, out: &mut Diagnostics) -> T {
        let mut read = T::default();
        let at = &self.at;
        self.entries.retain(|(key, node)| {
            let name = key.get_ref();
            let is_known = T::KEYS.iter().any(|key| key.name == name);
            if is_known {
                read.set(name, node, &at.key(name, node.span.clone()), out);
            }
            !is_known
        });
        read
    }
}

/// Reads a table that is the value of a key. Reports unknown keys.
pub fn read_table<T: Keys>(node: &Node, at: &Location, out: &mut Diagnostics) -> Option<T> {
    let Value::Table(entries) = &node.value else {
        out.wrong_type(at, "a table", node);
        return None;
    };
    let mut table = Table {
        at: at.clone(),
        entries: entries.clone(),
    };
    let read = table.read(out);
    for (key, _) in &table.entries {
        let at = at.key(key.get_ref(), key.span());
        out.unknown_key(
            &at,
            key.get_ref(),
            suggest::key(key.get_ref(), &names::<T>()),
        );
    }
    Some(read)
}

/// Returns the names of the keys of `T`.
pub fn names<T: Keys>() -> Vec<&'static str> {
    T::KEYS.iter().map(|key| key.name).collect()
}

/// Returns the elements of a list; none if it is not written.
pub fn elements<T>(list: Field<Vec<Spanned<T>>>) -> Vec<Spanned<T>> {
    list.map_or_else(Vec::new, Spanned::into_inner)
}

/// Reads the value of a key.
pub fn field<T: Read>(node: &Node, at: &Location, out: &mut Diagnostics) -> Field<T> {
    let value = T::read(node, at, out)?;
    Some(Spanned::new(node.span.clone(), value))
}

/// Returns the schema of a table with the keys of `T` and no others.
pub fn schema_of<T: Keys>() -> Json {
    let mut schema = schema_with(T::MEANING.trim(), T::KEYS.iter());
    if !T::NEEDED.is_empty() {
        schema["required"] = json!(T::NEEDED);
    }
    schema
}

/// Returns the schema of a table with these keys and no others.
pub fn schema_with<'k>(meaning: &str, keys: impl IntoIterator<Item = &'k Key>) -> Json {
    let one = |key: &Key| {
        let mut schema = (key.schema)();
        schema["description"] = key.meaning.trim().into();
        (key.name.to_owned(), schema)
    };
    let properties: Map<String, Json> = keys.into_iter().map(one).collect();
    json!({
        "description": meaning,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

/// Adds the default to the schema of a value.
pub fn or_default(mut schema: Json, default: Option<Json>) -> Json {
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}

/// Defines tables. All keys are optional, so that each can be read by itself. A key is written `name: Type
/// [schema] = default`; without a schema it has that of its type. A key with a default is a [`Setting`], others are a
/// [`Field`]. `field @ "key"` is for keys that are Rust keywords. The comment above a key is its meaning in the schema.
macro_rules! keys {
    (@first $first:expr $(, $others:expr)*) => { $first };
    (@slot $type:ty) => { $crate::toml_reader::Field<$type> };
    (@slot $type:ty, $default:expr) => { $crate::toml_reader::Setting<$type> };
    (@unwritten) => { None };
    (@unwritten $default:expr) => { $crate::toml_reader::Setting::new($default) };
    ($(
        $(#[doc = $about:literal])*
        $vis:vis struct $name:ident $(needs [$($needed:literal),*])? {
            $(
                $(#[doc = $meaning:literal])*
                $field:ident $(@ $key:literal)?: $type:ty $([$schema:expr])? $(= $default:expr)?,
            )*
        }
    )*) => {$(
        $(#[doc = $about])*
        #[derive(Debug)]
        $vis struct $name {
            $(
                #[doc = concat!("`", stringify!($field), "`")]
                $vis $field: $crate::toml_reader::keys!(@slot $type $(, $default)?),
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($field: $crate::toml_reader::keys!(@unwritten $($default)?),)*
                }
            }
        }

        impl $crate::toml_reader::Keys for $name {
            const MEANING: &'static str = concat!($($about),*);
            const NEEDED: &'static [&'static str] = &[$($($needed),*)?];
            const KEYS: &'static [$crate::toml_reader::Key] = &[$($crate::toml_reader::Key {
                name: $crate::toml_reader::keys!(@first $($key,)? stringify!($field)),
                meaning: concat!($($meaning),*),
                is_secret: <$type as $crate::toml_reader::Read>::IS_SECRET,
                schema: || $crate::toml_reader::or_default(
                    $crate::toml_reader::keys!(
                        @first $($schema,)? <$type as $crate::toml_reader::Read>::schema()
                    ),
                    [$(serde_json::json!($default))?].into_iter().next(),
                ),
            }),*];

            fn set(
                &mut self,
                key: &str,
                node: &$crate::toml_reader::Node,
                at: &$crate::toml_reader::Location,
                out: &mut $crate::toml_reader::Diagnostics,
            ) {
                $(if key == $crate::toml_reader::keys!(@first $($key,)? stringify!($field)) {
                    $crate::toml_reader::Slot::write(
                        &mut self.$field,
                        $crate::toml_reader::field::<$type>(node, at, out),
                    );
                })*
            }
        }

        impl $crate::toml_reader::Read for $name {
            fn read(
                node: &$crate::toml_reader::Node,
                at: &$crate::toml_reader::Location,
                out: &mut $crate::toml_reader::Diagnostics,
            ) -> Option<Self> {
                $crate::toml_reader::read_table(node, at, out)
            }

            fn schema() -> serde_json::Value {
                $crate::toml_reader::schema_of::<Self>()
            }
        }
    )*};
}
pub(crate) use keys;
