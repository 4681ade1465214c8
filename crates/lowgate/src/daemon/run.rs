//! `lowgate run`, `lowgate router`, `lowgate manager`: one task owns the machines that run here, one
//! `select!` feeds them.

use super::config::Config;
use super::control::{self, Answer, Asked};
use super::core::{Core, Wish};
use super::edge::{self, FromEdge};
use super::fresh::{self, Fresh};
use super::greeting::greet;
use super::input::Input;
use super::line::{self, FromLine};
use super::origin;
use super::record::{self, Record};
use super::service::Service;
use super::storage::{Done, Storage};
use lowgate_access::{JOINER_PORT, MANAGER_PORT, MANAGER_RELAY_PORT};
use lowgate_linux::{Serial, SerialUrl, Tun};
use lowgate_manager::Manager;
use lowgate_units::{Iid, Instant, Ipv6Addr};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::pending;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, SocketAddrV6};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::UdpSocket;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::time::sleep;

/// Octets of a packet of the building's network; the TUN's MTU is 1280.
const PACKET_OCTETS_MAX: usize = 2048;
/// For an address to be in force.
const ADDRESS_WITHIN: Duration = Duration::from_secs(3);
/// Nothing sleeps for longer, so that a clock that jumped is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Border router and domain manager.
    Both,
    /// A border router; its manager is elsewhere.
    BorderRouter,
    /// A domain manager; its border routers are elsewhere.
    Manager,
}

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
    mesh: Option<Mesh>,
    manager: Option<ManagerSockets>,
    storage: Storage,
    events: broadcast::Sender<String>,
    /// Commands that wait, by their questions' numbers. The machines bound them.
    asked: BTreeMap<u64, oneshot::Sender<Answer>>,
    /// One daemon for one folder, as long as this is held: until all that was stored is on the disk.
    _lock: fs::File,
}

/// A border router's: its radio, the kernel, its manager.
struct Mesh {
    to_line: mpsc::Sender<Vec<u8>>,
    anew: Arc<Notify>,
    tun: Tun,
    /// The groups that the building's network reaches.
    groups: watch::Sender<BTreeSet<Ipv6Addr>>,
    /// Its own session with the manager.
    socket: UdpSocket,
    manager_addr: Ipv6Addr,
}

/// A manager's.
struct ManagerSockets {
    /// By relays.
    relayed: UdpSocket,
    /// By devices themselves.
    direct: UdpSocket,
}

/// What reaches the machines besides.
struct Inside {
    from_line: Option<mpsc::Receiver<FromLine>>,
    from_edge: Option<mpsc::Receiver<FromEdge>>,
    questions: mpsc::Receiver<Asked>,
    next_question: u64,
}

/// Runs until somebody ends it.
///
/// # Errors
/// One line, with the cause and the remedy.
pub(super) async fn run(
    role: Role,
    config: &Config,
    journal: Option<&Path>,
    out: &mut dyn Write,
) -> Result<(), String> {
    let clock = Clock::new();
    let mut service = Service::of_environment()?;
    let (mut core, mut record, mut outside, mut inside, lines) =
        begin(&clock, role, config, journal).await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|fault| fault.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|fault| fault.to_string())?;
    service.ready(&lines.join("; "));
    lines.into_iter().for_each(|line| outside.tell(line, out));
    let mut input = Input::Start;
    loop {
        let now = clock.now();
        record.fed(now, &input);
        core.handle(now, input);
        let (wishes, until) = core.drain(now);
        record.came(&mut core, &wishes);
        if let Some(warning) = record.warning(&mut core) {
            outside.tell(warning, out);
        }
        outside.fulfil(wishes, out).await?;
        let pause = match until {
            Instant::FAR_FUTURE => SLEEP_MAX,
            until => until.since(clock.now()).min(SLEEP_MAX),
        };
        let pause = service.alive().map_or(pause, |watched| pause.min(watched));
        input = tokio::select! {
            input = next(&mut outside, &mut inside, pause) => input?,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        };
    }
    service.stopping();
    // Whatever is in its place by now is not ours.
    let _ = fs::remove_file(&config.control.socket);
    Ok(())
}

