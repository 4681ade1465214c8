//! Purpose: the Debian package does in a fresh Debian what it says, and its unit's sandbox lets the daemon do
//! its work.
//! Topology: a container with a Debian of its own, whose first process is its own systemd, in a network
//! namespace of its own; in it the daemon as its unit starts it, and `lowgate sim serve` as its radio.
//! Criteria: with each test. Runs as root, by `cargo xtask package`.

use lowgate_tests::program::Program;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

const DEVICES: usize = 8;
/// For all to be in: they get power one after the other.
const JOIN_PATIENCE: Duration = Duration::from_secs(90);
const BOOT_PATIENCE: Duration = Duration::from_secs(60);
/// `systemd-analyze security`, 0 to 100: today's figure is 19.
const EXPOSURE_MAX: &str = "--threshold=20";

/// The unit as it is, but with a watchdog that is quicker than the trial.
const DROP_IN: &str = "[Service]\nWatchdogSec=4\n";
/// What a dongle would be. Systemd allows each service its ptys, so the unit is none the wider for it.
const RADIO: &str = "[Service]\nExecStart=/usr/bin/lowgate sim serve --nodes 8 --seed 3 --pty /run/radio \
                     --power-interval 1 --write-inventory /run/inventory.csv\n";

/// What the sandbox must refuse: each line fails, or is told.
const PROBE: &str = "\
(: >/etc/lowgate/x) 2>/dev/null && echo writes /etc/lowgate
(: >/usr/x) 2>/dev/null && echo writes /usr
(: >/run/x) 2>/dev/null && echo writes /run
ls /home/keeper >/dev/null 2>&1 && echo reads /home
(: >/dev/trial) 2>/dev/null && echo opens a device of others
ls /proc/1 >/dev/null 2>&1 && echo sees other processes
unshare --net true 2>/dev/null && echo makes namespaces
unshare --user true 2>/dev/null && echo makes user namespaces
mount -t tmpfs x /tmp 2>/dev/null && echo mounts
dmesg >/dev/null 2>&1 && echo reads the kernel log
(: <>/dev/net/tun) || echo cannot open /dev/net/tun
(: >/var/lib/lowgate/x) || echo cannot write its state
(: >/run/lowgate/x) || echo cannot write its socket
rm -f /var/lib/lowgate/x /run/lowgate/x
echo probed
";

fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("`cargo xtask package` says {name}"))
}

fn output(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|fault| panic!("{command:?}: {fault}"))
}

fn done(command: &mut Command) -> String {
    let output = output(command);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{said}\n{told}", output.status);
    said
}

fn wait_until(what: &str, patience: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        sleep(Duration::from_millis(200));
    }
}

/// A fresh Debian that its own systemd has booted. It ends with its owner.
struct Debian {
    dir: tempfile::TempDir,
    /// The container's part of the control groups, in the second version of their interface, where each
    /// container may say which devices its services open.
    group: PathBuf,
    container: Program,
    /// Its systemd, as this machine numbers it.
    init: String,
}

