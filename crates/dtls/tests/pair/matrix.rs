//! Purpose: a path that spoils one flight, in each way, for each flight of each handshake.
//! Topology: one client, one server. RFC 6347 sections 4.1.2.7, 4.2.3 and 4.2.4, RFC 7627.
//! Criteria: both ends finish or fail for a reason in bounded time, and neither has half a handshake left;
//! what is established has the same keys on both ends, and delivers what was sent, once, or nothing; what is
//! only late, lost, doubled or cut off never keeps anybody out.
//! `cargo xtask soak dtls` makes ten thousand runs. LOWGATE_SEED=N makes run N alone.

use crate::soak::{only_seed, rounds};
use crate::world::*;
use lowgate_dtls::{CipherSuite, ClientConfig, CloseReason, FragmentLen, SavedSession, SessionId};
use lowgate_units::Prng;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Full,
    /// The server's last flight has a ticket in it.
    FullWithTicket,
    BySessionId,
    ByTicket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    FirstHello,
    VerifyRequest,
    SecondHello,
    /// ServerHello and what comes with it.
    Answer,
    /// The client's Finished and what comes before it.
    ClientLast,
    /// In a full handshake: the server's Finished.
    ServerLast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Loss,
    Duplication,
    Disorder,
    Truncation,
    BitFlips,
}

const COURSES: [Course; 4] =
    [Course::Full, Course::FullWithTicket, Course::BySessionId, Course::ByTicket];
const FLIGHTS: [Flight; 6] = [
    Flight::FirstHello,
    Flight::VerifyRequest,
    Flight::SecondHello,
    Flight::Answer,
    Flight::ClientLast,
    Flight::ServerLast,
];
const FAULTS: [Fault; 5] =
    [Fault::Loss, Fault::Duplication, Fault::Disorder, Fault::Truncation, Fault::BitFlips];

/// Datagrams that a run spoils at most.
const SPOILT_MAX: u64 = 5;
/// Payloads that each end sends.
const PAYLOADS: u8 = 12;

#[derive(Clone, Copy, Debug)]
struct Run {
    number: u64,
    course: Course,
    flight: Flight,
    fault: Fault,
    suite: CipherSuite,
}

impl Course {
    const fn resumes(self) -> bool {
        matches!(self, Self::BySessionId | Self::ByTicket)
    }
}

/// Each course with each of its flights and each fault.
fn cells() -> Vec<(Course, Flight, Fault)> {
    let mut cells = Vec::new();
    for course in COURSES {
        for flight in FLIGHTS {
            // Who resumes has no sixth flight.
            if course.resumes() && flight == Flight::ServerLast {
                continue;
            }
            cells.extend(FAULTS.map(|fault| (course, flight, fault)));
        }
    }
    cells
}

/// Which flight a datagram belongs to, fragments included.
fn flight_of(course: Course, towards: Towards, octets: &[u8]) -> Flight {
    let first = &records(octets, 4)[0];
    let plain_message = first.0 == 22 && first.1 == 0;
    match (towards, plain_message.then(|| octets[13])) {
        (Towards::Server, Some(1)) if octets[18] == 0 => Flight::FirstHello,
        (Towards::Server, Some(1)) => Flight::SecondHello,
        (Towards::Server, _) => Flight::ClientLast,
        (Towards::Client, Some(3)) => Flight::VerifyRequest,
        (Towards::Client, Some(2 | 11..=14)) => Flight::Answer,
        (Towards::Client, _) if course.resumes() => Flight::Answer,
        (Towards::Client, _) => Flight::ServerLast,
    }
}

fn spoil(fault: Fault, prng: &mut Prng, octets: &[u8]) -> Vec<(lowgate_units::Duration, Vec<u8>)> {
    let usual = millis(20);
    match fault {
        Fault::Loss => Vec::new(),
        Fault::Duplication => {
            (0..2 + prng.below(3)).map(|_| (millis(1 + prng.below(300)), octets.to_vec())).collect()
        }
        Fault::Disorder => records(octets, 4)
            .into_iter()
            .map(|(_, _, _, record)| (millis(1 + prng.below(400)), record))
            .collect(),
        Fault::Truncation => {
            vec![(usual, octets[..prng.below(octets.len() as u64) as usize].to_vec())]
        }
        Fault::BitFlips => {
            let mut flipped = octets.to_vec();
            for _ in 0..=prng.below(3) {
                flipped[prng.below(octets.len() as u64) as usize] ^= 1 << prng.below(8);
            }
            if flipped == octets {
                flipped[octets.len() - 1] ^= 1;
            }
            vec![(usual, flipped)]
        }
    }
}

