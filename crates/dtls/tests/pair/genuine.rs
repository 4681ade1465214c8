//! Purpose: every order of the messages of a genuine handshake, cut into its records: on P-256 with a pre-shared key
//! and with raw public keys, and of a session that is resumed by its id and by a ticket. RFC 5246 section 7.3,
//! RFC 5489, RFC 7250, RFC 6347 section 4.2.4. `order.rs` has the other suite, and an end that was written apart.
//! Criteria: a session exactly when a Finished came behind all that it stands for, in whatever order those came; no
//! payload before it, no alert without a Finished that was wrong; and then the honest rest makes a session, once.
//! `cargo xtask soak dtls-orders` goes up to four words of all and five of those that the handshake is made of, or as
//! far as it is told; every day there are two of all, of a resumption three, and three to five of its own.

use crate::ends::{Guest, Hall, IDENTITY, KEY, at};
use crate::soak::rounds;
use crate::world::{private_key, records};
use lowgate_crypto::{PublicKey, Secret};
use lowgate_dtls::{
    CipherSuite, ClientConfig, Credential, Identity, Psk, PskDirectory, SavedSession, ServerConfig,
    WithoutExchange,
};

/// Whose key the server's is.
const SERVER: u8 = 0x5e;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    SessionId,
    Ticket,
}

/// Which handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Full(CipherSuite),
    Resumed(By),
}

use Course::{Full, Resumed};

const COURSES: [Course; 4] = [
    Full(CipherSuite::EcdhePsk),
    Full(CipherSuite::EcdheEcdsa),
    Resumed(By::SessionId),
    Resumed(By::Ticket),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// The record of the flight that has this place: 0 is its first message.
    Genuine(usize),
    /// The last of them, with a tag that does not fit.
    WrongFinished,
    /// The hello of the end that it comes to, thrown back.
    Reflected,
    /// In the clear.
    Payload,
    FatalAlert,
    ChangeCipherSpec,
}

use Word::{ChangeCipherSpec, FatalAlert, Genuine, Payload, Reflected, WrongFinished};

const NOISE: [Word; 5] = [WrongFinished, Reflected, Payload, FatalAlert, ChangeCipherSpec];

fn plain(kind: u8, seq: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0x40 | seq, 0, body.len() as u8], body].concat()
}

fn hall(course: Course) -> Hall {
    let edit = |config: &mut ServerConfig| {
        config.raw_key = Some(private_key(SERVER));
        config.connection_id = false;
        config.resumable_max = usize::from(course == Resumed(By::SessionId));
        config.tickets = course == Resumed(By::Ticket);
    };
    let mut hall = Hall::new(edit);
    hall.directory = Box::new(Known);
    hall
}

/// One device, by both of its keys.
struct Known;

impl PskDirectory for Known {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        (identity == IDENTITY).then(|| Psk::new(KEY)).flatten()
    }

    fn owner(&self, key: &PublicKey) -> Option<Identity> {
        let known = *key == private_key(1).public();
        known.then(|| Identity::from_slice(IDENTITY).expect("short"))
    }
}

fn guest(course: Course, random: u8, resume: Option<SavedSession>) -> Guest {
    Guest::new(random, |config: &mut ClientConfig<'_>| {
        let seed = Secret::new([random; 32]);
        let Credential::Psk { identity, psk } = config.credential.clone() else { return };
        match course {
            Full(CipherSuite::EcdhePsk) => {
                let without = WithoutExchange::Refuse;
                config.credential = Credential::EcdhePsk { identity, psk, seed, without };
            }
            Full(CipherSuite::EcdheEcdsa) => {
                let (own, server) = (private_key(1), private_key(SERVER));
                config.credential = Credential::RawKey { own, server: server.public(), seed };
            }
            Full(CipherSuite::Psk) | Resumed(_) => {}
        }
        config.session_ticket = course == Resumed(By::Ticket);
        config.resume = resume;
    })
}

/// Both ends, at the point where the client is about to say its hello with the cookie. `earlier` sessions lie behind.
struct Scene {
    hall: Hall,
    guest: Guest,
    earlier: usize,
}

impl Scene {
    fn new(course: Course) -> Self {
        let mut hall = hall(course);
        let mut resume = None;
        if let Resumed(_) = course {
            let mut first = guest(course, 1, None);
            first.settle(&mut hall, &at(1));
            resume = first.client.saved_session().cloned();
            assert!(resume.is_some(), "it can be resumed");
        }
        let mut guest = guest(course, 2, resume);
        let asked = hall.hear(&at(2), &guest.sent[0]);
        asked.iter().for_each(|octets| drop(guest.hear(octets)));
        assert_eq!(guest.sent.len(), 2, "the hello with the cookie");
        let earlier = hall.established.len();
        Self { hall, guest, earlier }
    }

