//! One or two machines; their radio is the test.

extern crate std;

use super::*;
use crate::TxStatus;
use crate::upper::{
    COUNTER_BLOCK, NEIGHBOURS_MAX, PAYLOAD_OCTETS_MAX, PAYLOAD_SECURED_EXTENDED_OCTETS_MAX,
    PAYLOAD_SECURED_SHORT_OCTETS_MAX, PAYLOAD_UNSECURED_EXTENDED_OCTETS_MAX,
};
use lowgate_crypto::{Key128, SoftCcm};
use lowgate_ieee802154::SecurityLevel;
use lowgate_testkit::hex;
use lowgate_units::{Channel, Duration, ShortAddr};
use proptest::prelude::*;
use std::vec::Vec;

const ALICE: Eui64 = Eui64([0xac, 0xde, 0x48, 0, 0, 0, 0, 1]);
const BOB: Eui64 = Eui64([0xac, 0xde, 0x48, 0, 0, 0, 0, 2]);
const PAN: PanId = PanId::new(0x4321).expect("a PAN");
const CHANNEL: Channel = Channel::new(15).expect("in the band");
const FIRST: KeyIndex = KeyIndex::new(1).expect("not 0");
const SECOND: KeyIndex = KeyIndex::new(2).expect("not 0");
const NOW: Instant = Instant::from_secs(1);

fn key(octet: u8) -> Key128 {
    Key128::new([octet; 16])
}

fn to(eui64: Eui64) -> LinkDst {
    LinkDst::Unicast(LinkAddr::Extended(eui64))
}

/// A machine whose radio always succeeds and whose storage answers at once, unless told otherwise.
struct Device {
    mac: Mac,
    now: Instant,
    radio_answers: bool,
    storage_answers: bool,
    stored: u32,
    sent: Vec<Psdu>,
    outputs: Vec<MacOutput>,
    until: Instant,
}

impl Device {
    /// In the PAN, with no key.
    fn new(eui64: Eui64) -> Self {
        let mut device = Self {
            mac: Mac::new(MacConfig::new(eui64, &SoftCcm), Prng::new(1)),
            now: NOW,
            radio_answers: true,
            storage_answers: true,
            stored: 0,
            sent: Vec::new(),
            outputs: Vec::new(),
            until: Instant::ZERO,
        };
        let short = ShortAddr::new(eui64.0[7].into());
        device.input(MacInput::SetNetwork { channel: CHANNEL, pan_id: Some(PAN), short });
        device.outputs.clear();
        device
    }

    /// With key 1 active.
    fn member(eui64: Eui64) -> Self {
        let mut device = Self::new(eui64);
        device.install(FIRST, 1, 0);
        device.input(MacInput::ActivateKey { index: FIRST });
        device.outputs.clear();
        device
    }

    fn install(&mut self, index: KeyIndex, octet: u8, floor: u32) {
        let counter_floor = FrameCounter(floor);
        self.input(MacInput::InstallKey { index, key: key(octet), counter_floor });
    }

