//! The server's side of the hellos: what a client offers, and the answer to it.

#[cfg(feature = "x509")]
use super::{CACHED_CERTIFICATE, CACHED_INFO};
#[cfg(feature = "ecc")]
use super::{
    CLIENT_CERTIFICATE_TYPE, EC_POINT_FORMATS, SERVER_CERTIFICATE_TYPE, SIGNATURE_ALGORITHMS,
    SUPPORTED_GROUPS,
};
use super::{
    CONNECTION_ID, EXTENDED_MASTER_SECRET, GROUP_REQUEST, HEARTBEAT, HOST_NAME, Length,
    MAX_FRAGMENT_LENGTH, PAIRWISE_ID, RENEGOTIATION_INFO, RETURN_ROUTABILITY, Reader, SERVER_NAME,
    SESSION_ID_OCTETS_MAX, SESSION_TICKET, Sink, each_extension, exact_vec8, once, put_extension,
    put_vec8, set, set_flag,
};
use crate::CloseReason;
#[cfg(feature = "ecc")]
use crate::curve::{ECDSA_SECP256R1_SHA256, SECP256R1, UNCOMPRESSED, X509};
use crate::fragment_len::FragmentLen;
use crate::heartbeat::HeartbeatMode;
use crate::record::VERSION_1_2;
use crate::suite::CipherSuite;
#[cfg(feature = "x509")]
use lowgate_crypto::Digest;

/// RFC 5746 section 3.3: stands for an empty renegotiation_info.
const RENEGOTIATION_SCSV: [u8; 2] = [0x00, 0xff];
/// Octets before the session id's length: version and random.
const FIXED_OCTETS: usize = 34;

/// A ClientHello up to its compression methods. That much lies in a first fragment, so a cookie can
/// be given and checked without keeping a fragment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientHelloHead<'a> {
    pub(crate) version: u16,
    pub(crate) random: &'a [u8; 32],
    /// Of the session that the client would like to resume.
    pub(crate) session_id: &'a [u8],
    pub(crate) cookie: &'a [u8],
    suites: &'a [u8],
    compression: &'a [u8],
    // RFC 6347 section 4.2.1: the client MUST NOT change any of these, nor its session id, and a cookie SHOULD
    // cover that too. But Mbed TLS (2.28) draws another id for each hello that has a ticket, and would be asked for
    // another cookie for ever. An id says nothing about where its sender is.
    /// What a cookie covers: everything but itself, the session id and the extensions.
    pub(crate) parameters: [&'a [u8]; 2],
    extensions: &'a [u8],
}

impl<'a> ClientHelloHead<'a> {
    /// `start` begins at the first octet of the body; it need not hold all of it.
    pub(crate) fn parse(start: &'a [u8]) -> Result<Self, CloseReason> {
        let mut reader = Reader(start);
        let version = reader.u16()?;
        let random = reader.random()?;
        let session_id = reader.vec8()?;
        if session_id.len() > SESSION_ID_OCTETS_MAX {
            return Err(CloseReason::MalformedHello);
        }
        let before = &start[..FIXED_OCTETS];
        let cookie = reader.vec8()?;
        let after = reader.0;
        let suites = reader.vec16()?;
        // tinydtls read past an odd list (CVE-2021-42143).
        if suites.is_empty() || !suites.len().is_multiple_of(2) {
            return Err(CloseReason::MalformedHello);
        }
        let compression = reader.vec8()?;
        let after = &after[..after.len() - reader.0.len()];
        Ok(Self {
            version,
            random,
            session_id,
            cookie,
            suites,
            compression,
            parameters: [before, after],
            extensions: reader.0,
        })
    }

    /// Those of the client's suites that are ours, what it likes best first.
    pub(crate) fn suites(&self) -> impl Iterator<Item = CipherSuite> {
        self.suites.chunks_exact(2).filter_map(|suite| CipherSuite::parse([suite[0], suite[1]]))
    }

