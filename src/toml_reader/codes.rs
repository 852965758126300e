//! Diagnostic codes that any table can use.

/// An unknown key.
pub const UNKNOWN_KEY: &str = "E005";
/// A planned key that is not built yet.
pub const NOT_BUILT: &str = "E006";
/// A value of the wrong type.
pub const WRONG_TYPE: &str = "E007";
/// A value of the right type that cannot be read.
pub const WRONG_VALUE: &str = "E008";
/// A required key is missing.
pub const MISSING_KEY: &str = "E009";
