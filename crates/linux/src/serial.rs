//! The line to a co-processor: a serial device, a Unix stream socket or a program of our own.
//!
//! **Invariant:** octets pass unchanged and in order. The end of the line is always an error, never
//! zero octets read, and a line that has failed once is to be dropped and opened anew.

use crate::url::{Flow, SerialUrl, Target};
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_serial::{FlowControl, SerialStream};

/// How long [`Serial::write_all`] waits for an end that takes nothing. The longest frame needs less
/// than two seconds at the slowest speed.
pub const WRITE_MAX: Duration = Duration::from_secs(3);

/// An open line. Dropping it closes it; a program of our own is killed.
#[derive(Debug)]
pub struct Serial {
    line: Line,
}

#[derive(Debug)]
enum Line {
    Tty(SerialStream),
    Socket(UnixStream),
    Process { child: Child, stdin: ChildStdin, stdout: ChildStdout },
}

/// What [`Serial::exchange`] has done; never zero octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchanged {
    /// So many octets came in.
    Read(usize),
    /// So many octets went out.
    Wrote(usize),
}

/// Why a line could not be opened, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SerialError {
    /// No such file.
    #[error(
        "{path} does not exist; is the co-processor plugged in, or its program installed? \
         `ls /dev/serial/by-id` shows the devices that are there"
    )]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// A device or socket that belongs to others.
    #[error(
        "no permission to open {path}; add the service's user to the group that owns it \
         (mostly dialout), or install the udev rule that comes with this program"
    )]
    Permission {
        /// Which file.
        path: PathBuf,
    },
    /// Another program has the device.
    #[error(
        "{path} is in use by another program; `fuser -v {path}` names it (ModemManager and other \
         border routers are the usual ones)"
    )]
    Busy {
        /// Which device.
        path: PathBuf,
    },
    /// A file that is not a serial device.
    #[error("{path} is not a serial device ({cause}); give one such as /dev/ttyACM0")]
    NotSerial {
        /// Which file.
        path: PathBuf,
        /// What it is, or what the system says about it.
        cause: String,
    },
    /// A socket without a listener.
    #[error("nobody listens at {path}; start the program that offers the radio there first")]
    NoListener {
        /// Which socket.
        path: PathBuf,
    },
    /// A program that may not be run.
    #[error("no permission to run {path}; make it executable for the service's user")]
    NotExecutable {
        /// Which program.
        path: PathBuf,
    },
    /// Anything else that the system reports.
    #[error("cannot open {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Serial {
    /// Opens the line that `url` leads to. A serial device is taken exclusively, raw, with eight data
    /// bits, no parity and one stop bit. Must be called within a tokio runtime with IO and time.
    ///
    /// # Errors
    /// See [`SerialError`].
    pub fn open(url: &SerialUrl) -> Result<Self, SerialError> {
        let line = match &url.target {
            Target::Uart { path, baud, flow } => Line::Tty(open_tty(path, *baud, *flow)?),
            Target::Socket { path } => Line::Socket(open_socket(path)?),
            Target::Process { program, args } => {
                let spawned = Command::new(program)
                    .args(args)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .kill_on_drop(true)
                    .spawn();
                process_line(spawned.map_err(|source| process_error(program, source))?)
            }
        };
        Ok(Self { line })
    }

    /// Waits for octets and puts them at the front of `buffer`; the count is never zero unless
    /// `buffer` is empty. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// `UnexpectedEof`: the other end is gone. Others as the system reports them, such as a USB device
    /// that was pulled.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context, buffer)).await
    }

    /// Writes all octets. When the future is dropped, any number of them has been written.
    ///
    /// # Errors
    /// `TimedOut`: the other end took too few octets for [`WRITE_MAX`]. Others as the system reports
    /// them. Part of the octets may have been written.
    pub async fn write_all(&mut self, octets: &[u8]) -> io::Result<()> {
        let written = match &mut self.line {
            Line::Tty(tty) => tokio::time::timeout(WRITE_MAX, tty.write_all(octets)).await,
            Line::Socket(socket) => tokio::time::timeout(WRITE_MAX, socket.write_all(octets)).await,
            Line::Process { stdin, .. } => {
                tokio::time::timeout(WRITE_MAX, stdin.write_all(octets)).await
            }
        };
        written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Does what is possible first: writes some of `outgoing` (may be empty), or reads into
    /// `incoming`. Two ends that both write and wait would otherwise stop each other for good.
    /// Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// As [`Serial::read`].
    pub async fn exchange(
        &mut self,
        outgoing: &[u8],
        incoming: &mut [u8],
    ) -> io::Result<Exchanged> {
        poll_fn(|context| {
            if !outgoing.is_empty()
                && let Poll::Ready(written) = self.poll_write(context, outgoing)
            {
                return Poll::Ready(written.map(Exchanged::Wrote));
            }
            self.poll_read(context, incoming).map_ok(Exchanged::Read)
        })
        .await
    }

    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        // A socket would wait even for no octets.
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let mut buffer = ReadBuf::new(buffer);
        let polled = match &mut self.line {
            Line::Tty(tty) => Pin::new(tty).poll_read(context, &mut buffer),
            Line::Socket(socket) => Pin::new(socket).poll_read(context, &mut buffer),
            Line::Process { stdout, .. } => Pin::new(stdout).poll_read(context, &mut buffer),
        };
        polled.map(|read| match (read, buffer.filled().len()) {
            (Err(error), _) => Err(error),
            (Ok(()), 0) => Err(self.ended()),
            (Ok(()), octets) => Ok(octets),
        })
    }

    fn poll_write(&mut self, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let polled = match &mut self.line {
            Line::Tty(tty) => Pin::new(tty).poll_write(context, octets),
            Line::Socket(socket) => Pin::new(socket).poll_write(context, octets),
            Line::Process { stdin, .. } => Pin::new(stdin).poll_write(context, octets),
        };
        polled.map(|written| match written {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            other => other,
        })
    }

    fn ended(&mut self) -> io::Error {
        let cause = match &mut self.line {
            Line::Tty(_) => "the serial device has hung up".to_owned(),
            Line::Socket(_) => "the other end has closed the socket".to_owned(),
            Line::Process { child, .. } => match child.try_wait() {
                Ok(Some(status)) => format!("the program has ended ({status})"),
                Ok(None) | Err(_) => "the program has closed its output".to_owned(),
            },
        };
        io::Error::new(io::ErrorKind::UnexpectedEof, cause)
    }
}

