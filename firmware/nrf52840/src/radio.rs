//! The transceiver: IEEE 802.15.4-2006 at 2.4 GHz, below the machine of `lowgate_mac`.
//!
//! Received is by interrupt, and there it is decided whether the frame is acknowledged
//! (`RadioConfig::acknowledgement`). The acknowledgement itself is started by hardware: the end of the frame
//! was caught by a timer, and the timer starts the transmitter when 192 us less its ramp-up have passed.
//!
//! **Invariant:** one thing at a time; what the program orders while an acknowledgement is due is done after
//! it. A frame that was decided on too late is delivered and not acknowledged.

use crate::buffer::Buffer;
use crate::clock::{self, AT_END, AT_START, TIMER};
use core::cell::RefCell;
use critical_section::Mutex;
use embassy_nrf::interrupt;
use embassy_nrf::pac::radio::{self, vals};
use embassy_nrf::pac::{self, Interrupt};
use heapless::Deque;
use lowgate_mac::{PhyCommand, PhyEvent, Psdu, RadioConfig, SourceMatch};
use lowgate_rcp::{Levels, Scan};
use lowgate_units::{Channel, Lqi, Rssi};

const RADIO: radio::Radio = pac::RADIO;
/// From the end of a frame to the first symbol of its acknowledgement: aTurnaroundTime.
const ACK_AFTER_US: u32 = 192;
/// The fast ramp-up of the transmitter in this mode.
const RAMP_UP_US: u32 = 40;
/// A start that is set for sooner than this may be set too late.
const LATE_US: u32 = 4;
/// Eight symbols: one look for energy.
const LOOK_US: u128 = 128;
/// What a look that found nothing says, and a step of it is a dB.
const ENERGY_MIN_DBM: i8 = -92;
/// How clean: so much more is a step of the scale of 255.
const QUALITY_STEP: u8 = 4;
/// Events between two looks of the program. When there is no more room than for the end of what was ordered,
/// a frame that comes is forgotten.
const EVENTS_MAX: usize = 8;
const ENDS_ROOM: usize = 2;
/// Channels of the chip's event system.
const END_CAUGHT: usize = 18;
const ACK_STARTED: usize = 19;
/// The transceiver is switched off within some microseconds; a loop takes a few cycles of 64 MHz.
const SWITCHED_OFF_TURNS_MAX: u32 = 10_000;

/// From the transceiver.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The end of what was ordered.
    Phy(PhyEvent),
    /// A frame.
    Frame {
        /// Without its FCS.
        psdu: Psdu,
        /// How strong it was.
        rssi: Rssi,
        /// How clean it was.
        lqi: Lqi,
        /// When it ended, for [`clock::when`].
        at: u32,
        /// It was acknowledged, with the word that more is waiting.
        said_pending: bool,
    },
    /// The end of a scan.
    Energy(Rssi),
}

/// To the transceiver.
#[derive(Clone, Debug)]
pub enum Order {
    /// What the machine wants.
    Phy(PhyCommand),
    /// A look for energy.
    Scan(Scan),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    Listening,
    Assessing,
    Sending,
    Acknowledging,
    Measuring,
}

struct Driver {
    doing: Doing,
    config: Option<RadioConfig>,
    waiting: SourceMatch,
    channel: Option<Channel>,
    deferred: Option<Order>,
    heard: Deque<Heard, EVENTS_MAX>,
}

static RECEIVED: Buffer = Buffer::new();
static TO_SEND: Buffer = Buffer::new();
static ACK: Buffer = Buffer::new();
static DRIVER: Mutex<RefCell<Driver>> = Mutex::new(RefCell::new(Driver {
    doing: Doing::Nothing,
    config: None,
    waiting: SourceMatch::new(),
    channel: None,
    deferred: None,
    heard: Deque::new(),
}));

/// Switches it on; it listens once it is tuned.
pub fn start() {
    RADIO.power().write(|w| w.set_power(false));
    RADIO.power().write(|w| w.set_power(true));
    RADIO.mode().write(|w| w.set_mode(vals::Mode::Ieee802154250kbit));
    RADIO.modecnf0().write(|w| w.set_ru(vals::Ru::Fast));
    RADIO.crccnf().write(|w| {
        w.set_len(vals::Len::Two);
        w.set_skipaddr(vals::Skipaddr::Ieee802154);
    });
    RADIO.crcpoly().write(|w| w.set_crcpoly(0x0001_1021));
    RADIO.crcinit().write(|w| w.set_crcinit(0));
    RADIO.pcnf0().write(|w| {
        w.set_lflen(8);
        w.set_plen(vals::Plen::_32bitZero);
        w.set_crcinc(vals::Crcinc::Include);
    });
    RADIO.pcnf1().write(|w| w.set_maxlen(127));
    RADIO.sfd().write(|w| w.set_sfd(0xa7));
    adjust(Levels::DEFAULT);
    connect(
        END_CAUGHT,
        RADIO.events_phyend().as_ptr().addr(),
        TIMER.tasks_capture(AT_END).as_ptr().addr(),
    );
    connect(
        ACK_STARTED,
        TIMER.events_compare(AT_START).as_ptr().addr(),
        RADIO.tasks_txen().as_ptr().addr(),
    );
    pac::PPI.chenset().write(|w| w.0 = 1 << END_CAUGHT);
    RADIO.intenset().write(|w| {
        w.set_phyend(true);
        w.set_ccaidle(true);
        w.set_ccabusy(true);
        w.set_edend(true);
    });
    crate::hardware::unmask(Interrupt::RADIO);
}

