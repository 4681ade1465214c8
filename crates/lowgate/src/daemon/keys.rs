//! `lowgate keys`: where every key stands, and periodic rekeys.
//!
//! **Invariant:** keys are named by index, epoch and generation; no value of a key gets here.

use super::commands::{Shown, Where, say};
use super::control::Ask;
use super::table::text;
use clap::{Args, Subcommand};
use lowgate_manager::{
    GroupKeyStatus, KeyStatus, PairKeyStatus, PanKeyStatus, RekeyRefused, StagedKeyStatus,
};
use lowgate_units::Eui64;
use serde_json::{Value, json};
use std::process::ExitCode;

/// `lowgate keys …`
#[derive(Clone, Debug, Subcommand)]
pub enum Keys {
    /// Which keys are in force, which are on their way, and who did not confirm them
    Status {
        /// How it is shown
        #[command(flatten)]
        shown: Shown,
    },
    /// Begins a rekey with nobody expelled; it goes on by itself, see `keys status` and `events`
    Rotate {
        /// Which key
        #[command(flatten)]
        which: Which,
    },
}

/// One of them.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// The link-layer key of every PAN
    #[arg(long)]
    network: bool,
    /// A group's: a new epoch under the key that it has
    #[arg(long, value_name = "ID")]
    group: Option<u16>,
    /// The polynomial that devices have shares of: each fetches another
    #[arg(long)]
    pairs: bool,
}

/// `lowgate keys …`
pub fn keys(place: &Where, keys: &Keys) -> ExitCode {
    match keys {
        Keys::Status { shown } => say(place, &Ask::KeysStatus, |value| {
            if shown.json { vec![value.to_string()] } else { lines(value) }
        }),
        Keys::Rotate { which: Which { group: Some(id), .. } } => {
            say(place, &Ask::KeysRotateGroup { id: *id }, |_| {
                vec![format!("group {id} has another epoch; its members are told")]
            })
        }
        Keys::Rotate { which: Which { pairs: true, .. } } => {
            say(place, &Ask::KeysRotatePairs, |_| {
                vec![
                    "another polynomial is in force; every device is told to fetch its share"
                        .into(),
                ]
            })
        }
        Keys::Rotate { which: Which { group: None, .. } } => {
            say(place, &Ask::KeysRotateNetwork, |_| {
                vec!["another link key is on its way to every member".into()]
            })
        }
    }
}

/// What the command is told.
pub(super) fn shown(keys: &KeyStatus) -> Value {
    let names = |devices: &[Eui64]| devices.iter().map(ToString::to_string).collect::<Value>();
    let staged = |staged: &StagedKeyStatus| {
        json!({
            "index": staged.index,
            "confirmed": staged.confirmed,
            "of": staged.of,
            "unconfirmed": names(&staged.laggards),
        })
    };
    let group = |group: &GroupKeyStatus| {
        json!({
            "id": group.id.0,
            "name": group.name,
            "epoch": group.tek_id,
            "generation": group.generation,
            "senders": group.senders,
            "members": group.members,
            "confirmed": group.members - group.unconfirmed.len(),
            "unconfirmed": names(&group.unconfirmed),
        })
    };
    let pan = |pan: &PanKeyStatus| {
        json!({
            "pan_id": format!("{:?}", pan.pan),
            "link_key": { "index": pan.link_key_index, "members": pan.members },
            "staged": pan.staged.as_ref().map(staged),
        })
    };
    let pairs = |pairs: &PairKeyStatus| {
        json!({
            "set": pairs.name.set,
            "generation": pairs.name.generation,
            "degree": pairs.degree,
            "lost": pairs.lost,
            "lost_max": pairs.lost_max,
            "holders": pairs.holders,
        })
    };
    json!({
        "pans": keys.pans.iter().map(pan).collect::<Value>(),
        "groups": keys.groups.iter().map(group).collect::<Value>(),
        "pairs": keys.pairs.as_ref().map(pairs),
    })
}

pub(super) fn refused(why: RekeyRefused) -> &'static str {
    match why {
        RekeyRefused::UnderWay => "a link key is on its way already; see `lowgate keys status`",
        RekeyRefused::NoBorderRouter => "no border router is a member, so no mesh has a key",
        RekeyRefused::NoPairs => "no device has asked for a share of a polynomial yet",
        RekeyRefused::UnknownGroup => "there is no such group; see `lowgate keys status`",
    }
}

