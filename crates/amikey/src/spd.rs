//! SPD, "security parameters data": the epoch of a group and how to use it.
//!
//! ```text
//! a2 | msgid8 | CSB_ID32 | TEK_ID16 | SenderID8 | flags8 | RAND 16 [ | len16 | { type8 len8 value }* ]
//! flags  bit0 nonce mode (always 1: derived salt)   bit1 no grace for the old epoch   bit2 len16 and TLVs follow
//! TLV    0 suite16  1 TEK_ID16  2 SenderID8  3 UDP port16  4 IPv6 address 16  5 lifetime32 s
//!        6 activation delay16, 100 ms   7 grace16 s   8 nonce mode8   9 SenderID8 EUI-64 (repeatable)
//!        13 prefix 8 group16: the address ff35:40:prefix:8000:group (RFC 3306 section 4), in 10 octets
//!        10 sequence floor 5   12 senders as a bit string (octet i, bit j from the left: SenderID 8i+j)
//! ```
//! Types 0, 1, 2 and 8 say what is fixed or said before: they are read, must agree, and are never
//! written. The length stands before the TLVs because other messages may follow in the same record.
//! An unknown type is skipped when its bit 7 is set and refused when it is clear.

use core::net::Ipv6Addr;
use core::num::NonZeroU16;
use heapless::Vec;
use lowgate_crypto::Secret;
use lowgate_units::Eui64;

use crate::wire::{NoRoom, Reader, Writer};
use crate::{CsbId, MessageDrop, MsgId, Rand, SenderId, SenderSet, TekId};

/// Senders one SPD may name with their EUI-64.
pub const NAMED_SENDERS_MAX: usize = 8;

const FLAG_DERIVED_SALT: u8 = 0x01;
const FLAG_WIPE_OLD: u8 = 0x02;
const FLAG_TLVS: u8 = 0x04;
/// SenderID of a member that only receives.
const RECEIVE_ONLY: u8 = 0xff;
/// TLS_PSK_WITH_AES_128_CCM_8: what seals group records.
const SUITE: [u8; 2] = [0xc0, 0xa8];
const NONCE_MODE: u8 = 1;

/// What happens to the epoch before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldEpoch {
    /// It is accepted for so many seconds more.
    Grace(NonZeroU16),
    /// It is forgotten at once: somebody was evicted.
    Wipe,
}

impl OldEpoch {
    /// Seconds an old epoch lives when nothing else is said (RFC 9031 section 8.5's guard time).
    pub const GRACE_DEFAULT: Self = Self::Grace(NonZeroU16::new(12).expect("not zero"));
}

/// What is wrong with the TLVs of an SPD; the number is the type at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlvDrop {
    /// They end early.
    Truncated,
    /// The value has not the length of its type.
    Length(u8),
    /// The value is impossible, or contradicts what was said before.
    Value(u8),
    /// Given twice.
    Repeated(u8),
    /// Nobody told us, and bit 7 says that it matters.
    Unknown(u8),
    /// More than [`NAMED_SENDERS_MAX`] names.
    NamesTooMany,
}

/// The optional parameters; [`Default`] is what holds when none is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpdParameters {
    /// UDP port of the group's records.
    pub port: Option<u16>,
    /// Multicast address of the group.
    pub address: Option<Ipv6Addr>,
    /// Seconds the epoch lives.
    pub lifetime_secs: Option<u32>,
    /// Tenths of a second a sender waits before it uses the new epoch.
    pub activation_delay_tenths: u16,
    /// Senders with their EUI-64.
    pub named_senders: Vec<(SenderId, Eui64), NAMED_SENDERS_MAX>,
    /// First sequence number the receiver of this message may use as a sender.
    pub seq_floor: SeqFloor,
    /// Who may send or respond in this epoch.
    pub senders: SenderSet,
}

/// A sequence number of group records, below 2^40; the default is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeqFloor(u64);

impl SeqFloor {
    /// `None` from 2^40 on.
    pub const fn new(seq: u64) -> Option<Self> {
        if seq < 1 << 40 { Some(Self(seq)) } else { None }
    }

    /// The number.
    pub const fn raw(self) -> u64 {
        self.0
    }
}

