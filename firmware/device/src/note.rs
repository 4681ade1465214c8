//! What a device tells people, by whatever log its board has.
//!
//! **Invariant:** no key and no secret is in it.

use crate::settings::SettingsFault;
use crate::store::StoreFault;
use core::fmt;
use lowgate_access::joiner::{Failure, JoinerEvent};
use lowgate_amikey::{GroupId, KeyIndex};
use lowgate_net::NetEvent;
use lowgate_node::Event;
use lowgate_units::Ipv6Addr;

/// Something that happened. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// It begins with so many records in its flash.
    Began {
        /// Records.
        records: usize,
    },
    /// It does not know who it is, and does not join.
    NoSettings(SettingsFault),
    /// The flash did not take a record, or lost some: what depends on it does not happen.
    Flash(StoreFault),
    /// An attempt to join ended.
    JoinFailed(Failure),
    /// The domain manager's configuration is stored.
    Member,
    /// It can be reached.
    Attached {
        /// Here.
        addr: Ipv6Addr,
        /// Over so many hops.
        hops: u8,
    },
    /// It lost its way to the border router.
    Detached,
    /// It was left behind and joins anew.
    Stranded,
    /// Frames are sealed with another key now.
    LinkKey(KeyIndex),
    /// A group's keys are in force.
    GroupKeyed(GroupId),
    /// Somebody asks which device this is.
    Identify {
        /// For so long.
        seconds: u16,
    },
    /// All keys are erased. It starts anew.
    Reset,
}

impl Note {
    /// What people want to know of an event.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Join(JoinerEvent::Failed { cause, .. }) => Some(Self::JoinFailed(*cause)),
            Event::Join(JoinerEvent::Member) => Some(Self::Member),
            Event::Net(NetEvent::Attached { addr, hops }) => {
                Some(Self::Attached { addr: *addr, hops: *hops })
            }
            Event::Net(NetEvent::Detached) => Some(Self::Detached),
            Event::Stranded => Some(Self::Stranded),
            Event::LinkKeySwitched(index) => Some(Self::LinkKey(*index)),
            Event::GroupKeyed { group, .. } => Some(Self::GroupKeyed(*group)),
            Event::Identify { seconds } => Some(Self::Identify { seconds: *seconds }),
            _ => None,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began { records } => write!(f, "begins with {records} records"),
            Self::NoSettings(fault) => write!(f, "no settings: {fault:?}"),
            Self::Flash(fault) => write!(f, "flash: {fault:?}"),
            Self::JoinFailed(cause) => write!(f, "not joined: {}", word(*cause)),
            Self::Member => f.write_str("is a member"),
            Self::Attached { addr, hops } => {
                f.write_str("attached at ")?;
                // Not shortened: the library's own text takes 2 KB of a chip's flash.
                let [first, rest @ ..] = addr.segments();
                write!(f, "{first:x}")?;
                rest.iter().try_for_each(|segment| write!(f, ":{segment:x}"))?;
                write!(f, ", {hops} hops")
            }
            Self::Detached => f.write_str("detached"),
            Self::Stranded => f.write_str("left behind, joins anew"),
            Self::LinkKey(index) => write!(f, "link key {}", index.raw()),
            Self::GroupKeyed(group) => write!(f, "keys of group {}", group.0),
            Self::Identify { seconds } => write!(f, "identifies itself for {seconds} s"),
            Self::Reset => f.write_str("reset: all keys are erased"),
        }
    }
}

/// In a word: what is behind it would take a chip's flash to print.
const fn word(cause: Failure) -> &'static str {
    match cause {
        Failure::Closed(_) => "the session ended",
        Failure::Silence => "silence",
        Failure::HandshakeTimeout => "the handshake took too long",
        Failure::KeysTimeout => "no keys came",
        Failure::Refused(_) => "refused",
    }
}
