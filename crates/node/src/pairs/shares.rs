//! A device's shares: that of the polynomial in force, for a while that of the one before, and whom it has no key
//! with any more.
//!
//! **Invariant:** everything moves forward only. Who was named as lost has no key with this device, under whichever
//! polynomial; a share is used when storage holds it.

use crate::flash::{PART_OCTETS_MAX, Record, RecordKey};
use alloc::vec::Vec;
use lowgate_amikey::pairs::PairHello;
use lowgate_amikey::pairwise::{PairwiseFault, Scheme, SetName, Share};
use lowgate_crypto::Key128;
use lowgate_dtls::{PairAnswer, PairwiseId, Psk, PskDirectory};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Instant};
use zeroize::Zeroizing;

/// The share of the polynomial before serves those who do not have the next one yet, for no longer than this.
pub(crate) const PREVIOUS_FOR: Duration = Duration::from_secs(600);
/// Devices that may be known as lost: a set begins another polynomial long before.
pub(crate) const LOST_MAX: usize = 256;

/// A share and whose polynomial it is.
pub(crate) struct Held {
    pub(crate) name: SetName,
    pub(crate) coefficients: Zeroizing<Vec<u8>>,
}

/// All of a device's.
pub(crate) struct Shares {
    own: Eui64,
    held: Option<Held>,
    previous: Option<(Held, Instant)>,
    lost: Vec<Eui64>,
}

impl Shares {
    /// What storage holds: the last share that came whole, the one before if its time was not over, and who was
    /// lost. Nobody knows for how long there was no power.
    pub(crate) fn restored(now: Instant, own: Eui64, records: &[Record]) -> Self {
        let named = records.iter().find_map(|record| match record {
            Record::Pairs { held, previous } => Some((*held, *previous)),
            _ => None,
        });
        let whole = |(name, len): (SetName, u16)| {
            let mut parts: Vec<(u8, &[u8])> =
                records.iter().filter_map(|it| part(it, name)).collect();
            parts.sort_unstable_by_key(|(nth, _)| *nth);
            let coefficients =
                Zeroizing::new(parts.into_iter().flat_map(|it| it.1).copied().collect());
            let held = Held { name, coefficients };
            // What a power cut left of two shares is none.
            let is_whole = held.coefficients.len() == usize::from(len);
            (is_whole && held.share(own).is_ok()).then_some(held)
        };
        let lost = records.iter().flat_map(|record| match record {
            Record::PairsLost { names, .. } => &names[..],
            _ => &[],
        });
        let previous = named.and_then(|(_, previous)| whole(previous?));
        Self {
            own,
            held: named.and_then(|(held, _)| whole(held)),
            previous: previous.map(|held| (held, now + PREVIOUS_FOR)),
            lost: lost.copied().collect(),
        }
    }

    /// The polynomial of the share in use.
    pub(crate) fn name(&self) -> Option<SetName> {
        self.held.as_ref().map(|held| held.name)
    }

    /// The one that is still taken besides.
    pub(crate) fn previous_name(&self) -> Option<SetName> {
        self.previous.as_ref().map(|(held, _)| held.name)
    }

    /// What to store before a share may serve; the last of them makes it whole.
    pub(crate) fn records_with(&self, next: &Held) -> Vec<Record> {
        next.records(self.held.as_ref()).collect()
    }

    /// What to store once the share before is over.
    pub(crate) fn record_alone(&self) -> Option<Record> {
        self.held.as_ref().map(|held| Record::Pairs { held: held.counted(), previous: None })
    }

    /// A share is stored: it serves from now on.
    pub(crate) fn install(&mut self, now: Instant, held: Held) {
        let before = self.held.replace(held);
        self.previous = before.map(|before| (before, now + PREVIOUS_FOR));
    }

    /// When the share before is over.
    pub(crate) fn until(&self) -> Instant {
        self.previous.as_ref().map_or(Instant::FAR_FUTURE, |(_, until)| *until)
    }

