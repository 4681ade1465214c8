//! One end of a tunnel between two places: what is heard here is sent there, and the other way.
//!
//! A tunnel is of no use for frames whose senders wait for an acknowledgement that nobody sends: each end
//! acknowledges for those who were heard at the other end and not at this one.

use lowgate_ieee802154::{AddressedFrame, Content, Format, Frame};
use lowgate_mac::Psdu;
use lowgate_units::{Eui64, LinkAddr, Prng};
use std::collections::{BTreeSet, VecDeque};

use super::packets::emit;

/// Frames that wait for the air.
const WAITING_MAX: usize = 16;
/// Frames remembered that went through: none goes twice, though this end hears what the other one sends.
const PASSED_MAX: usize = 32;

/// An end.
#[derive(Debug)]
pub(super) struct Wormhole {
    other: Eui64,
    alters: Alters,
    near: BTreeSet<Eui64>,
    far: BTreeSet<Eui64>,
    waiting: VecDeque<Psdu>,
    /// For the other end.
    heard: VecDeque<Psdu>,
    passed: VecDeque<Psdu>,
}

/// What an end does with a frame before it sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alters {
    Nothing,
    /// Two octets of each unsecured frame of data change their places: no checksum shows it.
    Unsecured,
}

impl Wormhole {
    pub(super) fn new(other: Eui64, alters: Alters) -> Self {
        let (near, far) = (BTreeSet::new(), BTreeSet::new());
        let (waiting, heard, passed) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        Self { other, alters, near, far, waiting, heard, passed }
    }

    /// Its radio received a frame.
    pub(super) fn hear(&mut self, psdu: &Psdu) {
        let Ok(Frame::Addressed(frame)) = Frame::parse(psdu) else { return };
        // Who looks for a network has no name yet.
        if let Some(LinkAddr::Extended(src)) = frame.src() {
            if self.far.contains(&src) {
                return;
            }
            self.near.insert(src);
        }
        if self.heard.len() < WAITING_MAX && self.remember(psdu) {
            self.heard.push_back(psdu.clone());
        }
    }

    /// Whether it is another frame than those before.
    fn remember(&mut self, psdu: &Psdu) -> bool {
        if self.passed.contains(psdu) {
            return false;
        }
        if self.passed.len() >= PASSED_MAX {
            self.passed.pop_front();
        }
        self.passed.push_back(psdu.clone());
        true
    }

    /// For the other end: its name and a frame.
    pub(super) fn pass(&mut self) -> Option<(Eui64, Psdu)> {
        self.heard.pop_front().map(|psdu| (self.other, psdu))
    }

    /// The other end heard a frame.
    pub(super) fn take(&mut self, psdu: Psdu) {
        if let Ok(Frame::Addressed(frame)) = Frame::parse(&psdu)
            && let Some(LinkAddr::Extended(src)) = frame.src()
            && !self.near.contains(&src)
        {
            self.far.insert(src);
        }
        if self.waiting.len() < WAITING_MAX && self.remember(&psdu) {
            self.waiting.push_back(psdu);
        }
    }

    /// The next frame for the air.
    pub(super) fn next(&mut self, prng: &mut Prng) -> Option<Psdu> {
        let psdu = self.waiting.pop_front()?;
        match self.alters {
            Alters::Nothing => Some(psdu),
            Alters::Unsecured => Some(altered(&psdu, prng).unwrap_or(psdu)),
        }
    }

    /// The channel was busy: this one first.
    pub(super) fn put_back(&mut self, psdu: Psdu) {
        self.waiting.push_front(psdu);
    }

    /// Whether it answers for a device: who is heard at the other end only.
    pub(super) fn is(&self, device: Eui64) -> bool {
        self.far.contains(&device) && !self.near.contains(&device)
    }
}

/// With two octets at a distance of two in each other's place: the sum that RFC 1071 makes stays.
fn altered(psdu: &Psdu, prng: &mut Prng) -> Option<Psdu> {
    let Ok(Frame::Addressed(frame)) = Frame::parse(psdu) else { return None };
    if !matches!((&frame.format, &frame.content), (Format::Unsecured(_), Content::Data { .. })) {
        return None;
    }
    let mut payload = Psdu::from_slice(frame.payload).ok()?;
    // The second half: behind all headers.
    let from = payload.len() / 2;
    let places: Vec<usize> = (from..payload.len().checked_sub(2)?)
        .filter(|at| payload[*at] != payload[at + 2])
        .collect();
    let at = *places.get(prng.below(places.len() as u64) as usize)?;
    payload.swap(at, at + 2);
    emit(&Frame::Addressed(AddressedFrame { payload: &payload, ..frame }))
}
