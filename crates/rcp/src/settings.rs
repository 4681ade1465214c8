//! What the host set, and what every reset forgets.

use crate::radio::{Levels, RadioReach};
use lowgate_mac::{RadioConfig, SourceMatch, SourceMatchRefused};
use lowgate_spinel::{
    Capability, PROTOCOL_VERSION, PackDrop, Property, RCP_API_VERSION, RCP_API_VERSION_MIN,
    RadioCaps, Reader, Status, Writer,
};
use lowgate_units::{Channel, Duration, Eui64, Instant, LinkAddr, PanId, ShortAddr};

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
/// A look for energy takes so long before anybody said otherwise: OpenThread's default.
const SCAN_PERIOD_MS: u16 = 200;

/// What the co-processor is, beside what was set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nature {
    pub(crate) hwaddr: Eui64,
    pub(crate) version: &'static str,
    pub(crate) reach: RadioReach,
    pub(crate) bootloader: bool,
    pub(crate) scans: bool,
}

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
    pub(crate) levels: Levels,
    pub(crate) source_match: SourceMatch,
    /// One bit for each channel.
    scan_mask: u32,
    scan_period_ms: u16,
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
            levels: Levels::DEFAULT,
            source_match: SourceMatch::new(),
            scan_mask: 0,
            scan_period_ms: SCAN_PERIOD_MS,
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

    /// The channel to look at; OpenThread's co-processors take one at a time, and so do we.
    pub(crate) fn scan_channel(&self) -> Option<Channel> {
        let mut channels = self.scan_channels();
        channels.next().filter(|_| channels.next().is_none())
    }

    pub(crate) fn scan_period(&self) -> Duration {
        Duration::from_millis(self.scan_period_ms.into())
    }

    fn scan_channels(&self) -> impl Iterator<Item = Channel> {
        CHANNELS.filter(|number| self.scan_mask >> number & 1 == 1).filter_map(Channel::new)
    }

    /// `None` for a property we do not have, or whose value cannot be asked for.
    pub(crate) fn get(
        &self,
        property: Property,
        now: Instant,
        nature: Nature,
        writer: Writer,
    ) -> Option<Writer> {
        Some(match property {
            Property::LAST_STATUS => writer.packed(self.last_status.0),
            Property::PROTOCOL_VERSION => {
                writer.packed(PROTOCOL_VERSION.0).packed(PROTOCOL_VERSION.1)
            }
            Property::NCP_VERSION => writer.text(nature.version),
            Property::INTERFACE_TYPE => writer.packed(INTERFACE_TYPE_THREAD),
            Property::CAPS => {
                let bootloader = Capability::RCP_RESET_TO_BOOTLOADER;
                let more = nature.bootloader.then_some(bootloader);
                CAPABILITIES.into_iter().chain(more).fold(writer, |writer, it| writer.packed(it.0))
            }
            Property::INTERFACE_COUNT => writer.u8(1),
            Property::HWADDR => writer.eui64(nature.hwaddr),
            Property::RCP_API_VERSION => writer.packed(RCP_API_VERSION),
            Property::RCP_MIN_HOST_API_VERSION => writer.packed(RCP_API_VERSION_MIN),
            Property::RCP_TIMESTAMP => writer.u64(now.as_micros()),
            Property::RADIO_CAPS => writer.packed(match nature.reach {
                RadioReach::Seam => RadioCaps::NEEDED.0,
                RadioReach::Beyond => RadioCaps::ALL.0,
            }),
            Property::MAC_SCAN_STATE if nature.scans => writer.u8(Property::SCAN_ENERGY),
            Property::MAC_SCAN_STATE => writer.u8(Property::SCAN_IDLE),
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
            Property::PHY_CCA_THRESHOLD => writer.i8(self.levels.cca_threshold_dbm),
            Property::PHY_TX_POWER => writer.i8(self.levels.tx_power_dbm),
            // The seam tells neither: the noise of an idle channel, and the standard's sensitivity.
            Property::PHY_RSSI => writer.i8(i8::MIN),
            Property::PHY_RX_SENSITIVITY => writer.i8(-85),
            Property::MAC_SCAN_MASK => {
                self.scan_channels().fold(writer, |writer, channel| writer.u8(channel.number()))
            }
            Property::MAC_SCAN_PERIOD => writer.u16(self.scan_period_ms),
            Property::MAC_15_4_LADDR => writer.eui64(self.eui64),
            Property::MAC_15_4_SADDR => writer.u16(self.short),
            Property::MAC_15_4_PANID => writer.u16(self.pan_id),
            Property::MAC_RAW_STREAM_ENABLED => writer.boolean(self.raw_stream),
            Property::MAC_PROMISCUOUS_MODE => writer.u8(self.promiscuous),
            Property::MAC_SRC_MATCH_ENABLED => writer.boolean(self.source_match.enabled),
            Property::MAC_SRC_MATCH_SHORT_ADDRESSES => {
                self.source_match.short().iter().fold(writer, |writer, it| writer.u16(it.raw()))
            }
            Property::MAC_SRC_MATCH_EXTENDED_ADDRESSES => {
                self.source_match.extended().iter().fold(writer, |writer, it| writer.eui64(*it))
            }
            _ => return None,
        })
    }

    /// Nothing changes when it fails.
    pub(crate) fn set(&mut self, property: Property, value: &[u8]) -> Result<(), Status> {
        let mut reader = Reader::new(value);
        match property {
            Property::PHY_ENABLED => self.phy_enabled = reader.boolean()?,
            Property::PHY_CHAN => self.channel = channel(reader.u8()?)?,
            Property::PHY_CCA_THRESHOLD => self.levels.cca_threshold_dbm = reader.i8()?,
            Property::PHY_TX_POWER => self.levels.tx_power_dbm = reader.i8()?,
            Property::MAC_SCAN_MASK => {
                let add = |mask, octet: &u8| channel(*octet).map(|number| mask | 1_u32 << number);
                self.scan_mask = value.iter().try_fold(0, add)?;
            }
            Property::MAC_SCAN_PERIOD => self.scan_period_ms = reader.u16()?,
            Property::MAC_15_4_LADDR => self.eui64 = reader.eui64()?,
            Property::MAC_15_4_SADDR => self.short = reader.u16()?,
            Property::MAC_15_4_PANID => self.pan_id = reader.u16()?,
            Property::MAC_RAW_STREAM_ENABLED => self.raw_stream = reader.boolean()?,
            Property::MAC_PROMISCUOUS_MODE => self.promiscuous = promiscuous(reader.u8()?)?,
            Property::MAC_SRC_MATCH_ENABLED => self.source_match.enabled = reader.boolean()?,
            Property::MAC_SRC_MATCH_SHORT_ADDRESSES
            | Property::MAC_SRC_MATCH_EXTENDED_ADDRESSES => self.list(property, value)?,
            _ => return Err(Status::PROP_NOT_FOUND),
        }
        Ok(())
    }

    /// A whole list in place of the one before.
    fn list(&mut self, property: Property, value: &[u8]) -> Result<(), Status> {
        let mut new = self.source_match.clone();
        match property {
            Property::MAC_SRC_MATCH_SHORT_ADDRESSES => new.clear_short(),
            _ => new.clear_extended(),
        }
        let mut reader = Reader::new(value);
        while !reader.rest().is_empty() {
            new.insert(item(property, &mut reader)?).map_err(refused)?;
        }
        self.source_match = new;
        Ok(())
    }

    /// Adds to a list what is in front of `value`; the rest of it is passed over.
    pub(crate) fn insert(&mut self, property: Property, value: &[u8]) -> Result<(), Status> {
        let addr = item(property, &mut Reader::new(value))?;
        self.source_match.insert(addr).map_err(refused)
    }

    /// Takes it away.
    pub(crate) fn remove(&mut self, property: Property, value: &[u8]) -> Result<(), Status> {
        let addr = item(property, &mut Reader::new(value))?;
        self.source_match.remove(addr).map_err(refused)
    }
}

