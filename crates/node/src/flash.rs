//! What a node keeps across a power cut, as records of a key-value store.
//!
//! **Invariant:** a record is written whole or not at all, and what a frame depends on is stored
//! before the frame leaves. Counters are stored as the first value that was *not* reserved.

use heapless::Vec;
use lowgate_amikey::pairwise::SetName;
use lowgate_amikey::{Cfg, GroupId, KeyIndex, Message, Messages, TekId, emit_all};
use lowgate_units::{Eui64, ShortAddr};

/// Octets of the largest record.
pub const RECORD_OCTETS_MAX: usize = 224;
/// Octets of a share in one record.
pub const PART_OCTETS_MAX: usize = 192;
/// Names of lost devices in one record.
pub const PART_NAMES_MAX: usize = 24;
/// A record's octets. They hold keys: the store must keep them from others.
pub type RecordOctets = Vec<u8, RECORD_OCTETS_MAX>;

/// Names a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKey {
    /// [`Record::Network`].
    Network,
    /// [`Record::FrameCounter`] of one link key.
    FrameCounter(KeyIndex),
    /// [`Record::MplSequence`].
    MplSequence,
    /// [`Record::DodagVersion`].
    DodagVersion,
    /// [`Record::Group`] of one group.
    Group(GroupId),
    /// [`Record::GroupSequence`] of one group.
    GroupSequence(GroupId),
    /// [`Record::Member`] of one address.
    Member(ShortAddr),
    /// [`Record::PairShare`] of one slot.
    PairShare {
        /// Of two shares which.
        slot: u8,
        /// Counted from 0.
        part: u8,
    },
    /// [`Record::Pairs`].
    Pairs,
    /// [`Record::PairsLost`], counted from 0.
    PairsLost(u8),
}

impl RecordKey {
    /// A name of three octets, for stores that know names as octets.
    pub fn octets(self) -> [u8; 3] {
        let (kind, number) = match self {
            Self::Network => (0, 0),
            Self::FrameCounter(index) => (1, u16::from(index.raw())),
            Self::MplSequence => (2, 0),
            Self::DodagVersion => (3, 0),
            Self::Group(group) => (4, group.0),
            Self::GroupSequence(group) => (5, group.0),
            Self::Member(short) => (6, short.raw()),
            Self::PairShare { slot, part } => (7, u16::from_be_bytes([slot, part])),
            Self::Pairs => (8, 0),
            Self::PairsLost(part) => (9, u16::from(part)),
        };
        let [high, low] = number.to_be_bytes();
        [kind, high, low]
    }

    /// What [`Self::octets`] gave; `None` for anything else.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let [kind, high, low] = *octets else { return None };
        let number = u16::from_be_bytes([high, low]);
        let key = match kind {
            0 => Self::Network,
            1 => Self::FrameCounter(KeyIndex::new(low)?),
            2 => Self::MplSequence,
            3 => Self::DodagVersion,
            4 => Self::Group(GroupId(number)),
            5 => Self::GroupSequence(GroupId(number)),
            6 => Self::Member(ShortAddr::new(number)?),
            7 => Self::PairShare { slot: high, part: low },
            8 => Self::Pairs,
            9 => Self::PairsLost(low),
            _ => return None,
        };
        (key.octets() == octets).then_some(key)
    }
}

