//! RPL: who is our parent, who hears our rank, who knows the way to us (RFC 6550).

use super::icmp::Near;
use super::{Role, Stack, trickle_parameters};
use crate::adaptation::Precedence;
use crate::api::SendDone;
use crate::dodag::{CONFIGURATION, Choice, DioNews, Dodag, INFINITE_RANK};
use crate::errand::{Errand, jittered, within};
use crate::event::{NetDrop, NetEvent};
use crate::lollipop;
use crate::neighbours::LinkNews;
use crate::node::{
    ANSWER_SPREAD, ATTEMPTS_MAX, Ask, PROBE_AFTER, PROBE_AGAIN, PROBES_MAX, SETTLE, UNTRIED_MAX,
};
use crate::route::{DaoVerdict, STATUS_NOT_REGISTERED, STATUS_STALE};
use crate::trickle::Trickle;
use crate::wire::ALL_RPL_NODES;
use crate::wire::icmpv6::{Icmpv6, RPL};
use crate::wire::ipv6::Ipv6;
use crate::wire::rpl::{CODE_DAO, CODE_DAO_ACK, CODE_DIO, CODE_DIS, DIS, Dao, DaoAck, Dio};
use core::cmp::Ordering;
use lowgate_units::{Duration, Eui64, Iid, Instant, Ipv6Addr, LinkAddr, LinkDst, ShortAddr};

/// A node that lost its way waits so long, and up to twice that, before it listens for another:
/// its descendants hear meanwhile that it has none.
const REPAIR_WAIT: Duration = Duration::from_millis(600);

impl Stack {
    /// Message between neighbours.
    pub(super) fn rpl_near(&mut self, now: Instant, near: Near, message: &Icmpv6<'_>) {
        match message.code {
            CODE_DIS => self.dis(now, near),
            CODE_DIO => match Dio::parse(message.body) {
                Some(dio) => self.dio(now, near, &dio),
                None => self.out.dropped(NetDrop::MalformedRpl),
            },
            _ => self.out.dropped(NetDrop::MalformedRpl),
        }
    }

    /// Message between a node and the root.
    pub(super) fn rpl_far(&mut self, now: Instant, view: &Ipv6<'_>, message: &Icmpv6<'_>) {
        let known = match message.code {
            CODE_DAO => Dao::parse(message.body).map(|dao| self.dao(now, view.src, &dao)),
            CODE_DAO_ACK => DaoAck::parse(message.body).map(|ack| self.dao_ack(now, view, ack)),
            _ => None,
        };
        if known.is_none() {
            self.out.dropped(NetDrop::MalformedRpl);
        }
    }

    fn dis(&mut self, now: Instant, near: Near) {
        if let Role::Node(node) = &self.role
            && node.parent() == Some(near.from)
        {
            // Our parent looks for a parent: it is none any more.
            if let Some(parent) = self.neighbours.find_mut(near.from) {
                parent.heard = None;
            }
            return self.reconsider(now);
        }
        if !self.tells_rank() {
            return;
        }
        if near.multicast {
            // RFC 6550 section 8.3: a multicast DIS resets, a unicast one is answered.
            self.dio.reset(now, &mut self.prng);
        } else if let Some(body) = self.rank_message() {
            self.tell_neighbour(near.from, &Icmpv6 { kind: RPL, code: CODE_DIO, body: &body });
        }
    }

    /// Whether others may build on our rank.
    pub(super) fn tells_rank(&self) -> bool {
        self.dio.is_running()
    }

    pub(super) fn own_rank(&self) -> u16 {
        match &self.role {
            Role::Detached => INFINITE_RANK,
            Role::Node(node) => node.dodag.as_ref().map_or(INFINITE_RANK, Dodag::rank),
            Role::Root(_) => CONFIGURATION.min_hop_rank_increase, // ROOT_RANK
        }
    }

    fn rank_message(&self) -> Option<crate::api::Packet> {
        let dio = match &self.role {
            Role::Detached => return None,
            Role::Node(node) => node.dodag.as_ref()?.tell(node.dtsn, node.addr()),
            Role::Root(root) => Dio {
                version: root.version(),
                rank: self.own_rank(),
                dtsn: root.dtsn(),
                dodag_id: root.addr(),
                configuration: Some(CONFIGURATION),
                sender: Some(root.addr()),
            },
        };
        dio.emit()
    }

