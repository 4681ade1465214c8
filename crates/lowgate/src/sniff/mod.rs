//! `lowgate sniff`: what a co-processor hears on a channel, as a capture that Wireshark opens.
//!
//! **Invariant:** nothing is sent. Whoever reads the capture may go away at any time; that is its end, not
//! a fault.

mod clock;
mod extcap;
mod sink;

use crate::daemon::commands::{self, Where};
use crate::daemon::config::Config;
use crate::rcp::dialog::{Dialog, Trouble};
use clap::Args;
use clock::RadioClock;
use lowgate_linux::SerialUrl;
use lowgate_sim::capture::{AirFrame, begin_live, live_frame};
use lowgate_spinel::{FCS_OCTETS, Property, RawReceived, Reader, ReceivedFlags};
use lowgate_units::{Channel, Instant as Moment, Lqi, Rssi};
use sink::Sink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

/// A silent co-processor is asked so often whether it still streams.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// In place of a strength that is not known.
const STRENGTHS_UNKNOWN: [i8; 2] = [i8::MIN, i8::MAX];

/// What `lowgate sniff` is asked to do.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The co-processor's serial line, or else the configuration's. A daemon cannot share it: take another one
    #[arg(long, value_name = "URL")]
    radio: Option<String>,
    /// 11 to 26, or else the configuration's
    #[arg(long, value_parser = channel)]
    channel: Option<Channel>,
    /// Where the capture (pcapng) goes; - is the standard output
    #[arg(
        short,
        long,
        value_name = "FILE",
        required_unless_present_any = [
            "install_extcap",
            "extcap_interfaces",
            "extcap_dlts",
            "extcap_config",
            "extcap_capture_filter",
            "fifo",
        ]
    )]
    output: Option<PathBuf>,
    /// Ends after so many frames
    #[arg(long, value_name = "FRAMES")]
    count: Option<u64>,
    /// Ends after so long
    #[arg(long)]
    seconds: Option<u64>,
    #[command(flatten)]
    extcap: extcap::Extcap,
}

fn channel(text: &str) -> Result<Channel, String> {
    let channel = text.parse().ok().and_then(Channel::new);
    channel.ok_or_else(|| "a number from 11 to 26".into())
}

/// Runs until the capture is complete, or somebody ends it.
pub fn run(place: &Where, options: &Options) -> ExitCode {
    let done = match (options.extcap.asked(), &options.extcap.fifo, &options.output) {
        (Some(asked), ..) => extcap::answer(place, asked),
        (None, Some(path), _) => capture(place, options, path).map(drop),
        (None, None, Some(path)) => capture(place, options, path).map(|frames| {
            eprintln!("{frames} frames");
        }),
        (None, None, None) => unreachable!("clap requires one of them"),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(2)
        }
    }
}

/// What is not said on the command line is as in the configuration, or where there is none as in the one
/// that `lowgate init` writes.
fn defaults(place: &Where) -> Result<Config, String> {
    match place.is_there() {
        true => place.read(),
        false => Config::parse("lowgate init", crate::daemon::config::TEMPLATE),
    }
}

