//! Purpose: when flights are repeated, and that each repetition is new to the record layer.
//! RFC 6347 sections 4.2.4 and 4.2.4.1, RFC 7925 section 11.

use crate::world::*;
use lowgate_dtls::{Retransmission, RetransmissionTimer};
use lowgate_units::{Instant, Prng};
use std::collections::BTreeSet;

fn silence(policy: Retransmission) -> Vec<f64> {
    let mut world = World::joining(7, |config| config.retransmission = policy);
    world.tap = Some(Box::new(|_, _| Some(Vec::new())));
    world.run_for(secs(200));
    let times: Vec<f64> = world.nodes[0].sent.iter().map(|(at, _)| at.as_secs_f64()).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn check(policy: Retransmission, expected: &[f64]) {
    let gaps = silence(policy);
    assert!(gaps.len() >= expected.len(), "{policy:?} {gaps:?}");
    for (gap, wait) in gaps.iter().zip(expected) {
        assert!(*gap >= *wait && *gap <= 1.25 * wait, "{policy:?} {gaps:?}");
    }
}

#[test]
fn policies() {
    check(Retransmission::Rfc6347, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0]);
    check(Retransmission::Rfc7925, &[9.0, 18.0, 36.0]);
}

#[test]
fn adaptive_is_quick_while_young_and_patient_later() {
    let gaps = silence(Retransmission::Adaptive { hops: 8 });
    let mut at = 0.0;
    for (i, gap) in gaps.iter().enumerate() {
        at += gap;
        let max = if at < 30.0 { 2.0 } else { 2.1 * 2f64.powi(i as i32) };
        assert!(*gap <= max, "{gaps:?}");
    }
    let young = gaps.iter().filter(|gap| **gap <= 2.0).count();
    assert!((14..=22).contains(&young), "{gaps:?}");
    assert!(gaps.last().is_some_and(|gap| *gap > 4.0), "{gaps:?}");
}

/// A slow path is measured: after the first answer nothing is repeated for nothing.
#[test]
fn adaptive_learns_the_round_trip() {
    let mut world = World::joining(1, |_| {});
    world.faults.delay = (millis(300), millis(300));
    world.run_for(secs(10));
    world.expect_joined();
    assert!(world.nodes[0].sent.len() <= 8, "{}", world.nodes[0].sent.len());
}

/// Where two round trips take longer than the longest wait on a path that nobody knows, they are waited for.
#[test]
fn adaptive_waits_for_two_measured_round_trips() {
    let mut prng = Prng::new(1);
    let policy = Retransmission::Adaptive { hops: 1 };
    let mut timer = RetransmissionTimer::new(policy, Instant::ZERO);
    timer.sent(Instant::ZERO, &mut prng);
    let answered = Instant::from_millis(1900);
    timer.answered(answered);
    timer.sent(answered, &mut prng);
    let waits = timer.due().since(answered).as_secs_f64();
    assert!(waits > 2.0 && waits <= 3.8, "{waits}");
}

#[test]
fn no_record_number_is_used_twice() {
    let mut checked = 0;
    for seed in 0..60 {
        let mut world = World::joining(seed, |_| {});
        world.faults = Faults { loss: 0.4, duplicate: 0.2, delay: (millis(1), millis(200)) };
        world.run_for(secs(60));
        // Another handshake has other keys, and its numbers begin anew.
        if world.said.started != 1 || world.nodes[0].established.is_empty() {
            continue;
        }
        checked += 1;
        for i in 0..20 {
            world.client_sends(0, DATA, &[i]);
            let session = world.said.established[0].session;
            world.server_sends(session, DATA, &[i]);
        }
        for sent in [&world.nodes[0].sent, &world.said.sent] {
            let mut seen = BTreeSet::new();
            for (kind, epoch, seq, record) in sent.iter().flat_map(|(_, o)| records(o, 4)) {
                // HelloVerifyRequests take their number from the hello they answer.
                let verify_request = (kind, epoch, record[13]) == (22, 0, 3);
                assert!(verify_request || seen.insert((epoch, seq)), "seed {seed}");
            }
        }
    }
    assert!(checked > 20, "{checked}");
}

/// The server repeats its flight by itself when the client falls silent.
#[test]
fn the_server_repeats_too() {
    let mut world = World::joining(1, |_| {});
    let mut hellos = 0;
    world.tap = Some(Box::new(move |towards, octets| {
        hellos += usize::from(towards == Towards::Server && octets[13] == 1);
        (towards == Towards::Server && hellos >= 1 && octets[13] != 1).then(Vec::new)
    }));
    world.run_for(secs(3));
    let flights = world.said.sent.iter().filter(|(_, octets)| octets[13] == 2).count();
    assert!(flights >= 3, "{flights}");
    world.tap = None;
    world.run_for(secs(30));
    world.expect_joined();
}
