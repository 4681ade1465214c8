//! The figures, for programs and for people.

use super::Effort;
use super::client::PAYLOAD_OCTETS;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Our server's name.
pub(super) const OURS: &str = "lowgate";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    PskHandshake,
    Resumption,
    TicketResumption,
    RawKeyHandshake,
    RecordOpened,
    RecordSealed,
    Memory { connection_ids: bool },
}

impl Figure {
    pub(super) const ALL: [Self; 8] = [
        Self::PskHandshake,
        Self::Resumption,
        Self::TicketResumption,
        Self::RawKeyHandshake,
        Self::RecordOpened,
        Self::RecordSealed,
        Self::Memory { connection_ids: false },
        Self::Memory { connection_ids: true },
    ];

    const fn key(self) -> &'static str {
        match self {
            Self::PskHandshake => "psk_handshake",
            Self::Resumption => "resumption",
            Self::TicketResumption => "ticket_resumption",
            Self::RawKeyHandshake => "raw_key_handshake",
            Self::RecordOpened => "record_opened",
            Self::RecordSealed => "record_sealed",
            Self::Memory { connection_ids: false } => "idle_session",
            Self::Memory { connection_ids: true } => "idle_session_with_connection_ids",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::PskHandshake => "handshake under a pre-shared key",
            Self::Resumption => "resumption by session id",
            Self::TicketResumption => "resumption by ticket",
            Self::RawKeyHandshake => "handshake under raw public keys, P-256, both ends verified",
            Self::RecordOpened => "record received and opened",
            Self::RecordSealed => "record sealed and sent",
            Self::Memory { connection_ids: false } => "idle session",
            Self::Memory { connection_ids: true } => "idle session, connection IDs agreed on",
        }
    }

    const fn is_memory(self) -> bool {
        matches!(self, Self::Memory { .. })
    }
}

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) conditions: Conditions,
    pub(super) servers: Vec<Description>,
    #[serde(serialize_with = "by_key")]
    pub(super) figures: Vec<Table>,
}

/// Under which all of it was measured.
#[derive(Debug, Serialize)]
pub(super) struct Conditions {
    measured: &'static str,
    suites: &'static str,
    handshakes: usize,
    raw_key_handshakes: usize,
    records: usize,
    payload_octets: usize,
    sessions: usize,
    rounds: usize,
}

/// Who a server is.
#[derive(Debug, Serialize)]
pub(super) struct Description {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) version: Option<String>,
    /// Whether it is on this machine.
    pub(super) measured: bool,
    /// Each asks for one: who does not ends the run.
    pub(super) cookie: &'static str,
    /// Our client demands it.
    pub(super) extended_master_secret: bool,
}

/// One figure of all servers.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    #[serde(skip)]
    figure: Figure,
    what: &'static str,
    unit: &'static str,
    rows: Vec<Row>,
    best_peer: Option<&'static str>,
    /// How many times better ours is than the best peer.
    ratio: Option<f64>,
}

/// One figure of one server.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    server: &'static str,
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<String>,
}

fn by_key<S: serde::Serializer>(tables: &[Table], serializer: S) -> Result<S::Ok, S::Error> {
    let by_key: BTreeMap<_, _> = tables.iter().map(|table| (table.figure.key(), table)).collect();
    by_key.serialize(serializer)
}

impl Row {
    pub(super) const fn of(server: &'static str, value: f64) -> Self {
        Self { server, value: Some(value), per_second: None, why_not: None }
    }

    pub(super) fn without(server: &'static str, why_not: &str) -> Self {
        Self { server, value: None, per_second: None, why_not: Some(why_not.into()) }
    }
}

impl Report {
    pub(super) fn new(effort: Effort) -> Self {
        let conditions = Conditions {
            measured: "processor time of the server's process, kernel included, the best round; \
                server and client share one core; of memory what the process grew by, every session \
                answering afterwards",
            suites: "TLS_PSK_WITH_AES_128_CCM_8; with raw keys TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
            handshakes: effort.handshakes,
            raw_key_handshakes: effort.raw_key_handshakes,
            records: effort.records,
            payload_octets: PAYLOAD_OCTETS,
            sessions: effort.sessions,
            rounds: effort.rounds,
        };
        Self { conditions, servers: Vec::new(), figures: Figure::ALL.map(Table::new).into() }
    }

    pub(super) fn add(&mut self, figure: Figure, mut row: Row) {
        if !figure.is_memory() {
            row.per_second = row.value.map(|micros| 1e6 / micros);
        }
        if let Some(table) = self.figures.iter_mut().find(|table| table.figure == figure) {
            table.rows.push(row);
        }
    }

    /// Ours against the best of the others, where there is one.
    pub(super) fn compare(&mut self) {
        for table in &mut self.figures {
            let value = |row: &Row| row.value.map(|value| (row.server, value));
            let ours = table.rows.iter().filter(|row| row.server == OURS).find_map(value);
            let peers = table.rows.iter().filter(|row| row.server != OURS).filter_map(value);
            let best = peers.min_by(|one, other| one.1.total_cmp(&other.1));
            if let (Some((_, ours)), Some((name, best))) = (ours, best) {
                table.best_peer = Some(name);
                table.ratio = Some(best / ours);
            }
        }
    }
}

impl Table {
    const fn new(figure: Figure) -> Self {
        Self {
            figure,
            what: figure.title(),
            unit: if figure.is_memory() { "octets" } else { "microseconds of processor time" },
            rows: Vec::new(),
            best_peer: None,
            ratio: None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.conditions.measured)?;
        for table in &self.figures {
            writeln!(f, "{}", table.what)?;
            for row in &table.rows {
                write!(f, "  {:<18}", row.server)?;
                match (row.value, row.per_second) {
                    (Some(micros), Some(each)) => writeln!(f, " {micros:>9.2} us {each:>11.0} /s")?,
                    (Some(octets), None) => writeln!(f, " {octets:>9.0} octets")?,
                    (None, _) => {
                        writeln!(f, " {:>9}  {}", "-", row.why_not.as_deref().unwrap_or_default())?
                    }
                }
            }
            if let (Some(best), Some(ratio)) = (table.best_peer, table.ratio) {
                writeln!(f, "  {ratio:.2} times better than {best}")?;
            }
        }
        Ok(())
    }
}
