//! A daemon among simulated devices, in virtual time, with a journal in a real file; then the same from
//! the journal.

use super::*;
use crate::daemon::control::{Answer, Ask};
use crate::daemon::journal::{self, Entry};
use crate::daemon::record::{self, Record};
use crate::daemon::storage::Job;
use crate::demo::load_site;
use crate::inventory;
use lowgate_access::{JOINER_PORT, MANAGER_PORT};
use lowgate_crypto::Key128;
use lowgate_manager::{Kind, MemoryStore};
use lowgate_router::{Datagram, datagram, packet};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Root, World, WorldConfig};
use lowgate_store::FlashFile;
use lowgate_units::{Duration, Ipv6Addr};
use std::collections::VecDeque;
use std::path::Path;

const CONFIG: &str = "[radio]\nurl = \"spinel+hdlc+uart:///dev/none\"\n[network]\ninterface = \"x\"\n\
                      [state]\ndir = \"/none\"\n[control]\nsocket = \"/none\"\n";
/// The world's zero, by the daemon's clock.
const BEGAN: Instant = Instant::from_secs(1_790_000_000);

/// The daemon, its disk, and the mesh at its serial line.
struct Rig {
    world: World,
    /// The co-processor.
    radio: StationId,
    core: Core,
    record: Record,
    store: SqliteStore,
    flash: FlashFile,
    coming: VecDeque<Input>,
    questions: u64,
    answers: Vec<Answer>,
    told: Vec<String>,
}

impl Rig {
    fn new(dir: &Path, journal: &Path, devices: usize) -> Self {
        let site = load_site(Some(devices), 1, None, None).expect("a generated site");
        let mut config = WorldConfig::new(1);
        config.root = Root::CoProcessor;
        let devices: Vec<_> = site.inventory.clone();
        let store = Box::<MemoryStore>::default();
        let mut world = World::new(config, site.building, &devices, vec![], store);
        let stations: Vec<_> = world.honest().collect();
        let radio = stations[0];
        stations.into_iter().for_each(|station| world.power_on(station));
        let config = Config::parse("x.toml", CONFIG).expect("a configuration");
        let mut store = SqliteStore::open(&dir.join("domain.db")).expect("a new store");
        let flash = FlashFile::open(&dir.join("router.db")).expect("a new flash");
        let begun = record::machines(BEGAN, &config, Some(journal), Some(&mut store), Some(&flash));
        let (mut core, beginning) = begun.expect("a first start");
        let record = Record::begin(Some(journal), beginning, &mut core).expect("a new file");
        let (coming, answers, told) = (VecDeque::new(), Vec::new(), Vec::new());
        let mut rig =
            Self { world, radio, core, record, store, flash, coming, questions: 0, answers, told };
        rig.coming.extend([Input::Start, Input::LineOpened]);
        let mut groups: Vec<u16> =
            devices.iter().flat_map(|device| device.groups.keys()).map(|group| group.0).collect();
        groups.sort_unstable();
        groups.dedup();
        for id in groups {
            rig.ask(Ask::GroupCreate { id, name: format!("group {id}") });
        }
        let devices: Vec<_> =
            devices.into_iter().filter(|device| device.kind != Kind::BorderRouter).collect();
        rig.ask(Ask::DeviceImport { file: "x.csv".into(), text: inventory::emit(&devices) });
        rig.ask(Ask::WindowOpen { minutes: 30 });
        rig
    }

    fn ask(&mut self, ask: Ask) {
        self.questions += 1;
        self.coming.push_back(Input::Asked { question: self.questions, ask });
    }

    fn now(&self) -> Instant {
        BEGAN + (self.world.now() - Instant::ZERO)
    }

