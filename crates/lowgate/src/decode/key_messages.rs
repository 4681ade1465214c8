//! Key-management messages in words. No key, RAND or salt is among them.

use lowgate_amikey::tree::{Followed, Path};
use lowgate_amikey::{Activation, Cfg, Message, Messages, Spd};

/// The messages of a record in words.
pub(super) fn words(record: &[u8]) -> String {
    let words: Vec<String> = Messages::new(record)
        .map(|message| match message {
            Ok(message) => one(&message),
            Err(bad) => format!("not read: {:?}", bad.why),
        })
        .collect();
    words.join(", ")
}

fn one(message: &Message) -> String {
    match message {
        Message::Mkd(mkd) => {
            let (id, group, generation) = (mkd.msg_id.0, mkd.group.0, mkd.generation.0);
            format!("MKD {id} (group {group} generation {generation} bundle {:?})", mkd.csb_id)
        }
        Message::Spd(spd) => format!("SPD {} ({})", spd.msg_id.0, epoch(spd)),
        Message::Ack { msg_id } => format!("ACK {}", msg_id.0),
        Message::Req(req) => {
            let wishes: Vec<String> =
                req.wishes.iter().map(|wish| format!("{}", wish.group.0)).collect();
            format!("REQ {} (groups {})", req.msg_id.0, wishes.join(" "))
        }
        Message::Cfg { msg_id, cfg } => format!("CFG {} ({})", msg_id.0, configuration(cfg)),
        Message::Err { msg_id, error } => format!("ERR {} ({error:?})", msg_id.0),
        Message::Path(told) => {
            let Path { tree, epoch, leaf, .. } = &told.path;
            format!("PATH {} ({tree:?} epoch {epoch} leaf {})", told.msg_id.0, leaf.number())
        }
        Message::Followed(Followed { tree, epoch }) => format!("FOLLOWED ({tree:?} epoch {epoch})"),
    }
}

fn epoch(spd: &Spd) -> String {
    let sender = match spd.sender_id {
        Some(id) => format!("sender {}", id.raw()),
        None => "listener".to_owned(),
    };
    let senders: Vec<String> =
        spd.parameters.senders.iter().map(|id| id.raw().to_string()).collect();
    let mut words = format!("bundle {:?} epoch {} {sender}", spd.csb_id, spd.tek_id.raw());
    if let (Some(address), Some(port)) = (spd.parameters.address, spd.parameters.port) {
        words = format!("{words} at [{address}]:{port}");
    }
    if !senders.is_empty() {
        words = format!("{words} senders {}", senders.join(" "));
    }
    words
}

fn configuration(cfg: &Cfg) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(cfg.short.map(|short| format!("short {short:?}")));
    words.extend(cfg.pan_id.map(|pan| format!("PAN {pan:?}")));
    words.extend(cfg.channel.map(|channel| format!("channel {}", channel.number())));
    words.extend(cfg.manager.map(|manager| format!("manager {manager}")));
    words.extend(cfg.join_rate.map(|rate| format!("join rate {rate}")));
    words.extend(cfg.counter_floor.map(|floor| format!("counters from {floor}")));
    words.extend(cfg.keys.iter().map(|key| format!("link key {}", key.index.raw())));
    words.extend(cfg.pairs.map(|offered| {
        let generation = offered.name.generation;
        format!("keys of pairs: generation {generation}, {} lost", offered.lost)
    }));
    match cfg.activation {
        Activation::ByRole => {}
        Activation::Stage => words.push("stage".into()),
        Activation::Switch { after_ms } => words.push(format!("switch after {after_ms} ms")),
    }
    words.join(", ")
}
