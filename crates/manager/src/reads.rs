//! CoAP inside the sessions: reads for people, the admitted set for the border router.
//!
//! **Invariant:** every read gets one reply: the device's answer, or that there is none.

use crate::command::commanded;
use crate::interface::{ManagerDrop, ManagerEvent, ManagerOutput, Refusal, Reply, RequestId};
use crate::manager::Manager;
use crate::router_link::Answer;
use lowgate_access::admitted::ADMITTED_PATH;
use lowgate_coap::{
    Addressed, Code, ContentFormat, Input, Method, Output, Path, Reliability,
    Request as CoapRequest, RequestId as CoapRequestId, Response,
};
use lowgate_dtls::{ContentType, SessionId};
use lowgate_units::{Duration, Eui64, Instant};
use std::collections::BTreeMap;

/// Reads and commands under way at a time.
pub const READS_MAX: usize = 64;
/// Octets of the longest path: the request must fit one record.
pub const PATH_OCTETS_MAX: usize = 128;

/// The reads under way.
#[derive(Debug, Default)]
pub(crate) struct Reads(BTreeMap<CoapRequestId, (RequestId, Asked)>);

/// What the answer is to.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Resource,
    Command,
}

impl Reads {
    /// Forgets all of them and names who asked.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = RequestId> {
        std::mem::take(&mut self.0).into_values().map(|(id, _)| id)
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The border router was given a command.
    pub(crate) fn command(&mut self, request: CoapRequestId, id: RequestId) {
        self.0.insert(request, (id, Asked::Command));
    }
}

impl Manager {
    /// Asks a device for a resource.
    pub(crate) fn read(
        &mut self,
        now: Instant,
        id: RequestId,
        eui64: Eui64,
        path: &str,
    ) -> Result<(), Refusal> {
        let session = self.by_device.get(&eui64).copied().ok_or(Refusal::NoSession)?;
        if !self.sessions.get(&session).is_some_and(|state| state.is_member()) {
            return Err(Refusal::NoSession);
        }
        if path.len() > PATH_OCTETS_MAX {
            return Err(Refusal::Path);
        }
        let path = Path::new(path).map_err(|_| Refusal::Path)?;
        if self.reads.0.len() >= READS_MAX {
            return Err(Refusal::Busy);
        }
        let request = CoapRequest::new(Method::Get, path);
        let request = self.coap.request(now, session, Reliability::Confirmable, &request);
        self.reads.0.insert(request.map_err(|_| Refusal::Busy)?, (id, Asked::Resource));
        Ok(())
    }

    /// Application data of a session.
    pub(crate) fn coap_received(&mut self, now: Instant, session: SessionId, octets: &[u8]) {
        let addressed = Addressed::ToUs;
        self.coap.handle(now, Input::Datagram { peer: session, addressed, octets });
    }

    /// A session is over; what it still owed has failed.
    pub(crate) fn forget_peer(&mut self, now: Instant, session: SessionId) {
        self.coap.handle(now, Input::PeerGone { peer: session });
    }

    /// One output of the CoAP endpoint. Returns whether there was one.
    pub(crate) fn drain_coap(&mut self, now: Instant) -> bool {
        match self.coap.poll(now) {
            Output::Transmit { peer, octets } => {
                if self.server.send(now, peer, ContentType::ApplicationData, &octets).is_err() {
                    self.drop_input(ManagerDrop::NoSession);
                }
            }
            Output::Requested { exchange, .. } => {
                let nothing_here = Response::new(Code::NOT_FOUND);
                if self.coap.respond(now, exchange, &nothing_here).is_err() {
                    self.drop_input(ManagerDrop::NoSession);
                }
            }
            Output::Responded { request, response, after, .. } => {
                self.answered(now, request, &response, after);
            }
            Output::Failed { request, .. } => self.unanswered(now, request),
            Output::Dropped { drop, .. } => self.drop_input(ManagerDrop::Coap(drop)),
            // Nobody here pings, asks a group, or answers later.
            Output::Ponged { .. } | Output::Ended { .. } | Output::AnswerLost { .. } => {}
            Output::Wait { until } => {
                self.coap_until = until;
                return false;
            }
        }
        true
    }

    fn answered(
        &mut self,
        now: Instant,
        request: CoapRequestId,
        response: &Response,
        round_trip: Duration,
    ) {
        let code = response.code.raw();
        if self.router.awaits(request) {
            let confirmed = response.code.is_success();
            self.offer_over(now, if confirmed { Ok(()) } else { Err(Some(code)) });
        } else if let Some((id, asked)) = self.reads.0.remove(&request) {
            let payload = response.payload.clone();
            let reply = match asked {
                Asked::Resource => Reply::Resource { code, payload, round_trip },
                Asked::Command => commanded(response.code),
            };
            self.outputs.push_back(ManagerOutput::Reply { id, reply });
        }
    }

    fn unanswered(&mut self, now: Instant, request: CoapRequestId) {
        if self.router.awaits(request) {
            self.offer_over(now, Err(None));
        } else if let Some((id, _)) = self.reads.0.remove(&request) {
            let reply = Reply::Refused(Refusal::NoAnswer);
            self.outputs.push_back(ManagerOutput::Reply { id, reply });
        }
    }

    fn offer_over(&mut self, now: Instant, outcome: Result<(), Option<u8>>) {
        let answer = if outcome.is_ok() { Answer::Confirmed } else { Answer::Failed };
        if let Some(revision) = self.router.answered(now, answer) {
            self.event(ManagerEvent::RouterConfirmed { revision });
        }
        if let Err(code) = outcome {
            self.event(ManagerEvent::RouterFailed { code });
        }
    }

    /// Tells the border router what it does not know, if it is time and everything is stored.
    pub(crate) fn offer_to_router(&mut self, now: Instant) -> bool {
        if !self.journal.is_settled() {
            return false;
        }
        let revision = self.journal.committed();
        let Some((session, set)) = self.router.offer(now, revision) else { return false };
        let path = Path::new(ADMITTED_PATH).expect("one short segment");
        let request = CoapRequest::new(Method::Put, path)
            .with_payload(ContentFormat::CBOR, set.emit().to_vec());
        match self.coap.request(now, session, Reliability::Confirmable, &request) {
            Ok(request) => self.router.sent(request, revision),
            Err(_) => self.router.postpone(now),
        }
        true
    }
}
