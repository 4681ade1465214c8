//! A program that somebody else wrote, as the peer of an interop test.

use crate::loopback::PATIENCE;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Instant;

/// A running program. It ends with its owner.
pub struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<(Instant, String)>,
    /// All lines so far, of both of its outputs, in the order in which they came.
    pub said: Vec<String>,
    /// When each of them came.
    pub said_at: Vec<Instant>,
}

impl Program {
    /// Starts `name` with `arguments`.
    ///
    /// # Panics
    /// When there is no such program; `cargo xtask interop` installs those of the tests.
    pub fn start(name: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(name)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{name}: {e}; `cargo xtask interop` installs it"));
        let (sender, lines) = channel();
        forward(child.stdout.take().expect("piped"), sender.clone());
        forward(child.stderr.take().expect("piped"), sender);
        let input = child.stdin.take();
        let (said, said_at) = (Vec::new(), Vec::new());
        Self { name: name.into(), child, input, lines, said, said_at }
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line that contains `text`, and gives it.
    ///
    /// # Panics
    /// When it does not come within [`PATIENCE`].
    pub fn expect(&mut self, text: &str) -> String {
        let started = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(came) => {
                    let line = self.note(came);
                    if line.contains(text) {
                        return line.to_owned();
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    panic!("{} did not say {text:?}, but:\n{}", self.name, self.said.join("\n"))
                }
            }
        }
    }

    /// Whether it ended by itself.
    ///
    /// # Panics
    /// When it is not ours.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Puts all lines that came meanwhile into [`Self::said`].
    pub fn listen(&mut self) {
        while let Ok(came) = self.lines.try_recv() {
            self.note(came);
        }
    }

    fn note(&mut self, (at, line): (Instant, String)) -> &str {
        self.said_at.push(at);
        self.said.push(line);
        self.said.last().expect("just pushed")
    }

    /// Writes a line to the program's input.
    ///
    /// # Panics
    /// When it does not read any more.
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not closed yet");
        // In one piece: it may send on what it reads at once.
        input.write_all(format!("{line}\n").as_bytes()).expect("it reads");
        input.flush().expect("it reads");
    }

    /// Ends the program's input and waits for its end. All that it said is in `said` then.
    ///
    /// # Panics
    /// When it does not end within [`PATIENCE`].
    pub fn finish(&mut self) -> ExitStatus {
        drop(self.input.take());
        let started = Instant::now();
        // Its outputs end when it does.
        loop {
            let left = PATIENCE.saturating_sub(started.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(came) => drop(self.note(came)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} does not end; it said:\n{}", self.name, self.said.join("\n"))
                }
            }
        }
        self.child.wait().expect("it is our child")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(output: impl Read + Send + 'static, lines: Sender<(Instant, String)>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if lines.send((Instant::now(), text)).is_err() {
                return;
            }
            line.clear();
        }
    });
}
