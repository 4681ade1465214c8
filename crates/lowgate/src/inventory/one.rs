//! One device as a person tells it, under the rules of a line of the file.

use super::{Known, Reading};
use lowgate_manager::DeviceRecord;
use std::collections::BTreeMap;

/// The fields of a line, and the name, which a file leaves to the kind and the last digits.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// As in a file.
    pub eui64: &'a str,
    /// As in a file.
    pub psk: &'a str,
    /// As in a file.
    pub kind: &'a str,
    /// `None` for the one that a file would give it.
    pub name: Option<&'a str>,
    /// As in a file.
    pub room: &'a str,
    /// As in a file.
    pub groups: &'a str,
}

/// The device.
///
/// # Errors
/// Everything that is wrong, a line each: `field: what is wrong, what is allowed`.
pub fn one(told: Told<'_>) -> Result<DeviceRecord, Vec<String>> {
    one_of(told, &Known::default())
}

/// The device, which may refer to what is `known` alone.
///
/// # Errors
/// As [`one`].
pub fn one_of(told: Told<'_>, known: &Known) -> Result<DeviceRecord, Vec<String>> {
    let fields = [told.eui64, told.psk, told.kind, told.room, told.groups];
    let fields = fields.map(|field| field.trim().to_owned());
    let mut reading = Reading { file: "", known, faults: Vec::new(), seen: BTreeMap::new() };
    let record = reading.row(1, &fields);
    let lines = || reading.faults.iter().map(|fault| format!("{}: {}", fault.field, fault.what));
    let mut record = record.ok_or_else(|| lines().collect::<Vec<_>>())?;
    record.name = told.name.map_or(record.name, |name| name.trim().to_owned());
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_manager::{GroupId, Kind, Role};

    const TOLD: Told<'_> = Told {
        eui64: "02-12-4b-00-00-00-00-01",
        psk: "00112233445566778899aabbccddeeff\n",
        kind: "light",
        name: None,
        room: "Kitchen",
        groups: "1:listener;7:both",
    };

    fn check(told: Told<'_>, wrong: &[&str]) {
        let faults = one(told).expect_err("something is wrong");
        assert_eq!(faults.len(), wrong.len(), "{faults:?}");
        for (fault, wrong) in faults.iter().zip(wrong) {
            assert!(fault.starts_with(wrong) && fault.contains("allowed: "), "{fault}");
            assert!(!fault.contains('\n') && !fault.contains("00112233"), "{fault}");
        }
    }

    #[test]
    fn it_is_what_a_line_of_a_file_would_be() {
        let record = one(TOLD).expect("nothing is wrong");
        let text = "eui64,psk,kind,room,groups\n02-12-4b-00-00-00-00-01,\
                    00112233445566778899aabbccddeeff,light,Kitchen,1:listener;7:both\n";
        let line = crate::inventory::parse("x.csv", text.as_bytes(), &Known::default());
        assert_eq!(line, Ok(vec![record.clone()]));
        assert_eq!(
            (record.kind, record.groups[&GroupId(7)]),
            (Kind::Light, Role::SenderAndListener)
        );
        let named = one(Told { name: Some("Stove"), ..TOLD }).expect("nothing is wrong");
        assert_eq!(named, DeviceRecord { name: "Stove".into(), ..record });
    }

    #[test]
    fn every_fault_names_its_field() {
        check(Told { eui64: "02-12", ..TOLD }, &["eui64: "]);
        check(Told { psk: "001122334455667788", ..TOLD }, &["psk: "]);
        check(Told { psk: "00112233445566778899aabbccddeefg", ..TOLD }, &["psk: "]);
        check(Told { kind: "lamp", groups: "1", ..TOLD }, &["kind: ", "groups: "]);
    }
}
