//! The quantities of key management; each type guards its own rule.

use core::fmt;
use lowgate_crypto::{Key128, Secret};

/// A group's generation key: everything of one crypto session bundle is derived from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tgk(pub Key128);

/// The RAND of one epoch. Public in RFC 3830, **confidential in this profile**, so it does not
/// print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rand(pub Secret<16>);

/// Identifier of a crypto session bundle: random, new with every [`Tgk`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CsbId(pub u32);

impl CsbId {
    /// What a request says when its sender holds no bundle yet.
    pub const NONE: Self = Self(0);
}

impl fmt::Debug for CsbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// Number of a TEK and at once the DTLS epoch of the records under it; never 0, the null epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TekId(u16);

impl TekId {
    /// Of a new group.
    pub const FIRST: Self = Self(1);

    /// `None` for 0.
    pub const fn new(raw: u16) -> Option<Self> {
        if raw == 0 { None } else { Some(Self(raw)) }
    }

    /// The epoch on the wire.
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// The epoch after this one; 1 comes after 65535, and then only together with a new [`CsbId`].
    pub const fn next(self) -> Self {
        Self(if self.0 == u16::MAX { 1 } else { self.0 + 1 })
    }

    /// Whether it was given after another, by serial arithmetic.
    pub const fn is_after(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 1 << 15
    }
}

/// Stable name of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u16);

/// Counts the [`Tgk`]s a group has had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u16);

impl Generation {
    /// The generation of the next [`Tgk`]; 0 comes after 65535.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// A member that may send or respond under the group's keys: 1 to 254.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SenderId(u8);

impl SenderId {
    /// The smallest.
    pub const MIN: Self = Self(1);
    /// The largest: at most 254 members send or respond in one epoch.
    pub const MAX: Self = Self(254);

    /// `None` for 0 (reserved) and 255 (receive only).
    pub const fn new(raw: u8) -> Option<Self> {
        if raw == 0 || raw == 0xff { None } else { Some(Self(raw)) }
    }

    /// The number on the wire.
    pub const fn raw(self) -> u8 {
        self.0
    }

    /// The next larger one, `None` after [`SenderId::MAX`].
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

/// A set of [`SenderId`]s: who may send in an epoch, so that replay tables hold only them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderSet([u8; 32]);

impl SenderSet {
    /// Nobody.
    pub const EMPTY: Self = Self([0; 32]);

    /// Adds `id`.
    pub fn insert(&mut self, id: SenderId) {
        self.0[usize::from(id.0 / 8)] |= 0x80 >> (id.0 % 8);
    }

    /// Takes `id` out.
    pub fn remove(&mut self, id: SenderId) {
        self.0[usize::from(id.0 / 8)] &= !(0x80 >> (id.0 % 8));
    }

    /// Whether `id` is in the set.
    pub fn contains(&self, id: SenderId) -> bool {
        self.0[usize::from(id.0 / 8)] & (0x80 >> (id.0 % 8)) != 0
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|octet| octet.count_ones() as usize).sum()
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// All of them, ascending.
    pub fn iter(&self) -> impl Iterator<Item = SenderId> + '_ {
        (1..=254).map(SenderId).filter(|id| self.contains(*id))
    }

    /// As a bit string (octet i, bit j from the left is SenderID 8i+j) without trailing zero
    /// octets.
    pub(crate) fn bits(&self) -> &[u8] {
        let len = self.0.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
        &self.0[..len]
    }

    /// `None` when the string is too long or holds the numbers 0 or 255, which name nobody.
    pub(crate) fn from_bits(bits: &[u8]) -> Option<Self> {
        let mut set = Self::EMPTY;
        set.0.get_mut(..bits.len())?.copy_from_slice(bits);
        (set.0[0] & 0x80 == 0 && set.0[31] & 0x01 == 0).then_some(set)
    }
}

impl FromIterator<SenderId> for SenderSet {
    fn from_iter<I: IntoIterator<Item = SenderId>>(ids: I) -> Self {
        let mut set = Self::EMPTY;
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

impl fmt::Debug for SenderSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(SenderId::raw)).finish()
    }
}

/// What a member does in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Hears requests and may respond.
    Listener,
    /// Sends requests.
    Sender,
    /// Both.
    SenderAndListener,
}

impl Role {
    /// `None` for 0, which stands for leaving where leaving can be asked, and above 3.
    pub const fn new(bits: u8) -> Option<Self> {
        match bits {
            1 => Some(Self::Listener),
            2 => Some(Self::Sender),
            3 => Some(Self::SenderAndListener),
            _ => None,
        }
    }

    /// Bit 0 listener, bit 1 sender.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Listener => 1,
            Self::Sender => 2,
            Self::SenderAndListener => 3,
        }
    }

    /// The word for it in files, tables and commands.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Sender => "sender",
            Self::SenderAndListener => "both",
        }
    }

    /// The inverse of [`Role::word`].
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Listener, Self::Sender, Self::SenderAndListener]
            .into_iter()
            .find(|role| role.word() == word)
    }

    /// Whether it hears requests.
    pub const fn listens(self) -> bool {
        self.bits() & 1 != 0
    }

    /// Whether it sends requests.
    pub const fn sends(self) -> bool {
        self.bits() & 2 != 0
    }

    /// Whether every right of `other` is among this one's.
    pub const fn covers(self, other: Self) -> bool {
        self.bits() & other.bits() == other.bits()
    }
}

