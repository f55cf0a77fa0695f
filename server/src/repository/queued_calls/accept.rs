//! A call is accepted: its record, what is to be sent, and its place in the order, in one
//! transaction.

use super::call::{Enqueued, NewQueuedCall, QueuedState};
use super::payload::{field, place};
use super::row::{change, find, unchecked};
use super::{QueuedCall, QueuedCalls};
use crate::repository::authority::{Authority, QUEUED_CALLS, Stamp};
use crate::repository::columns::to_sql_millis;
use crate::repository::instance::InstanceId;
use crate::repository::sql::{Tx, params};
use crate::repository::{Beside, RepositoryError, Sealer, Told, resources, sealed_values};

/// Who accepts.
struct By<'a> {
    authority: &'a Authority,
    sealer: &'a dyn Sealer,
    instance: InstanceId,
}

impl QueuedCalls<'_> {
    /// Queues a call, provided that fewer than `limit` wait for its gateway.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such resource.
    pub async fn enqueue(
        &self,
        new: NewQueuedCall,
        limit: u32,
    ) -> Result<Enqueued, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        let instance = self.repository.database.instance();
        self.repository
            .database
            .write(move |tx| {
                let by = By {
                    authority: &authority,
                    sealer: &*sealer,
                    instance,
                };
                accept(tx, &by, &new, Some(limit), 0)
            })
            .await
    }

    /// Accepts a direct call, and marks it as dispatched by this instance where no other waits or
    /// is under way for its object: only then the entry is written.
    ///
    /// # Errors
    /// [`RepositoryError`] before anything is done.
    pub fn accept(&self, new: NewQueuedCall) -> Result<(Beside, Told<Enqueued>), RepositoryError> {
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        let instance = self.repository.database.instance();
        Ok(Beside::new(move |tx, entry| {
            let by = By {
                authority: &authority,
                sealer: &*sealer,
                instance,
            };
            let accepted = accept(tx, &by, &new, None, entry)?;
            let leaves =
                matches!(&accepted, Enqueued::New(call) if call.state == QueuedState::Dispatched);
            Ok(Some((leaves, accepted)))
        }))
    }
}

fn accept(
    tx: &mut Tx<'_>,
    by: &By<'_>,
    new: &NewQueuedCall,
    limit: Option<u32>,
    entry: u64,
) -> Result<Enqueued, RepositoryError> {
    let before = find(tx, by.authority, &new.call_id)?;
    if let Some(before) = before.as_ref().filter(|before| !is_again(before, new)) {
        return Ok(Enqueued::Existing(before.clone()));
    }
    let route = resources::route(tx, by.authority, &new.resource)?;
    let made_up_for = new.direct.as_ref();
    if made_up_for.is_some_and(|(gateway, id)| (gateway, *id) != (&route.gateway, route.gateway_id))
    {
        return Ok(Enqueued::Moved);
    }
    if let Some(limit) = limit
        && waiting(tx, &route.gateway)? >= limit
    {
        let gateway = route.gateway;
        return Ok(Enqueued::Full { gateway });
    }
    if before.is_some() {
        forget(tx, by.authority, &new.call_id)?;
    }
    let leaves = new.direct.is_some() && !is_occupied(tx, new)?;
    let call = insert(tx, by, new, leaves.then_some((&*route.gateway, entry)))?;
    let field = field(&new.resource, &route.gateway);
    let place = place(&new.call_id, &field, &route.context);
    sealed_values::put(tx, &place, &by.sealer.seal(&place, &new.payload))?;
    Ok(Enqueued::New(call))
}

/// Whether `new` is the next attempt of a call that failed.
fn is_again(before: &QueuedCall, new: &NewQueuedCall) -> bool {
    before.fault.is_none()
        && before.state == QueuedState::Failed
        && before.digest.as_ref() == Some(&new.digest)
        && new.after == Some(before.attempt)
}

/// How many queued calls wait for a gateway.
fn waiting(tx: &mut Tx<'_>, gateway: &str) -> Result<u32, RepositoryError> {
    tx.query_one(
        "SELECT count(*) FROM queued_calls q JOIN resources r ON r.name = q.resource
         WHERE q.state < 2 AND q.direct = 0 AND r.gateway = ?1",
        &params![gateway],
        |row| row.get(0),
    )
}

/// Whether a call on one of the same objects waits, is under way, or is unknown.
fn is_occupied(tx: &mut Tx<'_>, new: &NewQueuedCall) -> Result<bool, RepositoryError> {
    let (lane, other) = &new.lanes;
    let sql = "SELECT 1 FROM queued_calls WHERE resource = ?1 AND state < 2 AND lane IN (?2, ?3)
         UNION ALL
         SELECT 1 FROM queued_calls WHERE resource = ?1 AND state < 2 AND other_lane IN (?2, ?3)";
    tx.exists(sql, &params![new.resource, lane, other])
}

/// `leaves`: the gateway that it is dispatched to at once, and its entry.
fn insert(
    tx: &mut Tx<'_>,
    by: &By<'_>,
    new: &NewQueuedCall,
    leaves: Option<(&str, u64)>,
) -> Result<QueuedCall, RepositoryError> {
    let (gateway, begun) = leaves.unwrap_or_default();
    let attempt = new.after.map_or(1, |before| before.saturating_add(1));
    let insert = QUEUED_CALLS.returning(
        "INSERT INTO queued_calls (call_id, resource, summary, state, queued_ms, expires_ms, digest, direct,
            lane, other_lane, attempt, retry_of, gateway, begun, dispatched_ms, instance, form, acknowledged, trace_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, 1, ?17, ?18)",
    );
    let (call, stamp) = tx.query_one(
        &insert,
        &params![
            new.call_id,
            new.resource,
            new.summary,
            leaves.map_or(0u8, |_| 1),
            to_sql_millis(new.queued),
            to_sql_millis(new.expires),
            new.digest,
            new.direct.is_some(),
            new.lanes.0,
            new.lanes.1,
            attempt,
            new.retry_of,
            gateway,
            begun.cast_signed(),
            leaves.map(|_| to_sql_millis(new.queued)),
            (leaves.is_some() || new.direct.is_some()).then_some(by.instance),
            leaves.is_none(),
            new.trace_id,
        ],
        |row| Ok((unchecked(row)?, Stamp::read(&QUEUED_CALLS, row, 0)?)),
    )?;
    by.authority.renew_read(tx, &QUEUED_CALLS, &stamp, None)?;
    Ok(call)
}

/// Removes the record of a call, and what was to be sent.
pub(super) fn forget(
    tx: &mut Tx<'_>,
    authority: &Authority,
    call_id: &str,
) -> Result<(), RepositoryError> {
    super::row::remove_payload(tx, call_id)?;
    change(tx, authority, call_id, |tx| {
        tx.execute(
            "DELETE FROM queued_calls WHERE call_id = ?1",
            &params![call_id],
        )
    })?;
    Ok(())
}
