//! Getting a share from the manager: which resource to ask for next, and putting its blocks together.
//!
//! **Invariant:** one request is out at a time, and no more octets are kept than what was offered has. What was
//! offered moves forward only.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use lowgate_amikey::pairs::{
    BLOCK_EXPONENT, LOST_PATH, Offered, PAIRS_PATH, SHARE_HEAD_OCTETS_MAX,
};
use lowgate_amikey::pairwise::{COEFFICIENT_OCTETS, SetName};
use lowgate_coap::{Block, Code, Method, Path, Request, RequestId, Response};
use lowgate_units::{Duration, Instant, Prng};
use zeroize::Zeroizing;

/// Devices that hear of a polynomial together ask for their shares spread over this time.
const SPREAD_MICROS: u64 = 5_000_000;
/// After a request without an answer, or with another than was hoped for, the next one comes no sooner.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Who has no way to the manager looks again so much later.
const REACHABLE_AFTER: Duration = Duration::from_secs(2);
/// Octets of the longest list of lost devices.
const LOST_OCTETS_MAX: usize = 8 * super::shares::LOST_MAX;

/// What is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Who is lost: first, for it keeps others out.
    Lost,
    /// The share.
    Share,
}

/// Something came to its end.
pub(crate) enum Fetched {
    /// There is more to ask for, or nothing to be had now.
    Nothing,
    /// All octets of it.
    Whole(What, Offered, Zeroizing<Vec<u8>>),
}

/// A resource on its way.
struct UnderWay {
    what: What,
    of: Offered,
    request: RequestId,
    number: u32,
    octets: Zeroizing<Vec<u8>>,
}

/// What the manager offered, and what of it is here.
pub(crate) struct Fetch {
    offered: Option<Offered>,
    /// Of which list of lost devices how many are known.
    lost: Option<(SetName, u16)>,
    held: Option<SetName>,
    under_way: Option<UnderWay>,
    ask_at: Instant,
    prng: Prng,
}

impl Fetch {
    pub(crate) const fn new(held: Option<SetName>, prng: Prng) -> Self {
        let ask_at = Instant::FAR_FUTURE;
        Self { offered: None, lost: None, held, under_way: None, ask_at, prng }
    }

    /// The manager says which polynomial is in force. What is older than the last one is not believed.
    pub(crate) fn offer(&mut self, now: Instant, offered: Offered) {
        if self.newest().is_some_and(|newest| is_before(offered.name, newest)) {
            return;
        }
        let same = self.offered.filter(|before| before.name == offered.name);
        let lost = same.map_or(0, |before| before.lost).max(offered.lost);
        self.offered = Some(Offered { lost, ..offered });
        if self.wanted().is_some() && self.under_way.is_none() {
            self.ask_at = self.ask_at.min(now + self.spread());
        }
    }

    /// Storage has the share of that polynomial.
    pub(crate) fn stored(&mut self, now: Instant, name: SetName) {
        self.held = Some(name);
        self.go_on(now);
    }

    /// So many of the list are known.
    pub(crate) fn lost_known(&mut self, now: Instant, name: SetName, count: u16) {
        self.lost = Some((name, count));
        self.go_on(now);
    }

    /// When something is to be asked for.
    pub(crate) const fn due(&self) -> Instant {
        self.ask_at
    }

    /// The request that is due, for the first block of a resource; `None` while none is.
    pub(crate) fn next(&mut self, now: Instant) -> Option<(What, Offered, Request)> {
        if now < self.ask_at || self.under_way.is_some() {
            return None;
        }
        self.ask_at = Instant::FAR_FUTURE;
        let (what, of) = self.wanted()?;
        Some((what, of, request(what, of.name, 0)))
    }

    /// It was asked for.
    pub(crate) fn asked(&mut self, (what, of): (What, Offered), request: RequestId) {
        let octets = Zeroizing::new(Vec::with_capacity(octets_max(what, of)));
        self.under_way = Some(UnderWay { what, of, request, number: 0, octets });
    }

    /// The request could not leave, or the answer was not the block that was asked for: all of the resource is asked for
    /// again after [`RETRY_AFTER`] and some of the spread.
    pub(crate) fn postpone(&mut self, now: Instant) {
        self.under_way = None;
        self.ask_at = now + RETRY_AFTER + self.spread();
    }

