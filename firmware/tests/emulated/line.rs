//! A serial line between a host and the emulated machine: no faster than its rate, and damaged on demand.
//!
//! A Unix socket takes any number of octets at once; a wire takes ten bits for each.

use crate::emulator::Pipes;
use lowgate_units::Prng;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Bits of an octet on the wire: start, eight of data, stop.
const BITS_PER_OCTET: u32 = 10;
/// Octets pass in pieces that take a millisecond.
const PIECES_PER_SECOND: usize = 1000;
/// Octets that are not there at once come to an idle wire.
const IDLE_MIN: Duration = Duration::from_micros(200);
/// What a driver of the line may catch up.
const LATENESS_MAX: Duration = Duration::from_millis(5);
/// Of a line that takes no time.
const PIECE_OCTETS_MAX: usize = 4096;
/// So long it is about to.
const FAULT: Duration = Duration::from_millis(5);
/// The most octets that one fault takes away.
const BURST_OCTETS_MAX: u64 = 40;

/// The fault that is about to hit, and how many did.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    due: Mutex<Option<Instant>>,
    done: AtomicU32,
}

impl Faults {
    /// One more now, in whichever direction octets pass. One that finds the line idle hits nothing.
    pub(crate) fn inject(&self) {
        *self.due.lock().expect("nobody panics with it") = Some(Instant::now() + FAULT);
    }

    /// Those that hit something.
    pub(crate) fn done(&self) -> u32 {
        self.done.load(Ordering::Relaxed)
    }

    /// Damages these, if a fault is about to hit.
    fn damage(&self, prng: &mut Prng, octets: &mut Vec<u8>) {
        let due = self.due.lock().expect("nobody panics with it").take();
        if due.is_none_or(|until| until < Instant::now()) {
            return;
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        let at = prng.below(octets.len() as u64) as usize;
        let octet = prng.next_u64().to_le_bytes()[0];
        match prng.below(5) {
            0 => octets[at] ^= 1 << (octet & 7),
            1 => drop(octets.remove(at)),
            2 => octets.insert(at, octet),
            3 => octets.insert(at, octets[at]),
            _ => {
                let end = octets.len().min(at + 1 + prng.below(BURST_OCTETS_MAX) as usize);
                octets.drain(at..end);
            }
        }
    }
}

/// The line. It ends with the machine.
pub(crate) struct Line {
    folder: TempDir,
    pub(crate) faults: Arc<Faults>,
}

impl Line {
    /// From the machine's pipes to a socket that a host opens. `baud`: `None` is as fast as it goes.
    pub(crate) fn open(machine: Pipes, baud: Option<u32>, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("line")).expect("bound");
        let faults = Arc::<Faults>::default();
        let shared = Arc::clone(&faults);
        std::thread::spawn(move || serve(&listener, machine, baud, seed, &shared));
        Self { folder, faults }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("line")
    }

    /// As a host's configuration names it.
    pub(crate) fn url(&self) -> String {
        format!("spinel+hdlc+socket://{}", self.path().display())
    }

    pub(crate) fn connect(&self) -> UnixStream {
        UnixStream::connect(self.path()).expect("the line is open")
    }
}

/// One host after the other.
fn serve(
    listener: &UnixListener,
    machine: Pipes,
    baud: Option<u32>,
    seed: u64,
    faults: &Arc<Faults>,
) {
    let Pipes { mut to, from } = machine;
    let (sender, hosts) = channel::<UnixStream>();
    let mut wire = Wire::new(baud, seed, faults);
    let shared = Arc::clone(faults);
    std::thread::spawn(move || {
        let mut wire = Wire::new(baud, seed ^ 1, &shared);
        let mut host: Option<UnixStream> = None;
        while let Some(octets) = wire.piece(&from) {
            host = hosts.try_iter().last().or(host);
            // What the machine says while no host is there goes nowhere, as on a wire.
            host = host.filter(|mut host| host.write_all(&octets).is_ok());
        }
    });
    while let Ok((host, _)) = listener.accept() {
        if sender.send(host.try_clone().expect("a socket")).is_err() {
            return;
        }
        while let Some(octets) = wire.piece(&host) {
            if to.write_all(&octets).is_err() {
                return;
            }
        }
    }
}

/// One direction.
struct Wire {
    baud: Option<u32>,
    prng: Prng,
    faults: Arc<Faults>,
    /// The wire is busy until then.
    free_at: Instant,
    silence: Silence,
}

impl Wire {
    fn new(baud: Option<u32>, seed: u64, faults: &Arc<Faults>) -> Self {
        Self {
            baud,
            prng: Prng::new(seed),
            faults: Arc::clone(faults),
            free_at: Instant::now(),
            silence: Silence::new(),
        }
    }

    /// What has arrived, after the time that it takes; `None` at the end.
    fn piece(&mut self, mut from: impl Read) -> Option<Vec<u8>> {
        let per_second = self.baud.map(|baud| baud / BITS_PER_OCTET);
        let most =
            per_second.map_or(PIECE_OCTETS_MAX, |octets| octets as usize / PIECES_PER_SECOND);
        let mut octets = vec![0; most];
        let begun = Instant::now();
        let len = from.read(&mut octets).ok().filter(|len| *len > 0)?;
        octets.truncate(len);
        if let Some(per_second) = per_second {
            let takes = Duration::from_secs(1) * len as u32 / per_second;
            // A wire that was idle has no time in hand; one whose driver came late has.
            let in_hand = if begun.elapsed() < IDLE_MIN { LATENESS_MAX } else { Duration::ZERO };
            self.free_at = self.free_at.max(Instant::now() - in_hand) + takes;
            self.silence.until(self.free_at);
        }
        self.faults.damage(&mut self.prng, &mut octets);
        Some(octets)
    }
}

/// Nobody ever speaks here: who waits for a word waits for the time.
pub(crate) struct Silence {
    _speaker: Sender<()>,
    words: Receiver<()>,
}

impl Silence {
    pub(crate) fn new() -> Self {
        let (_speaker, words) = channel();
        Self { _speaker, words }
    }

    pub(crate) fn until(&self, at: Instant) {
        let left = at.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            let _ = self.words.recv_timeout(left); // times out
        }
    }
}
