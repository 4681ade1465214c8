//! The machine: commands in, answers out, frames both ways.

use crate::settings::Settings;
use heapless::{Deque, String, Vec};
use lowgate_mac::{Psdu, RadioCommand, RadioConfig, RadioEvent, TxStatus, TxToken};
use lowgate_spinel::{
    Command, Decoder, FCS_OCTETS, FRAME_OCTETS_MAX, Frame, Header, NOISE_UNKNOWN, Property,
    RawReceived, RawTransmit, ReceivedFlags, Status, Tid, TransmitDone, Writer, encode,
    encoded_octets_max, psdu_fcs, write_property,
};
use lowgate_units::{Channel, Duration, Eui64, Instant, Lqi, Rssi};

/// Octets of the longest [`RcpOutput::Serial`].
pub const SERIAL_OCTETS_MAX: usize = encoded_octets_max(FRAME_OCTETS_MAX);
/// A radio that did not say how a transmission ended is not waited for any longer.
pub const TRANSMISSION_MAX: Duration = Duration::from_secs(2);

/// Octets of what a program that gave up has to say.
pub const LAST_WORDS_OCTETS_MAX: usize = 160;

const DECODER_OCTETS: usize = FRAME_OCTETS_MAX + FCS_OCTETS;
/// Frames for a host that reads slowly. Received frames leave room for answers.
const FRAMES_MAX: usize = 16;
const ANSWERS_ROOM: usize = 4;
/// Configuration, transmission, configuration; and slack.
const COMMANDS_MAX: usize = 8;
/// Length of an acknowledgement: frame control and sequence number.
const ACK_OCTETS: usize = 3;
const PSDU_WITH_FCS_MAX: usize = lowgate_mac::PSDU_OCTETS_MAX + FCS_OCTETS;
const ACK_REQUEST: u8 = 0x20;

/// What a co-processor is born with.
#[derive(Clone, Copy, Debug)]
pub struct RcpConfig {
    /// The device's own.
    pub eui64: Eui64,
    /// For people.
    pub version: &'static str,
}

/// Into the co-processor.
#[derive(Clone, Debug)]
pub enum RcpInput<'a> {
    /// Octets from the host, however they were cut.
    Serial(&'a [u8]),
    /// From the radio.
    Radio(RadioEvent),
}

/// Out of the co-processor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is no heap, and one at a time is alive")]
pub enum RcpOutput {
    /// For the host.
    Serial(Vec<u8, SERIAL_OCTETS_MAX>),
    /// For the radio.
    Radio(RadioCommand),
    /// Nothing more until then, or until the next input.
    Wait {
        /// When to poll again.
        until: Instant,
    },
}

/// A radio co-processor.
#[derive(Debug)]
pub struct Rcp {
    config: RcpConfig,
    settings: Settings,
    decoder: Decoder<DECODER_OCTETS>,
    frames: Deque<Vec<u8, FRAME_OCTETS_MAX>, FRAMES_MAX>,
    commands: Deque<RadioCommand, COMMANDS_MAX>,
    /// What the radio was told last.
    told: Option<RadioConfig>,
    next_token: TxToken,
    on_air: Option<OnAir>,
    /// It has said nothing yet.
    unborn: bool,
    /// Why the life before this one ended, until a host has asked for a reset.
    last_words: Option<String<LAST_WORDS_OCTETS_MAX>>,
    dropped: u32,
}

/// The radio is busy with it.
#[derive(Clone, Copy, Debug)]
struct OnAir {
    token: TxToken,
    /// Who wants to know; nobody after a reset.
    asker: Option<Header>,
    /// Sequence number, if the frame asks for an acknowledgement.
    awaits: Option<u8>,
    channel: u8,
    channel_after: u8,
    deadline: Instant,
}

impl Rcp {
    /// Tells the host that the power came on.
    pub const fn new(now: Instant, config: RcpConfig) -> Self {
        Self::restarted(now, config, Status::RESET_POWER_ON, None)
    }

