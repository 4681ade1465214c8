//! `lowgate sim serve`: a radio co-processor on a pty, with a mesh of simulated devices around it, in real
//! time.
//!
//! **Invariant:** the world's clock is never ahead of the real one; the host at the other end of the line
//! sees what it would see of silicon.

use crate::demo::load_site;
use crate::inventory;
use lowgate_access::joiner::JoinerEvent;
use lowgate_linux::WRITE_MAX;
use lowgate_manager::MemoryStore;
use lowgate_net::NetEvent;
use lowgate_node::Event;
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Happening, Root, What, World, WorldConfig};
use lowgate_units::Instant;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use tokio_serial::{SerialPort, SerialStream};

/// The line is looked at this often at least.
const SLEEP_MAX: Duration = Duration::from_secs(1);
const READ_OCTETS_MAX: usize = 1024;

/// What `lowgate sim serve` is asked to do.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeOptions {
    /// Decides all that chance decides in the mesh
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A generated building with so many devices (1 to 1024), instead of the office
    #[arg(long, conflicts_with_all = ["building", "inventory"])]
    nodes: Option<usize>,
    /// Drop each frame with this probability on top of what the medium does (0 to 0.9)
    #[arg(long, default_value_t = 0.0, value_parser = crate::demo::probability)]
    loss: f64,
    /// Your own building (TOML)
    #[arg(long, value_name = "FILE", requires = "inventory")]
    building: Option<PathBuf>,
    /// Your own inventory (CSV)
    #[arg(long, value_name = "FILE", requires = "building")]
    inventory: Option<PathBuf>,
    /// The co-processor's serial line: a link to a pty is made here
    #[arg(long, value_name = "LINK")]
    pty: PathBuf,
    /// Seconds between two devices that get power, from when the host first speaks
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    power_interval: f64,
    /// Write the inventory of the mesh, keys and all, for the host's domain manager
    #[arg(long, value_name = "FILE")]
    write_inventory: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.0..=3600.0).contains(&value) => Ok(value),
        Ok(_) | Err(_) => Err("a number from 0 to 3600".into()),
    }
}

/// Runs until it is interrupted.
pub fn serve(options: &ServeOptions, out: &mut dyn Write) -> ExitCode {
    match begin(options, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(faults) => {
            faults.iter().for_each(|fault| eprintln!("{fault}"));
            ExitCode::from(2)
        }
    }
}

fn begin(options: &ServeOptions, out: &mut dyn Write) -> Result<(), Vec<String>> {
    let (building, inventory) = (options.building.as_deref(), options.inventory.as_deref());
    let site = load_site(options.nodes, options.seed, building, inventory)?;
    if let Some(path) = &options.write_inventory {
        write_private(path, &inventory::emit(&site.inventory))
            .map_err(|fault| vec![format!("{}: not written: {fault}", path.display())])?;
    }
    let mut config = WorldConfig::new(options.seed);
    config.medium.loss = options.loss;
    config.root = Root::CoProcessor;
    let store = Box::<MemoryStore>::default();
    let world = World::new(config, site.building, &site.inventory, Vec::new(), store);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let one = |fault: io::Error| vec![format!("{}: {fault}", options.pty.display())];
    let interval = Duration::from_secs_f64(options.power_interval);
    runtime.map_err(one)?.block_on(run(world, &options.pty, interval, out)).map_err(one)
}

/// It holds keys: only its owner may read it.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600).open(path);
    file?.write_all(text.as_bytes())
}

async fn run(
    mut world: World,
    link: &Path,
    interval: Duration,
    out: &mut dyn Write,
) -> io::Result<()> {
    let started = std::time::Instant::now();
    let now = || Instant::ZERO + started.elapsed();
    let (mut line, _slave) = open(link)?;
    let mut dark: VecDeque<StationId> = world.honest().collect();
    let Some(co_processor) = dark.pop_front() else { return Ok(()) };
    world.power_on(co_processor);
    writeln!(
        out,
        "a co-processor at {}; {} devices wait for its host",
        link.display(),
        dark.len()
    )?;
    let mut power_at = Instant::FAR_FUTURE;
    let mut findings = 0;
    let mut octets = [0; READ_OCTETS_MAX];
    loop {
        world.run_to(now());
        while power_at <= world.now()
            && let Some(device) = dark.pop_front()
        {
            world.power_on(device);
            power_at += interval;
        }
        for happening in world.take_happenings() {
            tell(&world, &happening, out)?;
        }
        for finding in &world.findings()[findings..] {
            writeln!(out, "finding: {finding}")?;
        }
        findings = world.findings().len();
        let said = world.take_serial_out();
        // A host that does not read loses octets, as at any line without flow control.
        let _ = timeout(WRITE_MAX, AsyncWriteExt::write_all(&mut line, &said)).await;
        let next = if dark.is_empty() { Instant::FAR_FUTURE } else { power_at };
        let pause = world.next_at().min(next).since(now()).min(SLEEP_MAX);
        tokio::select! {
            () = sleep(pause) => {}
            len = AsyncReadExt::read(&mut line, &mut octets) => {
                world.run_to(now());
                world.serial_in(&octets[..len?]);
                power_at = power_at.min(world.now() + interval);
            }
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    fs::remove_file(link)
}

/// The other end stays open here too, so that hosts may come and go: a pty that hung up once never rests.
fn open(link: &Path) -> io::Result<(SerialStream, fs::File)> {
    let (master, slave) = SerialStream::pair()?;
    let name = slave.name().ok_or_else(|| io::Error::other("the system gave a pty no name"))?;
    // Without the exclusive claim that a host makes.
    let kept = fs::OpenOptions::new().read(true).write(true).open(&name)?;
    // A link that an earlier run left leads nowhere.
    if link.is_symlink() {
        fs::remove_file(link)?;
    }
    symlink(name, link)?;
    Ok((master, kept))
}

fn tell(world: &World, happening: &Happening, out: &mut dyn Write) -> io::Result<()> {
    let What::Node(station, event) = &happening.what else { return Ok(()) };
    let (at, device) = (happening.at.as_secs_f64(), world.station(*station).eui64());
    match event {
        Event::Join(JoinerEvent::Failed { cause, .. }) => {
            writeln!(out, "{at:9.3} s  {device} gets nowhere: {cause:?}")
        }
        Event::Net(NetEvent::Attached { hops, addr }) => {
            let took = world.survey().joins()[station.index()].took();
            let took = took.map_or(0.0, |took| took.as_secs_f64());
            writeln!(out, "{at:9.3} s  {device} is in at {addr}, {hops} hops, after {took:.2} s")
        }
        Event::Stranded => writeln!(out, "{at:9.3} s  {device} was left behind, starts anew"),
        _ => Ok(()),
    }
}
