//! Purpose: our co-processor against what OpenThread's posix host really said.
//! Topology: the transcript `tests/data/ot-host.transcript`; its head says how it was taken, and
//! `cargo xtask ot-host PROGRAM` takes it anew.
//! Criteria: the core answers as the machine in the emulator did, asks of its radio what that asked, and every
//! frame of the host is understood.
//!
//! The machine has two lines, and which octet of the one came before which of the other nobody saw: so answers,
//! what was not asked for, and what the radio was asked for are compared each by itself. The machine's clock is
//! not ours: times are not compared.

#[path = "ot_rcp/transcript.rs"]
mod transcript;

use lowgate_rcp::air::{AirDecoder, ToRadio, parse_report};
use lowgate_rcp::{RadioReach, Rcp, RcpConfig, RcpInput, RcpOutput};
use lowgate_spinel::{
    Command, Decoder, Frame, Property, RawReceived, RawTransmit, Reader, Status, Tid, TransmitDone,
    Writer,
};
use lowgate_units::{Duration, Eui64, Instant};
use transcript::{Step, emit, hex, parse, to_hex};

const TRANSCRIPT: &str = include_str!("../data/ot-host.transcript");

/// Everything that a co-processor said, as hex.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    answers: Vec<String>,
    unasked: Vec<String>,
    of_radio: Vec<String>,
}

impl Said {
    fn tell_host(&mut self, content: &[u8]) {
        let frame = Frame::parse(content).expect("a frame");
        let place =
            if frame.header.tid == Tid::NONE { &mut self.unasked } else { &mut self.answers };
        place.push(to_hex(&without_times(content)));
    }

    fn tell_radio(&mut self, message: &[u8]) {
        let mut message = message.to_vec();
        if let [0x03, _, _, _, _, delay @ ..] = &mut message[..] {
            delay[..4].fill(0);
        }
        self.of_radio.push(to_hex(&message));
    }
}

/// The same frame at the beginning of time.
fn without_times(content: &[u8]) -> Vec<u8> {
    let frame = Frame::parse(content).expect("a frame");
    let (property, value) = frame.property().expect("a property");
    let writer = match property {
        Property::RCP_TIMESTAMP if frame.command == Command::PROP_VALUE_IS => Writer::new().u64(0),
        Property::STREAM_RAW if frame.command == Command::PROP_VALUE_IS => {
            let raw = RawReceived::parse(value).expect("a frame that was heard");
            RawReceived { timestamp_us: 0, ..raw }.emit(Writer::new())
        }
        Property::LAST_STATUS if value.len() > 1 => {
            let done = TransmitDone::parse(value).expect("the end of a transmission");
            let ack = done.ack.map(|ack| RawReceived { timestamp_us: 0, ..ack });
            TransmitDone { ack, ..done }.emit(Writer::new())
        }
        _ => return content.to_vec(),
    };
    let value_at = content.len() - value.len();
    [&content[..value_at], &writer.finish().expect("it fits")].concat()
}

fn steps() -> Vec<Step> {
    let steps = parse(TRANSCRIPT);
    assert!(steps.len() > 50, "a whole exchange");
    steps
}

/// What the machine said.
fn recorded() -> Said {
    let mut said = Said::default();
    for output in steps().into_iter().flat_map(|step| step.outputs) {
        match output.split_once(' ') {
            Some(("host", frame)) => said.tell_host(&hex(frame)),
            Some(("radio", message)) => said.tell_radio(&hex(message)),
            _ => panic!("no output: {output}"),
        }
    }
    said
}

/// What the machine said about itself.
fn config() -> RcpConfig {
    let answers = recorded().answers;
    let value = |property: Property| {
        let told = answers.iter().map(|it| hex(it)).find_map(|content| {
            let (about, value) = Frame::parse(&content).ok()?.property().ok()?;
            (about == property).then(|| value.to_vec())
        });
        told.unwrap_or_else(|| panic!("nobody asked about {property:?}"))
    };
    let (version, eui64) = (value(Property::NCP_VERSION), value(Property::HWADDR));
    let version = Reader::new(&version).text().expect("a text").to_owned();
    assert!(version.starts_with("LOWGATE/"), "{version}");
    let eui64: Eui64 = Reader::new(&eui64).eui64().expect("an address");
    RcpConfig { reach: RadioReach::Beyond, ..RcpConfig::new(eui64, version.leak()) }
}

