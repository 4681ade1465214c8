//! What a node that is not the root knows of its own attachment: network, place in the DODAG, and
//! the four errands that lead there: solicit, discover, register, announce.

use crate::dodag::Dodag;
use crate::errand::{Backoff, Errand, within};
use crate::lollipop;
use lowgate_units::{Duration, Eui64, Iid, Instant, Ipv6Addr, Prng, ShortAddr};

/// The first solicitation goes out within this time, so that many that start at once do not
/// collide; by then most will have heard an answer to another's.
const SOLICIT_SPREAD: Duration = Duration::from_millis(1000);
/// With a hint nothing is broadcast, so there is little to spread.
const HINTED_SPREAD: Duration = Duration::from_millis(20);
/// Attempts addressed to the hint before everybody is asked.
pub(crate) const HINTED_ATTEMPTS: u8 = 2;
/// After the first offer, others are awaited for so long.
pub(crate) const SETTLE: Duration = Duration::from_millis(300);

/// Answers to a question to the whole mesh are spread over so long: each goes all the way up, and its
/// acknowledgement all the way down.
pub(crate) const ANSWER_SPREAD: Duration = Duration::from_secs(10);

/// Attempts before another parent is tried.
pub(crate) const ATTEMPTS_MAX: u8 = 5;
/// Registration lifetime asked for, minutes.
pub(crate) const REGISTRATION_MINUTES: u16 = 60;
/// A parent silent for so long is asked whether it is there.
pub(crate) const PROBE_AFTER: Duration = Duration::from_secs(90);
/// A parent to whom nothing was sent for so long is asked as well, though it is heard.
pub(crate) const UNTRIED_MAX: Duration = Duration::from_secs(180);
/// Between questions to a parent that failed us.
pub(crate) const PROBE_AGAIN: Duration = Duration::from_millis(1200);
/// A parent that answers none of so many questions is none, even if its radio acknowledges them.
pub(crate) const PROBES_MAX: u8 = 8;

pub(crate) const SOLICIT: Backoff =
    Backoff { first: Duration::from_millis(600), longest: Duration::from_secs(30) };
pub(crate) const DISCOVER: Backoff =
    Backoff { first: Duration::from_millis(800), longest: Duration::from_secs(30) };
pub(crate) const REGISTER: Backoff =
    Backoff { first: Duration::from_millis(1500), longest: Duration::from_secs(60) };
pub(crate) const ANNOUNCE: Backoff =
    Backoff { first: Duration::from_millis(1500), longest: Duration::from_secs(60) };

/// What router advertisements told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    pub(crate) prefix: [u8; 8],
    pub(crate) root: Ipv6Addr,
    pub(crate) version: u32,
}

/// The state of a node.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) short: ShortAddr,
    pub(crate) hint: Option<Eui64>,
    pub(crate) network: Option<Network>,
    pub(crate) dodag: Option<Dodag>,
    /// Until then more offers are awaited.
    pub(crate) settle_until: Option<Instant>,
    pub(crate) solicit: Errand,
    pub(crate) discover: Errand,
    pub(crate) register: Errand,
    pub(crate) announce: Errand,
    pub(crate) probe_at: Instant,
    /// The parent failed us; ask it until it answers.
    pub(crate) suspects_parent: bool,
    /// Questions to the parent since it was heard.
    pub(crate) probes: u8,
    /// We told others a rank, and lost it since.
    pub(crate) poisons: bool,
    /// The last of the counters that stand in TID and path sequence.
    counter: u8,
    pub(crate) tid: u8,
    pub(crate) path_sequence: u8,
    pub(crate) dao_sequence: u8,
    /// The DTSN we tell.
    pub(crate) dtsn: u8,
    /// The parent's, as last heard.
    pub(crate) parent_dtsn: u8,
    pub(crate) registered: bool,
    pub(crate) attached: bool,
    pub(crate) hops: Option<u8>,
}

