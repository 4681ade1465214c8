//! What a DTLS server costs, ours and those that others wrote: each a process of its own with its UDP socket on the
//! loopback interface, on one core, heard by the same client, which is ours.
//!
//! **Invariant:** a figure is the processor time that the server's process took, the kernel's work in its name
//! included, or the memory that it holds; how long anybody waited is in none. What a server cannot do is `null`
//! with the reason.

mod client;
mod process;
mod report;
mod serve;
mod servers;

pub(crate) use serve::serve;

use crate::rounds::shortest;
use client::{Callers, Credentials, Way};
use process::Process;
use report::{Figure, OURS, Report, Row};
use servers::{Able, Program, Task};
use std::fs;
use std::path::Path;

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    /// Handshakes and resumptions of a round.
    handshakes: usize,
    raw_key_handshakes: usize,
    /// Each way.
    records: usize,
    sessions: usize,
    rounds: usize,
    /// Handshakes before anything is measured.
    warm_up: usize,
}

const FULL: Effort = Effort {
    handshakes: 4_000,
    raw_key_handshakes: 100,
    records: 32_768,
    sessions: 50_000,
    rounds: 5,
    warm_up: 256,
};

/// Every figure of every server. `peers` is the folder with the programs of those that others wrote: who has none
/// there is told as absent.
pub(crate) fn compare(peers: &Path, only: Option<&str>, file: &Path) -> Result<(), String> {
    process::stay_on_one_core()?;
    let mut report = Report::new(FULL);
    for program in servers::all(peers)? {
        if only.is_some_and(|only| only != program.name) {
            continue;
        }
        eprintln!("dtls: {}", program.name);
        report.servers.push(program.description()?);
        for figure in Figure::ALL {
            report.add(figure, row(&program, figure, FULL)?);
        }
    }
    report.compare();
    print!("{report}");
    let json = serde_json::to_string_pretty(&report).map_err(|fault| fault.to_string())?;
    fs::write(file, json + "\n").map_err(|fault| format!("{}: {fault}", file.display()))
}

fn row(program: &Program, figure: Figure, effort: Effort) -> Result<Row, String> {
    match program.able(figure.task()) {
        Able::No(why) => Ok(Row::without(program.name, why)),
        Able::Yes(command) => {
            match measure(&command, figure, effort) {
                Ok(value) => Ok(Row::of(program.name, value)),
                Err(fault) if program.name == OURS => Err(format!("{figure:?}: {fault}")),
                // What others fail at is their row, and the other rows are worth the same without it.
                Err(fault) => Ok(Row::without(program.name, &fault)),
            }
        }
    }
}

/// Microseconds of an operation, or octets of a session.
fn measure(command: &[String], figure: Figure, effort: Effort) -> Result<f64, String> {
    if let Figure::Memory { connection_ids } = figure {
        return memory(command, connection_ids, effort);
    }
    let mut fault = None;
    let micros = shortest(effort.rounds, || {
        let took = match figure {
            Figure::PskHandshake => handshakes(command, Way::Full, effort.handshakes, effort),
            Figure::Resumption => handshakes(command, Way::BySessionId, effort.handshakes, effort),
            Figure::TicketResumption => {
                handshakes(command, Way::ByTicket, effort.handshakes, effort)
            }
            Figure::RawKeyHandshake => {
                handshakes(command, Way::RawKey, effort.raw_key_handshakes, effort)
            }
            Figure::RecordOpened => records(command, effort).map(|(opened, _)| opened),
            Figure::RecordSealed => records(command, effort).map(|(_, sealed)| sealed),
            Figure::Memory { .. } => unreachable!("measured once, above"),
        };
        took.unwrap_or_else(|why| {
            fault = Some(why);
            f64::INFINITY
        })
    });
    fault.map_or(Ok(micros), Err)
}

fn handshakes(command: &[String], way: Way, count: usize, effort: Effort) -> Result<f64, String> {
    let process = Process::start(command)?;
    let mut callers = Callers::new(process.port(), Credentials::default(), way);
    callers.warm_up(effort.warm_up.min(count / 4))?;
    let before = process.cpu()?;
    callers.come(count)?;
    Ok((process.cpu()? - before).as_secs_f64() * 1e6 / count as f64)
}

