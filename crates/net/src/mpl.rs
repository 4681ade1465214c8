//! The MPL forwarder and seed, RFC 7731: multicast by controlled flooding.
//!
//! **Invariant:** a message is accepted once; a sequence number of ours leaves only after storage
//! holds a reservation that covers it.

use crate::api::Packet;
use crate::trickle::{Fire, Trickle, TrickleParameters};
use crate::wire::mpl::{SeedInfo, parse};
use crate::wire::options::{MplOption, SeedId};
use crate::wire::{Writer, ipv6};
use heapless::Vec;
use lowgate_units::{Duration, Instant, Ipv6Addr, List, Prng};

/// Multicast packets kept for forwarding and repair.
pub const MPL_MESSAGES_MAX: usize = 8;
/// The largest multicast packet, tunnel header included.
pub const MPL_PACKET_OCTETS_MAX: usize = 640;
/// Seeds heard whose sequence is remembered.
pub const MPL_SEEDS_MAX: usize = 32;
/// Sequence numbers reserved in storage at a time.
const SEQUENCE_BLOCK: u8 = 16;
/// A new reservation is asked for when fewer are left.
const SEQUENCES_LOW: u8 = 4;

/// Of a message in one frame. RFC 7731 section 5.5: Imin is 10 times the link latency of some 10 ms.
const DATA_INTERVAL_MIN: Duration = Duration::from_millis(128);
/// It doubles with every frame more, so many times at most.
const DATA_DOUBLINGS_MAX: u32 = 4;
/// Octets of a packet in one frame, headers that are compressed away included.
const FIRST_FRAME_OCTETS: usize = 160;
/// Octets of it in every further frame.
const NEXT_FRAME_OCTETS: usize = 88;
/// DATA_MESSAGE_TIMER_EXPIRATIONS.
const DATA_EXPIRATIONS: u8 = 3;
const CONTROL: TrickleParameters = TrickleParameters {
    interval_min: Duration::from_millis(512),
    interval_max: Duration::from_secs(16),
    redundancy: 1,
};
/// CONTROL_MESSAGE_TIMER_EXPIRATIONS.
const CONTROL_EXPIRATIONS: u8 = 10;
/// SEED_SET_ENTRY_LIFETIME.
const SEED_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// A message is offered to late neighbours for so long: an older command is history.
const MESSAGE_LIFETIME: Duration = Duration::from_secs(90);
/// Messages before the first one heard of a seed that are still welcome: floods may overtake.
const FIRST_SLACK: u8 = 4;
/// Entries of a control message; more seeds than that were not heard lately.
const CONTROL_SEEDS_MAX: usize = 8;
/// Octets of a bitmap: messages are never farther apart than serial arithmetic reaches.
const BITMAP_OCTETS_MAX: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Seed {
    id: SeedId,
    min_sequence: u8,
    /// The largest heard.
    largest: u8,
    heard_at: Instant,
}

#[derive(Clone, Debug)]
struct Message {
    seed: SeedId,
    sequence: u8,
    /// Where the option's flags lie in the packet.
    flags_at: usize,
    packet: List<u8, MPL_PACKET_OCTETS_MAX>,
    trickle: Trickle,
    expirations: u8,
    received_at: Instant,
}

/// RFC 1982 for eight bits: `a` is before `b`.
fn before(a: u8, b: u8) -> bool {
    (1..=127).contains(&b.wrapping_sub(a))
}

/// What to do with a multicast packet heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// New: deliver what it carries.
    Deliver,
    /// Had it.
    Duplicate,
    /// No room, or too large.
    Full,
}

/// What [`Mpl::poll`] wants sent, as link-layer broadcasts.
pub(crate) enum MplSend {
    /// A packet as it is.
    Data(Packet),
    /// The body of a control message.
    Control(Packet),
}

/// The timer of a message. With every frame more it takes longer until a neighbour is heard to send it, and costs
/// more if many begin before that.
fn data_parameters(packet_octets: usize) -> TrickleParameters {
    let further = packet_octets.saturating_sub(FIRST_FRAME_OCTETS).div_ceil(NEXT_FRAME_OCTETS);
    let doublings = (further as u32).min(DATA_DOUBLINGS_MAX);
    let interval_min = DATA_INTERVAL_MIN * (1 << doublings);
    TrickleParameters { interval_min, interval_max: 2 * interval_min, redundancy: 1 }
}