    /// Tells the host why the program starts: with a status of a reset, and with what the life before
    /// this one wrote down at its end.
    ///
    /// It is a value and nothing else, lest a small stack hold the machine twice while it is built.
    pub const fn restarted(
        _now: Instant,
        config: RcpConfig,
        why: Status,
        last_words: Option<String<LAST_WORDS_OCTETS_MAX>>,
    ) -> Self {
        Self {
            config,
            settings: Settings::new(config.eui64, why),
            decoder: Decoder::new(),
            frames: Deque::new(),
            commands: Deque::new(),
            told: None,
            next_token: TxToken(0),
            on_air: None,
            unborn: true,
            last_words,
            dropped: 0,
        }
    }

    /// Its first words, before any others.
    fn be_born(&mut self) {
        if core::mem::take(&mut self.unborn) {
            self.status(Header::new(Tid::NONE), self.settings.last_status);
            self.tell_last_words();
        }
    }

    fn tell_last_words(&mut self) {
        if let Some(words) = self.last_words.clone() {
            let header = Header::new(Tid::NONE);
            self.answer(header, Command::PROP_VALUE_IS, Property::STREAM_DEBUG, |w| w.text(&words));
        }
    }

    /// Frames of either direction that were dropped for want of room or sense.
    pub const fn dropped(&self) -> u32 {
        self.dropped.saturating_add(self.decoder.dropped())
    }

    /// Takes one input. The owner then polls until [`RcpOutput::Wait`].
    pub fn handle(&mut self, now: Instant, input: RcpInput<'_>) {
        self.be_born();
        match input {
            RcpInput::Serial(octets) => self.serial(now, octets),
            RcpInput::Radio(RadioEvent::Received { psdu, rssi, lqi }) => {
                self.received(now, &psdu, rssi, lqi);
            }
            RcpInput::Radio(RadioEvent::Transmitted { token, status, attempts: _ }) => {
                self.transmitted(now, token, status);
            }
        }
    }

    /// What to do next; [`RcpOutput::Wait`] last.
    pub fn poll(&mut self, now: Instant) -> RcpOutput {
        self.be_born();
        if let Some(on_air) = self.on_air.filter(|on_air| now >= on_air.deadline) {
            self.end(now, on_air, Status::FAILURE);
        }
        if let Some(command) = self.commands.pop_front() {
            return RcpOutput::Radio(command);
        }
        while let Some(frame) = self.frames.pop_front() {
            match encode(&frame) {
                Some(octets) => return RcpOutput::Serial(octets),
                None => self.count_drop(),
            }
        }
        RcpOutput::Wait { until: self.on_air.map_or(Instant::FAR_FUTURE, |air| air.deadline) }
    }

