//! `lowgate sim report scale`: what a simulated campus costs by its size, and how long everybody takes to get in
//! when all get power in the same moment.
//!
//! **Invariant:** what is demanded is virtual time and that no checker finds anything: the same on every
//! machine. Seconds and octets of this machine are told, not judged.

use lowgate_sim::building::Building;
use lowgate_sim::crowd;
use lowgate_sim::world::WorldConfig;
use lowgate_units::{Channel, Duration};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::fmt;

/// Border routers, and devices for each.
const SIZES: [(usize, usize); 6] = [(1, 25), (1, 100), (3, 100), (10, 100), (25, 100), (100, 100)];
/// The channels that Wi-Fi's usual ones leave free; no more of them than there are meshes.
const CHANNELS: [u8; 4] = [15, 20, 25, 26];
/// Devices of one border router that are all in within [`MESH_WITHIN`].
const MESH_DEVICES: usize = 100;
const MESH_WITHIN: Duration = Duration::from_secs(120);
/// Devices of ten border routers that are all in within [`CAMPUS_WITHIN`].
const CAMPUS_DEVICES: usize = 1000;
const CAMPUS_WITHIN: Duration = Duration::from_secs(300);
/// So long a larger campus is waited for.
const PATIENCE: Duration = Duration::from_secs(900);

/// What came of all sizes.
#[derive(Debug, Serialize)]
pub(super) struct Scale {
    scale: Vec<Row>,
}

/// What came of one size.
#[derive(Debug, Serialize)]
struct Row {
    devices: usize,
    border_routers: usize,
    /// Devices that are in.
    joined: usize,
    /// What the checkers found.
    findings: Vec<String>,
    /// In virtual time from power to a working address: half of the devices, and the last of those that are in.
    median_seconds: f64,
    last_seconds: f64,
    /// By when all are to be in.
    within_seconds: f64,
    /// The whole run, in virtual time.
    virtual_seconds: f64,
    /// On the air, copies and acknowledgements included, and how often one was received.
    frames: u64,
    receptions: u64,
    /// Of this machine.
    processor_seconds: f64,
    wall_seconds: f64,
    /// The peak of this process's memory: the sizes rise, so that it is the largest one's.
    peak_octets: u64,
}

impl Scale {
    /// All sizes of at most so many devices, the smallest first; `told` hears of each.
    pub(super) fn measure(
        devices_max: usize,
        seed: u64,
        mut told: impl FnMut(&str),
    ) -> std::io::Result<Self> {
        let sizes = SIZES.iter().filter(|(routers, each)| routers * each <= devices_max);
        let mut scale = Vec::new();
        for (routers, each) in sizes {
            let row = Row::measure(*routers, *each, seed)?;
            told(&format!("{} of {} devices are in", row.joined, row.devices));
            scale.push(row);
        }
        Ok(Self { scale })
    }

    /// Whether all are in, in time, and nothing was found.
    pub(super) fn holds(&self) -> bool {
        !self.scale.is_empty() && self.scale.iter().all(Row::holds)
    }
}

impl Row {
    fn measure(routers: usize, each: usize, seed: u64) -> std::io::Result<Self> {
        let (wall, processor) = (std::time::Instant::now(), processor_seconds());
        let generated = Building::campus(routers, each, seed).expect("so many are allowed");
        let channels = CHANNELS.map(|number| Channel::new(number).expect("in the band"));
        let (channel, further) = (channels[0], &channels[1..routers.min(CHANNELS.len())]);
        let further_channels = further.iter().copied().collect();
        let config = WorldConfig { channel, further_channels, ..WorldConfig::new(seed) };
        let world = crowd::at_once(config, generated, PATIENCE);
        let joins = &world.survey().joins()[routers..];
        let mut took: Vec<Duration> = joins.iter().filter_map(|join| join.took()).collect();
        took.sort_unstable();
        let counters = world.medium().counters();
        let seconds = |took: Option<&Duration>| took.map_or(0.0, Duration::as_secs_f64);
        let limits = [(MESH_DEVICES, MESH_WITHIN), (CAMPUS_DEVICES, CAMPUS_WITHIN)];
        let limit = limits.into_iter().find(|(devices, _)| routers * each <= *devices);
        let within = limit.map_or(PATIENCE, |(_, within)| within);
        Ok(Self {
            devices: routers * each,
            border_routers: routers,
            joined: took.len(),
            findings: world
                .findings()
                .iter()
                .map(|it| format!("{}: {:?}", it.at, it.fault))
                .collect(),
            median_seconds: seconds(took.get(took.len() / 2)),
            last_seconds: seconds(took.last()),
            within_seconds: within.as_secs_f64(),
            virtual_seconds: world.now().as_secs_f64(),
            frames: counters.aired,
            receptions: counters.received,
            processor_seconds: processor_seconds() - processor,
            wall_seconds: wall.elapsed().as_secs_f64(),
            peak_octets: peak_octets()?,
        })
    }

