//! Keys of pairs: the polynomial that all devices of the domain have shares of, who was lost of them, and what a
//! device is told when it asks.
//!
//! One set has all devices but border routers. Whoever is expelled takes its share along, so that each is counted
//! and named to the others, who have no key with it any more. Before so many are lost that together they could
//! compute everybody's keys, another polynomial begins.
//!
//! **Invariant:** a share leaves only in its owner's own session, and is made anew from the seed each time it is
//! asked for: nothing is kept of a transfer.

use crate::change::Change;
use crate::device::Device;
use crate::domain::{Domain, Inconsistent};
use crate::interface::ManagerEvent;
use crate::manager::Manager;
use crate::rekey::RekeyRefused;
use crate::session::{Session, Stage};
use lowgate_amikey::pairs::{BLOCK_EXPONENT, LOST_PATH, Offered, PAIRS_PATH, ShareTold};
use lowgate_amikey::pairwise::{Polynomial, Scheme, SetName, lost_max};
use lowgate_coap::{Block, Code, ContentFormat, Method, Request, Response};
use lowgate_crypto::Secret;
use lowgate_dtls::SessionId;
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Entropy, Eui64};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// The degree of a domain's polynomials, unless its owner chooses another: a share of 512 octets, and another
/// polynomial when 7 devices are lost.
pub const PAIR_DEGREE_USUAL: u16 = 31;
/// The domain has one set.
const SET: u16 = 1;

/// The polynomial in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs {
    /// What all shares are made of.
    pub polynomial: Polynomial,
    /// Who was lost under the polynomial before: some may still accept its shares.
    pub lost_before: Vec<Eui64>,
    /// Who was lost since, in that order.
    pub lost: Vec<Eui64>,
}

impl Pairs {
    /// What devices are told of it first.
    pub fn offered(&self) -> Offered {
        let lost = self.lost_before.len() + self.lost.len();
        Offered {
            name: self.polynomial.name(),
            degree: self.polynomial.degree(),
            lost: u16::try_from(lost).expect("twice DEGREE_MAX at most"),
        }
    }

    /// The names of those, as they are told: the list only grows.
    fn lost_octets(&self) -> Vec<u8> {
        self.lost_before.iter().chain(&self.lost).flat_map(|eui64| eui64.0).collect()
    }
}

impl Domain {
    /// The first polynomial of the domain, unless there is one.
    pub(crate) fn decide_pairs(&self, degree: u16, entropy: &mut dyn Entropy) -> Option<Change> {
        if self.pairs().is_some() {
            return None;
        }
        let name = SetName { set: SET, generation: 1 };
        Some(Change::PairsStarted {
            polynomial: drawn(name, degree, entropy)?,
            lost_before: vec![],
        })
    }

    /// Another polynomial in place of the one in force.
    ///
    /// # Errors
    /// There is none.
    pub fn decide_next_pairs(
        &self,
        entropy: &mut dyn Entropy,
    ) -> Result<Vec<Change>, RekeyRefused> {
        let pairs = self.pairs().ok_or(RekeyRefused::NoPairs)?;
        Ok(vec![next(pairs, pairs.lost.clone(), entropy)])
    }

    /// A device that had a share is expelled: it is named, and counted.
    pub(crate) fn pair_lost(&self, device: &Device, entropy: &mut dyn Entropy) -> Vec<Change> {
        let Some(pairs) = self.pairs().filter(|_| !device.is_border_router()) else {
            return Vec::new();
        };
        if planted(Fault::PairLossForgotten) {
            return Vec::new();
        }
        let eui64 = device.record.eui64;
        let mut changes = vec![Change::PairLost { eui64 }];
        let lost: Vec<Eui64> = pairs.lost.iter().copied().chain([eui64]).collect();
        if lost.len() >= usize::from(lost_max(pairs.polynomial.degree()).max(1)) {
            changes.push(next(pairs, lost, entropy));
        }
        changes
    }

