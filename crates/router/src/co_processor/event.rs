//! What happened to the co-processor, for people.

use core::fmt;
use lowgate_spinel::{Property, RCP_API_VERSION, RCP_API_VERSION_MIN, Status};
use lowgate_units::Eui64;

/// A step of initialisation or recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoProcessorEvent {
    /// We ask it to start afresh, for the nth time in a row.
    Resetting {
        /// From 1 on.
        attempt: u32,
    },
    /// It started afresh.
    Restarted(Status),
    /// Its last words of the life before: why its program gave up.
    LastWords(String),
    /// It said what it is.
    Identified {
        /// Its firmware.
        version: String,
        /// Its own address, if it has one.
        eui64: Option<Eui64>,
        /// Level of its interface.
        api: u32,
    },
    /// It is of no use to us. We look again later; new firmware helps.
    Incompatible(Incompatibility),
    /// It takes and delivers frames, or waits for its first configuration.
    Ready,
    /// It did not say how a transmission ended. That is the line's fault, or the next one will be lost too.
    EndUntold,
    /// It does not any more, and we begin again.
    Lost(Fault),
    /// The line is gone.
    LineClosed,
    /// The line is to be opened again.
    Reopening,
}

/// What a co-processor lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incompatibility {
    /// It speaks another major version of Spinel.
    Protocol {
        /// Which.
        major: u32,
    },
    /// It is no radio: it has neither of the two capabilities.
    NoRawLink,
    /// Its interface is too old; 0 if it does not say.
    ApiTooOld {
        /// Level.
        api: u32,
    },
    /// It wants a newer host.
    HostTooOld {
        /// Level.
        needed: u32,
    },
    /// Its radio leaves retries, acknowledgements or channel access to the host.
    NoLinkMachine {
        /// Its radio's capabilities.
        caps: u32,
    },
}

/// Why a co-processor is not trusted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It did not say that it started afresh.
    NoReset,
    /// It did not answer about this property.
    NoAnswer(Property),
    /// It refused.
    Refused(Property, Status),
    /// Its answer makes no sense.
    Nonsense(Property),
    /// It started afresh by itself.
    UnexpectedReset(Status),
    /// It forgot that it streams: it started afresh, and the notice was lost.
    Forgot,
    /// Many frames in a row were damaged.
    Damaged,
}

impl fmt::Display for CoProcessorEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resetting { attempt } => write!(f, "co-processor: reset, attempt {attempt}"),
            Self::Restarted(status) => write!(f, "co-processor: started afresh ({status})"),
            // Whatever it says, it is one line.
            Self::LastWords(words) => {
                write!(f, "co-processor: its last words were: {}", words.escape_debug())
            }
            Self::Identified { version, eui64: Some(eui64), api } => {
                write!(f, "co-processor: {version}, address {eui64}, interface level {api}")
            }
            Self::Identified { version, eui64: None, api } => {
                write!(f, "co-processor: {version}, interface level {api}")
            }
            Self::Incompatible(what) => write!(f, "co-processor: cannot be used: {what}"),
            Self::Ready => f.write_str("co-processor: ready"),
            Self::EndUntold => f.write_str("co-processor: no word of how a transmission ended"),
            Self::Lost(fault) => write!(f, "co-processor: lost: {fault}"),
            Self::LineClosed => f.write_str("co-processor: lost: its serial line is closed"),
            Self::Reopening => {
                f.write_str("co-processor: resets do not help; its serial line is opened again")
            }
        }
    }
}

impl fmt::Display for Incompatibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol { major } => {
                write!(f, "it speaks Spinel {major}, we speak 4; flash a current ot-rcp image")
            }
            Self::NoRawLink => {
                f.write_str("it is no radio co-processor; flash an ot-rcp image, not ot-ncp")
            }
            Self::ApiTooOld { api } => write!(
                f,
                "interface level {api} is too old, we need {RCP_API_VERSION_MIN}; flash a current \
                 ot-rcp image"
            ),
            Self::HostTooOld { needed } => write!(
                f,
                "it wants a host of level {needed}, ours is {RCP_API_VERSION}; update this program, or \
                 flash an older ot-rcp image"
            ),
            Self::NoLinkMachine { caps } => write!(
                f,
                "its radio does not retry by itself (capabilities {caps:#x}); use another radio"
            ),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReset => f.write_str("no word of its reset"),
            Self::NoAnswer(property) => write!(f, "no answer about its {property}"),
            Self::Refused(property, status) => {
                write!(f, "about its {property} it says: {status}")
            }
            Self::Nonsense(property) => {
                write!(f, "what it says about its {property} makes no sense")
            }
            Self::UnexpectedReset(status) => write!(f, "it started afresh ({status})"),
            Self::Forgot => f.write_str("it forgot its configuration"),
            Self::Damaged => f.write_str("damaged frames in a row"),
        }
    }
}
