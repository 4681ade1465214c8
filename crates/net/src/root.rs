//! What the root alone keeps: who is admitted, who is registered, who is whose parent.
//! **Invariant:** nobody is registered, and no route is kept, whom the domain manager did not
//! admit.

use crate::event::RegistrationStatus;
use crate::lollipop;
use crate::route::{DaoVerdict, HopReport, Path};
use crate::wire::nd::Earo;
use crate::wire::rpl::Dao;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec as List;
use core::cmp::Ordering;
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Iid, Instant, Ipv6Addr, LinkAddr, ShortAddr};

/// Devices a root may know.
pub const DEVICES_MAX: usize = 1024;
/// Reports of a broken hop, none of them older than [`ROUTE_ERROR_MEMORY`], after which it is doubted.
/// It stays at first: most reports are of frames that collided, and a node that changes its parent tells
/// at once.
const ROUTE_ERRORS_MAX: u8 = 3;
/// A hop that carried packets for so long since a report is not broken.
const ROUTE_ERROR_MEMORY: Duration = Duration::from_secs(5);
/// A doubted hop of which nobody told anything for so long is dead.
const ROUTE_SILENCE: Duration = Duration::from_secs(20);
/// A packet tries a dead hop so often.
const DEAD_TRIED: Duration = Duration::from_secs(2);
/// Everybody is asked for its route at most so often, and because of one node half as often each time it did not
/// help: the answers of a large mesh fill the air, and who meets a full air tells of broken hops.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
const REFRESH_INTERVAL_MAX: Duration = Duration::from_secs(16 * 60);
/// Nodes remembered for which everybody was asked, the ones asked for last.
const REFRESHES_MAX: usize = 8;
/// How often expired entries are looked for.
const SWEEP: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug)]
struct Device {
    short: ShortAddr,
    registered: Option<Registered>,
}

#[derive(Clone, Copy, Debug)]
struct Registered {
    tid: u8,
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Route {
    parent: ShortAddr,
    path_sequence: u8,
    until: Instant,
    errors: u8,
    error_at: Instant,
    doubted_at: Option<Instant>,
    /// Its last hop is dead, as far as was told, and a packet last tried it then: where no packet goes, none
    /// arrives, and a hop that is merely bad takes some.
    dead: Option<Instant>,
}

/// Everybody was asked for its route because the one to a node was missing.
#[derive(Clone, Copy, Debug)]
struct Refresh {
    missing: ShortAddr,
    at: Instant,
    /// For so long nobody is asked because of this node again.
    interval: Duration,
}

/// The tables.
#[derive(Debug)]
pub(crate) struct Root {
    short: ShortAddr,
    prefix: [u8; 8],
    version: u8,
    dtsn: u8,
    /// When everybody was last asked for its route.
    refreshed_at: Option<Instant>,
    /// For whom, and who did not tell its own since; the latest last.
    refreshes: VecDeque<Refresh>,
    devices: BTreeMap<Eui64, Device>,
    owners: BTreeMap<ShortAddr, Eui64>,
    routes: BTreeMap<ShortAddr, Route>,
    sweep_at: Instant,
}

impl Root {
    pub(crate) fn new(short: ShortAddr, prefix: [u8; 8], version: u8) -> Self {
        Self {
            short,
            prefix,
            version,
            dtsn: lollipop::START,
            refreshed_at: None,
            refreshes: VecDeque::new(),
            devices: BTreeMap::new(),
            owners: BTreeMap::new(),
            routes: BTreeMap::new(),
            sweep_at: Instant::ZERO,
        }
    }

    pub(crate) fn prefix(&self) -> [u8; 8] {
        self.prefix
    }

    pub(crate) fn version(&self) -> u8 {
        self.version
    }

    pub(crate) fn dtsn(&self) -> u8 {
        self.dtsn
    }

    /// The way down to `missing` is: everybody shall tell its own again (RFC 6550 section 9.6). Whether the
    /// time has come to ask.
    pub(crate) fn refresh(&mut self, now: Instant, missing: ShortAddr) -> bool {
        if self.refreshed_at.is_some_and(|at| now < at + REFRESH_INTERVAL) {
            return false;
        }
        let known = self.refreshes.iter().position(|it| it.missing == missing);
        let interval = match known.map(|at| self.refreshes[at]) {
            Some(Refresh { at, interval, .. }) if now < at + interval => return false,
            Some(Refresh { interval, .. }) => interval * 2,
            None => REFRESH_INTERVAL,
        };
        self.refreshed_at = Some(now);
        if let Some(at) = known {
            self.refreshes.remove(at);
        } else if self.refreshes.len() >= REFRESHES_MAX {
            self.refreshes.pop_front();
        }
        let interval = interval.min(REFRESH_INTERVAL_MAX);
        self.refreshes.push_back(Refresh { missing, at: now, interval });
        self.dtsn = lollipop::next(self.dtsn);
        true
    }

