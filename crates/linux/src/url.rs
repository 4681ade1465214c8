//! Where a co-processor is: the URL that operators of OpenThread's hosts already write.
//!
//! **Invariant:** what has been parsed can be opened or fails for a reason outside the URL; displayed
//! and parsed again it is the same.
//!
//! ```text
//! spinel+hdlc+uart:///dev/ttyACM0?baud=460800&flow=none      a serial device
//! spinel+hdlc+socket:///run/radio.sock                       a Unix stream socket
//! spinel+hdlc+forkpty:///usr/bin/ot-rcp?arg=1&arg=-v         a program of our own
//! ```
//!
//! Percent signs escape octets as in RFC 3986 section 2.1.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The speed when the URL names none; what OpenThread's radio firmware and its host agree on.
pub const BAUD_DEFAULT: u32 = 460_800;
/// Slower than this no frame leaves before the radio's answer is due.
const BAUD_MIN: u32 = 9_600;
/// The fastest speed that Linux names.
const BAUD_MAX: u32 = 4_000_000;
/// The longest URL; far more than a path can have.
const URL_OCTETS_MAX: usize = 8_192;
/// How many arguments a program may get.
const ARGS_MAX: usize = 64;

/// The parameters that each kind of line knows, for the remedy in an error.
const UART_PARAMETERS: &str = "baud=NUMBER and flow=hw|none";
const SOCKET_PARAMETERS: &str = "none";
const PROCESS_PARAMETERS: &str = "arg=TEXT, as often as needed";

/// A checked address of a serial line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialUrl {
    pub(crate) target: Target,
}

/// What the address leads to. Paths are absolute and hold no zero octet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Uart { path: PathBuf, baud: u32, flow: Flow },
    Socket { path: PathBuf },
    Process { program: PathBuf, args: Vec<OsString> },
}

/// Who holds back octets when the other end is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// RTS and CTS.
    Hardware,
    /// Nobody. USB has its own way and needs none.
    None,
}

/// Why a text is not the address of a serial line, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SerialUrlError {
    /// A bare path or a word.
    #[error("{0:?} is not a URL; write spinel+hdlc+uart:///dev/ttyACM0 or alike")]
    NoScheme(String),
    /// A scheme that nobody here serves.
    #[error(
        "{0:?} is no kind of line; use spinel+hdlc+uart, spinel+hdlc+socket or spinel+hdlc+forkpty"
    )]
    Scheme(String),
    /// Two slashes where three belong.
    #[error("{0:?} stands where a host would; write three slashes and an absolute path")]
    Host(String),
    /// Nothing behind the slashes.
    #[error("the URL names no file; write spinel+hdlc+uart:///dev/ttyACM0 or alike")]
    NoPath,
    /// A percent sign without two hexadecimal digits.
    #[error(
        "{0:?} has a percent sign without two hexadecimal digits; write %25 for the sign itself"
    )]
    Escape(String),
    /// A zero octet, which no path and no argument can hold.
    #[error("{0:?} has a zero octet, which no path and no argument can hold; leave out %00")]
    Zero(String),
    /// A parameter that this kind of line does not have.
    #[error("{name:?} is no parameter of this kind of line; it knows: {known}")]
    Parameter {
        /// As written.
        name: String,
        /// What may be written.
        known: &'static str,
    },
    /// A parameter given twice.
    #[error("{0:?} is given twice; leave one of them out")]
    Twice(&'static str),
    /// A speed that is no number or out of range.
    #[error("baud={0:?} is not a speed; write a number from {BAUD_MIN} to {BAUD_MAX}")]
    Baud(String),
    /// Neither of the two kinds of flow control.
    #[error("flow={0:?} is unknown; write flow=hw (RTS and CTS wired) or flow=none")]
    Flow(String),
    /// More arguments than a program may get.
    #[error("the program gets more than {ARGS_MAX} arguments; put them into a script")]
    Args,
    /// A text longer than any path.
    #[error("the URL is longer than {URL_OCTETS_MAX} octets; shorten the path or the arguments")]
    TooLong,
}

