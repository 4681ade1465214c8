//! What keys cost: to derive, to seal and open with, to evaluate and to replace; and how large they are.
//!
//! **Invariant:** each case does what a device or the manager does, with nothing left out; what is prepared beforehand
//! is in no figure.

use crate::counter::callgrind_each;
use crate::report::Cost;
use crate::rounds::shortest;
use lowgate_amikey::pairs::ShareTold;
use lowgate_amikey::pairwise::{Polynomial, Scheme, SetName, Share};
use lowgate_amikey::tree::{self, Received, TreeName};
use lowgate_amikey::{CsbId, GroupId, Rand, Tgk, derive};
use lowgate_crypto::{Key128, PrivateKey, PublicKey, Secret, Sha256, SoftCcm};
use lowgate_dtls::group::{GroupKeys, GroupReceiver, GroupSender, SenderFloor, SenderId};
use lowgate_manager::{KeyTree, PAN_MEMBERS_MAX, Plan};
use lowgate_node::flash::PART_OCTETS_MAX;
use lowgate_units::{Entropy, Eui64, SeededEntropy};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// Octets that a group record carries: a command to a lamp.
const COMMAND_OCTETS: usize = 24;
/// Octets that a key tree's message carries: a link key to come.
const PAYLOAD_OCTETS: usize = 40;
const TREE_OCTETS_MAX: usize = 1024;
const ROUNDS: usize = 15;
const TREE: TreeName = TreeName::Group(GroupId(1));

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    DeriveTek,
    SealGroup,
    OpenGroup,
    /// A device's key with another.
    Evaluate {
        degree: u16,
    },
    /// The manager makes a device's share, whole.
    MakeShare {
        degree: u16,
    },
    VerifyTree,
    /// The next epoch of a group in all its PANs, with the keys of one member replaced.
    PlanEviction {
        members: usize,
    },
}

impl Case {
    const ALL: [Self; 10] = [
        Self::DeriveTek,
        Self::SealGroup,
        Self::OpenGroup,
        Self::Evaluate { degree: 31 },
        Self::Evaluate { degree: 63 },
        Self::Evaluate { degree: 127 },
        Self::MakeShare { degree: 127 },
        Self::VerifyTree,
        Self::PlanEviction { members: 1_000 },
        Self::PlanEviction { members: 100_000 },
    ];

    fn name(self) -> String {
        match self {
            Self::DeriveTek => "derive_tek".into(),
            Self::SealGroup => "seal_group_record".into(),
            Self::OpenGroup => "open_group_record".into(),
            Self::Evaluate { degree } => format!("evaluate_{degree}"),
            Self::MakeShare { degree } => format!("make_share_{degree}"),
            Self::VerifyTree => "verify_tree".into(),
            Self::PlanEviction { members } => format!("plan_eviction_{members}"),
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name() == name)
    }

    /// How often it is done in a round.
    const fn count(self) -> usize {
        match self {
            Self::DeriveTek | Self::SealGroup | Self::OpenGroup => 1_000,
            Self::Evaluate { .. } => 200,
            Self::VerifyTree => 20,
            Self::MakeShare { .. } | Self::PlanEviction { .. } => 2,
        }
    }

