//! Joins of a real line of devices, as they were, and with frames repeated or taken away.

use super::*;
use lowgate_manager::{
    DevicePsk, DeviceRecord, GroupId, Identity, Kind, MemoryStore, Request, Role,
};
use lowgate_sim::building::{Building, Device};
use lowgate_sim::capture;
use lowgate_sim::survey::Join;
use lowgate_sim::world::{World, WorldConfig};
use lowgate_units::Duration;
use proptest::prelude::*;
use std::sync::LazyLock;

/// Devices of the line behind the border router.
const DEVICES: u8 = 3;

fn eui64(n: u8) -> Eui64 {
    Eui64([0x02, 0x12, 0x4b, 0, 0, 0, 0, n])
}

fn record(n: u8) -> DeviceRecord {
    let kind = if n == 0 { Kind::BorderRouter } else { Kind::Light };
    DeviceRecord {
        eui64: eui64(n),
        identity: Identity::from(eui64(n)),
        psk: DevicePsk::new(&[n.wrapping_mul(37); 16]).expect("16 octets"),
        kind,
        name: format!("device {n}"),
        room: String::new(),
        groups: (n > 0).then_some((GroupId(1), Role::Listener)).into_iter().collect(),
    }
}

fn place(n: u8) -> Device {
    Device { eui64: eui64(n), level: 0, x: f64::from(n) * 18.0, y: 0.0 }
}

/// What a line of devices sent, and its joins.
struct Line {
    recording: Recording,
    joins: Vec<Join>,
}

impl Line {
    fn new() -> Self {
        let mut building = Building::generate(1, 1).expect("one device").building;
        building.floors.clear();
        building.propagation.shadowing_db = 0.0;
        building.border_routers = vec![place(0)];
        building.devices = (1..=DEVICES).map(place).collect();
        let inventory: Vec<_> = (0..=DEVICES).map(record).collect();
        let config = WorldConfig { capture: true, ..WorldConfig::new(7) };
        let store = Box::<MemoryStore>::default();
        let mut world = World::new(config, building, &inventory, vec![], store);
        let patience = Duration::from_secs(5);
        world.ask(Request::CreateGroup { id: GroupId(1), name: "lights".into() }, patience);
        world.ask(Request::Import(inventory), patience);
        world.ask(Request::OpenWindow { until: Instant::from_secs(3000) }, patience);
        for station in world.honest() {
            world.power_on(station);
            world.run_for(Duration::from_secs(5));
        }
        let recording = capture::read(&world.capture().emit("")).expect("our own");
        Self { recording, joins: world.survey().joins().to_vec() }
    }

    fn trace(&self, n: u8) -> Vec<Message> {
        let join = &self.joins[usize::from(n)];
        let (from, until) = (join.started.expect("on"), join.attached.expect("attached"));
        trace(&self.recording, eui64(n), from, until, join.hops.expect("attached"))
    }
}

const NAMES: [&str; 9] = [
    "beacon request",
    "beacon",
    "ClientHello",
    "HelloVerifyRequest",
    "ClientHello with cookie",
    "ServerHello, ServerHelloDone",
    "ClientKeyExchange, ChangeCipherSpec, Finished",
    "ChangeCipherSpec, Finished, key data (type 30)",
    "acknowledgement (protected)",
];

fn names(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.name.as_str()).collect()
}

/// Where the frames between a device and its relay are in the recording, from power to attachment.
fn data_frames(line: &Line, n: u8) -> Vec<usize> {
    let join = &line.joins[usize::from(n)];
    let during = join.started.expect("on")..=join.attached.expect("attached");
    let us = LinkAddr::Extended(eui64(n));
    let ours = |index: &usize| {
        let packet = &line.recording.packets[*index];
        let psdu = AirFrame::parse(&packet.octets).map(|air| air.psdu);
        let Ok(Ok(Frame::Addressed(frame))) = psdu.map(Frame::parse) else { return false };
        matches!(frame.format, Format::Unsecured(_))
            && matches!(frame.content, Content::Data { .. })
            && (frame.src() == Some(us)
                || frame.dst().is_some_and(|(_, dst)| dst == LinkDst::Unicast(us)))
            && during.contains(&packet.at)
    };
    (0..line.recording.packets.len()).filter(ours).collect()
}

/// Sends a recorded frame again, so much later, numbered `step` on.
fn repeat(line: &mut Line, index: usize, after: Duration, step: u8) {
    let mut packet = line.recording.packets[index].clone();
    packet.at += after;
    let psdu = AirFrame::parse(&packet.octets).expect("a frame").psdu.len();
    // Behind the frame control field.
    let sequence = packet.octets.len() - psdu + 2;
    packet.octets[sequence] = packet.octets[sequence].wrapping_add(step);
    let later = line.recording.packets.iter().position(|other| other.at > packet.at);
    line.recording.packets.insert(later.expect("the join goes on"), packet);
}

