//! Sealing and opening the longest frame, by ours; `ccm.c` does the same by OpenSSL.

use crate::rounds::shortest;
use lowgate_crypto::{Ccm, Key128, SoftCcm};
use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;

/// aMaxPHYPacketSize, and the FCS that is not sealed.
const FRAME_OCTETS: usize = 127;
const FCS_OCTETS: usize = 2;
/// Of a secured frame within a PAN: control, sequence, PAN, short destination, extended source, and the
/// auxiliary security header with key index.
const HEAD_OCTETS: usize = 2 + 1 + 2 + 2 + 8 + 6;

/// One way of treating a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Case {
    pub(crate) direction: Direction,
    /// 802.15.4's: 5 has a tag of 4 octets, 6 one of 8.
    pub(crate) level: u8,
}

/// Before or behind the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    Seal,
    Open,
}

impl Direction {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Open => "open",
        }
    }
}

impl Case {
    pub(crate) const ALL: [Self; 4] = [
        Self { direction: Direction::Seal, level: 5 },
        Self { direction: Direction::Open, level: 5 },
        Self { direction: Direction::Seal, level: 6 },
        Self { direction: Direction::Open, level: 6 },
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name() == name)
    }

    pub(crate) fn name(self) -> String {
        format!("{}_{}", self.direction.name(), self.level)
    }

    const fn tag_octets(self) -> usize {
        if self.level == 5 { 4 } else { 8 }
    }

    const fn payload_octets(self) -> usize {
        FRAME_OCTETS - FCS_OCTETS - HEAD_OCTETS - self.tag_octets()
    }

    /// What `ccm.c` wants to be told.
    pub(crate) fn arguments(self, key: &str, count: usize, rounds: usize) -> Vec<String> {
        let [head, payload, tag] = [HEAD_OCTETS, self.payload_octets(), self.tag_octets()];
        let name = self.direction.name();
        format!("{name} {key} {head} {payload} {tag} {count} {rounds}")
            .split(' ')
            .map(Into::into)
            .collect()
    }

    /// Nanoseconds a frame.
    pub(crate) fn nanos(self, count: usize, rounds: usize) -> f64 {
        shortest(rounds, || {
            let started = Instant::now();
            self.run(count);
            started.elapsed().as_secs_f64() * 1e9 / count as f64
        })
    }

    /// Treats so many frames, each with its own nonce and its key.
    pub(crate) fn run(self, count: usize) {
        let key = Key128::new([0x42; 16]);
        let head = [0x61; HEAD_OCTETS];
        let plain = vec![0x55; self.payload_octets()];
        let (mut nonce, mut tag) = ([0x17; 13], [0; 8]);
        let tag = &mut tag[..self.tag_octets()];
        let mut work = plain.clone();
        match self.direction {
            Direction::Seal => {
                for number in 0..count as u32 {
                    nonce[8..12].copy_from_slice(&number.to_be_bytes());
                    work.copy_from_slice(&plain);
                    SoftCcm.seal(black_box(&key), &nonce, &head, &mut work, tag);
                    black_box(&work);
                }
            }
            Direction::Open => {
                SoftCcm.seal(&key, &nonce, &head, &mut work, tag);
                let sealed = work.clone();
                for _ in 0..count {
                    work.copy_from_slice(&sealed);
                    let opened = SoftCcm.open(black_box(&key), &nonce, &head, &mut work, tag);
                    assert!(black_box(opened).is_ok(), "it was sealed above");
                }
                assert_eq!(work, plain);
            }
        }
    }
}
