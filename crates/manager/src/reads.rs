//! CoAP inside the sessions: reads for people, the admitted sets for the border routers.
//!
//! **Invariant:** every read gets one reply: the device's answer, or that there is none.

use crate::command::{Command, CommandRefused, commanded};
use crate::interface::{ManagerDrop, ManagerEvent, ManagerOutput, Refusal, Reply, RequestId};
use crate::manager::Manager;
use crate::mesh::Mesh;
use crate::router_link::Answer;
use lowgate_access::admitted::ADMITTED_PATH;
use lowgate_coap::{
    Addressed, Code, ContentFormat, ExchangeId, Input, Method, Output, Path, Reliability,
    Request as CoapRequest, RequestId as CoapRequestId, Response,
};
use lowgate_dtls::{ContentType, SessionId};
use lowgate_units::{Duration, Entropy, Eui64, Instant, PanId};
use std::collections::BTreeMap;

/// Reads and commands under way at a time.
pub const READS_MAX: usize = 64;
/// Octets of the longest path: the request must fit one record.
pub const PATH_OCTETS_MAX: usize = 128;

/// The reads and commands under way.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    asked: BTreeMap<CoapRequestId, Asked>,
    resources: usize,
    commands: BTreeMap<RequestId, Command>,
}

/// What the answer is to.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Resource(RequestId),
    Command(RequestId),
}

