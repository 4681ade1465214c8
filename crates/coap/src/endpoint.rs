//! The endpoint: what comes in, what goes out, and the message layer between (RFC 7252 section 4).
//!
//! The client's half is in `asking`, the server's in `answering`.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;
use lowgate_units::{Instant, Prng};

use crate::answering::Answering;
use crate::asking::Asking;
use crate::codec::{Content, FormatDrop, Kind, Malformed, Message, empty};
use crate::ids::MessageIds;
use crate::observing::{ObserverId, Observing};
use crate::seen::{Reply, Seen};
use crate::{Config, Request, Response};

/// One of our own requests or pings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub(crate) u64);

/// A request of a peer that waits for our answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExchangeId(pub(crate) u64);

/// Whether a request is repeated until it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// CON.
    Confirmable,
    /// NON.
    NonConfirmable,
}

/// Where a datagram was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressed {
    /// To this endpoint alone.
    ToUs,
    /// To a multicast address.
    ToGroup,
}

/// What the owner tells.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a, P> {
    /// A datagram came.
    Datagram {
        /// From whom.
        peer: P,
        /// To whom.
        addressed: Addressed,
        /// What is in it.
        octets: &'a [u8],
    },
    /// A peer will not be heard of again under this name; what it still owes fails.
    PeerGone {
        /// Who.
        peer: P,
    },
}

/// What the owner is told. [`Output::Wait`] is the last of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<P> {
    /// Send a datagram.
    Transmit {
        /// To whom: a peer, or the group given to [`Endpoint::request_group`].
        peer: P,
        /// What.
        octets: Vec<u8>,
    },
    /// A peer asks; answer with [`Endpoint::respond`] or, where nothing is to be said,
    /// [`Endpoint::ignore`].
    Requested {
        /// To answer with.
        exchange: ExchangeId,
        /// Who.
        peer: P,
        /// Whether others were asked too.
        addressed: Addressed,
        /// What.
        request: Request,
    },
    /// An answer came. A request is over with its answer, a request to a group goes on.
    Responded {
        /// To what.
        request: RequestId,
        /// From whom.
        peer: P,
        /// What.
        response: Response,
        /// Time since the request was sent first.
        after: Duration,
    },
    /// The peer of a ping is there.
    Ponged {
        /// The ping.
        request: RequestId,
        /// Who.
        peer: P,
        /// Time since the ping was sent first.
        after: Duration,
    },
    /// A request or ping is over without an answer.
    Failed {
        /// Which.
        request: RequestId,
        /// Who was asked.
        peer: P,
        /// Why.
        reason: Failure,
    },
    /// A request to a group is over: answers are no longer listened for.
    Ended {
        /// Which.
        request: RequestId,
    },
    /// A separate answer of ours did not arrive.
    AnswerLost {
        /// To what.
        exchange: ExchangeId,
        /// Who asked.
        peer: P,
        /// Why.
        reason: Failure,
    },
    /// Somebody is told of changes no more: he said so, or did not hear of one.
    ObserverGone {
        /// Of whom [`Endpoint::observed`] told.
        observer: ObserverId,
        /// Who.
        peer: P,
    },
    /// Something that came was of no use. Noise: to be counted.
    Dropped {
        /// From whom.
        peer: P,
        /// Why.
        drop: CoapDrop,
    },
    /// Nothing more until then, or until the next input.
    Wait {
        /// [`Instant::FAR_FUTURE`] when only an input can change anything.
        until: Instant,
    },
}

/// Why nobody answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// MAX_RETRANSMIT repetitions without an acknowledgement.
    TimedOut,
    /// Acknowledged, or sent without reliability, and no answer in time.
    NoResponse,
    /// The peer rejected the message.
    Reset,
    /// The answer carried a critical option that is not understood.
    ResponseRejected,
    /// The owner said so.
    PeerGone,
}

