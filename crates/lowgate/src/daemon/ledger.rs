//! The join ledger: for each device every attempt of late, with its relay, the step that it reached and
//! the cause of its failure, in words.

use lowgate_dtls::{CloseReason, Peer};
use lowgate_manager::{Domain, Lacks, ManagerEvent, NotAuthorized};
use lowgate_units::{Eui64, Iid, Instant, LinkAddr, ShortAddr};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Attempts kept of a device; the oldest go first.
const ATTEMPTS_MAX: usize = 16;

/// What is known of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attempt {
    at: Instant,
    relay: Option<ShortAddr>,
    step: Step,
    cause: Option<String>,
}

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The handshake did not end well.
    Handshake,
    /// It proved its key.
    Authenticated,
    /// The inventory lets it in; its keys are on their way.
    Admitted,
    /// It confirmed its keys.
    Keys,
}

impl Step {
    const fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Authenticated => "authenticated",
            Self::Admitted => "admitted",
            Self::Keys => "has its keys",
        }
    }
}

/// The ledger. It holds devices of the inventory only, so the inventory bounds it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    devices: BTreeMap<Eui64, VecDeque<Attempt>>,
}

impl Ledger {
    /// Writes down what an event tells of somebody's attempt.
    pub(super) fn note(&mut self, now: Instant, domain: &Domain, event: &ManagerEvent) {
        match event {
            ManagerEvent::HandshakeFailed { peer, claimed: Some(claimed), reason } => {
                if let Some(device) = domain.identified(claimed) {
                    let cause = Some(handshake_cause(*reason));
                    let (step, relay) = (Step::Handshake, relay_of(peer));
                    self.begin(device.record.eui64, Attempt { at: now, relay, step, cause });
                }
            }
            ManagerEvent::Authenticated { eui64, peer } => {
                let (step, relay) = (Step::Authenticated, relay_of(peer));
                self.begin(*eui64, Attempt { at: now, relay, step, cause: None });
            }
            ManagerEvent::NotAuthorized { eui64, why } => {
                self.went_on(*eui64, Step::Authenticated, Some(refusal_cause(*why)));
            }
            ManagerEvent::Admitted { eui64, .. }
            | ManagerEvent::Returned { eui64, .. }
            | ManagerEvent::Moved { eui64, .. } => {
                self.went_on(*eui64, Step::Admitted, None);
            }
            ManagerEvent::KeysConfirmed { eui64 } => self.went_on(*eui64, Step::Keys, None),
            ManagerEvent::GaveUp { eui64, what: Lacks::JoinKeys } => {
                let cause = "it did not confirm its keys: the way to it is bad, or it lost power";
                self.went_on(*eui64, Step::Admitted, Some(cause.into()));
            }
            ManagerEvent::KeysRefused { eui64, error } => {
                let cause = format!("it refused its keys: {error:?}");
                self.went_on(*eui64, Step::Admitted, Some(cause));
            }
            _ => {}
        }
    }

    fn begin(&mut self, eui64: Eui64, attempt: Attempt) {
        let attempts = self.devices.entry(eui64).or_default();
        if attempts.len() == ATTEMPTS_MAX {
            attempts.pop_front();
        }
        attempts.push_back(attempt);
    }

    /// Later news of keys, of a rekey say, are not about the attempt.
    fn went_on(&mut self, eui64: Eui64, step: Step, cause: Option<String>) {
        let latest = self.devices.get_mut(&eui64).and_then(VecDeque::back_mut);
        if let Some(attempt) = latest.filter(|attempt| attempt.step != Step::Keys) {
            attempt.step = step;
            attempt.cause = cause;
        }
    }

    /// A device's attempts, the latest last; times in seconds since 1970.
    pub(super) fn shown(&self, eui64: Eui64) -> Value {
        let attempts = self.devices.get(&eui64).into_iter().flatten();
        let shown = |attempt: &Attempt| {
            json!({
                "at": attempt.at.as_secs_f64().floor(),
                "relay": attempt.relay.map(|relay| format!("{relay:?}")),
                "step": attempt.step.word(),
                "cause": attempt.cause,
            })
        };
        attempts.map(shown).collect()
    }
}

