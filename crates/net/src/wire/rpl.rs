//! RPL control messages of the non-storing mode, RFC 6550 section 6.

use super::{Reader, Writer};
use crate::api::Packet;
use lowgate_units::Ipv6Addr;

/// ICMPv6 codes (RFC 6550 section 6).
pub(crate) const CODE_DIS: u8 = 0;
pub(crate) const CODE_DIO: u8 = 1;
pub(crate) const CODE_DAO: u8 = 2;
pub(crate) const CODE_DAO_ACK: u8 = 3;

const OPTION_PAD1: u8 = 0;
const OPTION_CONFIGURATION: u8 = 4;
const OPTION_TARGET: u8 = 5;
const OPTION_TRANSIT: u8 = 6;
const OPTION_PREFIX: u8 = 8;

/// The only instance of the mesh, a global one.
pub(crate) const INSTANCE: u8 = 0;
/// Objective code point of MRHOF (RFC 6719 section 6).
const OCP_MRHOF: u16 = 1;
/// Mode of operation 1: non-storing (RFC 6550 section 6.3.1).
const MOP_NON_STORING: u8 = 1;
const FLAG_GROUNDED: u8 = 0x80;
/// "RPI is sent as 0x23" in the flags of the configuration option (RFC 9008 section 4.1.3).
const CONFIGURATION_FLAG_RPI_23: u8 = 0x10;
const CONFIGURATION_OCTETS: u8 = 14;
const PREFIX_OCTETS: u8 = 30;
const PREFIX_FLAG_R: u8 = 0x20;

/// What the root decided for the DODAG (RFC 6550 section 6.7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) interval_doublings: u8,
    /// log2 of milliseconds.
    pub(crate) interval_min: u8,
    pub(crate) redundancy: u8,
    pub(crate) max_rank_increase: u16,
    /// Never zero.
    pub(crate) min_hop_rank_increase: u16,
    /// In units of `lifetime_unit`.
    pub(crate) default_lifetime: u8,
    /// Seconds.
    pub(crate) lifetime_unit: u16,
}

impl Configuration {
    fn parse(mut option: Reader<'_>) -> Option<Self> {
        let (_flags, interval_doublings) = (option.u8()?, option.u8()?);
        let (interval_min, redundancy) = (option.u8()?, option.u8()?);
        let (max_rank_increase, min_hop_rank_increase) = (option.u16()?, option.u16()?);
        let (ocp, _reserved) = (option.u16()?, option.u8()?);
        let (default_lifetime, lifetime_unit) = (option.u8()?, option.u16()?);
        (ocp == OCP_MRHOF && min_hop_rank_increase != 0).then_some(Self {
            interval_doublings,
            interval_min,
            redundancy,
            max_rank_increase,
            min_hop_rank_increase,
            default_lifetime,
            lifetime_unit,
        })
    }

    fn emit(&self, out: &mut Writer) {
        out.put(&[OPTION_CONFIGURATION, CONFIGURATION_OCTETS, CONFIGURATION_FLAG_RPI_23]);
        out.put(&[self.interval_doublings, self.interval_min, self.redundancy]);
        out.u16(self.max_rank_increase);
        out.u16(self.min_hop_rank_increase);
        out.u16(OCP_MRHOF);
        out.put(&[0, self.default_lifetime]);
        out.u16(self.lifetime_unit);
    }
}

/// DODAG information object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dio {
    pub(crate) version: u8,
    pub(crate) rank: u16,
    pub(crate) dtsn: u8,
    /// The root's global address.
    pub(crate) dodag_id: Ipv6Addr,
    pub(crate) configuration: Option<Configuration>,
    /// The sender's own global address (prefix information option with R).
    pub(crate) sender: Option<Ipv6Addr>,
}

