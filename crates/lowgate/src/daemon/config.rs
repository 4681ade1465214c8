//! The daemon's one file. Every key is documented in the text that `lowgate init` writes.
//!
//! **Invariant:** a key that nobody knows is refused, not ignored.

use lowgate_router::Inward;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

/// Where the file is looked for unless the command line says otherwise.
pub const PATH: &str = "/etc/lowgate/lowgate.toml";

/// What `lowgate init` writes: every key with its default.
pub const TEMPLATE: &str = r#"# Lowgate: border router and domain manager. See `lowgate --help`.

[radio]
# The serial line to the radio co-processor:
#   spinel+hdlc+uart:///dev/ttyACM0?baud=460800     a serial device, or a pty
#   spinel+hdlc+socket:///run/radio.sock            a Unix socket
#   spinel+hdlc+forkpty:///usr/bin/ot-rcp?arg=1     a program
url = "spinel+hdlc+uart:///dev/ttyACM0?baud=460800"
# The channel of a new domain, 11 to 26. A domain that exists keeps its own.
channel = 15
# Where the meshes of further border routers may be besides: each gets the channel that the fewest have. A
# domain that exists keeps its own.
further_channels = []

[mesh]
# The prefix of a new domain's first mesh, 64 bits. Left out: a random one (ULA, RFC 4193). A domain that
# exists keeps its own. The meshes of further border routers have the next prefixes of the same 48 bits.
# prefix = "fd12:3456:789a:1::/64"

[manager]
# Where devices and border routers reach the domain manager, if `lowgate manager` and `lowgate router` run
# on two machines: an address of the manager's machine that stays. Left out: `lowgate run`, at an address
# that nobody else has. A domain that exists keeps its own.
# address = "fd00:b::10"

[network]
# The name of the network interface of the mesh, at most 15 characters.
interface = "lowgate0"

[filter]
# What the building's network may begin with devices; answers to what a device began pass in any case.
#   "coap"   CoAP without security, to a device and to a group's multicast address. Whoever can send a
#            packet to the mesh can then read every resource of every device and switch it. Take the word
#            out to close this: devices then obey the domain manager, `lowgate group send` and the
#            switches of their groups.
#   "coaps"  CoAP over DTLS
#   "echo"   ping
inward = ["coap", "coaps", "echo"]

[state]
# Keys, counters and admissions live here; nobody but the daemon may read it.
dir = "/var/lib/lowgate"

[control]
# Where the commands reach the daemon.
socket = "/run/lowgate/control.sock"
"#;

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The co-processor.
    pub radio: Radio,
    /// The mesh.
    #[serde(default)]
    pub mesh: Mesh,
    /// The domain manager.
    #[serde(default)]
    pub manager: Manager,
    /// The building's side.
    pub network: Network,
    /// The gate between them.
    #[serde(default)]
    pub filter: Filter,
    /// What outlives the process.
    pub state: State,
    /// The commands' door.
    pub control: Control,
    /// The whole file, for the journal.
    #[serde(skip)]
    pub text: String,
}

/// See [`TEMPLATE`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Radio {
    /// The serial line.
    pub url: String,
    /// Of a new domain.
    #[serde(default = "default_channel")]
    pub channel: u8,
    /// Of a new domain.
    #[serde(default)]
    pub further_channels: Vec<u8>,
}

/// See [`TEMPLATE`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mesh {
    /// Of a new domain.
    #[serde(default, deserialize_with = "prefix")]
    pub prefix: Option<[u8; 8]>,
}

/// See [`TEMPLATE`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manager {
    /// Where everybody reaches it.
    pub address: Option<Ipv6Addr>,
}

fn prefix<'de, D: Deserializer<'de>>(from: D) -> Result<Option<[u8; 8]>, D::Error> {
    let text = String::deserialize(from)?;
    let addr = text.strip_suffix("/64").and_then(|addr| addr.parse::<Ipv6Addr>().ok());
    let (prefix, rest) = addr.map(|addr| addr.octets()).map_or(([0; 8], [1; 8]), |octets| {
        let (prefix, rest) = octets.split_at(8);
        (prefix.try_into().expect("half"), rest.try_into().expect("half"))
    });
    // Neither multicast nor link-local, which no border router routes.
    let routable = prefix[0] != 0xff && prefix[..2] != [0xfe, 0x80] && prefix != [0; 8];
    if rest == [0; 8] && routable {
        return Ok(Some(prefix));
    }
    Err(D::Error::custom(format!(
        "\"{text}\"; allowed: a routable prefix like fd12:3456:789a:1::/64"
    )))
}

/// See [`TEMPLATE`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The TUN interface.
    pub interface: String,
}

/// See [`TEMPLATE`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// What the building's network may begin.
    pub inward: Vec<Opening>,
}

/// Something that the building's network may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Opening {
    /// CoAP without security.
    Coap,
    /// CoAP over DTLS.
    Coaps,
    /// Echo requests.
    Echo,
}

impl Default for Filter {
    fn default() -> Self {
        Self { inward: vec![Opening::Coap, Opening::Coaps, Opening::Echo] }
    }
}

impl Filter {
    /// As the border router takes it.
    pub(super) fn inward(&self) -> Inward {
        let named = |opening| self.inward.contains(&opening);
        Inward {
            coap: named(Opening::Coap),
            coaps: named(Opening::Coaps),
            echo: named(Opening::Echo),
        }
    }
}

