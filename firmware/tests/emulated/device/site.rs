//! A building of three rooms in a row: the border router, whose co-processor is emulated, a simulated relay, and a
//! device, emulated too, which the border router does not reach.
//!
//! # Panics
//! All of it when a program fails, or what is waited for does not come.

use crate::emulator::firmware;
use lowgate_device::Settings;
use lowgate_dtls::Psk;
use lowgate_units::{Channel, Eui64};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// For anything that others do who share the processor with the emulators.
const PATIENCE: Duration = Duration::from_secs(60);

/// Eighteen metres and a wall apart: neighbours hear each other well, the ends do not at all.
const BUILDING: &str = r#"
name = "Three rooms"
[radio]
tx_dbm = 0.0
path_loss_exponent = 3.0
wall_db = 8.0
floor_db = 16.0
shadowing_db = 0.0
[[group]]
id = 1
name = "Lights"
[[floor]]
level = 0
name = "Ground floor"
room = [
    { name = "A", x =  0.0, y = 0.0, width = 16.0, depth = 6.0 },
    { name = "B", x = 16.0, y = 0.0, width = 16.0, depth = 6.0 },
    { name = "C", x = 32.0, y = 0.0, width = 16.0, depth = 6.0 },
]
[border_router]
eui64 = "02-12-4b-00-00-00-00-01"
floor = 0
x = 6.0
y = 3.0
[[device]]
eui64 = "02-12-4b-00-00-00-00-02"
floor = 0
x = 24.0
y = 3.0
[[device]]
eui64 = "02-12-4b-00-00-00-00-03"
floor = 0
x = 42.0
y = 3.0
"#;

const HEADER: &str = "eui64,psk,kind,room,groups\n";
const ROUTER_ROW: &str =
    "02-12-4b-00-00-00-00-01,000102030405060708090a0b0c0d0e0f,border-router,A,\n";
/// A command to group 1 reaches the device through the relay, which is in it too.
const DEVICE_ROWS: &str = "\
02-12-4b-00-00-00-00-02,101112131415161718191a1b1c1d1e1f,light,B,1:listener
02-12-4b-00-00-00-00-03,202122232425262728292a2b2c2d2e2f,light,C,1:listener
";
const RELAY: &str = "02-12-4b-00-00-00-00-02";
/// The emulated one.
pub(crate) const DEVICE: &str = "02-12-4b-00-00-00-00-03";

/// The emulated device as its maker knows it, and the inventory.
pub(crate) fn settings() -> Settings {
    let psk: Vec<u8> = (0x20..0x30).collect();
    let eui64 = [0x02, 0x12, 0x4b, 0, 0, 0, 0, 3];
    Settings {
        eui64: Eui64(eui64),
        channels: Channel::new(15).into_iter().collect(),
        identity: eui64.into_iter().collect(),
        psk: Psk::new(&psk).expect("16 octets"),
    }
}

/// A program that runs. It ends with its owner.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace. It ends with its owner.
struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// The building at work. Programs end before the namespace does.
pub(crate) struct Site {
    _programs: Vec<Running>,
    namespace: Namespace,
    folder: TempDir,
}

fn lowgate() -> String {
    std::env::var("LOWGATE_BIN").expect("`cargo xtask firmware` says where the binary is")
}

fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {told}");
    output
}

