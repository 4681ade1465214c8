//! CCM* over a frame, IEEE 802.15.4-2006 clauses 7.5.8.2 and 7.6.3: the head is authenticated, the
//! payload encrypted as well, the tag follows it.
//!
//! **Invariant:** pure; which key, counter and level are right was decided by the caller.

use crate::seam::Psdu;
use crate::upper::{FrameDrop, Payload};
use lowgate_crypto::{Ccm, Key128};
use lowgate_ieee802154::{AddressedFrame, AuxSecurityHeader, nonce};
use lowgate_units::Eui64;
use lowgate_units::planted::{Fault, planted};

/// The octets of `frame` as it stands; `None` if they are too many.
pub(crate) fn clear(frame: &AddressedFrame<'_>) -> Option<Psdu> {
    emit(frame, frame.len())
}

/// The octets of `frame`, its payload encrypted and its tag behind; `None` if they are too many.
pub(crate) fn seal(
    ccm: &dyn Ccm,
    key: &Key128,
    src: Eui64,
    aux: &AuxSecurityHeader,
    frame: &AddressedFrame<'_>,
) -> Option<Psdu> {
    let mut psdu = emit(frame, frame.len() + aux.level.mic_len())?;
    let (head, rest) = psdu.split_at_mut(frame.head_len());
    let (payload, mic) = rest.split_at_mut(frame.payload.len());
    ccm.seal(key, &nonce(src, aux.counter, aux.level), head, payload, mic);
    Some(psdu)
}

fn emit(frame: &AddressedFrame<'_>, len: usize) -> Option<Psdu> {
    let mut psdu = Psdu::new();
    psdu.resize_default(len).ok()?;
    frame.emit(&mut psdu);
    Some(psdu)
}

/// The payload of `frame`, which was parsed from `octets`.
pub(crate) fn open(
    ccm: &dyn Ccm,
    key: &Key128,
    src: Eui64,
    aux: &AuxSecurityHeader,
    (frame, octets): (&AddressedFrame<'_>, &[u8]),
) -> Result<Payload, FrameDrop> {
    let payload_len = frame.payload.len().checked_sub(aux.level.mic_len());
    let (sealed, mic) = frame.payload.split_at(payload_len.ok_or(FrameDrop::BadMic)?);
    let mut payload = Payload::from_slice(sealed).map_err(|_| FrameDrop::BadMic)?;
    let head = &octets[..frame.head_len()];
    let opened = ccm.open(key, &nonce(src, aux.counter, aux.level), head, &mut payload, mic);
    if opened.is_err() && !planted(Fault::MicUnchecked) {
        return Err(FrameDrop::BadMic);
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_crypto::SoftCcm;
    use lowgate_ieee802154::{Format, Frame};
    use lowgate_testkit::{hex, to_hex};
    use proptest::prelude::*;

    const SRC: Eui64 = Eui64([0xac, 0xde, 0x48, 0, 0, 0, 0, 1]);

    fn key() -> Key128 {
        Key128::from_slice(&hex("c0c1c2c3c4c5c6c7c8c9cacbcccdcecf")).expect("16 octets")
    }

    fn parsed(octets: &[u8]) -> (AddressedFrame<'_>, AuxSecurityHeader) {
        let Ok(Frame::Addressed(frame)) = Frame::parse(octets) else { panic!("not a frame") };
        let Format::Secured(aux) = frame.format else { panic!("not secured") };
        (frame, aux)
    }

    // IEEE 802.15.4-2006 annex C.2.3, the whole frame both ways.
    #[test]
    fn annex_c_2_3_command() {
        let head = "2bdc 84 2143 0200000000 48deac ffff 0100000000 48deac 06 05000000 01";
        let clear = hex(&[head, "ce"].concat());
        let (frame, aux) = parsed(&clear);
        let psdu = seal(&SoftCcm, &key(), SRC, &aux, &frame).expect("fits");
        let expected = hex(&[head, "d84fde529061f9c6f1"].concat());
        assert_eq!(to_hex(&psdu), to_hex(&expected));
        let (frame, aux) = parsed(&psdu);
        let payload = open(&SoftCcm, &key(), SRC, &aux, (&frame, &psdu)).expect("own tag");
        assert_eq!(payload, [0xce]);
    }

    // Annex C.2.1: MIC only, so payload and head are authenticated in clear.
    #[test]
    fn annex_c_2_1_beacon() {
        let octets = hex("08d0 84 2143 0100000000 48deac 02 05000000 55cf 00 00 51525354
                          223bc1ec841ab553");
        let (frame, aux) = parsed(&octets);
        assert_eq!(aux.level.mic_len(), 8);
        let (clear, mic) = octets.split_at(octets.len() - 8);
        assert_eq!(clear.len() - frame.head_len(), 4);
        let nonce = nonce(SRC, aux.counter, aux.level);
        assert_eq!(SoftCcm.open(&key(), &nonce, clear, &mut [], mic), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn open_of_seal_is_identity_and_one_flipped_bit_is_seen(
            payload in prop::collection::vec(any::<u8>(), 0..=90),
            counter in any::<[u8; 4]>(),
            flip in any::<prop::sample::Index>(),
        ) {
            let mut head = hex("69dc 84 2143 0200000000 48deac 0100000000 48deac 0e");
            head.extend_from_slice(&counter);
            head.push(1);
            let clear = [&head[..], &payload].concat();
            let (frame, aux) = parsed(&clear);
            let psdu = seal(&SoftCcm, &key(), SRC, &aux, &frame).expect("90 octets fit");
            let (frame, aux) = parsed(&psdu);
            let opened = open(&SoftCcm, &key(), SRC, &aux, (&frame, &psdu));
            prop_assert_eq!(opened.as_deref(), Ok(&payload[..]));

            let mut forged = psdu.clone();
            let bit = flip.index(forged.len() * 8);
            forged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(Frame::Addressed(frame)) = Frame::parse(&forged)
                && let Format::Secured(aux) = frame.format
                && aux.level.raw() == 6
            {
                let opened = open(&SoftCcm, &key(), SRC, &aux, (&frame, &forged));
                prop_assert_eq!(opened, Err(FrameDrop::BadMic));
            }
        }
    }
}