    /// The manager cannot be heard yet.
    pub(crate) fn wait(&mut self, now: Instant) {
        self.ask_at = now + REACHABLE_AFTER;
    }

    pub(crate) fn awaits(&self, request: RequestId) -> bool {
        self.under_way.as_ref().is_some_and(|it| it.request == request)
    }

    /// A block came; `ask` asks for the one after it.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        response: &Response,
        ask: impl FnOnce(&Request) -> Option<RequestId>,
    ) -> Fetched {
        let taken = self.under_way.take().and_then(|it| it.take(response));
        let Some((mut it, more)) = taken else {
            self.postpone(now);
            return Fetched::Nothing;
        };
        if !more {
            return Fetched::Whole(it.what, it.of, it.octets);
        }
        it.number += 1;
        match ask(&request(it.what, it.of.name, it.number)) {
            Some(id) => {
                it.request = id;
                self.under_way = Some(it);
            }
            None => self.postpone(now),
        }
        Fetched::Nothing
    }

    fn newest(&self) -> Option<SetName> {
        self.offered.map(|offered| offered.name).or(self.held)
    }

    fn wanted(&self) -> Option<(What, Offered)> {
        let offered = self.offered?;
        let known = self.lost.filter(|(name, _)| *name == offered.name).map_or(0, |it| it.1);
        if known < offered.lost {
            Some((What::Lost, offered))
        } else if self.held != Some(offered.name) {
            Some((What::Share, offered))
        } else {
            None
        }
    }

    fn go_on(&mut self, now: Instant) {
        if self.wanted().is_some() && self.under_way.is_none() {
            self.ask_at = now;
        }
    }

    fn spread(&mut self) -> Duration {
        Duration::from_micros(self.prng.below(SPREAD_MICROS))
    }
}

impl UnderWay {
    /// With the block that was asked for, and whether another follows; `None` for anything else.
    fn take(mut self, response: &Response) -> Option<(Self, bool)> {
        let block = response.block2.filter(|_| response.code == Code::CONTENT)?;
        let expected = Block::new(self.number, BLOCK_EXPONENT)?;
        let (number, size, len) = (block.number(), block.octets(), response.payload.len());
        let fits = number == self.number
            && size == expected.octets()
            && (len == size || !block.more && len <= size)
            && self.octets.len() + len <= octets_max(self.what, self.of);
        fits.then_some(())?;
        self.octets.extend_from_slice(&response.payload);
        Some((self, block.more))
    }
}

fn octets_max(what: What, of: Offered) -> usize {
    match what {
        What::Lost => LOST_OCTETS_MAX,
        What::Share => SHARE_HEAD_OCTETS_MAX + (usize::from(of.degree) + 1) * COEFFICIENT_OCTETS,
    }
}

fn request(what: What, name: SetName, number: u32) -> Request {
    let SetName { set, generation } = name;
    let path: String = match what {
        What::Lost => format!("{PAIRS_PATH}/{set}/{generation}/{LOST_PATH}"),
        What::Share => format!("{PAIRS_PATH}/{set}/{generation}"),
    };
    let path = Path::new(&path).expect("short segments");
    let block =
        Block::new(number, BLOCK_EXPONENT).expect("octets_max is less than all blocks have");
    Request::new(Method::Get, path).with_block2(block)
}