impl Dio {
    /// `None` if cut, or of another instance, mode or objective.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (instance, version, rank) = (reader.u8()?, reader.u8()?, reader.u16()?);
        let (mode, dtsn, _reserved) = (reader.u8()?, reader.u8()?, reader.u16()?);
        let dodag_id = reader.addr()?;
        let (mut configuration, mut sender, mut foreign) = (None, None, false);
        let whole = options(reader.rest(), |kind, option| match kind {
            OPTION_CONFIGURATION => {
                configuration = Configuration::parse(option);
                foreign |= configuration.is_none();
            }
            OPTION_PREFIX => sender = sender.or(sender_addr(option)),
            _ => {}
        });
        let ours = instance == INSTANCE && mode >> 3 & 7 == MOP_NON_STORING && !foreign;
        (whole && ours).then_some(Self { version, rank, dtsn, dodag_id, configuration, sender })
    }

    pub(crate) fn emit(&self) -> Option<Packet> {
        let mut out = Writer::default();
        out.put(&[INSTANCE, self.version]);
        out.u16(self.rank);
        out.put(&[FLAG_GROUNDED | MOP_NON_STORING << 3, self.dtsn, 0, 0]);
        out.addr(self.dodag_id);
        if let Some(configuration) = self.configuration {
            configuration.emit(&mut out);
        }
        if let Some(sender) = self.sender {
            // A and L stay off: addresses come by router advertisements.
            out.put(&[OPTION_PREFIX, PREFIX_OCTETS, 64, PREFIX_FLAG_R]);
            out.u32(u32::MAX);
            out.u32(u32::MAX);
            out.u32(0);
            out.addr(sender);
        }
        out.finish()
    }
}

fn sender_addr(mut option: Reader<'_>) -> Option<Ipv6Addr> {
    let (_len, flags) = (option.u8()?, option.u8()?);
    option.take(12)?;
    let addr = option.addr()?;
    (flags & PREFIX_FLAG_R != 0).then_some(addr)
}

/// Body of a solicitation without predicates.
pub(crate) const DIS: [u8; 2] = [0, 0];

/// Destination advertisement object: one target, one parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dao {
    /// K: the root shall answer.
    pub(crate) wants_ack: bool,
    pub(crate) sequence: u8,
    pub(crate) target: Ipv6Addr,
    pub(crate) path_sequence: u8,
    /// In units of the configuration; 0 withdraws.
    pub(crate) path_lifetime: u8,
    /// Global.
    pub(crate) parent: Ipv6Addr,
}

const DAO_FLAG_K: u8 = 0x80;
const DAO_FLAG_D: u8 = 0x40;
const TARGET_OCTETS: u8 = 18;
const TRANSIT_OCTETS: u8 = 20;

impl Dao {
    /// `None` unless a target of 128 bits is followed by a transit option that names its parent.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (instance, flags) = (reader.u8()?, reader.u8()?);
        let (_reserved, sequence) = (reader.u8()?, reader.u8()?);
        if flags & DAO_FLAG_D != 0 {
            reader.addr()?;
        }
        let (mut target, mut found) = (None, None);
        let whole = options(reader.rest(), |kind, option| match kind {
            OPTION_TARGET => target = target_addr(option),
            OPTION_TRANSIT => found = found.or(transit(option).zip(target)),
            _ => {}
        });
        let ((path_sequence, path_lifetime, parent), target) = found?;
        let wants_ack = flags & DAO_FLAG_K != 0;
        (whole && instance == INSTANCE).then_some(Self {
            wants_ack,
            sequence,
            target,
            path_sequence,
            path_lifetime,
            parent,
        })
    }

    pub(crate) fn emit(&self) -> Option<Packet> {
        let mut out = Writer::default();
        out.put(&[INSTANCE, if self.wants_ack { DAO_FLAG_K } else { 0 }, 0, self.sequence]);
        // RFC 6550 section 6.7.8: the target MUST precede its transit information.
        out.put(&[OPTION_TARGET, TARGET_OCTETS, 0, 128]);
        out.addr(self.target);
        out.put(&[OPTION_TRANSIT, TRANSIT_OCTETS, 0, 0, self.path_sequence, self.path_lifetime]);
        out.addr(self.parent);
        out.finish()
    }
}

