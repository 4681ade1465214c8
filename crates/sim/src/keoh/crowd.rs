//! The same policies where a short timer hurts: everybody gets power at once, along a corridor four hops deep, on the
//! whole radio model.

use crate::building::Group;
use crate::crowd::at_once;
use crate::eviction::{GROUP, corridor};
use crate::world::WorldConfig;
use lowgate_dtls::Retransmission;
use lowgate_units::Duration;

/// How long a crowd is waited for.
pub const PATIENCE: Duration = Duration::from_secs(900);

/// What came of a crowd.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crowd {
    /// How many got power.
    pub devices: usize,
    /// How many are members with a working address.
    pub joined: usize,
    /// The most hops of any of them.
    pub hops_max: u8,
    /// From power to a working address: half of those that are in, and the last of them.
    pub median: Duration,
    /// See [`Self::median`].
    pub last: Duration,
    /// Handshakes begun; `devices` of them are the least.
    pub handshakes: u32,
    /// Datagrams of network access on the joiners' own hop, link-layer copies not counted.
    pub datagrams: u32,
    /// Time on the air of all frames of all stations, until the last was in.
    pub airtime: Duration,
    /// What the checkers found.
    pub findings: usize,
}

impl Crowd {
    /// Whether everybody is in and nothing was found.
    pub const fn holds(&self) -> bool {
        self.joined == self.devices && self.findings == 0
    }
}

/// So many devices join under one policy. `seed` draws all that chance decides.
pub fn crowd(devices: usize, retransmission: Retransmission, seed: u64) -> Crowd {
    let mut generated = corridor(devices);
    generated.building.groups = vec![Group { id: GROUP.0, name: "all".into() }];
    let config = WorldConfig { retransmission, ..WorldConfig::new(seed) };
    let world = at_once(config, generated, PATIENCE);
    let joins = &world.survey().joins()[world.routers().count()..];
    let mut took: Vec<Duration> = joins.iter().filter_map(|join| join.took()).collect();
    took.sort_unstable();
    let airtime = world.honest().map(|id| world.medium().radio_time(id).transmit);
    Crowd {
        devices,
        joined: took.len(),
        hops_max: joins.iter().filter_map(|join| join.hops).max().unwrap_or(0),
        median: took.get(took.len() / 2).copied().unwrap_or_default(),
        last: took.last().copied().unwrap_or_default(),
        handshakes: joins.iter().map(|join| join.attempts).sum(),
        datagrams: joins.iter().map(|join| join.messages).sum(),
        airtime: airtime.fold(Duration::ZERO, |sum, of_one| sum + of_one),
        findings: world.findings().len(),
    }
}