    fn holds(&self) -> bool {
        self.joined == self.devices
            && self.last_seconds <= self.within_seconds
            && self.findings.is_empty()
    }
}

/// A table in Markdown.
impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "devices",
            "border routers",
            "in",
            "half in after",
            "all in after",
            "allowed",
            "findings",
            "virtual",
            "frames",
            "receptions",
            "processor",
            "wall",
            "peak memory",
            "each: frames",
            "each: processor",
            "each: memory",
        ];
        writeln!(f, "| {} |\n|{}", head.join(" | "), "---:|".repeat(head.len()))?;
        for row in &self.scale {
            let each = |whole: f64| whole / row.devices as f64;
            let cells = [
                row.devices.to_string(),
                row.border_routers.to_string(),
                row.joined.to_string(),
                format!("{:.1} s", row.median_seconds),
                format!("{:.1} s", row.last_seconds),
                format!("{} s", row.within_seconds),
                row.findings.len().to_string(),
                format!("{:.0} s", row.virtual_seconds),
                row.frames.to_string(),
                row.receptions.to_string(),
                format!("{:.2} s", row.processor_seconds),
                format!("{:.2} s", row.wall_seconds),
                format!("{:.0} MiB", row.peak_octets as f64 / f64::from(1 << 20)),
                format!("{:.0}", each(row.frames as f64)),
                format!("{:.1} ms", each(row.processor_seconds) * 1e3),
                format!("{:.0} KiB", each(row.peak_octets as f64) / 1024.0),
            ];
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        for row in self.scale.iter().filter(|row| !row.holds()) {
            writeln!(f, "\n{} devices: FAILED", row.devices)?;
            row.findings.iter().try_for_each(|finding| writeln!(f, "    {finding}"))?;
        }
        Ok(())
    }
}

/// Of this process.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Of this process's memory.
fn peak_octets() -> std::io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
    let kib: Option<u64> = peak.and_then(|kib| kib.trim().parse().ok());
    let kib = kib.ok_or_else(|| std::io::Error::other("the kernel tells no peak of memory"))?;
    Ok(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest size as it comes out, and what would be told if the last device had been late, had stayed
    /// outside, or something had been found.
    #[test]
    fn all_in_in_time_and_nothing_found_or_it_fails() {
        let mut told = Vec::new();
        let mut scale =
            Scale::measure(25, 1, |line| told.push(line.to_owned())).expect("the kernel tells");
        assert_eq!(told, ["25 of 25 devices are in"]);
        assert!(scale.holds() && !scale.to_string().contains("FAILED"), "{scale}");
        let json = serde_json::to_value(&scale).expect("a value");
        let row = &json["scale"][0];
        for name in ["frames", "receptions", "last_seconds", "virtual_seconds", "peak_octets"] {
            assert!(row[name].as_f64() > Some(0.0), "{name}: {row}");
        }
        assert_eq!(
            (row["devices"].as_u64(), row["findings"].as_array()),
            (Some(25), Some(&vec![]))
        );
        let cells = scale.to_string().lines().map(|line| line.matches('|').count()).max();
        assert!(scale.to_string().lines().all(|line| Some(line.matches('|').count()) == cells));
        let last_seconds = scale.scale[0].last_seconds;
        let spoilt: [fn(&mut Row); 3] = [
            |row| row.last_seconds = row.within_seconds + 0.1,
            |row| row.joined -= 1,
            |row| row.findings.push("a secret".into()),
        ];
        for spoil in spoilt {
            spoil(&mut scale.scale[0]);
            assert!(!scale.holds() && scale.to_string().contains("25 devices: FAILED"), "{scale}");
            let row = &mut scale.scale[0];
            (row.last_seconds, row.joined) = (last_seconds, 25);
            row.findings.clear();
        }
    }

    #[test]
    fn no_size_is_no_result() {
        let scale = Scale::measure(1, 1, |_| {}).expect("nothing is measured");
        assert!(!scale.holds());
    }
}
