//! The floors with rooms, devices, links and parents, the list of devices, and the time slider.

use super::{Change, Device, Floor, Kind, Report, Room, State, name, seconds, text};

/// Every state with its word for people, in the order of a join.
pub(super) const STATES: [(State, &str); 7] = [
    (State::Off, "off"),
    (State::Scanning, "scanning"),
    (State::Handshake, "handshake"),
    (State::Admitted, "admitted"),
    (State::Registered, "registered"),
    (State::Revoked, "revoked"),
    (State::Refused, "refused"),
];

const KINDS: [(Kind, &str); 5] = [
    (Kind::BorderRouter, "border router"),
    (Kind::Light, "light"),
    (Kind::Switch, "switch"),
    (Kind::Sensor, "sensor"),
    (Kind::Intruder, "intruder"),
];

/// The page's units across the widest floor, and down the deepest.
const PLAN_WIDTH: f64 = 640.0;

/// A building this many times as wide as deep takes the whole width of the page.
const LONG: f64 = 3.0;

/// The page's units across the widest floor of such a building.
const PLAN_WIDTH_LONG: f64 = 1120.0;

/// Units around a floor.
const MARGIN: f64 = 18.0;

/// Marks on a floor up to which each one carries a label.
const LABELS_MAX: usize = 48;

/// From metres to the page's units; one scale for all floors, so that they lie above each other.
pub(super) struct Scale {
    west_m: f64,
    south_m: f64,
    width_m: f64,
    depth_m: f64,
    per_metre: f64,
    long: bool,
}

impl Scale {
    pub(super) fn of(report: &Report) -> Self {
        let rooms = report.floors.iter().flat_map(|floor| &floor.rooms);
        let corners = rooms.flat_map(|room| {
            [(room.x_m, room.y_m), (room.x_m + room.width_m, room.y_m + room.depth_m)]
        });
        let devices = report.devices.iter().map(|device| (device.x_m, device.y_m));
        let (mut low, mut high) = ((f64::MAX, f64::MAX), (f64::MIN, f64::MIN));
        for (x, y) in corners.chain(devices).filter(|(x, y)| x.is_finite() && y.is_finite()) {
            low = (low.0.min(x), low.1.min(y));
            high = (high.0.max(x), high.1.max(y));
        }
        if low.0 > high.0 {
            (low, high) = ((0.0, 0.0), (1.0, 1.0));
        }
        let (width_m, depth_m) = ((high.0 - low.0).max(1.0), (high.1 - low.1).max(1.0));
        let long = width_m / depth_m >= LONG;
        let width = if long { PLAN_WIDTH_LONG } else { PLAN_WIDTH };
        // A deep building must not become a page-long one.
        let per_metre = (width / width_m).min(PLAN_WIDTH / depth_m);
        Self { west_m: low.0, south_m: low.1, width_m, depth_m, per_metre, long }
    }

    /// Floor, x, y.
    pub(super) fn place(&self, device: &Device) -> (usize, f64, f64) {
        (device.floor, self.x(device.x_m), self.y(device.y_m))
    }

    fn x(&self, metres: f64) -> f64 {
        tenths(MARGIN + (metres - self.west_m) * self.per_metre)
    }

    fn y(&self, metres: f64) -> f64 {
        tenths(MARGIN + (self.south_m + self.depth_m - metres) * self.per_metre)
    }

    fn length(&self, metres: f64) -> f64 {
        tenths(metres * self.per_metre)
    }

    fn view_box(&self) -> String {
        let width = self.length(self.width_m) + 2.0 * MARGIN;
        let height = self.length(self.depth_m) + 2.0 * MARGIN;
        format!("0 0 {width:.0} {height:.0}")
    }
}

fn tenths(length: f64) -> f64 {
    if length.is_finite() { (length * 10.0).round() / 10.0 } else { 0.0 }
}

