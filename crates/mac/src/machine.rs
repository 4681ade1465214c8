//! The machine above the radio seam: sealing, opening, the queue. IEEE 802.15.4-2006 clauses
//! 7.5.6 and 7.5.8.
//!
//! **Invariant:** a frame is numbered and sealed when it goes to the radio, so counters are on the
//! air in rising order; what goes up as secured was opened under a key of the ring and is newer
//! than every frame of that neighbour before.
//!
//! The receive counters live in memory. A device that restarts accepts under a live key what was
//! recorded before, once, until the neighbour's next frame: the layers above must bear that.

use crate::duplicates::Duplicates;
use crate::keys::{Installed, KeyRing, NoCounter, Slot};
use crate::neighbours::Neighbours;
use crate::queue::{Outgoing, Queue};
use crate::seal;
use crate::seam::{Psdu, RadioCommand, RadioConfig, RadioEvent, TxToken};
use crate::upper::{
    BEACON_PAYLOAD_OCTETS_MAX, FrameDrop, LinkSecurity, MacConfig, MacEvent, MacInput, MacOutput,
    Payload, QUEUE_FRAMES_MAX, RADIO_SILENCE_MAX, Security, SendDrop, SendStatus,
};
use heapless::Deque;
use lowgate_ieee802154::{
    AddressedFrame, Addressing, AuxSecurityHeader, BeaconFields, CommandId, Content, Format, Frame,
    FrameCounter, KeyId, KeyIndex, PSDU_OCTETS_MAX, Pan, ParseDrop, Version,
};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Eui64, Instant, LinkAddr, LinkDst, Lqi, PanId, Prng, Rssi};

/// What was received, and events, between two polls: one of an input, and slack.
const OUTPUTS_MAX: usize = 4;
/// Ends of transmissions between two polls: at worst the whole queue and the frame on its way, and
/// as many that the full queue refused.
const ENDS_MAX: usize = 2 * (QUEUE_FRAMES_MAX + 1);

/// One device's MAC above the radio.
pub struct Mac {
    config: MacConfig,
    network: Option<RadioConfig>,
    /// The same, while the radio has yet to be told.
    configure: Option<RadioConfig>,
    keys: KeyRing,
    neighbours: Neighbours,
    duplicates: Duplicates,
    queue: Queue,
    in_flight: Option<InFlight>,
    next_token: u32,
    data_sequence: u8,
    beacon_sequence: u8,
    outputs: Deque<MacOutput, OUTPUTS_MAX>,
    ends: Deque<(u32, SendStatus, u8), ENDS_MAX>,
    outputs_lost: u16,
}

/// The frame that the radio has.
struct InFlight {
    token: TxToken,
    /// The caller's; none of a beacon.
    caller: Option<u32>,
    deadline: Instant,
}

/// How a frame arrived.
#[derive(Clone, Copy)]
struct Signal {
    rssi: Rssi,
    lqi: Lqi,
}

/// Most payload octets to `dst`, secured or (`None`) not, when both are in one PAN.
pub fn payload_room(security: Option<LinkSecurity>, dst: LinkDst) -> usize {
    const ANY_PAN: PanId = PanId::new(0).expect("not 0xffff");
    const ANY_KEY: KeyIndex = KeyIndex::new(1).expect("not 0");
    let src = LinkAddr::Extended(Eui64([0; 8]));
    let addressing = Addressing::within(ANY_PAN, dst, src);
    let aux = |security: LinkSecurity| AuxSecurityHeader {
        level: security.level(),
        key_id: KeyId::Index(ANY_KEY),
        counter: FrameCounter(0),
    };
    let mic_len = security.map_or(0, |security| security.level().mic_len());
    let frame = AddressedFrame {
        format: security
            .map_or(Format::Unsecured(Version::V2003), |security| Format::Secured(aux(security))),
        pending: false,
        ack_request: false,
        sequence: 0,
        content: Content::Data { addressing },
        payload: &[],
    };
    PSDU_OCTETS_MAX - frame.head_len() - mic_len
}

