//! The keys of a domain for people who read captures of their own network: everything that was ever
//! in force, and the files that Wireshark and `lowgate decode` take it from.
//!
//! A domain keeps no key that is void; a capture goes back to when it was not. So the book is
//! written along with the store's batches, and only when somebody asked for keys.
//!
//! **Invariant:** the same changes give the same files; nothing here prints a key but the files.

use lowgate_access::{JOINER_PORT, MANAGER_RELAY_PORT};
use lowgate_amikey::derive;
use lowgate_manager::{
    Change, GroupEpoch, GroupId, Key128, LinkKey, PanConfig, csb_id_in, group_address,
};
use lowgate_units::{Eui64, Iid, Ipv6Addr, PanId, ShortAddr};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// The link keys, a table of Wireshark's own: key, index, how the key is made.
pub const LINK_KEYS_FILE: &str = "ieee802154_keys";
/// The addresses, a table of Wireshark's own: short address, PAN, EUI-64.
pub const STATIC_ADDRESSES_FILE: &str = "802154_addresses";
/// Wireshark's settings, as far as they matter here.
pub const PREFERENCES_FILE: &str = "preferences";
/// Which ports Wireshark reads as what.
pub const DECODE_AS_FILE: &str = "decode_as_entries";
/// The secrets of the DTLS sessions, lines in the format of NSS key logs.
pub const KEY_LOG_FILE: &str = "tls.keylog";
/// The group keys, for `lowgate decode`.
pub const GROUPS_FILE: &str = "groups.csv";
/// Network and addresses, for `lowgate decode`.
pub const ADDRESSES_FILE: &str = "addresses.csv";
/// How to call tshark.
pub const COMMANDS_FILE: &str = "tshark.txt";

/// First line of [`GROUPS_FILE`].
pub const GROUPS_HEADER: &str =
    "group,address,port,epoch,request_key,request_salt,response_key,response_salt";
/// First line of [`ADDRESSES_FILE`].
pub const ADDRESSES_HEADER: &str = "pan_id,mesh_prefix,short,eui64";

/// A file of keys, for its owner's eyes only.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// Its name, without a folder.
    pub name: &'static str,
    /// All of it.
    pub content: String,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} octets", self.name, self.content.len())
    }
}

/// What a reader of captures must know of a domain.
#[derive(Clone, Debug, Default)]
pub struct KeyBook {
    /// The founding one first.
    pans: Vec<PanConfig>,
    link_keys: Vec<LinkKey>,
    groups: BTreeMap<GroupId, GroupEntry>,
    addresses: Vec<(PanId, ShortAddr, Eui64)>,
}

#[derive(Clone, Debug)]
struct GroupEntry {
    port: u16,
    epochs: Vec<GroupEpoch>,
}

