//! HMAC-SHA256 (FIPS 198-1, RFC 2104) with comparison in constant time.

use std::fmt;

use hmac::digest::FixedOutput;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::secret::locked::{Locked, LockedBytes};
use crate::secret::stack;

/// Bytes of a full tag.
pub const TAG_LEN: usize = 32;
/// Bytes of the keys used here: as long as the tag.
pub const MAC_KEY_LEN: usize = 32;

const SHA256_BLOCK: usize = 64;

/// Bytes of stack that a tag takes, the half-computed hashes among them, which are as good as the
/// key; a test looks. Twice what the deepest of the builds that were looked at takes (Windows,
/// hashing without SHA extensions).
const TAG_DEPTH: usize = 2048;

/// The tag was made with another key or over other bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the MAC does not verify")]
pub struct BadMac;

/// A key for HMAC-SHA256, in the form of its two half-computed hashes, in locked memory; erased on
/// drop.
#[derive(Clone)]
pub struct MacKey(Locked<Keyed>);

#[derive(Clone)]
struct Keyed(Hmac<Sha256>);

/// The half-computed hashes and their buffer wipe themselves.
impl ZeroizeOnDrop for Keyed {}

impl MacKey {
    /// A key from its 32 bytes.
    pub fn new(bytes: &[u8; MAC_KEY_LEN]) -> Self {
        Self(Locked::make(|| Keyed(keyed(bytes))))
    }

    /// The tag over the concatenation of `parts`.
    pub fn tag(&self, parts: &[&[u8]]) -> Tag {
        let mut tag = [0; TAG_LEN];
        stack::wiped_to::<TAG_DEPTH, _>(|| finish(self.0.0.clone(), parts, &mut tag));
        Tag(tag)
    }

    /// Compares `tag` with the one over the concatenation of `parts`, in constant time. A shorter
    /// `tag` is compared with the first bytes: the caller fixes its length.
    ///
    /// # Errors
    /// [`BadMac`] where they differ, or `tag` is empty or too long.
    pub fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Result<(), BadMac> {
        // The right tag of a forged record must not stay behind.
        let expected = Zeroizing::new(self.tag(parts).0);
        let expected = expected
            .get(..tag.len())
            .filter(|tag| !tag.is_empty())
            .ok_or(BadMac)?;
        if bool::from(expected.ct_eq(tag)) {
            Ok(())
        } else {
            Err(BadMac)
        }
    }
}

impl Prf for MacKey {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8; TAG_LEN]) {
        finish(self.0.0.clone(), parts, out);
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey([redacted])")
    }
}

/// A tag that was made here. One that came from a peer is only ever given to [`MacKey::verify`].
#[derive(Clone, Debug)]
pub struct Tag([u8; TAG_LEN]);

impl Tag {
    /// The bytes to be sent.
    pub const fn to_bytes(&self) -> [u8; TAG_LEN] {
        self.0
    }
}

/// A key under which more are derived: its bytes, or where many are derived under it, the key made
/// ready once. What it gives is a secret, and so is what it leaves on the stack.
pub(crate) trait Prf {
    /// HMAC-SHA256 over the concatenation of `parts`.
    fn prf(&self, parts: &[&[u8]], out: &mut [u8; TAG_LEN]);
}

impl Prf for [u8; MAC_KEY_LEN] {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8; TAG_LEN]) {
        hmac_sha256(self, parts, out);
    }
}

impl Prf for LockedBytes<MAC_KEY_LEN> {
    fn prf(&self, parts: &[&[u8]], out: &mut [u8; TAG_LEN]) {
        hmac_sha256(self, parts, out);
    }
}

/// HMAC-SHA256 as a function, for the key derivations: its result is a secret, and so is what it
/// leaves on the stack.
pub(super) fn hmac_sha256(key: &[u8; MAC_KEY_LEN], parts: &[&[u8]], out: &mut [u8; TAG_LEN]) {
    finish(keyed(key), parts, out);
}

/// A key shorter than a block counts as filled up with zeros (FIPS 198-1, step 3).
fn keyed(key: &[u8; MAC_KEY_LEN]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; SHA256_BLOCK]);
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    Hmac::new((&*block).into())
}

fn finish(mut mac: Hmac<Sha256>, parts: &[&[u8]], out: &mut [u8; TAG_LEN]) {
    for part in parts {
        mac.update(part);
    }
    mac.finalize_into(out.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_cut_or_lengthened_tag_is_refused() {
        let key = MacKey::new(&[7; 32]);
        let tag = key.tag(&[b"left", b"right"]).to_bytes();
        assert_eq!(key.verify(&[b"leftright"], &tag), Ok(()));
        assert_eq!(key.verify(&[b"leftright"], &tag[..16]), Ok(()));
        assert_eq!(key.verify(&[b"leftrighT"], &tag), Err(BadMac));
        assert_eq!(
            MacKey::new(&[8; 32]).verify(&[b"leftright"], &tag),
            Err(BadMac)
        );
        assert_eq!(key.verify(&[b"leftright"], &[]), Err(BadMac));
        assert_eq!(
            key.verify(&[b"leftright"], &[&tag[..], &[0]].concat()),
            Err(BadMac)
        );
        for bit in 0..tag.len() * 8 {
            let mut changed = tag;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                key.verify(&[b"leftright"], &changed),
                Err(BadMac),
                "bit {bit}"
            );
        }
    }

    /// Reads this thread's stack as another program would: through the system.
    #[cfg(all(feature = "locked-memory", target_os = "linux", not(miri)))]
    #[test]
    fn a_tag_leaves_nothing_of_the_key_on_the_stack() {
        use std::fs;
        use std::os::unix::fs::FileExt;

        const BELOW: usize = 32 * 1024;
        /// Has `work` run so deep that the calls which search the stack do not write over what it
        /// leaves.
        #[inline(never)]
        fn deep(work: &dyn Fn()) {
            let above = [0_u8; BELOW / 2];
            std::hint::black_box(&above);
            work();
            std::hint::black_box(&above);
        }
        let memory = fs::File::open("/proc/self/mem").unwrap();
        let key = MacKey::new(&[7; 32]);
        let mut state = [0; size_of::<Keyed>()];
        let address = (&raw const *key.0).addr() as u64;
        memory.read_exact_at(&mut state, address).unwrap();
        let secrets: Vec<_> = state
            .windows(8)
            .filter(|at| at.iter().all(|&byte| byte != 0))
            .collect();
        assert!(secrets.len() > 30, "the state was not found");

        let text = vec![9; 5_000];
        let mut below = vec![0; BELOW];
        let marker = 0_u8;
        let from = ((&raw const marker).addr() - BELOW) as u64;
        let mut left = |work: &dyn Fn()| {
            deep(work);
            memory.read_exact_at(&mut below, from).unwrap();
            let holds = |secret: &&&[u8]| below.windows(8).any(|at| at == **secret);
            secrets.iter().filter(holds).count()
        };
        let careless = left(&|| {
            let mut tag = [0; TAG_LEN];
            finish(key.0.0.clone(), &[&text], &mut tag);
            std::hint::black_box(tag);
        });
        assert!(careless > 0, "this search tells nothing");
        for len in [0, 1, 64, 5_000] {
            let tagged = left(&|| {
                std::hint::black_box(key.tag(&[&[0; 8], &[0; 3], &text[..len]]));
            });
            assert_eq!(tagged, 0, "{len} bytes");
        }
    }

    #[test]
    fn debug_shows_no_key_byte() {
        assert_eq!(
            format!("{:?}", MacKey::new(&[0xAB; 32])),
            "MacKey([redacted])"
        );
    }
}
