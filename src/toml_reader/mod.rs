//! Reads TOML for sections and rules: typed values with spans, codes and suggestions. So the same mistake gets the
//! same message everywhere.
//!
//! Reading never stops at the first mistake: a [`Node`] can hold any TOML value, and its reader adds each mistake to
//! the [`Diagnostics`].

pub mod codes;
mod diagnostics;
mod node;
pub mod schema;
mod spans;
pub mod suggest;
mod table;
mod values;
mod zones;

pub use diagnostics::{Diagnostics, Location, join};
pub use node::{Entries, Node, Value, entries_of};
pub use spans::from_environment;
pub(crate) use table::keys;
pub use table::{
    Field, Key, Keys, Read, Setting, Slot, Table, elements, field, names, or_default, read_table,
    schema_of, schema_with,
};
pub(crate) use values::words;
pub use values::{Form, InFile, Many, Named, RawSecret, Size, choice, duration, formed};
pub use zones::{similar_zone, zone};
