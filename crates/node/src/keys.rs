//! The node's keys: from the manager's messages through storage into force, and out again.
//!
//! **Invariant:** a message is acknowledged when its record is stored; a link key that is replaced
//! opens nothing any more (nobody is given a grace: whoever was evicted knows the old key).

use crate::api::{Event, GROUPS_MAX, Kind, Output};
use crate::flash::{Record, RecordKey};
use crate::groups::stored_messages;
use crate::node::{Entering, LaterKey, Node, Unopened};
use alloc::boxed::Box;
use alloc::vec::Vec;
use heapless::Vec as FixedVec;
use lowgate_access::joiner::JoinerInput;
use lowgate_amikey::pairs::Offered;
use lowgate_amikey::tree::{Followed, PathTold, TreeName};
use lowgate_amikey::{
    Activation, Cfg, GroupId, KEYS_MAX, KeyIndex, KeyUsage, LinkKey, Message, Messages, Mkd, Spd,
    TekId,
};
use lowgate_crypto::Sha256;
use lowgate_mac::{FrameCounter, MacEvent, MacInput};
use lowgate_net::{AttachRoot, NetInput};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Eui64, Instant, Ipv6Addr, LinkAddr, ShortAddr};

/// So many frames under an unknown key, and for [`STRANDED_AFTER`] none of the parent's that could be
/// opened, and a node concludes that a change of key passed it by.
const STRANDED_FRAMES: u16 = 3;
/// See [`STRANDED_FRAMES`].
const STRANDED_AFTER: Duration = Duration::from_secs(45);
/// The same if so many were in the name of the parent, the first whom a node follows.
const STRANDED_BY_PARENT_AFTER: Duration = Duration::from_secs(15);
/// For the manager's answer when a node doubts that it is still in the network.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// For the root's word when a later key is in use: it is asked for several times meanwhile.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(30);

impl Unopened {
    /// A frame of the parent's was opened, or there is no key yet.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { count: 0, of_parent: 0, since: now, asked_at: None }
    }

    /// When a node that hears nothing it can open doubts that it is still in the network, or gives up.
    pub(crate) fn due(&self) -> Instant {
        match self.asked_at {
            _ if self.count < STRANDED_FRAMES => Instant::FAR_FUTURE,
            None if self.of_parent >= STRANDED_FRAMES => self.since + STRANDED_BY_PARENT_AFTER,
            None => self.since + STRANDED_AFTER,
            Some(at) => at + ANSWER_WITHIN,
        }
    }
}

impl LaterKey {
    /// The root has spoken, or there is no key yet.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { frames: 0, since: now, is_awaited: false }
    }

    /// When the root's word is to be asked for, or was awaited for too long.
    pub(crate) fn due(&self) -> Instant {
        match self.is_awaited {
            true => self.since + CONFIRMED_WITHIN,
            false if self.frames < STRANDED_FRAMES => Instant::FAR_FUTURE,
            false => self.since + STRANDED_AFTER,
        }
    }
}

/// Groups that one record may say this node is in no longer.
const LEFT_MAX: usize = lowgate_amikey::GROUPS_MAX;
/// Configurations that one record may hold: the network's, and one that stages a key.
const UPDATES_MAX: usize = 4;
/// Paths that fit one record.
const PATHS_MAX: usize = 2;

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

    /// Whether `key` was staged after the one in force.
    pub(crate) fn follows(&self, key: KeyIndex) -> bool {
        let position = |wanted| self.cfg.keys.iter().position(|held| held.index == wanted);
        position(key) > position(self.active)
    }

    pub(crate) const fn manager(&self) -> Option<Ipv6Addr> {
        self.cfg.manager
    }

    /// Whether the configuration has the key, in force or staged.
    pub(crate) fn holds(&self, key: KeyIndex) -> bool {
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
    confirm: Confirm,
    groups: FixedVec<(Mkd, Spd), GROUPS_MAX>,
    left: FixedVec<GroupId, LEFT_MAX>,
    updates: FixedVec<Cfg, UPDATES_MAX>,
    paths: FixedVec<PathTold, PATHS_MAX>,
    /// What was said of keys of pairs.
    pairs: Option<Offered>,
    /// What the flash holds of the network since.
    stored: Option<Cfg>,
}

