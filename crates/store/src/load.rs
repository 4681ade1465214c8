//! From rows to the changes that rebuild the domain.

use crate::Damage;
use lowgate_manager::{
    Change, ChannelSet, CsbId, DevicePsk, DeviceRecord, DomainConfig, Generation, GroupEpoch,
    GroupId, GroupRecord, Identity, Key128, KeyIndex, Kind, LinkKey, PanConfig, Polynomial, Rand,
    Role, Secret, SenderId, SetName, Snapshot, TekId, Tgk,
};
use lowgate_units::{Channel, Eui64, Instant, Ipv6Addr, PanId, ShortAddr};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use std::collections::BTreeMap;
use std::str::FromStr;

/// The last revision committed; 0 before the first.
pub(crate) fn revision(db: &Connection) -> Result<u64, Damage> {
    let revision: i64 = db.query_row("SELECT revision FROM ledger", [], |row| row.get(0))?;
    u64::try_from(revision).map_err(|_| Damage::Value { column: "ledger.revision" })
}

/// Everything: first what stands alone, then what refers to it.
pub(crate) fn snapshot(db: &Connection) -> Result<Snapshot, Damage> {
    let mut changes = Vec::new();
    if let Some((founding, addr)) = domain(db)? {
        let mut keys = link_keys(db)?;
        let mut pans = pans(db)?;
        let founding = pans.remove(&founding).ok_or(impossible("domain.pan_id"))?;
        let further_channels = further_channels(db)?;
        let mut active = |config: PanConfig| {
            let key = keys.remove(&(config.pan_id, Stage::Active));
            key.ok_or(impossible("link_keys.state"))
        };
        let PanConfig { pan_id, channel, mesh_prefix } = founding;
        let config =
            DomainConfig { pan_id, channel, mesh_prefix, further_channels, manager_addr: addr };
        changes.push(Change::DomainCreated { config, link_key: active(founding)? });
        for config in pans.into_values() {
            changes.push(Change::PanCreated { config, link_key: active(config)? });
        }
        let staged = keys.into_iter().map(|((pan, _), key)| Change::LinkKeyStaged { pan, key });
        changes.extend(staged);
        changes.extend(groups(db)?);
        changes.extend(devices(db)?);
        changes.extend(sender_ids(db)?);
        changes.extend(pairs(db)?);
        changes.extend(window(db)?);
    }
    Ok(Snapshot { revision: revision(db)?, changes })
}

fn impossible(column: &'static str) -> Damage {
    Damage::Value { column }
}

fn checked<T>(value: Option<T>, column: &'static str) -> Result<T, Damage> {
    value.ok_or(Damage::Value { column })
}

/// The rows of a query, each made into a `T`.
fn rows<T>(
    db: &Connection,
    sql: &str,
    mut make: impl FnMut(&Row<'_>) -> Result<T, Damage>,
) -> Result<Vec<T>, Damage> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut made = Vec::new();
    while let Some(row) = rows.next()? {
        made.push(make(row)?);
    }
    Ok(made)
}

fn key(row: &Row<'_>, column: &'static str) -> Result<Key128, Damage> {
    // The copy in SQLite's row goes when the statement does.
    let octets = row.get_ref(column)?.as_blob().map_err(|_| impossible(column))?;
    checked(Key128::from_slice(octets), column)
}

fn parsed<T: FromStr>(row: &Row<'_>, column: &'static str) -> Result<T, Damage> {
    let text: String = row.get(column)?;
    checked(text.parse().ok(), column)
}

fn pan_id(row: &Row<'_>) -> Result<PanId, Damage> {
    checked(PanId::new(row.get("pan_id")?), "pan_id")
}

/// The PAN it began with, and where its manager is.
fn domain(db: &Connection) -> Result<Option<(PanId, Ipv6Addr)>, Damage> {
    let make = |row: &Row<'_>| Ok((pan_id(row)?, parsed(row, "manager_addr")?));
    Ok(rows(db, "SELECT pan_id, manager_addr FROM domain", make)?.pop())
}

