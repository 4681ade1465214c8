//! Group records: under which number each was sealed, and who opened which.
//!
//! **Bounds:** of each group the last [`EPOCHS_MAX`] epochs, of each station those that it is in; a window of
//! numbers for each sender.

use super::numbers::{Numbers, Use};
use super::{Fault, hash};
use crate::medium::StationId;
use lowgate_amikey::GroupId;
use lowgate_units::PanId;
use std::collections::BTreeMap;

/// Epochs of a group that somebody may still seal in.
const EPOCHS_MAX: u16 = 4;

/// PAN, group, epoch and SenderID: under one key.
type Sender = (Option<PanId>, GroupId, u16, u8);

/// A group record that a member opened a moment ago.
pub struct OpenedRecord {
    /// Who.
    pub station: StationId,
    /// Of which group.
    pub group: GroupId,
    /// Its octets.
    pub record: Vec<u8>,
}

/// The book.
#[derive(Default)]
pub(super) struct Groups {
    sealed: BTreeMap<Sender, Numbers>,
    opened: BTreeMap<StationId, BTreeMap<Sender, Numbers>>,
    /// The last record that somebody sealed.
    latest: Option<(Sender, u64, Vec<u8>)>,
    /// One who opened it.
    to_repeat: Option<OpenedRecord>,
}

impl Groups {
    pub(super) fn sealed(
        &mut self,
        (station, pan): (StationId, Option<PanId>),
        group: GroupId,
        record: &[u8],
    ) -> Option<Fault> {
        let &[_, _, _, e0, e1, sender_id, ref sequence @ ..] = record.first_chunk::<11>()?;
        let epoch = u16::from_be_bytes([e0, e1]);
        let number = sequence.iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
        let sender = (pan, group, epoch, sender_id);
        self.sealed
            .retain(|(_, of, old, _), _| *of != group || old.saturating_add(EPOCHS_MAX) > epoch);
        self.latest = Some((sender, number, record.to_vec()));
        match self.sealed.entry(sender).or_default().note(number, hash(&[record])) {
            Use::First | Use::Again => None,
            Use::Otherwise | Use::Older => {
                Some(Fault::GroupNumberReused { station, group, number })
            }
        }
    }

    pub(super) fn opened(
        &mut self,
        station: StationId,
        sender: Sender,
        number: u64,
    ) -> Option<Fault> {
        let (_, group, epoch, _) = sender;
        if let Some((of, latest, record)) = &self.latest
            && (*of, *latest) == (sender, number)
        {
            self.to_repeat = Some(OpenedRecord { station, group, record: record.clone() });
        }
        let opened = self.opened.entry(station).or_default();
        opened.retain(|(_, of, in_force, _), _| *of != group || *in_force == epoch);
        match opened.entry(sender).or_default().note(number, 0) {
            // A window of records is behind the newest one: what is older is not opened either.
            Use::First | Use::Otherwise => None,
            Use::Again | Use::Older => Some(Fault::GroupReplayOpened { station, group }),
        }
    }

    /// A station forgot what it opened.
    pub(super) fn forgot(&mut self, station: StationId) {
        self.opened.remove(&station);
        self.to_repeat.take_if(|it| it.station == station);
    }

    pub(super) fn take_to_repeat(&mut self) -> Option<OpenedRecord> {
        self.to_repeat.take()
    }
}