/// What the core says to the same.
fn replayed() -> Said {
    let mut rcp = Rcp::new(Instant::ZERO, config());
    // The machine tells its radio that it starts; that is not the core's.
    let mut said = Said { of_radio: vec!["00".to_owned()], ..Said::default() };
    // Its first word was out before anybody was there to hear it.
    listen(&mut rcp, Instant::ZERO, &mut said);
    for step in steps() {
        let now = Instant::ZERO + Duration::from_micros(step.at_us);
        match step.input.split_once(' ') {
            Some(("host", octets)) => rcp.handle(now, RcpInput::Serial(&hex(octets))),
            Some(("radio", message)) => {
                let report = parse_report(now, &hex(message)).expect("it makes sense");
                rcp.handle(now, RcpInput::Report(report));
            }
            _ => assert_eq!(step.input, "power"),
        }
        listen(&mut rcp, now, &mut said);
    }
    said
}

fn listen(rcp: &mut Rcp, now: Instant, said: &mut Said) {
    let (mut decoder, mut of_radio) = (Decoder::<514>::new(), AirDecoder::new());
    loop {
        let line = match rcp.poll(now) {
            RcpOutput::Serial(octets) => {
                for octet in octets {
                    if let Some(frame) = decoder.push(octet) {
                        said.tell_host(frame.expect("ours"));
                    }
                }
                continue;
            }
            RcpOutput::Radio(command) => ToRadio::Command(command).emit(),
            RcpOutput::Demand(demand) => ToRadio::of(now, demand).emit(),
            RcpOutput::EnterBootloader => panic!("it has none"),
            RcpOutput::Wait { .. } => return,
        };
        for octet in line {
            if let Some(message) = of_radio.push(octet) {
                said.tell_radio(message.expect("ours"));
            }
        }
    }
}

#[test]
fn the_file_is_as_it_was_taken() {
    let head = TRANSCRIPT.lines().filter_map(|line| line.strip_prefix('#'));
    let head: String = head.map(|line| format!("{}\n", line.trim_start())).collect();
    assert_eq!(emit(&head, &steps()), TRANSCRIPT);
}

#[test]
fn the_core_answers_as_the_machine_did() {
    let (recorded, replayed) = (recorded(), replayed());
    for (was, is) in [
        (&recorded.answers, &replayed.answers),
        (&recorded.unasked, &replayed.unasked),
        (&recorded.of_radio, &replayed.of_radio),
    ] {
        for (number, (was, is)) in was.iter().zip(is).enumerate() {
            assert_eq!(was, is, "number {number}");
        }
        assert_eq!(was.len(), is.len());
    }
}

/// What the exchange has to show, or the replay shows little.
#[test]
fn the_exchange_has_all_of_it() {
    let said = recorded();
    let has = |list: &[String], start: &str| list.iter().filter(|it| it.starts_with(start)).count();
    assert_eq!(has(&said.unasked, "800600"), 2, "its birth, and its reset");
    assert_eq!(has(&said.unasked, "800639"), 16, "energy on every channel");
    // Transmissions, of which each ended.
    let sent = has(&said.of_radio, "02") + has(&said.of_radio, "03");
    let ends = said.answers.iter().filter(|it| it[2..].starts_with("0600") && it.len() > 8);
    assert!(sent >= 20 && ends.count() == sent, "{sent} transmissions");
    let refused = said.answers.iter().filter(|it| it[2..].starts_with("0600") && it.len() == 8);
    assert_eq!(refused.count(), 0, "the host asked for what we lack");
    for channel in 11..=26_u8 {
        let configured = format!("01{channel:02x}");
        assert!(has(&said.of_radio, &configured) > 0, "it never scanned {channel}");
    }
}

#[test]
fn every_frame_of_the_host_is_understood() {
    let inputs =
        steps().into_iter().filter_map(|step| Some(hex(step.input.strip_prefix("host ")?)));
    let octets: Vec<u8> = inputs.flatten().collect();
    let (mut decoder, mut frames) = (Decoder::<1302>::new(), 0);
    for octet in octets {
        let Some(content) = decoder.push(octet) else { continue };
        let frame = Frame::parse(content.expect("whole")).expect("a frame");
        frames += 1;
        assert_eq!(frame.header.iid, 0);
        if let (Command::PROP_VALUE_SET, Ok((Property::STREAM_RAW, value))) =
            (frame.command, frame.property())
        {
            let raw = RawTransmit::parse(value).expect("a transmission");
            let again = raw.emit(Writer::new()).finish().expect("it fits");
            // What follows is the power for this frame, of which our co-processor claims nothing.
            assert_eq!(value.strip_prefix(&again[..]).map(<[u8]>::len), Some(1));
        }
    }
    assert!(frames > 50, "{frames} frames");
    let failures = [Status::PARSE_ERROR, Status::INVALID_COMMAND].map(|it| format!("{:02x}", it.0));
    let answers = recorded().answers;
    let failed = answers.iter().filter(|it| {
        it[2..].strip_prefix("0600").is_some_and(|status| failures.contains(&status.to_owned()))
    });
    assert_eq!(failed.count(), 0, "{answers:?}");
}
