//! The radio seam as octets: for a radio that is not on the co-processor's own chip.
//!
//! An emulated machine has no radio; at its second serial line stands somebody who plays one, the
//! simulator or a test. That end does all that stands below the seam: channel access, retries,
//! acknowledgements, the address filter.
//!
//! Each message is one HDLC-lite frame, as between co-processor and host. Numbers are little endian,
//! an EUI-64 is in the order it is printed.
//!
//! ```text
//! to the radio     00                                    the program starts: forget everything
//!                  01 channel:1 pan:2 short:2 eui64:8    RadioCommand::Configure
//!                     promiscuous:1
//!                  02 token:4 psdu                       RadioCommand::Transmit
//!                  03 token:4 delay:4 backoffs:1         Demand::Transmit, so many microseconds after
//!                     retries:1 psdu                     this message; backoffs 0xff: without a look
//!                  04 power:1 threshold:1                Demand::Levels
//!                  05 enabled:1 shorts:1 short:2 ...     Demand::SourceMatch
//!                     eui64:8 ...
//!                  06 channel:1 milliseconds:2           Demand::Scan
//! from the radio   81 rssi:1 lqi:1 psdu                  RadioEvent::Received
//!                  82 token:4 status:1 attempts:1        RadioEvent::Transmitted
//!                  83 rssi:1 lqi:1 psdu                  Report::Received, which was told that more is
//!                                                        waiting
//!                  84 token:4 rssi:1 lqi:1 psdu          Report::Transmitted, and its acknowledgement
//!                  85 rssi:1                             Report::Scanned
//! ```
//!
//! Without a PAN `pan` is 0xffff, without a short address `short` is 0xfffe. `status` is 0 sent,
//! 1 acknowledged, 2 not acknowledged, 3 channel busy. A PSDU has no FCS. An end that knows the seam alone
//! drops 03 and what follows it; the co-processor does not wait for ever.
//!
//! **Invariant:** pure functions of octets; parse of emit is identity.

use crate::radio::{Demand, Levels, Reception, Report, Scan};
use heapless::Vec;
use lowgate_mac::{
    Access, PSDU_OCTETS_MAX, Psdu, RadioCommand, RadioConfig, RadioEvent, SourceMatch, TxStatus,
    TxToken,
};
use lowgate_spinel::{Decoder, FCS_OCTETS, PackDrop, Reader, Writer, encode, encoded_octets_max};
use lowgate_units::{Channel, Duration, Instant, LinkAddr, Lqi, PanId, Rssi, ShortAddr};

/// Octets of the longest message: kind, token, way to the channel, PSDU.
pub const MESSAGE_OCTETS_MAX: usize = 1 + 4 + 6 + PSDU_OCTETS_MAX;
/// Octets of the longest message on the line.
pub const LINE_OCTETS_MAX: usize = encoded_octets_max(MESSAGE_OCTETS_MAX);

const STARTED: u8 = 0x00;
const CONFIGURE: u8 = 0x01;
const TRANSMIT: u8 = 0x02;
const TRANSMIT_OTHERWISE: u8 = 0x03;
const LEVELS: u8 = 0x04;
const SOURCE_MATCH: u8 = 0x05;
const SCAN: u8 = 0x06;
const RECEIVED: u8 = 0x81;
const TRANSMITTED: u8 = 0x82;
const RECEIVED_PENDING: u8 = 0x83;
const ACKNOWLEDGED: u8 = 0x84;
const SCANNED: u8 = 0x85;

const NO_LOOK: u8 = 0xff;

const NO_PAN: u16 = 0xffff;
const NO_SHORT: u16 = 0xfffe;

/// One message on the line.
pub type Line = Vec<u8, LINE_OCTETS_MAX>;
/// Octets of the line in, messages out.
pub type AirDecoder = Decoder<{ MESSAGE_OCTETS_MAX + FCS_OCTETS }>;

