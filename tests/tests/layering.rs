//! The layer table of the architecture, over `cargo metadata`: a crate imports only what the table
//! allows, always from a lower layer, and nothing below layer 6 reaches `tokio`.
//!
//! Dev-dependencies are free: a test may look at anything.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What a crate may import of this workspace.
enum May {
    /// These and no other.
    Only(&'static [&'static str]),
    /// Every crate of the layers up to this one.
    UpTo(u8),
    /// Every crate of the layers up to this one, and these.
    UpToAnd(u8, &'static [&'static str]),
    /// Everything.
    All,
}

use May::{All, Only, UpTo, UpToAnd};

/// Crate, layer, what it may import. Names are folders of `crates/`.
const TABLE: &[(&str, u8, May)] = &[
    ("units", 0, Only(&[])),
    ("crypto", 1, Only(&["units"])),
    ("ieee802154", 1, Only(&["units"])),
    ("sixlowpan", 1, Only(&["units"])),
    ("spinel", 1, Only(&["units"])),
    ("mac", 2, Only(&["units", "crypto", "ieee802154"])),
    ("dtls", 2, Only(&["units", "crypto"])),
    ("amikey", 2, Only(&["units", "crypto"])),
    ("coap", 2, Only(&["units"])),
    ("net", 3, Only(&["units", "sixlowpan"])),
    ("access", 3, Only(&["units", "crypto", "dtls", "amikey"])),
    ("rcp", 3, Only(&["units", "spinel", "mac"])),
    ("node", 4, UpTo(3)),
    ("manager", 4, UpToAnd(2, &["access"])),
    ("router", 5, UpToAnd(3, &["node"])),
    ("sim", 6, UpTo(5)),
    ("store", 6, Only(&["units", "manager"])),
    ("linux", 6, Only(&["units", "spinel"])),
    ("api", 7, Only(&["manager", "store", "sim"])),
    ("lowgate", 7, All),
];

/// Outside the layers: they may import all, and only dev-dependencies may name them.
const OUTSIDE: &[&str] = &["xtask", "bench", "testkit", "fuzz", "tests"];

/// The first layer that may do input and output.
const EDGE: u8 = 6;

/// The last layer that builds without `std`; `node`, one above, does too.
const NO_STD: u8 = 3;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing for a normal dependency.
    kind: Option<String>,
    /// Only dependencies inside the workspace have one.
    path: Option<String>,
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

fn packages() -> Vec<Package> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(lowgate_tests::workspace_root())
        .output()
        .expect("cargo runs the tests, so it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo's own format");
    assert!(!metadata.packages.is_empty());
    metadata.packages
}

/// The folder name of a package: `lowgate-dtls` lives in `dtls`.
fn short(package: &str) -> &str {
    package.strip_prefix("lowgate-").unwrap_or(package)
}

fn row(name: &str) -> Option<&'static (&'static str, u8, May)> {
    TABLE.iter().find(|(row, ..)| *row == name)
}

fn layer(name: &str) -> Option<u8> {
    row(name).map(|(_, layer, _)| *layer)
}

fn allowed(may: &May, import: &str) -> bool {
    let layer = layer(import);
    match may {
        Only(list) => list.contains(&import),
        UpTo(top) => layer.is_some_and(|layer| layer <= *top),
        UpToAnd(top, list) => list.contains(&import) || layer.is_some_and(|layer| layer <= *top),
        All => layer.is_some(),
    }
}

/// What is wrong with the imports of one package: one sentence each.
fn faults(package: &Package) -> Vec<String> {
    let name = short(&package.name);
    if OUTSIDE.contains(&name) {
        return Vec::new();
    }
    let Some((_, _, may)) = row(name) else {
        return vec![format!("{name}: not in the layer table; give it a layer there first")];
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.path.is_some())
        .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
        .map(|dependency| short(&dependency.name))
        .filter(|import| !allowed(may, import))
        .map(|import| format!("{name} must not import {import}"))
        .collect()
}

/// Of the third-party packages that `roots` are or pull in, whether one is `tokio`.
fn reaches_tokio(lock: &BTreeMap<&str, Vec<&str>>, roots: Vec<&str>) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = roots;
    while let Some(name) = open.pop() {
        if name == "tokio" {
            return true;
        }
        if seen.insert(name) {
            open.extend(lock.get(name).into_iter().flatten());
        }
    }
    false
}

#[test]
fn the_table_goes_downward_only() {
    for (name, layer_of, may) in TABLE {
        for (import, import_layer, _) in TABLE {
            let downward = import_layer < layer_of || matches!(may, All);
            assert!(downward || !allowed(may, import), "{name} -> {import}");
        }
        if let Only(list) | UpToAnd(_, list) = may {
            assert!(list.iter().all(|import| row(import).is_some()), "{name}: a name not in it");
        }
    }
}

#[test]
fn imports_keep_the_table() {
    let faults: Vec<String> = packages().iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_forbidden_import_and_an_unknown_crate_are_seen() {
    let dependency = |name: &str, kind: Option<&str>| Dependency {
        name: name.into(),
        kind: kind.map(Into::into),
        path: Some("here".into()),
    };
    let package = |name: &str, dependencies| Package { name: name.into(), dependencies };
    let upward = package("lowgate-dtls", vec![dependency("lowgate-net", None)]);
    assert_eq!(faults(&upward), ["dtls must not import net"]);
    let building = package("lowgate-dtls", vec![dependency("lowgate-net", Some("build"))]);
    assert_eq!(faults(&building), ["dtls must not import net"]);
    let helpers = package("lowgate-sim", vec![dependency("lowgate-testkit", None)]);
    assert_eq!(faults(&helpers), ["sim must not import testkit"]);
    let testing = package("lowgate-dtls", vec![dependency("lowgate-testkit", Some("dev"))]);
    assert_eq!(faults(&testing), [""; 0]);
    assert_eq!(faults(&package("lowgate-zigbee", vec![])).len(), 1);
}

#[test]
fn tokio_stays_at_the_edge() {
    let text = std::fs::read_to_string(lowgate_tests::workspace_root().join("Cargo.lock"))
        .expect("the lock file is committed");
    let file: Lock = toml::from_str(&text).expect("cargo's own format");
    let mut lock: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &file.package {
        // "name version" where several versions are locked; here their graphs may be merged.
        let names = package.dependencies.iter().map(|d| d.split(' ').next().unwrap_or(d));
        lock.entry(&package.name).or_default().extend(names);
    }
    for package in packages() {
        if layer(short(&package.name)).is_none_or(|layer| layer >= EDGE) {
            continue;
        }
        let roots = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.path.is_none())
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
            .map(|dependency| dependency.name.as_str());
        assert!(!reaches_tokio(&lock, roots.collect()), "{} pulls in tokio", package.name);
    }
}

#[test]
fn the_device_s_crates_are_no_std() {
    for (name, layer, _) in TABLE {
        let path = lowgate_tests::workspace_root().join("crates").join(name).join("src/lib.rs");
        if (*layer > NO_STD && *name != "node") || !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("it exists");
        assert!(
            text.lines().any(|line| line.starts_with("#![no_std]")),
            "{}: says #![no_std], without a condition",
            path.display()
        );
    }
}
