//! Key messages for one device, made from the domain, and how they share records.
//!
//! **Invariant:** made only from what is stored. Every message of a group follows that group's key.

use crate::change::LinkKey;
use crate::device::Device;
use crate::domain::Domain;
use crate::group::{Group, csb_id_in, group_address, sender_ids};
use crate::pan::Pan;
use crate::session::{Owed, Session};
use lowgate_access::admitted::ADMITTED_ENTRIES_MAX;
use lowgate_amikey::tree::{Path, PathTold, SIGNER_OCTETS};
use lowgate_amikey::{
    self as amikey, Activation, Cfg, CsbId, GroupId, KeyUsage, Message, Mkd, MsgId,
    NAMED_SENDERS_MAX, OldEpoch, Req, SenderId, Spd, SpdParameters, Wish,
};
use lowgate_units::{Eui64, PanId};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// Octets of key messages in one record: through a relay, with the record's own octets, it must stay
/// within [`lowgate_access::JOIN_DATAGRAM_OCTETS_MAX`].
pub(crate) const RECORD_OCTETS_MAX: usize =
    lowgate_access::JOIN_DATAGRAM_OCTETS_MAX - lowgate_dtls::RECORD_OVERHEAD_OCTETS_MAX;

// An offer to the border router fits a record too: CoAP's header 4, token 8, path 9, format 2, marker 1.
const _: () = assert!(ADMITTED_BODY_OCTETS_MAX + 24 <= RECORD_OCTETS_MAX);
/// Entries share their bound between added (the longer) and removed.
const ADMITTED_BODY_OCTETS_MAX: usize = 1 + 9 + 2 + 2 + ADMITTED_ENTRIES_MAX * 13;

/// Messages in one record: devices acknowledge them all in one record of their own.
const RECORD_MESSAGES_MAX: usize = 12;

/// Room for one record's messages; wiped when dropped.
pub(crate) type RecordBuffer = Zeroizing<[u8; RECORD_OCTETS_MAX]>;

/// Everything a newcomer needs: the keys of its groups, then the network's, then the one to come. `activation` is
/// the network's.
pub(crate) fn join(
    domain: &Domain,
    device: &Device,
    session: &mut Session,
    join_rate: u32,
    activation: Activation,
) -> Vec<Vec<Message>> {
    let mut records = leave(session);
    let groups: Vec<GroupId> = session.granted.keys().copied().collect();
    let mut units = group_units(domain, session, groups);
    let pan = &domain.pans()[&session.pan];
    let cfg = Cfg {
        keys: [link_key(&pan.link_key)].into_iter().collect(),
        short: device.short(),
        manager: Some(domain.config().manager_addr),
        join_rate: Some(join_rate),
        pan_id: Some(pan.config.pan_id),
        channel: Some(pan.config.channel),
        prefix: device.is_border_router().then_some(pan.config.mesh_prefix),
        activation,
        ..Cfg::default()
    };
    units.push(vec![Message::Cfg { msg_id: session.number(), cfg }]);
    units.extend(pan.staged_key.as_ref().map(|key| vec![stage(key, session)]));
    session.owes_pairs = session.follows_pairs;
    units.extend(pairs(domain, session));
    records.extend(pack(units, session.carrier.record_octets()));
    records
}

/// What changed since the device was last told.
pub(crate) fn update(
    domain: &Domain,
    session: &mut Session,
    groups: impl IntoIterator<Item = GroupId>,
    owed: Owed,
) -> Vec<Vec<Message>> {
    let mut records = leave(session);
    let mut units = group_units(domain, session, groups);
    let pan = &domain.pans()[&session.pan];
    let key = match owed {
        Owed::Nothing => None,
        Owed::Key => pan.staged_key.as_ref().map(|key| stage(key, session)),
        Owed::Switch => Some(switch(&pan.link_key, session)),
    };
    units.extend(key.map(|message| vec![message]));
    units.extend(pairs(domain, session));
    records.extend(pack(units, session.carrier.record_octets()));
    records
}

/// Which polynomial is in force, if the device has not heard.
fn pairs(domain: &Domain, session: &mut Session) -> Option<Vec<Message>> {
    let pairs = domain.pairs().filter(|_| std::mem::take(&mut session.owes_pairs))?;
    let cfg = Cfg { pairs: Some(pairs.offered()), ..Cfg::default() };
    Some(vec![Message::Cfg { msg_id: session.number(), cfg }])
}

/// The command to send with `key`; it brings the key along for who missed it.
pub(crate) fn switch(key: &LinkKey, session: &mut Session) -> Message {
    let keys = [link_key(key)].into_iter().collect();
    let activation = Activation::Switch { after_ms: 0 };
    let cfg = Cfg { keys, activation, ..Cfg::default() };
    Message::Cfg { msg_id: session.number(), cfg }
}

fn stage(key: &LinkKey, session: &mut Session) -> Message {
    Message::Cfg { msg_id: session.number(), cfg: staged(key) }
}

fn staged(key: &LinkKey) -> Cfg {
    let keys = [link_key(key)].into_iter().collect();
    Cfg { keys, activation: Activation::Stage, ..Cfg::default() }
}

/// The key to come, for all who follow the network's tree. Writes the message and says how long it is; nobody
/// acknowledges it.
pub(crate) fn staged_for_all(key: &LinkKey, out: &mut RecordBuffer) -> usize {
    let message = Message::Cfg { msg_id: MsgId(0), cfg: staged(key) };
    message.emit(&mut out[..]).expect("one key")
}

