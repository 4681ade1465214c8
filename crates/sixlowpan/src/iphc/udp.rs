//! The UDP header by LOWPAN_NHC, RFC 6282 section 4.3.

use super::DecompressDrop;
use crate::wire::{Full, Reader, Writer};

/// IPv6 next header number of UDP.
pub(super) const NUMBER: u8 = 17;
/// Octets of a UDP header.
pub(super) const UDP_OCTETS: usize = 8;
/// 11110 C P.
const NHC: u8 = 0xf0;
const CHECKSUM_ELIDED: u8 = 0x04;

/// The UDP header at the front of `rest`, if its datagram ends where `rest` ends.
// RFC 6282 section 4.3.3: the length MUST always be elided; one that lower layers do not imply
// (a zero, say) could not be restored.
pub(super) fn recognise(number: u8, rest: &[u8]) -> Option<&[u8; UDP_OCTETS]> {
    let header = rest.first_chunk::<UDP_OCTETS>().filter(|_| number == NUMBER)?;
    let [_, _, _, _, high, low, ..] = *header;
    (usize::from(u16::from_be_bytes([high, low])) == rest.len()).then_some(header)
}

/// Writes the shortest encoding. The checksum is always in line.
// RFC 6282 section 4.3.2: MUST NOT set the C bit without authorization by the upper layer, and
// ours never gives it.
pub(super) fn emit(header: &[u8; UDP_OCTETS], writer: &mut Writer<'_>) -> Result<(), Full> {
    let [src_high, src_low, dst_high, dst_low, _, _, checksum @ ..] = *header;
    match (src_high, src_low >> 4, dst_high, dst_low >> 4) {
        (0xf0, 0xb, 0xf0, 0xb) => writer.put(&[NHC | 3, src_low << 4 | dst_low & 0x0f])?,
        (_, _, 0xf0, _) => writer.put(&[NHC | 1, src_high, src_low, dst_low])?,
        (0xf0, _, _, _) => writer.put(&[NHC | 2, src_low, dst_high, dst_low])?,
        (_, _, _, _) => writer.put(&[NHC, src_high, src_low, dst_high, dst_low])?,
    }
    writer.put(&checksum)
}

/// Restores a UDP header whose length is still zero.
pub(super) fn expand(
    nhc: u8,
    reader: &mut Reader<'_>,
    writer: &mut Writer<'_>,
) -> Result<(), DecompressDrop> {
    // RFC 6282 section 4.3.2: a decompressor that cannot unambiguously determine that an integrity
    // check covered the datagram from its source MUST drop. A MIC of the last hop does not say so.
    if nhc & CHECKSUM_ELIDED != 0 {
        return Err(DecompressDrop::ChecksumElided);
    }
    let ports = match nhc & 0x03 {
        0 => reader.array::<4>()?,
        1 => {
            let [src_high, src_low, dst_low] = reader.array()?;
            [src_high, src_low, 0xf0, dst_low]
        }
        2 => {
            let [src_low, dst_high, dst_low] = reader.array()?;
            [0xf0, src_low, dst_high, dst_low]
        }
        3.. => {
            let both = reader.octet()?;
            [0xf0, 0xb0 | both >> 4, 0xf0, 0xb0 | both & 0x0f]
        }
    };
    writer.put(&ports)?;
    writer.put(&[0, 0])?;
    writer.put(&reader.array::<2>()?)?;
    Ok(())
}
