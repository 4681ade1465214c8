//! What the co-processor carries, and how long that takes, at the speed of a line.

use crate::air::{Air, LQI, RSSI};
use crate::emulator::{Build, Emulator};
use crate::host::Host;
use crate::line::{Line, Silence};
use lowgate_mac::{PSDU_OCTETS_MAX, Psdu, RadioEvent, TxStatus};
use lowgate_rcp::air::ToRadio;
use lowgate_router::co_processor::CoProcessorEvent;
use lowgate_units::{Lqi, Rssi};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The rate that the co-processor claims, and the daemon's default.
pub(crate) const BAUD_CLAIMED: u32 = 460_800;
/// A frame of full length, with preamble and the pause after it: 133 octets of 32 us, 40 symbols of 16 us.
pub(crate) const AIR_TIME: Duration = Duration::from_micros(133 * 32 + 40 * 16);
/// What the air carries of them.
const AIR_FRAMES_PER_SECOND: u32 = 204;
const RECEIVED_SECONDS: u32 = 5;
/// Under way at a time when the line's own limit is looked for.
const WINDOW_FRAMES: u32 = 8;
const MOST_FRAMES: u32 = 500;
const SENT: u32 = 400;
/// The host's side of a run, and what was seen there.
pub(crate) struct Run {
    _emulator: Emulator,
    pub(crate) line: Line,
    pub(crate) host: Host,
    pub(crate) air: Option<Air>,
}

impl Run {
    pub(crate) fn start(baud: Option<u32>) -> Self {
        let (emulator, machine, air) = Emulator::start_on_pipes(Build::Shipped);
        let line = Line::open(machine, baud, 7);
        let mut host = Host::new(line.connect());
        host.ready();
        assert_eq!(air.next(), ToRadio::Started);
        Self { _emulator: emulator, line, host, air: Some(air) }
    }
}

/// A full frame with its number; the octets are those that the line has to disguise, now and then.
pub(crate) fn numbered(number: u32) -> Psdu {
    let filler = (0_u8..).map(|at| at.wrapping_mul(7)).cycle();
    [0x41, 0x88]
        .into_iter()
        .chain(number.to_le_bytes())
        .chain(filler)
        .take(PSDU_OCTETS_MAX)
        .collect()
}

/// Times when something is due, one after the other.
pub(crate) struct Beat {
    next: Instant,
    every: Duration,
    silence: Silence,
}

impl Beat {
    pub(crate) fn new(every: Duration) -> Self {
        Self { next: Instant::now() + every, every, silence: Silence::new() }
    }

    /// Until the next one.
    pub(crate) fn wait(&mut self) {
        self.silence.until(self.next);
        self.next += self.every;
    }
}

/// When the air has the next frame.
enum Pace {
    /// As a channel that is never free.
    Air,
    /// As soon as the host has all but so many: more would only wait in the sockets between, which no wire
    /// has.
    Window(u32),
}

/// Says `count` frames, with the times when it did. `heard`: a word for each that the host has.
fn speak(
    mut air: Air,
    count: u32,
    pace: Pace,
    heard: Receiver<()>,
) -> JoinHandle<(Air, Vec<Instant>)> {
    std::thread::spawn(move || {
        let mut beat = Beat::new(AIR_TIME);
        let times = (0..count)
            .map(|number| {
                match pace {
                    Pace::Air => beat.wait(),
                    Pace::Window(frames) if number >= frames => heard.recv().expect("a word"),
                    Pace::Window(_) => {}
                }
                let said = Instant::now();
                air.voice.hear(&numbered(number));
                said
            })
            .collect();
        (air, times)
    })
}

/// Median and the 99th of a hundred, in milliseconds.
fn spread(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    (at(50), at(99))
}

/// Frames that the air has, at that pace. How many a second arrive, all of them, and how late they are.
fn receive(run: &mut Run, pace: Pace, count: u32) -> (f64, (f64, f64)) {
    let (word, words) = channel();
    let begun = Instant::now();
    let speaker = speak(run.air.take().expect("the air"), count, pace, words);
    let mut heard = Vec::new();
    while heard.len() < count as usize {
        run.host.run_until("every frame", |host| !host.events.is_empty());
        for event in run.host.events.drain(..) {
            let psdu = numbered(heard.len() as u32);
            assert_eq!(event, RadioEvent::Received { psdu, rssi: Rssi(RSSI), lqi: Lqi(LQI) });
            heard.push(Instant::now());
            let _ = word.send(()); // it may have said all
        }
    }
    let rate = f64::from(count) / begun.elapsed().as_secs_f64();
    let (air, said) = speaker.join().expect("it has said all");
    run.air = Some(air);
    let late = said.iter().zip(&heard).map(|(said, heard)| *heard - *said).collect();
    (rate, spread(late))
}

/// Transmissions one after the other, for which the radio needs no time. How long each takes.
fn send(run: &mut Run) -> (f64, (f64, f64)) {
    let mut air = run.air.take().expect("the air");
    let radio = std::thread::spawn(move || {
        for _ in 0..SENT {
            let (token, _) = air.transmission();
            air.voice.end(token, TxStatus::Sent);
        }
        air
    });
    let (begun, mut took) = (Instant::now(), Vec::new());
    for token in 0..SENT {
        let asked = Instant::now();
        run.host.transmit(token, &numbered(token));
        assert_eq!(run.host.end(token), TxStatus::Sent);
        took.push(asked.elapsed());
    }
    let rate = f64::from(SENT) / begun.elapsed().as_secs_f64();
    run.air = Some(radio.join().expect("it has heard all"));
    (rate, spread(took))
}

/// Criteria: at the claimed rate every full frame that the air can carry arrives, none lost. The table is for
/// the README.
#[test]
fn what_the_line_carries() {
    println!(
        "| line | received | late: median, 99 % | most received | sent | each: median, 99 % |"
    );
    for baud in [Some(115_200), Some(230_400), Some(BAUD_CLAIMED), Some(921_600), None] {
        let mut run = Run::start(baud);
        let name = baud.map_or_else(|| "no limit".to_owned(), |baud| baud.to_string());
        let paced = baud
            .is_none_or(|baud| baud >= BAUD_CLAIMED)
            .then(|| receive(&mut run, Pace::Air, AIR_FRAMES_PER_SECOND * RECEIVED_SECONDS));
        let (most, _) = receive(&mut run, Pace::Window(WINDOW_FRAMES), MOST_FRAMES);
        let (sent, each) = send(&mut run);
        let paced = paced.map_or_else(
            || "- | -".to_owned(),
            |(rate, late)| format!("{rate:.0}/s | {:.1} ms, {:.1} ms", late.0, late.1),
        );
        println!(
            "| {name} | {paced} | {most:.0}/s | {sent:.0}/s | {:.1} ms, {:.1} ms |",
            each.0, each.1
        );
        let lost = run.host.told.iter().any(|event| matches!(event, CoProcessorEvent::Lost(_)));
        assert!(!lost, "at {name}: {:?}", run.host.told);
    }
}
