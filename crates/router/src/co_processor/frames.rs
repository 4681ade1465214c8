//! What the co-processor's frames mean.

use lowgate_ieee802154::Frame as MacFrame;
use lowgate_mac::{Psdu, RadioEvent};
use lowgate_spinel::{FCS_OCTETS, RawReceived, Reader, ReceivedFlags, Status};
use lowgate_units::{Lqi, Rssi};

pub(super) fn last_status(value: &[u8]) -> Option<Status> {
    Reader::new(value).packed().ok().map(Status)
}

pub(super) fn asks_ack(psdu: &[u8]) -> bool {
    matches!(MacFrame::parse(psdu), Ok(MacFrame::Addressed(frame)) if frame.ack_request)
}

/// `None` for what is no frame for us: damaged, our own, an acknowledgement.
pub(super) fn received_event(raw: &RawReceived<'_>) -> Option<RadioEvent> {
    const UNWANTED: u16 = ReceivedFlags::TRANSMITTED.0 | ReceivedFlags::BAD_FCS.0;
    const FRAME_TYPE: u8 = 0x07;
    const TYPE_ACK: u8 = 0x02;
    if raw.error != 0 || raw.flags.intersects(UNWANTED) {
        return None;
    }
    // The radio judged the FCS; in its place many report something else.
    let psdu = raw.psdu.get(..raw.psdu.len().checked_sub(FCS_OCTETS)?)?;
    if psdu.first()? & FRAME_TYPE == TYPE_ACK {
        return None;
    }
    let psdu = Psdu::from_slice(psdu).ok()?;
    Some(RadioEvent::Received { psdu, rssi: Rssi(raw.rssi), lqi: Lqi(raw.lqi) })
}
