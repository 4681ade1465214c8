//! What the medium costs: a generated building in which every radio looks at the channel and sends 60 octets
//! every ten virtual seconds, with nothing above it. Run it under an instruction counter:
//! `valgrind --tool=none` shows that it runs, `valgrind --tool=cachegrind` or `perf stat -e instructions:u`
//! what it costs. The difference of two runs leaves the set-up out.
//!
//! Arguments: devices, virtual seconds.

use lowgate_mac::{PhyCommand, PhyEvent, Psdu};
use lowgate_sim::building::Building;
use lowgate_sim::medium::{Medium, MediumConfig, MediumOutput, StationId};
use lowgate_sim::queue::Queue;
use lowgate_units::{Channel, Duration, Instant, Prng};

const PERIOD: Duration = Duration::from_secs(10);
const PSDU_OCTETS: usize = 60;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse().expect("a number"));
    let devices = arguments.next().unwrap_or(200);
    let until = Instant::from_secs(arguments.next().unwrap_or(60) as u64);
    let building = Building::generate(devices, 1).expect("allowed").building;
    let links = building.links(&MediumConfig::default());
    let mut medium = Medium::new(MediumConfig::default(), &links, 1);
    let mut dice = Prng::new(1);
    let mut wishes = Queue::new();
    let channel = Channel::new(15).expect("in the band");
    for station in (0..building.stations() as u32).map(StationId) {
        medium.perform(Instant::ZERO, station, PhyCommand::Tune { channel });
        wishes.push(Instant::from_micros(dice.below(10_000_000)), station);
    }
    let psdu: Psdu = std::iter::repeat_n(0x41, PSDU_OCTETS).collect();
    loop {
        let now = medium.next_at().min(wishes.next_at());
        if now > until {
            break;
        }
        match medium.poll(now) {
            MediumOutput::Phy { station, event: PhyEvent::CcaDone { idle: true }, .. } => {
                medium.perform(now, station, PhyCommand::Transmit { psdu: psdu.clone() });
            }
            MediumOutput::Phy { .. } | MediumOutput::Aired { .. } => {}
            MediumOutput::Wait { .. } => {
                if let Some((_, station)) = wishes.pop(now) {
                    medium.perform(now, station, PhyCommand::Cca);
                    wishes.push(now + PERIOD, station);
                }
            }
        }
    }
    let pairs: usize =
        (0..building.stations() as u32).map(|i| links.neighbours(StationId(i)).len()).sum();
    println!(
        "{} stations, {:.1} in reach of each, {:?}",
        building.stations(),
        pairs as f64 / building.stations() as f64,
        medium.counters()
    );
}