/// Spoils the first datagrams of the flight; `hits` counts them.
fn spoiler(run: Run, hits: Rc<Cell<u64>>) -> Tap {
    let mut prng = Prng::new(run.number).fork(3);
    let most = 1 + prng.below(SPOILT_MAX);
    Box::new(move |towards, octets| {
        if hits.get() == most || flight_of(run.course, towards, octets) != run.flight {
            return None;
        }
        hits.set(hits.get() + 1);
        Some(spoil(run.fault, &mut prng, octets))
    })
}

#[cfg(feature = "ecc")]
fn base(suite: CipherSuite) -> ClientConfig<'static> {
    crate::curve::by(suite, b"d1")
}

#[cfg(not(feature = "ecc"))]
fn base(_: CipherSuite) -> ClientConfig<'static> {
    config(b"d1")
}

/// What is agreed on varies with the run.
fn client_config(run: Run, resume: Option<SavedSession>) -> ClientConfig<'static> {
    let n = run.number;
    ClientConfig {
        resume,
        session_ticket: matches!(run.course, Course::FullWithTicket | Course::ByTicket),
        connection_id: n.is_multiple_of(2),
        heartbeat: n.is_multiple_of(3),
        fragment_len: (n.is_multiple_of(5)).then_some(FragmentLen::Octets512),
        server_name: (n.is_multiple_of(7)).then_some("manager.example"),
        group_request: (n % 4 < 2).then_some(REQUEST),
        datagram_len_max: if n.is_multiple_of(6) { 96 + (n % 97) as usize } else { 1024 },
        ..base(run.suite)
    }
}

/// A client that is about to say its first hello; its earlier session lies behind it, if it resumes one.
fn world_of(run: Run) -> World {
    let mut world = World::with(run.number, |config| {
        config.resumable_max = if run.course == Course::BySessionId { 4 } else { 0 };
        config.tickets = matches!(run.course, Course::FullWithTicket | Course::ByTicket);
        (config.exporters, config.heartbeat) = (true, true);
        config.datagram_len_max = if run.number.is_multiple_of(9) { 96 } else { 1024 };
        config.server_name = Some("manager.example".into());
        #[cfg(feature = "ecc")]
        crate::curve::all(config);
    });
    world.add(peer(1), client_config(run, None));
    if run.course.resumes() {
        world.start(0);
        world.run_for(secs(2));
        world.expect_joined();
        let saved = world.nodes[0].client.saved_session().cloned();
        assert!(saved.is_some(), "it can be resumed");
        world.nodes.clear();
        world.said = ServerSaid::default();
        world.add(peer(1), client_config(run, saved));
    }
    world
}

/// How a run ended; `None`: with a session.
fn end_of(run: Run) -> (Option<CloseReason>, u64) {
    let mut world = world_of(run);
    let hits = Rc::new(Cell::new(0));
    world.tap = Some(spoiler(run, hits.clone()));
    let start = world.now;
    world.start(0);
    world.run_for(secs(130));
    assert_eq!(world.server.half_open_count(), 0, "half a handshake is left");
    let ended = world.said.established.len() + world.said.failed.len();
    assert!(world.said.started <= ended, "{} began, {ended} ended", world.said.started);
    if let Some((at, reason)) = world.nodes[0].closed {
        assert!(at - start <= secs(60) && world.nodes[0].established.is_empty());
        return (Some(reason), hits.get());
    }
    assert_eq!(world.nodes[0].established.len(), 1, "neither in nor out");
    let session = world.said.established.last().expect("a session on the other end").session;
    expect_same_keys(&world, session);
    expect_payloads(&mut world, run, session);
    (None, hits.get())
}

fn expect_same_keys(world: &World, session: SessionId) {
    let [mut ours, mut theirs] = [[0; 32]; 2];
    world.nodes[0].client.export(b"EXPORTER-matrix", None, &mut ours).expect("a session");
    world.server.export(session, b"EXPORTER-matrix", None, &mut theirs).expect("a session");
    assert_eq!(ours, theirs, "exporters");
    assert_ne!(ours, [0; 32]);
    assert!(world.nodes[0].key_log.last() == world.said.key_log.last(), "master secrets");
}

