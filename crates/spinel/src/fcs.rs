//! The two check sequences: one polynomial, reflected, with different ends.

/// Octets of either.
pub const FCS_OCTETS: usize = 2;

const POLYNOMIAL: u16 = 0x8408;

/// One octet on.
pub(crate) const fn step(mut crc: u16, octet: u8) -> u16 {
    crc ^= octet as u16;
    let mut bit = 0;
    while bit < 8 {
        crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ POLYNOMIAL };
        bit += 1;
    }
    crc
}

/// The FCS of a PSDU without it, in the order of the air. IEEE 802.15.4-2006 clause 7.2.1.9.
pub fn psdu_fcs(psdu: &[u8]) -> [u8; FCS_OCTETS] {
    psdu.iter().fold(0, |crc, &octet| step(crc, octet)).to_le_bytes()
}

/// What the HDLC check starts with.
pub(crate) const HDLC_START: u16 = 0xffff;
/// What it has come to after a frame with its FCS. RFC 1662 appendix C.2.
pub(crate) const HDLC_GOOD: u16 = 0xf0b8;

/// The FCS of a frame on the line. RFC 1662 appendix C.2.
pub(crate) fn hdlc_fcs(content: &[u8]) -> [u8; FCS_OCTETS] {
    (!content.iter().fold(HDLC_START, |crc, &octet| step(crc, octet))).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_check_values() {
        // CRC-16/X-25 and CRC-16/KERMIT of "123456789".
        assert_eq!(hdlc_fcs(b"123456789"), 0x906e_u16.to_le_bytes());
        assert_eq!(psdu_fcs(b"123456789"), 0x2189_u16.to_le_bytes());
    }
}
