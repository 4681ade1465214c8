//! Stacks connected by a matrix of lossy links, in virtual time. The link acknowledges, retries
//! three times and takes a frame's airtime; it knows no collisions.

use lowgate_net::{
    Attach, AttachRoot, Frame, NetDrop, NetEvent, NetInput, NetOutput, OutFrame, Packet, SendDone,
    Stack, StackConfig, UdpReceived, UdpSend,
};
use lowgate_units::{
    Duration, Eui64, Instant, Ipv6Addr, LinkAddr, LinkDst, Lqi, Prng, Rssi, ShortAddr,
};
use std::collections::BTreeMap;

pub(crate) const PREFIX: [u8; 8] = [0xfd, 0x12, 0x34, 0x56, 0, 0, 0, 1];
pub(crate) const MANAGER: Ipv6Addr = Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1);
pub(crate) const JOIN_PORT: u16 = 61630;
const ATTEMPTS_MAX: u8 = 4;

#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) loss: f64,
    pub(crate) rssi: Rssi,
}

enum Happening {
    Arrival { to: usize, from: usize, dst: LinkDst, secured: bool, payload: Vec<u8>, rssi: Rssi },
    Done { node: usize, done: SendDone },
}

/// Node 0 is the root.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) stacks: Vec<Stack>,
    wakes: Vec<Instant>,
    links: BTreeMap<(usize, usize), Link>,
    happenings: BTreeMap<(Instant, u64), Happening>,
    sequence: u64,
    prng: Prng,
    pub(crate) events: Vec<(Instant, usize, NetEvent)>,
    pub(crate) datagrams: Vec<(Instant, usize, UdpReceived)>,
    pub(crate) backbone: Vec<(Instant, Packet)>,
    /// Transmissions on the air, retries included.
    pub(crate) transmissions: usize,
    /// Every frame sent.
    pub(crate) frames: Vec<(usize, OutFrame)>,
    /// Whose radio sends nothing at the moment.
    pub(crate) mute: Option<usize>,
}

pub(crate) fn eui64(n: usize) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, (n >> 8) as u8, n as u8])
}

pub(crate) fn short(n: usize) -> ShortAddr {
    ShortAddr::new(n as u16).expect("not reserved")
}

pub(crate) fn addr(n: usize) -> Ipv6Addr {
    lowgate_units::Iid::from(short(n)).under(PREFIX)
}

