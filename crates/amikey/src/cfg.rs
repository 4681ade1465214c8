//! The Configuration object of RFC 9031 section 8.4.2 with this network's private parameters.
//!
//! | label | value | here |
//! |---|---|---|
//! | 2 | key set: array of key_id uint, usage int (0 if left out), key bstr | [`Cfg::keys`] |
//! | 3 | short identifier: array of bstr(2), lease uint in hours (optional) | [`Cfg::short`], [`Cfg::lease_hours`] |
//! | 4 | address of the manager: bstr(16) | [`Cfg::manager`] |
//! | 5 | network identifier, here the PAN's: bstr(2) | [`Cfg::pan_id`] |
//! | 7 | join rate: uint, octets per second; 0 closes | [`Cfg::join_rate`] |
//! | -65537 | least own frame counter: uint 32 | [`Cfg::counter_floor`] |
//! | -65538 | the same as 5: read, never written | [`Cfg::pan_id`] |
//! | -65539 | channel: uint | [`Cfg::channel`] |
//! | -65540 | prefix of the mesh, a /64 and context 0: bstr(8) | [`Cfg::prefix`] |
//! | -65541 | activation of the key set: null (only stage it) or uint (switch after so many ms) | [`Cfg::activation`] |
//! | -65542 | keys of pairs: array of set uint, generation uint, degree uint, devices lost uint | [`Cfg::pairs`] |
//!
//! **Invariant:** pure functions of octets. Emission is deterministic (RFC 8949 section 4.2.1).
//! Parsing refuses wrong types, repeated labels and indefinite lengths.

use core::net::Ipv6Addr;
use heapless::Vec;
use lowgate_crypto::Key128;
use lowgate_units::{Channel, PanId, ShortAddr};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use crate::KeyIndex;
use crate::pairs::Offered;
use crate::pairwise::{SetName, check_degree};
use crate::wire::{NoRoom, Writer};

/// Link keys one configuration may carry.
pub const KEYS_MAX: usize = 4;
/// Octets [`Cfg::emit`] writes at most.
pub const CFG_OCTETS_MAX: usize = 208;

const KEY_SET: i64 = 2;
const SHORT_IDENTIFIER: i64 = 3;
const JRC_ADDRESS: i64 = 4;
const NETWORK_IDENTIFIER: i64 = 5;
const JOIN_RATE: i64 = 7;
const COUNTER_FLOOR: i64 = -65537;
const PAN_ID: i64 = -65538;
const CHANNEL: i64 = -65539;
const PREFIX: i64 = -65540;
const ACTIVATION: i64 = -65541;
const PAIRS: i64 = -65542;

/// A usage of RFC 9031 table 6, 0 to 14: all for TSCH, so none of them for this network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SixTischUsage(u8);

impl SixTischUsage {
    /// `None` above 14.
    pub const fn new(raw: u8) -> Option<Self> {
        if raw > 14 { None } else { Some(Self(raw)) }
    }

    /// The number of table 6.
    pub const fn raw(self) -> u8 {
        self.0
    }
}

/// How frames are protected with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUsage {
    /// For TSCH; understood, not usable here.
    SixTisch(SixTischUsage),
    /// Level 5, nonce from the frame counter.
    EncMic32,
    /// Level 6, nonce from the frame counter.
    EncMic64,
    /// Level 7, nonce from the frame counter.
    EncMic128,
}

impl KeyUsage {
    const fn from_wire(number: i64) -> Option<Self> {
        match number {
            0..=14 => Some(Self::SixTisch(SixTischUsage(number as u8))),
            -65537 => Some(Self::EncMic32),
            -65538 => Some(Self::EncMic64),
            -65539 => Some(Self::EncMic128),
            _ => None,
        }
    }

    const fn number(self) -> i64 {
        match self {
            Self::SixTisch(usage) => usage.0 as i64,
            Self::EncMic32 => -65537,
            Self::EncMic64 => -65538,
            Self::EncMic128 => -65539,
        }
    }
}

/// A link key, key identifier mode 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkKey {
    /// What frames call it.
    pub index: KeyIndex,
    /// How frames are protected with it.
    pub usage: KeyUsage,
    /// The key.
    pub key: Key128,
}

