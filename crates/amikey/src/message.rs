//! The compact key-management messages: plaintext of DTLS records of content type 30 and 31.
//!
//! ```text
//! MKD a1 | msgid8 | CSB_ID32 | generation16 | group_id16 | TGK 16
//! SPD a2 | msgid8 | ...                                              see `spd`
//! ACK a3 | msgid8
//! REQ a4 | msgid8 | CSB_ID32 | TEK_ID16 | { group16 | role8 }*       to the end of the record
//! CFG a5 | msgid8 | len16 | CBOR                                     see `cfg`
//! ERR a6 | msgid8 | error8
//! PATH a8 | msgid8 | kind8 group16 | epoch32 | leaf16 | signer 65 | key 16 * 11     see `tree`
//! FOLLOWED a9 | msgid8 = 0 | kind8 group16 | epoch32
//! ```
//! (a7 is TREE, which comes by multicast.)
//! Several messages may stand in one record, so each has an extent of its own: fixed for MKD, ACK, ERR, PATH
//! and FOLLOWED, by a length for the TLVs of SPD and for CFG. REQ alone runs to the end and so is the
//! last in its record. An acknowledgement of several messages is a record of several ACKs,
//! `a3 01 a3 02 a3 03`; nothing else is needed to list what one confirms. In ACK and ERR the id is
//! that of the message answered.
//!
//! **Invariant:** pure functions of octets. What they say is only believed because a record of the
//! session that carried them opened.

use heapless::Vec;
use lowgate_crypto::Secret;

use crate::spd::{Spd, TlvDrop};
use crate::tree::{Followed, PathTold};
use crate::wire::{NoRoom, Reader, Writer};
use crate::{Cfg, CfgDrop, CsbId, GROUPS_MAX, Generation, GroupId, MsgId, Role, TekId, Tgk, Wish};

const TAG_MKD: u8 = 0xa1;
const TAG_SPD: u8 = 0xa2;
const TAG_ACK: u8 = 0xa3;
const TAG_REQ: u8 = 0xa4;
const TAG_CFG: u8 = 0xa5;
const TAG_ERR: u8 = 0xa6;
const TAG_PATH: u8 = 0xa8;
const TAG_FOLLOWED: u8 = 0xa9;

/// One message. All are owned; those with keys wipe them when dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// "Master key data": a group's generation key.
    Mkd(Mkd),
    /// "Security parameters data": an epoch of a group.
    Spd(Spd),
    /// The message of this id was processed and stored.
    Ack {
        /// Of the message answered.
        msg_id: MsgId,
    },
    /// A member asks for the current state of its groups, or for a change of them.
    Req(Req),
    /// Link keys and configuration.
    Cfg {
        /// Number of this message.
        msg_id: MsgId,
        /// What to use.
        cfg: Cfg,
    },
    /// The message of this id, or the request made in the hello (id 0), was refused.
    Err {
        /// Of the message answered.
        msg_id: MsgId,
        /// Why.
        error: KeyError,
    },
    /// A place in a key tree.
    Path(PathTold),
    /// A member holds what a tree's epoch told.
    Followed(Followed),
}

/// A group's generation key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mkd {
    /// Number of this message.
    pub msg_id: MsgId,
    /// The bundle that this key begins.
    pub csb_id: CsbId,
    /// How many keys the group has had.
    pub generation: Generation,
    /// The group.
    pub group: GroupId,
    /// The key.
    pub tgk: Tgk,
}

/// What a member holds and what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Req {
    /// Number of this message.
    pub msg_id: MsgId,
    /// The bundle it asks about; [`CsbId::NONE`] when it holds none.
    pub csb_id: CsbId,
    /// The epoch it holds; `None` when it lacks the bundle's SPD.
    pub tek_id: Option<TekId>,
    /// Changes of membership it asks for.
    pub wishes: Vec<Wish, GROUPS_MAX>,
}

/// Why a message was refused: the error numbers of RFC 3830 section 6.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyError {
    /// Not authorized.
    NotAuthorized = 0,
    /// Invalid timestamp; here: a message id that is too old.
    Stale = 1,
    /// PRF function not supported.
    Prf = 2,
    /// MAC algorithm not supported.
    Mac = 3,
    /// Encryption algorithm not supported.
    Encryption = 4,
    /// Hash function not supported.
    Hash = 5,
    /// DH group not supported.
    DhGroup = 6,
    /// Invalid identity.
    Identity = 7,
    /// Invalid certificate.
    Certificate = 8,
    /// Invalid security policy; here: the group is not known.
    Policy = 9,
    /// Invalid parameter of a security policy.
    PolicyParameter = 10,
    /// Data type not supported; here: the kind of message.
    DataType = 11,
    /// Anything else, and every number nobody defined.
    Unspecified = 12,
}

