//! Hashes of the accounts' passwords, as crypt(3) writes them.

use std::sync::Arc;

use sha_crypt::{PasswordHasher as _, PasswordVerifier as _, ShaCrypt};
use tokio::sync::Semaphore;
use yescrypt::Yescrypt;
use zeroize::Zeroizing;

use super::platform;
use crate::model::{Failure, Password};

/// Rounds of SHA-512-crypt: a tenth of a second or so.
const SHA512_ROUNDS: u32 = 100_000;

/// How a password is given to a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) enum Scheme {
    /// As it is: the statement hashes it.
    #[default]
    Statement,
    /// `$y$`, which needs much memory.
    Yescrypt,
    /// `$6$`.
    Sha512,
}

impl Scheme {
    /// Every one of them.
    pub(in super::super) const ALL: [Self; 3] = [Self::Statement, Self::Yescrypt, Self::Sha512];

    /// The spelling of the configuration.
    pub(in super::super) const fn name(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Yescrypt => "yescrypt",
            Self::Sha512 => "sha512",
        }
    }
}

/// Hashes and compares, off the threads that serve the other calls, one for each processor.
#[derive(Debug)]
pub(in super::super) struct Hashing {
    scheme: Scheme,
    /// A hash of nobody's password: what an unknown account's is compared with.
    decoy: tokio::sync::OnceCell<Zeroizing<String>>,
    room: Arc<Semaphore>,
}

impl Hashing {
    pub(in super::super) fn new(scheme: Scheme) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            scheme,
            decoy: tokio::sync::OnceCell::new(),
            room: Arc::new(Semaphore::new(processors)),
        }
    }

    /// What a statement is given for a password.
    pub(in super::super) async fn sent(
        &self,
        password: &Password,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if password.expose().contains(&0) || std::str::from_utf8(password.expose()).is_err() {
            return Err(Failure::invalid(
                "the password holds a NUL character or is no UTF-8, which no text of a database can be",
            ));
        }
        if self.scheme == Scheme::Statement {
            return Ok(Zeroizing::new(password.expose().to_vec()));
        }
        let hash = self.hash(password.clone()).await?;
        Ok(Zeroizing::new(hash.as_bytes().to_vec()))
    }

    async fn hash(&self, password: Password) -> Result<Zeroizing<String>, Failure> {
        let scheme = self.scheme;
        self.run(move || hash(scheme, &password)).await
    }

    /// Whether a password has the hash that is stored, or the answer in the same time where none is
    /// stored.
    pub(in super::super) async fn fits(
        &self,
        password: &Password,
        stored: Option<Zeroizing<String>>,
    ) -> Result<bool, Failure> {
        let is_known = stored.is_some();
        let compared = match stored {
            Some(stored) => stored,
            None => self.decoy().await?,
        };
        let password = password.clone();
        let fits = self.run(move || fits(&password, &compared)).await?;
        Ok(fits && is_known)
    }

    async fn decoy(&self) -> Result<Zeroizing<String>, Failure> {
        let made = self.decoy.get_or_try_init(|| async {
            let scheme = match self.scheme {
                Scheme::Statement => Scheme::Sha512,
                scheme => scheme,
            };
            let random: [u8; 16] = rand::random();
            let nobodys = Password::new(random.to_vec());
            let nobodys = nobodys.ok_or_else(|| Failure::internal("no password"))?;
            self.run(move || hash(scheme, &nobodys)).await
        });
        made.await.cloned()
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let stopping = |_| Failure::internal("the gateway is stopping");
        let place = Arc::clone(&self.room)
            .acquire_owned()
            .await
            .map_err(stopping)?;
        let working = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        working
            .await
            .unwrap_or_else(|_| Err(Failure::internal("the gateway failed; its log says more")))
    }
}

fn hash(scheme: Scheme, password: &Password) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::internal(format!("the password could not be hashed: {error}"))
    };
    let salt: [u8; 16] = rand::random();
    let hash = match scheme {
        Scheme::Yescrypt => Yescrypt::default()
            .hash_password_with_salt(password.expose(), &salt)
            .map_err(|error| failed(&error))?
            .to_string(),
        Scheme::Sha512 | Scheme::Statement => {
            let rounds = sha_crypt::Params::new(SHA512_ROUNDS).map_err(|error| failed(&error))?;
            // Sixteen characters of salt, the most that the scheme takes.
            let salt = salt.first_chunk::<12>().unwrap_or(&[0; 12]);
            ShaCrypt::new(sha_crypt::Algorithm::Sha512Crypt, rounds)
                .hash_password_with_salt(password.expose(), salt)
                .map_err(|error| failed(&error))?
                .to_string()
        }
    };
    Ok(Zeroizing::new(hash))
}

/// Compares in constant time; it takes as long as the hash's own parameters say.
fn fits(password: &Password, stored: &str) -> Result<bool, Failure> {
    let own = if stored.starts_with("$y$") {
        Yescrypt::default().verify_password(password.expose(), stored)
    } else if stored.starts_with("$5$") || stored.starts_with("$6$") {
        ShaCrypt::default().verify_password(password.expose(), stored)
    } else {
        return platform::fits(password.expose(), stored).ok_or_else(|| {
            Failure::unsupported(
                "the account's password is hashed by a scheme that neither the gateway nor crypt(3) of its host knows: have the statement of `authenticate` compare it, or set the password anew",
            )
        });
    };
    Ok(own.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.as_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_was_hashed_fits_and_nothing_else_does() {
        for scheme in [Scheme::Yescrypt, Scheme::Sha512] {
            let hashing = Hashing::new(scheme);
            let sent = hashing.sent(&password("right")).await.unwrap();
            let stored = || Some(Zeroizing::new(String::from_utf8(sent.to_vec()).unwrap()));
            assert!(!stored().unwrap().contains("right"));
            assert!(hashing.fits(&password("right"), stored()).await.unwrap());
            assert!(!hashing.fits(&password("wrong"), stored()).await.unwrap());
            assert!(!hashing.fits(&password("right"), None).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_statement_gets_the_password_as_it_is_and_no_nul() {
        let hashing = Hashing::new(Scheme::Statement);
        assert_eq!(*hashing.sent(&password("right")).await.unwrap(), b"right");
        assert!(hashing.sent(&password("a\0b")).await.is_err());
    }

    #[tokio::test]
    async fn a_hash_of_no_known_scheme_is_told_from_a_wrong_password() {
        let hashing = Hashing::new(Scheme::Sha512);
        let stored = Some(Zeroizing::new("{SSHA}abcdef".to_owned()));
        let failure = hashing.fits(&password("x"), stored).await.unwrap_err();
        assert!(failure.is_unsupported());
    }
}
