//! What anybody may send, made from any octets: the fuzz targets, which the tests run over the committed
//! corpora. Nothing panics, nothing is believed that is not authentic, and an honest client still gets in.

use crate::ends::{Guest, Hall, IDENTITY, KEY, at};
use crate::puppet::{
    APPLICATION_DATA, CHANGE_CIPHER_SPEC, CONNECTION_ID, EXTENDED_MASTER_SECRET, HANDSHAKE,
    HEARTBEAT, HEARTBEAT_EXTENSION, Plays, Puppet, RETURN_ROUTABILITY, Verify, extension,
    extensions, fragment, server_extensions,
};
use lowgate_dtls::{ContentType, FragmentLen};

/// Takes any octets; panics where something is wrong.
pub(crate) type Target = fn(&[u8]);

/// Each by its name, which its corpus has too.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("record", records),
    ("handshake_client", handshake_client),
    ("handshake_server", handshake_server),
    ("sealed", sealed),
    ("reassembly", reassembly),
    ("extensions", hello_extensions),
    ("heartbeat", heartbeat),
    ("cid", cid),
    #[cfg(feature = "x509")]
    ("certificates", crate::forged::certificates),
];

/// Datagrams of one input that are looked at.
const CHUNKS_MAX: usize = 24;

/// Decisions and octets, taken from the front; nothing when there is none left.
pub(crate) struct Dice<'a>(pub(crate) &'a [u8]);

impl<'a> Dice<'a> {
    pub(crate) fn octet(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub(crate) fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    /// An octet of length, and as many octets or what is left.
    fn chunk(&mut self) -> &'a [u8] {
        let len = usize::from(self.octet()).min(self.0.len());
        let (chunk, rest) = self.0.split_at(len);
        self.0 = rest;
        chunk
    }

    fn turns(&mut self) -> impl Iterator<Item = ()> + use<> {
        std::iter::repeat_n((), CHUNKS_MAX)
    }

    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How far a handshake came before strangers join in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Nothing,
    Hellos,
    Keys,
    Session,
}

impl Stage {
    const fn of(octet: u8) -> Self {
        match octet & 3 {
            0 => Self::Nothing,
            1 => Self::Hellos,
            2 => Self::Keys,
            _ => Self::Session,
        }
    }
}

/// A puppet client in the hall.
fn visit(hall: &mut Hall, stage: Stage, more_extensions: &[u8]) -> Puppet {
    let mut puppet = Puppet::new(Plays::Client, IDENTITY, KEY);
    puppet.extensions.extend_from_slice(more_extensions);
    if stage == Stage::Nothing {
        return puppet;
    }
    for _ in 0..2 {
        let hello = puppet.client_hello();
        let octets = puppet.say(&hello);
        hall.hear(&at(1), &octets).iter().for_each(|answer| puppet.hear(answer));
    }
    if stage >= Stage::Keys {
        let exchange = puppet.client_key_exchange();
        let mut octets = puppet.say(&exchange);
        octets.extend(puppet.plain(CHANGE_CIPHER_SPEC, &[1]));
        if stage == Stage::Session {
            let finished = puppet.finished(Verify::Right);
            octets.extend(puppet.seal(HANDSHAKE, &finished));
        }
        hall.hear(&at(1), &octets);
    }
    assert_eq!(hall.established.len(), usize::from(stage == Stage::Session));
    puppet
}

/// A puppet server and its guest.
fn receive(guest: &mut Guest, stage: Stage, more_extensions: &[u8]) -> Puppet {
    let mut puppet = Puppet::new(Plays::Server, IDENTITY, KEY);
    puppet.extensions.extend_from_slice(more_extensions);
    puppet.hear(&guest.sent[0]);
    if stage == Stage::Nothing {
        return puppet;
    }
    let mut flight = vec![puppet.server_hello()];
    if stage >= Stage::Keys {
        flight.push(puppet.server_hello_done());
    }
    for message in flight {
        let octets = puppet.say(&message);
        guest.hear(&octets).iter().for_each(|answer| puppet.hear(answer));
    }
    if stage >= Stage::Keys {
        let mut octets = puppet.plain(CHANGE_CIPHER_SPEC, &[1]);
        if stage == Stage::Session {
            let finished = puppet.finished(Verify::Right);
            octets.extend(puppet.seal(HANDSHAKE, &finished));
        }
        guest.hear(&octets);
    }
    assert_eq!(guest.established, usize::from(stage == Stage::Session));
    puppet
}

