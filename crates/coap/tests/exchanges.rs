//! One endpoint, octet by octet: message exchanges of RFC 7252, named by clause.

use std::time::Duration;

use lowgate_coap::{
    Addressed, Bounds, CoapDrop, Code, Config, ContentFormat, Endpoint, ExchangeId, Failure,
    FormatDrop, Input, Method, Output, Path, Reliability, Request, RequestRefused, RespondRefused,
    Response,
};
use lowgate_testkit::{hex, to_hex};
use lowgate_units::{Instant, Prng};

const PEER: u8 = 1;
const GROUP: u8 = 200;

/// An endpoint with a clock.
struct Bench {
    endpoint: Endpoint<u8>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let endpoint = Endpoint::new(config, Prng::new(1));
        Self { endpoint, now: Instant::from_secs(1000) }
    }

    /// Everything up to Wait, and when that ends.
    fn drain(&mut self) -> (Vec<Output<u8>>, Instant) {
        let mut outputs = Vec::new();
        loop {
            match self.endpoint.poll(self.now) {
                Output::Wait { until } => return (outputs, until),
                output => outputs.push(output),
            }
        }
    }

    fn outputs(&mut self) -> Vec<Output<u8>> {
        self.drain().0
    }

    fn hear_as(&mut self, peer: u8, addressed: Addressed, octets: &[u8]) -> Vec<Output<u8>> {
        self.endpoint.handle(self.now, Input::Datagram { peer, addressed, octets });
        self.outputs()
    }

    fn hear(&mut self, text: &str) -> Vec<Output<u8>> {
        self.hear_as(PEER, Addressed::ToUs, &hex(text))
    }

    fn hear_in_group(&mut self, text: &str) -> Vec<Output<u8>> {
        self.hear_as(PEER, Addressed::ToGroup, &hex(text))
    }

    /// What one datagram causes, which must be one datagram and at most noise.
    fn answer(&mut self, text: &str) -> String {
        let outputs = self.hear(text);
        transmitted(&outputs).unwrap_or_else(|| panic!("{text} caused {outputs:?}"))
    }

    /// A request that the application gets to see.
    fn ask(&mut self, text: &str) -> ExchangeId {
        let outputs = self.hear(text);
        let [Output::Requested { exchange, .. }] = outputs[..] else {
            panic!("{text} caused {outputs:?}");
        };
        exchange
    }

    fn advance(&mut self, millis: u64) -> Vec<Output<u8>> {
        self.now += Duration::from_millis(millis);
        self.outputs()
    }

    /// Sends a GET; its octets and those of an answer to it.
    fn get(&mut self, reliability: Reliability) -> (lowgate_coap::RequestId, Vec<u8>) {
        let request = Request::new(Method::Get, path("t"));
        let id = self.endpoint.request(self.now, PEER, reliability, &request).expect("room");
        let outputs = self.outputs();
        let [Output::Transmit { peer: PEER, octets }] = &outputs[..] else {
            panic!("{outputs:?}");
        };
        (id, octets.clone())
    }
}

fn path(text: &str) -> Path {
    Path::new(text).expect("a path")
}

fn transmitted(outputs: &[Output<u8>]) -> Option<String> {
    let mut datagrams = outputs.iter().filter_map(|output| match output {
        Output::Transmit { octets, .. } => Some(to_hex(octets)),
        _ => None,
    });
    let first = datagrams.next();
    assert_eq!(datagrams.next(), None, "one datagram at a time");
    first
}

fn dropped(outputs: &[Output<u8>]) -> Option<CoapDrop> {
    outputs.iter().find_map(|output| match output {
        Output::Dropped { drop, .. } => Some(*drop),
        _ => None,
    })
}

/// An answer to the request in `octets`: first octet, code and text are given, id and token copied.
fn reply(first: u8, code: u8, octets: &[u8], text: &str) -> Vec<u8> {
    let token_len = octets[0] & 0x0f;
    let token = &octets[4..4 + usize::from(token_len)];
    let header = [first | token_len, code, octets[2], octets[3]];
    [&header[..], token, &hex(text)].concat()
}

fn with_mid(mut octets: Vec<u8>, mid: u16) -> Vec<u8> {
    octets[2..4].copy_from_slice(&mid.to_be_bytes());
    octets
}

