//! MPL control messages, RFC 7731 sections 6.2 and 6.3.

use super::{Reader, Writer, options::SeedId};
use lowgate_units::Ipv6Addr;

/// What a forwarder says of one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SeedInfo<'a> {
    pub(crate) seed: SeedId,
    pub(crate) min_sequence: u8,
    /// Bit i, from the left: it buffers `min_sequence + i`.
    pub(crate) buffered: &'a [u8],
}

impl SeedInfo<'_> {
    /// The forwarder buffers this message.
    pub(crate) fn buffers(&self, sequence: u8) -> bool {
        let i = usize::from(sequence.wrapping_sub(self.min_sequence));
        self.buffered.get(i / 8).is_some_and(|octet| octet & 0x80 >> (i % 8) != 0)
    }

    /// The numbers of all messages it buffers.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=u8::MAX)
            .take(self.buffered.len() * 8)
            .map(|i| self.min_sequence.wrapping_add(i))
            .filter(|sequence| self.buffers(*sequence))
    }

    /// Appends the entry.
    pub(crate) fn emit(&self, out: &mut Writer) {
        let s = match self.seed {
            SeedId::Addr(_) => 3,
            SeedId::Short(_) => 1,
            SeedId::Long(_) => 2,
        };
        out.u8(self.min_sequence);
        let len = self.buffered.len().min(63);
        out.u8((len as u8) << 2 | s);
        match self.seed {
            SeedId::Addr(addr) => out.addr(addr),
            SeedId::Short(id) => out.u16(id),
            SeedId::Long(id) => out.put(&id.to_be_bytes()),
        }
        out.put(&self.buffered[..len]);
    }
}

/// Calls `each` for every entry of a control message from `src`; false if the message is cut.
pub(crate) fn parse<'a>(src: Ipv6Addr, body: &'a [u8], mut each: impl FnMut(SeedInfo<'a>)) -> bool {
    let mut reader = Reader::new(body);
    while !reader.rest().is_empty() {
        match entry(src, &mut reader) {
            Some(info) => each(info),
            None => return false,
        }
    }
    true
}

fn entry<'a>(src: Ipv6Addr, reader: &mut Reader<'a>) -> Option<SeedInfo<'a>> {
    let (min_sequence, shape) = (reader.u8()?, reader.u8()?);
    let seed = match shape & 3 {
        0 => SeedId::Addr(src),
        1 => SeedId::Short(reader.u16()?),
        2 => SeedId::Long(u64::from_be_bytes(reader.array()?)),
        _ => SeedId::Addr(reader.addr()?),
    };
    let buffered = reader.take(usize::from(shape >> 2))?;
    Some(SeedInfo { seed, min_sequence, buffered })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::hex;
    use proptest::prelude::*;
    use std::vec::Vec;

    const SRC: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

    #[test]
    fn entries_of_every_seed_length() {
        let octets = hex("05 04 80  fe 09 1234 c1 01  07 02 0102030405060708
            08 07 fd000000000000000000000000000009 40");
        let mut seen = Vec::new();
        assert!(parse(SRC, &octets, |info| seen
            .push((info.seed, info.sequences().collect::<Vec<_>>()))));
        assert_eq!(
            seen,
            [
                (SeedId::Addr(SRC), std::vec![5]),
                (SeedId::Short(0x1234), std::vec![0xfe, 0xff, 5, 13]),
                (SeedId::Long(0x0102_0304_0506_0708), std::vec![]),
                (SeedId::Addr("fd00::9".parse().expect("address")), std::vec![9]),
            ]
        );
        assert!(!parse(SRC, &octets[..octets.len() - 1], |_| ()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut out = Writer::default();
            let whole = parse(SRC, &octets, |info| {
                let _ = info.sequences().count();
                info.emit(&mut out);
            });
            // Emit of parse says the same, in the form that names the seed.
            let emitted = out.finish().expect("short");
            let (mut before, mut after) = (Vec::new(), Vec::new());
            parse(SRC, &octets, |info| before.push(info));
            prop_assert!(parse(SRC, &emitted, |info| after.push(info)));
            prop_assert!(!whole || before == after);
        }
    }
}