    fn input(&mut self, input: MacInput<'_>) {
        self.mac.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            let output = self.mac.poll(self.now);
            match &output {
                MacOutput::Wait { until } => {
                    self.until = *until;
                    return;
                }
                MacOutput::Radio(RadioCommand::Transmit { token, psdu }) => {
                    self.sent.push(psdu.clone());
                    if self.radio_answers {
                        let (token, status, attempts) = (*token, TxStatus::Acked, 1);
                        let done = RadioEvent::Transmitted { token, status, attempts };
                        self.mac.handle(self.now, MacInput::Radio(done));
                    }
                }
                MacOutput::ReserveCounter { index, below } if self.storage_answers => {
                    self.stored = below.0;
                    let (index, below) = (*index, *below);
                    self.mac.handle(self.now, MacInput::CounterReserved { index, below });
                }
                _ => {}
            }
            self.outputs.push(output);
        }
    }

    fn send(&mut self, dst: LinkDst, security: Security, payload: &[u8]) {
        self.input(MacInput::Send { token: 7, dst, security, payload });
    }

    /// The octets of one frame sent this way.
    fn frame(&mut self, dst: LinkDst, security: Security, payload: &[u8]) -> Psdu {
        self.send(dst, security, payload);
        self.sent.pop().expect("it left")
    }

    fn hear(&mut self, psdu: &[u8]) -> Vec<MacOutput> {
        let psdu = Psdu::from_slice(psdu).expect("fits");
        self.outputs.clear();
        let heard = RadioEvent::Received { psdu, rssi: Rssi(-60), lqi: Lqi(200) };
        self.input(MacInput::Radio(heard));
        std::mem::take(&mut self.outputs)
    }

    fn check_drop(&mut self, psdu: &[u8], drop: FrameDrop) {
        assert_eq!(self.hear(psdu), [MacOutput::Event(MacEvent::FrameDropped(drop))]);
    }

    fn check_received(&mut self, psdu: &[u8], src: Eui64, secured: Option<KeyIndex>, data: &[u8]) {
        let outputs = self.hear(psdu);
        let [MacOutput::Received { src: from, secured: opened, payload, .. }] = &outputs[..] else {
            panic!("{outputs:?}");
        };
        assert_eq!((*from, *opened), (LinkAddr::Extended(src), secured));
        assert_eq!(&payload[..], data);
    }

    fn check_end(&mut self, status: SendStatus, attempts: u8) {
        let ends: Vec<_> =
            self.outputs.iter().filter(|o| matches!(o, MacOutput::SendDone { .. })).collect();
        assert_eq!(ends, [&MacOutput::SendDone { token: 7, status, attempts }]);
        self.outputs.clear();
    }
}

fn counter_of(psdu: &Psdu) -> u32 {
    match Frame::parse(psdu) {
        Ok(Frame::Addressed(AddressedFrame { format: Format::Secured(aux), .. })) => aux.counter.0,
        other => panic!("not secured: {other:?}"),
    }
}

#[test]
fn secured_unicast_on_the_wire() {
    let mut alice = Device::member(ALICE);
    let short = LinkDst::Unicast(LinkAddr::Short(ShortAddr::new(2).expect("not reserved")));
    let psdu = alice.frame(short, Security::Secured, b"hello");
    let sequence = psdu[2];
    let head = std::format!("69d8 {sequence:02x} 2143 0200 0100000000 48deac 0e 00000000 01");
    assert_eq!(&psdu[..21], &hex(&head)[..]);
    assert_eq!(psdu.len(), 21 + 5 + 8);
    alice.check_end(SendStatus::Radio(TxStatus::Acked), 1);
    Device::member(BOB).check_received(&psdu, ALICE, Some(FIRST), b"hello");
}

#[test]
fn secured_broadcast_asks_for_no_acknowledgement() {
    let psdu = Device::member(ALICE).frame(LinkDst::Broadcast, Security::Secured, b"all");
    assert_eq!(psdu[0] & 0x20, 0);
    let outputs = Device::member(BOB).hear(&psdu);
    assert!(matches!(&outputs[..], [MacOutput::Received { dst: LinkDst::Broadcast, .. }]));
}

#[test]
fn unsecured_is_handed_up_and_marked() {
    let psdu = Device::member(ALICE).frame(to(BOB), Security::Unsecured, b"clear");
    Device::member(BOB).check_received(&psdu, ALICE, None, b"clear");
}

#[test]
fn payloads_have_the_room_that_the_constants_say() {
    let short = LinkDst::Unicast(LinkAddr::Short(ShortAddr::new(2).expect("not reserved")));
    for (security, dst, room) in [
        (Security::Secured, short, PAYLOAD_SECURED_SHORT_OCTETS_MAX),
        (Security::Secured, LinkDst::Broadcast, PAYLOAD_SECURED_SHORT_OCTETS_MAX),
        (Security::Secured, to(BOB), PAYLOAD_SECURED_EXTENDED_OCTETS_MAX),
        (Security::Unsecured, to(BOB), PAYLOAD_UNSECURED_EXTENDED_OCTETS_MAX),
    ] {
        let mut alice = Device::member(ALICE);
        let full = [0x5a; PAYLOAD_OCTETS_MAX];
        let psdu = alice.frame(dst, security, &full[..room]);
        assert_eq!(psdu.len(), PSDU_OCTETS_MAX);
        assert!(matches!(Device::member(BOB).hear(&psdu)[..], [MacOutput::Received { .. }]));
        alice.outputs.clear();
        alice.send(dst, security, &full[..=room]);
        alice.check_end(SendStatus::Dropped(SendDrop::PayloadTooLong), 0);
    }
}

