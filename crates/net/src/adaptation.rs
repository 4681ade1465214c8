//! Between IPv6 packets and frames: compression, fragments, reassembly and the transmit queue.
//! **Invariant:** one frame is with the link layer at a time; unsecured packets know no context.

use crate::api::{Frame, OutFrame, Packet, SendDone};
use crate::event::NetDrop;
use heapless::{Deque, Vec};
use lowgate_sixlowpan::{
    Contexts, DATAGRAM_OCTETS_MAX, DatagramTag, Fragmenter, Incoming, LinkPair, Reassembler,
    ReassemblyOutput, ReceiveDrop, Received, Security, iphc,
};
use lowgate_units::{Duration, Eui64, Instant, LinkAddr, LinkDst, List};

/// Packets that may wait for the link.
pub const QUEUE_PACKETS_MAX: usize = 16;
/// Of them, packets from outside the mesh.
const OUTSIDE_PACKETS_MAX: usize = 4;
/// Octets of a secured frame with a short or broadcast destination, PSDU 127.
const SECURED_SHORT_OCTETS_MAX: usize = 96;
/// Octets of a secured frame with an extended destination.
const SECURED_EXTENDED_OCTETS_MAX: usize = 90;
/// Octets of an unsecured frame with extended addresses.
const UNSECURED_OCTETS_MAX: usize = 104;
/// A link layer that says nothing for so long has lost the frame. It may wait for storage.
const SEND_DONE_MAX: Duration = Duration::from_secs(10);
/// A frame of a packet on its way through the mesh is given to the link layer so often. At 1 dB below the
/// noise two attempts of three at a full frame fail; one frame in twelve, and with it its packet, fails at
/// all eight.
const FRAME_ROUNDS_MAX: u8 = 3;
/// A compressed datagram: never longer than the packet and its dispatch.
const COMPRESSED_OCTETS_MAX: usize = DATAGRAM_OCTETS_MAX + DISPATCH_OCTETS;
const DISPATCH_OCTETS: usize = 1;

/// Why a packet is on its way, for what its failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// For this neighbour.
    Local,
    /// Toward the root; `again` if a parent failed it before.
    Upward { again: bool },
    /// Along a source route.
    Downward,
}

/// Who goes first when both wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precedence {
    /// The mesh's own packets, and those of the domain manager.
    Mesh,
    /// Everybody else's of the building's network.
    Outside,
}

/// A packet to send.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) precedence: Precedence,
    pub(crate) packet: Packet,
    pub(crate) dst: LinkDst,
    pub(crate) security: Security,
    pub(crate) purpose: Purpose,
}

/// What became of a packet.
#[derive(Clone, Debug)]
pub(crate) enum Finished {
    /// More frames are to come, or it was not ours.
    Pending,
    /// All its frames left.
    Sent,
    /// One of its frames did not arrive, however often it was sent.
    Failed(Outgoing),
    /// It never was on the air, or nobody knows: the neighbour has not been asked.
    Unsent(Outgoing),
}

struct Current {
    outgoing: Outgoing,
    octets: List<u8, COMPRESSED_OCTETS_MAX>,
    fragmenter: Fragmenter,
    /// As it was before the frame that the link layer has.
    before: Fragmenter,
    /// How often the link layer gave up on that frame.
    failures: u8,
    /// The link layer has a frame.
    waiting: Option<Waiting>,
}

impl Current {
    /// Goes back to the frame that failed; false if that was the last time.
    fn go_back(&mut self) -> bool {
        let travels = match self.outgoing.purpose {
            Purpose::Upward { .. } | Purpose::Downward => true,
            // Whoever asks a neighbour asks again.
            Purpose::Local => false,
        };
        self.failures += 1;
        let goes_back = travels && self.failures < FRAME_ROUNDS_MAX;
        if goes_back {
            self.fragmenter = self.before.clone();
        }
        goes_back
    }
}

#[derive(Clone, Copy)]
struct Waiting {
    token: u32,
    until: Instant,
}

