//! Two endpoints under virtual time: datagrams get lost, doubled and overtake each other.
//!
//! Purpose: each request is processed once and ends once. Topology: client, server. Clauses: RFC
//! 7252 sections 4.2, 4.5 and 5.2. Criteria: no payload is processed twice, each request has one
//! end, and without loss that end is its own answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lowgate_coap::{
    Addressed, Code, Config, Endpoint, ExchangeId, Failure, Input, Method, Output, Path,
    Reliability, Request, RequestId, Response,
};
use lowgate_units::{Instant, Prng};
use proptest::prelude::*;

/// What the network does, in percent and milliseconds.
#[derive(Clone, Copy, Debug)]
struct Faults {
    loss: u64,
    copies: u64,
    delay_max: u64,
    /// How long the server thinks at most.
    thinking_max: u64,
}

const PERFECT: Faults = Faults { loss: 0, copies: 0, delay_max: 5, thinking_max: 0 };

#[derive(Clone, Debug)]
enum Happening {
    Arrives { at: usize, octets: Vec<u8> },
    Thought { exchange: ExchangeId, payload: Vec<u8> },
}

/// Client 0 and server 1, whose name for each other is the other's index.
struct Pair {
    ends: [Endpoint<usize>; 2],
    now: Instant,
    chance: Prng,
    faults: Faults,
    /// By time and order of insertion.
    happenings: BTreeMap<(Instant, u64), Happening>,
    inserted: u64,
    /// Payloads the server processed.
    processed: Vec<Vec<u8>>,
    /// What became of the client's requests.
    ended: BTreeMap<RequestId, Result<Vec<u8>, Failure>>,
    datagrams: usize,
}

impl Pair {
    fn new(seed: u64, faults: Faults) -> Self {
        let chance = Prng::new(seed);
        let end = |purpose| Endpoint::new(Config::default(), chance.fork(purpose));
        Self {
            ends: [end(1), end(2)],
            now: Instant::from_secs(1),
            faults,
            happenings: BTreeMap::new(),
            inserted: 0,
            processed: Vec::new(),
            ended: BTreeMap::new(),
            datagrams: 0,
            chance,
        }
    }

    fn put(&mut self, payload: &[u8], reliability: Reliability) -> RequestId {
        let mut request = Request::new(Method::Put, Path::new("light/on").expect("a path"));
        request.payload = payload.to_vec();
        self.ends[0].request(self.now, 1, reliability, &request).expect("room")
    }

    fn insert(&mut self, delay_max: u64, happening: Happening) {
        let delay = Duration::from_millis(self.chance.below(delay_max + 1));
        self.happenings.insert((self.now + delay, self.inserted), happening);
        self.inserted += 1;
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.chance.below(100) < percent
    }

