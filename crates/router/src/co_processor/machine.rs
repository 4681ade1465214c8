//! The machine.

use super::event::{CoProcessorEvent, Fault, Incompatibility};
use super::frames::{asks_ack, last_status, received_event};
use super::setup::{Identity, Objection, QUESTIONS, SETTINGS, is_unchanged, write_setting};
use super::state::{Asked, Errand, State};
use super::{CoProcessorInput, CoProcessorOutput};
use lowgate_mac::{
    MAC_MAX_CSMA_BACKOFFS, MAC_MAX_FRAME_RETRIES, Psdu, RadioCommand, RadioConfig, RadioEvent,
    TxStatus, TxToken,
};
use lowgate_spinel::{
    Command, Decoder, FCS_OCTETS, FRAME_OCTETS_MAX, Frame, Header, Property, RawReceived,
    RawTransmit, Reader, Status, Tid, TransmitDone, Writer, encode, encoded_octets_max, psdu_fcs,
    write_frame, write_property,
};
use lowgate_units::{Duration, Instant};
use std::collections::VecDeque;

/// A reset and every command are answered within this.
pub const RESPONSE_MAX: Duration = Duration::from_millis(500);
/// A question that has no answer after this is asked again: question or answer may be lost. To ask or to
/// set twice is as once, hence it has the same number, and whichever answer comes counts.
pub const REPEAT_AFTER: Duration = Duration::from_millis(100);
/// A transmission is. Eight attempts at the longest backoffs take 0.5 s.
pub const TRANSMISSION_MAX: Duration = Duration::from_secs(1);
/// A co-processor that has nothing to do is asked so often whether it still streams.
pub const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// A transmission waits so long for the co-processor to become ready.
pub const UNREADY_MAX: Duration = Duration::from_millis(100);
/// Between two initialisations that fail we wait, in the end so long.
pub const BACKOFF_MAX: Duration = Duration::from_millis(400);
/// First wait; it doubles.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// So many initialisations fail in a row before the line is opened again.
pub const RESET_ATTEMPTS_MAX: u32 = 2;
/// An unusable co-processor is looked at again after this: it may have got other firmware.
pub const INCOMPATIBLE_PAUSE: Duration = Duration::from_secs(10);
/// After the first look already after this: its words may have been damaged.
const INCOMPATIBLE_PAUSE_FIRST: Duration = Duration::from_millis(500);
/// So many damaged frames in a row are a fault.
const DAMAGED_FRAMES_MAX: u32 = 8;
/// So many transmissions in a row whose end nobody told are one, too.
const UNTOLD_ENDS_MAX: u32 = 2;
/// Outputs that wait for a poll. Beyond it received frames and words for the log are dropped.
pub const OUTPUTS_MAX: usize = 128;
/// Octets of the longest frame of a co-processor: what OpenThread allows, and the FCS.
const DECODER_OCTETS: usize = 1300 + FCS_OCTETS;
const LINE_OCTETS_MAX: usize = encoded_octets_max(FRAME_OCTETS_MAX);

/// The host's side of a radio co-processor.
#[derive(Debug)]
pub struct CoProcessor {
    state: State,
    decoder: Decoder<DECODER_OCTETS>,
    damaged: u32,
    tid: Tid,
    /// Initialisations in a row that failed.
    failures: u32,
    /// It was found incompatible before, and not ready since.
    was_incompatible: bool,
    /// What the MAC wants.
    wanted: Option<RadioConfig>,
    /// What the MAC wants after the transmission under way.
    wanted_next: Option<RadioConfig>,
    transmission: Option<Transmission>,
    /// Transmissions in a row whose end nobody told.
    untold_ends: u32,
    outputs: VecDeque<CoProcessorOutput>,
}

/// The MAC's, until its end is told.
#[derive(Clone, Debug)]
struct Transmission {
    token: TxToken,
    psdu: Psdu,
    /// Nobody else waits any longer for a co-processor.
    give_up_at: Instant,
}

