//! Purpose: what strangers and the radio may send. Criteria: no panic, and unsecured frames cause
//! nothing but datagrams of the join port.

use crate::world::{JOIN_PORT, World, addr, eui64};
use lowgate_net::{
    Frame, NetDrop, NetEvent, NetInput, NetOutput, OutFrame, SendRefused, Stack, UdpSend,
};
use lowgate_units::{Duration, Iid, Instant, LinkAddr, LinkDst, Lqi, Prng, Rssi};

fn outputs(stack: &mut Stack, now: Instant) -> Vec<NetOutput> {
    let mut outputs = vec![];
    loop {
        match stack.poll(now) {
            NetOutput::Wait { .. } => return outputs,
            output => outputs.push(output),
        }
    }
}

fn send(dst: usize, port: u16, secured: bool, payload: &[u8]) -> UdpSend<'_> {
    let dst = Iid::from(eui64(dst)).link_local();
    UdpSend { dst, src_port: 40000, dst_port: port, secured, payload }
}

/// A joiner and a relay talk in the clear, and only through the join port.
#[test]
fn the_join_port_is_the_only_door() {
    let mut world = World::line(1, 3, 0.0);
    world.start_root();
    world.admit(1);
    world.attach(1, Some(0));
    assert!(world.run_for(Duration::from_secs(5), |world| world.stacks[1].is_attached()));
    let now = world.now;
    let joiner = &mut world.stacks[2];
    let hello = [7; 150];
    assert_eq!(joiner.udp_send(now, send(1, 5683, false, &hello)), Err(SendRefused::Unsecured));
    assert_eq!(joiner.udp_send(now, send(1, JOIN_PORT, true, &hello)), Err(SendRefused::Detached));
    let far = UdpSend { dst: addr(0), ..send(1, JOIN_PORT, false, &hello) };
    assert_eq!(joiner.udp_send(now, far), Err(SendRefused::Unsecured));
    assert_eq!(joiner.udp_send(now, send(1, JOIN_PORT, false, &hello)), Ok(()));
    world.input(2, NetInput::Announce); // drains
    world.run(Duration::from_secs(1));
    let (_, node, datagram) = world.datagrams.last().expect("arrived");
    assert_eq!((*node, datagram.secured, &datagram.payload[..]), (1, false, &hello[..]));
    assert_eq!(datagram.link_src, LinkAddr::Extended(eui64(2)));
    assert_eq!(datagram.hop_limit, 255);
    let answer = UdpSend {
        dst: datagram.src,
        src_port: JOIN_PORT,
        dst_port: 40000,
        secured: false,
        payload: b"hi",
    };
    assert_eq!(world.stacks[1].udp_send(world.now, answer), Ok(()));
    world.input(1, NetInput::Announce);
    world.run(Duration::from_secs(1));
    assert_eq!(world.datagrams.last().map(|(_, node, _)| *node), Some(2));
}

/// Whoever lets other ports out in the clear does not get them in.
#[test]
fn other_ports_stay_shut_to_strangers() {
    let stack = |n, join_port| {
        let config = lowgate_net::StackConfig { eui64: eui64(n), join_port, mpl_sequence: 0 };
        Stack::new(config, Prng::new(n as u64))
    };
    let (now, mut relay) = (Instant::from_secs(1), stack(1, JOIN_PORT));
    for (port, accepted) in [(JOIN_PORT, true), (5683, false), (5684, false)] {
        let mut stranger = stack(2, port);
        assert_eq!(stranger.udp_send(now, send(1, port, false, b"hello")), Ok(()));
        for output in outputs(&mut stranger, now) {
            let NetOutput::Frame(frame) = output else { panic!("a frame, not {output:?}") };
            replay(&mut relay, now, 2, &frame, false);
        }
        let heard = outputs(&mut relay, now);
        let datagram = matches!(&heard[..], [NetOutput::Udp(datagram)] if !datagram.secured);
        let noise = matches!(heard[..], [NetOutput::Event(NetEvent::Dropped(NetDrop::Unsecured))]);
        assert_eq!((datagram, noise), (accepted, !accepted), "port {port}: {heard:?}");
    }
}

/// A joiner's last words leave although it attaches in the same breath.
#[test]
fn last_words_survive_the_attachment() {
    let mut world = World::line(5, 3, 0.0);
    world.start_root();
    world.admit(1);
    world.attach(1, Some(0));
    assert!(world.run_for(Duration::from_secs(5), |world| world.stacks[1].is_attached()));
    world.admit(2);
    let words = [9; 250];
    assert_eq!(world.stacks[2].udp_send(world.now, send(1, JOIN_PORT, false, &words)), Ok(()));
    world.attach(2, Some(1));
    assert!(world.run_for(Duration::from_secs(5), |world| world.stacks[2].is_attached()));
    let (_, node, datagram) = world.datagrams.last().expect("arrived");
    assert_eq!((*node, datagram.secured, &datagram.payload[..]), (1, false, &words[..]));
}

