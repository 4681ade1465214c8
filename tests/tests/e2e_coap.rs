//! Purpose: hosts of the building's network read and switch devices by plain CoAP, one and a group, with a
//! client that we did not write: libcoap's.
//! Topology: as of `e2e_linux`; the client is in the namespace of the building's network.
//! Criteria: with the test. Runs as root, by `cargo xtask e2e`.

use lowgate_tests::outside::{FLOOD, command, expect, light, members, read, write};
use lowgate_tests::site::{Site, addr, expect_no_findings};
use serde_json::Value;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Criteria: every light is read and written by unicast; by multicast, and by `lowgate group send`, all of a
/// group's lights are switched and no other; a light put into the group obeys with it, one taken out does
/// not any more; what the filter does not name is closed.
#[test]
fn coap_from_the_building() {
    let site = Site::new("coap");
    let mut mesh = site.serve();
    let daemon = site.run();
    site.commission();
    let devices = site.all_in();
    site.route_to_mesh();
    let lights: Vec<_> = devices.iter().filter(|device| device["kind"] == "light").collect();
    for light in &lights {
        write(&site, light, "1");
        assert_eq!(read(&site, light), "1", "{light}");
        write(&site, light, "0");
    }
    let groups = site.listed(&["group", "list"]);
    let largest = groups.iter().max_by_key(|group| members(group, &devices).len());
    let group = largest.expect("a group");
    let (id, inside) = (group["id"].to_string(), members(group, &devices));
    assert!(inside.len() >= 3, "{group}");
    let is_inside = |light: &&Value| inside.iter().any(|it| it["eui64"] == light["eui64"]);
    let outside: Vec<_> = lights.iter().copied().filter(|light| !is_inside(light)).collect();
    command(&site, group, "1");
    expect(&site, &inside, "1");
    expect(&site, &outside, "0");
    site.command(&["group", "send", &id, "light", "0"]);
    expect(&site, &inside, "0");
    moved(&site, &inside, &id, group);
    drop(daemon);
    site.write_config("lowgate", "[filter]\ninward = [\"echo\"]\n");
    let _daemon = site.run();
    site.all_in();
    assert!(site.pinged(addr(inside[0]), 3, 56) >= 2, "echoes are named");
    let exec = ["netns", "exec", &site.building, "coap-client-notls"];
    let closed = ["-m", "get", "-B", "3", &light(inside[0])];
    let said = Command::new("ip").args(exec).args(closed).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&said.stdout), "", "the filter is closed");
    expect_no_findings(&mut mesh);
}

/// One light leaves the group and comes back.
fn moved(site: &Site, inside: &[&Value], id: &str, group: &Value) {
    let (leaver, stayers) = inside.split_first().expect("three at least");
    let eui64 = leaver["eui64"].as_str().expect("a name");
    site.command(&["group", "remove", id, eui64]);
    // The others have the new keys when they obey.
    let switch = |value| {
        let deadline = Instant::now() + FLOOD;
        loop {
            command(site, group, value);
            sleep(Duration::from_secs(1));
            if stayers.iter().all(|light| read(site, light) == value) {
                return;
            }
            assert!(Instant::now() < deadline, "not all of {stayers:?} obey");
        }
    };
    switch("1");
    assert_eq!(read(site, leaver), "0");
    site.command(&["group", "add", id, eui64, "--role", "listener"]);
    sleep(Duration::from_secs(3));
    command(site, group, "0");
    command(site, group, "1");
    expect(site, &[leaver], "1");
}
