//! Purpose: a device with stock software (libcoap over OpenSSL) joins through a relay, gets its keys, and follows a
//! change of them.
//! Topology: the program, a socket that is its relay's radio, the relay, the manager and its border router; the program's time
//! is the machine's, and the others are moved along with it.
//! Criteria: it is admitted as one of the inventory is, is told the keys in force of its network and its group and nothing
//! else, confirms them, and holds the next ones within seconds of a change; when it is expelled it hears of none.

#[path = "../../crates/manager/tests/scenarios/world/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the manager's own tests need all of it")]
mod world;

use lowgate_access::relay::{FromJoiner, Relay};
use lowgate_access::{JOIN_PORT, MANAGER_RELAY_PORT};
use lowgate_amikey::{Message, Messages};
use lowgate_manager::{DevicePsk, DeviceRecord, Identity, Kind, ManagerEvent, Request, Role};
use lowgate_testkit::hex;
use lowgate_tests::dtls_peers::start;
use lowgate_tests::program::Program;
use lowgate_units::{Duration, Eui64, Iid, Ipv6Addr, LinkAddr};
use std::net::{SocketAddr, UdpSocket};
use world::{GROUP, ROUTER, World, eui, secs};

/// The program's own device.
const STOCK: Eui64 = eui(77);
const STEP: Duration = Duration::from_millis(20);

/// The program, the relay between it and the manager, and the building.
struct Site {
    world: World,
    relay: Relay,
    relay_addr: Ipv6Addr,
    udp: UdpSocket,
    stock: Program,
    stock_addr: Option<SocketAddr>,
    clock: std::time::Instant,
}

impl Site {
    /// Everybody else is in.
    fn new() -> Self {
        let mut world = World::new(1);
        world.import_office(1);
        world.import(vec![DeviceRecord {
            identity: Identity::new(b"stock-1").expect("short"),
            psk: DevicePsk::new(b"0123456789abcdef").expect("16 octets"),
            ..world::record(77, Kind::Light, &[(GROUP, Role::Listener)])
        }]);
        world.open_window();
        for eui64 in [ROUTER, eui(1), eui(100)] {
            world.start(eui64);
            world.run_for(secs(3));
        }
        let relay_addr = world.relay_in(world.pan_of(ROUTER));
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        udp.set_read_timeout(Some(STEP)).expect("not nought");
        let port = udp.local_addr().expect("bound").port().to_string();
        let relay = Relay::new(world.now, &[9; 16], eui(1), 4096);
        let stock = start("stock", &[&port, &GROUP.0.to_string()]);
        let clock = std::time::Instant::now();
        Self { world, relay, relay_addr, udp, stock, stock_addr: None, clock }
    }

    /// Lets so much of the machine's time pass, or less if `done`.
    fn run(&mut self, limit: Duration, done: impl Fn(&mut Self) -> bool) -> bool {
        let from = std::time::Instant::now();
        while from.elapsed() < limit {
            self.step();
            if done(self) {
                return true;
            }
        }
        false
    }

    fn step(&mut self) {
        let mut octets = [0; 2048];
        let own = Iid::of(self.relay_addr).link_local();
        if let Ok((len, from)) = self.udp.recv_from(&mut octets) {
            self.stock_addr = Some(from);
            let datagram = FromJoiner {
                src: Iid::from(LinkAddr::Extended(STOCK)).link_local(),
                dst: own,
                src_port: from.port(),
                dst_port: JOIN_PORT,
                hop_limit: 255,
                payload: &octets[..len],
            };
            let mut envelope = [0; lowgate_access::relay::ENVELOPE_OCTETS_MAX];
            let len = self.relay.wrap(self.world.now, own, datagram, &mut envelope);
            let len = len.expect("the relay passes it");
            self.world.datagram(self.relay_addr, MANAGER_RELAY_PORT, envelope[..len].to_vec());
        }
        let passed = self.clock.elapsed();
        self.clock += passed;
        self.world.run_for(passed);
        for envelope in std::mem::take(&mut self.world.strays) {
            let to = self.relay.unwrap(self.world.now, &envelope).expect("of this relay");
            let addr = self.stock_addr.expect("it was heard");
            assert_eq!(to.dst_port, addr.port());
            self.udp.send_to(to.payload, addr).expect("the loopback interface");
        }
        self.stock.listen();
    }

    /// Everything that it was told, in order.
    fn told(&self) -> Vec<Message> {
        let records = self.stock.said.iter().filter_map(|line| line.strip_prefix("told 2.05 "));
        let records: Vec<Vec<u8>> = records.map(hex).collect();
        let messages = records.iter().flat_map(|record| Messages::new(record));
        messages.map(|message| message.expect("the manager's own")).collect()
    }

    /// Whether the newest that it was told of its group and its network is in force.
    fn is_current(&mut self) -> bool {
        let domain = self.world.manager.domain();
        let epoch = &domain.groups()[&GROUP].epoch;
        let pan = domain.founding_pan();
        let told = self.told();
        let tgk = told.iter().rev().find_map(|message| match message {
            Message::Mkd(mkd) => Some(mkd.tgk == epoch.tgk && mkd.group == GROUP),
            _ => None,
        });
        let spd = told.iter().rev().find_map(|message| match message {
            Message::Spd(spd) => Some((spd.tek_id, spd.rand.clone(), spd.sender_id)),
            _ => None,
        });
        let link = told.iter().rev().find_map(|message| match message {
            Message::Cfg { cfg, .. } => cfg.keys.last().map(|key| (key.index, key.key.clone())),
            _ => None,
        });
        tgk == Some(true)
            && spd == Some((epoch.tek_id, epoch.rand.clone(), None))
            && link == Some((pan.link_key.index, pan.link_key.key.clone()))
            && pan.staged_key.is_none()
    }

    fn confirmed(&self) -> usize {
        self.world.count(
            |event| matches!(event, ManagerEvent::KeysConfirmed { eui64 } if *eui64 == STOCK),
        )
    }
}

#[test]
fn it_joins_by_k_and_follows() {
    let mut site = Site::new();
    assert!(site.run(secs(30), |site| site.is_current() && site.confirmed() > 0), "the join");
    let member = site.world.manager.domain().devices()[&STOCK].short();
    let short = site.told().iter().find_map(|message| match message {
        Message::Cfg { cfg, .. } => cfg.short,
        _ => None,
    });
    assert!(short.is_some() && short == member);
    for request in [Request::RekeyGroup { id: GROUP }, Request::RekeyNetwork] {
        let before = site.confirmed();
        site.world.ask(request.clone());
        let follows = |site: &mut Site| site.confirmed() > before && site.is_current();
        // Not at once: what was in force before the request is not in force after it.
        site.run(secs(1), |_| false);
        assert!(site.run(secs(60), follows), "{request:?}: {:?}", site.stock.said);
    }
    // One session all the while.
    let begun = |event: &ManagerEvent| matches!(event, ManagerEvent::Authenticated { eui64, .. } if *eui64 == STOCK);
    assert_eq!(site.world.count(begun), 1);
    site.world.ask(Request::Revoke { eui64: STOCK });
    let before = site.stock.said.iter().filter(|line| line.starts_with("told")).count();
    site.run(secs(10), |_| false);
    assert!(!site.is_current());
    let after = site.stock.said.iter().filter(|line| line.starts_with("told")).count();
    assert_eq!(before, after, "{:?}", site.stock.said);
}
