//! Purpose: a daemon that is killed at any moment, also while devices join, has promised nothing that it
//! does not keep.
//! Topology: that of `e2e_linux.rs`; devices get power one after the other while daemons die.
//! Criteria: after each kill no admitted device is lost or has another address, no two have the same,
//! no revision, TEK_ID or counter went back; in the end all devices are in, each has got its keys once
//! and has had one address, and no frame counter was used twice under a key. 10 kills; `cargo xtask soak
//! kills` makes 200, ten in each of twenty meshes.

use lowgate_tests::kept::Kept;
use lowgate_tests::site::{DEVICES, Site, addr, expect_no_findings};
use lowgate_tests::soak::{between, chance, rounds};
use lowgate_units::Prng;
use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;

/// In one mesh.
const KILLS: usize = 10;

#[test]
fn a_daemon_that_is_killed_while_devices_join_keeps_what_it_promised() {
    let mut prng = chance();
    let mut left = rounds(KILLS);
    while left > 0 {
        let kills = left.min(KILLS);
        killed(&mut prng, kills);
        left -= kills;
        println!("{left} kills to go");
    }
}

fn killed(prng: &mut Prng, kills: usize) {
    let site = Site::new("kills");
    let mut mesh = site.serve();
    let mut daemon = site.run();
    site.commission();
    let mut before: Option<Kept> = None;
    for kill in 0..kills {
        let after = between(prng, 20, 4000);
        sleep(after);
        // A program ends with its owner, by SIGKILL.
        drop(daemon);
        let kept = Kept::read(&site.path("state"));
        println!("kill {kill} after {after:?}: {} admitted", kept.admitted());
        if let Some(before) = before {
            kept.expect_after(&before);
        }
        before = Some(kept);
        // The next may be killed before it is up.
        daemon = site.start(&["run", "--config", &site.text("lowgate.toml")]);
    }
    daemon.expect("mesh ");
    let devices = site.all_in();
    site.route_to_mesh();
    let farthest = devices.last().expect("20 devices");
    assert!(site.pinged(addr(farthest), 5, 56) >= 4, "{farthest}");
    drop(daemon);
    let kept = Kept::read(&site.path("state"));
    kept.expect_after(&before.expect("at least one kill"));
    assert_eq!(kept.admitted(), DEVICES + 1, "all devices and the border router");
    mesh.listen();
    expect_one_join_each(&mesh.said);
    expect_no_findings(&mut mesh);
}

fn expect_one_join_each(said: &[String]) {
    let mut joins: BTreeMap<&str, usize> = BTreeMap::new();
    let mut addrs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in said {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "s", device, "took", "its", "keys"] => *joins.entry(device).or_default() += 1,
            [_, "s", device, "is", "in", "at", addr, ..] => {
                addrs.entry(device).or_default().insert(addr);
            }
            _ => {}
        }
    }
    let anew: Vec<_> = joins.iter().filter(|(_, joins)| **joins != 1).collect();
    assert!(joins.len() == DEVICES && anew.is_empty(), "joined anew: {anew:?}");
    let moved: Vec<_> = addrs.iter().filter(|(_, addrs)| addrs.len() != 1).collect();
    assert!(addrs.len() == DEVICES && moved.is_empty(), "other addresses: {moved:?}");
}
