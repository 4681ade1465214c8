//! Purpose: datagrams that overtake each other. RFC 6347 sections 4.2.2 and 4.2.3.

use crate::world::*;

#[test]
fn delays_from_nothing_to_a_second() {
    for seed in 0..150 {
        let mut world = World::joining(seed, |config| config.datagram_len_max = 96);
        world.faults = Faults { delay: (millis(1), millis(1000)), ..Faults::default() };
        world.run_for(secs(60));
        assert_eq!(world.nodes[0].established.len(), 1, "seed {seed}");
        world.run_for(secs(2));
        world.expect_working();
    }
}

/// The records of every flight, each in a datagram of its own, in reverse.
#[test]
fn every_flight_backwards() {
    for cid in [false, true] {
        let mut world = World::joining(1, |config| config.connection_id = cid);
        world.tap = Some(Box::new(|_, octets| {
            let records = records(octets, if octets.contains(&25) { 4 } else { 0 });
            let last = records.len() as u64;
            let delayed = records.into_iter().enumerate();
            Some(
                delayed.map(|(i, record)| (millis(10 + 3 * (last - i as u64)), record.3)).collect(),
            )
        }));
        world.run_for(secs(30));
        // A Finished that overtakes the keys is dropped, and repeated in the same wrong order; the
        // server has the key exchange by then.
        world.expect_joined();
        world.expect_working();
    }
}

#[test]
fn payloads_out_of_order_are_delivered_once() {
    let mut world = World::joined(2, |_| {});
    let sealed: Vec<_> = (0..10u8).map(|i| world.seal(0, DATA, &[i])).collect();
    for i in [3, 1, 0, 9, 2, 3, 4, 9, 8, 7, 6, 5, 0] {
        world.inject(Towards::Server, &peer(1), &sealed[i]);
    }
    let got: Vec<_> = world.said.received.iter().map(|(_, _, octets)| octets[0]).collect();
    assert_eq!(got, [3, 1, 0, 9, 2, 4, 8, 7, 6, 5]);
}

/// ChangeCipherSpec is part of the flight: without it there is no session, on either side.
#[test]
fn without_change_cipher_spec() {
    for towards_whom in [Towards::Server, Towards::Client] {
        let mut world = World::joining(1, |_| {});
        world.tap = Some(Box::new(move |towards, octets| {
            (towards == towards_whom).then(|| {
                let kept = records(octets, 4).into_iter().filter(|record| record.0 != 20);
                vec![(millis(20), kept.flat_map(|record| record.3).collect())]
            })
        }));
        world.run_for(secs(61));
        assert!(world.nodes[0].established.is_empty());
        assert_eq!(world.said.established.is_empty(), towards_whom == Towards::Server);
    }
}