impl Mac {
    /// Knows no key and no network. `prng` chooses where the sequence numbers begin.
    pub fn new(config: MacConfig, mut prng: Prng) -> Self {
        let [data_sequence, beacon_sequence, ..] = prng.next_u64().to_be_bytes();
        Self {
            config,
            network: None,
            configure: None,
            keys: KeyRing::new(),
            neighbours: Neighbours::new(),
            duplicates: Duplicates::new(),
            queue: Queue::new(),
            in_flight: None,
            next_token: 0,
            data_sequence,
            beacon_sequence,
            outputs: Deque::new(),
            ends: Deque::new(),
            outputs_lost: 0,
        }
    }

    /// The key that seals.
    pub fn active_key(&self) -> Option<KeyIndex> {
        self.keys.active()
    }

    /// Whether frames under this key are opened.
    pub fn holds_key(&self, index: KeyIndex) -> bool {
        self.keys.find(index).is_some()
    }

    /// Takes one input. The owner then polls until [`MacOutput::Wait`]; after a few dozen inputs
    /// without that, outputs are lost and [`MacEvent::OutputsLost`] says how many.
    pub fn handle(&mut self, now: Instant, input: MacInput<'_>) {
        match input {
            MacInput::Radio(RadioEvent::Received { psdu, rssi, lqi }) => {
                if let Err(drop) = self.received(now, &psdu, Signal { rssi, lqi }) {
                    self.output(MacOutput::Event(MacEvent::FrameDropped(drop)));
                }
            }
            MacInput::Radio(RadioEvent::Transmitted { token, status, attempts }) => {
                self.transmitted(token, SendStatus::Radio(status), attempts);
            }
            MacInput::Send { token, dst, security, payload } => {
                if let Err(drop) = self.send(token, dst, security, payload) {
                    self.end(token, SendStatus::Dropped(drop), 0);
                }
            }
            MacInput::SendBeaconRequest => self.beacon(Ok(Outgoing::BeaconRequest)),
            MacInput::SendBeacon { payload } => self.send_beacon(payload),
            MacInput::SetNetwork { channel, pan_id, short } => {
                let eui64 = self.config.eui64;
                self.set_network(RadioConfig { channel, pan_id, short, eui64, promiscuous: false });
            }
            MacInput::InstallKey { index, key, counter_floor } => {
                match self.keys.install(index, key, counter_floor) {
                    Ok(Installed::Known) => {}
                    Ok(Installed::Fresh(slot)) => self.neighbours.forget_key(slot),
                    Err(_) => self.output(MacOutput::Event(MacEvent::KeyRefused { index })),
                }
            }
            MacInput::ActivateKey { index } => {
                if self.keys.activate(index).is_none() {
                    self.output(MacOutput::Event(MacEvent::KeyRefused { index }));
                }
            }
            MacInput::RetireKey { index } => {
                if let Some(slot) = self.keys.retire(index) {
                    self.neighbours.forget_key(slot);
                }
            }
            MacInput::ForgetAll => {
                self.keys.clear();
                self.neighbours.clear();
                self.drop_queue(SendDrop::Forgotten);
            }
            MacInput::CounterReserved { index, below } => self.keys.reserved(index, below),
        }
    }

    /// What to do next; [`MacOutput::Wait`] last.
    pub fn poll(&mut self, now: Instant) -> MacOutput {
        self.expire_in_flight(now);
        if let Some(config) = self.configure.take() {
            return MacOutput::Radio(RadioCommand::Configure(config));
        }
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if let Some((index, below)) = self.keys.next_reservation() {
            return MacOutput::ReserveCounter { index, below };
        }
        if let Some(end) = self.next_end() {
            return end;
        }
        if self.in_flight.is_none() {
            // Without a frame to send, those that never can be may have ended on the way.
            let next = self.next_frame(now).map(MacOutput::Radio).or_else(|| self.next_end());
            if let Some(next) = next {
                return next;
            }
        }
        if self.outputs_lost > 0 {
            let count = core::mem::take(&mut self.outputs_lost);
            return MacOutput::Event(MacEvent::OutputsLost { count });
        }
        let deadline = self.in_flight.as_ref().map(|in_flight| in_flight.deadline);
        MacOutput::Wait { until: deadline.unwrap_or(Instant::FAR_FUTURE) }
    }

