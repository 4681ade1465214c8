//! The fields of a beacon between its header and its payload, IEEE 802.15.4-2006 clause 7.2.2.1.
//!
//! **Invariant:** the lists are views of octets that were checked; ours are always empty, because a
//! network without superframes gives no slots and announces no pending frames.

use crate::ParseDrop;
use crate::octets::{Reader, Writer};
use lowgate_units::{Eui64, LinkAddr, ShortAddr};

/// Everything of a beacon that stays readable when it is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeaconFields<'a> {
    /// Superframe specification.
    pub superframe: Superframe,
    /// Guaranteed time slots.
    pub gts: Gts<'a>,
    /// Devices for which frames wait.
    pub pending: PendingAddresses<'a>,
}

impl<'a> BeaconFields<'a> {
    /// Of a network without superframes.
    pub const NONBEACON: Self = Self {
        superframe: Superframe::NONBEACON,
        gts: Gts { octets: &[0] },
        pending: PendingAddresses { octets: &[0] },
    };

    /// Octets on the wire, from 4.
    pub const fn len(&self) -> usize {
        2 + self.gts.octets.len() + self.pending.octets.len()
    }

    pub(crate) fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseDrop> {
        Ok(Self {
            superframe: Superframe::new(reader.u16()?).ok_or(ParseDrop::BeaconReserved)?,
            gts: Gts::parse(reader)?,
            pending: PendingAddresses::parse(reader)?,
        })
    }

    pub(crate) fn emit(&self, writer: &mut Writer<'_>) {
        writer.u16(self.superframe.0);
        writer.all(self.gts.octets);
        writer.all(self.pending.octets);
    }
}

/// Superframe specification field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superframe(u16);

impl Superframe {
    /// No beacons but those asked for, the whole time open to contention.
    pub const NONBEACON: Self = Self(0x0fff);

    /// `None` if the reserved bit is set.
    pub const fn new(raw: u16) -> Option<Self> {
        if raw & 0x2000 == 0 { Some(Self(raw)) } else { None }
    }

    /// Exponent of the beacon interval; 15 means no periodic beacons.
    pub const fn beacon_order(self) -> u8 {
        self.0 as u8 & 0x0f
    }

    /// Exponent of the active part; 15 means none.
    pub const fn superframe_order(self) -> u8 {
        self.0 as u8 >> 4
    }

    /// Last slot of the contention access period.
    pub const fn final_cap_slot(self) -> u8 {
        (self.0 >> 8) as u8 & 0x0f
    }

    /// The receiver sleeps early in each period.
    pub const fn battery_life_extension(self) -> bool {
        self.0 & 0x1000 != 0
    }

    /// Sent by the PAN coordinator.
    pub const fn pan_coordinator(self) -> bool {
        self.0 & 0x4000 != 0
    }

    /// Association in the sense of 802.15.4 is open. Our networks have none.
    pub const fn association_permit(self) -> bool {
        self.0 & 0x8000 != 0
    }
}

/// GTS specification, directions and list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gts<'a> {
    octets: &'a [u8],
}

/// One guaranteed time slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GtsDescriptor {
    /// Whose.
    pub short: ShortAddr,
    /// First slot, 0 to 15.
    pub start: u8,
    /// Slots, 0 to 15.
    pub slots: u8,
    /// From the coordinator to the device.
    pub receive_only: bool,
}

impl<'a> Gts<'a> {
    fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseDrop> {
        let start = reader.rest();
        let specification = reader.u8()?;
        if specification & 0x78 != 0 {
            return Err(ParseDrop::BeaconReserved);
        }
        let count = specification & 0x07;
        if count > 0 && reader.u8()? & 0x80 != 0 {
            return Err(ParseDrop::BeaconReserved);
        }
        for _ in 0..count {
            let [low, high, _slots] = reader.array()?;
            ShortAddr::new(u16::from_le_bytes([low, high])).ok_or(ParseDrop::ShortAddrReserved)?;
        }
        Ok(Self { octets: &start[..start.len() - reader.rest().len()] })
    }

    /// The coordinator gives slots to who asks.
    pub fn permit(&self) -> bool {
        self.octets.first().is_some_and(|specification| specification & 0x80 != 0)
    }

    /// The slots, at most 7.
    pub fn descriptors(&self) -> impl Iterator<Item = GtsDescriptor> + use<'a> {
        let directions = self.octets.get(1).copied().unwrap_or(0);
        let list = self.octets.get(2..).unwrap_or(&[]);
        list.chunks_exact(3).enumerate().filter_map(move |(i, descriptor)| {
            Some(GtsDescriptor {
                short: ShortAddr::new(u16::from_le_bytes([descriptor[0], descriptor[1]]))?,
                start: descriptor[2] & 0x0f,
                slots: descriptor[2] >> 4,
                receive_only: directions >> i & 1 != 0,
            })
        })
    }
}

/// Pending address specification and list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingAddresses<'a> {
    octets: &'a [u8],
}

impl<'a> PendingAddresses<'a> {
    fn parse(reader: &mut Reader<'a>) -> Result<Self, ParseDrop> {
        let start = reader.rest();
        let specification = reader.u8()?;
        let (short, extended) = (specification & 0x07, specification >> 4 & 0x07);
        // Clause 7.2.2.1.6: at most seven addresses.
        if specification & 0x88 != 0 || short + extended > 7 {
            return Err(ParseDrop::BeaconReserved);
        }
        for _ in 0..short {
            ShortAddr::new(reader.u16()?).ok_or(ParseDrop::ShortAddrReserved)?;
        }
        for _ in 0..extended {
            reader.eui64()?;
        }
        Ok(Self { octets: &start[..start.len() - reader.rest().len()] })
    }

    /// The devices, at most 7, those with short addresses first.
    pub fn addresses(&self) -> impl Iterator<Item = LinkAddr> + use<'a> {
        let (specification, list) = self.octets.split_first().unwrap_or((&0, &[]));
        let (short, extended) = list.split_at(2 * usize::from(specification & 0x07));
        let short = short.chunks_exact(2).filter_map(|octets| {
            ShortAddr::new(u16::from_le_bytes([octets[0], octets[1]])).map(LinkAddr::Short)
        });
        let extended = extended.chunks_exact(8).filter_map(|octets| {
            let mut eui64: [u8; 8] = octets.try_into().ok()?;
            eui64.reverse();
            Some(LinkAddr::Extended(Eui64(eui64)))
        });
        short.chain(extended)
    }
}
