//! The settings page: who a device is, written by its maker and never by the device.
//!
//! ```text
//! magic:4 "LGS1"  eui64:8  channels:2  identity_len:1  psk_len:1  identity  psk  crc32:4
//! ```
//!
//! Numbers are little endian, the EUI-64 is in the order it is printed. Bit 0 of `channels` is channel 11;
//! none means all. The check covers everything before it.
//!
//! **Invariant:** a page that is not wholly right is no settings at all.

use crate::crc::crc32;
use heapless::Vec;
use lowgate_dtls::{IDENTITY_OCTETS_MAX, Psk};
use lowgate_units::{Channel, Eui64};

/// Octets of the longest page.
pub const SETTINGS_OCTETS_MAX: usize = HEAD_OCTETS + IDENTITY_OCTETS_MAX + PSK_OCTETS_MAX + 4;
/// A key shorter than that can be tried out.
pub const PSK_OCTETS_MIN: usize = 16;
/// RFC 4279 section 5.3 wants keys of 64 octets supported.
pub const PSK_OCTETS_MAX: usize = 64;

const MAGIC: &[u8; 4] = b"LGS1";
const HEAD_OCTETS: usize = 16;
const CHANNEL_FIRST: u8 = 11;
const CHANNELS: u8 = 16;

/// A page's octets, for whoever writes one. They hold a key.
pub type SettingsOctets = Vec<u8, SETTINGS_OCTETS_MAX>;

/// Who a device is.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its address.
    pub eui64: Eui64,
    /// Where it looks for a network; at least one.
    pub channels: Vec<Channel, 16>,
    /// What it calls itself in the handshake.
    pub identity: Vec<u8, IDENTITY_OCTETS_MAX>,
    /// What it proves that with.
    pub psk: Psk,
}

/// Why a page is no settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsFault {
    /// Nobody wrote it.
    Empty,
    /// Its check or a length is wrong.
    Damaged,
    /// It could not be read.
    Unreadable,
}

impl Settings {
    /// From the beginning of the page.
    ///
    /// # Errors
    /// Nobody wrote it, or not all of it is there.
    pub fn parse(page: &[u8]) -> Result<Self, SettingsFault> {
        if page.iter().all(|octet| *octet == 0xff) {
            return Err(SettingsFault::Empty);
        }
        Self::parse_written(page).ok_or(SettingsFault::Damaged)
    }

    fn parse_written(page: &[u8]) -> Option<Self> {
        let (head, body) = page.split_first_chunk::<HEAD_OCTETS>()?;
        let [m0, m1, m2, m3, e0, e1, e2, e3, e4, e5, e6, e7, c0, c1, identity_len, psk_len] = *head;
        let (identity, body) = body.split_at_checked(identity_len.into())?;
        let (psk, check) = body.split_at_checked(psk_len.into())?;
        let covered = page.len() - check.len();
        let (check, _) = check.split_first_chunk::<4>()?;
        let is_whole = crc32(page.get(..covered)?) == u32::from_le_bytes(*check);
        let fits =
            [m0, m1, m2, m3] == *MAGIC && !identity.is_empty() && psk.len() >= PSK_OCTETS_MIN;
        (is_whole && fits).then_some(())?;
        Some(Self {
            eui64: Eui64([e0, e1, e2, e3, e4, e5, e6, e7]),
            channels: channels(u16::from_le_bytes([c0, c1])),
            identity: Vec::from_slice(identity).ok()?,
            psk: Psk::new(psk)?,
        })
    }

    /// The page. `None` if the identity is empty or the key shorter than [`PSK_OCTETS_MIN`].
    pub fn emit(&self) -> Option<SettingsOctets> {
        let psk = self.psk.expose();
        if self.identity.is_empty() || psk.len() < PSK_OCTETS_MIN {
            return None;
        }
        let mask = self.channels.iter().map(|it| 1 << (it.number() - CHANNEL_FIRST));
        let mask = mask.fold(0_u16, |all, one| all | one).to_le_bytes();
        let lens = [u8::try_from(self.identity.len()).ok()?, u8::try_from(psk.len()).ok()?];
        let mut page = SettingsOctets::new();
        for part in [&MAGIC[..], &self.eui64.0, &mask, &lens, &self.identity, psk] {
            page.extend_from_slice(part).ok()?;
        }
        let check = crc32(&page).to_le_bytes();
        page.extend_from_slice(&check).ok()?;
        Some(page)
    }
}

fn channels(mask: u16) -> Vec<Channel, 16> {
    let named = |bit: &u8| mask == 0 || mask >> bit & 1 == 1;
    (0..CHANNELS).filter(named).filter_map(|bit| Channel::new(CHANNEL_FIRST + bit)).collect()
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec as StdVec;

    fn settings(identity: &[u8], psk: &[u8]) -> Settings {
        Settings {
            eui64: Eui64([2, 0, 0, 0, 0, 0, 0, 9]),
            channels: channels(1 << 4),
            identity: Vec::from_slice(identity).expect("short"),
            psk: Psk::new(psk).expect("a key"),
        }
    }

    #[test]
    fn a_page_comes_back() {
        let light = settings(b"light", &[7; 16]);
        let mut page = [0xff; SETTINGS_OCTETS_MAX];
        let octets = light.emit().expect("right");
        page[..octets.len()].copy_from_slice(&octets);
        assert!(Settings::parse(&page) == Ok(light.clone()));
        assert_eq!(light.channels, [Channel::new(15).expect("in the band")]);
        assert_eq!(channels(0).len(), 16);
    }

    #[test]
    fn nobody_wrote_it() {
        assert_eq!(Settings::parse(&[0xff; 64]).err(), Some(SettingsFault::Empty));
    }

    #[test]
    fn any_bit_that_changed_is_damage() {
        let octets = settings(b"light", &[7; 16]).emit().expect("right");
        for bit in 0..8 * octets.len() {
            let mut page = octets.clone();
            page[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Settings::parse(&page).err(), Some(SettingsFault::Damaged), "bit {bit}");
        }
        for end in 1..octets.len() {
            assert_eq!(Settings::parse(&octets[..end]).err(), Some(SettingsFault::Damaged));
        }
    }

    #[test]
    fn nobody_without_a_name_and_no_short_key() {
        assert!(settings(b"", &[7; 16]).emit().is_none());
        assert!(settings(b"light", &[7; 15]).emit().is_none());
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_alike(page: StdVec<u8>) {
            if let Ok(read) = Settings::parse(&page) {
                prop_assert!(page.starts_with(&read.emit().expect("it was read")));
            }
        }
    }
}