fn content(text: &str) -> Response {
    Response { payload: text.as_bytes().to_vec(), ..Response::new(Code::CONTENT) }
}

#[test]
fn s3_another_version_is_ignored() {
    let outputs = Bench::new().hear("80 01 1234");
    assert_eq!(transmitted(&outputs), None);
    assert_eq!(dropped(&outputs), Some(CoapDrop::Format(FormatDrop::Version)));
}

#[test]
fn s4_2_a_confirmable_format_error_is_reset() {
    for text in ["41 00 1234 01", "40 01 1234 ff", "49 01 1234", "40 01 1234 b9"] {
        assert_eq!(Bench::new().answer(text), "70001234", "{text}");
    }
}

#[test]
fn s4_3_a_non_confirmable_format_error_is_ignored() {
    for text in ["50 01 1234 ff", "60 01 1234 ff", "70 00 1234 ff", "40 01"] {
        assert_eq!(transmitted(&Bench::new().hear(text)), None, "{text}");
    }
}

#[test]
fn s4_2_a_reserved_class_is_reset() {
    let mut bench = Bench::new();
    assert_eq!(bench.answer("40 20 1234"), "70001234");
    assert_eq!(bench.answer("40 e1 1234"), "70001234");
    assert_eq!(transmitted(&bench.hear("50 e1 1234")), None);
}

#[test]
fn s4_2_an_ack_with_a_request_or_a_reset_with_content_is_ignored() {
    let mut bench = Bench::new();
    let (_, sent) = bench.get(Reliability::Confirmable);
    for (first, code) in [(0x60, 0x01), (0x60, 0xe1), (0x70, 0x45)] {
        let outputs = bench.hear_as(PEER, Addressed::ToUs, &reply(first, code, &sent, ""));
        assert_eq!(dropped(&outputs), Some(CoapDrop::Misplaced));
        assert_eq!(outputs.len(), 1);
    }
}

#[test]
fn s4_3_a_ping_is_answered_by_a_reset() {
    assert_eq!(Bench::new().answer("40 00 1234"), "70001234");
    assert_eq!(transmitted(&Bench::new().hear("50 00 1234")), None);
}

#[test]
fn s4_3_our_ping_is_over_with_a_reset() {
    let mut bench = Bench::new();
    let request = bench.endpoint.ping(bench.now, PEER).expect("room");
    let ping = hex(&transmitted(&bench.outputs()).expect("a ping"));
    assert_eq!((ping[0], ping[1], ping.len()), (0x40, 0, 4));
    bench.now += Duration::from_millis(30);
    let outputs = bench.hear_as(PEER, Addressed::ToUs, &[0x70, 0, ping[2], ping[3]]);
    assert_eq!(outputs, [Output::Ponged { request, peer: PEER, after: Duration::from_millis(30) }]);
    assert_eq!(bench.drain(), (vec![], Instant::FAR_FUTURE));
}

#[test]
fn s4_2_retransmission_ends_after_four() {
    let mut bench = Bench::new();
    let start = bench.now;
    let (request, sent) = bench.get(Reliability::Confirmable);
    let mut at = Vec::new();
    loop {
        let (outputs, until) = bench.drain();
        match &outputs[..] {
            [] => bench.now = until,
            [Output::Transmit { octets, .. }] => {
                assert_eq!(octets, &sent);
                at.push(bench.now - start);
            }
            _ => {
                let reason = Failure::TimedOut;
                assert_eq!(outputs, [Output::Failed { request, peer: PEER, reason }]);
                break;
            }
        }
    }
    let first = at[0];
    assert_eq!(at, [first, first * 3, first * 7, first * 15]);
    assert_eq!(bench.now - start, first * 31);
    assert!(first >= Duration::from_secs(2) && first <= Duration::from_secs(3));
}

#[test]
fn s4_2_a_reset_ends_a_request() {
    for reliability in [Reliability::Confirmable, Reliability::NonConfirmable] {
        let mut bench = Bench::new();
        let (request, sent) = bench.get(reliability);
        let outputs = bench.hear_as(PEER, Addressed::ToUs, &[0x70, 0, sent[2], sent[3]]);
        let reason = Failure::Reset;
        assert_eq!(outputs, [Output::Failed { request, peer: PEER, reason }]);
        assert_eq!(bench.drain().1, Instant::FAR_FUTURE);
    }
}

