//! An emulated device: its console, its air with somebody who listens, and its storage.
//!
//! # Panics
//! All of it when the emulator does not run, or what is awaited does not come.

use super::storage::Flash;
use crate::emulator::firmware;
use lowgate_ieee802154::{Format, Frame, KeyId};
use lowgate_mac::RadioCommand;
use lowgate_rcp::air::{AirDecoder, ToRadio};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Frame counters that a device has used, over all of its lives: how many, and the last under each key.
#[derive(Clone, Default)]
pub(crate) struct Counters(Arc<Mutex<BTreeMap<u8, (u32, u32)>>>);

impl Counters {
    /// The device hands a frame to its radio.
    fn note(&self, psdu: &[u8]) {
        let Ok(Frame::Addressed(frame)) = Frame::parse(psdu) else { return };
        let Format::Secured(header) = frame.format else { return };
        let KeyId::Index(key) = header.key_id else { panic!("{:?}", header.key_id) };
        let mut used = self.0.lock().expect("nobody panics with it");
        let (count, last) = used.entry(key.raw()).or_insert((0, 0));
        let counter = header.counter.0;
        assert!(*count == 0 || counter > *last, "counter {counter} after {last} under {key:?}");
        (*count, *last) = (*count + 1, counter);
    }

    /// Frames sealed so far. A counter that came twice was a panic of the thread that saw it, and of this one.
    pub(crate) fn frames(&self) -> u32 {
        self.0.lock().expect("every counter came once").values().map(|(count, _)| count).sum()
    }
}

/// One life of a device. It ends with its owner, as by a loss of power.
pub(crate) struct Device {
    child: Child,
    folder: TempDir,
    console: UnixStream,
    lines: Receiver<String>,
    /// What it said so far.
    pub(crate) said: Vec<String>,
    dark: Receiver<()>,
}

impl Device {
    /// Power comes on. `air` is where the simulator has its radio.
    pub(crate) fn start(program: &str, flash: &Flash, air: &Path, counters: &Counters) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listen = |name: &str| UnixListener::bind(folder.path().join(name)).expect("bound");
        let ends = [listen("console"), listen("air"), listen("storage")];
        let line =
            |name: &str| format!("socket,id={name},path={}", folder.path().join(name).display());
        let monitor = format!("unix:{},server=on,wait=off", folder.path().join("qmp").display());
        let mut command = Command::new("qemu-system-arm");
        command.args(["-M", "lm3s6965evb", "-display", "none", "-nodefaults", "-qmp", &monitor]);
        for name in ["console", "air", "storage"] {
            command.args(["-chardev", &line(name), "-serial", &format!("chardev:{name}")]);
        }
        let child = command
            .arg("-kernel")
            .arg(firmware(program))
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|fault| {
                panic!("qemu-system-arm (Debian package of that name): {fault}")
            });
        let [console, machine, storage] = ends.map(|end| end.accept().expect("it connects").0);
        let (tell, dark) = channel();
        flash.serve(storage, tell);
        tap(machine, UnixStream::connect(air).expect("the simulator listens"), counters.clone());
        let lines = read_lines(console.try_clone().expect("a socket"));
        Self { child, folder, console, lines, said: Vec::new(), dark }
    }

    /// Where its monitor is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for a line with `text` in it, and gives it.
    pub(crate) fn expect(&mut self, text: &str, patience: Duration) -> String {
        self.wait_for(text, patience)
            .unwrap_or_else(|| panic!("it did not say {text:?}, but:\n{}", self.said.join("\n")))
    }

    /// The same, if it did not say so before.
    pub(crate) fn expect_ever(&mut self, text: &str, patience: Duration) {
        if !self.said.iter().any(|line| line.contains(text)) {
            self.expect(text, patience);
        }
    }

    fn wait_for(&mut self, text: &str, patience: Duration) -> Option<String> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(text) {
                        return Some(line);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Presses the button, or lets it go.
    pub(crate) fn press(&mut self, is_pressed: bool) {
        self.console.write_all(if is_pressed { b"+" } else { b"-" }).expect("the emulator reads");
    }

    /// Whether the power failed within that time.
    pub(crate) fn went_dark(&self, patience: Duration) -> bool {
        self.dark.recv_timeout(patience).is_ok()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(console: UnixStream) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(console).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Passes everything on, both ways, and looks at what the device sends.
fn tap(device: UnixStream, simulator: UnixStream, counters: Counters) {
    let (mut from_device, mut to_device) = (device.try_clone().expect("a socket"), device);
    let (mut from_simulator, mut to_simulator) =
        (simulator.try_clone().expect("a socket"), simulator);
    thread::spawn(move || {
        let (mut decoder, mut octets) = (AirDecoder::new(), [0; 4096]);
        while let Ok(len @ 1..) = from_device.read(&mut octets) {
            for octet in &octets[..len] {
                let Some(message) = decoder.push(*octet) else { continue };
                let said = ToRadio::parse(message.expect("this line damages nothing"));
                if let Ok(ToRadio::Command(RadioCommand::Transmit { psdu, .. })) = said {
                    counters.note(&psdu);
                }
            }
            if to_simulator.write_all(&octets[..len]).is_err() {
                break;
            }
        }
        let _ = to_simulator.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let mut octets = [0; 4096];
        while let Ok(len @ 1..) = from_simulator.read(&mut octets) {
            if to_device.write_all(&octets[..len]).is_err() {
                return;
            }
        }
    });
}