/// This event does that task, without the program.
fn connect(channel: usize, event: usize, task: usize) {
    pac::PPI.ch(channel).eep().write_value(event as u32);
    pac::PPI.ch(channel).tep().write_value(task as u32);
}

/// Which frames are for us from now on.
pub fn configure(config: RadioConfig) {
    critical_section::with(|cs| DRIVER.borrow_ref_mut(cs).config = Some(config));
}

/// For whom something is waiting from now on.
pub fn match_sources(list: SourceMatch) {
    critical_section::with(|cs| DRIVER.borrow_ref_mut(cs).waiting = list);
}

/// The power that the transmitter has and that is not above what is wanted; the threshold likewise.
pub fn adjust(levels: Levels) {
    use vals::Txpower as P;
    const POWERS: [(i8, P); 14] = [
        (8, P::Pos8dBm),
        (7, P::Pos7dBm),
        (6, P::Pos6dBm),
        (5, P::Pos5dBm),
        (4, P::Pos4dBm),
        (3, P::Pos3dBm),
        (2, P::Pos2dBm),
        (0, P::_0dBm),
        (-4, P::Neg4dBm),
        (-8, P::Neg8dBm),
        (-12, P::Neg12dBm),
        (-16, P::Neg16dBm),
        (-20, P::Neg20dBm),
        (-40, P::Neg40dBm),
    ];
    let power = POWERS.iter().find(|(dbm, _)| *dbm <= levels.tx_power_dbm);
    let power = power.map_or(P::Neg40dBm, |(_, power)| *power);
    RADIO.txpower().write(|w| w.set_txpower(power));
    let steps = i16::from(levels.cca_threshold_dbm) - i16::from(ENERGY_MIN_DBM);
    RADIO.ccactrl().write(|w| {
        w.set_ccamode(vals::Ccamode::EdMode);
        w.set_ccaedthres(u8::try_from(steps.max(0)).unwrap_or(u8::MAX));
    });
}

/// Does it, or does it when it is free.
pub fn order(order: Order) {
    critical_section::with(|cs| DRIVER.borrow_ref_mut(cs).order(order));
}

/// What it heard, one after the other.
pub fn heard() -> Option<Heard> {
    critical_section::with(|cs| DRIVER.borrow_ref_mut(cs).heard.pop_front())
}

impl Driver {
    fn order(&mut self, order: Order) {
        match (self.doing, order) {
            (Doing::Nothing | Doing::Listening, order) => self.perform(order),
            // It listens there when it is free.
            (_, Order::Phy(PhyCommand::Tune { channel })) => self.channel = Some(channel),
            // Of everything else one is ordered at a time.
            (_, order) => self.deferred = Some(order),
        }
    }

    fn perform(&mut self, order: Order) {
        match order {
            Order::Phy(PhyCommand::Tune { channel }) => {
                self.channel = Some(channel);
                self.listen();
            }
            // A frame is coming in: nobody has to look.
            Order::Phy(PhyCommand::Cca) if RADIO.events_framestart().read() != 0 => {
                self.say(Heard::Phy(PhyEvent::CcaDone { idle: false }));
            }
            Order::Phy(PhyCommand::Cca) => {
                switch_off();
                RADIO.shorts().write(|w| w.set_rxready_ccastart(true));
                self.doing = Doing::Assessing;
                RADIO.tasks_rxen().write_value(1);
            }
            Order::Phy(PhyCommand::Transmit { psdu }) => {
                switch_off();
                TO_SEND.fill(&psdu);
                send_from(&TO_SEND);
                self.doing = Doing::Sending;
                RADIO.tasks_txen().write_value(1);
            }
            Order::Scan(scan) => {
                switch_off();
                tune(scan.channel);
                let looks = scan.duration.as_micros() / LOOK_US;
                let looks = u32::try_from(looks.max(1)).unwrap_or(u32::MAX);
                RADIO.edcnt().write(|w| w.set_edcnt(looks - 1));
                RADIO.shorts().write(|w| w.set_ready_edstart(true));
                self.doing = Doing::Measuring;
                RADIO.tasks_rxen().write_value(1);
            }
        }
    }

