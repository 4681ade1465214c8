//! From rows to the changes that rebuild the domain.

use crate::Damage;
use lowgate_manager::{
    Change, CsbId, DevicePsk, DeviceRecord, DomainConfig, Generation, GroupEpoch, GroupId,
    GroupRecord, Identity, Key128, KeyIndex, Kind, LinkKey, Rand, Role, SenderId, Snapshot, TekId,
    Tgk,
};
use lowgate_units::{Channel, Eui64, Instant, Ipv6Addr, PanId, ShortAddr};
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
    if let Some(config) = domain(db)? {
        let link_key = link_key(db, "active")?.ok_or(impossible("link_keys.state"))?;
        changes.push(Change::DomainCreated { config, link_key });
        changes.extend(link_key_staged(db)?);
        changes.extend(groups(db)?);
        changes.extend(devices(db)?);
        changes.extend(sender_ids(db)?);
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

fn domain(db: &Connection) -> Result<Option<DomainConfig>, Damage> {
    let sql = "SELECT pan_id, channel, mesh_prefix, manager_addr FROM domain";
    let make = |row: &Row<'_>| {
        let prefix: Ipv6Addr = parsed(row, "mesh_prefix")?;
        let [upper @ .., _, _, _, _, _, _, _, _] = prefix.octets();
        Ok(DomainConfig {
            pan_id: checked(PanId::new(row.get("pan_id")?), "pan_id")?,
            channel: checked(Channel::new(row.get("channel")?), "channel")?,
            mesh_prefix: upper,
            manager_addr: parsed(row, "manager_addr")?,
        })
    };
    Ok(rows(db, sql, make)?.pop())
}

fn link_key(db: &Connection, state: &str) -> Result<Option<LinkKey>, Damage> {
    let sql = "SELECT key_index, key, state FROM link_keys";
    let keys = rows(db, sql, |row| {
        let index = checked(KeyIndex::new(row.get("key_index")?), "key_index")?;
        let stored: String = row.get("state")?;
        Ok((stored, LinkKey { index, key: key(row, "key")? }))
    })?;
    Ok(keys.into_iter().find(|(stored, _)| stored == state).map(|(_, key)| key))
}

fn link_key_staged(db: &Connection) -> Result<Option<Change>, Damage> {
    Ok(link_key(db, "staged")?.map(Change::LinkKeyStaged))
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

/// Imports, then admissions and revocations: the expelled first, whose successor may have the border
/// router's address.
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
    let sql = "SELECT eui64, state, short FROM devices WHERE state <> 'expected'
        ORDER BY state = 'admitted', eui64";
    let states = rows(db, sql, |row| {
        let eui64 = parsed(row, "eui64")?;
        let short: Option<u16> = row.get("short")?;
        let short = short.map(|raw| checked(ShortAddr::new(raw), "short")).transpose()?;
        let state: String = row.get("state")?;
        let admitted = short.map(|short| Change::Admitted { eui64, short });
        let revoked = (state == "revoked").then_some(Change::Revoked { eui64 });
        Ok([admitted, revoked])
    })?;
    changes.extend(states.into_iter().flatten().flatten());
    Ok(changes)
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
    let sql = "SELECT group_id, eui64, sender_id FROM members WHERE sender_id IS NOT NULL
        ORDER BY group_id, sender_id";
    rows(db, sql, |row| {
        Ok(Change::SenderIdGiven {
            group: GroupId(row.get("group_id")?),
            eui64: parsed(row, "eui64")?,
            sender_id: checked(SenderId::new(row.get("sender_id")?), "sender_id")?,
        })
    })
}

fn window(db: &Connection) -> Result<Option<Change>, Damage> {
    let sql = "SELECT window_until FROM domain WHERE window_until IS NOT NULL";
    let until: Option<i64> = db.query_row(sql, [], |row| row.get(0)).optional()?;
    let until =
        until.map(|until| checked(u64::try_from(until).ok(), "window_until")).transpose()?;
    Ok(until.map(|micros| Change::WindowOpened { until: Instant::from_micros(micros) }))
}
