//! AES-128-CCM (RFC 3610) in the shapes the protocols use.
//!
//! 802.15.4 takes a nonce of 13 octets and tags of 4, 8 or 16; DTLS takes 12 and 8 (RFC 6655).

use crate::Key128;
use aes::cipher::consts::{U1, U16};
use aes::cipher::inout::InOut;
use aes::cipher::typenum::Unsigned;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit,
    ParBlocks, ParBlocksSizeUser,
};
use aes::{Aes128Enc, Block};
use subtle::ConstantTimeEq;

const BLOCK_OCTETS: usize = 16;

/// The tag does not belong to these octets under this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTag;

/// AES-128-CCM, in software or by a chip's engine.
///
/// # Panics
/// Both operations panic for a shape no protocol here uses: the nonce has 12 or 13 octets and the
/// tag 4, 8 or 16. Neither length ever comes from the network.
pub trait Ccm: Sync {
    /// Encrypts `payload` in place and overwrites `tag`.
    fn seal(&self, key: &Key128, nonce: &[u8], aad: &[u8], payload: &mut [u8], tag: &mut [u8]);

    /// Decrypts `payload` in place if `tag` is right.
    ///
    /// # Errors
    /// [`BadTag`]; `payload` is then meaningless and must be dropped.
    fn open(
        &self,
        key: &Key128,
        nonce: &[u8],
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8],
    ) -> Result<(), BadTag>;
}

/// In software, over RustCrypto's AES. The key schedule is made anew for every call, so that no copy of a
/// key outlives it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SoftCcm;

impl Ccm for SoftCcm {
    fn seal(&self, key: &Key128, nonce: &[u8], aad: &[u8], payload: &mut [u8], tag: &mut [u8]) {
        seal(|pass| soft(key, pass), nonce, aad, payload, tag);
    }

    fn open(
        &self,
        key: &Key128,
        nonce: &[u8],
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8],
    ) -> Result<(), BadTag> {
        open(|pass| soft(key, pass), nonce, aad, payload, tag)
    }
}

fn soft(key: &Key128, pass: Pass<'_>) {
    Aes128Enc::new(key.expose().into()).encrypt_with_backend(pass);
}

/// A chip's AES engine, which knows one block.
pub trait AesEngine: Sync {
    /// Encrypts `block` in place.
    fn encrypt(&self, key: &Key128, block: &mut [u8; 16]);
}

/// Over a chip's AES engine: CCM itself is the same as in [`SoftCcm`].
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineCcm<E>(
    /// The engine.
    pub E,
);

impl<E: AesEngine> EngineCcm<E> {
    fn run(&self, key: &Key128, pass: Pass<'_>) {
        pass.call(&EngineBackend { engine: &self.0, key });
    }
}

impl<E: AesEngine> Ccm for EngineCcm<E> {
    fn seal(&self, key: &Key128, nonce: &[u8], aad: &[u8], payload: &mut [u8], tag: &mut [u8]) {
        seal(|pass| self.run(key, pass), nonce, aad, payload, tag);
    }

    fn open(
        &self,
        key: &Key128,
        nonce: &[u8],
        aad: &[u8],
        payload: &mut [u8],
        tag: &[u8],
    ) -> Result<(), BadTag> {
        open(|pass| self.run(key, pass), nonce, aad, payload, tag)
    }
}

/// An engine and its key, as the cipher's crate calls a cipher.
struct EngineBackend<'a, E> {
    engine: &'a E,
    key: &'a Key128,
}

impl<E> BlockSizeUser for EngineBackend<'_, E> {
    type BlockSize = U16;
}

impl<E> ParBlocksSizeUser for EngineBackend<'_, E> {
    type ParBlocksSize = U1;
}

impl<E: AesEngine> BlockCipherEncBackend for EngineBackend<'_, E> {
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block>) {
        let mut octets = block.clone_in().0;
        self.engine.encrypt(self.key, &mut octets);
        *block.get_out() = octets.into();
    }
}

