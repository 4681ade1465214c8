//! The binary as a user calls it: exit codes, what it writes, what it says to bad input.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn lowgate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lowgate"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary was built for this test")
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn a_demo_writes_what_was_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let arguments =
        ["demo", "--json", "figures.json", "--pcap", "air.pcapng", "--keys", "keys", "--seed", "2"];
    let output = lowgate(folder.path(), &arguments);
    assert!(output.status.success(), "{}", text(&output.stdout));
    let read = |name: &str| fs::read(folder.path().join(name)).expect(name);
    let figures: serde_json::Value = serde_json::from_slice(&read("figures.json")).expect("JSON");
    assert_eq!(figures["devices_joined"], 25);
    assert_eq!(figures["seed"], 2);
    assert_eq!(figures["revoked"]["frames_opened_after"], 0);
    for field in ["p50", "p95", "max"] {
        assert!(figures["join_ms"][field].as_f64().is_some_and(|value| value > 0.0), "{field}");
    }
    assert!(text(&read("lowgate-demo.html")).to_lowercase().starts_with("<!doctype html>"));
    assert!(text(&read("keys/tls.keylog")).starts_with("CLIENT_RANDOM "));
    let decoded = lowgate(folder.path(), &["decode", "air.pcapng", "--keys", "keys"]);
    assert!(decoded.status.success());
    let decoded = text(&decoded.stdout);
    for word in ["ClientHello", "JPY", "MKD", "PUT /light"] {
        assert!(decoded.contains(word), "{word}");
    }
    assert!(text(&output.stdout).contains("is revoked"));
}

#[test]
fn bad_input_gives_every_fault_and_exit_code_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let office = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/office.toml");
    let inventory = "eui64,psk,kind,room,groups\n\
                     02-12-4b-00-91-64-3a-39,53de,border-router,Plant room,\n\
                     02-12-4b-00-95-91-ad-f7,380ecf0fadf2078c516f118de1f2bf24,lamp,Workshop,9:listener\n";
    fs::write(folder.path().join("bad.csv"), inventory).expect("written");
    let output = lowgate(folder.path(), &["demo", "--building", office, "--inventory", "bad.csv"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = text(&output.stderr);
    for fault in ["bad.csv:2: psk:", "bad.csv:3: kind:", "bad.csv:3: groups:"] {
        assert!(errors.contains(fault), "{fault} in {errors}");
    }
    assert!(!errors.contains("53de"), "a key is repeated: {errors}");
    assert!(!folder.path().join("lowgate-demo.html").exists(), "nothing half done");
}

#[test]
fn impossible_arguments_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for arguments in [
        &["demo", "--loss", "1.5"][..],
        &["demo", "--nodes", "0"],
        &["demo", "--nodes", "5000"],
        &["demo", "--building", "x.toml"],
        &["decode", "nothing.pcapng"],
        &["sim", "replay", "nothing", "--key", "nowhere"],
        &["keys", "rotate", "--network", "--group", "1"],
    ] {
        let output = lowgate(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}