    /// Tells everybody our rank, infinite or not.
    pub(super) fn tell_rank(&mut self, now: Instant) {
        let Some(body) = self.rank_message() else { return };
        self.tell_all(ALL_RPL_NODES, &Icmpv6 { kind: RPL, code: CODE_DIO, body: &body });
        if let Role::Node(node) = &mut self.role
            && let Some(dodag) = &mut node.dodag
        {
            dodag.told(now);
        }
    }

    /// Tells a neighbour that there is no way through us (RFC 6550 section 8.2.2.5).
    pub(super) fn poison(&mut self, neighbour: Eui64) {
        let Role::Node(node) = &self.role else { return };
        let Some(dodag) = &node.dodag else { return };
        let dio = Dio { rank: INFINITE_RANK, ..dodag.tell(node.dtsn, node.addr()) };
        if let Some(body) = dio.emit() {
            self.tell_neighbour(neighbour, &Icmpv6 { kind: RPL, code: CODE_DIO, body: &body });
        }
    }

    fn dio(&mut self, now: Instant, near: Near, dio: &Dio) {
        match &mut self.role {
            Role::Detached => {}
            Role::Root(root) if root.addr() == dio.dodag_id => {
                match lollipop::compare(dio.version, root.version()) {
                    // RFC 6550 section 8.3: who is farther from the root than we silences nobody. All around
                    // wait for the root's word, not for each other's.
                    Some(Ordering::Equal) if dio.rank != INFINITE_RANK => {}
                    Some(Ordering::Equal | Ordering::Less) => {
                        self.dio.reset(now, &mut self.prng);
                    }
                    // Told before we lost our memory: begin after it.
                    Some(Ordering::Greater) | None => {
                        root.overtake(dio.version);
                        self.dio.reset(now, &mut self.prng);
                    }
                }
                // A root has no use for them but to tell people; without room it tells of the best.
                let _ = self.remember(now, near, dio, None);
            }
            Role::Root(_) => {} // Another mesh; not ours to join.
            Role::Node(_) => self.node_dio(now, near, dio),
        }
    }

    fn node_dio(&mut self, now: Instant, near: Near, dio: &Dio) {
        let Role::Node(node) = &mut self.role else { return };
        if node.dodag.is_none() {
            node.dodag = Some(dio).filter(|dio| dio.rank != INFINITE_RANK).and_then(Dodag::new);
        }
        let Some(dodag) = &mut node.dodag else { return };
        let stale = lollipop::compare(dio.version, dodag.version());
        match dodag.dio(dio, &mut self.neighbours) {
            DioNews::Foreign => return,
            DioNews::Consistent if near.multicast => self.dio.hear(),
            DioNews::Consistent | DioNews::Poison => {}
            DioNews::Inconsistent => self.dio.reset(now, &mut self.prng),
            DioNews::NewVersion => {
                node.registered = false;
                // Should nobody of the new version suit us, we ask.
                node.solicit.want(now + jittered(Duration::from_secs(2), &mut self.prng));
                if core::mem::take(&mut node.attached) {
                    self.out.event(NetEvent::Detached);
                }
                self.dio.reset(now, &mut self.prng);
            }
        }
        if stale == Some(Ordering::Less) {
            return;
        }
        let keep = dodag.parent();
        if !self.remember(now, near, dio, keep) {
            return self.out.dropped(NetDrop::TableFull);
        }
        let Role::Node(node) = &mut self.role else { return };
        if keep == Some(near.from) && dio.rank != INFINITE_RANK && dio.dtsn != node.parent_dtsn {
            // RFC 6550 section 9.6: the root wants to hear everybody's DAO again.
            node.parent_dtsn = dio.dtsn;
            node.dtsn = lollipop::next(node.dtsn);
            node.announce.want(now + within(ANSWER_SPREAD, &mut self.prng));
            self.dio.reset(now, &mut self.prng);
        }
        self.settle(now, near.from);
    }

