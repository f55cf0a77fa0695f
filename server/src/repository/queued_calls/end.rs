//! What becomes of a call that was dispatched: it ends, waits again, or nobody knows.

use portcullis_common::rotation::UnixMillis;

use super::call::EndOf;
use super::row::{change, remove_payload, require, update};
use super::{QueuedCall, QueuedCalls};
use crate::repository::authority::QUEUED_CALLS;
use crate::repository::columns::to_sql_millis;
use crate::repository::instance::has_no_server;
use crate::repository::sql::{Tx, params};
use crate::repository::{Beside, RepositoryError, Told};

/// A call that ended.
#[derive(Clone, Copy, Debug)]
pub struct EndedCall {
    /// Others wait for its object.
    pub others_wait: bool,
}

/// How a call that was not begun waits for its next attempt.
#[derive(Clone, Debug, Default)]
pub struct WaitsAgain {
    /// The gateway may know it: the next attempt is another one to it.
    pub was_sent: bool,
    /// It is not dispatched before.
    pub next: Option<UnixMillis>,
    /// What came of the attempt, encoded.
    pub outcome: Option<Vec<u8>>,
}

impl QueuedCalls<'_> {
    /// Records what came of a call that this instance dispatched, known at once or found later. The
    /// work is not done where it is none that this instance has under way. The same outcome is
    /// taken again: an error may have come after a commit that took effect.
    ///
    /// # Errors
    /// [`RepositoryError`] before anything is done.
    pub fn end(
        &self,
        call_id: &str,
        end: EndOf,
    ) -> Result<(Beside, Told<EndedCall>), RepositoryError> {
        let call_id = call_id.to_owned();
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        Ok(Beside::new(move |tx, _| {
            let EndOf {
                state,
                outcome,
                keeps_payload,
                now,
            } = &end;
            let ended = update(
                tx,
                &authority,
                &call_id,
                "UPDATE queued_calls SET state = ?2, outcome = ?3, ended_ms = ?4, lost = NULL, kept = ?6
                 WHERE call_id = ?1 AND instance = ?5
                     AND (state = 1 OR (state = ?2 AND outcome = ?3))",
                &params![
                    call_id,
                    state.number(),
                    outcome,
                    to_sql_millis(*now),
                    instance,
                    *keeps_payload
                ],
            )?;
            if !ended {
                return Ok(None);
            }
            if !keeps_payload {
                remove_payload(tx, &call_id)?;
            }
            let others_wait = others_wait(tx, &call_id)?;
            Ok(Some((true, EndedCall { others_wait })))
        }))
    }

    /// Nobody knows what came of a call that this instance dispatched, for the reason `why`: it is
    /// unknown until somebody has looked.
    ///
    /// # Errors
    /// [`RepositoryError`] before anything is done.
    pub fn lose(&self, call_id: &str, why: &str) -> Result<(Beside, Told<()>), RepositoryError> {
        let (call_id, why) = (call_id.to_owned(), why.to_owned());
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        Ok(Beside::new(move |tx, _| {
            let lost = change(tx, &authority, &call_id, |tx| {
                tx.execute(
                    "UPDATE queued_calls SET lost = ?2
                     WHERE call_id = ?1 AND state = 1 AND instance = ?3 AND lost IS NULL",
                    &params![call_id, why, instance],
                )
            })?;
            Ok((lost > 0).then_some((true, ())))
        }))
    }

    /// Has a call wait again that this instance dispatched and that certainly was not begun.
    ///
    /// # Errors
    /// [`RepositoryError`] before anything is done.
    pub fn wait_again(
        &self,
        call: &QueuedCall,
        again: WaitsAgain,
    ) -> Result<(Beside, Told<()>), RepositoryError> {
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        // Before it waits again: whoever looks for calls may find it at once.
        if call.fault.is_none() {
            self.repository.database.spent().remove(call.sequence);
        }
        let call_id = call.call_id.clone();
        Ok(Beside::new(move |tx, _| {
            let changed = change(tx, &authority, &call_id, |tx| {
                // Whoever waits for a direct one waits at this server.
                tx.execute(
                    "UPDATE queued_calls SET state = 0, dispatched_ms = NULL, lost = NULL, begun = 0,
                        instance = CASE direct WHEN 1 THEN instance END,
                        attempt = attempt + ?3, next_ms = ?4, outcome = ?5
                     WHERE call_id = ?1 AND state = 1 AND instance = ?2",
                    &params![
                        call_id,
                        instance,
                        u32::from(again.was_sent),
                        again.next.map(to_sql_millis),
                        again.outcome
                    ],
                )
            })?;
            Ok((changed > 0).then_some((true, ())))
        }))
    }

    /// Settles a call of which nobody knows what came, as a person says.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is none of that id; `false` where it is known what
    /// came of it.
    pub async fn resolve(&self, call_id: &str, end: EndOf) -> Result<bool, RepositoryError> {
        let call_id = call_id.to_owned();
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                require(tx, &authority, &call_id)?;
                let settled = change(tx, &authority, &call_id, |tx| {
                    tx.execute(
                        "UPDATE queued_calls SET state = ?2, outcome = ?3, ended_ms = ?4, lost = NULL, kept = 0
                         WHERE call_id = ?1 AND (state = 4 OR (state = 1 AND lost IS NOT NULL))",
                        &params![
                            call_id,
                            end.state.number(),
                            end.outcome,
                            to_sql_millis(end.now)
                        ],
                    )
                })?;
                if settled > 0 {
                    remove_payload(tx, &call_id)?;
                }
                Ok(settled > 0)
            })
            .await
    }

    /// Takes over the calls that were dispatched by instances whose rows are gone: nobody knows
    /// what came of them, for the reason `why`. From then on none of those writes what came of
    /// them. Gives how many.
    ///
    /// # Errors
    /// [`RepositoryError`]: none was taken over.
    pub async fn take_over(&self, why: &str) -> Result<usize, RepositoryError> {
        let why = why.to_owned();
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        let has_no_server = has_no_server(self.repository.database.is_shared());
        self.repository
            .database
            .write(move |tx| {
                let theirs = format!("state = 1 AND {has_no_server}");
                let guarded = authority.guard_any(tx, &QUEUED_CALLS, &theirs, &params![instance])?;
                // The gateway of a call of before it stood in the row is that of its resource.
                let taken = tx.execute(
                    &format!(
                        "UPDATE queued_calls SET instance = ?1, lost = coalesce(lost, ?2), gateway = CASE gateway
                            WHEN '' THEN coalesce((SELECT r.gateway FROM resources r WHERE r.name = resource), '')
                            ELSE gateway END
                         WHERE {theirs}"
                    ),
                    &params![instance, why],
                )?;
                guarded.settle(tx)?;
                Ok(usize::try_from(taken).unwrap_or(usize::MAX))
            })
            .await
    }
}

/// Whether another call waits for an object of this one.
fn others_wait(tx: &mut Tx<'_>, call_id: &str) -> Result<bool, RepositoryError> {
    let sql = "SELECT 1 FROM queued_calls o JOIN queued_calls q ON q.resource = o.resource
         WHERE q.call_id = ?1 AND o.state = 0 AND o.lane IN (q.lane, q.other_lane)
         UNION ALL
         SELECT 1 FROM queued_calls o JOIN queued_calls q ON q.resource = o.resource
         WHERE q.call_id = ?1 AND o.state = 0 AND o.other_lane IN (q.lane, q.other_lane)";
    tx.exists(sql, &params![call_id])
}
