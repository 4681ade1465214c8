//! The node's keys: from the manager's messages through storage into force, and out again.
//!
//! **Invariant:** a message is acknowledged when its record is stored; a link key that is replaced
//! opens nothing any more (nobody is given a grace: whoever was evicted knows the old key).

use crate::api::{Event, GROUPS_MAX, Kind, Output};
use crate::flash::{Record, RecordKey};
use crate::groups::stored_messages;
use crate::node::{Entering, Node};
use alloc::boxed::Box;
use heapless::Vec as FixedVec;
use lowgate_access::joiner::JoinerInput;
use lowgate_amikey::{
    Activation, Cfg, GroupId, KeyIndex, KeyUsage, LinkKey, Message, Messages, Mkd, Spd, TekId,
};
use lowgate_crypto::Sha256;
use lowgate_mac::{FrameCounter, MacEvent, MacInput};
use lowgate_net::{AttachRoot, NetInput};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Instant, Ipv6Addr, LinkAddr, ShortAddr};

/// So many frames under an unknown key, and none that could be opened for [`STRANDED_AFTER`], and a
/// node concludes that a change of key passed it by.
const STRANDED_FRAMES: u16 = 8;
/// See [`STRANDED_FRAMES`].
const STRANDED_AFTER: Duration = Duration::from_secs(45);
/// Keys whose counters are remembered: those a network uses at a time, and those before.
pub(crate) const FLOORS_MAX: usize = 8;
/// The version a DODAG begins with (RFC 6550 section 7.2).
const DODAG_VERSION_FIRST: u8 = 240;

/// The configuration in force.
pub(crate) struct Link {
    pub(crate) cfg: Cfg,
    pub(crate) active: KeyIndex,
    /// The relay that carried the join, a first parent.
    pub(crate) hint: Option<Eui64>,
}

impl Link {
    pub(crate) fn join_open(&self) -> bool {
        self.cfg.join_rate.is_some_and(|rate| rate > 0)
    }

    pub(crate) const fn manager(&self) -> Option<Ipv6Addr> {
        self.cfg.manager
    }

    /// Whether the configuration has the key, in force or staged.
    fn holds(&self, key: KeyIndex) -> bool {
        self.cfg.keys.iter().any(|held| held.index == key)
    }

    /// The first octets of a hash over the PAN's manager: what beacons tell domains apart by.
    pub(crate) fn domain_hint(&self) -> [u8; 4] {
        let manager = self.cfg.manager.map_or([0; 16], |manager| manager.octets());
        let [a, b, c, d, ..] = Sha256::of(&manager);
        [a, b, c, d]
    }
}

/// Messages of one record, stored and about to be put in force.
pub(crate) struct NewKeys {
    /// The joiner's, to confirm them with.
    ticket: u32,
    groups: FixedVec<(Mkd, Spd), GROUPS_MAX>,
    cfg: Option<Cfg>,
}

/// What follows when storage confirms a ticket.
pub(crate) enum Pending {
    FrameCounter {
        index: KeyIndex,
        below: FrameCounter,
    },
    MplSequence {
        through: u8,
    },
    GroupSequence {
        group: GroupId,
        epoch: TekId,
        below: u64,
    },
    /// The last record of one batch of key messages.
    Keys(Box<NewKeys>),
    /// Nothing.
    Nothing,
}

impl Node {
    /// Storage writes in order, so the last ticket of a batch confirms the batch.
    pub(crate) fn store(&mut self, record: Record, pending: Pending) {
        let ticket = self.next_ticket;
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.pending.push((ticket, pending));
        self.push(Output::Store { ticket, record });
    }

    pub(crate) fn stored(&mut self, now: Instant, ticket: u32) {
        let Some(at) = self.pending.iter().position(|(known, _)| *known == ticket) else {
            return; // asked for before a restart
        };
        match self.pending.remove(at).1 {
            Pending::FrameCounter { index, below } => {
                if let Some(index) = mac_index(index) {
                    self.mac.handle(now, MacInput::CounterReserved { index, below });
                }
            }
            Pending::MplSequence { through } => {
                self.net.handle(now, NetInput::MplSequenceStored { through });
            }
            Pending::GroupSequence { group, epoch, below } => {
                if let Some(group) = self.groups.by_id(group) {
                    group.reserved(epoch, below);
                }
            }
            Pending::Keys(keys) => self.put_in_force(now, *keys),
            Pending::Nothing => {}
        }
    }

