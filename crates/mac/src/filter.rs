//! Which frames are for us, IEEE 802.15.4-2006 clause 7.5.6.2.
//!
//! **Invariant:** the same answer below the seam, where it decides on the acknowledgement, and above.

use crate::seam::RadioConfig;
use crate::source_match::SourceMatch;
use lowgate_ieee802154::{Ack, AddressedFrame, CommandId, Content, Frame, Pan};
use lowgate_units::{LinkAddr, LinkDst};

impl RadioConfig {
    /// A frame for this device, alone or among others.
    pub(crate) fn admits(&self, frame: &AddressedFrame<'_>) -> bool {
        if let Content::Beacon { pan, .. } = frame.content {
            // A device without a PAN hears the beacons of all of them.
            return self.pan_id.is_none() || pan == Pan::from(self.pan_id);
        }
        // Without a destination it is for a PAN coordinator that associates, which nobody here is.
        let Some((pan, dst)) = frame.dst() else { return false };
        let in_pan = pan == Pan::Any || pan == Pan::from(self.pan_id);
        in_pan && (dst == LinkDst::Broadcast || self.is_me(dst))
    }

    /// A frame for this device alone that asks to be acknowledged.
    pub(crate) fn acknowledges(&self, frame: &AddressedFrame<'_>) -> bool {
        frame.ack_request
            && self.admits(frame)
            && frame.dst().is_some_and(|(_, dst)| self.is_me(dst))
    }

    /// The acknowledgement that is due at once for what was received, clauses 7.5.6.3 and 7.5.6.4: for a
    /// driver whose transceiver has no time to ask anybody.
    pub fn acknowledgement(&self, waiting: &SourceMatch, psdu: &[u8]) -> Option<Ack> {
        let Ok(Frame::Addressed(frame)) = Frame::parse(psdu) else { return None };
        if self.promiscuous || !self.acknowledges(&frame) {
            return None;
        }
        let asks = matches!(frame.content, Content::Command { id: CommandId::DATA_REQUEST, .. });
        let pending = asks && frame.src().is_some_and(|src| waiting.waits_for(src));
        Some(Ack { pending, ..Ack::of(frame.sequence) })
    }