/// See [`TEMPLATE`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The folder.
    pub dir: PathBuf,
}

/// See [`TEMPLATE`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The Unix socket.
    pub socket: PathBuf,
}

const fn default_channel() -> u8 {
    15
}

/// Octets of an interface's name that Linux takes.
const INTERFACE_OCTETS_MAX: usize = 15;

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// One line, with the cause and the remedy.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|fault| {
            format!(
                "{}: cannot be read: {fault}; write one with `lowgate init {}`",
                path.display(),
                path.display()
            )
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// The configuration in `text`, which stands in `file`.
    ///
    /// # Errors
    /// One line, with the cause and the remedy.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|fault| {
            let line = fault.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            format!("{file}:{line}: {}", fault.message().replace('\n', ", "))
        })?;
        if config.manager.address.is_some_and(|addr| !is_reachable(addr)) {
            return Err(format!(
                "{file}: manager.address: allowed: an address that other machines can reach, neither \
                 link-local nor multicast nor ::1"
            ));
        }
        let (channel, further) = (&config.radio.channel, &config.radio.further_channels);
        let of_radio = [("channel", std::slice::from_ref(channel)), ("further_channels", further)];
        for (key, channels) in of_radio {
            if let Some(wrong) = channels.iter().find(|channel| !(11..=26).contains(*channel)) {
                return Err(format!("{file}: radio.{key}: {wrong}; allowed: 11 to 26"));
            }
        }
        let name = &config.network.interface;
        if name.is_empty() || name.len() > INTERFACE_OCTETS_MAX || name.contains(['/', ' ', ':']) {
            return Err(format!(
                "{file}: network.interface: \"{name}\"; allowed: 1 to {INTERFACE_OCTETS_MAX} \
                 characters without blank, slash and colon"
            ));
        }
        config.text = text.into();
        Ok(config)
    }
}

/// Link-local addresses need an interface with them, which a device cannot know.
const fn is_reachable(addr: Ipv6Addr) -> bool {
    !(addr.is_unspecified()
        || addr.is_loopback()
        || addr.is_multicast()
        || addr.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> String {
        Config::parse("x.toml", text).expect_err("something is wrong with it")
    }

    #[test]
    fn what_init_writes_is_read() {
        let config = Config::parse("x.toml", TEMPLATE).expect("it is ours");
        assert_eq!(config.radio.channel, 15);
        assert_eq!(config.state.dir, Path::new("/var/lib/lowgate"));
        assert_eq!(config.filter, Filter::default());
        assert_eq!(config.filter.inward(), Inward::ALL);
    }

    #[test]
    fn a_fault_names_file_line_and_what_is_allowed() {
        let unknown = fault(&TEMPLATE.replace("channel = 15", "chanel = 15"));
        assert!(unknown.starts_with("x.toml:") && unknown.contains("chanel"), "{unknown}");
        let channel = fault(&TEMPLATE.replace("channel = 15", "channel = 27"));
        assert!(channel.contains("27") && channel.contains("11 to 26"), "{channel}");
        let further =
            fault(&TEMPLATE.replace("further_channels = []", "further_channels = [20, 9]"));
        assert!(further.contains("radio.further_channels: 9"), "{further}");
        let name = fault(&TEMPLATE.replace("lowgate0", "a-name-that-is-too-long"));
        assert!(name.contains("network.interface"), "{name}");
        let missing = fault("[radio]\nurl = \"x\"\n");
        assert!(missing.contains("network"), "{missing}");
        for text in [unknown, channel, further, name, missing] {
            assert!(!text.contains('\n'), "{text:?}");
        }
    }

    #[test]
    fn the_filter_takes_the_words_it_knows() {
        const LINE: &str = r#"inward = ["coap", "coaps", "echo"]"#;
        let with = |words: &str| TEMPLATE.replace(LINE, &format!("inward = [{words}]"));
        let inward = |words: &str| {
            Config::parse("x.toml", &with(words)).expect("known words").filter.inward()
        };
        assert_eq!(inward(""), Inward::default());
        assert_eq!(inward(r#""echo""#), Inward { echo: true, ..Inward::default() });
        assert_eq!(inward(r#""coaps", "coap", "coap""#), Inward { echo: false, ..Inward::ALL });
        let unknown = fault(&with(r#""coap", "http""#));
        for part in ["x.toml:", "http", "coap", "coaps", "echo"] {
            assert!(unknown.contains(part) && !unknown.contains('\n'), "{unknown}");
        }
        let without = TEMPLATE.replace(LINE, "").replace("[filter]", "");
        let config = Config::parse("x.toml", &without).expect("the section may be left out");
        assert_eq!(config.filter, Filter::default());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_in_one_line(text: String, at in 0..TEMPLATE.len()) {
            let at = (0..=at).rev().find(|at| TEMPLATE.is_char_boundary(*at)).unwrap_or(0);
            let damaged = format!("{}{text}{}", &TEMPLATE[..at], &TEMPLATE[at..]);
            for text in [&text, &damaged] {
                if let Err(fault) = Config::parse("x.toml", text) {
                    prop_assert!(fault.starts_with("x.toml") && !fault.contains('\n'), "{fault}");
                }
            }
        }
    }
}
