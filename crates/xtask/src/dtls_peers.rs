//! The DTLS that others wrote: what it is made of is fetched, and each becomes a program in one folder, server and
//! client. A benchmark leaves out who cannot be had, and its report says so; tests want them all.

use crate::run::{Step, cargo, root};
use crate::{notices, peers};
use std::fs;
use std::path::{Path, PathBuf};

/// tinydtls is in no Debian package; PyPI's `DTLSSocket` brings its source.
const DTLS_SOCKET: &str = "DTLSSocket==0.2.3";
const AIOCOAP: &str = "aiocoap==0.4.17";
/// Of tinydtls, what is needed.
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

/// Debian's wolfSSL refuses the suite of pre-shared keys; this crate brings the source of 5.9.4, and is not built itself.
const WOLFSSL_CRATE: &str = "wolfssl-sys v5.3.0";
/// Of its `src`, what is needed.
const WOLFSSL_SOURCES: [&str; 6] = ["dtls", "internal", "keys", "ssl", "tls", "wolfio"];
/// Of its `wolfcrypt/src`.
const WOLFCRYPT_SOURCES: [&str; 20] = [
    "aes",
    "asn",
    "cmac",
    "coding",
    "cpuid",
    "ecc",
    "error",
    "hash",
    "hmac",
    "kdf",
    "logging",
    "memory",
    "random",
    "sha",
    "sha256",
    "signature",
    "sp_int",
    "wc_encrypt",
    "wc_port",
    "wolfmath",
];
/// All that its server and client can do of what ours can.
const WOLFSSL_FLAGS: [&str; 26] = [
    "-w",
    "-DWOLFSSL_USER_SETTINGS",
    "-DWOLFSSL_DTLS",
    "-DWOLFSSL_DTLS_CID",
    "-DWOLFSSL_STATIC_PSK",
    "-DWOLFSSL_SP_MATH_ALL",
    "-DHAVE_AESCCM",
    "-DHAVE_AESGCM",
    "-DHAVE_ECC",
    "-DHAVE_EXTENDED_MASTER",
    "-DHAVE_HASHDRBG",
    "-DHAVE_MAX_FRAGMENT",
    "-DHAVE_RPK",
    "-DHAVE_SESSION_TICKET",
    "-DHAVE_SUPPORTED_CURVES",
    "-DHAVE_TLS_EXTENSIONS",
    "-DECC_TIMING_RESISTANT",
    "-DNO_OLD_TLS",
    "-DNO_DES3",
    "-DNO_DH",
    "-DNO_DSA",
    "-DNO_MD4",
    "-DNO_MD5",
    "-DNO_PWDBASED",
    "-DNO_RSA",
    "-DSINGLE_THREADED",
];