/// One record. It prints its name only: what it holds are keys.
#[derive(Clone, PartialEq, Eq)]
pub enum Record {
    /// The configuration in force, with every link key that opens frames.
    Network {
        /// The key that seals.
        active: KeyIndex,
        /// All of it.
        cfg: Cfg,
    },
    /// Frame counters reserved under one link key.
    FrameCounter {
        /// The key.
        index: KeyIndex,
        /// The first counter not reserved.
        below: u32,
    },
    /// MPL sequence numbers reserved.
    MplSequence {
        /// The last number reserved.
        through: u8,
    },
    /// Border router: the DODAG's version since this boot.
    DodagVersion {
        /// The version.
        version: u8,
    },
    /// A group's key and epoch: its MKD and SPD as the manager sent them.
    Group {
        /// The group.
        group: GroupId,
        /// Two messages.
        messages: Vec<u8, 200>,
    },
    /// Sequence numbers reserved as a sender of a group.
    GroupSequence {
        /// The group.
        group: GroupId,
        /// Of this epoch.
        epoch: TekId,
        /// The first number not reserved.
        below: u64,
    },
    /// Border router: whom the manager admitted.
    Member {
        /// Its address.
        short: ShortAddr,
        /// Who.
        eui64: Eui64,
    },
    /// A part of a share of a polynomial.
    PairShare {
        /// Of two shares which: the next is written beside the one in use.
        slot: u8,
        /// Counted from 0.
        part: u8,
        /// Of which polynomial.
        name: SetName,
        /// Coefficients.
        octets: Vec<u8, PART_OCTETS_MAX>,
    },
    /// The share in use: all its parts were written before.
    Pairs {
        /// Of which polynomial, and the octets of all its parts.
        held: (SetName, u16),
        /// The one before, while it is taken besides.
        previous: Option<(SetName, u16)>,
    },
    /// Devices that there are no keys with any more.
    PairsLost {
        /// Counted from 0.
        part: u8,
        /// Who.
        names: Vec<Eui64, PART_NAMES_MAX>,
    },
}

impl core::fmt::Debug for Record {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Record({:?})", self.key())
    }
}

impl Record {
    /// The record's name.
    pub const fn key(&self) -> RecordKey {
        match self {
            Self::Network { .. } => RecordKey::Network,
            Self::FrameCounter { index, .. } => RecordKey::FrameCounter(*index),
            Self::MplSequence { .. } => RecordKey::MplSequence,
            Self::DodagVersion { .. } => RecordKey::DodagVersion,
            Self::Group { group, .. } => RecordKey::Group(*group),
            Self::GroupSequence { group, .. } => RecordKey::GroupSequence(*group),
            Self::Member { short, .. } => RecordKey::Member(*short),
            Self::PairShare { slot, part, .. } => RecordKey::PairShare { slot: *slot, part: *part },
            Self::Pairs { .. } => RecordKey::Pairs,
            Self::PairsLost { part, .. } => RecordKey::PairsLost(*part),
        }
    }

    /// A group's record from its messages.
    pub fn group(group: GroupId, mkd: Message, spd: Message) -> Option<Self> {
        let mut messages = Vec::new();
        messages.resize_default(messages.capacity()).ok()?;
        let len = emit_all(&[mkd, spd], &mut messages).ok()?;
        messages.truncate(len);
        Some(Self::Group { group, messages })
    }

    /// The octets to store under [`Record::key`].
    pub fn emit(&self) -> RecordOctets {
        let mut out = RecordOctets::new();
        let fits = match self {
            Self::Network { active, cfg } => {
                let mut body = [0; RECORD_OCTETS_MAX - 1];
                let len = cfg.emit(&mut body).expect("CFG_OCTETS_MAX fits a record");
                out.push(active.raw()).is_ok() && out.extend_from_slice(&body[..len]).is_ok()
            }
            Self::FrameCounter { below, .. } => out.extend_from_slice(&below.to_be_bytes()).is_ok(),
            Self::MplSequence { through } => out.push(*through).is_ok(),
            Self::DodagVersion { version } => out.push(*version).is_ok(),
            Self::Group { messages, .. } => out.extend_from_slice(messages).is_ok(),
            Self::GroupSequence { epoch, below, .. } => {
                out.extend_from_slice(&epoch.raw().to_be_bytes()).is_ok()
                    && out.extend_from_slice(&below.to_be_bytes()).is_ok()
            }
            Self::Member { eui64, .. } => out.extend_from_slice(&eui64.0).is_ok(),
            Self::PairShare { name, octets, .. } => {
                out.extend_from_slice(&name_octets(*name)).is_ok()
                    && out.extend_from_slice(octets).is_ok()
            }
            Self::Pairs { held, previous } => {
                [Some(held), previous.as_ref()].into_iter().flatten().all(|(name, octets)| {
                    out.extend_from_slice(&name_octets(*name)).is_ok()
                        && out.extend_from_slice(&octets.to_be_bytes()).is_ok()
                })
            }
            Self::PairsLost { names, .. } => {
                names.iter().all(|name| out.extend_from_slice(&name.0).is_ok())
            }
        };
        assert!(fits, "RECORD_OCTETS_MAX covers every record");
        out
    }

