//! The client's half: own requests, from their queue to their answer (RFC 7252 sections 4.7 and
//! 5.3).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use lowgate_units::Instant;

use crate::codec::{Kind, emit_request, empty, set_mid};
use crate::endpoint::Sent;
use crate::ids::Token;
use crate::seen::Reply;
use crate::transmission::Transmission;
use crate::{
    CoapDrop, Endpoint, Failure, Output, Reliability, Request, RequestId, RequestRefused, Response,
};

/// All own requests; their numbers are their tokens.
#[derive(Clone, Debug)]
pub(crate) struct Asking<P> {
    asks: BTreeMap<RequestId, Ask<P>>,
    next: u64,
    /// When a message id will be free, while there is none.
    ids_free_at: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Ask<P> {
    peer: P,
    purpose: Purpose,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Request,
    Ping,
}

#[derive(Clone, Debug)]
enum State {
    /// Waits until its peer owes fewer than NSTART answers. The id is not in the octets yet.
    Queued { octets: Vec<u8>, reliability: Reliability },
    /// Sent, to be acknowledged.
    Unacknowledged(Transmission),
    /// Acknowledged; the answer comes separately.
    Acknowledged { first_at: Instant, until: Instant },
    /// Sent once. It keeps others waiting until `probing_until`.
    Unreliable { mid: u16, first_at: Instant, probing_until: Option<Instant>, until: Instant },
    /// Sent once to a group.
    Group { first_at: Instant, until: Instant },
}

impl State {
    /// RFC 7252 section 4.7: what counts as an outstanding interaction.
    const fn is_outstanding(&self) -> bool {
        match self {
            Self::Unacknowledged(_) => true,
            Self::Unreliable { probing_until, .. } => probing_until.is_some(),
            Self::Queued { .. } | Self::Acknowledged { .. } | Self::Group { .. } => false,
        }
    }

    fn wake(&self) -> Instant {
        match self {
            Self::Queued { .. } => Instant::FAR_FUTURE,
            Self::Unacknowledged(transmission) => transmission.due_at,
            Self::Acknowledged { until, .. } | Self::Group { until, .. } => *until,
            Self::Unreliable { probing_until, until, .. } => {
                probing_until.unwrap_or(*until).min(*until)
            }
        }
    }

    /// When it was sent; `None` in the queue.
    const fn first_at(&self) -> Option<Instant> {
        match self {
            Self::Queued { .. } => None,
            Self::Unacknowledged(transmission) => Some(transmission.first_at),
            Self::Acknowledged { first_at, .. }
            | Self::Unreliable { first_at, .. }
            | Self::Group { first_at, .. } => Some(*first_at),
        }
    }

    /// The id a Reset or ACK would name.
    const fn mid(&self) -> Option<u16> {
        match self {
            Self::Unacknowledged(transmission) => Some(transmission.mid),
            Self::Unreliable { mid, .. } => Some(*mid),
            Self::Queued { .. } | Self::Acknowledged { .. } | Self::Group { .. } => None,
        }
    }
}

impl<P: Copy + Ord> Asking<P> {
    pub(crate) const fn new() -> Self {
        Self { asks: BTreeMap::new(), next: 0, ids_free_at: None }
    }

    pub(crate) fn next_wake(&self) -> Instant {
        let asks = self.asks.values().map(|ask| ask.state.wake()).min();
        asks.into_iter().chain(self.ids_free_at).min().unwrap_or(Instant::FAR_FUTURE)
    }