/// Datagrams that grow together at a time: secured ones, and others.
type Slots = Reassembler<4, 2>;

/// The layer.
pub(crate) struct Adaptation {
    me: Eui64,
    pub(crate) contexts: Contexts,
    none: Contexts,
    reassembler: Slots,
    queue: Deque<Outgoing, QUEUE_PACKETS_MAX>,
    current: Option<Current>,
    /// A packet from outside whose remaining frames let one of the mesh go first.
    parked: Option<Current>,
    token: u32,
    tag: DatagramTag,
}

impl Adaptation {
    pub(crate) fn new(me: Eui64, tag: u16) -> Self {
        Self {
            me,
            contexts: Contexts::new(),
            none: Contexts::new(),
            reassembler: Reassembler::new(),
            queue: Deque::new(),
            current: None,
            parked: None,
            token: 0,
            tag: DatagramTag(tag),
        }
    }

    /// Forgets all but unsecured packets on their way: a joiner's last words may still be here
    /// when it attaches.
    pub(crate) fn clear(&mut self) {
        self.contexts = Contexts::new();
        self.reassembler.clear();
        for _ in 0..self.queue.len() {
            if let Some(outgoing) = self.queue.pop_front()
                && outgoing.security == Security::Unsecured
            {
                // Infallible: it came out of there.
                let _ = self.queue.push_back(outgoing);
            }
        }
        if self.current.as_ref().is_some_and(|it| it.outgoing.security == Security::Secured) {
            self.current = None;
        }
        self.parked = None;
    }

    /// A packet, if this frame completes one. Of a fragmented one to all, `is_known` is told how it begins; if it is
    /// known, the rest takes up no room.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        frame: &Frame<'_>,
        is_known: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Option<Packet>, NetDrop> {
        let (security, contexts) = if frame.secured {
            (Security::Secured, &self.contexts)
        } else {
            (Security::Unsecured, &self.none)
        };
        let link = LinkPair { src: frame.src, dst: frame.dst };
        let incoming = Incoming { link, security, octets: frame.payload };
        let mut octets = [0; DATAGRAM_OCTETS_MAX];
        if frame.secured && frame.dst == LinkDst::Broadcast {
            let len = Slots::beginning(incoming, contexts, &mut octets);
            if len.is_some_and(|len| is_known(&octets[..len])) {
                self.reassembler.disregard(now, incoming);
                return Ok(None);
            }
        }
        match self.reassembler.handle(now, incoming, contexts, &mut octets) {
            Ok(Received::Datagram { len }) => Ok(Packet::from_slice(&octets[..len]).ok()),
            // Repeated, or of a flood that is known.
            Ok(Received::Waiting) | Err(ReceiveDrop::AlreadyComplete) => Ok(None),
            Err(ReceiveDrop::NoSlot) => Err(NetDrop::Reassembly),
            Err(_) => Err(NetDrop::Adaptation),
        }
    }

    /// Reassemblies given up since the last call, and when to call again.
    pub(crate) fn poll_reassembly(&mut self, now: Instant) -> Option<NetDrop> {
        match self.reassembler.poll(now) {
            ReassemblyOutput::Abandoned { .. } => Some(NetDrop::Reassembly),
            ReassemblyOutput::Wait { .. } => None,
        }
    }

    /// When something here is due; call after [`Self::poll_reassembly`] said nothing.
    pub(crate) fn due(&mut self, now: Instant) -> Instant {
        let reassembly = match self.reassembler.poll(now) {
            ReassemblyOutput::Wait { until } => until,
            ReassemblyOutput::Abandoned { .. } => now,
        };
        let sending = self.current.as_ref().and_then(|current| current.waiting);
        reassembly.min(sending.map_or(Instant::FAR_FUTURE, |waiting| waiting.until))
    }

    /// False if the queue is full.
    pub(crate) fn send(&mut self, outgoing: Outgoing) -> bool {
        let from_outside = |it: &&Outgoing| it.precedence == Precedence::Outside;
        if outgoing.precedence == Precedence::Outside
            && self.queue.iter().filter(from_outside).count() >= OUTSIDE_PACKETS_MAX
        {
            return false;
        }
        self.queue.push_back(outgoing).is_ok()
    }

