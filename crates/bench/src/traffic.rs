//! What is sent through the border router while it is measured, and what its co-processor answers.
//!
//! **Invariant:** all of it is made before the measuring begins.

use crate::rig::{OUTSIDER, Rig};
use lowgate_access::{JOINER_PORT, MANAGER_PORT};
use lowgate_router::co_processor::{CoProcessorInput, CoProcessorOutput};
use lowgate_router::{Datagram, Input, Output, packet};
use lowgate_spinel::{
    Command, Header, NOISE_UNKNOWN, Property, RawReceived, ReceivedFlags, Status, TID_MAX, Tid,
    TransmitDone, Writer, encode, psdu_fcs, write_property,
};
use lowgate_units::{Duration, Ipv6Addr};

/// Between two datagrams that pass: the filter lets one of 1280 octets through in this time.
const APART: Duration = Duration::from_secs(1);
/// Between two of a flood of 10 000 a second.
const APART_IN_FLOOD: Duration = Duration::from_micros(100);
/// A port that no filter lets through by itself.
const SOME_PORT: u16 = 40_000;
const COAP_PORT: u16 = 5683;
const LINE_OCTETS_MAX: usize = 512;
/// Octets of a datagram of a flood.
const FLOOD_OCTETS: usize = 64;

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// From the building's network to a device three hops away.
    Inward { payload_octets: usize },
    /// From that device to the building's network.
    Outward { payload_octets: usize },
    /// A flood that the filter does not let through: no CoAP, and no answer to anything.
    NotAllowed,
    /// A flood of CoAP from one source.
    OneSource,
    /// A flood of CoAP, every datagram from another source.
    ManySources,
    /// A flood in the name of the domain manager, by its own ports.
    AsManager,
}

/// How many datagrams went in, and what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Came {
    /// Frames to the co-processor.
    pub(crate) frames: usize,
    /// Packets to the building's network.
    pub(crate) packets: usize,
}

/// A load, ready to be sent.
pub(crate) struct Traffic {
    apart: Duration,
    datagrams: Vec<Prepared>,
    answers: Answers,
}

enum Prepared {
    Packet(Vec<u8>),
    Frames(Vec<Vec<u8>>),
}

/// What the co-processor answers, by transaction.
struct Answers {
    sent: Vec<Vec<u8>>,
    streaming: Vec<Vec<u8>>,
}

impl Load {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Inward { payload_octets } => format!("inward {payload_octets}"),
            Self::Outward { payload_octets } => format!("outward {payload_octets}"),
            Self::NotAllowed => "not allowed".into(),
            Self::OneSource => "one source".into(),
            Self::ManySources => "many sources".into(),
            Self::AsManager => "as manager".into(),
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.split_once(' ')? {
            ("inward", octets) => Some(Self::Inward { payload_octets: octets.parse().ok()? }),
            ("outward", octets) => Some(Self::Outward { payload_octets: octets.parse().ok()? }),
            _ => [Self::NotAllowed, Self::OneSource, Self::ManySources, Self::AsManager]
                .into_iter()
                .find(|load| load.name() == name),
        }
    }

    /// `count` datagrams of this kind.
    pub(crate) fn prepare(self, rig: &Rig, count: usize) -> Traffic {
        let datagrams = match self {
            Self::Outward { payload_octets } => {
                let frames = rig.upward(count, payload_octets).into_iter();
                frames.map(|frames| Prepared::Frames(on_the_line(&frames))).collect()
            }
            Self::Inward { payload_octets } => {
                let packet = to_device(rig, OUTSIDER, COAP_PORT, payload_octets);
                (0..count).map(|_| Prepared::Packet(packet.clone())).collect()
            }
            Self::NotAllowed => {
                let packet = to_device(rig, OUTSIDER, SOME_PORT, FLOOD_OCTETS);
                (0..count).map(|_| Prepared::Packet(packet.clone())).collect()
            }
            Self::OneSource => {
                let packet = to_device(rig, OUTSIDER, COAP_PORT, FLOOD_OCTETS);
                (0..count).map(|_| Prepared::Packet(packet.clone())).collect()
            }
            Self::ManySources => {
                let other = |n| Ipv6Addr::from(u128::from(OUTSIDER) + (n as u128) * 0x1_0001);
                let packet = |n| to_device(rig, other(n), COAP_PORT, FLOOD_OCTETS);
                (0..count).map(|n| Prepared::Packet(packet(n))).collect()
            }
            Self::AsManager => {
                let manager = lowgate_sim::world::MANAGER_ADDR;
                let (src, dst, payload) = (manager, rig.device, &[0x55; FLOOD_OCTETS][..]);
                let (src_port, dst_port) = (MANAGER_PORT, JOINER_PORT);
                let packet = packet(&Datagram { src, dst, src_port, dst_port, payload });
                (0..count).map(|_| Prepared::Packet(packet.clone())).collect()
            }
        };
        let apart = match self {
            Self::Inward { .. } | Self::Outward { .. } => APART,
            Self::NotAllowed | Self::OneSource | Self::ManySources | Self::AsManager => {
                APART_IN_FLOOD
            }
        };
        Traffic { apart, datagrams, answers: Answers::new() }
    }
}

fn to_device(rig: &Rig, src: Ipv6Addr, dst_port: u16, octets: usize) -> Vec<u8> {
    let (dst, payload) = (rig.device, &vec![0x55; octets][..]);
    packet(&Datagram { src, dst, src_port: SOME_PORT, dst_port, payload })
}