/// What was not processed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoapDrop {
    /// No CoAP, or not ours.
    Format(FormatDrop),
    /// A copy of an earlier message; it was answered as before.
    Duplicate,
    /// A code of a reserved class.
    ReservedCode,
    /// A non-confirmable empty message, or an ACK or Reset that carries what it must not.
    Misplaced,
    /// An ACK or Reset of nothing that was sent.
    Unmatched,
    /// An answer nobody waits for.
    UnexpectedResponse,
    /// An answer in the acknowledgement of another request.
    TokenMismatch,
    /// A critical option that is not understood, in an answer or a non-confirmable request.
    CriticalOption,
    /// A request that had to be answered with an error, and was where an error may be returned.
    BadRequest,
    /// A confirmable message to a group.
    GroupConfirmable,
    /// A table of exchanges is full; the peer will ask again.
    ExchangesFull,
    /// All message ids are in use; an answer was not sent.
    MessageIdsExhausted,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestRefused {
    /// `requests_max` requests are under way.
    TooMany,
    /// Longer than [`crate::MESSAGE_OCTETS_MAX`], or with more than [`crate::OPTIONS_MAX`] options.
    TooLong,
}

/// Why an answer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RespondRefused {
    /// Answered before, given up, or its peer is gone.
    UnknownExchange,
    /// Longer than [`crate::MESSAGE_OCTETS_MAX`]; the exchange is still open.
    TooLong,
    /// All message ids are in use; the exchange is still open.
    MessageIdsExhausted,
}

/// What an ACK or Reset may refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sent {
    Ask(RequestId),
    Answer(ExchangeId),
}

/// A CoAP client and server.
#[derive(Clone, Debug)]
pub struct Endpoint<P> {
    pub(crate) config: Config,
    pub(crate) prng: Prng,
    pub(crate) ids: MessageIds,
    pub(crate) seen: Seen<P>,
    pub(crate) sent: BTreeMap<(P, u16), Sent>,
    pub(crate) asking: Asking<P>,
    pub(crate) answering: Answering<P>,
    pub(crate) observing: Observing<P>,
    /// Drained by the owner after each input, so it never holds more than one input gives.
    outputs: VecDeque<Output<P>>,
}

