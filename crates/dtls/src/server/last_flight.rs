//! Our last flight of a full handshake: alone, or in one datagram with what the owner says first.
//!
//! A client that speaks our extension waits for its keys anyway. With both in one datagram there is one thing
//! less to lose; until that client is heard again, whatever it is sent brings the flight along, because it
//! can open nothing without it.
//!
//! **Invariant:** the flight leaves before, or with, the first payload; a refusal uses up no record number.

use super::{Packing, Server, ServerOutput, SessionId};
use crate::{ContentType, Peer, SendRefused};
use alloc::vec::Vec;
use lowgate_units::Instant;

impl Server {
    /// A session began: its last flight waits, or leaves.
    pub(super) fn hold_last_flight(&mut self, now: Instant, id: SessionId) {
        let Some(session) = self.table.get(id) else { return };
        match self.config.packing {
            Packing::Tight { linger } if session.group_agreed && !session.has_last_flight => {
                self.held.put(&id, now + linger);
            }
            Packing::Tight { .. } | Packing::Plain => {
                let peer = session.place.peer();
                self.send_last_flight(id, &peer);
            }
        }
    }

    /// Sends the flight, for the first time or again.
    pub(super) fn send_last_flight(&mut self, id: SessionId, peer: &Peer) {
        self.held.remove(&id);
        let (ccm, len_max) = (self.config.ccm, self.config.datagram_len_max);
        let Some(session) = self.table.get_mut(id) else { return };
        for octets in session.repeat_last_flight(ccm, len_max) {
            self.transmit(peer, octets);
        }
    }

    /// Sends the flight if it still waits.
    pub(super) fn release_last_flight(&mut self, id: SessionId) {
        if !self.held.remove(&id) {
            return;
        }
        let Some(peer) = self.table.get(id).map(|session| session.place.peer()) else { return };
        self.send_last_flight(id, &peer);
    }

    /// Flights that have waited long enough.
    pub(super) fn tick_last_flights(&mut self, now: Instant) {
        for id in self.held.due(now) {
            self.release_last_flight(id);
        }
    }

    /// One datagram with a record for each payload, behind our last flight where the client may lack it and
    /// there is room for both; without room the flight goes ahead in a datagram of its own.
    pub(super) fn seal_with_last_flight(
        &mut self,
        id: SessionId,
        payloads: &[(ContentType, &[u8])],
    ) -> Result<(), SendRefused> {
        let (ccm, len_max) = (self.config.ccm, self.config.datagram_len_max);
        let tight = matches!(self.config.packing, Packing::Tight { .. });
        let session = self.table.get_mut(id).ok_or(SendRefused::NotEstablished)?;
        let accompanied = tight && session.group_agreed && !session.has_last_flight;
        // Of the flight the Finished has a number of this epoch: one, for it is never cut.
        session.check_all(payloads, len_max, u64::from(accompanied))?;
        let peer = session.place.peer();
        let mut flight = match accompanied {
            true => session.repeat_last_flight(ccm, len_max),
            false => Vec::new(),
        };
        let payloads = session.seal_all(ccm, payloads, len_max)?;
        self.held.remove(&id);
        match flight.last_mut() {
            Some(last) if last.len() + payloads.len() <= len_max => {
                last.extend_from_slice(&payloads);
            }
            Some(_) | None => flight.push(payloads),
        }
        for octets in flight {
            self.outputs.push_back(ServerOutput::Transmit { peer: peer.clone(), octets });
        }
        Ok(())
    }
}