impl SpdParameters {
    /// The least sequence number as a number.
    pub const fn seq_floor(&self) -> u64 {
        self.seq_floor.0
    }
}

/// The parameters of one epoch of one group, for one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spd {
    /// Number of this message.
    pub msg_id: MsgId,
    /// Which bundle: an MKD bound it to a group.
    pub csb_id: CsbId,
    /// The epoch.
    pub tek_id: TekId,
    /// The receiver's own id; `None` means it only receives.
    pub sender_id: Option<SenderId>,
    /// What makes this epoch's keys differ from the last one's.
    pub rand: Rand,
    /// What happens to the epoch before.
    pub old_epoch: OldEpoch,
    /// The rest.
    pub parameters: SpdParameters,
}

impl Spd {
    /// Octets without parameters.
    pub(crate) const OCTETS_MIN: usize = 26;

    /// Octets at the front of `octets` that belong to the SPD there.
    pub(crate) fn extent(octets: &[u8]) -> Option<usize> {
        let flags = *octets.get(9)?;
        if flags & FLAG_TLVS == 0 {
            return Some(Self::OCTETS_MIN);
        }
        let len = Reader(octets.get(Self::OCTETS_MIN..)?).u16()?;
        Some(Self::OCTETS_MIN + 2 + usize::from(len))
    }

