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
//! from the radio   81 rssi:1 lqi:1 psdu                  RadioEvent::Received
//!                  82 token:4 status:1 attempts:1        RadioEvent::Transmitted
//! ```
//!
//! Without a PAN `pan` is 0xffff, without a short address `short` is 0xfffe. `status` is 0 sent,
//! 1 acknowledged, 2 not acknowledged, 3 channel busy. A PSDU has no FCS.
//!
//! **Invariant:** pure functions of octets; parse of emit is identity.

use heapless::Vec;
use lowgate_mac::{
    PSDU_OCTETS_MAX, Psdu, RadioCommand, RadioConfig, RadioEvent, TxStatus, TxToken,
};
use lowgate_spinel::{Decoder, FCS_OCTETS, PackDrop, Reader, Writer, encode, encoded_octets_max};
use lowgate_units::{Channel, Lqi, PanId, Rssi, ShortAddr};

/// Octets of the longest message: kind, token, PSDU.
pub const MESSAGE_OCTETS_MAX: usize = 1 + 4 + PSDU_OCTETS_MAX;
/// Octets of the longest message on the line.
pub const LINE_OCTETS_MAX: usize = encoded_octets_max(MESSAGE_OCTETS_MAX);

const STARTED: u8 = 0x00;
const CONFIGURE: u8 = 0x01;
const TRANSMIT: u8 = 0x02;
const RECEIVED: u8 = 0x81;
const TRANSMITTED: u8 = 0x82;

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
}

impl From<PackDrop> for AirDrop {
    fn from(_: PackDrop) -> Self {
        Self::Malformed
    }
}

impl ToRadio {
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
            _ => Err(AirDrop::UnknownKind),
        }
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
            if let Ok(event) = parse_event(&octets) {
                prop_assert_eq!(parse_event(&message(&emit_event(&event))), Ok(event));
            }
        }
    }
}