/// Everything is checked before anything is changed; a start that fails leaves no file behind. What it
/// begins with comes as lines for people.
async fn begin(
    clock: &Clock,
    role: Role,
    config: &Config,
    journal: Option<&Path>,
) -> Result<(Core, Record, Outside, Inside, Vec<String>), String> {
    let (with_router, with_manager) = (role != Role::Manager, role != Role::BorderRouter);
    if role != Role::Both && config.manager.address.is_none() {
        return Err(
            "manager.address is missing; it says where the domain manager is reached".into()
        );
    }
    let (lock, fresh) = origin::lock(&config.state.dir)?;
    let fresh = fresh.and(Fresh::of(fresh::with_folders(&config.control.socket)));
    let radio = if with_router { Some(open_radio(config).await?) } else { None };
    let tun = if with_router { Some(open_tun(config)?) } else { None };
    let mut store = if with_manager { Some(origin::store(&config.state.dir)?) } else { None };
    let flash = if with_router { Some(origin::flash(&config.state.dir)?) } else { None };
    let (store_of, flash_of) = (store.as_mut(), flash.as_ref());
    let machines = record::machines(clock.now(), config, journal, store_of, flash_of);
    let (mut core, beginning) = machines?;
    let listener = origin::listen(&config.control.socket)?;
    let (asked, questions) = mpsc::channel(control::WAITING_MAX);
    let (events, _) = broadcast::channel(control::EVENTS_KEPT);
    let mut lines = Vec::new();
    let sockets = match core.manager() {
        Some(manager) => Some(manager_sockets(manager, config, tun.as_ref(), &mut lines).await?),
        None => None,
    };
    let (mut mesh, mut from_line, mut from_edge) = (None, None, None);
    if let (Some((url, serial)), Some(tun), Some(router)) = (radio, tun, core.border_router()) {
        let socket = bind(Ipv6Addr::UNSPECIFIED, JOINER_PORT).await?;
        let (to_line, for_line) = mpsc::channel(line::WAITING_MAX);
        let (tell, heard) = mpsc::channel(line::WAITING_MAX);
        let anew = Arc::new(Notify::new());
        let asked_anew = anew.clone();
        tokio::spawn(async move { line::drive(url, serial, for_line, &asked_anew, tell).await });
        let (manager_addr, eui64) = (router.manager_addr, router.router.node().eui64());
        let interface = &config.network.interface;
        lines.push(format!("border router {eui64} on {interface}, manager at {manager_addr}"));
        let (groups, wanted) = watch::channel(BTreeSet::new());
        let (told, commands) = mpsc::channel(edge::WAITING_MAX);
        tokio::spawn(edge::listen(interface.clone(), wanted, told));
        mesh = Some(Mesh { to_line, anew, tun, groups, socket, manager_addr });
        (from_line, from_edge) = (Some(heard), Some(commands));
    }
    // The last that can fail: a daemon that does not start must not push an older journal out.
    let record = Record::begin(journal, beginning, &mut core)?;
    tokio::spawn(control::serve(listener, asked, events.clone()));
    let (storage, asked) = (Storage::start(store, flash), BTreeMap::new());
    let outside = Outside { mesh, manager: sockets, storage, events, asked, _lock: lock };
    fresh.keep();
    let inside = Inside { from_line, from_edge, questions, next_question: 0 };
    Ok((core, record, outside, inside, lines))
}

async fn open_radio(config: &Config) -> Result<(SerialUrl, Serial), String> {
    let url = SerialUrl::parse(&config.radio.url).map_err(|fault| fault.to_string())?;
    let mut serial = Serial::open(&url).map_err(|fault| fault.to_string())?;
    greet(&url, &mut serial).await?;
    Ok((url, serial))
}

fn open_tun(config: &Config) -> Result<Tun, String> {
    Tun::open(&config.network.interface).map_err(|fault| fault.to_string())
}

/// At the domain's address: one of the machine's if the configuration has it, else one on the mesh's own
/// interface.
async fn manager_sockets(
    manager: &Manager,
    config: &Config,
    tun: Option<&Tun>,
    lines: &mut Vec<String>,
) -> Result<ManagerSockets, String> {
    let domain = manager.domain().config();
    let (mesh, addr) = (Iid([0; 8]).under(domain.mesh_prefix), domain.manager_addr);
    if let Some(tun) = tun {
        tun.check_free(mesh, 64).map_err(|fault| fault.to_string())?;
    }
    if let Some(tun) = tun.filter(|_| config.manager.address.is_none()) {
        tun.check_free(addr, 128).map_err(|fault| fault.to_string())?;
        tun.add_addr(addr, 128).await.map_err(|fault| fault.to_string())?;
    }
    let relayed = bind(addr, MANAGER_RELAY_PORT).await?;
    let direct = bind(addr, MANAGER_PORT).await?;
    lines.push(format!("mesh {mesh}/64, manager at {addr}"));
    Ok(ManagerSockets { relayed, direct })
}