fn channel(number: u8) -> Result<u8, Status> {
    Channel::new(number).map(Channel::number).ok_or(Status::INVALID_ARGUMENT)
}

/// Off, everything of our network, everything. To the seam the latter two are the same.
fn promiscuous(mode: u8) -> Result<u8, Status> {
    if mode > Property::PROMISCUOUS { Err(Status::INVALID_ARGUMENT) } else { Ok(mode) }
}

/// One of a list.
fn item(property: Property, reader: &mut Reader<'_>) -> Result<LinkAddr, Status> {
    match property {
        Property::MAC_SRC_MATCH_SHORT_ADDRESSES => {
            let short = ShortAddr::new(reader.u16()?);
            short.map(LinkAddr::Short).ok_or(Status::INVALID_ARGUMENT)
        }
        Property::MAC_SRC_MATCH_EXTENDED_ADDRESSES => {
            reader.eui64().map(LinkAddr::Extended).map_err(|drop: PackDrop| drop.into())
        }
        _ => Err(Status::PROP_NOT_FOUND),
    }
}

const fn refused(why: SourceMatchRefused) -> Status {
    match why {
        SourceMatchRefused::Full => Status::NOMEM,
        SourceMatchRefused::Absent => Status::ITEM_NOT_FOUND,
    }
}