#[test]
fn s4_4_an_ack_counts_from_the_peer_it_was_sent_to() {
    let mut bench = Bench::new();
    let (_, sent) = bench.get(Reliability::Confirmable);
    let outputs = bench.hear_as(PEER + 1, Addressed::ToUs, &reply(0x60, 0x45, &sent, ""));
    assert_eq!(dropped(&outputs), Some(CoapDrop::Unmatched));
    assert_eq!(outputs.len(), 1);
}

#[test]
fn s4_5_a_copy_of_a_request_is_answered_alike_and_processed_once() {
    let mut bench = Bench::new();
    let exchange = bench.ask("41 01 1234 20 b1 74");
    assert_eq!(transmitted(&bench.hear("41 01 1234 20 b1 74")), None, "not answered yet");
    bench.endpoint.respond(bench.now, exchange, &content("1")).expect("open");
    let answer = transmitted(&bench.outputs()).expect("an answer");
    assert_eq!(answer, "6145123420ff31");
    bench.advance(200_000);
    let outputs = bench.hear("41 01 1234 20 b1 74");
    assert_eq!(transmitted(&outputs), Some(answer));
    assert_eq!((outputs.len(), dropped(&outputs)), (2, Some(CoapDrop::Duplicate)));
    bench.advance(48_000);
    bench.ask("41 01 1234 20 b1 74");
}

#[test]
fn s4_5_a_copy_of_a_non_confirmable_request_is_ignored() {
    let mut bench = Bench::new();
    let exchange = bench.ask("51 01 1234 20 b1 74");
    bench.endpoint.respond(bench.now, exchange, &content("1")).expect("open");
    bench.outputs();
    assert_eq!(bench.hear("51 01 1234 20 b1 74").len(), 1);
}

#[test]
fn s4_7_nstart_holds_the_second_request_until_the_first_is_acknowledged() {
    let mut bench = Bench::new();
    let (_, sent) = bench.get(Reliability::Confirmable);
    let request = Request::new(Method::Put, path("u"));
    for peer in [PEER, PEER + 1] {
        let taken = bench.endpoint.request(bench.now, peer, Reliability::Confirmable, &request);
        assert!(taken.is_ok());
    }
    // The other peer is not kept waiting.
    let outputs = bench.outputs();
    assert!(matches!(outputs[..], [Output::Transmit { peer: 2, .. }]), "{outputs:?}");
    let outputs = bench.hear_as(PEER, Addressed::ToUs, &[0x60, 0, sent[2], sent[3]]);
    assert!(matches!(outputs[..], [Output::Transmit { peer: PEER, .. }]), "{outputs:?}");
}

#[test]
fn s4_7_probing_rate_holds_requests_to_who_does_not_answer() {
    let mut bench = Bench::new();
    let (_, sent) = bench.get(Reliability::NonConfirmable);
    let request = Request::new(Method::Get, path("u"));
    let taken = bench.endpoint.request(bench.now, PEER, Reliability::NonConfirmable, &request);
    assert!(taken.is_ok());
    // One octet a second.
    let secs = sent.len() as u64;
    assert_eq!(bench.advance(secs * 1000 - 1), []);
    assert!(transmitted(&bench.advance(1)).is_some());
    // The first still gets its answer.
    let late = with_mid(reply(0x50, 0x45, &sent, ""), 77);
    let outputs = bench.hear_as(PEER, Addressed::ToUs, &late);
    assert!(matches!(outputs[0], Output::Responded { .. }), "{outputs:?}");
}

#[test]
fn s5_2_1_a_piggybacked_response() {
    let mut bench = Bench::new();
    let (request, sent) = bench.get(Reliability::Confirmable);
    bench.now += Duration::from_millis(40);
    let outputs = bench.hear_as(PEER, Addressed::ToUs, &reply(0x60, 0x45, &sent, "ff 31"));
    let (response, after) = (content("1"), Duration::from_millis(40));
    assert_eq!(outputs, [Output::Responded { request, peer: PEER, response, after }]);
    assert_eq!(bench.drain().1, Instant::FAR_FUTURE);
}

