//! What the inventory knows of one device, and where the device stands.

use lowgate_amikey::{GroupId, Role};
use lowgate_crypto::Secret;
use lowgate_units::{Eui64, PanId, ShortAddr};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// Octets of the longest PSK identity (RFC 4279 section 5.3: at least 128 must be supported).
pub const IDENTITY_OCTETS_MAX: usize = 128;
/// Octets of the shortest pre-shared key: 128 bits of strength.
pub const PSK_OCTETS_MIN: usize = 16;
/// Octets of the longest pre-shared key (RFC 4279 section 5.3: at least 64 must be supported).
pub const PSK_OCTETS_MAX: usize = 64;
/// Octets of the longest name of a device, room or group.
pub const LABEL_OCTETS_MAX: usize = 64;
/// Groups one device may be in: what its tables hold. A border router is in those of its PAN's members.
pub const GROUPS_PER_DEVICE_MAX: usize = 4;

/// The PSK identity a device presents, compared octet by octet; 1 to [`IDENTITY_OCTETS_MAX`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity(Vec<u8>);

impl Identity {
    /// `None` if empty or longer than [`IDENTITY_OCTETS_MAX`].
    pub fn new(octets: &[u8]) -> Option<Self> {
        (1..=IDENTITY_OCTETS_MAX).contains(&octets.len()).then(|| Self(octets.to_vec()))
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl From<Eui64> for Identity {
    fn from(eui64: Eui64) -> Self {
        Self(eui64.0.to_vec())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// A pre-shared key, [`PSK_OCTETS_MIN`] to [`PSK_OCTETS_MAX`] octets. It never prints.
#[derive(Clone, PartialEq, Eq)]
pub struct DevicePsk {
    /// Zeros follow the key.
    octets: Secret<PSK_OCTETS_MAX>,
    len: u8,
}

impl DevicePsk {
    /// `None` for a length outside the range.
    pub fn new(octets: &[u8]) -> Option<Self> {
        if !(PSK_OCTETS_MIN..=PSK_OCTETS_MAX).contains(&octets.len()) {
            return None;
        }
        let mut padded = Zeroizing::new([0; PSK_OCTETS_MAX]);
        padded[..octets.len()].copy_from_slice(octets);
        Some(Self { octets: Secret::new(*padded), len: octets.len() as u8 })
    }

    /// The key itself: for the handshake and for the store, nowhere else.
    pub fn expose(&self) -> &[u8] {
        &self.octets.expose()[..usize::from(self.len)]
    }
}

impl fmt::Debug for DevicePsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What a device is, as the installer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The mesh's way out: joins over the building's network and needs no open window.
    BorderRouter,
    /// A luminaire.
    Light,
    /// A wall switch.
    Switch,
    /// A sensor.
    Sensor,
}

impl Kind {
    /// The word for it in files, tables and commands.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BorderRouter => "border-router",
            Self::Light => "light",
            Self::Switch => "switch",
            Self::Sensor => "sensor",
        }
    }

    /// The inverse of [`Kind::word`].
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::BorderRouter, Self::Light, Self::Switch, Self::Sensor]
            .into_iter()
            .find(|kind| kind.word() == word)
    }
}

/// One line of the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Who.
    pub eui64: Eui64,
    /// What it calls itself in the handshake; by default the octets of its EUI-64.
    pub identity: Identity,
    /// What it proves itself with.
    pub psk: DevicePsk,
    /// What it is.
    pub kind: Kind,
    /// What people call it, at most [`LABEL_OCTETS_MAX`] octets.
    pub name: String,
    /// Where it hangs, at most [`LABEL_OCTETS_MAX`] octets.
    pub room: String,
    /// The groups it may be in, at most [`GROUPS_PER_DEVICE_MAX`], and as what. A border router's follow
    /// from who is in its PAN.
    pub groups: BTreeMap<GroupId, Role>,
}

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceState {
    /// In the inventory; it has not joined yet.
    Expected,
    /// A member of the domain.
    Admitted {
        /// The PAN it is in.
        pan: PanId,
        /// Its short address there.
        short: ShortAddr,
    },
    /// Expelled; it is never admitted again.
    Revoked {
        /// The PAN and the address it had, which nobody gets again.
        last: Option<(PanId, ShortAddr)>,
    },
}

impl DeviceState {
    /// The word for it in tables and commands.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Admitted { .. } => "admitted",
            Self::Revoked { .. } => "revoked",
        }
    }
}

/// A device of the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The inventory's line.
    pub record: DeviceRecord,
    /// Where it stands.
    pub state: DeviceState,
}

impl Device {
    /// Its PAN, while it is a member.
    pub const fn pan(&self) -> Option<PanId> {
        match self.state {
            DeviceState::Admitted { pan, .. } => Some(pan),
            DeviceState::Expected | DeviceState::Revoked { .. } => None,
        }
    }

    /// Its address in its PAN, while it is a member.
    pub const fn short(&self) -> Option<ShortAddr> {
        match self.state {
            DeviceState::Admitted { short, .. } => Some(short),
            DeviceState::Expected | DeviceState::Revoked { .. } => None,
        }
    }

    /// Whether it is expelled.
    pub const fn is_revoked(&self) -> bool {
        matches!(self.state, DeviceState::Revoked { .. })
    }

    /// Whether it is a border router.
    pub fn is_border_router(&self) -> bool {
        self.record.kind == Kind::BorderRouter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_guarded_at_the_door() {
        assert!(Identity::new(&[]).is_none() && Identity::new(&[0; 129]).is_none());
        assert_eq!(Identity::new(&[7; 128]).map(|i| i.octets().len()), Some(128));
        assert!(DevicePsk::new(&[1; 15]).is_none() && DevicePsk::new(&[1; 65]).is_none());
        assert_eq!(DevicePsk::new(&[1; 17]).map(|psk| psk.expose().to_vec()), Some(vec![1; 17]));
        assert_eq!(format!("{:?}", DevicePsk::new(&[1; 16])), "Some((secret))");
    }

    #[test]
    fn words_come_back() {
        for kind in [Kind::BorderRouter, Kind::Light, Kind::Switch, Kind::Sensor] {
            assert_eq!(Kind::from_word(kind.word()), Some(kind));
        }
    }
}