/// Microseconds of a record that is opened, and of one that is sealed. The first is that of records that nobody
/// answers, the second what it takes more when each is sent back.
fn records(command: &[String], effort: Effort) -> Result<(f64, f64), String> {
    let process = Process::start(command)?;
    let mut callers = Callers::new(process.port(), Credentials::default(), Way::Full);
    let mut caller = callers.one()?;
    caller.speak(effort.records / 16, client::Batch::AllAnswered)?;
    let mut each = |batch: client::Batch| -> Result<f64, String> {
        let before = process.cpu()?;
        caller.speak(effort.records, batch)?;
        Ok((process.cpu()? - before).as_secs_f64() * 1e6 / effort.records as f64)
    };
    let (swallowed, answered) =
        (each(client::Batch::LastAnswered)?, each(client::Batch::AllAnswered)?);
    // One of a batch is answered in any case.
    let share = 1.0 / client::BATCH as f64;
    let sealed = (answered - swallowed) / (1.0 - share);
    Ok((answered - sealed, sealed))
}

/// Octets that a session adds to what the process holds; then each of them must still answer.
fn memory(command: &[String], connection_ids: bool, effort: Effort) -> Result<f64, String> {
    let process = Process::start(command)?;
    let credentials = Credentials { connection_ids };
    let mut callers = Callers::new(process.port(), credentials, Way::Full);
    callers.warm_up(effort.warm_up)?;
    let before = process.resident_octets()?;
    let sessions = callers.come_and_stay(effort.sessions)?;
    let after = process.resident_octets()?;
    for mut session in sessions {
        session.returns()?;
    }
    Ok((after as f64 - before as f64) / effort.sessions as f64)
}

/// What a program is asked to do.
impl Figure {
    const fn task(self) -> Task {
        match self {
            Self::PskHandshake | Self::RecordOpened | Self::RecordSealed => Task::Psk,
            Self::Memory { connection_ids: false } => Task::Psk,
            Self::Memory { connection_ids: true } => Task::ConnectionIds,
            Self::Resumption | Self::TicketResumption => Task::Resume,
            Self::RawKeyHandshake => Task::RawKey,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LITTLE: Effort = Effort {
        handshakes: 70,
        raw_key_handshakes: 5,
        records: 64,
        sessions: 70,
        rounds: 1,
        warm_up: 1,
    };

    /// In threads of this process: what it costs is nobody's figure, but all of it happens.
    #[test]
    fn everything_happens_with_our_server() {
        for (task, way) in [
            (Task::Psk, Way::Full),
            (Task::Resume, Way::BySessionId),
            (Task::Resume, Way::ByTicket),
            (Task::RawKey, Way::RawKey),
            (Task::ConnectionIds, Way::Full),
        ] {
            let port = serve::in_a_thread(task);
            let credentials = Credentials { connection_ids: task == Task::ConnectionIds };
            let mut callers = Callers::new(port, credentials, way);
            callers.warm_up(LITTLE.warm_up).expect("answers");
            callers.come(LITTLE.raw_key_handshakes).expect("answers");
            for mut session in callers.come_and_stay(LITTLE.sessions).expect("answers") {
                session.returns().expect("still there");
            }
            let mut one = callers.one().expect("answers");
            one.speak(LITTLE.records, client::Batch::LastAnswered).expect("answers");
        }
    }

    #[test]
    fn the_figures_have_names_and_ratios() {
        let mut report = Report::new(LITTLE);
        report.add(Figure::PskHandshake, Row::of("lowgate", 10.0));
        report.add(Figure::PskHandshake, Row::of("slow", 40.0));
        report.add(Figure::PskHandshake, Row::of("fast", 20.0));
        report.add(Figure::Resumption, Row::of("lowgate", 10.0));
        report.add(Figure::Resumption, Row::without("slow", "it resumes nothing"));
        report.compare();
        let json = serde_json::to_value(&report).expect("a value");
        let figure = &json["figures"]["psk_handshake"];
        assert_eq!(figure["unit"], "microseconds of processor time");
        assert_eq!(figure["rows"][0]["per_second"], 100_000.0);
        assert_eq!((&figure["best_peer"], &figure["ratio"]), (&"fast".into(), &2.0.into()));
        let figure = &json["figures"]["resumption"];
        assert!(figure["rows"][1]["value"].is_null() && figure["ratio"].is_null());
        assert_eq!(figure["rows"][1]["why_not"], "it resumes nothing");
        assert!(report.to_string().contains("it resumes nothing"));
    }
}
