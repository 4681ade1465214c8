//! What operators and installers ask.
//!
//! **Invariant:** each request gets one reply; one that changes something gets it once the change is
//! stored, a refusal at once and with nothing changed.

use crate::change::Change;
use crate::device::DeviceState;
use crate::group::group_address;
use crate::interface::{
    DeviceView, GroupView, ManagerOutput, Refusal, Reply, Request, RequestId, Status,
};
use crate::manager::{Consequence, Manager};
use lowgate_units::{Entropy, Eui64, Instant};

/// What becomes of a request.
enum Outcome {
    /// It is decided; the reply waits for the store.
    Decided(Vec<Change>),
    /// The answer is known.
    Answer(Reply),
    /// A device is asked.
    Pending,
}

impl Manager {
    /// Takes a request; the reply comes out with its number.
    pub fn request(
        &mut self,
        now: Instant,
        id: RequestId,
        request: Request,
        entropy: &mut dyn Entropy,
    ) {
        let outcome = if self.is_running() {
            self.outcome(now, id, request, entropy)
        } else {
            Err(Refusal::StoreFailed)
        };
        match outcome {
            Ok(Outcome::Decided(changes)) => {
                self.decide(&changes);
                self.once_stored(now, Consequence::Reply(id, Reply::Done));
            }
            Ok(Outcome::Answer(reply)) => self.reply(id, reply),
            Ok(Outcome::Pending) => {}
            Err(refusal) => self.reply(id, Reply::Refused(refusal)),
        }
        if self.is_running() {
            self.settle(now, entropy);
        }
    }

    fn reply(&mut self, id: RequestId, reply: Reply) {
        self.outputs.push_back(ManagerOutput::Reply { id, reply });
    }

    fn outcome(
        &mut self,
        now: Instant,
        id: RequestId,
        request: Request,
        entropy: &mut dyn Entropy,
    ) -> Result<Outcome, Refusal> {
        let decided = match request {
            Request::Import(records) => {
                self.domain.decide_import(&records).map_err(Refusal::Import)?
            }
            Request::CreateGroup { id, name } => {
                self.domain.decide_group(id, &name, entropy).map_err(Refusal::Group)?
            }
            Request::AddMember { group, eui64, role } => {
                let decided = self.domain.decide_member_added(group, eui64, role, entropy);
                decided.map_err(Refusal::Member)?
            }
            Request::RemoveMember { group, eui64 } => {
                let decided = self.domain.decide_member_removed(group, eui64, entropy);
                decided.map_err(Refusal::Member)?
            }
            Request::CommandGroup { group, path, value } => {
                return self.command(now, id, group, &path, value).map(|()| Outcome::Pending);
            }
            Request::ListGroups => return Ok(Outcome::Answer(Reply::Groups(self.group_views()))),
            Request::OpenWindow { until } => {
                vec![self.domain.decide_window(now, until).map_err(Refusal::Window)?]
            }
            Request::CloseWindow => vec![Change::WindowClosed],
            Request::Revoke { eui64 } => self.revocation(eui64, entropy)?,
            Request::RekeyNetwork => {
                vec![self.domain.decide_network_rekey(entropy).map_err(Refusal::Rekey)?]
            }
            Request::RekeyGroup { id } => {
                self.domain.decide_group_rekey(id, entropy).map_err(Refusal::Rekey)?
            }
            Request::ReadResource { eui64, path } => {
                return self.read(now, id, eui64, &path).map(|()| Outcome::Pending);
            }
            Request::KeyStatus => return Ok(Outcome::Answer(Reply::Keys(self.key_status()))),
            Request::ListDevices => return Ok(Outcome::Answer(Reply::Devices(self.views()))),
            Request::Status => return Ok(Outcome::Answer(Reply::Status(self.status(now)))),
        };
        Ok(Outcome::Decided(decided))
    }

    fn revocation(&self, eui64: Eui64, entropy: &mut dyn Entropy) -> Result<Vec<Change>, Refusal> {
        let mut changes = Vec::new();
        // The border router may have switched to the staged key though it did not say so yet. That
        // key then is in force; the one staged now comes after it.
        let staged = self.domain.staged_key().filter(|_| self.switch_is_out());
        changes.extend(staged.map(|key| Change::LinkKeyActivated { index: key.index }));
        let decided = self.domain.decide_revocation(eui64, entropy).map_err(Refusal::Revoke)?;
        changes.extend(decided);
        Ok(changes)
    }

    fn views(&self) -> Vec<DeviceView> {
        let view = |device: &crate::device::Device| {
            let record = &device.record;
            let session = self.by_device.get(&record.eui64);
            let state = session.and_then(|session| self.sessions.get(session));
            DeviceView {
                eui64: record.eui64,
                kind: record.kind,
                name: record.name.clone(),
                room: record.room.clone(),
                state: device.state,
                peer: session.and_then(|session| self.server.peer(*session)).cloned(),
                keys_confirmed: state.is_some_and(|state| state.is_member()),
                handshakes_failed: self.failures.get(&record.eui64).copied().unwrap_or(0),
            }
        };
        self.domain.devices().values().map(view).collect()
    }

    fn group_views(&self) -> Vec<GroupView> {
        let prefix = self.domain.config().mesh_prefix;
        let in_force =
            |device: &&crate::device::Device| !matches!(device.state, DeviceState::Revoked { .. });
        let view = |group: &crate::group::Group| {
            let id = group.record.id;
            let devices = self.domain.devices().values().filter(in_force);
            let members = devices.filter_map(|device| {
                Some((device.record.eui64, device.record.groups.get(&id).copied()?))
            });
            GroupView {
                id,
                name: group.record.name.clone(),
                addr: group_address(id, prefix),
                epoch: group.epoch.tek_id,
                members: members.collect(),
            }
        };
        self.domain.groups().values().map(view).collect()
    }

    fn status(&self, now: Instant) -> Status {
        let mut status = Status {
            revision: self.journal.committed(),
            groups: self.domain.groups().len(),
            sessions: self.sessions.len(),
            window_until: self.domain.window(now),
            key_index: self.domain.link_key().index.raw(),
            staged_key_index: self.domain.staged_key().map(|key| key.index.raw()),
            router_revision: self.router.revision(),
            strangers: self.strangers,
            ..Status::default()
        };
        for device in self.domain.devices().values() {
            match device.state {
                DeviceState::Expected => status.expected += 1,
                DeviceState::Admitted { .. } => status.admitted += 1,
                DeviceState::Revoked { .. } => status.revoked += 1,
            }
        }
        status
    }
}