/// Somebody else gets in as if nothing had been.
fn expect_honest_join(hall: &mut Hall) {
    let before = hall.established.len();
    let mut guest = Guest::new(9, |_| {});
    guest.settle(hall, &at(9));
    assert_eq!((guest.established, hall.established.len()), (1, before + 1));
}

/// It gets in, or says in time why not.
fn expect_end(guest: &mut Guest) {
    if guest.established == 0 {
        guest.settle(&mut Hall::new(|_| {}), &at(1));
        assert!(guest.established == 1 || guest.closed.is_some());
    }
}

/// Datagrams of any octets, to both ends, at any stage.
fn records(octets: &[u8]) {
    let mut dice = Dice(octets);
    let how = dice.octet();
    let stage = Stage::of(how);
    let mut hall = Hall::new(|config| config.connection_id = how & 4 > 0);
    visit(&mut hall, stage, &extension(CONNECTION_ID, &[0]));
    let mut guest = Guest::new(1, |config| config.connection_id = how & 8 > 0);
    receive(&mut guest, stage, &[]);
    for () in dice.turns() {
        let datagram = dice.chunk();
        hall.hear(&at(1), datagram);
        guest.hear(datagram);
    }
    let sessions = usize::from(stage == Stage::Session);
    assert_eq!((hall.established.len(), guest.established), (sessions, sessions));
    assert!(hall.received.is_empty() && guest.received.is_empty());
    assert!(hall.closed.is_empty() && (sessions == 0 || guest.closed.is_none()));
    expect_honest_join(&mut hall);
    expect_end(&mut guest);
}

/// One record of epoch 0 with a header that fits, and mostly a handshake message in it.
fn plain_record(dice: &mut Dice<'_>, puppet: &mut Puppet) -> Vec<u8> {
    const KINDS: [u8; 16] = [0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 20, 1, 2, 3, 16];
    let how = dice.octet();
    let seq = u16::from(dice.octet() & 7);
    let lie = if how & 0x40 > 0 { dice.number() } else { 0 };
    let body = dice.chunk();
    if how & 0x80 > 0 {
        let kind = 20 + (how & 15);
        return puppet.plain(kind, body);
    }
    let offset = usize::from(lie >> 8);
    let len = (body.len() + offset) ^ usize::from(lie & 0xff);
    let message = fragment(KINDS[usize::from(how & 15)], seq, len, offset, body);
    puppet.say(&message)
}

fn handshake_server(octets: &[u8]) {
    let mut dice = Dice(octets);
    let stage = Stage::of(dice.octet() % 3);
    let mut hall = Hall::new(|config| (config.tickets, config.heartbeat) = (true, true));
    let mut puppet = visit(&mut hall, stage, &extension(35, &[]));
    for () in dice.turns() {
        if dice.is_empty() {
            break;
        }
        let octets = plain_record(&mut dice, &mut puppet);
        hall.hear(&at(1), &octets);
    }
    assert!(hall.established.is_empty() && hall.received.is_empty() && hall.closed.is_empty());
    assert!(hall.server.half_open_count() <= 1);
    expect_honest_join(&mut hall);
}

fn handshake_client(octets: &[u8]) {
    let mut dice = Dice(octets);
    let stage = Stage::of(dice.octet() % 3);
    let mut guest =
        Guest::new(1, |config| (config.session_ticket, config.heartbeat) = (true, true));
    let mut puppet = receive(&mut guest, stage, &extension(35, &[]));
    for () in dice.turns() {
        if dice.is_empty() {
            break;
        }
        let octets = plain_record(&mut dice, &mut puppet);
        guest.hear(&octets);
    }
    assert!(guest.established == 0 && guest.received.is_empty());
    expect_end(&mut guest);
}

