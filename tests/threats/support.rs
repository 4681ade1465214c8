//! The building of all threats, and what goes on in it.
//!
//! ```text
//! switch, lamp ---- border router ---- relay ---- light, joiner
//!      -1                 0              1             2           rooms
//! ```
//! Each hears the next room only. All but the joiner are in when the world is handed over.

use lowgate_crypto::{Ccm, Key128, SoftCcm};
use lowgate_ieee802154::{Format, Frame, nonce};
use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, MemoryStore, Reply, Request, Role,
};
use lowgate_node::Event;
use lowgate_sim::building::{Building, Device};
use lowgate_sim::capture::{self, AirFrame, LINKTYPE_TAP};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Happening, Intruder, Lie, Trick, What, World, WorldConfig};
use lowgate_units::{Duration, Eui64, Instant, LinkAddr};
use std::collections::BTreeSet;

pub(crate) const ROUTER: StationId = StationId(0);
pub(crate) const RELAY: StationId = StationId(1);
pub(crate) const SWITCH: StationId = StationId(2);
pub(crate) const LAMP: StationId = StationId(3);
pub(crate) const LIGHT: StationId = StationId(4);
pub(crate) const JOINER: StationId = StationId(5);
/// The first intruder; the others follow.
pub(crate) const ATTACKER: StationId = StationId(6);

pub(crate) const GROUP: GroupId = GroupId(7);
/// In which the lamp is not.
pub(crate) const OTHER_GROUP: GroupId = GroupId(8);

const ROOM_METRES: f64 = 28.0;
const PATIENCE: Duration = Duration::from_secs(5);
/// The manager waits a minute for those who do not confirm the next key; who is left behind notices.
const EFFECTIVE_WITHIN: Duration = Duration::from_secs(120);
pub(crate) const JOIN_PATIENCE: Duration = Duration::from_secs(60);
/// An attacker that learns listens for so long first.
pub(crate) const LEARNT: Duration = Duration::from_secs(21);
/// Between two commands; whoever has not heard one by then never will.
const PRESS_INTERVAL: Duration = Duration::from_secs(3);

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn eui64(station: StationId) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, station.0 as u8])
}

pub(crate) fn place(eui64: Eui64, rooms: f64, y: f64) -> Device {
    Device { eui64, level: 0, x: (rooms + 1.0) * ROOM_METRES, y }
}

/// Without a key, so many rooms from the border router.
pub(crate) fn eavesdropper(station: StationId, rooms: f64, trick: Trick) -> Intruder {
    Intruder::Eavesdropper { place: place(eui64(station), rooms, 1.0), trick }
}

/// With the keys of `captured`.
pub(crate) fn insider(rooms: f64, captured: StationId, lie: Lie) -> Intruder {
    let place = place(eui64(ATTACKER), rooms, 1.0);
    Intruder::Insider { place, captured: eui64(captured), lie }
}

pub(crate) fn psk(station: StationId) -> [u8; 16] {
    [0x50 + station.0 as u8; 16]
}

/// The inventory's line; the lamp is not in the other group, and the joiner is in none.
pub(crate) fn record(station: StationId) -> DeviceRecord {
    let (kind, roles) = match station {
        ROUTER => (Kind::BorderRouter, vec![]),
        SWITCH => (Kind::Switch, vec![(GROUP, Role::Sender)]),
        LAMP | JOINER => (Kind::Light, vec![(GROUP, Role::Listener)]),
        _ => (Kind::Light, vec![(GROUP, Role::Listener), (OTHER_GROUP, Role::Listener)]),
    };
    DeviceRecord {
        eui64: eui64(station),
        identity: Identity::from(eui64(station)),
        psk: DevicePsk::new(&psk(station)).expect("16 octets"),
        kind,
        name: format!("device {}", station.0),
        room: format!("room of {}", station.0),
        groups: roles.into_iter().collect(),
    }
}

/// How a world differs from the usual one.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) intruders: Vec<Intruder>,
    /// What the devices are, and what the manager's inventory says of them.
    pub(crate) really: fn(DeviceRecord) -> DeviceRecord,
    pub(crate) known: fn(DeviceRecord) -> DeviceRecord,
    /// Where the joiner hangs, in rooms.
    pub(crate) joiner_at: f64,
    pub(crate) capture: bool,
}

impl Plan {
    pub(crate) fn new(seed: u64, intruders: Vec<Intruder>) -> Self {
        let (really, known): (fn(_) -> _, fn(_) -> _) = (|record| record, |record| record);
        Self { seed, intruders, really, known, joiner_at: 2.0, capture: false }
    }

