//! What a client wants, checked once.

use super::resume::SavedSession;
use crate::fragment_len::FragmentLen;
use crate::hello::Offered;
use crate::{
    DATAGRAM_LEN_MIN, GROUP_REQUEST_OCTETS_MAX, IDENTITY_OCTETS_MAX, Psk, Retransmission,
    SERVER_NAME_OCTETS_MAX,
};

/// What a client wants.
#[derive(Clone, Debug)]
pub struct ClientConfig<'a> {
    /// PSK identity, 0 to 128 octets.
    pub identity: &'a [u8],
    /// The key that belongs to it.
    pub psk: Psk,
    /// Payload of the 0xFF40 extension, at most 192 octets; `None` leaves it out.
    pub group_request: Option<&'a [u8]>,
    /// Offer RFC 9146, with an empty connection ID towards us.
    pub connection_id: bool,
    /// Offer and demand RFC 7627. Off only to talk to peers that do not have it.
    pub extended_master_secret: bool,
    /// The longest datagram we send, at least [`crate::DATAGRAM_LEN_MIN`].
    pub datagram_len_max: usize,
    /// Ask for records of at most this length (RFC 6066 section 4).
    pub fragment_len: Option<FragmentLen>,
    /// The server's DNS name (RFC 6066 section 3), at most [`crate::SERVER_NAME_OCTETS_MAX`] octets.
    pub server_name: Option<&'a str>,
    /// Offer RFC 6520: either end may ask whether the other is there.
    pub heartbeat: bool,
    /// When to repeat a flight.
    pub retransmission: Retransmission,
    /// Go on from this session if the server still knows it.
    pub resume: Option<SavedSession>,
    /// Ask for a ticket (RFC 5077), by which a server resumes that keeps nothing.
    pub session_ticket: bool,
    /// Report [`crate::ClientOutput::KeyLog`].
    pub key_log: bool,
}

impl<'a> ClientConfig<'a> {
    /// The defaults: extended master secret and connection ID offered, datagrams of 1024 octets, adaptive
    /// retransmission to a neighbour; nothing else offered, nothing to resume, no key log.
    pub const fn new(identity: &'a [u8], psk: Psk) -> Self {
        Self {
            identity,
            psk,
            group_request: None,
            connection_id: true,
            extended_master_secret: true,
            datagram_len_max: 1024,
            fragment_len: None,
            server_name: None,
            heartbeat: false,
            retransmission: Retransmission::Adaptive { hops: 1 },
            resume: None,
            session_ticket: false,
            key_log: false,
        }
    }
}

/// Why a configuration was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigRefused {
    /// More than 128 octets of identity.
    IdentityTooLong,
    /// More than 192 octets of group request.
    GroupRequestTooLong,
    /// A group request is bound to the keys by the extended master secret alone.
    GroupRequestNeedsExtendedMasterSecret,
    /// RFC 7627 section 5.3: a session is resumed with the extended master secret alone.
    ResumptionNeedsExtendedMasterSecret,
    /// `datagram_len_max` is below [`crate::DATAGRAM_LEN_MIN`].
    DatagramTooShort,
    /// RFC 6066 section 3: a name is ASCII, neither empty nor an address, without a dot at its end.
    BadServerName,
}

/// The configuration, owned.
pub(super) struct Settings {
    pub(super) identity: heapless::Vec<u8, IDENTITY_OCTETS_MAX>,
    pub(super) psk: Psk,
    pub(super) group_request: heapless::Vec<u8, GROUP_REQUEST_OCTETS_MAX>,
    pub(super) server_name: heapless::Vec<u8, SERVER_NAME_OCTETS_MAX>,
    pub(super) offered: Offered,
    pub(super) datagram_len_max: usize,
    pub(super) retransmission: Retransmission,
    pub(super) key_log: bool,
}

impl Settings {
    /// The settings, and the session to offer.
    pub(super) fn new(
        config: ClientConfig<'_>,
    ) -> Result<(Self, Option<SavedSession>), ConfigRefused> {
        let identity = heapless::Vec::from_slice(config.identity)
            .map_err(|_| ConfigRefused::IdentityTooLong)?;
        let group_request = heapless::Vec::from_slice(config.group_request.unwrap_or_default())
            .map_err(|_| ConfigRefused::GroupRequestTooLong)?;
        let name = config.server_name.map_or(Ok(&[][..]), server_name)?;
        let server_name =
            heapless::Vec::from_slice(name).map_err(|_| ConfigRefused::BadServerName)?;
        if config.group_request.is_some() && !config.extended_master_secret {
            return Err(ConfigRefused::GroupRequestNeedsExtendedMasterSecret);
        }
        if config.resume.is_some() && !config.extended_master_secret {
            return Err(ConfigRefused::ResumptionNeedsExtendedMasterSecret);
        }
        if config.datagram_len_max < DATAGRAM_LEN_MIN {
            return Err(ConfigRefused::DatagramTooShort);
        }
        // RFC 6066 section 4: a session keeps its length. Who wants another one makes another session.
        let saved = config.resume.filter(|saved| saved.fits(config.fragment_len));
        let offered = Offered {
            extended_master_secret: config.extended_master_secret,
            connection_id: config.connection_id,
            group_request: config.group_request.is_some(),
            fragment_len: config.fragment_len,
            server_name: config.server_name.is_some(),
            heartbeat: config.heartbeat,
            session_ticket: config.session_ticket
                || saved.as_ref().is_some_and(|saved| !saved.ticket().is_empty()),
        };
        let settings = Self {
            identity,
            psk: config.psk,
            group_request,
            server_name,
            offered,
            datagram_len_max: config.datagram_len_max,
            retransmission: config.retransmission,
            key_log: config.key_log,
        };
        Ok((settings, saved))
    }
}

fn server_name(name: &str) -> Result<&[u8], ConfigRefused> {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_host = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_');
    // The last label of an IPv4 address is a number, and colons are not a host's.
    let is_address = last.bytes().all(|octet| octet.is_ascii_digit());
    if is_address || !name.bytes().all(is_host) {
        return Err(ConfigRefused::BadServerName);
    }
    Ok(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_names() {
        for good in ["a", "manager.example", "xn--mnchen-3ya.example", "10.example", "_coap.e"] {
            assert_eq!(server_name(good), Ok(good.as_bytes()));
        }
        for bad in ["", "a.", "192.0.2.1", "2001:db8::1", "m\u{fc}nchen.example", "a b", "."] {
            assert_eq!(server_name(bad), Err(ConfigRefused::BadServerName), "{bad}");
        }
    }
}
