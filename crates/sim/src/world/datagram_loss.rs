//! Whole datagrams that get lost behind the link layer: the model of draft-keoh-lwig-dtls-iot-01 section 5.4.
//!
//! **Invariant:** the fragments of one datagram share its fate; a frame that is lost here was acknowledged, so
//! that no link layer repeats it.

use lowgate_ieee802154::{Content, Format, Frame};
use lowgate_mac::RadioEvent;
use lowgate_sixlowpan::{DatagramTag, FragHeader};
use lowgate_units::Prng;

/// Datagrams whose fragments may come in between each other; one device speaks with one relay.
const FATES_MAX: usize = 4;

/// One receiver's losses.
#[derive(Debug)]
pub(super) struct DatagramLoss {
    loss: f64,
    dice: Prng,
    /// Of the datagrams that come in fragments, the latest last.
    fates: Vec<(DatagramTag, bool)>,
}

impl DatagramLoss {
    /// Loses each datagram with this probability, 0 to 1.
    pub(super) const fn new(loss: f64, dice: Prng) -> Self {
        Self { loss, dice, fates: Vec::new() }
    }

    /// Whether what the radio heard is lost. Beacons and commands never are, nor is anything it did not hear.
    pub(super) fn loses(&mut self, event: &RadioEvent) -> bool {
        let RadioEvent::Received { psdu, .. } = event else { return false };
        let Ok(Frame::Addressed(frame)) = Frame::parse(psdu) else { return false };
        match (frame.content, frame.format) {
            (Content::Data { .. }, Format::Unsecured(_)) => self.decide(frame.payload),
            (Content::Data { .. }, Format::Secured(_)) => true,
            _ => false,
        }
    }

    fn decide(&mut self, payload: &[u8]) -> bool {
        match FragHeader::parse(payload) {
            Ok((FragHeader::Next { tag, .. }, _)) => {
                let known = self.fates.iter().rev().find(|(known, _)| *known == tag);
                known.is_none_or(|(_, lost)| *lost)
            }
            Ok((FragHeader::First { tag, .. }, _)) => {
                let lost = self.throw();
                if self.fates.len() == FATES_MAX {
                    self.fates.remove(0);
                }
                self.fates.push((tag, lost));
                lost
            }
            Err(_) => self.throw(),
        }
    }

    fn throw(&mut self) -> bool {
        self.dice.unit_f64() < self.loss
    }
}
