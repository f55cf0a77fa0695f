//! Why a registration refuses something: for the local log and the administrator, never for the
//! peer.

use super::MAX_UNPROVED_INSTALLS;

/// Why a gateway is refused before message 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Revoked by an administrator.
    #[error(
        "the gateway is revoked: `portcullis gateway restore NAME` gives it a new id and token"
    )]
    Revoked,
    /// Evicted by an administrator.
    #[error("the gateway was evicted: `portcullis gateway token NAME` gives it a new id and token")]
    Evicted,
    /// The only keys that it can hold are compromised.
    #[error(
        "the gateway holds a compromised key: enrol it again with the token from `portcullis gateway token NAME`"
    )]
    Compromised,
    /// It was away longer than retired keys are accepted.
    #[error(
        "the gateway was away longer than retired keys are accepted: enrol it again with the token from `portcullis gateway token NAME`"
    )]
    RetiredTooLong,
    /// It never enrolled, and its token and pairing window are used up or out of time.
    #[error(
        "the gateway has no valid token and pairing is closed: `portcullis gateway token NAME` makes a new token"
    )]
    NoCredential,
}

/// Why a proof of message 4 is not taken: the repository changed since message 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The key is no longer accepted from this gateway.
    #[error(
        "the key that the gateway proved is no longer accepted from it: a newer one was proved meanwhile, or it was refused"
    )]
    NotAccepted,
}

/// Why a token is not bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// Another gateway used it first. An alarm: a token is in two hands.
    #[error(
        "the enrolment token was already used by another gateway: it is in two hands; evict the gateway and find out why"
    )]
    BoundToAnother,
    /// It is no longer there, or out of time.
    #[error(
        "the enrolment token is no longer valid: `portcullis gateway token NAME` makes a new one"
    )]
    NotValid,
}

/// Why nothing may be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallRefusal {
    /// The session's key is no longer accepted.
    #[error("the session's key is no longer accepted from this gateway")]
    NotAccepted,
    /// This session did not show the nonce that the token is bound to.
    #[error("the enrolment token is not bound to a nonce that came through this session")]
    NotBound,
    /// Too many installs were sent without one being proved.
    #[error(
        "{MAX_UNPROVED_INSTALLS} keys were sent to the gateway and none was proved: evict it and enrol it again"
    )]
    TooManyUnproved,
}
