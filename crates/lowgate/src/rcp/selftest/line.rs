//! Steps that need no radio: the line, and who is at its other end.

use super::{Done, Ended, Unmet};
use crate::rcp::dialog::{Dialog, Trouble};
use lowgate_mac::{RadioCommand, RadioConfig};
use lowgate_router::co_processor::{
    CoProcessor, CoProcessorEvent, CoProcessorInput, CoProcessorOutput,
};
use lowgate_spinel::{Command, FLAG, Property};
use lowgate_units::{Channel, Eui64, Instant as Moment, PanId, Prng, ShortAddr};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// In which the daemon's own driver must have it ready; it needs 2 s after any fault.
const READY_MAX: Duration = Duration::from_secs(2);
const LATENCY_QUESTIONS: usize = 100;
/// For each direction.
const THROUGHPUT_TIME: Duration = Duration::from_secs(1);
/// So many answers are awaited at a time while the line is filled.
const UNANSWERED_MAX: usize = 4;
const FILLER_OCTETS: usize = 200;
/// A received frame of full length on the line, with its metadata.
const FULL_FRAME_OCTETS: f64 = 160.0;
/// No property has this number.
const NO_PROPERTY: Property = Property(0x1f_fff0);

/// Who the self-test says it is: a locally administered address.
pub(super) const OWN: Eui64 = Eui64([0x02, 0x4c, 0x47, 0x54, 0x45, 0x53, 0x54, 0x01]);

/// It starts afresh when told to, and says so.
pub(super) async fn reset(dialog: &mut Dialog) -> Ended {
    let asked = Instant::now();
    let status = dialog.reset().await?;
    let took = millis(asked.elapsed());
    Ok(Done::new(format!("after {took} ms: {status}"), json!({ "ms": took })))
}

/// What `lowgate run` does with it.
pub(super) async fn driver(dialog: &mut Dialog) -> Ended {
    let begun = Instant::now();
    let now = || Moment::ZERO + begun.elapsed();
    let mut host = CoProcessor::new(now());
    let config = RadioConfig {
        channel: Channel::new(15).expect("in the band"),
        pan_id: PanId::new(0x1e57),
        short: ShortAddr::new(0x0042),
        eui64: OWN,
        promiscuous: false,
    };
    host.handle(now(), CoProcessorInput::Opened);
    host.handle(now(), CoProcessorInput::Command(RadioCommand::Configure(config)));
    loop {
        let until = loop {
            match host.poll(now()) {
                CoProcessorOutput::Wait { until } => break until,
                CoProcessorOutput::Octets(octets) => dialog.write(&octets).await?,
                CoProcessorOutput::Told(
                    event @ (CoProcessorEvent::Lost(_) | CoProcessorEvent::Incompatible(_)),
                ) => return Err(Unmet::Failed(event.to_string())),
                CoProcessorOutput::Event(_)
                | CoProcessorOutput::Reopen
                | CoProcessorOutput::Told(_) => {}
            }
        };
        if host.is_ready() {
            let took = millis(begun.elapsed());
            return Ok(Done::new(format!("ready after {took} ms"), json!({ "ms": took })));
        }
        if begun.elapsed() > READY_MAX {
            return Err(Unmet::Failed(format!("not ready after {} ms", READY_MAX.as_millis())));
        }
        let octets = dialog.octets(begun + (until - Moment::ZERO)).await?;
        host.handle(now(), CoProcessorInput::Octets(&octets));
    }
}

/// How long a question takes.
pub(super) async fn latency(dialog: &mut Dialog) -> Ended {
    let mut times = Vec::new();
    for _ in 0..LATENCY_QUESTIONS {
        let asked = Instant::now();
        dialog.get(Property::PHY_CHAN).await?;
        times.push(millis(asked.elapsed()));
    }
    times.sort_by(f64::total_cmp);
    let [least, median, most] = [0, times.len() / 2, times.len() - 1].map(|at| times[at]);
    let detail =
        format!("{LATENCY_QUESTIONS} questions, {median} ms each (median; {least} to {most})");
    Ok(Done::new(detail, json!({ "median_ms": median, "min_ms": least, "max_ms": most })))
}