    /// What the client offers, once the whole hello is there.
    pub(crate) fn offer(&self) -> Result<ClientOffer<'a>, CloseReason> {
        // RFC 6347 section 4.1: DTLS versions count downwards; 0xfefd and all later are fine.
        if self.version >> 8 != 0xfe || self.version > VERSION_1_2 {
            return Err(CloseReason::NoCommonVersion);
        }
        if self.suites().next().is_none() || !self.compression.contains(&0) {
            return Err(CloseReason::NoCommonSuite);
        }
        let scsv = self.suites.chunks_exact(2).any(|suite| suite == RENEGOTIATION_SCSV);
        let mut offer = ClientOffer { renegotiation_info: scsv, ..ClientOffer::default() };
        let mut seen_renegotiation_info = false;
        each_extension(self.extensions, |kind, data| match kind {
            EXTENDED_MASTER_SECRET => set_flag(&mut offer.extended_master_secret, data),
            CONNECTION_ID => set(&mut offer.connection_id, exact_vec8(data)?),
            GROUP_REQUEST => set(&mut offer.group_request, data),
            PAIRWISE_ID => set(&mut offer.pairwise, data),
            MAX_FRAGMENT_LENGTH => set(&mut offer.fragment_len, FragmentLen::parse(data)?),
            SERVER_NAME => set(&mut offer.server_name, host_name(data)?),
            HEARTBEAT => set(&mut offer.heartbeat, HeartbeatMode::parse(data)?),
            SESSION_TICKET => set(&mut offer.ticket, data),
            RETURN_ROUTABILITY => set_flag(&mut offer.return_routability, data),
            #[cfg(feature = "ecc")]
            SUPPORTED_GROUPS => set(&mut offer.curve.groups, list16(data)),
            #[cfg(feature = "ecc")]
            EC_POINT_FORMATS => set(&mut offer.curve.formats, list8(data)),
            #[cfg(feature = "ecc")]
            SIGNATURE_ALGORITHMS => set(&mut offer.curve.algorithms, list16(data)),
            #[cfg(feature = "ecc")]
            CLIENT_CERTIFICATE_TYPE => set(&mut offer.curve.client_types, list8(data)),
            #[cfg(feature = "x509")]
            CACHED_INFO => set(&mut offer.cached, data),
            #[cfg(feature = "ecc")]
            SERVER_CERTIFICATE_TYPE => set(&mut offer.curve.server_types, list8(data)),
            RENEGOTIATION_INFO => {
                // RFC 5746 section 3.6: empty in a first handshake, and there is no other.
                offer.renegotiation_info = true;
                once(&mut seen_renegotiation_info)?;
                if data == [0] { Ok(()) } else { Err(CloseReason::NoCommonSuite) }
            }
            _ => Ok(()),
        })?;
        Ok(offer)
    }
}

/// The extensions of a ClientHello that concern us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientOffer<'a> {
    pub(crate) extended_master_secret: bool,
    /// The connection ID that the client wants to receive.
    pub(crate) connection_id: Option<&'a [u8]>,
    pub(crate) renegotiation_info: bool,
    pub(crate) group_request: Option<&'a [u8]>,
    pub(crate) pairwise: Option<&'a [u8]>,
    pub(crate) fragment_len: Option<FragmentLen>,
    /// The server that the client looks for.
    pub(crate) server_name: Option<&'a [u8]>,
    pub(crate) heartbeat: Option<HeartbeatMode>,
    /// RFC 5077: empty asks for one.
    pub(crate) ticket: Option<&'a [u8]>,
    /// RFC 9853: the client answers where it is.
    pub(crate) return_routability: bool,
    #[cfg(feature = "ecc")]
    pub(crate) curve: CurveOffer<'a>,
    /// RFC 7924, not looked into.
    #[cfg(feature = "x509")]
    pub(crate) cached: Option<&'a [u8]>,
}

