//! The groups a node is in: keys in force, who may send, what was reserved.
//!
//! **Invariant:** a record is sealed only under a sequence number that storage holds as reserved; an
//! epoch that is replaced opens nothing any more.

use crate::api::{GROUPS_MAX, Kind, ROUTER_GROUPS_MAX};
use alloc::vec::Vec;
use lowgate_amikey::{CsbId, GroupId, Message, Messages, Mkd, Spd, TekId, Tgk, derive};
use lowgate_crypto::Ccm;
use lowgate_dtls::group::{
    GroupDrop, GroupKeys, GroupOpened, GroupReceiver, GroupSealRefused, GroupSender, SenderFloor,
    SenderId,
};
use lowgate_units::Ipv6Addr;
use lowgate_units::planted::{Fault, planted};

/// Members of one group that a node hears requests from.
pub const SENDERS_MAX: usize = 16;
/// Sequence numbers reserved with one write.
pub const SEQUENCE_BLOCK: u64 = 256;
/// Octets of the largest group record: with its headers it stays in one frame.
pub const GROUP_RECORD_OCTETS_MAX: usize = 96;

/// A group record.
pub(crate) type GroupRecord = heapless::Vec<u8, GROUP_RECORD_OCTETS_MAX>;

/// One group in one epoch.
pub(crate) struct Group {
    /// Its name.
    pub(crate) id: GroupId,
    /// TEK_ID.
    pub(crate) epoch: TekId,
    /// Where its datagrams go.
    pub(crate) address: Ipv6Addr,
    /// And to which port.
    pub(crate) port: u16,
    /// For an SPD that comes without MKD.
    mkd: Mkd,
    sender: Option<GroupSender>,
    receiver: GroupReceiver<SENDERS_MAX>,
    /// Asked of storage and not yet confirmed.
    reserving: bool,
}

/// What a group's messages lack to be of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupFault {
    /// An SPD before any MKD of its bundle, or without address and port.
    Incomplete,
    /// More groups than [`GROUPS_MAX`], a border router's than [`ROUTER_GROUPS_MAX`], or more senders than
    /// [`SENDERS_MAX`].
    TooMany,
}

/// All groups of a node.
pub(crate) struct Groups {
    table: Vec<Group>,
    len_max: usize,
}

impl Groups {
    /// None yet.
    pub(crate) const fn new(kind: Kind) -> Self {
        let len_max = match kind {
            Kind::Light | Kind::Switch | Kind::Sensor => GROUPS_MAX,
            Kind::BorderRouter => ROUTER_GROUPS_MAX,
        };
        Self { table: Vec::new(), len_max }
    }

    /// Puts a group's key and epoch in force; those it replaces are gone. `reserved_below` is what
    /// storage says of this epoch after a restart.
    ///
    /// # Errors
    /// What is missing. The group then keeps what it had.
    pub(crate) fn install(
        &mut self,
        mkd: &Mkd,
        spd: &Spd,
        reserved_below: Option<u64>,
    ) -> Result<&Group, GroupFault> {
        let parameters = &spd.parameters;
        let (Some(address), Some(port), true) =
            (parameters.address, parameters.port, mkd.csb_id == spd.csb_id)
        else {
            return Err(GroupFault::Incomplete);
        };
        let known = self.table.iter().position(|group| group.id == mkd.group);
        if known.is_some_and(|at| self.table[at].epoch == spd.tek_id) {
            let at = known.expect("checked");
            return Ok(&self.table[at]); // repeated; the window stays
        }
        let keys = group_keys(&mkd.tgk, spd);
        let mut receiver = GroupReceiver::new(keys.clone());
        let own = spd.sender_id.map(|id| SenderId(id.raw()));
        for id in parameters.senders.iter().map(|id| SenderId(id.raw())) {
            if Some(id) != own {
                // Frames from before this node's time are kept out by the link layer's counters.
                receiver.admit(id, SenderFloor::Known(0)).map_err(|_| GroupFault::TooMany)?;
            }
        }
        let first = reserved_below.unwrap_or(0).max(parameters.seq_floor.raw());
        let sender = own.map(|id| GroupSender::new(keys, id, first));
        let mut group = Group {
            id: mkd.group,
            epoch: spd.tek_id,
            address,
            port,
            mkd: mkd.clone(),
            sender,
            receiver,
            reserving: false,
        };
        if let Some(at) = known {
            if planted(Fault::OldEpochKept) {
                core::mem::swap(&mut group.receiver, &mut self.table[at].receiver);
            }
            self.table[at] = group;
            return Ok(&self.table[at]);
        }
        if self.table.len() >= self.len_max {
            return Err(GroupFault::TooMany);
        }
        self.table.push(group);
        Ok(self.table.last().expect("just pushed"))
    }

