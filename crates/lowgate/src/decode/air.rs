//! 802.15.4 and 6LoWPAN: frames opened, fragments put together.

use super::{Keys, Said, hex};
use lowgate_access::beacon::Beacon;
use lowgate_crypto::{Ccm, SoftCcm};
use lowgate_ieee802154::{
    AddressedFrame, AuxSecurityHeader, CommandId, Content, Format, Frame, KeyId, SecurityLevel,
    nonce,
};
use lowgate_sixlowpan::{
    ContextId, ContextUse, Contexts, DATAGRAM_OCTETS_MAX, Dispatch, FragHeader, Incoming, LinkPair,
    Prefix, Reassembler, ReceiveDrop, Received, Security,
};
use lowgate_units::{Eui64, Iid, Instant, LinkAddr, LinkDst};
use std::collections::BTreeMap;

/// Datagrams that grow at one moment: secured, unsecured.
const SECURED_MAX: usize = 64;
const UNSECURED_MAX: usize = 32;
/// Senders whose last frame is remembered.
const SENDERS_MAX: usize = 4096;

pub(super) struct Air<'a> {
    keys: Option<&'a Keys>,
    contexts: Contexts,
    datagrams: Box<Reassembler<SECURED_MAX, UNSECURED_MAX>>,
    /// The last frame of each sender, to tell a repetition.
    last: BTreeMap<LinkAddr, Vec<u8>>,
}

impl<'a> Air<'a> {
    pub(super) fn new(keys: Option<&'a Keys>) -> Self {
        let mut contexts = Contexts::new();
        if let Some(prefix) = keys.and_then(|keys| keys.mesh_prefix) {
            let prefix = Prefix::new(Iid([0; 8]).under(prefix), 64).expect("64 is below 128");
            contexts.set(ContextId::DEFAULT, prefix, ContextUse::Both);
        }
        Self { keys, contexts, datagrams: Box::new(Reassembler::new()), last: BTreeMap::new() }
    }

    /// What a frame says, and the IPv6 packet that it completes.
    pub(super) fn frame(&mut self, at: Instant, psdu: &[u8]) -> (Said, Option<Vec<u8>>) {
        let frame = match Frame::parse(psdu) {
            Ok(Frame::Addressed(frame)) => frame,
            Ok(Frame::Ack(ack)) => {
                let mut said = Said::between("-", "-");
                said.say(format!("802.15.4 acknowledgement of {}", ack.sequence));
                return (said, None);
            }
            Err(fault) => {
                let mut said = Said::between("-", "-");
                said.say(format!("802.15.4 not read: {fault:?}"));
                return (said, None);
            }
        };
        let src = frame.src().map_or_else(|| "-".to_owned(), |src| self.name(src));
        let dst = match frame.dst() {
            Some((_, LinkDst::Unicast(dst))) => self.name(dst),
            Some((_, LinkDst::Broadcast)) | None => "everyone".to_owned(),
        };
        let mut said = Said::between(src, dst);
        let again = if self.is_repetition(&frame, psdu) { ", again" } else { "" };
        said.say(format!("802.15.4 {}{}{again}", kind(&frame), security(&frame.format)));
        let datagram = self.content(at, &frame, psdu, &mut said);
        (said, datagram)
    }

    fn is_repetition(&mut self, frame: &AddressedFrame<'_>, psdu: &[u8]) -> bool {
        let Some(src) = frame.src() else { return false };
        if self.last.len() >= SENDERS_MAX {
            self.last.clear();
        }
        self.last.insert(src, psdu.to_vec()).is_some_and(|last| last == psdu)
    }

    /// The short address where the keys tell it.
    fn name(&self, addr: LinkAddr) -> String {
        match addr {
            LinkAddr::Short(short) => format!("{short:?}"),
            LinkAddr::Extended(eui64) => {
                let short = self.keys.and_then(|keys| keys.shorts.get(&eui64));
                short.map_or_else(|| eui64.to_string(), |short| format!("{short:?}"))
            }
        }
    }

    fn content(
        &mut self,
        at: Instant,
        frame: &AddressedFrame<'_>,
        psdu: &[u8],
        said: &mut Said,
    ) -> Option<Vec<u8>> {
        let (payload, security) = match &frame.format {
            Format::Unsecured(_) => (frame.payload.to_vec(), Security::Unsecured),
            Format::Secured(aux) => {
                let Some(payload) = self.open(frame, aux, psdu) else {
                    said.say("sealed");
                    return None;
                };
                (payload, Security::Secured)
            }
        };
        match frame.content {
            Content::Beacon { .. } => said.say(beacon(&payload)),
            Content::Command { .. } => {}
            Content::Data { addressing } => {
                let (Some(src), Some((_, dst))) = (addressing.src(), addressing.dst()) else {
                    said.say(format!("{} octets", payload.len()));
                    return None;
                };
                let octets = &payload[..];
                let incoming = Incoming { link: LinkPair { src, dst }, security, octets };
                return self.lowpan(at, incoming, said);
            }
        }
        None
    }

