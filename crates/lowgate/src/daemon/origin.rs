//! What a daemon begins with: its folder, its database, who it is, and the machines as they were left.

use super::chance::OsEntropy;
use super::config::Config;
use super::core::ROUTER_ADDR;
use super::fresh::{self, Fresh};
use crate::claim::Claim;
use lowgate_crypto::SoftCcm;
use lowgate_dtls::Psk;
use lowgate_manager::{Manager, ManagerConfig, NewDomain, Store};
use lowgate_node::NodeConfig;
use lowgate_node::flash::{Record, RecordKey};
use lowgate_router::{Inward, Router, RouterConfig};
use lowgate_store::{FlashFile, SqliteStore};
use lowgate_units::{Channel, Entropy, Instant, Ipv6Addr, Prng};
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
    if let Some((_, octets)) = records.iter().find(|(name, _)| name == CLAIM) {
        return Claim::from_octets(octets).ok_or_else(|| ROUTER_DAMAGED.into());
    }
    let claim = Claim::draw(&mut OsEntropy);
    flash.put(CLAIM, claim.octets()).map_err(|fault| fault.to_string())?;
    Ok(claim)
}

/// The claim code in the folder, drawn if there is none yet.
pub(super) fn claim_of(dir: &Path) -> Result<Claim, String> {
    make(dir)?;
    claim(&flash(dir)?)
}

fn make(dir: &Path) -> Result<(), String> {
    fs::create_dir_all(dir)
        .map_err(|fault| format!("{}: cannot be made: {fault}; see state.dir", dir.display()))
}

pub(super) fn manager(
    now: Instant,
    config: &Config,
    store: &mut SqliteStore,
) -> Result<Manager, String> {
    let damaged = |fault: &dyn std::fmt::Display| {
        let path = config.state.dir.join(DOMAIN);
        format!("{}: {fault}; put back the last copy of its folder", path.display())
    };
    let snapshot = store.load().map_err(|fault| damaged(&fault))?;
    let manager = ManagerConfig::new(&SoftCcm);
    if snapshot.changes.is_empty() {
        let channel = Channel::new(config.radio.channel).ok_or("a channel is 11 to 26")?;
        let manager_addr = config.manager.address.unwrap_or_else(drawn_addr);
        let new = NewDomain { channel, mesh_prefix: config.mesh.prefix, manager_addr };
        return Ok(Manager::found(manager, new, prng(), &mut OsEntropy));
    }
    let manager = Manager::restore(now, manager, &snapshot, prng(), &mut OsEntropy)
        .map_err(|fault| damaged(&fault))?;
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
fn drawn_addr() -> Ipv6Addr {
    let mut octets = [0; 16];
    OsEntropy.fill(&mut octets[1..6]);
    octets[0] = 0xfd;
    octets[15] = 1;
    octets.into()
}

fn prng() -> Prng {
    let mut seed = [0; 8];
    OsEntropy.fill(&mut seed);
    Prng::new(u64::from_le_bytes(seed))
}

pub(super) fn router(
    now: Instant,
    flash: &FlashFile,
    claim: &Claim,
    channel: Channel,
    manager_addr: Ipv6Addr,
    inward: Inward,
) -> Result<Router, String> {
    let records = flash.all().map_err(|fault| fault.to_string())?;
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
        key_log: false,
    };
    let config = RouterConfig { node, backbone_addr: ROUTER_ADDR, manager_addr, inward };
    Ok(Router::new(now, config, records, &mut OsEntropy, prng()))
}
