//! A building as TOML.

use std::fmt::Write;

use super::{Building, Device};

/// A text that reads back as `building`, with `prefix` in front of the names of its tables.
pub(super) fn building(building: &Building, prefix: &str) -> String {
    let mut text = format!("name = {}\n", quoted(&building.name));
    let p = &building.propagation;
    line(&mut text, format_args!("\n[{prefix}radio]"));
    for (field, value) in [
        ("tx_dbm", p.tx_dbm),
        ("path_loss_exponent", p.path_loss_exponent),
        ("wall_db", p.wall_db),
        ("floor_db", p.floor_db),
        ("shadowing_db", p.shadowing_db),
    ] {
        line(&mut text, format_args!("{field} = {value:?}"));
    }
    for group in &building.groups {
        line(
            &mut text,
            format_args!("\n[[{prefix}group]]\nid = {}\nname = {}", group.id, quoted(&group.name)),
        );
    }
    for floor in &building.floors {
        let name = quoted(&floor.name);
        line(
            &mut text,
            format_args!("\n[[{prefix}floor]]\nlevel = {}\nname = {name}\nroom = [", floor.level),
        );
        for room in &floor.rooms {
            let wall = room.wall_db.map_or(String::new(), |db| format!(", wall_db = {db:?}"));
            let name = quoted(&room.name);
            line(
                &mut text,
                format_args!(
                    "    {{ name = {name}, x = {:?}, y = {:?}, width = {:?}, depth = {:?}{wall} }},",
                    room.x, room.y, room.width, room.depth
                ),
            );
        }
        text += "]\n";
    }
    let many = building.border_routers.len() > 1;
    let (open, close) = if many { ("[[", "]]") } else { ("[", "]") };
    for each in &building.border_routers {
        device(&mut text, &format!("{open}{prefix}border_router{close}"), each);
    }
    for each in &building.devices {
        device(&mut text, &format!("[[{prefix}device]]"), each);
    }
    text
}

fn device(text: &mut String, header: &str, device: &Device) {
    let Device { eui64, level, x, y } = device;
    line(
        text,
        format_args!("\n{header}\neui64 = \"{eui64}\"\nfloor = {level}\nx = {x:?}\ny = {y:?}"),
    );
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("writing to a String cannot fail");
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
