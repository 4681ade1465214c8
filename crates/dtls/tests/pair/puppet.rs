//! An end that says what it is told, in any order: RFC 4279, 5246, 6347, 6655, 7627 and 9146 once more, from
//! their texts. Of Lowgate it has the primitives alone, so that both do not err alike.

use lowgate_crypto::{Ccm, Key128, Sha256, SoftCcm, tls12_prf};

pub(crate) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(crate) const ALERT: u8 = 21;
pub(crate) const HANDSHAKE: u8 = 22;
pub(crate) const APPLICATION_DATA: u8 = 23;
pub(crate) const HEARTBEAT: u8 = 24;
const TLS12_CID: u8 = 25;

pub(crate) const EXTENDED_MASTER_SECRET: u16 = 23;
pub(crate) const HEARTBEAT_EXTENSION: u16 = 15;
pub(crate) const CONNECTION_ID: u16 = 54;
/// RFC 9853 section 10, with the content type below.
pub(crate) const RETURN_ROUTABILITY: u16 = 61;
pub(crate) const RETURN_ROUTABILITY_CHECK: u8 = 27;
const RENEGOTIATION_INFO: u16 = 0xff01;

pub(crate) fn record(kind: u8, epoch: u16, seq: u64, body: &[u8]) -> Vec<u8> {
    let mut octets = vec![kind, 0xfe, 0xfd];
    octets.extend_from_slice(&epoch.to_be_bytes());
    octets.extend_from_slice(&seq.to_be_bytes()[2..]);
    octets.extend_from_slice(&(body.len() as u16).to_be_bytes());
    octets.extend_from_slice(body);
    octets
}

/// A part of a handshake message.
pub(crate) fn fragment(kind: u8, seq: u16, len: usize, offset: usize, part: &[u8]) -> Vec<u8> {
    let mut octets = vec![kind];
    octets.extend_from_slice(&(len as u32).to_be_bytes()[1..]);
    octets.extend_from_slice(&seq.to_be_bytes());
    octets.extend_from_slice(&(offset as u32).to_be_bytes()[1..]);
    octets.extend_from_slice(&(part.len() as u32).to_be_bytes()[1..]);
    octets.extend_from_slice(part);
    octets
}

/// A handshake message in one piece.
pub(crate) fn message(kind: u8, seq: u16, body: &[u8]) -> Vec<u8> {
    fragment(kind, seq, body.len(), 0, body)
}

pub(crate) fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &(data.len() as u16).to_be_bytes(), data].concat()
}

/// Types and contents of a block of extensions; `None` when it is none.
pub(crate) fn extensions(block: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let (mut rest, mut found) = (block, Vec::new());
    while !rest.is_empty() {
        let (head, tail) = rest.split_at_checked(4)?;
        let (data, tail) =
            tail.split_at_checked(usize::from(u16::from_be_bytes([head[2], head[3]])))?;
        found.push((u16::from_be_bytes([head[0], head[1]]), data));
        rest = tail;
    }
    Some(found)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plays {
    Client,
    Server,
}

/// A Finished: as it should be, or with another verify_data under the right keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verify {
    Right,
    Wrong,
}

struct WriteKey {
    key: Key128,
    salt: [u8; 4],
}

#[derive(Clone)]
pub(crate) struct Puppet {
    pub(crate) plays: Plays,
    identity: Vec<u8>,
    psk: Vec<u8>,
    pub(crate) client_random: [u8; 32],
    pub(crate) server_random: [u8; 32],
    /// message_seq of the ClientHello that counts.
    pub(crate) hello_seq: u16,
    pub(crate) cookie: Vec<u8>,
    pub(crate) extended_master_secret: bool,
    /// What the other end wants to read in our records.
    pub(crate) cid: Vec<u8>,
    /// What the hellos' extensions are, without their length.
    pub(crate) extensions: Vec<u8>,
    pub(crate) plain_seq: u64,
    pub(crate) sealed_seq: u64,
    /// The next message's number, if not the one of its place.
    pub(crate) forced_seq: Option<u16>,
    /// The transcript, in its parts.
    hello: Vec<u8>,
    server_hello: Vec<u8>,
    hint: Vec<u8>,
    done: Vec<u8>,
    exchange: Vec<u8>,
    client_finished: Vec<u8>,
}