#[test]
fn s5_2_2_a_separate_response() {
    let mut bench = Bench::new();
    let (_, sent) = bench.get(Reliability::Confirmable);
    assert_eq!(bench.hear_as(PEER, Addressed::ToUs, &[0x60, 0, sent[2], sent[3]]), []);
    assert_eq!(bench.advance(50_000), [], "it is not sent again");
    let response = with_mid(reply(0x40, 0x45, &sent, "ff 31"), 0x4242);
    let outputs = bench.hear_as(PEER, Addressed::ToUs, &response);
    assert_eq!(transmitted(&outputs).as_deref(), Some("60004242"));
    assert!(matches!(outputs[1], Output::Responded { after, .. } if after.as_secs() == 50));
    // RFC 7252 section 4.5: its copy is acknowledged again.
    let outputs = bench.hear_as(PEER, Addressed::ToUs, &response);
    assert_eq!(transmitted(&outputs).as_deref(), Some("60004242"));
    assert_eq!(outputs.len(), 2);
}

#[test]
fn s5_2_2_a_response_ahead_of_its_ack() {
    let mut bench = Bench::new();
    let (_, sent) = bench.get(Reliability::Confirmable);
    let response = with_mid(reply(0x40, 0x45, &sent, "ff 31"), 0x4242);
    let outputs = bench.hear_as(PEER, Addressed::ToUs, &response);
    assert!(matches!(outputs[1], Output::Responded { .. }));
    assert_eq!(bench.drain().1, Instant::FAR_FUTURE, "nothing is sent again");
    let outputs = bench.hear_as(PEER, Addressed::ToUs, &[0x60, 0, sent[2], sent[3]]);
    assert_eq!(outputs, [Output::Dropped { peer: PEER, drop: CoapDrop::Unmatched }]);
}

#[test]
fn s5_2_2_no_response_after_the_ack() {
    let mut bench = Bench::new();
    let (request, sent) = bench.get(Reliability::Confirmable);
    bench.hear_as(PEER, Addressed::ToUs, &[0x60, 0, sent[2], sent[3]]);
    let outputs = bench.advance(93_000);
    let reason = Failure::NoResponse;
    assert_eq!(outputs, [Output::Failed { request, peer: PEER, reason }]);
}

#[test]
fn s5_2_2_a_slow_answer_of_ours_comes_separately() {
    let mut bench = Bench::new();
    let exchange = bench.ask("41 01 1234 20 b1 74");
    assert_eq!(transmitted(&bench.advance(1000)).as_deref(), Some("60001234"));
    // A copy gets the empty ACK again, and the answer MUST be separate even then.
    assert_eq!(bench.answer("41 01 1234 20 b1 74"), "60001234");
    bench.endpoint.respond(bench.now, exchange, &content("1")).expect("open");
    let answer = hex(&transmitted(&bench.outputs()).expect("an answer"));
    assert_eq!((answer[0], answer[1], &answer[4..]), (0x41, 0x45, &hex("20 ff 31")[..]));
    let again = hex(&transmitted(&bench.advance(3000)).expect("the answer again"));
    assert_eq!(again, answer);
    // Whatever the ACK carries, it ends the retransmission.
    let ack = [0x60, 0x45, answer[2], answer[3], 0xff, 0x31];
    assert_eq!(bench.hear_as(PEER, Addressed::ToUs, &ack), []);
    assert_eq!(bench.drain().1, Instant::FAR_FUTURE);
    assert_eq!(bench.answer("41 01 1234 20 b1 74"), "60001234");
}

#[test]
fn s5_2_2_an_answer_that_is_rejected_or_lost() {
    for reset in [true, false] {
        let mut bench = Bench::new();
        let exchange = bench.ask("41 01 1234 20 b1 74");
        bench.advance(1000);
        bench.endpoint.respond(bench.now, exchange, &content("1")).expect("open");
        let answer = hex(&transmitted(&bench.outputs()).expect("an answer"));
        let (outputs, reason) = if reset {
            let reset = [0x70, 0, answer[2], answer[3]];
            (bench.hear_as(PEER, Addressed::ToUs, &reset), Failure::Reset)
        } else {
            (0..4).for_each(|_| bench.now = bench.drain().1);
            bench.now += Duration::from_secs(100);
            (bench.outputs(), Failure::TimedOut)
        };
        assert_eq!(outputs, [Output::AnswerLost { exchange, peer: PEER, reason }]);
    }
}