    /// Reads what follows tag and message id; `body` ends where the message ends.
    pub(crate) fn parse(msg_id: MsgId, body: &[u8]) -> Result<Self, MessageDrop> {
        let mut reader = Reader(body);
        let fixed = |reader: &mut Reader<'_>| {
            let ids = (reader.u32()?, reader.u16()?, reader.u8()?, reader.u8()?);
            Some((ids, reader.array::<16>()?))
        };
        let ((csb_id, tek_id, sender_id, flags), rand) =
            fixed(&mut reader).ok_or(MessageDrop::Truncated)?;
        let tek_id = TekId::new(tek_id).ok_or(MessageDrop::TekIdZero)?;
        let sender_id = match sender_id {
            RECEIVE_ONLY => None,
            raw => Some(SenderId::new(raw).ok_or(MessageDrop::SenderIdZero)?),
        };
        if flags & FLAG_DERIVED_SALT == 0 {
            return Err(MessageDrop::NonceModeNotSpoken);
        }
        if flags & !(FLAG_DERIVED_SALT | FLAG_WIPE_OLD | FLAG_TLVS) != 0 {
            return Err(MessageDrop::FlagsReserved(flags));
        }
        let wipe = flags & FLAG_WIPE_OLD != 0;
        let mut spd = Self {
            msg_id,
            csb_id: CsbId(csb_id),
            tek_id,
            sender_id,
            rand: Rand(Secret::new(rand)),
            old_epoch: if wipe { OldEpoch::Wipe } else { OldEpoch::GRACE_DEFAULT },
            parameters: SpdParameters::default(),
        };
        if flags & FLAG_TLVS != 0 {
            reader.u16().ok_or(MessageDrop::Truncated)?;
            spd.read_tlvs(reader).map_err(MessageDrop::Tlv)?;
        }
        Ok(spd)
    }

    fn read_tlvs(&mut self, mut reader: Reader<'_>) -> Result<(), TlvDrop> {
        let mut seen = 0u32;
        while !reader.is_empty() {
            let kind = reader.u8().ok_or(TlvDrop::Truncated)?;
            let len = reader.u8().ok_or(TlvDrop::Truncated)?;
            let value = reader.take(len.into()).ok_or(TlvDrop::Truncated)?;
            if kind < 32 && kind != tlv::NAMED_SENDER {
                if seen & 1 << kind != 0 {
                    return Err(TlvDrop::Repeated(kind));
                }
                seen |= 1 << kind;
            }
            self.read_tlv(kind, value)?;
        }
        Ok(())
    }

    fn read_tlv(&mut self, kind: u8, value: &[u8]) -> Result<(), TlvDrop> {
        let parameters = &mut self.parameters;
        match kind {
            tlv::SUITE => agree(kind, value, SUITE)?,
            tlv::TEK_ID => agree(kind, value, self.tek_id.raw().to_be_bytes())?,
            tlv::SENDER_ID => {
                agree(kind, value, [self.sender_id.map_or(RECEIVE_ONLY, SenderId::raw)])?;
            }
            tlv::PORT => parameters.port = Some(u16::from_be_bytes(exact(kind, value)?)),
            tlv::ADDRESS => {
                let address = Ipv6Addr::from(exact::<16>(kind, value)?);
                if parameters.address.is_some() {
                    return Err(TlvDrop::Repeated(kind));
                }
                if !address.is_multicast() {
                    return Err(TlvDrop::Value(kind));
                }
                parameters.address = Some(address);
            }
            tlv::PREFIX_ADDRESS => {
                if parameters.address.is_some() {
                    return Err(TlvDrop::Repeated(kind));
                }
                parameters.address = Some(long(exact(kind, value)?));
            }
            tlv::LIFETIME => {
                parameters.lifetime_secs = Some(u32::from_be_bytes(exact(kind, value)?));
            }
            tlv::ACTIVATION => {
                parameters.activation_delay_tenths = u16::from_be_bytes(exact(kind, value)?);
            }
            tlv::GRACE => {
                let grace = NonZeroU16::new(u16::from_be_bytes(exact(kind, value)?));
                self.old_epoch = match (self.old_epoch, grace) {
                    (_, None) => OldEpoch::Wipe,
                    (OldEpoch::Grace(_), Some(secs)) => OldEpoch::Grace(secs),
                    (OldEpoch::Wipe, Some(_)) => return Err(TlvDrop::Value(kind)),
                };
            }
            tlv::NONCE_MODE => agree(kind, value, [NONCE_MODE])?,
            tlv::NAMED_SENDER => {
                let [id, eui64 @ ..] = exact::<9>(kind, value)?;
                let id = SenderId::new(id).ok_or(TlvDrop::Value(kind))?;
                let named = (id, Eui64(eui64));
                parameters.named_senders.push(named).map_err(|_| TlvDrop::NamesTooMany)?;
            }
            tlv::SEQ_FLOOR => {
                let mut octets = [0; 8];
                octets[3..].copy_from_slice(&exact::<5>(kind, value)?);
                parameters.seq_floor = SeqFloor(u64::from_be_bytes(octets));
            }
            tlv::SENDERS => {
                parameters.senders = SenderSet::from_bits(value).ok_or(TlvDrop::Value(kind))?;
            }
            0x80.. => {}
            _ => return Err(TlvDrop::Unknown(kind)),
        }
        Ok(())
    }

    pub(crate) fn emit(&self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        let wipe = if self.old_epoch == OldEpoch::Wipe { FLAG_WIPE_OLD } else { 0 };
        let tlvs = if self.has_tlvs() { FLAG_TLVS } else { 0 };
        writer.put_u32(self.csb_id.0)?;
        writer.put_u16(self.tek_id.raw())?;
        writer.put_u8(self.sender_id.map_or(RECEIVE_ONLY, SenderId::raw))?;
        writer.put_u8(FLAG_DERIVED_SALT | wipe | tlvs)?;
        writer.put(self.rand.0.expose())?;
        if tlvs == 0 { Ok(()) } else { writer.put_sized(|writer| self.emit_tlvs(writer)) }
    }

    fn has_tlvs(&self) -> bool {
        self.parameters != SpdParameters::default() || self.grace().is_some()
    }

    /// The grace where it has to be said.
    fn grace(&self) -> Option<NonZeroU16> {
        match self.old_epoch {
            OldEpoch::Grace(secs) if self.old_epoch != OldEpoch::GRACE_DEFAULT => Some(secs),
            OldEpoch::Grace(_) | OldEpoch::Wipe => None,
        }
    }

    fn emit_tlvs(&self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        let parameters = &self.parameters;
        let mut put = |kind: u8, value: &[u8]| {
            let len = u8::try_from(value.len()).map_err(|_| NoRoom)?;
            writer.put(&[kind, len])?;
            writer.put(value)
        };
        if let Some(port) = parameters.port {
            put(tlv::PORT, &port.to_be_bytes())?;
        }
        if let Some(address) = parameters.address {
            match short(address) {
                Some(octets) => put(tlv::PREFIX_ADDRESS, &octets)?,
                None => put(tlv::ADDRESS, &address.octets())?,
            }
        }
        if let Some(secs) = parameters.lifetime_secs {
            put(tlv::LIFETIME, &secs.to_be_bytes())?;
        }
        if parameters.activation_delay_tenths != 0 {
            put(tlv::ACTIVATION, &parameters.activation_delay_tenths.to_be_bytes())?;
        }
        if let Some(secs) = self.grace() {
            put(tlv::GRACE, &secs.get().to_be_bytes())?;
        }
        for (id, eui64) in &parameters.named_senders {
            let [a, b, c, d, e, f, g, h] = eui64.0;
            put(tlv::NAMED_SENDER, &[id.raw(), a, b, c, d, e, f, g, h])?;
        }
        if parameters.seq_floor != SeqFloor::default() {
            put(tlv::SEQ_FLOOR, &parameters.seq_floor.0.to_be_bytes()[3..])?;
        }
        if !parameters.senders.is_empty() {
            put(tlv::SENDERS, parameters.senders.bits())?;
        }
        Ok(())
    }
}

