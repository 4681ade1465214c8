//! Purpose: every order of messages, towards both ends, under the numbers of their places and under those of
//! their arrival. RFC 5246 section 7.3 says which order makes a session, RFC 6347 sections 4.1.2.7, 4.2.2 and
//! 4.2.4 what becomes of the rest: dropped or kept for later, never an end, nothing delivered in epoch 0.
//! Criteria: a session only where the Finished came last of all that it stands for, and there always; payloads
//! only behind it; at most one alert, and none without a Finished that was wrong; then an honest handshake.
//! `cargo xtask soak dtls-orders` goes up to five words of all; every day there are three of all and five of
//! those that a handshake is made of.

use crate::ends::{Guest, Hall, IDENTITY, KEY, at};
use crate::puppet::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Plays, Puppet, Verify, message,
};
use crate::soak::rounds;
use lowgate_dtls::CloseReason;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    HelloRequest,
    /// Without a cookie.
    FirstHello,
    ClientHello,
    ServerHello,
    HelloVerifyRequest,
    NewSessionTicket,
    Certificate,
    ServerKeyExchange,
    CertificateRequest,
    ServerHelloDone,
    CertificateVerify,
    ClientKeyExchange,
    ChangeCipherSpec,
    Finished,
    /// Sealed well, and verifies nothing.
    WrongFinished,
    /// The right one, in epoch 0.
    PlainFinished,
    FatalAlert,
    Warning,
    PlainPayload,
    SealedPayload,
}

use Word::*;

const ALL: [Word; 20] = [
    HelloRequest,
    FirstHello,
    ClientHello,
    ServerHello,
    HelloVerifyRequest,
    NewSessionTicket,
    Certificate,
    ServerKeyExchange,
    CertificateRequest,
    ServerHelloDone,
    CertificateVerify,
    ClientKeyExchange,
    ChangeCipherSpec,
    Finished,
    WrongFinished,
    PlainFinished,
    FatalAlert,
    Warning,
    PlainPayload,
    SealedPayload,
];

/// Those of a client's handshake, and what a forger would want.
const OF_CLIENT: [Word; 7] = [
    ClientHello,
    ClientKeyExchange,
    ChangeCipherSpec,
    Finished,
    WrongFinished,
    PlainFinished,
    SealedPayload,
];

/// The same of a server's.
const OF_SERVER: [Word; 8] = [
    HelloVerifyRequest,
    ServerHello,
    ServerKeyExchange,
    ServerHelloDone,
    ChangeCipherSpec,
    Finished,
    WrongFinished,
    SealedPayload,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    OfPlace,
    OfArrival,
}

