//! One line of the inventory, field by field.

use super::{COLUMNS, Reading};
use lowgate_manager::{
    DevicePsk, DeviceRecord, GROUPS_PER_DEVICE_MAX, GroupId, Identity, Kind, PSK_OCTETS_MAX,
    PSK_OCTETS_MIN, Role,
};
use lowgate_units::Eui64;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Display;
use zeroize::Zeroizing;

/// Names listed in a fault before it says how many more there are.
const LISTED_MAX: usize = 12;

/// Characters of a wrong value that a fault repeats.
const SHOWN_CHARS_MAX: usize = 40;

/// Hexadecimal digits from which on a value may be a key in the wrong column.
const KEY_DIGITS_MIN: usize = 20;

const KINDS: [Kind; 4] = [Kind::BorderRouter, Kind::Light, Kind::Switch, Kind::Sensor];

impl Reading<'_> {
    /// The device of a line, unless something is wrong with it. Every field is looked at.
    pub(super) fn row(&mut self, line: usize, fields: &[String]) -> Option<DeviceRecord> {
        let [eui64, psk, kind, room, groups] = fields else {
            let found = count(fields.len(), "field");
            let what = format!("{found}; allowed: {}", COLUMNS.join(","));
            self.fault(line, "columns", what);
            return None;
        };
        let eui64 = self.eui64(line, eui64);
        let psk = self.psk(line, psk);
        let kind = self.kind(line, kind);
        let room_known = self.room(line, room);
        let groups = self.groups(line, groups);
        let (eui64, psk, kind, groups) = (eui64?, psk?, kind?, groups?);
        let [.., high, low] = eui64.0;
        room_known.then(|| DeviceRecord {
            eui64,
            identity: Identity::from(eui64),
            psk,
            kind,
            name: format!("{} {high:02x}{low:02x}", kind.word()),
            room: room.clone(),
            groups,
        })
    }

    fn eui64(&mut self, line: usize, text: &str) -> Option<Eui64> {
        let Ok(eui64) = text.parse::<Eui64>() else {
            let allowed = "16 hexadecimal digits, or 8 pairs with - or : between";
            self.fault(line, "eui64", format!("{}; allowed: {allowed}", shown(text)));
            return None;
        };
        if [[0; 8], [0xff; 8]].contains(&eui64.0) {
            self.fault(line, "eui64", format!("{eui64} is nobody's; allowed: a maker's number"));
            return None;
        }
        match self.seen.entry(eui64) {
            Entry::Vacant(entry) => {
                entry.insert(line);
                Some(eui64)
            }
            Entry::Occupied(entry) => {
                let first = *entry.get();
                let what = format!("{eui64} stands in line {first} already; allowed: once");
                self.fault(line, "eui64", what);
                None
            }
        }
    }

    fn psk(&mut self, line: usize, text: &str) -> Option<DevicePsk> {
        let psk = key_octets(text)
            .and_then(|octets| DevicePsk::new(&octets).ok_or_else(|| count(octets.len(), "octet")));
        match psk {
            Ok(psk) => Some(psk),
            Err(wrong) => {
                let (min, max) = (PSK_OCTETS_MIN, PSK_OCTETS_MAX);
                let allowed = format!("{min} to {max} octets as hexadecimal digits");
                self.fault(line, "psk", format!("{wrong}; allowed: {allowed}"));
                None
            }
        }
    }

    fn kind(&mut self, line: usize, text: &str) -> Option<Kind> {
        let kind = Kind::from_word(text);
        if kind.is_none() {
            let allowed = list(KINDS.iter().map(|kind| kind.word()));
            self.fault(line, "kind", format!("{}; allowed: {allowed}", shown(text)));
        }
        kind
    }

    fn room(&mut self, line: usize, text: &str) -> bool {
        let Some(rooms) = &self.known.rooms else { return true };
        let known = rooms.contains(text);
        if !known {
            let what =
                format!("{} is not in the building; allowed: {}", shown(text), list(rooms.iter()));
            self.fault(line, "room", what);
        }
        known
    }

    /// `id:role;id:role`; empty for none.
    fn groups(&mut self, line: usize, text: &str) -> Option<BTreeMap<GroupId, Role>> {
        let faults_before = self.faults.len();
        let mut groups = BTreeMap::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((id, role)) = self.membership(line, part) else { continue };
            if groups.insert(id, role).is_some() {
                self.fault(line, "groups", format!("group {} twice; allowed: once", id.0));
            }
        }
        if groups.len() > GROUPS_PER_DEVICE_MAX {
            let what = format!("{} groups; allowed: {GROUPS_PER_DEVICE_MAX}", groups.len());
            self.fault(line, "groups", what);
        }
        (self.faults.len() == faults_before).then_some(groups)
    }

    fn membership(&mut self, line: usize, part: &str) -> Option<(GroupId, Role)> {
        let (id, role) = part.split_once(':').unwrap_or((part, ""));
        let declared = self.known.groups.as_ref();
        let id = id.trim().parse().ok().map(GroupId);
        let id = id.filter(|id| declared.is_none_or(|groups| groups.contains(id)));
        if id.is_none() {
            let allowed = match declared {
                Some(groups) => list(groups.iter().map(|group| group.0)),
                None => "a number from 0 to 65535".into(),
            };
            let what = format!("{} is no group; allowed: {allowed}", shown(part));
            self.fault(line, "groups", what);
        }
        let role = Role::from_word(role.trim());
        if role.is_none() {
            let allowed = "id:role with the role listener, sender or both";
            self.fault(line, "groups", format!("{}; allowed: {allowed}", shown(part)));
        }
        Some((id?, role?))
    }
}

/// The octets of a key, or what is wrong with its text, which is not repeated.
fn key_octets(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let digits = text.chars().count();
    let mut octets = Zeroizing::new(Vec::with_capacity(digits / 2));
    let mut high = None;
    for c in text.chars() {
        // A hexadecimal digit is below 16.
        let digit = c.to_digit(16).ok_or("not hexadecimal")? as u8;
        match high.take() {
            None => high = Some(digit),
            Some(high) => octets.push(high << 4 | digit),
        }
    }
    if high.is_some() {
        Err(format!("{}, half an octet too many", count(digits, "digit")))
    } else {
        Ok(octets)
    }
}

fn count(number: usize, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

/// A value as a fault may repeat it: quoted, on one line, short, and not if it may be a key.
pub(super) fn shown(text: &str) -> String {
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    if digits >= KEY_DIGITS_MIN {
        return format!("({digits} hexadecimal digits)");
    }
    let short: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{:?}{more}", short)
}

fn list(names: impl ExactSizeIterator<Item = impl Display>) -> String {
    let more = names.len().saturating_sub(LISTED_MAX);
    let mut shown: Vec<String> = names.take(LISTED_MAX).map(|name| name.to_string()).collect();
    if shown.is_empty() {
        shown.push("none, for none is declared".into());
    }
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}