#[cfg(feature = "x509")]
impl ClientOffer<'_> {
    /// Whether the client knows the certificates of this fingerprint. What cannot be read says nothing.
    pub(crate) fn knows(&self, fingerprint: &Digest) -> bool {
        let mut objects = Reader(list16(self.cached.unwrap_or_default()));
        while let (Ok(kind), Ok(hash)) = (objects.u8(), objects.vec8()) {
            if kind == CACHED_CERTIFICATE && hash == fingerprint {
                return true;
            }
        }
        false
    }
}

/// What a client says of curves and keys; `None`: nothing.
#[cfg(feature = "ecc")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CurveOffer<'a> {
    groups: Option<&'a [u8]>,
    formats: Option<&'a [u8]>,
    algorithms: Option<&'a [u8]>,
    client_types: Option<&'a [u8]>,
    server_types: Option<&'a [u8]>,
}

#[cfg(feature = "ecc")]
impl<'a> CurveOffer<'a> {
    /// Whether a key can be exchanged on our curve. RFC 8422 section 4: a client that says nothing of curves
    /// takes any.
    pub(crate) fn has_our_curve(&self) -> bool {
        let [high, low] = SECP256R1.to_be_bytes();
        self.groups.is_none_or(|list| list.chunks_exact(2).any(|group| group == [high, low]))
            && self.formats.is_none_or(|list| list.contains(&UNCOMPRESSED))
    }

    /// RFC 8422 section 5.1.2: a list without the uncompressed form MUST be refused by illegal_parameter when
    /// the curve is used.
    pub(crate) fn has_formats_of_no_use(&self) -> bool {
        self.formats.is_some_and(|list| !list.contains(&UNCOMPRESSED))
    }

    /// Whether it answers to the list of point formats.
    pub(crate) fn names_formats(&self) -> bool {
        self.formats.is_some()
    }

    /// Whether our signatures can be verified. RFC 7925 section 5: who says nothing means SHA-1.
    pub(crate) fn has_our_signature(&self) -> bool {
        let ours = |list: &[u8]| list.chunks_exact(2).any(|pair| pair == ECDSA_SECP256R1_SHA256);
        self.algorithms.is_some_and(ours)
    }

    /// What both ends can show each other (RFC 7250 section 4.1), what the client likes best to see of us first.
    /// Who says nothing means X.509.
    pub(crate) fn certificate_types(&self) -> impl Iterator<Item = u8> {
        let list = |types: Option<&'a [u8]>| types.unwrap_or(&[X509]);
        let client = list(self.client_types);
        list(self.server_types).iter().copied().filter(|kind| client.contains(kind))
    }

    /// What our hello says of this type: an answer to what the client said, and no more.
    pub(crate) fn answer(&self, chosen: Option<u8>) -> [Option<u8>; 2] {
        [self.client_types, self.server_types].map(|said| chosen.filter(|_| said.is_some()))
    }
}

/// A list that cannot be read has nothing of ours: it matters when a suite needs it, and not before.
#[cfg(feature = "ecc")]
fn list16(data: &[u8]) -> &[u8] {
    let mut reader = Reader(data);
    let octets = reader.vec16().unwrap_or_default();
    if reader.0.is_empty() { octets } else { &[] }
}

#[cfg(feature = "ecc")]
fn list8(data: &[u8]) -> &[u8] {
    exact_vec8(data).unwrap_or_default()
}

/// The host name in a list of server names (RFC 6066 section 3).
fn host_name(data: &[u8]) -> Result<&[u8], CloseReason> {
    let mut outer = Reader(data);
    let mut list = Reader(outer.vec16()?);
    if !outer.0.is_empty() || list.0.is_empty() {
        return Err(CloseReason::MalformedHello);
    }
    let mut found = None;
    while !list.0.is_empty() {
        let (kind, name) = (list.u8()?, list.vec16()?);
        if name.is_empty() {
            return Err(CloseReason::MalformedHello);
        }
        if kind == HOST_NAME {
            // RFC 6066 section 3: MUST NOT contain more than one name of a type.
            set(&mut found, name)?;
        }
    }
    Ok(found.unwrap_or_default())
}

