//! Purpose: the border router on a real kernel: `lowgate run` drives a co-processor over a pty, and the
//! building's network reaches the devices of the mesh through it.
//! Topology: network namespace `router` with the daemon, its TUN and one end of a veth pair; namespace
//! `building` with the other end; the co-processor and its mesh of 20 devices are `lowgate sim serve`.
//! Criteria: with each test. Runs as root, by `cargo xtask e2e`.

use lowgate_tests::site::{DEVICES, Site, addr, expect_no_findings};
use serde_json::Value;
use std::time::Duration;

/// Each way has as many hops as it says, and ways begin at neighbours of the border router.
fn expect_consistent(routes: &[Value], neighbours: &[Value]) {
    assert_eq!(routes.len(), DEVICES);
    let mut through_neighbours = 0;
    for route in routes {
        let through = route["through"].as_array().unwrap_or_else(|| panic!("{route}"));
        assert_eq!(route["hops"].as_u64(), Some(through.len() as u64 + 1), "{route}");
        let first = through.first().unwrap_or(&route["short"]);
        // One whose word was lost so far is none yet.
        if let Some(first) = neighbours.iter().find(|neighbour| neighbour["short"] == *first) {
            assert!(first["etx"].as_f64() >= Some(1.0), "{first}");
            through_neighbours += 1;
        }
    }
    assert!(through_neighbours > 0, "{routes:?} {neighbours:?}");
}

/// Criteria: an inventory imported by the command line, 20 devices join over 3 or more hops; from another
/// namespace every device answers every ping, of 56 and of 1232 octets (packets of 1280).
#[test]
fn the_building_reaches_every_device() {
    let site = Site::new("reach");
    let mut mesh = site.serve();
    let _daemon = site.run();
    site.commission();
    let devices = site.all_in();
    let tree = site.listed(&["mesh", "tree"]);
    let hops = tree.iter().filter_map(|device| device["hops"].as_u64()).max();
    assert!(hops >= Some(3), "{hops:?} hops at most");
    expect_consistent(&site.listed(&["mesh", "routes"]), &site.listed(&["mesh", "neighbours"]));
    site.route_to_mesh();
    for device in &devices {
        assert_eq!(site.pinged(addr(device), 3, 56), 3, "{device}");
        assert_eq!(site.pinged(addr(device), 2, 1232), 2, "{device}");
    }
    expect_no_findings(&mut mesh);
}

/// Criteria: after the daemon was killed at any moment, no device has another address, all answer, and
/// none joins anew; 3 times.
#[test]
fn a_daemon_that_was_killed_goes_on() {
    let site = Site::new("kill");
    let mut mesh = site.serve();
    let mut daemon = site.run();
    site.commission();
    let before = site.all_in();
    for _ in 0..3 {
        // A program ends with its owner, by SIGKILL.
        drop(daemon);
        daemon = site.run();
        let after = site.all_in();
        site.route_to_mesh();
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((&before["eui64"], addr(before)), (&after["eui64"], addr(after)));
            assert_eq!(after["handshakes_failed"], 0);
        }
        // The manager's sessions went with it; each device makes another.
        site.expect_answers(Duration::from_secs(120));
        let farthest = after.last().expect("20 devices");
        assert!(site.pinged(addr(farthest), 5, 56) >= 4, "{farthest}");
    }
    expect_no_findings(&mut mesh);
}