fn seal(run: impl FnOnce(Pass<'_>), nonce: &[u8], aad: &[u8], payload: &mut [u8], tag: &mut [u8]) {
    let full = pass(run, Direction::Seal, nonce, aad, payload, tag.len());
    tag.copy_from_slice(&full[..tag.len()]);
}

fn open(
    run: impl FnOnce(Pass<'_>),
    nonce: &[u8],
    aad: &[u8],
    payload: &mut [u8],
    tag: &[u8],
) -> Result<(), BadTag> {
    let full = pass(run, Direction::Open, nonce, aad, payload, tag.len());
    if bool::from(full[..tag.len()].ct_eq(tag)) {
        return Ok(());
    }
    payload.fill(0);
    Err(BadTag)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Seal,
    Open,
}

/// Encrypts or decrypts `payload`; the tag, not yet cut.
fn pass(
    run: impl FnOnce(Pass<'_>),
    direction: Direction,
    nonce: &[u8],
    aad: &[u8],
    payload: &mut [u8],
    tag_len: usize,
) -> Block {
    let shape = (nonce.len(), tag_len);
    assert!(matches!(shape, (13, 4 | 8 | 16) | (12, 8)), "no protocol uses CCM with {shape:?}");
    let mut tag = Block::default();
    let (mac, counter) = first_blocks(nonce, aad.len(), payload.len(), tag_len);
    run(Pass { direction, mac, counter, aad, payload, tag: &mut tag });
    tag
}

/// B_0 and A_0, RFC 3610 sections 2.2 and 2.3.
fn first_blocks(
    nonce: &[u8],
    aad_len: usize,
    payload_len: usize,
    tag_len: usize,
) -> (Block, Block) {
    // What is left of a block behind the flags and the nonce.
    let length_len = BLOCK_OCTETS - 1 - nonce.len();
    let length = (payload_len as u64).to_be_bytes();
    let (above, length) = length.split_at(length.len() - length_len);
    assert!(above.iter().all(|octet| *octet == 0), "payloads are far below CCM's limit");
    let (mut mac, mut counter) = (Block::default(), Block::default());
    counter[0] = (length_len - 1) as u8;
    counter[1..][..nonce.len()].copy_from_slice(nonce);
    mac[0] = 64 * u8::from(aad_len > 0) + 8 * ((tag_len - 2) / 2) as u8 + counter[0];
    mac[1..][..nonce.len()].copy_from_slice(nonce);
    mac[1 + nonce.len()..].copy_from_slice(length);
    (mac, counter)
}

/// One run over head and payload. All of it happens in one call of the cipher's backend: choosing that
/// costs as much as a block. CBC-MAC waits for its own last block; the key stream, which waits for nothing,
/// is made beside it.
struct Pass<'a> {
    direction: Direction,
    mac: Block,
    counter: Block,
    aad: &'a [u8],
    payload: &'a mut [u8],
    tag: &'a mut Block,
}

impl BlockSizeUser for Pass<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Pass<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(mut self, backend: &B) {
        self.authenticate_head(backend);
        let payload = core::mem::take(&mut self.payload);
        let (blocks, tail) = payload.as_chunks_mut::<BLOCK_OCTETS>();
        let mut number = 0;
        for block in blocks {
            number += 1;
            self.treat(backend, number, block, BLOCK_OCTETS);
        }
        if !tail.is_empty() {
            let mut block = [0; BLOCK_OCTETS];
            block[..tail.len()].copy_from_slice(tail);
            self.treat(backend, number + 1, &mut block, tail.len());
            tail.copy_from_slice(&block[..tail.len()]);
        }
        encrypt_both(backend, &mut self.mac, &mut self.counter);
        xor(&mut self.mac.0, &self.counter.0);
        *self.tag = self.mac;
    }
}

impl Pass<'_> {
    /// One block of the payload, of which `len` octets are the payload's.
    #[inline(always)]
    fn treat<B: BlockCipherEncBackend<BlockSize = U16>>(
        &mut self,
        backend: &B,
        number: u32,
        block: &mut [u8; BLOCK_OCTETS],
        len: usize,
    ) {
        let counter = u128::from_be_bytes(self.counter.0) | u128::from(number);
        let mut stream = Block::from(counter.to_be_bytes());
        encrypt_both(backend, &mut self.mac, &mut stream);
        if self.direction == Direction::Seal {
            xor(&mut self.mac.0, block);
        }
        xor(block, &stream.0);
        block[len..].fill(0);
        if self.direction == Direction::Open {
            xor(&mut self.mac.0, block);
        }
    }

    /// RFC 3610 section 2.2: the head, behind its length of two octets.
    #[inline(always)]
    fn authenticate_head<B: BlockCipherEncBackend<BlockSize = U16>>(&mut self, backend: &B) {
        let Some(len) = u16::try_from(self.aad.len()).ok().filter(|len| *len < 0xff00) else {
            panic!("heads are far below 2^16 - 2^8 octets");
        };
        if len == 0 {
            return;
        }
        let (first, rest) = self.aad.split_at(self.aad.len().min(BLOCK_OCTETS - 2));
        backend.encrypt_block((&mut self.mac).into());
        let mut block = [0; BLOCK_OCTETS];
        block[..2].copy_from_slice(&len.to_be_bytes());
        block[2..][..first.len()].copy_from_slice(first);
        xor(&mut self.mac.0, &block);
        for chunk in rest.chunks(BLOCK_OCTETS) {
            backend.encrypt_block((&mut self.mac).into());
            let mut block = [0; BLOCK_OCTETS];
            block[..chunk.len()].copy_from_slice(chunk);
            xor(&mut self.mac.0, &block);
        }
    }
}

