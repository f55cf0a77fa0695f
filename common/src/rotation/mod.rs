//! Enrolment, pairing and two-step key rotation, of both sides, as pure state machines.
//!
//! [`GatewayRecord`] is the one record that a gateway stores; [`Registration`] is what the server's
//! repository stores of one gateway. Each transition takes the state as it is stored *now* and
//! gives the state to store before anything further happens: the caller reads, calls and writes
//! under one lock or in one transaction, and only then acts. The simulation drives the same
//! functions.

mod gateway;
mod record_format;
mod server;
mod token;

pub use crate::held_key::{HeldKey, Identity};
pub use crate::time::UnixMillis;
pub use gateway::{
    Begin, EnrolError, GatewayRecord, InstallError, PairingError, RunId, StaleProof,
};
pub use record_format::RecordError;
pub use server::{
    BindError, GatewayKeyInfo, InstallPlan, InstallRefusal, MAX_UNPROVED_INSTALLS, Offer, Policy,
    ProofError, Refusal, Registration, Scope, Standing, TokenState,
};
pub use token::{EnrolmentToken, TokenError};

/// Bytes in a gateway's enrolment nonce.
pub const ENROLMENT_NONCE_LEN: usize = 32;

/// A gateway's enrolment nonce: made and stored before its token is first used, and bound to it by
/// the server.
pub type EnrolmentNonce = [u8; ENROLMENT_NONCE_LEN];
