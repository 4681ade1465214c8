//! What is told through key trees: who is given places, what goes to whom by one message, and what becomes of it.
//!
//! **Invariant:** nobody is left out: whom a message is not meant for, or does not reach, is owed the same by
//! unicast.

use crate::interface::ManagerEvent;
use crate::manager::Manager;
use crate::messages;
use crate::session::Owed;
use crate::trees::{FLOOD_PAYLOAD_OCTETS_MAX, Flood, FloodOver, Trees};
use lowgate_access::TREE_PATH;
use lowgate_amikey::tree::{Followed, TreeName};
use lowgate_amikey::{GroupId, SenderId};
use lowgate_coap::{
    ContentFormat, Method, Path, Reliability, Request as CoapRequest, RequestId as CoapRequestId,
};
use lowgate_dtls::SessionId;
use lowgate_units::{Eui64, Instant, PanId};
use std::collections::{BTreeMap, BTreeSet};

impl Manager {
    /// The staged key of a PAN goes through its tree, in this epoch. Who is not to be told otherwise.
    pub(crate) fn tell_network(&mut self, pan: PanId) -> Option<(u32, BTreeSet<Eui64>)> {
        let key = self.domain.pans()[&pan].staged_key.as_ref()?;
        let mut buffer = messages::RecordBuffer::new([0; messages::RECORD_OCTETS_MAX]);
        let payload = messages::staged_for_all(key, &mut buffer);
        self.tell(pan, TreeName::Network, &buffer[..payload])
    }

    /// The keys of a group go through its trees, one in every PAN. Who is not to be told otherwise.
    pub(crate) fn tell_group(&mut self, id: GroupId) -> BTreeSet<Eui64> {
        let mut told = BTreeSet::new();
        let name = TreeName::Group(id);
        let pans: Vec<PanId> = self.domain.groups()[&id].pans().collect();
        for pan in pans {
            let group = &self.domain.groups()[&id];
            let senders: BTreeMap<Eui64, SenderId> = group.sender_ids_in(pan).collect();
            let trees = &self.meshes.of_pan(pan).trees;
            let here = senders.iter().filter(|(eui64, _)| trees.holds(name, **eui64));
            let here = here.map(|(eui64, id)| (*eui64, *id));
            let mut buffer = messages::RecordBuffer::new([0; messages::RECORD_OCTETS_MAX]);
            let (payload, named) = messages::group_for_all(
                &self.domain,
                (pan, id),
                here,
                FLOOD_PAYLOAD_OCTETS_MAX,
                &mut buffer,
            );
            let through = self.tell(pan, name, &buffer[..payload]);
            let through = through.into_iter().flat_map(|(_, told)| told);
            // A sender learns its SenderID, or nothing.
            told.extend(through.filter(|it| named.contains(it) || !senders.contains_key(it)));
        }
        told
    }

    fn tell(
        &mut self,
        pan: PanId,
        name: TreeName,
        payload: &[u8],
    ) -> Option<(u32, BTreeSet<Eui64>)> {
        let (domain, mesh) = (&self.domain, self.meshes.of_pan_mut(pan));
        let of_group = |group: &GroupId, eui64: &Eui64| {
            let present = domain.groups()[group].present.get(&pan);
            present.is_some_and(|present| present.contains(eui64))
        };
        let stays = |eui64: &Eui64| match &name {
            TreeName::Network => domain.pans()[&pan].members.contains_key(eui64),
            TreeName::Group(group) => of_group(group, eui64),
        };
        let with = (self.config.ccm, &mut self.tree_secrets);
        mesh.trees.tell(name, stays, payload, with)
    }

    /// One step with the trees. Returns whether there was one.
    pub(crate) fn advance_trees(&mut self, now: Instant) -> bool {
        self.give_places(now) || self.flood(now) || self.end_flood(now)
    }

    /// Who came or is in another group gets places where the PAN is calm.
    fn give_places(&mut self, now: Instant) -> bool {
        let domain = &self.domain;
        let found = self.meshes.iter_mut().find_map(|(pan, mesh)| {
            let calm = mesh.rollover.is_none();
            let newcomers =
                calm.then(|| mesh.trees.newcomers(now, domain.pans()[&pan].members.len()));
            newcomers.filter(|newcomers| !newcomers.is_empty()).map(|newcomers| (pan, newcomers))
        });
        let Some((pan, newcomers)) = found else { return false };
        for eui64 in newcomers {
            let (trees, secrets) = (&mut self.meshes.of_pan_mut(pan).trees, &mut self.tree_secrets);
            self.sessions.edit_of(eui64, |session| {
                if session.pan != pan || !session.follows_trees {
                    return;
                }
                let groups = session.granted.keys().map(|group| TreeName::Group(*group));
                let names = [TreeName::Network].into_iter().chain(groups);
                let owed = names.filter(|name| trees.enter(*name, eui64, secrets));
                session.owes_paths.extend(owed);
            });
        }
        true
    }

