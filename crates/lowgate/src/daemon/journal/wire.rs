//! Numbers and octets one after the other: what a journal's entries are made of.
//!
//! **Invariant:** what is read never says more than there is; nothing allocates for a length that the
//! octets do not bear out.

use lowgate_units::Ipv6Addr;
use zeroize::Zeroizing;

/// Octets under construction. They may hold keys.
#[derive(Default)]
pub(in crate::daemon) struct Emit(pub(in crate::daemon) Zeroizing<Vec<u8>>);

impl Emit {
    pub(in crate::daemon) fn u8(&mut self, number: u8) -> &mut Self {
        self.0.push(number);
        self
    }

    pub(in crate::daemon) fn u16(&mut self, number: u16) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(in crate::daemon) fn u32(&mut self, number: u32) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(in crate::daemon) fn u64(&mut self, number: u64) -> &mut Self {
        self.raw(&number.to_be_bytes())
    }

    pub(in crate::daemon) fn addr(&mut self, addr: Ipv6Addr) -> &mut Self {
        self.raw(&addr.octets())
    }

    /// With their number before them.
    pub(in crate::daemon) fn octets(&mut self, octets: &[u8]) -> &mut Self {
        let len = u32::try_from(octets.len()).expect("nothing here has 4 GiB");
        self.u32(len).raw(octets)
    }

    pub(in crate::daemon) fn raw(&mut self, octets: &[u8]) -> &mut Self {
        self.0.extend_from_slice(octets);
        self
    }
}

/// Octets being read.
pub(in crate::daemon) struct Parse<'a>(pub(in crate::daemon) &'a [u8]);

impl<'a> Parse<'a> {
    pub(in crate::daemon) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[number]| number)
    }

    pub(in crate::daemon) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(in crate::daemon) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(in crate::daemon) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(in crate::daemon) fn addr(&mut self) -> Option<Ipv6Addr> {
        self.array::<16>().map(Ipv6Addr::from)
    }

    pub(in crate::daemon) fn octets(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.u32()?).ok()?;
        let (octets, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(octets)
    }

    pub(in crate::daemon) fn text(&mut self) -> Option<String> {
        Some(std::str::from_utf8(self.octets()?).ok()?.to_owned())
    }

    pub(in crate::daemon) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (octets, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*octets)
    }

    /// `value`, if that was all.
    pub(in crate::daemon) fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
