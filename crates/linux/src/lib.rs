//! Linux: the serial line of a co-processor, TUN with its addresses and routes, the other interfaces,
//! systemd's readiness.
//!
//! **Invariant:** these drivers decide nothing. They open, read, write and close; when a line or a
//! device is gone they say so, and whoever drives them chooses whether and when to open it again.
//! Nothing here reads the environment, starts a background task or keeps a clock of its own.
//!
//! Absent on purpose: UDP (`tokio::net::UdpSocket` binds to a TUN's address at once, because no
//! duplicate address detection runs there) and the system's forwarding switches, which belong to the
//! operator.

mod notify;
mod serial;
mod tun;
mod uplinks;
mod url;

pub use notify::{Notice, Notify, NotifyError};
pub use serial::{Exchanged, Serial, SerialError, WRITE_MAX};
pub use tun::{MTU_OCTETS, Tun, TunError};
pub use uplinks::{Uplinks, uplinks};
pub use url::{BAUD_DEFAULT, SerialUrl, SerialUrlError};
