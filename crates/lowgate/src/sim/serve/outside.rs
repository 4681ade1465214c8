//! Radios of the mesh that somebody outside drives: an emulated machine, by the octets of `lowgate_rcp::air`.
//!
//! **Invariant:** who does not read loses events, as a chip does; he holds up nobody. Without a line a station
//! has no power.

use lowgate_rcp::air::{AirDecoder, ToRadio, emit_event};
use lowgate_sim::building::Building;
use lowgate_sim::medium::StationId;
use lowgate_sim::world::World;
use lowgate_units::Eui64;
use std::fs;
use std::future::pending;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tokio::io::AsyncReadExt;
use tokio::net::UnixListener;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;

const READ_OCTETS_MAX: usize = 1024;
/// What waits for somebody who reads slowly.
const UNSENT_OCTETS_MAX: usize = 64 * 1024;
/// What was read and waits for the world.
const SAID_MAX: usize = 64;

/// Whose radio is outside, and where its driver finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    eui64: Eui64,
    path: PathBuf,
}

impl Place {
    /// The device.
    pub(super) const fn eui64(&self) -> Eui64 {
        self.eui64
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (eui64, path) = text.split_once("=unix:").filter(|(_, path)| !path.is_empty()).ok_or(
            "EUI64=unix:PATH is wanted, for a device of the building and a socket to be made",
        )?;
        let eui64 = eui64.parse().map_err(|_| format!("{eui64}: no EUI-64"))?;
        Ok(Self { eui64, path: path.into() })
    }
}

/// What came from a driver.
pub(super) enum Said {
    /// It is there.
    Plugged(OwnedWriteHalf),
    /// Octets.
    Octets(Vec<u8>),
    /// It is gone.
    Unplugged,
}

/// One radio.
struct Radio {
    station: StationId,
    path: PathBuf,
    decoder: AirDecoder,
    line: Option<OwnedWriteHalf>,
    unsent: Vec<u8>,
}

/// All of them.
pub(super) struct Outside {
    radios: Vec<Radio>,
    said: mpsc::Receiver<(usize, Said)>,
}

impl Outside {
    /// Takes their stations out of the world's hands, and makes their sockets.
    pub(super) fn open(world: &mut World, places: &[Place]) -> io::Result<Self> {
        let (give, said) = mpsc::channel(SAID_MAX);
        let mut radios = Vec::new();
        for (index, Place { eui64, path }) in places.iter().enumerate() {
            let station = station(world.building(), *eui64)
                .ok_or_else(|| io::Error::other(format!("{eui64} is no device of the building")))?;
            world.give_away(station);
            let named = |fault: io::Error| {
                io::Error::new(fault.kind(), format!("{}: {fault}", path.display()))
            };
            tokio::spawn(attend(index, listen(path).map_err(named)?, give.clone()));
            let (path, decoder) = (path.clone(), AirDecoder::new());
            radios.push(Radio { station, path, decoder, line: None, unsent: Vec::new() });
        }
        Ok(Self { radios, said })
    }

    /// Their stations, and where their drivers find them.
    pub(super) fn places(&self) -> impl Iterator<Item = (StationId, &Path)> {
        self.radios.iter().map(|radio| (radio.station, radio.path.as_path()))
    }

    /// Waits for what comes next, for ever if there is no radio. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> (usize, Said) {
        match self.said.recv().await {
            Some(said) => said,
            None => pending().await,
        }
    }

    /// The station whose driver has started, if this is what was said.
    pub(super) fn hear(
        &mut self,
        world: &mut World,
        index: usize,
        said: Said,
    ) -> Option<StationId> {
        let radio = self.radios.get_mut(index)?;
        let mut started = None;
        match said {
            Said::Plugged(line) => {
                radio.line = Some(line);
                radio.unsent.clear();
                radio.decoder = AirDecoder::new();
            }
            Said::Unplugged => {
                radio.line = None;
                world.power_off(radio.station);
            }
            Said::Octets(octets) => {
                for octet in octets {
                    // A message that is damaged is dropped, as by the medium.
                    let Some(Ok(message)) = radio.decoder.push(octet) else { continue };
                    match ToRadio::parse(message) {
                        Ok(ToRadio::Started) => {
                            world.power_off(radio.station);
                            world.power_on(radio.station);
                            started = Some(radio.station);
                        }
                        Ok(ToRadio::Command(command)) => {
                            world.radio_command(radio.station, command);
                        }
                        // The world's radios know the seam and no more.
                        Ok(
                            ToRadio::Transmit { .. }
                            | ToRadio::Levels(_)
                            | ToRadio::SourceMatch(_)
                            | ToRadio::Scan(_),
                        )
                        | Err(_) => {}
                    }
                }
            }
        }
        started
    }

    /// Tells the drivers what their radios heard; whether one of them has not taken all.
    pub(super) fn tell(&mut self, world: &mut World) -> bool {
        let mut is_behind = false;
        for radio in &mut self.radios {
            for event in world.take_radio_events(radio.station) {
                let line = emit_event(&event);
                if radio.line.is_some() && radio.unsent.len() + line.len() <= UNSENT_OCTETS_MAX {
                    radio.unsent.extend_from_slice(&line);
                }
            }
            let Some(line) = radio.line.as_ref().filter(|_| !radio.unsent.is_empty()) else {
                continue;
            };
            match line.try_write(&radio.unsent) {
                Ok(len) => drop(radio.unsent.drain(..len)),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => {}
                // Its reader notices, too.
                Err(_) => radio.unsent.clear(),
            }
            is_behind |= !radio.unsent.is_empty();
        }
        is_behind
    }

    /// Their sockets are gone.
    pub(super) fn close(&self) -> io::Result<()> {
        self.radios.iter().try_for_each(|radio| fs::remove_file(&radio.path))
    }
}

fn station(building: &Building, eui64: Eui64) -> Option<StationId> {
    let stations = (0..building.stations() as u32).map(StationId);
    stations.into_iter().find(|id| building.device(*id).is_some_and(|it| it.eui64 == eui64))
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    // One that an earlier run left has nobody behind it.
    if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

/// One driver after the other.
async fn attend(index: usize, listener: UnixListener, give: mpsc::Sender<(usize, Said)>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (mut input, output) = stream.into_split();
        if give.send((index, Said::Plugged(output))).await.is_err() {
            return;
        }
        let mut octets = [0; READ_OCTETS_MAX];
        while let Ok(len @ 1..) = input.read(&mut octets).await {
            if give.send((index, Said::Octets(octets[..len].to_vec()))).await.is_err() {
                return;
            }
        }
        if give.send((index, Said::Unplugged)).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_device_and_a_socket() {
        let place: Place = "02-12-4b-00-00-00-00-01=unix:/tmp/air".parse().expect("right");
        assert_eq!(place.eui64, Eui64([2, 0x12, 0x4b, 0, 0, 0, 0, 1]));
        assert_eq!(place.path, Path::new("/tmp/air"));
        for text in ["", "/tmp/air", "unix:/tmp/air", "02-12=unix:/tmp/air", "=unix:"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        assert!("02-12-4b-00-00-00-00-01=unix:".parse::<Place>().is_err());
    }
}