    pub(crate) fn reserve_counter(&mut self, index: lowgate_mac::KeyIndex, below: FrameCounter) {
        let index = KeyIndex::new(index.raw()).expect("only such keys are installed");
        self.note_floor(index, below);
        let record = Record::FrameCounter { index, below: below.0 };
        self.store(record, Pending::FrameCounter { index, below });
    }

    /// One record of messages from the manager, all of which parse.
    pub(crate) fn keys(&mut self, ticket: u32, content: &[u8]) {
        let mut groups: FixedVec<(Mkd, Spd), GROUPS_MAX> = FixedVec::new();
        let mut mkds: FixedVec<Mkd, GROUPS_MAX> = FixedVec::new();
        let mut cfg = self.link.as_ref().map(|link| link.cfg.clone());
        let mut configured = false;
        for message in Messages::new(content).flatten() {
            match message {
                // More groups than were asked for are not stored, and not acknowledged either.
                Message::Mkd(mkd) => drop(mkds.push(mkd)),
                Message::Spd(spd) => {
                    let mkd = mkds.iter().find(|mkd| mkd.csb_id == spd.csb_id).cloned();
                    if let Some(mkd) = mkd.or_else(|| self.groups.mkd(spd.csb_id)) {
                        drop(groups.push((mkd, spd)));
                    }
                }
                Message::Cfg { cfg: update, .. } => {
                    cfg = Some(merge(cfg, update));
                    configured = true;
                }
                Message::Ack { .. } | Message::Req(_) | Message::Err { .. } => {}
            }
        }
        for (mkd, spd) in &groups {
            let (mkd_message, spd_message) = (Message::Mkd(mkd.clone()), Message::Spd(spd.clone()));
            if let Some(record) = Record::group(mkd.group, mkd_message, spd_message) {
                self.store(record, Pending::Nothing);
            }
        }
        let merged = cfg.filter(|_| configured);
        let record = match (&merged, &self.link) {
            (Some(cfg), link) => {
                let first = cfg.keys.first().map(|key| key.index);
                let active = link.as_ref().map(|link| link.active).or(first);
                active.map(|active| Record::Network { active, cfg: cfg.clone() })
            }
            (None, _) => None,
        };
        let pending = Pending::Keys(Box::new(NewKeys { ticket, groups, cfg: merged }));
        match record {
            Some(record) => self.store(record, pending),
            // Nothing but groups: the write of an empty batch would confirm them as well, but the
            // last group's own record does.
            None => self.confirm_with_last(pending),
        }
    }

    /// Hangs `pending` on the ticket that was given last.
    fn confirm_with_last(&mut self, pending: Pending) {
        if let Some((_, last @ Pending::Nothing)) = self.pending.last_mut() {
            *last = pending;
        }
    }

    fn put_in_force(&mut self, now: Instant, keys: NewKeys) {
        let NewKeys { ticket, groups, cfg } = keys;
        for (mkd, spd) in &groups {
            self.install_group(now, mkd, spd, None);
        }
        let first = cfg.is_some() && self.link.is_none();
        if let Some(cfg) = cfg {
            self.configure(now, cfg);
        }
        // The acknowledgement leaves by the way that the messages came, before the way changes.
        self.joiner.handle(now, JoinerInput::Stored { ticket });
        if first {
            let hint = self.link.as_ref().and_then(|link| link.hint);
            self.entering = Some(Entering { hint });
        }
    }

    fn install_group(&mut self, now: Instant, mkd: &Mkd, spd: &Spd, reserved: Option<u64>) {
        let before = self.groups.by_id(mkd.group).map(|group| group.epoch);
        match self.groups.install(mkd, spd, reserved) {
            Ok(group) => {
                let (addr, port, epoch) = (group.address, group.port, group.epoch);
                self.net.handle(now, NetInput::JoinGroup { addr, port });
                if before != Some(epoch) {
                    self.event(Event::GroupKeyed { group: mkd.group, epoch: epoch.raw() });
                }
                self.reserve_sequences(mkd.group);
            }
            Err(fault) => self.event(Event::GroupRefused { group: mkd.group, fault }),
        }
    }

