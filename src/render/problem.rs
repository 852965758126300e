//! Describes a mistake in a rendered message that its platform rejects or shows as nothing.

/// A mistake in a rendered message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Problem {
    /// The diagnostic code.
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Text to search for in the template, to find the place.
    pub(super) near: Option<String>,
    /// Whether the message shows nothing. That is not a mistake if other events fill the message.
    pub(super) is_empty: bool,
}

impl Problem {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            ..Self::default()
        }
    }

    #[must_use]
    pub(super) fn with_help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// Places the mistake where the template contains this text in quotes.
    #[must_use]
    pub(super) fn near(self, text: &str) -> Self {
        Self {
            near: Some(format!("\"{text}\"")),
            ..self
        }
    }
}