/// How the manager hears that keys are stored.
pub(crate) enum Confirm {
    /// By the joiner, who gave this ticket.
    Ticket(u32),
    /// They came through a key tree: if this node is a witness of the epoch, by this.
    Followed(Option<Followed>),
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
    /// A border router may begin.
    DodagVersion,
    /// The mesh may build itself anew.
    NextVersion {
        version: u8,
    },
    /// The last record of one batch of key messages.
    Keys(Box<NewKeys>),
    /// A change to this link key, and what the flash holds of the network since.
    Switched(KeyIndex, Box<Cfg>),
    /// All parts of a share, and its name.
    #[cfg_attr(not(feature = "pairs"), expect(dead_code, reason = "nothing is fetched"))]
    PairShare,
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
            Pending::Switched(new, stored) => self.switched(now, new, &stored),
            Pending::DodagVersion => self.begin(now),
            Pending::NextVersion { version } => {
                self.dodag_version = version;
                self.net.handle(now, NetInput::DodagVersionStored { version });
            }
            Pending::PairShare => self.pair_share_stored(now),
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
    pub(crate) fn keys(&mut self, now: Instant, confirm: Confirm, content: &[u8]) {
        let mut groups: FixedVec<(Mkd, Spd), GROUPS_MAX> = FixedVec::new();
        let mut mkds: FixedVec<Mkd, GROUPS_MAX> = FixedVec::new();
        let mut left: FixedVec<GroupId, LEFT_MAX> = FixedVec::new();
        let mut updates: FixedVec<Cfg, UPDATES_MAX> = FixedVec::new();
        let mut paths: FixedVec<PathTold, PATHS_MAX> = FixedVec::new();
        let mut pairs = None;
        for message in Messages::new(content).flatten() {
            // What passes the bounds was not asked for; the manager knows them too.
            match message {
                Message::Mkd(mkd) => drop(mkds.push(mkd)),
                Message::Spd(spd) => {
                    let mkd = mkds.iter().find(|mkd| mkd.csb_id == spd.csb_id).cloned();
                    let mkd = mkd.or_else(|| self.groups.mkd(spd.csb_id));
                    let unit = mkd.and_then(|mkd| match confirm {
                        Confirm::Ticket(_) => Some((mkd, spd)),
                        Confirm::Followed(_) => self.part_of(mkd, spd),
                    });
                    if let Some(unit) = unit {
                        drop(groups.push(unit));
                    }
                }
                Message::Cfg { cfg: Cfg { pairs: Some(offered), .. }, .. } => pairs = Some(offered),
                Message::Cfg { cfg, .. } => {
                    if matches!(confirm, Confirm::Ticket(_)) || self.is_news(&cfg) {
                        drop(updates.push(cfg));
                    }
                }
                // From the manager, role 0 does not ask to leave, it says so.
                Message::Req(req) => {
                    let gone = req.wishes.iter().filter(|wish| wish.role.is_none());
                    for wish in gone {
                        let _ = left.push(wish.group);
                    }
                }
                Message::Path(told) => drop(paths.push(told)),
                Message::Ack { .. } | Message::Err { .. } | Message::Followed(_) => {}
            }
        }
        let mut records: FixedVec<Record, { GROUPS_MAX + 1 }> = FixedVec::new();
        groups.retain(|(mkd, spd)| {
            let messages = (Message::Mkd(mkd.clone()), Message::Spd(spd.clone()));
            let record = Record::group(mkd.group, messages.0, messages.1);
            record.is_some_and(|record| records.push(record).is_ok())
        });
        let mut stored = None;
        if let Some((active, cfg)) = self.network_after(&updates) {
            stored = Some(cfg.clone());
            drop(records.push(Record::Network { active, cfg }));
        }
        let last = records.pop();
        for record in records {
            self.store(record, Pending::Nothing);
        }
        let keys = Box::new(NewKeys { confirm, groups, left, updates, paths, pairs, stored });
        match last {
            Some(record) if planted(Fault::KeysUnstored) => {
                self.store(record, Pending::Nothing);
                self.put_in_force(now, *keys);
            }
            Some(record) => self.store(record, Pending::Keys(keys)),
            None => self.put_in_force(now, *keys),
        }
    }

