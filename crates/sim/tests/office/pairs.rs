//! Purpose: two devices have a session with a key that no third has, and the manager has no part in it.
//! Topology: a border router, two lights, a switch and a third light, in a row, all with shares of one polynomial.
//! Pass: what each test says; and no checker finds anything.

use crate::world::*;
use lowgate_coap::{Code, ContentFormat, Method, Path, Request as CoapRequest};
use lowgate_dtls::{AlertDescription, CloseReason};
use lowgate_manager::{Kind, ManagerEvent, Reply, Request};
use lowgate_node::{Event, PairEvent, PairRefused};
use lowgate_sim::building::Building;
use lowgate_sim::crowd::{all_in, at_once};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{What, World, WorldConfig};
use lowgate_units::{Duration, Instant};
use std::collections::BTreeSet;

const NEAR: StationId = StationId(1);
const FAR: StationId = StationId(2);
const SWITCH: StationId = StationId(3);
const OTHER: StationId = StationId(4);
const KINDS: [Kind; 4] = [Kind::Light, Kind::Light, Kind::Switch, Kind::Light];
/// Longer than the share of the polynomial before serves.
const LONG: Duration = Duration::from_secs(700);

fn paired(seed: u64, loss: f64) -> World {
    let mut config = WorldConfig { pairs: true, ..WorldConfig::new(seed) };
    config.medium.loss = loss;
    let mut world = row_of(config, &KINDS);
    expect_shares(&mut world, &[NEAR, FAR, SWITCH, OTHER], 1);
    world
}

/// All of them store their shares of the polynomial of that generation.
fn expect_shares(world: &mut World, stations: &[StationId], generation: u8) {
    let mut missing = stations.to_vec();
    for _ in 0..240 {
        for event in events(world) {
            if let (station, PairEvent::ShareStored(name)) = event
                && name.generation == generation
            {
                missing.retain(|it| *it != station);
            }
        }
        if missing.is_empty() {
            return;
        }
        world.run_for(Duration::from_secs(1));
    }
    panic!("no share of generation {generation}: {missing:?}");
}

fn events(world: &mut World) -> Vec<(StationId, PairEvent)> {
    let happened = world.take_happenings().into_iter();
    let of_pairs = happened.filter_map(|it| match it.what {
        What::Node(station, Event::Pair(event)) => Some((station, event)),
        _ => None,
    });
    of_pairs.collect()
}

fn put(value: &str) -> CoapRequest {
    CoapRequest::new(Method::Put, Path::new("light").expect("a path"))
        .with_payload(ContentFormat::TEXT, value.into())
}

fn get() -> CoapRequest {
    CoapRequest::new(Method::Get, Path::new("light").expect("a path"))
}

/// What becomes of a request, after how long, and what was said meanwhile.
type Asked = (Result<(Code, Vec<u8>), PairRefused>, Duration, Vec<(StationId, PairEvent)>);

/// A device asks another.
fn asked(world: &mut World, (from, to): (StationId, StationId), request: CoapRequest) -> Asked {
    events(world);
    let since = world.now();
    world.ask_device(from, to, request);
    outcome(world, from, since)
}

/// The same of a neighbour, without a router between them.
fn asked_beside(
    world: &mut World,
    (from, to): (StationId, StationId),
    request: CoapRequest,
) -> Asked {
    events(world);
    let since = world.now();
    world.ask_neighbour(from, to, request);
    outcome(world, from, since)
}

fn outcome(world: &mut World, from: StationId, since: Instant) -> Asked {
    let mut said = Vec::new();
    for _ in 0..2000 {
        said.extend(events(world));
        let outcome = said.iter().find_map(|(station, event)| match event {
            PairEvent::Answered { code, payload, .. } if *station == from => {
                Some(Ok((*code, payload.clone())))
            }
            PairEvent::Unanswered { why, .. } if *station == from => Some(Err(*why)),
            _ => None,
        });
        if let Some(outcome) = outcome {
            return (outcome, world.now() - since, said);
        }
        world.run_for(Duration::from_millis(50));
    }
    panic!("neither an answer nor a refusal: {said:?}");
}