impl Reads {
    /// Forgets all of them and names who asked.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = RequestId> {
        let resources = std::mem::take(&mut self.asked).into_values();
        let resources = resources.filter_map(|asked| match asked {
            Asked::Resource(id) => Some(id),
            Asked::Command(_) => None,
        });
        self.resources = 0;
        resources.chain(std::mem::take(&mut self.commands).into_keys())
    }

    /// How many are under way.
    pub(crate) fn len(&self) -> usize {
        self.resources + self.commands.len()
    }

    /// Border routers were given a command.
    pub(crate) fn command(&mut self, id: RequestId, requests: &[CoapRequestId], command: Command) {
        self.asked.extend(requests.iter().map(|request| (*request, Asked::Command(id))));
        self.commands.insert(id, command);
    }

    fn resource(&mut self, request: CoapRequestId, id: RequestId) {
        self.asked.insert(request, Asked::Resource(id));
        self.resources += 1;
    }

    /// Something is answered, or will not be: `reply` makes the reply of a read. A command has one when the
    /// last border router said what it did.
    fn over(
        &mut self,
        request: CoapRequestId,
        sent: Result<(), CommandRefused>,
        reply: impl FnOnce() -> Reply,
    ) -> Option<(RequestId, Reply)> {
        match self.asked.remove(&request)? {
            Asked::Resource(id) => {
                self.resources -= 1;
                Some((id, reply()))
            }
            Asked::Command(id) => {
                let reply = self.commands.get_mut(&id)?.answered(sent)?;
                self.commands.remove(&id);
                Some((id, reply))
            }
        }
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
        let session = self.sessions.of_device(eui64).ok_or(Refusal::NoSession)?;
        if !self.sessions.get(session).is_some_and(|state| state.is_member()) {
            return Err(Refusal::NoSession);
        }
        if path.len() > PATH_OCTETS_MAX {
            return Err(Refusal::Path);
        }
        let path = Path::new(path).map_err(|_| Refusal::Path)?;
        if self.reads.len() >= READS_MAX {
            return Err(Refusal::Busy);
        }
        let request = CoapRequest::new(Method::Get, path);
        let request = self.coap.request(now, session, Reliability::Confirmable, &request);
        self.reads.resource(request.map_err(|_| Refusal::Busy)?, id);
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
    pub(crate) fn drain_coap(&mut self, now: Instant, entropy: &mut dyn Entropy) -> bool {
        match self.coap.poll(now) {
            Output::Transmit { peer, octets } => {
                if self.server.send(now, peer, ContentType::ApplicationData, &octets).is_err() {
                    self.drop_input(ManagerDrop::NoSession);
                }
            }
            Output::Requested { exchange, peer, request, .. } => {
                if self.is_about_keys(peer, &request) {
                    self.keys_asked(now, (exchange, peer), &request, entropy);
                    return true;
                }
                let response = match Self::is_about_pairs(&request) {
                    true => self.pairs_answer(peer, &request),
                    false => Response::new(Code::NOT_FOUND),
                };
                self.respond(now, exchange, &response);
            }
            Output::Responded { request, response, after, .. } => {
                self.answered(now, request, &response, after);
            }
            Output::Failed { request, .. } => self.unanswered(now, request),
            Output::Dropped { drop, .. } => self.drop_input(ManagerDrop::Coap(drop)),
            Output::ObserverGone { observer, peer } => self.observer_gone(peer, observer),
            // Nobody here pings, asks a group, or answers later.
            Output::Ponged { .. } | Output::Ended { .. } | Output::AnswerLost { .. } => {}
            Output::Wait { until } => {
                self.coap_until = until;
                return false;
            }
        }
        true
    }

    pub(crate) fn respond(&mut self, now: Instant, exchange: ExchangeId, response: &Response) {
        if self.coap.respond(now, exchange, response).is_err() {
            self.drop_input(ManagerDrop::NoSession);
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        request: CoapRequestId,
        response: &Response,
        round_trip: Duration,
    ) {
        let code = response.code.raw();
        if let Some(pan) = self.offer_of(request) {
            let confirmed = response.code.is_success();
            return self.offer_over(now, pan, if confirmed { Ok(()) } else { Err(Some(code)) });
        }
        if let Some(pan) = self.flood_of(request) {
            return self.flooded(now, pan, response.code.is_success());
        }
        let resource = || Reply::Resource { code, payload: response.payload.clone(), round_trip };
        let over = self.reads.over(request, commanded(response.code), resource);
        self.outputs.extend(over.map(|(id, reply)| ManagerOutput::Reply { id, reply }));
    }

    fn unanswered(&mut self, now: Instant, request: CoapRequestId) {
        if let Some(pan) = self.offer_of(request) {
            return self.offer_over(now, pan, Err(None));
        }
        if let Some(pan) = self.flood_of(request) {
            return self.flooded(now, pan, false);
        }
        let silent = Err(CommandRefused::NoAnswer);
        let over = self.reads.over(request, silent, || Reply::Refused(Refusal::NoAnswer));
        self.outputs.extend(over.map(|(id, reply)| ManagerOutput::Reply { id, reply }));
    }

    /// The PAN whose border router answers an offer.
    fn offer_of(&self, request: CoapRequestId) -> Option<PanId> {
        self.meshes.iter().find(|(_, mesh)| mesh.router.awaits(request)).map(|(pan, _)| pan)
    }

    fn offer_over(&mut self, now: Instant, pan: PanId, outcome: Result<(), Option<u8>>) {
        let answer = if outcome.is_ok() { Answer::Confirmed } else { Answer::Failed };
        if let Some(revision) = self.meshes.of_pan_mut(pan).router.answered(now, answer) {
            self.event(ManagerEvent::RouterConfirmed { pan, revision });
        }
        if let Err(code) = outcome {
            self.event(ManagerEvent::RouterFailed { pan, code });
        }
    }

    /// Tells a border router what it does not know, if it is time and everything is stored.
    pub(crate) fn offer_to_router(&mut self, now: Instant) -> bool {
        if !self.journal.is_settled() {
            return false;
        }
        let revision = self.journal.committed();
        let offer = |(pan, mesh): (PanId, &Mesh)| Some((pan, mesh.router.offer(now, revision)?));
        let Some((pan, (session, set))) = self.meshes.iter().find_map(offer) else { return false };
        let path = Path::new(ADMITTED_PATH).expect("one short segment");
        let request = CoapRequest::new(Method::Put, path)
            .with_payload(ContentFormat::CBOR, set.emit().to_vec());
        let request = self.coap.request(now, session, Reliability::Confirmable, &request);
        let router = &mut self.meshes.of_pan_mut(pan).router;
        match request {
            Ok(request) => router.sent(request, revision),
            Err(_) => router.postpone(now),
        }
        true
    }
}