/// Whether a generation came before another: they count 1 to 255 and begin again.
fn is_before(name: SetName, newest: SetName) -> bool {
    const GENERATIONS: u16 = 255;
    let ahead =
        (GENERATIONS + u16::from(name.generation) - u16::from(newest.generation)) % GENERATIONS;
    name.set != newest.set || ahead > GENERATIONS / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use lowgate_coap::{Config, Endpoint, Reliability};

    const NOW: Instant = Instant::from_secs(1);
    const LATER: Instant = Instant::from_secs(100);

    const fn offered(generation: u8, lost: u16) -> Offered {
        Offered { name: SetName { set: 1, generation }, degree: 31, lost }
    }

    /// Someone who asks: nobody answers but the test.
    struct Asker {
        fetch: Fetch,
        coap: Endpoint<u8>,
    }

    impl Asker {
        fn new(held: Option<SetName>) -> Self {
            let fetch = Fetch::new(held, Prng::new(1));
            Self { fetch, coap: Endpoint::new(Config::default(), Prng::new(2)) }
        }

        fn ask(&mut self, now: Instant) -> Option<(What, Request)> {
            let (what, of, request) = self.fetch.next(now)?;
            let id = self.coap.request(now, 0, Reliability::Confirmable, &request).expect("room");
            self.fetch.asked((what, of), id);
            Some((what, request))
        }

        fn answer(&mut self, response: &Response) -> (Fetched, Option<Request>) {
            let (coap, mut asked) = (&mut self.coap, None);
            let fetched = self.fetch.answered(NOW, response, |request| {
                asked = Some(request.clone());
                coap.request(NOW, 0, Reliability::Confirmable, request).ok()
            });
            (fetched, asked)
        }
    }

    fn content(number: u32, more: bool, len: usize) -> Response {
        let mut block = Block::new(number, BLOCK_EXPONENT).expect("in range");
        block.more = more;
        Response { payload: vec![number as u8; len], ..Response::new(Code::CONTENT) }
            .with_block2(block)
    }

    #[test]
    fn who_is_lost_first_and_then_the_share_block_by_block() {
        let mut asker = Asker::new(None);
        asker.fetch.offer(NOW, offered(1, 2));
        assert!(asker.fetch.due() >= NOW && asker.fetch.due() < NOW + Duration::from_secs(5));
        let (what, request) = asker.ask(LATER).expect("it is due");
        assert!(what == What::Lost && request.path.is("pairs/1/1/lost"));
        assert!(asker.ask(LATER).is_none(), "one at a time");
        let (fetched, _) = asker.answer(&content(0, false, 16));
        assert!(matches!(fetched, Fetched::Whole(What::Lost, _, octets) if octets.len() == 16));
        asker.fetch.lost_known(NOW, offered(1, 0).name, 2);
        let (what, request) = asker.ask(NOW).expect("at once");
        assert!(what == What::Share && request.path.is("pairs/1/1"));
        for number in 0..4 {
            let (_, next) = asker.answer(&content(number, true, 128));
            assert_eq!(next.and_then(|it| it.block2).map(Block::number), Some(number + 1));
        }
        let (fetched, _) = asker.answer(&content(4, false, 20));
        assert!(matches!(fetched, Fetched::Whole(What::Share, _, octets) if octets.len() == 532));
        asker.fetch.stored(NOW, offered(1, 0).name);
        assert_eq!(asker.fetch.due(), Instant::FAR_FUTURE);
    }

    #[test]
    fn what_is_not_the_next_block_is_nothing() {
        let short = content(0, true, 127);
        let long = content(0, false, 129);
        let other = content(1, true, 128);
        let size = Block::new(0, BLOCK_EXPONENT + 1).expect("in range");
        let larger = Response { block2: Some(size), ..content(0, false, 128) };
        let whole = Response { block2: None, ..content(0, false, 16) };
        let refused = Response { code: Code::NOT_FOUND, ..content(0, false, 16) };
        for wrong in [short, long, other, larger, whole, refused] {
            let mut asker = Asker::new(None);
            asker.fetch.offer(NOW, offered(1, 0));
            asker.ask(LATER).expect("it is due");
            let (fetched, next) = asker.answer(&wrong);
            assert!(matches!(fetched, Fetched::Nothing) && next.is_none(), "{wrong:?}");
            assert!(asker.fetch.due() >= NOW + RETRY_AFTER);
        }
        // And no more than was offered.
        let mut asker = Asker::new(None);
        asker.fetch.offer(NOW, offered(1, 0));
        asker.ask(LATER).expect("it is due");
        let ends = (0..9).find(|number| asker.answer(&content(*number, true, 128)).1.is_none());
        assert_eq!(ends, Some(4));
    }

    #[test]
    fn what_is_offered_moves_forward_only() {
        let mut asker = Asker::new(Some(offered(9, 0).name));
        for (generation, wants) in [(8, false), (9, false), (200, false), (10, true)] {
            asker.fetch.offer(NOW, offered(generation, 0));
            assert_eq!(asker.fetch.due() != Instant::FAR_FUTURE, wants, "{generation}");
        }
        let another_set = SetName { set: 2, generation: 11 };
        asker.fetch.offer(NOW, Offered { name: another_set, ..offered(11, 0) });
        let (_, request) = asker.ask(LATER).expect("it is due");
        assert!(request.path.is("pairs/1/10"));
        assert!(is_before(offered(255, 0).name, offered(1, 0).name));
        assert!(!is_before(offered(1, 0).name, offered(255, 0).name));
    }
}