fn open_tty(path: &Path, baud: u32, flow: Flow) -> Result<SerialStream, SerialError> {
    let metadata = std::fs::metadata(path).map_err(|source| file_error(path, source))?;
    if !metadata.file_type().is_char_device() {
        let cause = "it is not a character device".to_owned();
        return Err(SerialError::NotSerial { path: path.to_owned(), cause });
    }
    // The serial crate takes text only; devices have names in ASCII, so nothing real is refused.
    let Some(name) = path.to_str() else {
        let cause = "its name is not UTF-8".to_owned();
        return Err(SerialError::NotSerial { path: path.to_owned(), cause });
    };
    let flow = match flow {
        Flow::Hardware => FlowControl::Hardware,
        Flow::None => FlowControl::None,
    };
    // Exclusive means TIOCEXCL, which root may ignore, and flock, which only the polite heed.
    let builder = tokio_serial::new(name, baud).flow_control(flow).exclusive(true);
    SerialStream::open(&builder).map_err(|error| tty_error(path, error))
}

fn tty_error(path: &Path, error: tokio_serial::Error) -> SerialError {
    let path = path.to_owned();
    match error.kind {
        // EBUSY from open, or a lock that somebody else holds.
        tokio_serial::ErrorKind::NoDevice => SerialError::Busy { path },
        tokio_serial::ErrorKind::Io(kind) => file_error(&path, kind.into()),
        // Every other errno ends here, above all ENOTTY: no terminal settings, hence no terminal.
        tokio_serial::ErrorKind::Unknown | tokio_serial::ErrorKind::InvalidInput => {
            SerialError::NotSerial { path, cause: error.description }
        }
    }
}

fn open_socket(path: &Path) -> Result<UnixStream, SerialError> {
    let connect = || {
        let stream = StdUnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    };
    connect().map_err(|source| match source.kind() {
        io::ErrorKind::ConnectionRefused => SerialError::NoListener { path: path.to_owned() },
        _ => file_error(path, source),
    })
}

fn file_error(path: &Path, source: io::Error) -> SerialError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => SerialError::Missing { path },
        io::ErrorKind::PermissionDenied => SerialError::Permission { path },
        _ => SerialError::Io { path, source },
    }
}

fn process_error(program: &Path, source: io::Error) -> SerialError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => SerialError::NotExecutable { path: program.to_owned() },
        _ => file_error(program, source),
    }
}

fn process_line(mut child: Child) -> Line {
    let stdin = child.stdin.take().expect("was asked for as a pipe");
    let stdout = child.stdout.take().expect("was asked for as a pipe");
    Line::Process { child, stdin, stdout }
}

#[cfg(test)]
mod tests;
