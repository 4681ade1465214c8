//! The machine below the radio seam: unslotted CSMA-CA, retries, the acknowledgement both ways,
//! the address filter. IEEE 802.15.4-2006 clauses 7.5.1.4, 7.5.6.2 and 7.5.6.4.
//!
//! **Invariant:** every attempt of a frame sends the same octets; a frame for us that asks for an
//! acknowledgement gets one each time, also as a duplicate, because the last one may have been lost.
//! It holds no key and judges no security.

use crate::seam::{
    Access, LinkInput, LinkOutput, PhyCommand, PhyEvent, Psdu, RadioCommand, RadioConfig,
    RadioEvent, TxStatus, TxToken,
};
use heapless::Deque;
use lowgate_ieee802154::{Ack, Frame};
use lowgate_units::{Channel, Duration, Instant, Lqi, Prng, Rssi};

/// Symbols of the 2.4 GHz O-QPSK PHY last 16 us; an octet is two of them.
const fn symbols(count: u64) -> Duration {
    Duration::from_micros(16 * count)
}

/// aUnitBackoffPeriod.
pub const UNIT_BACKOFF_PERIOD: Duration = symbols(20);
/// aTurnaroundTime: between a frame and its acknowledgement.
pub const TURNAROUND_TIME: Duration = symbols(12);
/// macAckWaitDuration of this PHY: 20 + 12 + 10 + 6 * 2 symbols after the end of the frame.
pub const MAC_ACK_WAIT_DURATION: Duration = symbols(54);
/// macMinLIFSPeriod: a receiver's pause after a frame longer than [`SIFS_FRAME_OCTETS_MAX`].
pub const MAC_MIN_LIFS_PERIOD: Duration = symbols(40);
/// macMinSIFSPeriod: its pause after a shorter one.
pub const MAC_MIN_SIFS_PERIOD: Duration = symbols(12);
/// aMaxSIFSFrameSize, less the FCS.
pub const SIFS_FRAME_OCTETS_MAX: usize = 16;
/// macMinBE, the standard's default.
pub const MAC_MIN_BE: u8 = 3;
/// macMaxBE, the standard's default.
pub const MAC_MAX_BE: u8 = 5;
/// macMaxCSMABackoffs, the standard's default.
pub const MAC_MAX_CSMA_BACKOFFS: u8 = 4;
/// macMaxFrameRetries. The largest the standard allows instead of its default 3: a link that loses a
/// fifth each way leaves one frame in 60 unacknowledged after 3 retries, one in 3500 after 7, and a
/// good link never pays for it.
pub const MAC_MAX_FRAME_RETRIES: u8 = 7;
/// Before retry n we also wait for up to 2^(macMinBE + n) backoff periods, with the exponent limited
/// to this. Two stations hidden from each other find the channel idle at every look; a frame takes
/// 4 ms and CSMA-CA's first delay at most 2 ms, so without this they would collide at every retry.
pub const RETRY_EXPONENT_MAX: u8 = 6;

/// Events between two polls: a reception and the end of a transmission, and slack.
const EVENTS_MAX: usize = 4;

/// One station's access to the channel.
#[derive(Debug)]
pub struct LinkMachine {
    prng: Prng,
    acknowledger: Acknowledger,
    config: Option<RadioConfig>,
    /// The channel the transceiver has yet to be told.
    tune: Option<Channel>,
    phy: Phy,
    ack: Option<PendingAck>,
    job: Option<Job>,
    /// The receiver of our last frame wants its pause.
    not_before: Instant,
    events: Deque<RadioEvent, EVENTS_MAX>,
}

/// Who sends our acknowledgements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acknowledger {
    Machine,
    Transceiver,
}

/// What the transceiver does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phy {
    Listening,
    Assessing,
    SendingFrame,
    SendingAck,
}

#[derive(Debug)]
struct PendingAck {
    at: Instant,
    ack: Ack,
}

