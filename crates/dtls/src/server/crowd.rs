//! All handshakes under way, and what finds one of them without looking at the others: by peer, by the time at
//! which something is to be done, by the connection ID that it was promised, and by who crowds out whom.
//!
//! **Invariant:** after [`Crowd::settled`] every index says what the handshakes themselves say.

use super::Peer;
use super::agenda::Agenda;
use super::half_open::{HalfOpen, Stage};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;
use lowgate_units::{Instant, Ipv6Addr};

/// One handshake a peer.
#[derive(Default)]
pub(super) struct Crowd {
    handshakes: BTreeMap<Peer, Box<HalfOpen>>,
    agenda: Agenda<Peer>,
    /// The oldest of each address first.
    ages: BTreeSet<(Ipv6Addr, Instant, Peer)>,
    sources: BTreeMap<Ipv6Addr, usize>,
    /// The address that has most of them last; of equals the one whose oldest is the oldest. Not by address: who
    /// chose a small one would stay, and have those with greater ones evicted.
    sizes: BTreeSet<(usize, Reverse<Instant>, Ipv6Addr)>,
    /// Promised connection IDs.
    cids: BTreeSet<u32>,
}

impl Crowd {
    pub(super) fn len(&self) -> usize {
        self.handshakes.len()
    }

    pub(super) fn get(&self, peer: &Peer) -> Option<&HalfOpen> {
        self.handshakes.get(peer).map(|half| &**half)
    }

    /// To be followed by [`Self::settled`].
    pub(super) fn get_mut(&mut self, peer: &Peer) -> Option<&mut HalfOpen> {
        self.handshakes.get_mut(peer).map(|half| &mut **half)
    }

    /// In place of the one that the peer had.
    pub(super) fn insert(&mut self, peer: Peer, half: Box<HalfOpen>) {
        self.remove(&peer);
        self.agenda.put(&peer, half.due());
        let (source, age) = (peer.addr, (peer.addr, half.started, peer.clone()));
        self.resize(source, |crowd| {
            crowd.ages.insert(age);
            *crowd.sources.entry(source).or_default() += 1;
        });
        self.cids.extend(own_cid(&half));
        self.handshakes.insert(peer, half);
    }

    pub(super) fn remove(&mut self, peer: &Peer) -> Option<Box<HalfOpen>> {
        let half = self.handshakes.remove(peer)?;
        self.agenda.remove(peer);
        let (source, age) = (peer.addr, (peer.addr, half.started, peer.clone()));
        self.resize(source, |crowd| {
            crowd.ages.remove(&age);
            match crowd.sources.get_mut(&source) {
                Some(count) if *count > 1 => *count -= 1,
                Some(_) | None => drop(crowd.sources.remove(&source)),
            }
        });
        if let Some(cid) = own_cid(&half) {
            self.cids.remove(&cid);
        }
        Some(half)
    }