    /// Reads what was stored under `key`; `None` when the storage is damaged.
    pub fn parse(key: RecordKey, octets: &[u8]) -> Option<Self> {
        Some(match key {
            RecordKey::Network => {
                let (active, body) = octets.split_first()?;
                let active = KeyIndex::new(*active)?;
                let cfg = Cfg::parse(body).ok()?;
                cfg.keys.iter().any(|key| key.index == active).then_some(())?;
                Self::Network { active, cfg }
            }
            RecordKey::FrameCounter(index) => {
                Self::FrameCounter { index, below: u32::from_be_bytes(octets.try_into().ok()?) }
            }
            RecordKey::MplSequence => {
                let [through] = octets.try_into().ok()?;
                Self::MplSequence { through }
            }
            RecordKey::DodagVersion => {
                let [version] = octets.try_into().ok()?;
                Self::DodagVersion { version }
            }
            RecordKey::Group(group) => {
                Messages::new(octets).all(|message| message.is_ok()).then_some(())?;
                Self::Group { group, messages: Vec::from_slice(octets).ok()? }
            }
            RecordKey::GroupSequence(group) => {
                let (epoch, below) = octets.split_at_checked(2)?;
                let epoch = TekId::new(u16::from_be_bytes(epoch.try_into().ok()?))?;
                let below = u64::from_be_bytes(below.try_into().ok()?);
                Self::GroupSequence { group, epoch, below }
            }
            RecordKey::Member(short) => {
                Self::Member { short, eui64: Eui64(octets.try_into().ok()?) }
            }
            RecordKey::PairShare { slot, part } => {
                let (name, octets) = named(octets)?;
                Self::PairShare { slot, part, name, octets: Vec::from_slice(octets).ok()? }
            }
            RecordKey::Pairs => {
                let (held, rest) = named_and_counted(octets)?;
                let previous = match rest {
                    [] => None,
                    rest => Some(named_and_counted(rest).filter(|it| it.1.is_empty())?.0),
                };
                Self::Pairs { held, previous }
            }
            RecordKey::PairsLost(part) => {
                let (names, rest) = octets.as_chunks();
                rest.is_empty().then_some(())?;
                let mut lost = Vec::new();
                names.iter().try_for_each(|name| lost.push(Eui64(*name))).ok()?;
                Self::PairsLost { part, names: lost }
            }
        })
    }
}

const fn name_octets(SetName { set, generation }: SetName) -> [u8; 3] {
    let [high, low] = set.to_be_bytes();
    [high, low, generation]
}

fn named(octets: &[u8]) -> Option<(SetName, &[u8])> {
    let ([high, low, generation], rest) = octets.split_first_chunk()?;
    let set = u16::from_be_bytes([*high, *low]);
    Some((SetName { set, generation: *generation }, rest))
}

