//! The figures, for programs and for people.

use super::{Told, speed};
use serde::Serialize;
use std::fmt;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) sim: Vec<Row>,
}

/// One size. Speeds are node-seconds of virtual time per processor second.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) nodes: usize,
    /// The whole node.
    pub(super) ours: f64,
    pub(super) ns3: f64,
    /// Ours over ns-3's.
    pub(super) ratio: f64,
    /// What a node more costs, from the smallest mesh to this one; `None` of the smallest itself.
    pub(super) bytes_per_node: Option<f64>,
    pub(super) ns3_bytes_per_node: Option<f64>,
    /// Our medium and MAC alone.
    pub(super) medium_and_mac: f64,
    pub(super) delivered: Delivered,
}

/// Of the datagrams that were due.
#[derive(Debug, Serialize)]
pub(super) struct Delivered {
    pub(super) ours: f64,
    pub(super) ns3: f64,
    pub(super) medium_and_mac: f64,
}

impl Row {
    pub(super) fn new(
        nodes: usize,
        ours: Told,
        ns3: Told,
        mac: Told,
        (fewest, ours_least, ns3_least): (usize, Told, Told),
    ) -> Self {
        let more = nodes - fewest;
        let each = |most: Told, least: Told| {
            (more > 0).then(|| (most.octets as f64 - least.octets as f64) / more as f64)
        };
        let share = |told: Told| told.outcome.delivered as f64 / told.outcome.due as f64;
        Self {
            nodes,
            ours: speed(nodes, &ours),
            ns3: speed(nodes, &ns3),
            ratio: ns3.processor_seconds / ours.processor_seconds,
            bytes_per_node: each(ours, ours_least),
            ns3_bytes_per_node: each(ns3, ns3_least),
            medium_and_mac: speed(nodes, &mac),
            delivered: Delivered { ours: share(ours), ns3: share(ns3), medium_and_mac: share(mac) },
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "node-seconds per processor second{:28}octets per node{:13}delivered", "", "")?;
        writeln!(
            f,
            " nodes     ours      ns-3  ours/ns-3  medium, MAC        ours      ns-3         ours    ns-3"
        )?;
        for row in &self.sim {
            let octets = |each: Option<f64>| each.map_or("-".into(), |each| format!("{each:.0}"));
            let (nodes, ours, ns3, ratio, mac) =
                (row.nodes, row.ours, row.ns3, row.ratio, row.medium_and_mac);
            write!(f, "{nodes:>6} {ours:>8.0}  {ns3:>8.0}  {ratio:>9.1}  {mac:>11.0}")?;
            let (ours, ns3) = (octets(row.bytes_per_node), octets(row.ns3_bytes_per_node));
            write!(f, "  {ours:>10}  {ns3:>8}")?;
            let (ours, ns3) = (100.0 * row.delivered.ours, 100.0 * row.delivered.ns3);
            writeln!(f, "    {ours:>6.2} %  {ns3:>6.2} %")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::run::Outcome;
    use super::*;

    #[test]
    fn the_figures_have_names() {
        let told = |processor_seconds, octets| {
            let outcome = Outcome { due: 100, delivered: 99, hops: 4.2 };
            Told { processor_seconds, octets, outcome }
        };
        let least = (25, told(1.0, 10_000), told(1.0, 10_000));
        let row = Row::new(125, told(2.0, 30_000), told(50.0, 60_000), told(0.5, 0), least);
        assert_eq!(Row::new(25, least.1, least.2, least.1, least).bytes_per_node, None);
        let report = Report { sim: vec![row] };
        let json = serde_json::to_value(&report).expect("a value");
        let row = &json["sim"][0];
        for (name, value) in [
            ("nodes", 125.0),
            ("ours", 37_500.0),
            ("ns3", 1500.0),
            ("ratio", 25.0),
            ("bytes_per_node", 200.0),
            ("ns3_bytes_per_node", 500.0),
            ("medium_and_mac", 150_000.0),
        ] {
            assert_eq!(row[name].as_f64(), Some(value), "{name}");
        }
        assert_eq!(row["delivered"]["ns3"].as_f64(), Some(0.99));
        assert!(report.to_string().contains("   125    37500      1500       25.0"));
    }
}
