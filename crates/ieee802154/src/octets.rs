//! Little-endian reading and writing, the order of everything in a MAC frame.

use crate::ParseDrop;
use lowgate_units::Eui64;

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseDrop> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(ParseDrop::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ParseDrop> {
        self.array::<1>().map(|[octet]| octet)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ParseDrop> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ParseDrop> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn eui64(&mut self) -> Result<Eui64, ParseDrop> {
        let mut octets = self.array()?;
        octets.reverse();
        Ok(Eui64(octets))
    }
}

/// Writes into a buffer that the caller measured with `len`.
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub(crate) const fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    pub(crate) const fn written(&self) -> usize {
        self.at
    }

    pub(crate) fn all(&mut self, octets: &[u8]) {
        self.out[self.at..self.at + octets.len()].copy_from_slice(octets);
        self.at += octets.len();
    }

    pub(crate) fn u8(&mut self, octet: u8) {
        self.all(&[octet]);
    }

    pub(crate) fn u16(&mut self, number: u16) {
        self.all(&number.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.all(&number.to_le_bytes());
    }

    pub(crate) fn eui64(&mut self, eui64: Eui64) {
        let mut octets = eui64.0;
        octets.reverse();
        self.all(&octets);
    }
}