/// Records that are sealed well and say anything, before the Finished and after it, in both roles.
fn sealed(octets: &[u8]) {
    let mut dice = Dice(octets);
    let how = dice.octet();
    let stage = if how & 1 > 0 { Stage::Session } else { Stage::Keys };
    let mut hall =
        Hall::new(|config| (config.connection_id, config.heartbeat) = (how & 2 > 0, true));
    let extra = [extension(CONNECTION_ID, &[0]), extension(HEARTBEAT_EXTENSION, &[1])].concat();
    let mut client = visit(&mut hall, stage, &extra);
    let mut guest = Guest::new(1, |config| config.heartbeat = true);
    let mut server = receive(&mut guest, stage, &extension(HEARTBEAT_EXTENSION, &[1]));
    let mut payloads = Vec::new();
    for () in dice.turns() {
        if dice.is_empty() {
            break;
        }
        let kind = 19 + (dice.octet() & 15);
        let plaintext = dice.chunk();
        if kind == APPLICATION_DATA {
            payloads.push((ContentType::ApplicationData, plaintext.to_vec()));
        }
        let up = client.seal(kind, plaintext);
        hall.hear(&at(1), &up);
        let down = server.seal(kind, plaintext);
        guest.hear(&down);
    }
    if stage == Stage::Keys {
        assert_eq!((hall.established.len(), guest.established), (0, 0));
        payloads.clear();
    }
    // What came before an alert that ended it.
    assert_eq!(hall.received, payloads[..hall.received.len()]);
    assert_eq!(guest.received, payloads[..guest.received.len()]);
    let whole = |closed: bool, got: usize| stage == Stage::Keys || closed || got == payloads.len();
    assert!(whole(!hall.closed.is_empty(), hall.received.len()));
    assert!(whole(guest.closed.is_some(), guest.received.len()));
    expect_honest_join(&mut hall);
}

/// A genuine message, cut as the octets say, with lengths that may lie; whether its place does.
fn piece(dice: &mut Dice<'_>, messages: &[Vec<u8>]) -> (Vec<u8>, bool) {
    let which = dice.octet();
    let message = &messages[usize::from(which) % messages.len()];
    let body = &message[12..];
    let from = usize::from(dice.octet()).min(body.len());
    let to = (from + usize::from(dice.octet())).min(body.len());
    let len = body.len() ^ if which & 0x80 > 0 { usize::from(dice.octet()) } else { 0 };
    let offset = from ^ if which & 0x40 > 0 { usize::from(dice.octet()) } else { 0 };
    let seq = u16::from_be_bytes([message[4], message[5]]);
    (fragment(message[0], seq, len, offset, &body[from..to]), offset != from)
}

/// Whatever pieces came before: the whole messages count.
fn reassembly(octets: &[u8]) {
    let mut dice = Dice(octets);
    let mut hall = Hall::new(|_| {});
    let mut client = visit(&mut hall, Stage::Nothing, &[]);
    let hello = client.client_hello();
    let octets = client.say(&hello);
    hall.hear(&at(1), &octets).iter().for_each(|answer| client.hear(answer));
    let up = [client.client_hello(), client.clone().client_key_exchange()];
    let mut guest = Guest::new(1, |_| {});
    let mut server = receive(&mut guest, Stage::Nothing, &[]);
    let down = [server.server_hello(), server.server_hello_done()];
    let mut forged = false;
    for () in dice.turns() {
        if dice.is_empty() {
            break;
        }
        let (part, _) = piece(&mut Dice(dice.0), &up);
        let octets = client.say(&part);
        hall.hear(&at(1), &octets).iter().for_each(|answer| client.hear(answer));
        let (part, displaced) = piece(&mut dice, &down);
        forged |= displaced;
        let octets = server.say(&part);
        guest.hear(&octets).iter().for_each(|answer| server.hear(answer));
    }
    let octets = client.say(&up[0]);
    hall.hear(&at(1), &octets).iter().for_each(|answer| client.hear(answer));
    let exchange = client.client_key_exchange();
    let mut octets = client.say(&exchange);
    octets.extend(client.plain(CHANGE_CIPHER_SPEC, &[1]));
    let finished = client.finished(Verify::Right);
    octets.extend(client.seal(HANDSHAKE, &finished));
    hall.hear(&at(1), &octets);
    assert_eq!(hall.established.len(), 1);
    for message in down {
        let octets = server.say(&message);
        guest.hear(&octets).iter().for_each(|answer| server.hear(answer));
    }
    let mut octets = server.plain(CHANGE_CIPHER_SPEC, &[1]);
    let finished = server.finished(Verify::Right);
    octets.extend(server.seal(HANDSHAKE, &finished));
    guest.hear(&octets);
    // A ServerHello of displaced octets is another one, as good as the genuine one until a Finished comes.
    assert!(guest.established == 1 || forged);
    expect_end(&mut guest);
    assert_eq!(guest.established, 1);
}

