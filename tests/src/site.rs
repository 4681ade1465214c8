//! A building on a real kernel: two network namespaces, the wire between them, the daemon and a
//! simulated mesh. For tests that run as root, by `cargo xtask e2e`.
//!
//! # Panics
//! All of it when a program fails, or what is waited for does not come.

use crate::program::Program;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Devices of the mesh.
pub const DEVICES: usize = 20;
/// For all to be in: they get power one after the other.
pub const JOIN_PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test.
pub fn lowgate() -> String {
    std::env::var("LOWGATE_BIN").expect("`cargo xtask e2e` says where the binary is")
}

/// What a command that must succeed printed.
pub fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {told}");
    output
}

/// `ip` with these arguments.
pub fn ip(arguments: &str) -> Output {
    done(Command::new("ip").args(arguments.split(' ')))
}

/// Two namespaces and the wire between them. They end with their owner.
pub struct Site {
    /// The namespace of the daemon.
    pub router: String,
    /// The namespace of the building's network.
    pub building: String,
    dir: tempfile::TempDir,
}

impl Site {
    /// Both namespaces and the daemon's configuration; nothing runs yet.
    pub fn new(name: &str) -> Self {
        let id = format!("lowgate-{name}-{}", std::process::id());
        let (router, building) = (format!("{id}-r"), format!("{id}-b"));
        let dir = tempfile::tempdir().expect("a folder");
        let site = Self { router, building, dir };
        let (router, building) = (&site.router, &site.building);
        ip(&format!("netns add {router}"));
        ip(&format!("netns add {building}"));
        ip(&format!("-n {router} link add up0 type veth peer name eth0 netns {building}"));
        ip(&format!("-n {router} addr add fd00:b::1/64 dev up0 nodad"));
        ip(&format!("-n {building} addr add fd00:b::2/64 dev eth0 nodad"));
        for (namespace, device) in
            [(router, "up0"), (building, "eth0"), (router, "lo"), (building, "lo")]
        {
            ip(&format!("-n {namespace} link set {device} up"));
        }
        site.in_router("sysctl", &["-q", "-w", "net.ipv6.conf.all.forwarding=1"]);
        site.configure();
        site
    }

