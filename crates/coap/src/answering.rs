//! The server's half: requests of others, from their arrival to our answer (RFC 7252 sections 5.2
//! and 8.2).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;
use lowgate_units::Instant;

use crate::codec::{Kind, RequestFault, emit_response, empty, set_mid};
use crate::endpoint::Sent;
use crate::ids::Token;
use crate::seen::Reply;
use crate::transmission::Transmission;
use crate::{
    Addressed, CoapDrop, Endpoint, ExchangeId, Failure, Observe, Output, Request, RespondRefused,
    Response,
};

/// Requests of others.
#[derive(Clone, Debug)]
pub(crate) struct Answering<P> {
    pub(crate) exchanges: BTreeMap<ExchangeId, Exchange<P>>,
    pub(crate) next: u64,
    /// The answers to one request to a group are over at this time.
    leisure_until: Instant,
}

#[derive(Clone, Debug)]
pub(crate) struct Exchange<P> {
    pub(crate) peer: P,
    pub(crate) state: State,
}

#[derive(Clone, Debug)]
pub(crate) enum State {
    /// The application thinks; the answer can still ride in the ACK.
    Piggyback { mid: u16, token: Token, ack_at: Instant },
    /// The application thinks; the ACK is gone.
    Separate { token: Token, until: Instant },
    /// The application thinks; there is no ACK.
    Unreliable { token: Token, addressed: Addressed, until: Instant },
    /// The answer waits for its moment within the leisure. The id is not in the octets yet.
    Leisurely { octets: Vec<u8>, send_at: Instant },
    /// The separate answer is on its way.
    Answered(Transmission),
}

impl State {
    const fn wake(&self) -> Instant {
        match self {
            Self::Piggyback { ack_at, .. } => *ack_at,
            Self::Separate { until, .. } | Self::Unreliable { until, .. } => *until,
            Self::Leisurely { send_at, .. } => *send_at,
            Self::Answered(transmission) => transmission.due_at,
        }
    }
}

impl<P: Copy + Ord> Answering<P> {
    pub(crate) const fn new() -> Self {
        Self { exchanges: BTreeMap::new(), next: 0, leisure_until: Instant::ZERO }
    }

    pub(crate) fn next_wake(&self) -> Instant {
        let exchanges = self.exchanges.values().map(|exchange| exchange.state.wake());
        exchanges.min().unwrap_or(Instant::FAR_FUTURE)
    }
}

impl<P: Copy + Ord> Endpoint<P> {
    /// Answers a request: in the ACK while there is time, separately afterwards. An error is not
    /// returned to who asked a group (RFC 7252 section 8.2), and an answer to it is delayed within
    /// the leisure.
    ///
    /// # Errors
    /// When the answer cannot be taken; nothing has changed then.
    pub fn respond(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        response: &Response,
    ) -> Result<(), RespondRefused> {
        let open =
            self.answering.exchanges.get(&exchange).ok_or(RespondRefused::UnknownExchange)?;
        let peer = open.peer;
        match open.state {
            State::Piggyback { mid, token, .. } => {
                let mut octets = emit_response(Kind::Acknowledgement, &token, response)
                    .ok_or(RespondRefused::TooLong)?;
                set_mid(&mut octets, mid);
                self.answering.exchanges.remove(&exchange);
                self.seen.set_reply(peer, mid, Reply::Again(octets.clone()));
                self.transmit(peer, octets);
                Ok(())
            }
            State::Separate { token, .. } => {
                self.respond_separately(now, (exchange, peer), &token, response)
            }
            State::Unreliable { token, addressed: Addressed::ToUs, .. } => {
                let mut octets = emit_response(Kind::NonConfirmable, &token, response)
                    .ok_or(RespondRefused::TooLong)?;
                let mid = self.answer_mid(now)?;
                set_mid(&mut octets, mid);
                self.answering.exchanges.remove(&exchange);
                self.transmit(peer, octets);
                Ok(())
            }
            State::Unreliable { token, addressed: Addressed::ToGroup, .. } => {
                self.respond_leisurely(now, (exchange, peer), &token, response)
            }
            State::Leisurely { .. } | State::Answered(_) => Err(RespondRefused::UnknownExchange),
        }
    }

