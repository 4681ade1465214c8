//! What a keyed router says of itself to a device that looks for a way in: the beacon's payload.
//!
//! ```text
//! version8 = 1 | flags8 (bit 0: joining is open) | domain hint 4 | DAGRank8 | load8
//! ```
//! A beacon is not secured: it chooses whom to try first and how soon to repeat the first hello to it, and
//! nothing else may depend on it.

/// The version this code speaks.
pub const BEACON_VERSION: u8 = 1;
/// Octets of the payload; a longer one is read as far as this version knows.
pub const BEACON_OCTETS: usize = 8;
/// From this load on a relay is in a crowd: it may drop who speaks for the first time.
pub const CROWD_LOAD_MIN: u8 = 128;
const FLAG_JOIN_OPEN: u8 = 0x01;

/// The payload of a beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// The relay would pass a joiner's datagrams on.
    pub join_open: bool,
    /// The first octets of a hash over the domain's name: tells domains apart, proves nothing.
    pub domain_hint: [u8; 4],
    /// The relay's DAGRank (RFC 6550 section 3.5.1): 1 is the root.
    pub dag_rank: u8,
    /// How busy the relay is, 0 to 255.
    pub load: u8,
}

/// Why octets are no beacon payload of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeaconDrop {
    /// Fewer than [`BEACON_OCTETS`].
    TooShort,
    /// Another version, or somebody else's beacon.
    Version,
}

impl Beacon {
    /// Reads a payload.
    ///
    /// # Errors
    /// The first fault found.
    pub fn parse(octets: &[u8]) -> Result<Self, BeaconDrop> {
        let [version, flags, h0, h1, h2, h3, dag_rank, load, ..] = *octets else {
            return Err(BeaconDrop::TooShort);
        };
        if version != BEACON_VERSION {
            return Err(BeaconDrop::Version);
        }
        let join_open = flags & FLAG_JOIN_OPEN != 0;
        Ok(Self { join_open, domain_hint: [h0, h1, h2, h3], dag_rank, load })
    }

    /// The payload's octets.
    pub fn emit(&self) -> [u8; BEACON_OCTETS] {
        let [h0, h1, h2, h3] = self.domain_hint;
        let flags = if self.join_open { FLAG_JOIN_OPEN } else { 0 };
        [BEACON_VERSION, flags, h0, h1, h2, h3, self.dag_rank, self.load]
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn golden_octets() {
        let beacon = Beacon {
            join_open: true,
            domain_hint: [0xca, 0xfe, 0xba, 0xbe],
            dag_rank: 3,
            load: 17,
        };
        assert_eq!(beacon.emit()[..], hex("01 01 cafebabe 03 11"));
        assert_eq!(Beacon::parse(&hex("01 01 cafebabe 03 11 99")), Ok(beacon));
    }

    #[test]
    fn foreign_beacons_are_told_apart() {
        assert_eq!(Beacon::parse(&hex("01 01 cafebabe 03")), Err(BeaconDrop::TooShort));
        assert_eq!(Beacon::parse(&hex("03 01 cafebabe 03 11")), Err(BeaconDrop::Version));
    }

    proptest! {
        #[test]
        fn any_octets_never_panic_and_what_parses_emits_alike(octets: Vec<u8>) {
            if let Ok(beacon) = Beacon::parse(&octets) {
                prop_assert_eq!(Beacon::parse(&beacon.emit()), Ok(beacon));
            }
        }
    }
}
