//! Devices whose DTLS knows nothing of ours: the same key messages, as CoAP over application data.
//!
//! ```text
//! GET  k, Observe 0   2.05 with the record that is out, or nothing yet; then a notification for every record
//! POST k              what a device would say in a record of its own: REQ first, which says what it wants to be in,
//!                     later ACKs, ERRs, and REQs that ask again. 2.04 with the answers to REQs; 4.03 with ERR for who
//!                     may not come in; 4.00 for what cannot be read
//! ```
//!
//! **Invariant:** who is authenticated and has not asked is no member, holds nothing, and is gone after a while; a
//! device has one such session at most.

use crate::decide::NotAuthorized;
use crate::interface::ManagerEvent;
use crate::manager::Manager;
use crate::messages::{RECORD_OCTETS_MAX, RecordBuffer};
use crate::session::{Carrier, Session};
use lowgate_amikey::{
    GROUPS_MAX, GroupRequest, KeyError, Membership, Message, Messages, RequestFlags, Wish, emit_all,
};
use lowgate_coap::{
    Code, ContentFormat, ExchangeId, Method, Observe, ObserverId, Request, Response,
};
use lowgate_dtls::SessionId;
use lowgate_units::{Duration, Entropy, Eui64, Instant};
use std::collections::BTreeMap;

/// The resource.
const KEYS_PATH: &str = "k";
/// Who is authenticated asks within that time.
const ASKS_WITHIN: Duration = Duration::from_secs(60);

/// Sessions that nobody asked anything in.
#[derive(Debug, Default)]
pub(crate) struct Unasked(BTreeMap<SessionId, Waiting>);

#[derive(Debug)]
struct Waiting {
    eui64: Eui64,
    until: Instant,
    observer: Option<ObserverId>,
}

impl Unasked {
    pub(crate) fn remove(&mut self, session: SessionId) -> bool {
        self.0.remove(&session).is_some()
    }

    pub(crate) fn contains(&self, session: SessionId) -> bool {
        self.0.contains_key(&session)
    }

    /// When the first is over.
    pub(crate) fn due(&self) -> Instant {
        self.0.values().map(|waiting| waiting.until).min().unwrap_or(Instant::FAR_FUTURE)
    }
}

impl Manager {
    /// A device is authenticated, and its handshake asked for nothing.
    pub(crate) fn await_request(&mut self, now: Instant, session: SessionId, eui64: Eui64) {
        let before = self.unasked.0.iter().find(|(_, waiting)| waiting.eui64 == eui64);
        if let Some(before) = before.map(|(id, _)| *id) {
            self.end_unasked(now, before);
        }
        let until = now + ASKS_WITHIN;
        self.unasked.0.insert(session, Waiting { eui64, until, observer: None });
    }

    /// Ends the first that has not asked in time.
    pub(crate) fn expire_unasked(&mut self, now: Instant) -> bool {
        let over = self.unasked.0.iter().find(|(_, waiting)| waiting.until <= now);
        let Some((session, eui64)) = over.map(|(id, waiting)| (*id, waiting.eui64)) else {
            return false;
        };
        self.end_unasked(now, session);
        self.event(ManagerEvent::NotAuthorized { eui64, why: NotAuthorized::NoRequest });
        true
    }

    fn end_unasked(&mut self, now: Instant, session: SessionId) {
        self.unasked.remove(session);
        self.forget_peer(now, session);
        self.server.close(now, session);
    }

    /// Whether a device asks for its keys, in a session that has no records for them.
    pub(crate) fn is_about_keys(&self, session: SessionId, request: &Request) -> bool {
        let is_stock = self.unasked.contains(session)
            || self.sessions.get(session).is_some_and(|state| state.carrier.is_coap());
        is_stock && request.path.segments().eq([KEYS_PATH])
    }

    /// Answers such a request.
    pub(crate) fn keys_asked(
        &mut self,
        now: Instant,
        (exchange, session): (ExchangeId, SessionId),
        request: &Request,
        entropy: &mut dyn Entropy,
    ) {
        let response = match request.method {
            Method::Get => return self.keys_observed(now, exchange, session, request),
            Method::Post => self.keys_posted(now, session, &request.payload, entropy),
            Method::Put | Method::Delete => Response::new(Code::METHOD_NOT_ALLOWED),
        };
        self.respond(now, exchange, &response);
    }

