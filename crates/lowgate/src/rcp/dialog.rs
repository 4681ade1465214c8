//! Question and answer with a co-processor on a serial line, without a daemon.
//!
//! **Invariant:** one question at a time; frames that come meanwhile are kept, bounded, for whoever asks for
//! them.

use lowgate_linux::{Serial, SerialUrl};
use lowgate_router::co_processor::{RESPONSE_MAX, TRANSMISSION_MAX};
use lowgate_spinel::{
    Command, Decoder, FCS_OCTETS, FRAME_OCTETS_MAX, Frame, Header, Property, RawTransmit, Reader,
    Status, Tid, Writer, encode, encoded_octets_max, write_frame, write_property,
};
use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Octets of the longest frame of a co-processor: what OpenThread allows, and the FCS.
const DECODER_OCTETS: usize = 1300 + FCS_OCTETS;
const LINE_OCTETS_MAX: usize = encoded_octets_max(FRAME_OCTETS_MAX);
const READ_OCTETS_MAX: usize = 4096;
/// Frames that nobody asked for and nobody took yet. The oldest give way.
const KEPT_MAX: usize = 1024;
/// First words may take a device so long that restarts all of itself, and its USB with it.
const RESTART_MAX: Duration = Duration::from_secs(2);
/// See [`Dialog::settled`].
const SETTLE: Duration = Duration::from_millis(100);
/// So often the first question is asked: what the line holds from before may spoil it.
const GREETINGS_MAX: u32 = 3;

/// Why there is no answer to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The line is gone.
    Line(String),
    /// Nothing came in time.
    Silent,
    /// Not this, for this reason.
    Refused(Status),
    /// The answer makes no sense.
    Nonsense(Property),
    /// It started afresh instead of answering.
    Restarted(Status),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(why) => f.write_str(why),
            Self::Silent => f.write_str("no answer in time"),
            Self::Refused(status) => write!(f, "refused: {status}"),
            Self::Nonsense(property) => {
                write!(f, "the answer about property {:#x} makes no sense", property.0)
            }
            Self::Restarted(status) => write!(f, "it started afresh by itself ({status})"),
        }
    }
}

/// Something that a co-processor said about a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    tid: Tid,
    pub(crate) property: Property,
    pub(crate) value: Vec<u8>,
}

impl Said {
    fn parse(content: &[u8]) -> Option<Self> {
        let frame = Frame::parse(content).ok()?;
        // Our own words have other commands: a line that only echoes says nothing.
        let tells = [Command::PROP_VALUE_IS, Command::PROP_VALUE_INSERTED].contains(&frame.command);
        let (property, value) = frame.property().ok().filter(|_| tells)?;
        Some(Self { tid: frame.header.tid, property, value: value.to_vec() })
    }

    fn status(&self) -> Option<Status> {
        let status = Reader::new(&self.value).packed().ok().map(Status);
        status.filter(|_| self.property == Property::LAST_STATUS)
    }

    /// It answers a question, whichever.
    pub(crate) fn is_answer(&self) -> bool {
        self.tid != Tid::NONE
    }

    /// It started afresh, for this reason.
    pub(crate) fn notice(&self) -> Option<Status> {
        self.status().filter(|status| self.tid == Tid::NONE && status.is_reset())
    }
}

/// A co-processor on an open line.
pub(crate) struct Dialog {
    serial: Serial,
    decoder: Decoder<DECODER_OCTETS>,
    tid: Tid,
    /// Came with something else, and nobody looked at it yet.
    arrived: VecDeque<Said>,
    /// Came while an answer was awaited.
    kept: VecDeque<Said>,
    /// Octets that came, and that went.
    pub(crate) octets_in: u64,
    pub(crate) octets_out: u64,
}

impl Dialog {
    /// Opens the line and sees to it that a co-processor answers. Nothing is changed in it.
    ///
    /// # Errors
    /// One line, with the cause and the remedy.
    pub(crate) async fn begin(url: &SerialUrl) -> Result<Self, String> {
        let serial = Serial::open(url).map_err(|fault| fault.to_string())?;
        let mut dialog = Self {
            serial,
            decoder: Decoder::new(),
            tid: Tid::NONE,
            arrived: VecDeque::new(),
            kept: VecDeque::new(),
            octets_in: 0,
            octets_out: 0,
        };
        for _ in 0..GREETINGS_MAX {
            match dialog.get(Property::PROTOCOL_VERSION).await {
                Err(Trouble::Silent | Trouble::Restarted(_)) => {}
                Err(Trouble::Line(why)) => return Err(format!("{url}: {why}")),
                Ok(_) | Err(Trouble::Refused(_) | Trouble::Nonsense(_)) => {
                    return dialog.settled().await.map_err(|trouble| format!("{url}: {trouble}"));
                }
            }
        }
        Err(match dialog.octets_in {
            0 => format!(
                "{url}: nothing answers; is a co-processor with OpenThread's RCP firmware plugged in there, \
                 and is this its speed?"
            ),
            octets => format!(
                "{url}: {octets} octets came, but no Spinel; is this the co-processor's port and its speed, and \
                 has it OpenThread's RCP firmware?"
            ),
        })
    }

    /// Opening the line may have started it, and its first word may come after its first answer.
    async fn settled(mut self) -> Result<Self, Trouble> {
        let until = Instant::now() + SETTLE;
        while self.hear(until).await?.is_some() {}
        Ok(self)
    }

    /// The value of a property.
    pub(crate) async fn get(&mut self, property: Property) -> Result<Vec<u8>, Trouble> {
        let said = self.ask(Command::PROP_VALUE_GET, property, RESPONSE_MAX, |w| w).await?;
        match said.status() {
            _ if said.property == property => Ok(said.value),
            Some(status) => Err(Trouble::Refused(status)),
            None => Err(Trouble::Nonsense(property)),
        }
    }

