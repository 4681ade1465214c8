//! What a DTLS datagram shows to those who have no keys: names of its records, and how many of its octets
//! are framing.
//!
//! **Invariant:** a pure function of octets; what it cannot read it counts as payload.

use lowgate_dtls::CONNECTION_ID_OCTETS;

/// Header of a record without connection ID, RFC 6347 section 4.1.
const RECORD_OCTETS: usize = 13;
/// Header of a handshake message, RFC 6347 section 4.2.2.
const HANDSHAKE_OCTETS: usize = 12;
/// Explicit nonce of a protected record, RFC 6655 section 3; its tag is as long.
const NONCE_OCTETS: usize = 8;
const TAG_OCTETS: usize = 8;
/// Version and random in front of a ClientHello's session ID.
const HELLO_HEAD_OCTETS: usize = 2 + 32;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// A record with connection ID: what it is, is encrypted (RFC 9146 section 4).
const TLS12_CID: u8 = 25;
const KEY_DATA: u8 = 30;
const KEY_PARAMETERS: u8 = 31;

const CLIENT_HELLO: &str = "ClientHello";

/// The content of one datagram.
pub(super) struct Flight {
    names: Vec<String>,
    looks: Vec<Look>,
    /// Of every octet, whether it is framing: header, nonce or tag.
    pub(super) framing: Vec<bool>,
    /// It has a record with keys.
    pub(super) brings_keys: bool,
}

/// What two sendings of one record have in common.
#[derive(PartialEq, Eq)]
enum Look {
    Clear { kind: u8, body: Vec<u8> },
    Protected { kind: u8, octets: usize },
}

struct Record<'a> {
    kind: u8,
    epoch: u16,
    seq: u64,
    head: usize,
    body: &'a [u8],
}

impl<'a> Record<'a> {
    fn split(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let &kind = octets.first()?;
        let cid_octets = if kind == TLS12_CID { CONNECTION_ID_OCTETS } else { 0 };
        let head = RECORD_OCTETS + cid_octets;
        let (header, rest) = octets.split_at_checked(head)?;
        let number = |range: std::ops::Range<usize>| {
            header[range].iter().fold(0, |number, octet| number << 8 | u64::from(*octet))
        };
        let (body, rest) = rest.split_at_checked(number(head - 2..head) as usize)?;
        let (epoch, seq) = (number(3..5) as u16, number(5..11));
        let is_dtls = header[1] == 0xfe && (CHANGE_CIPHER_SPEC..=KEY_PARAMETERS).contains(&kind);
        is_dtls.then_some((Self { kind, epoch, seq, head, body }, rest))
    }
}

impl Flight {
    /// Of a datagram that came from the joiner (`upward`) or went to it. After `has_keys`, what a joiner
    /// says under protection is its acknowledgement.
    pub(super) fn of(datagram: &[u8], upward: bool, has_keys: bool) -> Self {
        let mut flight =
            Self { names: Vec::new(), looks: Vec::new(), framing: Vec::new(), brings_keys: false };
        let mut rest = datagram;
        let mut behind_change = false;
        while let Some((record, tail)) = Record::split(rest) {
            flight.frame(record.head, true);
            if record.epoch == 0 {
                flight.clear(&record);
            } else {
                // An epoch begins with Finished, and so does what follows a ChangeCipherSpec.
                let is_finished = record.kind == HANDSHAKE
                    || record.kind == TLS12_CID && (behind_change || record.seq == 0);
                flight.protected(&record, is_finished, upward && has_keys);
            }
            behind_change = record.kind == CHANGE_CIPHER_SPEC;
            rest = tail;
        }
        if !rest.is_empty() {
            flight.names.push("unreadable octets".into());
            flight.frame(rest.len(), false);
        }
        flight
    }

    /// Its records, named.
    pub(super) fn name(&self) -> String {
        if self.names.is_empty() { "empty datagram".into() } else { self.names.join(", ") }
    }

    /// The same records, as far as one can see.
    pub(super) fn looks_like(&self, other: &Self) -> bool {
        self.looks == other.looks
    }