/// To the radio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToRadio {
    /// The program starts: no channel, and nobody waits for the end of a transmission any more.
    Started,
    /// What the seam asks for.
    Command(RadioCommand),
    /// A transmission with a way of its own to the channel.
    Transmit {
        /// Comes back in the report.
        token: TxToken,
        /// The frame.
        psdu: Psdu,
        /// Its way; when is said by `delay` alone, for two ends have two clocks.
        access: Access,
        /// After this message.
        delay: Duration,
    },
    /// What [`Demand::Levels`] asks for.
    Levels(Levels),
    /// What [`Demand::SourceMatch`] asks for.
    SourceMatch(SourceMatch),
    /// What [`Demand::Scan`] asks for.
    Scan(Scan),
}

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AirDrop {
    /// Its first octet has no meaning in this direction.
    UnknownKind,
    /// It ends too early, or is longer than a PSDU.
    Malformed,
    /// No such channel.
    BadChannel,
    /// No such end of a transmission.
    BadStatus,
    /// No such address, or too many of them.
    BadAddresses,
}

impl From<PackDrop> for AirDrop {
    fn from(_: PackDrop) -> Self {
        Self::Malformed
    }
}

impl ToRadio {
    /// A demand that is said now.
    pub fn of(now: Instant, demand: Demand) -> Self {
        match demand {
            Demand::Transmit { token, psdu, access } => {
                let at = access.not_before.unwrap_or(now).max(now);
                let access = Access { not_before: None, ..access };
                Self::Transmit { token, psdu, access, delay: at - now }
            }
            Demand::Levels(levels) => Self::Levels(levels),
            Demand::SourceMatch(list) => Self::SourceMatch(list),
            Demand::Scan(scan) => Self::Scan(scan),
        }
    }

    /// The octets for the line.
    pub fn emit(&self) -> Line {
        let writer = Writer::new();
        line(match self {
            Self::Started => writer.u8(STARTED),
            Self::Command(RadioCommand::Configure(config)) => writer
                .u8(CONFIGURE)
                .u8(config.channel.number())
                .u16(config.pan_id.map_or(NO_PAN, PanId::raw))
                .u16(config.short.map_or(NO_SHORT, ShortAddr::raw))
                .eui64(config.eui64)
                .boolean(config.promiscuous),
            Self::Command(RadioCommand::Transmit { token, psdu }) => {
                writer.u8(TRANSMIT).u32(token.0).octets(psdu)
            }
            Self::Transmit { token, psdu, access, delay } => writer
                .u8(TRANSMIT_OTHERWISE)
                .u32(token.0)
                .u32(u32::try_from(delay.as_micros()).unwrap_or(u32::MAX))
                .u8(access.csma_backoffs_max.map_or(NO_LOOK, |most| most.min(NO_LOOK - 1)))
                .u8(access.frame_retries_max)
                .octets(psdu),
            Self::Levels(levels) => {
                writer.u8(LEVELS).i8(levels.tx_power_dbm).i8(levels.cca_threshold_dbm)
            }
            Self::SourceMatch(list) => {
                let shorts = list.short().len().to_le_bytes();
                let writer = writer.u8(SOURCE_MATCH).boolean(list.enabled).octets(&shorts[..1]);
                let writer = list.short().iter().fold(writer, |writer, it| writer.u16(it.raw()));
                list.extended().iter().fold(writer, |writer, it| writer.eui64(*it))
            }
            Self::Scan(scan) => writer
                .u8(SCAN)
                .u8(scan.channel.number())
                .u16(u16::try_from(scan.duration.as_millis()).unwrap_or(u16::MAX)),
        })
    }