    fn open(
        &self,
        frame: &AddressedFrame<'_>,
        aux: &AuxSecurityHeader,
        psdu: &[u8],
    ) -> Option<Vec<u8>> {
        let (keys, index) = match (self.keys, aux.key_id) {
            (Some(keys), KeyId::Index(index)) => (keys, index.raw()),
            _ => return None,
        };
        let src = self.extended(frame.src()?)?;
        // Other levels hide nothing, or prove nothing; nobody sends them here.
        match aux.level {
            SecurityLevel::EncMic32 | SecurityLevel::EncMic64 | SecurityLevel::EncMic128 => {}
            _ => return None,
        }
        let len = frame.payload.len().checked_sub(aux.level.mic_len())?;
        let (sealed, mic) = frame.payload.split_at(len);
        let head = psdu.get(..frame.head_len())?;
        let nonce = nonce(src, aux.counter, aux.level);
        keys.link.iter().filter(|(of, _)| *of == index).find_map(|(_, key)| {
            let mut payload = sealed.to_vec();
            SoftCcm.open(key, &nonce, head, &mut payload, mic).ok()?;
            Some(payload)
        })
    }

    fn extended(&self, addr: LinkAddr) -> Option<Eui64> {
        match addr {
            LinkAddr::Extended(eui64) => Some(eui64),
            LinkAddr::Short(short) => {
                let mut table = self.keys?.shorts.iter();
                table.find(|(_, of)| **of == short).map(|(eui64, _)| *eui64)
            }
        }
    }

    fn lowpan(&mut self, at: Instant, frame: Incoming<'_>, said: &mut Said) -> Option<Vec<u8>> {
        let what = match Dispatch::of(frame.octets) {
            Some(Dispatch::Iphc) => "6LoWPAN".to_owned(),
            Some(Dispatch::Ipv6) => "6LoWPAN, uncompressed".to_owned(),
            Some(Dispatch::FirstFragment | Dispatch::NextFragment) => fragment(frame.octets),
            None => format!("{} octets, not 6LoWPAN", frame.octets.len()),
        };
        let mut out = vec![0; DATAGRAM_OCTETS_MAX];
        match self.datagrams.handle(at, frame, &self.contexts, &mut out) {
            Ok(Received::Datagram { len }) => {
                said.say(what);
                out.truncate(len);
                Some(out)
            }
            // The latter: a repetition of the frame that completed it.
            Ok(Received::Waiting) | Err(ReceiveDrop::AlreadyComplete) => {
                said.say(what);
                None
            }
            Err(fault) => {
                said.say(format!("{what}: {fault:?}"));
                None
            }
        }
    }
}

fn kind(frame: &AddressedFrame<'_>) -> String {
    match frame.content {
        Content::Beacon { .. } => "beacon".to_owned(),
        Content::Data { .. } => "data".to_owned(),
        Content::Command { id: CommandId::BEACON_REQUEST, .. } => "beacon request".to_owned(),
        Content::Command { id, .. } => format!("command {}", id.0),
    }
}

fn security(format: &Format) -> String {
    match format {
        Format::Unsecured(_) => " unsecured".to_owned(),
        Format::Secured(aux) => {
            let key = match aux.key_id {
                KeyId::Implicit => "implicit key".to_owned(),
                KeyId::Index(index) => format!("key {}", index.raw()),
                KeyId::Source4(source, index) => format!("key {}/{}", hex(&source), index.raw()),
                KeyId::Source8(source, index) => format!("key {}/{}", hex(&source), index.raw()),
            };
            format!(" level {} {key} counter {}", aux.level.raw(), aux.counter.0)
        }
    }
}

fn beacon(payload: &[u8]) -> String {
    match Beacon::parse(payload) {
        Ok(beacon) => {
            let joining = if beacon.join_open { "open" } else { "closed" };
            let (hint, rank, load) = (hex(&beacon.domain_hint), beacon.dag_rank, beacon.load);
            format!("beacon: joining {joining}, domain hint {hint}, rank {rank}, load {load}")
        }
        Err(fault) => format!("beacon of somebody else: {fault:?}"),
    }
}

fn fragment(octets: &[u8]) -> String {
    let header = FragHeader::parse(octets).map(|(header, _)| header);
    match header {
        Ok(FragHeader::First { size, tag }) => {
            format!("6LoWPAN fragment at 0 of {}, tag {}", size.octets(), tag.0)
        }
        Ok(FragHeader::Next { size, tag, offset }) => {
            format!("6LoWPAN fragment at {} of {}, tag {}", offset.octets(), size.octets(), tag.0)
        }
        Err(_) => "6LoWPAN fragment".to_owned(),
    }
}