    /// Something may have happened to this one.
    pub(super) fn settled(&mut self, peer: &Peer) {
        if let Some(half) = self.handshakes.get(peer) {
            self.agenda.put(peer, half.due());
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.agenda.first()
    }

    pub(super) fn due(&self, now: Instant) -> Vec<Peer> {
        self.agenda.due(now)
    }

    /// Whether a handshake was promised this connection ID.
    pub(super) fn has_cid(&self, cid: u32) -> bool {
        self.cids.contains(&cid)
    }

    pub(super) fn count_of(&self, source: Ipv6Addr) -> usize {
        self.sources.get(&source).copied().unwrap_or_default()
    }

    /// The address that has most of them.
    pub(super) fn fullest(&self) -> Option<Ipv6Addr> {
        self.sizes.last().map(|(_, _, source)| *source)
    }

    /// The oldest handshake of an address.
    pub(super) fn oldest_of(&self, source: Ipv6Addr) -> Option<Peer> {
        self.oldest_entry(source).map(|(_, peer)| peer.clone())
    }

    fn oldest_entry(&self, source: Ipv6Addr) -> Option<(Instant, &Peer)> {
        let relay_header = heapless::Vec::new();
        let nobody = Peer { addr: Ipv6Addr::UNSPECIFIED, port: 0, relay_header };
        let (addr, started, peer) = self.ages.range((source, Instant::ZERO, nobody)..).next()?;
        (*addr == source).then_some((*started, peer))
    }

    /// Changes how many an address has.
    fn resize(&mut self, source: Ipv6Addr, change: impl FnOnce(&mut Self)) {
        if let Some(size) = self.size_of(source) {
            self.sizes.remove(&size);
        }
        change(self);
        self.sizes.extend(self.size_of(source));
    }

    fn size_of(&self, source: Ipv6Addr) -> Option<(usize, Reverse<Instant>, Ipv6Addr)> {
        let (oldest, _) = self.oldest_entry(source)?;
        Some((self.count_of(source), Reverse(oldest), source))
    }
}

fn own_cid(half: &HalfOpen) -> Option<u32> {
    match &half.stage {
        Stage::Answered { terms, .. } => terms.own_cid,
        Stage::Hello { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{PskDirectory, Server, ServerConfig, ServerInput, ServerOutput};
    use crate::{Client, ClientConfig, ClientInput, ClientOutput, Psk};
    use lowgate_crypto::SoftCcm;
    use lowgate_units::{Duration, Prng, SeededEntropy};

    impl Crowd {
        /// Looks at all of them.
        fn expect_consistent(&self) {
            let times = self.handshakes.values().map(|half| half.due());
            assert_eq!(self.wake_at(), times.min());
            let mut sources = BTreeMap::<Ipv6Addr, Vec<(Instant, &Peer)>>::new();
            for (peer, half) in &self.handshakes {
                sources.entry(peer.addr).or_default().push((half.started, peer));
            }
            assert_eq!((self.sources.len(), self.sizes.len()), (sources.len(), sources.len()));
            assert_eq!(self.ages.len(), self.handshakes.len());
            for (source, all) in &sources {
                assert_eq!(self.count_of(*source), all.len());
                assert_eq!(self.oldest_of(*source).as_ref(), all.iter().min().map(|it| it.1));
            }
            let fullest = sources.iter().map(|(source, all)| {
                (all.len(), Reverse(all.iter().min().expect("some").0), *source)
            });
            assert_eq!(self.fullest(), fullest.max().map(|it| it.2));
            let cids: BTreeSet<u32> =
                self.handshakes.values().filter_map(|it| own_cid(it)).collect();
            assert_eq!(self.cids, cids);
        }
    }

    struct Anybody;

    impl PskDirectory for Anybody {
        fn psk(&self, _: &[u8]) -> Option<Psk> {
            Psk::new(&[1; 16])
        }
    }

    fn drain(server: &mut Server, now: Instant) -> Vec<(Peer, Vec<u8>)> {
        let mut sent = Vec::new();
        loop {
            match server.poll(now) {
                ServerOutput::Transmit { peer, octets } => sent.push((peer, octets)),
                ServerOutput::Wait { .. } => return sent,
                _ => {}
            }
        }
    }

    /// Clients of some addresses come, go on, fail and fall silent, and many are evicted.
    #[test]
    fn every_index_says_what_the_handshakes_say() {
        let mut entropy = SeededEntropy::new(1);
        let config = ServerConfig {
            half_open_max: 12,
            half_open_per_source_max: 5,
            ..ServerConfig::new(&SoftCcm)
        };
        let mut server = Server::new(config, Prng::new(1), &mut entropy);
        let mut prng = Prng::new(2);
        let mut now = Instant::from_secs(1000);
        let mut clients = BTreeMap::new();
        let mut fullest = 0;
        for step in 0..6000u64 {
            let addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, prng.below(6) as u16);
            let port = prng.below(8) as u16;
            let peer = Peer { addr, port, relay_header: heapless::Vec::new() };
            if prng.below(4) == 0 {
                let key = Psk::new(&[1 + (prng.below(4) == 0) as u8; 16]).expect("16 octets");
                let mut random = [0; 32];
                random[..8].copy_from_slice(&step.to_be_bytes());
                let config = ClientConfig::new(b"d", key);
                let client = Client::new(&SoftCcm, config, random, Prng::new(step));
                let mut client = client.expect("a good configuration");
                client.handle(now, ClientInput::Start);
                clients.insert(peer.clone(), client);
            }
            now += Duration::from_millis(prng.below(120));
            let mut buf = [0; 1280];
            let Some(client) = clients.get_mut(&peer) else { continue };
            while let ClientOutput::Transmit { len } = client.poll(now, &mut buf) {
                let input = ServerInput::Datagram { peer: &peer, octets: &mut buf[..len] };
                server.handle(now, input, &Anybody, &mut entropy);
            }
            for (to, mut octets) in drain(&mut server, now) {
                if let Some(client) = clients.get_mut(&to).filter(|_| prng.below(5) > 0) {
                    client.handle(now, ClientInput::Datagram(&mut octets));
                }
            }
            server.half_open.expect_consistent();
            fullest = fullest.max(server.half_open_count());
            assert!(server.half_open_count() <= 12);
        }
        assert_eq!(fullest, 12);
        now += Duration::from_secs(100);
        drain(&mut server, now);
        server.half_open.expect_consistent();
        assert_eq!((server.half_open_count(), server.half_open.wake_at()), (0, None));
    }
}