/// The one frame on its way out.
#[derive(Debug)]
struct Job {
    token: TxToken,
    psdu: Psdu,
    access: Access,
    /// It came after the change of channel that has yet to happen, and is meant for the new one.
    follows_tune: bool,
    /// Sequence number, if the frame asks for an acknowledgement.
    awaits: Option<u8>,
    /// Times on the air.
    attempts: u8,
    /// NB and BE of the current run of CSMA-CA.
    busy_looks: u8,
    exponent: u8,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Looks at the channel then.
    Backoff { until: Instant },
    /// The transceiver looks.
    Looking,
    /// It found the channel idle and sends then.
    TurningAround { until: Instant },
    /// It sends.
    Sending,
    /// The last octet is out.
    AwaitingAck { until: Instant },
}

impl LinkMachine {
    /// Admits nothing before it is configured.
    pub const fn new(prng: Prng) -> Self {
        Self::with(prng, Acknowledger::Machine)
    }

    /// Above a transceiver that acknowledges by itself, by
    /// [`RadioConfig::acknowledgement`](crate::RadioConfig::acknowledgement), and that does what the
    /// machine asks of it when it has done so.
    pub const fn above_acknowledger(prng: Prng) -> Self {
        Self::with(prng, Acknowledger::Transceiver)
    }

    const fn with(prng: Prng, acknowledger: Acknowledger) -> Self {
        Self {
            prng,
            acknowledger,
            config: None,
            tune: None,
            phy: Phy::Listening,
            ack: None,
            job: None,
            not_before: Instant::ZERO,
            events: Deque::new(),
        }
    }

    /// Takes one input. The owner then polls until [`LinkOutput::Wait`].
    ///
    /// # Panics
    /// If the owner never polls.
    pub fn handle(&mut self, now: Instant, input: LinkInput) {
        match input {
            LinkInput::Command(RadioCommand::Configure(config)) => self.configure(config),
            LinkInput::Command(RadioCommand::Transmit { token, psdu }) => {
                self.transmit(now, token, psdu, Access::SEAM);
            }
            LinkInput::Transmit { token, psdu, access } => {
                self.transmit(now, token, psdu, access);
            }
            LinkInput::Phy(PhyEvent::CcaDone { idle }) => self.assessed(now, idle),
            LinkInput::Phy(PhyEvent::TransmitDone) => self.transmitted(now),
            LinkInput::Phy(PhyEvent::Received { psdu, rssi, lqi }) => {
                self.received(now, psdu, rssi, lqi);
            }
        }
    }

    /// What to do next; [`LinkOutput::Wait`] last.
    pub fn poll(&mut self, now: Instant) -> LinkOutput {
        self.expire_ack_wait(now);
        if let Some(event) = self.events.pop_front() {
            return LinkOutput::Event(event);
        }
        if self.phy == Phy::Listening
            && let Some(command) = self.next_command(now)
        {
            return LinkOutput::Phy(command);
        }
        LinkOutput::Wait { until: self.next_wake() }
    }

    fn configure(&mut self, config: RadioConfig) {
        if self.config.is_none_or(|old| old.channel != config.channel) {
            self.tune = Some(config.channel);
        }
        self.config = Some(config);
    }

    fn transmit(&mut self, now: Instant, token: TxToken, psdu: Psdu, access: Access) {
        if self.job.is_some() {
            self.emit(RadioEvent::Transmitted {
                token,
                status: TxStatus::ChannelBusy,
                attempts: 0,
            });
            return;
        }
        let awaits = match Frame::parse(&psdu) {
            Ok(Frame::Addressed(frame)) if frame.ack_request => Some(frame.sequence),
            Ok(_) | Err(_) => None,
        };
        // Lest a count ever pass its bound.
        let most = |wish: u8| wish.min(u8::MAX - 1);
        let access = Access {
            csma_backoffs_max: access.csma_backoffs_max.map(most),
            frame_retries_max: most(access.frame_retries_max),
            ..access
        };
        let earliest = now.max(self.not_before).max(access.not_before.unwrap_or(Instant::ZERO));
        let stage = match access.csma_backoffs_max {
            Some(_) => self.backoff(earliest, MAC_MIN_BE),
            None => Stage::TurningAround { until: earliest },
        };
        self.job = Some(Job {
            token,
            psdu,
            access,
            follows_tune: self.tune.is_some(),
            awaits,
            attempts: 0,
            busy_looks: 0,
            exponent: MAC_MIN_BE,
            stage,
        });
    }