    /// From a message without its check sequence.
    pub fn parse(message: &[u8]) -> Result<Self, AirDrop> {
        let mut reader = Reader::new(message);
        match reader.u8()? {
            STARTED => Ok(Self::Started),
            CONFIGURE => {
                let channel = Channel::new(reader.u8()?).ok_or(AirDrop::BadChannel)?;
                let (pan_id, short) = (PanId::new(reader.u16()?), ShortAddr::new(reader.u16()?));
                let (eui64, promiscuous) = (reader.eui64()?, reader.boolean()?);
                let config = RadioConfig { channel, pan_id, short, eui64, promiscuous };
                Ok(Self::Command(RadioCommand::Configure(config)))
            }
            TRANSMIT => {
                let token = TxToken(reader.u32()?);
                let psdu = psdu(&reader)?;
                Ok(Self::Command(RadioCommand::Transmit { token, psdu }))
            }
            TRANSMIT_OTHERWISE => {
                let (token, delay) = (TxToken(reader.u32()?), reader.u32()?);
                let csma_backoffs_max = Some(reader.u8()?).filter(|most| *most != NO_LOOK);
                let frame_retries_max = reader.u8()?;
                let access = Access { csma_backoffs_max, frame_retries_max, not_before: None };
                let (psdu, delay) = (psdu(&reader)?, Duration::from_micros(delay.into()));
                Ok(Self::Transmit { token, psdu, access, delay })
            }
            LEVELS => {
                let (tx_power_dbm, cca_threshold_dbm) = (reader.i8()?, reader.i8()?);
                Ok(Self::Levels(Levels { tx_power_dbm, cca_threshold_dbm }))
            }
            SOURCE_MATCH => source_match(reader).map(Self::SourceMatch),
            SCAN => {
                let channel = Channel::new(reader.u8()?).ok_or(AirDrop::BadChannel)?;
                let duration = Duration::from_millis(reader.u16()?.into());
                Ok(Self::Scan(Scan { channel, duration }))
            }
            _ => Err(AirDrop::UnknownKind),
        }
    }
}

fn source_match(mut reader: Reader<'_>) -> Result<SourceMatch, AirDrop> {
    let mut list = SourceMatch::new();
    list.enabled = reader.boolean()?;
    for _ in 0..reader.u8()? {
        let short = ShortAddr::new(reader.u16()?).ok_or(AirDrop::BadAddresses)?;
        list.insert(LinkAddr::Short(short)).map_err(|_| AirDrop::BadAddresses)?;
    }
    while !reader.rest().is_empty() {
        let eui64 = reader.eui64()?;
        list.insert(LinkAddr::Extended(eui64)).map_err(|_| AirDrop::BadAddresses)?;
    }
    Ok(list)
}

/// The octets for the line, of what the radio reports; of a transmission's end that is not acknowledged
/// what [`emit_event`] makes of one attempt.
pub fn emit_report(report: &Report) -> Line {
    let writer = Writer::new();
    line(match report {
        Report::Received(Reception { psdu, rssi, lqi, said_pending, .. }) => {
            let kind = if *said_pending { RECEIVED_PENDING } else { RECEIVED };
            writer.u8(kind).i8(rssi.0).u8(lqi.0).octets(psdu)
        }
        Report::Transmitted { token, status: TxStatus::Acked, ack: Some(ack) } => {
            let writer = writer.u8(ACKNOWLEDGED).u32(token.0);
            writer.i8(ack.rssi.0).u8(ack.lqi.0).octets(&ack.psdu)
        }
        Report::Transmitted { token, status, ack: _ } => {
            let (token, status) = (*token, *status);
            return emit_event(&RadioEvent::Transmitted { token, status, attempts: 1 });
        }
        Report::Scanned(rssi) => writer.u8(SCANNED).i8(rssi.0),
    })
}

