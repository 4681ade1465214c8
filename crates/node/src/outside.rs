//! Plain CoAP (RFC 7252) from whoever can send an IPv6 packet to this node: a host of the building's
//! network behind the border router, whose filter is the gate, or another member of the mesh.
//!
//! It has an endpoint of its own, so that nobody out there crowds out the manager or a group.
//!
//! **Invariant:** only what the link layer verified gets here, and only what was sent to this node
//! alone; no request waits for anything, so that those who ask hold at most one answer each.

use crate::node::{CoapPeer, Node};
use lowgate_coap::{Addressed, Bounds, Config, Endpoint, Input, Output};
use lowgate_net::{UdpReceived, UdpSend};
use lowgate_units::{Instant, Prng};

/// RFC 7252 section 6.1.
pub(crate) const COAP_PORT: u16 = 5683;

/// Answers are remembered for copies of so many requests; of more, the oldest is forgotten.
const BOUNDS: Bounds = Bounds {
    requests_max: 0,
    exchanges_max: 4,
    exchanges_per_peer_max: 2,
    seen_max: 16,
    seen_per_peer_max: 4,
};

/// The endpoint for outsiders. Its peers are of the type that the other one's are: code for two would not fit a
/// small chip.
pub(crate) fn endpoint(prng: Prng) -> Endpoint<CoapPeer> {
    Endpoint::new(Config { bounds: BOUNDS, ..Config::default() }, prng)
}

impl Node {
    pub(crate) fn take_from_outside(&mut self, now: Instant, datagram: &UdpReceived) {
        let peer = CoapPeer::Outsider(datagram.src, datagram.src_port);
        let (addressed, octets) = (Addressed::ToUs, &datagram.payload[..]);
        self.outside.handle(now, Input::Datagram { peer, addressed, octets });
    }

    /// Returns whether anything happened.
    pub(crate) fn drain_outside(&mut self, now: Instant) -> bool {
        let mut moved = false;
        while self.outside.is_due(now) {
            match self.outside.poll(now) {
                Output::Wait { until } => {
                    self.outside.waits(until);
                    break;
                }
                Output::Transmit { peer: CoapPeer::Outsider(dst, dst_port), octets } => {
                    let (src_port, payload) = (COAP_PORT, &octets[..]);
                    let secured = true;
                    self.udp_send(now, UdpSend { dst, src_port, dst_port, secured, payload });
                }
                Output::Requested { exchange, request, .. } => {
                    let response = self.ask_app(now, &request);
                    // It is open: it was asked this moment.
                    let _ = self.outside.respond(now, exchange, &response);
                }
                // Nobody out there is asked anything.
                Output::Transmit { peer: CoapPeer::Manager | CoapPeer::Member(..), .. }
                | Output::Responded { .. }
                | Output::Ponged { .. }
                | Output::Failed { .. }
                | Output::Ended { .. }
                | Output::AnswerLost { .. }
                | Output::ObserverGone { .. }
                | Output::Dropped { .. } => {}
            }
            moved = true;
        }
        moved
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::flash::Record;
    use crate::{Event, Kind, NodeConfig, Output as NodeOutput};
    use alloc::vec::Vec;
    use lowgate_crypto::SoftCcm;
    use lowgate_dtls::{Psk, Retransmission};
    use lowgate_net::SendRefused;
    use lowgate_units::{Channel, Duration, Eui64, Ipv6Addr, LinkAddr, List, SeededEntropy};

    const NOW: Instant = Instant::from_secs(1);
    const LIGHT: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0xff, 0xfe00, 1);
    /// `PUT /light` with the payload 1, confirmable, without token.
    const SWITCH_ON: [u8; 12] = *b"\x40\x03\x12\x34\xb5light\xff1";

    fn light() -> Node {
        light_with([])
    }

    /// A light that finds these records.
    pub(crate) fn light_with(records: impl IntoIterator<Item = Record>) -> Node {
        let config = NodeConfig {
            eui64: Eui64([2; 8]),
            identity: [2; 8].into_iter().collect(),
            psk: Psk::new(&[1; 16]).expect("16 octets"),
            kind: Kind::Light,
            groups: heapless::Vec::new(),
            channels: Channel::new(15).into_iter().collect(),
            ccm: &SoftCcm,
            retransmission: Retransmission::USUAL,
            key_trees: false,
            pairs: false,
            key_log: false,
        };
        Node::new(NOW, config, records, &mut SeededEntropy::new(1), Prng::new(1))
    }

    fn outsider(n: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfd00, 0, 0, 2, 0, 0, 0, n)
    }

    fn datagram(src: Ipv6Addr, octets: &[u8]) -> UdpReceived {
        UdpReceived {
            src,
            dst: LIGHT,
            src_port: 40_000,
            dst_port: COAP_PORT,
            secured: true,
            hop_limit: 60,
            link_src: LinkAddr::Extended(Eui64([3; 8])),
            payload: List::from_slice(octets).expect("short"),
        }
    }

    /// What follows. An answer shows as refused: this node has no network to send it to.
    fn events(node: &mut Node, now: Instant, datagram: UdpReceived) -> Vec<Event> {
        node.udp(now, datagram);
        let mut events = Vec::new();
        loop {
            match node.poll(now) {
                NodeOutput::Event(event) => events.push(event),
                NodeOutput::Wait { .. } => return events,
                other => panic!("{other:?}"),
            }
        }
    }

    const ANSWERED: Event = Event::SendRefused(SendRefused::Detached);

    #[test]
    fn a_light_obeys_once_and_answers_each_copy() {
        let mut node = light();
        let first = events(&mut node, NOW, datagram(outsider(1), &SWITCH_ON));
        assert_eq!(first, [Event::Light { on: true }, ANSWERED]);
        assert_eq!(events(&mut node, NOW, datagram(outsider(1), &SWITCH_ON)), [ANSWERED]);
        let other = events(&mut node, NOW, datagram(outsider(2), &SWITCH_ON));
        assert_eq!(other, [Event::Light { on: true }, ANSWERED]);
        // RFC 7252 section 4.2: what cannot be processed is rejected, if it is confirmable.
        assert_eq!(
            events(&mut node, NOW, datagram(outsider(1), b"\x40\x03\x12\x35\xff")),
            [ANSWERED]
        );
        assert_eq!(events(&mut node, NOW, datagram(outsider(1), b"\x50\x03\x12\x36\xff")), []);
    }

    #[test]
    fn only_what_was_secured_and_sent_to_it_alone_is_heard() {
        let unwanted = Event::DatagramUnwanted { port: COAP_PORT };
        let unsecured = UdpReceived { secured: false, ..datagram(outsider(1), &SWITCH_ON) };
        assert_eq!(events(&mut light(), NOW, unsecured), [unwanted]);
        let all_nodes = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 0, 0xfd);
        let multicast = UdpReceived { dst: all_nodes, ..datagram(outsider(1), &SWITCH_ON) };
        assert_eq!(events(&mut light(), NOW, multicast), []);
    }

    #[test]
    fn a_crowd_is_answered_and_leaves_nothing_behind() {
        let mut node = light();
        for n in 0..1000 {
            let now = NOW + Duration::from_millis(u64::from(n));
            let said = events(&mut node, now, datagram(outsider(n), &SWITCH_ON));
            assert_eq!(said, [Event::Light { on: true }, ANSWERED]);
        }
        let wait = node.poll(NOW + Duration::from_secs(2));
        let nothing_due = matches!(wait, NodeOutput::Wait { until: Instant::FAR_FUTURE });
        assert!(nothing_due, "{wait:?}");
    }
}
