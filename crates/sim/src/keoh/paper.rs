//! What the draft measured.

use lowgate_units::Duration;

/// "15s timeout" of figure 4.
pub const LIMIT: Duration = Duration::from_secs(15);
/// Figure 4's axis, at its labels.
pub const LOSSES: [f64; 6] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5];

/// Table 2, figure 4 and section 5.4 of draft-keoh-lwig-dtls-iot-01.
#[derive(Clone, Copy, Debug)]
pub struct Paper {
    /// Table 2, "No. of Message".
    pub messages: usize,
    /// Table 2, "No. of round trips".
    pub round_trips: usize,
    /// Table 2, "802.15.4 headers".
    pub mac: usize,
    /// Table 2, "6LowPAN headers": 40 octets a message, so that IPv6 was not compressed.
    pub lowpan: usize,
    /// Table 2, "UDP headers".
    pub udp: usize,
    /// Table 2, "Application".
    pub app: usize,
    /// Table 2, "TOTAL".
    pub total: usize,
    /// Figure 4 at [`LOSSES`], read off the drawing to the nearest of its lines, in percent; at 0.5 what the text says:
    /// "practically no DTLS handshake would be successful".
    pub success_15s: [f64; 6],
    /// Section 5.4: "could take up to 24s" at a loss of 0.5.
    pub seconds_at_half: f64,
    /// Section 5.4: "up to 35 or more messages" at a loss of 0.5.
    pub messages_at_half: usize,
}

impl Paper {
    /// The only one.
    pub const KEOH: Self = Self {
        messages: 12,
        round_trips: 4,
        mac: 168,
        lowpan: 480,
        udp: 96,
        app: 487,
        total: 1231,
        success_15s: [100.0, 90.0, 70.0, 30.0, 10.0, 0.0],
        seconds_at_half: 24.0,
        messages_at_half: 35,
    };
}
