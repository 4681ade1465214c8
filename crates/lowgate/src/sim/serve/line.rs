//! The co-processor's end of the serial line: a pty, and a link that leads to its other end.
//!
//! **Invariant:** a host that does not read loses octets, as at any line without flow control; it holds
//! up nobody.

use std::fs;
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_serial::{SerialPort, SerialStream};

const READ_OCTETS_MAX: usize = 1024;
/// What waits for a host that reads slowly.
const UNSENT_OCTETS_MAX: usize = 64 * 1024;

/// The line, or none where no link was asked for.
pub(super) struct Line {
    link: Option<PathBuf>,
    ends: Option<Ends>,
    unsent: Vec<u8>,
}

struct Ends {
    ours: SerialStream,
    /// The host's end stays open here too, so that hosts may come and go: a pty that hung up once never
    /// rests.
    _hosts: fs::File,
}

impl Line {
    /// A line at `link`, ready for its host.
    pub(super) fn plug_in(link: Option<&Path>) -> io::Result<Self> {
        let mut line = Self { link: link.map(Path::to_owned), ends: None, unsent: Vec::new() };
        line.replug()?;
        Ok(line)
    }

    /// Where a host finds it.
    pub(super) fn link(&self) -> Option<&Path> {
        self.link.as_deref()
    }

    /// The line is gone, and whoever has it open notices.
    pub(super) fn unplug(&mut self) -> io::Result<()> {
        self.unsent.clear();
        match (self.ends.take(), &self.link) {
            (Some(_), Some(link)) => fs::remove_file(link),
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// It is back, as another device under the same name.
    pub(super) fn replug(&mut self) -> io::Result<()> {
        self.unplug()?;
        let Some(link) = &self.link else { return Ok(()) };
        let (ours, hosts) = SerialStream::pair()?;
        let name = hosts.name().ok_or_else(|| io::Error::other("the system gave a pty no name"))?;
        // Without the exclusive claim that a host makes.
        let hosts = fs::OpenOptions::new().read(true).write(true).open(&name)?;
        // A link that an earlier run left leads nowhere.
        if link.is_symlink() {
            fs::remove_file(link)?;
        }
        let named =
            |fault: io::Error| io::Error::new(fault.kind(), format!("{}: {fault}", link.display()));
        symlink(name, link).map_err(named)?;
        self.ends = Some(Ends { ours, _hosts: hosts });
        Ok(())
    }

    /// Octets for the host. They leave while [`Line::next`] is waited for.
    pub(super) fn send(&mut self, octets: &[u8]) {
        if self.ends.is_some() && self.unsent.len() + octets.len() <= UNSENT_OCTETS_MAX {
            self.unsent.extend_from_slice(octets);
        }
    }

    /// Waits for octets of the host, for ever while the line is gone. Nothing is lost when the future is
    /// dropped.
    pub(super) async fn next(&mut self) -> io::Result<Vec<u8>> {
        let mut octets = [0; READ_OCTETS_MAX];
        let read = poll_fn(|context| self.poll_next(context, &mut octets)).await?;
        Ok(octets[..read].to_vec())
    }

    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        octets: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(Ends { ours, .. }) = &mut self.ends else { return Poll::Pending };
        while !self.unsent.is_empty() {
            match Pin::new(&mut *ours).poll_write(context, &self.unsent) {
                Poll::Ready(wrote) => drop(self.unsent.drain(..wrote?)),
                Poll::Pending => break,
            }
        }
        let mut octets = ReadBuf::new(octets);
        let read = Pin::new(ours).poll_read(context, &mut octets);
        read.map_ok(|()| octets.filled().len())
    }
}
