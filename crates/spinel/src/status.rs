//! How an operation ended, and why a co-processor was reset.

use crate::pack::PackDrop;
use core::fmt;

/// Value of [`Property::LAST_STATUS`](crate::Property::LAST_STATUS). An open set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status(pub u32);

impl Status {
    /// Done.
    pub const OK: Self = Self(0);
    /// For no reason given.
    pub const FAILURE: Self = Self(1);
    /// Not built in.
    pub const UNIMPLEMENTED: Self = Self(2);
    /// Such a value cannot be.
    pub const INVALID_ARGUMENT: Self = Self(3);
    /// Not now.
    pub const INVALID_STATE: Self = Self(4);
    /// No such command.
    pub const INVALID_COMMAND: Self = Self(5);
    /// No such interface.
    pub const INVALID_INTERFACE: Self = Self(6);
    /// The value's octets make no sense.
    pub const PARSE_ERROR: Self = Self(9);
    /// Out of memory.
    pub const NOMEM: Self = Self(11);
    /// Something else is under way.
    pub const BUSY: Self = Self(12);
    /// No such property.
    pub const PROP_NOT_FOUND: Self = Self(13);
    /// The frame was dropped.
    pub const DROPPED: Self = Self(14);
    /// Nobody acknowledged it.
    pub const NO_ACK: Self = Self(17);
    /// The channel was never free.
    pub const CCA_FAILURE: Self = Self(18);
    /// It is not among those that there are.
    pub const ITEM_NOT_FOUND: Self = Self(20);
    /// That property does not take this command.
    pub const INVALID_COMMAND_FOR_PROP: Self = Self(21);
    /// It got power.
    pub const RESET_POWER_ON: Self = Self(112);
    /// Its reset pin was pulled.
    pub const RESET_EXTERNAL: Self = Self(113);
    /// The host wanted it.
    pub const RESET_SOFTWARE: Self = Self(114);
    /// Its processor met a fault.
    pub const RESET_FAULT: Self = Self(115);
    /// Its program gave up over a mistake of its own.
    pub const RESET_CRASH: Self = Self(116);
    /// For another reason than all of these.
    pub const RESET_OTHER: Self = Self(118);
    /// Nobody knows.
    pub const RESET_UNKNOWN: Self = Self(119);
    /// Its watchdog found it stuck.
    pub const RESET_WATCHDOG: Self = Self(120);
    const RESET_END: Self = Self(128);

    /// It tells of a reset.
    pub fn is_reset(self) -> bool {
        self >= Self::RESET_POWER_ON && self < Self::RESET_END
    }
}

impl From<PackDrop> for Status {
    /// As a co-processor answers.
    fn from(_: PackDrop) -> Self {
        Self::PARSE_ERROR
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::OK => "ok",
            Self::FAILURE => "failure",
            Self::UNIMPLEMENTED => "unimplemented",
            Self::INVALID_ARGUMENT => "invalid argument",
            Self::INVALID_STATE => "invalid state",
            Self::INVALID_COMMAND => "invalid command",
            Self::INVALID_INTERFACE => "invalid interface",
            Self::PARSE_ERROR => "parse error",
            Self::NOMEM => "out of memory",
            Self::BUSY => "busy",
            Self::PROP_NOT_FOUND => "no such property",
            Self::DROPPED => "dropped",
            Self::NO_ACK => "no acknowledgement",
            Self::CCA_FAILURE => "channel busy",
            Self::ITEM_NOT_FOUND => "not among them",
            Self::INVALID_COMMAND_FOR_PROP => "invalid command for the property",
            Self::RESET_POWER_ON => "power came on",
            Self::RESET_EXTERNAL => "reset by its pin",
            Self::RESET_SOFTWARE => "reset by software",
            Self::RESET_FAULT => "reset after a fault of the processor",
            Self::RESET_CRASH => "reset after its program gave up",
            Self::RESET_OTHER => "reset for another reason",
            Self::RESET_UNKNOWN => "reset for no known reason",
            Self::RESET_WATCHDOG => "reset by its watchdog",
            Self(other) => return write!(f, "status {other}"),
        };
        f.write_str(name)
    }
}