    /// Whether a handshake message can be read, so that a copy of it can be told from another.
    pub(super) fn shows_its_content(&self) -> bool {
        self.looks.iter().any(|look| matches!(look, Look::Clear { kind: HANDSHAKE, .. }))
    }

    /// Whether a handshake begins with it: a ClientHello that has no cookie yet.
    pub(super) fn opens_handshake(&self) -> bool {
        self.names.first().is_some_and(|name| name == CLIENT_HELLO)
    }

    fn frame(&mut self, octets: usize, is_framing: bool) {
        self.framing.resize(self.framing.len() + octets, is_framing);
    }

    fn clear(&mut self, record: &Record<'_>) {
        self.looks.push(Look::Clear { kind: record.kind, body: record.body.to_vec() });
        if record.kind == HANDSHAKE {
            return self.handshake(record.body);
        }
        self.names.push(match (record.kind, record.body) {
            (CHANGE_CIPHER_SPEC, _) => "ChangeCipherSpec".into(),
            (ALERT, [_, description]) => format!("alert {description}"),
            (kind, _) => format!("record of type {kind}"),
        });
        self.frame(record.body.len(), false);
    }

    fn handshake(&mut self, mut body: &[u8]) {
        while let Some((header, rest)) = body.split_first_chunk::<HANDSHAKE_OCTETS>() {
            let [kind, whole @ .., l0, l1, l2] = *header;
            let [w0, w1, w2, _, _, o0, o1, o2] = whole;
            let len = usize::from(l0) << 16 | usize::from(l1) << 8 | usize::from(l2);
            let Some((message, rest)) = rest.split_at_checked(len) else { break };
            let part = if [l0, l1, l2] == [w0, w1, w2] { "" } else { " (a part)" };
            let begins = [o0, o1, o2] == [0; 3];
            self.names.push(format!("{}{part}", message_name(kind, message, begins)));
            self.frame(HANDSHAKE_OCTETS, true);
            self.frame(message.len(), false);
            body = rest;
        }
        if !body.is_empty() {
            self.names.push("unreadable handshake".into());
            self.frame(body.len(), false);
        }
    }

    fn protected(&mut self, record: &Record<'_>, is_finished: bool, acknowledges: bool) {
        self.looks.push(Look::Protected { kind: record.kind, octets: record.body.len() });
        self.brings_keys |= matches!(record.kind, KEY_DATA | KEY_PARAMETERS);
        self.names.push(match record.kind {
            HANDSHAKE | TLS12_CID if is_finished => "Finished".into(),
            TLS12_CID | KEY_DATA | KEY_PARAMETERS if acknowledges => {
                "acknowledgement (protected)".into()
            }
            ALERT => "alert (protected)".into(),
            APPLICATION_DATA => "application data (protected)".into(),
            TLS12_CID => "record with connection ID (protected)".into(),
            KEY_DATA => format!("key data (type {KEY_DATA})"),
            KEY_PARAMETERS => format!("key parameters (type {KEY_PARAMETERS})"),
            kind => format!("record of type {kind} (protected)"),
        });
        let inner_type = usize::from(record.kind == TLS12_CID);
        let header = if is_finished { HANDSHAKE_OCTETS } else { 0 };
        let before = (NONCE_OCTETS + header).min(record.body.len());
        let after = (inner_type + TAG_OCTETS).min(record.body.len() - before);
        self.frame(before, true);
        self.frame(record.body.len() - before - after, false);
        self.frame(after, true);
    }
}

/// The name of a handshake message, from the octets that are there of it.
fn message_name(kind: u8, message: &[u8], begins: bool) -> String {
    match kind {
        1 if begins && has_cookie(message) => "ClientHello with cookie".into(),
        1 => CLIENT_HELLO.into(),
        2 => "ServerHello".into(),
        3 => "HelloVerifyRequest".into(),
        12 => "ServerKeyExchange".into(),
        14 => "ServerHelloDone".into(),
        16 => "ClientKeyExchange".into(),
        20 => "Finished".into(),
        kind => format!("handshake message {kind}"),
    }
}

