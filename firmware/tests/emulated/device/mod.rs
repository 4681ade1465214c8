//! Purpose: a device's firmware joins, obeys, and stands losses of power.
//! Topology: `lowgate run` in a network namespace drives the emulated co-processor by its serial line; that one's
//! radio and the emulated device's stand in the building that `lowgate sim serve` simulates, with a simulated relay
//! between them, through which alone they reach each other. The test holds the device's flash, and sees what it
//! hands to its radio. As root.
//! Criteria: with each test.

mod machine;
mod site;
mod storage;

use crate::emulator::stack_octets;
use lowgate_node::flash::Record;
use lowgate_units::Prng;
use machine::{Counters, Device};
use site::{Site, settings};
use std::time::{Duration, Instant};
use storage::Flash;

const PROGRAM: &str = "device-qemu";
/// From power on until it can be reached: it scans, proves its key, takes keys, and finds a way. With keys in its
/// flash it only finds a way.
const IN_WITHIN: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(20);
/// Of the stack, a few in a hundred more than it took: most of it in the handshake.
const STACK_BUDGET_OCTETS: usize = 33 * 1024;

/// What a device does when its power fails, and of how many octets that change then one is drawn. A few fewer
/// than change, so that the power fails each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// It joins for the first time: a page is erased, keys and counters are stored.
    Joins,
    /// It starts with its keys: counters are reserved.
    Resumes,
    /// Its group gets a new epoch.
    Rekeys,
    /// Somebody holds its button: two pages are erased, then it joins anew.
    Resets,
}

impl Moment {
    const fn octets(self) -> u64 {
        match self {
            Self::Joins => 4096 + 16 + 150,
            Self::Resumes => 24,
            Self::Rekeys => 100,
            Self::Resets => 2 * 4096 + 16 + 24 + 300,
        }
    }

    /// 50 of them.
    fn all() -> impl Iterator<Item = Self> {
        let rest = (0..40).map(|count| match count % 8 {
            3 => Self::Resets,
            1 | 5 => Self::Rekeys,
            _ => Self::Resumes,
        });
        [Self::Joins; 10].into_iter().chain(rest)
    }
}

/// One device at a site, over all of its lives.
struct Life<'a> {
    site: &'a Site,
    flash: Flash,
    counters: Counters,
    dice: Prng,
}

impl Life<'_> {
    fn start(&self) -> Device {
        Device::start(PROGRAM, &self.flash, &self.site.air(), &self.counters)
    }

    fn has_network(&self) -> bool {
        let records = self.flash.records().expect("nothing is damaged");
        records.iter().any(|record| matches!(record, Record::Network { .. }))
    }

    /// Lives until the power fails.
    fn end(&mut self, moment: Moment) {
        let cut = Some(self.dice.below(moment.octets()));
        let device = match moment {
            Moment::Joins | Moment::Resumes => {
                self.flash.cut_after(cut);
                self.start()
            }
            Moment::Rekeys => {
                let mut device = self.start();
                device.expect("attached at", IN_WITHIN);
                self.flash.cut_after(cut);
                self.site.command(&["keys", "rotate", "--group", "1"]);
                device
            }
            Moment::Resets => {
                let mut device = self.start();
                device.expect("begins with", SOON);
                self.flash.cut_after(cut);
                device.press(true);
                device
            }
        };
        assert!(device.went_dark(IN_WITHIN), "{moment:?}: not after {cut:?} octets");
        drop(device);
        self.flash.cut_after(None);
    }
}

