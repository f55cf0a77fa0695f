//! A call's turn: which may go, and that it goes.

use portcullis_common::rotation::UnixMillis;

use super::call::{Dispatched, EndOf, PayloadError, QueuedState};
use super::payload::{doubt, payload, routed};
use super::row::{change, find, remove_payload, require};
use super::{QueuedCall, QueuedCalls};
use crate::repository::columns::to_sql_millis;
use crate::repository::sql::{Tx, params};
use crate::repository::{Beside, RepositoryError, Told, resources};

/// Calls of one gateway whose turn it is that are looked through at once.
const LOOKED_THROUGH: u32 = 1_000;

impl QueuedCalls<'_> {
    /// The gateways for which calls wait that may go now.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn awaited_gateways(&self, now: UnixMillis) -> Result<Vec<String>, RepositoryError> {
        self.repository
            .database
            .read(move |tx| {
                tx.query(
                    "SELECT DISTINCT r.gateway FROM queued_calls q JOIN resources r ON r.name = q.resource
                     WHERE q.state = 0 AND q.direct = 0 AND (q.next_ms IS NULL OR q.next_ms <= ?1)",
                    &params![to_sql_millis(now)],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// The first `limit` calls for a gateway whose turn it is: no earlier one on their object waits
    /// or is under way. One whose server key is not here waits on.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn next(
        &self,
        gateway: &str,
        now: UnixMillis,
        limit: usize,
    ) -> Result<Vec<Dispatched>, RepositoryError> {
        let gateway = gateway.to_owned();
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        let spent = self.repository.database.spent().clone();
        self.repository
            .database
            .read(move |tx| {
                let mut found = Vec::new();
                for call_id in first_of_each_lane(tx, &gateway, now)? {
                    if found.len() >= limit {
                        break;
                    }
                    let call = require(tx, &authority, &call_id)?;
                    let payload = match doubt(&call, &spent) {
                        Some(doubt) => Some(Err(PayloadError::Tampered(doubt))),
                        None => routed(tx, &authority, &*sealer, call.clone())?,
                    };
                    found.extend(payload.map(|payload| Dispatched { call, payload }));
                }
                Ok(found)
            })
            .await
    }

    /// The calls that wait for another registration of the gateway than it has now, or for another
    /// connector: their payloads never open. Others may wait before them.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn lost_waiting(&self, gateway: &str) -> Result<Vec<Dispatched>, RepositoryError> {
        let gateway = gateway.to_owned();
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        let spent = self.repository.database.spent().clone();
        self.repository
            .database
            .read(move |tx| {
                let mut lost = Vec::new();
                for call_id in waiting_for(tx, &gateway)? {
                    let call = require(tx, &authority, &call_id)?;
                    // One that is not to be believed ends when its turn comes.
                    if doubt(&call, &spent).is_some() {
                        continue;
                    }
                    let route = resources::route(tx, &authority, &call.resource)?;
                    let resource = call.resource.clone();
                    let payload = payload(tx, &*sealer, &call_id, resource, &route)?;
                    if let Some(payload @ Err(PayloadError::Elsewhere { .. })) = payload {
                        lost.push(Dispatched { call, payload });
                    }
                }
                Ok(lost)
            })
            .await
    }

    /// Whether no earlier call on its object waits or is under way.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn is_turn(&self, call_id: &str) -> Result<bool, RepositoryError> {
        let call_id = call_id.to_owned();
        self.repository
            .database
            .read(move |tx| is_first(tx, &call_id))
            .await
    }

    /// Marks a call as dispatched to a gateway by this instance, provided that it still waits and
    /// it is its turn.
    ///
    /// # Errors
    /// [`RepositoryError`] before anything is done.
    pub fn claim(
        &self,
        call: &QueuedCall,
        gateway: &str,
        now: UnixMillis,
    ) -> Result<(Beside, Told<()>), RepositoryError> {
        let (call_id, attempt) = (call.call_id.clone(), call.attempt);
        let gateway = gateway.to_owned();
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        let spent = self.repository.database.spent().clone();
        Ok(Beside::new(move |tx, entry| {
            let call = find(tx, &authority, &call_id)?;
            let waits = call.is_some_and(|call| {
                call.state == QueuedState::Waiting
                    && call.attempt == attempt
                    && doubt(&call, &spent).is_none()
            });
            if !waits || !is_first(tx, &call_id)? {
                return Ok(None);
            }
            change(tx, &authority, &call_id, |tx| {
                tx.execute(
                    "UPDATE queued_calls SET state = 1, dispatched_ms = ?2, instance = ?3, gateway = ?4, begun = ?5,
                        next_ms = NULL, outcome = NULL, acknowledged = 0
                     WHERE call_id = ?1",
                    &params![
                        call_id,
                        to_sql_millis(now),
                        instance,
                        gateway,
                        entry.cast_signed()
                    ],
                )
            })?;
            Ok(Some((true, ())))
        }))
    }

    /// Ends a call that waits, and never is sent.
    ///
    /// # Errors
    /// [`RepositoryError`] before anything is done.
    pub fn refuse(
        &self,
        call: &QueuedCall,
        end: EndOf,
    ) -> Result<(Beside, Told<()>), RepositoryError> {
        let call_id = call.call_id.clone();
        let authority = self.repository.database.authority()?;
        Ok(Beside::new(move |tx, _| {
            let ended = change(tx, &authority, &call_id, |tx| {
                tx.execute(
                    "UPDATE queued_calls SET state = ?2, outcome = ?3, ended_ms = ?4, next_ms = NULL
                     WHERE call_id = ?1 AND state = 0",
                    &params![
                        call_id,
                        end.state.number(),
                        end.outcome,
                        to_sql_millis(end.now)
                    ],
                )
            })?;
            if ended == 0 {
                return Ok(None);
            }
            remove_payload(tx, &call_id)?;
            Ok(Some((true, ())))
        }))
    }

    /// This call waits no more: where its row is put back by hand, it is not sent.
    pub fn waits_no_more(&self, call: &QueuedCall) {
        self.wait_no_more(call.fault.is_none().then_some(call.sequence));
    }
}

