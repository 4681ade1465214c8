//! Lines with real parts: pseudo terminals, sockets and programs.

use super::*;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
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

async fn read_exact(serial: &mut Serial, expected: &[u8]) {
    let mut heard = vec![0; expected.len()];
    let mut octets = 0;
    while octets < heard.len() {
        octets += serial.read(&mut heard[octets..]).await.unwrap();
    }
    assert_eq!(heard, expected);
}

/// Any error that says the line is gone; which one depends on the kind of line.
async fn reads_until_gone(serial: &mut Serial) -> io::Error {
    let mut buffer = [0; 64];
    loop {
        match serial.read(&mut buffer).await {
            Ok(octets) => assert_ne!(octets, 0),
            Err(error) => return error,
        }
    }
}

fn every_octet() -> Vec<u8> {
    (0..=255).collect()
}

#[tokio::test]
async fn a_pseudo_terminal_carries_every_octet() {
    for options in ["", "?baud=460800", "?baud=115200&flow=none", "?baud=1000000&flow=hw"] {
        let (mut radio, path, kept_open) = pty();
        let mut serial = open(&format!("spinel+hdlc+uart://{path}{options}")).unwrap();
        drop(kept_open);
        // Raw: no echo, no line editing, no XON, no change of line ends.
        serial.write_all(&every_octet()).await.unwrap();
        let mut heard = [0; 256];
        radio.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard[..], every_octet());
        radio.write_all(&every_octet()).await.unwrap();
        read_exact(&mut serial, &every_octet()).await;
    }
}

#[tokio::test]
async fn octets_sent_before_the_line_is_opened_are_kept() {
    let (mut radio, path, _kept_open) = pty();
    radio.write_all(b"reset notice").await.unwrap();
    let mut serial = open(&format!("spinel+hdlc+uart://{path}")).unwrap();
    read_exact(&mut serial, b"reset notice").await;
}

#[tokio::test]
async fn a_device_that_goes_is_an_error() {
    let (radio, path, kept_open) = pty();
    let mut serial = open(&format!("spinel+hdlc+uart://{path}")).unwrap();
    drop((radio, kept_open));
    reads_until_gone(&mut serial).await;
    assert!(serial.write_all(b"x").await.is_err());
}

#[tokio::test]
async fn a_device_is_ours_alone_until_it_is_closed() {
    let (_radio, path, _kept_open) = pty();
    let url = format!("spinel+hdlc+uart://{path}");
    let first = open(&url).unwrap();
    assert!(matches!(open(&url), Err(SerialError::Busy { .. })));
    // The refused attempt has not taken the line from its owner.
    assert!(matches!(open(&url), Err(SerialError::Busy { .. })));
    drop(first);
    open(&url).unwrap();
}

#[tokio::test]
async fn what_is_no_serial_device() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| format!("spinel+hdlc+uart://{}/{name}", directory.path().display());
    assert!(matches!(open(&at("absent")), Err(SerialError::Missing { .. })));
    std::fs::write(directory.path().join("file"), "").unwrap();
    assert!(matches!(open(&at("file")), Err(SerialError::NotSerial { .. })));
    std::os::unix::fs::symlink("/dev/null", directory.path().join("null")).unwrap();
    assert!(matches!(open(&at("null")), Err(SerialError::NotSerial { .. })));
}

#[tokio::test]
async fn errors_are_told_apart() {
    use tokio_serial::{Error, ErrorKind as K};
    let check = |kind, expected: fn(&SerialError) -> bool| {
        let error = tty_error(Path::new("/dev/ttyX"), Error::new(kind, "the system's words"));
        assert!(expected(&error), "{kind:?}: {error:?}");
        assert!(error.to_string().contains("/dev/ttyX"));
    };
    check(K::NoDevice, |error| matches!(error, SerialError::Busy { .. }));
    check(K::Unknown, |error| matches!(error, SerialError::NotSerial { .. }));
    let missing = K::Io(io::ErrorKind::NotFound);
    check(missing, |error| matches!(error, SerialError::Missing { .. }));
    // Root may open everything, so the refusal itself cannot be had everywhere.
    let forbidden = K::Io(io::ErrorKind::PermissionDenied);
    check(forbidden, |error| matches!(error, SerialError::Permission { .. }));
    check(K::Io(io::ErrorKind::TimedOut), |error| matches!(error, SerialError::Io { .. }));
}

