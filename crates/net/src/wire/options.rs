//! Hop-by-hop and destination options, RFC 8200 section 4.2, and those of ours: the RPL option
//! (RFC 6553, RFC 9008) and the MPL option (RFC 7731).

use super::{Reader, ipv6};
use heapless::Vec;
use lowgate_units::Ipv6Addr;

/// RPL option as RFC 9008 section 4.3 numbers it: who does not know it skips it.
pub(crate) const RPI: u8 = 0x23;
/// RPL option as RFC 6553 numbered it.
const RPI_OLD: u8 = 0x63;
/// MPL option, RFC 7731 section 6.1.
const MPL: u8 = 0x6d;
const PAD1: u8 = 0;
const PADN: u8 = 1;

/// RPL packet information: what a packet says of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rpi {
    /// O: it travels away from the root.
    pub(crate) down: bool,
    /// R: a rank error was seen once.
    pub(crate) rank_error: bool,
    pub(crate) instance: u8,
    pub(crate) sender_rank: u16,
}

const RPI_FLAG_DOWN: u8 = 0x80;
const RPI_FLAG_RANK_ERROR: u8 = 0x40;

impl Rpi {
    fn parse(data: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        let (flags, instance, sender_rank) = (reader.u8()?, reader.u8()?, reader.u16()?);
        Some(Self {
            down: flags & RPI_FLAG_DOWN != 0,
            rank_error: flags & RPI_FLAG_RANK_ERROR != 0,
            instance,
            sender_rank,
        })
    }

    fn flags(&self) -> u8 {
        let down = if self.down { RPI_FLAG_DOWN } else { 0 };
        down | if self.rank_error { RPI_FLAG_RANK_ERROR } else { 0 }
    }

    /// A hop-by-hop header that holds the option alone; its first octet is for the next header.
    pub(crate) fn header(&self) -> [u8; 8] {
        let [high, low] = self.sender_rank.to_be_bytes();
        [0, 0, RPI, 4, self.flags(), self.instance, high, low]
    }
}

/// Who made a multicast packet, as the option or a control message names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SeedId {
    /// S = 0 and S = 3: an IPv6 address.
    Addr(Ipv6Addr),
    /// S = 1.
    Short(u16),
    /// S = 2.
    Long(u64),
}

/// The MPL option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MplOption {
    pub(crate) seed: SeedId,
    /// M: the largest sequence known of the seed.
    pub(crate) largest: bool,
    pub(crate) sequence: u8,
}

const MPL_FLAG_LARGEST: u8 = 0x20;
const MPL_FLAG_V: u8 = 0x10;

impl MplOption {
    fn parse(data: &[u8], src: Ipv6Addr) -> Option<Self> {
        let mut reader = Reader::new(data);
        let (flags, sequence) = (reader.u8()?, reader.u8()?);
        // RFC 7731 section 6.1: a packet whose V is not zero MUST be dropped.
        if flags & MPL_FLAG_V != 0 {
            return None;
        }
        let seed = match flags >> 6 {
            0 => SeedId::Addr(src),
            1 => SeedId::Short(reader.u16()?),
            2 => SeedId::Long(u64::from_be_bytes(reader.array()?)),
            _ => SeedId::Addr(reader.addr()?),
        };
        Some(Self { seed, largest: flags & MPL_FLAG_LARGEST != 0, sequence })
    }

    /// A hop-by-hop header with the option in its S = 0 form: the seed is the packet's source.
    pub(crate) fn header(sequence: u8) -> [u8; 8] {
        [0, 0, MPL, 2, 0, sequence, PADN, 0]
    }

    /// The flags octet again, with M as given.
    pub(crate) fn with_largest(flags: u8, largest: bool) -> u8 {
        flags & !MPL_FLAG_LARGEST | if largest { MPL_FLAG_LARGEST } else { 0 }
    }
}

/// What an options header said, and where the data of an option lie in the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) rpi: Option<(Rpi, usize)>,
    pub(crate) mpl: Option<(MplOption, usize)>,
}

/// Why an options header stops a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OptionsFault {
    /// It cannot be read.
    Malformed,
    /// An unknown option whose two highest bits say "discard" (RFC 8200 section 4.2); with a
    /// message to the source if `report`.
    Unknown { at: usize, report: bool },
}

impl Options {
    /// Reads a hop-by-hop or destination options header; also gives the next header and what
    /// follows.
    pub(crate) fn parse(
        octets: &[u8],
        src: Ipv6Addr,
        multicast: bool,
    ) -> Result<(Self, u8, &[u8]), OptionsFault> {
        use OptionsFault::{Malformed, Unknown};
        let (next_header, len, rest) = extension(octets).ok_or(Malformed)?;
        let mut found = Self::default();
        let mut at = 2;
        while at < len {
            let kind = octets[at];
            if kind == PAD1 {
                at += 1;
                continue;
            }
            let mut reader = Reader::new(&octets[at + 1..len]);
            let data_len = usize::from(reader.u8().ok_or(Malformed)?);
            let data = reader.take(data_len).ok_or(Malformed)?;
            match kind {
                PADN => {}
                RPI | RPI_OLD => {
                    found.rpi = Some((Rpi::parse(data).ok_or(Malformed)?, at + 2));
                }
                MPL => {
                    found.mpl = Some((MplOption::parse(data, src).ok_or(Malformed)?, at + 2));
                }
                unknown => match unknown >> 6 {
                    0 => {}
                    1 => return Err(Unknown { at, report: false }),
                    2 => return Err(Unknown { at, report: true }),
                    _ => return Err(Unknown { at, report: !multicast }),
                },
            }
            at += 2 + data_len;
        }
        Ok((found, next_header, rest))
    }
}

