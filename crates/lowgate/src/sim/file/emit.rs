//! A scenario as TOML.

use super::time;
use super::who::BORDER_ROUTER;
use lowgate_manager::DeviceRecord;
use lowgate_sim::medium::StationId;
use lowgate_sim::scenario::{Deed, Disaster, Expectation, Scenario, Timed, Trouble};
use lowgate_sim::world::{Intruder, Lie, Towards, Trick};
use lowgate_units::{Eui64, Instant};

/// The text of a file that [`super::parse`] reads back: everything is within, keys too. One line for each
/// thing that happens.
///
/// # Panics
/// When [`Scenario::check`] finds something.
#[must_use]
pub fn emit(scenario: &Scenario) -> String {
    let writer = Writer { scenario };
    let list = |name: &str, items: Vec<String>| match items.is_empty() {
        true => String::new(),
        false => format!("\n{name} = [\n    {},\n]\n", items.join(",\n    ")),
    };
    let medium = &scenario.medium;
    let mut text = format!(
        "name = {}\nduration = {}\n",
        quoted(&scenario.name),
        quoted(&time::emit(scenario.duration))
    );
    text += &list("intruder", scenario.intruders.iter().map(|it| writer.intruder(it)).collect());
    text += &list("deed", scenario.deeds.iter().map(|it| writer.deed(it)).collect());
    text += &list("disaster", scenario.disasters.iter().map(|it| writer.disaster(it)).collect());
    let expectations = scenario.expectations.iter().map(|it| table(writer.expectation(it)));
    text += &list("expect", expectations.collect());
    text += &format!(
        "\n[radio]\nnoise_dbm = {:?}\nsensitivity_dbm = {:?}\ncca_threshold_dbm = {:?}\nloss = {:?}\n\n",
        medium.noise_dbm, medium.sensitivity_dbm, medium.cca_threshold_dbm, medium.loss
    );
    text += &scenario.building.emit_within("building");
    for record in &scenario.inventory {
        text += &format!("\n[[building.inventory]]\n{}\n", fields(self::record(record), "\n"));
    }
    text
}

/// A field and its value in TOML.
type Field = (&'static str, String);

struct Writer<'s> {
    scenario: &'s Scenario,
}

impl Writer<'_> {
    fn who(&self, station: StationId) -> String {
        if station == StationId(0) {
            return quoted(BORDER_ROUTER);
        }
        let eui64 = super::eui64(self.scenario, station);
        quoted(&eui64.expect("a station of the scenario").to_string())
    }

    fn intruder(&self, intruder: &Intruder) -> String {
        let place = intruder.place();
        let mut all = vec![
            ("eui64", quoted(&place.eui64.to_string())),
            ("floor", place.level.to_string()),
            ("x", format!("{:?}", place.x)),
            ("y", format!("{:?}", place.y)),
        ];
        match intruder {
            Intruder::Stranger { identity, psk, .. } => {
                all.push(("trick", quoted("pose")));
                all.push(("as", quoted(&hex(identity.octets()))));
                all.push(("psk", quoted(&hex(psk.expose()))));
            }
            Intruder::Sniffer { .. } => all.push(("trick", quoted("listen"))),
            Intruder::Eavesdropper { trick, .. } => all.extend(self.trick(trick)),
            Intruder::Insider { captured, lie, .. } => {
                all.extend(self.trick(&Trick::Tell(*lie)));
                all.push(("captured", quoted(&captured.to_string())));
            }
        }
        table(all)
    }

    fn trick(&self, trick: &Trick) -> Vec<(&'static str, String)> {
        let name = |key, eui64: &Eui64| vec![(key, quoted(&eui64.to_string()))];
        let (word, more) = match trick {
            Trick::Repeat => ("repeat", vec![]),
            Trick::Forge => ("forge", vec![]),
            Trick::Inject => ("inject", vec![]),
            Trick::Flood(relay) => ("flood", name("relay", relay)),
            Trick::Beacon => ("beacon", vec![]),
            Trick::Jam(percent) => ("jam", vec![("percent", percent.to_string())]),
            Trick::Tunnel(other) => ("tunnel", name("to", other)),
            Trick::Tamper(other) => ("tamper", name("to", other)),
            Trick::Tell(lie) => {
                let about = lie.about().map(|about| name("about", &about)).unwrap_or_default();
                ("tell", [vec![("lie", quoted(lie_word(*lie)))], about].concat())
            }
        };
        [vec![("trick", quoted(word))], more].concat()
    }

    fn deed(&self, deed: &Timed<Deed>) -> String {
        let who = |station: &StationId| ("who", self.who(*station));
        let (what, more) = match &deed.what {
            Deed::Install(station) => ("install", vec![who(station)]),
            Deed::OpenWindow(lasts) => {
                ("open window", vec![("lasts", quoted(&time::emit(*lasts)))])
            }
            Deed::Press { switch, on } => ("press", vec![who(switch), ("on", on.to_string())]),
            Deed::Command { group, on } => {
                ("command", vec![("group", group.0.to_string()), ("on", on.to_string())])
            }
            Deed::Read(station) => ("read", vec![who(station)]),
            Deed::Ping(station) => ("ping", vec![who(station)]),
            Deed::Revoke(station) => ("revoke", vec![who(station)]),
            Deed::RekeyNetwork => ("rekey network", vec![]),
            Deed::RekeyGroup(group) => ("rekey group", vec![("group", group.0.to_string())]),
        };
        table([vec![("at", moment(deed.at)), ("what", quoted(what))], more].concat())
    }

    fn disaster(&self, disaster: &Disaster) -> String {
        let who = |station: &StationId| ("who", self.who(*station));
        let (what, more) = match &disaster.what {
            Trouble::NoPower(station) => ("no power", vec![who(station)]),
            Trouble::NoManager => ("no manager", vec![]),
            Trouble::StoreBroken => ("store broken", vec![]),
            Trouble::StoreSlow(delay) => {
                ("store slow", vec![("delay", quoted(&time::emit(*delay)))])
            }
            Trouble::Loss(loss) => ("loss", vec![("loss", format!("{loss:?}"))]),
            Trouble::PathLoss { from, to, loss } => {
                let (from, to) = (("from", self.who(*from)), ("to", self.who(*to)));
                ("path loss", vec![from, to, ("loss", format!("{loss:?}"))])
            }
            Trouble::Backbone(towards, backbone) => {
                let towards = match towards {
                    Towards::Router => "router",
                    Towards::Manager => "manager",
                };
                let more = vec![
                    ("towards", quoted(towards)),
                    ("loss", format!("{:?}", backbone.loss)),
                    ("duplication", format!("{:?}", backbone.duplication)),
                    ("jitter", quoted(&time::emit(backbone.jitter))),
                ];
                ("backbone", more)
            }
            Trouble::Drift(station, ppm) => ("drift", vec![who(station), ("ppm", ppm.to_string())]),
            Trouble::Jump(station) => ("jump", vec![who(station)]),
            Trouble::WornFlash(station, writes) => {
                ("worn flash", vec![who(station), ("writes", writes.to_string())])
            }
            Trouble::Intruder(station) => ("intruder", vec![who(station)]),
        };
        let lasts = quoted(&time::emit(disaster.lasts));
        let head = vec![("at", moment(disaster.at)), ("lasts", lasts), ("what", quoted(what))];
        table([head, more].concat())
    }

    fn expectation(&self, expectation: &Expectation) -> Vec<Field> {
        let due = |value| (due_field(expectation), value);
        let (what, mut more) = match expectation {
            Expectation::AllIn { by } => ("all in", vec![due(moment(*by))]),
            Expectation::In { station, at } => {
                ("in", vec![("who", self.who(*station)), due(moment(*at))])
            }
            Expectation::Out { station, at } => {
                ("out", vec![("who", self.who(*station)), due(moment(*at))])
            }
            Expectation::Commands { share } => ("commands", vec![due(format!("{share:?}"))]),
            Expectation::Pings { share } => ("pings", vec![due(format!("{share:?}"))]),
            Expectation::Reads { share } => ("reads", vec![due(format!("{share:?}"))]),
            Expectation::Converged { within } => {
                ("converged", vec![due(quoted(&time::emit(*within)))])
            }
        };
        more.insert(0, ("what", quoted(what)));
        more
    }
}