    /// The group of a datagram's destination.
    pub(crate) fn by_address(&mut self, address: Ipv6Addr, port: u16) -> Option<&mut Group> {
        self.table.iter_mut().find(|group| group.address == address && group.port == port)
    }

    /// The group of this name.
    pub(crate) fn by_id(&mut self, id: GroupId) -> Option<&mut Group> {
        self.table.iter_mut().find(|group| group.id == id)
    }

    /// The key message of a bundle that is in force.
    pub(crate) fn mkd(&self, csb_id: CsbId) -> Option<Mkd> {
        self.table.iter().find(|group| group.mkd.csb_id == csb_id).map(|group| group.mkd.clone())
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> {
        self.table.iter()
    }

    /// Forgets a group; what it was.
    pub(crate) fn forget(&mut self, id: GroupId) -> Option<Group> {
        let at = self.table.iter().position(|group| group.id == id)?;
        Some(self.table.swap_remove(at))
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }
}

impl Group {
    /// Whether this node may send.
    pub(crate) const fn sends(&self) -> bool {
        self.sender.is_some()
    }

    /// The reservation to store, if one is due: the first number that will not be reserved.
    pub(crate) fn reservation_due(&mut self) -> Option<u64> {
        let sender = self.sender.as_ref()?;
        if self.reserving || sender.reserved() > SEQUENCE_BLOCK / 2 {
            return None;
        }
        self.reserving = true;
        Some(sender.next_seq() + SEQUENCE_BLOCK)
    }

    /// Storage holds the reservation.
    pub(crate) fn reserved(&mut self, epoch: TekId, below: u64) {
        if let Some(sender) = self.sender.as_mut().filter(|_| self.epoch == epoch) {
            sender.reserve(below);
            self.reserving = false;
        }
    }

    /// Seals a command.
    ///
    /// # Errors
    /// When the numbers are not reserved yet, or used up, or the command is too long.
    pub(crate) fn seal(
        &mut self,
        ccm: &dyn Ccm,
        command: &[u8],
    ) -> Result<GroupRecord, GroupSealRefused> {
        let sender = self.sender.as_mut().ok_or(GroupSealRefused::NotReserved)?;
        let mut record = GroupRecord::new();
        record.resize_default(GROUP_RECORD_OCTETS_MAX).expect("its own capacity");
        let len = sender.seal(ccm, command, &mut record)?;
        record.truncate(len);
        Ok(record)
    }

    /// Opens a record in place.
    ///
    /// # Errors
    /// Why it is dropped.
    pub(crate) fn open<'a>(
        &mut self,
        ccm: &dyn Ccm,
        record: &'a mut [u8],
    ) -> Result<GroupOpened<'a>, GroupDrop> {
        self.receiver.open(ccm, record)
    }
}

fn group_keys(tgk: &Tgk, spd: &Spd) -> GroupKeys {
    let tek = derive(tgk, spd.csb_id, &spd.rand).request;
    GroupKeys { key: tek.key.clone(), salt: *tek.salt.expose(), epoch: spd.tek_id.raw() }
}

/// The MKD and SPD that a record of storage holds.
pub(crate) fn stored_messages(octets: &[u8]) -> Option<(Mkd, Spd)> {
    let mut messages = Messages::new(octets);
    match (messages.next()?.ok()?, messages.next()?.ok()?) {
        (Message::Mkd(mkd), Message::Spd(spd)) => Some((mkd, spd)),
        _ => None,
    }
}