impl Debian {
    fn boot() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().display().to_string();
        done(Command::new("tar").args(["-xf", &given("LOWGATE_DEBIAN_ROOT"), "-C", &path]));
        let mounts = fs::read_to_string("/proc/mounts").expect("Linux");
        let mount = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let (folder, kind) = (words.next()?, words.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(folder))
        });
        let group =
            mount.expect("a mounted cgroup2").join(format!("lowgate-{}", std::process::id()));
        fs::create_dir_all(&group).expect("root may");
        let script = format!(
            "echo $$ >{}/cgroup.procs && SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn --boot \
             --register=no --keep-unit --console=pipe --private-network \
             --capability=CAP_BPF --system-call-filter=bpf --directory={path}",
            group.display()
        );
        let container = Program::start("sh", &["-c", &script]);
        let mut debian = Self { dir, group, container, init: String::new() };
        wait_until("the container has a first process", BOOT_PATIENCE, || debian.find_init());
        wait_until("the container has booted", BOOT_PATIENCE, || {
            let state = output(&mut debian.command("systemctl", &["is-system-running"]));
            state.stdout.starts_with(b"running")
        });
        // As udev leaves it; a container has none.
        debian.does("chmod 0666 /dev/net/tun");
        debian
    }

    fn find_init(&mut self) -> bool {
        let nspawn = self.container.id();
        let children = format!("/proc/{nspawn}/task/{nspawn}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let named = |id: &&str| {
            let name = fs::read_to_string(format!("/proc/{id}/comm"));
            name.is_ok_and(|name| name.trim() == "systemd")
        };
        self.init = children.split_whitespace().find(named).unwrap_or_default().to_owned();
        !self.init.is_empty()
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.dir.path().join(inside.trim_start_matches('/'))
    }

    /// A program of the container, in it.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.init, "--all", "--", program]).args(arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        command
    }

    fn does(&self, line: &str) -> String {
        done(&mut self.command("sh", &["-c", line]))
    }

    /// A file of the container's /run, which is a file system of its own.
    fn write(&self, path: &str, text: &str) {
        self.does(&format!("mkdir -p $(dirname {path}); cat >{path} <<'EOF'\n{text}EOF"));
    }

    fn unit(&self, property: &str) -> String {
        let shown = self.does(&format!("systemctl show --value --property={property} lowgate"));
        shown.trim().to_owned()
    }

    fn install(&self) {
        fs::copy(given("LOWGATE_DEB_AMD64"), self.path("/root/lowgate.deb")).expect("it was built");
        self.does("dpkg --install /root/lowgate.deb");
    }

    /// What `lowgate init` writes, with the simulated radio.
    fn configure(&self) {
        self.does("lowgate init");
        self.does("sed -i 's,^url = .*,url = \"spinel+hdlc+uart:///run/radio\",' /etc/lowgate/lowgate.toml");
        self.write("/run/systemd/system/radio.service", RADIO);
        self.write("/run/systemd/system/lowgate.service.d/trial.conf", DROP_IN);
        self.does("systemctl daemon-reload && systemctl start radio");
        wait_until("the radio is there", BOOT_PATIENCE, || {
            let made =
                self.command("test", &["-e", "/run/radio", "-a", "-e", "/run/inventory.csv"]);
            output(&mut { made }).status.success()
        });
        self.does(
            "chgrp dialout $(readlink -f /run/radio) && chmod 0660 $(readlink -f /run/radio)",
        );
    }

    /// The inventory that fits the mesh, without the border router, which the daemon is itself.
    fn commission(&self) {
        let all = self.does("cat /run/inventory.csv");
        let groups = all.lines().filter_map(|line| line.rsplit(',').next());
        let groups = groups.flat_map(|groups| groups.split(';'));
        let mut ids: Vec<u16> =
            groups.filter_map(|group| group.split_once(':')?.0.parse().ok()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.iter().for_each(|id| drop(self.does(&format!("lowgate group create {id} group-{id}"))));
        self.does(
            "grep -v border-router /run/inventory.csv >/root/devices.csv && \
             lowgate device import /root/devices.csv && lowgate window open",
        );
    }

    fn wait_for_devices(&self) {
        wait_until("all devices are in", JOIN_PATIENCE, || {
            let listed: Value =
                serde_json::from_str(&self.does("lowgate device list --json")).expect("a list");
            let devices = listed.as_array().expect("a list").iter();
            let devices = devices.filter(|device| device["kind"] != "border-router");
            devices.filter(|device| device["reachable"] == true).count() == DEVICES
        });
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = ["--no-pager", "--unit=lowgate", "--unit=radio", "--unit=probe"];
            let told = self.command("journalctl", &journal).output();
            eprintln!(
                "{}",
                String::from_utf8_lossy(&told.map_or_else(|_| Vec::new(), |told| told.stdout))
            );
        }
        let _ = self.command("systemctl", &["--force", "--force", "poweroff"]).output();
        let process = PathBuf::from(format!("/proc/{}", self.init));
        let deadline = Instant::now() + Duration::from_secs(10);
        while process.exists() && Instant::now() < deadline {
            sleep(Duration::from_millis(100));
        }
        let folders = ["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
        let _ = Command::new("find").arg(&self.group).args(folders).output();
    }
}

fn expect_installed(debian: &Debian) {
    for (file, mode) in [
        ("/usr/bin/lowgate", "755 root root"),
        ("/lib/systemd/system/lowgate.service", "644 root root"),
        ("/lib/udev/rules.d/70-lowgate.rules", "644 root root"),
        ("/usr/share/man/man1/lowgate-device-import.1.gz", "644 root root"),
        ("/usr/share/man/man5/lowgate.toml.5.gz", "644 root root"),
        ("/usr/share/bash-completion/completions/lowgate", "644 root root"),
        ("/usr/share/doc/lowgate/copyright", "644 root root"),
        ("/usr/share/doc/lowgate/third-party.txt", "644 root root"),
    ] {
        assert_eq!(debian.does(&format!("stat -c '%a %U %G' {file}")).trim(), mode, "{file}");
    }
    let user = debian.does("getent passwd lowgate");
    assert!(user.trim().ends_with(":/var/lib/lowgate:/usr/sbin/nologin"), "{user}");
    let conffiles = debian.does("dpkg-query --show --showformat '${Conffiles}' lowgate");
    assert_eq!(conffiles, "", "the configuration is the operator's, not the package's");
    debian.does("systemd-analyze verify --man=no lowgate.service");
    debian.does(&format!("systemd-analyze security --offline=true {EXPOSURE_MAX} lowgate.service"));
    let wrong = debian.does("bash -n /usr/share/bash-completion/completions/lowgate 2>&1");
    assert_eq!(wrong, "");
}

