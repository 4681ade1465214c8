//! What it costs to shut members out: a group in one mesh, four hops deep, of which some are expelled, told through
//! key trees or by unicast.
//!
//! The members stand along a corridor of a fixed length, so that all sizes have as many hops. For more than a hundred
//! it is wider, so that nobody has less room: a thousand between two walls would hang closer together than in any
//! building, and one would hear hundreds. All are in one group, and its one sender stands beside the border router.

use crate::building::{Building, Device, Generated, InventoryRow};
use crate::check::Revocation;
use crate::crowd::all_in;
use crate::medium::StationId;
use crate::scenario::records;
use crate::world::{What, World, WorldConfig};
use lowgate_manager::{GroupId, ManagerEvent, MemoryStore, Request, Role, WINDOW_MAX};
use lowgate_node::Event;
use lowgate_units::{Duration, Eui64, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// Metres from the border router to the far end: four hops of 0 dBm among furniture.
const LENGTH: f64 = 96.0;
/// Metres from wall to wall, at least.
const WIDTH_MIN: f64 = 4.0;
/// A member has so many square metres, at least; a dense office has ten to a lamp.
const ROOM_MIN: f64 = 3.84;
/// Between the rows in which they stand.
const ROW: f64 = 2.0;
pub(crate) const GROUP: GroupId = GroupId(1);
const SWITCH: StationId = StationId(1);
const EUI64: u64 = 0x0212_4b00_00ee_0000;
/// Installers give power to so many a second.
const INSTALLED_A_SECOND: usize = 4;
/// All are in by then, and know their places in the trees.
const IN_WITHIN: Duration = Duration::from_secs(3600);
/// The time to be told of places: a member takes a second or so, four at a time.
const SETTLED_A_MEMBER: Duration = Duration::from_millis(1500);
const SETTLED_MIN: Duration = Duration::from_secs(120);
/// All that stay follow within that time, or are left behind.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(900);
/// What is left on the air then is repairs, which count.
const AFTERWARDS: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(500);
/// The manager's answer to what is asked of it.
const PATIENCE: Duration = Duration::from_secs(10);
/// IEEE 802.15.4 at 2.45 GHz.
const OCTET: Duration = Duration::from_micros(32);

/// How members are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Through key trees, and by unicast whom those do not reach.
    Tree,
    /// One after the other.
    Unicast,
}

/// What an eviction cost one way.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Members that stay and are in.
    pub stay: usize,
    /// The most hops of any of them.
    pub hops_max: u8,
    /// Sent by the manager: records of key messages and messages of trees. Repetitions are not counted.
    pub messages: u64,
    /// On the air, floods, acknowledgements and repairs included.
    pub frames: u64,
    /// Likewise, with preambles.
    pub octets: u64,
    /// From the request until a member holds the group's new key: half of those that stay, 95 of 100, all. `None`
    /// where so many did not get it.
    pub median: Option<Duration>,
    /// See [`Self::median`].
    pub p95: Option<Duration>,
    /// See [`Self::median`].
    pub all: Option<Duration>,
    /// Until the last of them sends under the network's new key.
    pub network: Option<Duration>,
    /// For so long a member and the group's sender hold different keys: 95 of 100 no longer than that.
    pub outage: Option<Duration>,
    /// Members that a change of key passed by, so that they joined anew.
    pub stranded: usize,
    /// Frames and group records of others that the last one expelled opened after the switch.
    pub opened_after: u64,
    /// Those of its own that others opened.
    pub accepted_after: u64,
    /// What the checkers found.
    pub findings: usize,
}

/// Shuts `evicted` of so many members out, with a share `loss` of all frames lost besides.
///
/// # Panics
/// When there are not more members than are evicted, or the manager does not answer.
pub fn evict(members: usize, evicted: usize, loss: f64, way: Way, seed: u64) -> Cost {
    assert!(evicted < members, "somebody must stay");
    let mut world = world(members, loss, way, seed);
    let places = SETTLED_A_MEMBER * members as u32;
    world.run_for(places.max(SETTLED_MIN));
    world.take_happenings();
    let before = (world.medium().counters().aired, airtime(&world));
    let asked_at = world.now();
    // Spread over the corridor, the sender apart.
    let gone: BTreeSet<StationId> = (0..evicted)
        .map(|n| StationId((2 + (n + 1) * (members - 2) / (evicted + 1)) as u32))
        .collect();
    for station in &gone {
        let eui64 = world.station(*station).eui64();
        world.ask(Request::Revoke { eui64 }, PATIENCE).expect("the manager answers");
    }
    let mut told = Told::default();
    let deadline = asked_at + FOLLOWED_WITHIN;
    while world.now() < deadline && !followed(&world, &gone) {
        world.run_for(GLANCE);
        told.take(&mut world);
    }
    world.run_for(AFTERWARDS);
    told.take(&mut world);
    let frames = world.medium().counters().aired - before.0;
    let octets = ((airtime(&world) - before.1).as_micros() / OCTET.as_micros()) as u64;
    // What was sealed for the group since is tried on those who went, and what they seal on those who stay.
    for on in [true, false] {
        world.press(SWITCH, on);
        world.run_for(Duration::from_secs(5));
    }
    told.cost(&world, asked_at, &gone, (frames, octets))
}

