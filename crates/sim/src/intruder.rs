//! An attacker without keys: hears every frame, and makes others of what it heard.
//!
//! It obeys no protocol but the channel: it listens before it talks, because a frame that collides
//! proves nothing.

mod trick;

pub use trick::Trick;

use crate::medium::{FCS_OCTETS, SHR_PHR_OCTETS, SYMBOL};
use lowgate_mac::{PhyCommand, PhyEvent, Psdu};
use lowgate_units::{Channel, Duration, Eui64, Instant, Prng};

/// Frames remembered.
const FRAMES_MAX: usize = 400;
/// How long it only listens.
const LISTEN: Duration = Duration::from_secs(20);
/// Acknowledgements are this long; replaying them proves nothing.
const FRAME_OCTETS_MIN: usize = 12;

/// What an eavesdropper does.
#[derive(Debug)]
pub(crate) enum Output {
    /// For its radio.
    Phy(PhyCommand),
    /// Nothing before then.
    Wait {
        /// When to poll again.
        until: Instant,
    },
}

/// Records frames, then plays its trick on them in random order, for ever.
#[derive(Debug)]
pub(crate) struct Eavesdropper {
    eui64: Eui64,
    trick: Trick,
    channel: Option<Channel>,
    recorded: Vec<Psdu>,
    state: State,
    sent: usize,
    /// Of the last frame that it sent.
    last_octets: usize,
    on_air: Duration,
    prng: Prng,
}

#[derive(Debug)]
enum State {
    Listening {
        until: Instant,
    },
    Sensing(Psdu),
    /// The channel was clear: the frame leaves with the next poll.
    Clear(Psdu),
    Sending,
}

impl Eavesdropper {
    /// One that begins to listen; `eui64` is what it calls itself where it must.
    pub(crate) fn new(
        now: Instant,
        channel: Channel,
        eui64: Eui64,
        trick: Trick,
        prng: Prng,
    ) -> Self {
        let state = State::Listening { until: now + LISTEN };
        let (channel, recorded) = (Some(channel), Vec::new());
        Self {
            eui64,
            trick,
            channel,
            recorded,
            state,
            sent: 0,
            last_octets: 0,
            on_air: Duration::ZERO,
            prng,
        }
    }

    /// Frames sent so far.
    pub(crate) const fn sent(&self) -> usize {
        self.sent
    }

    /// How long it was on the air so far.
    pub(crate) const fn on_air(&self) -> Duration {
        self.on_air
    }

    /// Takes what its radio says.
    pub(crate) fn handle(&mut self, now: Instant, event: PhyEvent) {
        let state = std::mem::replace(&mut self.state, State::Sending);
        self.state = match (state, event) {
            (state, PhyEvent::Received { psdu, .. }) => {
                if psdu.len() >= FRAME_OCTETS_MIN && self.recorded.len() < FRAMES_MAX {
                    self.recorded.push(psdu);
                }
                state
            }
            (State::Sensing(psdu), PhyEvent::CcaDone { idle: true }) => State::Clear(psdu),
            (State::Sensing(_), PhyEvent::CcaDone { idle: false }) => self.pause(now),
            (State::Sending, PhyEvent::TransmitDone) => self.rest(now),
            (state, PhyEvent::CcaDone { .. } | PhyEvent::TransmitDone) => state,
        };
    }

    /// After a frame of its own.
    fn rest(&mut self, now: Instant) -> State {
        let octets = (SHR_PHR_OCTETS + self.last_octets + FCS_OCTETS) as u32;
        let on_air = SYMBOL * 2 * octets;
        self.on_air += on_air;
        match self.trick.silence(on_air) {
            Some(silence) => State::Listening { until: now + silence },
            None => self.pause(now),
        }
    }

    fn pause(&mut self, now: Instant) -> State {
        let pause = self.trick.pause();
        let micros = u64::try_from(pause.as_micros()).expect("short");
        let jitter = Duration::from_micros(self.prng.below(micros));
        State::Listening { until: now + pause + jitter }
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self, now: Instant) -> Output {
        if let Some(channel) = self.channel.take() {
            return Output::Phy(PhyCommand::Tune { channel });
        }
        match std::mem::replace(&mut self.state, State::Sending) {
            State::Listening { until } if now >= until => {
                let choice = self.prng.below(self.recorded.len() as u64) as usize;
                let made = self.recorded.get(choice);
                if let Some(psdu) =
                    made.and_then(|heard| self.trick.play(self.eui64, heard, &mut self.prng))
                {
                    self.state = State::Sensing(psdu);
                    return Output::Phy(PhyCommand::Cca);
                }
                self.state = self.pause(now);
            }
            State::Clear(psdu) => {
                self.sent += 1;
                self.last_octets = psdu.len();
                return Output::Phy(PhyCommand::Transmit { psdu });
            }
            state => self.state = state,
        }
        let until = match self.state {
            State::Listening { until } => until,
            State::Sensing(_) | State::Clear(_) | State::Sending => Instant::FAR_FUTURE,
        };
        Output::Wait { until }
    }
}
