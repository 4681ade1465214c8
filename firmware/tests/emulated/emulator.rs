//! One emulated machine.
//!
//! # Panics
//! All of it when the emulator does not run, or is silent for [`PATIENCE`].

use crate::air::Air;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// For anything that is awaited: the emulator shares its processor with others.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Of the machine's Ethernet controller, from which the program makes its own address.
const MAC_48: &str = "02:4c:47:00:00:07";
/// That address.
pub(crate) const EUI64: [u8; 8] = [0x02, 0x4c, 0x47, 0xff, 0xfe, 0x00, 0x00, 0x07];

/// As in the firmware's `memory.x`.
const STACK_BOTTOM: u32 = 0x2000_0000;
const STACK_OCTETS: usize = 35 * 1024;
/// What the runtime fills the stack with before the program begins.
const PAINT: [u8; 4] = [0xcc; 4];

/// A running machine. It ends with its owner.
pub(crate) struct Emulator {
    child: Child,
    folder: TempDir,
}

/// The host's end of the first line.
pub(crate) struct Pipes {
    /// To the machine.
    pub(crate) to: File,
    /// From the machine.
    pub(crate) from: File,
}

/// Which build of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Build {
    /// The one that is shipped.
    Shipped,
    /// With mistakes that the radio's end of the line can ask for.
    Planted,
    /// The one that counts its instructions.
    Counting,
}

impl Build {
    pub(crate) fn program(self) -> PathBuf {
        match self {
            Self::Shipped => firmware("rcp-qemu"),
            Self::Counting => firmware("counts-qemu"),
            Self::Planted => within("LOWGATE_FIRMWARE_PLANTED", "rcp-qemu"),
        }
    }

    const fn options(self) -> &'static [&'static str] {
        match self {
            Self::Shipped | Self::Planted => &[],
            // An instruction takes a nanosecond.
            Self::Counting => &["-icount", "shift=0"],
        }
    }
}

/// The program of that name, as it is shipped.
pub(crate) fn firmware(name: &str) -> PathBuf {
    within("LOWGATE_FIRMWARE", name)
}

fn within(variable: &str, name: &str) -> PathBuf {
    let folder = std::env::var_os(variable).expect("`cargo xtask firmware` says where it is");
    Path::new(&folder).join(name)
}

/// Octets of the stack that the program has ever used, of the machine with its monitor in that folder.
pub(crate) fn stack_octets(folder: &Path) -> usize {
    let dump = folder.join("stack");
    let file = dump.display();
    command(
        folder,
        &format!(
            r#"{{"execute":"pmemsave","arguments":{{"val":{STACK_BOTTOM},"size":{STACK_OCTETS},"filename":"{file}"}}}}"#
        ),
    );
    let stack = std::fs::read(&dump).expect("it was written");
    let (words, _) = stack.as_chunks::<4>();
    4 * words.iter().skip_while(|word| **word == PAINT).count()
}

/// One command to the emulator's monitor.
fn command(folder: &Path, command: &str) {
    let stream = UnixStream::connect(folder.join("qmp")).expect("the monitor");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let (mut input, mut lines) = (stream.try_clone().expect("a socket"), BufReader::new(stream));
    let mut answer = || {
        let mut line = String::new();
        lines.read_line(&mut line).expect("the monitor answers");
        line
    };
    assert!(answer().contains("QMP"), "its greeting");
    for command in [r#"{"execute":"qmp_capabilities"}"#, command] {
        writeln!(input, "{command}").expect("the monitor reads");
        let said = answer();
        assert!(said.contains("return"), "to {command}: {said}");
    }
}

impl Emulator {
    /// Power comes on; the far ends of both lines are there already.
    pub(crate) fn start(build: Build) -> (Self, UnixStream, Air) {
        let folder = tempfile::tempdir().expect("a folder");
        let host = UnixListener::bind(folder.path().join("host")).expect("bound");
        let (emulator, air) = Self::run(build, folder, "socket");
        let (host, _) = host.accept().expect("the emulator connects");
        (emulator, host, air)
    }

    /// The same, with a pair of pipes for the host. The emulator writes each octet by itself; of those a
    /// socket holds a few hundred, and while one of them waits, the whole machine stands still.
    pub(crate) fn start_on_pipes(build: Build) -> (Self, Pipes, Air) {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = |name: &str| {
            let path = folder.path().join(name);
            let made = Command::new("mkfifo").arg(&path).status();
            assert!(made.is_ok_and(|status| status.success()), "mkfifo (Debian package coreutils)");
            // Both ways: it is open before the other end is.
            File::options().read(true).write(true).open(path).expect("it was made")
        };
        let pipes = Pipes { to: pipe("host.in"), from: pipe("host.out") };
        let (emulator, air) = Self::run(build, folder, "pipe");
        (emulator, pipes, air)
    }

    fn run(build: Build, folder: TempDir, host: &str) -> (Self, Air) {
        let air = UnixListener::bind(folder.path().join("air")).expect("bound");
        let line = |kind: &str, name: &str| {
            format!("{kind},id={name},path={}", folder.path().join(name).display())
        };
        let monitor = format!("unix:{},server=on,wait=off", folder.path().join("qmp").display());
        let program = build.program();
        let child = Command::new("qemu-system-arm")
            .args(["-M", "lm3s6965evb", "-display", "none", "-nodefaults"])
            .args(["-nic", &format!("user,restrict=on,mac={MAC_48}")])
            .args(["-chardev", &line(host, "host"), "-chardev", &line("socket", "air")])
            .args(["-serial", "chardev:host", "-serial", "chardev:air", "-qmp", &monitor])
            .args(build.options())
            .args([Path::new("-kernel"), &program])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|fault| {
                panic!("qemu-system-arm (Debian package qemu-system-arm): {fault}")
            });
        let (air, _) = air.accept().expect("the emulator connects");
        (Self { child, folder }, Air::new(air))
    }

    /// See [`stack_octets`].
    pub(crate) fn stack_octets(&self) -> usize {
        stack_octets(self.folder.path())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