/// The end of a line to a parent on another floor.
const ELSEWHERE: &str = "<svg class=\"defs\" width=\"0\" height=\"0\" aria-hidden=\"true\"><marker id=\"elsewhere\" \
    viewBox=\"-4 -4 8 8\" markerWidth=\"7\" markerHeight=\"7\" markerUnits=\"userSpaceOnUse\">\
    <circle r=\"3\"/></marker></svg>\n";

/// How everything stands at the end of the run.
struct Final {
    states: Vec<State>,
    parents: Vec<Option<usize>>,
    /// From power to membership.
    joined_us: Vec<Option<u64>>,
}

impl Final {
    fn of(report: &Report) -> Self {
        let devices = report.devices.len();
        let mut end = Self {
            states: vec![State::Off; devices],
            parents: vec![None; devices],
            joined_us: vec![None; devices],
        };
        let mut powered_us = vec![None; devices];
        for event in report.events.iter().filter(|event| event.device < devices) {
            match event.change {
                Change::State(state) => {
                    end.states[event.device] = state;
                    if state != State::Off {
                        let from = *powered_us[event.device].get_or_insert(event.at_us);
                        if state == State::Registered {
                            let took = event.at_us.saturating_sub(from);
                            end.joined_us[event.device].get_or_insert(took);
                        }
                    }
                }
                Change::Parent(parent) => {
                    end.parents[event.device] = parent.filter(|parent| *parent < devices);
                }
                Change::Note => {}
            }
        }
        end
    }
}

pub(super) fn section(report: &Report) -> String {
    let end = Final::of(report);
    let scale = Scale::of(report);
    // The top floor is the top of the page.
    let floors: String = report
        .floors
        .iter()
        .enumerate()
        .rev()
        .map(|(index, floor)| storey(report, &scale, &end, index, floor))
        .collect();
    format!(
        "<section aria-labelledby=\"plan-title\">\n<h2 id=\"plan-title\">The building</h2>\n\
         {ELSEWHERE}{}\
         <div class=\"plan{}\">\n<div class=\"floors\">\n{floors}{}</div>\n{}</div>\n</section>\n",
        player(report),
        if scale.long { " long" } else { "" },
        legend(),
        list(report, &end)
    )
}

fn player(report: &Report) -> String {
    let end = report.end_us;
    let at = |us: u64| us as f64 / end.max(1) as f64 * 100.0;
    let ticks: String = report
        .events
        .iter()
        .filter_map(|event| match event.change {
            Change::State(state @ (State::Registered | State::Revoked | State::Refused)) => {
                let left = at(event.at_us);
                Some(format!("<i data-state=\"{}\" style=\"left:{left:.2}%\"></i>", word(state)))
            }
            Change::State(_) | Change::Parent(_) | Change::Note => None,
        })
        .collect();
    format!(
        "<div class=\"player\" id=\"player\">\n\
         <button type=\"button\" id=\"play\" aria-pressed=\"false\">▶ Play</button>\n\
         <div class=\"track\"><div class=\"ticks\" aria-hidden=\"true\">{ticks}</div>\n\
         <input type=\"range\" id=\"time\" min=\"0\" max=\"{end}\" step=\"any\" value=\"{end}\" \
         aria-label=\"Virtual time\"></div>\n\
         <output id=\"clock\" for=\"time\">{}</output>\n\
         <label>Speed <select id=\"speed\"><option value=\"1\">1×</option>\
         <option value=\"5\" selected>5×</option><option value=\"20\">20×</option></select></label>\n\
         <label><input type=\"checkbox\" id=\"radio\"> Radio links</label>\n</div>\n\
         <ol class=\"log\" id=\"log\" aria-label=\"What just happened\"></ol>\n",
        seconds(end)
    )
}

