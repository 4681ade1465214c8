//! Commands to groups: sealed under the group's keys, sent once, answered by nobody.

use crate::api::Event;
use crate::app::LIGHT_PATH;
use crate::groups::Group;
use crate::node::Node;
use alloc::vec::Vec;
use lowgate_amikey::GroupId;
use lowgate_coap::{ContentFormat, Method, Path, Request, RequestRefused};
use lowgate_dtls::group::GroupSealRefused;
use lowgate_net::{SendRefused, UdpSend};
use lowgate_units::{Instant, Ipv6Addr};

/// Why a command to a group was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandRefused {
    /// This node does not send to the group, or not yet.
    NotASender,
    /// Longer than [`GROUP_RECORD_OCTETS_MAX`](crate::GROUP_RECORD_OCTETS_MAX) with its record.
    TooLong,
    /// The group's numbers are not reserved yet, or the mesh takes nothing now.
    Busy,
}

impl Node {
    /// Sends a command to a group.
    ///
    /// # Errors
    /// Why it was not sent.
    pub fn command(
        &mut self,
        now: Instant,
        group: GroupId,
        request: &Request,
    ) -> Result<(), CommandRefused> {
        let sent = self.send_command(now, group, request);
        self.settle(now);
        sent
    }

    /// The groups that this node sends to, with their addresses.
    pub fn commanded(&self) -> impl Iterator<Item = (GroupId, Ipv6Addr)> + '_ {
        self.groups.iter().filter(|group| group.sends()).map(|group| (group.id, group.address))
    }

    pub(crate) fn press(&mut self, now: Instant, on: bool) {
        let sends: Vec<GroupId> = self.commanded().map(|(id, _)| id).collect();
        let value = if on { b"1" } else { b"0" };
        let path = Path::new(LIGHT_PATH).expect("a constant");
        let request =
            Request::new(Method::Put, path).with_payload(ContentFormat::TEXT, value.to_vec());
        for id in sends {
            // What was refused is an event.
            let _ = self.send_command(now, id, &request);
        }
    }

    fn send_command(
        &mut self,
        now: Instant,
        id: GroupId,
        request: &Request,
    ) -> Result<(), CommandRefused> {
        let sent = self.seal_and_send(now, id, request);
        if sent.is_err() {
            self.event(Event::GroupSendRefused(id));
        }
        sent
    }

    fn seal_and_send(
        &mut self,
        now: Instant,
        id: GroupId,
        request: &Request,
    ) -> Result<(), CommandRefused> {
        let sends = |group: &&mut Group| group.sends();
        if self.groups.by_id(id).filter(sends).is_none() {
            return Err(CommandRefused::NotASender);
        }
        let octets = self.coap.group_command(now, request).map_err(|why| match why {
            RequestRefused::TooLong => CommandRefused::TooLong,
            RequestRefused::TooMany => CommandRefused::Busy,
        })?;
        let ccm = self.config.ccm;
        let group = self.groups.by_id(id).ok_or(CommandRefused::NotASender)?;
        let (dst, port) = (group.address, group.port);
        let sealed = group.seal(ccm, &octets);
        self.reserve_sequences(id);
        let record = sealed.map_err(|why| match why {
            GroupSealRefused::TooLong => CommandRefused::TooLong,
            GroupSealRefused::NotReserved | GroupSealRefused::Exhausted => CommandRefused::Busy,
        })?;
        let (src_port, dst_port, payload) = (port, port, &record[..]);
        match self.net.udp_send(now, UdpSend { dst, src_port, dst_port, secured: true, payload }) {
            Ok(()) => {
                self.event(Event::GroupSent { group: id, record: record.to_vec() });
                Ok(())
            }
            Err(refused) => {
                self.event(Event::SendRefused(refused));
                let long = refused == SendRefused::TooLarge;
                Err(if long { CommandRefused::TooLong } else { CommandRefused::Busy })
            }
        }
    }
}
