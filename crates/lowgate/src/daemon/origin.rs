//! What a daemon begins with: its folder, its database, who it is, and the machines as they were left.

use super::chance::OsEntropy;
use super::config::Config;
use lowgate_crypto::SoftCcm;
use lowgate_dtls::Psk;
use lowgate_manager::{
    DevicePsk, DeviceRecord, Identity, Kind, Manager, ManagerConfig, NewDomain, Store,
};
use lowgate_node::NodeConfig;
use lowgate_node::flash::{Record, RecordKey};
use lowgate_router::{Router, RouterConfig};
use lowgate_store::{FlashFile, SqliteStore};
use lowgate_units::{Channel, Entropy, Eui64, Instant, Ipv6Addr, Prng};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::net::UnixListener;

/// Under this name the border router keeps who it is.
const SELF: &[u8] = b"self";

/// The domain's, and the border router's.
pub(super) fn databases(dir: &Path) -> Result<(SqliteStore, FlashFile), String> {
    let store = SqliteStore::open(&dir.join("domain.db")).map_err(|fault| fault.to_string())?;
    let flash = FlashFile::open(&dir.join("router.db")).map_err(|fault| fault.to_string())?;
    Ok((store, flash))
}

/// One daemon for one folder.
pub(super) fn lock(dir: &Path) -> Result<File, String> {
    fs::create_dir_all(dir)
        .map_err(|fault| format!("{}: cannot be made: {fault}; see state.dir", dir.display()))?;
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file
        .map_err(|fault| format!("{}: {fault}; the daemon must own the folder", path.display()))?;
    file.try_lock().map_err(|_| {
        format!(
            "{}: another daemon runs here; stop it first, or use another state.dir",
            dir.display()
        )
    })?;
    Ok(file)
}

pub(super) fn listen(socket: &Path) -> Result<UnixListener, String> {
    if let Some(folder) = socket.parent() {
        fs::create_dir_all(folder).map_err(|fault| format!("{}: {fault}", folder.display()))?;
    }
    // The lock on the state's folder says that no daemon of ours uses it.
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).and_then(|listener| {
        // Whoever may write to it rules the domain.
        fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    });
    listener.map_err(|fault| format!("{}: {fault}; see control.socket", socket.display()))
}

/// The border router as a device.
pub(super) struct Own {
    eui64: Eui64,
    psk: [u8; 16],
}

impl Own {
    pub(super) fn record(&self) -> DeviceRecord {
        DeviceRecord {
            eui64: self.eui64,
            identity: Identity::from(self.eui64),
            psk: DevicePsk::new(&self.psk).expect("16 octets are a key"),
            kind: Kind::BorderRouter,
            name: "border router".into(),
            room: String::new(),
            groups: std::collections::BTreeMap::new(),
        }
    }
}

/// Drawn at the first start: a locally administered EUI-64 (IEEE 802, bit 1 of the first octet).
pub(super) fn own_identity(flash: &FlashFile) -> Result<Own, String> {
    let records = flash.all().map_err(|fault| fault.to_string())?;
    if let Some((_, octets)) = records.iter().find(|(name, _)| name == SELF) {
        let (eui64, psk) = octets.split_at_checked(8).ok_or("router.db is damaged")?;
        let eui64 = Eui64(eui64.try_into().map_err(|_| "router.db is damaged")?);
        let psk = psk.try_into().map_err(|_| "router.db is damaged")?;
        return Ok(Own { eui64, psk });
    }
    let mut own = Own { eui64: Eui64([0; 8]), psk: [0; 16] };
    OsEntropy.fill(&mut own.eui64.0);
    OsEntropy.fill(&mut own.psk);
    own.eui64.0[0] = (own.eui64.0[0] & 0xfc) | 0x02;
    let octets = [&own.eui64.0[..], &own.psk].concat();
    flash.put(SELF, &octets).map_err(|fault| fault.to_string())?;
    Ok(own)
}

pub(super) fn manager(
    now: Instant,
    config: &Config,
    store: &mut SqliteStore,
) -> Result<Manager, String> {
    let snapshot = store.load().map_err(|fault| fault.to_string())?;
    let manager = ManagerConfig::new(&SoftCcm);
    if snapshot.changes.is_empty() {
        let channel = Channel::new(config.radio.channel).ok_or("a channel is 11 to 26")?;
        let new = NewDomain { channel, manager_addr: drawn_addr() };
        return Ok(Manager::found(manager, new, prng(), &mut OsEntropy));
    }
    Manager::restore(now, manager, &snapshot, prng(), &mut OsEntropy)
        .map_err(|fault| format!("{}/domain.db: {fault}", config.state.dir.display()))
}

/// In a subnet of a ULA of its own (RFC 4193 section 3.2.2).
pub(super) fn drawn_addr() -> Ipv6Addr {
    let mut octets = [0; 16];
    OsEntropy.fill(&mut octets[1..6]);
    octets[0] = 0xfd;
    octets[15] = 1;
    octets.into()
}

pub(super) fn second(addr: Ipv6Addr) -> Ipv6Addr {
    let mut octets = addr.octets();
    octets[15] ^= 3;
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
    own: &Own,
    channel: Channel,
    backbone_addr: Ipv6Addr,
    manager_addr: Ipv6Addr,
) -> Result<Router, String> {
    let records = flash.all().map_err(|fault| fault.to_string())?;
    let records =
        records.iter().filter_map(|(name, octets)| Record::parse(RecordKey::parse(name)?, octets));
    let node = NodeConfig {
        eui64: own.eui64,
        identity: own.eui64.0.into_iter().collect(),
        psk: Psk::new(&own.psk).ok_or("router.db is damaged")?,
        kind: lowgate_node::Kind::BorderRouter,
        groups: [].into_iter().collect(),
        channels: [channel].into_iter().collect(),
        ccm: &SoftCcm,
        key_log: false,
    };
    let config = RouterConfig { node, backbone_addr, manager_addr };
    Ok(Router::new(now, config, records, &mut OsEntropy, prng()))
}
