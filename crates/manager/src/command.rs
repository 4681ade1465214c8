//! Commands to groups: the border router, which has the keys and the mesh, seals and sends them.
//!
//! **Invariant:** every command gets one reply: that the border router sent it, or that it did not.

use crate::interface::{Refusal, Reply, RequestId};
use crate::manager::Manager;
use crate::reads::{PATH_OCTETS_MAX, READS_MAX};
use lowgate_access::group_command::GROUP_PATH;
use lowgate_amikey::GroupId;
use lowgate_coap::{Code, ContentFormat, Method, Path, Reliability, Request as CoapRequest};
use lowgate_units::Instant;

/// Octets of the longest value: what goes beyond a group record, the border router refuses.
pub const VALUE_OCTETS_MAX: usize = 64;

/// Why a command was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandRefused {
    /// No such group.
    UnknownGroup,
    /// No border router has a session.
    NoBorderRouter,
    /// The border router has not the group's keys yet.
    NotKeyed,
    /// Path and value are too long for one frame.
    TooLong,
    /// The border router cannot send now.
    Busy,
    /// It says something else.
    Code(u8),
}

impl Manager {
    /// Has the border router send `PUT path` with a value to a group.
    pub(crate) fn command(
        &mut self,
        now: Instant,
        id: RequestId,
        group: GroupId,
        path: &str,
        value: Vec<u8>,
    ) -> Result<(), Refusal> {
        let refused = |why| Err(Refusal::Command(why));
        if !self.domain.groups().contains_key(&group) {
            return refused(CommandRefused::UnknownGroup);
        }
        if value.len() > VALUE_OCTETS_MAX || path.len() > PATH_OCTETS_MAX {
            return refused(CommandRefused::TooLong);
        }
        let Some(session) = self.router.session() else {
            return refused(CommandRefused::NoBorderRouter);
        };
        if self.reads.len() >= READS_MAX {
            return Err(Refusal::Busy);
        }
        let path = Path::new(&format!("{GROUP_PATH}/{}/{path}", group.0));
        let request = CoapRequest::new(Method::Put, path.map_err(|_| Refusal::Path)?)
            .with_payload(ContentFormat::TEXT, value);
        let request = self.coap.request(now, session, Reliability::Confirmable, &request);
        self.reads.command(request.map_err(|_| Refusal::Busy)?, id);
        Ok(())
    }
}

/// What the border router's answer means.
pub(crate) fn commanded(code: Code) -> Reply {
    let why = match code {
        Code::CHANGED => return Reply::Done,
        Code::NOT_FOUND => CommandRefused::NotKeyed,
        Code::REQUEST_ENTITY_TOO_LARGE => CommandRefused::TooLong,
        Code::SERVICE_UNAVAILABLE => CommandRefused::Busy,
        other => CommandRefused::Code(other.raw()),
    };
    Reply::Refused(Refusal::Command(why))
}
