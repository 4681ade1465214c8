//! Stateless cookies, RFC 6347 section 4.2.1.
//!
//! **Invariant:** nothing is remembered of whom a cookie was given to. The cookie binds the peer
//! (address, port, relay header) and the ClientHello's parameters but its session id; its secret changes every minute.

use super::{Peer, draw_secret};
use crate::hello::ClientHelloHead;
use lowgate_crypto::{Secret, hmac_sha256};
use lowgate_units::planted::{Fault, planted};
use lowgate_units::{Duration, Entropy, Instant};
use subtle::ConstantTimeEq;

/// Octets of our cookies: as hard to guess as a key, and below the 32 of DTLS 1.0 clients.
pub(super) const COOKIE_OCTETS: usize = 16;
/// A cookie is good for one to two of these.
const SECRET_LIFETIME: Duration = Duration::from_secs(60);

/// Makes cookies and knows them again.
pub(super) struct CookieJar {
    current: Secret<32>,
    previous: Secret<32>,
    since: Instant,
}

impl CookieJar {
    pub(super) fn new(entropy: &mut dyn Entropy) -> Self {
        let (current, previous) = (draw_secret(entropy), draw_secret(entropy));
        Self { current, previous, since: Instant::ZERO }
    }

    /// Changes the secret when it is due. An older cookie then counts as none, which costs its
    /// holder another round trip.
    pub(super) fn refresh(&mut self, now: Instant, entropy: &mut dyn Entropy) {
        let age = now - self.since;
        if age < SECRET_LIFETIME {
            return;
        }
        self.previous = core::mem::replace(&mut self.current, draw_secret(entropy));
        if age >= SECRET_LIFETIME * 2 {
            self.previous = draw_secret(entropy);
        }
        self.since = now;
    }

    /// The cookie for this peer and hello.
    pub(super) fn bake(&self, peer: &Peer, hello: &ClientHelloHead<'_>) -> [u8; COOKIE_OCTETS] {
        cookie(&self.current, peer, hello)
    }

    /// Whether the hello's cookie is ours, for this peer and hello.
    pub(super) fn knows(&self, peer: &Peer, hello: &ClientHelloHead<'_>) -> bool {
        if hello.cookie.is_empty() && planted(Fault::CookieUnchecked) {
            return true;
        }
        // How long it is everybody sees. None at all is what most hellos come with first.
        if hello.cookie.len() != COOKIE_OCTETS {
            return false;
        }
        [&self.current, &self.previous]
            .iter()
            .any(|secret| cookie(secret, peer, hello).ct_eq(hello.cookie).into())
    }
}

fn cookie(secret: &Secret<32>, peer: &Peer, hello: &ClientHelloHead<'_>) -> [u8; COOKIE_OCTETS] {
    let [before, after] = hello.parameters;
    // Every part is of fixed length or tells its own, so no two inputs are alike.
    let mac = hmac_sha256(
        secret.expose(),
        &[
            &peer.addr.octets(),
            &peer.port.to_be_bytes(),
            &[peer.relay_header.len() as u8],
            &peer.relay_header,
            before,
            after,
        ],
    );
    let mut cookie = [0; COOKIE_OCTETS];
    cookie.copy_from_slice(&mac[..COOKIE_OCTETS]);
    cookie
}
