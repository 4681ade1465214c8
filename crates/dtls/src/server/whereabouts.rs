//! Where sessions are heard: kept small, for there are many, and few of them are heard through a relay.
//!
//! **Invariant:** what comes out is the peer that went in.

use super::{Peer, SessionId};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use lowgate_units::Ipv6Addr;

/// A peer in half of its octets, unless a relay knows it.
#[derive(Clone)]
pub(super) struct Place {
    addr: Ipv6Addr,
    port: u16,
    relay_header: Option<Box<heapless::Vec<u8, 32>>>,
}

impl From<&Peer> for Place {
    fn from(peer: &Peer) -> Self {
        let header = &peer.relay_header;
        let relay_header = (!header.is_empty()).then(|| Box::new(header.clone()));
        Self { addr: peer.addr, port: peer.port, relay_header }
    }
}

impl Place {
    /// The peer that is heard here.
    pub(super) fn peer(&self) -> Peer {
        let relay_header = self.relay_header.as_deref().cloned().unwrap_or_default();
        Peer { addr: self.addr, port: self.port, relay_header }
    }

    pub(super) fn is(&self, peer: &Peer) -> bool {
        let header = self.relay_header.as_deref().map_or(&[][..], |header| header);
        self.addr == peer.addr && self.port == peer.port && *header == peer.relay_header[..]
    }
}

/// Which session is found at a peer.
#[derive(Default)]
pub(super) struct Whereabouts {
    direct: BTreeMap<(Ipv6Addr, u16), SessionId>,
    relayed: BTreeMap<Peer, SessionId>,
}

impl Whereabouts {
    pub(super) fn at(&self, peer: &Peer) -> Option<SessionId> {
        match peer.relay_header.is_empty() {
            true => self.direct.get(&(peer.addr, peer.port)).copied(),
            false => self.relayed.get(peer).copied(),
        }
    }

    /// In place of whoever was found there.
    pub(super) fn put(&mut self, peer: &Peer, id: SessionId) {
        match peer.relay_header.is_empty() {
            true => self.direct.insert((peer.addr, peer.port), id),
            false => self.relayed.insert(peer.clone(), id),
        };
    }

    /// Unless somebody is found there.
    pub(super) fn put_if_free(&mut self, peer: &Peer, id: SessionId) {
        if self.at(peer).is_none() {
            self.put(peer, id);
        }
    }

    /// If it is `id` that is found there.
    pub(super) fn remove(&mut self, peer: &Peer, id: SessionId) {
        fn leave<K: Ord>(at: Entry<'_, K, SessionId>, id: SessionId) {
            if let Entry::Occupied(entry) = at
                && *entry.get() == id
            {
                entry.remove();
            }
        }
        match peer.relay_header.is_empty() {
            true => leave(self.direct.entry((peer.addr, peer.port)), id),
            false => leave(self.relayed.entry(peer.clone()), id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(header: &[u8]) -> Peer {
        let relay_header = heapless::Vec::from_slice(header).expect("short");
        Peer { addr: Ipv6Addr::LOCALHOST, port: 1, relay_header }
    }

    #[test]
    fn a_place_is_its_peer_and_no_other() {
        let peers = [peer(&[]), peer(&[1]), peer(&[1, 2]), Peer { port: 2, ..peer(&[]) }];
        for (i, one) in peers.iter().enumerate() {
            assert_eq!(Place::from(one).peer(), *one);
            for (j, other) in peers.iter().enumerate() {
                assert_eq!(Place::from(one).is(other), i == j);
            }
        }
    }

    #[test]
    fn each_is_found_where_it_was_put_and_leaves_nobody_else_s_place() {
        let mut whereabouts = Whereabouts::default();
        for header in [&[][..], &[1]] {
            let (peer, other) = (peer(header), Peer { port: 2, ..peer(header) });
            let [one, two] = [SessionId(1), SessionId(2)];
            whereabouts.put(&peer, one);
            whereabouts.put_if_free(&peer, two);
            whereabouts.put_if_free(&other, two);
            assert_eq!((whereabouts.at(&peer), whereabouts.at(&other)), (Some(one), Some(two)));
            whereabouts.remove(&peer, two);
            assert_eq!(whereabouts.at(&peer), Some(one));
            whereabouts.put(&peer, two);
            whereabouts.remove(&peer, two);
            assert_eq!((whereabouts.at(&peer), whereabouts.at(&other)), (None, Some(two)));
        }
    }
}