/// RFC 6347 section 4.2.1: behind the session ID stands the cookie, empty at first.
fn has_cookie(hello: &[u8]) -> bool {
    let session_octets = hello.get(HELLO_HEAD_OCTETS).copied().map(usize::from);
    let cookie_at = session_octets.map(|octets| HELLO_HEAD_OCTETS + 1 + octets);
    cookie_at.and_then(|at| hello.get(at)).is_some_and(|octets| *octets > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }

    /// `framing` counts the octets that are framing.
    #[track_caller]
    fn check(datagram: &str, upward: bool, has_keys: bool, name: &str, framing: usize) {
        let octets = hex(datagram);
        let flight = Flight::of(&octets, upward, has_keys);
        assert_eq!(flight.name(), name);
        assert_eq!(flight.framing.len(), octets.len());
        assert_eq!(flight.framing.iter().filter(|is_framing| **is_framing).count(), framing);
        for end in 0..octets.len() {
            let _ = Flight::of(&octets[..end], upward, has_keys);
        }
    }

    const RANDOM: &str = "588e5f9dc778cef22405f42f9bea25928bd0312ce14d642d034d24f4fab672fc";
    const DONE: &str = "16fefd0000000000000002000c 0e0000000002000000000000";
    const CHANGE: &str = "14fefd000000000000000300 01 01";

    #[test]
    fn hellos() {
        let hello = |cookie: &str, len: usize| {
            let head = format!("0100{len:04x}0000000000 00{len:04x} fefd{RANDOM}00");
            format!("16fefd0000 000000000000 {:04x} {head}{cookie}0002c0a80100", len + 12)
        };
        check(&hello("00", 42), true, false, "ClientHello", 25);
        check(&hello("0401020304", 46), true, false, "ClientHello with cookie", 25);
        let verify = "16feff0000000000000000001f030000130000000000000013feff10\
            113a3f65af4602091fc0afee6e919ba2";
        check(verify, false, false, "HelloVerifyRequest", 25);
        check(DONE, false, false, "ServerHelloDone", 25);
    }

    #[test]
    fn parts_and_several_records() {
        let part = "16fefd0000000000000002000e 100000060002000004000002 7374";
        check(part, true, false, "ClientKeyExchange (a part)", 25);
        let finished = format!("{CHANGE} 16fefd0001000000000000 0028 {}", "00".repeat(40));
        check(&finished, false, false, "ChangeCipherSpec, Finished", 13 + 13 + 28);
    }

    #[test]
    fn behind_the_handshake() {
        let body = "00".repeat(20);
        let record = |kind: u8| format!("{kind:02x}fefd0001000000000001 0014 {body}");
        check(&record(30), false, false, "key data (type 30)", 29);
        check(&record(31), false, true, "key parameters (type 31)", 29);
        check(&record(31), true, true, "acknowledgement (protected)", 29);
        check(&record(21), true, true, "alert (protected)", 29);
        let with_id = |seq: u8| format!("19fefd00010000000000{seq:02x} 01020304 0014 {body}");
        check(&with_id(1), true, true, "acknowledgement (protected)", 34);
        check(&with_id(1), true, false, "record with connection ID (protected)", 34);
        let finished = format!("{CHANGE} 19fefd000100000000000101020304 0029 {}", "00".repeat(41));
        check(&finished, true, false, "ChangeCipherSpec, Finished", 13 + 17 + 29);
    }

    #[test]
    fn what_is_no_dtls() {
        check("", true, false, "empty datagram", 0);
        check("16fefd", true, false, "unreadable octets", 0);
        check("15fefd00000000000000000002 0233", false, false, "alert 51", 13);
        check("16fefd00000000000000000002 0100", true, false, "unreadable handshake", 13);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_octet_of_anything_counts_once(
            kind in 18u8..33,
            epoch in 0u8..2,
            body in proptest::collection::vec(any::<u8>(), 0..60),
            tail in proptest::collection::vec(any::<u8>(), 0..30),
        ) {
            let mut octets = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1, 0, body.len() as u8];
            octets.extend(body);
            octets.extend(tail);
            for upward in [true, false] {
                prop_assert_eq!(Flight::of(&octets, upward, upward).framing.len(), octets.len());
            }
        }
    }
}