/// Seed set, buffered messages and the own sequence.
#[derive(Debug)]
pub(crate) struct Mpl {
    seeds: List<Seed, MPL_SEEDS_MAX>,
    messages: List<Message, MPL_MESSAGES_MAX>,
    control: Trickle,
    control_expirations: u8,
    own_next: u8,
    /// Numbers stored as reserved and not used yet.
    own_left: u8,
    /// A reservation is on its way to storage.
    own_asked: Option<u8>,
}

impl Mpl {
    pub(crate) fn new(own_next: u8) -> Self {
        Self {
            seeds: List::new(),
            messages: List::new(),
            control: Trickle::new(CONTROL),
            control_expirations: 0,
            own_next,
            own_left: 0,
            own_asked: None,
        }
    }

    /// Forgets all but the own sequence.
    pub(crate) fn clear(&mut self) {
        self.seeds.clear();
        self.messages.clear();
        self.control.stop();
    }

    /// The reservation to store, if one is needed and not under way.
    pub(crate) fn reserve(&mut self) -> Option<u8> {
        if self.own_asked.is_some() || self.own_left >= SEQUENCES_LOW {
            return None;
        }
        let through = self.own_next.wrapping_add(self.own_left).wrapping_add(SEQUENCE_BLOCK - 1);
        self.own_asked = Some(through);
        Some(through)
    }

    /// Storage holds the reservation.
    pub(crate) fn reserved(&mut self, through: u8) {
        if self.own_asked == Some(through) {
            self.own_asked = None;
            self.own_left = through.wrapping_sub(self.own_next).wrapping_add(1);
        }
    }

    /// The next sequence number of ours; `None` until storage holds it.
    pub(crate) fn take_sequence(&mut self) -> Option<u8> {
        self.own_left = self.own_left.checked_sub(1)?;
        let sequence = self.own_next;
        self.own_next = sequence.wrapping_add(1);
        Some(sequence)
    }

    /// Floods a packet of ours, whose option is the first of its hop-by-hop header.
    pub(crate) fn originate(
        &mut self,
        now: Instant,
        prng: &mut Prng,
        src: Ipv6Addr,
        sequence: u8,
        packet: &[u8],
    ) -> bool {
        let option = MplOption { seed: SeedId::Addr(src), largest: true, sequence };
        let accepted = self.accept(now, prng, &option, ipv6::HEADER_OCTETS + 4, packet);
        if let (true, Some(message)) = (accepted, self.find(option.seed, sequence)) {
            message.trickle.start_firing(now);
        }
        accepted
    }

    /// A multicast packet with this option is heard, its beginning at least. True if there is nothing new in it.
    ///
    /// Of a packet of several frames the first one counts: by the time that the last is heard, a crowd of
    /// neighbours would have begun to send the same.
    pub(crate) fn hear(&mut self, now: Instant, prng: &mut Prng, option: &MplOption) -> bool {
        self.expire(now);
        if option.largest {
            // RFC 7731 section 9.2: who says a smaller number is the largest lacks a message.
            self.offer(now, prng, |message| {
                message.seed == option.seed && before(option.sequence, message.sequence)
            });
        }
        if let Some(message) = self.find(option.seed, option.sequence) {
            message.trickle.hear();
            return true;
        }
        let known = self.seeds.iter().find(|seed| seed.id == option.seed);
        known.is_some_and(|seed| before(option.sequence, seed.min_sequence))
    }

    /// A whole multicast packet was heard; `flags_at` is where its option's data begin.
    pub(crate) fn data(
        &mut self,
        now: Instant,
        prng: &mut Prng,
        option: &MplOption,
        flags_at: usize,
        packet: &[u8],
    ) -> Verdict {
        if self.hear(now, prng, option) {
            return Verdict::Duplicate;
        }
        if self.accept(now, prng, option, flags_at, packet) {
            Verdict::Deliver
        } else {
            Verdict::Full
        }
    }

    /// Enters a message that is new; false if there is no room.
    fn accept(
        &mut self,
        now: Instant,
        prng: &mut Prng,
        option: &MplOption,
        flags_at: usize,
        packet: &[u8],
    ) -> bool {
        let Ok(packet) = List::from_slice(packet) else { return false };
        if !self.note_seed(now, option) {
            return false;
        }
        if self.messages.is_full() {
            self.evict();
        }
        let mut trickle = Trickle::new(data_parameters(packet.len()));
        trickle.start(now, prng);
        let message = Message {
            seed: option.seed,
            sequence: option.sequence,
            flags_at,
            packet,
            trickle,
            expirations: 0,
            received_at: now,
        };
        // Eviction may have moved the seed's lower bound past this very message.
        let wanted = self
            .seeds
            .iter()
            .any(|seed| seed.id == option.seed && !before(option.sequence, seed.min_sequence));
        if !wanted || self.messages.push(message).is_err() {
            return false;
        }
        self.restart_control(now, prng);
        true
    }

