//! What the terminal shows while the demo runs: a line for each device that is in, a tree at the end.

use super::options::Site;
use super::play::millis;
use lowgate_access::joiner::{Failure, JoinerEvent, Path};
use lowgate_dtls::{AlertDescription, CloseReason};
use lowgate_manager::{Kind, ManagerEvent};
use lowgate_net::NetEvent;
use lowgate_node::Event;
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Happening, What, World};
use lowgate_units::Eui64;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// Failures of one device that get a line of their own.
const FAILURES_TOLD: usize = 3;

/// Why an attempt led nowhere, in words.
pub(super) fn because(cause: Failure) -> String {
    match cause {
        Failure::Closed(CloseReason::PeerAlert(AlertDescription::DECRYPT_ERROR)) => {
            "its key is not the one the manager knows (decrypt_error)".into()
        }
        Failure::Closed(reason) => format!("the session ended ({reason:?})"),
        Failure::Silence => "nobody answered".into(),
        Failure::HandshakeTimeout => "the handshake took too long".into(),
        Failure::KeysTimeout => "no keys came".into(),
        Failure::Refused(error) => format!("the manager refused ({error:?})"),
    }
}

/// Tells people.
pub(super) struct Teller {
    names: Vec<String>,
    rooms: Vec<String>,
    stations: BTreeMap<Eui64, StationId>,
    told: BTreeSet<StationId>,
    failures: BTreeMap<StationId, usize>,
    refused: BTreeSet<Eui64>,
}

impl Teller {
    /// Names every station by its kind and a number; intruders come last.
    pub(super) fn new(site: &Site) -> Self {
        let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
        let mut teller = Self {
            names: Vec::new(),
            rooms: Vec::new(),
            stations: BTreeMap::new(),
            told: BTreeSet::new(),
            failures: BTreeMap::new(),
            refused: BTreeSet::new(),
        };
        let all = site.building.all();
        for (index, device) in all.enumerate() {
            let record = site.inventory.iter().find(|record| record.eui64 == device.eui64);
            let kind = record.map_or(Kind::Sensor, |record| record.kind);
            let count = counts.entry(kind).or_default();
            *count += 1;
            teller.names.push(match kind {
                Kind::BorderRouter => "border router".into(),
                Kind::Light | Kind::Switch | Kind::Sensor => format!("{} {count}", kind.word()),
            });
            let room = site.building.room(device).map_or("", |room| &room.name);
            teller.rooms.push(room.to_owned());
            teller.stations.insert(device.eui64, StationId(index as u32));
        }
        teller.names.extend(["stranger".into(), "replayer".into()]);
        teller.rooms.extend([String::new(), String::new()]);
        teller
    }

    /// What people call a station.
    pub(super) fn name(&self, station: StationId) -> String {
        self.names.get(station.index()).cloned().unwrap_or_default()
    }

    /// What people call the device of an EUI-64.
    fn name_of(&self, eui64: Eui64) -> String {
        self.stations.get(&eui64).map_or_else(|| eui64.to_string(), |station| self.name(*station))
    }

    pub(super) fn headline(&self, out: &mut dyn Write, text: &str) -> io::Result<()> {
        writeln!(out, "\n{text}")
    }

    /// One thing that happened, if people want to know.
    pub(super) fn tell(
        &mut self,
        world: &World,
        happening: &Happening,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let at = happening.at.as_secs_f64();
        match &happening.what {
            What::Node(station, Event::Net(NetEvent::Attached { hops, .. })) => {
                if self.told.insert(*station) {
                    self.joined(world, *station, *hops, at, out)?;
                }
            }
            What::Node(station, Event::Join(JoinerEvent::Failed { path, cause })) => {
                self.failed(*station, *path, *cause, at, out)?;
            }
            What::Node(station, Event::Stranded) => {
                let name = self.name(*station);
                writeln!(
                    out,
                    "{at:9.3} s  {name:<14} cannot read its neighbours any more, starts anew"
                )?;
            }
            What::Manager(event) => self.manager(event, at, out)?,
            What::Node(..) | What::PowerOn(_) => {}
        }
        Ok(())
    }

