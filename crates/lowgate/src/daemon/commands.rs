//! The daemon's command line.

use super::config::{self, Config};
use super::control::{self, Answer, Ask};
use super::origin;
use super::run::Role;
use clap::{Args, Subcommand};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Octets of a line with a claim code, however it is grouped.
const CLAIM_LINE_OCTETS_MAX: u64 = 256;

/// Where the daemon is.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// The daemon's configuration
    #[arg(long, value_name = "FILE", default_value = config::PATH, global = true)]
    config: PathBuf,
}

/// How a listing is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct Shown {
    /// As JSON, for programs
    #[arg(long)]
    pub(super) json: bool,
}

/// `lowgate device …`
#[derive(Clone, Debug, Subcommand)]
pub enum Device {
    /// Takes over an inventory (CSV: eui64,psk,kind,room,groups); all of it or nothing
    Import {
        /// The file
        file: PathBuf,
    },
    /// Takes a border router into the inventory by its claim code, which standard input has
    Claim,
    /// Takes one device into the inventory
    Add(super::add::Add),
    /// Everybody in the inventory
    List {
        /// How it is shown
        #[command(flatten)]
        shown: Shown,
    },
    /// One of them
    Show {
        /// Its EUI-64
        eui64: String,
        /// How it is shown
        #[command(flatten)]
        shown: Shown,
    },
    /// Reads a resource of a device by CoAP in its session
    Read {
        /// Its EUI-64
        eui64: String,
        /// Like light
        path: String,
    },
    /// Expels a device and replaces every key it held
    Revoke {
        /// Its EUI-64
        eui64: String,
    },
}

/// `lowgate group …`
#[derive(Clone, Debug, Subcommand)]
pub enum Group {
    /// A new group; devices join it by the inventory
    Create {
        /// Its number, never anybody else's
        id: u16,
        /// What people call it
        name: String,
    },
}

/// `lowgate window …`
#[derive(Clone, Debug, Subcommand)]
pub enum Window {
    /// Lets devices of the inventory join
    Open {
        /// For so long
        #[arg(long, default_value_t = 15)]
        minutes: u64,
    },
    /// Lets none in any more
    Close,
}

/// `lowgate mesh …`
#[derive(Clone, Debug, Subcommand)]
pub enum Mesh {
    /// Who sends upward through whom
    Tree {
        /// How it is shown
        #[command(flatten)]
        shown: Shown,
    },
}

/// Writes a configuration with every key documented; never over a file that is there.
pub fn init(path: &Path) -> ExitCode {
    let made = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let made = made.map_or(Ok(()), std::fs::create_dir_all);
    let file = made.and_then(|()| OpenOptions::new().write(true).create_new(true).open(path));
    match file.and_then(|mut file| file.write_all(config::TEMPLATE.as_bytes())) {
        Ok(()) => {
            println!("{}: written; adapt it, then `lowgate run`", path.display());
            ExitCode::SUCCESS
        }
        Err(fault) => failed(&format!("{}: not written: {fault}", path.display())),
    }
}

/// `lowgate run`
pub fn run(place: &Where) -> ExitCode {
    serve(place, Role::Both)
}

/// `lowgate router`
pub fn router(place: &Where) -> ExitCode {
    serve(place, Role::BorderRouter)
}

/// `lowgate manager`
pub fn manager(place: &Where) -> ExitCode {
    serve(place, Role::Manager)
}

fn serve(place: &Where, role: Role) -> ExitCode {
    let ended = Config::read(&place.config).and_then(|config| {
        runtime()?.block_on(super::run::run(role, &config, &mut std::io::stdout()))
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => failed(&fault),
    }
}

/// `lowgate claim`: the one place where a claim code is shown.
pub fn claim(place: &Where) -> ExitCode {
    let shown = Config::read(&place.config).and_then(|config| {
        let claim = origin::claim_of(&config.state.dir)?;
        let text = claim.text();
        let code = QrCode::new(format!("LOWGATE:{}", *text)).map_err(|fault| fault.to_string())?;
        let picture = code.render::<Dense1x2>().quiet_zone(true).build();
        picture.lines().for_each(|line| println!("{}", black_on_white(line)));
        println!("{}\n", *text);
        println!("This is a key: whoever has it can pose as border router {}.", claim.eui64());
        println!("At the domain manager: lowgate device claim");
        Ok(())
    });
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => failed(&fault),
    }
}

