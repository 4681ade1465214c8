//! What waits for the owner to fetch it.

use crate::api::{Packet, UdpReceived};
use crate::event::{NetDrop, NetEvent};
use heapless::Deque;

/// Datagrams that wait for the owner. One input makes at most one.
const DATAGRAMS_MAX: usize = 4;
/// Events that wait for the owner; further ones are lost.
const EVENTS_MAX: usize = 32;

/// The queues.
#[derive(Default)]
pub(crate) struct Outbox {
    pub(crate) events: Deque<NetEvent, EVENTS_MAX>,
    pub(crate) datagrams: Deque<UdpReceived, DATAGRAMS_MAX>,
    pub(crate) backbone: Deque<Packet, DATAGRAMS_MAX>,
    pub(crate) store: Option<u8>,
    /// A DODAG version to be stored.
    pub(crate) store_version: Option<u8>,
}

impl Outbox {
    pub(crate) fn event(&mut self, event: NetEvent) {
        // An owner that does not drain loses news of noise first of all; there is nobody to tell.
        let _ = self.events.push_back(event);
    }

    pub(crate) fn dropped(&mut self, why: NetDrop) {
        self.event(NetEvent::Dropped(why));
    }

    pub(crate) fn datagram(&mut self, datagram: UdpReceived) {
        if self.datagrams.push_back(datagram).is_err() {
            self.dropped(NetDrop::OutputFull);
        }
    }

    pub(crate) fn send_backbone(&mut self, packet: Packet) {
        if self.backbone.push_back(packet).is_err() {
            self.dropped(NetDrop::OutputFull);
        }
    }
}
