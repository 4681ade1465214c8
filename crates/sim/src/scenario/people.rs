//! Installer and operator: they ask the manager, and ask again when it is away.
//!
//! **Invariant:** one request is out at a time, in the order of the deeds; reads are not waited for.

use crate::world::World;
use lowgate_manager::{Refusal, RekeyRefused, Reply, Request, RequestId, RevokeRefused};
use lowgate_units::{Duration, Instant};
use std::collections::{BTreeSet, VecDeque};

/// Whoever gets no answer asks again so much later.
const AGAIN: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct People {
    /// The first is out.
    requests: VecDeque<Request>,
    out: Option<(RequestId, Instant)>,
    not_before: Instant,
    reads: BTreeSet<RequestId>,
    refused: Vec<String>,
}

impl People {
    pub(super) fn ask(&mut self, world: &mut World, request: Request) {
        match request {
            Request::ReadResource { .. } => _ = self.reads.insert(world.request(request)),
            request => self.requests.push_back(request),
        }
        self.go_on(world);
    }

    /// What was refused since the last call.
    pub(super) fn take_refused(&mut self) -> Vec<String> {
        std::mem::take(&mut self.refused)
    }

    /// Takes the answers that came, and asks on; the answers to reads come back.
    pub(super) fn listen(&mut self, world: &mut World) -> Vec<Reply> {
        let reads: Vec<_> = self.reads.iter().copied().collect();
        let mut replies = Vec::new();
        for id in reads {
            if let Some(reply) = world.take_reply(id) {
                self.reads.remove(&id);
                replies.push(reply);
            }
        }
        self.go_on(world);
        replies
    }

    fn go_on(&mut self, world: &mut World) {
        loop {
            if let Some((id, asked_at)) = self.out {
                match world.take_reply(id) {
                    // Of the manager to come, or of this one when it has done what it is at.
                    Some(Reply::Refused(
                        Refusal::StoreFailed | Refusal::Rekey(RekeyRefused::UnderWay),
                    )) => {
                        self.out = None;
                        self.not_before = world.now() + AGAIN;
                    }
                    Some(reply) => {
                        self.answered(reply);
                        self.out = None;
                    }
                    None if world.now() - asked_at < AGAIN => return,
                    None => self.out = None,
                }
            }
            if world.now() < self.not_before {
                return;
            }
            let Some(request) = self.requests.front() else { return };
            let id = world.request(request.clone());
            self.out = Some((id, world.now()));
        }
    }

    fn answered(&mut self, reply: Reply) {
        let request = self.requests.pop_front().expect("the first is out");
        match reply {
            // Asked again because its first answer was lost.
            Reply::Refused(Refusal::Revoke(RevokeRefused::AlreadyRevoked)) => {}
            Reply::Refused(refusal) => {
                let asked = match request {
                    // An inventory is long; what is wrong with it names the lines.
                    Request::Import(lines) => format!("import of {} devices", lines.len()),
                    request => format!("{request:?}"),
                };
                self.refused.push(format!("{asked}: {refusal:?}"));
            }
            _ => {}
        }
    }
}
