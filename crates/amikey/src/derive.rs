//! Keys of a group, derived from its TGK (RFC 3830 section 4.1.3).

use lowgate_crypto::{Key128, Secret};

use crate::{Constant, CsbId, Rand, Tgk, label, prf};

/// Crypto session of requests: multicast, sender to listeners.
const CS_REQUEST: u8 = 1;
/// Crypto session of responses: unicast, listener to sender.
const CS_RESPONSE: u8 = 2;

/// A traffic-encrypting key with the salt that begins its nonces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tek {
    /// For AES-128-CCM.
    pub key: Key128,
    /// The first four octets of each nonce.
    pub salt: Secret<4>,
}

/// Both directions of a group under one RAND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupKeys {
    /// Seals what senders multicast.
    pub request: Tek,
    /// Seals what listeners answer.
    pub response: Tek,
}

/// The keys that follow from a TGK, the bundle it belongs to and the epoch's RAND.
pub fn derive(tgk: &Tgk, csb_id: CsbId, rand: &Rand) -> GroupKeys {
    GroupKeys {
        request: tek(tgk, CS_REQUEST, csb_id, rand),
        response: tek(tgk, CS_RESPONSE, csb_id, rand),
    }
}

fn tek(tgk: &Tgk, cs_id: u8, csb_id: CsbId, rand: &Rand) -> Tek {
    Tek {
        key: Secret::new(subkey(tgk, Constant::Tek, cs_id, csb_id, rand)),
        salt: Secret::new(subkey(tgk, Constant::Salt, cs_id, csb_id, rand)),
    }
}

fn subkey<const N: usize>(
    tgk: &Tgk,
    constant: Constant,
    cs_id: u8,
    csb_id: CsbId,
    rand: &Rand,
) -> [u8; N] {
    let mut key = [0; N];
    prf(tgk.0.expose(), [&label(constant, cs_id, csb_id), rand.0.expose()], &mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use lowgate_testkit::hex;

    /// The worked example of this profile's derivation.
    #[test]
    fn both_crypto_sessions_of_the_worked_example() {
        let octets = |text: &str| -> [u8; 16] { hex(text).try_into().expect("16 octets") };
        let tgk = Tgk(Secret::new(octets("000102030405060708090a0b0c0d0e0f")));
        let rand = Rand(Secret::new(octets("101112131415161718191a1b1c1d1e1f")));
        let keys = derive(&tgk, CsbId(0x5a17_c0de), &rand);
        assert_eq!(keys.request.key.expose()[..], hex("6bcb43b74a2380b1ac0e6fd8c65235c7"));
        assert_eq!(keys.request.salt.expose()[..], hex("53a384d2"));
        assert_eq!(keys.response.key.expose()[..], hex("b4bfaa03103e43bc5434985a591bc42b"));
        assert_eq!(keys.response.salt.expose()[..], hex("eaba2823"));
    }
}
