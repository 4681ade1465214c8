//! One device: its node, its records, its button and its LED.
//!
//! **Invariant:** writes go to the flash in the order the node asks for them, and each is answered before
//! the next output. A factory reset erases the keys before anything else happens.

use crate::button::{Button, Press};
use crate::led::Sign;
use crate::note::Note;
use crate::settings::{SETTINGS_OCTETS_MAX, Settings, SettingsFault};
use crate::store::{Store, StoreFault};
use alloc::boxed::Box;
use alloc::vec::Vec;
use embedded_storage::nor_flash::NorFlash;
use lowgate_crypto::Ccm;
use lowgate_dtls::Retransmission;
use lowgate_mac::{RadioCommand, RadioEvent};
use lowgate_net::NetEvent;
use lowgate_node::flash::{Record, RecordKey};
use lowgate_node::{Event, Input as NodeInput, Kind, Node, NodeConfig, Output as NodeOutput};
use lowgate_units::{Duration, Entropy, Instant, Prng};
use zeroize::Zeroizing;

/// The first pages of the flash hold the settings, all others the records.
pub const SETTINGS_PAGES: u32 = 1;

/// What the maker's program is.
#[derive(Clone, Copy)]
pub struct Maker {
    /// What the device does.
    pub kind: Kind,
    /// The cipher, by the chip's engine if it has one.
    pub ccm: &'static dyn Ccm,
}

/// What a device is told.
#[derive(Debug)]
pub enum Input {
    /// From the radio.
    Radio(RadioEvent),
    /// The button was pressed or let go; its bouncing does no harm.
    Button {
        /// Is it pressed?
        is_pressed: bool,
    },
    /// A sensor has measured, in tenths of its unit.
    Measured {
        /// So many.
        tenths: i16,
    },
}

/// What a device wants.
#[derive(Debug)]
pub enum Output {
    /// For the radio.
    Radio(RadioCommand),
    /// Switch the lamp. It is dark in the beginning.
    Light {
        /// On, or off.
        on: bool,
    },
    /// Switch the LED. It is dark in the beginning.
    Led {
        /// Lit, or dark.
        is_lit: bool,
    },
    /// For the log.
    Note(Note),
    /// The last of all: start the program anew.
    Restart,
    /// Nothing more until then.
    Wait {
        /// When to poll again.
        until: Instant,
    },
}

enum State {
    /// Nobody, or with a flash that lost what it held.
    Nobody,
    Running(Box<Node>),
    /// It has done its last and waits to be started anew.
    Over,
}

/// A device. Feed it with [`Device::handle`], then drain it with [`Device::poll`] to [`Output::Wait`].
pub struct Device<F> {
    kind: Kind,
    state: State,
    store: Store<F>,
    settings_fault: Option<SettingsFault>,
    store_fault: Option<StoreFault>,
    first_note: Option<Note>,
    is_attached: bool,
    identify_until: Instant,
    is_on: bool,
    is_lit: bool,
    button: Button,
}

impl<F: NorFlash> Device<F> {
    /// A device as it wakes up, with whatever its flash holds. Of `entropy` come the secrets of this boot.
    ///
    /// # Panics
    /// When the flash has fewer pages than the settings' and [`crate::PAGES_MIN`].
    pub fn boot(now: Instant, maker: Maker, mut flash: F, entropy: &mut dyn Entropy) -> Self {
        let settings = read_settings(&mut flash);
        let mut store = Store::open(flash, SETTINGS_PAGES);
        let records = read_records(&mut store);
        let (settings_fault, store_fault) =
            (settings.as_ref().err().copied(), records.as_ref().err().copied());
        let (state, first_note) = match (settings, records) {
            (Ok(settings), Ok(records)) => {
                let note = Note::Began { records: records.len() };
                (State::Running(node(now, maker, settings, records, entropy)), note)
            }
            (Err(fault), _) => (State::Nobody, Note::NoSettings(fault)),
            (Ok(_), Err(fault)) => (State::Nobody, Note::Flash(fault)),
        };
        Self {
            kind: maker.kind,
            state,
            store,
            settings_fault,
            store_fault,
            first_note: Some(first_note),
            is_attached: false,
            identify_until: Instant::ZERO,
            is_on: false,
            is_lit: false,
            button: Button::default(),
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Radio(event) => self.tell(now, NodeInput::Radio(event)),
            Input::Measured { tenths } => self.tell(now, NodeInput::Measured { tenths }),
            Input::Button { is_pressed } => {
                if self.button.handle(now, is_pressed) == Some(Press::Short)
                    && self.kind == Kind::Switch
                {
                    self.is_on = !self.is_on;
                    self.tell(now, NodeInput::Press { on: self.is_on });
                }
            }
        }
    }

    /// The next wish.
    pub fn poll(&mut self, now: Instant) -> Output {
        if let Some(note) = self.first_note.take() {
            return Output::Note(note);
        }
        if self.button.poll(now) == Some(Press::Long) {
            return self.reset();
        }
        loop {
            let node = match &mut self.state {
                State::Running(node) => node,
                State::Nobody => return self.rest(now, Instant::FAR_FUTURE),
                State::Over => return Output::Restart,
            };
            match node.poll(now) {
                NodeOutput::Radio(command) => return Output::Radio(command),
                NodeOutput::Store { ticket, record } => {
                    match self.store.put(record.key().octets(), &record.emit()) {
                        Ok(()) => node.handle(now, NodeInput::Stored { ticket }),
                        Err(fault) => return self.flash_failed(fault),
                    }
                }
                NodeOutput::Erase(key) => {
                    if let Err(fault) = self.store.erase(key.octets()) {
                        return self.flash_failed(fault);
                    }
                }
                NodeOutput::Event(event) => {
                    if let Some(output) = self.happened(now, &event) {
                        return output;
                    }
                }
                NodeOutput::ToManager(_)
                | NodeOutput::ToBackbone(_)
                | NodeOutput::Managed { .. } => unreachable!("only a border router has a backbone"),
                NodeOutput::Wait { until } => return self.rest(now, until),
            }
        }
    }

