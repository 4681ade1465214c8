//! Lines with real parts: pseudo terminals, sockets and programs.

use super::*;
use tokio::io::AsyncReadExt;
use tokio_serial::SerialPort;

fn open(url: &str) -> Result<Serial, SerialError> {
    Serial::open(&SerialUrl::parse(url).unwrap())
}

/// A pseudo terminal: the end that a co-processor would have, and the path of ours. The third keeps
/// the path alive until it has been opened.
fn pty() -> (SerialStream, String, SerialStream) {
    let (master, slave) = SerialStream::pair().unwrap();
    let path = slave.name().unwrap();
    (master, path, slave)
}

#[tokio::test]
async fn a_pseudo_terminal_carries_every_octet() {
    let (mut radio, path, placeholder) = pty();
    let mut serial = open(&format!("spinel+hdlc+uart://{path}?baud=460800")).unwrap();
    drop(placeholder);
    // Raw: no echo, no line editing, no XON, no change of line ends.
    let all: Vec<u8> = (0..=255).collect();
    serial.write_all(&all).await.unwrap();
    let mut heard = [0; 256];
    radio.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard[..], all);

    radio.write_all(&all).await.unwrap();
    let mut octets = 0;
    while octets < heard.len() {
        octets += serial.read(&mut heard[octets..]).await.unwrap();
    }
    assert_eq!(heard[..], all);
}