impl Puppet {
    pub(crate) fn new(plays: Plays, identity: &[u8], psk: &[u8]) -> Self {
        let mut extensions = extension(RENEGOTIATION_INFO, &[0]);
        extensions.extend(extension(EXTENDED_MASTER_SECRET, &[]));
        Self {
            plays,
            identity: identity.to_vec(),
            psk: psk.to_vec(),
            client_random: [0xc1; 32],
            server_random: [0x5e; 32],
            hello_seq: 0,
            cookie: Vec::new(),
            extended_master_secret: true,
            cid: Vec::new(),
            extensions,
            plain_seq: 0,
            sealed_seq: 0,
            forced_seq: None,
            hello: Vec::new(),
            server_hello: Vec::new(),
            hint: Vec::new(),
            done: Vec::new(),
            exchange: Vec::new(),
            client_finished: Vec::new(),
        }
    }

    /// A record of epoch 0 under the next number.
    pub(crate) fn plain(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        self.plain_seq += 1;
        record(kind, 0, self.plain_seq - 1, body)
    }

    pub(crate) fn say(&mut self, message: &[u8]) -> Vec<u8> {
        self.plain(HANDSHAKE, message)
    }

    /// Whether the messages are there that the keys come from.
    pub(crate) fn has_keys(&self) -> bool {
        !self.exchange.is_empty()
    }

    fn number(&self, of_its_place: u16) -> u16 {
        self.forced_seq.unwrap_or(of_its_place)
    }

    /// The number of the message behind the server's first flight.
    pub(crate) fn exchange_seq(&self) -> u16 {
        self.hello_seq + 1
    }