#[test]
fn a_join_without_loss_has_nine_messages() {
    let line = Line::new();
    for n in 1..=DEVICES {
        let messages = line.trace(n);
        assert_eq!(names(&messages), NAMES);
        let upward = [0, 2, 4, 6, 8];
        for (index, message) in messages.iter().enumerate() {
            let manager = if index < 2 { RELAY } else { MANAGER };
            let ends = if upward.contains(&index) { (JOINER, manager) } else { (manager, JOINER) };
            assert_eq!((message.from, message.to), ends, "{message:?}");
            assert!(index < 2 || message.note.is_empty(), "{message:?}");
        }
        let hops = line.joins[usize::from(n)].hops.expect("attached");
        assert!(messages[2..].iter().all(|message| message.hops == u32::from(hops)));
        assert!(messages.is_sorted_by_key(|message| message.at_us));
    }
}

#[test]
fn the_octets_are_those_of_the_frames() {
    let line = Line::new();
    for n in 1..=DEVICES {
        let (messages, join) = (line.trace(n), &line.joins[usize::from(n)]);
        let datagrams = &messages[2..];
        let total: u32 = datagrams.iter().map(|message| message.octets.total()).sum();
        assert_eq!(u64::from(total), join.octets);
        assert_eq!(datagrams.len() as u32, join.messages);
        let frames: u32 = datagrams.iter().map(|message| message.frames).sum();
        assert_eq!(frames as usize, data_frames(&line, n).len());
        // An array of two byte strings, the first of 20 octets, the second of up to 255.
        let relay = if join.hops > Some(1) { 1 + 1 + 20 + 2 } else { 0 };
        assert!(datagrams.iter().all(|message| message.octets.relay == relay));
    }
}

#[test]
fn where_the_octets_of_a_hello_go() {
    let messages = Line::new().trace(DEVICES);
    let verify = &messages[3].octets;
    // Control, number, PAN, two extended addresses, FCS; dispatch and IPHC; ports and checksum.
    assert_eq!((verify.ieee802154, verify.sixlowpan, verify.udp), (2 + 1 + 2 + 16 + 2, 2, 4));
    assert_eq!((verify.dtls, verify.payload), (13 + 12, 19));
    let hello = &messages[2].octets;
    assert_eq!((hello.ieee802154, hello.sixlowpan, hello.udp), (23, 2, 4), "in one frame");
    let hello = &messages[4].octets;
    // With its cookie in two, with a first and a later fragmentation header.
    assert_eq!((hello.ieee802154, hello.sixlowpan, hello.udp), (2 * 23, 4 + 2 + 5, 4));
    let beacon = &messages[1].octets;
    // Control, number, PAN, address, superframe, GTS, pending, FCS.
    assert_eq!((beacon.ieee802154, beacon.payload), (2 + 1 + 2 + 8 + 2 + 1 + 1 + 2, 8));
}

#[test]
fn a_copy_of_a_frame_is_no_message() {
    let mut line = Line::new();
    let whole = line.trace(3);
    // Of the ClientHello with cookie the second fragment, twice.
    let index = data_frames(&line, 3)[3];
    repeat(&mut line, index, Duration::from_millis(1), 0);
    repeat(&mut line, index, Duration::from_millis(2), 0);
    let messages = line.trace(3);
    assert_eq!(names(&messages), NAMES);
    assert_eq!(messages[4].frames, whole[4].frames + 2);
    assert_eq!(messages[4].note, "2 frames repeated by the link layer");
    let psdu = AirFrame::parse(&line.recording.packets[index].octets).expect("a frame").psdu;
    let more = messages[4].octets.total() - whole[4].octets.total();
    assert_eq!(more, 2 * (psdu.len() as u32 + FCS_OCTETS));
    assert_eq!(messages[5..], whole[5..]);
}

#[test]
fn a_flight_that_comes_again_says_so() {
    let mut line = Line::new();
    let hello = data_frames(&line, 3)[0];
    repeat(&mut line, hello, Duration::from_millis(4), 100);
    let messages = line.trace(3);
    assert_eq!(messages.len(), NAMES.len() + 1);
    assert_eq!(names(&messages)[2..4], ["ClientHello"; 2]);
    assert_eq!((messages[2].note.as_str(), &*messages[3].note), ("", "sent again after 0.00 s"));
    assert_eq!(messages[2].octets, messages[3].octets);
}

#[test]
fn another_handshake_is_not_the_same_again() {
    let mut line = Line::new();
    let frames = data_frames(&line, 3);
    // The flight that begins with ClientKeyExchange.
    for index in [frames[7], frames[6]] {
        repeat(&mut line, index, Duration::from_millis(60), 100);
    }
    let notes = |line: &Line| {
        let messages = line.trace(3);
        let exchanges = messages.iter().filter(|message| message.name == NAMES[6]);
        exchanges.map(|message| message.note.clone()).collect::<Vec<_>>()
    };
    assert_eq!(notes(&line), ["", "sent again after 0.06 s"]);
    repeat(&mut line, frames[0], Duration::from_millis(130), 90);
    // The same ClientHello changes nothing; one with another random begins another handshake.
    assert_eq!(notes(&line), ["", "sent again after 0.06 s"]);
    let hello = line.recording.packets[frames[0]].at + Duration::from_millis(130);
    let packet = line.recording.packets.iter_mut().find(|packet| packet.at == hello);
    let packet = packet.expect("just inserted");
    *packet.octets.last_mut().expect("octets") ^= 1;
    assert_eq!(notes(&line), ["", ""]);
}

