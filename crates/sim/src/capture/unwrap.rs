//! The datagrams in relays' envelopes, as if joiner and domain manager spoke directly.
//!
//! A session begins in envelopes and goes on without them. An analyser that cannot open an envelope
//! does not know then who of the two is the server; it does when it has seen the handshake to the
//! manager's own port.
//!
//! **Invariant:** pure functions of octets; nobody in the world hears of these packets.

use lowgate_access::relay::HeaderFields;
use lowgate_access::{MANAGER_PORT, MANAGER_RELAY_PORT, jpy};
use lowgate_router::{Datagram, datagram, packet};

/// The packet that an envelope in a packet of the backbone stands for; `None` if there is none.
pub fn unwrapped(octets: &[u8]) -> Option<Vec<u8>> {
    let outer = datagram(octets)?;
    let envelope = jpy::parse(outer.payload).ok()?;
    let HeaderFields { port, joiner, .. } = HeaderFields::of(envelope.header)?;
    let joiner = joiner.link_local();
    let payload = envelope.content;
    let inner = match (outer.src_port, outer.dst_port) {
        (_, MANAGER_RELAY_PORT) => {
            let (src, src_port, dst, dst_port) = (joiner, port, outer.dst, MANAGER_PORT);
            Datagram { src, src_port, dst, dst_port, payload }
        }
        (MANAGER_RELAY_PORT, _) => {
            let (src, src_port, dst, dst_port) = (outer.src, MANAGER_PORT, joiner, port);
            Datagram { src, src_port, dst, dst_port, payload }
        }
        _ => return None,
    };
    Some(packet(&inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_access::jpy::Envelope;
    use lowgate_access::relay::HEADER_OCTETS;
    use lowgate_access::{JOIN_PORT, JOINER_PORT};
    use lowgate_units::Ipv6Addr;
    use proptest::prelude::*;

    const MANAGER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, 1);
    const RELAY: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 3);

    fn envelope() -> Vec<u8> {
        let mut header = [0; HEADER_OCTETS];
        header[..5].copy_from_slice(&[1, 0, 0xf0, 0xbc, 0x0a]);
        let mut out = [0; 64];
        let len = Envelope { header: &header, content: b"hello" }.emit(&mut out).expect("room");
        out[..len].to_vec()
    }

    #[test]
    fn both_directions_run_between_joiner_and_manager() {
        let payload = &envelope()[..];
        let joiner: Ipv6Addr = "fe80::a00:0:0:0".parse().expect("an address");
        let (src_port, dst_port) = (JOIN_PORT, MANAGER_RELAY_PORT);
        let up = packet(&Datagram { src: RELAY, dst: MANAGER, src_port, dst_port, payload });
        let inner = unwrapped(&up).expect("an envelope");
        let inner = datagram(&inner).expect("a datagram");
        assert_eq!((inner.src, inner.src_port), (joiner, JOINER_PORT));
        assert_eq!((inner.dst, inner.dst_port), (MANAGER, MANAGER_PORT));
        assert_eq!(inner.payload, b"hello");
        let (src_port, dst_port) = (MANAGER_RELAY_PORT, JOIN_PORT);
        let down = packet(&Datagram { src: MANAGER, dst: RELAY, src_port, dst_port, payload });
        let inner = unwrapped(&down).expect("an envelope");
        let inner = datagram(&inner).expect("a datagram");
        assert_eq!((inner.src, inner.src_port), (MANAGER, MANAGER_PORT));
        assert_eq!((inner.dst, inner.dst_port), (joiner, JOINER_PORT));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_datagram_never_panics(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let (src_port, dst_port) = (JOIN_PORT, MANAGER_RELAY_PORT);
            let payload = &payload[..];
            let octets = packet(&Datagram { src: RELAY, dst: MANAGER, src_port, dst_port, payload });
            let _ = unwrapped(&octets);
        }
    }
}
