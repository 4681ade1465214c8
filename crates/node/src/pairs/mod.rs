//! Keys of pairs on a device: its share of the domain's polynomial, and sessions with other devices in which nobody
//! else has a part, the manager neither.
//!
//! **Invariant:** a share is used once storage holds it. Only what came over the secured mesh gets here.

mod fetch;
mod shares;
mod talk;

use crate::api::{Event, Kind, NodeConfig, Output};
use crate::flash::{PART_NAMES_MAX, Record};
use crate::keys::Pending;
use crate::node::{CoapPeer, Node};
use crate::pair_event::PairEvent;
use alloc::vec::Vec;
use fetch::{Fetch, Fetched, What};
use lowgate_amikey::pairs::{Offered, ShareFault, parse_share};
use lowgate_coap::{Reliability, Request, RequestId, Response};
use lowgate_crypto::{Secret, hkdf_sha256};
use lowgate_net::{UdpReceived, UdpSend};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Eui64, Instant, Ipv6Addr, Prng};
use shares::{Held, Shares};
use talk::{Talk, Wish};
use zeroize::Zeroizing;

/// Whether this device has keys with others.
pub(crate) const fn is_on(config: &NodeConfig) -> bool {
    config.pairs && !matches!(config.kind, Kind::BorderRouter)
}

/// All of it. Who has none spends no memory on it.
pub(crate) struct Pairs(Option<alloc::boxed::Box<On>>);

struct On {
    shares: Shares,
    fetch: Fetch,
    talk: Talk,
    /// On its way into storage.
    storing: Option<Held>,
}

impl Pairs {
    /// As storage holds it; `boot` is this boot's secret.
    pub(crate) fn new(
        now: Instant,
        config: &NodeConfig,
        records: &[Record],
        (boot, prng): (&[u8; 32], &Prng),
    ) -> Self {
        if !is_on(config) {
            return Self(None);
        }
        let mut secret = Zeroizing::new([0; 32]);
        hkdf_sha256(b"", boot, &[b"lowgate pair draws v1"], &mut secret[..]);
        let shares = Shares::restored(now, config.eui64, records);
        let fetch = Fetch::new(shares.name(), prng.fork(1));
        let talk =
            Talk::new(config.ccm, config.retransmission, Secret::new(*secret), &prng.fork(2));
        Self(Some(alloc::boxed::Box::new(On { shares, fetch, talk, storing: None })))
    }

    fn record_alone(&self) -> Option<Record> {
        self.0.as_ref().and_then(|on| on.shares.record_alone())
    }

    fn on(&mut self) -> Option<&mut On> {
        self.0.as_deref_mut()
    }
}

impl Node {
    /// The manager says which polynomial is in force. A device that is new in a domain believes whatever that is.
    pub(crate) fn pairs_offered(&mut self, now: Instant, offered: Offered) {
        if let Some(on) = self.pairs.on() {
            on.fetch.offer(now, offered);
        }
    }

    /// It has no network: what it held is of another domain, or will be told again.
    pub(crate) fn pairs_begin_anew(&mut self) {
        let prng = Prng::new(self.prng.fork(1).next_u64());
        if let Some(on) = self.pairs.on() {
            on.fetch = Fetch::new(None, prng);
        }
    }

    pub(crate) fn take_from_pair(&mut self, now: Instant, datagram: &mut UdpReceived) {
        let way = (datagram.src, datagram.src_port, datagram.dst_port);
        if let Some(On { talk, shares, .. }) = self.pairs.on() {
            talk.datagram(now, way, &mut datagram.payload, shares);
        }
    }

    /// Asks another device, in a session with it alone.
    pub(crate) fn ask_pair(&mut self, now: Instant, to: (Eui64, Ipv6Addr), request: Request) {
        match self.pairs.on() {
            Some(On { talk, shares, .. }) => talk.ask(now, to, request, shares),
            None => self.event(Event::Pair(PairEvent::no_share(to.0))),
        }
    }

    /// Whether the manager's answer was to a question of these.
    pub(crate) fn pairs_answered(
        &mut self,
        now: Instant,
        request: RequestId,
        response: Option<&Response>,
    ) -> bool {
        let Some(on) = self.pairs.on().filter(|on| on.fetch.awaits(request)) else { return false };
        let coap = &mut *self.coap;
        let Some(response) = response else {
            on.fetch.postpone(now);
            return true;
        };
        let ask = |request: &Request| {
            coap.request(now, CoapPeer::Manager, Reliability::Confirmable, request).ok()
        };
        match on.fetch.answered(now, response, ask) {
            Fetched::Nothing => {}
            Fetched::Whole(What::Lost, of, octets) => self.lost_fetched(now, of, &octets),
            Fetched::Whole(What::Share, of, told) => self.share_fetched(now, of, &told),
        }
        true
    }