    /// The loop of the daemon, with the world in the place of the kernel.
    fn run_for(&mut self, span: Duration) {
        let end = self.world.now() + span;
        let mut until = Instant::FAR_FUTURE;
        while self.world.now() < end {
            let said = self.world.take_serial_out(self.radio);
            if !said.is_empty() {
                self.coming.push_back(Input::LineOctets(said));
            }
            if until <= self.now() {
                self.coming.push_back(Input::Wake);
            }
            while let Some(input) = self.coming.pop_front() {
                until = self.step(input);
            }
            let wake = self.world.now() + until.since(self.now());
            let next = self.world.next_at().min(wake).min(end);
            self.world.run_to(next);
        }
    }

    fn step(&mut self, input: Input) -> Instant {
        let now = self.now();
        self.record.fed(now, &input);
        self.core.handle(now, input);
        let (wishes, until) = self.core.drain(now);
        self.record.came(&mut self.core, &wishes);
        assert_eq!(self.record.warning(&mut self.core), None);
        wishes.into_iter().for_each(|wish| self.fulfil(wish));
        until
    }

    fn fulfil(&mut self, wish: Wish) {
        let manager_addr = self.core.border_router().expect("it is both").manager_addr;
        let own = Ipv6Addr::LOCALHOST;
        match wish {
            Wish::Serial(octets) => self.world.serial_in(self.radio, &octets),
            Wish::Tun(octets) => {
                let to_manager = datagram(&octets).filter(|it| it.dst == manager_addr);
                self.coming.extend(to_manager.map(|it| Input::ForManager {
                    from: (it.src, it.src_port),
                    dst_port: it.dst_port,
                    octets: it.payload.to_vec(),
                }));
            }
            Wish::FromManager { src_port, dst, octets, .. } if dst == own => {
                self.coming.push_back(Input::ForRouter { from: (manager_addr, src_port), octets });
            }
            Wish::FromManager { src_port, dst, dst_port, octets } => {
                let (src, payload) = (manager_addr, &octets[..]);
                let packet = packet(&Datagram { src, dst, src_port, dst_port, payload });
                self.coming.push_back(Input::Packet(packet));
            }
            Wish::FromRouter { octets } => {
                let from = (own, JOINER_PORT);
                self.coming.push_back(Input::ForManager { from, dst_port: MANAGER_PORT, octets });
            }
            Wish::Store(Job::Commit(batch)) => {
                self.store.commit(&batch).expect("the next revision");
                self.coming.push_back(Input::Committed { revision: batch.revision });
            }
            Wish::Store(Job::Put { ticket, key, octets }) => {
                self.flash.put(&key.octets(), &octets).expect("written");
                self.coming.push_back(Input::Stored { ticket });
            }
            Wish::Store(Job::Erase(key)) => self.flash.erase(&key.octets()).expect("erased"),
            Wish::Answer { answer, .. } => self.answers.push(answer),
            Wish::Tell(line) => self.told.push(line),
            Wish::Reopen | Wish::Route(_) | Wish::Groups(_) => {}
        }
    }
}

/// A session in which devices join and keys change: its journal's octets and key, what people were told.
fn session(devices: usize) -> (Vec<u8>, Key128, Vec<String>) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("journal");
    let mut rig = Rig::new(dir.path(), &path, devices);
    rig.run_for(Duration::from_secs(40));
    rig.ask(Ask::KeysRotateNetwork);
    rig.ask(Ask::KeysRotateGroup { id: 1 });
    rig.run_for(Duration::from_secs(20));
    rig.ask(Ask::DeviceList);
    rig.run_for(Duration::from_millis(10));
    let Some(Answer::Done(listed)) = rig.answers.last() else { panic!("{:?}", rig.answers) };
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), devices + 1);
    assert!(listed.iter().all(|device| device["keys_confirmed"] == true), "{listed:?}");
    let told = std::mem::take(&mut rig.told);
    drop(rig);
    let mut key = path.clone().into_os_string();
    key.push(".key");
    let key = read_key(Path::new(&key)).expect("made beside it");
    (std::fs::read(&path).expect("written"), key, told)
}

