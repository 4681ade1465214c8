//! Datagrams between the stack, the relay, the session with the domain manager and the groups.
//!
//! Figure 2 of the design stands in [`Node::udp`]: a datagram that came without link-layer security
//! goes to the relay, or to a joiner that waits for it, or nowhere.

use crate::api::{Event, Kind, Output};
use crate::app::Served;
use crate::node::{CoapPeer, Node, link_local, relay_of};
use crate::outside::COAP_PORT;
use crate::pair_event::{PAIR_CALLER_PORT, PAIR_PORT};
use crate::pairs;
use lowgate_access::joiner::{Datagram, JoinerInput, Path};
use lowgate_access::relay::{self, FromJoiner};
use lowgate_access::{JOIN_PORT, JOINER_PORT, MANAGER_PORT, MANAGER_RELAY_PORT, TREE_PORT};
use lowgate_amikey::GroupId;
use lowgate_coap::{
    Addressed, ExchangeId, Input as CoapInput, Output as CoapOutput, Request, Response,
};
use lowgate_dtls::group::{GroupDrop, GroupOpened};
use lowgate_net::{SendRefused, UdpReceived, UdpSend};
#[cfg(feature = "pairs")]
use lowgate_units::Eui64;
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Instant, Ipv6Addr};

impl Node {
    pub(crate) fn udp(&mut self, now: Instant, mut datagram: UdpReceived) {
        let from_manager = datagram.secured
            && self.link.as_ref().and_then(|link| link.manager()) == Some(datagram.src);
        match (datagram.secured, datagram.dst_port) {
            (false, JOIN_PORT) => self.relay_up(now, &datagram),
            (false, JOINER_PORT) if datagram.src_port == JOIN_PORT => {
                if let Some(relay) = relay_of(datagram.link_src) {
                    let (path, octets) = (Path::Relay(relay), &mut datagram.payload[..]);
                    self.joiner.handle(now, JoinerInput::Datagram { path, octets });
                }
            }
            (true, JOIN_PORT) if from_manager && datagram.src_port == MANAGER_RELAY_PORT => {
                self.relay_down(now, &datagram.payload);
            }
            (true, JOINER_PORT) if from_manager && datagram.src_port == MANAGER_PORT => {
                let (path, octets) = (Path::Direct, &mut datagram.payload[..]);
                self.joiner.handle(now, JoinerInput::Datagram { path, octets });
            }
            (true, TREE_PORT) if datagram.dst.is_multicast() => {
                self.take_tree(now, &datagram.payload);
            }
            (true, port) if datagram.dst.is_multicast() => {
                self.take_from_group(now, datagram.dst, port, &mut datagram.payload);
            }
            (true, PAIR_PORT | PAIR_CALLER_PORT) if pairs::is_on(&self.config) => {
                self.take_from_pair(now, &mut datagram);
            }
            (true, COAP_PORT) => self.take_from_outside(now, &datagram),
            (false | true, _) => self.event(Event::DatagramUnwanted { port: datagram.dst_port }),
        }
    }

    fn relay_up(&mut self, now: Instant, datagram: &UdpReceived) {
        let Some(manager) = self.link.as_ref().and_then(|link| link.manager()) else {
            return; // not a member of anything: nobody's relay
        };
        let mut envelope = [0; relay::ENVELOPE_OCTETS_MAX];
        let from = FromJoiner {
            src: datagram.src,
            dst: datagram.dst,
            src_port: datagram.src_port,
            dst_port: datagram.dst_port,
            hop_limit: datagram.hop_limit,
            payload: &datagram.payload,
        };
        match self.relay.wrap(now, self.net.link_local_addr(), from, &mut envelope) {
            Ok(len) => {
                let dst = if planted(Fault::RelayElsewhere) { elsewhere(manager) } else { manager };
                let (src_port, dst_port) = (JOIN_PORT, MANAGER_RELAY_PORT);
                let payload = &envelope[..len];
                self.udp_send(now, UdpSend { dst, src_port, dst_port, secured: true, payload });
            }
            Err(drop) => self.event(Event::RelayDropped(drop)),
        }
    }

