//! A server's process, and what the kernel tells of it.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// This process and all that it starts run on one core from now on.
pub(super) fn stay_on_one_core() -> Result<(), String> {
    let allowed = sched_getaffinity(None).map_err(|fault| fault.to_string())?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(last.ok_or("no core is allowed")?);
    sched_setaffinity(None, &one).map_err(|fault| fault.to_string())
}

/// A server that lives as long as this.
pub(super) struct Process {
    child: Child,
    port: u16,
}

impl Process {
    /// Starts a program and waits until it tells its port.
    pub(super) fn start(command: &[String]) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("no program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|fault| format!("{program}: {fault}"))?;
        let mut line = String::new();
        let told = match child.stdout.take() {
            Some(stdout) => BufReader::new(stdout).read_line(&mut line),
            None => Ok(0),
        };
        let process = Self { child, port: line.trim().parse().unwrap_or(0) };
        match told {
            Ok(_) if process.port > 0 => Ok(process),
            Ok(_) | Err(_) => Err(format!("{program} tells no port")),
        }
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Processor time of all its threads.
    pub(super) fn cpu(&self) -> Result<Duration, String> {
        let tasks = self.about("task");
        let tasks = fs::read_dir(&tasks).map_err(|fault| format!("{tasks}: {fault}"))?;
        let mut nanos = 0;
        for task in tasks {
            let path = task.map_err(|fault| fault.to_string())?.path().join("schedstat");
            let text = fs::read_to_string(&path);
            let text = text.map_err(|fault| format!("{}: {fault}", path.display()))?;
            // Time on a processor, time in its queue, turns.
            let first = text.split(' ').next().and_then(|first| first.parse::<u64>().ok());
            nanos += first.ok_or_else(|| format!("{}: {text}", path.display()))?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Memory that it holds.
    pub(super) fn resident_octets(&self) -> Result<u64, String> {
        let path = self.about("smaps_rollup");
        let text = fs::read_to_string(&path).map_err(|fault| format!("{path}: {fault}"))?;
        // "Rss:   1234 kB"
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kilos = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        Ok(1024 * kilos.ok_or_else(|| format!("{path}: {text}"))?)
    }

    fn about(&self, what: &str) -> String {
        format!("/proc/{}/{what}", self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
