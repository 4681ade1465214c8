//! The whole node: link-layer security, 6LoWPAN, RPL, UDP, and beside them everything else that a device
//! has. The sink is a border router; what arrives leaves it on its other side.
//!
//! Each node wakes up with what the domain manager would have given it in its storage, and the manager is
//! away: joining is not measured here.

use super::run::{Host, Payload, Wish};
use super::scenario::{BLOCK, PAYLOAD_OCTETS, PORT, is_sink, sink};
use lowgate_amikey::{Cfg, KeyIndex, KeyUsage, LinkKey};
use lowgate_crypto::{Key128, SoftCcm};
use lowgate_dtls::{Psk, Retransmission};
use lowgate_mac::RadioEvent;
use lowgate_net::UdpSend;
use lowgate_node::flash::Record;
use lowgate_node::{Input, Kind, Node, NodeConfig, Output};
use lowgate_router::{Input as RouterInput, Inward, Output as RouterOutput, Router, RouterConfig};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{MANAGER_ADDR, ROUTER_ADDR};
use lowgate_units::{Channel, Eui64, Instant, Ipv6Addr, PanId, Prng, SeededEntropy, ShortAddr};

/// Somebody in the building's network.
const SERVER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0xb, 0, 0, 0, 2);
/// Of what a node sends.
const HOP_LIMIT: u8 = 64;

pub(crate) enum Station {
    Device(Box<Node>),
    Sink(Box<Router>),
}

impl Station {
    pub(crate) fn new(station: StationId, prng: Prng) -> Self {
        let now = Instant::ZERO;
        let entropy = &mut SeededEntropy::new(prng.fork(1).next_u64());
        let kind = if is_sink(station) { Kind::BorderRouter } else { Kind::Sensor };
        let config = NodeConfig {
            eui64: eui64(station),
            identity: eui64(station).0.into_iter().collect(),
            psk: Psk::new(&[1; 16]).expect("16 octets"),
            kind,
            groups: [].into_iter().collect(),
            channels: channel().into_iter().collect(),
            ccm: &SoftCcm,
            retransmission: Retransmission::USUAL,
            key_trees: false,
            pairs: false,
            key_log: false,
        };
        let network = std::iter::once(network(station));
        if !is_sink(station) {
            let mut node = Node::new(now, config, network, entropy, prng);
            node.handle(now, Input::Start);
            return Self::Device(Box::new(node));
        }
        let (backbone_addr, manager_addr) = (ROUTER_ADDR, MANAGER_ADDR);
        let config =
            RouterConfig { node: config, backbone_addr, manager_addr, inward: Inward::default() };
        let devices = (station.0 + 1..station.0 + BLOCK as u32).map(StationId);
        let members = devices.map(|id| Record::Member { short: short(id), eui64: eui64(id) });
        let mut router = Router::new(now, config, network.chain(members), entropy, prng);
        router.handle(now, RouterInput::Start);
        Self::Sink(Box::new(router))
    }
}

/// What the manager gives a device.
fn network(station: StationId) -> Record {
    let index = KeyIndex::FIRST;
    let block = sink(station).0 as u16;
    let [high, low] = block.to_be_bytes();
    let mut key = [0x5a; 16];
    key[..2].copy_from_slice(&[high, low]);
    let key = LinkKey { index, usage: KeyUsage::EncMic64, key: Key128::new(key) };
    let cfg = Cfg {
        keys: [key].into_iter().collect(),
        short: Some(short(station)),
        pan_id: PanId::new(block + 1),
        channel: channel(),
        prefix: Some([0xfd, 0, 0, 0, 0, 1, high, low]),
        ..Cfg::default()
    };
    Record::Network { active: index, cfg }
}

fn channel() -> Option<Channel> {
    Channel::new(15)
}

fn eui64(station: StationId) -> Eui64 {
    Eui64([&[0x02, 0x12, 0x4b, 0][..], &station.0.to_be_bytes()].concat().try_into().expect("8"))
}

fn short(station: StationId) -> ShortAddr {
    ShortAddr::new(station.0 as u16 + 1).expect("few nodes")
}

/// A datagram for the server, and how many hops it made.
fn arrived(packet: &[u8]) -> Option<Wish> {
    const HOP_LIMIT_AT: usize = 7;
    const DST_AT: usize = 24;
    let (dst, hop_limit) = (packet.get(DST_AT..DST_AT + 16)?, packet.get(HOP_LIMIT_AT)?);
    let payload: Payload = *packet.last_chunk::<PAYLOAD_OCTETS>()?;
    let hops = HOP_LIMIT.checked_sub(*hop_limit)?;
    (dst == SERVER.octets()).then_some(Wish::Arrived { payload, hops })
}

impl Host for Station {
    fn radio(&mut self, now: Instant, event: RadioEvent) {
        match self {
            Self::Device(node) => node.handle(now, Input::Radio(event)),
            Self::Sink(router) => router.handle(now, RouterInput::Radio(event)),
        }
    }

    fn send(&mut self, now: Instant, payload: &Payload) {
        let (dst, src_port, dst_port) = (SERVER, PORT, PORT);
        let datagram = UdpSend { dst, src_port, dst_port, secured: true, payload };
        if let Self::Device(node) = self {
            // What it refuses shows as not delivered.
            let _ = node.send(now, datagram);
        }
    }

    fn stored(&mut self, now: Instant, ticket: u32) {
        match self {
            Self::Device(node) => node.handle(now, Input::Stored { ticket }),
            Self::Sink(router) => router.handle(now, RouterInput::Stored { ticket }),
        }
    }

    fn poll(&mut self, now: Instant) -> Wish {
        loop {
            let wish = match self {
                Self::Device(node) => match node.poll(now) {
                    Output::Radio(command) => Some(Wish::Radio(command)),
                    Output::Store { ticket, .. } => Some(Wish::Store { ticket }),
                    Output::Wait { until } => Some(Wish::Wait { until }),
                    Output::Erase(_)
                    | Output::Event(_)
                    | Output::ToManager(_)
                    | Output::ToBackbone(_)
                    | Output::Managed { .. } => None,
                },
                Self::Sink(router) => match router.poll(now) {
                    RouterOutput::Radio(command) => Some(Wish::Radio(command)),
                    RouterOutput::Store { ticket, .. } => Some(Wish::Store { ticket }),
                    RouterOutput::Wait { until } => Some(Wish::Wait { until }),
                    RouterOutput::Backbone(packet) => arrived(&packet),
                    RouterOutput::Erase(_) | RouterOutput::Event(_) => None,
                },
            };
            if let Some(wish) = wish {
                return wish;
            }
        }
    }
}
