//! Fragmenter and reassembler against each other and against RFC 4944 section 5.3.

extern crate std;

use crate::iphc::{self, Compressed};
use crate::*;
use core::time::Duration;
use lowgate_testkit::hex;
use lowgate_units::{Eui64, Instant, Ipv6Addr, LinkAddr, LinkDst, ShortAddr};
use std::vec;
use std::vec::Vec;

const PAYLOAD_MAX: usize = 96;

fn link(src: u8) -> LinkPair {
    LinkPair {
        src: LinkAddr::Extended(Eui64([2, 0, 0, 0, 0, 0, 0, src])),
        dst: LinkDst::Unicast(LinkAddr::Short(ShortAddr::new(7).unwrap())),
    }
}

/// A packet of `len` octets between link-local addresses; no next header.
fn packet(len: usize, fill: u8) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(len - 40).unwrap().to_be_bytes());
    packet.extend([59, 64]);
    packet.extend("fe80::a:1".parse::<Ipv6Addr>().unwrap().octets());
    packet.extend("fe80::a:2".parse::<Ipv6Addr>().unwrap().octets());
    packet.resize(len, fill);
    packet
}

fn compressed(packet: &[u8], headers_max: usize) -> (Vec<u8>, Compressed) {
    let mut out = [0; DATAGRAM_OCTETS_MAX + 1];
    let contexts = Contexts::new();
    let result = iphc::compress_within(packet, link(1), &contexts, headers_max, &mut out).unwrap();
    (out[..result.len()].to_vec(), result)
}

fn frames(packet: &[u8], tag: u16) -> Vec<Vec<u8>> {
    let (octets, datagram) = compressed(packet, Fragmenter::headers_max(PAYLOAD_MAX));
    let mut fragmenter = Fragmenter::new(datagram, DatagramTag(tag), PAYLOAD_MAX).unwrap();
    let mut frames = Vec::new();
    let mut out = [0xa5; PAYLOAD_MAX];
    while let Some(len) = fragmenter.emit_next(&octets, &mut out) {
        frames.push(out[..len].to_vec());
    }
    assert!(fragmenter.is_done());
    frames
}

/// The receiving end with a clock.
struct Receiver {
    reassembler: Reassembler<2, 1>,
    now: Instant,
    out: [u8; DATAGRAM_OCTETS_MAX],
}

impl Receiver {
    fn new() -> Self {
        Self {
            reassembler: Reassembler::new(),
            now: Instant::from_secs(1),
            out: [0x5a; DATAGRAM_OCTETS_MAX],
        }
    }

    fn hear(
        &mut self,
        src: u8,
        security: Security,
        octets: &[u8],
    ) -> Result<Received, ReceiveDrop> {
        let frame = Incoming { link: link(src), security, octets };
        self.reassembler.handle(self.now, frame, &Contexts::new(), &mut self.out)
    }

    fn waits(&mut self, src: u8, security: Security, octets: &[u8]) {
        assert_eq!(self.hear(src, security, octets), Ok(Received::Waiting));
    }

    fn drops(&mut self, src: u8, security: Security, octets: &[u8], drop: ReceiveDrop) {
        assert_eq!(self.hear(src, security, octets), Err(drop));
    }

    fn completes(&mut self, src: u8, security: Security, octets: &[u8], packet: &[u8]) {
        let received = self.hear(src, security, octets);
        assert_eq!(received, Ok(Received::Datagram { len: packet.len() }));
        assert_eq!(&self.out[..packet.len()], packet);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }
}

use Security::{Secured, Unsecured};

#[test]
fn what_fits_a_frame_is_not_fragmented() {
    let packet = packet(80, 1);
    let frames = frames(&packet, 1);
    assert_eq!(frames.len(), 1);
    assert_eq!(Dispatch::of(&frames[0]), Some(Dispatch::Iphc));
    Receiver::new().completes(1, Secured, &frames[0], &packet);
}

#[test]
fn fragments_carry_multiples_of_eight() {
    // Headers: 2 + next header 1 + two IIDs of 8 = 19 octets for 40. FRAG1 has 96 - 4 - 19 = 73
    // left, of which 72 are used: 40 + 72 = 112 = 14 units.
    let packet = packet(300, 1);
    let frames = frames(&packet, 0x3f);
    assert_eq!(frames[0][..4], hex("c1 2c 00 3f"));
    assert_eq!(frames[0].len(), 4 + 19 + 72);
    // A later fragment has 91 left, of which 88 are used: 11 units.
    assert_eq!(frames[1][..5], hex("e1 2c 00 3f 0e"));
    assert_eq!(frames[1].len(), 5 + 88);
    assert_eq!(frames[2][..5], hex("e1 2c 00 3f 19"));
    assert_eq!(frames[2].len(), 5 + 88);
    assert_eq!(frames[3][..5], hex("e1 2c 00 3f 24"));
    assert_eq!(frames[3].len(), 5 + 300 - 288);
    assert_eq!(frames.len(), 4);
}

