//! The one machine: everything else in this crate is a part of it.

mod forward;
mod icmp;
mod multicast;
mod nd;
mod receive;
mod rpl;
mod send;
mod view;

use crate::adaptation::{Adaptation, Finished, Precedence};
use crate::api::{Attach, AttachRoot, NetInput, NetOutput, Packet, SendDone, StackConfig};
use crate::dodag::CONFIGURATION;
use crate::event::{NetDrop, NetEvent};
use crate::limiter::Limiter;
use crate::mpl::Mpl;
use crate::neighbours::Neighbours;
use crate::node::Node;
use crate::outbox::Outbox;
use crate::registrations::Registrations;
use crate::root::Root;
use crate::trickle::{Trickle, TrickleParameters};
use crate::way_down::WayDown;
use crate::wire::rpl::Configuration;
use heapless::{Deque, Vec};
use lowgate_sixlowpan::{ContextId, ContextUse, Prefix};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Iid, Instant, Ipv6Addr, Prng, Rssi};

pub use view::{NeighbourView, RouteView};

/// Groups and ports that may be joined.
pub const GROUPS_MAX: usize = 12;
/// Group datagrams that may wait for a sequence number.
const HELD_MAX: usize = 2;

#[cfg(feature = "root")]
type RootBox = alloc::boxed::Box<Root>;
#[cfg(not(feature = "root"))]
type RootBox = Root;

/// What this device is in the mesh.
enum Role {
    /// Nothing: only unsecured datagrams of the join port come and go.
    Detached,
    Node(Node),
    // Without the feature the variant is never made: `Root` has no value then.
    #[cfg_attr(not(feature = "root"), expect(dead_code, reason = "Root has no value"))]
    Root(RootBox),
}

/// How a packet came.
#[derive(Clone, Copy)]
struct Origin {
    /// The neighbour that sent the frame, and how loud; `None` in tunnels and from the backbone,
    /// where nothing may pose as a neighbour's message.
    link: Option<(Eui64, Rssi)>,
    /// Tunnels it was taken out of.
    tunnels: u8,
}

/// The IPv6 stack of one device. Feed it with [`Stack::handle`], then drain it with
/// [`Stack::poll`] to [`NetOutput::Wait`].
pub struct Stack {
    config: StackConfig,
    prng: Prng,
    link: Adaptation,
    out: Outbox,
    role: Role,
    /// When a root last confirmed our route.
    confirmed_at: Option<Instant>,
    way_down: WayDown,
    neighbours: Neighbours,
    registrations: Registrations,
    dio: Trickle,
    mpl: Mpl,
    held: Deque<Packet, HELD_MAX>,
    groups: Vec<(Ipv6Addr, u16), GROUPS_MAX>,
    limiter: Limiter,
}

