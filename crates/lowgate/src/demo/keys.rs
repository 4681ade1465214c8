//! `--keys`: the secrets of a run, in files that only their owner reads.

use crate::decode;
use lowgate_sim::world::World;
use std::io::{self, Write};
use std::path::Path;

/// Stands for a capture that was not written.
const NO_CAPTURE: &str = "capture.pcapng";

/// Writes the files and tells how Wireshark and `lowgate decode` take them.
pub(crate) fn write(
    world: &World,
    dir: &Path,
    capture: Option<&Path>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some(book) = world.key_book() else { return Ok(()) };
    let key_log: Vec<String> = world.capture().key_log().map(str::to_owned).collect();
    let capture = capture.unwrap_or(Path::new(NO_CAPTURE));
    let files = book.files(dir, capture, &key_log);
    decode::write_keys(dir, &files)?;
    writeln!(out, "Keys: {}. To read the capture:", dir.display())?;
    let commands = files.iter().find(|file| file.name == lowgate_sim::keybook::COMMANDS_FILE);
    let lines = commands.map_or("", |file| &file.content).lines();
    // The line that names the keys themselves stays in the file.
    for line in lines.filter(|line| line.contains("WIRESHARK_CONFIG_DIR")) {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "  lowgate decode {} --keys {}", capture.display(), dir.display())
}