/// RFC 5246 section 7.4.1.4: the answer has no extension that the hello had not, whatever that had.
fn hello_extensions(octets: &[u8]) {
    let (how, block) = octets.split_first().unwrap_or((&0, &[]));
    let mut hall = Hall::new(|config| {
        (config.heartbeat, config.tickets) = (true, how & 1 > 0);
        config.server_name = (how & 2 > 0).then(|| "a".into());
        config.resumable_max = usize::from(how & 4);
    });
    let mut client = Puppet::new(Plays::Client, IDENTITY, KEY);
    if how & 8 > 0 {
        client.extensions.clear();
    }
    client.extensions.extend_from_slice(&block[..block.len().min(1500)]);
    for _ in 0..2 {
        let hello = client.client_hello();
        let octets = client.say(&hello);
        for answer in hall.hear(&at(1), &octets) {
            if answer[0] == HANDSHAKE && answer[13] == 2 {
                let own = client.extensions.clone();
                let asked = extensions(&own).expect("who is answered asked well");
                let len = usize::from(u16::from_be_bytes([answer[11], answer[12]]));
                for (kind, _) in server_extensions(&answer[25..13 + len]) {
                    assert!(asked.iter().any(|(asked, _)| *asked == kind), "{kind}");
                }
            }
            client.hear(&answer);
        }
    }
    assert_eq!(hall.server.half_open_count() + hall.failed.len().min(1), 1);
    expect_honest_join(&mut hall);
    let mut guest = Guest::new(1, |config| {
        config.connection_id = how & 1 > 0;
        config.heartbeat = how & 2 > 0;
        config.session_ticket = how & 4 > 0;
        config.fragment_len = (how & 16 > 0).then_some(FragmentLen::Octets512);
    });
    let hello_len = guest.sent[0].len();
    let mut server = Puppet::new(Plays::Server, IDENTITY, KEY);
    server.hear(&guest.sent[0]);
    server.extensions = block[..block.len().min(1500)].to_vec();
    for message in [server.server_hello(), server.server_hello_done()] {
        let octets = server.say(&message);
        guest.hear(&octets).iter().for_each(|answer| server.hear(answer));
    }
    if server.has_keys() {
        let given = extensions(&server.extensions).expect("who is believed answered well");
        assert!(given.iter().any(|(kind, _)| *kind == EXTENDED_MASTER_SECRET));
        // Header 25, fixed 34, session id 1, cookie 1, suites 4, compression 2, length 2.
        let asked = extensions(&guest.sent[0][25 + 44..hello_len]).expect("our own");
        assert!(given.iter().all(|(kind, _)| asked.iter().any(|(asked, _)| asked == kind)));
    }
    expect_end(&mut guest);
}

/// RFC 6520 section 4: what comes back is what was sent, not an octet more.
fn heartbeat(octets: &[u8]) {
    let mut dice = Dice(octets);
    let mode = extension(HEARTBEAT_EXTENSION, &[1]);
    let mut hall = Hall::new(|config| config.heartbeat = true);
    let mut client = visit(&mut hall, Stage::Session, &mode);
    let mut guest = Guest::new(1, |config| config.heartbeat = true);
    let mut server = receive(&mut guest, Stage::Session, &mode);
    for () in dice.turns() {
        if dice.is_empty() {
            break;
        }
        let request = dice.chunk();
        let up = client.seal(HEARTBEAT, request);
        let answers = hall.hear(&at(1), &up);
        expect_echo(request, answers.iter().map(|answer| client.open(answer, 0)).collect());
        let down = server.seal(HEARTBEAT, request);
        let answers = guest.hear(&down);
        expect_echo(request, answers.iter().map(|answer| server.open(answer, 0)).collect());
    }
    assert!(hall.closed.is_empty() && guest.closed.is_none());
    assert!(hall.received.is_empty() && guest.received.is_empty());
}

