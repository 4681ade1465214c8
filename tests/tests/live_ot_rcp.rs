//! Purpose: our host against OpenThread's `ot-rcp`, built for simulation, where somebody has one.
//! Topology: two of them, whose air is the loopback interface; each has a host of ours. `LOWGATE_OT_RCP`
//! names the program; `cargo xtask ot-rcp PROGRAM` runs this in a network namespace.
//! Criteria: with each test.

#[path = "ot_rcp/perform.rs"]
mod perform;
#[path = "ot_rcp/transcript.rs"]
mod transcript;

use lowgate_router::co_processor::CoProcessor;
use lowgate_spinel::{Command as SpinelCommand, encode};
use lowgate_tests::program::Program;
use lowgate_units::Instant as Moment;
use perform::perform;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use transcript::{Step, emit, hex, parse, to_hex};

/// For anything that is awaited.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at the other side.
const TURN: Duration = Duration::from_micros(200);

const HEAD: &str = "\
An exchange between our host and OpenThread's ot-rcp, taken by `cargo xtask ot-rcp PROGRAM`.

The program was built from OpenThread's own source, unchanged, for its simulation platform and as a radio
co-processor (cmake: OT_PLATFORM=simulation, OT_RCP=ON); a second one beside it, with a host of ours too, is
the neighbour 0x0002. It ran with -E (energy scans). Lines: see tests/tests/ot_rcp/transcript.rs.
";

fn ot_rcp() -> String {
    std::env::var("LOWGATE_OT_RCP").expect("`cargo xtask ot-rcp PROGRAM` says where it is")
}

/// A host and its co-processor.
struct Side {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
    started: Instant,
    host: CoProcessor,
    until: Moment,
    steps: Vec<Step>,
}