    /// Forgets the share before once its time is over; which it was.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Held> {
        self.previous.take_if(|(_, until)| *until <= now).map(|(held, _)| held)
    }

    /// These are lost, whoever was before.
    pub(crate) fn lose(&mut self, names: &[Eui64]) {
        let known = &mut self.lost;
        let new = names.iter().filter(|name| !known.contains(name)).copied().collect::<Vec<_>>();
        known.extend(new);
        let over = known.len().saturating_sub(LOST_MAX);
        known.drain(..over);
    }

    pub(crate) fn lost(&self) -> &[Eui64] {
        &self.lost
    }

    /// Whether there is no key with it any more.
    pub(crate) fn is_lost(&self, peer: Eui64) -> bool {
        self.lost.contains(&peer) && !planted(Fault::PairLostServed)
    }

    /// The key with another device under the polynomial of that name; `None` if there is none.
    pub(crate) fn key(&self, scheme: Scheme, peer: Eui64, name: SetName) -> Option<Key128> {
        if self.is_lost(peer) {
            return None;
        }
        let held = [self.held.as_ref(), self.previous.as_ref().map(|(held, _)| held)];
        let held = held.into_iter().flatten().find(|held| held.name == name)?;
        held.share(self.own).and_then(|share| share.psk(scheme, peer, name)).ok()
    }

    /// What this device says of itself under a polynomial.
    pub(crate) const fn hello(&self, scheme: Scheme, name: SetName) -> PairHello {
        PairHello { scheme, name, id: self.own }
    }

    fn knows(&self, client: &PairHello) -> bool {
        self.key(client.scheme, client.id, client.name).is_some()
    }
}

impl Held {
    fn share(&self, own: Eui64) -> Result<Share<'_>, PairwiseFault> {
        Share::new(self.name, own, &self.coefficients)
    }

    /// Where storage holds it: the one before is elsewhere.
    const fn slot(&self) -> u8 {
        self.name.generation & 1
    }

    /// What to store; the last of them makes it whole, beside the one that is in use until then.
    fn records(&self, previous: Option<&Self>) -> impl Iterator<Item = Record> {
        let (slot, name) = (self.slot(), self.name);
        let parts = (0..).zip(self.coefficients.chunks(PART_OCTETS_MAX));
        let (held, previous) = (self.counted(), previous.map(Self::counted));
        let parts = parts.map(move |(part, octets)| Record::PairShare {
            slot,
            part,
            name,
            octets: octets.iter().copied().collect(),
        });
        parts.chain([Record::Pairs { held, previous }])
    }

    fn counted(&self) -> (SetName, u16) {
        (self.name, u16::try_from(self.coefficients.len()).expect("DEGREE_MAX bounds it"))
    }

    /// Names of its parts in storage.
    pub(crate) fn keys(&self) -> impl Iterator<Item = RecordKey> {
        let slot = self.slot();
        let parts = self.coefficients.len().div_ceil(PART_OCTETS_MAX) as u8;
        (0..parts).map(move |part| RecordKey::PairShare { slot, part })
    }
}

fn part(record: &Record, of: SetName) -> Option<(u8, &[u8])> {
    match record {
        Record::PairShare { part, name, octets, .. } if *name == of => Some((*part, &octets[..])),
        _ => None,
    }
}

/// The device as a server: its clients' identities say which key they have.
impl PskDirectory for Shares {
    fn psk(&self, identity: &[u8]) -> Option<Psk> {
        let client = PairHello::of_psk_identity(identity)?;
        Psk::new(self.key(client.scheme, client.id, client.name)?.expose())
    }

