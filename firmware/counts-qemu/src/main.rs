//! How many instructions a device needs for what it does, on an emulated Cortex-M3 with a counter.
//!
//! The emulator runs with `-icount shift=0`: an instruction takes a nanosecond, and the clock ticks every 20
//! of them. The first serial line leads to a DTLS server; each HDLC frame is a datagram behind a
//! [`DATAGRAM`], or, from here, a count behind a [`COUNT`]: its name, a zero, four octets.
//!
//! **Invariant:** what is counted runs with interrupts held back, so that nothing else is counted with it.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use lowgate_amikey::{Message, Messages, derive};
use lowgate_crypto::{Ccm, Key128, SoftCcm};
use lowgate_dtls::group::{GroupKeys, GroupReceiver, GroupSender, SenderFloor, SenderId};
use lowgate_dtls::{Client, ClientConfig, ClientInput, ClientOutput, Psk};
use lowgate_lm3s6965::Machine;
use lowgate_spinel::{Decoder, encode, encoded_octets_max};
use lowgate_units::{Instant, Prng};

const DATAGRAM: u8 = 0x01;
const COUNT: u8 = 0x02;
const FRAME_OCTETS_MAX: usize = 512;
const LINE_OCTETS_MAX: usize = encoded_octets_max(FRAME_OCTETS_MAX);
const DATAGRAM_OCTETS_MAX: usize = 384;
/// Instructions of a tick.
const INSTRUCTIONS_PER_TICK: u64 = 20;

/// The server's test knows them too.
const IDENTITY: &[u8] = b"device";
const PSK: [u8; 16] = [7; 16];
const GROUP_REQUEST: [u8; 8] = [1; 8];

/// A command to a light, in CoAP.
const COMMAND_OCTETS: usize = 16;
/// A full link-layer frame: header with its security, payload, tag.
const LINK_HEAD_OCTETS: usize = 21;
const LINK_PAYLOAD_OCTETS: usize = 96;

static CCM: SoftCcm = SoftCcm;

struct Counter {
    machine: Machine,
    client: Client,
    buffer: [u8; DATAGRAM_OCTETS_MAX],
    /// Of the client, since somebody looked.
    spent: u64,
}

#[entry]
fn main() -> ! {
    let mut machine = Machine::take().expect("nobody else runs");
    let psk = Psk::new(&PSK).expect("1 to 64 octets");
    let config = ClientConfig {
        group_request: Some(&GROUP_REQUEST),
        datagram_len_max: DATAGRAM_OCTETS_MAX,
        ..ClientConfig::new(IDENTITY, psk)
    };
    let client = Client::new(&CCM, config, [5; 32], Prng::new(6));
    let Ok(client) = client else { unreachable!("the configuration is sound") };
    primitives(&mut machine);
    let mut counter = Counter { machine, client, buffer: [0; _], spent: 0 };
    counter.feed(ClientInput::Start);
    counter.drain();
    let mut decoder = Decoder::<{ FRAME_OCTETS_MAX + 2 }>::new();
    loop {
        counter.machine.watchdog.feed();
        let mut octet = [0];
        if counter.machine.first.read(&mut octet) == 0 {
            counter.machine.sleep();
        } else if let Some(Ok([DATAGRAM, datagram @ ..])) = decoder.push(octet[0]) {
            let mut datagram: heapless::Vec<u8, FRAME_OCTETS_MAX> =
                datagram.iter().copied().collect();
            counter.feed(ClientInput::Datagram(&mut datagram));
            counter.drain();
        }
    }
}

/// Runs it by itself; the instructions that it took.
fn count<T>(machine: &Machine, work: impl FnOnce() -> T) -> (u64, T) {
    cortex_m::interrupt::free(|_| {
        let begun = machine.clock.ticks();
        let done = core::hint::black_box(work());
        ((machine.clock.ticks() - begun) * INSTRUCTIONS_PER_TICK, done)
    })
}

