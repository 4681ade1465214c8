//! From an authenticated session to an admitted device, or to a refusal; and the end of sessions.
//!
//! **Invariant:** authentication first, authorization after; nothing of a device's wishes counts
//! before its Finished verified.

use crate::change::Change;
use crate::decide::NotAuthorized;
use crate::device::{Device, Identity};
use crate::interface::{ManagerDrop, ManagerEvent};
use crate::manager::{Consequence, Manager};
use crate::session::{Carrier, Owed, Session, Stage};
use lowgate_amikey::{GroupId, GroupRequest, KeyError, Message, MsgId, RequestFlags, Role};
use lowgate_dtls::{CloseReason, ContentType, Peer, SessionId};
use lowgate_units::{Entropy, Eui64, Instant, PanId};
use std::collections::{BTreeMap, BTreeSet};

/// A newcomer may come in.
struct Granted {
    groups: BTreeMap<GroupId, Role>,
    /// What it asked for and is not in.
    withheld: BTreeSet<GroupId>,
    follows_trees: bool,
    follows_pairs: bool,
    changes: Vec<Change>,
}

impl Manager {
    /// A handshake is done: who is it, and may it come in?
    pub(crate) fn established(
        &mut self,
        now: Instant,
        session: SessionId,
        peer: Peer,
        identity: &[u8],
        group_request: Option<&[u8]>,
        entropy: &mut dyn Entropy,
    ) {
        let device = Identity::new(identity).and_then(|id| self.domain.identified(&id)).cloned();
        // Nobody is taken out of the inventory, so that a handshake cannot end without its key.
        let Some(device) = device else { return self.server.close(now, session) };
        let eui64 = device.record.eui64;
        self.event(ManagerEvent::Authenticated { eui64, peer });
        // A DTLS without the extension: its owner asks in the session.
        let Some(octets) = group_request else {
            return self.await_request(now, session, eui64);
        };
        let request = GroupRequest::parse(octets).ok();
        let admitted = self.admit(now, session, eui64, request.as_ref(), Carrier::Records, entropy);
        if let Err(why) = admitted {
            self.refuse(now, session, eui64, why);
        }
    }

    /// Lets an authenticated device in if it may come in.
    pub(crate) fn admit(
        &mut self,
        now: Instant,
        session: SessionId,
        eui64: Eui64,
        request: Option<&GroupRequest>,
        carrier: Carrier,
        entropy: &mut dyn Entropy,
    ) -> Result<(), NotAuthorized> {
        let device = self.domain.devices()[&eui64].clone();
        let peer = self.server.peer(session);
        let from = peer.and_then(|peer| self.domain.pan_of(peer.addr));
        let granted = self.authorize(now, &device, from, request, entropy)?;
        let Granted { groups, withheld, follows_trees, follows_pairs, changes } = granted;
        self.end_session_of(now, eui64);
        self.decide(&changes);
        let admitted = self.domain.devices()[&eui64].pan();
        let pan = admitted.expect("whoever is granted something is a member");
        for left in [device.pan(), Some(pan)].into_iter().flatten() {
            self.meshes.of_pan_mut(left).rousing.found(eui64);
        }
        for group in withheld.iter().copied() {
            self.event(ManagerEvent::GroupWithheld { eui64, group });
        }
        self.sessions.insert(
            session,
            Session {
                eui64,
                pan,
                granted: groups,
                stage: Stage::Admitting,
                carrier,
                owes_groups: BTreeSet::new(),
                missed_groups: BTreeSet::new(),
                owes_paths: BTreeSet::new(),
                missed_paths: BTreeSet::new(),
                follows_trees,
                follows_pairs,
                owes_pairs: false,
                missed_pairs: false,
                owes_leave: withheld,
                owes_key: Owed::Nothing,
                msg_id_next: MsgId(1),
            },
        );
        // Of who moved, another event tells.
        if let Some(short) = device.short().filter(|_| device.pan() == Some(pan)) {
            let returned = ManagerEvent::Returned { eui64, short };
            self.once_stored(now, Consequence::Event(returned));
        }
        Ok(())
    }

