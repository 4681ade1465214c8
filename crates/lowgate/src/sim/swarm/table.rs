//! A scenario as people read it: who is there, and line by line what happens.

use lowgate_sim::scenario::{Deed, Scenario};
use lowgate_sim::world::Intruder;
use lowgate_units::{Duration, Instant};

/// Everything but quiet installations, in the order of time.
pub(super) fn of(scenario: &Scenario) -> String {
    let mut text = format!(
        "{}: {} devices, {:.1} % of frames lost, {} s\n",
        scenario.name,
        scenario.honest() - 1,
        100.0 * scenario.medium.loss,
        scenario.duration.as_secs(),
    );
    for (index, intruder) in scenario.intruders.iter().enumerate() {
        let station = scenario.honest() as usize + index;
        let what = match intruder {
            Intruder::Stranger { identity, .. } => format!("a stranger as {identity:?}"),
            Intruder::Eavesdropper { trick, .. } => format!("an eavesdropper: {trick:?}"),
            Intruder::Insider { captured, lie, .. } => {
                format!("an insider with the keys of {captured}: {lie:?}")
            }
            Intruder::Sniffer { .. } => "a sniffer".into(),
        };
        text += &format!("  station {station} is {what}\n");
    }
    let mut lines: Vec<(Instant, Option<Duration>, String)> = Vec::new();
    let mut installed = Vec::new();
    for deed in &scenario.deeds {
        match deed.what {
            Deed::Install(_) => installed.push(deed.at),
            _ => lines.push((deed.at, None, format!("{:?}", deed.what))),
        }
    }
    for disaster in &scenario.disasters {
        lines.push((disaster.at, Some(disaster.lasts), format!("{:?}", disaster.what)));
    }
    lines.sort();
    if let (Some(first), Some(last)) = (installed.iter().min(), installed.iter().max()) {
        text += &format!("  installed from {first} to {last}\n");
    }
    for (at, lasts, what) in lines {
        let lasts = lasts.map_or(String::new(), |lasts| format!("{:.3} s", lasts.as_secs_f64()));
        text += &format!("  {:>9.3} s {lasts:>10}  {what}\n", at.as_secs_f64());
    }
    text
}
