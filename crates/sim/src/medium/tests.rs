//! The medium alone, driven by hand.

use super::*;
use proptest::prelude::*;

fn us(micros: u64) -> Instant {
    Instant::from_micros(micros)
}

const A: StationId = StationId(0);
const B: StationId = StationId(1);
const C: StationId = StationId(2);

fn channel() -> Option<Channel> {
    Channel::new(15)
}

/// A medium on whose one channel all stations listen, and what it said.
struct Air {
    medium: Medium,
    said: Vec<(Instant, MediumOutput)>,
}

impl Air {
    fn new(links: &Links, loss: f64, seed: u64) -> Self {
        let mut medium = Medium::new(MediumConfig { loss, ..MediumConfig::default() }, links, seed);
        for station in 0..links.stations() as u32 {
            medium.tune(Instant::ZERO, StationId(station), channel());
        }
        Self { medium, said: Vec::new() }
    }

    fn run_to(&mut self, until: Instant) -> &mut Self {
        loop {
            let now = self.medium.next_at().min(until);
            match self.medium.poll(now) {
                MediumOutput::Wait { until: next } if next > until => return self,
                MediumOutput::Wait { .. } => {}
                output => self.said.push((now, output)),
            }
        }
    }

    fn transmit(&mut self, at: u64, station: StationId, psdu: Psdu) -> &mut Self {
        self.run_to(us(at)).medium.transmit(us(at), station, psdu);
        self
    }

    fn sense(&mut self, at: u64, station: StationId) -> &mut Self {
        self.run_to(us(at)).medium.sense(us(at), station);
        self
    }

    fn tune(&mut self, at: u64, station: StationId, channel: Option<Channel>) -> &mut Self {
        self.run_to(us(at)).medium.tune(us(at), station, channel);
        self
    }

    fn counters(&mut self, at: u64) -> MediumCounters {
        self.run_to(us(at)).medium.counters()
    }

    /// What was received up to `at` since the last call, by whom, with its first octet.
    fn received(&mut self, at: u64) -> Vec<(StationId, u8)> {
        self.run_to(us(at));
        let received = |output| match output {
            MediumOutput::Phy { station, event: PhyEvent::Received { psdu, .. }, .. } => {
                Some((station, psdu[0]))
            }
            MediumOutput::Phy { .. } | MediumOutput::Aired { .. } | MediumOutput::Wait { .. } => {
                None
            }
        };
        self.said.drain(..).filter_map(|(_, output)| received(output)).collect()
    }
}

fn psdu(len: usize, fill: u8) -> Psdu {
    std::iter::repeat_n(fill, len).collect()
}

fn assessed(station: StationId, idle: bool) -> MediumOutput {
    MediumOutput::Phy { station, frame: None, event: PhyEvent::CcaDone { idle } }
}

fn done(station: StationId, frame: u64) -> MediumOutput {
    let frame = Some(FrameId(frame));
    MediumOutput::Phy { station, frame, event: PhyEvent::TransmitDone }
}

#[test]
fn a_frame_takes_32_us_per_octet_and_names_its_strength() {
    let mut air = Air::new(&Links::table(2, &[(0, 1, -75.0)]), 0.0, 1);
    air.transmit(1000, A, psdu(20, 7)).run_to(us(10_000));
    let (begins, ends) = (us(1000), us(1000 + (6 + 20 + 2) * 32));
    let MediumOutput::Aired { station, ends: said, .. } = &air.said[0].1 else {
        panic!("{:?}", air.said[0]);
    };
    assert_eq!((air.said[0].0, *station, *said), (begins, A, ends));
    assert_eq!(air.said[1], (ends, done(A, 0)));
    let event = PhyEvent::Received { psdu: psdu(20, 7), rssi: Rssi(-75), lqi: Lqi(127) };
    let received = MediumOutput::Phy { station: B, frame: Some(FrameId(0)), event };
    assert_eq!(air.said[2..], [(ends, received)]);
}

#[test]
fn out_of_reach_switched_off_or_elsewhere_nobody_hears() {
    let mut air = Air::new(&Links::clique(3, -60.0), 0.0, 1);
    air.tune(0, B, None).tune(0, C, Channel::new(16)).transmit(1000, A, psdu(20, 7));
    assert_eq!(air.received(10_000), []);
    air.tune(10_000, B, channel()).transmit(10_000, A, psdu(20, 8));
    assert_eq!(air.received(20_000), [(B, 8)]);
}

