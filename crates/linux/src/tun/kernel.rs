//! A real device of a real kernel, in a network namespace of its own.

use super::*;

const OURS: &str = "fd00:6c6f:7767::1";
const MESH: &str = "fd00:6c6f:7767::2";
const BEYOND: &str = "fd00:6c6f:7768::2";
const IPV6_HEADER_OCTETS: usize = 40;
const NEXT_UDP: u8 = 17;
const NEXT_ICMPV6: u8 = 58;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// RFC 8200 section 8.1.
fn checksum(source: Ipv6Addr, target: Ipv6Addr, next: u8, payload: &[u8]) -> u16 {
    let mut octets = [source.octets(), target.octets()].concat();
    octets.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    octets.extend([0, 0, 0, next]);
    octets.extend(payload);
    octets.resize(octets.len().next_multiple_of(2), 0);
    let sum: u64 = octets.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(pair[1])).sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    let folded = (folded >> 16) + (folded & 0xffff);
    !u16::try_from(folded).unwrap()
}

fn icmpv6(source: Ipv6Addr, target: Ipv6Addr, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut payload = [&[kind, 0, 0, 0], body].concat();
    let sum = checksum(source, target, NEXT_ICMPV6, &payload);
    payload[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([NEXT_ICMPV6, 64]);
    packet.extend(source.octets());
    packet.extend(target.octets());
    packet.extend(payload);
    packet
}

/// The next packet to `target` with this next header; the kernel's own talk (router solicitations,
/// listener reports) is passed over.
async fn next_packet(tun: &Tun, source: &str, target: &str, next: u8) -> Vec<u8> {
    let mut buffer = [0; MTU_OCTETS as usize];
    loop {
        let octets = tun.recv(&mut buffer).await.unwrap();
        let packet = &buffer[..octets];
        assert_eq!(packet[0] >> 4, 6, "no packet information in front");
        let between = [address(source).octets(), address(target).octets()].concat();
        if packet[6] == next && packet[8..IPV6_HEADER_OCTETS] == between {
            // RFC 6437: the flow label is the kernel's to choose.
            return [&[0x60, 0, 0, 0], &packet[4..]].concat();
        }
    }
}

/// Purpose: a TUN device is a link of Linux' IPv6. Topology: this kernel - TUN - this test, which
/// plays the mesh. Pass: a ping of the kernel arrives and its answer satisfies the pinger; a ping of
/// the mesh is answered by the kernel; a route carries what is not on the link; a second owner, a
/// second route and another kind of interface are refused.
#[tokio::test]
async fn a_real_device() {
    let tun = Tun::open("lgtest0").unwrap();
    assert_eq!(tun.device.mtu().unwrap(), MTU_OCTETS);
    tun.add_addr(address(OURS), 64).await.unwrap();
    tun.add_addr(address(OURS), 64).await.unwrap();
    tun.add_route(address(BEYOND), 64).await.unwrap();
    let again = tun.add_route(address(BEYOND), 64).await;
    assert!(matches!(again, Err(TunError::RouteExists(_))), "{again:?}");
    assert!(matches!(Tun::open("lgtest0"), Err(TunError::Taken(_))));
    assert!(matches!(Tun::open("lo"), Err(TunError::NotTun(_))));
    assert!(tun.send(&[0x45; 20]).await.is_err());

    ping_from_the_kernel(&tun).await;

    // RFC 4443 section 4.2: every node answers an echo request.
    let request = icmpv6(address(MESH), address(OURS), ECHO_REQUEST, b"\0\x07\0\x01mesh");
    tun.send(&request).await.unwrap();
    let reply = next_packet(&tun, OURS, MESH, NEXT_ICMPV6).await;
    assert_eq!(reply, icmpv6(address(OURS), address(MESH), ECHO_REPLY, b"\0\x07\0\x01mesh"));

    // The address can be bound at once: no duplicate address detection on a TUN.
    let socket = tokio::net::UdpSocket::bind((address(OURS), 0)).await.unwrap();
    socket.send_to(b"beyond", (address(BEYOND), 5683)).await.unwrap();
    let packet = next_packet(&tun, OURS, BEYOND, NEXT_UDP).await;
    assert_eq!(&packet[IPV6_HEADER_OCTETS + 8..], b"beyond");

    drop((tun, socket));
    Tun::open("lgtest0").unwrap();
}

/// The pinger of the system, if it is there, is no better than these lines: the kernel routes and
/// sends the same request for both.
async fn ping_from_the_kernel(tun: &Tun) {
    let script = format!(
        "import socket\n\
         s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)\n\
         s.settimeout(5)\n\
         s.connect(('{MESH}', 0))\n\
         s.send(bytes([{ECHO_REQUEST}, 0, 0, 0, 0, 9, 0, 1]) + b'ping')\n\
         reply = s.recv(1280)\n\
         assert reply[:1] == bytes([{ECHO_REPLY}]) and reply[4:] == b'\\0\\x09\\0\\x01ping', reply\n"
    );
    let mut pinger = tokio::process::Command::new("python3")
        .args(["-c", &script])
        .kill_on_drop(true)
        .spawn()
        .expect("this test needs python3");
    let request = next_packet(tun, OURS, MESH, NEXT_ICMPV6).await;
    assert_eq!(request, icmpv6(address(OURS), address(MESH), ECHO_REQUEST, b"\0\x09\0\x01ping"));
    let reply =
        icmpv6(address(MESH), address(OURS), ECHO_REPLY, &request[IPV6_HEADER_OCTETS + 4..]);
    tun.send(&reply).await.unwrap();
    assert!(pinger.wait().await.unwrap().success());
}