impl Stack {
    /// A stack that knows nobody. `prng` serves jitter alone.
    pub fn new(config: StackConfig, mut prng: Prng) -> Self {
        let tag = (prng.next_u64() >> 48) as u16;
        Self {
            link: Adaptation::new(config.eui64, tag),
            out: Outbox::default(),
            role: Role::Detached,
            confirmed_at: None,
            way_down: WayDown::default(),
            neighbours: Neighbours::default(),
            registrations: Registrations::default(),
            dio: Trickle::new(trickle_parameters(&CONFIGURATION)),
            mpl: Mpl::new(config.mpl_sequence),
            held: Deque::new(),
            groups: Vec::new(),
            limiter: Limiter::new(),
            config,
            prng,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: NetInput<'_>) {
        match input {
            NetInput::Frame(frame) => self.frame(now, &frame),
            NetInput::SendDone(done) => self.send_done(now, done),
            NetInput::Attach(attach) => self.attach(now, attach),
            NetInput::AttachRoot(attach) => self.attach_root(now, attach),
            NetInput::Detach => self.detach(),
            NetInput::Announce => self.dio.reset(now, &mut self.prng),
            NetInput::AskRoot => self.ask_root(now),
            NetInput::FromBackbone(packet) => {
                self.backbone_packet(now, packet, Precedence::Outside);
            }
            NetInput::FromManager(packet) => self.backbone_packet(now, packet, Precedence::Mesh),
            NetInput::Admitted { eui64, short } => {
                if let Role::Root(root) = &mut self.role
                    && !root.admit(eui64, short)
                {
                    self.out.dropped(NetDrop::TableFull);
                }
            }
            NetInput::Expelled { eui64 } => self.expel(eui64),
            NetInput::MplSequenceStored { through } => {
                self.mpl.reserved(through);
                self.flood_held(now);
            }
            NetInput::DodagVersionStored { version } => {
                if let Role::Root(root) = &mut self.role {
                    root.begin_version(version);
                    self.dio.reset(now, &mut self.prng);
                }
            }
            NetInput::JoinGroup { addr, port } => {
                if !self.groups.contains(&(addr, port)) && self.groups.push((addr, port)).is_err() {
                    self.out.dropped(NetDrop::TableFull);
                }
            }
            NetInput::LeaveGroup { addr, port } => {
                self.groups.retain(|group| *group != (addr, port));
            }
        }
    }

    /// The next wish; call until it is [`NetOutput::Wait`], also when its time has come.
    pub fn poll(&mut self, now: Instant) -> NetOutput {
        self.let_time_pass(now);
        if let Some(event) = self.out.events.pop_front() {
            return NetOutput::Event(event);
        }
        if let Some(datagram) = self.out.datagrams.pop_front() {
            return NetOutput::Udp(datagram);
        }
        if let Some(packet) = self.out.backbone.pop_front() {
            return NetOutput::ToBackbone(packet);
        }
        if let Some(through) = self.out.store.take() {
            return NetOutput::StoreMplSequence { through };
        }
        if let Some(version) = self.out.store_version.take() {
            return NetOutput::StoreDodagVersion { version };
        }
        match self.link.next_frame(now) {
            Some(Ok(frame)) => return NetOutput::Frame(frame),
            Some(Err(why)) => return NetOutput::Event(NetEvent::Dropped(why)),
            None => {}
        }
        NetOutput::Wait { until: self.due(now) }
    }

    fn due(&mut self, now: Instant) -> Instant {
        let role = match &self.role {
            Role::Detached => Instant::FAR_FUTURE,
            Role::Node(node) => node.due(),
            Role::Root(root) => root.due(),
        };
        // With a full queue a flood waits for the next frame to leave, not for a time.
        let flood = if self.link.room() > 0 { self.mpl.due() } else { Instant::FAR_FUTURE };
        role.min(self.dio.due()).min(flood).min(self.link.due(now))
    }

    fn let_time_pass(&mut self, now: Instant) {
        if let Some(why) = self.link.poll_reassembly(now) {
            self.out.dropped(why);
        }
        if let Some(finished) = self.link.poll_lost(now) {
            self.finished(now, finished);
        }
        self.run_node(now);
        if let Role::Root(root) = &mut self.role {
            for device in root.sweep(now) {
                self.out.event(NetEvent::RouteLost { device });
            }
        }
        self.run_dio(now);
        self.run_mpl(now);
    }

    /// Root: a device is out. Whoever sent through it would take minutes to notice, and must not rely on it
    /// to say so.
    fn expel(&mut self, eui64: Eui64) {
        let Role::Root(root) = &mut self.role else { return };
        if planted(Fault::RegistrationKept) {
            return;
        }
        if root.carries(eui64) {
            self.out.store_version = Some(root.next_version());
        }
        if let Some(device) = root.expel(eui64) {
            self.out.event(NetEvent::RouteLost { device });
        }
    }

    fn attach(&mut self, now: Instant, attach: Attach) {
        self.detach();
        self.role = Role::Node(Node::new(now, attach.short, attach.hint, &mut self.prng));
        self.reserve_sequences();
    }

    #[cfg(feature = "root")]
    fn attach_root(&mut self, now: Instant, attach: AttachRoot) {
        self.detach();
        let root = Root::new(attach.short, attach.prefix, attach.version);
        self.set_context(attach.prefix);
        self.dio = Trickle::new(trickle_parameters(&CONFIGURATION));
        self.dio.start(now, &mut self.prng);
        self.out.event(NetEvent::Attached { addr: root.addr(), hops: 0 });
        self.role = Role::Root(alloc::boxed::Box::new(root));
        self.reserve_sequences();
    }

    #[cfg(not(feature = "root"))]
    fn attach_root(&mut self, _now: Instant, _attach: AttachRoot) {}

    fn detach(&mut self) {
        self.role = Role::Detached;
        self.link.clear();
        self.neighbours.clear();
        self.registrations.clear();
        self.dio.stop();
        self.mpl.clear();
        self.held.clear();
    }

    /// The mesh prefix is context 0.
    fn set_context(&mut self, prefix: [u8; 8]) {
        let addr = Iid([0; 8]).under(prefix);
        if let Some(prefix) = Prefix::new(addr, 64) {
            self.link.contexts.set(ContextId::DEFAULT, prefix, ContextUse::Both);
        }
    }

    fn reserve_sequences(&mut self) {
        if let Some(through) = self.mpl.reserve() {
            self.out.store = Some(through);
        }
    }

    fn send_done(&mut self, now: Instant, done: SendDone) {
        let Some((dst, finished)) = self.link.done(&done) else { return };
        self.link_news(now, dst, &done);
        self.finished(now, finished);
    }

    fn finished(&mut self, now: Instant, finished: Finished) {
        match finished {
            Finished::Pending | Finished::Sent => {}
            Finished::Failed(outgoing) => self.link_failed(now, outgoing),
            Finished::Unsent(outgoing) => self.link_busy(outgoing),
        }
    }
}

/// The DIO timer as the root configured it.
fn trickle_parameters(configuration: &Configuration) -> TrickleParameters {
    // RFC 6550 section 8.3.1: Imin is 2^DIOIntervalMin ms. Bounded, lest a root make us shout.
    let interval_min = Duration::from_millis(1 << configuration.interval_min.clamp(6, 20));
    let doublings = u32::from(configuration.interval_doublings.min(12));
    TrickleParameters {
        interval_min,
        interval_max: interval_min * (1 << doublings),
        redundancy: configuration.redundancy,
    }
}