impl KeyBook {
    /// Of a domain that does not exist yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes down what a change that is stored brings.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::DomainCreated { config, link_key } => {
                self.pans.push(config.founding_pan());
                self.link_keys.push(link_key.clone());
            }
            Change::PanCreated { config, link_key } => {
                self.pans.push(*config);
                self.link_keys.push(link_key.clone());
            }
            // It comes into force on the air before the manager hears that it has.
            Change::LinkKeyStaged { key, .. } => self.link_keys.push(key.clone()),
            Change::GroupCreated { record, epoch } => {
                let epochs = vec![epoch.clone()];
                self.groups.insert(record.id, GroupEntry { port: record.port, epochs });
            }
            Change::GroupEpochStarted { group, epoch } => {
                if let Some(entry) = self.groups.get_mut(group) {
                    entry.epochs.push(epoch.clone());
                }
            }
            Change::Admitted { eui64, pan, short } | Change::Moved { eui64, pan, short } => {
                self.addresses.push((*pan, *short, *eui64));
            }
            Change::LinkKeyActivated { .. }
            | Change::DeviceImported(_)
            | Change::SenderIdGiven { .. }
            | Change::MemberAdded { .. }
            | Change::MemberRemoved { .. }
            | Change::Revoked { .. }
            | Change::WindowOpened { .. }
            | Change::PairsStarted { .. }
            | Change::PairLost { .. }
            | Change::WindowClosed => {}
        }
    }

    /// The files to put into `folder`, for a capture at `capture`. `key_log` has a line per
    /// session.
    ///
    /// They make the folder one that Wireshark takes for its settings. Both paths are only written
    /// down.
    pub fn files(&self, folder: &Path, capture: &Path, key_log: &[String]) -> Vec<KeyFile> {
        let file = |name, content| KeyFile { name, content };
        vec![
            file(LINK_KEYS_FILE, self.link_keys()),
            file(STATIC_ADDRESSES_FILE, self.static_addresses()),
            file(PREFERENCES_FILE, self.preferences()),
            file(DECODE_AS_FILE, decode_as()),
            file(KEY_LOG_FILE, key_log.iter().map(|line| format!("{line}\n")).collect()),
            file(GROUPS_FILE, self.group_table()),
            file(ADDRESSES_FILE, self.address_table()),
            file(COMMANDS_FILE, self.commands(folder, capture)),
        ]
    }

    fn link_keys(&self) -> String {
        self.link_keys.iter().fold(head("Link keys"), |mut text, key| {
            _ = writeln!(text, "\"{}\",\"{}\",\"No hash\"", hex(key.key.expose()), key.index.raw());
            text
        })
    }

    fn static_addresses(&self) -> String {
        let mut text = head("Addresses");
        // A border router's successor has its address: the last one counts.
        let latest = self.addresses.iter().map(|(pan, short, eui64)| ((*pan, *short), *eui64));
        for ((pan, short), eui64) in latest.collect::<BTreeMap<_, _>>() {
            let (short, pan) = (short.raw(), pan.raw());
            _ = writeln!(text, "\"{short:04x}\",\"{pan:04x}\",{}", hex(&eui64.0));
        }
        text
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let suite = "AES-128 Encryption, 64-bit Integrity Protection";
        let mut settings = vec![("wpan.802154_sec_suite", suite.to_owned())];
        // It knows one mesh.
        if let Some(pan) = self.pans.first() {
            settings.push(("6lowpan.context0", format!("{}/64", prefix(pan.mesh_prefix))));
        }
        settings
    }

    fn preferences(&self) -> String {
        self.settings().into_iter().fold(head("Settings"), |mut text, (name, value)| {
            _ = writeln!(text, "{name}: {value}");
            text
        })
    }

    fn group_table(&self) -> String {
        let mut text = format!("{GROUPS_HEADER}\n");
        for (group, entry) in &self.groups {
            for (epoch, pan) in
                entry.epochs.iter().flat_map(|epoch| self.pans.iter().map(move |pan| (epoch, pan)))
            {
                let address = group_address(*group, pan.mesh_prefix);
                let csb_id = csb_id_in(epoch, pan, &self.pans[0]);
                let keys = derive(&epoch.tgk, csb_id, &epoch.rand);
                let (request, response) = (&keys.request, &keys.response);
                _ = writeln!(
                    text,
                    "{},{address},{},{},{},{},{},{}",
                    group.0,
                    entry.port,
                    epoch.tek_id.raw(),
                    secret(&request.key),
                    hex(request.salt.expose()),
                    secret(&response.key),
                    hex(response.salt.expose()),
                );
            }
        }
        text
    }

    fn address_table(&self) -> String {
        let mut text = format!("{ADDRESSES_HEADER}\n");
        for (id, short, eui64) in &self.addresses {
            let pan = self.pans.iter().find(|pan| pan.pan_id == *id);
            if let Some(prefix) = pan.map(|pan| prefix(pan.mesh_prefix)) {
                let pan = id.raw();
                _ = writeln!(text, "0x{pan:04x},{prefix},0x{:04x},{eui64}", short.raw());
            }
        }
        text
    }

    fn commands(&self, folder: &Path, capture: &Path) -> String {
        let (folder, capture) =
            (quoted(&folder.to_string_lossy()), quoted(&capture.to_string_lossy()));
        let mut text = String::from(
            "# With this folder as Wireshark's settings; no key shows in the list of processes:\n",
        );
        _ = writeln!(text, "WIRESHARK_CONFIG_DIR={folder} tshark -r {capture}\n");
        text.push_str("# The same with everything on the command line:\n");
        _ = write!(text, "tshark -r {capture}");
        for key in &self.link_keys {
            let row = format!(
                "uat:ieee802154_keys:\"{}\",\"{}\",\"No hash\"",
                hex(key.key.expose()),
                key.index.raw()
            );
            _ = write!(text, " -o {}", quoted(&row));
        }
        for (name, value) in self.settings() {
            _ = write!(text, " -o {}", quoted(&format!("{name}:{value}")));
        }
        for (port, protocol) in DECODE_AS {
            _ = write!(text, " -d udp.port=={port},{protocol}");
        }
        text.push_str(
            "\n\n# What tshark cannot know: the relays' envelope, key messages, group records:\n",
        );
        _ = writeln!(text, "lowgate decode {capture} --keys {folder}");
        text
    }
}

/// A joiner's port tells its sessions from the relays' envelopes, which leave from the join port.
const DECODE_AS: [(u16, &str); 2] = [(JOINER_PORT, "dtls"), (MANAGER_RELAY_PORT, "data")];

fn decode_as() -> String {
    DECODE_AS.iter().fold(head("Ports"), |mut text, (port, protocol)| {
        _ = writeln!(text, "decode_as_entry: udp.port,{port},(none),{}", protocol.to_uppercase());
        text
    })
}

fn head(what: &str) -> String {
    format!("# {what}, written by Lowgate.\n")
}