fn lines(keys: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for pan in keys["pans"].as_array().into_iter().flatten() {
        let (id, link) = (text(&pan["pan_id"]), &pan["link_key"]);
        let [index, members] = ["index", "members"].map(|field| &link[field]);
        lines.push(format!("PAN {id}: link key {index} is in force, {members} members"));
        let staged = &pan["staged"];
        if !staged.is_null() {
            let [index, confirmed, of] = ["index", "confirmed", "of"].map(|field| &staged[field]);
            lines.push(format!(
                "PAN {id}: link key {index} is on its way: {confirmed} of {of} confirmed it"
            ));
            lines.extend(unconfirmed(staged));
        }
    }
    let groups = keys["groups"].as_array().map_or(&[][..], |groups| groups);
    if !groups.is_empty() {
        lines.push("group  epoch  generation  members  confirmed  senders  name".into());
    }
    for group in groups {
        let [id, epoch, generation, members, confirmed, senders] =
            ["id", "epoch", "generation", "members", "confirmed", "senders"]
                .map(|field| text(&group[field]));
        let name = text(&group["name"]);
        lines.push(format!(
            "{id:>5}  {epoch:>5}  {generation:>10}  {members:>7}  {confirmed:>9}  {senders:>7}  {name}"
        ));
        lines.extend(unconfirmed(group));
    }
    let pairs = &keys["pairs"];
    if !pairs.is_null() {
        let [generation, degree, lost, lost_max, holders] =
            ["generation", "degree", "lost", "lost_max", "holders"].map(|field| &pairs[field]);
        lines.push(format!(
            "pairs: generation {generation} of degree {degree}, fetched by {holders} devices; {lost} \
             lost, another one begins at {lost_max}"
        ));
    }
    lines
}

fn unconfirmed(of: &Value) -> impl Iterator<Item = String> {
    let devices = of["unconfirmed"].as_array().into_iter().flatten();
    devices.map(|device| format!("  {} has not confirmed it", text(device)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_manager::{GroupId, SetName};
    use lowgate_units::PanId;

    #[test]
    fn people_and_programs_see_the_same() {
        let laggard: Eui64 = "02-12-4b-00-00-00-00-01".parse().expect("an EUI-64");
        let staged = StagedKeyStatus { index: 4, confirmed: 2, of: 3, laggards: vec![laggard] };
        let group = GroupKeyStatus {
            id: GroupId(7),
            name: "lights".into(),
            tek_id: 9,
            generation: 2,
            senders: 1,
            members: 2,
            unconfirmed: vec![laggard],
        };
        let pan = |id, staged| PanKeyStatus {
            pan: PanId::new(id).expect("not broadcast"),
            link_key_index: 3,
            members: 3,
            staged,
        };
        let pans = vec![pan(0x1a43, Some(staged)), pan(0x2b54, None)];
        let name = SetName { set: 1, generation: 2 };
        let pairs = PairKeyStatus { name, degree: 31, lost: 1, lost_max: 7, holders: 2 };
        let value = shown(&KeyStatus { pans, groups: vec![group], pairs: Some(pairs) });
        assert_eq!(value["pans"][0]["staged"]["unconfirmed"][0], laggard.to_string());
        assert_eq!(
            (&value["groups"][0]["epoch"], &value["groups"][0]["id"]),
            (&json!(9), &json!(7))
        );
        let expected = [
            "PAN 0x1a43: link key 3 is in force, 3 members",
            "PAN 0x1a43: link key 4 is on its way: 2 of 3 confirmed it",
            "  02-12-4b-00-00-00-00-01 has not confirmed it",
            "PAN 0x2b54: link key 3 is in force, 3 members",
            "group  epoch  generation  members  confirmed  senders  name",
            "    7      9           2        2          1        1  lights",
            "  02-12-4b-00-00-00-00-01 has not confirmed it",
            "pairs: generation 2 of degree 31, fetched by 2 devices; 1 lost, another one begins at 7",
        ];
        assert_eq!(lines(&value), expected);
        let calm =
            shown(&KeyStatus { pans: vec![pan(0x1a43, None)], groups: Vec::new(), pairs: None });
        assert_eq!(lines(&calm), ["PAN 0x1a43: link key 3 is in force, 3 members"]);
    }
}
