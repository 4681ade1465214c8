//! What the parts of a program cost, from the linked file: flash by source, RAM by what the program says of
//! itself.
//!
//! Every two octets of code are looked up in the line table. They belong to the innermost function of ours that
//! was inlined there, whoever's code they finally are: a copy loop of the language's library to whom it
//! copies for. Code of the library that stands by itself, such as `memcpy`, is nobody's.

use object::{Object, ObjectSection, ObjectSymbol};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

/// A part, and what the path of its sources contains. The first that fits counts.
const PARTS: &[(&str, &[&str])] = &[
    (
        RECORD_LAYER,
        &["dtls/src/record.rs", "dtls/src/protect.rs", "dtls/src/replay.rs", "dtls/src/group.rs"],
    ),
    (STATE_MACHINE, &["crates/dtls/src/"]),
    (
        CRYPTOGRAPHY,
        &[
            "crates/crypto/src/",
            "/aes-",
            "/sha2-",
            "/hmac-",
            "/hkdf-",
            "/cipher-",
            "/digest-",
            "/block-buffer-",
        ],
    ),
    (KEY_MANAGEMENT, &["crates/amikey/src/", "/minicbor-"]),
    ("network access", &["crates/access/src/"]),
    ("MAC", &["crates/mac/src/", "crates/ieee802154/src/"]),
    ("6LoWPAN", &["crates/sixlowpan/src/"]),
    ("IPv6, RPL, MPL", &["crates/net/src/", "/smoltcp-"]),
    ("CoAP", &["crates/coap/src/", "/coap-lite-", "/coap-message-"]),
    ("node", &["crates/node/src/"]),
    ("flash, button, LED", &["device/src/"]),
    ("chip, USB, tasks", &["/embassy-", "/nrf-pac-"]),
    (
        "program",
        &[
            "footprint/src/",
            "device-qemu/src/",
            "lm3s6965/src/",
            "nrf52840/src/",
            "retained/src/",
            "crates/rcp/src/",
            "crates/spinel/src/",
            "/embedded-alloc-",
            "/linked_list_allocator-",
        ],
    ),
];
const STATE_MACHINE: &str = "state machine";
const CRYPTOGRAPHY: &str = "cryptography";
const KEY_MANAGEMENT: &str = "key management";
const RECORD_LAYER: &str = "record layer";
/// Of the language: `memcpy`, division, text.
const LIBRARY: &str = "library";
const DATA: &str = "constants";
/// The symbol in which a program says what its parts keep in RAM, and what its numbers are, in order.
const SIZES: &str = "LOWGATE_SIZES";
const SIZES_PARTS: [&str; 4] = [STATE_MACHINE, RECORD_LAYER, KEY_MANAGEMENT, "buffers"];
/// Of a program that does not say it.
const VARIABLES: &str = "variables, heap";
/// An instruction has two or four.
const STEP_OCTETS: u64 = 2;

/// Octets of flash and of RAM that a program may cost, a hundredth more than it does. They may only shrink.
const BUDGETS: &[(&str, u64, u64)] = &[
    ("footprint-soft", 59_600, 6_350),
    ("footprint-engine", 55_100, 6_350),
    ("rcp-dongle", 59_700, 19_700),
    ("rcp-kit", 47_500, 20_500),
    ("device-dongle", 266_300, 70_100),
    ("device-kit", 266_300, 70_100),
    ("device-qemu", 262_144, 31_200),
];

type Sizes = BTreeMap<&'static str, u64>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [json, programs @ ..] = &arguments[..] else {
        eprintln!("lowgate-size JSON PROGRAM...");
        return ExitCode::from(2);
    };
    let measured: Result<Map<String, Value>, String> = programs
        .iter()
        .map(|program| measure(Path::new(program)).map_err(|fault| format!("{program}: {fault}")))
        .collect();
    let written = measured.and_then(|table| {
        let text = format!("{:#}\n", Value::Object(table));
        std::fs::write(json, text).map_err(|fault| format!("{json}: {fault}"))
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn measure(program: &Path) -> Result<(String, Value), String> {
    let octets = std::fs::read(program).map_err(|fault| fault.to_string())?;
    let file = object::File::parse(&*octets).map_err(|fault| fault.to_string())?;
    let loader = addr2line::Loader::new(program).map_err(|fault| fault.to_string())?;
    let mut flash = Sizes::new();
    for section in file.sections() {
        let (name, size) = (section.name().unwrap_or_default(), section.size());
        match name {
            ".text" => code(&loader, section.address(), size, &mut flash),
            ".vector_table" | ".rodata" | ".data" => *flash.entry(DATA).or_default() += size,
            _ => {}
        }
    }
    let variables = [".data", ".bss", ".uninit"].map(|name| file.section_by_name(name));
    let variables = variables.iter().flatten().map(ObjectSection::size).sum();
    let ram = kept(&file).unwrap_or_else(|| Sizes::from([(VARIABLES, variables)]));
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    print(&name, &flash, &ram);
    let (flash_all, ram_all) = (flash.values().sum::<u64>(), ram.values().sum::<u64>());
    if let Some((_, flash_max, ram_max)) = BUDGETS.iter().find(|(of, ..)| *of == name)
        && (flash_all > *flash_max || ram_all > *ram_max)
    {
        return Err(format!("more than its budget of {flash_max} and {ram_max} octets"));
    }
    Ok((name, json!({ "flash": flash, "ram": ram })))
}

fn code(loader: &addr2line::Loader, address: u64, size: u64, flash: &mut Sizes) {
    for address in (address..address + size).step_by(STEP_OCTETS as usize) {
        *flash.entry(part(loader, address)).or_default() += STEP_OCTETS;
    }
}

fn part(loader: &addr2line::Loader, address: u64) -> &'static str {
    let Ok(mut frames) = loader.find_frames(address) else { return LIBRARY };
    while let Ok(Some(frame)) = frames.next() {
        let file = frame.location.and_then(|location| location.file).unwrap_or_default();
        let fits = |part: &&(&str, &[&str])| part.1.iter().any(|path| file.contains(path));
        if let Some((part, _)) = PARTS.iter().find(fits) {
            return part;
        }
    }
    LIBRARY
}

/// The numbers behind the symbol.
fn kept(file: &object::File<'_>) -> Option<Sizes> {
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(SIZES))?;
    let section = file.section_by_index(symbol.section_index()?).ok()?;
    let data = section.data_range(symbol.address(), 4 * SIZES_PARTS.len() as u64).ok()??;
    let (numbers, []) = data.as_chunks::<4>() else { return None };
    let numbers = numbers.iter().map(|number| u64::from(u32::from_le_bytes(*number)));
    Some(SIZES_PARTS.into_iter().zip(numbers).collect())
}

fn print(name: &str, flash: &Sizes, ram: &Sizes) {
    println!("{name}: octets of flash and of RAM");
    let parts = PARTS.iter().map(|(part, _)| *part).chain([LIBRARY, DATA, "buffers", VARIABLES]);
    for part in parts.filter(|part| flash.contains_key(part) || ram.contains_key(part)) {
        let figure = |sizes: &Sizes| sizes.get(part).map_or("-".into(), u64::to_string);
        println!("  {part:<18} {:>6} {:>6}", figure(flash), figure(ram));
    }
    let all = |sizes: &Sizes| sizes.values().sum::<u64>();
    println!("  {:<18} {:>6} {:>6}", "all", all(flash), all(ram));
}
