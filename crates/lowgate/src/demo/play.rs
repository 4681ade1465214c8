//! What the demo does with the world, act by act, and what must come of it.

use super::figures::{Figures, GroupCommand, JoinMs, Revoked, percentile};
use super::options::{Options, Site};
use super::tell::Teller;
use lowgate_manager::{DeviceRecord, GroupId, Identity, Kind, ManagerEvent, Reply, Request, Store};
use lowgate_node::Event;
use lowgate_sim::building::{Building, Device};
use lowgate_sim::medium::StationId;
use lowgate_sim::world::{Happening, Intruder, Trick, What, World, WorldConfig};
use lowgate_store::SqliteStore;
use lowgate_units::{Duration, Eui64, Iid, Instant};
use std::io::{self, Write};
use std::path::Path;

/// Between switching on two devices: an installer on a ladder is slower.
const POWER_INTERVAL: Duration = Duration::from_secs(2);
/// After the last device has power, for all to be in.
const JOIN_PATIENCE: Duration = Duration::from_secs(120);
/// For an operator's request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(20);
/// For a command to reach a group.
const COMMAND_PATIENCE: Duration = Duration::from_secs(10);
/// How long stranger and replayer may try.
const INTRUSION: Duration = Duration::from_secs(45);
/// For every member to have the new keys; a large building may take [`REKEY_EACH`] for each device.
const REKEY_PATIENCE: Duration = Duration::from_secs(90);
/// See [`REKEY_PATIENCE`].
const REKEY_EACH: Duration = Duration::from_millis(1500);
/// How long a revoked device is watched with its old keys.
const WATCH: Duration = Duration::from_secs(20);
/// How long it may try to get in again.
const RETURN: Duration = Duration::from_secs(60);
/// The windows of a house are open for a day's work.
const WINDOW: Duration = Duration::from_secs(8 * 3600);

/// Something that had to happen, or not to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// As a sentence.
    pub what: String,
    /// Whether it is so.
    pub held: bool,
    /// What was seen.
    pub saw: String,
}

/// A command and when each member opened it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// To which group.
    pub group: GroupId,
    /// By whom.
    pub sender: StationId,
    /// When the switch was pressed.
    pub at: Instant,
    /// For each member but the sender.
    pub deliveries: Vec<(StationId, Option<Duration>)>,
}

/// Who tried what, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Who.
    pub who: String,
    /// Since when.
    pub at: Instant,
    /// What was tried.
    pub tried: String,
    /// What came of it.
    pub got: String,
    /// What stopped it.
    pub why: String,
    /// Figures.
    pub counts: Vec<(String, u64)>,
}

/// What a demo showed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What had to be.
    pub checks: Vec<Check>,
    /// Figures.
    pub figures: Figures,
    /// The group command.
    pub command: Option<Command>,
    /// Stranger, replayer, revoked device.
    pub attempts: Vec<Attempt>,
}

impl Outcome {
    fn check(&mut self, what: &str, held: bool, saw: String) {
        self.checks.push(Check { what: what.into(), held, saw });
    }
}

/// A demo in progress.
pub struct Play {
    world: World,
    site: Site,
    loss: f64,
    seed: u64,
    log: Vec<Happening>,
    teller: Teller,
    stranger: StationId,
    replayer: StationId,
    /// The database lives in it, and goes with it.
    _dir: tempfile::TempDir,
}

