//! A DTLS 1.2 server over `dimpl`: a peer of `cargo xtask bench dtls`. Arguments: psk or version, then whose cipher (aws-lc or
//! rustcrypto). Cookies are on; the session is kept from the first ClientHello. All sessions share one socket.

use dimpl::crypto::{aws_lc_rs, rust_crypto};
use dimpl::{Config, Dtls, Output, PskResolver};
use std::collections::HashMap;
use std::error::Error;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

/// Everybody has this key.
struct OneKey;

impl PskResolver for OneKey {
    fn resolve(&self, _identity: &[u8]) -> Option<Vec<u8>> {
        Some(b"0123456789abcdef".to_vec())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let provider = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["psk", "aws-lc"] => aws_lc_rs::default_provider(),
        ["version", _] => {
            println!("0.9.0");
            return Ok(());
        }
        ["psk", "rustcrypto"] => rust_crypto::default_provider(),
        _ => return Err("psk aws-lc|rustcrypto".into()),
    };
    let config = Config::builder()
        .with_crypto_provider(provider)
        .use_server_cookie(true)
        .with_psk_server(None, Arc::new(OneKey))
        .build()?;
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
) -> Result<bool, Box<dyn Error>> {
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
