//! Neighbour discovery: RFC 4861, with the options of RFC 6775 and the registration of RFC 8505.

use super::{Reader, Writer};
use crate::api::Packet;
use lowgate_units::{Eui64, Ipv6Addr};

const SOURCE_LINK_LAYER: u8 = 1;
const PREFIX_INFORMATION: u8 = 3;
const ADDRESS_REGISTRATION: u8 = 33;
const CONTEXT: u8 = 34;
const AUTHORITATIVE_BORDER_ROUTER: u8 = 35;

/// ICMPv6 code of EDAR and EDAC: the ROVR has 64 bits (RFC 8505 section 4.2).
pub(crate) const CODE_ROVR_64: u8 = 1;

/// The extended address registration option with a ROVR of 64 bits, RFC 8505 section 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Earo {
    pub(crate) status: u8,
    pub(crate) tid: u8,
    /// Minutes; zero withdraws.
    pub(crate) lifetime: u16,
    pub(crate) rovr: Eui64,
}

const EARO_FLAG_T: u8 = 0x01;

impl Earo {
    fn parse(mut reader: Reader<'_>) -> Option<Self> {
        let (status, _opaque, flags) = (reader.u8()?, reader.u8()?, reader.u8()?);
        let (tid, lifetime, rovr) = (reader.u8()?, reader.u16()?, reader.eui64()?);
        // RFC 8505 section 4.1: the T flag says that the TID is there; without it, RFC 6775.
        let tid = if flags & EARO_FLAG_T != 0 { tid } else { 0 };
        Some(Self { status, tid, lifetime, rovr })
    }

    fn emit(&self, out: &mut Writer) {
        // R stays 0: a router announces itself by its own DAO (RFC 9010 section 9.2.1).
        out.put(&[ADDRESS_REGISTRATION, 2, self.status, 0, EARO_FLAG_T, self.tid]);
        out.u16(self.lifetime);
        out.put(&self.rovr.0);
    }
}

/// Body of a neighbour solicitation or advertisement. Only registration uses them in this mesh: a
/// link address is never looked up, it is made from the interface identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neighbor {
    pub(crate) target: Ipv6Addr,
    pub(crate) earo: Option<Earo>,
}

impl Neighbor {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        reader.take(4)?;
        let target = reader.addr()?;
        let mut earo = None;
        let whole = options(reader.rest(), |kind, option| {
            if kind == ADDRESS_REGISTRATION {
                earo = Earo::parse(option);
            }
        });
        whole.then_some(Self { target, earo })
    }

    /// As a solicitation from `eui64`, whose link address goes along (RFC 8505 section 5.5).
    pub(crate) fn emit_solicitation(&self, eui64: Eui64) -> Option<Packet> {
        let mut out = Writer::default();
        out.u32(0);
        out.addr(self.target);
        source_link_layer(eui64, &mut out);
        if let Some(earo) = self.earo {
            earo.emit(&mut out);
        }
        out.finish()
    }

    /// As a solicited advertisement of a router.
    pub(crate) fn emit_advertisement(&self) -> Option<Packet> {
        const ROUTER_SOLICITED: u32 = 0xc000_0000;
        let mut out = Writer::default();
        out.u32(ROUTER_SOLICITED);
        out.addr(self.target);
        if let Some(earo) = self.earo {
            earo.emit(&mut out);
        }
        out.finish()
    }
}

/// Body of an extended duplicate address request or confirmation, RFC 8505 section 4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DuplicateAddress {
    pub(crate) earo: Earo,
    pub(crate) registered: Ipv6Addr,
}

impl DuplicateAddress {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (status, tid, lifetime) = (reader.u8()?, reader.u8()?, reader.u16()?);
        let rovr = reader.eui64()?;
        Some(Self { earo: Earo { status, tid, lifetime, rovr }, registered: reader.addr()? })
    }

    pub(crate) fn emit(&self) -> Option<Packet> {
        let mut out = Writer::default();
        out.put(&[self.earo.status, self.earo.tid]);
        out.u16(self.earo.lifetime);
        out.put(&self.earo.rovr.0);
        out.addr(self.registered);
        out.finish()
    }
}

