//! From changes to rows. Every statement says how many rows it must touch.

use crate::Damage;
use lowgate_manager::{
    BORDER_ROUTER_SHORT, Change, DeviceRecord, DomainConfig, GroupEpoch, GroupId, GroupRecord,
    LinkKey, PanConfig, Polynomial, Role,
};
use lowgate_units::{Eui64, Ipv6Addr, PanId, ShortAddr};
use rusqlite::{Connection, Params, params};

/// The revision that this transaction makes.
pub(crate) fn revision(db: &Connection, revision: u64) -> Result<(), Damage> {
    let revision = number(revision, "revision")?;
    one(db, "revision", "UPDATE ledger SET revision = ?1", params![revision])
}

/// Follows one change.
pub(crate) fn change(db: &Connection, change: &Change) -> Result<(), Damage> {
    match change {
        Change::DomainCreated { config, link_key } => domain_created(db, config, link_key),
        Change::PanCreated { config, link_key } => pan_created(db, config, link_key),
        Change::LinkKeyStaged { pan, key } => {
            let sql = "DELETE FROM link_keys WHERE pan_id = ?1 AND state = 'staged'";
            db.execute(sql, params![pan.raw()])?;
            insert_key(db, *pan, key, "staged")
        }
        Change::LinkKeyActivated { pan, index } => {
            let sql = "DELETE FROM link_keys WHERE pan_id = ?1 AND state = 'active'";
            db.execute(sql, params![pan.raw()])?;
            let sql = "UPDATE link_keys SET state = 'active' WHERE pan_id = ?1 AND key_index = ?2";
            one(db, "LinkKeyActivated", sql, params![pan.raw(), index.raw()])
        }
        Change::DeviceImported(record) => device_imported(db, record),
        Change::GroupCreated { record, epoch } => group_created(db, record, epoch),
        Change::GroupEpochStarted { group, epoch } => {
            db.execute("DELETE FROM sender_ids WHERE group_id = ?1", params![group.0])?;
            epoch_started(db, group.0, epoch)
        }
        Change::SenderIdGiven { group, pan, eui64, sender_id } => {
            let sql = "INSERT OR REPLACE INTO sender_ids (group_id, pan_id, eui64, sender_id)
                VALUES (?1, ?2, ?3, ?4)";
            let row = params![group.0, pan.raw(), eui64.to_string(), sender_id.raw()];
            one(db, "SenderIdGiven", sql, row)
        }
        Change::MemberAdded { group, eui64, role } => member_added(db, *group, *eui64, *role),
        Change::MemberRemoved { group, eui64 } => {
            let sql = "DELETE FROM members WHERE group_id = ?1 AND eui64 = ?2";
            one(db, "MemberRemoved", sql, params![group.0, eui64.to_string()])
        }
        Change::Admitted { eui64, pan, short } => {
            placed(db, ("Admitted", "expected"), *eui64, *pan, *short)
        }
        Change::Moved { eui64, pan, short } => {
            placed(db, ("Moved", "admitted"), *eui64, *pan, *short)
        }
        Change::Revoked { eui64 } => {
            let sql =
                "UPDATE devices SET state = 'revoked' WHERE eui64 = ?1 AND state <> 'revoked'";
            one(db, "Revoked", sql, params![eui64.to_string()])
        }
        Change::PairsStarted { polynomial, lost_before } => {
            pairs_started(db, polynomial, lost_before)
        }
        Change::PairLost { eui64 } => pair_lost(db, *eui64, false),
        Change::WindowOpened { until } => {
            let until = number(until.as_micros(), "window_until")?;
            one(db, "WindowOpened", "UPDATE domain SET window_until = ?1", params![until])
        }
        Change::WindowClosed => {
            one(db, "WindowClosed", "UPDATE domain SET window_until = NULL", [])
        }
    }
}

fn domain_created(db: &Connection, config: &DomainConfig, key: &LinkKey) -> Result<(), Damage> {
    pan_created(db, &config.founding_pan(), key)?;
    let sql = "INSERT INTO domain (id, pan_id, manager_addr) VALUES (1, ?1, ?2)";
    let row = params![config.pan_id.raw(), config.manager_addr.to_string()];
    one(db, "DomainCreated", sql, row)?;
    for channel in config.further_channels.iter() {
        let sql = "INSERT INTO further_channels (channel) VALUES (?1)";
        one(db, "DomainCreated", sql, params![channel.number()])?;
    }
    Ok(())
}

fn pan_created(db: &Connection, config: &PanConfig, key: &LinkKey) -> Result<(), Damage> {
    let sql = "INSERT INTO pans (pan_id, channel, mesh_prefix) VALUES (?1, ?2, ?3)";
    let mut prefix = [0; 16];
    prefix[..8].copy_from_slice(&config.mesh_prefix);
    let prefix = Ipv6Addr::from(prefix).to_string();
    one(db, "PanCreated", sql, params![config.pan_id.raw(), config.channel.number(), prefix])?;
    insert_key(db, config.pan_id, key, "active")
}