#[test]
fn s5_2_3_a_non_confirmable_request_is_answered_alike() {
    let mut bench = Bench::new();
    let exchange = bench.ask("51 01 1234 20 b1 74");
    bench.endpoint.respond(bench.now, exchange, &content("1")).expect("open");
    let answer = hex(&transmitted(&bench.outputs()).expect("an answer"));
    assert_eq!((answer[0], answer[1], &answer[4..]), (0x51, 0x45, &hex("20 ff 31")[..]));
    assert_ne!(answer[2..4], [0x12, 0x34]);
}

#[test]
fn s5_2_3_either_kind_of_answer_is_taken() {
    for first in [0x40, 0x50] {
        for reliability in [Reliability::Confirmable, Reliability::NonConfirmable] {
            let mut bench = Bench::new();
            let (_, sent) = bench.get(reliability);
            let response = with_mid(reply(first, 0x45, &sent, "ff 31"), 0x4242);
            let outputs = bench.hear_as(PEER, Addressed::ToUs, &response);
            assert!(outputs.iter().any(|output| matches!(output, Output::Responded { .. })));
        }
    }
}

#[test]
fn s5_3_2_a_piggybacked_response_with_another_token_is_ignored() {
    let mut bench = Bench::new();
    let (_, sent) = bench.get(Reliability::Confirmable);
    let outputs = bench.hear_as(PEER, Addressed::ToUs, &[0x61, 0x45, sent[2], sent[3], 0x99]);
    assert_eq!(outputs, [Output::Dropped { peer: PEER, drop: CoapDrop::TokenMismatch }]);
    assert!(transmitted(&bench.advance(3000)).is_some(), "the request goes on");
}

#[test]
fn s5_3_2_an_unexpected_response_is_rejected() {
    let mut bench = Bench::new();
    assert_eq!(bench.answer("41 45 1234 99"), "70001234");
    assert_eq!(transmitted(&bench.hear("51 45 1234 99")), None);
    // Neither does the right token from somebody else count.
    let (_, sent) = bench.get(Reliability::Confirmable);
    let response = with_mid(reply(0x50, 0x45, &sent, ""), 7);
    let outputs = bench.hear_as(PEER + 1, Addressed::ToUs, &response);
    assert_eq!(dropped(&outputs), Some(CoapDrop::UnexpectedResponse));
}

#[test]
fn s5_4_1_critical_options() {
    let mut bench = Bench::new();
    assert_eq!(bench.answer("41 01 1234 20 10"), "6182123420");
    assert_eq!(bench.answer("41 01 1234 20 10"), "6182123420");
    assert_eq!(transmitted(&bench.hear("51 01 1235 20 10")), None);
    // In an answer: rejected, in an ACK silently.
    for (first, rejected) in [(0x60, None), (0x40, Some("70004242")), (0x50, None)] {
        let mut bench = Bench::new();
        let (request, sent) = bench.get(Reliability::Confirmable);
        let mid = if first == 0x60 { u16::from_be_bytes([sent[2], sent[3]]) } else { 0x4242 };
        let response = with_mid(reply(first, 0x45, &sent, "10"), mid);
        let outputs = bench.hear_as(PEER, Addressed::ToUs, &response);
        assert_eq!(transmitted(&outputs).as_deref(), rejected);
        let reason = Failure::ResponseRejected;
        assert_eq!(outputs.last(), Some(&Output::Failed { request, peer: PEER, reason }));
    }
}

#[test]
fn s5_8_and_5_10_2_errors_without_the_application() {
    assert_eq!(Bench::new().answer("41 05 1234 20"), "6185123420");
    assert_eq!(Bench::new().answer("41 01 1234 20 d1 16 61"), "61a5123420");
    let answer = hex(&Bench::new().answer("51 05 1234 20"));
    assert_eq!((answer[0], answer[1], answer[4]), (0x51, 0x85, 0x20));
}

