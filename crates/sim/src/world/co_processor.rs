//! The serial lines of co-processors: of one that stands in the border router's place, and of sniffers.
//!
//! **Invariant:** octets in, octets out; whose they are and what becomes of them is the host's business.

use super::World;
use crate::medium::StationId;

impl World {
    /// Octets that the host wrote to the serial line arrive at the co-processor. They are lost if it has
    /// no power, or if the station is none.
    pub fn serial_in(&mut self, id: StationId, octets: &[u8]) {
        self.stations[id.index()].serial_in(self.now, octets);
        self.pump(id, None);
    }

    /// What the co-processor wrote to the serial line since the last call, at most 64 KiB; whatever came
    /// on top is lost. Switching it on empties the line.
    pub fn take_serial_out(&mut self, id: StationId) -> Vec<u8> {
        self.stations[id.index()].take_serial_out()
    }
}
