//! `--keys`: the secrets of a run, in files that only their owner reads.

use lowgate_sim::world::World;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Stands for a capture that was not written.
const NO_CAPTURE: &str = "capture.pcapng";

/// Writes the files and tells how Wireshark takes them.
pub(super) fn write(
    world: &World,
    dir: &Path,
    capture: Option<&Path>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let named = |fault: io::Error, path: &Path| {
        io::Error::new(fault.kind(), format!("{}: {fault}", path.display()))
    };
    fs::create_dir_all(dir).map_err(|fault| named(fault, dir))?;
    let capture = capture.unwrap_or(Path::new(NO_CAPTURE));
    let Some(book) = world.key_book() else { return Ok(()) };
    let key_log: Vec<String> = world.capture().key_log().map(str::to_owned).collect();
    for file in book.files(dir, capture, &key_log) {
        let path = dir.join(file.name);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut open = options.open(&path).map_err(|fault| named(fault, &path))?;
        open.write_all(file.content.as_bytes()).map_err(|fault| named(fault, &path))?;
        if file.name == lowgate_sim::keybook::COMMANDS_FILE {
            writeln!(out, "Keys: {}; to read the capture:\n{}", dir.display(), file.content)?;
        }
    }
    Ok(())
}
