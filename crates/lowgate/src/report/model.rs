//! What a report says. Whoever ran the demo fills it; [`render`](super::render) draws it.
//!
//! Times are microseconds of virtual time since the start of the run. A device is named by its index
//! in [`Report::devices`], a floor by its index in [`Report::floors`].

use lowgate_sim::building::Building;
use serde::{Deserialize, Serialize};

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What people call the building.
    pub building: String,
    /// What repeats this run: program and arguments as typed, the seed among them.
    pub command_line: String,
    /// What decided the run.
    pub seed: u64,
    /// When the run ended.
    pub end_us: u64,
    /// What the run had to show, and whether it did.
    pub checks: Vec<Check>,
    /// The summary, most important first.
    pub figures: Vec<Figure>,
    /// From the ground up.
    pub floors: Vec<Floor>,
    /// Border router, members and strangers.
    pub devices: Vec<Device>,
    /// Pairs that hear each other, each pair once.
    pub links: Vec<Link>,
    /// All that happened, in the order of time.
    pub events: Vec<Event>,
    /// One join, message by message.
    pub join: Option<Join>,
    /// The command to a group.
    pub group_command: Option<GroupCommand>,
    /// Who tried to get in, or to stay, and did not.
    pub attempts: Vec<Attempt>,
}

/// Something the run had to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// As a sentence: "A stranger with a wrong PSK stays outside".
    pub what: String,
    /// Whether it was so.
    pub held: bool,
    /// What was seen, in figures.
    pub saw: String,
}

/// One figure of the summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figure {
    /// What was counted or measured.
    pub label: String,
    /// The figure with its unit.
    pub value: String,
    /// A few words below it; may be empty.
    pub note: String,
}

/// One storey.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// Its name.
    pub name: String,
    /// Its rooms.
    pub rooms: Vec<Room>,
}

impl Floor {
    /// The floors of a building, as [`Report::floors`] wants them.
    pub fn of(building: &Building) -> Vec<Self> {
        let mut floors: Vec<_> = building.floors.iter().collect();
        floors.sort_by_key(|floor| floor.level);
        let room = |room: &lowgate_sim::building::Room| Room {
            name: room.name.clone(),
            x_m: room.x,
            y_m: room.y,
            width_m: room.width,
            depth_m: room.depth,
        };
        floors
            .iter()
            .map(|floor| Self {
                name: floor.name.clone(),
                rooms: floor.rooms.iter().map(room).collect(),
            })
            .collect()
    }
}

/// A rectangle on a floor, in metres from the building's south-west corner: x to the east, y to the north.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// Its name.
    pub name: String,
    /// West edge in metres.
    pub x_m: f64,
    /// South edge in metres.
    pub y_m: f64,
    /// From west to east in metres.
    pub width_m: f64,
    /// From south to north in metres.
    pub depth_m: f64,
}

/// What a device is; decides the shape of its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The way out of the mesh.
    BorderRouter,
    /// A luminaire.
    Light,
    /// A wall switch.
    Switch,
    /// A sensor.
    Sensor,
    /// Nobody's device.
    Intruder,
}

/// A device on the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// As printed on it.
    pub eui64: String,
    /// What people call it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where it hangs.
    pub room: String,
    /// On which floor.
    pub floor: usize,
    /// Position in metres, in the coordinates of [`Room`].
    pub x_m: f64,
    /// Position in metres, in the coordinates of [`Room`].
    pub y_m: f64,
    /// The device that relayed its join; none if it never joined, or joined without one.
    pub relay: Option<usize>,
    /// Hops from the border router, which has 0; none if it never joined.
    pub hops: Option<u8>,
}

/// Two devices that hear each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// One end.
    pub a: usize,
    /// The other.
    pub b: usize,
    /// Received power in dBm, of the weaker direction.
    pub rssi_dbm: i16,
}

/// How far a device has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Without power; where every device begins.
    #[default]
    Off,
    /// Looks for a network.
    Scanning,
    /// In the DTLS handshake.
    Handshake,
    /// The manager admitted it; keys are on their way.
    Admitted,
    /// Has a registered address: a member.
    Registered,
    /// Was a member and is not any more.
    Revoked,
    /// Was turned away.
    Refused,
}

/// What an event changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The device is in this state from now on.
    State(State),
    /// The device sends upward through this one from now on, or through none.
    Parent(Option<usize>),
    /// Nothing on the plan: a line in the log.
    Note,
}

/// Something that happened to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at_us: u64,
    /// To whom.
    pub device: usize,
    /// What it changes.
    pub change: Change,
    /// For the log, without the device's name: "answers GET /light: 1". Empty: not in the log.
    pub note: String,
}

/// One join, message by message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Who joins.
    pub device: usize,
    /// The columns of the sequence, from the joiner to the manager.
    pub parties: Vec<String>,
    /// In the order of time.
    pub messages: Vec<Message>,
}

/// One message of a join: a datagram or a frame that carries no datagram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// When its first frame began.
    pub at_us: u64,
    /// Who sent it: an index in [`Join::parties`].
    pub from: usize,
    /// Who it was for: an index in [`Join::parties`].
    pub to: usize,
    /// What it is: "ClientHello with cookie".
    pub name: String,
    /// What is worth knowing about it: "sent again after 0.75 s". May be empty.
    pub note: String,
    /// 802.15.4 frames on the first hop, repeated ones too.
    pub frames: u32,
    /// Hops it went over the air.
    pub hops: u32,
    /// Where its octets went, on the first hop.
    pub octets: Octets,
}

/// Octets of one message on its first hop, all its frames together, without preambles and acknowledgements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Octets {
    /// MAC headers, MICs and check sequences.
    pub ieee802154: u32,
    /// Compressed IPv6 headers, fragmentation headers, routing headers.
    pub sixlowpan: u32,
    /// UDP headers, compressed or not.
    pub udp: u32,
    /// The relay's header and envelope. The first hop goes without; every further one carries them on top.
    pub relay: u32,
    /// DTLS record headers, nonces and tags; of handshake messages their headers too.
    pub dtls: u32,
    /// What is left: the message itself.
    pub payload: u32,
}

impl Octets {
    /// All layers on the first hop: without the relay's envelope.
    pub const fn total(&self) -> u32 {
        self.ieee802154 + self.sixlowpan + self.udp + self.dtls + self.payload
    }
}

/// A command to a group and who heard it when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupCommand {
    /// The group as people know it.
    pub group: String,
    /// What was sent: "PUT /light 1".
    pub command: String,
    /// Who sent it.
    pub sender: usize,
    /// When.
    pub at_us: u64,
    /// One for each member but the sender.
    pub deliveries: Vec<Delivery>,
}

/// What one member of the group got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The member.
    pub device: usize,
    /// From the sender's decision to the opened command; none if it never came.
    pub latency_us: Option<u64>,
}

/// Someone who tried and failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Who: "A stranger with a wrong PSK".
    pub who: String,
    /// When the first try began.
    pub at_us: u64,
    /// What was tried.
    pub tried: String,
    /// What came of it: "nothing: no key, no address".
    pub got: String,
    /// Which rule stopped it.
    pub why: String,
    /// What was counted: names and numbers.
    pub counts: Vec<(String, u64)>,
}