    fn server_hears(&mut self, octets: &[u8]) -> Vec<Vec<u8>> {
        self.hall.hear(&at(2), octets)
    }

    fn sessions(&self) -> usize {
        self.hall.established.len() - self.earlier
    }
}

/// The records of all of these datagrams.
fn cut(datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
    datagrams.iter().flat_map(|octets| records(octets, 0)).map(|record| record.3).collect()
}

fn spoilt(record: &[u8]) -> Vec<u8> {
    let mut octets = record.to_vec();
    *octets.last_mut().expect("a tag") ^= 1;
    octets
}

/// The client's last flight, once the server has answered its hello.
fn to_server(course: Course, order: &[Word]) {
    let mut scene = Scene::new(course);
    let hello = scene.guest.sent[1].clone();
    let answer = scene.server_hears(&hello);
    let before = scene.guest.sent.len();
    answer.iter().for_each(|octets| drop(scene.guest.hear(octets)));
    let flight = cut(&scene.guest.sent[before..]);
    let last = flight.len() - 1;
    assert_eq!(flight.len(), genuine(course, Towards::Server));
    let (mut heard, mut done) = (vec![false; flight.len()], false);
    for (i, word) in order.iter().enumerate() {
        let octets = say(*word, i, &flight, &cut(&answer)[0]);
        scene.server_hears(&octets);
        if let Some(place) = place(*word, &flight) {
            // A session exactly when the last one finds all others there.
            done |= place == last && heard[..last].iter().all(|it| *it);
            heard[place] = true;
        }
        assert_eq!(scene.sessions(), usize::from(done), "after {i}");
    }
    expect_quiet(order, &scene);
    if !done {
        // The client repeats itself until it is in.
        scene.guest.now += lowgate_units::Duration::from_secs(3);
        scene.hall.now = scene.guest.now;
        for octets in &flight {
            scene.server_hears(octets);
        }
    }
    assert_eq!(scene.sessions(), 1, "still completes");
    assert!(scene.hall.received.is_empty() && scene.hall.closed.is_empty());
}

