//! Purpose: what the fuzz targets were given, and once found, does no harm. Each runs over its committed
//! corpus, its beginnings, and octets by chance.

use crate::hostile::TARGETS;
use lowgate_units::Prng;
use std::path::Path;

#[test]
fn every_input_of_the_corpora() {
    for (name, target) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let inputs = folder.read_dir().unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        let mut count = 0;
        for input in inputs {
            let path = input.expect("readable").path();
            println!("{}", path.display());
            target(&std::fs::read(&path).expect("readable"));
            count += 1;
        }
        assert!(count > 0, "{name} has no corpus");
    }
}

#[test]
fn any_input() {
    for (number, (name, target)) in TARGETS.iter().enumerate() {
        for seed in 0..60 {
            let mut prng = Prng::new(seed).fork(number as u64);
            let mut octets = vec![0; prng.below(200) as usize];
            octets.iter_mut().for_each(|octet| *octet = prng.next_u64() as u8);
            // Short lengths make many chunks.
            octets.iter_mut().step_by(3).for_each(|octet| *octet %= 32);
            println!("{name} {seed}");
            target(&octets);
        }
    }
}
