//! Boxes of ISO/IEC 14496-12, which HEIF, AVIF and JPEG 2000 consist of.

use std::ops::Range;

use super::reader::Reader;
use super::{Budget, Malformed};

/// A box: its type, where it begins in the file, and where its content is.
pub(super) struct Part {
    pub(super) kind: [u8; 4],
    pub(super) start: usize,
    pub(super) content: Range<usize>,
}

impl Part {
    /// Returns the bytes of the content.
    pub(super) fn content<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes.get(self.content.clone()).unwrap_or_default()
    }
}

/// Walks the boxes that fill a range, in order.
pub(super) struct Parts<'a> {
    bytes: &'a [u8],
    rest: Range<usize>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(bytes: &'a [u8], range: Range<usize>) -> Self {
        Self { bytes, rest: range }
    }

    /// Returns where the next box begins.
    pub(super) fn at(&self) -> usize {
        self.rest.start
    }

    /// Returns the next box; `None` at the end. `cut_short` is the error of a box that does not fit.
    pub(super) fn next(
        &mut self,
        budget: &mut Budget,
        cut_short: Malformed,
    ) -> Result<Option<Part>, Malformed> {
        if self.rest.start >= self.rest.end {
            return Ok(None);
        }
        budget.part()?;
        let part = self.read().ok_or(cut_short)?;
        self.rest.start = part.content.end;
        Ok(Some(part))
    }

    fn read(&self) -> Option<Part> {
        let start = self.rest.start;
        let mut reader = Reader::new(self.bytes.get(self.rest.clone())?);
        let (short, kind) = (reader.be32()?, reader.array()?);
        let (size, header) = match short {
            0 => (self.rest.end - start, 8),
            1 => (reader.be(8)?, 16),
            size => (size, 8),
        };
        let end = start.checked_add(size)?;
        (size >= header && end <= self.rest.end).then(|| Part {
            kind,
            start,
            content: start + header..end,
        })
    }
}
