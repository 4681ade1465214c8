//! What intruders know and hold when they begin, and the tunnels between them.

use super::{Due, MANAGER_ADDR, World};
use crate::intruder::{Captured, Known, Liar, Trick};
use crate::medium::StationId;
use crate::world::StationKind;
use lowgate_mac::Psdu;
use lowgate_node::flash::{Record, RecordKey};
use lowgate_units::{Duration, Eui64};

/// From one end of a tunnel to the other.
const TUNNEL_DELAY: Duration = Duration::from_millis(2);

impl World {
    /// If the station lies: with what is known of its mesh, and of an insider's the keys that are in the flash
    /// of the captured device now.
    pub(super) fn liar(&mut self, id: StationId) -> Option<Liar> {
        let station = self.station(id);
        let StationKind::Eavesdropper(Trick::Tell(lie)) = station.kind() else { return None };
        let (own, captured) = (station.eui64(), station.captured());
        let domain = self.manager.domain();
        let pan = captured.and_then(|device| domain.devices().get(&device)?.pan());
        let pan = pan.and_then(|pan| domain.pans().get(&pan)).unwrap_or(domain.founding_pan());
        let border_router = pan.border_router?;
        let router = self.building.station(border_router)?;
        let key = RecordKey::DodagVersion;
        let octets = self.station(router).flash().get(&key);
        let version = match octets.and_then(|octets| Record::parse(key, octets)) {
            Some(Record::DodagVersion { version }) => version,
            _ => return None,
        };
        let known = Known {
            pan: pan.config.pan_id,
            prefix: pan.config.mesh_prefix,
            manager: MANAGER_ADDR,
            border_router,
            version,
            members: pan.members.clone(),
        };
        let held = captured.and_then(|device| Some((device, self.building.station(device)?)));
        let keys = held.and_then(|(device, station)| {
            Captured::new(device, self.station(station).flash(), self.config.ccm)
        });
        if let (Some((_, of)), Some(keys)) = (held, &keys) {
            self.checkers.captured(id, of, (known.pan, keys.index.raw()));
        }
        Some(Liar::new(own, lie, known, keys))
    }

    pub(super) fn tunnel(&mut self, other: Eui64, psdu: Psdu) {
        let end = self.stations.iter().position(|station| station.eui64() == other);
        if let Some(end) = end.map(|index| StationId(index as u32)) {
            self.due.push(self.now + TUNNEL_DELAY, Due::Tunnel(end, psdu));
        }
    }
}