/// When the keys of a set are sent with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing was said: RFC 9031 sections 8.4.3.1 and 8.4.3.2. Whoever has no key yet and a border
    /// router use them at once, everybody else when it hears an authentic frame under one.
    #[default]
    ByRole,
    /// When an authentic frame under one is heard or another configuration says so, whatever the
    /// role.
    Stage,
    /// After so many milliseconds.
    Switch {
        /// Delay; 0 is at once.
        after_ms: u32,
    },
}

/// What is wrong with a configuration; the number is the label at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CfgDrop {
    /// Not a map of definite length with integer labels, or it ends early.
    Malformed,
    /// Octets are left over.
    Trailing,
    /// A label was given twice.
    Repeated(i32),
    /// The value has the wrong type or lies outside its range.
    Value(i32),
    /// A private label nobody told us.
    UnknownPrivate,
    /// An empty key set (RFC 9031 section 8.4.2: at least one).
    KeysMissing,
    /// More than [`KEYS_MAX`] keys.
    KeysTooMany,
    /// Two keys of one index, or one key under two usages.
    KeyRepeated,
}

/// Link keys, addresses and parameters of a device; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cfg {
    /// Keys to install; empty when the message is not about keys.
    pub keys: Vec<LinkKey, KEYS_MAX>,
    /// The device's short address.
    pub short: Option<ShortAddr>,
    /// Hours for which the short address is lent; `None` is for ever. Nothing without
    /// [`Self::short`].
    pub lease_hours: Option<u32>,
    /// Where the domain manager is.
    pub manager: Option<Ipv6Addr>,
    /// Octets of join traffic per second that may pass a relay; 0 closes.
    pub join_rate: Option<u32>,
    /// The device's own frame counter starts no lower.
    pub counter_floor: Option<u32>,
    /// The network.
    pub pan_id: Option<PanId>,
    /// Where it is.
    pub channel: Option<Channel>,
    /// High half of the mesh's addresses: for the border router, which announces it.
    pub prefix: Option<[u8; 8]>,
    /// When [`Self::keys`] are sent with.
    pub activation: Activation,
    /// The polynomial that the device is to have its share of.
    pub pairs: Option<Offered>,
}

impl Cfg {
    /// Reads exactly one configuration.
    ///
    /// # Errors
    /// The first fault.
    pub fn parse(octets: &[u8]) -> Result<Self, CfgDrop> {
        let mut decoder = Decoder::new(octets);
        let entries = decoder.map().ok().flatten().ok_or(CfgDrop::Malformed)?;
        let mut cfg = Self::default();
        let mut seen = 0u32;
        for _ in 0..entries {
            let label = decoder.i64().map_err(|_| CfgDrop::Malformed)?;
            let Some(bit) = bit_of(label) else {
                // RFC 9031 leaves labels to later documents; private ones we would have to know.
                if label < 0 {
                    return Err(CfgDrop::UnknownPrivate);
                }
                decoder.skip().map_err(|_| CfgDrop::Malformed)?;
                continue;
            };
            if seen & bit != 0 {
                return Err(CfgDrop::Repeated(label as i32));
            }
            seen |= bit;
            cfg.read(label, &mut decoder)?;
        }
        if decoder.position() == octets.len() { Ok(cfg) } else { Err(CfgDrop::Trailing) }
    }