    /// Has storage reserve numbers when few are left.
    pub(crate) fn reserve_sequences(&mut self, id: GroupId) {
        let Some(group) = self.groups.by_id(id) else {
            return;
        };
        if let Some(below) = group.reservation_due() {
            let epoch = group.epoch;
            let record = Record::GroupSequence { group: id, epoch, below };
            self.store(record, Pending::GroupSequence { group: id, epoch, below });
        }
    }

    fn configure(&mut self, now: Instant, cfg: Cfg) {
        let hint = self.joiner.relay();
        self.relay.set_rate(now, cfg.join_rate.unwrap_or(0));
        for key in &cfg.keys {
            let floor = FrameCounter(cfg.counter_floor.unwrap_or(0));
            self.install_key(now, key, floor);
        }
        match self.link.as_mut() {
            None => {
                let Some(active) = cfg.keys.first().map(|key| key.index) else {
                    return; // a configuration without key configures nothing
                };
                self.link = Some(Link { cfg, active, hint });
                self.enter_network(now, active);
            }
            Some(link) => {
                let newest = cfg.keys.last().map(|key| key.index);
                let at_once = match cfg.activation {
                    Activation::Switch { .. } => true,
                    Activation::ByRole => self.config.kind == Kind::BorderRouter,
                    Activation::Stage => false,
                };
                link.cfg = cfg;
                if let Some(newest) = newest.filter(|newest| at_once && *newest != link.active) {
                    self.switch_to(now, newest);
                }
            }
        }
    }

    /// Remembers the first counter not reserved under a key, for when the key comes back.
    fn note_floor(&mut self, index: KeyIndex, below: FrameCounter) {
        self.floors.retain(|(known, _)| *known != index);
        if self.floors.is_full() {
            self.floors.remove(0);
        }
        self.floors.push((index, below)).expect("room was made");
    }

    fn install_key(&mut self, now: Instant, key: &LinkKey, told: FrameCounter) {
        // The network runs level 6; another usage is another network's.
        if let (Some(index), KeyUsage::EncMic64) = (mac_index(key.index), key.usage) {
            let own = self.floors.iter().find(|(known, _)| *known == key.index);
            let counter_floor = own.map_or(told, |(_, below)| told.max(*below));
            let key = key.key.clone();
            self.mac.handle(now, MacInput::InstallKey { index, key, counter_floor });
        }
    }

    fn enter_network(&mut self, now: Instant, active: KeyIndex) {
        let Some(link) = &self.link else { return };
        let (pan_id, short) = (link.cfg.pan_id, link.cfg.short);
        let channel = self.channel();
        self.mac.handle(now, MacInput::SetNetwork { channel, pan_id, short });
        if let Some(index) = mac_index(active) {
            self.mac.handle(now, MacInput::ActivateKey { index });
        }
    }

    /// A frame was opened: the network is there; and if the key is a staged one, its time has come.
    pub(crate) fn opened(&mut self, now: Instant, src: LinkAddr, index: lowgate_mac::KeyIndex) {
        self.unopened.count = 0;
        self.unopened.since = now;
        let Some(key) = KeyIndex::new(index.raw()) else { return };
        if let LinkAddr::Extended(src) = src {
            self.event(Event::FrameOpened { src, key });
        }
        // RFC 9031 section 8.4.3.2: a node follows when it hears a frame under the new key.
        if self.link.as_ref().is_some_and(|link| link.active != key && link.holds(key)) {
            self.switch_to(now, key);
        }
    }

    fn switch_to(&mut self, now: Instant, new: KeyIndex) {
        let Some(link) = self.link.as_mut() else { return };
        let (retired, kept): (FixedVec<LinkKey, 4>, FixedVec<LinkKey, 4>) = (
            link.cfg.keys.iter().filter(|key| key.index != new).cloned().collect(),
            link.cfg.keys.iter().filter(|key| key.index == new).cloned().collect(),
        );
        link.active = new;
        link.cfg.keys = kept;
        let record = Record::Network { active: new, cfg: link.cfg.clone() };
        if let Some(index) = mac_index(new) {
            self.mac.handle(now, MacInput::ActivateKey { index });
        }
        self.store(record, Pending::Nothing);
        for key in retired {
            if let Some(index) = mac_index(key.index).filter(|_| !planted(Fault::OldKeyKept)) {
                self.mac.handle(now, MacInput::RetireKey { index });
            }
            self.push(Output::Erase(RecordKey::FrameCounter(key.index)));
        }
        self.net.handle(now, NetInput::Announce);
        self.event(Event::LinkKeySwitched(new));
    }

