//! A build without keys of pairs (feature `pairs`): nothing of them.

use crate::api::{Event, NodeConfig};
use crate::flash::Record;
use crate::node::Node;
use crate::pair_event::PairEvent;
use lowgate_amikey::pairs::Offered;
use lowgate_coap::{Request, RequestId, Response};
use lowgate_net::UdpReceived;
use lowgate_units::{Eui64, Instant, Ipv6Addr, Prng};

pub(crate) const fn is_on(_: &NodeConfig) -> bool {
    false
}

pub(crate) struct Pairs;

impl Pairs {
    pub(crate) const fn new(
        _: Instant,
        _: &NodeConfig,
        _: &[Record],
        _: (&[u8; 32], &Prng),
    ) -> Self {
        Self
    }
}

impl Node {
    pub(crate) const fn pairs_offered(&mut self, _: Instant, _: Offered) {}

    pub(crate) const fn pairs_begin_anew(&mut self) {}

    pub(crate) const fn take_from_pair(&mut self, _: Instant, _: &mut UdpReceived) {}

    pub(crate) fn ask_pair(&mut self, _: Instant, (peer, _): (Eui64, Ipv6Addr), _: Request) {
        self.event(Event::Pair(PairEvent::no_share(peer)));
    }

    pub(crate) const fn pairs_answered(
        &mut self,
        _: Instant,
        _: RequestId,
        _: Option<&Response>,
    ) -> bool {
        false
    }

    pub(crate) const fn pair_share_stored(&mut self, _: Instant) {}

    pub(crate) const fn drain_pairs(&mut self, _: Instant) -> bool {
        self.pairs.waits(Instant::FAR_FUTURE);
        false
    }
}
