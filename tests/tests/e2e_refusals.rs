//! Purpose: a daemon that cannot start says why and what helps, and has changed nothing.
//! Topology: that of `e2e_linux.rs`, without devices.
//! Criteria: for each obstacle one line on the standard error that names cause and remedy, exit code 2,
//! and a state folder as it was before, down to the octet.

use lowgate_spinel::{
    Command as SpinelCommand, Decoder, Frame, Header, Property, Status, Tid, Writer, encode,
    write_property,
};
use lowgate_tests::kept::Kept;
use lowgate_tests::program::Program;
use lowgate_tests::site::{Site, done, ip, lowgate};
use rusqlite::Connection;
use serialport::{SerialPort, TTYPort};
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

/// Every file and folder below `path`, with mode and content.
fn contents(path: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let Ok(entries) = path.read_dir() else { return BTreeMap::new() };
    let mut all = BTreeMap::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        let mode = fs::symlink_metadata(&path).expect("its mode").permissions().mode();
        all.insert(path.clone(), (mode, fs::read(&path).unwrap_or_default()));
        all.extend(contents(&path));
    }
    all
}

/// The daemon must not start; `words` are in what it says.
fn check(site: &Site, words: &[&str]) {
    check_as(site, &[], words);
}

/// The same, by way of another program.
fn check_as(site: &Site, by: &[&str], words: &[&str]) {
    let exec = ["netns", "exec", &site.router, "timeout", "--signal=KILL", "60"];
    // Where the binary was built not everybody may look.
    let (lowgate, config) = (site.text("lowgate"), site.text("lowgate.toml"));
    fs::copy(self::lowgate(), &lowgate).expect("copied");
    let run = [&lowgate[..], "run", "--config", &config];
    let before = contents(&site.path("state"));
    let there = site.path("state").exists();
    let output = Command::new("ip").args([&exec[..], by, &run].concat()).output();
    let Output { status, stderr, .. } = output.expect("`ip` runs");
    let said = String::from_utf8(stderr).expect("text");
    println!("{said}");
    assert_eq!(status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert_eq!(site.path("state").exists(), there, "the state folder");
    assert!(contents(&site.path("state")) == before, "the state folder changed");
    assert!(!site.path("control.sock").exists(), "a socket is left");
}

/// A site whose daemon ran once and ended properly: it has a domain.
fn settled(name: &str) -> (Site, Program) {
    let site = Site::new(name);
    let mesh = site.serve();
    let mut daemon = site.run();
    daemon.expect("has its keys");
    let pid = daemon.id().to_string();
    done(Command::new("kill").args(["-TERM", &pid]));
    assert!(daemon.finish().success(), "{:?}", daemon.said);
    (site, mesh)
}

/// Something at the other end of the serial line, until nobody has it open.
fn at_the_line(site: &Site, mut talk: impl FnMut(&mut TTYPort, &[u8]) + Send + 'static) {
    let (mut ours, hosts) = TTYPort::pair().expect("a pty");
    let name = hosts.name().expect("it has a name");
    let link = site.path("radio");
    let _ = fs::remove_file(&link);
    symlink(name, link).expect("linked");
    // Opened by another way, without the claim that a host makes.
    let kept = fs::File::open(site.path("radio")).expect("it is there");
    drop(hosts);
    thread::spawn(move || {
        let mut octets = [0; 1024];
        loop {
            match ours.read(&mut octets) {
                Ok(len) => talk(&mut ours, &octets[..len]),
                Err(fault) if fault.kind() == ErrorKind::TimedOut => talk(&mut ours, &[]),
                Err(_) => break,
            }
        }
        drop(kept);
    });
}

#[test]
fn a_missing_port() {
    check(&Site::new("missing"), &["radio does not exist", "plugged in"]);
}

#[test]
fn a_busy_port() {
    let site = Site::new("busy");
    at_the_line(&site, |_, _| {});
    let port = serialport::new(site.text("radio"), 460_800).open_native().expect("it is free");
    check(&site, &["radio is in use by another program", "fuser -v"]);
    drop(port);
}

#[test]
fn a_port_that_says_nothing() {
    let site = Site::new("silent");
    at_the_line(&site, |_, _| {});
    check(&site, &["radio", "nothing answers", "no word of its reset", "ot-rcp"]);
}

#[test]
fn a_port_that_prints() {
    let site = Site::new("prints");
    at_the_line(&site, |line, _| drop(line.write_all(b"login: \r\n")));
    check(&site, &["radio", "is no radio co-processor", "octets came", "baud="]);
}

#[test]
fn a_port_that_echoes() {
    let site = Site::new("echoes");
    at_the_line(&site, |line, octets| drop(line.write_all(octets)));
    check(&site, &["radio", "is no radio co-processor", "octets came", "baud="]);
}

/// A co-processor that starts afresh and answers questions with what `answers` has for them.
fn firmware(site: &Site, answers: impl Fn(Property, Writer) -> Option<Writer> + Send + 'static) {
    let mut decoder = Decoder::<1500>::new();
    at_the_line(site, move |line, octets| {
        for &octet in octets {
            let Some(Ok(content)) = decoder.push(octet) else { continue };
            let Ok(frame) = Frame::parse(content) else { continue };
            let is = |header, property, value: &dyn Fn(Writer) -> Writer| {
                write_property(header, SpinelCommand::PROP_VALUE_IS, property, value)
            };
            let said = match frame.property() {
                _ if frame.command == SpinelCommand::RESET => {
                    let header = Header::new(Tid::NONE);
                    is(header, Property::LAST_STATUS, &|w| w.packed(Status::RESET_SOFTWARE.0))
                }
                Ok((property, _)) if answers(property, Writer::new()).is_some() => {
                    is(frame.header, property, &|w| answers(property, w).expect("it just was"))
                }
                _ => {
                    is(frame.header, Property::LAST_STATUS, &|w| w.packed(Status::PROP_NOT_FOUND.0))
                }
            };
            let octets = encode::<3000>(&said.expect("short")).expect("short");
            drop(line.write_all(&octets));
        }
    });
}

#[test]
fn another_version_of_the_protocol() {
    let site = Site::new("version");
    firmware(&site, |property, w| {
        (property == Property::PROTOCOL_VERSION).then(|| w.packed(5).packed(0))
    });
    check(&site, &["cannot be used", "it speaks Spinel 5", "flash a current ot-rcp"]);
}

#[test]
fn firmware_that_is_no_radio() {
    let site = Site::new("caps");
    firmware(&site, |property, w| match property {
        Property::PROTOCOL_VERSION => Some(w.packed(4).packed(3)),
        Property::CAPS => Some(w.packed(48)),
        _ => None,
    });
    check(&site, &["cannot be used", "no radio co-processor", "flash an ot-rcp"]);
}

#[test]
fn firmware_that_is_too_old() {
    let site = Site::new("old");
    firmware(&site, |property, w| match property {
        Property::PROTOCOL_VERSION => Some(w.packed(4).packed(3)),
        Property::CAPS => Some(w.packed(513)),
        _ => None,
    });
    check(&site, &["cannot be used", "interface level 0 is too old", "flash a current ot-rcp"]);
}

#[test]
fn no_permission_for_the_network() {
    let site = Site::new("rights");
    let _mesh = site.serve();
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o777)).expect("ours");
    let target = fs::canonicalize(site.path("radio")).expect("a pty");
    fs::set_permissions(target, fs::Permissions::from_mode(0o666)).expect("ours");
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let nobody = [&nobody[..], &["--inh-caps=-all", "--bounding-set=-all"]].concat();
    check_as(&site, &nobody, &["CAP_NET_ADMIN"]);
}

