//! Purpose: what `lowgate decode` says of a whole network. Topology: a line of rooms, several hops
//! deep. Criteria: with the keys nothing stays sealed and what only we know is in words; without
//! them nothing is opened; no line holds a key; damage of any kind makes no panic.

mod network;

use lowgate::decode::{Keys, lines, run, write_keys};
use lowgate_sim::capture::{Recording, read};
use lowgate_units::Prng;
use std::path::Path;

struct Taken {
    file: Vec<u8>,
    recording: Recording,
    keys: Keys,
    /// Everything in the key files that must not be in a line.
    secrets: Vec<String>,
}

fn take() -> Taken {
    let world = network::run();
    let folder = tempfile::tempdir().expect("a folder");
    let files = network::keys(&world, folder.path(), Path::new("run.pcapng"));
    write_keys(folder.path(), &files).expect("writes");
    let words = files.iter().flat_map(|file| file.content.split(|c: char| !c.is_alphanumeric()));
    let secret = |word: &&str| word.len() >= 32 && word.bytes().all(|c| c.is_ascii_hexdigit());
    let secrets: Vec<String> = words.filter(secret).map(str::to_owned).collect();
    let keys = Keys::read(folder.path()).expect("ours");
    let file = world.capture().emit("a line of rooms");
    let recording = read(&file).expect("ours");
    Taken { file, recording, keys, secrets }
}

#[track_caller]
fn assert_some(lines: &[String], words: &[&str]) {
    let has_all = |line: &String| words.iter().all(|word| line.contains(word));
    assert!(lines.iter().any(has_all), "no line says {words:?}:\n{}", lines.join("\n"));
}

#[test]
fn with_the_keys_everything_is_open() {
    let taken = take();
    let lines: Vec<String> = lines(&taken.recording, Some(&taken.keys)).collect();
    assert_eq!(lines.len(), taken.recording.packets.len());
    for line in &lines {
        for bad in ["sealed", "not read", "does not open", "no DTLS", "malformed", "cut short"] {
            assert!(!line.contains(bad), "{line}");
        }
        assert!(taken.secrets.iter().all(|secret| !line.contains(secret)), "{line}");
    }
    assert!(taken.secrets.len() > 10);
    assert_some(&lines, &["UDP 61630 → 61629", "JPY generation 1", "port 61628", "ClientHello 1"]);
    assert_some(
        &lines,
        &["level 6 key 1", "fragment", "JPY", "key data", "MKD 1 (group 1", "SPD", "CFG"],
    );
    assert_some(&lines, &["802.15.4 data unsecured", "UDP 61628 → 61630", "ACK 1, ACK 2, ACK 3"]);
    assert_some(&lines, &["level 6 key 1", "application data", "CON", "GET /light"]);
    assert_some(&lines, &["routing header type 3"]);
    assert_some(&lines, &["RPL up from rank", "connection", "ACK", "2.05"]);
    assert_some(&lines, &["MPL sequence", "group 1 epoch 1 sender", "PUT /light", "\"1\""]);
    assert_some(&lines, &["level 6 key 2", "group 1 epoch 2 sender", "PUT /light", "\"0\""]);
    assert_some(&lines, &["beacon: joining open"]);
    assert_some(&lines, &["alert", "warning close_notify"]);
}

#[test]
fn without_keys_nothing_is_open() {
    let taken = take();
    let bare = Recording { secrets: Vec::new(), ..taken.recording };
    let lines: Vec<String> = lines(&bare, None).collect();
    for line in &lines {
        for open in ["CoAP", "MKD", "CFG", "Finished", "level 6 key 1 counter 0 | 6LoWPAN"] {
            assert!(!line.contains(open), "{line}");
        }
    }
    assert_some(&lines, &["level 6 key 1", "sealed"]);
    assert_some(&lines, &["JPY generation 1", "ServerHello 1"]);
    assert_some(&lines, &["key data", "sealed"]);
}

#[test]
fn damage_makes_no_panic() {
    let taken = take();
    let mut prng = Prng::new(5);
    for _ in 0..40 {
        let mut recording = taken.recording.clone();
        for packet in &mut recording.packets {
            let at = prng.below(packet.octets.len().max(1) as u64) as usize;
            match prng.below(4) {
                0 => packet.octets.truncate(at),
                1 | 2 => packet.octets.iter_mut().skip(at).take(1).for_each(|octet| {
                    *octet ^= 1 << prng.below(8);
                }),
                _ => {}
            }
        }
        assert_eq!(lines(&recording, Some(&taken.keys)).count(), recording.packets.len());
    }
    for _ in 0..200 {
        let mut file = taken.file.clone();
        let at = prng.below(file.len() as u64) as usize;
        file[at] ^= 1 << prng.below(8);
        if let Ok(recording) = read(&file) {
            lines(&recording, Some(&taken.keys)).take(50).for_each(drop);
        }
    }
}

#[test]
fn a_file_becomes_lines() {
    let taken = take();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.pcapng");
    std::fs::write(&path, &taken.file).expect("writes");
    let mut out = Vec::new();
    run(&path, None, &mut out).expect("decodes");
    let text = String::from_utf8(out).expect("text");
    assert_eq!(text.lines().count(), taken.recording.packets.len());
}
