//! An attacker: hears every frame, and makes others of what it heard and of what it knows. It has no keys, or
//! those of a captured device.
//!
//! It obeys no protocol but the channel: it listens before it talks, because a frame that collides
//! proves nothing; unless jamming is what it is for.

mod captured;
mod lie;
mod packets;
mod trick;
mod wormhole;

pub(crate) use captured::Captured;
pub use lie::Lie;
pub(crate) use lie::{Known, Liar};
pub use trick::Trick;

use crate::medium::{FCS_OCTETS, SHR_PHR_OCTETS, SYMBOL};
use lowgate_ieee802154::{Ack, Frame};
use lowgate_mac::{PhyCommand, PhyEvent, Psdu, TURNAROUND_TIME};
use lowgate_units::{Channel, Duration, Eui64, Instant, Prng};
use wormhole::{Alters, Wormhole};

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
    /// Through a tunnel: for the intruder of this name.
    Tunnel(Eui64, Psdu),
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
    means: Means,
    channel: Option<Channel>,
    /// When the acknowledgement of a frame with this number is due.
    ack: Option<(Instant, u8)>,
    recorded: Vec<Psdu>,
    state: State,
    sent: usize,
    /// Of the last frame that it sent.
    last_octets: usize,
    on_air: Duration,
    prng: Prng,
}

/// What it makes its frames with.
#[derive(Debug)]
enum Means {
    /// What it heard.
    Heard,
    Tunnel(Wormhole),
    Lie(Liar),
}

#[derive(Debug)]
enum State {
    Listening {
        until: Instant,
    },
    /// An acknowledgement is on the air.
    Acking {
        until: Instant,
    },
    Sensing(Psdu),
    /// The channel was clear: the frame leaves with the next poll.
    Clear(Psdu),
    Sending,
}

impl Eavesdropper {
    /// One that begins to listen; `eui64` is what it calls itself where it must. Who lies needs a `liar`.
    pub(crate) fn new(
        now: Instant,
        channel: Channel,
        (eui64, trick): (Eui64, Trick),
        liar: Option<Liar>,
        prng: Prng,
    ) -> Self {
        let learns = if trick.learns() { LISTEN } else { Duration::ZERO };
        let state = State::Listening { until: now + learns };
        let means = match (trick, liar) {
            (Trick::Tunnel(other), _) => Means::Tunnel(Wormhole::new(other, Alters::Nothing)),
            (Trick::Tamper(other), _) => Means::Tunnel(Wormhole::new(other, Alters::Unsecured)),
            (_, Some(liar)) => Means::Lie(liar),
            (_, None) => Means::Heard,
        };
        let (channel, ack, recorded) = (Some(channel), None, Vec::new());
        Self {
            eui64,
            trick,
            means,
            channel,
            ack,
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
                self.answer(now, &psdu);
                if psdu.len() >= FRAME_OCTETS_MIN && self.recorded.len() < FRAMES_MAX {
                    self.recorded.push(psdu);
                }
                state
            }
            (State::Sensing(psdu), PhyEvent::CcaDone { idle: true }) => State::Clear(psdu),
            (State::Sensing(psdu), PhyEvent::CcaDone { idle: false }) => {
                if let Means::Tunnel(wormhole) = &mut self.means {
                    wormhole.put_back(psdu);
                }
                self.pause(now)
            }
            (State::Acking { until }, PhyEvent::TransmitDone) => State::Listening { until },
            (State::Sending, PhyEvent::TransmitDone) => self.rest(now),
            (state, PhyEvent::CcaDone { .. } | PhyEvent::TransmitDone) => state,
        };
    }

    /// Something came through the tunnel.
    pub(crate) fn tunnelled(&mut self, now: Instant, psdu: Psdu) {
        let Means::Tunnel(wormhole) = &mut self.means else { return };
        wormhole.take(psdu);
        if let State::Listening { until } = &mut self.state {
            *until = now;
        }
    }

    /// What must be done at once with a frame: the radio of a captured device acknowledges, so does a tunnel.
    fn answer(&mut self, now: Instant, psdu: &Psdu) {
        if let Means::Tunnel(wormhole) = &mut self.means {
            wormhole.hear(psdu);
        }
        let Ok(Frame::Addressed(frame)) = Frame::parse(psdu) else { return };
        if let Means::Lie(liar) = &mut self.means {
            liar.hear(&frame);
        }
        let asked = lie::asks_ack(&frame).is_some_and(|device| match &self.means {
            Means::Heard => false,
            Means::Tunnel(wormhole) => wormhole.is(device),
            Means::Lie(liar) => liar.is(device),
        });
        if asked {
            self.ack = Some((now + TURNAROUND_TIME, frame.sequence));
        }
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
        if let Means::Tunnel(wormhole) = &mut self.means
            && let Some((other, psdu)) = wormhole.pass()
        {
            return Output::Tunnel(other, psdu);
        }
        // Late it is of no use.
        let due = self.ack.take_if(|(at, _)| now >= *at).filter(|(at, _)| now == *at);
        if let (Some((_, sequence)), State::Listening { until }) = (due, &self.state) {
            self.state = State::Acking { until: *until };
            let psdu = Psdu::from_slice(&Ack::of(sequence).octets()).expect("three octets");
            return Output::Phy(PhyCommand::Transmit { psdu });
        }
        match std::mem::replace(&mut self.state, State::Sending) {
            State::Listening { until } if now >= until && self.ack.is_none() => match self.make() {
                Some(psdu) if self.trick.listens() => {
                    self.state = State::Sensing(psdu);
                    return Output::Phy(PhyCommand::Cca);
                }
                Some(psdu) => return self.transmit(psdu),
                None => self.state = self.pause(now),
            },
            State::Clear(psdu) => return self.transmit(psdu),
            state => self.state = state,
        }
        let until = match (&self.state, self.ack) {
            (State::Listening { until }, ack) => ack.map_or(*until, |(at, _)| at),
            (State::Sensing(_) | State::Clear(_) | State::Acking { .. } | State::Sending, _) => {
                Instant::FAR_FUTURE
            }
        };
        Output::Wait { until }
    }

    fn transmit(&mut self, psdu: Psdu) -> Output {
        self.sent += 1;
        self.last_octets = psdu.len();
        Output::Phy(PhyCommand::Transmit { psdu })
    }

    /// The next frame.
    fn make(&mut self) -> Option<Psdu> {
        match &mut self.means {
            Means::Tunnel(wormhole) => wormhole.next(&mut self.prng),
            Means::Lie(liar) => liar.say(&mut self.prng),
            Means::Heard => {
                let choice = self.prng.below(self.recorded.len() as u64) as usize;
                let heard = self.recorded.get(choice);
                self.trick.play(self.eui64, heard, &mut self.prng)
            }
        }
    }
}