#[test]
fn s8_1_a_confirmable_request_to_a_group_is_ignored() {
    for text in ["41 01 1234 20", "40 00 1234", "40 01 1234 ff", "40 e1 1234"] {
        assert_eq!(transmitted(&Bench::new().hear_in_group(text)), None, "{text}");
    }
}

#[test]
fn s8_1_nothing_to_a_group_is_reset() {
    for text in ["50 01 1234 ff", "50 00 1234", "51 45 1234 99", "51 01 1234 20 10", "50 e1 1234"] {
        assert_eq!(transmitted(&Bench::new().hear_in_group(text)), None, "{text}");
    }
    assert_eq!(transmitted(&Bench::new().hear_in_group("51 05 1234 20")), None);
}

#[test]
fn s8_2_answers_to_a_group_are_spread_over_the_leisure() {
    let mut moments = Vec::new();
    for seed in 0..40 {
        let mut bench = Bench::new();
        bench.endpoint = Endpoint::new(Config::default(), Prng::new(seed));
        let outputs = bench.hear_in_group("51 01 1234 20 b1 74");
        let [Output::Requested { exchange, addressed: Addressed::ToGroup, .. }] = outputs[..]
        else {
            panic!("{outputs:?}");
        };
        bench.endpoint.respond(bench.now, exchange, &content("1")).expect("open");
        let (outputs, until) = bench.drain();
        assert_eq!(outputs, []);
        moments.push(until - bench.now);
        bench.now = until;
        assert!(transmitted(&bench.outputs()).is_some());
    }
    assert!(moments.iter().all(|moment| *moment < Duration::from_secs(5)));
    assert!(moments.iter().any(|moment| *moment < Duration::from_secs(1)));
    assert!(moments.iter().any(|moment| *moment > Duration::from_secs(4)));
}

#[test]
fn s8_2_no_errors_to_who_asked_a_group() {
    let mut bench = Bench::new();
    let outputs = bench.hear_in_group("51 01 1234 20 b1 74");
    let [Output::Requested { exchange, .. }] = outputs[..] else { panic!("{outputs:?}") };
    bench.endpoint.respond(bench.now, exchange, &Response::new(Code::NOT_FOUND)).expect("open");
    assert_eq!(bench.drain(), (vec![], Instant::FAR_FUTURE));
}

#[test]
fn s8_2_an_answer_sent_to_a_group_is_no_answer() {
    let mut bench = Bench::new();
    let (_, sent) = bench.get(Reliability::NonConfirmable);
    let response = with_mid(reply(0x50, 0x45, &sent, "ff 31"), 9);
    let outputs = bench.hear_as(PEER, Addressed::ToGroup, &response);
    assert_eq!(outputs, [Output::Dropped { peer: PEER, drop: CoapDrop::UnexpectedResponse }]);
}

#[test]
fn s8_2_a_request_to_a_group_can_be_ignored() {
    let mut bench = Bench::new();
    let outputs = bench.hear_in_group("51 03 1234 20 b1 74");
    let [Output::Requested { exchange, .. }] = outputs[..] else { panic!("{outputs:?}") };
    bench.endpoint.ignore(exchange);
    assert_eq!(bench.drain(), (vec![], Instant::FAR_FUTURE));
    assert_eq!(dropped(&bench.hear_in_group("51 03 1234 20 b1 74")), Some(CoapDrop::Duplicate));
}

#[test]
fn s8_2_answers_to_our_request_to_a_group_match_by_token() {
    let mut bench = Bench::new();
    let request = Request::new(Method::Get, path("t"));
    let listen_for = Duration::from_secs(10);
    let id = bench.endpoint.request_group(bench.now, GROUP, &request, listen_for).expect("room");
    let outputs = bench.outputs();
    let [Output::Transmit { peer: GROUP, octets: sent }] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(sent[0] & 0xf0, 0x50);
    for peer in 1..4u8 {
        let response = with_mid(reply(0x50, 0x45, sent, "ff 31"), 9);
        let outputs = bench.hear_as(peer, Addressed::ToUs, &response);
        assert!(matches!(outputs[..], [Output::Responded { request, peer: from, .. }]
            if request == id && from == peer));
        let outputs = bench.hear_as(peer, Addressed::ToUs, &response);
        assert_eq!(dropped(&outputs), Some(CoapDrop::Duplicate));
    }
    assert_eq!(bench.advance(10_000), [Output::Ended { request: id }]);
    let late = with_mid(reply(0x50, 0x45, sent, "ff 31"), 10);
    let outputs = bench.hear_as(9, Addressed::ToUs, &late);
    assert_eq!(dropped(&outputs), Some(CoapDrop::UnexpectedResponse));
}