impl World {
    /// `count` detached stacks without links.
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let prng = Prng::new(seed);
        let stacks = (0..count)
            .map(|n| {
                let config = StackConfig { eui64: eui64(n), join_port: JOIN_PORT, mpl_sequence: 0 };
                Stack::new(config, prng.fork(n as u64 + 1))
            })
            .collect();
        Self {
            now: Instant::from_secs(1),
            stacks,
            wakes: vec![Instant::ZERO; count],
            links: BTreeMap::new(),
            happenings: BTreeMap::new(),
            sequence: 0,
            prng,
            events: vec![],
            datagrams: vec![],
            backbone: vec![],
            transmissions: 0,
            frames: vec![],
            mute: None,
        }
    }

    /// 0 - 1 - 2 - ...
    pub(crate) fn line(seed: u64, count: usize, loss: f64) -> Self {
        let mut world = Self::new(seed, count);
        for n in 1..count {
            world.connect(n - 1, n, loss, -60);
        }
        world
    }

    /// Width times width nodes, each in range of its eight neighbours, diagonals weaker.
    pub(crate) fn grid(seed: u64, width: usize, loss: f64) -> Self {
        let mut world = Self::new(seed, width * width);
        for (a, b) in (0..width * width).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let (dx, dy) = ((a % width).abs_diff(b % width), (a / width).abs_diff(b / width));
            match dx * dx + dy * dy {
                1 => world.connect(a, b, loss, -65),
                2 => world.connect(a, b, loss + 0.1, -78),
                _ => {}
            }
        }
        world
    }

    pub(crate) fn connect(&mut self, a: usize, b: usize, loss: f64, rssi: i8) {
        let link = Link { loss, rssi: Rssi(rssi) };
        self.links.insert((a, b), link);
        self.links.insert((b, a), link);
    }

    pub(crate) fn cut(&mut self, a: usize, b: usize) {
        self.links.remove(&(a, b));
        self.links.remove(&(b, a));
    }

    /// Nothing that `from` sends reaches `to` any more.
    pub(crate) fn deafen(&mut self, from: usize, to: usize) {
        self.links.remove(&(from, to));
    }

    pub(crate) fn start_root(&mut self) {
        let attach = AttachRoot { short: short(0), prefix: PREFIX, version: 240 };
        self.input(0, NetInput::AttachRoot(attach));
    }

    pub(crate) fn admit(&mut self, n: usize) {
        self.input(0, NetInput::Admitted { eui64: eui64(n), short: short(n) });
    }

    pub(crate) fn attach(&mut self, n: usize, hint: Option<usize>) {
        let attach = Attach { short: short(n), hint: hint.map(eui64) };
        self.input(n, NetInput::Attach(attach));
    }

    /// Starts the root, then everybody else at once, without hints.
    pub(crate) fn start_all(&mut self) {
        self.start_root();
        for n in 1..self.stacks.len() {
            self.admit(n);
            self.attach(n, None);
        }
    }

    pub(crate) fn input(&mut self, n: usize, input: NetInput<'_>) {
        self.stacks[n].handle(self.now, input);
        self.drain(n);
    }

    pub(crate) fn udp(&mut self, n: usize, dst: Ipv6Addr, payload: &[u8]) {
        let send = UdpSend { dst, src_port: 5683, dst_port: 5683, secured: true, payload };
        self.stacks[n].udp_send(self.now, send).expect("taken");
        self.drain(n);
    }

    pub(crate) fn manager_sends(&mut self, dst: Ipv6Addr, packet: &[u8]) {
        assert_eq!(packet[24..40], dst.octets());
        self.input(0, NetInput::FromBackbone(packet));
    }

    pub(crate) fn ping(&mut self, n: usize, dst: Ipv6Addr, sequence: u16) {
        self.stacks[n].ping(self.now, dst, 1, sequence, b"hello").expect("taken");
        self.drain(n);
    }

    fn drain(&mut self, n: usize) {
        loop {
            match self.stacks[n].poll(self.now) {
                NetOutput::Frame(frame) => self.transmit(n, frame),
                NetOutput::Udp(datagram) => self.datagrams.push((self.now, n, datagram)),
                NetOutput::ToBackbone(packet) => self.backbone.push((self.now, packet)),
                NetOutput::StoreDodagVersion { version } => {
                    self.stacks[n].handle(self.now, NetInput::DodagVersionStored { version });
                }
                NetOutput::StoreMplSequence { through } => {
                    self.stacks[n].handle(self.now, NetInput::MplSequenceStored { through });
                }
                NetOutput::Event(event) => self.events.push((self.now, n, event)),
                NetOutput::Wait { until } => {
                    self.wakes[n] = until;
                    return;
                }
            }
        }
    }

    fn transmit(&mut self, from: usize, frame: OutFrame) {
        let airtime = Duration::from_micros((frame.payload.len() as u64 + 31 + 6) * 32);
        let to = match frame.dst {
            LinkDst::Broadcast => None,
            LinkDst::Unicast(LinkAddr::Extended(wanted)) => {
                (0..self.stacks.len()).find(|n| eui64(*n) == wanted)
            }
            LinkDst::Unicast(LinkAddr::Short(wanted)) => {
                (0..self.stacks.len()).find(|n| short(*n) == wanted)
            }
        };
        let mut at = self.now;
        let mut done = SendDone { token: frame.token, acked: false, attempts: 0 };
        while self.mute != Some(from) && !done.acked && done.attempts < ATTEMPTS_MAX {
            done.attempts += 1;
            self.transmissions += 1;
            at = at + airtime + Duration::from_micros(320 + self.prng.below(2240));
            match (frame.dst, to) {
                (LinkDst::Broadcast, _) => {
                    done.acked = true;
                    for to in 0..self.stacks.len() {
                        self.arrive(at, from, to, &frame);
                    }
                }
                (LinkDst::Unicast(_), Some(to)) => done.acked = self.arrive(at, from, to, &frame),
                (LinkDst::Unicast(_), None) => {}
            }
        }
        self.happen(at, Happening::Done { node: from, done });
        self.frames.push((from, frame));
    }

    fn arrive(&mut self, at: Instant, from: usize, to: usize, frame: &OutFrame) -> bool {
        let Some(link) = self.links.get(&(from, to)).copied() else { return false };
        if self.prng.unit_f64() < link.loss {
            return false;
        }
        let (dst, secured, payload) = (frame.dst, frame.secured, frame.payload.to_vec());
        self.happen(at, Happening::Arrival { to, from, dst, secured, payload, rssi: link.rssi });
        true
    }

    fn happen(&mut self, at: Instant, happening: Happening) {
        self.sequence += 1;
        self.happenings.insert((at, self.sequence), happening);
    }

    /// Lets `span` pass.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        self.run_until(end, |_| false);
    }

    /// Until `what` holds, at most `span`. Says whether it came to hold.
    pub(crate) fn run_for(&mut self, span: Duration, what: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + span;
        self.run_until(end, what)
    }

    fn run_until(&mut self, end: Instant, what: impl Fn(&Self) -> bool) -> bool {
        loop {
            if what(self) {
                return true;
            }
            let happening = self.happenings.keys().next().map_or(Instant::FAR_FUTURE, |key| key.0);
            let (wake, node) = self.wakes.iter().copied().zip(0..).min().expect("there are stacks");
            if happening.min(wake) > end {
                self.now = end;
                return what(self);
            }
            assert!(happening.min(wake) >= self.now || wake < self.now, "time goes on");
            self.now = self.now.max(happening.min(wake));
            if wake < happening {
                self.drain(node);
                assert!(self.wakes[node] > self.now, "node {node} spins");
                continue;
            }
            if let Some((_, happening)) = self.happenings.pop_first() {
                self.perform(happening);
            }
        }
    }

    fn perform(&mut self, happening: Happening) {
        match happening {
            Happening::Arrival { to, from, dst, secured, payload, rssi } => {
                let src = LinkAddr::Extended(eui64(from));
                let frame = Frame { src, dst, secured, payload: &payload, rssi, lqi: Lqi(200) };
                self.input(to, NetInput::Frame(frame));
            }
            Happening::Done { node, done } => self.input(node, NetInput::SendDone(done)),
        }
    }

    pub(crate) fn attached(&self) -> usize {
        self.stacks.iter().filter(|stack| stack.is_attached()).count()
    }

    pub(crate) fn all_attached(&self) -> bool {
        self.attached() == self.stacks.len()
    }

    /// Echo replies that node `n` got from `from`.
    pub(crate) fn replies(&self, n: usize, from: Ipv6Addr) -> usize {
        self.events
            .iter()
            .filter(|(_, node, event)| {
                *node == n && matches!(event, NetEvent::EchoReply { from: it, .. } if *it == from)
            })
            .count()
    }

    pub(crate) fn drops(&self, what: NetDrop) -> usize {
        self.events.iter().filter(|(.., event)| *event == NetEvent::Dropped(what)).count()
    }
}

