//! Where a capture goes.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::Path;
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// Where a capture goes: each frame at once, so that whoever looks on sees it.
pub(super) enum Sink {
    File(File),
    Pipe(Sender),
}

impl Sink {
    /// `-` is the standard output. A named pipe waits here for its reader.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file: File = match path.as_os_str() == "-" {
            true => io::stdout().as_fd().try_clone_to_owned()?.into(),
            false => File::create(path)?,
        };
        match Sender::from_file(file.try_clone()?) {
            Ok(pipe) => Ok(Self::Pipe(pipe)),
            Err(_) => Ok(Self::File(file)), // of the disk, or a terminal
        }
    }

    /// False if nobody reads any more.
    pub(super) async fn write(&self, octets: &[u8]) -> io::Result<bool> {
        let written = match self {
            Self::File(file) => (&mut &*file).write_all(octets),
            Self::Pipe(pipe) => pour(pipe, octets).await,
        };
        match written {
            Ok(()) => Ok(true),
            Err(fault) if fault.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Ends when nobody reads any more, also while nothing is written that would tell. A file has always
    /// room for readers.
    pub(super) async fn closed(&self) {
        match self {
            Self::Pipe(pipe) if pipe.ready(Interest::ERROR).await.is_ok() => {}
            Self::Pipe(_) | Self::File(_) => std::future::pending().await,
        }
    }
}

async fn pour(pipe: &Sender, mut octets: &[u8]) -> io::Result<()> {
    while !octets.is_empty() {
        pipe.writable().await?;
        match pipe.try_write(octets) {
            Ok(len) => octets = &octets[len..],
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}
