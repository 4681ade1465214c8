//! The server's half of RFC 7641, octet by octet, named by clause.

use lowgate_coap::{
    Addressed, Bounds, Code, Config, ContentFormat, Endpoint, ExchangeId, Input, Observe,
    ObserverId, Output, RespondRefused, Response,
};
use lowgate_testkit::{hex, to_hex};
use lowgate_units::{Duration, Instant, Prng};

const PEER: u8 = 1;
/// GET k with Observe 0, message id 1, token aa; and the same with another token, and with Observe 1.
const REGISTER: &str = "41 01 0001 aa 60 51 6b";
const REGISTER_ELSE: &str = "41 01 0002 bb 60 51 6b";
const DEREGISTER: &str = "41 01 0003 aa 61 01 51 6b";

struct Bench {
    endpoint: Endpoint<u8>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self { endpoint: Endpoint::new(config, Prng::new(1)), now: Instant::from_secs(1000) }
    }

    fn outputs(&mut self) -> Vec<Output<u8>> {
        let mut outputs = Vec::new();
        loop {
            match self.endpoint.poll(self.now) {
                Output::Wait { .. } => return outputs,
                output => outputs.push(output),
            }
        }
    }

    fn hear(&mut self, octets: &[u8]) -> Vec<Output<u8>> {
        let addressed = Addressed::ToUs;
        self.endpoint.handle(self.now, Input::Datagram { peer: PEER, addressed, octets });
        self.outputs()
    }

    fn ask(&mut self, text: &str) -> (ExchangeId, Option<Observe>) {
        let outputs = self.hear(&hex(text));
        let asked = outputs.into_iter().find_map(|output| match output {
            Output::Requested { exchange, request, .. } => Some((exchange, request.observe)),
            _ => None,
        });
        asked.unwrap_or_else(|| panic!("{text} asks for nothing"))
    }

    /// Who asked so is told from now on; the answer.
    fn observe(&mut self, text: &str) -> (Option<ObserverId>, String) {
        let (exchange, observe) = self.ask(text);
        assert_eq!(observe, Some(Observe::Register));
        let observer = self.endpoint.observed(self.now, exchange, &content("a"));
        (observer.expect("it was answered"), one(&self.outputs()))
    }

    fn notify(&mut self, observer: ObserverId, text: &str) -> Vec<u8> {
        self.endpoint.notify(self.now, observer, &content(text)).expect("it is there");
        hex(&one(&self.outputs()))
    }
}

fn content(text: &str) -> Response {
    let format = ContentFormat::TEXT;
    Response::new(Code::CONTENT).with_payload(format, text.as_bytes().to_vec())
}

fn sent(outputs: &[Output<u8>]) -> Vec<String> {
    let octets = outputs.iter().filter_map(|output| match output {
        Output::Transmit { octets, .. } => Some(to_hex(octets)),
        _ => None,
    });
    octets.collect()
}

fn one(outputs: &[Output<u8>]) -> String {
    let [datagram] = &sent(outputs)[..] else { panic!("{outputs:?}") };
    datagram.clone()
}

fn gone(outputs: &[Output<u8>]) -> Vec<ObserverId> {
    let them = outputs.iter().filter_map(|output| match output {
        Output::ObserverGone { observer, peer: PEER } => Some(*observer),
        _ => None,
    });
    them.collect()
}

/// An ACK or a Reset of a message.
fn empty(first: u8, of: &[u8]) -> [u8; 4] {
    [first, 0, of[2], of[3]]
}

/// Sections 3.2 and 3.4: the token comes back in each, and the numbers rise.
#[test]
fn s3_notifications_have_the_token_and_rising_numbers() {
    let mut bench = Bench::new();
    let (observer, answer) = bench.observe(REGISTER);
    let observer = observer.expect("told from now on");
    // ACK 2.05, Observe 0, Content-Format 0, payload.
    assert_eq!(answer, to_hex(&hex("61 45 0001 aa 60 60 ff 61")));
    for number in 1..=3 {
        let told = bench.notify(observer, "b");
        // CON 2.05, the number in one octet.
        let rest = [&[0xaa, 0x61, number][..], &hex("60 ff 62")].concat();
        assert_eq!((told[0], told[1], &told[4..]), (0x41, 0x45, &rest[..]));
        assert!(bench.hear(&empty(0x60, &told)).is_empty());
    }
}

/// Section 4.5.2: what is still on its way is left for what is newer, and is not repeated.
#[test]
fn s4_5_2_the_newest_alone_is_repeated() {
    let mut bench = Bench::new();
    let observer = bench.observe(REGISTER).0.expect("told from now on");
    let first = bench.notify(observer, "b");
    let second = bench.notify(observer, "c");
    assert_ne!(first[2..4], second[2..4]);
    bench.now += Duration::from_secs(4);
    assert_eq!(one(&bench.outputs()), to_hex(&second));
    // A late ACK of the first ends nothing.
    bench.hear(&empty(0x60, &first));
    bench.now += Duration::from_secs(8);
    assert_eq!(one(&bench.outputs()), to_hex(&second));
    bench.hear(&empty(0x60, &second));
    bench.now += Duration::from_secs(100);
    assert!(bench.outputs().is_empty());
}

