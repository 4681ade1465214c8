//! The serial line to the co-processor: open while it can be, opened again when it is not.

use lowgate_linux::{Exchanged, Serial, SerialUrl};
use std::future::ready;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

/// Messages under way in each direction.
pub(super) const WAITING_MAX: usize = 256;
/// Between two attempts to open the line.
const REOPEN_AFTER: Duration = Duration::from_millis(200);
/// What waits for a line that is slow.
const UNSENT_OCTETS_MAX: usize = 16 * 1024;
const READ_OCTETS_MAX: usize = 1024;

/// From the line.
pub(super) enum FromLine {
    /// It is open.
    Opened,
    /// It is not.
    Closed { why: String },
    /// These arrived.
    Octets(Vec<u8>),
}

/// Until the daemon ends. `anew` asks for the line to be closed and opened.
pub(super) async fn drive(
    url: SerialUrl,
    first: Serial,
    mut wishes: mpsc::Receiver<Vec<u8>>,
    anew: &Notify,
    tell: mpsc::Sender<FromLine>,
) {
    let mut open = Some(first);
    loop {
        let Some(mut serial) = open.take() else { return };
        // What was asked of the line before is done: this is another.
        tokio::select! {
            biased;
            () = anew.notified() => {}
            () = ready(()) => {}
        }
        if tell.send(FromLine::Opened).await.is_err() {
            return;
        }
        let why = talk(&mut serial, &mut wishes, anew, &tell).await;
        if tell.send(FromLine::Closed { why }).await.is_err() {
            return;
        }
        drop(serial);
        open = reopen(&url, &tell).await;
        // What was meant for the line before means nothing to this one.
        while wishes.try_recv().is_ok() {}
    }
}

/// `None` when the daemon ends.
async fn reopen(url: &SerialUrl, tell: &mpsc::Sender<FromLine>) -> Option<Serial> {
    let mut told = String::new();
    loop {
        sleep(REOPEN_AFTER).await;
        match Serial::open(url) {
            Ok(serial) => return Some(serial),
            Err(fault) => {
                let why = fault.to_string();
                if why != told {
                    tell.send(FromLine::Closed { why: why.clone() }).await.ok()?;
                }
                told = why;
            }
        }
    }
}

/// Why it ended.
async fn talk(
    serial: &mut Serial,
    wishes: &mut mpsc::Receiver<Vec<u8>>,
    anew: &Notify,
    tell: &mpsc::Sender<FromLine>,
) -> String {
    let (mut octets, mut outgoing) = ([0; READ_OCTETS_MAX], Vec::new());
    loop {
        tokio::select! {
            exchanged = serial.exchange(&outgoing, &mut octets) => match exchanged {
                Ok(Exchanged::Wrote(len)) => drop(outgoing.drain(..len)),
                Ok(Exchanged::Read(len)) => {
                    if tell.send(FromLine::Octets(octets[..len].to_vec())).await.is_err() {
                        return "the daemon ends".into();
                    }
                }
                Err(fault) => return format!("closed: {fault}"),
            },
            wish = wishes.recv() => match wish {
                // Whoever speaks to a line that takes nothing notices that nothing is answered.
                Some(more) if outgoing.len() > UNSENT_OCTETS_MAX => drop(more),
                Some(more) => outgoing.extend(more),
                None => return "the daemon ends".into(),
            },
            () = anew.notified() => return "closed, to be opened again".into(),
        }
    }
}
