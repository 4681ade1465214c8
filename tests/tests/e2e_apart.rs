//! Purpose: border routers and domain manager on machines of their own, with the building's network between.
//! Topology: `lowgate router` in the namespace of the co-processor, `lowgate manager` in that of the
//! building; a mesh of 20 devices.
//! Criteria: with the test. Runs as root, by `cargo xtask e2e`.

use lowgate_tests::outside::{command, expect, members};
use lowgate_tests::program::Program;
use lowgate_tests::site::{
    DEVICES, JOIN_PATIENCE, Site, addr, expect_no_findings, ip, lowgate, wait_for,
};
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

/// A router's claim code goes from its screen to the manager of a site.
fn claim(router: &Site, site: &Site) {
    let config = router.text("router.toml");
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
    claim(&site, &site);
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

/// A few devices, others than on another floor.
fn floor(site: &Site, seed: &str) -> Program {
    let (radio, inventory) = (site.text("radio"), site.text("inventory.csv"));
    let mut arguments = vec!["sim", "serve", "--nodes", "6", "--seed", seed, "--pty", &radio];
    arguments.extend(["--power-interval", "1", "--write-inventory", &inventory, "--faults"]);
    let program = site.start(&arguments);
    wait_for(&site.path("radio"));
    wait_for(&site.path("inventory.csv"));
    program
}

fn all_answer(site: &Site, devices: usize) -> Vec<Value> {
    let deadline = Instant::now() + JOIN_PATIENCE;
    loop {
        let listed = site.devices();
        if listed.len() == devices && listed.iter().all(|it| it["keys_confirmed"] == true) {
            return listed;
        }
        assert!(Instant::now() < deadline, "{listed:#?}");
        sleep(Duration::from_millis(500));
    }
}

/// Topology: another router with a mesh of its own, also behind the manager's machine. Criteria: each router
/// has a PAN and a prefix of its own, the second the next one; every device answers pings and the manager at
/// an address of its mesh; a command to a group that is in both reaches the lights of both.
#[test]
fn two_border_routers() {
    let (site, upper) = (Site::new("lower"), Site::new("upper"));
    let (building, router) = (&site.building, &upper.router);
    ip(&format!("-n {router} link add up1 type veth peer name eth1 netns {building}"));
    ip(&format!("-n {router} addr add fd00:c::1/64 dev up1 nodad"));
    ip(&format!("-n {building} addr add fd00:c::2/64 dev eth1 nodad"));
    ip(&format!("-n {router} link set up1 up"));
    ip(&format!("-n {building} link set eth1 up"));
    // Its own building is not of interest, and has the same addresses.
    ip(&format!("-n {router} link del up0"));
    ip(&format!("-n {router} route add fd00:b::2/128 via fd00:c::2"));
    let next = "fd12:3456:789a:2::/64";
    ip(&format!("-n {building} route add {PREFIX} via fd00:b::1"));
    ip(&format!("-n {building} route add {next} via fd00:c::1"));
    let manager_addr = "[manager]\naddress = \"fd00:b::2\"\n";
    site.write_config("lowgate", &format!("{manager_addr}[mesh]\nprefix = \"{PREFIX}\"\n"));
    let mut manager = site.start_in_building(&["manager", "--config", &site.text("lowgate.toml")]);
    manager.expect("manager at fd00:b::2");
    let mut running = Vec::new();
    for (it, seed) in [(&site, "1"), (&upper, "7")] {
        it.write_config("router", manager_addr);
        let mesh = floor(it, seed);
        let mut router = it.start(&["router", "--config", &it.text("router.toml")]);
        router.expect("device claim");
        claim(it, &site);
        router.expect("belongs to the domain");
        running.push((mesh, router));
    }
    site.commission();
    let inventory = std::fs::read_to_string(upper.path("inventory.csv")).expect("written");
    let devices = inventory.lines().filter(|line| !line.contains("border-router"));
    let text: String = devices.map(|line| format!("{line}\n")).collect();
    std::fs::write(site.path("upper.csv"), text).expect("written");
    site.command(&["device", "import", &site.text("upper.csv")]);
    let devices = all_answer(&site, 12);
    for device in &devices {
        assert_eq!(site.pinged(addr(device), 2, 56), 2, "{device}");
    }
    site.expect_answers(Duration::from_secs(10));
    let status: Value = serde_json::from_str(&site.command(&["status", "--json"])).expect("JSON");
    let pans = status["pans"].as_array().expect("a list");
    let mut prefixes: Vec<_> = pans.iter().filter_map(|pan| pan["mesh_prefix"].as_str()).collect();
    prefixes.sort_unstable();
    assert_eq!(prefixes, [PREFIX, next]);
    assert!(
        pans.iter().all(|pan| pan["members"] == 7 && pan["border_router"].is_string()),
        "{status}"
    );
    let groups = site.listed(&["group", "list"]);
    let group = groups.iter().find(|group| group["id"] == 1).expect("the main lights");
    let lights = members(group, &devices);
    for prefix in ["fd12:3456:789a:1:", "fd12:3456:789a:2:"] {
        assert!(lights.iter().any(|light| addr(light).starts_with(prefix)), "{lights:?}");
    }
    for value in ["1", "0"] {
        site.command(&["group", "send", "1", "light", value]);
        expect(&site, &lights, value);
    }
    running.iter_mut().for_each(|(mesh, _)| expect_no_findings(mesh));
}