    pub(crate) fn start_pairs(
        &mut self,
        polynomial: &Polynomial,
        lost_before: &[Eui64],
    ) -> Result<(), Inconsistent> {
        let name = polynomial.name();
        let follows = self.pairs().is_none_or(|before| follower(before.polynomial.name()) == name);
        if !follows || lost_before.iter().any(|eui64| !self.devices().contains_key(eui64)) {
            return Err(Inconsistent::Pairs(name));
        }
        let (polynomial, lost_before) = (polynomial.clone(), lost_before.to_vec());
        *self.pairs_mut() = Some(Pairs { polynomial, lost_before, lost: Vec::new() });
        Ok(())
    }

    pub(crate) fn lose_pair(&mut self, eui64: Eui64) -> Result<(), Inconsistent> {
        let known = self.devices().contains_key(&eui64);
        let pairs = self.pairs_mut().as_mut().filter(|_| known);
        let pairs = pairs.ok_or(Inconsistent::UnknownDevice(eui64))?;
        if pairs.lost.contains(&eui64) {
            return Err(Inconsistent::DeviceTwice(eui64));
        }
        pairs.lost.push(eui64);
        Ok(())
    }

    /// Changes that rebuild this part.
    pub(crate) fn pairs_snapshot(&self) -> impl Iterator<Item = Change> {
        self.pairs().into_iter().flat_map(|pairs| {
            let (polynomial, lost_before) = (pairs.polynomial.clone(), pairs.lost_before.clone());
            let lost = pairs.lost.iter().map(|eui64| Change::PairLost { eui64: *eui64 });
            [Change::PairsStarted { polynomial, lost_before }].into_iter().chain(lost)
        })
    }
}

/// The next polynomial, of the same degree.
fn next(pairs: &Pairs, lost_before: Vec<Eui64>, entropy: &mut dyn Entropy) -> Change {
    let (name, degree) = (follower(pairs.polynomial.name()), pairs.polynomial.degree());
    let polynomial = drawn(name, degree, entropy).expect("a degree that is in use");
    Change::PairsStarted { polynomial, lost_before }
}

const fn follower(SetName { set, generation }: SetName) -> SetName {
    let generation = if generation == u8::MAX { 1 } else { generation + 1 };
    SetName { set, generation }
}

/// `None` for a degree that there is not.
fn drawn(name: SetName, degree: u16, entropy: &mut dyn Entropy) -> Option<Polynomial> {
    let mut seed = Zeroizing::new([0; 32]);
    entropy.fill(&mut seed[..]);
    Polynomial::new(name, degree, Secret::new(*seed)).ok()
}

/// What a request under [`PAIRS_PATH`] is for.
enum Wanted {
    Share,
    Lost,
    Key(Eui64),
}

impl Manager {
    /// Everybody who can have a share is to be told of the polynomial, or of who was lost.
    pub(crate) fn owe_pairs(&mut self) {
        let devices: Vec<Eui64> = self.sessions.devices().collect();
        for eui64 in devices {
            self.sessions.edit_of(eui64, |state| state.owes_pairs = state.follows_pairs);
        }
    }

    /// Another polynomial is in force: nobody has its share yet.
    pub(crate) fn pairs_started(&mut self) {
        self.pair_holders.clear();
        self.owe_pairs();
        if let Some(pairs) = self.domain.pairs() {
            let name = pairs.polynomial.name();
            self.event(ManagerEvent::PairsStarted { name });
        }
    }

    /// Whether a device asks for something that only it may have.
    pub(crate) fn is_about_pairs(request: &Request) -> bool {
        request.path.segments().next() == Some(PAIRS_PATH)
    }

    /// Answers a device in its own session. Only what is stored is told.
    pub(crate) fn pairs_answer(&mut self, session: SessionId, request: &Request) -> Response {
        let state = self.sessions.get(session);
        let state = state.filter(|state| !matches!(state.stage, Stage::Admitting));
        let Some(&Session { eui64, .. }) = state else { return Response::new(Code::UNAUTHORIZED) };
        if !self.journal.is_settled() {
            return Response::new(Code::SERVICE_UNAVAILABLE);
        }
        let Answer { response, completes } = self.domain.pairs_answer(eui64, request);
        if let Some(name) = completes.filter(|_| self.pair_holders.insert(eui64)) {
            self.event(ManagerEvent::ShareTold { eui64, name });
        }
        response
    }

