//! Hashes of passwords, as the C library's `crypt` understands them.

use std::sync::Arc;

use sha_crypt::{PasswordHasher as _, PasswordVerifier as _, ShaCrypt};
use tokio::sync::Semaphore;
use yescrypt::Yescrypt;
use zeroize::Zeroizing;

use super::blocking;
use crate::host_crypt::HostCrypt;
use crate::model::{Failure, Password};

/// Bytes of a password that `crypt` and PAM take; longer ones would be cut off or refused at login.
const MAX_LEN: usize = 511;

/// Rounds of SHA-512-crypt: a tenth of a second or so.
const SHA512_ROUNDS: u32 = 100_000;

/// Hashes and comparisons under way at once: one for each processor. One takes a tenth of a second
/// and 16 MiB, and cannot be stopped; so it keeps its place to its end, even where the caller goes
/// away and asks again and again.
#[derive(Clone, Debug)]
pub(super) struct Hashing(Arc<Semaphore>);

impl Hashing {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(processors)))
    }

    /// Does the work, off the threads that serve the other calls, when its turn comes.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let place = Arc::clone(&self.0)
            .acquire_owned()
            .await
            .map_err(|_| Failure::internal("the gateway is stopping"))?;
        blocking(move || {
            let result = work();
            drop(place);
            result
        })
        .await
    }
}

/// How new passwords are hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `$y$`: memory-hard, what current distributions use.
    #[default]
    Yescrypt,
    /// `$6$`: for hosts whose C library is older, or whose policy allows SHA-2 only.
    Sha512,
}

impl Scheme {
    /// The scheme of this name in the configuration.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "yescrypt" => Some(Self::Yescrypt),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// Hashes a password with fresh salt. Takes a tenth of a second of processor time.
    pub(super) fn hash(self, password: &Password) -> Result<Zeroizing<String>, Failure> {
        check(password)?;
        let salt: [u8; 16] = rand::random();
        let failed =
            |error| Failure::internal(format!("the password could not be hashed: {error}"));
        let hash = match self {
            Self::Yescrypt => Yescrypt::default()
                .hash_password_with_salt(password.expose(), &salt)
                .map_err(|error| failed(error.to_string()))?
                .to_string(),
            Self::Sha512 => {
                let rounds = sha_crypt::Params::new(SHA512_ROUNDS)
                    .map_err(|error| failed(error.to_string()))?;
                // Sixteen characters of salt, the most that the scheme takes.
                let salt = salt.first_chunk::<12>().unwrap_or(&[0; 12]);
                ShaCrypt::new(sha_crypt::Algorithm::Sha512Crypt, rounds)
                    .hash_password_with_salt(password.expose(), salt)
                    .map_err(|error| failed(error.to_string()))?
                    .to_string()
            }
        };
        Ok(Zeroizing::new(hash))
    }
}

/// What came of comparing a password with a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// The hash is of a kind that neither the host nor this program knows.
    UnknownScheme,
}

/// Compares passwords with hashes.
#[derive(Debug)]
pub(super) struct Verifier {
    /// The host's own crypt(3), if it has one: what it takes, a login takes.
    host: Option<HostCrypt>,
}

impl Verifier {
    pub(super) fn new() -> Self {
        Self {
            host: HostCrypt::load(),
        }
    }

    /// One that knows only the schemes of this program, as on a host without libcrypt.
    #[cfg(test)]
    pub(super) fn without_host() -> Self {
        Self { host: None }
    }

    /// Compares in constant time. Takes as long as the hash's own parameters say.
    pub(super) fn verify(&self, password: &Password, hash: &str) -> Verdict {
        if check(password).is_err() {
            return Verdict::Wrong;
        }
        let host = self.host.as_ref();
        match host.and_then(|host| host.fits(password.expose(), hash)) {
            Some(true) => Verdict::Right,
            Some(false) => Verdict::Wrong,
            None => by_ourselves(password, hash),
        }
    }
}

fn by_ourselves(password: &Password, hash: &str) -> Verdict {
    let right = if hash.starts_with("$y$") {
        Yescrypt::default().verify_password(password.expose(), hash)
    } else if hash.starts_with("$5$") || hash.starts_with("$6$") {
        ShaCrypt::default().verify_password(password.expose(), hash)
    } else {
        return Verdict::UnknownScheme;
    };
    match right {
        Ok(()) => Verdict::Right,
        Err(_) => Verdict::Wrong,
    }
}

/// A password that `crypt` would cut short, or that nobody could type at a login, is refused.
fn check(password: &Password) -> Result<(), Failure> {
    let bytes = password.expose();
    if bytes.len() > MAX_LEN {
        return Err(Failure::invalid(format!(
            "the password has more than {MAX_LEN} bytes, the most that a unix login takes"
        )));
    }
    if bytes.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r')) {
        return Err(Failure::invalid(
            "the password holds a NUL character or a line break, which no unix login takes",
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/password.rs"]
mod tests;
