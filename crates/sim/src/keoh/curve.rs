//! Many runs of one setting.

use super::{Access, PATIENCE, Setting, access};
use lowgate_dtls::Retransmission;
use lowgate_units::Duration;

/// What came of all runs at one loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The probability that a datagram is lost.
    pub loss: f64,
    /// How many runs.
    pub runs: usize,
    /// The share of them that took at most [`super::LIMIT`], 0 to 1.
    pub success_15s: f64,
    /// Half of the runs took no longer; one that did not end counts as two minutes.
    pub p50: Duration,
    /// 95 % of them took no longer.
    pub p95: Duration,
    /// Half of the runs took no more datagrams.
    pub messages_p50: usize,
}

/// Runs with the seeds from 0 on.
///
/// # Panics
/// When `runs` is 0, or as [`access`].
pub fn point(cookie: bool, loss: f64, retransmission: Retransmission, runs: usize) -> Point {
    let seeds = 0..runs as u64;
    let all: Vec<Access> =
        seeds.map(|seed| access(Setting { cookie, loss, retransmission, seed })).collect();
    let mut took: Vec<Duration> = all.iter().map(|it| it.took.unwrap_or(PATIENCE)).collect();
    let mut messages: Vec<usize> = all.iter().map(|it| it.datagrams.len()).collect();
    took.sort_unstable();
    messages.sort_unstable();
    // The least value that so many percent of the runs do not exceed.
    let at = |percent: usize| (runs * percent).div_ceil(100) - 1;
    Point {
        loss,
        runs,
        success_15s: all.iter().filter(|it| it.is_in_time()).count() as f64 / runs as f64,
        p50: took[at(50)],
        p95: took[at(95)],
        messages_p50: messages[at(50)],
    }
}
