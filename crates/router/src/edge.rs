//! The multicast edge: plain CoAP of the building's network to a group's address, which the border router
//! sends on as a command under the group's keys.
//!
//! Each host's message IDs are its own, so that a command gets new ones: members tell copies apart by ours.
//!
//! **Invariant:** nothing is ever answered (RFC 7252 section 8.2 lets a server ignore any request to a
//! group); one request leaves once, however often it arrives.

use lowgate_coap::{Addressed, Bounds, Config, Endpoint, Input, Method, Output, Request};
use lowgate_node::GroupId;
use lowgate_units::{Instant, Ipv6Addr, Prng};

/// Requests are remembered so that a copy, by another interface, is known.
const BOUNDS: Bounds = Bounds {
    requests_max: 0,
    exchanges_max: 4,
    exchanges_per_peer_max: 4,
    seen_max: 256,
    seen_per_peer_max: 32,
};

/// RFC 7252 section 4.4: message IDs are of a pair of endpoints, of which one is the group.
pub(crate) type Asker = (Ipv6Addr, u16, GroupId);

/// The edge.
#[derive(Debug)]
pub(crate) struct Edge {
    endpoint: Endpoint<Asker>,
}

impl Edge {
    pub(crate) fn new(prng: Prng) -> Self {
        let config = Config { bounds: BOUNDS, ..Config::default() };
        Self { endpoint: Endpoint::new(config, prng) }
    }

    /// The command in a datagram, if it holds one that was not here before.
    pub(crate) fn command(
        &mut self,
        now: Instant,
        peer: Asker,
        octets: &[u8],
    ) -> Option<(GroupId, Request)> {
        let addressed = Addressed::ToGroup;
        self.endpoint.handle(now, Input::Datagram { peer, addressed, octets });
        let mut command = None;
        loop {
            match self.endpoint.poll(now) {
                Output::Wait { .. } => return command,
                Output::Requested { exchange, request, .. } => {
                    self.endpoint.ignore(exchange);
                    // A question that nobody would answer is not worth the air.
                    command = (request.method != Method::Get).then_some((peer.2, request));
                }
                Output::Transmit { .. }
                | Output::Responded { .. }
                | Output::Ponged { .. }
                | Output::Failed { .. }
                | Output::Ended { .. }
                | Output::AnswerLost { .. } | Output::ObserverGone { .. }
                | Output::Dropped { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Instant = Instant::from_secs(1);
    /// `PUT /light` with the payload 1, non-confirmable, without token.
    const SWITCH_ON: [u8; 12] = *b"\x50\x03\x12\x34\xb5light\xff1";

    fn host(n: u16) -> Asker {
        (Ipv6Addr::new(0xfd00, 0, 0, 2, 0, 0, 0, n), 40_000, GroupId(1))
    }

    fn check(edge: &mut Edge, peer: Asker, octets: &[u8], wanted: bool) {
        let command = edge.command(NOW, peer, octets);
        let told = command.map(|(group, request)| (group, request.path.to_string()));
        assert_eq!(told, wanted.then(|| (peer.2, "/light".into())), "{octets:02x?}");
    }

    #[test]
    fn a_command_passes_once_and_nothing_else_does() {
        let mut edge = Edge::new(Prng::new(1));
        check(&mut edge, host(1), &SWITCH_ON, true);
        check(&mut edge, host(1), &SWITCH_ON, false);
        check(&mut edge, host(2), &SWITCH_ON, true);
        check(&mut edge, (host(1).0, host(1).1, GroupId(2)), &SWITCH_ON, true);
        // RFC 7252 section 8.1: requests to a group MUST be non-confirmable.
        check(&mut edge, host(1), b"\x40\x03\x12\x35\xb5light\xff1", false);
        check(&mut edge, host(1), b"\x50\x01\x12\x36\xb5light", false);
        // RFC 7252 section 5.4.1: an unknown critical option.
        check(&mut edge, host(1), b"\x50\x03\x12\x37\x10\xa5light\xff1", false);
        check(&mut edge, host(1), b"\x50\x45\x12\x38\xff1", false);
    }

    proptest! {
        #[test]
        fn any_octets_never_panic(octets: Vec<u8>) {
            let _ = Edge::new(Prng::new(1)).command(NOW, host(1), &octets);
        }
    }
}
