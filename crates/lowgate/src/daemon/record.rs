//! What a daemon writes into its journal, if it was asked for one.
//!
//! **Invariant:** every input of the machines passes here, and everything that comes of it.

use super::chance::{Chance, OsEntropy};
use super::config::Config;
use super::core::{Core, Wish};
use super::input::Input;
use super::journal::{Beginning, Journal, Outcome};
use super::origin::{self, Kept};
use super::outputs::Outputs;
use lowgate_manager::Store;
use lowgate_store::{FlashFile, SqliteStore};
use lowgate_units::Instant;
use std::path::Path;
use zeroize::Zeroizing;

/// Where a daemon's inputs are written down, if they are.
pub(super) struct Record {
    journal: Option<Journal>,
    outputs: Outputs,
}

impl Record {
    /// Begins the journal, if there is to be one.
    pub(super) fn begin(
        journal: Option<&Path>,
        beginning: Option<Beginning>,
        core: &mut Core,
    ) -> Result<Self, String> {
        let journal = journal.zip(beginning);
        let journal = journal.map(|(path, it)| Journal::begin(path, it, &mut OsEntropy));
        let mut record = Self { journal: journal.transpose()?, outputs: Outputs::default() };
        record.came(core, &[]);
        Ok(record)
    }

    pub(super) fn fed(&mut self, at: Instant, input: &Input) {
        if let Some(journal) = &mut self.journal {
            journal.fed(at, input.clone());
        }
    }

    pub(super) fn came(&mut self, core: &mut Core, wishes: &[Wish]) {
        if let Some(journal) = &mut self.journal {
            let entropy = core.chance().take_copy();
            let (outputs, digest) = self.outputs.note(wishes);
            journal.came(Outcome { entropy, outputs, digest });
        }
    }

    /// Why the journal ended, once. What is drawn from then on is nobody's to keep.
    pub(super) fn warning(&mut self, core: &mut Core) -> Option<String> {
        let warning = self.journal.as_mut()?.warning()?;
        self.journal = None;
        *core.chance() = Chance::System;
        Some(warning)
    }
}

/// The machines as they were left, and what a journal begins with.
pub(super) fn machines(
    now: Instant,
    config: &Config,
    journal: Option<&Path>,
    store: Option<&mut SqliteStore>,
    flash: Option<&FlashFile>,
) -> Result<(Core, Option<Beginning>), String> {
    // A border router that has no claim code yet draws it.
    let flash = flash.map(|flash| {
        origin::claim(flash)?;
        flash.all().map_err(|fault| fault.to_string())
    });
    let flash = flash.transpose()?;
    let (mut domain, mut image) = (None, None);
    if let Some(store) = store {
        domain = Some(store.load().map_err(|fault| origin::damaged(config, &fault))?);
        if journal.is_some() {
            image = Some(store.image().map_err(|fault| fault.to_string())?);
        }
    }
    let kept = Kept { domain, flash };
    if journal.is_none() {
        return Ok((origin::core(now, config, &kept, Chance::System)?, None));
    }
    let core = origin::core(now, config, &kept, Chance::Copied(Zeroizing::default()))?;
    let beginning = Beginning {
        at: now,
        program: env!("CARGO_PKG_VERSION").into(),
        config: config.text.clone(),
        domain: image,
        flash: kept.flash,
    };
    Ok((core, Some(beginning)))
}
