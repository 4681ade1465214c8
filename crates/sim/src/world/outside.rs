//! Stations whose radios are driven from outside of the world: by an emulated machine, say.
//!
//! **Invariant:** between such a driver and the world pass commands and events of the radio seam, and nothing
//! else. What it keeps in its flash nobody here knows.

use super::World;
use crate::medium::StationId;
use lowgate_mac::{RadioCommand, RadioEvent};

impl World {
    /// Whoever drives this station's radio is outside, from the station's next start on.
    pub fn give_away(&mut self, id: StationId) {
        self.stations[id.index()].give_away();
    }

    /// A command for the radio of such a station. It is lost if the station has no power.
    pub fn radio_command(&mut self, id: StationId, command: RadioCommand) {
        self.stations[id.index()].radio_command(self.now, command);
        self.pump(id, None);
    }

    /// What the radio of such a station told since the last call; at most 256 events, what came on top is lost.
    pub fn take_radio_events(&mut self, id: StationId) -> Vec<RadioEvent> {
        self.stations[id.index()].take_radio_events()
    }
}