    fn read(&mut self, label: i64, decoder: &mut Decoder<'_>) -> Result<(), CfgDrop> {
        let fault = CfgDrop::Value(label as i32);
        match label {
            KEY_SET => self.keys = read_keys(decoder)?,
            SHORT_IDENTIFIER => self.read_short(decoder).ok_or(fault)?,
            JRC_ADDRESS => {
                // RFC 9031 section 8.4.2: with another length than 16 it MUST be discarded.
                let octets = decoder.bytes().map_err(|_| fault)?;
                self.manager = <[u8; 16]>::try_from(octets).ok().map(Ipv6Addr::from);
            }
            JOIN_RATE => self.join_rate = Some(decoder.u32().map_err(|_| fault)?),
            COUNTER_FLOOR => self.counter_floor = Some(decoder.u32().map_err(|_| fault)?),
            NETWORK_IDENTIFIER | PAN_ID => {
                let octets = bytes(decoder).ok_or(fault)?;
                self.pan_id = Some(PanId::new(u16::from_be_bytes(octets)).ok_or(fault)?);
            }
            CHANNEL => {
                let number = decoder.u8().map_err(|_| fault)?;
                self.channel = Some(Channel::new(number).ok_or(fault)?);
            }
            PREFIX => self.prefix = Some(bytes(decoder).ok_or(fault)?),
            ACTIVATION => {
                self.activation = if matches!(decoder.datatype(), Ok(Type::Null)) {
                    decoder.null().map_err(|_| fault)?;
                    Activation::Stage
                } else {
                    Activation::Switch { after_ms: decoder.u32().map_err(|_| fault)? }
                };
            }
            PAIRS => self.pairs = Some(read_pairs(decoder).ok_or(fault)?),
            other => unreachable!("label {other} has a bit and so a place here"),
        }
        Ok(())
    }

    /// `None` for a wrong type.
    fn read_short(&mut self, decoder: &mut Decoder<'_>) -> Option<()> {
        let elements = decoder.array().ok()??;
        let identifier = decoder.bytes().ok()?;
        let lease_hours = match elements {
            1 => None,
            2 => Some(decoder.u32().ok()?),
            _ => return None,
        };
        // RFC 9031 section 8.4.4: an invalid identifier MUST be ignored silently; 8.4.4.1: invalid
        // are other lengths than 2 and the numbers 0xfffe and 0xffff.
        let raw = <[u8; 2]>::try_from(identifier).ok().map(u16::from_be_bytes);
        if let Some(short) = raw.and_then(ShortAddr::new) {
            (self.short, self.lease_hours) = (Some(short), lease_hours);
        }
        Some(())
    }

    /// Writes it and says how long it is.
    ///
    /// # Errors
    /// When `out` is too short; [`CFG_OCTETS_MAX`] always suffice.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        self.emit_into(&mut writer)?;
        Ok(writer.written())
    }

    pub(crate) fn emit_into(&self, writer: &mut Writer<'_>) -> Result<(), NoRoom> {
        self.encode(&mut Encoder::new(writer)).map_err(|_| NoRoom)
    }

    // RFC 8949 section 4.2.1: labels in the bytewise order of their encodings, positive before
    // negative.
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut Encoder<W>,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.map(self.entries())?;
        if !self.keys.is_empty() {
            encoder.i64(KEY_SET)?;
            encode_keys(&self.keys, encoder)?;
        }
        if let Some(short) = self.short {
            encoder.i64(SHORT_IDENTIFIER)?.array(1 + u64::from(self.lease_hours.is_some()))?;
            encoder.bytes(&short.raw().to_be_bytes())?;
            if let Some(hours) = self.lease_hours {
                encoder.u32(hours)?;
            }
        }
        if let Some(manager) = self.manager {
            encoder.i64(JRC_ADDRESS)?.bytes(&manager.octets())?;
        }
        if let Some(pan_id) = self.pan_id {
            encoder.i64(NETWORK_IDENTIFIER)?.bytes(&pan_id.raw().to_be_bytes())?;
        }
        if let Some(rate) = self.join_rate {
            encoder.i64(JOIN_RATE)?.u32(rate)?;
        }
        if let Some(floor) = self.counter_floor {
            encoder.i64(COUNTER_FLOOR)?.u32(floor)?;
        }
        if let Some(channel) = self.channel {
            encoder.i64(CHANNEL)?.u8(channel.number())?;
        }
        if let Some(prefix) = self.prefix {
            encoder.i64(PREFIX)?.bytes(&prefix)?;
        }
        match self.activation {
            Activation::ByRole => {}
            Activation::Stage => _ = encoder.i64(ACTIVATION)?.null()?,
            Activation::Switch { after_ms } => _ = encoder.i64(ACTIVATION)?.u32(after_ms)?,
        }
        if let Some(Offered { name: SetName { set, generation }, degree, lost }) = self.pairs {
            encoder.i64(PAIRS)?.array(4)?.u16(set)?.u8(generation)?.u16(degree)?.u16(lost)?;
        }
        Ok(())
    }

    fn entries(&self) -> u64 {
        [
            !self.keys.is_empty(),
            self.short.is_some(),
            self.manager.is_some(),
            self.join_rate.is_some(),
            self.counter_floor.is_some(),
            self.pan_id.is_some(),
            self.channel.is_some(),
            self.prefix.is_some(),
            self.activation != Activation::ByRole,
            self.pairs.is_some(),
        ]
        .into_iter()
        .map(u64::from)
        .sum()
    }
}