fn lamp(world: &World, station: StationId) -> bool {
    world.station(station).node().expect("it is on").lamp_on()
}

fn must(world: &mut World, request: Request) {
    assert_eq!(ask(world, request), Some(Reply::Done));
}

fn changed() -> Result<(Code, Vec<u8>), PairRefused> {
    Ok((Code::CHANGED, vec![]))
}

fn refused() -> PairRefused {
    PairRefused::Handshake(CloseReason::PeerAlert(AlertDescription::HANDSHAKE_FAILURE))
}

/// Pass: one light obeys and no other; the next request goes on in the session; the manager is off all the time.
#[test]
fn a_switch_sets_one_light() {
    let mut world = paired(21, 0.0);
    world.manager_off();
    let (outcome, first, said) = asked(&mut world, (SWITCH, FAR), put("1"));
    assert_eq!(outcome, changed());
    assert_eq!([NEAR, FAR, OTHER].map(|light| lamp(&world, light)), [false, true, false]);
    let opened = |(station, event): &(StationId, PairEvent)| match event {
        PairEvent::Opened { peer, .. } => Some((*station, *peer)),
        _ => None,
    };
    let mut opened: Vec<_> = said.iter().filter_map(opened).collect();
    opened.sort_unstable();
    assert_eq!(opened, [(FAR, eui64(3)), (SWITCH, eui64(2))], "each knows the other");
    let (outcome, next, said) = asked(&mut world, (SWITCH, FAR), get());
    assert_eq!(outcome, Ok((Code::CONTENT, b"1".to_vec())));
    assert!(!said.iter().any(|(_, event)| matches!(event, PairEvent::Opened { .. })));
    println!("the first request {first:?}, the next {next:?}");
    assert!(first < Duration::from_secs(3) && next < Duration::from_secs(1), "{first:?} {next:?}");
    assert_eq!(world.findings(), []);
}

/// Pass: neighbours go on though neither a manager nor a border router is there.
#[test]
fn neighbours_need_nobody() {
    let mut world = paired(31, 0.0);
    world.manager_off();
    world.power_off(StationId(0));
    assert_eq!(asked_beside(&mut world, (SWITCH, FAR), put("1")).0, changed());
    assert!(lamp(&world, FAR));
    assert_eq!(world.findings(), []);
}

/// Pass: both at once call each other, and a third; the sessions are bounded, and whoever is idle makes room.
#[test]
fn a_few_at_a_time() {
    let mut world = paired(22, 0.0);
    world.manager_off();
    for (from, to) in [(NEAR, FAR), (FAR, NEAR), (NEAR, OTHER), (SWITCH, NEAR), (FAR, OTHER)] {
        assert_eq!(asked(&mut world, (from, to), put("1")).0, changed(), "{from:?} {to:?}");
    }
    // A third session of its own: the one used least recently is closed.
    world.ask_device(NEAR, FAR, get());
    world.run_for(Duration::from_secs(2));
    let (outcome, _, _) = asked(&mut world, (NEAR, NEAR), get());
    assert_eq!(outcome, Err(PairRefused::NoKey), "with itself");
    assert_eq!(world.findings(), []);
}

/// Pass: every request is answered though a fifth of the frames are lost.
#[test]
fn also_where_frames_are_lost() {
    for seed in 23..26 {
        let mut world = paired(seed, 0.2);
        world.manager_off();
        for (from, to) in [(SWITCH, FAR), (OTHER, NEAR), (SWITCH, FAR)] {
            let (outcome, took, _) = asked(&mut world, (from, to), put("1"));
            println!("seed {seed}: {from:?} to {to:?} {took:?}");
            assert_eq!(outcome, changed(), "seed {seed}");
        }
        assert_eq!(world.findings(), [], "seed {seed}");
    }
}