/// The daemon's process is what the unit says, by the kernel's own account of it.
fn expect_confined(debian: &Debian) {
    let status = debian.does(&format!("cat /proc/{}/status", debian.unit("MainPID")));
    let user = debian.does("id -u lowgate");
    for (name, value) in [
        ("CapEff", "0000000000001000"), // CAP_NET_ADMIN
        ("CapBnd", "0000000000001000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Uid", &[user.trim(); 4].join("\t")),
    ] {
        assert!(status.contains(&format!("{name}:\t{value}\n")), "{name} {value}: {status}");
    }
    let modes = debian.does("stat -c '%a %U %G' /run/lowgate/control.sock /var/lib/lowgate");
    assert_eq!(modes, "660 lowgate lowgate\n700 lowgate lowgate\n");
    // The same unit with another program in it.
    let unit = debian.does("cat /lib/systemd/system/lowgate.service");
    let probe = unit
        .replace("Type=notify", "Type=oneshot")
        .replace("Restart=on-failure", "Restart=no")
        .replace("/usr/bin/lowgate run", "/bin/sh /usr/local/probe");
    // Its folder in /run would go with it.
    let probe = format!("{probe}\n[Service]\nRuntimeDirectoryPreserve=yes\n");
    debian.write("/usr/local/probe", PROBE);
    debian.write("/run/systemd/system/probe.service", &probe);
    // A device that anybody may write to, unless his unit forbids it.
    debian.does("mknod -m 0666 /dev/trial c 1 11 && runuser -u lowgate -- sh -c ': >/dev/trial'");
    debian.does("systemctl daemon-reload && systemctl start probe");
    let said = debian.does("journalctl --unit=probe --output=cat _COMM=sh");
    assert_eq!(said, "probed\n", "what the sandbox lets through, or does not");
}

/// Criteria: installed, nothing runs without a configuration; with one, systemd hears that the daemon is
/// ready, devices join, its group may command it and others may not, its watchdog is content; removed, it
/// stops and keeps state and configuration; purged, nothing is left.
#[test]
fn the_package_installs_works_and_goes() {
    let debian = Debian::boot();
    debian.install();
    expect_installed(&debian);
    assert_eq!(debian.does("systemctl is-enabled lowgate").trim(), "enabled");
    assert_eq!(
        (debian.unit("ActiveState"), debian.unit("ConditionResult")),
        ("inactive".into(), "no".into())
    );

    debian.configure();
    debian.does(
        "adduser --quiet --disabled-password --gecos '' keeper && adduser --quiet keeper lowgate",
    );
    debian.does("adduser --quiet --disabled-password --gecos '' visitor");
    debian.does("systemctl start lowgate");
    assert_eq!(
        (debian.unit("ActiveState"), debian.unit("Type")),
        ("active".into(), "notify".into())
    );
    let status = debian.unit("StatusText");
    assert!(status.contains("on lowgate0"), "{status}");
    expect_confined(&debian);

    debian.commission();
    debian.wait_for_devices();
    debian.does("runuser -u keeper -- lowgate status --json");
    let refused =
        output(&mut debian.command("runuser", &["-u", "visitor", "--", "lowgate", "status"]));
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");

    // Joining took longer than the watchdog waits.
    let since = "echo $(($(cut -d. -f1 /proc/uptime) - $(systemctl show --value \
                 --property=ActiveEnterTimestampMonotonic lowgate) / 1000000))";
    let seconds: u64 = debian.does(since).trim().parse().expect("a number");
    assert!(seconds > 4, "{seconds}");
    assert_eq!(
        (debian.unit("ActiveState"), debian.unit("NRestarts")),
        ("active".into(), "0".into())
    );

    debian.does("dpkg --remove lowgate");
    debian.does("! systemctl is-active --quiet lowgate && ! test -e /sys/class/net/lowgate0");
    debian.does("! test -e /usr/bin/lowgate && ! test -e /run/lowgate");
    debian.does(
        "test -s /etc/lowgate/lowgate.toml && test -s /var/lib/lowgate/domain.db && id lowgate",
    );
    debian.does("dpkg --purge lowgate");
    debian.does("! test -e /etc/lowgate && ! test -e /var/lib/lowgate");
    debian.does("! getent passwd lowgate && ! getent group lowgate");
    let left =
        debian.does("find / -xdev -iname '*lowgate*' -not -path '/root/*' -not -path '/proc/*'");
    assert_eq!(left, "", "left behind");
}

/// Criteria: the program of the other architecture, under an emulator: it runs, writes a configuration, and
/// the whole of the protocols holds in virtual time.
#[test]
fn the_arm64_program_passes_its_self_test() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    done(Command::new("dpkg-deb").args(["--extract", &given("LOWGATE_DEB_ARM64"), &path("")]));
    let architecture = Path::new("/usr/aarch64-linux-gnu");
    let lowgate = |arguments: &[&str]| {
        let mut command = Command::new("qemu-aarch64");
        command.arg("-L").arg(architecture).arg(path("usr/bin/lowgate")).args(arguments);
        done(command.current_dir(lowgate_tests::workspace_root()))
    };
    assert!(lowgate(&["--version"]).starts_with("lowgate "));
    lowgate(&["init", &path("lowgate.toml")]);
    let written = fs::read_to_string(path("lowgate.toml")).expect("written");
    assert_eq!(written, lowgate::daemon::config::TEMPLATE);
    lowgate(&["demo", "--report", &path("demo.html")]);
    assert!(fs::metadata(path("demo.html")).is_ok_and(|page| page.len() > 10_000));
}