impl SerialUrl {
    /// Checks an address.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, SerialUrlError> {
        if text.len() > URL_OCTETS_MAX {
            return Err(SerialUrlError::TooLong);
        }
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| SerialUrlError::NoScheme(text.to_owned()))?;
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let parameters = query.into_iter().flat_map(|query| query.split('&'));
        let target = match scheme {
            "spinel+hdlc+uart" => uart(parse_path(path)?, parameters)?,
            "spinel+hdlc+socket" => socket(parse_path(path)?, parameters)?,
            "spinel+hdlc+forkpty" => process(parse_path(path)?, parameters)?,
            other => return Err(SerialUrlError::Scheme(other.to_owned())),
        };
        Ok(Self { target })
    }

    /// The device, the socket or the program.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &self.target {
            Target::Uart { path, .. } | Target::Socket { path } => path,
            Target::Process { program, .. } => program,
        }
    }
}

impl FromStr for SerialUrl {
    type Err = SerialUrlError;

    fn from_str(text: &str) -> Result<Self, SerialUrlError> {
        Self::parse(text)
    }
}

impl fmt::Display for SerialUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Uart { path, baud, flow } => {
                let flow = match flow {
                    Flow::Hardware => "hw",
                    Flow::None => "none",
                };
                let path = Escaped(path.as_os_str());
                write!(out, "spinel+hdlc+uart://{path}?baud={baud}&flow={flow}")
            }
            Target::Socket { path } => {
                write!(out, "spinel+hdlc+socket://{}", Escaped(path.as_os_str()))
            }
            Target::Process { program, args } => {
                write!(out, "spinel+hdlc+forkpty://{}", Escaped(program.as_os_str()))?;
                for (index, arg) in args.iter().enumerate() {
                    let separator = if index == 0 { '?' } else { '&' };
                    write!(out, "{separator}arg={}", Escaped(arg))?;
                }
                Ok(())
            }
        }
    }
}

fn parse_path(text: &str) -> Result<PathBuf, SerialUrlError> {
    if !text.is_empty() && !text.starts_with('/') {
        let host = text.split('/').next().unwrap_or(text);
        return Err(SerialUrlError::Host(host.to_owned()));
    }
    // A path that ends in a slash can only be a directory.
    if text.is_empty() || text.ends_with('/') {
        return Err(SerialUrlError::NoPath);
    }
    Ok(PathBuf::from(unescape(text)?))
}

fn uart<'t>(
    path: PathBuf,
    parameters: impl Iterator<Item = &'t str>,
) -> Result<Target, SerialUrlError> {
    let mut baud = None;
    let mut flow = None;
    for parameter in parameters {
        match name_and_value(parameter) {
            ("baud", value) => once(&mut baud, "baud", parse_baud(value)?)?,
            ("flow", value) => once(&mut flow, "flow", parse_flow(value)?)?,
            (name, _) => return Err(unknown(name, UART_PARAMETERS)),
        }
    }
    let (baud, flow) = (baud.unwrap_or(BAUD_DEFAULT), flow.unwrap_or(Flow::None));
    Ok(Target::Uart { path, baud, flow })
}

fn socket<'t>(
    path: PathBuf,
    mut parameters: impl Iterator<Item = &'t str>,
) -> Result<Target, SerialUrlError> {
    match parameters.next() {
        Some(parameter) => Err(unknown(name_and_value(parameter).0, SOCKET_PARAMETERS)),
        None => Ok(Target::Socket { path }),
    }
}

fn process<'t>(
    program: PathBuf,
    parameters: impl Iterator<Item = &'t str>,
) -> Result<Target, SerialUrlError> {
    let mut args = Vec::new();
    for parameter in parameters {
        match name_and_value(parameter) {
            ("arg", _) if args.len() == ARGS_MAX => return Err(SerialUrlError::Args),
            ("arg", value) => args.push(unescape(value)?),
            (name, _) => return Err(unknown(name, PROCESS_PARAMETERS)),
        }
    }
    Ok(Target::Process { program, args })
}