#[test]
fn beacon_request_and_beacon() {
    let mut joiner = Device::new(ALICE);
    joiner.input(MacInput::SetNetwork { channel: CHANNEL, pan_id: None, short: None });
    joiner.input(MacInput::SendBeaconRequest);
    let request = joiner.sent.pop().expect("it left");
    assert_eq!(request.len(), 8);
    let mut router = Device::member(BOB);
    assert_eq!(router.hear(&request), [MacOutput::BeaconRequested { src: None }]);

    let payload = [0x42; BEACON_PAYLOAD_OCTETS_MAX];
    router.input(MacInput::SendBeacon { payload: &payload });
    let beacon = router.sent.pop().expect("it left");
    assert_eq!(beacon.len(), PSDU_OCTETS_MAX);
    let payload = Payload::from_slice(&payload).expect("fits");
    let (rssi, lqi) = (Rssi(-60), Lqi(200));
    let heard = MacOutput::BeaconHeard { src: BOB, pan_id: PAN, payload, rssi, lqi };
    assert_eq!(joiner.hear(&beacon), [heard]);

    router.outputs.clear();
    router.input(MacInput::SendBeacon { payload: &[0; BEACON_PAYLOAD_OCTETS_MAX + 1] });
    let too_long = MacEvent::BeaconDropped(SendDrop::PayloadTooLong);
    assert_eq!(router.outputs, [MacOutput::Event(too_long)]);
}

#[test]
fn no_counter_is_used_twice_across_crashes() {
    let mut used = std::collections::BTreeSet::new();
    let mut stored = 0;
    for life in 0..6 {
        let mut alice = Device::new(ALICE);
        alice.stored = stored;
        alice.install(FIRST, 1, stored);
        alice.input(MacInput::ActivateKey { index: FIRST });
        for _ in 0..life * 300 {
            let psdu = alice.frame(LinkDst::Broadcast, Security::Secured, b"x");
            assert!(used.insert(counter_of(&psdu)), "counter used twice");
            assert!(counter_of(&psdu) < alice.stored, "counter used before it was stored");
        }
        // The crash: what storage holds is all that is left.
        stored = alice.stored;
    }
}

#[test]
fn a_frame_waits_for_storage_and_unsecured_ones_pass_it() {
    let mut alice = Device::new(ALICE);
    alice.storage_answers = false;
    alice.install(FIRST, 1, 0);
    let below = FrameCounter(COUNTER_BLOCK);
    assert_eq!(alice.outputs, [MacOutput::ReserveCounter { index: FIRST, below }]);
    alice.input(MacInput::ActivateKey { index: FIRST });
    alice.send(to(BOB), Security::Secured, b"waits");
    assert!(alice.sent.is_empty());
    alice.send(to(BOB), Security::Unsecured, b"passes");
    assert_eq!(alice.sent.len(), 1);
    alice.input(MacInput::CounterReserved { index: FIRST, below });
    assert_eq!(alice.sent.len(), 2);
    assert_eq!(counter_of(&alice.sent[1]), 0);
}

#[test]
fn counters_end() {
    let mut alice = Device::new(ALICE);
    alice.install(FIRST, 1, u32::MAX - 1);
    alice.input(MacInput::ActivateKey { index: FIRST });
    alice.outputs.clear();
    let last = alice.frame(to(BOB), Security::Secured, b"last");
    assert_eq!(counter_of(&last), u32::MAX - 1);
    alice.check_end(SendStatus::Radio(TxStatus::Acked), 1);
    alice.send(to(BOB), Security::Secured, b"never");
    alice.check_end(SendStatus::Dropped(SendDrop::CountersExhausted), 0);
    // Its receiver has no higher one to wait for.
    let mut bob = Device::member(BOB);
    bob.check_received(&last, ALICE, Some(FIRST), b"last");
    bob.check_drop(&last, FrameDrop::Replayed);
}

