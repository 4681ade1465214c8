//! From a command's question to the manager's request, from its reply to an answer, and from events to
//! lines for people.

use super::control::{Answer, Ask};
use super::keys;
use super::ledger::Ledger;
use super::mesh::{self, View};
use crate::claim::Claim;
use crate::inventory::{self, Known, Told};
use lowgate_access::joiner::{Failure, JoinerEvent};
use lowgate_dtls::CloseReason;
use lowgate_manager::{
    CommandRefused, DeviceState, DeviceView, GROUP_SENDERS_MAX, GROUPS_PER_DEVICE_MAX, GroupId,
    GroupRefused, GroupView, ImportFault, ImportRefused, Manager, ManagerEvent, MemberRefused,
    PANS_MAX, PanStatus, Refusal, Reply, Request, RevokeRefused, Role, Status, WINDOW_MAX,
    WindowRefused,
};
use lowgate_net::NetEvent;
use lowgate_node::Event;
use lowgate_router::Router;
use lowgate_units::{Duration, Eui64, Iid, Instant, Ipv6Addr};
use serde_json::{Value, json};
use zeroize::Zeroizing;

const NOT_IN_INVENTORY: &str = "the device is not in the inventory; see `lowgate device list`";

const NO_SUCH_GROUP: &str = "there is no such group; see `lowgate group list`";

/// A question that the manager has.
pub(super) enum Waiting {
    /// The file that a line of an import stands in, and the devices in it.
    Import { file: String, devices: Vec<Eui64> },
    /// The reply says it all.
    Plain,
    /// One of the devices is wanted.
    One(Eui64),
}

/// The answer to what a border router knows by itself; `None` for what a manager is asked.
pub(super) fn of_router(
    now: Instant,
    ask: &Ask,
    router: Option<&Router>,
    with_manager: bool,
) -> Option<Answer> {
    Some(match (ask, router) {
        (Ask::MeshTree, Some(router)) => Answer::Done(mesh::shown(now, View::Tree, router)),
        (Ask::MeshNeighbours, Some(router)) => {
            Answer::Done(mesh::shown(now, View::Neighbours, router))
        }
        (Ask::MeshRoutes, Some(router)) => Answer::Done(mesh::shown(now, View::Routes, router)),
        (Ask::MeshTree | Ask::MeshNeighbours | Ask::MeshRoutes, None) => Answer::Refused(vec![
            "there is no border router in this process; ask where `lowgate router` runs".into(),
        ]),
        (Ask::Status, Some(router)) if !with_manager => Answer::Done(mesh_shown(router)),
        _ => return None,
    })
}

/// A border router alone was asked for what it does not know.
pub(super) fn no_manager() -> Answer {
    Answer::Refused(vec![
        "there is no domain manager in this process; ask where `lowgate manager` runs".into(),
    ])
}

