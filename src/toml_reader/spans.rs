//! Spans record where values come from.
//!
//! The span of a value from a file is its byte range. A value from the environment gets a span beyond the end of
//! every file, which numbers the variable. So each value carries its own place, and no second table is needed.

use std::ops::Range;

/// The first span that stands for an environment variable. No file is that large.
const ENVIRONMENT: usize = usize::MAX / 2;

/// Returns whether a value with this span came from the environment.
pub fn from_environment(span: &Range<usize>) -> bool {
    span.start >= ENVIRONMENT
}

/// Returns the span that stands for the environment variable with this number.
pub(super) const fn of_variable(number: usize) -> Range<usize> {
    let start = ENVIRONMENT + number;
    start..start + 1
}

/// Returns the number of the environment variable that a value came from. `None` if it came from a file.
pub(super) const fn variable(span: &Range<usize>) -> Option<usize> {
    span.start.checked_sub(ENVIRONMENT)
}
