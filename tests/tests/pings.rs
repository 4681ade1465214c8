//! Purpose: who has a route answers, also on the way that it found in the crowd of a commissioning.
//! Topology: 20 devices, in the building of the end-to-end tests and in one of each seed's own, which get
//! power at once or 0.3 s apart. Where nobody else is a member yet, a device joins over a link so weak that
//! most attempts at a long frame fail.
//! Clause: IEEE 802.15.4-2006 clause 7.5.6.5: a MAC gives a frame up. What follows is the next layer's.
//! Criteria: the medium loses no frame but to noise and collisions; from when all have routes, every echo
//! request of the building is answered: two to each device, one second apart, of two fragments each.

use lowgate::demo::{Options, site};
use lowgate_manager::{GroupId, MemoryStore, Request};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{World, WorldConfig};
use lowgate_units::{Duration, Instant, Ipv6Addr};
use std::path::PathBuf;

const DEVICES: usize = 20;
/// Of the end-to-end tests.
const BUILDING: u64 = 1;
const SEEDS: std::ops::RangeInclusive<u64> = 101..=125;
const ROUTER: StationId = StationId(0);
const OUTSIDER: Ipv6Addr = Ipv6Addr::new(0xfd5a, 0x10f2, 0x9a3b, 0xeeee, 0, 0, 0, 9);
const PATIENCE: Duration = Duration::from_secs(5);
const JOIN_PATIENCE: Duration = Duration::from_secs(120);
/// Between two requests to one device, and to the next one; an answer may take longer.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);
const ECHO_OCTETS: usize = 56;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;
const ICMPV6: u8 = 58;
const IPV6_OCTETS: usize = 40;

/// RFC 1071.
fn checksum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|word| match *word {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => unreachable!("chunks of two"),
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn echo_request(dst: Ipv6Addr, identifier: u16, sequence: u16) -> Vec<u8> {
    let [identifier, sequence] = [identifier, sequence].map(u16::to_be_bytes);
    let head = [ECHO_REQUEST, 0, 0, 0];
    let mut body = [&head[..], &identifier, &sequence, &[0x55; ECHO_OCTETS]].concat();
    let len = body.len() as u16;
    let addrs = [OUTSIDER.octets(), dst.octets()].concat();
    let sum =
        checksum(&[&addrs[..], &[0, 0], &len.to_be_bytes(), &[0, 0, 0, ICMPV6], &body].concat());
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    let head = [&[0x60, 0, 0, 0][..], &len.to_be_bytes(), &[ICMPV6, 64]].concat();
    [head, addrs, body].concat()
}

/// Identifier and sequence number, whether or not the RPL option stands before them.
fn echo_reply(packet: &[u8]) -> Option<(u16, u16)> {
    let at = match packet.get(6)? {
        0 => IPV6_OCTETS + 8,
        _ => IPV6_OCTETS,
    };
    match *packet.get(at..at + 8)? {
        [ECHO_REPLY, _, _, _, a, b, c, d] => {
            Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
        }
        _ => None,
    }
}

/// Everybody has a route.
fn commissioned(building_seed: u64, seed: u64, apart: Duration) -> World {
    let options = Options {
        seed: building_seed,
        nodes: Some(DEVICES),
        loss: 0.0,
        building: None,
        inventory: None,
        report: PathBuf::from("unused"),
        pcap: None,
        keys: None,
        json: None,
    };
    let site = site(&options).expect("a building of 20");
    let (building, inventory) = (site.building, site.inventory);
    let groups = building.groups.clone();
    let store = Box::<MemoryStore>::default();
    let mut world = World::new(WorldConfig::new(seed), building, &inventory, Vec::new(), store);
    for group in groups {
        let request = Request::CreateGroup { id: GroupId(group.id), name: group.name };
        world.ask(request, PATIENCE).expect("a reply");
    }
    world.ask(Request::Import(inventory), PATIENCE).expect("a reply");
    let until = Instant::from_secs(3600);
    world.ask(Request::OpenWindow { until }, PATIENCE).expect("a reply");
    world.power_on(ROUTER);
    world.run_for(Duration::from_secs(2));
    for device in world.honest().skip(1) {
        world.power_on(device);
        world.run_for(apart);
    }
    let routed = |world: &World| {
        let router = world.station(ROUTER).node().expect("it has power");
        router.net().routes().count() == DEVICES
    };
    assert!(world.run_until(JOIN_PATIENCE, routed), "seed {seed}");
    world
}

/// Asks each device twice; tells of each question that got no answer.
fn unanswered(building_seed: u64, seed: u64, apart: Duration) -> Vec<String> {
    let mut world = commissioned(building_seed, seed, apart);
    let mut unanswered = Vec::new();
    for device in world.honest().skip(1) {
        let node = world.station(device).node().expect("it has power");
        let addr = node.net().global_addr().expect("it has a route");
        for sequence in 1..=2 {
            let (sent_at, asked) = (world.now(), (device.0 as u16, sequence));
            world.from_building(echo_request(addr, asked.0, asked.1));
            let mut answered = false;
            while !answered && world.now() < sent_at + ANSWER_PATIENCE {
                world.run_for(Duration::from_millis(10));
                let packets = world.take_for_outsiders();
                answered = packets.iter().any(|packet| echo_reply(packet) == Some(asked));
            }
            if !answered {
                unanswered.push(format!(
                    "building {building_seed}, seed {seed}, {apart:?} apart: {device:?}, asked at {sent_at}"
                ));
            }
            world.run_to(sent_at + PING_INTERVAL);
        }
    }
    unanswered
}

#[test]
fn who_has_a_route_answers() {
    for apart in [0, 300].map(Duration::from_millis) {
        for seed in SEEDS {
            for building_seed in [BUILDING, seed] {
                let lost = unanswered(building_seed, seed, apart);
                assert!(lost.is_empty(), "{}", lost.join("\n"));
            }
        }
    }
}