    /// Prepares for so many, does `count` of them and says how long those took, in microseconds.
    fn run(self, prepared: usize, count: usize) -> f64 {
        match self {
            Self::DeriveTek => {
                let (tgk, rand) = (Tgk(Key128::new([1; 16])), Rand(Key128::new([2; 16])));
                timed(count, |n| _ = black_box(derive(&tgk, CsbId(n as u32), &rand)))
            }
            Self::SealGroup => {
                let (mut sender, mut out) = (sender(prepared), [0; 128]);
                timed(count, |_| {
                    sender.seal(&SoftCcm, &[0; COMMAND_OCTETS], &mut out).expect("it is reserved");
                })
            }
            Self::OpenGroup => {
                let mut records = records(prepared);
                let mut receiver = GroupReceiver::<1>::new(group_keys());
                receiver.admit(SenderId(1), SenderFloor::Known(0)).expect("room for one");
                timed(count, |n| {
                    receiver.open(&SoftCcm, &mut records[n]).expect("it is the next");
                })
            }
            Self::Evaluate { degree } => {
                let (own, octets) = (eui64(1), share(degree, eui64(1)));
                let share = Share::new(NAME, own, &octets).expect("its own");
                timed(count, |n| {
                    let peer = eui64(n as u64 + 2);
                    black_box(share.psk(Scheme::Polynomial, peer, NAME).expect("another"));
                })
            }
            Self::MakeShare { degree } => timed(count, |_| _ = black_box(share(degree, eui64(1)))),
            Self::VerifyTree => {
                let (signer, octets) = tree_message();
                timed(count, |_| {
                    let received = Received::new(&octets).expect("whole");
                    let told = received.verified(|signed, signature| {
                        let key = PublicKey::from_point(&signer).expect("a point");
                        key.verifies(&Sha256::of(signed), signature)
                    });
                    assert!(told.is_ok(), "it is signed");
                })
            }
            Self::PlanEviction { members } => {
                let (trees, gone) = trees(members);
                timed(count, |_| {
                    for tree in &trees {
                        black_box(plan(tree, &gone));
                    }
                })
            }
        }
    }
}

const NAME: SetName = SetName { set: 1, generation: 1 };

fn timed(count: usize, mut one: impl FnMut(usize)) -> f64 {
    let began = Instant::now();
    (0..count).for_each(&mut one);
    began.elapsed().as_secs_f64() * 1e6 / count.max(1) as f64
}

const fn eui64(n: u64) -> Eui64 {
    Eui64((0x0212_4b00_0000_0000 + n).to_be_bytes())
}

fn group_keys() -> GroupKeys {
    GroupKeys { key: Key128::new([3; 16]), salt: [4; 4], epoch: 1 }
}

fn sender(reserved: usize) -> GroupSender {
    let mut sender = GroupSender::new(group_keys(), SenderId(1), 0);
    sender.reserve(reserved as u64);
    sender
}

fn records(count: usize) -> Vec<Vec<u8>> {
    let mut sender = sender(count);
    let sealed = (0..count).map(|_| {
        let mut out = [0; 128];
        let len = sender.seal(&SoftCcm, &[0; COMMAND_OCTETS], &mut out).expect("it is reserved");
        out[..len].to_vec()
    });
    sealed.collect()
}

fn polynomial(degree: u16) -> Polynomial {
    Polynomial::new(NAME, degree, Secret::new([5; 32])).expect("a degree")
}

fn share(degree: u16, owner: Eui64) -> Vec<u8> {
    let polynomial = polynomial(degree);
    let mut octets = vec![0; polynomial.share_octets()];
    polynomial.share(owner, &mut octets).expect("a name");
    octets
}

/// As many trees as there are PANs, and who is evicted: of the first.
fn trees(members: usize) -> (Vec<KeyTree>, BTreeSet<Eui64>) {
    let mut draws = draws(6);
    let mut trees = Vec::new();
    let everybody: Vec<Eui64> = (0..members as u64).map(eui64).collect();
    for pan in everybody.chunks(PAN_MEMBERS_MAX) {
        let mut tree = KeyTree::new(TREE);
        for eui64 in pan {
            tree.enter(*eui64, &mut draws).expect("a PAN's members fit a tree");
        }
        trees.push(tree);
    }
    let gone = everybody.get(members / 2 % PAN_MEMBERS_MAX).copied();
    (trees, gone.into_iter().collect())
}

fn draws(seed: u64) -> impl FnMut() -> Key128 {
    let mut entropy = SeededEntropy::new(seed);
    move || {
        let mut octets = [0; 16];
        entropy.fill(&mut octets);
        Key128::new(octets)
    }
}

fn plan(tree: &KeyTree, gone: &BTreeSet<Eui64>) -> Plan {
    tree.plan(gone, draws(7)).expect("one goes")
}

