//! Bounds-checked cursors over octets. **Invariant:** no index can leave its slice.

/// The octets ended within a field.
pub(crate) struct Truncated;

/// The output has no room for the octets.
pub(crate) struct Full;

/// Takes octets from the front of a slice.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Truncated> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn octet(&mut self) -> Result<u8, Truncated> {
        self.array::<1>().map(|[octet]| octet)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Appends octets to a slice whose earlier content does not matter.
pub(crate) struct Writer<'a> {
    octets: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(octets: &'a mut [u8]) -> Self {
        Self { octets, len: 0 }
    }

    /// Octets written so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn put(&mut self, octets: &[u8]) -> Result<(), Full> {
        let end = self.len.checked_add(octets.len()).ok_or(Full)?;
        self.octets.get_mut(self.len..end).ok_or(Full)?.copy_from_slice(octets);
        self.len = end;
        Ok(())
    }

    /// Overwrites octets written earlier.
    pub(crate) fn patch(&mut self, at: usize, octets: &[u8]) -> Result<(), Full> {
        let end = at.checked_add(octets.len()).filter(|end| *end <= self.len).ok_or(Full)?;
        self.octets.get_mut(at..end).ok_or(Full)?.copy_from_slice(octets);
        Ok(())
    }
}
