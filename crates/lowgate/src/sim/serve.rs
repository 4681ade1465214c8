//! `lowgate sim serve`: a radio co-processor on a pty, with a mesh of simulated devices around it, in real
//! time; beside it, for captures, another one; and radios of the mesh for emulated machines.
//!
//! **Invariant:** the world's clock is never ahead of the real one; the host at the other end of the line
//! sees what it would see of silicon.

mod faults;
mod line;
mod outside;

use crate::demo::load_site;
use crate::inventory;
use faults::{Fault, Faults, Over};
use line::Line;
use lowgate_access::joiner::{JoinerEvent, Path as Way};
use lowgate_manager::{DeviceRecord, GroupId, MemoryStore, Request, WINDOW_MAX};
use lowgate_net::NetEvent;
use lowgate_node::Event;
use lowgate_sim::building::{Building, Device, Group};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Happening, Intruder, Root, What, World, WorldConfig};
use lowgate_units::{Eui64, Instant, Prng};
use outside::{Outside, Place, Said};
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// The line is looked at this often at least.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// A driver who has not read all is offered the rest so soon.
const OFFER_AGAIN: Duration = Duration::from_millis(2);
/// Commands that wait.
const COMMANDS_MAX: usize = 16;

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
    /// The co-processor's serial line: a link to a pty is made here. Without it the mesh has its own border
    /// router
    #[arg(long, value_name = "LINK", required_unless_present_any = ["sniffer", "radio"])]
    pty: Option<PathBuf>,
    /// The radio of the device EUI64 for somebody outside, an emulated machine say: a Unix socket is made at PATH,
    /// and what passes there is written down in `crates/rcp/src/air.rs`. Without a driver the device has no power.
    /// May be given several times; the border router's own radio too, in place of a pty
    #[arg(long, value_name = "EUI64=unix:PATH")]
    radio: Vec<Place>,
    /// The serial line of another co-processor beside the border router's, for `lowgate sniff`
    #[arg(long, value_name = "LINK")]
    sniffer: Option<PathBuf>,
    /// Seconds between two devices that get power, from when the host first speaks
    #[arg(long, default_value = "2", value_parser = seconds)]
    power_interval: Duration,
    /// Write the inventory of the mesh, keys and all, for the host's domain manager
    #[arg(long, value_name = "FILE")]
    write_inventory: Option<PathBuf>,
    /// Make faults happen as lines on the standard input ask for them:
    ///   reset           the co-processor restarts
    ///   hang SECONDS    it takes nothing from its line and says nothing, then goes on
    ///   lose OCTETS     the next octets of the line, whichever way they go, are lost
    ///   flip OCTETS     among the next octets, whichever way they go, some have a wrong bit
    ///   unplug SECONDS  line and co-processor are gone, then come back as new
    /// A line says when a fault begins, and one when it is over
    #[arg(long, verbatim_doc_comment, requires = "pty")]
    faults: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(value) if (0.0..=3600.0).contains(&value) => Ok(Duration::from_secs_f64(value)),
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
    let router = site.building.device(StationId(0)).map(|router| router.eui64);
    let is_given_away = options.radio.iter().any(|place| Some(place.eui64()) == router);
    let has_host = options.pty.is_some() || is_given_away;
    if !options.radio.is_empty() && !has_host {
        return Err(vec![
            "a device's radio is outside: so must be the border router's, by --pty or --radio"
                .into(),
        ]);
    }
    let mut config = WorldConfig::new(options.seed);
    config.medium.loss = options.loss;
    config.root = if has_host { Root::CoProcessor } else { Root::Router };
    let beside = options.sniffer.is_some().then(|| sniffer(&site.building));
    let groups = site.building.groups.clone();
    let store = Box::<MemoryStore>::default();
    let sniffers = Vec::from_iter(beside);
    let mut world = World::new(config, site.building, &site.inventory, sniffers, store);
    if !has_host {
        commission(&mut world, &groups, site.inventory);
    }
    let one = |fault: io::Error| vec![format!("the serial line: {fault}")];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(one)?.block_on(run(world, options, out)).map_err(one)
}

/// A metre from the border router.
fn sniffer(building: &Building) -> Intruder {
    const EUI64: Eui64 = Eui64([0x02, 0x12, 0x4b, 0x00, 0xff, 0xff, 0xff, 0x01]);
    let router = building.device(StationId(0)).expect("the first station");
    Intruder::Sniffer { place: Device { eui64: EUI64, x: router.x + 1.0, ..*router } }
}

