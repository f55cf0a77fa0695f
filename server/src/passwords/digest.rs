//! Salted slow digests (scrypt, RFC 7914) of what is only ever compared: answers, earlier
//! passwords, dictionary words.
//!
//! Few are computed at once and few may wait, whoever asks: neither memory nor processors can be
//! exhausted by asking.

use std::sync::{Arc, LazyLock};

use rand::RngExt;
use scrypt::Params;
use subtle::ConstantTimeEq;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::Zeroizing;

/// Version of a stored digest.
const VERSION: u8 = 1;
/// Bytes of a salt.
const SALT_LEN: usize = 16;
/// Version, cost and salt.
const RECIPE_LEN: usize = 4 + SALT_LEN;
/// Bytes of a digest without its recipe.
const VALUE_LEN: usize = 32;
/// No recipe, wherever it comes from, makes this program take more memory than this, in bytes.
const MAX_MEMORY: u64 = 64 << 20;
/// Computed at once in the whole process: with [`Cost::PASSWORD`] they take 32 MiB.
const AT_ONCE: usize = 2;
/// Computed and waiting; one more is refused.
const MAX_PENDING: usize = 64;
/// The same of log-ins. They have a budget of their own: whoever guesses passwords keeps nobody
/// else from a digest.
const LOG_INS_AT_ONCE: usize = 1;
const MAX_LOG_INS_PENDING: usize = 16;

/// Why there is no digest. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Too many were asked for at once.
    #[error(
        "as many passwords or answers are being checked already as may be at once: nothing was changed; try again in a moment"
    )]
    Busy,
    /// What is stored is no digest of this program's.
    #[error(
        "a stored digest is of a later version or damaged: install the newer version again, or restore the repository from a backup"
    )]
    Malformed,
    /// The server is about to end.
    #[error("the server is stopping")]
    Stopping,
}

/// What a digest costs: scrypt's parameters. Each takes `128 · r · N` bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    log_n: u8,
    r: u8,
    p: u8,
}

impl Cost {
    /// For what people choose: N = 2^14, r = 8, p = 5 (16 MiB), one of the equivalent settings that
    /// OWASP gives as its minimum.
    pub const PASSWORD: Self = Self {
        log_n: 14,
        r: 8,
        p: 5,
    };
    /// For dictionary words, of which there are tens of thousands and which are seldom secret: N =
    /// 2^10, r = 8, p = 1 (1 MiB).
    pub const WORD: Self = Self {
        log_n: 10,
        r: 8,
        p: 1,
    };

    fn params(self) -> Result<Params, DigestError> {
        let memory = 128_u64
            .checked_shl(self.log_n.into())
            .and_then(|bytes| bytes.checked_mul(self.r.into()));
        let sound = self.log_n < 32 && memory.is_some_and(|bytes| bytes <= MAX_MEMORY);
        if !sound {
            return Err(DigestError::Malformed);
        }
        Params::new(self.log_n, self.r.into(), self.p.into()).map_err(|_| DigestError::Malformed)
    }
}

/// How a digest is computed: cost and salt. Digests of one recipe can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    cost: Cost,
    salt: [u8; SALT_LEN],
}

impl Recipe {
    /// A new random salt.
    pub fn random(cost: Cost) -> Self {
        Self {
            cost,
            salt: rand::rng().random(),
        }
    }