    /// The packet whose turn it is. One of the mesh overtakes those from outside, whole ones and one that
    /// is partly sent: a receiver tells datagrams apart by their tags.
    fn choose(&mut self) -> Option<Result<Current, NetDrop>> {
        let mesh_at = self.queue.iter().position(|it| it.precedence == Precedence::Mesh);
        if mesh_at.is_none()
            && let Some(parked) = self.parked.take()
        {
            return Some(Ok(parked));
        }
        // Turned once round, so that the others keep their order.
        let len = self.queue.len();
        let mut chosen = None;
        for at in 0..len {
            let outgoing = self.queue.pop_front()?;
            if at == mesh_at.unwrap_or(0) {
                chosen = Some(outgoing);
                if at == 0 {
                    break;
                }
            } else {
                // Infallible: it came out of there.
                let _ = self.queue.push_back(outgoing);
            }
        }
        Some(self.begin(chosen?).ok_or(NetDrop::TooLarge))
    }

    /// Between two frames of a packet from outside: one of the mesh may go first.
    fn park(&mut self) {
        let waits = self.queue.iter().any(|it| it.precedence == Precedence::Mesh);
        if waits
            && self.parked.is_none()
            && let Some(outside) = self.current.take_if(|current| {
                current.waiting.is_none() && current.outgoing.precedence == Precedence::Outside
            })
        {
            self.parked = Some(outside);
        }
    }

    /// Room for so many more packets.
    pub(crate) fn room(&self) -> usize {
        self.queue.capacity() - self.queue.len()
    }

    /// The next frame for the link layer; `Err` names a packet that cannot be sent.
    pub(crate) fn next_frame(&mut self, now: Instant) -> Option<Result<OutFrame, NetDrop>> {
        self.park();
        if self.current.is_none() {
            self.current = match self.choose()? {
                Ok(current) => Some(current),
                Err(why) => return Some(Err(why)),
            };
        }
        let current = self.current.as_mut().filter(|current| current.waiting.is_none())?;
        let mut payload = Vec::new();
        // Infallible: the length is the capacity.
        let _ = payload.resize_default(UNSECURED_OCTETS_MAX);
        current.before = current.fragmenter.clone();
        let Some(len) = current.fragmenter.emit_next(&current.octets, &mut payload) else {
            self.current = None;
            return Some(Err(NetDrop::TooLarge));
        };
        payload.truncate(len);
        self.token = self.token.wrapping_add(1);
        current.waiting = Some(Waiting { token: self.token, until: now + SEND_DONE_MAX });
        Some(Ok(OutFrame {
            token: self.token,
            dst: current.outgoing.dst,
            secured: current.outgoing.security == Security::Secured,
            payload,
        }))
    }

    fn begin(&mut self, outgoing: Outgoing) -> Option<Current> {
        let (contexts, payload_max) = match (outgoing.security, outgoing.dst) {
            (Security::Unsecured, _) => (&self.none, UNSECURED_OCTETS_MAX),
            (Security::Secured, LinkDst::Unicast(LinkAddr::Extended(_))) => {
                (&self.contexts, SECURED_EXTENDED_OCTETS_MAX)
            }
            (Security::Secured, LinkDst::Broadcast | LinkDst::Unicast(LinkAddr::Short(_))) => {
                (&self.contexts, SECURED_SHORT_OCTETS_MAX)
            }
        };
        let link = LinkPair { src: LinkAddr::Extended(self.me), dst: outgoing.dst };
        let mut octets = List::<u8, COMPRESSED_OCTETS_MAX>::new();
        octets.resize_default(outgoing.packet.len() + DISPATCH_OCTETS).ok()?;
        let headers_max = Fragmenter::headers_max(payload_max);
        let datagram =
            iphc::compress_within(&outgoing.packet, link, contexts, headers_max, &mut octets)
                .ok()?;
        octets.truncate(datagram.len());
        let fragmenter = Fragmenter::new(datagram, self.tag, payload_max).ok()?;
        if fragmenter.is_fragmented() {
            self.tag = self.tag.next();
        }
        let before = fragmenter.clone();
        Some(Current { outgoing, octets, fragmenter, before, failures: 0, waiting: None })
    }

