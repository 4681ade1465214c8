//! The report of a demo: what happened, in the page's own terms.

use super::join_trace;
use super::play::{Outcome, Play};
use super::tell::because;
use crate::report::{
    Attempt, Change, Check, Delivery, Device, Event, Figure, Floor, GroupCommand, Join, Kind, Link,
    Report, State,
};
use lowgate_access::joiner::JoinerEvent;
use lowgate_manager::{Kind as InventoryKind, ManagerEvent};
use lowgate_net::NetEvent;
use lowgate_node::Event as NodeEvent;
use lowgate_sim::building::Building;
use lowgate_sim::capture;
use lowgate_sim::medium::{MediumConfig, StationId};
use lowgate_sim::world::What;
use lowgate_units::{Eui64, Instant};

/// Octets of a routing or data frame that a usable link carries.
const FRAME_OCTETS: usize = 100;
/// A link that carries fewer of them is not drawn.
const RECEPTION_DRAWN: f64 = 0.5;

/// The report.
pub(super) fn report(play: &Play, outcome: &Outcome, command_line: &str) -> Report {
    let building = play.world().building();
    Report {
        building: building.name.clone(),
        command_line: command_line.to_owned(),
        seed: play.seed(),
        end_us: play.world().now().as_micros(),
        checks: outcome.checks.iter().map(check).collect(),
        figures: figures(outcome),
        floors: Floor::of(building),
        devices: devices(play),
        links: links(building),
        events: events(play),
        join: join(play),
        group_command: outcome.command.as_ref().map(|command| GroupCommand {
            group: group_name(play, command.group.0),
            command: "PUT /light 1".into(),
            sender: command.sender.index(),
            at_us: command.at.as_micros(),
            deliveries: command
                .deliveries
                .iter()
                .map(|(member, took)| Delivery {
                    device: member.index(),
                    latency_us: took.map(|took| took.as_micros() as u64),
                })
                .collect(),
        }),
        attempts: outcome.attempts.iter().map(attempt).collect(),
    }
}

fn check(check: &super::play::Check) -> Check {
    Check { what: check.what.clone(), held: check.held, saw: check.saw.clone() }
}

fn attempt(attempt: &super::play::Attempt) -> Attempt {
    Attempt {
        who: attempt.who.clone(),
        at_us: attempt.at.as_micros(),
        tried: attempt.tried.clone(),
        got: attempt.got.clone(),
        why: attempt.why.clone(),
        counts: attempt.counts.clone(),
    }
}

fn figures(outcome: &Outcome) -> Vec<Figure> {
    let figures = &outcome.figures;
    let figure = |label: &str, value: String, note: &str| Figure {
        label: label.into(),
        value,
        note: note.into(),
    };
    vec![
        figure(
            "Devices joined",
            format!("{} of {}", figures.devices_joined, figures.devices_total),
            "from an empty database",
        ),
        figure("Hops at most", figures.hops_max.to_string(), "to the border router"),
        figure(
            "Join time, median",
            format!("{:.2} s", figures.join_ms.p50 / 1000.0),
            &format!("95 of 100 within {:.2} s", figures.join_ms.p95 / 1000.0),
        ),
        figure(
            "Join traffic, median",
            format!("{} octets", figures.join_octets_per_hop_p50),
            &format!("in {} messages, on the first hop", figures.join_messages_p50),
        ),
        figure(
            "Group command",
            format!("{} of {}", figures.group_command.delivered, figures.group_command.members),
            &format!("half of them within {:.0} ms", figures.group_command.latency_ms_p50),
        ),
        figure("Frames on the air", figures.frames_total.to_string(), "acknowledgements included"),
        figure("Virtual time", format!("{:.0} s", figures.virtual_s), "simulated, not waited for"),
    ]
}

fn devices(play: &Play) -> Vec<Device> {
    let building = play.world().building();
    let joins = play.world().survey().joins();
    let stations = building.stations() as u32;
    (0..stations)
        .map(StationId)
        .map(|station| {
            let placed = play.world().device(station);
            let join = joins.get(station.index());
            let level = |floor: &lowgate_sim::building::Floor| floor.level == placed.level;
            Device {
                eui64: placed.eui64.to_string(),
                name: play.name(station),
                kind: kind(play, station),
                room: building.room(placed).map_or_else(String::new, |room| room.name.clone()),
                floor: building.floors.iter().position(level).unwrap_or(0),
                x_m: placed.x,
                y_m: placed.y,
                relay: join.and_then(|join| join.relay).and_then(|relay| index(building, relay)),
                hops: join.and_then(|join| join.hops),
            }
        })
        .collect()
}

fn kind(play: &Play, station: StationId) -> Kind {
    match play.record(station).map(|record| record.kind) {
        Some(InventoryKind::BorderRouter) => Kind::BorderRouter,
        Some(InventoryKind::Light) => Kind::Light,
        Some(InventoryKind::Switch) => Kind::Switch,
        Some(InventoryKind::Sensor) => Kind::Sensor,
        None => Kind::Intruder,
    }
}

fn index(building: &Building, eui64: Eui64) -> Option<usize> {
    building.station(eui64).map(StationId::index)
}