    fn relay_down(&mut self, now: Instant, envelope: &[u8]) {
        match self.relay.unwrap(now, envelope) {
            Ok(answer) => {
                let (dst, dst_port, payload) = (answer.dst, answer.dst_port, answer.payload);
                let src_port = JOIN_PORT;
                self.udp_send(now, UdpSend { dst, src_port, dst_port, secured: false, payload });
            }
            Err(drop) => self.event(Event::RelayDropped(drop)),
        }
    }

    /// Sends a datagram of whatever the device does besides, under link-layer security.
    ///
    /// # Errors
    /// [`SendRefused`] says why nothing was sent.
    pub fn send(&mut self, now: Instant, datagram: UdpSend<'_>) -> Result<(), SendRefused> {
        let sent = self.net.udp_send(now, UdpSend { secured: true, ..datagram });
        self.settle(now);
        sent
    }

    pub(crate) fn udp_send(&mut self, now: Instant, send: UdpSend<'_>) {
        if let Err(refused) = self.net.udp_send(now, send) {
            self.event(Event::SendRefused(refused));
        }
    }

    /// A datagram of this node's own session.
    pub(crate) fn send_to_manager(&mut self, now: Instant, path: Path, octets: Datagram) {
        let payload = &octets[..];
        let src_port = JOINER_PORT;
        match (path, self.config.kind) {
            (Path::Relay(relay), _) => {
                let (dst, dst_port) = (link_local(relay), JOIN_PORT);
                self.udp_send(now, UdpSend { dst, src_port, dst_port, secured: false, payload });
            }
            (Path::Direct, Kind::BorderRouter) => self.push(Output::ToManager(octets)),
            (Path::Direct, Kind::Light | Kind::Switch | Kind::Sensor) => {
                if let Some(dst) = self.link.as_ref().and_then(|link| link.manager()) {
                    let dst_port = MANAGER_PORT;
                    self.udp_send(now, UdpSend { dst, src_port, dst_port, secured: true, payload });
                }
            }
        }
    }

    /// Application data of the session.
    pub(crate) fn take_from_manager(&mut self, now: Instant, octets: &[u8]) {
        let (peer, addressed) = (CoapPeer::Manager, Addressed::ToUs);
        self.coap.handle(now, CoapInput::Datagram { peer, addressed, octets });
    }

    /// Tells the manager the new address with the first record that leaves it.
    pub(crate) fn greet_manager(&mut self, now: Instant) {
        if self.joiner.is_member() && self.greeting.is_none() {
            // Refused when too much is under way: the next occasion comes.
            self.greeting = self.coap.ping(now, CoapPeer::Manager).ok();
        }
    }

    /// Its session is gone: what was asked in it gets no answer.
    pub(crate) fn forget_greeting(&mut self, now: Instant) {
        if let Some(greeting) = self.greeting.take() {
            self.coap.cancel(now, greeting);
        }
    }

    fn take_from_group(&mut self, now: Instant, dst: Ipv6Addr, port: u16, record: &mut [u8]) {
        let ccm = self.config.ccm;
        let Some(group) = self.groups.by_address(dst, port) else {
            return;
        };
        let (id, epoch) = (group.id, group.epoch.raw());
        let is_later = epoch_of(record).is_some_and(|it| it.wrapping_sub(epoch) as i16 > 0);
        match group.open(ccm, record) {
            Ok(GroupOpened { sender, seq: sequence, plaintext: octets, .. }) => {
                let peer = CoapPeer::Member(id, sender.0);
                let addressed = Addressed::ToGroup;
                self.coap.handle(now, CoapInput::Datagram { peer, addressed, octets });
                self.event(Event::GroupOpened { group: id, epoch, sender, sequence });
            }
            Err(drop) => {
                if drop == GroupDrop::WrongEpoch && is_later {
                    self.doubt_keys(now);
                }
                self.event(Event::GroupDropped(id, drop));
            }
        }
    }

