//! The TUN device: where the mesh is plugged into Linux' IPv6.
//!
//! **Invariant:** one call of [`Tun::recv`] or [`Tun::send`] is one IPv6 packet, without packet
//! information in front. Addresses and routes vanish with the device, and the device with its owner.

mod taken;

use rtnetlink::packet_core::ErrorMessage;
use rtnetlink::{Handle, RouteMessageBuilder};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use tun_rs::{AsyncDevice, DeviceBuilder, Layer};

/// RFC 8200 section 5 and RFC 4944 section 4: what every IPv6 link carries, and all that a mesh does.
pub const MTU_OCTETS: u16 = 1280;

/// IFNAMSIZ of Linux, without the zero at the end.
const NAME_OCTETS_MAX: usize = 15;
/// The longest IPv6 prefix.
const PREFIX_BITS_MAX: u8 = 128;
/// What makes a TUN device.
const CLONE_DEVICE: &str = "/dev/net/tun";
/// Linux has one kind of error for "not yours" and for "not allowed to you"; the remedies differ.
const EACCES: i32 = 13;

/// An open TUN device that is up.
pub struct Tun {
    device: AsyncDevice,
    name: String,
    index: u32,
}

/// Why the device or one of its addresses or routes could not be made, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// A name that Linux does not take.
    #[error(
        "{0:?} is no name of a network interface; use 1 to 15 letters, digits, dots, dashes or \
         underscores"
    )]
    Name(String),
    /// The kernel has no TUN driver.
    #[error(
        "{CLONE_DEVICE} is not there; run `modprobe tun`, or give the container --device {CLONE_DEVICE}"
    )]
    NoDriver,
    /// The device file belongs to others.
    #[error(
        "no permission to open {CLONE_DEVICE}; set its mode to 0666 (the kernel checks \
         CAP_NET_ADMIN all the same), or run the service as root"
    )]
    DeviceFile,
    /// Interfaces, addresses and routes need a capability.
    #[error(
        "not allowed to {doing}; the service needs CAP_NET_ADMIN \
         (AmbientCapabilities=CAP_NET_ADMIN in its unit, --cap-add NET_ADMIN for a container)"
    )]
    Capability {
        /// What was refused.
        doing: String,
    },
    /// Another program has the device.
    #[error(
        "the TUN device {0} is in use by another program; stop that, or choose another name \
         (`ip -details link show {0}` shows the device)"
    )]
    Taken(String),
    /// An interface of that name exists and is not a TUN device.
    #[error("{0} is a network interface of another kind; choose another name for the TUN device")]
    NotTun(String),
    /// IPv6 is switched off on the device.
    #[error(
        "IPv6 is switched off on {0}; run `sysctl net.ipv6.conf.{0}.disable_ipv6=0` and set \
         net.ipv6.conf.default.disable_ipv6=0 for the next start"
    )]
    Ipv6Disabled(String),
    /// More bits than an address has.
    #[error("a prefix of {0} bits is longer than an IPv6 address; use 0 to 128")]
    PrefixLen(u8),
    /// Addresses or routes of another interface are in it.
    #[error(
        "{prefix} is in use on {interface}; take it from there (`ip -6 addr show dev {interface}` and \
         `ip -6 route show dev {interface}` show what is), then start again"
    )]
    PrefixTaken {
        /// The prefix.
        prefix: String,
        /// Whose it is.
        interface: String,
    },
    /// The route is there already, whosever it is.
    #[error("there is another route to {0}; `ip -6 route show {0}` shows it, remove it first")]
    RouteExists(String),
    /// Anything else that the system reports.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Tun {
    /// Creates the TUN device `name`, or takes a persistent one that nobody has open; sets its MTU to
    /// [`MTU_OCTETS`] and brings it up. Must be called within a tokio runtime with IO.
    ///
    /// # Errors
    /// See [`TunError`].
    pub fn open(name: &str) -> Result<Self, TunError> {
        check_name(name)?;
        // Asked first, because the TUN crate would otherwise make the device file by itself.
        if !Path::new(CLONE_DEVICE).exists() {
            return Err(TunError::NoDriver);
        }
        let device = DeviceBuilder::new()
            .name(name)
            .layer(Layer::L3)
            .packet_information(false)
            .inherit_enable_state()
            .build_async()
            .map_err(|source| open_error(name, source))?;
        let step = |doing: &str| {
            let doing = format!("{doing} {name}");
            move |source| refused(doing, source)
        };
        let index = device.if_index().map_err(step("find the index of"))?;
        device.set_mtu(MTU_OCTETS).map_err(step("set the MTU of"))?;
        device.enabled(true).map_err(step("bring up"))?;
        Ok(Self { device, name: name.to_owned(), index })
    }

    /// The name of the interface.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits for a packet that Linux sends into the mesh; its length. `buffer` shall have room for
    /// [`MTU_OCTETS`]: what does not fit is lost. No packet is lost when the future is dropped.
    ///
    /// # Errors
    /// The device is down or was removed.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.device.recv(buffer).await
    }

    /// Hands a packet from the mesh to Linux.
    ///
    /// # Errors
    /// `InvalidInput`: `packet` is not an IPv6 packet. Others: the device is down or was removed.
    pub async fn send(&self, packet: &[u8]) -> io::Result<()> {
        if packet.first().is_none_or(|first| first >> 4 != 6) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an IPv6 packet"));
        }
        self.device.send(packet).await.map(|_| ())
    }

    /// Whether another interface of this network namespace has an address or a route in a prefix that
    /// the device is to have; bits of `destination` behind the prefix are ignored.
    ///
    /// # Errors
    /// See [`TunError`].
    pub fn check_free(&self, destination: Ipv6Addr, prefix_len: u8) -> Result<(), TunError> {
        check_prefix_len(prefix_len)?;
        taken::check(&self.name, destination, prefix_len)
    }

    /// Gives the device an address, usable at once, and a route to its prefix. An address that the
    /// device has already stays.
    ///
    /// # Errors
    /// See [`TunError`].
    pub async fn add_addr(&self, address: Ipv6Addr, prefix_len: u8) -> Result<(), TunError> {
        check_prefix_len(prefix_len)?;
        let added = netlink(async |handle| {
            let request = handle.address().add(self.index, IpAddr::V6(address), prefix_len);
            request.replace().execute().await
        });
        added.await.map_err(|source| match source.raw_os_error() {
            // The kernel says so for an interface without IPv6; missing rights are EPERM.
            Some(EACCES) => TunError::Ipv6Disabled(self.name.clone()),
            _ => refused(format!("add {address}/{prefix_len} to {}", self.name), source),
        })
    }

    /// Routes a prefix into the device; bits of `destination` behind the prefix are ignored.
    ///
    /// # Errors
    /// See [`TunError`]. A route to the same prefix is never replaced: it may be somebody else's.
    pub async fn add_route(&self, destination: Ipv6Addr, prefix_len: u8) -> Result<(), TunError> {
        check_prefix_len(prefix_len)?;
        let destination = network_of(destination, prefix_len);
        let route = RouteMessageBuilder::<Ipv6Addr>::new()
            .destination_prefix(destination, prefix_len)
            .output_interface(self.index)
            .build();
        let added = netlink(async |handle| handle.route().add(route).execute().await);
        added.await.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => {
                TunError::RouteExists(format!("{destination}/{prefix_len}"))
            }
            _ => refused(format!("route {destination}/{prefix_len} to {}", self.name), source),
        })
    }
}