    /// Its cost.
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    /// As it is stored: version, log2 of N, r, p (1 byte each), salt (16 bytes).
    pub fn to_bytes(self) -> Zeroizing<Vec<u8>> {
        let Cost { log_n, r, p } = self.cost;
        let mut bytes = Zeroizing::new(vec![VERSION, log_n, r, p]);
        bytes.extend_from_slice(&self.salt);
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`DigestError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DigestError> {
        let Some((&[VERSION, log_n, r, p], salt)) = bytes.split_first_chunk() else {
            return Err(DigestError::Malformed);
        };
        let cost = Cost { log_n, r, p };
        cost.params()?;
        Ok(Self {
            cost,
            salt: salt.try_into().map_err(|_| DigestError::Malformed)?,
        })
    }

    fn compute(&self, secret: &[u8]) -> Result<Digest, DigestError> {
        let mut value = Zeroizing::new([0; VALUE_LEN]);
        scrypt::scrypt(
            secret,
            &self.salt,
            &self.cost.params()?,
            value.as_mut_slice(),
        )
        .map_err(|_| DigestError::Malformed)?;
        Ok(Digest {
            recipe: *self,
            value,
        })
    }
}

/// A digest with its recipe.
#[derive(Clone)]
pub struct Digest {
    recipe: Recipe,
    value: Zeroizing<[u8; VALUE_LEN]>,
}

impl Digest {
    /// How it was computed.
    pub const fn recipe(&self) -> Recipe {
        self.recipe
    }

    /// Its 32 bytes, without the recipe.
    pub fn value(&self) -> &[u8; VALUE_LEN] {
        &self.value
    }

    /// As it is stored: the recipe, then 32 bytes.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = self.recipe.to_bytes();
        bytes.extend_from_slice(self.value.as_slice());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`DigestError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DigestError> {
        let (recipe, value) = bytes
            .split_at_checked(RECIPE_LEN)
            .ok_or(DigestError::Malformed)?;
        Ok(Self {
            recipe: Recipe::from_bytes(recipe)?,
            value: Zeroizing::new(value.try_into().map_err(|_| DigestError::Malformed)?),
        })
    }

    /// Are they digests of one secret, by one recipe? Takes the same time whatever the values are.
    pub fn matches(&self, other: &Self) -> bool {
        self.recipe == other.recipe && bool::from(self.value.ct_eq(other.value.as_slice()))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Digest").finish_non_exhaustive()
    }
}

/// The digests of `secrets`, in their order. Takes its turn among all that are asked for.
///
/// # Errors
/// [`DigestError`].
pub async fn digests(
    recipe: Recipe,
    secrets: Vec<Zeroizing<Vec<u8>>>,
) -> Result<Vec<Digest>, DigestError> {
    in_turn(&ANYBODY, recipe, secrets).await
}

/// The digest of a password by which somebody logs in. Takes its turn among log-ins alone.
///
/// # Errors
/// [`DigestError`].
pub async fn digest_of_log_in(recipe: Recipe, password: &[u8]) -> Result<Digest, DigestError> {
    let secrets = vec![Zeroizing::new(password.to_vec())];
    let digests = in_turn(&LOG_INS, recipe, secrets).await?;
    digests.into_iter().next().ok_or(DigestError::Malformed)
}

async fn in_turn(
    queue: &'static LazyLock<Queue>,
    recipe: Recipe,
    secrets: Vec<Zeroizing<Vec<u8>>>,
) -> Result<Vec<Digest>, DigestError> {
    let turn = queue.turn().await?;
    let work = move || {
        // Held until the work is done, also where nobody waits for it any more.
        let _turn = turn;
        secrets
            .iter()
            .map(|secret| recipe.compute(secret))
            .collect()
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| DigestError::Stopping)?
}

/// The digest of one secret: as [`digests`].
///
/// # Errors
/// [`DigestError`].
pub async fn digest(recipe: Recipe, secret: &[u8]) -> Result<Digest, DigestError> {
    let secrets = vec![Zeroizing::new(secret.to_vec())];
    digests(recipe, secrets)
        .await?
        .pop()
        .ok_or(DigestError::Malformed)
}

struct Turn {
    _running: OwnedSemaphorePermit,
    _pending: OwnedSemaphorePermit,
}

/// Who waits for a digest, and whose is being computed.
struct Queue {
    pending: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

static ANYBODY: LazyLock<Queue> = LazyLock::new(|| Queue::new(MAX_PENDING, AT_ONCE));
static LOG_INS: LazyLock<Queue> =
    LazyLock::new(|| Queue::new(MAX_LOG_INS_PENDING, LOG_INS_AT_ONCE));

impl Queue {
    fn new(pending: usize, running: usize) -> Self {
        Self {
            pending: Arc::new(Semaphore::new(pending)),
            running: Arc::new(Semaphore::new(running)),
        }
    }

    async fn turn(&self) -> Result<Turn, DigestError> {
        let pending = Arc::clone(&self.pending)
            .try_acquire_owned()
            .map_err(|_| DigestError::Busy)?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| DigestError::Stopping)?;
        Ok(Turn {
            _running: running,
            _pending: pending,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7914, 12: the third vector has the parameters of a password but p = 1.
    #[test]
    fn the_vector_of_the_standard_comes_out() {
        let params = Cost {
            log_n: 14,
            r: 8,
            p: 1,
        }
        .params()
        .unwrap();
        let mut out = [0; 64];
        scrypt::scrypt(b"pleaseletmein", b"SodiumChloride", &params, &mut out).unwrap();
        let hex = data_encoding::HEXLOWER.encode(&out);
        assert!(hex.starts_with("7023bdcb3afd7348461c06cd81fd38eb"), "{hex}");
    }

    #[test]
    fn a_digest_is_read_as_it_was_stored_and_matches_its_secret_only() {
        let recipe = Recipe::random(Cost::WORD);
        let one = recipe.compute(b"one").unwrap();
        let read = Digest::from_bytes(&one.to_bytes()).unwrap();
        assert!(read.matches(&recipe.compute(b"one").unwrap()));
        assert!(!read.matches(&recipe.compute(b"two").unwrap()));
        let salted_anew = Recipe::random(Cost::WORD).compute(b"one").unwrap();
        assert!(!read.matches(&salted_anew));
        assert_ne!(read.value(), salted_anew.value());
    }

    #[test]
    fn what_is_no_digest_or_would_take_too_much_is_refused() {
        let bytes = Recipe::random(Cost::WORD)
            .compute(b"one")
            .unwrap()
            .to_bytes();
        for cut in 0..bytes.len() {
            let error = Digest::from_bytes(&bytes[..cut]).unwrap_err();
            assert_eq!(error, DigestError::Malformed, "{cut}");
        }
        for (at, value) in [(0, 2), (1, 20), (1, 64), (1, 255), (2, 0), (2, 255), (3, 0)] {
            let mut changed = bytes.clone();
            changed[at] = value;
            if (at, value) == (2, 255) {
                changed[1] = 12;
            }
            let error = Digest::from_bytes(&changed).unwrap_err();
            assert_eq!(error, DigestError::Malformed, "byte {at} = {value}");
        }
    }

    #[tokio::test]
    async fn more_than_may_wait_are_refused_and_the_others_come_to_their_end() {
        let recipe = Recipe::random(Cost::WORD);
        let asked: Vec<_> = (0..MAX_PENDING * 2)
            .map(|_| tokio::spawn(async move { digest(recipe, b"one").await }))
            .collect();
        let mut done = 0;
        for task in asked {
            match task.await.unwrap() {
                Ok(_) => done += 1,
                Err(error) => assert_eq!(error, DigestError::Busy),
            }
        }
        assert!((1..MAX_PENDING * 2).contains(&done), "{done}");
        digest(recipe, b"one").await.unwrap();
    }
}