/// Number of a message of one direction of a session; compared by serial arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MsgId(pub u8);

impl MsgId {
    /// The number after this one; 0 comes after 255.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    // RFC 1982 section 3.2 with SERIAL_BITS = 8; numbers 128 apart are ordered neither way.
    /// Whether this one was sent after `other`, seeing at most 127 messages at a time.
    pub const fn is_newer_than(self, other: Self) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 0x80
    }
}

/// Key index of a link key, key identifier mode 1: 1 to 254.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyIndex(u8);

impl KeyIndex {
    /// Of a new network's key.
    pub const FIRST: Self = Self(1);

    // RFC 9031 section 8.4.3.3: mode 1 MUST NOT use 0; 255 is reserved.
    /// `None` for 0 and 255.
    pub const fn new(raw: u8) -> Option<Self> {
        if raw == 0 || raw == 0xff { None } else { Some(Self(raw)) }
    }

    /// The number on the wire.
    pub const fn raw(self) -> u8 {
        self.0
    }

    /// The index of the next key; 1 comes after 254.
    pub const fn next(self) -> Self {
        Self(if self.0 == 254 { 1 } else { self.0 + 1 })
    }

    /// Whether it is one of the 126 indices after `other`.
    pub const fn is_after(self, other: Self) -> bool {
        let ahead = (self.0 as u16 + 254 - other.0 as u16) % 254;
        ahead != 0 && ahead < 127
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::{format, vec::Vec};

    #[test]
    fn keys_do_not_print() {
        let text =
            format!("{:?} {:?}", Tgk(Key128::new([0x42; 16])), Rand(Secret::new([0x42; 16])));
        assert_eq!(text, "Tgk((secret)) Rand((secret))");
    }

    #[test]
    fn an_epoch_is_never_zero() {
        assert_eq!(TekId::new(0), None);
        assert_eq!(TekId::new(65535).map(TekId::next), Some(TekId::FIRST));
        assert_eq!(TekId::FIRST.next().raw(), 2);
    }

    #[test]
    fn sender_ids_name_254_members() {
        assert_eq!((SenderId::new(0), SenderId::new(255)), (None, None));
        assert_eq!(SenderId::MAX.next(), None);
        assert_eq!(SenderId::MIN.next().map(SenderId::raw), Some(2));
    }

    #[test]
    fn sender_sets_hold_what_was_put_in() {
        let ids: Vec<SenderId> = [1, 7, 8, 254].into_iter().filter_map(SenderId::new).collect();
        let mut set: SenderSet = ids.iter().copied().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), ids);
        assert_eq!((set.len(), set.bits().len()), (4, 32));
        set.remove(SenderId::MAX);
        assert!(!set.contains(SenderId::MAX));
        assert_eq!(set.bits(), [0x41, 0x80]);
        assert_eq!(SenderSet::from_bits(&[0x41, 0x80]), Some(set));
        assert_eq!(SenderSet::from_bits(&[0x80]), None);
        assert_eq!(SenderSet::from_bits(&[0; 33]), None);
    }

    #[test]
    fn key_indices_go_round() {
        let index = |raw| KeyIndex::new(raw).expect("not reserved");
        for (later, earlier) in [(2, 1), (127, 1), (1, 254), (126, 254), (254, 128)] {
            assert!(index(later).is_after(index(earlier)), "{later} after {earlier}");
            assert!(!index(earlier).is_after(index(later)), "{earlier} after {later}");
        }
        assert!(!index(7).is_after(index(7)));
        assert!(!index(128).is_after(index(1)), "as far one way as the other");
    }

    #[test]
    fn message_ids_wrap() {
        assert!(MsgId(0).is_newer_than(MsgId(255)));
        assert!(MsgId(127).is_newer_than(MsgId(0)));
        assert!(!MsgId(0).is_newer_than(MsgId(0)));
        assert!(!MsgId(128).is_newer_than(MsgId(0)) && !MsgId(0).is_newer_than(MsgId(128)));
        assert_eq!(MsgId(255).next(), MsgId(0));
    }

    #[test]
    fn key_indices_change_and_wrap() {
        assert_eq!((KeyIndex::new(0), KeyIndex::new(255)), (None, None));
        assert_eq!(KeyIndex::new(254).map(KeyIndex::next), Some(KeyIndex::FIRST));
    }

    #[test]
    fn roles_cover_their_parts() {
        assert!(Role::SenderAndListener.covers(Role::Sender));
        assert!(!Role::Listener.covers(Role::SenderAndListener));
        assert!(Role::Sender.sends() && !Role::Sender.listens());
    }

    #[test]
    fn epochs_are_after_each_other() {
        let tek = |raw| TekId::new(raw).expect("not 0");
        for (earlier, later) in [(1, 2), (u16::MAX, 1), (40_000, 2_000), (1, 1 << 15)] {
            assert!(tek(later).is_after(tek(earlier)), "{later} after {earlier}");
            assert!(!tek(earlier).is_after(tek(later)), "{earlier} after {later}");
        }
        assert!(!tek(7).is_after(tek(7)));
    }
}
