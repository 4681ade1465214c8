//! The mesh as the border router sees it: who sends through whom, whom it hears itself, and the ways down.

use lowgate_net::{NeighbourView, RouteView, Stack};
use lowgate_router::Router;
use lowgate_units::{Eui64, Iid, Instant, LinkAddr, ShortAddr};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Link metrics count transmissions in this unit.
const ETX_ONE: f64 = 128.0;

/// What is wanted of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Tree,
    Neighbours,
    Routes,
}

/// The answer.
pub(super) fn shown(now: Instant, view: View, router: &Router) -> Value {
    let (names, net) = (Names::new(router), router.node().net());
    match view {
        View::Tree => tree(&names, net),
        View::Neighbours => neighbours(now, net),
        View::Routes => routes(now, &names, net),
    }
}

/// Who has which short address.
struct Names(BTreeMap<ShortAddr, Eui64>);

impl Names {
    fn new(router: &Router) -> Self {
        let node = router.node();
        let own = node.net().global_addr().and_then(|addr| Iid::of(addr).link_addr());
        let members = router.members().iter().map(|(eui64, short)| (*short, *eui64));
        let mut names: BTreeMap<_, _> = members.collect();
        if let Some(LinkAddr::Short(own)) = own {
            names.insert(own, node.eui64());
        }
        Self(names)
    }

    fn of(&self, short: ShortAddr) -> Option<String> {
        self.0.get(&short).map(ToString::to_string)
    }
}

/// Parents, and with them the ways down.
struct Parents {
    of: BTreeMap<ShortAddr, ShortAddr>,
    root: Option<LinkAddr>,
}

impl Parents {
    fn new(net: &Stack) -> Self {
        let of = net.routes().map(|route| (route.device, route.parent)).collect();
        Self { of, root: net.global_addr().and_then(|addr| Iid::of(addr).link_addr()) }
    }

    /// From the first hop to the device itself. `None` where parents go in a circle or end too early, both of
    /// which pass.
    fn way(&self, device: ShortAddr) -> Option<Vec<ShortAddr>> {
        let (mut way, mut at) = (Vec::new(), device);
        while self.root != Some(LinkAddr::Short(at)) {
            if way.len() == self.of.len() {
                return None;
            }
            way.push(at);
            at = *self.of.get(&at)?;
        }
        way.reverse();
        Some(way)
    }
}

/// Every device with a way, with its parent and its hops.
fn tree(names: &Names, net: &Stack) -> Value {
    let parents = Parents::new(net);
    let shown = |(device, parent): (&ShortAddr, &ShortAddr)| {
        let hops = parents.way(*device).map(|way| way.len());
        json!({ "eui64": names.of(*device), "parent": names.of(*parent), "hops": hops })
    };
    parents.of.iter().map(shown).collect()
}

/// Who is heard without anybody between, the loudest first.
fn neighbours(now: Instant, net: &Stack) -> Value {
    let mut neighbours: Vec<_> = net.neighbours().collect();
    neighbours.sort_by_key(|neighbour| (-i16::from(neighbour.rssi.0), neighbour.eui64));
    let shown = |neighbour: NeighbourView| {
        json!({
            "eui64": neighbour.eui64.to_string(),
            "short": neighbour.short.map(hex),
            "rssi_dbm": neighbour.rssi.0,
            "etx": etx(neighbour.etx),
            "rank": neighbour.rank.map(etx),
            "heard_s_ago": now.since(neighbour.heard_at).as_secs(),
        })
    };
    neighbours.into_iter().map(shown).collect()
}

/// How packets are sent down: a source route each, the nearest first.
fn routes(now: Instant, names: &Names, net: &Stack) -> Value {
    let parents = Parents::new(net);
    let costs: BTreeMap<ShortAddr, u16> =
        net.neighbours().filter_map(|neighbour| Some((neighbour.short?, neighbour.etx))).collect();
    let mut routes: Vec<_> = net.routes().map(|route| (parents.way(route.device), route)).collect();
    routes.sort_by_key(|(way, route)| (way.as_ref().map_or(usize::MAX, Vec::len), route.device));
    let shown = |(way, route): (Option<Vec<ShortAddr>>, RouteView)| {
        let addr = net.prefix().map(|prefix| Iid::from(route.device).under(prefix).to_string());
        let first = way.as_ref().and_then(|way| costs.get(way.first()?));
        let between = way.as_ref().and_then(|way| way.split_last()).map(|(_, between)| between);
        let ends = route.until != Instant::FAR_FUTURE;
        json!({
            "eui64": names.of(route.device),
            "short": hex(route.device),
            "addr": addr,
            "hops": way.as_ref().map(Vec::len),
            "through": between.map(|hops| hops.iter().copied().map(hex).collect::<Vec<_>>()),
            "first_hop_etx": first.map(|first| etx(*first)),
            "valid_s": ends.then(|| route.until.since(now).as_secs()),
        })
    };
    routes.into_iter().map(shown).collect()
}

fn hex(short: ShortAddr) -> String {
    format!("{short:?}")
}

/// In transmissions, to two places.
fn etx(metric: u16) -> f64 {
    (f64::from(metric) / ETX_ONE * 100.0).round() / 100.0
}
