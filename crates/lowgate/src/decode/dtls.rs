//! DTLS records: what their headers say, what is in them where the keys are known, and group
//! records.

use super::session::{Open, Sessions};
use super::{Keys, Octets, Said, coap, key_messages};
use lowgate_crypto::SoftCcm;
use lowgate_dtls::CONNECTION_ID_OCTETS;
use lowgate_dtls::group::{GROUP_SEQ_MAX, GroupReceiver, SenderFloor, SenderId};
use lowgate_units::Ipv6Addr;

/// Records of one datagram that are looked at.
const RECORDS_MAX: usize = 32;
/// Handshake messages of one record that are looked at.
const MESSAGES_MAX: usize = 16;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
pub(super) const WITH_CONNECTION_ID: u8 = 25;
const KEY_DATA: u8 = 30;
const KEY_PARAMETERS: u8 = 31;

/// A UDP datagram with its ends.
#[derive(Clone, Copy)]
pub(super) struct Datagram<'a> {
    pub(super) src: Ipv6Addr,
    pub(super) src_port: u16,
    pub(super) dst: Ipv6Addr,
    pub(super) dst_port: u16,
    pub(super) payload: &'a [u8],
}

/// A record as it lies in a datagram.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) outer: u8,
    pub(super) version: u16,
    pub(super) epoch: u16,
    pub(super) seq: u64,
    pub(super) cid: &'a [u8],
    pub(super) body: &'a [u8],
}

impl<'a> Record<'a> {
    fn take(rest: &mut Octets<'a>) -> Option<Self> {
        let (outer, version) = (rest.u8()?, rest.u16()?);
        let (epoch, seq) = (rest.u16()?, rest.number(6)?);
        // Only our server gives connection IDs, all of one length.
        let cid_len = if outer == WITH_CONNECTION_ID { CONNECTION_ID_OCTETS } else { 0 };
        let cid = rest.take(cid_len)?;
        let len = usize::from(rest.u16()?);
        Some(Self { outer, version, epoch, seq, cid, body: rest.take(len)? })
    }
}

pub(super) struct Dtls<'a> {
    keys: Option<&'a Keys>,
    sessions: Sessions,
}

impl<'a> Dtls<'a> {
    pub(super) fn new(secrets: &[String], keys: Option<&'a Keys>) -> Self {
        let logged = keys.map_or(&[][..], |keys| &keys.log);
        Self { keys, sessions: Sessions::new(secrets.iter().chain(logged)) }
    }

    /// Says what the records of a datagram are.
    pub(super) fn datagram(&mut self, datagram: &Datagram<'_>, said: &mut Said) {
        let mut rest = Octets(datagram.payload);
        for _ in 0..RECORDS_MAX {
            if rest.0.is_empty() {
                return;
            }
            let Some(record) = Record::take(&mut rest) else {
                return said.say("no DTLS record");
            };
            self.record(datagram, &record, said);
        }
        said.say("too many records");
    }

    fn record(&mut self, datagram: &Datagram<'_>, record: &Record<'_>, said: &mut Said) {
        let head = format!("DTLS {}:{}", record.epoch, record.seq);
        if record.epoch == 0 {
            let content = plain(record.outer, record.body);
            said.say(format!("{head} {} ({}){content}", name(record.outer), record.body.len()));
            if record.outer == HANDSHAKE {
                self.sessions.learn(datagram, record.body);
            }
            return;
        }
        let cid = match record.cid {
            [] => String::new(),
            cid => format!(" connection {}", super::hex(cid)),
        };
        match self.sessions.open(datagram, record) {
            Some(Open { kind, plaintext }) => {
                let content = plain(kind, &plaintext);
                said.say(format!("{head}{cid} {} ({}){content}", name(kind), plaintext.len()));
            }
            None => {
                let (name, len) = (name(record.outer), record.body.len());
                said.say(format!("{head}{cid} {name} ({len}) sealed"));
            }
        }
    }

