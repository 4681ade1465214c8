//! Values of the raw stream: a frame that was received, one to send, and how its sending ended.
//!
//! PSDUs carry the two octets of their FCS here. A co-processor may put anything into them on
//! reception, and ignores them on transmission.

use crate::pack::{PackDrop, Reader, Writer};
use crate::status::Status;

/// In place of a noise floor.
pub const NOISE_UNKNOWN: i8 = -128;

/// Remarks on a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedFlags(pub u16);

impl ReceivedFlags {
    /// It was sent, not received.
    pub const TRANSMITTED: Self = Self(0x0001);
    /// Its acknowledgement said that more is waiting.
    pub const ACKED_PENDING: Self = Self(0x0010);
    /// Its FCS was wrong.
    pub const BAD_FCS: Self = Self(0x0004);

    /// One of `others` is set.
    pub const fn intersects(self, others: u16) -> bool {
        self.0 & others != 0
    }
}

/// From the co-processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawReceived<'a> {
    /// With its FCS; empty if there was none.
    pub psdu: &'a [u8],
    /// dBm
    pub rssi: i8,
    /// dBm
    pub noise: i8,
    /// Remarks.
    pub flags: ReceivedFlags,
    /// Where it was heard; 0 if unknown.
    pub channel: u8,
    /// 0 if unknown.
    pub lqi: u8,
    /// When the last octet arrived, microseconds of the co-processor's clock.
    pub timestamp_us: u64,
    /// 0 if there was none.
    pub error: u32,
}

impl<'a> RawReceived<'a> {
    /// Metadata may end early and may go on.
    pub fn parse(value: &'a [u8]) -> Result<Self, PackDrop> {
        Self::read(&mut Reader::new(value))
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, PackDrop> {
        let psdu = reader.data()?;
        let rssi = reader.i8().unwrap_or(i8::MIN);
        let noise = reader.i8().unwrap_or(NOISE_UNKNOWN);
        let flags = ReceivedFlags(reader.u16().unwrap_or(0));
        let empty = Reader::new(&[]);
        let mut phy = reader.structure().unwrap_or(empty);
        let mut vendor = reader.structure().unwrap_or(empty);
        Ok(Self {
            psdu,
            rssi,
            noise,
            flags,
            channel: phy.u8().unwrap_or(0),
            lqi: phy.u8().unwrap_or(0),
            timestamp_us: phy.u64().unwrap_or(0),
            error: vendor.packed().unwrap_or(0),
        })
    }

    /// Everything, and that no enhanced acknowledgement was involved.
    pub fn emit(&self, writer: Writer) -> Writer {
        writer
            .data(self.psdu)
            .i8(self.rssi)
            .i8(self.noise)
            .u16(self.flags.0)
            .structure(|phy| phy.u8(self.channel).u8(self.lqi).u64(self.timestamp_us))
            .structure(|vendor| vendor.packed(self.error))
            .structure(|mac| mac.u8(0).u32(0))
    }
}

/// To the co-processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawTransmit<'a> {
    /// With room for its FCS.
    pub psdu: &'a [u8],
    /// Where to send it.
    pub channel: u8,
    /// macMaxCSMABackoffs.
    pub csma_backoffs_max: u8,
    /// macMaxFrameRetries.
    pub frame_retries_max: u8,
    /// Looks before it sends.
    pub csma_ca: bool,
    /// Nothing is to be filled in any more: sequence number and counter are final.
    pub header_updated: bool,
    /// It was on the air before.
    pub retransmission: bool,
    /// It is sealed already: the co-processor holds no key.
    pub security_processed: bool,
    /// So much later, microseconds; 0 is at once.
    pub delay_us: u32,
    /// Than this, the lower half of the co-processor's clock.
    pub delay_base_us: u32,
    /// Where to listen afterwards.
    pub rx_channel_after: u8,
}

/// What OpenThread's co-processors assume when a host leaves it away.
const CSMA_BACKOFFS_DEFAULT: u8 = 4;
const FRAME_RETRIES_DEFAULT: u8 = 15;

impl<'a> RawTransmit<'a> {
    /// Metadata after the channel may end early and may go on.
    pub fn parse(value: &'a [u8]) -> Result<Self, PackDrop> {
        let mut reader = Reader::new(value);
        let psdu = reader.data()?;
        let channel = reader.u8()?;
        Ok(Self {
            psdu,
            channel,
            csma_backoffs_max: reader.u8().unwrap_or(CSMA_BACKOFFS_DEFAULT),
            frame_retries_max: reader.u8().unwrap_or(FRAME_RETRIES_DEFAULT),
            csma_ca: reader.boolean().unwrap_or(true),
            header_updated: reader.boolean().unwrap_or(false),
            retransmission: reader.boolean().unwrap_or(false),
            security_processed: reader.boolean().unwrap_or(false),
            delay_us: reader.u32().unwrap_or(0),
            delay_base_us: reader.u32().unwrap_or(0),
            rx_channel_after: reader.u8().unwrap_or(channel),
        })
    }

