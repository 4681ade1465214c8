//! Devices of the world that ask each other.

use super::World;
use crate::medium::StationId;
use lowgate_coap::Request;
use lowgate_manager::DeviceState;
use lowgate_node::Input;
use lowgate_units::{Iid, Ipv6Addr};

impl World {
    /// Has a device ask another for something, in a session of the two alone.
    ///
    /// # Panics
    /// When the other never was a member.
    pub fn ask_device(&mut self, id: StationId, other: StationId, request: Request) {
        let peer = self.stations[other.index()].eui64();
        let addr = self.addr_of(other).expect("it had an address in its mesh");
        self.tell(id, Input::Ask { peer, addr, request });
    }

    /// The same of a neighbour, whom it hears itself: no router passes anything on, and none can keep them apart.
    pub fn ask_neighbour(&mut self, id: StationId, other: StationId, request: Request) {
        let peer = self.stations[other.index()].eui64();
        let addr = Iid::from(peer).link_local();
        self.tell(id, Input::Ask { peer, addr, request });
    }

    /// Where a device is in its mesh, or was when it was expelled.
    pub fn addr_of(&self, id: StationId) -> Option<Ipv6Addr> {
        let domain = self.manager.domain();
        let device = domain.devices().get(&self.stations[id.index()].eui64())?;
        let (pan, short) = match device.state {
            DeviceState::Expected => return None,
            DeviceState::Admitted { pan, short } => (pan, short),
            DeviceState::Revoked { last } => last?,
        };
        Some(domain.pans().get(&pan)?.config.addr(short))
    }
}