    fn note_seed(&mut self, now: Instant, option: &MplOption) -> bool {
        if let Some(seed) = self.seeds.iter_mut().find(|seed| seed.id == option.seed) {
            seed.heard_at = now;
            if before(seed.largest, option.sequence) {
                seed.largest = option.sequence;
            }
            return true;
        }
        if self.seeds.is_full() {
            // RFC 7731 section 7.3: an entry MUST NOT be freed within its lifetime; `expire` did
            // what may be done.
            return false;
        }
        let seed = Seed {
            id: option.seed,
            min_sequence: option.sequence.wrapping_sub(FIRST_SLACK),
            largest: option.sequence,
            heard_at: now,
        };
        self.seeds.push(seed).is_ok()
    }

    /// Makes room: the oldest message that is not forwarded any more, else the oldest.
    fn evict(&mut self) {
        let oldest = self
            .messages
            .iter()
            .min_by_key(|message| (message.trickle.is_running(), message.received_at))
            .map(|message| (message.seed, message.sequence));
        if let Some((seed, sequence)) = oldest {
            self.advance(seed, sequence.wrapping_add(1));
        }
    }

    /// Raises a seed's lower bound and drops its messages below (RFC 7731 section 7.4).
    fn advance(&mut self, id: SeedId, min_sequence: u8) {
        if let Some(seed) = self.seeds.iter_mut().find(|seed| seed.id == id)
            && before(seed.min_sequence, min_sequence)
        {
            seed.min_sequence = min_sequence;
        }
        self.messages
            .retain(|message| message.seed != id || !before(message.sequence, min_sequence));
    }

    fn expire(&mut self, now: Instant) {
        let old = |message: &&Message| now.since(message.received_at) >= MESSAGE_LIFETIME;
        while let Some((seed, sequence)) =
            self.messages.iter().find(old).map(|message| (message.seed, message.sequence))
        {
            self.advance(seed, sequence.wrapping_add(1));
        }
        self.seeds.retain(|seed| now.since(seed.heard_at) < SEED_LIFETIME);
    }

    fn find(&mut self, seed: SeedId, sequence: u8) -> Option<&mut Message> {
        self.messages
            .iter_mut()
            .find(|message| message.seed == seed && message.sequence == sequence)
    }

    /// Forwards again what `lacks` names; true if there was something.
    fn offer(&mut self, now: Instant, prng: &mut Prng, lacks: impl Fn(&Message) -> bool) -> bool {
        let mut any = false;
        for message in self.messages.iter_mut().filter(|message| lacks(message)) {
            any = true;
            message.expirations = 0;
            if message.trickle.is_running() {
                message.trickle.reset(now, prng);
            } else {
                message.trickle.start(now, prng);
            }
        }
        any
    }

    fn restart_control(&mut self, now: Instant, prng: &mut Prng) {
        self.control_expirations = 0;
        if self.control.is_running() {
            self.control.reset(now, prng);
        } else {
            self.control.start(now, prng);
        }
    }

    /// A control message was heard. False if it cannot be read.
    pub(crate) fn control(
        &mut self,
        now: Instant,
        prng: &mut Prng,
        src: Ipv6Addr,
        body: &[u8],
    ) -> bool {
        self.expire(now);
        let mut missing = false;
        let mut infos: Vec<SeedInfo<'_>, { 2 * CONTROL_SEEDS_MAX }> = Vec::new();
        let whole = parse(src, body, |info| {
            if self.lacks(&info) {
                missing = true;
                self.await_seed(now, &info);
            }
            // A message that lists more seeds than ours do only goes on unread.
            let _ = infos.push(info);
        });
        if !whole {
            return false;
        }
        let all_listed = infos.len() < CONTROL_SEEDS_MAX;
        let offered = self.offer(now, prng, |message| {
            match infos.iter().find(|info| info.seed == message.seed) {
                Some(info) => {
                    !before(message.sequence, info.min_sequence) && !info.buffers(message.sequence)
                }
                None => all_listed,
            }
        });
        if missing || offered {
            // RFC 7731 section 10.3: inconsistent either way.
            self.restart_control(now, prng);
        } else {
            self.control.hear();
        }
        true
    }