fn name_and_value(parameter: &str) -> (&str, &str) {
    parameter.split_once('=').unwrap_or((parameter, ""))
}

fn unknown(name: &str, known: &'static str) -> SerialUrlError {
    SerialUrlError::Parameter { name: name.to_owned(), known }
}

fn once<T>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), SerialUrlError> {
    match slot.replace(value) {
        Some(_) => Err(SerialUrlError::Twice(name)),
        None => Ok(()),
    }
}

fn parse_baud(value: &str) -> Result<u32, SerialUrlError> {
    let digits = value.bytes().all(|octet| octet.is_ascii_digit());
    let baud = value.parse().ok().filter(|baud| digits && (BAUD_MIN..=BAUD_MAX).contains(baud));
    baud.ok_or_else(|| SerialUrlError::Baud(value.to_owned()))
}

fn parse_flow(value: &str) -> Result<Flow, SerialUrlError> {
    match value {
        "hw" => Ok(Flow::Hardware),
        "none" => Ok(Flow::None),
        other => Err(SerialUrlError::Flow(other.to_owned())),
    }
}

fn unescape(text: &str) -> Result<OsString, SerialUrlError> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let octet = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                rest = tail;
                hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low)
            }
            (b'%', _) => None,
            (plain, _) => Some(plain),
        };
        match octet {
            Some(0) => return Err(SerialUrlError::Zero(text.to_owned())),
            Some(octet) => octets.push(octet),
            None => return Err(SerialUrlError::Escape(text.to_owned())),
        }
    }
    Ok(OsString::from_vec(octets))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// RFC 3986 section 2.3: unreserved characters stand for themselves; slashes too, as they part a path.
