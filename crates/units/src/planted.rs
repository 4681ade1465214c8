//! Deliberate mistakes, so that the checkers of the simulator can be shown to catch them.
//!
//! Without the feature `planted-faults`, which only tests turn on, [`planted`] is a constant `false`
//! and the mistake is not in the program at all.

/// One mistake. Each is named by what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// After a restart the frame counter starts below what was reserved.
    CounterRepeats,
    /// A frame is opened although its MIC is wrong.
    MicUnchecked,
    /// A frame is opened although its counter was seen.
    ReplayAccepted,
    /// The relay sends envelopes to another address than the domain manager's.
    RelayElsewhere,
    /// What came without link-layer security is treated like what came with it.
    UnsecuredAccepted,
    /// A revocation hands the new link-layer key to the revoked device too.
    RevocationForgetsOne,
    /// A revocation leaves the group keys as they are.
    GroupKeysKept,
    /// After the switch to a new link-layer key the old one goes on opening frames.
    OldKeyKept,
    /// The manager's answer leaves before the store has the admission.
    AnswerBeforeCommit,
    /// The border router keeps the registration of whoever was expelled.
    RegistrationKept,
    /// A DTLS record is sealed under a sequence number that was used.
    RecordSequenceRepeats,
    /// A neighbour's frame counter moves before the MIC is checked: a forger shuts the neighbour out.
    ForgerMovesCounter,
    /// A frame counter is used before storage holds its reservation.
    CounterUnreserved,
    /// Who forwards a packet takes nothing off its hop limit.
    HopLimitKept,
    /// After a restart a seed's MPL sequence begins anew.
    MplSequenceRepeats,
    /// Fragments are put together by the size of their datagram, whoever sent them and under whatever tag.
    FragmentsMixed,
    /// The border router registers whoever asks.
    RegistrationUnchecked,
    /// A ClientHello without a cookie is as good as one with the right one.
    CookieUnchecked,
    /// A DTLS record has its tag, but what it carries is in clear.
    CipherSkipped,
    /// After a restart a sender's group sequence begins anew.
    GroupSequenceRepeats,
    /// A group record is opened although its number was seen.
    GroupReplayAccepted,
    /// A new group epoch is sent with, but the old one goes on opening.
    OldEpochKept,
    /// Two senders get the same SenderID in one epoch.
    SenderIdShared,
    /// The address of an expelled device is given again.
    AddressShared,
    /// A revocation forgets the device instead of barring it.
    RevokedForgotten,
    /// Key messages are acknowledged and put in force before storage holds them.
    KeysUnstored,
    /// A member does not follow to a new link-layer key when it hears it.
    SwitchIgnored,
    /// The relay takes an envelope whose header it did not make.
    EnvelopeUnchecked,
    /// The pauses between a joiner's attempts double without an end.
    PausesUnbounded,
    /// Datagrams leave for the backbone without a checksum.
    ChecksumSkipped,
    /// A key tree's next epoch is told to whoever goes, too.
    TreeKeepsTheGone,
    /// Who is expelled is neither counted nor named among those who had a share.
    PairLossForgotten,
    /// A device has keys with others whom the manager named as lost.
    PairLostServed,
    /// A device keeps the sessions with others whom the manager named as lost.
    PairSessionKept,
    /// Two sessions of a pair have the same randoms, so that they have the same keys.
    PairRandomRepeats,
    /// A share is taken into use before storage holds it.
    PairShareUnstored,
}

#[cfg(feature = "planted-faults")]
mod switch {
    extern crate std;
    use super::Fault;
    use core::cell::Cell;

    std::thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Plants `fault` in everything that runs on this thread; `None` heals it.
    pub fn plant(fault: Option<Fault>) {
        PLANTED.set(fault);
    }

    /// Whether `fault` is planted on this thread.
    pub fn planted(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }
}

#[cfg(feature = "planted-faults")]
pub use switch::{plant, planted};

/// Whether `fault` is planted: never, in a program without the feature.
#[cfg(not(feature = "planted-faults"))]
pub const fn planted(_fault: Fault) -> bool {
    false
}
