//! `lowgate sim report eviction`: what it costs to shut members of a group out, through key trees and by unicast.
//!
//! **Invariant:** both ways are measured in the same run, in worlds of the same seed. What is demanded is messages,
//! octets on the air and virtual time: the same on every machine.

use lowgate_sim::eviction::{Cost, Way, evict};
use lowgate_units::Duration;
use serde::Serialize;
use std::fmt;

/// Members of the group.
const SIZES: [usize; 3] = [16, 100, 1000];
/// Of all frames, besides what the radio loses.
const LOSSES: [f64; 3] = [0.0, 0.1, 0.3];
/// Members that are shut out.
const EVICTED: [usize; 2] = [1, 10];
/// Where the targets are: so many members, one shut out, no loss.
const TARGET_MEMBERS: usize = 1000;
/// There, messages that the manager sends.
const MESSAGES_MAX: u64 = 60;
/// And octets on the air, and the time until 95 of 100 hold the new key, as a share of the other way's.
const ONE_IN: f64 = 5.0;

/// What came of all sizes and losses.
#[derive(Debug, Serialize)]
pub(super) struct Eviction {
    eviction: Vec<Row>,
}

/// What came of one; times in milliseconds, `null` where not so many members followed.
#[derive(Debug, Serialize)]
struct Row {
    members: usize,
    evicted: usize,
    loss: f64,
    hops_max: u8,
    messages_tree: u64,
    messages_unicast: u64,
    frames_tree: u64,
    frames_unicast: u64,
    octets_tree: u64,
    octets_unicast: u64,
    ms_p50: Option<f64>,
    ms_p95: Option<f64>,
    ms_all: Option<f64>,
    ms_p50_unicast: Option<f64>,
    ms_p95_unicast: Option<f64>,
    ms_all_unicast: Option<f64>,
    /// Until the last member sends under the network's new key.
    ms_network: Option<f64>,
    ms_network_unicast: Option<f64>,
    outage_ms: Option<f64>,
    outage_ms_unicast: Option<f64>,
    /// Members that joined anew because a change of key passed them by.
    stranded: usize,
    stranded_unicast: usize,
    opened_after: u64,
    accepted_after: u64,
    /// Of the checkers, both ways.
    findings: usize,
}

impl Eviction {
    /// All sizes of at most so many members, the smallest first; `told` hears of each.
    pub(super) fn measure(members_max: usize, seed: u64, mut told: impl FnMut(&str)) -> Self {
        let mut eviction = Vec::new();
        for members in SIZES.into_iter().filter(|members| *members <= members_max) {
            for (loss, evicted) in LOSSES.into_iter().flat_map(|loss| EVICTED.map(|it| (loss, it)))
            {
                let [tree, unicast] =
                    [Way::Tree, Way::Unicast].map(|way| evict(members, evicted, loss, way, seed));
                told(&format!("{evicted} of {members} members, loss {loss}"));
                eviction.push(Row::of((members, evicted, loss), &tree, &unicast));
            }
        }
        Self { eviction }
    }

    /// Whether nothing was found, nobody who went took part, all who stay follow, and the targets were reached.
    pub(super) fn holds(&self) -> bool {
        !self.eviction.is_empty() && self.eviction.iter().all(Row::holds)
    }
}

impl Row {
    fn of((members, evicted, loss): (usize, usize, f64), tree: &Cost, unicast: &Cost) -> Self {
        let ms = |took: Option<Duration>| took.map(|took| took.as_secs_f64() * 1e3);
        Self {
            members,
            evicted,
            loss,
            hops_max: tree.hops_max.max(unicast.hops_max),
            messages_tree: tree.messages,
            messages_unicast: unicast.messages,
            frames_tree: tree.frames,
            frames_unicast: unicast.frames,
            octets_tree: tree.octets,
            octets_unicast: unicast.octets,
            ms_p50: ms(tree.median),
            ms_p95: ms(tree.p95),
            ms_all: ms(tree.all),
            ms_p50_unicast: ms(unicast.median),
            ms_p95_unicast: ms(unicast.p95),
            ms_all_unicast: ms(unicast.all),
            ms_network: ms(tree.network),
            ms_network_unicast: ms(unicast.network),
            outage_ms: ms(tree.outage),
            outage_ms_unicast: ms(unicast.outage),
            stranded: tree.stranded,
            stranded_unicast: unicast.stranded,
            opened_after: tree.opened_after + unicast.opened_after,
            accepted_after: tree.accepted_after + unicast.accepted_after,
            findings: tree.findings + unicast.findings,
        }
    }