/// How an expectation reads in a sentence: `all in by 60s`.
pub(in crate::sim) fn in_words(scenario: &Scenario, expectation: &Expectation) -> String {
    let fields = Writer { scenario }.expectation(expectation);
    let words = fields.iter().map(|(name, value)| match *name {
        "what" => value.replace('"', ""),
        "who" => format!("({})", value.replace('"', "")),
        name => format!("{name} {}", value.replace('"', "")),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The field that says when an expectation is due, or how much of it.
pub(super) const fn due_field(expectation: &Expectation) -> &'static str {
    match expectation {
        Expectation::AllIn { .. } => "by",
        Expectation::In { .. } | Expectation::Out { .. } => "at",
        Expectation::Commands { .. } | Expectation::Pings { .. } | Expectation::Reads { .. } => {
            "share"
        }
        Expectation::Converged { .. } => "within",
    }
}

fn record(record: &DeviceRecord) -> Vec<Field> {
    let groups = record.groups.iter().map(|(group, role)| format!("{}:{}", group.0, role.word()));
    let groups = groups.collect::<Vec<_>>().join(";");
    vec![
        ("eui64", quoted(&record.eui64.to_string())),
        ("psk", quoted(&hex(record.psk.expose()))),
        ("kind", quoted(record.kind.word())),
        ("name", quoted(&record.name)),
        ("room", quoted(&record.room)),
        ("groups", quoted(&groups)),
        ("identity", quoted(&hex(record.identity.octets()))),
    ]
}

const fn lie_word(lie: Lie) -> &'static str {
    match lie {
        Lie::Rank => "rank",
        Lie::Crowd => "crowd",
        Lie::Version => "version",
        Lie::Route(_) => "route",
        Lie::Address(_) => "address",
        Lie::Removal(_) => "removal",
        Lie::Fragments(_) => "fragments",
        Lie::Records(_) => "records",
        Lie::Command(_) => "command",
        Lie::Counter(_) => "counter",
    }
}

fn moment(at: Instant) -> String {
    quoted(&time::emit(at.since(Instant::ZERO)))
}

fn table(all: Vec<Field>) -> String {
    format!("{{ {} }}", fields(all, ", "))
}

fn fields(all: Vec<Field>, between: &str) -> String {
    let lines = all.iter().map(|(name, value)| format!("{name} = {value}"));
    lines.collect::<Vec<_>>().join(between)
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
