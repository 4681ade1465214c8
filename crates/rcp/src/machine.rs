//! The machine: commands in, answers out, frames both ways.

use crate::radio::{Demand, RadioReach, Reception, Report, Scan};
use crate::settings::{Nature, Settings};
use crate::wishes::{Transmission, Wish, Wishes};
use heapless::{Deque, String, Vec};
use lowgate_mac::{Access, Psdu, RadioCommand, RadioEvent, SourceMatch, TxStatus, TxToken};
use lowgate_spinel::{
    Command, Decoder, FCS_OCTETS, FRAME_OCTETS_MAX, Frame, Header, NOISE_UNKNOWN, Property,
    RawReceived, RawTransmit, Reader, ReceivedFlags, Status, Tid, TransmitDone, Writer, encode,
    encoded_octets_max, psdu_fcs, write_property,
};
use lowgate_units::{Channel, Duration, Eui64, Instant, Lqi, Rssi};

/// Octets of the longest [`RcpOutput::Serial`].
pub const SERIAL_OCTETS_MAX: usize = encoded_octets_max(FRAME_OCTETS_MAX);
/// A radio that did not say how a transmission ended is not waited for any longer.
pub const TRANSMISSION_MAX: Duration = Duration::from_secs(2);
/// Nor is one that did not say what energy it found, so long after the time that it had.
pub const SCAN_SLACK: Duration = Duration::from_secs(1);
/// A transmission waits no longer for its time.
pub const TRANSMIT_AHEAD_MAX: Duration = Duration::from_secs(60);

/// Octets of what a program that gave up has to say.
pub const LAST_WORDS_OCTETS_MAX: usize = 160;

const DECODER_OCTETS: usize = FRAME_OCTETS_MAX + FCS_OCTETS;
/// Frames for a host that reads slowly. Received frames leave room for answers.
const FRAMES_MAX: usize = 16;
const ANSWERS_ROOM: usize = 4;
/// Length of an acknowledgement: frame control and sequence number.
const ACK_OCTETS: usize = 3;
const PSDU_WITH_FCS_MAX: usize = lowgate_mac::PSDU_OCTETS_MAX + FCS_OCTETS;
const ACK_REQUEST: u8 = 0x20;
const FRAME_PENDING: u8 = 0x10;
/// In place of the energy that nobody measured; what OpenThread's hosts take for none.
const NO_ENERGY: Rssi = Rssi(i8::MAX);

/// What a co-processor is born with.
#[derive(Clone, Copy, Debug)]
pub struct RcpConfig {
    /// The device's own.
    pub eui64: Eui64,
    /// For people.
    pub version: &'static str,
    /// What its radio does.
    pub reach: RadioReach,
    /// It hands over to a program that takes new firmware, when [`RcpOutput::EnterBootloader`] says so.
    pub bootloader: bool,
}

impl RcpConfig {
    /// With a radio that knows the seam alone, and nobody to hand over to.
    pub const fn new(eui64: Eui64, version: &'static str) -> Self {
        Self { eui64, version, reach: RadioReach::Seam, bootloader: false }
    }
}

/// Into the co-processor.
#[derive(Clone, Debug)]
pub enum RcpInput<'a> {
    /// Octets from the host, however they were cut.
    Serial(&'a [u8]),
    /// From a radio that knows the seam alone.
    Radio(RadioEvent),
    /// From one that knows more.
    Report(Report),
}