/// The calls that wait for a gateway, in their order.
fn waiting_for(tx: &mut Tx<'_>, gateway: &str) -> Result<Vec<String>, RepositoryError> {
    tx.query(
        "SELECT q.call_id FROM queued_calls q JOIN resources r ON r.name = q.resource
         WHERE r.gateway = ?1 AND q.state = 0 ORDER BY q.sequence",
        &params![gateway],
        |row| row.get(0),
    )
}

/// What holds of a call `q` whose turn it is.
const FIRST: &str =
    "NOT EXISTS (SELECT 1 FROM queued_calls o WHERE o.resource = q.resource AND o.state < 2
            AND o.sequence < q.sequence AND o.lane IN (q.lane, q.other_lane))
       AND NOT EXISTS (SELECT 1 FROM queued_calls o WHERE o.resource = q.resource AND o.state < 2
            AND o.sequence < q.sequence AND o.other_lane IN (q.lane, q.other_lane))";

fn is_first(tx: &mut Tx<'_>, call_id: &str) -> Result<bool, RepositoryError> {
    let sql = format!("SELECT 1 FROM queued_calls q WHERE q.call_id = ?1 AND {FIRST}");
    tx.exists(&sql, &params![call_id])
}

/// The queued calls for a gateway whose turn it is. Of a direct one, whoever waits for it sees to
/// that.
fn first_of_each_lane(
    tx: &mut Tx<'_>,
    gateway: &str,
    now: UnixMillis,
) -> Result<Vec<String>, RepositoryError> {
    tx.query(
        &format!(
            "SELECT q.call_id FROM queued_calls q JOIN resources r ON r.name = q.resource
             WHERE r.gateway = ?1 AND q.state = 0 AND q.direct = 0 AND (q.next_ms IS NULL OR q.next_ms <= ?2)
               AND {FIRST}
             ORDER BY q.sequence LIMIT ?3"
        ),
        &params![gateway, to_sql_millis(now), LOOKED_THROUGH],
        |row| row.get(0),
    )
}