    /// False if there is no room for somebody else than `keep`.
    fn remember(&mut self, now: Instant, near: Near, dio: &Dio, keep: Option<Eui64>) -> bool {
        let kept = self.neighbours.dio(now, near.from, near.rssi, Dodag::heard(dio), keep);
        if let (Some(neighbour), Some(sender)) = (self.neighbours.find_mut(near.from), dio.sender) {
            neighbour.short = short_of(sender);
        }
        kept
    }

    /// With the first offers, others are awaited; a hint is taken at once.
    fn settle(&mut self, now: Instant, from: Eui64) {
        let Role::Node(node) = &mut self.role else { return };
        if node.parent().is_none() && node.hint != Some(from) {
            // While a local repair waits, nothing is taken.
            if !node.poisons {
                node.settle_until = node.settle_until.or(Some(now + SETTLE));
            }
            return;
        }
        self.reconsider(now);
    }

    /// Chooses the parent anew and does what follows.
    pub(super) fn reconsider(&mut self, now: Instant) {
        let Role::Node(node) = &mut self.role else { return };
        let Some(dodag) = &mut node.dodag else { return };
        match dodag.choose(now, &self.neighbours) {
            Choice::Same => {}
            Choice::RankMoved => self.dio.reset(now, &mut self.prng),
            Choice::Parent(parent) => self.take_parent(now, parent),
            Choice::Lost => self.lose_parent(now),
        }
    }

    fn take_parent(&mut self, now: Instant, parent: Eui64) {
        let Role::Node(node) = &mut self.role else { return };
        let rank = node.dodag.as_ref().map_or(INFINITE_RANK, Dodag::rank);
        self.out.event(NetEvent::ParentChanged { parent: Some(parent), rank });
        node.settle_until = None;
        node.solicit = Errand::Idle;
        node.poisons = false;
        node.suspects_parent = false;
        node.probes = 0;
        node.probe_at = now + jittered(PROBE_AFTER, &mut self.prng);
        if let Some(heard) = self.neighbours.find(parent).and_then(|parent| parent.heard) {
            node.parent_dtsn = heard.dtsn;
        }
        self.dio.reset(now, &mut self.prng);
        if node.network.is_none() {
            node.discover.want(now);
        } else if !node.registered {
            node.register = Errand::Due { at: now, attempt: 0 };
        } else {
            let soon = now + within(Duration::from_millis(100), &mut self.prng);
            node.announce = Errand::Due { at: soon, attempt: 0 };
        }
    }

    /// Local repair: poison what hangs on us, then look again (RFC 6550 section 8.2.2.5).
    pub(super) fn lose_parent(&mut self, now: Instant) {
        let Role::Node(node) = &mut self.role else { return };
        let Some(dodag) = &mut node.dodag else { return };
        dodag.leave();
        self.neighbours.forget_ranks();
        if node.attached {
            self.out.event(NetEvent::Detached);
        }
        let wait = REPAIR_WAIT + within(REPAIR_WAIT, &mut self.prng);
        node.lose_parent(now + wait);
        self.out.event(NetEvent::ParentChanged { parent: None, rank: INFINITE_RANK });
        if self.dio.is_running() {
            node.poisons = true;
            self.dio.stop();
            self.tell_rank(now);
        }
    }

    /// A parent that does not serve us: another, if there is one.
    pub(super) fn desert(&mut self, now: Instant, parent: Eui64) {
        self.neighbours.avoid(now, parent);
        if let Some(neighbour) = self.neighbours.find_mut(parent) {
            neighbour.heard = None;
        }
        self.reconsider(now);
    }

    /// What a transmission told of a link.
    pub(super) fn link_news(&mut self, now: Instant, dst: LinkDst, done: &SendDone) {
        let LinkDst::Unicast(addr) = dst else { return };
        let news = self.neighbours.sent(now, addr, done.acked, done.attempts);
        let Role::Node(node) = &mut self.role else { return };
        let parent = node.parent();
        match news {
            LinkNews::Nothing => {}
            LinkNews::Moved(eui64) if parent == Some(eui64) => {
                node.suspects_parent = false;
                self.reconsider(now);
            }
            LinkNews::Failed(eui64) if parent == Some(eui64) => {
                node.suspects_parent = true;
                node.probe_at = node.probe_at.min(now + PROBE_AGAIN);
                self.reconsider(now);
            }
            LinkNews::Moved(_) | LinkNews::Failed(_) => {}
            LinkNews::Gone(_) => self.reconsider(now),
        }
    }