/// One word as a record; `arrived` handshake messages came before it.
fn say(puppet: &mut Puppet, word: Word, numbers: Numbers, arrived: &mut u16) -> Vec<u8> {
    puppet.forced_seq = (numbers == Numbers::OfArrival).then_some(*arrived);
    let seq = puppet.forced_seq.unwrap_or(puppet.hello_seq + 1);
    *arrived += 1;
    // What the other role says changes nothing of what is right for this one.
    let own: &[Word] = if puppet.plays == Plays::Client { &OF_CLIENT } else { &OF_SERVER };
    let (mut aside, puppet) = (puppet.clone(), puppet);
    let is_own = own.contains(&word)
        || !matches!(
            word,
            ServerHello | ServerKeyExchange | ServerHelloDone | ClientHello | ClientKeyExchange
        );
    if !is_own {
        puppet.plain_seq += 1;
    }
    let puppet = if is_own { puppet } else { &mut aside };
    match word {
        HelloRequest => puppet.say(&message(0, seq, &[])),
        FirstHello => {
            let mut other = puppet.clone();
            other.cookie.clear();
            let hello = other.client_hello();
            puppet.say(&hello)
        }
        ClientHello => {
            let hello = puppet.client_hello();
            puppet.say(&hello)
        }
        ServerHello => {
            let hello = puppet.server_hello();
            puppet.say(&hello)
        }
        HelloVerifyRequest => {
            let request = puppet.hello_verify_request(b"cookie");
            puppet.say(&request)
        }
        NewSessionTicket => puppet.say(&message(4, seq, b"\0\0\x0e\x10\0\x04tick")),
        Certificate => puppet.say(&message(11, seq, &[0, 0, 0])),
        ServerKeyExchange => {
            let hint = puppet.hint();
            puppet.say(&hint)
        }
        CertificateRequest => puppet.say(&message(13, seq, &[1, 64, 0, 2, 4, 3, 0, 0])),
        ServerHelloDone => {
            let done = puppet.server_hello_done();
            puppet.say(&done)
        }
        CertificateVerify => puppet.say(&message(15, seq, &[4, 3, 0, 0])),
        ClientKeyExchange => {
            let exchange = puppet.client_key_exchange();
            puppet.say(&exchange)
        }
        Finished | WrongFinished => {
            let verify = if word == Finished { Verify::Right } else { Verify::Wrong };
            let finished = puppet.finished(verify);
            puppet.seal(HANDSHAKE, &finished)
        }
        PlainFinished => {
            let finished = puppet.finished(Verify::Right);
            puppet.say(&finished)
        }
        ChangeCipherSpec | FatalAlert | Warning | PlainPayload | SealedPayload => {
            *arrived -= 1;
            match word {
                ChangeCipherSpec => puppet.plain(CHANGE_CIPHER_SPEC, &[1]),
                FatalAlert => puppet.plain(ALERT, &[2, 40]),
                Warning => puppet.plain(ALERT, &[1, 90]),
                PlainPayload => puppet.plain(APPLICATION_DATA, b"payload"),
                _ => puppet.seal(APPLICATION_DATA, b"payload"),
            }
        }
    }
}

/// The same; once there is a session, what is said of another one does not change its keys.
fn say_next(
    puppet: &mut Puppet,
    session: Option<usize>,
    word: Word,
    numbers: Numbers,
    arrived: &mut u16,
) -> Vec<u8> {
    if session.is_none() {
        return say(puppet, word, numbers, arrived);
    }
    let mut aside = puppet.clone();
    let octets = say(&mut aside, word, numbers, arrived);
    (puppet.plain_seq, puppet.sealed_seq) = (aside.plain_seq, aside.sealed_seq);
    octets
}

/// Where a Finished may make a session: behind each of `needs`, of which the first comes first.
fn may_finish(order: &[Word], at: usize, needs: &[Word]) -> bool {
    let before = &order[..at];
    let Some(first) = before.iter().position(|word| *word == needs[0]) else { return false };
    order[at] == Finished && needs[1..].iter().all(|need| before[first..].contains(need))
}

fn to_server(order: &[Word], numbers: Numbers) {
    let mut hall = Hall::new(|_| {});
    let mut puppet = Puppet::new(Plays::Client, IDENTITY, KEY);
    let hello = puppet.client_hello();
    let octets = puppet.say(&hello);
    hall.hear(&at(1), &octets).iter().for_each(|answer| puppet.hear(answer));
    let (mut arrived, mut finished_at) = (1, None);
    for (i, word) in order.iter().enumerate() {
        let octets = say_next(&mut puppet, finished_at, *word, numbers, &mut arrived);
        let answers = hall.hear(&at(1), &octets);
        if finished_at.is_none() {
            answers.iter().for_each(|answer| puppet.hear(answer));
        }
        if finished_at.is_none() && !hall.established.is_empty() {
            let needs = [ClientHello, ClientKeyExchange, ChangeCipherSpec];
            assert!(may_finish(order, i, &needs), "a session");
            finished_at = Some(i);
        }
    }
    if order.starts_with(&[ClientHello, ClientKeyExchange, ChangeCipherSpec, Finished]) {
        assert_eq!(finished_at, Some(3), "no session");
    }
    expect_quiet(order, finished_at, hall.received.len(), hall.alerts());
    assert!(hall.closed.is_empty() && hall.server.half_open_count() <= 1);
    assert!(
        order.contains(&WrongFinished) || hall.failed.iter().all(|r| *r == CloseReason::Superseded)
    );
    // The client begins its handshake again, and this time says it in order.
    puppet.forced_seq = None;
    puppet.hello_seq = 1;
    if finished_at.is_none() {
        for _ in 0..2 {
            for word in [ClientHello, ClientKeyExchange, ChangeCipherSpec, Finished] {
                let octets = say(&mut puppet, word, Numbers::OfPlace, &mut arrived);
                hall.hear(&at(1), &octets).iter().for_each(|answer| puppet.hear(answer));
            }
        }
    }
    assert_eq!(hall.established.len(), 1, "still completes");
    let octets = say(&mut puppet, SealedPayload, Numbers::OfPlace, &mut arrived);
    let before = hall.received.len();
    hall.hear(&at(1), &octets);
    assert_eq!(hall.received.len(), before + 1);
}

