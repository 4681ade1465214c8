//! What a co-processor says of itself.

use super::dialog::{Dialog, Trouble};
use lowgate_router::co_processor::{QUESTIONS, objection};
use lowgate_spinel::{Capability, Property, RadioCaps, Reader};
use serde_json::{Map, Value};

/// How a value is read.
#[derive(Clone, Copy)]
enum Shape {
    /// `ii`
    Version,
    /// `U`
    Text,
    /// `i`
    Packed,
    /// `A(i)`
    PackedList,
    /// `C`
    Octet,
    /// `A(C)`
    Octets,
    /// `c`
    Signed,
    /// `E`
    Address,
}

/// Name, property, and how its value is read.
const ASKED: [(&str, Property, Shape); 14] = [
    ("firmware", Property::NCP_VERSION, Shape::Text),
    ("protocol", Property::PROTOCOL_VERSION, Shape::Version),
    ("api", Property::RCP_API_VERSION, Shape::Packed),
    ("api_host_min", Property::RCP_MIN_HOST_API_VERSION, Shape::Packed),
    ("interface", Property::INTERFACE_TYPE, Shape::Packed),
    ("interfaces", Property::INTERFACE_COUNT, Shape::Octet),
    ("capabilities", Property::CAPS, Shape::PackedList),
    ("radio_capabilities", Property::RADIO_CAPS, Shape::Packed),
    ("eui64", Property::HWADDR, Shape::Address),
    ("channels", Property::PHY_CHAN_SUPPORTED, Shape::Octets),
    ("channels_preferred", Property::PHY_CHAN_PREFERRED, Shape::Octets),
    ("tx_power_dbm", Property::PHY_TX_POWER, Shape::Signed),
    ("cca_threshold_dbm", Property::PHY_CCA_THRESHOLD, Shape::Signed),
    ("sensitivity_dbm", Property::PHY_RX_SENSITIVITY, Shape::Signed),
];

/// Bits of the radio's capabilities, as OpenThread counts them.
const RADIO_CAPABILITIES: [&str; 11] = [
    "waits for acknowledgements",
    "energy scan",
    "retries",
    "CSMA-CA",
    "sends from sleep",
    "security",
    "timed transmission",
    "timed reception",
    "receiver off when idle",
    "power per frame",
    "second short address",
];

/// Capabilities that radios have.
const CAPABILITIES: [(u64, &str); 11] = [
    (5, "counters"),
    (7, "peek and poke"),
    (12, "filter of updates"),
    (14, "captures"),
    (24, "2.4 GHz O-QPSK"),
    (34, "radio"),
    (64, "API version"),
    (65, "oldest host"),
    (66, "reset to its boot loader"),
    (67, "crash dump"),
    (513, "raw frames"),
];

const INTERFACE_THREAD: u64 = 3;

/// What a co-processor told.
pub(super) struct Info {
    told: Map<String, Value>,
}

impl Info {
    /// All of it; what it did not want to tell is null.
    pub(super) async fn ask(dialog: &mut Dialog) -> Result<Self, Trouble> {
        let (mut told, mut unfit) = (Map::new(), None);
        for (name, property, shape) in ASKED {
            let answer = match dialog.get(property).await {
                Ok(octets) => Ok(octets),
                Err(Trouble::Refused(status)) => Err(status),
                Err(trouble) => return Err(trouble),
            };
            if QUESTIONS.contains(&property) && unfit.is_none() {
                unfit = objection(property, answer.as_deref().map_err(|status| *status));
            }
            let value = answer.ok().and_then(|octets| read(shape, &octets));
            told.insert(name.into(), value.unwrap_or(Value::Null));
        }
        told.insert("unfit".into(), unfit.map(|why| why.to_string()).into());
        Ok(Self { told })
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        self.told.clone().into()
    }

    /// Why `lowgate run` could not use it.
    pub(super) fn unfit(&self) -> Option<&str> {
        self.told["unfit"].as_str()
    }

    /// Firmware and interface in a few words.
    pub(super) fn summary(&self) -> String {
        format!("{}, API {}", plain(&self.told["firmware"]), plain(&self.told["api"]))
    }

    /// It hands over to a bootloader when it is told to.
    pub(super) fn has_bootloader(&self) -> bool {
        let capability = u64::from(Capability::RCP_RESET_TO_BOOTLOADER.0);
        let told = self.told["capabilities"].as_array();
        told.is_some_and(|told| told.iter().any(|it| it.as_u64() == Some(capability)))
    }