impl Play {
    /// Builds the world; nothing has power yet.
    ///
    /// # Errors
    /// When the database cannot be created.
    pub fn new(options: &Options, site: Site) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let store = SqliteStore::open(&dir.path().join("demo.db")).map_err(io::Error::other)?;
        Self::with_store(options, site, Box::new(store), dir)
    }

    fn with_store(
        options: &Options,
        site: Site,
        store: Box<dyn Store>,
        dir: tempfile::TempDir,
    ) -> io::Result<Self> {
        let mut config = WorldConfig::new(options.seed);
        config.medium.loss = options.loss;
        // The report shows a join as the air saw it.
        config.capture = true;
        config.key_log = options.keys.is_some();
        let stations = site.building.stations() as u32;
        let intruders = intruders(&site.building);
        let world = World::new(config, site.building.clone(), &site.inventory, intruders, store);
        Ok(Self {
            teller: Teller::new(&site),
            world,
            site,
            loss: options.loss,
            seed: options.seed,
            log: Vec::new(),
            stranger: StationId(stations),
            replayer: StationId(stations + 1),
            _dir: dir,
        })
    }

    /// The world.
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// The building and its inventory.
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// All that happened.
    pub fn log(&self) -> &[Happening] {
        &self.log
    }

    /// The stranger with a wrong key.
    pub const fn stranger(&self) -> StationId {
        self.stranger
    }

    /// The one who records and repeats.
    pub const fn replayer(&self) -> StationId {
        self.replayer
    }

    /// What was decided by chance.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// What people call a station.
    pub fn name(&self, station: StationId) -> String {
        self.teller.name(station)
    }

    /// The line of the inventory for a station.
    pub fn record(&self, station: StationId) -> Option<&DeviceRecord> {
        let eui64 = self.world.station(station).eui64();
        self.site.inventory.iter().find(|record| record.eui64 == eui64)
    }

    /// All acts.
    ///
    /// # Errors
    /// When `out` cannot be written.
    pub fn perform(&mut self, out: &mut dyn Write) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        self.found(out)?;
        self.commission(out, &mut outcome)?;
        self.read_one(out, &mut outcome)?;
        self.command_group(out, &mut outcome)?;
        self.intrude(out, &mut outcome)?;
        self.revoke(out, &mut outcome)?;
        self.conclude(out, &mut outcome)?;
        Ok(outcome)
    }

    fn run(&mut self, out: &mut dyn Write, duration: Duration) -> io::Result<()> {
        self.run_until(out, duration, |_| false).map(drop)
    }

    /// In steps, so that what happens is told while it happens.
    fn run_until(
        &mut self,
        out: &mut dyn Write,
        patience: Duration,
        done: impl Fn(&World) -> bool,
    ) -> io::Result<bool> {
        let deadline = self.world.now() + patience;
        loop {
            let step = (deadline - self.world.now()).min(Duration::from_millis(500));
            let reached = self.world.run_until(step, &done);
            self.absorb(out)?;
            if reached || self.world.now() >= deadline {
                return Ok(reached);
            }
        }
    }

    fn absorb(&mut self, out: &mut dyn Write) -> io::Result<()> {
        for happening in self.world.take_happenings() {
            self.teller.tell(&self.world, &happening, out)?;
            self.log.push(happening);
        }
        Ok(())
    }

    fn ask(&mut self, out: &mut dyn Write, request: Request) -> io::Result<Option<Reply>> {
        let reply = self.world.ask(request, REQUEST_PATIENCE);
        self.absorb(out)?;
        Ok(reply)
    }

    fn found(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let devices = self.site.building.devices.len();
        writeln!(out, "{}: {devices} devices, a border router.", self.site.building.name)?;
        writeln!(out, "An empty database; keys, PAN and prefix drawn by the manager.\n")?;
        for group in self.site.building.groups.clone() {
            let request = Request::CreateGroup { id: GroupId(group.id), name: group.name };
            self.ask(out, request)?;
        }
        let inventory = self.site.inventory.clone();
        self.ask(out, Request::Import(inventory))?;
        let until = self.world.now() + WINDOW;
        self.ask(out, Request::OpenWindow { until }).map(drop)
    }

    fn all_in(world: &World) -> bool {
        let joins = world.survey().joins();
        joins[1..].iter().all(|join| join.took().is_some() && join.member.is_some())
    }

    fn commission(&mut self, out: &mut dyn Write, outcome: &mut Outcome) -> io::Result<()> {
        self.teller.headline(out, "Commissioning")?;
        let stations: Vec<StationId> = self.world.honest().collect();
        for station in stations {
            self.world.power_on(station);
            self.run(out, POWER_INTERVAL)?;
        }
        self.run_until(out, JOIN_PATIENCE, Self::all_in)?;
        let joins = self.world.survey().joins()[1..].to_vec();
        let took: Vec<f64> = joins.iter().filter_map(|join| join.took()).map(millis).collect();
        let figures = &mut outcome.figures;
        figures.devices_total = joins.len();
        figures.devices_joined = took.len();
        figures.hops_max = joins.iter().filter_map(|join| join.hops).max().unwrap_or(0);
        figures.join_ms = JoinMs {
            p50: percentile(&took, 50),
            p95: percentile(&took, 95),
            max: percentile(&took, 100),
        };
        let joined = joins.iter().filter(|join| join.took().is_some());
        let octets: Vec<u64> = joined.clone().map(|join| join.octets).collect();
        let messages: Vec<u32> = joined.map(|join| join.messages).collect();
        figures.join_octets_per_hop_p50 = percentile(&octets, 50);
        figures.join_messages_p50 = percentile(&messages, 50);
        let saw = format!(
            "{} of {} joined, over up to {} hops; half of them within {:.1} s",
            took.len(),
            joins.len(),
            figures.hops_max,
            figures.join_ms.p50 / 1000.0,
        );
        self.teller.missing(&self.world, out)?;
        self.teller.tree(&self.world, out)?;
        outcome.check("Every device of the inventory joins", took.len() == joins.len(), saw);
        Ok(())
    }

    fn read_one(&mut self, out: &mut dyn Write, outcome: &mut Outcome) -> io::Result<()> {
        self.teller.headline(out, "One device, read by secured unicast")?;
        let Some(station) = self.farthest(Kind::Light) else {
            outcome.check("A light answers", false, "no light joined".into());
            return Ok(());
        };
        let eui64 = self.world.station(station).eui64();
        let reply = self.ask(out, Request::ReadResource { eui64, path: "light".into() })?;
        let (held, saw) = match reply {
            Some(Reply::Resource { code, payload, round_trip }) => {
                let value = String::from_utf8_lossy(&payload).into_owned();
                let (class, detail) = (code >> 5, code & 0x1f);
                let saw = format!(
                    "{} answers GET /light with {class}.{detail:02} \"{value}\" after {:.0} ms",
                    self.name(station),
                    millis(round_trip),
                );
                (class == 2, saw)
            }
            other => (false, format!("{} did not answer: {other:?}", self.name(station))),
        };
        writeln!(out, "  {saw}")?;
        outcome.check("A device answers the manager in its DTLS session", held, saw);
        Ok(())
    }

    /// The joined device of a kind with the most hops.
    fn farthest(&self, kind: Kind) -> Option<StationId> {
        let joins = self.world.survey().joins();
        let of_kind =
            |station: &StationId| self.record(*station).is_some_and(|record| record.kind == kind);
        self.world
            .honest()
            .filter(|station| joins[station.index()].took().is_some())
            .filter(of_kind)
            .max_by_key(|station| (joins[station.index()].hops, station.0))
    }

    /// The switch that commands the most listeners, and the group.
    fn commander(&self) -> Option<(StationId, GroupId)> {
        let senders = self.world.honest().filter_map(|station| {
            let record = self.record(station).filter(|record| record.kind == Kind::Switch)?;
            let groups = record.groups.iter().filter(|(_, role)| role.sends());
            groups
                .map(|(group, _)| (station, *group))
                .max_by_key(|(_, group)| self.listeners(*group).len())
        });
        senders.max_by_key(|(station, group)| (self.listeners(*group).len(), station.0))
    }

    fn listeners(&self, group: GroupId) -> Vec<StationId> {
        let listens = |station: &StationId| {
            let roles = self.record(*station).map(|record| &record.groups);
            roles.and_then(|roles| roles.get(&group)).is_some_and(|role| role.listens())
        };
        self.world.honest().filter(listens).collect()
    }

    fn command_group(&mut self, out: &mut dyn Write, outcome: &mut Outcome) -> io::Result<()> {
        self.teller.headline(out, "One command to a group")?;
        let Some((sender, group)) = self.commander() else {
            outcome.check("A command reaches a group", false, "no switch commands a group".into());
            return Ok(());
        };
        self.world.power_on(self.replayer);
        let command = self.command(out, sender, group, true)?;
        let latencies: Vec<f64> =
            command.deliveries.iter().filter_map(|(_, took)| took.map(millis)).collect();
        let figures = GroupCommand {
            members: command.deliveries.len(),
            delivered: latencies.len(),
            latency_ms_p50: percentile(&latencies, 50),
            latency_ms_p99: percentile(&latencies, 99),
        };
        let saw = format!(
            "{} of {} members obeyed, half of them within {:.0} ms, the last after {:.0} ms",
            figures.delivered, figures.members, figures.latency_ms_p50, figures.latency_ms_p99,
        );
        writeln!(out, "  {saw}")?;
        // A frame that the air swallows is nobody's fault; one in ten is.
        let enough = if self.loss == 0.0 { figures.members } else { figures.members * 9 / 10 };
        let held = figures.delivered >= enough && figures.members > 0;
        outcome.check("A secured multicast command reaches its group", held, saw);
        outcome.figures.group_command = figures;
        outcome.command = Some(command);
        Ok(())
    }

    /// Presses a switch and waits for everybody to hear of it.
    fn command(
        &mut self,
        out: &mut dyn Write,
        sender: StationId,
        group: GroupId,
        on: bool,
    ) -> io::Result<Command> {
        let at = self.world.now();
        let begin = self.log.len();
        self.world.press(sender, on);
        self.run(out, COMMAND_PATIENCE)?;
        let heard = |station: StationId| {
            self.log[begin..].iter().find_map(|happening| match &happening.what {
                What::Node(who, Event::GroupOpened { group: of, .. })
                    if *who == station && *of == group =>
                {
                    Some(happening.at - at)
                }
                _ => None,
            })
        };
        let members = self.listeners(group).into_iter().filter(|member| *member != sender);
        let deliveries = members.map(|member| (member, heard(member))).collect();
        Ok(Command { group, sender, at, deliveries })
    }

    fn intrude(&mut self, out: &mut dyn Write, outcome: &mut Outcome) -> io::Result<()> {
        self.teller
            .headline(out, "A stranger with a wrong key, and one who repeats what he heard")?;
        let at = self.world.now();
        let begin = self.log.len();
        let claimed_by_it = posed_as(&self.site.building);
        let own_iid = Iid::from(STRANGER).0;
        self.world.power_on(self.stranger);
        self.run(out, INTRUSION)?;
        let log = &self.log[begin..];
        let failed = count(log, |what| {
            matches!(what, What::Manager(ManagerEvent::HandshakeFailed { claimed: Some(claimed), .. })
                if *claimed == claimed_by_it)
        });
        let let_in = count(log, |what| match what {
            // The relay's header tells whose datagrams it passed on.
            What::Manager(ManagerEvent::Authenticated { peer, .. }) => {
                peer.relay_header.windows(own_iid.len()).any(|octets| octets == own_iid)
            }
            What::Node(who, Event::Join(lowgate_access::joiner::JoinerEvent::Member)) => {
                *who == self.stranger
            }
            _ => false,
        });
        let saw = format!("{failed} handshakes failed, {let_in} succeeded");
        writeln!(out, "  The stranger: {saw}.")?;
        outcome.check("A stranger with a wrong PSK gets nothing", let_in == 0 && failed > 0, saw);
        outcome.attempts.push(Attempt {
            who: "A stranger who poses as a device of the inventory".into(),
            at,
            tried: "DTLS handshakes through relays, with another pre-shared key".into(),
            got: "nothing: no key, no address".into(),
            why: "its Finished does not verify: decrypt_error".into(),
            counts: vec![("handshakes failed".into(), failed), ("admitted".into(), let_in)],
        });
        self.replayed(out, outcome, at)
    }

    fn replayed(
        &mut self,
        out: &mut dyn Write,
        outcome: &mut Outcome,
        at: Instant,
    ) -> io::Result<()> {
        let sent = self.world.station(self.replayer).intrusions().unwrap_or(0) as u64;
        let opened = self
            .world
            .findings()
            .iter()
            .filter(|finding| {
                matches!(finding.fault, lowgate_sim::check::Fault::ReplayOpened { .. })
            })
            .count() as u64;
        let saw = format!("{sent} recorded frames sent again, {opened} opened");
        writeln!(out, "  The replayer: {saw}.")?;
        outcome.check("Recorded frames sent again open nowhere", sent > 0 && opened == 0, saw);
        outcome.attempts.push(Attempt {
            who: "One who records frames and sends them again".into(),
            at,
            tried: "repeating frames of joins, routing, reads and group commands".into(),
            got: "nothing: no frame was opened a second time".into(),
            why: "frame counters move forward only".into(),
            counts: vec![("frames sent again".into(), sent), ("frames opened".into(), opened)],
        });
        self.world.power_off(self.replayer);
        self.world.power_off(self.stranger);
        Ok(())
    }

    /// A listener of the commanded group through which nobody else's way leads.
    fn expendable(&self, group: GroupId) -> Option<StationId> {
        let parents: Vec<Option<Eui64>> = self
            .world
            .honest()
            .map(|station| self.world.station(station).node().and_then(|node| node.net().parent()))
            .collect();
        let mut members = self.listeners(group);
        members.sort_by_key(|member| {
            let own = Some(self.world.station(*member).eui64());
            let children = parents.iter().filter(|parent| **parent == own).count();
            (children, std::cmp::Reverse(member.0))
        });
        members.first().copied()
    }

    fn revoke(&mut self, out: &mut dyn Write, outcome: &mut Outcome) -> io::Result<()> {
        self.teller.headline(out, "One device is revoked")?;
        let Some((sender, group)) = self.commander() else { return Ok(()) };
        let Some(victim) = self.expendable(group) else { return Ok(()) };
        let eui64 = self.world.station(victim).eui64();
        let at = self.world.now();
        let begin = self.log.len();
        let reply = self.ask(out, Request::Revoke { eui64 })?;
        if reply != Some(Reply::Done) {
            outcome.check("A device is revoked", false, format!("{reply:?}"));
            return Ok(());
        }
        let effective = |world: &World| {
            let effective_at =
                world.checkers().revocation().and_then(|revoked| revoked.effective_at);
            effective_at.is_some_and(|at| world.now() >= at)
        };
        let devices = self.site.building.devices.len() as u32;
        let patience = REKEY_PATIENCE.max(REKEY_EACH * devices);
        let took_effect = self.run_until(out, patience, effective)?;
        let took = self.world.now() - at;
        let progress = if took_effect {
            format!(
                "every other device had new keys {:.1} s after the decision",
                took.as_secs_f64()
            )
        } else {
            let missing = self.world.checkers().revocation().map_or(0, |r| r.waiting().len());
            format!("{missing} devices still use the old key")
        };
        writeln!(out, "  {progress}.")?;
        outcome.check("All others get new keys, and the old ones end", took_effect, progress);
        let command = self.command(out, sender, group, false)?;
        self.watch(out, outcome, &command, victim)?;
        self.world.forge_group_records();
        self.run(out, RETURN)?;
        self.judge_revoked(out, outcome, victim, (at, begin))
    }

    /// Another command and some time, all of which the revoked device hears.
    fn watch(
        &mut self,
        out: &mut dyn Write,
        outcome: &mut Outcome,
        command: &Command,
        victim: StationId,
    ) -> io::Result<()> {
        let others = command.deliveries.iter().filter(|(member, _)| *member != victim);
        let (heard, all) = others
            .fold((0, 0), |(heard, all), (_, took)| (heard + usize::from(took.is_some()), all + 1));
        let saw = format!("{heard} of {all} remaining members obeyed");
        writeln!(out, "  A command under the new keys: {saw}.")?;
        let enough = if self.loss == 0.0 { all } else { all * 9 / 10 };
        outcome.check("The group goes on without the revoked device", heard >= enough, saw);
        self.run(out, WATCH)
    }

    fn judge_revoked(
        &mut self,
        out: &mut dyn Write,
        outcome: &mut Outcome,
        victim: StationId,
        since: (Instant, usize),
    ) -> io::Result<()> {
        let Some(revocation) = self.world.checkers().revocation().cloned() else { return Ok(()) };
        let refused = count(&self.log[since.1..], |what| {
            matches!(what, What::Manager(ManagerEvent::NotAuthorized { eui64, .. })
                if *eui64 == revocation.eui64)
        });
        let figures = Revoked {
            eui64: revocation.eui64.to_string(),
            frames_heard_after: revocation.frames_heard_after,
            frames_opened_after: revocation.frames_opened_after,
            frames_accepted_after: revocation.frames_accepted_after,
            group_records_heard_after: revocation.group_records_heard_after,
            group_records_opened_after: revocation.group_records_opened_after,
            group_records_accepted_after: revocation.group_records_accepted_after,
        };
        let saw = format!(
            "{} frames heard, {} opened, {} of its own accepted; {} group records heard, {} opened, \
             {} forged, {} accepted; turned away {refused} times",
            figures.frames_heard_after,
            figures.frames_opened_after,
            figures.frames_accepted_after,
            figures.group_records_heard_after,
            figures.group_records_opened_after,
            revocation.group_records_forged,
            figures.group_records_accepted_after,
        );
        writeln!(out, "  {}: {saw}.", self.name(victim))?;
        let nothing = figures.frames_opened_after == 0
            && figures.frames_accepted_after == 0
            && figures.group_records_opened_after == 0
            && figures.group_records_accepted_after == 0;
        let tried = figures.frames_heard_after > 0 && revocation.group_records_forged > 0;
        outcome.check("A revoked device gets nothing", nothing && tried, saw.clone());
        outcome.attempts.push(Attempt {
            who: format!("{}, revoked", self.name(victim)),
            at: since.0,
            tried: "to listen, to send under its old keys, to forge group commands, to join again"
                .into(),
            got: "nothing: no frame, no group record, no way back".into(),
            why: "link key, group keys and session were replaced; the inventory says revoked"
                .into(),
            counts: vec![
                ("frames heard".into(), figures.frames_heard_after),
                ("frames opened".into(), figures.frames_opened_after),
                ("own frames accepted".into(), figures.frames_accepted_after),
                ("group records heard".into(), figures.group_records_heard_after),
                ("group records opened".into(), figures.group_records_opened_after),
                ("forged group records".into(), revocation.group_records_forged),
                ("forged group records accepted".into(), figures.group_records_accepted_after),
                ("turned away by the manager".into(), refused),
            ],
        });
        outcome.figures.revoked = figures;
        Ok(())
    }

    fn conclude(&mut self, out: &mut dyn Write, outcome: &mut Outcome) -> io::Result<()> {
        let findings = self.world.findings();
        let saw = match findings.first() {
            None => {
                "no nonce used twice, no forged or repeated frame opened, nobody in who was not \
                     admitted"
                    .to_owned()
            }
            Some(first) => format!("{} findings, the first: {first}", findings.len()),
        };
        outcome.check(
            "The checkers that watched every frame found nothing",
            findings.is_empty(),
            saw,
        );
        outcome.figures.frames_total = self.world.survey().frames();
        outcome.figures.virtual_s = self.world.now().as_secs_f64();
        outcome.figures.seed = self.seed;
        self.teller.headline(out, "What was to be shown")?;
        for check in &outcome.checks {
            let mark = if check.held { "ok  " } else { "FAIL" };
            writeln!(out, "  {mark} {}: {}", check.what, check.saw)?;
        }
        Ok(())
    }

    /// Writes the keys for readers of captures.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write_keys(
        &self,
        dir: &Path,
        capture: Option<&Path>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        super::keys::write(&self.world, dir, capture, out)
    }
}