fn send(machine: &mut Machine, kind: u8, content: &[&[u8]]) {
    let octets = content.iter().flat_map(|part| part.iter().copied());
    let frame: heapless::Vec<u8, FRAME_OCTETS_MAX> = core::iter::once(kind).chain(octets).collect();
    let line: heapless::Vec<u8, LINE_OCTETS_MAX> = encode(&frame).unwrap_or_default();
    let mut rest = &line[..];
    while !rest.is_empty() {
        let sent = machine.first.write(rest);
        rest = rest.get(sent..).unwrap_or_default();
    }
}

fn tell(machine: &mut Machine, name: &str, instructions: u64) {
    let number = u32::try_from(instructions).unwrap_or(u32::MAX).to_le_bytes();
    send(machine, COUNT, &[name.as_bytes(), &[0], &number]);
}

/// What needs no server.
fn primitives(machine: &mut Machine) {
    let (nothing, ()) = count(machine, || {});
    tell(machine, "nothing", nothing);
    let key = Key128::new([3; 16]);
    let (mut payload, mut tag) = ([9; LINK_PAYLOAD_OCTETS], [0; 8]);
    let head = [1; LINK_HEAD_OCTETS];
    let (sealed, ()) = count(machine, || CCM.seal(&key, &[2; 13], &head, &mut payload, &mut tag));
    tell(machine, "link-layer frame sealed", sealed);
    let (opened, fine) = count(machine, || CCM.open(&key, &[2; 13], &head, &mut payload, &tag));
    assert!(fine.is_ok(), "its own");
    tell(machine, "link-layer frame opened", opened);
    let keys = GroupKeys { key, salt: [4; 4], epoch: 1 };
    let (own, mut record) = (SenderId(1), [0; 96]);
    let mut sender = GroupSender::new(keys.clone(), own, 0);
    sender.reserve(16);
    let (sealed, len) = count(machine, || sender.seal(&CCM, &[5; COMMAND_OCTETS], &mut record));
    tell(machine, "group record sealed", sealed);
    let mut receiver = GroupReceiver::<16>::new(keys);
    receiver.admit(own, SenderFloor::Known(0)).expect("there is room");
    let record = record.get_mut(..len.expect("it fits")).unwrap_or_default();
    let (opened, fine) = count(machine, || receiver.open(&CCM, record).is_ok());
    assert!(fine, "its own");
    tell(machine, "group record opened", opened);
}

impl Counter {
    /// The client's clock stands still: it repeats nothing, whatever the emulator's server takes.
    fn feed(&mut self, input: ClientInput<'_>) {
        let client = &mut self.client;
        let (spent, ()) = count(&self.machine, || client.handle(Instant::ZERO, input));
        self.spent += spent;
    }

    fn drain(&mut self) {
        loop {
            let (client, buffer) = (&mut self.client, &mut self.buffer);
            let (spent, output) = count(&self.machine, || client.poll(Instant::ZERO, buffer));
            self.spent += spent;
            match output {
                ClientOutput::Wait { .. } => return,
                ClientOutput::Transmit { len } => {
                    let datagram = self.buffer.get(..len).unwrap_or_default();
                    send(&mut self.machine, DATAGRAM, &[datagram]);
                }
                ClientOutput::Established { .. } => self.look("handshake"),
                ClientOutput::Received { len, .. } => {
                    self.look("record with keys opened");
                    self.keys(len);
                }
                ClientOutput::Closed { reason } => panic!("{reason:?}"),
                ClientOutput::KeyLog(_)
                | ClientOutput::HeartbeatAnswered
                | ClientOutput::Event(_) => {}
            }
        }
    }

    fn look(&mut self, name: &str) {
        let spent = core::mem::take(&mut self.spent);
        tell(&mut self.machine, name, spent);
    }

    /// A group's key and its epoch, from octets to keys that open records.
    fn keys(&mut self, len: usize) {
        let content = self.buffer.get(..len).unwrap_or_default();
        let (spent, made) = count(&self.machine, || {
            let (mut key, mut made) = (None, None);
            for message in Messages::new(content).flatten() {
                match message {
                    Message::Mkd(mkd) => key = Some(mkd.tgk),
                    Message::Spd(spd) => {
                        made = key.as_ref().map(|key| derive(key, spd.csb_id, &spd.rand));
                    }
                    _ => {}
                }
            }
            made
        });
        assert!(made.is_some(), "both messages");
        tell(&mut self.machine, "key message", spent);
    }
}
