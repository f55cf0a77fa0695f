//! Hashes of passwords, as the C library's `crypt` understands them.

use std::sync::Arc;

use sha_crypt::{PasswordHasher as _, PasswordVerifier as _, ShaCrypt};
use tokio::sync::Semaphore;
use yescrypt::Yescrypt;
use zeroize::Zeroizing;

use super::blocking;
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
    /// The hash is of a kind that this program does not know.
    UnknownScheme,
}

/// Compares in constant time. Takes as long as the hash's own parameters say.
pub(super) fn verify(password: &Password, hash: &str) -> Verdict {
    if check(password).is_err() {
        return Verdict::Wrong;
    }
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
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn what_is_hashed_verifies_and_nothing_else_does() {
        for scheme in [Scheme::Yescrypt, Scheme::Sha512] {
            let hash = scheme.hash(&password("pässword 1")).unwrap();
            assert_eq!(verify(&password("pässword 1"), &hash), Verdict::Right);
            assert_eq!(verify(&password("pässword 2"), &hash), Verdict::Wrong);
            assert_ne!(*hash, *scheme.hash(&password("pässword 1")).unwrap());
        }
    }

    /// Made by `chpasswd` of shadow-utils 4.13 with libxcrypt 4.4 and by `openssl passwd`, for the
    /// password `hunter2`.
    #[test]
    fn hashes_of_the_c_library_verify() {
        for hash in FOREIGN {
            assert_eq!(verify(&password("hunter2"), hash), Verdict::Right, "{hash}");
            assert_eq!(verify(&password("hunter3"), hash), Verdict::Wrong, "{hash}");
        }
    }

    const FOREIGN: &[&str] = &[
        "$y$j9T$h2ZTyGWfbjpCvTS8VQGHM/$dblqdk1ONrjd0Dsvta0jguW1gfr25/hUMzRKi5J2/OC",
        "$6$S7AbY6dMqYddkx9L$wl.X3Godxo4o5OltXkWnBAo6UBpY2hXVdF.ZPTWT/rkBC.KTv4tUCkekqC.jkoMpgSgM1lGf.8BHNIZoY.hv2.",
        "$5$FytGMX1TPk3Qryy9$3sBcVFEC/1JkKf6NluZ89v2/BI9jjM3oEMnODkkIMn4",
        "$6$n6SizVtQHyftrHxJ$BGiyTw1Ts4mnGplUuwdJ4jgjHMJ3.MdTWaFWLXEvpJOYtte91eojTcMynjWKZu1fsf0HFLIN1zJSde.Dmfd45.",
        "$5$abc$aw8kcfRnzkuA1XFRzd1AgTNuyzM2RdMYKc3X22kKYc0",
        "$6$rounds=20000$ABinuupv/kkqZnvN$BaY3ljnJHHP9a7lNxF2XnoNZC5xIenv86pGocjLJkcCz4EjviqjqvrF22i53NJ1nW6t49qi1Sb0Sb718rDb6Q.",
    ];

    #[test]
    fn a_password_that_crypt_would_cut_short_is_refused() {
        for bad in ["a\0b", "a\nb", &"x".repeat(512)] {
            assert!(Scheme::Sha512.hash(&password(bad)).is_err(), "{bad:?}");
            assert_eq!(verify(&password(bad), FOREIGN[0]), Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn a_comparison_whose_caller_goes_away_keeps_its_place_to_its_end() {
        let hashing = Hashing(Arc::new(Semaphore::new(1)));
        let (begun, has_begun) = std::sync::mpsc::channel();
        let (end, may_end) = std::sync::mpsc::channel::<()>();
        let caller = tokio::spawn({
            let hashing = hashing.clone();
            async move {
                let work = move || {
                    begun.send(()).unwrap();
                    may_end.recv().unwrap();
                    Ok(())
                };
                hashing.run(work).await
            }
        });
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap())
            .await
            .unwrap();
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        assert!(hashing.0.try_acquire().is_err());
        end.send(()).unwrap();
        hashing.run(|| Ok(())).await.unwrap();
    }

    #[test]
    fn a_field_that_is_no_hash_fits_no_password() {
        for field in [
            "",
            "*",
            "!",
            "x",
            "$y$",
            "$6$",
            "$y$j9T$$",
            "$6$rounds=x$a$b",
            "$1$a$b",
        ] {
            assert_ne!(verify(&password("*"), field), Verdict::Right, "{field}");
        }
    }
}