    /// The errands of a node.
    pub(super) fn run_node(&mut self, now: Instant) {
        while let Role::Node(node) = &mut self.role
            && let Some(ask) = node.poll(now, &mut self.prng)
        {
            match ask {
                Ask::Choose => self.reconsider(now),
                Ask::Solicit(to) => self.solicit(now, to),
                Ask::Discover { attempt } => {
                    let unserved = attempt >= ATTEMPTS_MAX && node.network.is_none();
                    match node.parent() {
                        Some(parent) if unserved => self.desert(now, parent),
                        Some(parent) => self.ask_routers(parent),
                        None => {}
                    }
                }
                Ask::Register { attempt } => self.ask_registration(now, attempt),
                Ask::Announce { attempt } => self.announce(now, attempt),
                Ask::Probe => self.probe(now),
            }
        }
    }

    fn solicit(&mut self, now: Instant, to: Option<Eui64>) {
        let message = Icmpv6 { kind: RPL, code: CODE_DIS, body: &DIS };
        if let Some(hint) = to {
            // Both questions at once: the answers are independent.
            self.tell_neighbour(hint, &message);
            return self.ask_routers(hint);
        }
        if let Role::Node(node) = &mut self.role
            && core::mem::take(&mut node.poisons)
        {
            // Once more for those who missed it.
            self.tell_rank(now);
        }
        self.tell_all(ALL_RPL_NODES, &message);
    }

    /// Is the parent still there?
    fn probe(&mut self, now: Instant) {
        let Role::Node(node) = &mut self.role else { return };
        let Some(parent) = node.parent() else {
            node.probe_at = Instant::FAR_FUTURE;
            return;
        };
        let entry = self.neighbours.find(parent);
        let (heard_at, tried_at) =
            entry.map_or((now, now), |parent| (parent.heard_at, parent.tried_at));
        if now < heard_at + PROBE_AFTER {
            node.probes = 0;
            // Who hears a neighbour is not heard by it for that.
            if !node.suspects_parent && now < tried_at + UNTRIED_MAX {
                let silent_at = heard_at + jittered(PROBE_AFTER, &mut self.prng);
                node.probe_at = silent_at.min(tried_at + UNTRIED_MAX);
                return;
            }
        } else if node.probes >= PROBES_MAX {
            return self.desert(now, parent);
        }
        node.probes = node.probes.saturating_add(1);
        self.tell_neighbour(parent, &Icmpv6 { kind: RPL, code: CODE_DIS, body: &DIS });
    }

    /// Whether this is still the network, or whether anything comes down, is in doubt: the root is asked, by way
    /// of the parent, unless it is being asked.
    pub(super) fn ask_root(&mut self, now: Instant) {
        if let Role::Node(node) = &mut self.role
            && node.registered
            && !node.announce.was_asked()
        {
            node.announce.want(now);
        }
    }

    /// Tells the root who our parent is.
    fn announce(&mut self, now: Instant, attempt: u8) {
        let Role::Node(node) = &mut self.role else { return };
        let (Some(parent), Some(target), Some(dodag)) = (node.parent(), node.addr(), &node.dodag)
        else {
            return;
        };
        if attempt >= ATTEMPTS_MAX {
            return self.desert(now, parent);
        }
        let (root, lifetime) = (dodag.id(), dodag.configuration().default_lifetime);
        let prefix = node.network.map(|network| network.prefix);
        let short = self.neighbours.find(parent).and_then(|parent| parent.short);
        let (Some(prefix), Some(short)) = (prefix, short) else { return };
        if attempt == 0 {
            node.path_sequence = node.count();
            node.dao_sequence = lollipop::next(node.dao_sequence);
        }
        let dao = Dao {
            wants_ack: true,
            sequence: node.dao_sequence,
            target,
            path_sequence: node.path_sequence,
            path_lifetime: lifetime,
            parent: Iid::from(short).under(prefix),
        };
        let body = dao.emit().unwrap_or_default();
        self.tell_far(now, root, &Icmpv6 { kind: RPL, code: CODE_DAO, body: &body });
    }