    /// Receives from now on, unless something else waits.
    fn listen(&mut self) {
        switch_off();
        self.doing = Doing::Nothing;
        let Some(channel) = self.channel else { return };
        tune(channel);
        RADIO.packetptr().write_value(RECEIVED.address());
        RADIO.shorts().write(|w| {
            w.set_rxready_start(true);
            w.set_address_rssistart(true);
            w.set_phyend_disable(true);
        });
        self.doing = Doing::Listening;
        RADIO.tasks_rxen().write_value(1);
        if let Some(order) = self.deferred.take() {
            self.perform(order);
        }
    }

    fn say(&mut self, heard: Heard) {
        let is_frame = matches!(heard, Heard::Frame { .. });
        if !is_frame || self.heard.len() + ENDS_ROOM < EVENTS_MAX {
            let _ = self.heard.push_back(heard); // there is room
        }
        crate::WAKE.signal(());
    }

    fn interrupt(&mut self) {
        if take(RADIO.events_phyend()) {
            match self.doing {
                Doing::Listening => self.received(),
                Doing::Sending => {
                    self.say(Heard::Phy(PhyEvent::TransmitDone));
                    self.listen();
                }
                Doing::Acknowledging => self.listen(),
                Doing::Nothing | Doing::Assessing | Doing::Measuring => {}
            }
        }
        let (idle, busy) = (take(RADIO.events_ccaidle()), take(RADIO.events_ccabusy()));
        if self.doing == Doing::Assessing && (idle || busy) {
            self.say(Heard::Phy(PhyEvent::CcaDone { idle: idle && !busy }));
            self.listen();
        }
        if take(RADIO.events_edend()) && self.doing == Doing::Measuring {
            let steps = RADIO.edsample().read().edlvl();
            let steps = i8::try_from(steps).unwrap_or(i8::MAX);
            self.say(Heard::Energy(Rssi(ENERGY_MIN_DBM.saturating_add(steps))));
            self.listen();
        }
    }

    /// The transceiver has switched itself off.
    fn received(&mut self) {
        let (at, rssi) = (TIMER.cc(AT_END).read(), RADIO.rssisample().read().rssisample());
        let is_whole = RADIO.crcstatus().read().crcstatus() == vals::Crcstatus::CrcOk;
        let Some((psdu, quality)) = RECEIVED.take().filter(|_| is_whole) else {
            return self.listen();
        };
        let ack = self.config.and_then(|config| config.acknowledgement(&self.waiting, &psdu));
        let on_its_way = ack.is_some_and(|ack| acknowledge(&ack.octets(), at));
        if on_its_way {
            self.doing = Doing::Acknowledging;
        } else {
            self.listen();
        }
        let rssi = i8::try_from(rssi).map_or(i8::MIN, |below| -below);
        self.say(Heard::Frame {
            psdu,
            rssi: Rssi(rssi),
            lqi: Lqi(quality.saturating_mul(QUALITY_STEP)),
            at,
            said_pending: on_its_way && ack.is_some_and(|ack| ack.pending),
        });
    }
}

/// Has the timer start the transmitter in time; whether that was still possible.
fn acknowledge(ack: &[u8], end: u32) -> bool {
    switch_off();
    ACK.fill(ack);
    send_from(&ACK);
    let start = end.wrapping_add(ACK_AFTER_US - RAMP_UP_US);
    TIMER.events_compare(AT_START).write_value(0);
    TIMER.cc(AT_START).write_value(start);
    pac::PPI.chenset().write(|w| w.0 = 1 << ACK_STARTED);
    let in_time = clock::ticks().wrapping_sub(end) < ACK_AFTER_US - RAMP_UP_US - LATE_US;
    if !in_time {
        switch_off();
    }
    in_time
}

fn send_from(buffer: &Buffer) {
    RADIO.packetptr().write_value(buffer.address());
    RADIO.shorts().write(|w| {
        w.set_txready_start(true);
        w.set_phyend_disable(true);
    });
}

fn tune(channel: Channel) {
    RADIO.frequency().write(|w| w.set_frequency((channel.number() - 10) * 5));
}

/// Whatever it does, it does no more; what happened until then is forgotten.
fn switch_off() {
    pac::PPI.chenclr().write(|w| w.0 = 1 << ACK_STARTED);
    RADIO.shorts().write(|_| {});
    RADIO.tasks_ccastop().write_value(1);
    RADIO.tasks_edstop().write_value(1);
    RADIO.tasks_disable().write_value(1);
    for _ in 0..SWITCHED_OFF_TURNS_MAX {
        if RADIO.state().read().state() == vals::State::Disabled {
            break;
        }
    }
    for event in [
        RADIO.events_phyend(),
        RADIO.events_framestart(),
        RADIO.events_ccaidle(),
        RADIO.events_ccabusy(),
        RADIO.events_edend(),
    ] {
        event.write_value(0);
    }
}

/// Whether it has happened; it has not any more.
fn take(event: pac::common::Reg<u32, pac::common::RW>) -> bool {
    let happened = event.read() != 0;
    event.write_value(0);
    happened
}

#[interrupt]
fn RADIO() {
    critical_section::with(|cs| DRIVER.borrow_ref_mut(cs).interrupt());
}