/// What an installer would do where nobody from outside does it.
fn commission(world: &mut World, groups: &[Group], inventory: Vec<DeviceRecord>) {
    for group in groups {
        world.request(Request::CreateGroup { id: GroupId(group.id), name: group.name.clone() });
    }
    world.request(Request::Import(inventory));
    world.request(Request::OpenWindow { until: world.now() + WINDOW_MAX });
}

/// It holds keys: only its owner may read it.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600).open(path);
    file?.write_all(text.as_bytes())
}

async fn run(world: World, options: &ServeOptions, out: &mut dyn Write) -> io::Result<()> {
    let started = std::time::Instant::now();
    let now = || Instant::ZERO + started.elapsed();
    let mut commands = commands(options.faults);
    let Some(mut served) = Served::begin(world, options)? else { return Ok(()) };
    if let Some(link) = served.line.link() {
        let (link, devices) = (link.display(), served.dark.len());
        writeln!(out, "a co-processor at {link}; {devices} devices wait for its host")?;
    }
    if let Some(link) = served.sniffed.link() {
        writeln!(out, "a co-processor for captures at {}", link.display())?;
    }
    for (station, path) in served.outside.places() {
        let eui64 = served.world.station(station).eui64();
        writeln!(out, "the radio of {eui64} at {}", path.display())?;
    }
    loop {
        let is_behind = served.advance(now(), out)?;
        let pause = if is_behind { OFFER_AGAIN } else { SLEEP_MAX };
        let pause = served.next_at().since(now()).min(pause);
        tokio::select! {
            () = sleep(pause) => {}
            octets = served.line.next(), if served.faults.passes() => {
                served.heard(now(), octets?, out)?;
            }
            octets = served.sniffed.next() => {
                served.world.run_to(now());
                served.world.serial_in(served.sniffer, &octets?);
            }
            (index, said) = served.outside.next() => served.driven(now(), index, said),
            Some(command) = commands.recv() => served.command(now(), &command, out)?,
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    served.outside.close()?;
    served.line.unplug()?;
    served.sniffed.unplug()
}

/// The lines of the standard input, if they are wanted.
fn commands(wanted: bool) -> mpsc::Receiver<String> {
    let (give, commands) = mpsc::channel(COMMANDS_MAX);
    if wanted {
        // A thread of its own, which ends with the process: nothing interrupts such a read.
        std::thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if give.blocking_send(line).is_err() {
                    return;
                }
            }
        });
    }
    commands
}

/// The mesh, the line, and what is wrong with it.
struct Served {
    world: World,
    line: Line,
    faults: Faults,
    /// The border router's, or the border router itself.
    co_processor: StationId,
    /// The one for captures, and its line.
    sniffer: StationId,
    sniffed: Line,
    /// Radios whose drivers are outside.
    outside: Outside,
    /// Devices without power, and when the next of them gets it.
    dark: VecDeque<StationId>,
    power_at: Instant,
    power_interval: Duration,
    findings_told: usize,
    /// Whoever proved its key by a relay last: it joins. By its own address, a member makes its session anew.
    by_relay: BTreeSet<StationId>,
}

impl Served {
    /// `None` for a building of nobody.
    fn begin(mut world: World, options: &ServeOptions) -> io::Result<Option<Self>> {
        let line = Line::plug_in(options.pty.as_deref())?;
        let sniffed = Line::plug_in(options.sniffer.as_deref())?;
        let sniffer = StationId(world.building().stations() as u32 - 1);
        let mut dark: VecDeque<StationId> = world.honest().collect();
        let Some(co_processor) = dark.pop_front() else { return Ok(None) };
        let outside = Outside::open(&mut world, &options.radio)?;
        let is_outside = |station| outside.places().any(|(outside, _)| outside == station);
        dark.retain(|station| !is_outside(*station));
        if !is_outside(co_processor) {
            world.power_on(co_processor);
        }
        if sniffed.link().is_some() {
            world.power_on(sniffer);
        }
        // Devices get power from when the host first speaks, if there is a host.
        let has_host = line.link().is_some() || is_outside(co_processor);
        let power_at = if has_host { Instant::FAR_FUTURE } else { world.now() };
        Ok(Some(Self {
            world,
            line,
            faults: Faults::new(Prng::new(options.seed)),
            co_processor,
            sniffer,
            sniffed,
            outside,
            dark,
            power_at,
            power_interval: options.power_interval,
            findings_told: 0,
            by_relay: BTreeSet::new(),
        }))
    }