/// A UDP packet as a host of the backbone writes it.
pub(crate) fn udp_packet(src: Ipv6Addr, dst: Ipv6Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let len = (8 + payload.len()) as u16;
    let mut udp = vec![];
    for word in [port, port, len, 0] {
        udp.extend(word.to_be_bytes());
    }
    udp.extend(payload);
    let checksum = checksum(src, dst, 17, &udp);
    udp[6..8].copy_from_slice(&checksum.to_be_bytes());
    packet(src, dst, 17, &udp)
}

/// An echo request as a host of the backbone writes it.
pub(crate) fn echo_request(src: Ipv6Addr, dst: Ipv6Addr, sequence: u16) -> Vec<u8> {
    let mut echo = vec![128, 0, 0, 0, 0, 7];
    echo.extend(sequence.to_be_bytes());
    echo.extend(b"hello");
    let checksum = checksum(src, dst, 58, &echo);
    echo[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet(src, dst, 58, &echo)
}

fn packet(src: Ipv6Addr, dst: Ipv6Addr, next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next_header, 64]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(payload);
    packet
}

/// Written anew here, so that the stack's own sum is not its own judge.
fn checksum(src: Ipv6Addr, dst: Ipv6Addr, next_header: u8, payload: &[u8]) -> u16 {
    let mut octets = vec![];
    octets.extend(src.octets());
    octets.extend(dst.octets());
    octets.extend((payload.len() as u32).to_be_bytes());
    octets.extend([0, 0, 0, next_header]);
    octets.extend(payload);
    if octets.len() % 2 == 1 {
        octets.push(0);
    }
    let mut sum: u32 =
        octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
