//! The Debian package of the daemon, by cargo-deb: what it is made of and who builds it. Its text files are
//! in `images/deb`, its description in `crates/lowgate/Cargo.toml`.

use crate::run::{self, Step, cargo};
use crate::{notices, peers};
use std::path::PathBuf;

/// What is generated before cargo-deb collects it.
const EXTRA: &str = "target/debian/extra";
/// A fresh Debian, of which every trial gets a copy.
const ROOT: &str = "target/debian/root.tar";

/// Who packages are built for; the machine that builds is amd64.
#[derive(Clone, Copy)]
pub(crate) enum Arch {
    Amd64,
    Arm64,
}

impl Arch {
    /// As Debian calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// As Rust calls it.
    fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
        }
    }
}

/// Builds the package; where it is.
pub(crate) fn build(arch: Arch) -> Result<PathBuf, String> {
    peers::provide(peers::BUILDERS)?;
    if cargo(&["deb", "--version"]).output().is_err() {
        cargo(&["install", "cargo-deb@3.8.0", "--locked"]).run()?;
    }
    let manuals = ["run", "-p", "lowgate", "--example", "manuals", "--", EXTRA];
    cargo(&manuals).run()?;
    notices::write(arch.target(), &run::root().join(EXTRA).join("third-party.txt"))?;
    // `--strip`: the package has no debugging symbols, the program of `cargo build` keeps them.
    let arguments = ["deb", "-p", "lowgate", "--strip", "--quiet"];
    match arch {
        // The program of `cargo build --release`, which is there already more often than not.
        Arch::Amd64 => cargo(&arguments),
        Arch::Arm64 => {
            add_target(arch.target())?;
            cargo(&[&arguments[..], &["--target", arch.target()]].concat())
                .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc")
        }
    }
    .run()?;
    let file = format!("lowgate_{}-1_{}.deb", env!("CARGO_PKG_VERSION"), arch.name());
    Ok(run::root().join("target/debian").join(file))
}

/// Builds both packages and tries them: what is in them, and that they do in a fresh Debian what they say.
pub(crate) fn trial() -> Result<(), String> {
    peers::provide(peers::TRIERS)?;
    let (amd64, arm64) = (build(Arch::Amd64)?, build(Arch::Arm64)?);
    let text = |path: &PathBuf| path.display().to_string();
    for package in [&amd64, &arm64] {
        // As root it says that it should not be; there is no other user on a machine that builds.
        let lintian = ["--fail-on", "error,warning", "--suppress-tags", &UNSUITABLE.join(",")];
        Step::new("lintian", &[&lintian[..], &[&text(package)]].concat()).run()?;
    }
    if !run::root().join(ROOT).exists() {
        let packages = "--include=systemd,systemd-sysv,adduser";
        // Half a root, which an interruption leaves, must not pass for one.
        let new = ROOT.replace(".tar", "-new.tar");
        Step::new("mmdebstrap", &["--variant=minbase", packages, "bookworm", &new]).run()?;
        let (new, root) = (run::root().join(new), run::root().join(ROOT));
        std::fs::rename(&new, &root).map_err(|fault| format!("{}: {fault}", root.display()))?;
    }
    // One after the other: each keeps the machine busy in real time.
    let test = ["test", "-p", "lowgate-tests", "--features", "package", "--test", "package", "--"];
    cargo(&[&test[..], &["--test-threads=1"]].concat())
        .env("LOWGATE_DEB_AMD64", text(&amd64))
        .env("LOWGATE_DEB_ARM64", text(&arm64))
        .env("LOWGATE_DEBIAN_ROOT", text(&run::root().join(ROOT)))
        .run()
}

/// What lintian asks of a package that goes into Debian itself: an address for its bugs, and the bug that
/// asked for it.
const UNSUITABLE: &[&str] =
    &["bogus-mail-host", "bogus-mail-host-in-debian-changelog", "initial-upload-closes-no-bugs"];

fn add_target(target: &str) -> Result<(), String> {
    let installed = Step::new("rustup", &["target", "list", "--installed"]).output()?;
    if installed.lines().any(|line| line == target) {
        return Ok(());
    }
    Step::new("rustup", &["target", "add", target]).run()
}
