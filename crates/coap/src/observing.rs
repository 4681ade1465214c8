//! Who is told of every change of a resource: the server's half of RFC 7641.
//!
//! **Invariant:** of one observer at most one notification is under way, the newest, and it is confirmable: who does
//! not confirm it is forgotten. Who has been told a number hears only higher ones, which 24 bits hold: an observer
//! is forgotten at their end.

use alloc::collections::BTreeMap;
use lowgate_units::Instant;

use crate::answering::State;
use crate::ids::Token;
use crate::{Endpoint, ExchangeId, Output, RespondRefused, Response};

/// RFC 7641 section 3.4.
const NUMBER_MAX: u32 = 0xff_ffff;

/// Somebody who is told of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObserverId(u64);

/// All of them.
#[derive(Clone, Debug)]
pub(crate) struct Observing<P> {
    observers: BTreeMap<ObserverId, Observer<P>>,
    /// Whose notification is under way.
    notifying: BTreeMap<ExchangeId, ObserverId>,
    next: u64,
}

#[derive(Clone, Debug)]
struct Observer<P> {
    peer: P,
    token: Token,
    number: u32,
    out: Option<ExchangeId>,
}

impl<P> Observing<P> {
    pub(crate) const fn new() -> Self {
        Self { observers: BTreeMap::new(), notifying: BTreeMap::new(), next: 0 }
    }
}

impl<P: Copy + Ord> Endpoint<P> {
    /// Answers a request that wants to be told of changes, and keeps whom to tell. `None`: a peer has as many
    /// observers as it may have exchanges, or it waits no longer for the ACK; it was answered and will not be told.
    ///
    /// # Errors
    /// As of [`Self::respond`].
    pub fn observed(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        response: &Response,
    ) -> Result<Option<ObserverId>, RespondRefused> {
        let open = self.answering.exchanges.get(&exchange);
        let open = open.ok_or(RespondRefused::UnknownExchange)?;
        let peer = open.peer;
        let State::Piggyback { token, .. } = open.state else {
            return self.respond(now, exchange, response).map(|()| None);
        };
        // RFC 7641 section 4.1: the same token again takes the place of the entry.
        self.deregister(peer, token);
        let (observers, bounds) = (&self.observing.observers, &self.config.bounds);
        let of_peer = observers.values().filter(|observer| observer.peer == peer).count();
        if observers.len() >= bounds.exchanges_max || of_peer >= bounds.exchanges_per_peer_max {
            return self.respond(now, exchange, response).map(|()| None);
        }
        self.respond(now, exchange, &Response { observe: Some(0), ..response.clone() })?;
        let id = ObserverId(self.observing.next);
        self.observing.next += 1;
        self.observing.observers.insert(id, Observer { peer, token, number: 0, out: None });
        Ok(Some(id))
    }

    /// Tells an observer of a change. One that is still on its way is left for this one (RFC 7641 section 4.5.2).
    ///
    /// # Errors
    /// There is no such observer any more, or its answer cannot be taken: then nothing has changed.
    pub fn notify(
        &mut self,
        now: Instant,
        observer: ObserverId,
        response: &Response,
    ) -> Result<(), RespondRefused> {
        let entry = self.observing.observers.get(&observer);
        let entry = entry.ok_or(RespondRefused::UnknownExchange)?;
        let (peer, token, number, before) = (entry.peer, entry.token, entry.number + 1, entry.out);
        if number > NUMBER_MAX {
            self.observer_gone(observer);
            return Err(RespondRefused::UnknownExchange);
        }
        let exchange = ExchangeId(self.answering.next);
        self.answering.next += 1;
        let told = Response { observe: Some(number), ..response.clone() };
        self.respond_separately(now, (exchange, peer), &token, &told)?;
        if let Some(before) = before {
            self.leave(before);
        }
        self.observing.notifying.insert(exchange, observer);
        if let Some(entry) = self.observing.observers.get_mut(&observer) {
            (entry.number, entry.out) = (number, Some(exchange));
        }
        Ok(())
    }

    /// Tells an observer nothing more; nobody says so to it. One that is gone already is not missed.
    pub fn unobserve(&mut self, observer: ObserverId) {
        if let Some(Observer { out, .. }) = self.observing.observers.remove(&observer) {
            out.into_iter().for_each(|exchange| self.leave(exchange));
        }
    }

    /// A notification is over, if that is what `exchange` is.
    pub(crate) fn notified(&mut self, exchange: ExchangeId, arrived: bool) -> bool {
        let Some(observer) = self.observing.notifying.remove(&exchange) else { return false };
        if !arrived {
            self.observer_gone(observer);
        } else if let Some(entry) = self.observing.observers.get_mut(&observer) {
            entry.out = None;
        }
        true
    }

    pub(crate) fn deregister(&mut self, peer: P, token: Token) {
        let observers = &self.observing.observers;
        let known = observers.iter().find(|(_, it)| it.peer == peer && it.token == token);
        if let Some(observer) = known.map(|(id, _)| *id) {
            self.observer_gone(observer);
        }
    }

    pub(crate) fn observers_of_gone(&mut self, peer: P) {
        let exchanges = &self.answering.exchanges;
        self.observing.observers.retain(|_, observer| observer.peer != peer);
        self.observing.notifying.retain(|exchange, _| exchanges.contains_key(exchange));
    }

    fn observer_gone(&mut self, observer: ObserverId) {
        let Some(entry) = self.observing.observers.get(&observer) else { return };
        let peer = entry.peer;
        self.unobserve(observer);
        self.output(Output::ObserverGone { observer, peer });
    }

    /// Repeats a notification no more.
    fn leave(&mut self, exchange: ExchangeId) {
        self.observing.notifying.remove(&exchange);
        if let Some(gone) = self.answering.exchanges.remove(&exchange)
            && let State::Answered(transmission) = gone.state
        {
            self.sent.remove(&(gone.peer, transmission.mid));
        }
    }
}
