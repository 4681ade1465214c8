//! The one machine: everything else in this crate is a part of it.

use crate::api::{NetInput, NetOutput, SendRefused, StackConfig, UdpSend};
use lowgate_units::{Eui64, Instant, Ipv6Addr, Prng};

/// The IPv6 stack of one device. Feed it with [`Stack::handle`], then drain it with
/// [`Stack::poll`] to [`NetOutput::Wait`].
pub struct Stack {
    config: StackConfig,
    prng: Prng,
}

impl Stack {
    /// A stack that knows nobody. `prng` serves jitter alone.
    pub fn new(config: StackConfig, prng: Prng) -> Self {
        Self { config, prng }
    }

    /// Takes one input.
    pub fn handle(&mut self, _now: Instant, _input: NetInput<'_>) {
        let _ = (&self.config, self.prng.next_u64());
    }

    /// The next wish; call until it is [`NetOutput::Wait`], also when its time has come.
    pub fn poll(&mut self, _now: Instant) -> NetOutput {
        NetOutput::Wait { until: Instant::FAR_FUTURE }
    }

    /// Sends a datagram, to a group too.
    ///
    /// # Errors
    /// [`SendRefused`] says why nothing was sent.
    pub fn udp_send(&mut self, _now: Instant, _send: UdpSend<'_>) -> Result<(), SendRefused> {
        Err(SendRefused::Detached)
    }

    /// Asks `dst` for an echo (RFC 4443 section 4.1); the answer is
    /// [`NetEvent::EchoReply`](crate::NetEvent::EchoReply).
    ///
    /// # Errors
    /// [`SendRefused`] says why nothing was sent.
    pub fn ping(
        &mut self,
        _now: Instant,
        _dst: Ipv6Addr,
        _identifier: u16,
        _sequence: u16,
        _payload: &[u8],
    ) -> Result<(), SendRefused> {
        Err(SendRefused::Detached)
    }

    /// Our global address, once a parent told the prefix.
    pub fn global_addr(&self) -> Option<Ipv6Addr> {
        None
    }

    /// Our link-local address, which always exists.
    pub fn link_local_addr(&self) -> Ipv6Addr {
        lowgate_units::Iid::from(self.config.eui64).link_local()
    }

    /// The root's global address, once a parent told it.
    pub fn root_addr(&self) -> Option<Ipv6Addr> {
        None
    }

    /// The preferred parent.
    pub fn parent(&self) -> Option<Eui64> {
        None
    }

    /// Our rank (in units of 1/128 ETX), `u16::MAX` without a parent.
    pub fn rank(&self) -> u16 {
        u16::MAX
    }

    /// Hops to the root as last confirmed; 0 for the root itself.
    pub fn hops(&self) -> Option<u8> {
        None
    }

    /// Registered, and the root confirmed our route (a root: always).
    pub fn is_attached(&self) -> bool {
        false
    }
}
