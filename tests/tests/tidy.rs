//! Habits that no lint of the compiler knows. The lists of exceptions here may only shrink.

use lowgate_tests::{rust_sources, workspace_root};
use std::fs;
use std::path::Path;

/// A file is one header, one machine or one table.
const FILE_LINES_MAX: usize = 1000;

/// Files that are longer all the same.
const LONG_FILES: &[&str] = &[];

const FUNCTION_LINES_MAX: i64 = 70;

/// What unfinished work and switched-off checks look like, and what to do instead. In pieces, so
/// that this file does not find itself.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("todo", "!("), "write it"),
    (concat!("unimplemented", "!("), "write it"),
    (concat!("dbg", "!("), "take it out"),
    (concat!("#[ig", "nore"), "repair the test or take it out; an outside program is installed"),
    (concat!("#[al", "low("), "#[expect(lint, reason = \"..\")], which tells when it is stale"),
    (concat!("thread::", "sleep("), "wait for the event itself"),
];

/// The crates that must not see a clock, a thread, the environment or a table with a random order:
/// layers 0 to 5. `sim` is held to the same, for a seed decides everything in it.
const CORE: &[&str] = &[
    "units",
    "crypto",
    "ieee802154",
    "sixlowpan",
    "spinel",
    "mac",
    "dtls",
    "amikey",
    "coap",
    "net",
    "access",
    "rcp",
    "node",
    "manager",
    "router",
    "sim",
];

const DISALLOWED_TYPES: &[&str] = &[
    "std::time::Instant",
    "std::time::SystemTime",
    "std::collections::HashMap",
    "std::collections::HashSet",
];

const DISALLOWED_METHODS: &[&str] =
    &["std::thread::spawn", "std::thread::sleep", "std::env::var", "std::env::var_os"];

fn read(path: &Path) -> String {
    fs::read_to_string(workspace_root().join(path))
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn read_toml(path: &Path) -> toml::Table {
    read(path).parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = rust_sources()
        .iter()
        .filter(|path| read(path).lines().count() > FILE_LINES_MAX)
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(long, LONG_FILES, "split it, or take what is short now from the list");
}

#[test]
fn nothing_is_left_for_later() {
    let mut found = String::new();
    for path in rust_sources() {
        for (number, line) in read(&path).lines().enumerate() {
            for (marker, instead) in FORBIDDEN {
                if line.contains(marker) {
                    found += &format!("{}:{}: {marker}: {instead}\n", path.display(), number + 1);
                }
            }
        }
    }
    assert!(found.is_empty(), "\n{found}");
}

#[test]
fn every_file_opens_with_what_it_is() {
    for path in rust_sources() {
        let text = read(&path);
        let opening = text.lines().find(|line| !line.starts_with("#!") && !line.is_empty());
        assert!(
            opening.is_some_and(|line| line.starts_with("//! ")),
            "{}: opens with a //! line that says what it is",
            path.display()
        );
    }
}

/// Clippy counts the lines of functions; here only that it does so everywhere.
#[test]
fn every_package_takes_the_workspace_s_lints() {
    let workspace = read_toml(Path::new("Cargo.toml"));
    let lints = &workspace["workspace"]["lints"];
    assert_eq!(lints["clippy"]["too_many_lines"].as_str(), Some("warn"));
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("forbid"));
    let crates = fs::read_dir(workspace_root().join("crates")).expect("crates/");
    let mut folders: Vec<_> = crates.map(|entry| entry.expect("readable").path()).collect();
    folders.push(workspace_root().join("tests"));
    for manifest in folders.iter().map(|folder| folder.join("Cargo.toml")) {
        if !manifest.exists() || manifest.ends_with("fuzz/Cargo.toml") {
            continue;
        }
        let inherits = read_toml(&manifest)
            .get("lints")
            .and_then(|lints| lints.get("workspace"))
            .and_then(toml::Value::as_bool);
        assert_eq!(inherits, Some(true), "{}: [lints] workspace = true", manifest.display());
    }
    assert_thresholds(Path::new("clippy.toml"));
}

/// Clippy reads the nearest `clippy.toml` alone, so each repeats the thresholds of the top level.
fn assert_thresholds(path: &Path) {
    let table = read_toml(path);
    let lines = table.get("too-many-lines-threshold").and_then(toml::Value::as_integer);
    assert_eq!(lines, Some(FUNCTION_LINES_MAX), "{}: too-many-lines-threshold", path.display());
    let unwrap = table.get("allow-unwrap-in-tests").and_then(toml::Value::as_bool);
    assert_eq!(unwrap, Some(true), "{}: allow-unwrap-in-tests", path.display());
}

fn assert_disallows(path: &Path, list: &str, wanted: &[&str]) {
    let table = read_toml(path);
    let entries = table.get(list).and_then(toml::Value::as_array).map_or(&[][..], Vec::as_slice);
    for item in wanted {
        let reason = entries
            .iter()
            .find(|entry| entry.get("path").and_then(toml::Value::as_str) == Some(item))
            .and_then(|entry| entry.get("reason"))
            .and_then(toml::Value::as_str);
        assert!(
            reason.is_some_and(|reason| !reason.is_empty()),
            "{}: {list} names {item} with its reason",
            path.display()
        );
    }
}

#[test]
fn every_core_crate_is_shut_off_from_the_world() {
    for name in CORE {
        let folder = Path::new("crates").join(name);
        if !workspace_root().join(&folder).exists() {
            continue;
        }
        let path = folder.join("clippy.toml");
        assert_thresholds(&path);
        assert_disallows(&path, "disallowed-types", DISALLOWED_TYPES);
        assert_disallows(&path, "disallowed-methods", DISALLOWED_METHODS);
    }
}