impl Site {
    /// Simulator, co-processor and daemon run; the relay is in, the device has no power yet.
    pub(crate) fn new() -> Self {
        let name = format!("lowgate-device-{}", std::process::id());
        done(Command::new("ip").args(["netns", "add", &name]));
        let namespace = Namespace(name);
        let folder = tempfile::tempdir().expect("a folder");
        let mut site = Self { _programs: Vec::new(), namespace, folder };
        done(Command::new("ip").args(["-n", &site.namespace.0, "link", "set", "lo", "up"]));
        let write = |name: &str, text: &str| {
            std::fs::write(site.path(name), text).expect("written");
        };
        write("building.toml", BUILDING);
        write("inventory.csv", &format!("{HEADER}{ROUTER_ROW}{DEVICE_ROWS}"));
        write("devices.csv", &format!("{HEADER}{DEVICE_ROWS}"));
        let (host, state, control) = (site.text("host"), site.text("state"), site.text("control"));
        write(
            "lowgate.toml",
            &format!(
                "[radio]\nurl = \"spinel+hdlc+socket://{host}\"\n[network]\ninterface = \"lowgate0\"\n\
                 [state]\ndir = \"{state}\"\n[control]\nsocket = \"{control}\"\n"
            ),
        );
        site.simulate();
        site.emulate_co_processor();
        site.route();
        site.commission();
        site
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Where the simulator has the device's radio.
    pub(crate) fn air(&self) -> PathBuf {
        self.path("air-device")
    }

    fn run(&mut self, program: &mut Command, log: &str) {
        let log = std::fs::File::create(self.path(log)).expect("made");
        let copy = log.try_clone().expect("a file");
        let child = program.stdin(Stdio::null()).stdout(log).stderr(copy).spawn();
        let child = child.unwrap_or_else(|fault| panic!("{program:?}: {fault}"));
        self._programs.insert(0, Running(child));
    }

    fn simulate(&mut self) {
        let (building, inventory) = (self.text("building.toml"), self.text("inventory.csv"));
        let radio = |eui64: &str, name: &str| format!("{eui64}=unix:{}", self.text(name));
        let router = radio("02-12-4b-00-00-00-00-01", "air-router");
        let device = radio(DEVICE, "air-device");
        let mut command = Command::new(lowgate());
        command.args(["sim", "serve", "--building", &building, "--inventory", &inventory]);
        command.args(["--radio", &router, "--radio", &device, "--power-interval", "1"]);
        self.run(&mut command, "simulator.log");
        wait_for(&self.path("air-device"));
    }

    fn emulate_co_processor(&mut self) {
        let (host, air) = (self.text("host"), self.text("air-router"));
        let mut command = Command::new("qemu-system-arm");
        command.args(["-M", "lm3s6965evb", "-display", "none", "-nodefaults"]);
        command.args(["-nic", "user,restrict=on,mac=02:4c:47:00:00:08"]);
        let host = format!("socket,id=host,path={host},server=on,wait=off");
        command.args(["-chardev", &host, "-serial", "chardev:host"]);
        command.args(["-chardev", &format!("socket,id=air,path={air}"), "-serial", "chardev:air"]);
        command.arg("-kernel").arg(firmware("rcp-qemu"));
        self.run(&mut command, "co-processor.log");
        wait_for(&self.path("host"));
    }

    fn route(&mut self) {
        let (lowgate, config) = (lowgate(), self.text("lowgate.toml"));
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace.0, &lowgate, "run", "--config", &config]);
        self.run(&mut command, "daemon.log");
        self.wait_until("the daemon is up", |site| site.said("daemon.log").contains("mesh "));
    }

    fn commission(&self) {
        self.command(&["group", "create", "1", "Lights"]);
        self.command(&["device", "import", &self.text("devices.csv")]);
        self.command(&["window", "open", "--minutes", "60"]);
        self.wait_until("the relay is in", |site| {
            let took = format!("{RELAY} is in at");
            site.said("simulator.log").contains(&took)
        });
    }

    /// A command to the daemon; what it prints.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let config = self.text("lowgate.toml");
        let output = done(Command::new(lowgate()).args(arguments).args(["--config", &config]));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Echo requests from the daemon's host: how many were answered.
    pub(crate) fn pinged(&self, addr: &str, count: u32) -> u32 {
        let count = count.to_string();
        let ping = ["ping", "-6", "-n", "-q", "-W", "5", "-c", &count, addr];
        let exec = ["netns", "exec", &self.namespace.0];
        let output = Command::new("ip").args(exec).args(ping).output().expect("ping runs");
        let said = String::from_utf8(output.stdout).expect("text");
        let received = said.split(", ").find_map(|part| part.strip_suffix(" received"));
        received.unwrap_or_else(|| panic!("{said}")).parse().expect("a number")
    }

    /// What a program said so far.
    pub(crate) fn said(&self, log: &str) -> String {
        std::fs::read_to_string(self.path(log)).unwrap_or_default()
    }

    /// What the simulator's checkers told: no frame counter used twice, by nobody.
    pub(crate) fn expect_no_findings(&self) {
        let said = self.said("simulator.log");
        assert!(!said.contains("finding"), "{said}");
    }

    fn wait_until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            let logs =
                ["simulator.log", "daemon.log", "co-processor.log"].map(|log| self.said(log));
            assert!(Instant::now() < deadline, "{what}: never came\n{}", logs.join("\n"));
            sleep(Duration::from_millis(100));
        }
    }
}

fn wait_for(path: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < deadline, "{} does not appear", path.display());
        sleep(Duration::from_millis(20));
    }
}