fn to_client(order: &[Word], numbers: Numbers) {
    let mut guest = Guest::new(1, |_| {});
    let mut puppet = Puppet::new(Plays::Server, IDENTITY, KEY);
    puppet.hear(&guest.sent[0]);
    let (mut arrived, mut finished_at) = (0, None);
    for (i, word) in order.iter().enumerate() {
        let octets = say_next(&mut puppet, finished_at, *word, numbers, &mut arrived);
        guest.hear(&octets).iter().for_each(|answer| puppet.hear(answer));
        if finished_at.is_none() && guest.established > 0 {
            let needs = [ServerHello, ChangeCipherSpec];
            let done = order[..i].contains(&ServerHelloDone);
            assert!(done && may_finish(order, i, &needs), "a session");
            finished_at = Some(i);
        }
    }
    for legal in [
        &[ServerHello, ServerHelloDone, ChangeCipherSpec, Finished][..],
        &[HelloVerifyRequest, ServerHello, ServerHelloDone, ChangeCipherSpec, Finished],
        &[ServerHello, ServerKeyExchange, ServerHelloDone, ChangeCipherSpec, Finished],
    ] {
        if order.starts_with(legal) {
            assert_eq!(finished_at, Some(legal.len() - 1), "no session");
        }
    }
    let alerts = guest.sent.iter().filter(|octets| octets[0] == 21).count();
    expect_quiet(order, finished_at, guest.received.len(), alerts);
    if guest.closed.is_some() {
        assert_eq!(guest.closed, Some(CloseReason::KeyMismatch));
        assert!(order.contains(&WrongFinished));
        return;
    }
    // Now there is a server that speaks in order.
    guest.settle(&mut Hall::new(|_| {}), &at(1));
    assert_eq!((guest.established, guest.closed), (1, None), "still completes");
}

fn expect_quiet(order: &[Word], finished_at: Option<usize>, delivered: usize, alerts: usize) {
    let behind = finished_at.map_or(&[][..], |at| &order[at..]);
    let payloads = behind.iter().filter(|word| **word == SealedPayload).count();
    assert_eq!(delivered, payloads, "payloads");
    let finished = order.iter().any(|word| matches!(word, Finished | WrongFinished));
    assert!(alerts <= usize::from(finished), "{alerts} alerts");
}

/// All orders of `len` words; how many there were.
fn each_order(alphabet: &[Word], len: u32, check: fn(&[Word], Numbers)) -> usize {
    let count = alphabet.len().pow(len);
    for number in 0..count {
        let mut rest = number;
        let order: Vec<Word> = (0..len)
            .map(|_| {
                let word = alphabet[rest % alphabet.len()];
                rest /= alphabet.len();
                word
            })
            .collect();
        for numbers in [Numbers::OfPlace, Numbers::OfArrival] {
            let outcome = std::panic::catch_unwind(|| check(&order, numbers));
            assert!(outcome.is_ok(), "{order:?} {numbers:?}");
        }
    }
    count
}

fn orders_of(alphabet: &[Word], check: fn(&[Word], Numbers)) {
    let longest = u32::try_from(rounds(3)).expect("some words");
    let all: usize = (0..=longest).map(|len| each_order(&ALL, len, check)).sum();
    let some: usize = (longest + 1..=5).map(|len| each_order(alphabet, len, check)).sum();
    println!("{all} orders of all words, {some} longer ones of {alphabet:?}");
}

#[test]
fn orders_towards_the_server() {
    orders_of(&OF_CLIENT, to_server);
}

#[test]
fn orders_towards_the_client() {
    orders_of(&OF_SERVER, to_client);
}