#[test]
fn replayed_and_reordered_frames_are_refused() {
    let (mut alice, mut bob) = (Device::member(ALICE), Device::member(BOB));
    let [a, b] = [b"a", b"b"].map(|data| alice.frame(to(BOB), Security::Secured, data));
    bob.check_received(&b, ALICE, Some(FIRST), b"b");
    bob.check_drop(&b, FrameDrop::Replayed);
    bob.check_drop(&a, FrameDrop::Replayed);
    let c = alice.frame(to(BOB), Security::Secured, b"c");
    bob.check_received(&c, ALICE, Some(FIRST), b"c");
}

#[test]
fn a_wrong_tag_does_not_move_the_counter() {
    let (mut alice, mut bob) = (Device::member(ALICE), Device::member(BOB));
    let good = alice.frame(to(BOB), Security::Secured, b"good");
    let mut forged = good.clone();
    // The counter's third octet, behind control, sequence, addresses and security control.
    forged[3 + 2 + 8 + 8 + 1 + 2] = 0xff;
    bob.check_drop(&forged, FrameDrop::BadMic);
    bob.check_received(&good, ALICE, Some(FIRST), b"good");
}

#[test]
fn every_octet_is_authenticated() {
    let good = Device::member(ALICE).frame(to(BOB), Security::Secured, b"good");
    let mut bob = Device::member(BOB);
    for at in 0..good.len() {
        let mut forged = good.clone();
        forged[at] ^= 0x01;
        for output in bob.hear(&forged) {
            assert!(!matches!(output, MacOutput::Received { .. }), "octet {at}");
        }
    }
    bob.check_received(&good, ALICE, Some(FIRST), b"good");
}

#[test]
fn only_the_networks_level_is_accepted() {
    let (mut alice, mut bob) = (Device::member(ALICE), Device::member(BOB));
    // Encryption without integrity, from somebody who has the key.
    let head = "69dc 01 2143 0200000000 48deac 0100000000 48deac 0c 05000000 01 616263";
    bob.check_drop(&hex(head), FrameDrop::Level(SecurityLevel::Enc));
    alice.mac.config.level = LinkSecurity::EncMic32;
    let short_tag = alice.frame(to(BOB), Security::Secured, b"level 5");
    bob.check_drop(&short_tag, FrameDrop::Level(SecurityLevel::EncMic32));
    bob.mac.config.level = LinkSecurity::EncMic32;
    bob.check_received(&short_tag, ALICE, Some(FIRST), b"level 5");
}

#[test]
fn refused_by_name() {
    let mut bob = Device::member(BOB);
    let src = "0100000000 48deac";
    let mut check = |text: &str, drop| bob.check_drop(&hex(text), drop);
    let last = std::format!("69d8 01 2143 0200 {src} 0e ffffffff 01 616263646566676869");
    check(&last, FrameDrop::CounterExhausted);
    let implicit = std::format!("69d8 01 2143 0200 {src} 06 05000000 616263646566676869");
    check(&implicit, FrameDrop::KeyIdMode);
    let tagless = std::format!("69d8 01 2143 0200 {src} 0e 05000000 01 61626364656667");
    check(&tagless, FrameDrop::BadMic);
    check("6998 01 2143 0200 0100 0e 05000000 01 616263646566676869", FrameDrop::SourceNotExtended);
    check("6188 01 2143 0200 0100 61", FrameDrop::SourceNotExtended);
    check("61c8 01 2143 0300 0100000000 48deac 61", FrameDrop::NotForUs);
    check("61c8 01 2143 0200 0200000000 48deac 61", FrameDrop::OwnAddress);
    check("0200 01", FrameDrop::Ack);
    check("0188", FrameDrop::Malformed(ParseDrop::Truncated));
    check("63c8 01 2143 0200 0100000000 48deac 04", FrameDrop::Command);
    check("0080 01 2143 0100 ff0f 00 00", FrameDrop::SourceNotExtended);
}