fn target_addr(mut option: Reader<'_>) -> Option<Ipv6Addr> {
    let (_flags, len) = (option.u8()?, option.u8()?);
    let addr = option.addr()?;
    (len == 128).then_some(addr)
}

fn transit(mut option: Reader<'_>) -> Option<(u8, u8, Ipv6Addr)> {
    option.take(2)?;
    Some((option.u8()?, option.u8()?, option.addr()?))
}

/// The root's answer to a [`Dao`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DaoAck {
    pub(crate) sequence: u8,
    /// 0 accepts, 128 and above refuse (RFC 6550 section 6.5.1).
    pub(crate) status: u8,
}

impl DaoAck {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (instance, _flags) = (reader.u8()?, reader.u8()?);
        let (sequence, status) = (reader.u8()?, reader.u8()?);
        (instance == INSTANCE).then_some(Self { sequence, status })
    }

    pub(crate) fn emit(&self) -> [u8; 4] {
        [INSTANCE, 0, self.sequence, self.status]
    }
}

/// Calls `each` with every option's data; false if they cannot be walked.
fn options<'a>(octets: &'a [u8], mut each: impl FnMut(u8, Reader<'a>)) -> bool {
    let mut reader = Reader::new(octets);
    while let Some(kind) = reader.u8() {
        if kind == OPTION_PAD1 {
            continue;
        }
        let Some(data) = reader.u8().and_then(|len| reader.take(usize::from(len))) else {
            return false;
        };
        each(kind, Reader::new(data));
    }
    true
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::to_hex;
    use proptest::prelude::*;
    use std::string::String;

    const ROOT: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 0);
    const NODE: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 7);

    #[track_caller]
    fn octets(body: &[u8], text: &str) {
        let text: String = text.split_whitespace().collect();
        assert_eq!(to_hex(body), text);
    }

    #[test]
    fn dio_with_configuration_and_sender() {
        let configuration = Configuration {
            interval_doublings: 9,
            interval_min: 9,
            redundancy: 5,
            max_rank_increase: 1024,
            min_hop_rank_increase: 128,
            default_lifetime: 30,
            lifetime_unit: 60,
        };
        let dio = Dio {
            version: 240,
            rank: 128,
            dtsn: 240,
            dodag_id: ROOT,
            configuration: Some(configuration),
            sender: Some(ROOT),
        };
        let body = dio.emit().expect("short");
        octets(
            &body,
            "00 f0 0080 88 f0 0000 fd00000000000000000000fffe000000
             04 0e 10 09 09 05 0400 0080 0001 00 1e 003c
             08 1e 40 20 ffffffff ffffffff 00000000 fd00000000000000000000fffe000000",
        );
        assert_eq!(Dio::parse(&body), Some(dio));
        let mut storing = body.clone();
        storing[4] = 0x90;
        assert_eq!(Dio::parse(&storing), None, "mode 2");
        let mut other_objective = body;
        other_objective[35] = 0;
        assert_eq!(Dio::parse(&other_objective), None, "OF0");
    }

    #[test]
    fn dao_and_its_answer() {
        let dao = Dao {
            wants_ack: true,
            sequence: 241,
            target: NODE,
            path_sequence: 240,
            path_lifetime: 30,
            parent: ROOT,
        };
        let body = dao.emit().expect("short");
        octets(
            &body,
            "00 80 00 f1  05 12 00 80 fd00000000000000000000fffe000007
             06 14 00 00 f0 1e fd00000000000000000000fffe000000",
        );
        assert_eq!(Dao::parse(&body), Some(dao));
        assert_eq!(Dao::parse(&body[24..]), None, "no target");
        let ack = DaoAck { sequence: 241, status: 0 };
        assert_eq!(DaoAck::parse(&ack.emit()), Some(ack));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(dio) = Dio::parse(&octets) {
                prop_assert_eq!(Dio::parse(&dio.emit().expect("short")), Some(dio));
            }
            if let Some(dao) = Dao::parse(&octets) {
                prop_assert_eq!(Dao::parse(&dao.emit().expect("short")), Some(dao));
            }
            let _ = DaoAck::parse(&octets);
        }
    }
}