fn expect_echo(request: &[u8], answers: Vec<Option<(u8, Vec<u8>)>>) {
    let payload = request.split_at_checked(3).and_then(|(head, rest)| {
        let len = usize::from(u16::from_be_bytes([head[1], head[2]]));
        (head[0] == 1 && rest.len() >= len + 16).then(|| &rest[..len])
    });
    let Some(payload) = payload else {
        assert!(answers.is_empty(), "silently discarded");
        return;
    };
    let [Some((HEARTBEAT, answer))] = &answers[..] else { panic!("one answer: {answers:?}") };
    assert_eq!((answer[0], &answer[3..answer.len() - 16]), (2, payload));
    assert_eq!(answer[1..3], request[1..3]);
}

/// Connection IDs of any length towards the client; records with right and wrong ones, from anywhere, with
/// any inner type and padding, towards the server.
fn cid(octets: &[u8]) {
    let mut dice = Dice(octets);
    let (mut own, checked) = (dice.chunk().to_vec(), dice.octet() & 1);
    own.truncate(255);
    let offer = [&[own.len() as u8][..], &own].concat();
    let mut extra = extension(CONNECTION_ID, &offer);
    if checked == 1 {
        extra.extend(extension(RETURN_ROUTABILITY, &[]));
    }
    let mut hall = Hall::new(|config| config.return_routability = true);
    let mut client = visit(&mut hall, Stage::Session, &extra);
    let session = hall.established[0];
    assert_eq!(client.cid.len(), 4);
    let mut payloads = Vec::new();
    for () in dice.turns() {
        if dice.is_empty() {
            break;
        }
        let (how, kind, padding) = (dice.octet(), dice.octet(), usize::from(dice.octet() & 31));
        let content = dice.chunk();
        let inner = [content, &[kind], &vec![0; padding]].concat();
        let from = at(1 + u16::from(how >> 5));
        let mut cid = client.cid.clone();
        match how & 7 {
            1 => cid[usize::from(how >> 3 & 3)] ^= 1,
            2 => cid.truncate(3),
            3 => cid.push(0),
            _ => {}
        }
        client.sealed_seq += 1;
        let mut octets = match how & 7 {
            // Sealed well, but as who has no connection ID would.
            4 => client.seal_as(APPLICATION_DATA, client.sealed_seq, &[], content),
            _ => client.seal_as(25, client.sealed_seq, &cid, &inner),
        };
        let genuine = cid == client.cid && !matches!(how & 7, 4 | 5);
        if how & 7 == 5 {
            let last = octets.len() - 1;
            octets[last] ^= 0x80;
        }
        let (moved, got) = (hall.moved.len(), hall.received.len());
        hall.hear(&from, &octets);
        if !genuine {
            assert_eq!((hall.moved.len(), hall.received.len()), (moved, got));
        } else if let Some(at) = inner.iter().rposition(|octet| *octet != 0)
            && inner[at] == APPLICATION_DATA
        {
            // RFC 9146 section 4: the type is the last octet that is not padding.
            payloads.push((ContentType::ApplicationData, inner[..at].to_vec()));
        }
        if !hall.closed.is_empty() {
            break;
        }
    }
    // Who can be asked is asked first: nobody answers here.
    assert!(checked == 0 || hall.moved.is_empty());
    assert_eq!(hall.received, payloads);
    if hall.closed.is_empty() {
        hall.server
            .send(hall.now, session, ContentType::ApplicationData, b"down")
            .expect("session");
        hall.drain();
        let (_, down) = hall.sent.last().expect("sent");
        let opened = client.open(down, own.len());
        assert_eq!(opened, Some((APPLICATION_DATA, b"down".to_vec())));
    }
}