/// Pass: shares outlive a loss of power, without the manager; one in the middle of a new share does no harm.
#[test]
fn shares_outlive_a_loss_of_power() {
    let mut world = paired(27, 0.0);
    must(&mut world, Request::RekeyPairs);
    world.run_for(Duration::from_millis(2500));
    world.manager_off();
    for station in [FAR, SWITCH] {
        world.power_off(station);
        world.power_on(station);
    }
    world.run_for(Duration::from_secs(20));
    assert_eq!(asked(&mut world, (SWITCH, FAR), put("1")).0, changed());
    assert_eq!(world.findings(), []);
}

/// Pass: who missed the next polynomial is served under the one before for a while, then refused until it has the
/// next.
#[test]
fn the_generation_before_serves_for_a_while() {
    let mut world = paired(28, 0.0);
    world.power_off(FAR);
    must(&mut world, Request::RekeyPairs);
    expect_shares(&mut world, &[NEAR, SWITCH, OTHER], 2);
    world.manager_off();
    world.power_on(FAR);
    world.run_for(Duration::from_secs(30));
    let (outcome, _, said) = asked(&mut world, (SWITCH, FAR), put("1"));
    assert_eq!(outcome, changed());
    let generation = said.iter().find_map(|(station, event)| match event {
        PairEvent::Opened { name, .. } if *station == SWITCH => Some(name.generation),
        _ => None,
    });
    assert_eq!(generation, Some(1));
    assert_eq!(asked(&mut world, (FAR, SWITCH), get()).0, Ok((Code::NOT_FOUND, vec![])));
    world.run_for(LONG);
    assert_eq!(asked(&mut world, (SWITCH, FAR), put("0")).0, Err(refused()));
    assert_eq!(asked(&mut world, (FAR, SWITCH), get()).0, Err(refused()));
    assert!(lamp(&world, FAR));
    world.manager_on();
    expect_shares(&mut world, &[FAR], 2);
    assert_eq!(asked(&mut world, (SWITCH, FAR), put("0")).0, changed());
    assert_eq!(world.findings(), []);
}

/// Somebody who cannot be reached holds up the change of the link key, so that whoever is expelled is still heard.
/// Pass: its sessions end, nobody answers it and nobody calls it, long before the link layer shuts it out.
#[test]
fn who_is_expelled_has_no_keys_with_others() {
    let mut world = paired(29, 0.0);
    for (from, to) in [(SWITCH, FAR), (NEAR, SWITCH)] {
        assert!(asked_beside(&mut world, (from, to), get()).0.is_ok());
    }
    world.power_off(OTHER);
    must(&mut world, Request::Revoke { eui64: eui64(3) });
    let expelled_at = world.now();
    let mut shut: Vec<(StationId, Instant)> = Vec::new();
    let mut closed = Vec::new();
    for _ in 0..40 {
        world.run_for(Duration::from_secs(1));
        for (station, event) in events(&mut world) {
            match event {
                PairEvent::LostKnown(1) => shut.push((station, world.now())),
                PairEvent::Closed { peer, .. } => closed.push((station, peer)),
                _ => {}
            }
        }
    }
    println!("known after {:?}", shut.iter().map(|it| it.1 - expelled_at).collect::<Vec<_>>());
    assert!([NEAR, FAR].iter().all(|light| shut.iter().any(|(it, _)| it == light)), "{shut:?}");
    assert!([NEAR, FAR].iter().all(|light| closed.contains(&(*light, eui64(3)))), "{closed:?}");
    for light in [NEAR, FAR] {
        assert_eq!(asked_beside(&mut world, (SWITCH, light), put("1")).0, Err(refused()));
        assert_eq!(asked_beside(&mut world, (light, SWITCH), get()).0, Err(PairRefused::NoKey));
    }
    assert!(!lamp(&world, FAR));
    assert_eq!(asked(&mut world, (NEAR, FAR), put("1")).0, changed(), "the others go on");
    assert_eq!(world.findings(), []);
}

