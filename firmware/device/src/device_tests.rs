//! A device on a flash in memory, alone: what its flash and its button make of it.

extern crate std;
use super::*;
use crate::button::LONG_PRESS;
use crate::ram::Ram as RamOf;
use lowgate_amikey::{Cfg, KeyIndex, KeyUsage, LinkKey};
use lowgate_crypto::{Key128, SoftCcm};
use lowgate_dtls::Psk;
use lowgate_units::{Channel, Eui64, SeededEntropy};
use std::vec::Vec;

type Ram = RamOf<4096>;

const LIGHT: Maker = Maker { kind: Kind::Light, ccm: &SoftCcm };
const COUNTER: RecordKey = RecordKey::FrameCounter(KeyIndex::FIRST);

fn with_settings() -> Ram {
    let settings = Settings {
        eui64: Eui64([2; 8]),
        channels: Channel::new(15).into_iter().collect(),
        identity: [2; 8].into_iter().collect(),
        psk: Psk::new(&[1; 16]).expect("16 octets"),
    };
    let page = settings.emit().expect("right");
    let mut ram = Ram::new();
    ram.octets[..page.len()].copy_from_slice(&page);
    ram
}

/// A member with 1024 counters reserved.
fn with_keys() -> Ram {
    let mut ram = with_settings();
    let key = Key128::new([9; 16]);
    let key = LinkKey { index: KeyIndex::FIRST, usage: KeyUsage::EncMic64, key };
    let cfg = Cfg { keys: heapless::Vec::from_iter([key]), ..Cfg::default() };
    let network = Record::Network { active: KeyIndex::FIRST, cfg };
    let counter = Record::FrameCounter { index: KeyIndex::FIRST, below: 1024 };
    let mut store = Store::open(&mut ram, SETTINGS_PAGES);
    for record in [network, counter] {
        store.put(record.key().octets(), &record.emit()).expect("there is room");
    }
    ram
}

fn boot(ram: &mut Ram) -> Device<&mut Ram> {
    Device::boot(Instant::ZERO, LIGHT, ram, &mut SeededEntropy::new(1))
}

/// All that it says before it waits or starts anew, and until when it waits.
fn drain(device: &mut Device<&mut Ram>, now: Instant) -> (Vec<Output>, Instant) {
    let mut said = Vec::new();
    loop {
        match device.poll(now) {
            Output::Wait { until } => return (said, until),
            Output::Restart => {
                said.push(Output::Restart);
                return (said, Instant::FAR_FUTURE);
            }
            output => said.push(output),
        }
    }
}

fn run(device: &mut Device<&mut Ram>, mut now: Instant, until: Instant) -> Vec<Output> {
    let mut said = Vec::new();
    while now < until {
        let (more, next) = drain(device, now);
        said.extend(more);
        assert!(next > now, "it goes on");
        now = next;
    }
    said
}

fn speaks(said: &[Output]) -> bool {
    said.iter().any(|output| matches!(output, Output::Radio(_)))
}

fn noted(said: &[Output], note: &Note) -> bool {
    said.iter().any(|output| matches!(output, Output::Note(told) if told == note))
}

#[test]
fn without_settings_it_blinks_and_is_silent() {
    let mut damaged = with_settings();
    damaged.octets[9] ^= 4;
    for (mut ram, fault, sign) in [
        (Ram::new(), SettingsFault::Empty, Sign::NoSettings),
        (damaged, SettingsFault::Damaged, Sign::DamagedSettings),
    ] {
        let mut device = boot(&mut ram);
        let said = run(&mut device, Instant::ZERO, Instant::from_secs(60));
        assert!(!speaks(&said) && noted(&said, &Note::NoSettings(fault)), "{said:?}");
        assert_eq!(device.sign(Instant::ZERO), sign);
        let flashes = said.iter().filter(|output| matches!(output, Output::Led { is_lit: true }));
        assert!(flashes.count() >= 30, "it runs on");
    }
}

