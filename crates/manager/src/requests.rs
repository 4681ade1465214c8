//! What operators and installers ask.
//!
//! **Invariant:** each request gets one reply; one that changes something gets it once the change is
//! stored, a refusal at once and with nothing changed.

use crate::change::Change;
use crate::device::{Device, DeviceState};
use crate::group::{Group, group_address};
use crate::interface::{
    DeviceView, GroupView, ManagerOutput, PanStatus, Refusal, Reply, Request, RequestId, Status,
};
use crate::manager::{Consequence, Manager};
use crate::mesh::Mesh;
use lowgate_units::{Entropy, Eui64, Instant, PanId};

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
                self.domain.decide_network_rekey(entropy).map_err(Refusal::Rekey)?
            }
            Request::RekeyGroup { id } => {
                self.domain.decide_group_rekey(id, entropy).map_err(Refusal::Rekey)?
            }
            Request::RekeyPairs => {
                self.domain.decide_next_pairs(entropy).map_err(Refusal::Rekey)?
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
        let decided = self.domain.decide_revocation(eui64, entropy).map_err(Refusal::Revoke)?;
        let rekeyed = |pan: &PanId| {
            let staged = |change: &Change| matches!(change, Change::LinkKeyStaged { pan: of, .. } if of == pan);
            decided.iter().any(staged)
        };
        // The border router may have switched to the staged key though it did not say so yet. That
        // key then is in force; the one staged now comes after it.
        let mut changes = Vec::new();
        for pan in self.switching().filter(rekeyed) {
            let staged = self.domain.pans()[&pan].staged_key.as_ref();
            changes.extend(staged.map(|key| Change::LinkKeyActivated { pan, index: key.index }));
        }
        changes.extend(decided);
        Ok(changes)
    }

    fn views(&self) -> Vec<DeviceView> {
        let view = |device: &Device| {
            let record = &device.record;
            let session = self.sessions.of_device(record.eui64);
            let pan = device.pan().map(|pan| &self.domain.pans()[&pan].config);
            DeviceView {
                eui64: record.eui64,
                kind: record.kind,
                name: record.name.clone(),
                room: record.room.clone(),
                state: device.state,
                addr: pan.and_then(|pan| Some(pan.addr(device.short()?))),
                peer: session.and_then(|session| self.server.peer(session)),
                keys_confirmed: self
                    .sessions
                    .by_device(record.eui64)
                    .is_some_and(|state| state.is_member()),
                handshakes_failed: self.failures.get(&record.eui64).copied().unwrap_or(0),
            }
        };
        self.domain.devices().values().map(view).collect()
    }

    fn group_views(&self) -> Vec<GroupView> {
        let view = |group: &Group| {
            let id = group.record.id;
            let pans = group.pans().map(|pan| &self.domain.pans()[&pan].config);
            GroupView {
                id,
                name: group.record.name.clone(),
                addr: group_address(id, self.domain.config().mesh_prefix),
                addrs: pans.map(|pan| (pan.pan_id, group_address(id, pan.mesh_prefix))).collect(),
                epoch: group.epoch.tek_id,
                members: group.members.iter().map(|(eui64, role)| (*eui64, *role)).collect(),
            }
        };
        self.domain.groups().values().map(view).collect()
    }

    fn status(&self, now: Instant) -> Status {
        let pan = |(id, mesh): (PanId, &Mesh)| {
            let pan = &self.domain.pans()[&id];
            PanStatus {
                config: pan.config,
                border_router: pan.border_router,
                members: pan.members.len(),
                key_index: pan.link_key.index.raw(),
                staged_key_index: pan.staged_key.as_ref().map(|key| key.index.raw()),
                router_revision: mesh.router.revision(),
            }
        };
        let mut status = Status {
            revision: self.journal.committed(),
            groups: self.domain.groups().len(),
            sessions: self.sessions.len(),
            window_until: self.domain.window(now),
            pans: self.meshes.iter().map(pan).collect(),
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
