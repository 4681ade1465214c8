//! The serial line of a co-processor that stands in the border router's place.
//!
//! **Invariant:** octets in, octets out; whose they are and what becomes of them is the host's business.

use super::World;

impl World {
    /// Octets that the host wrote to the serial line arrive at the co-processor. They are lost if it has
    /// no power, or if there is none.
    pub fn serial_in(&mut self, octets: &[u8]) {
        self.stations[self.router.index()].serial_in(self.now, octets);
        self.pump(self.router, None);
    }

    /// What the co-processor wrote to the serial line since the last call, at most 64 KiB; whatever came
    /// on top is lost. Switching it on empties the line.
    pub fn take_serial_out(&mut self) -> Vec<u8> {
        self.stations[self.router.index()].take_serial_out()
    }
}