    /// The link layer's answer; also says to whom the frame went.
    pub(crate) fn done(&mut self, done: &SendDone) -> Option<(LinkDst, Finished)> {
        let current = self.current.as_mut()?;
        current.waiting.filter(|waiting| waiting.token == done.token)?;
        current.waiting = None;
        let dst = current.outgoing.dst;
        let more = if done.acked {
            current.failures = 0;
            !current.fragmenter.is_done()
        } else {
            current.go_back()
        };
        if more {
            return Some((dst, Finished::Pending));
        }
        let finished = match self.finish(done.acked) {
            Finished::Failed(outgoing) if done.attempts == 0 => Finished::Unsent(outgoing),
            finished => finished,
        };
        Some((dst, finished))
    }

    /// The link layer lost the frame.
    pub(crate) fn poll_lost(&mut self, now: Instant) -> Option<Finished> {
        let waiting = self.current.as_ref()?.waiting?;
        (now >= waiting.until).then(|| self.finish(false))
    }

    fn finish(&mut self, sent: bool) -> Finished {
        match self.current.take() {
            Some(_) if sent => Finished::Sent,
            Some(current) => Finished::Failed(current.outgoing),
            None => Finished::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::udp::Udp;
    use lowgate_units::{Iid, ShortAddr};

    const NOW: Instant = Instant::ZERO;

    /// An adaptation with one packet in it, of two frames.
    fn sending(purpose: Purpose) -> Adaptation {
        let [me, short] = [Eui64([2; 8]), Eui64([4; 8])];
        let (src, dst) = (Iid::from(me).link_local(), Iid::from(short).link_local());
        let udp = Udp { src_port: 1, dst_port: 2, payload: &[7; 120] };
        let mut adaptation = Adaptation::new(me, 1);
        assert!(adaptation.send(Outgoing {
            precedence: Precedence::Mesh,
            packet: udp.emit(src, dst, 64).expect("short enough"),
            dst: LinkDst::Unicast(LinkAddr::Short(ShortAddr::new(5).expect("small"))),
            security: Security::Secured,
            purpose,
        }));
        adaptation
    }

    fn next(adaptation: &mut Adaptation) -> OutFrame {
        adaptation.next_frame(NOW).expect("a frame").expect("it fits")
    }

    fn done(adaptation: &mut Adaptation, token: u32, acked: bool) -> Finished {
        adaptation.done(&SendDone { token, acked, attempts: 8 }).expect("its frame").1
    }

    #[test]
    fn a_frame_on_its_way_goes_again_and_the_rest_follows() {
        for purpose in [Purpose::Downward, Purpose::Upward { again: false }] {
            let mut adaptation = sending(purpose);
            let first = next(&mut adaptation);
            assert!(matches!(done(&mut adaptation, first.token, true), Finished::Pending));
            let second = next(&mut adaptation);
            assert_ne!(first.payload, second.payload);
            for _ in 1..FRAME_ROUNDS_MAX {
                let token = adaptation.token;
                assert!(matches!(done(&mut adaptation, token, false), Finished::Pending));
                assert_eq!(next(&mut adaptation).payload, second.payload);
            }
            let token = adaptation.token;
            assert!(matches!(done(&mut adaptation, token, false), Finished::Failed(_)));
            assert!(adaptation.next_frame(NOW).is_none());
        }
    }

    #[test]
    fn a_frame_for_a_neighbour_is_not_sent_again() {
        let mut adaptation = sending(Purpose::Local);
        let first = next(&mut adaptation);
        assert!(matches!(done(&mut adaptation, first.token, false), Finished::Failed(_)));
    }
}