    pub(crate) fn mac_event(&mut self, now: Instant, event: MacEvent) {
        if matches!(event, MacEvent::UnknownKey { .. }) && self.link.is_some() {
            self.unopened.count = self.unopened.count.saturating_add(1);
            let alone = now - self.unopened.since >= STRANDED_AFTER;
            if self.unopened.count >= STRANDED_FRAMES && alone {
                self.leave(now);
            }
        }
        self.event(Event::Mac(event));
    }

    /// A change of key passed this node by: only its own credential can bring it back.
    fn leave(&mut self, now: Instant) {
        self.event(Event::Stranded);
        self.link = None;
        self.entering = None;
        self.groups.clear();
        // The counters stay: the manager may give the same key again.
        self.push(Output::Erase(RecordKey::Network));
        self.mac.handle(now, MacInput::ForgetAll);
        self.net.handle(now, NetInput::Detach);
        self.relay.set_rate(now, 0);
        self.unopened.count = 0;
        self.joiner.handle(now, JoinerInput::Detached);
        self.joiner.handle(now, JoinerInput::Start);
    }

    pub(crate) fn attach_root(&mut self, now: Instant, short: ShortAddr) {
        if let Some(prefix) = self.link.as_ref().and_then(|link| link.cfg.prefix) {
            let root = AttachRoot { short, prefix, version: DODAG_VERSION_FIRST };
            self.net.handle(now, NetInput::AttachRoot(root));
        }
    }

    /// Puts back what storage held at boot.
    pub(crate) fn restore(&mut self, now: Instant, records: &[Record]) {
        for record in records {
            let Record::FrameCounter { index, below } = record else { continue };
            let below = if planted(Fault::CounterRepeats) { 0 } else { *below };
            self.note_floor(*index, FrameCounter(below));
        }
        for record in records {
            let Record::Network { active, cfg } = record else { continue };
            for key in &cfg.keys {
                self.install_key(now, key, FrameCounter(0));
            }
            self.link = Some(Link { cfg: cfg.clone(), active: *active, hint: None });
            self.relay.set_rate(now, cfg.join_rate.unwrap_or(0));
        }
        for record in records {
            let Record::Group { messages, .. } = record else { continue };
            let Some((mkd, spd)) = stored_messages(messages) else { continue };
            let reserved = records.iter().find_map(|record| match record {
                Record::GroupSequence { group, epoch, below }
                    if *group == mkd.group && *epoch == spd.tek_id =>
                {
                    Some(*below)
                }
                _ => None,
            });
            self.install_group(now, &mkd, &spd, reserved);
        }
    }

    /// Goes on with stored keys: into the mesh first, then a new session by the direct way.
    pub(crate) fn resume(&mut self, now: Instant) {
        if let Some(active) = self.link.as_ref().map(|link| link.active) {
            self.enter_network(now, active);
            self.entering = Some(Entering { hint: None });
        }
        if self.config.kind == Kind::BorderRouter {
            self.joiner.handle(now, JoinerInput::StartDirect);
        }
    }
}

/// The configuration after an update: what the update does not mention stays; keys add up.
fn merge(old: Option<Cfg>, update: Cfg) -> Cfg {
    let Some(mut merged) = old else { return update };
    for key in update.keys {
        merged.keys.retain(|known| known.index != key.index);
        if merged.keys.is_full() {
            merged.keys.remove(0);
        }
        merged.keys.push(key).expect("room was made");
    }
    merged.short = update.short.or(merged.short);
    merged.lease_hours = update.lease_hours.or(merged.lease_hours);
    merged.manager = update.manager.or(merged.manager);
    merged.join_rate = update.join_rate.or(merged.join_rate);
    merged.counter_floor = update.counter_floor.or(merged.counter_floor);
    merged.pan_id = update.pan_id.or(merged.pan_id);
    merged.channel = update.channel.or(merged.channel);
    merged.prefix = update.prefix.or(merged.prefix);
    merged.activation = update.activation;
    merged
}

fn mac_index(index: KeyIndex) -> Option<lowgate_mac::KeyIndex> {
    lowgate_mac::KeyIndex::new(index.raw())
}
