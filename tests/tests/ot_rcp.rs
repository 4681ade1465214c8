//! Purpose: our host against what OpenThread's `ot-rcp` really said.
//! Topology: the transcript `tests/data/ot-rcp.transcript`; its head says how it was taken, and
//! `cargo xtask ot-rcp PROGRAM` takes it anew.
//! Criteria: the host sends the same octets at the same points and makes the same of the answers; every
//! frame of both directions is understood.

#[path = "ot_rcp/perform.rs"]
mod perform;
#[path = "ot_rcp/transcript.rs"]
mod transcript;

use lowgate_router::co_processor::CoProcessor;
use lowgate_spinel::{
    Command, Decoder, Frame, Property, RawReceived, RawTransmit, Reader, Tid, TransmitDone, Writer,
    encode,
};
use lowgate_units::Instant;
use perform::perform;
use std::collections::BTreeMap;
use transcript::{Step, emit, hex, parse, to_hex};

const TRANSCRIPT: &str = include_str!("../data/ot-rcp.transcript");

fn steps() -> Vec<Step> {
    let steps = parse(TRANSCRIPT);
    assert!(steps.len() > 50, "a whole exchange");
    steps
}

#[test]
fn the_file_is_as_it_was_taken() {
    let head = TRANSCRIPT.lines().filter_map(|line| line.strip_prefix('#'));
    let head: String = head.map(|line| format!("{}\n", line.trim_start())).collect();
    assert_eq!(emit(&head, &steps()), TRANSCRIPT);
}

#[test]
fn the_host_does_again_what_it_did() {
    let mut host = CoProcessor::new(Instant::ZERO);
    for step in steps() {
        let (outputs, _) = perform(&mut host, step.at_us, &step.input);
        assert_eq!(outputs, step.outputs, "{} us: {}", step.at_us, step.input);
    }
    assert!(host.is_ready());
    assert_eq!(host.frames_dropped(), 0);
}

/// What the exchange has to show, or the replay shows little.
#[test]
fn the_exchange_has_all_of_it() {
    let outputs: Vec<String> = steps().into_iter().flat_map(|step| step.outputs).collect();
    for what in [
        "told co-processor: OPENTHREAD/",
        "told co-processor: ready",
        "transmitted 1: Sent, attempts 1",
        "Acked, attempts 1",
        "NoAck, attempts 8",
        "received ",
        "told co-processor: lost: it started afresh",
    ] {
        assert!(outputs.iter().any(|output| output.contains(what)), "no {what}");
    }
    let ready = outputs.iter().filter(|output| *output == "told co-processor: ready").count();
    assert_eq!(ready, 2, "once at first, once after it started afresh by itself");
}

/// The contents of all frames of one direction.
fn frames(octets: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::<1302>::new();
    let frames = octets.iter().filter_map(|&octet| {
        Some(decoder.push(octet)?.unwrap_or_else(|why| panic!("{why:?}")).to_vec())
    });
    frames.collect()
}

#[test]
fn every_frame_of_the_co_processor_is_understood() {
    let inputs = steps().into_iter().filter_map(|step| Some(hex(step.input.strip_prefix("< ")?)));
    let octets: Vec<u8> = inputs.flatten().collect();
    let mut seen = BTreeMap::<Property, usize>::new();
    for content in frames(&octets) {
        let frame = Frame::parse(&content).expect("a frame");
        assert_eq!(
            (frame.command, frame.header.iid),
            (Command::PROP_VALUE_IS, 0),
            "{content:02x?}"
        );
        let (property, value) = frame.property().expect("a property");
        *seen.entry(property).or_default() += 1;
        let mut reader = Reader::new(value);
        let again = match property {
            Property::STREAM_RAW => RawReceived::parse(value).map(|raw| raw.emit(Writer::new())),
            Property::LAST_STATUS if value.len() > 1 => {
                TransmitDone::parse(value).map(|done| done.emit(Writer::new()))
            }
            Property::LAST_STATUS
            | Property::RADIO_CAPS
            | Property::RCP_API_VERSION
            | Property::RCP_MIN_HOST_API_VERSION => {
                reader.packed().map(|it| Writer::new().packed(it))
            }
            Property::NCP_VERSION => reader.text().map(|it| Writer::new().text(it)),
            Property::HWADDR | Property::MAC_15_4_LADDR => {
                reader.eui64().map(|it| Writer::new().eui64(it))
            }
            Property::MAC_15_4_SADDR | Property::MAC_15_4_PANID | Property::MAC_SCAN_PERIOD => {
                reader.u16().map(|it| Writer::new().u16(it))
            }
            Property::PHY_ENABLED | Property::MAC_RAW_STREAM_ENABLED => {
                reader.boolean().map(|it| Writer::new().boolean(it))
            }
            Property::PHY_CHAN | Property::MAC_SCAN_STATE => {
                reader.u8().map(|it| Writer::new().u8(it))
            }
            Property::PROTOCOL_VERSION
            | Property::CAPS
            | Property::MAC_SCAN_MASK
            | Property::MAC_ENERGY_SCAN_RESULT => Ok(Writer::new().octets(value)),
            other => panic!("nobody asked about {other:?}"),
        };
        let again = again.expect("it makes sense").finish().expect("it fits");
        let (read, more) = value.split_at_checked(again.len()).expect("not more than was read");
        assert_eq!(again[..], *read, "{property:?}");
        // After a frame that was sealed here it repeats key index and counter, which we know.
        assert!(more.is_empty() || *more == [1, 0x2a, 0, 0, 0], "{property:?}: {more:02x?}");
    }
    for property in [Property::STREAM_RAW, Property::LAST_STATUS, Property::MAC_ENERGY_SCAN_RESULT]
    {
        assert!(seen.contains_key(&property), "no {property:?} in {seen:?}");
    }
}

/// Ours are written again octet by octet, and each question has a number but the reset.
#[test]
fn every_frame_of_ours_is_understood() {
    let (mut sent, mut transmissions) = (0, 0);
    for output in steps().into_iter().flat_map(|step| step.outputs) {
        let Some(line) = output.strip_prefix("> ").map(hex) else { continue };
        let [content] = &frames(&line)[..] else { panic!("one frame each: {output}") };
        assert_eq!(to_hex(&encode::<600>(content).expect("it fits")), to_hex(&line));
        let frame = Frame::parse(content).expect("ours");
        assert_eq!(frame.header.tid == Tid::NONE, frame.command == Command::RESET, "{output}");
        if let Ok((Property::STREAM_RAW, value)) = frame.property() {
            let raw = RawTransmit::parse(value).expect("ours");
            assert!(raw.csma_ca && raw.header_updated && raw.security_processed);
            transmissions += 1;
        }
        sent += 1;
    }
    assert!(sent > 30 && transmissions >= 3, "{sent} frames, {transmissions} transmissions");
}
