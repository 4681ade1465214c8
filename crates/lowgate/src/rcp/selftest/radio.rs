//! Steps that use the radio. Nothing here is addressed to anybody's device.

use super::line::{OWN, millis};
use super::{Done, Ended, Unmet};
use crate::rcp::dialog::{Dialog, Trouble};
use crate::rcp::info::Info;
use lowgate_mac::{MAC_MAX_CSMA_BACKOFFS, MAC_MAX_FRAME_RETRIES};
use lowgate_spinel::{
    Property, RadioCaps, RawReceived, RawTransmit, Reader, Status, Writer, psdu_fcs,
};
use lowgate_units::Channel;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// What a co-processor says that cannot tell a strength.
const STRENGTHS_UNKNOWN: [i8; 2] = [i8::MIN, i8::MAX];
const SCAN_MILLIS: u16 = 10;
const SCAN_MAX: Duration = Duration::from_secs(1);
const BEACON_REQUESTS: usize = 5;
/// On each channel.
const LISTEN_TIME: Duration = Duration::from_millis(300);

/// A command frame of 2003 that asks coordinators for their beacons.
const BEACON_REQUEST: [u8; 8] = [0x03, 0x08, 0x00, 0xff, 0xff, 0xff, 0xff, 0x07];
/// A data frame for an address that nobody has in a PAN that nobody has; it asks for an acknowledgement.
const FOR_NOBODY: [u8; 9] = [0x61, 0x88, 0x01, 0x57, 0x1e, 0xf0, 0xff, 0x42, 0x00];

/// What is set stays set.
pub(super) async fn settings(dialog: &mut Dialog, info: &Info) -> Ended {
    dialog.set(Property::PHY_ENABLED, |w| w.boolean(true)).await?;
    let channels = usable(info)?;
    for channel in &channels {
        check(dialog, "channel", Property::PHY_CHAN, |w| w.u8(*channel)).await?;
    }
    check(dialog, "PAN", Property::MAC_15_4_PANID, |w| w.u16(0x1e57)).await?;
    check(dialog, "short address", Property::MAC_15_4_SADDR, |w| w.u16(0x0042)).await?;
    check(dialog, "extended address", Property::MAC_15_4_LADDR, |w| w.eui64(OWN)).await?;
    check(dialog, "raw stream", Property::MAC_RAW_STREAM_ENABLED, |w| w.boolean(true)).await?;
    Ok(Done::new(format!("{} channels, PAN, addresses, raw stream", channels.len()), Value::Null))
}

async fn check(
    dialog: &mut Dialog,
    name: &str,
    property: Property,
    value: impl Fn(Writer) -> Writer,
) -> Result<(), Unmet> {
    let wrong = |trouble: Trouble| Unmet::Failed(format!("{name}: {trouble}"));
    dialog.set(property, &value).await.map_err(wrong)?;
    let set = value(Writer::new()).finish().expect("a few octets");
    let read = dialog.get(property).await.map_err(wrong)?;
    match read == set[..] {
        true => Ok(()),
        false => Err(Unmet::Failed(format!("{name}: set to {set:02x?}, reads {read:02x?}"))),
    }
}

/// The channels of the band that it has.
fn usable(info: &Info) -> Result<Vec<u8>, Unmet> {
    let mut channels = info.channels();
    channels.retain(|channel| Channel::new(*channel).is_some());
    match channels.is_empty() {
        true => Err(Unmet::Failed("it has no channel from 11 to 26".into())),
        false => Ok(channels),
    }
}

/// How loud it is on each channel.
pub(super) async fn energy(dialog: &mut Dialog, info: &Info) -> Ended {
    let scans = info.has(RadioCaps::ENERGY_SCAN);
    let mut found = BTreeMap::new();
    for channel in usable(info)? {
        let dbm = match scans {
            true => scan(dialog, channel).await?,
            false => look(dialog, channel).await?,
        };
        found.insert(channel, dbm);
    }
    found.retain(|_, dbm| !STRENGTHS_UNKNOWN.contains(dbm));
    let quietest = found.iter().min_by_key(|(_, dbm)| **dbm);
    let loudest = found.iter().max_by_key(|(_, dbm)| **dbm);
    let (Some(quietest), Some(loudest)) = (quietest, loudest) else {
        return Err(Unmet::NotSupported("it tells no strength".into()));
    };
    let how = if scans { "energy scan" } else { "single looks" };
    let detail = format!(
        "{how}: quietest on {} ({} dBm), loudest on {} ({} dBm)",
        quietest.0, quietest.1, loudest.0, loudest.1
    );
    Ok(Done::new(detail, json!({ "dbm": found })))
}