/// A bit of its own for all that we know, whichever of its labels names it.
const fn bit_of(label: i64) -> Option<u32> {
    match label {
        PAN_ID => bit_of(NETWORK_IDENTIFIER),
        KEY_SET | SHORT_IDENTIFIER | JRC_ADDRESS | NETWORK_IDENTIFIER | JOIN_RATE => {
            Some(1 << label)
        }
        PAIRS..=COUNTER_FLOOR => Some(1 << (16 + COUNTER_FLOOR - label)),
        _ => None,
    }
}

fn bytes<const N: usize>(decoder: &mut Decoder<'_>) -> Option<[u8; N]> {
    decoder.bytes().ok()?.try_into().ok()
}

fn read_pairs(decoder: &mut Decoder<'_>) -> Option<Offered> {
    (decoder.array().ok()?? == 4).then_some(())?;
    let name = SetName { set: decoder.u16().ok()?, generation: decoder.u8().ok()? };
    let (degree, lost) = (decoder.u16().ok()?, decoder.u16().ok()?);
    check_degree(degree).ok()?;
    Some(Offered { name, degree, lost })
}

// RFC 9031 section 8.4.3: an invalid key MUST be discarded and the error signalled. Refusing the
// whole message does both.
fn read_keys(decoder: &mut Decoder<'_>) -> Result<Vec<LinkKey, KEYS_MAX>, CfgDrop> {
    let fault = CfgDrop::Value(KEY_SET as i32);
    let mut elements = decoder.array().ok().flatten().ok_or(fault)?;
    let mut keys: Vec<LinkKey, KEYS_MAX> = Vec::new();
    if elements == 0 {
        return Err(CfgDrop::KeysMissing);
    }
    while elements > 0 {
        let index = decoder.u8().ok().and_then(KeyIndex::new).ok_or(fault)?;
        let mut used = 2;
        let usage = match decoder.datatype() {
            // RFC 9031 section 8.4.3: if the usage is left out, 0 MUST be assumed.
            Ok(Type::Bytes) => 0,
            _ => {
                used = 3;
                decoder.i64().map_err(|_| fault)?
            }
        };
        let usage = KeyUsage::from_wire(usage).ok_or(fault)?;
        let key = Key128::new(bytes(decoder).ok_or(fault)?);
        // RFC 9031 section 8.4.3.3: one key MUST NOT serve tags of two lengths.
        if keys.iter().any(|other| other.index == index || other.key == key) {
            return Err(CfgDrop::KeyRepeated);
        }
        keys.push(LinkKey { index, usage, key }).map_err(|_| CfgDrop::KeysTooMany)?;
        // A byte string behind the key would be its additional information, which mode 1 MUST NOT
        // have; then the next element is no index, or none is left to count.
        elements = u64::checked_sub(elements, used).ok_or(fault)?;
    }
    Ok(keys)
}

fn encode_keys<W: minicbor::encode::Write>(
    keys: &[LinkKey],
    encoder: &mut Encoder<W>,
) -> Result<(), minicbor::encode::Error<W::Error>> {
    let elements = |key: &LinkKey| if key.usage.number() == 0 { 2 } else { 3 };
    encoder.array(keys.iter().map(elements).sum())?;
    for LinkKey { index, usage, key } in keys {
        encoder.u8(index.raw())?;
        if usage.number() != 0 {
            encoder.i64(usage.number())?;
        }
        encoder.bytes(key.expose())?;
    }
    Ok(())
}