#[test]
fn an_interface_of_another_kind() {
    let site = Site::new("kind");
    let _mesh = site.serve();
    ip(&format!("-n {} link add lowgate0 type veth peer name elsewhere", site.router));
    check(&site, &["lowgate0 is a network interface of another kind", "another name"]);
}

#[test]
fn a_prefix_and_addresses_that_are_taken() {
    let (site, _mesh) = settled("taken");
    let domain = Connection::open(site.path("state").join("domain.db")).expect("there");
    let query = "SELECT mesh_prefix, manager_addr FROM domain JOIN pans USING (pan_id)";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (prefix, manager): (String, String) = domain.query_row(query, [], read).expect("a domain");
    domain.close().expect("closed");
    let router = &site.router;
    let address = format!("{prefix}77/64");
    ip(&format!("-n {router} addr add {address} dev up0 nodad"));
    check(&site, &[&format!("{prefix}/64 is in use on up0"), "take it from there"]);
    ip(&format!("-n {router} addr del {address} dev up0"));
    ip(&format!("-n {router} route add {prefix}/64 via fd00:b::2"));
    check(&site, &[&format!("{prefix}/64 is in use on up0"), "take it from there"]);
    ip(&format!("-n {router} route del {prefix}/64"));
    ip(&format!("-n {router} addr add {manager}/128 dev up0 nodad"));
    check(&site, &[&format!("{manager}/128 is in use on up0"), "take it from there"]);
    ip(&format!("-n {router} addr del {manager}/128 dev up0"));
    site.run();
}

