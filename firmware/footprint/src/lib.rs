//! The join path of a device and nothing else: DTLS client with a pre-shared key, key management, group
//! records. It is linked and measured, never run: radio and storage are holes that the compiler cannot
//! see through.
//!
//! **Invariant:** everything that a device needs between its first ClientHello and its first group record is
//! called from here, and nothing that it does not need.
#![no_std]

use core::hint::black_box;
use lowgate_amikey::{Cfg, Message, Messages, Mkd, Spd, derive, emit_all};
use lowgate_crypto::Ccm;
use lowgate_dtls::group::{GroupKeys, GroupReceiver, GroupSender, SenderFloor, SenderId};
use lowgate_dtls::{Client, ClientConfig, ClientInput, ClientOutput, ContentType, Psk};
use lowgate_units::{Instant, Prng};

/// The largest datagram of a join.
const DATAGRAM_OCTETS_MAX: usize = lowgate_access::JOIN_DATAGRAM_OCTETS_MAX;
/// Members of a group that a device hears.
const SENDERS_MAX: usize = 16;
const MESSAGES_MAX: usize = 12;
/// Counters of a group that one write to storage reserves.
const COUNTER_BLOCK: u64 = 256;

/// Octets of RAM that last, for the table: the linker sees one stack.
#[derive(Debug)]
#[repr(C)]
pub struct Sizes {
    /// The client with its session.
    pub state_machine: u32,
    /// The group's windows, both ends.
    pub record_layer: u32,
    /// Keys in force.
    pub key_management: u32,
    /// One datagram, in and out.
    pub buffers: u32,
}

/// Found by its name.
#[unsafe(no_mangle)]
#[used]
#[expect(unsafe_code, reason = "a name that nobody else has")]
pub static LOWGATE_SIZES: Sizes = Sizes {
    state_machine: size_of::<Client>() as u32,
    record_layer: (size_of::<GroupReceiver<SENDERS_MAX>>() + size_of::<GroupSender>()) as u32,
    key_management: (size_of::<Mkd>() + size_of::<Cfg>()) as u32,
    buffers: 2 * DATAGRAM_OCTETS_MAX as u32,
};

/// What comes from somewhere: the compiler knows nothing of it.
fn hole<T: Default>() -> T {
    black_box(T::default())
}

struct Device {
    ccm: &'static dyn Ccm,
    client: Client,
    key: Option<Mkd>,
    network: Option<Cfg>,
    sender: Option<GroupSender>,
    receiver: Option<GroupReceiver<SENDERS_MAX>>,
}

/// Joins, takes keys, and obeys group commands.
pub fn join(ccm: &'static dyn Ccm) -> ! {
    let identity = hole::<[u8; 16]>();
    let psk = Psk::new(&hole::<[u8; 16]>()).expect("1 to 64 octets");
    let request = hole::<[u8; 32]>();
    let config = ClientConfig {
        group_request: Some(&request),
        datagram_len_max: DATAGRAM_OCTETS_MAX,
        ..ClientConfig::new(&identity, psk)
    };
    let Ok(client) = Client::new(ccm, config, hole::<[u8; 32]>(), Prng::new(hole())) else {
        unreachable!("the configuration is sound");
    };
    let (key, network, sender, receiver) = (None, None, None, None);
    let mut device = Device { ccm, client, key, network, sender, receiver };
    device.client.handle(now(), ClientInput::Start);
    let mut buffer = [0; DATAGRAM_OCTETS_MAX];
    loop {
        device.drain(&mut buffer);
        let datagram = black_box(&mut buffer[..]);
        if hole() {
            device.hear_group(datagram);
        } else {
            device.client.handle(now(), ClientInput::Datagram(datagram));
        }
        if hole() {
            device.tell_group(&mut buffer);
        }
    }
}

fn now() -> Instant {
    Instant::from_micros(hole())
}

impl Device {
    fn drain(&mut self, buffer: &mut [u8; DATAGRAM_OCTETS_MAX]) {
        loop {
            match self.client.poll(now(), buffer) {
                ClientOutput::Transmit { len } => drop(black_box(buffer.get(..len))),
                ClientOutput::Received { content_type, len } => match content_type {
                    ContentType::KeyData | ContentType::KeyParameters => self.keys(buffer, len),
                    ContentType::ApplicationData => drop(black_box(buffer.get(..len))),
                },
                ClientOutput::Wait { until } => {
                    black_box(until);
                    return;
                }
                ClientOutput::Closed { reason } => drop(black_box(reason)),
                ClientOutput::Established { group_answer } => drop(black_box(group_answer)),
                ClientOutput::Event(dropped) => drop(black_box(dropped)),
                ClientOutput::KeyLog(_) | ClientOutput::HeartbeatAnswered => {}
            }
        }
    }

    /// Messages of one record: put in force, stored, acknowledged.
    fn keys(&mut self, buffer: &mut [u8; DATAGRAM_OCTETS_MAX], len: usize) {
        let mut answers = heapless::Vec::<Message, MESSAGES_MAX>::new();
        for message in Messages::new(buffer.get(..len).unwrap_or_default()) {
            let Ok(message) = message else { continue };
            let id = message.msg_id();
            match message {
                Message::Mkd(mkd) => self.key = Some(mkd),
                Message::Spd(spd) => self.enter(&spd),
                Message::Cfg { cfg, .. } => self.network = Some(cfg),
                _ => {}
            }
            let _ = answers.push(Message::Ack { msg_id: id });
        }
        black_box((&self.key, &self.network));
        let mut content = [0; 64];
        let Ok(len) = emit_all(&answers, &mut content) else { return };
        let content = content.get(..len).unwrap_or_default();
        if let Ok(len) = self.client.send(ContentType::KeyParameters, content, buffer) {
            black_box(buffer.get(..len));
        }
    }

    fn enter(&mut self, spd: &Spd) {
        let Some(key) = &self.key else { return };
        let tek = derive(&key.tgk, spd.csb_id, &spd.rand).request;
        let keys = GroupKeys { key: tek.key, salt: *tek.salt.expose(), epoch: spd.tek_id.raw() };
        let mut receiver = GroupReceiver::new(keys.clone());
        for id in spd.parameters.senders.iter() {
            let _ = receiver.admit(SenderId(id.raw()), SenderFloor::Known(0));
        }
        self.receiver = Some(receiver);
        self.sender = spd.sender_id.map(|id| {
            let first = spd.parameters.seq_floor.raw();
            let mut sender = GroupSender::new(keys, SenderId(id.raw()), first);
            sender.reserve(black_box(first + COUNTER_BLOCK));
            sender
        });
    }

    fn hear_group(&mut self, datagram: &mut [u8]) {
        if let Some(receiver) = &mut self.receiver {
            let opened = receiver.open(self.ccm, datagram);
            let _ = black_box(opened.map(|opened| opened.plaintext.len()));
        }
    }

    fn tell_group(&mut self, buffer: &mut [u8]) {
        if let Some(sender) = &mut self.sender {
            let _ = black_box(sender.seal(self.ccm, &hole::<[u8; 16]>(), buffer));
        }
    }
}
