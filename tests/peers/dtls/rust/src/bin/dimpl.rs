//! A DTLS 1.2 server and client over `dimpl`: a peer of `cargo xtask bench dtls` and `cargo xtask interop`. Arguments of the
//! server: psk, then whose cipher (aws-lc or rustcrypto). Cookies are on; the session is kept from the first ClientHello.
//! All sessions share one socket. Of the client: client, the server's port, and whose cipher; it says when there is a
//! session, sends the lines of its standard input with their ends, writes what comes, and says goodbye when its input
//! ends. Or: version, and whose cipher.

use dimpl::crypto::{aws_lc_rs, rust_crypto};
use dimpl::{Config, ConfigBuilder, Dtls, Output, PskResolver};
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long a client looks for datagrams before it looks for lines.
const TURN: Duration = Duration::from_millis(20);

/// Everybody has this key.
struct OneKey;

impl PskResolver for OneKey {
    fn resolve(&self, _identity: &[u8]) -> Option<Vec<u8>> {
        Some(b"0123456789abcdef".to_vec())
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["psk", cipher] => serve(configured_with(cipher)?),
        ["client", port, cipher] => ask(port.parse()?, configured_with(cipher)?),
        ["version", _] => {
            println!("0.9.0");
            Ok(())
        }
        _ => Err("psk CIPHER, client PORT CIPHER, or version CIPHER".into()),
    }
}

fn configured_with(cipher: &str) -> Outcome<ConfigBuilder> {
    let provider = match cipher {
        "aws-lc" => aws_lc_rs::default_provider(),
        "rustcrypto" => rust_crypto::default_provider(),
        _ => return Err("aws-lc or rustcrypto".into()),
    };
    Ok(Config::builder().with_crypto_provider(provider))
}

fn serve(config: ConfigBuilder) -> Outcome<()> {
    let config = config.use_server_cookie(true).with_psk_server(None, Arc::new(OneKey)).build()?;
    let config = Arc::new(config);
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    println!("{}", socket.local_addr()?.port());
    std::io::stdout().flush()?;
    let mut sessions: HashMap<SocketAddr, Box<Dtls>> = HashMap::new();
    let (mut datagram, mut out) = ([0; 2048], vec![0; 2048]);
    loop {
        let (len, from) = socket.recv_from(&mut datagram)?;
        let now = Instant::now();
        let session = sessions
            .entry(from)
            .or_insert_with(|| Box::new(Dtls::new_12_psk(Arc::clone(&config), now)));
        let heard =
            session.handle_timeout(now).and_then(|()| session.handle_packet(&datagram[..len]));
        if heard.is_err() || drain(session, &socket, from, &mut out)? {
            sessions.remove(&from);
        }
    }
}

/// Sends what the session wants to send, and payloads back. Whether it is over.
fn drain(
    session: &mut Dtls,
    socket: &UdpSocket,
    to: SocketAddr,
    out: &mut [u8],
) -> Outcome<bool> {
    loop {
        match session.poll_output(out) {
            Output::Packet(octets) => {
                socket.send_to(octets, to)?;
            }
            Output::ApplicationData(payload) => {
                if payload.first().is_some_and(|first| *first != 0) {
                    let payload = payload.to_vec();
                    session.send_application_data(&payload)?;
                }
            }
            Output::Timeout(_) => return Ok(false),
            Output::CloseNotify => return Ok(true),
            _ => {}
        }
    }
}

fn ask(port: u16, config: ConfigBuilder) -> Outcome<()> {
    let config = config.with_psk_client(b"device-1".to_vec(), Arc::new(OneKey)).build()?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(TURN))?;
    let mut session = Dtls::new_12_psk(Arc::new(config), Instant::now());
    session.set_active(true);
    let lines = lines();
    let (mut datagram, mut established) = ([0; 2048], false);
    loop {
        session.handle_timeout(Instant::now())?;
        match socket.recv(&mut datagram) {
            Ok(len) => session.handle_packet(&datagram[..len])?,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => return Err(e.into()),
        }
        // What is written before there is a session waits for it.
        match if established { lines.try_recv() } else { Err(TryRecvError::Empty) } {
            Ok(line) => drop(session.send_application_data(format!("{line}\n").as_bytes())?),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => session.close()?,
        }
        established |= show(&mut session, &socket)?;
        if session.is_closed() {
            return Ok(());
        }
    }
}

/// The lines of the standard input; disconnected at its end.
fn lines() -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Sends what the session wants to send, and writes what came. Whether there is a session from now on.
fn show(session: &mut Dtls, socket: &UdpSocket) -> Outcome<bool> {
    let (mut out, mut connected) = ([0; 2048], false);
    loop {
        match session.poll_output(&mut out) {
            Output::Packet(octets) => drop(socket.send(octets)?),
            Output::ApplicationData(payload) => std::io::stdout().write_all(payload)?,
            Output::Connected => {
                println!("new session");
                connected = true;
            }
            Output::Timeout(_) => break,
            _ => {}
        }
    }
    std::io::stdout().flush()?;
    Ok(connected)
}