/// How a replay goes, and what it says.
fn replayed(journal: &[u8], key: &Key128, until: Option<u64>) -> (Result<Verdict, String>, String) {
    let mut out = Vec::new();
    let reader = Reader::new(journal, key).map_err(|fault| fault.to_string());
    let went = reader.and_then(Replay::begin).and_then(|mut it| it.run(until, &mut out));
    (went, String::from_utf8(out).expect("text"))
}

#[test]
fn a_session_comes_out_the_same_from_its_journal() {
    let (journal, key, told) = session(4);
    let (went, said) = replayed(&journal, &key, None);
    assert_eq!(went, Ok(Verdict::Identical), "{said}");
    let (lines, last): (Vec<_>, _) = (said.lines().collect(), said.lines().last());
    assert!(last.is_some_and(|last| last.ends_with(" outputs, identical")), "{said}");
    assert_eq!(lines.len(), told.len() + 1, "{said}");
    assert!(lines.iter().zip(&told).all(|(line, told)| line.ends_with(told.as_str())), "{said}");
    assert!(said.contains("link key 2 is in force") && said.contains("have its epoch"), "{said}");
    let inputs: u64 = last.and_then(|last| last.split(' ').next()?.parse().ok()).expect("a number");
    assert!(inputs > 300, "{inputs}");
    let (went, said) = replayed(&journal, &key, Some(30));
    assert_eq!(went, Ok(Verdict::Identical));
    assert!(said.contains("\ninput 30, after ") && said.contains("\n30 inputs, "), "{said}");
}

#[test]
fn a_machine_that_does_otherwise_is_found_out_at_the_input() {
    let (journal, key, _) = session(2);
    // In the place of another program: the same one is told something else.
    let mut reader = Reader::new(&journal[..], &key).expect("its key");
    let (mut entries, mut inputs, mut altered) = (Vec::new(), 0, 0);
    while let Ok(mut entry) = reader.next() {
        inputs += u64::from(matches!(entry, Entry::Fed { .. }));
        if let Entry::Fed { input: Input::ForManager { octets, .. }, .. } = &mut entry
            && altered == 0
            && inputs > 100
        {
            octets.pop();
            altered = inputs;
        }
        entries.push(entry);
    }
    let (went, said) = replayed(&journal::sealed(&entries, &key), &key, None);
    assert_eq!(went, Ok(Verdict::Differs), "{said}");
    assert!(said.contains(&format!("\ninput {altered}, after ")), "{altered}: {said}");
    assert!(said.contains("then, ") || said.contains("others than then"), "{said}");
    let before = altered - 1;
    assert_eq!(replayed(&journal, &key, Some(before)).0, Ok(Verdict::Identical));
}

#[test]
fn what_was_written_before_a_kill_is_compared() {
    // Half of it, or a little more, is the image of the store, with which it begins.
    let (journal, key, _) = session(4);
    for percent in [75, 85, 99] {
        let (went, said) = replayed(&journal[..journal.len() * percent / 100], &key, None);
        assert_eq!(went, Ok(Verdict::Identical), "{said}");
        assert!(said.contains("the daemon was killed here"), "{said}");
    }
    // The image of the store, which the beginning holds, is larger.
    let (went, _) = replayed(&journal[..10_000], &key, None);
    assert_eq!(went, Err("it ends before the daemon began".into()));
}

#[test]
fn a_changed_file_or_another_key_is_refused_in_a_line() {
    let (journal, key, _) = session(2);
    for (at, cause) in [
        (3, "no journal of this program"),
        (20, "not sealed with this key"),
        (journal.len() * 8 / 10, "changed at octet"),
        (journal.len() - 1, "changed at octet"),
    ] {
        let mut journal = journal.clone();
        journal[at] ^= 1;
        let fault = replayed(&journal, &key, None).0.expect_err("refused");
        assert!(fault.contains(cause) && !fault.contains('\n'), "octet {at}: {fault}");
    }
    let fault = replayed(&journal, &Key128::new([0; 16]), None).0.expect_err("refused");
    assert!(fault.contains("not sealed with this key"), "{fault}");
}
