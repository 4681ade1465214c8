//! Purpose: each test that the table of requirements names exists.

use std::fs;
use std::path::Path;

fn sources(folder: &Path, out: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push_str(&fs::read_to_string(&path).expect("text"));
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    for folder in ["src", "tests", "../../tests/tests"] {
        sources(&root.join(folder), &mut text);
    }
    let table = fs::read_to_string(root.join("src/requirements.md")).expect("the table");
    let rows =
        table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| section"));
    let mut named = 0;
    for row in rows {
        let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().expect("three columns");
        // Between backticks; what has capitals or dots is no test.
        for name in shown_by.split('`').skip(1).step_by(2).filter(|name| name.contains('_')) {
            if name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                && name != "datagram_len_max"
            {
                named += 1;
                assert!(text.contains(&format!("fn {name}(")), "{name} in: {row}");
            }
        }
    }
    assert!(named > 40, "{named} tests are named");
}