/// Waits for the next thing that happens.
async fn next(
    outside: &mut Outside,
    inside: &mut Inside,
    pause: Duration,
) -> Result<Input, String> {
    let [mut packet, mut relayed, mut told, mut own] = [[0; PACKET_OCTETS_MAX]; 4];
    let mesh = outside.mesh.as_ref();
    let sockets = outside.manager.as_ref();
    Ok(tokio::select! {
        () = sleep(pause) => Input::Wake,
        said = heard(&mut inside.from_line) => match said {
            Some(FromLine::Opened) => Input::LineOpened,
            Some(FromLine::Closed { why }) => Input::LineClosed { why },
            Some(FromLine::Octets(octets)) => Input::LineOctets(octets),
            None => return Err("the serial line's task ended".into()),
        },
        said = heard(&mut inside.from_edge) => match said {
            Some(FromEdge::Heard { src, group, octets }) => {
                Input::ForGroup { from: src, group, octets }
            }
            Some(FromEdge::Trouble(line)) => Input::Trouble { line },
            None => return Err("the task of the groups ended".into()),
        },
        len = routed(mesh, &mut packet) => {
            let len = len.map_err(|fault| format!("the network interface is gone: {fault}"))?;
            Input::Packet(packet[..len].to_vec())
        }
        (len, from) = received(sockets.map(|it| &it.relayed), &mut relayed) => {
            let octets = relayed[..len].to_vec();
            Input::ForManager { from, dst_port: MANAGER_RELAY_PORT, octets }
        }
        (len, from) = received(sockets.map(|it| &it.direct), &mut told) => {
            Input::ForManager { from, dst_port: MANAGER_PORT, octets: told[..len].to_vec() }
        }
        (len, from) = received(mesh.map(|mesh| &mesh.socket), &mut own) => {
            Input::ForRouter { from, octets: own[..len].to_vec() }
        }
        done = outside.storage.next() => match done {
            Done::Committed { revision } => Input::Committed { revision },
            Done::Put { ticket } => Input::Stored { ticket },
            Done::Failed { why } => {
                return Err(format!("{why}; see to the disk of state.dir, then start again"));
            },
        },
        asked = inside.questions.recv() => match asked {
            Some((ask, answer)) => {
                let question = inside.next_question;
                inside.next_question += 1;
                outside.asked.insert(question, answer);
                Input::Asked { question, ask }
            }
            None => return Err("the commands' task ended".into()),
        },
    })
}

async fn heard<T>(task: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match task {
        Some(task) => task.recv().await,
        None => pending().await,
    }
}

async fn routed(mesh: Option<&Mesh>, packet: &mut [u8]) -> std::io::Result<usize> {
    match mesh {
        Some(mesh) => mesh.tun.recv(packet).await,
        None => pending().await,
    }
}

/// Errors are those of earlier datagrams that somebody refused: nobody's loss here.
async fn received(socket: Option<&UdpSocket>, octets: &mut [u8]) -> (usize, (Ipv6Addr, u16)) {
    let Some(socket) = socket else { return pending().await };
    loop {
        if let Ok((len, SocketAddr::V6(from))) = socket.recv_from(octets).await {
            return (len, (*from.ip(), from.port()));
        }
    }
}

impl Mesh {
    /// A border router alone learns its prefix late: somebody may have it.
    async fn route(&self, prefix: [u8; 8]) -> Result<(), String> {
        let mesh = Iid([0; 8]).under(prefix);
        self.tun.check_free(mesh, 64).map_err(|fault| fault.to_string())?;
        self.tun.add_route(mesh, 64).await.map_err(|fault| fault.to_string())
    }
}

impl Outside {
    /// Datagrams that the system does not take now are lost, as datagrams may be.
    async fn fulfil(&mut self, wishes: Vec<Wish>, out: &mut dyn Write) -> Result<(), String> {
        for wish in wishes {
            match (wish, &self.mesh, &self.manager) {
                (Wish::Serial(octets), Some(mesh), _) => drop(mesh.to_line.try_send(octets)),
                (Wish::Reopen, Some(mesh), _) => mesh.anew.notify_one(),
                (Wish::Tun(packet), Some(mesh), _) => drop(mesh.tun.send(&packet).await),
                (Wish::Route(prefix), Some(mesh), _) => mesh.route(prefix).await?,
                (Wish::Groups(groups), Some(mesh), _) => drop(mesh.groups.send(groups)),
                (Wish::FromRouter { octets }, Some(mesh), _) => {
                    let to = SocketAddrV6::new(mesh.manager_addr, MANAGER_PORT, 0, 0);
                    let _ = mesh.socket.try_send_to(&octets, to.into());
                }
                (Wish::FromManager { src_port, dst, dst_port, octets }, _, Some(sockets)) => {
                    let socket = match src_port {
                        MANAGER_RELAY_PORT => &sockets.relayed,
                        _ => &sockets.direct,
                    };
                    let to = SocketAddrV6::new(dst, dst_port, 0, 0);
                    let _ = socket.try_send_to(&octets, to.into());
                }
                (Wish::Store(job), ..) => self.storage.give(job),
                (Wish::Answer { question, answer }, ..) => {
                    // Whoever asked may be gone.
                    drop(self.asked.remove(&question).map(|asked| asked.send(answer)));
                }
                (Wish::Tell(line), ..) => self.tell(line, out),
                (
                    Wish::Serial(_)
                    | Wish::Reopen
                    | Wish::Tun(_)
                    | Wish::Route(_)
                    | Wish::Groups(_)
                    | Wish::FromRouter { .. }
                    | Wish::FromManager { .. },
                    ..,
                ) => unreachable!("who is not here wishes nothing"),
            }
        }
        Ok(())
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
            Err(fault) if fault.kind() == ErrorKind::AddrNotAvailable => {
                if std::time::Instant::now() >= deadline {
                    return Err(format!(
                        "manager.address: {addr} is none of this machine's addresses; see `ip -6 addr`"
                    ));
                }
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