    fn is_me(&self, dst: LinkDst) -> bool {
        match dst {
            LinkDst::Broadcast => false,
            LinkDst::Unicast(LinkAddr::Short(short)) => self.short == Some(short),
            LinkDst::Unicast(LinkAddr::Extended(eui64)) => self.eui64 == eui64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_testkit::hex;
    use lowgate_units::{Channel, Eui64, PanId, ShortAddr};
    use proptest::prelude::*;

    fn member() -> RadioConfig {
        RadioConfig {
            channel: Channel::new(15).expect("in the band"),
            pan_id: PanId::new(0x4321),
            short: ShortAddr::new(0x1234),
            eui64: Eui64([0xac, 0xde, 0x48, 0, 0, 0, 0, 1]),
            promiscuous: false,
        }
    }

    fn scanning() -> RadioConfig {
        RadioConfig { pan_id: None, short: None, ..member() }
    }

    fn check(config: RadioConfig, text: &str, admitted: bool, acknowledged: bool) {
        let octets = hex(text);
        let Ok(Frame::Addressed(frame)) = Frame::parse(&octets) else { panic!("{text}") };
        let decision = (config.admits(&frame), config.acknowledges(&frame));
        assert_eq!(decision, (admitted, acknowledged), "{text}");
    }

    #[test]
    fn a_member_takes_its_own_and_everyones() {
        check(member(), "61 88 01 2143 3412 0100", true, true);
        check(member(), "41 88 01 2143 3412 0100", true, false);
        check(member(), "61 8c 01 2143 0100000000 48deac 0100", true, true);
        check(member(), "61 88 01 2143 3512 0100", false, false);
        check(member(), "61 8c 01 2143 0200000000 48deac 0100", false, false);
        check(member(), "61 88 01 2243 3412 0100", false, false);
        check(member(), "61 88 01 2243 ffff 0100", false, false);
        // A request for an acknowledgement by everyone is answered by nobody.
        check(member(), "61 88 01 2143 ffff 0100", true, false);
        check(member(), "03 08 01 ffff ffff 07", true, false);
        check(member(), "21 80 01 2143 0100", false, false);
    }

    #[test]
    fn beacons_of_our_pan_or_while_scanning_of_all() {
        let ours = "00 c0 84 2143 0200000000 48deac ff0f 00 00";
        let foreign = "00 c0 84 2243 0200000000 48deac ff0f 00 00";
        check(member(), ours, true, false);
        check(member(), foreign, false, false);
        check(scanning(), ours, true, false);
        check(scanning(), foreign, true, false);
        check(scanning(), "61 88 01 2143 3412 0100", false, false);
        check(scanning(), "03 08 01 ffff ffff 07", true, false);
    }

    fn waiting(addrs: &[LinkAddr]) -> SourceMatch {
        let mut waiting = SourceMatch::new();
        waiting.enabled = true;
        addrs.iter().for_each(|addr| waiting.insert(*addr).expect("room"));
        waiting
    }

    /// The octets of the acknowledgement, empty for none.
    fn check_ack(config: RadioConfig, waiting: &SourceMatch, text: &str, ack: &str) {
        let octets = config.acknowledgement(waiting, &hex(text)).map(|ack| ack.octets());
        assert_eq!(octets.as_ref().map_or(&[][..], |octets| octets), hex(ack), "{text}");
    }

    #[test]
    fn who_asks_for_data_is_told_whether_some_is_waiting() {
        let neighbour = LinkAddr::Short(ShortAddr::new(1).expect("an address"));
        let request = "63 88 07 2143 3412 0100 04";
        check_ack(member(), &waiting(&[]), request, "02 00 07");
        check_ack(member(), &waiting(&[neighbour]), request, "12 00 07");
        check_ack(member(), &SourceMatch::new(), request, "12 00 07");
        let eui64 = LinkAddr::Extended(Eui64([0xac, 0xde, 0x48, 0, 0, 0, 0, 2]));
        let request = "63 c8 08 2143 3412 0200000000 48deac 04";
        check_ack(member(), &waiting(&[neighbour]), request, "02 00 08");
        check_ack(member(), &waiting(&[eui64]), request, "12 00 08");
        // Sealed, its command identifier is in clear: security level 5, key index 1.
        let sealed = "6b 98 09 2143 3412 0100 0d 2a000000 01 04 00112233";
        check_ack(member(), &waiting(&[neighbour]), sealed, "12 00 09");
    }

    #[test]
    fn what_asks_for_no_data_finds_none_waiting() {
        let everyone = &SourceMatch::new();
        check_ack(member(), everyone, "61 88 01 2143 3412 0100", "02 00 01");
        check_ack(member(), everyone, "63 88 01 2143 3412 0100 01", "02 00 01");
    }

    #[test]
    fn what_is_not_for_us_alone_gets_no_acknowledgement() {
        let everyone = &SourceMatch::new();
        for text in [
            "43 88 01 2143 3412 0100 04",
            "63 88 01 2143 ffff 0100 04",
            "63 88 01 2143 3512 0100 04",
            "63 88 01 2243 3412 0100 04",
            "02 00 01",
            "12 00 01",
            "",
        ] {
            check_ack(member(), everyone, text, "");
        }
        let sniffer = RadioConfig { promiscuous: true, ..member() };
        check_ack(sniffer, everyone, "63 88 01 2143 3412 0100 04", "");
    }

    proptest! {
        /// Above and below the seam judge alike, and whatever comes is judged.
        #[test]
        fn any_octets_are_judged_as_the_machine_judges_them(
            mut psdu in prop::collection::vec(any::<u8>(), 0..40), ours in any::<bool>(),
        ) {
            if ours && psdu.len() > 7 {
                psdu[3..7].copy_from_slice(&hex("2143 3412"));
                psdu[1] = 0x88;
            }
            let ack = member().acknowledgement(&SourceMatch::new(), &psdu);
            let judged = matches!(
                Frame::parse(&psdu), Ok(Frame::Addressed(frame)) if member().acknowledges(&frame)
            );
            prop_assert_eq!(ack.is_some(), judged);
            prop_assert!(ack.is_none_or(|ack| ack.sequence == psdu[2]));
        }
    }
}