/// What happened since the request.
#[derive(Default)]
struct Told {
    messages: u64,
    keyed: BTreeMap<StationId, (u16, Instant)>,
    switched: BTreeMap<StationId, Instant>,
    stranded: BTreeSet<StationId>,
}

impl Told {
    fn take(&mut self, world: &mut World) {
        for happening in world.take_happenings() {
            let at = happening.at;
            match happening.what {
                What::Manager(ManagerEvent::KeysSent { .. } | ManagerEvent::TreeTold { .. }) => {
                    self.messages += 1;
                }
                What::Node(station, Event::GroupKeyed { epoch, .. }) => {
                    self.keyed.insert(station, (epoch, at));
                }
                What::Node(station, Event::LinkKeySwitched(_)) => {
                    self.switched.insert(station, at);
                }
                What::Node(station, Event::Stranded) => _ = self.stranded.insert(station),
                _ => {}
            }
        }
    }

    fn cost(
        &self,
        world: &World,
        asked_at: Instant,
        gone: &BTreeSet<StationId>,
        (frames, octets): (u64, u64),
    ) -> Cost {
        let epoch = world.manager().domain().groups()[&GROUP].epoch.tek_id.raw();
        let stay: Vec<StationId> = staying(world, gone).collect();
        let keyed = |station: &StationId| {
            let (held, at) = self.keyed.get(station)?;
            (*held == epoch).then_some(*at)
        };
        let sender = keyed(&SWITCH);
        let took = stay.iter().map(|station| Some(keyed(station)? - asked_at)).collect();
        let apart = |at: Instant| sender.map(|sender| sender.max(at) - sender.min(at));
        let outage = stay.iter().map(|station| keyed(station).and_then(apart)).collect();
        let network = stay.iter().map(|station| Some(*self.switched.get(station)? - asked_at));
        let (took, outage) = (sorted(took), sorted(outage));
        let revocation = world.checkers().revocation();
        let of = |figure: fn(&Revocation) -> u64| revocation.map_or(0, figure);
        let joins = &world.survey().joins()[1..];
        Cost {
            stay: stay.len(),
            hops_max: joins.iter().filter_map(|join| join.hops).max().unwrap_or(0),
            messages: self.messages,
            frames,
            octets,
            median: share(&took, 50),
            p95: share(&took, 95),
            all: share(&took, 100),
            network: share(&sorted(network.collect()), 100),
            outage: share(&outage, 95),
            stranded: self.stranded.difference(gone).count(),
            opened_after: of(|it| it.frames_opened_after + it.group_records_opened_after),
            accepted_after: of(|it| it.frames_accepted_after + it.group_records_accepted_after),
            findings: world.findings().len(),
        }
    }
}

/// Those that never came to it last.
fn sorted(mut took: Vec<Option<Duration>>) -> Vec<Option<Duration>> {
    took.sort_unstable_by_key(|took| took.unwrap_or(Duration::MAX));
    took
}

fn share(sorted: &[Option<Duration>], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied().flatten()
}

/// Members, the border router apart.
fn staying(world: &World, gone: &BTreeSet<StationId>) -> impl Iterator<Item = StationId> {
    world.honest().skip(1).filter(|station| !gone.contains(station))
}

fn followed(world: &World, gone: &BTreeSet<StationId>) -> bool {
    let key = &world.manager().domain().founding_pan().link_key;
    let staged = world.manager().domain().founding_pan().staged_key.is_some();
    let follows = |station: StationId| {
        world.station(station).node().and_then(|node| node.link_key()) == Some(key.index)
    };
    !staged && staying(world, gone).all(follows)
}

