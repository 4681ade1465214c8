//! Trees by hand: who is told, who is waited for, and who is told otherwise.

use super::*;
use lowgate_amikey::GroupId;
use lowgate_crypto::SoftCcm;
use lowgate_units::SeededEntropy;

const NETWORK: TreeName = TreeName::Network;
const GROUP: TreeName = TreeName::Group(GroupId(1));
const START: Instant = Instant::from_secs(100);

fn eui64(n: u8) -> Eui64 {
    Eui64([2, 0, 0, 0, 0, 0, 0, n])
}

/// So many members confirmed their places in these trees.
fn grown(members: u8, names: &[TreeName]) -> (Trees, TreeSecrets) {
    let mut secrets = TreeSecrets::new(&mut SeededEntropy::new(1));
    let mut trees = Trees::default();
    for eui64 in (0..members).map(eui64) {
        trees.came(START, eui64);
    }
    assert!(trees.newcomers(START, members.into()).is_empty(), "others may be joining");
    let calm = START + CALM_AFTER;
    for eui64 in trees.newcomers(calm, members.into()) {
        for name in names {
            assert!(trees.enter(*name, eui64, &mut secrets));
        }
    }
    for (eui64, name) in (0..members).map(eui64).flat_map(|it| names.iter().map(move |n| (it, n))) {
        let epoch = trees.path(*name, eui64).expect("a place").epoch;
        assert!(trees.confirmed(*name, eui64, epoch));
    }
    (trees, secrets)
}

fn tell(trees: &mut Trees, secrets: &mut TreeSecrets, name: TreeName, gone: u8) -> usize {
    let stays = |it: &Eui64| *it != eui64(gone);
    let told = trees.tell(name, stays, b"what is told", (&SoftCcm, secrets));
    told.map_or(0, |(_, told)| told.len())
}

#[test]
fn few_are_given_no_places_and_told_nothing() {
    let few = MEMBERS_MIN - 1;
    let mut trees = Trees::default();
    trees.came(START, eui64(1));
    assert!(trees.newcomers(START + CALM_AFTER, few).is_empty());
    assert_eq!(trees.due(few), Instant::FAR_FUTURE);
    assert_eq!(trees.due(MEMBERS_MIN), START + CALM_AFTER);
    let (mut trees, mut secrets) = grown(MEMBERS_MIN as u8, &[NETWORK]);
    assert_eq!(tell(&mut trees, &mut secrets, NETWORK, 0), 0, "too few stay");
    assert_eq!(trees.newcomers(START + CALM_AFTER, MEMBERS_MIN).len(), MEMBERS_MIN - 1, "anew");
}

#[test]
fn a_flood_that_witnesses_confirm_is_over_soon() {
    let (mut trees, mut secrets) = grown(64, &[NETWORK]);
    assert_eq!(tell(&mut trees, &mut secrets, NETWORK, 7), 63);
    assert!(trees.waiting().is_some() && !trees.is_idle());
    trees.floods[0].stage = FloodStage::Spreading { since: START };
    let (epoch, witnesses) = (trees.floods[0].epoch, trees.floods[0].open.clone());
    assert!((6..=9).contains(&witnesses.len()), "one in eight: {witnesses:?}");
    witnesses.iter().for_each(|it| trees.followed(*it, NETWORK, epoch));
    assert!(trees.over(START + (SPREAD_AT_LEAST - Duration::from_millis(1))).is_none());
    let FloodOver { flood, unreached } = trees.over(START + SPREAD_AT_LEAST).expect("it is over");
    assert_eq!((flood.told.len(), unreached.len()), (63, 0));
    assert!(trees.is_idle());
}

#[test]
fn whoever_witnesses_stand_for_is_told_when_they_are_silent() {
    for silent in [1, 7] {
        let (mut trees, mut secrets) = grown(64, &[NETWORK]);
        tell(&mut trees, &mut secrets, NETWORK, 7);
        trees.floods[0].stage = FloodStage::Spreading { since: START };
        let (epoch, witnesses) = (trees.floods[0].epoch, trees.floods[0].open.clone());
        let heard = witnesses.iter().skip(silent);
        heard.for_each(|it| trees.followed(*it, NETWORK, epoch));
        assert!(trees.over(START + SPREAD_AT_LEAST).is_none());
        let within = if silent == 1 { SPREAD_MOSTLY } else { SPREAD_WITHIN };
        assert!(trees.over(START + (within - Duration::from_millis(1))).is_none());
        let over = trees.over(START + within).expect("long enough");
        assert_eq!(over.unreached.len(), if silent == 1 { 1 } else { 63 });
        for eui64 in &over.unreached {
            assert!(trees.newcomers.contains(eui64), "its path is history");
        }
    }
}

