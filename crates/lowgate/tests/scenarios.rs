//! `lowgate sim run`, as people and CI servers call it.
//!
//! Purpose: the scenarios of `tests/scenarios` hold; what is wrong with a file is told with its line; the
//! same seeds give the same results, however they are run. Topology: that of each scenario. Criteria: with
//! each test.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Four devices, one after the other.
const FOUR: &str = r#"name = "Four & <more>"
duration = "60s"
building = { generate = { devices = 4, seed = 1 } }
[[deed]]
at = 0
what = "open window"
lasts = "60s"
[[deed]]
at = 0
what = "install"
who = ["border router", "devices"]
gap = "1s"
[[expect]]
what = "all in"
by = "50s"
"#;

fn scenarios() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios")
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowgate"));
    command.args(["sim", "run"]).args(arguments).output().expect("it was built for this test")
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).expect("text")
}

/// A folder with a scenario in it.
fn file(scenario: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("it's.toml");
    fs::write(&path, scenario).expect("room for it");
    let path = path.display().to_string();
    (folder, path)
}

fn json(path: &str) -> Value {
    serde_json::from_slice(&fs::read(path).expect("written")).expect("JSON")
}

/// Criteria: exit code 0, a line for each seed, and nothing on the standard error, which is no terminal.
#[test]
fn the_examples_hold() {
    for name in ["quiet.toml", "bad-day.toml", "intruders.toml", "every-key.toml", "campus.toml"] {
        let path = scenarios().join(name).display().to_string();
        let output = run(&[&path, "--seed", "1..3"]);
        let told = text(&output.stdout);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{name}:\n{told}");
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 4, "{told}");
        for (seed, line) in (1..).zip(&lines[..3]) {
            assert!(line.starts_with(&format!("seed {seed}: good: ")), "{line}");
        }
        assert_eq!(lines[3], "3 of 3 runs good");
    }
}

