//! The daemon's command line.

use super::config::{self, Config};
use super::control::{self, Answer, Ask};
use super::run::Role;
use super::table::{table, text};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Where the daemon is.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// The daemon's configuration
    #[arg(long, value_name = "FILE", default_value = config::PATH, global = true)]
    config: PathBuf,
}

impl Where {
    pub(crate) fn is_there(&self) -> bool {
        self.config.exists()
    }

    pub(crate) fn read(&self) -> Result<Config, String> {
        Config::read(&self.config)
    }
}

/// How a listing is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct Shown {
    /// As JSON, for programs
    #[arg(long)]
    pub(crate) json: bool,
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
    /// A new group; devices join it by the inventory, or by `add`
    Create {
        /// Its number, never anybody else's
        id: u16,
        /// What people call it
        name: String,
    },
    /// All groups and who is in them
    List {
        /// How it is shown
        #[command(flatten)]
        shown: Shown,
    },
    /// Puts a device into a group; one that is in the mesh gets the keys at once
    Add {
        /// The group's number
        id: u16,
        /// The device's EUI-64
        eui64: String,
        /// What it does there
        #[arg(long, value_parser = ["listener", "sender", "both"])]
        role: String,
    },
    /// Sends a command to all of a group: CoAP PUT, which nobody answers
    Send {
        /// The group's number
        id: u16,
        /// Like light
        path: String,
        /// Like 1
        value: String,
    },
    /// Takes a device out of a group; all who stay get new keys
    Remove {
        /// The group's number
        id: u16,
        /// The device's EUI-64
        eui64: String,
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
    /// Whom the border router hears itself, how loud, and what a frame to them costs
    Neighbours {
        /// How it is shown
        #[command(flatten)]
        shown: Shown,
    },
    /// The way of packets to each device, hop by hop
    Routes {
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

/// What a daemon leaves behind for developers.
#[derive(Clone, Debug, Args)]
pub struct Journaled {
    /// Write down everything that happens to the daemon, sealed with the key in FILE.key (made if there is
    /// none), at most 256 MiB; `lowgate sim replay` does it again. It holds keys
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
}

/// `lowgate run`
pub fn run(place: &Where, journaled: &Journaled) -> ExitCode {
    serve(place, journaled, Role::Both)
}

/// `lowgate router`
pub fn router(place: &Where, journaled: &Journaled) -> ExitCode {
    serve(place, journaled, Role::BorderRouter)
}

/// `lowgate manager`
pub fn manager(place: &Where, journaled: &Journaled) -> ExitCode {
    serve(place, journaled, Role::Manager)
}

fn serve(place: &Where, journaled: &Journaled, role: Role) -> ExitCode {
    let journal = journaled.journal.as_deref();
    let ended = Config::read(&place.config).and_then(|config| {
        runtime()?.block_on(super::run::run(role, &config, journal, &mut std::io::stdout()))
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => failed(&fault),
    }
}

const DEVICE_COLUMNS: [&str; 7] = ["eui64", "kind", "state", "pan_id", "reachable", "addr", "room"];

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
        Device::Claim => super::claim::tell(place),
        Device::Add(device) => super::add::add(place, device),
        Device::List { shown } => {
            list(place, &Ask::DeviceList, shown, |value| table(value, &DEVICE_COLUMNS))
        }
        Device::Show { eui64, shown } => list(place, &Ask::DeviceShow { eui64 }, shown, |device| {
            let mut lines = table(&Value::from(vec![device.clone()]), &DEVICE_COLUMNS);
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
    match group {
        Group::Create { id, name } => {
            say(place, &Ask::GroupCreate { id, name }, |_| vec!["created".into()])
        }
        Group::List { shown } => say(place, &Ask::GroupList, |value| {
            if shown.json { vec![value.to_string()] } else { groups(value) }
        }),
        Group::Add { id, eui64, role } => {
            say(place, &Ask::GroupAdd { id, eui64, role }, |_| vec!["added".into()])
        }
        Group::Send { id, path, value } => {
            say(place, &Ask::GroupSend { id, path, value }, |_| vec!["sent".into()])
        }
        Group::Remove { id, eui64 } => say(place, &Ask::GroupRemove { id, eui64 }, |_| {
            vec!["removed; all who stay get new keys".into()]
        }),
    }
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
    list(place, &Ask::Status, shown, |value| {
        let fields = value.as_object().into_iter().flatten();
        let fields = fields.filter(|(name, _)| *name != "pans");
        let fields =
            fields.map(|(name, value)| format!("{:<27} {}", name.replace('_', " "), text(value)));
        let pans = value.get("pans").map(|pans| table(pans, &PAN_COLUMNS));
        fields.chain(pans.into_iter().flatten()).collect()
    })
}

const PAN_COLUMNS: [&str; 7] = [
    "pan_id",
    "channel",
    "mesh_prefix",
    "border_router",
    "members",
    "key_index",
    "staged_key_index",
];

/// `lowgate mesh …`
pub fn mesh(place: &Where, mesh: &Mesh) -> ExitCode {
    match *mesh {
        Mesh::Tree { shown } => list(place, &Ask::MeshTree, shown, tree),
        Mesh::Neighbours { shown } => list(place, &Ask::MeshNeighbours, shown, |value| {
            table(value, &["eui64", "short", "rssi_dbm", "etx", "rank", "heard_s_ago"])
        }),
        Mesh::Routes { shown } => list(place, &Ask::MeshRoutes, shown, |value| {
            table(value, &["eui64", "short", "hops", "first_hop_etx", "valid_s", "through"])
        }),
    }
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

/// What a program gets whole, people get as lines.
pub(super) fn list(
    place: &Where,
    ask: &Ask,
    shown: Shown,
    lines: impl Fn(&Value) -> Vec<String>,
) -> ExitCode {
    say(place, ask, |value| if shown.json { vec![value.to_string()] } else { lines(value) })
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

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|fault| format!("the system gives no event queue: {fault}"))
}

/// A line for each group, and one for each of its members.
fn groups(value: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for group in value.as_array().into_iter().flatten() {
        let (addr, name) = (text(&group["addr"]), text(&group["name"]));
        lines.push(format!("{:<5}  {addr}  {name}", text(&group["id"])));
        for member in group["members"].as_array().into_iter().flatten() {
            lines.push(format!("       {}  {}", text(&member["eui64"]), text(&member["role"])));
        }
    }
    lines
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