#[test]
fn a_second_instance() {
    let site = Site::new("second");
    let _mesh = site.serve();
    let mut daemon = site.run();
    daemon.expect("has its keys");
    let run = [&lowgate()[..], "run", "--config", &site.text("lowgate.toml")];
    let exec = ["netns", "exec", &site.router];
    let output = Command::new("ip").args([&exec[..], &run].concat()).output().expect("`ip` runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("another daemon runs here; stop it first"), "{said}");
    assert!(site.command(&["status"]).contains("mesh prefix"), "the first goes on");
}

#[test]
fn a_database_of_somebody_else() {
    let (site, _mesh) = settled("foreign");
    // Root may open everything, unless he is told not to.
    std::os::unix::fs::chown(site.path("state/domain.db"), Some(65534), None).expect("ours");
    let poor = ["setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner"];
    check_as(&site, &poor, &["domain.db", "Permission denied", "belong to the service's user"]);
}

/// By another process: this one would lose its locks when it looks at the files.
const LOCKS: &str = "import sqlite3, sys\n\
    db = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
    db.execute('BEGIN IMMEDIATE')\n\
    print('locked', flush=True)\n\
    sys.stdin.read()\n";

#[test]
fn a_database_that_is_locked() {
    let (site, _mesh) = settled("locked");
    for name in ["domain.db", "router.db"] {
        let mut other =
            Program::start("python3", &["-c", LOCKS, &site.text(&format!("state/{name}"))]);
        other.expect("locked");
        check(&site, &[name, "locked by another program", "fuser -v"]);
        assert!(other.finish().success(), "{:?}", other.said);
    }
}

#[test]
fn a_database_that_is_damaged() {
    let (site, _mesh) = settled("damaged");
    for name in ["domain.db", "router.db"] {
        let path = site.path("state").join(name);
        let good = fs::read(&path).expect("there");
        let mut bad = good.clone();
        bad[..16].copy_from_slice(b"not a database!!");
        fs::write(&path, &bad).expect("written");
        check(&site, &[name, "is damaged", "put back the last copy"]);
        // A page in the middle, with a header that is whole.
        bad.clone_from(&good);
        bad[4096..4200].fill(0xa5);
        fs::write(&path, &bad).expect("written");
        check(&site, &[name, "is damaged", "put back the last copy"]);
        fs::write(&path, &good).expect("written");
    }
    site.run();
}

/// A disk of its own for the state folder.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Self {
        fs::create_dir_all(path).expect("made");
        let options = ["-t", "tmpfs", "-o", "size=16m,mode=700", "lowgate-test"];
        done(Command::new("mount").args(options).arg(path));
        Self(path.to_owned())
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filling")).expect("made");
        while file.write_all(&[0; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_at_the_start() {
    let site = Site::new("full");
    let _mesh = site.serve();
    let disk = SmallDisk::mount(&site.path("state"));
    disk.fill();
    check(&site, &["no room on the disk", "delete something there"]);
}

#[test]
fn a_disk_that_fills_up() {
    let site = Site::new("filling");
    let disk = SmallDisk::mount(&site.path("state"));
    let _mesh = site.serve();
    let mut daemon = site.run();
    site.commission();
    daemon.expect("is admitted as");
    disk.fill();
    daemon.expect("database or disk is full; see to the disk");
    let status = daemon.finish();
    assert_eq!(status.code(), Some(2), "{:?}", daemon.said);
    let kept = Kept::read(&site.path("state"));
    fs::remove_file(site.path("state/filling")).expect("made above");
    drop(daemon);
    let _daemon = site.run();
    site.all_in();
    Kept::read(&site.path("state")).expect_after(&kept);
}