    /// Sets a property to what `value` writes.
    pub(crate) async fn set(
        &mut self,
        property: Property,
        value: impl FnOnce(Writer) -> Writer,
    ) -> Result<(), Trouble> {
        let said = self.ask(Command::PROP_VALUE_SET, property, RESPONSE_MAX, value).await?;
        match said.status() {
            Some(Status::OK) => Ok(()),
            Some(status) => Err(Trouble::Refused(status)),
            None if said.property == property => Ok(()),
            None => Err(Trouble::Nonsense(property)),
        }
    }

    /// Has a frame sent; how that ended.
    pub(crate) async fn transmit(&mut self, raw: &RawTransmit<'_>) -> Result<Status, Trouble> {
        let (command, property) = (Command::PROP_VALUE_SET, Property::STREAM_RAW);
        let said = self.ask(command, property, TRANSMISSION_MAX, |w| raw.emit(w)).await?;
        said.status().ok_or(Trouble::Nonsense(property))
    }

    /// Has it start afresh: its stack alone, or else all of it. With the first word of its new life.
    pub(crate) async fn reset(&mut self) -> Result<Status, Trouble> {
        for (what, patience) in
            [(Command::RESET_STACK, RESPONSE_MAX), (Command::RESET_PLATFORM, RESTART_MAX)]
        {
            self.kept.clear();
            let frame = write_frame(Header::new(Tid::NONE), Command::RESET, |w| w.u8(what));
            self.write(&line(frame)).await?;
            let until = Instant::now() + patience;
            while let Some(said) = self.hear(until).await? {
                if let Some(status) = said.notice() {
                    return Ok(status);
                }
            }
        }
        Err(Trouble::Silent)
    }

    /// Has it hand over to its bootloader. It says that it starts afresh, or is gone at once.
    pub(crate) async fn enter_bootloader(&mut self) -> Result<(), Trouble> {
        let what = Command::RESET_BOOTLOADER;
        let frame = write_frame(Header::new(Tid::NONE), Command::RESET, |w| w.u8(what));
        self.write(&line(frame)).await?;
        let until = Instant::now() + RESTART_MAX;
        loop {
            match self.hear(until).await {
                Ok(Some(said)) => match said.status().filter(|_| said.tid == Tid::NONE) {
                    Some(status) if status.is_reset() => return Ok(()),
                    Some(status) => return Err(Trouble::Refused(status)),
                    None => {}
                },
                Ok(None) => return Err(Trouble::Silent),
                Err(Trouble::Line(_)) => return Ok(()),
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Octets as they come, for somebody else who understands them; none when the time is over.
    pub(crate) async fn octets(&mut self, until: Instant) -> Result<Vec<u8>, Trouble> {
        let mut octets = [0; READ_OCTETS_MAX];
        let len = match timeout_at(until, self.serial.read(&mut octets)).await {
            Ok(read) => read.map_err(|fault| Trouble::Line(fault.to_string()))?,
            Err(_) => 0,
        };
        self.octets_in += len as u64;
        Ok(octets[..len].to_vec())
    }

    /// Octets as they are, whatever they mean.
    pub(crate) async fn write(&mut self, octets: &[u8]) -> Result<(), Trouble> {
        self.octets_out += octets.len() as u64;
        self.serial.write_all(octets).await.map_err(|fault| Trouble::Line(fault.to_string()))
    }

    /// The next thing that it says by itself; `None` when the time is over.
    pub(crate) async fn next(&mut self, until: Instant) -> Result<Option<Said>, Trouble> {
        match self.kept.pop_front() {
            Some(said) => Ok(Some(said)),
            None => self.hear(until).await,
        }
    }

    /// Asks without waiting for the answer.
    pub(crate) async fn post(
        &mut self,
        command: Command,
        property: Property,
        value: impl FnOnce(Writer) -> Writer,
    ) -> Result<(), Trouble> {
        self.tid = self.tid.next();
        let frame = write_property(Header::new(self.tid), command, property, value);
        self.write(&line(frame)).await
    }

    async fn ask(
        &mut self,
        command: Command,
        property: Property,
        patience: Duration,
        value: impl FnOnce(Writer) -> Writer,
    ) -> Result<Said, Trouble> {
        self.post(command, property, value).await?;
        let until = Instant::now() + patience;
        while let Some(said) = self.hear(until).await? {
            if said.tid == self.tid {
                return Ok(said);
            }
            if let Some(status) = said.notice() {
                return Err(Trouble::Restarted(status));
            }
            if self.kept.len() == KEPT_MAX {
                self.kept.pop_front();
            }
            self.kept.push_back(said);
        }
        Err(Trouble::Silent)
    }

    /// The next thing from the line itself.
    async fn hear(&mut self, until: Instant) -> Result<Option<Said>, Trouble> {
        loop {
            if let Some(said) = self.arrived.pop_front() {
                return Ok(Some(said));
            }
            // A line that never rests says nothing for ever.
            if Instant::now() >= until {
                return Ok(None);
            }
            let octets = self.octets(until).await?;
            if octets.is_empty() {
                return Ok(None);
            }
            for octet in octets {
                if let Some(Ok(content)) = self.decoder.push(octet) {
                    self.arrived.extend(Said::parse(content));
                }
            }
        }
    }
}

/// What we write is shorter than its bound.
fn line(frame: Option<impl Deref<Target = [u8]>>) -> Vec<u8> {
    let encoded = frame.and_then(|frame| encode::<LINE_OCTETS_MAX>(&frame));
    encoded.expect("our frames have a bounded length").to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_a_line_carries_is_read_or_skipped(content: Vec<u8>) {
            let _ = Said::parse(&content);
        }
    }
}
