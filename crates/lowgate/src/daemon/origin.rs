//! What a daemon begins with: its folder, its database, who it is, and the machines as they were left.

use super::chance::{Chance, OsEntropy};
use super::config::Config;
use super::core::{BorderRouter, Core, ROUTER_ADDR};
use super::fresh::{self, Fresh};
use crate::claim::Claim;
use lowgate_crypto::SoftCcm;
use lowgate_dtls::{BAR_USUAL, Psk, Retransmission};
use lowgate_manager::{Manager, ManagerConfig, NewDomain, Request, Snapshot};
use lowgate_node::NodeConfig;
use lowgate_node::flash::{Record, RecordKey};
use lowgate_router::co_processor::CoProcessor;
use lowgate_router::{Inward, Router, RouterConfig};
use lowgate_store::{FlashFile, FlashRecord, SqliteStore};
use lowgate_units::{Channel, Entropy, Instant, Ipv6Addr};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use tokio::net::UnixListener;

/// Under this name the border router keeps its claim code: who it is.
const CLAIM: &[u8] = b"claim";
const DOMAIN: &str = "domain.db";
const ROUTER: &str = "router.db";
const ROUTER_DAMAGED: &str =
    "router.db in state.dir is damaged; put back the last copy of the folder";

/// The domain's.
pub(super) fn store(dir: &Path) -> Result<SqliteStore, String> {
    SqliteStore::open(&dir.join(DOMAIN)).map_err(|fault| fault.to_string())
}

/// The border router's.
pub(super) fn flash(dir: &Path) -> Result<FlashFile, String> {
    FlashFile::open(&dir.join(ROUTER)).map_err(|fault| fault.to_string())
}

/// One daemon for one folder; and what it finds missing there.
pub(super) fn lock(dir: &Path) -> Result<(File, Fresh), String> {
    let path = dir.join("lock");
    let fresh = Fresh::of(fresh::with_folders(&path));
    make(dir)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file
        .map_err(|fault| format!("{}: {fault}; the daemon must own the folder", path.display()))?;
    // Another's start that failed has taken the file away meanwhile.
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let same = file.metadata().map(id).ok() == fs::metadata(&path).map(id).ok();
    if file.try_lock().is_err() || !same {
        fresh.keep();
        return Err(format!(
            "{}: another daemon runs here; stop it first, or use another state.dir",
            dir.display()
        ));
    }
    let databases = [DOMAIN, ROUTER].iter().flat_map(|name| fresh::database(&dir.join(name)));
    let fresh = fresh.and(Fresh::of(databases));
    Ok((file, fresh))
}

pub(super) fn listen(socket: &Path) -> Result<UnixListener, String> {
    if let Some(folder) = socket.parent() {
        fs::create_dir_all(folder).map_err(|fault| format!("{}: {fault}", folder.display()))?;
    }
    // The lock on the state's folder says that no daemon of ours uses it.
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).and_then(|listener| {
        // Whoever may write to it rules the domain: never the world, and the daemon's group only where
        // the umask grants it writing, which the usual one (022) does not.
        let mode = fs::metadata(socket)?.permissions().mode() & 0o660;
        fs::set_permissions(socket, fs::Permissions::from_mode(mode))?;
        Ok(listener)
    });
    listener.map_err(|fault| format!("{}: {fault}; see control.socket", socket.display()))
}

/// Drawn at the first start.
pub(super) fn claim(flash: &FlashFile) -> Result<Claim, String> {
    let records = flash.all().map_err(|fault| fault.to_string())?;
    if let Some(claim) = kept_claim(&records)? {
        return Ok(claim);
    }
    let claim = Claim::draw(&mut OsEntropy);
    flash.put(CLAIM, claim.octets()).map_err(|fault| fault.to_string())?;
    Ok(claim)
}

fn kept_claim(records: &[FlashRecord]) -> Result<Option<Claim>, String> {
    let kept = records.iter().find(|(name, _)| name == CLAIM);
    let claim = kept.map(|(_, octets)| Claim::from_octets(octets).ok_or(ROUTER_DAMAGED));
    Ok(claim.transpose()?)
}

/// The claim code in the folder. It is the daemon that draws it, so that the file is the daemon's.
pub(super) fn claim_of(dir: &Path) -> Result<Claim, String> {
    let none =
        || format!("{}: there is no claim code yet; start `lowgate router` once", dir.display());
    if !dir.join(ROUTER).exists() {
        return Err(none());
    }
    let records = flash(dir)?.all().map_err(|fault| fault.to_string())?;
    kept_claim(&records)?.ok_or_else(none)
}

fn make(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir)
        .map_err(|fault| format!("{}: cannot be made: {fault}; see state.dir", dir.display()))
}

/// What the machines of a process begin with: a manager has a store, a border router a flash.
pub(super) struct Kept {
    pub(super) domain: Option<Snapshot>,
    pub(super) flash: Option<Vec<FlashRecord>>,
}