/// Two blocks that do not wait for each other. A backend that does several at once does both in the time
/// of one; a processor with AES instructions overlaps them by itself.
#[inline(always)]
fn encrypt_both<B: BlockCipherEncBackend<BlockSize = U16>>(
    backend: &B,
    one: &mut Block,
    other: &mut Block,
) {
    if matches!(B::ParBlocksSize::USIZE, 2 | 4) {
        let mut blocks = ParBlocks::<B>::default();
        (blocks[0], blocks[1]) = (*one, *other);
        backend.encrypt_par_blocks((&mut blocks).into());
        (*one, *other) = (blocks[0], blocks[1]);
    } else {
        backend.encrypt_block(one.into());
        backend.encrypt_block(other.into());
    }
}

#[inline(always)]
fn xor(into: &mut [u8; BLOCK_OCTETS], octets: &[u8; BLOCK_OCTETS]) {
    *into = (u128::from_ne_bytes(*into) ^ u128::from_ne_bytes(*octets)).to_ne_bytes();
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use ccm::aead::AeadInOut;
    use ccm::consts::{U4, U8, U12, U13};
    use lowgate_testkit::hex;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// What a chip's engine does, without the chip.
    struct OneBlock;

    impl AesEngine for OneBlock {
        fn encrypt(&self, key: &Key128, block: &mut [u8; 16]) {
            Aes128Enc::new(key.expose().into()).encrypt_block(block.into());
        }
    }

    fn check(key: &str, nonce: &str, aad: &str, plain: &str, sealed: &str) {
        let key = Key128::from_slice(&hex(key)).expect("16 octets");
        let (nonce, aad, plain, sealed) = (hex(nonce), hex(aad), hex(plain), hex(sealed));
        for ccm in [&SoftCcm as &dyn Ccm, &EngineCcm(OneBlock)] {
            let mut octets = plain.clone();
            let mut tag = [0xaa; 16];
            let tag = &mut tag[..sealed.len() - plain.len()];
            ccm.seal(&key, &nonce, &aad, &mut octets, tag);
            assert_eq!([&octets[..], tag].concat(), sealed);
            ccm.open(&key, &nonce, &aad, &mut octets, tag).expect("own tag");
            assert_eq!(octets, plain);
            tag[0] ^= 1;
            assert_eq!(ccm.open(&key, &nonce, &aad, &mut octets, tag), Err(BadTag));
        }
    }

    #[test]
    fn rfc3610_packet_vector_1() {
        check(
            "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",
            "00000003020100a0a1a2a3a4a5",
            "0001020304050607",
            "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e",
            "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0",
        );
    }

    #[test]
    fn ieee802154_2006_c_2_1_1_beacon() {
        check(
            "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",
            "acde4800000000010000000502",
            "08d0842143010000000048deac020500000055cf000051525354",
            "",
            "223bc1ec841ab553",
        );
    }

    #[test]
    fn ieee802154_2006_c_2_3_command() {
        check(
            "c0c1c2c3c4c5c6c7c8c9cacbcccdcecf",
            "acde4800000000010000000506",
            "2bdc842143020000000048deacffff010000000048deac060500000001",
            "ce",
            "d84fde529061f9c6f1",
        );
    }

    #[test]
    fn dtls_record_of_a_public_capture() {
        // The client's first application record in dtls12-aes128ccm8.pcap.
        check(
            "0ec0da229b86ffdbf017f079b13a5e85",
            "4e4dee2f0001000000000001",
            "000100000000000117fefd0020",
            "44544c53312e322074657374207573696e6720476e75544c5320332e352e380a",
            "c2315fbaace18d75d6220ca5fb6d978216d736c454f287b518743b2b32013f33ce62ab214c2a0b9c",
        );
    }

    /// Ours and RustCrypto's `ccm`, which is one more pass over the payload and slower.
    fn check_peer<C: AeadInOut + KeyInit>(nonce: &[u8], tag_len: usize, aad: &[u8], plain: &[u8]) {
        let key = [0x42; 16];
        let peer = C::new_from_slice(&key).expect("128 bits");
        let mut theirs = plain.to_vec();
        let their_nonce = nonce.try_into().expect("its length");
        let their_tag = peer.encrypt_inout_detached(their_nonce, aad, (&mut theirs[..]).into());
        let (key, mut ours, mut tag) = (Key128::new(key), plain.to_vec(), [0; 16]);
        let tag = &mut tag[..tag_len];
        let their_tag = their_tag.expect("short");
        for ccm in [&SoftCcm as &dyn Ccm, &EngineCcm(OneBlock)] {
            ccm.seal(&key, nonce, aad, &mut ours, tag);
            assert_eq!((&ours, &tag[..]), (&theirs, &their_tag[..]));
            assert_eq!(ccm.open(&key, nonce, aad, &mut ours, tag), Ok(()));
            assert_eq!(ours, plain);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn as_another_implementation_does_it(
            nonce: [u8; 13],
            aad in prop::collection::vec(any::<u8>(), 0..70),
            plain in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            check_peer::<ccm::Ccm<aes::Aes128, U4, U13>>(&nonce, 4, &aad, &plain);
            check_peer::<ccm::Ccm<aes::Aes128, U8, U13>>(&nonce, 8, &aad, &plain);
            check_peer::<ccm::Ccm<aes::Aes128, U16, U13>>(&nonce, 16, &aad, &plain);
            check_peer::<ccm::Ccm<aes::Aes128, U8, U12>>(&nonce[..12], 8, &aad, &plain);
        }
    }

    #[test]
    fn more_blocks_than_one_octet_counts() {
        let plain: Vec<u8> = (0..16 * 300 + 5).map(|n| n as u8).collect();
        check_peer::<ccm::Ccm<aes::Aes128, U8, U12>>(&[7; 12], 8, &[1; 13], &plain);
    }
}
