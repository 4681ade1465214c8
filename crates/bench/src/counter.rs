//! Instructions: of a program of ours by callgrind, which counts the same every time; of the kernel by the
//! processor's own counter, where the machine has one for us.

use std::process::{Command, Output};

/// Instructions that a program needs for each of `count` things: it is run with so many and with twice as
/// many, so that what it does before and after them cancels.
pub(crate) fn callgrind_each(
    count: usize,
    command: impl Fn(usize) -> Vec<String>,
) -> Result<f64, String> {
    let (once, twice) = (callgrind(&command(count))?, callgrind(&command(2 * count))?);
    Ok((twice as f64 - once as f64) / count as f64)
}

fn callgrind(command: &[String]) -> Result<u64, String> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).args(command);
    let output = run(&mut valgrind)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // "==123== Collected : 456"
    let collected = told.lines().find_map(|line| line.split("Collected :").nth(1));
    let count = collected.and_then(|text| text.trim().parse().ok());
    count.ok_or_else(|| format!("valgrind tells no count: {told}"))
}

/// Instructions of a program and of the kernel in its name; `None` where the processor does not tell.
pub(crate) fn perf(command: &mut Command) -> Result<Option<u64>, String> {
    let output = run(command)?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // "456,,instructions,..." or "<not supported>,,instructions,..."
    let line = told.lines().find(|line| line.contains("instructions"));
    Ok(line.and_then(|line| line.split(',').next()?.parse().ok()))
}

/// Runs a program to its end, which must be a good one.
pub(crate) fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|fault| format!("{command:?}: {fault}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
