//! ClientHello, HelloVerifyRequest and ServerHello: RFC 6347 section 4.2.1, RFC 5246 section 7.4.1.
//!
//! **Invariant:** parsing tolerates what strangers send (suites, extensions, session ids); only
//! what concerns us must be right.

#[cfg(feature = "server")]
mod offer;

#[cfg(feature = "ecc")]
use crate::curve::{ECDSA_SECP256R1_SHA256, RAW_PUBLIC_KEY, SECP256R1, UNCOMPRESSED};
use crate::fragment_len::FragmentLen;
use crate::heartbeat::HeartbeatMode;
use crate::record::{VERSION_1_0, VERSION_1_2};
use crate::suite::{CipherSuite, Suites};
use crate::{CloseReason, GROUP_ANSWER_OCTETS_MAX, RecordDrop};
#[cfg(feature = "x509")]
use lowgate_crypto::Digest;

/// RFC 5246 section 7.4.1.2.
pub(crate) const SESSION_ID_OCTETS_MAX: usize = 32;
/// Longest ticket that a client keeps. OpenSSL's have 208 octets with a short identity, GnuTLS's 338, ours at most 223.
/// A client has room for two of them, and one fits into the longest message that it puts together.
pub(crate) const TICKET_OCTETS_MAX: usize = 376;

#[cfg(feature = "server")]
pub(crate) use offer::{Answer, ClientHelloHead, ClientOffer};

#[cfg(feature = "ecc")]
const SUPPORTED_GROUPS: u16 = 10;
#[cfg(feature = "ecc")]
const EC_POINT_FORMATS: u16 = 11;
#[cfg(feature = "ecc")]
const SIGNATURE_ALGORITHMS: u16 = 13;
#[cfg(feature = "ecc")]
const CLIENT_CERTIFICATE_TYPE: u16 = 19;
#[cfg(feature = "ecc")]
const SERVER_CERTIFICATE_TYPE: u16 = 20;
/// RFC 6066 section 5.
#[cfg(feature = "x509")]
const CLIENT_CERTIFICATE_URL: u16 = 2;
/// RFC 7924 section 3.
#[cfg(feature = "x509")]
const CACHED_INFO: u16 = 25;
/// Its type `cert`.
#[cfg(feature = "x509")]
const CACHED_CERTIFICATE: u8 = 1;
const SERVER_NAME: u16 = 0;
const MAX_FRAGMENT_LENGTH: u16 = 1;
const EXTENDED_MASTER_SECRET: u16 = 23;
const HEARTBEAT: u16 = 15;
const SESSION_TICKET: u16 = 35;
/// The one type of server name.
const HOST_NAME: u8 = 0;
const CONNECTION_ID: u16 = 54;
/// RFC 9853: whether an end answers where it is.
const RETURN_ROUTABILITY: u16 = 61;
const GROUP_REQUEST: u16 = 0xff40;
/// Who the two ends are that have a key of their own, and by which secret of theirs.
const PAIRWISE_ID: u16 = 0xff41;
const RENEGOTIATION_INFO: u16 = 0xff01;

