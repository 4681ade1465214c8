//! Purpose: what `lowgate sniff` hears of a living mesh, Wireshark understands; and Wireshark can ask for it
//! itself, as of a capture interface of its own.
//! Topology: a mesh with its border router, and a co-processor beside that: `lowgate sim serve --sniffer`.
//! Criteria: with each test.

use lowgate_tests::program::Program;
use std::path::Path;
use std::process::{Command, Output};

/// Nobody: tshark takes no extcap folder but the system's from root.
const NOBODY: &str = "65534";

/// The binary under test.
fn lowgate() -> String {
    std::env::var("LOWGATE_BIN").expect("`cargo xtask interop` says where the binary is")
}

fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
    output
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// A mesh that comes up while it is listened to, and the URL of the sniffer's line.
fn mesh(folder: &Path) -> (Program, String) {
    let pty = folder.join("sniffer").display().to_string();
    let arguments = ["sim", "serve", "--nodes", "12", "--sniffer", &pty, "--power-interval", "1"];
    let mut serve = Program::start(&lowgate(), &arguments);
    serve.expect("a co-processor for captures");
    (serve, format!("spinel+hdlc+uart://{pty}"))
}

/// Criteria: 500 frames, none malformed, no error, their times in order; frames, acknowledgements and the
/// strengths of both.
#[test]
fn wireshark_reads_what_was_heard() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_serve, url) = mesh(folder.path());
    let file = folder.path().join("air.pcapng").display().to_string();
    let sniff = ["sniff", "--radio", &url, "--channel", "15", "-o", &file, "--count", "500"];
    done(Command::new(lowgate()).args(sniff));
    let lines = |filter: &str| {
        let output = done(Command::new("tshark").args(["-r", &file, "-Y", filter]));
        text(&output.stdout).lines().count()
    };
    assert_eq!(lines("wpan"), 500);
    assert_eq!(lines("_ws.malformed || _ws.expert.severity >= error"), 0);
    assert_eq!(lines("frame.time_delta < 0"), 0);
    assert_eq!(lines("wpan-tap.ch_num == 15 && wpan-tap.rss < -20 && wpan-tap.rss > -110"), 500);
    assert!(lines("wpan.frame_type == 2") > 50, "acknowledgements");
    assert!(lines("6lowpan") > 20, "handshakes of devices, which are in the clear");
}

/// What Wireshark needs to know us: a folder that everybody may read, our binary in it, and the script.
fn extcap(folder: &Path) {
    let (extcap, binary) = (folder.join("extcap"), folder.join("lowgate"));
    std::fs::create_dir(&extcap).expect("is new");
    // By another process: a program that another thread starts here meanwhile would hold the file open, and what is open for
    // writing does not run.
    done(Command::new("cp").arg(lowgate()).arg(&binary));
    let install = ["sniff", "--install-extcap", &extcap.display().to_string()];
    done(Command::new(&binary).args(install));
}

/// tshark with our folder, as somebody who is not root.
fn tshark(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let root = text(&done(Command::new("id").arg("-u")).stdout).trim() == "0";
    let group = format!("--regid={NOBODY}");
    let user = format!("--reuid={NOBODY}");
    let setpriv = ["setpriv", &user, &group, "--clear-groups"];
    let (home, extcap) = (folder.join("home").display().to_string(), folder.join("extcap"));
    let (home, extcap) =
        (format!("HOME={home}"), format!("WIRESHARK_EXTCAP_DIR={}", extcap.display()));
    let env = ["env", &home, &extcap, "tshark"];
    let words =
        if root { [&setpriv[..], &env, arguments].concat() } else { [&env, arguments].concat() };
    words.into_iter().map(ToOwned::to_owned).collect()
}

fn output(words: &[String]) -> String {
    text(&done(Command::new(&words[0]).args(&words[1..])).stdout)
}

/// Criteria: the interface is in the list with its link type and its arguments; 20 frames are captured
/// through it; a line that is not there is told of in Wireshark's own window.
#[test]
fn wireshark_captures_through_us() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path();
    extcap(path);
    std::fs::create_dir(path.join("home")).expect("is new");
    let (_serve, url) = mesh(path);
    for name in [".", "home", "sniffer"] {
        // Through the link, to the pty itself.
        done(Command::new("chmod").arg("a+rwx").arg(path.join(name)));
    }
    let listed = output(&tshark(path, &["-D"]));
    assert!(listed.contains("lowgate (802.15.4 radio co-processor)"), "{listed}");
    let types = output(&tshark(path, &["-i", "lowgate", "-L"]));
    assert!(types.contains("IEEE802_15_4_TAP"), "{types}");
    let radio = format!("extcap.lowgate.radio:{url}");
    let mut capture = vec!["-i", "lowgate", "-o", &radio, "-o", "extcap.lowgate.channel:15"];
    capture.extend(["-c", "20", "-T", "fields", "-e", "wpan.fcf"]);
    let heard = output(&tshark(path, &capture));
    assert_eq!(heard.lines().filter(|line| line.starts_with("0x")).count(), 20, "{heard}");
    let radio = "extcap.lowgate.radio:spinel+hdlc+uart:///dev/no-such-device";
    let words = tshark(path, &["-i", "lowgate", "-o", radio, "-c", "1"]);
    let refused = Command::new(&words[0]).args(&words[1..]).output().expect("it runs");
    let told = text(&refused.stderr);
    assert!(told.contains("/dev/no-such-device does not exist"), "{told}");
}