/// A group's keys, likewise: those who send there find their SenderIDs, as many of them as `octets_max` has room for.
/// Also says who is named.
pub(crate) fn group_for_all(
    domain: &Domain,
    (pan, group): (PanId, GroupId),
    senders: impl Iterator<Item = (Eui64, SenderId)>,
    octets_max: usize,
    out: &mut RecordBuffer,
) -> (usize, BTreeSet<Eui64>) {
    let (group, pan) = (&domain.groups()[&group], &domain.pans()[&pan]);
    let mut unit = group_unit(pan, domain.founding_pan(), group, None, [MsgId(0); 2]);
    let mut named = BTreeSet::new();
    for (eui64, id) in senders.take(NAMED_SENDERS_MAX) {
        let mut longer = unit.clone();
        if let Some(Message::Spd(spd)) = longer.last_mut() {
            spd.parameters.named_senders.push((id, eui64)).expect("no more than it names");
        }
        if octets_of(&longer) > octets_max {
            break;
        }
        named.insert(eui64);
        unit = longer;
    }
    let octets = amikey::emit_all(&unit, &mut out[..]).expect("a group's keys fit a record");
    (octets, named)
}

/// Places in key trees, a record each.
pub(crate) fn paths(
    paths: Vec<Path>,
    signer: [u8; SIGNER_OCTETS],
    session: &mut Session,
) -> Vec<Vec<Message>> {
    let told = paths
        .into_iter()
        .map(|path| vec![Message::Path(PathTold { msg_id: session.number(), path, signer })]);
    told.collect()
}

/// "You are in these groups no longer": the REQ of a member that wants to leave, in the other direction. It is
/// a record of its own, because a REQ runs to the end of its record, and the first, because a device has
/// room for new groups only when the old ones are gone.
fn leave(session: &mut Session) -> Vec<Vec<Message>> {
    let mut wishes = heapless::Vec::new();
    while let Some(group) = session.owes_leave.pop_first() {
        if wishes.push(Wish { group, role: None }).is_err() {
            session.owes_leave.insert(group); // in the next delivery
            break;
        }
    }
    if wishes.is_empty() {
        return Vec::new();
    }
    let msg_id = session.number();
    vec![vec![Message::Req(Req { msg_id, csb_id: CsbId::NONE, tek_id: None, wishes })]]
}

fn link_key(key: &LinkKey) -> amikey::LinkKey {
    amikey::LinkKey { index: key.index, usage: KeyUsage::EncMic64, key: key.key.clone() }
}

fn group_units(
    domain: &Domain,
    session: &mut Session,
    groups: impl IntoIterator<Item = GroupId>,
) -> Vec<Vec<Message>> {
    let known = groups.into_iter().filter_map(|id| domain.groups().get(&id));
    let (pan, founding) = (&domain.pans()[&session.pan], domain.founding_pan());
    let unit = |group: &Group| {
        // Who comes again as a listener only must not go on under the id it sent with.
        let role = session.granted.get(&group.record.id).filter(|role| role.sends());
        let own = (session.pan, session.eui64);
        let sender_id = role.and_then(|_| group.sender_ids.get(&own).copied());
        let ids = [session.number(), session.number()];
        group_unit(pan, founding, group, sender_id, ids)
    };
    known.map(unit).collect()
}

/// A group's MKD and SPD in a PAN, which travel together.
fn group_unit(
    pan: &Pan,
    founding: &Pan,
    group: &Group,
    sender_id: Option<SenderId>,
    [mkd_id, spd_id]: [MsgId; 2],
) -> Vec<Message> {
    let (record, epoch) = (&group.record, &group.epoch);
    let csb_id = csb_id_in(epoch, &pan.config, &founding.config);
    let mkd = Mkd {
        msg_id: mkd_id,
        csb_id,
        generation: epoch.generation,
        group: record.id,
        tgk: epoch.tgk.clone(),
    };
    let parameters = SpdParameters {
        port: Some(record.port),
        senders: sender_ids().collect(),
        address: Some(group_address(record.id, pan.config.mesh_prefix)),
        ..SpdParameters::default()
    };
    let spd = Spd {
        msg_id: spd_id,
        csb_id,
        tek_id: epoch.tek_id,
        sender_id,
        rand: epoch.rand.clone(),
        // Every new epoch here comes with a new TGK; nobody accepts the old one any longer.
        old_epoch: OldEpoch::Wipe,
        parameters,
    };
    vec![Message::Mkd(mkd), Message::Spd(spd)]
}

/// As few records of at most so many octets as hold the units in order; no unit is split.
fn pack(units: Vec<Vec<Message>>, record_octets: usize) -> Vec<Vec<Message>> {
    let mut records: Vec<Vec<Message>> = Vec::new();
    let mut room = 0;
    for unit in units {
        let octets = octets_of(&unit);
        match records.last_mut() {
            Some(last) if octets <= room && last.len() + unit.len() <= RECORD_MESSAGES_MAX => {
                room -= octets;
                last.extend(unit);
            }
            _ => {
                room = record_octets.saturating_sub(octets);
                records.push(unit);
            }
        }
    }
    records
}

fn octets_of(unit: &[Message]) -> usize {
    let mut buffer = RecordBuffer::new([0; RECORD_OCTETS_MAX]);
    amikey::emit_all(unit, &mut buffer[..]).expect("a group's keys or a configuration fit a record")
}
