//! Message ids and tokens.

use core::time::Duration;
use lowgate_units::{Instant, Prng};

/// Ids are retired in blocks of so many.
const BLOCK_IDS: u16 = 4096;
const BLOCKS: usize = 16;

/// One sequence of message ids for all peers; none comes back while it could mean its earlier
/// message.
#[derive(Clone, Debug)]
pub(crate) struct MessageIds {
    next: u16,
    /// When the ids of a block may be used again.
    free_at: [Instant; BLOCKS],
}

impl MessageIds {
    // RFC 7252 section 4.4: the first value should be random.
    pub(crate) fn new(prng: &mut Prng) -> Self {
        Self { next: prng.below(0x1_0000) as u16, free_at: [Instant::ZERO; BLOCKS] }
    }

    /// The next id, or when there will be one.
    pub(crate) fn take(&mut self, now: Instant, lifetime: Duration) -> Result<u16, Instant> {
        let free_at = &mut self.free_at[usize::from(self.next / BLOCK_IDS)];
        // RFC 7252 section 4.4: an id MUST NOT be reused within EXCHANGE_LIFETIME.
        if self.next.is_multiple_of(BLOCK_IDS) && *free_at > now {
            return Err(*free_at);
        }
        *free_at = now + lifetime;
        let id = self.next;
        self.next = self.next.wrapping_add(1);
        Ok(id)
    }
}

/// A token: at most eight octets that a response repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    octets: [u8; 8],
    len: u8,
}

impl Token {
    /// `None` for more than eight octets.
    pub(crate) fn new(octets: &[u8]) -> Option<Self> {
        let mut token = Self { octets: [0; 8], len: octets.len().try_into().ok()? };
        token.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(token)
    }

    // RFC 9175 section 4.2: a sequence number from zero, so that none comes back within a session.
    /// The token of the request with this number: the number without leading zeros.
    pub(crate) fn of_number(number: u64) -> Self {
        let skipped = number.leading_zeros() as usize / 8;
        Self::new(&number.to_be_bytes()[skipped..]).expect("a u64 has eight octets")
    }

    /// The inverse of [`Self::of_number`]; `None` for what it never gives.
    pub(crate) fn number(&self) -> Option<u64> {
        let number = self.octets().iter().fold(0, |number, octet| number << 8 | u64::from(*octet));
        (Self::of_number(number) == *self).then_some(number)
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7252_4_4_no_id_comes_back_within_the_exchange_lifetime() {
        let lifetime = Duration::from_secs(247);
        let mut ids = MessageIds::new(&mut Prng::new(3));
        let start = Instant::from_secs(1000);
        let mut taken = 0;
        let blocked = loop {
            match ids.take(start, lifetime) {
                Ok(_) => taken += 1,
                Err(until) => break until,
            }
        };
        assert!(taken > 0xe000 && taken <= 0x1_0000, "{taken}");
        assert_eq!(blocked, start + lifetime);
        assert!(ids.take(blocked, lifetime).is_ok());
    }

    #[test]
    fn tokens_are_numbers_without_leading_zeros() {
        for (number, octets) in [(0, &[][..]), (1, &[1]), (0x100, &[1, 0]), (u64::MAX, &[0xff; 8])]
        {
            let token = Token::of_number(number);
            assert_eq!((token.octets(), token.number()), (octets, Some(number)));
        }
        assert_eq!(Token::new(&[0, 1]).and_then(|token| token.number()), None);
        assert_eq!(Token::new(&[0; 9]), None);
    }
}