    /// A ClientHello with the cookie that was heard, if any.
    pub(crate) fn client_hello(&mut self) -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend_from_slice(&self.client_random);
        body.push(0);
        body.push(self.cookie.len() as u8);
        body.extend_from_slice(&self.cookie);
        body.extend_from_slice(&[0, 2, 0xc0, 0xa8, 1, 0]);
        body.extend_from_slice(&(self.extensions.len() as u16).to_be_bytes());
        body.extend_from_slice(&self.extensions);
        self.hello_seq = self.number(self.hello_seq);
        self.hello = message(1, self.hello_seq, &body);
        self.hello.clone()
    }

    pub(crate) fn hello_verify_request(&self, cookie: &[u8]) -> Vec<u8> {
        let body = [&[0xfe, 0xff, cookie.len() as u8][..], cookie].concat();
        message(3, self.number(self.hello_seq), &body)
    }

    pub(crate) fn server_hello(&mut self) -> Vec<u8> {
        let mut body = vec![0xfe, 0xfd];
        body.extend_from_slice(&self.server_random);
        body.extend_from_slice(&[0, 0xc0, 0xa8, 0]);
        body.extend_from_slice(&(self.extensions.len() as u16).to_be_bytes());
        body.extend_from_slice(&self.extensions);
        self.server_hello = message(2, self.number(self.hello_seq), &body);
        self.server_hello.clone()
    }

    /// A ServerKeyExchange: an identity hint, and that an empty one.
    pub(crate) fn hint(&mut self) -> Vec<u8> {
        let hint = message(12, self.number(self.hello_seq + 1), &[0, 0]);
        if self.done.is_empty() {
            self.hint.clone_from(&hint);
        }
        hint
    }

    pub(crate) fn server_hello_done(&mut self) -> Vec<u8> {
        let seq = self.hello_seq + 1 + u16::from(!self.hint.is_empty());
        self.done = message(14, self.number(seq), &[]);
        self.done.clone()
    }

    pub(crate) fn client_key_exchange(&mut self) -> Vec<u8> {
        let body = [&(self.identity.len() as u16).to_be_bytes()[..], &self.identity].concat();
        self.exchange = message(16, self.number(self.exchange_seq()), &body);
        self.exchange.clone()
    }

    fn transcript(&self) -> [u8; 32] {
        let parts = [&self.hello, &self.server_hello, &self.hint, &self.done, &self.exchange]
            .map(|p| &p[..]);
        Sha256::of(&parts.concat())
    }

    fn master(&self) -> [u8; 48] {
        let len = (self.psk.len() as u16).to_be_bytes();
        let zeros = vec![0; self.psk.len()];
        let premaster = [&len[..], &zeros, &len, &self.psk].concat();
        let mut master = [0; 48];
        if self.extended_master_secret {
            let hash = self.transcript();
            tls12_prf(&premaster, b"extended master secret", &[&hash], &mut master);
        } else {
            let seed = [&self.client_random[..], &self.server_random];
            tls12_prf(&premaster, b"master secret", &seed, &mut master);
        }
        master
    }

    fn write_key(&self, plays: Plays) -> WriteKey {
        let mut block = [0; 40];
        if self.has_keys() {
            let seed = [&self.server_random[..], &self.client_random];
            tls12_prf(&self.master(), b"key expansion", &seed, &mut block);
        }
        let (key, salt) = match plays {
            Plays::Client => (&block[..16], &block[32..36]),
            Plays::Server => (&block[16..32], &block[36..]),
        };
        let salt = [salt[0], salt[1], salt[2], salt[3]];
        WriteKey { key: Key128::from_slice(key).expect("16 octets"), salt }
    }

    pub(crate) fn verify_data(&self, plays: Plays) -> [u8; 12] {
        let (label, hash): (&[u8], _) = match plays {
            Plays::Client => (b"client finished", self.transcript()),
            Plays::Server => {
                let parts = [&self.hello, &self.server_hello, &self.hint, &self.done];
                let parts = parts.map(|part| &part[..]).concat();
                let all = [&parts[..], &self.exchange, &self.client_finished].concat();
                (b"server finished", Sha256::of(&all))
            }
        };
        let mut out = [0; 12];
        tls12_prf(&self.master(), label, &[&hash], &mut out);
        out
    }

    /// Our Finished, not yet sealed.
    pub(crate) fn finished(&mut self, verify: Verify) -> Vec<u8> {
        let mut data = self.verify_data(self.plays);
        if verify == Verify::Wrong {
            data[3] ^= 1;
        }
        match self.plays {
            Plays::Client => {
                let finished = message(20, self.number(self.exchange_seq() + 1), &data);
                if verify == Verify::Right {
                    self.client_finished.clone_from(&finished);
                }
                finished
            }
            Plays::Server => {
                let seq = self.hello_seq + 2 + u16::from(!self.hint.is_empty());
                message(20, self.number(seq), &data)
            }
        }
    }

    /// A record of epoch 1, with the connection ID that the other end asked for.
    pub(crate) fn seal(&mut self, kind: u8, plaintext: &[u8]) -> Vec<u8> {
        self.sealed_seq += 1;
        if self.cid.is_empty() {
            return self.seal_as(kind, self.sealed_seq - 1, &[], plaintext);
        }
        let inner = [plaintext, &[kind]].concat();
        let cid = self.cid.clone();
        self.seal_as(TLS12_CID, self.sealed_seq - 1, &cid, &inner)
    }

    /// A record of epoch 1 that is sealed well, whatever it says.
    pub(crate) fn seal_as(&self, outer: u8, seq: u64, cid: &[u8], inner: &[u8]) -> Vec<u8> {
        let WriteKey { key, salt } = self.write_key(self.plays);
        let number = (1 << 48 | seq).to_be_bytes();
        let mut sealed = inner.to_vec();
        let mut tag = [0; 8];
        let aad = aad(outer, number, cid, inner.len());
        SoftCcm.seal(&key, &[&salt[..], &number].concat(), &aad, &mut sealed, &mut tag);
        let body = [&number[..], &sealed, &tag].concat();
        let mut octets = record(outer, 1, seq, &body);
        octets.splice(11..11, cid.iter().copied());
        octets
    }

    /// What the other end sealed for us, who gave out a connection ID of `cid_len` octets: type and content.
    pub(crate) fn open(&self, octets: &[u8], cid_len: usize) -> Option<(u8, Vec<u8>)> {
        let other = match self.plays {
            Plays::Client => Plays::Server,
            Plays::Server => Plays::Client,
        };
        let WriteKey { key, salt } = self.write_key(other);
        let outer = octets[0];
        let cid_len = if outer == TLS12_CID { cid_len } else { 0 };
        let (head, body) = octets.split_at_checked(13 + cid_len)?;
        let (nonce, sealed) = body.split_at_checked(8)?;
        let (inner, tag) = sealed.split_at_checked(sealed.len().checked_sub(8)?)?;
        let number = head[3..11].try_into().expect("8 octets");
        let aad = aad(outer, number, &head[11..11 + cid_len], inner.len());
        let mut inner = inner.to_vec();
        SoftCcm.open(&key, &[&salt[..], nonce].concat(), &aad, &mut inner, tag).ok()?;
        if outer != TLS12_CID {
            return Some((outer, inner));
        }
        let at = inner.iter().rposition(|octet| *octet != 0)?;
        let kind = inner[at];
        inner.truncate(at);
        Some((kind, inner))
    }

    /// Learns from a datagram of the other end what the next message needs.
    pub(crate) fn hear(&mut self, datagram: &[u8]) {
        let mut rest = datagram;
        while rest.len() >= 13 {
            let len = usize::from(u16::from_be_bytes([rest[11], rest[12]]));
            let (record, tail) = rest.split_at(rest.len().min(13 + len));
            rest = tail;
            let sealed = u16::from_be_bytes([record[3], record[4]]) > 0;
            match (record[0], self.plays) {
                (HANDSHAKE, Plays::Server) if sealed => {
                    if let Some((HANDSHAKE, finished)) = self.open(record, 0) {
                        self.client_finished = finished;
                    }
                }
                (HANDSHAKE, _) if !sealed => self.hear_message(&record[13..]),
                _ => {}
            }
        }
    }

    fn hear_message(&mut self, message: &[u8]) {
        let (header, body) = message.split_at(12);
        match (self.plays, header[0]) {
            (Plays::Server, 1) if self.hello != message => {
                self.hello = message.to_vec();
                self.hello_seq = u16::from_be_bytes([header[4], header[5]]);
                self.client_random.copy_from_slice(&body[2..34]);
                for part in [&mut self.server_hello, &mut self.hint, &mut self.done] {
                    part.clear();
                }
                self.exchange.clear();
                self.client_finished.clear();
            }
            (Plays::Server, 16) => self.exchange = message.to_vec(),
            (Plays::Client, 3) => {
                self.cookie = body[3..].to_vec();
                self.hello_seq = 1;
            }
            (Plays::Client, 2) if self.server_hello != message => {
                self.server_hello = message.to_vec();
                self.server_random.copy_from_slice(&body[2..34]);
                let found = server_extensions(body);
                self.extended_master_secret =
                    found.iter().any(|(kind, _)| *kind == EXTENDED_MASTER_SECRET);
                let cid = found.iter().find(|(kind, _)| *kind == CONNECTION_ID);
                self.cid = cid.map_or(Vec::new(), |(_, data)| data[1..].to_vec());
                self.exchange.clear();
                self.sealed_seq = 0;
            }
            (Plays::Client, 14) => self.done = message.to_vec(),
            _ => {}
        }
    }
}

/// The extensions of a ServerHello.
pub(crate) fn server_extensions(body: &[u8]) -> Vec<(u16, &[u8])> {
    let at = 34 + 1 + usize::from(body[34]) + 3;
    body.get(at + 2..).map_or(Vec::new(), |block| extensions(block).expect("whole extensions"))
}

/// RFC 5246 section 6.2.3.3 and RFC 9146 section 5.3.
fn aad(outer: u8, number: [u8; 8], cid: &[u8], inner_len: usize) -> Vec<u8> {
    let len = (inner_len as u16).to_be_bytes();
    if outer == TLS12_CID {
        let head = [&[0xff; 8][..], &[TLS12_CID, cid.len() as u8, TLS12_CID, 0xfe, 0xfd]].concat();
        return [&head[..], &number, cid, &len].concat();
    }
    [&number[..], &[outer, 0xfe, 0xfd], &len].concat()
}