#[test]
fn frames_too_small() {
    let (_, datagram) = compressed(&packet(300, 1), 92);
    let refused = |payload_max| Fragmenter::new(datagram, DatagramTag(0), payload_max).err();
    assert_eq!(refused(Fragmenter::PAYLOAD_OCTETS_MIN - 1), Some(FragmentRefused::PayloadTooSmall));
    assert_eq!(refused(Fragmenter::PAYLOAD_OCTETS_MIN), None);
}

#[test]
fn compressed_headers_that_need_two_frames() {
    // RFC 6282 section 2. Between addresses that nothing compresses, three tunnels deep.
    let mut nested = packet(200, 1);
    for _ in 0..3 {
        let mut outer = vec![0x60, 0, 0, 0];
        outer.extend(u16::try_from(nested.len()).unwrap().to_be_bytes());
        outer.extend([41, 9]);
        outer.extend([0x20; 32]);
        outer.extend(nested);
        nested = outer;
    }
    let (_, datagram) = compressed(&nested, usize::MAX);
    assert!(datagram.headers() > Fragmenter::headers_max(PAYLOAD_MAX));
    let refused = Fragmenter::new(datagram, DatagramTag(0), PAYLOAD_MAX);
    assert_eq!(refused, Err(FragmentRefused::HeadersTooLong));
    let mut receiver = Receiver::new();
    let frames = frames(&nested, 0);
    let (last, others) = frames.split_last().unwrap();
    others.iter().for_each(|frame| receiver.waits(1, Secured, frame));
    receiver.completes(1, Secured, last, &nested);
}

#[test]
fn a_datagram_that_is_not_the_compressed_one_yields_nothing() {
    let (octets, datagram) = compressed(&packet(300, 1), 92);
    let mut fragmenter = Fragmenter::new(datagram, DatagramTag(0), PAYLOAD_MAX).unwrap();
    let mut out = [0; PAYLOAD_MAX];
    assert_eq!(fragmenter.emit_next(&octets[..10], &mut out), None);
    assert_eq!(fragmenter.emit_next(&octets, &mut out[..50]), None);
    assert_eq!(fragmenter.emit_next(&octets, &mut out), Some(95));
}

#[test]
fn two_senders_and_two_tags_do_not_mix() {
    let (one, two, three) = (packet(200, 1), packet(200, 2), packet(200, 3));
    let mut receiver = Receiver::new();
    receiver.waits(1, Secured, &frames(&one, 5)[1]);
    receiver.waits(2, Secured, &frames(&two, 5)[0]);
    receiver.completes(1, Secured, &frames(&one, 5)[0], &one);
    receiver.waits(1, Secured, &frames(&three, 6)[1]);
    receiver.completes(2, Secured, &frames(&two, 5)[1], &two);
    receiver.completes(1, Secured, &frames(&three, 6)[0], &three);
}

#[test]
fn secured_and_unsecured_never_mix() {
    let (ours, theirs) = (packet(200, 1), packet(200, 2));
    let (ours_frames, theirs_frames) = (frames(&ours, 5), frames(&theirs, 5));
    let mut receiver = Receiver::new();
    receiver.waits(1, Secured, &ours_frames[0]);
    receiver.waits(1, Unsecured, &theirs_frames[1]);
    receiver.completes(1, Secured, &ours_frames[1], &ours);
    receiver.completes(1, Unsecured, &theirs_frames[0], &theirs);
}

#[test]
fn strangers_take_no_room_from_the_network() {
    let mut receiver = Receiver::new();
    let frames = frames(&packet(200, 1), 5);
    receiver.waits(1, Unsecured, &frames[0]);
    for src in 2..9 {
        receiver.drops(src, Unsecured, &frames[0], ReceiveDrop::NoSlot);
    }
    receiver.waits(1, Secured, &frames[0]);
    receiver.waits(2, Secured, &frames[0]);
    receiver.drops(3, Secured, &frames[0], ReceiveDrop::NoSlot);
}

