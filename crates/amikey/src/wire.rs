//! Cursors over octets: reads that end early say so, writes that do not fit say so.

/// The buffer is too short for what was to be emitted; its contents are then meaningless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Reads big-endian fields from the front of a slice.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(len)?;
        self.0 = tail;
        Some(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes octets to the front of a slice.
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    pub(crate) fn put(&mut self, octets: &[u8]) -> Result<(), NoRoom> {
        let end = self.at.checked_add(octets.len()).ok_or(NoRoom)?;
        self.out.get_mut(self.at..end).ok_or(NoRoom)?.copy_from_slice(octets);
        self.at = end;
        Ok(())
    }

    pub(crate) fn put_u8(&mut self, value: u8) -> Result<(), NoRoom> {
        self.put(&[value])
    }

    pub(crate) fn put_u16(&mut self, value: u16) -> Result<(), NoRoom> {
        self.put(&value.to_be_bytes())
    }

    pub(crate) fn put_u32(&mut self, value: u32) -> Result<(), NoRoom> {
        self.put(&value.to_be_bytes())
    }

    /// Two octets of length, then what `body` writes.
    pub(crate) fn put_sized(
        &mut self,
        body: impl FnOnce(&mut Writer<'_>) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom> {
        let at = self.at;
        self.put_u16(0)?;
        let mut inner = Writer::new(self.out.get_mut(at + 2..).ok_or(NoRoom)?);
        body(&mut inner)?;
        let len = inner.at;
        let field = u16::try_from(len).map_err(|_| NoRoom)?;
        self.out.get_mut(at..at + 2).ok_or(NoRoom)?.copy_from_slice(&field.to_be_bytes());
        self.at = at + 2 + len;
        Ok(())
    }

    pub(crate) const fn written(&self) -> usize {
        self.at
    }
}

impl minicbor::encode::Write for Writer<'_> {
    type Error = NoRoom;

    fn write_all(&mut self, octets: &[u8]) -> Result<(), NoRoom> {
        self.put(octets)
    }
}