/// Around a /64 prefix and the group's number: flags and scope 5, prefix length 64; a dynamic group id (RFC 3307
/// section 4.3) whose last 16 bits are ours.
const ADDRESS_HEAD: [u8; 4] = [0xff, 0x35, 0, 64];
const ADDRESS_GROUP: [u8; 2] = [0x80, 0];

/// Prefix and group of a group's address, when it is made of these.
fn short(address: Ipv6Addr) -> Option<[u8; 10]> {
    let octets = address.octets();
    let made = octets[..4] == ADDRESS_HEAD && octets[12..14] == ADDRESS_GROUP;
    let mut short = [0; 10];
    short[..8].copy_from_slice(&octets[4..12]);
    short[8..].copy_from_slice(&octets[14..]);
    made.then_some(short)
}

/// The address of which [`short`] made this.
fn long(short: [u8; 10]) -> Ipv6Addr {
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&ADDRESS_HEAD);
    octets[4..12].copy_from_slice(&short[..8]);
    octets[12..14].copy_from_slice(&ADDRESS_GROUP);
    octets[14..].copy_from_slice(&short[8..]);
    Ipv6Addr::from(octets)
}

/// Types of the TLVs.
mod tlv {
    pub(super) const SUITE: u8 = 0;
    pub(super) const TEK_ID: u8 = 1;
    pub(super) const SENDER_ID: u8 = 2;
    pub(super) const PORT: u8 = 3;
    pub(super) const ADDRESS: u8 = 4;
    pub(super) const LIFETIME: u8 = 5;
    pub(super) const ACTIVATION: u8 = 6;
    pub(super) const GRACE: u8 = 7;
    pub(super) const NONCE_MODE: u8 = 8;
    pub(super) const NAMED_SENDER: u8 = 9;
    pub(super) const SEQ_FLOOR: u8 = 10;
    pub(super) const SENDERS: u8 = 12;
    pub(super) const PREFIX_ADDRESS: u8 = 13;
}

fn exact<const N: usize>(kind: u8, value: &[u8]) -> Result<[u8; N], TlvDrop> {
    value.try_into().map_err(|_| TlvDrop::Length(kind))
}

fn agree<const N: usize>(kind: u8, value: &[u8], expected: [u8; N]) -> Result<(), TlvDrop> {
    if exact::<N>(kind, value)? == expected { Ok(()) } else { Err(TlvDrop::Value(kind)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3306 section 4, RFC 3307 section 4.3: what is made of prefix and group, and what only looks like it.
    #[test]
    fn addresses_made_of_prefix_and_group() {
        let addr = |text: &str| text.parse::<Ipv6Addr>().expect("an address");
        let made = addr("ff35:40:fd5a:10f2:9a3b:1:8000:7");
        let octets = [0xfd, 0x5a, 0x10, 0xf2, 0x9a, 0x3b, 0, 1, 0, 7];
        assert_eq!((short(made), long(octets)), (Some(octets), made));
        for other in
            ["ff35:30:fd5a:10f2:9a3b:1:8000:7", "ff35:40:fd5a:10f2:9a3b:1:9000:7", "ff15::7"]
        {
            assert_eq!(short(addr(other)), None, "{other}");
        }
    }
}