#[test]
fn an_unknown_key_is_an_event_of_its_own() {
    let mut alice = Device::new(ALICE);
    alice.install(SECOND, 2, 0);
    alice.input(MacInput::ActivateKey { index: SECOND });
    let psdu = alice.frame(to(BOB), Security::Secured, b"new");
    let unknown = MacEvent::UnknownKey { index: SECOND, src: ALICE };
    assert_eq!(Device::member(BOB).hear(&psdu), [MacOutput::Event(unknown)]);
}

#[test]
fn a_rekey_opens_old_and_new_until_the_old_is_retired() {
    let (mut alice, mut bob) = (Device::member(ALICE), Device::member(BOB));
    alice.install(SECOND, 2, 0);
    bob.install(SECOND, 2, 0);
    alice.input(MacInput::ActivateKey { index: SECOND });
    let new = alice.frame(to(BOB), Security::Secured, b"new");
    assert_eq!(counter_of(&new), 0);
    bob.check_received(&new, ALICE, Some(SECOND), b"new");
    assert_eq!(bob.mac.active_key(), Some(FIRST));
    let old = bob.frame(to(ALICE), Security::Secured, b"old");
    alice.check_received(&old, BOB, Some(FIRST), b"old");
    alice.input(MacInput::RetireKey { index: FIRST });
    assert!(!alice.mac.holds_key(FIRST));
    let older = bob.frame(to(ALICE), Security::Secured, b"older");
    let unknown = MacEvent::UnknownKey { index: FIRST, src: BOB };
    assert_eq!(alice.hear(&older), [MacOutput::Event(unknown)]);
    // The counters under the key that stays are still known.
    bob.check_drop(&new, FrameDrop::Replayed);
    bob.input(MacInput::RetireKey { index: FIRST });
    bob.check_drop(&new, FrameDrop::Replayed);
}

#[test]
fn a_full_neighbour_table_refuses_the_next_and_replays_nobody() {
    let mut bob = Device::member(BOB);
    let frame_of = |number: usize| {
        let eui64 = Eui64([0xee, 0, 0, 0, 0, 0, (number >> 8) as u8, number as u8]);
        (eui64, Device::member(eui64).frame(LinkDst::Broadcast, Security::Secured, b"x"))
    };
    for number in 0..NEIGHBOURS_MAX {
        let (eui64, psdu) = frame_of(number);
        bob.check_received(&psdu, eui64, Some(FIRST), b"x");
    }
    let (_, psdu) = frame_of(NEIGHBOURS_MAX);
    bob.check_drop(&psdu, FrameDrop::NeighbourTableFull);
    bob.check_drop(&psdu, FrameDrop::NeighbourTableFull);
    for number in 0..NEIGHBOURS_MAX {
        bob.check_drop(&frame_of(number).1, FrameDrop::Replayed);
    }
}

#[test]
fn unsecured_duplicates_are_dropped_by_their_number() {
    let mut bob = Device::member(BOB);
    let mut alice = Device::new(ALICE);
    let a = alice.frame(to(BOB), Security::Unsecured, b"a");
    let b = alice.frame(to(BOB), Security::Unsecured, b"b");
    bob.check_received(&a, ALICE, None, b"a");
    bob.check_drop(&a, FrameDrop::Duplicate);
    bob.check_received(&b, ALICE, None, b"b");
    bob.now = NOW + Duration::from_secs(1);
    bob.check_received(&b, ALICE, None, b"b");
}

#[test]
fn sends_that_cannot_be() {
    let mut alice = Device::new(ALICE);
    alice.send(to(BOB), Security::Secured, b"x");
    alice.check_end(SendStatus::Dropped(SendDrop::NoActiveKey), 0);
    alice.input(MacInput::SetNetwork { channel: CHANNEL, pan_id: None, short: None });
    alice.outputs.clear();
    alice.send(to(BOB), Security::Unsecured, b"x");
    alice.check_end(SendStatus::Dropped(SendDrop::NoNetwork), 0);
    alice.input(MacInput::ActivateKey { index: FIRST });
    let refused = MacEvent::KeyRefused { index: FIRST };
    assert_eq!(alice.outputs, [MacOutput::Event(refused)]);
}

