//! How many alerts leave: to a peer at most one a tenth of a second, and to all of them together no more than
//! there is room for. Whatever a peer sends, how much of it and in how many records, it hears of it once.
//!
//! **Invariant:** an alert tells nobody anything that it needs; one that is not sent changes nothing.

use super::Peer;
use alloc::collections::VecDeque;
use lowgate_units::{Duration, Instant};

/// To the same peer. Clients repeat themselves less often, and each time may be told.
const GAP: Duration = Duration::from_millis(100);
/// Within that time to all.
const ALERTS_MAX: usize = 32;

/// Who was told something of late.
#[derive(Default)]
pub(super) struct AlertQuota {
    told: VecDeque<(Instant, Peer)>,
}

impl AlertQuota {
    /// Whether `peer` may be told something; then it was.
    pub(super) fn take(&mut self, now: Instant, peer: &Peer) -> bool {
        while self.told.front().is_some_and(|(at, _)| now.since(*at) >= GAP) {
            self.told.pop_front();
        }
        let free = self.told.len() < ALERTS_MAX && self.told.iter().all(|(_, told)| told != peer);
        if free {
            self.told.push_back((now, peer.clone()));
        }
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_units::Ipv6Addr;

    fn peer(port: u16) -> Peer {
        Peer { addr: Ipv6Addr::LOCALHOST, port, relay_header: heapless::Vec::new() }
    }

    #[test]
    fn one_a_peer_and_some_in_all() {
        let mut quota = AlertQuota::default();
        let at = Instant::from_millis;
        assert!(quota.take(at(1000), &peer(0)));
        assert!(!quota.take(at(1000), &peer(0)) && !quota.take(at(1099), &peer(0)));
        let told = (1..100).filter(|port| quota.take(at(1099), &peer(*port))).count();
        assert_eq!(told, ALERTS_MAX - 1);
        assert!(quota.take(at(1100), &peer(0)) && !quota.take(at(1100), &peer(100)));
        assert!(quota.take(at(1199), &peer(100)));
        assert_eq!(quota.told.len(), 2);
    }
}
