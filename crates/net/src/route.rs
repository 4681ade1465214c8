//! A way down the DODAG, and what the root says to those who announce theirs.

use crate::wire::srh::HOPS_MAX;
use heapless::Vec;
use lowgate_units::{Ipv6Addr, ShortAddr};

/// A way down: the first hop first, the goal last.
pub(crate) type Path = Vec<Ipv6Addr, { HOPS_MAX + 1 }>;

/// What a report of a broken hop comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "root"), expect(dead_code, reason = "only a root hears reports"))]
pub(crate) enum HopReport {
    /// Most reports are of frames that collided.
    Noted,
    /// There were many for long, and nobody told another route.
    Dead(ShortAddr),
}

/// What the root says to a route announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "root"), expect(dead_code, reason = "only a root says it"))]
pub(crate) enum DaoVerdict {
    /// Kept; `changed` unless it only lives longer.
    Accepted { changed: bool },
    /// Withdrawn.
    Withdrawn,
    /// Older than what is held.
    Stale,
    /// The target, or its parent, holds no registration.
    NotRegistered,
    /// Cannot be a route of this mesh.
    Nonsense,
}

impl DaoVerdict {
    /// Status of the answer (RFC 6550 section 6.5.1): 128 and above refuse.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Accepted { .. } | Self::Withdrawn => 0,
            Self::Nonsense => 128,
            Self::Stale => STATUS_STALE,
            Self::NotRegistered => STATUS_NOT_REGISTERED,
        }
    }
}

/// Ours: count further, I remember a later announcement.
pub(crate) const STATUS_STALE: u8 = 129;
/// Ours: register first.
pub(crate) const STATUS_NOT_REGISTERED: u8 = 130;
