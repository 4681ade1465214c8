//! A serial line that damages what passes.

use crate::air::Air;
use crate::emulator::PATIENCE;
use crate::line::Faults;
use crate::throughput::{AIR_TIME, BAUD_CLAIMED, Beat, Run, numbered};
use lowgate_mac::{Psdu, RadioCommand, RadioEvent, TxStatus};
use lowgate_rcp::air::ToRadio;
use lowgate_router::co_processor::CoProcessorEvent;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

/// `cargo xtask soak firmware` wants more.
const FAULTS: u32 = 100;
/// Frames, 39 ms, between two faults at least: 25 a second.
const FRAMES_PER_FAULT: u32 = 4;
/// A fault spoils the frame that it hits, or two if it hits the flag between them.
const LOST_PER_FAULT_MAX: u32 = 2;
/// Frames that pass between two looks of the test at whether the driver is ready.
const LOST_PER_BEGINNING_MAX: u32 = 10;
/// So many frames, 2 s, after the last fault the driver must have all in order again,
const HEALING_FRAMES: u32 = 204;
/// and lose none of so many.
const HEALED_FRAMES: u32 = 200;

/// What both sides of a run know.
#[derive(Debug)]
struct Shared {
    faults: Arc<Faults>,
    /// Faults to come.
    wanted: u32,
    /// The driver has the co-processor ready.
    ready: AtomicBool,
    /// Frames said while it had not.
    unready: AtomicU32,
    /// The number of the last frame, once that is known.
    last: AtomicU32,
}

/// What came of a run.
#[derive(Debug)]
struct Tally {
    /// Of the frames that came.
    numbers: Vec<u32>,
    /// When the last one did.
    since: Instant,
    sent: u32,
    unsent: u32,
}

impl Tally {
    fn note(&mut self, event: RadioEvent, outstanding: &mut Option<u32>) {
        match event {
            RadioEvent::Received { psdu, .. } => {
                let number = number(&psdu);
                assert_eq!(psdu, numbered(number), "a damaged frame was delivered");
                let last = self.numbers.last();
                assert!(last.is_none_or(|last| *last < number), "twice or out of order");
                self.numbers.push(number);
                self.since = Instant::now();
            }
            RadioEvent::Transmitted { token, status, .. } => {
                assert_eq!(outstanding.take(), Some(token.0), "an end that nobody waits for");
                match status {
                    TxStatus::Sent => self.sent += 1,
                    TxStatus::Acked | TxStatus::NoAck | TxStatus::ChannelBusy => self.unsent += 1,
                }
            }
        }
    }
}

fn number(psdu: &Psdu) -> u32 {
    u32::from_le_bytes(psdu[2..6].try_into().expect("four octets"))
}

/// Plays the radio, half of the air for each direction, and injects the faults while the driver is ready.
///
/// Gives the air back: the emulator forgets what it has not read of a line that is closed.
fn spoil(mut air: Air, shared: Arc<Shared>) -> JoinHandle<Air> {
    std::thread::spawn(move || {
        let mut beat = Beat::new(2 * AIR_TIME);
        for frame in 0.. {
            beat.wait();
            for said in air.wanted() {
                match said {
                    ToRadio::Command(RadioCommand::Transmit { token, .. }) => {
                        air.voice.end(token, TxStatus::Sent);
                    }
                    ToRadio::Command(RadioCommand::Configure(_)) => {}
                    other => panic!("the driver did not ask for that: {other:?}"),
                }
            }
            let ready = shared.ready.load(Ordering::Relaxed);
            shared.unready.fetch_add(u32::from(!ready), Ordering::Relaxed);
            air.voice.hear(&numbered(frame));
            if shared.last.load(Ordering::Relaxed) == frame {
                break;
            }
            if shared.faults.done() >= shared.wanted {
                let end = frame + HEALING_FRAMES + HEALED_FRAMES;
                shared.last.fetch_min(end, Ordering::Relaxed);
            } else if ready && frame % FRAMES_PER_FAULT == 0 {
                shared.faults.inject();
            }
        }
        air
    })
}

/// Purpose: faults of the serial line at the claimed rate, while frames pass both ways: a bit that flips, an
/// octet lost, added or doubled, up to 40 octets lost.
/// Criteria: no damaged frame is delivered, none twice, none out of order; every transmission ends once; a
/// fault costs two received frames at most, beside those that pass while the driver begins anew; 2 s after the
/// last one nothing is lost any more; the program has not restarted.
#[test]
fn faults_of_the_line() {
    let rounds = std::env::var("LOWGATE_ROUNDS").ok();
    let wanted = rounds.map_or(FAULTS, |rounds| rounds.parse().expect("a number"));
    let mut run = Run::start(Some(BAUD_CLAIMED));
    let shared = Arc::new(Shared {
        faults: Arc::clone(&run.line.faults),
        wanted,
        ready: AtomicBool::new(true),
        unready: AtomicU32::new(0),
        last: AtomicU32::new(u32::MAX),
    });
    let radio = spoil(run.air.take().expect("the air"), Arc::clone(&shared));
    let mut tally = Tally { numbers: Vec::new(), since: Instant::now(), sent: 0, unsent: 0 };
    let (mut outstanding, mut token) = (None, 0);
    while !radio.is_finished() || tally.numbers.last() != Some(&shared.last.load(Ordering::Relaxed))
    {
        let alive = !radio.is_finished() || tally.since.elapsed() < PATIENCE;
        assert!(
            alive,
            "the last frame, {:?}, never came: {:?} did; {:?}",
            shared.last,
            tally.numbers.last(),
            run.host.told.last_chunk::<5>()
        );
        run.host.turn();
        shared.ready.store(run.host.is_ready(), Ordering::Relaxed);
        for event in std::mem::take(&mut run.host.events) {
            tally.note(event, &mut outstanding);
        }
        if outstanding.is_none() {
            run.host.transmit(token, &numbered(token));
            outstanding = Some(token);
            token += 1;
        }
    }
    radio.join().expect("the program has not restarted");
    check(&shared, &tally, &run);
}

fn check(shared: &Shared, tally: &Tally, run: &Run) {
    let lost_it = |event: &&CoProcessorEvent| matches!(event, CoProcessorEvent::Lost(_));
    let begun_anew = run.host.told.iter().filter(lost_it).count() as u32;
    let frames = shared.last.load(Ordering::Relaxed) + 1;
    let lost = frames - tally.numbers.len() as u32;
    let unready = shared.unready.load(Ordering::Relaxed);
    println!(
        "{} faults: of {frames} received frames {lost} lost, {unready} of them while the driver began anew \
         ({begun_anew} times, {} with a line opened anew); {} transmissions sent, {} not known to be",
        shared.faults.done(),
        run.host.reopened,
        tally.sent,
        tally.unsent,
    );
    assert_eq!(shared.faults.done(), shared.wanted);
    let bound = LOST_PER_FAULT_MAX * shared.wanted + unready + LOST_PER_BEGINNING_MAX * begun_anew;
    assert!(lost <= bound, "{lost}, not {bound}");
    let healed = tally.numbers.iter().filter(|number| **number >= frames - HEALED_FRAMES).count();
    assert_eq!(healed, HEALED_FRAMES as usize, "of the last ones, when all was in order");
}
