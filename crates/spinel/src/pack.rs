//! Spinel's data types. All numbers little endian, an EUI-64 in the order it is printed.
//!
//! **Invariant:** a value comes out whole or not at all; a writer that ran out of room yields nothing.

use core::fmt;
use heapless::Vec;
use lowgate_units::Eui64;

/// Octets of the longest frame we write, header included: a raw PSDU with its metadata, and slack.
pub const FRAME_OCTETS_MAX: usize = 256;

/// A packed number has up to three octets of 7 bits.
const PACKED_OCTETS_MAX: usize = 3;

/// Why a value could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackDrop {
    /// The octets end within it.
    Truncated,
    /// A boolean is 0 or 1.
    NotBoolean,
    /// A packed number ends within three octets.
    PackedTooLong,
    /// A text is UTF-8 and ends in a zero.
    NotText,
}

impl fmt::Display for PackDrop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "ends too early",
            Self::NotBoolean => "is no boolean",
            Self::PackedTooLong => "is no packed number",
            Self::NotText => "is no text",
        })
    }
}

/// Takes values off the front of some octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over these octets.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets }
    }

    /// What was not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], PackDrop> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(PackDrop::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PackDrop> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(PackDrop::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    /// `b`
    pub fn boolean(&mut self) -> Result<bool, PackDrop> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(PackDrop::NotBoolean),
        }
    }

    /// `C`
    pub fn u8(&mut self) -> Result<u8, PackDrop> {
        self.array().map(|[octet]| octet)
    }

    /// `c`
    pub fn i8(&mut self) -> Result<i8, PackDrop> {
        self.array().map(i8::from_le_bytes)
    }

    /// `S`
    pub fn u16(&mut self) -> Result<u16, PackDrop> {
        self.array().map(u16::from_le_bytes)
    }

    /// `L`
    pub fn u32(&mut self) -> Result<u32, PackDrop> {
        self.array().map(u32::from_le_bytes)
    }

    /// `X`
    pub fn u64(&mut self) -> Result<u64, PackDrop> {
        self.array().map(u64::from_le_bytes)
    }

    /// `i`, up to 21 bits.
    pub fn packed(&mut self) -> Result<u32, PackDrop> {
        let mut value = 0;
        for index in 0..PACKED_OCTETS_MAX {
            let octet = self.u8()?;
            value |= u32::from(octet & 0x7f) << (7 * index);
            if octet & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(PackDrop::PackedTooLong)
    }

    /// `E`
    pub fn eui64(&mut self) -> Result<Eui64, PackDrop> {
        self.array().map(Eui64)
    }

    /// `d`: octets after their number.
    pub fn data(&mut self) -> Result<&'a [u8], PackDrop> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// `t(..)`: its fields.
    pub fn structure(&mut self) -> Result<Reader<'a>, PackDrop> {
        self.data().map(Reader::new)
    }

    /// `U`: a text and a zero.
    pub fn text(&mut self) -> Result<&'a str, PackDrop> {
        let len = self.rest.iter().position(|&octet| octet == 0).ok_or(PackDrop::NotText)?;
        let text = self.take(len)?;
        self.u8()?;
        core::str::from_utf8(text).map_err(|_| PackDrop::NotText)
    }
}

/// Appends values to a frame.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    octets: Vec<u8, FRAME_OCTETS_MAX>,
    overflown: bool,
}

