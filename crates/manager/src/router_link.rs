//! What a PAN's border router knows of its admitted set, and what it has to be told.
//!
//! **Invariant:** one offer is out at a time; somebody is known to the router only after it confirmed
//! an offer with him. A router that joins again is told everything again.

use lowgate_access::admitted::{ADMITTED_ENTRIES_MAX, AdmittedSet, Removed};
use lowgate_coap::RequestId as CoapRequestId;
use lowgate_dtls::SessionId;
use lowgate_units::{Duration, Eui64, Instant, ShortAddr};
use std::collections::BTreeMap;

/// After an offer that failed, the next follows so much later.
const RETRY: Duration = Duration::from_secs(10);

/// A member with its address, or one that is no member any longer.
type Entries = BTreeMap<Eui64, Option<ShortAddr>>;

/// The link to a PAN's border router.
#[derive(Debug, Default)]
pub(crate) enum RouterLink {
    /// No border router has a session with confirmed keys.
    #[default]
    Absent,
    /// One has.
    Present(Present),
}

/// The link to a border router that is there.
#[derive(Debug)]
pub(crate) struct Present {
    session: SessionId,
    /// What it was not told.
    pending: Entries,
    knows: Knows,
    exchange: Exchange,
}

/// What the border router knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    /// Also what it knew before its session began; the offer with the last of the members ends that.
    Unsure,
    /// Part of the set.
    Some,
    /// All of the set, as of this revision.
    All { revision: u64 },
}

#[derive(Debug)]
enum Exchange {
    Idle { not_before: Instant },
    Out { request: CoapRequestId, offered: Entries, revision: u64, ends_doubt: bool },
}

/// How an offer went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The router confirmed it.
    Confirmed,
    /// The router refused it, or did not answer.
    Failed,
}

impl Present {
    /// Whether the next offer has the last of the members, so that the router can forget all others. Who
    /// was named in this session and went since must be listed first.
    fn ends_doubt(&self) -> bool {
        self.knows == Knows::Unsure
            && self.pending.len() <= ADMITTED_ENTRIES_MAX
            && self.pending.values().all(Option::is_some)
    }
}

impl RouterLink {
    /// A border router has a session; it is to be told of all of `members`.
    pub(crate) fn arrived(
        &mut self,
        session: SessionId,
        members: impl Iterator<Item = (Eui64, ShortAddr)>,
    ) {
        *self = Self::Present(Present {
            session,
            pending: members.map(|(eui64, short)| (eui64, Some(short))).collect(),
            knows: Knows::Unsure,
            exchange: Exchange::Idle { not_before: Instant::ZERO },
        });
    }

    /// A session ended; if it was the router's, nobody is there.
    pub(crate) fn session_ended(&mut self, session: SessionId) {
        if self.session() == Some(session) {
            *self = Self::Absent;
        }
    }

    /// The router's session.
    pub(crate) const fn session(&self) -> Option<SessionId> {
        match self {
            Self::Absent => None,
            Self::Present(present) => Some(present.session),
        }
    }

    /// A member came (`Some`) or went (`None`). While no router is there, nothing need be noted.
    pub(crate) fn changed(&mut self, eui64: Eui64, short: Option<ShortAddr>) {
        if let Self::Present(present) = self {
            present.pending.insert(eui64, short);
        }
    }

    /// Whether the router confirmed that this device is a member.
    pub(crate) fn knows(&self, eui64: Eui64) -> bool {
        match self {
            Self::Absent => false,
            Self::Present(present) => {
                let offered = match &present.exchange {
                    Exchange::Idle { .. } => false,
                    Exchange::Out { offered, .. } => offered.contains_key(&eui64),
                };
                present.knows != Knows::Unsure && !offered && !present.pending.contains_key(&eui64)
            }
        }
    }