/// Writes `rpi` over the option whose data start at `at` in `packet`.
pub(crate) fn rewrite_rpi(packet: &mut [u8], at: usize, rpi: &Rpi) {
    if let Some(data) = packet.get_mut(at..at + 4) {
        data.copy_from_slice(&rpi.header()[4..]);
    }
}

/// An extension header of the common shape: next header, length in octets, what follows.
pub(crate) fn extension(octets: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (next_header, len) = (*octets.first()?, (usize::from(*octets.get(1)?) + 1) * 8);
    Some((next_header, len, octets.get(len..)?))
}

/// The first header that is no extension header, and the octets from there on.
pub(crate) fn upper<'a>(packet: &ipv6::Ipv6<'a>) -> Option<(u8, &'a [u8])> {
    let (mut kind, mut rest) = (packet.next_header, packet.payload);
    let mut seen: Vec<u8, EXTENSION_HEADERS_MAX> = Vec::new();
    while matches!(kind, ipv6::HOP_BY_HOP | ipv6::ROUTING | ipv6::DESTINATION_OPTIONS) {
        seen.push(kind).ok()?;
        (kind, _, rest) = extension(rest)?;
    }
    Some((kind, rest))
}

/// Extension headers a packet may have before we look no further.
pub(crate) const EXTENSION_HEADERS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;

    const SRC: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 1);

    #[track_caller]
    fn check(text: &str, expected: Result<Options, OptionsFault>) {
        let octets = hex(text);
        assert_eq!(Options::parse(&octets, SRC, false).map(|(options, ..)| options), expected);
        for end in 0..octets.len() {
            let _ = Options::parse(&octets[..end], SRC, false);
        }
    }

    fn rpi(down: bool, rank_error: bool, sender_rank: u16) -> Options {
        Options { rpi: Some((Rpi { down, rank_error, instance: 0, sender_rank }, 4)), mpl: None }
    }

    fn mpl(seed: SeedId, largest: bool, sequence: u8) -> Options {
        Options { rpi: None, mpl: Some((MplOption { seed, largest, sequence }, 4)) }
    }

    #[test]
    fn rpl_option_of_both_numbers() {
        check("11 00 23 04 00 00 01 80", Ok(rpi(false, false, 0x180)));
        check("11 00 63 04 c0 00 01 80", Ok(rpi(true, true, 0x180)));
        check("11 00 23 03 00 00 01 00", Err(OptionsFault::Malformed));
    }

    #[test]
    fn mpl_option_of_every_seed_length() {
        check("29 00 6d 02 20 07 01 00", Ok(mpl(SeedId::Addr(SRC), true, 7)));
        check("29 00 6d 04 40 07 12 34", Ok(mpl(SeedId::Short(0x1234), false, 7)));
        check(
            "29 01 6d 0a 80 07 0102030405060708 00 00",
            Ok(mpl(SeedId::Long(0x0102_0304_0506_0708), false, 7)),
        );
        check(
            "29 02 6d 12 c0 07 fd000000000000000000000000000009 01 00",
            Ok(mpl(SeedId::Addr("fd00::9".parse().expect("address")), false, 7)),
        );
        check("29 00 6d 02 10 07 01 00", Err(OptionsFault::Malformed)); // V
    }

    #[test]
    fn unknown_options_by_their_two_highest_bits() {
        check("11 00 3e 04 00000000", Ok(Options::default()));
        check("11 00 7e 04 00000000", Err(OptionsFault::Unknown { at: 2, report: false }));
        check("11 00 be 04 00000000", Err(OptionsFault::Unknown { at: 2, report: true }));
        check("11 00 3e 05 00000000", Err(OptionsFault::Malformed)); // past the header
        check("11 01 3e 04 00000000", Err(OptionsFault::Malformed)); // header past the packet
    }

    #[test]
    fn headers_we_write_read_back() {
        let Options { rpi: Some((rpi, _)), .. } = rpi(true, false, 0x300) else { unreachable!() };
        let (read, ..) = Options::parse(&rpi.header(), SRC, false).expect("ours");
        assert_eq!(read.rpi, Some((rpi, 4)));
        let header = MplOption::header(9);
        let (read, ..) = Options::parse(&header, SRC, true).expect("ours");
        assert_eq!(read, mpl(SeedId::Addr(SRC), false, 9));
        let mut header = header;
        let flags = &mut header[4];
        *flags = MplOption::with_largest(*flags, true);
        let (read, ..) = Options::parse(&header, SRC, true).expect("ours");
        assert_eq!(read, mpl(SeedId::Addr(SRC), true, 9));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_octets_never_panic(mut octets in proptest::collection::vec(any::<u8>(), 0..40), small: bool) {
            if let (true, Some(len)) = (small, octets.get_mut(1)) {
                *len %= 4;
            }
            let _ = Options::parse(&octets, SRC, true);
        }
    }
}