    /// Who fetched its share of the polynomial in force from this manager.
    pub(crate) const fn pair_holders(&self) -> &BTreeSet<Eui64> {
        &self.pair_holders
    }
}

/// What a device is answered.
struct Answer {
    response: Response,
    /// The last block of its share of this polynomial is in it.
    completes: Option<SetName>,
}

impl Domain {
    fn pairs_answer(&self, own: Eui64, request: &Request) -> Answer {
        let plain = |response| Answer { response, completes: None };
        let found = self.pairs().and_then(|it| Some((it, wanted(request, it.polynomial.name())?)));
        let Some((pairs, wanted)) = found else { return plain(Response::new(Code::NOT_FOUND)) };
        if request.method != Method::Get {
            return plain(Response::new(Code::METHOD_NOT_ALLOWED));
        }
        match wanted {
            Wanted::Lost => plain(blocks(request, &pairs.lost_octets())),
            Wanted::Key(peer) => plain(self.issued(pairs, own, peer)),
            Wanted::Share => {
                let response = share(request, &ShareTold::new(&pairs.polynomial, own));
                let last = response.block2.filter(|block| !block.more);
                Answer { response, completes: last.map(|_| pairs.polynomial.name()) }
            }
        }
    }

    /// The key of a device that has no share with one that has.
    fn issued(&self, pairs: &Pairs, own: Eui64, peer: Eui64) -> Response {
        let member = self.devices().get(&peer);
        let member = member.filter(|it| it.pan().is_some() && !it.is_border_router());
        match member.map(|_| pairs.polynomial.psk(Scheme::Issued, own, peer)) {
            Some(Ok(key)) => {
                let format = ContentFormat::OCTET_STREAM;
                Response::new(Code::CONTENT).with_payload(format, key.expose().to_vec())
            }
            // Its own name, or that of nobody who has a share.
            Some(Err(_)) | None => Response::new(Code::FORBIDDEN),
        }
    }
}

/// `None` for what there is not, of another polynomial say.
fn wanted(request: &Request, name: SetName) -> Option<Wanted> {
    let mut segments = request.path.segments().skip(1);
    let set = segments.next()?.parse().ok()?;
    let generation = segments.next()?.parse().ok()?;
    (SetName { set, generation } == name).then_some(())?;
    let wanted = match segments.next() {
        None => Wanted::Share,
        Some(LOST_PATH) => Wanted::Lost,
        Some(eui64) => Wanted::Key(eui64.parse().ok()?),
    };
    segments.next().is_none().then_some(wanted)
}

fn share(request: &Request, told: &ShareTold<'_>) -> Response {
    part(request, told.len(), |block, octets| {
        let mut part = vec![0; octets];
        told.write(block.offset(), &mut part).ok().map(|()| part)
    })
}

fn blocks(request: &Request, whole: &[u8]) -> Response {
    part(request, whole.len(), |block, octets| {
        whole.get(block.offset()..block.offset() + octets).map(<[u8]>::to_vec)
    })
}

