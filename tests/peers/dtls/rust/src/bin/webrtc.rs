//! A DTLS 1.2 server over `webrtc-dtls`: a peer of `cargo xtask bench dtls`. Argument: psk, or version. Its cookies keep state;
//! all sessions share one socket, and one thread.

use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use webrtc_dtls::cipher_suite::CipherSuiteId;
use webrtc_dtls::config::{Config, ExtendedMasterSecretType};
use webrtc_dtls::conn::DTLSConn;
use webrtc_util::conn::conn_udp_listener::ListenConfig;
use webrtc_util::conn::{Conn, Listener};

fn config() -> Config {
    Config {
        psk: Some(Arc::new(|_identity| Ok(b"0123456789abcdef".to_vec()))),
        psk_identity_hint: Some(b"bench".to_vec()),
        cipher_suites: vec![CipherSuiteId::Tls_Psk_With_Aes_128_Ccm_8],
        extended_master_secret: ExtendedMasterSecretType::Require,
        ..Config::default()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("psk") => {}
        Some("version") => {
            println!("0.12.0");
            return Ok(());
        }
        Some(_) | None => return Err("psk or version".into()),
    }
    let listener =
        ListenConfig { backlog: 1024, accept_filter: None }.listen("127.0.0.1:0").await?;
    println!("{}", listener.addr().await?.port());
    std::io::stdout().flush()?;
    loop {
        let (conn, _) = listener.accept().await?;
        tokio::spawn(serve(conn));
    }
}

/// One session, to its end.
async fn serve(conn: Arc<dyn Conn + Send + Sync>) {
    let Ok(session) = DTLSConn::new(conn, config(), false, None).await else { return };
    let mut payload = [0; 512];
    while let Ok(len) = session.read(&mut payload, None).await {
        if payload[0] != 0 && session.write(&payload[..len], None).await.is_err() {
            return;
        }
    }
}