/// Who was built, or why not.
type Outcomes = Vec<(&'static str, Result<(), String>)>;

/// Builds the benchmark's peers as far as they can be built, and gives the folder of the programs.
pub(crate) fn for_bench() -> Result<String, String> {
    let (work, programs) = folders()?;
    for (name, outcome) in benchmarked(&work, &programs) {
        if let Err(why) = outcome {
            println!("xtask: without {name}: {why}");
        }
    }
    Ok(programs.display().to_string())
}

/// Builds all, and gives the folder of the programs.
pub(crate) fn for_tests() -> Result<String, String> {
    let (work, programs) = folders()?;
    let mut outcomes = benchmarked(&work, &programs);
    outcomes.push(("wolfSSL", wolfssl(&work, &programs)));
    outcomes.push(("aiocoap", aiocoap(&work)));
    outcomes.push(("libcoap", stock(&programs)));
    outcomes.push(("Erlang", erlang(&programs)));
    let failed = outcomes.into_iter().filter_map(|(name, outcome)| Some((name, outcome.err()?)));
    let faults: Vec<String> = failed.map(|(name, why)| format!("{name}: {why}")).collect();
    if faults.is_empty() { Ok(programs.display().to_string()) } else { Err(faults.join("; ")) }
}

/// Where everything is, and in it the programs, which are gone.
fn folders() -> Result<(PathBuf, PathBuf), String> {
    let work = root().join("target/dtls-peers");
    let programs = work.join("bin");
    let _ = fs::remove_dir_all(&programs); // the first time there is none
    fs::create_dir_all(&programs).map_err(|fault| format!("{}: {fault}", programs.display()))?;
    Ok((work, programs))
}

fn benchmarked(work: &Path, programs: &Path) -> Outcomes {
    vec![
        ("OpenSSL", openssl(programs)),
        ("Mbed TLS", mbedtls(programs)),
        ("tinydtls", tinydtls(work, programs)),
        ("dimpl and webrtc-dtls", crates(work, programs)),
    ]
}

/// A device of the interop tests, over libcoap.
fn stock(programs: &Path) -> Result<(), String> {
    peers::provide(peers::COAP_STOCK)?;
    compile(programs, "stock", &["-I/usr/include/coap3", "-lcoap-3-openssl"])
}

fn openssl(programs: &Path) -> Result<(), String> {
    peers::provide(peers::DTLS_OPENSSL)?;
    compile(programs, "openssl", &["-lssl", "-lcrypto"])
}

fn mbedtls(programs: &Path) -> Result<(), String> {
    peers::provide(peers::DTLS_MBEDTLS)?;
    compile(programs, "mbedtls", &["-lmbedtls", "-lmbedx509", "-lmbedcrypto"])
}

fn tinydtls(work: &Path, programs: &Path) -> Result<(), String> {
    peers::provide(peers::DTLS_TINYDTLS)?;
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

fn wolfssl(work: &Path, programs: &Path) -> Result<(), String> {
    peers::provide(peers::DTLS_WOLFSSL)?;
    let manifest = root().join("tests/peers/dtls/rust/Cargo.toml").display().to_string();
    cargo(&["fetch", "--locked", "--manifest-path", &manifest]).run()?;
    let fetched = notices::sources(WOLFSSL_CRATE)?;
    let source = fetched.first().ok_or(format!("{WOLFSSL_CRATE} is not where cargo keeps it"))?;
    let source = source.join("wolfssl-src");
    // It wants a file of settings, though the flags are all.
    let settings = work.join("wolfssl");
    fs::create_dir_all(&settings).map_err(|fault| format!("{}: {fault}", settings.display()))?;
    let file = settings.join("user_settings.h");
    fs::write(&file, "").map_err(|fault| format!("{}: {fault}", file.display()))?;
    let include = [&settings, &source].map(|folder| format!("-I{}", folder.display()));
    let tls = WOLFSSL_SOURCES.map(|name| source.join("src").join(name));
    let crypt = WOLFCRYPT_SOURCES.map(|name| source.join("wolfcrypt/src").join(name));
    let sources = tls.iter().chain(&crypt);
    let sources = sources.map(|file| file.with_extension("c").display().to_string());
    let arguments = WOLFSSL_FLAGS.into_iter().map(String::from).chain(include).chain(sources);
    let arguments: Vec<String> = arguments.collect();
    compile(programs, "wolfssl", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A script: nothing is built.
fn erlang(programs: &Path) -> Result<(), String> {
    peers::provide(peers::DTLS_ERLANG)?;
    let script = root().join("tests/peers/dtls/erlang.escript");
    fs::copy(&script, programs.join("erlang"))
        .map_err(|fault| format!("{}: {fault}", script.display()))?;
    Ok(())
}

/// Its programs are in an environment of their own, beside the others. DTLSSocket is compiled for it.
fn aiocoap(work: &Path) -> Result<(), String> {
    peers::provide(peers::DTLS_AIOCOAP)?;
    let environment = work.join("aiocoap").display().to_string();
    // Debian's, for which the headers are.
    Step::new("/usr/bin/python3", &["-m", "venv", &environment]).run()?;
    let pip = format!("{environment}/bin/pip");
    Step::new(&pip, &["install", "-q", AIOCOAP, DTLS_SOCKET]).run()
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