struct Escaped<'t>(&'t OsStr);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &octet in self.0.as_bytes() {
            match octet {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                    write!(out, "{}", char::from(octet))?;
                }
                other => write!(out, "%{other:02X}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SerialUrlError as E;
    use proptest::prelude::*;

    fn check(text: &str, expected: Result<Target, SerialUrlError>) {
        let parsed = SerialUrl::parse(text);
        assert_eq!(parsed.clone().map(|url| url.target), expected, "{text}");
        if let Ok(url) = parsed {
            assert_eq!(SerialUrl::parse(&url.to_string()), Ok(url), "{text}");
        }
    }

    fn tty(path: &str, baud: u32, flow: Flow) -> Result<Target, SerialUrlError> {
        Ok(Target::Uart { path: path.into(), baud, flow })
    }

    fn program(path: &str, args: &[&str]) -> Result<Target, SerialUrlError> {
        Ok(Target::Process {
            program: path.into(),
            args: args.iter().map(OsString::from).collect(),
        })
    }

    #[test]
    fn uarts() {
        let path = "/dev/ttyACM0";
        check("spinel+hdlc+uart:///dev/ttyACM0", tty(path, 460_800, Flow::None));
        check("spinel+hdlc+uart:///dev/ttyACM0?baud=115200", tty(path, 115_200, Flow::None));
        check("spinel+hdlc+uart:///dev/ttyACM0?flow=hw", tty(path, 460_800, Flow::Hardware));
        let both = "spinel+hdlc+uart:///dev/ttyACM0?flow=none&baud=1000000";
        check(both, tty(path, 1_000_000, Flow::None));
        let by_id = "/dev/serial/by-id/usb-Nordic_a b-if00";
        check(
            "spinel+hdlc+uart:///dev/serial/by-id/usb-Nordic_a%20b-if00",
            tty(by_id, 460_800, Flow::None),
        );
    }

    #[test]
    fn sockets_and_programs() {
        check(
            "spinel+hdlc+socket:///run/x.sock",
            Ok(Target::Socket { path: "/run/x.sock".into() }),
        );
        check("spinel+hdlc+forkpty:///usr/bin/ot-rcp", program("/usr/bin/ot-rcp", &[]));
        let two = "spinel+hdlc+forkpty:///usr/bin/ot-rcp?arg=1&arg=-v=2";
        check(two, program("/usr/bin/ot-rcp", &["1", "-v=2"]));
        check("spinel+hdlc+forkpty:///bin/x?arg=a%26b%3f", program("/bin/x", &["a&b?"]));
        check("spinel+hdlc+forkpty:///bin/x?arg=", program("/bin/x", &[""]));
    }

    #[test]
    fn refusals() {
        check("/dev/ttyACM0", Err(E::NoScheme("/dev/ttyACM0".into())));
        check("", Err(E::NoScheme(String::new())));
        check("http:///dev/ttyACM0", Err(E::Scheme("http".into())));
        check("spinel+hdlc+uart://dev/ttyACM0", Err(E::Host("dev".into())));
        check("spinel+hdlc+uart://", Err(E::NoPath));
        check("spinel+hdlc+uart:///?baud=115200", Err(E::NoPath));
        check("spinel+hdlc+uart:///dev/", Err(E::NoPath));
        check("spinel+hdlc+uart:///dev/a%2", Err(E::Escape("/dev/a%2".into())));
        check("spinel+hdlc+uart:///dev/a%zz", Err(E::Escape("/dev/a%zz".into())));
        check("spinel+hdlc+uart:///dev/a%00", Err(E::Zero("/dev/a%00".into())));
        for baud in ["", "fast", "-1", "+115200", "0", "9599", "4000001", "99999999999"] {
            let text = format!("spinel+hdlc+uart:///dev/a?baud={baud}");
            check(&text, Err(E::Baud(baud.into())));
        }
        check("spinel+hdlc+uart:///dev/a?flow=xon", Err(E::Flow("xon".into())));
        check("spinel+hdlc+uart:///dev/a?flow=hw&flow=hw", Err(E::Twice("flow")));
        check("spinel+hdlc+uart:///dev/a?baud=9600&baud=9600", Err(E::Twice("baud")));
        let stranger = |name: &str, known| Err(E::Parameter { name: name.into(), known });
        check("spinel+hdlc+uart:///dev/a?speed=1", stranger("speed", UART_PARAMETERS));
        check("spinel+hdlc+uart:///dev/a?", stranger("", UART_PARAMETERS));
        check("spinel+hdlc+socket:///a?baud=9600", stranger("baud", SOCKET_PARAMETERS));
        check("spinel+hdlc+forkpty:///a?args=1", stranger("args", PROCESS_PARAMETERS));
        let many = format!("spinel+hdlc+forkpty:///a?arg=1{}", "&arg=1".repeat(ARGS_MAX));
        check(&many, Err(E::Args));
        check(&format!("spinel+hdlc+uart:///{}", "a".repeat(URL_OCTETS_MAX)), Err(E::TooLong));
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in "(spinel\\+hdlc\\+(uart|socket|forkpty)://)?.{0,80}") {
            if let Ok(url) = SerialUrl::parse(&text) {
                prop_assert_eq!(SerialUrl::parse(&url.to_string()), Ok(url));
            }
        }

        #[test]
        fn any_path_and_argument_survives(
            name in proptest::collection::vec(1u8.., 0..20),
            args in proptest::collection::vec(proptest::collection::vec(1u8.., 0..9), 0..4),
        ) {
            let mut path = b"/run/x".to_vec();
            path.extend(name);
            path.push(b'x');
            let url = SerialUrl { target: Target::Process {
                program: OsString::from_vec(path).into(),
                args: args.into_iter().map(OsString::from_vec).collect(),
            }};
            prop_assert_eq!(SerialUrl::parse(&url.to_string()), Ok(url));
        }
    }
}
