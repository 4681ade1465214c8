//! The DTLS servers that others wrote: what they are made of is fetched, and each becomes a program in one folder.
//! Who cannot be had is told and left out; the report then says so too.

use crate::peers;
use crate::run::{Step, cargo, root};
use std::fs;
use std::path::Path;

/// tinydtls is in no Debian package; PyPI's `DTLSSocket` brings its source.
const DTLS_SOCKET: &str = "DTLSSocket==0.2.3";
/// Of tinydtls, what a server needs.
const TINYDTLS_SOURCES: [&str; 14] = [
    "ccm.c",
    "crypto.c",
    "dtls.c",
    "dtls_debug.c",
    "dtls_time.c",
    "ecc/ecc.c",
    "hmac.c",
    "netq.c",
    "peer.c",
    "session.c",
    "aes/rijndael.c",
    "aes/rijndael_wrap.c",
    "sha2/sha2.c",
    "platform-specific/dtls_prng_posix.c",
];
/// As `DTLSSocket` builds it, and with the header that two of its files forget.
const TINYDTLS_FLAGS: [&str; 8] = [
    "-w",
    "-DNDEBUG",
    "-DDTLSv12",
    "-DWITH_SHA256",
    "-DDTLS_CHECK_CONTENTTYPE",
    "-D_GNU_SOURCE",
    "-include",
    "stdint.h",
];

/// Builds all that can be built, and gives the folder of the programs.
pub(crate) fn build() -> Result<String, String> {
    let work = root().join("target/dtls-peers");
    let programs = work.join("bin");
    let _ = fs::remove_dir_all(&programs); // the first time there is none
    fs::create_dir_all(&programs).map_err(|fault| format!("{}: {fault}", programs.display()))?;
    let wish = [
        ("OpenSSL", openssl(&programs)),
        ("Mbed TLS", mbedtls(&programs)),
        ("tinydtls", tinydtls(&work, &programs)),
        ("dimpl and webrtc-dtls", crates(&work, &programs)),
    ];
    for (name, outcome) in wish {
        if let Err(why) = outcome {
            println!("xtask: without {name}: {why}");
        }
    }
    Ok(programs.display().to_string())
}

fn openssl(programs: &Path) -> Result<(), String> {
    peers::provide(peers::BENCH_DTLS_OPENSSL)?;
    compile(programs, "openssl", &["-lssl", "-lcrypto"])
}

fn mbedtls(programs: &Path) -> Result<(), String> {
    peers::provide(peers::BENCH_DTLS_MBEDTLS)?;
    compile(programs, "mbedtls", &["-lmbedtls", "-lmbedx509", "-lmbedcrypto"])
}

fn tinydtls(work: &Path, programs: &Path) -> Result<(), String> {
    peers::provide(peers::BENCH_DTLS_TINYDTLS)?;
    let source = work.join("tinydtls");
    if !source.join("DTLSSocket/tinydtls/dtls.c").is_file() {
        fs::create_dir_all(&source).map_err(|fault| format!("{}: {fault}", source.display()))?;
        let folder = source.display().to_string();
        let archive = ["download", "-q", "--no-binary", ":all:", "--no-deps", "-d", &folder];
        Step::new("pip3", &[&archive[..], &[DTLS_SOCKET]].concat()).run()?;
        let unpack = "tar -xzf \"$0\"/*.tar.gz -C \"$0\" --strip-components=1";
        Step::new("sh", &["-c", unpack, &folder]).run()?;
    }
    let source = source.join("DTLSSocket/tinydtls");
    let include = format!("-I{}", source.display());
    let sources = TINYDTLS_SOURCES.map(|file| source.join(file).display().to_string());
    let arguments = TINYDTLS_FLAGS.into_iter().chain([include.as_str()]);
    let arguments = arguments.chain(sources.iter().map(String::as_str));
    compile(programs, "tinydtls", &arguments.collect::<Vec<_>>())
}

/// Our program over somebody's library.
fn compile(programs: &Path, name: &str, with: &[&str]) -> Result<(), String> {
    let source = root().join("tests/peers/dtls").join(name).with_extension("c");
    let (source, program) = (source.display().to_string(), programs.join(name));
    let program = program.display().to_string();
    Step::new("cc", &[&["-O2", "-o", &program, &source][..], with].concat()).run()
}

/// They have a workspace of their own.
fn crates(work: &Path, programs: &Path) -> Result<(), String> {
    let target = work.display().to_string();
    let manifest = root().join("tests/peers/dtls/rust/Cargo.toml").display().to_string();
    let arguments = ["build", "--release", "--locked", "--manifest-path", &manifest];
    cargo(&[&arguments[..], &["--target-dir", &target]].concat()).run()?;
    for name in ["dimpl", "webrtc"] {
        let built = work.join("release").join(name);
        let copied = fs::copy(&built, programs.join(name));
        copied.map_err(|fault| format!("{}: {fault}", built.display()))?;
    }
    Ok(())
}