    /// Everything.
    pub fn emit(&self, writer: Writer) -> Writer {
        writer
            .data(self.psdu)
            .u8(self.channel)
            .u8(self.csma_backoffs_max)
            .u8(self.frame_retries_max)
            .boolean(self.csma_ca)
            .boolean(self.header_updated)
            .boolean(self.retransmission)
            .boolean(self.security_processed)
            .u32(self.delay_us)
            .u32(self.delay_base_us)
            .u8(self.rx_channel_after)
    }
}

/// Value of the last status that answers a transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransmitDone<'a> {
    /// How it ended.
    pub status: Status,
    /// The acknowledgement's frame pending bit.
    pub frame_pending: bool,
    /// The co-processor filled in the header; with it follow key index and counter, which we neither
    /// use nor send.
    pub header_updated: bool,
    /// The acknowledgement, if the status is OK; its PSDU is empty if none was asked for.
    pub ack: Option<RawReceived<'a>>,
}

impl<'a> TransmitDone<'a> {
    /// All after the status may be missing.
    pub fn parse(value: &'a [u8]) -> Result<Self, PackDrop> {
        let mut reader = Reader::new(value);
        let status = Status(reader.packed()?);
        let frame_pending = reader.boolean().unwrap_or(false);
        let header_updated = reader.boolean().unwrap_or(false);
        let ack = RawReceived::read(&mut reader).ok().filter(|_| status == Status::OK);
        Ok(Self { status, frame_pending, header_updated, ack })
    }

    /// Everything there is.
    pub fn emit(&self, writer: Writer) -> Writer {
        let head =
            writer.packed(self.status.0).boolean(self.frame_pending).boolean(self.header_updated);
        match &self.ack {
            Some(ack) => ack.emit(head),
            None => head,
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;

    const RECEIVED: RawReceived<'_> = RawReceived {
        psdu: &[0x02, 0x00, 0x05, 0xaa, 0xbb],
        rssi: -40,
        noise: NOISE_UNKNOWN,
        flags: ReceivedFlags(0),
        channel: 15,
        lqi: 200,
        timestamp_us: 0x0102,
        error: 0,
    };

    #[test]
    fn a_received_frame_with_all_its_metadata() {
        let octets = RECEIVED.emit(Writer::new()).finish().unwrap();
        assert_eq!(
            octets.to_vec(),
            hex("0500 020005aabb d8 80 0000 0a00 0f c8 0201000000000000 0100 00 0500 00 00000000")
        );
        assert_eq!(RawReceived::parse(&octets), Ok(RECEIVED));
    }

    #[test]
    fn metadata_may_be_missing_or_go_on() {
        let bare = RawReceived::parse(&[5, 0, 2, 0, 5, 0xaa, 0xbb]).unwrap().psdu.len();
        assert_eq!(bare, 5);
        let more = RECEIVED.emit(Writer::new()).octets(&[1, 2, 3]).finish().unwrap();
        assert_eq!(RawReceived::parse(&more), Ok(RECEIVED));
        let sent = hex("0300 010203 0b");
        let sent = RawTransmit::parse(&sent).unwrap();
        assert_eq!((sent.channel, sent.rx_channel_after, sent.csma_ca), (11, 11, true));
        assert_eq!(RawTransmit::parse(&hex("0300 010203")), Err(PackDrop::Truncated));
    }

    #[test]
    fn an_end_with_and_without_its_acknowledgement() {
        let done = TransmitDone {
            status: Status::OK,
            frame_pending: true,
            header_updated: false,
            ack: Some(RECEIVED),
        };
        let octets = done.emit(Writer::new()).finish().unwrap();
        assert_eq!(TransmitDone::parse(&octets), Ok(done));
        let bare = TransmitDone::parse(&[17]).unwrap();
        assert_eq!((bare.status, bare.ack), (Status::NO_ACK, None));
    }

    proptest! {
        #[test]
        fn any_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = RawReceived::parse(&octets);
            let _ = RawTransmit::parse(&octets);
            let _ = TransmitDone::parse(&octets);
        }

        #[test]
        fn what_is_to_be_sent_comes_out_again(
            psdu in prop::collection::vec(any::<u8>(), 0..127), channel in any::<u8>(),
            a in any::<bool>(), b in any::<bool>(), delay in any::<u32>(),
        ) {
            let sent = RawTransmit {
                psdu: &psdu, channel, csma_backoffs_max: 4, frame_retries_max: 7, csma_ca: a,
                header_updated: b, retransmission: a, security_processed: b, delay_us: delay,
                delay_base_us: !delay, rx_channel_after: !channel,
            };
            let octets = sent.emit(Writer::new()).finish().unwrap();
            prop_assert_eq!(RawTransmit::parse(&octets), Ok(sent));
        }
    }
}
