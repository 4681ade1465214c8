//! The header in front of a captured 802.15.4 frame: draft "IEEE 802.15.4 TAP Link Type".

use lowgate_units::{Channel, Lqi, Rssi};

const VERSION: u8 = 0;
const FCS_TYPE: u16 = 0;
const RECEIVED_STRENGTH: u16 = 1;
const CHANNEL_ASSIGNMENT: u16 = 3;
const LINK_QUALITY: u16 = 10;
/// The FCS is not in the capture, for it is not at the radio seam either.
const FCS_NONE: u8 = 0;
/// Channel page of the 2.4 GHz O-QPSK PHY.
const CHANNEL_PAGE: u8 = 0;

/// A frame with what a radio knows of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AirFrame<'a> {
    /// Where it was sent.
    pub channel: Option<Channel>,
    /// How loud it was, if the capture tells of one receiver.
    pub rssi: Option<Rssi>,
    /// How clear it was, likewise.
    pub lqi: Option<Lqi>,
    /// The frame without its FCS.
    pub psdu: &'a [u8],
}

/// Why octets are no TAP frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapFault {
    /// Its version is not 0.
    Version,
    /// The header is longer than the octets, or shorter than itself.
    HeaderLength,
    /// A field passes the end of the header, or its length is not that of its kind.
    FieldLength,
    /// No such channel.
    Channel,
    /// An FCS of a kind that does not exist, or longer than the frame.
    Fcs,
}

impl<'a> AirFrame<'a> {
    /// Appends header and frame.
    pub fn emit(&self, octets: &mut Vec<u8>) {
        let begin = octets.len();
        octets.extend([VERSION, 0, 0, 0]);
        field(octets, FCS_TYPE, &[FCS_NONE]);
        if let Some(rssi) = self.rssi {
            field(octets, RECEIVED_STRENGTH, &f32::from(rssi.0).to_le_bytes());
        }
        if let Some(channel) = self.channel {
            let number = u16::from(channel.number()).to_le_bytes();
            field(octets, CHANNEL_ASSIGNMENT, &[number[0], number[1], CHANNEL_PAGE]);
        }
        if let Some(lqi) = self.lqi {
            field(octets, LINK_QUALITY, &[lqi.0]);
        }
        let len = ((octets.len() - begin) as u16).to_le_bytes();
        octets[begin + 2..begin + 4].copy_from_slice(&len);
        octets.extend_from_slice(self.psdu);
    }

    /// The frame in a packet of link type TAP. Its FCS, if any, is cut off and not checked.
    ///
    /// # Errors
    /// Names what is wrong; unknown fields are skipped.
    pub fn parse(octets: &'a [u8]) -> Result<Self, TapFault> {
        let (header, _) = octets.split_first_chunk::<4>().ok_or(TapFault::HeaderLength)?;
        if header[0] != VERSION {
            return Err(TapFault::Version);
        }
        let len = usize::from(u16::from_le_bytes([header[2], header[3]]));
        let (header, psdu) = octets.split_at_checked(len).ok_or(TapFault::HeaderLength)?;
        let mut fields = header.get(4..).ok_or(TapFault::HeaderLength)?;
        let mut frame = Self { channel: None, rssi: None, lqi: None, psdu };
        let mut fcs_octets = 0;
        while let Some((head, rest)) = fields.split_first_chunk::<4>() {
            let kind = u16::from_le_bytes([head[0], head[1]]);
            let len = usize::from(u16::from_le_bytes([head[2], head[3]]));
            let value = rest.get(..len).ok_or(TapFault::FieldLength)?;
            fields = rest.get(len.next_multiple_of(4)..).ok_or(TapFault::FieldLength)?;
            match (kind, value) {
                (FCS_TYPE, [kind @ 0..=2]) => fcs_octets = 2 * usize::from(*kind),
                (FCS_TYPE, [_]) => return Err(TapFault::Fcs),
                (RECEIVED_STRENGTH, &[a, b, c, d]) => {
                    // A cast from f32 saturates, and makes 0 of what is no number.
                    frame.rssi = Some(Rssi(f32::from_le_bytes([a, b, c, d]).round() as i8));
                }
                (CHANNEL_ASSIGNMENT, &[low, high, _]) => {
                    let number = u8::try_from(u16::from_le_bytes([low, high]));
                    let channel = number.ok().and_then(Channel::new);
                    frame.channel = Some(channel.ok_or(TapFault::Channel)?);
                }
                (LINK_QUALITY, &[lqi]) => frame.lqi = Some(Lqi(lqi)),
                (FCS_TYPE | RECEIVED_STRENGTH | CHANNEL_ASSIGNMENT | LINK_QUALITY, _) => {
                    return Err(TapFault::FieldLength);
                }
                _ => {} // The draft has more kinds; none changes what the frame is.
            }
        }
        if !fields.is_empty() {
            return Err(TapFault::FieldLength);
        }
        let end = psdu.len().checked_sub(fcs_octets).ok_or(TapFault::Fcs)?;
        frame.psdu = &psdu[..end];
        Ok(frame)
    }
}

