//! The programs that people run, against the co-processor.

use crate::air::Air;
use crate::emulator::{Build, Emulator, PATIENCE};
use crate::line::Line;
use lowgate_mac::{Psdu, RadioCommand, RadioEvent, TxStatus};
use lowgate_rcp::Report;
use lowgate_rcp::air::ToRadio;
use lowgate_units::Rssi;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// A frame of somebody else's, for everybody.
const FOREIGN: [u8; 12] = [0x41, 0x88, 7, 0x34, 0x12, 0xff, 0xff, 1, 0, 9, 9, 9];
/// Asks coordinators for their beacons: the MAC command of clause 7.3.7, and its number.
const BEACON_REQUEST: [u8; 8] = [0x03, 0x08, 7, 0xff, 0xff, 0xff, 0xff, 0x07];
/// The daemon may still be at the beginning of its network when the first one comes.
const REQUESTS_MAX: u32 = 20;
const ANSWER_MAX: Duration = Duration::from_secs(1);
const ACK_REQUEST: u8 = 0x20;
const QUIET_CHANNEL: u8 = 20;
const FRAME_TYPE: u8 = 0x07;
const TYPE_BEACON: u8 = 0x00;

fn lowgate() -> String {
    std::env::var("LOWGATE_BIN").expect("`cargo xtask firmware` says where the binary is")
}

/// `lowgate run` in a network namespace of its own; both of its outputs. It ends with its owner.
struct Daemon {
    child: Child,
    lines: BufReader<UnixStream>,
    /// All of it so far.
    said: String,
}

impl Daemon {
    fn start(config: &str) -> Self {
        let (ours, output) = UnixStream::pair().expect("sockets");
        ours.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let errors = output.try_clone().expect("a socket");
        let child = Command::new("unshare")
            .args(["-n", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
            .args([&lowgate(), "run", "--config", config])
            .stdin(Stdio::null())
            .stdout(OwnedFd::from(output))
            .stderr(OwnedFd::from(errors))
            .spawn()
            .expect("as root, with util-linux");
        Self { child, lines: BufReader::new(ours), said: String::new() }
    }

    /// It says that, or has said it.
    fn expect(&mut self, text: &str) {
        while !self.said.contains(text) {
            let read = self.lines.read_line(&mut self.said);
            assert!(read.is_ok_and(|len| len > 0), "it did not say {text:?}, but:\n{}", self.said);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A radio to which nobody answers but everybody listens, with one channel that is quieter than the others.
/// It says each frame that it sends.
fn lonely(mut air: Air, sent: impl Fn(&mut Air, &Psdu) + Send + 'static) {
    std::thread::spawn(move || {
        while let Some(said) = air.next_ever() {
            let (token, psdu) = match said {
                ToRadio::Command(RadioCommand::Transmit { token, psdu }) => (token, psdu),
                ToRadio::Scan(scan) => {
                    let dbm = -90 - i8::from(scan.channel.number() == QUIET_CHANNEL);
                    air.voice.report(&Report::Scanned(Rssi(dbm)));
                    continue;
                }
                _ => continue,
            };
            let asks = psdu.first().is_some_and(|control| control & ACK_REQUEST != 0);
            let status = if asks { TxStatus::NoAck } else { TxStatus::Sent };
            air.voice.say(&RadioEvent::Transmitted { token, status, attempts: 1 });
            sent(&mut air, &psdu);
        }
    });
}

/// Criteria: every step of `lowgate rcp selftest` holds.
#[test]
fn the_self_test_holds() {
    let (_emulator, machine, air) = Emulator::start_on_pipes(Build::Shipped);
    let line = Line::open(machine, None, 1);
    // Something is in the air after each of its beacon requests.
    lonely(air, |air, _| air.voice.hear(&FOREIGN));
    let output = Command::new(lowgate()).args(["rcp", "selftest", &line.url(), "--json"]).output();
    let output = output.expect("it is a program");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    println!("{report:#}");
    assert_eq!((output.status.code(), &report["held"]), (Some(0), &Value::Bool(true)));
    let steps = report["steps"].as_array().expect("a list");
    assert!(steps.iter().all(|step| step["result"] == "ok"));
    let energy = steps.iter().find(|step| step["step"] == "energy").expect("that step");
    assert_eq!(energy["figures"]["dbm"]["20"], -91);
    let reception = steps.iter().find(|step| step["step"] == "reception").expect("that step");
    assert!(reception["figures"]["frames"]["11"].as_u64() > Some(0), "{reception}");
}

/// Criteria: `lowgate rcp flash` names what this machine lacks, and changes nothing.
#[test]
fn a_machine_without_a_bootloader_is_named() {
    let (_emulator, machine, air) = Emulator::start_on_pipes(Build::Shipped);
    let line = Line::open(machine, None, 1);
    let output = Command::new(lowgate()).args(["rcp", "flash", &line.url()]).output();
    let output = output.expect("it is a program");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("QEMU-LM3S6965") && said.contains("no bootloader"), "{said}");
    assert_eq!(air.wanted(), [ToRadio::Started]);
}

/// Topology: `lowgate run`, its own program, in a network namespace; the co-processor; the test's radio.
/// Criteria: the daemon has it ready, and answers a beacon request that the radio heard with its beacon.
#[test]
fn the_daemon_drives_it() {
    let (_emulator, machine, air) = Emulator::start_on_pipes(Build::Shipped);
    let line = Line::open(machine, Some(460_800), 1);
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let text = format!(
        "[radio]\nurl = \"{}\"\n[network]\ninterface = \"lowgate0\"\n[state]\ndir = \"{}\"\n\
         [control]\nsocket = \"{}\"\n",
        line.url(),
        path("state"),
        path("control.sock"),
    );
    let config = path("lowgate.toml");
    std::fs::write(&config, text).expect("written");
    let (sender, sent) = channel();
    let mut voice = air.voice();
    lonely(air, move |_, psdu| {
        // The test may have seen enough.
        let _ = sender.send(psdu.clone());
    });
    let mut daemon = Daemon::start(&config);
    daemon.expect("co-processor: LOWGATE/");
    daemon.expect("co-processor: ready");
    // It is its own domain's first member, over the loopback interface.
    daemon.expect("it belongs to the domain");
    let opened = Command::new(lowgate()).args(["window", "open", "--config", &config]).output();
    assert!(opened.as_ref().is_ok_and(|output| output.status.success()), "{opened:?}");
    let is_beacon = |psdu: &Psdu| psdu.first().is_some_and(|it| it & FRAME_TYPE == TYPE_BEACON);
    let heard = (0..REQUESTS_MAX).any(|_| {
        voice.hear(&BEACON_REQUEST);
        std::iter::from_fn(|| sent.recv_timeout(ANSWER_MAX).ok()).any(|psdu| is_beacon(&psdu))
    });
    assert!(heard, "no beacon after {REQUESTS_MAX} requests");
}