/// Body of a router solicitation from `eui64`.
pub(crate) fn router_solicitation(eui64: Eui64) -> Option<Packet> {
    let mut out = Writer::default();
    out.u32(0);
    source_link_layer(eui64, &mut out);
    out.finish()
}

/// What a router advertisement says that this mesh uses: its /64, and who its border router is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouterAdvertisement {
    pub(crate) sender: Eui64,
    /// Seconds the sender routes.
    pub(crate) router_lifetime: u16,
    pub(crate) prefix: [u8; 8],
    /// Seconds.
    pub(crate) prefix_lifetime: u32,
    /// The prefix is context 0 for so many minutes.
    pub(crate) context_lifetime: u16,
    pub(crate) border_router: Ipv6Addr,
    pub(crate) border_router_version: u32,
}

const PIO_FLAG_A: u8 = 0x40;
const CONTEXT_FLAG_C: u8 = 0x10;

impl RouterAdvertisement {
    /// `None` unless it carries a /64 with A set, that prefix as context 0, and a border router.
    pub(crate) fn parse(sender: Eui64, body: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(body);
        let (_hop_limit, _flags, router_lifetime) = (reader.u8()?, reader.u8()?, reader.u16()?);
        reader.take(8)?;
        let (mut prefix, mut context, mut border) = (None, None, None);
        let whole = options(reader.rest(), |kind, option| match kind {
            PREFIX_INFORMATION => prefix = prefix.or(prefix_information(option)),
            CONTEXT => context = context.or(context_zero(option)),
            AUTHORITATIVE_BORDER_ROUTER => border = border.or(border_router(option)),
            _ => {} // RFC 4861 section 4.6: unknown options MUST be ignored
        });
        let (prefix, prefix_lifetime) = prefix?;
        let (context, context_lifetime) = context?;
        let (border_router_version, border_router) = border?;
        (whole && context == prefix).then_some(Self {
            sender,
            router_lifetime,
            prefix,
            prefix_lifetime,
            context_lifetime,
            border_router,
            border_router_version,
        })
    }

    pub(crate) fn emit(&self) -> Option<Packet> {
        let mut out = Writer::default();
        out.put(&[64, 0]);
        out.u16(self.router_lifetime);
        out.zeros(8);
        source_link_layer(self.sender, &mut out);
        // RFC 6775 section 5.4: in a mesh the L flag is off.
        out.put(&[PREFIX_INFORMATION, 4, 64, PIO_FLAG_A]);
        out.u32(self.prefix_lifetime);
        out.u32(self.prefix_lifetime);
        out.u32(0);
        out.put(&self.prefix);
        out.zeros(8);
        out.put(&[CONTEXT, 2, 64, CONTEXT_FLAG_C, 0, 0]);
        out.u16(self.context_lifetime);
        out.put(&self.prefix);
        out.put(&[AUTHORITATIVE_BORDER_ROUTER, 3]);
        // RFC 6775 section 4.3: the version's low half comes first.
        out.u16(self.border_router_version as u16);
        out.u16((self.border_router_version >> 16) as u16);
        out.u16(self.context_lifetime);
        out.addr(self.border_router);
        out.finish()
    }
}

fn prefix_information(mut option: Reader<'_>) -> Option<([u8; 8], u32)> {
    let (len, flags, valid) = (option.u8()?, option.u8()?, option.u32()?);
    option.take(8)?;
    let prefix = option.array()?;
    (len == 64 && flags & PIO_FLAG_A != 0 && prefix[0] != 0xff).then_some((prefix, valid))
}

fn context_zero(mut option: Reader<'_>) -> Option<([u8; 8], u16)> {
    let (len, flags, _reserved) = (option.u8()?, option.u8()?, option.u16()?);
    let (lifetime, prefix) = (option.u16()?, option.array()?);
    (len == 64 && flags & 0x1f == CONTEXT_FLAG_C).then_some((prefix, lifetime))
}

fn border_router(mut option: Reader<'_>) -> Option<(u32, Ipv6Addr)> {
    let (low, high, _lifetime) = (option.u16()?, option.u16()?, option.u16()?);
    Some((u32::from(high) << 16 | u32::from(low), option.addr()?))
}

fn source_link_layer(eui64: Eui64, out: &mut Writer) {
    out.put(&[SOURCE_LINK_LAYER, 2]);
    out.put(&eui64.0);
    out.zeros(6);
}

