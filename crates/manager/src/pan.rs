//! A PAN of the domain: a border router's mesh, with its number, channel, prefix, keys and addresses.
//!
//! **Invariant:** nothing of it is another PAN's: neither number nor prefix nor key. An address of it is
//! one device's for good; the border router's alone goes to its successor.

use crate::change::LinkKey;
use lowgate_amikey::KeyIndex;
use lowgate_units::{Channel, Eui64, Iid, Ipv6Addr, PanId, ShortAddr};
use std::collections::BTreeMap;

/// PANs of a domain.
pub const PANS_MAX: usize = 256;
/// Members of a PAN, the border router among them: it registers no more.
pub const PAN_MEMBERS_MAX: usize = 1024;

/// The border router's short address.
pub const BORDER_ROUTER_SHORT: ShortAddr = match ShortAddr::new(0) {
    Some(short) => short,
    None => unreachable!(),
};

/// What is fixed about a PAN at its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanConfig {
    /// Its number; no other PAN of the domain has it.
    pub pan_id: PanId,
    /// Its channel.
    pub channel: Channel,
    /// Its mesh's prefix, a /64.
    pub mesh_prefix: [u8; 8],
}

impl PanConfig {
    /// Where the mesh routes to a device with that short address.
    pub fn addr(&self, short: ShortAddr) -> Ipv6Addr {
        Iid::from(short).under(self.mesh_prefix)
    }
}

/// One PAN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pan {
    /// What is fixed.
    pub config: PanConfig,
    /// The link-layer key in force.
    pub link_key: LinkKey,
    /// The link-layer key to come.
    pub staged_key: Option<LinkKey>,
    /// The border router, while it is a member.
    pub border_router: Option<Eui64>,
    /// The members with their addresses, the border router among them.
    pub members: BTreeMap<Eui64, ShortAddr>,
    /// Every address but the border router's that anybody has or had.
    pub(crate) shorts: BTreeMap<ShortAddr, Eui64>,
    /// The same, by device.
    pub(crate) addresses: BTreeMap<Eui64, ShortAddr>,
}

impl Pan {
    /// A PAN without members.
    pub(crate) const fn new(config: PanConfig, link_key: LinkKey) -> Self {
        Self {
            config,
            link_key,
            staged_key: None,
            border_router: None,
            members: BTreeMap::new(),
            shorts: BTreeMap::new(),
            addresses: BTreeMap::new(),
        }
    }

    /// The address that a device gets: the one it had here, else the lowest above all that were ever
    /// given; `None` when none is left.
    pub(crate) fn short_for(&self, eui64: Eui64) -> Option<ShortAddr> {
        let last = self.shorts.last_key_value().map_or(0, |(short, _)| short.raw());
        let had = self.addresses.get(&eui64).copied();
        had.or_else(|| ShortAddr::new(last.saturating_add(1)))
    }

    /// The index of the next link-layer key: all the others take their turn before one repeats.
    pub(crate) fn key_index_next(&self) -> KeyIndex {
        let next = self.staged_key.as_ref().unwrap_or(&self.link_key).index.next();
        // Keys staged one after the other without a switch must not come round to the one in force.
        if next == self.link_key.index { next.next() } else { next }
    }
}

/// Channels that the PANs of a domain may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelSet(u32);

impl ChannelSet {
    /// No channel.
    pub const NONE: Self = Self(0);

    /// The same and one more.
    #[must_use]
    pub const fn with(self, channel: Channel) -> Self {
        Self(self.0 | 1 << channel.number())
    }

    /// The channels, in order.
    pub fn iter(self) -> impl Iterator<Item = Channel> {
        (11..=26).filter(move |number| self.0 >> number & 1 == 1).filter_map(Channel::new)
    }
}

impl FromIterator<Channel> for ChannelSet {
    fn from_iter<I: IntoIterator<Item = Channel>>(channels: I) -> Self {
        channels.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_channels_gives_them_back_in_order() {
        let channels = [26, 11, 15, 11].map(|number| Channel::new(number).expect("in the band"));
        let set: ChannelSet = channels.into_iter().collect();
        assert_eq!(set.iter().map(Channel::number).collect::<Vec<_>>(), [11, 15, 26]);
        assert_eq!(ChannelSet::NONE.iter().count(), 0);
    }
}