impl KeyError {
    // RFC 3830 section 6.12.
    const fn from_wire(number: u8) -> Self {
        match number {
            0 => Self::NotAuthorized,
            1 => Self::Stale,
            2 => Self::Prf,
            3 => Self::Mac,
            4 => Self::Encryption,
            5 => Self::Hash,
            6 => Self::DhGroup,
            7 => Self::Identity,
            8 => Self::Certificate,
            9 => Self::Policy,
            10 => Self::PolicyParameter,
            11 => Self::DataType,
            12.. => Self::Unspecified,
        }
    }
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageDrop {
    /// It ends early.
    Truncated,
    /// Its first octet names no message we know.
    UnknownMessage(u8),
    /// Epoch 0 is the null epoch.
    TekIdZero,
    /// SenderID 0 is reserved.
    SenderIdZero,
    /// A nonce mode other than the derived salt.
    NonceModeNotSpoken,
    /// Flags nobody defined.
    FlagsReserved(u8),
    /// A parameter of an SPD.
    Tlv(TlvDrop),
    /// A role nobody defined.
    Role(u8),
    /// A group is named twice.
    GroupRepeated(GroupId),
    /// More groups than [`GROUPS_MAX`].
    GroupsTooMany,
    /// The configuration.
    Cfg(CfgDrop),
    /// No key tree is named so, or none has that leaf.
    Tree,
}

impl MessageDrop {
    /// The error number to answer with.
    pub const fn error(self) -> KeyError {
        match self {
            Self::UnknownMessage(_) => KeyError::DataType,
            Self::NonceModeNotSpoken | Self::FlagsReserved(_) | Self::Tlv(_) | Self::Cfg(_) => {
                KeyError::PolicyParameter
            }
            Self::Role(_) | Self::GroupRepeated(_) | Self::GroupsTooMany => KeyError::Policy,
            Self::Truncated | Self::TekIdZero | Self::SenderIdZero | Self::Tree => {
                KeyError::Unspecified
            }
        }
    }
}

/// A message that cannot be used, and its id where that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMessage {
    /// Second octet.
    pub msg_id: Option<MsgId>,
    /// The fault.
    pub why: MessageDrop,
}

/// Which kind of record carries messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Content type 30: begins with MKD.
    KeyData,
    /// Content type 31: comes without MKD in front.
    KeyParameters,
}

impl Carrier {
    /// The carrier of a record that begins with `first`.
    pub const fn of(first: &Message) -> Self {
        match first {
            Message::Mkd(_) => Self::KeyData,
            Message::Spd(_)
            | Message::Ack { .. }
            | Message::Req(_)
            | Message::Cfg { .. }
            | Message::Err { .. }
            | Message::Path(_)
            | Message::Followed(_) => Self::KeyParameters,
        }
    }

    /// The DTLS content type.
    pub const fn content_type(self) -> u8 {
        match self {
            Self::KeyData => 30,
            Self::KeyParameters => 31,
        }
    }
}

impl Message {
    /// Its own number, or in ACK and ERR that of the message answered.
    pub const fn msg_id(&self) -> MsgId {
        match self {
            Self::Mkd(mkd) => mkd.msg_id,
            Self::Spd(spd) => spd.msg_id,
            Self::Req(req) => req.msg_id,
            Self::Path(told) => told.msg_id,
            Self::Followed(_) => MsgId(0),
            Self::Ack { msg_id } | Self::Cfg { msg_id, .. } | Self::Err { msg_id, .. } => *msg_id,
        }
    }

    /// Whether its receiver confirms it with an ACK: everything but ACK, ERR and FOLLOWED.
    pub const fn wants_ack(&self) -> bool {
        !matches!(self, Self::Ack { .. } | Self::Err { .. } | Self::Followed(_))
    }

    /// Writes it and says how long it is.
    ///
    /// # Errors
    /// When `out` is too short.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        writer.put(&[self.tag(), self.msg_id().0])?;
        match self {
            Self::Mkd(mkd) => {
                writer.put_u32(mkd.csb_id.0)?;
                writer.put_u16(mkd.generation.0)?;
                writer.put_u16(mkd.group.0)?;
                writer.put(mkd.tgk.0.expose())?;
            }
            Self::Spd(spd) => spd.emit(&mut writer)?,
            Self::Ack { .. } => {}
            Self::Req(req) => {
                writer.put_u32(req.csb_id.0)?;
                writer.put_u16(req.tek_id.map_or(0, TekId::raw))?;
                for Wish { group, role } in &req.wishes {
                    writer.put_u16(group.0)?;
                    writer.put_u8(role.map_or(0, Role::bits))?;
                }
            }
            Self::Cfg { cfg, .. } => writer.put_sized(|writer| cfg.emit_into(writer))?,
            Self::Err { error, .. } => writer.put_u8(*error as u8)?,
            Self::Path(told) => told.emit(&mut writer)?,
            Self::Followed(followed) => followed.emit(&mut writer)?,
        }
        Ok(writer.written())
    }

    const fn tag(&self) -> u8 {
        match self {
            Self::Mkd(_) => TAG_MKD,
            Self::Spd(_) => TAG_SPD,
            Self::Ack { .. } => TAG_ACK,
            Self::Req(_) => TAG_REQ,
            Self::Cfg { .. } => TAG_CFG,
            Self::Err { .. } => TAG_ERR,
            Self::Path(_) => TAG_PATH,
            Self::Followed(_) => TAG_FOLLOWED,
        }
    }
}