/// A polynomial, the octets of a share of it, and what stands behind them.
fn named_and_counted(octets: &[u8]) -> Option<((SetName, u16), &[u8])> {
    let (name, rest) = named(octets)?;
    let (count, rest) = rest.split_first_chunk()?;
    Some(((name, u16::from_be_bytes(*count)), rest))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_amikey::{KeyUsage, LinkKey};
    use lowgate_crypto::Key128;
    use proptest::prelude::*;
    use std::vec::Vec as StdVec;

    fn check(record: Record) {
        assert_eq!(Record::parse(record.key(), &record.emit()), Some(record));
    }

    #[test]
    fn every_record_comes_back() {
        let index = KeyIndex::FIRST;
        let key = LinkKey { index, usage: KeyUsage::EncMic64, key: Key128::new([9; 16]) };
        let cfg = Cfg { keys: Vec::from_iter([key]), join_rate: Some(7), ..Cfg::default() };
        check(Record::Network { active: index, cfg });
        check(Record::FrameCounter { index, below: 1024 });
        check(Record::MplSequence { through: 15 });
        check(Record::DodagVersion { version: 241 });
        check(Record::GroupSequence { group: GroupId(1), epoch: TekId::FIRST, below: 1 << 39 });
        let short = ShortAddr::new(0x1234).expect("in range");
        let eui64 = Eui64([1, 2, 3, 4, 5, 6, 7, 8]);
        check(Record::Member { short, eui64 });
        let name = SetName { set: 258, generation: 7 };
        let octets = Vec::from_iter([9; PART_OCTETS_MAX]);
        check(Record::PairShare { slot: 1, part: 10, name, octets });
        check(Record::Pairs { held: (name, 4096), previous: None });
        check(Record::Pairs { held: (name, 512), previous: Some((name, 1024)) });
        check(Record::PairsLost { part: 3, names: Vec::from_iter([eui64; PART_NAMES_MAX]) });
    }

    #[test]
    fn every_name_comes_back() {
        for key in [
            RecordKey::Network,
            RecordKey::FrameCounter(KeyIndex::FIRST),
            RecordKey::MplSequence,
            RecordKey::DodagVersion,
            RecordKey::Group(GroupId(513)),
            RecordKey::GroupSequence(GroupId(u16::MAX)),
            RecordKey::Member(ShortAddr::new(0xfffd).expect("in range")),
            RecordKey::PairShare { slot: 1, part: 20 },
            RecordKey::Pairs,
            RecordKey::PairsLost(255),
        ] {
            assert_eq!(RecordKey::parse(&key.octets()), Some(key));
        }
        for octets in [
            &[][..],
            &[10, 0, 0],
            &[8, 0, 1],
            &[9, 1, 0],
            &[6, 0xff, 0xfe],
            &[0, 0, 1],
            &[1, 1, 1],
            &[4, 0],
        ] {
            assert_eq!(RecordKey::parse(octets), None);
        }
    }

    #[test]
    fn an_active_key_that_is_not_there_is_damage() {
        let cfg = Cfg { join_rate: Some(7), ..Cfg::default() };
        let record = Record::Network { active: KeyIndex::FIRST, cfg };
        assert_eq!(Record::parse(RecordKey::Network, &record.emit()), None);
    }

    proptest! {
        #[test]
        fn a_name_that_is_read_is_written_alike(octets: StdVec<u8>, three: [u8; 3]) {
            for octets in [&octets[..], &three] {
                let key = RecordKey::parse(octets);
                prop_assert!(key.is_none_or(|key| key.octets() == octets));
            }
        }

        #[test]
        fn damaged_storage_never_panics(octets: StdVec<u8>) {
            for key in [
                RecordKey::Network,
                RecordKey::FrameCounter(KeyIndex::FIRST),
                RecordKey::MplSequence,
                RecordKey::DodagVersion,
                RecordKey::Group(GroupId(1)),
                RecordKey::GroupSequence(GroupId(1)),
                RecordKey::PairShare { slot: 0, part: 0 },
                RecordKey::Pairs,
                RecordKey::PairsLost(0),
            ] {
                let _ = Record::parse(key, &octets);
            }
        }
    }
}
