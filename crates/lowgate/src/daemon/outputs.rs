//! What the machines did, as a running digest, and a line each for people.
//!
//! **Invariant:** lines for people do not count, so that another wording is no difference; a key counts
//! by what is sealed with it.

use super::control::Answer;
use super::core::Wish;
use super::journal::wire::Emit;
use super::storage::Job;
use lowgate_crypto::Sha256;

/// The digest of all outputs so far.
#[derive(Default)]
pub(super) struct Outputs {
    hash: Sha256,
}

impl Outputs {
    /// More outputs: how many count, and the digest with them.
    pub(super) fn note(&mut self, wishes: &[Wish]) -> (u32, [u8; 8]) {
        let mut count = 0;
        for wish in wishes {
            let mut octets = Emit::default();
            emit(wish, &mut octets);
            if !octets.0.is_empty() {
                self.hash.update(&octets.0);
                count += 1;
            }
        }
        let [a, b, c, d, e, f, g, h, ..] = self.hash.digest();
        (count, [a, b, c, d, e, f, g, h])
    }
}

fn emit(wish: &Wish, out: &mut Emit) {
    match wish {
        Wish::Serial(octets) => {
            out.u8(0).octets(octets);
        }
        Wish::Reopen => {
            out.u8(1);
        }
        Wish::Tun(packet) => {
            out.u8(2).octets(packet);
        }
        Wish::Route(prefix) => {
            out.u8(3).raw(prefix);
        }
        Wish::FromManager { src_port, dst, dst_port, octets } => {
            out.u8(4).u16(*src_port).addr(*dst).u16(*dst_port).octets(octets);
        }
        Wish::FromRouter { octets } => {
            out.u8(5).octets(octets);
        }
        // Its keys hide themselves.
        Wish::Store(Job::Commit(batch)) => {
            out.u8(6).octets(format!("{batch:?}").as_bytes());
        }
        Wish::Store(Job::Put { ticket, key, octets }) => {
            out.u8(7).u32(*ticket).raw(&key.octets()).octets(octets);
        }
        Wish::Store(Job::Erase(key)) => {
            out.u8(8).raw(&key.octets());
        }
        Wish::Answer { question, answer } => {
            let answer = serde_json::to_vec(answer).expect("an answer is JSON");
            out.u8(9).u64(*question).octets(&answer);
        }
        Wish::Groups(groups) => {
            out.u8(10);
            groups.iter().for_each(|group| {
                out.addr(*group);
            });
        }
        Wish::Tell(_) => {}
    }
}

/// What it is, for people; no key is in it.
pub(super) fn line(wish: &Wish) -> String {
    match wish {
        Wish::Serial(octets) => format!("{} octets for the serial line", octets.len()),
        Wish::Reopen => "open the serial line anew".into(),
        Wish::Tun(packet) => format!("a packet of {} octets", packet.len()),
        Wish::Route(_) => "a route to the mesh".into(),
        Wish::FromManager { src_port, dst, dst_port, octets } => {
            let len = octets.len();
            format!("{len} octets of the manager's port {src_port} to [{dst}]:{dst_port}")
        }
        Wish::FromRouter { octets } => format!("{} octets of the border router's", octets.len()),
        Wish::Store(Job::Commit(batch)) => {
            format!("store revision {}, {} changes", batch.revision, batch.changes.len())
        }
        Wish::Store(Job::Put { ticket, key, .. }) => format!("store {key:?} as record {ticket}"),
        Wish::Store(Job::Erase(key)) => format!("forget {key:?}"),
        Wish::Answer { question, answer: Answer::Done(_) } => {
            format!("question {question} is answered")
        }
        Wish::Answer { question, answer: Answer::Refused(lines) } => {
            format!("question {question} is refused: {}", lines.join("; "))
        }
        Wish::Groups(groups) => format!("{} groups for the building's network", groups.len()),
        Wish::Tell(line) => line.clone(),
    }
}