fn links(building: &Building) -> Vec<Link> {
    let medium = MediumConfig::default();
    let links = building.links(&medium);
    let stations = (0..building.stations() as u32).map(StationId);
    let mut drawn = Vec::new();
    for station in stations {
        for (other, strength) in links.neighbours(station) {
            let usable = medium.reception(*strength, FRAME_OCTETS) >= RECEPTION_DRAWN;
            if *other > station && usable {
                let rssi_dbm = strength.dbm().round() as i16;
                drawn.push(Link { a: station.index(), b: other.index(), rssi_dbm });
            }
        }
    }
    drawn
}

fn events(play: &Play) -> Vec<Event> {
    let building = play.world().building();
    let mut events = Vec::new();
    for happening in play.log() {
        let at_us = happening.at.as_micros();
        let found = match &happening.what {
            What::PowerOn(station) => {
                Some((station.index(), Change::State(State::Off), "gets power".to_owned()))
            }
            What::Node(station, event) => node_event(play, building, event)
                .map(|(change, note)| (station.index(), change, note)),
            What::Manager(event) => manager_event(building, event),
        };
        if let Some((device, change, note)) = found {
            events.push(Event { at_us, device, change, note });
        }
    }
    events
}

fn node_event(play: &Play, building: &Building, event: &NodeEvent) -> Option<(Change, String)> {
    let named = |eui64: Eui64| {
        building.station(eui64).map_or_else(|| eui64.to_string(), |station| play.name(station))
    };
    let path = |path: &lowgate_access::joiner::Path| match path {
        lowgate_access::joiner::Path::Relay(relay) => format!("through {}", named(*relay)),
        lowgate_access::joiner::Path::Direct => "directly".to_owned(),
    };
    Some(match event {
        NodeEvent::Join(JoinerEvent::Scanning) => (Change::State(State::Scanning), String::new()),
        NodeEvent::Join(JoinerEvent::Handshake(way)) => {
            (Change::State(State::Handshake), format!("shakes hands {}", path(way)))
        }
        NodeEvent::Join(JoinerEvent::Failed { path: way, cause }) => (
            Change::State(State::Refused),
            format!("gets nowhere {}: {}", path(way), because(*cause)),
        ),
        NodeEvent::Join(JoinerEvent::Member) => {
            (Change::State(State::Admitted), "holds its keys".into())
        }
        NodeEvent::Net(NetEvent::Attached { hops, .. }) => {
            (Change::State(State::Registered), format!("has a working address, {hops} hops away"))
        }
        NodeEvent::Net(NetEvent::ParentChanged { parent, .. }) => {
            let parent = parent.and_then(|parent| index(building, parent));
            (Change::Parent(parent), String::new())
        }
        NodeEvent::LinkKeySwitched(key) => {
            (Change::Note, format!("uses link key {} from now on", key.raw()))
        }
        NodeEvent::Light { on } => {
            (Change::Note, if *on { "lights up" } else { "goes dark" }.into())
        }
        NodeEvent::Stranded => (
            Change::State(State::Scanning),
            "cannot read its neighbours any more and starts anew".into(),
        ),
        _ => return None,
    })
}

fn manager_event(building: &Building, event: &ManagerEvent) -> Option<(usize, Change, String)> {
    match event {
        ManagerEvent::Revoked { eui64 } => {
            let device = index(building, *eui64)?;
            Some((device, Change::State(State::Revoked), "is revoked by the manager".into()))
        }
        ManagerEvent::NotAuthorized { eui64, why } => {
            let device = index(building, *eui64)?;
            Some((device, Change::State(State::Refused), format!("is not let in: {why:?}")))
        }
        ManagerEvent::SessionMoved { eui64, .. } => {
            let device = index(building, *eui64)?;
            Some((device, Change::Note, "goes on with its session from its own address".into()))
        }
        _ => None,
    }
}

/// The join of the device farthest away.
fn join(play: &Play) -> Option<Join> {
    let joins = play.world().survey().joins();
    let candidates = joins.iter().enumerate().skip(1).filter(|(_, join)| join.attempts == 1);
    let (device, join) = candidates
        .filter(|(_, join)| join.took().is_some())
        .max_by_key(|(index, join)| (join.hops, std::cmp::Reverse(*index)))?;
    let recording = capture::read(&play.world().capture().emit("")).ok()?;
    let (from, until): (Instant, Instant) = (join.started?, join.attached?);
    let station = StationId(device as u32);
    let joiner = play.world().station(station).eui64();
    let relay = join.relay.and_then(|relay| play.world().building().station(relay));
    let messages = join_trace::trace(&recording, joiner, from, until, join.hops?);
    let parties = vec![
        play.name(station),
        relay.map_or_else(|| "relay".into(), |relay| play.name(relay)),
        "domain manager".into(),
    ];
    Some(Join { device, parties, messages })
}

fn group_name(play: &Play, id: u16) -> String {
    let groups = &play.world().building().groups;
    let named = groups.iter().find(|group| group.id == id);
    named.map_or_else(|| format!("group {id}"), |group| group.name.clone())
}
