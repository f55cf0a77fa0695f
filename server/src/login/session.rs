//! What somebody presents who has logged in, and whom it makes them.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use portcullis_common::rotation::UnixMillis;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::limits::{Limits, Times};
use crate::access::{Authentication, Caller, PeerFacts};
use crate::audit::Subject;
use crate::repository::{Repository, RepositoryError, Session};

/// Bytes of randomness.
const LEN: usize = 32;
/// Bytes of the digest that make up the id.
const ID_LEN: usize = 10;
/// What a secret begins with, so that it is known where it turns up.
const PREFIX: &str = "pcs_";

/// What a session is known by: whoever has it is its user. The repository has its digest alone.
#[derive(Clone)]
pub struct SessionSecret(Zeroizing<[u8; LEN]>);

impl SessionSecret {
    /// A new one.
    pub fn random() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    /// From its text; `None`: it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX)?;
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).ok();
        let bytes = Zeroizing::new(bytes?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// As it is presented.
    pub fn text(&self) -> Zeroizing<String> {
        let encoded = Zeroizing::new(BASE64URL_NOPAD.encode(self.0.as_slice()));
        Zeroizing::new(format!("{PREFIX}{}", encoded.as_str()))
    }

    /// As people name the session: no secret.
    pub fn id(&self) -> String {
        format!("se-{}", HEXLOWER.encode(&self.digest()[..ID_LEN]))
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_slice()).into()
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret([redacted])")
    }
}

/// Why a session does not count. Whoever presents what was one is told why it is over.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such session: it was ended, or never was.
    #[error("there is no such session (any more): log in again (`portcullis login`)")]
    Unknown,
    /// It was idle, or lasted, for as long as it may.
    #[error(
        "session {0} is over, by the limits of its application: log in again (`portcullis login`)"
    )]
    Over(String),
    /// Another one took its place.
    #[error(
        "session {id} has ended: its user has logged in again, and one session at a time is allowed; the newer one is {by}. If that was not you, change the password; else log in again (`portcullis login`)"
    )]
    Superseded {
        /// The session.
        id: String,
        /// The one that took its place.
        by: String,
    },
    /// The repository cannot be read, or the record was put in by hand.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// Whom a bearer's session makes them, whoever the other end of the connection is: its user, with
/// the rights that this user has now.
///
/// # Errors
/// [`Refusal`].
pub async fn caller_of(
    repository: &Repository,
    bearer: &str,
    from: PeerFacts,
) -> Result<Caller, Refusal> {
    let session = counting(repository, bearer).await?;
    caller(repository, &session, from).await
}

/// As [`caller_of`], for what began under a session and goes on: to watch is not to use it.
///
/// # Errors
/// [`Refusal`]: it is to end.
pub async fn still_caller_of(
    repository: &Repository,
    bearer: &str,
    from: PeerFacts,
) -> Result<Caller, Refusal> {
    let (session, now) = presented(repository, bearer).await?;
    must_count(&session, now)?;
    caller(repository, &session, from).await
}

async fn caller(
    repository: &Repository,
    session: &Session,
    from: PeerFacts,
) -> Result<Caller, Refusal> {
    let held = repository.administrators().held_by(&session.user).await?;
    let held = held.ok_or(Refusal::Unknown)?;
    let subject = Subject::logged_in(&session.user);
    Ok(Caller {
        from,
        ..Caller::everywhere(subject, Authentication::Session, held)
    })
}

/// A user who has logged in at another server on the repository, which vouches for that.
///
/// # Errors
/// [`RepositoryError`]: nobody knows what they may do.
pub async fn known_here(repository: &Repository, user: &str) -> Result<Caller, RepositoryError> {
    let held = repository.administrators().held_by(user).await?;
    let (subject, held) = (Subject::logged_in(user), held.unwrap_or_default());
    Ok(Caller::everywhere(
        subject,
        Authentication::OtherServer,
        held,
    ))
}

/// Ends the session that is presented, also one that is over. Gives it.
///
/// # Errors
/// [`Refusal`].
pub async fn log_out(repository: &Repository, bearer: &str) -> Result<Session, Refusal> {
    let session = presented(repository, bearer).await?.0;
    let ended = repository.sessions().end(&session.id, None).await?;
    ended.ok_or(Refusal::Unknown)
}

async fn counting(repository: &Repository, bearer: &str) -> Result<Session, Refusal> {
    let (session, now) = presented(repository, bearer).await?;
    if must_count(&session, now)?.is_to_be_written(now) {
        repository.sessions().use_now(&session.id).await?;
    }
    Ok(session)
}

/// How long a session lasts, and since when.
pub fn terms(session: &Session) -> (Limits, Times) {
    let limits = Limits {
        idle_ms: session.idle_ms,
        absolute_ms: session.absolute_ms,
    };
    let times = Times {
        made: session.made,
        used: session.used,
    };
    (limits, times)
}

fn must_count(session: &Session, now: UnixMillis) -> Result<Times, Refusal> {
    let id = session.id.clone();
    if let Some(by) = session.superseded_by.clone() {
        return Err(Refusal::Superseded { id, by });
    }
    let (limits, times) = terms(session);
    match limits.is_over(times, now) {
        true => Err(Refusal::Over(id)),
        false => Ok(times),
    }
}

async fn presented(
    repository: &Repository,
    bearer: &str,
) -> Result<(Session, UnixMillis), Refusal> {
    let secret = SessionSecret::parse(bearer).ok_or(Refusal::Unknown)?;
    let found = repository.sessions().find(&secret.id()).await?;
    let (session, now) = found.ok_or(Refusal::Unknown)?;
    match bool::from(session.digest.ct_eq(&secret.digest())) {
        true => Ok((session, now)),
        false => Err(Refusal::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_as_it_is_presented_and_nothing_shows_it() {
        let secret = SessionSecret::random();
        let text = secret.text();
        let read = SessionSecret::parse(&text).unwrap();
        assert_eq!(read.id(), secret.id());
        assert_eq!(text.len(), 4 + 43);
        assert_eq!(format!("{secret:?}"), "SessionSecret([redacted])");
        assert!(!secret.id().contains(&text[4..10]));
        for other in [
            "",
            "pcs_",
            &text[4..],
            &text[..46],
            &format!("{}A", text.as_str()),
            &text.replace("pcs_", "pct_"),
        ] {
            assert!(SessionSecret::parse(other).is_none(), "{other}");
        }
    }
}
