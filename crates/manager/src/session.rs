//! One device's session, and what is on its way to the device.
//!
//! **Invariant:** one record of key messages is out at a time, so that a message number is never
//! overtaken by a higher one; a number belongs to one message for good.

use crate::interface::Lacks;
use crate::messages::RECORD_OCTETS_MAX;
use lowgate_amikey::tree::TreeName;
use lowgate_amikey::{GroupId, KeyIndex, Message, MsgId, Role, TekId};
use lowgate_coap::ObserverId;
use lowgate_dtls::RetransmissionTimer;
use lowgate_units::{Eui64, Instant, PanId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An authenticated and authorized session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) eui64: Eui64,
    /// The PAN that the device is in.
    pub(crate) pan: PanId,
    /// The groups it is in.
    pub(crate) granted: BTreeMap<GroupId, Role>,
    pub(crate) stage: Stage,
    /// How its key messages go.
    pub(crate) carrier: Carrier,
    /// Groups whose keys changed since this session was last told.
    pub(crate) owes_groups: BTreeSet<GroupId>,
    /// Groups that it may believe to be in, and is not.
    pub(crate) owes_leave: BTreeSet<GroupId>,
    /// Key trees in which it has a place that it was not told.
    pub(crate) owes_paths: BTreeSet<TreeName>,
    /// Those whose paths it did not confirm in time.
    pub(crate) missed_paths: BTreeSet<TreeName>,
    /// Whether it can verify what key trees tell.
    pub(crate) follows_trees: bool,
    /// Groups whose keys it did not confirm in time: told again when it is heard.
    pub(crate) missed_groups: BTreeSet<GroupId>,
    /// Whether it can have a share of the polynomial.
    pub(crate) follows_pairs: bool,
    /// Whether it was not told which polynomial is in force, or who was lost,
    pub(crate) owes_pairs: bool,
    /// or did not confirm in time that it was.
    pub(crate) missed_pairs: bool,
    /// What is to be told of link-layer keys.
    pub(crate) owes_key: Owed,
    /// Number of the next key message.
    pub(crate) msg_id_next: MsgId,
}

/// What a notification has beside its payload: header, token, Observe, Content-Format, marker.
const COAP_OCTETS_MAX: usize = 4 + 8 + 4 + 2 + 1;

/// How key messages go to a device and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// In records of their own, after extension 0xFF40.
    Records,
    /// As CoAP.
    Coap {
        /// Who is told; `None`: nobody yet, or no more.
        observer: Option<ObserverId>,
    },
}

impl Carrier {
    pub(crate) const fn is_coap(self) -> bool {
        matches!(self, Self::Coap { .. })
    }

    /// Another is told from now on; who was before.
    pub(crate) const fn observed_by(&mut self, by: ObserverId) -> Option<ObserverId> {
        match self {
            Self::Coap { observer } => observer.replace(by),
            Self::Records => None,
        }
    }

    /// Octets of key messages in one record, or in one notification.
    pub(crate) const fn record_octets(self) -> usize {
        match self {
            Self::Records => RECORD_OCTETS_MAX,
            Self::Coap { .. } => RECORD_OCTETS_MAX - COAP_OCTETS_MAX,
        }
    }
}

/// What a session still has to hear of link-layer keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owed {
    Nothing,
    /// The key to come.
    Key,
    /// That the key which was to come when its join was sent is in force.
    Switch,
}

/// Where a session stands.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Keys leave once the admission is stored and the border router knows of it.
    Admitting,
    /// Messages are out.
    Delivering(Delivery),
    /// It confirmed its keys; nothing is out.
    Settled,
}

/// What a delivery is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Everything a newcomer needs.
    Join,
    /// What changed since.
    Update,
    /// A border router is to send with the staged key.
    Switch,
}

/// Records on their way to one device, one at a time.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) purpose: Purpose,
    /// The first is out.
    records: VecDeque<Record>,
    /// The staged key among the messages.
    pub(crate) carries: Option<KeyIndex>,
    /// The epochs of groups among the messages.
    pub(crate) epochs: Vec<(GroupId, TekId)>,
    /// The paths among the messages, and for which epochs they are.
    pub(crate) paths: Vec<(TreeName, u32)>,
    /// Whether the polynomial in force is among them.
    pub(crate) pairs: bool,
    pub(crate) started: Instant,
    pub(crate) timer: RetransmissionTimer,
}

/// The messages of one record, and which of them are not confirmed.
#[derive(Debug)]
struct Record {
    messages: Vec<Message>,
    open: BTreeSet<MsgId>,
}

impl Session {
    /// Whether the device confirmed the keys of its join.
    pub(crate) const fn is_member(&self) -> bool {
        match &self.stage {
            Stage::Settled => true,
            Stage::Delivering(delivery) => !matches!(delivery.purpose, Purpose::Join),
            Stage::Admitting => false,
        }
    }

