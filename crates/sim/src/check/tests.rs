//! A change of key that passes a member by is found, once, and not before its time.

use super::*;
use lowgate_amikey::KeyIndex;
use lowgate_ieee802154::{Addressing, AuxSecurityHeader, FrameCounter, KeyIndex as LinkKeyIndex};
use lowgate_mac::LinkSecurity;
use lowgate_units::PanId;

const A: StationId = StationId(0);
const B: StationId = StationId(1);

fn pan() -> PanId {
    PanId::new(0x1a43).expect("not broadcast")
}

fn eui64(station: StationId) -> Eui64 {
    Eui64([2, 0, 0, 0, 0, 0, 0, station.0 as u8])
}

/// A frame for everybody under a key; its contents do not matter.
fn psdu(src: StationId, key: u8, counter: u32) -> Psdu {
    let pan = pan();
    let aux = AuxSecurityHeader {
        level: LinkSecurity::EncMic64.level(),
        key_id: KeyId::Index(LinkKeyIndex::new(key).expect("not 0")),
        counter: FrameCounter(counter),
    };
    let src = LinkAddr::Extended(eui64(src));
    let frame = AddressedFrame {
        format: Format::Secured(aux),
        pending: false,
        ack_request: false,
        sequence: 0,
        content: Content::Data { addressing: Addressing::within(pan, LinkDst::Broadcast, src) },
        payload: &[0; 20],
    };
    let mut psdu = Psdu::new();
    psdu.resize_default(frame.len()).expect("it fits");
    frame.emit(&mut psdu);
    psdu
}

/// Two members, of whom A has switched and B hears it.
fn switched() -> Checkers {
    let mut checkers = Checkers::new(2, Decisions::Told);
    let pan = pan();
    let changes = [A, B].map(|station| {
        checkers.know(station, eui64(station));
        let short = ShortAddr::new(station.0 as u16).expect("not reserved");
        Change::Admitted { eui64: eui64(station), pan, short }
    });
    checkers.committed(Instant::ZERO, &Batch { revision: 1, changes: changes.to_vec() });
    let index = KeyIndex::new(2).expect("not 0");
    checkers.manager(Instant::ZERO, &ManagerEvent::KeySwitched { pan, index });
    for counter in 0..KEY_HEARD_MIN {
        let frame = FrameId(u64::from(counter));
        checkers.aired(Instant::ZERO, frame, A, &psdu(A, 2, counter), &Flash::new());
        checkers.heard(Instant::ZERO, B, Some(frame));
    }
    checkers
}

fn check(times: &[(u64, u8)], expected: usize) {
    let mut checkers = switched();
    for (counter, (seconds, key)) in times.iter().enumerate() {
        let (now, frame) = (Instant::from_secs(*seconds), FrameId(10 + counter as u64));
        checkers.aired(now, frame, B, &psdu(B, *key, counter as u32), &Flash::new());
    }
    let missed = Fault::KeyNotCurrent { station: B };
    let found = checkers.findings().iter().filter(|finding| finding.fault == missed);
    assert_eq!(found.count(), expected, "{times:?}");
    assert_eq!(checkers.findings().len(), expected);
}

#[test]
fn an_old_key_is_current_for_a_while() {
    check(&[(1, 1), (100, 1)], 0);
}

#[test]
fn an_old_key_long_after_the_switch_is_found_once() {
    check(&[(1, 1), (121, 1), (122, 1)], 1);
}

#[test]
fn who_switched_late_has_switched() {
    check(&[(100, 1), (119, 2), (200, 2)], 0);
}