    /// Until nothing is left to happen.
    fn run(&mut self) {
        loop {
            let wait = [0, 1].map(|at| self.drain(at)).into_iter().min().expect("two");
            let next = self.happenings.first_key_value().map(|((at, _), _)| *at);
            self.now = next.unwrap_or(Instant::FAR_FUTURE).min(wait).max(self.now);
            if self.now == Instant::FAR_FUTURE {
                return;
            }
            if next == Some(self.now) {
                let (_, happening) = self.happenings.pop_first().expect("seen above");
                self.happen(happening);
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives { at, octets } => {
                let (peer, addressed) = (1 - at, Addressed::ToUs);
                let input = Input::Datagram { peer, addressed, octets: &octets };
                self.ends[at].handle(self.now, input);
            }
            Happening::Thought { exchange, payload } => {
                let response = Response { payload, ..Response::new(Code::CHANGED) };
                // It may have been given up meanwhile.
                let _ = self.ends[1].respond(self.now, exchange, &response);
            }
        }
    }

    fn drain(&mut self, at: usize) -> Instant {
        loop {
            match self.ends[at].poll(self.now) {
                Output::Wait { until } => {
                    assert!(until > self.now, "what is due was done");
                    return until;
                }
                Output::Transmit { peer, octets } => self.carry(peer, octets),
                Output::Requested { exchange, request, .. } => {
                    self.processed.push(request.payload.clone());
                    let payload = request.payload;
                    self.insert(self.faults.thinking_max, Happening::Thought { exchange, payload });
                }
                Output::Responded { request, response, .. } => {
                    let before = self.ended.insert(request, Ok(response.payload));
                    assert_eq!(before, None, "a request ends once");
                }
                Output::Failed { request, reason, .. } => {
                    assert_eq!(self.ended.insert(request, Err(reason)), None);
                }
                Output::Dropped { .. }
                | Output::AnswerLost { .. }
                | Output::ObserverGone { .. } => {}
                Output::Ponged { .. } | Output::Ended { .. } => panic!("nobody asked for that"),
            }
        }
    }

    fn carry(&mut self, to: usize, octets: Vec<u8>) {
        self.datagrams += 1;
        if to >= self.ends.len() {
            return; // an answer to a stranger of the noise test
        }
        for copy in [false, true] {
            let wanted = !copy || self.percent(self.faults.copies);
            if wanted && !self.percent(self.faults.loss) {
                let arrives = Happening::Arrives { at: to, octets: octets.clone() };
                self.insert(self.faults.delay_max, arrives);
            }
        }
    }
}

/// Puts `count` payloads and runs to the end; what must hold in any network is asserted here.
fn put_many(seed: u64, faults: Faults, count: u8, reliability: Reliability) -> Pair {
    let mut pair = Pair::new(seed, faults);
    let requests: Vec<RequestId> =
        (0..count).map(|payload| pair.put(&[payload], reliability)).collect();
    pair.run();
    for (payload, request) in (0..count).zip(&requests) {
        match &pair.ended[request] {
            Ok(answer) => assert_eq!(answer, &[payload]),
            Err(reason) => {
                assert!(faults.loss > 0, "{reason:?} in a network that loses nothing");
            }
        }
    }
    let once: BTreeSet<&Vec<u8>> = pair.processed.iter().collect();
    assert_eq!(once.len(), pair.processed.len(), "each is processed once");
    pair
}

fn answered(pair: &Pair) -> usize {
    pair.ended.values().filter(|end| end.is_ok()).count()
}

#[test]
fn piggybacked_in_order_without_faults() {
    let pair = put_many(1, PERFECT, 20, Reliability::Confirmable);
    assert_eq!(answered(&pair), 20);
    assert_eq!(pair.datagrams, 40);
    // NSTART is 1, so they arrive in order.
    let expected: Vec<Vec<u8>> = (0..20).map(|payload| vec![payload]).collect();
    assert_eq!(pair.processed, expected);
}

#[test]
fn separate_without_faults() {
    let faults = Faults { thinking_max: 10_000, ..PERFECT };
    let pair = put_many(2, faults, 20, Reliability::Confirmable);
    assert_eq!(answered(&pair), 20);
    assert!(pair.datagrams > 60 && pair.datagrams <= 80, "{}", pair.datagrams);
}

#[test]
fn non_confirmable_without_faults() {
    let pair = put_many(3, PERFECT, 20, Reliability::NonConfirmable);
    assert_eq!((answered(&pair), pair.datagrams), (20, 40));
}

#[test]
fn duplicate() {
    for seed in 0..10 {
        let faults = Faults { copies: 100, ..PERFECT };
        let pair = put_many(seed, faults, 20, Reliability::Confirmable);
        assert_eq!((answered(&pair), pair.processed.len()), (20, 20));
    }
}

#[test]
fn reorder() {
    for seed in 0..10 {
        let faults = Faults { copies: 50, delay_max: 8_000, thinking_max: 4_000, ..PERFECT };
        let pair = put_many(seed, faults, 20, Reliability::Confirmable);
        assert_eq!((answered(&pair), pair.processed.len()), (20, 20), "seed {seed}");
    }
}

#[test]
fn loss() {
    let mut answers = 0;
    for seed in 0..10 {
        let faults = Faults { loss: 20, ..PERFECT };
        answers += answered(&put_many(seed, faults, 20, Reliability::Confirmable));
    }
    // Five attempts at 64 % each: six in a thousand fail.
    assert!(answers >= 195, "{answers} of 200");
}

#[test]
fn timeout() {
    let faults = Faults { loss: 100, ..PERFECT };
    let pair = put_many(4, faults, 3, Reliability::Confirmable);
    assert!(pair.ended.values().all(|end| *end == Err(Failure::TimedOut)));
    assert_eq!((pair.datagrams, pair.processed.len()), (15, 0));
}

#[test]
fn same_seed_same_history() {
    let faults = Faults { loss: 25, copies: 25, delay_max: 4_000, thinking_max: 3_000 };
    let history = |seed| {
        let pair = put_many(seed, faults, 20, Reliability::Confirmable);
        (pair.processed, pair.ended, pair.datagrams)
    };
    assert_eq!(history(5), history(5));
    assert_ne!(history(5), history(6));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_the_network_does(
        seed in any::<u64>(),
        loss in 0..60u64,
        copies in 0..100u64,
        delay_max in 0..20_000u64,
        thinking_max in 0..20_000u64,
        reliable in any::<bool>(),
    ) {
        let faults = Faults { loss, copies, delay_max, thinking_max };
        let reliability =
            if reliable { Reliability::Confirmable } else { Reliability::NonConfirmable };
        put_many(seed, faults, 10, reliability);
    }

    /// Anything at all arrives; afterwards an honest request is answered.
    #[test]
    fn noise(
        datagrams in proptest::collection::vec(
            (0..4usize, any::<bool>(), 0..8u8, proptest::collection::vec(any::<u8>(), 0..24)),
            0..40,
        ),
    ) {
        let mut pair = Pair::new(1, PERFECT);
        for (peer, group, first, mut octets) in datagrams {
            if let Some(octet) = octets.first_mut() {
                *octet = 0x40 | first << 3 & 0x30 | *octet & 0x03;
            }
            let addressed = if group { Addressed::ToGroup } else { Addressed::ToUs };
            // From strangers and from the client's own name.
            let input = Input::Datagram { peer, addressed, octets: &octets };
            pair.ends[1].handle(pair.now, input);
            while !matches!(pair.ends[1].poll(pair.now), Output::Wait { .. }) {}
            pair.now += Duration::from_millis(100);
        }
        pair.now += Duration::from_secs(300);
        let request = pair.put(&[1], Reliability::Confirmable);
        pair.run();
        prop_assert_eq!(&pair.ended[&request], &Ok(vec![1]));
    }
}
