//! `lowgate run`: one task owns the three machines, one `select!` feeds them.

use super::config::Config;
use super::control::{self, Asked};
use super::core::{Core, Wish};
use super::line::{self, FromLine};
use super::origin;
use super::storage::{Done, Storage};
use lowgate_access::{JOINER_PORT, MANAGER_PORT, MANAGER_RELAY_PORT};
use lowgate_linux::{Serial, SerialUrl, Tun};
use lowgate_manager::Request;
use lowgate_router::co_processor::{CoProcessor, CoProcessorInput};
use lowgate_units::{Iid, Instant, Ipv6Addr};
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::UdpSocket;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::sleep;

/// Octets of a packet of the building's network; the TUN's MTU is 1280.
const PACKET_OCTETS_MAX: usize = 2048;
/// For an address to be in force.
const ADDRESS_WITHIN: Duration = Duration::from_secs(3);
/// Nothing sleeps for longer, so that a clock that jumped is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// Wall clock at the start, and steady from then on.
struct Clock {
    base: Duration,
    started: std::time::Instant,
}

impl Clock {
    fn new() -> Self {
        let base = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { base, started: std::time::Instant::now() }
    }

    fn now(&self) -> Instant {
        Instant::ZERO + self.base + self.started.elapsed()
    }
}

/// What the machines reach.
struct Outside {
    tun: Tun,
    relays: UdpSocket,
    devices: UdpSocket,
    router: UdpSocket,
    manager_addr: Ipv6Addr,
    to_line: mpsc::Sender<Vec<u8>>,
    anew: Arc<Notify>,
    storage: Storage,
    events: broadcast::Sender<String>,
}

/// What reaches the machines besides.
struct Inside {
    from_line: mpsc::Receiver<FromLine>,
    questions: mpsc::Receiver<Asked>,
    /// One daemon for one folder, as long as this is held.
    _lock: fs::File,
}

/// Runs until somebody ends it.
///
/// # Errors
/// One line, with the cause and the remedy.
pub(super) async fn run(config: &Config, out: &mut dyn Write) -> Result<(), String> {
    let clock = Clock::new();
    let (mut core, mut outside, mut inside) = begin(&clock, config).await?;
    let domain = core.manager().domain().config();
    let (mesh, interface) = (Iid([0; 8]).under(domain.mesh_prefix), &config.network.interface);
    let line = format!("mesh {mesh}/64 on {interface}, manager at {}", domain.manager_addr);
    outside.tell(line, out);
    core.start(clock.now());
    let mut terminate = signal(SignalKind::terminate()).map_err(|fault| fault.to_string())?;
    loop {
        let (wishes, until) = core.drain(clock.now());
        outside.fulfil(wishes, out).await;
        let pause = match until {
            Instant::FAR_FUTURE => SLEEP_MAX,
            until => until.since(clock.now()).min(SLEEP_MAX),
        };
        tokio::select! {
            fed = feed(&clock, &mut core, &mut outside, &mut inside, out, pause) => fed?,
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
        }
    }
    // Whatever is in its place by now is not ours.
    let _ = fs::remove_file(&config.control.socket);
    Ok(())
}

/// Everything is checked before anything is changed.
async fn begin(clock: &Clock, config: &Config) -> Result<(Core, Outside, Inside), String> {
    let url = SerialUrl::parse(&config.radio.url).map_err(|fault| fault.to_string())?;
    let serial = Serial::open(&url).map_err(|fault| fault.to_string())?;
    let lock = origin::lock(&config.state.dir)?;
    let tun = Tun::open(&config.network.interface).map_err(|fault| fault.to_string())?;
    let (mut store, flash) = origin::databases(&config.state.dir)?;
    let own = origin::own_identity(&flash)?;
    let manager = origin::manager(clock.now(), config, &mut store)?;
    let domain = manager.domain().config();
    let (prefix, channel, manager_addr) = (domain.mesh_prefix, domain.channel, domain.manager_addr);
    let router_addr = origin::second(manager_addr);
    let router = origin::router(clock.now(), &flash, &own, channel, router_addr, manager_addr)?;
    let listener = origin::listen(&config.control.socket)?;
    for addr in [manager_addr, router_addr] {
        tun.add_addr(addr, 128).await.map_err(|fault| fault.to_string())?;
    }
    tun.add_route(Iid([0; 8]).under(prefix), 64).await.map_err(|fault| fault.to_string())?;
    let (to_line, for_line) = mpsc::channel(line::WAITING_MAX);
    let (tell, from_line) = mpsc::channel(line::WAITING_MAX);
    let anew = Arc::new(Notify::new());
    let asked_anew = anew.clone();
    tokio::spawn(async move { line::drive(url, serial, for_line, &asked_anew, tell).await });
    let (asked, questions) = mpsc::channel(control::WAITING_MAX);
    let (events, _) = broadcast::channel(control::EVENTS_KEPT);
    tokio::spawn(control::serve(listener, asked, events.clone()));
    let mut core = Core::new(CoProcessor::new(clock.now()), router, manager, router_addr);
    if core.manager().domain().border_router().is_none() {
        core.request(clock.now(), Request::Import(vec![own.record()]));
    }
    let outside = Outside {
        tun,
        relays: bind(manager_addr, MANAGER_RELAY_PORT).await?,
        devices: bind(manager_addr, MANAGER_PORT).await?,
        router: bind(router_addr, JOINER_PORT).await?,
        manager_addr,
        to_line,
        anew,
        storage: Storage::start(store, flash),
        events,
    };
    Ok((core, outside, Inside { from_line, questions, _lock: lock }))
}