async fn scan(dialog: &mut Dialog, channel: u8) -> Result<i8, Unmet> {
    dialog.set(Property::MAC_SCAN_MASK, |w| w.u8(channel)).await.map_err(Unmet::optional)?;
    dialog.set(Property::MAC_SCAN_PERIOD, |w| w.u16(SCAN_MILLIS)).await?;
    dialog.set(Property::MAC_SCAN_STATE, |w| w.u8(Property::SCAN_ENERGY)).await?;
    let (until, mut dbm) = (Instant::now() + SCAN_MAX, None);
    while let Some(said) = dialog.next(until).await? {
        let mut reader = Reader::new(&said.value);
        match said.property {
            Property::MAC_ENERGY_SCAN_RESULT if reader.u8() == Ok(channel) => {
                dbm = reader.i8().ok();
            }
            Property::MAC_SCAN_STATE => break,
            _ => {}
        }
    }
    dbm.ok_or_else(|| Unmet::Failed(format!("no result for channel {channel}")))
}

async fn look(dialog: &mut Dialog, channel: u8) -> Result<i8, Unmet> {
    dialog.set(Property::PHY_CHAN, |w| w.u8(channel)).await?;
    let value = dialog.get(Property::PHY_RSSI).await.map_err(Unmet::optional)?;
    Reader::new(&value).i8().map_err(|_| Trouble::Nonsense(Property::PHY_RSSI).into())
}

/// Frames leave, after a look at the channel.
pub(super) async fn transmission(dialog: &mut Dialog, info: &Info) -> Ended {
    let channel = usable(info)?[0];
    let (mut sent, mut busy, begun) = (0, 0, Instant::now());
    for _ in 0..BEACON_REQUESTS {
        match send(dialog, channel, &BEACON_REQUEST).await? {
            Status::OK => sent += 1,
            Status::CCA_FAILURE => busy += 1,
            status => return Err(Unmet::Failed(format!("a broadcast: {status}"))),
        }
    }
    let each = millis(begun.elapsed() / BEACON_REQUESTS as u32);
    let detail = format!(
        "{BEACON_REQUESTS} broadcasts on {channel}, {each} ms each: {sent} sent, {busy} found the channel busy"
    );
    let figures = json!({ "sent": sent, "channel_busy": busy, "ms_each": each });
    if sent == 0 { Err(Unmet::Failed(detail)) } else { Ok(Done::new(detail, figures)) }
}

/// A frame that nobody acknowledges is sent again, and then given up.
pub(super) async fn acknowledgement(dialog: &mut Dialog, info: &Info) -> Ended {
    let channel = usable(info)?[0];
    let begun = Instant::now();
    let status = send(dialog, channel, &FOR_NOBODY).await?;
    let took = millis(begun.elapsed());
    let detail = format!("of a frame for nobody, after {took} ms: {status}");
    match status {
        Status::NO_ACK => Ok(Done::new(detail, json!({ "ms": took }))),
        _ => Err(Unmet::Failed(detail)),
    }
}

/// What is in the air, and what answers a beacon request.
pub(super) async fn reception(dialog: &mut Dialog, info: &Info) -> Ended {
    let (property, on) = (Property::MAC_PROMISCUOUS_MODE, Property::PROMISCUOUS);
    dialog.set(property, |w| w.u8(on)).await.map_err(Unmet::optional)?;
    let mut heard = BTreeMap::new();
    for channel in usable(info)? {
        dialog.set(Property::PHY_CHAN, |w| w.u8(channel)).await?;
        send(dialog, channel, &BEACON_REQUEST).await?;
        let (until, mut frames) = (Instant::now() + LISTEN_TIME, 0_u32);
        while let Some(said) = dialog.next(until).await? {
            let raw = RawReceived::parse(&said.value);
            let here = raw.is_ok_and(|raw| raw.channel == channel || raw.channel == 0);
            frames += u32::from(said.property == Property::STREAM_RAW && here);
        }
        heard.insert(channel, frames);
    }
    dialog.set(property, |w| w.u8(0)).await?;
    let somewhere = heard.iter().filter(|(_, frames)| **frames > 0);
    let somewhere: Vec<_> =
        somewhere.map(|(channel, frames)| format!("{frames} on {channel}")).collect();
    let detail = match somewhere.is_empty() {
        true => "no frame on any channel".into(),
        false => format!("frames: {}", somewhere.join(", ")),
    };
    Ok(Done::new(detail, json!({ "frames": heard })))
}

async fn send(dialog: &mut Dialog, channel: u8, psdu: &[u8]) -> Result<Status, Trouble> {
    let psdu = [psdu, &psdu_fcs(psdu)].concat();
    let raw = RawTransmit {
        psdu: &psdu,
        channel,
        csma_backoffs_max: MAC_MAX_CSMA_BACKOFFS,
        frame_retries_max: MAC_MAX_FRAME_RETRIES,
        csma_ca: true,
        header_updated: true,
        retransmission: false,
        security_processed: true,
        delay_us: 0,
        delay_base_us: 0,
        rx_channel_after: channel,
    };
    dialog.transmit(&raw).await
}
