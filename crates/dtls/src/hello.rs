//! ClientHello, HelloVerifyRequest and ServerHello: RFC 6347 section 4.2.1, RFC 5246 section 7.4.1.
//!
//! **Invariant:** parsing tolerates what strangers send (suites, extensions, session ids); only
//! what concerns us must be right.

#[cfg(feature = "server")]
mod offer;

use crate::record::{VERSION_1_0, VERSION_1_2};
use crate::{CloseReason, GROUP_ANSWER_OCTETS_MAX};

/// `TLS_PSK_WITH_AES_128_CCM_8`.
const SUITE: [u8; 2] = [0xc0, 0xa8];

#[cfg(feature = "server")]
pub(crate) use offer::{Answer, ClientHelloHead, ClientOffer, emit_server_hello};

const EXTENDED_MASTER_SECRET: u16 = 23;
const CONNECTION_ID: u16 = 54;
const GROUP_REQUEST: u16 = 0xff40;
const RENEGOTIATION_INFO: u16 = 0xff01;

/// Takes octets from the front; every failure is "malformed".
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], CloseReason> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(CloseReason::MalformedHello)?;
        self.0 = tail;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8, CloseReason> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, CloseReason> {
        let octets = self.take(2)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn vec8(&mut self) -> Result<&'a [u8], CloseReason> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    fn vec16(&mut self) -> Result<&'a [u8], CloseReason> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    fn random(&mut self) -> Result<&'a [u8; 32], CloseReason> {
        self.take(32)?.try_into().map_err(|_| CloseReason::MalformedHello)
    }
}

fn once(seen: &mut bool) -> Result<(), CloseReason> {
    // RFC 5246 section 7.4.1.4: not more than one extension of the same type.
    if core::mem::replace(seen, true) { Err(CloseReason::IllegalHello) } else { Ok(()) }
}

fn set_flag(flag: &mut bool, data: &[u8]) -> Result<(), CloseReason> {
    once(flag)?;
    if data.is_empty() { Ok(()) } else { Err(CloseReason::MalformedHello) }
}

fn set<'a>(slot: &mut Option<&'a [u8]>, data: &'a [u8]) -> Result<(), CloseReason> {
    match slot.replace(data) {
        None => Ok(()),
        Some(_) => Err(CloseReason::IllegalHello),
    }
}

fn exact_vec8(data: &[u8]) -> Result<&[u8], CloseReason> {
    let mut reader = Reader(data);
    let octets = reader.vec8()?;
    if reader.0.is_empty() { Ok(octets) } else { Err(CloseReason::MalformedHello) }
}

/// An absent block is as good as an empty one; anything else must be exact.
fn each_extension<'a>(
    block: &'a [u8],
    mut visit: impl FnMut(u16, &'a [u8]) -> Result<(), CloseReason>,
) -> Result<(), CloseReason> {
    if block.is_empty() {
        return Ok(());
    }
    let mut outer = Reader(block);
    let mut extensions = Reader(outer.vec16()?);
    if !outer.0.is_empty() {
        return Err(CloseReason::MalformedHello);
    }
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let data = extensions.vec16()?;
        visit(kind, data)?;
    }
    Ok(())
}

/// A ServerHello that we can live with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerHello<'a> {
    pub(crate) random: &'a [u8; 32],
    pub(crate) extended_master_secret: bool,
    /// The connection ID that the server wants to receive.
    pub(crate) connection_id: Option<&'a [u8]>,
    pub(crate) renegotiation_info: bool,
    pub(crate) group_answer: Option<&'a [u8]>,
}

/// What a ServerHello may answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered {
    pub(crate) extended_master_secret: bool,
    pub(crate) connection_id: bool,
    pub(crate) group_request: bool,
}

