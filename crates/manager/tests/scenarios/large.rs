//! A building with a hundred border routers: what one device costs does not grow with the others.

use crate::world::config;
use lowgate_manager::{
    BORDER_ROUTER_SHORT, Change, ChannelSet, DevicePsk, DeviceRecord, Domain, GroupId, Identity,
    Kind, Manager, NewDomain, Role, found,
};
use lowgate_units::{
    Channel, Duration, Entropy, Eui64, Instant, Ipv6Addr, PanId, Prng, SeededEntropy,
};
use std::collections::BTreeMap;

const ROUTERS: u32 = 100;
const DEVICES: u32 = 10_000;
const GROUPS: u16 = 64;
const NOW: Instant = Instant::from_secs(1000);

fn line(n: u32, kind: Kind, groups: &[(GroupId, Role)]) -> DeviceRecord {
    let [a, b, c, d] = n.to_be_bytes();
    let eui64 = Eui64([2, 0, 0, 0, a, b, c, d]);
    DeviceRecord {
        eui64,
        identity: Identity::from(eui64),
        psk: DevicePsk::new(&[7; 16]).expect("16 octets"),
        kind,
        name: String::new(),
        room: String::new(),
        groups: groups.iter().copied().collect(),
    }
}

fn follow(domain: &mut Domain, changes: &[Change]) {
    changes.iter().for_each(|change| domain.apply(change).expect("a decision fits"));
}

fn admit(domain: &mut Domain, eui64: Eui64, from: Option<PanId>, entropy: &mut dyn Entropy) {
    let device = &domain.devices()[&eui64];
    let granted = domain.granted(device, &BTreeMap::new());
    let decided = domain.decide_admission(NOW, device, from, &granted, entropy);
    follow(domain, &decided.expect("it may come in"));
}

/// Every eighth device sends to nobody; the others listen to one group, one of each hundred sends to it.
fn inventory() -> Vec<DeviceRecord> {
    let routers = (0..ROUTERS).map(|n| line(n, Kind::BorderRouter, &[]));
    let devices = (0..DEVICES).map(|n| {
        let group = GroupId((n % u32::from(GROUPS)) as u16);
        let groups = match (n % 8, n / u32::from(GROUPS)) {
            (0, _) => vec![],
            (_, 0..10) => vec![(group, Role::SenderAndListener)],
            _ => vec![(group, Role::Listener)],
        };
        line(ROUTERS + n, Kind::Light, &groups)
    });
    routers.chain(devices).collect()
}

/// Purpose: commissioning a large building. Criteria: a hundred PANs, no two with the same number or prefix,
/// spread over the channels; ten thousand members; the expelled cost their PAN its key alone; what is
/// stored rebuilds it.
#[test]
fn ten_thousand_devices_in_a_hundred_pans() {
    let entropy = &mut SeededEntropy::new(1);
    let channel = |number| Channel::new(number).expect("in the band");
    let further_channels: ChannelSet = [11, 20, 25].map(channel).into_iter().collect();
    let new = NewDomain { further_channels, ..NewDomain::new(channel(15), Ipv6Addr::LOCALHOST) };
    let mut history = vec![found(new, entropy)];
    let mut domain = Domain::restore(&history).expect("a domain begins with its creation");
    for id in (0..GROUPS).map(GroupId) {
        let group = domain.decide_group(id, "lights", entropy).expect("a free number");
        follow(&mut domain, &group);
    }
    let lines = inventory();
    // One by one, as installers do it.
    for record in &lines {
        let imported = domain.decide_import(std::slice::from_ref(record)).expect("a new line");
        follow(&mut domain, &imported);
    }
    let window = domain.decide_window(NOW, NOW + Duration::from_secs(60)).expect("short");
    follow(&mut domain, &[window]);
    let (routers, devices) = lines.split_at(ROUTERS as usize);
    routers.iter().for_each(|record| admit(&mut domain, record.eui64, None, entropy));
    let pans: Vec<PanId> = domain.pans().keys().copied().collect();
    assert_eq!(pans.len(), routers.len());
    for (n, record) in devices.iter().enumerate() {
        admit(&mut domain, record.eui64, Some(pans[n % pans.len()]), entropy);
    }
    for pan in domain.pans().values() {
        assert_eq!(pan.members.len(), 101);
        assert_eq!(domain.pan_of(pan.config.addr(BORDER_ROUTER_SHORT)), Some(pan.config.pan_id));
        let alike = |other: &&lowgate_manager::Pan| other.config.channel == pan.config.channel;
        assert_eq!(domain.pans().values().filter(alike).count(), 25);
    }
    for record in devices.iter().step_by(100) {
        let revoked = domain.decide_revocation(record.eui64, entropy).expect("a member");
        let staged = |change: &&Change| matches!(change, Change::LinkKeyStaged { .. });
        assert_eq!(revoked.iter().filter(staged).count(), 1);
        follow(&mut domain, &revoked);
    }
    let snapshot = domain.snapshot(2);
    assert!(Domain::restore(&snapshot.changes).as_ref() == Ok(&domain));
    history = snapshot.changes.clone();
    let prng = Prng::new(1);
    let manager =
        Manager::restore(NOW, config(), &snapshot, prng, entropy).expect("it fits together");
    assert_eq!(manager.domain().snapshot(2).changes, history);
}
