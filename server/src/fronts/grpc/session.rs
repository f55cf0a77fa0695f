//! Whom a session makes whoever presents it.

use tonic::Status;

use super::errors::kinded;
use crate::access::Caller;
use crate::admin::AdminError;
use crate::audit::{Draft, Outcome};
use crate::login::{Refusal, caller_of};
use crate::services::Services;

/// Who presents `bearer` over the connection of `peer`.
///
/// # Errors
/// `UNAUTHENTICATED`, with why it does not count; it is in the audit log then.
pub(super) async fn caller(
    services: &Services,
    peer: &Caller,
    bearer: &str,
) -> Result<Caller, Status> {
    let refusal = match caller_of(&services.repository, bearer, peer.from.clone()).await {
        Ok(caller) => return Ok(caller),
        Err(Refusal::Repository(error)) => return Err(AdminError::from(error).into()),
        Err(refusal) => refusal,
    };
    let reason = format!("{refusal}; from {}", peer.from.address);
    let draft = Draft::new(
        peer.subject.clone(),
        "Login/Session",
        "a session",
        Outcome::Refused,
    );
    services.audit.refused(draft.detail(&reason)).await;
    Err(kinded(Status::unauthenticated(refusal.to_string())))
}