    /// Who is kept out is so at once; storage follows.
    fn lost_fetched(&mut self, now: Instant, of: Offered, octets: &[u8]) {
        let (names, _) = octets.as_chunks();
        let names: Vec<Eui64> = names.iter().map(|octets| Eui64(*octets)).collect();
        let Some(on) = self.pairs.on() else { return };
        on.shares.lose(&names);
        // Fewer than were offered: they are asked for again, but not at once.
        match u16::try_from(names.len()) {
            Ok(count) if count >= of.lost => on.fetch.lost_known(now, of.name, count),
            Ok(_) | Err(_) => on.fetch.postpone(now),
        }
        on.talk.end_keyless(now, &on.shares);
        let lost = on.shares.lost().to_vec();
        for (part, names) in (0..).zip(lost.chunks(PART_NAMES_MAX)) {
            let names = names.iter().copied().collect();
            self.store(Record::PairsLost { part, names }, Pending::Nothing);
        }
        self.event(Event::Pair(PairEvent::LostKnown(lost.len())));
    }

    fn share_fetched(&mut self, now: Instant, of: Offered, told: &[u8]) {
        let own = self.config.eui64;
        let Some(on) = self.pairs.on() else { return };
        let coefficients = match parse_share(told, of, own) {
            Ok(coefficients) => Zeroizing::new(coefficients.to_vec()),
            Err(fault) => return self.share_refused(now, fault),
        };
        let held = Held { name: of.name, coefficients };
        let records = on.shares.records_with(&held);
        on.storing = Some(held);
        let (last, parts) = records.split_last().expect("one names it");
        for record in parts {
            self.store(record.clone(), Pending::Nothing);
        }
        self.store(last.clone(), Pending::PairShare);
        if planted(Fault::PairShareUnstored) {
            self.pair_share_stored(now);
        }
    }

    fn share_refused(&mut self, now: Instant, fault: ShareFault) {
        if let Some(on) = self.pairs.on() {
            on.fetch.postpone(now);
        }
        self.event(Event::Pair(PairEvent::ShareRefused(fault)));
    }

    /// Storage has all of the share that is on its way.
    pub(crate) fn pair_share_stored(&mut self, now: Instant) {
        let Some(on) = self.pairs.on() else { return };
        let Some(held) = on.storing.take() else { return };
        let name = held.name;
        on.shares.install(now, held);
        on.fetch.stored(now, name);
        on.talk.end_keyless(now, &on.shares);
        self.event(Event::Pair(PairEvent::ShareStored(name)));
    }

    /// Returns whether anything happened.
    pub(crate) fn drain_pairs(&mut self, now: Instant) -> bool {
        if !self.pairs.is_due(now) {
            return false;
        }
        let asked = self.fetch_if_due(now);
        let Some(on) = self.pairs.on() else {
            self.pairs.waits(Instant::FAR_FUTURE);
            return false;
        };
        let expired = on.shares.expire(now);
        if expired.is_some() {
            on.talk.end_keyless(now, &on.shares);
        }
        let mut wishes = Vec::new();
        while let Some(wish) = on.talk.poll(now, &on.shares) {
            wishes.push(wish);
        }
        let moved = asked || !wishes.is_empty();
        let until = on.talk.until(now).min(on.shares.until()).min(on.fetch.due());
        self.pairs.waits(until);
        if let Some(expired) = expired {
            let alone = self.pairs.record_alone();
            alone.into_iter().for_each(|record| self.store(record, Pending::Nothing));
            expired.keys().for_each(|key| self.push(Output::Erase(key)));
        }
        wishes.into_iter().for_each(|wish| self.grant(now, wish));
        moved
    }

    /// Asks the manager when it can be heard. Returns whether it was asked.
    fn fetch_if_due(&mut self, now: Instant) -> bool {
        let is_reachable = self.joiner.is_member() && self.net.is_attached();
        let Some(on) = self.pairs.on().filter(|on| now >= on.fetch.due()) else { return false };
        if !is_reachable {
            on.fetch.wait(now);
            return false;
        }
        let Some((what, of, request)) = on.fetch.next(now) else { return false };
        match self.coap.request(now, CoapPeer::Manager, Reliability::Confirmable, &request) {
            Ok(id) => on.fetch.asked((what, of), id),
            Err(_) => on.fetch.postpone(now),
        }
        true
    }

    fn grant(&mut self, now: Instant, wish: Wish) {
        match wish {
            Wish::Event(event) => self.event(Event::Pair(event)),
            Wish::Serve { exchange, peer, request } => {
                let response = self.ask_app_for(now, peer, &request);
                if let Some(on) = self.pairs.on() {
                    on.talk.respond(now, exchange, &response);
                }
            }
            Wish::Send { dst, src_port, dst_port, octets } => {
                let payload = &octets[..];
                self.udp_send(now, UdpSend { dst, src_port, dst_port, secured: true, payload });
                self.event(Event::Pair(PairEvent::Sent { dst, dst_port, octets }));
            }
        }
    }
}