    /// What is on its way to the device.
    pub(crate) const fn delivery(&self) -> Option<&Delivery> {
        match &self.stage {
            Stage::Delivering(delivery) => Some(delivery),
            Stage::Admitting | Stage::Settled => None,
        }
    }

    /// Whether something changed that the device was not told.
    pub(crate) fn owes(&self) -> bool {
        self.owes_key != Owed::Nothing
            || !self.owes_groups.is_empty()
            || !self.owes_leave.is_empty()
            || !self.owes_paths.is_empty()
            || self.owes_pairs
    }

    /// The device is heard: what it missed is to be told again.
    pub(crate) fn heard(&mut self) {
        self.owes_groups.append(&mut self.missed_groups);
        self.owes_paths.append(&mut self.missed_paths);
        self.owes_pairs |= std::mem::take(&mut self.missed_pairs);
    }

    /// The device is in one more group.
    pub(crate) fn enters(&mut self, group: GroupId, role: Role) {
        self.granted.insert(group, role);
        self.owes_groups.insert(group);
        self.owes_leave.remove(&group);
    }

    /// The device is in one group less.
    pub(crate) fn leaves(&mut self, group: GroupId) {
        self.granted.remove(&group);
        self.owes_groups.remove(&group);
        self.missed_groups.remove(&group);
        self.owes_leave.insert(group);
    }

    /// The number for the next message.
    pub(crate) const fn number(&mut self) -> MsgId {
        let number = self.msg_id_next;
        self.msg_id_next = number.next();
        number
    }
}

impl Delivery {
    /// Messages packed into records by `pack`; nothing has left.
    pub(crate) fn new(
        now: Instant,
        purpose: Purpose,
        records: Vec<Vec<Message>>,
        carries: Option<KeyIndex>,
        timer: RetransmissionTimer,
    ) -> Self {
        let epochs = records.iter().flat_map(|messages| epochs_of(messages)).collect();
        let paths = records.iter().flatten().filter_map(path_of).collect();
        let pairs = records.iter().flatten().any(tells_pairs);
        let records = records.into_iter().map(|messages| {
            let open = messages.iter().map(Message::msg_id).collect();
            Record { messages, open }
        });
        let records = records.collect();
        Self { purpose, records, carries, epochs, paths, pairs, started: now, timer }
    }

    /// When it is repeated or given up.
    pub(crate) fn due(&self) -> Instant {
        self.timer.due().min(self.timer.gives_up())
    }

    /// The messages that are out, or go out next.
    pub(crate) fn out(&self) -> Option<&[Message]> {
        self.records.front().map(|record| &record.messages[..])
    }

    /// The device confirmed one message. Returns whether its record is done with that.
    pub(crate) fn confirm(&mut self, msg_id: MsgId) -> bool {
        self.confirm_where(|message| message.msg_id() == msg_id)
    }

    /// The device showed by its doings that it follows the configuration of its join. An address can be
    /// feigned: of a key that is staged, or of the command to switch, it proves nothing.
    pub(crate) fn confirm_configuration(&mut self) -> bool {
        self.purpose == Purpose::Join
            && self.confirm_where(
                |message| matches!(message, Message::Cfg { cfg, .. } if cfg.short.is_some()),
            )
    }

    fn confirm_where(&mut self, confirmed: impl Fn(&Message) -> bool) -> bool {
        let Some(record) = self.records.front_mut() else {
            return false;
        };
        for message in record.messages.iter().filter(|message| confirmed(message)) {
            record.open.remove(&message.msg_id());
        }
        let done = record.open.is_empty();
        if done {
            self.records.pop_front();
        }
        done
    }

    /// What the device lacks if this is given up.
    pub(crate) const fn lacks(&self) -> Lacks {
        match (self.purpose, self.carries) {
            (Purpose::Join, _) => Lacks::JoinKeys,
            (Purpose::Switch, _) => Lacks::Switch,
            (Purpose::Update, Some(_)) => Lacks::StagedKey,
            (Purpose::Update, None) => Lacks::Update,
        }
    }
}

const fn tells_pairs(message: &Message) -> bool {
    matches!(message, Message::Cfg { cfg, .. } if cfg.pairs.is_some())
}

fn path_of(message: &Message) -> Option<(TreeName, u32)> {
    match message {
        Message::Path(told) => Some((told.path.tree, told.path.epoch)),
        _ => None,
    }
}

/// Every SPD follows the MKD that binds its bundle to a group.
fn epochs_of(messages: &[Message]) -> impl Iterator<Item = (GroupId, TekId)> {
    messages.windows(2).filter_map(|pair| match pair {
        [Message::Mkd(mkd), Message::Spd(spd)] => Some((mkd.group, spd.tek_id)),
        _ => None,
    })
}