fn count(log: &[Happening], matches: impl Fn(&What) -> bool) -> u64 {
    log.iter().filter(|happening| matches(&happening.what)).count() as u64
}

/// For people.
pub(super) fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// A stranger beside the first device, which poses as the last one, and a replayer in the middle.
fn intruders(building: &Building) -> Vec<Intruder> {
    let beside = |device: &Device, eui64: Eui64| Device { eui64, x: device.x + 0.5, ..*device };
    let first = building.devices.first().unwrap_or(&building.border_routers[0]);
    let middle = building.devices.get(building.devices.len() / 2).unwrap_or(first);
    let psk = lowgate_dtls::Psk::new(b"not the key of the inventory").expect("1 to 64 octets");
    let identity = posed_as(building);
    vec![
        Intruder::Stranger { place: beside(first, STRANGER), identity, psk },
        Intruder::Eavesdropper { place: beside(middle, REPLAYER), trick: Trick::Repeat },
    ]
}

/// Whom the stranger claims to be: the last device of the building.
fn posed_as(building: &Building) -> Identity {
    building.devices.last().unwrap_or(&building.border_routers[0]).eui64.into()
}

const STRANGER: Eui64 = Eui64([0x02, 0xba, 0xd0, 0, 0, 0, 0, 1]);
const REPLAYER: Eui64 = Eui64([0x02, 0xba, 0xd0, 0, 0, 0, 0, 2]);