    fn queued_for(&self, nstart: usize) -> Vec<RequestId> {
        if self.asks.values().all(|ask| !matches!(ask.state, State::Queued { .. })) {
            return Vec::new();
        }
        let mut outstanding: BTreeMap<P, usize> = BTreeMap::new();
        for ask in self.asks.values().filter(|ask| ask.state.is_outstanding()) {
            *outstanding.entry(ask.peer).or_default() += 1;
        }
        let mut ready = Vec::new();
        for (id, ask) in &self.asks {
            let count = outstanding.entry(ask.peer).or_default();
            if matches!(ask.state, State::Queued { .. }) && *count < nstart {
                *count += 1;
                ready.push(*id);
            }
        }
        ready
    }
}

impl<P: Copy + Ord> Endpoint<P> {
    /// Asks a peer. The answer, or that there is none, comes as an [`Output`].
    ///
    /// # Errors
    /// When the request cannot be taken; nothing has changed then.
    pub fn request(
        &mut self,
        now: Instant,
        peer: P,
        reliability: Reliability,
        request: &Request,
    ) -> Result<RequestId, RequestRefused> {
        let kind = match reliability {
            Reliability::Confirmable => Kind::Confirmable,
            Reliability::NonConfirmable => Kind::NonConfirmable,
        };
        let token = self.next_token()?;
        let octets = emit_request(kind, &token, request).ok_or(RequestRefused::TooLong)?;
        let state = State::Queued { octets, reliability };
        let id = self.insert_ask(Ask { peer, purpose: Purpose::Request, state });
        self.send_queued(now);
        Ok(id)
    }

    // RFC 7252 section 8.1: such requests MUST be non-confirmable. NSTART does not hold them back:
    // they go to nobody who could be overloaded alone.
    /// Asks a group, once, and listens for answers until so long after; [`Output::Ended`] is the
    /// last.
    ///
    /// # Errors
    /// When the request cannot be taken; nothing has changed then.
    pub fn request_group(
        &mut self,
        now: Instant,
        group: P,
        request: &Request,
        listen_for: Duration,
    ) -> Result<RequestId, RequestRefused> {
        let token = self.next_token()?;
        let mut octets =
            emit_request(Kind::NonConfirmable, &token, request).ok_or(RequestRefused::TooLong)?;
        let lifetime = self.config.exchange_lifetime();
        let mid = self.ids.take(now, lifetime).map_err(|_| RequestRefused::TooMany)?;
        set_mid(&mut octets, mid);
        let state = State::Group { first_at: now, until: now + listen_for };
        let id = self.insert_ask(Ask { peer: group, purpose: Purpose::Request, state });
        self.transmit(group, octets);
        Ok(id)
    }

    /// A command to a group, whose answers nobody listens for: a message to be sent once. It has no token,
    /// for there is nothing to tell apart.
    ///
    /// # Errors
    /// When the request cannot be taken; nothing has changed then.
    pub fn group_command(
        &mut self,
        now: Instant,
        request: &Request,
    ) -> Result<Vec<u8>, RequestRefused> {
        let token = Token::new(&[]).expect("no octets");
        let mut octets =
            emit_request(Kind::NonConfirmable, &token, request).ok_or(RequestRefused::TooLong)?;
        let lifetime = self.config.exchange_lifetime();
        let mid = self.ids.take(now, lifetime).map_err(|_| RequestRefused::TooMany)?;
        set_mid(&mut octets, mid);
        Ok(octets)
    }

    // RFC 7252 section 4.3: an empty confirmable message elicits a Reset.
    /// Asks whether a peer is there: "CoAP ping".
    ///
    /// # Errors
    /// When there are too many requests; nothing has changed then.
    pub fn ping(&mut self, now: Instant, peer: P) -> Result<RequestId, RequestRefused> {
        self.next_token()?;
        let octets = empty(Kind::Confirmable, 0);
        let state = State::Queued { octets, reliability: Reliability::Confirmable };
        let id = self.insert_ask(Ask { peer, purpose: Purpose::Ping, state });
        self.send_queued(now);
        Ok(id)
    }

    // RFC 7252 section 4.2: a sender MAY give up even before MAX_RETRANSMIT is reached.
    /// Forgets a request: nothing is sent, and nothing said, about it any more.
    pub fn cancel(&mut self, now: Instant, request: RequestId) {
        self.remove_ask(request);
        self.send_queued(now);
    }

    fn next_token(&self) -> Result<Token, RequestRefused> {
        if self.asking.asks.len() >= self.config.bounds.requests_max {
            return Err(RequestRefused::TooMany);
        }
        Ok(Token::of_number(self.asking.next))
    }

    fn insert_ask(&mut self, ask: Ask<P>) -> RequestId {
        let id = RequestId(self.asking.next);
        self.asking.next += 1;
        self.asking.asks.insert(id, ask);
        id
    }