/// How many frames were captured.
fn capture(place: &Where, options: &Options, path: &Path) -> Result<u64, String> {
    let defaults = defaults(place)?;
    let url = options.radio.as_ref().unwrap_or(&defaults.radio.url);
    let url = SerialUrl::parse(url).map_err(|fault| fault.to_string())?;
    let default = Channel::new(defaults.radio.channel).expect("the configuration was checked");
    let mut sniffer = Sniffer { channel: options.channel.unwrap_or(default), frames: 0 };
    commands::runtime()?.block_on(async {
        let mut dialog = Dialog::begin(&url).await?;
        let told = |trouble: Trouble| format!("{url}: {trouble}");
        sniffer.listen(&mut dialog).await.map_err(told)?;
        let sink = Sink::open(path).map_err(|fault| format!("{}: {fault}", path.display()))?;
        let ended = |fault: std::io::Error| format!("{}: {fault}", path.display());
        let about = format!("lowgate sniff, channel {}, {url}", sniffer.channel.number());
        if !sink.write(&begin_live(&about)).await.map_err(ended)? {
            return Ok(());
        }
        let mut terminate = signal(SignalKind::terminate()).map_err(|fault| fault.to_string())?;
        let time = Duration::from_secs(options.seconds.unwrap_or(u64::MAX / 1000));
        let count = options.count.unwrap_or(u64::MAX);
        tokio::select! {
            done = sniffer.sniff(&mut dialog, &sink, count) => done.map_err(|why| match why {
                Ended::Radio(trouble) => told(trouble),
                Ended::Sink(fault) => ended(fault),
            }),
            () = sleep(time) => Ok(()),
            () = sink.closed() => Ok(()),
            _ = tokio::signal::ctrl_c() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    })?;
    Ok(sniffer.frames)
}

/// Why a capture could not go on.
enum Ended {
    Radio(Trouble),
    Sink(std::io::Error),
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Self {
        Self::Radio(trouble)
    }
}

struct Sniffer {
    channel: Channel,
    frames: u64,
}

impl Sniffer {
    /// From a fresh start, takes everything on the channel.
    async fn listen(&self, dialog: &mut Dialog) -> Result<(), Trouble> {
        dialog.reset().await?;
        dialog.set(Property::PHY_ENABLED, |w| w.boolean(true)).await?;
        dialog.set(Property::PHY_CHAN, |w| w.u8(self.channel.number())).await?;
        dialog.set(Property::MAC_PROMISCUOUS_MODE, |w| w.u8(Property::PROMISCUOUS)).await?;
        dialog.set(Property::MAC_RAW_STREAM_ENABLED, |w| w.boolean(true)).await
    }

    /// Until there are `count` frames, or nobody takes them any more.
    async fn sniff(&mut self, dialog: &mut Dialog, sink: &Sink, count: u64) -> Result<(), Ended> {
        let mut clock = RadioClock::default();
        while self.frames < count {
            let Some(said) = dialog.next(Instant::now() + PROBE_INTERVAL).await? else {
                self.probe(dialog).await?;
                continue;
            };
            if said.notice().is_some() {
                self.listen(dialog).await?;
                continue;
            }
            let Ok(raw) = RawReceived::parse(&said.value) else { continue };
            let Some(frame) = self.frame(&raw).filter(|_| said.property == Property::STREAM_RAW)
            else {
                continue;
            };
            let at = clock.at(since_1970(), raw.timestamp_us);
            if !sink.write(&live_frame(Moment::ZERO + at, &frame)).await.map_err(Ended::Sink)? {
                return Ok(());
            }
            self.frames += 1;
        }
        Ok(())
    }

    /// One that forgot, or does not answer, is told again.
    async fn probe(&self, dialog: &mut Dialog) -> Result<(), Trouble> {
        let streams = dialog.get(Property::MAC_RAW_STREAM_ENABLED).await;
        match streams.map(|value| Reader::new(&value).boolean()) {
            Ok(Ok(true)) => Ok(()),
            Err(trouble @ Trouble::Line(_)) => Err(trouble),
            Ok(_) | Err(_) => self.listen(dialog).await,
        }
    }

    /// `None` for what was sent, or damaged on the air.
    fn frame<'a>(&self, raw: &RawReceived<'a>) -> Option<AirFrame<'a>> {
        const UNWANTED: u16 = ReceivedFlags::TRANSMITTED.0 | ReceivedFlags::BAD_FCS.0;
        if raw.error != 0 || raw.flags.intersects(UNWANTED) {
            return None;
        }
        // The radio judged the FCS; in its place many report something else.
        let psdu = raw.psdu.get(..raw.psdu.len().checked_sub(FCS_OCTETS)?)?;
        let rssi = Some(raw.rssi).filter(|rssi| !STRENGTHS_UNKNOWN.contains(rssi)).map(Rssi);
        let lqi = Some(raw.lqi).filter(|lqi| *lqi != 0).map(Lqi);
        let channel = Channel::new(raw.channel).unwrap_or(self.channel);
        Some(AirFrame { channel: Some(channel), rssi, lqi, psdu })
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