/// Every frame of a mesh at work, replayed without security to every node: nothing but noise, and
/// nothing learnt.
#[test]
fn unsecured_copies_do_nothing() {
    let mut world = World::line(2, 4, 0.0);
    world.start_all();
    assert!(world.run_for(Duration::from_secs(30), World::all_attached));
    world.ping(3, addr(0), 1);
    world.run(Duration::from_secs(100));
    let frames = core::mem::take(&mut world.frames);
    let now = world.now;
    for n in 0..4 {
        let before: Vec<_> = world.stacks[n].neighbours().collect();
        let stack = &mut world.stacks[n];
        for (from, frame) in &frames {
            replay(stack, now, *from, frame, false);
            for output in outputs(stack, now) {
                assert!(
                    matches!(
                        output,
                        NetOutput::Event(NetEvent::Dropped(
                            NetDrop::Unsecured | NetDrop::Adaptation | NetDrop::Reassembly
                        ))
                    ),
                    "node {n} did {output:?}"
                );
            }
        }
        assert_eq!(before, stack.neighbours().collect::<Vec<_>>());
    }
}

fn replay(stack: &mut Stack, now: Instant, from: usize, frame: &OutFrame, secured: bool) {
    let src = LinkAddr::Extended(eui64(from));
    let (dst, payload) = (frame.dst, &frame.payload[..]);
    let frame = Frame { src, dst, secured, payload, rssi: Rssi(-70), lqi: Lqi(100) };
    stack.handle(now, NetInput::Frame(frame));
}

/// Real frames with octets changed, to every node in every state, and to a detached one; drained
/// and let run in between.
#[test]
fn changed_frames_never_panic() {
    let mut world = World::grid(3, 3, 0.0);
    world.start_all();
    assert!(world.run_for(Duration::from_secs(60), World::all_attached));
    let group = "ff35:40:fd12:3456::8000:1".parse().expect("address");
    for n in 0..9 {
        world.input(n, NetInput::JoinGroup { addr: group, port: 5683 });
    }
    world.udp(4, group, b"group");
    world.ping(0, addr(8), 1);
    world.ping(8, addr(2), 1);
    world.udp(7, addr(0), &[3; 300]);
    world.run(Duration::from_secs(5));
    let frames = core::mem::take(&mut world.frames);
    let mut dice = Prng::new(3);
    for round in 0..4000u64 {
        let (from, mut frame) = frames[dice.below(frames.len() as u64) as usize].clone();
        for _ in 0..dice.below(4) {
            let at = dice.below(frame.payload.len() as u64) as usize;
            frame.payload[at] = dice.next_u64() as u8;
        }
        if dice.below(8) == 0 {
            let len = dice.below(frame.payload.len() as u64 + 1) as usize;
            frame.payload.truncate(len);
        }
        if dice.below(4) == 0 {
            frame.dst = LinkDst::Broadcast;
        }
        let n = dice.below(9) as usize;
        let now = world.now;
        replay(&mut world.stacks[n], now, from, &frame, dice.below(8) > 0);
        world.input(n, NetInput::Announce);
        match round % 400 {
            399 => world.input(n, NetInput::Detach),
            398 => world.attach(n.max(1), None),
            _ => {}
        }
        world.run(Duration::from_millis(20));
        world.frames.clear();
        world.events.clear();
    }
}

/// Octets that never were a frame or a packet.
#[test]
fn random_octets_never_panic() {
    let mut world = World::line(4, 3, 0.0);
    world.start_all();
    assert!(world.run_for(Duration::from_secs(30), World::all_attached));
    let mut dice = Prng::new(4);
    for _ in 0..3000 {
        let mut octets: Vec<u8> = (0..dice.below(116)).map(|_| dice.next_u64() as u8).collect();
        if let (Some(first), true) = (octets.first_mut(), dice.below(2) == 0) {
            *first = 0x60 | *first & 0x1f; // IPHC
        }
        let n = dice.below(3) as usize;
        let dst = match dice.below(2) {
            0 => LinkDst::Broadcast,
            _ => LinkDst::Unicast(LinkAddr::Extended(eui64(n))),
        };
        let src = LinkAddr::Extended(eui64(dice.below(4) as usize));
        let frame =
            Frame { src, dst, secured: true, payload: &octets, rssi: Rssi(-128), lqi: Lqi(0) };
        world.input(n, NetInput::Frame(frame));
        world.input(0, NetInput::FromBackbone(&octets));
        world.events.clear();
    }
    world.run(Duration::from_secs(10));
}