#[test]
fn the_queue_is_bounded_and_every_send_ends_once() {
    let mut alice = Device::member(ALICE);
    alice.radio_answers = false;
    let sends = 2 * QUEUE_FRAMES_MAX as u32;
    for token in 0..sends {
        let payload = &token.to_be_bytes();
        let (dst, security) = (to(BOB), Security::Secured);
        alice.input(MacInput::Send { token, dst, security, payload });
    }
    alice.input(MacInput::ForgetAll);
    let mut full = 0;
    let mut forgotten = 0;
    for output in &alice.outputs {
        match output {
            MacOutput::SendDone { status: SendStatus::Dropped(SendDrop::QueueFull), .. } => {
                full += 1
            }
            MacOutput::SendDone { status: SendStatus::Dropped(SendDrop::Forgotten), .. } => {
                forgotten += 1;
            }
            _ => {}
        }
    }
    // One more is with the radio.
    assert_eq!((full, forgotten), (QUEUE_FRAMES_MAX - 1, QUEUE_FRAMES_MAX));
    assert_eq!(alice.sent.len(), 1);
    assert_eq!(alice.mac.active_key(), None);
}

#[test]
fn a_change_of_pan_drops_the_queue() {
    let mut alice = Device::member(ALICE);
    alice.radio_answers = false;
    alice.send(LinkDst::Broadcast, Security::Unsecured, b"on its way");
    alice.send(to(BOB), Security::Secured, b"waits");
    let pan_id = PanId::new(0x1111);
    alice.input(MacInput::SetNetwork { channel: CHANNEL, pan_id: Some(PAN), short: None });
    assert!(!alice.outputs.iter().any(|output| matches!(output, MacOutput::SendDone { .. })));
    alice.input(MacInput::SetNetwork { channel: CHANNEL, pan_id, short: None });
    alice.check_end(SendStatus::Dropped(SendDrop::NetworkChanged), 0);
}

#[test]
fn a_silent_radio_is_given_up() {
    let mut alice = Device::member(ALICE);
    alice.radio_answers = false;
    alice.send(to(BOB), Security::Secured, b"first");
    assert_eq!(alice.until, NOW + RADIO_SILENCE_MAX);
    alice.now = alice.until;
    alice.drain();
    alice.check_end(SendStatus::Dropped(SendDrop::RadioSilent), 0);
    let late = RadioEvent::Transmitted { token: TxToken(0), status: TxStatus::Acked, attempts: 1 };
    alice.input(MacInput::Radio(late));
    assert!(alice.outputs.is_empty());
    assert_eq!(alice.until, Instant::FAR_FUTURE);
}

#[test]
fn outputs_lost_by_an_owner_who_never_polls_are_counted() {
    let mut alice = Device::member(ALICE);
    for _ in 0..ENDS_MAX + QUEUE_FRAMES_MAX + 3 {
        let (dst, security) = (to(BOB), Security::Secured);
        alice.mac.handle(NOW, MacInput::Send { token: 7, dst, security, payload: b"x" });
    }
    alice.drain();
    let lost = MacOutput::Event(MacEvent::OutputsLost { count: 3 });
    assert!(alice.outputs.contains(&lost));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_octets_never_panic_and_are_never_opened(
        octets in prop::collection::vec(any::<u8>(), 0..=PSDU_OCTETS_MAX),
        head in prop::sample::select(std::vec![
            "", "69d8 01 2143 0200 0100000000 48deac 0e 05000000 01", "61c8 01 2143 0200",
            "00c0 01 2143 0100000000 48deac", "03 08 01 ffff ffff",
        ]),
    ) {
        let mut octets = [&hex(head)[..], &octets].concat();
        octets.truncate(PSDU_OCTETS_MAX);
        for output in Device::member(BOB).hear(&octets) {
            let opened = matches!(output, MacOutput::Received { secured: Some(_), .. });
            prop_assert!(!opened);
        }
    }
}
