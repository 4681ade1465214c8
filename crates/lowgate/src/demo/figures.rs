//! The figures of a run, as `--json` writes them.

use serde::Serialize;

/// Order statistics in milliseconds of virtual time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct JoinMs {
    /// Half of the joins took no longer.
    pub p50: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// The longest.
    pub max: f64,
}

/// How a command to a group fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct GroupCommand {
    /// Members that should hear it, the sender not counted.
    pub members: usize,
    /// Members that opened it.
    pub delivered: usize,
    /// From the press to the opened command.
    pub latency_ms_p50: f64,
    /// From the press to the opened command.
    pub latency_ms_p99: f64,
}

/// What a revoked device could do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Revoked {
    /// Who it was.
    pub eui64: String,
    /// See [`lowgate_sim::check::Revocation`].
    pub frames_heard_after: u64,
    /// Likewise.
    pub frames_opened_after: u64,
    /// Likewise.
    pub frames_accepted_after: u64,
    /// Likewise.
    pub group_records_heard_after: u64,
    /// Likewise.
    pub group_records_opened_after: u64,
    /// Likewise.
    pub group_records_accepted_after: u64,
}

/// All figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Devices in the inventory, the border router not counted.
    pub devices_total: usize,
    /// Of them, those that have keys and a working address.
    pub devices_joined: usize,
    /// The most hops of a device to the border router.
    pub hops_max: u8,
    /// From power to a working address.
    pub join_ms: JoinMs,
    /// Octets of a join on its first hop: the median.
    pub join_octets_per_hop_p50: u64,
    /// Datagrams of a join: the median.
    pub join_messages_p50: u32,
    /// The command to a group.
    pub group_command: GroupCommand,
    /// The revoked device.
    pub revoked: Revoked,
    /// Frames on the air.
    pub frames_total: u64,
    /// Seconds of virtual time.
    pub virtual_s: f64,
    /// Seconds of real time. The only figure that differs between equal runs.
    pub wall_s: f64,
    /// What decided the run.
    pub seed: u64,
}

/// The smallest value that `percent` of the values do not exceed; zero of nothing.
pub fn percentile<T: Copy + PartialOrd + Default>(values: &[T], percent: usize) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("figures are numbers"));
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u32> = (1..=20).rev().collect();
        assert_eq!(percentile(&values, 50), 10);
        assert_eq!(percentile(&values, 95), 19);
        assert_eq!(percentile(&values, 100), 20);
        assert_eq!(percentile(&[7], 50), 7);
        assert_eq!(percentile::<u32>(&[], 50), 0);
    }
}