    /// A file of this site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The same, as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn configure(&self) {
        self.write_config("lowgate", "");
    }

    /// A configuration under this name, with state and control socket of its own, and `more` in it.
    pub fn write_config(&self, name: &str, more: &str) {
        // The daemon of most tests is the only one.
        let own = |file: &str| match name {
            "lowgate" => self.text(file),
            name => self.text(&format!("{name}-{file}")),
        };
        let config = format!(
            "[radio]\nurl = \"spinel+hdlc+uart://{}\"\n[network]\ninterface = \"lowgate0\"\n\
             [state]\ndir = \"{}\"\n[control]\nsocket = \"{}\"\n{more}",
            self.text("radio"),
            own("state"),
            own("control.sock"),
        );
        std::fs::write(self.path(&format!("{name}.toml")), config).expect("written");
    }

    /// A program that ends, in the router's namespace.
    pub fn in_router(&self, program: &str, arguments: &[&str]) -> Output {
        let exec = ["netns", "exec", &self.router, program];
        done(Command::new("ip").args(exec).args(arguments))
    }

    /// A program that goes on in the router's namespace.
    pub fn start(&self, arguments: &[&str]) -> Program {
        let lowgate = lowgate();
        let exec = ["netns", "exec", &self.router, &lowgate];
        Program::start("ip", &[&exec[..], arguments].concat())
    }

    /// A program that goes on in the namespace of the building's network.
    pub fn start_in_building(&self, arguments: &[&str]) -> Program {
        let lowgate = lowgate();
        let exec = ["netns", "exec", &self.building, &lowgate];
        Program::start("ip", &[&exec[..], arguments].concat())
    }

    /// Each device answers the manager, in its session, before `within` is over.
    pub fn expect_answers(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let config = self.text("lowgate.toml");
        for device in self.devices() {
            let eui64 = device["eui64"].as_str().expect("a name");
            let read = ["device", "read", eui64, "light", "--config", &config];
            while !Command::new(lowgate()).args(read).output().expect("it runs").status.success() {
                assert!(Instant::now() < deadline, "{eui64} does not answer: {device:#}");
                sleep(Duration::from_millis(500));
            }
        }
    }

    /// The co-processor and its mesh; they wait for their host.
    pub fn serve(&self) -> Program {
        let (nodes, radio, inventory) =
            (DEVICES.to_string(), self.text("radio"), self.text("inventory.csv"));
        let mut arguments = vec!["sim", "serve", "--nodes", &nodes, "--pty", &radio];
        arguments.extend(["--power-interval", "1", "--write-inventory", &inventory, "--faults"]);
        let program = self.start(&arguments);
        wait_for(&self.path("radio"));
        wait_for(&self.path("inventory.csv"));
        program
    }

    /// The daemon, once it is up.
    pub fn run(&self) -> Program {
        let mut program = self.start(&["run", "--config", &self.text("lowgate.toml")]);
        program.expect("mesh ");
        program
    }

    /// A command to the daemon; what it prints.
    pub fn command(&self, arguments: &[&str]) -> String {
        let config = self.text("lowgate.toml");
        let output = done(Command::new(lowgate()).args(arguments).args(["--config", &config]));
        String::from_utf8(output.stdout).expect("text")
    }

    /// A listing of the daemon.
    pub fn listed(&self, arguments: &[&str]) -> Vec<Value> {
        let listed = self.command(&[arguments, &["--json"]].concat());
        serde_json::from_str(&listed).expect("a list")
    }

    /// The inventory as the daemon shows it, without the border router.
    pub fn devices(&self) -> Vec<Value> {
        let listed = self.listed(&["device", "list"]);
        listed.into_iter().filter(|device| device["kind"] != "border-router").collect()
    }

    /// The inventory that fits the mesh, without the border router, which the daemon is itself.
    pub fn commission(&self) {
        let all = std::fs::read_to_string(self.path("inventory.csv")).expect("written by serve");
        let groups = all.lines().filter_map(|line| line.rsplit(',').next());
        let groups = groups.flat_map(|groups| groups.split(';'));
        let mut ids: Vec<u16> =
            groups.filter_map(|group| group.split_once(':')?.0.parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            self.command(&["group", "create", &id.to_string(), &format!("group {id}")]);
        }
        let devices = all.lines().filter(|line| !line.contains("border-router"));
        let text: String = devices.map(|line| format!("{line}\n")).collect();
        std::fs::write(self.path("devices.csv"), text).expect("written");
        self.command(&["device", "import", &self.text("devices.csv")]);
        self.command(&["window", "open", "--minutes", "60"]);
    }

    /// Waits until all devices are in, and gives them.
    pub fn all_in(&self) -> Vec<Value> {
        let deadline = Instant::now() + JOIN_PATIENCE;
        loop {
            let devices = self.devices();
            let reachable = devices.iter().filter(|device| device["reachable"] == true).count();
            if reachable == DEVICES {
                return devices;
            }
            assert!(Instant::now() < deadline, "{reachable} of {DEVICES} joined: {devices:#?}");
            sleep(Duration::from_millis(500));
        }
    }

    /// Echo requests from the building's network: how many were answered.
    /// One each second: the border router bounds what one source may send into the mesh.
    pub fn pinged(&self, addr: &str, count: u32, octets: u32) -> u32 {
        let (count, octets) = (count.to_string(), octets.to_string());
        let ping = ["ping", "-6", "-n", "-q", "-W", "3", "-c", &count, "-s", &octets, addr];
        let exec = ["netns", "exec", &self.building];
        let output = Command::new("ip").args(exec).args(ping).output();
        let said = String::from_utf8(output.expect("ping runs").stdout).expect("text");
        let received = said.split(", ").find_map(|part| part.strip_suffix(" received"));
        received.unwrap_or_else(|| panic!("{said}")).parse().expect("a number")
    }

    /// The building's network learns where the mesh is.
    pub fn route_to_mesh(&self) {
        let status: Value = serde_json::from_str(&self.command(&["status", "--json"])).expect("it");
        let prefix =
            status["mesh_prefix"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned();
        ip(&format!("-n {} route replace {prefix} via fd00:b::1", self.building));
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for namespace in [&self.router, &self.building] {
            let _ = Command::new("ip").args(["netns", "del", namespace]).status();
        }
    }
}

/// Waits until there is such a file.
pub fn wait_for(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} does not appear", path.display());
        sleep(Duration::from_millis(20));
    }
}

/// What the checkers of the simulated mesh told: no frame counter used twice, no frame opened twice.
pub fn expect_no_findings(mesh: &mut Program) {
    mesh.listen();
    let findings: Vec<_> = mesh.said.iter().filter(|line| line.contains("finding")).collect();
    assert_eq!(findings, [] as [&String; 0]);
    assert!(mesh.said.iter().any(|line| line.contains(" is in at ")), "nothing was heard at all");
}

/// Where a device is reached.
pub fn addr(device: &Value) -> &str {
    device["addr"].as_str().expect("who is in has an address")
}