fn storey(report: &Report, scale: &Scale, end: &Final, index: usize, floor: &Floor) -> String {
    let rooms: String = floor.rooms.iter().map(|room| self::room(scale, room)).collect();
    let here = |device: usize| report.devices.get(device).filter(|d| d.floor == index);
    let links: String = report
        .links
        .iter()
        .filter_map(|link| Some((here(link.a)?, here(link.b)?, link.rssi_dbm)))
        .map(|(a, b, rssi)| {
            let ((_, x1, y1), (_, x2, y2)) = (scale.place(a), scale.place(b));
            format!(
                "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"><title>{} – {}: {rssi} dBm\
                 </title></line>",
                text(&a.name),
                text(&b.name)
            )
        })
        .collect();
    let devices: Vec<usize> = (0..report.devices.len()).filter(|d| here(*d).is_some()).collect();
    let parents: String = devices.iter().map(|d| parent_line(report, scale, end, *d)).collect();
    let labels = devices.len() <= LABELS_MAX;
    let crowded = if labels { "" } else { " class=\"crowded\"" };
    let marks: String = devices.iter().map(|d| mark(report, scale, end, *d, labels)).collect();
    format!(
        "<figure>\n<figcaption>{name}</figcaption>\n<div class=\"scroll\" tabindex=\"0\" \
         role=\"group\" aria-label=\"Plan of {name}\">\n\
         <svg viewBox=\"{}\" role=\"img\" aria-label=\"{name}: {} devices\">\n{rooms}\n\
         <g class=\"links\">{links}</g>\n<g class=\"parents\">{parents}</g>\n<g{crowded}>{marks}</g>\n\
         </svg>\n</div>\n</figure>\n",
        scale.view_box(),
        devices.len(),
        name = text(&floor.name),
    )
}

fn room(scale: &Scale, room: &Room) -> String {
    let (x, y) = (scale.x(room.x_m), scale.y(room.y_m + room.depth_m));
    let (width, depth) = (scale.length(room.width_m), scale.length(room.depth_m));
    // About six units a character at this size; what does not fit is in the tooltip.
    let fits = ((width - 8.0) / 5.6).max(0.0) as usize;
    let mut label: String = room.name.chars().take(fits).collect();
    if label.len() < room.name.len() {
        label.pop();
        label.push('…');
    }
    let label_shown = if fits < 3 { String::new() } else { text(&label) };
    format!(
        "<g class=\"room\"><title>{}</title><rect x=\"{x}\" y=\"{y}\" width=\"{width}\" \
         height=\"{depth}\"/><text x=\"{:.1}\" y=\"{:.1}\">{label_shown}</text></g>\n",
        text(&room.name),
        x + 5.0,
        y + 13.0
    )
}

fn parent_line(report: &Report, scale: &Scale, end: &Final, device: usize) -> String {
    let (floor, x1, y1) = scale.place(&report.devices[device]);
    let parent = end.parents[device].map(|parent| scale.place(&report.devices[parent]));
    let (other, x2, y2) = parent.unwrap_or((floor, x1, y1));
    let away = if other == floor { "" } else { " class=\"away\"" };
    let hidden = if parent.is_some() { "" } else { " visibility=\"hidden\"" };
    format!(
        "<line id=\"parent{device}\"{away}{hidden} x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" \
         y2=\"{y2}\"/>"
    )
}

fn mark(report: &Report, scale: &Scale, end: &Final, device: usize, label: bool) -> String {
    let Device { name, eui64, kind, room, .. } = &report.devices[device];
    let (_, x, y) = scale.place(&report.devices[device]);
    let tail: String = eui64.chars().filter(char::is_ascii_hexdigit).collect();
    let tail = if label { tail.get(tail.len().saturating_sub(4)..).unwrap_or("") } else { "" };
    format!(
        "<g class=\"mark\" id=\"mark{device}\" data-device=\"{device}\" data-state=\"{}\" \
         transform=\"translate({x} {y})\"><title>{}, {}, {}, {}</title>{}\
         <text y=\"17\">{}</text></g>\n",
        word(end.states[device]),
        text(name),
        kind_word(*kind),
        text(room),
        text(eui64),
        shape(*kind),
        text(tail),
    )
}

