//! Every comparison holds, on seeds of its own.

use super::*;

#[track_caller]
fn check(study: &Study) {
    let off = (study.deviation(), study.relative_deviation());
    assert!(study.holds(), "{}: off by {off:?}, {study:#?}", study.title);
}

#[test]
fn noise_takes_what_the_standard_says() {
    check(&noise(1));
}

#[test]
fn contenders_get_what_the_renewal_cycle_says() {
    check(&contention(2));
}

#[test]
fn hidden_senders_lose_what_overlaps() {
    check(&hidden(3));
}

#[test]
fn equal_seeds_give_equal_results() {
    let run = |seed| format!("{:?}", hidden(seed).curves);
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