/// Calls `each` with every option, behind its length; false if they cannot be walked.
fn options<'a>(octets: &'a [u8], mut each: impl FnMut(u8, Reader<'a>)) -> bool {
    let mut reader = Reader::new(octets);
    while !reader.rest().is_empty() {
        // RFC 4861 section 4.6: a length of zero MUST discard the packet.
        let (Some(kind), Some(len @ 1..)) = (reader.u8(), reader.u8()) else { return false };
        let Some(option) = reader.take(usize::from(len) * 8 - 2) else { return false };
        each(kind, Reader::new(option));
    }
    true
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use lowgate_testkit::{hex, to_hex};
    use proptest::prelude::*;
    use std::string::String;

    const EUI64: Eui64 = Eui64([2, 0x12, 0x4b, 0, 0, 0, 0, 7]);
    const TARGET: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 7);

    #[track_caller]
    fn octets(packet: Option<Packet>, text: &str) {
        let text: String = text.split_whitespace().collect();
        assert_eq!(to_hex(&packet.expect("short")), text);
    }

    #[test]
    fn registration_there_and_back() {
        let earo = Earo { status: 0, tid: 240, lifetime: 60, rovr: EUI64 };
        let neighbor = Neighbor { target: TARGET, earo: Some(earo) };
        octets(
            neighbor.emit_solicitation(EUI64),
            "00000000 fd00000000000000 000000fffe000007  0102 02124b0000000007 000000000000
             2102 00 00 01 f0 003c 02124b0000000007",
        );
        octets(
            neighbor.emit_advertisement(),
            "c0000000 fd00000000000000 000000fffe000007  2102 00 00 01 f0 003c 02124b0000000007",
        );
        let body = neighbor.emit_solicitation(EUI64).expect("short");
        assert_eq!(Neighbor::parse(&body), Some(neighbor));
        for end in 21..body.len() {
            assert_ne!(Neighbor::parse(&body[..end]), Some(neighbor));
        }
    }

    #[test]
    fn duplicate_address_message() {
        let earo = Earo { status: 10, tid: 1, lifetime: 60, rovr: EUI64 };
        let message = DuplicateAddress { earo, registered: TARGET };
        octets(message.emit(), "0a 01 003c 02124b0000000007 fd00000000000000 000000fffe000007");
        assert_eq!(DuplicateAddress::parse(&message.emit().expect("short")), Some(message));
    }

    #[test]
    fn advertisement_of_a_mesh() {
        let advertisement = RouterAdvertisement {
            sender: EUI64,
            router_lifetime: 1800,
            prefix: [0xfd, 0, 0, 0, 0, 0, 0, 0],
            prefix_lifetime: 7200,
            context_lifetime: 120,
            border_router: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0xff, 0xfe00, 0),
            border_router_version: 0x0001_0002,
        };
        octets(
            advertisement.emit(),
            "4000 0708 00000000 00000000  0102 02124b0000000007 000000000000
             0304 40 40 00001c20 00001c20 00000000 fd00000000000000 0000000000000000
             2202 40 10 0000 0078 fd00000000000000
             2303 0002 0001 0078 fd00000000000000 000000fffe000000",
        );
        let body = advertisement.emit().expect("short");
        assert_eq!(RouterAdvertisement::parse(EUI64, &body), Some(advertisement));
        let mut zero_length = body;
        zero_length[13] = 0;
        assert_eq!(RouterAdvertisement::parse(EUI64, &zero_length), None);
    }

    #[test]
    fn an_option_of_no_length_discards_the_message() {
        let body = hex("00000000 fd00000000000000 000000fffe000007 0100");
        assert_eq!(Neighbor::parse(&body), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Some(neighbor) = Neighbor::parse(&octets) {
                let body = neighbor.emit_advertisement().expect("short");
                prop_assert_eq!(Neighbor::parse(&body).map(|again| again.target), Some(neighbor.target));
            }
            let _ = RouterAdvertisement::parse(EUI64, &octets);
            if let Some(message) = DuplicateAddress::parse(&octets) {
                prop_assert_eq!(DuplicateAddress::parse(&message.emit().expect("short")), Some(message));
            }
        }
    }
}
