//! What is asked and set before a co-processor is of use, and how its answers are judged.

use super::event::{Fault, Incompatibility};
use lowgate_mac::RadioConfig;
use lowgate_spinel::{
    Capability, PROTOCOL_VERSION, Property, RCP_API_VERSION, RCP_API_VERSION_MIN, RadioCaps,
    Reader, Status, Writer,
};
use lowgate_units::Eui64;

/// While scanning: takes what is for any PAN.
const ANY_PAN: u16 = 0xffff;
/// Nothing is for us by short address.
const NO_SHORT: u16 = 0xfffe;
/// A firmware's name is cut there.
const VERSION_CHARS_MAX: usize = 128;

/// What is asked, in this order.
pub const QUESTIONS: [Property; 7] = [
    Property::PROTOCOL_VERSION,
    Property::CAPS,
    Property::NCP_VERSION,
    Property::HWADDR,
    Property::RCP_API_VERSION,
    Property::RCP_MIN_HOST_API_VERSION,
    Property::RADIO_CAPS,
];

/// What is set, in this order: OpenThread's co-processors refuse addresses while the PHY is off.
pub(super) const SETTINGS: [Property; 6] = [
    Property::PHY_ENABLED,
    Property::MAC_15_4_PANID,
    Property::MAC_15_4_SADDR,
    Property::MAC_15_4_LADDR,
    Property::PHY_CHAN,
    Property::MAC_RAW_STREAM_ENABLED,
];

/// Appends what `property` is set to.
pub(super) fn write_setting(property: Property, config: &RadioConfig, writer: Writer) -> Writer {
    match property {
        Property::MAC_15_4_PANID => writer.u16(config.pan_id.map_or(ANY_PAN, |pan| pan.raw())),
        Property::MAC_15_4_SADDR => writer.u16(config.short.map_or(NO_SHORT, |addr| addr.raw())),
        Property::MAC_15_4_LADDR => writer.eui64(config.eui64),
        Property::PHY_CHAN => writer.u8(config.channel.number()),
        // PHY and raw stream, the only others of SETTINGS.
        _ => writer.boolean(true),
    }
}

/// Between `old` and `new` this property stays as it is.
pub(super) fn is_unchanged(property: Property, old: &RadioConfig, new: &RadioConfig) -> bool {
    match property {
        Property::MAC_15_4_PANID => old.pan_id == new.pan_id,
        Property::MAC_15_4_SADDR => old.short == new.short,
        Property::MAC_15_4_LADDR => old.eui64 == new.eui64,
        Property::PHY_CHAN => old.channel == new.channel,
        _ => true,
    }
}

/// Why an answer ends the initialisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    Fault(Fault),
    Incompatible(Incompatibility),
}

/// Why a co-processor that answers one of [`QUESTIONS`] like this is of no use to us.
pub fn objection(property: Property, answer: Result<&[u8], Status>) -> Option<Incompatibility> {
    match Identity::default().answered(property, answer) {
        Ok(()) | Err(Objection::Fault(_)) => None,
        Err(Objection::Incompatible(what)) => Some(what),
    }
}

/// What a co-processor said of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    pub(super) version: String,
    pub(super) eui64: Option<Eui64>,
    pub(super) api: u32,
}

impl Identity {
    /// The answer to one of [`QUESTIONS`].
    pub(super) fn answered(
        &mut self,
        property: Property,
        answer: Result<&[u8], Status>,
    ) -> Result<(), Objection> {
        match answer {
            Ok(value) => self.learn(property, value),
            Err(status) => self.refused(property, status),
        }
    }

    /// Some of it we can do without.
    fn refused(&self, property: Property, status: Status) -> Result<(), Objection> {
        match property {
            Property::PROTOCOL_VERSION | Property::CAPS => {
                Err(Objection::Fault(Fault::Refused(property, status)))
            }
            Property::RCP_API_VERSION => {
                Err(Objection::Incompatible(Incompatibility::ApiTooOld { api: 0 }))
            }
            _ => Ok(()),
        }
    }

    fn learn(&mut self, property: Property, value: &[u8]) -> Result<(), Objection> {
        let mut reader = Reader::new(value);
        let nonsense = |_| Objection::Fault(Fault::Nonsense(property));
        let objection = match property {
            Property::PROTOCOL_VERSION => {
                let major = reader.packed().map_err(nonsense)?;
                (major != PROTOCOL_VERSION.0).then_some(Incompatibility::Protocol { major })
            }
            Property::CAPS => (!is_raw_link(reader)).then_some(Incompatibility::NoRawLink),
            Property::NCP_VERSION => {
                let text = reader.text().unwrap_or_default();
                self.version = text.chars().take(VERSION_CHARS_MAX).collect();
                None
            }
            Property::HWADDR => {
                self.eui64 = reader.eui64().ok();
                None
            }
            Property::RCP_API_VERSION => {
                self.api = reader.packed().map_err(nonsense)?;
                (self.api < RCP_API_VERSION_MIN)
                    .then_some(Incompatibility::ApiTooOld { api: self.api })
            }
            Property::RCP_MIN_HOST_API_VERSION => {
                let needed = reader.packed().map_err(nonsense)?;
                (needed > RCP_API_VERSION).then_some(Incompatibility::HostTooOld { needed })
            }
            Property::RADIO_CAPS => {
                let caps = RadioCaps(reader.packed().map_err(nonsense)?);
                (!caps.contains(RadioCaps::NEEDED))
                    .then_some(Incompatibility::NoLinkMachine { caps: caps.0 })
            }
            _ => None, // none of the QUESTIONS
        };
        objection.map_or(Ok(()), |what| Err(Objection::Incompatible(what)))
    }
}

fn is_raw_link(mut capabilities: Reader<'_>) -> bool {
    core::iter::from_fn(|| capabilities.packed().ok())
        .any(|raw| [Capability::MAC_RAW, Capability::CONFIG_RADIO].contains(&Capability(raw)))
}
