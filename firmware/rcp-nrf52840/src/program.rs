//! The program between host and transceiver. It decides nothing that the cores do not.
//!
//! **Invariant:** a host that does not read holds up its own frames and nothing else.

use embassy_futures::select::select;
use embassy_nrf::wdt::WatchdogHandle;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use lowgate_mac::{
    LinkInput, LinkMachine, LinkOutput, PhyEvent, RadioCommand, RadioEvent, TxStatus,
};
use lowgate_nrf52840::radio::{self, Heard, Order};
use lowgate_nrf52840::{Boot, WAKE, clock, enter_bootloader};
use lowgate_rcp::{
    Demand, RadioReach, Rcp, RcpConfig, RcpInput, RcpOutput, Reception, Report, SERIAL_OCTETS_MAX,
};
use lowgate_units::{Duration, Instant, Prng};

/// Octets on their way from the host, and to it: two of the longest frames.
pub const PIPE_OCTETS: usize = 2 * SERIAL_OCTETS_MAX;
type Line = Pipe<CriticalSectionRawMutex, PIPE_OCTETS>;

/// What the host says.
pub static FROM_HOST: Line = Pipe::new();
/// What it is told.
pub static TO_HOST: Line = Pipe::new();
/// A bootloader is entered so much later than it was asked for: the answer wants to leave first.
const LEAVE_AFTER: Duration = Duration::from_millis(100);

/// The driver of the serial line calls this when it has taken octets out of [`TO_HOST`].
pub fn wrote_to_host() {
    WAKE.signal(());
}

/// Host's side and radio's side of the co-processor.
pub struct Program {
    core: Rcp,
    link: LinkMachine,
    watchdog: WatchdogHandle,
    /// What the core said to the host and the line has no room for yet.
    said: heapless::Vec<u8, SERIAL_OCTETS_MAX>,
    /// The frame that the link has at the moment.
    frame: Option<Reception>,
    /// The last acknowledgement that was heard.
    ack: Option<Reception>,
    leaves_at: Option<Instant>,
}

impl Program {
    /// Switches radio and clock on. `seed` is for the dice of channel access, which are no secret.
    pub fn new(config: RcpConfig, boot: Boot, seed: u64, watchdog: WatchdogHandle) -> Self {
        clock::start();
        radio::start();
        let config = RcpConfig { reach: RadioReach::Beyond, ..config };
        Self {
            core: Rcp::restarted(clock::now(), config, boot.why, boot.last_words),
            link: LinkMachine::above_acknowledger(Prng::new(seed)),
            watchdog,
            said: heapless::Vec::new(),
            frame: None,
            ack: None,
            leaves_at: None,
        }
    }

    /// For ever.
    pub async fn run(mut self) -> ! {
        let mut octets = [0; crate::CHUNK_OCTETS];
        loop {
            self.watchdog.pet();
            let until = self.turn();
            clock::wake_at(until);
            match select(FROM_HOST.read(&mut octets), WAKE.wait()).await {
                embassy_futures::select::Either::First(len) => {
                    let octets = octets.get(..len).unwrap_or_default();
                    self.core.handle(clock::now(), RcpInput::Serial(octets));
                }
                embassy_futures::select::Either::Second(()) => {}
            }
        }
    }

    /// Everything that can be done now; when there is more.
    fn turn(&mut self) -> Instant {
        loop {
            while let Some(heard) = radio::heard() {
                self.hear(heard);
            }
            if let Some(at) = self.leaves_at
                && clock::now() >= at
            {
                enter_bootloader();
            }
            let link = self.poll_link();
            let Some(core) = self.poll_core() else { continue };
            return link.min(core).min(self.leaves_at.unwrap_or(Instant::FAR_FUTURE));
        }
    }

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Phy(event) => self.link.handle(clock::now(), LinkInput::Phy(event)),
            Heard::Energy(rssi) => {
                self.core.handle(clock::now(), RcpInput::Report(Report::Scanned(rssi)));
            }
            Heard::Frame { psdu, rssi, lqi, at, said_pending } => {
                let at = clock::when(at);
                let frame = Reception { psdu: psdu.clone(), rssi, lqi, at, said_pending };
                if is_ack(&psdu) {
                    self.ack = Some(frame.clone());
                }
                self.frame = Some(frame);
                self.link.handle(at, LinkInput::Phy(PhyEvent::Received { psdu, rssi, lqi }));
            }
        }
        self.poll_link();
    }

    fn poll_link(&mut self) -> Instant {
        loop {
            let now = clock::now();
            match self.link.poll(now) {
                LinkOutput::Phy(command) => radio::order(Order::Phy(command)),
                LinkOutput::Wait { until } => return until,
                LinkOutput::Event(RadioEvent::Received { psdu, rssi, lqi }) => {
                    // It comes while the frame is handled.
                    let report = self.frame.take().unwrap_or(Reception {
                        psdu,
                        rssi,
                        lqi,
                        at: now,
                        said_pending: false,
                    });
                    self.core.handle(now, RcpInput::Report(Report::Received(report)));
                }
                LinkOutput::Event(RadioEvent::Transmitted { token, status, attempts: _ }) => {
                    let ack = self.ack.take().filter(|_| status == TxStatus::Acked);
                    let report = Report::Transmitted { token, status, ack };
                    self.core.handle(now, RcpInput::Report(report));
                }
            }
        }
    }

    /// When it wants to go on; `None` if it said something.
    fn poll_core(&mut self) -> Option<Instant> {
        if !self.said.is_empty() {
            let sent = TO_HOST.try_write(&self.said).unwrap_or(0);
            self.said.rotate_left(sent);
            self.said.truncate(self.said.len() - sent);
            if !self.said.is_empty() {
                // The line calls when it has room; until then the core keeps what it has.
                return Some(Instant::FAR_FUTURE);
            }
        }
        let now = clock::now();
        match self.core.poll(now) {
            RcpOutput::Serial(octets) => self.said = octets,
            RcpOutput::Radio(command) => {
                if let RadioCommand::Configure(config) = &command {
                    radio::configure(*config);
                }
                self.link.handle(now, LinkInput::Command(command));
            }
            RcpOutput::Demand(demand) => self.demand(now, demand),
            RcpOutput::EnterBootloader => self.leaves_at = Some(now + LEAVE_AFTER),
            RcpOutput::Wait { until } => return Some(until),
        }
        None
    }

    fn demand(&mut self, now: Instant, demand: Demand) {
        match demand {
            Demand::Levels(levels) => radio::adjust(levels),
            Demand::SourceMatch(list) => radio::match_sources(list),
            Demand::Transmit { token, psdu, access } => {
                self.link.handle(now, LinkInput::Transmit { token, psdu, access });
            }
            Demand::Scan(scan) => radio::order(Order::Scan(scan)),
        }
    }
}

fn is_ack(psdu: &[u8]) -> bool {
    const FRAME_TYPE: u8 = 0x07;
    const TYPE_ACK: u8 = 0x02;
    psdu.first().is_some_and(|control| control & FRAME_TYPE == TYPE_ACK)
}