impl Writer {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { octets: Vec::new(), overflown: false }
    }

    /// The octets; `None` if they were more than [`FRAME_OCTETS_MAX`].
    pub fn finish(self) -> Option<Vec<u8, FRAME_OCTETS_MAX>> {
        if self.overflown { None } else { Some(self.octets) }
    }

    /// `D`: octets as they are.
    pub fn octets(mut self, octets: &[u8]) -> Self {
        self.overflown |= self.octets.extend_from_slice(octets).is_err();
        self
    }

    /// `b`
    pub fn boolean(self, value: bool) -> Self {
        self.u8(u8::from(value))
    }

    /// `C`
    pub fn u8(self, value: u8) -> Self {
        self.octets(&[value])
    }

    /// `c`
    pub fn i8(self, value: i8) -> Self {
        self.octets(&value.to_le_bytes())
    }

    /// `S`
    pub fn u16(self, value: u16) -> Self {
        self.octets(&value.to_le_bytes())
    }

    /// `L`
    pub fn u32(self, value: u32) -> Self {
        self.octets(&value.to_le_bytes())
    }

    /// `X`
    pub fn u64(self, value: u64) -> Self {
        self.octets(&value.to_le_bytes())
    }

    /// `i`; what does not fit into 21 bits counts as too long.
    pub fn packed(mut self, value: u32) -> Self {
        self.overflown |= value >> (7 * PACKED_OCTETS_MAX) != 0;
        let mut rest = value;
        loop {
            let septet = rest.to_le_bytes()[0] & 0x7f;
            rest >>= 7;
            if rest == 0 {
                return self.u8(septet);
            }
            self = self.u8(septet | 0x80);
        }
    }

    /// `E`
    pub fn eui64(self, value: Eui64) -> Self {
        self.octets(&value.0)
    }

    /// `d`
    pub fn data(mut self, octets: &[u8]) -> Self {
        match u16::try_from(octets.len()) {
            Ok(len) => self.u16(len).octets(octets),
            Err(_) => {
                self.overflown = true;
                self
            }
        }
    }

    /// `t(..)`
    pub fn structure(self, fields: impl FnOnce(Self) -> Self) -> Self {
        let start = self.octets.len();
        let mut whole = fields(self.u16(0));
        let len = u16::try_from(whole.octets.len().saturating_sub(start + 2)).unwrap_or(0);
        if let Some(place) = whole.octets.get_mut(start..start + 2) {
            place.copy_from_slice(&len.to_le_bytes());
        }
        whole
    }

    /// `U`; a zero within the text would end it.
    pub fn text(self, text: &str) -> Self {
        self.octets(text.split('\0').next().unwrap_or_default().as_bytes()).u8(0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;

    #[test]
    fn a_packed_number_as_published() {
        assert_eq!(Writer::new().packed(1337).finish().unwrap().to_vec(), hex("b90a"));
        assert_eq!(Reader::new(&hex("b90a")).packed(), Ok(1337));
        assert_eq!(Writer::new().packed(127).finish().unwrap().to_vec(), hex("7f"));
        assert_eq!(Writer::new().packed(2_097_151).finish().unwrap().to_vec(), hex("ffff7f"));
        assert_eq!(Writer::new().packed(2_097_152).finish(), None);
        assert_eq!(Reader::new(&hex("ffffff00")).packed(), Err(PackDrop::PackedTooLong));
        assert_eq!(Reader::new(&hex("ff")).packed(), Err(PackDrop::Truncated));
    }

    #[test]
    fn a_structure_knows_its_length_and_may_grow() {
        let written = Writer::new().structure(|w| w.u8(1).u16(0x0302)).u8(9).finish().unwrap();
        assert_eq!(written.to_vec(), hex("0300 01 0203 09"));
        let mut reader = Reader::new(&written);
        let mut fields = reader.structure().unwrap();
        assert_eq!(fields.u8(), Ok(1));
        assert_eq!(reader.u8(), Ok(9)); // the rest of the structure is passed over
    }

    #[test]
    fn nonsense_has_a_name() {
        assert_eq!(Reader::new(&hex("02")).boolean(), Err(PackDrop::NotBoolean));
        assert_eq!(Reader::new(&hex("0300 01")).data(), Err(PackDrop::Truncated));
        assert_eq!(Reader::new(&hex("4142")).text(), Err(PackDrop::NotText));
        assert_eq!(Reader::new(&hex("ff00")).text(), Err(PackDrop::NotText));
    }

    #[test]
    fn without_room_there_is_nothing() {
        assert_eq!(Writer::new().octets(&[0; FRAME_OCTETS_MAX]).u8(0).finish(), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            a in any::<bool>(), b in any::<i8>(), c in any::<u16>(), d in any::<u32>(),
            e in any::<u64>(), f in 0_u32..1 << 21, g in any::<[u8; 8]>(),
            h in prop::collection::vec(any::<u8>(), 0..64), i in "[a-z0-9 ]{0,32}",
        ) {
            let octets = Writer::new().boolean(a).i8(b).u16(c).u32(d).u64(e).packed(f)
                .eui64(Eui64(g)).data(&h).text(&i).finish().unwrap();
            let mut reader = Reader::new(&octets);
            prop_assert_eq!(reader.boolean(), Ok(a));
            prop_assert_eq!(reader.i8(), Ok(b));
            prop_assert_eq!(reader.u16(), Ok(c));
            prop_assert_eq!(reader.u32(), Ok(d));
            prop_assert_eq!(reader.u64(), Ok(e));
            prop_assert_eq!(reader.packed(), Ok(f));
            prop_assert_eq!(reader.eui64(), Ok(Eui64(g)));
            prop_assert_eq!(reader.data(), Ok(&h[..]));
            prop_assert_eq!(reader.text(), Ok(&i[..]));
            prop_assert!(reader.rest().is_empty());
        }

        #[test]
        fn any_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..40)) {
            let reader = Reader::new(&octets);
            let _ = { reader }.boolean();
            let _ = { reader }.u64();
            let _ = { reader }.packed();
            let _ = { reader }.eui64();
            let _ = { reader }.structure();
            let _ = { reader }.text();
        }
    }
}