#[test]
fn hidden_senders_collide_and_the_louder_one_survives() {
    let collide = |dbm| {
        let mut air = Air::new(&Links::table(3, &[(0, 1, -60.0), (2, 1, dbm)]), 0.0, 1);
        air.transmit(1000, A, psdu(50, 1)).transmit(1500, C, psdu(50, 2)).received(10_000)
    };
    assert_eq!(collide(-60.0), []);
    assert_eq!(collide(-75.0), [(B, 1)]);
    // Louder, but the receiver already follows the first.
    assert_eq!(collide(-45.0), []);
}

#[test]
fn a_louder_frame_takes_over_during_the_preamble() {
    let mut air = Air::new(&Links::table(3, &[(0, 1, -60.0), (2, 1, -45.0)]), 0.0, 1);
    air.transmit(1000, A, psdu(50, 1)).transmit(1100, C, psdu(50, 2));
    assert_eq!(air.received(10_000), [(B, 2)]);
    assert_eq!(air.counters(10_000).abandoned, 1);
}

#[test]
fn who_sends_does_not_hear() {
    let mut air = Air::new(&Links::clique(2, -50.0), 0.0, 1);
    air.transmit(1000, A, psdu(50, 1)).transmit(1100, B, psdu(50, 2));
    assert_eq!(air.received(10_000), []);
    let counters = air.counters(10_000);
    assert_eq!((counters.abandoned, counters.unheard), (1, 1));
}

#[test]
fn sensing_finds_a_carrier_too_quiet_for_the_energy_threshold() {
    let busy = |dbm: f64, from: u64| {
        let mut air = Air::new(&Links::table(2, &[(0, 1, dbm)]), 0.0, 1);
        if from < 1000 {
            air.sense(from, B).transmit(1000, A, psdu(50, 1));
        } else {
            air.transmit(1000, A, psdu(50, 1)).sense(from, B);
        }
        air.run_to(us(10_000));
        assert_ne!(
            air.said.contains(&(us(from + 128), assessed(B, false))),
            air.said.contains(&(us(from + 128), assessed(B, true))),
        );
        air.said.contains(&(us(from + 128), assessed(B, false)))
    };
    assert!(busy(-60.0, 1000) && busy(-88.0, 1000));
    assert!(!busy(-95.0, 1000), "far below the noise");
    assert!(!busy(-60.0, 860), "over before the frame begins");
    assert!(busy(-60.0, 900), "28 us at -60 dBm are plenty of energy");
    assert!(!busy(-88.0, 900), "28 us are too short to recognise a weak carrier");
}

#[test]
fn sending_after_listening_takes_a_turnaround() {
    let mut air = Air::new(&Links::clique(2, -50.0), 0.0, 1);
    air.sense(1000, A).transmit(1128, A, psdu(5, 1));
    let ends = 1128 + 192 + 13 * 32;
    // An acknowledgement that waited for its turnaround already is not delayed any further.
    air.transmit(ends + 192, B, psdu(3, 2)).run_to(us(10_000));
    let aired: Vec<_> = air
        .said
        .iter()
        .filter(|(_, output)| matches!(output, MediumOutput::Aired { .. }))
        .map(|(at, _)| at.as_micros())
        .collect();
    assert_eq!(aired, [1128 + 192, ends + 192]);
}

#[test]
fn switching_the_sender_off_breaks_the_frame_and_frees_the_air() {
    let mut air = Air::new(&Links::clique(3, -50.0), 0.0, 1);
    air.transmit(1000, A, psdu(100, 1)).tune(1500, A, None);
    air.sense(1500, B).transmit(1700, C, psdu(5, 2)).run_to(us(20_000));
    assert!(air.said.contains(&(us(1628), assessed(B, true))));
    assert!(air.said.contains(&(us(1700 + 13 * 32), done(C, 1))));
    let counters = air.counters(20_000);
    assert_eq!((counters.corrupted, counters.received), (2, 1));
    assert_eq!(air.received(20_000), [(B, 2)]);
}