    /// Whether the router confirmed of everybody who went that he is no member.
    pub(crate) fn knows_who_went(&self) -> bool {
        let stayed = |entries: &Entries| entries.values().all(Option::is_some);
        match self {
            Self::Absent => false,
            Self::Present(Present { knows: Knows::Unsure, .. }) => false,
            Self::Present(Present { pending, exchange: Exchange::Idle { .. }, .. }) => {
                stayed(pending)
            }
            Self::Present(Present { pending, exchange: Exchange::Out { offered, .. }, .. }) => {
                stayed(pending) && stayed(offered)
            }
        }
    }

    /// The revision of which the router knows everything.
    pub(crate) const fn revision(&self) -> Option<u64> {
        match self {
            Self::Present(Present { knows: Knows::All { revision }, .. }) => Some(*revision),
            Self::Present(_) | Self::Absent => None,
        }
    }

    /// The next offer, if one is due. The caller sends it and says [`Self::sent`].
    pub(crate) fn offer(&self, now: Instant, revision: u64) -> Option<(SessionId, AdmittedSet)> {
        let Self::Present(present) = self else { return None };
        let Exchange::Idle { not_before } = &present.exchange else { return None };
        let due = !present.pending.is_empty() || present.knows == Knows::Unsure;
        if !due || now < *not_before {
            return None;
        }
        let entries = present.pending.iter().take(ADMITTED_ENTRIES_MAX);
        let removed = if present.ends_doubt() {
            Removed::AllOthers
        } else {
            let gone = entries.clone().filter(|(_, short)| short.is_none());
            Removed::Listed(gone.map(|(eui64, _)| *eui64).collect())
        };
        let added = entries.filter_map(|(eui64, short)| Some((*eui64, (*short)?))).collect();
        Some((present.session, AdmittedSet { revision, added, removed }))
    }

    /// The offer is out as `request`.
    pub(crate) fn sent(&mut self, request: CoapRequestId, revision: u64) {
        if let Self::Present(present) = self {
            let ends_doubt = present.ends_doubt();
            let mut offered = std::mem::take(&mut present.pending);
            let beyond = offered.keys().nth(ADMITTED_ENTRIES_MAX).copied();
            if let Some(first) = beyond {
                present.pending = offered.split_off(&first);
            }
            present.exchange = Exchange::Out { request, offered, revision, ends_doubt };
        }
    }

    /// The offer could not leave; it is due again later.
    pub(crate) fn postpone(&mut self, now: Instant) {
        if let Self::Present(present) = self {
            present.exchange = Exchange::Idle { not_before: now + RETRY };
        }
    }

    /// Whether `request` is the offer that is out.
    pub(crate) fn awaits(&self, request: CoapRequestId) -> bool {
        matches!(
            self,
            Self::Present(Present { exchange: Exchange::Out { request: out, .. }, .. })
                if *out == request
        )
    }

    /// The answer to the offer that is out. Returns the revision, once all of it is known.
    pub(crate) fn answered(&mut self, now: Instant, answer: Answer) -> Option<u64> {
        let Self::Present(present) = self else { return None };
        let idle = Exchange::Idle { not_before: Instant::ZERO };
        let Exchange::Out { offered, revision, ends_doubt, .. } =
            std::mem::replace(&mut present.exchange, idle)
        else {
            return None;
        };
        let unsure = present.knows == Knows::Unsure && !ends_doubt;
        match answer {
            Answer::Confirmed if unsure => None,
            Answer::Confirmed if present.pending.is_empty() => {
                present.knows = Knows::All { revision };
                Some(revision)
            }
            Answer::Confirmed => {
                present.knows = Knows::Some;
                None
            }
            Answer::Failed => {
                for (eui64, short) in offered {
                    // What changed since is newer.
                    present.pending.entry(eui64).or_insert(short);
                }
                present.exchange = Exchange::Idle { not_before: now + RETRY };
                None
            }
        }
    }

    /// When an offer is due that waits for its time.
    pub(crate) fn due(&self) -> Instant {
        match self {
            Self::Present(Present {
                pending,
                knows,
                exchange: Exchange::Idle { not_before },
                ..
            }) if !pending.is_empty() || *knows == Knows::Unsure => *not_before,
            Self::Present(_) | Self::Absent => Instant::FAR_FUTURE,
        }
    }
}