    /// What the network's configuration will be; `None` if nothing changes, or there is no key.
    fn network_after(&self, updates: &[Cfg]) -> Option<(KeyIndex, Cfg)> {
        let (first, rest) = updates.split_first()?;
        let (mut cfg, active) = match &self.link {
            Some(link) => (link.cfg.clone(), link.active),
            None => (first.clone(), first.keys.first()?.index),
        };
        let rest = if self.link.is_some() { updates } else { rest };
        rest.iter().for_each(|update| merge(&mut cfg, active, update));
        Some((active, cfg))
    }

    fn put_in_force(&mut self, now: Instant, keys: NewKeys) {
        let NewKeys { confirm, groups, left, updates, paths, pairs, stored } = keys;
        left.into_iter().for_each(|id| self.leave_group(now, id));
        for (mkd, spd) in &groups {
            self.install_group(now, mkd, spd, None);
        }
        paths.into_iter().for_each(|told| self.trees.install(told));
        let first = self.link.is_none();
        if first {
            self.pairs_begin_anew();
        }
        pairs.into_iter().for_each(|offered| self.pairs_offered(now, offered));
        updates.into_iter().for_each(|update| self.configure(now, update));
        // The network may have moved on while the flash was busy.
        if let Some(link) = self.link.as_ref().filter(|link| Some(&link.cfg) != stored.as_ref()) {
            let record = Record::Network { active: link.active, cfg: link.cfg.clone() };
            self.store(record, Pending::Nothing);
        }
        // The acknowledgement leaves by the way that the messages came, before the way changes.
        match confirm {
            Confirm::Ticket(ticket) => self.joiner.handle(now, JoinerInput::Stored { ticket }),
            Confirm::Followed(Some(followed)) => {
                self.trees.stored(now, followed, &mut self.prng);
            }
            Confirm::Followed(None) => {}
        }
        if let Some(link) = self.link.as_ref().filter(|_| first) {
            self.entering = Some(Entering { hint: link.hint });
        }
    }

    fn install_group(&mut self, now: Instant, mkd: &Mkd, spd: &Spd, reserved: Option<u64>) {
        let before = self.groups.by_id(mkd.group).map(|group| group.epoch);
        match self.groups.install(mkd, spd, reserved) {
            Ok(group) => {
                let (addr, port, epoch) = (group.address, group.port, group.epoch);
                // A border router commands groups and obeys none.
                if self.config.kind != Kind::BorderRouter {
                    self.net.handle(now, NetInput::JoinGroup { addr, port });
                }
                if before != Some(epoch) {
                    self.keys_doubted.settle();
                    self.event(Event::GroupKeyed { group: mkd.group, epoch: epoch.raw() });
                }
                self.reserve_sequences(mkd.group);
            }
            Err(fault) => self.event(Event::GroupRefused { group: mkd.group, fault }),
        }
    }