#[test]
fn who_tunes_in_late_is_disturbed_by_what_is_already_on_the_air() {
    let mut air = Air::new(&Links::table(3, &[(0, 1, -60.0), (2, 1, -60.0)]), 0.0, 1);
    air.tune(0, B, None).transmit(1000, A, psdu(100, 1)).tune(2000, B, channel());
    air.transmit(2100, C, psdu(5, 2));
    assert_eq!(air.received(10_000), []);
    air.transmit(10_000, C, psdu(5, 3));
    assert_eq!(air.received(20_000), [(B, 3)]);
}

#[test]
fn loss_is_what_was_asked_for_within_three_sigma() {
    for (loss, seed) in [(0.0, 1), (0.1, 2), (0.2, 3), (0.5, 4), (1.0, 5)] {
        let mut air = Air::new(&Links::clique(2, -50.0), loss, seed);
        let frames = 4000;
        for frame in 0..frames {
            air.transmit(frame * 5000, A, psdu(20, 1));
        }
        let counters = air.counters(frames * 5000);
        assert_eq!(counters.received + counters.lost, frames);
        check_share(counters.lost, frames, loss);
    }
}

#[test]
fn the_noise_takes_what_the_formula_says() {
    let strength = Strength::from_dbm(-90.3);
    let expected = MediumConfig::default().reception(strength, 60);
    assert!((0.2..0.9).contains(&expected), "a strength at which frames do get lost: {expected}");
    let mut air = Air::new(&Links::table(2, &[(0, 1, strength.dbm())]), 0.0, 9);
    for frame in 0..4000 {
        air.transmit(frame * 5000, A, psdu(60, 1));
    }
    let received = air.counters(4000 * 5000).received;
    check_share(received, 4000, expected);
}

fn check_share(count: u64, of: u64, expected: f64) {
    let of = of as f64;
    let sigma = (expected * (1.0 - expected) / of).sqrt();
    let measured = count as f64 / of;
    assert!((measured - expected).abs() <= 3.0 * sigma, "{measured} instead of {expected}");
}

#[test]
fn a_cut_link_is_deaf_both_ways_and_heals() {
    let mut air = Air::new(&Links::clique(3, -50.0), 0.0, 1);
    air.medium.set_link_loss(A, B, 1.0);
    air.transmit(1000, A, psdu(5, 1)).transmit(5000, B, psdu(5, 2));
    assert_eq!(air.received(10_000), [(C, 1), (C, 2)]);
    air.medium.set_link_loss(B, A, 0.0);
    air.transmit(10_000, A, psdu(5, 3));
    assert_eq!(air.received(20_000), [(B, 3), (C, 3)]);
}

#[test]
fn the_dice_of_one_link_do_not_move_with_traffic_on_another() {
    let run = |with_c: bool| {
        let mut air = Air::new(&Links::table(4, &[(0, 1, -50.0), (2, 3, -50.0)]), 0.5, 11);
        for frame in 0..200 {
            if with_c {
                air.transmit(frame * 5000, C, psdu(20, 9));
            }
            air.transmit(frame * 5000 + 100, A, psdu(20, frame as u8));
        }
        let mut received = air.received(1_000_000);
        received.retain(|(station, _)| *station == B);
        received
    };
    assert_eq!(run(false), run(true));
    assert!(run(true).len() > 50);
}

#[test]
#[should_panic(expected = "polled when it asked for it")]
fn an_owner_that_skips_what_is_due_is_told() {
    let mut air = Air::new(&Links::clique(2, -50.0), 0.0, 1);
    air.medium.transmit(us(1000), A, psdu(5, 1));
    air.medium.transmit(us(1001), B, psdu(5, 1));
}

#[test]
fn a_station_keeps_its_dice_when_others_are_added() {
    let run = |links: &Links, from: u32| {
        let mut air = Air::new(links, 0.5, 11);
        for frame in 0..200 {
            air.transmit(frame * 5000, StationId(from), psdu(20, frame as u8));
        }
        let received = air.received(1_000_000).into_iter();
        received.filter(|(to, _)| to.0 == from + 1).map(|(_, frame)| frame).collect::<Vec<_>>()
    };
    let two = Links::table(2, &[(0, 1, -50.0)]).named(vec![70, 80]);
    let crowd = [(1, 2, -50.0), (0, 1, -50.0), (0, 2, -60.0), (1, 3, -70.0)];
    let four = Links::table(4, &crowd).named(vec![90, 70, 80, 60]);
    assert_eq!(run(&two, 0), run(&four, 1));
    let renamed = Links::table(2, &[(0, 1, -50.0)]).named(vec![70, 81]);
    assert_ne!(run(&two, 0), run(&renamed, 0));
}

