//! What the tests of this package share. The tests themselves are in `tests/`, their data in `data/`.

pub mod certificates;
pub mod dtls_peers;
pub mod kept;
pub mod light;
pub mod loopback;
pub mod outside;
pub mod pem;
pub mod program;
pub mod site;
pub mod soak;

use std::path::{Path, PathBuf};

/// The top level of the checkout.
///
/// # Panics
/// When this package is not one folder below it.
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the top level")
}

/// Every Rust source file of the workspace, sorted, relative to [`workspace_root`].
///
/// # Panics
/// When a folder cannot be read.
pub fn rust_sources() -> Vec<PathBuf> {
    let mut sources = Vec::new();
    let mut folders: Vec<PathBuf> = ["crates", "firmware", "tests"]
        .iter()
        .map(|folder| workspace_root().join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a folder that can be read").path();
            if path.is_dir() {
                // A crate that was built by itself has a target folder of its own.
                if path.file_name().is_none_or(|name| name != "target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(workspace_root()).expect("walked from the root");
                sources.push(relative.to_owned());
            }
        }
    }
    sources.sort();
    sources
}
