//! The licences of what is linked into the program: their texts travel with it, as they ask.
//!
//! **Invariant:** a library without a text of its licence still stands there by name, licence and address.

use crate::run::cargo;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// How the files begin that a licence wants to be passed on.
const TEXTS: &[&str] = &["licen", "copying", "copyright", "notice", "unlicense"];

/// Writes the notices for the program as it is built for `target`.
pub(crate) fn write(target: &str, file: &Path) -> Result<(), String> {
    let format = ["--prefix", "none", "--format", "{p}|{l}|{r}"];
    let tree = ["tree", "-p", "lowgate", "-e", "normal", "--target", target];
    let tree = cargo(&[&tree[..], &format].concat()).output()?;
    let mut libraries: Vec<&str> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        // Our own have a path behind the version.
        .filter(|line| line.contains('|') && !line.contains(" (/"))
        .collect();
    libraries.sort_unstable();
    libraries.dedup();
    let mut written =
        String::from("Lowgate contains these libraries, by name, licence and address.\n\n");
    // Many libraries have the same text, word by word.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for library in libraries {
        let [package, licence, address] = library.split('|').collect::<Vec<_>>()[..] else {
            return Err(format!("cargo tree said {library:?}"));
        };
        written += &format!("{package}: {licence}: {address}\n");
        for text in sources(package)?.iter().flat_map(|folder| texts_in(folder)) {
            let owners = texts.entry(text).or_default();
            if owners.last().is_none_or(|last| last != package) {
                owners.push(package.to_owned());
            }
        }
    }
    if texts.is_empty() {
        return Err("no text of any licence was found among the sources of the libraries".into());
    }
    for (text, owners) in texts {
        written +=
            &format!("\n{}\n{}:\n\n{}\n", "-".repeat(72), owners.join(", "), text.trim_end());
    }
    fs::write(file, written).map_err(|e| format!("{}: {e}", file.display()))
}

/// Where cargo keeps what it fetched of `package`, which is "name v1.2.3" and perhaps a remark.
pub(crate) fn sources(package: &str) -> Result<Vec<PathBuf>, String> {
    let folder = package.split(' ').take(2).collect::<Vec<_>>().join("-").replace("-v", "-");
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let registries = home.ok_or("neither CARGO_HOME nor HOME is set")?.join("registry/src");
    let entries = registries.read_dir().map_err(|e| format!("{}: {e}", registries.display()))?;
    let folders = entries.flatten().map(|registry| registry.path().join(&folder));
    Ok(folders.filter(|folder| folder.is_dir()).take(1).collect())
}

fn texts_in(folder: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> =
        folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let wanted = |file: &&PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        TEXTS.iter().any(|start| name.starts_with(start)) && file.is_file()
    };
    files.iter().filter(wanted).filter_map(|file| fs::read_to_string(file).ok()).collect()
}