#[test]
fn protected_records_that_come_again_say_so() {
    let mut line = Line::new();
    // Three frames with keys, and one that acknowledges: all again before the device is attached.
    for index in data_frames(&line, 3).iter().rev().take(4) {
        repeat(&mut line, *index, Duration::from_millis(40), 100);
    }
    let messages = line.trace(3);
    let (first, again) = messages.split_at(NAMES.len());
    assert_eq!(names(first), NAMES);
    assert!(first[2..].iter().all(|message| message.note.is_empty()));
    assert_eq!(names(again), NAMES[7..]);
    // As far as one can see, the keys are others: they were acknowledged.
    assert_eq!((again[0].note.as_str(), again[1].note.as_str()), ("", ""));
    // An unanswered one is the same.
    let acknowledgement = *data_frames(&line, 3).last().expect("frames");
    repeat(&mut line, acknowledgement, Duration::from_millis(10), 50);
    let last = line.trace(3).pop().expect("messages");
    assert_eq!((last.name.as_str(), &*last.note), (NAMES[8], "sent again after 0.01 s"));
}

#[test]
fn a_datagram_without_its_end_is_told() {
    let mut line = Line::new();
    let lost = data_frames(&line, 3)[3];
    line.recording.packets.remove(lost);
    let messages = line.trace(3);
    assert_eq!(messages.len(), NAMES.len());
    assert_eq!(messages[4].note, "not all of its fragments were sent");
    assert_eq!(messages[4].frames, 1);
}

#[test]
fn what_others_ask_is_not_the_joiners() {
    let mut line = Line::new();
    let is_request = |octets: &[u8]| {
        let psdu = AirFrame::parse(octets).map(|air| air.psdu);
        let Ok(Ok(Frame::Addressed(frame))) = psdu.map(Frame::parse) else { return false };
        matches!(frame.content, Content::Command { id: CommandId::BEACON_REQUEST, .. })
    };
    let own = line.recording.packets.iter().rposition(|packet| is_request(&packet.octets));
    repeat(&mut line, own.expect("it asked"), Duration::from_millis(3), 100);
    assert_eq!(names(&line.trace(3)), NAMES);
    // Nothing is left of a device that never spoke.
    let (from, until) = (Instant::ZERO, Instant::FAR_FUTURE);
    assert_eq!(trace(&line.recording, eui64(77), from, until, 2), []);
    assert_eq!(trace(&Recording::default(), eui64(3), from, until, 2), []);
}

#[test]
fn udp_headers_in_every_encoding() {
    let check = |headers: &[u8], before: &[u8], octets| {
        assert_eq!(udp_octets(headers, before), octets, "{headers:02x?}");
    };
    let header = |src: [u8; 2], dst: [u8; 2]| [src, dst, [0, 16], [0xab, 0xcd]].concat();
    let (joiner, relay, other) = ([0xf0, 0xbc], [0xf0, 0xbe], [0x16, 0x33]);
    check(&[0x7e, 0x33, 0xf3, 0xce, 0xab, 0xcd], &header(joiner, relay), 4);
    check(&[0x7e, 0x33, 0xf2, 0xbc, 0x16, 0x33, 0xab, 0xcd], &header(joiner, other), 6);
    check(&[0x7e, 0x33, 0xf1, 0x16, 0x33, 0xbe, 0xab, 0xcd], &header(other, relay), 6);
    check(&[0x7e, 0x33, 0xf0, 0x16, 0x33, 0x16, 0x33, 0xab, 0xcd], &header(other, other), 7);
    let in_line = header(joiner, relay);
    check(&[&[0x7a, 0x33, 17], &in_line[..]].concat(), &in_line, 8);
    check(&[0x7a, 0x33, 58], &[], 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_frames_never_panic(at in prop::collection::vec((0usize..30, 0usize..160, any::<u8>()), 1..6)) {
        static LINE: LazyLock<Line> = LazyLock::new(Line::new);
        let frames = data_frames(&LINE, 3);
        let mut line = Line { recording: LINE.recording.clone(), joins: LINE.joins.clone() };
        for (frame, octet, with) in at {
            let octets = &mut line.recording.packets[frames[frame % frames.len()]].octets;
            let octet = octet % octets.len();
            octets[octet] = with;
        }
        for message in line.trace(3) {
            prop_assert!(message.frames > 0);
        }
    }
}