    fn next_end(&mut self) -> Option<MacOutput> {
        let (token, status, attempts) = self.ends.pop_front()?;
        Some(MacOutput::SendDone { token, status, attempts })
    }

    fn output(&mut self, output: MacOutput) {
        let lost = self.outputs.push_back(output).is_err();
        self.outputs_lost = self.outputs_lost.saturating_add(lost.into());
    }

    fn end(&mut self, token: u32, status: SendStatus, attempts: u8) {
        let lost = self.ends.push_back((token, status, attempts)).is_err();
        self.outputs_lost = self.outputs_lost.saturating_add(lost.into());
    }
}

/// Outward.
impl Mac {
    fn set_network(&mut self, network: RadioConfig) {
        let moved = self
            .network
            .is_some_and(|old| (old.channel, old.pan_id) != (network.channel, network.pan_id));
        if moved {
            self.drop_queue(SendDrop::NetworkChanged);
        }
        self.network = Some(network);
        self.configure = Some(network);
    }

    fn send(
        &mut self,
        token: u32,
        dst: LinkDst,
        security: Security,
        payload: &[u8],
    ) -> Result<(), SendDrop> {
        self.pan_id()?;
        let level = match security {
            Security::Unsecured => None,
            Security::Secured => {
                self.keys.active().ok_or(SendDrop::NoActiveKey)?;
                Some(self.config.level)
            }
        };
        if payload.len() > payload_room(level, dst) {
            return Err(SendDrop::PayloadTooLong);
        }
        let payload = Payload::from_slice(payload).map_err(|_| SendDrop::PayloadTooLong)?;
        let frame = Outgoing::Data { token, dst, security, payload };
        self.queue.push(frame)
    }

    fn pan_id(&self) -> Result<PanId, SendDrop> {
        self.network.and_then(|network| network.pan_id).ok_or(SendDrop::NoNetwork)
    }

    fn send_beacon(&mut self, payload: &[u8]) {
        let beacon = match (self.pan_id(), Payload::from_slice(payload)) {
            (Err(drop), _) => Err(drop),
            (Ok(_), Ok(payload)) if payload.len() <= BEACON_PAYLOAD_OCTETS_MAX => {
                Ok(Outgoing::Beacon { payload })
            }
            (Ok(_), _) => Err(SendDrop::PayloadTooLong),
        };
        self.beacon(beacon);
    }

    fn beacon(&mut self, frame: Result<Outgoing, SendDrop>) {
        let placed = match (frame, self.network) {
            (Ok(_), None) => Err(SendDrop::NoNetwork),
            (Ok(frame), Some(_)) => self.queue.push(frame),
            (Err(drop), _) => Err(drop),
        };
        if let Err(drop) = placed {
            self.output(MacOutput::Event(MacEvent::BeaconDropped(drop)));
        }
    }

    fn drop_queue(&mut self, drop: SendDrop) {
        while let Some(frame) = self.queue.pop(|_| true) {
            self.drop_outgoing(&frame, drop);
        }
    }

    fn drop_outgoing(&mut self, frame: &Outgoing, drop: SendDrop) {
        // A beacon nobody waits for: the next request brings the next one.
        if let Outgoing::Data { token, .. } = frame {
            self.end(*token, SendStatus::Dropped(drop), 0);
        }
    }

    /// The next frame that may leave, in octets; drops on the way those that never will.
    fn next_frame(&mut self, now: Instant) -> Option<RadioCommand> {
        loop {
            let counters_wait = self.keys.counters_wait();
            let frame = self.queue.pop(|frame| !(counters_wait && frame.is_secured()))?;
            match self.frame(&frame) {
                Err(drop) => self.drop_outgoing(&frame, drop),
                Ok(psdu) => {
                    let token = TxToken(self.next_token);
                    self.next_token = self.next_token.wrapping_add(1);
                    let deadline = now + RADIO_SILENCE_MAX;
                    self.in_flight = Some(InFlight { token, caller: frame.caller(), deadline });
                    return Some(RadioCommand::Transmit { token, psdu });
                }
            }
        }
    }