    fn remove_ask(&mut self, id: RequestId) -> Option<Ask<P>> {
        let ask = self.asking.asks.remove(&id)?;
        if let Some(mid) = ask.state.mid() {
            self.sent.remove(&(ask.peer, mid));
        }
        Some(ask)
    }

    fn fail_ask(&mut self, id: RequestId, reason: Failure) {
        if let Some(Ask { peer, .. }) = self.remove_ask(id) {
            self.output(Output::Failed { request: id, peer, reason });
        }
    }

    /// RFC 7252 section 4.7: at most NSTART outstanding interactions with a peer.
    fn send_queued(&mut self, now: Instant) {
        self.asking.ids_free_at = None;
        for id in self.asking.queued_for(self.config.nstart.max(1)) {
            match self.ids.take(now, self.config.exchange_lifetime()) {
                Ok(mid) => self.send_ask(now, id, mid),
                Err(free_at) => {
                    self.asking.ids_free_at = Some(free_at);
                    break;
                }
            }
        }
    }

    fn send_ask(&mut self, now: Instant, id: RequestId, mid: u16) {
        let Some(ask) = self.asking.asks.get_mut(&id) else { return };
        let State::Queued { octets, reliability } = &mut ask.state else { return };
        let (peer, mut octets) = (ask.peer, core::mem::take(octets));
        set_mid(&mut octets, mid);
        ask.state = match reliability {
            Reliability::Confirmable => State::Unacknowledged(Transmission::new(
                now,
                octets.clone(),
                mid,
                &self.config,
                &mut self.prng,
            )),
            Reliability::NonConfirmable => {
                // RFC 7252 section 4.7: PROBING_RATE towards who does not answer.
                let secs = octets.len() as u64 / u64::from(self.config.probing_rate.max(1));
                let probing_until = now + Duration::from_secs(secs);
                let until = (now + self.config.response_within).max(probing_until);
                let probing_until = Some(probing_until);
                State::Unreliable { mid, first_at: now, probing_until, until }
            }
        };
        self.sent.insert((peer, mid), Sent::Ask(id));
        self.transmit(peer, octets);
    }

    /// An ACK of a request; `response` is what it carried, `Some(None)` an answer of no use.
    pub(crate) fn ask_acknowledged(
        &mut self,
        now: Instant,
        key: (P, u16),
        id: RequestId,
        token: Token,
        response: Option<Option<Response>>,
    ) {
        let Some(ask) = self.asking.asks.get_mut(&id) else { return };
        let State::Unacknowledged(transmission) = &ask.state else {
            // RFC 7252 section 4.3: a non-confirmable message MUST NOT be acknowledged.
            return self.noise(key.0, CoapDrop::Misplaced);
        };
        let first_at = transmission.first_at;
        match (ask.purpose, response) {
            (Purpose::Ping, _) => self.ponged(now, id),
            (Purpose::Request, None) => {
                // RFC 7252 section 5.2.2: the answer will come separately.
                let until = now + self.config.response_within;
                ask.state = State::Acknowledged { first_at, until };
                self.sent.remove(&key);
            }
            // RFC 7252 section 5.3.2: message id and token MUST match.
            (Purpose::Request, Some(_)) if token.number() != Some(id.0) => {
                self.noise(key.0, CoapDrop::TokenMismatch);
            }
            (Purpose::Request, Some(Some(response))) => {
                self.answered(now, id, key.0, response);
            }
            // RFC 7252 section 5.4.1: rejected; no retransmission would make it better.
            (Purpose::Request, Some(None)) => {
                self.noise(key.0, CoapDrop::CriticalOption);
                self.fail_ask(id, Failure::ResponseRejected);
            }
        }
        self.send_queued(now);
    }

    pub(crate) fn ask_reset(&mut self, now: Instant, id: RequestId) {
        match self.asking.asks.get(&id).map(|ask| ask.purpose) {
            Some(Purpose::Ping) => self.ponged(now, id),
            Some(Purpose::Request) => self.fail_ask(id, Failure::Reset),
            None => {}
        }
        self.send_queued(now);
    }

    fn ponged(&mut self, now: Instant, id: RequestId) {
        let Some(Ask { peer, state, .. }) = self.remove_ask(id) else { return };
        let after = now.since(state.first_at().unwrap_or(now));
        self.output(Output::Ponged { request: id, peer, after });
    }