    /// The first failures of a device, one by one; of the others only that there were some.
    fn failed(
        &mut self,
        station: StationId,
        path: Path,
        cause: Failure,
        at: f64,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let told = self.failures.entry(station).or_default();
        *told += 1;
        let count = *told;
        let name = self.name(station);
        let way = match path {
            Path::Relay(relay) => format!("through {}", self.name_of(relay)),
            Path::Direct => "directly".into(),
        };
        match count {
            ..=FAILURES_TOLD => {
                writeln!(out, "{at:9.3} s  {name:<14} gets nowhere {way}: {}", because(cause))
            }
            _ if count == FAILURES_TOLD + 1 => {
                writeln!(out, "{at:9.3} s  {name:<14} goes on trying, in vain")
            }
            _ => Ok(()),
        }
    }

    fn joined(
        &self,
        world: &World,
        station: StationId,
        hops: u8,
        at: f64,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let name = self.name(station);
        let room = &self.rooms[station.index()];
        let join = &world.survey().joins()[station.index()];
        if world.station(station).is_router() {
            return writeln!(out, "{at:9.3} s  {name:<14} {room:<20} root of the mesh");
        }
        let relay = join.relay.map_or_else(|| "nobody".into(), |relay| self.name_of(relay));
        let took = join.took().map_or(0.0, millis);
        writeln!(
            out,
            "{at:9.3} s  {name:<14} {room:<20} in by {relay:<14} {hops} hops  {took:6.0} ms  {} messages",
            join.messages,
        )
    }

    fn manager(&mut self, event: &ManagerEvent, at: f64, out: &mut dyn Write) -> io::Result<()> {
        match event {
            ManagerEvent::NotAuthorized { eui64, .. } if !self.refused.insert(*eui64) => Ok(()),
            ManagerEvent::NotAuthorized { eui64, why } => {
                let name = self.name_of(*eui64);
                writeln!(out, "{at:9.3} s  manager: {name} is not let in: {why:?}")
            }
            ManagerEvent::Revoked { eui64 } => {
                let name = self.name_of(*eui64);
                writeln!(out, "{at:9.3} s  manager: {name} is revoked; new keys go to all others")
            }
            ManagerEvent::RekeyProgress { done, of, .. } if done == of => {
                writeln!(out, "{at:9.3} s  manager: {done} of {of} devices hold the new link key")
            }
            ManagerEvent::KeySwitched { index, .. } => {
                writeln!(out, "{at:9.3} s  manager: link key {} is in force", index.raw())
            }
            ManagerEvent::GaveUp { eui64, what } => {
                let name = self.name_of(*eui64);
                writeln!(out, "{at:9.3} s  manager: {name} did not confirm: {what:?}")
            }
            ManagerEvent::StoreFailed => writeln!(out, "{at:9.3} s  manager: the store failed"),
            _ => Ok(()),
        }
    }

    /// Who is not in, and how far it came.
    pub(super) fn missing(&self, world: &World, out: &mut dyn Write) -> io::Result<()> {
        let at = world.now().as_secs_f64();
        let stations =
            world.honest().map(|station| (station, &world.survey().joins()[station.index()]));
        for (station, join) in stations.filter(|(_, join)| join.took().is_none()) {
            let step = match (join.member, join.attempts) {
                (Some(_), _) => "has keys, but no working address",
                (None, 0) => "hears no network that is open",
                (None, _) => "shook hands in vain",
            };
            let (name, room) = (self.name(station), &self.rooms[station.index()]);
            writeln!(out, "{at:9.3} s  {name:<14} {room:<20} is not in: it {step}")?;
        }
        Ok(())
    }

    /// The mesh as it stands: who sends upward through whom.
    pub(super) fn tree(&self, world: &World, out: &mut dyn Write) -> io::Result<()> {
        let mut children: BTreeMap<Option<Eui64>, Vec<StationId>> = BTreeMap::new();
        for station in world.honest() {
            let node = world.station(station).node();
            let parent = node.and_then(|node| node.net().parent());
            children.entry(parent).or_default().push(station);
        }
        let root = world.honest().find(|station| world.station(*station).is_router());
        writeln!(out)?;
        root.map_or(Ok(()), |root| self.branch(world, &children, root, 0, out))
    }

    fn branch(
        &self,
        world: &World,
        children: &BTreeMap<Option<Eui64>, Vec<StationId>>,
        station: StationId,
        depth: usize,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let indent = "   ".repeat(depth);
        let room = &self.rooms[station.index()];
        writeln!(out, "  {indent}{} ({room})", self.name(station))?;
        let below = children.get(&Some(world.station(station).eui64()));
        // A loop of parents, which routing repairs within seconds, must not be walked for ever.
        if depth < world.building().stations() {
            for child in below.into_iter().flatten() {
                self.branch(world, children, *child, depth + 1, out)?;
            }
        }
        Ok(())
    }
}
