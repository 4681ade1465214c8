//! What the checkers find.

use crate::medium::StationId;
use lowgate_amikey::GroupId;
use lowgate_net::NetDrop;
use lowgate_units::{Eui64, Instant, Ipv6Addr, ShortAddr};
use std::fmt;

/// Something that must never happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// When.
    pub at: Instant,
    /// What.
    pub fault: Fault,
}

/// What must never happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Two different frames under one key, one source and one counter: the nonce is used up.
    FrameCounterReused {
        /// Whose.
        src: Eui64,
        /// Under which key.
        key: u8,
        /// Which counter.
        counter: u32,
    },
    /// Two different DTLS records under one key and one number.
    RecordNumberReused {
        /// Between the manager and whom.
        peer: String,
        /// Which epoch.
        epoch: u16,
        /// Which number.
        number: u64,
    },
    /// A node opened a frame that no honest node sealed, or not the one that it names.
    ForgedFrameOpened {
        /// Who opened it.
        station: StationId,
        /// Who is said to have sealed it.
        src: Eui64,
    },
    /// A node opened the same frame twice.
    ReplayOpened {
        /// Who opened it.
        station: StationId,
        /// Who sealed it.
        src: Eui64,
    },
    /// A device took keys that the store knows nothing of.
    MemberNotAdmitted {
        /// Who.
        station: StationId,
    },
    /// A secured frame was addressed to somebody who never was a member.
    StrangerAddressed {
        /// Who sent it.
        station: StationId,
        /// To whom.
        dst: Eui64,
    },
    /// A packet on the backbone for nobody who is there.
    StrayPacket {
        /// To whom.
        dst: Ipv6Addr,
    },
    /// A revoked device opened what others sent after its revocation took effect.
    RevokedOpened {
        /// Who.
        station: StationId,
    },
    /// Somebody opened what a revoked device sent after its revocation took effect.
    RevokedAccepted {
        /// Who opened it.
        station: StationId,
        /// Who sent it.
        src: Eui64,
    },
    /// A revoked device opened a group record that was sealed after its revocation.
    RevokedOpenedGroup {
        /// Who.
        station: StationId,
    },
    /// A member opened a group record that a revoked device sealed.
    RevokedGroupAccepted {
        /// Who.
        station: StationId,
    },
    /// A revoked device was let in again.
    RevokedReadmitted {
        /// Who.
        eui64: Eui64,
    },
    /// The border router still has a way to a revoked device.
    RevokedRouted {
        /// Who.
        eui64: Eui64,
    },
    /// A member has not the key in force although nothing stands in its way.
    KeyNotCurrent {
        /// Who.
        station: StationId,
    },
    /// A node refused as seen before a frame that is newer than all it opened.
    FreshFrameRefused {
        /// Who refused it.
        station: StationId,
        /// Who sealed it.
        src: Eui64,
    },
    /// A frame left under a counter that the flash of its sender does not hold as reserved.
    CounterNotReserved {
        /// Whose.
        station: StationId,
        /// Under which key.
        key: u8,
        /// Which counter.
        counter: u32,
    },
    /// Somebody sent an unsecured datagram to whom its radio never heard.
    UnheardAddressed {
        /// Who sent it.
        station: StationId,
        /// To whom.
        dst: Eui64,
    },
    /// Somebody passed a packet on with no less of a hop limit than its origin gave it.
    HopNotCounted {
        /// Who passed it on.
        station: StationId,
    },
    /// An MPL seed used a sequence number for another packet while its neighbours knew the first one.
    MplSequenceReused {
        /// The seed.
        station: StationId,
        /// The number.
        sequence: u8,
    },
    /// What an honest neighbour sent became something that cannot be read.
    HonestMalformed {
        /// Who could not read it.
        station: StationId,
        /// What was wrong.
        drop: NetDrop,
    },
    /// A datagram that cannot be read is on the backbone.
    DatagramMalformed,
    /// The border router registered somebody whom the manager did not name to it.
    StrangerRegistered {
        /// Whom.
        eui64: Eui64,
    },
    /// The manager went into a handshake with somebody who did not show a cookie that was sent there.
    HelloAnswered {
        /// With whom.
        peer: String,
    },
    /// A key of the domain was sent in clear.
    SecretInClear,
    /// Two different group records under one key, one SenderID and one number.
    GroupNumberReused {
        /// Whose.
        station: StationId,
        /// In which group.
        group: GroupId,
        /// Which number.
        number: u64,
    },
    /// A member opened the same group record twice.
    GroupReplayOpened {
        /// Who.
        station: StationId,
        /// Of which group.
        group: GroupId,
    },
    /// A SenderID was given that had been given in this epoch.
    SenderIdShared {
        /// In which group.
        group: GroupId,
        /// Which.
        sender_id: u8,
    },
    /// An address was given that had been somebody else's.
    AddressShared {
        /// Which.
        short: ShortAddr,
    },
    /// A device has a session with another that is no member of the domain, and has not been for a while.
    PairNotAdmitted {
        /// Who.
        station: StationId,
        /// With whom.
        peer: Eui64,
    },
    /// Two different records of a session of two devices under one key and one number.
    PairNumberReused {
        /// Who sealed them.
        station: StationId,
        /// Which number.
        number: u64,
    },
    /// A device uses keys that its flash does not hold.
    KeysNotStored {
        /// Who.
        station: StationId,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.at, self.fault)
    }
}