/// Out of the co-processor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is no heap, and one at a time is alive")]
pub enum RcpOutput {
    /// For the host.
    Serial(Vec<u8, SERIAL_OCTETS_MAX>),
    /// For the radio.
    Radio(RadioCommand),
    /// For a radio with [`RadioReach::Beyond`].
    Demand(Demand),
    /// Hand over to the program that takes new firmware.
    EnterBootloader,
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
    wishes: Wishes,
    next_token: TxToken,
    on_air: Option<OnAir>,
    scanning: Option<Scanning>,
    leaving: bool,
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

/// The radio looks for energy.
#[derive(Clone, Copy, Debug)]
struct Scanning {
    channel: Channel,
    /// A host wants to know; nobody after a reset.
    asked: bool,
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
            wishes: Wishes::new(),
            next_token: TxToken(0),
            on_air: None,
            scanning: None,
            leaving: false,
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
            RcpInput::Radio(event) => self.report(now, Report::of(now, event)),
            RcpInput::Report(report) => self.report(now, report),
        }
    }

    fn report(&mut self, now: Instant, report: Report) {
        match report {
            Report::Received(reception) => self.received(&reception),
            Report::Transmitted { token, status, ack } => {
                self.transmitted(now, token, status, ack.as_ref());
            }
            Report::Scanned(rssi) => self.scanned(rssi),
        }
    }

    /// What to do next; [`RcpOutput::Wait`] last.
    pub fn poll(&mut self, now: Instant) -> RcpOutput {
        self.be_born();
        if let Some(on_air) = self.on_air.filter(|on_air| now >= on_air.deadline) {
            self.end(now, on_air, Status::FAILURE, None);
        }
        if self.scanning.is_some_and(|scanning| now >= scanning.deadline) {
            self.scanned(NO_ENERGY);
        }
        if let Some(output) = self.next_wish() {
            return output;
        }
        while let Some(frame) = self.frames.pop_front() {
            match encode(&frame) {
                Some(octets) => return RcpOutput::Serial(octets),
                None => self.count_drop(),
            }
        }
        // Its answer was heard before.
        if core::mem::take(&mut self.leaving) {
            return RcpOutput::EnterBootloader;
        }
        let on_air = self.on_air.map_or(Instant::FAR_FUTURE, |on_air| on_air.deadline);
        let scan = self.scanning.map_or(Instant::FAR_FUTURE, |scanning| scanning.deadline);
        RcpOutput::Wait { until: on_air.min(scan) }
    }

    fn next_wish(&mut self) -> Option<RcpOutput> {
        match self.config.reach {
            RadioReach::Seam => self.wishes.next_of_seam().map(RcpOutput::Radio),
            RadioReach::Beyond => self.wishes.next(&self.settings).map(|wish| match wish {
                Wish::Command(command) => RcpOutput::Radio(command),
                Wish::Demand(demand) => RcpOutput::Demand(demand),
            }),
        }
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
            Command::RESET if frame.payload == [Command::RESET_BOOTLOADER] => {
                return self.leave(frame.header);
            }
            Command::RESET => return self.reset(),
            _ => {}
        }
        let Ok((property, value)) = frame.property() else {
            return self.status(frame.header, Status::PARSE_ERROR);
        };
        let done = match (frame.command, property) {
            (Command::PROP_VALUE_GET, _) => Ok(()),
            (Command::PROP_VALUE_SET, Property::STREAM_RAW) => {
                return match self.start(now, frame.header, value) {
                    Ok(()) => {} // answered at its end
                    Err(status) => self.status(frame.header, status),
                };
            }
            (Command::PROP_VALUE_SET, Property::MAC_SCAN_STATE) => self.scan(now, value),
            (Command::PROP_VALUE_SET, _) => self.settings.set(property, value),
            (Command::PROP_VALUE_INSERT, _) => self.settings.insert(property, value),
            (Command::PROP_VALUE_REMOVE, _) => self.settings.remove(property, value),
            (_, _) => Err(Status::INVALID_COMMAND),
        };
        if let Err(status) = done {
            return self.status(frame.header, status);
        }
        if frame.command != Command::PROP_VALUE_GET {
            self.changed(property);
        }
        let answer = match frame.command {
            Command::PROP_VALUE_INSERT => Command::PROP_VALUE_INSERTED,
            Command::PROP_VALUE_REMOVE => Command::PROP_VALUE_REMOVED,
            _ => return self.tell(now, frame.header, property),
        };
        self.answer(frame.header, answer, property, |w| w.octets(value));
    }

    fn changed(&mut self, property: Property) {
        match property {
            Property::MAC_SRC_MATCH_ENABLED
            | Property::MAC_SRC_MATCH_SHORT_ADDRESSES
            | Property::MAC_SRC_MATCH_EXTENDED_ADDRESSES => self.wishes.change_source_match(),
            _ => self.wishes.configure(&self.settings),
        }
    }

    fn leave(&mut self, header: Header) {
        self.leaving = self.config.bootloader;
        let status = if self.leaving { Status::RESET_SOFTWARE } else { Status::INVALID_ARGUMENT };
        self.status(header, status);
    }

    /// A transmission or a scan under way goes on; nobody hears of its end.
    fn reset(&mut self) {
        if self.settings.source_match != SourceMatch::new() {
            self.wishes.change_source_match();
        }
        self.settings = Settings::new(self.config.eui64, Status::RESET_SOFTWARE);
        self.frames.clear();
        if let Some(on_air) = &mut self.on_air {
            on_air.asker = None;
        }
        if let Some(scanning) = &mut self.scanning {
            scanning.asked = false;
        }
        self.status(Header::new(Tid::NONE), Status::RESET_SOFTWARE);
        // Who asks was perhaps not there to hear them at our birth.
        self.tell_last_words();
        self.last_words = None;
    }

    fn tell(&mut self, now: Instant, header: Header, property: Property) {
        let nature = Nature {
            hwaddr: self.config.eui64,
            version: self.config.version,
            reach: self.config.reach,
            bootloader: self.config.bootloader,
            scans: self.scanning.is_some_and(|scanning| scanning.asked),
        };
        let value = self.settings.get(property, now, nature, Writer::new());
        match value.and_then(Writer::finish) {
            Some(value) => {
                self.answer(header, Command::PROP_VALUE_IS, property, |w| w.octets(&value));
            }
            None => self.status(header, Status::PROP_NOT_FOUND),
        }
    }

    fn scan(&mut self, now: Instant, value: &[u8]) -> Result<(), Status> {
        match Reader::new(value).u8()? {
            Property::SCAN_IDLE => return Ok(()), // one under way ends by itself
            Property::SCAN_ENERGY if self.config.reach == RadioReach::Beyond => {}
            _ => return Err(Status::UNIMPLEMENTED),
        }
        if !self.settings.phy_enabled {
            return Err(Status::INVALID_STATE);
        }
        if self.on_air.is_some() || self.scanning.is_some() {
            return Err(Status::BUSY);
        }
        let channel = self.settings.scan_channel().ok_or(Status::INVALID_ARGUMENT)?;
        let duration = self.settings.scan_period();
        self.wishes.scan(Scan { channel, duration });
        let deadline = now + duration + SCAN_SLACK;
        self.scanning = Some(Scanning { channel, asked: true, deadline });
        Ok(())
    }

    fn scanned(&mut self, Rssi(rssi_dbm): Rssi) {
        let Some(scanning) = self.scanning.take().filter(|scanning| scanning.asked) else {
            return; // it took too long, or was asked in another life
        };
        let (header, is) = (Header::new(Tid::NONE), Command::PROP_VALUE_IS);
        self.answer(header, is, Property::MAC_ENERGY_SCAN_RESULT, |w| {
            w.u8(scanning.channel.number()).i8(rssi_dbm)
        });
        self.answer(header, is, Property::MAC_SCAN_STATE, |w| w.u8(Property::SCAN_IDLE));
    }

    fn start(&mut self, now: Instant, header: Header, value: &[u8]) -> Result<(), Status> {
        if !self.settings.streams() {
            return Err(Status::INVALID_STATE);
        }
        if self.on_air.is_some() || self.scanning.is_some() {
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
        let access = self.access(now, &raw)?;
        self.settings.channel = channel;
        self.wishes.configure(&self.settings);
        let token = self.next_token;
        self.next_token = TxToken(token.0.wrapping_add(1));
        self.wishes.transmit(Transmission { token, psdu, access });
        self.on_air = Some(OnAir {
            token,
            asker: Some(header),
            awaits,
            channel,
            channel_after,
            deadline: access.and_then(|it| it.not_before).unwrap_or(now) + TRANSMISSION_MAX,
        });
        Ok(())
    }

    /// The way to the channel that the host wants, unless it is the seam's own.
    fn access(&self, now: Instant, raw: &RawTransmit<'_>) -> Result<Option<Access>, Status> {
        let not_before = match raw.delay_us {
            0 => None,
            _ if self.config.reach == RadioReach::Seam => return Err(Status::UNIMPLEMENTED),
            delay => Some(time_of(now, raw.delay_base_us.wrapping_add(delay))?),
        };
        let access = Access {
            csma_backoffs_max: raw.csma_ca.then_some(raw.csma_backoffs_max),
            frame_retries_max: raw.frame_retries_max,
            not_before,
        };
        match self.config.reach {
            RadioReach::Seam => Ok(None),
            RadioReach::Beyond => Ok(Some(access).filter(|access| *access != Access::SEAM)),
        }
    }

    fn received(&mut self, reception: &Reception) {
        if !self.settings.streams() {
            return;
        }
        if self.frames.len() + ANSWERS_ROOM >= FRAMES_MAX {
            return self.count_drop();
        }
        let octets = with_fcs(&reception.psdu);
        let mut raw = raw(reception, &octets, self.settings.channel);
        if reception.said_pending {
            raw.flags = ReceivedFlags::ACKED_PENDING;
        }
        let header = Header::new(Tid::NONE);
        self.answer(header, Command::PROP_VALUE_IS, Property::STREAM_RAW, |w| raw.emit(w));
    }

    fn transmitted(
        &mut self,
        now: Instant,
        token: TxToken,
        status: TxStatus,
        ack: Option<&Reception>,
    ) {
        let Some(on_air) = self.on_air.filter(|on_air| on_air.token == token) else {
            return; // it took too long and was given up
        };
        let status = match status {
            TxStatus::Sent | TxStatus::Acked => Status::OK,
            TxStatus::NoAck => Status::NO_ACK,
            TxStatus::ChannelBusy => Status::CCA_FAILURE,
        };
        self.end(now, on_air, status, ack);
    }

    fn end(&mut self, now: Instant, on_air: OnAir, status: Status, ack: Option<&Reception>) {
        self.on_air = None;
        let Some(header) = on_air.asker else {
            return;
        };
        self.settings.channel = on_air.channel_after;
        self.wishes.configure(&self.settings);
        // The host wants to see an acknowledgement that it asked for; the seam says only that it came.
        let assumed;
        let ack = match (ack, on_air.awaits) {
            (Some(ack), _) => ack,
            (None, awaits) => {
                let psdu = awaits.map(|sequence| [0x02, 0x00, sequence]);
                let psdu = psdu.into_iter().flatten().collect();
                let (rssi, lqi) = (Rssi(0), Lqi(0));
                assumed = Reception { psdu, rssi, lqi, at: now, said_pending: false };
                &assumed
            }
        };
        let octets = if ack.psdu.is_empty() { Vec::new() } else { with_fcs(&ack.psdu) };
        let done = TransmitDone {
            status,
            frame_pending: status == Status::OK
                && ack.psdu.first().is_some_and(|control| control & FRAME_PENDING != 0),
            header_updated: false,
            ack: (status == Status::OK).then_some(raw(ack, &octets, on_air.channel)),
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

/// The host's time, of which it says the lower half, by our clock.
fn time_of(now: Instant, at_us: u32) -> Result<Instant, Status> {
    let low = now.as_micros() as u32;
    let ahead = Duration::from_micros(at_us.wrapping_sub(low).into());
    // What has passed already is nearly a whole round ahead.
    if ahead > TRANSMIT_AHEAD_MAX { Err(Status::INVALID_ARGUMENT) } else { Ok(now + ahead) }
}

fn raw<'a>(reception: &Reception, octets: &'a [u8], channel: u8) -> RawReceived<'a> {
    RawReceived {
        psdu: octets,
        rssi: reception.rssi.0,
        noise: NOISE_UNKNOWN,
        flags: ReceivedFlags(0),
        channel,
        lqi: reception.lqi.0,
        timestamp_us: reception.at.as_micros(),
        error: 0,
    }
}

fn with_fcs(psdu: &[u8]) -> Vec<u8, PSDU_WITH_FCS_MAX> {
    psdu.iter().copied().take(lowgate_mac::PSDU_OCTETS_MAX).chain(psdu_fcs(psdu)).collect()
}

#[cfg(test)]
mod tests;