/// Writes messages one behind the other, as one record carries them, and says how long they are. A
/// REQ has to be the last.
///
/// # Errors
/// When `out` is too short.
pub fn emit_all(messages: &[Message], out: &mut [u8]) -> Result<usize, NoRoom> {
    messages
        .iter()
        .try_fold(0, |at, message| Ok(at + message.emit(out.get_mut(at..).ok_or(NoRoom)?)?))
}

/// The messages of one record, in order. After a message whose extent is unknown nothing follows; a
/// fault within a known extent leaves the messages behind it readable.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Of the plaintext of a record.
    pub const fn new(record: &'a [u8]) -> Self {
        Self { rest: record }
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<Message, BadMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = core::mem::take(&mut self.rest);
        let tag = *rest.first()?;
        let msg_id = rest.get(1).copied().map(MsgId);
        let bad = |why| BadMessage { msg_id, why };
        let split = |len| rest.split_at_checked(len).ok_or(MessageDrop::Truncated);
        let (message, behind) = match extent(tag, rest).and_then(split) {
            Ok(parts) => parts,
            Err(why) => return Some(Err(bad(why))),
        };
        self.rest = behind;
        Some(parse(tag, message).map_err(bad))
    }
}

/// Octets at the front of `octets` that belong to the message there.
fn extent(tag: u8, octets: &[u8]) -> Result<usize, MessageDrop> {
    let extent = match tag {
        TAG_MKD => Some(26),
        TAG_SPD => Spd::extent(octets),
        TAG_ACK => Some(2),
        TAG_REQ => Some(octets.len()),
        TAG_CFG => octets.get(2..).and_then(|body| Some(4 + usize::from(Reader(body).u16()?))),
        TAG_ERR => Some(3),
        TAG_PATH => Some(PathTold::OCTETS),
        TAG_FOLLOWED => Some(Followed::OCTETS),
        other => return Err(MessageDrop::UnknownMessage(other)),
    };
    extent.ok_or(MessageDrop::Truncated)
}

/// Reads a message that is exactly `octets`.
fn parse(tag: u8, octets: &[u8]) -> Result<Message, MessageDrop> {
    let mut reader = Reader(octets);
    let _tag = reader.u8();
    let msg_id = MsgId(reader.u8().ok_or(MessageDrop::Truncated)?);
    match tag {
        TAG_MKD => parse_mkd(msg_id, reader).ok_or(MessageDrop::Truncated).map(Message::Mkd),
        TAG_SPD => Spd::parse(msg_id, reader.rest()).map(Message::Spd),
        TAG_ACK => Ok(Message::Ack { msg_id }),
        TAG_REQ => parse_req(msg_id, reader).map(Message::Req),
        TAG_CFG => {
            let _len = reader.u16();
            let cfg = Cfg::parse(reader.rest()).map_err(MessageDrop::Cfg)?;
            Ok(Message::Cfg { msg_id, cfg })
        }
        TAG_ERR => {
            let error = reader.u8().ok_or(MessageDrop::Truncated)?;
            Ok(Message::Err { msg_id, error: KeyError::from_wire(error) })
        }
        TAG_PATH => PathTold::parse(msg_id, reader).ok_or(MessageDrop::Tree).map(Message::Path),
        TAG_FOLLOWED => Followed::parse(reader).ok_or(MessageDrop::Tree).map(Message::Followed),
        other => Err(MessageDrop::UnknownMessage(other)),
    }
}

fn parse_mkd(msg_id: MsgId, mut reader: Reader<'_>) -> Option<Mkd> {
    Some(Mkd {
        msg_id,
        csb_id: CsbId(reader.u32()?),
        generation: Generation(reader.u16()?),
        group: GroupId(reader.u16()?),
        tgk: Tgk(Secret::new(reader.array()?)),
    })
}

fn parse_req(msg_id: MsgId, mut reader: Reader<'_>) -> Result<Req, MessageDrop> {
    let mut req = Req {
        msg_id,
        csb_id: CsbId(reader.u32().ok_or(MessageDrop::Truncated)?),
        tek_id: TekId::new(reader.u16().ok_or(MessageDrop::Truncated)?),
        wishes: Vec::new(),
    };
    while !reader.is_empty() {
        let group = GroupId(reader.u16().ok_or(MessageDrop::Truncated)?);
        let role = match reader.u8().ok_or(MessageDrop::Truncated)? {
            0 => None,
            bits => Some(Role::new(bits).ok_or(MessageDrop::Role(bits))?),
        };
        if req.wishes.iter().any(|other| other.group == group) {
            return Err(MessageDrop::GroupRepeated(group));
        }
        req.wishes.push(Wish { group, role }).map_err(|_| MessageDrop::GroupsTooMany)?;
    }
    Ok(req)
}