#[test]
fn a_border_router_that_does_not_send_reaches_nobody() {
    let (mut trees, mut secrets) = grown(20, &[NETWORK]);
    tell(&mut trees, &mut secrets, NETWORK, 200);
    let over = trees.fail().expect("it waited");
    assert_eq!((over.unreached.len(), trees.is_idle()), (20, true));
    assert_eq!(tell(&mut trees, &mut secrets, NETWORK, 200), 0, "nobody holds a path");
}

#[test]
fn what_would_be_one_too_many_goes_by_unicast() {
    let names: Vec<TreeName> =
        (0..=FLOODS_MAX as u16).map(|group| TreeName::Group(GroupId(group))).collect();
    let (mut trees, mut secrets) = grown(20, &names);
    let told = names.iter().map(|name| tell(&mut trees, &mut secrets, *name, 200));
    let told: Vec<usize> = told.collect();
    assert_eq!((told[FLOODS_MAX - 1], told[FLOODS_MAX], trees.floods.len()), (20, 0, FLOODS_MAX));
    assert!(trees.path(names[FLOODS_MAX], eui64(1)).is_none(), "the tree begins anew");
}

#[test]
fn who_goes_while_an_epoch_waits_goes_with_it() {
    let without = |trees: &mut Trees, secrets: &mut TreeSecrets, gone: &[u8]| {
        let stays = |it: &Eui64| !gone.iter().any(|n| *it == eui64(*n));
        let told = trees.tell(NETWORK, stays, b"what is told", (&SoftCcm, secrets));
        let (epoch, told) = told.expect("enough stay");
        (epoch, told.len(), trees.floods.len())
    };
    let (mut trees, mut secrets) = grown(100, &[NETWORK]);
    assert_eq!(without(&mut trees, &mut secrets, &[7]), (1, 99, 1));
    assert_eq!(without(&mut trees, &mut secrets, &[7, 8]), (1, 98, 1));
    // Far apart, they take more than one epoch.
    let (epochs, told, floods) = without(&mut trees, &mut secrets, &[7, 8, 40, 80]);
    assert!(told == 96 && epochs as usize == floods && floods > 1, "{epochs} {told} {floods}");
    // The border router has the first.
    trees.floods[0].stage = FloodStage::Spreading { since: START };
    trees.path_told(NETWORK);
    let one_more = (epochs + 1, 95, floods + 1);
    assert_eq!(without(&mut trees, &mut secrets, &[7, 8, 40, 80, 1]), one_more);
    let two_more = (epochs + 1, 94, floods + 1);
    assert_eq!(without(&mut trees, &mut secrets, &[7, 8, 40, 80, 1, 2]), two_more);
    // Somebody has a path of after.
    assert!(trees.enter(NETWORK, eui64(200), &mut secrets));
    let and_another = (epochs + 2, 93, floods + 2);
    assert_eq!(without(&mut trees, &mut secrets, &[7, 8, 40, 80, 1, 2, 3]), and_another);
}

#[test]
fn those_who_go_in_too_many_epochs_go_by_unicast() {
    let (mut trees, mut secrets) = grown(30, &[NETWORK]);
    let stays = |it: &Eui64| ![0, 5, 10, 15, 20, 25].map(eui64).contains(it);
    assert!(trees.tell(NETWORK, stays, b"what is told", (&SoftCcm, &mut secrets)).is_none());
    assert!(trees.is_idle() && trees.path(NETWORK, eui64(1)).is_none(), "the tree begins anew");
}

#[test]
fn who_is_told_otherwise_is_not_told_by_what_is_planned_anew() {
    let (mut trees, mut secrets) = grown(64, &[NETWORK]);
    tell(&mut trees, &mut secrets, NETWORK, 7);
    trees.withdraw(&[eui64(1)].into());
    trees.came(START, eui64(2));
    assert_eq!(tell(&mut trees, &mut secrets, NETWORK, 7), 61);
}

#[test]
fn groups_go_before_the_network_and_who_misses_one_confirms_both() {
    let (mut trees, mut secrets) = grown(20, &[NETWORK, GROUP]);
    tell(&mut trees, &mut secrets, NETWORK, 200);
    tell(&mut trees, &mut secrets, GROUP, 200);
    let names: Vec<_> = trees.floods.iter().map(|flood| flood.name).collect();
    assert_eq!(names, [GROUP, NETWORK]);
    trees.withdraw(&[eui64(1), eui64(2)].into());
    assert_eq!(trees.floods.iter().map(|it| it.told.len()).collect::<Vec<_>>(), [20, 18]);
}

#[test]
fn who_goes_while_a_message_is_on_its_way_is_not_waited_for() {
    let (mut trees, mut secrets) = grown(20, &[NETWORK]);
    tell(&mut trees, &mut secrets, NETWORK, 200);
    let witness = *trees.floods[0].open.first().expect("some");
    trees.left(witness, None);
    let flood = &trees.floods[0];
    assert!(!flood.told.contains(&witness) && flood.open.len() == flood.witnesses);
    assert!(!trees.confirmed(NETWORK, witness, 1), "a path of before");
}