fn field(octets: &mut Vec<u8>, kind: u16, value: &[u8]) {
    octets.extend(kind.to_le_bytes());
    octets.extend((value.len() as u16).to_le_bytes());
    super::padded(octets, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_testkit::{hex, to_hex};
    use proptest::prelude::*;

    const FULL: &str = "00 00 24 00  00 00 01 00 00 00 00 00  01 00 04 00 00 00 96 c2 \
                        03 00 03 00 0f 00 00 00  0a 00 01 00 c8 00 00 00  02 00 2a";

    #[test]
    fn a_frame_with_all_its_fields() {
        let psdu = hex("02 00 2a");
        let frame = AirFrame {
            channel: Channel::new(15),
            rssi: Some(Rssi(-75)),
            lqi: Some(Lqi(200)),
            psdu: &psdu,
        };
        let mut octets = vec![];
        frame.emit(&mut octets);
        assert_eq!(to_hex(&octets), to_hex(&hex(FULL)));
        assert_eq!(AirFrame::parse(&octets), Ok(frame));
        for len in 0..36 {
            assert!(AirFrame::parse(&octets[..len]).is_err(), "{len} octets");
        }
    }

    #[test]
    fn an_fcs_is_cut_off() {
        let octets = hex("00 00 0c 00 00 00 01 00 01 00 00 00  02 00 2a 77 88");
        assert_eq!(AirFrame::parse(&octets).map(|frame| frame.psdu.len()), Ok(3));
    }

    fn check(text: &str, fault: TapFault) {
        assert_eq!(AirFrame::parse(&hex(text)), Err(fault));
    }

    #[test]
    fn faults_have_names() {
        check("01 00 04 00", TapFault::Version);
        check("00 00 03 00", TapFault::HeaderLength);
        check("00 00 05 00", TapFault::HeaderLength);
        check("00 00 0c 00 00 00 05 00 00 00 00 00", TapFault::FieldLength);
        check("00 00 06 00 00 00", TapFault::FieldLength);
        check("00 00 0c 00 0a 00 02 00 00 00 00 00", TapFault::FieldLength);
        check("00 00 0c 00 03 00 03 00 1b 00 00 00", TapFault::Channel);
        check("00 00 0c 00 00 00 01 00 03 00 00 00", TapFault::Fcs);
        check("00 00 0c 00 00 00 01 00 01 00 00 00 02", TapFault::Fcs);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = AirFrame::parse(&octets);
        }

        #[test]
        fn parse_of_emit_is_identity(
            psdu in proptest::collection::vec(any::<u8>(), 0..125),
            rssi in any::<Option<i8>>(),
            channel in 10..=26u8,
            lqi in any::<Option<u8>>(),
        ) {
            let (rssi, lqi) = (rssi.map(Rssi), lqi.map(Lqi));
            let frame = AirFrame { channel: Channel::new(channel), rssi, lqi, psdu: &psdu };
            let mut octets = vec![];
            frame.emit(&mut octets);
            prop_assert_eq!(AirFrame::parse(&octets), Ok(frame));
        }
    }
}
