//! Where the building's network reaches groups: a UDP socket at each group's multicast address, joined on
//! every interface but the loopback and the mesh's own.
//!
//! **Invariant:** listens for the groups it is told of and no others; what arrives is passed on as it is.

use lowgate_linux::{Uplinks, uplinks};
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// RFC 7252 section 6.1.
pub(super) const COAP_PORT: u16 = 5683;
/// Datagrams that may wait for the daemon; of more, the newest are lost.
pub(super) const WAITING_MAX: usize = 64;
/// How soon an interface that comes later is found.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// RFC 7252 section 4.6 asks for no more than 1152; what is longer is cut short and means nothing.
const DATAGRAM_OCTETS_MAX: usize = 1280;

/// From the edge.
pub(super) enum FromEdge {
    /// A datagram for a group.
    Heard { src: (Ipv6Addr, u16), group: Ipv6Addr, octets: Vec<u8> },
    /// A group cannot be listened for.
    Trouble(String),
}

/// Until the daemon ends.
pub(super) async fn listen(
    own: String,
    mut groups: watch::Receiver<BTreeSet<Ipv6Addr>>,
    tell: mpsc::Sender<FromEdge>,
) {
    let mut ears: BTreeMap<Ipv6Addr, Ear> = BTreeMap::new();
    let mut told: BTreeMap<Ipv6Addr, String> = BTreeMap::new();
    loop {
        let wanted = groups.borrow_and_update().clone();
        ears.retain(|group, _| wanted.contains(group));
        told.retain(|group, _| wanted.contains(group));
        let links = uplinks(&own).unwrap_or_default();
        for group in wanted {
            let Err(fault) = hear(&mut ears, group, &links, &tell).await else {
                told.remove(&group);
                continue;
            };
            let line =
                format!("UDP port {COAP_PORT} at {group}: {fault}; its group is not reached");
            if told.insert(group, line.clone()).as_ref() != Some(&line) {
                let _ = tell.send(FromEdge::Trouble(line)).await;
            }
        }
        tokio::select! {
            changed = groups.changed() => if changed.is_err() { return },
            () = sleep(LOOK_AGAIN) => {}
        }
    }
}

async fn hear(
    ears: &mut BTreeMap<Ipv6Addr, Ear>,
    group: Ipv6Addr,
    links: &Uplinks,
    tell: &mpsc::Sender<FromEdge>,
) -> io::Result<()> {
    let ear = match ears.entry(group) {
        Entry::Occupied(ear) => ear.into_mut(),
        Entry::Vacant(place) => place.insert(Ear::open(group, tell.clone()).await?),
    };
    ear.join(group, links);
    Ok(())
}

/// A socket at a group's address.
struct Ear {
    socket: Arc<UdpSocket>,
    joined: BTreeSet<u32>,
    task: JoinHandle<()>,
}

impl Ear {
    async fn open(group: Ipv6Addr, tell: mpsc::Sender<FromEdge>) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind((group, COAP_PORT)).await?);
        let task = tokio::spawn(pass_on(socket.clone(), group, tell));
        Ok(Self { socket, joined: BTreeSet::new(), task })
    }

    /// Asks for the group on every link where that was not done yet. A link that has no multicast refuses,
    /// and is asked again.
    fn join(&mut self, group: Ipv6Addr, links: &Uplinks) {
        self.joined.retain(|index| links.contains_key(index));
        for index in links.keys() {
            let new = !self.joined.contains(index);
            if new && self.socket.join_multicast_v6(&group, *index).is_ok() {
                self.joined.insert(*index);
            }
        }
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(socket: Arc<UdpSocket>, group: Ipv6Addr, tell: mpsc::Sender<FromEdge>) {
    let mut octets = [0; DATAGRAM_OCTETS_MAX];
    loop {
        if let Ok((len, SocketAddr::V6(from))) = socket.recv_from(&mut octets).await {
            let (src, octets) = ((*from.ip(), from.port()), octets[..len].to_vec());
            // A flood is lost here, not kept.
            let _ = tell.try_send(FromEdge::Heard { src, group, octets });
        }
    }
}