    /// Somebody tells a DODAG version that we know nothing of: ours becomes the next.
    pub(crate) fn overtake(&mut self, version: u8) {
        self.version = lollipop::next(version);
    }

    /// What has everybody look for a way anew (RFC 6550 section 3.2.2, global repair).
    pub(crate) fn next_version(&self) -> u8 {
        lollipop::next(self.version)
    }

    /// It is in force, unless one after it was told meanwhile.
    pub(crate) fn begin_version(&mut self, version: u8) {
        if lollipop::replaces(version, self.version) {
            self.version = version;
        }
    }

    pub(crate) fn addr(&self) -> Ipv6Addr {
        Iid::from(self.short).under(self.prefix)
    }

    pub(crate) fn in_mesh(&self, addr: Ipv6Addr) -> bool {
        addr.octets()[..8] == self.prefix
    }

    /// The short address in a global address of this mesh.
    fn short_of(&self, addr: Ipv6Addr) -> Option<ShortAddr> {
        match Iid::of(addr).link_addr().filter(|_| self.in_mesh(addr))? {
            LinkAddr::Short(short) => Some(short),
            LinkAddr::Extended(_) => None,
        }
    }

    /// The domain manager admitted a device. False if there is no room.
    pub(crate) fn admit(&mut self, eui64: Eui64, short: ShortAddr) -> bool {
        match self.devices.get(&eui64) {
            Some(device) if device.short == short => return true,
            Some(_) => {
                self.expel(eui64);
            }
            None if self.devices.len() >= DEVICES_MAX => return false,
            None => {}
        }
        if let Some(previous) = self.owners.insert(short, eui64) {
            self.devices.remove(&previous);
            self.routes.remove(&short);
        }
        self.devices.insert(eui64, Device { short, registered: None });
        true
    }

    /// The device is out. Gives its address if it had a route.
    pub(crate) fn expel(&mut self, eui64: Eui64) -> Option<ShortAddr> {
        let device = self.devices.remove(&eui64)?;
        self.owners.remove(&device.short);
        self.routes.remove(&device.short).map(|_| device.short)
    }

    /// Whether the device is the last one told of on somebody's way.
    pub(crate) fn carries(&self, eui64: Eui64) -> bool {
        let device = self.devices.get(&eui64);
        device.is_some_and(|device| self.routes.values().any(|it| it.parent == device.short))
    }

    /// A request for registration; also says who registered for the first time.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        addr: Ipv6Addr,
        earo: &Earo,
    ) -> (RegistrationStatus, Option<ShortAddr>) {
        let short = self.short_of(addr);
        if let Some(short) = short.filter(|_| planted(Fault::RegistrationUnchecked)) {
            self.admit(earo.rovr, short);
        }
        let admitted = self.devices.get_mut(&earo.rovr).filter(|it| Some(it.short) == short);
        let Some(device) = admitted else {
            return (RegistrationStatus::ValidationFailed, None);
        };
        let held = device.registered.filter(|held| now < held.until);
        // RFC 8505 section 5.2: the latest transaction wins.
        if held.is_some_and(|held| lollipop::compare(earo.tid, held.tid) == Some(Ordering::Less)) {
            return (RegistrationStatus::Moved, None);
        }
        if earo.lifetime == 0 {
            device.registered = None;
            self.routes.remove(&device.short);
            return (RegistrationStatus::Success, None);
        }
        let until = now + Duration::from_secs(u64::from(earo.lifetime) * 60);
        device.registered = Some(Registered { tid: earo.tid, until });
        (RegistrationStatus::Success, held.is_none().then_some(device.short))
    }

    /// Whether somebody registered this address.
    pub(crate) fn holds(&self, now: Instant, addr: Ipv6Addr) -> bool {
        self.short_of(addr).is_some_and(|short| self.is_registered(now, short))
    }

    fn is_registered(&self, now: Instant, short: ShortAddr) -> bool {
        self.owners
            .get(&short)
            .and_then(|owner| self.devices.get(owner)?.registered)
            .is_some_and(|held| now < held.until)
    }