    /// Says what a datagram to a group is: one record under the group's keys.
    pub(super) fn group(&mut self, datagram: &Datagram<'_>, said: &mut Said) {
        let mut rest = Octets(datagram.payload);
        let Some(record) = Record::take(&mut rest) else {
            return said.say("no group record");
        };
        let (sender, seq) = ((record.seq >> 40) as u8, record.seq & GROUP_SEQ_MAX);
        let head = format!("epoch {} sender {sender} number {seq}", record.epoch);
        let entries = self.keys.map_or(&[][..], |keys| &keys.groups);
        let entry = entries.iter().find(|entry| {
            let place = (entry.address, entry.port) == (datagram.dst, datagram.dst_port);
            place && entry.request.epoch == record.epoch
        });
        let Some(entry) = entry else {
            return said.say(format!("group record {head} sealed"));
        };
        let opened = [(&entry.request, ""), (&entry.response, " answer")];
        let opened = opened.into_iter().find_map(|(keys, way)| {
            // One record, one receiver: a repetition on the air is no replay to a reader.
            let mut receiver = GroupReceiver::<1>::new(keys.clone());
            receiver.admit(SenderId(sender), SenderFloor::Unknown).ok()?;
            let mut octets = datagram.payload.to_vec();
            let opened = receiver.open(&SoftCcm, &mut octets).ok()?;
            Some((opened.plaintext.to_vec(), way))
        });
        match opened {
            Some((plaintext, way)) => {
                let content = coap::words(&plaintext);
                said.say(format!("group {}{way} {head}: {content}", entry.group));
            }
            None => said.say(format!("group {} {head} does not open", entry.group)),
        }
    }
}

fn name(kind: u8) -> String {
    match kind {
        CHANGE_CIPHER_SPEC => "change cipher spec".to_owned(),
        ALERT => "alert".to_owned(),
        HANDSHAKE => "handshake".to_owned(),
        APPLICATION_DATA => "application data".to_owned(),
        WITH_CONNECTION_ID => "record".to_owned(),
        KEY_DATA => "key data".to_owned(),
        KEY_PARAMETERS => "key parameters".to_owned(),
        other => format!("type {other}"),
    }
}

/// What is in an open record, with a colon in front; nothing where the name says all.
fn plain(kind: u8, content: &[u8]) -> String {
    let words = match kind {
        HANDSHAKE => handshake(content),
        ALERT => alert(content),
        APPLICATION_DATA => coap::words(content),
        KEY_DATA | KEY_PARAMETERS => key_messages::words(content),
        _ => return String::new(),
    };
    format!(": {words}")
}

fn alert(content: &[u8]) -> String {
    let &[level, description] = content else { return "malformed".to_owned() };
    let level = if level == 1 { "warning" } else { "fatal" };
    let name = match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        40 => "handshake_failure",
        47 => "illegal_parameter",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        80 => "internal_error",
        100 => "no_renegotiation",
        110 => "unsupported_extension",
        115 => "unknown_psk_identity",
        other => return format!("{level} {other}"),
    };
    format!("{level} {name}")
}

/// A fragment of a handshake message.
pub(super) struct Fragment<'a> {
    pub(super) kind: u8,
    pub(super) seq: u16,
    pub(super) message_len: u64,
    pub(super) offset: u64,
    pub(super) octets: &'a [u8],
}

impl<'a> Fragment<'a> {
    pub(super) fn take(rest: &mut Octets<'a>) -> Option<Self> {
        let (kind, message_len) = (rest.u8()?, rest.number(3)?);
        let (seq, offset, len) = (rest.u16()?, rest.number(3)?, rest.number(3)?);
        Some(Self { kind, seq, message_len, offset, octets: rest.take(len as usize)? })
    }
}

fn handshake(content: &[u8]) -> String {
    let mut rest = Octets(content);
    let mut words = Vec::new();
    while !rest.0.is_empty() && words.len() < MESSAGES_MAX {
        let Some(fragment) = Fragment::take(&mut rest) else {
            words.push("malformed".to_owned());
            break;
        };
        let name = match fragment.kind {
            0 => "HelloRequest",
            1 => "ClientHello",
            2 => "ServerHello",
            3 => "HelloVerifyRequest",
            4 => "NewSessionTicket",
            11 => "Certificate",
            12 => "ServerKeyExchange",
            13 => "CertificateRequest",
            14 => "ServerHelloDone",
            15 => "CertificateVerify",
            16 => "ClientKeyExchange",
            20 => "Finished",
            _ => "unknown message",
        };
        let Fragment { seq, message_len, offset, octets, .. } = fragment;
        if octets.len() as u64 == message_len {
            words.push(format!("{name} {seq}"));
        } else {
            let end = offset + octets.len() as u64;
            words.push(format!("{name} {seq} ({offset} to {end} of {message_len})"));
        }
    }
    words.join(", ")
}
