//! The programs that tests and benchmarks talk to and that packages are made with, and how a Debian machine
//! gets them.

use crate::run::Step;

/// Program (or any file, by its whole path), Debian package.
type Peer = (&'static str, &'static str);

/// Of the tests.
pub(crate) const TESTS: &[Peer] = &[
    ("openssl", "openssl"),
    ("gnutls-cli", "gnutls-bin"),
    ("gnutls-serv", "gnutls-bin"),
    ("coap-client-openssl", "libcoap3-bin"),
    ("coap-client-gnutls", "libcoap3-bin"),
    ("coap-client-notls", "libcoap3-bin"),
    ("coap-server-openssl", "libcoap3-bin"),
    ("coap-server-gnutls", "libcoap3-bin"),
    ("tshark", "tshark"),
    ("ip", "iproute2"),
    ("ping", "iputils-ping"),
    ("sysctl", "procps"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("timeout", "coreutils"),
    ("python3", "python3"),
];

/// Of the firmware's tests.
pub(crate) const EMULATOR: &[Peer] =
    &[("qemu-system-arm", "qemu-system-arm"), ("ip", "iproute2"), ("ping", "iputils-ping")];

/// Between OpenThread's host and the emulator.
pub(crate) const OT_HOST: &[Peer] =
    &[("socat", "socat"), ("ip", "iproute2"), ("unshare", "util-linux")];

/// Of the benchmarks. A path is a file that need not be a program.
pub(crate) const BENCH: &[Peer] = &[
    ("cc", "gcc"),
    ("/usr/include/openssl/evp.h", "libssl-dev"),
    ("valgrind", "valgrind"),
    ("perf", "linux-perf"),
    ("ip", "iproute2"),
    ("sysctl", "procps"),
];

/// Of the peers of DTLS, each by itself: a benchmark leaves out who lacks one.
pub(crate) const DTLS_OPENSSL: &[Peer] =
    &[("cc", "gcc"), ("/usr/include/openssl/ssl.h", "libssl-dev")];
pub(crate) const DTLS_MBEDTLS: &[Peer] =
    &[("cc", "gcc"), ("/usr/include/mbedtls/ssl.h", "libmbedtls-dev")];
pub(crate) const DTLS_TINYDTLS: &[Peer] = &[("cc", "gcc"), ("pip3", "python3-pip"), ("tar", "tar")];

/// Its DTLSSocket is compiled.
pub(crate) const DTLS_AIOCOAP: &[Peer] = &[
    ("cc", "gcc"),
    ("autoreconf", "autoconf"),
    ("aclocal", "automake"),
    ("/usr/include/python3.11/Python.h", "python3-dev"),
    ("/usr/lib/python3.11/ensurepip/__init__.py", "python3-venv"),
];
pub(crate) const DTLS_WOLFSSL: &[Peer] = &[("cc", "gcc")];
/// Of the device with stock software.
pub(crate) const COAP_STOCK: &[Peer] =
    &[("cc", "gcc"), ("/usr/include/coap3/coap.h", "libcoap3-dev")];
/// Its libraries are packages of their own.
pub(crate) const DTLS_ERLANG: &[Peer] =
    &[("escript", "erlang-base"), ("/var/lib/dpkg/info/erlang-ssl.list", "erlang-ssl")];

/// Of what keys cost.
pub(crate) const BENCH_KEYS: &[Peer] = &[("valgrind", "valgrind")];

/// Of the simulator's.
pub(crate) const BENCH_SIM: &[Peer] =
    &[("g++", "g++"), ("/usr/include/ns3/lr-wpan-module.h", "libns3-dev")];

/// For the packages: the compiler for the other architecture, and its C library.
pub(crate) const BUILDERS: &[Peer] = &[
    ("dpkg-deb", "dpkg"),
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("/usr/aarch64-linux-gnu/lib/crt1.o", "libc6-dev-arm64-cross"),
];

/// For their trial: a fresh Debian, who boots it, and who runs the other architecture's program.
pub(crate) const TRIERS: &[Peer] = &[
    ("lintian", "lintian"),
    ("mmdebstrap", "mmdebstrap"),
    ("systemd-nspawn", "systemd-container"),
    ("nsenter", "util-linux"),
    ("qemu-aarch64", "qemu-user"),
];

/// Sees to it that every peer is there, or names those that are not.
pub(crate) fn provide(peers: &[Peer]) -> Result<(), String> {
    let absent = missing(peers);
    if absent.is_empty() {
        return Ok(());
    }
    let mut packages: Vec<&str> = absent.iter().map(|(_, package)| *package).collect();
    packages.dedup();
    let install = format!("apt-get install {}", packages.join(" "));
    if Step::new("id", &["-u"]).output()?.trim() != "0" {
        return Err(format!("{} missing and we are not root; run: {install}", names(&absent)));
    }
    let quietly = |arguments: &[&str]| {
        Step::new("apt-get", arguments).env("DEBIAN_FRONTEND", "noninteractive").run()
    };
    let installed = quietly(&["update", "-q"]).and_then(|()| {
        let options = ["install", "-y", "-q", "--no-install-recommends"];
        quietly(&[&options[..], &packages].concat())
    });
    let still = missing(peers);
    match installed {
        _ if still.is_empty() => Ok(()),
        Ok(()) => Err(format!("{} missing after `{install}`", names(&still))),
        Err(why) => Err(format!("{} missing: {why}", names(&still))),
    }
}

fn missing(peers: &[Peer]) -> Vec<Peer> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    // A folder joined with an absolute path is that path.
    peers
        .iter()
        .filter(|(program, _)| !folders.iter().any(|folder| folder.join(program).is_file()))
        .copied()
        .collect()
}

fn names(peers: &[Peer]) -> String {
    peers
        .iter()
        .map(|(program, package)| format!("{program} (Debian package {package})"))
        .collect::<Vec<_>>()
        .join(", ")
}