fn channel(row: &Row<'_>) -> Result<Channel, Damage> {
    checked(Channel::new(row.get("channel")?), "channel")
}

fn further_channels(db: &Connection) -> Result<ChannelSet, Damage> {
    Ok(rows(db, "SELECT channel FROM further_channels", channel)?.into_iter().collect())
}

fn pans(db: &Connection) -> Result<BTreeMap<PanId, PanConfig>, Damage> {
    let pans = rows(db, "SELECT pan_id, channel, mesh_prefix FROM pans", |row| {
        let prefix: Ipv6Addr = parsed(row, "mesh_prefix")?;
        let [mesh_prefix @ .., _, _, _, _, _, _, _, _] = prefix.octets();
        Ok(PanConfig { pan_id: pan_id(row)?, channel: channel(row)?, mesh_prefix })
    })?;
    Ok(pans.into_iter().map(|pan| (pan.pan_id, pan)).collect())
}

/// Whether a link-layer key is in force.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Active,
    Staged,
}

fn link_keys(db: &Connection) -> Result<BTreeMap<(PanId, Stage), LinkKey>, Damage> {
    let sql = "SELECT pan_id, key_index, key, state FROM link_keys";
    let keys = rows(db, sql, |row| {
        let index = checked(KeyIndex::new(row.get("key_index")?), "key_index")?;
        let stage = match row.get_ref("state")?.as_str().map_err(|_| impossible("state"))? {
            "active" => Stage::Active,
            "staged" => Stage::Staged,
            _ => return Err(impossible("link_keys.state")),
        };
        Ok(((pan_id(row)?, stage), LinkKey { index, key: key(row, "key")? }))
    })?;
    Ok(keys.into_iter().collect())
}

fn groups(db: &Connection) -> Result<Vec<Change>, Damage> {
    rows(db, "SELECT * FROM groups ORDER BY group_id", |row| {
        let record = GroupRecord {
            id: GroupId(row.get("group_id")?),
            name: row.get("name")?,
            port: row.get("port")?,
        };
        let epoch = GroupEpoch {
            csb_id: CsbId(row.get("csb_id")?),
            generation: Generation(row.get("generation")?),
            tek_id: checked(TekId::new(row.get("tek_id")?), "tek_id")?,
            tgk: Tgk(key(row, "tgk")?),
            rand: Rand(key(row, "rand")?),
        };
        Ok(Change::GroupCreated { record, epoch })
    })
}

/// Imports, then the way of everybody to where he stands: the expelled first, for a border router's successor
/// has its address.
fn devices(db: &Connection) -> Result<Vec<Change>, Damage> {
    let mut groups = memberships(db)?;
    let mut changes = rows(db, "SELECT * FROM devices ORDER BY eui64", |row| {
        let eui64: Eui64 = parsed(row, "eui64")?;
        let identity = row.get_ref("identity")?.as_blob().map_err(|_| impossible("identity"))?;
        let psk = row.get_ref("psk")?.as_blob().map_err(|_| impossible("psk"))?;
        let kind: String = row.get("kind")?;
        Ok(Change::DeviceImported(DeviceRecord {
            eui64,
            identity: checked(Identity::new(identity), "identity")?,
            psk: checked(DevicePsk::new(psk), "psk")?,
            kind: checked(Kind::from_word(&kind), "kind")?,
            name: row.get("name")?,
            room: row.get("room")?,
            groups: groups.remove(&eui64).unwrap_or_default(),
        }))
    })?;
    let mut earlier = addresses(db)?;
    let sql = "SELECT eui64, state, pan_id, short FROM devices WHERE state <> 'expected'
        ORDER BY state = 'admitted', eui64";
    let states = rows(db, sql, |row| {
        let eui64 = parsed(row, "eui64")?;
        let state: String = row.get("state")?;
        let mut places = earlier.remove(&eui64).unwrap_or_default();
        if row.get_ref("short")? != ValueRef::Null {
            let last = pan_id(row)?;
            places.retain(|(pan, _)| *pan != last);
            places.push((last, short(row)?));
        }
        let way = places.into_iter().enumerate().map(|(nth, (pan, short))| match nth {
            0 => Change::Admitted { eui64, pan, short },
            _ => Change::Moved { eui64, pan, short },
        });
        let revoked = (state == "revoked").then_some(Change::Revoked { eui64 });
        Ok(way.chain(revoked).collect::<Vec<_>>())
    })?;
    changes.extend(states.into_iter().flatten());
    Ok(changes)
}

