//! OpenThread's posix host on the co-processor, where somebody has one. `LOWGATE_OT_HOST` names the program;
//! `cargo xtask ot-host PROGRAM` runs this in a network namespace of its own, as root, and says in
//! `LOWGATE_TRANSCRIPT` where the exchange is to be written.

#[path = "../../../tests/tests/ot_rcp/transcript.rs"]
mod transcript;

use crate::air::Air;
use crate::emulator::{Build, Emulator, PATIENCE};
use crate::throughput::Beat;
use lowgate_mac::{RadioCommand, RadioEvent, TxStatus};
use lowgate_rcp::Report;
use lowgate_rcp::air::{AirDecoder, ToRadio, emit_event, emit_report};
use lowgate_spinel::Decoder;
use lowgate_units::Rssi;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use transcript::{Step, emit, hex, parse, to_hex};

const ACK_REQUEST: u8 = 0x20;
/// What the host calls the last frame of a command's answer.
const DONE: &str = "Done";
const LEADER: &str = "leader";
/// A host becomes the leader of a network of its own after it has found no other.
const LOOKS_MAX: u32 = 60;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

const HEAD: &str = "\
An exchange between OpenThread's posix host and our co-processor, taken by `cargo xtask ot-host PROGRAM`.

The program was built from OpenThread's own source, unchanged (cmake: OT_PLATFORM=posix). The co-processor ran as
machine code in the emulator; the test played its radio, alone in the air. The host started, scanned, looked
for energy and formed a network of its own. Lines: see tests/tests/ot_rcp/transcript.rs.
";

/// What passed, in the order in which the test saw it.
#[derive(Clone)]
struct Record(Arc<Mutex<(Instant, Vec<Step>)>>);

impl Record {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), Vec::new()))))
    }

    fn input(&self, input: String) {
        let mut record = self.0.lock().expect("nobody panics with it");
        let at_us = record.0.elapsed().as_micros() as u64;
        record.1.push(Step { at_us, input, outputs: Vec::new() });
    }

    fn output(&self, output: String) {
        let mut record = self.0.lock().expect("nobody panics with it");
        if record.1.is_empty() {
            record.1.push(Step { at_us: 0, input: "power".to_owned(), outputs: Vec::new() });
        }
        record.1.last_mut().expect("there is one").outputs.push(output);
    }

    fn steps(&self) -> Vec<Step> {
        self.0.lock().expect("nobody panics with it").1.clone()
    }
}

/// Passes octets on until one side ends, and tells `see` of them first.
fn pass(mut from: UnixStream, mut to: UnixStream, mut see: impl FnMut(&[u8]) + Send + 'static) {
    std::thread::spawn(move || {
        let mut octets = [0; 4096];
        while let Ok(len @ 1..) = from.read(&mut octets) {
            see(&octets[..len]);
            if to.write_all(&octets[..len]).is_err() {
                return;
            }
        }
    });
}

/// Nobody else is in the air. What the radio was told and what it says becomes part of the record.
fn lonely(mut air: Air, record: Record) {
    std::thread::spawn(move || {
        while let Some(said) = air.next_ever() {
            record.output(format!("radio {}", to_hex(&message(&said.emit()))));
            let line = match said {
                ToRadio::Command(RadioCommand::Transmit { token, psdu })
                | ToRadio::Transmit { token, psdu, .. } => {
                    let asks = psdu.first().is_some_and(|control| control & ACK_REQUEST != 0);
                    let status = if asks { TxStatus::NoAck } else { TxStatus::Sent };
                    emit_event(&RadioEvent::Transmitted { token, status, attempts: 1 })
                }
                ToRadio::Scan(_) => emit_report(&Report::Scanned(Rssi(-90))),
                ToRadio::Started
                | ToRadio::Command(RadioCommand::Configure(_))
                | ToRadio::Levels(_)
                | ToRadio::SourceMatch(_) => continue,
            };
            record.input(format!("radio {}", to_hex(&message(&line))));
            air.voice.octets(&line);
        }
    });
}

/// What is in a line of the radio's.
fn message(line: &[u8]) -> Vec<u8> {
    let mut decoder = AirDecoder::new();
    let whole = |octet: &u8| decoder.push(*octet).map(|it| it.expect("ours").to_vec());
    line.iter().find_map(whole).expect("a message")
}

