//! The measurements of draft-keoh-lwig-dtls-iot-01 (sections 5.3 and 5.4) repeated: what it costs one device to
//! get network access and the keys of one group over one hop, and how that fares when datagrams get lost.
//!
//! Device, relay and domain manager are the real ones; the relay is the border router itself, as in the
//! draft, whose prototype had none. Datagrams are lost whole and behind the link layer, which repeats nothing.
//!
//! **Invariant:** what is counted was on the air. Nothing here knows what a message should cost.

pub mod crowd;
mod curve;
pub mod others;
mod paper;
mod wire;

pub use curve::{Point, point};
pub use paper::{LIMIT, LOSSES, Paper};
pub use wire::{Datagram, Octets};

use crate::building::{Building, Device, Floor, Generated, Group, InventoryRow, Propagation, Room};
use crate::medium::StationId;
use crate::scenario::records;
use crate::world::{What, World, WorldConfig};
use lowgate_access::joiner::JoinerEvent;
use lowgate_dtls::Retransmission;
use lowgate_manager::{GroupId, ManagerEvent, MemoryStore, Request, Role, WINDOW_MAX};
use lowgate_node::Event;
use lowgate_units::{Duration, Eui64, Instant};
use wire::Wire;

/// The device of every run.
const DEVICE: StationId = StationId(1);
/// How long the border router may take to get in, or the manager to answer.
const PREPARATION: Duration = Duration::from_secs(20);
/// A run that takes longer is over without success.
const PATIENCE: Duration = Duration::from_secs(120);

/// One run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Whether the manager asks for a cookie first.
    pub cookie: bool,
    /// The probability that a datagram is lost, 0 to 1.
    pub loss: f64,
    /// When both ends repeat what they said.
    pub retransmission: Retransmission,
    /// Decides all that chance decides.
    pub seed: u64,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// From the first ClientHello until the manager had every acknowledgement; `None`: not in two minutes.
    pub took: Option<Duration>,
    /// The datagrams that were sent meanwhile, lost ones included, in their order.
    pub datagrams: Vec<Datagram>,
    /// Frames that the link layer repeated.
    pub frames_repeated: u32,
}

impl Access {
    /// Octets of all datagrams by layer.
    pub fn octets(&self) -> Octets {
        self.datagrams.iter().fold(Octets::default(), |sum, datagram| sum + datagram.octets)
    }

    /// How often the device had to wait for an answer: runs of datagrams in one direction, two of them a
    /// round trip, a last one without an answer counted as one.
    pub fn round_trips(&self) -> usize {
        let turns = self.datagrams.windows(2).filter(|pair| pair[0].from != pair[1].from).count();
        (turns + 1).div_ceil(2)
    }

    /// Whether it took at most [`LIMIT`].
    pub fn is_in_time(&self) -> bool {
        self.took.is_some_and(|took| took <= LIMIT)
    }
}

/// Runs one device's access.
///
/// # Panics
/// When the border router does not get in, or the manager does not answer.
pub fn access(setting: Setting) -> Access {
    let (mut world, device) = prepared(setting);
    world.take_happenings();
    world.take_frames();
    world.power_on(DEVICE);
    let mut wire = Wire::default();
    let (mut began, mut done) = (None, None);
    let deadline = world.now() + PATIENCE;
    while done.is_none() && world.now() < deadline {
        world.run_for(GLANCE);
        for happening in world.take_happenings() {
            match happening.what {
                What::Node(DEVICE, Event::Join(JoinerEvent::Handshake(_))) => {
                    began.get_or_insert(happening.at);
                }
                What::Manager(ManagerEvent::KeysConfirmed { eui64 }) if eui64 == device => {
                    done.get_or_insert(happening.at);
                }
                _ => {}
            }
        }
        let until = done.unwrap_or(Instant::FAR_FUTURE);
        for (at, station, psdu) in world.take_frames() {
            if at <= until {
                wire.aired(at, station, &psdu);
            }
        }
    }
    let (datagrams, frames_repeated) = wire.finish();
    Access { took: began.zip(done).map(|(began, done)| done - began), datagrams, frames_repeated }
}

/// How often it is looked at whether a run is done.
const GLANCE: Duration = Duration::from_millis(50);

/// A domain in which everybody but the device has its keys.
fn prepared(setting: Setting) -> (World, Eui64) {
    let config = WorldConfig {
        cookie: setting.cookie,
        retransmission: setting.retransmission,
        datagram_loss: Some(setting.loss),
        ..WorldConfig::new(setting.seed)
    };
    let generated = room();
    let device = generated.building.devices[0].eui64;
    let inventory = records(&generated, setting.seed);
    let store = Box::<MemoryStore>::default();
    let mut world = World::new(config, generated.building, &inventory, Vec::new(), store);
    let group = Request::CreateGroup { id: GROUP, name: "lights".into() };
    let window = Request::OpenWindow { until: Instant::ZERO + WINDOW_MAX };
    for request in [group, Request::Import(inventory), window] {
        world.ask(request, PREPARATION).expect("the manager answers");
    }
    let router = StationId(0);
    world.power_on(router);
    let admits = |world: &World| world.survey().joins()[router.index()].member.is_some();
    assert!(world.run_until(PREPARATION, admits), "the border router stays outside");
    world.run_for(Duration::from_secs(2));
    (world, device)
}

const GROUP: GroupId = GroupId(1);

/// A border router and a light in one room, two metres apart.
fn room() -> Generated {
    let device = |last: u8, x| {
        let eui64 = Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, last]);
        Device { eui64, level: 0, x, y: 2.0 }
    };
    let (router, light) = (device(1, 1.0), device(2, 3.0));
    let name = String::from("room");
    let hall = Room { name: name.clone(), x: 0.0, y: 0.0, width: 4.0, depth: 4.0, wall_db: None };
    let building = Building {
        name: name.clone(),
        propagation: Propagation::default(),
        groups: vec![Group { id: GROUP.0, name: "lights".into() }],
        floors: vec![Floor { level: 0, name: "ground".into(), rooms: vec![hall] }],
        border_routers: vec![router],
        devices: vec![light],
    };
    let row = |device: Device, kind, groups| InventoryRow {
        eui64: device.eui64,
        kind,
        room: name.clone(),
        groups,
    };
    let inventory = vec![
        row(router, "border-router", Vec::new()),
        row(light, "light", vec![(GROUP.0, Role::Listener)]),
    ];
    Generated { building, inventory }
}

#[cfg(test)]
mod tests;