    /// A random number of backoff periods below 2^exponent from `start` on.
    fn backoff(&mut self, start: Instant, exponent: u8) -> Stage {
        let periods = self.prng.below(1 << exponent) as u32;
        Stage::Backoff { until: start + UNIT_BACKOFF_PERIOD * periods }
    }

    fn assessed(&mut self, now: Instant, idle: bool) {
        if self.phy != Phy::Assessing {
            return; // late; harmless
        }
        self.phy = Phy::Listening;
        let Some(job) = &mut self.job else { return };
        if let Some(ack) = &self.ack {
            // We are about to be on the air ourselves: look again when that is over.
            job.stage = Stage::Backoff { until: ack.at };
            return;
        }
        if idle {
            job.stage = Stage::TurningAround { until: now + TURNAROUND_TIME };
            return;
        }
        job.busy_looks += 1;
        if job.busy_looks > job.access.csma_backoffs_max.unwrap_or(0) {
            // Clause 7.5.6.5 takes this for the end of the frame, not for a reason to retry.
            self.finish(now, TxStatus::ChannelBusy);
            return;
        }
        job.exponent = MAC_MAX_BE.min(job.exponent + 1);
        let exponent = job.exponent;
        self.back_off(now, exponent);
    }

    fn back_off(&mut self, start: Instant, exponent: u8) {
        let stage = self.backoff(start, exponent);
        if let Some(job) = &mut self.job {
            job.stage = stage;
        }
    }

    fn transmitted(&mut self, now: Instant) {
        if !self.sends() {
            return; // late; harmless
        }
        let phy = core::mem::replace(&mut self.phy, Phy::Listening);
        let Some(job) = self.job.as_mut().filter(|_| phy == Phy::SendingFrame) else { return };
        if job.awaits.is_some() {
            job.stage = Stage::AwaitingAck { until: now + MAC_ACK_WAIT_DURATION };
        } else {
            self.finish(now, TxStatus::Sent);
        }
    }

    fn received(&mut self, now: Instant, psdu: Psdu, rssi: Rssi, lqi: Lqi) {
        let Some(config) = self.config else { return };
        let frame = Frame::parse(&psdu);
        if config.promiscuous {
            if let Ok(Frame::Ack(ack)) = frame {
                self.acknowledged(now, ack.sequence);
            }
            return self.emit(RadioEvent::Received { psdu, rssi, lqi });
        }
        match frame {
            // What is no frame of ours is noise that no other layer could tell more of.
            Err(_) => {}
            Ok(Frame::Ack(ack)) => self.acknowledged(now, ack.sequence),
            Ok(Frame::Addressed(frame)) => {
                if !config.admits(&frame) {
                    return;
                }
                let is_mine = self.acknowledger == Acknowledger::Machine && !self.sends();
                if is_mine && config.acknowledges(&frame) {
                    self.plan_ack(now + TURNAROUND_TIME, frame.sequence);
                }
                self.emit(RadioEvent::Received { psdu, rssi, lqi });
            }
        }
    }

    fn plan_ack(&mut self, at: Instant, sequence: u8) {
        self.ack = Some(PendingAck { at, ack: Ack::of(sequence) });
        if let Some(job) = &mut self.job
            && matches!(job.stage, Stage::TurningAround { .. })
        {
            job.stage = match job.access.csma_backoffs_max {
                Some(_) => Stage::Backoff { until: at },
                None => Stage::TurningAround { until: at },
            };
        }
    }

    fn sends(&self) -> bool {
        matches!(self.phy, Phy::SendingFrame | Phy::SendingAck)
    }

