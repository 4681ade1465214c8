//! The disk, on a thread of its own: what it does takes milliseconds on a good disk and seconds on a
//! bad one, and the radio does not wait.
//!
//! **Invariant:** jobs are done in the order they were given; all of them before the owner ends.

use lowgate_manager::{Batch, Store};
use lowgate_node::flash::{RecordKey, RecordOctets};
use lowgate_store::{FlashFile, SqliteStore};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// For the disk.
#[expect(clippy::large_enum_variant, reason = "a handful wait at a time")]
pub(super) enum Job {
    /// The manager decided something.
    Commit(Batch),
    /// The border router remembers something.
    Put { ticket: u32, key: RecordKey, octets: RecordOctets },
    /// The border router forgets something.
    Erase(RecordKey),
}

/// What the disk did.
#[derive(Debug)]
pub(super) enum Done {
    /// [`Job::Commit`].
    Committed { revision: u64 },
    /// [`Job::Put`].
    Put { ticket: u32 },
    /// Nothing more will be written.
    Failed { why: String },
}

/// The thread's two ends.
pub(super) struct Storage {
    /// Until the end.
    jobs: Option<mpsc::Sender<Job>>,
    done: UnboundedReceiver<Done>,
    thread: Option<JoinHandle<()>>,
}

impl Storage {
    /// A manager has a store, a border router a flash.
    pub(super) fn start(store: Option<SqliteStore>, flash: Option<FlashFile>) -> Self {
        let (jobs, todo) = mpsc::channel();
        let (tell, done) = unbounded_channel();
        let thread = thread::spawn(move || work(store, flash, &todo, &tell));
        Self { jobs: Some(jobs), done, thread: Some(thread) }
    }

    pub(super) fn give(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // The thread ends only after it said that it failed.
            let _ = jobs.send(job);
        }
    }

    pub(super) async fn next(&mut self) -> Done {
        match self.done.recv().await {
            Some(done) => done,
            None => Done::Failed { why: "the storage thread ended".into() },
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }
}

fn work(
    mut store: Option<SqliteStore>,
    flash: Option<FlashFile>,
    todo: &mpsc::Receiver<Job>,
    tell: &UnboundedSender<Done>,
) {
    for job in todo {
        let done = match (job, &mut store, &flash) {
            (Job::Commit(batch), Some(store), _) => match store.commit(&batch) {
                Ok(()) => Done::Committed { revision: batch.revision },
                Err(fault) => Done::Failed { why: fault.to_string() },
            },
            (Job::Put { ticket, key, octets }, _, Some(flash)) => {
                match flash.put(&key.octets(), &octets) {
                    Ok(()) => Done::Put { ticket },
                    Err(fault) => Done::Failed { why: fault.to_string() },
                }
            }
            (Job::Erase(key), _, Some(flash)) => match flash.erase(&key.octets()) {
                Ok(()) => continue,
                Err(fault) => Done::Failed { why: fault.to_string() },
            },
            (Job::Commit(_), None, _) | (Job::Put { .. } | Job::Erase(_), _, None) => {
                unreachable!("who is not here decides nothing")
            }
        };
        let failed = matches!(done, Done::Failed { .. });
        if tell.send(done).is_err() || failed {
            return;
        }
    }
}