/// An eviction from a full PAN, signed; and by whom.
fn tree_message() -> ([u8; 65], Vec<u8>) {
    let (trees, gone) = trees(PAN_MEMBERS_MAX);
    let Plan { epoch, entries, root, .. } = plan(&trees[0], &gone);
    let signer = PrivateKey::new(&Secret::new([8; 32])).expect("in range");
    let mut octets = vec![0; TREE_OCTETS_MAX];
    let payload = [0; PAYLOAD_OCTETS];
    let len = tree::emit((TREE, epoch), &entries, (&root, &payload), &SoftCcm, &mut octets);
    octets.truncate(len.expect("it fits"));
    octets.extend(signer.sign(&Sha256::of(&octets)).octets());
    (signer.public().point(), octets)
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    costs: Vec<Row>,
    shares: Vec<ShareSize>,
    /// Of the message that evicts one of a full PAN, signature and payload included.
    tree_octets: usize,
}

#[derive(Debug, Serialize)]
struct Row {
    case: String,
    #[serde(flatten)]
    cost: Cost,
}

/// What a device holds for keys with all others.
#[derive(Debug, Serialize)]
struct ShareSize {
    degree: u16,
    /// In memory and in flash.
    octets: usize,
    /// As the manager tells it.
    told_octets: usize,
    flash_records: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Row { case, cost } in &self.costs {
            writeln!(f, "{case:<22} {cost}")?;
        }
        for ShareSize { degree, octets, told_octets, flash_records } in &self.shares {
            writeln!(
                f,
                "share of degree {degree:>3}: {octets:>5} octets, told in {told_octets}, {flash_records} flash records"
            )?;
        }
        writeln!(f, "a tree's message that evicts one: {} octets", self.tree_octets)
    }
}

pub(crate) fn measure(own: &str, file: &Path) -> Result<(), String> {
    let costs = Case::ALL.iter().map(|case| row(own, *case)).collect::<Result<_, _>>()?;
    let (_, message) = tree_message();
    let shares = [31, 63, 127, 255].map(size).into();
    let report = Report { costs, shares, tree_octets: message.len() };
    print!("{report}");
    let json = serde_json::to_string_pretty(&report).map_err(|fault| fault.to_string())?;
    std::fs::write(file, json + "\n").map_err(|fault| format!("{}: {fault}", file.display()))
}

fn row(own: &str, case: Case) -> Result<Row, String> {
    let count = case.count();
    let micros = shortest(ROUNDS, || case.run(count, count));
    let prepared = (2 * count).to_string();
    let instructions = callgrind_each(count, |count| {
        [own, "key", &case.name(), &prepared, &count.to_string()].map(Into::into).to_vec()
    })?;
    Ok(Row { case: case.name(), cost: Cost { micros, instructions: Some(instructions) } })
}

fn size(degree: u16) -> ShareSize {
    let polynomial = polynomial(degree);
    let octets = polynomial.share_octets();
    let told_octets = ShareTold::new(&polynomial, eui64(1)).len();
    ShareSize { degree, octets, told_octets, flash_records: octets.div_ceil(PART_OCTETS_MAX) + 1 }
}

/// What it runs of itself under callgrind.
pub(crate) fn run(name: &str, prepared: usize, count: usize) -> Result<(), String> {
    let case = Case::named(name).ok_or_else(|| format!("{name}: no case"))?;
    case.run(prepared, count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_does_its_work_and_keeps_its_name() {
        for case in Case::ALL {
            assert_eq!(Case::named(&case.name()), Some(case));
        }
        let small = [Case::DeriveTek, Case::SealGroup, Case::OpenGroup, Case::VerifyTree];
        let others = [Case::Evaluate { degree: 9 }, Case::PlanEviction { members: 1_100 }];
        for case in small.into_iter().chain(others) {
            assert!(case.run(3, 3) > 0.0, "{case:?}");
        }
    }

    #[test]
    fn sizes_are_those_of_the_shares() {
        let of = size(63);
        assert_eq!((of.octets, of.told_octets, of.flash_records), (1024, 1024 + 18, 7));
        let (_, message) = tree_message();
        assert!(message.len() < 400, "{}", message.len());
    }
}