/// What the radio says, heard now, from a message without its check sequence.
pub fn parse_report(now: Instant, message: &[u8]) -> Result<Report, AirDrop> {
    let mut reader = Reader::new(message);
    let reception = |mut reader: Reader<'_>, said_pending| {
        let (rssi, lqi) = (Rssi(reader.i8()?), Lqi(reader.u8()?));
        let psdu = psdu(&reader)?;
        Ok::<_, AirDrop>(Reception { psdu, rssi, lqi, at: now, said_pending })
    };
    match reader.u8()? {
        RECEIVED_PENDING => reception(reader, true).map(Report::Received),
        ACKNOWLEDGED => {
            let token = TxToken(reader.u32()?);
            let ack = Some(reception(reader, false)?);
            Ok(Report::Transmitted { token, status: TxStatus::Acked, ack })
        }
        SCANNED => Ok(Report::Scanned(Rssi(reader.i8()?))),
        _ => parse_event(message).map(|event| Report::of(now, event)),
    }
}

/// The octets for the line, of what the radio says.
pub fn emit_event(event: &RadioEvent) -> Line {
    let writer = Writer::new();
    line(match event {
        RadioEvent::Received { psdu, rssi, lqi } => {
            writer.u8(RECEIVED).i8(rssi.0).u8(lqi.0).octets(psdu)
        }
        RadioEvent::Transmitted { token, status, attempts } => {
            let status = match status {
                TxStatus::Sent => 0,
                TxStatus::Acked => 1,
                TxStatus::NoAck => 2,
                TxStatus::ChannelBusy => 3,
            };
            writer.u8(TRANSMITTED).u32(token.0).u8(status).u8(*attempts)
        }
    })
}

/// What the radio says, from a message without its check sequence.
pub fn parse_event(message: &[u8]) -> Result<RadioEvent, AirDrop> {
    let mut reader = Reader::new(message);
    match reader.u8()? {
        RECEIVED => {
            let (rssi, lqi) = (Rssi(reader.i8()?), Lqi(reader.u8()?));
            Ok(RadioEvent::Received { psdu: psdu(&reader)?, rssi, lqi })
        }
        TRANSMITTED => {
            let token = TxToken(reader.u32()?);
            let status = match reader.u8()? {
                0 => TxStatus::Sent,
                1 => TxStatus::Acked,
                2 => TxStatus::NoAck,
                3 => TxStatus::ChannelBusy,
                _ => return Err(AirDrop::BadStatus),
            };
            Ok(RadioEvent::Transmitted { token, status, attempts: reader.u8()? })
        }
        _ => Err(AirDrop::UnknownKind),
    }
}

fn psdu(reader: &Reader<'_>) -> Result<Psdu, AirDrop> {
    Psdu::from_slice(reader.rest()).map_err(|_| AirDrop::Malformed)
}