impl Side {
    fn start(number: &str) -> Self {
        let mut child = Command::new(ot_rcp())
            .args(["-E", number])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it is a program");
        let (input, mut out) =
            (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(len @ 1..) = out.read(&mut octets) {
                if sender.send(octets[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        let (host, until) = (CoProcessor::new(Moment::ZERO), Moment::FAR_FUTURE);
        let started = Instant::now();
        let mut side = Self { child, input, output, started, host, until, steps: Vec::new() };
        side.input(&format!("configure 15 abcd 000{number} 02-00-00-00-00-00-00-0{number}"));
        side.input("open");
        side
    }

    fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn input(&mut self, text: &str) {
        let at_us = self.now_us();
        let (outputs, until) = perform(&mut self.host, at_us, text);
        self.until = until;
        let said = text.strip_prefix("say ");
        for octets in outputs.iter().filter_map(|output| output.strip_prefix("> ")).chain(said) {
            self.input.write_all(&hex(octets)).expect("it reads");
            self.input.flush().expect("it reads");
        }
        self.steps.push(Step { at_us, input: text.to_owned(), outputs });
    }

    /// A frame that our host knows nothing of.
    fn say(&mut self, content: &str) {
        let line = encode::<64>(&hex(content)).expect("it fits");
        self.input(&format!("say {}", to_hex(&line)));
    }

    /// What came, and what time brings.
    fn turn(&mut self) {
        if let Ok(octets) = self.output.recv_timeout(TURN) {
            self.input(&format!("< {}", to_hex(&octets)));
        }
        if Moment::ZERO + Duration::from_micros(self.now_us()) >= self.until {
            self.input("wake");
        }
    }

    /// Since that step; nothing is always there.
    fn has(&self, from: usize, what: &str) -> bool {
        let steps = self.steps.get(from..).unwrap_or_default();
        let texts = steps.iter().flat_map(|step| step.outputs.iter().chain([&step.input]));
        what.is_empty() || texts.into_iter().any(|text| text.contains(what))
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two sides in one air.
struct Pair {
    a: Side,
    b: Side,
    /// Steps of each before what is awaited.
    marks: (usize, usize),
}

impl Pair {
    fn mark(&mut self) {
        self.marks = (self.a.steps.len(), self.b.steps.len());
    }

    fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.a.turn();
            self.b.turn();
        }
    }

    /// After the mark, `a` says the one and `b` the other.
    fn expect(&mut self, of_a: &str, of_b: &str) {
        let end = Instant::now() + PATIENCE;
        while !(self.a.has(self.marks.0, of_a) && self.b.has(self.marks.1, of_b)) {
            let steps = (&self.a.steps, &self.b.steps);
            assert!(Instant::now() < end, "no {of_a:?} and {of_b:?} in {steps:#?}");
            self.a.turn();
            self.b.turn();
        }
        self.mark();
    }
}

/// Criteria: reset, versions, configuration; sent, acknowledged and not acknowledged; received, filtered; a
/// change of channel; an energy scan beside our own questions; it starts afresh by itself and is configured
/// again. All of it becomes the transcript, which `LOWGATE_TRANSCRIPT` names.
#[test]
fn two_of_them_with_our_hosts() {
    let (a, b) = (Side::start("1"), Side::start("2"));
    let mut pair = Pair { a, b, marks: (0, 0) };
    let ready = "told co-processor: ready";
    pair.expect(ready, ready);

    let everyone = "418807cdabffff0100090909";
    pair.a.input(&format!("transmit 1 {everyone}"));
    pair.expect("transmitted 1: Sent", everyone);
    // Sealed by us: it has the auxiliary header of 2006, and octets that HDLC stuffs.
    let sealed = format!("699808cdab020001000d2a00000001{}", "7e7d1113f8".repeat(18));
    pair.a.input(&format!("transmit 2 {sealed}"));
    pair.expect("transmitted 2: Acked", &sealed);
    pair.a.input("transmit 3 618809cdabf0ff010009");
    pair.expect("transmitted 3: NoAck, attempts 8", "");

    let answer = "69980acdab010002000d2b000000017e7d1113f8";
    pair.b.input(&format!("transmit 4 {answer}"));
    pair.expect(answer, "transmitted 4: Acked");
    // For somebody else: nobody hears it, and nobody acknowledges it.
    let foreign = "61880bcdab3300020009";
    pair.b.input(&format!("transmit 5 {foreign}"));
    pair.expect("", "transmitted 5: NoAck");
    assert!(!pair.a.has(0, foreign), "the address filter let it pass");

    let (there, back) = (
        "configure 20 abcd 0001 02-00-00-00-00-00-00-01",
        "configure 15 abcd 0001 02-00-00-00-00-00-00-01",
    );
    pair.a.input(there);
    pair.run_for(Duration::from_millis(50));
    let unheard = "41880ccdabffff0200090909";
    pair.b.input(&format!("transmit 6 {unheard}"));
    pair.expect("", "transmitted 6: Sent");
    pair.run_for(Duration::from_millis(50));
    assert!(!pair.a.has(0, unheard), "it was on another channel");
    pair.a.input(back);
    pair.run_for(Duration::from_millis(700));

    // Channel 15 for 10 ms, with numbers that our host does not use now.
    for content in ["8f03310f", "8e03320a00", "8d033002"] {
        pair.a.say(content);
        pair.run_for(Duration::from_millis(20));
    }
    let result = format!("800639{:02x}", 15);
    pair.expect(&result, "");
    // It starts afresh, and our host did not ask for that.
    pair.a.say(&format!("80{:02x}02", SpinelCommand::RESET.0));
    pair.expect("told co-processor: lost: it started afresh", "");
    pair.expect(ready, "");
    pair.b.input(&format!("transmit 7 {everyone}"));
    pair.expect(everyone, "transmitted 7: Sent");

    let outputs = || pair.a.steps.iter().flat_map(|step| &step.outputs);
    let identity =
        outputs().find_map(|output| output.strip_prefix("told co-processor: OPENTHREAD"));
    let identity = identity.expect("it said what it is");
    let text = emit(&format!("{HEAD}It says: OPENTHREAD{identity}.\n"), &pair.a.steps);
    assert_eq!(parse(&text), pair.a.steps);
    let path = std::env::var("LOWGATE_TRANSCRIPT").expect("`cargo xtask ot-rcp` says where to");
    std::fs::write(path, text).expect("written");
}

/// Criteria: `lowgate run` has it ready within 5 s.
#[test]
fn the_daemon_drives_it() {
    let binary =
        std::env::var("LOWGATE_BIN").expect("`cargo xtask ot-rcp` says where the binary is");
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let config = format!(
        "[radio]\nurl = \"spinel+hdlc+forkpty://{}?arg=3\"\n[network]\ninterface = \"lowgate0\"\n\
         [state]\ndir = \"{}\"\n[control]\nsocket = \"{}\"\n",
        ot_rcp(),
        path("state"),
        path("control.sock"),
    );
    std::fs::write(path("lowgate.toml"), config).expect("written");
    let mut daemon = Program::start(&binary, &["run", "--config", &path("lowgate.toml")]);
    daemon.expect("co-processor: OPENTHREAD/");
    daemon.expect("co-processor: ready");
}