impl<'a> ServerHello<'a> {
    /// Checks the body against what was offered.
    pub(crate) fn parse(body: &'a [u8], offered: Offered) -> Result<Self, CloseReason> {
        let mut reader = Reader(body);
        if reader.u16()? != VERSION_1_2 {
            return Err(CloseReason::NoCommonVersion);
        }
        let random = reader.random()?;
        if reader.vec8()?.len() > 32 {
            return Err(CloseReason::MalformedHello);
        }
        // Mbed TLS once took a suite it had not offered; so did we not.
        if reader.take(2)? != SUITE || reader.u8()? != 0 {
            return Err(CloseReason::IllegalHello);
        }
        let mut hello = Self {
            random,
            extended_master_secret: false,
            connection_id: None,
            renegotiation_info: false,
            group_answer: None,
        };
        each_extension(reader.0, |kind, data| match kind {
            EXTENDED_MASTER_SECRET if offered.extended_master_secret => {
                set_flag(&mut hello.extended_master_secret, data)
            }
            CONNECTION_ID if offered.connection_id => {
                set(&mut hello.connection_id, exact_vec8(data)?)
            }
            GROUP_REQUEST if offered.group_request && data.len() <= GROUP_ANSWER_OCTETS_MAX => {
                set(&mut hello.group_answer, data)
            }
            RENEGOTIATION_INFO => {
                once(&mut hello.renegotiation_info)?;
                if data == [0] { Ok(()) } else { Err(CloseReason::NoCommonSuite) }
            }
            // RFC 5246 section 7.4.1.4: an extension that was not asked for ends the handshake.
            _ => Err(CloseReason::UnsolicitedExtension),
        })?;
        if hello.group_answer.is_some() && !hello.extended_master_secret {
            return Err(CloseReason::ExtendedMasterSecretMissing);
        }
        Ok(hello)
    }
}

/// The cookie of a HelloVerifyRequest. Its version says nothing (RFC 6347 section 4.2.1).
pub(crate) fn parse_hello_verify(body: &[u8]) -> Result<&[u8], CloseReason> {
    let (version, cookie) = body.split_at_checked(2).ok_or(CloseReason::MalformedHello)?;
    let version = u16::from_be_bytes([version[0], version[1]]);
    if version != VERSION_1_0 && version != VERSION_1_2 {
        return Err(CloseReason::MalformedHello);
    }
    exact_vec8(cookie)
}

/// Something octets are appended to; the flights' buffers are large enough by construction.
pub(crate) trait Sink {
    fn put(&mut self, octets: &[u8]);
}

/// Writes a ClientHello's body.
pub(crate) fn emit_client_hello(
    random: &[u8; 32],
    cookie: &[u8],
    offered: Offered,
    group_request: &[u8],
    out: &mut impl Sink,
) {
    out.put(&VERSION_1_2.to_be_bytes());
    out.put(random);
    out.put(&[0]); // no session to resume
    out.put(&[cookie.len() as u8]);
    out.put(cookie);
    out.put(&[0, 2]);
    out.put(&SUITE);
    out.put(&[1, 0]);
    let mut len = 5;
    len += if offered.extended_master_secret { 4 } else { 0 };
    len += if offered.connection_id { 5 } else { 0 };
    len += if offered.group_request { 4 + group_request.len() } else { 0 };
    out.put(&(len as u16).to_be_bytes());
    // RFC 5746 section 3.4 by extension, for there is room and no ancient server.
    put_extension(out, RENEGOTIATION_INFO, &[0]);
    if offered.extended_master_secret {
        put_extension(out, EXTENDED_MASTER_SECRET, &[]);
    }
    if offered.connection_id {
        put_extension(out, CONNECTION_ID, &[0]);
    }
    if offered.group_request {
        put_extension(out, GROUP_REQUEST, group_request);
    }
}

fn put_extension(out: &mut impl Sink, kind: u16, data: &[u8]) {
    out.put(&kind.to_be_bytes());
    out.put(&(data.len() as u16).to_be_bytes());
    out.put(data);
}

#[cfg(all(test, feature = "server"))]
mod tests;
