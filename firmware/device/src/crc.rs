//! CRC-32 as of IEEE 802.3 section 3.2.9, reflected: what tells a whole record from a torn one.
//!
//! **Invariant:** a pure function. Bit by bit, without a table: what is checked is small and rare.

const POLYNOMIAL: u32 = 0xedb8_8320;

pub(crate) fn crc32(octets: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
    !octets.iter().fold(u32::MAX, |crc, octet| (0..8).fold(crc ^ u32::from(*octet), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        // CRC-32/ISO-HDLC in the CRC RevEng catalogue.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