/// Gives a fragment (RFC 4944 section 5.3) the tag of its datagram; leaves a whole datagram alone.
pub(crate) fn tag_fragment(payload: &mut [u8], tag: u16) {
    if let [first, _, high, low, ..] = payload
        && matches!(*first >> 3, 0b11000 | 0b11100)
    {
        [*high, *low] = tag.to_be_bytes();
    }
}

fn on_the_line(frames: &[lowgate_mac::Psdu]) -> Vec<Vec<u8>> {
    frames
        .iter()
        .map(|psdu| {
            let with_fcs = [&psdu[..], &psdu_fcs(psdu)].concat();
            let received = RawReceived {
                psdu: &with_fcs,
                rssi: -60,
                noise: NOISE_UNKNOWN,
                flags: ReceivedFlags(0),
                channel: 15,
                lqi: 200,
                timestamp_us: 1,
                error: 0,
            };
            say(Tid::NONE, Property::STREAM_RAW, |writer| received.emit(writer))
        })
        .collect()
}

fn say(tid: Tid, property: Property, value: impl FnOnce(Writer) -> Writer) -> Vec<u8> {
    let frame = write_property(Header::new(tid), Command::PROP_VALUE_IS, property, value);
    let frame = frame.expect("shorter than the longest frame");
    encode::<LINE_OCTETS_MAX>(&frame).expect("room for everything stuffed").to_vec()
}

impl Answers {
    fn new() -> Self {
        let done = TransmitDone {
            status: Status::OK,
            frame_pending: false,
            header_updated: false,
            ack: None,
        };
        let tids: Vec<Tid> =
            std::iter::successors(Some(Tid::NONE), |tid| Some(tid.next())).take(16).collect();
        let sent = tids.iter().map(|tid| say(*tid, Property::LAST_STATUS, |w| done.emit(w)));
        let on = Property::MAC_RAW_STREAM_ENABLED;
        let streaming = tids.iter().map(|tid| say(*tid, on, |writer| writer.boolean(true)));
        Self { sent: sent.collect(), streaming: streaming.collect() }
    }

    /// To what the host wrote: a frame to send, or the question whether frames are still reported.
    /// Behind the flag stand header, command and property.
    fn to(&self, line: &[u8], came: &mut Came) -> &[u8] {
        let &[_, header, command, ..] = line else { panic!("the host writes whole frames") };
        let tid = usize::from(header & TID_MAX);
        if Command(command.into()) == Command::PROP_VALUE_SET {
            came.frames += 1;
            &self.sent[tid]
        } else {
            &self.streaming[tid]
        }
    }
}

impl Traffic {
    /// Lets the time of all datagrams pass and sends the first `count` of them, each between two calls
    /// of `watch`; what came of them.
    pub(crate) fn send(&self, rig: &mut Rig, count: usize, mut watch: impl FnMut(Edge)) -> Came {
        let mut came = Came::default();
        for (number, datagram) in self.datagrams.iter().enumerate() {
            rig.now += self.apart;
            self.drain(rig, &mut Came::default());
            if number < count {
                watch(Edge::Before);
                self.send_one(rig, datagram, &mut came);
                watch(Edge::After);
            }
        }
        came
    }

    fn send_one(&self, rig: &mut Rig, datagram: &Prepared, came: &mut Came) {
        match datagram {
            Prepared::Packet(packet) => {
                rig.router.handle(rig.now, Input::Backbone(packet.clone()));
                self.drain(rig, came);
            }
            Prepared::Frames(frames) => {
                for frame in frames {
                    rig.co_processor.handle(rig.now, CoProcessorInput::Octets(frame));
                    self.drain(rig, came);
                }
            }
        }
    }

    /// As the daemon does it.
    fn drain(&self, rig: &mut Rig, came: &mut Came) {
        while self.drain_co_processor(rig, came) | drain_router(rig, came) {}
    }

    fn drain_co_processor(&self, rig: &mut Rig, came: &mut Came) -> bool {
        let mut moved = false;
        loop {
            match rig.co_processor.poll(rig.now) {
                CoProcessorOutput::Octets(octets) => {
                    let answer = self.answers.to(&octets, came);
                    rig.co_processor.handle(rig.now, CoProcessorInput::Octets(answer));
                }
                CoProcessorOutput::Event(event) => {
                    rig.router.handle(rig.now, Input::Radio(event));
                }
                CoProcessorOutput::Told(told) => panic!("the co-processor is in trouble: {told}"),
                CoProcessorOutput::Reopen => panic!("the co-processor is of no use"),
                CoProcessorOutput::Wait { .. } => return moved,
            }
            moved = true;
        }
    }
}

/// Of the time in which one datagram is dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    Before,
    After,
}

fn drain_router(rig: &mut Rig, came: &mut Came) -> bool {
    let mut moved = false;
    loop {
        match rig.router.poll(rig.now) {
            Output::Radio(command) => {
                rig.co_processor.handle(rig.now, CoProcessorInput::Command(command));
            }
            Output::Store { ticket, .. } => rig.router.handle(rig.now, Input::Stored { ticket }),
            Output::Backbone(_) => came.packets += 1,
            Output::Erase(_) | Output::Event(_) => {}
            Output::Wait { .. } => return moved,
        }
        moved = true;
    }
}
