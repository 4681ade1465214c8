//! Instructions of what a device does, counted by the emulator.

use crate::dialog::line;
use crate::emulator::{Build, Emulator, PATIENCE};
use lowgate_amikey::{
    CsbId, Generation, GroupId, Message, Mkd, MsgId, OldEpoch, Rand, SenderId, Spd, SpdParameters,
    TekId, Tgk, emit_all,
};
use lowgate_crypto::{Secret, SoftCcm};
use lowgate_dtls::{
    ContentType, GroupAnswer, Peer, Psk, PskDirectory, Server, ServerConfig, ServerInput,
    ServerOutput,
};
use lowgate_spinel::Decoder;
use lowgate_units::{Instant as Moment, Prng, SeededEntropy};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Ipv6Addr;
use std::os::unix::net::UnixStream;

const DATAGRAM: u8 = 0x01;
const COUNT: u8 = 0x02;
const NOW: Moment = Moment::from_secs(1);
static CCM: SoftCcm = SoftCcm;

/// In the order of the README's table, with what each may take, a few in a hundred more than it did: who
/// needs more changes both and says why. AES and SHA-256 are in software, in their compact forms.
const BUDGET: &[(&str, u32)] = &[
    ("nothing", 100),
    ("link-layer frame sealed", 46_000),
    ("link-layer frame opened", 46_000),
    ("group record sealed", 21_000),
    ("group record opened", 21_500),
    ("handshake", 310_000),
    ("record with keys opened", 40_500),
    ("key message", 262_000),
];
/// Of the stack, the client included.
const STACK_BUDGET_OCTETS: usize = 18 * 1024;

/// The device's key.
struct Directory;

impl PskDirectory for Directory {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        Psk::new(&[7; 16]).filter(|_| identity == b"device")
    }

    fn group_answer(&self, _: &[u8]) -> Option<GroupAnswer> {
        GroupAnswer::from_slice(&[1, 1]).ok()
    }
}

/// A server at the far end of the machine's line.
struct Manager {
    line: UnixStream,
    server: Server,
    entropy: SeededEntropy,
    peer: Peer,
    counts: BTreeMap<String, u32>,
}

impl Manager {
    fn new(line: UnixStream) -> Self {
        line.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut entropy = SeededEntropy::new(1);
        let server = Server::new(ServerConfig::new(&CCM), Prng::new(2), &mut entropy);
        let relay_header = heapless::Vec::new();
        let peer = Peer { addr: Ipv6Addr::LOCALHOST, port: 1, relay_header };
        Self { line, server, entropy, peer, counts: BTreeMap::new() }
    }

    /// Until the last of the counts has come.
    fn run(&mut self) {
        let mut decoder = Decoder::<514>::new();
        while self.counts.len() < BUDGET.len() {
            let mut octets = [0; 4096];
            let len = self.line.read(&mut octets).expect("the program goes on");
            assert!(len > 0, "the emulator has ended; {:?}", self.counts);
            for octet in &octets[..len] {
                match decoder.push(*octet) {
                    Some(Ok([DATAGRAM, datagram @ ..])) => self.datagram(&mut datagram.to_vec()),
                    Some(Ok([COUNT, count @ ..])) => {
                        let (name, [0, number @ ..]) = count.split_at(count.len() - 5) else {
                            panic!("no count: {count:02x?}")
                        };
                        let name = String::from_utf8(name.to_vec()).expect("a text");
                        let number = number.try_into().expect("four octets");
                        self.counts.insert(name, u32::from_le_bytes(number));
                    }
                    Some(other) => panic!("the program says {other:02x?}"),
                    None => {}
                }
            }
        }
    }

    fn datagram(&mut self, octets: &mut [u8]) {
        let input = ServerInput::Datagram { peer: &self.peer, octets };
        self.server.handle(NOW, input, &Directory, &mut self.entropy);
        loop {
            match self.server.poll(NOW) {
                ServerOutput::Wait { .. } => return,
                ServerOutput::Transmit { octets, .. } => {
                    let frame = line(&[&[DATAGRAM], &octets[..]].concat());
                    self.line.write_all(&frame).expect("the emulator reads");
                }
                ServerOutput::Established { session, .. } => {
                    let sent = self.server.send(NOW, session, ContentType::KeyData, &keys());
                    sent.expect("it was negotiated");
                }
                ServerOutput::HandshakeFailed { reason, .. } => panic!("{reason:?}"),
                _ => {}
            }
        }
    }
}

/// A group's key and its first epoch, with two senders.
fn keys() -> Vec<u8> {
    let (csb_id, id) = (CsbId(0x5a17_c0de), |raw| SenderId::new(raw).expect("in range"));
    let mut parameters = SpdParameters {
        port: Some(5683),
        address: Some("ff15::1".parse().expect("an address")),
        ..SpdParameters::default()
    };
    parameters.senders.insert(id(1));
    parameters.senders.insert(id(2));
    let messages = [
        Message::Mkd(Mkd {
            msg_id: MsgId(1),
            csb_id,
            generation: Generation(1),
            group: GroupId(1),
            tgk: Tgk(Secret::new([1; 16])),
        }),
        Message::Spd(Spd {
            msg_id: MsgId(2),
            csb_id,
            tek_id: TekId::FIRST,
            sender_id: Some(id(1)),
            rand: Rand(Secret::new([2; 16])),
            old_epoch: OldEpoch::GRACE_DEFAULT,
            parameters,
        }),
    ];
    let mut octets = [0; 256];
    let len = emit_all(&messages, &mut octets).expect("there is room");
    octets[..len].to_vec()
}

/// Criteria: the emulated device and a server of ours make a session, its keys arrive, and nothing takes more
/// instructions or stack than its budget.
#[test]
fn what_a_device_does_takes_so_many_instructions() {
    let (emulator, line, _air) = Emulator::start(Build::Counting);
    let mut manager = Manager::new(line);
    manager.run();
    for (name, _) in BUDGET {
        println!("| {name} | {} |", manager.counts[*name]);
    }
    let stack = emulator.stack_octets();
    println!("{stack} octets of the stack");
    assert!(stack <= STACK_BUDGET_OCTETS);
    for (name, budget) in BUDGET {
        let count = manager.counts[*name];
        assert!(count <= *budget, "{name}: {count} instructions, not {budget}");
    }
}