    /// Its radio does so by itself.
    pub(super) fn has(&self, capability: RadioCaps) -> bool {
        let caps = self.told["radio_capabilities"].as_u64();
        let caps = caps.and_then(|caps| u32::try_from(caps).ok()).unwrap_or(0);
        RadioCaps(caps).contains(capability)
    }

    /// The channels that it has.
    pub(super) fn channels(&self) -> Vec<u8> {
        let channels = self.told["channels"].as_array().into_iter().flatten();
        channels.filter_map(|channel| u8::try_from(channel.as_u64()?).ok()).collect()
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let shown = ASKED.iter().map(|(name, ..)| (*name, words(name, &self.told[*name])));
        let fit = match self.unfit() {
            Some(why) => format!("no: {why}"),
            None => "yes".into(),
        };
        let shown = shown.chain([("fit for lowgate", fit)]);
        shown.map(|(name, value)| format!("{:<20} {value}", name.replace('_', " "))).collect()
    }
}

fn read(shape: Shape, octets: &[u8]) -> Option<Value> {
    let mut reader = Reader::new(octets);
    Some(match shape {
        Shape::Version => {
            let (major, minor) = (reader.packed().ok()?, reader.packed().ok()?);
            format!("{major}.{minor}").into()
        }
        Shape::Text => reader.text().ok()?.into(),
        Shape::Packed => reader.packed().ok()?.into(),
        Shape::PackedList => std::iter::from_fn(|| reader.packed().ok()).collect(),
        Shape::Octet => reader.u8().ok()?.into(),
        Shape::Octets => octets.iter().copied().collect(),
        Shape::Signed => reader.i8().ok()?.into(),
        Shape::Address => reader.eui64().ok()?.to_string().into(),
    })
}

/// A value with the meaning of its numbers.
fn words(name: &str, value: &Value) -> String {
    match (name, value) {
        (_, Value::Null) => "not told".into(),
        ("interface", Value::Number(number)) if number.as_u64() == Some(INTERFACE_THREAD) => {
            "Thread (3)".into()
        }
        ("capabilities", Value::Array(numbers)) => listed(numbers.iter().map(|number| {
            let known = CAPABILITIES.iter().find(|(it, _)| Some(*it) == number.as_u64());
            known.map_or(number.to_string(), |(number, name)| format!("{name} ({number})"))
        })),
        ("radio_capabilities", Value::Number(number)) => {
            let caps = number.as_u64().unwrap_or(0);
            let has = |bit: &usize| caps >> bit & 1 == 1;
            let named = |bit: usize| match RADIO_CAPABILITIES.get(bit) {
                Some(name) => (*name).to_owned(),
                None => format!("bit {bit}"),
            };
            format!("{} ({caps:#x})", listed((0..32).filter(has).map(named)))
        }
        ("channels" | "channels_preferred", Value::Array(channels)) => ranges(channels),
        (_, value) => plain(value),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn listed(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// Neighbouring numbers as one word.
fn ranges(numbers: &[Value]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers.iter().filter_map(Value::as_u64) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    listed(ranges.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(name: &str, value: &Value, expected: &str) {
        assert_eq!(words(name, value), expected, "{name} {value}");
    }

    #[test]
    fn numbers_have_words() {
        check("firmware", &json!("OPENTHREAD/1; nRF"), "OPENTHREAD/1; nRF");
        check("firmware", &Value::Null, "not told");
        check("interface", &json!(3), "Thread (3)");
        check("interface", &json!(2), "2");
        check("capabilities", &json!([34, 513, 99]), "radio (34), raw frames (513), 99");
        check(
            "radio_capabilities",
            &json!(13),
            "waits for acknowledgements, retries, CSMA-CA (0xd)",
        );
        check("radio_capabilities", &json!(0x8000), "bit 15 (0x8000)");
        check("channels", &json!([11, 12, 13, 20, 25, 26]), "11 to 13, 20, 25 to 26");
        check("tx_power_dbm", &json!(-3), "-3");
    }

    #[test]
    fn values_that_make_no_sense_are_not_told() {
        assert_eq!(read(Shape::Version, &[4]), None);
        assert_eq!(read(Shape::Text, b"no end"), None);
        assert_eq!(read(Shape::Address, &[1; 7]), None);
        assert_eq!(read(Shape::PackedList, &[34, 0x81, 4]), Some(json!([34, 513])));
    }
}
