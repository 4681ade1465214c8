//! Our server as a program: as the others it writes its port, takes every identity, all with one key, and sends
//! every payload back whose first octet is not zero.

use super::client::PSK;
use super::servers::Task;
use lowgate_crypto::{PrivateKey, PublicKey, Secret, SoftCcm};
use lowgate_dtls::{
    ContentType, Identity, Peer, Psk, PskDirectory, Server, ServerConfig, ServerInput, ServerOutput,
};
use lowgate_units::{Entropy, Instant, Prng};
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

static CCM: SoftCcm = SoftCcm;
/// Timers are looked at this often when nobody is heard.
const QUIET: Duration = Duration::from_millis(100);

/// The scalar of the server's own key.
pub(super) const SERVER_SCALAR: [u8; 32] = [0x5e; 32];
const CLIENT_SCALAR: [u8; 32] = [0x1d; 32];

pub(super) fn server_key() -> PrivateKey {
    PrivateKey::new(&Secret::new(SERVER_SCALAR)).expect("in range")
}

/// The key of every client.
pub(super) fn client_key() -> PrivateKey {
    PrivateKey::new(&Secret::new(CLIENT_SCALAR)).expect("in range")
}

struct OneKey {
    client: PublicKey,
}

impl PskDirectory for OneKey {
    fn psk(&self, _identity: &[u8]) -> Option<Psk> {
        Psk::new(PSK)
    }

    fn owner(&self, key: &PublicKey) -> Option<Identity> {
        (*key == self.client).then(|| Identity::from_slice(b"device").expect("short"))
    }
}

/// The operating system's.
struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, octets: &mut [u8]) {
        getrandom::fill(octets).expect("the system has random numbers");
    }
}

/// Serves until the process is killed.
pub(crate) fn serve(task: &str) -> Result<(), String> {
    let task = Task::named(task).ok_or_else(|| format!("{task}: no task"))?;
    let socket = socket().map_err(|fault| fault.to_string())?;
    let port = socket.local_addr().map_err(|fault| fault.to_string())?.port();
    println!("{port}");
    io::stdout().flush().map_err(|fault| fault.to_string())?;
    run(&socket, task).map_err(|fault| fault.to_string())
}

/// Serves as long as the process lives, and gives the port.
#[cfg(test)]
pub(super) fn in_a_thread(task: Task) -> u16 {
    let socket = socket().expect("the loopback interface");
    let port = socket.local_addr().expect("bound").port();
    std::thread::spawn(move || run(&socket, task));
    port
}

fn socket() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(QUIET))?;
    Ok(socket)
}

fn config(task: Task) -> ServerConfig {
    ServerConfig {
        sessions_max: 100_000,
        resumable_max: if task == Task::Resume { 4096 } else { 0 },
        tickets: task == Task::Resume,
        raw_key: (task == Task::RawKey).then(server_key),
        ..ServerConfig::new(&CCM)
    }
}

fn run(socket: &UdpSocket, task: Task) -> io::Result<()> {
    let began = std::time::Instant::now();
    let directory = OneKey { client: client_key().public() };
    let mut seed = [0; 8];
    OsEntropy.fill(&mut seed);
    let prng = Prng::new(u64::from_le_bytes(seed));
    let mut server = Server::new(config(task), prng, &mut OsEntropy);
    let mut octets = [0; 2048];
    loop {
        let came = socket.recv_from(&mut octets);
        let now = Instant::from_micros(began.elapsed().as_micros() as u64);
        match came {
            Ok((len, SocketAddr::V4(from))) => {
                let addr = from.ip().to_ipv6_mapped();
                let peer = Peer { addr, port: from.port(), relay_header: heapless::Vec::new() };
                let input = ServerInput::Datagram { peer: &peer, octets: &mut octets[..len] };
                server.handle(now, input, &directory, &mut OsEntropy);
            }
            Ok((_, SocketAddr::V6(_))) => {}
            Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(fault) => return Err(fault),
        }
        drain(&mut server, socket, now)?;
    }
}

fn drain(server: &mut Server, socket: &UdpSocket, now: Instant) -> io::Result<()> {
    loop {
        match server.poll(now) {
            ServerOutput::Transmit { peer, octets } => {
                let ip = peer.addr.to_canonical();
                socket.send_to(&octets, (ip, peer.port))?;
            }
            ServerOutput::Received { session, octets, .. } => {
                if octets.first().is_some_and(|first| *first != 0) {
                    // Nobody waits for an answer that is too long.
                    let _ = server.send(now, session, ContentType::ApplicationData, &octets);
                }
            }
            ServerOutput::Wait { .. } => return Ok(()),
            ServerOutput::HandshakeStarted { .. }
            | ServerOutput::Established { .. }
            | ServerOutput::HandshakeFailed { .. }
            | ServerOutput::PeerMoved { .. }
            | ServerOutput::HeartbeatAnswered { .. }
            | ServerOutput::KeyLog(_)
            | ServerOutput::Event { .. }
            | ServerOutput::Closed { .. } => {}
        }
    }
}