    fn frame(&mut self, frame: &Outgoing) -> Result<Psdu, SendDrop> {
        let src = LinkAddr::Extended(self.config.eui64);
        match frame {
            Outgoing::BeaconRequest => {
                let sequence = next(&mut self.data_sequence);
                seal::clear(&AddressedFrame::beacon_request(sequence))
            }
            Outgoing::Beacon { payload } => {
                let pan = Pan::Id(self.pan_id()?);
                let sequence = next(&mut self.beacon_sequence);
                let content = Content::Beacon { pan, src, fields: BeaconFields::NONBEACON };
                seal::clear(&unsecured(sequence, content, payload))
            }
            Outgoing::Data { dst, security, payload, .. } => {
                let addressing = Addressing::within(self.pan_id()?, *dst, src);
                let sequence = next(&mut self.data_sequence);
                let frame = AddressedFrame {
                    ack_request: *dst != LinkDst::Broadcast,
                    ..unsecured(sequence, Content::Data { addressing }, payload)
                };
                match security {
                    Security::Unsecured => seal::clear(&frame),
                    Security::Secured => return self.seal(frame),
                }
            }
        }
        .ok_or(SendDrop::PayloadTooLong)
    }

    fn seal(&mut self, frame: AddressedFrame<'_>) -> Result<Psdu, SendDrop> {
        let (key, index, counter) = self.keys.take_counter().map_err(|none| match none {
            NoCounter::NoActiveKey => SendDrop::NoActiveKey,
            NoCounter::Exhausted => SendDrop::CountersExhausted,
            NoCounter::NotReserved => unreachable!("the frame stays in the queue until it is"),
        })?;
        let level = self.config.level.level();
        let aux = AuxSecurityHeader { level, key_id: KeyId::Index(index), counter };
        let frame = AddressedFrame { format: Format::Secured(aux), ..frame };
        seal::seal(self.config.ccm, key, self.config.eui64, &aux, &frame)
            .ok_or(SendDrop::PayloadTooLong)
    }

    fn transmitted(&mut self, token: TxToken, status: SendStatus, attempts: u8) {
        // Of a frame that we gave up: late, harmless.
        if let Some(done) = self.in_flight.take_if(|in_flight| in_flight.token == token)
            && let Some(caller) = done.caller
        {
            self.end(caller, status, attempts);
        }
    }

    fn expire_in_flight(&mut self, now: Instant) {
        if let Some(silent) = self.in_flight.take_if(|in_flight| in_flight.deadline <= now)
            && let Some(caller) = silent.caller
        {
            self.end(caller, SendStatus::Dropped(SendDrop::RadioSilent), 0);
        }
    }
}

/// The number of this frame; the next one gets another.
const fn next(sequence: &mut u8) -> u8 {
    let this = *sequence;
    *sequence = this.wrapping_add(1);
    this
}

const fn unsecured<'a>(
    sequence: u8,
    content: Content<'a>,
    payload: &'a [u8],
) -> AddressedFrame<'a> {
    // Clause 7.2.3: version 0 for what a device of 2003 understands.
    let format = Format::Unsecured(Version::V2003);
    AddressedFrame { format, pending: false, ack_request: false, sequence, content, payload }
}

/// Inward.
impl Mac {
    fn received(&mut self, now: Instant, psdu: &Psdu, signal: Signal) -> Result<(), FrameDrop> {
        let frame = match Frame::parse(psdu).map_err(FrameDrop::Malformed)? {
            Frame::Ack(_) => return Err(FrameDrop::Ack),
            Frame::Addressed(frame) => frame,
        };
        // The radio filtered already, but maybe by the addresses we had before.
        if !self.network.is_some_and(|network| network.admits(&frame)) {
            return Err(FrameDrop::NotForUs);
        }
        if frame.src() == Some(LinkAddr::Extended(self.config.eui64)) {
            return Err(FrameDrop::OwnAddress);
        }
        match (&frame.content, &frame.format) {
            (Content::Beacon { pan, src, .. }, Format::Unsecured(_)) => {
                self.beacon_heard(*pan, *src, frame.payload, signal)
            }
            (Content::Beacon { .. }, Format::Secured(_)) => Err(FrameDrop::Beacon),
            (Content::Data { addressing }, _) => {
                let Some((_, dst)) = addressing.dst() else { return Err(FrameDrop::NotForUs) };
                self.data(now, psdu, &frame, dst, signal)
            }
            (Content::Command { id: CommandId::BEACON_REQUEST, .. }, Format::Unsecured(_)) => {
                self.output(MacOutput::BeaconRequested { src: frame.src() });
                Ok(())
            }
            (Content::Command { .. }, _) => Err(FrameDrop::Command),
        }
    }

