//! Medium and MAC alone: frames of that size over static routes, nothing above them.

use super::run::{Host, Payload, Wish};
use super::scenario::{is_sink, parent, sink};
use lowgate_mac::{Psdu, RadioCommand, RadioConfig, RadioEvent, TxToken};
use lowgate_sim::medium::StationId;
use lowgate_units::{Channel, Eui64, Instant, PanId, ShortAddr};
use std::collections::VecDeque;

/// Frame control, sequence number, PAN and two short addresses: a data frame of 2003 that wants to be
/// acknowledged.
const HEAD_OCTETS: usize = 9;
/// Stands for compressed IPv6 and UDP, in ns-3's frames too; the first of them counts hops.
const NETWORK_OCTETS: usize = 9;

pub(crate) struct Forwarder {
    station: StationId,
    wishes: VecDeque<Wish>,
    queue: VecDeque<Psdu>,
    in_flight: bool,
    sequence: u8,
}

impl Forwarder {
    pub(crate) fn new(station: StationId) -> Self {
        let config = RadioConfig {
            channel: Channel::new(15).expect("in the band"),
            pan_id: Some(pan_id(station)),
            short: Some(short(station)),
            eui64: Eui64(u64::from(station.0).to_be_bytes()),
            promiscuous: false,
        };
        Self {
            station,
            wishes: VecDeque::from([Wish::Radio(RadioCommand::Configure(config))]),
            queue: VecDeque::new(),
            in_flight: false,
            sequence: 0,
        }
    }

    /// To the next hop.
    fn forward(&mut self, body: impl Iterator<Item = u8>) {
        self.sequence = self.sequence.wrapping_add(1);
        let [pan_low, pan_high] = pan_id(self.station).raw().to_le_bytes();
        let [dst_low, dst_high] = short(parent(self.station)).raw().to_le_bytes();
        let [src_low, src_high] = short(self.station).raw().to_le_bytes();
        let head =
            [0x61, 0x88, self.sequence, pan_low, pan_high, dst_low, dst_high, src_low, src_high];
        self.queue.push_back(head.into_iter().chain(body).collect());
    }
}

fn pan_id(station: StationId) -> PanId {
    PanId::new(sink(station).0 as u16 + 1).expect("few blocks")
}

fn short(station: StationId) -> ShortAddr {
    ShortAddr::new(station.0 as u16 + 1).expect("few nodes")
}

impl Host for Forwarder {
    fn radio(&mut self, _now: Instant, event: RadioEvent) {
        match event {
            RadioEvent::Received { psdu, .. } => {
                let body = &psdu[HEAD_OCTETS..];
                let hops = body[0] + 1;
                if is_sink(self.station) {
                    let payload = body[NETWORK_OCTETS..].try_into().expect("a payload");
                    self.wishes.push_back(Wish::Arrived { payload, hops });
                } else {
                    self.forward(std::iter::once(hops).chain(body[1..].iter().copied()));
                }
            }
            RadioEvent::Transmitted { .. } => self.in_flight = false,
        }
    }

    fn send(&mut self, _now: Instant, payload: &Payload) {
        self.forward([0; NETWORK_OCTETS].into_iter().chain(*payload));
    }

    fn stored(&mut self, _now: Instant, _ticket: u32) {}

    fn poll(&mut self, _now: Instant) -> Wish {
        if let Some(wish) = self.wishes.pop_front() {
            return wish;
        }
        if !self.in_flight
            && let Some(psdu) = self.queue.pop_front()
        {
            self.in_flight = true;
            return Wish::Radio(RadioCommand::Transmit { token: TxToken(0), psdu });
        }
        Wish::Wait { until: Instant::FAR_FUTURE }
    }
}