/// Takes octets from the front; every failure is "malformed".
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

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

    pub(crate) fn vec8(&mut self) -> Result<&'a [u8], CloseReason> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    pub(crate) fn vec16(&mut self) -> Result<&'a [u8], CloseReason> {
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

fn set<T>(slot: &mut Option<T>, value: T) -> Result<(), CloseReason> {
    match slot.replace(value) {
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
    /// The one that we offered: the session is resumed. Another one: its name from now on.
    pub(crate) session_id: &'a [u8],
    pub(crate) suite: CipherSuite,
    pub(crate) extended_master_secret: bool,
    /// The connection ID that the server wants to receive.
    pub(crate) connection_id: Option<&'a [u8]>,
    pub(crate) renegotiation_info: bool,
    pub(crate) group_answer: Option<&'a [u8]>,
    pub(crate) pairwise: Option<&'a [u8]>,
    pub(crate) fragment_len: Option<FragmentLen>,
    pub(crate) heartbeat: Option<HeartbeatMode>,
    /// A NewSessionTicket follows.
    pub(crate) session_ticket: bool,
    pub(crate) return_routability: bool,
    /// Which forms of points the server reads: ours among them.
    #[cfg(feature = "ecc")]
    point_formats: bool,
    /// Whether the server shows a raw public key,
    #[cfg(feature = "ecc")]
    pub(crate) server_raw_key: bool,
    /// and wants to see ours.
    #[cfg(feature = "ecc")]
    pub(crate) client_raw_key: bool,
    /// In place of its certificates the server shows their fingerprint.
    #[cfg(feature = "x509")]
    pub(crate) cached: bool,
    /// In place of ours we may say where they are.
    #[cfg(feature = "x509")]
    pub(crate) certificate_url: bool,
}

/// What a ServerHello may answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offered {
    pub(crate) suites: Suites,
    /// Keys are shown as they are, not in certificates.
    #[cfg(feature = "ecc")]
    pub(crate) raw_keys: bool,
    /// We know the server's certificates by their fingerprint.
    #[cfg(feature = "x509")]
    pub(crate) cached: bool,
    /// Ours can be fetched.
    #[cfg(feature = "x509")]
    pub(crate) certificate_url: bool,
    pub(crate) extended_master_secret: bool,
    pub(crate) connection_id: bool,
    pub(crate) group_request: bool,
    pub(crate) pairwise: bool,
    pub(crate) fragment_len: Option<FragmentLen>,
    pub(crate) server_name: bool,
    pub(crate) heartbeat: bool,
    pub(crate) session_ticket: bool,
    pub(crate) return_routability: bool,
}

impl<'a> ServerHello<'a> {
    const fn without_extensions(
        random: &'a [u8; 32],
        session_id: &'a [u8],
        suite: CipherSuite,
    ) -> Self {
        Self {
            random,
            session_id,
            suite,
            extended_master_secret: false,
            connection_id: None,
            renegotiation_info: false,
            group_answer: None,
            pairwise: None,
            fragment_len: None,
            heartbeat: None,
            session_ticket: false,
            return_routability: false,
            #[cfg(feature = "ecc")]
            point_formats: false,
            #[cfg(feature = "ecc")]
            server_raw_key: false,
            #[cfg(feature = "ecc")]
            client_raw_key: false,
            #[cfg(feature = "x509")]
            cached: false,
            #[cfg(feature = "x509")]
            certificate_url: false,
        }
    }

    /// Checks the body against what was offered.
    pub(crate) fn parse(body: &'a [u8], offered: Offered) -> Result<Self, CloseReason> {
        let mut reader = Reader(body);
        if reader.u16()? != VERSION_1_2 {
            return Err(CloseReason::NoCommonVersion);
        }
        let random = reader.random()?;
        let session_id = reader.vec8()?;
        if session_id.len() > SESSION_ID_OCTETS_MAX {
            return Err(CloseReason::MalformedHello);
        }
        // Mbed TLS once took a suite it had not offered; so did we not.
        let suite = offered.suites.find(reader.take(2)?).ok_or(CloseReason::IllegalHello)?;
        if reader.u8()? != 0 {
            return Err(CloseReason::IllegalHello);
        }
        let mut hello = Self::without_extensions(random, session_id, suite);
        let mut named = false;
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
            PAIRWISE_ID if offered.pairwise => set(&mut hello.pairwise, data),
            MAX_FRAGMENT_LENGTH if offered.fragment_len.is_some() => {
                set(&mut hello.fragment_len, FragmentLen::parse(data)?)?;
                // RFC 6066 section 4: another answer than the request MUST abort.
                let same = hello.fragment_len == offered.fragment_len;
                same.then_some(()).ok_or(CloseReason::IllegalHello)
            }
            // RFC 6066 section 3: the answer is empty.
            SERVER_NAME if offered.server_name => set_flag(&mut named, data),
            HEARTBEAT if offered.heartbeat => {
                set(&mut hello.heartbeat, HeartbeatMode::parse(data)?)
            }
            SESSION_TICKET if offered.session_ticket => set_flag(&mut hello.session_ticket, data),
            RETURN_ROUTABILITY if offered.return_routability => {
                set_flag(&mut hello.return_routability, data)
            }
            #[cfg(feature = "ecc")]
            SUPPORTED_GROUPS
            | EC_POINT_FORMATS
            | SERVER_CERTIFICATE_TYPE
            | CLIENT_CERTIFICATE_TYPE => hello.curve_extension(kind, data, offered),
            #[cfg(feature = "x509")]
            CACHED_INFO if offered.cached => {
                once(&mut hello.cached)?;
                // RFC 7924 section 4: MUST only include types that the client has.
                match data {
                    [0, 1, CACHED_CERTIFICATE] => Ok(()),
                    _ => Err(CloseReason::IllegalHello),
                }
            }
            #[cfg(feature = "x509")]
            CLIENT_CERTIFICATE_URL if offered.certificate_url => {
                set_flag(&mut hello.certificate_url, data)
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

#[cfg(feature = "ecc")]
impl ServerHello<'_> {
    fn curve_extension(
        &mut self,
        kind: u16,
        data: &[u8],
        offered: Offered,
    ) -> Result<(), CloseReason> {
        match kind {
            // It was asked for, and says nothing here (RFC 8422 section 5.2 has no use for it); `webrtc-dtls` sends it.
            SUPPORTED_GROUPS if offered.suites.use_curve() => Ok(()),
            EC_POINT_FORMATS if offered.suites.use_curve() => {
                once(&mut self.point_formats)?;
                // RFC 8422 section 5.2: the uncompressed form MUST be among them.
                match exact_vec8(data)?.contains(&UNCOMPRESSED) {
                    true => Ok(()),
                    false => Err(CloseReason::IllegalHello),
                }
            }
            // RFC 7250 section 4.2: a single value, of those that were offered.
            SERVER_CERTIFICATE_TYPE if offered.raw_keys => {
                raw_key_type(&mut self.server_raw_key, data)
            }
            CLIENT_CERTIFICATE_TYPE if offered.raw_keys => {
                raw_key_type(&mut self.client_raw_key, data)
            }
            _ => Err(CloseReason::UnsolicitedExtension),
        }
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

/// A NewSessionTicket (RFC 5077 section 3.3): seconds for which the server means to take it (0: it does
/// not say), and the ticket, empty when there is none after all.
pub(crate) fn parse_new_session_ticket(body: &[u8]) -> Result<(u32, &[u8]), RecordDrop> {
    let (lifetime, rest) = body.split_first_chunk().ok_or(RecordDrop::BadMessage)?;
    let (len, ticket) = rest.split_first_chunk().ok_or(RecordDrop::BadMessage)?;
    if usize::from(u16::from_be_bytes(*len)) != ticket.len() {
        return Err(RecordDrop::BadMessage);
    }
    Ok((u32::from_be_bytes(*lifetime), ticket))
}

/// Something octets are appended to; the flights' buffers are large enough by construction.
pub(crate) trait Sink {
    fn put(&mut self, octets: &[u8]);
}

/// Counts what would be written.
#[derive(Default)]
struct Length(usize);

impl Sink for Length {
    fn put(&mut self, octets: &[u8]) {
        self.0 += octets.len();
    }
}

/// What our ClientHello says.
#[derive(Clone, Copy)]
pub(crate) struct ClientHello<'a> {
    pub(crate) random: &'a [u8; 32],
    /// Of the session to resume; empty for none.
    pub(crate) session_id: &'a [u8],
    pub(crate) cookie: &'a [u8],
    pub(crate) offered: Offered,
    pub(crate) group_request: &'a [u8],
    pub(crate) pairwise: &'a [u8],
    pub(crate) server_name: &'a [u8],
    /// Of the session to resume; empty to ask for one.
    pub(crate) ticket: &'a [u8],
    /// Of the server's certificates, if they are known.
    #[cfg(feature = "x509")]
    pub(crate) fingerprint: &'a Digest,
}

impl ClientHello<'_> {
    /// Writes the body.
    pub(crate) fn emit(&self, out: &mut impl Sink) {
        out.put(&VERSION_1_2.to_be_bytes());
        out.put(self.random);
        put_vec8(out, self.session_id);
        put_vec8(out, self.cookie);
        let suites = self.offered.suites.0;
        out.put(&(2 * suites.len() as u16).to_be_bytes());
        suites.iter().for_each(|suite| out.put(&suite.octets()));
        out.put(&[1, 0]);
        let mut len = Length::default();
        self.extensions(&mut len);
        out.put(&(len.0 as u16).to_be_bytes());
        self.extensions(out);
    }

    fn extensions(&self, out: &mut impl Sink) {
        // RFC 5746 section 3.4 by extension, for there is room and no ancient server.
        put_extension(out, RENEGOTIATION_INFO, &[0]);
        if self.offered.extended_master_secret {
            put_extension(out, EXTENDED_MASTER_SECRET, &[]);
        }
        if self.offered.connection_id {
            put_extension(out, CONNECTION_ID, &[0]);
        }
        if self.offered.group_request {
            put_extension(out, GROUP_REQUEST, self.group_request);
        }
        if self.offered.pairwise {
            put_extension(out, PAIRWISE_ID, self.pairwise);
        }
        if let Some(fragment_len) = self.offered.fragment_len {
            put_extension(out, MAX_FRAGMENT_LENGTH, &[fragment_len.octet()]);
        }
        if self.offered.server_name {
            // RFC 6066 section 3: a list of one entry, of type host_name.
            let len = self.server_name.len() as u16;
            out.put(&SERVER_NAME.to_be_bytes());
            out.put(&(len + 5).to_be_bytes());
            out.put(&(len + 3).to_be_bytes());
            out.put(&[HOST_NAME]);
            out.put(&len.to_be_bytes());
            out.put(self.server_name);
        }
        if self.offered.heartbeat {
            put_extension(out, HEARTBEAT, &[HeartbeatMode::PeerAllowedToSend as u8]);
        }
        if self.offered.session_ticket {
            put_extension(out, SESSION_TICKET, self.ticket);
        }
        if self.offered.return_routability {
            put_extension(out, RETURN_ROUTABILITY, &[]);
        }
        #[cfg(feature = "ecc")]
        self.curve_extensions(out);
        #[cfg(feature = "x509")]
        if self.offered.cached {
            let len = self.fingerprint.len() as u8;
            out.put(&CACHED_INFO.to_be_bytes());
            out.put(&[0, len + 4, 0, len + 2, CACHED_CERTIFICATE, len]);
            out.put(self.fingerprint);
        }
        #[cfg(feature = "x509")]
        if self.offered.certificate_url {
            put_extension(out, CLIENT_CERTIFICATE_URL, &[]);
        }
    }
}

#[cfg(feature = "ecc")]
impl ClientHello<'_> {
    fn curve_extensions(&self, out: &mut impl Sink) {
        let Offered { suites, raw_keys, .. } = self.offered;
        if !suites.use_curve() {
            return;
        }
        // RFC 8422 section 5.1: SHOULD send both. RFC 7252 section 9.1.3.3: MUST.
        put_extension(out, SUPPORTED_GROUPS, &[0, 2, 0, SECP256R1 as u8]);
        put_extension(out, EC_POINT_FORMATS, &[1, UNCOMPRESSED]);
        if suites.contain(CipherSuite::EcdheEcdsa) {
            // RFC 7925 section 5: MUST be sent, for SHA-1 is meant without it.
            let [hash, signature] = ECDSA_SECP256R1_SHA256;
            put_extension(out, SIGNATURE_ALGORITHMS, &[0, 2, hash, signature]);
        }
        if raw_keys {
            put_extension(out, CLIENT_CERTIFICATE_TYPE, &[1, RAW_PUBLIC_KEY]);
            put_extension(out, SERVER_CERTIFICATE_TYPE, &[1, RAW_PUBLIC_KEY]);
        }
    }
}

#[cfg(feature = "ecc")]
fn raw_key_type(seen: &mut bool, data: &[u8]) -> Result<(), CloseReason> {
    once(seen)?;
    match data {
        [RAW_PUBLIC_KEY] => Ok(()),
        [_] => Err(CloseReason::IllegalHello),
        [] | [_, _, ..] => Err(CloseReason::MalformedHello),
    }
}

fn put_vec8(out: &mut impl Sink, octets: &[u8]) {
    out.put(&[octets.len() as u8]);
    out.put(octets);
}

fn put_extension(out: &mut impl Sink, kind: u16, data: &[u8]) {
    out.put(&kind.to_be_bytes());
    out.put(&(data.len() as u16).to_be_bytes());
    out.put(data);
}

#[cfg(all(test, feature = "server"))]
mod tests;
