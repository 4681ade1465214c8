//! Certificates that somebody changed on their way, in either direction: they make no session, and the genuine ones,
//! which come behind them, do.

use crate::chains::{
    Flash, TRUSTED, chain, device_leaf, good_certificates, in_flash, trusted, with_flash,
};
use crate::ends::{Guest, Hall, at};
use crate::hostile::Dice;
use lowgate_dtls::{ServerCertificates, TrustAnchor};
use std::sync::LazyLock;

/// Record and handshake header.
const HEAD: usize = 13 + 12;
const CERTIFICATE: u8 = 11;
const DATAGRAM_OCTETS_MAX: usize = 2000;
/// Changes of one chain.
const EDITS_MAX: usize = 8;

/// Made once, for signing takes its time.
static MADE: LazyLock<(ServerCertificates, Flash, [TrustAnchor; 1])> =
    LazyLock::new(|| (good_certificates(), in_flash(chain(&device_leaf(1), TRUSTED)), [trusted()]));

/// The fuzz target: what the input makes of a chain goes first, and the chain itself after it.
pub(crate) fn certificates(octets: &[u8]) {
    let _ = TrustAnchor::from_certificate(octets);
    let mut dice = Dice(octets);
    let (to_client, replaced) = (dice.octet() & 1 == 0, dice.octet() & 1 == 0);
    let (own, flash, anchors) = &*MADE;
    let mut hall = Hall::new(|config| {
        config.certificates = Some(own.clone());
        config.datagram_len_max = DATAGRAM_OCTETS_MAX;
    });
    let mut guest = Guest::new(1, |config| {
        *config = with_flash(config.clone(), flash, 1, anchors);
        config.datagram_len_max = DATAGRAM_OCTETS_MAX;
    });
    let hello = guest.sent[0].clone();
    let verify = hall.hear(&at(1), &hello).concat();
    let hello = guest.hear(&verify).concat();
    let flight = hall.hear(&at(1), &hello).concat();
    if to_client {
        let _ = guest.hear(&forged(&flight, &mut dice, replaced));
        assert_eq!(guest.established, 0);
        // What was refused is looked at again when the client has said its hello again.
        guest.settle(&mut hall, &at(1));
    } else {
        let answer = guest.hear(&flight).concat();
        let _ = hall.hear(&at(1), &forged(&answer, &mut dice, replaced));
        assert!(hall.established.is_empty());
        guest.settle(&mut hall, &at(1));
    }
    assert_eq!((guest.established, hall.established.len()), (1, 1));
}

/// The Certificate of a flight in a datagram of its own, as the dice have it.
fn forged(flight: &[u8], dice: &mut Dice<'_>, replaced: bool) -> Vec<u8> {
    let certificate = records(flight).find(|record| record[13] == CERTIFICATE).expect("it is sent");
    let mut body = match replaced {
        true => dice.0.to_vec(),
        false => certificate[HEAD..].to_vec(),
    };
    if !replaced {
        for _ in 0..EDITS_MAX {
            let at = usize::from(dice.number()) % body.len();
            body[at] ^= dice.octet();
        }
        if body == certificate[HEAD..] {
            body[HEAD] ^= 1;
        }
    }
    let mut record = certificate[..HEAD].to_vec();
    let len = (body.len() as u32).to_be_bytes();
    record[11..13].copy_from_slice(&(12 + body.len() as u16).to_be_bytes());
    record[14..17].copy_from_slice(&len[1..]);
    record[22..25].copy_from_slice(&len[1..]);
    record.extend(body);
    record
}

fn records(mut datagram: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let len = u16::from_be_bytes(datagram.get(11..13)?.try_into().expect("two octets"));
        let (record, rest) = datagram.split_at_checked(13 + usize::from(len))?;
        datagram = rest;
        Some(record)
    })
}
