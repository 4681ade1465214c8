//! The servers, what each can do, and why not.

use super::report::{Description, OURS};
use super::serve::{SERVER_SCALAR, client_key, server_key};
use crate::counter::run;
use std::path::Path;
use std::process::Command;

/// What a server is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Psk,
    /// Sessions can be resumed, by session id and by ticket.
    Resume,
    RawKey,
    /// Pre-shared keys, with the connection IDs of RFC 9146.
    ConnectionIds,
}

/// Who cannot do it says why.
pub(super) enum Able {
    /// Program and arguments.
    Yes(Vec<String>),
    No(&'static str),
}

/// A server.
pub(super) struct Program {
    pub(super) name: &'static str,
    /// Where it comes from.
    about: &'static str,
    cookie: &'static str,
    /// `None`: it is not on this machine.
    program: Option<String>,
    arguments: &'static [&'static str],
    no_resumption: Option<&'static str>,
    no_raw_key: Option<&'static str>,
    no_connection_ids: Option<&'static str>,
}

const STATELESS: &str = "stateless";
const ABSENT: &str = "its program was not built: it is not installed here";
const NO_RESUMPTION: &str = "it has no resumption";
const CERTIFICATES_ALONE: &str = "it takes certificates, no raw public keys (RFC 7250)";
const NO_CONNECTION_IDS: &str = "it has no connection IDs (RFC 9146)";

impl Task {
    const ALL: [Self; 4] = [Self::Psk, Self::Resume, Self::RawKey, Self::ConnectionIds];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Psk => "psk",
            Self::Resume => "resume",
            Self::RawKey => "raw",
            Self::ConnectionIds => "cid",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }
}

/// Ours first; of the others those that are in the folder can be started.
pub(super) fn all(peers: &Path) -> Result<[Program; 7], String> {
    let own = std::env::current_exe().map_err(|fault| fault.to_string())?.display().to_string();
    let built = |name: &str| {
        Some(peers.join(name)).filter(|path| path.is_file()).map(|path| path.display().to_string())
    };
    let ours = Program {
        name: OURS,
        about: "crates/dtls over RustCrypto, raw public keys compiled in",
        cookie: STATELESS,
        program: Some(own),
        arguments: &["dtls-serve"],
        no_resumption: None,
        no_raw_key: None,
        no_connection_ids: None,
    };
    let theirs = |name, about, file: &str| Program {
        name,
        about,
        cookie: STATELESS,
        program: built(file),
        arguments: &[],
        no_resumption: Some(NO_RESUMPTION),
        no_raw_key: Some(CERTIFICATES_ALONE),
        no_connection_ids: Some(NO_CONNECTION_IDS),
    };
    let dimpl = |name, about, arguments| Program {
        cookie: "checked without state, but the session exists from the first ClientHello",
        arguments,
        ..theirs(name, about, "dimpl")
    };
    let (openssl, mbedtls) = ("Debian's libssl-dev", "Debian's libmbedtls-dev");
    Ok([
        ours,
        Program { no_resumption: None, ..theirs("OpenSSL", openssl, "openssl") },
        Program { no_resumption: None, ..theirs("Mbed TLS", mbedtls, "mbedtls") },
        Program {
            no_raw_key: None,
            ..theirs("tinydtls", "as PyPI's DTLSSocket brings it", "tinydtls")
        },
        dimpl("dimpl, AWS-LC", "crates.io", &["aws-lc"]),
        dimpl("dimpl, RustCrypto", "crates.io", &["rustcrypto"]),
        Program {
            cookie: "kept with the session, which exists from the first ClientHello",
            ..theirs("webrtc-dtls", "crates.io, one thread of tokio", "webrtc")
        },
    ])
}

impl Program {
    /// How it is started for `task`.
    pub(super) fn able(&self, task: Task) -> Able {
        let why_not = match task {
            Task::Psk => None,
            Task::Resume => self.no_resumption,
            Task::RawKey => self.no_raw_key,
            Task::ConnectionIds => self.no_connection_ids,
        };
        let Some(program) = &self.program else { return Able::No(ABSENT) };
        if let Some(why) = why_not {
            return Able::No(why);
        }
        let mut command = vec![program.clone()];
        if self.name == OURS {
            command.extend(self.arguments.iter().map(|argument| (*argument).into()));
            command.push(task.name().into());
            return Able::Yes(command);
        }
        command.push(task.name().into());
        command.extend(self.arguments.iter().map(|argument| (*argument).into()));
        if task == Task::RawKey {
            command.extend(raw_keys());
        }
        Able::Yes(command)
    }

    pub(super) fn description(&self) -> Result<Description, String> {
        Ok(Description {
            version: self.version()?,
            name: self.name,
            about: self.about,
            measured: self.program.is_some(),
            cookie: self.cookie,
            extended_master_secret: true,
        })
    }

    /// As it says itself; ours is the one of this checkout.
    fn version(&self) -> Result<Option<String>, String> {
        let Some(program) = self.program.as_ref().filter(|_| self.name != OURS) else {
            return Ok(None);
        };
        let output = run(Command::new(program).arg("version").args(self.arguments))?;
        Ok(Some(String::from_utf8_lossy(&output.stdout).trim().into()))
    }
}

/// The server's scalar, its public x and y, and the client's.
fn raw_keys() -> Vec<String> {
    // RFC 5480 section 2.2: 4, x, y.
    let [server, client] = [server_key(), client_key()].map(|key| key.public().point());
    [&SERVER_SCALAR[..], &server[1..33], &server[33..], &client[1..33], &client[33..]]
        .map(|octets| octets.iter().map(|octet| format!("{octet:02x}")).collect())
        .to_vec()
}
