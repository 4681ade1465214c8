//! The programs that the interop tests talk to, and how a Debian machine gets them.

use crate::run::Step;

/// Program, Debian package.
const PEERS: &[(&str, &str)] = &[
    ("openssl", "openssl"),
    ("gnutls-cli", "gnutls-bin"),
    ("coap-client-openssl", "libcoap3-bin"),
    ("coap-client-gnutls", "libcoap3-bin"),
    ("tshark", "tshark"),
    ("ip", "iproute2"),
    ("ping", "iputils-ping"),
    ("sysctl", "procps"),
    ("unshare", "util-linux"),
    ("python3", "python3"),
];

/// Sees to it that every peer is there, or names those that are not.
pub(crate) fn provide() -> Result<(), String> {
    let absent = missing();
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
    let still = missing();
    match installed {
        _ if still.is_empty() => Ok(()),
        Ok(()) => Err(format!("{} missing after `{install}`", names(&still))),
        Err(why) => Err(format!("{} missing: {why}", names(&still))),
    }
}

fn missing() -> Vec<(&'static str, &'static str)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    PEERS
        .iter()
        .filter(|(program, _)| !folders.iter().any(|folder| folder.join(program).is_file()))
        .copied()
        .collect()
}

fn names(peers: &[(&str, &str)]) -> String {
    peers
        .iter()
        .map(|(program, package)| format!("{program} (Debian package {package})"))
        .collect::<Vec<_>>()
        .join(", ")
}