impl CoProcessor {
    /// Waits for its line to open.
    pub fn new(_now: Instant) -> Self {
        Self {
            state: State::Closed,
            decoder: Decoder::new(),
            damaged: 0,
            tid: Tid::NONE,
            failures: 0,
            was_incompatible: false,
            wanted: None,
            wanted_next: None,
            transmission: None,
            untold_ends: 0,
            outputs: VecDeque::new(),
        }
    }

    /// It takes and delivers frames.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { config: Some(_), .. })
    }

    /// Frames of the line that were dropped.
    pub const fn frames_dropped(&self) -> u32 {
        self.decoder.dropped()
    }

    /// Takes one input. The owner then polls until [`CoProcessorOutput::Wait`].
    pub fn handle(&mut self, now: Instant, input: CoProcessorInput<'_>) {
        match input {
            CoProcessorInput::Opened => {
                self.interrupt_transmission();
                self.decoder = Decoder::new();
                self.damaged = 0;
                self.failures = 0;
                self.reset(now);
            }
            CoProcessorInput::Closed => {
                if !matches!(self.state, State::Closed) {
                    self.interrupt_transmission();
                    self.state = State::Closed;
                    self.tell(CoProcessorEvent::LineClosed);
                }
            }
            CoProcessorInput::Octets(octets) => self.octets(now, octets),
            CoProcessorInput::Command(RadioCommand::Configure(config)) => {
                if self.transmission.is_some() {
                    self.wanted_next = Some(config);
                } else {
                    self.wanted = Some(config);
                }
            }
            CoProcessorInput::Command(RadioCommand::Transmit { token, psdu }) => {
                if self.transmission.is_some() {
                    self.transmitted(token, TxStatus::ChannelBusy, 0);
                } else {
                    let give_up_at = now + UNREADY_MAX;
                    self.transmission = Some(Transmission { token, psdu, give_up_at });
                }
            }
        }
    }

    /// What to do next; [`CoProcessorOutput::Wait`] last.
    pub fn poll(&mut self, now: Instant) -> CoProcessorOutput {
        if self.outputs.is_empty() {
            self.expire(now);
            self.advance(now);
        }
        self.outputs
            .pop_front()
            .unwrap_or_else(|| CoProcessorOutput::Wait { until: self.next_wake() })
    }

    fn next_wake(&self) -> Instant {
        let state = self.state.wake();
        match &self.transmission {
            Some(waiting) if !self.is_transmitting() => state.min(waiting.give_up_at),
            Some(_) | None => state,
        }
    }

    fn is_transmitting(&self) -> bool {
        matches!(self.state, State::Ready { errand: Errand::Transmitting(_), .. })
    }

    /// Asks again what is not answered yet.
    fn repeat(&mut self, now: Instant) {
        let due = |asked: &&mut Asked| asked.again_at.is_some_and(|again| now >= again);
        let Some(asked) = self.state.asked_mut().filter(due) else { return };
        asked.again_at = Some(now + REPEAT_AFTER);
        let tid = asked.tid;
        match &self.state {
            State::Asking { index, .. } => {
                if let Some(&property) = QUESTIONS.get(*index) {
                    self.say(tid, Command::PROP_VALUE_GET, property, |w| w);
                }
            }
            State::Setting { index, new, .. } => {
                let new = *new;
                if let Some(&property) = SETTINGS.get(*index) {
                    self.say(tid, Command::PROP_VALUE_SET, property, |writer| {
                        write_setting(property, &new, writer)
                    });
                }
            }
            // Only a probe: a transmission is never due.
            _ => {
                self.say(tid, Command::PROP_VALUE_GET, Property::MAC_RAW_STREAM_ENABLED, |w| w);
            }
        }
    }

    /// What was waited for in vain.
    fn expire(&mut self, now: Instant) {
        match &self.state {
            State::Pausing { until } | State::Incompatible { until } if now >= *until => {
                self.reset(now);
            }
            State::Resetting { until } if now >= *until => self.fail(now, Fault::NoReset),
            State::Asking { index, asked, .. } if now >= asked.until => {
                let property = QUESTIONS.get(*index).copied().unwrap_or(Property::LAST_STATUS);
                self.fail(now, Fault::NoAnswer(property));
            }
            State::Setting { index, asked, .. } if now >= asked.until => {
                let property = SETTINGS.get(*index).copied().unwrap_or(Property::LAST_STATUS);
                self.fail(now, Fault::NoAnswer(property));
            }
            State::Ready { errand: Errand::Probing(asked), .. } if now >= asked.until => {
                self.fail(now, Fault::NoAnswer(Property::MAC_RAW_STREAM_ENABLED));
            }
            State::Ready { config, errand: Errand::Transmitting(asked) } if now >= asked.until => {
                self.end_untold(now, *config);
            }
            _ => {}
        }
        if !self.is_transmitting()
            && self.transmission.as_ref().is_some_and(|waiting| now >= waiting.give_up_at)
        {
            self.end_transmission(TxStatus::ChannelBusy, 0);
        }
        self.repeat(now);
    }

    /// What an idle co-processor has to do.
    fn advance(&mut self, now: Instant) {
        let State::Ready { config, errand: Errand::Idle { probe_at } } = self.state else {
            return;
        };
        if let Some(wanted) = self.wanted.filter(|wanted| config != Some(*wanted)) {
            return self.set_from(now, 0, config, wanted);
        }
        if let Some(config) = config
            && let Some(transmission) = self.transmission.take()
        {
            self.transmit(now, config, &transmission.psdu);
            self.transmission = Some(transmission);
        } else if now >= probe_at {
            self.probe(now, config);
        }
    }

    /// Is it still there, and does it stream?
    fn probe(&mut self, now: Instant, config: Option<RadioConfig>) {
        let asked = self.ask(now, Property::MAC_RAW_STREAM_ENABLED);
        self.state = State::Ready { config, errand: Errand::Probing(asked) };
    }

    fn tell(&mut self, event: CoProcessorEvent) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(CoProcessorOutput::Told(event));
        }
    }

    fn transmitted(&mut self, token: TxToken, status: TxStatus, attempts: u8) {
        let event = RadioEvent::Transmitted { token, status, attempts };
        self.outputs.push_back(CoProcessorOutput::Event(event));
    }

    fn end_transmission(&mut self, status: TxStatus, attempts: u8) {
        if let Some(transmission) = self.transmission.take() {
            self.transmitted(transmission.token, status, attempts);
        }
        if let Some(next) = self.wanted_next.take() {
            self.wanted = Some(next);
        }
    }

    /// Nobody will tell how it ended. It may have been on the air; that it went unacknowledged is not
    /// the neighbour's fault, hence no attempts.
    fn interrupt_transmission(&mut self) {
        if self.is_transmitting() {
            self.end_transmission(TxStatus::NoAck, 0);
        }
    }

    /// The line may have lost the frame, or the word of its end; or the co-processor is lost.
    fn end_untold(&mut self, now: Instant, config: Option<RadioConfig>) {
        self.untold_ends += 1;
        if self.untold_ends >= UNTOLD_ENDS_MAX {
            return self.fail(now, Fault::NoAnswer(Property::STREAM_RAW));
        }
        self.interrupt_transmission();
        self.tell(CoProcessorEvent::EndUntold);
        self.probe(now, config);
    }

    /// Begins again.
    fn fail(&mut self, now: Instant, fault: Fault) {
        self.interrupt_transmission();
        self.tell(CoProcessorEvent::Lost(fault));
        let was_ready = matches!(self.state, State::Ready { .. });
        if was_ready {
            return self.reset(now);
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= RESET_ATTEMPTS_MAX {
            self.state = State::Closed;
            self.tell(CoProcessorEvent::Reopening);
            self.outputs.push_back(CoProcessorOutput::Reopen);
            return;
        }
        let doubled = BACKOFF_FIRST * 2_u32.saturating_pow(self.failures.min(8) - 1);
        self.state = State::Pausing { until: now + doubled.min(BACKOFF_MAX) };
    }

    fn reset(&mut self, now: Instant) {
        self.tell(CoProcessorEvent::Resetting { attempt: self.failures.saturating_add(1) });
        // The stack alone first: USB devices leave the bus when all of them is reset.
        let what = if self.failures == 0 { Command::RESET_STACK } else { Command::RESET_PLATFORM };
        self.send(write_frame(Header::new(Tid::NONE), Command::RESET, |w| w.u8(what)));
        (self.damaged, self.untold_ends) = (0, 0);
        self.state = State::Resetting { until: now + RESPONSE_MAX };
    }

    fn send(&mut self, frame: Option<heapless::Vec<u8, FRAME_OCTETS_MAX>>) {
        // Everything we send is shorter than its bound; a lost command would be noticed anyway.
        if let Some(line) = frame.and_then(|frame| encode::<LINE_OCTETS_MAX>(&frame)) {
            self.outputs.push_back(CoProcessorOutput::Octets(line.to_vec()));
        }
    }

    fn say(
        &mut self,
        tid: Tid,
        command: Command,
        property: Property,
        value: impl FnOnce(Writer) -> Writer,
    ) {
        self.send(write_property(Header::new(tid), command, property, value));
    }

    fn command(
        &mut self,
        now: Instant,
        command: Command,
        property: Property,
        value: impl FnOnce(Writer) -> Writer,
    ) -> Asked {
        self.tid = self.tid.next();
        self.say(self.tid, command, property, value);
        Asked { tid: self.tid, until: now + RESPONSE_MAX, again_at: Some(now + REPEAT_AFTER) }
    }

    fn ask(&mut self, now: Instant, property: Property) -> Asked {
        self.command(now, Command::PROP_VALUE_GET, property, |w| w)
    }

    fn ask_from(&mut self, now: Instant, index: usize, identity: Identity) {
        if let Some(&property) = QUESTIONS.get(index) {
            let asked = self.ask(now, property);
            self.state = State::Asking { index, asked, identity };
            return;
        }
        let Identity { version, eui64, api } = identity;
        self.tell(CoProcessorEvent::Identified { version, eui64, api });
        match self.wanted {
            Some(new) => self.set_from(now, 0, None, new),
            None => self.ready(now, None, None),
        }
    }

    fn set_from(&mut self, now: Instant, index: usize, old: Option<RadioConfig>, new: RadioConfig) {
        let next = SETTINGS
            .iter()
            .enumerate()
            .skip(index)
            .find(|(_, property)| old.is_none_or(|old| !is_unchanged(**property, &old, &new)));
        let Some((index, &property)) = next else {
            return self.ready(now, old, Some(new));
        };
        let asked = self.command(now, Command::PROP_VALUE_SET, property, |writer| {
            write_setting(property, &new, writer)
        });
        self.state = State::Setting { index, asked, old, new };
    }

    fn ready(&mut self, now: Instant, old: Option<RadioConfig>, config: Option<RadioConfig>) {
        self.failures = 0;
        self.was_incompatible = false;
        if old.is_none() {
            self.tell(CoProcessorEvent::Ready);
        }
        let errand = Errand::Idle { probe_at: now + PROBE_INTERVAL };
        self.state = State::Ready { config, errand };
    }

    fn transmit(&mut self, now: Instant, config: RadioConfig, psdu: &Psdu) {
        let mut octets = heapless::Vec::<u8, { lowgate_mac::PSDU_OCTETS_MAX + FCS_OCTETS }>::new();
        octets.extend(psdu.iter().copied());
        octets.extend(psdu_fcs(psdu));
        let raw = RawTransmit {
            psdu: &octets,
            channel: config.channel.number(),
            csma_backoffs_max: MAC_MAX_CSMA_BACKOFFS,
            frame_retries_max: MAC_MAX_FRAME_RETRIES,
            csma_ca: true,
            // Sealed and complete: counters are the MAC's, and no attempt changes an octet.
            header_updated: true,
            retransmission: false,
            security_processed: true,
            delay_us: 0,
            delay_base_us: 0,
            rx_channel_after: config.channel.number(),
        };
        let (command, property) = (Command::PROP_VALUE_SET, Property::STREAM_RAW);
        let asked = self.command(now, command, property, |writer| raw.emit(writer));
        let asked = Asked { until: now + TRANSMISSION_MAX, again_at: None, ..asked };
        self.state = State::Ready { config: Some(config), errand: Errand::Transmitting(asked) };
    }

    fn octets(&mut self, now: Instant, octets: &[u8]) {
        for &octet in octets {
            if matches!(self.state, State::Closed) {
                return; // what was left in a line that is gone
            }
            let content = match self.decoder.push(octet) {
                None => continue,
                Some(Ok(content)) => content.to_vec(),
                Some(Err(_)) => {
                    self.damaged(now);
                    continue;
                }
            };
            self.damaged = 0;
            let Ok(frame) = Frame::parse(&content) else {
                continue;
            };
            if frame.command == Command::PROP_VALUE_IS
                && frame.header.iid == 0
                && let Ok((property, value)) = frame.property()
            {
                self.property(now, frame.header.tid, property, value);
            }
        }
    }

    fn damaged(&mut self, now: Instant) {
        self.damaged = self.damaged.saturating_add(1);
        if self.damaged >= DAMAGED_FRAMES_MAX && matches!(self.state, State::Ready { .. }) {
            self.fail(now, Fault::Damaged);
        }
    }

    fn property(&mut self, now: Instant, tid: Tid, property: Property, value: &[u8]) {
        match (property, tid) {
            (Property::STREAM_RAW, _) => self.received(value),
            (Property::LAST_STATUS, Tid::NONE) => {
                if let Some(status) = last_status(value).filter(|status| status.is_reset()) {
                    self.restarted(now, status);
                }
            }
            (Property::STREAM_DEBUG, Tid::NONE) => self.spoke(value),
            (_, Tid::NONE) => {} // the co-processor's own wish
            (_, tid) => self.answered(now, tid, property, value),
        }
    }

    /// Right after a reset it tells of the life before; later words would only fill the log.
    fn spoke(&mut self, value: &[u8]) {
        if matches!(self.state, State::Resetting { .. } | State::Asking { .. })
            && let Ok(words) = Reader::new(value).text()
        {
            self.tell(CoProcessorEvent::LastWords(words.to_owned()));
        }
    }

    /// It starts afresh, whether we asked for that or not: its first words of every life.
    fn restarted(&mut self, now: Instant, status: Status) {
        match &self.state {
            State::Closed => return,
            State::Pausing { .. } | State::Resetting { .. } | State::Incompatible { .. } => {}
            // Two notices follow on each other: of its birth, and of our reset.
            State::Asking { index: 0, .. } => {}
            State::Asking { .. } | State::Setting { .. } => {
                return self.fail(now, Fault::UnexpectedReset(status));
            }
            State::Ready { .. } => {
                self.interrupt_transmission();
                self.tell(CoProcessorEvent::Lost(Fault::UnexpectedReset(status)));
            }
        }
        self.tell(CoProcessorEvent::Restarted(status));
        self.ask_from(now, 0, Identity::default());
    }

    fn answered(&mut self, now: Instant, tid: Tid, property: Property, value: &[u8]) {
        match self.state.clone() {
            State::Asking { index, asked, mut identity } if asked.tid == tid => {
                let Some(&question) = QUESTIONS.get(index) else { return };
                let answer = match (property, last_status(value)) {
                    (property, _) if property == question => Ok(value),
                    (Property::LAST_STATUS, Some(status)) => Err(status),
                    _ => return self.fail(now, Fault::Nonsense(question)),
                };
                match identity.answered(question, answer) {
                    Ok(()) => self.ask_from(now, index + 1, identity),
                    Err(Objection::Fault(fault)) => self.fail(now, fault),
                    Err(Objection::Incompatible(what)) => self.incompatible(now, what),
                }
            }
            State::Setting { index, asked, old, new } if asked.tid == tid => {
                let Some(&setting) = SETTINGS.get(index) else { return };
                match (property, last_status(value)) {
                    (Property::LAST_STATUS, Some(status)) if status != Status::OK => {
                        self.fail(now, Fault::Refused(setting, status));
                    }
                    (Property::LAST_STATUS, Some(_)) => self.set_from(now, index + 1, old, new),
                    (property, _) if property == setting => {
                        self.set_from(now, index + 1, old, new);
                    }
                    _ => self.fail(now, Fault::Nonsense(setting)),
                }
            }
            State::Ready { config, errand: Errand::Probing(asked) } if asked.tid == tid => {
                let forgot = property == Property::MAC_RAW_STREAM_ENABLED
                    && config.is_some()
                    && Reader::new(value).boolean() == Ok(false);
                if forgot {
                    self.fail(now, Fault::Forgot);
                } else {
                    self.idle(now, config);
                }
            }
            State::Ready { config, errand: Errand::Transmitting(asked) } if asked.tid == tid => {
                self.transmit_done(now, config, property, value);
            }
            _ => {} // late; harmless
        }
    }

    fn incompatible(&mut self, now: Instant, what: Incompatibility) {
        self.tell(CoProcessorEvent::Incompatible(what));
        let pause =
            if self.was_incompatible { INCOMPATIBLE_PAUSE } else { INCOMPATIBLE_PAUSE_FIRST };
        self.was_incompatible = true;
        self.state = State::Incompatible { until: now + pause };
    }

    fn idle(&mut self, now: Instant, config: Option<RadioConfig>) {
        let errand = Errand::Idle { probe_at: now + PROBE_INTERVAL };
        self.state = State::Ready { config, errand };
    }

    fn transmit_done(
        &mut self,
        now: Instant,
        config: Option<RadioConfig>,
        property: Property,
        value: &[u8],
    ) {
        let done = TransmitDone::parse(value).ok().filter(|_| property == Property::LAST_STATUS);
        let Some(done) = done else {
            return self.fail(now, Fault::Nonsense(Property::STREAM_RAW));
        };
        self.untold_ends = 0;
        let asks_ack = self.transmission.as_ref().is_some_and(|sent| asks_ack(&sent.psdu));
        match done.status {
            // Spinel does not say how often a frame was on the air.
            Status::OK if asks_ack => self.end_transmission(TxStatus::Acked, 1),
            Status::OK => self.end_transmission(TxStatus::Sent, 1),
            Status::NO_ACK => self.end_transmission(TxStatus::NoAck, 1 + MAC_MAX_FRAME_RETRIES),
            Status::CCA_FAILURE | Status::BUSY | Status::NOMEM | Status::DROPPED => {
                self.end_transmission(TxStatus::ChannelBusy, 0);
            }
            Status::FAILURE => {
                return self.fail(now, Fault::Refused(Property::STREAM_RAW, done.status));
            }
            status => {
                // It was not on the air.
                self.end_transmission(TxStatus::ChannelBusy, 0);
                return self.fail(now, Fault::Refused(Property::STREAM_RAW, status));
            }
        }
        self.idle(now, config);
    }

    fn received(&mut self, value: &[u8]) {
        let configured = matches!(
            self.state,
            State::Ready { config: Some(_), .. } | State::Setting { old: Some(_), .. }
        );
        if !configured || self.outputs.len() >= OUTPUTS_MAX {
            return;
        }
        if let Some(event) = RawReceived::parse(value).ok().and_then(|raw| received_event(&raw)) {
            self.outputs.push_back(CoProcessorOutput::Event(event));
        }
    }
}