/// Sections 3.6 and 4.5: a Reset, and silence, end it.
#[test]
fn s4_5_who_does_not_want_it_or_is_silent_is_forgotten() {
    for resets in [true, false] {
        let mut bench = Bench::new();
        let observer = bench.observe(REGISTER).0.expect("told from now on");
        let told = bench.notify(observer, "b");
        let mut outputs = Vec::new();
        if resets {
            outputs = bench.hear(&empty(0x70, &told));
        } else {
            for _ in 0..100 {
                bench.now += Duration::from_secs(2);
                outputs.extend(bench.outputs());
            }
            assert_eq!(sent(&outputs).len(), 4, "MAX_RETRANSMIT");
        }
        assert_eq!(gone(&outputs), [observer]);
        let refused = bench.endpoint.notify(bench.now, observer, &content("c"));
        assert_eq!(refused, Err(RespondRefused::UnknownExchange));
    }
}

/// Section 3.6: a GET with Observe 1 ends it, and what is on its way.
#[test]
fn s3_6_who_deregisters_hears_no_more() {
    let mut bench = Bench::new();
    let observer = bench.observe(REGISTER).0.expect("told from now on");
    bench.notify(observer, "b");
    let outputs = bench.hear(&hex(DEREGISTER));
    assert_eq!(gone(&outputs), [observer]);
    let exchange = outputs.iter().find_map(|output| match output {
        Output::Requested { exchange, request, .. } => {
            assert_eq!(request.observe, Some(Observe::Deregister));
            Some(*exchange)
        }
        _ => None,
    });
    bench.endpoint.respond(bench.now, exchange.expect("it asks"), &content("c")).expect("open");
    bench.outputs();
    bench.now += Duration::from_secs(100);
    assert!(sent(&bench.outputs()).is_empty());
}

/// Section 4.1: the same token takes the place of the entry, another one is another entry.
#[test]
fn s4_1_a_token_has_one_entry() {
    let mut bench = Bench::new();
    let first = bench.observe(REGISTER).0.expect("told from now on");
    let second = bench.observe(REGISTER_ELSE).0.expect("told from now on");
    let (exchange, _) = bench.ask("41 01 0009 aa 60 51 6b");
    let third = bench.endpoint.observed(bench.now, exchange, &content("a")).expect("answered");
    assert_eq!(gone(&bench.outputs()), [first]);
    for observer in [second, third.expect("told from now on")] {
        let told = bench.notify(observer, "b");
        bench.hear(&empty(0x60, &told));
    }
    bench.endpoint.unobserve(second);
    assert!(bench.outputs().is_empty(), "nobody is told of it");
    let refused = bench.endpoint.notify(bench.now, second, &content("c"));
    assert_eq!(refused, Err(RespondRefused::UnknownExchange));
}

#[test]
fn observers_of_one_peer_are_bounded_and_go_with_it() {
    let bounds = Bounds { exchanges_per_peer_max: 2, ..Bounds::MANAGER };
    let mut bench = Bench::with(Config { bounds, ..Config::default() });
    let mut all = Vec::new();
    for token in 1..=3 {
        let (observer, answer) = bench.observe(&format!("41 01 000{token} 0{token} 60 51 6b"));
        // Who is not told gets an answer that says so: without the option.
        assert_eq!(answer.contains("6060ff"), observer.is_some(), "{answer}");
        all.extend(observer);
    }
    assert_eq!(all.len(), 2);
    bench.notify(all[0], "b");
    bench.endpoint.handle(bench.now, Input::PeerGone { peer: PEER });
    bench.now += Duration::from_secs(100);
    assert!(bench.outputs().is_empty());
    for observer in all {
        let refused = bench.endpoint.notify(bench.now, observer, &content("c"));
        assert_eq!(refused, Err(RespondRefused::UnknownExchange));
    }
}

/// Section 2: of a GET alone, 0 and 1 alone, of three octets at most; all else is as if it were not there.
#[test]
fn s2_other_values_say_nothing() {
    for (text, expected) in [
        ("41 01 0001 aa 63 000000 51 6b", Some(Observe::Register)),
        ("41 01 0001 aa 64 00000000 51 6b", None),
        ("41 01 0001 aa 61 02 51 6b", None),
        ("41 01 0001 aa 60 00 51 6b", None),
        ("41 02 0001 aa 60 51 6b", None),
    ] {
        assert_eq!(Bench::new().ask(text).1, expected, "{text}");
    }
}
