//! Several runs at a time, each on a thread of its own.
//!
//! **Invariant:** what comes of a run is handed on in the order of the seeds; threads share nothing but how
//! far they are.

use lowgate_sim::scenario::{Outcome, Run, RunOptions as RunKeeps, Scenario};
use lowgate_sim::world::World;
use lowgate_units::Instant;
use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// How often the progress is drawn.
const DRAWN_EVERY: Duration = Duration::from_millis(250);

/// A run that is over.
pub(super) struct Ended {
    /// Its seed.
    pub(super) seed: u64,
    /// What came of it, or what a bug said when it ended the run.
    pub(super) outcome: Result<Outcome, String>,
    /// Of real time.
    pub(super) took: Duration,
}

impl Ended {
    pub(super) fn is_good(&self) -> bool {
        self.outcome.as_ref().is_ok_and(Outcome::is_good)
    }
}

/// The runs, and how far they are.
pub(super) struct Pool<'s> {
    scenario: &'s Scenario,
    keep: RunKeeps,
    seeds: &'s [u64],
    /// Sees each world when its run is over.
    at_end: &'s (dyn Fn(&World) + Sync),
    next: AtomicUsize,
    /// Of all runs together, in microseconds.
    virtual_time: AtomicU64,
    /// Nobody wants to know any more.
    stopped: AtomicBool,
}

impl<'s> Pool<'s> {
    pub(super) fn new(
        scenario: &'s Scenario,
        keep: RunKeeps,
        seeds: &'s [u64],
        at_end: &'s (dyn Fn(&World) + Sync),
    ) -> Self {
        Self {
            scenario,
            keep,
            seeds,
            at_end,
            next: AtomicUsize::new(0),
            virtual_time: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Performs all runs, so many at a time; `take` gets each in the order of the seeds, and ends it all
    /// with an error.
    pub(super) fn perform(
        &self,
        jobs: usize,
        mut take: impl FnMut(Ended) -> io::Result<()>,
    ) -> io::Result<()> {
        let (give, ended) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..jobs.min(self.seeds.len()) {
                let give = give.clone();
                scope.spawn(move || self.work(&give));
            }
            drop(give);
            let mut waiting = BTreeMap::new();
            let mut line = Line::begin(self);
            let mut due = 0;
            loop {
                match ended.recv_timeout(DRAWN_EVERY) {
                    Ok((index, run)) => _ = waiting.insert(index, run),
                    Err(RecvTimeoutError::Timeout) => line.draw(due),
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
                while let Some(run) = waiting.remove(&due) {
                    due += 1;
                    line.clear();
                    if let Err(fault) = take(run) {
                        self.stopped.store(true, Ordering::Relaxed);
                        return Err(fault);
                    }
                }
            }
        })
    }

    fn work(&self, give: &Sender<(usize, Ended)>) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(seed) = self.seeds.get(index).copied() else { return };
            let ended = watched(seed, || {
                let mut run = Run::new(self.scenario, seed, self.keep);
                let mut before = Instant::ZERO;
                while !self.stopped.load(Ordering::Relaxed) && run.go_on() {
                    let now = run.world().now();
                    let passed = now.since(before).as_micros() as u64;
                    self.virtual_time.fetch_add(passed, Ordering::Relaxed);
                    before = now;
                }
                (self.at_end)(run.world());
                run.end()
            });
            if give.send((index, ended)).is_err() {
                return;
            }
        }
    }
}

/// A run whose bugs end it, and nothing else.
fn watched(seed: u64, run: impl FnOnce() -> Outcome) -> Ended {
    let started = std::time::Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(run)).map_err(|panic| said(panic.as_ref()));
    Ended { seed, outcome, took: started.elapsed() }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a word").to_owned()
}

/// How far it is, on a terminal: one line that draws itself anew.
struct Line<'p> {
    pool: &'p Pool<'p>,
    started: std::time::Instant,
    on_terminal: bool,
    drawn: bool,
}

impl<'p> Line<'p> {
    fn begin(pool: &'p Pool<'p>) -> Self {
        let on_terminal = io::stderr().is_terminal();
        Self { pool, started: std::time::Instant::now(), on_terminal, drawn: false }
    }

    fn draw(&mut self, over: usize) {
        if !self.on_terminal {
            return;
        }
        let all = self.pool.seeds.len();
        let passed = Duration::from_micros(self.pool.virtual_time.load(Ordering::Relaxed));
        let wanted = self.pool.scenario.duration.as_secs_f64() * all as f64;
        // Who draws on a terminal that is gone draws nothing.
        let _ = write!(
            io::stderr(),
            "\r\x1b[K{over} of {all} runs, {:.0} s of {wanted:.0} s of virtual time in {:.1} s of real time",
            passed.as_secs_f64(),
            self.started.elapsed().as_secs_f64()
        );
        self.drawn = true;
    }

    fn clear(&mut self) {
        if self.drawn {
            let _ = write!(io::stderr(), "\r\x1b[K");
            self.drawn = false;
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}