/// The machines as they were left. A manager beside a border router that no one claimed yet takes it into
/// its inventory.
pub(super) fn core(
    now: Instant,
    config: &Config,
    kept: &Kept,
    mut chance: Chance,
) -> Result<Core, String> {
    let manager = kept.domain.as_ref().map(|kept| manager(now, config, kept, &mut chance));
    let manager = manager.transpose()?;
    let claim = match &kept.flash {
        Some(records) => Some(kept_claim(records)?.ok_or(ROUTER_DAMAGED)?),
        None => None,
    };
    let border_router = match (&kept.flash, &claim) {
        (Some(records), Some(claim)) => {
            Some(border_router(now, config, manager.as_ref(), records, claim, &mut chance)?)
        }
        _ => None,
    };
    let vacant = |manager: &Manager| manager.domain().founding_pan().border_router.is_none();
    let unclaimed = manager.as_ref().is_some_and(vacant);
    let mut core = Core::new(border_router, manager, chance);
    if let Some(claim) = claim.filter(|_| unclaimed) {
        core.request(now, Request::Import(vec![claim.record()]));
    }
    Ok(core)
}

/// What the domain's database holds is of no use.
pub(super) fn damaged(config: &Config, fault: &dyn std::fmt::Display) -> String {
    let path = config.state.dir.join(DOMAIN);
    format!("{}: {fault}; put back the last copy of its folder", path.display())
}

fn manager(
    now: Instant,
    config: &Config,
    snapshot: &Snapshot,
    chance: &mut Chance,
) -> Result<Manager, String> {
    let manager = ManagerConfig { bar_for: Some(BAR_USUAL), ..ManagerConfig::new(&SoftCcm) };
    if snapshot.changes.is_empty() {
        let channel = Channel::new(config.radio.channel).ok_or("a channel is 11 to 26")?;
        let manager_addr = config.manager.address.unwrap_or_else(|| drawn_addr(chance));
        let further = config.radio.further_channels.iter();
        let new = NewDomain {
            further_channels: further.filter_map(|number| Channel::new(*number)).collect(),
            mesh_prefix: config.mesh.prefix,
            ..NewDomain::new(channel, manager_addr)
        };
        let prng = chance.prng();
        return Ok(Manager::found(manager, new, prng, chance));
    }
    let prng = chance.prng();
    let manager = Manager::restore(now, manager, snapshot, prng, chance)
        .map_err(|fault| damaged(config, &fault))?;
    let (known, wanted) = (manager.domain().config().manager_addr, config.manager.address);
    match wanted.filter(|wanted| *wanted != known) {
        Some(wanted) => Err(format!(
            "manager.address: {wanted}; the domain's devices know their manager at {known}: set that, or \
             begin another domain with another state.dir"
        )),
        None => Ok(manager),
    }
}

/// In a subnet of a ULA of its own (RFC 4193 section 3.2.2).
fn drawn_addr(chance: &mut Chance) -> Ipv6Addr {
    let mut octets = [0; 16];
    chance.fill(&mut octets[1..6]);
    octets[0] = 0xfd;
    octets[15] = 1;
    octets.into()
}

fn border_router(
    now: Instant,
    config: &Config,
    manager: Option<&Manager>,
    records: &[FlashRecord],
    claim: &Claim,
    chance: &mut Chance,
) -> Result<BorderRouter, String> {
    let domain = manager.map(|manager| manager.domain().config());
    let manager_addr = domain.map(|domain| domain.manager_addr).or(config.manager.address);
    let manager_addr = manager_addr.ok_or("manager.address is missing")?;
    let channel = domain.map(|domain| domain.channel).or(Channel::new(config.radio.channel));
    let channel = channel.ok_or("a channel is 11 to 26")?;
    let inward = config.filter.inward();
    let router = router(now, records, claim, channel, manager_addr, inward, chance);
    Ok(BorderRouter { co_processor: CoProcessor::new(now), router, manager_addr })
}

fn router(
    now: Instant,
    records: &[FlashRecord],
    claim: &Claim,
    channel: Channel,
    manager_addr: Ipv6Addr,
    inward: Inward,
    chance: &mut Chance,
) -> Router {
    let records =
        records.iter().filter_map(|(name, octets)| Record::parse(RecordKey::parse(name)?, octets));
    let eui64 = claim.eui64();
    let node = NodeConfig {
        eui64,
        identity: eui64.0.into_iter().collect(),
        psk: Psk::new(&*claim.psk()).expect("16 octets are a key"),
        kind: lowgate_node::Kind::BorderRouter,
        groups: [].into_iter().collect(),
        channels: [channel].into_iter().collect(),
        ccm: &SoftCcm,
        retransmission: Retransmission::USUAL,
        key_trees: false,
        pairs: false,
        key_log: false,
    };
    let config = RouterConfig { node, backbone_addr: ROUTER_ADDR, manager_addr, inward };
    let prng = chance.prng();
    Router::new(now, config, records, chance, prng)
}