    /// A border router is given what waits, once all of it is stored.
    fn flood(&mut self, now: Instant) -> bool {
        if !self.journal.is_settled() {
            return false;
        }
        let waiting = self.meshes.iter().find_map(|(pan, mesh)| {
            let octets = mesh.trees.waiting()?;
            Some((pan, mesh.router.session(), octets.to_vec()))
        });
        let Some((pan, session, octets)) = waiting else { return false };
        let session = session.filter(|_| !octets.is_empty());
        let request = session.and_then(|session| self.ask_to_flood(now, session, octets));
        let trees = &mut self.meshes.of_pan_mut(pan).trees;
        match request {
            Some(request) => trees.asked(request),
            None => {
                let over = trees.fail();
                self.flood_over(now, pan, over);
            }
        }
        true
    }

    fn ask_to_flood(
        &mut self,
        now: Instant,
        session: SessionId,
        octets: Vec<u8>,
    ) -> Option<CoapRequestId> {
        let path = Path::new(TREE_PATH).expect("one short segment");
        let request =
            CoapRequest::new(Method::Post, path).with_payload(ContentFormat::OCTET_STREAM, octets);
        self.coap.request(now, session, Reliability::Confirmable, &request).ok()
    }

    /// The PAN whose border router answers to a flood.
    pub(crate) fn flood_of(&self, request: CoapRequestId) -> Option<PanId> {
        self.meshes.iter().find(|(_, mesh)| mesh.trees.awaits(request)).map(|(pan, _)| pan)
    }

    /// A border router sent what it was given, or did not.
    pub(crate) fn flooded(&mut self, now: Instant, pan: PanId, sent: bool) {
        let over = self.meshes.of_pan_mut(pan).trees.answered(now, sent);
        self.flood_over(now, pan, over);
    }

    /// A member says that it followed an epoch.
    pub(crate) fn followed(&mut self, session: SessionId, followed: Followed) {
        let Some(state) = self.sessions.get(session) else { return };
        let (eui64, pan) = (state.eui64, state.pan);
        self.meshes.of_pan_mut(pan).trees.followed(eui64, followed.tree, followed.epoch);
    }

    fn end_flood(&mut self, now: Instant) -> bool {
        let over = |(pan, trees): (PanId, &mut Trees)| Some((pan, trees.over(now)?));
        let trees = self.meshes.iter_mut().map(|(pan, mesh)| (pan, &mut mesh.trees));
        let Some((pan, over)) = trees.map(over).find_map(|over| over) else { return false };
        self.flood_over(now, pan, Some(over));
        true
    }

    fn flood_over(&mut self, now: Instant, pan: PanId, over: Option<FloodOver>) {
        let Some(FloodOver { flood, unreached }) = over else { return };
        match flood.name {
            TreeName::Network => self.network_told(now, pan, &flood, &unreached),
            TreeName::Group(id) => {
                let mesh = self.meshes.of_pan_mut(pan);
                mesh.trees.withdraw(&unreached);
                let awaited = mesh.rollover.is_some();
                for eui64 in &unreached {
                    self.sessions.edit_of(*eui64, |state| {
                        if state.granted.contains_key(&id) {
                            state.owes_groups.insert(id);
                        }
                        if awaited {
                            state.owes_key = Owed::Key;
                        }
                    });
                }
            }
        }
        let (name, told) = (flood.name, flood.told.len());
        let unreached = unreached.len();
        if told == 0 {
            return; // It was not sent.
        }
        self.event(ManagerEvent::TreeTold { pan, tree: name, told, unreached });
    }

    /// A staged key reached most of those who were to hear it; the others are owed it.
    fn network_told(
        &mut self,
        now: Instant,
        pan: PanId,
        flood: &Flood,
        unreached: &BTreeSet<Eui64>,
    ) {
        for eui64 in unreached {
            self.sessions.edit_of(*eui64, |state| state.owes_key = Owed::Key);
        }
        let deadline = now + self.config.rollover_deadline;
        if let Some(rollover) = &mut self.meshes.of_pan_mut(pan).rollover {
            rollover.told(flood.epoch, flood.told.difference(unreached), deadline);
        }
    }
}