fn airtime(world: &World) -> Duration {
    let each = world.honest().map(|id| world.medium().radio_time(id).transmit);
    each.fold(Duration::ZERO, |sum, of_one| sum + of_one)
}

/// Everybody is in.
fn world(members: usize, loss: f64, way: Way, seed: u64) -> World {
    let generated = corridor(members);
    let inventory = records(&generated, seed);
    let mut config = WorldConfig { key_trees: way == Way::Tree, ..WorldConfig::new(seed) };
    config.medium.loss = loss;
    let store = Box::<MemoryStore>::default();
    let mut world = World::new(config, generated.building, &inventory, Vec::new(), store);
    let mut ask = |request| world.ask(request, PATIENCE).expect("the manager answers");
    ask(Request::CreateGroup { id: GROUP, name: "all".into() });
    ask(Request::Import(inventory));
    ask(Request::OpenWindow { until: Instant::ZERO + WINDOW_MAX });
    let stations: Vec<StationId> = world.honest().collect();
    for some in stations.chunks(INSTALLED_A_SECOND) {
        some.iter().for_each(|station| world.power_on(*station));
        world.run_for(Duration::from_secs(1));
        world.take_happenings();
    }
    let deadline = world.now() + IN_WITHIN;
    while world.now() < deadline && !all_in(&world) {
        world.run_for(Duration::from_secs(1));
        world.take_happenings();
    }
    world
}

/// A border router and so many members behind it: a switch and lights.
pub(crate) fn corridor(members: usize) -> Generated {
    let eui64 = |n: usize| Eui64((EUI64 + n as u64).to_be_bytes());
    let mut building = Building::generate(1, 1).expect("one device").building;
    building.floors.clear();
    building.groups.clear();
    let width = (ROOM_MIN * members as f64 / LENGTH).max(WIDTH_MIN);
    let rows = 1 + (width / ROW) as usize;
    let place = |n: usize| Device {
        eui64: eui64(n),
        level: 0,
        x: LENGTH * n as f64 / members as f64,
        // Neighbours in turn in all rows.
        y: ROW * (n % rows) as f64,
    };
    building.border_routers = vec![place(0)];
    building.devices = (1..=members).map(place).collect();
    let row = |n: usize| {
        let (kind, role) = match n {
            0 => ("border-router", None),
            1 => ("switch", Some(Role::Sender)),
            _ => ("light", Some(Role::Listener)),
        };
        let groups = role.map(|role| (GROUP.0, role)).into_iter().collect();
        InventoryRow { eui64: eui64(n), kind, room: String::new(), groups }
    };
    Generated { building, inventory: (0..=members).map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_costs_a_fraction_and_shuts_out_as_well() {
        let [tree, unicast] = [Way::Tree, Way::Unicast].map(|way| evict(100, 1, 0.0, way, 1));
        for cost in [&tree, &unicast] {
            assert_eq!((cost.stay, cost.findings, cost.stranded), (99, 0, 0), "{cost:?}");
            assert_eq!((cost.opened_after, cost.accepted_after), (0, 0), "{cost:?}");
            assert!(cost.all.is_some() && cost.network.is_some(), "{cost:?}");
            assert!((3..=6).contains(&cost.hops_max), "{cost:?}");
        }
        let both = format!("{tree:?} {unicast:?}");
        assert!(tree.messages <= 20 && tree.messages * 5 <= unicast.messages, "{both}");
        assert!(tree.octets * 3 <= unicast.octets, "{both}");
        assert!(tree.p95.expect("all hold it") * 3 <= unicast.p95.expect("likewise"), "{both}");
    }

    #[test]
    fn ten_go_and_nobody_goes_back_to_keys_of_between() {
        let cost = evict(60, 10, 0.0, Way::Tree, 1);
        assert_eq!((cost.stay, cost.findings), (50, 0), "{cost:?}");
        assert_eq!((cost.opened_after, cost.accepted_after), (0, 0), "{cost:?}");
        assert!(cost.all.is_some() && cost.network.is_some(), "{cost:?}");
    }

    #[test]
    fn shares_of_a_hundred() {
        let took: Vec<_> = (1..=20).map(|n| Some(Duration::from_secs(n))).collect();
        assert_eq!(share(&took, 50), Some(Duration::from_secs(10)));
        assert_eq!(share(&took, 95), Some(Duration::from_secs(19)));
        assert_eq!(share(&sorted(vec![None, took[0]]), 100), None);
        assert_eq!(share(&[], 50), None);
    }
}