fn short(row: &Row<'_>) -> Result<ShortAddr, Damage> {
    checked(ShortAddr::new(row.get("short")?), "short")
}

/// The addresses that devices have or had, by PAN.
fn addresses(db: &Connection) -> Result<BTreeMap<Eui64, Vec<(PanId, ShortAddr)>>, Damage> {
    let mut addresses: BTreeMap<Eui64, Vec<_>> = BTreeMap::new();
    rows(db, "SELECT eui64, pan_id, short FROM addresses ORDER BY pan_id", |row| {
        addresses.entry(parsed(row, "eui64")?).or_default().push((pan_id(row)?, short(row)?));
        Ok(())
    })?;
    Ok(addresses)
}

fn memberships(db: &Connection) -> Result<BTreeMap<Eui64, BTreeMap<GroupId, Role>>, Damage> {
    let mut groups: BTreeMap<Eui64, BTreeMap<GroupId, Role>> = BTreeMap::new();
    rows(db, "SELECT group_id, eui64, role FROM members", |row| {
        let word: String = row.get("role")?;
        let role = checked(Role::from_word(&word), "role")?;
        let id = GroupId(row.get("group_id")?);
        groups.entry(parsed(row, "eui64")?).or_default().insert(id, role);
        Ok(())
    })?;
    Ok(groups)
}

fn sender_ids(db: &Connection) -> Result<Vec<Change>, Damage> {
    let sql = "SELECT group_id, pan_id, eui64, sender_id FROM sender_ids
        ORDER BY group_id, pan_id, sender_id";
    rows(db, sql, |row| {
        Ok(Change::SenderIdGiven {
            group: GroupId(row.get("group_id")?),
            pan: pan_id(row)?,
            eui64: parsed(row, "eui64")?,
            sender_id: checked(SenderId::new(row.get("sender_id")?), "sender_id")?,
        })
    })
}

/// The polynomial in force, then who was lost since it is.
fn pairs(db: &Connection) -> Result<Vec<Change>, Damage> {
    let sql = "SELECT eui64, earlier FROM pair_losses ORDER BY position";
    let losses = rows(db, sql, |row| Ok((parsed(row, "eui64")?, row.get("earlier")?)))?;
    let (before, lost): (Vec<(Eui64, bool)>, Vec<_>) = losses.into_iter().partition(|it| it.1);
    let lost_before: Vec<Eui64> = before.into_iter().map(|(eui64, _)| eui64).collect();
    let mut changes = rows(db, "SELECT * FROM pair_polynomial", |row| {
        let name = SetName { set: row.get("set_id")?, generation: row.get("generation")? };
        let seed = row.get_ref("seed")?.as_blob().map_err(|_| impossible("seed"))?;
        let seed = checked(Secret::from_slice(seed), "seed")?;
        let polynomial = Polynomial::new(name, row.get("degree")?, seed).ok();
        let polynomial = checked(polynomial, "degree")?;
        Ok(Change::PairsStarted { polynomial, lost_before: lost_before.clone() })
    })?;
    changes.extend(lost.into_iter().map(|(eui64, _)| Change::PairLost { eui64 }));
    Ok(changes)
}

fn window(db: &Connection) -> Result<Option<Change>, Damage> {
    let sql = "SELECT window_until FROM domain WHERE window_until IS NOT NULL";
    let until: Option<i64> = db.query_row(sql, [], |row| row.get(0)).optional()?;
    let until =
        until.map(|until| checked(u64::try_from(until).ok(), "window_until")).transpose()?;
    Ok(until.map(|micros| Change::WindowOpened { until: Instant::from_micros(micros) }))
}
