//! Purpose: identities are octets, no text, and none of them is looked at. RFC 7925 section 4.2.

use crate::world::*;
use lowgate_dtls::{ClientConfig, IDENTITY_OCTETS_MAX};

#[test]
fn identities_of_all_lengths_and_octets() {
    let longest: Vec<u8> = (0..IDENTITY_OCTETS_MAX).map(|n| (n * 2) as u8 | 1).collect();
    for identity in [
        &[1][..],
        b"d1",
        b"d1\0",
        b"\0d1",
        b"D1",
        &[0xff, 0xfe, 0, 0x80, 9],
        &longest[1..],
        &longest,
    ] {
        let mut world = World::new(1);
        world.add(peer(1), ClientConfig { group_request: None, ..config(identity) });
        world.start(0);
        world.run_for(secs(1));
        world.expect_joined();
        assert_eq!(world.said.established[0].identity, identity);
    }
}