    /// Takes a group record past the link layer; whether it opens, `None` if this node is not in the group.
    /// For trying what the group's own keys keep out when the link layer does not.
    pub fn try_group_record(&mut self, id: GroupId, record: &[u8]) -> Option<bool> {
        let mut octets = record.to_vec();
        let ccm = self.config.ccm;
        self.groups.by_id(id).map(|group| group.open(ccm, &mut octets).is_ok())
    }

    pub(crate) fn drain_coap(&mut self, now: Instant) -> bool {
        let mut moved = false;
        while self.coap.is_due(now) {
            match self.coap.poll(now) {
                CoapOutput::Wait { until } => {
                    self.coap.waits(until);
                    break;
                }
                CoapOutput::Transmit { peer, octets } => match peer {
                    CoapPeer::Manager => {
                        // Refused without a session: CoAP repeats what matters. The joiner is drained
                        // before the next one.
                        let _ = self.joiner.send(&octets);
                        return true;
                    }
                    // Commands to a group are not answered; who is outside has another endpoint.
                    CoapPeer::Member(..) | CoapPeer::Outsider(..) => {}
                },
                CoapOutput::Requested { exchange, peer, request, .. } => {
                    self.serve(now, exchange, peer, request);
                }
                CoapOutput::Failed { request, .. } if self.pairs_answered(now, request, None) => {}
                CoapOutput::Responded { request, response, .. } => {
                    self.pairs_answered(now, request, Some(&response));
                }
                CoapOutput::Failed { request, .. } if self.greeting == Some(request) => {
                    self.greeting = None;
                    self.joiner.handle(now, JoinerInput::Unanswered);
                }
                CoapOutput::Ponged { request, .. } if self.greeting == Some(request) => {
                    self.greeting = None;
                }
                CoapOutput::Failed { .. }
                | CoapOutput::Ponged { .. }
                | CoapOutput::Ended { .. }
                | CoapOutput::AnswerLost { .. }
                | CoapOutput::ObserverGone { .. }
                | CoapOutput::Dropped { .. } => {}
            }
            moved = true;
        }
        moved
    }

    fn serve(&mut self, now: Instant, exchange: ExchangeId, peer: CoapPeer, request: Request) {
        if self.config.kind == Kind::BorderRouter && peer == CoapPeer::Manager {
            return self.push(Output::Managed { exchange, request });
        }
        let response = self.ask_app(now, &request);
        match peer {
            // RFC 7252 section 8.2: a server may leave a multicast request unanswered. A command to
            // hundreds of lamps wants no answers.
            CoapPeer::Member(..) | CoapPeer::Outsider(..) => self.coap.ignore(exchange),
            CoapPeer::Manager => self.respond(now, exchange, response),
        }
    }

    /// Another device asks, in a session with this one alone.
    #[cfg(feature = "pairs")]
    pub(crate) fn ask_app_for(
        &mut self,
        now: Instant,
        _peer: Eui64,
        request: &Request,
    ) -> Response {
        self.ask_app(now, request)
    }

    pub(crate) fn ask_app(&mut self, now: Instant, request: &Request) -> Response {
        match self.app.serve(now, request) {
            Served::Answer(response) => response,
            Served::Lamp(on, response) => {
                self.event(Event::Light { on });
                response
            }
            Served::Identify(seconds, response) => {
                self.event(Event::Identify { seconds });
                response
            }
        }
    }

    pub(crate) fn respond(&mut self, now: Instant, exchange: ExchangeId, response: Response) {
        // Refused when the exchange was forgotten meanwhile: the peer asks again.
        let _ = self.coap.respond(now, exchange, &response);
    }
}

/// The epoch of a record (RFC 6347 section 4.1).
fn epoch_of(record: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*record.get(3)?, *record.get(4)?]))
}

fn elsewhere(manager: Ipv6Addr) -> Ipv6Addr {
    let mut octets = manager.octets();
    octets[15] ^= 0x80;
    octets.into()
}