    /// A separate answer, or one without reliability.
    pub(crate) fn responded(
        &mut self,
        now: Instant,
        peer: P,
        (kind, mid, token): (Kind, u16, Token),
        response: Option<Response>,
    ) {
        let request = token.number().map(RequestId).filter(|id| self.is_answer(*id, peer));
        // RFC 7252 section 5.3.2: an unexpected answer is rejected.
        let Some(request) = request else {
            self.reject(peer, kind, mid);
            return self.noise(peer, CoapDrop::UnexpectedResponse);
        };
        // RFC 7252 section 5.4.1: so is one with a critical option that is not understood.
        let Some(response) = response else {
            self.reject(peer, kind, mid);
            self.noise(peer, CoapDrop::CriticalOption);
            if !self.is_group(request) {
                self.fail_ask(request, Failure::ResponseRejected);
            }
            return self.send_queued(now);
        };
        let reply = if kind == Kind::Confirmable {
            // RFC 7252 section 5.2.2: the ACK of an answer MUST be empty.
            let ack = empty(Kind::Acknowledgement, mid);
            self.transmit(peer, ack.clone());
            Reply::Again(ack)
        } else {
            Reply::Nothing
        };
        self.remember(now, peer, mid, reply);
        self.answered(now, request, peer, response);
        self.send_queued(now);
    }

    /// RFC 7252 section 5.3.2: it MUST come from whom was asked. Section 8.2: except after a
    /// request to a group, where only the token counts.
    fn is_answer(&self, id: RequestId, peer: P) -> bool {
        self.asking.asks.get(&id).is_some_and(|ask| match ask.state {
            State::Group { .. } => true,
            State::Queued { .. } => false,
            State::Unacknowledged(_) | State::Acknowledged { .. } | State::Unreliable { .. } => {
                ask.purpose == Purpose::Request && ask.peer == peer
            }
        })
    }

    fn is_group(&self, id: RequestId) -> bool {
        let ask = self.asking.asks.get(&id);
        ask.is_some_and(|ask| matches!(ask.state, State::Group { .. }))
    }

    fn answered(&mut self, now: Instant, id: RequestId, peer: P, response: Response) {
        let first_at = self.asking.asks.get(&id).and_then(|ask| ask.state.first_at());
        let after = now.since(first_at.unwrap_or(now));
        if !self.is_group(id) {
            self.remove_ask(id);
        }
        self.output(Output::Responded { request: id, peer, response, after });
    }

    pub(crate) fn asking_timers(&mut self, now: Instant) {
        let due = |ask: &Ask<P>| ask.state.wake() <= now;
        let due: Vec<RequestId> =
            self.asking.asks.iter().filter(|(_, ask)| due(ask)).map(|(id, _)| *id).collect();
        let ids_free = self.asking.ids_free_at.is_some_and(|at| at <= now);
        let any = ids_free || !due.is_empty();
        for id in due {
            self.ask_due(now, id);
        }
        if any {
            self.send_queued(now);
        }
    }

    fn ask_due(&mut self, now: Instant, id: RequestId) {
        let Some(ask) = self.asking.asks.get_mut(&id) else { return };
        let peer = ask.peer;
        match &mut ask.state {
            State::Queued { .. } => {}
            State::Unacknowledged(transmission) => {
                if transmission.again(now, &self.config) {
                    let octets = transmission.octets.clone();
                    self.transmit(peer, octets);
                } else {
                    self.fail_ask(id, Failure::TimedOut);
                }
            }
            State::Unreliable { probing_until, until, .. } if *until > now => *probing_until = None,
            State::Acknowledged { .. } | State::Unreliable { .. } => {
                self.fail_ask(id, Failure::NoResponse);
            }
            State::Group { .. } => {
                self.remove_ask(id);
                self.output(Output::Ended { request: id });
            }
        }
    }

    pub(crate) fn asks_of_gone(&mut self, peer: P) {
        let gone = self.asking.asks.iter().filter(|(_, ask)| ask.peer == peer);
        let gone: Vec<RequestId> = gone.map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.fail_ask(id, Failure::PeerGone));
    }
}
