//! Commands to groups: the border routers, which have the keys and the meshes, seal and send them.
//!
//! **Invariant:** every command gets one reply: that it was sent in every PAN where the group has members,
//! or where it was not.

use crate::interface::{Refusal, Reply, RequestId};
use crate::manager::Manager;
use crate::reads::{PATH_OCTETS_MAX, READS_MAX};
use lowgate_access::group_command::GROUP_PATH;
use lowgate_amikey::GroupId;
use lowgate_coap::{Code, ContentFormat, Method, Path, Reliability, Request as CoapRequest};
use lowgate_dtls::SessionId;
use lowgate_units::{Instant, PanId};

/// Octets of the longest value: what goes beyond a group record, the border router refuses.
pub const VALUE_OCTETS_MAX: usize = 64;

/// Why a command was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandRefused {
    /// No such group.
    UnknownGroup,
    /// Nobody of the group is in the mesh.
    NoMembers,
    /// The border router has no session.
    NoBorderRouter,
    /// The border router has not the group's keys yet.
    NotKeyed,
    /// Path and value are too long for one frame.
    TooLong,
    /// The border router cannot send now.
    Busy,
    /// The border router did not answer.
    NoAnswer,
    /// It says something else.
    Code(u8),
}

/// A command that is out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Command {
    /// Border routers that did not answer yet.
    open: usize,
    /// Border routers that sent it.
    sent: usize,
    of: usize,
    /// Why the first of the others did not.
    why: Option<CommandRefused>,
}

impl Command {
    /// A border router said what it did. The reply, when it was the last.
    pub(crate) fn answered(&mut self, sent: Result<(), CommandRefused>) -> Option<Reply> {
        self.open -= 1;
        match sent {
            Ok(()) => self.sent += 1,
            Err(why) => _ = self.why.get_or_insert(why),
        }
        let Self { open, sent, of, why } = *self;
        (open == 0).then(|| match why {
            None => Reply::Done,
            Some(why) if sent == 0 => Reply::Refused(Refusal::Command(why)),
            Some(why) => Reply::SentInPart { sent, of, why },
        })
    }
}

impl Manager {
    /// Has the border routers of all PANs in which a group has members send it `PUT path` with a value.
    pub(crate) fn command(
        &mut self,
        now: Instant,
        id: RequestId,
        group: GroupId,
        path: &str,
        value: Vec<u8>,
    ) -> Result<(), Refusal> {
        let refused = |why| Err(Refusal::Command(why));
        let Some(known) = self.domain.groups().get(&group) else {
            return refused(CommandRefused::UnknownGroup);
        };
        if value.len() > VALUE_OCTETS_MAX || path.len() > PATH_OCTETS_MAX {
            return refused(CommandRefused::TooLong);
        }
        if self.reads.len() >= READS_MAX {
            return Err(Refusal::Busy);
        }
        let pans: Vec<PanId> = known.pans().collect();
        let routers = pans.iter().filter_map(|pan| self.meshes.of_pan(*pan).router.session());
        let routers: Vec<SessionId> = routers.collect();
        if pans.is_empty() {
            return refused(CommandRefused::NoMembers);
        }
        let path = Path::new(&format!("{GROUP_PATH}/{}/{path}", group.0));
        let request = CoapRequest::new(Method::Put, path.map_err(|_| Refusal::Path)?)
            .with_payload(ContentFormat::TEXT, value);
        let mut requests = Vec::new();
        for session in &routers {
            let asked = self.coap.request(now, *session, Reliability::Confirmable, &request);
            requests.extend(asked.ok());
        }
        let why = match requests.len() {
            0 if routers.is_empty() => return refused(CommandRefused::NoBorderRouter),
            0 => return Err(Refusal::Busy),
            sent if sent < routers.len() => Some(CommandRefused::Busy),
            sent if sent < pans.len() => Some(CommandRefused::NoBorderRouter),
            _ => None,
        };
        let command = Command { open: requests.len(), sent: 0, of: pans.len(), why };
        self.reads.command(id, &requests, command);
        Ok(())
    }
}

/// What a border router's answer means.
pub(crate) fn commanded(code: Code) -> Result<(), CommandRefused> {
    Err(match code {
        Code::CHANGED => return Ok(()),
        Code::NOT_FOUND => CommandRefused::NotKeyed,
        Code::REQUEST_ENTITY_TOO_LARGE => CommandRefused::TooLong,
        Code::SERVICE_UNAVAILABLE => CommandRefused::Busy,
        other => CommandRefused::Code(other.raw()),
    })
}
