//! One Spinel frame: header, command, and for most commands a property and its value.

use crate::pack::{FRAME_OCTETS_MAX, PackDrop, Reader, Writer};
use crate::property::Property;
use heapless::Vec;

const HEADER_MASK: u8 = 0xc0;
const HEADER_FLAG: u8 = 0x80;
const IID_SHIFT: u8 = 4;
const IID_MASK: u8 = 0x03;

/// Transaction identifiers that expect an answer are 1 to this.
pub const TID_MAX: u8 = 15;

/// Pairs an answer with its question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tid(u8);

impl Tid {
    /// Nobody asked, or nobody wants an answer.
    pub const NONE: Self = Self(0);

    /// The one after it that expects an answer.
    pub const fn next(self) -> Self {
        if self.0 >= TID_MAX { Self(1) } else { Self(self.0 + 1) }
    }
}

/// First octet of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which of up to four interfaces; ours is 0.
    pub iid: u8,
    /// Which transaction.
    pub tid: Tid,
}

impl Header {
    /// Of the first interface.
    pub const fn new(tid: Tid) -> Self {
        Self { iid: 0, tid }
    }

    const fn octet(self) -> u8 {
        HEADER_FLAG | (self.iid & IID_MASK) << IID_SHIFT | self.tid.0
    }
}

/// What a frame wants or tells. An open set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Command(pub u32);

impl Command {
    /// Answered with a status of OK.
    pub const NOOP: Self = Self(0);
    /// With one octet that says of what, see [`Command::RESET_PLATFORM`].
    pub const RESET: Self = Self(1);
    /// What is it?
    pub const PROP_VALUE_GET: Self = Self(2);
    /// Let it be.
    pub const PROP_VALUE_SET: Self = Self(3);
    /// Add to it.
    pub const PROP_VALUE_INSERT: Self = Self(4);
    /// Take away from it.
    pub const PROP_VALUE_REMOVE: Self = Self(5);
    /// It is.
    pub const PROP_VALUE_IS: Self = Self(6);
    /// That was added.
    pub const PROP_VALUE_INSERTED: Self = Self(7);
    /// That was taken away.
    pub const PROP_VALUE_REMOVED: Self = Self(8);

    /// Octet of [`Command::RESET`]: the whole co-processor.
    pub const RESET_PLATFORM: u8 = 1;
    /// Octet of [`Command::RESET`]: its protocol stack alone.
    pub const RESET_STACK: u8 = 2;
    /// Octet of [`Command::RESET`]: into the program that takes new firmware.
    pub const RESET_BOOTLOADER: u8 = 3;
}

/// Why octets are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameDrop {
    /// The first octet is not Spinel's.
    NotSpinel,
    /// Command or property make no sense.
    Malformed(PackDrop),
}

impl From<PackDrop> for FrameDrop {
    fn from(drop: PackDrop) -> Self {
        Self::Malformed(drop)
    }
}

/// A frame as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Which interface and transaction.
    pub header: Header,
    /// What it is.
    pub command: Command,
    /// What follows the command.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// From octets without their check sequence.
    pub fn parse(octets: &'a [u8]) -> Result<Self, FrameDrop> {
        let mut reader = Reader::new(octets);
        let first = reader.u8()?;
        if first & HEADER_MASK != HEADER_FLAG {
            return Err(FrameDrop::NotSpinel);
        }
        let header = Header { iid: first >> IID_SHIFT & IID_MASK, tid: Tid(first & TID_MAX) };
        let command = Command(reader.packed()?);
        Ok(Self { header, command, payload: reader.rest() })
    }

    /// The property that it is about, and its value.
    pub fn property(&self) -> Result<(Property, &'a [u8]), PackDrop> {
        let mut reader = Reader::new(self.payload);
        let property = Property(reader.packed()?);
        Ok((property, reader.rest()))
    }
}

/// A frame with what `payload` appends. `None` if it is longer than [`FRAME_OCTETS_MAX`].
pub fn write_frame(
    header: Header,
    command: Command,
    payload: impl FnOnce(Writer) -> Writer,
) -> Option<Vec<u8, FRAME_OCTETS_MAX>> {
    payload(Writer::new().u8(header.octet()).packed(command.0)).finish()
}

/// A frame about a property with the value that `value` appends. `None` if it is longer than
/// [`FRAME_OCTETS_MAX`].
pub fn write_property(
    header: Header,
    command: Command,
    property: Property,
    value: impl FnOnce(Writer) -> Writer,
) -> Option<Vec<u8, FRAME_OCTETS_MAX>> {
    write_frame(header, command, |writer| value(writer.packed(property.0)))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;

    #[test]
    fn a_reset_notice() {
        let octets = hex("80 06 00 72");
        let frame = Frame::parse(&octets).unwrap();
        assert_eq!(frame.header, Header::new(Tid::NONE));
        assert_eq!(frame.command, Command::PROP_VALUE_IS);
        assert_eq!(frame.property(), Ok((Property::LAST_STATUS, &[0x72][..])));
    }

    #[test]
    fn a_question() {
        let header = Header::new(Tid::NONE.next());
        let octets = write_property(header, Command::PROP_VALUE_GET, Property::RADIO_CAPS, |w| w);
        assert_eq!(octets.unwrap().to_vec(), hex("81 02 8b24"));
    }

    #[test]
    fn transactions_go_round_and_never_to_zero() {
        let mut tid = Tid::NONE;
        for _ in 0..40 {
            tid = tid.next();
            assert!((1..=TID_MAX).contains(&tid.0));
        }
    }

    #[test]
    fn other_protocols_are_refused() {
        assert_eq!(Frame::parse(&hex("010000")), Err(FrameDrop::NotSpinel));
        assert_eq!(Frame::parse(&[]), Err(FrameDrop::Malformed(PackDrop::Truncated)));
    }

    proptest! {
        #[test]
        fn any_octets_never_panic_and_come_out_again(octets in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(frame) = Frame::parse(&octets) {
                let _ = frame.property();
                let again = write_frame(frame.header, frame.command, |w| w.octets(frame.payload));
                let again = again.unwrap();
                prop_assert_eq!(Frame::parse(&again), Ok(frame));
            }
        }
    }
}
