//! The queue of calls that wait for their gateway.

mod call;
mod payload;
mod row;
mod spent;

use portcullis_common::rotation::UnixMillis;
use zeroize::Zeroizing;

use super::authority::{Authority, QUEUED_CALLS};
use super::columns::{from_sql_millis, to_sql_millis};
use super::resources;
use super::sql::{Tx, Value, params};
use super::{Repository, RepositoryError, Sealer, sealed_values};
use call::SELECTED;
pub use call::{
    Dispatched, Enqueued, NewQueuedCall, OpenedPayload, Payload, PayloadError, QueuedCall,
    QueuedFilter, QueuedState,
};
use payload::{claim, doubt, field, payload, place, routed};
use row::{change, end_waiting, find, read, remove_payload, require};
pub(super) use spent::Spent;

/// The queue of calls: in the order of their resources, each sent at most once.
#[derive(Clone, Copy, Debug)]
pub struct QueuedCalls<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// Calls that wait for their gateway.
    pub const fn queued_calls(&self) -> QueuedCalls<'_> {
        QueuedCalls { repository: self }
    }
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
        self.repository
            .database
            .write(move |tx| {
                if let Some(existing) = find(tx, &authority, &new.call_id)? {
                    return Ok(Enqueued::Existing(existing));
                }
                let route = resources::route(tx, &authority, &new.resource)?;
                let gateway = route.gateway;
                let waiting: u32 = tx.query_one(
                    "SELECT count(*) FROM queued_calls q JOIN resources r ON r.name = q.resource
                     WHERE q.state < 2 AND r.gateway = ?1",
                    &params![gateway],
                    |row| row.get(0),
                )?;
                if waiting >= limit {
                    return Ok(Enqueued::Full { gateway });
                }
                tx.execute(
                    "INSERT INTO queued_calls (call_id, resource, summary, state, queued_ms, expires_ms, digest)
                     VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6)",
                    &params![
                        new.call_id,
                        new.resource,
                        new.summary,
                        to_sql_millis(new.queued),
                        to_sql_millis(new.expires),
                        new.digest,
                    ],
                )?;
                authority.added(tx, &QUEUED_CALLS, Value::Text(&new.call_id))?;
                let field = field(&new.resource, &gateway);
                let place = place(&new.call_id, &field, &route.context);
                sealed_values::put(tx, &place, &sealer.seal(&place, &new.payload))?;
                require(tx, &authority, &new.call_id).map(Enqueued::New)
            })
            .await
    }

    /// The call of that id; `None`: none was queued, or it ended so long ago that it was forgotten.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(&self, call_id: &str) -> Result<Option<QueuedCall>, RepositoryError> {
        let call_id = call_id.to_owned();
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .read(move |tx| find(tx, &authority, &call_id))
            .await
    }

    /// How many there are in one state.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn count(&self, state: QueuedState) -> Result<u64, RepositoryError> {
        self.repository
            .database
            .read(move |tx| {
                let sql = "SELECT count(*) FROM queued_calls WHERE state = ?1";
                let count: i64 = tx.query_one(sql, &params![state.number()], |row| row.get(0))?;
                Ok(count.unsigned_abs())
            })
            .await
    }

    /// The first `limit` calls after `after` that `filter` selects, in the order in which they were
    /// queued.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(
        &self,
        filter: QueuedFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<QueuedCall>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .read(move |tx| {
                tx.query(
                    &QUEUED_CALLS.select(&format!(
                        "sequence > ?4 AND {SELECTED} ORDER BY sequence LIMIT ?5"
                    )),
                    &params![
                        filter.states(),
                        filter.resource,
                        filter.gateway,
                        after,
                        limit
                    ],
                    |row| read(row, &authority),
                )
            })
            .await
    }

    /// Takes back the calls that `filter` selects and that still wait: at most `limit`, of which it
    /// gives the ids.
    ///
    /// # Errors
    /// [`RepositoryError`]: none was taken back.
    pub async fn cancel_many(
        &self,
        filter: QueuedFilter,
        limit: u32,
        now: UnixMillis,
    ) -> Result<Vec<String>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let (ids, numbers) = self
            .repository
            .database
            .write(move |tx| {
                let ids: Vec<String> = tx.query(
                    &format!(
                        "SELECT call_id FROM queued_calls WHERE state = 0 AND {SELECTED} ORDER BY sequence LIMIT ?4"
                    ),
                    &params![filter.states(), filter.resource, filter.gateway, limit],
                    |row| row.get(0),
                )?;
                let mut numbers = Vec::with_capacity(ids.len());
                for id in &ids {
                    numbers.extend(end_waiting(
                        tx,
                        &authority,
                        id,
                        QueuedState::Cancelled,
                        now,
                    )?);
                }
                Ok((ids, numbers))
            })
            .await?;
        self.wait_no_more(numbers);
        Ok(ids)
    }

    /// Records what came of a call of which nobody knew, now that its gateway has told. `false`: it
    /// is none, and nothing has changed.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn settle(
        &self,
        call_id: &str,
        state: QueuedState,
        outcome: Vec<u8>,
    ) -> Result<bool, RepositoryError> {
        let call_id = call_id.to_owned();
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                if find(tx, &authority, &call_id)?.is_none_or(|call| call.fault.is_some()) {
                    return Ok(false);
                }
                let settled = change(tx, &authority, &call_id, |tx| {
                    tx.execute(
                        "UPDATE queued_calls SET state = ?2, outcome = ?3
                         WHERE call_id = ?1 AND state = 4",
                        &params![call_id, state.number(), outcome],
                    )
                })?;
                Ok(settled > 0)
            })
            .await
    }

    /// Takes back a call that still waits. Gives it as it then is: where it was dispatched or had
    /// ended, as it was.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is none of that id.
    pub async fn cancel(
        &self,
        call_id: &str,
        now: UnixMillis,
    ) -> Result<QueuedCall, RepositoryError> {
        let call_id = call_id.to_owned();
        let authority = self.repository.database.authority()?;
        let call = self
            .repository
            .database
            .write(move |tx| {
                if require(tx, &authority, &call_id)?.state == QueuedState::Waiting {
                    end_waiting(tx, &authority, &call_id, QueuedState::Cancelled, now)?;
                }
                require(tx, &authority, &call_id)
            })
            .await?;
        if call.state == QueuedState::Cancelled {
            self.wait_no_more([call.sequence]);
        }
        Ok(call)
    }

    /// What waits now may have been put back, and is not to be sent. Gives how many that are.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn doubt_waiting(&self) -> Result<usize, RepositoryError> {
        let filter = QueuedFilter {
            states: vec![QueuedState::Waiting],
            ..QueuedFilter::default()
        };
        let waiting = self.list(filter, 0, u32::MAX).await?;
        let sound = waiting.iter().filter(|call| call.fault.is_none());
        self.wait_no_more(sound.map(|call| call.sequence));
        Ok(waiting.len())
    }

    /// These wait no more: where their rows are put back by hand, they are not sent.
    fn wait_no_more(&self, numbers: impl IntoIterator<Item = i64>) {
        let spent = self.repository.database.spent();
        numbers.into_iter().for_each(|number| spent.add(number));
    }

    /// The gateways for which calls wait.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn awaited_gateways(&self) -> Result<Vec<String>, RepositoryError> {
        self.repository
            .database
            .read(|tx| {
                tx.query(
                    "SELECT DISTINCT r.gateway FROM queued_calls q JOIN resources r ON r.name = q.resource
                     WHERE q.state = 0",
                    &[],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// Marks the first call for a gateway as dispatched by this instance whose resource has no
    /// earlier one waiting or under way. One whose server key is not here waits on. `None`: there
    /// is none.
    ///
    /// # Errors
    /// [`RepositoryError`]: it was not marked.
    pub async fn dispatch(
        &self,
        gateway: &str,
        now: UnixMillis,
    ) -> Result<Option<Dispatched>, RepositoryError> {
        let gateway = gateway.to_owned();
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        let instance = self.repository.database.instance();
        let spent = self.repository.database.spent().clone();
        let dispatched = self
            .repository
            .database
            .write(move |tx| {
                for call_id in first_of_each_resource(tx, &gateway)? {
                    let call = require(tx, &authority, &call_id)?;
                    let payload = match doubt(&call, &spent) {
                        Some(doubt) => Some(Err(PayloadError::Tampered(doubt))),
                        None => routed(tx, &authority, &*sealer, call)?,
                    };
                    let Some(payload) = payload else {
                        continue;
                    };
                    return claim(tx, &authority, &call_id, now, instance, payload).map(Some);
                }
                Ok(None)
            })
            .await?;
        self.wait_no_more(dispatched.iter().filter_map(Dispatched::number));
        Ok(dispatched)
    }

    /// As [`Self::dispatch`], of a call that is for another registration of the gateway than it has
    /// now, or for another connector: its payload never opens. Others may wait before it.
    ///
    /// # Errors
    /// [`RepositoryError`]: it was not marked.
    pub async fn dispatch_lost(
        &self,
        gateway: &str,
        now: UnixMillis,
    ) -> Result<Option<Dispatched>, RepositoryError> {
        let gateway = gateway.to_owned();
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        let instance = self.repository.database.instance();
        let spent = self.repository.database.spent().clone();
        let dispatched = self
            .repository
            .database
            .write(move |tx| {
                for call_id in waiting_for(tx, &gateway)? {
                    let call = require(tx, &authority, &call_id)?;
                    // One that is not to be believed ends when its turn comes.
                    if doubt(&call, &spent).is_some() {
                        continue;
                    }
                    let resource = call.resource;
                    let route = resources::route(tx, &authority, &resource)?;
                    let payload = payload(tx, &*sealer, &call_id, resource, &route)?;
                    if let Some(lost @ Err(PayloadError::Elsewhere { .. })) = payload {
                        return claim(tx, &authority, &call_id, now, instance, lost).map(Some);
                    }
                }
                Ok(None)
            })
            .await?;
        self.wait_no_more(dispatched.iter().filter_map(Dispatched::number));
        Ok(dispatched)
    }

    /// Has a call wait again that this instance dispatched and certainly did not send. `false`: it
    /// is none that this instance has under way, and nothing has changed.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn put_back(&self, call_id: &str) -> Result<bool, RepositoryError> {
        // Before it waits again: whoever looks for calls may find it at once.
        let call = self.find(call_id).await?;
        let number = call.filter(|call| call.fault.is_none());
        let number = number.map(|call| call.sequence);
        let spent = self.repository.database.spent();
        if let Some(number) = number {
            spent.remove(number);
        }
        let call_id = call_id.to_owned();
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        let changed = self
            .repository
            .database
            .write(move |tx| {
                let changed = change(tx, &authority, &call_id, |tx| {
                    tx.execute(
                        "UPDATE queued_calls SET state = 0, dispatched_ms = NULL, instance = NULL
                         WHERE call_id = ?1 AND state = 1 AND instance = ?2",
                        &params![call_id, instance],
                    )
                })?;
                Ok(changed > 0)
            })
            .await?;
        if !changed {
            self.wait_no_more(number);
        }
        Ok(changed)
    }

    /// Records what came of a call that this instance dispatched, and erases its payload. `false`:
    /// it is none that this instance has under way, and nothing was recorded. The same outcome is
    /// taken again: an error may have come after a commit that took effect.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn end(
        &self,
        call_id: &str,
        state: QueuedState,
        outcome: Vec<u8>,
        now: UnixMillis,
    ) -> Result<bool, RepositoryError> {
        let call_id = call_id.to_owned();
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        self.repository
            .database
            .write(move |tx| {
                let ended = change(tx, &authority, &call_id, |tx| {
                    tx.execute(
                        "UPDATE queued_calls SET state = ?2, outcome = ?3, ended_ms = ?4
                         WHERE call_id = ?1 AND instance = ?5
                             AND (state = 1 OR (state = ?2 AND outcome = ?3))",
                        &params![
                            call_id,
                            state.number(),
                            outcome,
                            to_sql_millis(now),
                            instance
                        ],
                    )
                })?;
                if ended > 0 {
                    remove_payload(tx, &call_id)?;
                }
                Ok(ended > 0)
            })
            .await
    }

    /// Takes over the calls that other instances dispatched, and gives the ids of all that are
    /// dispatched without an outcome. Only where no other instance lives.
    ///
    /// # Errors
    /// [`RepositoryError`]: none was taken over.
    pub async fn take_over(&self) -> Result<Vec<String>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        self.repository
            .database
            .write(move |tx| {
                let theirs = "state = 1 AND instance IS DISTINCT FROM ?1";
                let guarded = authority.guard_any(tx, &QUEUED_CALLS, theirs, &params![instance])?;
                tx.execute(
                    &format!("UPDATE queued_calls SET instance = ?1 WHERE {theirs}"),
                    &params![instance],
                )?;
                guarded.settle(tx)?;
                tx.query(
                    "SELECT call_id FROM queued_calls WHERE state = 1 AND instance = ?1",
                    &params![instance],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// Ends what waits beyond its time, and forgets what ended before `forget`. Gives when the next
    /// one expires, and those that did.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn expire(
        &self,
        now: UnixMillis,
        forget: UnixMillis,
    ) -> Result<(Option<UnixMillis>, Vec<QueuedCall>), RepositoryError> {
        let authority = self.repository.database.authority()?;
        let (next, expired, numbers) = self
            .repository
            .database
            .write(move |tx| {
                let expired: Vec<QueuedCall> = tx.query(
                    &QUEUED_CALLS.select("state = 0 AND expires_ms <= ?1 ORDER BY sequence"),
                    &params![to_sql_millis(now)],
                    |row| read(row, &authority),
                )?;
                let mut numbers = Vec::with_capacity(expired.len());
                for call in &expired {
                    let state = QueuedState::Expired;
                    numbers.push(end_waiting(tx, &authority, &call.call_id, state, now)?);
                }
                let old = "state > 1 AND ended_ms < ?1";
                let forget = to_sql_millis(forget);
                let guarded = authority.guard_any(tx, &QUEUED_CALLS, old, &params![forget])?;
                if !guarded.is_empty() {
                    let sql = format!("DELETE FROM queued_calls WHERE {old}");
                    tx.execute(&sql, &params![forget])?;
                    guarded.settle(tx)?;
                }
                let next: Option<i64> = tx.query_one(
                    "SELECT min(expires_ms) FROM queued_calls WHERE state = 0",
                    &[],
                    |row| row.get(0),
                )?;
                Ok((next.map(from_sql_millis), expired, numbers))
            })
            .await?;
        self.wait_no_more(numbers.into_iter().flatten());
        Ok((next, expired))
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

/// Ends what waits for a resource that is removed, or is reached in another way from now on. Gives
/// the ids.
pub(super) fn cancel_of_resource(
    tx: &mut Tx<'_>,
    authority: &Authority,
    resource: &str,
    now: UnixMillis,
) -> Result<Vec<String>, RepositoryError> {
    let waiting: Vec<String> = tx.query(
        "SELECT call_id FROM queued_calls WHERE state = 0 AND resource = ?1 ORDER BY sequence",
        &params![resource],
        |row| row.get(0),
    )?;
    for call_id in &waiting {
        end_waiting(tx, authority, call_id, QueuedState::Cancelled, now)?;
    }
    Ok(waiting)
}

/// How many calls wait for a gateway, or are under way through it.
pub(super) fn open_of_gateway(tx: &mut Tx<'_>, gateway: &str) -> Result<u64, RepositoryError> {
    let open: i64 = tx.query_one(
        "SELECT count(*) FROM queued_calls q JOIN resources r ON r.name = q.resource
         WHERE q.state < 2 AND r.gateway = ?1",
        &params![gateway],
        |row| row.get(0),
    )?;
    Ok(open.unsigned_abs())
}

/// Seals the payloads that wait for a gateway for its new name. To be called while its resources
/// still name the old one.
pub(super) fn follow_rename(
    tx: &mut Tx<'_>,
    old: &str,
    new: &str,
    sealer: &dyn Sealer,
) -> Result<(), RepositoryError> {
    let open: Vec<(String, String)> = tx.query(
        "SELECT q.call_id, q.resource FROM queued_calls q JOIN resources r ON r.name = q.resource
         WHERE q.state < 2 AND r.gateway = ?1",
        &params![old],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for (call_id, resource) in open {
        let (before, after) = (field(&resource, old), field(&resource, new));
        let context = sealed_values::context_of(tx, &place(&call_id, &before, &[]))?;
        let context = context.unwrap_or_default();
        let from = place(&call_id, &before, &context);
        let Some(sealed) = sealed_values::find(tx, &from)? else {
            continue;
        };
        let payload = Zeroizing::new(sealer.open(&from, &sealed)?);
        sealed_values::remove(tx, &from)?;
        let to = place(&call_id, &after, &context);
        sealed_values::put(tx, &to, &sealer.seal(&to, &payload))?;
    }
    Ok(())
}

fn first_of_each_resource(tx: &mut Tx<'_>, gateway: &str) -> Result<Vec<String>, RepositoryError> {
    tx.query(
        "SELECT q.call_id FROM resources r JOIN queued_calls q ON q.resource = r.name
         WHERE r.gateway = ?1 AND q.state = 0
           AND q.sequence = (SELECT min(o.sequence) FROM queued_calls o WHERE o.resource = r.name AND o.state < 2)
         ORDER BY q.sequence",
        &params![gateway],
        |row| row.get(0),
    )
}

#[cfg(test)]
mod tests;
