//! Purpose: tshark reads a whole network with the keys that we write for it. Topology: a line of
//! rooms, several hops deep. Criteria: nothing is malformed, every secured frame opens, unicast
//! CoAP is in clear in both directions, and both ways of calling tshark say the same.

#[path = "captures/network.rs"]
mod network;

use lowgate_sim::keybook::COMMANDS_FILE;
use std::path::Path;
use std::process::Command;

/// What a line of shell prints.
fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().expect("a shell");
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{faults}; `cargo xtask interop` installs tshark");
    String::from_utf8(output.stdout).expect("tshark prints UTF-8")
}

/// Writes capture and keys; the two command lines.
fn write(folder: &Path) -> [String; 2] {
    let world = network::run();
    let capture = folder.join("run.pcapng");
    std::fs::write(&capture, world.capture().emit("a line of rooms")).expect("writes");
    let keys = folder.join("keys of ours");
    std::fs::create_dir(&keys).expect("is new");
    let files = network::keys(&world, &keys, &capture);
    for file in &files {
        std::fs::write(keys.join(file.name), &file.content).expect("writes");
    }
    let text = files.iter().find(|file| file.name == COMMANDS_FILE).expect("written");
    let mut commands = text.content.lines().filter(|line| line.contains("tshark -r"));
    [(); 2].map(|()| commands.next().expect("two of them").to_owned())
}

#[test]
fn tshark_reads_it_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let [by_folder, by_options] = write(folder.path());
    let all = shell(&by_folder);
    assert!(all.lines().count() > 500, "{all}");
    assert_eq!(all, shell(&by_options));
    let filtered = |filter: &str| shell(&format!("{by_folder} -Y '{filter}'"));
    assert_eq!(filtered("_ws.malformed"), "");
    assert_eq!(filtered("_ws.expert.severity >= error"), "");
    assert_eq!(filtered("wpan.security == 1 && !6lowpan"), "", "frames that do not open");
    let coap = filtered("coap");
    for words in ["GET", "/light", "2.05 Content", "PUT", "/admitted", "2.04 Changed"] {
        assert!(coap.contains(words), "no {words} in\n{coap}");
    }
}