/// Criteria: it joins through the relay, gets its keys, answers pings and a group's command, although its power was
/// cut at ten random moments of its flash's writes before; the same after 40 more. It never forgets what it is, uses no
/// frame counter twice, and is in again in bounded time each time.
#[test]
fn a_device_joins_and_stands_fifty_losses_of_power() {
    let site = Site::new();
    let flash = Flash::with_settings(1, &settings());
    let mut life = Life { site: &site, flash, counters: Counters::default(), dice: Prng::new(7) };
    let (mut addr, mut slowest) = (None, Duration::ZERO);
    for (number, moment) in Moment::all().enumerate() {
        // Who could store all before the power failed is in already.
        let moment =
            if moment == Moment::Joins && life.has_network() { Moment::Resumes } else { moment };
        let was_member = life.has_network();
        life.end(moment);
        let is_member = life.has_network();
        assert!(is_member || !was_member || moment == Moment::Resets, "{number}: {moment:?}");
        if number < 9 {
            continue; // it joins again and again
        }
        let begun = Instant::now();
        let (mut device, changed) = (life.start(), life.flash.changed());
        let at = attached(&mut device);
        let took = begun.elapsed();
        slowest = slowest.max(took);
        println!("{number}: {moment:?}, {took:?}, {} octets", life.flash.changed() - changed);
        assert_eq!(addr.get_or_insert_with(|| at.clone()), &at, "it is the same device");
        if number == 9 {
            answers(&site, &mut device, &at);
        }
    }
    println!("{} sealed frames; in again within {slowest:?}", life.counters.frames());
    let mut device = life.start();
    let at = attached(&mut device);
    answers(&site, &mut device, &at);
    let stack = stack_octets(device.folder());
    println!("{stack} octets of the stack");
    assert!(stack <= STACK_BUDGET_OCTETS);
    site.expect_no_findings();
}

/// Where it can be reached.
fn attached(device: &mut Device) -> String {
    let line = device.expect("attached at", IN_WITHIN);
    let rest = line.split_once("attached at ").and_then(|(_, rest)| rest.split_once(", "));
    let (addr, hops) = rest.unwrap_or_else(|| panic!("{line}"));
    assert_eq!(hops, "2 hops", "through the relay");
    addr.to_owned()
}

/// A group's command is sent once and repeated by nobody but MPL; this air loses nothing by itself. Whoever missed an
/// epoch has it with its session.
fn answers(site: &Site, device: &mut Device, addr: &str) {
    assert_eq!(site.pinged(addr, 3), 3);
    device.expect_ever("is a member", IN_WITHIN);
    site.command(&["group", "send", "1", "light", "1"]);
    device.expect("light on", SOON);
    site.command(&["group", "send", "1", "light", "0"]);
    device.expect("light off", SOON);
}

/// Criteria: without a settings page, or with a damaged one, it says so and joins nothing; with a flash that takes
/// nothing it says so too, and sends nothing that is secured. The programs run on.
#[test]
fn settings_and_flash_that_are_of_no_use() {
    let site = Site::new();
    let damaged = Flash::with_settings(2, &settings());
    damaged.damage_settings();
    let worn_out = Flash::with_settings(3, &settings());
    worn_out.wear_out();
    for (flash, says) in [
        (Flash::new(4), "no settings: Empty"),
        (damaged, "no settings: Damaged"),
        (worn_out, "flash: Flash"),
    ] {
        let counters = Counters::default();
        let mut device = Device::start(PROGRAM, &flash, &site.air(), &counters);
        device.expect(says, IN_WITHIN);
        device.expect("led lit", SOON);
        device.expect("led dark", SOON);
        device.expect("led lit", SOON);
        assert_eq!(counters.frames(), 0);
        assert!(flash.records().expect("whole").is_empty());
        device.press(true);
    }
    site.expect_no_findings();
}

/// Criteria: the template's sensor is in and tells what it measured: 20 degrees and one more each minute.
#[test]
fn the_template_measures() {
    let site = Site::new();
    let (flash, counters) = (Flash::with_settings(5, &settings()), Counters::default());
    let mut device = Device::start("template", &flash, &site.air(), &counters);
    attached(&mut device);
    device.expect_ever("is a member", IN_WITHIN);
    let read = site.command(&["device", "read", site::DEVICE, "sensor"]);
    let tenths = read.split('"').nth(1).and_then(|payload| payload.parse::<i16>().ok());
    let tenths = tenths.unwrap_or_else(|| panic!("{read:?}"));
    assert!((200..=240).contains(&tenths) && tenths % 10 == 0, "{tenths}");
    site.expect_no_findings();
}