/// Who passed the datagrams on; the border router has the short address 0.
fn relay_of(peer: &Peer) -> Option<ShortAddr> {
    match Iid::of(peer.addr).link_addr() {
        Some(LinkAddr::Short(short)) if !peer.relay_header.is_empty() => Some(short),
        _ => None,
    }
}

fn handshake_cause(reason: CloseReason) -> String {
    match reason {
        CloseReason::KeyMismatch | CloseReason::PeerAlert(_) => {
            "its key is not the one of the inventory".into()
        }
        CloseReason::TimedOut => {
            "it fell silent in the middle: the way to it is bad, or it lost power".into()
        }
        CloseReason::NoCommonVersion | CloseReason::NoCommonSuite => {
            "its DTLS is none that a domain manager speaks".into()
        }
        other => format!("the handshake ended: {other:?}"),
    }
}

fn refusal_cause(why: NotAuthorized) -> String {
    match why {
        NotAuthorized::Revoked => "it is revoked".into(),
        NotAuthorized::WindowClosed => {
            "the window is closed; open it with `lowgate window open`".into()
        }
        NotAuthorized::PanFull => {
            "its border router has no room for more; another one takes them".into()
        }
        NotAuthorized::OutsideMesh => "it comes from no mesh of the domain".into(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_crypto::SoftCcm;
    use lowgate_manager::{Manager, ManagerConfig, NewDomain};
    use lowgate_units::{Channel, Ipv6Addr, Prng, SeededEntropy};

    const DEVICE: Eui64 = Eui64([2, 0, 0, 0, 0, 0, 0, 9]);

    fn manager() -> Manager {
        let channel = Channel::new(15).expect("in the band");
        let new = NewDomain::new(channel, Ipv6Addr::LOCALHOST);
        let config = ManagerConfig::new(&SoftCcm);
        Manager::found(config, new, Prng::new(1), &mut SeededEntropy::new(1))
    }

    fn proved() -> ManagerEvent {
        let peer = Peer {
            addr: "fd00::ff:fe00:12".parse().expect("an address"),
            port: 61630,
            relay_header: [1].into_iter().collect(),
        };
        ManagerEvent::Authenticated { eui64: DEVICE, peer }
    }

    #[test]
    fn an_attempt_is_told_in_words() {
        let (mut ledger, manager) = (Ledger::default(), manager());
        let now = Instant::from_secs(100);
        let why = NotAuthorized::WindowClosed;
        for event in [proved(), ManagerEvent::NotAuthorized { eui64: DEVICE, why }, proved()] {
            ledger.note(now, manager.domain(), &event);
        }
        ledger.note(now, manager.domain(), &ManagerEvent::KeysConfirmed { eui64: DEVICE });
        let shown = ledger.shown(DEVICE);
        assert_eq!(shown[0]["step"], "authenticated");
        assert!(shown[0]["cause"].as_str().expect("it failed").contains("window open"));
        assert_eq!(shown[0]["relay"], "0x0012");
        assert_eq!((&shown[1]["step"], &shown[1]["cause"]), (&"has its keys".into(), &Value::Null));
        let late = ManagerEvent::GaveUp { eui64: DEVICE, what: Lacks::JoinKeys };
        ledger.note(now, manager.domain(), &late);
        assert_eq!(ledger.shown(DEVICE), shown, "that attempt is over");
    }

    #[test]
    fn the_oldest_attempts_go() {
        let (mut ledger, manager) = (Ledger::default(), manager());
        for second in 0..2 * ATTEMPTS_MAX as u64 {
            ledger.note(Instant::from_secs(second), manager.domain(), &proved());
        }
        let shown = ledger.shown(DEVICE);
        assert_eq!(shown.as_array().map(Vec::len), Some(ATTEMPTS_MAX));
        assert_eq!(shown[0]["at"], ATTEMPTS_MAX as f64);
    }
}
