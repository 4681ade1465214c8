//! The daemon's driver and the co-processor.

use crate::air::{LQI, RSSI};
use crate::emulator::{Build, EUI64, Emulator};
use crate::host::{Host, config};
use lowgate_mac::{Psdu, RadioEvent, TxStatus};
use lowgate_rcp::air::ToRadio;
use lowgate_router::co_processor::CoProcessorEvent;
use lowgate_units::{Eui64, Lqi, Rssi};

/// A data frame that asks for an acknowledgement.
const ASKS_ACK: [u8; 12] = [0x61, 0x88, 7, 0xcd, 0xab, 2, 0, 1, 0, 9, 9, 9];

/// Criteria: reset, identity, configuration, as the radio hears it.
#[test]
fn it_initialises() {
    let (_emulator, line, air) = Emulator::start(Build::Shipped);
    let mut host = Host::new(line);
    host.ready();
    assert_eq!(air.next(), ToRadio::Started);
    let last = |wanted: Vec<ToRadio>| wanted.last().cloned();
    let configured = ToRadio::Command(lowgate_mac::RadioCommand::Configure(config()));
    assert_eq!(last(air.wanted()), Some(configured));
    let identified = host.told.iter().find_map(|event| match event {
        CoProcessorEvent::Identified { version, eui64, api } => Some((version, *eui64, *api)),
        _ => None,
    });
    let (version, eui64, api) = identified.expect("it said what it is");
    assert!(version.starts_with("LOWGATE/") && version.contains("LM3S6965"), "{version}");
    assert_eq!((eui64, api), (Some(Eui64(EUI64)), 11));
    assert!(!host.told.iter().any(|event| matches!(event, CoProcessorEvent::Lost(_))));
}

/// Criteria: each frame arrives once, whole and in order, both ways; the end of each transmission is told.
#[test]
fn frames_pass_both_ways() {
    let (_emulator, line, mut air) = Emulator::start(Build::Shipped);
    let mut host = Host::new(line);
    host.ready();
    assert_eq!(air.next(), ToRadio::Started);
    for (token, status) in (0..).zip([TxStatus::Acked, TxStatus::NoAck, TxStatus::ChannelBusy]) {
        host.transmit(token, &ASKS_ACK);
        let (name, psdu) = air.transmission();
        assert_eq!(psdu[..], ASKS_ACK);
        air.voice.end(name, status);
        assert_eq!(host.end(token), status);
    }
    // Of every length that is a frame to our host, also with octets that the line has to disguise.
    let frames: Vec<Psdu> = (9..=lowgate_mac::PSDU_OCTETS_MAX)
        .map(|len| {
            let filler = [0x7e, 0x7d, 0x11, 0x13, len as u8].into_iter().cycle();
            [0x41, 0x88].into_iter().chain(filler).take(len).collect()
        })
        .collect();
    for frame in &frames {
        air.voice.hear(frame);
    }
    host.run_until("every frame", |host| host.events.len() == frames.len());
    for (event, psdu) in host.events.drain(..).zip(frames) {
        assert_eq!(event, RadioEvent::Received { psdu, rssi: Rssi(RSSI), lqi: Lqi(LQI) });
    }
}

/// Criteria: a radio that never says how a transmission ended does not hold up the next one.
#[test]
fn a_silent_radio_is_given_up() {
    let (_emulator, line, mut air) = Emulator::start(Build::Shipped);
    let mut host = Host::new(line);
    host.ready();
    assert_eq!(air.next(), ToRadio::Started);
    host.transmit(1, &ASKS_ACK);
    let (late, _) = air.transmission();
    assert_eq!(host.end(1), TxStatus::NoAck);
    host.ready();
    // Nobody waits for it any more; what the radio says next comes after it.
    air.voice.end(late, TxStatus::Acked);
    air.voice.hear(&ASKS_ACK);
    host.run_until("a frame", |host| !host.events.is_empty());
    host.events.clear();
    host.transmit(2, &ASKS_ACK);
    let (name, _) = air.transmission();
    air.voice.end(name, TxStatus::Acked);
    assert_eq!(host.end(2), TxStatus::Acked);
}