/// Every message of ours is within its bound.
fn line(writer: Writer) -> Line {
    writer.finish().and_then(|message| encode(&message)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use lowgate_units::Eui64;
    use proptest::prelude::*;
    use std::vec::Vec as StdVec;

    fn message(line: &[u8]) -> StdVec<u8> {
        let mut decoder = AirDecoder::new();
        let whole = |octet: &u8| decoder.push(*octet).map(|it| it.unwrap().to_vec());
        let mut messages: StdVec<_> = line.iter().filter_map(whole).collect();
        assert_eq!(messages.len(), 1, "a line is one message");
        messages.remove(0)
    }

    fn check_to(octets: &str, said: &ToRadio) {
        assert_eq!(message(&said.emit()), hex(octets));
        assert_eq!(ToRadio::parse(&hex(octets)).as_ref(), Ok(said));
        for end in 0..hex(octets).len() {
            let _ = ToRadio::parse(&hex(octets)[..end]);
        }
    }

    fn check_from(octets: &str, event: &RadioEvent) {
        assert_eq!(message(&emit_event(event)), hex(octets));
        assert_eq!(parse_event(&hex(octets)).as_ref(), Ok(event));
        for end in 0..hex(octets).len() {
            let _ = parse_event(&hex(octets)[..end]);
        }
    }

    fn config(pan_id: u16, short: u16) -> RadioConfig {
        RadioConfig {
            channel: Channel::new(15).unwrap(),
            pan_id: PanId::new(pan_id),
            short: ShortAddr::new(short),
            eui64: Eui64([2, 0, 0, 0, 0, 0, 0, 9]),
            promiscuous: false,
        }
    }

    fn frame(octets: &str) -> Psdu {
        Psdu::from_slice(&hex(octets)).unwrap()
    }

    #[test]
    fn what_is_said_to_the_radio() {
        check_to("00", &ToRadio::Started);
        let configure = |config| ToRadio::Command(RadioCommand::Configure(config));
        check_to("01 0f cdab 0100 0200000000000009 00", &configure(config(0xabcd, 1)));
        let all = RadioConfig { promiscuous: true, ..config(0xffff, 0xffff) };
        check_to("01 0f ffff feff 0200000000000009 01", &configure(all));
        let transmit = RadioCommand::Transmit { token: TxToken(258), psdu: frame("618805") };
        check_to("02 02010000 618805", &ToRadio::Command(transmit));
    }

    #[test]
    fn what_is_demanded_of_a_radio_that_knows_more() {
        let at = Instant::from_secs(1) + Duration::from_micros(258);
        let access = Access { csma_backoffs_max: None, frame_retries_max: 3, not_before: Some(at) };
        let (token, psdu) = (TxToken(1), frame("618805"));
        let demand = Demand::Transmit { token, psdu: psdu.clone(), access };
        let said = ToRadio::of(Instant::from_secs(1), demand.clone());
        check_to("03 01000000 02010000 ff 03 618805", &said);
        // What is late goes at once.
        let late = ToRadio::of(Instant::from_secs(2), demand);
        check_to("03 01000000 00000000 ff 03 618805", &late);
        let access = Access { csma_backoffs_max: Some(4), not_before: None, ..access };
        let demand = Demand::Transmit { token, psdu, access };
        let said = ToRadio::of(Instant::from_secs(1), demand);
        check_to("03 01000000 00000000 04 03 618805", &said);
        let levels = Levels { tx_power_dbm: 8, cca_threshold_dbm: -75 };
        check_to("04 08 b5", &ToRadio::of(Instant::ZERO, Demand::Levels(levels)));
        let channel = Channel::new(26).unwrap();
        let scan = Scan { channel, duration: Duration::from_millis(258) };
        check_to("06 1a 0201", &ToRadio::of(Instant::ZERO, Demand::Scan(scan)));
    }

    #[test]
    fn for_whom_something_is_waiting() {
        let mut list = SourceMatch::new();
        check_to("05 00 00", &ToRadio::SourceMatch(list.clone()));
        list.enabled = true;
        for raw in [1, 0x1234] {
            list.insert(LinkAddr::Short(ShortAddr::new(raw).unwrap())).unwrap();
        }
        list.insert(LinkAddr::Extended(Eui64([2, 0, 0, 0, 0, 0, 0, 9]))).unwrap();
        let said = ToRadio::of(Instant::ZERO, Demand::SourceMatch(list.clone()));
        check_to("05 01 02 0100 3412 0200000000000009", &said);
        assert_eq!(ToRadio::parse(&hex("05 01 01 feff")), Err(AirDrop::BadAddresses));
        assert_eq!(ToRadio::parse(&hex("05 01 02 0100")), Err(AirDrop::Malformed));
        for raw in 0..lowgate_mac::SOURCE_MATCH_SHORT_MAX as u16 - 1 {
            let _ = list.insert(LinkAddr::Short(ShortAddr::new(raw).unwrap()));
        }
        for last in 0..lowgate_mac::SOURCE_MATCH_EXTENDED_MAX as u8 {
            let _ = list.insert(LinkAddr::Extended(Eui64([2, 0, 0, 0, 0, 0, 0, last])));
        }
        let full = ToRadio::SourceMatch(list);
        let octets = message(&full.emit());
        assert_eq!(octets.len(), 3 + 2 * 16 + 8 * 12);
        assert_eq!(ToRadio::parse(&octets), Ok(full));
        let one_more = [&octets[..], &[7; 8]].concat();
        assert_eq!(ToRadio::parse(&one_more), Err(AirDrop::BadAddresses));
    }

    #[test]
    fn what_the_radio_says() {
        let heard = RadioEvent::Received { psdu: frame("0102"), rssi: Rssi(-40), lqi: Lqi(200) };
        check_from("81 d8 c8 0102", &heard);
        for (octet, status) in [
            ("00", TxStatus::Sent),
            ("01", TxStatus::Acked),
            ("02", TxStatus::NoAck),
            ("03", TxStatus::ChannelBusy),
        ] {
            let ended = RadioEvent::Transmitted { token: TxToken(7), status, attempts: 8 };
            check_from(&std::format!("82 07000000 {octet} 08"), &ended);
        }
    }

    #[test]
    fn what_the_radio_reports() {
        let now = Instant::from_secs(3);
        let check = |octets: &str, report: &Report| {
            assert_eq!(message(&emit_report(report)), hex(octets));
            assert_eq!(parse_report(now, &hex(octets)).as_ref(), Ok(report));
            for end in 0..hex(octets).len() {
                let _ = parse_report(now, &hex(octets)[..end]);
            }
        };
        let reception = |psdu, said_pending| {
            let (psdu, rssi, lqi) = (frame(psdu), Rssi(-40), Lqi(200));
            Reception { psdu, rssi, lqi, at: now, said_pending }
        };
        check("81 d8 c8 0102", &Report::Received(reception("0102", false)));
        check("83 d8 c8 0102", &Report::Received(reception("0102", true)));
        check("85 d8", &Report::Scanned(Rssi(-40)));
        let (token, ack) = (TxToken(7), Some(reception("120007", false)));
        check(
            "84 07000000 d8 c8 120007",
            &Report::Transmitted { token, status: TxStatus::Acked, ack },
        );
        let status = TxStatus::NoAck;
        check("82 07000000 02 01", &Report::Transmitted { token, status, ack: None });
    }

    #[test]
    fn nonsense_has_a_name() {
        assert_eq!(ToRadio::parse(&[]), Err(AirDrop::Malformed));
        assert_eq!(ToRadio::parse(&hex("81 d8 c8")), Err(AirDrop::UnknownKind));
        assert_eq!(
            ToRadio::parse(&hex("01 1b cdab 0100 0200000000000009 00")),
            Err(AirDrop::BadChannel)
        );
        assert_eq!(parse_event(&hex("00")), Err(AirDrop::UnknownKind));
        assert_eq!(parse_event(&hex("82 07000000 04 01")), Err(AirDrop::BadStatus));
        let mut long = hex("81 d8 c8");
        long.extend([0; PSDU_OCTETS_MAX + 1]);
        assert_eq!(parse_event(&long), Err(AirDrop::Malformed));
    }

    #[test]
    fn the_longest_frames_fit() {
        let psdu: Psdu = [0x7e; PSDU_OCTETS_MAX].into_iter().collect();
        let transmit = RadioCommand::Transmit { token: TxToken(u32::MAX), psdu: psdu.clone() };
        let said = ToRadio::Command(transmit);
        assert_eq!(ToRadio::parse(&message(&said.emit())), Ok(said));
        let heard = RadioEvent::Received { psdu, rssi: Rssi(-1), lqi: Lqi(1) };
        assert_eq!(parse_event(&message(&emit_event(&heard))), Ok(heard));
    }

    proptest! {
        #[test]
        fn any_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ToRadio::parse(&octets);
            if let Ok(report) = parse_report(Instant::ZERO, &octets) {
                let again = parse_report(Instant::ZERO, &message(&emit_report(&report)));
                prop_assert_eq!(again, Ok(report));
            }
            if let Ok(event) = parse_event(&octets) {
                prop_assert_eq!(parse_event(&message(&emit_event(&event))), Ok(event));
            }
        }
    }
}