/// What a node asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// DIS to one neighbour or to all.
    Solicit(Option<Eui64>),
    /// RS to the parent.
    Discover { attempt: u8 },
    /// NS with EARO to the parent.
    Register { attempt: u8 },
    /// DAO to the root.
    Announce { attempt: u8 },
    /// DIS to the parent, to see whether it is there.
    Probe,
    /// Enough offers: choose.
    Choose,
}

impl Node {
    pub(crate) fn new(
        now: Instant,
        short: ShortAddr,
        hint: Option<Eui64>,
        prng: &mut Prng,
    ) -> Self {
        let spread = if hint.is_some() { HINTED_SPREAD } else { SOLICIT_SPREAD };
        Self {
            short,
            hint,
            network: None,
            dodag: None,
            settle_until: None,
            solicit: Errand::Due { at: now + within(spread, prng), attempt: 0 },
            discover: Errand::Idle,
            register: Errand::Idle,
            announce: Errand::Idle,
            probe_at: Instant::FAR_FUTURE,
            suspects_parent: false,
            probes: 0,
            poisons: false,
            counter: lollipop::START,
            tid: lollipop::START,
            path_sequence: lollipop::START,
            dao_sequence: lollipop::START,
            dtsn: lollipop::START,
            parent_dtsn: lollipop::START,
            registered: false,
            attached: false,
            hops: None,
        }
    }

    /// Our global address.
    pub(crate) fn addr(&self) -> Option<Ipv6Addr> {
        Some(Iid::from(self.short).under(self.network?.prefix))
    }

    pub(crate) fn parent(&self) -> Option<Eui64> {
        self.dodag.as_ref()?.parent()
    }

    /// The next counter value, for a TID or a path sequence.
    pub(crate) fn count(&mut self) -> u8 {
        self.counter = lollipop::next(self.counter);
        self.counter
    }

    /// The root knows a later counter of ours, from before a restart: jump ahead.
    pub(crate) fn jump(&mut self) {
        for _ in 0..8 {
            self.count();
        }
    }

    pub(crate) fn due(&self) -> Instant {
        self.solicit
            .due()
            .min(self.discover.due())
            .min(self.register.due())
            .min(self.announce.due())
            .min(self.probe_at)
            .min(self.settle_until.unwrap_or(Instant::FAR_FUTURE))
    }

    /// The next thing to ask, if its time has come.
    pub(crate) fn poll(&mut self, now: Instant, prng: &mut Prng) -> Option<Ask> {
        if self.settle_until.is_some_and(|until| now >= until) {
            self.settle_until = None;
            return Some(Ask::Choose);
        }
        if let Some(attempt) = self.solicit.take(now, &SOLICIT, prng) {
            return Some(Ask::Solicit(self.hint.filter(|_| attempt < HINTED_ATTEMPTS)));
        }
        if let Some(attempt) = self.discover.take(now, &DISCOVER, prng) {
            return Some(Ask::Discover { attempt });
        }
        if let Some(attempt) = self.register.take(now, &REGISTER, prng) {
            return Some(Ask::Register { attempt });
        }
        if let Some(attempt) = self.announce.take(now, &ANNOUNCE, prng) {
            return Some(Ask::Announce { attempt });
        }
        if now >= self.probe_at {
            self.probe_at = now + PROBE_AGAIN;
            return Some(Ask::Probe);
        }
        None
    }

    /// No parent: nothing to ask for but a new one.
    pub(crate) fn lose_parent(&mut self, solicit_at: Instant) {
        self.hint = None;
        self.settle_until = None;
        self.solicit = Errand::Due { at: solicit_at, attempt: 0 };
        self.discover = Errand::Idle;
        self.register = Errand::Idle;
        self.announce = Errand::Idle;
        self.probe_at = Instant::FAR_FUTURE;
        self.suspects_parent = false;
        self.probes = 0;
        self.attached = false;
        self.hops = None;
    }
}