    // RFC 7252 section 8.2: a server MAY always ignore a request to a group.
    /// Does not answer a request. Right for requests to a group; a peer that asked us alone and
    /// confirmably gets an empty ACK in time and waits in vain.
    pub fn ignore(&mut self, exchange: ExchangeId) {
        let open = self.answering.exchanges.get(&exchange).map(|exchange| &exchange.state);
        if let Some(State::Unreliable { .. } | State::Separate { .. }) = open {
            self.answering.exchanges.remove(&exchange);
        }
    }

    fn answer_mid(&mut self, now: Instant) -> Result<u16, RespondRefused> {
        let lifetime = self.config.exchange_lifetime();
        self.ids.take(now, lifetime).map_err(|_| RespondRefused::MessageIdsExhausted)
    }

    // RFC 7252 section 5.2.2: once there was an empty ACK, the answer MUST NOT be sent in another
    // ACK.
    pub(crate) fn respond_separately(
        &mut self,
        now: Instant,
        (exchange, peer): (ExchangeId, P),
        token: &Token,
        response: &Response,
    ) -> Result<(), RespondRefused> {
        let mut octets =
            emit_response(Kind::Confirmable, token, response).ok_or(RespondRefused::TooLong)?;
        let mid = self.answer_mid(now)?;
        set_mid(&mut octets, mid);
        let transmission =
            Transmission::new(now, octets.clone(), mid, &self.config, &mut self.prng);
        let state = State::Answered(transmission);
        self.answering.exchanges.insert(exchange, Exchange { peer, state });
        self.sent.insert((peer, mid), Sent::Answer(exchange));
        self.transmit(peer, octets);
        Ok(())
    }

    // RFC 7252 section 8.2: at a random moment within the leisure, which begins when the one before
    // ended.
    fn respond_leisurely(
        &mut self,
        now: Instant,
        (exchange, peer): (ExchangeId, P),
        token: &Token,
        response: &Response,
    ) -> Result<(), RespondRefused> {
        let octets =
            emit_response(Kind::NonConfirmable, token, response).ok_or(RespondRefused::TooLong)?;
        if !response.code.is_success() {
            self.answering.exchanges.remove(&exchange);
            return Ok(());
        }
        let begin = now.max(self.answering.leisure_until);
        let micros = u64::try_from(self.config.leisure.as_micros()).unwrap_or(u64::MAX);
        let send_at = begin + Duration::from_micros(self.prng.below(micros));
        self.answering.leisure_until = begin + self.config.leisure;
        let state = State::Leisurely { octets, send_at };
        self.answering.exchanges.insert(exchange, Exchange { peer, state });
        Ok(())
    }

    /// A request that was not seen before.
    pub(crate) fn requested(
        &mut self,
        now: Instant,
        (peer, addressed): (P, Addressed),
        (kind, mid, token): (Kind, u16, Token),
        request: Result<Request, RequestFault>,
    ) {
        let request = match request {
            Ok(request) => request,
            Err(fault) => {
                return self.refuse(now, (peer, addressed), (kind, mid, token), fault);
            }
        };
        let bounds = &self.config.bounds;
        let exchanges = &self.answering.exchanges;
        let of_peer = exchanges.values().filter(|exchange| exchange.peer == peer).count();
        if exchanges.len() >= bounds.exchanges_max || of_peer >= bounds.exchanges_per_peer_max {
            return self.noise(peer, CoapDrop::ExchangesFull);
        }
        self.remember(now, peer, mid, Reply::Nothing);
        if request.observe == Some(Observe::Deregister) {
            self.deregister(peer, token);
        }
        let state = if kind == Kind::Confirmable {
            State::Piggyback { mid, token, ack_at: now + self.config.piggyback_within }
        } else {
            let until = now + self.config.response_within;
            State::Unreliable { token, addressed, until }
        };
        let exchange = ExchangeId(self.answering.next);
        self.answering.next += 1;
        self.answering.exchanges.insert(exchange, Exchange { peer, state });
        self.output(Output::Requested { exchange, peer, addressed, request });
    }

