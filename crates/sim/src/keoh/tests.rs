//! What the draft measured, what is demanded of us, and that others' figures are what their documents say.

use super::others;
use super::*;

fn without_loss(cookie: bool) -> Access {
    access(Setting { cookie, loss: 0.0, retransmission: Retransmission::USUAL, seed: 1 })
}

/// Purpose: one group's keys and the configuration at what the draft's prototype took for less.
/// Topology: a border router and a light in one room. Criteria: the bounds below; no frame repeated.
#[test]
fn without_loss_it_takes_at_most() {
    let (off, on) = (without_loss(false), without_loss(true));
    assert!(off.datagrams.len() <= 6 && off.round_trips() <= 3, "{off:?}");
    assert!(off.octets().app <= 580 && off.octets().total() <= 900, "{:?}", off.octets());
    assert!(on.datagrams.len() <= 8 && on.octets().total() <= 1150, "{:?}", on.octets());
    assert_eq!((off.frames_repeated, on.frames_repeated), (0, 0));
    // The keys came with the handshake's last flight, and one datagram confirmed them.
    let from: Vec<u32> = off.datagrams.iter().map(|datagram| datagram.from.0).collect();
    assert_eq!(from, [1, 0, 1, 0, 1]);
}

/// Figure 4 at its worst: half of the datagrams lost, a limit of 15 s.
#[test]
fn half_of_the_datagrams_lost() {
    for cookie in [false, true] {
        let point = point(cookie, 0.5, Retransmission::USUAL, 200);
        assert!(point.success_15s >= 0.95 && point.messages_p50 <= 20, "{cookie}: {point:?}");
    }
}

#[test]
fn what_is_lost_is_whole_datagrams_and_nothing_is_repeated_below() {
    let runs = (0..20).map(|seed| {
        access(Setting { cookie: true, loss: 0.3, retransmission: Retransmission::USUAL, seed })
    });
    let least = without_loss(true).datagrams.len();
    let mut more = 0;
    for run in runs {
        assert_eq!(run.frames_repeated, 0);
        assert!(run.datagrams.len() >= least, "{run:?}");
        more += run.datagrams.len() - least;
    }
    assert!(more > 20, "{more}");
}

/// The table of the draft adds up, and our policies are the ones that its RFCs name.
#[test]
fn the_paper_adds_up_and_equal_seeds_give_equal_runs() {
    let Paper { messages, mac, lowpan, udp, app, total, .. } = Paper::KEOH;
    assert_eq!(mac + lowpan + udp + app, total);
    assert_eq!((lowpan, udp), (40 * messages, 8 * messages));
    let setting =
        Setting { cookie: true, loss: 0.5, retransmission: Retransmission::Rfc6347, seed: 7 };
    assert_eq!(access(setting), access(setting));
}

/// RFC 9031 appendix A and RFC 9529 section 3.
#[test]
fn what_others_take_follows_from_their_examples() {
    let [cojp, edhoc, both] = others::all();
    // Header 4, Uri-Host 12, OSCORE 12, Proxy-Scheme 6, marker 1, and 9 octets of POST /j with a tag of 8; the
    // answer: header 4, OSCORE 1, marker 1, and 28 octets with a tag of 8.
    assert_eq!((cojp.messages, cojp.octets.app), (2, 52 + 42));
    // Each message behind header 4, marker 1, and in the requests a path of 18 and one octet.
    assert_eq!((edhoc.messages, edhoc.octets.app), (4, 39 + 45 + 19 + 9 + 4 * 5 + 2 * 19));
    assert_eq!(both.octets, cojp.octets + edhoc.octets);
    assert_eq!((cojp.round_trips, edhoc.round_trips, both.round_trips), (1, 2, 3));
    assert_eq!(cojp.octets.udp, 2 * 7);
}

/// Sixty along a corridor, four hops deep, where everybody gets power at once, on the whole radio model.
#[test]
fn the_same_policy_brings_a_crowd_in() {
    let crowd = crowd::crowd(60, Retransmission::USUAL, 1);
    assert!(crowd.holds() && crowd.hops_max >= 4, "{crowd:?}");
    assert!(crowd.airtime > Duration::ZERO && crowd.datagrams >= 7 * 60, "{crowd:?}");
}
