//! Reads numbers and slices from the front of bytes that may end anywhere.

/// The bytes that are left to read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn be16(&mut self) -> Option<usize> {
        self.array().map(u16::from_be_bytes).map(usize::from)
    }

    pub(super) fn le16(&mut self) -> Option<usize> {
        self.array().map(u16::from_le_bytes).map(usize::from)
    }

    pub(super) fn be32(&mut self) -> Option<usize> {
        let number = self.array().map(u32::from_be_bytes)?;
        usize::try_from(number).ok()
    }

    pub(super) fn le32(&mut self) -> Option<usize> {
        let number = self.array().map(u32::from_le_bytes)?;
        usize::try_from(number).ok()
    }

    /// Reads a big-endian number of 0, 2, 4 or 8 bytes.
    pub(super) fn be(&mut self, bytes: usize) -> Option<usize> {
        match bytes {
            0 => Some(0),
            2 => self.be16(),
            4 => self.be32(),
            8 => usize::try_from(u64::from_be_bytes(self.array()?)).ok(),
            _ => None,
        }
    }
}
