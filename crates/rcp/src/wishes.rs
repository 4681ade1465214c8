//! What the radio has yet to be told, in the order in which it must hear of it.
//!
//! **Invariant:** bounded: of everything that holds until the next one, the newest is kept.

use crate::radio::{Demand, Levels, Scan};
use crate::settings::Settings;
use lowgate_mac::{Access, Psdu, RadioCommand, RadioConfig, TxToken};

/// For the radio.
pub(crate) enum Wish {
    Command(RadioCommand),
    Demand(Demand),
}

/// A transmission. `access` is none for the seam's own.
#[derive(Clone, Debug)]
pub(crate) struct Transmission {
    pub(crate) token: TxToken,
    pub(crate) psdu: Psdu,
    pub(crate) access: Option<Access>,
}

/// Of one radio.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// What it was told last.
    config: Option<RadioConfig>,
    levels: Levels,
    source_match_changed: bool,
    configure: Option<RadioConfig>,
    transmit: Option<Transmission>,
    /// Meant for what follows the transmission.
    configure_after: Option<RadioConfig>,
    scan: Option<Scan>,
}

impl Wishes {
    pub(crate) const fn new() -> Self {
        Self {
            config: None,
            levels: Levels::DEFAULT,
            source_match_changed: false,
            configure: None,
            transmit: None,
            configure_after: None,
            scan: None,
        }
    }

    /// The settings may have changed.
    pub(crate) fn configure(&mut self, settings: &Settings) {
        let Some(config) = settings.radio().filter(|config| self.config != Some(*config)) else {
            return;
        };
        self.config = Some(config);
        let place = match self.transmit {
            None => &mut self.configure,
            Some(_) => &mut self.configure_after,
        };
        *place = Some(config);
    }

    pub(crate) const fn change_source_match(&mut self) {
        self.source_match_changed = true;
    }

    /// Only when none is under way.
    pub(crate) fn transmit(&mut self, transmission: Transmission) {
        self.transmit = Some(transmission);
    }

    /// Only when none is under way.
    pub(crate) const fn scan(&mut self, scan: Scan) {
        self.scan = Some(scan);
    }

    /// The next one for an end that knows the seam alone.
    pub(crate) fn next_of_seam(&mut self) -> Option<RadioCommand> {
        if let Some(config) = self.configure.take() {
            return Some(RadioCommand::Configure(config));
        }
        if let Some(Transmission { token, psdu, .. }) = self.transmit.take() {
            return Some(RadioCommand::Transmit { token, psdu });
        }
        self.configure_after.take().map(RadioCommand::Configure)
    }

    /// The next one.
    pub(crate) fn next(&mut self, settings: &Settings) -> Option<Wish> {
        if core::mem::take(&mut self.source_match_changed) {
            return Some(Wish::Demand(Demand::SourceMatch(settings.source_match.clone())));
        }
        if self.levels != settings.levels {
            self.levels = settings.levels;
            return Some(Wish::Demand(Demand::Levels(self.levels)));
        }
        if self.configure.is_none()
            && let Some(Transmission { token, psdu, access: Some(access) }) =
                self.transmit.take_if(|transmission| transmission.access.is_some())
        {
            return Some(Wish::Demand(Demand::Transmit { token, psdu, access }));
        }
        self.next_of_seam()
            .map(Wish::Command)
            .or_else(|| self.scan.take().map(|scan| Wish::Demand(Demand::Scan(scan))))
    }
}