/// Readers of QR codes want them so, whatever the terminal's colours are.
fn black_on_white(line: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\x1b[30;107m{line}\x1b[0m") } else { line.into() }
}

/// From standard input, so that it stands in no list of processes.
fn typed_claim() -> Result<Zeroizing<String>, String> {
    if std::io::stdin().is_terminal() {
        eprint!("Claim code of the border router: ");
    }
    let mut line = Zeroizing::new(String::new());
    let read = std::io::stdin().lock().take(CLAIM_LINE_OCTETS_MAX).read_line(&mut line);
    read.map_err(|fault| format!("standard input: {fault}"))?;
    Ok(line.strip_prefix("LOWGATE:").map_or(line.clone(), |code| Zeroizing::new(code.into())))
}

/// `lowgate device …`
pub fn device(place: &Where, device: Device) -> ExitCode {
    match device {
        Device::Import { file } => match std::fs::read_to_string(&file) {
            Ok(text) => {
                let ask = Ask::DeviceImport { file: file.display().to_string(), text };
                say(place, &ask, |value| vec![format!("{} devices imported", value["imported"])])
            }
            Err(fault) => failed(&format!("{}:1: file: cannot be read: {fault}", file.display())),
        },
        Device::Claim => match typed_claim() {
            Ok(claim) => {
                let claim = claim.to_string();
                say(place, &Ask::RouterAdd { claim }, |_| vec!["the border router may join".into()])
            }
            Err(fault) => failed(&fault),
        },
        Device::Add(device) => super::add::add(place, device),
        Device::List { shown } => say(place, &Ask::DeviceList, |value| table(value, shown)),
        Device::Show { eui64, shown } => say(place, &Ask::DeviceShow { eui64 }, |device| {
            if shown.json {
                return vec![device.to_string()];
            }
            let mut lines = table(&Value::from(vec![device.clone()]), shown);
            lines.extend(attempts(&device["attempts"]));
            lines
        }),
        Device::Read { eui64, path } => say(place, &Ask::DeviceRead { eui64, path }, |value| {
            vec![format!(
                "{} \"{}\" after {} ms",
                text(&value["code"]),
                text(&value["payload"]),
                value["round_trip_ms"]
            )]
        }),
        Device::Revoke { eui64 } => say(place, &Ask::DeviceRevoke { eui64 }, |_| {
            vec!["revoked; all others get new keys".into()]
        }),
    }
}

/// `lowgate group …`
pub fn group(place: &Where, group: Group) -> ExitCode {
    let Group::Create { id, name } = group;
    say(place, &Ask::GroupCreate { id, name }, |_| vec!["created".into()])
}

/// `lowgate window …`
pub fn window(place: &Where, window: &Window) -> ExitCode {
    match *window {
        Window::Open { minutes } => say(place, &Ask::WindowOpen { minutes }, |_| {
            vec![format!("open for {minutes} minutes")]
        }),
        Window::Close => say(place, &Ask::WindowClose, |_| vec!["closed".into()]),
    }
}

/// `lowgate status`
pub fn status(place: &Where, shown: Shown) -> ExitCode {
    say(place, &Ask::Status, |value| {
        if shown.json {
            return vec![value.to_string()];
        }
        let fields = value.as_object().into_iter().flatten();
        fields
            .map(|(name, value)| format!("{:<22} {}", name.replace('_', " "), text(value)))
            .collect()
    })
}

/// `lowgate mesh …`
pub fn mesh(place: &Where, mesh: &Mesh) -> ExitCode {
    let Mesh::Tree { shown } = *mesh;
    say(
        place,
        &Ask::MeshTree,
        |value| {
            if shown.json { vec![value.to_string()] } else { tree(value) }
        },
    )
}

/// `lowgate events`
pub fn events(place: &Where) -> ExitCode {
    let followed = Config::read(&place.config).and_then(|config| {
        let mut line = |line: &str| println!("{line}");
        runtime()?.block_on(control::ask(&config.control.socket, &Ask::Events, &mut line))
    });
    match followed {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => failed(&fault),
    }
}

pub(super) fn say(place: &Where, ask: &Ask, shown: impl Fn(&Value) -> Vec<String>) -> ExitCode {
    let mut said = String::new();
    let asked = Config::read(&place.config).and_then(|config| {
        let mut line = |line: &str| said.push_str(line);
        runtime()?.block_on(control::ask(&config.control.socket, ask, &mut line))
    });
    let answer = asked.and_then(|()| {
        serde_json::from_str(&said).map_err(|fault| format!("the daemon's answer: {fault}"))
    });
    match answer {
        Ok(Answer::Done(value)) => {
            shown(&value).iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Ok(Answer::Refused(faults)) => failed(&faults.join("\n")),
        Err(fault) => failed(&fault),
    }
}

pub(super) fn failed(fault: &str) -> ExitCode {
    eprintln!("{fault}");
    ExitCode::from(2)
}

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|fault| format!("the system gives no event queue: {fault}"))
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

fn table(value: &Value, shown: Shown) -> Vec<String> {
    if shown.json {
        return vec![value.to_string()];
    }
    const COLUMNS: [&str; 6] = ["eui64", "kind", "state", "reachable", "addr", "room"];
    let devices = value.as_array().into_iter().flatten();
    let rows = devices.map(|device| COLUMNS.map(|column| text(&device[column])));
    let rows: Vec<_> = std::iter::once(COLUMNS.map(String::from)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The join ledger of a device.
fn attempts(value: &Value) -> Vec<String> {
    let attempts = value.as_array().into_iter().flatten();
    let line = |attempt: &Value| {
        let (relay, step) = (text(&attempt["relay"]), text(&attempt["step"]));
        let cause = attempt["cause"].as_str().map_or(String::new(), |cause| format!(": {cause}"));
        format!("  {} s since 1970, by relay {relay}: {step}{cause}", attempt["at"])
    };
    attempts.map(line).collect()
}

fn tree(value: &Value) -> Vec<String> {
    let mut children: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut has_parent = Vec::new();
    for device in value.as_array().into_iter().flatten() {
        children.entry(text(&device["parent"])).or_default().push(text(&device["eui64"]));
        has_parent.push(text(&device["eui64"]));
    }
    let mut lines = Vec::new();
    let roots: Vec<_> =
        children.keys().filter(|parent| !has_parent.contains(parent)).cloned().collect();
    for root in roots {
        branch(&children, &root, 0, &mut lines);
    }
    lines
}

/// Deeper than any mesh: a circle of parents, which passes, shows as this many lines.
const DEPTH_MAX: usize = 64;

fn branch(
    children: &BTreeMap<String, Vec<String>>,
    device: &str,
    depth: usize,
    lines: &mut Vec<String>,
) {
    lines.push(format!("{}{device}", "  ".repeat(depth)));
    if depth < DEPTH_MAX {
        for child in children.get(device).into_iter().flatten() {
            branch(children, child, depth + 1, lines);
        }
    }
}