    fn acknowledged(&mut self, now: Instant, sequence: u8) {
        if let Some(Job { stage: Stage::AwaitingAck { .. }, awaits, .. }) = &self.job
            && *awaits == Some(sequence)
        {
            self.finish(now, TxStatus::Acked);
        }
    }

    fn expire_ack_wait(&mut self, now: Instant) {
        let Some(job) = &mut self.job else { return };
        if !matches!(job.stage, Stage::AwaitingAck { until } if until <= now) {
            return;
        }
        if job.attempts > job.access.frame_retries_max {
            self.finish(now, TxStatus::NoAck);
            return;
        }
        let looks = job.access.csma_backoffs_max.is_some();
        job.busy_looks = 0;
        job.exponent = MAC_MIN_BE;
        let exponent = RETRY_EXPONENT_MAX.min(MAC_MIN_BE.saturating_add(job.attempts));
        let apart = UNIT_BACKOFF_PERIOD * self.prng.below(1 << exponent) as u32;
        if looks {
            self.back_off(now + apart, MAC_MIN_BE);
        } else if let Some(job) = &mut self.job {
            job.stage = Stage::TurningAround { until: now + apart };
        }
    }

    fn finish(&mut self, now: Instant, status: TxStatus) {
        let Some(job) = self.job.take() else { return };
        let pause = if job.psdu.len() > SIFS_FRAME_OCTETS_MAX {
            MAC_MIN_LIFS_PERIOD
        } else {
            MAC_MIN_SIFS_PERIOD
        };
        self.not_before = now + pause;
        let (token, attempts) = (job.token, job.attempts);
        self.emit(RadioEvent::Transmitted { token, status, attempts });
    }

    fn emit(&mut self, event: RadioEvent) {
        self.events.push_back(event).expect("the owner polls to Wait after every input");
    }

    fn next_command(&mut self, now: Instant) -> Option<PhyCommand> {
        if let Some(pending) = &self.ack {
            if pending.at > now {
                return None;
            }
            let psdu = Psdu::from_slice(&pending.ack.octets()).expect("three octets");
            self.ack = None;
            self.phy = Phy::SendingAck;
            return Some(PhyCommand::Transmit { psdu });
        }
        // Not under a frame that was meant for the channel we are on.
        let settled = self.job.as_ref().is_none_or(|job| job.follows_tune);
        if settled && let Some(channel) = self.tune.take() {
            if let Some(job) = &mut self.job {
                job.follows_tune = false;
            }
            return Some(PhyCommand::Tune { channel });
        }
        let job = self.job.as_mut()?;
        match job.stage {
            Stage::Backoff { until } if until <= now => {
                job.stage = Stage::Looking;
                self.phy = Phy::Assessing;
                Some(PhyCommand::Cca)
            }
            Stage::TurningAround { until } if until <= now => {
                job.stage = Stage::Sending;
                job.attempts += 1;
                self.phy = Phy::SendingFrame;
                Some(PhyCommand::Transmit { psdu: job.psdu.clone() })
            }
            Stage::Backoff { .. }
            | Stage::Looking
            | Stage::TurningAround { .. }
            | Stage::Sending
            | Stage::AwaitingAck { .. } => None,
        }
    }

    fn next_wake(&self) -> Instant {
        let (next, ack_wait) = match self.job.as_ref().map(|job| job.stage) {
            Some(Stage::Backoff { until } | Stage::TurningAround { until }) => {
                (until, Instant::FAR_FUTURE)
            }
            Some(Stage::AwaitingAck { until }) => (Instant::FAR_FUTURE, until),
            Some(Stage::Looking | Stage::Sending) | None => {
                (Instant::FAR_FUTURE, Instant::FAR_FUTURE)
            }
        };
        // While the transceiver is busy, its next event comes before anything else we could ask.
        if self.phy != Phy::Listening {
            return ack_wait;
        }
        // So does our acknowledgement before our own frame.
        self.ack.as_ref().map_or(next, |pending| pending.at).min(ack_wait)
    }
}

#[cfg(test)]
mod tests;
