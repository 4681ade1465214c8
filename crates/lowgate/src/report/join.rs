//! One join as a sequence: who spoke to whom, and where the octets of every message went.

use super::{Join, Message, Octets, Report, milliseconds, name, seconds, text};

/// Pixels between two lifelines (the style sheet draws them), and the height of an arrow's drawing.
const LANE: usize = 54;
const ROW: usize = 20;

/// Of each layer: class, title, how many octets.
type Layer = (&'static str, &'static str, fn(&Octets) -> u32);

const LAYERS: [Layer; 5] = [
    ("l0", "802.15.4", |octets| octets.ieee802154),
    ("l1", "6LoWPAN", |octets| octets.sixlowpan),
    ("l2", "UDP", |octets| octets.udp),
    ("l4", "DTLS", |octets| octets.dtls),
    ("l5", "Payload", |octets| octets.payload),
];

pub(super) fn section(report: &Report) -> String {
    let Some(join) = &report.join else { return String::new() };
    let largest = join.messages.iter().map(|message| message.octets.total()).max().unwrap_or(0);
    let start = join.messages.first().map_or(0, |message| message.at_us);
    let rows: String = join
        .messages
        .iter()
        .enumerate()
        .map(|(index, message)| row(join, index + 1, message, start, largest))
        .collect();
    let titles: String = LAYERS
        .iter()
        .map(|(class, title, _)| {
            format!("<th scope=\"col\" class=\"n\"><i class=\"{class}\"></i>{title}</th>")
        })
        .collect();
    let parties: String = join
        .parties
        .iter()
        .map(|party| format!("<span style=\"width:{LANE}px\">{}</span>", text(party)))
        .collect();
    format!(
        "<section aria-labelledby=\"join-title\">\n<h2 id=\"join-title\">One join, message by message\
         </h2>\n<p>{}</p>\n<div class=\"scroll\" tabindex=\"0\" role=\"group\" \
         aria-label=\"Messages of the join\">\n<table class=\"join\">\n<thead><tr>\
         <th scope=\"col\" class=\"n\">#</th><th scope=\"col\" class=\"n\">After</th>\
         <th scope=\"col\" class=\"lanes\"><div>{parties}</div></th><th scope=\"col\">Message</th>\
         <th scope=\"col\" class=\"n\">Hops</th><th scope=\"col\" class=\"n\">Frames</th>\
         <th scope=\"col\" class=\"share\">Octets on the first hop</th>{titles}\
         <th scope=\"col\" class=\"n\">Total</th>\
         <th scope=\"col\" class=\"n\">Relay, further hops</th></tr></thead>\n<tbody>\n{rows}</tbody>\n\
         <tfoot>{}</tfoot>\n</table>\n</div>\n</section>\n",
        words(report, join, start),
        sums(join)
    )
}

fn words(report: &Report, join: &Join, start: u64) -> String {
    let last = join.messages.last().map_or(start, |message| message.at_us);
    format!(
        "<b>{}</b> began after {} and had its last message {} later. The relay puts its header and \
         envelope around what goes on: so many octets more on every further hop.",
        name(report, join.device),
        seconds(start),
        seconds(last.saturating_sub(start))
    )
}

fn row(join: &Join, number: usize, message: &Message, start: u64, largest: u32) -> String {
    let note = if message.note.is_empty() {
        String::new()
    } else {
        format!("<small>{}</small>", text(&message.note))
    };
    let shares: String = LAYERS
        .iter()
        .map(|(class, _, octets)| (class, octets(&message.octets)))
        .filter(|(_, octets)| *octets > 0)
        .map(|(class, octets)| {
            let width = f64::from(octets) / f64::from(largest.max(1)) * 100.0;
            format!("<i class=\"{class}\" style=\"width:{width:.2}%\"></i>")
        })
        .collect();
    format!(
        "<tr><td class=\"n\">{number}</td><td class=\"n\">{}</td><td class=\"lanes\" style=\"background-size:{}px 100%\">{}</td>\
         <th scope=\"row\">{}{note}</th><td class=\"n\">{}</td><td class=\"n\">{}</td>\
         <td class=\"share\"><div>{shares}</div></td>{}</tr>\n",
        milliseconds(message.at_us.saturating_sub(start)),
        join.parties.len() * LANE,
        arrow(join, message),
        text(&message.name),
        message.hops,
        message.frames,
        numbers(&message.octets)
    )
}

/// The message's arrow across the lifelines.
fn arrow(join: &Join, message: &Message) -> String {
    let parties = join.parties.len();
    let at = |party: usize| party * LANE + LANE / 2;
    let words = |party: usize| join.parties.get(party).map_or_else(|| "?".into(), |p| text(p));
    let across = if message.from < parties && message.to < parties && message.from != message.to {
        let (from, to, middle) = (at(message.from), at(message.to), ROW / 2);
        let back = if to > from { -6 } else { 6 };
        format!(
            "<path class=\"arrow\" d=\"M{from} {middle}H{to}m{back}-4L{to} {middle}l{back} 4\"/>\
             <circle cx=\"{from}\" cy=\"{middle}\" r=\"2.5\"/>"
        )
    } else {
        String::new()
    };
    format!(
        "<svg width=\"{width}\" height=\"{ROW}\" viewBox=\"0 0 {width} {ROW}\" role=\"img\" \
         aria-label=\"{} to {}\">{across}</svg>",
        words(message.from),
        words(message.to),
        width = parties * LANE
    )
}

fn numbers(octets: &Octets) -> String {
    let cell = |class: &str, number: u32| {
        // A nought says less than a gap.
        let number = if number == 0 { String::new() } else { number.to_string() };
        format!("<td class=\"{class}\">{number}</td>")
    };
    let layers: String = LAYERS.iter().map(|(_, _, layer)| cell("n", layer(octets))).collect();
    layers + &cell("n sum", octets.total()) + &cell("n", octets.relay)
}

fn sums(join: &Join) -> String {
    let mut sum = Octets::default();
    for Message { octets, .. } in &join.messages {
        sum.ieee802154 += octets.ieee802154;
        sum.sixlowpan += octets.sixlowpan;
        sum.udp += octets.udp;
        sum.relay += octets.relay;
        sum.dtls += octets.dtls;
        sum.payload += octets.payload;
    }
    let frames: u32 = join.messages.iter().map(|message| message.frames).sum();
    let count = join.messages.len();
    format!(
        "<tr><td></td><td></td><td></td><th scope=\"row\">{count} messages</th><td></td>\
         <td class=\"n\">{frames}</td><td></td>{}</tr>",
        numbers(&sum)
    )
}