    /// All but the joiner are in, and no intruder has power.
    pub(crate) fn world(self) -> World {
        let mut building = Building::generate(1, 1).expect("one device").building;
        building.floors.clear();
        building.groups.clear();
        building.propagation.shadowing_db = 0.0;
        building.border_routers = vec![place(eui64(ROUTER), 0.0, 0.0)];
        let places = [(RELAY, 1.0, 0.0), (SWITCH, -1.0, 2.0), (LAMP, -1.0, 0.0), (LIGHT, 2.0, 0.0)];
        let joiner = (JOINER, self.joiner_at, 3.0);
        let places = places.into_iter().chain([joiner]);
        building.devices = places.map(|(it, rooms, y)| place(eui64(it), rooms, y)).collect();
        let inventory: Vec<_> = (0..ATTACKER.0).map(|it| record(StationId(it))).collect();
        let devices: Vec<_> = inventory.iter().cloned().map(self.really).collect();
        let config = WorldConfig { capture: self.capture, ..WorldConfig::new(self.seed) };
        let store = Box::<MemoryStore>::default();
        let mut world = World::new(config, building, &devices, self.intruders, store);
        for request in [
            Request::CreateGroup { id: GROUP, name: "lights".into() },
            Request::CreateGroup { id: OTHER_GROUP, name: "other lights".into() },
            Request::Import(inventory.into_iter().map(self.known).collect()),
            Request::OpenWindow { until: Instant::from_secs(3000) },
        ] {
            world.ask(request, PATIENCE).expect("a reply");
        }
        world.power_on(ROUTER);
        world.run_for(PATIENCE);
        for device in [RELAY, SWITCH, LAMP, LIGHT] {
            join(&mut world, device).unwrap_or_else(|| panic!("seed {}", self.seed));
        }
        world.run_for(secs(20));
        world.take_happenings();
        world
    }
}

pub(crate) fn is_in(world: &World, station: StationId) -> bool {
    let node = world.station(station).node();
    node.is_some_and(|node| node.is_member() && node.net().is_attached())
}

/// Gives power to a device; how long it takes to join, if it does.
pub(crate) fn join(world: &mut World, station: StationId) -> Option<Duration> {
    let at = world.now();
    world.power_on(station);
    world.run_until(JOIN_PATIENCE, |world| is_in(world, station)).then(|| world.now() - at)
}

/// What came of commands to the group.
#[derive(Debug, Default)]
pub(crate) struct Commands {
    pub(crate) obeyed: usize,
    pub(crate) of: usize,
    /// From the press to each light.
    pub(crate) took: Vec<Duration>,
}

impl Commands {
    pub(crate) fn share(&self) -> f64 {
        self.obeyed as f64 / self.of as f64
    }
}

/// The switch is pressed so often; who of `lights` obeys.
pub(crate) fn command(world: &mut World, presses: usize, lights: &[StationId]) -> Commands {
    let mut commands = Commands::default();
    for press in 0..presses {
        world.take_happenings();
        let at = world.now();
        world.press(SWITCH, press % 2 == 0);
        world.run_for(PRESS_INTERVAL);
        let mut obeyed = BTreeSet::new();
        for Happening { at: then, what } in world.take_happenings() {
            if let What::Node(light, Event::GroupOpened { group: GROUP, .. }) = what
                && lights.contains(&light)
                && obeyed.insert(light)
            {
                commands.took.push(then - at);
            }
        }
        commands.of += lights.len();
        commands.obeyed += obeyed.len();
    }
    commands
}

/// Of so many reads, those that the device answered.
pub(crate) fn read(world: &mut World, station: StationId, reads: usize) -> usize {
    let answered = |world: &mut World| {
        let request = Request::ReadResource { eui64: eui64(station), path: "light".into() };
        matches!(world.ask(request, secs(8)), Some(Reply::Resource { .. }))
    };
    (0..reads).filter(|_| answered(world)).count()
}

/// Runs for so long; how often that happened.
pub(crate) fn count(world: &mut World, lasts: Duration, like: impl Fn(&What) -> bool) -> usize {
    world.take_happenings();
    world.run_for(lasts);
    world.take_happenings().iter().filter(|it| like(&it.what)).count()
}

/// Expels a device and waits until that took effect.
pub(crate) fn revoke(world: &mut World, station: StationId) {
    revoke_within(world, station, EFFECTIVE_WITHIN);
}

pub(crate) fn revoke_within(world: &mut World, station: StationId, within: Duration) {
    world.ask(Request::Revoke { eui64: eui64(station) }, PATIENCE).expect("a reply");
    let effective = |world: &World| {
        let revocation = world.checkers().revocation();
        revocation.and_then(|it| it.effective_at).is_some_and(|at| world.now() >= at)
    };
    let at = world.now();
    assert!(world.run_until(within, effective), "the revocation takes no effect");
    println!("expelled after {:?}", world.now() - at);
}

pub(crate) fn median(of: &[Duration]) -> Duration {
    let mut sorted = of.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

/// All frames that were on the air, if the world keeps a capture.
pub(crate) fn air(world: &World) -> Vec<(Instant, Vec<u8>)> {
    let recording = capture::read(&world.capture().emit("")).expect("its own file");
    let frames = recording.packets.into_iter().filter(|it| it.link_type == LINKTYPE_TAP);
    frames
        .map(|packet| {
            let frame = AirFrame::parse(&packet.octets).expect("its own frame");
            (packet.at, frame.psdu.to_vec())
        })
        .collect()
}

/// What a frame carries, to somebody who has the link key.
pub(crate) fn opened(psdu: &[u8], key: &Key128) -> Option<Vec<u8>> {
    let Ok(Frame::Addressed(frame)) = Frame::parse(psdu) else { return None };
    let (Format::Secured(aux), Some(LinkAddr::Extended(src))) = (frame.format, frame.src()) else {
        return None;
    };
    let mic_at = frame.payload.len().checked_sub(aux.level.mic_len())?;
    let (sealed, mic) = frame.payload.split_at(mic_at);
    let mut payload = sealed.to_vec();
    let head = &psdu[..frame.head_len()];
    let nonce = nonce(src, aux.counter, aux.level);
    SoftCcm.open(key, &nonce, head, &mut payload, mic).ok()?;
    Some(payload)
}