#[test]
fn every_microsecond_of_a_radio_is_accounted_for() {
    let mut air = Air::new(&Links::clique(2, -50.0), 0.0, 1);
    air.tune(1000, B, None).transmit(2000, A, psdu(20, 1)).tune(10_000, B, channel());
    air.transmit(20_000, B, psdu(100, 1)).tune(20_500, B, None).run_to(us(30_000));
    air.tune(30_000, A, None);
    let micros = |off, listen, transmit| {
        let [off, listen, transmit] = [off, listen, transmit].map(Duration::from_micros);
        RadioTime { off, listen, transmit }
    };
    let on_air = 28 * 32;
    assert_eq!(air.medium.radio_time(A), micros(0, 30_000 - on_air, on_air));
    assert_eq!(air.medium.radio_time(B), micros(18_500, 11_000, 500));
    let hour = RadioTime { listen: Duration::from_secs(3600), ..RadioTime::default() };
    assert!((hour.charge_mc(&Currents::CC2420) - 67_680.0).abs() < 1e-6);
}

#[test]
fn a_quiet_band_does_not_make_a_receiver_more_sensitive() {
    let heard = |sensitivity_dbm| {
        let quiet = MediumConfig { noise_dbm: -110.0, sensitivity_dbm, ..MediumConfig::default() };
        let strength = Strength::from_dbm(-99.0);
        let mut medium = Medium::new(quiet, &Links::table(2, &[(0, 1, strength.dbm())]), 1);
        medium.tune(Instant::ZERO, A, channel());
        medium.tune(Instant::ZERO, B, channel());
        let mut air = Air { medium, said: Vec::new() };
        let heard = air.transmit(0, A, psdu(20, 7)).received(10_000) == [(B, 7)];
        assert_eq!(quiet.reception(strength, 20), f64::from(u8::from(heard)));
        heard
    };
    assert!(heard(-100.0) && !heard(-98.0));
}

#[test]
fn noise_above_the_threshold_keeps_the_channel_busy() {
    let idle = |noise_dbm| {
        let config = MediumConfig { noise_dbm, ..MediumConfig::default() };
        let mut medium = Medium::new(config, &Links::new(1, &[]), 1);
        medium.tune(Instant::ZERO, A, channel());
        let mut air = Air { medium, said: Vec::new() };
        air.sense(0, A).run_to(us(1000));
        air.said == [(us(128), assessed(A, true))]
    };
    assert!(idle(-90.0) && idle(-80.5) && !idle(-79.5));
}

proptest! {
    /// Whatever is sent when, and by whom: afterwards the air is as silent as before.
    #[test]
    fn the_air_is_silent_in_the_end(
        strengths in prop::collection::vec(-105.0..20.0f64, 10),
        sends in prop::collection::vec((0..5_u32, 0..20_000_u64, 0..100_usize), 1..40),
    ) {
        let pairs = (0..5_u32).flat_map(|a| (a + 1..5).map(move |b| (a, b)));
        let pairs: Vec<_> = pairs.zip(&strengths).map(|((a, b), dbm)| (a, b, *dbm)).collect();
        let mut air = Air::new(&Links::table(5, &pairs), 0.0, 1);
        let mut sends = sends;
        sends.sort_by_key(|(_, at, _)| *at);
        let mut ready = [0; 5];
        let mut aired = 0;
        for (station, at, octets) in sends {
            if ready[station as usize] <= at {
                air.transmit(at, StationId(station), psdu(octets, 1));
                ready[station as usize] = at + 6_000;
                aired += 1;
            }
        }
        let counters = air.counters(100_000);
        prop_assert_eq!(counters.aired, aired);
        for radio in &air.medium.radios {
            prop_assert_eq!(radio.incident, Power::default());
            prop_assert!(radio.lock.is_none() && radio.sending == Sending::No);
        }
        prop_assert_eq!(air.medium.free.len(), air.medium.flights.len());
    }
}