#[tokio::test]
async fn a_socket_carries_octets_until_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("radio.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut serial = open(&format!("spinel+hdlc+socket://{}", path.display())).unwrap();
    let (mut radio, _) = listener.accept().unwrap();
    serial.write_all(&every_octet()).await.unwrap();
    let mut heard = [0; 256];
    io::Read::read_exact(&mut radio, &mut heard).unwrap();
    assert_eq!(heard[..], every_octet());
    io::Write::write_all(&mut radio, &every_octet()).unwrap();
    read_exact(&mut serial, &every_octet()).await;
    assert_eq!(serial.read(&mut []).await.unwrap(), 0);
    drop(radio);
    assert_eq!(reads_until_gone(&mut serial).await.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn sockets_without_a_listener() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("radio.sock");
    let url = format!("spinel+hdlc+socket://{}", path.display());
    assert!(matches!(open(&url), Err(SerialError::Missing { .. })));
    drop(UnixListener::bind(&path).unwrap());
    assert!(matches!(open(&url), Err(SerialError::NoListener { .. })));
}

#[tokio::test]
async fn a_program_answers_and_is_killed_with_the_line() {
    let mut serial = open("spinel+hdlc+forkpty:///bin/cat").unwrap();
    serial.write_all(&every_octet()).await.unwrap();
    read_exact(&mut serial, &every_octet()).await;
    let Line::Process { child, .. } = &serial.line else { unreachable!("a program was asked for") };
    let status = format!("/proc/{}/stat", child.id().unwrap());
    drop(serial);
    // Killed at once, a zombie until the runtime has collected it.
    while let Ok(stat) = std::fs::read_to_string(&status)
        && !stat.contains(") Z ")
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_program_gets_its_arguments_and_its_end_is_told() {
    let url = "spinel+hdlc+forkpty:///bin/sh?arg=-c&arg=printf%20%25s%20%22%241%22%3B%20exit%203";
    let mut serial = open(&format!("{url}&arg=sh&arg=a%26b")).unwrap();
    read_exact(&mut serial, b"a&b").await;
    assert_eq!(reads_until_gone(&mut serial).await.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn programs_that_cannot_run() {
    assert!(matches!(
        open("spinel+hdlc+forkpty:///absent/program"),
        Err(SerialError::Missing { .. })
    ));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("program");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let refused = open(&format!("spinel+hdlc+forkpty://{}", path.display()));
    assert!(matches!(refused, Err(SerialError::NotExecutable { .. })));
}

/// More than all buffers between the two ends hold.
const FLOOD_OCTETS: usize = 1 << 20;

#[tokio::test(start_paused = true)]
async fn an_end_that_takes_nothing_is_an_error() {
    let (_radio, path, _kept_open) = pty();
    let mut serial = open(&format!("spinel+hdlc+uart://{path}")).unwrap();
    let error = serial.write_all(&vec![0; FLOOD_OCTETS]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn two_ends_that_both_write_do_not_stop_each_other() {
    let mut serial = open("spinel+hdlc+forkpty:///bin/cat").unwrap();
    let outgoing: Vec<u8> = (0..FLOOD_OCTETS).map(|index| (index % 251) as u8).collect();
    let (mut wrote, mut incoming) = (0, Vec::new());
    let mut buffer = [0; 4096];
    while incoming.len() < outgoing.len() {
        match serial.exchange(&outgoing[wrote..], &mut buffer).await.unwrap() {
            Exchanged::Wrote(octets) => wrote += octets,
            Exchanged::Read(octets) => incoming.extend_from_slice(&buffer[..octets]),
        }
    }
    assert!(incoming == outgoing, "octets changed or out of order");
}