/// The server's flights: its answer to the hello, and, when the client answered that in turn, its last one.
fn to_client(course: Course, order: &[Word]) {
    let mut scene = Scene::new(course);
    let hello = scene.guest.sent[1].clone();
    let answer = cut(&scene.server_hears(&hello));
    let (places, mut later) = (genuine(course, Towards::Client), Vec::new());
    let own = places - answer.len();
    let (mut heard, mut done) = (vec![false; places], false);
    for (i, word) in order.iter().enumerate() {
        let flight: Vec<_> = [&answer[..], &later].concat();
        // What the server has not said yet, nobody can bring.
        let missing = matches!(word, Genuine(place) if *place >= flight.len());
        let needs_last = *word == WrongFinished && flight.len() < places;
        if missing || needs_last {
            continue;
        }
        let octets = say(*word, i, &flight, &hello);
        let before = scene.guest.sent.len();
        scene.guest.hear(&octets);
        let said: Vec<_> = scene.guest.sent[before..].to_vec();
        if let Some(place) = place(*word, &flight) {
            let (last, cipher) = (places - 1, places - 2);
            done |= place == last && heard[..last].iter().all(|it| *it);
            // A ChangeCipherSpec counts behind all that it follows: before it there are no keys to change to.
            heard[place] |= place != cipher || heard[..cipher].iter().all(|it| *it);
        }
        assert_eq!(scene.guest.established, usize::from(done), "after {i}");
        let answered = !said.is_empty() && own > 0 && later.is_empty();
        if answered {
            assert!(heard[..answer.len()].iter().all(|it| *it), "an answer to half a flight");
            let more: Vec<_> = said.iter().flat_map(|octets| scene.server_hears(octets)).collect();
            later = cut(&more);
            assert_eq!(later.len(), own);
        }
    }
    assert!(scene.guest.received.is_empty() && scene.guest.closed.is_none());
    // The rest in order: the client repeats itself, the server too.
    let Scene { mut hall, mut guest, .. } = scene;
    if guest.established == 0 {
        guest.settle(&mut hall, &at(2));
    }
    assert_eq!((guest.established, guest.closed), (1, None), "still completes");
    assert!(guest.received.is_empty());
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Towards {
    Server,
    Client,
}

/// How many records the flights towards that end have.
const fn genuine(course: Course, towards: Towards) -> usize {
    match (course, towards) {
        // ClientKeyExchange, ChangeCipherSpec, Finished.
        (Full(CipherSuite::Psk | CipherSuite::EcdhePsk), Towards::Server) => 3,
        // The same behind Certificate, and CertificateVerify.
        (Full(CipherSuite::EcdheEcdsa), Towards::Server) => 5,
        (Resumed(_), Towards::Server) => 2,
        // ServerHello, ServerHelloDone, ChangeCipherSpec, Finished.
        (Full(CipherSuite::Psk), Towards::Client) => 4,
        // ServerKeyExchange too.
        (Full(CipherSuite::EcdhePsk), Towards::Client) => 5,
        // Certificate and CertificateRequest too.
        (Full(CipherSuite::EcdheEcdsa), Towards::Client) => 7,
        (Resumed(_), Towards::Client) => 3,
    }
}

/// Which place of the flight a word fills; anybody can say ChangeCipherSpec.
fn place(word: Word, flight: &[Vec<u8>]) -> Option<usize> {
    match word {
        Genuine(place) => Some(place),
        ChangeCipherSpec => flight.iter().position(|record| record[0] == 20),
        WrongFinished | Reflected | Payload | FatalAlert => None,
    }
}

fn say(word: Word, at: usize, flight: &[Vec<u8>], reflected: &[u8]) -> Vec<u8> {
    let seq = at as u8;
    match word {
        Genuine(place) => flight[place].clone(),
        WrongFinished => spoilt(flight.last().expect("a Finished")),
        Reflected => reflected.to_vec(),
        Payload => plain(23, seq, b"payload"),
        FatalAlert => plain(21, seq, &[2, 40]),
        ChangeCipherSpec => plain(20, seq, &[1]),
    }
}

fn expect_quiet(order: &[Word], scene: &Scene) {
    let wrong = order.contains(&WrongFinished);
    assert!(wrong || scene.hall.alerts() == 0, "{} alerts", scene.hall.alerts());
    assert!(scene.hall.failed.is_empty() && scene.hall.server.half_open_count() <= 1);
}

/// All orders of `len` words; how many there were.
fn each_order(alphabet: &[Word], len: u32, check: impl Fn(&[Word])) -> usize {
    let count = alphabet.len().pow(len);
    for number in 0..count {
        let mut rest = number;
        let order = (0..len).map(|_| {
            let word = alphabet[rest % alphabet.len()];
            rest /= alphabet.len();
            word
        });
        let order: Vec<Word> = order.collect();
        let check = std::panic::AssertUnwindSafe(|| check(&order));
        let outcome = std::panic::catch_unwind(check);
        assert!(outcome.is_ok(), "{order:?}");
    }
    count
}

/// All orders in which each word is said once.
fn each_permutation(rest: &[Word], said: &mut Vec<Word>, check: &impl Fn(&[Word])) -> usize {
    if rest.is_empty() {
        check(said);
        return 1;
    }
    let mut count = 0;
    for (i, word) in rest.iter().enumerate() {
        said.push(*word);
        count += each_permutation(&[&rest[..i], &rest[i + 1..]].concat(), said, check);
        said.pop();
    }
    count
}

fn orders_of(course: Course, towards: Towards) {
    let check = |order: &[Word]| match towards {
        Towards::Server => to_server(course, order),
        Towards::Client => to_client(course, order),
    };
    let own: Vec<Word> = (0..genuine(course, towards)).map(Genuine).collect();
    let all = [&own[..], &NOISE].concat();
    // On the curve a handshake costs some milliseconds: one word less.
    let short = if matches!(course, Full(_)) { 2 } else { 3 };
    let longest = u32::try_from(rounds(short)).expect("some words");
    let some: usize = (0..=longest.min(5)).map(|len| each_order(&all, len, check)).sum();
    // Long flights: some of their words, and each of the first five once, in every order.
    let to = match own.len() {
        0..5 => 5,
        _ if longest >= 4 => 5,
        5 => 4,
        _ => 3,
    };
    let mut further: usize = (longest + 1..=to).map(|len| each_order(&own, len, check)).sum();
    if own.len() >= 5 {
        let (flight, last) = own.split_at(5);
        further +=
            each_permutation(flight, &mut Vec::new(), &|order| check(&[order, last].concat()));
    }
    println!(
        "{course:?} {towards:?}: {some} orders of all words, {further} longer ones of its own"
    );
}

#[test]
fn orders_of_a_p256_exchange_towards_the_server() {
    orders_of(COURSES[0], Towards::Server);
}

#[test]
fn orders_of_a_p256_exchange_towards_the_client() {
    orders_of(COURSES[0], Towards::Client);
}

#[test]
fn orders_of_raw_keys_towards_the_server() {
    orders_of(COURSES[1], Towards::Server);
}

#[test]
fn orders_of_raw_keys_towards_the_client() {
    orders_of(COURSES[1], Towards::Client);
}

#[test]
fn orders_of_a_resumption() {
    for course in [COURSES[2], COURSES[3]] {
        orders_of(course, Towards::Server);
        orders_of(course, Towards::Client);
    }
}
