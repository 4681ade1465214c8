//! Purpose: border router and domain manager on two machines, with the building's network between them.
//! Topology: `lowgate router` in the namespace of the co-processor, `lowgate manager` in that of the
//! building; a mesh of 20 devices.
//! Criteria: with the test. Runs as root, by `cargo xtask e2e`.

use lowgate_tests::outside::{command, expect, members};
use lowgate_tests::site::{DEVICES, JOIN_PATIENCE, Site, addr, expect_no_findings, ip, lowgate};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const PREFIX: &str = "fd12:3456:789a:1::/64";
/// The manager is away for so long.
const AWAY: Duration = Duration::from_secs(60);
/// The border router asks each 15 s and doubts for 21; then 20 members are told, one each second, and doubt
/// for as long.
const BACK_WITHIN: Duration = Duration::from_secs(120);

/// The router's claim code goes from its screen to the manager.
fn claim(site: &Site) {
    let config = site.text("router.toml");
    let shown = Command::new(lowgate()).args(["claim", "--config", &config]).output();
    let shown = String::from_utf8(shown.expect("it runs").stdout).expect("text");
    let is_code = |line: &&str| line.len() == 34 && line.matches('-').count() == 6;
    let code = shown.lines().find(is_code).unwrap_or_else(|| panic!("no code in {shown}"));
    let config = site.text("lowgate.toml");
    let mut add = Command::new(lowgate())
        .args(["device", "claim", "--config", &config])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    writeln!(add.stdin.take().expect("piped"), "{code}").expect("it reads");
    assert!(add.wait().expect("it ends").success());
}

fn wait_for_routes(site: &Site) {
    let config = site.text("router.toml");
    let deadline = Instant::now() + JOIN_PATIENCE;
    loop {
        let status =
            Command::new(lowgate()).args(["status", "--json", "--config", &config]).output();
        let status = status.expect("it runs").stdout;
        let status: Value = serde_json::from_slice(&status).expect("JSON");
        if status["devices_with_routes"] == DEVICES {
            return;
        }
        assert!(Instant::now() < deadline, "{status}");
        sleep(Duration::from_millis(500));
    }
}

/// Criteria: a border router that was claimed by its code brings 20 devices in; every device answers pings
/// from the building and reads by the manager; while the manager is away for a minute, they
/// go on answering pings (99 of 100, sent without pause), and a group of lights obeys the building's network; when it is back, all answer it again, and none joined anew.
#[test]
fn the_manager_goes_away_and_comes_back() {
    let site = Site::new("apart");
    let manager_addr = "[manager]\naddress = \"fd00:b::2\"\n";
    site.write_config("router", manager_addr);
    site.write_config("lowgate", &format!("{manager_addr}[mesh]\nprefix = \"{PREFIX}\"\n"));
    ip(&format!("-n {} route add {PREFIX} via fd00:b::1", site.building));
    let mut mesh = site.serve();
    let run_manager = || {
        let mut it = site.start_in_building(&["manager", "--config", &site.text("lowgate.toml")]);
        it.expect(&format!("mesh {PREFIX}, manager at fd00:b::2"));
        it
    };
    let manager = run_manager();
    let mut router = site.start(&["router", "--config", &site.text("router.toml")]);
    router.expect("device claim");
    claim(&site);
    router.expect("belongs to the domain");
    site.commission();
    wait_for_routes(&site);
    let devices = site.devices();
    for device in &devices {
        assert_eq!(site.pinged(addr(device), 2, 56), 2, "{device}");
    }
    site.expect_answers(Duration::from_secs(10));

    let groups = site.listed(&["group", "list"]);
    let group = groups.iter().max_by_key(|group| members(group, &devices).len()).expect("a group");
    let lights = members(group, &devices);
    assert!(lights.len() >= 3, "{group}");

    drop(manager);
    for value in ["1", "0"] {
        command(&site, group, value);
        expect(&site, &lights, value);
    }
    let until = Instant::now() + AWAY;
    let (mut sent, mut answered) = (0, 0);
    for device in devices.iter().cycle().take_while(|_| Instant::now() < until) {
        sent += 1;
        answered += site.pinged(addr(device), 1, 56);
    }
    let most = 100 * answered >= 99 * sent;
    assert!(sent >= 100 && most, "without a manager {answered} of {sent} answered");
    let _manager = run_manager();
    site.expect_answers(BACK_WITHIN);
    expect_no_findings(&mut mesh);
    let joins = mesh.said.iter().filter(|line| line.contains(" is in at ")).count();
    assert_eq!(joins, DEVICES, "some joined anew");
}