    fn pair_answer(&self, client: &[u8]) -> PairAnswer {
        match PairHello::parse(client).filter(|client| self.knows(client)) {
            Some(client) => {
                let own = self.hello(client.scheme, client.name).emit();
                PairAnswer::Own(PairwiseId::from_slice(&own).expect("HELLO_OCTETS fit"))
            }
            None => PairAnswer::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use lowgate_amikey::pairwise::Polynomial;
    use lowgate_crypto::Secret;

    const A: Eui64 = Eui64([1; 8]);
    const B: Eui64 = Eui64([2; 8]);
    const NOW: Instant = Instant::from_secs(1);

    const fn name(generation: u8) -> SetName {
        SetName { set: 1, generation }
    }

    fn held(own: Eui64, generation: u8) -> Held {
        let seed = Secret::new([generation; 32]);
        let polynomial = Polynomial::new(name(generation), 20, seed).expect("a degree");
        let mut coefficients = Zeroizing::new(vec![0; polynomial.share_octets()]);
        polynomial.share(own, &mut coefficients).expect("a name");
        Held { name: name(generation), coefficients }
    }

    fn shares(own: Eui64, generations: &[u8]) -> Shares {
        let mut shares = Shares::restored(NOW, own, &[]);
        generations.iter().for_each(|it| shares.install(NOW, held(own, *it)));
        shares
    }

    fn hello(own: &Shares, generation: u8) -> PairHello {
        own.hello(Scheme::Polynomial, name(generation))
    }

    #[test]
    fn a_share_comes_back_whole_or_not_at_all() {
        let records: Vec<Record> = held(A, 3).records(None).collect();
        assert_eq!(records.len(), 3, "two parts and the name");
        let restored = Shares::restored(NOW, A, &records);
        assert_eq!(restored.name(), Some(name(3)));
        let key = restored.key(Scheme::Polynomial, B, name(3));
        assert!(key.is_some() && key == shares(B, &[3]).key(Scheme::Polynomial, A, name(3)));
        // Before the last part, or with a part of the one after the next in the same place.
        assert_eq!(Shares::restored(NOW, A, &records[1..]).name(), None);
        assert_eq!(Shares::restored(NOW, A, &records[..2]).name(), None);
        let later = held(A, 5).records(None).next().expect("a part");
        let mixed = [later, records[1].clone(), records[2].clone()];
        assert_eq!(Shares::restored(NOW, A, &mixed).name(), None);
        assert!(held(A, 3).keys().eq(records[..2].iter().map(Record::key)));
    }

    #[test]
    fn the_share_before_outlives_a_loss_of_power() {
        let before = shares(A, &[1]);
        let mut records: Vec<Record> = held(A, 1).records(None).collect();
        records.pop();
        records.extend(before.records_with(&held(A, 2)));
        let mut restored = Shares::restored(NOW, A, &records);
        assert_eq!((restored.name(), restored.previous_name()), (Some(name(2)), Some(name(1))));
        assert!(restored.key(Scheme::Polynomial, B, name(1)).is_some());
        assert_eq!(restored.until(), NOW + PREVIOUS_FOR);
        assert!(restored.expire(restored.until()).is_some());
        records.pop();
        records.extend(restored.record_alone());
        let alone = Shares::restored(NOW, A, &records);
        assert_eq!((alone.name(), alone.previous_name()), (Some(name(2)), None));
    }

    #[test]
    fn the_share_before_serves_for_a_while() {
        let mut of_a = shares(A, &[1, 2]);
        assert_eq!((of_a.name(), of_a.previous_name()), (Some(name(2)), Some(name(1))));
        assert!(of_a.key(Scheme::Polynomial, B, name(1)).is_some());
        assert!(of_a.expire(NOW).is_none());
        assert_eq!(of_a.until(), NOW + PREVIOUS_FOR);
        assert_eq!(of_a.expire(NOW + PREVIOUS_FOR).map(|held| held.name), Some(name(1)));
        assert!(of_a.key(Scheme::Polynomial, B, name(1)).is_none());
        assert!(of_a.key(Scheme::Polynomial, B, name(2)).is_some());
    }

    #[test]
    fn who_has_no_key_is_refused() {
        let (mut of_a, of_b) = (shares(A, &[2]), shares(B, &[1, 2]));
        let answer = |of_a: &Shares, hello: PairHello| of_a.pair_answer(&hello.emit());
        let own = hello(&of_a, 2).emit();
        let said = PairAnswer::Own(PairwiseId::from_slice(&own).expect("it fits"));
        assert_eq!(answer(&of_a, hello(&of_b, 2)), said);
        assert!(of_a.psk(&hello(&of_b, 2).psk_identity()).is_some());
        // Another generation, itself, a scheme of its own.
        assert_eq!(answer(&of_a, hello(&of_b, 1)), PairAnswer::Refused);
        assert_eq!(answer(&of_a, hello(&of_a, 2)), PairAnswer::Refused);
        assert_eq!(of_a.pair_answer(b"\x01\x02"), PairAnswer::Refused);
        assert!(of_a.psk(&hello(&of_a, 2).psk_identity()).is_none());
        let issued = of_b.hello(Scheme::Issued, name(2));
        let keys = [hello(&of_b, 2), issued].map(|hello| of_a.psk(&hello.psk_identity()));
        assert!(
            keys[1].is_some()
                && keys[0].as_ref().map(Psk::expose) != keys[1].as_ref().map(Psk::expose)
        );
        of_a.lose(&[B]);
        assert_eq!(answer(&of_a, hello(&of_b, 2)), PairAnswer::Refused);
        assert!(of_a.psk(&hello(&of_b, 2).psk_identity()).is_none());
        assert!(of_a.key(Scheme::Polynomial, B, name(2)).is_none());
    }

    #[test]
    fn the_list_of_the_lost_is_bounded() {
        let mut of_a = shares(A, &[1]);
        for n in 0..2 * LOST_MAX as u64 {
            of_a.lose(&[Eui64(n.to_be_bytes()), Eui64(n.to_be_bytes())]);
        }
        assert_eq!(of_a.lost().len(), LOST_MAX);
        assert!(of_a.is_lost(Eui64((2 * LOST_MAX as u64 - 1).to_be_bytes())));
    }
}
