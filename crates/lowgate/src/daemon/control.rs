//! Between the commands and the daemon: one line of JSON each way over a Unix socket.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// Octets of a line; an inventory of 1 024 devices has a tenth.
const LINE_OCTETS_MAX: u64 = 4 << 20;
/// Commands that may wait for the daemon at a time, and as many for the manager.
pub(super) const WAITING_MAX: usize = 32;
/// Commands that are connected at a time, followers of events among them; more wait.
const CONNECTIONS_MAX: usize = 64;
/// For a question to come once somebody is connected.
const QUESTION_WITHIN: Duration = Duration::from_secs(10);
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Events that a slow follower may lag behind before it loses some.
pub(super) const EVENTS_KEPT: usize = 1024;

/// What a command asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// Lines for the inventory.
    DeviceImport {
        /// What the file is called in messages.
        file: String,
        /// CSV.
        text: String,
    },
    /// One line of the inventory.
    DeviceAdd {
        /// Who.
        eui64: String,
        /// In hexadecimal digits.
        psk: String,
        /// What it is.
        kind: String,
        /// What people call it.
        name: Option<String>,
        /// Where it hangs.
        room: String,
        /// As in an inventory.
        groups: String,
    },
    /// Everybody.
    DeviceList,
    /// One of them.
    DeviceShow {
        /// Whom.
        eui64: String,
    },
    /// Expels one.
    DeviceRevoke {
        /// Whom.
        eui64: String,
    },
    /// A resource of a device by CoAP.
    DeviceRead {
        /// Whose.
        eui64: String,
        /// Which.
        path: String,
    },
    /// A border router by its claim code.
    RouterAdd {
        /// As people type it.
        claim: String,
    },
    /// A new group.
    GroupCreate {
        /// Its number.
        id: u16,
        /// What people call it.
        name: String,
    },
    /// All groups and who is in them.
    GroupList,
    /// A device in one more group.
    GroupAdd {
        /// Which group.
        id: u16,
        /// Which device.
        eui64: String,
        /// As what: listener, sender or both.
        role: String,
    },
    /// A device in one group less.
    GroupRemove {
        /// Which group.
        id: u16,
        /// Which device.
        eui64: String,
    },
    /// A command to all of a group.
    GroupSend {
        /// Which group.
        id: u16,
        /// Which resource.
        path: String,
        /// What is put there.
        value: String,
    },
    /// Lets expected devices in.
    WindowOpen {
        /// For so long.
        minutes: u64,
    },
    /// Lets them in no more.
    WindowClose,
    /// Where every key stands.
    KeysStatus,
    /// Another link-layer key.
    KeysRotateNetwork,
    /// Another epoch of a group.
    KeysRotateGroup {
        /// Which.
        id: u16,
    },
    /// Another polynomial for the keys of pairs.
    KeysRotatePairs,
    /// A few numbers.
    Status,
    /// Who sends through whom.
    MeshTree,
    /// Whom the border router hears itself.
    MeshNeighbours,
    /// How packets reach each device.
    MeshRoutes,
    /// What happens, from now on, a line each.
    Events,
}

impl Ask {
    /// What it is called in the line.
    pub(super) fn word(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value["ask"].as_str().unwrap_or("?").to_owned()
    }
}

/// What the daemon says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is done; what there is to show.
    Done(Value),
    /// It is not, and nothing changed; a line each.
    Refused(Vec<String>),
}

/// A question and where the answer goes.
pub(super) type Asked = (Ask, oneshot::Sender<Answer>);

/// Answers whoever connects, until the daemon ends.
pub(super) async fn serve(
    listener: UnixListener,
    asked: mpsc::Sender<Asked>,
    events: broadcast::Sender<String>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // The system has no more descriptors now.
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let (asked, events) = (asked.clone(), events.clone());
        tokio::spawn(async move {
            // Who goes away while being answered has no use for the answer.
            let _ = converse(stream, asked, events).await;
            drop(place);
        });
    }
}

async fn converse(
    stream: UnixStream,
    asked: mpsc::Sender<Asked>,
    events: broadcast::Sender<String>,
) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(LINE_OCTETS_MAX));
    timeout(QUESTION_WITHIN, reader.read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(Ask::Events) => return follow(write, events.subscribe()).await,
        Ok(ask) => {
            let (answer, answered) = oneshot::channel();
            let given = asked.send((ask, answer)).await;
            let ended = || Answer::Refused(vec!["the daemon is ending".into()]);
            match given {
                Ok(()) => answered.await.unwrap_or_else(|_| ended()),
                Err(_) => ended(),
            }
        }
        Err(fault) => Answer::Refused(vec![format!("not a question: {fault}")]),
    };
    let mut text = serde_json::to_string(&answer)?;
    text.push('\n');
    write.write_all(text.as_bytes()).await
}

async fn follow(
    mut write: tokio::net::unix::OwnedWriteHalf,
    mut events: broadcast::Receiver<String>,
) -> std::io::Result<()> {
    loop {
        let line = match events.recv().await {
            Ok(line) => line,
            Err(broadcast::error::RecvError::Lagged(lost)) => format!("{lost} events were lost"),
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        };
        write.write_all(line.as_bytes()).await?;
        write.write_all(b"\n").await?;
    }
}

/// Asks the daemon behind `socket`; `line` is called with each line that it says.
///
/// # Errors
/// One line, with the cause and the remedy.
pub(super) async fn ask(
    socket: &Path,
    ask: &Ask,
    line: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let unreachable = |fault: std::io::Error| {
        let remedy = match fault.kind() {
            std::io::ErrorKind::PermissionDenied => "run the command as the daemon's user or root",
            _ => "start it with `lowgate run`",
        };
        format!("{}: no daemon answers: {fault}; {remedy}", socket.display())
    };
    let stream = UnixStream::connect(socket).await.map_err(unreachable)?;
    let (read, mut write) = stream.into_split();
    let mut text = serde_json::to_string(ask).map_err(|fault| fault.to_string())?;
    text.push('\n');
    write.write_all(text.as_bytes()).await.map_err(unreachable)?;
    let mut lines = BufReader::new(read).lines();
    let mut any = false;
    while let Some(said) = lines.next_line().await.map_err(unreachable)? {
        any = true;
        line(&said);
    }
    if any { Ok(()) } else { Err("the daemon ended before it answered".into()) }
}
