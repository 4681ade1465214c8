//! A co-processor without a daemon: `lowgate rcp` asks it, `lowgate sniff` listens with it; what is none is
//! refused in one line.

use lowgate_sim::capture::{self, AirFrame, Recording};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowgate"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn lowgate(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary was built for this test")
}

/// A program that goes on until its owner ends.
struct Running(Child);

impl Running {
    /// Waits for its first line.
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).spawn().expect("the binary was built for this test");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("piped");
        BufReader::with_capacity(1, out).read_line(&mut line).expect("it says something");
        assert!(!line.is_empty(), "{arguments:?} ended at once");
        Self(child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A simulated co-processor, and the URL of its line.
fn co_processor(folder: &Path) -> (Running, String) {
    let pty = folder.join("radio").display().to_string();
    let serve = Running::start(&["sim", "serve", "--nodes", "3", "--pty", &pty]);
    (serve, format!("spinel+hdlc+uart://{pty}"))
}

#[test]
fn a_co_processor_says_what_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_serve, url) = co_processor(folder.path());
    let output = lowgate(&["rcp", "info", &url, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let info: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&info["protocol"], &info["api"]), (&"4.3".into(), &11.into()), "{info}");
    assert_eq!((&info["channels"][0], &info["unfit"]), (&11.into(), &Value::Null), "{info}");
    // Without a URL it is the configuration's.
    let config = folder.path().join("lowgate.toml").display().to_string();
    let text = format!(
        "[radio]\nurl = \"{url}\"\n[network]\ninterface = \"x\"\n[state]\ndir = \"/x\"\n\
         [control]\nsocket = \"/x/y\"\n"
    );
    std::fs::write(&config, text).expect("written");
    let output = lowgate(&["rcp", "info", "--config", &config]);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("11 to 26") && told.contains("fit for lowgate      yes"), "{output:?}");
}

#[test]
fn a_sound_co_processor_passes_the_self_test_and_is_busy_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_serve, url) = co_processor(folder.path());
    let test = Running::start(&["rcp", "selftest", &url]);
    refused(&url, "in use");
    drop(test);
    let output = lowgate(&["rcp", "selftest", &url, "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["held"], true);
    let steps = report["steps"].as_array().expect("a list");
    let result = |name: &str| {
        let step = steps.iter().find(|step| step["step"] == name);
        step.unwrap_or_else(|| panic!("no {name} in {report:#}"))["result"].clone()
    };
    for name in ["reset", "driver", "noise", "settings", "transmission", "acknowledgement"] {
        assert_eq!(result(name), "ok", "{name}");
    }
    // A simulated radio tells the strength of frames alone.
    assert_eq!(result("energy"), "not supported");
}

/// Both commands, in one line that says `why`.
fn refused(url: &str, why: &str) {
    for task in ["info", "selftest"] {
        let output = lowgate(&["rcp", task, url]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{task} {url}: {told}");
        assert!(told.contains(why) && told.trim_end().lines().count() == 1, "{task} {url}: {told}");
        assert!(output.stdout.is_empty(), "{task} {url}");
    }
}

#[test]
fn what_is_no_co_processor_is_refused_in_one_line() {
    refused("/dev/ttyACM0", "is not a URL");
    refused("spinel+hdlc+uart:///dev/no-such-device", "does not exist");
    refused("spinel+hdlc+uart:///dev/null", "is not a serial device");
    refused("spinel+hdlc+forkpty:///bin/cat", "but no Spinel");
    refused("spinel+hdlc+forkpty:///bin/sleep?arg=60", "nothing answers");
    refused("spinel+hdlc+forkpty:///usr/bin/head?arg=-c&arg=1", "the program has ");
}

/// A mesh with a border router of its own, and the URL of a sniffer in it.
fn sniffer(folder: &Path) -> (Running, String) {
    let pty = folder.join("sniffer").display().to_string();
    let serve = ["sim", "serve", "--nodes", "8", "--sniffer", &pty, "--power-interval", "0.2"];
    (Running::start(&serve), format!("spinel+hdlc+uart://{pty}"))
}

/// All frames of channel 15, none earlier than the one before it.
fn check(octets: &[u8]) -> Recording {
    let recording = capture::read(octets).expect("a whole pcapng file");
    let mut last = lowgate_units::Instant::ZERO;
    for packet in &recording.packets {
        let frame = AirFrame::parse(&packet.octets).expect("a TAP frame");
        assert_eq!(frame.channel.map(|channel| channel.number()), Some(15));
        assert!(frame.rssi.is_some() && packet.at >= last, "{packet:?}");
        last = packet.at;
    }
    recording
}

#[test]
fn a_capture_has_frames_and_their_acknowledgements() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_serve, url) = sniffer(folder.path());
    let file = folder.path().join("air.pcapng").display().to_string();
    let arguments = ["sniff", "--radio", &url, "--channel", "15", "-o", &file, "--count", "200"];
    let output = lowgate(&arguments);
    assert!(output.status.success(), "{output:?}");
    let recording = check(&std::fs::read(&file).expect("written"));
    assert_eq!(recording.packets.len(), 200);
    let acks = recording
        .packets
        .iter()
        .filter(|packet| AirFrame::parse(&packet.octets).is_ok_and(|frame| frame.psdu[0] & 7 == 2));
    assert!(acks.count() > 20, "acknowledgements are for others, and heard all the same");
}

/// Criteria: a terminated capture and one whose reader is gone end well, and what was written is whole; also
/// on a channel where nobody speaks.
#[test]
fn a_capture_ends_when_it_is_told_to_or_nobody_reads() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_serve, url) = sniffer(folder.path());
    let start = |channel: &str| {
        let arguments = ["sniff", "--radio", &url, "--channel", channel, "-o", "-"];
        command(&arguments).spawn().expect("the binary was built for this test")
    };
    let mut child = start("15");
    let mut octets = vec![0; 600];
    child.stdout.as_mut().expect("piped").read_exact(&mut octets).expect("a head and a frame");
    // The shell's own: the program is not on every machine.
    let kill = format!("kill -TERM {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("a shell").success());
    child.stdout.as_mut().expect("piped").read_to_end(&mut octets).expect("the rest");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(!check(&octets).packets.is_empty());
    let mut child = start("26");
    let mut head = [0; 4];
    child.stdout.as_mut().expect("piped").read_exact(&mut head).expect("a head");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_capture_that_cannot_be_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_serve, url) = sniffer(folder.path());
    for arguments in [
        &["sniff", "--radio", &url, "--channel", "27", "-o", "-"][..],
        &["sniff", "--radio", &url],
        &["sniff", "--radio", &url, "-o", "/no/such/folder/x"],
        &["sniff", "--radio", "spinel+hdlc+uart:///dev/no-such-device", "-o", "-"],
        &["sniff", "--capture"],
        &["sniff", "--capture", "--fifo", "/no/fifo", "--extcap-capture-filter", "tcp"],
        &["sniff", "--install-extcap", "/no/such/folder"],
    ] {
        let output = lowgate(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{arguments:?}");
    }
}