#[test]
fn with_settings_it_looks_for_a_network() {
    let mut ram = with_settings();
    let mut device = boot(&mut ram);
    let said = run(&mut device, Instant::ZERO, Instant::from_secs(10));
    assert!(speaks(&said) && noted(&said, &Note::Began { records: 0 }));
    assert_eq!(device.sign(Instant::ZERO), Sign::Joining);
}

#[test]
fn a_long_press_erases_the_keys_and_keeps_the_counters() {
    let mut ram = with_keys();
    let mut device = boot(&mut ram);
    assert!(noted(&drain(&mut device, Instant::ZERO).0, &Note::Began { records: 2 }));
    device.handle(Instant::from_secs(1), Input::Button { is_pressed: true });
    let said = drain(&mut device, Instant::from_secs(3)).0;
    assert!(!noted(&said, &Note::Reset));
    let said = drain(&mut device, Instant::from_secs(1) + LONG_PRESS).0;
    assert!(matches!(said[..], [Output::Note(Note::Reset), Output::Restart]), "{said:?}");
    drop(device);
    assert!(!ram.octets.windows(16).any(|octets| octets == [9; 16]), "no key is left");
    let store = Store::open(&mut ram, SETTINGS_PAGES);
    assert_eq!(store.names().collect::<Vec<_>>(), [COUNTER.octets()]);
    let mut device = boot(&mut ram);
    let said = run(&mut device, Instant::ZERO, Instant::from_secs(10));
    assert!(speaks(&said) && noted(&said, &Note::Began { records: 1 }), "it knows who it is");
}

#[test]
fn a_flash_that_lost_what_it_held_silences_it_until_a_reset() {
    let mut ram = with_keys();
    ram.octets[4096 + 16 + 8] ^= 1;
    let mut device = boot(&mut ram);
    let said = run(&mut device, Instant::ZERO, Instant::from_secs(60));
    assert!(!speaks(&said) && noted(&said, &Note::Flash(StoreFault::Damaged)), "{said:?}");
    assert_eq!(device.sign(Instant::ZERO), Sign::FlashFault);
    device.handle(Instant::from_secs(61), Input::Button { is_pressed: true });
    let said = drain(&mut device, Instant::from_secs(70)).0;
    assert!(matches!(said[..], [Output::Note(Note::Reset), Output::Restart]), "{said:?}");
    drop(device);
    assert!(speaks(&run(&mut boot(&mut ram), Instant::ZERO, Instant::from_secs(10))));
}

/// Criteria: the record that finds no room is named, and it runs on.
#[test]
fn a_flash_that_is_full_is_said() {
    let mut ram = with_keys();
    let mut store = Store::open(&mut ram, SETTINGS_PAGES);
    store.erase(COUNTER.octets()).expect("there is room");
    for other in 0.. {
        // Of a program that is not this one.
        if store.put([0x70, 0, other], &[0; 4]).is_err() {
            break;
        }
    }
    let mut device = boot(&mut ram);
    let said = run(&mut device, Instant::ZERO, Instant::from_secs(60));
    assert!(noted(&said, &Note::Began { records: 1 }));
    assert!(noted(&said, &Note::Flash(StoreFault::Full)), "{said:?}");
    assert_eq!(device.sign(Instant::ZERO), Sign::FlashFault);
    let flashes = said.iter().filter(|output| matches!(output, Output::Led { is_lit: true }));
    assert!(flashes.count() >= 60, "it runs on");
}

/// Criteria: what was not stored is not relied on: no secured frame leaves. It runs on.
#[test]
fn a_flash_that_takes_nothing_is_said_and_no_counter_is_used() {
    let mut ram = with_keys();
    ram.left = Some(0);
    let mut device = boot(&mut ram);
    let said = run(&mut device, Instant::ZERO, Instant::from_secs(60));
    assert!(noted(&said, &Note::Flash(StoreFault::Flash)));
    assert_eq!(device.sign(Instant::ZERO), Sign::FlashFault);
    const SECURED: u8 = 0x08;
    for output in &said {
        if let Output::Radio(RadioCommand::Transmit { psdu, .. }) = output {
            assert_eq!(psdu[0] & SECURED, 0, "{psdu:02x?}");
        }
    }
}