    fn count_drop(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    fn serial(&mut self, now: Instant, octets: &[u8]) {
        for &octet in octets {
            let Some(Ok(content)) = self.decoder.push(octet) else {
                continue; // within a frame, or counted by the decoder
            };
            let Ok(content) = Vec::<u8, DECODER_OCTETS>::from_slice(content) else {
                continue; // it has the decoder's size
            };
            match Frame::parse(&content) {
                Ok(frame) if frame.header.iid == 0 => self.command(now, frame),
                Ok(frame) => self.status(frame.header, Status::INVALID_INTERFACE),
                Err(_) => self.count_drop(),
            }
        }
    }

    fn command(&mut self, now: Instant, frame: Frame<'_>) {
        match frame.command {
            Command::NOOP => return self.status(frame.header, Status::OK),
            Command::RESET => return self.reset(),
            _ => {}
        }
        let Ok((property, value)) = frame.property() else {
            return self.status(frame.header, Status::PARSE_ERROR);
        };
        match (frame.command, property) {
            (Command::PROP_VALUE_GET, _) => self.get(now, frame.header, property),
            (Command::PROP_VALUE_SET, Property::STREAM_RAW) => {
                self.transmit(now, frame.header, value);
            }
            (Command::PROP_VALUE_SET, _) => match self.settings.set(property, value) {
                Ok(()) => {
                    self.configure();
                    self.answer(frame.header, Command::PROP_VALUE_IS, property, |w| {
                        w.octets(value)
                    });
                }
                Err(status) => self.status(frame.header, status),
            },
            (Command::PROP_VALUE_INSERT, _) => {
                self.list(frame.header, Command::PROP_VALUE_INSERTED, property, value);
            }
            (Command::PROP_VALUE_REMOVE, _) => {
                self.list(frame.header, Command::PROP_VALUE_REMOVED, property, value);
            }
            (_, _) => self.status(frame.header, Status::INVALID_COMMAND),
        }
    }

    /// A transmission under way goes on; nobody hears of its end.
    fn reset(&mut self) {
        self.settings = Settings::new(self.config.eui64, Status::RESET_SOFTWARE);
        self.frames.clear();
        if let Some(on_air) = &mut self.on_air {
            on_air.asker = None;
        }
        self.status(Header::new(Tid::NONE), Status::RESET_SOFTWARE);
        // Who asks was perhaps not there to hear them at our birth.
        self.tell_last_words();
        self.last_words = None;
    }

    fn get(&mut self, now: Instant, header: Header, property: Property) {
        let (hwaddr, version) = (self.config.eui64, self.config.version);
        let known = self.settings.get(property, now, hwaddr, version, Writer::new()).is_some();
        if !known {
            return self.status(header, Status::PROP_NOT_FOUND);
        }
        let settings = self.settings.clone();
        self.answer(header, Command::PROP_VALUE_IS, property, |writer| {
            settings.get(property, now, hwaddr, version, writer).unwrap_or_default()
        });
    }

    fn list(&mut self, header: Header, answer: Command, property: Property, value: &[u8]) {
        match property {
            Property::MAC_SRC_MATCH_SHORT_ADDRESSES
            | Property::MAC_SRC_MATCH_EXTENDED_ADDRESSES => {
                self.answer(header, answer, property, |w| w.octets(value));
            }
            _ => self.status(header, Status::PROP_NOT_FOUND),
        }
    }

    fn transmit(&mut self, now: Instant, header: Header, value: &[u8]) {
        match self.start(now, header, value) {
            Ok(()) => {}
            Err(status) => self.status(header, status),
        }
    }

    fn start(&mut self, now: Instant, header: Header, value: &[u8]) -> Result<(), Status> {
        if !self.settings.streams() {
            return Err(Status::INVALID_STATE);
        }
        if self.on_air.is_some() {
            return Err(Status::BUSY);
        }
        let raw = RawTransmit::parse(value)?;
        let len = raw.psdu.len().checked_sub(FCS_OCTETS).filter(|&len| len >= ACK_OCTETS);
        let psdu = len.and_then(|len| raw.psdu.get(..len)).ok_or(Status::INVALID_ARGUMENT)?;
        let psdu = Psdu::from_slice(psdu).map_err(|_| Status::INVALID_ARGUMENT)?;
        let channel = Channel::new(raw.channel).ok_or(Status::INVALID_ARGUMENT)?.number();
        let channel_after = Channel::new(raw.rx_channel_after).map_or(channel, Channel::number);
        let awaits = match psdu[..] {
            [control, _, sequence, ..] if control & ACK_REQUEST != 0 => Some(sequence),
            _ => None,
        };
        self.settings.channel = channel;
        self.configure();
        let token = self.next_token;
        self.next_token = TxToken(token.0.wrapping_add(1));
        self.command_radio(RadioCommand::Transmit { token, psdu });
        self.on_air = Some(OnAir {
            token,
            asker: Some(header),
            awaits,
            channel,
            channel_after,
            deadline: now + TRANSMISSION_MAX,
        });
        Ok(())
    }

    /// Tells the radio what changed.
    fn configure(&mut self) {
        let Some(config) = self.settings.radio().filter(|config| self.told != Some(*config)) else {
            return;
        };
        self.told = Some(config);
        let last = self.commands.pop_back();
        match last {
            None | Some(RadioCommand::Configure(_)) => {}
            Some(transmit @ RadioCommand::Transmit { .. }) => self.command_radio(transmit),
        }
        self.command_radio(RadioCommand::Configure(config));
    }

    /// Room is always left: one transmission at a time, and configurations in a row are one.
    fn command_radio(&mut self, command: RadioCommand) {
        if self.commands.push_back(command).is_err() {
            self.count_drop();
        }
    }

    fn received(&mut self, now: Instant, psdu: &Psdu, rssi: Rssi, lqi: Lqi) {
        if !self.settings.streams() {
            return;
        }
        if self.frames.len() + ANSWERS_ROOM >= FRAMES_MAX {
            return self.count_drop();
        }
        let octets = with_fcs(psdu);
        let raw = RawReceived {
            psdu: &octets,
            rssi: rssi.0,
            noise: NOISE_UNKNOWN,
            flags: ReceivedFlags(0),
            channel: self.settings.channel,
            lqi: lqi.0,
            timestamp_us: now.as_micros(),
            error: 0,
        };
        let header = Header::new(Tid::NONE);
        self.answer(header, Command::PROP_VALUE_IS, Property::STREAM_RAW, |w| raw.emit(w));
    }

    fn transmitted(&mut self, now: Instant, token: TxToken, status: TxStatus) {
        let Some(on_air) = self.on_air.filter(|on_air| on_air.token == token) else {
            return; // it took too long and was given up
        };
        let status = match status {
            TxStatus::Sent | TxStatus::Acked => Status::OK,
            TxStatus::NoAck => Status::NO_ACK,
            TxStatus::ChannelBusy => Status::CCA_FAILURE,
        };
        self.end(now, on_air, status);
    }

    fn end(&mut self, now: Instant, on_air: OnAir, status: Status) {
        self.on_air = None;
        let Some(header) = on_air.asker else {
            return;
        };
        self.settings.channel = on_air.channel_after;
        self.configure();
        // The host wants to see an acknowledgement that it asked for; the seam says only that it came.
        let ack = match on_air.awaits {
            Some(sequence) => with_fcs(&[0x02, 0x00, sequence]),
            None => Vec::new(),
        };
        let ack = RawReceived {
            psdu: &ack,
            rssi: 0,
            noise: NOISE_UNKNOWN,
            flags: ReceivedFlags(0),
            channel: on_air.channel,
            lqi: 0,
            timestamp_us: now.as_micros(),
            error: 0,
        };
        let done = TransmitDone {
            status,
            frame_pending: false,
            header_updated: false,
            ack: (status == Status::OK).then_some(ack),
        };
        self.settings.last_status = status;
        self.answer(header, Command::PROP_VALUE_IS, Property::LAST_STATUS, |w| done.emit(w));
    }

    fn status(&mut self, header: Header, status: Status) {
        self.settings.last_status = status;
        self.answer(header, Command::PROP_VALUE_IS, Property::LAST_STATUS, |w| w.packed(status.0));
    }

    fn answer(
        &mut self,
        header: Header,
        command: Command,
        property: Property,
        value: impl FnOnce(Writer) -> Writer,
    ) {
        let frame = write_property(header, command, property, value);
        if frame.is_none_or(|frame| self.frames.push_back(frame).is_err()) {
            self.count_drop();
        }
    }
}

fn with_fcs(psdu: &[u8]) -> Vec<u8, PSDU_WITH_FCS_MAX> {
    psdu.iter().copied().take(lowgate_mac::PSDU_OCTETS_MAX).chain(psdu_fcs(psdu)).collect()
}

#[cfg(test)]
mod tests;