    fn holds(&self) -> bool {
        self.opened_after == 0
            && self.accepted_after == 0
            && self.findings == 0
            && self.reaches_as_many()
            && (!self.is_target() || self.reaches_target())
    }

    /// Whether all hold the new keys in the end where all do by unicast.
    fn reaches_as_many(&self) -> bool {
        let ends = [(self.ms_all, self.ms_all_unicast), (self.ms_network, self.ms_network_unicast)];
        ends.iter().all(|(tree, unicast)| tree.is_some() || unicast.is_none())
    }

    fn is_target(&self) -> bool {
        (self.members, self.evicted) == (TARGET_MEMBERS, 1) && self.loss == 0.0
    }

    fn reaches_target(&self) -> bool {
        let time = self.ms_p95.zip(self.ms_p95_unicast);
        self.messages_tree <= MESSAGES_MAX
            && self.octets_tree as f64 * ONE_IN <= self.octets_unicast as f64
            && time.is_some_and(|(tree, unicast)| tree * ONE_IN <= unicast)
    }
}

/// A table in Markdown: each cell with the tree before and by unicast behind.
impl fmt::Display for Eviction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "members",
            "evicted",
            "loss",
            "hops",
            "messages",
            "frames",
            "octets on the air",
            "half",
            "95 %",
            "all",
            "network",
            "outage",
            "stranded",
            "opened",
            "accepted",
            "findings",
        ];
        writeln!(f, "| {} |\n|{}", head.join(" | "), "---:|".repeat(head.len()))?;
        let seconds = |ms: Option<f64>| ms.map_or("-".into(), |ms| format!("{:.1} s", ms / 1e3));
        let times = |tree, unicast| format!("{} / {}", seconds(tree), seconds(unicast));
        for row in &self.eviction {
            let cells = [
                row.members.to_string(),
                row.evicted.to_string(),
                row.loss.to_string(),
                row.hops_max.to_string(),
                format!("{} / {}", row.messages_tree, row.messages_unicast),
                format!("{} / {}", row.frames_tree, row.frames_unicast),
                format!("{} / {}", row.octets_tree, row.octets_unicast),
                times(row.ms_p50, row.ms_p50_unicast),
                times(row.ms_p95, row.ms_p95_unicast),
                times(row.ms_all, row.ms_all_unicast),
                times(row.ms_network, row.ms_network_unicast),
                times(row.outage_ms, row.outage_ms_unicast),
                format!("{} / {}", row.stranded, row.stranded_unicast),
                row.opened_after.to_string(),
                row.accepted_after.to_string(),
                row.findings.to_string(),
            ];
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        for row in self.eviction.iter().filter(|row| !row.holds()) {
            let Row { members, evicted, loss, .. } = row;
            writeln!(f, "\n{evicted} of {members} members, loss {loss}: FAILED")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let cost = |messages, octets, seconds| Cost {
            stay: 999,
            hops_max: 4,
            messages,
            frames: octets / 50,
            octets,
            median: Some(Duration::from_secs(seconds)),
            p95: Some(Duration::from_secs(seconds)),
            all: None,
            network: None,
            outage: None,
            stranded: 0,
            opened_after: 0,
            accepted_after: 0,
            findings: 0,
        };
        Row::of((1000, 1, 0.0), &cost(60, 100, 2), &cost(1000, 500, 10))
    }

    #[test]
    fn targets_are_reached_or_it_fails() {
        let mut eviction = Eviction { eviction: vec![row()] };
        assert!(eviction.holds() && !eviction.to_string().contains("FAILED"), "{eviction}");
        let spoilt: [fn(&mut Row); 8] = [
            |row| row.messages_tree = 61,
            |row| row.octets_tree = 101,
            |row| row.ms_p95 = Some(2001.0),
            |row| row.ms_p95 = None,
            |row| row.ms_all_unicast = Some(1.0),
            |row| row.ms_network_unicast = Some(1.0),
            |row| row.opened_after = 1,
            |row| row.findings = 1,
        ];
        for spoil in spoilt {
            eviction.eviction[0] = row();
            spoil(&mut eviction.eviction[0]);
            assert!(!eviction.holds() && eviction.to_string().contains("FAILED"), "{eviction}");
        }
        assert!(!Eviction { eviction: Vec::new() }.holds(), "no size is no result");
        let cells = eviction.to_string().lines().map(|line| line.matches('|').count()).max();
        let table = eviction.to_string();
        let mut lines = table.lines().take(3);
        assert!(lines.all(|line| Some(line.matches('|').count()) == cells));
    }
}
