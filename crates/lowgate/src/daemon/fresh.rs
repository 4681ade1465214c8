//! Files that a start makes: if it fails, they go again.
//!
//! **Invariant:** what was there before stays; nothing is taken from another daemon.

use std::fs;
use std::path::{Path, PathBuf};

/// Files and folders that were not there, in the order in which they are to go.
pub(super) struct Fresh {
    absent: Vec<PathBuf>,
}

impl Fresh {
    /// Of these, those that are not there.
    pub(super) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let absent = |path: &PathBuf| fs::symlink_metadata(path).is_err();
        Self { absent: paths.into_iter().filter(absent).collect() }
    }

    /// These too. The last noted go first.
    pub(super) fn and(mut self, mut more: Self) -> Self {
        more.absent.append(&mut self.absent);
        more
    }

    /// The start succeeded.
    pub(super) fn keep(mut self) {
        self.absent.clear();
    }
}

/// A file or folder, and the folders around it from the inside out.
pub(super) fn with_folders(path: &Path) -> impl Iterator<Item = PathBuf> + '_ {
    path.ancestors().filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned)
}

/// A database and what SQLite keeps beside it. What is beside one that was there is left to SQLite.
pub(super) fn database(path: &Path) -> Vec<PathBuf> {
    if fs::symlink_metadata(path).is_ok() {
        return Vec::new();
    }
    let beside = |suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    ["-wal", "-shm", ""].map(beside).into()
}

impl Drop for Fresh {
    fn drop(&mut self) {
        for path in &self.absent {
            // It may not have been made after all, or a folder may hold something else by now.
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_goes_and_what_was_there_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let (old, inner) = (dir.path().join("old.db"), dir.path().join("a/b"));
        let new = inner.join("new.db");
        fs::write(&old, "old").expect("written");
        let fresh = Fresh::of(with_folders(&inner));
        fs::create_dir_all(&inner).expect("made");
        let fresh = fresh.and(Fresh::of([database(&old), database(&new)].concat()));
        for file in [&new, &inner.join("new.db-wal"), &dir.path().join("old.db-wal")] {
            fs::write(file, "new").expect("written");
        }
        drop(fresh);
        let left =
            dir.path().read_dir().expect("there").map(|entry| entry.expect("one").file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, ["old.db", "old.db-wal"]);
    }

    #[test]
    fn a_start_that_succeeds_keeps_everything() {
        let dir = tempfile::tempdir().expect("a folder");
        let fresh = Fresh::of([dir.path().join("new")]);
        fs::write(dir.path().join("new"), "new").expect("written");
        fresh.keep();
        assert!(dir.path().join("new").exists());
    }
}