    /// What the LED says.
    pub fn sign(&self, now: Instant) -> Sign {
        let settings = match self.settings_fault {
            Some(SettingsFault::Empty) => Sign::NoSettings,
            Some(SettingsFault::Damaged | SettingsFault::Unreadable) => Sign::DamagedSettings,
            None => Sign::Member,
        };
        let flash = if self.store_fault.is_some() { Sign::FlashFault } else { Sign::Member };
        let identify = if now < self.identify_until { Sign::Identify } else { Sign::Member };
        let joining = if self.is_attached { Sign::Member } else { Sign::Joining };
        settings.max(flash).max(identify).max(joining)
    }

    /// The node that runs on it, if it knows who it is.
    pub const fn node(&self) -> Option<&Node> {
        match &self.state {
            State::Running(node) => Some(node),
            State::Nobody | State::Over => None,
        }
    }

    fn tell(&mut self, now: Instant, input: NodeInput) {
        if let State::Running(node) = &mut self.state {
            node.handle(now, input);
        }
    }

    fn happened(&mut self, now: Instant, event: &Event) -> Option<Output> {
        match event {
            Event::Light { on } if self.is_on != *on => {
                self.is_on = *on;
                return Some(Output::Light { on: *on });
            }
            Event::Identify { seconds } => {
                self.identify_until = now + Duration::from_secs(u64::from(*seconds));
            }
            Event::Net(NetEvent::Attached { .. }) => self.is_attached = true,
            Event::Net(NetEvent::Detached) | Event::Stranded => self.is_attached = false,
            _ => {}
        }
        Note::of(event).map(Output::Note)
    }

    /// The node is not told, so that nothing leaves that depends on the record.
    fn flash_failed(&mut self, fault: StoreFault) -> Output {
        self.store_fault = Some(fault);
        Output::Note(Note::Flash(fault))
    }

    /// What a node must not forget stays: it may be given the same keys again.
    fn reset(&mut self) -> Output {
        let is_counter = |name: [u8; 3]| match RecordKey::parse(&name) {
            Some(RecordKey::FrameCounter(_) | RecordKey::MplSequence) => true,
            Some(
                RecordKey::Network
                | RecordKey::DodagVersion
                | RecordKey::Group(_)
                | RecordKey::GroupSequence(_)
                | RecordKey::Member(_)
                | RecordKey::PairShare { .. }
                | RecordKey::Pairs
                | RecordKey::PairsLost(_),
            )
            | None => false,
        };
        match self.store.wipe(is_counter) {
            Ok(()) => {
                self.state = State::Over;
                Output::Note(Note::Reset)
            }
            Err(fault) => self.flash_failed(fault),
        }
    }

    fn rest(&mut self, now: Instant, until: Instant) -> Output {
        let (is_lit, changes) = self.sign(now).at(now);
        if self.is_lit != is_lit {
            self.is_lit = is_lit;
            return Output::Led { is_lit };
        }
        Output::Wait { until: until.min(changes).min(self.button.until()) }
    }
}

/// By itself, so that the stack that a node needs while it is made is there again afterwards.
#[inline(never)]
fn node(
    now: Instant,
    maker: Maker,
    settings: Settings,
    records: Vec<Record>,
    entropy: &mut dyn Entropy,
) -> Box<Node> {
    let mut seed = [0; 8];
    entropy.fill(&mut seed);
    let prng = Prng::new(u64::from_le_bytes(seed));
    let config = NodeConfig {
        eui64: settings.eui64,
        identity: settings.identity,
        psk: settings.psk,
        kind: maker.kind,
        // The installer's inventory says in which groups it is.
        groups: heapless::Vec::new(),
        channels: settings.channels,
        ccm: maker.ccm,
        retransmission: Retransmission::USUAL,
        key_trees: false,
        pairs: false,
        key_log: false,
    };
    let mut node = Box::new(Node::new(now, config, records, entropy, prng));
    node.handle(now, NodeInput::Start);
    node
}

fn read_settings<F: NorFlash>(flash: &mut F) -> Result<Settings, SettingsFault> {
    const OCTETS: usize = SETTINGS_OCTETS_MAX.next_multiple_of(4);
    let mut page = Zeroizing::new([0; OCTETS]);
    flash.read(0, &mut page[..]).map_err(|_| SettingsFault::Unreadable)?;
    Settings::parse(&page[..])
}

/// Records of a later program that this one does not know are left alone.
fn read_records<F: NorFlash>(store: &mut Store<F>) -> Result<Vec<Record>, StoreFault> {
    store.fault().map_or(Ok(()), Err)?;
    let names: heapless::Vec<_, { crate::RECORDS_MAX }> = store.names().collect();
    let mut records = Vec::with_capacity(names.len());
    for name in names {
        if let (Some(key), Some(octets)) = (RecordKey::parse(&name), store.read(name)?) {
            records.extend(Record::parse(key, &octets));
        }
    }
    Ok(records)
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