    /// A route announcement of `src` itself.
    pub(crate) fn dao(
        &mut self,
        now: Instant,
        src: Ipv6Addr,
        dao: &Dao,
        lifetime_unit: u16,
    ) -> DaoVerdict {
        let (Some(target), Some(parent)) = (self.short_of(dao.target), self.short_of(dao.parent))
        else {
            return DaoVerdict::Nonsense;
        };
        if src != dao.target || target == parent || target == self.short {
            return DaoVerdict::Nonsense;
        }
        let parent_known = parent == self.short || self.is_registered(now, parent);
        if !self.is_registered(now, target) || !parent_known {
            return DaoVerdict::NotRegistered;
        }
        let held = self.routes.get(&target).filter(|held| now < held.until);
        if held.is_some_and(|held| !fresh(dao.path_sequence, held.path_sequence)) {
            return DaoVerdict::Stale;
        }
        let changed = held.is_none_or(|held| held.dead.is_some() || held.parent != parent);
        if dao.path_lifetime == 0 {
            self.routes.remove(&target);
            return DaoVerdict::Withdrawn;
        }
        let lifetime = u64::from(dao.path_lifetime) * u64::from(lifetime_unit);
        let until = match dao.path_lifetime {
            u8::MAX => Instant::FAR_FUTURE, // RFC 6550 section 6.7.8: infinity
            _ => now + Duration::from_secs(lifetime),
        };
        let path_sequence = dao.path_sequence;
        let (errors, error_at, doubted_at, dead) = (0, now, None, None);
        let route = Route { parent, path_sequence, until, errors, error_at, doubted_at, dead };
        self.routes.insert(target, route);
        self.refreshes.retain(|refresh| refresh.missing != target);
        DaoVerdict::Accepted { changed }
    }

    /// The way to a node's address; `None` where parents do not lead here, or go round.
    pub(crate) fn path(&self, now: Instant, dst: Ipv6Addr) -> Option<Path> {
        let mut path = Path::new();
        let mut short = self.short_of(dst)?;
        while short != self.short {
            path.push(Iid::from(short).under(self.prefix)).ok()?;
            short = self.routes.get(&short).filter(|route| now < route.until)?.parent;
        }
        path.reverse();
        (!path.is_empty()).then_some(path)
    }

    /// The node at which the way to `dst` ends, because it did not tell its own, or that one is dead. Where parents
    /// go round, one of them has not been heard yet, and is telling.
    pub(crate) fn gap(&self, now: Instant, dst: Ipv6Addr) -> Option<ShortAddr> {
        let live = |route: &&Route| now < route.until && route.dead.is_none();
        let known = |short: &ShortAddr| self.routes.get(short).filter(live);
        let way = core::iter::successors(self.short_of(dst), |short| Some(known(short)?.parent));
        let last = way.take(self.routes.len() + 1).last();
        last.filter(|last| *last != self.short && known(last).is_none())
    }

    /// Whether a packet may go the way to `dst`: a dead hop takes one now and then.
    pub(crate) fn may_try(&mut self, now: Instant, dst: Ipv6Addr) -> bool {
        let dead = self.gap(now, dst).and_then(|gap| self.routes.get_mut(&gap)?.dead.as_mut());
        let Some(tried_at) = dead else { return true };
        let may = now >= *tried_at + DEAD_TRIED;
        if may {
            *tried_at = now;
        }
        may
    }

    /// The way to `dst` as its own announcement tells it, kept or not.
    pub(crate) fn path_by(&self, now: Instant, dao: &Dao) -> Option<Path> {
        let mut path = match dao.parent == self.addr() {
            true => Path::new(),
            false => self.path(now, dao.parent)?,
        };
        self.short_of(dao.target)?;
        path.push(dao.target).ok()?;
        Some(path)
    }

    /// `reporter` could not reach its child `failed`.
    pub(crate) fn route_error(
        &mut self,
        now: Instant,
        reporter: Ipv6Addr,
        failed: Ipv6Addr,
    ) -> HopReport {
        let (Some(reporter), Some(failed)) = (self.short_of(reporter), self.short_of(failed))
        else {
            return HopReport::Noted;
        };
        let route = self.routes.get_mut(&failed);
        let route = route.filter(|route| route.parent == reporter && route.dead.is_none());
        let Some(route) = route else { return HopReport::Noted };
        if now - route.error_at > ROUTE_ERROR_MEMORY {
            route.errors = 0;
        }
        route.error_at = now;
        route.errors += 1;
        if route.errors < ROUTE_ERRORS_MAX {
            return HopReport::Noted;
        }
        route.errors = 0;
        if now - *route.doubted_at.get_or_insert(now) < ROUTE_SILENCE {
            return HopReport::Noted;
        }
        route.dead = Some(now);
        HopReport::Dead(failed)
    }

    /// When to sweep.
    pub(crate) fn due(&self) -> Instant {
        if self.routes.is_empty() { Instant::FAR_FUTURE } else { self.sweep_at }
    }