/// Forty devices in a building, frames lost, three of them without power now and then, the manager too, and two
/// revocations of which the second begins another polynomial.
/// Pass: in the end everybody who stays has a share of the last one, and pairs of them have sessions.
#[test]
fn a_building_with_troubles() {
    for seed in [41, 42] {
        let mut config = WorldConfig { pairs: true, pair_degree: 8, ..WorldConfig::new(seed) };
        config.medium.loss = 0.1;
        let generated = Building::generate(40, seed).expect("there is a building for so many");
        let mut world = at_once(config, generated, Duration::from_secs(180));
        assert!(all_in(&world), "seed {seed}");
        let stations: Vec<StationId> = world.honest().skip(world.routers().count()).collect();
        let (gone, stay) = stations.split_at(2);
        let mut begun = BTreeSet::new();
        for (turn, station) in stay.iter().take(9).enumerate() {
            if let Some(expelled) = gone.get(turn / 3).filter(|_| turn % 3 == 1) {
                let eui64 = world.station(*expelled).eui64();
                must(&mut world, Request::Revoke { eui64 });
            }
            if turn == 3 {
                world.manager_off();
            }
            world.power_off(*station);
            for (from, to) in stay.iter().zip(&stay[turn + 1..]).take(6) {
                world.ask_device(*from, *to, get());
                world.run_for(Duration::from_secs(2));
            }
            world.manager_on();
            world.power_on(*station);
            begun.extend(stored(&mut world));
        }
        for _ in 0..600 {
            world.run_for(Duration::from_secs(1));
            begun.extend(stored(&mut world));
            if stay.iter().all(|station| begun.contains(&(*station, 2))) {
                break;
            }
        }
        let without: Vec<_> = stay.iter().filter(|it| !begun.contains(&(**it, 2))).collect();
        assert!(without.is_empty(), "seed {seed}: {without:?}");
        println!("seed {seed}: all have shares of the second at {}", world.now());
        let (mut answered, pairs) = (0, stay.iter().zip(&stay[1..]).step_by(4));
        for (from, to) in pairs.clone() {
            answered += usize::from(asked(&mut world, (*from, *to), get()).0.is_ok());
        }
        assert_eq!(answered, pairs.count(), "seed {seed}");
        assert_eq!(world.findings(), [], "seed {seed}");
    }
}

/// Who stored a share of which generation since the last look.
fn stored(world: &mut World) -> Vec<(StationId, u8)> {
    let stored = events(world).into_iter().filter_map(|(station, event)| match event {
        PairEvent::ShareStored(name) => Some((station, name.generation)),
        _ => None,
    });
    stored.collect()
}

/// Pass: the manager sees who has its share, and begins another polynomial when a quarter of its degree is lost.
#[test]
fn the_manager_counts() {
    let config = WorldConfig { pairs: true, pair_degree: 8, ..WorldConfig::new(30) };
    let mut world = row_of(config, &KINDS);
    expect_shares(&mut world, &[NEAR, FAR, SWITCH, OTHER], 1);
    let status = |world: &mut World| match ask(world, Request::KeyStatus) {
        Some(Reply::Keys(status)) => status.pairs.expect("there is a polynomial"),
        other => panic!("{other:?}"),
    };
    let now = status(&mut world);
    assert_eq!((now.name.generation, now.degree, now.holders), (1, 8, 4));
    assert_eq!((now.lost, now.lost_max), (0, 2));
    for (n, lost, generation) in [(4, 1, 1), (3, 0, 2)] {
        must(&mut world, Request::Revoke { eui64: eui64(n) });
        let now = status(&mut world);
        assert_eq!((now.lost, now.name.generation), (lost, generation));
        world.run_for(Duration::from_secs(90));
    }
    expect_begun(&mut world, 2);
    assert_eq!(status(&mut world).holders, 2);
    assert_eq!(asked(&mut world, (NEAR, FAR), put("1")).0, changed());
    assert_eq!(world.findings(), []);
}

fn expect_begun(world: &mut World, generation: u8) {
    let happened = world.take_happenings();
    let begun = |what: &What| matches!(what, What::Manager(ManagerEvent::PairsStarted { name }) if name.generation == generation);
    assert!(happened.iter().any(|it| begun(&it.what)));
}