    /// A message of this seed is missing: our next control message says so by listing the seed
    /// among the latest.
    fn await_seed(&mut self, now: Instant, info: &SeedInfo<'_>) {
        if let Some(seed) = self.seeds.iter_mut().find(|seed| seed.id == info.seed) {
            seed.heard_at = now;
            return;
        }
        // Without room the seed stays unknown, and its absence from a short list says the same.
        let _ = self.seeds.push(Seed {
            id: info.seed,
            min_sequence: info.min_sequence,
            largest: info.min_sequence.wrapping_sub(1),
            heard_at: now,
        });
    }

    /// The neighbour buffers something of this seed that we never had.
    fn lacks(&self, info: &SeedInfo<'_>) -> bool {
        let seed = self.seeds.iter().find(|seed| seed.id == info.seed);
        info.sequences().any(|sequence| {
            seed.is_none_or(|seed| !before(sequence, seed.min_sequence))
                && !self
                    .messages
                    .iter()
                    .any(|message| message.seed == info.seed && message.sequence == sequence)
        })
    }

    /// When to poll next.
    pub(crate) fn due(&self) -> Instant {
        let data = self.messages.iter().map(|message| message.trickle.due()).min();
        data.unwrap_or(Instant::FAR_FUTURE).min(self.control.due())
    }

    /// The next thing to broadcast, if its time has come.
    pub(crate) fn poll(&mut self, now: Instant, prng: &mut Prng) -> Option<MplSend> {
        for i in 0..self.messages.len() {
            if self.messages[i].fire(now, prng) {
                let message = &self.messages[i];
                let largest = self
                    .seeds
                    .iter()
                    .any(|seed| seed.id == message.seed && seed.largest == message.sequence);
                return message.packet(largest).map(MplSend::Data);
            }
        }
        while let Some(fire) = self.fire_control(now, prng) {
            if fire == Fire::Transmit {
                self.expire(now);
                return self.control_body(now).map(MplSend::Control);
            }
        }
        None
    }

    fn fire_control(&mut self, now: Instant, prng: &mut Prng) -> Option<Fire> {
        while now >= self.control.due() {
            let Some(fire) = self.control.poll(now, prng) else { continue };
            self.control_expirations += 1;
            if self.control_expirations >= CONTROL_EXPIRATIONS {
                self.control.stop();
            }
            return Some(fire);
        }
        None
    }

    /// One entry per seed heard, the latest first (RFC 7731 section 10.1). Seeds silent for so long
    /// that nobody keeps a message of theirs are left out.
    fn control_body(&self, now: Instant) -> Option<Packet> {
        let recent = |seed: &&Seed| now.since(seed.heard_at) < MESSAGE_LIFETIME;
        let mut seeds: Vec<&Seed, MPL_SEEDS_MAX> = self.seeds.iter().filter(recent).collect();
        seeds.sort_unstable_by_key(|seed| (core::cmp::Reverse(seed.heard_at), seed.id));
        let mut out = Writer::default();
        for seed in seeds.iter().take(CONTROL_SEEDS_MAX) {
            let (bitmap, len) = self.bitmap(seed);
            let (seed, min_sequence) = (seed.id, seed.min_sequence);
            SeedInfo { seed, min_sequence, buffered: &bitmap[..len] }.emit(&mut out);
        }
        out.finish()
    }

    fn bitmap(&self, seed: &Seed) -> ([u8; BITMAP_OCTETS_MAX], usize) {
        let (mut bitmap, mut len) = ([0; BITMAP_OCTETS_MAX], 0);
        for message in self.messages.iter().filter(|message| message.seed == seed.id) {
            let i = usize::from(message.sequence.wrapping_sub(seed.min_sequence));
            if let Some(octet) = bitmap.get_mut(i / 8) {
                *octet |= 0x80 >> (i % 8);
                len = len.max(i / 8 + 1);
            }
        }
        (bitmap, len)
    }
}

impl Message {
    fn fire(&mut self, now: Instant, prng: &mut Prng) -> bool {
        while now >= self.trickle.due() {
            let Some(fire) = self.trickle.poll(now, prng) else { continue };
            self.expirations += 1;
            if self.expirations >= DATA_EXPIRATIONS {
                self.trickle.stop();
            }
            if fire == Fire::Transmit {
                return true;
            }
        }
        false
    }

    fn packet(&self, largest: bool) -> Option<Packet> {
        let mut packet = Packet::from_slice(&self.packet).ok()?;
        if let Some(flags) = packet.get_mut(self.flags_at) {
            *flags = MplOption::with_largest(*flags, largest);
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests;