/// What our ServerHello says.
pub(crate) struct Answer<'a> {
    pub(crate) suite: CipherSuite,
    pub(crate) random: &'a [u8; 32],
    /// The client's: its session is resumed. Ours: how the new one is called. Empty: it has no name.
    pub(crate) session_id: &'a [u8],
    pub(crate) extended_master_secret: bool,
    pub(crate) connection_id: Option<&'a [u8]>,
    pub(crate) renegotiation_info: bool,
    pub(crate) group_answer: Option<&'a [u8]>,
    pub(crate) pairwise: Option<&'a [u8]>,
    pub(crate) fragment_len: Option<FragmentLen>,
    /// The client found the server that it looked for.
    pub(crate) named: bool,
    /// The client may ask whether we are there.
    pub(crate) heartbeat: bool,
    /// A NewSessionTicket follows.
    pub(crate) session_ticket: bool,
    /// Either end may ask where the other is.
    pub(crate) return_routability: bool,
    /// RFC 8422 section 5.2: the client said which point formats it reads.
    #[cfg(feature = "ecc")]
    pub(crate) point_formats: bool,
    /// RFC 7250: of the client, and of ours; `None` says nothing, and that is X.509.
    #[cfg(feature = "ecc")]
    pub(crate) certificate_types: [Option<u8>; 2],
    /// The client knows our certificates.
    #[cfg(feature = "x509")]
    pub(crate) cached: bool,
}

impl Answer<'_> {
    /// Writes the body of a ServerHello.
    pub(crate) fn emit(&self, out: &mut impl Sink) {
        out.put(&VERSION_1_2.to_be_bytes());
        out.put(self.random);
        put_vec8(out, self.session_id);
        out.put(&self.suite.octets());
        out.put(&[0]);
        let mut len = Length::default();
        self.extensions(&mut len);
        if len.0 > 0 {
            out.put(&(len.0 as u16).to_be_bytes());
            self.extensions(out);
        }
    }

    fn extensions(&self, out: &mut impl Sink) {
        if self.renegotiation_info {
            put_extension(out, RENEGOTIATION_INFO, &[0]);
        }
        if self.extended_master_secret {
            put_extension(out, EXTENDED_MASTER_SECRET, &[]);
        }
        if let Some(cid) = self.connection_id {
            out.put(&CONNECTION_ID.to_be_bytes());
            out.put(&[0, cid.len() as u8 + 1]);
            put_vec8(out, cid);
        }
        if let Some(group_answer) = self.group_answer {
            put_extension(out, GROUP_REQUEST, group_answer);
        }
        if let Some(pairwise) = self.pairwise {
            put_extension(out, PAIRWISE_ID, pairwise);
        }
        if let Some(fragment_len) = self.fragment_len {
            put_extension(out, MAX_FRAGMENT_LENGTH, &[fragment_len.octet()]);
        }
        if self.named {
            put_extension(out, SERVER_NAME, &[]);
        }
        if self.heartbeat {
            put_extension(out, HEARTBEAT, &[HeartbeatMode::PeerAllowedToSend as u8]);
        }
        if self.session_ticket {
            put_extension(out, SESSION_TICKET, &[]);
        }
        if self.return_routability {
            put_extension(out, RETURN_ROUTABILITY, &[]);
        }
        #[cfg(feature = "ecc")]
        if self.point_formats {
            put_extension(out, EC_POINT_FORMATS, &[1, UNCOMPRESSED]);
        }
        #[cfg(feature = "ecc")]
        for (kind, chosen) in [CLIENT_CERTIFICATE_TYPE, SERVER_CERTIFICATE_TYPE]
            .into_iter()
            .zip(self.certificate_types)
        {
            if let Some(chosen) = chosen {
                put_extension(out, kind, &[chosen]);
            }
        }
        #[cfg(feature = "x509")]
        if self.cached {
            put_extension(out, CACHED_INFO, &[0, 1, CACHED_CERTIFICATE]);
        }
    }
}