/// What it does not know it refuses, and goes on.
pub(super) async fn unknown_property(dialog: &mut Dialog) -> Ended {
    match dialog.get(NO_PROPERTY).await {
        Err(Trouble::Refused(status)) => Ok(Done::new(format!("refused: {status}"), Value::Null)),
        Err(trouble) => Err(trouble.into()),
        Ok(value) => Err(Unmet::Failed(format!("it has a value: {value:02x?}"))),
    }
}

/// Octets without sense do not stop it, nor do they make it forget.
pub(super) async fn noise(dialog: &mut Dialog) -> Ended {
    const KINDS: [&str; 4] =
        ["random octets", "an endless frame", "half a frame", "an empty frame"];
    let mut prng = Prng::new(1);
    let random: Vec<u8> = (0..300).map(|_| prng.next_u64().to_le_bytes()[0]).collect();
    let noises = [random, vec![0x55; 2000], vec![FLAG, 0x81, 0x02], vec![FLAG, FLAG, FLAG]];
    for (kind, noise) in KINDS.iter().zip(noises) {
        dialog.write(&noise).await?;
        // Our frames begin with a flag, which ends what noise began: one question may be lost all the same.
        let answer = match dialog.get(Property::PHY_CHAN).await {
            Err(Trouble::Silent) => dialog.get(Property::PHY_CHAN).await,
            answer => answer,
        };
        answer.map_err(|trouble| Unmet::Failed(format!("after {kind}: {trouble}")))?;
    }
    Ok(Done::new(format!("it answers after {}", KINDS.join(", ")), Value::Null))
}

/// How much the line carries in each direction. Every answer must come.
pub(super) async fn throughput(dialog: &mut Dialog) -> Ended {
    let from = fill(dialog, Command::PROP_VALUE_GET, &[]).await?;
    // It refuses to be called otherwise, having read all of it.
    let to = fill(dialog, Command::PROP_VALUE_SET, &[0x20; FILLER_OCTETS]).await?;
    let frames = (from.incoming / FULL_FRAME_OCTETS).floor();
    let detail = format!(
        "{:.0} octets/s from it (at least {frames} full frames), {:.0} octets/s to it",
        from.incoming, to.outgoing
    );
    let figures = json!({ "octets_per_s_from": from.incoming, "octets_per_s_to": to.outgoing });
    Ok(Done::new(detail, figures))
}

/// Octets in a second.
struct Rates {
    incoming: f64,
    outgoing: f64,
}

async fn fill(dialog: &mut Dialog, command: Command, value: &[u8]) -> Result<Rates, Unmet> {
    let begun = Instant::now();
    let (incoming, outgoing) = (dialog.octets_in, dialog.octets_out);
    let (mut asked, mut answered) = (0, 0);
    while begun.elapsed() < THROUGHPUT_TIME || answered < asked {
        if begun.elapsed() < THROUGHPUT_TIME && asked - answered < UNANSWERED_MAX {
            dialog.post(command, Property::NCP_VERSION, |writer| writer.octets(value)).await?;
            asked += 1;
            continue;
        }
        match dialog.next(Instant::now() + THROUGHPUT_TIME).await? {
            Some(said) => answered += usize::from(said.is_answer()),
            None => {
                let lost = asked - answered;
                return Err(Unmet::Failed(format!("{lost} of {asked} answers never came")));
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let rate = |before: u64, after: u64| ((after - before) as f64 / seconds).round();
    Ok(Rates {
        incoming: rate(incoming, dialog.octets_in),
        outgoing: rate(outgoing, dialog.octets_out),
    })
}

/// To a hundredth.
pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 100_000.0).round() / 100.0
}