    /// Its keys are void, whether storage still holds them or not: those who stay have others.
    fn leave_group(&mut self, now: Instant, id: GroupId) {
        self.push(Output::Erase(RecordKey::Group(id)));
        self.push(Output::Erase(RecordKey::GroupSequence(id)));
        self.trees.forget(TreeName::Group(id));
        let Some(group) = self.groups.forget(id) else { return };
        let (addr, port) = (group.address, group.port);
        self.net.handle(now, NetInput::LeaveGroup { addr, port });
        self.event(Event::GroupLeft(id));
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

    fn configure(&mut self, now: Instant, update: Cfg) {
        let floor = FrameCounter(update.counter_floor.unwrap_or(0));
        let Some(link) = self.link.as_mut() else {
            let Some(active) = update.keys.first().map(|key| key.index) else {
                return; // a configuration without key configures nothing
            };
            update.keys.iter().for_each(|key| self.install_key(now, key, floor));
            self.relay.set_rate(now, update.join_rate.unwrap_or(0));
            self.link = Some(Link { cfg: update, active, hint: self.joiner.relay() });
            return self.enter_network(now, active);
        };
        let before: FixedVec<KeyIndex, KEYS_MAX> =
            link.cfg.keys.iter().map(|key| key.index).collect();
        merge(&mut link.cfg, link.active, &update);
        let superseded: FixedVec<KeyIndex, KEYS_MAX> =
            before.into_iter().filter(|index| !link.holds(*index)).collect();
        let rate = link.cfg.join_rate.unwrap_or(0);
        let wanted = update.keys.last().map(|key| key.index);
        let at_once = match update.activation {
            Activation::Switch { .. } => true,
            Activation::ByRole => self.config.kind == Kind::BorderRouter,
            Activation::Stage => false,
        };
        let follow = wanted.filter(|wanted| at_once && link.follows(*wanted));
        let keys: FixedVec<LinkKey, KEYS_MAX> =
            update.keys.into_iter().filter(|key| link.holds(key.index)).collect();
        self.relay.set_rate(now, rate);
        self.retire(now, superseded);
        keys.iter().for_each(|key| self.install_key(now, key, floor));
        if let Some(follow) = follow {
            self.switch_to(follow);
        }
    }

    /// What made room for newer keys is used by nobody.
    fn retire(&mut self, now: Instant, superseded: FixedVec<KeyIndex, KEYS_MAX>) {
        for index in superseded {
            if let Some(index) = mac_index(index) {
                self.mac.handle(now, MacInput::RetireKey { index });
            }
            self.push(Output::Erase(RecordKey::FrameCounter(index)));
        }
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
        self.unopened = Unopened::new(now);
        self.later_key = LaterKey::new(now);
        let (pan_id, short) = (link.cfg.pan_id, link.cfg.short);
        let channel = self.channel();
        self.mac.handle(now, MacInput::SetNetwork { channel, pan_id, short });
        if let Some(index) = mac_index(active) {
            self.mac.handle(now, MacInput::ActivateKey { index });
        }
    }

    /// A frame was opened: the network is there; and if the key is a staged one, its time has come.
    pub(crate) fn opened(&mut self, now: Instant, src: LinkAddr, index: lowgate_mac::KeyIndex) {
        // Those whom a change of key passed by open each other's frames, and their radios acknowledge what
        // they cannot open: only the frames that come down from the root show that this is the network.
        let parent = self.net.parent().map(LinkAddr::Extended);
        if self.net.is_attached() && parent == Some(src) {
            self.unopened = Unopened::new(now);
        }
        let Some(key) = KeyIndex::new(index.raw()) else { return };
        if let LinkAddr::Extended(src) = src {
            self.event(Event::FrameOpened { src, key });
        }
        // RFC 9031 section 8.4.3.2: a node follows when it hears a frame under the new key.
        let follows = self.link.as_ref().is_some_and(|link| link.follows(key));
        if follows && !planted(Fault::SwitchIgnored) {
            self.switch_to(key);
        }
    }

    /// Has `new` put in force, once storage holds that it is: a power cut must not bring the key before it
    /// back, which whoever was expelled has.
    fn switch_to(&mut self, new: KeyIndex) {
        let under_way =
            |pending: &(u32, Pending)| matches!(pending.1, Pending::Switched(to, _) if to == new);
        let Some(link) = self.link.as_ref().filter(|_| !self.pending.iter().any(under_way)) else {
            return;
        };
        let mut cfg = link.cfg.clone();
        let _ = retire_before(&mut cfg, new);
        let pending = Pending::Switched(new, Box::new(cfg.clone()));
        self.store(Record::Network { active: new, cfg }, pending);
    }

    /// Seals with `new` from now on. The keys before it are gone; those staged after it stay.
    fn switched(&mut self, now: Instant, new: KeyIndex, stored: &Cfg) {
        let Some(link) = self.link.as_mut().filter(|link| link.follows(new)) else { return };
        let retired = retire_before(&mut link.cfg, new);
        link.active = new;
        self.later_key = LaterKey::new(now);
        // The manager may have said more while the flash was busy.
        let outdated =
            (link.cfg != *stored).then(|| Record::Network { active: new, cfg: link.cfg.clone() });
        if let Some(record) = outdated {
            self.store(record, Pending::Nothing);
        }
        if let Some(index) = mac_index(new) {
            self.mac.handle(now, MacInput::ActivateKey { index });
        }
        for index in retired.iter().filter_map(|index| mac_index(*index)) {
            if !planted(Fault::OldKeyKept) {
                self.mac.handle(now, MacInput::RetireKey { index });
            }
        }
        // The flash says that they are history: their counters are no longer needed.
        for index in retired {
            self.push(Output::Erase(RecordKey::FrameCounter(index)));
        }
        self.net.handle(now, NetInput::Announce);
        self.event(Event::LinkKeySwitched(new));
    }

    pub(crate) fn mac_event(&mut self, event: MacEvent) {
        // The root hears no answer of a mesh that it is the root of; its session tells it.
        let may_doubt = self.link.is_some() && self.config.kind != Kind::BorderRouter;
        if let (MacEvent::UnknownKey { src, index }, true) = (event, may_doubt) {
            let active = self.link.as_ref().map(|link| link.active);
            let is_later =
                KeyIndex::new(index.raw()).zip(active).is_some_and(|(it, ours)| it.is_after(ours));
            self.later_key.frames = self.later_key.frames.saturating_add(u16::from(is_later));
            let of_parent = u16::from(self.net.parent() == Some(src));
            self.unopened.count = self.unopened.count.saturating_add(1);
            self.unopened.of_parent = self.unopened.of_parent.saturating_add(of_parent);
        }
        self.event(Event::Mac(event));
    }

    /// Others seem to use a key that this node does not have. Anybody can send such frames, so the network
    /// is asked: if it is still there, its answer is a frame that opens.
    pub(crate) fn doubt_if_due(&mut self, now: Instant) {
        if now >= self.later_key.due() {
            self.doubt_key(now);
        }
        if now < self.unopened.due() {
            return;
        }
        if self.unopened.asked_at.is_some() {
            return self.leave(now);
        }
        self.unopened.asked_at = Some(now);
        self.greet_manager(now);
        self.net.handle(now, NetInput::AskRoot);
    }

    /// A later key is in use, whatever the parent says.
    fn doubt_key(&mut self, now: Instant) {
        let LaterKey { since, is_awaited, .. } = self.later_key;
        let confirmed = self.net.confirmed_at().is_some_and(|at| at >= since);
        match (is_awaited, confirmed) {
            (true, false) => self.leave(now),
            (true, true) => self.later_key = LaterKey::new(now),
            (false, _) => {
                self.later_key = LaterKey { is_awaited: true, ..LaterKey::new(now) };
                self.net.handle(now, NetInput::AskRoot);
            }
        }
    }

    /// A change of key passed this node by: only its own credential can bring it back.
    fn leave(&mut self, now: Instant) {
        self.event(Event::Stranded);
        self.link = None;
        self.entering = None;
        let of_network =
            |pending: &Pending| matches!(pending, Pending::Keys(_) | Pending::Switched(..));
        self.pending.retain(|(_, pending)| !of_network(pending));
        // The counters stay: the manager may give the same key again.
        self.push(Output::Erase(RecordKey::Network));
        let groups: Vec<GroupId> = self.groups.iter().map(|group| group.id).collect();
        for group in groups {
            self.push(Output::Erase(RecordKey::Group(group)));
        }
        self.groups.clear();
        self.trees.clear();
        self.mac.handle(now, MacInput::ForgetAll);
        self.net.handle(now, NetInput::Detach);
        self.relay.set_rate(now, 0);
        self.unopened = Unopened::new(now);
        self.later_key = LaterKey::new(now);
        self.joiner.handle(now, JoinerInput::Detached);
        self.joiner.handle(now, JoinerInput::Start);
    }

    pub(crate) fn attach_root(&mut self, now: Instant, short: ShortAddr) {
        if let Some(prefix) = self.link.as_ref().and_then(|link| link.cfg.prefix) {
            let root = AttachRoot { short, prefix, version: self.dodag_version };
            self.net.handle(now, NetInput::AttachRoot(root));
        }
    }

    /// Puts back what storage held at boot.
    pub(crate) fn restore(&mut self, now: Instant, records: &[Record]) {
        let live = records.iter().find_map(|record| match record {
            Record::Network { cfg, .. } => Some(&cfg.keys[..]),
            _ => None,
        });
        let is_live = |index| live.unwrap_or(&[]).iter().any(|key| key.index == index);
        // The table forgets what was noted first: the counters of keys in use come last.
        for in_use in [false, true] {
            for record in records {
                let Record::FrameCounter { index, below } = record else { continue };
                if is_live(*index) == in_use {
                    let below = if planted(Fault::CounterRepeats) { 0 } else { *below };
                    self.note_floor(*index, FrameCounter(below));
                }
            }
        }
        for record in records {
            let Record::Network { active, cfg } = record else { continue };
            for key in &cfg.keys {
                self.install_key(now, key, FrameCounter(cfg.counter_floor.unwrap_or(0)));
            }
            self.link = Some(Link { cfg: cfg.clone(), active: *active, hint: None });
            self.relay.set_rate(now, cfg.join_rate.unwrap_or(0));
        }
        for record in records {
            let Record::Group { messages, .. } = record else { continue };
            let Some((mkd, spd)) = stored_messages(messages) else { continue };
            let reserved = records.iter().find_map(|record| match record {
                Record::GroupSequence { group, epoch, below }
                    if *group == mkd.group
                        && *epoch == spd.tek_id
                        && !planted(Fault::GroupSequenceRepeats) =>
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

/// Brings an update in: what it does not mention stays. Keys that came before the active one are over and
/// do not come back; a key that is held keeps its place.
fn merge(cfg: &mut Cfg, active: KeyIndex, update: &Cfg) {
    for key in &update.keys {
        if let Some(held) = cfg.keys.iter_mut().find(|held| held.index == key.index) {
            *held = key.clone();
        } else if !is_before(key.index, active) {
            if cfg.keys.is_full() {
                // The active key is never the last one of a full set.
                cfg.keys.pop();
            }
            drop(cfg.keys.push(key.clone()));
        }
    }
    cfg.short = update.short.or(cfg.short);
    cfg.lease_hours = update.lease_hours.or(cfg.lease_hours);
    cfg.manager = update.manager.or(cfg.manager);
    cfg.join_rate = update.join_rate.or(cfg.join_rate);
    cfg.counter_floor = update.counter_floor.or(cfg.counter_floor);
    cfg.pan_id = update.pan_id.or(cfg.pan_id);
    cfg.channel = update.channel.or(cfg.channel);
    cfg.prefix = update.prefix.or(cfg.prefix);
    cfg.activation = update.activation;
}

/// Takes the keys before `active` out; which they were.
fn retire_before(cfg: &mut Cfg, active: KeyIndex) -> FixedVec<KeyIndex, KEYS_MAX> {
    let at = cfg.keys.iter().position(|key| key.index == active).unwrap_or(0);
    let retired = cfg.keys[..at].iter().map(|key| key.index).collect();
    cfg.keys = cfg.keys[at..].iter().cloned().collect();
    retired
}

/// Whether a key index was given before another: they count 1 to 254 and begin again.
fn is_before(index: KeyIndex, other: KeyIndex) -> bool {
    const INDICES: u16 = 254;
    let ahead = (INDICES + u16::from(index.raw()) - u16::from(other.raw())) % INDICES;
    ahead > INDICES / 2
}

fn mac_index(index: KeyIndex) -> Option<lowgate_mac::KeyIndex> {
    lowgate_mac::KeyIndex::new(index.raw())
}
