//! The folder of keys: read, and written for its owner's eyes only.
//!
//! **Invariant:** no fault repeats what may be a key.

use lowgate_crypto::{Key128, Secret};
use lowgate_dtls::group::GroupKeys;
use lowgate_sim::keybook::{
    ADDRESSES_FILE, ADDRESSES_HEADER, GROUPS_FILE, GROUPS_HEADER, KEY_LOG_FILE, KeyFile,
    LINK_KEYS_FILE,
};
use lowgate_units::{Eui64, Ipv6Addr, ShortAddr};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Lines of a file of keys at most.
const LINES_MAX: usize = 100_000;

/// What opens a capture.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// By key index; an index may come again.
    pub(super) link: Vec<(u8, Key128)>,
    pub(super) mesh_prefix: Option<[u8; 8]>,
    pub(super) groups: Vec<GroupEntry>,
    /// The short address of each device.
    pub(super) shorts: BTreeMap<Eui64, ShortAddr>,
    /// Lines in the format of NSS key logs.
    pub(super) log: Vec<String>,
}

/// One epoch of a group.
#[derive(Clone, Debug)]
pub(super) struct GroupEntry {
    pub(super) group: u16,
    pub(super) address: Ipv6Addr,
    pub(super) port: u16,
    pub(super) request: GroupKeys,
    pub(super) response: GroupKeys,
}

/// What is wrong with a file of keys, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFault {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1; `None` when it is about the whole file.
    pub line: Option<usize>,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.line {
            Some(line) => write!(f, "{file}:{line}: {}", self.what),
            None => write!(f, "{file}: {}", self.what),
        }
    }
}

impl std::error::Error for KeyFault {}

/// Writes files of keys into `folder`, which is made if need be; nobody else may read them.
///
/// # Errors
/// The first of the operating system.
pub fn write_keys(folder: &Path, files: &[KeyFile]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for file in files {
        let path = folder.join(file.name);
        // A file that is there may have other rights, or be a link to elsewhere: it goes first.
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path)?.write_all(file.content.as_bytes())?;
    }
    Ok(())
}

impl Keys {
    /// The keys of a folder that [`write_keys`] filled.
    ///
    /// # Errors
    /// Everything that is wrong with its files.
    pub fn read(folder: &Path) -> Result<Self, Vec<KeyFault>> {
        let file = |name| {
            let path = folder.join(name);
            std::fs::read_to_string(&path).map_err(|why| KeyFault {
                file: path,
                line: None,
                what: format!("cannot be read: {why}; a file that --keys wrote is wanted"),
            })
        };
        let mut faults = Vec::new();
        let mut texts = Vec::new();
        for name in [LINK_KEYS_FILE, GROUPS_FILE, ADDRESSES_FILE, KEY_LOG_FILE] {
            match file(name) {
                Ok(text) => texts.push((name, text)),
                Err(fault) => faults.push(fault),
            }
        }
        let mut keys = Self::default();
        for (name, text) in &texts {
            let fault = |(line, what)| KeyFault { file: folder.join(name), line: Some(line), what };
            faults.extend(keys.add(name, text).into_iter().map(fault));
        }
        if faults.is_empty() { Ok(keys) } else { Err(faults) }
    }

    /// Takes a file in; its faults by line.
    pub(super) fn add(&mut self, name: &str, text: &str) -> Vec<(usize, String)> {
        let header = match name {
            GROUPS_FILE => Some(GROUPS_HEADER),
            ADDRESSES_FILE => Some(ADDRESSES_HEADER),
            _ => None,
        };
        let mut faults = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if line > LINES_MAX {
                faults.push((line, format!("too many lines; allowed: {LINES_MAX}")));
                break;
            }
            let row = match header {
                Some(header) if line == 1 => {
                    if text.trim() == header {
                        Ok(())
                    } else {
                        Err(format!("allowed: {header}"))
                    }
                }
                _ if text.trim().is_empty() || text.starts_with('#') => Ok(()),
                _ => self.row(name, text),
            };
            faults.extend(row.err().map(|what| (line, what)));
        }
        faults
    }

    fn row(&mut self, name: &str, text: &str) -> Result<(), String> {
        if name == KEY_LOG_FILE {
            self.log.push(text.to_owned());
            return Ok(());
        }
        let fields: Vec<&str> =
            text.split(',').map(|field| field.trim().trim_matches('"')).collect();
        match (name, &fields[..]) {
            (LINK_KEYS_FILE, [key, index, _]) => {
                let index = index.parse().map_err(|_| "key index: allowed: 1 to 255")?;
                self.link.push((index, secret("key", key)?));
            }
            (LINK_KEYS_FILE, _) => return Err("allowed: \"key\",\"index\",\"No hash\"".into()),
            (GROUPS_FILE, fields) => self.groups.push(group(fields)?),
            (_, [_, prefix, short, eui64]) => {
                let prefix: Ipv6Addr = prefix.parse().map_err(|_| "mesh_prefix: not an address")?;
                self.mesh_prefix = prefix.octets().first_chunk().copied();
                let short =
                    short.strip_prefix("0x").and_then(|text| u16::from_str_radix(text, 16).ok());
                let short = short.and_then(ShortAddr::new);
                let short = short.ok_or("short: allowed: 0x0000 to 0xfffd")?;
                let eui64 = eui64.parse().map_err(|fault| format!("eui64: {fault}"))?;
                self.shorts.insert(eui64, short);
            }
            _ => return Err(format!("columns; allowed: {ADDRESSES_HEADER}")),
        }
        Ok(())
    }
}

fn group(fields: &[&str]) -> Result<GroupEntry, String> {
    let [group, address, port, epoch, request_key, request_salt, response_key, response_salt] =
        fields
    else {
        return Err(format!("columns; allowed: {GROUPS_HEADER}"));
    };
    let number = |name: &str, text: &str| -> Result<u16, String> {
        text.parse().map_err(|_| format!("{name}: allowed: 0 to 65535"))
    };
    let epoch = number("epoch", epoch)?;
    let keys = |key, salt: &str| -> Result<GroupKeys, String> {
        Ok(GroupKeys {
            key: secret("key", key)?,
            salt: *secret::<4>("salt", salt)?.expose(),
            epoch,
        })
    };
    Ok(GroupEntry {
        group: number("group", group)?,
        address: address.parse().map_err(|_| "address: allowed: an IPv6 address")?,
        port: number("port", port)?,
        request: keys(request_key, request_salt)?,
        response: keys(response_key, response_salt)?,
    })
}

fn secret<const N: usize>(name: &str, text: &str) -> Result<Secret<N>, String> {
    let fault = || format!("{name}: allowed: {} hexadecimal digits", 2 * N);
    let mut octets = [0; N];
    unhex(text, &mut octets).ok_or_else(fault)?;
    Ok(Secret::new(octets))
}

/// Fills `out` from exactly as many hexadecimal digits.
pub(super) fn unhex(text: &str, out: &mut [u8]) -> Option<()> {
    let text = text.as_bytes();
    if text.len() != 2 * out.len() {
        return None;
    }
    for (octet, pair) in out.iter_mut().zip(text.chunks(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *octet = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
    }
    Some(())
}
