//! Purpose: each test that the tables of requirements and of weaknesses name exists.

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
    for folder in ["src", "tests", "../crypto/src", "../../tests/tests"] {
        sources(&root.join(folder), &mut text);
    }
    for (page, at_least) in [("src/requirements.md", 40), ("src/weaknesses.md", 45)] {
        let table = fs::read_to_string(root.join(page)).expect("the page");
        let named: usize = table
            .lines()
            .filter(|line| line.starts_with("| "))
            .map(|row| {
                let named = names(row);
                for name in &named {
                    assert!(text.contains(&format!("fn {name}(")), "{name} in: {row}");
                }
                if page.ends_with("weaknesses.md") && !row.starts_with("| weakness |") {
                    assert!(!named.is_empty() || row.contains("**absent**"), "no test in: {row}");
                }
                named.len()
            })
            .sum();
        assert!(named > at_least, "{page} names {named} tests");
    }
}

/// What the last column says between backticks; what has capitals or dots is no test.
fn names(row: &str) -> Vec<&str> {
    let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().expect("three columns");
    let quoted = shown_by.split('`').skip(1).step_by(2).filter(|name| name.contains('_'));
    quoted
        .filter(|name| {
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
                && *name != "datagram_len_max"
        })
        .collect()
}