/// The block that is asked for of a whole of `len` octets.
fn part(
    request: &Request,
    len: usize,
    make: impl FnOnce(Block, usize) -> Option<Vec<u8>>,
) -> Response {
    let first = Block::new(0, BLOCK_EXPONENT).expect("in range");
    // RFC 7959 section 2.3: smaller ones than were asked for may come, which the first block says.
    let block = match request.block2 {
        Some(block) if block.octets() <= first.octets() => block,
        Some(block) if block.number() > 0 => return Response::new(Code::BAD_REQUEST),
        Some(_) | None => first,
    };
    let made = block.of(len).and_then(|(block, octets)| Some((block, make(block, octets)?)));
    match made {
        Some((block, part)) => {
            Response::new(Code::CONTENT).with_payload(ContentFormat::CBOR, part).with_block2(block)
        }
        None => Response::new(Code::BAD_REQUEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{NewDomain, found};
    use crate::device::{DevicePsk, DeviceRecord, Identity, Kind};
    use lowgate_amikey::pairs::parse_share;
    use lowgate_amikey::pairwise::Share;
    use lowgate_coap::Path;
    use lowgate_units::{Channel, Ipv6Addr, SeededEntropy, ShortAddr};

    const DEGREE: u16 = 12;
    const LOST_MAX: usize = 3;

    const fn eui(n: u8) -> Eui64 {
        Eui64([2, 0, 0, 0, 0, 0, 0, n])
    }

    fn apply(domain: &mut Domain, changes: impl IntoIterator<Item = Change>) {
        changes.into_iter().for_each(|change| domain.apply(&change).expect("a decision fits"));
    }

    /// A border router 0, members 1 to 8, and 9 that did not come.
    fn domain(entropy: &mut SeededEntropy) -> Domain {
        let channel = Channel::new(15).expect("in the band");
        let created = found(NewDomain::new(channel, Ipv6Addr::LOCALHOST), entropy);
        let mut domain = Domain::restore(&[created]).expect("a beginning");
        for n in 0..10 {
            let record = DeviceRecord {
                eui64: eui(n),
                identity: Identity::from(eui(n)),
                psk: DevicePsk::new(&[7; 16]).expect("in range"),
                kind: if n == 0 { Kind::BorderRouter } else { Kind::Light },
                name: String::new(),
                room: String::new(),
                groups: [].into(),
            };
            let pan = domain.founding_pan().config.pan_id;
            let short = ShortAddr::new(n.into()).expect("in range");
            let admitted = Change::Admitted { eui64: eui(n), pan, short };
            let changes = [Change::DeviceImported(record), admitted];
            apply(&mut domain, changes.into_iter().take(if n == 9 { 1 } else { 2 }));
        }
        domain
    }

    fn with_pairs() -> (Domain, SeededEntropy) {
        let mut entropy = SeededEntropy::new(1);
        let mut domain = domain(&mut entropy);
        let begun = domain.decide_pairs(DEGREE, &mut entropy);
        apply(&mut domain, begun);
        (domain, entropy)
    }

    fn get(path: &str, block: Option<Block>) -> Request {
        let request = Request::new(Method::Get, Path::new(path).expect("a path"));
        Request { block2: block, ..request }
    }

    fn code(domain: &Domain, request: &Request) -> Code {
        domain.pairs_answer(eui(1), request).response.code
    }

    fn fetched(domain: &Domain, own: Eui64, path: &str) -> Vec<u8> {
        let mut octets = Vec::new();
        for number in 0.. {
            let block = Block::new(number, BLOCK_EXPONENT);
            let Answer { response, completes } = domain.pairs_answer(own, &get(path, block));
            assert_eq!(response.code, Code::CONTENT, "{path} {number}");
            octets.extend(response.payload);
            let more = response.block2.expect("blocks").more;
            assert_eq!(completes.is_some(), !more && !path.ends_with("lost"));
            if !more {
                break;
            }
        }
        octets
    }

    #[test]
    fn two_shares_and_an_issued_key_are_of_one_polynomial() {
        let (domain, _) = with_pairs();
        let offered = domain.pairs().expect("begun").offered();
        assert_eq!(
            (offered.name, offered.degree, offered.lost),
            (SetName { set: 1, generation: 1 }, DEGREE, 0)
        );
        let [one, two] = [1, 2].map(|n| fetched(&domain, eui(n), "pairs/1/1"));
        let share = |told, n| {
            let coefficients = parse_share(told, offered, eui(n)).expect("its own");
            Share::new(offered.name, eui(n), coefficients).expect("whole")
        };
        let key = |n: u8, told, scheme, peer| share(told, n).psk(scheme, eui(peer), offered.name);
        let ours = key(1, &one, Scheme::Polynomial, 2);
        assert!(ours.is_ok() && ours == key(2, &two, Scheme::Polynomial, 1));
        let path = format!("pairs/1/1/{}", eui(2));
        let issued = domain.pairs_answer(eui(1), &get(&path, None)).response.payload;
        let expected = key(2, &two, Scheme::Issued, 1).expect("two devices");
        assert_eq!(issued, expected.expose());
    }

    #[test]
    fn what_nobody_may_have_is_refused() {
        let (domain, mut entropy) = with_pairs();
        for path in
            ["pairs", "pairs/1", "pairs/1/2", "pairs/2/1", "pairs/1/1/x", "pairs/1/1/lost/0"]
        {
            assert_eq!(code(&domain, &get(path, None)), Code::NOT_FOUND, "{path}");
        }
        // Its own name, a border router's, who did not come, a stranger.
        for n in [1, 0, 9, 77] {
            let request = get(&format!("pairs/1/1/{}", eui(n)), None);
            assert_eq!(code(&domain, &request), Code::FORBIDDEN, "{n}");
        }
        let post = Request { method: Method::Post, ..get("pairs/1/1", None) };
        assert_eq!(code(&domain, &post), Code::METHOD_NOT_ALLOWED);
        // Past the end, and larger blocks than ours, of which a first one was told to be smaller.
        for (number, exponent) in [(2, 3), (1, 6)] {
            let request = get("pairs/1/1", Block::new(number, exponent));
            assert_eq!(code(&domain, &request), Code::BAD_REQUEST);
        }
        let first = domain.pairs_answer(eui(1), &get("pairs/1/1", Block::new(0, 6))).response;
        assert_eq!(first.block2.map(Block::octets), Some(128));
        let none = self::domain(&mut entropy);
        assert_eq!(code(&none, &get("pairs/1/1", None)), Code::NOT_FOUND);
    }

    #[test]
    fn the_next_polynomial_begins_before_too_many_are_lost() {
        let (mut domain, mut entropy) = with_pairs();
        let mut expected = Vec::new();
        for n in 1..=4 {
            let decided = domain.decide_revocation(eui(n), &mut entropy).expect("a member");
            apply(&mut domain, decided);
            expected.extend(eui(n).0);
            let pairs = domain.pairs().expect("begun");
            let generation = if usize::from(n) < LOST_MAX { 1 } else { 2 };
            assert_eq!(pairs.polynomial.name().generation, generation);
            let path = format!("pairs/1/{generation}/lost");
            assert_eq!(fetched(&domain, eui(8), &path), expected);
            assert_eq!(usize::from(pairs.offered().lost) * 8, expected.len());
        }
        // Of the one before nothing is told, and the one after forgets whom only that one had.
        assert_eq!(code(&domain, &get("pairs/1/1", None)), Code::NOT_FOUND);
        let next = domain.decide_next_pairs(&mut entropy).expect("there is one");
        apply(&mut domain, next);
        assert_eq!(fetched(&domain, eui(8), "pairs/1/3/lost"), eui(4).0);
        // Who never had a share, and a border router, are not lost to anybody.
        for n in [9, 0] {
            let decided = domain.decide_revocation(eui(n), &mut entropy).expect("not revoked");
            assert!(!decided.iter().any(|it| matches!(it, Change::PairLost { .. })), "{n}");
        }
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let (mut domain, mut entropy) = with_pairs();
        assert!(domain.decide_pairs(DEGREE, &mut entropy).is_none(), "there is one");
        let name = SetName { set: 1, generation: 1 };
        let polynomial = domain.pairs().expect("begun").polynomial.clone();
        let again = Change::PairsStarted { polynomial, lost_before: vec![] };
        assert_eq!(domain.apply(&again), Err(Inconsistent::Pairs(name)));
        let stranger = Change::PairLost { eui64: eui(77) };
        assert_eq!(domain.apply(&stranger), Err(Inconsistent::UnknownDevice(eui(77))));
        let lost = Change::PairLost { eui64: eui(1) };
        assert_eq!(domain.apply(&lost), Ok(()));
        assert_eq!(domain.apply(&lost), Err(Inconsistent::DeviceTwice(eui(1))));
    }
}