#[test]
fn an_answer_is_given_once() {
    let mut bench = Bench::new();
    let exchange = bench.ask("41 01 1234 20 b1 74");
    let long = Response::new(Code::CONTENT).with_payload(ContentFormat::CBOR, vec![0; 1152]);
    let refused = bench.endpoint.respond(bench.now, exchange, &long);
    assert_eq!(refused, Err(RespondRefused::TooLong));
    bench.endpoint.respond(bench.now, exchange, &content("1")).expect("still open");
    let refused = bench.endpoint.respond(bench.now, exchange, &content("2"));
    assert_eq!(refused, Err(RespondRefused::UnknownExchange));
}

#[test]
fn a_cancelled_request_is_silent() {
    let mut bench = Bench::new();
    let (request, sent) = bench.get(Reliability::Confirmable);
    bench.endpoint.cancel(bench.now, request);
    assert_eq!(bench.drain(), (vec![], Instant::FAR_FUTURE));
    let outputs = bench.hear_as(PEER, Addressed::ToUs, &reply(0x60, 0x45, &sent, ""));
    assert_eq!(dropped(&outputs), Some(CoapDrop::Unmatched));
}

#[test]
fn a_peer_that_is_gone_owes_and_is_owed_nothing() {
    let mut bench = Bench::new();
    let (request, _) = bench.get(Reliability::Confirmable);
    let exchange = bench.ask("41 01 1234 20 b1 74");
    bench.endpoint.handle(bench.now, Input::PeerGone { peer: PEER });
    let reason = Failure::PeerGone;
    let failed = vec![Output::Failed { request, peer: PEER, reason }];
    assert_eq!(bench.drain(), (failed, Instant::FAR_FUTURE));
    let refused = bench.endpoint.respond(bench.now, exchange, &content("1"));
    assert_eq!(refused, Err(RespondRefused::UnknownExchange));
    bench.ask("41 01 1234 20 b1 74");
}

#[test]
fn tables_are_bounded() {
    let bounds = Bounds { requests_max: 2, exchanges_max: 3, ..Bounds::DEVICE };
    let bounds = Bounds { exchanges_per_peer_max: 2, ..bounds };
    let mut bench = Bench::with(Config { bounds, ..Config::default() });
    let request = Request::new(Method::Get, path("t"));
    for expected in [Ok(()), Ok(()), Err(RequestRefused::TooMany)] {
        let taken = bench.endpoint.request(bench.now, PEER, Reliability::Confirmable, &request);
        assert_eq!(taken.map(|_| ()), expected);
    }
    bench.outputs();
    assert_eq!(bench.endpoint.ping(bench.now, 9), Err(RequestRefused::TooMany));
    bench.ask("40 01 0001");
    bench.ask("40 01 0002");
    assert_eq!(dropped(&bench.hear("40 01 0003")), Some(CoapDrop::ExchangesFull));
    let other = bench.hear_as(2, Addressed::ToUs, &hex("40 01 0001"));
    assert!(matches!(other[..], [Output::Requested { .. }]));
    let third = bench.hear_as(3, Addressed::ToUs, &hex("40 01 0001"));
    assert_eq!(dropped(&third), Some(CoapDrop::ExchangesFull));
    // What nobody answered makes room again.
    bench.advance(1_000);
    bench.advance(93_000);
    bench.ask("40 01 0003");
}

#[test]
fn too_long_a_request_is_refused() {
    let mut bench = Bench::new();
    let request = Request::new(Method::Put, path("t"));
    let request = request.with_payload(ContentFormat::OCTET_STREAM, vec![0; 1152]);
    let taken = bench.endpoint.request(bench.now, PEER, Reliability::Confirmable, &request);
    assert_eq!(taken, Err(RequestRefused::TooLong));
    assert_eq!(bench.drain(), (vec![], Instant::FAR_FUTURE));
}
