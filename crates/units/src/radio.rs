//! What a radio says of a frame, and where it listens.

/// Received signal strength in dBm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rssi(pub i8);

/// Link quality indication, 0 (worst) to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lqi(pub u8);

/// A channel of the 2.4 GHz O-QPSK PHY, 11 to 26.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel(u8);

impl Channel {
    /// `None` outside 11..=26.
    pub const fn new(number: u8) -> Option<Self> {
        if number >= 11 && number <= 26 { Some(Self(number)) } else { None }
    }

    /// The channel number.
    pub const fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_lies_in_the_band() {
        assert!(Channel::new(10).is_none());
        assert_eq!(Channel::new(11).map(Channel::number), Some(11));
        assert_eq!(Channel::new(26).map(Channel::number), Some(26));
        assert!(Channel::new(27).is_none());
    }
}
