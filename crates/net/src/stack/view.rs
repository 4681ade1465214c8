//! What the owner may read of a stack.

use super::{Role, Stack};
use lowgate_units::{Eui64, Iid, Instant, Ipv6Addr, Rssi, ShortAddr};

/// A neighbour, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourView {
    /// Its link address.
    pub eui64: Eui64,
    /// Its short address, once its DIO told it.
    pub short: Option<ShortAddr>,
    /// Its rank, unless it has none.
    pub rank: Option<u16>,
    /// Expected transmissions per frame, in 1/128.
    pub etx: u16,
    /// Average strength.
    pub rssi: Rssi,
    /// When a secured frame of it last arrived, or it last acknowledged one of ours.
    pub heard_at: Instant,
}

/// A hop of the DODAG as the root knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// A device.
    pub device: ShortAddr,
    /// The parent it announced.
    pub parent: ShortAddr,
    /// Until when, unless it announces itself again.
    pub until: Instant,
}

impl Stack {
    /// Our link-local address, which always exists.
    pub fn link_local_addr(&self) -> Ipv6Addr {
        Iid::from(self.config.eui64).link_local()
    }

    /// Our global address, once a parent told the prefix.
    pub fn global_addr(&self) -> Option<Ipv6Addr> {
        match &self.role {
            Role::Detached => None,
            Role::Node(node) => node.addr(),
            Role::Root(root) => Some(root.addr()),
        }
    }

    /// The root's global address, once a parent told it.
    pub fn root_addr(&self) -> Option<Ipv6Addr> {
        match &self.role {
            Role::Detached => None,
            Role::Node(node) => node.network.map(|network| network.root),
            Role::Root(root) => Some(root.addr()),
        }
    }

    /// The mesh prefix, once known.
    pub fn prefix(&self) -> Option<[u8; 8]> {
        match &self.role {
            Role::Detached => None,
            Role::Node(node) => node.network.map(|network| network.prefix),
            Role::Root(root) => Some(root.prefix()),
        }
    }

    /// The preferred parent.
    pub fn parent(&self) -> Option<Eui64> {
        match &self.role {
            Role::Node(node) => node.parent(),
            Role::Detached | Role::Root(_) => None,
        }
    }

    /// Our rank (in units of 1/128 ETX), `u16::MAX` without a parent.
    pub fn rank(&self) -> u16 {
        self.own_rank()
    }

    /// Hops to the root as last confirmed; 0 for the root itself.
    pub fn hops(&self) -> Option<u8> {
        match &self.role {
            Role::Detached => None,
            Role::Node(node) => node.hops,
            Role::Root(_) => Some(0),
        }
    }

    /// Registered, and the root confirmed our route (a root: always).
    pub fn is_attached(&self) -> bool {
        match &self.role {
            Role::Detached => false,
            Role::Node(node) => node.attached,
            Role::Root(_) => true,
        }
    }

    /// When a root last confirmed our route, in this network or one before.
    pub const fn confirmed_at(&self) -> Option<Instant> {
        self.confirmed_at
    }

    /// How many neighbours are registered through us, their router.
    pub fn registrations(&self, now: Instant) -> usize {
        self.registrations.len(now)
    }

    /// Who is in range.
    pub fn neighbours(&self) -> impl Iterator<Item = NeighbourView> + '_ {
        self.neighbours.iter().map(|entry| NeighbourView {
            eui64: entry.eui64,
            short: entry.short,
            rank: entry.heard.map(|heard| heard.rank),
            etx: entry.link_metric(),
            rssi: entry.rssi(),
            heard_at: entry.heard_at,
        })
    }

    /// Root: every device with a route, and its parent.
    pub fn routes(&self) -> impl Iterator<Item = RouteView> + '_ {
        let root = match &self.role {
            Role::Root(root) => Some(root),
            Role::Detached | Role::Node(_) => None,
        };
        root.into_iter().flat_map(|root| root.routes()).map(|(device, parent, until)| RouteView {
            device,
            parent,
            until,
        })
    }
}