    /// Answers a request that the application need not see.
    fn refuse(
        &mut self,
        now: Instant,
        (peer, addressed): (P, Addressed),
        (kind, mid, token): (Kind, u16, Token),
        fault: RequestFault,
    ) {
        let error = Response::new(fault.code());
        let (drop, octets) = match (kind, addressed, fault) {
            (Kind::Confirmable, ..) => {
                let octets = emit_response(Kind::Acknowledgement, &token, &error);
                (CoapDrop::BadRequest, octets.map(|octets| (octets, mid)))
            }
            // RFC 7252 section 5.4.1: with an unrecognized critical option it MUST be rejected.
            (_, _, RequestFault::Option) => (CoapDrop::CriticalOption, None),
            // RFC 7252 section 8.2: no errors to who asked a group.
            (_, Addressed::ToGroup, _) => (CoapDrop::BadRequest, None),
            (_, Addressed::ToUs, _) => match self.answer_mid(now) {
                Ok(mid) => {
                    let octets = emit_response(Kind::NonConfirmable, &token, &error);
                    (CoapDrop::BadRequest, octets.map(|octets| (octets, mid)))
                }
                Err(_) => (CoapDrop::MessageIdsExhausted, None),
            },
        };
        let reply = octets.map(|(mut octets, mid)| {
            set_mid(&mut octets, mid);
            octets
        });
        self.noise(peer, drop);
        let Some(octets) = reply else { return };
        let again = kind == Kind::Confirmable;
        let reply = if again { Reply::Again(octets.clone()) } else { Reply::Nothing };
        self.remember(now, peer, mid, reply);
        self.transmit(peer, octets);
    }

    /// The separate answer needs no more transmissions.
    pub(crate) fn answer_over(
        &mut self,
        (peer, mid): (P, u16),
        exchange: ExchangeId,
        failure: Option<Failure>,
    ) {
        self.sent.remove(&(peer, mid));
        self.answering.exchanges.remove(&exchange);
        if self.notified(exchange, failure.is_none()) {
            return;
        }
        if let Some(reason) = failure {
            self.output(Output::AnswerLost { exchange, peer, reason });
        }
    }

    pub(crate) fn answering_timers(&mut self, now: Instant) {
        let exchanges = self.answering.exchanges.iter();
        let due: Vec<ExchangeId> = exchanges
            .filter(|(_, exchange)| exchange.state.wake() <= now)
            .map(|(id, _)| *id)
            .collect();
        due.into_iter().for_each(|exchange| self.exchange_due(now, exchange));
    }

    fn exchange_due(&mut self, now: Instant, id: ExchangeId) {
        let Some(exchange) = self.answering.exchanges.get_mut(&id) else { return };
        let peer = exchange.peer;
        match &mut exchange.state {
            State::Piggyback { mid, token, .. } => {
                let (mid, token) = (*mid, *token);
                let ack = empty(Kind::Acknowledgement, mid);
                let until = now + self.config.response_within;
                exchange.state = State::Separate { token, until };
                self.seen.set_reply(peer, mid, Reply::Again(ack.clone()));
                self.transmit(peer, ack);
            }
            // The application never answered. It is its bug or its decision; the peer has its own
            // timer.
            State::Separate { .. } | State::Unreliable { .. } => {
                self.answering.exchanges.remove(&id);
            }
            State::Leisurely { octets, .. } => {
                let mut octets = core::mem::take(octets);
                self.answering.exchanges.remove(&id);
                match self.answer_mid(now) {
                    Ok(mid) => {
                        set_mid(&mut octets, mid);
                        self.transmit(peer, octets);
                    }
                    Err(_) => self.noise(peer, CoapDrop::MessageIdsExhausted),
                }
            }
            State::Answered(transmission) => {
                let mid = transmission.mid;
                if transmission.again(now, &self.config) {
                    let octets = transmission.octets.clone();
                    self.transmit(peer, octets);
                } else {
                    self.answer_over((peer, mid), id, Some(Failure::TimedOut));
                }
            }
        }
    }

    pub(crate) fn answers_of_gone(&mut self, peer: P) {
        self.answering.exchanges.retain(|_, exchange| exchange.peer != peer);
    }
}
