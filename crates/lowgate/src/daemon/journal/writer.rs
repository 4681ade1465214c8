//! The journal's two ends: what the daemon says, and the thread that seals and writes it.

use super::entry::{Beginning, Ending, Entry, Outcome};
use super::seal::{CHUNK_OCTETS_MAX, CHUNK_OVERHEAD_OCTETS, HEADER_OCTETS, Sealer};
use super::{JOURNAL_OCTETS_MAX, key, seal};
use crate::daemon::input::Input;
use lowgate_units::{Entropy, Instant};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread::{self, JoinHandle};
use zeroize::Zeroizing;

/// Entries that may wait for a slow disk.
const WAITING_MAX: usize = 4096;
/// Room for the entry that says that the journal is full.
const LAST_OCTETS_MAX: u64 = 256;

type Octets = Zeroizing<Vec<u8>>;

/// A journal that is being written.
pub(in crate::daemon) struct Journal {
    /// `None` once it ended.
    entries: Option<SyncSender<Octets>>,
    /// Why the thread ended before its time.
    stopped: Receiver<String>,
    too_slow: Option<String>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Begins one at `path`; what is there becomes `path.before`, in the place of the one before.
    ///
    /// # Errors
    /// One line, with the cause and the remedy.
    pub(in crate::daemon) fn begin(
        path: &Path,
        beginning: Beginning,
        entropy: &mut dyn Entropy,
    ) -> Result<Self, String> {
        let key = key::made(&key::beside(path), entropy)?;
        let fault = |fault: io::Error| {
            format!("{}: the journal cannot be written: {fault}", path.display())
        };
        let beside = |suffix| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let (new, before) = (beside(".new"), beside(".before"));
        if path.exists() && !seal::is_journal(path) {
            return Err(format!("{}: a file that is no journal; choose another", path.display()));
        }
        // The older ones stay until this one can be written.
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&new);
        let sealer = file.and_then(|file| Sealer::begin(file, &key, entropy)).map_err(fault)?;
        match fs::rename(path, &before) {
            Err(missing) if missing.kind() == ErrorKind::NotFound => {}
            moved => moved.map_err(fault)?,
        }
        fs::rename(&new, path).map_err(fault)?;
        Ok(Self::start(Sink::new(sealer, JOURNAL_OCTETS_MAX), beginning))
    }

    fn start<W: Write + Send + 'static>(sink: Sink<W>, beginning: Beginning) -> Self {
        let (entries, todo) = sync_channel(WAITING_MAX);
        let (tell, stopped) = channel();
        let thread = thread::spawn(move || work(sink, &todo, &tell));
        let mut journal =
            Self { entries: Some(entries), stopped, too_slow: None, thread: Some(thread) };
        journal.note(&Entry::Begun(beginning));
        journal
    }

    /// The machines are about to learn something.
    pub(in crate::daemon) fn fed(&mut self, at: Instant, input: Input) {
        self.note(&Entry::Fed { at, input });
    }

    /// What came of it.
    pub(in crate::daemon) fn came(&mut self, outcome: Outcome) {
        self.note(&Entry::Came(outcome));
    }

    /// Why the journal ended, once, if it ended before the daemon.
    pub(in crate::daemon) fn warning(&mut self) -> Option<String> {
        let why = self.too_slow.take().or_else(|| self.stopped.try_recv().ok())?;
        // What a slow disk has not taken yet, nobody waits for.
        (self.entries, self.thread) = (None, None);
        Some(format!("the journal ends here, and the daemon goes on: {why}"))
    }

    fn note(&mut self, entry: &Entry) {
        let Some(entries) = &self.entries else { return };
        if let Err(TrySendError::Full(_)) = entries.try_send(entry.emit()) {
            // With a hole nothing after it would be of use.
            self.entries = None;
            self.too_slow = Some("the disk is too slow for it".into());
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(entries) = self.entries.take() {
            // A thread that ended has said why.
            let _ = entries.send(Entry::Ended(Ending::Closed).emit());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where entries go.
struct Sink<W> {
    to: Sealer<W>,
    written: u64,
    octets_max: u64,
}

impl<W: Write> Sink<W> {
    const fn new(to: Sealer<W>, octets_max: u64) -> Self {
        Self { to, written: HEADER_OCTETS as u64, octets_max }
    }

    /// Writes entries, all of them or none; whether there was room.
    fn write(&mut self, entries: &[u8]) -> io::Result<bool> {
        let chunks = entries.chunks(CHUNK_OCTETS_MAX);
        let octets = (entries.len() + chunks.len() * CHUNK_OVERHEAD_OCTETS) as u64;
        if self.written + octets + LAST_OCTETS_MAX > self.octets_max {
            self.to.write(&Entry::Ended(Ending::Full).emit())?;
            return Ok(false);
        }
        self.written += octets;
        for chunk in chunks {
            self.to.write(chunk)?;
        }
        Ok(true)
    }
}

/// Until the daemon ends, or the file is full or refused. What came meanwhile is sealed together.
fn work<W: Write>(mut sink: Sink<W>, todo: &Receiver<Octets>, tell: &Sender<String>) {
    while let Ok(mut entries) = todo.recv() {
        while entries.len() < CHUNK_OCTETS_MAX
            && let Ok(more) = todo.try_recv()
        {
            entries.extend_from_slice(&more);
        }
        let why = match sink.write(&entries) {
            Ok(true) => continue,
            Ok(false) => format!("it has its largest size, {} MiB", sink.octets_max >> 20),
            Err(fault) => fault.to_string(),
        };
        // Nobody is told once the daemon ended.
        let _ = tell.send(why);
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::{Reader, Stop};
    use super::*;
    use lowgate_crypto::Key128;
    use lowgate_units::SeededEntropy;
    use std::sync::{Arc, Mutex};

    /// A file that its writer shares with the test.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics here").extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A disk that takes a little.
    struct Refusing(usize);

    impl Write for Refusing {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(octets.len()).ok_or(ErrorKind::StorageFull)?;
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink<W: Write>(to: W, octets_max: u64) -> Sink<W> {
        let sealer = Sealer::begin(to, &Key128::new([1; 16]), &mut SeededEntropy::new(1));
        Sink::new(sealer.expect("room for a header"), octets_max)
    }

    fn beginning() -> Beginning {
        let (at, program, config) = (Instant::ZERO, String::new(), String::new());
        Beginning { at, program, config, domain: None, flash: None }
    }

    fn feed(journal: &mut Journal, octets: usize) {
        journal.fed(Instant::ZERO, Input::LineOctets(vec![7; octets]));
        journal.came(Outcome::default());
    }

    /// Feeds 2 MB, which no queue is too long for, and waits until the journal ends by itself.
    fn warned(journal: &mut Journal) -> String {
        (0..1500).for_each(|_| feed(journal, 1400));
        let warning = loop {
            match journal.warning() {
                Some(warning) => break warning,
                None => thread::yield_now(),
            }
        };
        feed(journal, 1000);
        assert_eq!(journal.warning(), None, "once");
        warning
    }

    fn entries(file: &Shared) -> (usize, Option<Ending>, Stop) {
        let octets = file.0.lock().expect("nobody panics here");
        let mut reader = Reader::new(&octets[..], &Key128::new([1; 16])).expect("its key");
        let (mut count, mut ending) = (0, None);
        loop {
            match reader.next() {
                Ok(Entry::Ended(why)) => ending = Some(why),
                Ok(_) => count += 1,
                Err(stop) => return (count, ending, stop),
            }
        }
    }

    #[test]
    fn everything_is_there_when_the_daemon_ended() {
        let file = Shared::default();
        let mut journal = Journal::start(sink(file.clone(), 1 << 20), beginning());
        (0..20).for_each(|n| feed(&mut journal, n * 3000));
        drop(journal);
        let read = entries(&file);
        assert!(matches!(read, (41, Some(Ending::Closed), Stop::End)), "{read:?}");
    }

    #[test]
    fn a_full_journal_warns_once_and_says_so_itself() {
        let file = Shared::default();
        let mut journal = Journal::start(sink(file.clone(), 1 << 20), beginning());
        let warning = warned(&mut journal);
        assert!(warning.ends_with("it has its largest size, 1 MiB"), "{warning}");
        drop(journal);
        let len = file.0.lock().expect("nobody panics here").len();
        assert!((900_000..=1 << 20).contains(&len), "{len}");
        let (count, ending, stop) = entries(&file);
        assert!(count > 1000 && matches!(stop, Stop::End), "{count}");
        assert_eq!(ending, Some(Ending::Full));
    }

    #[test]
    fn a_disk_that_is_too_slow_ends_the_journal_and_the_daemon_does_not_wait() {
        let file = Shared::default();
        let mut journal = Journal::start(sink(file.clone(), 1 << 30), beginning());
        let held = file.0.lock().expect("nobody panics here");
        (0..WAITING_MAX).for_each(|_| feed(&mut journal, 100));
        let warning = journal.warning().expect("nothing is written");
        assert!(warning.ends_with("the disk is too slow for it"), "{warning}");
        drop(journal);
        drop(held);
        let (count, ending, stop) = loop {
            // What waited is written, when the disk comes to it.
            match entries(&file) {
                read @ (WAITING_MAX.., ..) => break read,
                _ => thread::yield_now(),
            }
        };
        assert!(count < 2 * WAITING_MAX, "{count}");
        assert!(ending.is_none() && matches!(stop, Stop::End));
    }

    #[test]
    fn a_full_disk_ends_the_journal_and_not_the_daemon() {
        let mut journal = Journal::start(sink(Refusing(10_000), 1 << 20), beginning());
        let warning = warned(&mut journal);
        assert!(warning.starts_with("the journal ends here"), "{warning}");
    }

    #[test]
    fn the_journal_before_is_kept() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("journal");
        let begin =
            || Journal::begin(&path, beginning(), &mut SeededEntropy::new(3)).expect("begun");
        drop(begin());
        let first = fs::read(&path).expect("written");
        let key = key::read(&key::beside(&path)).expect("made");
        drop(begin());
        assert_eq!(fs::read(dir.path().join("journal.before")).expect("kept"), first);
        let mut reader = Reader::open(&path, &key).expect("the same key");
        assert!(matches!(reader.next(), Ok(Entry::Begun(_))));
        let nowhere = Path::new("/nowhere/journal");
        let fault = Journal::begin(nowhere, beginning(), &mut SeededEntropy::new(3)).err();
        assert!(fault.is_some_and(|fault| fault.starts_with("/nowhere/journal")));
    }
}
