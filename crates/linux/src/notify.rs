//! Telling systemd how the service is, as sd_notify(3) writes it: one datagram of `NAME=value` lines.
//!
//! **Invariant:** never waits longer than [`SEND_MAX`]. Whether there is anybody to tell
//! (`$NOTIFY_SOCKET`) and how often the watchdog must hear (`$WATCHDOG_USEC`) is the caller's to know.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long one notice may wait for room in the service manager's queue.
const SEND_MAX: Duration = Duration::from_millis(200);
/// The longest status text; what follows is cut off.
const STATUS_OCTETS_MAX: usize = 512;

/// A line to the service manager.
#[derive(Debug)]
pub struct Notify {
    socket: UnixDatagram,
    address: SocketAddr,
}

/// What to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice<'t> {
    /// The service does its work.
    Ready,
    /// The service is about to end.
    Stopping,
    /// The service is alive.
    Watchdog,
    /// One line for `systemctl status`; it ends at a line break or after 512 octets.
    Status(&'t str),
}

/// Why the service manager was not told.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Neither an absolute path nor an abstract name.
    #[error(
        "NOTIFY_SOCKET={0:?} is neither an absolute path nor @ and a name; \
         start the service through systemd, or unset NOTIFY_SOCKET"
    )]
    Address(String),
    /// The system refused.
    #[error("the service manager does not listen ({0}); is NotifyAccess= set in the unit?")]
    Send(#[from] io::Error),
}

impl Notify {
    /// Prepares to tell the service manager that listens at `address`, the value of `$NOTIFY_SOCKET`:
    /// an absolute path, or `@` and the name of an abstract socket.
    ///
    /// # Errors
    /// The address has another shape, or no socket could be made.
    pub fn open(address: &OsStr) -> Result<Self, NotifyError> {
        let parsed = match address.as_bytes() {
            [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name),
            [b'/', _, ..] => SocketAddr::from_pathname(address),
            _ => return Err(NotifyError::Address(address.to_string_lossy().into_owned())),
        };
        // Whatever the system dislikes about a name is about the name: too long, or a zero octet.
        let address =
            parsed.map_err(|_| NotifyError::Address(address.to_string_lossy().into_owned()))?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_MAX))?;
        Ok(Self { socket, address })
    }

    /// Sends one notice.
    ///
    /// # Errors
    /// Nobody listens, or the queue stayed full. The service can go on; the manager will act by its
    /// own time limits.
    pub fn tell(&self, notice: Notice<'_>) -> Result<(), NotifyError> {
        let text = match notice {
            Notice::Ready => "READY=1".to_owned(),
            Notice::Stopping => "STOPPING=1".to_owned(),
            Notice::Watchdog => "WATCHDOG=1".to_owned(),
            Notice::Status(status) => format!("STATUS={}", one_line(status)),
        };
        self.socket.send_to_addr(text.as_bytes(), &self.address)?;
        Ok(())
    }
}

/// A line break would begin another assignment, so the text ends there.
fn one_line(status: &str) -> &str {
    let line = status.lines().next().unwrap_or_default();
    &line[..line.floor_char_boundary(STATUS_OCTETS_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listener: &UnixDatagram, address: &OsStr) {
        let notify = Notify::open(address).unwrap();
        for (notice, expected) in [
            (Notice::Ready, "READY=1"),
            (Notice::Watchdog, "WATCHDOG=1"),
            (Notice::Status("12 members\nREADY=1"), "STATUS=12 members"),
            (Notice::Stopping, "STOPPING=1"),
        ] {
            notify.tell(notice).unwrap();
            let mut buffer = [0; 100];
            let octets = listener.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..octets], expected.as_bytes());
        }
    }

    #[test]
    fn a_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        check(&UnixDatagram::bind(&path).unwrap(), path.as_os_str());
    }

    #[test]
    fn an_abstract_name() {
        let name = format!("lowgate-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        check(&listener, OsStr::new(&format!("@{name}")));
    }

    #[test]
    fn other_addresses_are_refused() {
        let long = format!("/{}", "a".repeat(200));
        for address in ["", "@", "/", "run/notify", "vsock:2:1234", "/a\0b", &long] {
            let refused = Notify::open(OsStr::new(address));
            assert!(matches!(refused, Err(NotifyError::Address(_))), "{address:?}");
        }
    }

    #[test]
    fn nobody_listens() {
        let directory = tempfile::tempdir().unwrap();
        let notify = Notify::open(directory.path().join("notify").as_os_str()).unwrap();
        assert!(matches!(notify.tell(Notice::Ready), Err(NotifyError::Send(_))));
    }

    #[test]
    fn a_full_queue_is_an_error_and_not_a_wait() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let _deaf = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::open(path.as_os_str()).unwrap();
        // The system's own bound of a queue is 10 to some thousands; so is this.
        let full = (0..100_000).find_map(|_| notify.tell(Notice::Watchdog).err());
        assert!(matches!(full, Some(NotifyError::Send(_))));
    }

    #[test]
    fn a_long_status_is_cut_between_characters() {
        assert_eq!(one_line(&"ä".repeat(400)).len(), STATUS_OCTETS_MAX);
        assert_eq!(one_line(&format!("x{}", "ä".repeat(400))).len(), STATUS_OCTETS_MAX - 1);
        assert_eq!(one_line(""), "");
    }
}
