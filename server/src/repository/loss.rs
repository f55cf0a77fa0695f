//! A repository that went back in time: what happened since it was as it is now, nobody knows.

use portcullis_common::rotation::UnixMillis;

use super::authority::{GATEWAYS, QUEUED_CALLS};
use super::columns::to_sql_millis;
use super::meta;
use super::sql::params;
use super::{ProtectedType, Repository, RepositoryError, approvals, sealed_values, sessions};

/// Why a call is held.
const HELD: &str = "it was held when the repository went back in time: it may have been carried out since, or withdrawn; look at the object, then settle it (`portcullis call resolve`), or make it again (`portcullis call retry`)";

/// What was given up of a repository that went back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// How often it went back by now.
    pub generation: u64,
    /// Calls that waited, or were under way, and are indeterminate now.
    pub held: u64,
    /// Gateways whose tokens were voided, or whose pairing was closed.
    pub closed: u64,
}

impl Repository {
    /// Goes on from a state that is older than what happened. What was to happen then may have
    /// happened, and what was open may have been used or closed: waiting calls are held for
    /// somebody to decide, tokens, approvals and sessions are void, and pairing is closed.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing was changed.
    pub async fn accept_loss(&self, now: UnixMillis) -> Result<Loss, RepositoryError> {
        let authority = self.database.authority()?;
        self.database
            .write(move |tx| {
                let open = "state < 2";
                let guarded = authority.guard_any(tx, &QUEUED_CALLS, open, &[])?;
                // Their gateways are not told that it is known what came of them: they go on
                // keeping what they know.
                let held = tx.execute(
                    &format!(
                        "UPDATE queued_calls SET state = 4, outcome = NULL, ended_ms = ?1, lost = ?2, kept = 1,
                            next_ms = NULL, acknowledged = 1
                         WHERE {open}"
                    ),
                    &params![to_sql_millis(now), HELD],
                )?;
                guarded.settle(tx)?;
                let open = "token_key_id IS NOT NULL OR pairing_until_ms IS NOT NULL";
                let guarded = authority.guard_any(tx, &GATEWAYS, open, &[])?;
                let closed = tx.execute(
                    &format!(
                        "UPDATE gateways SET token_key_id = NULL, token_expires_ms = NULL, token_bound = NULL,
                            pairing_until_ms = NULL
                         WHERE {open}"
                    ),
                    &[],
                )?;
                guarded.settle(tx)?;
                sealed_values::remove_of_kind(tx, ProtectedType::EnrolmentKey)?;
                approvals::forget_all(tx, &authority)?;
                sessions::end_all(tx, &authority)?;
                meta::clear_went_back(tx)?;
                Ok(Loss {
                    generation: meta::raise_generation(tx)?,
                    held,
                    closed,
                })
            })
            .await
    }
}