fn secret(key: &Key128) -> String {
    hex(key.expose())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn prefix(octets: [u8; 8]) -> Ipv6Addr {
    Iid([0; 8]).under(octets)
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_amikey::{CsbId, Generation, Rand, Tgk};
    use lowgate_crypto::Secret;
    use lowgate_manager::{ChannelSet, DomainConfig, GroupRecord, KeyIndex, TekId};
    use lowgate_testkit::hex as octets;
    use lowgate_units::Channel;

    const BORDER_ROUTER: ShortAddr = ShortAddr::new(0).expect("in range");

    fn key(octet: u8) -> Key128 {
        Key128::new([octet; 16])
    }

    /// The worked example of the wire page, as `tek_id`.
    fn epoch(tek_id: TekId) -> GroupEpoch {
        let array = |text: &str| -> [u8; 16] { octets(text).try_into().expect("16 octets") };
        GroupEpoch {
            csb_id: CsbId(0x5a17_c0de),
            generation: Generation(1),
            tek_id,
            tgk: Tgk(Secret::new(array("000102030405060708090a0b0c0d0e0f"))),
            rand: Rand(Secret::new(array("101112131415161718191a1b1c1d1e1f"))),
        }
    }

    fn book() -> KeyBook {
        let config = DomainConfig {
            pan_id: PanId::new(0x1a43).expect("in range"),
            channel: Channel::new(15).expect("in range"),
            mesh_prefix: [0xfd, 0, 0, 1, 0, 2, 0, 3],
            further_channels: ChannelSet::NONE,
            manager_addr: Ipv6Addr::LOCALHOST,
        };
        let link_key = |index: KeyIndex, octet| LinkKey { index, key: key(octet) };
        let (first, group) = (KeyIndex::FIRST, GroupId(7));
        let record = GroupRecord { id: group, name: "lights".into(), port: 61616 };
        let pan = config.pan_id;
        let router = |n| Eui64([2, 0, 0, 0, 0, 0, 0, n]);
        let changes = [
            Change::DomainCreated { config, link_key: link_key(first, 0x11) },
            Change::GroupCreated { record, epoch: epoch(TekId::FIRST) },
            Change::Admitted { eui64: router(1), pan, short: BORDER_ROUTER },
            Change::Revoked { eui64: router(1) },
            Change::LinkKeyStaged { pan, key: link_key(first.next(), 0x22) },
            Change::GroupEpochStarted { group, epoch: epoch(TekId::FIRST.next()) },
            Change::LinkKeyActivated { pan, index: first.next() },
            Change::Admitted { eui64: router(2), pan, short: BORDER_ROUTER },
        ];
        let mut book = KeyBook::new();
        changes.iter().for_each(|change| book.note(change));
        book
    }

    #[track_caller]
    fn check(name: &str, lines: &[&str]) {
        let log = ["CLIENT_RANDOM aa bb".to_owned()];
        let files = book().files(Path::new("my keys"), Path::new("it's.pcapng"), &log);
        let file = files.iter().find(|file| file.name == name).expect("written");
        let said: Vec<&str> = file.content.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(said, lines);
    }

    #[test]
    fn link_keys_of_all_times() {
        let (old, new) = ("11".repeat(16), "22".repeat(16));
        let [old, new] =
            [format!("\"{old}\",\"1\",\"No hash\""), format!("\"{new}\",\"2\",\"No hash\"")];
        check(LINK_KEYS_FILE, &[&old, &new]);
    }

    #[test]
    fn the_successor_has_the_address() {
        check(STATIC_ADDRESSES_FILE, &["\"0000\",\"1a43\",0200000000000002"]);
        check(
            ADDRESSES_FILE,
            &[
                ADDRESSES_HEADER,
                "0x1a43,fd00:1:2:3::,0x0000,02-00-00-00-00-00-00-01",
                "0x1a43,fd00:1:2:3::,0x0000,02-00-00-00-00-00-00-02",
            ],
        );
    }

    #[test]
    fn group_keys_of_every_epoch() {
        let keys =
            "6bcb43b74a2380b1ac0e6fd8c65235c7,53a384d2,b4bfaa03103e43bc5434985a591bc42b,eaba2823";
        let [first, second] =
            ["1", "2"].map(|epoch| format!("7,ff35:40:fd00:1:2:3:8000:7,61616,{epoch},{keys}"));
        check(GROUPS_FILE, &[GROUPS_HEADER, &first, &second]);
    }

    #[test]
    fn what_wireshark_is_told() {
        check(KEY_LOG_FILE, &["CLIENT_RANDOM aa bb"]);
        check(
            PREFERENCES_FILE,
            &[
                "wpan.802154_sec_suite: AES-128 Encryption, 64-bit Integrity Protection",
                "6lowpan.context0: fd00:1:2:3::/64",
            ],
        );
        check(
            DECODE_AS_FILE,
            &[
                "decode_as_entry: udp.port,61628,(none),DTLS",
                "decode_as_entry: udp.port,61629,(none),DATA",
            ],
        );
    }

    #[test]
    fn paths_are_one_word_each_and_no_key_prints() {
        let files = book().files(Path::new("my keys"), Path::new("it's.pcapng"), &[]);
        let commands = &files.last().expect("written").content;
        assert!(commands.contains(r"WIRESHARK_CONFIG_DIR='my keys' tshark -r 'it'\''s.pcapng'"));
        assert!(!format!("{:?} {files:?}", book()).contains("1111"));
    }
}