fn insert_key(db: &Connection, pan: PanId, key: &LinkKey, state: &str) -> Result<(), Damage> {
    let sql = "INSERT INTO link_keys (pan_id, key_index, key, state) VALUES (?1, ?2, ?3, ?4)";
    let row = params![pan.raw(), key.index.raw(), &key.key.expose()[..], state];
    one(db, "LinkKeyStaged", sql, row)
}

/// A device that was in that state has an address in a PAN, for the first time or again.
fn placed(
    db: &Connection,
    (change, state): (&'static str, &str),
    eui64: Eui64,
    pan: PanId,
    short: ShortAddr,
) -> Result<(), Damage> {
    let sql = "UPDATE devices SET state = 'admitted', pan_id = ?2, short = ?3
        WHERE eui64 = ?1 AND state = ?4";
    let eui64 = eui64.to_string();
    one(db, change, sql, params![eui64, pan.raw(), short.raw(), state])?;
    if short == BORDER_ROUTER_SHORT {
        return Ok(());
    }
    let sql = "INSERT INTO addresses (pan_id, short, eui64) VALUES (?1, ?2, ?3)
        ON CONFLICT (pan_id, short) DO UPDATE SET short = short WHERE eui64 = ?3";
    one(db, change, sql, params![pan.raw(), short.raw(), eui64])
}

fn device_imported(db: &Connection, record: &DeviceRecord) -> Result<(), Damage> {
    let sql = "INSERT INTO devices (eui64, identity, psk, kind, name, room, state)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'expected')";
    let eui64 = record.eui64.to_string();
    let row = params![
        eui64,
        record.identity.octets(),
        record.psk.expose(),
        record.kind.word(),
        record.name,
        record.room,
    ];
    one(db, "DeviceImported", sql, row)?;
    for (group, role) in &record.groups {
        member_added(db, *group, record.eui64, *role)?;
    }
    Ok(())
}

fn member_added(db: &Connection, group: GroupId, eui64: Eui64, role: Role) -> Result<(), Damage> {
    let sql = "INSERT INTO members (group_id, eui64, role) VALUES (?1, ?2, ?3)";
    one(db, "MemberAdded", sql, params![group.0, eui64.to_string(), role.word()])
}

fn group_created(db: &Connection, group: &GroupRecord, epoch: &GroupEpoch) -> Result<(), Damage> {
    let sql = "INSERT INTO groups (group_id, name, port, csb_id, generation, tek_id, tgk, rand)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let row = params![
        group.id.0,
        group.name,
        group.port,
        epoch.csb_id.0,
        epoch.generation.0,
        epoch.tek_id.raw(),
        &epoch.tgk.0.expose()[..],
        &epoch.rand.0.expose()[..],
    ];
    one(db, "GroupCreated", sql, row)
}

fn epoch_started(db: &Connection, group: u16, epoch: &GroupEpoch) -> Result<(), Damage> {
    let sql = "UPDATE groups SET csb_id = ?2, generation = ?3, tek_id = ?4, tgk = ?5, rand = ?6
        WHERE group_id = ?1";
    let row = params![
        group,
        epoch.csb_id.0,
        epoch.generation.0,
        epoch.tek_id.raw(),
        &epoch.tgk.0.expose()[..],
        &epoch.rand.0.expose()[..],
    ];
    one(db, "GroupEpochStarted", sql, row)
}

fn pairs_started(
    db: &Connection,
    polynomial: &Polynomial,
    lost_before: &[Eui64],
) -> Result<(), Damage> {
    db.execute("DELETE FROM pair_losses", [])?;
    for eui64 in lost_before {
        pair_lost(db, *eui64, true)?;
    }
    let sql = "INSERT OR REPLACE INTO pair_polynomial (id, set_id, generation, degree, seed)
        VALUES (1, ?1, ?2, ?3, ?4)";
    let name = polynomial.name();
    let seed = &polynomial.seed().expose()[..];
    let row = params![name.set, name.generation, polynomial.degree(), seed];
    one(db, "PairsStarted", sql, row)
}

fn pair_lost(db: &Connection, eui64: Eui64, earlier: bool) -> Result<(), Damage> {
    let sql = "INSERT INTO pair_losses (eui64, earlier) VALUES (?1, ?2)";
    one(db, "PairLost", sql, params![eui64.to_string(), earlier])
}

fn number(value: u64, column: &'static str) -> Result<i64, Damage> {
    i64::try_from(value).map_err(|_| Damage::Value { column })
}

/// A statement that must touch one row.
fn one(db: &Connection, change: &'static str, sql: &str, row: impl Params) -> Result<(), Damage> {
    match db.prepare_cached(sql)?.execute(row)? {
        1 => Ok(()),
        _ => Err(Damage::Change { change }),
    }
}