impl<P: Copy + Ord> Endpoint<P> {
    /// An endpoint that knows nobody.
    pub fn new(config: Config, mut prng: Prng) -> Self {
        Self {
            ids: MessageIds::new(&mut prng),
            config,
            prng,
            seen: Seen::new(),
            sent: BTreeMap::new(),
            asking: Asking::new(),
            answering: Answering::new(),
            observing: Observing::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Takes an input in; poll afterwards.
    pub fn handle(&mut self, now: Instant, input: Input<'_, P>) {
        match input {
            Input::Datagram { peer, addressed, octets } => match Message::parse(octets) {
                Ok(message) => self.message(now, peer, addressed, message),
                Err(Malformed { header, why }) => {
                    if let (Some((kind, mid)), Addressed::ToUs) = (header, addressed) {
                        self.reject(peer, kind, mid);
                    }
                    self.noise(peer, CoapDrop::Format(why));
                }
            },
            Input::PeerGone { peer } => self.peer_gone(peer),
        }
    }

    /// The next thing the owner has to do.
    pub fn poll(&mut self, now: Instant) -> Output<P> {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        self.answering_timers(now);
        self.asking_timers(now);
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait {
            until: self.answering.next_wake().min(self.asking.next_wake()),
        })
    }

    fn message(&mut self, now: Instant, peer: P, addressed: Addressed, message: Message) {
        let Message { kind, mid, token, content } = message;
        match (kind, content) {
            (Kind::Acknowledgement, content) => self.acknowledged(now, peer, mid, token, content),
            (Kind::Reset, Content::Empty) => self.reset(now, peer, mid),
            // RFC 7252 section 4.2: rejecting a Reset is effected by silently ignoring it.
            (Kind::Reset, _) => self.noise(peer, CoapDrop::Misplaced),
            // RFC 7252 section 8.1: requests to a group MUST be non-confirmable.
            (Kind::Confirmable, _) if addressed == Addressed::ToGroup => {
                self.noise(peer, CoapDrop::GroupConfirmable);
            }
            // RFC 7252 section 4.3: "CoAP ping".
            (Kind::Confirmable, Content::Empty) => self.reject(peer, kind, mid),
            (Kind::NonConfirmable, Content::Empty) => self.noise(peer, CoapDrop::Misplaced),
            (_, Content::Reserved) => {
                if addressed == Addressed::ToUs {
                    self.reject(peer, kind, mid);
                }
                self.noise(peer, CoapDrop::ReservedCode);
            }
            (_, Content::Request(request)) => {
                if !self.answer_copy(now, peer, mid) {
                    self.requested(now, (peer, addressed), (kind, mid, token), request);
                }
            }
            // RFC 7252 section 8.2: answers are unicast, also those to who asked a group.
            (_, Content::Response(_)) if addressed == Addressed::ToGroup => {
                self.noise(peer, CoapDrop::UnexpectedResponse);
            }
            (_, Content::Response(response)) => {
                if !self.answer_copy(now, peer, mid) {
                    self.responded(now, peer, (kind, mid, token), response);
                }
            }
        }
    }

    /// Whether the message was here before; then it is answered as it was.
    fn answer_copy(&mut self, now: Instant, peer: P, mid: u16) -> bool {
        // RFC 7252 section 4.5: each copy SHOULD be acknowledged alike, the content processed only
        // once.
        let Some(reply) = self.seen.reply(now, peer, mid).cloned() else {
            return false;
        };
        if let Reply::Again(octets) = reply {
            self.transmit(peer, octets);
        }
        self.noise(peer, CoapDrop::Duplicate);
        true
    }

    /// Remembers a message so that [`Self::answer_copy`] recognises copies.
    pub(crate) fn remember(&mut self, now: Instant, peer: P, mid: u16, reply: Reply) {
        // RFC 7252 section 4.8.2: one lifetime for both kinds of messages is safe.
        let until = now + self.config.exchange_lifetime();
        self.seen.insert(now, until, (peer, mid), reply, &self.config.bounds);
    }

    /// RFC 7252 section 4.2: rejecting a confirmable message is effected by a Reset. Section 4.3:
    /// rejecting a non-confirmable one may be, and is not here. ACK and Reset are never answered.
    pub(crate) fn reject(&mut self, peer: P, kind: Kind, mid: u16) {
        if kind == Kind::Confirmable {
            self.transmit(peer, empty(Kind::Reset, mid));
        }
    }

    fn acknowledged(
        &mut self,
        now: Instant,
        peer: P,
        mid: u16,
        token: crate::ids::Token,
        content: Content,
    ) {
        // RFC 7252 section 4.2: an ACK with a request or a reserved code is silently ignored.
        let response = match content {
            Content::Empty => None,
            Content::Response(response) => Some(response),
            Content::Request(_) | Content::Reserved => {
                return self.noise(peer, CoapDrop::Misplaced);
            }
        };
        match self.sent.get(&(peer, mid)).copied() {
            Some(Sent::Ask(request)) => {
                self.ask_acknowledged(now, (peer, mid), request, token, response);
            }
            // RFC 7252 section 5.2.2: whatever it carries, it ends the retransmission.
            Some(Sent::Answer(exchange)) => self.answer_over((peer, mid), exchange, None),
            None => self.noise(peer, CoapDrop::Unmatched),
        }
    }

    fn reset(&mut self, now: Instant, peer: P, mid: u16) {
        match self.sent.get(&(peer, mid)).copied() {
            Some(Sent::Ask(request)) => self.ask_reset(now, request),
            Some(Sent::Answer(exchange)) => {
                self.answer_over((peer, mid), exchange, Some(Failure::Reset));
            }
            None => self.noise(peer, CoapDrop::Unmatched),
        }
    }

    fn peer_gone(&mut self, peer: P) {
        self.asks_of_gone(peer);
        self.answers_of_gone(peer);
        self.observers_of_gone(peer);
        self.seen.forget(peer);
        self.sent.retain(|(other, _), _| *other != peer);
    }

    pub(crate) fn transmit(&mut self, peer: P, octets: Vec<u8>) {
        self.outputs.push_back(Output::Transmit { peer, octets });
    }

    /// Noise: for the owner to count.
    pub(crate) fn noise(&mut self, peer: P, drop: CoapDrop) {
        self.outputs.push_back(Output::Dropped { peer, drop });
    }

    pub(crate) fn output(&mut self, output: Output<P>) {
        self.outputs.push_back(output);
    }
}