/// What the manager is to be asked.
pub(super) fn request(now: Instant, ask: Ask) -> Result<(Request, Waiting), Vec<String>> {
    let request = match ask {
        Ask::DeviceImport { file, text } => {
            let records = inventory::parse(&file, text.as_bytes(), &Known::default());
            let records = records
                .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
            let devices = records.iter().map(|record| record.eui64).collect();
            return Ok((Request::Import(records), Waiting::Import { file, devices }));
        }
        Ask::DeviceAdd { eui64, psk, kind, name, room, groups } => {
            let (psk, name) = (Zeroizing::new(psk), name.as_deref());
            let told =
                Told { eui64: &eui64, psk: &psk, kind: &kind, name, room: &room, groups: &groups };
            let record = inventory::one(told)?;
            let (file, devices) = ("device add".into(), vec![record.eui64]);
            return Ok((Request::Import(vec![record]), Waiting::Import { file, devices }));
        }
        Ask::DeviceShow { eui64 } => {
            return Ok((Request::ListDevices, Waiting::One(parsed(&eui64)?)));
        }
        Ask::DeviceList => Request::ListDevices,
        Ask::DeviceRevoke { eui64 } => Request::Revoke { eui64: parsed(&eui64)? },
        Ask::DeviceRead { eui64, path } => {
            let path = path.trim_start_matches('/').to_owned();
            Request::ReadResource { eui64: parsed(&eui64)?, path }
        }
        Ask::GroupCreate { id, name } => Request::CreateGroup { id: GroupId(id), name },
        Ask::GroupList => Request::ListGroups,
        Ask::GroupAdd { id, eui64, role } => {
            let unknown = || vec![format!("{role}: no role; allowed: listener, sender, both")];
            let role = Role::from_word(&role).ok_or_else(unknown)?;
            Request::AddMember { group: GroupId(id), eui64: parsed(&eui64)?, role }
        }
        Ask::GroupSend { id, path, value } => {
            let path = path.trim_start_matches('/').to_owned();
            Request::CommandGroup { group: GroupId(id), path, value: value.into_bytes() }
        }
        Ask::GroupRemove { id, eui64 } => {
            Request::RemoveMember { group: GroupId(id), eui64: parsed(&eui64)? }
        }
        Ask::WindowOpen { minutes } => {
            let until = now + Duration::from_secs(minutes.saturating_mul(60));
            Request::OpenWindow { until }
        }
        Ask::WindowClose => Request::CloseWindow,
        Ask::KeysStatus => Request::KeyStatus,
        Ask::KeysRotateNetwork => Request::RekeyNetwork,
        Ask::KeysRotatePairs => Request::RekeyPairs,
        Ask::KeysRotateGroup { id } => Request::RekeyGroup { id: GroupId(id) },
        Ask::Status => Request::Status,
        Ask::Events | Ask::MeshTree | Ask::MeshNeighbours | Ask::MeshRoutes => {
            return Err(vec!["a manager is not asked for that".into()]);
        }
        Ask::RouterAdd { claim } => {
            let record = Claim::parse(&claim).map_err(|fault| vec![fault])?.record();
            let devices = vec![record.eui64];
            let file = "claim code".into();
            return Ok((Request::Import(vec![record]), Waiting::Import { file, devices }));
        }
    };
    Ok((request, Waiting::Plain))
}

fn parsed(eui64: &str) -> Result<Eui64, Vec<String>> {
    let wrong = || vec![format!("{eui64}: not an EUI-64; like 02-12-4b-00-00-00-00-01")];
    eui64.parse().map_err(|_| wrong())
}

/// What the command is told.
pub(super) fn answer(
    now: Instant,
    waiting: &Waiting,
    reply: Reply,
    manager: &Manager,
    router: Option<&Router>,
    ledger: &Ledger,
) -> Answer {
    let prefix = manager.domain().config().mesh_prefix;
    let shown = |device: &DeviceView| shown(device, router, ledger);
    let value = match (reply, waiting) {
        (Reply::Refused(refusal), _) => return Answer::Refused(refused(&refusal, waiting)),
        (Reply::Done, Waiting::Import { devices, .. }) => json!({ "imported": devices.len() }),
        (Reply::Done, _) => json!({}),
        (Reply::SentInPart { sent, of, why }, _) => {
            let why = command_refused(why);
            return Answer::Refused(vec![format!("it was sent in {sent} of {of} PANs: {why}")]);
        }
        (Reply::Resource { code, payload, round_trip }, _) => json!({
            "code": format!("{}.{:02}", code >> 5, code & 0x1f),
            "payload": String::from_utf8_lossy(&payload),
            "round_trip_ms": round_trip.as_millis(),
        }),
        (Reply::Groups(groups), _) => groups.iter().map(group_shown).collect(),
        (Reply::Devices(devices), Waiting::One(eui64)) => {
            match devices.iter().find(|device| device.eui64 == *eui64) {
                Some(device) => shown(device),
                None => return Answer::Refused(vec![NOT_IN_INVENTORY.into()]),
            }
        }
        (Reply::Devices(devices), _) => devices.iter().map(shown).collect(),
        (Reply::Keys(keys), _) => keys::shown(&keys),
        (Reply::Status(status), _) => status_shown(now, &status, prefix, router),
    };
    Answer::Done(value)
}