#[test]
fn a_silent_datagram_gives_up_its_slot() {
    let mut receiver = Receiver::new();
    let first = &frames(&packet(300, 1), 5)[0];
    receiver.waits(1, Secured, first);
    receiver.pass(Duration::from_millis(500));
    receiver.waits(2, Secured, first);
    receiver.pass(REASSEMBLY_STALE_AFTER - Duration::from_millis(500));
    receiver.waits(3, Secured, first);
    receiver.drops(4, Secured, first, ReceiveDrop::NoSlot);
    let output = receiver.reassembler.poll(receiver.now);
    assert_eq!(output, ReassemblyOutput::Abandoned { datagrams: 1 });
    // Sender 1 lost its slot, sender 2 kept it.
    receiver.drops(1, Secured, first, ReceiveDrop::NoSlot);
    receiver.waits(2, Secured, &frames(&packet(300, 1), 5)[1]);
    // Of two silent ones, the longer silent goes: sender 3.
    receiver.pass(Duration::from_millis(1));
    receiver.waits(2, Secured, &frames(&packet(300, 1), 5)[2]);
    receiver.pass(REASSEMBLY_STALE_AFTER);
    receiver.waits(1, Secured, first);
    receiver.completes(2, Secured, &frames(&packet(300, 1), 5)[3], &packet(300, 1));
}

#[test]
fn what_lacks_its_beginning_gives_way() {
    let frames = frames(&packet(200, 1), 5);
    let mut receiver = Receiver::new();
    receiver.waits(1, Secured, &frames[0]);
    receiver.waits(2, Secured, &frames[1]);
    receiver.waits(3, Secured, &frames[0]);
    receiver.drops(4, Secured, &frames[1], ReceiveDrop::NoSlot);
    receiver.completes(1, Secured, &frames[1], &packet(200, 1));
}

#[test]
fn what_nobody_wants_takes_no_room() {
    let whole = packet(200, 1);
    let frames = frames(&whole, 5);
    let mut receiver = Receiver::new();
    let mut beginning = [0; DATAGRAM_OCTETS_MAX];
    for src in 1..=8 {
        let incoming = |octets| Incoming { link: link(src), security: Secured, octets };
        let first = incoming(&frames[0]);
        let len = Reassembler::<2, 1>::beginning(first, &Contexts::new(), &mut beginning);
        assert_eq!(beginning[..len.expect("the first")], whole[..112]);
        let next = incoming(&frames[1]);
        let none = Reassembler::<2, 1>::beginning(next, &Contexts::new(), &mut beginning);
        assert_eq!(none, None);
        receiver.reassembler.disregard(receiver.now, first);
    }
    for src in 1..=8 {
        receiver.drops(src, Secured, &frames[1], ReceiveDrop::AlreadyComplete);
    }
    receiver.waits(9, Secured, &frames[0]);
    // Half of it was there.
    let half = Incoming { link: link(9), security: Secured, octets: &frames[0] };
    receiver.reassembler.disregard(receiver.now, half);
    receiver.drops(9, Secured, &frames[1], ReceiveDrop::AlreadyComplete);
}

#[test]
fn time_runs_out() {
    // RFC 4944 section 5.3: the timeout MUST be at most 60 seconds.
    assert!(REASSEMBLY_TIMEOUT <= Duration::from_secs(60));
    let packet = packet(200, 1);
    let frames = frames(&packet, 5);
    let mut receiver = Receiver::new();
    let idle = ReassemblyOutput::Wait { until: Instant::FAR_FUTURE };
    assert_eq!(receiver.reassembler.poll(receiver.now), idle);
    receiver.waits(1, Secured, &frames[0]);
    let until = receiver.now + REASSEMBLY_TIMEOUT;
    assert_eq!(receiver.reassembler.poll(receiver.now), ReassemblyOutput::Wait { until });
    receiver.pass(REASSEMBLY_TIMEOUT);
    // The late fragment begins anew, even when nobody polled.
    receiver.waits(1, Secured, &frames[1]);
    let abandoned = ReassemblyOutput::Abandoned { datagrams: 1 };
    assert_eq!(receiver.reassembler.poll(receiver.now), abandoned);
    receiver.completes(1, Secured, &frames[0], &packet);
    assert_eq!(receiver.reassembler.poll(receiver.now), idle);
}