    fn authorize(
        &self,
        now: Instant,
        device: &Device,
        from: Option<PanId>,
        request: Option<&GroupRequest>,
        entropy: &mut dyn Entropy,
    ) -> Result<Granted, NotAuthorized> {
        let request = request.ok_or(NotAuthorized::NoRequest)?;
        if !request.flags.contains(RequestFlags::SPOKEN) {
            return Err(NotAuthorized::NoRequest);
        }
        let node_id = &request.node_id[..];
        // RFC 4279 has the identity in the ClientKeyExchange: a request that names nobody is that one's.
        if !node_id.is_empty()
            && node_id != device.record.identity.octets()
            && node_id != device.record.eui64.0
        {
            return Err(NotAuthorized::NodeIdMismatch);
        }
        let asked = request.groups.iter().map(|wish| (wish.group, wish.role)).collect();
        let groups = self.domain.granted(device, &asked);
        let withheld = asked.into_keys().filter(|id| !groups.contains_key(id)).collect();
        let mut changes = self.domain.decide_admission(now, device, from, &groups, entropy)?;
        let follows_trees = request.flags.contains(RequestFlags::KEY_TREES);
        // A border router commands groups and has a session with nobody but the manager.
        let follows_pairs =
            request.flags.contains(RequestFlags::POLYNOMIAL_SHARE) && !device.is_border_router();
        if follows_pairs {
            changes.extend(self.domain.decide_pairs(self.config.pair_degree, entropy));
        }
        Ok(Granted { groups, withheld, follows_trees, follows_pairs, changes })
    }

    fn refuse(&mut self, now: Instant, session: SessionId, eui64: Eui64, why: NotAuthorized) {
        let refusal = Message::Err { msg_id: MsgId(0), error: KeyError::NotAuthorized };
        let mut octets = [0; 3];
        let len = refusal.emit(&mut octets).expect("three octets");
        // Without the extension there is no record type to say it in; the end says enough.
        let _ = self.server.send(now, session, ContentType::KeyParameters, &octets[..len]);
        self.server.close(now, session);
        self.event(ManagerEvent::NotAuthorized { eui64, why });
    }

    pub(crate) fn handshake_failed(
        &mut self,
        peer: Peer,
        identity: Option<&[u8]>,
        reason: CloseReason,
    ) {
        let claimed = identity.and_then(Identity::new);
        // Who begins anew has not failed yet.
        if reason != CloseReason::Superseded {
            let device = claimed.as_ref().and_then(|identity| self.domain.identified(identity));
            let count = match device {
                Some(device) => self.failures.entry(device.record.eui64).or_default(),
                None => &mut self.strangers,
            };
            *count = count.saturating_add(1);
        }
        self.event(ManagerEvent::HandshakeFailed { peer, claimed, reason });
    }

    /// The session goes on from another address.
    pub(crate) fn moved(&mut self, now: Instant, session: SessionId, peer: Peer) {
        let Some(state) = self.sessions.get(session) else {
            return self.drop_input(ManagerDrop::NoSession);
        };
        let (eui64, pan) = (state.eui64, state.pan);
        self.sessions.edit(session, Session::heard);
        // A border router never comes by a relay: where it is heard tells nothing.
        let from_mesh = peer.relay_header.is_empty()
            && self.domain.pan_of(peer.addr) == Some(pan)
            && self.domain.pans()[&pan].border_router != Some(eui64);
        self.event(ManagerEvent::SessionMoved { eui64, peer });
        if from_mesh {
            // It is heard over the secured mesh, so it has the key and the address.
            self.configuration_confirmed(now, session);
        }
    }

    pub(crate) fn end_session_of(&mut self, now: Instant, eui64: Eui64) {
        if let Some(session) = self.sessions.of_device(eui64) {
            self.server.close(now, session);
            self.session_closed(now, session, CloseReason::Requested);
        }
    }

    /// A session is over, by whoever's wish.
    pub(crate) fn session_closed(&mut self, now: Instant, session: SessionId, reason: CloseReason) {
        if self.unasked.remove(session) {
            return self.forget_peer(now, session);
        }
        // A refused newcomer's session never got here.
        if let Some(Session { eui64, pan, granted, .. }) = self.sessions.remove(session) {
            let mesh = self.meshes.of_pan_mut(pan);
            mesh.rousing.lost(now, eui64);
            mesh.router.session_ended(session);
            granted.into_keys().for_each(|group| self.unconfirm(group, eui64));
            self.forget_peer(now, session);
            self.event(ManagerEvent::SessionEnded { eui64, reason });
        }
    }
}