fn refused(refusal: &Refusal, waiting: &Waiting) -> Vec<String> {
    let line = |text: &str| vec![text.to_owned()];
    match (refusal, waiting) {
        (Refusal::Import(faults), Waiting::Import { file, devices }) => {
            faults.iter().map(|fault| import_fault(fault, file, devices)).collect()
        }
        (Refusal::Import(faults), _) => vec![format!("{} faults", faults.len())],
        (Refusal::Group(GroupRefused::IdTaken), _) => line("the number is another group's"),
        (Refusal::Group(GroupRefused::LabelTooLong), _) => line("the name is too long"),
        (Refusal::Group(GroupRefused::Full), _) => line("there are too many groups"),
        (Refusal::Command(why), _) => vec![command_refused(*why)],
        (Refusal::Member(why), _) => vec![member_refused(*why)],
        (Refusal::Window(WindowRefused::InThePast), _) => line("at least one minute is allowed"),
        (Refusal::Window(WindowRefused::TooLong), _) => {
            vec![format!("at most {} minutes are allowed", WINDOW_MAX.as_secs() / 60)]
        }
        (Refusal::Revoke(RevokeRefused::UnknownDevice), _) => line(NOT_IN_INVENTORY),
        (Refusal::Revoke(RevokeRefused::AlreadyRevoked), _) => {
            line("the device is revoked already")
        }
        (Refusal::Rekey(why), _) => line(keys::refused(*why)),
        (Refusal::NoSession, _) => line("the device is no member, or cannot be reached now"),
        (Refusal::Path, _) => line("that is no path of a resource; like light"),
        (Refusal::NoAnswer, _) => line("the device did not answer"),
        (Refusal::Busy, _) => line("too many reads are under way; try again"),
        (Refusal::StoreFailed, _) => line("the database failed; see the daemon's log"),
    }
}

fn command_refused(why: CommandRefused) -> String {
    match why {
        CommandRefused::UnknownGroup => NO_SUCH_GROUP.into(),
        CommandRefused::NoMembers => "nobody of the group is in the mesh".into(),
        CommandRefused::NoAnswer => "the border router did not answer; try again".into(),
        CommandRefused::NoBorderRouter => "no border router has a session now; try again".into(),
        CommandRefused::NotKeyed => {
            "the border router has not the group's keys yet; try again".into()
        }
        CommandRefused::TooLong => "path and value are too long for one frame".into(),
        CommandRefused::Busy => "the border router cannot send now; try again".into(),
        CommandRefused::Code(code) => {
            format!("the border router says {}.{:02}", code >> 5, code & 0x1f)
        }
    }
}

fn member_refused(why: MemberRefused) -> String {
    match why {
        MemberRefused::UnknownDevice => NOT_IN_INVENTORY.into(),
        MemberRefused::UnknownGroup => NO_SUCH_GROUP.into(),
        MemberRefused::Revoked => "the device is revoked: it gets no keys any more".into(),
        MemberRefused::AlreadyIn => {
            "the device is in the group already; remove it first to change its role".into()
        }
        MemberRefused::NotIn => "the device is not in the group".into(),
        MemberRefused::BorderRouter => {
            "a border router is in the groups of its devices by itself".into()
        }
        MemberRefused::SendersFull => {
            format!("the group has {GROUP_SENDERS_MAX} senders, and no room for more")
        }
        MemberRefused::TooManyGroups => {
            format!("the device is in {GROUPS_PER_DEVICE_MAX} groups, and holds no more")
        }
    }
}

fn import_fault(refused: &ImportRefused, file: &str, devices: &[Eui64]) -> String {
    let what = match refused.fault {
        ImportFault::EuiTaken => "the EUI-64 is in the inventory already".into(),
        ImportFault::IdentityTaken => "another device has this identity".into(),
        ImportFault::LabelTooLong => "name or room is too long".into(),
        ImportFault::UnknownGroup(group) => {
            format!("there is no group {}; create it with `lowgate group create`", group.0)
        }
        ImportFault::TooManyGroups => "it is in too many groups".into(),
        ImportFault::GroupSendersFull(group) => format!("group {} has too many senders", group.0),
        ImportFault::BorderRoutersFull => {
            format!("the domain has {PANS_MAX} border routers; revoke one first")
        }
        ImportFault::InventoryFull => "the inventory is full".into(),
        ImportFault::BorderRouterGroups => {
            "a border router is in the groups of its devices by itself: leave its groups empty"
                .into()
        }
    };
    let device = devices.get(refused.line).map(ToString::to_string).unwrap_or_default();
    format!("{file}: {device}: {what}")
}