/// Waits for the next thing that happens, and tells it.
async fn feed(
    clock: &Clock,
    core: &mut Core,
    outside: &mut Outside,
    inside: &mut Inside,
    out: &mut dyn Write,
    pause: Duration,
) -> Result<(), String> {
    let [mut packet, mut relayed, mut told, mut own] = [[0; PACKET_OCTETS_MAX]; 4];
    tokio::select! {
        () = sleep(pause) => core.wake(clock.now()),
        said = inside.from_line.recv() => match said {
            Some(FromLine::Opened) => core.line(clock.now(), CoProcessorInput::Opened),
            Some(FromLine::Closed { why }) => {
                outside.tell(format!("serial line: {why}"), out);
                core.line(clock.now(), CoProcessorInput::Closed);
            }
            Some(FromLine::Octets(octets)) => {
                core.line(clock.now(), CoProcessorInput::Octets(&octets));
            }
            None => return Err("the serial line's task ended".into()),
        },
        len = outside.tun.recv(&mut packet) => {
            let len = len.map_err(|fault| format!("the network interface is gone: {fault}"))?;
            core.packet(clock.now(), &packet[..len]);
        }
        got = outside.relays.recv_from(&mut relayed) => if let Some((len, from)) = received(got) {
            core.for_manager(clock.now(), from, MANAGER_RELAY_PORT, &relayed[..len]);
        },
        got = outside.devices.recv_from(&mut told) => if let Some((len, from)) = received(got) {
            core.for_manager(clock.now(), from, MANAGER_PORT, &told[..len]);
        },
        got = outside.router.recv_from(&mut own) => if let Some((len, from)) = received(got)
            && from == (outside.manager_addr, MANAGER_PORT)
        {
            core.for_router(clock.now(), from.0, &own[..len]);
        },
        done = outside.storage.next() => match done {
            Done::Committed { revision } => core.committed(clock.now(), revision),
            Done::Put { ticket } => core.stored(clock.now(), ticket),
            Done::Failed { why } => return Err(format!("{why}; is the disk full?")),
        },
        asked = inside.questions.recv() => if let Some((ask, answer)) = asked {
            core.ask(clock.now(), ask, answer);
        },
    }
    Ok(())
}

type Received = std::io::Result<(usize, SocketAddr)>;

/// Errors are those of earlier datagrams that somebody refused: nobody's loss here.
fn received(got: Received) -> Option<(usize, (Ipv6Addr, u16))> {
    match got {
        Ok((len, SocketAddr::V6(from))) => Some((len, (*from.ip(), from.port()))),
        Ok((_, SocketAddr::V4(_))) | Err(_) => None,
    }
}

impl Outside {
    /// Datagrams that the system does not take now are lost, as datagrams may be.
    async fn fulfil(&mut self, wishes: Vec<Wish>, out: &mut dyn Write) {
        for wish in wishes {
            match wish {
                Wish::Serial(octets) => drop(self.to_line.try_send(octets)),
                Wish::Reopen => self.anew.notify_one(),
                Wish::Tun(packet) => drop(self.tun.send(&packet).await),
                Wish::FromManager { src_port, dst, dst_port, octets } => {
                    let socket = match src_port {
                        MANAGER_RELAY_PORT => &self.relays,
                        _ => &self.devices,
                    };
                    let to = SocketAddrV6::new(dst, dst_port, 0, 0);
                    let _ = socket.try_send_to(&octets, to.into());
                }
                Wish::FromRouter { octets } => {
                    let to = SocketAddrV6::new(self.manager_addr, MANAGER_PORT, 0, 0);
                    let _ = self.router.try_send_to(&octets, to.into());
                }
                Wish::Store(job) => self.storage.give(job),
                Wish::Tell(line) => self.tell(line, out),
            }
        }
    }

    fn tell(&self, line: String, out: &mut dyn Write) {
        let _ = writeln!(out, "{line}");
        // Nobody may be following.
        let _ = self.events.send(line);
    }
}

/// An address takes the kernel a moment to put in force.
async fn bind(addr: Ipv6Addr, port: u16) -> Result<UdpSocket, String> {
    let deadline = std::time::Instant::now() + ADDRESS_WITHIN;
    loop {
        match UdpSocket::bind((addr, port)).await {
            Ok(socket) => return Ok(socket),
            Err(fault)
                if fault.kind() == ErrorKind::AddrNotAvailable
                    && std::time::Instant::now() < deadline =>
            {
                sleep(Duration::from_millis(10)).await;
            }
            Err(fault) => {
                return Err(format!(
                    "UDP port {port} at {addr}: {fault}; is another daemon running?"
                ));
            }
        }
    }
}