/// Criteria: exit code 2; a line for each mistake with file, line and key; nothing runs.
#[test]
fn every_mistake_is_told_at_once() {
    let wrong = FOUR.replace("lasts = \"60s\"", "last = 60").replace("\"50s\"", "\"70s\"");
    let (_folder, path) = file(&wrong);
    let output = run(&[&path, "--seed", "1..2", "--pcap", "x.pcapng"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    let expected = [
        "--pcap: a capture is of one run, and these are 2; allowed: --seed with one number".into(),
        format!("{path}:4: deed.lasts: missing; it is required"),
        format!("{path}:7: deed.last: unknown field; allowed: at, what, lasts"),
    ];
    assert_eq!(text(&output.stderr).lines().collect::<Vec<_>>(), expected);
    let (_folder, path) = file(&FOUR.replace("\"50s\"", "\"70s\""));
    let output = run(&[&path]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    let expected = "expect.by: 70.000000 s is after the end of the run, 60.000000 s";
    assert_eq!(text(&output.stderr), format!("{path}:13: {expected}\n"));
    let output = run(&["/nowhere/x.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).starts_with("/nowhere/x.toml:1: file: cannot be read"));
}

/// Criteria: exit code 2 and the EUI-64 of everybody who hears nobody.
#[test]
fn whoever_hears_nobody_is_named_before_the_run() {
    let (_folder, path) = file(&format!("{FOUR}[radio]\nnoise_dbm = -30\n"));
    let output = run(&[&path]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    let told = text(&output.stderr);
    assert_eq!(told.lines().count(), 4, "{told}");
    let begins = format!("{path}:3: device: 02-");
    assert!(
        told.lines().all(|line| line.starts_with(&begins) && line.contains("out of everybody's"))
    );
}

/// Criteria: the octets of the results and of what is printed do not depend on the number of jobs; the
/// parts of the seeds hold all runs, each once.
#[test]
fn jobs_and_shards_change_nothing() {
    let (folder, path) = file(FOUR);
    let run_with = |more: &[&str]| {
        let results = folder.path().join("results.json").display().to_string();
        let output = run(&[&[&path, "--seed", "11..17", "--json", &results], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        (output.stdout, fs::read_to_string(&results).expect("written"))
    };
    let one = run_with(&["--jobs", "1"]);
    assert_eq!(run_with(&["--jobs", "2"]), one);
    assert_eq!(run_with(&["--jobs", "5"]), one);
    let runs = |text: &str| {
        let results: Value = serde_json::from_str(text).expect("JSON");
        results["runs"].as_array().expect("a list").clone()
    };
    let mut together: Vec<Value> = ["1/3", "2/3", "3/3"]
        .iter()
        .flat_map(|shard| runs(&run_with(&["--shard", shard]).1))
        .collect();
    together.sort_by_key(|run| run["seed"].as_u64());
    assert_eq!(together, runs(&one.1));
    assert_eq!(together.len(), 7);
}

/// What a run of one seed writes, and what it prints; the report without the times of the machine.
fn written(folder: &Path, seed: u64, jobs: u64) -> [Vec<u8>; 4] {
    let place = folder.join(format!("{seed} on {jobs}"));
    fs::create_dir(&place).expect("room for it");
    fs::write(place.join("four.toml"), FOUR).expect("room for it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lowgate"));
    let (seed, jobs) = (seed.to_string(), jobs.to_string());
    command.args(["sim", "run", "four.toml", "--seed", &seed, "--jobs", &jobs]);
    command.args(["--pcap", "run.pcapng", "--json", "run.json", "--junit", "run.xml"]);
    let output = command.current_dir(&place).output().expect("it was built for this test");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let read = |name: &str| fs::read(place.join(name)).expect("written");
    // A capture tells the command line that made it.
    let (mut capture, told) = (read("run.pcapng"), format!("--jobs {jobs} --pcap"));
    let at = capture.windows(told.len()).position(|window| window == told.as_bytes());
    let number = at.expect("the command line") + "--jobs ".len();
    capture[number] = b'N';
    let report = String::from_utf8(read("run.xml")).expect("text");
    let mut pieces = report.split(" time=\"");
    let mut report = pieces.next().expect("the beginning").to_owned();
    pieces.for_each(|piece| report += piece.split_once('"').expect("the time ends").1);
    [capture, read("run.json"), report.into_bytes(), output.stdout]
}

/// Criteria: one run after the other with one job each, and two runs at the same time with two each, write
/// the same octets: capture, results, test report and what is printed. Another seed writes others.
#[test]
fn one_core_and_two_write_the_same_octets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let alone = [21, 22].map(|seed| written(folder, seed, 1));
    let together = std::thread::scope(|scope| {
        let runs = [21, 22].map(|seed| scope.spawn(move || written(folder, seed, 2)));
        runs.map(|run| run.join().expect("it ran"))
    });
    for (alone, together) in alone.iter().zip(&together) {
        let names = ["capture", "results", "report", "printed"];
        for (name, (one, two)) in names.iter().zip(alone.iter().zip(together)) {
            assert!(one == two, "{name}: {} and {} octets", one.len(), two.len());
        }
    }
    assert!(alone[0][0].len() > 10_000 && alone[0][0] != alone[1][0]);
}

/// Criteria: exit code 1; the command that is printed, given to a shell, fails in the same words.
#[test]
fn a_failure_says_how_to_repeat_it() {
    let scenario = format!("{FOUR}[[expect]]\nwhat = \"all in\"\nby = \"4s\"\n");
    let (folder, path) = file(&scenario);
    let results = folder.path().join("results.json").display().to_string();
    let output = run(&[&path, "--seed", "3..5", "--json", &results]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(told.ends_with("0 of 3 runs good\n"), "{told}");
    let of_five: Vec<_> =
        told.lines().skip_while(|line| !line.starts_with("seed 5: FAILED")).collect();
    let failure = of_five[1].trim_start();
    assert!(
        failure.starts_with(&format!("{path}:16: expected all in by 4s; at 4.000000 s: 02-")),
        "{told}"
    );
    let again = of_five[2].trim_start().strip_prefix("again: ").expect("the command");
    assert!(again.starts_with("lowgate sim run ") && again.ends_with(" --seed 5"), "{again}");

    let bin = Path::new(env!("CARGO_BIN_EXE_lowgate")).parent().expect("in a folder");
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", again]).env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
    let repeated = shell.output().expect("a shell");
    assert_eq!(repeated.status.code(), Some(1), "{}", text(&repeated.stderr));
    let lines: Vec<_> = text(&repeated.stdout).lines().collect();
    assert_eq!(lines[..3], of_five[..3]);

    let run = &json(&results)["runs"][2];
    assert_eq!((&run["seed"], &run["good"]), (&Value::from(5), &Value::from(false)));
    let failure = &run["failures"][0];
    assert_eq!(failure["line"], 16);
    assert_eq!(failure["expected"], "all in by 4s");
    assert_eq!(failure["at_us"], 4_000_000);
    assert_eq!(run["figures"]["joined"]["of"], 4);
}

/// Criteria: a case for each seed, failures among them, and well-formed XML whatever the name is.
#[test]
fn a_test_report_is_xml() {
    let (folder, path) = file(&format!("{FOUR}[[expect]]\nwhat = \"all in\"\nby = \"4s\"\n"));
    let report = folder.path().join("report.xml").display().to_string();
    assert_eq!(run(&[&path, "--seed", "1..2", "--junit", &report]).status.code(), Some(1));
    let report = fs::read_to_string(&report).expect("written");
    let tags = well_formed(&report);
    let count = |name: &str| tags.iter().filter(|tag| *tag == name).count();
    assert_eq!(
        ["testsuites", "testsuite", "testcase", "failure", "error"].map(count),
        [1, 1, 2, 2, 0],
        "{report}"
    );
    assert!(report.contains("tests=\"2\" failures=\"2\" errors=\"0\""), "{report}");
    assert!(report.contains("name=\"Four &amp; &lt;more&gt;\""), "{report}");
    assert!(report.contains("name=\"seed 2\""), "{report}");
}

/// The names of all elements, after a look at everything that XML 1.0 wants of a document as simple as
/// ours: tags in pairs, attributes in quotes, known entities, nothing beside the root.
fn well_formed(document: &str) -> Vec<String> {
    let mut rest =
        document.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("XML");
    let (mut names, mut open) = (Vec::new(), Vec::new());
    while let Some((before, after)) = rest.split_once('<') {
        assert_text(before);
        assert!(!open.is_empty() || before.trim().is_empty(), "beside the root: {before}");
        let (tag, after) = after.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{name}");
        assert!(names.is_empty() == open.is_empty(), "{name} beside the root");
        // name="value" name="value"
        let mut pieces = attributes.split('"');
        loop {
            let name = pieces.next().expect("one more piece than quotes").trim();
            if name.is_empty() {
                assert_eq!(pieces.next(), None, "{tag}");
                break;
            }
            assert!(name.ends_with('=') && name.is_ascii(), "{tag}");
            assert_text(pieces.next().expect("a value"));
        }
        names.push(name.to_owned());
        if !empty {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    names
}

fn assert_text(text: &str) {
    assert!(!text.contains('>'), "{text}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    for entity in text.split('&').skip(1) {
        let (entity, _) = entity.split_once(';').expect("an entity ends");
        assert!(["amp", "lt", "gt", "quot", "#39"].contains(&entity), "&{entity};");
    }
}

/// Criteria: a capture has the run's frames and the secrets of its sessions, the folder of keys what opens
/// the rest; several runs have none.
#[test]
fn a_capture_is_of_one_run() {
    let (folder, path) = file(FOUR);
    let place = |name: &str| folder.path().join(name).display().to_string();
    let (capture, keys) = (place("run.pcapng"), place("keys"));
    let output = run(&[&path, "--pcap", &capture, "--keys", &keys]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let octets = fs::read(&capture).expect("written");
    let recording = lowgate_sim::capture::read(&octets).expect("pcapng");
    assert!(recording.packets.len() > 100, "{}", recording.packets.len());
    let secret = b"CLIENT_RANDOM ";
    assert!(octets.windows(secret.len()).any(|window| window == secret));
    assert!(Path::new(&keys).join(lowgate_sim::keybook::LINK_KEYS_FILE).exists());

    let several = place("several.pcapng");
    let output = run(&[&path, "--seed", "1..2", "--pcap", &several]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("a capture is of one run"));
    assert!(!Path::new(&several).exists());
}

/// Criteria: a disk without room ends the capture with one warning, not the run.
#[test]
fn a_full_disk_ends_the_capture_alone() {
    let (_folder, path) = file(FOUR);
    let output = run(&[&path, "--pcap", "/dev/full"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).ends_with("1 of 1 runs good\n"));
    let told = text(&output.stderr);
    assert!(told.starts_with("/dev/full: the capture ends early: No space left"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    // What the run was asked for and cannot be given is a failure.
    let output = run(&[&path, "--json", "/dev/full"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/dev/full: No space left"));
}