fn shown(device: &DeviceView, router: Option<&Router>, ledger: &Ledger) -> Value {
    let pan = match device.state {
        DeviceState::Admitted { pan, .. } => Some(pan),
        DeviceState::Expected | DeviceState::Revoked { .. } => None,
    };
    // Without a border router in this process nobody knows.
    let reachable = router.map(|router| device.addr.is_some_and(|addr| is_routed(router, addr)));
    json!({
        "eui64": device.eui64.to_string(),
        "kind": device.kind.word(),
        "name": device.name,
        "room": device.room,
        "state": device.state.word(),
        "pan_id": pan.map(|pan| format!("{pan:?}")),
        "addr": device.addr.map(|addr| addr.to_string()),
        "reachable": reachable,
        "session": device.peer.is_some(),
        "keys_confirmed": device.keys_confirmed,
        "handshakes_failed": device.handshakes_failed,
        "attempts": ledger.shown(device.eui64),
    })
}

fn group_shown(group: &GroupView) -> Value {
    let members = group.members.iter();
    let members = members
        .map(|(eui64, role)| json!({ "eui64": eui64.to_string(), "role": role.word() }))
        .collect::<Value>();
    json!({
        "id": group.id.0,
        "name": group.name,
        "addr": group.addr.to_string(),
        "addrs": group.addrs.iter().map(|(_, addr)| addr.to_string()).collect::<Value>(),
        "epoch": group.epoch.raw(),
        "members": members,
    })
}

fn is_routed(router: &Router, addr: Ipv6Addr) -> bool {
    let net = router.node().net();
    let routed = |prefix| net.routes().any(|route| Iid::from(route.device).under(prefix) == addr);
    net.global_addr() == Some(addr) || net.prefix().is_some_and(routed)
}

fn status_shown(now: Instant, status: &Status, prefix: [u8; 8], router: Option<&Router>) -> Value {
    let mut shown = router.map_or_else(|| json!({}), mesh_shown);
    let founding = status.pans.iter().find(|pan| pan.config.mesh_prefix == prefix);
    let of_manager = json!({
        "mesh_prefix": prefix_shown(prefix),
        "revision": status.revision,
        "expected": status.expected,
        "admitted": status.admitted,
        "revoked": status.revoked,
        "groups": status.groups,
        "sessions": status.sessions,
        "border_router_has_session": founding.is_some_and(|pan| pan.router_revision.is_some()),
        "window_seconds_left": status.window_until.map(|until| until.since(now).as_secs()),
        "key_index": founding.map(|pan| pan.key_index),
        "staged_key_index": founding.and_then(|pan| pan.staged_key_index),
        "strangers": status.strangers,
        "pans": status.pans.iter().map(pan_shown).collect::<Value>(),
    });
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, of_manager) {
        shown.extend(more);
    }
    shown
}

fn pan_shown(pan: &PanStatus) -> Value {
    json!({
        "pan_id": format!("{:?}", pan.config.pan_id),
        "channel": pan.config.channel.number(),
        "mesh_prefix": prefix_shown(pan.config.mesh_prefix),
        "border_router": pan.border_router.map(|eui64| eui64.to_string()),
        "border_router_has_session": pan.router_revision.is_some(),
        "members": pan.members,
        "key_index": pan.key_index,
        "staged_key_index": pan.staged_key_index,
    })
}

/// What a border router knows of its mesh.
fn mesh_shown(router: &Router) -> Value {
    let node = router.node();
    json!({
        "mesh_prefix": node.net().prefix().map(prefix_shown),
        "mesh_up": node.is_member(),
        "devices_with_routes": node.net().routes().count(),
        "packets_kept_out": router.filter().dropped().values().sum::<u64>(),
    })
}

fn prefix_shown(prefix: [u8; 8]) -> String {
    Iid([0; 8]).under(prefix).to_string() + "/64"
}

