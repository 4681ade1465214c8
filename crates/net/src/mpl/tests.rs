//! Floods by hand: what is repeated, what is dropped, and what storage has to hold first.

extern crate std;
use super::*;
use proptest::prelude::*;
use std::vec;

const SEED: SeedId = SeedId::Short(7);

fn option(sequence: u8) -> MplOption {
    MplOption { seed: SEED, largest: false, sequence }
}

struct Forwarder {
    mpl: Mpl,
    prng: Prng,
}

impl Forwarder {
    fn new() -> Self {
        Self { mpl: Mpl::new(0), prng: Prng::new(1) }
    }

    fn hear(&mut self, now: Instant, sequence: u8) -> Verdict {
        self.mpl.data(now, &mut self.prng, &option(sequence), 0, &[0; 60])
    }

    /// The first frame of several.
    fn begins(&mut self, now: Instant, sequence: u8) -> bool {
        self.mpl.hear(now, &mut self.prng, &option(sequence))
    }

    /// Data packets and control messages sent until `until`.
    fn run(&mut self, until: Instant) -> (usize, vec::Vec<Packet>) {
        let (mut data, mut control) = (0, vec![]);
        while self.mpl.due() <= until {
            match self.mpl.poll(self.mpl.due(), &mut self.prng) {
                Some(MplSend::Data(_)) => data += 1,
                Some(MplSend::Control(body)) => control.push(body),
                None => {}
            }
        }
        (data, control)
    }
}

#[test]
fn a_message_is_forwarded_three_times_and_accepted_once() {
    let mut forwarder = Forwarder::new();
    assert_eq!(forwarder.hear(Instant::ZERO, 5), Verdict::Deliver);
    assert_eq!(forwarder.run(Instant::from_secs(2)).0, usize::from(DATA_EXPIRATIONS));
    assert_eq!(forwarder.hear(Instant::from_secs(2), 5), Verdict::Duplicate);
    assert_eq!(forwarder.hear(Instant::from_secs(2), 4), Verdict::Deliver, "overtaken");
    assert_eq!(forwarder.hear(Instant::from_secs(2), 200), Verdict::Duplicate, "long ago");
    assert!(forwarder.run(Instant::from_secs(300)).1.len() >= 8, "control messages, then silence");
    assert_eq!(forwarder.mpl.due(), Instant::FAR_FUTURE);
    assert_eq!(forwarder.hear(Instant::from_secs(300), 5), Verdict::Duplicate, "still known");
}

#[test]
fn who_hears_it_often_enough_keeps_quiet() {
    let mut forwarder = Forwarder::new();
    forwarder.hear(Instant::ZERO, 5);
    for at in [10, 140, 400] {
        forwarder.run(Instant::from_millis(at));
        assert_eq!(forwarder.hear(Instant::from_millis(at), 5), Verdict::Duplicate);
    }
    assert_eq!(forwarder.run(Instant::from_secs(2)).0, 0);
}

#[test]
fn the_beginning_of_a_neighbours_copy_counts() {
    let mut forwarder = Forwarder::new();
    assert!(!forwarder.begins(Instant::ZERO, 5), "the rest is wanted");
    forwarder.hear(Instant::ZERO, 5);
    for at in [10, 140, 400] {
        forwarder.run(Instant::from_millis(at));
        assert!(forwarder.begins(Instant::from_millis(at), 5));
    }
    assert_eq!(forwarder.run(Instant::from_secs(2)).0, 0);
    assert!(!forwarder.begins(Instant::from_secs(2), 6));
}

#[test]
fn longer_messages_take_their_time() {
    let interval = |octets| data_parameters(octets).interval_min.as_millis();
    let frames = [1, 2, 3, 4, 5, 6];
    let octets = frames.map(|frames| FIRST_FRAME_OCTETS + (frames - 1) * NEXT_FRAME_OCTETS);
    assert_eq!(octets.map(interval), [128, 256, 512, 1024, 2048, 2048]);
    assert_eq!(interval(MPL_PACKET_OCTETS_MAX), 2048);
}

#[test]
fn a_control_message_repairs() {
    let (mut full, mut empty) = (Forwarder::new(), Forwarder::new());
    full.hear(Instant::ZERO, 5);
    let quiet = Instant::from_secs(1);
    let (_, control) = full.run(quiet);
    let body = &control[0];
    let src = Ipv6Addr::UNSPECIFIED;
    // The one that lacks it says so by a control message of its own, which is empty.
    assert!(empty.mpl.control(quiet, &mut empty.prng, src, body));
    assert!(empty.mpl.control.is_running());
    assert!(full.mpl.control(quiet, &mut full.prng, src, &[]));
    assert!(full.run(Instant::from_secs(2)).0 > 0);
    // Who has the same hears agreement.
    let mut same = Forwarder::new();
    same.hear(Instant::ZERO, 5);
    same.run(quiet);
    assert!(same.mpl.control(quiet, &mut same.prng, src, body));
    assert_eq!(same.run(Instant::from_millis(1600)).0, 0);
}

#[test]
fn a_full_buffer_lets_go_of_what_is_forwarded() {
    let mut forwarder = Forwarder::new();
    for sequence in 0..MPL_MESSAGES_MAX as u8 + 4 {
        let now = Instant::from_secs(2 * u64::from(sequence));
        forwarder.run(now);
        assert_eq!(forwarder.hear(now, sequence), Verdict::Deliver, "{sequence}");
    }
    assert_eq!(forwarder.hear(Instant::from_secs(60), 0), Verdict::Duplicate);
}

#[test]
fn own_numbers_wait_for_storage() {
    let mut mpl = Mpl::new(250);
    assert_eq!(mpl.take_sequence(), None);
    assert_eq!(mpl.reserve(), Some(9)); // 250 to 9 are sixteen
    assert_eq!(mpl.reserve(), None, "one question at a time");
    mpl.reserved(3); // not what was asked
    assert_eq!(mpl.take_sequence(), None);
    mpl.reserved(9);
    for expected in (250..=255).chain(0..=6) {
        assert_eq!(mpl.take_sequence(), Some(expected));
    }
    assert_eq!(mpl.reserve(), Some(25));
    for expected in 7..=9 {
        assert_eq!(mpl.take_sequence(), Some(expected));
    }
    assert_eq!(mpl.take_sequence(), None);
    mpl.reserved(25);
    assert_eq!(mpl.take_sequence(), Some(10));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_message_is_accepted_twice(sequences in proptest::collection::vec(0u8..40, 1..80)) {
        let mut forwarder = Forwarder::new();
        let mut accepted = vec![];
        for (i, sequence) in sequences.into_iter().enumerate() {
            let now = Instant::from_millis(i as u64 * 50);
            forwarder.run(now);
            if forwarder.hear(now, sequence) == Verdict::Deliver {
                prop_assert!(!accepted.contains(&sequence));
                accepted.push(sequence);
            }
        }
    }

    #[test]
    fn any_control_message_is_survived(body in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut forwarder = Forwarder::new();
        forwarder.hear(Instant::ZERO, 5);
        let _ = forwarder.mpl.control(Instant::ZERO, &mut forwarder.prng, Ipv6Addr::UNSPECIFIED, &body);
        forwarder.run(Instant::from_secs(3));
    }
}