impl std::fmt::Debug for Tun {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Tun").field("name", &self.name).field("index", &self.index).finish()
    }
}

/// The kernel refuses slashes and blanks, expands `%d`, and gives `.` and `..` a meaning in /proc/sys.
fn check_name(name: &str) -> Result<(), TunError> {
    let letters = |octet: u8| octet.is_ascii_alphanumeric() || b".-_".contains(&octet);
    let taken = (1..=NAME_OCTETS_MAX).contains(&name.len()) && name.bytes().all(letters);
    // These have files of their own beside those of the interfaces.
    let reserved = [".", "..", "all", "default"].contains(&name);
    if taken && !reserved { Ok(()) } else { Err(TunError::Name(name.to_owned())) }
}

fn check_prefix_len(prefix_len: u8) -> Result<(), TunError> {
    if prefix_len > PREFIX_BITS_MAX { Err(TunError::PrefixLen(prefix_len)) } else { Ok(()) }
}

fn network_of(address: Ipv6Addr, prefix_len: u8) -> Ipv6Addr {
    let host_bits = u32::from(PREFIX_BITS_MAX.saturating_sub(prefix_len));
    // Shifting by all 128 bits overflows; then nothing is left of the address.
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

fn open_error(name: &str, source: io::Error) -> TunError {
    match source.kind() {
        io::ErrorKind::ResourceBusy => TunError::Taken(name.to_owned()),
        // TUNSETIFF on an interface that exists and is no TUN device.
        io::ErrorKind::InvalidInput => TunError::NotTun(name.to_owned()),
        io::ErrorKind::PermissionDenied if source.raw_os_error() == Some(EACCES) => {
            TunError::DeviceFile
        }
        // The file is there and the driver is not.
        io::ErrorKind::NotFound => TunError::NoDriver,
        _ => refused(format!("create the TUN device {name}"), source),
    }
}

fn refused(doing: String, source: io::Error) -> TunError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => TunError::Capability { doing },
        _ => TunError::Io { doing, source },
    }
}

/// One request over a connection of its own: they are rare, and so nothing runs in between.
async fn netlink(
    request: impl AsyncFnOnce(Handle) -> Result<(), rtnetlink::Error>,
) -> io::Result<()> {
    let (connection, handle, _unsolicited) = rtnetlink::new_connection()?;
    tokio::select! {
        result = request(handle) => result.map_err(netlink_error),
        () = connection => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

fn netlink_error(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => ErrorMessage::to_io(&message),
        other => io::Error::other(other),
    }
}

#[cfg(test)]
#[cfg(feature = "e2e")]
mod kernel;
#[cfg(test)]
mod tests;
