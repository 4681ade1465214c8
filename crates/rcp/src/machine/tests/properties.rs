//! Every command by chance.

use super::*;
use proptest::prelude::*;
use std::vec;

/// Every property that has a value, with the values that it takes.
fn settable() -> impl Strategy<Value = (u32, StdVec<u8>)> {
    let channel = || 11_u8..=26;
    let shorts = prop::collection::btree_set(0_u16..0xfffe, 0..=16);
    let extended = prop::collection::btree_set(any::<[u8; 8]>(), 0..=12);
    prop_oneof![
        any::<bool>().prop_map(|it| (0x20, vec![u8::from(it)])),
        channel().prop_map(|it| (0x21, vec![it])),
        any::<u8>().prop_map(|it| (0x24, vec![it])),
        any::<u8>().prop_map(|it| (0x25, vec![it])),
        prop::collection::btree_set(channel(), 0..=16)
            .prop_map(|it| (0x31, it.into_iter().collect())),
        any::<u16>().prop_map(|it| (0x32, it.to_le_bytes().to_vec())),
        any::<[u8; 8]>().prop_map(|it| (0x34, it.to_vec())),
        any::<u16>().prop_map(|it| (0x35, it.to_le_bytes().to_vec())),
        any::<u16>().prop_map(|it| (0x36, it.to_le_bytes().to_vec())),
        any::<bool>().prop_map(|it| (0x37, vec![u8::from(it)])),
        (0_u8..=2).prop_map(|it| (0x38, vec![it])),
        any::<bool>().prop_map(|it| (0x1303, vec![u8::from(it)])),
        shorts.prop_map(|it| (0x1304, it.into_iter().flat_map(u16::to_le_bytes).collect())),
        extended.prop_map(|it| (0x1305, it.into_iter().flatten().collect())),
    ]
}

fn about(command: u8, property: u32, value: &[u8]) -> StdVec<u8> {
    let header = Header::new(Tid::NONE.next());
    let frame =
        write_property(header, Command(command.into()), Property(property), |w| w.octets(value));
    frame.unwrap().to_vec()
}

proptest! {
    /// What was set is in force, whatever follows it in the frame, and told when asked for.
    #[test]
    fn what_is_set_is_so((property, value) in settable(), more in prop::collection::vec(any::<u8>(), 0..4)) {
        let mut bench = Bench::beyond();
        let list = [0x31, 0x1304, 0x1305].contains(&property);
        let told = [value.clone(), if list { StdVec::new() } else { more }].concat();
        bench.frames.clear();
        bench.send(&about(3, property, &told));
        bench.send(&about(2, property, &[]));
        let is = about(6, property, &value);
        prop_assert_eq!(&bench.frames, &[is.clone(), is]);
    }

    /// A value that is cut off changes nothing.
    #[test]
    fn what_is_cut_off_is_not_set((property, value) in settable(), part in any::<prop::sample::Index>()) {
        let mut bench = Bench::beyond();
        let cut = &value[..part.index(value.len().max(1))];
        let whole = match property {
            0x31 => true,
            0x1304 => cut.len() % 2 == 0,
            0x1305 => cut.len() % 8 == 0,
            _ => cut.len() == value.len(),
        };
        bench.send(&about(2, property, &[]));
        let before = bench.frames.pop();
        bench.frames.clear();
        bench.send(&about(3, property, cut));
        bench.send(&about(2, property, &[]));
        if !whole {
            prop_assert_eq!(&bench.frames[0], &hex("81 06 00 09"));
            prop_assert_eq!(bench.frames.pop(), before);
        }
    }

    /// Whatever is added and taken away, the radio knows what the host was told.
    #[test]
    fn the_radio_knows_the_lists(
        steps in prop::collection::vec((3_u8..6, any::<bool>(), 0_u8..20), 1..60),
    ) {
        let mut bench = Bench::beyond();
        for (command, is_short, number) in steps {
            let (property, value) = match is_short {
                true => (0x1304, vec![number, 0]),
                false => (0x1305, vec![number; 8]),
            };
            bench.frames.clear();
            bench.send(&about(command, property, &value));
            prop_assert_eq!(bench.frames.len(), 1);
        }
        let told = bench.demands.iter().rev().find_map(|demand| match demand {
            Demand::SourceMatch(list) => Some(list.clone()),
            Demand::Levels(_) | Demand::Transmit { .. } | Demand::Scan(_) => None,
        });
        let told = told.unwrap_or_default();
        let shorts: StdVec<u8> = told.short().iter().flat_map(|it| it.raw().to_le_bytes()).collect();
        let extended: StdVec<u8> = told.extended().iter().flat_map(|it| it.0).collect();
        bench.frames.clear();
        bench.send(&about(2, 0x1304, &[]));
        bench.send(&about(2, 0x1305, &[]));
        prop_assert_eq!(&bench.frames, &[about(6, 0x1304, &shorts), about(6, 0x1305, &extended)]);
    }

    /// Every command about every property is answered once, with its transaction; a transmission at its end.
    #[test]
    fn every_command_is_answered(
        command in 0_u8..=255, property in prop_oneof![0_u32..0x100, 0x800_u32..0x810, 0x1200_u32..0x1310],
        value in prop::collection::vec(any::<u8>(), 0..40), enabled in any::<bool>(),
    ) {
        let mut bench = Bench::beyond();
        if enabled {
            bench.enable();
        }
        bench.frames.clear();
        bench.send(&about(command, property, &value));
        if let Some(token) = bench.radio.iter().find_map(|command| match command {
            RadioCommand::Transmit { token, .. } => Some(*token),
            RadioCommand::Configure(_) => None,
        }) {
            bench.report(Report::Transmitted { token, status: TxStatus::Sent, ack: None });
        }
        for demand in core::mem::take(&mut bench.demands) {
            if let Demand::Transmit { token, .. } = demand {
                bench.report(Report::Transmitted { token, status: TxStatus::Sent, ack: None });
            }
        }
        prop_assert_eq!(bench.frames.len(), 1);
        let tid = if command == 1 { 0x80 } else { 0x81 };
        prop_assert_eq!(bench.frames[0][0], tid);
    }

    #[test]
    fn any_octets_never_panic(line in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bench = Bench::new();
        bench.rcp.handle(NOW, RcpInput::Serial(&line));
        bench.drain();
    }

    #[test]
    fn any_frames_never_panic(frames in prop::collection::vec(
        (0_u8..10, prop_oneof![0_u8..0x40, Just(0x71)], prop::collection::vec(any::<u8>(), 0..40)), 0..30,
    )) {
        let mut bench = Bench::beyond();
        bench.enable();
        for (command, property, value) in frames {
            let mut frame = vec![0x81, command, property];
            frame.extend(value);
            bench.send(&frame);
        }
        bench.check("81 00", "81 06 00 00");
    }
}