/// What people want to know of the border router.
pub(super) fn router_line(event: &Event, manager: Ipv6Addr) -> Option<String> {
    match event {
        Event::Net(NetEvent::RouteChanged { device, parent }) => {
            Some(format!("mesh: {device:?} sends through {parent:?}"))
        }
        Event::Net(NetEvent::RouteLost { device }) => Some(format!("mesh: no way to {device:?}")),
        Event::Join(event) => join_line(event, manager),
        Event::LinkKeySwitched(index) => {
            Some(format!("border router: link key {} is in force", index.raw()))
        }
        _ => None,
    }
}

fn join_line(event: &JoinerEvent, manager: Ipv6Addr) -> Option<String> {
    Some(match event {
        JoinerEvent::Authenticated(_) => {
            format!("border router: it and the manager at {manager} proved their keys")
        }
        JoinerEvent::Member => "border router: it belongs to the domain".into(),
        JoinerEvent::Failed { cause, .. } => {
            format!("border router: {}", cause_of(*cause, manager))
        }
        JoinerEvent::SessionLost(reason) => {
            format!(
                "border router: its session with the manager ended ({reason:?}); another follows"
            )
        }
        JoinerEvent::Malformed => "border router: keys of the manager could not be read".into(),
        JoinerEvent::Scanning
        | JoinerEvent::Handshake(_)
        | JoinerEvent::RecordDropped(_)
        | JoinerEvent::KeyLog(_) => return None,
    })
}

fn cause_of(failure: Failure, manager: Ipv6Addr) -> String {
    match failure {
        Failure::Closed(CloseReason::KeyMismatch | CloseReason::PeerAlert(_)) => format!(
            "the manager at {manager} does not know it; tell it the code that `lowgate claim` shows \
             here, by `lowgate device claim` there"
        ),
        Failure::Silence
        | Failure::HandshakeTimeout
        | Failure::KeysTimeout
        | Failure::Closed(CloseReason::TimedOut) => {
            format!("the manager at {manager} does not answer; it goes on trying")
        }
        Failure::Refused(error) => format!("the manager at {manager} refused it: {error:?}"),
        Failure::Closed(reason) => format!("no session with the manager at {manager}: {reason:?}"),
    }
}

/// What people want to know of the manager.
pub(super) fn manager_line(event: &ManagerEvent) -> Option<String> {
    Some(match event {
        ManagerEvent::Authenticated { eui64, .. } => format!("{eui64} proved its key"),
        ManagerEvent::HandshakeFailed { claimed: Some(claimed), reason, .. } => {
            format!("a handshake of somebody who says he is {claimed:?} failed: {reason:?}")
        }
        ManagerEvent::NotAuthorized { eui64, why } => format!("{eui64} is not let in: {why:?}"),
        ManagerEvent::GroupWithheld { eui64, group } => {
            format!("{eui64} asked for group {}, which the inventory does not give it", group.0)
        }
        ManagerEvent::Admitted { eui64, short } => format!("{eui64} is admitted as {short:?}"),
        ManagerEvent::Returned { eui64, short } => format!("{eui64} is back as {short:?}"),
        ManagerEvent::KeysConfirmed { eui64 } => format!("{eui64} has its keys"),
        ManagerEvent::KeysRefused { eui64, error } => format!("{eui64} refused keys: {error:?}"),
        ManagerEvent::GaveUp { eui64, what } => format!("{eui64} did not confirm: {what:?}"),
        ManagerEvent::Revoked { eui64 } => format!("{eui64} is revoked; all others get new keys"),
        ManagerEvent::Moved { eui64, pan, short } => {
            format!("{eui64} moved into PAN {pan:?} as {short:?}")
        }
        ManagerEvent::RekeyProgress { pan, done, of } => {
            format!("PAN {pan:?}: new link key: {done} of {of}")
        }
        ManagerEvent::KeySwitched { pan, index } => {
            format!("PAN {pan:?}: link key {} is in force", index.raw())
        }
        ManagerEvent::EpochStarted { group, tek_id } => {
            format!("group {}: epoch {} begins", group.0, tek_id.raw())
        }
        ManagerEvent::PairsStarted { name } => {
            format!("keys of pairs: polynomial {} begins", name.generation)
        }
        ManagerEvent::EpochProgress { group, done, of } => {
            format!("group {}: {done} of {of} have its epoch", group.0)
        }
        _ => return None,
    })
}