    fn keys_observed(
        &mut self,
        now: Instant,
        exchange: ExchangeId,
        session: SessionId,
        request: &Request,
    ) {
        let mut buffer = RecordBuffer::new([0; RECORD_OCTETS_MAX]);
        let delivery = self.sessions.get(session).and_then(Session::delivery);
        let out = delivery.and_then(|delivery| delivery.out());
        let octets = out.map_or(0, |out| emit_all(out, &mut buffer[..]).expect("packed to fit"));
        let response = keys(&buffer[..octets]);
        if request.observe != Some(Observe::Register) {
            return self.respond(now, exchange, &response);
        }
        let Ok(Some(observer)) = self.coap.observed(now, exchange, &response) else { return };
        let before = match self.unasked.0.get_mut(&session) {
            Some(waiting) => waiting.observer.replace(observer),
            None => {
                self.sessions.edit(session, |state| state.carrier.observed_by(observer)).flatten()
            }
        };
        // Who observes anew, under another token, is told under that one alone.
        before.into_iter().for_each(|before| self.coap.unobserve(before));
    }

    fn keys_posted(
        &mut self,
        now: Instant,
        session: SessionId,
        octets: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Response {
        let messages: Result<Vec<Message>, _> = Messages::new(octets).collect();
        let messages = match messages {
            Ok(messages) if !messages.is_empty() => messages,
            Ok(_) | Err(_) => return Response::new(Code::BAD_REQUEST),
        };
        if let Some(Waiting { eui64, observer, .. }) = self.unasked.0.get(&session) {
            let (eui64, observer) = (*eui64, *observer);
            let [Message::Req(req)] = &messages[..] else {
                return Response::new(Code::BAD_REQUEST);
            };
            let Some(request) = group_request(&req.wishes) else {
                return Response::new(Code::BAD_REQUEST);
            };
            let carrier = Carrier::Coap { observer };
            return match self.admit(now, session, eui64, Some(&request), carrier, entropy) {
                Ok(()) => {
                    self.unasked.remove(session);
                    answered(&[Message::Ack { msg_id: req.msg_id }])
                }
                Err(why) => {
                    self.event(ManagerEvent::NotAuthorized { eui64, why });
                    let error = KeyError::NotAuthorized;
                    let refusal = answered(&[Message::Err { msg_id: req.msg_id, error }]);
                    Response { code: Code::FORBIDDEN, ..refusal }
                }
            };
        }
        let answers = messages.iter().filter_map(|message| self.key_message(now, session, message));
        answered(&answers.collect::<Vec<_>>())
    }

    /// An observer hears nothing any more. What is on its way to it is repeated when it observes again.
    pub(crate) fn observer_gone(&mut self, session: SessionId, gone: ObserverId) {
        let forget = |observer: &mut Option<ObserverId>| {
            if *observer == Some(gone) {
                *observer = None;
            }
        };
        if let Some(waiting) = self.unasked.0.get_mut(&session) {
            forget(&mut waiting.observer);
        }
        self.sessions.edit(session, |state| match &mut state.carrier {
            Carrier::Coap { observer } => forget(observer),
            Carrier::Records => {}
        });
    }
}

/// A record of key messages, or none.
pub(crate) fn keys(octets: &[u8]) -> Response {
    let content = Response::new(Code::CONTENT);
    content.with_payload(ContentFormat::OCTET_STREAM, octets.to_vec())
}

fn answered(messages: &[Message]) -> Response {
    let mut buffer = RecordBuffer::new([0; RECORD_OCTETS_MAX]);
    let octets = emit_all(messages, &mut buffer[..]).expect("answers of three octets");
    Response { code: Code::CHANGED, ..keys(&buffer[..octets]) }
}

/// What a REQ says in place of the extension 0xFF40. `None` if it wants to leave something.
fn group_request(wishes: &[Wish]) -> Option<GroupRequest> {
    let mut groups = heapless::Vec::<Membership, GROUPS_MAX>::new();
    for wish in wishes {
        groups.push(Membership { group: wish.group, role: wish.role? }).ok()?;
    }
    Some(GroupRequest { flags: RequestFlags::SPOKEN, node_id: heapless::Vec::new(), groups })
}