    /// Drops routes whose time is over and names them.
    pub(crate) fn sweep(&mut self, now: Instant) -> List<ShortAddr> {
        if now < self.due() {
            return List::new();
        }
        self.sweep_at = now + SWEEP;
        let over = |route: &Route| now >= route.until;
        let lost: List<_> =
            self.routes.iter().filter(|(_, route)| over(route)).map(|(short, _)| *short).collect();
        self.routes.retain(|_, route| !over(route));
        lost
    }

    /// Every device with a route that is not dead, its parent, and until when.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (ShortAddr, ShortAddr, Instant)> + '_ {
        let live = self.routes.iter().filter(|(_, route)| route.dead.is_none());
        live.map(|(device, route)| (*device, route.parent, route.until))
    }
}

/// RFC 6550 section 9.2.2: an equal path sequence is a copy, an older one is history.
fn fresh(candidate: u8, held: u8) -> bool {
    candidate == held || lollipop::replaces(candidate, held)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: [u8; 8] = [0xfd, 0, 0, 0, 0, 0, 0, 1];
    const NOW: Instant = Instant::ZERO;

    fn short(n: u16) -> ShortAddr {
        ShortAddr::new(n).expect("not reserved")
    }

    fn addr(n: u16) -> Ipv6Addr {
        Iid::from(short(n)).under(PREFIX)
    }

    fn eui64(n: u16) -> Eui64 {
        let [high, low] = n.to_be_bytes();
        Eui64([2, 0, 0, 0, 0, 0, high, low])
    }

    fn earo(n: u16, tid: u8) -> Earo {
        Earo { status: 0, tid, lifetime: 60, rovr: eui64(n) }
    }

    fn dao(target: u16, parent: u16, path_sequence: u8) -> Dao {
        Dao {
            wants_ack: true,
            sequence: 0,
            target: addr(target),
            path_sequence,
            path_lifetime: 30,
            parent: addr(parent),
        }
    }

    /// A root that registered nodes 1 to 5.
    fn root() -> Root {
        let mut root = Root::new(short(0), PREFIX, 240);
        for n in 1..=5 {
            assert!(root.admit(eui64(n), short(n)));
            let (status, news) = root.register(NOW, addr(n), &earo(n, 240));
            assert_eq!((status, news), (RegistrationStatus::Success, Some(short(n))));
        }
        root
    }

    #[test]
    fn only_the_admitted_register_and_only_their_own_address() {
        let mut root = root();
        let refused = (RegistrationStatus::ValidationFailed, None);
        assert_eq!(root.register(NOW, addr(9), &earo(9, 240)), refused, "stranger");
        assert_eq!(root.register(NOW, addr(2), &earo(1, 241)), refused, "another's address");
        assert_eq!(root.register(NOW, addr(1), &earo(1, 239)), (RegistrationStatus::Moved, None));
        root.expel(eui64(1));
        assert_eq!(root.register(NOW, addr(1), &earo(1, 241)), refused, "expelled");
    }

    #[test]
    fn routes_go_through_parents() {
        let mut root = root();
        for (target, parent) in [(1, 0), (2, 1), (3, 2)] {
            let verdict = root.dao(NOW, addr(target), &dao(target, parent, 240), 60);
            assert_eq!(verdict, DaoVerdict::Accepted { changed: true });
        }
        let path = root.path(NOW, addr(3)).expect("known");
        assert_eq!(path, [addr(1), addr(2), addr(3)]);
        assert_eq!(root.path(NOW, addr(4)), None);
        assert_eq!(root.path(NOW, addr(0)), None);
        assert_eq!(root.path(Instant::from_secs(1800), addr(3)), None, "expired");
        assert_eq!(root.sweep(Instant::from_secs(1800)).len(), 3);
    }

    #[test]
    fn announcements_of_others_or_of_the_past_change_nothing() {
        let mut root = root();
        let verdict = |root: &mut Root, src, dao: &Dao| root.dao(NOW, addr(src), dao, 60);
        assert_eq!(verdict(&mut root, 1, &dao(2, 0, 240)), DaoVerdict::Nonsense);
        assert_eq!(verdict(&mut root, 9, &dao(9, 0, 240)), DaoVerdict::NotRegistered);
        assert_eq!(verdict(&mut root, 1, &dao(1, 9, 240)), DaoVerdict::NotRegistered);
        verdict(&mut root, 1, &dao(1, 0, 241));
        assert_eq!(verdict(&mut root, 1, &dao(1, 2, 240)), DaoVerdict::Stale);
        let copy = verdict(&mut root, 1, &dao(1, 0, 241));
        assert_eq!(copy, DaoVerdict::Accepted { changed: false });
        root.expel(eui64(1));
        assert_eq!(root.path(NOW, addr(1)), None);
    }

    #[test]
    fn parents_in_a_circle_are_no_route() {
        let mut root = root();
        root.dao(NOW, addr(1), &dao(1, 2, 240), 60);
        root.dao(NOW, addr(2), &dao(2, 1, 240), 60);
        assert_eq!(root.path(NOW, addr(1)), None);
        assert_eq!(root.gap(NOW, addr(1)), None, "one of the two has moved, and is telling");
    }

    #[test]
    fn a_way_with_a_gap_is_told_from_a_whole_one() {
        let mut root = root();
        root.dao(NOW, addr(1), &dao(1, 0, 240), 60);
        root.dao(NOW, addr(2), &dao(2, 1, 240), 60);
        assert_eq!(root.gap(NOW, addr(2)), None);
        root.expel(eui64(1));
        assert_eq!(root.gap(NOW, addr(2)), Some(short(1)));
    }

    #[test]
    fn a_hop_reported_dead_is_doubted_then_asked_for() {
        let mut root = root();
        root.dao(NOW, addr(1), &dao(1, 0, 240), 60);
        root.dao(NOW, addr(2), &dao(2, 1, 240), 60);
        assert_eq!(root.route_error(NOW, addr(3), addr(2)), HopReport::Noted, "not its parent");
        let reports = |root: &mut Root, at| [0; 3].map(|_| root.route_error(at, addr(1), addr(2)));
        assert_eq!(
            reports(&mut root, NOW),
            [HopReport::Noted; 3],
            "the third report is one too many"
        );
        assert!(root.path(NOW, addr(2)).is_some());
        let later = NOW + ROUTE_SILENCE;
        assert_eq!(root.gap(later, addr(2)), None);
        assert_eq!(reports(&mut root, later)[2], HopReport::Dead(short(2)));
        assert_eq!(root.gap(later, addr(2)), Some(short(2)));
        assert!(root.routes().all(|(device, ..)| device != short(2)));
        assert!(root.path(later, addr(2)).is_some(), "nobody told of another");
        assert!(!root.may_try(later, addr(2)));
        let tried = [2, 2, 3, 4].map(|at| root.may_try(later + Duration::from_secs(at), addr(2)));
        assert_eq!(tried, [true, false, false, true]);
        assert_eq!(reports(&mut root, later + ROUTE_SILENCE), [HopReport::Noted; 3], "once");
        let verdict = root.dao(later, addr(2), &dao(2, 1, 241), 60);
        assert_eq!(verdict, DaoVerdict::Accepted { changed: true }, "the same, but alive");
        assert!(root.may_try(later, addr(2)));
        assert_eq!(root.gap(later, addr(2)), None);
        assert_eq!(reports(&mut root, later)[2], HopReport::Noted, "it told its route since");
    }

    #[test]
    fn reports_far_apart_do_not_add_up() {
        let mut root = root();
        root.dao(NOW, addr(1), &dao(1, 0, 240), 60);
        root.dao(NOW, addr(2), &dao(2, 1, 240), 60);
        for seconds in [0, 10, 20, 30] {
            let at = NOW + Duration::from_secs(seconds);
            assert_eq!(root.route_error(at, addr(1), addr(2)), HopReport::Noted);
        }
    }

    #[test]
    fn routes_are_asked_for_once_in_a_while() {
        let mut root = root();
        let before = root.dtsn();
        let one = short(1);
        assert!(root.refresh(NOW, one) && !root.refresh(NOW, one));
        let again = NOW + REFRESH_INTERVAL;
        assert!(root.refresh(again, one), "what did not help is asked once more");
        assert_eq!(root.dtsn(), lollipop::next(lollipop::next(before)));
        assert!(!root.refresh(again + REFRESH_INTERVAL, one), "but then less often");
        assert!(
            root.refresh(again + REFRESH_INTERVAL, short(2)),
            "that one has not been asked for"
        );
        assert!(!root.refresh(again + REFRESH_INTERVAL, short(3)), "nobody is asked more often");
        let then = again + REFRESH_INTERVAL * 2;
        assert!(root.refresh(then, one), "but it is asked");
        root.dao(then, addr(1), &dao(1, 0, 240), 60);
        assert!(root.refresh(then + REFRESH_INTERVAL, one), "it helped");
        assert!((4..30).all(|n| root.refresh(then + REFRESH_INTERVAL * u32::from(n), short(n))));
        assert_eq!(root.refreshes.len(), REFRESHES_MAX);
    }
}
