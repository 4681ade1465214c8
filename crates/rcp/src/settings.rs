//! What the host set, and what every reset forgets.

use lowgate_mac::RadioConfig;
use lowgate_spinel::{
    Capability, PROTOCOL_VERSION, Property, RCP_API_VERSION, RCP_API_VERSION_MIN, RadioCaps,
    Reader, Status, Writer,
};
use lowgate_units::{Channel, Eui64, Instant, PanId, ShortAddr};

/// Thread's number: hosts of other kinds do not ask.
const INTERFACE_TYPE_THREAD: u32 = 3;
const CAPABILITIES: [Capability; 4] = [
    Capability::CONFIG_RADIO,
    Capability::MAC_RAW,
    Capability::RCP_API_VERSION,
    Capability::RCP_MIN_HOST_API_VERSION,
];
const NO_PAN: u16 = 0xffff;
const NO_SHORT: u16 = 0xfffe;
const CHANNELS: core::ops::RangeInclusive<u8> = 11..=26;

/// Values of the properties.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) phy_enabled: bool,
    pub(crate) raw_stream: bool,
    pub(crate) channel: u8,
    pan_id: u16,
    short: u16,
    eui64: Eui64,
    promiscuous: u8,
    tx_power_dbm: i8,
    cca_threshold_dbm: i8,
    source_match: bool,
    pub(crate) last_status: Status,
}

impl Settings {
    pub(crate) const fn new(eui64: Eui64, status: Status) -> Self {
        Self {
            phy_enabled: false,
            raw_stream: false,
            channel: *CHANNELS.start(),
            pan_id: NO_PAN,
            short: NO_SHORT,
            eui64,
            promiscuous: 0,
            tx_power_dbm: 0,
            cca_threshold_dbm: -75,
            source_match: false,
            last_status: status,
        }
    }

    /// Frames may pass.
    pub(crate) const fn streams(&self) -> bool {
        self.phy_enabled && self.raw_stream
    }

    /// For the radio; `None` while the PHY is off.
    pub(crate) fn radio(&self) -> Option<RadioConfig> {
        let channel = Channel::new(self.channel).filter(|_| self.phy_enabled)?;
        Some(RadioConfig {
            channel,
            pan_id: PanId::new(self.pan_id),
            short: ShortAddr::new(self.short),
            eui64: self.eui64,
            promiscuous: self.promiscuous != 0,
        })
    }

    /// `None` for a property we do not have, or whose value cannot be asked for.
    pub(crate) fn get(
        &self,
        property: Property,
        now: Instant,
        hwaddr: Eui64,
        version: &str,
        writer: Writer,
    ) -> Option<Writer> {
        Some(match property {
            Property::LAST_STATUS => writer.packed(self.last_status.0),
            Property::PROTOCOL_VERSION => {
                writer.packed(PROTOCOL_VERSION.0).packed(PROTOCOL_VERSION.1)
            }
            Property::NCP_VERSION => writer.text(version),
            Property::INTERFACE_TYPE => writer.packed(INTERFACE_TYPE_THREAD),
            Property::CAPS => {
                CAPABILITIES.iter().fold(writer, |writer, capability| writer.packed(capability.0))
            }
            Property::INTERFACE_COUNT => writer.u8(1),
            Property::HWADDR => writer.eui64(hwaddr),
            Property::RCP_API_VERSION => writer.packed(RCP_API_VERSION),
            Property::RCP_MIN_HOST_API_VERSION => writer.packed(RCP_API_VERSION_MIN),
            Property::RCP_TIMESTAMP => writer.u64(now.as_micros()),
            Property::RADIO_CAPS => writer.packed(RadioCaps::NEEDED.0),
            _ => return self.get_radio(property, writer),
        })
    }

    fn get_radio(&self, property: Property, writer: Writer) -> Option<Writer> {
        Some(match property {
            Property::PHY_ENABLED => writer.boolean(self.phy_enabled),
            Property::PHY_CHAN => writer.u8(self.channel),
            Property::PHY_CHAN_SUPPORTED | Property::PHY_CHAN_PREFERRED => {
                CHANNELS.fold(writer, Writer::u8)
            }
            Property::PHY_CCA_THRESHOLD => writer.i8(self.cca_threshold_dbm),
            Property::PHY_TX_POWER => writer.i8(self.tx_power_dbm),
            // The seam tells neither: the noise of an idle channel, and the standard's sensitivity.
            Property::PHY_RSSI => writer.i8(i8::MIN),
            Property::PHY_RX_SENSITIVITY => writer.i8(-85),
            Property::MAC_SCAN_STATE => writer.u8(0),
            Property::MAC_15_4_LADDR => writer.eui64(self.eui64),
            Property::MAC_15_4_SADDR => writer.u16(self.short),
            Property::MAC_15_4_PANID => writer.u16(self.pan_id),
            Property::MAC_RAW_STREAM_ENABLED => writer.boolean(self.raw_stream),
            Property::MAC_PROMISCUOUS_MODE => writer.u8(self.promiscuous),
            Property::MAC_SRC_MATCH_ENABLED => writer.boolean(self.source_match),
            _ => return None,
        })
    }

    /// Nothing changes when it fails.
    pub(crate) fn set(&mut self, property: Property, value: &[u8]) -> Result<(), Status> {
        let mut reader = Reader::new(value);
        match property {
            Property::PHY_ENABLED => self.phy_enabled = reader.boolean()?,
            Property::PHY_CHAN => self.channel = self.channel(reader.u8()?)?,
            Property::PHY_CCA_THRESHOLD => self.cca_threshold_dbm = reader.i8()?,
            Property::PHY_TX_POWER => self.tx_power_dbm = reader.i8()?,
            Property::MAC_15_4_LADDR => self.eui64 = reader.eui64()?,
            Property::MAC_15_4_SADDR => self.short = reader.u16()?,
            Property::MAC_15_4_PANID => self.pan_id = reader.u16()?,
            Property::MAC_RAW_STREAM_ENABLED => self.raw_stream = reader.boolean()?,
            Property::MAC_PROMISCUOUS_MODE => self.promiscuous = promiscuous(reader.u8()?)?,
            Property::MAC_SRC_MATCH_ENABLED => self.source_match = reader.boolean()?,
            // The link machine knows no sleeping neighbours: the lists are taken and not used.
            Property::MAC_SRC_MATCH_SHORT_ADDRESSES
            | Property::MAC_SRC_MATCH_EXTENDED_ADDRESSES => {}
            _ => return Err(Status::PROP_NOT_FOUND),
        }
        Ok(())
    }

    fn channel(&self, number: u8) -> Result<u8, Status> {
        Channel::new(number).map(Channel::number).ok_or(Status::INVALID_ARGUMENT)
    }
}

/// Off, everything of our network, everything. To the seam the latter two are the same.
fn promiscuous(mode: u8) -> Result<u8, Status> {
    if mode > Property::PROMISCUOUS { Err(Status::INVALID_ARGUMENT) } else { Ok(mode) }
}
