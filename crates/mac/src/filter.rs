//! Which frames are for us, IEEE 802.15.4-2006 clause 7.5.6.2.
//!
//! **Invariant:** the same answer below the seam, where it decides on the acknowledgement, and above.

use crate::seam::RadioConfig;
use lowgate_ieee802154::{AddressedFrame, Content, Pan};
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
    use lowgate_ieee802154::Frame;
    use lowgate_testkit::hex;
    use lowgate_units::{Channel, Eui64, PanId, ShortAddr};

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
}