/// The host, with its command line.
struct Console {
    child: Child,
    input: ChildStdin,
    lines: BufReader<UnixStream>,
}

impl Console {
    /// Its radio is at the far end of a socket; `socat` makes a terminal of it. Built for Thread 1.2 or later
    /// it wants a co-processor that holds keys, unless told to skip that question; then it seals by itself.
    fn start(folder: &Path, socket: &Path) -> Self {
        let program = std::env::var("LOWGATE_OT_HOST");
        let program = program.expect("`cargo xtask ot-host PROGRAM` says where it is");
        let url = format!(
            "spinel+hdlc+forkpty:///usr/bin/socat?forkpty-arg=STDIO&forkpty-arg=UNIX-CONNECT:{socket}\
             &skip-rcp-compatibility-check",
            socket = socket.display()
        );
        let (ours, output) = UnixStream::pair().expect("sockets");
        ours.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let mut child = Command::new(program)
            .args(["-d", "4", "-v", &url])
            .current_dir(folder) // it keeps its settings there
            .stdin(Stdio::piped())
            .stdout(OwnedFd::from(output.try_clone().expect("a socket")))
            .stderr(OwnedFd::from(output))
            .spawn()
            .expect("it is a program");
        let input = child.stdin.take().expect("piped");
        Self { child, input, lines: BufReader::new(ours) }
    }

    /// Everything that it says up to the end of its answer.
    fn ask(&mut self, command: &str) -> Vec<String> {
        writeln!(self.input, "{command}").expect("it reads");
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line);
            assert!(read.is_ok_and(|len| len > 0), "no end of {command:?}: {said:#?}");
            print!("{line}");
            let line = line.trim().trim_start_matches("> ").to_owned();
            assert!(!line.starts_with("Error"), "{command:?}: {line}");
            let is_end = line == DONE;
            said.push(line);
            if is_end {
                return said;
            }
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Criteria: the host starts, scans, looks for energy on every channel, and forms a network, whose leader it
/// becomes. All of it becomes the transcript.
#[test]
fn it_forms_a_network() {
    let (_emulator, machine, air) = Emulator::start(Build::Shipped);
    let record = Record::new();
    lonely(air, record.clone());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("line");
    let listener = UnixListener::bind(&path).expect("bound");
    let mut console = Console::start(folder.path(), &path);
    let (host, _) = listener.accept().expect("it connects");
    let (machine_in, host_in) =
        (machine.try_clone().expect("a socket"), host.try_clone().expect("a socket"));
    let (seen, mut decoder) = (record.clone(), Decoder::<514>::new());
    pass(machine_in, host_in, move |octets| {
        for octet in octets {
            if let Some(Ok(frame)) = decoder.push(*octet) {
                seen.output(format!("host {}", to_hex(frame)));
            }
        }
    });
    let seen = record.clone();
    pass(host, machine, move |octets| seen.input(format!("host {}", to_hex(octets))));
    let version = console.ask("rcp version");
    assert!(version.iter().any(|line| line.starts_with("LOWGATE/")), "{version:#?}");
    console.ask("dataset init new");
    console.ask("dataset commit active");
    console.ask("ifconfig up");
    console.ask("scan");
    let energy = console.ask("scan energy 10");
    assert_eq!(energy.iter().filter(|line| line.contains("-90")).count(), 16, "{energy:#?}");
    console.ask("thread start");
    let mut pause = Beat::new(BETWEEN_LOOKS);
    let leads = (0..LOOKS_MAX).any(|_| {
        pause.wait();
        console.ask("state").iter().any(|line| line == LEADER)
    });
    assert!(leads, "it does not lead a network");
    let steps = record.steps();
    let text = emit(HEAD, &steps);
    assert_eq!(parse(&text), steps);
    assert!(
        steps
            .iter()
            .filter_map(|step| step.input.strip_prefix("host "))
            .all(|it| !hex(it).is_empty())
    );
    let path = std::env::var("LOWGATE_TRANSCRIPT").expect("`cargo xtask ot-host` says where to");
    std::fs::write(path, text).expect("written");
}