/// The mark of a kind, around the origin; the cross shows only where somebody was shut out.
fn shape(kind: Kind) -> String {
    let body = match kind {
        Kind::BorderRouter => {
            "<rect class=\"body\" x=\"-8\" y=\"-8\" width=\"16\" height=\"16\" rx=\"3\"/>"
        }
        Kind::Light => "<circle class=\"body\" r=\"6.5\"/>",
        Kind::Switch => "<path class=\"body\" d=\"M0-8 8 0 0 8-8 0z\"/>",
        Kind::Sensor => "<path class=\"body\" d=\"M0-8 7.5 5.5H-7.5z\"/>",
        Kind::Intruder => "<path class=\"body\" d=\"M0 8 7.5-5.5H-7.5z\"/>",
    };
    format!(
        "<circle class=\"halo\" r=\"11\"/>{body}<path class=\"cross\" d=\"M-8-8 8 8M8-8-8 8\"/>"
    )
}

fn legend() -> String {
    let symbol = |inner: String| {
        format!("<svg viewBox=\"-12 -12 24 24\" aria-hidden=\"true\">{inner}</svg>")
    };
    let states: String = STATES
        .iter()
        .map(|(state, said)| {
            let mark = symbol(format!(
                "<g class=\"mark\" data-state=\"{}\">{}</g>",
                word(*state),
                shape(Kind::Light)
            ));
            format!("<li>{mark}{said}</li>")
        })
        .collect();
    let kinds: String = KINDS
        .iter()
        .map(|(kind, said)| {
            let mark =
                symbol(format!("<g class=\"mark\" data-state=\"plain\">{}</g>", shape(*kind)));
            format!("<li>{mark}{said}</li>")
        })
        .collect();
    let line = |class: &str| {
        symbol(format!(
            "<g class=\"parents\"><line{class} x1=\"-11\" y1=\"0\" x2=\"9\" y2=\"0\"/></g>"
        ))
    };
    format!(
        "<ul class=\"legend\" aria-label=\"Legend\">{states}<li class=\"gap\"></li>{kinds}\
         <li class=\"gap\"></li><li>{}parent</li><li>{}parent on another floor</li></ul>\n",
        line(""),
        line(" class=\"away\"")
    )
}

fn list(report: &Report, end: &Final) -> String {
    let rows: String = (0..report.devices.len()).map(|device| row(report, end, device)).collect();
    format!(
        "<div class=\"devices scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Devices\">\n\
         <p id=\"path\" class=\"path\">Choose a device to see its way to the border router.</p>\n\
         <table>\n<thead><tr><th scope=\"col\">Device</th><th scope=\"col\">State</th>\
         <th scope=\"col\">Relay</th><th scope=\"col\" class=\"n\">Hops</th>\
         <th scope=\"col\" class=\"n\">Joined in</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

fn row(report: &Report, end: &Final, index: usize) -> String {
    let device = &report.devices[index];
    let state = end.states[index];
    let said = STATES.iter().find(|(s, _)| *s == state).map_or("", |(_, said)| said);
    format!(
        "<tr id=\"row{index}\"><th scope=\"row\"><button type=\"button\" data-device=\"{index}\" \
         aria-pressed=\"false\">{}</button><small>{}</small></th>\
         <td><span class=\"state\" data-state=\"{}\">{said}</span></td><td>{}</td>\
         <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        text(&device.name),
        text(&device.room),
        word(state),
        device.relay.map_or_else(|| "–".into(), |relay| name(report, relay)),
        device.hops.map_or_else(|| "–".into(), |hops| hops.to_string()),
        end.joined_us[index].map_or_else(|| "–".into(), seconds),
    )
}

/// As [`State`] is written in the data: the style sheet and the script know it by this.
const fn word(state: State) -> &'static str {
    match state {
        State::Off => "off",
        State::Scanning => "scanning",
        State::Handshake => "handshake",
        State::Admitted => "admitted",
        State::Registered => "registered",
        State::Revoked => "revoked",
        State::Refused => "refused",
    }
}

fn kind_word(kind: Kind) -> &'static str {
    KINDS.iter().find(|(k, _)| *k == kind).map_or("", |(_, said)| said)
}
