//! What is measured: the addition of the keystream, by every backend and by its peers.

use des::TdesEde3;
use des::cipher::{Block, BlockCipherEncrypt, KeyInit};
use portcullis_common::crypto::keystream::Keystream;
use portcullis_tdes::{BLOCK_LEN, Backend, Features, KEY_LEN};

use super::openssl::{OpenSsl, OpenSslError};

const KEY: [u8; KEY_LEN] = *b"a key to measure with: 3";

/// The peer that the targets are multiples of.
pub(super) const OPENSSL: &str = "OpenSSL";
/// The scalar cipher of the same name.
pub(super) const DES_CRATE: &str = "des crate";

/// Enciphers data in place.
type Apply = dyn FnMut(&mut [u8]);

/// One way to add the keystream of counter mode to data, each call going on where the one before it
/// ended.
pub(super) struct Peer {
    /// What it is called in the report.
    pub(super) name: &'static str,
    apply: Box<Apply>,
}

impl Peer {
    /// All that this machine has, OpenSSL first, each at the beginning of the same keystream.
    /// Without OpenSSL, why.
    pub(super) fn all() -> (Vec<Self>, Option<OpenSslError>) {
        let mut peers = Vec::new();
        let missing = match OpenSsl::new(&KEY) {
            Ok(mut openssl) => {
                peers.push(Self::by_blocks(OPENSSL, move |counters, keystream| {
                    // What it may have left undone shows in the check of the keystream.
                    openssl.encipher(counters, keystream);
                }));
                None
            }
            Err(error) => Some(error),
        };
        let des = TdesEde3::new(&KEY.into());
        peers.push(Self::by_blocks(DES_CRATE, move |counters, keystream| {
            keystream.copy_from_slice(counters);
            let blocks = Block::<TdesEde3>::slice_as_chunks_mut(keystream).0;
            des.encrypt_blocks(blocks);
        }));
        peers.extend(Backend::available(Features::detected()).map(|backend| {
            let mut keystream = Keystream::with_backend(&KEY, backend);
            Self {
                name: backend.name(),
                apply: Box::new(move |data| keystream.apply(data)),
            }
        }));
        (peers, missing)
    }

    /// Enciphers `data`, a multiple of a block.
    pub(super) fn apply(&mut self, data: &mut [u8]) {
        (self.apply)(data);
    }

    /// Counter mode of a cipher that enciphers blocks into other blocks.
    fn by_blocks(name: &'static str, mut encipher: impl FnMut(&[u8], &mut [u8]) + 'static) -> Self {
        let mut counter = 0_u64;
        let (mut counters, mut keystream) = (Vec::new(), Vec::new());
        let apply = move |data: &mut [u8]| {
            counters.resize(data.len(), 0);
            keystream.resize(data.len(), 0);
            for block in counters.as_chunks_mut::<BLOCK_LEN>().0 {
                *block = counter.to_be_bytes();
                counter += 1;
            }
            encipher(&counters, &mut keystream);
            for (byte, key) in data.iter_mut().zip(&keystream) {
                *byte ^= key;
            }
        };
        Self {
            name,
            apply: Box::new(apply),
        }
    }
}