    fn beacon_heard(
        &mut self,
        pan: Pan,
        src: LinkAddr,
        payload: &[u8],
        Signal { rssi, lqi }: Signal,
    ) -> Result<(), FrameDrop> {
        let LinkAddr::Extended(src) = src else { return Err(FrameDrop::SourceNotExtended) };
        let Pan::Id(pan_id) = pan else { return Err(FrameDrop::Beacon) };
        let payload = Payload::from_slice(payload).map_err(|_| FrameDrop::Beacon)?;
        self.output(MacOutput::BeaconHeard { src, pan_id, payload, rssi, lqi });
        Ok(())
    }

    fn data(
        &mut self,
        now: Instant,
        psdu: &Psdu,
        frame: &AddressedFrame<'_>,
        dst: LinkDst,
        Signal { rssi, lqi }: Signal,
    ) -> Result<(), FrameDrop> {
        let Some(LinkAddr::Extended(eui64)) = frame.src() else {
            return Err(FrameDrop::SourceNotExtended);
        };
        let (secured, payload) = match &frame.format {
            Format::Unsecured(_) => (None, self.unsecured(now, eui64, frame)?),
            Format::Secured(aux) => {
                let index = self.acceptable(aux)?;
                let Some(slot) = self.keys.find(index) else {
                    // Not mere noise: the owner may have missed a rekey.
                    self.output(MacOutput::Event(MacEvent::UnknownKey { index, src: eui64 }));
                    return Ok(());
                };
                (Some(index), self.open(eui64, aux, slot, (frame, psdu))?)
            }
        };
        let src = LinkAddr::Extended(eui64);
        self.output(MacOutput::Received { src, dst, secured, payload, rssi, lqi });
        Ok(())
    }

    fn unsecured(
        &mut self,
        now: Instant,
        src: Eui64,
        frame: &AddressedFrame<'_>,
    ) -> Result<Payload, FrameDrop> {
        // Nobody repeats what nobody acknowledges.
        if frame.ack_request && self.duplicates.repeats(now, src, frame.sequence) {
            return Err(FrameDrop::Duplicate);
        }
        Payload::from_slice(frame.payload).map_err(|_| FrameDrop::Malformed(ParseDrop::TooLong))
    }

    /// The key's number, if the frame is secured in the network's way.
    fn acceptable(&self, aux: &AuxSecurityHeader) -> Result<KeyIndex, FrameDrop> {
        if aux.level != self.config.level.level() {
            return Err(FrameDrop::Level(aux.level));
        }
        let KeyId::Index(index) = aux.key_id else { return Err(FrameDrop::KeyIdMode) };
        if aux.counter == FrameCounter::EXHAUSTED {
            return Err(FrameDrop::CounterExhausted);
        }
        Ok(index)
    }

    fn open(
        &mut self,
        src: Eui64,
        aux: &AuxSecurityHeader,
        slot: Slot,
        frame: (&AddressedFrame<'_>, &[u8]),
    ) -> Result<Payload, FrameDrop> {
        let fresh = self.neighbours.is_fresh(src, slot, aux.counter);
        if !fresh && !planted(Fault::ReplayAccepted) {
            return Err(FrameDrop::Replayed);
        }
        if planted(Fault::ForgerMovesCounter) {
            let _ = self.neighbours.heard(src, slot, aux.counter);
        }
        let key = self.keys.key(slot).ok_or(FrameDrop::BadMic)?;
        let payload = seal::open(self.config.ccm, key, src, aux, frame)?;
        // After the tag was right: a forger must not move a counter.
        self.neighbours.heard(src, slot, aux.counter).map_err(|_| FrameDrop::NeighbourTableFull)?;
        Ok(payload)
    }
}

#[cfg(test)]
mod tests;