    fn note_way(&mut self, happening: &Happening) {
        match happening.what {
            What::Node(station, Event::Join(JoinerEvent::Authenticated(Way::Relay(_)))) => {
                self.by_relay.insert(station);
            }
            What::Node(station, Event::Join(JoinerEvent::Authenticated(Way::Direct))) => {
                self.by_relay.remove(&station);
            }
            _ => {}
        }
    }

    fn next_at(&mut self) -> Instant {
        let power_at = if self.dark.is_empty() { Instant::FAR_FUTURE } else { self.power_at };
        self.world.next_at().min(power_at).min(self.faults.next_at())
    }

    /// Real time has come so far; whether somebody outside has not taken all that it was told.
    fn advance(&mut self, now: Instant, out: &mut dyn Write) -> io::Result<bool> {
        self.world.run_to(now);
        while self.power_at <= self.world.now()
            && let Some(device) = self.dark.pop_front()
        {
            self.world.power_on(device);
            self.power_at += self.power_interval;
        }
        for happening in self.world.take_happenings() {
            self.note_way(&happening);
            let by_relay = |station| self.by_relay.contains(&station);
            tell(&self.world, &happening, by_relay, out)?;
        }
        for finding in &self.world.findings()[self.findings_told..] {
            writeln!(out, "finding: {finding}")?;
        }
        self.findings_told = self.world.findings().len();
        let over = self.faults.elapsed(now);
        if over.contains(&Over::Unplug) {
            self.line.replug()?;
            self.world.power_on(self.co_processor);
        }
        tell_over(now, &over, out)?;
        if self.faults.passes() {
            let mut said = self.world.take_serial_out(self.co_processor);
            tell_over(now, &self.faults.spoil(&mut said), out)?;
            self.line.send(&said);
        }
        self.sniffed.send(&self.world.take_serial_out(self.sniffer));
        Ok(self.outside.tell(&mut self.world))
    }

    /// From the driver of a radio.
    fn driven(&mut self, now: Instant, index: usize, said: Said) {
        self.world.run_to(now);
        if self.outside.hear(&mut self.world, index, said) == Some(self.co_processor) {
            self.power_at = self.power_at.min(self.world.now() + self.power_interval);
        }
    }

    /// From the host.
    fn heard(&mut self, now: Instant, mut octets: Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
        self.world.run_to(now);
        tell_over(now, &self.faults.spoil(&mut octets), out)?;
        self.world.serial_in(self.co_processor, &octets);
        self.power_at = self.power_at.min(self.world.now() + self.power_interval);
        Ok(())
    }

    fn command(&mut self, now: Instant, line: &str, out: &mut dyn Write) -> io::Result<()> {
        let fault: Fault = match line.parse() {
            Ok(fault) => fault,
            Err(why) => return writeln!(out, "{why}"),
        };
        writeln!(out, "{:9.3} s  fault: {fault}", now.as_secs_f64())?;
        self.world.run_to(now);
        self.faults.begin(now, fault);
        match fault {
            Fault::Reset => {
                self.world.power_off(self.co_processor);
                self.world.power_on(self.co_processor);
                tell_over(now, &[Over::Reset], out)?;
            }
            Fault::Unplug(_) => {
                self.world.power_off(self.co_processor);
                self.line.unplug()?;
            }
            Fault::Hang(_) | Fault::Lose(_) | Fault::Flip(_) => {}
        }
        Ok(())
    }
}

fn tell_over(now: Instant, over: &[Over], out: &mut dyn Write) -> io::Result<()> {
    over.iter()
        .try_for_each(|over| writeln!(out, "{:9.3} s  fault over: {over}", now.as_secs_f64()))
}

fn tell(
    world: &World,
    happening: &Happening,
    by_relay: impl Fn(StationId) -> bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let What::Node(station, event) = &happening.what else { return Ok(()) };
    let (at, device) = (happening.at.as_secs_f64(), world.station(*station).eui64());
    match event {
        Event::Join(JoinerEvent::Failed { cause, .. }) => {
            writeln!(out, "{at:9.3} s  {device} gets nowhere: {cause:?}")
        }
        Event::Join(JoinerEvent::Member) if by_relay(*station) => {
            writeln!(out, "{at:9.3} s  {device} took its keys")
        }
        Event::Join(JoinerEvent::Member) => {
            writeln!(out, "{at:9.3} s  {device} has a session again")
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