#[test]
fn duplicates_are_harmless() {
    let packet = packet(300, 1);
    let frames = frames(&packet, 5);
    let mut receiver = Receiver::new();
    for frame in &frames[1..] {
        receiver.waits(1, Secured, frame);
        receiver.waits(1, Secured, frame);
    }
    receiver.completes(1, Secured, &frames[0], &packet);
    for frame in &frames {
        receiver.drops(1, Secured, frame, ReceiveDrop::AlreadyComplete);
    }
    // Once forgotten, the same tag and size may come again.
    receiver.pass(Duration::from_secs(1));
    for frame in &frames[1..] {
        receiver.waits(1, Secured, frame);
    }
    receiver.completes(1, Secured, &frames[0], &packet);
}

#[test]
fn overlap_with_other_octets_discards() {
    let (old, new) = (packet(200, 1), packet(200, 2));
    let (old_frames, new_frames) = (frames(&old, 5), frames(&new, 5));
    let mut receiver = Receiver::new();
    receiver.waits(1, Secured, &old_frames[1]);
    receiver.drops(1, Secured, &new_frames[1], ReceiveDrop::Overlap);
    // What was kept is the new one.
    receiver.completes(1, Secured, &new_frames[0], &new);
}

#[test]
fn overlap_with_other_bounds_discards() {
    // RFC 4944 section 5.3: differs in either the size or the offset of the overlapped fragment.
    let units = |offset: u8, units: usize| {
        let mut octets = hex("e0 c8 00 05");
        octets.push(offset);
        octets.extend(vec![0; units * 8]); // No octet tells the fragments apart.
        octets
    };
    let overlaps = [(10, 3), (10, 5), (9, 4), (11, 4), (11, 2), (8, 10), (13, 1), (10, 1)];
    for (offset, count) in overlaps {
        let mut receiver = Receiver::new();
        receiver.waits(1, Secured, &units(10, 4));
        receiver.drops(1, Secured, &units(offset, count), ReceiveDrop::Overlap);
    }
    let mut receiver = Receiver::new();
    receiver.waits(1, Secured, &units(10, 4));
    receiver.waits(1, Secured, &units(14, 2));
    receiver.waits(1, Secured, &units(8, 2));
    receiver.waits(1, Secured, &units(10, 4));
    receiver.drops(1, Secured, &units(8, 6), ReceiveDrop::Overlap);
    // The bounds of what is gone are forgotten.
    receiver.waits(1, Secured, &units(8, 6));
}

#[test]
fn fragments_that_do_not_belong() {
    let mut receiver = Receiver::new();
    let mut check = |text, drop| receiver.drops(1, Secured, &hex(text), drop);
    check("e0 50 00 05 01", ReceiveDrop::EmptyFragment);
    check("c0 50 00 05", ReceiveDrop::EmptyFragment);
    check("e0 50 00 05 01 01", ReceiveDrop::Unaligned);
    check("e0 50 00 05 09 0102030405060708 09", ReceiveDrop::BeyondDatagram);
    check("e0 50 00 05 00 01", ReceiveDrop::Fragment(FragDrop::OffsetZero));
    check("c0 50 00 05 7a 33", ReceiveDrop::Headers(iphc::DecompressDrop::Truncated));
    check("c0 50 00 05 c0 50 00 05", ReceiveDrop::Headers(iphc::DecompressDrop::UnknownDispatch));
    check("c0 50 00 05 7a 33 3b 01", ReceiveDrop::Unaligned);
    check("42 00", ReceiveDrop::UnknownDispatch);
    check("", ReceiveDrop::UnknownDispatch);
    // None of them took a slot.
    let wait = ReassemblyOutput::Wait { until: Instant::FAR_FUTURE };
    assert_eq!(receiver.reassembler.poll(receiver.now), wait);
}

#[test]
fn a_short_output_is_refused_before_anything_is_kept() {
    let frames = frames(&packet(200, 1), 5);
    let mut reassembler = Reassembler::<2, 1>::new();
    for frame in &frames {
        let frame = Incoming { link: link(1), security: Secured, octets: frame };
        let result = reassembler.handle(Instant::ZERO, frame, &Contexts::new(), &mut [0; 199]);
        assert_eq!(result, Err(ReceiveDrop::OutputTooSmall));
    }
}

#[test]
fn clear_forgets_everything() {
    let packet = packet(200, 1);
    let frames = frames(&packet, 5);
    let mut receiver = Receiver::new();
    receiver.waits(1, Secured, &frames[0]);
    receiver.waits(1, Unsecured, &frames[0]);
    receiver.reassembler.clear();
    receiver.waits(1, Secured, &frames[1]);
    let until = receiver.now + REASSEMBLY_TIMEOUT;
    assert_eq!(receiver.reassembler.poll(receiver.now), ReassemblyOutput::Wait { until });
}
