use super::*;

#[test]
fn explore() {
    for cookie in [false, true] {
        let setting = Setting { cookie, loss: 0.0, retransmission: Retransmission::Adaptive { hops: 1 }, seed: 1 };
        let access = access(setting);
        println!("{cookie} {:?} {} rt {} {:?} {} rep {}", access.took, access.datagrams.len(), access.round_trips(), access.octets(), access.octets().total(), access.frames_repeated);
        for d in &access.datagrams { println!("  {:?} {} {:?} {}", d.from, d.at, d.octets, d.frames); }
    }
    for cookie in [false, true] {
        let mut all: Vec<Access> = (0..100).map(|seed| access(Setting { cookie, loss: 0.5, retransmission: Retransmission::Adaptive { hops: 1 }, seed })).collect();
        let ok = all.iter().filter(|it| it.is_in_time()).count();
        all.sort_by_key(|it| it.took.unwrap_or(Duration::MAX));
        let (p50, p95) = (all[50].took, all[95].took);
        all.sort_by_key(|it| it.datagrams.len());
        println!("{cookie}: {ok} in time, p50 {p50:?} p95 {p95:?} messages {}", all[50].datagrams.len());
    }
}