    /// Root: a node tells its parent.
    fn dao(&mut self, now: Instant, src: Ipv6Addr, dao: &Dao) {
        let Role::Root(root) = &mut self.role else { return self.out.dropped(NetDrop::Address) };
        let verdict = root.dao(now, src, dao, CONFIGURATION.lifetime_unit);
        let path = root.path_by(now, dao);
        let (target, parent) = (short_of(dao.target), short_of(dao.parent));
        match (verdict, target, parent) {
            (DaoVerdict::Accepted { changed: true }, Some(device), Some(parent)) => {
                self.out.event(NetEvent::RouteChanged { device, parent });
            }
            (DaoVerdict::Accepted { .. }, ..) | (DaoVerdict::Stale, ..) => {}
            (DaoVerdict::Withdrawn, Some(device), _) => {
                self.out.event(NetEvent::RouteLost { device });
            }
            (DaoVerdict::NotRegistered, ..) => self.out.dropped(NetDrop::NotRegistered),
            (DaoVerdict::Nonsense | DaoVerdict::Withdrawn, ..) => {
                return self.out.dropped(NetDrop::MalformedRpl);
            }
        }
        if path.is_none() {
            // Nobody else may send something down there, and the answer would stay away for ever.
            self.refresh_routes(now, dao.parent);
        }
        // Not only to the registered: who is refused must learn why. The way is the one it told.
        if let (true, Some(path), Some(me)) = (dao.wants_ack, path, self.global_addr()) {
            let ack = DaoAck { sequence: dao.sequence, status: verdict.status() };
            let message = Icmpv6 { kind: RPL, code: CODE_DAO_ACK, body: &ack.emit() };
            let sent = message
                .emit(me, dao.target, super::forward::HOP_LIMIT)
                .ok_or(NetDrop::TooLarge)
                .and_then(|packet| self.send_along(packet, &path, Precedence::Mesh));
            if let Err(why) = sent {
                self.out.dropped(why);
            }
        }
    }

    fn dao_ack(&mut self, now: Instant, view: &Ipv6<'_>, ack: DaoAck) {
        let Role::Node(node) = &mut self.role else { return };
        let Some(dodag) = node.dodag.as_ref().filter(|dodag| dodag.id() == view.src) else {
            return self.out.dropped(NetDrop::Address);
        };
        if ack.sequence != node.dao_sequence || !node.announce.was_asked() {
            return; // Late; harmless.
        }
        let Some(addr) = node.addr() else { return };
        if ack.status >= 128 {
            if ack.status == STATUS_STALE {
                node.jump();
            }
            if ack.status == STATUS_NOT_REGISTERED {
                node.registered = false;
                node.register.want(now);
            }
            let soon = now + jittered(Duration::from_millis(400), &mut self.prng);
            node.announce = Errand::Due { at: soon, attempt: 0 };
            return;
        }
        let configuration = *dodag.configuration();
        let lifetime =
            u64::from(configuration.default_lifetime) * u64::from(configuration.lifetime_unit);
        // Twice within its lifetime, so that one may be lost.
        let refresh = Duration::from_secs(lifetime.max(60)) * 2 / 5;
        node.announce = Errand::Done { again_at: now + jittered(refresh, &mut self.prng) };
        let hops = (super::forward::HOP_LIMIT + 1).saturating_sub(view.hop_limit);
        node.hops = Some(hops);
        self.confirmed_at = Some(now);
        if !core::mem::replace(&mut node.attached, true) {
            self.out.event(NetEvent::Attached { addr, hops });
        }
        if !self.dio.is_running() {
            self.dio = Trickle::new(trickle_parameters(&configuration));
            self.dio.start(now, &mut self.prng);
        }
    }
}

/// The short address an address of the mesh was made from.
fn short_of(addr: Ipv6Addr) -> Option<ShortAddr> {
    match Iid::of(addr).link_addr()? {
        LinkAddr::Short(short) => Some(short),
        LinkAddr::Extended(_) => None,
    }
}
