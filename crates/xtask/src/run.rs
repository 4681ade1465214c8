//! One command of a task: printed, run from the top level, and an error unless it succeeds.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A program with its arguments and what it finds in its environment besides ours, and where.
pub(crate) struct Step {
    program: String,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// Below the top level.
    folder: &'static str,
}

/// The cargo that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Step {
    Step::new("cargo", arguments)
}

/// The top level of the checkout.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates/xtask is two folders below the top level")
}

impl Step {
    pub(crate) fn new(program: &str, arguments: &[&str]) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.iter().map(|argument| (*argument).into()).collect(),
            environment: Vec::new(),
            folder: "",
        }
    }

    /// In a folder of the checkout instead of its top level.
    pub(crate) fn within(self, folder: &'static str) -> Self {
        Self { folder, ..self }
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Runs it on our terminal.
    pub(crate) fn run(&self) -> Result<(), String> {
        println!("xtask: {self}");
        let started = Instant::now();
        let status = self.command().status().map_err(|e| format!("{}: {e}", self.program))?;
        let seconds = started.elapsed().as_secs();
        if status.success() {
            println!("xtask: done after {seconds} s");
            Ok(())
        } else {
            Err(format!("`{self}` failed after {seconds} s: {status}"))
        }
    }

    /// Runs it silently and gives what it wrote.
    pub(crate) fn output(&self) -> Result<String, String> {
        let output = self.command().output().map_err(|e| format!("{}: {e}", self.program))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(format!("`{self}`: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(root().join(self.folder));
        command
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.folder.is_empty() {
            write!(f, "cd {} && ", self.folder)?;
        }
        for (name, value) in &self.environment {
            write!(f, "{name}='{value}' ")?;
        }
        f.write_str(&self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}
