//! Values that must not be shown by accident: text of reporters, and secrets.

use std::fmt;

use zeroize::Zeroizing;

/// Text or data of a person. `Debug` shows only the length and there is no `Display`, so only
/// [`Private::expose`] reveals the text.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Private(String);

impl Private {
    /// Wraps a person's text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text: for rendering, matching and storing, never for logs or errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "‹private, {} characters›", self.0.chars().count())
    }
}

/// A secret: a key, a token or a secret URL. It is never shown, and erased from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the secret: for signing and sending, never for logs or errors.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether `given` is this secret, in constant time, so that timing does not reveal a
    /// matching prefix.
    pub fn matches(&self, given: &str) -> bool {
        use subtle::ConstantTimeEq;
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹secret›")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_value() {
        assert_eq!(
            format!("{:?}", Private::new("王小明")),
            "‹private, 3 characters›"
        );
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "‹secret›");
    }

    #[test]
    fn a_prefix_of_a_secret_is_not_the_secret() {
        let secret = Secret::new("abcdef");
        assert!(secret.matches("abcdef"));
        assert!(!secret.matches("abcde"));
        assert!(!secret.matches(""));
    }
}