/// The same fault hits every second payload or so.
fn expect_payloads(world: &mut World, run: Run, session: SessionId) {
    let mut prng = Prng::new(run.number).fork(4);
    let spoilt: Rc<Cell<[usize; 2]>> = Rc::default();
    let counted = spoilt.clone();
    world.tap = Some(Box::new(move |towards, octets| {
        (prng.below(2) == 0).then(|| {
            let mut counts = counted.get();
            counts[usize::from(towards == Towards::Client)] += 1;
            counted.set(counts);
            spoil(run.fault, &mut prng, octets)
        })
    }));
    let payload = |n: u8| vec![n; 1 + usize::from(n) % 30];
    let (from_up, from_down) = (world.said.received.len(), world.nodes[0].received.len());
    assert_eq!((from_up, from_down), (0, 0), "nothing was sent before");
    for n in 0..PAYLOADS {
        world.client_sends(0, DATA, &payload(n));
        world.server_sends(session, DATA, &payload(n | 0x80));
        world.run_for(millis(30));
    }
    world.run_for(secs(1));
    let up = world.said.received.iter().map(|(from, kind, octets)| {
        assert_eq!((*from, *kind), (session, DATA));
        octets.clone()
    });
    let down = world.nodes[0].received.iter().map(|(_, octets)| octets.clone());
    let harmless = matches!(run.fault, Fault::Duplication | Fault::Disorder);
    for (i, got) in [up.collect::<Vec<_>>(), down.collect()].into_iter().enumerate() {
        let sent: Vec<_> = (0..PAYLOADS).map(|n| payload(n | (0x80 * i as u8))).collect();
        assert!(got.iter().all(|octets| sent.contains(octets)), "altered: {got:?}");
        let mut once = got.clone();
        once.sort();
        once.dedup();
        let missing = if harmless { 0 } else { spoilt.get()[i] };
        assert_eq!(once.len(), got.len(), "delivered twice");
        assert_eq!(got.len(), sent.len() - missing, "delivered");
    }
    // The path is good again.
    world.tap = None;
    world.client_sends(0, DATA, b"up");
    world.server_sends(session, DATA, b"down");
    world.run_for(millis(50));
    let up = world.said.received.last().map(|(_, _, octets)| &octets[..]);
    let down = world.nodes[0].received.last().map(|(_, octets)| &octets[..]);
    assert_eq!((up, down), (Some(&b"up"[..]), Some(&b"down"[..])));
}

/// The runs of these numbers, each in the cell that its number says.
fn matrix(cells: &[(CipherSuite, Course, Flight, Fault)], few: u64) {
    let (mut ends, mut hit) = (BTreeMap::new(), 0);
    let runs = rounds(few);
    let numbers = only_seed().map_or(0..runs, |seed| seed..seed + 1);
    for number in numbers.clone() {
        let (suite, course, flight, fault) = cells[(number % cells.len() as u64) as usize];
        let run = Run { number, course, flight, fault, suite };
        let outcome = std::panic::catch_unwind(|| end_of(run));
        let Ok((end, hits)) = outcome else { panic!("LOWGATE_SEED={number}: {run:?}") };
        hit += u64::from(hits > 0);
        let may_fail = fault == Fault::BitFlips;
        assert!(end.is_none() || may_fail, "LOWGATE_SEED={number}: {run:?} ended: {end:?}");
        *ends.entry((fault, end)).or_insert(0u64) += 1;
    }
    println!("{hit} of {runs} runs met their flight; ends: {ends:?}");
    let total = numbers.end - numbers.start;
    assert_eq!(hit, total, "a run whose flight was never seen shows nothing");
    let flips: u64 =
        ends.iter().filter(|((fault, _), _)| *fault == Fault::BitFlips).map(|e| e.1).sum();
    let in_all_the_same = ends.get(&(Fault::BitFlips, None)).copied().unwrap_or_default();
    assert!(in_all_the_same * 100 >= flips * 95, "{in_all_the_same} of {flips} joined");
}

#[test]
fn matrix_of_flights_and_faults() {
    let all = cells().into_iter();
    matrix(
        &all.map(|(course, flight, fault)| (CipherSuite::Psk, course, flight, fault))
            .collect::<Vec<_>>(),
        1100,
    );
}

/// The same on P-256, with pre-shared keys and with raw public keys: longer flights, that are cut into more
/// datagrams.
#[cfg(feature = "ecc")]
#[test]
fn matrix_on_p256() {
    let suites = [CipherSuite::EcdhePsk, CipherSuite::EcdheEcdsa];
    let cells: Vec<_> = cells()
        .into_iter()
        .flat_map(|(course, flight, fault)| suites.map(|suite| (suite, course, flight, fault)))
        .collect();
    matrix(&cells, 880);
}
